"""Explicit graphs: `Graph`."""

from __future__ import annotations

import operator
import os
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from unrolled import _core
from unrolled._support import notebooks
from unrolled._support.arguments import Progress, check_progress, checked_name, checked_threads
from unrolled._support.caching import cached_property
from unrolled._support.copying import shared_copy
from unrolled._support.hints import described
from unrolled.errors import CycleError, InvalidGraphError, UnknownNameError
from unrolled.graph.arguments import (
    checked_nodes,
    named_labels,
    named_nodes,
    refuse_negative_ids,
    roles,
)
from unrolled.graph.arrays import Unsigned, largest, multiplicities, unsigned
from unrolled.graph.names import Names, as_names, named_cycle

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["Graph"]

# Files of graphs, NetworkX and SciPy are looked after by modules that are imported when they are
# needed.

Array = TypeVar("Array", bound=npt.NDArray[Any])

MOST_DRAWN_NODES = 10_000_000
"""Of larger graphs a notebook shows no chart: it would take seconds."""


class Graph:
    """A directed acyclic multigraph: outputs, inputs, parameters, and edges between nodes.

    Immutable. Nodes are numbered from 0; edges are stored as successor lists (CSR). Parallel edges
    are different paths, as are the copies of an edge that its multiplicity stands for. Make one
    with `from_edges`, `from_csr`, `from_scipy`, `from_networkx`, `load` or `Network.unroll`, and
    hand it to `unrolled.count` or `unrolled.analyze`.

    Attributes
    ----------
    name : str
        For results and messages.

    Examples
    --------
    Two inputs (0 and 1) feed two hidden nodes, which feed an output; four parameters weigh the
    inputs:

    >>> import unrolled
    >>> graph = unrolled.Graph.from_edges(
    ...     [0, 0, 1, 1, 4, 5, 6, 7, 2, 3],
    ...     [2, 3, 2, 3, 2, 3, 2, 3, 8, 8], parameters=[-1, -1, -1, -1, 0, 1, 2, 3, -1])
    >>> graph
    Graph('graph', 9 nodes, 10 edges, 1 output)
    >>> counts = unrolled.count(graph)
    >>> counts[0], counts[4], counts.total
    (2, 1, 4)
    """

    def __init__(
        self,
        core: _core.Graph,
        name: str,
        names: Names | None = None,
        *,
        file: str | None = None,
    ) -> None:
        self._core = core
        self._file = file
        self._names = names
        self.name = name

    @classmethod
    def from_edges(
        cls,
        sources: npt.ArrayLike,
        targets: npt.ArrayLike,
        outputs: npt.ArrayLike | None = None,
        parameters: npt.ArrayLike | None = None,
        multiplicity: npt.ArrayLike | None = None,
        num_nodes: int | None = None,
        *,
        inputs: npt.ArrayLike | None = None,
        names: Sequence[Hashable] | Names | None = None,
        name: str = "graph",
        copy: bool = False,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Graph:
        """Graph of edges in any order.

        Edges that are sorted by source are not copied: the graph then shares memory with `targets`
        and `multiplicity`, as far as these are arrays of 32 or 64 bits without gaps. Do not write
        to them afterwards, or pass ``copy=True``. (If they are written to all the same, counting
        gives an error or other counts.)

        Parameters
        ----------
        sources, targets : array of int, shape ``(edges,)``
            Where each edge comes from and leads to. Edges sorted by source are taken up fastest.
        outputs : array, optional
            Ids of the outputs, or a boolean mask of shape ``(nodes,)``. By default the nodes
            without a successor. An output may feed further nodes.
        parameters : array, optional
            A boolean mask of shape ``(nodes,)``, or integer labels of that shape: nodes with the
            same label are one tied parameter, negative labels mean no parameter. By default every
            node without a predecessor is a parameter of its own.
        multiplicity : array of int, shape ``(edges,)``, optional
            How many parallel edges each one stands for, from 1 to 2**64 - 1; by default 1.
        num_nodes : int, optional
            By default the largest id and 1; at most 2**32 - 2.
        inputs : array, optional
            Ids or mask of the inputs. By default the nodes without a predecessor that are no
            parameters.
        names : sequence, optional
            A name for each node, all different and hashable; by default nodes are numbers.
        name : str
            Of the graph, for results and messages.
        copy : bool
            Copy the arrays, so that they may be written to afterwards.
        threads : int, optional
            By default one a core.
        progress : callable, optional
            Called as ``progress(done, total)`` within each step of the work.

        Raises
        ------
        InvalidGraphError
            Arrays that describe no graph; the message says where.
        CycleError
            The edges form a cycle; the message lists its nodes.
        MemoryLimitError
            The lists would not fit into the memory that is free.

        Examples
        --------
        >>> from unrolled import Graph
        >>> graph = Graph.from_edges([0, 0, 1], [1, 2, 2], multiplicity=[1, 1, 3])
        >>> graph.num_nodes, graph.outputs.tolist(), graph.parameters.tolist()
        (3, [2], [0, -1, -1])
        """
        label = checked_name(name, "a graph")
        check_progress(progress)
        ends = unsigned(sources, "sources")
        heads = unsigned(targets, "targets", copy=copy)
        times = multiplicities(multiplicity, copy=copy)
        nodes = None if num_nodes is None else checked_nodes(num_nodes)

        if nodes is None and not (outputs is None and inputs is None and parameters is None):
            most = max([largest(end) for end in (ends, heads) if end.size], default=-1)
            nodes = min(most + 1, (1 << 64) - 1)  # too many in any case, says the core
        try:
            core = _core.Graph.from_edges(
                ends,
                heads,
                times,
                nodes,
                roles(outputs, inputs, parameters, nodes or 0),
                checked_threads(threads),
                progress,
            )
        except CycleError as error:
            raise named_cycle(error, names) from None
        except InvalidGraphError:
            refuse_negative_ids(sources=sources, targets=targets)
            raise
        return cls(core, label, None if names is None else as_names(names, core.num_nodes))

    @classmethod
    def from_csr(
        cls,
        indptr: npt.ArrayLike,
        indices: npt.ArrayLike,
        outputs: npt.ArrayLike | None = None,
        parameters: npt.ArrayLike | None = None,
        multiplicity: npt.ArrayLike | None = None,
        *,
        inputs: npt.ArrayLike | None = None,
        names: Sequence[Hashable] | Names | None = None,
        name: str = "graph",
        copy: bool = False,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Graph:
        """Graph of successor lists: node ``v`` leads to ``indices[indptr[v]:indptr[v + 1]]``.

        Arrays of 32 or 64 bits without gaps are shared, not copied: do not write to them
        afterwards, or pass ``copy=True``. (If they are written to all the same, counting gives an
        error or other counts.)

        Parameters
        ----------
        indptr : array of int, shape ``(nodes + 1,)``
        indices : array of int, shape ``(edges,)``
        outputs, parameters, multiplicity, inputs, names, name, copy, threads, progress
            See `from_edges`.

        Raises
        ------
        InvalidGraphError, CycleError, MemoryLimitError
            See `from_edges`.

        Examples
        --------
        >>> from unrolled import Graph
        >>> Graph.from_csr([0, 2, 3, 3], [1, 2, 2])
        Graph('graph', 3 nodes, 3 edges, 1 output)
        """
        label = checked_name(name, "a graph")
        check_progress(progress)
        offsets = unsigned(indptr, "indptr", copy=copy)
        targets = unsigned(indices, "indices", copy=copy)
        times = multiplicities(multiplicity, copy=copy)
        nodes = max(len(offsets) - 1, 0)
        try:
            core = _core.Graph.from_csr(
                offsets,
                targets,
                times,
                roles(outputs, inputs, parameters, nodes),
                checked_threads(threads),
                progress,
            )
        except CycleError as error:
            raise named_cycle(error, names) from None
        except InvalidGraphError:
            refuse_negative_ids(indptr=indptr, indices=indices)
            raise
        return cls(core, label, None if names is None else as_names(names, core.num_nodes))

    @classmethod
    def from_scipy(
        cls,
        matrix: Any,
        outputs: npt.ArrayLike | None = None,
        parameters: npt.ArrayLike | None = None,
        *,
        inputs: npt.ArrayLike | None = None,
        name: str = "graph",
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Graph:
        """Graph of an adjacency matrix of SciPy: entry ``(v, u)`` is the multiplicity of v -> u.

        Parameters
        ----------
        matrix : sparse array or matrix, shape ``(nodes, nodes)``
            Of integers or booleans. A CSR matrix is shared, not copied, as in `from_csr`. Entries
            that are stored but zero are no edges; entries stored twice are parallel edges, in
            every format: nothing is added up in the type of the matrix, where it might wrap round.
        outputs, parameters, inputs, name, threads, progress
            See `from_edges`.

        Raises
        ------
        InvalidGraphError, CycleError
            See `from_edges`; also for a matrix that is not square.

        Examples
        --------
        >>> import scipy.sparse
        >>> from unrolled import Graph
        >>> Graph.from_scipy(scipy.sparse.csr_array([[0, 2], [0, 0]])).multiplicity
        array([2], dtype=uint64)
        """
        from unrolled.graph.scipy_matrices import MatrixLists, entries_of_matrix

        entries = entries_of_matrix(matrix)
        if isinstance(entries, MatrixLists):
            return cls.from_csr(
                entries.indptr,
                entries.indices,
                outputs,
                parameters,
                entries.multiplicity,
                inputs=inputs,
                name=name,
                threads=threads,
                progress=progress,
            )
        return cls.from_edges(
            entries.sources,
            entries.targets,
            outputs,
            parameters,
            entries.multiplicity,
            num_nodes=matrix.shape[0],
            inputs=inputs,
            name=name,
            threads=threads,
            progress=progress,
        )

    @classmethod
    def from_networkx(
        cls,
        graph: nx.Graph[Any],
        outputs: Collection[Hashable] | None = None,
        parameters: Collection[Hashable] | Mapping[Hashable, Hashable] | None = None,
        *,
        inputs: Collection[Hashable] | None = None,
        multiplicity: str = "multiplicity",
        kind: str = "kind",
        parameter: str = "parameter",
        name: str | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Graph:
        """Graph of a NetworkX ``DiGraph`` or ``MultiDiGraph``, with its nodes as names.

        Parameters
        ----------
        graph : DiGraph or MultiDiGraph
        outputs, inputs : collection of nodes, or array of bool, optional
            Which nodes are outputs or inputs, whatever their attributes say: the nodes themselves,
            or a mask in the order of the nodes of the graph.
        parameters : collection of nodes, dict, or array, optional
            Which nodes are parameters, whatever their attributes say. In a dict of nodes to labels,
            those of equal label are one tied parameter, and None means no parameter. An array is a
            mask or has labels, in the order of the nodes, as in `from_edges`.
        multiplicity : str
            Edge attribute with the multiplicity; edges without it count once.
        kind : str
            Node attribute that is "input", "parameter", "operation" or "output"; nodes without it
            are operations. If no node has it, nodes without a successor are outputs, and nodes
            without a predecessor parameters.
        parameter : str
            Node attribute by which parameters are tied: those with equal values are one.
        name : str, optional
            By default that of the graph.
        threads, progress
            See `from_edges`.

        Raises
        ------
        InvalidGraphError
            An undirected graph, an unknown kind, a multiplicity that is no integer from 1, or a
            role of a node that the graph does not have.
        InvalidArgumentError
            A name of an attribute that is no string.
        CycleError
            The edges form a cycle; the message lists its nodes.

        Examples
        --------
        >>> import networkx as nx
        >>> import unrolled
        >>> graph = nx.DiGraph([("weight", "sum"), ("image", "sum"), ("sum", "logit")])
        >>> unrolled.count(unrolled.Graph.from_networkx(graph))["weight"]
        1
        >>> given = unrolled.Graph.from_networkx(graph, inputs=["image"], parameters=["weight"])
        >>> unrolled.count(given).total
        1
        """
        from unrolled.graph import exchange

        parts = exchange.parts_of_networkx(graph, multiplicity, kind, parameter)
        label = name if name is not None else (graph.name or "graph")
        return cls.from_csr(
            parts.indptr,
            parts.indices,
            parts.outputs if outputs is None else named_nodes(outputs, "outputs", parts.names),
            parts.parameters if parameters is None else named_labels(parameters, parts.names),
            parts.multiplicity,
            inputs=parts.inputs if inputs is None else named_nodes(inputs, "inputs", parts.names),
            names=parts.names,
            name=label,
            threads=threads,
            progress=progress,
        )

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, mmap: bool = False, progress: Progress | None = None
    ) -> Graph:
        """Read a graph that `save` wrote.

        Parameters
        ----------
        path : path
        mmap : bool
            Leave the edges in the file and read them in order with every count: memory then grows
            with the number of nodes, not of edges. A pickle of the graph has the path of the file,
            which must be there when it is loaded.
        progress : callable, optional
            Called as ``progress(done, total)`` while the edges are checked.

        Raises
        ------
        GraphFileError
            A file that `save` did not write, or that was damaged or cut short since.
        MemoryLimitError
            More nodes or edges than there is memory for.
        FileNotFoundError
            No such file.
        """
        check_progress(progress)
        file = os.path.abspath(os.fsdecode(path)) if mmap else None
        from unrolled.graph import archive

        return cls(*archive.load(path, mmap=mmap, progress=progress), file=file)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the graph to a file of NumPy arrays (``.npz``, not compressed).

        A file of that name is replaced when the new one is complete.

        Raises
        ------
        InvalidGraphError
            Names of nodes that are not made of strings, numbers and tuples; a graph whose edges
            are in a file already.
        """
        from unrolled.graph import archive

        archive.save(self._core, self.name, self._names, path)

    def to_networkx(self) -> nx.DiGraph[Any]:
        """The graph as a NetworkX ``DiGraph``, parallel edges added up.

        Nodes are names if there are some, else ids; they have the attribute ``kind`` and, if tied
        parameters, ``parameter``. Edges have the attribute ``multiplicity``. A node has one kind
        there: one that is an output is "output" whatever else it is, and an input is "input" even
        if it is a parameter.
        """
        from unrolled.graph import exchange

        return exchange.to_networkx(self)

    def to_scipy(self) -> Any:
        """The graph as a SciPy ``csr_array`` of multiplicities, int64, parallel edges added up.

        Raises
        ------
        SizeOverflowError
            A multiplicity that 63 bits cannot hold.
        """
        from unrolled.graph import exchange

        return exchange.to_scipy(self)

    def coalesce(self) -> Graph:
        """The same graph with parallel edges merged into multiplicities.

        Raises
        ------
        SizeOverflowError
            A multiplicity that 64 bits cannot hold.
        """
        from unrolled.graph import exchange

        lists = exchange.coalesced(self)
        return Graph.from_csr(
            lists.indptr,
            lists.indices,
            self.outputs,
            self.parameters,
            lists.multiplicity,
            inputs=self.inputs,
            names=self._names,
            name=self.name,
        )

    @property
    def num_nodes(self) -> int:
        """Number of nodes."""
        return self._core.num_nodes

    @property
    def num_edges(self) -> int:
        """Number of edges as stored: parallel edges one by one, multiplicities not counted."""
        return self._core.num_edges

    @property
    def indptr(self) -> Unsigned:
        """Where each successor list begins, shape ``(nodes + 1,)``, read-only.

        Raises
        ------
        InvalidGraphError
            The edges are in a file, of which only a part is read at a time.
        """
        if self._core.indices is None:
            raise self._in_file()
        return _read_only(self._core.indptr)

    @property
    def indices(self) -> Unsigned:
        """The successors of all nodes, shape ``(edges,)``, read-only.

        Raises
        ------
        InvalidGraphError
            The edges are in a file, of which only a part is read at a time.
        """
        indices = self._core.indices
        if indices is None:
            raise self._in_file()
        return _read_only(indices)

    @property
    def multiplicity(self) -> npt.NDArray[np.uint64] | None:
        """Multiplicity of each edge, shape ``(edges,)``, read-only; None if all are 1.

        Raises
        ------
        InvalidGraphError
            The edges are in a file, of which only a part is read at a time.
        """
        if self._core.indices is None:
            raise self._in_file()
        times = self._core.multiplicity
        return None if times is None else _read_only(times)

    @property
    def outputs(self) -> npt.NDArray[np.int64]:
        """Ids of the outputs, ascending, read-only."""
        return self._roles[0]

    @property
    def inputs(self) -> npt.NDArray[np.int64]:
        """Ids of the inputs, ascending, read-only."""
        return self._roles[1]

    @property
    def parameters(self) -> npt.NDArray[np.int64]:
        """Label of the parameter that each node is, shape ``(nodes,)``; -1 for none; read-only."""
        return self._roles[2]

    @cached_property
    def _roles(self) -> tuple[npt.NDArray[np.int64], ...]:
        core = self._core
        arrays = (core.outputs, core.inputs(), core.parameters())
        return tuple(_read_only(array.astype(np.int64)) for array in arrays)

    @property
    def names(self) -> tuple[Hashable, ...] | None:
        """Names of the nodes by id, if they have some."""
        return self._listed_names

    @cached_property
    def _listed_names(self) -> tuple[Hashable, ...] | None:
        return None if self._names is None else tuple(self._names)

    def index(self, node: Any) -> int:
        """Id of a node.

        Parameters
        ----------
        node
            Its name if the nodes have names, else the id itself, which is checked.

        Raises
        ------
        UnknownNameError
            No such node.

        Examples
        --------
        >>> import unrolled
        >>> graph = unrolled.models.mlp([2], inputs=2, classes=1).unroll()
        >>> graph.names[graph.index(("layer1/bias", (1,)))]
        ('layer1/bias', (1,))
        """
        if self._names is None:
            try:
                number = operator.index(node)
            except TypeError:
                raise UnknownNameError(
                    f"nodes of '{self.name}' are numbers, got {described(node)}"
                ) from None
            if not 0 <= number < self.num_nodes:
                raise UnknownNameError(
                    f"'{self.name}' has no node {number}; it has {self.num_nodes}, numbered from 0"
                )
            return number
        try:
            found = self._names.find(node)
        except TypeError:  # not hashable
            found = None
        if found is None:
            example = f"; names look like {self._names[0]!r}" if len(self._names) else ""
            raise UnknownNameError(f"'{self.name}' has no node named {described(node)}{example}")
        return found

    def _in_file(self) -> InvalidGraphError:
        return InvalidGraphError(
            f"the edges of '{self.name}' are in its file; load it without mmap to see them"
        )

    def __copy__(self) -> Graph:
        return shared_copy(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Graph:
        return shared_copy(self)

    def __reduce__(self) -> tuple[Any, ...]:
        if self._file is not None:
            return (_reopen, (self._file, self.name))
        arrays = (self.indptr, self.indices, self.outputs, self.parameters, self.multiplicity)
        return (_restore, (arrays, self.inputs, self.name, self._names))

    def _repr_html_(self) -> str:
        facts = [
            ("nodes", f"{self.num_nodes:,}"),
            ("edges", f"{self.num_edges:,}"),
            ("outputs", f"{len(self._core.outputs):,}"),
            ("inputs", f"{len(self._core.inputs()):,}"),
        ]
        chart = ""
        if self._core.indices is not None and self.num_nodes <= MOST_DRAWN_NODES:
            degrees, numbers = np.unique(np.diff(self._core.indptr), return_counts=True)
            chart = notebooks.histogram_bars(
                degrees.astype(np.float64),
                numbers.astype(np.float64),
                "nodes (log10) by the number of successors",
            )
        return notebooks.card(f"Graph {self.name}", facts, chart)

    def __repr__(self) -> str:
        outputs = len(self._core.outputs)
        return (
            f"Graph({self.name!r}, {self.num_nodes:,} node{'s' * (self.num_nodes != 1)}, "
            f"{self.num_edges:,} edge{'s' * (self.num_edges != 1)}, "
            f"{outputs:,} output{'s' * (outputs != 1)})"
        )


def _restore(arrays: tuple[Any, ...], inputs: Any, name: str, names: Names | None) -> Graph:
    """Rebuild a graph that was pickled."""
    return Graph.from_csr(*arrays, inputs=inputs, names=names, name=name)


def _reopen(file: str, name: str) -> Graph:
    """A graph that was pickled and whose edges are in a file, which has to be there."""
    graph = Graph.load(file, mmap=True)
    graph.name = name
    return graph


def _read_only(array: Array) -> Array:
    view = array.view()
    view.flags.writeable = False
    return view
