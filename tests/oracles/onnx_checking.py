"""Compares what the importer finds with the independent counter."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto

import unrolled
from oracles import onnx_counting_layers  # noqa: F401
from oracles.onnx_counting import Counter
from unrolled import Network
from unrolled.errors import NothingToCountError

FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16)


def assert_counts(
    model: ModelProto,
    *,
    semantics: Any = "value",
    as_if: ModelProto | None = None,
    made: dict[str, tuple[int, ...]] | None = None,
    constants: Collection[str] = (),
    parameters: Collection[str] = (),
) -> Network:
    """The importer finds the counts of the definition for every element of every parameter.

    A random weighting of the elements of each parameter tells any two counts apart, but for one
    chance in millions. Shapes of outputs are compared with those of the reference evaluator.

    Parameters
    ----------
    model : ModelProto
    semantics : str
    as_if : ModelProto, optional
        The model in its expected form; by default the model itself, each operator for its own.
    made : dict of str to tuple of int
        Parameters that are no floating-point initialisers.
    constants, parameters
        For the importer.
    """
    network = unrolled.from_onnx(
        model, semantics=semantics, constants=constants, parameters=parameters
    )
    try:
        counts: Any = unrolled.count(network)
    except NothingToCountError:
        counts = {}
    expected = dict(made or {})
    for graph in graphs_of(model.graph):
        for tensor in graph.initializer:
            if tensor.data_type in FLOATS and tensor.name not in constants:
                expected[tensor.name] = tuple(tensor.dims)
    assert set(counts) <= set(expected)
    form = model if as_if is None else as_if
    for name in expected:
        weights = {other: np.zeros(shape) for other, shape in expected.items()}
        weights[name] = numbers(name, expected[name])
        total = Counter(form, weights, semantics).total()
        found = weighted(counts, name, weights[name])
        assert found == total, (name, one_by_one(form, expected, name, semantics, counts))
    assert_shapes(network, Counter(form, {n: np.zeros(s) for n, s in expected.items()}))
    return network


def assert_shapes(network: Network, counter: Counter) -> None:
    """Outputs of the network are those of the model that are not constant."""
    expected = [np.shape(one.real) for one in counter.outputs if one and one.count is not None]
    assert [tensor.shape for tensor in network.outputs] == expected


def numbers(name: str, shape: tuple[int, ...]) -> Any:
    """Random integers that are exact as floats."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    return random.integers(1, 1 << 24, shape).astype(np.float64)


def weighted(counts: Any, name: str, weights: Any) -> int:
    """Sum over the elements of weight times contexts."""
    if name not in counts:
        return 0
    exact = np.asarray(counts[name].exact(), dtype=object)
    assert exact.shape == np.shape(weights)
    return int(np.sum(exact * np.asarray(weights).astype(np.int64).astype(object)))


def one_by_one(form: ModelProto, shapes: Any, name: str, semantics: str, counts: Any) -> str:
    """Both answers for every element, for the message of a failure."""
    expected = np.zeros(shapes[name], dtype=np.int64)
    for at in np.ndindex(expected.shape):
        weights = {other: np.zeros(shape) for other, shape in shapes.items()}
        weights[name][at] = 1
        expected[at] = Counter(form, weights, semantics).total()
    found = counts[name].exact().tolist() if name in counts else "none"
    return f"found {found}, expected {expected.tolist()}"


def operators_in(model: ModelProto) -> set[str]:
    """The operators of all nodes, in subgraphs and functions as well."""
    graphs = [*graphs_of(model.graph), *model.functions]
    return {proto.op_type for graph in graphs for proto in graph.node}


def graphs_of(graph: Any) -> Iterator[Any]:
    """A graph and the graphs within it."""
    yield graph
    for proto in graph.node:
        for attribute in proto.attribute:
            if attribute.HasField("g"):
                yield from graphs_of(attribute.g)
