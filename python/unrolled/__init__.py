"""Context counts of deep-learning models, exactly and in log space, without training them."""

from unrolled import errors, models, quantities
from unrolled._core import VERSION as __version__
from unrolled._core import Relation
from unrolled.analysis import Analysis, LayerSummary, analyze
from unrolled.compare import Comparison, compare
from unrolled.counts import Counts, GraphCounts, Level, ParameterCounts, Spectrum, count
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

__all__ = [
    "Analysis",
    "Comparison",
    "Counts",
    "CycleError",
    "Graph",
    "GraphCounts",
    "GraphFileError",
    "InvalidArgumentError",
    "InvalidGraphError",
    "InvalidNetworkError",
    "LayerSummary",
    "Level",
    "Link",
    "MemoryLimitError",
    "MissingPackageError",
    "Network",
    "NothingToCountError",
    "ParameterCounts",
    "Relation",
    "SizeOverflowError",
    "Spectrum",
    "Tensor",
    "UnknownModelError",
    "UnknownNameError",
    "UnrolledError",
    "__version__",
    "analyze",
    "compare",
    "count",
    "errors",
    "models",
    "quantities",
]
