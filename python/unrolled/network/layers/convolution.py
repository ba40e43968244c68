"""Convolutions of any rank, plain, grouped, depthwise and transposed."""

from __future__ import annotations

from unrolled._core import Operation, Relation
from unrolled.errors import (
    InvalidArgumentError,
    InvalidNetworkError,
    SizeOverflowError,
    UnrolledError,
)
from unrolled.network.builder import (
    Builder,
    Form,
    Tensor,
    Weight,
    form,
    remembered,
    undone_if_refused,
)
from unrolled.network.relations import along
from unrolled.network.shapes import (
    LARGEST_LENGTH,
    LARGEST_WINDOW,
    Padding,
    PerAxis,
    Slide,
    boolean,
    checked_reach,
    checked_windows,
    integer,
    paddings,
    pair,
    per_axis,
    slides,
    spatial_shape,
    under_windows,
)

AFFINE = Operation("affine")
MOVE = Operation("move")


class Convolution(Builder):
    """Layer methods for convolutions."""

    def conv(
        self,
        x: Tensor,
        channels: int,
        kernel_size: PerAxis,
        *,
        stride: PerAxis = 1,
        dilation: PerAxis = 1,
        groups: int = 1,
        padding: Padding = "same",
        use_bias: bool = True,
        name: str | None = None,
        kernel: Tensor | None = None,
        bias: Tensor | None = None,
    ) -> Tensor:
        """Convolve over one, two or three spatial axes.

        Parameters
        ----------
        x : Tensor, shape ``(in, *spatial)``
        channels : int
            Output channels.
        kernel_size, stride, dilation : int or one int for every spatial axis
        groups : int
            Input and output channels fall into so many independent groups.
        padding : {"same", "symmetric", "valid"}, int, or an int or pair for every spatial axis
            "same" as in Keras: ``ceil(n / stride)`` positions, an odd pad goes to the end.
            "symmetric": ``k // 2`` on both sides, k the dilated kernel size. "valid": none.
            Otherwise the positions added on both sides, or ``(before, after)``.
        use_bias : bool
        name : str, optional
            Name of the output; parameters are ``name/kernel`` and ``name/bias``.
        kernel : Tensor, shape ``(channels, in / groups, *kernel_size)``, optional
            A tensor to use as kernel (a tied parameter) instead of a new one.
        bias : Tensor, shape ``(channels,)``, optional

        Returns
        -------
        Tensor, shape ``(channels, *positions)``
            Positions are ``(n + before + after - ((k - 1) * dilation + 1)) // stride + 1``.

        Raises
        ------
        InvalidArgumentError
            A size that is not a positive integer, or an unknown padding.
        InvalidNetworkError
            A wrong rank, channels that do not divide into the groups, a window larger than the
            padded input, a tied parameter of another shape.

        Examples
        --------
        >>> from unrolled import Network
        >>> net = Network()
        >>> image = net.input((3, 32, 32))
        >>> net.conv(image, 16, 3, stride=2, name="stem").shape
        (16, 16, 16)
        >>> net["stem/kernel"].shape
        (16, 3, 3, 3)
        """
        layer = self._free_name("conv", name)
        self._own(layer, x)
        windows = checked_windows(layer, x.shape, kernel_size, stride, dilation, padding)
        own = _convolution(layer, x.shape, channels, groups, *windows, use_bias)
        return self._convolve(layer, x, own, kernel, bias)

    def depthwise_conv(
        self,
        x: Tensor,
        kernel_size: PerAxis,
        *,
        multiplier: int = 1,
        stride: PerAxis = 1,
        dilation: PerAxis = 1,
        padding: Padding = "same",
        use_bias: bool = True,
        name: str | None = None,
        kernel: Tensor | None = None,
        bias: Tensor | None = None,
    ) -> Tensor:
        """Convolve every channel on its own: `conv` with as many groups as channels.

        Parameters
        ----------
        x : Tensor, shape ``(channels, *spatial)``
        multiplier : int
            Output channels computed from each input channel.
        kernel : Tensor, shape ``(channels * multiplier, 1, *kernel_size)``, optional
        kernel_size, stride, dilation, padding, use_bias, name, bias
            As in `conv`.

        Returns
        -------
        Tensor, shape ``(channels * multiplier, *positions)``

        Raises
        ------
        InvalidArgumentError, InvalidNetworkError
            As for `conv`.

        Examples
        --------
        >>> from unrolled import Network
        >>> net = Network()
        >>> x = net.depthwise_conv(net.input((8, 7, 7)), 3, padding="valid", name="dw")
        >>> x.shape, net["dw/kernel"].shape
        ((8, 5, 5), (8, 1, 3, 3))
        """
        layer = self._free_name("depthwise_conv", name)
        self._own(layer, x)
        windows = checked_windows(layer, x.shape, kernel_size, stride, dilation, padding)
        spatial_shape(layer, x.shape)  # Refuses what has no channels.
        groups = x.shape[0]
        channels = integer(layer, "channels", integer(layer, "multiplier", multiplier) * groups)
        own = _convolution(layer, x.shape, channels, groups, *windows, use_bias)
        return self._convolve(layer, x, own, kernel, bias)

    @undone_if_refused
    def conv_transpose(
        self,
        x: Tensor,
        channels: int,
        kernel_size: PerAxis,
        *,
        stride: PerAxis = 1,
        dilation: PerAxis = 1,
        groups: int = 1,
        padding: Padding = "same",
        output_padding: PerAxis = 0,
        use_bias: bool = True,
        name: str | None = None,
        kernel: Tensor | None = None,
        bias: Tensor | None = None,
    ) -> Tensor:
        """Transposed convolution: input position i reaches ``i * stride - before + t * dilation``.

        Parameters
        ----------
        x : Tensor, shape ``(in, *spatial)``
        channels : int
            Output channels.
        padding : as in `conv`
            Positions cut off from the output. "same" as in Keras: ``n * stride`` positions.
        output_padding : int or one int for every spatial axis
            Positions added at the end, fewer than `stride` or `dilation`; not with "same".
        kernel : Tensor, shape ``(in, channels / groups, *kernel_size)``, optional
        kernel_size, stride, dilation, groups, use_bias, name, bias
            As in `conv`.

        Returns
        -------
        Tensor, shape ``(channels, *positions)``
            Positions are ``(n - 1) * stride + (k - 1) * dilation + 1 - before - after +
            output_padding``.

        Raises
        ------
        InvalidArgumentError, InvalidNetworkError
            As for `conv`, and a padding that leaves no output.

        Examples
        --------
        >>> from unrolled import Network
        >>> net = Network()
        >>> net.conv_transpose(net.input((8, 7, 7)), 4, 3, stride=2).shape
        (4, 14, 14)
        """
        layer = self._layer("conv_transpose", name)
        self._own(layer, x)
        spatial = spatial_shape(layer, x.shape)
        channels = integer(layer, "channels", channels)
        groups = integer(layer, "groups", groups)
        _check_groups(layer, x.shape[0], channels, groups)
        axes = len(spatial)
        arguments = zip(
            spatial,
            per_axis(layer, "window size", kernel_size, axes),
            per_axis(layer, "stride", stride, axes),
            per_axis(layer, "dilation", dilation, axes),
            paddings(layer, padding, axes),
            per_axis(layer, "output_padding", output_padding, axes, least=0),
            strict=True,
        )
        try:
            windows = [_transposed_slide(*window) for window in arguments]
        except UnrolledError as error:
            raise type(error)(f"layer '{layer}': {error}") from None
        has_bias = _has_bias(layer, use_bias, bias)
        return self._convolve_transposed(
            layer, x, channels, groups, windows, kernel, bias, has_bias
        )

    def _convolve(
        self, layer: str, x: Tensor, own: Form, kernel: Tensor | None, bias: Tensor | None
    ) -> Tensor:
        if kernel is None and bias is None:
            return self._declare(layer, own, [x])
        has_bias = _has_bias(layer, len(own.weights) > 1, bias)
        return self._declare(layer, own, [x], (kernel, bias) if has_bias else (kernel,))

    def _convolve_transposed(
        self,
        layer: str,
        x: Tensor,
        channels: int,
        groups: int,
        windows: list[Slide],
        kernel: Tensor | None,
        bias: Tensor | None,
        has_bias: bool,
    ) -> Tensor:
        shape = (x.shape[0], channels // groups, *[w.size for w in windows])
        lengths = [w.length for w in windows]
        biases = [_bias(channels, len(windows))] if has_bias else []
        given = [bias] if has_bias else []
        if groups == 1:
            read = [Relation.all(0, 0), *_transposed(windows, 1)]
            weighed = [Relation.each(0), Relation.same(1, 0), *_transposed_taps(windows, 1)]
            weights = [Weight("kernel", shape, weighed), *biases]
            own = form((channels, *lengths), AFFINE, [read], weights)
            return self._declare(layer, own, [x], [kernel, *given])
        kernel = self._weight(layer, "kernel", shape, kernel)
        given = [
            self._weight(layer, weight.role, weight.shape, tensor)
            for weight, tensor in zip(biases, given, strict=True)
        ]
        # The kernel's second axis counts channels within a group, so the group needs an axis.
        group = Relation.blocks(0, 0, groups=groups)
        read = [group, Relation.sum(1), *_transposed(windows, 2)]
        weighed = [group, Relation.same(1, 1), *_transposed_taps(windows, 2)]
        own = form(
            (groups, channels // groups, *lengths),
            AFFINE,
            [read],
            [Weight("kernel", shape, weighed)],
        )
        grouped = self._declare(f"{layer}/grouped", own, [x], [kernel])
        read = [Relation.same(axis + 1, axis) for axis in range(1, len(windows) + 1)]
        read.insert(0, Relation.reshape([0, 1], [0]))
        own = form((channels, *lengths), MOVE, [read], biases)
        return self._declare(layer, own, [grouped], given)


@remembered
def _convolution(
    layer: str,
    shape: tuple[int, ...],
    channels: int,
    groups: int,
    size: PerAxis,
    stride: PerAxis,
    dilation: PerAxis,
    padding: Padding,
    use_bias: bool,
) -> Form:
    """A convolution of a tensor of this shape."""
    channels = integer(layer, "channels", channels)
    groups = integer(layer, "groups", groups)
    windows = slides(layer, spatial_shape(layer, shape), size, stride, dilation, padding)
    inputs = shape[0]
    _check_groups(layer, inputs, channels, groups)
    has_bias = boolean(layer, "use_bias", use_bias)
    shape = (channels, inputs // groups, *[w.size for w in windows])
    taps = [w.taps(axis + 1, axis) for axis, w in enumerate(windows, 1)]
    weights = [Weight("kernel", shape, (Relation.same(0, 0), Relation.each(1), *taps))]
    if has_bias:
        weights.append(_bias(channels, len(windows)))
    read = (_channels(inputs, channels, groups), *under_windows(windows))
    return form((channels, *[w.length for w in windows]), AFFINE, [read], weights)


def _bias(channels: int, axes: int) -> Weight:
    """The bias of a convolution over so many axes."""
    return Weight("bias", (channels,), along((0,), axes + 1))


def _has_bias(layer: str, use_bias: bool, bias: Tensor | None) -> bool:
    """Whether a convolution has a bias."""
    if boolean(layer, "use_bias", use_bias):
        return True
    if bias is not None:
        raise InvalidArgumentError(
            f"layer '{layer}': a bias was given together with use_bias=False"
        )
    return False


def _channels(inputs: int, outputs: int, groups: int) -> Relation:
    if groups == 1:
        return Relation.all(0, 0)
    if inputs == outputs == groups:
        return Relation.same(0, 0)
    return Relation.blocks(0, 0, groups=groups)


def _check_groups(layer: str, inputs: int, channels: int, groups: int) -> None:
    if inputs % groups or channels % groups:
        raise InvalidNetworkError(
            f"layer '{layer}': {inputs} input and {channels} output channels do not both divide "
            f"into {groups} groups"
        )


def _transposed_slide(
    extent: int,
    size: int,
    stride: int,
    dilation: int,
    padding: tuple[int, int] | str,
    output_padding: int,
) -> Slide:
    reach = checked_reach(size, dilation)
    if output_padding and (padding == "same" or output_padding >= max(stride, dilation)):
        raise InvalidArgumentError(
            f"output_padding {output_padding} must be smaller than the stride or "
            "the dilation, and cannot be combined with padding='same'"
        )
    if padding == "same":
        before, length = max(reach - stride, 0) // 2, extent * stride
    else:
        before, after = pair(padding, reach)
        length = (extent - 1) * stride + reach - before - after + output_padding
    if length > LARGEST_LENGTH:
        raise SizeOverflowError(
            f"the {length} positions of the transposed convolution overflow 64 bits; use smaller "
            "sizes"
        )
    if length < 1 or before > LARGEST_WINDOW:
        raise InvalidNetworkError(
            f"padding ({before}, {after}) leaves nothing of the "
            f"{(extent - 1) * stride + reach} positions of the transposed convolution; pad less"
        )
    return Slide(extent, size, stride, dilation, before, length)


def _transposed(windows: list[Slide], target: int) -> list[Relation]:
    return [w.transposed(axis, target + axis - 1) for axis, w in enumerate(windows, 1)]


def _transposed_taps(windows: list[Slide], target: int) -> list[Relation]:
    return [w.transposed_taps(axis + 2, target + axis) for axis, w in enumerate(windows)]
