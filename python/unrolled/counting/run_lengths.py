"""Arrays whose equal neighbours along every axis are stored once."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["RunLengths"]


class RunLengths:
    """Which level each element of an array has.

    Parameters
    ----------
    levels : array of int
        Level of each cell, with one cell for each combination of runs.
    runs : list of array of int
        Along each axis, how many elements every run covers.
    """

    def __init__(self, levels: npt.NDArray[Any], runs: list[npt.NDArray[np.int64]]) -> None:
        self._levels = levels
        self._runs = runs

    def expand(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """One value a level, spread over the elements."""
        array = np.asarray(values[self._levels], dtype=values.dtype)
        for axis, runs in enumerate(self._runs):
            array = np.repeat(array, runs, axis=axis)
        return array

    def level_at(self, positions: tuple[int, ...]) -> int:
        """The level of an element; positions may count from the end, but must be within."""
        cell = tuple(
            int(np.searchsorted(np.cumsum(runs), position % int(runs.sum()), side="right"))
            for runs, position in zip(self._runs, positions, strict=True)
        )
        return int(self._levels[cell])
