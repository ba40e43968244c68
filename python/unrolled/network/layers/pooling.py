"""Pooling: every in-bounds element of a window counts."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from unrolled._core import Operation, Relation
from unrolled._support.arguments import checked_choice
from unrolled.errors import InvalidNetworkError
from unrolled.network.builder import FORMS, Builder, Form, Tensor, form, undone_if_refused
from unrolled.network.relations import same
from unrolled.network.shapes import (
    Padding,
    PerAxis,
    Slide,
    boolean,
    slides,
    spatial_shape,
    under_windows,
)

OPERATIONS = {"average": Operation("average"), "max": Operation("max_pool")}


class Pooling(Builder):
    """Layer methods for pooling."""

    @undone_if_refused
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
        layer = self._layer("max_pool", name)
        return self._pool(layer, x, pool_size, stride, dilation, padding, OPERATIONS["max"])

    @undone_if_refused
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
        layer = self._layer("average_pool", name)
        return self._pool(layer, x, pool_size, stride, dilation, padding, OPERATIONS["average"])

    @undone_if_refused
    def global_pool(
        self,
        x: Tensor,
        *,
        keep_dimensions: bool = False,
        kind: Literal["average", "max"] = "average",
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
        layer = self._layer("global_pool", name)
        self._own(layer, x)
        checked_choice(f"layer '{layer}': kind", kind, ("average", "max"))
        axes = range(1, len(x.shape))
        if not axes:
            raise InvalidNetworkError(
                f"layer '{layer}': expected channels and at least one spatial axis, got a tensor "
                f"of shape {x.shape}"
            )
        if boolean(layer, "keep_dimensions", keep_dimensions):
            shape = (x.shape[0], *[1 for _ in axes])
            pooled = [Relation.all(axis, axis) for axis in axes]
        else:
            shape = x.shape[:1]
            pooled = [Relation.each(axis) for axis in axes]
        return self._compute(layer, shape, OPERATIONS[kind], [(x, [*same(1), *pooled])])

    def _pool(
        self,
        layer: str,
        x: Tensor,
        pool_size: PerAxis,
        stride: PerAxis | None,
        dilation: PerAxis,
        padding: Padding,
        operation: Operation,
    ) -> Tensor:
        self._own(layer, x)
        stride = pool_size if stride is None else stride
        spatial = spatial_shape(layer, x.shape)
        windows = slides(layer, spatial, pool_size, stride, dilation, padding)
        return self._declare(layer, _pooling(x.shape[0], windows, operation), [x])


@lru_cache(maxsize=FORMS)
def _pooling(channels: int, windows: tuple[Slide, ...], operation: Operation) -> Form:
    """A pooling of so many channels."""
    shape = (channels, *[window.length for window in windows])
    return form(shape, operation, [(*same(1), *under_windows(windows))])
