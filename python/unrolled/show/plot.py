"""Figures of analyses and comparisons, drawn by matplotlib (the extra ``plot``).

Every function returns the figure and its axes, so that they can be changed and saved. Functions
for one panel take the axes to draw into, or make a figure of their own. No display is needed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unrolled._support import files
from unrolled._support.optional import import_optional
from unrolled.errors import InvalidArgumentError, NothingToCountError
from unrolled.printable import printable
from unrolled.show import tables
from unrolled.show.layers import LayerSummary
from unrolled.show.protocols import AnalysisLike, ComparisonLike
from unrolled.spectrum.catalogue import CATALOGUE, SCORES, value_of
from unrolled.spectrum.spectrum import Spectrum

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


__all__ = [
    "close",
    "contexts",
    "histogram",
    "new_figure",
    "overview",
    "ranking",
    "save",
    "save_drawn",
    "spectrum",
    "spread",
]

STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": "medium",
    "figure.dpi": 110,
    "font.size": 9,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "savefig.dpi": 160,
}
COLOR, SECOND_COLOR = "#0072b2", "#d55e00"
"""The colours of Okabe and Ito, which colour-blind readers can tell apart."""

LITERAL: dict[str, Any] = {"parse_math": False, "usetex": False}
"""Options of a text with a name in it: what is between two dollar signs is no formula."""

PANEL = (6.4, 3.2)
LOG_COUNT = r"$\log_2 C$ [bits]"
MOST_TICKS = 12
MOST_BARS = 12
MOST_RANKED = 40
"""Of longer rankings both ends are drawn."""
ALIKE = 0.6
"""Bars whose shortest is this part of the longest do not begin at zero."""
LEAST_SHARE = 5e-5
BINS = 60


@contextmanager
def styled() -> Iterator[None]:
    """Our style for whatever is created within."""
    with import_optional("matplotlib", "plot").rc_context(STYLE):
        yield


def new_figure(rows: int = 1, size: tuple[float, float] = PANEL) -> tuple[Figure, list[Axes]]:
    """A figure of panels one below the other.

    Parameters
    ----------
    rows : int
    size : tuple of float
        Width of the figure and height of each panel in inches.
    """
    figure = empty_figure(size[0], size[1] * rows)
    # Figures within the figure, so that long names in one panel leave the others their width.
    parts = figure.subfigures(rows, 1, squeeze=False)[:, 0]
    return figure, [part.subplots() for part in parts]


def panel(axes: Axes | None) -> Axes:
    """The axes that were given, or those of a new figure. To be called within `styled`."""
    return new_figure()[1][0] if axes is None else axes


def figure_of(axes: Axes) -> Figure:
    """The figure that axes belong to, also if they lie in a figure within it."""
    return axes.figure.canvas.figure


def empty_figure(width: float, height: float) -> Figure:
    """A figure of a size in inches, also where there is no display."""
    options: dict[str, Any] = {"figsize": (width, height), "layout": "constrained"}
    try:
        figure: Figure = import_optional("matplotlib.pyplot", "plot").figure(**options)
    except ImportError:  # A window was asked for where there is no display.
        figure = import_optional("matplotlib.figure", "plot").Figure(**options)
    return figure


def contexts(analysis: AnalysisLike, *, axes: Axes | None = None) -> tuple[Figure, Axes]:
    """Contexts of the parameters of each layer, along the depth.

    For each layer in the order of declaration, a bar from the smallest to the largest count in
    bits (``log2 C``). Layers whose parameters reach no output have none.

    Parameters
    ----------
    analysis : Analysis
    axes : matplotlib.axes.Axes, optional

    Returns
    -------
    figure, axes

    Raises
    ------
    InvalidArgumentError
        The analysis was made of a graph, or of a spectrum alone.
    MissingPackageError
        matplotlib is not installed.
    """
    layers = analysis.layers
    with styled():
        axes = panel(axes)
        at = np.arange(1, len(layers) + 1)
        least = np.array([layer.log2_minimum for layer in layers])
        most = np.array([layer.log2_maximum for layer in layers])
        axes.vlines(at, least, most, color=COLOR, linewidth=max(0.8, min(6, 260 / len(layers))))
        for ends in (least, most):
            axes.plot(at, ends, "o", color=COLOR, markersize=max(2.0, min(5, 200 / len(layers))))
        axes.set(title="Contexts along the depth, from the least to the most of each layer")
        axes.set_ylabel(f"contexts of a parameter,\n{LOG_COUNT}")
        axes.set_ylim(bottom=min(0, *axes.get_ylim()))
        _label_layers(axes, layers)
    return figure_of(axes), axes


def spectrum(source: AnalysisLike | Spectrum, *, axes: Axes | None = None) -> tuple[Figure, Axes]:
    """The spectrum: how many parameters have how many contexts.

    The number of parameters (the degeneracy) in equal intervals of ``log2 C``, on a logarithmic
    axis.

    Parameters
    ----------
    source : Analysis or Spectrum
    axes : matplotlib.axes.Axes, optional

    Returns
    -------
    figure, axes

    Raises
    ------
    NothingToCountError
        An empty spectrum.
    MissingPackageError
        matplotlib is not installed.
    """
    levels = source if isinstance(source, Spectrum) else source.spectrum
    edges, numbers = histogram(levels)
    with styled():
        axes = panel(axes)
        axes.stairs(numbers, edges, fill=True, color=COLOR, alpha=0.85, baseline=0.5)
        axes.set_yscale("log")
        axes.set_ylim(bottom=0.7)
        axes.set(
            title=f"Spectrum: {tables.integer(len(levels))} levels",
            xlabel=f"contexts of a parameter, {LOG_COUNT}",
            ylabel="number of parameters, $g$",
        )
    return figure_of(axes), axes


def histogram(levels: Spectrum, bins: int = BINS) -> tuple[Any, Any]:
    """Edges in bits, shape ``(bins + 1,)``, and numbers of parameters, shape ``(bins,)``.

    Raises
    ------
    NothingToCountError
        No level.
    """
    if not len(levels):
        raise NothingToCountError("an empty spectrum cannot be drawn: no parameter has a context")
    bits = levels.log2_counts
    span = (float(bits[0]) - 0.5, float(bits[-1]) + 0.5)
    numbers, edges = np.histogram(
        bits, bins=bins, range=span, weights=levels.degeneracies.astype(np.float64)
    )
    return edges, numbers


def spread(analysis: AnalysisLike, *, axes: Axes | None = None) -> tuple[Figure, Axes]:
    """Shares of the expected spread by layer, the largest first, and the rest together.

    Parameters, results and errors are those of `contexts`.
    """
    ordered = sorted(analysis.layers, key=lambda layer: -np.nan_to_num(layer.share_of_spread))
    number = sum(layer.share_of_spread >= LEAST_SHARE for layer in ordered[:MOST_BARS])
    shown, rest = ordered[: max(number, 1)], ordered[max(number, 1) :]
    names = [layer.name for layer in shown]
    shares = [float(np.nan_to_num(layer.share_of_spread)) for layer in shown]
    if rest:
        names.append(f"{len(rest)} other{'s' if len(rest) > 1 else ''}")
        shares.append(float(sum(np.nan_to_num(layer.share_of_spread) for layer in rest)))
    with styled():
        axes = panel(axes)
        colors = [COLOR] * len(shown) + ["#999999"] * bool(rest)
        texts = [tables.share(share, is_positive=share > 0) for share in shares]
        _bars(axes, names, [100 * share for share in shares], texts, colors)
        axes.margins(x=0.12)
        axes.set(
            title="Where the spread comes from",
            xlabel=r"share of the expected spread $E[\log_2 C]$ [%]",
        )
    return figure_of(axes), axes


def overview(analysis: AnalysisLike) -> tuple[Figure, list[Axes]]:
    """What `Analysis.plot` draws: `contexts`, `spectrum` and `spread`, one below the other.

    Only the spectrum of an analysis that knows no layers.
    """
    panels = [contexts, spectrum, spread] if analysis.has_layers else [spectrum]
    with styled():
        figure, axes = new_figure(len(panels))
        number = tables.integer(analysis.num_parameters)
        figure.suptitle(f"{printable(analysis.name)}: {number} parameters", **LITERAL)
        for panel, at in zip(panels, axes, strict=True):
            panel(analysis, axes=at)
    return figure, axes


def ranking(comparison: ComparisonLike) -> tuple[Figure, Axes]:
    """Models as bars in the order of their ranking, by the figure they are sorted by.

    A comparison sorted by name shows the spread estimate, one sorted by total contexts their
    logarithm. Models that have no such figure have a dash instead of a bar.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    figure, axes

    Raises
    ------
    MissingPackageError
        matplotlib is not installed.
    """
    key = {"name": "spread_estimate", "total_contexts": "log2_total_contexts"}.get(
        comparison.sort, comparison.sort
    )
    if key in CATALOGUE:
        quantity, values = CATALOGUE[key], [value_of(one, key) for one in comparison]
    else:
        quantity, values = SCORES[key], [row[key] for row in comparison.to_dict()]
    finite = [0.0 if value is None or not np.isfinite(value) else float(value) for value in values]
    title = f"{quantity.title} {quantity.latex}" if quantity.is_tabulated else quantity.label
    label = quantity.with_unit(title, "[]")
    names = [one.name for one in comparison]
    texts = [_bar_text(value) for value in values]
    start = sensible_zero([value for value in finite if value])
    if len(names) > MOST_RANKED:
        # Both ends, and a line between that says how many are left out.
        half = MOST_RANKED // 2
        left_out = f"{tables.integer(len(names) - 2 * half)} models between"
        names = [*names[:half], left_out, *names[-half:]]
        texts = [*texts[:half], "", *texts[-half:]]
        finite = [*finite[:half], start, *finite[-half:]]
    with styled():
        figure, (axes,) = new_figure(size=(PANEL[0], 1.0 + 0.3 * len(names)))
        _bars(axes, names, finite, texts, COLOR)
        axes.margins(x=0.2)
        if start:
            # Bars are cut off where they are all alike; the axis says where.
            axes.set_xlim(start, start + 1.25 * (max(finite) - start))
            label += f", from {start:,.6g}"
        axes.set(title=comparison.title, xlabel=label)
    return figure, axes


def sensible_zero(values: Sequence[float] | Any) -> float:
    """Where bars begin: at zero, unless all are so large that their ends would look alike.

    Then at a round number below the smallest, which leaves it a tenth of the longest bar or more.

    Examples
    --------
    >>> sensible_zero([3.0, 10.0]), sensible_zero([26.05, 26.4, 26.7])
    (0.0, 25.9)
    """
    given = np.asarray(values, dtype=np.float64)
    found = given[np.isfinite(given)]
    if len(found) < 2 or found.min() <= 0 or found.min() < ALIKE * found.max():
        return 0.0
    span = float(found.max() - found.min())
    if span <= 0:
        return 0.0
    step = 10.0 ** np.floor(np.log10(span))
    return float(round(np.floor((found.min() - span / 9) / step) * step, 12))


def _bars(
    axes: Axes,
    names: Sequence[str],
    lengths: Sequence[float],
    texts: Sequence[str],
    color: str | Sequence[str],
) -> None:
    """Horizontal bars with a name before and a text behind, the first on top."""
    bars = axes.barh(range(len(names)), lengths, color=color)
    axes.bar_label(bars, texts, padding=2, fontsize="small")
    axes.set_yticks(range(len(names)), [printable(name) for name in names], **LITERAL)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")


def _bar_text(value: float | None) -> str:
    return tables.MISSING if value is None else tables.figure(value)


def save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure to a file of the kind its suffix says, whole or not at all.

    Raises
    ------
    InvalidArgumentError
        A suffix matplotlib has no format for.
    OSError
        The file cannot be written.
    """
    path = Path(path)
    kind = checked_image_kind(path)
    with styled():
        return files.write_with(path, lambda file: figure.savefig(file, format=kind))


