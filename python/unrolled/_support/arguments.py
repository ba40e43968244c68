"""Checks of arguments that many public functions take: progress, memory limits, threads, names.

What only one package takes is checked in that package.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TypeAlias

from unrolled._support.hints import described
from unrolled.errors import InvalidArgumentError

__all__ = [
    "Progress",
    "check_progress",
    "checked_limit",
    "checked_name",
    "checked_positive",
    "checked_threads",
]

Progress: TypeAlias = Callable[[int, int], None]
"""What reports progress: it is called as ``progress(done, total)``."""

LARGEST_LIMIT = 1 << 62
"""More bytes than any machine has; larger limits mean the same."""

MOST_THREADS = 1024


def check_progress(progress: object) -> None:
    """Refuse what cannot be called before any work begins."""
    if progress is not None and not callable(progress):
        raise InvalidArgumentError(
            f"progress must be a function of (done, total), got {described(progress)}"
        )


def checked_limit(memory_limit: int | None) -> int | None:
    """A memory limit in bytes as the core takes it, or None for its default."""
    if memory_limit is None:
        return None
    try:
        limit = operator.index(memory_limit)
    except TypeError:
        limit = -1
    if limit < 0:
        raise InvalidArgumentError(
            f"memory_limit must be a number of bytes or None, got {memory_limit!r}"
        )
    return min(limit, LARGEST_LIMIT)


def checked_positive(value: object, what: str) -> int:
    """A positive integer; `what` names it in the error."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = 0
    if number < 1:
        raise InvalidArgumentError(f"{what} must be a positive integer, got {described(value)}")
    return number


def checked_threads(threads: int | None) -> int:
    """The number of threads as the core takes it, where 0 means one for each core."""
    if threads is None:
        return 0
    try:
        number = operator.index(threads)
    except TypeError:
        number = 0
    if not 1 <= number <= MOST_THREADS or isinstance(threads, bool):
        raise InvalidArgumentError(
            f"threads must be a number from 1 to {MOST_THREADS}, or None for one a core; "
            f"got {described(threads)}"
        )
    return number


def checked_name(name: object, of: str) -> str:
    """A name that fits into one line of a table; `of` says what it names, such as "a graph"."""
    if not isinstance(name, str) or not name or not name.isprintable():
        raise InvalidArgumentError(
            f"{of}'s name must be a printable, non-empty string, got {described(name)}"
        )
    return name
