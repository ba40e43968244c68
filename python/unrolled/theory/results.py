"""The base of all results of the theory. The mathematics lives in the modules beside this one."""

from __future__ import annotations

from unrolled.show.plot import figure_of, panel
from unrolled.show.records import Record, cell

__all__ = ["TheoryResult", "cell", "figure_of", "panel"]


class TheoryResult(Record):
    """A result of the theory: a frozen record that prints, exports and draws itself.

    What a subclass has to define are `title`, `rows`, `assumptions` and `plot`.
    """
