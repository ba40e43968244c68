"""Rules for the core layers of Keras: dense, embedding, activations, merging, reshaping."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from unrolled._core import Operation
from unrolled.errors import InvalidModelError
from unrolled.importers.keras.layer import TABLE, Layer
from unrolled.importers.tracing.functions import NAMED, ElementFunction
from unrolled.importers.tracing.tracer import Tracer
from unrolled.importers.tracing.values import (
    Constant,
    Operand,
    Value,
    checked_axes,
    checked_axis,
)

__all__ = ["POINTWISE", "biased"]

rule = TABLE.rule

POINTWISE = (
    "celu",
    "elu",
    "exponential",
    "gelu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softplus",
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "squareplus",
    "swish",
    "tanh",
    "tanh_shrink",
    "threshold",
)
"""Activations that are functions of single elements."""


NAMES: dict[str, ElementFunction] = {
    **{name: NAMED[name] for name in ("relu6", "selu", "sigmoid", "silu", "tanh", "mish")},
    **{name: NAMED[name] for name in ("softplus", "softsign", "log_sigmoid")},
    "exponential": NAMED["exp"],
    "hard_sigmoid": NAMED["hard_sigmoid"],
    "hard_silu": NAMED["hard_swish"],
    "hard_swish": NAMED["hard_swish"],
    "hard_tanh": NAMED["hard_tanh"],
    "linear": NAMED["identity"],
    "swish": NAMED["silu"],
}
"""Those of them that have no arguments."""


def activation_function(name: str, config: Mapping[str, Any]) -> ElementFunction | None:
    """What an activation computes from single elements, as far as it is known."""

    def number(key: str, default: float) -> float:
        given = config.get(key)
        return float(given) if isinstance(given, (int, float)) else default

    if name == "gelu":
        return NAMED["gelu_tanh" if config.get("approximate") else "gelu"]
    if name in ("elu", "celu"):
        alpha = number("alpha", 1.0)
        width = alpha if name == "celu" else 1.0
        return lambda x: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / width))
    if name == "leaky_relu":
        slope = number("negative_slope", 0.2)
        return lambda x: np.where(x > 0, x, slope * x)
    if name == "relu":
        slope, threshold = number("negative_slope", 0.0), number("threshold", 0.0)
        most = number("max_value", np.inf)
        return lambda x: np.minimum(np.where(x >= threshold, x, slope * (x - threshold)), most)
    return NAMES.get(name)


def biased(layer: Layer, y: Operand, axis: int, length: int, name: str = "bias") -> Operand:
    """Add the bias of a layer along an axis, if it has one."""
    if not layer.config.get("use_bias", True):
        return y
    return layer.tracer.affine(y, (axis % y.rank,), layer.weight(name, (length,)))


@rule(
    *[f"activations.{name}" for name in POINTWISE],
    "ELU",
    "LeakyReLU",
    "ReLU",
    "ThresholdedReLU",
    "Rescaling",
)
def _pointwise(tracer: Tracer, layer: Layer) -> Operand:
    names = {"ELU": "elu", "LeakyReLU": "leaky_relu", "ReLU": "relu"}
    name = names.get(layer.operator, layer.operator.removeprefix("activations."))
    config = layer.config
    if layer.operator == "Rescaling":
        scale, offset = config.get("scale"), config.get("offset", 0.0)
        is_known = isinstance(scale, (int, float)) and isinstance(offset, (int, float))
        function = (lambda x: scale * x + offset) if is_known else None
    else:
        function = activation_function(name, config)
    x = layer.x
    return tracer.pointwise(x, None if isinstance(x, Constant) else function, name=name)


@rule("activations.softmax", "activations.log_softmax", "activations.sparsemax")
def _softmax(tracer: Tracer, layer: Layer) -> Operand:
    return tracer.normalise(layer.x, (-1,), layer.operator.removeprefix("activations."))


@rule("activations.glu")
def _gated(tracer: Tracer, layer: Layer) -> Operand:
    half = layer.x.shape[-1] // 2
    linear, gate = tracer.split(layer.x, -1, [half, half])
    return tracer.multiply(linear, tracer.pointwise(gate, NAMED["sigmoid"], name="sigmoid"))


@rule("Softmax")
def _softmax_layer(tracer: Tracer, layer: Layer) -> Operand:
    axis = layer.config.get("axis", -1)
    axes = axis if isinstance(axis, (list, tuple)) else (axis,)
    return tracer.normalise(layer.x, axes, "softmax")


@rule("Activation")
def _activation(tracer: Tracer, layer: Layer) -> Operand:
    return layer.activation(layer.x)


def _initial_slope(initializer: Any) -> float | None:
    """What every slope of a PReLU begins with; none if they differ."""
    config: Mapping[str, Any] = {}
    if isinstance(initializer, Mapping):
        initializer, config = initializer.get("class_name"), initializer.get("config") or {}
    slope = {"zeros": 0.0, "ones": 1.0, "constant": config.get("value", 0.0)}.get(
        str(initializer).lower()
    )
    return float(slope) if isinstance(slope, (int, float)) else None


@rule("PReLU")
def _prelu(tracer: Tracer, layer: Layer) -> Operand:
    x = layer.x
    shared = set(checked_axes(str(layer), layer.config.get("shared_axes") or (), x.rank))
    axes = list(range(1, x.rank))
    layer.lengths(x, [axis for axis in axes if axis not in shared])
    shape = [1 if axis in shared else x.shape[axis] for axis in axes]
    alpha = layer.weight("alpha", shape)
    slope = _initial_slope(layer.config.get("alpha_initializer", "zeros"))
    named = Operation("other", "prelu")
    operation = named if slope is None else Operation("function", f"prelu({slope!r})")
    return tracer.affine(x, axes, alpha, operation=operation, roles=("scale",))


@rule(
    "ActivityRegularization",
    "AlphaDropout",
    "AutoContrast",
    "Dropout",
    "GaussianDropout",
    "GaussianNoise",
    "Identity",
    "Masking",
    "MixUp",
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomContrast",
    "RandomElasticTransform",
    "RandomErasing",
    "RandomFlip",
    "RandomGaussianBlur",
    "RandomGrayscale",
    "RandomHue",
    "RandomInvert",
    "RandomPerspective",
    "RandomPosterization",
    "RandomRotation",
    "RandomSaturation",
    "RandomSharpness",
    "RandomShear",
    "RandomTranslation",
    "RandomZoom",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "StochasticDepth",
)
def _identity(tracer: Tracer, layer: Layer) -> Operand:
    """What does nothing at inference."""
    return layer.x


@rule("Dense")
def _dense(tracer: Tracer, layer: Layer) -> Operand:
    x = layer.x
    (inputs,) = layer.lengths(x, (-1,))
    units = layer.integer("units")
    kernel = layer.adapted("kernel", (inputs, units))
    y = biased(layer, tracer.matmul(x, kernel), -1, units)
    return layer.activation(y)


@rule("EinsumDense")
def _einsum_dense(tracer: Tracer, layer: Layer) -> Operand:
    x = layer.x
    equation = str(layer.config["equation"]).replace(" ", "")
    result = equation.partition("->")[2]
    lengths = _einsum_lengths(layer, equation, x)
    kernel = layer.adapted(
        "kernel", [lengths[c] for c in equation.partition("->")[0].split(",")[1]]
    )
    y = tracer.einsum(equation, x, kernel)
    bias_axes = layer.config.get("bias_axes")
    if bias_axes:
        names = result.replace("...", "." * (y.rank - len(result.replace("...", ""))))
        at = sorted([names.index(c) for c in bias_axes])
        first = at[0]  # Behind this axis, the bias has length 1 along the axes that it lacks.
        shape = [y.shape[axis] if axis in at else 1 for axis in range(first, y.rank)]
        y = tracer.affine(y, range(first, y.rank), layer.weight("bias", shape))
    return layer.activation(y)


def _einsum_lengths(layer: Layer, equation: str, x: Operand) -> dict[str, int]:
    """The length of every label: of the input, then of the result as configured."""
    left, _, result = equation.partition("->")
    terms = left.split(",")
    if len(terms) != 2 or not result:
        raise InvalidModelError(f"{layer}: cannot read the equation '{equation}'")
    before, dots, after = terms[0].partition("...")
    labels = [*before, *[None] * (x.rank - len(before) - len(after) if dots else 0), *after]
    if len(labels) != x.rank:
        raise InvalidModelError(f"{layer}: '{equation}' does not fit an input of shape {x.shape}")
    lengths = {label: x.shape[axis] for axis, label in enumerate(labels) if label is not None}
    layer.lengths(x, [axis for axis, label in enumerate(labels) if label and label in terms[1]])
    given = layer.config["output_shape"]
    given = [given] if isinstance(given, int) else list(given)
    plain = result.replace("...", "")
    start = result.partition("...")[0]
    # Without an ellipsis, the batch axis is left out of the output shape.
    known = list(plain[1:] if plain == result or start else plain)[-len(given) :]
    for label, length in zip(reversed(known), reversed(given), strict=False):
        if length is not None:
            lengths.setdefault(label, length)
    return lengths


@rule("Embedding", "ReversibleEmbedding")
def _embedding(tracer: Tracer, layer: Layer) -> Operand:
    shape = layer.integer("input_dim"), layer.integer("output_dim")
    reverse = layer.argument(1, "reverse", False)
    if reverse and not layer.config.get("tie_weights", True):
        return tracer.matmul(layer.x, layer.weight("reverse_embeddings", shape[::-1]))
    table = layer.adapted("embeddings", shape)
    if reverse:
        return tracer.einsum("...d,vd->...v", layer.x, table)
    return tracer.embedding(table, layer.x)


def _merging(function: Callable[..., Operand], tracer: Tracer, layer: Layer) -> Operand:
    """Bring inputs to one rank: smaller ones get axes behind the batch axis, as in Keras."""
    inputs = layer.inputs
    rank = max(x.rank for x in inputs)
    return function(tracer, *[tracer.unsqueeze(x, range(1, 1 + rank - x.rank)) for x in inputs])


@rule("Add", "Average")
def _add(tracer: Tracer, layer: Layer) -> Operand:
    return _merging(Tracer.add, tracer, layer)


@rule("Subtract")
def _subtract(tracer: Tracer, layer: Layer) -> Operand:
    return _merging(Tracer.subtract, tracer, layer)


@rule("Multiply")
def _multiply(tracer: Tracer, layer: Layer) -> Operand:
    return _merging(Tracer.multiply, tracer, layer)


@rule("Maximum", "Minimum")
def _extremum(tracer: Tracer, layer: Layer) -> Operand:
    return _merging(Tracer.combine, tracer, layer)


@rule("Concatenate")
def _concatenate(tracer: Tracer, layer: Layer) -> Operand:
    return tracer.concat(layer.inputs, layer.config.get("axis", -1))


@rule("Dot")
def _dot(tracer: Tracer, layer: Layer) -> Operand:
    a, b = layer.inputs
    axes: Any = layer.config["axes"]
    first, second = (axes, axes) if isinstance(axes, int) else axes
    first = checked_axis(str(layer), first, a.rank)
    second = checked_axis(str(layer), second, b.rank)
    if layer.config.get("normalize"):
        a, b = tracer.normalise(a, (first,), "norm"), tracer.normalise(b, (second,), "norm")
    labels = list(range(a.rank))
    others = [0, *range(a.rank, a.rank + b.rank - 1)]
    others[second] = first
    if second != 0 and a.shape[first] != b.shape[second]:
        raise InvalidModelError(f"{layer}: axes of shapes {a.shape} and {b.shape} differ")
    result = [*[x for x in labels if x != first], *[x for x in others[1:] if x != first]]
    y = tracer.contract([labels, others], result, [a, b])
    return tracer.reshape(y, (*y.shape, 1)) if y.rank == 1 else y


@rule("Flatten")
def _flatten(tracer: Tracer, layer: Layer) -> Operand:
    x = layer.x
    if layer.channels_first and x.rank > 2:
        x = tracer.transpose(x, [0, *range(2, x.rank), 1])
    return tracer.reshape(x, (x.shape[0], x.size // x.shape[0]))


@rule("Reshape")
def _reshape(tracer: Tracer, layer: Layer) -> Operand:
    x = layer.x
    return tracer.reshape(x, (x.shape[0], *completed(layer, x.size // x.shape[0])))


def completed(layer: Layer, size: int) -> list[int]:
    """The target shape with the length that is left open."""
    shape = [-1 if n is None else int(n) for n in layer.config["target_shape"]]
    known = int(np.prod([n for n in shape if n != -1], dtype=object))
    if shape.count(-1) == 1 and known > 0:
        shape[shape.index(-1)] = size // known
    return shape


@rule("Permute")
def _permute(tracer: Tracer, layer: Layer) -> Operand:
    return tracer.transpose(layer.x, [0, *layer.config["dims"]])


@rule("RepeatVector")
def _repeat_vector(tracer: Tracer, layer: Layer) -> Operand:
    x = tracer.unsqueeze(layer.x, (1,))
    return tracer.expand(x, (x.shape[0], layer.integer("n"), *x.shape[2:]))


@rule("LayerScale")
def _layer_scale(tracer: Tracer, layer: Layer) -> Operand:
    x = layer.x
    gamma = layer.weight("gamma", (layer.integer("projection_dim"),))
    return tracer.affine(x, (x.rank - 1,), gamma, roles=("scale",))


@rule("CustomScaleLayer")
def _scaled_residual(tracer: Tracer, layer: Layer) -> Operand:
    """A tensor plus another one times a constant, as InceptionResNetV2 has it."""
    return tracer.add(*layer.inputs)


@rule("TimeDistributed")
def _time_distributed(tracer: Tracer, layer: Layer) -> Operand:
    x = layer.x
    steps = []
    for step in range(layer.steps(x)):
        now = tracer.squeeze(tracer.slice(x, 1, step, 1), (1,))
        steps.append(tracer.unsqueeze(layer.inner(layer.config["layer"], now), (1,)))
    return tracer.concat(steps, 1)


@rule("CategoryEncoding")
def _category_encoding(tracer: Tracer, layer: Layer) -> Operand:
    tokens = layer.integer("num_tokens")
    return _encoded(tracer, layer, layer.x, layer.config.get("output_mode", "multi_hot"), tokens)


def _encoded(tracer: Tracer, layer: Layer, x: Operand, mode: Any, tokens: int) -> Operand:
    """Positions of categories: of each index, or of all indices of a sample together.

    The element of a category is computed from the index, and from all indices of the sample if it
    counts them or says whether it is among them.
    """
    if mode == "one_hot":
        wide = x if x.rank and x.shape[-1] == 1 else tracer.unsqueeze(x, (x.rank,))
        return tracer.expand(wide, (*wide.shape[:-1], tokens))
    if mode not in ("multi_hot", "count"):
        raise layer.refused(f"output_mode={mode!r} is not known")
    together = tracer.reduce(x, (x.rank - 1,), keepdims=True) if x.rank > 1 else x
    weights = layer.argument(1, "count_weights")
    if isinstance(weights, Value):
        together = tracer.combine(
            together, tracer.reduce(weights, (weights.rank - 1,), keepdims=True)
        )
    wide = together if together.rank > 1 else tracer.unsqueeze(together, (together.rank,))
    return tracer.expand(wide, (*wide.shape[:-1], tokens))


@rule("Discretization")
def _discretization(tracer: Tracer, layer: Layer) -> Operand:
    """The bin of each number; bins are constants of the configuration."""
    x, mode = tracer.pointwise(layer.x), layer.config.get("output_mode", "int")
    if mode == "int":
        return x
    boundaries = layer.config.get("bin_boundaries")
    bins = layer.config.get("num_bins") if boundaries is None else len(boundaries) + 1
    if not isinstance(bins, int) or bins < 1:
        raise layer.refused("its bins are not in the configuration")
    return _encoded(tracer, layer, x, mode, bins)
