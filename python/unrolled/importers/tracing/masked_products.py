"""Products of values with weights that a mask makes zero in part, as after a masked softmax.

The weight of a hidden score is zero, so the value that it would weigh has no edge either. Where
queries and keys are still apart, nothing of the size of their product is made; see
`unrolled.network.layers.masks`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from unrolled._core import Relation
from unrolled.importers.tracing.base import related
from unrolled.importers.tracing.functions import IDENTITY
from unrolled.importers.tracing.masking import Flags, hidden_of, narrowed, varying_axes
from unrolled.importers.tracing.values import Node, Operand, Shape, Value, size_of
from unrolled.network.layers.masks import MaskPart, mask_parts

__all__ = ["Factor", "MaskedProduct", "Scores"]

Factor: TypeAlias = tuple[Value, Sequence[int]]
"""A factor of a product, and the labels of its axes."""


class MaskedProduct(NamedTuple):
    """A product of two factors, of which one is zero where a mask hides it.

    Attributes
    ----------
    masked, other : (Value, sequence of int)
        The factors and the labels of their axes.
    hidden : numpy.ndarray of bool
        What is zero of the masked one.
    result : sequence of int
        The labels of the product.
    shape : tuple of int
        Of the product.
    summed, row, lead : int or None
        Labels of axes along which the mask differs: the one summed over (the keys), one that only
        the masked factor has (the queries), and one more; None if there is none.
    is_simple : bool
        Whether these are all axes along which it differs.
    """

    masked: Factor
    other: Factor
    hidden: Flags
    result: Sequence[int]
    shape: Shape
    summed: int | None = None
    row: int | None = None
    lead: int | None = None
    is_simple: bool = False

    @staticmethod
    def of(
        masked: Factor, other: Factor, result: Sequence[int], shape: Shape
    ) -> MaskedProduct | None:
        """The product, if a mask makes elements of the first factor zero."""
        x, labels = masked
        hidden = hidden_of(x)
        if hidden is None or x.fill != 0.0:
            return None
        hidden = narrowed(hidden)
        varying = [labels[axis] for axis in varying_axes(hidden)]
        product = MaskedProduct(masked, other, hidden, result, shape)
        summed = [label for label in varying if label not in result]
        if not summed:
            return product
        rows = [label for label in varying if label in result]
        own = [label for label in labels if label in result and label not in other[1]]
        row = next((label for label in reversed(rows) if label in own), None)
        if row is None:
            row = next((label for label in reversed(own) if label not in rows), None)
        leads = [label for label in rows if label != row]
        is_simple = len(summed) == 1 and row is not None and len(leads) <= 1
        return product._replace(
            summed=summed[0],
            row=row,
            lead=leads[0] if leads else None,
            is_simple=is_simple,
        )

    def hidden_of(self, labels: Sequence[int]) -> Flags:
        """The mask with its axes where other labels have them."""
        own = list(self.masked[1])
        order = [own.index(label) for label in labels if label in own]
        rest = [axis for axis in range(len(own)) if axis not in order]
        moved = self.hidden.transpose([*order, *rest])
        moved = moved.reshape(moved.shape[: len(order)])
        lengths = iter(moved.shape)
        return moved.reshape([next(lengths) if label in own else 1 for label in labels])

    def hidden_of_result(self) -> Flags:
        """The elements of the product that are zero, if the mask hides all of their terms."""
        return self.hidden_of(self.result)

    def size_of_mask(self) -> int:
        """How many elements a mask of rows and columns has."""
        lengths = dict(zip(self.masked[1], self.masked[0].shape, strict=True))
        labels = [label for label in (self.lead, self.row, self.summed) if label is not None]
        return size_of([lengths[label] for label in labels])

    def parts(self) -> list[MaskPart] | None:
        """The mask as one of rows and columns; None if it is none."""
        if not self.is_simple or self.summed is None or self.row is None:
            return None
        labels = (
            [self.row, self.summed] if self.lead is None else [self.lead, self.row, self.summed]
        )
        lengths = dict(zip(self.masked[1], self.masked[0].shape, strict=True))
        own = list(self.masked[1])
        order = [own.index(label) for label in labels]
        rest = [axis for axis in range(len(own)) if axis not in order]
        moved = self.hidden.transpose([*order, *rest])
        moved = moved.reshape(moved.shape[: len(order)])
        return mask_parts(~np.broadcast_to(moved, tuple([lengths[label] for label in labels])))

    def with_wide_other(self, expand: Callable[[Operand, Shape], Operand]) -> MaskedProduct:
        """The same with a factor that has the leading axis of the mask in full."""
        other, labels = self.other
        assert self.lead is not None
        length = self.shape[list(self.result).index(self.lead)]
        if self.lead in labels:
            at = list(labels).index(self.lead)
            wide = expand(other, (*other.shape[:at], length, *other.shape[at + 1 :]))
        else:
            wide, labels = expand(other, (length, *other.shape)), [self.lead, *labels]
        assert isinstance(wide, Value)
        return self._replace(other=(wide, labels))

    def relations_of_other(self, part: MaskPart | None = None) -> list[Relation]:
        """How the other factor is read, as far as the mask does not hide its partner."""
        other, labels = self.other
        if part is None:
            return related(other.shape, labels, self.result, self.shape)
        labels, result = list(labels), list(self.result)
        assert self.summed is not None
        assert self.row is not None
        # The axis of keys is related with that of queries, instead of being summed over.
        renamed = [self.row if label == self.summed else label for label in labels]
        source, target = labels.index(self.summed), result.index(self.row)
        relations = related(other.shape, renamed, result, self.shape)
        keys = part.mask.key_relation(source, target)
        lead = self.lead_relation(part, labels, result)
        return _replaced(relations, {(source, target): keys, **lead})

    def lead_relation(
        self, part: MaskPart, source: Sequence[int], target: Sequence[int]
    ) -> dict[tuple[int, ...], Relation]:
        """How the leading axis is read where the mask differs along it."""
        if part.positions is None or self.lead is None:
            return {}
        at, to = list(source).index(self.lead), list(target).index(self.lead)
        length = self.shape[list(self.result).index(self.lead)]
        return {(at, to): part.leading_relation(at, to, length)}


class AttentionAxes(NamedTuple):
    """The labels of what attention multiplies.

    Attributes
    ----------
    leading : list of int
        Of samples and heads, for example.
    queries, keys, features, width : int
        The last two are those of queries and keys, and of values.
    """

    leading: list[int]
    queries: int
    keys: int
    features: int
    width: int


class Made(NamedTuple):
    """A tensor that stands for scores or weights, and how it reads others."""

    shape: Shape
    relations: list[list[Relation]]


class Scores(NamedTuple):
    """Scores of queries and keys behind the weights of a product, not made yet.

    Attributes
    ----------
    product : MaskedProduct
    query, key : Value
        The factors of the scores.
    labels : tuple of sequence of int
        Of the axes of the two, by those of the weights.
    is_dependent : bool
        Whether a softmax connects each weight with all scores of its query.
    scale : float or None
        What the products of queries and keys are multiplied by before the softmax; None if there
        is no softmax, or if anything else is done to them.
    """

    product: MaskedProduct
    query: Value
    key: Value
    labels: tuple[Sequence[int], Sequence[int]]
    is_dependent: bool
    scale: float | None

    @staticmethod
    def behind(product: MaskedProduct, semantics: str) -> Scores | None:
        """The scores behind a masked factor, if they are a product that nothing else has made."""
        x, labels = product.masked
        own = list(labels)
        assert product.summed is not None
        assert product.row is not None
        column, row = own.index(product.summed), own.index(product.row)
        node: Node = x.node
        is_dependent, is_softmax, function = False, False, IDENTITY
        if node.kind == "normalised":
            if node.axes != (column,):
                return None
            is_dependent = semantics == "dependency"
            is_softmax = node.normaliser == "softmax" and x.function is IDENTITY
            (before,) = node.operands
            node, function = before.node, before.function
        if node.kind != "masked" or node.tensor is not None or node.shape != x.shape:
            return None
        (inner,) = node.operands
        scores = inner.node
        if scores.kind != "contracted" or scores.tensor is not None or inner.axes is not None:
            return None
        *given, result = scores.labels
        names = dict(zip(result, own, strict=True))
        # Labels that the scores sum over have names of their own.
        renamed = [[names.get(label, -1 - label) for label in one] for one in given]
        sides = [(product.row in one, product.summed in one) for one in renamed]
        if sides not in ([(True, False), (False, True)], [(False, True), (True, False)]):
            return None
        assert scores.shape[row] == x.shape[row]
        order = [0, 1] if sides[0][0] else [1, 0]
        query, key = (scores.operands[number] for number in order)
        first, second = (renamed[number] for number in order)
        scaling = inner.function.followed_by(function).scaled_name() if is_softmax else None
        scale = scaling[1] if scaling is not None and scaling[0] == "identity" else None
        return Scores(product, query, key, (first, second), is_dependent, scale)

    def axes_of_attention(self) -> AttentionAxes | None:
        """The axes as attention has them; None if there are more, or fewer."""
        product = self.product
        (_, weights), (_, values) = product.masked, product.other
        assert product.summed is not None
        assert product.row is not None
        leading = [label for label in weights if label not in (product.row, product.summed)]
        known = {*leading, product.row, product.summed}
        features = [[label for label in own if label not in known] for own in self.labels]
        widths = [label for label in values if label not in known]
        if len(features[0]) != 1 or features[0] != features[1] or len(widths) != 1:
            return None
        if sorted(product.result) != sorted([*leading, product.row, *widths]):
            return None
        return AttentionAxes(leading, product.row, product.summed, features[0][0], widths[0])

    def tensors(self, parts: Sequence[MaskPart]) -> tuple[Made, Made, Made]:
        """What stands for the scores of queries, for those of keys, and for the weights."""
        product = self.product
        x, labels = product.masked
        lengths = dict(zip(labels, x.shape, strict=True))
        assert product.summed is not None
        assert product.row is not None
        rows = [label for label in labels if label != product.summed]
        columns = [label for label in labels if label != product.row]
        by_query = tuple([lengths[label] for label in rows])
        by_key = tuple([lengths[label] for label in columns])
        reads = [
            related(self.query.shape, self.labels[0], rows, by_query),
            related(self.key.shape, self.labels[1], columns, by_key),
        ]
        relations = []
        row, column = rows.index(product.row), columns.index(product.summed)
        for part in parts:
            same = related(by_query, rows, rows, by_query)
            numbers = part.mask.number_relation(row, row)
            lead = product.lead_relation(part, rows, rows)
            relations.append(_replaced(same, {(row, row): numbers, **lead}))
            renamed = [product.row if label == product.summed else label for label in columns]
            same = related(by_key, renamed, rows, by_query)
            keys = part.mask.key_relation(column, row)
            lead = product.lead_relation(part, columns, rows)
            relations.append(_replaced(same, {(column, row): keys, **lead}))
        return Made(by_query, [reads[0]]), Made(by_key, [reads[1]]), Made(by_query, relations)

    def relations_of_weights(self, parts: Sequence[MaskPart]) -> list[list[Relation]]:
        """How the product reads the weights."""
        product = self.product
        x, labels = product.masked
        lengths = dict(zip(labels, x.shape, strict=True))
        rows = [label for label in labels if label != product.summed]
        shape = tuple([lengths[label] for label in rows])
        plain = related(shape, rows, product.result, product.shape)
        if not self.is_dependent:
            return [plain]
        assert product.row is not None
        source, target = rows.index(product.row), list(product.result).index(product.row)
        found = []
        for part in parts:
            numbers = part.mask.number_relation(source, target)
            lead = product.lead_relation(part, rows, product.result)
            found.append(_replaced(plain, {(source, target): numbers, **lead}))
        return found


def _replaced(
    relations: Sequence[Relation], others: Mapping[tuple[int, ...], Relation]
) -> list[Relation]:
    """Relations of which those between some pairs of axes are others."""
    found = []
    for one in relations:
        pair = (*one.source_axes, *one.target_axes)
        is_pair = len(one.source_axes) == len(one.target_axes) == 1
        found.append(others.get(pair, one) if is_pair else one)
    return found
