"""The spectrum of a model: its distinct counts, and what follows from them alone.

`Spectrum` and the formulas of the reusability prior (`quantities`) live here, the mathematics of
distances between spectra, and the one table of quantities (`catalogue`). Counting itself does not:
see `unrolled.counting`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unrolled.spectrum.spectrum import Level, Spectrum

if TYPE_CHECKING:
    from unrolled.spectrum.divergences import Divergence

__all__ = ["Divergence", "Level", "Spectrum"]


def __getattr__(name: str) -> Any:
    """Import distances when they are first used, as few need them."""
    if name == "Divergence":
        from unrolled.spectrum import divergences

        return divergences.Divergence
    raise AttributeError(f"module 'unrolled.spectrum' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Also what is not imported yet."""
    return sorted({*globals(), *__all__})
