"""Which points no other point is better than in all respects."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["is_not_dominated"]


def is_not_dominated(values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Which points are on the front, more being better along every axis.

    A point is dominated if another one is at least as good along every axis, and better along one.

    Parameters
    ----------
    values : array of shape ``(points, axes)``, without NaN

    Examples
    --------
    >>> import numpy as np
    >>> is_not_dominated(np.array([[1.0, 3.0], [2.0, 2.0], [1.0, 2.0], [2.0, 2.0]])).tolist()
    [True, True, False, True]
    """
    if len(values) == 0:
        return np.empty(0, np.bool_)
    distinct, which = np.unique(values, axis=0, return_inverse=True)
    distinct = distinct[::-1]  # From here on no point is dominated by one after it.
    kept = np.empty((0, values.shape[1]))
    is_kept = np.zeros(len(distinct), np.bool_)
    if values.shape[1] == 2:
        # The best second coordinate of all before.
        best = np.maximum.accumulate(np.concatenate([[-np.inf], distinct[:-1, 1]]))
        is_kept = distinct[:, 1] > best
        is_kept[:1] = True
    else:
        for at, point in enumerate(distinct):
            if not (kept >= point).all(axis=1).any():
                is_kept[at] = True
                kept = np.concatenate([kept, point[None]])
    found: npt.NDArray[np.bool_] = is_kept[::-1][which.reshape(-1)]
    return found
