"""`sweep`: scores of all architectures of a space, in this process or in many, into a table.

Chunks are worked on in any order. Who runs them is somebody else's business: an executor of
`concurrent.futures`, or Dask.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from unrolled._support.arguments import Progress, check_progress, checked_positive, checked_threads
from unrolled._support.hints import described
from unrolled._support.optional import import_optional
from unrolled.errors import InvalidArgumentError, UnrolledError
from unrolled.search.space import Space
from unrolled.search.storage import Parts, form_of, is_writable
from unrolled.search.table import Table, checked_path, joined
from unrolled.search.work import Chunk, Job, work_on_bytes

__all__ = ["DEFAULT_SCORES", "SweepError", "sweep"]

DEFAULT_SCORES = ("saliency_entropy", "effective_units", "macs", "parameters")

QUICK_CHUNK = 1 << 16
SLOW_CHUNK = 1 << 6

MOST_HELD, MOST_ROWS = 10**8, 10**10
"""Architectures of a sweep in memory, and of one into a file."""

PATIENCE = 60.0
"""Seconds without any worker of Dask after which a sweep gives up."""

LOOK = 0.5
"""Seconds between two looks at workers and at Ctrl-C."""


class SweepError(UnrolledError, RuntimeError):
    """Workers failed; what they had found before is kept, if the sweep has a file."""


def sweep(
    space: Space,
    scores: Any = DEFAULT_SCORES,
    *,
    out: str | os.PathLike[str] | None = None,
    rows: Any = None,
    executor: Any = None,
    threads: int | None = None,
    chunk: int | None = None,
    progress: Progress | None = None,
) -> Table:
    """Score all architectures of a space, or some of them.

    Equal architectures of a chunk are scored once. An architecture that cannot be built or scored
    has an error in the table, and no numbers.

    Parameters
    ----------
    space : Space
    scores : iterable of str or callable, or mapping of str to callable
        Columns of `macs_many`, `propagate_many` and `count_many` (in log space; "params" is short
        for "parameters"), and functions that take the `Network` of an architecture and return a
        number.
    out : path, optional
        A file that ends with ``.parquet`` (needs pyarrow) or ``.csv``. Chunks are kept beside it
        until all are there; a sweep that was stopped or killed goes on where it was when it is
        called again in the same way. Without a file the table is in memory.
    rows : array of int, shape ``(n, places)``, optional
        Which architectures; by default all, the last place changing fastest.
    executor : Executor, dask.distributed.Client or str, optional
        Who does the work: anything that is a `concurrent.futures.Executor`, a client of Dask, or
        the address of its scheduler, such as ``"tcp://127.0.0.1:8786"`` or
        ``"dask://127.0.0.1:8786"``. By default this process.
    threads : int, optional
        Of this process; by default one a core. Others use one each.
    chunk : int, optional
        Architectures that are worked on at once; by default 65,536, or 64 where networks have to be
        built one by one. A sweep that is killed loses no more than those at work.
    progress : callable, optional
        Called as ``progress(done, total)`` after each chunk.

    Returns
    -------
    Table
        In the order of the rows, whoever worked on them.

    Raises
    ------
    InvalidArgumentError
        Something that is none of these, functions that other processes cannot be given, or an
        `out` that is the result of something else.
    SweepError
        Workers died, or Dask has had none for a minute.
    MissingPackageError
        pyarrow or dask is needed and not installed.

    Examples
    --------
    >>> from unrolled import search
    >>> table = search.sweep(search.nasbench201(), ["saliency_entropy", "macs"])
    >>> len(table), len(table.errors)
    (15625, 341)
    >>> table.top(1, by="saliency_entropy", where="macs < 100e6")["macs"].astype(int).tolist()
    [86426240]
    """
    job = Job(space, scores, rows)
    check_progress(progress)
    team = 0 if threads is None else checked_threads(threads)
    size = QUICK_CHUNK if job.is_quick else SLOW_CHUNK
    if chunk is not None:
        size = checked_positive(chunk, "chunk")
    if job.total > (MOST_HELD if out is None else MOST_ROWS):
        raise InvalidArgumentError(
            f"space '{space.name}' has {job.total:.3g} architectures, too many to look at all "
            f"(at most {MOST_HELD:.0e}, or {MOST_ROWS:.0e} with out=); give some as rows=, or "
            "search with evolve()"
        )
    count = -(-job.total // size)
    parts = None
    done: set[int] = set()
    if out is not None:
        path = checked_path(out)
        is_writable(path)
        parts = Parts(
            path, form_of(path, space.places, job.names), {**job.identity(), "chunk": size}
        )
        if parts.is_complete:
            parts.clear()
            return _in_file(job, parts, path)
        done = parts.begin()
    held: dict[int, Chunk] = {}
    finished = min(job.total, len(done) * size)
    todo = (number for number in range(count) if number not in done)
    for number, found in _worked(job, todo, size, executor, team):
        if parts is None:
            held[number] = found
        else:
            parts.add(number, found)
        finished = min(job.total, finished + len(found.rows))
        if progress is not None:
            progress(finished, job.total)
    if parts is not None:
        parts.finish(count)
        return _in_file(job, parts, parts.path)
    ordered = [held[number] for number in range(count)] or [job.run(0, 0)]
    return Table(space.name, space.places, job.names, joined(ordered), job.total)


def _in_file(job: Job, parts: Parts, path: Path) -> Table:
    return Table(job.space.name, job.space.places, job.names, parts, job.total, path)


def _worked(
    job: Job, todo: Iterator[int], size: int, executor: Any, threads: int
) -> Iterator[tuple[int, Chunk]]:
    """Chunks as they are done, with their numbers."""
    bounds = ((number, number * size, min(job.total, (number + 1) * size)) for number in todo)
    if executor is None:
        for number, start, stop in bounds:
            yield number, job.run(start, stop, threads=threads)
        return
    with ExitStack() as stack:
        pool, workers, check = _executor(executor, stack)
        if isinstance(pool, ThreadPoolExecutor):
            submit = _submit_here(pool, job)
        else:
            submit = _submit_away(pool, job.packed())
        waiting: dict[Future[Chunk], int] = {}
        try:
            is_left = True
            while is_left or waiting:
                while is_left and len(waiting) < 2 * workers + 2:
                    following = next(bounds, None)
                    if following is None:
                        is_left = False
                        break
                    number, start, stop = following
                    waiting[submit(start, stop)] = number
                ready, _ = wait(waiting, timeout=LOOK, return_when=FIRST_COMPLETED)
                for future in ready:
                    number = waiting.pop(future)
                    yield number, _result(future)
                check()
        finally:
            for future in waiting:
                future.cancel()


def _submit_here(pool: Executor, job: Job) -> Callable[[int, int], Future[Chunk]]:
    return lambda start, stop: pool.submit(job.run, start, stop)


def _submit_away(pool: Executor, packed: bytes) -> Callable[[int, int], Future[Chunk]]:
    def submit(start: int, stop: int) -> Future[Chunk]:
        try:
            return pool.submit(work_on_bytes, packed, start, stop)
        except RuntimeError as error:  # A pool that is broken or was shut down takes no more.
            raise SweepError(
                f"the executor takes no more work ({error}); what was found is kept if the sweep "
                "has a file: call it again with another executor"
            ) from error

    return submit


def _result(future: Future[Chunk]) -> Chunk:
    try:
        return future.result()
    except UnrolledError:
        raise
    except Exception as error:  # Schedulers have errors of their own for workers that died.
        raise SweepError(
            f"a worker failed with {type(error).__name__}: {error}; what was found is kept if the "
            "sweep has a file: call it again"
        ) from error


def _executor(given: Any, stack: ExitStack) -> tuple[Executor, int, Callable[[], None]]:
    """An executor, how many workers it has, and what looks whether there are any."""
    if isinstance(given, Executor):
        workers = getattr(given, "_max_workers", None) or os.cpu_count() or 1
        return given, int(workers), lambda: None
    client = given
    if isinstance(given, str):
        distributed = import_optional("distributed", "dask", "an address of Dask")
        address = given.replace("dask://", "tcp://", 1)
        try:
            client = stack.enter_context(distributed.Client(address, timeout=10))
        except (OSError, ValueError) as error:
            raise InvalidArgumentError(
                f"no scheduler of Dask answers at {given!r} ({error})"
            ) from error
    if not hasattr(client, "get_executor") or not hasattr(client, "scheduler_info"):
        raise InvalidArgumentError(
            "executor must be an Executor of concurrent.futures, a Client of dask.distributed, or "
            f"the address of a scheduler of Dask, got {described(given)}"
        )
    pool = client.get_executor(pure=False, retries=3)
    # To wait for what is still out would be to wait for ever if there are no workers.
    stack.callback(pool.shutdown, wait=False)
    seen = time.monotonic()

    def check() -> None:
        nonlocal seen
        if client.status == "running" and client.nthreads():
            seen = time.monotonic()
        elif client.status in ("closed", "closing") or time.monotonic() - seen > PATIENCE:
            raise SweepError(
                "Dask has no workers; what was found is kept if the sweep has a file: start some, "
                "and call it again"
            )

    return pool, max(1, sum(client.nthreads().values())), check
