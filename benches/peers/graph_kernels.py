"""Sweeps over CSR graphs with numba, written as someone would who knows it well.

Ids are unsigned, so that numba checks for no negative index. An `order` of None is a graph which is
numbered topologically already; numba compiles it apart. Every sweep runs from the end of the order
to its start, and a node without successor is an output, whose count is one.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

os.environ.setdefault("NUMBA_NUM_THREADS", "1")
numba: Any = import_module("numba")
llvm: Any = import_module("llvmlite.binding")
if numba.config.CPU_FEATURES is None and llvm.get_host_cpu_features().get("avx2"):
    # LLVM takes gather instructions to be cheap, and so turns edge loops into code that is up to
    # four times slower than one load after the other.
    numba.config.CPU_NAME = llvm.get_host_cpu_name()
    numba.config.CPU_FEATURES = llvm.get_host_cpu_features().flatten() + ",+prefer-no-gather"

Array = npt.NDArray[Any]
Function = TypeVar("Function", bound=Callable[..., Any])

BIAS = 1023
FRACTION = (1 << 52) - 1
LANE_BITS = 48
LANE_MASK = (1 << LANE_BITS) - 1
LANE_SUMMANDS = (1 << (64 - LANE_BITS)) - 1
"""So many lanes fit 64 bits, with room for a carry."""
STEP = 512
"""Lazy scaling: a count is a float up to 2^256, times a power of 2^512."""
HIGH, SHRINK = 2.0**256, 2.0**-512


def kernel(function: Function) -> Function:
    """`numba.njit` with a type annotation."""
    compiled: Function = numba.njit(cache=True, boundscheck=False, error_model="numpy")(function)
    return compiled


# Build and order


@kernel
def is_sorted(sources: Array) -> bool:
    falls = 0
    for edge in range(1, len(sources)):
        falls += sources[edge] < sources[edge - 1]
    return falls == 0


@kernel
def is_topological(sources: Array, targets: Array) -> bool:
    wrong = 0
    for edge in range(len(sources)):
        wrong += targets[edge] <= sources[edge]
    return wrong == 0


@kernel
def ends_of_rows(sources: Array, indptr: Array) -> None:
    """Row bounds of sorted edges, without a branch: the last edge of a source is written last."""
    for edge in range(len(sources)):
        indptr[sources[edge] + np.uint64(1)] = edge + 1
    for node in range(1, len(indptr)):
        indptr[node] = max(indptr[node], indptr[node - 1])


@kernel
def sort_by_source(
    sources: Array, targets: Array, shift: Any, pairs: Array, indptr: Array, indices: Array
) -> None:
    """Counting sort in two passes, first by `source >> shift`, so that writes stay close."""
    shift = np.uint64(shift)
    bounds = np.zeros(((len(indptr) - 1) >> shift) + 2, dtype=np.uint64)
    for edge in range(len(sources)):
        bounds[(np.uint64(sources[edge]) >> shift) + np.uint64(1)] += np.uint64(1)
    for bucket in range(1, len(bounds)):
        bounds[bucket] += bounds[bucket - 1]
    for edge in range(len(sources)):
        source = np.uint64(sources[edge])
        bucket = source >> shift
        pairs[bounds[bucket]] = (source << np.uint64(32)) | np.uint64(targets[edge])
        bounds[bucket] += np.uint64(1)
    for edge in range(len(pairs)):
        indptr[(pairs[edge] >> np.uint64(32)) + np.uint64(1)] += 1
    for node in range(1, len(indptr)):
        indptr[node] += indptr[node - 1]
    place = indptr[:-1].copy()
    for edge in range(len(pairs)):
        source = pairs[edge] >> np.uint64(32)
        indices[place[source]] = pairs[edge] & np.uint64(0xFFFFFFFF)
        place[source] += 1


@kernel
def kahn(indptr: Array, indices: Array, order: Array) -> int:
    """A topological order, level by level; returns how many nodes are in it."""
    waiting = np.zeros(len(order), dtype=np.uint32)
    for edge in range(len(indices)):
        waiting[indices[edge]] += np.uint32(1)
    found = 0
    for start in range(len(order)):
        if waiting[start] == 0:
            order[found] = start
            found += 1
    done = 0
    while done < found:
        node = np.uint64(order[done])
        done += 1
        for edge in range(indptr[node], indptr[node + np.uint64(1)]):
            target = indices[edge]
            waiting[target] -= np.uint32(1)
            if waiting[target] == 0:
                order[found] = target
                found += 1
    return found


@kernel
def renumber(
    indptr: Array, indices: Array, order: Array, rank: Array, bounds: Array, successors: Array
) -> None:
    """The same graph, its nodes and rows in topological order; `rank` is where each node went."""
    for place in range(len(order)):
        node = np.uint64(order[place])
        rank[node] = place
        bounds[place + 1] = bounds[place] + (indptr[node + np.uint64(1)] - indptr[node])
    filled = np.uint64(0)
    for place in range(len(order)):
        node = np.uint64(order[place])
        for edge in range(indptr[node], indptr[node + np.uint64(1)]):
            successors[filled] = rank[indices[edge]]
            filled += np.uint64(1)


# Floats


@kernel
def sweep_plain(indptr: Array, indices: Array, order: Array | None, counts: Array) -> None:
    """The ceiling, which overflows above 2^1024. Four sums, for additions to overlap."""
    for rank in range(len(counts) - 1, -1, -1):
        node = np.uint64(rank) if order is None else np.uint64(order[rank])
        edge, stop = np.uint64(indptr[node]), np.uint64(indptr[node + np.uint64(1)])
        if edge == stop:
            counts[node] = 1.0
            continue
        one, two, three, four = 0.0, 0.0, 0.0, 0.0
        while edge + np.uint64(4) <= stop:
            one += counts[indices[edge]]
            two += counts[indices[edge + np.uint64(1)]]
            three += counts[indices[edge + np.uint64(2)]]
            four += counts[indices[edge + np.uint64(3)]]
            edge += np.uint64(4)
        while edge < stop:
            one += counts[indices[edge]]
            edge += np.uint64(1)
        counts[node] = (one + two) + (three + four)


@kernel
def sweep_log_sum_exp(indptr: Array, indices: Array, order: Array | None, logs: Array) -> None:
    """Natural logarithms, in two passes over a row."""
    for rank in range(len(logs) - 1, -1, -1):
        node = np.uint64(rank) if order is None else np.uint64(order[rank])
        start, stop = indptr[node], indptr[node + np.uint64(1)]
        if start == stop:
            logs[node] = 0.0
            continue
        top = 0.0
        for edge in range(start, stop):
            top = max(top, logs[indices[edge]])
        total = 0.0
        for edge in range(start, stop):
            total += math.exp(logs[indices[edge]] - top)
        logs[node] = top + math.log(total)


@kernel
def aligned_sum(
    mantissas: Array, exponents: Array, indices: Array, start: Any, stop: Any, base: Any
) -> float:
    """In units of 2^base; infinite where an exponent lies more than 1,023 above."""
    total = 0.0
    for edge in range(start, stop):
        target = indices[edge]
        shift = min(max(np.int64(exponents[target]) - base + BIAS, 0), 2 * BIAS + 1)
        total += mantissas[target] * np.int64(shift << 52).view(np.float64)
    return total


@kernel
def sweep_scaled(
    indptr: Array, indices: Array, order: Array | None, mantissas: Array, exponents: Array
) -> None:
    """Mantissas in [1, 2) and exponents, each edge aligned to the first one of its row.

    Where that one is too small, the row is added up again, aligned to its largest.
    """
    for rank in range(len(mantissas) - 1, -1, -1):
        node = np.uint64(rank) if order is None else np.uint64(order[rank])
        start, stop = indptr[node], indptr[node + np.uint64(1)]
        if start == stop:
            mantissas[node], exponents[node] = 1.0, 0
            continue
        base = np.int64(exponents[indices[start]])
        total = aligned_sum(mantissas, exponents, indices, start, stop, base)
        if total == np.inf:
            for edge in range(start, stop):
                base = max(base, np.int64(exponents[indices[edge]]))
            total = aligned_sum(mantissas, exponents, indices, start, stop, base)
        bits = np.float64(total).view(np.int64)
        exponents[node] = base + (bits >> 52) - BIAS
        mantissas[node] = np.int64((bits & FRACTION) | (BIAS << 52)).view(np.float64)


@kernel
def sweep_lazy(
    indptr: Array, indices: Array, order: Array | None, values: Array, scales: Array
) -> None:
    """Scaled by powers of 2^512 only, which the successors of a node have in common mostly."""
    for rank in range(len(values) - 1, -1, -1):
        node = np.uint64(rank) if order is None else np.uint64(order[rank])
        start, stop = indptr[node], indptr[node + np.uint64(1)]
        if start == stop:
            values[node], scales[node] = 1.0, 0
            continue
        scale = np.int64(scales[indices[start]])
        total = 0.0
        for edge in range(start, stop):
            target = indices[edge]
            if scales[target] == scale:
                total += values[target]
            elif scales[target] > scale:
                total = total * SHRINK if scales[target] == scale + 1 else 0.0
                total += values[target]
                scale = np.int64(scales[target])
            elif scales[target] == scale - 1:
                total += values[target] * SHRINK
        if total >= HIGH:
            total *= SHRINK
            scale += 1
        values[node], scales[node] = total, scale


# Large integers: `stride` words of `rows` a node, the least significant first


@kernel
def widths_of_rows(values: Array, scales: Array, bits: int, widths: Array) -> int:
    """Words each count needs, by its lazily scaled float; the largest of them."""
    widest = 0
    for node in range(len(values)):
        exponent = (np.float64(values[node]).view(np.int64) >> 52) - BIAS + STEP * scales[node]
        # A bit to spare where rounding may have taken a count below a power of two.
        widths[node] = (exponent + 1) // bits + 1
        widest = max(widest, widths[node])
    return widest


@kernel
def sweep_limbs(
    indptr: Array,
    indices: Array,
    order: Array | None,
    widths: Array,
    stride: Any,
    rows: Array,
) -> None:
    """64-bit limbs, one successor after the other, carries at once."""
    stride = np.uint64(stride)
    for rank in range(len(widths) - 1, -1, -1):
        node = np.uint64(rank) if order is None else np.uint64(order[rank])
        start, stop = indptr[node], indptr[node + np.uint64(1)]
        first = node * stride
        for limb in range(np.uint64(widths[node])):
            rows[first + limb] = np.uint64(0)
        rows[first] = np.uint64(start == stop)
        for edge in range(start, stop):
            target = np.uint64(indices[edge])
            other = target * stride
            carry = np.uint64(0)
            for limb in range(np.uint64(widths[target])):
                before = rows[first + limb]
                some = before + rows[other + limb]
                full = some + carry
                carry = np.uint64(some < before) | np.uint64(full < some)
                rows[first + limb] = full
            place = first + np.uint64(widths[target])
            while carry:
                rows[place] += carry
                carry = np.uint64(rows[place] == np.uint64(0))
                place += np.uint64(1)


@kernel
def sweep_limb_columns(
    indptr: Array,
    indices: Array,
    order: Array | None,
    widths: Array,
    stride: Any,
    rows: Array,
) -> None:
    """64-bit limbs, one limb of all successors after the other: sum and carry stay in registers."""
    stride = np.uint64(stride)
    for rank in range(len(widths) - 1, -1, -1):
        node = np.uint64(rank) if order is None else np.uint64(order[rank])
        start, stop = indptr[node], indptr[node + np.uint64(1)]
        first, width = node * stride, np.uint64(widths[node])
        high = np.uint64(start == stop)
        for limb in range(width):
            low, high = high, np.uint64(0)
            for edge in range(start, stop):
                summand = rows[np.uint64(indices[edge]) * stride + limb]
                low += summand
                high += np.uint64(low < summand)
            rows[first + limb] = low
        for limb in range(width, stride):
            rows[first + limb] = np.uint64(0)


@kernel
def carry_lanes(raw: Array, width: Any) -> None:
    carry = np.uint64(0)
    for lane in range(np.uint64(width)):
        full = raw[lane] + carry
        raw[lane] = full & np.uint64(LANE_MASK)
        carry = full >> np.uint64(LANE_BITS)


@kernel
def sweep_lanes(
    indptr: Array,
    indices: Array,
    order: Array | None,
    widths: Array,
    stride: Any,
    rows: Array,
) -> None:
    """Radix 2^48 in 64-bit lanes, four successors at a time, carries once a node."""
    stride = np.uint64(stride)
    raw = np.zeros(stride, dtype=np.uint64)
    for rank in range(len(widths) - 1, -1, -1):
        node = np.uint64(rank) if order is None else np.uint64(order[rank])
        edge, stop = np.uint64(indptr[node]), np.uint64(indptr[node + np.uint64(1)])
        width = np.uint64(widths[node])
        for lane in range(width):
            raw[lane] = np.uint64(0)
        raw[0] = np.uint64(edge == stop)
        room = LANE_SUMMANDS
        while edge + np.uint64(4) <= stop:
            one = np.uint64(indices[edge]) * stride
            two = np.uint64(indices[edge + np.uint64(1)]) * stride
            three = np.uint64(indices[edge + np.uint64(2)]) * stride
            four = np.uint64(indices[edge + np.uint64(3)]) * stride
            for lane in range(width):
                pair = rows[one + lane] + rows[two + lane]
                raw[lane] += pair + (rows[three + lane] + rows[four + lane])
            edge += np.uint64(4)
            room -= 4
            if room < 8:
                carry_lanes(raw, width)
                room = LANE_SUMMANDS - 1
        while edge < stop:
            one = np.uint64(indices[edge]) * stride
            for lane in range(width):
                raw[lane] += rows[one + lane]
            edge += np.uint64(1)
        carry_lanes(raw, width)
        first = node * stride
        for lane in range(width):
            rows[first + lane] = raw[lane]
        for lane in range(width, stride):
            rows[first + lane] = np.uint64(0)


# Limits of the machine


@kernel
def gather(values: Array, places: Array) -> float:
    """Sum of values at given places."""
    one, two = 0.0, 0.0
    for place in range(0, len(places) - 1, 2):
        one += values[places[place]]
        two += values[places[place + 1]]
    return one + two


@kernel
def stream(values: Array) -> Any:
    """Read an array from its start to its end."""
    total = np.uint64(0)
    for value in values:
        total ^= value
    return total
