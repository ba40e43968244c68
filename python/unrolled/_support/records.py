"""Records of JSON of unknown content, whose parts are checked as they are taken out.

A record may come from anywhere. Whatever it holds, what is read is of the type that was asked for,
or there is a `ResultFileError` that says what is wrong and where.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from unrolled._support import files
from unrolled._support.hints import described
from unrolled.errors import ResultFileError

__all__ = [
    "LARGEST_NUMBER",
    "Record",
    "read_figure",
    "read_json",
    "read_list",
    "read_shape",
    "read_text",
    "read_whole_number",
]

LARGEST_NUMBER = 1 << 64

LARGEST_FILE = 1 << 30
"""Bytes of a file that a record is read from."""

Part = TypeVar("Part")
Result = TypeVar("Result")


def read_json(path: str | os.PathLike[str], read: Callable[[Any], Result]) -> Result:
    """What `read` makes of the record in a file.

    Raises
    ------
    ResultFileError
        No file of JSON, or `read` refuses what it holds; the message begins with the path.
    OSError
        The file cannot be read.
    """
    import json

    name = os.fsdecode(path)
    try:
        record = json.loads(files.read_bytes(path, LARGEST_FILE), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ResultFileError(f"{name}: not a file of JSON: {error}") from None
    try:
        return read(record)
    except (ValueError, RecursionError) as error:
        raise ResultFileError(f"{name}: {error}") from None


def _refuse_constant(text: str) -> None:
    """Refuse what Python reads as a number, but JSON does not have."""
    raise ValueError(f"{text} is no number of JSON; what is not finite is null")


class Record:
    """A dict of unknown content, whose parts are checked as they are taken out."""

    def __init__(self, values: Any, where: str) -> None:
        if not isinstance(values, Mapping):
            raise ResultFileError(f"{where} must be an object, got {described(values)}")
        self.values = values
        self._where = where

    def get(self, key: str) -> Any:
        """What stands there, unchecked; None if nothing does."""
        return self.values.get(key)

    def take(self, key: str, read: Callable[[Any], Part]) -> Part:
        """What `read` makes of a part."""
        try:
            return read(self.get(key))
        except (TypeError, ValueError) as error:
            if isinstance(error, ResultFileError):
                raise
            raise ResultFileError(
                f"{key} of {self._where}: {error}, got {described(self.get(key))}"
            ) from None

    def each(self, key: str, read: Callable[[Any], Part]) -> list[Part]:
        """What `read` makes of each element of a list."""
        return self.take(key, lambda values: [read(one) for one in read_list(values)])

    def mapping(self, key: str, read: Callable[[Any], Part]) -> dict[str, Part]:
        """What `read` makes of each part of an object, by name."""
        named = Record(self.get(key), f"{key} of {self._where}")
        return {read_text(name): named.take(name, read) for name in named.values}

    def text(self, key: str) -> str:
        """Text."""
        return self.take(key, read_text)

    def number(self, key: str) -> int:
        """A whole number from 0 on."""
        return self.take(key, read_whole_number)

    def shape(self, key: str) -> tuple[int, ...]:
        """Lengths of axes."""
        return self.take(key, read_shape)

    def figure(self, key: str) -> float | None:
        """A finite number, or None for null."""
        return self.take(key, read_figure)

    def check(self, holds: bool, expected: str) -> None:
        """Refuse the record if something does not hold."""
        if not holds:
            raise ResultFileError(f"{self._where}: expected {expected}")


def read_list(value: Any) -> Sequence[Any]:
    """A list."""
    if not isinstance(value, (list, tuple)):
        raise TypeError("expected a list")
    return value


def read_text(value: Any) -> str:
    """Text."""
    if not isinstance(value, str):
        raise TypeError("expected text")
    return value


def read_whole_number(value: Any, least: int = 0, most: int = LARGEST_NUMBER) -> int:
    """A whole number from `least` to below `most`."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value < most:
        raise ValueError(f"expected whole numbers from {least} on that 64 bits can hold")
    return value


def read_figure(value: Any) -> float | None:
    """A finite number; what is not finite is null in records."""
    if value is None:
        return None
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError("expected a number or null")
    if not abs(value) <= sys.float_info.max:
        raise ValueError("expected a finite number or null")
    return float(value)


def read_shape(value: Any) -> tuple[int, ...]:
    """Lengths of axes."""
    return tuple([read_whole_number(length) for length in read_list(value)])
