"""`Table`: architectures with what was found of them, in memory or in a file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from unrolled._support.arguments import checked_positive
from unrolled._support.hints import did_you_mean
from unrolled._support.optional import import_optional
from unrolled.errors import InvalidArgumentError
from unrolled.search.conditions import Condition
from unrolled.search.front import is_not_dominated
from unrolled.search.space import Place, Rows, spelled
from unrolled.search.work import ALIASES, Chunk
from unrolled.show import tables

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Source", "Table", "joined"]

SMALLER_IS_BETTER = frozenset({"parameters", "weights", "macs", "activations"})
"""What is sorted with the smallest first, unless it is asked for otherwise: what costs."""


class Source(Protocol):
    """Where the chunks of a table come from, as often as they are asked for."""

    def chunks(self) -> Iterator[Chunk]:
        """All chunks, in the order of the table."""


class _Held:
    """A table in memory."""

    def __init__(self, chunk: Chunk) -> None:
        self.chunk = chunk

    def chunks(self) -> Iterator[Chunk]:
        yield self.chunk


class Table:
    """Architectures, and what was found of each. What `sweep`, `evolve` and `random` return.

    A table that was written to a file is read from it, part by part, whenever it is asked for
    something; it may be larger than memory.

    Attributes
    ----------
    name : str
        Of the space.
    places : tuple of Place
    names : tuple of str
        The columns of numbers.
    path : Path or None
        The file, if it is in one.
    """

    def __init__(
        self,
        name: str,
        places: Sequence[Place],
        names: Sequence[str],
        source: Source | Chunk,
        length: int,
        path: Path | None = None,
    ) -> None:
        self.name = name
        self.places = tuple(places)
        self.names = tuple(names)
        self.path = path
        self._source: Source = _Held(source) if isinstance(source, Chunk) else source
        self._length = length

    def __len__(self) -> int:
        return self._length

    def chunks(self) -> Iterator[Chunk]:
        """The table part by part: rows of options, columns of numbers, errors."""
        return self._source.chunks()

    def __getitem__(self, name: str) -> npt.NDArray[np.float64]:
        """A column of numbers.

        Raises
        ------
        InvalidArgumentError
            There is none of this name.
        """
        own = self._column(name)
        return np.concatenate([np.empty(0), *(chunk.columns[own] for chunk in self.chunks())])

    @property
    def rows(self) -> Rows:
        """The architectures, shape ``(n, places)``."""
        empty = np.empty((0, len(self.places)), np.uint32)
        return np.concatenate([empty, *(chunk.rows for chunk in self.chunks())])

    @property
    def errors(self) -> dict[int, str]:
        """What is wrong with an architecture, by its position in the table."""
        found: dict[int, str] = {}
        start = 0
        for chunk in self.chunks():
            found.update({start + at: error for at, error in chunk.errors.items()})
            start += len(chunk.rows)
        return found

    def top(
        self,
        n: int = 10,
        *,
        by: str | None = None,
        where: str | None = None,
        ascending: bool | None = None,
    ) -> Table:
        """The best architectures; of equals the earlier come first.

        Parameters
        ----------
        n : int
        by : str, optional
            The column to rank by; by default the first.
        where : str, optional
            What they have to satisfy, such as ``"macs < 100e6 and edge01 != 'none'"``: comparisons
            of columns and numbers, and of places and their labels, joined by and, or, not.
        ascending : bool, optional
            Whether the smallest is best; by default for sizes (parameters, weights, MACs,
            activations) and not for scores.

        Returns
        -------
        Table
            In memory. Architectures with an error, or for which `by` is not a number, are not in
            it, so that it may be shorter than `n`.

        Raises
        ------
        InvalidArgumentError
            An unknown column, or a condition that cannot be read.

        Examples
        --------
        >>> from unrolled import search
        >>> table = search.sweep(search.nasbench_macro(), ["saliency_entropy", "macs"])
        >>> table.top(2, where="macs < 30e6")["macs"].astype(int).tolist()
        [28893696, 27382272]
        """
        count = checked_positive(n, "n")
        column = self._column(self.names[0] if by is None else by)
        rises = column in SMALLER_IS_BETTER if ascending is None else ascending
        condition = None if where is None else self.condition(where)
        kept: Chunk | None = None
        for chunk in self.chunks():
            is_in = self._satisfying(chunk, condition) & ~np.isnan(chunk.columns[column])
            some = _taken(chunk, np.flatnonzero(is_in))
            both = some if kept is None else joined([kept, some])
            values = both.columns[column]
            order = np.argsort(values if rises else -values, kind="stable")
            kept = _taken(both, order[:count])
        assert kept is not None  # There is always a chunk.
        return Table(self.name, self.places, self.names, kept, len(kept.rows))

    def where(self, condition: str) -> Table:
        """The architectures that satisfy a condition, and have no error; in memory.

        Raises
        ------
        InvalidArgumentError
            As for `top`.
        """
        read = self.condition(condition)
        parts = [
            _taken(chunk, np.flatnonzero(self._satisfying(chunk, read))) for chunk in self.chunks()
        ]
        return self._of(joined(parts))

    def front(
        self,
        maximize: str | Iterable[str] = (),
        minimize: str | Iterable[str] = (),
        *,
        where: str | None = None,
    ) -> Table:
        """The architectures that no other one is better than in all respects.

        Parameters
        ----------
        maximize, minimize : str or iterable of str
            Columns of which more, or less, is better; at least one.
        where : str, optional
            As for `top`.

        Returns
        -------
        Table
            In memory. Of architectures that are equal in all respects all are in it. Those with an
            error, or something that is not a number, are not.

        Raises
        ------
        InvalidArgumentError
            No column, one twice, an unknown one, or a condition that cannot be read.

        Examples
        --------
        >>> from unrolled import search
        >>> table = search.sweep(search.nasbench_macro(), ["saliency_entropy", "macs"])
        >>> front = table.front("saliency_entropy", "macs")
        >>> bool(front["macs"].min() == table.top(1, by="macs")["macs"][0])
        True
        """
        up = [maximize] if isinstance(maximize, str) else list(maximize)
        down = [minimize] if isinstance(minimize, str) else list(minimize)
        columns = [self._column(name) for name in (*up, *down)]
        if not columns or len(set(columns)) < len(columns):
            raise InvalidArgumentError(
                "front() needs columns to maximize or to minimize, each once; got "
                f"maximize={up}, minimize={down}"
            )
        signs = np.array([1.0] * len(up) + [-1.0] * len(down))
        condition = None if where is None else self.condition(where)
        kept: Chunk | None = None
        for chunk in self.chunks():
            some = _taken(chunk, np.flatnonzero(self._satisfying(chunk, condition)))
            both = some if kept is None else joined([kept, some])
            values = np.column_stack([both.columns[name] for name in columns]) * signs
            numbers = np.flatnonzero(~np.isnan(values).any(axis=1))
            kept = _taken(both, numbers[is_not_dominated(values[numbers])])
        assert kept is not None  # There is always a chunk.
        return self._of(kept)

    def decode(self, position: int) -> dict[str, str]:
        """The labels of an architecture, by place."""
        row = self.rows[position]
        return {
            place.name: place.labels[option]
            for place, option in zip(self.places, row.tolist(), strict=True)
        }

    def to_dict(self) -> list[dict[str, Any]]:
        """Architectures as records: labels by place, numbers, and an error or None."""
        records = []
        for chunk in self.chunks():
            for at, row in enumerate(chunk.rows.tolist()):
                record: dict[str, Any] = {
                    place.name: place.labels[option]
                    for place, option in zip(self.places, row, strict=True)
                }
                record.update({name: float(chunk.columns[name][at]) for name in self.names})
                record["error"] = chunk.errors.get(at)
                records.append(record)
        return records

    def to_pandas(self) -> pandas.DataFrame:
        """All of it as a data frame: places as categories, numbers, and errors.

        Raises
        ------
        MissingPackageError
            pandas is not installed.
        """
        module = import_optional("pandas", "pandas")
        rows, columns = self.rows, {}
        for at, place in enumerate(self.places):
            columns[place.name] = module.Categorical.from_codes(
                rows[:, at].astype(np.int64), categories=list(place.labels)
            )
        for name in self.names:
            columns[name] = self[name]
        errors = self.errors
        columns["error"] = [errors.get(at) for at in range(len(self))]
        frame: pandas.DataFrame = module.DataFrame(columns)
        return frame

    def plot(
        self, x: str, y: str, *, where: str | None = None, axes: Axes | None = None
    ) -> tuple[Figure, Axes]:
        """Draw one column against another.

        Architectures with an error, or without a finite number, are left out.

        Parameters
        ----------
        x, y : str
            Columns.
        where : str, optional
            As for `top`.
        axes : matplotlib.axes.Axes, optional

        Returns
        -------
        figure, axes

        Raises
        ------
        InvalidArgumentError
            An unknown column, or a condition that cannot be read.
        MissingPackageError
            matplotlib is not installed.
        """
        from unrolled.show import plot  # It imports matplotlib's types, which not all need.

        names = self._column(x), self._column(y)
        condition = None if where is None else self.condition(where)
        parts: list[npt.NDArray[np.float64]] = []
        for chunk in self.chunks():
            pair = np.column_stack([chunk.columns[name] for name in names])
            is_in = self._satisfying(chunk, condition) & np.isfinite(pair).all(axis=1)
            parts.append(pair[is_in])
        points = np.concatenate(parts)
        with plot.styled():
            axes = plot.panel(axes)
            axes.plot(points[:, 0], points[:, 1], ".", markersize=2, alpha=0.4)
            if names[0] in SMALLER_IS_BETTER and len(points) and (points[:, 0] > 0).all():
                axes.set_xscale("log")
            axes.set_xlabel(names[0].replace("_", " "))
            axes.set_ylabel(names[1].replace("_", " "))
            axes.set_title(f"{self.name}: {len(points):,} architectures")
        return plot.figure_of(axes), axes

    def table(self, *, most: int = 20, width: int | None = None) -> str:
        """The first architectures as text.

        Parameters
        ----------
        most : int
            How many are shown.
        width : int, optional
            Columns to fill at most; by default those of the terminal.
        """
        columns = [tables.Column("architecture", "left", folds=True)]
        columns += [tables.Column(name.replace("_", " ")) for name in self.names]
        cells: list[list[str]] = []
        for chunk in self.chunks():
            for at, row in enumerate(chunk.rows[: most - len(cells)].tolist()):
                shown = spelled(self.places, row)
                if at in chunk.errors:
                    shown += f" ({chunk.errors[at]})"
                cells.append([shown, *(_number(chunk.columns[name][at]) for name in self.names)])
            if len(cells) >= most:
                break
        more = len(self) - len(cells)
        notes = [f"{more:,} more are not shown."] if more > 0 else []
        title = f"{self.name}: {len(self):,} architecture{'' if len(self) == 1 else 's'}"
        return tables.render(title, columns, cells, width=width, notes=notes)

    def condition(self, text: str) -> Condition:
        """A condition on the columns of this table; see `top`.

        Raises
        ------
        InvalidArgumentError
        """
        numbers = [*self.names, *(name for name, own in ALIASES.items() if own in self.names)]
        return Condition(text, numbers, {place.name: place.labels for place in self.places})

    def _satisfying(self, chunk: Chunk, condition: Condition | None) -> npt.NDArray[np.bool_]:
        is_in = np.ones(len(chunk.rows), np.bool_)
        is_in[list(chunk.errors)] = False
        return is_in if condition is None else is_in & satisfies(condition, chunk, self.places)

    def _column(self, name: str) -> str:
        own = ALIASES.get(name, name)
        if own not in self.names:
            raise InvalidArgumentError(
                f"this table has no column {name!r}{did_you_mean(str(name), self.names)} (it has "
                f"{', '.join(self.names)})"
            )
        return own

    def _of(self, chunk: Chunk) -> Table:
        return Table(self.name, self.places, self.names, chunk, len(chunk.rows))

    def __repr__(self) -> str:
        return self.table()


def satisfies(condition: Condition, chunk: Chunk, places: Sequence[Place]) -> npt.NDArray[np.bool_]:
    """Which architectures of a chunk satisfy a condition."""
    columns: dict[str, npt.NDArray[Any]] = dict(chunk.columns)
    for alias, own in ALIASES.items():
        if own in columns:
            columns[alias] = columns[own]
    for at, place in enumerate(places):
        if place.name in condition.names:
            columns[place.name] = np.array(place.labels)[chunk.rows[:, at]]
    return condition.mask(columns)


def joined(chunks: Sequence[Chunk]) -> Chunk:
    """Several chunks as one."""
    if len(chunks) == 1:
        return chunks[0]
    starts = np.cumsum([0, *(len(chunk.rows) for chunk in chunks)]).tolist()
    names: Mapping[str, Any] = chunks[0].columns
    return Chunk(
        np.concatenate([chunk.rows for chunk in chunks]),
        {name: np.concatenate([chunk.columns[name] for chunk in chunks]) for name in names},
        {
            start + at: error
            for start, chunk in zip(starts, chunks, strict=False)
            for at, error in chunk.errors.items()
        },
    )


def _taken(chunk: Chunk, members: npt.NDArray[np.intp]) -> Chunk:
    errors = {}
    if chunk.errors:
        errors = {
            at: chunk.errors[one] for at, one in enumerate(members.tolist()) if one in chunk.errors
        }
    return Chunk(
        chunk.rows[members],
        {name: values[members] for name, values in chunk.columns.items()},
        errors,
    )


def _number(value: float) -> str:
    if np.isfinite(value) and value == round(value):
        return tables.integer(round(value))
    return tables.figure(value)


def checked_path(path: str | os.PathLike[str]) -> Path:
    """The file of a table: its ending says which kind it is.

    Raises
    ------
    InvalidArgumentError
        Another ending than .parquet or .csv.
    """
    found = Path(os.fsdecode(path))
    if found.suffix not in (".parquet", ".csv"):
        raise InvalidArgumentError(
            f"out must be a file whose name ends with .parquet or .csv, got {str(found)!r}"
        )
    return found
