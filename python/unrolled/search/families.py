"""Families of residual networks and of transformers, by depth, width, kernels and resolution."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from unrolled.errors import InvalidNetworkError
from unrolled.models.blocks import image
from unrolled.network.network import Network, Tensor
from unrolled.search.space import Space

__all__ = ["resnet_family", "transformer_family"]


def resnet_family(
    *,
    depths: Sequence[int] = (1, 2, 3, 4),
    widths: Sequence[int] = (16, 32, 64),
    kernels: Sequence[int] = (3,),
    resolutions: Sequence[int] = (32,),
    stages: int = 3,
    classes: int = 10,
) -> Space:
    """Residual networks of basic blocks: the depth of each stage, width, kernel size, resolution.

    A stage has as many blocks of two convolutions as its depth says; each but the first halves the
    map and doubles the width.

    Parameters
    ----------
    depths : sequence of int
        Blocks that each stage may have.
    widths : sequence of int
        Channels of the first stage.
    kernels : sequence of int
        Sizes of the kernels in blocks.
    resolutions : sequence of int
        Sides of the image, in pixels.
    stages, classes : int

    Raises
    ------
    InvalidArgumentError
        Options that are empty; numbers that are not positive.

    References
    ----------
    K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016.

    Examples
    --------
    >>> from unrolled import search
    >>> search.resnet_family(depths=[1, 2], widths=[8, 16])
    Space('resnet_family', 16 architectures, 6 places)
    """
    choices: dict[str, Sequence[int]] = {f"depth{stage}": depths for stage in range(1, stages + 1)}
    choices.update(width=widths, kernel=kernels, resolution=resolutions)
    build = partial(_build_resnet, stages, classes)
    return Space.from_function(build, choices, name="resnet_family")


def _build_resnet(
    stages: int, classes: int, *, width: int, kernel: int, resolution: int, **depths: int
) -> Network:
    net = Network("resnet")
    x = _conv_norm(net, image(net, 3, resolution), width, kernel, 1, "stem")
    x = net.activation(x, name="stem.relu")
    for stage in range(1, stages + 1):
        for block in range(1, depths[f"depth{stage}"] + 1):
            stride = 2 if stage > 1 and block == 1 else 1
            channels = width * 2 ** (stage - 1)
            x = _basic_block(net, x, channels, kernel, stride, f"stage{stage}.block{block}")
    net.output(net.dense(net.global_pool(x, name="pool"), classes, name="classifier"))
    return net


def _conv_norm(net: Network, x: Tensor, channels: int, size: int, stride: int, name: str) -> Tensor:
    x = net.conv(
        x, channels, size, stride=stride, padding="symmetric", use_bias=False, name=f"{name}.conv"
    )
    return net.batch_norm(x, name=f"{name}.norm")


def _basic_block(
    net: Network, x: Tensor, channels: int, size: int, stride: int, name: str
) -> Tensor:
    y = _conv_norm(net, x, channels, size, stride, f"{name}.first")
    y = net.activation(y, name=f"{name}.first.relu")
    y = _conv_norm(net, y, channels, size, 1, f"{name}.second")
    if y.shape != x.shape:
        x = _conv_norm(net, x, channels, 1, stride, f"{name}.shortcut")
    return net.activation(net.add(x, y, name=f"{name}.sum"), name=f"{name}.relu")


def transformer_family(
    *,
    depths: Sequence[int] = (2, 4, 6),
    widths: Sequence[int] = (64, 128, 192),
    heads: Sequence[int] = (2, 4, 8),
    ratios: Sequence[int] = (2, 4),
    patches: Sequence[int] = (4, 8),
    size: int = 32,
    classes: int = 10,
) -> Space:
    """Vision transformers: depth, width, heads, width of the inner layers, size of the patches.

    Norms come before attention and before the two layers of each block; the classifier reads the
    mean of all tokens.

    Parameters
    ----------
    depths, widths, heads : sequence of int
        Blocks, channels, and heads of attention, which have to divide the channels; other
        combinations are not valid.
    ratios : sequence of int
        How much wider the inner layer of a block is.
    patches : sequence of int
        Sides of the patches that the image is cut into, in pixels.
    size : int
        Of the image, in pixels.
    classes : int

    Raises
    ------
    InvalidArgumentError
        Options that are empty; numbers that are not positive.

    References
    ----------
    A. Dosovitskiy et al., "An Image is Worth 16x16 Words: Transformers for Image Recognition at
    Scale", ICLR 2021.

    Examples
    --------
    >>> from unrolled import search
    >>> search.transformer_family()
    Space('transformer_family', 108 architectures, 5 places)
    """
    choices = {
        "depth": depths,
        "width": widths,
        "heads": heads,
        "ratio": ratios,
        "patch": patches,
    }
    build = partial(_build_transformer, size, classes)
    return Space.from_function(build, choices, name="transformer_family")


def _build_transformer(
    size: int, classes: int, *, depth: int, width: int, heads: int, ratio: int, patch: int
) -> Network:
    if width % heads:
        raise InvalidNetworkError(f"{heads} heads do not divide a width of {width}")
    net = Network("transformer")
    x = net.conv(image(net, 3, size), width, patch, stride=patch, padding="valid", name="patches")
    tokens = x.shape[1] * x.shape[2]
    x = net.transpose(net.reshape(x, (width, tokens), name="flat"), (1, 0), name="tokens")
    x = net.add(x, net.parameter("positions", (tokens, width)), name="embedded")
    for block in range(1, depth + 1):
        name = f"block{block}"
        y = net.layer_norm(x, name=f"{name}.norm1")
        y = net.multi_head_attention(y, heads, name=f"{name}.attention")
        x = net.add(x, y, name=f"{name}.sum1")
        y = net.layer_norm(x, name=f"{name}.norm2")
        y = net.activation(
            net.dense(y, ratio * width, name=f"{name}.inner"), "gelu", name=f"{name}.gelu"
        )
        x = net.add(x, net.dense(y, width, name=f"{name}.outer"), name=f"{name}.sum2")
    x = net.layer_norm(x, name="norm")
    x = net.transpose(x, (1, 0), name="channels")
    net.output(net.dense(net.global_pool(x, name="mean"), classes, name="classifier"))
    return net
