"""What derivatives cost: multiplications by mode, and the memory of a reverse sweep.

`jacobian_cost` compares forward mode, reverse mode and the best order of multiplication;
`gradient_cost` says what the gradient of a scalar costs, and `activation_memory` what a reverse
sweep has to keep. Plans with less memory are in `unrolled.theory.checkpointing`.
"""

from __future__ import annotations

import operator
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from unrolled._support.hints import described
from unrolled.costs.activations import Activations, activations_in, activations_of, width_of
from unrolled.costs.data_flow import DataFlow
from unrolled.errors import InvalidArgumentError
from unrolled.graph.graph import Graph
from unrolled.network.builder import Semantics
from unrolled.network.network import Network
from unrolled.show.plot import COLOR, SECOND_COLOR, styled
from unrolled.sources.resolution import resolve
from unrolled.theory.elimination import MOST_EXHAUSTIVE, Elimination, Order
from unrolled.theory.jacobian_chains import (
    Bracket,
    Edge,
    Factor,
    NotSeriesParallelError,
    best_bracket,
    factors_between,
)
from unrolled.theory.results import TheoryResult, figure_of, panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "ActivationMemory",
    "GradientCost",
    "JacobianCost",
    "activation_memory",
    "gradient_cost",
    "jacobian_cost",
]

EliminationOrder: TypeAlias = (
    'Literal["forward", "reverse", "markowitz", "exhaustive"] | Iterable[Any] | None'
)
KEPT_TYPE = "float32"
"""The type of what reverse mode keeps."""

LONGEST_ORDER = 60
"""Characters of an order that a table shows."""


@dataclass(frozen=True, repr=False)
class JacobianCost(TheoryResult):
    """Multiplications to have the whole Jacobian of a function, by the order they are done in.

    Attributes
    ----------
    name : str
    forward, reverse : int
        In forward mode, from the inputs on, and in reverse mode.
    optimal : int or None
        In the best order; None where it is not found, see `reason`.
    order : str, tuple or None
        The best order, or the one that was asked for: brackets around the Jacobians J1, J2, ... of
        the pieces one after the other, or vertices of a graph.
    cost : int or None
        Of `order`.
    reason : str
        Why there is no optimum; empty if there is.
    activation_memory : int or None
        Bytes that reverse mode keeps for one sample, in float32; of networks only.
    """

    name: str
    forward: int
    reverse: int
    optimal: int | None
    order: str | tuple[Any, ...] | None
    cost: int | None
    reason: str = ""
    activation_memory: int | None = None

    @property
    def mode(self) -> str:
        """Which is cheapest: "reverse", "forward", or "mixed" where neither is the optimum."""
        least = min(self.forward, self.reverse)
        if self.optimal is not None and self.optimal < least:
            return "mixed"
        return "reverse" if self.reverse == least else "forward"

    @property
    def title(self) -> str:
        """The model and the cheapest mode."""
        return f"Jacobian of {self.name}: {self.mode} mode is the cheapest"

    @property
    def rows(self) -> list[dict[str, object]]:
        """A row an order."""
        costs: list[tuple[str, int | None]] = [
            ("forward mode", self.forward),
            ("reverse mode", self.reverse),
            ("best order", self.optimal),
        ]
        if self.order is not None and self.cost != self.optimal:
            costs.append(("the given order", self.cost))
        return [
            {
                "order": name,
                "multiplications": cost,
                "times reverse mode": None if cost is None else _ratio(cost, self.reverse),
            }
            for name, cost in costs
        ]

    @property
    def assumptions(self) -> str:
        """What counts as a multiplication, and why there is no optimum if there is none."""
        parts = [
            "multiplications by local derivatives, whose own cost is not counted; matrices that "
            "have been made are taken as dense"
        ]
        if isinstance(self.order, str):
            # The beginning of a long order would be nothing but brackets.
            is_short = len(self.order) <= LONGEST_ORDER
            parts.append(
                f"the best order is {self.order if is_short else 'in the attribute order'}"
            )
        if self.reason:
            parts.append(f"no optimum: {self.reason}")
        if self.activation_memory is not None:
            parts.append(
                f"reverse mode keeps {self.activation_memory:,} bytes of activations a sample in "
                "float32"
            )
        return "; ".join(parts) + "."

    def plot(self, *, axes: Axes | None = None) -> tuple[Figure, Axes]:
        """Multiplications by order; see `TheoryResult.plot`."""
        rows = [row for row in self.rows if row["multiplications"] is not None]
        with styled():
            axes = panel(axes)
            names = [str(row["order"]) for row in rows]
            values = [float(str(row["multiplications"])) for row in rows]
            axes.plot(values[::-1], names[::-1], "o", color=COLOR)
            axes.plot(min(values), names[values.index(min(values))], "o", color=SECOND_COLOR)
            axes.set_xscale("log" if min(values) > 0 else "linear")
            axes.margins(y=0.3)
            axes.set_xlabel("multiplications")
            axes.set_title(self.title)
        return figure_of(axes), axes


