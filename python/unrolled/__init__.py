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
from unrolled.network import Configuration, Link, Network, Tensor
from unrolled.spectrum import Level, Spectrum

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
    from unrolled.network import Layer, Provenance
    from unrolled.propagation import (
        InitializationReport,
        Propagation,
        Signal,
        initialization_report,
        propagate,
    )
    from unrolled.scores import Evaluation, Features, Scores, evaluate, features, score
    from unrolled.show.layers import LayerSummary
    from unrolled.spectrum import Divergence

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


PACKAGES = (
    "analysis",
    "ensemble",
    "importers",
    "models",
    "propagation",
    "scores",
    "search",
    "theory",
)
FRAMEWORKS = ("jax", "keras", "onnx", "torch")
FROM_ANALYSIS = ("Analysis", "Comparison", "analyze", "compare", "diff", "divergence")
FROM_ENSEMBLE = (
    "DensityOfStates",
    "EnergyLevel",
    "Ensemble",
    "HeatCapacityPeak",
    "Prior",
    "PriorLevel",
    "TemperatureSweep",
)
FROM_PROPAGATION = (
    "InitializationReport",
    "Propagation",
    "Signal",
    "initialization_report",
    "propagate",
)
FROM_SCORES = ("Evaluation", "Features", "Scores", "evaluate", "features", "score")


def __getattr__(name: str) -> Any:
    """Import what not everyone needs when it is first used, so that the rest starts sooner."""
    from importlib import import_module

    if name == "analysis" or name in FROM_ANALYSIS:
        package = import_module("unrolled.analysis")
    elif name == "ensemble" or name in FROM_ENSEMBLE:
        package = import_module("unrolled.ensemble")
    elif name == "importers":
        package = import_module("unrolled.importers")
    elif name == "models":
        package = import_module("unrolled.models")
    elif name == "propagation" or name in FROM_PROPAGATION:
        package = import_module("unrolled.propagation")
    elif name == "scores" or name in FROM_SCORES:
        package = import_module("unrolled.scores")
    elif name == "search":
        package = import_module("unrolled.search")
    elif name == "theory":
        package = import_module("unrolled.theory")
    elif name in ("Layer", "Provenance"):
        package = import_module("unrolled.network")
    elif name == "Divergence":
        package = import_module("unrolled.spectrum")
    elif name == "LayerSummary":
        package = import_module("unrolled.show.layers")
    elif name.startswith("from_") and name.removeprefix("from_") in FRAMEWORKS:
        package = import_module(f"unrolled.importers.{name.removeprefix('from_')}")
    else:
        raise AttributeError(f"module 'unrolled' has no attribute {name!r}")
    return package if name in PACKAGES else getattr(package, name)


def __dir__() -> list[str]:
    """Also what is not imported yet."""
    return sorted({*globals(), *__all__, *PACKAGES})
