"""Published models by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

from unrolled._support.hints import did_you_mean
from unrolled.errors import UnknownModelError
from unrolled.models import efficientnets, resnets
from unrolled.models.blocks import ImageSize, Padding

if TYPE_CHECKING:
    from typing import Literal

    from unrolled.network.network import Network

__all__ = ["ModelInfo", "build", "describe", "names"]

EFFICIENTNET = "efficientnetv2-"
RESNET = "resnet"


class ModelInfo(NamedTuple):
    """A published model: its name, the side of its published input in pixels, and a line."""

    name: str
    size: int
    description: str


def names() -> tuple[str, ...]:
    """The names `build` knows.

    Examples
    --------
    >>> from unrolled import models
    >>> models.names()[:3]
    ('efficientnetv2-b0', 'efficientnetv2-b1', 'efficientnetv2-b2')
    """
    return tuple(info.name for info in describe())


def describe() -> tuple[ModelInfo, ...]:
    """All published models, with the size of their input and a description.

    Examples
    --------
    >>> from unrolled import models
    >>> models.describe()[0]
    ModelInfo(name='efficientnetv2-b0', size=224, description='EfficientNetV2-B0 (Tan and Le 2021)')
    """
    of_efficientnet = [
        ModelInfo(
            EFFICIENTNET + variant,
            settings.size,
            f"EfficientNetV2-{variant.upper()} (Tan and Le 2021)",
        )
        for variant, settings in efficientnets.VARIANTS.items()
    ]
    of_resnet = [
        ModelInfo(f"{RESNET}{depth}", resnets.SIZE, f"ResNet-{depth} (He et al. 2016)")
        for depth in resnets.BLOCKS
    ]
    of_later_resnet = [
        ModelInfo(
            f"{RESNET}{depth}-v1.5", resnets.SIZE, f"ResNet-{depth}, stride in the 3 x 3 layers"
        )
        for depth in resnets.BOTTLENECKS
    ]
    return (*of_efficientnet, *of_resnet, *of_later_resnet)


def build(
    name: str,
    *,
    size: ImageSize | None = None,
    padding: Padding = "symmetric",
    classes: int = 1000,
    include_top: bool = True,
    activations: bool = False,
) -> Network:
    """Build a published model by name.

    Parameters
    ----------
    name : str
        One of `names`.
    size, padding, classes, include_top, activations
        See `efficientnet_v2`; by default `size` is the published one.

    Returns
    -------
    Network

    Raises
    ------
    UnknownModelError
        No model of this name; the message says which come near.
    InvalidArgumentError
        An option the model cannot be built with.

    Examples
    --------
    >>> from unrolled import models
    >>> models.build("resnet18", size=32, classes=10)
    Network('resnet18', 11,191,242 parameters, 3,072 inputs, 10 outputs)
    """
    known = names()
    if name not in known:
        hint = did_you_mean(str(name), known) or f"; known are {', '.join(known)}"
        raise UnknownModelError(
            f"unknown model {name!r}{hint} (the command 'unrolled models' lists all)"
        )
    if name.startswith(EFFICIENTNET):
        variant = cast("efficientnets.EfficientNetVariant", name.removeprefix(EFFICIENTNET))
        return efficientnets.efficientnet_v2(
            variant,
            size=size,
            padding=padding,
            classes=classes,
            include_top=include_top,
            activations=activations,
        )
    depth, _, version = name.removeprefix(RESNET).partition("-")
    return resnets.resnet(
        cast("Literal[18, 34, 50, 101, 152]", int(depth)),
        size=resnets.SIZE if size is None else size,
        variant=cast("Literal['v1', 'v1.5']", version or "v1"),
        padding=padding,
        classes=classes,
        include_top=include_top,
        activations=activations,
    )
