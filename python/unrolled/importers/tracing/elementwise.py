"""Functions of elements at the same index: gates and sums.

A product or quotient of pointwise functions of one tensor is one function of it: SiLU, GELU and the
like have one edge, however they are written. What normalises its own tensor is found by
`unrolled.importers.tracing.normalisers`. DESIGN.md, section 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np

from unrolled._core import Operation
from unrolled.importers.tracing.base import OTHER, PRODUCT, SUM, aligned
from unrolled.importers.tracing.functions import IDENTITY, Composition, combined
from unrolled.importers.tracing.known import (
    AT_RUN_TIME,
    applied,
    combined_fill,
    fill_of_all,
    product_of_fills,
    with_rank,
)
from unrolled.importers.tracing.masking import Flags, hidden_of, is_low, is_put_out, without_mask
from unrolled.importers.tracing.normalisers import (
    Normalisers,
    behind,
    without_multiplied_out,
)
from unrolled.importers.tracing.values import (
    INVERSE,
    LONGEST_CHAIN,
    OPPOSITE,
    Combination,
    Constant,
    Node,
    Operand,
    Shape,
    Value,
    broadcast_shapes,
)
from unrolled.network.builder import LinkRole

__all__ = ["Elementwise", "is_of"]


class Elementwise(Normalisers):
    """The part of `Tracer` that combines elements at the same index."""

    def pointwise(
        self,
        x: Operand,
        function: Callable[[Any], Any] | None = None,
        *,
        power: bool = False,
        name: str = "",
    ) -> Operand:
        """A function of single elements: one edge.

        Parameters
        ----------
        x : Operand
        function : callable, optional
            Works constants out; without it only their shape is known, and what the function does
            to a signal is not.
        power : bool
            Whether a reciprocal stays one, as under square roots, clipping, and factors.
        name : str
            For messages: what the framework calls it.
        """
        if isinstance(x, Constant):
            return Constant(x.shape) if function is None else self.work_out(x.shape, function, x)
        y = x if power else replace(x, sign="", mapped=True)
        if x.fill is not None:
            y = replace(y, fill=applied(function, x.fill))
        return self._apply_function(y, function, name or self.name)

    def norm(
        self, x: Operand, axes: Sequence[int], order: Any = None, *, keepdims: bool
    ) -> Operand:
        """The norm of a tensor along some axes: an edge from every element.

        Parameters
        ----------
        x : Operand
        axes : sequence of int
        order : float or str, optional
            Of the norm: by default, for 2 and for "fro" the root of the sum of squares, 1 for the
            sum of sizes, infinity for the largest size. Of matrix norms and of orders that are not
            positive, only the edges are known.
        keepdims : bool
        """
        if order is None or order == "fro" or (order == 2 and len(axes) == 1):
            return self.reduce(x, axes, keepdims=keepdims, reduction="norm")
        is_number = isinstance(order, (int, float)) and not isinstance(order, bool)
        if not is_number or not order > 0 or len(axes) != 1:
            return self.reduce(x, axes, keepdims=keepdims)
        sizes = self.pointwise(x, np.abs, name="abs")
        if math.isinf(order):
            return self.reduce(sizes, axes, keepdims=keepdims, reduction="max")
        if order == 1:
            return self.reduce(sizes, axes, keepdims=keepdims, reduction="sum")
        powers = self.pointwise(sizes, lambda a: a**order, name=f"power {order:g}")
        total = self.reduce(powers, axes, keepdims=keepdims, reduction="sum")
        return self.pointwise(total, lambda a: a ** (1 / order), power=True, name="root")

    def negative(self, x: Operand) -> Operand:
        """Minus a tensor."""
        if isinstance(x, Constant):
            return self.work_out(x.shape, lambda array: -array, x)
        shift = x.shift and x.shift._replace(sign=OPPOSITE[x.shift.sign])
        fill = None if x.fill is None else -float(x.fill)
        y = replace(x, sign=OPPOSITE[x.sign], shift=shift, fill=fill)
        return self._apply_function(y, np.negative, "negative")

    def reciprocal(self, x: Operand) -> Operand:
        """One divided by a tensor."""
        if isinstance(x, Constant):
            is_real = x.array is not None and x.array.dtype.kind in "iuf"
            divided = partial(np.true_divide, 1.0)  # Of integers, too: 2 is no less than 2.0.
            return self.work_out(x.shape, divided, x) if is_real else Constant(x.shape)
        fill = None if not x.fill else 1.0 / x.fill
        return self._apply_function(
            replace(x, sign=INVERSE[x.sign], fill=fill), np.reciprocal, "reciprocal"
        )

    def add(self, *operands: Operand) -> Operand:
        """Sum of tensors after broadcasting; a statistic subtracted from its tensor normalises."""
        return self._combine_operands(operands, "sum")

    def subtract(self, a: Operand, b: Operand) -> Operand:
        """Difference of two tensors after broadcasting; see `add`."""
        return self.add(a, self.negative(b))

    def multiply(self, *operands: Operand) -> Operand:
        """Product of tensors after broadcasting.

        Of pointwise functions of one tensor it is one function; a statistic whose reciprocal
        multiplies its own tensor normalises; every other factor has an edge.
        """
        return self._combine_operands(operands, "product")

    def divide(self, a: Operand, b: Operand) -> Operand:
        """Quotient of two tensors after broadcasting; see `multiply`."""
        return self.multiply(a, self.reciprocal(b))

    def dequantised(
        self, operands: Sequence[Operand], part: Literal["scale", "zero point"]
    ) -> list[Operand]:
        """The operands of a product or difference, a part of a quantised weight made a constant.

        The first stored tensor that multiplies stored integers, or a product with them, is their
        scale: as where a single operator dequantises them, it is no parameter. Nor is one that is
        subtracted before.

        Parameters
        ----------
        operands : sequence of Operand
        part : {"scale", "zero point"}
            What the other operand is if one is of stored integers.
        """
        for x, other in (operands, operands[::-1]) if len(operands) == 2 else ():
            if not (isinstance(x, Value) and x.awaits_scale and isinstance(other, Value)):
                continue
            stored = other.node
            while stored.kind == "reshaped":
                stored = stored.operands[0].node
            if stored.kind in ("parameter", "frozen") and not other.awaits_scale:
                self.notes[stored.name] = f"the {part} of a quantised weight"
                rest = replace(x, awaits_scale=part != "scale")
                return [rest if one is x else Constant(other.shape) for one in operands]
        return list(operands)

    def combine(self, *operands: Operand, compute: Callable[..., Any] | None = None) -> Operand:
        """Any other function of elements at the same index: an edge for each operand.

        Parameters
        ----------
        *operands : Operand
        compute : callable, optional
            The function of arrays. If all operands are functions of one tensor, it tells what is
            done to a signal.
        """
        shape = broadcast_shapes(self.name, [operand.shape for operand in operands])
        values = [operand for operand in operands if isinstance(operand, Value)]
        if not values:
            return Constant(shape)
        first = values[0]
        operation = OTHER
        if all(is_of(x, first) for x in values) and shape == first.shape:
            name = self._composed(first.node, operands, compute).name()
            if name is not None:
                values = [replace(x, function=IDENTITY) for x in values]
                operation = Operation("function", function=name)
        return self.emit(shape, [(x, aligned(x.shape, shape)) for x in values], operation)

    def function(self, *operands: Operand, compute: Callable[..., Any] | None = None) -> Operand:
        """Any function of elements at the same index.

        One function if all operands are functions of one tensor, else an edge for each of them.

        Parameters
        ----------
        *operands : Operand
        compute : callable, optional
            The function of arrays, which tells what is done to a signal.
        """
        functions = [self.pointwise(x) for x in operands if isinstance(x, Value)]
        shape = broadcast_shapes(self.name, [operand.shape for operand in operands])
        if not functions:
            return Constant(shape)
        result = self.multiply(*functions)
        if isinstance(result, Value):
            result = self._computed(result, operands, compute)
            result = replace(result, fill=fill_of_all(result, operands, compute))
        return self.expand(result, shape)

    def _computed(
        self, x: Value, operands: Sequence[Operand], compute: Callable[..., Any] | None
    ) -> Value:
        """A value with the function that `compute` makes of the operands, if it is one of them."""
        composed = self._composed(x.node, operands, compute)
        is_plain = composed.apply is not None and x.fill is None
        return replace(x, function=composed) if is_plain else x

    def _composed(
        self, node: Node, operands: Sequence[Operand], compute: Callable[..., Any] | None
    ) -> Composition:
        """A function of several functions of one node, and of single numbers."""
        unknown = Composition(None, self.name)
        if compute is None or not self.operations:
            return unknown
        parts = []
        for operand in operands:
            if isinstance(operand, Value):
                if node not in operand.node.functions_of():
                    return unknown
                parts.append(_function_of(operand, node))
            else:
                number = operand.only_number()
                if number is None:
                    return unknown
                parts.append(Composition(partial(np.full_like, fill_value=number), f"{number:g}"))
        return combined(parts, compute, self.name)

    def _combine_operands(self, operands: Sequence[Operand], kind: Combination) -> Operand:
        shape = broadcast_shapes(self.name, [operand.shape for operand in operands])
        given = [operand for operand in operands if isinstance(operand, Value)]
        if not given:
            return Constant(shape)
        given = _turned_alike(given)
        given, hidden = self._without_masks(operands, given, kind, len(shape))
        result = self._combined_whole(operands, given, kind, shape)
        if hidden is not None:
            return self.mask(
                self.expand(result, shape), hidden, -math.inf if kind == "sum" else 0.0
            )
        if len(given) == 1 and isinstance(result, Value) and result.fill is not None:
            constants = [x for x in operands if isinstance(x, Constant)]
            result = replace(result, fill=combined_fill(result.fill, constants, kind))
        return result

    def _without_masks(
        self, operands: Sequence[Operand], given: list[Value], kind: Combination, rank: int
    ) -> tuple[list[Value], Flags | None]:
        """Tensors without their masks, and what the masks hide of their sum or product.

        What is added to a score that is put out makes no difference, nor does what multiplies a
        zero.
        """
        hidden: Flags | None = None
        if kind == "sum":
            for x in operands:
                if isinstance(x, Constant) and x.array is not None:
                    low = is_put_out(x.array)
                    if low.any() and not low.all():
                        self.budget.work(self.name, low.size)
                        low = with_rank(low, rank)
                        self._check_spread(low, *([] if hidden is None else [hidden]))
                        hidden = low if hidden is None else hidden | low
        elif any(isinstance(x, Constant) and is_low(x.only_number()) for x in operands):
            self.notes[self.name] = AT_RUN_TIME
        if len(given) == 1 or any(value.node.is_statistic for value in given):
            return given, hidden
        bare: list[Value] = []
        for value in given:
            own = hidden_of(value)
            is_decisive = is_low(value.fill) if kind == "sum" else value.fill == 0.0
            if own is None or not is_decisive:
                bare.append(value)
                continue
            own = with_rank(own, rank)
            self._check_spread(own, *([] if hidden is None else [hidden]))
            hidden = own if hidden is None else hidden | own
            bare.append(without_mask(value) or value)
        return bare, hidden

    def _combined_whole(
        self, operands: Sequence[Operand], given: list[Value], kind: Combination, shape: Shape
    ) -> Operand:
        """A sum or product of tensors and constants, whatever masks hide of it."""
        if kind == "sum":
            given = self._without_shifts(without_multiplied_out(given))
        values, whole = self._without_normalisers(given, kind)
        if self.operations and len(given) < len(operands):
            constants = [operand for operand in operands if isinstance(operand, Constant)]
            values[0] = self._with_constants(values[0], constants, kind)
        result = self._merge(values, kind, shape, len(operands))
        if kind == "product" and whole is not None and isinstance(result, Value):
            others = [value.node for value in values if whole not in behind(value.node)]
            result.node.scaled = whole, tuple(others)
        return result

    def _merge(
        self, values: Sequence[Value], kind: Combination, shape: Shape, number: int
    ) -> Operand:
        """A sum or product of values that normalise none of the others."""
        first = values[0]
        if len(values) == 1:
            if kind == "sum" and number > 1:  # Constants were added.
                first = replace(first, sign="-" if first.sign == "-" else "", mapped=True)
            return self.expand(first, shape)
        is_one_view = all(
            value.axes == first.axes
            and value.shape == shape
            and value.node.shape == first.node.shape
            for value in values
        )
        common = _common(values) if is_one_view else None
        if common is not None and kind == "product":
            function = IDENTITY
            if self.operations:
                parts = [_function_of(value, common) for value in values]
                function = combined(parts, lambda *factors: np.prod(factors, axis=0), "product")
            fill = product_of_fills(values)
            return Value(common, shape, first.axes, function=function, fill=fill)
        statistics = [value.node.is_statistic for value in values]
        if common is not None or (is_one_view and all(statistics)):
            whole = [replace(value, shape=value.node.shape, axes=None) for value in values]
            waiting = self._waiting(kind, first.node.shape, whole, common)
            return replace(waiting, shape=shape, axes=first.axes)
        if any(statistics):  # It may yet meet the tensor that one of its parts normalises.
            return self._waiting(kind, shape, values, None)
        links = [(value, aligned(value.shape, shape)) for value in values]
        return self.emit(shape, links, *self._meaning(kind, values))

    def _meaning(
        self, kind: Combination, values: Sequence[Value]
    ) -> tuple[Operation, list[LinkRole]]:
        """The operation of a sum or product, and the roles of its operands."""
        is_weight = all(value.node.is_weight for value in values)
        role: LinkRole = "bias" if kind == "sum" else "scale"
        roles: list[LinkRole] = [
            role if value.node.is_weight and not is_weight else "data" for value in values
        ]
        return SUM if kind == "sum" else PRODUCT, roles

    def _with_constants(self, x: Value, constants: Sequence[Constant], kind: Combination) -> Value:
        """A value after constants were added or multiplied, single numbers or arrays of one."""
        for constant in constants:
            number = constant.only_number()
            if number is not None:
                shown = f"{'plus' if kind == 'sum' else 'times'} {number:g}"
                function = partial(np.add if kind == "sum" else np.multiply, number)
                x = replace(x, function=x.function.then(function, shown))
            elif kind == "sum":
                # Masks and positions that are constant: they move a mean, which is not followed.
                self.notes[self.name] = "a constant that differs by element is added"
            else:
                x = replace(x, function=x.function.then(*self._array_factor(constant)))
        return x

    def _array_factor(self, constant: Constant) -> tuple[Callable[[Any], Any] | None, str]:
        """The factor that mean squares follow where each element has its own, and what it is."""
        text = "times a constant array"
        if constant.array is None or not constant.size or constant.array.dtype.kind not in "iuf":
            return None, text
        numbers = constant.array.astype(np.float64)
        with np.errstate(all="ignore"):
            size = float(np.sqrt(np.mean(np.square(numbers))))
            mean = float(np.mean(numbers))
        if not math.isfinite(size) or not math.isfinite(mean):
            return None, text
        self.notes[self.name] = "a constant that differs by element multiplies: by its mean square"
        return partial(np.multiply, math.copysign(size, mean)), text

    def _waiting(
        self, kind: Combination, shape: Shape, operands: Sequence[Value], parent: Node | None
    ) -> Value:
        """A sum or product that is made only if something reads it as it is."""
        depth = 1 + max(value.node.depth for value in operands)
        if depth > LONGEST_CHAIN:
            links = [(value, aligned(value.shape, shape)) for value in operands]
            return self.emit(shape, links, *self._meaning(kind, operands))
        node = Node(kind, self.name, shape, tuple(operands), parent=parent, depth=depth)
        node.is_weight = all(value.node.is_weight for value in operands)
        return Value(node, shape)


def is_of(condition: Operand, x: Value) -> bool:
    """Whether a condition on single elements is a function of a tensor."""
    return isinstance(condition, Value) and (condition.node, condition.shape, condition.axes) == (
        x.node,
        x.shape,
        x.axes,
    )


def _turned_alike(values: list[Value]) -> list[Value]:
    """Values in which statistics of a product are those of the product with its axes as here.

    A product may be met with its axes in one order, and a maximum of it, which a softmax subtracts,
    be taken of another order.
    """
    products = [x.node for x in values if x.node.kind == "contracted" and x.axes is None]
    if len(products) != 1 or len(values) == 1:
        return values
    (product,) = products
    return [_turned_statistic(value, product) for value in values]


def _turned_statistic(value: Value, product: Node) -> Value:
    """A reduction of a product, as one of the same product with its axes in another order."""
    node = value.node
    if node.kind != "reduction" or node.shift is not None:
        return value
    (whole,) = node.operands
    if whole.node.kind != "contracted" or whole.node.operands != product.operands:
        return value
    (*factors, own), (*others, turned) = whole.node.labels, product.labels
    if factors != others or own == turned or sorted(own) != sorted(turned):
        return value
    place = [turned.index(label) for label in own]
    shape = tuple([node.shape[own.index(label)] for label in turned])
    again = replace(
        node,
        shape=shape,
        operands=(replace(whole, node=product, shape=product.shape),),
        axes=tuple(sorted([place[axis] for axis in node.axes])),
        tensor=None,
        views={},
    )
    axes = range(len(own)) if value.axes is None else value.axes
    return replace(
        value, node=again, axes=tuple([None if at is None else place[at] for at in axes])
    )


def _function_of(value: Value, common: Node) -> Composition:
    """What a value is a function of: of a node that it descends from, element by element."""
    node = value.node
    if node is common:
        return value.function
    if node.kind in ("sum", "product") and all(
        common in operand.node.functions_of() for operand in node.operands
    ):
        parts = [_function_of(operand, common) for operand in node.operands]
        combine = np.sum if node.kind == "sum" else np.prod
        inner = combined(parts, lambda *terms: combine(terms, axis=0), node.kind)
        return inner.followed_by(value.function)
    return Composition(None, "a normaliser").followed_by(value.function)


def _common(values: Sequence[Value]) -> Node | None:
    """The nearest node that all values are pointwise functions of."""
    chains = [value.node.functions_of() for value in values]
    others = [set(chain) for chain in chains[1:]]
    return next((node for node in chains[0] if all(node in other for other in others)), None)
