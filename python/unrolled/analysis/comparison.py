"""`compare` and its result, `Comparison`: several models in one ranked table."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from unrolled._support import files
from unrolled._support.arguments import check_progress
from unrolled._support.hints import described, did_you_mean
from unrolled.analysis.analysis import Analysis, analyze, network_of
from unrolled.counting.counts import Counts
from unrolled.errors import InvalidArgumentError, UnrolledError
from unrolled.importers.door import Door
from unrolled.importers.recognition import framework_of
from unrolled.network.network import Network
from unrolled.printable import one_line
from unrolled.show import formats, html, tables
from unrolled.show.cells import (
    counts_notes,
    format_row,
    ranking_note,
    ranking_title,
    score_sheet,
    scores_shown,
)
from unrolled.sources.resolution import resolve
from unrolled.spectrum.catalogue import (
    CATALOGUE,
    ESTIMATES,
    RANKED,
    RANKED_BY,
    SCORES,
    TABULATED,
    Quantity,
    value_of,
)

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from rich.console import Console, ConsoleOptions, RenderableType

    from unrolled.scores.scoring import Scores

__all__ = ["Comparison", "Failure", "compare", "resolve_for_scores"]

COMPARE = Door("compare", {"values": "values"})

NARROW = 110


class Failure(NamedTuple):
    """A model that could not be counted, and why.

    Attributes
    ----------
    name : str
        What was given: a file, a name, or a kind of object.
    reason : str
        The message of the error.
    """

    name: str
    reason: str

    @classmethod
    def of(cls, name: str, error: Exception) -> Failure:
        """The failure that an error is, its message on one line and without the name."""
        return cls(name, one_line(str(error)).removeprefix(f"{name}: "))


class Comparison:
    """Analyses of several models, sorted. What `compare` returns; a sequence of `Analysis`.

    Models without an input have no estimates: a dash in tables, and the last places if sorted by
    one.

    Attributes
    ----------
    analyses : tuple of Analysis
        In the order of the ranking.
    sort : str
        The figure they are sorted by.
    ascending : bool
        Whether the smallest comes first.
    scores : tuple of Scores or None
        Of each model, in the order of the ranking, None for a model that has none; empty if no
        model was scored.
    unscored : tuple of Failure
        Models that have no scores, and why.
    failures : tuple of Failure
        Models that could not be counted, if ``compare(..., keep_going=True)`` met any.

    Examples
    --------
    >>> import unrolled
    >>> nets = [unrolled.models.mlp(4, depth=d, inputs=4, name=f"mlp{d}") for d in (1, 2)]
    >>> ranking = unrolled.compare(nets, sort="entropy")
    >>> [analysis.name for analysis in ranking]
    ['mlp2', 'mlp1']
    >>> print(ranking.table(width=80).splitlines()[4])
    mlp2          90      4  10.04   4.69 5.35  730  4.81  4.30
    """

    def __init__(
        self,
        analyses: Iterable[Analysis],
        sort: str,
        ascending: bool | None,
        scores: Iterable[Scores | None] = (),
        failures: Iterable[Failure] = (),
        unscored: Iterable[Failure] = (),
        *,
        with_counts: bool = False,
    ) -> None:
        self.failures = tuple(failures)
        self.unscored = tuple(unscored)
        self._with_counts = with_counts
        models, given = list(analyses), list(scores)
        check_sort(sort, has_scores=bool(given))
        self.sort = sort
        self.ascending = sort == "name" if ascending is None else bool(ascending)
        # In log space the total is known by its logarithm only, which has the same order.
        key = "log2_total_contexts" if sort == "total_contexts" else sort
        values: list[Any] = (
            [None if one is None else getattr(one, key) for one in given]
            if given and key in SCORES
            else [value_of(one, key) for one in models]
        )
        known = [place for place, value in enumerate(values) if value is not None]
        order = sorted(known, key=lambda place: values[place], reverse=not self.ascending)
        order += [place for place, value in enumerate(values) if value is None]
        self.analyses = tuple(models[place] for place in order)
        self.scores = tuple(given[place] for place in order) if given else ()

    def to_dict(self) -> list[dict[str, str | int | float | None]]:
        """`Analysis.to_dict` of each model, and its scores, in the order of the ranking."""
        rows = [analysis.to_dict() for analysis in self.analyses]
        nothing: dict[str, Any] = dict.fromkeys((*SCORES, "unit"))
        for row, scores in zip(rows, self.scores, strict=False):
            found = nothing if scores is None else scores.to_dict()
            # The number of parameters is that of the analysis, which knows which have a context.
            row.update({key: one for key, one in found.items() if key not in row})
        return rows

    def table(self, *, width: int | None = None) -> str:
        """The ranking as plain text, one line a model.

        Parameters
        ----------
        width : int, optional
            Columns to fill at most: by default those of the terminal, or as many as it takes.
            Below 110, symbols stand for the headings and logarithms have fewer decimals.
        """
        sheets = self.sheets(width)
        return "\n\n".join(sheet.text(width) for sheet in sheets)

    @property
    def shows_counts(self) -> bool:
        """Whether tables show counts and published estimates.

        With ``scores=True`` they only do if they are sorted by one of them.
        """
        is_published = self.sort in CATALOGUE and self.sort not in SCORES
        return self._with_counts or not self.scores or is_published

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """The columns of tables of counts: published estimates only if nothing was scored.

        Or if the models are sorted by one of the quantities of `Analysis`.
        """
        if self._with_counts and self.scores:
            return tuple(one for one in TABULATED if one.key not in ESTIMATES)
        return TABULATED

    @property
    def measured(self) -> tuple[str, ...] | None:
        """Keys of the scores of which tables say how they ranked architectures; None for all.

        Tables of scores alone say it of all, others of the one that models are ranked by.
        """
        if not self._with_counts:
            return None
        return (self.sort if self.sort in SCORES else RANKED_BY,)

    @property
    def title(self) -> str:
        """What the ranking is by, and in which order."""
        return ranking_title(self.sort, self.ascending)

    @property
    def notes(self) -> list[str]:
        """What is special about the figures of some models."""
        notes = []
        if not all(analysis.is_exact for analysis in self.analyses):
            notes.append("Counted in log space.")
        has_estimates = self.shows_counts and self.quantities == TABULATED
        if has_estimates and not all(analysis.num_inputs for analysis in self.analyses):
            notes.append("-: without an input there are no estimates.")
        notes += [f"{one.name} has no scores: {one.reason}" for one in self.unscored]
        return notes + [
            f"Estimates of {one.name} are lower bounds for inputs of {'{} x {}'.format(*bound)}."
            for one in self.analyses
            if (bound := one.input_size)
        ]

    def sheets(self, width: int | None = None) -> list[tables.Sheet]:
        """What `table` shows, before it is laid out for a width: scores, counts, or both."""
        sheets = []
        narrow = (width or tables.output_width()) < NARROW
        if self.scores:
            sheets.append(
                score_sheet(
                    self.title,
                    [analysis.name for analysis in self.analyses],
                    self.scores,
                    scores_shown(self.sort),
                    narrow=narrow,
                    measured=self.measured,
                )
            )
        if self.shows_counts:
            columns = [tables.Column("model", "left", cuts=True)]
            shown = self.quantities
            columns += [tables.Column(one.symbol if narrow else one.heading) for one in shown]
            rows = [format_row(analysis, shown, narrow=narrow) for analysis in self.analyses]
            title = "Contexts" if self.scores else self.title
            notes = counts_notes(shown, narrow=narrow)
            if not self.scores and (meaning := ranking_note(self.sort)):
                notes.insert(0, meaning)
            sheets.append(tables.Sheet(title, columns, rows, notes))
        *others, last = map(self._add_failures, sheets)
        reasons = [f"{failure.name}: {failure.reason}" for failure in self.failures]
        return [*others, last._replace(notes=[*last.notes, *self.notes, *reasons])]

    def _add_failures(self, sheet: tables.Sheet) -> tables.Sheet:
        """The sheet with a row of dashes for each failure."""
        dashes = [tables.MISSING] * (len(sheet.columns) - 1)
        rows = [*sheet.rows, *([failure.name, *dashes] for failure in self.failures)]
        return sheet._replace(rows=rows)

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """The tables as rich draws them in a terminal."""
        for sheet in self.sheets(options.max_width):
            yield from sheet.drawn(options.max_width)

    def to_pandas(self) -> pandas.DataFrame:
        """All figures, one row a model, with its name as index.

        Total contexts are Python integers, None if counted in log space.

        Raises
        ------
        MissingPackageError
            pandas is not installed.
        """
        return formats.to_pandas(self)

    def to_csv(self, path: str | os.PathLike[str] | None = None) -> str:
        """All figures as comma-separated values, unrounded; written to a file if one is given.

        Spreadsheets run cells that begin with one of ``= + - @``. Names that do have an apostrophe
        before them, which spreadsheets take for the mark of a text, and all names stand in quotes.
        Control characters and the like are written as escapes; `to_pandas` has names as they are.

        Raises
        ------
        OSError
            The file cannot be written.
        """
        return formats.write_if_asked(path, formats.to_csv(self))

    def to_markdown(self, path: str | os.PathLike[str] | None = None) -> str:
        """The ranking as a Markdown table; written to a file if one is given.

        Raises
        ------
        OSError
            The file cannot be written.

        Examples
        --------
        >>> import unrolled
        >>> net = unrolled.models.mlp(4, depth=1, inputs=4)
        >>> print(unrolled.compare([net], sort="entropy").to_markdown())
        | model | parameters | inputs | log2 Z (bits) | spread (bits) | H (bits) | ...
        |:---|---:|---:|---:|---:|---:|---:|---:|---:|
        | mlp | 70 | 4 | 7.966 | 2.658 | 5.308 | 491 | 4.548 | 3.608 |
        <BLANKLINE>
        """
        return formats.write_if_asked(path, formats.to_markdown(self))

    def to_latex(self, path: str | os.PathLike[str] | None = None) -> str:
        """The ranking as a LaTeX tabular for the package booktabs; written to a file if given.

        Raises
        ------
        OSError
            The file cannot be written.
        """
        return formats.write_if_asked(path, formats.to_latex(self))

    def plot(self) -> tuple[Figure, Axes]:
        """Draw the ranking; see `plot.ranking`.

        Returns
        -------
        figure, axes
            Of matplotlib.

        Raises
        ------
        MissingPackageError
            matplotlib is not installed.
        """
        from unrolled.show import plot  # It imports matplotlib's types, which not all need.

        return plot.ranking(self)

    def save(self, path: str | os.PathLike[str], **options: Any) -> Path:
        """Write a file of the kind its suffix says; see the methods for each of them.

        Parameters
        ----------
        path : str or path
            ``.html`` for the report (`report.write`), ``.csv``, ``.md``, ``.tex``, or a kind of
            image, such as ``.png``, ``.svg`` or ``.pdf``.
        **options
            For the report: ``title``, ``date``, ``temperatures``.

        Returns
        -------
        Path

        Raises
        ------
        InvalidArgumentError
            An unknown suffix, or options for something else than a report.
        MissingPackageError
            A package that the kind of file needs is not installed.
        OSError
            The file cannot be written.
        """
        path = Path(path)
        kind = path.suffix.lower()
        if kind in (".html", ".htm"):
            from unrolled import report  # It is heavy, and only needed here.

            return report.write(self, path, **options)
        if options:
            raise InvalidArgumentError(
                f"save(): {', '.join(options)} are options of a report; '{path}' is none, because "
                "it does not end in .html"
            )
        texts = {".csv": formats.to_csv, ".md": formats.to_markdown, ".tex": formats.to_latex}
        if kind in texts:
            return files.write(path, texts[kind](self))
        if kind in ("", ".json", ".txt"):
            raise InvalidArgumentError(
                f"save(): '{path}' must end in .html, .csv, .md, .tex or the suffix of an image, "
                "such as .png, .svg or .pdf"
            )
        from unrolled.show import plot

        return plot.save_drawn(self.plot, path)

    def _repr_html_(self) -> str:
        return html.comparison(self)

    def __len__(self) -> int:
        return len(self.analyses)

    def __iter__(self) -> Iterator[Analysis]:
        return iter(self.analyses)

    def __getitem__(self, position: int) -> Analysis:
        return self.analyses[position]

    def __repr__(self) -> str:
        return self.table()


def compare(
    models_to_compare: Iterable[Any],
    /,
    *,
    sort: str | None = None,
    ascending: bool | None = None,
    scores: bool | None = None,
    values: Mapping[str, Any] | None = None,
    exact: bool = True,
    trainable_only: bool = False,
    memory_limit: int | None = None,
    keep_going: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Analyse several models and rank them.

    Parameters
    ----------
    models_to_compare : iterable
        Anything that `analyze` takes, instances of `Analysis`, and instances of `Failure` for what
        could not even be made a model.
    sort : str, optional
        The figure to rank by: one of the attributes of `Scores` or of `Analysis`, or "name". By
        default "log_size", the score; "spread_estimate", as published, if no model has scores.
    ascending : bool, optional
        Smallest first. By default numbers come largest first, names in alphabetical order.
    scores : bool, optional
        Whether to score the models as well (see `score`): tables begin with scores and their
        baselines, what more of each means and how well it ranked architectures. By default models
        are scored unless `sort` names a quantity of `Analysis`; those that have no scores, such as
        graphs, have dashes and a note that says why, and a table of counts follows. If True, a
        table of counts and published estimates follows if `sort` names one of them, and it is an
        error if a model has no scores. Data frames, CSV and JSON have all of them.
    values : dict, optional
        Of integer inputs of the models of ONNX, such as ``{"position": 5}``; see `from_onnx`. Other
        models are compared as they are.
    exact, trainable_only, memory_limit
        See `count`.
    keep_going : bool
        Whether to go on where a model cannot be read or counted. It is then among
        `Comparison.failures` and has a row that says why; otherwise its error is raised.
    progress : callable, optional
        Called as ``progress(done, total)`` before each model and after the last.

    Returns
    -------
    Comparison

    Raises
    ------
    InvalidArgumentError
        Nothing to compare, something that is no model, an unknown `sort`, or `values` without a
        model of ONNX.
    UnknownModelError
        A name that no published model has.
    MissingPackageError, InvalidModelError, UnsupportedOperatorError
        See the importers.

    Examples
    --------
    >>> import unrolled
    >>> wide, deep = (unrolled.models.mlp(4, depth=depth, inputs=4) for depth in (2, 4))
    >>> wide.name, deep.name = "wide", "deep"
    >>> unrolled.compare([wide, deep], sort="spread_estimate")
    Models by spread estimate, largest first
    <BLANKLINE>
                             log2 of expected             total surprisal   spread
    model parameters inputs contexts   spread entropy surprisal  estimate estimate
    ------------------------------------------------------------------------------
    deep         130      4   14.057    8.661   5.396     1,322     5.198    5.125
    wide          90      4   10.036    4.688   5.349       730     4.812    4.299
    Spread estimate: more means a better model, as published.
    Contexts: ...
    """
    if isinstance(models_to_compare, (str, bytes)) or not isinstance(models_to_compare, Iterable):
        raise InvalidArgumentError(
            f"compare() takes a list of models, got {described(models_to_compare)}"
        )
    given = list(models_to_compare)
    if not given:
        raise InvalidArgumentError("nothing to compare: give at least one model")
    is_score = sort is not None and sort in SCORES and sort not in CATALOGUE
    wanted = sort in (None, "name") or is_score if scores is None else bool(scores)
    if sort is not None:
        check_sort(sort, has_scores=wanted)
    check_progress(progress)
    if values is not None and not any(framework_of(one) == "onnx" for one in given):
        raise InvalidArgumentError("values: only for models of ONNX, of which there is none")
    failures: list[Failure] = []

    def attempt(step: Callable[[Any], Any], one: Any) -> Any:
        """What a step makes of a model, or the failure that it is; a failure stays one."""
        if isinstance(one, Failure):
            return one
        try:
            return step(one)
        except (UnrolledError, OSError) as error:
            if not keep_going:
                raise
            return Failure.of(_name_source(one), error)

    def load(one: Any) -> Any:
        if isinstance(one, Analysis):
            return one
        own = values if framework_of(one) == "onnx" else None

        def read(operations: bool) -> Any:
            return resolve(one, values=own, operations=operations, door=COMPARE)

        return resolve_for_scores(read) if scores is None and wanted else read(wanted)

    def count_and_score(source: Any) -> tuple[Analysis, Scores | UnrolledError | None]:
        found: Scores | UnrolledError | None = None
        if wanted:
            from unrolled.scores.scoring import score_network

            try:
                network = _network_of(source)
                if isinstance(network, Network):  # It may be that of an analysis.
                    network.check_read_with_functions()
                found = score_network(network)
            except UnrolledError as error:
                if scores is not None:
                    raise
                found = error
        if isinstance(source, Analysis):
            return source, found
        options: dict[str, Any] = {"exact": exact, "trainable_only": trainable_only}
        return analyze(source, memory_limit=memory_limit, **options), found

    # Everything is read before anything is counted, so that errors come early.
    sources = [attempt(load, one) for one in given]
    analyses: list[Analysis] = []
    scored: list[Scores | UnrolledError | None] = []
    for position, source in enumerate(sources):
        if progress is not None:
            progress(position, len(sources))
        found = attempt(count_and_score, source)
        if isinstance(found, Failure):
            # A network that could not be counted goes by the name that it was given by.
            failures.append(found._replace(name=_name_source(given[position])))
            continue
        analyses.append(found[0])
        scored.append(found[1])
    if progress is not None:
        progress(len(sources), len(sources))
    errors = [one for one in scored if isinstance(one, UnrolledError)]
    if len(errors) == len(scored) and errors and is_score:
        raise errors[0]
    if not wanted or len(errors) == len(scored):
        reasons = [
            Failure.of(analysis.name, error)
            for analysis, error in zip(analyses, errors, strict=False)
            if analysis.has_layers
        ]
        return Comparison(analyses, sort or "spread_estimate", ascending, (), failures, reasons)
    return Comparison(
        analyses,
        sort or RANKED_BY,
        ascending,
        [None if isinstance(one, UnrolledError) else one for one in scored],
        failures,
        [
            Failure.of(analysis.name, one)
            for analysis, one in zip(analyses, scored, strict=True)
            if isinstance(one, UnrolledError)
        ],
        with_counts=scores is None,
    )


