"""Python's collector of unreachable cycles, and when it had better wait."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["collection_paused"]


@contextmanager
def collection_paused() -> Iterator[None]:
    """Do not look for unreachable cycles meanwhile.

    The collector walks through all objects again whenever their number has grown by a quarter.
    While a large structure is built, of which all parts stay, this takes a quarter of the time and
    finds nothing. What is not part of a cycle is freed at once as ever.

    Examples
    --------
    >>> import gc
    >>> with collection_paused():
    ...     gc.isenabled()
    False
    >>> gc.isenabled()
    True
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
