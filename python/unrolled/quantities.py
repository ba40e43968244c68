"""The formulas of the reusability prior under their documented path.

They are written in `unrolled.spectrum.quantities`.
"""

from __future__ import annotations

from unrolled.spectrum.quantities import *  # noqa: F403 - this path is the public one
from unrolled.spectrum.quantities import __all__ as __all__
