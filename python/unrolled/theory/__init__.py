"""The theory of deep networks, as functions of numbers, of lists of layers and of real models.

Every function returns a small frozen record that prints as a table, becomes a data frame or HTML,
draws itself, and always says under which assumptions its figures hold.
"""

from __future__ import annotations

from unrolled.counting.summation import PathSums, path_sums
from unrolled.theory.bottleneck import (
    BottleneckCurve,
    InformationPlane,
    PlanePoint,
    gaussian_bottleneck,
    information_bottleneck,
    information_plane,
)
from unrolled.theory.checkpointing import Checkpoints, checkpoints
from unrolled.theory.derivatives import (
    ActivationMemory,
    GradientCost,
    JacobianCost,
    activation_memory,
    gradient_cost,
    jacobian_cost,
)
from unrolled.theory.fixed_points import (
    FixedPoint,
    MemoryOfDepth,
    fixed_point,
    implicit_gradient,
    memory,
)
from unrolled.theory.monotone import MonotoneGradient, MonotoneLayer
from unrolled.theory.results import TheoryResult
from unrolled.theory.training import Dropout, TrainingContexts, training_contexts
from unrolled.theory.weight_tying import EdgeLaw, WeightTied, weight_tied

__all__ = [
    "ActivationMemory",
    "BottleneckCurve",
    "Checkpoints",
    "Dropout",
    "EdgeLaw",
    "FixedPoint",
    "GradientCost",
    "InformationPlane",
    "JacobianCost",
    "MemoryOfDepth",
    "MonotoneGradient",
    "MonotoneLayer",
    "PathSums",
    "PlanePoint",
    "TheoryResult",
    "TrainingContexts",
    "WeightTied",
    "activation_memory",
    "checkpoints",
    "fixed_point",
    "gaussian_bottleneck",
    "gradient_cost",
    "implicit_gradient",
    "information_bottleneck",
    "information_plane",
    "jacobian_cost",
    "memory",
    "path_sums",
    "training_contexts",
    "weight_tied",
]
