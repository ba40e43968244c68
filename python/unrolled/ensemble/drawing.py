"""The figure of an ensemble: its quantities against temperature or its inverse, and its levels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from unrolled.ensemble.sweeps import Axis, TemperatureSweep, peaks_on
from unrolled.show.plot import COLOR, SECOND_COLOR, empty_figure, styled
from unrolled.show.signed_logarithms import MANY_SCALES, decade_label, decades

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from unrolled.ensemble.levels import Floats
    from unrolled.ensemble.sweeps import HeatCapacityPeak

__all__ = ["plot"]

PANELS = {
    "log_partition": ("partition function", r"$\ln Z$"),
    "free_energy": ("free energy", "$F$"),
    "energy": ("expected energy", "$U$"),
    "entropy": ("entropy", "$S$"),
    "heat_capacity": ("heat capacity", "$C_v$"),
}
AXES: dict[Axis, str] = {
    "temperature": "temperature $T$",
    "beta": r"inverse temperature $\beta = 1 / T$",
}
MARKS = {0.0: "-", -1.0: ":"}
"""Places that are marked on either axis: where limits differ, and the published setting."""
POLES = {("log_partition", "temperature"), ("free_energy", "beta")}
"""What runs to infinity at zero, and over which axis."""
WIDE = 1000.0
"""Logarithms of Z beyond which their axis is logarithmic itself: they grow as 1/T."""
MANY_POINTS = 40
MANY_LEVELS = 2000


def plot(
    curve: TemperatureSweep,
    marked: TemperatureSweep | None,
    peaks: Sequence[HeatCapacityPeak],
    levels: tuple[Floats, Floats],
    *,
    axis: Axis,
    linear_width: float,
) -> tuple[Figure, dict[str, Axes]]:
    """Five quantities against T or its inverse, and the levels; see `Ensemble.plot`.

    `marked` are the points that were asked for. Without any the axis was chosen to show all that
    happens, and nothing does next to zero within `linear_width`.
    """
    with styled():
        figure = empty_figure(11, 6.5)
        axes = dict(zip([*PANELS, "levels"], figure.subplots(2, 3).flat, strict=True))
        for name in PANELS:
            _draw(axes[name], name, curve, marked, axis, linear_width)
            if marked is None:
                _spread(axes[name], curve[axis], linear_width)
        _name_peaks(axes["heat_capacity"], peaks_on(curve, peaks, axis), axis)
        _draw_levels(axes["levels"], *levels, curve.unit)
    return figure, axes


def _draw(
    panel: Axes,
    name: str,
    curve: TemperatureSweep,
    marked: TemperatureSweep | None,
    axis: Axis,
    linear_width: float,
) -> None:
    """One quantity."""
    title, symbol = PANELS[name]
    if name == "log_partition" and curve.unit == "bits":
        symbol = r"$\log_2 Z$"
    x, y = _line(curve, name, axis, linear_width)
    panel.plot(x, y, color=COLOR)
    if marked is not None and len(marked["beta"]) <= MANY_POINTS:
        panel.plot(marked[axis], marked[name], ".", color=COLOR)
    for at, style in MARKS.items():
        if np.nanmin(x) <= at <= np.nanmax(x):
            panel.axvline(at, color="0.6", linewidth=0.8, linestyle=style, zorder=0)
    panel.set(title=title, xlabel=AXES[axis], ylabel=f"{symbol} [{curve.unit}]")
    panel.margins(x=0.02)
    if name == "log_partition" and np.nanmax(np.abs(y), initial=0.0) > WIDE:
        panel.set_yscale("log" if np.nanmin(y) > 0 else "symlog")


def _spread(panel: Axes, places: Floats, width: float) -> None:
    """Make the axis logarithmic but for its middle, if its places differ that much."""
    largest = float(np.abs(places[np.isfinite(places)]).max())
    if largest > MANY_SCALES * width:
        panel.set_xscale("asinh", linear_width=width)
        ticks = decades(width, largest)
        panel.set_xticks(ticks, [decade_label(tick) for tick in ticks])
        panel.set_xticks([], minor=True)


def _line(
    curve: TemperatureSweep, name: str, axis: Axis, linear_width: float
) -> tuple[Floats, Floats]:
    """A curve without what is infinite, and with a gap at T = 0."""
    shown = np.isfinite(curve[axis])
    x, y = curve[axis][shown], curve[name][shown]
    y = np.where(np.isfinite(y), y, np.nan)
    if (name, axis) in POLES:
        y = np.where(np.abs(x) < linear_width, np.nan, y)
    if axis == "beta":
        return x, y
    at = int(np.count_nonzero(np.signbit(x)))
    return np.insert(x, at, 0.0), np.insert(y, at, np.nan)


def _name_peaks(panel: Axes, peaks: Sequence[HeatCapacityPeak], axis: Axis) -> None:
    """The names of peaks beside them, and where they are in a legend."""
    for peak in peaks:
        symbol, at = ("T", peak.temperature) if axis == "temperature" else (r"\beta", peak.beta)
        label = f"{peak.name}: ${symbol}$ = {at:.3g}"
        panel.plot(at, peak.heat_capacity, "o", color=SECOND_COLOR, markersize=4, label=label)
        panel.annotate(
            peak.name,
            (at, peak.heat_capacity),
            xytext=(0, 4),
            textcoords="offset points",
            ha="center",
        )
    if peaks:
        panel.margins(y=0.15)
        panel.legend(handlelength=0.5, fontsize="small")


def _draw_levels(panel: Axes, energies: Floats, degeneracies: Floats, unit: str) -> None:
    """One mark a level: how many states have its energy."""
    many = len(energies) > MANY_LEVELS
    panel.scatter(
        degeneracies,
        energies,
        s=4 if many else 14,
        color=COLOR,
        linewidths=0,
        alpha=0.6,
        rasterized=many,
    )
    panel.set_xscale("log")
    panel.set(title="levels", xlabel="degeneracy $g$ [states]", ylabel=f"energy $E$ [{unit}]")
