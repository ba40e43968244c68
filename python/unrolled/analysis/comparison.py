"""`compare`: several models in one ranked table."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from unrolled._support.hints import described, did_you_mean
from unrolled.analysis.analysis import ATTRIBUTES, Analysis, figure_of
from unrolled.analysis.analyze import analyze, as_model
from unrolled.counting.counts import check_progress
from unrolled.errors import InvalidArgumentError
from unrolled.show import formats, html, tables

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as MatplotlibFigure
    from rich.console import Console, ConsoleOptions, RenderableType

__all__ = ["SORT_KEYS", "Comparison", "compare"]

SORT_KEYS = (*reversed(ATTRIBUTES), "name")
"""What a comparison can be sorted by, the default first."""

NARROW = 110


class Figure(NamedTuple):
    """A column of a table: an attribute, its heading, symbol, unit, and how to write it."""

    key: str
    heading: str
    symbol: str
    decimals: int
    unit: str = ""
    latex: str = ""


FIGURES = (
    Figure("num_parameters", "parameters", "parameters", 0, latex="$N_G$"),
    Figure("num_inputs", "inputs", "inputs", 0, latex="$N_I$"),
    Figure("log2_total_contexts", "log2 of\ncontexts", "log2 Z", 3, "bits", r"$\log_2 Z$"),
    Figure("expected_spread", "expected\nspread", "spread", 3, "bits", r"$E[\log_2 C]$"),
    Figure("entropy", "entropy", "H", 3, "bits", "$H$"),
    Figure("total_surprisal", "total\nsurprisal", "S_G", 0, "bits", "$S_G$"),
    Figure("surprisal_estimate", "surprisal\nestimate", "P_G", 3, "bits", "$P_G$"),
    Figure("spread_estimate", "spread\nestimate", "P'_G", 3, "bits", "$P'_G$"),
)


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

    def __init__(self, analyses: Iterable[Analysis], sort: str, ascending: bool | None) -> None:
        if sort not in SORT_KEYS:
            raise InvalidArgumentError(
                f"cannot sort by {sort!r}{did_you_mean(str(sort), SORT_KEYS)} "
                f"(sort keys: {', '.join(SORT_KEYS)})"
            )
        self.sort = sort
        self.ascending = sort == "name" if ascending is None else bool(ascending)
        # In log space the total is known by its logarithm only, which has the same order.
        key = "log2_total_contexts" if sort == "total_contexts" else sort
        given = list(analyses)
        has_figure = [one for one in given if figure_of(one, key) is not None]
        has_figure.sort(key=lambda one: getattr(one, key), reverse=not self.ascending)
        self.analyses = (*has_figure, *(one for one in given if figure_of(one, key) is None))

    def to_dict(self) -> list[dict[str, str | int | float | None]]:
        """`Analysis.to_dict` of each model, in the order of the ranking."""
        return [analysis.to_dict() for analysis in self.analyses]

    def table(self, *, width: int | None = None) -> str:
        """The ranking as plain text, one line a model.

        Parameters
        ----------
        width : int, optional
            Columns to fill at most: by default those of the terminal, or as many as it takes.
            Below 110, symbols stand for the headings and logarithms have fewer decimals.
        """
        return self._sheet(width or tables.output_width()).text(width)

    @property
    def title(self) -> str:
        """What the ranking is by, and in which order."""
        order = "smallest first" if self.ascending else "largest first"
        figure = self.sort.replace("num_", "number of ").replace("_", " ")
        return f"Models by {figure}, {order}"

    @property
    def notes(self) -> list[str]:
        """What is special about the figures of some models."""
        notes = []
        if not all(analysis.is_exact for analysis in self.analyses):
            notes.append("Counted in log space.")
        if not all(analysis.num_inputs for analysis in self.analyses):
            notes.append("-: without an input there are no estimates.")
        return notes + [
            f"Estimates of {one.name} are lower bounds for inputs of {'{} x {}'.format(*bound)}."
            for one in self.analyses
            if (bound := one.input_size)
        ]

    def _sheet(self, width: int) -> tables.Sheet:
        narrow = width < NARROW
        columns = [tables.Column("model", "left", folds=True)]
        columns += [tables.Column(one.symbol if narrow else one.heading) for one in FIGURES]
        rows = [
            [analysis.name] + [cell(analysis, one, narrow) for one in FIGURES]
            for analysis in self.analyses
        ]
        return tables.Sheet(self.title, columns, rows, [SYMBOLS if narrow else UNITS, *self.notes])

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """The table as rich draws it in a terminal."""
        return self._sheet(options.max_width).drawn()

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

        Raises
        ------
        OSError
            The file cannot be written.
        """
        return formats.written(path, formats.to_csv(self))

    def to_markdown(self, path: str | os.PathLike[str] | None = None) -> str:
        """The ranking as a Markdown table; written to a file if one is given.

        Raises
        ------
        OSError
            The file cannot be written.

        Examples
        --------
        >>> import unrolled
        >>> print(unrolled.compare([unrolled.models.mlp(4, depth=1, inputs=4)]).to_markdown())
        | model | parameters | inputs | log2 Z (bits) | spread (bits) | H (bits) | ...
        |:---|---:|---:|---:|---:|---:|---:|---:|---:|
        | mlp | 70 | 4 | 7.966 | 2.658 | 5.308 | 491 | 4.548 | 3.608 |
        <BLANKLINE>
        """
        return formats.written(path, formats.to_markdown(self))

    def to_latex(self, path: str | os.PathLike[str] | None = None) -> str:
        """The ranking as a LaTeX tabular for the package booktabs; written to a file if given.

        Raises
        ------
        OSError
            The file cannot be written.
        """
        return formats.written(path, formats.to_latex(self))

    def plot(self) -> tuple[MatplotlibFigure, Axes]:
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
        from unrolled.show import plot

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
        return formats.save(self, Path(path), options)

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


