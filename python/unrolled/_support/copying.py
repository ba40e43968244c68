"""Copies of results, which do not change: only their attributes are their own."""

from __future__ import annotations

from functools import cached_property
from typing import Any, TypeVar

__all__ = ["shared_copy", "stored_attributes"]

Result = TypeVar("Result")


def shared_copy(result: Result) -> Result:
    """An object of the same attributes, which may be set without the first one noticing."""
    twin = object.__new__(type(result))
    twin.__dict__.update(result.__dict__)
    return twin


def stored_attributes(result: object) -> dict[str, Any]:
    """The attributes of an object without what it worked out from them (`cached_property`)."""
    kind = type(result)
    return {
        name: value
        for name, value in result.__dict__.items()
        if not isinstance(getattr(kind, name, None), cached_property)
    }
