"""Relations that many layers have, each made once: they cannot change."""

from __future__ import annotations

from functools import lru_cache

from unrolled._core import Relation

__all__ = ["along", "same"]


@lru_cache
def same(rank: int, start: int = 0) -> tuple[Relation, ...]:
    """Every axis from `start` on reads its own elements."""
    return tuple([Relation.same(axis, axis) for axis in range(start, rank)])


@lru_cache
def along(axes: tuple[int, ...], rank: int) -> tuple[Relation, ...]:
    """A parameter whose axes are those `axes` of its target, which shares it along all others."""
    shared = [Relation.sum(axis) for axis in range(rank) if axis not in axes]
    return (*shared, *[Relation.same(at, axis) for at, axis in enumerate(axes)])
