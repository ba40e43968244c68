"""EfficientNetV2 B0-B3, S, M and L."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Literal, NamedTuple

from unrolled._support.arguments import checked_choice
from unrolled.models.blocks import (
    ImageSize,
    Padding,
    classifier,
    conv_norm,
    image,
    resizable,
)

if TYPE_CHECKING:
    from unrolled.network.network import Network, Tensor

__all__ = ["VARIANTS", "EfficientNetVariant", "efficientnet_v2"]

SQUEEZE_RATIO = 0.25
CHANNEL_MULTIPLE = 8
PADDINGS = ("symmetric", "same")


class Stage(NamedTuple):
    """Blocks of equal configuration; only the first has the stride. Kernels are 3 x 3."""

    kind: Literal["fused", "mbconv"]
    repeats: int
    channels: int
    expansion: int
    stride: int


class Variant(NamedTuple):
    """A network: published image side, stem and head channels, stages, and their scaling."""

    size: int
    stem: int
    stages: tuple[Stage, ...]
    width: float = 1.0
    depth: float = 1.0
    head: int = 1280


BASE = (
    Stage("fused", 1, 16, 1, 1),
    Stage("fused", 2, 32, 4, 2),
    Stage("fused", 2, 48, 4, 2),
    Stage("mbconv", 3, 96, 4, 2),
    Stage("mbconv", 5, 112, 6, 1),
    Stage("mbconv", 8, 192, 6, 2),
)
SMALL = (
    Stage("fused", 2, 24, 1, 1),
    Stage("fused", 4, 48, 4, 2),
    Stage("fused", 4, 64, 4, 2),
    Stage("mbconv", 6, 128, 4, 2),
    Stage("mbconv", 9, 160, 6, 1),
    Stage("mbconv", 15, 256, 6, 2),
)
MEDIUM = (
    Stage("fused", 3, 24, 1, 1),
    Stage("fused", 5, 48, 4, 2),
    Stage("fused", 5, 80, 4, 2),
    Stage("mbconv", 7, 160, 4, 2),
    Stage("mbconv", 14, 176, 6, 1),
    Stage("mbconv", 18, 304, 6, 2),
    Stage("mbconv", 5, 512, 6, 1),
)
LARGE = (
    Stage("fused", 4, 32, 1, 1),
    Stage("fused", 7, 64, 4, 2),
    Stage("fused", 7, 96, 4, 2),
    Stage("mbconv", 10, 192, 4, 2),
    Stage("mbconv", 19, 224, 6, 1),
    Stage("mbconv", 25, 384, 6, 2),
    Stage("mbconv", 7, 640, 6, 1),
)
VARIANTS = {
    "b0": Variant(224, 32, BASE),
    "b1": Variant(240, 32, BASE, depth=1.1),
    "b2": Variant(260, 32, BASE, width=1.1, depth=1.2),
    "b3": Variant(300, 32, BASE, width=1.2, depth=1.4),
    "s": Variant(384, 24, SMALL),
    "m": Variant(480, 24, MEDIUM),
    "l": Variant(480, 32, LARGE),
}

EfficientNetVariant = Literal["b0", "b1", "b2", "b3", "s", "m", "l"]


@resizable
def efficientnet_v2(
    variant: EfficientNetVariant = "b0",
    *,
    size: ImageSize | None = None,
    padding: Padding = "symmetric",
    classes: int = 1000,
    include_top: bool = True,
    activations: bool = False,
) -> Network:
    """EfficientNetV2 as published, with batch norm after every convolution.

    Exceptions are the two convolutions of squeeze-and-excite, which have a bias instead.

    Parameters
    ----------
    variant : {"b0", "b1", "b2", "b3", "s", "m", "l"}
    size : int or (height, width), optional
        Of the input image in pixels; by default the published 224, 240, 260, 300, 384, 480, 480.
    padding : {"symmetric", "same"}
        "symmetric": half the kernel on both sides, as in the published analysis. "same": what
        Keras does, which pads strided layers more at the bottom and right. Counts under one are
        mirror images of those under the other, so no figure of an `Analysis` depends on it.
    classes : int
        Number of logits.
    include_top : bool
        Whether global pooling and the classifier follow; otherwise the features are the outputs.
    activations : bool
        Whether functions such as ReLU are tensors of their own. Counts are the same without them;
        signals and scores need them.

    Returns
    -------
    Network

    Raises
    ------
    InvalidArgumentError
        An unknown variant or padding, a size or number of classes that is not positive.

    References
    ----------
    M. Tan, Q. V. Le, "EfficientNetV2: Smaller Models and Faster Training", ICML 2021,
    tables 4 and 9; coefficients of B0-B3 as in keras.applications.

    Examples
    --------
    >>> import unrolled
    >>> unrolled.models.efficientnet_v2("b0")
    Network('efficientnetv2-b0', 7,200,312 parameters, 150,528 inputs, 1,000 outputs)
    """
    from unrolled.network.network import Network

    checked_choice("efficientnet_v2: variant", variant, tuple(VARIANTS))
    checked_choice("efficientnet_v2: padding", padding, PADDINGS)
    settings = VARIANTS[variant]
    net = Network(f"efficientnetv2-{variant}")
    x = image(net, 3, settings.size if size is None else size)
    stem = _scale_channels(settings.stem, settings.width)
    silu = "silu" if activations else None
    x = conv_norm(net, x, stem, 3, stride=2, padding=padding, name="stem", function=silu)
    for number, stage in enumerate(settings.stages, start=1):
        channels = _scale_channels(stage.channels, settings.width)
        block = _fused_block if stage.kind == "fused" else _mbconv_block
        for repeat in range(ceil(stage.repeats * settings.depth)):
            x = block(
                net,
                x,
                channels,
                expansion=stage.expansion,
                stride=stage.stride if repeat == 0 else 1,
                padding=padding,
                name=f"stage{number}.block{repeat + 1}",
                silu=silu,
            )
    head = _scale_channels(settings.head, settings.width)
    x = conv_norm(net, x, head, 1, padding=padding, name="head", function=silu)
    return classifier(net, x, classes, include_top)


def _fused_block(
    net: Network,
    x: Tensor,
    channels: int,
    *,
    expansion: int,
    stride: int,
    padding: Padding,
    name: str,
    silu: str | None,
) -> Tensor:
    """Fused-MBConv: a strided 3 x 3 convolution that expands, and a 1 x 1 one that projects."""
    block_input = x
    if expansion == 1:
        project = f"{name}.project"
        x = conv_norm(
            net, x, channels, 3, stride=stride, padding=padding, name=project, function=silu
        )
    else:
        wide = x.shape[0] * expansion
        expand = f"{name}.expand"
        x = conv_norm(net, x, wide, 3, stride=stride, padding=padding, name=expand, function=silu)
        x = conv_norm(net, x, channels, 1, padding=padding, name=f"{name}.project")
    return _residual(net, block_input, x, stride, name)


def _mbconv_block(
    net: Network,
    x: Tensor,
    channels: int,
    *,
    expansion: int,
    stride: int,
    padding: Padding,
    name: str,
    silu: str | None,
) -> Tensor:
    """MBConv: expand, strided depthwise 3 x 3, squeeze-and-excite, project."""
    block_input = x
    inputs = x.shape[0]
    expand = f"{name}.expand"
    x = conv_norm(net, x, inputs * expansion, 1, padding=padding, name=expand, function=silu)
    x = net.depthwise_conv(
        x, 3, stride=stride, padding=padding, use_bias=False, name=f"{name}.depthwise.conv"
    )
    x = net.batch_norm(x, name=f"{name}.depthwise.norm")
    if silu:
        x = net.activation(x, silu, name=f"{name}.depthwise.{silu}")
    gate = net.global_pool(x, keep_dimensions=True, name=f"{name}.pool")
    gate = net.conv(gate, max(1, int(inputs * SQUEEZE_RATIO)), 1, name=f"{name}.squeeze")
    if silu:
        gate = net.activation(gate, silu, name=f"{name}.squeeze.{silu}")
    gate = net.conv(gate, x.shape[0], 1, name=f"{name}.excite")
    if silu:
        gate = net.activation(gate, "sigmoid", name=f"{name}.excite.sigmoid")
    x = net.multiply(x, gate, name=f"{name}.scale")
    x = conv_norm(net, x, channels, 1, padding=padding, name=f"{name}.project")
    return _residual(net, block_input, x, stride, name)


def _residual(net: Network, block_input: Tensor, x: Tensor, stride: int, name: str) -> Tensor:
    if stride == 1 and block_input.shape == x.shape:
        return net.add(block_input, x, name=f"{name}.add")
    return x


def _scale_channels(channels: int, width: float) -> int:
    """Channels times a width coefficient, to the nearest multiple of 8."""
    multiples = int(channels * width + CHANNEL_MULTIPLE / 2) // CHANNEL_MULTIPLE
    return max(multiples, 1) * CHANNEL_MULTIPLE