SYMBOLS = (
    "In bits: log2 Z, Z the total contexts; the expected spread; H, the entropy; S_G, the total "
    "surprisal; P_G, the surprisal estimate; P'_G, the spread estimate."
)
UNITS = "Contexts: the total over all parameters. Spread, entropy, surprisal and estimates in bits."


def compare(
    models_to_compare: Iterable[Any],
    /,
    *,
    sort: str = "spread_estimate",
    ascending: bool | None = None,
    exact: bool = True,
    trainable_only: bool = False,
    memory_limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Analyse several models and rank them.

    Parameters
    ----------
    models_to_compare : iterable
        Anything that `analyze` takes, and instances of `Analysis`.
    sort : str
        The figure to rank by: one of the attributes of `Analysis`, or "name".
    ascending : bool, optional
        Smallest first. By default numbers come largest first, names in alphabetical order.
    exact, trainable_only, memory_limit
        See `count`.
    progress : callable, optional
        Called as ``progress(done, total)`` before each model and after the last.

    Returns
    -------
    Comparison

    Raises
    ------
    InvalidArgumentError
        Nothing to compare, something that is no model, or an unknown `sort`.
    UnknownModelError
        A name that no published model has.
    MissingPackageError, InvalidModelError, UnsupportedOperatorError
        See the importers.

    Examples
    --------
    >>> import unrolled
    >>> wide, deep = (unrolled.models.mlp(4, depth=depth, inputs=4) for depth in (2, 4))
    >>> wide.name, deep.name = "wide", "deep"
    >>> unrolled.compare([wide, deep])
    Models by spread estimate, largest first
    <BLANKLINE>
                             log2 of expected             total surprisal   spread
    model parameters inputs contexts   spread entropy surprisal  estimate estimate
    ------------------------------------------------------------------------------
    deep         130      4   14.057    8.661   5.396     1,322     5.198    5.125
    wide          90      4   10.036    4.688   5.349       730     4.812    4.299
    Contexts: ...
    """
    if isinstance(models_to_compare, (str, bytes)) or not isinstance(models_to_compare, Iterable):
        raise InvalidArgumentError(
            f"compare() takes a list of models, got {described(models_to_compare)}"
        )
    given = list(models_to_compare)
    if not given:
        raise InvalidArgumentError("nothing to compare: give at least one model")
    Comparison([], sort, ascending)  # refuses an unknown sort before any counting
    check_progress(progress)
    networks = [one if isinstance(one, Analysis) else as_model(one) for one in given]
    analyses = []
    for position, model in enumerate(networks):
        if progress is not None:
            progress(position, len(networks))
        analyses.append(
            model
            if isinstance(model, Analysis)
            else analyze(
                model, exact=exact, trainable_only=trainable_only, memory_limit=memory_limit
            )
        )
    if progress is not None:
        progress(len(networks), len(networks))
    return Comparison(analyses, sort, ascending)


def cell(analysis: Analysis, figure: Figure, narrow: bool = False) -> str:
    """One figure of a model as text; a dash if it has none."""
    value = figure_of(analysis, figure.key)
    if value is None:
        return tables.MISSING
    if isinstance(value, int):
        return tables.integer(value)
    if figure.key == "total_surprisal" and narrow:
        return f"{value:.3g}"
    decimals = min(figure.decimals, 2) if narrow else figure.decimals
    return f"{value:,.{decimals}f}" if decimals == 0 else tables.bits(value, decimals)
