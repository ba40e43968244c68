"""Sums over paths with integer weights: the counting core does the work, exactly if asked to.

The core counts paths from every element of a parameter to the outputs. So a copy of the diagram is
made in which every tensor is read by a probe, a parameter of its own shape whose counts are those
of the tensor. Weights are multiplicities of edges, and grades are an axis more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from unrolled import _core
from unrolled._core import Relation
from unrolled.counting.path_diagram import Diagram, Weight

__all__ = ["counted", "grade_law", "is_countable"]


def is_countable(weight: Weight) -> bool:
    """Whether a weight, or all of an array, is a number of parallel edges."""
    return weight.dtype.kind == "i" if isinstance(weight, np.ndarray) else isinstance(weight, int)


def counted(
    diagram: Diagram,
    exact: bool,
    *,
    memory_limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[_core.Counts, list[int]]:
    """For every tensor the number of paths from each of its elements to the ends.

    Returns
    -------
    counts : Counts
        Of the core.
    probes : list of int
        For every tensor the parameter whose counts are its own.

    Raises
    ------
    MemoryLimitError
        Exact counts would need more than `memory_limit`.
    """
    copy = _Copy()
    tensors = [copy.activation(shape) for shape in diagram.shapes]
    probes = []
    for tensor, shape in zip(tensors, diagram.shapes, strict=True):
        probe = copy.parameter(shape)
        copy.core.link(probe, tensor, _keep_axes(len(shape)))
        probes.append(probe)
    for arrow in diagram.arrows:
        source, target = tensors[arrow.source], tensors[arrow.target]
        if arrow.weighs_source:
            shape = diagram.shapes[arrow.source]
            reader = copy.weighted(source, shape, arrow.weight)
            copy.core.link(reader, target, arrow.relations)
        else:
            shape = diagram.shapes[arrow.target]
            if _is_one(arrow.weight):
                copy.core.link(source, target, arrow.relations)
                continue
            unweighted = copy.activation(shape)
            copy.core.link(source, unweighted, arrow.relations)
            reader = copy.weighted(unweighted, shape, arrow.weight)
            copy.core.link(reader, target, _keep_axes(len(shape)))
    for number, weight in diagram.ends.items():
        copy.core.mark_output(copy.weighted(tensors[number], diagram.shapes[number], weight))
    counts = copy.core.count(exact, memory_limit=memory_limit, progress=progress)
    return counts, probes


def grade_law(
    diagram: Diagram,
    exact: bool,
    *,
    memory_limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> _core.ParameterCounts:
    """How many paths from the starts to the ends have each grade, as counts of one parameter.

    Paths are counted from the ends of the diagram turned round, where maps are large and grades
    are few. Every tensor has one more axis in front, as long as there are grades; links shift it.
    """
    grades = diagram.largest_grades()
    lengths = {number: grade + 1 for number, grade in enumerate(grades) if grade is not None}
    turned = diagram.turned_round()
    shapes = {number: (length, *diagram.shapes[number]) for number, length in lengths.items()}
    copy = _Copy()
    tensors = {number: copy.activation(shape) for number, shape in shapes.items()}
    law = copy.parameter((max(lengths.values(), default=1),))
    for number, weight in turned.starts.items():
        if number not in lengths:
            continue
        shape = shapes[number]
        start = copy.activation(shape)
        axes = [Relation.sum(axis) for axis in range(1, len(shape))]
        copy.core.link(law, start, [Relation.slice(0, 0), *axes])
        reader = copy.weighted(start, shape, weight)
        copy.core.link(reader, tensors[number], _keep_axes(len(shape)))
    for arrow in turned.arrows:
        if arrow.target not in lengths:
            continue
        reader = copy.weighted(tensors[arrow.source], shapes[arrow.source], arrow.weight)
        others = [_shift_axes(relation) for relation in arrow.relations]
        step = Relation.slice(0, 0, start=arrow.grade)
        copy.core.link(reader, tensors[arrow.target], [step, *others])
    for number, weight in turned.ends.items():
        shape = shapes[number]
        # The core refuses outputs that nothing leads to, such as an input that nothing reads.
        copy.core.link(
            copy.parameter(()), tensors[number], [Relation.sum(axis) for axis in range(len(shape))]
        )
        first = copy.activation((1, *shape[1:]))
        copy.core.link(tensors[number], first, [Relation.slice(0, 0), *_keep_axes(len(shape))[1:]])
        copy.core.mark_output(copy.weighted(first, (1, *shape[1:]), weight))
    counts = copy.core.count(exact, memory_limit=memory_limit, progress=progress)
    return counts.parameter(law)


class _Copy:
    """A network of the core under construction; its tensors need no names but have to have some."""

    def __init__(self) -> None:
        self.core = _core.Network()
        self._number = 0
        # The core refuses networks without any path; one path of its own makes zero an answer.
        apart = self.activation(())
        self.core.link(self.parameter(()), apart, [])
        self.core.mark_output(apart)

    def _name(self) -> str:
        self._number += 1
        return str(self._number)

    def activation(self, shape: Sequence[int]) -> int:
        return self.core.add_activation(self._name(), shape)

    def parameter(self, shape: Sequence[int]) -> int:
        return self.core.add_parameter(self._name(), shape, True)

    def weighted(self, tensor: int, shape: tuple[int, ...], weight: Weight) -> int:
        """A tensor that reads another, each element as often as its weight says."""
        if _is_one(weight):
            return tensor
        weights = np.asarray(weight, dtype=np.int64)
        weights = weights.reshape((1,) * (len(shape) - weights.ndim) + weights.shape)
        varying = [axis for axis, length in enumerate(weights.shape) if length > 1]
        if len(varying) == 1 or (not varying and shape):
            axis = varying[0] if varying else 0
            relations = _keep_axes(len(shape))
            relations[axis] = _repeat(axis, np.broadcast_to(weights.ravel(), shape[axis]))
            reader = self.activation(shape)
            self.core.link(tensor, reader, relations)
            return reader
        # In general along one axis that has all elements.
        axes = list(range(len(shape)))
        every = np.broadcast_to(weights, shape).ravel()
        flat, reader, result = (
            self.activation(one) for one in [(every.size,), (every.size,), shape]
        )
        self.core.link(tensor, flat, [Relation.reshape(axes, [0])])
        self.core.link(flat, reader, [_repeat(0, every)])
        self.core.link(reader, result, [Relation.reshape([0], axes)])
        return result


def _repeat(axis: int, times: npt.NDArray[np.int64]) -> Relation:
    """Every index reads its own, as often as given."""
    read = np.flatnonzero(times)
    offsets = np.concatenate([[0], np.cumsum(times > 0)])
    return Relation.sparse(axis, axis, offsets, read, times[read])


def _keep_axes(rank: int) -> list[Relation]:
    return [Relation.same(axis, axis) for axis in range(rank)]


def _shift_axes(relation: Relation) -> Relation:
    """The same with an axis more in front of the others."""
    sources = [axis + 1 for axis in relation.source_axes]
    targets = [axis + 1 for axis in relation.target_axes]
    if relation.kind == "reshape":
        return Relation.reshape(sources, targets)
    build = getattr(Relation, relation.kind)
    moved: Relation = build(*sources, *targets, **relation.arguments)
    return moved


def _is_one(weight: Weight) -> bool:
    return isinstance(weight, int) and weight == 1
