"""Figures of analyses and comparisons under their documented path.

They are drawn in `unrolled.show.plot`.
"""

from __future__ import annotations

from unrolled.show.plot import *  # noqa: F403 - this path is the public one
from unrolled.show.plot import __all__ as __all__
