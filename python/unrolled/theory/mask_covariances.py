"""Mean and variance of the number of paths of a network whose elements are there at random.

Dropout keeps the elements of a tensor with some probability. Two paths that meet the same mask are
correlated, so the variance of the number of paths needs pairs of paths. They are swept together:
from the parameters to the outputs, the covariance of the numbers of paths to any two elements is
carried along, for the few tensors that are still to be read at a time. With independent masks x of
mean k, means m and covariances C of the numbers G of paths, before a mask,

    Cov(x_a G_a, x_b G_b) = k^2 C_ab + [a and b have a mask in common] k (1 - k) (C_ab + m_a m_b)

and links carry covariances from both sides. All terms are non-negative, so nothing cancels.

A covariance has the axes of both tensors. Two things keep it small. Axes have length 1 where all
slices are equal, as in all sweeps over paths. And where a mask correlates elements of equal index
only, the two axes are *tied*: a covariance is a sum of terms, each of which is zero unless the
indices of its tied axes are equal, and has values along one of the two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from unrolled._core import Relation
from unrolled.counting.path_diagram import Arrow, Diagram
from unrolled.counting.scaled import SUMS, Scaled
from unrolled.counting.weighted_sweep import along, broadcast, carried
from unrolled.errors import MemoryLimitError

__all__ = ["Mask", "Moments", "path_moments"]

BYTES = 64
"""Of one element of a covariance: a mantissa, an exponent, and those of what it is made from."""


class Mask(NamedTuple):
    """Which elements of a tensor are there.

    Attributes
    ----------
    keep : float
        The probability that an element is.
    axes : frozenset of int
        Elements with equal indices along these axes have a mask in common.
    """

    keep: float
    axes: frozenset[int]


class Moments(NamedTuple):
    """Mean and variance of a number, each as a mantissa and an exponent."""

    mean: tuple[float, int]
    variance: tuple[float, int]


Move: TypeAlias = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
Ties: TypeAlias = frozenset[tuple[int, int]]
Terms: TypeAlias = dict[Ties, Scaled]
"""A covariance, by the pairs of axes that are tied. The arrays have the axes of the first tensor
and then those of the second; of two tied axes the first has the values, the second length 1."""


def path_moments(
    diagram: Diagram,
    masks: Mapping[int, Mask],
    *,
    memory_limit: int,
    progress: Callable[[int, int], None] | None = None,
) -> Moments:
    """Mean and variance of the number of paths from the starts to the ends.

    Parameters
    ----------
    diagram : Diagram
        All weights are 1.
    masks : mapping of int to Mask
        By number of tensor. Masks of different tensors are independent.
    memory_limit : int
        Bytes that a covariance may take.
    progress : callable, optional
        Called as ``progress(done, total)``.

    Raises
    ------
    MemoryLimitError
        A covariance would need more.
    """
    sweep = _Sweep(diagram, masks, memory_limit)
    order = diagram.order()
    for done, number in enumerate(order, 1):
        sweep.visit(number)
        if progress is not None:
            progress(done, len(order))
    return sweep.moments()


class _Sweep:
    """The tensors that are still to be read: their means, and their covariances."""

    def __init__(self, diagram: Diagram, masks: Mapping[int, Mask], memory_limit: int) -> None:
        self.diagram = diagram
        self.shapes = diagram.shapes
        self.masks = masks
        self.limit = memory_limit
        self.means: dict[int, Scaled] = {}
        self.covariances: dict[tuple[int, int], Terms] = {}
        self.into: list[list[Arrow]] = [[] for _ in self.shapes]
        self.readers = [int(number in diagram.ends) for number in range(len(self.shapes))]
        for arrow in diagram.arrows:
            self.into[arrow.target].append(arrow)
            self.readers[arrow.source] += 1

    def visit(self, number: int) -> None:
        """Count the paths to a tensor, all of whose sources have been visited."""
        for arrow in self.into[number]:
            self.readers[arrow.source] -= 1
        arrows = [arrow for arrow in self.into[number] if arrow.source in self.means]
        parts = [along(arrow, self.means[arrow.source], self.shapes, 0, SUMS) for arrow in arrows]
        if number in self.diagram.starts:
            parts.append(broadcast(1, self.shapes[number]))
        if parts:
            mean = parts[0]
            for part in parts[1:]:
                mean = mean.plus(part)
            self._remember(number, arrows, mean.compressed(range(len(mean.shape))))
        for done in {number, *[arrow.source for arrow in self.into[number]]}:
            if self.readers[done] == 0:
                self._forget(done)

    def moments(self) -> Moments:
        """Over all ends."""
        mean, variance = Scaled.zeros(()), Scaled.zeros(())
        ends = [number for number in self.diagram.ends if number in self.means]
        for first in ends:
            shape = self.shapes[first]
            mean = mean.plus(_summed(self.means[first], shape))
            for second in ends:
                for ties, values in self._between(first, second).items():
                    tied = {axis for _, axis in ties}
                    others = [
                        1 if axis in tied else length
                        for axis, length in enumerate(self.shapes[second])
                    ]
                    variance = variance.plus(_summed(values, [*shape, *others]))
        return Moments(mean.total(), variance.total())

    def _remember(self, number: int, arrows: Sequence[Arrow], mean: Scaled) -> None:
        """Apply the mask of a tensor to the number of paths to it, and keep the moments."""
        own = self._with_itself(arrows)
        others = self._with_others(arrows)
        mask = self.masks.get(number)
        if mask is not None and mask.keep < 1:
            keep = Scaled.of(mask.keep)
            own = self._masked(own, mean, mask, self.shapes[number])
            others = {other: _times(terms, keep) for other, terms in others.items()}
            mean = mean.times(keep)
        self.means[number] = mean
        for other, terms in [(number, own), *others.items()]:
            if terms:
                self.covariances[number, other] = terms

    def _forget(self, number: int) -> None:
        self.means.pop(number, None)
        for pair in [pair for pair in self.covariances if number in pair]:
            del self.covariances[pair]

    def _between(self, first: int, second: int) -> Terms:
        """The covariance of two tensors."""
        if (first, second) in self.covariances:
            return self.covariances[first, second]
        return _exchanged(self.covariances.get((second, first), {}), len(self.shapes[second]))

    def _with_others(self, arrows: Sequence[Arrow]) -> dict[int, Terms]:
        """The covariances of a new tensor with all that have readers left, before its own mask."""
        found: dict[int, Terms] = {}
        for other in self.means:
            if not self.readers[other]:
                continue
            found[other] = {}
            for arrow in arrows:
                terms = self._between(arrow.source, other)
                _add(found[other], self._carried(arrow, terms, len(self.shapes[other])))
        return found

    def _with_itself(self, arrows: Sequence[Arrow]) -> Terms:
        """The covariance of a new tensor with itself, before its own mask."""
        total: Terms = {}
        for position, first in enumerate(arrows):
            rank = len(self.shapes[first.target])
            _add(total, self._carried_on_both_sides(first))
            for second in arrows[:position]:
                terms = self._between(first.source, second.source)
                half = self._carried(first, terms, len(self.shapes[second.source]))
                both = self._carried(second, _exchanged(half, rank), rank)
                _add(total, both)
                _add(total, _exchanged(both, rank))
        return total

    def _carried(self, arrow: Arrow, terms: Terms, other_rank: int) -> Terms:
        """A covariance of the source of an arrow as one of its target."""
        total: Terms = {}
        for ties, values in terms.items():
            _add(total, self._side(ties, values, arrow, other_rank))
        return total

    def _carried_on_both_sides(self, arrow: Arrow) -> Terms:
        """The covariance of the source of an arrow with itself as that of its target."""
        rank, source_rank = len(self.shapes[arrow.target]), len(self.shapes[arrow.source])
        total: Terms = {}
        for ties, values in self._between(arrow.source, arrow.source).items():
            # Ties that the relations keep are left out here, and put on again at the end.
            keeping = [relation for relation in arrow.relations if _keeps(relation, ties)]
            kept = {axis for relation in keeping for axis in relation.source_axes}
            others = frozenset(tie for tie in ties if tie[0] not in kept)
            ends = {(axis, axis) for relation in keeping for axis in relation.target_axes}
            half = self._side(others, values, arrow, source_rank)
            for between, first in _exchanged(half, rank).items():
                both = self._side(between, first, arrow, rank, keeping)
                for found, second in _exchanged(both, rank).items():
                    _add(total, {found | ends: second})
        return total

    def _side(
        self,
        ties: Ties,
        values: Scaled,
        arrow: Arrow,
        other_rank: int,
        tied_elsewhere: Sequence[Relation] = (),
    ) -> Terms:
        """One term of a covariance of the source of an arrow, the first tensor, as of its target.

        The source axes of relations in `tied_elsewhere` have length 1: they are tied to axes of
        the second tensor, which have the values.
        """
        source, target = list(self.shapes[arrow.source]), list(self.shapes[arrow.target])
        rank = len(source)
        tied = dict(ties)
        found: set[tuple[int, int]] = set()
        relations = []
        for relation in arrow.relations:
            axes = [axis for axis in relation.source_axes if axis in tied]
            if relation in tied_elsewhere:
                for axis in relation.source_axes:
                    source[axis] = 1
                for axis in relation.target_axes:
                    target[axis] = 1
                if relation.kind != "reshape":
                    relation = Relation.same(relation.source_axes[0], relation.target_axes[0])
            elif relation.kind == "same":
                found |= {(relation.target_axes[0], tied[axis]) for axis in axes}
            elif relation.kind in ("each", "all"):
                # Of all elements along the axis only the one of equal index adds anything.
                for axis in axes:
                    values = values.map(_swap(axis, rank + tied[axis]))
                    source[axis] = 1
            else:
                for axis in axes:
                    values = self._untied(values, axis, rank + tied[axis], source[axis])
            relations.append(relation)
        self._check(_largest_size(values, relations, target))
        values = values.map(_first_to_last(rank))
        values = carried(values, relations, tuple(source), tuple(target), other_rank, SUMS)
        values = values.map(_first_to_last(other_rank))
        return {frozenset(found): values.compressed(range(len(values.shape)))}

    def _masked(self, terms: Terms, mean: Scaled, mask: Mask, shape: Sequence[int]) -> Terms:
        """The covariance of a tensor with itself after its mask; see the top of this module."""
        rank = len(shape)
        common: Terms = {}
        for ties, values in terms.items():
            _add(common, self._tied(ties, values, mask.axes, shape))
        together = sorted(mask.axes)
        apart = [axis for axis in range(rank) if axis not in mask.axes]
        first = [mean.shape[axis] if axis in mask.axes else 1 for axis in range(rank)]
        second = [1 if axis in mask.axes else mean.shape[axis] for axis in range(rank)]
        self._check(mean.mantissas.size * math.prod(second))
        other = mean.map(lambda array: array.transpose(*together, *apart).reshape(*first, *second))
        one = mean.map(lambda array: array.reshape(*array.shape, *[1] * rank))
        _add(common, {frozenset((axis, axis) for axis in mask.axes): one.times(other)})
        total = _times(terms, Scaled.of(mask.keep**2))
        _add(total, _times(common, Scaled.of(mask.keep * (1 - mask.keep))))
        return total

    def _tied(self, ties: Ties, values: Scaled, axes: Iterable[int], shape: Sequence[int]) -> Terms:
        """The part of a covariance of a tensor with itself where indices along axes are equal."""
        rank = len(shape)
        tied = set(ties)
        for axis in axes:
            if (axis, axis) in tied:
                continue
            for tie in [tie for tie in tied if axis in tie]:
                values = self._untied(values, tie[0], rank + tie[1], shape[tie[0]])
                tied.remove(tie)
            values = values.map(_diagonal(axis, rank + axis))
            tied.add((axis, axis))
        return {frozenset(tied): values}

    def _untied(self, values: Scaled, first: int, second: int, length: int) -> Scaled:
        """With values along both of two axes that were tied."""
        self._check(values.mantissas.size // values.shape[first] * length**2)
        shape = [1] * len(values.shape)
        shape[first] = shape[second] = length
        return values.times(Scaled.of(np.eye(length).reshape(shape)))

    def _check(self, size: int) -> None:
        """Refuse a covariance of too many elements."""
        if size * BYTES > self.limit:
            raise MemoryLimitError(
                f"the covariances of paths need {size * BYTES:,} bytes, more than the "
                f"{self.limit:,} that they may take"
            )


def _keeps(relation: Relation, ties: Ties) -> bool:
    """Whether equal indices of tied source axes are equal indices of the target, and none else."""
    axes = relation.source_axes
    if not axes or any((axis, axis) not in ties for axis in axes):
        return False
    if relation.kind == "slice":
        return bool(relation.arguments["step"])
    if relation.kind == "select":
        indices = np.asarray(relation.arguments["indices"])
        read = indices[indices >= 0]
        return len(np.unique(read)) == len(read)
    return relation.kind == "reshape"


def _largest_size(values: Scaled, relations: Sequence[Relation], target: Sequence[int]) -> int:
    """An upper bound on the elements of a covariance after relations of its first tensor."""
    size = values.mantissas.size
    for relation in relations:
        stored = math.prod(values.shape[axis] for axis in relation.source_axes)
        if relation.kind in ("same", "all", "each", "sum"):
            continue
        if relation.kind == "reshape":
            after = 1 if stored == 1 else math.prod(target[axis] for axis in relation.target_axes)
        else:
            after = target[relation.target_axes[0]]
        size = size // stored * max(after, stored)
    return size


def _add(total: Terms, terms: Terms) -> None:
    for ties, values in terms.items():
        total[ties] = total[ties].plus(values) if ties in total else values


def _times(terms: Terms, factor: Scaled) -> Terms:
    return {ties: values.times(factor) for ties, values in terms.items()}


def _exchanged(terms: Terms, first_rank: int) -> Terms:
    """The covariance with the second tensor as the first."""
    found: Terms = {}
    for ties, values in terms.items():
        for first, second in ties:
            values = values.map(_swap(first, first_rank + second))
        values = values.map(_first_to_last(first_rank))
        found[frozenset((second, first) for first, second in ties)] = values
    return found


def _summed(values: Scaled, shape: Sequence[int]) -> Scaled:
    """The sum over all elements of an array whose axes have length 1 where slices are equal."""
    for axis, length in enumerate(shape):
        values = SUMS.along(values, axis, length)
    return values.map(np.ravel).at(0)


def _swap(first: int, second: int) -> Move:
    return lambda array: array.swapaxes(first, second)


def _first_to_last(number: int) -> Move:
    """Move so many first axes behind the others."""
    return lambda array: np.moveaxis(array, range(number), range(-number, 0))


def _diagonal(first: int, second: int) -> Move:
    """Values where two indices are equal, along the first axis; the second one gets length 1."""

    def function(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if array.shape[first] == 1:
            return array.swapaxes(first, second)
        if array.shape[second] == 1:
            return array
        diagonal = np.diagonal(array, axis1=first, axis2=second)
        return np.expand_dims(np.moveaxis(diagonal, -1, first), second)

    return function
