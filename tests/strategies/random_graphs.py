"""Random and structured directed acyclic graphs, as plain lists that the package has not seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from hypothesis import settings
from hypothesis import strategies as st

import unrolled

Draw: TypeAlias = Callable[[Any], Any]
Integers: TypeAlias = npt.NDArray[np.integer[Any]]

HUGE = (2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**48 + 1, 2**53 + 1, 2**62, 2**63 - 1, 2**63)
LARGEST = 2**64 - 1
"""The largest multiplicity an edge may have."""


@dataclass(frozen=True, repr=False)
class Case:
    """The arguments of `Graph.from_edges`; None stands for the default of each."""

    num_nodes: int
    sources: list[int]
    targets: list[int]
    multiplicity: list[int] | None = None
    outputs: list[int] | None = None
    labels: list[int] | None = None
    inputs: list[int] | None = None

    @property
    def num_edges(self) -> int:
        return len(self.sources)

    def __repr__(self) -> str:
        if self.num_nodes + self.num_edges > 80:
            return f"Case({self.num_nodes} nodes, {self.num_edges} edges)"
        shown = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"Case({shown})"

    @property
    def edges(self) -> list[tuple[int, int, int]]:
        """Sources, targets and multiplicities."""
        multiplicity = self.multiplicity or [1] * self.num_edges
        return list(zip(self.sources, self.targets, multiplicity, strict=True))

    def arguments(self) -> dict[str, Any]:
        """What `from_edges` and `from_csr` both take."""
        return {
            "outputs": as_array(self.outputs),
            "parameters": as_array(self.labels),
            "inputs": as_array(self.inputs),
        }

    def build(self, **options: Any) -> unrolled.Graph:
        """The same graph as the package has it."""
        multiplicity = None if self.multiplicity is None else np.array(self.multiplicity, np.uint64)
        return unrolled.Graph.from_edges(
            np.array(self.sources, dtype=np.int64),
            np.array(self.targets, dtype=np.int64),
            multiplicity=multiplicity,
            num_nodes=self.num_nodes,
            **{**self.arguments(), **options},
        )

    def csr(self) -> tuple[Integers, Integers, Integers | None]:
        """Offsets of the rows, successors and multiplicities, rows in the order of the edges."""
        order = np.argsort(np.array(self.sources, dtype=np.int64), kind="stable")
        indptr = np.zeros(self.num_nodes + 1, dtype=np.int64)
        np.cumsum(np.bincount(self.sources, minlength=self.num_nodes), out=indptr[1:])
        indices = np.array(self.targets, dtype=np.int64)[order]
        if self.multiplicity is None:
            return indptr, indices, None
        return indptr, indices, np.array(self.multiplicity, dtype=np.uint64)[order]

    def relabelled(self, permutation: Sequence[int]) -> Case:
        """Node v becomes ``permutation[v]``."""

        def renamed(nodes: list[int] | None) -> list[int] | None:
            return None if nodes is None else [int(permutation[node]) for node in nodes]

        labels = None
        if self.labels is not None:
            labels = [0] * self.num_nodes
            for node, label in enumerate(self.labels):
                labels[permutation[node]] = label
        return replace(
            self,
            sources=renamed(self.sources),
            targets=renamed(self.targets),
            outputs=renamed(self.outputs),
            inputs=renamed(self.inputs),
            labels=labels,
        )

    def reordered(self, order: Sequence[int]) -> Case:
        """The same edges in another order."""
        multiplicity = self.multiplicity
        return replace(
            self,
            sources=[self.sources[at] for at in order],
            targets=[self.targets[at] for at in order],
            multiplicity=None if multiplicity is None else [multiplicity[at] for at in order],
        )


def as_array(nodes: list[int] | None) -> Integers | None:
    return None if nodes is None else np.array(nodes, dtype=np.int64)


# Small graphs, every part of which hypothesis can shrink.


@st.composite
def small_graphs(draw: Draw, most_nodes: int = 9, huge: bool = True, ends: bool = True) -> Case:
    """Up to nine nodes: parallel edges, isolated nodes, any outputs, inputs and tied groups."""
    nodes = draw(st.integers(1, most_nodes))
    place = draw(st.permutations(range(nodes)))
    pairs = []
    if nodes > 1:
        pair = st.tuples(st.integers(0, nodes - 1), st.integers(0, nodes - 1))
        drawn = draw(st.lists(pair, max_size=3 * nodes))
        pairs = [(min(a, b), max(a, b)) for a, b in drawn if a != b]
    number = st.integers(1, 3)
    if huge:
        number = number | st.sampled_from([*HUGE, LARGEST])
    size = len(pairs)
    multiplicity = draw(st.none() | st.lists(number, min_size=size, max_size=size))
    case = Case(
        nodes, [place[a] for a, _ in pairs], [place[b] for _, b in pairs], multiplicity or None
    )
    if not ends:
        return case
    some = st.none() | st.lists(st.integers(0, nodes - 1), min_size=1, unique=True)
    labels = st.none() | st.lists(st.integers(-1, 3), min_size=nodes, max_size=nodes)
    return replace(case, outputs=draw(some), inputs=draw(some), labels=draw(labels))


# Graphs of a family, made by loops from a few numbers. Edges lead to larger numbers.


def chain(length: int, multiplicity: int = 1, parallel: int = 1) -> Case:
    """`length` nodes in a row, `parallel` edges of a multiplicity between neighbours."""
    sources = [node for node in range(length - 1) for _ in range(parallel)]
    targets = [node + 1 for node in sources]
    return Case(
        length, sources, targets, None if multiplicity == 1 else [multiplicity] * len(sources)
    )


def diamonds(number: int, wide: int = 2) -> Case:
    """Diamonds in a row: the first node has ``wide ** number`` paths to the last."""
    step = wide + 1
    sources, targets = [], []
    for first in range(0, number * step, step):
        for middle in range(first + 1, first + step):
            sources += [first, middle]
            targets += [middle, first + step]
    return Case(number * step + 1, sources, targets)


def grid(height: int, width: int) -> Case:
    """One step right or down at a time; paths to the last corner are binomial coefficients."""
    sources, targets = [], []
    for row in range(height):
        for column in range(width):
            node = row * width + column
            if column + 1 < width:
                sources.append(node)
                targets.append(node + 1)
            if row + 1 < height:
                sources.append(node)
                targets.append(node + width)
    return Case(height * width, sources, targets)


def layered(widths: Sequence[int]) -> Case:
    """Dense layers: the successors of all nodes of a layer are equal."""
    firsts = np.concatenate([[0], np.cumsum(widths)]).tolist()
    sources, targets = [], []
    for layer in range(len(widths) - 1):
        after = range(firsts[layer + 1], firsts[layer + 2])
        for node in range(firsts[layer], firsts[layer + 1]):
            sources += [node] * len(after)
            targets += after
    return Case(firsts[-1], sources, targets)


def ladder(length: int, steps: Sequence[int] = (1, 2)) -> Case:
    """Edges over fixed distances; with 1 and 2, counts are Fibonacci numbers."""
    pairs = [(node, node + step) for node in range(length) for step in steps]
    kept = [(a, b) for a, b in pairs if b < length]
    return Case(length, [a for a, _ in kept], [b for _, b in kept])


def skips(length: int, reach: int) -> Case:
    """A chain of doublings with long skips, over which counts differ by `reach` bits."""
    base = chain(length, parallel=2)
    starts = [node for node in range(length) if node + reach < length]
    return replace(
        base,
        sources=base.sources + starts,
        targets=base.targets + [node + reach for node in starts],
    )


def comb(length: int) -> Case:
    """Doublings with a light node beside each: counts of 1 and of `length` bits on one level.

    A node of the spine leads twice to the next, once to a light node of count 1, and from the
    light side back onto the spine by a node that sees both.
    """
    sources, targets = [], []
    for level in range(length - 1):
        spine, both, light = 3 * level, 3 * level + 1, 3 * level + 2
        after = spine + 3
        sources += [spine, spine, spine, both, both]
        targets += [after, after, light, light, after]
    return Case(3 * length - 2, sources, targets)


def uneven(bits: int, ones: int, order: str) -> Case:
    """A component that doubles `bits` times, and `ones` short ones whose counts are 1."""
    giant = chain(bits + 1, parallel=2)
    sources, targets = list(giant.sources), list(giant.targets)
    for number in range(ones // 2):
        first = bits + 1 + 2 * number
        sources.append(first)
        targets.append(first + 1)
    nodes = bits + 1 + ones // 2 * 2
    case = Case(nodes, sources, targets)
    if order == "last":
        return case.relabelled([(node + nodes - bits - 1) % nodes for node in range(nodes)])
    if order == "between":
        # The parts of a pair and of the giant take turns; edges still lead to larger numbers.
        keys = [node / (bits + 1) for node in range(bits + 1)]
        keys += [node / nodes for node in range(nodes - bits - 1)]
        rank = np.argsort(np.argsort(keys, kind="stable"), kind="stable")
        return case.relabelled(rank.tolist())
    return case


def scattered(nodes: int, edges: int, reach: int, seed: int) -> Case:
    """Random edges, none longer than `reach`."""
    rng = np.random.default_rng(seed)
    sources = rng.integers(0, max(nodes - 1, 1), edges)
    targets = np.minimum(sources + rng.integers(1, reach + 1, edges), nodes - 1)
    kept = sources < targets
    return Case(nodes, sources[kept].tolist(), targets[kept].tolist())


def shifted(groups: int, seed: int, bits: int = 0) -> Case:
    """Groups of nodes that have the same successors, or each the next ones, or the one before.

    Dense layers and convolutions are like that. Groups of 8 and of other sizes follow each other
    with and without a break. They lead to earlier groups, and to a random graph of different
    counts, which doublings behind it may all multiply.
    """
    rng = np.random.default_rng(seed)
    base = scattered(150, int(rng.choice([150, 300, 600])), 20, seed)
    tail = chain(bits + 1, parallel=2)
    last = base.num_nodes - 1
    sources = base.sources + [node + last for node in tail.sources]
    targets = base.targets + [node + last for node in tail.targets]
    nodes = base.num_nodes + bits
    degree, step = 1, 1
    for _ in range(groups):
        # The numbers of a group are all below those of the groups it leads to.
        size = int(rng.choice([1, 3, 4, 7, 8, 9, 16, 24, 64, 65]))
        if rng.random() < 0.4:
            degree = int(rng.choice([0, 1, 2, 3, 11, 12, 13, 31, 32, 33, 60]))
            step = int(rng.choice([0, 1, 1, 1, -1, 2]))
        reach = nodes - size * abs(step)
        if reach < 1:
            continue
        starts = rng.integers(0, min(reach, 170), degree)
        starts += size * abs(step) if step < 0 else 0
        sources = [node + size for node in sources]
        targets = [node + size for node in targets]
        for node in range(size):
            sources += [node] * degree
            targets += (size + starts + node * step).tolist()
        nodes += size
    return Case(nodes, sources, targets)


def decorated(case: Case, rng: np.random.Generator, *, huge: bool = False) -> Case:
    """The same edges with some of these: multiplicities, outputs, inputs, tied groups."""
    nodes, edges = case.num_nodes, case.num_edges
    if rng.random() < 0.5:
        multiplicity = rng.integers(1, 4, edges).astype(object)
        if huge:
            chosen = rng.random(edges) < 0.1
            numbers = np.array([*HUGE, LARGEST], dtype=object)
            multiplicity[chosen] = rng.choice(numbers, chosen.sum())
        case = replace(case, multiplicity=[int(number) for number in multiplicity])
    if rng.random() < 0.5:
        chosen = rng.permutation(nodes)[: 1 + int(rng.integers(0, max(nodes // 3, 1)))]
        case = replace(case, outputs=chosen.tolist())
    if rng.random() < 0.4:
        chosen = rng.permutation(nodes)[: 1 + int(rng.integers(0, max(nodes // 3, 1)))]
        case = replace(case, inputs=chosen.tolist())
    if rng.random() < 0.5:
        labels = rng.integers(0, max(nodes // 2, 1), nodes) * 7
        labels[rng.random(nodes) < 0.3] = -1
        case = replace(case, labels=labels.tolist())
    return case


def shuffled(case: Case, rng: np.random.Generator) -> Case:
    """The same graph with its nodes numbered anew and its edges in another order."""
    if rng.random() < 0.7:
        case = case.relabelled(rng.permutation(case.num_nodes).tolist())
    if rng.random() < 0.7:
        case = case.reordered(rng.permutation(case.num_edges).tolist())
    return case


FAMILIES: dict[str, Callable[[Draw], Case]] = {
    "chain": lambda draw: chain(
        draw(st.integers(1, 300)),
        draw(st.sampled_from([1, 2, 3, 10, *HUGE, LARGEST])),
        draw(st.integers(1, 3)),
    ),
    "diamonds": lambda draw: diamonds(draw(st.integers(1, 400)), draw(st.integers(1, 5))),
    "deep diamonds": lambda draw: diamonds(draw(st.integers(600, 1500))),
    "grid": lambda draw: grid(draw(st.integers(1, 30)), draw(st.integers(1, 30))),
    "layered": lambda draw: layered(draw(st.lists(st.integers(1, 12), min_size=1, max_size=14))),
    "ladder": lambda draw: ladder(
        draw(st.integers(1, 900)),
        draw(st.lists(st.integers(1, 70), min_size=1, max_size=4, unique=True)),
    ),
    "skips": lambda draw: skips(
        draw(st.integers(2, 2500)), draw(st.sampled_from([1, 50, 64, 511, 513, 1030, 2048]))
    ),
    "comb": lambda draw: comb(draw(st.integers(1, 900))),
    "uneven": lambda draw: uneven(
        draw(st.sampled_from([1, 53, 63, 64, 511, 512, 513, 1100, 2500])),
        draw(st.integers(0, 600)),
        draw(st.sampled_from(["first", "last", "between"])),
    ),
    "shifted": lambda draw: shifted(
        draw(st.integers(1, 24)), draw(st.integers(0, 2**32)), draw(st.sampled_from([0, 70, 800]))
    ),
    "local": lambda draw: scattered(
        nodes := draw(st.integers(2, 400)),
        draw(st.integers(0, 6 * nodes)),
        draw(st.integers(1, 12)),
        draw(st.integers(0, 2**32)),
    ),
    "long range": lambda draw: scattered(
        nodes := draw(st.integers(2, 400)),
        draw(st.integers(0, 6 * nodes)),
        nodes,
        draw(st.integers(0, 2**32)),
    ),
}


@st.composite
def structured_graphs(draw: Draw) -> Case:
    """Graphs of hundreds of nodes and counts of thousands of bits, with any ends."""
    case = FAMILIES[draw(st.sampled_from(sorted(FAMILIES)))](draw)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    if draw(st.booleans()):
        case = decorated(case, rng, huge=draw(st.booleans()))
    if draw(st.booleans()):
        case = shuffled(case, rng)
    return case


def graphs() -> st.SearchStrategy[Case]:
    """Small graphs and structured ones."""
    return small_graphs() | structured_graphs()


FEW = settings(max_examples=max(30, settings().max_examples // 3))
"""Of graphs, for tests that take long."""