def jacobian_cost(
    model: Any,
    *,
    order: EliminationOrder = None,
    inputs: Any = None,
    semantics: Semantics | None = None,
) -> JacobianCost:
    """Count the multiplications for the Jacobian of all outputs by all inputs.

    For a chain of dense layers with d_0, ..., d_L units, forward mode needs
    ``d_0 (d_1 d_2 + ... + d_{L-1} d_L)`` multiplications and reverse mode
    ``d_L (d_0 d_1 + ... + d_{L-2} d_{L-1})``; the best order is that of a matrix chain. In a
    network, d d' is the number of pairs of elements that a link joins, and branches side by side
    add up. For a graph, vertices are eliminated one by one.

    Reverse mode is the best one in nearly all networks, which have far more inputs than outputs;
    what it costs is memory (`activation_memory`).

    Parameters
    ----------
    model
        Numbers of units of a chain of dense layers, inputs first; a `Graph`; or whatever
        `unrolled.analyze` takes.
    order : str or sequence, optional
        Graphs only. "forward", "reverse"; "markowitz": always the vertex that is cheapest at the
        time; "exhaustive": the best of all orders, for up to 14 vertices, which is also the default
        for so few; or the vertices between inputs and outputs in an order.
    inputs, semantics
        For models that have to be imported; see `unrolled.analyze`.

    Returns
    -------
    JacobianCost

    Raises
    ------
    InvalidArgumentError
        Something that is no model, a number of units that is not positive, an order that is none of
        the vertices, or is for something else than a graph.
    NothingToCountError
        No path leads from an input to an output.

    References
    ----------
    A. Griewank, A. Walther, "Evaluating Derivatives", 2nd ed. (2008), chapters 3 and 9. Finding the
    best order of elimination is NP-complete: U. Naumann, Math. Program. 112 (2008).

    Examples
    --------
    >>> jacobian_cost([784, 512, 256, 128, 10]).mode
    'reverse'
    >>> funnel = jacobian_cost([100, 2, 100, 2, 100])
    >>> funnel.forward, funnel.reverse, funnel.optimal, funnel.order
    (60000, 60000, 20800, '((J4 (J3 J2)) J1)')
    """
    dims = _dims(model)
    found = None if dims else resolve(model, inputs=inputs, semantics=semantics, operations=True)
    if isinstance(found, Graph):
        return _cost_of_graph(found, order)
    if order is not None:
        raise InvalidArgumentError("order is for graphs; the best order of a chain is found")
    if dims:
        return _cost_of_chain(dims)
    if isinstance(found, Network):
        return cost_of_flow(DataFlow(found))
    raise InvalidArgumentError(
        f"jacobian_cost() takes numbers of units, a network or a graph, got {described(model)}"
    )


def _dims(model: object) -> list[int]:
    """The numbers of units of a chain; empty if it is none."""
    is_array = isinstance(model, np.ndarray) and model.ndim == 1
    if not is_array and not (isinstance(model, Sequence) and not isinstance(model, str)):
        return []
    values: list[Any] = list(model)  # type: ignore[call-overload]
    try:
        dims = [operator.index(value) for value in values]
    except TypeError:
        dims = [0]
    if len(dims) < 2 or min(dims) < 1:
        raise InvalidArgumentError(
            "a chain needs the positive numbers of units of its inputs and of at least one layer, "
            f"got {described(model)}"
        )
    return dims


