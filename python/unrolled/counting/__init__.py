"""Counting contexts: the function `count`, and the counts of networks and of graphs.

What follows from the counts lives in `unrolled.spectrum`; the engine is the Rust core.
"""

from __future__ import annotations

from unrolled.counting.counting import count
from unrolled.counting.counts import Counts
from unrolled.counting.graph_counts import GraphCounts
from unrolled.counting.parameter_counts import ParameterCounts

__all__ = ["Counts", "GraphCounts", "ParameterCounts", "count"]
