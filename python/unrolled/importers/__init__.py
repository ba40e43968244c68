"""Readers of models: ONNX, Keras, PyTorch and JAX.

Each framework has a module with its function and its table of rules, which `rule` adds to:
`unrolled.importers.onnx`, `keras`, `torch` and `jax`. None of them imports its framework before it
is needed. Rules are written with a `Tracer`.
"""

from unrolled.importers._provenance import Provenance
from unrolled.importers._recognition import imported, is_model_file
from unrolled.importers._tracing.tracer import Tracer
from unrolled.importers._tracing.values import Constant, Operand, Value

__all__ = ["Constant", "Operand", "Provenance", "Tracer", "Value", "imported", "is_model_file"]
