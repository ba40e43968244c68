"""The peer of networks: the same counts with NumPy, as object arrays of Python integers.

This is what a skilled NumPy user would write who knows the layers of a network: a reverse sweep,
one map a tensor, exact because Python integers are. An axis along which all counts are equal (the
channels of a convolutional network) has length one, so that a map is as large as the image and no
larger. Windows are added up tap by tap, a slice of the map each, and scalar factors are multiplied
in once a link, where the map is smallest.

`tuned=True` is the best we could make of it: windows are added up one spatial axis at a time, all
taps of a kernel share one sum over the positions they have in common, and what several
parameters of a layer need alike (the four of a batch norm) is computed once.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from unrolled._core import Network

__all__ = ["Peer", "PeerCounts"]

Map = npt.NDArray[np.object_]
Step: TypeAlias = tuple[int | slice, slice]
"""A source index and the targets that read it, or a slice of sources and as many targets."""


@dataclass(frozen=True)
class PeerCounts:
    """Counts of each parameter by name; an axis of equal counts has length one."""

    total: int
    maps: dict[str, Map]


@dataclass(frozen=True)
class PlainRelation:
    """An axis relation, read into plain Python once."""

    kind: str
    source_axes: list[int]
    target_axes: list[int]
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Link:
    """A link, read into plain Python once."""

    source: int
    relations: list[PlainRelation]
    signature: Hashable


class Peer:
    """A network, ready to be counted; reading it is not part of what is timed."""

    def __init__(self, network: Network, *, tuned: bool = False) -> None:
        self.tuned = tuned
        rows = network.tensors
        self.names = [name for name, _, _, _ in rows]
        self.shapes = [tuple(shape) for _, shape, _, _ in rows]
        self.roles = [role for _, _, role, _ in rows]
        self.outputs = network.outputs
        self.links: dict[int, list[Link]] = {}
        for source, target, relations in network.links:
            assert source < target, "tensors must be in the order in which they are computed"
            plain = [
                PlainRelation(r.kind, list(r.source_axes), list(r.target_axes), r.arguments)
                for r in relations
            ]
            link = Link(source, plain, signature(self.shapes[source], plain))
            self.links.setdefault(target, []).append(link)

    def count(self) -> PeerCounts:
        """Count the contexts of every parameter."""
        counts: dict[int, Map] = {}
        for output in self.outputs:
            counts[output] = np.full((1,) * len(self.shapes[output]), 1, dtype=object)
        for target in range(len(self.shapes) - 1, -1, -1):
            if target not in counts or self.roles[target] == "parameter":
                continue
            pulled: dict[Hashable, Map] = {}
            later = counts.pop(target)
            for link in self.links.get(target, []):
                share = pulled.get(link.signature) if self.tuned else None
                if share is None:
                    shapes = self.shapes[link.source], self.shapes[target]
                    share = pull(later, *shapes, link.relations, self.tuned)
                    pulled[link.signature] = share
                known = counts.get(link.source)
                counts[link.source] = share if known is None else known + share
        return self.collect(counts)

    def collect(self, counts: dict[int, Map]) -> PeerCounts:
        total = 0
        for tensor, found in counts.items():
            total += int(found.sum()) * (prod(self.shapes[tensor]) // found.size)
        return PeerCounts(total, {self.names[tensor]: found for tensor, found in counts.items()})


def signature(shape: tuple[int, ...], relations: Sequence[PlainRelation]) -> Hashable:
    """Links of one target with equal signatures give their sources equal counts."""

    def plain(value: Any) -> Hashable:
        return value.tobytes() if isinstance(value, np.ndarray) else int(value)

    return shape, tuple(
        (
            relation.kind,
            tuple(relation.source_axes),
            tuple(relation.target_axes),
            tuple((name, plain(value)) for name, value in relation.arguments.items()),
        )
        for relation in relations
    )


def pull(
    counts: Map,
    source: tuple[int, ...],
    target: tuple[int, ...],
    relations: Sequence[PlainRelation],
    tuned: bool,
) -> Map:
    """The counts that a source receives from a target, by one link."""
    factor = 1
    # Sums come first: what follows then works on a smaller map.
    axes = [r.target_axes[0] for r in relations if r.kind in ("sum", "all")]
    factor *= prod(target[axis] for axis in axes if counts.shape[axis] == 1)
    wide = tuple(axis for axis in axes if counts.shape[axis] > 1)
    if wide:
        counts = counts.sum(axis=wide, keepdims=True)
    slid = []
    for relation in relations:
        if relation.kind in ("same", "sum", "each", "all", "reshape"):
            continue
        axis, length = relation.target_axes[0], source[relation.source_axes[0]]
        steps = list(readers(relation, length, target[axis]))
        if counts.shape[axis] == 1:
            counts, times = along_single(counts, axis, length, steps)
            factor *= times
        elif tuned:
            counts = along_axis(counts, axis, length, steps)
        else:
            slid.append((axis, length, steps))
    if slid:
        counts = tap_by_tap(counts, slid)
    counts = rearrange(counts, source, target, relations)
    return counts if factor == 1 else counts * factor


def rearrange(
    counts: Map,
    source: tuple[int, ...],
    target: tuple[int, ...],
    relations: Sequence[PlainRelation],
) -> Map:
    """Turn the axes of the target into those of the source."""
    shape: list[int] = []
    for relation in relations:
        if relation.kind != "reshape":
            # An axis of the target only has length one by now; one of the source only gets it.
            shape += [
                counts.shape[relation.target_axes[0]] if relation.target_axes else 1
                for _ in relation.source_axes
            ]
        elif all(counts.shape[axis] == 1 for axis in relation.target_axes):
            shape += [1] * len(relation.source_axes)
        else:
            full = list(counts.shape)
            for axis in relation.target_axes:
                full[axis] = target[axis]
            counts = np.broadcast_to(counts, full)
            shape += [source[axis] for axis in relation.source_axes]
    from_axes = [axis for relation in relations for axis in relation.target_axes]
    to_axes = [axis for relation in relations for axis in relation.source_axes]
    by_relation = counts.transpose(from_axes).reshape(shape)
    return by_relation.transpose([to_axes.index(axis) for axis in range(len(source))])


def along_single(counts: Map, axis: int, length: int, steps: list[Step]) -> tuple[Map, int]:
    """One relation on an axis of equal counts; the counts, and a factor still to multiply in."""
    number = np.zeros(length, dtype=object)
    for at, outputs in steps:
        number[at] += outputs.stop - outputs.start if isinstance(at, int) else 1
    if (number == number[0]).all():
        return counts, int(number[0])
    return counts * number.reshape([-1 if a == axis else 1 for a in range(counts.ndim)]), 1


def tap_by_tap(counts: Map, slid: list[tuple[int, int, list[Step]]]) -> Map:
    """Relations on several axes at once: one slice of the map for each combination of taps."""
    shape = list(counts.shape)
    for axis, length, _ in slid:
        shape[axis] = length
    result = np.zeros(shape, dtype=object)
    for taps in product(*[steps for _, _, steps in slid]):
        at, outputs = [slice(None)] * counts.ndim, [slice(None)] * counts.ndim
        summed = []
        for (axis, _, _), (source, target) in zip(slid, taps, strict=True):
            outputs[axis] = target
            if isinstance(source, int):
                summed.append(axis)
                source = slice(source, source + 1)
            at[axis] = source
        part = counts[tuple(outputs)]
        result[tuple(at)] += part.sum(axis=tuple(summed), keepdims=True) if summed else part
    return result


def along_axis(counts: Map, axis: int, length: int, steps: list[Step]) -> Map:
    """One relation on one axis."""
    moved = np.moveaxis(counts, axis, 0)
    result = np.zeros((length, *moved.shape[1:]), dtype=object)
    if len(steps) > 1 and all(isinstance(at, int) for at, _ in steps):
        add_up_taps(moved, result, steps)
    else:
        for at, outputs in steps:
            result[at] += moved[outputs].sum(axis=0) if isinstance(at, int) else moved[outputs]
    return np.moveaxis(result, 0, axis)


def add_up_taps(moved: Map, result: Map, steps: list[Step]) -> None:
    """Most outputs use every tap of a window: these are added up once."""
    low = max(outputs.start for _, outputs in steps)
    high = max(low, min(outputs.stop for _, outputs in steps))
    shared = moved[low:high].sum(axis=0)
    for tap, outputs in steps:
        before, after = slice(outputs.start, low), slice(high, outputs.stop)
        if outputs.stop <= low or outputs.start >= high:
            result[tap] = moved[outputs].sum(axis=0)
            continue
        result[tap] = shared
        for edge in (before, after):
            if edge.stop > edge.start:
                result[tap] += moved[edge].sum(axis=0)


def readers(relation: PlainRelation, source: int, target: int) -> Iterator[Step]:
    """Which targets read which sources: all of a slice read one index, or index by index."""
    given = relation.arguments
    if relation.kind in ("window", "taps"):
        stride, offset = given["stride"], -given["padding"]
        extent = source if relation.kind == "window" else given["extent"]
        for tap in range(given["size"]):
            at = offset + tap * given["dilation"]  # what output 0 reads
            first = max(0, -(at // stride))
            stop = min(target, (extent - 1 - at) // stride + 1)
            if first < stop:
                start, end = at + first * stride, at + (stop - 1) * stride + 1
                yield (
                    tap if relation.kind == "taps" else slice(start, end, stride),
                    slice(first, stop),
                )
    elif relation.kind == "blocks":
        wide, narrow = source // given["groups"], target // given["groups"]
        for index in range(source):
            block = index // wide
            yield index, slice(block * narrow, (block + 1) * narrow)
    elif relation.kind == "slice":
        for output in range(target):
            yield given["start"] + output * given["step"], slice(output, output + 1)
    elif relation.kind == "select":
        for output, index in enumerate(given["indices"]):
            if index >= 0:
                yield int(index), slice(output, output + 1)
    else:
        raise NotImplementedError(f"the peer has no rule for the relation '{relation.kind}'")
