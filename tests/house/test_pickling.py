"""Everything that functions return can be sent to another process, and comes back the same."""

from __future__ import annotations

import copy
import inspect
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest

import unrolled
from cases.process_work import analyzed, counted, failing
from unrolled import Ensemble, Prior, Provenance, Relation, errors, models
from unrolled.theory import path_sums

NETWORK = models.mlp([4, 4], inputs=3, classes=2)
NETWORK.record_provenance(Provenance("tiny.onnx", "onnx", "1.17", "value", {"x": (1, 3)}))
COUNTS = unrolled.count(NETWORK, lengths=True)
GRAPH = unrolled.Graph.from_edges([0, 0, 1], [1, 2, 2])
PROPAGATION = unrolled.propagate(NETWORK)
ENSEMBLE = Ensemble.from_counts(COUNTS, unit="bits")

# One of every public class but errors, and what tells whether a copy is the same.
OBJECTS: dict[str, tuple[Any, Any]] = {
    "Analysis": (unrolled.analyze(COUNTS), lambda one: (one.to_dict(), one.table(width=120))),
    "Comparison": (
        unrolled.compare([NETWORK, GRAPH]),
        lambda one: (one.to_csv(), one.table(width=99)),
    ),
    "Configuration": (unrolled.models.resnet(18, size=32).layers[0].configuration, lambda one: one),
    "Counts": (COUNTS, lambda one: (one.total, one.spectrum().counts)),
    "DensityOfStates": (ENSEMBLE.density_of_states(bins=3), lambda one: [x.tolist() for x in one]),
    "Divergence": (unrolled.divergence(NETWORK, NETWORK), lambda one: one),
    "EnergyLevel": (ENSEMBLE.top_level, lambda one: one),
    "Ensemble": (
        ENSEMBLE,
        lambda one: (one.sweep().to_dict(), one.with_prior("depth").energy(1.0)),
    ),
    "Evaluation": (
        unrolled.evaluate("nasbench_macro", ["effective_units"], draws=2),
        lambda one: one.table(width=99),
    ),
    "Features": (unrolled.features(NETWORK), lambda one: one),
    "Graph": (GRAPH, lambda one: (repr(one), one.indices.tolist())),
    "GraphCounts": (unrolled.count(GRAPH), lambda one: (one.total, one[0])),
    "HeatCapacityPeak": (ENSEMBLE.heat_capacity_peaks()[0], lambda one: one),
    "InitializationReport": (unrolled.initialization_report(NETWORK), repr),
    "Layer": (NETWORK.layers[0], lambda one: (one.name, one.shapes, one.configuration)),
    "LayerSummary": (unrolled.analyze(NETWORK).layers[0], lambda one: one[:-1]),
    "Level": (COUNTS.spectrum().levels[0], lambda one: one),
    "Link": (NETWORK.links[0], lambda one: (one.source.name, one.relations, one.role)),
    "Network": (NETWORK, lambda one: one),
    "Operation": (NETWORK.operation("layer1"), lambda one: one),
    "ParameterCounts": (COUNTS["layer1/kernel"], lambda one: one.exact().tolist()),
    "Prior": (Prior(2.0, 1.0), lambda one: one),
    "PriorLevel": (unrolled.PriorLevel(1.0, 2.0, "kernel"), lambda one: one),
    "Propagation": (PROPAGATION, lambda one: (repr(one), one.jacobian, list(one))),
    "Provenance": (NETWORK.provenance, lambda one: one),
    "Relation": (Relation.window(0, 1, size=3), lambda one: one),
    "Scores": (unrolled.score(models.nasbench_macro("00000000")), lambda one: one),
    "Signal": (unrolled.Signal(), lambda one: one),
    "Spectrum": (COUNTS.spectrum(), lambda one: (one.counts, one.levels, one.owners(0))),
    "TemperatureSweep": (ENSEMBLE.sweep(), lambda one: (one.to_dict(), one.unit)),
    "Tensor": (NETWORK.tensors[0], lambda one: (one.id, one.name, one.shape, one.network)),
}


def test_every_public_class_is_here() -> None:
    classes = {name for name in unrolled.__all__ if inspect.isclass(getattr(unrolled, name))}
    assert {name for name in classes if not issubclass(getattr(unrolled, name), Exception)} == set(
        OBJECTS
    )


@pytest.mark.parametrize("name", OBJECTS)
def test_it_is_pickled_and_copied(name: str) -> None:
    value, shown = OBJECTS[name]
    assert type(value).__name__ == name
    expected = shown(value)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(value, protocol))
        assert type(again) is type(value)
        assert shown(again) == expected
    for again in (copy.copy(value), copy.deepcopy(value)):
        assert type(again) is type(value)
        assert shown(again) == expected


def test_sums_over_paths_are_pickled_and_copied() -> None:
    for options in ({}, {"exact": False}, {"weights": {"layer1/kernel": 0.5}}):
        sums = path_sums(NETWORK, **options)  # type: ignore[arg-type]
        for again in (pickle.loads(pickle.dumps(sums)), copy.deepcopy(sums)):
            assert again.total == sums.total
            assert again.through("layer1").tolist() == sums.through("layer1").tolist()


def test_arrays_that_could_not_be_written_to_cannot_be_afterwards() -> None:
    sweep = pickle.loads(pickle.dumps(ENSEMBLE.sweep()))
    assert not any(column.flags.writeable for column in sweep.values())
    assert not pickle.loads(pickle.dumps(ENSEMBLE)).degeneracies.flags.writeable
    assert not pickle.loads(pickle.dumps(COUNTS.spectrum())).degeneracies.flags.writeable


ERRORS = [getattr(errors, name) for name in errors.__all__]


@pytest.mark.parametrize("kind", ERRORS, ids=[kind.__name__ for kind in ERRORS])
def test_errors_come_out_of_processes_as_they_were_raised(kind: type[Exception]) -> None:
    """An error that cannot be pickled breaks the pool, and nobody learns what happened."""
    error = kind("a message")
    error.__dict__.update(dict.fromkeys(error.__dict__, ("what", "it", "knows")))
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (str(again), again.__dict__) == (str(error), error.__dict__)


def test_a_pool_of_processes_counts_and_analyzes() -> None:
    """Processes that are started anew get networks and graphs, and give back what they counted."""
    networks = [models.mlp(width, depth=2, inputs=4, name=f"mlp{width}") for width in (3, 5)]
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        counts = list(pool.map(counted, [*networks, GRAPH]))
        analyses = dict(pool.map(analyzed, networks))
        with pytest.raises(unrolled.CycleError) as failed:
            pool.submit(failing, 3).result()
    assert failed.value.nodes
    assert [one.total for one in counts] == [
        unrolled.count(one).total for one in [*networks, GRAPH]
    ]
    assert list(analyses) == [network.fingerprint() for network in networks]
    ranking = unrolled.compare(analyses.values(), sort="entropy")
    assert ranking.table(width=99) == unrolled.compare(networks, sort="entropy").table(width=99)
