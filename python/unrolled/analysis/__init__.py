"""Everything about one model (`analyze`), several models ranked (`compare`), and distances."""

from __future__ import annotations

from unrolled.analysis.analysis import Analysis, analyze
from unrolled.analysis.comparison import Comparison, compare
from unrolled.analysis.distances import divergence

__all__ = ["Analysis", "Comparison", "analyze", "compare", "divergence"]
