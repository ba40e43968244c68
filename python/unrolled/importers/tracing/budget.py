"""What one import may take in all: of work on single elements, and of memory."""

from __future__ import annotations

import weakref
from typing import Any

import numpy.typing as npt

from unrolled.errors import InvalidModelError

__all__ = ["LARGEST_CONSTANT", "LARGEST_MASK", "MOST_BYTES", "MOST_WORK", "Budget"]

LARGEST_CONSTANT = 1 << 24
"""Elements of a constant whose values are worked out; beyond, only its shape is known."""

MOST_WORK = 1 << 28
"""Elements of constants that are worked out, and positions that are followed one by one."""

MOST_BYTES = 1 << 29
"""Constants that are held at once take at most so much memory, and so do lists of positions."""

LONGEST_LIST = 1 << 24
"""Positions of one relation, of which there are some copies for a moment."""

LARGEST_MASK = 1 << 26
"""Elements of a mask of queries times keys: 8,192 tokens."""

BYTES_OF_POSITION = 16


class Budget:
    """Adds up what an import takes, and refuses a model that takes too much.

    A limit on every single item does not stop a small file that has many of them.
    """

    def __init__(self) -> None:
        self._work = 0
        self._bytes = 0
        self._held: set[int] = set()

    def work(self, what: str, elements: int) -> None:
        """Count elements that are worked out or followed.

        Raises
        ------
        InvalidModelError
            They are too many in all; `what` says in the message where.
        """
        self._work += elements
        if self._work > MOST_WORK:
            raise InvalidModelError(
                f"{what}: more than {MOST_WORK:,} elements would have to be worked out or followed "
                "one by one in all; export the model with smaller inputs, or its constants folded"
            )

    def hold(self, what: str, array: npt.NDArray[Any]) -> None:
        """Count the memory of an array for as long as it is there; views of others have none.

        Raises
        ------
        InvalidModelError
            Together with what is held already it is too much.
        """
        owner: Any = array
        while owner.base is not None:
            owner = owner.base
            if not hasattr(owner, "nbytes") or not hasattr(owner, "base"):
                return
        if id(owner) in self._held:
            return
        self._held.add(id(owner))
        weakref.finalize(owner, self._release, id(owner), owner.nbytes).atexit = False
        self._take(what, owner.nbytes)

    def spread(self, what: str, elements: int) -> None:
        """Refuse a mask that is too large to be spread out, which takes no memory for long.

        Raises
        ------
        InvalidModelError
            It has too many elements.
        """
        if elements > LARGEST_MASK:
            raise InvalidModelError(
                f"{what}: a mask of {elements:,} elements is too large; at most {LARGEST_MASK:,} "
                "are followed; export the model with smaller inputs"
            )

    def keep(self, what: str, positions: int) -> None:
        """Count positions that a relation lists, which the network keeps.

        Raises
        ------
        InvalidModelError
            They are too many, or too much together with what is held already.
        """
        if positions > LONGEST_LIST:
            raise InvalidModelError(
                f"{what}: {positions:,} positions are too many to list; at most {LONGEST_LIST:,} "
                "are; export the model with smaller inputs"
            )
        self.work(what, positions)
        self._take(what, BYTES_OF_POSITION * positions)

    def _take(self, what: str, number: int) -> None:
        self._bytes += number
        if self._bytes > MOST_BYTES:
            raise InvalidModelError(
                f"{what}: constants and lists of positions take more than {MOST_BYTES:,} bytes at "
                "once; export the model with smaller inputs, or its constants folded"
            )

    def _release(self, owner: int, number: int) -> None:
        self._held.discard(owner)
        self._bytes -= number
