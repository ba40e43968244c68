"""What a network costs to run: multiplications, other operations, and memory of its activations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unrolled.costs.activations import Activations, activations_of, width_of
    from unrolled.costs.operations import Flow, OperationCost, costs_of, flow_of

__all__ = [
    "Activations",
    "Flow",
    "OperationCost",
    "activations_of",
    "costs_of",
    "flow_of",
    "width_of",
]


def __getattr__(name: str) -> Any:
    """Import what works out costs when it is first used: contexts are counted without it."""
    from importlib import import_module

    if name in ("Activations", "activations_of", "width_of"):
        return getattr(import_module("unrolled.costs.activations"), name)
    if name in ("Flow", "OperationCost", "costs_of", "flow_of"):
        return getattr(import_module("unrolled.costs.operations"), name)
    raise AttributeError(f"module 'unrolled.costs' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Also what is not imported yet."""
    return sorted({*globals(), *__all__})
