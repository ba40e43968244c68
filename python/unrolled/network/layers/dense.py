"""Dense layers, products of two activations, and embeddings."""

from __future__ import annotations

from functools import lru_cache

from unrolled._core import Operation, Relation
from unrolled.errors import InvalidArgumentError, InvalidNetworkError
from unrolled.network.builder import (
    Builder,
    Form,
    Tensor,
    Weight,
    form,
    remembered,
    undone_if_refused,
)
from unrolled.network.layers.elementwise import alignment, broadcast_shape
from unrolled.network.relations import along, same
from unrolled.network.shapes import boolean, integer

AFFINE = Operation("affine")
MATMUL = Operation("matmul")
ONE_HOT = Operation("embedding", "one_hot")
EMBEDDING = Operation("embedding")


class Dense(Builder):
    """Layer methods that contract an axis."""

    def dense(
        self,
        x: Tensor,
        units: int,
        *,
        use_bias: bool = True,
        name: str | None = None,
        kernel: Tensor | None = None,
        bias: Tensor | None = None,
    ) -> Tensor:
        """Fully connected layer over the last axis; leading axes share the weights.

        Parameters
        ----------
        x : Tensor, shape ``(..., in)``
        units : int
            Output features.
        use_bias : bool
        name : str, optional
            Name of the output; parameters are ``name/kernel`` and ``name/bias``.
        kernel : Tensor, shape ``(in, units)``, optional
            A tensor to use as kernel (a tied parameter) instead of a new one.
        bias : Tensor, shape ``(units,)``, optional

        Returns
        -------
        Tensor, shape ``(..., units)``

        Raises
        ------
        InvalidArgumentError
            `units` is not a positive integer.
        InvalidNetworkError
            A scalar `x`, or a tied parameter of another shape.

        Examples
        --------
        >>> from unrolled import Network
        >>> net = Network()
        >>> net.dense(net.input((7, 64)), 10, name="head").shape
        (7, 10)
        >>> net["head/kernel"].shape
        (64, 10)
        """
        layer = self._free_name("dense", name)
        self._own(layer, x)
        own = _dense(layer, x.shape, units, use_bias)
        if kernel is None and bias is None:
            return self._declare(layer, own, [x])
        has_bias = len(own.weights) > 1
        if bias is not None and not has_bias:
            raise InvalidArgumentError(
                f"layer '{layer}': a bias was given together with use_bias=False"
            )
        return self._declare(layer, own, [x], (kernel, bias) if has_bias else (kernel,))

    @undone_if_refused
    def matmul(self, a: Tensor, b: Tensor, *, name: str | None = None) -> Tensor:
        """Matrix product of two tensors: an edge from each factor for every product term.

        Parameters
        ----------
        a : Tensor, shape ``(..., n, k)``
        b : Tensor, shape ``(..., k, m)``
            Leading axes broadcast.
        name : str, optional

        Returns
        -------
        Tensor, shape ``(..., n, m)``

        Raises
        ------
        InvalidNetworkError
            Fewer than two axes, contracted axes of different lengths, leading axes that do not
            broadcast.

        Examples
        --------
        >>> from unrolled import Network
        >>> net = Network()
        >>> net.matmul(net.input((4, 7, 16), "a"), net.input((16, 5), "b")).shape
        (4, 7, 5)
        """
        layer = self._layer("matmul", name)
        self._own(layer, a, b)
        return self._product(layer, a, b, transposed=False)

    @undone_if_refused
    def embedding(
        self,
        indices: Tensor,
        rows: int,
        width: int,
        *,
        table: Tensor | None = None,
        name: str | None = None,
    ) -> Tensor:
        """Look rows of a table up by indices known only at run time.

        It is counted as the product of one-hot rows with the table: every row of the table has an
        edge at every position.

        Parameters
        ----------
        indices : Tensor, any shape
            One index a position.
        rows, width : int
            Shape of the table.
        table : Tensor, shape ``(rows, width)``, optional
            A tensor to use as table (a tied parameter) instead of a new one.
        name : str, optional
            Name of the output; the parameter is ``name/table``.

        Returns
        -------
        Tensor, shape ``(*indices.shape, width)``

        Raises
        ------
        InvalidArgumentError
            `rows` or `width` is not a positive integer.
        InvalidNetworkError
            A table of another shape.

        Examples
        --------
        >>> from unrolled import Network
        >>> net = Network()
        >>> net.embedding(net.input((12,)), 1000, 64, name="words").shape
        (12, 64)
        >>> net["words/table"].shape
        (1000, 64)
        """
        layer = self._layer("embedding", name)
        self._own(layer, indices)
        shape = (integer(layer, "rows", rows), integer(layer, "width", width))
        kernel = self._weight(layer, "table", shape, table)
        last = len(indices.shape)
        spread = [(indices, [*same(last), Relation.sum(last)])]
        one_hot = self._compute(f"{layer}/one_hot", (*indices.shape, shape[0]), ONE_HOT, spread)
        read, weighed = _contraction(last)
        weights = [Weight("table", shape, weighed)]
        lookup = form((*indices.shape, shape[1]), EMBEDDING, [read], weights)
        return self._declare(layer, lookup, [one_hot], [kernel])

    def _product(
        self,
        layer: str,
        a: Tensor,
        b: Tensor,
        *,
        transposed: bool,
        operation: Operation = MATMUL,
    ) -> Tensor:
        """``a @ b``, or ``a @ transpose(b)`` without a tensor for the transpose."""
        if len(a.shape) < 2 or len(b.shape) < 2:
            raise InvalidNetworkError(
                f"layer '{layer}': a matrix product needs two axes or more on either side, got "
                f"shapes {a.shape} and {b.shape}"
            )
        *batch_b, rows, columns = b.shape
        contracted, free = (columns, rows) if transposed else (rows, columns)
        if a.shape[-1] != contracted:
            raise InvalidNetworkError(
                f"layer '{layer}': shapes {a.shape} and {b.shape} do not multiply; the contracted "
                f"axes have lengths {a.shape[-1]} and {contracted}"
            )
        batches = (a.shape[:-2], tuple(batch_b))
        rank = max(map(len, batches))
        offsets = [rank - len(batch) for batch in batches]
        shape = broadcast_shape(layer, batches, offsets)
        first, second = (
            alignment(*pair) for pair in zip(batches, (shape, shape), offsets, strict=True)
        )
        at_a, at_b = len(a.shape) - 2, len(batch_b)
        contraction = [Relation.same(at_a, rank), Relation.all(at_a + 1, rank + 1)]
        links = [(a, [*first, *contraction])]
        kept, summed = (at_b, at_b + 1) if transposed else (at_b + 1, at_b)
        contraction = [Relation.all(summed, rank), Relation.same(kept, rank + 1)]
        links.append((b, [*second, *contraction]))
        return self._compute(layer, (*shape, a.shape[-2], free), operation, links)


@remembered
def _dense(layer: str, shape: tuple[int, ...], units: int, use_bias: bool) -> Form:
    """A dense layer over the last axis of a tensor of this shape."""
    units = integer(layer, "units", units)
    if not shape:
        raise InvalidNetworkError(f"layer '{layer}': a dense layer needs an axis, got a scalar")
    *leading, inputs = shape
    last = len(leading)
    read, weighed = _contraction(last)
    weights = [Weight("kernel", (inputs, units), weighed)]
    if boolean(layer, "use_bias", use_bias):
        weights.append(Weight("bias", (units,), along((last,), last + 1)))
    return form((*leading, units), AFFINE, [read], weights)


@lru_cache
def _contraction(last: int) -> tuple[tuple[Relation, ...], tuple[Relation, ...]]:
    """How a product reads along axis `last`: its first factor, and a kernel of two axes."""
    shared = [Relation.sum(axis) for axis in range(last)]
    return (
        (*same(last), Relation.all(last, last)),
        (*shared, Relation.each(0), Relation.same(1, last)),
    )
