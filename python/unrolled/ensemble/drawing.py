"""The figure of an ensemble: its quantities against temperature, and its levels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from unrolled.show.plot import COLOR, empty_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from unrolled.ensemble.levels import Floats
    from unrolled.ensemble.sweeps import TemperatureSweep

__all__ = ["plot"]

PANELS = {
    "log_partition": ("partition function", r"$\ln Z$"),
    "free_energy": ("free energy", "$F$"),
    "energy": ("expected energy", "$U$"),
    "entropy": ("entropy", "$S$"),
    "heat_capacity": ("heat capacity", "$C_v$"),
}
MARKS = {0.0: "-", -1.0: ":"}
"""Temperatures that are marked: where curves break, and the published setting."""
WIDE = 1000.0
"""Logarithms of Z beyond which their axis is logarithmic itself: they grow as 1/T."""
MANY_LEVELS = 2000


def plot(
    sweep: TemperatureSweep, energies: Floats, degeneracies: Floats
) -> tuple[Figure, dict[str, Axes]]:
    """Five quantities against T, and the levels; see `Ensemble.plot`."""
    with styled():
        figure = empty_figure(11, 6.5)
        axes = dict(zip([*PANELS, "levels"], figure.subplots(2, 3).flat, strict=True))
        _draw(axes, sweep)
        _draw_levels(axes["levels"], energies, degeneracies, sweep.unit)
    return figure, axes


def _draw(axes: dict[str, Axes], sweep: TemperatureSweep) -> None:
    """The curves."""
    temperatures = sweep["temperature"]
    # The limit from below comes before the one from above.
    order = np.lexsort((~np.signbit(temperatures), temperatures))
    for name, (title, symbol) in PANELS.items():
        x, y = _broken(temperatures[order], sweep[name][order])
        if name == "log_partition" and sweep.unit == "bits":
            symbol = r"$\log_2 Z$"
        panel = axes[name]
        panel.plot(x, y, color=COLOR, marker="." if len(x) < 40 else "")
        for at, style in MARKS.items():
            if temperatures.min() <= at <= temperatures.max():
                panel.axvline(at, color="0.6", linewidth=0.8, linestyle=style, zorder=0)
        panel.set(title=title, xlabel="temperature $T$", ylabel=f"{symbol} [{sweep.unit}]")
        panel.margins(x=0.02)
        if name == "log_partition" and np.nanmax(np.abs(y), initial=0.0) > WIDE:
            panel.set_yscale("log" if np.nanmin(y) > 0 else "symlog")


def _broken(temperatures: Floats, values: Floats) -> tuple[Floats, Floats]:
    """A curve without what is infinite, and with a gap at T = 0."""
    finite = np.where(np.isfinite(values), values, np.nan)
    shown = np.isfinite(temperatures)
    x, y = temperatures[shown], finite[shown]
    at = int(np.count_nonzero(np.signbit(x)))
    return np.insert(x, at, 0.0), np.insert(y, at, np.nan)


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
