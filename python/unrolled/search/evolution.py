"""Searching a space for its best architectures: all of them, random ones, or by evolution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from unrolled._support.arguments import (
    Progress,
    check_progress,
    checked_positive,
    checked_seed,
    checked_threads,
)
from unrolled.errors import InvalidArgumentError
from unrolled.network.network import Network
from unrolled.search.conditions import Condition
from unrolled.search.space import Rows, Space
from unrolled.search.sweep import DEFAULT_SCORES, sweep
from unrolled.search.table import SMALLER_IS_BETTER, Table, joined, satisfies
from unrolled.search.work import ALIASES, COLUMNS, Chunk, Job, checked_scores

__all__ = ["evolve", "exhaustive", "random"]

LARGEST_REMEMBERED = 1 << 22
"""Architectures of a space up to which all values are remembered by their numbers."""

MOST_DRAWS = 100_000
"""Architectures drawn in a row without a valid one after which there is an error."""

Score = str | Callable[[Network], float]


def exhaustive(
    space: Space,
    score: Score,
    *,
    n: int = 100,
    where: str | None = None,
    ascending: bool | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Table:
    """The best of all architectures.

    Parameters
    ----------
    space, score, where, ascending, threads, progress
        As for `evolve`.
    n : int
        How many are kept.

    Returns
    -------
    Table
        The best first.

    Raises
    ------
    InvalidArgumentError
        As for `evolve`.

    Examples
    --------
    >>> from unrolled import search
    >>> best = search.exhaustive(search.nasbench_macro(), "saliency_entropy", where="macs < 30e6")
    >>> best["macs"][:2].astype(int).tolist()
    [28893696, 27382272]
    """
    search = _Search(space, score, where, ascending)
    table = sweep(space, search.job.wanted, threads=threads, progress=progress)
    return table.top(n, by=search.name, where=where, ascending=search.rises)


def random(
    space: Space,
    count: int,
    scores: Any = DEFAULT_SCORES,
    *,
    where: str | None = None,
    seed: int = 0,
    threads: int | None = None,
) -> Table:
    """Architectures drawn at random, each option of a place as likely as the others.

    Parameters
    ----------
    space : Space
    count : int
        How many; one may be drawn more than once.
    scores
        As for `sweep`.
    where : str, optional
        What they have to satisfy; see `Table.top`. Others are drawn again, as are those with an
        error.
    seed : int
        Of NumPy's default generator: an integer from 0.
    threads : int, optional
        By default one a core.

    Returns
    -------
    Table
        In the order in which they were drawn.

    Raises
    ------
    InvalidArgumentError
        A condition that cannot be read, or that none of 100,000 architectures in a row satisfies.

    Examples
    --------
    >>> from unrolled import search
    >>> len(search.random(search.nasbench201(), 20, where="params < 5e5", seed=1))
    20
    """
    many = checked_positive(count, "count")
    condition, job = _conditioned(space, scores, where)
    names = tuple(checked_scores(scores))
    team = 0 if threads is None else checked_threads(threads)
    generator = np.random.default_rng(checked_seed(seed))
    found: list[Chunk] = []
    kept, drawn = 0, 0
    while kept < many:
        chunk = job.run_on(space.random_rows(min(4096, max(64, many)), generator), threads=team)
        is_in = _valid(chunk, condition, space)
        some = Chunk(chunk.rows[is_in], {name: chunk.columns[name][is_in] for name in names}, {})
        found.append(some)
        kept += len(some.rows)
        drawn = 0 if len(some.rows) else drawn + len(chunk.rows)
        if drawn >= MOST_DRAWS:
            raise _nothing_found(space, where, drawn)
    whole = joined(found)
    columns = {name: values[:many] for name, values in whole.columns.items()}
    return Table(space.name, space.places, names, Chunk(whole.rows[:many], columns, {}), many)


def evolve(
    space: Space,
    score: Score,
    *,
    evaluations: int = 10_000,
    where: str | None = None,
    ascending: bool | None = None,
    seed: int = 0,
    population: int = 256,
    sample: int = 16,
    n: int = 100,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Table:
    """The best architectures that regularised evolution finds.

    A population begins at random. Again and again the best of a random sample of it is copied, a
    place or two of it take another option, and the copy replaces the oldest one. (One place always
    does, each other with a probability of one in their number.) That is done for a quarter of the
    population at a time, so that architectures are scored together.

    Parameters
    ----------
    space : Space
    score : str or callable
        A score by name, or a function of a `Network` that returns a number.
    evaluations : int
        How many architectures are looked at, with those that do not satisfy the condition.
    where : str, optional
        What architectures have to satisfy, such as ``"params < 1e6 and macs < 50e6"``; see
        `Table.top`. Others are left out of the population.
    ascending : bool, optional
        Whether less is better; by default for sizes, and not for scores.
    seed : int
        Of NumPy's default generator: an integer from 0. A search with the same seed finds the same.
    population : int
    sample : int
        How many are compared for each copy; more of them search more greedily.
    n : int
        How many of the best are kept.
    threads : int, optional
        By default one a core.
    progress : callable, optional
        Called as ``progress(done, total)`` now and then.

    Returns
    -------
    Table
        Different rows, the best first, with the score and what the condition reads.

    Raises
    ------
    InvalidArgumentError
        Something else than that, or no architecture that satisfies the condition.

    References
    ----------
    E. Real et al., "Regularized Evolution for Image Classifier Architecture Search", AAAI 2019.

    Examples
    --------
    >>> from unrolled import search
    >>> best = search.evolve(
    ...     search.nasbench201(), "saliency_entropy", evaluations=2000, where="params < 1e6", seed=0
    ... )
    >>> best.decode(0)["edge03"]
    'nor_conv_3x3'
    """
    search = _Search(space, score, where, ascending)
    check_progress(progress)
    total = checked_positive(evaluations, "evaluations")
    size = checked_positive(population, "population")
    compared = checked_positive(sample, "sample")
    most = checked_positive(n, "n")
    team = 0 if threads is None else checked_threads(threads)
    generator = np.random.default_rng(checked_seed(seed))
    batch = max(1, size // 4)
    evaluate = _Evaluator(search, team)
    best = _Best(most)
    rows = np.empty((size, len(space.places)), np.uint32)
    fitness = np.full(size, -np.inf)
    filled, oldest, done = 0, 0, 0
    places = np.flatnonzero(space.options > 1)
    options = space.options
    while done < total:
        count = min(batch, total - done)
        # As long as few are valid, others are drawn; half of the evaluations at most.
        if filled < size and (filled == 0 or done < total // 2):
            children = space.random_rows(count, generator)
        else:
            drawn = generator.integers(0, filled, (count, compared))
            parents = drawn[np.arange(count), np.argmax(fitness[drawn], axis=1)]
            children = rows[parents]
            if len(places):
                is_changed = generator.random((count, len(places))) < 1 / len(places)
                is_changed[np.arange(count), generator.integers(0, len(places), count)] = True
                step = is_changed * generator.integers(1, options[places], is_changed.shape)
                children[:, places] = (children[:, places] + step) % options[places]
        values = evaluate(children)
        done += count
        is_valid = values > -np.inf
        children, values = children[is_valid], values[is_valid]
        best.add(children, values)
        for start in range(0, len(children), size):
            some = children[start : start + size]
            at = (oldest + np.arange(len(some))) % size
            rows[at], fitness[at] = some, values[start : start + size]
            oldest = int((oldest + len(some)) % size)
            filled = min(size, filled + len(some))
        if filled == 0 and done >= min(total, MOST_DRAWS):
            raise _nothing_found(space, where, done)
        if progress is not None:
            progress(done, total)
    found = search.job.run_on(best.rows, threads=team)
    table = Table(space.name, space.places, search.job.names, found, len(found.rows))
    return table.top(most, by=search.name, ascending=search.rises)


class _Search:
    """What is looked for."""

    def __init__(
        self, space: Space, score: Score, where: str | None, ascending: bool | None
    ) -> None:
        if not isinstance(score, str) and not callable(score):
            raise InvalidArgumentError(
                f"score must be the name of a score or a function of a network, got {score!r}"
            )
        self.condition, self.job = _conditioned(space, [score], where)
        self.space = space
        self.name = self.job.names[0]
        self.rises = self.name in SMALLER_IS_BETTER if ascending is None else bool(ascending)

    def fitness(self, chunk: Chunk) -> npt.NDArray[np.float64]:
        """More is better; minus infinity for what is not valid."""
        values = chunk.columns[self.name]
        is_in = _valid(chunk, self.condition, self.space) & ~np.isnan(values)
        return np.where(is_in, -values if self.rises else values, -np.inf)


class _Evaluator:
    """Fitness of rows; of small spaces it is remembered."""

    def __init__(self, search: _Search, threads: int) -> None:
        self._search, self._threads = search, threads
        self._space = search.space
        is_small = self._space.size <= LARGEST_REMEMBERED
        self._known = np.full(self._space.size, np.nan) if is_small else None

    def __call__(self, rows: Rows) -> npt.NDArray[np.float64]:
        if self._known is None:
            return self._search.fitness(self._search.job.run_on(rows, threads=self._threads))
        numbers = self._space.numbers(rows)
        missing = np.unique(numbers[np.isnan(self._known[numbers])])
        if len(missing):
            chunk = self._search.job.run_on(self._space.rows_of(missing), threads=self._threads)
            self._known[missing] = self._search.fitness(chunk)
        return self._known[numbers]


class _Best:
    """The best rows so far, each once; of equals those found first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._found: dict[tuple[int, ...], float] = {}
        self._worst = -np.inf

    @property
    def rows(self) -> Rows:
        return np.array(list(self._found), np.uint32)

    def add(self, rows: Rows, values: npt.NDArray[np.float64]) -> None:
        for at in np.flatnonzero(values > self._worst).tolist():
            self._found.setdefault(tuple(rows[at].tolist()), float(values[at]))
        if len(self._found) > 2 * self._most:
            ranked = sorted(self._found.items(), key=lambda item: -item[1])
            self._found = dict(ranked[: self._most])
            self._worst = ranked[self._most - 1][1]


def _conditioned(space: Space, scores: Any, where: str | None) -> tuple[Condition | None, Job]:
    """A condition, and the job that finds scores and what the condition reads."""
    job = Job(space, scores)
    if where is None:
        return None, job
    places = {place.name: place.labels for place in space.places}
    own = [name for name, score in job.scores.items() if score is not None]
    condition = Condition(where, [*COLUMNS, *ALIASES, *own], places)
    wanted = job.wanted
    for name in sorted(condition.names - set(places)):
        wanted.setdefault(ALIASES.get(name, name), ALIASES.get(name, name))
    return condition, Job(space, wanted)


def _valid(chunk: Chunk, condition: Condition | None, space: Space) -> npt.NDArray[np.bool_]:
    is_in = np.ones(len(chunk.rows), np.bool_)
    is_in[list(chunk.errors)] = False
    return is_in if condition is None else is_in & satisfies(condition, chunk, space.places)


def _nothing_found(space: Space, where: str | None, drawn: int) -> InvalidArgumentError:
    wish = "is valid" if where is None else f"is valid and satisfies {where!r}"
    return InvalidArgumentError(
        f"space '{space.name}': none of {drawn:,} architectures {wish}; loosen the condition"
    )
