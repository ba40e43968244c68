"""Scaled dot-product attention, with one head or many."""

from __future__ import annotations

from math import sqrt

from unrolled._core import Operation
from unrolled.errors import InvalidNetworkError
from unrolled.network.builder import Tensor, undone_if_refused
from unrolled.network.layers.dense import Dense
from unrolled.network.layers.elementwise import broadcast_shape
from unrolled.network.layers.normalization import Normalization
from unrolled.network.layers.reshaping import Reshaping
from unrolled.network.shapes import integer


class Attention(Dense, Reshaping, Normalization):
    """Layer methods for attention, made of products, softmax and dense layers."""

    @undone_if_refused
    def attention(
        self, query: Tensor, key: Tensor, value: Tensor, *, name: str | None = None
    ) -> Tensor:
        """Scaled dot-product attention.

        The product of queries and keys, its softmax (a normaliser), and the product with the
        values; each product has an edge from either factor for every term.

        Parameters
        ----------
        query : Tensor, shape ``(..., n, features)``
        key : Tensor, shape ``(..., m, features)``
        value : Tensor, shape ``(..., m, width)``
            Leading axes broadcast, so one key may serve several heads.
        name : str, optional
            Name of the output; ``name/scores`` and ``name/weights`` lie between.

        Returns
        -------
        Tensor, shape ``(..., n, width)``

        Raises
        ------
        InvalidNetworkError
            Shapes that do not multiply, or other numbers of keys than of values.

        Examples
        --------
        >>> from unrolled import Network
        >>> net = Network()
        >>> x = net.input((12, 64))
        >>> net.attention(x, x, x).shape
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
        broadcast_shape(layer, leading, [rank - len(shape) for shape in leading])
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
        name : str, optional
            Name of the output; parameters are ``name/query/kernel``, ``name/key/kernel``,
            ``name/value/kernel``, ``name/output/kernel`` and their biases.

        Returns
        -------
        Tensor, shape ``(tokens, width)``

        Raises
        ------
        InvalidArgumentError
            A size that is not a positive integer.
        InvalidNetworkError
            Not two axes, or channels that do not divide into the heads.

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
        query, key, value = (
            self._heads(f"{layer}/{role}", source, heads, size, use_bias)
            for role, source in (("query", x), ("key", context), ("value", context))
        )
        mixed = self.attention(query, key, value, name=f"{layer}/attention")
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
