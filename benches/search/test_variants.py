"""Many architectures of NAS-Bench-201 at once: scores beside NumPy, counts, both cores.

`python -m pytest benches/search` prints architectures a second below the table.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from peers.numpy_scores import saliency_entropies
from unrolled import search

Measure = Callable[..., None]


def rows_of(space: search.Space, count: int) -> Any:
    return space.random_rows(count, np.random.default_rng(0))


def mean_of(entropies: Any) -> float:
    return round(float(np.mean(entropies[np.isfinite(entropies)])), 8)


@pytest.mark.parametrize("side", ["unrolled", "NumPy"])
def test_scores_beside_numpy(measure: Measure, smoke: bool, side: str) -> None:
    space = search.nasbench201()
    rows = rows_of(space, 200 if smoke else 15_625)

    def score() -> Any:
        if side == "NumPy":
            return saliency_entropies(rows.astype(np.int64))
        return search.propagate_many(space, rows, threads=1)["saliency_entropy"]

    measure(f"propagate_many, {len(rows):,} cells, one core", side, score, mean_of, 5)


def rate(work: Callable[[], object], count: int) -> float:
    """Architectures a second, at best of three."""
    best = 0.0
    for _ in range(3):
        begin = time.perf_counter()
        work()
        best = max(best, count / (time.perf_counter() - begin))
    return best


def test_rates(board: Any, smoke: bool) -> None:
    space = search.nasbench201()
    many, few = (200, 20) if smoke else (60_000, 3_000)
    cases: list[tuple[str, int, Callable[..., object]]] = [
        ("macs_many", many, search.macs_many),
        ("propagate_many", many, search.propagate_many),
        ("count_many, log", few, search.count_many),
        ("count_many, exact", few, lambda *a, **o: search.count_many(*a, exact=True, **o)),
    ]
    for name, count, function in cases:
        rows = rows_of(space, count)
        one, two = (rate(partial(function, space, rows, threads=n), count) for n in (1, 2))
        board.notes.append(f"{name}: {one:,.0f} a second on one core, {two / one:.2f} times on two")


def test_evolution(board: Any, smoke: bool) -> None:
    count = 2_000 if smoke else 1_000_000
    begin = time.perf_counter()
    search.evolve(search.nasbench201(), "saliency_entropy", evaluations=count, where="params < 1e6")
    seconds = time.perf_counter() - begin
    board.notes.append(f"evolve: {count:,} evaluations in {seconds:.1f} s")


def test_beside_synflow(board: Any, smoke: bool) -> None:
    torch = pytest.importorskip("torch", exc_type=ImportError)
    from peers.torch_synflow import synflow

    space = search.nasbench201()
    cells = [space.decode(row).values() for row in rows_of(space, 4 if smoke else 60)]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        proxy = rate(lambda: [synflow(cell) for cell in cells], len(cells))
    finally:
        torch.set_num_threads(threads)
    many = rows_of(space, 200 if smoke else 60_000)
    ours = rate(partial(search.propagate_many, space, many, threads=1), len(many))
    board.notes.append(
        f"synflow in PyTorch: {proxy:,.1f} a second on one core, propagate_many {ours / proxy:,.0f}"
        " times as many"
    )
