"""Context counts of deep-learning models, exactly and in log space, without training them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unrolled import errors, quantities
from unrolled._core import VERSION as __version__
from unrolled._core import Operation, Relation
from unrolled.counting import Counts, GraphCounts, ParameterCounts, count
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
from unrolled.spectrum import Divergence, Level, Spectrum

if TYPE_CHECKING:
    from unrolled import importers, models
    from unrolled.analysis import (
        Analysis,
        Comparison,
        analyze,
        compare,
        diff,
        divergence,
    )
    from unrolled.ensemble import (
        DensityOfStates,
        EnergyLevel,
        Ensemble,
        HeatCapacityPeak,
        Prior,
        PriorLevel,
        TemperatureSweep,
    )
    from unrolled.importers.jax import from_jax
    from unrolled.importers.keras import from_keras
    from unrolled.importers.onnx import from_onnx
    from unrolled.importers.torch import from_torch
    from unrolled.propagation import (
        InitializationReport,
        Propagation,
        Signal,
        initialization_report,
        propagate,
    )
    from unrolled.scores import Evaluation, Features, Scores, evaluate, features, score
    from unrolled.show.layers import LayerSummary

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
    "Features",
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
    "diff",
    "divergence",
    "errors",
    "evaluate",
    "features",
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


LATER = {
    "analysis": ("Analysis", "Comparison", "analyze", "compare", "diff", "divergence"),
    "ensemble": (
        "DensityOfStates",
        "EnergyLevel",
        "Ensemble",
        "HeatCapacityPeak",
        "Prior",
        "PriorLevel",
        "TemperatureSweep",
    ),
    "importers": (),
    "importers.jax": ("from_jax",),
    "importers.keras": ("from_keras",),
    "importers.onnx": ("from_onnx",),
    "importers.torch": ("from_torch",),
    "models": (),
    "propagation": (
        "InitializationReport",
        "Propagation",
        "Signal",
        "initialization_report",
        "propagate",
    ),
    "scores": ("Evaluation", "Features", "Scores", "evaluate", "features", "score"),
    "search": (),
    "show.layers": ("LayerSummary",),
    "theory": (),
}
"""Packages that are imported when they are first used, and their names that are here."""


def __getattr__(name: str) -> Any:
    """Import what not everyone needs when it is first used, so that the rest starts sooner."""
    from importlib import import_module

    for package, names in LATER.items():
        if name == package:
            return import_module(f"unrolled.{name}")
        if name in names:
            return getattr(import_module(f"unrolled.{package}"), name)
    raise AttributeError(f"module 'unrolled' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *(name for name in LATER if "." not in name)})
