"""Readers of models: ONNX, Keras, PyTorch and JAX.

Each framework has a module with its function and its table of rules, which `rule` adds to:
`unrolled.importers.onnx`, `keras`, `torch` and `jax`. None of them imports its framework before it
is needed. Rules are written with a `Tracer`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unrolled.importers.recognition import imported, is_model_file

if TYPE_CHECKING:
    from unrolled.importers.tracing.tracer import Tracer
    from unrolled.importers.tracing.values import Constant, Operand, Value
    from unrolled.network.provenance import Provenance

__all__ = ["Constant", "Operand", "Provenance", "Tracer", "Value", "imported", "is_model_file"]


def __getattr__(name: str) -> Any:
    """Import what nobody needs who only has a model read when it is first used."""
    from importlib import import_module

    if name == "Provenance":
        return import_module("unrolled.network.provenance").Provenance
    if name == "Tracer":
        return import_module("unrolled.importers.tracing.tracer").Tracer
    if name in ("Constant", "Operand", "Value"):
        return getattr(import_module("unrolled.importers.tracing.values"), name)
    raise AttributeError(f"module 'unrolled.importers' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Also what is not imported yet."""
    return sorted({*globals(), *__all__})
