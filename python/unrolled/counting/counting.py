"""`count`: one function for networks and for graphs, each counted by a function of its own.

The results are in `counts` and `graph_counts`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, overload

from unrolled._support.arguments import (
    Progress,
    check_progress,
    checked_choice,
    checked_limit,
    checked_threads,
)
from unrolled._support.hints import described
from unrolled.counting.counts import Counts
from unrolled.counting.graph_counts import GraphCounts, GraphSweep, Towards, counted
from unrolled.errors import (
    InvalidArgumentError,
    UnrolledError,
)
from unrolled.graph.graph import Graph
from unrolled.network.network import Network

__all__ = ["count"]


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
        Of networks: leave out parameters that training does not change, such as batch-norm
        statistics.
    lengths : bool
        Of networks: count the lengths of the contexts as well: their sums, the sums of their
        squares, the shortest and the longest; see `ParameterCounts.mean_length`. About ten times
        the work.
    towards : {"outputs", "inputs"}
        Of graphs: "outputs": paths from every node to the outputs. "inputs": paths from the
        inputs to every node; of a graph without inputs, from all nodes without a predecessor.
    through : bool
        Of graphs: count the paths from inputs to outputs that lead through every node.
    nodes : {"all", "parameters"}
        Of graphs: with "parameters", exact counts of other nodes (towards "inputs", of other
        nodes than outputs) are let go as soon as nothing reads them: memory then follows the width
        of the graph, not its length.
    threads : int, optional
        Of graphs: by default one a core. Counts do not depend on it.
    memory_limit : int, optional
        Bytes that counts may take; by default most of the memory that is free.
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
    if isinstance(model, Graph):
        _refuse_options("a graph", trainable_only=trainable_only, lengths=lengths)
        sweep = GraphSweep(
            bool(exact), _checked_direction(towards, bool(through)), _checked_nodes(nodes)
        )
        core = counted(model, sweep, checked_threads(threads), limit, progress)
        return GraphCounts(model, sweep, core)
    if isinstance(model, Network):
        _refuse_options(
            "a network",
            towards=towards != "outputs",
            through=through,
            nodes=nodes != "all",
            threads=threads is not None,
        )
        return _count_network(
            model, bool(exact), bool(trainable_only), bool(lengths), limit, progress
        )
    hint = "; unrolled.models.build() makes one of a name" if isinstance(model, str) else ""
    raise InvalidArgumentError(f"count() takes a Network or a Graph, got {described(model)}{hint}")


OTHERS = {
    "a graph": "networks, whose parameters have layers; leave out",
    "a network": "graphs, and Network.unroll() makes one of a small network; leave out",
}


def _refuse_options(kind: str, **options: object) -> None:
    """Refuse options that were given and have no meaning for a kind of model."""
    given = [name for name, is_given in options.items() if is_given]
    if given:
        raise InvalidArgumentError(
            f"{' and '.join(given)} are for {OTHERS[kind]} {' and '.join(given)} for {kind}"
        )


def _checked_direction(towards: str, through: bool) -> Towards:
    checked_choice("towards", towards, ("outputs", "inputs"))
    if through and towards != "outputs":
        raise InvalidArgumentError("through=True counts from inputs to outputs; leave out towards")
    if through:
        return "both"
    return "outputs" if towards == "outputs" else "inputs"


def _checked_nodes(nodes: str) -> bool:
    """Whether only the counts of parameters are wanted."""
    return checked_choice("nodes", nodes, ("all", "parameters")) == "parameters"


def _count_network(
    network: Network,
    exact: bool,
    trainable_only: bool,
    lengths: bool,
    limit: int | None,
    progress: Progress | None,
) -> Counts:
    phases = _Phases(progress, 4 if lengths else 1)
    network.check_decided()
    core, length_counts = network._core, None
    try:
        counts = core.count(
            exact,
            memory_limit=limit,
            trainable_only=trainable_only,
            progress=phases.next(),
        )
        if lengths:
            from unrolled.counting.lengths import LengthCounts  # Few ask for them.

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


class _Phases:
    """Reports several sweeps as one, each an equal part of it."""

    def __init__(self, progress: Progress | None, number: int) -> None:
        self._progress = progress
        self._number = number
        self._phase = -1

    def next(self) -> Progress | None:
        """The function to which the next sweep reports."""
        self._phase += 1
        if self._progress is None or self._number == 1:
            return self._progress
        progress, phase = self._progress, self._phase
        return lambda done, total: progress(phase * total + done, self._number * total)
