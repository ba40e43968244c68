"""The table of rules for ONNX operators, filled by the modules beside it."""

from __future__ import annotations

from unrolled.importers.rules import RuleTable

__all__ = ["QUANTISED_INPUTS", "TABLE", "WEIGHT_INPUTS"]

TABLE = RuleTable("onnx")

WEIGHT_INPUTS = {
    "BatchNormalization": (1, 2, 3, 4),
    "Conv": (1, 2),
    "ConvTranspose": (1, 2),
    "GRU": (1, 2, 3),
    "Gemm": (2,),
    "GroupNormalization": (1, 2),
    "InstanceNormalization": (1, 2),
    "LSTM": (1, 2, 3, 7),
    "LayerNormalization": (1, 2),
    "PRelu": (1,),
    "RMSNormalization": (1,),
    "RNN": (1, 2, 3),
}
"""Inputs of operators that only weights are expected at."""

QUANTISED_INPUTS = {
    "ConvInteger": (1,),
    "DequantizeLinear": (0,),
    "DynamicQuantizeMatMul": (1,),
    "MatMulInteger": (1,),
    "MatMulIntegerToFloat": (1,),
    "MatMulNBits": (1,),
    "QAttention": (1, 2),
    "QGemm": (3, 6),
    "QLinearAdd": (0, 3),
    "QLinearConv": (3, 8),
    "QLinearMatMul": (3,),
    "QLinearMul": (0, 3),
}
"""Inputs of operators at which stored integers are weights."""
