"""Everything about one model (`analyze`), several models ranked (`compare`), and distances."""

from __future__ import annotations

from unrolled.analysis.analysis import Analysis
from unrolled.analysis.analyze import analyze
from unrolled.analysis.comparison import Comparison, compare
from unrolled.spectrum.divergences import divergence

__all__ = ["Analysis", "Comparison", "analyze", "compare", "divergence"]
