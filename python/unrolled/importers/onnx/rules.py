"""All rules for ONNX operators."""

from __future__ import annotations

from unrolled.importers.onnx import (  # noqa: F401
    attention,
    control,
    elementwise,
    layers,
    microsoft,
    movement,
    resize,
    sequences,
    transforms,
)
from unrolled.importers.onnx.table import QUANTISED_INPUTS, TABLE, WEIGHT_INPUTS

__all__ = ["QUANTISED_INPUTS", "TABLE", "WEIGHT_INPUTS"]
