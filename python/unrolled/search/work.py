"""`Job`: what is to be found of the architectures of a space, and finding it for a few of them.

It runs in this process or in another one, which is given the job as bytes. Where results go is the
business of `sweep`.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from unrolled._core import VERSION, Variants, VariantScorer
from unrolled._support.arguments import items
from unrolled._support.hints import described, did_you_mean
from unrolled.errors import InvalidArgumentError, NothingToCountError, UnrolledError
from unrolled.network.network import Network
from unrolled.search.fingerprints import fingerprint_of
from unrolled.search.space import Rows, Space

__all__ = ["ALIASES", "COLUMNS", "NO_PATH", "Chunk", "Job", "checked_scores", "work_on_bytes"]

SIZES = tuple(VariantScorer.size_columns)
SCORES = tuple(VariantScorer.score_columns)
COUNTS = tuple(Variants.columns)
COLUMNS = tuple(dict.fromkeys((*SCORES, *SIZES, *COUNTS)))
"""What the core finds of an architecture."""

ALIASES = {"params": "parameters"}

NO_PATH = "no path leads from an input to an output"

Score = Callable[[Network], float]

KEPT_VALUES = 100_000


class Chunk(NamedTuple):
    """What was found of some architectures.

    Attributes
    ----------
    rows : array of shape ``(n, places)``
    columns : dict of str to array of shape ``(n,)``
    errors : dict of int to str
        What is wrong with an architecture, by its position among them.
    """

    rows: Rows
    columns: dict[str, npt.NDArray[np.float64]]
    errors: dict[int, str]


class Job:
    """What is to be found of the architectures of a space.

    Parameters
    ----------
    space : Space
    scores : iterable of str or callable, or mapping of str to callable
        Names of `COLUMNS`, or functions of a `Network` that return a number.
    rows : array of shape ``(n, places)``, optional
        Which architectures; by default all.

    Raises
    ------
    InvalidArgumentError
        Something else than a space, or a score that is not known.
    """

    def __init__(self, space: Space, scores: Any, rows: Any = None) -> None:
        if not isinstance(space, Space):
            raise InvalidArgumentError(f"expected a Space, got {described(space)}")
        self.space = space
        self.scores = checked_scores(scores)
        self.rows = None if rows is None else space.check(rows)
        taken = {*self.scores, "error"}.intersection(place.name for place in space.places)
        if taken:
            raise InvalidArgumentError(
                f"space '{space.name}' has a place named {sorted(taken)[0]!r}, as a column of the "
                "result is; give the place another name"
            )
        self._known: dict[tuple[Any, ...], tuple[float, str]] = {}

    @property
    def total(self) -> int:
        """How many architectures there are."""
        return self.space.size if self.rows is None else len(self.rows)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of the result."""
        return tuple(self.scores)

    @property
    def wanted(self) -> dict[str, Any]:
        """The scores as another job takes them: functions, and names of those of the core."""
        return {name: name if score is None else score for name, score in self.scores.items()}

    @property
    def is_quick(self) -> bool:
        """Whether the core does all of it, without building a network for each architecture."""
        return not self.space.is_built and not any(map(callable, self.scores.values()))

    def identity(self) -> dict[str, Any]:
        """What tells this job from others, as values of JSON.

        It is the space, the scores with what functions of the user consist of, the rows, and the
        version of this package, which finds the scores.
        """
        rows = None if self.rows is None else hashlib.sha256(self.rows.tobytes()).hexdigest()
        own = {name: fingerprint_of(one) for name, one in self.scores.items() if one is not None}
        return {
            "version": VERSION,
            "space": self.space.fingerprint(),
            "places": [[place.name, list(place.labels)] for place in self.space.places],
            "scores": list(self.scores),
            "functions": own,
            "rows": rows,
            "total": self.total,
        }

    def rows_between(self, start: int, stop: int) -> Rows:
        """Architectures `start` to before `stop`."""
        return self.space.rows(start, stop) if self.rows is None else self.rows[start:stop]

    def run(self, start: int, stop: int, *, threads: int = 1) -> Chunk:
        """What is found of architectures `start` to before `stop`."""
        return self.run_on(self.rows_between(start, stop), threads=threads)

    def run_on(self, rows: Rows, *, threads: int = 1) -> Chunk:
        """What is found of some architectures; of equal ones it is found once."""
        columns = {name: np.full(len(rows), np.nan) for name in self.scores}
        errors: dict[int, str] = {}
        for members, _ in self.space.split(rows):
            try:
                keys = self.space.canonical(rows[members])
                _, first, which = np.unique(keys, axis=0, return_index=True, return_inverse=True)
                distinct = rows[members[first]]
                values, wrong = self._run_alike(distinct, keys[first], threads)
            except UnrolledError as error:
                if not self.space.is_built:
                    raise
                errors.update(dict.fromkeys(members.tolist(), str(error)))
                continue
            which = which.reshape(-1)
            for name, found in values.items():
                columns[name][members] = found[which]
            if wrong:
                for at, one in zip(members.tolist(), which.tolist(), strict=True):
                    if one in wrong:
                        errors[at] = wrong[one]
        return Chunk(rows, columns, errors)

    def _run_alike(
        self, rows: Rows, keys: npt.NDArray[np.int64], threads: int
    ) -> tuple[dict[str, npt.NDArray[np.float64]], dict[int, str]]:
        """What is found of different variants of one network."""
        [(_, template, inner)] = self.space.groups(rows)
        wanted = set(self.scores)
        found: dict[str, npt.NDArray[np.float64]] = {}
        if wanted & (set(SCORES) - set(SIZES)):
            found.update(template.scores(inner, threads=threads))
        elif wanted & set(SIZES):
            found.update(template.sizes(inner, threads=threads))
        if wanted & set(COUNTS):
            found.update(template.counts(inner, threads=threads)[0])
        wrong = dict.fromkeys(np.flatnonzero(~template.have_paths(inner)).tolist(), NO_PATH)
        values = {name: found[name] for name in self.scores if name in found}
        for name, score in self.scores.items():
            if score is not None:
                values[name] = np.full(len(rows), np.nan)
                for at, row in enumerate(rows):
                    if at in wrong:
                        continue
                    values[name][at], error = self._value(name, score, row, keys[at])
                    if error:
                        wrong[at] = error
        return values, wrong

    def _value(
        self, name: str, score: Score, row: Rows, key: npt.NDArray[np.int64]
    ) -> tuple[float, str]:
        """What a function of the user says of an architecture, or what goes wrong."""
        place = (name, *key.tolist())
        if place in self._known:
            return self._known[place]
        try:
            value, error = float(score(self.space.network(row.tolist()))), ""
        except NothingToCountError:
            value, error = np.nan, NO_PATH
        except Exception as problem:  # Whatever a function of the user raises.
            value, error = np.nan, f"{name}: {type(problem).__name__}: {problem}"
        if len(self._known) >= KEPT_VALUES:
            self._known.pop(next(iter(self._known)))
        self._known[place] = value, error
        return value, error

    def packed(self) -> bytes:
        """The job for another process.

        Raises
        ------
        InvalidArgumentError
            Functions that cannot be pickled.
        """
        try:
            return pickle.dumps(self)
        except Exception as error:  # Whatever a function or an option refers to may raise.
            raise InvalidArgumentError(
                f"space '{self.space.name}' or its scores cannot be sent to other processes "
                f"({error}); functions have to be those of a module that can be imported"
            ) from error


