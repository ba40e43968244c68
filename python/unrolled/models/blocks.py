"""What several models are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial, wraps
from inspect import signature
from operator import index
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeAlias

from unrolled.errors import InvalidArgumentError

if TYPE_CHECKING:
    from unrolled.network.network import Network, Tensor

__all__ = [
    "ImageSize",
    "Padding",
    "classifier",
    "conv_norm",
    "image",
    "positive",
    "resizable",
]

Padding: TypeAlias = Literal["symmetric", "same", "valid"]
ImageSize: TypeAlias = int | Sequence[int]
Arguments = ParamSpec("Arguments")

PLAIN = frozenset((int, float, str, bool, type(None)))
"""Types of what cannot be changed."""


def resizable(model: Callable[Arguments, Network]) -> Callable[Arguments, Network]:
    """Let the networks a function builds be built again for another ``size``."""
    is_optional = "activations" in signature(model).parameters

    @wraps(model)
    def build(*args: Arguments.args, **options: Arguments.kwargs) -> Network:
        net = model(*args, **options)
        kept_args = tuple([_copied(one) for one in args])
        kept = {name: _copied(one) for name, one in options.items()}
        has_functions = not is_optional or bool(options.get("activations", False))
        net.set_recipe(partial(_build_again, build, kept_args, kept), has_functions=has_functions)
        return net

    return build


def _copied(argument: Any) -> Any:
    """A copy of what may change later; most arguments are plain, or lists of what is."""
    if type(argument) in PLAIN:
        return argument
    if type(argument) is list and PLAIN.issuperset(map(type, argument)):
        return argument[:]
    return deepcopy(argument)


def _build_again(
    build: Callable[..., Network], args: Any, options: dict[str, Any], size: ImageSize
) -> Network:
    """The recipe of a model; of the function by its public name, so that it can be pickled."""
    return build(*args, **{**options, "size": size})


def image(net: Network, channels: int, size: ImageSize) -> Tensor:
    """The input image; one number for its size is the side of a square."""
    sides = tuple(size) if isinstance(size, Sequence) else (size, size)
    if isinstance(size, str) or len(sides) != 2:
        raise InvalidArgumentError(
            f"model '{net.name}': size must be one side or (height, width), got {size!r}"
        )
    height, width = (positive(f"model '{net.name}': size", side) for side in sides)
    return net.input((channels, height, width))


def conv_norm(
    net: Network,
    x: Tensor,
    channels: int,
    kernel_size: int,
    *,
    stride: int = 1,
    padding: Padding,
    name: str,
    function: str | None = None,
) -> Tensor:
    """A convolution without bias, the batch norm that replaces it, and maybe a function."""
    x = net.conv(
        x,
        channels,
        kernel_size,
        stride=stride,
        padding=padding,
        use_bias=False,
        name=f"{name}.conv",
    )
    x = net.batch_norm(x, name=f"{name}.norm")
    return net.activation(x, function, name=f"{name}.{function}") if function else x


def classifier(net: Network, x: Tensor, classes: int, include_top: bool) -> Network:
    """Global pooling and a dense layer, if wanted; then the output."""
    if include_top:
        x = net.global_pool(x, name="pool")
        classes = positive(f"model '{net.name}': classes", classes)
        x = net.dense(x, classes, name="classifier")
    net.output(x)
    return net


def positive(what: str, value: Any) -> int:
    """`value` as a positive int."""
    if type(value) is int and value > 0:
        return value
    try:
        number = index(value)
    except TypeError:
        number = 0
    if number < 1 or isinstance(value, bool):
        raise InvalidArgumentError(f"{what} must be a positive integer, got {value!r}")
    return number
