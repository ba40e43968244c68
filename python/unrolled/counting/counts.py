"""`count`, and what it returns for a network."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeGuard, overload

import numpy as np

from unrolled._support.hints import described, did_you_mean
from unrolled.counting.graph_counts import GraphCounts, Towards
from unrolled.counting.lengths import LengthCounts, Lengths
from unrolled.counting.parameter_counts import ParameterCounts
from unrolled.errors import (
    InvalidArgumentError,
    MemoryLimitError,
    NothingToCountError,
    UnknownNameError,
    UnrolledError,
)
from unrolled.spectrum.spectrum import NOT_EXACT, Level, Spectrum, Values

if TYPE_CHECKING:
    from unrolled import _core
    from unrolled.graph.graph import Graph
    from unrolled.network.network import Network, Tensor

__all__ = ["Counts", "GraphCounts", "Level", "ParameterCounts", "Spectrum", "count"]


LARGEST_LIMIT = 1 << 62
"""More bytes than any machine has; larger limits mean the same."""


@overload
def count(
    model: Network,
    *,
    exact: bool = True,
    trainable_only: bool = False,
    lengths: bool = False,
    memory_limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Counts: ...


@overload
def count(
    model: Graph,
    *,
    exact: bool = True,
    towards: Literal["outputs", "inputs"] = "outputs",
    through: bool = False,
    nodes: Literal["all", "parameters"] = "all",
    threads: int | None = None,
    memory_limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> GraphCounts: ...


def count(
    model: Network | Graph,
    *,
    exact: bool = True,
    trainable_only: bool = False,
    lengths: bool = False,
    towards: Literal["outputs", "inputs"] = "outputs",
    through: bool = False,
    nodes: Literal["all", "parameters"] = "all",
    threads: int | None = None,
    memory_limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Counts | GraphCounts:
    """Count the contexts of every parameter of a network, or of every node of a graph.

    A context is a directed path to an output of the computational graph of single scalars. One
    reverse sweep counts them all: over the layers of a network, whose graph is never built, or over
    the edges of a graph.

    Parameters
    ----------
    model : Network or Graph
    exact : bool
        True: integers of unlimited size. False: log space, with a relative error of the count near
        machine precision; quicker, and small for any depth.
    trainable_only : bool
        Networks only. Leave out parameters that training does not change, such as batch-norm
        statistics.
    lengths : bool
        Networks only. Count the lengths of the contexts as well: their sums, the sums of their
        squares, the shortest and the longest; see `ParameterCounts.mean_length`. About ten times
        the work.
    towards : {"outputs", "inputs"}
        Graphs only. "outputs": paths from every node to the outputs. "inputs": paths from the
        inputs to every node; of a graph without inputs, from all nodes without a predecessor.
    through : bool
        Graphs only. Count the paths from inputs to outputs that lead through every node.
    nodes : {"all", "parameters"}
        Graphs only. With "parameters", exact counts of other nodes (towards "inputs", of other
        nodes than outputs) are let go as soon as nothing reads them: memory then follows the width
        of the graph, not its length.
    threads : int, optional
        Graphs only. By default one a core. Counts do not depend on it.
    memory_limit : int, optional
        Bytes an exact count may take; by default most of the memory that is free.
    progress : callable, optional
        Called as ``progress(done, total)`` while counting.

    Returns
    -------
    Counts or GraphCounts

    Raises
    ------
    InvalidArgumentError
        Something else than a network or graph, an option that is not for it, a `memory_limit` that
        is no number of bytes, or a `progress` that cannot be called.
    InvalidNetworkError
        An output that nothing leads to, or a cycle (`CycleError`).
    NothingToCountError
        No parameter, or no output, or no parameter with a path to an output; a graph without nodes.
    MemoryLimitError
        The count would need more than `memory_limit`; the message says how much.

    References
    ----------
    A. G. Polat, F. Alpaslan, "The reusability prior: comparing deep learning models without
    training", Mach. Learn.: Sci. Technol. (2023), doi 10.1088/2632-2153/acc713, section 1.1.

    Examples
    --------
    >>> import unrolled
    >>> net = unrolled.models.mlp([4, 4], inputs=3, classes=2)
    >>> counts = unrolled.count(net)
    >>> counts
    Counts('mlp', 46 parameters, log2 of the total contexts 7.47573)
    >>> counts.total, counts["layer1/kernel"].maximum
    (178, 8)

    The nodes of a graph have counts each:

    >>> diamond = unrolled.Graph.from_edges([0, 0, 1, 2], [1, 2, 3, 3])
    >>> unrolled.count(diamond)[0], unrolled.count(diamond, towards="inputs")[3]
    (2, 2)
    """
    limit = checked_limit(memory_limit)
    check_progress(progress)
    if _is_graph(model):
        if trainable_only:
            raise InvalidArgumentError("trainable_only is for networks; a graph has no statistics")
        if lengths:
            raise InvalidArgumentError(
                "lengths are for networks; leave out lengths=True to count the paths of a graph"
            )
        options = _GraphOptions(towards, through, nodes, threads)
        return _count_graph(model, bool(exact), options, limit, progress)
    from unrolled.network.network import Network

    if not isinstance(model, Network):
        hint = "; unrolled.models.build() makes one of a name" if isinstance(model, str) else ""
        raise InvalidArgumentError(
            f"count() takes a Network or a Graph, got {described(model)}{hint}"
        )
    if (towards, through, nodes, threads) != ("outputs", False, "all", None):
        raise InvalidArgumentError(
            "towards, through, nodes and threads are for graphs; Network.unroll() makes one of a "
            "small network"
        )
    return _count_network(model, bool(exact), bool(trainable_only), bool(lengths), limit, progress)


def _count_network(
    network: Network,
    exact: bool,
    trainable_only: bool,
    lengths: bool,
    limit: int | None,
    progress: Callable[[int, int], None] | None,
) -> Counts:
    phases = _Phases(progress, 4 if lengths else 1)
    core, length_counts = network._core, None
    try:
        counts = core.count(
            exact,
            memory_limit=limit,
            trainable_only=trainable_only,
            progress=phases.next(),
        )
        if lengths:
            length_counts = LengthCounts(
                core.length_sums(
                    exact,
                    memory_limit=limit,
                    trainable_only=trainable_only,
                    progress=phases.next(),
                ),
                *[
                    core.extreme_lengths(
                        longest, trainable_only=trainable_only, progress=phases.next()
                    )
                    for longest in (False, True)
                ],
            )
    except UnrolledError as error:
        # The core knows the tensors but not the name of the network, of which there may be several.
        raise type(error)(f"network '{network.name}': {error}") from None
    return Counts(network, counts, length_counts)


class _GraphOptions(NamedTuple):
    towards: str
    through: bool
    nodes: str
    threads: int | None


def _is_graph(model: object) -> TypeGuard[Graph]:
    from unrolled.graph.graph import Graph

    return isinstance(model, Graph)


def _count_graph(
    graph: Graph,
    exact: bool,
    options: _GraphOptions,
    limit: int | None,
    progress: Callable[[int, int], None] | None,
) -> GraphCounts:
    from unrolled.graph.arguments import checked_threads

    towards, through, nodes, threads = options
    if towards not in ("outputs", "inputs"):
        raise InvalidArgumentError(f"towards must be 'outputs' or 'inputs', got {towards!r}")
    if nodes not in ("all", "parameters"):
        raise InvalidArgumentError(f"nodes must be 'all' or 'parameters', got {nodes!r}")
    if through and towards != "outputs":
        raise InvalidArgumentError("through=True counts from inputs to outputs; leave out towards")
    direction: Towards = "both" if through else "outputs" if towards == "outputs" else "inputs"
    try:
        core = graph._core.count(
            exact, direction, nodes == "parameters", checked_threads(threads), limit, progress
        )
    except (MemoryLimitError, NothingToCountError) as error:
        raise type(error)(f"graph '{graph.name}': {error}") from None
    return GraphCounts(graph, core, direction)


class _Phases:
    """Reports several sweeps as one, each an equal part of it."""

    def __init__(self, progress: Callable[[int, int], None] | None, number: int) -> None:
        self._progress = progress
        self._number = number
        self._phase = -1

    def next(self) -> Callable[[int, int], None] | None:
        """What to report the next sweep to."""
        self._phase += 1
        if self._progress is None or self._number == 1:
            return self._progress
        progress, phase = self._progress, self._phase
        return lambda done, total: progress(phase * total + done, self._number * total)


def check_progress(progress: object) -> None:
    """Refuse what cannot be called before anything is counted."""
    if progress is not None and not callable(progress):
        raise InvalidArgumentError(
            f"progress must be a function of (done, total), got {described(progress)}"
        )


def checked_limit(memory_limit: int | None) -> int | None:
    if memory_limit is None:
        return None
    try:
        limit = operator.index(memory_limit)
    except TypeError:
        limit = -1
    if limit < 0:
        raise InvalidArgumentError(
            f"memory_limit must be a number of bytes or None, got {memory_limit!r}"
        )
    return min(limit, LARGEST_LIMIT)


class Counts:
    """Context counts of all parameters of a network, by name.

    What `count` returns. A snapshot: layers added to the network later do not change it.

    Attributes
    ----------
    name : str
        Name of the network.
    is_exact : bool
        Whether the counts are integers; otherwise they are known in log space only.
    num_outputs : int
        Scalar outputs of the network.
    semantics : {"value", "dependency"}
        Which edges normalisers had.
    provenance : Provenance or None
        How the network was imported, if it was.

    Examples
    --------
    >>> import unrolled
    >>> counts = unrolled.count(unrolled.models.mlp([4], inputs=3, classes=2))
    >>> list(counts)
    ['layer1/kernel', 'layer1/bias', 'classifier/kernel', 'classifier/bias']
    >>> counts.spectrum()
    Spectrum(2 levels, 26 parameters, log2 counts 0 to 1)
    """

    def __init__(
        self, network: Network, core: _core.Counts, lengths: LengthCounts | None = None
    ) -> None:
        self._core = core
        self._lengths = lengths
        self.name = network.name
        self.is_exact = core.exact
        self.num_outputs = network.num_outputs
        self.semantics = network.semantics
        self.provenance = network.provenance
        # Tables are made when asked for: counting must not wait for them.
        self._all_tensors = network.tensors

    @cached_property
    def num_inputs(self) -> int:
        """Number of scalar inputs of the network, ``N_I``."""
        return sum(tensor.size for tensor in self.inputs)

    @cached_property
    def inputs(self) -> tuple[Tensor, ...]:
        """The inputs of the network in the order of declaration."""
        return tuple(tensor for tensor in self._all_tensors if tensor.role == "input")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The counted parameters in the order of declaration."""
        return tuple(self._numbers)

    @cached_property
    def _tensors(self) -> dict[int, Tensor]:
        return {number: self._all_tensors[number] for number in self._core.parameters}

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {tensor.name: number for number, tensor in self._tensors.items()}

    @property
    def total(self) -> int:
        """Total number of contexts, ``Z``.

        Raises
        ------
        InvalidArgumentError
            If the counts are known in log space only; see `log2_total`.
        """
        total = self._core.total
        if total is None:
            raise InvalidArgumentError(NOT_EXACT)
        return total

    @property
    def log2_total(self) -> float:
        """Total number of contexts in bits, ``log2 Z``."""
        return self._core.log2_total

    @property
    def num_parameters(self) -> int:
        """Number of parameters with a context, ``N_G``."""
        return self.spectrum().num_parameters

    @cached_property
    def num_unreached_parameters(self) -> int:
        """Number of parameters without a context; no other figure includes them."""
        return sum(tensor.size for tensor in self._tensors.values()) - self.num_parameters

    @cached_property
    def num_weight_nodes(self) -> int:
        """Number of weight nodes: a tied parameter is one for every layer that uses it."""
        return sum(self._core.parameter(number).weight_nodes for number in self._tensors)

    @property
    def has_lengths(self) -> bool:
        """Whether the lengths of the contexts were counted as well."""
        return self._lengths is not None

    @property
    def peak_bytes(self) -> int:
        """Bytes of counts the core held at its peak."""
        return self._core.peak_bytes

    def spectrum(self) -> Spectrum:
        """Distinct counts of all parameters that have a context, with their degeneracies."""
        return self._spectrum

    @cached_property
    def _spectrum(self) -> Spectrum:
        core = self._core.spectrum()
        values = Values(
            np.asarray(core.mantissas),
            np.asarray(core.exponents),
            np.asarray(core.degeneracies),
        )

        def owners(level: int) -> dict[str, int]:
            return {self._tensors[number].name: size for number, size in core.owners(level)}

        return Spectrum(values, core.exact if self.is_exact else None, owners)

    def __getitem__(self, name: str) -> ParameterCounts:
        number = self._numbers.get(name) if isinstance(name, str) else None
        if number is None:
            hint = did_you_mean(str(name), self.names) or f"; they begin with '{self.names[0]}'"
            raise UnknownNameError(f"'{self.name}' has no counted parameter {name!r}{hint}")
        shape, counted = self._tensors[number].shape, self._lengths
        lengths = None
        if counted is not None:
            lengths = partial(Lengths, counted, number, is_exact=self.is_exact)
        return ParameterCounts(name, shape, self._core.parameter(number), self.is_exact, lengths)

    def __contains__(self, name: object) -> bool:
        return name in self._numbers

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        space = "" if self.is_exact else "in log space, "
        return (
            f"Counts({self.name!r}, {self.num_parameters:,} parameters, {space}"
            f"log2 of the total contexts {self.log2_total:,.6g})"
        )
