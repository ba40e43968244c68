"""How results look: tables as text and HTML, cells, figures, and formats of files.

What is shown is described by protocols; no result is computed here. Modules of this package are
imported when they are first used, because most results are never shown in most of these ways.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unrolled.show import formats, html, layer_formats, layers, plot, summaries, tables

__all__ = ["formats", "html", "layer_formats", "layers", "plot", "summaries", "tables"]


def __getattr__(name: str) -> Any:
    """Import a module when it is first used."""
    from importlib import import_module

    if name in __all__:
        return import_module(f"unrolled.show.{name}")
    raise AttributeError(f"module 'unrolled.show' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Also what is not imported yet."""
    return sorted({*globals(), *__all__})
