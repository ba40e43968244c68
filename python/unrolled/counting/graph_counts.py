"""Counts of the nodes of an explicit graph."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn, overload

import numpy as np
import numpy.typing as npt

from unrolled._support.arguments import Progress
from unrolled._support.caching import cached_property
from unrolled._support.copying import shared_copy, stored_attributes
from unrolled._support.hints import described, shortened
from unrolled.errors import (
    InvalidArgumentError,
    InvalidGraphError,
    MemoryLimitError,
    NothingToCountError,
    UnknownNameError,
)
from unrolled.spectrum.spectrum import NOT_EXACT, Spectrum

if TYPE_CHECKING:
    from unrolled import _core
    from unrolled.graph.graph import Graph

__all__ = ["GraphCounts", "GraphSweep", "Towards", "counted"]

Towards = Literal["outputs", "inputs", "both"]

EVERY_NODE = object()
"""Stands for a node that is not given; any other value might be the name of one."""


class NodeId(int):
    """The id of a node, which is equal to its number, and is no count that could be added up."""

    def _refuse(self, _: object) -> NoReturn:
        raise InvalidArgumentError(
            "these are ids of nodes and not their counts; add up counts.values(), or take int(id)"
        )

    __add__ = __radd__ = _refuse


class GraphSweep(NamedTuple):
    """What is counted of a graph."""

    exact: bool
    towards: Towards
    only_parameters: bool


class GraphCounts:
    """Counts of paths of all nodes of a graph.

    What `count` returns for a `Graph`. As a collection it holds the nodes: their names if they have
    some, else their ids. As an array it holds the exact counts. A pickle has the graph and what was
    counted of it, and not the counts of all nodes: these are counted again when the first of them
    is asked for.

    Attributes
    ----------
    graph : Graph
        The graph that was counted.
    is_exact : bool
        Whether the counts are integers; otherwise they are known in log space only.
    towards : {"outputs", "inputs", "both"}
        Where the paths lead that were counted; "both" if through nodes.

    Examples
    --------
    >>> import unrolled
    >>> counts = unrolled.count(unrolled.Graph.from_edges([0, 0, 1], [1, 2, 2]))
    >>> counts[0], counts.log2().tolist()
    (2, [1.0, 0.0, 0.0])
    >>> counts
    GraphCounts('graph', 3 nodes, 1 parameter, log2 of the total contexts 1)
    """

    def __init__(self, graph: Graph, sweep: GraphSweep, core: _core.GraphCounts) -> None:
        self.graph = graph
        self.is_exact = sweep.exact
        self.towards = sweep.towards
        self._sweep = sweep
        self._counted: _core.GraphCounts | None = core

    @property
    def name(self) -> str:
        """Name of the graph."""
        return self.graph.name

    @property
    def num_inputs(self) -> int:
        """Number of inputs, ``N_I``."""
        return len(self.graph._core.inputs())

    @property
    def num_outputs(self) -> int:
        """Number of outputs."""
        return len(self.graph._core.outputs)

    @property
    def num_parameters(self) -> int:
        """Number of parameters with a path, ``N_G``; tied nodes are one parameter."""
        return self.spectrum().num_parameters

    @property
    def num_unreached_parameters(self) -> int:
        """Number of parameters without a path; no other figure includes them."""
        return self._parts.num_parameters - self.num_parameters

    @property
    def num_weight_nodes(self) -> int:
        """Number of nodes that are parameters and have a path."""
        return self._parts.num_weight_nodes

    @property
    def peak_bytes(self) -> int:
        """Bytes of counts the core held at its peak."""
        return self._core.peak_bytes

    @property
    def total(self) -> int:
        """Sum of the counts of all parameters, ``Z``.

        If paths were counted from the inputs, of all outputs: the number of all paths.

        Raises
        ------
        InvalidArgumentError
            If the counts are known in log space only; see `log2_total`.
        """
        total = self._parts.total[2]
        if total is None:
            raise InvalidArgumentError(NOT_EXACT)
        return total

    @property
    def log2_total(self) -> float:
        """The same in bits, ``log2 Z``; minus infinity if there is no path."""
        mantissa, exponent, _ = self._parts.total
        return _log2(mantissa, exponent)

    @overload
    def exact(self) -> list[int]: ...
    @overload
    def exact(self, *, nodes: Iterable[Any]) -> list[int]: ...
    @overload
    def exact(self, node: Any) -> int: ...
    def exact(
        self, node: Any = EVERY_NODE, *, nodes: Iterable[Any] | None = None
    ) -> int | list[int]:
        """Exact counts: of one node, of several, or of all.

        Parameters
        ----------
        node : optional
            Name of the node if the graph's nodes have names, else its id.
        nodes : collection of nodes, optional
            Several nodes; without either, all nodes by id.

        Returns
        -------
        int or list of int

        Raises
        ------
        InvalidArgumentError
            Counts in log space, or a node whose count was not kept.
        UnknownNameError
            No such node.

        Examples
        --------
        >>> import unrolled
        >>> counts = unrolled.count(unrolled.Graph.from_edges([0, 0, 1], [1, 2, 2]))
        >>> counts.exact(0), counts.exact(nodes=[2, 0]), counts.exact()
        (2, [1, 2], [2, 1, 1])
        """
        if not self.is_exact:
            raise InvalidArgumentError(NOT_EXACT)
        if nodes is not None:
            if node is not EVERY_NODE:
                raise InvalidArgumentError("exact() takes a node or nodes, not both")
            if isinstance(nodes, str) or not isinstance(nodes, Iterable):
                raise InvalidArgumentError(
                    f"nodes must be a collection of nodes, got {described(nodes)}"
                )
            numbers = [self.graph.index(one) for one in nodes]
            return self._integers(np.array(numbers, dtype=np.uint64))
        if node is EVERY_NODE:
            return self._integers(None)
        integer: int | None = self._value(node)[2]
        if integer is None:
            raise InvalidArgumentError(NOT_EXACT)
        return integer

    def _integers(self, nodes: npt.NDArray[np.uint64] | None) -> list[int]:
        if self._sweep.only_parameters:
            for node in range(len(self)) if nodes is None else nodes.tolist():
                self._refuse_lost(node)
        return self._core.integers(nodes)

    def _refuse_lost(self, number: int) -> None:
        """Say so if the count of a node was not kept."""
        if self._core.has(number):
            return
        kept = "outputs" if self.towards == "inputs" else "parameters"
        raise InvalidArgumentError(
            f"'{self.name}': the count of node {shortened(repr(self.nodes[number]))} was not kept, "
            f'only those of {kept}; count with nodes="all"'
        )

    def values(self) -> list[int] | list[float]:
        """Counts of all nodes by id: integers if counted exactly, else their log2.

        Raises
        ------
        InvalidArgumentError
            Counts of which only those of parameters, or of outputs, were kept.
        """
        if self.is_exact:
            return self._integers(None)
        logarithms = self.log2()
        lacking = np.isnan(logarithms)
        if lacking.any():
            self._value(self.nodes[int(np.argmax(lacking))])
        found: list[float] = logarithms.tolist()
        return found

    def items(self) -> list[tuple[Hashable, int | float]]:
        """Pairs of a node and its count, in the order and with the errors of `values`."""
        return list(zip(self.nodes, self.values(), strict=True))

    @property
    def nodes(self) -> Sequence[Hashable]:
        """All nodes: their names if they have some, else their ids."""
        return self.graph.names or range(len(self))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Exact counts of all nodes by id, as Python's integers unless a type is asked for.

        Raises
        ------
        InvalidArgumentError
            Counts in log space, or counts that the type cannot hold.
        """
        if not self.is_exact:
            raise InvalidArgumentError(
                f"'{self.name}' was counted in log space: log2() is an array of the logarithms"
            )
        counts = np.empty(len(self), dtype=object)
        counts[:] = self._integers(None)
        if dtype is None or np.dtype(dtype) == object:
            return counts
        try:
            typed = counts.astype(dtype)
            fits = np.dtype(dtype).kind not in "iu" or bool(np.all(typed.astype(object) == counts))
        except (OverflowError, TypeError, ValueError):
            fits = False
        if not fits:
            raise InvalidArgumentError(
                f"counts of '{self.name}' do not fit into {np.dtype(dtype)}; log2() has their "
                "logarithms, and np.asarray(counts, dtype=object) integers of any size"
            )
        return typed

    def __array_ufunc__(self, function: np.ufunc, method: str, *inputs: Any, **_: Any) -> Any:
        """The logarithm to base 2, which is known; no other function of NumPy.

        Raises
        ------
        InvalidArgumentError
            Any other function.
        """
        if function is np.log2 and method == "__call__" and len(inputs) == 1:
            return self.log2()
        raise InvalidArgumentError(
            f"np.{function.__name__} does not take the counts of a graph; take log2(), values() or "
            "np.asarray(counts) of them"
        )

    def log2(self) -> npt.NDArray[np.float64]:
        """Counts of all nodes in bits (log2), shape ``(nodes,)``, by id.

        Minus infinity for a node without a path; NaN for a count that was not kept.
        """
        logarithms = self._core.log2()
        logarithms.flags.writeable = False
        return logarithms

    def group(self, label: int) -> int | float:
        """Count of the parameter that has a label: of tied nodes, the sum of their counts.

        An untied parameter has the id of its node as label. A number of contexts if counted
        exactly, else its log2.

        Raises
        ------
        UnknownNameError
            No parameter has this label.
        InvalidArgumentError
            Counts of which only those of outputs were kept.
        """
        if not isinstance(label, (int, np.integer)) or isinstance(label, bool):
            raise UnknownNameError(f"a label is an integer, got {described(label)}")
        if self._sweep.only_parameters and self.towards == "inputs":
            raise InvalidArgumentError(
                f"'{self.name}': counts of parameters were not kept, only those of outputs; count "
                'with nodes="all"'
            )
        try:
            mantissa, exponent, integer = self._core.group(int(label))
        except InvalidGraphError as error:
            raise UnknownNameError(f"'{self.name}': {error}") from None
        except OverflowError:
            raise UnknownNameError(f"'{self.name}' has no parameter with label {label}") from None
        return _log2(mantissa, exponent) if integer is None else integer

    def spectrum(self) -> Spectrum:
        """Distinct counts of all parameters that have a path, with their degeneracies.

        If paths were counted from the inputs: of all outputs.
        """
        return self._spectrum

    @cached_property
    def _spectrum(self) -> Spectrum:
        core = self._parts
        return Spectrum(core, core.exact if self.is_exact else None, lambda level: {})

    @cached_property
    def _parts(self) -> _core.GraphSpectrum:
        return self._core.spectrum()

    @property
    def _core(self) -> _core.GraphCounts:
        if self._counted is None:
            self._counted = counted(self.graph, self._sweep)
        return self._counted

    def __copy__(self) -> GraphCounts:
        return shared_copy(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> GraphCounts:
        return shared_copy(self)

    def __getstate__(self) -> dict[str, Any]:
        """All attributes but the counts themselves."""
        return {**stored_attributes(self), "_counted": None}

    def _value(self, node: Any) -> tuple[float, int, int | None]:
        number = self.graph.index(node)
        self._refuse_lost(number)
        return self._core.value(number)

    def __getitem__(self, node: Any) -> int | float:
        """The count of a node: an integer if counted exactly, else its log2."""
        mantissa, exponent, integer = self._value(node)
        return _log2(mantissa, exponent) if integer is None else integer

    def __contains__(self, node: object) -> bool:
        try:
            self.graph.index(node)
        except UnknownNameError:
            return False
        return True

    def __iter__(self) -> Iterator[Hashable]:
        """The nodes. Ids refuse to be added up, as ``sum(counts)`` would do in place of counts."""
        return iter(self.graph.names) if self.graph.names else map(NodeId, range(len(self)))

    def __len__(self) -> int:
        return self.graph.num_nodes

    def __repr__(self) -> str:
        space = "" if self.is_exact else "in log space, "
        nodes, parameters = self.graph.num_nodes, self.num_parameters
        of_what = "output" if self.towards == "inputs" else "parameter"
        return (
            f"GraphCounts({self.name!r}, {nodes:,} node{'s' * (nodes != 1)}, "
            f"{parameters:,} {of_what}{'s' * (parameters != 1)}, {space}"
            f"log2 of the total contexts {self.log2_total:,.6g})"
        )


def counted(
    graph: Graph,
    sweep: GraphSweep,
    threads: int = 0,
    limit: int | None = None,
    progress: Progress | None = None,
) -> _core.GraphCounts:
    """Count the paths of a graph; see `unrolled.count`.

    Raises
    ------
    MemoryLimitError, NothingToCountError
        As of the core, with the name of the graph.
    """
    try:
        return graph._core.count(*sweep, threads, limit, progress)
    except (MemoryLimitError, NothingToCountError) as error:
        raise type(error)(f"graph '{graph.name}': {error}") from None


def _log2(mantissa: float, exponent: int) -> float:
    return exponent + math.log2(mantissa) if mantissa else -math.inf
