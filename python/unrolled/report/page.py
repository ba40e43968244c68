"""Reports: a comparison as one HTML file that needs nothing else (the extra ``report``).

The file has no reference to the network: it works from disk, in light and dark, and prints. Charts
are drawn by BokehJS, which is part of the file with its licence; all they show is in tables, too.
"""

from __future__ import annotations

import datetime
import os
import platform
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from unrolled._core import VERSION
from unrolled._support import files
from unrolled._support.hints import described
from unrolled._support.optional import import_optional
from unrolled.ensemble.ensemble import Ensemble
from unrolled.errors import InvalidArgumentError
from unrolled.printable import printable
from unrolled.report import charts, theory
from unrolled.show import html, tables
from unrolled.show.cells import RANKING, format_cell, format_row, format_score
from unrolled.show.layers import HEADINGS, layer_row
from unrolled.show.plot import sensible_zero
from unrolled.show.protocols import AnalysisLike, ComparisonLike, OverviewLike
from unrolled.spectrum.catalogue import (
    CATALOGUE,
    RANKED_BY,
    SCORES,
    TABULATED,
    Quantity,
    value_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from unrolled.ensemble.sweeps import HeatCapacityPeak
    from unrolled.propagation.initialization import InitializationReport


__all__ = ["check_packages", "render", "write"]

LISTED_TEMPERATURES = (-20, -5, -1, -0.5, 0.5, 1, 5, 20)
OTHER_SYMBOLS = (
    (
        "F, U, S, C_v",
        "free energy U - T S, mean energy, entropy, dU / dT, at temperature T",
        "bits",
    ),
    ("N_G, N_I, |G|", "parameters with a context; inputs; inputs, outputs and weight nodes", ""),
)
"""Symbols of the page beside those of the catalogue."""


class Section(NamedTuple):
    """A part of the page that has charts."""

    anchor: str
    heading: str
    text: str
    charts: Sequence[charts.Chart] = ()
    table: str = ""


def check_packages() -> None:
    """Find out whether what a report needs is installed, before its models are counted.

    Raises
    ------
    MissingPackageError
        Bokeh or Jinja2 is not installed.
    """
    for name in ("jinja2", "bokeh"):
        import_optional(name, "report")


def write(comparison: ComparisonLike, path: str | os.PathLike[str], **options: Any) -> Path:
    """Write the report of a comparison to a file, whole or not at all.

    Parameters
    ----------
    comparison : Comparison
    path : str or path
    **options
        See `render`.

    Returns
    -------
    Path

    Raises
    ------
    InvalidArgumentError, MissingPackageError
        See `render`.
    OSError
        The file cannot be written.
    """
    return files.write(path, render(comparison, **options))


def render(
    comparison: ComparisonLike,
    *,
    title: str | None = None,
    date: datetime.date | str | None = None,
    temperatures: Iterable[float] | None = None,
    initializations: Iterable[InitializationReport] = (),
    overviews: Iterable[OverviewLike] = (),
) -> str:
    """The report of a comparison as the text of an HTML page.

    Equal comparisons, titles, dates and versions give equal texts.

    Parameters
    ----------
    comparison : Comparison
    title : str, optional
        By default the number of models and what they are ranked by.
    date : date or str, optional
        Shown as given; by default the report has none.
    temperatures : iterable of float, optional
        The range of the charts, as for `Ensemble.curve`; by default all that happens.
    initializations : iterable of InitializationReport
        Reports on initialisation, which the page shows in their order.
    overviews : iterable of Overview
        What the theory says of models (`theory.overview`), which the page shows in their order.

    Returns
    -------
    str

    Raises
    ------
    InvalidArgumentError
        Nothing to report, a title or date that is no text, or temperatures that `Ensemble.sweep`
        does not take.
    MissingPackageError
        Bokeh or Jinja2 is not installed.

    Examples
    --------
    >>> import unrolled
    >>> from unrolled import report
    >>> nets = [unrolled.models.mlp(4, depth=d, inputs=4, name=f"mlp{d}") for d in (1, 2)]
    >>> page = report.render(unrolled.compare(nets), title="Two networks", date="2024-02-29")
    >>> "<h1>Two networks</h1>" in page
    True
    """
    if not len(comparison):
        raise InvalidArgumentError("nothing to report: the comparison has no model")
    for name, value in {"title": title, "date": date}.items():
        if not isinstance(value, (str, datetime.date, type(None))):
            raise InvalidArgumentError(f"{name} must be text, got {described(value)}")
    jinja2 = import_optional("jinja2", "report")
    safe = jinja2.utils.markupsafe.Markup
    parts = resources.files("unrolled.report") / "assets"
    template, css, js = (
        (parts / f"report.{kind}").read_text("utf-8") for kind in ("html", "css", "js")
    )
    theories = list(overviews)
    styles = charts.looks([one.name for one in comparison])
    sections = _sections(comparison, styles, temperatures)
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        # What is safe is whole pieces of the page, with line ends.
        finalize=lambda value: value if isinstance(value, safe) else printable(value),
    )
    return str(
        environment.from_string(template).render(
            mathematics=lambda text: safe(html.mathematics(text)),
            title=str(title) if title is not None else _title(comparison),
            finding=_find_headline(comparison),
            lead=_lead(comparison),
            version=VERSION,
            css=safe(css),
            js=safe(js),
            ranking=safe(_ranking(comparison)),
            notes=[*comparison.notes, *_without_layers(comparison)],
            sections=[one._replace(table=safe(one.table)) for one in sections],
            models=[
                _model(one, style, safe) for one, style in zip(comparison, styles, strict=True)
            ],
            facts=safe(_facts(comparison.analyses)),
            theory_table=safe(theory.summary_table(theories) if theories else ""),
            theories=[one._replace(body=safe(one.body)) for one in map(theory.theory_of, theories)],
            initializations=[_initialization(one, safe) for one in initializations],
            definitions=safe(
                html.table(
                    "Symbols",
                    ["symbol", "meaning", "unit"],
                    _symbols(),
                    classes="text",
                    symbols="all",
                )
            ),
            provenance=safe(_provenance(comparison, date)),
            charts=safe(charts.embedded([chart for one in sections for chart in one.charts])),
            library=safe(charts.library()),
        )
    )


