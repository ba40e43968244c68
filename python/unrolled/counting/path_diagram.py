"""Tensors and weighted links between them, and the same turned round.

Path sums need a network in a form that is easy to copy with changes: links with weights and grades,
and where paths begin and end. Turning it round makes paths from the inputs out of paths to the
outputs, so that one sweep serves both directions. What sweeps over a diagram lives elsewhere.
"""

from __future__ import annotations

import graphlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from unrolled._core import Relation
from unrolled.errors import CycleError
from unrolled.network.builder import Link, Tensor
from unrolled.network.network import Network

__all__ = [
    "Arrow",
    "Diagram",
    "Weight",
    "computation_order",
    "number_of_edges",
    "number_of_pairs",
    "number_of_terms",
    "passes",
    "taps_in_bounds",
    "transposed",
]

Weight: TypeAlias = "int | float | npt.NDArray[np.int64] | npt.NDArray[np.float64]"
"""One number for all edges of a link, or an array that broadcasts to the shape of its target."""

Integers: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Arrow:
    """A link from one tensor of a diagram to another.

    Attributes
    ----------
    source, target : int
        Numbers of tensors.
    relations : tuple of Relation
    weight : Weight
        Of its edges, by the element of the tensor where the network has the link's target.
    weighs_source : bool
        Whether that tensor is the source: the diagram was turned round.
    grade : int
        How much a path along the link adds to its grade.
    """

    source: int
    target: int
    relations: tuple[Relation, ...]
    weight: Weight = 1
    weighs_source: bool = False
    grade: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Diagram:
    """Tensors, links, and where paths begin.

    Attributes
    ----------
    names : tuple of str
    shapes : tuple of tuple of int
        Of the tensors, by number.
    arrows : tuple of Arrow
    starts, ends : mapping of int to Weight
        Tensors where paths begin and where they end, with the weight of doing so.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    arrows: tuple[Arrow, ...]
    starts: Mapping[int, Weight]
    ends: Mapping[int, Weight]

    @classmethod
    def of_network(
        cls,
        network: Network,
        starts: Iterable[Tensor],
        weight_of: Callable[[Link], Weight] = lambda link: 1,
    ) -> Diagram:
        """A network whose paths begin at some of its tensors and end at its outputs."""
        return cls(
            tuple(tensor.name for tensor in network.tensors),
            tuple(tensor.shape for tensor in network.tensors),
            tuple(
                Arrow(link.source.id, link.target.id, link.relations, weight_of(link))
                for link in network.links
            ),
            {tensor.id: 1 for tensor in starts},
            {tensor.id: 1 for tensor in network.outputs},
        )

    def turned_round(self) -> Diagram:
        """Every link the other way, starts and ends exchanged."""
        arrows = [
            Arrow(
                arrow.target,
                arrow.source,
                tuple(
                    transposed(relation, self.shapes[arrow.source], self.shapes[arrow.target])
                    for relation in arrow.relations
                ),
                arrow.weight,
                not arrow.weighs_source,
                arrow.grade,
            )
            for arrow in self.arrows
        ]
        return replace(self, arrows=tuple(arrows), starts=self.ends, ends=self.starts)

    def order(self) -> list[int]:
        """The tensors, each after those it is computed from.

        Raises
        ------
        CycleError
            The links form a cycle.
        """
        return computation_order(
            self.names, [(arrow.source, arrow.target) for arrow in self.arrows]
        )

    def largest_grades(self) -> list[int | None]:
        """For every tensor the largest grade of a path of tensors from a start; None without."""
        into: list[list[Arrow]] = [[] for _ in self.shapes]
        for arrow in self.arrows:
            into[arrow.target].append(arrow)
        grades: list[int | None] = [None] * len(self.shapes)
        for number in self.order():
            known = [0] if number in self.starts else []
            for arrow in into[number]:
                before = grades[arrow.source]
                if before is not None:
                    known.append(before + arrow.grade)
            grades[number] = max(known, default=None)
        return grades


def computation_order(names: Sequence[str], pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Tensors by number, each after those it is computed from.

    Parameters
    ----------
    names : sequence of str
        Of the tensors, by number.
    pairs : iterable of (int, int)
        Numbers of the sources and targets of links.

    Raises
    ------
    CycleError
        The links form a cycle.

    Examples
    --------
    >>> computation_order(["sum", "x", "y"], [(1, 2), (1, 0), (2, 0)])
    [1, 2, 0]
    """
    sources: dict[int, set[int]] = {number: set() for number in range(len(names))}
    for source, target in pairs:
        sources[target].add(source)
    try:
        return list(graphlib.TopologicalSorter(sources).static_order())
    except graphlib.CycleError as error:
        cycle = " -> ".join(names[number] for number in reversed(error.args[1]))
        raise CycleError(
            f"the links form a cycle: {cycle}; sums over paths need an acyclic network"
        ) from None