def resolve_for_scores(load: Callable[[bool], Any]) -> Any:
    """A model with its operations, or without them where those cannot be had.

    Parameters
    ----------
    load : callable
        Takes whether operations are wanted, and returns the model.
    """
    try:
        return load(True)
    except UnrolledError:
        return load(False)


def _network_of(source: Any) -> Any:
    """What of a model is scored.

    Raises
    ------
    InvalidArgumentError
        An analysis without its network, or a network that has grown since it was counted.
    """
    if isinstance(source, Analysis):
        network, counts = source.network, source.counts
    elif isinstance(source, Counts):
        network, counts = network_of(source), source
    else:
        return source
    known = counts if isinstance(counts, Counts) else None
    if known is not None and (len(known.tensors), known.num_outputs) != (
        len(network.tensors),
        network.num_outputs,
    ):
        raise InvalidArgumentError(
            f"the network of '{source.name}' has grown since it was counted; analyze it again"
        )
    return network


def _name_source(one: Any) -> str:
    """What to call a model that could not be read or counted."""
    if isinstance(one, Failure):
        return one.name
    if isinstance(one, (str, os.PathLike)):
        return os.fsdecode(one)
    name = getattr(one, "name", None)
    return name if isinstance(name, str) else type(one).__name__


def check_sort(sort: str, *, has_scores: bool = False) -> None:
    """Refuse what models cannot be ranked by, before any is counted.

    Raises
    ------
    InvalidArgumentError
    """
    keys = (*dict.fromkeys((*RANKED, *SCORES)),) if has_scores else RANKED
    if sort not in keys:
        hint = "; it is a score: leave out scores=False" if sort in SCORES else ""
        raise InvalidArgumentError(
            f"cannot sort by {sort!r}{hint or did_you_mean(str(sort), keys)} "
            f"(sort keys: {', '.join(keys)})"
        )
