"""Functions of elements at the same index: gates, sums, and normalisers found among them.

A product or quotient of pointwise functions of one tensor is one function of it: SiLU, GELU and the
like have one edge, however they are written. A statistic of a tensor (a mean, a norm, a sum or any
other reduction, and functions of them) that is subtracted from the tensor, or divides it, is a
normaliser. DESIGN.md, section 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from unrolled._core import Operation, Relation
from unrolled.errors import InvalidModelError
from unrolled.importers.tracing.base import OTHER, PRODUCT, SUM, aligned
from unrolled.importers.tracing.functions import IDENTITY, Composition, combined
from unrolled.importers.tracing.masking import (
    LOW,
    Flags,
    hidden_of,
    is_low,
    is_put_out,
    narrowed,
    without_mask,
)
from unrolled.importers.tracing.movement import Movement
from unrolled.importers.tracing.values import (
    LONGEST_CHAIN,
    Array,
    Constant,
    Node,
    Operand,
    Shape,
    Shift,
    Sign,
    Value,
    broadcast_shapes,
    checked_axes,
)
from unrolled.network.builder import LinkRole

__all__ = ["Elementwise"]

AT_RUN_TIME = "a mask known only at run time: it takes no edges away"
"""What the provenance says of a mask that changes nothing."""

Kind: TypeAlias = Literal["sum", "product"]

UNNAMED = ("log_softmax", "norm", "sparsemax")
"""Normalisers whose operation has no name of its own."""

NORM_ROLES: tuple[LinkRole, ...] = ("scale", "shift", "mean", "variance")
"""What the weights of norms are to their tensor, in the order in which rules give them."""

OPPOSITE: dict[Sign, Sign] = {"": "-", "-": "", "/": "-"}
INVERSE: dict[Sign, Sign] = {"": "/", "-": "/", "/": ""}


class Elementwise(Movement):
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
            y = replace(y, fill=_applied(function, x.fill))
        return self._apply_function(y, function, name or self.name)

    def _apply_function(
        self, x: Value, function: Callable[[Any], Any] | None, description: str
    ) -> Value:
        """A value after one more function, if functions are followed."""
        if not self.operations:
            return x
        return replace(x, function=x.function.then(function, description))

    def negative(self, x: Operand) -> Operand:
        """Minus a tensor."""
        if isinstance(x, Constant):
            return self.work_out(x.shape, lambda array: -array, x)
        shift = x.shift and replace(x.shift, sign=OPPOSITE[x.shift.sign])
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
        if all(_is_of(x, first) for x in values) and shape == first.shape:
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
            result = replace(result, fill=_fill_of_all(result, operands, compute))
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

    def both(self, *operands: Operand) -> Operand:
        """Whether all conditions hold: not where one is known not to.

        It is a function of the others, and a known number where a constant is false.
        """
        return self._decided(operands, False, np.logical_and)

    def either(self, *operands: Operand) -> Operand:
        """Whether any condition holds: it does where one is known to."""
        return self._decided(operands, True, np.logical_or)

    def _decided(
        self, operands: Sequence[Operand], decisive: bool, compute: Callable[..., Any]
    ) -> Operand:
        """A function of conditions that is known wherever one of them is the decisive one."""
        shape = broadcast_shapes(self.name, [operand.shape for operand in operands])
        result = self.function(*operands, compute=compute if len(operands) == 2 else None)
        are_flags = all(isinstance(x, Constant) or isinstance(x.fill, bool) for x in operands)
        if isinstance(result, Value) and not are_flags:
            result = replace(result, fill=None)
        hidden: Flags = np.zeros((1,) * len(shape), dtype=bool)
        for x in operands:
            known = self._known(x, len(shape))
            if decisive and known.numbers.dtype != np.bool_:
                continue  # Of integers, the bits are combined.
            hidden = hidden | (known.places & ((known.numbers != 0) == decisive))
        return self.mask(result, hidden, decisive)

    def _known(self, x: Operand, rank: int) -> Known:
        """The elements of an operand that are known, with axes of length 1 in front."""
        places: Array = np.zeros((1,) * rank, dtype=bool)
        numbers: Array = np.zeros((1,) * rank)
        if isinstance(x, Constant):
            if x.array is not None and x.array.dtype.kind in "iufb":
                self.budget.work(self.name, x.array.size)
                return Known(~places, _with_rank(x.array, rank))
            return Known(places, numbers)
        hidden = hidden_of(x)
        if hidden is None:
            return Known(places, numbers)
        self.budget.work(self.name, hidden.size)
        return Known(_with_rank(hidden, rank), np.full((1,) * rank, x.fill))

    def mask(self, x: Operand, hidden: Flags, fill: float) -> Operand:
        """A tensor of which some elements are a number instead: nothing has an edge to them.

        Parameters
        ----------
        x : Operand
        hidden : numpy.ndarray of bool
            True for them; broadcasts to the shape of `x`.
        fill : float
            What they are.
        """
        hidden = narrowed(_with_rank(np.asarray(hidden, dtype=bool), x.rank))
        if isinstance(x, Constant) or not hidden.any():
            return x
        if hidden.all():
            return self.work_out(x.shape, lambda: np.broadcast_to(np.asarray(fill), x.shape))
        known = hidden_of(replace(x, fill=fill))
        if x.fill is None and known is not None and np.array_equal(narrowed(known), hidden):
            # What was not known of the elements that a mask hides is known now.
            return replace(x, fill=fill)
        own = hidden_of(x)
        if own is None:
            return self._masked_value(x, hidden, fill)
        assert x.fill is not None
        if x.fill == fill or (is_low(x.fill) and is_low(fill)):
            fill = max(x.fill, fill)
            union = narrowed(hidden | own)
            if union.shape == own.shape and np.array_equal(union, own):
                return replace(x, fill=fill)
            inner = without_mask(x)
            is_free = inner is not None and x.node.tensor is None
            return self._masked_value(inner if inner is not None and is_free else x, union, fill)
        y = self._masked_value(x, hidden, fill)
        rest = narrowed(own & ~hidden)
        if is_low(x.fill) and rest.any():
            # One number is remembered: that of scores that are put out matters most.
            return self._masked_value(y, rest, x.fill)
        return y

    def _masked_value(self, x: Value, hidden: Flags, fill: float) -> Value:
        """A tensor of which elements are a number instead, whatever was known of it."""
        if x.axes is not None:
            x = self._declare(self.made(x))
        for known in self._masked:
            # Functions write a mask several times, and mean one tensor.
            (masked,) = known.operands
            is_same = masked.node is x.node and masked.function is x.function
            if is_same and known.hidden is not None and np.array_equal(known.hidden, hidden):
                return Value(known, x.shape, fill=fill, mapped=True)
        self.budget.hold(self.name, hidden)
        node = Node("masked", self.name, x.shape, (replace(x, fill=None),), depth=x.node.depth)
        node.hidden, node.is_weight = hidden, x.node.is_weight
        self._masked.append(node)
        if self.operations:
            self.notes[self.name] = "a mask: a signal is followed as if what it hides were zero"
        return Value(node, x.shape, fill=fill)

    def where(self, condition: Operand, a: Operand, b: Operand) -> Operand:
        """Elements of `a` where a condition holds, else of `b`.

        What a constant condition chooses is known: each element is read from its own tensor, and
        from none where a constant is chosen that is zero or puts scores out. Any other constant
        changes no edge. A condition known at run time chooses anything, but for what it is known
        not to choose.
        """
        values = [x for x in (a, b) if isinstance(x, Value)]
        shape = broadcast_shapes(self.name, [condition.shape, a.shape, b.shape])
        if isinstance(condition, Value):
            return self._where_at_run_time(condition, a, b, shape)
        if condition.array is None:
            if any(map(_has_low, (a, b))):
                self.notes[self.name] = "a mask whose values are not known: it takes no edges away"
            return self.function(condition, a, b)
        chosen = np.asarray(condition.array, dtype=bool)
        if chosen.all() or not chosen.any():
            return self.expand(a if chosen.all() else b, shape)
        fill = a if isinstance(a, Constant) else b
        if not isinstance(fill, Constant):
            return self.choose(np.broadcast_to(~chosen, shape).astype(np.int8), [a, b])
        if not values:
            return Constant(shape)
        hidden = _with_rank(chosen if fill is a else ~chosen, len(shape))
        number = None if fill.array is None else _only_number_where(fill.array, hidden)
        x = self.expand(self._plain(values[0]), shape)
        if number is None or (number != 0.0 and not is_low(number)):
            own = hidden_of(x)
            result = self.function(a, b)
            if own is None or not isinstance(x, Value) or x.fill is None:
                return result
            return self.mask(result, own & ~hidden, x.fill)
        return self.mask(x, hidden, number)

    def _plain(self, x: Value) -> Value:
        """A tensor as it is, not what it may turn out to be later."""
        return x if x.axes is None else self._declare(self.made(x))

    def _where_at_run_time(self, condition: Value, a: Operand, b: Operand, shape: Shape) -> Operand:
        """What a condition chooses that is computed, as far as it is not known."""
        rank = len(shape)
        decided, first, second = (self._known(x, rank) for x in (condition, a, b))
        met = decided.places & (decided.numbers != 0)
        unmet = decided.places & (decided.numbers == 0)
        if isinstance(a, Value) and isinstance(b, Value):
            # What is known not to be chosen is not read.
            if unmet.any() and not _is_of(condition, a):
                a = self.mask(self.expand(self._plain(a), shape), unmet, 0.0)
            if met.any() and not _is_of(condition, b):
                b = self.mask(self.expand(self._plain(b), shape), met, 0.0)
        result = self._chosen(condition, a, b, shape)
        for fill, test in ((-math.inf, _are_low), (0.0, _are_zero)):
            of_a, of_b = (one.places & test(one.numbers) for one in (first, second))
            hidden = (met & of_a) | (unmet & of_b) | (~decided.places & of_a & of_b)
            if hidden.any():
                self.budget.work(self.name, hidden.size)
                return self.mask(self.expand(result, shape), hidden, fill)
        if any(map(_has_low, (a, b))):
            self.notes[self.name] = AT_RUN_TIME
        return result

    def _chosen(self, condition: Value, a: Operand, b: Operand, shape: Shape) -> Operand:
        """What a condition chooses, without what is known of its elements."""
        values = [x for x in (a, b) if isinstance(x, Value)]
        if len(values) == 1 and _is_of(condition, values[0]):
            chosen_of = self.pointwise(values[0], power=True)
            assert isinstance(chosen_of, Value)
            return self.expand(self._computed(chosen_of, (condition, a, b), np.where), shape)
        if len(values) == 1:
            # A condition on a statistic of the tensor belongs to its normaliser, as where a softmax
            # is made safe against groups that are masked as a whole.
            gate = replace(condition, sign="/", mapped=True, fill=None)
            x = replace(values[0], sign="", mapped=True, fill=None)
            is_normalised = x.node.kind == "normalised"
            if is_normalised and _normalises(gate, x, "product") == x.node.axes:
                return self.expand(x, shape)
            return self.expand(self.multiply(x, gate), shape)
        return self.function(condition, a, b, compute=np.where)

    def affine(
        self,
        x: Operand,
        axes: Sequence[int],
        *weights: Operand,
        operation: Operation = SUM,
        roles: Sequence[LinkRole] | None = None,
    ) -> Operand:
        """A function of a tensor and of weights that lie along its axes `axes`: edges from all.

        Parameters
        ----------
        x : Operand
        axes : sequence of int
        *weights : Operand
        operation : Operation
            By default the sum of a tensor and a bias. Of a normalised tensor it is that of the
            normaliser, and the two are one tensor.
        roles : sequence of str, optional
            What each weight is to the tensor: by default a bias if it is the only one, else scale,
            shift, mean and variance in this order.
        """
        if roles is None:
            roles = ("bias",) if len(weights) == 1 else NORM_ROLES[: len(weights)]
        lengths = [x.shape[axis] for axis in axes]
        for weight in weights:
            own = lengths[max(len(lengths) - weight.rank, 0) :]
            if len(own) != weight.rank or any(
                n not in (1, length) for n, length in zip(weight.shape, own, strict=True)
            ):
                raise InvalidModelError(
                    f"{self.name}: a weight of shape {weight.shape} does not lie along axes "
                    f"{list(axes)} of a tensor of shape {x.shape}"
                )
        links = []
        given: list[LinkRole] = []
        if isinstance(x, Value):
            read, relations, operation = self._before_normaliser(x, operation)
            links.append((read, relations))
            given.append("data")
        for weight, role in zip(weights, roles, strict=True):
            if isinstance(weight, Value):
                given.append(role)
                at = list(axes)[len(axes) - weight.rank :]
                relations = [Relation.sum(axis) for axis in range(x.rank) if axis not in at]
                for source, axis in enumerate(at):
                    whole = weight.shape[source] == x.shape[axis]
                    relations.append((Relation.same if whole else Relation.all)(source, axis))
                links.append((weight, relations))
        is_alone = isinstance(x, Value) and len(links) == 1
        if is_alone and self.operations and operation is not SUM:
            return self.emit(x.shape, links, operation, given)
        if isinstance(x, Value) and is_alone:
            y = replace(x, sign="", mapped=True, fill=None)
            return self._apply_function(y, None, self.name)
        return self.emit(x.shape, links, operation, given) if links else Constant(x.shape)

    def _before_normaliser(
        self, x: Value, operation: Operation
    ) -> tuple[Value, list[Relation], Operation]:
        """What a tensor with weights reads, so that a normaliser and its scale are one tensor."""
        relations = [Relation.same(axis, axis) for axis in range(x.rank)]
        node = x.node
        is_plain = x.axes is None and x.function is IDENTITY and node.tensor is None
        is_plain = is_plain and node.hidden is None
        if not (self.operations and node.kind == "normalised" and is_plain):
            return x, relations, operation
        if self.network.semantics == "dependency":
            for axis in node.axes:
                relations[axis] = Relation.all(axis, axis)
        return node.operands[0], relations, self._operation(node)

    def reduce(
        self, x: Operand, axes: Sequence[int], *, keepdims: bool, reduction: str = ""
    ) -> Operand:
        """A sum, mean, norm, maximum or the like over some axes: an edge from every element.

        Parameters
        ----------
        x : Operand
        axes : sequence of int
        keepdims : bool
        reduction : str
            "mean", "sum", "max", "norm", or nothing if it is another one.
        """
        chosen = set(checked_axes(self.name, axes, x.rank))
        kept = [axis for axis in range(x.rank) if keepdims or axis not in chosen]
        shape = tuple([1 if axis in chosen else x.shape[axis] for axis in kept])
        if isinstance(x, Constant):
            return Constant(shape)
        if not chosen:
            return x.signed("")
        sign: Sign = "-" if x.sign == "-" else ""
        x = self._seen_whole(x, chosen)
        places = range(x.rank) if x.axes is None else x.axes
        reduced = tuple(sorted([at for axis in chosen if (at := places[axis]) is not None]))
        whole = Value(x.node, x.node.shape, function=x.function)
        canonical = tuple([1 if a in reduced else n for a, n in enumerate(x.node.shape)])
        shift = x.shift if x.shift is not None and set(reduced) <= set(x.shift.axes) else None
        node = Node(
            "reduction",
            self.name,
            canonical,
            (whole,),
            reduced,
            depth=x.node.depth + 1,
            shift=shift,
            is_weight=x.node.is_weight,
            reduction=reduction,
        )
        if x.axes is None and keepdims:
            return Value(node, shape, sign=sign)
        return Value(node, shape, tuple([places[axis] for axis in kept]), sign=sign)

    def normalise(self, x: Operand, axes: Sequence[int], normaliser: str = "") -> Operand:
        """What subtracts a mean of the tensor over `axes`, divides by a norm of it, or softmax.

        One edge from each element with value semantics, one from every element of its group with
        dependency semantics.

        Parameters
        ----------
        x : Operand
        axes : sequence of int
        normaliser : str
            The kind of the operation, such as "layer_norm", or nothing if it is another one. Of
            "log_softmax", "sparsemax" and "norm", a division by a norm, only what becomes of
            elements that a mask hides is known.
        """
        if isinstance(x, Constant):
            return Constant(x.shape)
        x = self._seen_whole(x.signed(""), range(x.rank))
        places: Sequence[int | None] = range(x.rank) if x.axes is None else x.axes
        chosen = {places[axis] for axis in checked_axes(self.name, axes, x.rank)}
        group = tuple(sorted([axis for axis in chosen if axis is not None]))
        fill = _normalised_fill(x.fill, normaliser)
        kind = "" if normaliser in UNNAMED else normaliser
        y = self._make_normalised(x, group, normaliser=kind, is_known=fill is not None)
        return replace(y, fill=fill)

    def _make_normalised(
        self,
        x: Value,
        axes: tuple[int, ...],
        kind: Kind = "product",
        statistic: Value | None = None,
        normaliser: str = "",
        *,
        is_known: bool = False,
    ) -> Value:
        """`axes` are those of the node; a sum subtracts a mean, which a product may follow.

        Hidden elements stay known if `is_known`; where a statistic is subtracted, if they are low,
        and where one divides, if they are zero.
        """
        is_transparent = self.network.semantics == "value"
        hidden = hidden_of(x)
        if statistic is not None:
            is_known = is_low(x.fill) if kind == "sum" else x.fill == 0.0
        if hidden is not None and not is_known:
            x, hidden = replace(x, fill=None), None
        if is_transparent and not self.operations:
            return x
        node = x.node
        whole = (Value(node, node.shape, function=x.function),)
        if statistic is not None and self.operations:
            normaliser = _normaliser(x, axes, kind, statistic)
        if node.kind == "normalised" and node.axes == axes and not node.is_divided:
            whole = (node.operands[0],)
        made = Node(
            "normalised",
            self.name,
            node.shape,
            whole,
            axes,
            parent=node if is_transparent else None,
            is_divided=kind == "product",
            is_weight=node.is_weight,
            normaliser=normaliser,
            hidden=hidden,
        )
        function = IDENTITY
        if (
            normaliser == "rms_norm"
            and statistic is not None
            and not _is_root_of_mean(statistic, _reduction_in(statistic.node))
        ):
            # Divided by a norm and not by a root mean square.
            factor = float(np.prod([node.shape[axis] for axis in axes])) ** -0.5
            function = function.then(partial(np.multiply, factor), f"times {factor:g}")
        return replace(x, node=made, function=function)

    def _seen_whole(self, x: Value, axes: Sequence[int] | set[int]) -> Value:
        """A value of which `axes` are axes of its node and as long."""
        if x.axes is None:
            return x
        for axis in axes:
            at = x.axes[axis]
            if at is None or x.node.shape[at] != x.shape[axis]:
                return self._declare(self.made(x))
        return x

    def _combine_operands(self, operands: Sequence[Operand], kind: Kind) -> Operand:
        shape = broadcast_shapes(self.name, [operand.shape for operand in operands])
        given = [operand for operand in operands if isinstance(operand, Value)]
        if not given:
            return Constant(shape)
        given, hidden = self._without_masks(operands, given, kind, len(shape))
        result = self._combined_whole(operands, given, kind, shape)
        if hidden is not None:
            return self.mask(
                self.expand(result, shape), hidden, -math.inf if kind == "sum" else 0.0
            )
        if len(given) == 1 and isinstance(result, Value) and result.fill is not None:
            constants = [x for x in operands if isinstance(x, Constant)]
            result = replace(result, fill=_combined_fill(result.fill, constants, kind))
        return result

    def _without_masks(
        self, operands: Sequence[Operand], given: list[Value], kind: Kind, rank: int
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
                        low = _with_rank(low, rank)
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
            own = _with_rank(own, rank)
            hidden = own if hidden is None else hidden | own
            bare.append(without_mask(value) or value)
        return bare, hidden

    def _combined_whole(
        self, operands: Sequence[Operand], given: list[Value], kind: Kind, shape: Shape
    ) -> Operand:
        """A sum or product of tensors and constants, whatever masks hide of it."""
        if kind == "sum":
            given = self._without_shifts(_without_multiplied_out(given))
        values, whole = self._without_normalisers(given, kind)
        if self.operations and len(given) < len(operands):
            constants = [operand for operand in operands if isinstance(operand, Constant)]
            values[0] = self._with_constants(values[0], constants, kind)
        result = self._merge(values, kind, shape, len(operands))
        if kind == "product" and whole is not None and isinstance(result, Value):
            others = [value.node for value in values if whole not in _behind(value.node)]
            result.node.scaled = whole, tuple(others)
        return result

    def _without_shifts(self, given: list[Value]) -> list[Value]:
        """The terms of a sum, those left out that add back what was subtracted before.

        In ``m + log(sum(exp(x - m)))`` the statistic m of x makes no difference: what comes out is
        one reduction of x.
        """
        for place, reduced in enumerate(given):
            shift = reduced.node.shift
            if shift is None or reduced.sign == "/":
                continue
            wanted = OPPOSITE[shift.sign] if reduced.sign == "" else shift.sign
            for at, term in enumerate(given):
                if term.node is shift.statistic and term.sign == wanted and at != place:
                    kept = [one for number, one in enumerate(given) if number not in (at, place)]
                    return [self._undo_shift(reduced), *kept]
        return given

    def _undo_shift(self, reduced: Value) -> Value:
        """A reduction of what was there before a statistic was subtracted."""
        old = reduced.node
        (whole,) = old.operands
        if whole.node.kind == "normalised" and not whole.node.is_divided:
            (whole,) = whole.node.operands
        node = Node("reduction", self.name, old.shape, (whole,), old.axes, depth=old.depth)
        if old.parent is None:
            old.parent = node  # What combines them takes both for functions of one tensor.
        return replace(reduced, node=node, mapped=True)

    def _merge(self, values: Sequence[Value], kind: Kind, shape: Shape, number: int) -> Operand:
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
            fill = _product_of_fills(values)
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

    def _meaning(self, kind: Kind, values: Sequence[Value]) -> tuple[Operation, list[LinkRole]]:
        """The operation of a sum or product, and the roles of its operands."""
        is_weight = all(value.node.is_weight for value in values)
        role: LinkRole = "bias" if kind == "sum" else "scale"
        roles: list[LinkRole] = [
            role if value.node.is_weight and not is_weight else "data" for value in values
        ]
        return SUM if kind == "sum" else PRODUCT, roles

    def _with_constants(self, x: Value, constants: Sequence[Constant], kind: Kind) -> Value:
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
                x = replace(x, function=x.function.then(None, "times a constant array"))
        return x

    def _without_normalisers(
        self, given: list[Value], kind: Kind
    ) -> tuple[list[Value], Node | None]:
        """The operands without statistics that normalise another one, and the node of that one."""
        values = _factors(given) if kind == "product" else list(given)
        found: Node | None = None
        if len(values) > LONGEST_CHAIN or not any(value.node.is_statistic for value in values):
            return given, found
        at = 0
        while at < len(values):
            statistic = values[at]
            for place, value in enumerate(values):
                axes = _normalises(statistic, value, kind) if place != at else None
                if axes is not None:
                    found = found or value.node
                    values[place] = self._make_normalised(value, axes, kind, statistic)
                    if kind == "sum":
                        sign: Sign = "-" if statistic.sign == "-" else ""
                        shift = Shift(statistic.node, axes, sign)
                        values[place] = replace(values[place], shift=shift)
                    del values[at]
                    at = -1
                    break
            at += 1
        return given if found is None else values, found

    def _waiting(
        self, kind: Kind, shape: Shape, operands: Sequence[Value], parent: Node | None
    ) -> Value:
        """A sum or product that is made only if something reads it as it is."""
        depth = 1 + max(value.node.depth for value in operands)
        if depth > LONGEST_CHAIN:
            links = [(value, aligned(value.shape, shape)) for value in operands]
            return self.emit(shape, links, *self._meaning(kind, operands))
        node = Node(kind, self.name, shape, tuple(operands), parent=parent, depth=depth)
        node.is_weight = all(value.node.is_weight for value in operands)
        return Value(node, shape)


class Known(NamedTuple):
    """Which elements of a tensor are known, and what they are there.

    Attributes
    ----------
    places : numpy.ndarray of bool
        True where an element is known; it broadcasts to the shape of the tensor.
    numbers : numpy.ndarray
        What the elements are; only what it has in these places means anything.
    """

    places: Flags
    numbers: Array


def _are_low(numbers: Array) -> Flags:
    return np.asarray(numbers <= LOW)


def _are_zero(numbers: Array) -> Flags:
    return np.asarray(numbers == 0)


def _applied(function: Callable[..., Any] | None, *numbers: float) -> float | None:
    """What a function makes of numbers; None if that is not known."""
    if function is None:
        return None
    with np.errstate(all="ignore"):
        try:
            found = np.asarray(function(*[np.array([number]) for number in numbers])).reshape(-1)[0]
            number = bool(found) if found.dtype == np.bool_ else float(found)
        except (TypeError, ValueError, ArithmeticError, IndexError):
            return None
    return None if math.isnan(number) else number


def _fill_of_all(
    result: Value, operands: Sequence[Operand], compute: Callable[..., Any] | None
) -> float | None:
    """What the hidden elements of a function of several operands are, if all are known there."""
    if compute is None:
        return None
    numbers = []
    for x in operands:
        if isinstance(x, Constant):
            number = x.only_number()
        else:
            number = x.fill if x.node is result.node and hidden_of(x) is not None else None
        if number is None:
            return None
        numbers.append(number)
    return _applied(compute, *numbers)


def _normalised_fill(fill: float | None, normaliser: str) -> float | None:
    """What a normaliser makes of the elements that a mask hides; None if that is not known."""
    if normaliser in ("softmax", "sparsemax"):  # They give no weight to what is put out.
        return 0.0 if is_low(fill) else None
    if normaliser == "log_softmax":
        return -math.inf if is_low(fill) else None
    return fill if normaliser in ("norm", "rms_norm") and fill == 0.0 else None


def _product_of_fills(values: Sequence[Value]) -> float | None:
    """What the hidden elements of a product of functions of one tensor are."""
    fills = [value.fill for value in values]
    known = [fill for fill in fills if fill is not None]
    if 0.0 in known and all(map(math.isfinite, known)):
        return 0.0
    if len(known) < len(fills):
        return None
    product = math.prod(known)
    return None if math.isnan(product) else product


def _combined_fill(fill: float, constants: Sequence[Constant], kind: Kind) -> float | None:
    """What constants make of a number that they are added to, or multiplied with."""
    for constant in constants:
        number = constant.only_number()
        if kind == "sum" and number is None and is_low(fill):
            continue  # Positions and the like do not bring back what is put out.
        if kind == "sum":
            fill = math.nan if number is None else fill + number
        elif fill != 0.0:
            fill = math.nan if number is None else fill * number
    return None if math.isnan(fill) else fill


def _only_number_where(array: Array, places: Flags) -> float | None:
    """The number that a constant is in all these places: -inf if all put scores out."""
    if array.dtype.kind not in "iufb":
        return None
    if array.size == 1:
        found = array.reshape(-1)
    else:
        rank = max(array.ndim, places.ndim)
        both = np.broadcast_arrays(_with_rank(array, rank), _with_rank(places, rank))
        found = both[0][both[1]]
    if bool(np.all(found <= LOW)):
        return -math.inf
    return 0.0 if not np.any(found) else None


def _with_rank(array: Any, rank: int) -> Any:
    """An array with axes of length 1 in front, as broadcasting puts them."""
    return array.reshape((*[1] * (rank - array.ndim), *array.shape))


def _has_low(x: Operand) -> bool:
    """Whether a constant has elements that put scores out."""
    return isinstance(x, Constant) and x.array is not None and bool(is_put_out(x.array).any())


def _is_of(condition: Operand, x: Value) -> bool:
    """Whether a condition on single elements is a function of a tensor."""
    return isinstance(condition, Value) and (condition.node, condition.shape, condition.axes) == (
        x.node,
        x.shape,
        x.axes,
    )


def _without_multiplied_out(values: list[Value]) -> list[Value]:
    """The terms of a sum without those that normalise another one.

    In ``x * f + (shift - mean * f)``, which is ``(x - mean) * f + shift``, the last product is a
    part of the normaliser: f is the reciprocal of a deviation of x, perhaps times a scale.
    """
    terms: list[Value] = []
    if len(values) > LONGEST_CHAIN:
        return values
    for value in values:
        waits = value.node.kind == "sum" and value.node.parent is None
        if waits and value.axes is None and not value.mapped and not value.sign:
            terms += value.node.operands
        else:
            terms.append(value)
    scaled = [term for term in terms if term.node.scaled is not None]
    kept = [term for term in terms if not any(_is_multiplied_out(term, one) for one in scaled)]
    return kept if len(kept) < len(terms) else values


def _is_multiplied_out(term: Value, scaled: Value) -> bool:
    """Whether a term is minus the mean of what another one scales, times the same factors."""
    if scaled.node.scaled is None or term.node.kind != "product" or term.mapped:
        return False
    whole, factors = scaled.node.scaled
    tensors = set(whole.functions_of(normalised=True))
    of_whole, others, negative = [], [], term.sign == "-"
    for factor in _factors([term.signed("")]):
        negative ^= factor.sign == "-"
        fits = factor.node.is_statistic and _fits(factor, Value(whole, whole.shape))
        if fits and _group(factor.node, tensors, {}) is not None:
            of_whole.append(factor.sign)
        else:
            others.append(factor.node)
    return (
        negative != (scaled.sign == "-")
        and len(of_whole) == 2
        and "/" in of_whole
        and sorted(map(id, others)) == sorted(map(id, factors))
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


def _normaliser(x: Value, axes: tuple[int, ...], kind: Kind, statistic: Value) -> str:
    """The kind of operation that subtracts a statistic from its tensor, or divides by it."""
    if kind == "sum":
        return ""
    is_centred = x.node.kind == "normalised" and x.node.axes == axes and not x.node.is_divided
    if x.function.name() == "exp":
        return "softmax"
    reduced = _reduction_in(statistic.node)
    if reduced.reduction == "norm":
        return "" if is_centred else "rms_norm"
    is_square = bool(reduced.operands) and reduced.operands[0].function.name() == "square"
    if not is_square or reduced.reduction not in ("mean", "sum"):
        return ""
    if is_centred:
        return "layer_norm" if _is_root_of_mean(statistic, reduced) else ""
    return "rms_norm"


def _is_root_of_mean(statistic: Value, reduced: Node) -> bool:
    """Whether a statistic is the root of a mean, or of a sum that is divided by its length."""
    if reduced.reduction == "mean":
        return True
    if statistic.node is not reduced or statistic.function.apply is None:
        return False
    length = math.prod(reduced.operands[0].shape[axis] for axis in reduced.axes)
    with np.errstate(all="ignore"):
        root = float(statistic.function.apply(np.array([1e12 * length]))[0])
    # The argument is so large that no epsilon matters. Models store the root or its inverse.
    return math.isclose(root, 1e6, rel_tol=1e-3) or math.isclose(root, 1e-6, rel_tol=1e-3)


def _reduction_in(node: Node) -> Node:
    """The reduction that a statistic is a function of."""
    while node.kind in ("sum", "product") and node.operands:
        node = node.operands[0].node
    return node


def _behind(node: Node) -> list[Node]:
    """What a node is a pointwise function of, or normalises."""
    return node.functions_of(normalised=True)


def _factors(values: Sequence[Value]) -> list[Value]:
    """The values, with waiting products taken apart."""
    flat: list[Value] = []
    waiting = list(values)[::-1]
    while waiting:
        value = waiting.pop()
        node = value.node
        if node.kind != "product" or value.axes is not None or value.mapped:
            flat.append(value)
        elif value.sign == "/":
            waiting += [factor.signed(INVERSE[factor.sign]) for factor in node.operands[::-1]]
        else:
            waiting += node.operands[::-1]
        if len(flat) + len(waiting) > LONGEST_CHAIN:
            return list(values)
    return flat


def _normalises(statistic: Value, value: Value, kind: Kind) -> tuple[int, ...] | None:
    """The axes of the group if a statistic normalises a value it is combined with."""
    if not statistic.node.is_statistic:
        return None
    if kind == "product":
        if statistic.sign != "/" or value.sign == "/":
            return None
    elif (statistic.sign == "-") == (value.sign == "-"):
        return None
    if not _fits(statistic, value):
        return None
    return _group(statistic.node, set(value.node.functions_of(normalised=True)), {})


def _group(
    node: Node, tensors: set[Node], known: dict[Node, tuple[int, ...] | None]
) -> tuple[int, ...] | None:
    """The axes over which a statistic reduces one of the tensors, or functions of them."""
    if node not in known:
        known[node] = None
        if node.kind == "reduction":
            operand = node.operands[0].node
            if not tensors.isdisjoint(operand.functions_of(normalised=True)):
                known[node] = node.axes
            elif (inner := _group(operand, tensors, known)) is not None:
                known[node] = tuple(sorted({*inner, *node.axes}))
        elif node.is_statistic:
            parts = [_group(value.node, tensors, known) for value in node.operands]
            if None not in parts:
                known[node] = tuple(sorted({axis for part in parts for axis in part or ()}))
    return known[node]


def _fits(statistic: Value, value: Value) -> bool:
    """Whether every element of a tensor meets the statistic of its own group by broadcasting."""
    ranks = len(statistic.node.shape), len(value.node.shape)
    if ranks[0] != ranks[1] or value.shape == () or statistic.rank > value.rank:
        return False
    places: Sequence[int | None] = range(ranks[0]) if statistic.axes is None else statistic.axes
    others: Sequence[int | None] = range(ranks[1]) if value.axes is None else value.axes
    offset = value.rank - statistic.rank
    return all(
        place is None or statistic.node.shape[place] == 1 or place == others[axis + offset]
        for axis, place in enumerate(places)
    )


def _common(values: Sequence[Value]) -> Node | None:
    """The nearest node that all values are pointwise functions of."""
    chains = [value.node.functions_of() for value in values]
    others = [set(chain) for chain in chains[1:]]
    return next((node for node in chains[0] if all(node in other for other in others)), None)