def transposed(
    relation: Relation, source_shape: Sequence[int], target_shape: Sequence[int]
) -> Relation:
    """The same edges, with the source as the target.

    Parameters
    ----------
    relation : Relation
    source_shape, target_shape : sequence of int
        Shapes of the two tensors that it links.

    Examples
    --------
    >>> transposed(Relation.window(0, 0, size=3, padding=1), (8,), (8,)).kind
    'transposed_window'
    """
    sources, targets = relation.source_axes, relation.target_axes
    match relation.kind:
        case "sum":
            return Relation.each(targets[0])
        case "each":
            return Relation.sum(sources[0])
        case "reshape":
            return Relation.reshape(targets, sources)
        case "same" | "all" | "blocks" | "window" | "transposed_window":
            kind = TRANSPOSES.get(relation.kind, relation.kind)
            build = getattr(Relation, kind)
            turned: Relation = build(targets[0], sources[0], **relation.arguments)
            return turned
        case "slice" if relation.arguments["step"] > 0:
            # Elements that are read are written at the same distance: a window of one tap.
            start, step = relation.arguments["start"], relation.arguments["step"]
            return Relation.transposed_window(
                targets[0], sources[0], size=1, stride=step, padding=-start
            )
    source, target = sources[0], targets[0]
    return _from_entries(
        target, source, _entries(relation, source_shape[source], target_shape[target])
    )


TRANSPOSES = {"window": "transposed_window", "transposed_window": "window"}


@dataclass(frozen=True, slots=True, eq=False)
class Entries:
    """Edges between two axes: pairs of indices with multiplicities, and the lengths of the axes."""

    sources: Integers
    targets: Integers
    multiplicities: Integers
    source_length: int
    target_length: int


def _entries(relation: Relation, source_length: int, target_length: int) -> Entries:
    """All edges of a relation of one axis with another."""
    a = relation.arguments
    every = np.arange(target_length)
    times = None
    match relation.kind:
        case "same":
            sources, targets = every, every
        case "slice":
            sources, targets = a["start"] + a["step"] * every, every
        case "select":
            sources, targets = np.asarray(a["indices"]), every
        case "sparse":
            sources = np.asarray(a["indices"])
            targets = np.repeat(every, np.diff(a["offsets"]))
            times = np.asarray(a["multiplicities"])
        case "window":
            taps, targets = _grid(a["size"], target_length)
            sources = targets * a["stride"] - a["padding"] + taps * a["dilation"]
        case "transposed_window":
            taps, sources = _grid(a["size"], source_length)
            targets = sources * a["stride"] - a["padding"] + taps * a["dilation"]
        case "taps":
            sources, targets = _grid(a["size"], target_length)
            position = targets * a["stride"] - a["padding"] + sources * a["dilation"]
            within = (position >= 0) & (position < a["extent"])
            sources, targets = sources[within], targets[within]
        case "transposed_taps":
            sources, stops = _grid(a["size"], a["extent"])
            targets = stops * a["stride"] - a["padding"] + sources * a["dilation"]
        case kind:
            raise NotImplementedError(f"the relation '{kind}' has no list of edges")
    within = (sources >= 0) & (sources < source_length)
    within &= (targets >= 0) & (targets < target_length)
    if times is None:
        times = np.ones(len(sources), dtype=np.int64)
    return Entries(sources[within], targets[within], times[within], source_length, target_length)


def number_of_pairs(
    relations: Sequence[Relation], source_shape: Sequence[int], target_shape: Sequence[int]
) -> int:
    """How many pairs of elements a link joins; parallel edges are one pair.

    Time does not depend on the lengths of the axes.

    Examples
    --------
    >>> number_of_pairs([Relation.same(0, 0), Relation.window(1, 1, size=3)], (2, 5), (2, 3))
    18
    """
    return _product(relations, source_shape, target_shape, _pairs_in_bounds)


def number_of_edges(
    relations: Sequence[Relation], source_shape: Sequence[int], target_shape: Sequence[int]
) -> int:
    """How many edges a link has; parallel ones count one by one.

    Examples
    --------
    >>> twice = Relation.sparse(0, 0, offsets=[0, 1], indices=[0], multiplicities=[2])
    >>> number_of_edges([twice], (1,), (1,)), number_of_pairs([twice], (1,), (1,))
    (2, 1)
    """
    return _product(relations, source_shape, target_shape, _edges_in_bounds)


def number_of_terms(
    relations: Sequence[Relation], source_shape: Sequence[int], target_shape: Sequence[int]
) -> int:
    """The edges that a link would have if every tap of its windows were in bounds.

    Examples
    --------
    >>> padded = Relation.taps(0, 0, size=3, padding=1, extent=5)
    >>> number_of_terms([padded], (3,), (5,)), number_of_edges([padded], (3,), (5,))
    (15, 13)
    """
    return _product(relations, source_shape, target_shape, _terms)


def _product(
    relations: Sequence[Relation],
    source_shape: Sequence[int],
    target_shape: Sequence[int],
    number: Callable[[Relation, int, int], int],
) -> int:
    """The product over the relations of a link of what each of them joins."""
    product = 1
    for relation in relations:
        source = math.prod(source_shape[axis] for axis in relation.source_axes)
        target = math.prod(target_shape[axis] for axis in relation.target_axes)
        match relation.kind:
            case "same" | "reshape":
                product *= source
            case "sum" | "each" | "all":
                product *= source * target
            case "blocks":
                product *= source * target // int(relation.arguments["groups"])
            case _:
                product *= number(relation, source, target)
    return product


