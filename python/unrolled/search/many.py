"""Sizes, scores and counts of many architectures at once, as arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from unrolled._support.arguments import Progress, checked_limit
from unrolled._support.hints import described
from unrolled.errors import InvalidArgumentError
from unrolled.search.space import Columns, Rows, Space
from unrolled.search.variants import Template

__all__ = ["count_many", "macs_many", "propagate_many"]


def macs_many(
    space: Space, rows: Any, *, threads: int | None = None, progress: Progress | None = None
) -> Columns:
    """Sizes of many architectures.

    Parameters
    ----------
    space : Space
    rows : array of int, shape ``(n, places)``
        The option at each place; see `Space.rows`, `Space.random_rows`, `Space.encode`.
    threads : int, optional
        By default one a core.
    progress : callable, optional
        Called as ``progress(done, total)`` now and then.

    Returns
    -------
    dict of str to array of shape ``(n,)``
        "parameters", which are trainable; "weights" of kernels; "macs", multiplications by
        weights; "activations", elements that are computed with a kernel; "depth", the most kernels
        on one path. What takes no part in an architecture (no path from an input, or none to an
        output) is left out; all are zero where no path leads to an output.

    Raises
    ------
    InvalidArgumentError
        Rows that do not fit.
    UnknownOperationError
        Tensors whose operation is not known.
    UnrolledError
        Whatever building a network of the space raises.

    Examples
    --------
    >>> from unrolled import search
    >>> space = search.nasbench_macro()
    >>> search.macs_many(space, [[0, 1, 2, 0, 1, 2, 0, 1]])["macs"].astype(int).tolist()
    [46109184]
    """
    return _gathered(space, rows, threads, progress, Template.sizes)


def propagate_many(
    space: Space, rows: Any, *, threads: int | None = None, progress: Progress | None = None
) -> Columns:
    """Scores of many architectures, from one sweep of signal and gradient each way.

    They are those of `unrolled.score` for each network by itself.

    Parameters
    ----------
    space, rows, threads, progress
        As for `macs_many`.

    Returns
    -------
    dict of str to array of shape ``(n,)``
        The saliency entropy in nats, the effective MACs, units, edges and parameters, and the sizes
        of `macs_many`. Where no path leads from an input to an output, the saliency entropy is
        minus infinity, and all else is zero.

    Raises
    ------
    InvalidArgumentError, UnknownOperationError, UnrolledError
        As for `macs_many`.

    Examples
    --------
    >>> import unrolled
    >>> from unrolled import search
    >>> found = search.propagate_many(search.nasbench_macro(), [[1] * 8])
    >>> found["saliency_entropy"].round(6).tolist()
    [15.227526]
    """
    return _checked(space).scores(rows, threads=threads, progress=progress)


def count_many(
    space: Space,
    rows: Any,
    *,
    exact: bool = False,
    trainable_only: bool = False,
    memory_limit: int | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> dict[str, npt.NDArray[Any]]:
    """Counts of contexts of many architectures, and the quantities that follow from them.

    They are those of `unrolled.analyze` for each network by itself.

    Parameters
    ----------
    space, rows, threads, progress
        As for `macs_many`.
    exact : bool
        Whether contexts are counted as integers; otherwise in log space.
    trainable_only : bool
        Whether parameters that training does not change are left out.
    memory_limit : int, optional
        Bytes that one count may take; by default most of what is free.

    Returns
    -------
    dict of str to array
        Of shape ``(n,)``: "num_counted_parameters" and "num_weight_nodes"; in bits
        "log2_total_contexts", "entropy", "expected_spread", "total_surprisal",
        "surprisal_estimate" and "spread_estimate". If `exact`, also "total_contexts" of shape
        ``(n, bytes)``: the total number of contexts, for ``int.from_bytes(row, "little")``. Where
        no path leads to an output, the first two are zero, the logarithm of the total is minus
        infinity, and means and estimates are NaN.

    Raises
    ------
    InvalidArgumentError, UnrolledError
        As for `macs_many`.
    MemoryLimitError
        One count would take more than `memory_limit`.

    Examples
    --------
    >>> from unrolled import search
    >>> found = search.count_many(search.nasbench_macro(), [[1] * 8], exact=True)
    >>> int.from_bytes(found["total_contexts"][0], "little").bit_length()
    176
    """
    limit = checked_limit(memory_limit)
    checked = _checked(space).check(rows)
    totals: list[npt.NDArray[np.uint8]] = []

    def count(
        template: Template, rows: Rows, *, threads: int, progress: Progress | None
    ) -> Columns:
        columns, exactly = template.counts(
            rows,
            exact=bool(exact),
            trainable_only=bool(trainable_only),
            memory_limit=limit,
            threads=threads,
            progress=progress,
        )
        if exactly is not None:
            totals.append(exactly)
        return columns

    found: dict[str, npt.NDArray[Any]] = dict(_gathered(space, checked, threads, progress, count))
    if exact:
        widest = max((some.shape[1] for some in totals), default=0)
        joined = np.zeros((len(checked), widest), np.uint8)
        for (members, _), some in zip(space.split(checked), totals, strict=False):
            joined[members, : some.shape[1]] = some
        found["total_contexts"] = joined
    return found


def _checked(space: object) -> Space:
    if not isinstance(space, Space):
        raise InvalidArgumentError(f"expected a Space, got {described(space)}")
    return space


def _gathered(
    space: Space,
    rows: Any,
    threads: int | None,
    progress: Progress | None,
    work: Callable[..., Columns],
) -> Columns:
    return _checked(space).gather(rows, work, threads=threads, progress=progress)
