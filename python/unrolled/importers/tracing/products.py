"""Products with contracted axes: dense layers, attention, embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from unrolled._core import Operation, Relation
from unrolled._support.hints import listed, shortened
from unrolled.errors import InvalidModelError
from unrolled.importers.tracing.base import MATMUL, MOVE, OTHER, Link, related
from unrolled.importers.tracing.choices import Choices
from unrolled.importers.tracing.known import AT_RUN_TIME
from unrolled.importers.tracing.masked_products import (
    Factor,
    MaskedProduct,
    Scores,
)
from unrolled.importers.tracing.masking import Flags, hidden_of
from unrolled.importers.tracing.values import Constant, Node, Operand, Shape, Value, checked_axis
from unrolled.network.builder import LinkRole
from unrolled.network.layers.attention import PARTS_OF_ATTENTION, link_masked_attention
from unrolled.network.layers.masks import MaskPart

__all__ = ["Products"]

AFFINE = Operation("affine")
ONE_HOT = Operation("embedding", "one_hot")
EMBEDDING = Operation("embedding")


class Products(Choices):
    """The part of `Tracer` that multiplies and adds up."""

    def einsum(self, equation: str, *operands: Operand) -> Operand:
        """Einstein summation: for every term of the sum an edge from each factor.

        Parameters
        ----------
        equation : str
            As for `numpy.einsum`, with letters, "..." and "->".
        *operands : Operand
        """
        labels, result = _parse(self.name, equation, [x.rank for x in operands])
        return self.contract(labels, result, operands)

    def matmul(self, a: Operand, b: Operand) -> Operand:
        """Matrix product as `numpy.matmul` has it, leading axes broadcast."""
        batch = max(a.rank, b.rank, 2) - 2
        rows, inner, columns = batch, batch + 1, batch + 2
        first = [*range(batch + 2 - a.rank, batch), rows, inner] if a.rank > 1 else [inner]
        second = [*range(batch + 2 - b.rank, batch), inner, columns] if b.rank > 1 else [inner]
        result = [
            *range(batch),
            *([rows] if a.rank > 1 else []),
            *([columns] if b.rank > 1 else []),
        ]
        return self.contract([first, second], result, [a, b])

    def contract(
        self,
        labels: Sequence[Sequence[int]],
        result: Sequence[int],
        operands: Sequence[Operand],
        *,
        otherwise: Operation = OTHER,
    ) -> Operand:
        """Einstein summation with numbered axes; lengths of 1 broadcast.

        Parameters
        ----------
        labels : sequence of sequence of int
            For every operand the labels of its axes.
        result : sequence of int
            The labels of the result; all others are summed over.
        operands : sequence of Operand
        otherwise : Operation
            What it is if it has more than two factors.
        """
        operands = [self._diagonal(x, given) for x, given in zip(operands, labels, strict=True)]
        labels = [list(dict.fromkeys(given)) for given in labels]
        lengths = self._lengths(labels, operands)
        shape = tuple([lengths[label] for label in result])
        summed = [label for label in lengths if label not in result]
        factors: list[Factor] = []
        for x, given in zip(operands, labels, strict=True):
            if isinstance(x, Constant):
                continue
            missing = [label for label in summed if label not in given and lengths[label] > 1]
            if missing:  # The factor is in a term for every index that it does not have.
                wide = self.expand(x, (*[lengths[label] for label in missing], *x.shape))
                assert isinstance(wide, Value)
                x, given = wide, [*missing, *given]
            for source, label in enumerate(given):
                if label not in result and x.shape[source] != lengths[label]:
                    raise InvalidModelError(
                        f"{self.name}: an axis of length 1 is summed with one of {lengths[label]}"
                    )
            factors.append((x, given))
        if not factors:
            return Constant(shape)
        for masked, other in (factors, factors[::-1]) if len(factors) == 2 else ():
            product = MaskedProduct.of(masked, other, result, shape)
            if product is not None:
                return self._masked_product(product)
        links = [(x, related(x.shape, given, result, shape)) for x, given in factors]
        operation, roles = self._product(links, operands)
        if len(links) > 2:
            operation = otherwise
        if operation is MATMUL and _are_scores(factors, result):
            # Whether a mask follows decides what becomes of them.
            named = (*[tuple(own) for _, own in factors], tuple(result))
            values = tuple([x for x, _ in factors])
            node = Node("contracted", self.name, shape, values, labels=named)
            return Value(node, shape)
        y = self.emit(shape, links, operation, roles)
        constants = [x for x in operands if isinstance(x, Constant) and x.array is not None]
        for constant in constants:
            y = self.multiplied(y, constant)
        waits = any(x.awaits_scale for x, _ in factors)
        return replace(y, awaits_scale=True) if waits else y

    def multiplied(self, x: Value, constant: Constant) -> Value:
        """A sum of which each term is multiplied with one of the elements of a constant."""
        return self._with_constants(x, [constant], "product") if self.operations else x

    def _masked_product(self, product: MaskedProduct) -> Operand:
        """A product with a factor of which a mask makes some elements zero."""
        (x, labels), (other, _) = product.masked, product.other
        result, shape = product.result, product.shape
        read = related(x.shape, labels, result, shape)
        if product.summed is None:
            whole = self.emit(
                shape, [(x, read), (other, product.relations_of_other())], MATMUL, ["data"] * 2
            )
            return self.mask(whole, product.hidden_of_result(), 0.0)
        self.budget.spread(self.name, product.size_of_mask())
        parts = product.parts()
        if parts is None:
            return self._masked_terms(product)
        if self.operations:
            attention = self._masked_attention(product, parts)
            if attention is not None:
                return attention
        if any(part.axis is not None for part in parts):
            product = product.with_wide_other(self.expand)
        (other, _) = product.other
        links = [(other, product.relations_of_other(part)) for part in parts]
        scores = None if self.operations else Scores.behind(product, self.network.semantics)
        if scores is None:
            links = [(x, read), *links]
            return self.emit(shape, links, MATMUL, ["data"] * len(links))
        name = self.name
        by_query, by_key, weights = scores.tensors(parts)
        self.name = f"{name}/scores/query"
        query = self.emit(by_query.shape, [(scores.query, by_query.relations[0])], OTHER)
        self.name = f"{name}/scores/key"
        key = self.emit(by_key.shape, [(scores.key, by_key.relations[0])], OTHER)
        self.name = f"{name}/weights"
        halves = [query, key] * len(parts)
        weight = self.emit(weights.shape, list(zip(halves, weights.relations, strict=True)), OTHER)
        self.name = name
        links += [(weight, relations) for relations in scores.relations_of_weights(parts)]
        return self.emit(shape, links, OTHER)

    def _masked_attention(
        self, product: MaskedProduct, parts: Sequence[MaskPart]
    ) -> Operand | None:
        """The product as an operation, if it is the attention that `Network.attention` makes."""
        scores = Scores.behind(product, self.network.semantics)
        if scores is None or scores.scale is None:
            return None
        axes = scores.axes_of_attention()
        if axes is None:
            return None
        leading = axes.leading
        lengths = dict(zip(product.masked[1], product.masked[0].shape, strict=True))
        ordered = (
            (scores.query, scores.labels[0], [*leading, axes.queries, axes.features]),
            (scores.key, scores.labels[1], [*leading, axes.keys, axes.features]),
            (*product.other, [*leading, axes.keys, axes.width]),
        )
        query, key, value = [self.made(self._in_order(*one)) for one in ordered]
        if product.lead is not None:
            at = leading.index(product.lead) - len(leading)
            parts = [part if part.axis is None else part._replace(axis=at) for part in parts]
        shape = tuple([lengths[label] for label in leading])
        name = self._choose_name(self.name)
        while any(f"{name}/{part}" in self.network for part in PARTS_OF_ATTENTION):
            name = self._choose_name(self.name)
        y = link_masked_attention(
            self.network, name, (query, key, value), parts, shape, 1.0 / scores.scale
        )
        result = self._in_order(
            self._declare(y), [*leading, axes.queries, axes.width], product.result
        )
        return result

    def _in_order(self, x: Value, labels: Sequence[int], order: Sequence[int]) -> Value:
        """A tensor with its axes in another order, those that it does not have of length 1."""
        present = [label for label in order if label in labels]
        moved = self.transpose(x, [list(labels).index(label) for label in present])
        missing = [axis for axis, label in enumerate(order) if label not in labels]
        wide = self.unsqueeze(moved, missing) if missing else moved
        assert isinstance(wide, Value)
        return wide

    def _masked_terms(self, product: MaskedProduct) -> Operand:
        """Any other product with a mask, term by term."""
        (x, labels), (other, others) = product.masked, product.other
        every = [*product.result, *[label for label in labels if label not in product.result]]
        lengths = dict(zip(product.result, product.shape, strict=True))
        lengths |= {label: n for label, n in zip(labels, x.shape, strict=True) if n > 1}
        full = tuple([lengths.get(label, 1) for label in every])
        links = [(x, related(x.shape, labels, every, full))]
        links.append((other, related(other.shape, others, every, full)))
        terms = self.mask(self.emit(full, links, OTHER), product.hidden_of(every), 0.0)
        if isinstance(terms, Constant):
            return Constant(product.shape)
        return self.emit(
            product.shape, [(terms, related(full, every, product.result, product.shape))], OTHER
        )

    def _product(
        self, links: Sequence[Link], operands: Sequence[Operand]
    ) -> tuple[Operation, list[LinkRole]]:
        """The operation of a sum of products, and the roles of its factors."""
        weights = [value.node.is_weight for value, _ in links]
        if len(links) < len(operands):  # A factor is constant.
            return (MOVE if len(links) == 1 else OTHER), ["data"] * len(links)
        if len(links) != 2:
            return OTHER, ["data"] * len(links)
        if weights.count(True) == 1:
            (data,) = [
                value for (value, _), is_weight in zip(links, weights, strict=True) if not is_weight
            ]
            tensor = data.node.tensor
            if tensor is not None and self.network.operation(tensor) == ONE_HOT:
                return EMBEDDING, ["table" if is_weight else "data" for is_weight in weights]
            return AFFINE, ["kernel" if is_weight else "data" for is_weight in weights]
        return MATMUL, ["data"] * len(links)

    def masked_scores(
        self, scores: Operand, mask: Operand | None = None, *, causal: int | None = None
    ) -> Operand:
        """Scores of queries and keys, their last two axes, as masks leave them.

        Parameters
        ----------
        scores : Operand
        mask : Operand, optional
            Truth values, or what is added. One that is known only at run time takes no edges away,
            and has edges of its own.
        causal : int, optional
            Query number i sees the keys up to number ``i + causal``.
        """
        if mask is not None and not _broadcasts_to(mask.shape, scores.shape):
            raise InvalidModelError(
                f"{self.name}: a mask of shape {mask.shape} for scores of shape {scores.shape}"
            )
        if causal is not None:
            queries, keys = scores.shape[-2:]
            scores = self.mask(scores, self._later(queries, keys, causal), -np.inf)
        if mask is None or isinstance(scores, Constant):
            return scores
        if isinstance(mask, Constant):
            if mask.array is None:
                self.notes[self.name] = "a mask whose values are not known: it takes no edges away"
                return scores
            if mask.array.dtype == np.bool_:
                return self.where(mask, scores, Constant.of(np.float32(-np.inf)))
            return self.add(scores, mask)
        hidden = hidden_of(mask)
        if hidden is None and not mask.node.is_weight:
            self.notes[self.name] = AT_RUN_TIME
        if hidden is not None and mask.fill is False:  # Zeros that are added hide nothing.
            scores = self.mask(scores, _in_front(hidden, scores.rank), -np.inf)
            mask = replace(mask, fill=None)
        return self.add(scores, mask)

    def _later(self, queries: int, keys: int, causal: int) -> Flags:
        """The keys that come after each query; the layers of a model have one in common."""
        known = queries, keys, causal
        if self._triangle is None or self._triangle[0] != known:
            self.budget.spread(self.name, queries * keys)
            at = np.arange(keys) - np.arange(queries)[:, None]
            self._triangle = known, np.asarray(at > causal)
        return self._triangle[1]

    def embedding(self, table: Operand, indices: Operand, axis: int = 0) -> Operand:
        """Positions along an axis chosen at run time: the product with one-hot rows.

        Every position along the axis has an edge to every element of the result, and so has the
        index, once for every position that it might choose.
        """
        axis = checked_axis(self.name, axis, table.rank)
        if isinstance(indices, Constant):
            if indices.array is not None:
                return self.take(table, axis, indices.array)
            self.notes[self.name] = "read as if chosen at run time, for its indices are not known"
        rows = table.shape[axis]
        places = [Relation.same(at, at) for at in range(indices.rank)]
        one_hot: Operand = Constant((*indices.shape, rows))
        if isinstance(indices, Value):
            one_hot = self.emit(
                one_hot.shape, [(indices, [*places, Relation.sum(indices.rank)])], ONE_HOT
            )
        kept = [*range(axis), *range(axis + 1, table.rank)]
        at = list(range(table.rank, table.rank + indices.rank))
        result = [*kept[:axis], *at, *kept[axis:]]
        return self.contract([list(range(table.rank)), [*at, axis]], result, [table, one_hot])

    def _lengths(
        self, labels: Sequence[Sequence[int]], operands: Sequence[Operand]
    ) -> dict[int, int]:
        lengths: dict[int, int] = {}
        for x, given in zip(operands, labels, strict=True):
            if len(given) != x.rank:
                raise InvalidModelError(
                    f"{self.name}: {len(given)} labels for a tensor of shape {x.shape}"
                )
            for label, length in zip(given, x.shape, strict=True):
                if lengths.setdefault(label, length) == 1:
                    lengths[label] = length
                elif length not in (1, lengths[label]):
                    shapes = ", ".join([str(operand.shape) for operand in operands])
                    raise InvalidModelError(
                        f"{self.name}: shapes {shapes} do not multiply; axes of lengths "
                        f"{lengths[label]} and {length} meet"
                    )
        return lengths

    def _diagonal(self, x: Operand, labels: Sequence[int]) -> Operand:
        """Only the elements at equal indices of axes with equal labels."""
        for label in dict.fromkeys(labels):
            axes = [axis for axis, one in enumerate(labels) if one == label]
            if len(axes) < 2:
                continue
            first, last = axes[0], axes[-1]
            rest = [one for axis, one in enumerate(labels) if axis != last]
            x = self.rearrange(
                [x],
                lambda a: np.moveaxis(np.diagonal(a, 0, first, last), -1, first),  # noqa: B023
            )
            return self._diagonal(x, rest)
        return x


def _broadcasts_to(shape: Shape, target: Shape) -> bool:
    """Whether a tensor fits another one by broadcasting, without making it larger."""
    offset = len(target) - len(shape)
    return offset >= 0 and all(n in (1, target[axis + offset]) for axis, n in enumerate(shape))


def _in_front(hidden: Flags, rank: int) -> Flags:
    """A mask with as many axes as it is broadcast to."""
    return hidden.reshape((*[1] * (rank - hidden.ndim), *hidden.shape))


def _are_scores(factors: Sequence[Factor], result: Sequence[int]) -> bool:
    """Whether each of two factors has an axis of the product that the other one has not."""
    (_, first), (_, second) = factors
    return not set(result).isdisjoint(set(first) - set(second)) and not set(result).isdisjoint(
        set(second) - set(first)
    )


def _parse(name: str, equation: str, ranks: Sequence[int]) -> tuple[list[list[int]], list[int]]:
    """The labels of the operands and of the result of an equation, as numbers."""
    from string import ascii_letters as letters  # It is not quick to import.

    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    plain = [term.replace("...", "") for term in terms]
    fits = len(terms) == len(ranks)
    fits = fits and all(len(term) <= rank for term, rank in zip(plain, ranks, strict=True))
    if not fits or not all(letter in letters for p in plain for letter in p):
        raise InvalidModelError(
            f"{name}: cannot read the equation '{shortened(equation)}' for operands of "
            f"{listed(ranks)} axes"
        )
    widest = max(
        [rank - len(p) for rank, p, t in zip(ranks, plain, terms, strict=True) if "..." in t],
        default=0,
    )
    batch = [f"#{number}" for number in range(widest)]
    known: dict[str, int] = {}

    def numbers(term: str, width: int) -> list[int]:
        before, dots, after = term.partition("...")
        symbols = [*before, *(batch[widest - width :] if dots else []), *after]
        return [known.setdefault(symbol, len(known)) for symbol in symbols]

    labels = [
        numbers(term, max(rank - len(p), 0))
        for term, p, rank in zip(terms, plain, ranks, strict=True)
    ]
    if arrow:
        if not all(letter in known for letter in right.replace("...", "")):
            raise InvalidModelError(
                f"{name}: the result of '{shortened(equation)}' has labels of its own"
            )
        return labels, numbers(right, widest)
    once = sorted({letter for letter in "".join(plain) if "".join(plain).count(letter) == 1})
    return labels, [known[symbol] for symbol in [*batch, *once]]
