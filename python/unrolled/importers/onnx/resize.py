"""ONNX Resize and Upsample."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from unrolled.errors import InvalidModelError, UnsupportedOperatorError
from unrolled.importers.onnx.elementwise import checked_axes
from unrolled.importers.onnx.reader import Node
from unrolled.importers.onnx.table import TABLE
from unrolled.importers.tracing.base import MOVE
from unrolled.importers.tracing.resampling import interpolation, nearest, taps
from unrolled.importers.tracing.tracer import Tracer
from unrolled.importers.tracing.values import Constant, Operand

__all__: list[str] = []

rule = TABLE.rule

ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")

LONGEST_AXIS = 1 << 24
MOST_TAPS = 1 << 24
"""An axis is interpolated with at most so many taps in all."""


@rule("Resize", "Upsample")
def resize(tracer: Tracer, node: Node) -> Operand:
    x = node.input(0)
    axes = checked_axes(node, node.attribute("axes", list(range(x.rank))), x.rank)
    lengths, scales = _sizes(node, x, axes)
    mode = node.attribute("mode", "nearest")
    if mode not in ("nearest", "linear", "bilinear", "cubic"):
        raise UnsupportedOperatorError(f"mode '{mode}'")
    if node.attribute("coordinate_transformation_mode", "") == "tf_crop_and_resize":
        raise UnsupportedOperatorError("tf_crop_and_resize")
    shape = list(x.shape)
    changes, weights = {}, {}
    for axis, length, scale in zip(axes, lengths, scales, strict=True):
        if not 1 <= length <= LONGEST_AXIS:
            raise InvalidModelError(f"node '{node.name}': an axis of length {length}")
        shape[axis] = length
        if length == x.shape[axis] and scale == 1:
            continue
        extent = x.shape[axis]
        tracer.budget.keep(node.name, length if mode == "nearest" else 4 * length)
        at = _positions(node, extent, length, scale)
        if mode == "nearest":
            default = "round_prefer_floor" if node.operator == "Resize" else "floor"
            if node.operator == "Resize" and node.opset < 11:
                default = "floor"
            rounding = node.attribute("nearest_mode", default)
            if rounding not in ROUNDINGS:
                raise UnsupportedOperatorError(f"nearest_mode '{rounding}'")
            relation = nearest(axis, at, extent, rounding)
        else:
            kind = "cubic" if mode == "cubic" else "linear"
            stretch = max(1 / scale, 1.0) if node.attribute("antialias", 0) else 1.0
            if 4 * stretch * length > MOST_TAPS:
                raise InvalidModelError(f"node '{node.name}': an axis of length {length}")
            coefficient = node.attribute("cubic_coeff_a", -0.75)
            relation, weights[axis] = taps(
                axis, at, extent, kind, scale=stretch, coefficient=coefficient
            )
        changes[axis] = (length, relation)
    if isinstance(x, Constant):
        return Constant(tuple(shape))
    operation = interpolation(weights) if weights else MOVE
    return tracer.read(x, changes, operation) if changes else x


def _sizes(node: Node, x: Operand, axes: list[int]) -> tuple[list[int], list[float]]:
    """The lengths of the resized axes, and by what they are scaled."""
    own = [x.shape[axis] for axis in axes]
    place = 2 if node.operator == "Resize" and (len(node.inputs) > 2 or node.opset >= 11) else 1
    sizes = node.integers(3) if node.optional(3) is not None else None
    if sizes:
        if len(sizes) != len(own) or min(own, default=1) < 1:
            raise InvalidModelError(f"node '{node.name}': sizes {sizes} do not fit {x.shape}")
        scales = [new / old for new, old in zip(sizes, own, strict=True)]
        policy = node.attribute("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            scale = min(scales) if policy == "not_larger" else max(scales)
            return [math.floor(n * scale + 0.5) for n in own], [scale] * len(own)
        return sizes, scales
    constant = node.constant(place)
    given: Any = node.attribute("scales", []) if constant is None else constant.array
    if given is None:
        raise InvalidModelError(f"node '{node.name}': the scales are not in the file")
    scales = [float(scale) for scale in np.asarray(given).reshape(-1)]
    if len(scales) != len(own) or not all(0 < s < LONGEST_AXIS for s in scales):
        raise InvalidModelError(f"node '{node.name}': scales {scales} do not fit {x.shape}")
    return [math.floor(n * scale) for n, scale in zip(own, scales, strict=True)], scales


def _positions(node: Node, extent: int, length: int, scale: float) -> Any:
    """Where each place of the resized axis is on the old one."""
    at = np.arange(length, dtype=np.float64)
    mode = "asymmetric" if node.operator == "Upsample" or node.opset < 11 else "half_pixel"
    mode = node.attribute("coordinate_transformation_mode", mode)
    if mode == "align_corners":
        return at * (extent - 1) / (length - 1) if length > 1 else at * 0
    if mode == "asymmetric":
        return at / scale
    if mode == "pytorch_half_pixel" and length == 1:
        return at * 0
    if mode == "half_pixel_symmetric":
        adjustment = length / (scale * extent)
        return extent / 2 * (1 - adjustment) + (at + 0.5) / scale - 0.5
    if mode not in ("half_pixel", "pytorch_half_pixel"):
        raise UnsupportedOperatorError(f"coordinate_transformation_mode '{mode}'")
    return (at + 0.5) / scale - 0.5