def save_drawn(draw: Callable[[], tuple[Figure, Any]], path: str | os.PathLike[str]) -> Path:
    """Draw a figure into a file, and let go of it, whatever happens.

    Parameters
    ----------
    draw : callable
        Such as the method ``plot`` of a result; returns the figure first.
    path : str or path

    Raises
    ------
    InvalidArgumentError, MissingPackageError
        See `checked_image_kind`; nothing is drawn then.
    OSError
        The file cannot be written.
    """
    checked_image_kind(Path(path))
    before = _figure_numbers()
    try:
        return save(draw()[0], path)
    finally:
        for number in _figure_numbers() - before:
            sys.modules["matplotlib.pyplot"].close(number)


def close(figure: Figure) -> None:
    """Let go of a figure that nobody is shown, which pyplot would keep until the end."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close(figure)


def _figure_numbers() -> set[int]:
    """Of the figures that pyplot keeps, which is not there if it found no display."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    return set() if pyplot is None else set(pyplot.get_fignums())


def checked_image_kind(path: Path) -> str:
    """The kind of image that the suffix of a file says, before anything is drawn.

    Raises
    ------
    InvalidArgumentError
        A suffix that matplotlib has no format for.
    MissingPackageError
        matplotlib is not installed.
    """
    canvas = import_optional("matplotlib.backend_bases", "plot").FigureCanvasBase
    known = canvas.get_supported_filetypes()
    kind = path.suffix.lower().removeprefix(".")
    if kind not in known:
        raise InvalidArgumentError(
            f"'{path}' must end in the suffix of an image: {', '.join(f'.{one}' for one in known)}"
        )
    return kind


def _label_layers(axes: Axes, layers: Sequence[LayerSummary]) -> None:
    """Name the stages (what the names have before the first dot) where there are few of them."""
    starts, names = [], []
    at = 1
    for stage, members in groupby(layers, key=lambda layer: layer.name.partition(".")[0]):
        starts.append(at)
        names.append(printable(stage))
        at += len(list(members))
    axes.set_xlim(0.5, len(layers) + 0.5)
    axes.set_xlabel("layer, from the input to the output")
    if len(names) <= MOST_TICKS:
        least, last = len(layers) / MOST_TICKS / 2, -len(layers)
        for number, start in enumerate(starts):
            if start - last < least:  # Its name would lie on the one before.
                names[number] = ""
            else:
                last = start
        axes.set_xticks(starts, names, rotation=30, ha="right", rotation_mode="anchor", **LITERAL)
    else:
        axes.locator_params(axis="x", integer=True)
