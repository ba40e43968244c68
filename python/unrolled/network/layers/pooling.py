"""Pooling: every in-bounds element of a window counts."""

from __future__ import annotations

from typing import Literal, TypeAlias

from unrolled._core import Operation, Relation
from unrolled._support.arguments import checked_choice
from unrolled.errors import InvalidNetworkError
from unrolled.network.builder import Builder, Form, Tensor, form, remembered
from unrolled.network.relations import same
from unrolled.network.shapes import (
    Padding,
    PerAxis,
    boolean,
    checked_windows,
    slides,
    spatial_shape,
    under_windows,
)

Kind: TypeAlias = Literal["average", "max"]

OPERATIONS: dict[Kind, Operation] = {"average": Operation("average"), "max": Operation("max_pool")}


class Pooling(Builder):
    """Layer methods for pooling."""

    def max_pool(
        self,
        x: Tensor,
        pool_size: PerAxis,
        *,
        stride: PerAxis | None = None,
        dilation: PerAxis = 1,
        padding: Padding = "valid",
        name: str | None = None,
    ) -> Tensor:
        """Maximum over a window: one edge from each of its in-bounds elements.

        Parameters
        ----------
        x : Tensor, shape ``(channels, *spatial)``
        pool_size, dilation : int or one int for every spatial axis
        stride : int or one int for every spatial axis, optional
            `pool_size` by default.
        padding : as in `conv`
        name : str, optional

        Returns
        -------
        Tensor, shape ``(channels, *positions)``

        Raises
        ------
        InvalidArgumentError, InvalidNetworkError
            As for `conv`.

        Examples
        --------
        >>> from unrolled import Network
        >>> net = Network()
        >>> net.max_pool(net.input((64, 112, 112)), 3, stride=2, padding="symmetric").shape
        (64, 56, 56)
        """
        layer = self._free_name("max_pool", name)
        return self._pool(layer, x, pool_size, stride, dilation, padding, "max")

    def average_pool(
        self,
        x: Tensor,
        pool_size: PerAxis,
        *,
        stride: PerAxis | None = None,
        dilation: PerAxis = 1,
        padding: Padding = "valid",
        name: str | None = None,
    ) -> Tensor:
        """Mean over a window; its edges and arguments are those of `max_pool`.

        It is the mean of the elements in bounds.

        Raises
        ------
        InvalidArgumentError, InvalidNetworkError
            As for `conv`.
        """
        layer = self._free_name("average_pool", name)
        return self._pool(layer, x, pool_size, stride, dilation, padding, "average")

    def global_pool(
        self,
        x: Tensor,
        *,
        keep_dimensions: bool = False,
        kind: Kind = "average",
        name: str | None = None,
    ) -> Tensor:
        """Mean or maximum over all axes but the first.

        Parameters
        ----------
        x : Tensor, shape ``(channels, *spatial)``
        keep_dimensions : bool
            Keep the spatial axes, with length 1.
        kind : {"average", "max"}
            Counts do not depend on it.
        name : str, optional

        Returns
        -------
        Tensor, shape ``(channels,)`` or ``(channels, 1, ...)``

        Raises
        ------
        InvalidArgumentError
            Another kind.
        InvalidNetworkError
            `x` has no spatial axis.

        Examples
        --------
        >>> from unrolled import Network
        >>> net = Network()
        >>> net.global_pool(net.input((64, 7, 7))).shape
        (64,)
        """
        layer = self._free_name("global_pool", name)
        self._own(layer, x)
        own = _global_pooling(layer, x.shape, keep_dimensions, kind)
        return self._declare(layer, own, [x])

    def _pool(
        self,
        layer: str,
        x: Tensor,
        pool_size: PerAxis,
        stride: PerAxis | None,
        dilation: PerAxis,
        padding: Padding,
        kind: Kind,
    ) -> Tensor:
        self._own(layer, x)
        stride = pool_size if stride is None else stride
        windows = checked_windows(layer, x.shape, pool_size, stride, dilation, padding)
        return self._declare(layer, _pooling(layer, x.shape, *windows, kind), [x])


@remembered
def _pooling(
    layer: str,
    shape: tuple[int, ...],
    size: PerAxis,
    stride: PerAxis,
    dilation: PerAxis,
    padding: Padding,
    kind: Kind,
) -> Form:
    """A pooling of a tensor of this shape."""
    windows = slides(layer, spatial_shape(layer, shape), size, stride, dilation, padding)
    pooled = (shape[0], *[window.length for window in windows])
    return form(pooled, OPERATIONS[kind], [(*same(1), *under_windows(windows))])


@remembered
def _global_pooling(layer: str, shape: tuple[int, ...], keep_dimensions: bool, kind: Kind) -> Form:
    """A pooling of all positions of a tensor of this shape."""
    checked_choice(f"layer '{layer}': kind", kind, ("average", "max"))
    axes = range(1, len(shape))
    if not axes:
        raise InvalidNetworkError(
            f"layer '{layer}': expected channels and at least one spatial axis, got a tensor "
            f"of shape {shape}"
        )
    if boolean(layer, "keep_dimensions", keep_dimensions):
        pooled = (shape[0], *[1 for _ in axes])
        read = [Relation.all(axis, axis) for axis in axes]
    else:
        pooled = shape[:1]
        read = [Relation.each(axis) for axis in axes]
    return form(pooled, OPERATIONS[kind], [[*same(1), *read]])