def checked_scores(scores: Any) -> dict[str, Score | None]:
    """Scores by name; None for those of the core.

    Raises
    ------
    InvalidArgumentError
    """
    if isinstance(scores, str) or callable(scores):
        scores = [scores]
    found: dict[str, Score | None] = {}
    given: Iterable[tuple[Any, Any]]
    if isinstance(scores, Mapping):
        given = scores.items()
    else:
        listed = items(scores)
        if listed is None:
            raise InvalidArgumentError(
                f"scores must be a list of names and functions, got {described(scores)}"
            )
        given = [(getattr(one, "__name__", None) if callable(one) else one, one) for one in listed]
    for name, score in given:
        if not isinstance(name, str) or not name.isprintable():
            raise InvalidArgumentError(
                f"a score must be a name or a function that has one, got {described(score)}; a "
                "dictionary gives names to functions"
            )
        if callable(score):
            if name in COLUMNS or name in ALIASES:
                raise InvalidArgumentError(f"{name!r} is a score of this package already")
            found[name] = score
            continue
        own = ALIASES.get(name, name)
        if own not in COLUMNS:
            known = [*COLUMNS, *ALIASES]
            raise InvalidArgumentError(
                f"there is no score {name!r}{did_you_mean(name, known)} (there are "
                f"{', '.join(COLUMNS)}, and functions of a network)"
            )
        found[own] = None
    if not found:
        raise InvalidArgumentError("at least one score is needed")
    return found


@lru_cache(maxsize=2)
def _unpacked(job: bytes) -> Job:
    found: Job = pickle.loads(job)
    return found


def work_on_bytes(job: bytes, start: int, stop: int) -> Chunk:
    """Run a part of a packed job in this process, which keeps what it compiles for it."""
    return _unpacked(job).run(start, stop)
