"""Scaled dot-product attention, with one head or many."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

from unrolled._core import Operation, Relation
from unrolled.errors import InvalidNetworkError
from unrolled.network.builder import Builder, Tensor, undone_if_refused
from unrolled.network.layers.dense import Dense
from unrolled.network.layers.elementwise import alignment, broadcast_shape
from unrolled.network.layers.masks import MaskPart, checked_mask
from unrolled.network.layers.normalization import Normalization
from unrolled.network.layers.reshaping import Reshaping
from unrolled.network.shapes import integer

PART = Operation("other", "part_of_attention")
"""Of what stands for scores and weights behind a mask, and is no tensor of either."""

PARTS_OF_ATTENTION = ("scores/query", "scores/key", "weights", "values")
"""What follows the name of an attention behind a mask in those of the tensors that it takes."""


class Attention(Dense, Reshaping, Normalization):
    """Layer methods for attention, made of products, softmax and dense layers."""

    @undone_if_refused
    def attention(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        *,
        causal: bool = False,
        mask: Any = None,
        name: str | None = None,
    ) -> Tensor:
        """Scaled dot-product attention.

        The product of queries and keys, its softmax (a normaliser), and the product with the
        values; each product has an edge from either factor for every term. A query has no edges
        from what a mask hides: neither from the scores of those keys nor from their values.

        Parameters
        ----------
        query : Tensor, shape ``(..., n, features)``
        key : Tensor, shape ``(..., m, features)``
        value : Tensor, shape ``(..., m, width)``
            Leading axes broadcast, so one key may serve several heads.
        causal : bool
            Whether a query sees only the keys up to its own, the last query being at the last key.
        mask : array_like of bool, shape ``(..., n, m)``, optional
            True where a query sees a key. Leading axes broadcast, and it may differ along one of
            them.
        name : str, optional
            Name of the output. ``name/scores`` and ``name/weights`` lie between, of shape
            ``(..., n, m)``. With a mask there is no tensor of that size: ``name/scores/query`` and
            ``name/scores/key`` stand for the scores of each query and of each key, and
            ``name/weights`` for the weights of each query, with as many edges as there are. These
            count; `propagate` and `to_onnx` do not know them.

        Returns
        -------
        Tensor, shape ``(..., n, width)``

        Raises
        ------
        InvalidArgumentError
            A mask that is no array of truth values, or one together with ``causal=True``.
        InvalidNetworkError
            Shapes that do not multiply, other numbers of keys than of values, or a mask that does
            not fit them.

        Examples
        --------
        >>> from unrolled import Network
        >>> net = Network()
        >>> x = net.input((12, 64))
        >>> net.attention(x, x, x).shape
        (12, 64)
        >>> net.attention(x, x, x, causal=True).shape
        (12, 64)
        """
        layer = self._layer("attention", name)
        self._own(layer, query, key, value)
        if key.shape[-2:-1] != value.shape[-2:-1]:
            raise InvalidNetworkError(
                f"layer '{layer}': keys of shape {key.shape} and values of shape {value.shape} "
                "differ in their number of tokens"
            )
        leading = [x.shape[:-2] for x in (query, key, value)]
        rank = max(map(len, leading))
        shape = broadcast_shape(layer, leading, [rank - len(shape) for shape in leading])
        if len(query.shape) > 1 and len(key.shape) > 1:
            tokens = query.shape[-2], key.shape[-2]
            parts = checked_mask(layer, causal, mask, shape, *tokens)
            if parts and query.shape[-1] == key.shape[-1]:
                divisor = sqrt(query.shape[-1])
                return link_masked_attention(
                    self, layer, (query, key, value), parts, shape, divisor
                )
        features = query.shape[-1] if query.shape else 1
        scaled = Operation("matmul", divisor=sqrt(features))
        scores = self._product(f"{layer}/scores", query, key, transposed=True, operation=scaled)
        weights = self.softmax(scores, name=f"{layer}/weights")
        return self._product(layer, weights, value, transposed=False)

    @undone_if_refused
    def multi_head_attention(
        self,
        x: Tensor,
        heads: int,
        *,
        context: Tensor | None = None,
        head_size: int | None = None,
        width: int | None = None,
        use_bias: bool = True,
        causal: bool = False,
        mask: Any = None,
        name: str | None = None,
    ) -> Tensor:
        """Attention with several heads: dense projections, `attention`, a dense projection.

        Parameters
        ----------
        x : Tensor, shape ``(tokens, channels)``
            Where the queries come from.
        heads : int
        context : Tensor, shape ``(others, channels)``, optional
            Where keys and values come from; `x` by default.
        head_size : int, optional
            Features of a head; ``channels / heads`` by default.
        width : int, optional
            Output features; ``channels`` by default.
        use_bias : bool
        causal : bool
            Whether a token sees only itself and those before it; see `attention`.
        mask : array_like of bool, shape ``(tokens, others)``, optional
            True where a token sees another; with one more axis in front, for every head.
        name : str, optional
            Name of the output; parameters are ``name/query/kernel``, ``name/key/kernel``,
            ``name/value/kernel``, ``name/output/kernel`` and their biases.

        Returns
        -------
        Tensor, shape ``(tokens, width)``

        Raises
        ------
        InvalidArgumentError
            A size that is not a positive integer, or a mask as in `attention`.
        InvalidNetworkError
            Not two axes, channels that do not divide into the heads, or a mask that does not fit.

        Examples
        --------
        >>> from unrolled import Network
        >>> net = Network()
        >>> net.multi_head_attention(net.input((12, 64)), 4, name="mix").shape
        (12, 64)
        >>> net["mix/query/kernel"].shape
        (64, 64)
        """
        layer = self._layer("multi_head_attention", name)
        context = x if context is None else context
        self._own(layer, x, context)
        if len(x.shape) != 2 or len(context.shape) != 2:
            raise InvalidNetworkError(
                f"layer '{layer}': expected tensors of shape (tokens, channels), got shapes "
                f"{x.shape} and {context.shape}"
            )
        heads, channels = integer(layer, "heads", heads), x.shape[1]
        if head_size is None and channels % heads:
            raise InvalidNetworkError(
                f"layer '{layer}': {channels} channels do not divide into {heads} heads; give "
                "head_size"
            )
        size = channels // heads if head_size is None else integer(layer, "head_size", head_size)
        width = channels if width is None else integer(layer, "width", width)
        # Checked before anything is declared.
        checked_mask(layer, causal, mask, (heads,), x.shape[0], context.shape[0])
        query, key, value = (
            self._heads(f"{layer}/{role}", source, heads, size, use_bias)
            for role, source in (("query", x), ("key", context), ("value", context))
        )
        inner = f"{layer}/attention"
        mixed = self.attention(query, key, value, causal=causal, mask=mask, name=inner)
        mixed = self.transpose(mixed, (1, 0, 2), name=f"{layer}/together")
        mixed = self.reshape(mixed, (x.shape[0], -1), name=f"{layer}/joined")
        kernel = self.parameter(f"{layer}/output/kernel", (heads * size, width))
        bias = self.parameter(f"{layer}/output/bias", width) if use_bias else None
        return self.dense(mixed, width, use_bias=use_bias, kernel=kernel, bias=bias, name=layer)

    def _heads(self, layer: str, x: Tensor, heads: int, size: int, use_bias: bool) -> Tensor:
        """Project ``(tokens, channels)`` to ``(heads, tokens, size)``."""
        y = self.dense(x, heads * size, use_bias=use_bias, name=layer)
        y = self.reshape(y, (x.shape[0], heads, size), name=f"{layer}/heads")
        return self.transpose(y, (1, 0, 2), name=f"{layer}/apart")


def link_masked_attention(
    network: Builder,
    layer: str,
    tensors: tuple[Tensor, Tensor, Tensor],
    parts: Sequence[MaskPart],
    leading: tuple[int, ...],
    divisor: float,
) -> Tensor:
    """Attention without tensors of queries times keys; see `unrolled.network.layers.masks`.

    Parameters
    ----------
    network : Builder
        Where the tensors `layer`, ``layer/scores/query``, ``layer/scores/key`` and
        ``layer/weights`` are added.
    layer : str
    tensors : (Tensor, Tensor, Tensor)
        Queries ``(..., n, features)``, keys ``(..., m, features)`` and values ``(..., m, width)``.
    parts : sequence of MaskPart
    leading : tuple of int
        The axes in front of the last two, to which those of the tensors broadcast.
    divisor : float
        Of the products of queries and keys.
    """
    query, key, value = tensors
    rank = len(leading)
    tokens, width = query.shape[-2], value.shape[-1]
    by_query = _total(network, f"{layer}/scores/query", query, leading)
    by_key = _total(network, f"{layer}/scores/key", key, leading)
    weights = network._new(f"{layer}/weights", (*leading, tokens), PART)
    masked = Operation("other", "masked_attention", divisor=divisor)
    y = network._new(layer, (*leading, tokens, width), masked)
    if any(part.axis is not None for part in parts) and value.shape[:-2] != leading:
        value = _spread(network, f"{layer}/values", value, leading)
    is_dependent = network.semantics == "dependency"
    for part in parts:
        mask = part.mask
        # Two of the same tensor, of which a mask may hold for some positions only.
        same = [Relation.same(axis, axis) for axis in range(rank)]
        if part.axis is not None:
            at = rank + part.axis
            same[at] = part.leading_relation(at, at, leading[at])
        numbers, keys = mask.number_relation(rank, rank), mask.key_relation(rank, rank)
        network._core.link(by_query.id, weights.id, [*same, numbers])
        network._core.link(by_key.id, weights.id, [*same, keys])
        # A softmax connects each weight of a query with all its scores.
        again = numbers if is_dependent else Relation.same(rank, rank)
        network._core.link(weights.id, y.id, [*same, again, Relation.sum(rank + 1)])
        at = len(value.shape) - 2
        aligned = same
        if part.axis is None:
            aligned = alignment(value.shape[:-2], leading, rank - at)
        relations = [mask.key_relation(at, rank), Relation.same(at + 1, rank + 1)]
        network._core.link(value.id, y.id, [*aligned, *relations])
    return y


def _total(network: Builder, name: str, x: Tensor, leading: tuple[int, ...]) -> Tensor:
    """What stands for all products with the features of each token of `x`."""
    own = x.shape[:-2]
    relations = alignment(own, leading, len(leading) - len(own))
    token = [Relation.same(len(own), len(leading)), Relation.each(len(own) + 1)]
    shape = (*leading, x.shape[-2])
    return network._compute(name, shape, PART, [(x, [*relations, *token])])


def _spread(network: Builder, name: str, x: Tensor, leading: tuple[int, ...]) -> Tensor:
    """The same values for every position of leading axes that they are broadcast to."""
    shape = (*leading, *x.shape[-2:])
    relations = alignment(x.shape, shape, len(shape) - len(x.shape))
    return network._compute(name, shape, Operation("move"), [(x, relations)])
