"""The charts of the report, drawn by Bokeh in the reader's browser."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from itertools import count, cycle
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from unrolled._support.hints import shortened
from unrolled._support.optional import import_optional
from unrolled.ensemble.sweeps import peaks_on
from unrolled.printable import printable
from unrolled.show import tables
from unrolled.show.plot import histogram
from unrolled.show.protocols import AnalysisLike, ScoresLike
from unrolled.show.signed_logarithms import MANY_SCALES, decade_label, decades
from unrolled.spectrum.catalogue import SCORES

if TYPE_CHECKING:
    from unrolled.ensemble.levels import Floats
    from unrolled.ensemble.sweeps import HeatCapacityPeak, TemperatureSweep

__all__ = [
    "Chart",
    "Look",
    "contexts",
    "embedded",
    "estimates",
    "library",
    "looks",
    "scores",
    "spectra",
    "temperatures",
]

HEIGHT = 330
COLORS = ("#2a87c8", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a6fd1", "#808080")
DASHES = ("solid", "dashed", "dotted", "dotdash")
DECIMALS = 3
MANY_MODELS = 6
"""Of more models, curves have fewer points, so that a page stays small."""
MOST_POINTS = 120
NAME_TAG = "name"
"""Marks the renderers of names, which the script of the page places."""
LONGEST_NAME = 28
DEFAULTS = {"view", "selected", "selection_policy"}
"""Attributes that Bokeh writes for every line and point, and that its script makes by itself."""


class Look(NamedTuple):
    """How a model looks in every chart, and the name by which its lines are hidden."""

    key: str
    color: str
    dash: str


class Chart(NamedTuple):
    """A Bokeh figure, the element it goes into, and what is written below."""

    anchor: str
    caption: str
    figure: Any


def looks(names: Sequence[str]) -> list[Look]:
    """As many different ones as there are, then again from the start.

    The first model of a name has it as its key; another one has a number behind, but never the
    name of a third.
    """
    pairs = cycle((color, dash) for dash in DASHES for color in COLORS)
    shown = [printable(name) for name in names]
    taken = set(shown)
    keys: list[str] = []
    for name in shown:
        key = name
        if name in keys:
            numbered = (f"{name} ({number})" for number in count(2))
            key = next(one for one in numbered if one not in taken)
            taken.add(key)
        keys.append(key)
    return [Look(key, *pair) for key, pair in zip(keys, pairs, strict=False)]


def estimates(analyses: Sequence[AnalysisLike], styles: Sequence[Look]) -> Chart:
    """Both estimates of every model that has an input, over its number of parameters."""
    largest = max(one.num_parameters for one in analyses)
    millions = largest >= 10**6
    figure = _figure(
        f"number of parameters, N_G{' [millions]' if millions else ''}", "estimate [bits]",
        x_axis_type="log", tooltips=[
            ("model", "$name"), ("parameters", "@parameters{0,0}"),
            ("estimate", "@what = @y{0.0000} bits"),
        ],
    )  # fmt: skip
    _label_decades(figure)
    for one, look in zip(analyses, styles, strict=True):
        if not one.num_inputs:
            continue
        for what, symbol, marker in (
            ("spread_estimate", "P'_G", "circle"),
            ("surprisal_estimate", "P_G", "triangle"),
        ):
            data = {
                "x": [one.num_parameters / 1e6 if millions else one.num_parameters],
                "y": _round([getattr(one, what)]),
                "parameters": [one.num_parameters],
                "what": [symbol],
            }
            _add_point(figure, data, look, marker, is_named=what == "spread_estimate")
    figure.hover.renderers = _points_of(figure)
    caption = (
        "The estimates of each model over its number of parameters: circles the spread estimate "
        "P'_G, triangles the surprisal estimate P_G, in bits."
    )
    return Chart("chart-estimates", caption, figure)


def scores(found: Sequence[ScoresLike | None], styles: Sequence[Look], key: str) -> Chart:
    """A score of every model that has one, over its multiplications."""
    quantity = SCORES[key]
    known = [one for one in found if one is not None]
    unit = f" [{known[0].unit}]" if quantity.unit else ""
    figure = _figure(
        "multiplications, MACs [billions]", f"{quantity.title}{unit}", x_axis_type="log",
        tooltips=[
            ("model", "$name"), ("parameters", "@parameters{0,0}"), ("MACs", "@macs{0,0}"),
            (quantity.title, f"@y{{0,0.000}}{unit}"),
        ],
    )  # fmt: skip
    _label_decades(figure)
    for one, look in zip(found, styles, strict=True):
        if one is None:
            continue
        figures = one.to_dict()
        macs = int(figures["macs"])
        if not macs:
            continue
        data = {
            "x": [macs / 1e9],
            "y": _round([float(figures[key])]),
            "parameters": [figures["num_parameters"]],
            "macs": [macs],
        }
        _add_point(figure, data, look, "circle", is_named=True)
    figure.hover.renderers = _points_of(figure)
    caption = (
        f"The {quantity.title}{unit} of each model over its multiplications: more means "
        f"{quantity.more_means}. Models above others of as many multiplications score higher than "
        "their size alone would."
    )
    return Chart("chart-scores", caption, figure)


def _label_decades(figure: Any) -> None:
    """Ticks at 1, 2 and 5: Bokeh's own may be one or two where there are less than two decades."""
    figure.xaxis.formatter = _models().NumeralTickFormatter(format="0,0.[00000]")
    decades = range(-6, 20)
    figure.xaxis.ticker = [digit * 10.0**decade for decade in decades for digit in (1, 2, 5)]


