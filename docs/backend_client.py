"""A client that analyses many models: in processes, with results that are kept by fingerprint."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import unrolled
from unrolled import Analysis, Network, UnrolledError

MEMORY_LIMIT = 1 << 30
"""Bytes that the counts of one model may take."""


@dataclass(frozen=True)
class Answer:
    """What is known of one model, or why nothing is."""

    model: str
    analysis: Analysis | None
    error: str | None
    was_kept: bool


def read(model: str) -> Network:
    """The network in a file of ONNX or Keras."""
    path = Path(model)
    if path.suffix == ".onnx":
        return unrolled.from_onnx(path)
    return unrolled.from_keras(path)


def answer(model: str, cache: Path) -> Answer:
    """Read a model, and count it unless that was done before."""
    try:
        network = read(model)
        kept = cache / f"{network.fingerprint()}-{unrolled.__version__}.json"
        if kept.exists():
            return Answer(model, Analysis.load(kept), None, was_kept=True)
        analysis = unrolled.analyze(network, memory_limit=MEMORY_LIMIT)
        # A file is written whole or not at all, also by two processes at once.
        analysis.save(kept)
        return Answer(model, analysis, None, was_kept=False)
    except (UnrolledError, OSError) as error:
        return Answer(model, None, str(error), was_kept=False)


def answers(models: Iterable[str], cache: Path, processes: int = 2) -> Iterator[Answer]:
    """Of all models, in their order; processes are started anew, with nothing of this one's."""
    cache.mkdir(parents=True, exist_ok=True)
    names = list(models)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        yield from pool.map(answer, names, [cache] * len(names))


def describe(one: Answer) -> str:
    """A line for people."""
    if one.analysis is None:
        return f"{one.model}: {one.error}"
    totals = one.analysis.totals
    source = "kept" if one.was_kept else "counted"
    return (
        f"{one.model}: {totals.num_parameters:,} parameters, {totals.macs:,} MACs, "
        f"2^{one.analysis.log2_total_contexts:.1f} contexts ({source})"
    )


if __name__ == "__main__":
    for found in answers(sys.argv[2:], Path(sys.argv[1])):
        print(describe(found))
