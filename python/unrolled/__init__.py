"""Context counts of deep-learning models, exactly and in log space, without training them."""

from unrolled import errors, models, quantities
from unrolled._core import VERSION as __version__
from unrolled._core import Relation
from unrolled._sweep import TemperatureSweep
from unrolled.analysis import Analysis, LayerSummary, analyze
from unrolled.compare import Comparison, compare
from unrolled.counts import Counts, GraphCounts, Level, ParameterCounts, Spectrum, count
from unrolled.divergence import Divergence, divergence
from unrolled.ensemble import DensityOfStates, EnergyLevel, Ensemble, Prior, PriorLevel
from unrolled.errors import (
    CycleError,
    GraphFileError,
    InvalidArgumentError,
    InvalidGraphError,
    InvalidNetworkError,
    MemoryLimitError,
    MissingPackageError,
    NothingToCountError,
    SizeOverflowError,
    UnknownModelError,
    UnknownNameError,
    UnrolledError,
)
from unrolled.graph import Graph
from unrolled.network import Link, Network, Tensor
from unrolled.sharing import Configuration, Layer

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
    "Graph",
    "GraphCounts",
    "GraphFileError",
    "InvalidArgumentError",
    "InvalidGraphError",
    "InvalidNetworkError",
    "Layer",
    "LayerSummary",
    "Level",
    "Link",
    "MemoryLimitError",
    "MissingPackageError",
    "Network",
    "NothingToCountError",
    "ParameterCounts",
    "Prior",
    "PriorLevel",
    "Relation",
    "SizeOverflowError",
    "Spectrum",
    "TemperatureSweep",
    "Tensor",
    "UnknownModelError",
    "UnknownNameError",
    "UnrolledError",
    "__version__",
    "analyze",
    "compare",
    "count",
    "divergence",
    "errors",
    "models",
    "quantities",
]
