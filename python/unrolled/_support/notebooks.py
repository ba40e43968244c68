"""Small cards with a chart for notebooks: HTML with an inline SVG that needs nothing else.

Colours fit light and dark pages, because letters and lines take the colour of the text around them.
Everything from outside is made printable and escaped here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from unrolled.printable import printable

__all__ = ["bars", "card", "curves", "histogram_bars"]

WIDTH, HEIGHT, MARGIN = 360, 84, 14
COLORS = ("#2a87c8", "#d55e00")
MOST_BARS = 120
BINS = 40

Numbers: TypeAlias = "Sequence[float] | npt.NDArray[np.float64]"


def card(title: str, facts: Iterable[tuple[str, str]], *charts: str) -> str:
    """A heading, a line of facts, and charts below.

    Examples
    --------
    >>> card("Counts", [("parameters", "12")])
    '<div class="unrolled-card"><strong>Counts</strong><div>parameters: 12</div></div>'
    """
    line = " &middot; ".join(f"{_escape(name)}: {_escape(value)}" for name, value in facts)
    body = "".join(charts)
    heading = f"<strong>{_escape(title)}</strong>"
    return f'<div class="unrolled-card">{heading}<div>{line}</div>{body}</div>'


def bars(
    heights: Numbers, caption: str, ends: tuple[str, str] = ("", ""), *, labels: Sequence[str] = ()
) -> str:
    """A chart of bars from zero, as wide as the card, with labels that show under the pointer.

    Of more than `MOST_BARS` numbers, the largest of each of as many neighbours is drawn.

    Parameters
    ----------
    heights : sequence of float
        What is not finite, or negative, has no bar.
    caption : str
        What is drawn.
    ends : (str, str)
        What stands below the first and the last bar.
    labels : sequence of str
        One a bar, or none at all.
    """
    values = np.nan_to_num(np.asarray(heights, dtype=np.float64), posinf=0.0, neginf=0.0)
    named = [*labels] if len(labels) == len(values) else []
    if len(values) > MOST_BARS:
        starts = np.linspace(0, len(values), MOST_BARS, endpoint=False).astype(np.int64)
        values, named = np.maximum.reduceat(values, starts), []
    most = float(values.max(initial=0.0)) or 1.0
    step = WIDTH / max(len(values), 1)
    parts = []
    for at, value in enumerate(values.tolist()):
        tall = max(value, 0.0) / most * (HEIGHT - 2 * MARGIN)
        if tall <= 0:
            continue
        title = f"<title>{_escape(named[at])}</title>" if named else ""
        parts.append(
            f'<rect x="{at * step:.1f}" y="{HEIGHT - MARGIN - tall:.1f}" '
            f'width="{max(step * 0.85, 0.6):.1f}" height="{tall:.1f}" fill="{COLORS[0]}">'
            f"{title}</rect>"
        )
    return _frame("".join(parts), caption, ends)


def histogram_bars(values: Numbers, numbers: Numbers, caption: str) -> str:
    """How many of something have which value: bars of logarithms of numbers, along the values."""
    places = np.asarray(values, dtype=np.float64)
    weights = np.asarray(numbers, dtype=np.float64)
    shown = np.isfinite(places)
    if not shown.any():
        return _frame("", f"{caption}: nothing to show", ("", ""))
    low, high = float(places[shown].min()), float(places[shown].max())
    span = (low, high) if high > low else (low - 0.5, high + 0.5)
    found, _ = np.histogram(places[shown], bins=BINS, range=span, weights=weights[shown])
    heights = [math.log10(one) + 0.3 if one > 0 else 0.0 for one in found.tolist()]
    return bars(heights, caption, (f"{low:.4g}", f"{high:.4g}"))


def curves(
    lines: Sequence[tuple[str, Numbers]],
    caption: str,
    ends: tuple[str, str],
    gap: int | None = None,
) -> str:
    """Lines over equally spaced points, each on its own scale; broken before point `gap`."""
    parts = []
    for color, (name, numbers) in zip(COLORS, lines, strict=False):
        values = np.asarray(numbers, dtype=np.float64)
        finite = values[np.isfinite(values)]
        if not len(finite):
            continue
        low, high = min(0.0, float(finite.min())), float(finite.max())
        height = (high - low) or 1.0
        points: list[str] = []
        for at, value in enumerate(values.tolist()):
            if not math.isfinite(value):
                continue
            x = WIDTH * at / max(len(values) - 1, 1)
            y = HEIGHT - MARGIN - (value - low) / height * (HEIGHT - 2 * MARGIN)
            points.append(f"{'M' if not points or at == gap else 'L'}{x:.1f} {y:.1f}")
        parts.append(
            f'<path d="{"".join(points)}" fill="none" stroke="{color}" stroke-width="1.5">'
            f"<title>{_escape(name)}</title></path>"
        )
    return _frame("".join(parts), caption, ends)


def _frame(content: str, caption: str, ends: tuple[str, str]) -> str:
    """An image with a base line, what stands at its ends, and a caption."""
    base = HEIGHT - MARGIN
    first, last = map(_escape, ends)
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT + 2}" width="{WIDTH}" height="{HEIGHT + 2}" role="img" '
        f'aria-label="{_escape(caption)}" style="max-width: 100%; font: 10px sans-serif">'
        f'<text x="0" y="9" fill="currentColor">{_escape(caption)}</text>{content}'
        f'<line x1="0" y1="{base}" x2="{WIDTH}" y2="{base}" stroke="currentColor" '
        f'stroke-opacity="0.4"/><text x="0" y="{HEIGHT - 2}" fill="currentColor">{first}</text>'
        f'<text x="{WIDTH}" y="{HEIGHT - 2}" fill="currentColor" text-anchor="end">{last}</text>'
        "</svg>"
    )


def _escape(text: str) -> str:
    from html import escape  # It brings a table of all characters.

    return escape(printable(text))
