"""The command ``unrolled thermo``: a sweep of the temperature of a model."""

from __future__ import annotations

import math
import os
from typing import Any

import click
import numpy as np

from unrolled._support.hints import shortened
from unrolled.analysis.analysis import analyze
from unrolled.cli.commands import (
    check_figure,
    graph_options,
    json_option,
    json_text,
    main,
    save_plot,
)
from unrolled.cli.options import (
    counting_options_of,
    model_options,
    model_options_of,
    resolve_name,
)
from unrolled.cli.program import progress_bar, say
from unrolled.printable import printable
from unrolled.show import tables

__all__ = ["thermo_command"]

MOST_TEMPERATURES = 10_000
"""A table of more would take minutes to draw, and memory in proportion."""


@main.command("thermo", short_help="Sweep the temperature of MODEL.")
@click.argument("name", metavar="MODEL")
@graph_options
@click.option(
    "--temperatures",
    metavar="FIRST:LAST:NUMBER",
    help="Equally spaced, or a list such as -1,0-,0+,1,inf. T = 0 stands for its two limits. "
    "[default: some that show all that happens]",
)
@click.option(
    "--beta",
    metavar="FIRST:LAST:NUMBER",
    help="Inverse temperatures 1 / T instead, equally spaced, a list, or 'auto'. Figures have them "
    "as their axis.",
)
@click.option(
    "--unit",
    type=click.Choice(["nats", "bits"]),
    default="nats",
    show_default=True,
    help="The unit of all quantities.",
)
@model_options
@json_option
@click.option("--plot", metavar="FILE", help="Draw the curves into an image: .png, .svg, .pdf, ...")
def thermo_command(
    name: str,
    temperatures: str | None,
    beta: str | None,
    unit: Any,
    threads: int | None,
    mmap: bool,
    as_json: bool,
    plot: str | None,
    **options: Any,
) -> None:
    """Sweep the temperature of MODEL: Z, F, U, S and C_v at each, and the peaks of C_v.

    MODEL is the name of a published model, or a file, as for analyze.

    Example: unrolled thermo resnet50 --temperatures -2:2:9 --plot curves.svg
    """
    given: dict[str, Any] = {
        "temperatures": None if temperatures is None else parsed_temperatures(temperatures),
        "beta": beta if beta in (None, "auto") else parsed_numbers(beta, "--beta"),
    }
    if temperatures is not None and beta is not None:
        raise click.UsageError("--temperatures and --beta exclude each other.")
    counting = counting_options_of(options)
    chosen = model_options_of(options)
    chosen.check([name])
    check_figure(plot)
    with progress_bar(f"Counting {os.path.basename(name)}") as progress:
        model = resolve_name(name, chosen, threads=threads, mmap=mmap, progress=progress)
        analysis = analyze(model, **counting, threads=threads, progress=progress)
    from unrolled.ensemble.ensemble import Ensemble  # It is heavy, and only needed here.

    ensemble = Ensemble.from_counts(analysis, unit=unit)
    sweep, peaks = ensemble.sweep(**given), ensemble.heat_capacity_peaks()
    save_plot(plot, lambda: ensemble.plot(**given))
    if as_json:
        columns = sweep.to_dict()
        listed = [peak._asdict() for peak in peaks]
        say(json_text([{"name": analysis.name, "unit": unit, **columns, "peaks": listed}]))
    else:
        say(f"{tables.wrapped(printable(analysis.name))}\n{sweep.table()}")
        if peaks:
            from unrolled.ensemble.sweeps import peaks_table

            say(f"\n{peaks_table(peaks, ensemble.unit)}")


def parsed_temperatures(text: str) -> list[float | str]:
    """Numbers out of ``first:last:number`` or a list; 0 becomes its two limits.

    Raises
    ------
    BadParameter
        See `parsed_numbers`.
    """
    values = parsed_numbers(text, "--temperatures", words=("0+", "0-"))
    is_falling = ":" in text and any(isinstance(one, float) and one > 0 for one in values[:1])
    limits = ["0+", "0-"] if is_falling else ["0-", "0+"]
    return [one for value in values for one in (limits if value == 0 else [value])]


def parsed_numbers(text: str, option: str, words: tuple[str, ...] = ()) -> list[float | str]:
    """Numbers out of ``first:last:number`` or a list, which may have some words as well.

    Raises
    ------
    BadParameter
        Something else, or more numbers than `MOST_TEMPERATURES`, which is seen before there is
        memory for any.
    """
    first, *others = text.split(":")
    try:
        if others:
            last, number = others
            check_number(int(number), option)
            return spaced(float(first), float(last), int(number))
        parts = [part.strip() for part in text.split(",")]
        check_number(len(parts), option)
        return [part if part in words else float(part) for part in parts]
    except ValueError:
        raise click.BadParameter(
            f"expected FIRST:LAST:NUMBER or a list of numbers, got '{shortened(text)}'.",
            param_hint=f"'{option}'",
        ) from None


def check_number(number: int, option: str) -> None:
    """Refuse more temperatures than a sweep may have.

    Raises
    ------
    BadParameter
    """
    if number > MOST_TEMPERATURES:
        raise click.BadParameter(
            f"a sweep has a budget of {MOST_TEMPERATURES:,} temperatures, got {number:,}; "
            "take larger steps.",
            param_hint=f"'{option}'",
        )


def spaced(first: float, last: float, number: int) -> list[float | str]:
    """Equally spaced temperatures.

    Raises
    ------
    ValueError
        The first, the last or their distance is no finite number, or there are fewer than none.
    """
    if not math.isfinite(last - first):
        raise ValueError("temperatures from or to infinity")
    step = abs(last - first) / max(number - 1, 1)
    # Steps of 0.1 and the like miss zero by a rounding error.
    return [
        0.0 if abs(value) < 1e-9 * step else value
        for value in np.linspace(first, last, number).tolist()
    ]
