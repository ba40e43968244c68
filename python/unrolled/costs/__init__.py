"""What a network costs to run: multiplications, other operations, and memory of its activations."""

from __future__ import annotations

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