def _sections(
    comparison: ComparisonLike,
    styles: Sequence[charts.Look],
    temperatures: Iterable[float] | None,
) -> list[Section]:
    analyses = comparison.analyses
    ensembles = [Ensemble.from_counts(one.spectrum, unit="bits") for one in analyses]
    wanted = None if temperatures is None else list(temperatures)
    curves = [ensemble.curve(wanted) for ensemble in ensembles]
    peaks = [ensemble.heat_capacity_peaks() for ensemble in ensembles]
    smallest = min(ensemble.temperature_range[0] for ensemble in ensembles)
    score = comparison.sort if comparison.sort in SCORES else RANKED_BY
    sections = [
        Section(
            "scores",
            "Scores",
            "How many units matter at initialisation, and how evenly, without data or weights. No "
            "score is best everywhere: multiplications and parameters are beside it.",
            [charts.scores(comparison.scores, styles, score)] if comparison.scores else [],
        ),
        Section(
            "estimates",
            "Estimates",
            f"What the publication ranks models by. {RANKING}",
            [charts.estimates(analyses, styles)] if any(one.num_inputs for one in analyses) else [],
        ),
        Section(
            "depth",
            "Contexts along the depth",
            "Parameters near the input have the most paths to an output.",
            [charts.contexts(analyses, styles)] if any(one.has_layers for one in analyses) else [],
        ),
        Section(
            "spectra",
            "Spectra",
            "All quantities of a model follow from its distinct counts and from how many "
            "parameters have each.",
            [charts.spectra(analyses, styles)],
        ),
        Section(
            "temperature",
            "Temperature",
            "The parameters as states of energy E = log2 C, in equilibrium at a temperature T. At "
            "T = -1, the published setting, U is the expected spread, S the entropy H, and F is "
            "log2 Z. A peak of the heat capacity is where it passes from some levels to others.",
            charts.temperatures(curves, peaks, styles, smallest if wanted is None else None),
            _sweep_table(comparison, ensembles) + _peaks_table(comparison, peaks),
        ),
    ]
    return [section for section in sections if section.charts]


def _without_layers(comparison: ComparisonLike) -> list[str]:
    """A note on the models that parts of the page leave out."""
    names = [one.name for one in comparison if not one.has_layers]
    if not names:
        return []
    return [f"Only networks have layers; the parts on layers are without {', '.join(names)}."]


def _sweep_table(comparison: ComparisonLike, ensembles: Sequence[Ensemble]) -> str:
    """A few temperatures of each model."""
    columns = ("temperature", "free_energy", "energy", "entropy", "heat_capacity")
    rows = []
    for one, ensemble in zip(comparison, ensembles, strict=True):
        sweep = ensemble.sweep(LISTED_TEMPERATURES)
        for temperature, *values in zip(*(sweep[name].tolist() for name in columns), strict=True):
            rows.append([one.name, f"{temperature:g}", *(f"{value:,.3f}" for value in values)])
    headings = ["model", "T", "F [bits]", "U [bits]", "S [bits]", "C_v [bits]"]
    return html.table("Quantities at a few temperatures", headings, rows, symbols="headings")


