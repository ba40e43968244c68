"""Everything about one model (`analyze`), several models ranked (`compare`), and distances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unrolled.analysis.analysis import Analysis, analyze

if TYPE_CHECKING:
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


def __getattr__(name: str) -> Any:
    """Import what is about several models, and pictures, when they are first used."""
    from importlib import import_module

    if name in ("Comparison", "compare"):
        module = import_module("unrolled.analysis.comparison")
    elif name in ("Difference", "LayerChange", "diff"):
        module = import_module("unrolled.analysis.differences")
    elif name == "divergence":
        module = import_module("unrolled.analysis.distances")
    elif name == "LayerGraph":
        module = import_module("unrolled.analysis.layer_graph")
    else:
        raise AttributeError(f"module 'unrolled.analysis' has no attribute {name!r}")
    return getattr(module, name)


def __dir__() -> list[str]:
    """Also what is not imported yet."""
    return sorted({*globals(), *__all__})
