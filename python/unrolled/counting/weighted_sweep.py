"""Sums over paths with real weights: one sweep over maps in which equal slices are stored once.

The counting core knows only integers. Here every tensor has a `Scaled` array whose axes have
length 1 where all slices are equal, which channels nearly always are, so that a sweep costs about
as much as the spatial maps have elements.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from unrolled._core import Relation
from unrolled.counting.path_diagram import Arrow, Diagram, Weight, passes
from unrolled.counting.scaled import Scaled, Semiring

__all__ = ["broadcast", "carried", "of_equal_grades", "sweep", "weighted"]


def sweep(
    diagram: Diagram,
    semiring: Semiring,
    *,
    graded: bool = False,
    ends_only: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[Scaled | None]:
    """For every tensor the sum over all paths from a start to each of its elements.

    Parameters
    ----------
    diagram : Diagram
    semiring : Semiring
        How parallel paths are put together.
    graded : bool
        Keep paths of each grade apart, along an additional first axis.
    ends_only : bool
        Forget the sums of all tensors but the ends as soon as they are no longer needed.
    progress : callable, optional

    Returns
    -------
    list of Scaled or None
        By number of tensor; None for a tensor that no start leads to, or that is not wanted. The
        axes are those of the tensor, of length 1 where all slices are equal, after that of the
        grades if graded.
    """
    lead = 1 if graded else 0
    into: list[list[Arrow]] = [[] for _ in diagram.shapes]
    for arrow in diagram.arrows:
        into[arrow.target].append(arrow)
    readers = [0] * len(diagram.shapes)
    for source in [arrow.source for arrow in diagram.arrows] + list(diagram.ends):
        readers[source] += 1
    sums: list[Scaled | None] = [None] * len(diagram.shapes)
    done = 0
    for number in diagram.order():
        shape = diagram.shapes[number]
        parts: list[Scaled] = []
        if number in diagram.starts:
            start = broadcast(diagram.starts[number], shape)
            parts.append(start.map(lambda array: array[None]) if graded else start)
        for arrow in into[number]:
            values = sums[arrow.source]
            readers[arrow.source] -= 1
            if ends_only and not readers[arrow.source]:
                sums[arrow.source] = None
            done += 1
            if values is not None:
                values = along(arrow, values, diagram.shapes, lead, semiring)
                parts.append(_shift_grades(values, arrow.grade) if graded else values)
            if progress is not None:
                progress(done, len(diagram.arrows))
        if not parts:
            continue
        total = parts[0]
        for part in parts[1:]:
            total = (
                semiring.plus(*of_equal_grades(total, part))
                if graded
                else (semiring.plus(total, part))
            )
        sums[number] = total.compressed(range(lead, lead + len(shape)))
    return sums


def along(
    arrow: Arrow, values: Scaled, shapes: Sequence[tuple[int, ...]], lead: int, semiring: Semiring
) -> Scaled:
    """What reaches the target of an arrow from its source, the weight included."""
    source, target = shapes[arrow.source], shapes[arrow.target]
    if arrow.weighs_source:
        values = weighted(values, arrow.weight, source)
        return carried(values, arrow.relations, source, target, lead, semiring)
    return weighted(
        carried(values, arrow.relations, source, target, lead, semiring), arrow.weight, target
    )


def weighted(values: Scaled, weight: Weight, shape: tuple[int, ...]) -> Scaled:
    """Times the weight of every element of a tensor of this shape, whose axes are the last."""
    if isinstance(weight, int) and weight == 1:
        return values
    return values.times(broadcast(weight, shape))


def broadcast(weight: Weight, shape: tuple[int, ...]) -> Scaled:
    """A weight as an array with as many axes as a tensor, of length 1 where it is constant."""
    values = Scaled.of(weight)
    missing = len(shape) - len(values.shape)
    values = values.map(lambda array: array.reshape((1,) * missing + array.shape))
    return values.compressed(range(len(shape)))


def _shift_grades(values: Scaled, grade: int) -> Scaled:
    """Paths whose grades are larger by some number."""
    if grade == 0:
        return values
    widths = [(grade, 0)] + [(0, 0)] * (len(values.shape) - 1)
    return values.map(lambda array: np.pad(array, widths))


def of_equal_grades(a: Scaled, b: Scaled) -> tuple[Scaled, Scaled]:
    """Both with as many grades as the one that has more."""
    grades = max(a.shape[0], b.shape[0])

    def filled(values: Scaled) -> Scaled:
        missing = grades - values.shape[0]
        widths = [(0, missing)] + [(0, 0)] * (len(values.shape) - 1)
        return values.map(lambda array: np.pad(array, widths)) if missing else values

    return filled(a), filled(b)


def carried(
    values: Scaled,
    relations: Sequence[Relation],
    source_shape: tuple[int, ...],
    target_shape: tuple[int, ...],
    lead: int,
    semiring: Semiring,
) -> Scaled:
    """Sums over the edges of a link, for every element of its target.

    Parameters
    ----------
    values : Scaled
        Of the source; `lead` further axes come first and stay as they are.
    relations : sequence of Relation
    source_shape, target_shape : tuple of int
    lead : int
    semiring : Semiring
    """
    # Labels of the axes behind the leading ones: a source axis until its relation was applied,
    # then a target axis.
    labels: list[tuple[str, int]] = [("source", axis) for axis in range(len(source_shape))]
    for relation in relations:
        sources, targets = relation.source_axes, relation.target_axes
        match relation.kind:
            case "sum":
                values = values.map(lambda array: array[..., None])
                labels.append(("target", targets[0]))
            case "each":
                axis = labels.index(("source", sources[0]))
                values = semiring.along(values, lead + axis, source_shape[sources[0]])
                values = values.map(lambda array, at=lead + axis: array.squeeze(at))
                del labels[axis]
            case "reshape":
                at = [labels.index(("source", axis)) for axis in sources]
                values = values.map(
                    lambda array, at=at: (
                        np.moveaxis(array, [lead + axis for axis in at], range(-len(at), 0))
                        if at
                        else array
                    )
                )
                labels = [label for axis, label in enumerate(labels) if axis not in at]
                values = _reshape(
                    values,
                    [source_shape[axis] for axis in sources],
                    [target_shape[axis] for axis in targets],
                )
                labels += [("target", axis) for axis in targets]
            case _:
                axis = labels.index(("source", sources[0]))
                values = along_axis(
                    values,
                    relation,
                    lead + axis,
                    (source_shape[sources[0]], target_shape[targets[0]]),
                    semiring,
                )
                labels[axis] = ("target", targets[0])
    order = [lead + labels.index(("target", axis)) for axis in range(len(target_shape))]
    return values.map(lambda array: array.transpose(*range(lead), *order))


def along_axis(
    values: Scaled, relation: Relation, axis: int, lengths: tuple[int, int], semiring: Semiring
) -> Scaled:
    """One relation between one axis of the source and one of the target."""
    source_length, target_length = lengths
    is_constant = values.shape[axis] == 1 != source_length
    match relation.kind:
        case "same":
            return values
        case "all":
            return semiring.along(values, axis, source_length)
        case "blocks":
            groups = relation.arguments["groups"]
            if is_constant:
                return semiring.repeated(values, np.array(source_length // groups))
            before, after = values.shape[:axis], values.shape[axis + 1 :]
            split = values.map(lambda array: array.reshape(*before, groups, -1, *after))
            summed = semiring.along(split, axis + 1, source_length // groups)
            return summed.map(
                lambda array: np.repeat(array.squeeze(axis + 1), target_length // groups, axis)
            )
    parts = passes(relation, source_length, target_length)
    if is_constant:
        numbers = np.zeros(target_length, dtype=np.int64)
        for _, targets, times in parts:
            numbers[targets] += times
        shape = [1] * len(values.shape)
        shape[axis] = target_length
        return semiring.repeated(values, numbers.reshape(shape)).compressed([axis])
    shape = list(values.shape)
    shape[axis] = target_length
    result = Scaled.zeros(shape)
    front = (slice(None),) * axis
    for sources, targets, times in parts:
        part = values.at((*front, sources))
        if not (times == 1).all():
            part = semiring.repeated(part, times.reshape([-1] + [1] * (len(shape) - axis - 1)))
        result.put((*front, targets), semiring.plus(result.at((*front, targets)), part))
    return result


def _reshape(values: Scaled, sources: list[int], targets: list[int]) -> Scaled:
    """The last axes in another shape, equal in row-major order.

    Axes stay apart where the lengths allow it, so that those of length 1 need not be filled.
    """
    lead = len(values.shape) - len(sources)
    groups = _factors(sources, targets)
    shape = list(values.shape[:lead])
    filled = list(values.shape[:lead])
    for these, those in groups:
        own = values.shape[lead + these.start : lead + these.stop]
        if math.prod(own) == 1:
            filled += own
            shape += [1] * len(those)
        else:
            filled += [sources[axis] for axis in these]
            shape += [targets[axis] for axis in those]
    return values.map(lambda array: np.broadcast_to(array, filled).reshape(shape))


def _factors(sources: Sequence[int], targets: Sequence[int]) -> list[tuple[range, range]]:
    """Consecutive axes on either side whose lengths have equal products, as few as possible."""
    groups = []
    s = t = 0
    while s < len(sources) or t < len(targets):
        first = (s, t)
        left = right = 1
        while s + t == sum(first) or left != right:
            if s < len(sources) and (left <= right or t == len(targets)):
                left *= sources[s]
                s += 1
            else:
                right *= targets[t]
                t += 1
        groups.append((range(first[0], s), range(first[1], t)))
    return groups