def _cost_of_chain(dims: Sequence[int]) -> JacobianCost:
    pairs = list(pairwise(dims))
    best = best_bracket([Factor(a, b, a * b) for a, b in pairs])
    return JacobianCost(
        "a chain of " + "-".join(map(str, dims)),
        dims[0] * sum(a * b for a, b in pairs[1:]),
        dims[-1] * sum(a * b for a, b in pairs[:-1]),
        best.cost,
        best.text,
        best.cost,
    )


def _cost_of_graph(graph: Graph, order: EliminationOrder) -> JacobianCost:
    elimination = Elimination(graph)
    forward, reverse = elimination.forward(), elimination.reverse()
    best: Order | None = None
    reason = ""
    if len(elimination.vertices) <= MOST_EXHAUSTIVE or order == "exhaustive":
        best = elimination.best()
    else:
        reason = (
            f"the best of all orders is looked for among up to {MOST_EXHAUSTIVE} vertices, here "
            f"are {len(elimination.vertices)}"
        )
    if order is None or order == "exhaustive":
        chosen = best
    elif order == "markowitz":
        chosen = elimination.markowitz()
    elif order == "forward" or order == "reverse":
        chosen = forward if order == "forward" else reverse
    elif isinstance(order, str):
        raise InvalidArgumentError(
            "order must be 'forward', 'reverse', 'markowitz', 'exhaustive' or a sequence of "
            f"vertices, got {order!r}"
        )
    else:
        chosen = elimination.given(order)
    names = graph.names
    vertices = None
    if chosen is not None:
        vertices = tuple(one if names is None else names[one] for one in chosen.vertices)
    return JacobianCost(
        graph.name,
        forward.cost,
        reverse.cost,
        None if best is None else best.cost,
        vertices,
        None if chosen is None else chosen.cost,
        reason,
    )


def cost_of_flow(flow: DataFlow, activations: Activations | None = None) -> JacobianCost:
    """The cost of a network, and what is kept, unless that is known."""
    links = list(zip(flow.links, flow.pairs, strict=True))
    forward = sum(pairs for link, pairs in links if link.source.role != "input")
    reverse = sum(pairs for link, pairs in links if link.target.id not in flow.ends)
    num_inputs = sum(tensor.size for tensor in flow.inputs)
    num_outputs = sum(tensor.size for tensor in flow.outputs)
    # Before the inputs and behind the outputs stand one tensor each that has all of them.
    sizes: dict[Any, int] = {tensor.name: tensor.size for tensor in flow.tensors}
    first, last = ("inputs",), ("outputs",)
    sizes |= {first: num_inputs, last: num_outputs}
    edges = [Edge(link.source.name, link.target.name, pairs) for link, pairs in links]
    edges += [Edge(first, tensor.name, 0) for tensor in flow.inputs]
    edges += [Edge(tensor.name, last, 0) for tensor in flow.outputs]
    names: list[Hashable] = [first, *[tensor.name for tensor in flow.tensors], last]
    rank = {name: at for at, name in enumerate(names)}
    optimal, text, reason = None, None, ""
    try:
        factors = [
            factor
            for factor in factors_between(first, last, edges, sizes, rank)
            # The ends of a network with one input and one output have nothing to multiply.
            if factor.edges
        ]
        best = best_bracket(factors) if factors else Bracket(0, "")
        optimal, text = best.cost, best.text
    except NotSeriesParallelError as error:
        reason = str(error)
    if activations is None:
        activations = activations_in(flow)
    return JacobianCost(
        flow.network.name,
        num_inputs * forward,
        num_outputs * reverse,
        optimal,
        text,
        optimal,
        reason,
        activations.in_bytes(KEPT_TYPE).saved,
    )


def _ratio(cost: int, reverse: int) -> float | None:
    return cost / reverse if reverse else None


