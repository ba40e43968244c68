"""Fourier transforms: sums with constant coefficients, over an axis or over frames of a signal."""

from __future__ import annotations

import numpy as np

from unrolled._core import Relation
from unrolled.errors import InvalidModelError
from unrolled.importers.onnx.elementwise import checked_axes
from unrolled.importers.onnx.reader import Node
from unrolled.importers.onnx.table import TABLE
from unrolled.importers.tracing.base import OTHER
from unrolled.importers.tracing.tracer import Tracer
from unrolled.importers.tracing.values import Constant, Operand

__all__: list[str] = []

rule = TABLE.rule

LONGEST = 1 << 24


@rule("DFT")
def discrete_transform(tracer: Tracer, node: Node) -> Operand:
    x = node.input(0)
    axis = node.attribute("axis", 1)
    if node.opset >= 20:
        axis = node.number(2, -2)
    (axis,) = checked_axes(node, [axis], x.rank)
    if x.rank < 2 or axis == x.rank - 1 or x.shape[-1] not in (1, 2):
        raise InvalidModelError(
            f"node '{node.name}': the last axis of {x.shape} has no real and imaginary parts"
        )
    length = node.number(1, x.shape[axis])
    if not 1 <= length <= LONGEST:
        raise InvalidModelError(f"node '{node.name}': a transform of length {length}")
    if length < x.shape[axis]:
        x = tracer.slice(x, axis, 0, length)
    is_half = bool(node.attribute("onesided", 0))
    is_inverse = bool(node.attribute("inverse", 0))
    bins = length // 2 + 1 if is_half and not is_inverse else length
    return _transformed(tracer, x, axis, bins, 1 if is_half and is_inverse else 2)


@rule("STFT")
def transform_of_frames(tracer: Tracer, node: Node) -> Operand:
    x, window = node.input(0), node.optional(2)
    step = node.number(1)
    given = node.integers(3)
    if given is None and window is not None:
        given = [window.size]
    length = (given or [0])[0]
    if x.rank == 2:
        x = tracer.unsqueeze(x, [2])
    if x.rank != 3 or not 1 <= length <= x.shape[1] or step < 1:
        raise InvalidModelError(
            f"node '{node.name}': frames of {length}, {step} apart, of a signal of {x.shape}"
        )
    starts = np.arange(0, x.shape[1] - length + 1, step)
    if len(starts) * length > LONGEST:
        raise InvalidModelError(f"node '{node.name}': {len(starts):,} frames are too many")
    frames = tracer.take(x, 1, starts[:, None] + np.arange(length))
    if window is not None:
        frames = tracer.multiply(frames, tracer.reshape(window, (window.size, 1)))
    bins = length // 2 + 1 if node.attribute("onesided", 1) else length
    return _transformed(tracer, frames, 2, bins, 2)


def _transformed(tracer: Tracer, x: Operand, axis: int, bins: int, parts: int) -> Operand:
    """Every bin and part of it is a sum over all elements along an axis, and over their parts."""
    shape = (*x.shape[:axis], bins, *x.shape[axis + 1 : -1], parts)
    if isinstance(x, Constant):
        return Constant(shape)
    last = x.rank - 1
    changes = {
        axis: (bins, Relation.all(axis, axis)),
        last: (parts, Relation.all(last, last)),
    }
    return tracer.read(x, changes, OTHER)