def _add_point(
    figure: Any, data: dict[str, Any], look: Look, marker: str, *, is_named: bool
) -> None:
    """A point of a model, and beside it its name, which the page moves to where there is room."""
    label = {"label": [shortened(look.key, LONGEST_NAME)]} if is_named else {}
    source = _source({**data, **label})
    figure.scatter(
        "x", "y", source=source, name=look.key, marker=marker, size=11, color=look.color,
        fill_alpha=0.6,
    )  # fmt: skip
    if is_named:
        figure.text(
            "x", "y", "label", source=source, name=look.key, text_color=look.color,
            text_font_size="10px", text_baseline="middle", text_align="left", x_offset=9,
            tags=[NAME_TAG],
        )  # fmt: skip


def _points_of(figure: Any) -> list[Any]:
    return [one for one in figure.renderers if not isinstance(one.glyph, _models().Text)]


def contexts(analyses: Sequence[AnalysisLike], styles: Sequence[Look]) -> Chart:
    """The most contexts of each layer, along the depth, of models that have layers."""
    figure = _figure(
        "layer, from the input to the output", "contexts of a parameter, log2 C [bits]", tooltips=[
            ("layer", "@name"), ("model", "$name"), ("parameters", "@parameters{0,0}"),
            ("log2 C", "@least{0.000} to @y{0.000} bits"), ("share of E", "@share"),
        ],
    )  # fmt: skip
    points = []
    for one, look in zip(analyses, styles, strict=True):
        if not one.has_layers:
            continue
        layers = [layer for layer in one.layers if layer.num_parameters]
        data = {
            "x": list(range(1, len(layers) + 1)),
            "y": _round(layer.log2_maximum for layer in layers),
            "least": _round(layer.log2_minimum for layer in layers),
            "name": [printable(layer.name) for layer in layers],
            "parameters": [layer.num_parameters for layer in layers],
            "share": [
                tables.share(layer.share_of_spread, layer.log2_maximum > 0) for layer in layers
            ],
        }
        source = _source(data)
        line = {"line_color": look.color, "line_dash": look.dash, "line_width": 1.8}
        figure.line("x", "y", source=source, name=look.key, **line)
        points.append(
            figure.scatter("x", "y", source=source, name=look.key, size=4, color=look.color)
        )
    figure.hover.renderers = points  # Lines lie under the points, and would tell the same twice.
    caption = (
        "The most contexts a parameter of each layer has, in bits (log2 C), over the position of "
        "the layer."
    )
    return Chart("chart-contexts", caption, figure)