@dataclass(frozen=True, repr=False)
class GradientCost(TheoryResult):
    """What derivatives of a scalar function of the outputs cost, in multiplications and additions.

    Attributes
    ----------
    name : str
    num_parameters : int
        Parameters that training changes.
    evaluation : int
        Of the outputs, once.
    reverse_sweep : int
        Of the derivatives by all tensors and parameters, given the outputs.
    """

    name: str
    num_parameters: int
    evaluation: int
    reverse_sweep: int

    @property
    def gradient(self) -> int:
        """One evaluation and one reverse sweep."""
        return self.evaluation + self.reverse_sweep

    @property
    def ratio(self) -> float:
        """The gradient in evaluations, at most 3."""
        return self.gradient / self.evaluation

    @property
    def hessian_vector_bound(self) -> int:
        """A product of the Hessian with a vector, forward over reverse: at most 10 evaluations."""
        return 10 * self.evaluation

    @property
    def hessian_bound(self) -> int:
        """The whole Hessian: a product for each parameter."""
        return self.num_parameters * self.hessian_vector_bound

    @property
    def title(self) -> str:
        """The model, and what a gradient costs."""
        return f"{self.name}: a gradient costs {self.ratio:.3g} evaluations"

    @property
    def rows(self) -> list[dict[str, object]]:
        """A row a derivative."""
        costs = [
            ("evaluation", self.evaluation),
            ("gradient", self.gradient),
            ("gradient, at most", 4 * self.evaluation),
            ("Hessian-vector product, at most", self.hessian_vector_bound),
            ("Hessian, at most", self.hessian_bound),
        ]
        return [
            {"derivative": name, "operations": cost, "evaluations": cost / self.evaluation}
            for name, cost in costs
        ]

    @property
    def assumptions(self) -> str:
        """What counts as an operation."""
        return (
            "an operation is a multiplication and an addition; every other function costs one for "
            "each edge. The bounds of 4 and 10 evaluations hold where movements of memory count as "
            "well; time depends on memory more than on operations."
        )

    def plot(self, *, axes: Axes | None = None) -> tuple[Figure, Axes]:
        """Operations by derivative; see `TheoryResult.plot`."""
        with styled():
            axes = panel(axes)
            names = [str(row["derivative"]) for row in self.rows]
            values = [float(str(row["operations"])) for row in self.rows]
            axes.plot(values[::-1], names[::-1], "o", color=COLOR)
            axes.set_xscale("log")
            axes.set_xlabel("operations a sample")
            axes.set_title(self.title)
        return figure_of(axes), axes


