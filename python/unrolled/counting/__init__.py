"""Counting contexts: the function `count`, and the counts of networks and of graphs.

`path_sums` weighs paths and sums over them, in both directions. What follows from the counts lives
in `unrolled.spectrum`; the engine is the Rust core.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unrolled.counting.counting import count
from unrolled.counting.counts import Counts
from unrolled.counting.graph_counts import GraphCounts
from unrolled.counting.parameter_counts import ParameterCounts

if TYPE_CHECKING:
    from unrolled.counting.summation import PathSums, path_sums

__all__ = ["Counts", "GraphCounts", "ParameterCounts", "PathSums", "count", "path_sums"]


def __getattr__(name: str) -> Any:
    """Import path sums when they are first used, as few need them."""
    if name in ("PathSums", "path_sums"):
        from unrolled.counting import summation

        return getattr(summation, name)
    raise AttributeError(f"module 'unrolled.counting' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Also what is not imported yet."""
    return sorted({*globals(), *__all__})
