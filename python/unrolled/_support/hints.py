"""Parts of error messages: what was given, and what may have been meant."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["described", "did_you_mean"]

LONGEST_DESCRIPTION = 100


def described(value: object) -> str:
    """The type of a value and the value itself, on one line and not too long."""
    text = " ".join(repr(value).split())
    if len(text) > LONGEST_DESCRIPTION:
        text = f"{text[:LONGEST_DESCRIPTION]}..."
    return f"{type(value).__name__} {text}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``"; did you mean 'a' or 'b'?"``, or nothing if no known name is near."""
    # Only wanted on the way to an error, and not quick to import.
    from difflib import get_close_matches

    near = get_close_matches(name, list(known), n=3, cutoff=0.6)
    if not near:
        return ""
    quoted = [f"'{match}'" for match in near]
    return f"; did you mean {', '.join(quoted[:-1]) + ' or ' if quoted[:-1] else ''}{quoted[-1]}?"
