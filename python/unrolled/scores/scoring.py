"""`score` and its result, `Scores`: one model's scores, with the baselines beside them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from unrolled._core import Scorer
from unrolled._support.arguments import checked_choice
from unrolled._support.hints import described, did_you_mean
from unrolled._support.optional import import_optional
from unrolled.errors import InvalidArgumentError, NothingToCountError, UnrolledError
from unrolled.importers.door import Door
from unrolled.network.network import Network
from unrolled.propagation.functions import own_pieces
from unrolled.show import tables
from unrolled.show.cells import format_score
from unrolled.sources.resolution import resolve
from unrolled.spectrum.catalogue import BASELINES, RANKED_BY, SCORES

if TYPE_CHECKING:
    import pandas

__all__ = [
    "Scores",
    "are_scored",
    "checked_network",
    "figures_of",
    "ranked",
    "score",
    "score_network",
]

Unit = Literal["nats", "bits"]

DOOR = Door("score", {"inputs": "inputs", "values": "values"})


@dataclass(frozen=True, repr=False)
class Scores:
    """The scores of a model. What `score` returns.

    Only what lies on a path from an input to an output has a part in them, except for
    `num_parameters`. What each score means, and how well it ranked architectures when that was
    measured, is in `unrolled.spectrum.catalogue.SCORES` and in the table.

    Attributes
    ----------
    name : str
    log_size : float
        The mean of a logarithm of signal and one of size, in nats or in bits. What to rank by if
        nothing is known of the models. Minus infinity where the saliency entropy is.

        The saliency entropy is the logarithm of a number of units: those that matter. It follows
        what is computed, and mostly in early layers. The mean of the logarithms of effective
        parameters and of layers follows what is stored, and mostly in late layers. Where one of the
        two sides hardly differs between models, the other decides. Layers whose results meet in one
        sum or concatenation, and nowhere else, are one here: they are blocks of one kernel.
    saliency_entropy : float
        In nats, or in bits; minus infinity if no path over a layer with weights leads from an
        input to an output.
    effective_macs, effective_units, effective_edges, effective_parameters : float
    num_parameters, layers, macs, activations, depth : int
        The baselines.
    unit : {"nats", "bits"}
        Of the log size and the saliency entropy.

    Examples
    --------
    >>> import unrolled
    >>> unrolled.score(unrolled.models.nasbench_macro("01201201")).macs
    46109184
    """

    name: str
    log_size: float
    saliency_entropy: float
    effective_macs: float
    effective_units: float
    effective_edges: float
    effective_parameters: float
    num_parameters: int
    layers: int
    macs: int
    activations: int
    depth: int
    unit: Unit = "nats"

    def to_dict(self) -> dict[str, str | int | float]:
        """The name, all scores, and the unit of the saliency entropy."""
        return {"name": self.name, **{key: getattr(self, key) for key in SCORES}, "unit": self.unit}

    def to_pandas(self) -> pandas.Series[Any]:
        """All scores as a series named after the model.

        Raises
        ------
        MissingPackageError
            pandas is not installed.
        """
        module = import_optional("pandas", "pandas")
        values = {key: getattr(self, key) for key in SCORES}
        series: pandas.Series[Any] = module.Series(values, name=self.name, dtype="float64")
        return series

    def table(self, *, width: int | None = None) -> str:
        """A line a score: its value, what more of it means, and how well it ranked.

        Parameters
        ----------
        width : int, optional
            Columns to fill at most; by default those of the terminal.
        """
        columns = [
            tables.Column("score", "left"),
            tables.Column("value"),
            tables.Column("more means", "left", folds=True),
            tables.Column("measured", "left", folds=True),
        ]
        rows = [
            [
                one.label + (" (baseline)" if key in BASELINES else ""),
                format_score(self, one) + (f" {self.unit}" if one.unit else ""),
                one.more_means,
                one.measured,
            ]
            for key, one in SCORES.items()
        ]
        notes = ["Measured: Spearman's correlation with published accuracies; see evaluate()."]
        return tables.render(f"Scores of {self.name}", columns, rows, width=width, notes=notes)

    def __repr__(self) -> str:
        return self.table()


def ranked(
    scores: Iterable[Scores], sort: str = RANKED_BY, ascending: bool | None = None
) -> tuple[Scores, ...]:
    """Scores of several models in the order of one of them.

    Parameters
    ----------
    scores : iterable of Scores
    sort : str
        A key of `unrolled.spectrum.catalogue.SCORES`, or "name".
    ascending : bool, optional
        By default numbers come largest first, names in alphabetical order.

    Raises
    ------
    InvalidArgumentError
        Something else to sort by.
    """
    keys = (*SCORES, "name")
    if sort not in keys:
        raise InvalidArgumentError(
            f"cannot sort by {sort!r}{did_you_mean(str(sort), keys)} (sort keys: {', '.join(keys)})"
        )
    falls = sort != "name" if ascending is None else not ascending
    return tuple(sorted(scores, key=lambda one: getattr(one, sort), reverse=falls))


def score(
    model: Any,
    /,
    *,
    unit: Unit = "nats",
    inputs: Any = None,
    values: Mapping[str, Any] | None = None,
    functions: Mapping[str, Callable[[Any], Any]] | None = None,
) -> Scores:
    """Score an architecture without data and without weights.

    Weights are random, so that every element has some variance and shares some covariance with
    other positions, and so have the derivatives of the outputs. From one sweep forwards and one
    backwards follow: how many taps of a kernel see something of their own (effective MACs, edges
    and parameters), how many units have how many such inputs (effective units), and how evenly
    the expected saliency is spread over them (saliency entropy). The log size is a mean of the last
    and of sizes on a logarithmic scale. No score is best everywhere: see `evaluate`, and keep an
    eye on the baselines.

    Parameters
    ----------
    model
        A `Network` whose tensors have operations, or anything else that is or becomes one: the
        name of a published model, a file, a model of ONNX, Keras, PyTorch or JAX.
    unit : {"nats", "bits"}
        Of the saliency entropy.
    inputs, values
        For models that have to be imported; see `analyze`.
    functions : mapping of str to callable, optional
        What functions do that have a name nobody knows: they map NumPy arrays element by element.

    Returns
    -------
    Scores

    Raises
    ------
    InvalidArgumentError
        Something that is no network: a graph of single numbers, or counts, has no layers. A
        network that was read without ``operations=True``, or a published model that was built
        without ``activations=True``: its counts are right, but a signal would be another one.
    UnknownOperationError
        Tensors between an input and an output whose operation is not known.
    NothingToCountError
        A network without an output.
    UnrolledError
        Whatever reading the model raises.

    Examples
    --------
    >>> import unrolled
    >>> scores = unrolled.score(unrolled.models.nasbench_macro("11111111"))
    >>> round(scores.saliency_entropy, 6), round(scores.effective_units)
    (15.227526, 5082330)
    """
    checked_choice("unit", unit, ("nats", "bits"))
    network = resolve(model, inputs=inputs, values=values, operations=True, door=DOOR)
    return score_network(network, unit, functions)


def score_network(
    network: Any,
    unit: Unit = "nats",
    functions: Mapping[str, Callable[[Any], Any]] | None = None,
) -> Scores:
    """The scores of a model that was resolved; see `score`."""
    checked_network(network)
    found = figures_of(network, functions)
    scale = math.log(2) if unit == "bits" else 1.0
    return Scores(
        name=network.name,
        log_size=found["log_size"] / scale,
        saliency_entropy=found["saliency_entropy"] / scale,
        effective_macs=found["effective_macs"],
        effective_units=found["effective_units"],
        effective_edges=found["effective_edges"],
        effective_parameters=found["effective_parameters"],
        num_parameters=network.num_parameters,
        layers=round(found["layers"]),
        macs=round(found["macs"]),
        activations=round(found["activations"]),
        depth=round(found["depth"]),
        unit=unit,
    )


def checked_network(network: Any) -> Network:
    """A network that can be scored, of those that were resolved with ``operations=True``.

    Raises
    ------
    InvalidArgumentError, NothingToCountError
        See `score`.
    """
    if not isinstance(network, Network):
        raise InvalidArgumentError(
            f"score() needs a network of layers, got {described(network)}, which has none"
        )
    network.check_decided()
    network.check_built_with_functions()
    if not network.outputs:
        raise NothingToCountError(f"network '{network.name}' has no output; mark one with output()")
    return network


def figures_of(
    network: Network, functions: Mapping[str, Callable[[Any], Any]] | None = None
) -> dict[str, float]:
    """All that the core knows of a network, by name; in nats.

    Raises
    ------
    UnknownOperationError
        See `score`.
    """
    try:
        scorer = Scorer(network._core, own_pieces(network, functions))
        row = scorer.scores()
    except UnrolledError as error:
        error.args = (f"network '{network.name}': {error.args[0]}", *error.args[1:])
        raise
    return dict(zip(scorer.columns, row, strict=True))


def are_scored(columns: Mapping[str, npt.NDArray[np.float64]]) -> npt.NDArray[np.bool_]:
    """Which architectures have a path from an input to an output over a kernel.

    Scores say something of those alone: in the others nothing that could be trained matters. It is
    more than a path from an input to an output, which may lead over no kernel.

    Parameters
    ----------
    columns : mapping of str to array of shape ``(architectures,)``
        With the saliency entropy.
    """
    return np.isfinite(columns["saliency_entropy"])
