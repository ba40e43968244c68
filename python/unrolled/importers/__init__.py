"""Readers of models: ONNX, Keras, PyTorch and JAX."""

from unrolled.importers._provenance import Provenance
from unrolled.importers._tracer import Tracer
from unrolled.importers._values import Constant, Operand, Value

__all__ = ["Constant", "Operand", "Provenance", "Tracer", "Value"]
