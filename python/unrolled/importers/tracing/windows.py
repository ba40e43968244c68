"""Sliding windows: convolutions, plain and transposed, and pooling."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unrolled._core import Operation, Relation
from unrolled.errors import InvalidModelError
from unrolled.importers.tracing.base import OTHER, Link
from unrolled.importers.tracing.elementwise import Elementwise
from unrolled.importers.tracing.values import Constant, Operand, Value, checked_axis
from unrolled.network.builder import LinkRole
from unrolled.network.shapes import LARGEST_WINDOW, Slide

__all__ = ["Window", "Windows", "affine_of"]

Window = Slide
"""Extent of the input, size, stride, dilation, padding in front, and number of stops."""


class Windows(Elementwise):
    """The part of `Tracer` that slides windows."""

    def cumulate(
        self, x: Operand, axis: int, *, exclusive: bool = False, reverse: bool = False
    ) -> Operand:
        """A cumulative sum, product or the like: an edge from every element up to its own.

        Parameters
        ----------
        x : Operand
        axis : int
        exclusive : bool
            Whether an element itself is left out.
        reverse : bool
            Whether it begins at the end of the axis.
        """
        axis = checked_axis(self.name, axis, x.rank)
        if isinstance(x, Constant):
            return Constant(x.shape)
        length = x.shape[axis]
        before = -int(exclusive) if reverse else length - 1 + int(exclusive)
        window = Relation.window(axis, axis, size=length, padding=before)
        return self.read(x, {axis: (length, window)}, OTHER)

    def window(
        self,
        extent: int,
        size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        padding: tuple[int, int] | str = (0, 0),
        ceil: bool = False,
    ) -> Window:
        """A window over an axis of `extent` positions.

        Parameters
        ----------
        extent, size, stride, dilation : int
        padding : (before, after), "same" or "same_lower"
            Positions added; "same" puts an odd one at the end, "same_lower" in front. Negative
            ones cut positions off.
        ceil : bool
            Whether a last window that hangs over the end counts.
        """
        reach = (size - 1) * dilation + 1
        if min(extent, size, stride, dilation) < 1 or max(reach, stride) > LARGEST_WINDOW:
            raise InvalidModelError(
                f"{self.name}: no window has size {size}, stride {stride} and dilation {dilation}"
            )
        if isinstance(padding, str):
            length = -(-extent // stride)
            total = max((length - 1) * stride + reach - extent, 0)
            before = total // 2 if padding == "same" else total - total // 2
            return Window(extent, size, stride, dilation, before, length)
        before, after = padding
        room = extent + before + after - reach
        if room < 0 or before > LARGEST_WINDOW:
            raise InvalidModelError(
                f"{self.name}: a window over {reach} positions does not fit into "
                f"{before} + {extent} + {after}"
            )
        length = room // stride + 1
        if ceil and room % stride and length * stride < extent + before:
            length += 1
        return Window(extent, size, stride, dilation, before, length)

    def convolve(
        self,
        x: Operand,
        kernel: Operand,
        windows: Sequence[Window],
        *,
        groups: int = 1,
        channels_last: bool = False,
        kernel_last: bool | None = None,
    ) -> Operand:
        """Convolution without a bias.

        Parameters
        ----------
        x : Operand, shape ``(batch, in, *spatial)``, or ``(batch, *spatial, in)``
        kernel : Operand, shape ``(out, in / groups, *sizes)``, or ``(*sizes, in / groups, out)``
        windows : sequence of Window
            One for each spatial axis; see `window`.
        groups : int
        channels_last : bool
            Whether channels are the last axes, of the kernel as well.
        kernel_last : bool, optional
            Whether they are of the kernel, if it differs.
        """
        spatial = len(windows)
        at = spatial + 1 if channels_last else 1
        first = 1 if channels_last else 2
        kernel_last = channels_last if kernel_last is None else kernel_last
        out, taps = (spatial + 1, 0) if kernel_last else (0, 2)
        given = spatial if kernel_last else 1
        x, windows = _without_padding(x, windows, first)
        self._check(x, kernel, windows, at, given, out, groups)
        inputs, outputs = x.shape[at], kernel.shape[out]
        lengths = [window.length for window in windows]
        shape = [x.shape[0], *lengths]
        shape.insert(at, outputs)
        links = []
        if isinstance(x, Value):
            relations = [Relation.same(0, 0), _channels(at, inputs, outputs, groups)]
            relations += [w.relation(first + i, first + i) for i, w in enumerate(windows)]
            links.append((x, relations))
        if isinstance(kernel, Value):
            relations = [Relation.sum(0), Relation.same(out, at), Relation.each(given)]
            relations += [w.taps(taps + i, first + i) for i, w in enumerate(windows)]
            links.append((kernel, relations))
        if not links:
            return Constant(tuple(shape))
        if isinstance(kernel, Constant) and inputs == outputs == groups:
            order = (out, given, *range(taps, taps + spatial))
            fixed = self.fixed_kernel(kernel, order, range(first, first + spatial))
            return self.emit(tuple(shape), links, fixed)
        return self.emit(tuple(shape), links, *affine_of(links))

    def fixed_kernel(
        self, kernel: Constant, order: Sequence[int], places: Sequence[int]
    ) -> Operation:
        """The operation of a constant kernel that does the same to every channel, as a blur does.

        Signals are followed if the kernel is a product of weights along each axis.

        Parameters
        ----------
        kernel : Constant
        order : sequence of int
            Its axes: those of output and input channels, then those of taps.
        places : sequence of int
            The axes of the result that taps lie along, in the same order.
        """
        unknown = Operation("other", "fixed_kernel")
        if kernel.array is None or kernel.array.dtype.kind not in "iuf" or not kernel.size:
            return unknown
        array = kernel.array.astype(np.float64).transpose(order)
        self.budget.work(self.name, array.size)
        taps = array[0, 0]
        size = float(np.abs(taps).max())
        is_alike = np.isfinite(array).all() and np.allclose(array, taps, rtol=0, atol=1e-6 * size)
        if not is_alike or not size:
            return unknown
        peak = np.unravel_index(int(np.abs(taps).argmax()), taps.shape)
        weights = []
        product = np.ones(())
        for axis in range(taps.ndim):
            along = taps[(*peak[:axis], slice(None), *peak[axis + 1 :])]
            along = along if axis == 0 else along / taps[peak]
            weights.append(tuple(along.tolist()))
            product = np.multiply.outer(product, along)
        if not np.allclose(product, taps, rtol=0, atol=1e-6 * size):
            return unknown
        return Operation("average", axes=tuple(places), weights=tuple(weights))

    def convolve_transposed(
        self, x: Operand, kernel: Operand, windows: Sequence[Window], *, groups: int = 1
    ) -> Operand:
        """Transposed convolution without a bias.

        Parameters
        ----------
        x : Operand, shape ``(batch, in, *spatial)``
        kernel : Operand, shape ``(in, out / groups, *sizes)``
        windows : sequence of Window
            One for each spatial axis, with the length of the output: input position i reaches the
            positions ``i * stride - padding + t * dilation``.
        groups : int
        """
        self._check(x, kernel, windows, 1, 1, 1, groups, transposed=True)
        within = kernel.shape[1]
        shape = (x.shape[0], groups, within, *[window.length for window in windows])
        links = []
        group = Relation.blocks(1, 1, groups=groups) if groups > 1 else Relation.all(1, 1)
        if isinstance(x, Value):
            relations = [Relation.same(0, 0), group, Relation.sum(2)]
            relations += [window.transposed(2 + i, 3 + i) for i, window in enumerate(windows)]
            links.append((x, relations))
        if isinstance(kernel, Value):
            group = Relation.blocks(0, 1, groups=groups) if groups > 1 else Relation.all(0, 1)
            relations = [Relation.sum(0), group, Relation.same(1, 2)]
            relations += [window.transposed_taps(2 + i, 3 + i) for i, window in enumerate(windows)]
            links.append((kernel, relations))
        y: Operand = Constant(shape)
        if isinstance(kernel, Constant) and links and within == 1 and groups == x.shape[1]:
            places = range(3, 3 + len(windows))
            fixed = self.fixed_kernel(kernel, range(kernel.rank), places)
            y = self.emit(shape, links, fixed)
        elif links:
            y = self.emit(shape, links, *affine_of(links))
        return self.reshape(y, (x.shape[0], groups * within, *shape[3:]))

    def pool(
        self,
        x: Operand,
        windows: Sequence[Window],
        *,
        first: int = 2,
        operation: Operation = OTHER,
    ) -> Operand:
        """A maximum, mean or norm over windows that slide along the axes from `first` on."""
        x, windows = _without_padding(x, windows, first)
        changes = {
            first + i: (window.length, window.relation(first + i, first + i))
            for i, window in enumerate(windows)
        }
        if isinstance(x, Constant):
            return Constant(tuple([changes.get(axis, (n,))[0] for axis, n in enumerate(x.shape)]))
        return self.read(x, changes, operation)

    def _check(
        self,
        x: Operand,
        kernel: Operand,
        windows: Sequence[Window],
        at: int,
        given: int,
        out: int,
        groups: int,
        *,
        transposed: bool = False,
    ) -> None:
        rank = len(windows) + 2
        fits = x.rank == kernel.rank == rank and groups >= 1
        if fits and transposed:
            fits = x.shape[1] == kernel.shape[0] and kernel.shape[0] % groups == 0
        elif fits:
            fits = x.shape[at] == kernel.shape[given] * groups and kernel.shape[out] % groups == 0
        if not fits:
            raise InvalidModelError(
                f"{self.name}: a kernel of shape {kernel.shape} in {groups} groups does not fit a "
                f"tensor of shape {x.shape}"
            )


def _without_padding(
    x: Operand, windows: Sequence[Window], first: int
) -> tuple[Operand, Sequence[Window]]:
    """What was padded along the axes that windows slide over, and windows that pad it themselves.

    Padding is no node, whether it is an operator of its own or not: a tap of a kernel has no edge
    where it meets padding.
    """
    while isinstance(x, Value) and x.node.kind == "padded" and x.axes is None:
        (whole,) = x.node.operands
        added = x.node.axes[first : first + len(windows)]
        others = [*range(first), *range(first + len(windows), x.rank)]
        if any(x.shape[axis] != whole.shape[axis] for axis in others):
            break
        moved = [
            w._replace(extent=whole.shape[first + i], padding=w.padding + before)
            for i, (w, before) in enumerate(zip(windows, added, strict=True))
        ]
        if any(window.padding > LARGEST_WINDOW for window in moved):
            break
        x, windows = whole, moved
    return x, windows


def affine_of(links: Sequence[Link]) -> tuple[Operation, list[LinkRole]]:
    """The operation of a convolution, and the roles of what it is computed from."""
    kernels = [value.node.is_weight for value, _ in links]
    is_known = kernels.count(True) == 1
    return Operation("affine" if is_known else "other"), [
        "kernel" if is_known and is_weight else "data" for is_weight in kernels
    ]


def _channels(axis: int, inputs: int, outputs: int, groups: int) -> Relation:
    if groups == 1:
        return Relation.all(axis, axis)
    if inputs == outputs == groups:
        return Relation.same(axis, axis)
    return Relation.blocks(axis, axis, groups=groups)
