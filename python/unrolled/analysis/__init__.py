"""Everything about one model (`analyze`), several models ranked (`compare`), and distances."""

from __future__ import annotations

from unrolled.analysis.analysis import Analysis, analyze
from unrolled.analysis.comparison import Comparison, compare
from unrolled.analysis.differences import Difference, LayerChange, diff
from unrolled.analysis.distances import divergence
from unrolled.analysis.layer_graph import LayerGraph

__all__ = [
    "Analysis",
    "Comparison",
    "Difference",
    "LayerChange",
    "LayerGraph",
    "analyze",
    "compare",
    "diff",
    "divergence",
]
