"""Contexts of a cell that is repeated: after some steps, without end, and with a discount.

A recurrent cell, or any layer that feeds itself, has edges that form cycles. Repeated T times it is
an acyclic graph in which every edge of the cell occurs T times with one parameter. How many
contexts each edge has then follows from powers of the matrix of the cell, and in the limit from
its largest eigenvalue and the vectors that belong to it (Perron and Frobenius).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from unrolled._support.arguments import checked_positive
from unrolled._support.hints import described
from unrolled._support.optional import import_optional
from unrolled.errors import (
    InvalidArgumentError,
    NoFixedPointError,
    NothingToCountError,
    TheoryDomainError,
    UnknownNameError,
)
from unrolled.graph.graph import Graph
from unrolled.show.plot import COLOR, SECOND_COLOR, styled
from unrolled.theory.results import TheoryResult, figure_of, panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["EdgeLaw", "WeightTied", "weight_tied"]

Flags: TypeAlias = npt.NDArray[np.bool_]
Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]

DENSE = 500
"""Nodes up to which all eigenvalues of a matrix are found, not just the largest."""

TIE = 1e-9
"""Relative difference below which two growth rates are equal."""

MOST_ADDITIONS = 50_000_000
"""Edges times steps up to which contexts are counted."""


@dataclass(frozen=True, eq=False)
class EdgeLaw:
    """How the contexts of a cell are spread over its edges.

    Attributes
    ----------
    down : ndarray
        Share of each edge in the paths from the edges to the outputs, shape ``(edges,)``.
    through : ndarray
        Share of each edge in the paths from inputs to outputs, counted once for each of their
        edges.
    growth : float
        Natural logarithm of the factor by which contexts grow with every step; NaN after a finite
        number of steps.
    nodes : tuple
        Of the strongly connected component that makes them grow; empty for a finite number of
        steps and with a discount.
    """

    down: Floats
    through: Floats
    growth: float
    nodes: tuple[Hashable, ...] = ()

    @property
    def entropy_down(self) -> float:
        """Entropy of `down` in nats."""
        return _entropy(self.down)

    @property
    def entropy_through(self) -> float:
        """Entropy of `through` in nats."""
        return _entropy(self.through)


@dataclass(frozen=True, repr=False, eq=False)
class WeightTied(TheoryResult):
    """Contexts of the edges of a cell that is repeated.

    Attributes
    ----------
    edges : tuple of (source, target, multiplicity)
        The edges of the cell, parallel ones together; the order of all arrays.
    laws : tuple of EdgeLaw
        One; without end, one for each component of the cell that grows as fast as any.
    steps : int or None
        Repetitions; None without end.
    discount : float or None
        The factor of every step.
    contexts_down, contexts_through : tuple or None
        Of each edge: integers after some steps, floats with a discount, None without end.
    total : int, float or None
        Paths from inputs to outputs: those of `steps` edges, or of all lengths with a discount.
    """

    edges: tuple[tuple[Hashable, Hashable, int], ...]
    laws: tuple[EdgeLaw, ...]
    steps: int | None
    discount: float | None
    contexts_down: tuple[Any, ...] | None = None
    contexts_through: tuple[Any, ...] | None = None
    total: int | float | None = None

    @property
    def law(self) -> EdgeLaw:
        """The only law.

        Raises
        ------
        InvalidArgumentError
            There are several; see `laws`.
        """
        if len(self.laws) > 1:
            raise InvalidArgumentError(
                f"{len(self.laws)} components of the cell grow equally fast, each with a law of "
                "its own; see WeightTied.laws"
            )
        return self.laws[0]

    @property
    def growth(self) -> float:
        """Natural logarithm of the factor by which contexts grow with every step."""
        return self.laws[0].growth

    @property
    def title(self) -> str:
        """How long the cell is repeated."""
        if self.steps is not None:
            how = f"{self.steps:,} steps"
        elif self.discount is not None:
            how = f"all steps with the discount {self.discount:g}"
        else:
            how = "steps without end"
        return f"A cell of {len(self.edges):,} edges, {how}"

    @property
    def rows(self) -> list[dict[str, object]]:
        """A row an edge and law."""
        return [
            {
                "component": number,
                "edge": f"{source} -> {target}",
                "multiplicity": multiplicity,
                "share of paths down": float(law.down[at]),
                "share of paths through": float(law.through[at]),
            }
            for number, law in enumerate(self.laws, 1)
            for at, (source, target, multiplicity) in enumerate(self.edges)
        ]

    @property
    def assumptions(self) -> str:
        """What is repeated, and the figures that belong to all edges."""
        laws = "; ".join(
            f"growth ln {math.exp(law.growth):.6g} = {law.growth:.6g} a step, entropies "
            f"{law.entropy_down:.6g} down and {law.entropy_through:.6g} through (nats)"
            for law in self.laws
        )
        limit = ""
        if self.steps is None and self.discount is None:
            limit = ", and the limit is that of averages over steps if the cell is periodic"
        return (
            f"every step has the same cell{limit}; only what lies between inputs and outputs "
            f"counts. {laws}."
        )

    def plot(self, *, axes: Axes | None = None) -> tuple[Figure, Axes]:
        """Shares of the edges, largest first; see `TheoryResult.plot`."""
        with styled():
            axes = panel(axes)
            for number, law in enumerate(self.laws):
                at = np.arange(1, len(self.edges) + 1)
                style = "-" if number == 0 else "--"
                axes.plot(at, np.sort(law.down)[::-1], style, color=COLOR, label="down")
                axes.plot(
                    at, np.sort(law.through)[::-1], style, color=SECOND_COLOR, label="through"
                )
            axes.set_xlabel("edge of the cell, by rank")
            axes.set_ylabel("share of the contexts")
            axes.set_ylim(bottom=0)
            axes.set_title(self.title)
            axes.legend()
        return figure_of(axes), axes


def weight_tied(
    cell: Any,
    inputs: Iterable[Any] | None = None,
    outputs: Iterable[Any] | None = None,
    *,
    steps: int | None = None,
    discount: float | None = None,
) -> WeightTied:
    """Count the contexts of the edges of a cell that is repeated.

    With the matrix A of the cell, A_ij edges from j to i, f_t = A^t s counts the paths of t edges
    from the inputs s, and b_t = (A^T)^t o those to the outputs o. After T steps an edge j -> i has

        b_{T-1}(i) + ... + b_0(i)                           contexts down, one a place of use
        b_{T-1}(i) f_0(j) + ... + b_0(i) f_{T-1}(j)         contexts through

    Without end all grow like rho^T with the largest eigenvalue rho of A, and their shares approach
    l_i and l_i r_j with its left and right vectors. With a discount z a path of t edges has the
    weight z^t, and the sums over all lengths are (I - z A^T)^{-1} o and (I - z A)^{-1} s: the same
    equation as that of a derivative through a fixed point.

    Parameters
    ----------
    cell : array, sparse matrix, DiGraph of NetworkX, or Graph
        A square matrix of integers A_ij, or a graph, which may have cycles. A `Graph` has none, and
        so contexts of paths of bounded length only: edges with cycles are given as
        ``networkx.DiGraph(pairs)``.
    inputs, outputs : iterable of nodes, optional
        Where paths begin, before the first step, and where they end, after the last. All nodes by
        default.
    steps : int, optional
        How often the cell is repeated; without end by default.
    discount : float, optional
        The weight of a step, instead of a number of steps.

    Returns
    -------
    WeightTied

    Raises
    ------
    NoFixedPointError
        Without end, shares have no limit with a law over all: no cycle lies between inputs and
        outputs, or two components that grow equally fast follow each other, so that contexts grow
        like a power of T times rho^T and all of them near the way from one to the other.
    TheoryDomainError
        A discount that is not positive, or not below 1 / rho.
    InvalidArgumentError
        Something that is no cell, both steps and a discount, steps that are no positive integer.
    UnknownNameError
        An input or output that is no node.
    NothingToCountError
        No path leads from an input to an output.
    MissingPackageError
        SciPy is not installed.

    References
    ----------
    O. Perron (1907), G. Frobenius (1912). Bauer's count of the paths of a recurrent graph.

    Examples
    --------
    A dense cell of three nodes: each of nine edges has 4 * 3**3 contexts after four steps.

    >>> weight_tied([[1, 1, 1]] * 3, steps=4).contexts_through[0]
    108
    >>> golden = weight_tied([[1, 1], [1, 0]])
    >>> round(math.exp(golden.growth), 9)
    1.618033989
    """
    if steps is not None and discount is not None:
        raise InvalidArgumentError("give a number of steps, or a discount, or neither; not both")
    matrix, names = _matrix(cell)
    starts, ends = _selected(inputs, names, "inputs"), _selected(outputs, names, "outputs")
    live = _between(matrix, starts, ends)
    if steps is not None:
        return _finite(_Cell(matrix, names, starts, ends, live), checked_positive(steps, "steps"))
    if not live.any():
        raise NothingToCountError("no path leads from an input to an output of the cell")
    cell_between = _Cell(matrix, names, starts, ends, live)
    if discount is not None:
        return _discounted(cell_between, discount)
    return _endless(cell_between)


class _Cell:
    """The edges of a cell between its inputs and outputs."""

    def __init__(
        self, matrix: Any, names: Sequence[Hashable], starts: Flags, ends: Flags, live: Flags
    ) -> None:
        entries = matrix.tocoo()
        order = np.lexsort((entries.row, entries.col))
        self.sources = entries.col[order].astype(np.int64)
        self.targets = entries.row[order].astype(np.int64)
        self.multiplicities = entries.data[order].astype(np.int64)
        # Edges elsewhere stay in the list, with nothing on them.
        self.kept = live[self.sources] & live[self.targets]
        self.names = names
        self.starts, self.ends, self.live = starts & live, ends & live, live

    @property
    def edges(self) -> tuple[tuple[Hashable, Hashable, int], ...]:
        """Source, target and multiplicity, by name of node."""
        triples = zip(
            self.sources.tolist(), self.targets.tolist(), self.multiplicities.tolist(), strict=True
        )
        return tuple((self.names[j], self.names[i], number) for j, i, number in triples)

    def matrix(self) -> Any:
        """A sparse matrix of floats of what lies between."""
        sparse = import_optional("scipy.sparse", "theory")
        where = (self.targets[self.kept], self.sources[self.kept])
        values = self.multiplicities[self.kept].astype(np.float64)
        return sparse.csr_array((values, where), shape=(len(self.names),) * 2)

    def law(
        self, before: Floats, after: Floats, growth: float, nodes: tuple[Hashable, ...] = ()
    ) -> EdgeLaw:
        """The law of edges whose weight is that of their ends."""
        down = self.kept * self.multiplicities * after[self.targets]
        return EdgeLaw(_shares(down), _shares(down * before[self.sources]), growth, nodes)


def _finite(cell: _Cell, steps: int) -> WeightTied:
    """All contexts after a number of steps, as integers."""
    if steps * max(len(cell.sources), 1) > MOST_ADDITIONS:
        raise InvalidArgumentError(
            f"{steps:,} steps of {len(cell.sources):,} edges are too many to count; leave out "
            "steps for the limit"
        )
    times = (cell.multiplicities * cell.kept).astype(object)
    forward = [cell.starts.astype(int).astype(object)]
    backward = [cell.ends.astype(int).astype(object)]
    for _ in range(steps):
        for powers, read, written in (
            (forward, cell.sources, cell.targets),
            (backward, cell.targets, cell.sources),
        ):
            following = np.zeros(len(cell.names), dtype=object)
            np.add.at(following, written, times * powers[-1][read])
            powers.append(following)
    down = np.zeros(len(times), dtype=object)
    through = np.zeros(len(times), dtype=object)
    for step in range(steps):
        behind = backward[steps - 1 - step][cell.targets] * cell.kept.astype(int)
        down += behind
        through += behind * forward[step][cell.sources]
    total = int((forward[steps] * backward[0]).sum())
    return WeightTied(
        cell.edges,
        (EdgeLaw(_integer_shares(down * times), _integer_shares(through * times), math.nan, ()),),
        steps,
        None,
        tuple(map(int, down)),
        tuple(map(int, through)),
        total,
    )


def _discounted(cell: _Cell, discount: float) -> WeightTied:
    """Sums over paths of all lengths."""
    linalg = import_optional("scipy.sparse.linalg", "theory")
    sparse = import_optional("scipy.sparse", "theory")
    if not (isinstance(discount, (int, float)) and 0 < discount < math.inf):
        raise TheoryDomainError(f"the discount must be a positive number, got {discount!r}")
    matrix = cell.matrix()
    rho = max((radius for _, radius in _components(matrix, cell.live)), default=0.0)
    if discount * rho >= 1 - TIE:
        raise TheoryDomainError(
            f"with the discount {discount:g} the sum over all paths has no limit; the cell needs "
            f"one below 1 / rho = {1 / rho:.9g}"
        )
    equation = sparse.csc_array(sparse.eye_array(len(cell.names)) - discount * matrix)
    before = linalg.spsolve(equation, cell.starts.astype(np.float64))
    after = linalg.spsolve(sparse.csc_array(equation.T), cell.ends.astype(np.float64))
    behind = cell.kept * after[cell.targets]
    growth = math.log(rho) if rho > 0 else -math.inf
    return WeightTied(
        cell.edges,
        (cell.law(before, after, growth),),
        None,
        float(discount),
        tuple(behind.tolist()),
        tuple((discount * behind * before[cell.sources]).tolist()),
        float(before @ cell.ends),
    )


def _endless(cell: _Cell) -> WeightTied:
    """The limits of the shares, for each component that grows as fast as any."""
    matrix = cell.matrix()
    components = _components(matrix, cell.live)
    rho = max((radius for _, radius in components), default=0.0)
    if rho == 0.0:
        raise NoFixedPointError(
            "no cycle lies between inputs and outputs, so there are no paths of more than a few "
            "steps; give a number of steps"
        )
    fastest = [nodes for nodes, radius in components if radius >= rho * (1 - TIE)]
    laws = []
    for nodes in fastest:
        after, before = _vectors(matrix.T, nodes, rho), _vectors(matrix, nodes, rho)
        for others in fastest:
            if others is not nodes and before[others].any():
                first, second = (cell.names[int(one[0])] for one in (nodes, others))
                raise NoFixedPointError(
                    f"the components of {first!r} and {second!r} grow equally fast, by {rho:.9g} "
                    "a step, and one leads to the other: contexts grow like a power of the steps "
                    "times that, and shares have no law of this kind; give a number of steps, or "
                    "take the components apart"
                )
        members = tuple(cell.names[int(node)] for node in nodes)
        laws.append(cell.law(before, after, math.log(rho), members))
    return WeightTied(cell.edges, tuple(laws), None, None)


def _components(matrix: Any, live: Flags) -> list[tuple[Integers, float]]:
    """The strongly connected components among live nodes, and their largest eigenvalues."""
    csgraph = import_optional("scipy.sparse.csgraph", "theory")
    number, labels = csgraph.connected_components(matrix, connection="strong")
    order = np.argsort(labels, kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(labels, minlength=number))[:-1])
    return [(nodes, _radius(matrix[nodes][:, nodes])) for nodes in groups if live[nodes[0]]]


def _radius(matrix: Any) -> float:
    """The largest eigenvalue of a matrix of non-negative numbers."""
    if matrix.shape[0] == 1:
        return float(matrix.toarray()[0, 0])
    if matrix.shape[0] <= DENSE:
        return float(np.abs(np.linalg.eigvals(matrix.toarray())).max())
    linalg = import_optional("scipy.sparse.linalg", "theory")
    # It is real, but others of equal size may not be: those of periodic matrices.
    return float(linalg.eigs(matrix, k=1, which="LR", return_eigenvectors=False)[0].real)


def _vectors(matrix: Any, nodes: Integers, rho: float) -> Floats:
    """The vector v with A v = rho v that comes from one component, on all nodes.

    On the component it is that of Perron and Frobenius. What follows it solves
    (rho I - A) v = what comes in, which has a solution as nothing there grows as fast.
    """
    linalg = import_optional("scipy.sparse.linalg", "theory")
    sparse = import_optional("scipy.sparse", "theory")
    size = matrix.shape[0]
    matrix = sparse.csr_array(matrix)
    own = matrix[nodes][:, nodes]
    vector = np.zeros(size)
    # Two steps of inverse iteration beside the eigenvalue leave nothing but its vector.
    shifted = sparse.csc_array(rho * (1 + 1e-10) * sparse.eye_array(len(nodes)) - own)
    solve = linalg.splu(shifted).solve
    inside = np.ones(len(nodes))
    for _ in range(3):
        inside = np.abs(solve(inside))
        inside /= inside.sum()
    vector[nodes] = inside
    behind = np.setdiff1d(_reached(matrix, nodes), nodes)
    if len(behind):
        incoming = (matrix @ vector)[behind]
        rest = sparse.csc_array(rho * sparse.eye_array(len(behind)) - matrix[behind][:, behind])
        try:
            vector[behind] = np.abs(linalg.splu(rest).solve(incoming))
        except RuntimeError:
            # Singular: something that follows grows as fast, which the caller refuses.
            vector[behind] = 1.0
    return vector


def _reached(matrix: Any, nodes: Integers) -> Integers:
    """The nodes that edges lead to from some, those included; column j leads to the rows i."""
    reached = np.zeros(matrix.shape[0], dtype=bool)
    reached[nodes] = True
    while True:
        following = reached | (matrix @ reached.astype(np.float64) > 0)
        if (following == reached).all():
            return np.flatnonzero(reached)
        reached = following


def _between(matrix: Any, starts: Flags, ends: Flags) -> Flags:
    """Which nodes lie on a way from a start to an end."""
    live = np.zeros(len(starts), dtype=bool)
    back = np.zeros(len(starts), dtype=bool)
    live[_reached(matrix, np.flatnonzero(starts))] = True
    back[_reached(matrix.T, np.flatnonzero(ends))] = True
    return live & back


def _matrix(cell: Any) -> tuple[Any, list[Hashable]]:
    """The sparse matrix A_ij of edges j -> i, and the names of the nodes."""
    sparse = import_optional("scipy.sparse", "theory")
    names: list[Hashable]
    if isinstance(cell, Graph):
        matrix = sparse.csr_array(cell.to_scipy().T)
        names = list(range(cell.num_nodes)) if cell.names is None else list(cell.names)
    elif hasattr(cell, "is_directed") and hasattr(cell, "nodes"):
        if not cell.is_directed():
            raise InvalidArgumentError("a cell has directed edges; this graph is undirected")
        import networkx as nx

        names = list(cell.nodes)
        weights = nx.to_scipy_sparse_array(cell, weight="multiplicity") if names else [[]]
        matrix = sparse.csr_array(weights).T.tocsr()
    else:
        try:
            matrix = sparse.csr_array(cell)
        except (TypeError, ValueError):
            matrix = sparse.csr_array((0, 1))
        names = list(range(matrix.shape[0]))
    values_are_counts = (
        matrix.ndim == 2
        and matrix.shape[0] == matrix.shape[1] > 0
        and (matrix.dtype.kind in "biu" or bool((matrix.data == np.round(matrix.data)).all()))
        and bool((matrix.data >= 0).all())
    )
    if not values_are_counts:
        raise InvalidArgumentError(
            "a cell is a square matrix of numbers of edges, integers from 0, or a directed graph, "
            f"such as networkx.DiGraph(pairs) of pairs of nodes; got {described(cell)}"
        )
    matrix = matrix.astype(np.int64)
    matrix.eliminate_zeros()
    return matrix, names


def _selected(nodes: Iterable[Any] | None, names: Sequence[Hashable], what: str) -> Flags:
    """Which nodes are named; all by default."""
    flags = np.full(len(names), nodes is None)
    if nodes is None:
        return flags
    number = {name: at for at, name in enumerate(names)}
    for node in nodes:
        if node not in number:
            raise UnknownNameError(f"{what}: the cell has no node {node!r}")
        flags[number[node]] = True
    return flags


def _shares(weights: Floats) -> Floats:
    total = weights.sum()
    shares: Floats = weights / total if total > 0 else weights
    return shares


def _integer_shares(weights: npt.NDArray[np.object_]) -> Floats:
    """Shares of integers of any size."""
    total = int(weights.sum())
    return np.array([int(weight) / total if total else 0.0 for weight in weights])


def _entropy(shares: Floats) -> float:
    positive = shares[shares > 0]
    return float(-(positive * np.log(positive)).sum())
