"""ResNet-18, 34, 50, 101 and 152."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from unrolled._support.arguments import checked_choice
from unrolled.errors import InvalidArgumentError
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

__all__ = ["BLOCKS", "BOTTLENECKS", "SIZE", "resnet"]

BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
"""Blocks of each of the four stages, by depth."""

BOTTLENECKS = (50, 101, 152)
WIDTH = 64
BOTTLENECK_EXPANSION = 4
SIZE = 224
PADDINGS = ("symmetric", "same")
VARIANTS = ("v1", "v1.5")


@resizable
def resnet(
    depth: Literal[18, 34, 50, 101, 152] = 50,
    *,
    size: ImageSize = SIZE,
    variant: Literal["v1", "v1.5"] = "v1",
    padding: Padding = "symmetric",
    classes: int = 1000,
    include_top: bool = True,
    activations: bool = False,
) -> Network:
    """ResNet as published, with batch norm instead of a bias after every convolution.

    Parameters
    ----------
    depth : {18, 34, 50, 101, 152}
    size : int or (height, width)
        Of the input image in pixels.
    variant : {"v1", "v1.5"}
        Which convolution of a bottleneck has the stride: "v1", the first 1 x 1, as in the
        publication and the published analysis; "v1.5", the 3 x 3, as in torchvision. Both are
        the same for depths 18 and 34, which have no bottlenecks.
    padding : {"symmetric", "same"}
        "symmetric": half the kernel on both sides, as in the published analysis. "same": what
        Keras' padding of this name does, more at the bottom and right of strided layers.
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
        An unknown depth, variant or padding, a size or number of classes that is not positive.

    References
    ----------
    K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", CVPR 2016,
    table 1.

    Examples
    --------
    >>> import unrolled
    >>> unrolled.models.resnet(50)
    Network('resnet50', 25,610,152 parameters, 150,528 inputs, 1,000 outputs)
    """
    from unrolled.network.network import Network

    if depth not in tuple(BLOCKS):  # A tuple takes what cannot be hashed, too.
        raise InvalidArgumentError(
            f"resnet: depth must be one of {', '.join(map(str, BLOCKS))}, got {depth!r}"
        )
    checked_choice("resnet: variant", variant, VARIANTS)
    checked_choice("resnet: padding", padding, PADDINGS)
    net = Network(f"resnet{int(depth)}" + ("" if variant == "v1" else f"-{variant}"))
    x = image(net, 3, size)
    relu = "relu" if activations else None
    x = conv_norm(net, x, WIDTH, 7, stride=2, padding=padding, name="stem", function=relu)
    x = net.max_pool(x, 3, stride=2, padding=padding, name="stem.pool")
    for stage, blocks in enumerate(BLOCKS[depth]):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            name = f"stage{stage + 1}.block{block + 1}"
            width = WIDTH << stage
            if depth in BOTTLENECKS:
                strides = (stride, 1) if variant == "v1" else (1, stride)
                x = _bottleneck_block(net, x, width, strides, padding, name, relu)
            else:
                x = _basic_block(net, x, width, stride, padding, name, relu)
    return classifier(net, x, classes, include_top)


def _basic_block(
    net: Network,
    x: Tensor,
    width: int,
    stride: int,
    padding: Padding,
    name: str,
    relu: str | None,
) -> Tensor:
    """Two 3 x 3 convolutions."""
    y = conv_norm(
        net, x, width, 3, stride=stride, padding=padding, name=f"{name}.first", function=relu
    )
    y = conv_norm(net, y, width, 3, padding=padding, name=f"{name}.second")
    return _add_shortcut(net, _shortcut(net, x, width, stride, padding, name), y, name, relu)


def _bottleneck_block(
    net: Network,
    x: Tensor,
    width: int,
    strides: tuple[int, int],
    padding: Padding,
    name: str,
    relu: str | None,
) -> Tensor:
    """A 1 x 1 convolution that reduces, a 3 x 3, and a 1 x 1 that expands."""
    first, second = strides
    wide = width * BOTTLENECK_EXPANSION
    y = conv_norm(
        net, x, width, 1, stride=first, padding=padding, name=f"{name}.reduce", function=relu
    )
    y = conv_norm(
        net, y, width, 3, stride=second, padding=padding, name=f"{name}.spatial", function=relu
    )
    y = conv_norm(net, y, wide, 1, padding=padding, name=f"{name}.expand")
    shortcut = _shortcut(net, x, wide, first * second, padding, name)
    return _add_shortcut(net, shortcut, y, name, relu)


def _add_shortcut(net: Network, shortcut: Tensor, x: Tensor, name: str, relu: str | None) -> Tensor:
    x = net.add(shortcut, x, name=f"{name}.add")
    return net.activation(x, relu, name=f"{name}.{relu}") if relu else x


def _shortcut(
    net: Network, x: Tensor, channels: int, stride: int, padding: Padding, name: str
) -> Tensor:
    """The block's input, projected by a 1 x 1 convolution if its shape changes."""
    if stride == 1 and x.shape[0] == channels:
        return x
    return conv_norm(net, x, channels, 1, stride=stride, padding=padding, name=f"{name}.shortcut")
