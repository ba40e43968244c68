"""`cached_property` without a lock, as later versions of Python have it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

__all__ = ["cached_property"]

if TYPE_CHECKING:
    from functools import cached_property
else:

    class cached_property(functools.cached_property):  # noqa: N801  (it is used as a decorator)
        """An attribute that is worked out when it is first asked for, and kept.

        Before Python 3.12 that of the standard library takes a lock, which takes longer than what
        small models have worked out.
        """

        def __get__(self, instance: Any, owner: type | None = None) -> Any:
            if instance is None:
                return self
            value = instance.__dict__[self.attrname] = self.func(instance)
            return value