def _peaks_table(comparison: ComparisonLike, peaks: Sequence[Sequence[HeatCapacityPeak]]) -> str:
    """Every peak of the heat capacity of each model."""
    rows = [
        [
            model.name,
            one.name,
            f"{one.temperature:.6g}",
            f"{one.beta:,.6g}",
            *(f"{value:,.3f}" for value in (one.heat_capacity, one.energy, one.entropy)),
        ]
        for model, found in zip(comparison, peaks, strict=True)
        for one in found
    ]
    headings = ["model", "peak", "T", "1 / T", "C_v [bits]", "U [bits]", "S [bits]"]
    return (
        html.table("Peaks of the heat capacity", headings, rows, symbols="headings") if rows else ""
    )


def _title(comparison: ComparisonLike) -> str:
    if len(comparison) == 1:
        return f"Contexts of {comparison[0].name}"
    return f"{len(comparison)} {comparison.title[0].lower()}{comparison.title[1:]}"


def _find_headline(comparison: ComparisonLike) -> str:
    """What the page finds, in a sentence or two."""
    if len(comparison) == 1:
        return _find_main_layers(comparison[0])
    quantity, figures = _ranked_by(comparison)
    found = [(one, figure) for one, figure in zip(comparison, figures, strict=True) if figure]
    if len(found) < 2:
        return f"{comparison[0].name} comes first of {len(comparison)} models."
    # Sorting keeps the order of the page among equals.
    ranked = sorted(found, key=lambda pair: -pair[1].value)
    (first, ahead), (second, next_best), *_, (last, least) = [*ranked, ranked[-1]]
    what = quantity.label.removesuffix(f" {quantity.symbol}")
    end = f"{last.name} has the least, {least.text}."
    if ahead.value == next_best.value:
        return f"{first.name} and {second.name} share the largest {what}: {ahead.text}."
    return (
        f"{first.name} has the largest {what}, {ahead.text}, before {second.name} with "
        f"{next_best.text.partition(' ')[0]}. {end}"
    )


class Figure(NamedTuple):
    """A value of the quantity that models are ranked by, and how it is written."""

    value: float
    text: str


def _ranked_by(comparison: ComparisonLike) -> tuple[Quantity, list[Figure | None]]:
    """The quantity that models are ranked by, and that of each; of names, the usual one."""
    usual = RANKED_BY if comparison.scores else "spread_estimate"
    key = {"name": usual, "total_contexts": "log2_total_contexts"}.get(
        comparison.sort, comparison.sort
    )
    figures: list[Figure | None] = []
    if comparison.scores and key in SCORES:
        quantity = SCORES[key]
        for scores in comparison.scores:
            text = "" if scores is None else format_score(scores, quantity)
            unit = f" {scores.unit}" if scores is not None and quantity.unit else ""
            value = None if scores is None else float(getattr(scores, key))
            figures.append(None if value is None else Figure(value, f"{text}{unit}"))
    else:
        quantity = CATALOGUE[key]
        for one in comparison:
            value = value_of(one, key)
            unit = f" {quantity.unit}" if quantity.unit else ""
            text = f"{format_cell(one, quantity)}{unit}"
            figures.append(None if value is None else Figure(float(value), text))
    return quantity, figures


def _find_main_layers(analysis: AnalysisLike) -> str:
    """How few layers half of the expected spread comes from."""
    if not analysis.has_layers or not analysis.layers:
        return (
            f"{tables.integer(analysis.num_parameters)} parameters of {analysis.name} have "
            f"{tables.integer(len(analysis.spectrum))} different numbers of contexts."
        )
    shares = sorted(float(np.nan_to_num(one.share_of_spread)) for one in analysis.layers)[::-1]
    number = min(int(np.searchsorted(np.cumsum(shares), 0.5)) + 1, len(shares))
    main = sorted(analysis.layers, key=lambda one: -np.nan_to_num(one.share_of_spread))[:number]
    size = sum(one.num_parameters for one in main) / max(analysis.num_parameters, 1)
    which = f"one layer, {main[0].name}," if number == 1 else f"{number} layers"
    return (
        f"More than half of the expected spread of {analysis.name} comes from {which} of "
        f"{len(shares)}, with {tables.share(size, size > 0)} of the parameters."
    )


