"""Graphs to and from NetworkX, to SciPy, and the merging of parallel edges."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from itertools import chain, islice
from operator import methodcaller
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from unrolled._support.hints import described
from unrolled.errors import InvalidArgumentError, InvalidGraphError, SizeOverflowError
from unrolled.graph.arrays import multiplicities
from unrolled.graph.names import TableNames

if TYPE_CHECKING:
    import networkx as nx


__all__ = ["coalesced", "parts_of_networkx", "to_networkx", "to_scipy"]

KINDS = ("input", "parameter", "operation", "output")


class Lists(NamedTuple):
    """Successor lists."""

    indptr: npt.NDArray[Any]
    indices: npt.NDArray[Any]
    multiplicity: npt.NDArray[Any] | None


class Parts(NamedTuple):
    """All that `Graph.from_csr` takes, and the names of the nodes."""

    indptr: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int64]
    outputs: npt.NDArray[np.bool_] | None
    inputs: npt.NDArray[np.bool_] | None
    parameters: npt.NDArray[np.int64] | None
    multiplicity: npt.NDArray[np.uint64] | None
    names: TableNames


def parts_of_networkx(graph: Any, multiplicity: str, kind: str, parameter: str) -> Parts:
    """Successor lists and roles of a NetworkX graph."""
    import networkx as nx

    for what, attribute in (
        ("multiplicity", multiplicity),
        ("kind", kind),
        ("parameter", parameter),
    ):
        if not isinstance(attribute, str):
            raise InvalidArgumentError(
                f"{what} must be the name of an attribute, got {described(attribute)}"
            )
    if not isinstance(graph, nx.Graph):
        raise InvalidGraphError(f"from_networkx takes a NetworkX graph, got {described(graph)}")
    if not graph.is_directed():
        raise InvalidGraphError(
            f"edges need a direction, but {type(graph).__name__} is undirected; make a DiGraph"
        )
    names = list(graph)
    number = {name: node for node, name in enumerate(names)}
    # What follows goes over edges without running Python code for each.
    neighbours = [successors for _, successors in graph.adjacency()]
    degrees = np.fromiter(map(len, neighbours), np.int64, len(names))
    ends = chain.from_iterable(neighbours)
    indices = np.fromiter(map(number.__getitem__, ends), np.int64, int(degrees.sum()))
    attributes: Iterable[Any] = chain.from_iterable(map(methodcaller("values"), neighbours))
    if graph.is_multigraph():
        keyed = list(attributes)
        parallel = np.fromiter(map(len, keyed), np.int64, len(keyed))
        owners = np.repeat(np.arange(len(names)), degrees)
        degrees = np.bincount(owners, weights=parallel, minlength=len(names)).astype(np.int64)
        indices = np.repeat(indices, parallel)
        attributes = chain.from_iterable(map(methodcaller("values"), keyed))
    times = list(map(methodcaller("get", multiplicity, 1), attributes))
    outputs, inputs, labels = _roles_of_networkx(graph, names, kind, parameter)
    return Parts(
        np.concatenate([[0], np.cumsum(degrees)]),
        indices,
        outputs,
        inputs,
        labels,
        _times(times, graph, multiplicity),
        TableNames(names),
    )


def _times(times: list[Any], graph: Any, attribute: str) -> npt.NDArray[np.uint64] | None:
    """Multiplicities of the edges; None if all are 1."""
    if all(map(_is_integer_type, set(map(type, times)))):
        distinct = set(times)
        if distinct <= {1}:
            return None
        if min(distinct) >= 1 and max(distinct) < 1 << 64:
            return multiplicities(times)
    at = next(
        at
        for at, one in enumerate(times)
        if not _is_integer_type(type(one)) or not 1 <= one < 1 << 64
    )
    source, target = next(islice(graph.edges(), at, None))
    raise InvalidGraphError(
        f"the edge {source!r} -> {target!r} has {attribute} {described(times[at])}; "
        "it must be an integer from 1 to 2**64 - 1"
    )


def _is_integer_type(kind: type) -> bool:
    return kind is int or issubclass(kind, np.integer)


def _roles_of_networkx(
    graph: Any, names: list[Any], kind: str, parameter: str
) -> tuple[
    npt.NDArray[np.bool_] | None, npt.NDArray[np.bool_] | None, npt.NDArray[np.int64] | None
]:
    kinds = [value for _, value in graph.nodes(data=kind)]
    if not any(value is not None for value in kinds):
        return None, None, None
    for name, value in zip(names, kinds, strict=True):
        if value is not None and not (isinstance(value, str) and value in KINDS):
            raise InvalidGraphError(
                f"node {name!r} has {kind} {value!r}; it must be one of {', '.join(KINDS)}"
            )
    labels = np.full(len(names), -1, dtype=np.int64)
    known: dict[Any, int] = {}
    ties = graph.nodes(data=parameter)
    for node, (value, (_, tie)) in enumerate(zip(kinds, ties, strict=True)):
        if value == "parameter":
            try:
                labels[node] = node if tie is None else known.setdefault(tie, node)
            except TypeError:
                raise InvalidGraphError(
                    f"node {names[node]!r} has {parameter} {described(tie)}; it must be hashable"
                ) from None
    return (
        np.array([value == "output" for value in kinds], dtype=bool),
        np.array([value == "input" for value in kinds], dtype=bool),
        labels,
    )


class GraphArrays(Protocol):
    """The arrays of a graph, as `Graph` has them."""

    @property
    def name(self) -> str:
        """The name of the graph."""

    @property
    def names(self) -> tuple[Hashable, ...] | None:
        """Names of the nodes, if they have some."""

    @property
    def num_nodes(self) -> int:
        """The number of nodes."""

    @property
    def indptr(self) -> npt.NDArray[Any]:
        """Where each successor list begins."""

    @property
    def indices(self) -> npt.NDArray[Any]:
        """The successors of all nodes."""

    @property
    def multiplicity(self) -> npt.NDArray[np.uint64] | None:
        """The multiplicity of each edge."""

    @property
    def outputs(self) -> npt.NDArray[np.int64]:
        """Ids of the outputs."""

    @property
    def inputs(self) -> npt.NDArray[np.int64]:
        """Ids of the inputs."""

    @property
    def parameters(self) -> npt.NDArray[np.int64]:
        """The label of the parameter that each node is."""


def coalesced(graph: GraphArrays) -> Lists:
    """Successor lists in which every successor comes once, ascending."""
    starts = graph.indptr.astype(np.int64)
    degrees = starts[1:] - starts[:-1]
    sources = np.repeat(np.arange(graph.num_nodes, dtype=np.int64), degrees)
    targets = graph.indices.astype(np.int64)
    order = np.lexsort((targets, sources))
    sources, targets = sources[order], targets[order]
    first = np.ones(len(order), dtype=bool)
    first[1:] = (sources[1:] != sources[:-1]) | (targets[1:] != targets[:-1])
    starts = np.flatnonzero(first).astype(np.int64)
    given = graph.multiplicity
    times = np.ones(len(order), dtype=np.uint64) if given is None else given[order]
    sums = np.add.reduceat(times, starts) if len(starts) else times
    # What overflows 64 bits is smaller by 2**64 than the sum in floating point.
    rough = np.add.reduceat(times.astype(np.float64), starts) if len(starts) else times
    if np.any(np.asarray(rough, dtype=np.float64) >= 2.0**64 * (1 - 1e-9)):
        exact = [sum(part.tolist()) for part in np.split(times, starts[1:])]
        if max(exact) >= 1 << 64:
            raise SizeOverflowError(
                f"parallel edges of '{graph.name}' add up to a multiplicity beyond 64 bits"
            )
    indptr = np.concatenate(
        [[0], np.cumsum(np.bincount(sources[starts], minlength=graph.num_nodes))]
    )
    return Lists(indptr, targets[starts], None if (sums == 1).all() else sums)


def to_scipy(graph: GraphArrays) -> Any:
    """See `Graph.to_scipy`."""
    from unrolled._support.optional import import_optional

    sparse = import_optional("scipy.sparse", "scipy")
    lists = coalesced(graph)
    times = lists.multiplicity
    if times is not None and times.max() >= 1 << 63:
        raise SizeOverflowError(
            f"'{graph.name}' has a multiplicity of {times.max()}; int64 holds up to 2**63 - 1"
        )
    data = np.ones(len(lists.indices), dtype=np.int64) if times is None else times.astype(np.int64)
    shape = (graph.num_nodes, graph.num_nodes)
    return sparse.csr_array((data, lists.indices, lists.indptr), shape=shape)


def to_networkx(graph: GraphArrays) -> nx.DiGraph[Any]:
    """See `Graph.to_networkx`."""
    import networkx as nx

    names = graph.names or range(graph.num_nodes)
    result: nx.DiGraph[Any] = nx.DiGraph(name=graph.name)
    kinds = dict.fromkeys(range(graph.num_nodes), "operation")
    labels = graph.parameters
    kinds.update(dict.fromkeys(np.flatnonzero(labels >= 0).tolist(), "parameter"))
    kinds.update(dict.fromkeys(graph.inputs.tolist(), "input"))
    kinds.update(dict.fromkeys(graph.outputs.tolist(), "output"))
    result.add_nodes_from((name, {"kind": kinds[node]}) for node, name in enumerate(names))
    tied = labels >= 0
    uses = np.unique(labels[tied], return_counts=True)
    shared = set(uses[0][uses[1] > 1].tolist())
    for node in np.flatnonzero(tied).tolist():
        if int(labels[node]) in shared:
            result.nodes[names[node]]["parameter"] = int(labels[node])
    lists = coalesced(graph)
    degrees = lists.indptr[1:] - lists.indptr[:-1]
    sources = np.repeat(np.arange(graph.num_nodes), degrees).tolist()
    times = [1] * len(sources) if lists.multiplicity is None else lists.multiplicity.tolist()
    result.add_edges_from(
        (names[source], names[target], {"multiplicity": number})
        for source, target, number in zip(sources, lists.indices.tolist(), times, strict=True)
    )
    return result
