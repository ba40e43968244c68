"""Sums over an axis along which tensors were joined, taken before they are joined.

A convolution reads the sum over the channels of what it is applied to. Where that is a
concatenation of many tensors, as in dense blocks, it is the sum of their sums, and whoever knows
those needs no concatenation. One that has a tensor more than another adds one sum to its.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from unrolled._core import Relation
from unrolled.counting.path_diagram import Arrow, Diagram, passes

__all__ = ["sum_before_joining"]


def sum_before_joining(diagram: Diagram) -> Diagram:
    """A diagram with the same sums over paths, in which sums over joined tensors come first.

    Parameters
    ----------
    diagram : Diagram
        Not turned round.

    Returns
    -------
    Diagram
        The tensors keep their numbers, and sums come after them. Links that lead to no end are left
        out, and with them all tensors that only sums were read of.
    """
    search = _Search(diagram)
    arrows = [search.replaced(arrow) for arrow in diagram.arrows]
    found = replace(
        diagram,
        names=tuple(search.names),
        shapes=tuple(search.shapes),
        arrows=tuple(arrows + search.arrows),
    )
    leads = [False] * len(found.shapes)
    for number in found.ends:
        leads[number] = True
    sources: dict[int, list[int]] = {}
    for arrow in found.arrows:
        sources.setdefault(arrow.target, []).append(arrow.source)
    for number in reversed(found.order()):
        if leads[number]:
            for source in sources.get(number, ()):
                leads[source] = True
    return replace(found, arrows=tuple(one for one in found.arrows if leads[one.target]))


@dataclass(frozen=True, slots=True)
class _Part:
    """What a sum is made of: the sum of a tensor over an axis, on its way along an arrow."""

    source: int
    relations: tuple[Relation, ...]
    weight: int | float
    grade: int


@dataclass(frozen=True, slots=True)
class _Beginning:
    """The sum of several parts: that of all but the last, if there are any, and the last."""

    before: int | None
    last: _Part
    shape: tuple[int, ...]


@dataclass(eq=False)
class _Search:
    """The sums that were found so far, as tensors and arrows behind those of the diagram."""

    diagram: Diagram
    names: list[str] = field(init=False)
    shapes: list[tuple[int, ...]] = field(init=False)
    arrows: list[Arrow] = field(init=False, default_factory=list)
    into: list[list[Arrow]] = field(init=False)
    joined: dict[tuple[int, int], bool] = field(init=False, default_factory=dict)
    sums: dict[tuple[int, int], int] = field(init=False, default_factory=dict)
    """By tensor and axis."""
    beginnings: dict[_Beginning, int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.names, self.shapes = list(self.diagram.names), list(self.diagram.shapes)
        self.into = [[] for _ in self.shapes]
        for arrow in self.diagram.arrows:
            self.into[arrow.target].append(arrow)
        for number in self.diagram.order():  # Without recursion, which deep networks would exceed.
            for axis in range(len(self.shapes[number])):
                self.joined[number, axis] = self._is_joined(number, axis)

    def replaced(self, arrow: Arrow) -> Arrow:
        """The same, from a sum over an axis of the source if the source was joined along it."""
        for relation in arrow.relations:
            if relation.kind not in ("all", "each"):
                continue
            axis = relation.source_axes[0]
            if self.joined[arrow.source, axis]:
                # The sum is an axis of length 1, and read as the axis was.
                return replace(arrow, source=self._sum(arrow.source, axis))
        return arrow

    def _is_joined(self, number: int, axis: int) -> bool:
        """Whether a tensor, or all that it is computed from index by index, was joined."""
        parts = self._parts(number, axis)
        if not parts:
            return False
        joins = sum(relation.kind != "same" for _, relation in parts) > 1
        return joins or any(self.joined[one.source, key.source_axes[0]] for one, key in parts)

    def _parts(self, number: int, axis: int) -> list[tuple[Arrow, Relation]] | None:
        """The arrows into a tensor if they put each index of their sources at one place.

        With the relation of each between that axis and one of its source.
        """
        if number in self.diagram.starts:
            return None
        parts = []
        for arrow in self.into[number]:
            relation = next(one for one in arrow.relations if axis in one.target_axes)
            if isinstance(arrow.weight, np.ndarray) or not self._is_placement(arrow, relation):
                return None
            parts.append((arrow, relation))
        return parts

    def _is_placement(self, arrow: Arrow, relation: Relation) -> bool:
        """Whether every index of an axis of the source is read once, by one of the target."""
        if relation.kind == "same":
            return True
        if relation.kind == "window":
            if relation.arguments["size"] != 1:
                return False
        elif relation.kind not in ("slice", "select"):
            return False
        shapes = self.diagram.shapes
        source = shapes[arrow.source][relation.source_axes[0]]
        read = passes(relation, source, shapes[arrow.target][relation.target_axes[0]])
        if len(read) != 1:
            return False
        sources, _, times = read[0]
        return len(sources) == source == len(np.unique(sources)) and bool((times == 1).all())

    def _sum(self, number: int, axis: int) -> int:
        """The tensor that is the sum of another over an axis, which stays with the length 1."""
        waiting = [(number, axis)]
        while waiting:
            key = waiting[-1]
            if key in self.sums:
                waiting.pop()
                continue
            parts = self._parts(*key) if self.joined[key] else None
            if parts is None:
                self.sums[key] = self._whole_sum(*key)
                continue
            needed = [(arrow.source, relation.source_axes[0]) for arrow, relation in parts]
            missing = [one for one in needed if one not in self.sums]
            if missing:
                waiting += missing
                continue
            self.sums[key] = self._sum_of_parts(*key, parts)
        return self.sums[number, axis]

    def _whole_sum(self, number: int, axis: int) -> int:
        """The sum of a tensor that was not joined."""
        rank = len(self.shapes[number])
        relations = [Relation.same(at, at) for at in range(rank)]
        relations[axis] = Relation.all(axis, axis)
        shape = self._summed_shape(number, axis)
        return self._tensor(number, shape, [Arrow(number, number, tuple(relations))])

    def _sum_of_parts(self, number: int, axis: int, parts: list[tuple[Arrow, Relation]]) -> int:
        """The sum of the sums of what was joined."""
        shape = self._summed_shape(number, axis)
        total = None
        # In the order of the network, so that a concatenation with one tensor more begins as the
        # one before it, on whichever side it was put.
        for arrow, relation in sorted(parts, key=lambda part: part[0].source):
            source_axis = relation.source_axes[0]
            same = Relation.same(source_axis, axis)
            relations = tuple(same if one is relation else one for one in arrow.relations)
            source = self.sums[arrow.source, source_axis]
            assert not isinstance(arrow.weight, np.ndarray)
            last = _Part(source, relations, arrow.weight, arrow.grade)
            key = _Beginning(total, last, shape)
            if key not in self.beginnings:
                arrows = [replace(arrow, source=source, relations=relations)]
                if total is not None:
                    same_axes = tuple(Relation.same(at, at) for at in range(len(shape)))
                    arrows.append(Arrow(total, arrow.target, same_axes))
                self.beginnings[key] = self._tensor(number, shape, arrows)
            total = self.beginnings[key]
        assert total is not None
        return total

    def _summed_shape(self, number: int, axis: int) -> tuple[int, ...]:
        shape = self.shapes[number]
        return (*shape[:axis], 1, *shape[axis + 1 :])

    def _tensor(self, number: int, shape: tuple[int, ...], arrows: list[Arrow]) -> int:
        """A tensor of the sums of another, with arrows into it that lead to the other yet."""
        self.names.append(f"{self.names[number]}, summed")
        self.shapes.append(shape)
        added = len(self.shapes) - 1
        self.arrows += [replace(arrow, target=added) for arrow in arrows]
        return added
