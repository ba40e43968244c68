"""Declaring tensors, making them, and linking them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from unrolled._core import Relation
from unrolled.errors import InvalidModelError
from unrolled.importers.tracing.budget import LARGEST_CONSTANT, Budget
from unrolled.importers.tracing.values import (
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
    from unrolled.network.builder import Tensor
    from unrolled.network.network import Network

__all__ = ["Base", "Link", "aligned", "shifted"]

MOST_TENSORS = 1_000_000
"""Of one network; a model that needs more is refused, for it may be a trap."""

Link = tuple[Value, Sequence[Relation]]


class Base:
    """Holds the network that is being built; the base of all parts of `Tracer`."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.name = "tensor"
        self._outputs: set[int] = set()
        self._reserved: set[str] = set()
        self._copies: dict[str, int] = {}
        self.notes: dict[str, str] = {}
        self.budget = Budget()

    def input(self, name: str, shape: Shape) -> Value:
        """An input of the model, which is declared when something is computed from it."""
        return self._stored("input", name, shape)

    def parameter(self, name: str, shape: Shape, *, trainable: bool = True) -> Value:
        """A parameter of the model, which is declared when something is computed from it."""
        return self._stored("parameter" if trainable else "frozen", name, shape)

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
        if array.base is None:  # To look at another array in another way is no work.
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
                tensor = self._emitted(f"{self.name}/output", operand.shape, [(tensor, same)])
            self._outputs.add(tensor.id)
            self.network.output(tensor)

    def made(self, value: Value) -> Tensor:
        """The tensor of the network that has the elements of a value, in its shape."""
        tensor = self._made(value.node)
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
        return self._emitted(f"{value.node.name}/view", value.shape, [(tensor, relations)])

    def emit(self, shape: Shape, links: Iterable[Link]) -> Value:
        """A new tensor that is computed from others as the links say.

        Parameters
        ----------
        shape : tuple of int
        links : iterable of (Value, sequence of Relation)
            As for `Network.link`.
        """
        made = [(self.made(value), relations) for value, relations in links]
        return self._declared(self._emitted(self.name, shape, made))

    def _stored(self, kind: Kind, name: str, shape: Shape) -> Value:
        name = self._free(name)
        self._reserved.add(name)
        return Value(Node(kind, name, shape), shape)

    def _made(self, node: Node) -> Tensor:
        """The tensor of a node, made now if it is not there."""
        waiting = [node]
        while waiting:  # Not by recursion: chains may be long.
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
            return self.network.parameter(node.name, node.shape, node.kind == "parameter")
        return self._emitted(node.name, node.shape, self._links(node))

    def _links(self, node: Node) -> list[tuple[Tensor, list[Relation]]]:
        if node.kind == "reshaped":
            (x,) = node.operands
            return [(self.made(x), regrouping(x.shape, node.shape))]
        if node.kind == "padded":
            (x,) = node.operands
            grown = {
                axis: a for axis, a in enumerate(node.axes) if x.shape[axis] != node.shape[axis]
            }
            return [(self.made(x), shifted(x.rank, grown))]
        links = []
        for value in node.operands:
            relations = aligned(value.shape, node.shape)
            for axis in node.axes:  # Only of those that have one operand, of their own rank.
                relations[axis] = Relation.all(axis, axis)
            links.append((self.made(value), relations))
        return links

    def _emitted(
        self, name: str, shape: Shape, links: Iterable[tuple[Tensor, Sequence[Relation]]]
    ) -> Tensor:
        tensor = self.network.tensor(self._free(name), shape)
        for source, relations in links:
            self.network.link(source, tensor, relations)
        return tensor

    def _declared(self, tensor: Tensor) -> Value:
        node = Node("tensor", tensor.name, tensor.shape, tensor=tensor)
        return Value(node, tensor.shape)

    def _free(self, name: str) -> str:
        """A name that no tensor has yet, and that can be printed."""
        if len(self.network._tensors) >= MOST_TENSORS:
            raise InvalidModelError(
                f"the model takes more than {MOST_TENSORS:,} tensors; is it one?"
            )
        name = "".join([letter if letter.isprintable() else "_" for letter in name]) or "tensor"
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


def shifted(rank: int, starts: Mapping[int, int]) -> list[Relation]:
    """Every element, moved on by `starts` along the axes that have one."""
    return [
        Relation.window(axis, axis, size=1, padding=starts[axis])
        if axis in starts
        else Relation.same(axis, axis)
        for axis in range(rank)
    ]