def _pairs_in_bounds(relation: Relation, source: int, target: int) -> int:
    arguments = relation.arguments
    match relation.kind:
        case "slice":
            return target
        case "select":
            return int(np.count_nonzero(np.asarray(arguments["indices"]) >= 0))
        case "sparse":
            return len(arguments["indices"])
        case _:
            steps, extent = _steps_of_window(relation, source, target)
            return taps_in_bounds(
                steps,
                int(arguments["size"]),
                int(arguments["stride"]),
                int(arguments["dilation"]),
                int(arguments["padding"]),
                extent,
            )


def _edges_in_bounds(relation: Relation, source: int, target: int) -> int:
    if relation.kind == "sparse":
        return sum(map(int, relation.arguments["multiplicities"]))
    return _pairs_in_bounds(relation, source, target)


def _terms(relation: Relation, source: int, target: int) -> int:
    if relation.kind in ("window", "transposed_window", "taps", "transposed_taps"):
        return int(relation.arguments["size"]) * _steps_of_window(relation, source, target)[0]
    return _edges_in_bounds(relation, source, target)


def _steps_of_window(relation: Relation, source: int, target: int) -> tuple[int, int]:
    """How many steps a window makes, and along an axis of which length."""
    match relation.kind:
        case "window":
            return target, source
        case "transposed_window":
            return source, target
        case "taps":
            return target, int(relation.arguments["extent"])
        case "transposed_taps":
            return int(relation.arguments["extent"]), target
        case kind:
            raise NotImplementedError(f"the relation '{kind}' is no window")


def taps_in_bounds(
    steps: int, size: int, stride: int, dilation: int, padding: int, extent: int
) -> int:
    """How many taps of a window lie on an axis, over all of its steps.

    Tap ``t`` of step ``o`` is at ``o * stride - padding + t * dilation``, and counts if that is at
    least 0 and below `extent`.

    Examples
    --------
    >>> taps_in_bounds(steps=5, size=3, stride=1, dilation=1, padding=1, extent=5)
    13
    """

    def up_to(last: int) -> int:
        """How many pairs have ``o * stride + t * dilation <= last``."""
        if last < 0:
            return 0
        taps = min(size, last // dilation + 1)
        beyond = last - (steps - 1) * stride
        whole = min(taps, beyond // dilation + 1) if beyond >= 0 else 0
        rest = taps - whole
        first = last - (taps - 1) * dilation
        return whole * steps + rest + _sum_of_quotients(rest, stride, dilation, first)

    return up_to(extent + padding - 1) - up_to(padding - 1)


def _sum_of_quotients(number: int, divisor: int, step: int, first: int) -> int:
    """The sum of ``(first + i * step) // divisor`` over i below a number, as Euclid would."""
    total = 0
    while number > 0:
        total += number * (number - 1) // 2 * (step // divisor) + number * (first // divisor)
        step, first = step % divisor, first % divisor
        last = step * number + first
        number, first = divmod(last, divisor)
        divisor, step = step, divisor
    return total


def _grid(first: int, second: int) -> tuple[Integers, Integers]:
    """All pairs of indices below two lengths."""
    return np.repeat(np.arange(first), second), np.tile(np.arange(second), first)


def _from_entries(source: int, target: int, entries: Entries) -> Relation:
    """The relation with these edges turned round, a selection where that is possible."""
    reads, writes = entries.targets, entries.sources
    length = entries.source_length
    numbers = np.bincount(writes, minlength=length)
    if numbers.max(initial=0) <= 1 and (entries.multiplicities == 1).all():
        indices = np.full(length, -1, dtype=np.int64)
        indices[writes] = reads
        steps = np.unique(np.diff(indices))
        if len(writes) == length and len(steps) == 1:
            return Relation.slice(source, target, start=int(indices[0]), step=int(steps[0]))
        return Relation.select(source, target, indices)
    order = np.argsort(writes, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(numbers)])
    return Relation.sparse(source, target, offsets, reads[order], entries.multiplicities[order])


def passes(
    relation: Relation, source_length: int, target_length: int
) -> list[tuple[Integers, Integers, Integers]]:
    """The edges of a relation of two axes in parts, in each of which no target comes twice.

    Returns
    -------
    list of (sources, targets, multiplicities)
    """
    entries = _entries(relation, source_length, target_length)
    order = np.argsort(entries.targets, kind="stable")
    sources, targets = entries.sources[order], entries.targets[order]
    times = entries.multiplicities[order]
    first = np.searchsorted(targets, targets, side="left")
    rank = np.arange(len(targets)) - first
    parts = []
    for number in range(int(rank.max(initial=-1)) + 1):
        these = rank == number
        parts.append((sources[these], targets[these], times[these]))
    return parts