def spectra(analyses: Sequence[AnalysisLike], styles: Sequence[Look]) -> Chart:
    """How many parameters have how many contexts."""
    figure = _figure(
        "contexts of a parameter, log2 C [bits]", "number of parameters, g", y_axis_type="log",
        tooltips=[
            ("model", "$name"), ("log2 C", "@x{0.0} bits"), ("parameters", "@y{0,0}"),
        ],
    )  # fmt: skip
    for one, look in zip(analyses, styles, strict=True):
        edges, numbers = histogram(one.spectrum)
        shown = numbers > 0
        data = {
            "x": _round(((edges[:-1] + edges[1:]) / 2)[shown]),
            "y": [int(number) for number in numbers[shown]],
        }
        source, color = _source(data), look.color
        figure.scatter("x", "y", source=source, name=look.key, size=6, color=color, alpha=0.75)
    caption = (
        "How many parameters have how many contexts: each point is one of 60 equal intervals of "
        "log2 C, in bits, that has parameters."
    )
    return Chart("chart-spectra", caption, figure)


def temperatures(
    curves: Sequence[TemperatureSweep],
    peaks: Sequence[Sequence[HeatCapacityPeak]],
    styles: Sequence[Look],
    smallest: float | None,
) -> list[Chart]:
    """Four quantities of every model against the temperature, with a gap at T = 0.

    Temperatures from `smallest` on may differ by powers of ten: the axis is then logarithmic but
    next to zero. It is linear if there is none.
    """
    quantities = {
        "free_energy": "free energy, F",
        "energy": "expected energy, U",
        "entropy": "entropy, S",
        "heat_capacity": "heat capacity, C_v",
    }
    sizes = np.abs(np.concatenate([curve["temperature"] for curve in curves]))
    largest = float(sizes[np.isfinite(sizes)].max(initial=0.0))
    width = smallest if smallest is not None and largest > MANY_SCALES * smallest else None
    most = MOST_POINTS if len(curves) > MANY_MODELS else None
    sources = [_curve_source(curve, quantities, width, most) for curve in curves]
    marks = [_peaks_source(found, curve, width) for found, curve in zip(peaks, curves, strict=True)]
    charts = []
    for column, label in quantities.items():
        figure = _figure(
            "temperature, T", f"{label} [bits]", tooltips=[
                ("model", "$name"), ("T", "@temperature{%.4g}"),
                (label, f"@{column}{{0.0000}} bits"),
            ],
        )  # fmt: skip
        figure.hover.formatters = {"@temperature": "printf"}
        setting = _places([-1.0], width)[0]
        figure.add_layout(_models().Span(location=setting, dimension="height", line_dash="dotted"))
        if width is not None:
            ticks = decades(width, largest)
            places = _places(ticks, width)
            figure.xaxis.ticker = places
            labels = map(decade_label, ticks)
            figure.xaxis.major_label_overrides = dict(zip(places, labels, strict=True))
        for source, named, look in zip(sources, marks, styles, strict=True):
            line = {"line_color": look.color, "line_dash": look.dash, "line_width": 1.8}
            figure.line("x", column, source=source, name=look.key, **line)
            if column == "heat_capacity":
                figure.y_range.range_padding = 0.2  # Room for the names above the peaks.
                figure.text(
                    "x", column, "peak", source=named, name=look.key, text_color=look.color,
                    text_align="center", text_font_size="11px", y_offset=-3,
                )  # fmt: skip
        caption = (
            f"The {label}, in bits, of each model against the temperature T. The dotted line is "
            "the published setting, T = -1."
        )
        if column == "heat_capacity":
            caption += " Letters name the peaks that are listed below."
        charts.append(Chart(f"chart-{column.replace('_', '-')}", caption, figure))
    return charts


def _curve_source(
    curve: TemperatureSweep, quantities: Iterable[str], width: float | None, most: int | None
) -> Any:
    """A curve by rising temperature, with a line of nothing at T = 0, of so many points at most."""
    gap = int(np.count_nonzero(np.signbit(curve["temperature"])))
    kept = np.arange(len(curve["temperature"]))
    if most is not None and len(kept) > most:
        peak = int(np.nanargmax(curve["heat_capacity"]))
        wanted = np.linspace(0, len(kept) - 1, most).astype(np.int64)
        kept = np.unique([*wanted.tolist(), peak, max(gap - 1, 0), min(gap, len(kept) - 1)])
        gap = int(np.count_nonzero(kept < gap))
    columns = {
        name: np.insert(curve[name][kept], gap, np.nan) for name in ("temperature", *quantities)
    }
    return _source(
        {
            "x": _places(columns["temperature"], width),
            "temperature": _significant(columns.pop("temperature")),
            **{name: _round(values) for name, values in columns.items()},
        }
    )


