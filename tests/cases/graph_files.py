"""A small graph that is saved and loaded, what to compare of it, and damage to its file."""

from __future__ import annotations

import os

import unrolled
from strategies.random_graphs import LARGEST, Case
from unrolled import GraphFileError

CASES = int(os.environ.get("GRAPH_FILE_CASES", "2000"))
"""Random mutations to try; set GRAPH_FILE_CASES to some millions once in a while."""

SMALL = Case(
    7,
    [0, 1, 2, 2, 3, 0, 4],
    [2, 2, 3, 4, 5, 5, 5],
    multiplicity=[1, 2, 3, 1, 2**40, LARGEST, 7],
    outputs=[5, 4, 6],
    labels=[3, 3, -1, 8, -1, -1, 0],
    inputs=[1, 2],
)


def about(graph):
    """What a graph knows without reading its edges, which may be left in the file."""
    found = [graph.num_nodes, graph.num_edges, graph.name, graph.names]
    return [*found, *(part.tolist() for part in (graph.outputs, graph.inputs, graph.parameters))]


def everything(graph):
    """What a graph knows, and its edges."""
    lists = (graph.indptr, graph.indices, graph.multiplicity)
    return [*about(graph), *(None if part is None else part.tolist() for part in lists)]


def answers(graph, **options):
    """Counts by every engine in every direction."""
    found = []
    nodes = range(graph.num_nodes) if graph.names is None else graph.names
    for directions in ({}, {"towards": "inputs"}, {"through": True}):
        exact = unrolled.count(graph, **directions, **options)
        in_log = unrolled.count(graph, exact=False, **directions, **options)
        found.append([exact.exact(node) for node in nodes])
        found.append(exact.total)
        found.append(exact.spectrum().levels)
        found.append(exact.log2().tobytes())
        found.append(in_log.log2().tobytes())
        found.append(in_log.log2_total)
    return found


def main_answers(graph):
    """Counts that together depend on all there is in a file."""
    down = unrolled.count(graph)
    up = unrolled.count(graph, towards="inputs")
    nodes = range(graph.num_nodes)
    spectrum = down.spectrum()
    counts = [down.exact(node) for node in nodes] + [up.exact(node) for node in nodes]
    return [counts, up.total, spectrum.counts, spectrum.degeneracies.tolist()]


def replace(path, data):
    """Write a file anew, which is many times as quick as to truncate the old one."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def outcome(path, data, expected, mmap=False):
    """Load a file of these bytes: None if it is refused, else whether its counts are right."""
    replace(path, data)
    try:
        found = main_answers(unrolled.Graph.load(path, mmap=mmap))
    except GraphFileError:
        return None
    return found == expected


INTERESTING = [0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63]


def mutated(data, rng):
    """One to four random changes of the bytes."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        size = max(len(changed), 1)
        at, other = sorted(rng.integers(0, size, 2).tolist())
        if rng.random() < 0.3:  # The directory at the end of the archive.
            at = max(size - int(rng.integers(1, 600)), 0)
            other = min(at + int(rng.integers(1, 60)), size)
        match int(rng.integers(0, 8)):
            case 0 | 1:
                flipped = [byte ^ 1 << int(rng.integers(0, 8)) for byte in changed[at : at + 1]]
                changed[at : at + 1] = bytes(flipped)
            case 2:
                changed[at : at + 1] = rng.bytes(1)
            case 3:
                del changed[at:other]
            case 4:
                changed[at:at] = changed[at:other][:200]
            case 5:
                changed[at:other] = bytes(other - at)
            case 6:
                width = int(rng.choice([1, 2, 4, 8]))
                value = INTERESTING[int(rng.integers(len(INTERESTING)))] % (1 << 8 * width)
                changed[at : at + width] = value.to_bytes(width, "little")
            case 7:
                del changed[at:]
    return bytes(changed)
