"""Checks of arguments that several parts of the theory share."""

from __future__ import annotations

import operator

from unrolled._support.hints import described
from unrolled.errors import InvalidArgumentError, TheoryDomainError

__all__ = ["checked_count"]


def checked_count(value: object, what: str, least: int = 1) -> int:
    """An integer from `least` on; `what` names it in the error.

    Raises
    ------
    InvalidArgumentError
        Something else than an integer.
    TheoryDomainError
        A smaller integer.
    """
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise InvalidArgumentError(f"{what} must be an integer, got {described(value)}") from None
    if number < least:
        raise TheoryDomainError(f"{what} must be an integer from {least} on, got {number}")
    return number
