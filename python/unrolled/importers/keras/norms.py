"""Rules for the normalisation layers of Keras."""

from __future__ import annotations

import numpy as np

from unrolled._core import Operation
from unrolled.errors import InvalidModelError
from unrolled.importers.keras.layer import TABLE, Layer
from unrolled.importers.tracing.tracer import Tracer
from unrolled.importers.tracing.values import Constant, Operand
from unrolled.network.builder import LinkRole

__all__: list[str] = []

rule = TABLE.rule

EPSILON = 1e-7
"""What Keras takes for smaller deviations."""


def axes_of(layer: Layer, x: Operand) -> tuple[int, ...]:
    """The axes in the configuration, counted from the front, in order."""
    given = layer.config.get("axis", -1)
    axes = [] if given is None else [given] if isinstance(given, int) else list(given)
    if not all(isinstance(axis, int) and -x.rank <= axis < x.rank for axis in axes):
        raise InvalidModelError(f"{layer}: axis {given!r} is not one of shape {x.shape}")
    return tuple(sorted({axis % x.rank for axis in axes}))


@rule("BatchNormalization")
def _batch_normalization(tracer: Tracer, layer: Layer) -> Operand:
    x = layer.x
    axes = axes_of(layer, x)
    shape = layer.lengths(x, axes)
    weights = []
    if layer.config.get("scale", True):
        weights.append(layer.weight("gamma", shape))
    if layer.config.get("center", True):
        weights.append(layer.weight("beta", shape))
    weights.append(layer.weight("moving_mean", shape, trainable=False))
    weights.append(layer.weight("moving_variance", shape, trainable=False))
    has = {key: bool(layer.config.get(key, True)) for key in ("scale", "center")}
    roles: list[LinkRole] = ["scale"] if has["scale"] else []
    if has["center"]:
        roles.append("shift")
    return tracer.affine(
        x,
        axes,
        *weights,
        operation=Operation("batch_norm", axes=tuple(axes)),
        roles=[*roles, "mean", "variance"],
    )


@rule("LayerNormalization")
def _layer_normalization(tracer: Tracer, layer: Layer) -> Operand:
    x = layer.x
    axes = axes_of(layer, x)
    shape = layer.lengths(x, axes)
    rms = bool(layer.config.get("rms_scaling"))
    weights = []
    if layer.config.get("scale", True) or rms:
        weights.append(layer.weight("gamma", shape))
    if layer.config.get("center", True) and not rms:
        weights.append(layer.weight("beta", shape))
    y = tracer.normalise(x, axes, "rms_norm" if rms else "layer_norm")
    roles: list[LinkRole] = ["scale"] if layer.config.get("scale", True) or rms else []
    roles += ["shift"] * (len(weights) - len(roles))
    return tracer.affine(y, axes, *weights, roles=roles) if weights else y


@rule("RMSNormalization")
def _rms_normalization(tracer: Tracer, layer: Layer) -> Operand:
    x = layer.x
    axes = axes_of(layer, x)
    scale = layer.weight("scale", layer.lengths(x, axes))
    return tracer.affine(tracer.normalise(x, axes, "rms_norm"), axes, scale, roles=("scale",))


@rule("GroupNormalization")
def _group_normalization(tracer: Tracer, layer: Layer) -> Operand:
    x = layer.x
    (axis,) = axes_of(layer, x)
    (channels,) = layer.lengths(x, (axis,))
    groups = layer.integer("groups", least=-1)
    groups = channels if groups == -1 else groups
    if groups < 1 or channels % groups:
        raise InvalidModelError(f"{layer}: {channels} channels do not make {groups} groups")
    y = x
    if tracer.network.semantics != "value":
        shape = (*x.shape[:axis], groups, channels // groups, *x.shape[axis + 1 :])
        grouped = tracer.reshape(x, shape)
        group = [at for at in range(1, len(shape)) if at != axis]
        y = tracer.reshape(tracer.normalise(grouped, group), x.shape)
    weights = []
    if layer.config.get("scale", True):
        weights.append(layer.weight("gamma", (channels,)))
    if layer.config.get("center", True):
        weights.append(layer.weight("beta", (channels,)))
    if not weights and not tracer.operations:
        return y
    roles: list[LinkRole] = ["scale"] if layer.config.get("scale", True) else []
    roles += ["shift"] * (len(weights) - len(roles))
    operation = Operation("group_norm", axes=(axis,), groups=groups)
    return tracer.affine(y, (axis,), *weights, operation=operation, roles=roles)


@rule("UnitNormalization")
def _unit_normalization(tracer: Tracer, layer: Layer) -> Operand:
    return tracer.normalise(layer.x, axes_of(layer, layer.x), "norm")


@rule("SpectralNormalization")
def _spectral_normalization(tracer: Tracer, layer: Layer) -> Operand:
    """Only training divides the kernel by its norm; the layer is applied as it is."""
    layer.skip("vector_u", "used in training only")
    result: Operand = layer.inner(layer.config["layer"], layer.x)
    return result


@rule("Normalization")
def _normalization(tracer: Tracer, layer: Layer) -> Operand:
    """Mean and variance are weights that are not trained, unless the configuration fixes them."""
    x = layer.x
    if layer.config.get("mean") is not None:
        layer.skip("mean", "fixed in the configuration")
        layer.skip("variance", "fixed in the configuration")
        return _standardised(tracer, layer, x)
    axes = axes_of(layer, x)
    shape = layer.lengths(x, axes)
    layer.skip("count", "used in training only")
    mean = layer.weight("mean", shape, trainable=False)
    variance = layer.weight("variance", shape, trainable=False)
    operation = Operation("batch_norm", axes=tuple(axes))
    roles: tuple[LinkRole, ...] = ("mean", "variance")
    return tracer.affine(x, axes, mean, variance, operation=operation, roles=roles)


def _standardised(tracer: Tracer, layer: Layer, x: Operand) -> Operand:
    """What a mean and a variance of the configuration make of a tensor: no edge but its own."""
    axes = axes_of(layer, x)
    shape = [length if axis in axes else 1 for axis, length in enumerate(x.shape)]
    config = layer.config
    try:
        mean, variance = (
            np.broadcast_to(np.asarray(config[key], dtype=np.float64), layer.lengths(x, axes))
            for key in ("mean", "variance")
        )
        mean, variance = mean.reshape(shape), variance.reshape(shape)
        if not (np.isfinite(mean).all() and (variance >= 0).all()):
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise InvalidModelError(
            f"{layer}: its mean and variance do not fit the shape {x.shape} of its input"
        ) from None
    deviation = np.maximum(np.sqrt(variance), EPSILON)
    if config.get("invert"):
        return tracer.add(tracer.multiply(x, Constant.of(deviation)), Constant.of(mean))
    return tracer.multiply(tracer.add(x, Constant.of(-mean)), Constant.of(1 / deviation))
