"""Declaring tensors, making them, and linking them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from unrolled._core import Operation, Relation
from unrolled.errors import InvalidModelError
from unrolled.importers.tracing.budget import LARGEST_CONSTANT, Budget
from unrolled.importers.tracing.functions import IDENTITY
from unrolled.importers.tracing.masking import Flags, hiding_links
from unrolled.importers.tracing.values import (
    OTHER_NORMALISERS,
    Array,
    Constant,
    Kind,
    Node,
    Operand,
    Shape,
    Value,
    size_of,
)
from unrolled.network.layers.elementwise import alignment
from unrolled.network.layers.reshaping import regrouping

if TYPE_CHECKING:
    from unrolled.network.builder import LinkRole, Tensor
    from unrolled.network.network import Network

    TensorLink = tuple[Tensor, Sequence[Relation], LinkRole]

__all__ = ["Base", "Link", "aligned", "related", "shifted"]

MOST_TENSORS = 1 << 17
"""A model that needs more tensors is refused, because it may be a trap."""

LATEST_MASKS = 8
"""Masked tensors that are remembered, for the same mask of the same tensor is the same again."""

Link = tuple[Value, Sequence[Relation]]

MOVE, OTHER = Operation("move"), Operation("other")
TOP_K = Operation("other", "top_k")
"""The largest elements along the last axis, or where they are: what routers choose experts by."""

VISIBLE = Operation("move", "visible")
"""What a mask leaves of a tensor: a softmax of it is one over what is left."""

SUM, PRODUCT = Operation("sum"), Operation("product")
MATMUL = Operation("matmul")
AVERAGE, MAXIMUM = Operation("average"), Operation("max_pool")
ROOT = Operation("function", "power(0.5)")
CHUNK = 1 << 20
"""Elements of a parameter that are averaged at once."""

REDUCTIONS = {"mean": AVERAGE, "sum": Operation("average", divisor=1.0), "max": MAXIMUM}


class Base:
    """Holds the network that is being built; the base of all parts of `Tracer`.

    Parameters
    ----------
    network : Network
    operations : bool
        Whether functions of single elements and normalisers become tensors of their own, so that
        signals can be followed. No count depends on it, but lengths do.
    """

    def __init__(self, network: Network, *, operations: bool = False) -> None:
        self.network = network
        self.operations = operations
        self.name = "tensor"
        self._outputs: set[int] = set()
        self._reserved: set[str] = set()
        # By their factors and labels: products that may have their axes in several orders.
        self._turned_products: dict[
            tuple[tuple[Value, ...], tuple[tuple[int, ...], ...]], Node
        ] = {}
        self._values: dict[Node, Callable[[], Any]] = {}
        self._copies: dict[str, int] = {}
        self.notes: dict[str, str] = {}
        self._masked: deque[Node] = deque(maxlen=LATEST_MASKS)
        self._triangle: tuple[tuple[int, int, int], Flags] | None = None
        self.budget = Budget()

    def input(self, name: str, shape: Shape) -> Value:
        """An input of the model, which is declared when something is computed from it."""
        return self._store("input", name, shape)

    def parameter(
        self,
        name: str,
        shape: Shape,
        *,
        trainable: bool = True,
        values: Callable[[], Any] | None = None,
    ) -> Value:
        """A parameter of the model, which is declared when something is computed from it.

        Parameters
        ----------
        name : str
        shape : tuple of int
        trainable : bool
        values : callable, optional
            Returns the elements, or None. Only their mean and mean square are kept, for signals
            under stored weights.
        """
        value = self._store("parameter" if trainable else "frozen", name, shape)
        if values is not None and self.operations:
            self._values[value.node] = values
        return value

    def work_out(
        self, shape: Shape, function: Callable[..., Array], *constants: Constant
    ) -> Constant:
        """A function of constants that has the given shape.

        Its elements are worked out if those of all constants are known and there are not too many.

        Raises
        ------
        InvalidModelError
            All that is worked out for this model takes too much.
        """
        arrays = [one.array for one in constants if one.array is not None]
        if size_of(shape) > LARGEST_CONSTANT or len(arrays) < len(constants):
            return Constant(shape)
        with np.errstate(all="ignore"):
            return self.held(np.asarray(function(*arrays)), shape, *arrays)

    def held(self, array: Array, shape: Shape | None = None, *read: Array) -> Constant:
        """A constant with the elements of an array, worked out from those of others.

        Raises
        ------
        InvalidModelError
            All that is worked out for this model takes too much.
        """
        if array.base is None:  # A view of another array costs no work.
            self.budget.work(self.name, max(array.size, *[one.size for one in read], 1))
        self.budget.hold(self.name, array)
        return Constant(array.shape if shape is None else shape, array)

    def output(self, *operands: Operand) -> None:
        """Mark outputs of the model.

        A constant has no context and is left out.
        """
        for operand in operands:
            if isinstance(operand, Constant):
                continue
            tensor = self.made(operand)
            if tensor.role != "activation" or tensor.id in self._outputs:
                same = [Relation.same(axis, axis) for axis in range(operand.rank)]
                link: TensorLink = (tensor, same, "data")
                tensor = self._emit_tensor(f"{self.name}/output", operand.shape, [link], MOVE)
            self._outputs.add(tensor.id)
            self.network.output(tensor)

    def made(self, value: Value) -> Tensor:
        """The tensor of the network that has the elements of a value, in its shape."""
        tensor = self._make(value.node)
        if value.function is not IDENTITY:
            tensor = self._map(value, tensor)
        if value.axes is None:
            return tensor
        found = dict[int, int]()
        relations = []
        for axis, source in enumerate(value.axes):
            if source is None:
                relations.append(Relation.sum(axis))
            elif value.node.shape[source] == value.shape[axis]:
                relations.append(Relation.same(source, axis))
                found[source] = axis
            else:
                relations.append(Relation.all(source, axis))
                found[source] = axis
        others = [axis for axis in range(len(value.node.shape)) if axis not in found]
        relations += [Relation.each(axis) for axis in others]
        link: TensorLink = (tensor, relations, "data")
        return self._emit_tensor(f"{value.node.name}/view", value.shape, [link], MOVE)

    def _map(self, value: Value, tensor: Tensor) -> Tensor:
        """The tensor of a function of a node, made now if it is not there."""
        names = [value.function.name()]
        if names == ["identity"]:
            return tensor
        if names == [None] and (scaled := value.function.scaled_name()) is not None:
            names = [scaled[0], f"linear({scaled[1]:.7g}, 0)"]
        key = ""
        for name in names:
            key += name or f"({value.function.description})"
            if key not in value.node.views:
                operation = (
                    self._own_function(value) if name is None else Operation("function", name)
                )
                same = [Relation.same(axis, axis) for axis in range(len(value.node.shape))]
                label = f"{value.node.name}/{(name or 'function').partition('(')[0]}"
                links: list[TensorLink] = [(tensor, same, "data")]
                value.node.views[key] = self._emit_tensor(label, value.node.shape, links, operation)
            tensor = value.node.views[key]
        return tensor

    def _apply_function(
        self, x: Value, function: Callable[[Any], Any] | None, description: str
    ) -> Value:
        """A value after one more function, if functions are followed."""
        if not self.operations:
            return x
        return replace(x, function=x.function.then(function, description))

    def _own_function(self, value: Value) -> Operation:
        """The operation of a function without a name, which the network keeps if it is known."""
        description = f"({value.function.description})"
        if value.function.apply is None:
            return Operation("function", description)
        return Operation("function", self.network.keep_function(value.function.apply, description))

    def emit(
        self,
        shape: Shape,
        links: Iterable[Link],
        operation: Operation = MOVE,
        roles: Sequence[LinkRole] | None = None,
    ) -> Value:
        """A new tensor that is computed from others as the links say.

        Parameters
        ----------
        shape : tuple of int
        links : iterable of (Value, sequence of Relation)
            As for `Network.link`.
        operation : Operation
            How it is computed; by default its elements are read from other places.
        roles : sequence of str, optional
            What each link is to the tensor; by default "data".
        """
        links = list(links)
        given: Sequence[LinkRole] = ["data"] * len(links) if roles is None else roles
        made: list[TensorLink] = [
            (self.made(value), relations, role)
            for (value, relations), role in zip(links, given, strict=True)
        ]
        result = self._declare(self._emit_tensor(self.name, shape, made, operation))
        result.node.is_weight = all(value.node.is_weight for value, _ in links)
        if operation is MOVE and any(value.awaits_scale for value, _ in links):
            return replace(result, awaits_scale=True)
        return result

    def _store(self, kind: Kind, name: str, shape: Shape) -> Value:
        name = self._choose_name(name)
        self._reserved.add(name)
        return Value(Node(kind, name, shape, is_weight=kind != "input"), shape)

    def _make(self, node: Node) -> Tensor:
        """The tensor of a node, made now if it is not there."""
        waiting = [node]
        while waiting:  # Chains may be too long for recursion.
            last = waiting[-1]
            if last.tensor is None:
                missing = [one.node for one in last.operands if one.node.tensor is None]
                if missing:
                    waiting += missing
                    continue
                last.tensor = self._new(last)
            waiting.pop()
        assert node.tensor is not None
        return node.tensor

    def _new(self, node: Node) -> Tensor:
        if node.kind == "input":
            return self.network.input(node.shape, node.name)
        if node.kind in ("parameter", "frozen"):
            tensor = self.network.parameter(node.name, node.shape, node.kind == "parameter")
            if node in self._values:
                self._record_moments(tensor.name, self._values.pop(node)())
            return tensor
        if node.kind == "masked":
            (x,) = node.operands
            return self._visible(node, self.made(x))
        if node.kind == "reduction" and node.reduction == "norm" and self.operations:
            return self._root_of_squares(node)
        tensor = self._emit_tensor(node.name, node.shape, self._links(node), self._operation(node))
        return tensor if node.hidden is None else self._visible(node, tensor)

    def _root_of_squares(self, node: Node) -> Tensor:
        """A norm, step by step: the root of the sum of squares."""
        (x,) = node.operands
        squares = self._apply_function(x, np.square, "square")
        whole = replace(node, operands=(squares,), reduction="sum")
        links = self._links(whole)
        total = self._emit_tensor(f"{node.name}/sum", node.shape, links, REDUCTIONS["sum"])
        same = [Relation.same(axis, axis) for axis in range(len(node.shape))]
        return self._emit_tensor(node.name, node.shape, [(total, same, "data")], ROOT)

    def _visible(self, node: Node, tensor: Tensor) -> Tensor:
        """A tensor without the elements that a mask hides."""
        assert node.hidden is not None
        hidden: Flags = node.hidden
        hiding = hiding_links(hidden, node.shape)
        self.budget.keep(node.name, hiding.positions)
        shape = node.shape
        if hiding.span is not None:
            first, last = hiding.span
            shape = (*shape[:first], size_of(shape[first:last]), *shape[last:])
            flat: TensorLink = (tensor, regrouping(node.shape, shape), "data")
            tensor = self._emit_tensor(f"{node.name}/flat", shape, [flat], MOVE)
        links: list[TensorLink] = [(tensor, relations, "data") for relations in hiding.links]
        visible = self._emit_tensor(f"{node.name}/visible", shape, links, VISIBLE)
        if shape == node.shape:
            return visible
        back: TensorLink = (visible, regrouping(shape, node.shape), "data")
        return self._emit_tensor(f"{node.name}/masked", node.shape, [back], MOVE)

    def _record_moments(self, name: str, values: Any) -> None:
        """Keep mean and mean square of the elements of a parameter."""
        flat = np.asarray(() if values is None else values).reshape(-1)
        if flat.size and "float" in flat.dtype.name and flat.dtype.kind not in "f":
            flat = flat.astype(np.float32)  # Such as bfloat16.
        if not flat.size or flat.dtype.kind not in "fiu":
            return
        total = squares = 0.0
        is_zero = True
        for at in range(0, flat.size, CHUNK):
            part = flat[at : at + CHUNK].astype(np.float64)
            is_zero = is_zero and not part.any()
            with np.errstate(over="ignore", invalid="ignore"):
                total += float(part.sum())
                squares += float(part @ part)
        # Squares that are too large or too small for a float are no number to anyone who asks.
        if squares == 0.0 and not is_zero:
            squares = np.nan
        self.network.record_moments(name, total / flat.size, squares / flat.size)

    def _operation(self, node: Node) -> Operation:
        """How a node that waited is computed."""
        if node.operation is not None:
            return node.operation
        if node.kind == "sum":
            return SUM
        if node.kind == "product":
            return PRODUCT
        if node.kind == "reduction":
            return REDUCTIONS.get(node.reduction, OTHER)
        if node.kind == "contracted":
            return MATMUL
        if node.kind == "normalised":
            if node.normaliser in OTHER_NORMALISERS:
                return Operation("other", node.normaliser, axes=node.axes)
            kind, _, divisor = node.normaliser.partition(" ")
            return Operation(kind or "other", divisor or None, axes=node.axes)
        return MOVE

    def _links(self, node: Node) -> list[TensorLink]:
        if node.kind == "reshaped":
            (x,) = node.operands
            return [(self.made(x), regrouping(x.shape, node.shape), "data")]
        if node.kind == "padded":
            (x,) = node.operands
            grown = {
                axis: a for axis, a in enumerate(node.axes) if x.shape[axis] != node.shape[axis]
            }
            return [(self.made(x), shifted(x.rank, grown), "data")]
        if node.kind == "contracted":
            *given, result = node.labels
            return [
                (self.made(x), related(x.shape, labels, result, node.shape), "data")
                for x, labels in zip(node.operands, given, strict=True)
            ]
        is_transparent = node.kind == "normalised" and self.network.semantics == "value"
        links: list[TensorLink] = []
        for value in node.operands:
            relations = aligned(value.shape, node.shape)
            if not is_transparent:
                for axis in node.axes:  # Only functions of one operand of equal rank have axes.
                    relations[axis] = Relation.all(axis, axis)
            links.append((self.made(value), relations, self._role(node, value)))
        return links

    def _role(self, node: Node, value: Value) -> LinkRole:
        """What an operand is to a sum or a product: a weight of it, or data like the others."""
        if not value.node.is_weight or node.is_weight:
            return "data"
        if node.kind == "sum":
            return "bias"
        return "scale" if node.kind == "product" else "data"

    def _emit_tensor(
        self, name: str, shape: Shape, links: Iterable[TensorLink], operation: Operation
    ) -> Tensor:
        tensor = self.network.tensor(self._choose_name(name), shape, operation=operation)
        for source, relations, role in links:
            self.network.link(source, tensor, relations, role=role)
        return tensor

    def _declare(self, tensor: Tensor) -> Value:
        node = Node("tensor", tensor.name, tensor.shape, tensor=tensor)
        return Value(node, tensor.shape)

    def _choose_name(self, name: str) -> str:
        """A name that no tensor has yet, and that can be printed."""
        if self.network.num_tensors >= MOST_TENSORS:
            raise InvalidModelError(
                f"the model takes more than {MOST_TENSORS:,} tensors; is it one?"
            )
        if not name.isprintable():
            name = "".join([letter if letter.isprintable() else "_" for letter in name])
        name = name or "tensor"
        number = self._copies.get(name, 1)
        free = name if number == 1 else f"{name}#{number}"
        while free in self.network or free in self._reserved:
            number += 1
            free = f"{name}#{number}"
        self._copies[name] = number
        return free


def aligned(source: Shape, target: Shape) -> list[Relation]:
    """How an operand is read after broadcasting, its last axis meeting the last."""
    return alignment(source, target, len(target) - len(source))


def related(
    shape: Shape, labels: Sequence[int], result: Sequence[int], target: Shape
) -> list[Relation]:
    """How a factor of a product is read, by the labels of its axes and of those of the product."""
    relations = []
    for axis, label in enumerate(result):
        if label not in labels:
            relations.append(Relation.sum(axis))
    for source, label in enumerate(labels):
        if label not in result:
            relations.append(Relation.each(source))
        else:
            axis = list(result).index(label)
            is_same = shape[source] == target[axis]
            relations.append((Relation.same if is_same else Relation.all)(source, axis))
    return relations


def shifted(rank: int, starts: Mapping[int, int]) -> list[Relation]:
    """Every element, moved on by `starts` along the axes that have one."""
    return [
        Relation.window(axis, axis, size=1, padding=starts[axis])
        if axis in starts
        else Relation.same(axis, axis)
        for axis in range(rank)
    ]
