"""Families of residual networks and of transformers, by depth, width, kernels and resolution."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from unrolled._support.arguments import checked_positive, items
from unrolled._support.hints import described
from unrolled.errors import InvalidArgumentError, InvalidNetworkError
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
        Options that are empty or there twice; numbers that are not positive integers.

    References
    ----------
    K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016.

    Examples
    --------
    >>> from unrolled import search
    >>> search.resnet_family(depths=[1, 2], widths=[8, 16])
    Space('resnet_family', 16 architectures, 6 places)
    """
    count = checked_positive(stages, "resnet_family: stages")
    checked = {
        name: _options(f"resnet_family: {name}", given)
        for name, given in (
            ("depths", depths),
            ("widths", widths),
            ("kernels", kernels),
            ("resolutions", resolutions),
        )
    }
    choices = {f"depth{stage}": checked["depths"] for stage in range(1, count + 1)}
    choices.update(
        width=checked["widths"], kernel=checked["kernels"], resolution=checked["resolutions"]
    )
    build = partial(_build_resnet, count, checked_positive(classes, "resnet_family: classes"))
    return Space.from_function(build, choices, name="resnet_family")


def _options(what: str, given: Any) -> tuple[int, ...]:
    """Positive integers, each once."""
    listed = items(given)
    if not listed:
        raise InvalidArgumentError(
            f"{what} must be a list of positive integers, at least one; got {described(given)}"
        )
    checked = tuple(checked_positive(one, f"each of {what}") for one in listed)
    if len(set(checked)) < len(checked):
        raise InvalidArgumentError(f"{what} must differ, got {list(checked)}")
    return checked


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
        Options that are empty or there twice; numbers that are not positive integers.

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
        place: _options(f"transformer_family: {name}", given)
        for place, name, given in (
            ("depth", "depths", depths),
            ("width", "widths", widths),
            ("heads", "heads", heads),
            ("ratio", "ratios", ratios),
            ("patch", "patches", patches),
        )
    }
    build = partial(
        _build_transformer,
        checked_positive(size, "transformer_family: size"),
        checked_positive(classes, "transformer_family: classes"),
    )
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
