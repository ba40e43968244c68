"""Counting contexts: the function `count`, and the counts of networks and of graphs.

`path_sums` weighs paths and sums over them, in both directions. What follows from the counts lives
in `unrolled.spectrum`; the engine is the Rust core.
"""

from __future__ import annotations

from unrolled.counting.counting import count
from unrolled.counting.counts import Counts
from unrolled.counting.graph_counts import GraphCounts
from unrolled.counting.parameter_counts import ParameterCounts
from unrolled.counting.summation import PathSums, path_sums

__all__ = ["Counts", "GraphCounts", "ParameterCounts", "PathSums", "count", "path_sums"]
