"""Context counts of deep-learning models, exactly and in log space, without training them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unrolled import errors, importers, models, quantities
from unrolled._core import VERSION as __version__
from unrolled._core import Operation, Relation
from unrolled.analysis import Analysis, Comparison, analyze, compare, divergence
from unrolled.counting import Counts, GraphCounts, ParameterCounts, count
from unrolled.ensemble import (
    DensityOfStates,
    EnergyLevel,
    Ensemble,
    HeatCapacityPeak,
    Prior,
    PriorLevel,
    TemperatureSweep,
)
from unrolled.errors import (
    CycleError,
    GraphFileError,
    InvalidArgumentError,
    InvalidGraphError,
    InvalidModelError,
    InvalidNetworkError,
    MemoryLimitError,
    MissingPackageError,
    NoFixedPointError,
    NothingToCountError,
    ResultFileError,
    SizeOverflowError,
    TheoryDomainError,
    UnknownModelError,
    UnknownNameError,
    UnknownOperationError,
    UnrolledError,
    UnsupportedOperatorError,
)
from unrolled.graph import Graph
from unrolled.network import Configuration, Layer, Link, Network, Provenance, Tensor
from unrolled.propagation import (
    InitializationReport,
    Propagation,
    Signal,
    initialization_report,
    propagate,
)
from unrolled.scores import Evaluation, Scores, evaluate, score
from unrolled.show.layers import LayerSummary
from unrolled.spectrum import Divergence, Level, Spectrum

if TYPE_CHECKING:
    from unrolled.importers.jax import from_jax
    from unrolled.importers.keras import from_keras
    from unrolled.importers.onnx import from_onnx
    from unrolled.importers.torch import from_torch

__all__ = [
    "Analysis",
    "Comparison",
    "Configuration",
    "Counts",
    "CycleError",
    "DensityOfStates",
    "Divergence",
    "EnergyLevel",
    "Ensemble",
    "Evaluation",
    "Graph",
    "GraphCounts",
    "GraphFileError",
    "HeatCapacityPeak",
    "InitializationReport",
    "InvalidArgumentError",
    "InvalidGraphError",
    "InvalidModelError",
    "InvalidNetworkError",
    "Layer",
    "LayerSummary",
    "Level",
    "Link",
    "MemoryLimitError",
    "MissingPackageError",
    "Network",
    "NoFixedPointError",
    "NothingToCountError",
    "Operation",
    "ParameterCounts",
    "Prior",
    "PriorLevel",
    "Propagation",
    "Provenance",
    "Relation",
    "ResultFileError",
    "Scores",
    "Signal",
    "SizeOverflowError",
    "Spectrum",
    "TemperatureSweep",
    "Tensor",
    "TheoryDomainError",
    "UnknownModelError",
    "UnknownNameError",
    "UnknownOperationError",
    "UnrolledError",
    "UnsupportedOperatorError",
    "__version__",
    "analyze",
    "compare",
    "count",
    "divergence",
    "errors",
    "evaluate",
    "from_jax",
    "from_keras",
    "from_onnx",
    "from_torch",
    "importers",
    "initialization_report",
    "models",
    "propagate",
    "quantities",
    "score",
]


def __getattr__(name: str) -> Any:
    """What is imported when it is first used: functions of importers, the theory, and search."""
    if name == "search":
        from importlib import import_module

        return import_module("unrolled.search")
    if name == "theory":
        from importlib import import_module

        return import_module("unrolled.theory")
    if name in ("from_jax", "from_keras", "from_onnx", "from_torch"):
        from importlib import import_module

        return getattr(import_module(f"unrolled.importers.{name.removeprefix('from_')}"), name)
    raise AttributeError(f"module 'unrolled' has no attribute {name!r}")
