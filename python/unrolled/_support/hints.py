"""Parts of error messages: what was given, and what may have been meant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

__all__ = ["described", "did_you_mean", "listed", "out_of_memory", "shortened"]

LONGEST_DESCRIPTION = 100
MOST_LISTED = 12
MOST_COMPARED = 10_000
"""Known names that are compared with an unknown one."""


def described(value: object) -> str:
    """The type of a value and the value itself, on one line and not too long."""
    return f"{type(value).__name__} {shortened(' '.join(repr(value).split()))}"


def shortened(text: str, most: int = LONGEST_DESCRIPTION) -> str:
    """A text, without its middle if it has more than `most` characters.

    Examples
    --------
    >>> shortened("layer1.conv")
    'layer1.conv'
    >>> shortened("a" * 50 + "b" * 50, 24)
    'aaaaaaaaaaaa...bbbbbbbbb'
    """
    if len(text) <= most:
        return text
    end = (most - 3) * 3 // 7
    return f"{text[: most - 3 - end]}...{text[-end:]}"


def listed(values: Sequence[object], most: int = MOST_LISTED) -> str:
    """Values separated by commas, the first ones if there are many, none of them too long.

    Examples
    --------
    >>> listed((1, 3, 224))
    '1, 3, 224'
    >>> listed(range(1000), 3)
    '0, 1, 2, ... (1,000 in all)'
    """
    shown = ", ".join([shortened(str(value)) for value in islice(values, most)])
    return shown if len(values) <= most else f"{shown}, ... ({len(values):,} in all)"


def out_of_memory(source: str) -> str:
    """What to say, and advise, where memory runs out while something is read."""
    return (
        f"{source}: there is not enough memory to read it; free some, raise the limit of the "
        "process, or give something smaller"
    )


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``"; did you mean 'a' or 'b'?"``, or nothing if no known name is near."""
    # Only wanted on the way to an error, and not quick to import.
    from difflib import get_close_matches

    if len(name) > LONGEST_DESCRIPTION:
        return ""
    candidates = [one for one in islice(known, MOST_COMPARED) if len(one) <= LONGEST_DESCRIPTION]
    near = get_close_matches(name, candidates, n=3, cutoff=0.6)
    if not near:
        return ""
    quoted = [f"'{match}'" for match in near]
    return f"; did you mean {', '.join(quoted[:-1]) + ' or ' if quoted[:-1] else ''}{quoted[-1]}?"