def _peaks_source(
    peaks: Sequence[HeatCapacityPeak], curve: TemperatureSweep, width: float | None
) -> Any:
    """The peaks that lie on a curve."""
    inside = peaks_on(curve, peaks)
    return _source(
        {
            "x": _places([peak.temperature for peak in inside], width),
            "temperature": _significant(peak.temperature for peak in inside),
            "heat_capacity": _round(peak.heat_capacity for peak in inside),
            "peak": [peak.name for peak in inside],
        }
    )


def _places(temperatures: Sequence[float] | Floats, width: float | None) -> list[float]:
    """Where temperatures are on the axis, which is linear within a width, or everywhere."""
    values = np.asarray(temperatures, dtype=np.float64)
    return _significant(values if width is None else np.arcsinh(values / width))


def embedded(charts: Iterable[Chart]) -> str:
    """All charts as JSON that may stand in a script element, and that depends on nothing else.

    Bokeh numbers its objects through the life of a process; here they are numbered from 1, so that
    equal reports are equal files.
    """
    document = import_optional("bokeh.document", "report").Document()
    charts = list(charts)
    for chart in charts:
        for renderer in chart.figure.renderers:
            # Nothing can be selected or muted: looks for that would make the page a third larger.
            if isinstance(renderer, _models().GlyphRenderer):
                renderer.nonselection_glyph = renderer.muted_glyph = None
    with document.models.freeze():  # Looks for the models of all charts once, not after each.
        for chart in charts:
            document.add_root(chart.figure)
    numbers: dict[str, str] = {}
    content = _shorten(document.to_json(deferred=False), numbers)
    content["title"] = ""
    roots = {numbers[chart.figure.id]: chart.anchor for chart in charts}
    text = json.dumps({"document": content, "roots": roots}, separators=(",", ":"))
    # Whatever a model is called, it cannot end the script element.
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def library() -> str:
    """BokehJS as script elements, with its licence, without what the charts do not need."""
    resources = import_optional("bokeh.resources", "report")
    script: str = resources.Resources(mode="inline", components=["bokeh"]).render_js()
    return script


def _shorten(value: Any, numbers: dict[str, str]) -> Any:
    """Bokeh's objects with numbers for names, without what is as it is by default."""
    if isinstance(value, dict):
        return {
            key: numbers.setdefault(item, f"m{len(numbers) + 1}")
            if key == "id" and isinstance(item, str)
            else _shorten(item, numbers)
            for key, item in value.items()
            if key not in DEFAULTS
        }
    if isinstance(value, (list, tuple)):
        return [_shorten(item, numbers) for item in value]
    return value


def _figure(x_label: str, y_label: str, **options: Any) -> Any:
    plotting = import_optional("bokeh.plotting", "report")
    figure = plotting.figure(
        height=HEIGHT,
        sizing_mode="stretch_width",
        tools="box_zoom,pan,reset,save,hover",
        active_drag=None,  # A finger on a chart scrolls the page.
        toolbar_location="above",
        x_axis_label=x_label,
        y_axis_label=y_label,
        background_fill_alpha=0,
        border_fill_alpha=0,
        outline_line_color=None,
        min_border_right=12,
        **options,
    )
    figure.toolbar.logo = None
    figure.x_range.only_visible = figure.y_range.only_visible = True
    for axis in figure.axis:
        axis.axis_label_text_font_style = "normal"
    return figure


def _source(data: dict[str, Any]) -> Any:
    return _models().ColumnDataSource(data)


def _models() -> Any:
    return import_optional("bokeh.models", "report")


def _significant(values: Iterable[float]) -> list[float]:
    """Numbers of any size with six digits; what is not finite is not drawn."""
    return [float(f"{one:.6g}") if np.isfinite(one) else math.nan for one in values]


def _round(values: Iterable[float]) -> list[float]:
    """Short numbers; what is not finite is not drawn."""
    return [round(float(one), DECIMALS) if np.isfinite(one) else math.nan for one in values]