def gradient_cost(
    model: Any, *, inputs: Any = None, semantics: Semantics | None = None
) -> GradientCost:
    """Count the operations of an evaluation and of a gradient; bound those of second derivatives.

    An evaluation costs one operation for each edge between a computed value and what it is computed
    from, but nothing for kernels, whose edges are those of the values that they weigh, and half for
    products of computed matrices, whose edges come in pairs. A reverse sweep costs one operation
    for each edge, but those from inputs, by which nothing is derived. So a gradient costs at most
    three evaluations.

    Parameters
    ----------
    model
        Whatever `unrolled.analyze` takes, but a network in the end.
    inputs, semantics
        For models that have to be imported; see `unrolled.analyze`.

    Returns
    -------
    GradientCost

    Raises
    ------
    InvalidArgumentError
        A model that is no network.
    NothingToCountError
        No path leads from an input to an output.

    References
    ----------
    A. Griewank, A. Walther, "Evaluating Derivatives", 2nd ed. (2008), sections 3.3 and 4.6: at most
    4 evaluations for a gradient, and 10 for a product of a Hessian with a vector.

    Examples
    --------
    >>> from unrolled import models
    >>> cost = gradient_cost(models.mlp([100, 100], inputs=100, classes=10))
    >>> cost.evaluation, cost.gradient, round(cost.ratio, 3)
    (21210, 53420, 2.519)
    """
    network = _network("gradient_cost", model, inputs, semantics)
    flow = DataFlow(network)
    live = {tensor.id for tensor in flow.tensors}
    halves = 0
    reverse = 0
    for link, pairs in zip(flow.links, flow.pairs, strict=True):
        halves += pairs if flow.kinds[link.target.id] == "matmul" else 2 * pairs
        reverse += pairs if link.source.role != "input" else 0
    for link in network.links:
        if link.source.role != "parameter" or link.target.id not in live:
            continue
        pairs = flow.pairs_of(link)
        halves += 0 if link.role == "kernel" else 2 * pairs
        reverse += pairs if link.source.trainable else 0
    trained = sum(tensor.size for tensor in network.parameters if tensor.trainable)
    return GradientCost(network.name, trained, (halves + 1) // 2, reverse)


@dataclass(frozen=True, repr=False)
class ActivationMemory(TheoryResult):
    """What a reverse sweep keeps of one sample.

    Attributes
    ----------
    name : str
    dtype : str
        The type of all activations.
    by_kind : dict of str to tuple of int
        For each kind of operation that something is kept for, the tensors that it is the first to
        ask for, and their bytes.
    saved : int
        Bytes of all tensors that are kept until they are needed.
    peak : int
        The most bytes at any moment of the reverse sweep: what is still kept, and the derivatives
        that are at work.
    forward_peak : int
        The most bytes at any moment of an evaluation that frees what nothing needs any more.
    """

    name: str
    dtype: str
    by_kind: dict[str, tuple[int, int]]
    saved: int
    peak: int
    forward_peak: int

    @property
    def title(self) -> str:
        """The model, and how much is kept."""
        return f"{self.name}: a reverse sweep keeps {_mebibytes(self.saved)} a sample"

    @property
    def rows(self) -> list[dict[str, object]]:
        """A row a kind of operation, then the sum and the peak."""
        rows: list[dict[str, object]] = [
            {"kept for": kind, "tensors": tensors, "bytes": size}
            for kind, (tensors, size) in sorted(self.by_kind.items(), key=lambda one: -one[1][1])
        ]
        tensors = sum(number for number, _ in self.by_kind.values())
        rows.append({"kept for": "all", "tensors": tensors, "bytes": self.saved})
        rows.append({"kept for": "peak, with derivatives", "tensors": None, "bytes": self.peak})
        rows.append(
            {"kept for": "peak of an evaluation", "tensors": None, "bytes": self.forward_peak}
        )
        return rows

    @property
    def assumptions(self) -> str:
        """What is kept, and what is not counted."""
        return (
            f"{self.dtype}, one sample, nothing recomputed; inputs of affine layers, functions, "
            "norms, products and maxima are kept once each, those of sums, averages and movements "
            "are not; reshapes and transposes share memory. Weights, their gradients and the "
            "optimiser are not counted, nor is what a framework keeps besides."
        )

    def plot(self, *, axes: Axes | None = None) -> tuple[Figure, Axes]:
        """Bytes by kind of operation; see `TheoryResult.plot`."""
        with styled():
            axes = panel(axes)
            kinds = sorted(self.by_kind, key=lambda kind: self.by_kind[kind][1])
            axes.barh(kinds, [self.by_kind[kind][1] / 2**20 for kind in kinds], color=COLOR)
            axes.set_xlabel("kept a sample [MiB]")
            axes.set_title(self.title)
        return figure_of(axes), axes


def activation_memory(
    model: Any,
    dtype: Any = "float32",
    *,
    inputs: Any = None,
    semantics: Semantics | None = None,
) -> ActivationMemory:
    """Count the bytes of activations that a reverse sweep over a network has to keep.

    Parameters
    ----------
    model
        Whatever `unrolled.analyze` takes, but a network in the end.
    dtype : str or dtype
        Of the activations: whatever NumPy knows, or "bfloat16".
    inputs, semantics
        For models that have to be imported; see `unrolled.analyze`.

    Returns
    -------
    ActivationMemory

    Raises
    ------
    InvalidArgumentError
        A model that is no network, or an unknown type.
    NothingToCountError
        No path leads from an input to an output.

    Examples
    --------
    >>> from unrolled import models
    >>> memory = activation_memory(models.mlp([4, 4], inputs=3, classes=2))
    >>> memory.saved == (3 + 4 + 4) * 4
    True
    """
    network = _network("activation_memory", model, inputs, semantics)
    return memory_of(network.name, activations_of(network), dtype)


def memory_of(name: str, activations: Activations, dtype: Any = KEPT_TYPE) -> ActivationMemory:
    """What is kept of a network of that name, in elements of a type."""
    found = activations.in_bytes(dtype)
    return ActivationMemory(
        name,
        width_of(dtype)[0],
        found.by_kind,
        found.saved,
        found.backward_peak,
        found.forward_peak,
    )


def _network(caller: str, model: Any, inputs: Any, semantics: Semantics | None) -> Network:
    network = resolve(model, inputs=inputs, semantics=semantics, operations=True)
    if not isinstance(network, Network):
        raise InvalidArgumentError(
            f"{caller}() needs a network, whose operations are known; got {described(network)}"
        )
    return network


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:,.4g} MiB"
