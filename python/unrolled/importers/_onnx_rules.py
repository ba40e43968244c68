"""All rules for ONNX operators."""

from __future__ import annotations

from unrolled.importers import (  # noqa: F401
    _onnx_control,
    _onnx_elementwise,
    _onnx_layers,
    _onnx_movement,
    _onnx_resize,
)
from unrolled.importers._onnx_table import TABLE, WEIGHT_INPUTS

__all__ = ["TABLE", "WEIGHT_INPUTS"]
