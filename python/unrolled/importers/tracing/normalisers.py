"""Normalisers: reductions, what they subtract from their own tensor, and what they divide.

A statistic of a tensor (a mean, a norm, a sum or any other reduction, and functions of them) that
is subtracted from the tensor, or divides it, is a normaliser, however it is written. DESIGN.md,
section 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from unrolled._core import Operation, Relation
from unrolled.errors import InvalidModelError
from unrolled.importers.tracing.base import PRODUCT, SUM
from unrolled.importers.tracing.functions import IDENTITY, Composition
from unrolled.importers.tracing.known import KnownElements
from unrolled.importers.tracing.masking import hidden_of, is_low
from unrolled.importers.tracing.values import (
    INVERSE,
    LONGEST_CHAIN,
    OPPOSITE,
    OTHER_NORMALISERS,
    Combination,
    Constant,
    Node,
    Operand,
    Shift,
    Sign,
    Value,
    checked_axes,
)
from unrolled.network.builder import LinkRole

__all__ = ["NORM_ROLES", "Normalisers", "behind", "normalises", "without_multiplied_out"]

MEANS = ("rms_norm mean", "rms_norm mean_abs")
"""Divisions by a mean of elements, or of their sizes: the kind of operation, and the divisor."""

POSITIVE = np.array([0.5, 2.0, 1e3])
"""Sums of exponentials, at which their logarithm is told."""

NORM_ROLES: tuple[LinkRole, ...] = ("scale", "shift", "mean", "variance")
"""What the weights of norms are to their tensor, in the order in which rules give them."""


class Normalisers(KnownElements):
    """The part of `Tracer` that reduces and normalises."""

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
        if operation is SUM and "scale" in roles and isinstance(x, Value):
            if len(weights) == 1:
                operation = PRODUCT
            elif self.operations and x.node.normaliser in ("", *OTHER_NORMALISERS):
                place = list(roles).index("scale")
                rest = [weight for number, weight in enumerate(weights) if number != place]
                x = self.affine(x, axes, weights[place], roles=("scale",))
                return self.affine(x, axes, *rest, roles=["bias"] * len(rest))
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
        if is_alone and self.operations and operation not in (SUM, PRODUCT):
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
            The kind of the operation, such as "layer_norm", or nothing if it is another one.
            "log_softmax" and "sparsemax" have no kind, but a name. "norm" divides by the root of
            the sum of squares.
        """
        if isinstance(x, Constant):
            return Constant(x.shape)
        x = self._seen_whole(x.signed(""), range(x.rank))
        places: Sequence[int | None] = range(x.rank) if x.axes is None else x.axes
        chosen = {places[axis] for axis in checked_axes(self.name, axes, x.rank)}
        group = tuple(sorted([axis for axis in chosen if axis is not None]))
        fill = _normalised_fill(x.fill, normaliser)
        kind = "rms_norm" if normaliser == "norm" else normaliser
        y = self._make_normalised(x, group, normaliser=kind, is_known=fill is not None)
        if normaliser == "norm" and y.node is not x.node:
            y = replace(y, function=_by_root_of_length(y.node))
        return replace(y, fill=fill)

    def _make_normalised(
        self,
        x: Value,
        axes: tuple[int, ...],
        kind: Combination = "product",
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
        if statistic is not None and normaliser in MEANS:
            factor = _degree_and_factor(statistic)[1]
            if not math.isclose(factor, 1.0, rel_tol=1e-3):
                function = function.then(partial(np.multiply, factor), f"times {factor:g}")
        if (
            normaliser == "rms_norm"
            and statistic is not None
            and not _is_root_of_mean(statistic, _reduction_in(statistic.node))
        ):
            # Divided by a norm and not by a root mean square.
            function = _by_root_of_length(made)
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

    def _without_normalisers(
        self, given: list[Value], kind: Combination
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
                axes = normalises(statistic, value, kind) if place != at else None
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


def _by_root_of_length(normalised: Node) -> Composition:
    """What is left of a division by a norm behind one by the root mean square."""
    factor = float(np.prod([normalised.shape[axis] for axis in normalised.axes])) ** -0.5
    return IDENTITY.then(partial(np.multiply, factor), f"times {factor:g}")


def _normalised_fill(fill: float | None, normaliser: str) -> float | None:
    """What a normaliser makes of the elements that a mask hides; None if that is not known."""
    if normaliser in ("softmax", "sparsemax"):  # They give no weight to what is put out.
        return 0.0 if is_low(fill) else None
    if normaliser == "log_softmax":
        return -math.inf if is_low(fill) else None
    return fill if normaliser in ("norm", "rms_norm") and fill == 0.0 else None


def without_multiplied_out(values: list[Value]) -> list[Value]:
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


def _normaliser(x: Value, axes: tuple[int, ...], kind: Combination, statistic: Value) -> str:
    """The kind of operation that subtracts a statistic from its tensor, or divides by it."""
    if kind == "sum":
        return "log_softmax" if _is_log_of_exponentials(statistic, x) else ""
    is_centred = x.node.kind == "normalised" and x.node.axes == axes and not x.node.is_divided
    if x.function.name() == "exp":
        return "softmax"
    reduced = _reduction_in(statistic.node)
    if reduced.reduction == "norm":
        return "" if is_centred else "rms_norm"
    if not reduced.operands or reduced.reduction not in ("mean", "sum"):
        return ""
    averaged = reduced.operands[0].function
    for name, function in zip(MEANS, (np.positive, np.abs), strict=True):
        if not is_centred and averaged.is_made_of(x.function, function):
            return name if _degree_and_factor(statistic)[0] == -1 else ""
    if averaged.name() != "square" and not averaged.is_made_of(x.function, np.square):
        return ""
    if is_centred:
        return "layer_norm" if _is_root_of_mean(statistic, reduced) else ""
    return "rms_norm"


def _is_log_of_exponentials(statistic: Value, x: Value) -> bool:
    """Whether a statistic is minus the logarithm of the sum of the exponentials of a tensor."""
    reduced = statistic.node
    if reduced.kind != "reduction" or reduced.reduction != "sum":
        return False
    (summed,) = reduced.operands
    is_logarithm = statistic.function.is_at(POSITIVE, lambda sums: -np.log(sums))
    return is_logarithm and summed.function.is_made_of(x.function, np.exp)


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


def _degree_and_factor(statistic: Value) -> tuple[int, float]:
    """With which power of its mean a statistic grows, and what it is of a mean of one.

    A degree of 0 stands for statistics of which neither is known.
    """
    reduced, apply = statistic.node, statistic.function.apply
    if apply is None or reduced.kind != "reduction":
        return 0, 1.0
    count = 1.0
    if reduced.reduction == "sum":
        count = float(math.prod(reduced.operands[0].shape[axis] for axis in reduced.axes))
    # Arguments are so large that no epsilon matters.
    with np.errstate(all="ignore"):
        near, far = (float(value) for value in apply(np.array([1e9, 1e12])))
        degree = math.log(far / near) / math.log(1e3) if near > 0 and far > 0 else 0.0
    if not math.isclose(degree, -1.0, rel_tol=1e-6):
        return 0, 1.0
    return -1, near * 1e9 / count


def _reduction_in(node: Node) -> Node:
    """The reduction that a statistic is a function of."""
    while node.kind in ("sum", "product") and node.operands:
        node = node.operands[0].node
    return node


def behind(node: Node) -> list[Node]:
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


def normalises(statistic: Value, value: Value, kind: Combination) -> tuple[int, ...] | None:
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