def _lead(comparison: ComparisonLike) -> str:
    exact = sum(one.is_exact for one in comparison)
    how = {0: "in log space", len(comparison): "exactly"}.get(exact, "some of them in log space")
    models = f"{len(comparison)} models" if len(comparison) > 1 else "One model"
    return (
        f"{models}, counted {how}: how often each parameter is reused on the way to an output, "
        "without any training."
    )


def _ranking(comparison: ComparisonLike) -> str:
    """The table of scores, if there are any, and that of counts.

    The count that models are sorted by is first, with bars behind it.
    """
    ordered = sorted(TABULATED, key=lambda quantity: quantity.key != comparison.sort)
    headings = [one.with_unit(one.heading, "[]") for one in ordered]
    rows = [format_row(one, ordered) for one in comparison]
    bars = {}
    caption = "Contexts" if comparison.scores else comparison.title
    if ordered[0].key == comparison.sort:
        # None becomes not a number.
        values = np.array([value_of(one, comparison.sort) for one in comparison], np.float64)
        start = sensible_zero(values)
        values = np.where(np.isfinite(values), values - start, 0.0).clip(min=0.0)
        bars[1] = list(values / (values.max() or 1.0))
        if start:
            caption += f". Bars begin at {start:,.6g}"
    heads = ["model", *headings]
    counts = html.table(caption, heads, rows, bars=bars, symbols="headings")
    return html.scores(comparison) + counts if comparison.scores else counts


def _facts(analyses: Sequence[AnalysisLike]) -> str:
    """What was counted of which model, and how."""
    columns: dict[str, Callable[[AnalysisLike], str]] = {
        "inputs": _inputs,
        "outputs": lambda one: tables.integer(one.num_outputs),
        "parameters that reach no output": lambda one: tables.integer(one.num_unreached_parameters),
        "weight nodes": lambda one: tables.integer(one.num_weight_nodes),
        "levels of the spectrum": lambda one: tables.integer(len(one.spectrum)),
        "counted": lambda one: "exactly" if one.is_exact else "in log space",
        "semantics": lambda one: one.semantics or tables.MISSING,
    }
    rows = [[one.name, *(cell(one) for cell in columns.values())] for one in analyses]
    return html.table("What was counted, and how", ["model", *columns], rows)


def _model(analysis: AnalysisLike, style: charts.Look, safe: Any) -> dict[str, Any]:
    """What the template shows of one model."""
    layers = summary = ""
    if analysis.has_layers:
        rows = [layer_row(layer, 3) for layer in analysis.layers]
        caption = f"Layers of {analysis.name}, with the shape of the first parameter of each"
        shares = [float(np.nan_to_num(layer.share_of_spread)) for layer in analysis.layers]
        layers = html.table(
            caption, HEADINGS, rows, symbols="headings", bars={len(HEADINGS) - 1: shares}
        )
        summary = f"{style.key}: {len(rows)} layers"
    return {
        **style._asdict(),
        "name": analysis.name,
        "layers": safe(layers),
        "summary": summary,
    }


def _initialization(report: InitializationReport, safe: Any) -> dict[str, Any]:
    """What the template shows of a signal before training."""
    return {
        "name": report.name,
        "findings": report.findings,
        "advice": report.advice,
        "table": safe(report._repr_html_() if report.rows else ""),
    }


def _inputs(analysis: AnalysisLike) -> str:
    number = tables.integer(analysis.num_inputs)
    if analysis.input_size is not None:
        height, width = analysis.input_size
        return f"{number} (for {height} × {width}, counted at a smaller size)"
    if analysis.input_shapes is None:
        return number
    shapes = [" × ".join(map(str, shape)) or "1" for shape in analysis.input_shapes]
    return f"{number} ({', '.join(shapes)})" if shapes else number


def _provenance(comparison: ComparisonLike, date: datetime.date | str | None) -> str:
    rows = [
        ("unrolled", VERSION),
        ("Python", platform.python_version()),
        ("NumPy", np.__version__),
        ("Bokeh", str(import_optional("bokeh", "report").__version__)),
    ]
    if date is not None:
        rows.insert(0, ("date", str(date)))
    return html.table("Made with", ["what", "version"], rows, classes="text")


def _symbols() -> list[tuple[str, str, str]]:
    measured = [one for one in TABULATED if one.unit]
    return [(one.symbol, one.meaning, one.unit) for one in measured] + list(OTHER_SYMBOLS)
