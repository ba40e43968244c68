"""The spectrum of a model: its distinct counts, and what follows from them alone.

`Spectrum` and the formulas of the reusability prior (`quantities`) live here, the mathematics of
distances between spectra, and the one table of quantities (`catalogue`). Counting itself does not:
see `unrolled.counting`.
"""

from __future__ import annotations

from unrolled.spectrum.divergences import Divergence
from unrolled.spectrum.spectrum import Level, Spectrum

__all__ = ["Divergence", "Level", "Spectrum"]
