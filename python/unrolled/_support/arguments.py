"""Checks of arguments that many public functions take: numbers, names, choices, limits, progress.

What only one package takes is checked in that package.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, MappingView
from contextlib import suppress
from numbers import Real
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from unrolled._support.hints import described, did_you_mean
from unrolled.errors import InvalidArgumentError

__all__ = [
    "Progress",
    "check_progress",
    "checked_choice",
    "checked_limit",
    "checked_name",
    "checked_number",
    "checked_numbers",
    "checked_positive",
    "checked_seed",
    "checked_threads",
    "items",
    "iterator_of",
]

Choice = TypeVar("Choice", bound=str)

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
    if number < 1 or isinstance(value, bool):
        raise InvalidArgumentError(f"{what} must be a positive integer, got {described(value)}")
    return number


def checked_seed(seed: object) -> int:
    """The seed of a random generator: an integer from 0, of any size."""
    try:
        number = operator.index(seed)  # type: ignore[arg-type]
    except TypeError:
        number = -1
    if number < 0 or isinstance(seed, bool):
        raise InvalidArgumentError(f"seed must be an integer from 0, got {described(seed)}")
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


def checked_choice(name: str, value: Choice, choices: tuple[Choice, ...]) -> Choice:
    """The value of an argument that must be one of a few words."""
    if not isinstance(value, str) or value not in choices:
        listed = ", ".join(map(repr, choices))
        if len(choices) == 2:
            listed = " or ".join(map(repr, choices))
        elif len(choices) > 2:
            listed = f"one of {listed}"
        is_text = isinstance(value, str)
        shown = f"{value!r}{did_you_mean(value, choices)}" if is_text else described(value)
        raise InvalidArgumentError(f"{name} must be {listed}, got {shown}")
    return value


def iterator_of(value: Any) -> Iterator[Any] | None:
    """An iterator over what a value holds, or None for text and anything that is a single value."""
    if isinstance(value, (str, bytes)):
        return None
    try:
        iterator: Iterator[Any] = iter(value)
    except TypeError:  # An array without axes has the methods of an iterable and yet is none.
        return None
    return iterator


def items(value: Any) -> list[Any] | None:
    """What a value holds as a list, or None for text and anything that is a single value."""
    iterator = iterator_of(value)
    return None if iterator is None else list(iterator)


def checked_numbers(name: str, given: Any) -> npt.NDArray[np.float64]:
    """Real numbers as an array of doubles, of the shape they were given in.

    Truth values, text, dates, complex numbers and arrays with a mask are no numbers, although NumPy
    would turn each of them into doubles.
    """
    if type(given) in (float, int):  # By far the most common, and worth no looks at types.
        with suppress(OverflowError):
            return np.array(float(given))
    if isinstance(given, np.ma.MaskedArray):
        raise InvalidArgumentError(
            f"{name} must be numbers without a mask, got {described(given)}; take filled() or "
            "compressed() of it"
        )
    if isinstance(given, (Iterator, MappingView)):
        given = items(given)
    try:
        # Lists are looked at one by one: NumPy would make 1.0 of a True among numbers.
        array = np.asarray(given, dtype=None if hasattr(given, "dtype") else object)
        kinds = set(map(type, array.flat)) if array.dtype.kind == "O" else {array.dtype.type}
        if all(map(_is_real, kinds)):
            with np.errstate(over="ignore"):
                return np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        pass
    raise InvalidArgumentError(f"{name} must be numbers, got {described(given)}")


def checked_number(name: str, given: Any) -> float:
    """One real number as a float; see `checked_numbers`."""
    array = checked_numbers(name, given)
    if array.ndim:
        raise InvalidArgumentError(f"{name} must be one number, got {described(given)}")
    return float(array)


def _is_real(kind: type) -> bool:
    from decimal import Decimal  # Few have numbers of this type, and it is not quick to import.

    return issubclass(kind, (Real, Decimal)) and not issubclass(kind, (bool, np.timedelta64))
