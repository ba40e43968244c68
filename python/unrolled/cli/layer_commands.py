"""The commands ``diff`` and ``graph``: layers of two models, and layers as a picture."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from unrolled._support import files
from unrolled.analysis.analysis import analyze
from unrolled.cli.commands import (
    check_formats,
    json_option,
    json_text,
    main,
    print_sheet,
    width_option,
)
from unrolled.cli.options import (
    counting_options_of,
    model_options,
    model_options_of,
    resolve_name,
)
from unrolled.cli.program import EXIT_FAILURES, say
from unrolled.printable import printable

__all__ = ["diff_command", "graph_command"]


@main.command("diff", short_help="Compare two models layer by layer.")
@click.argument("before", metavar="BEFORE")
@click.argument("after", metavar="AFTER")
@click.option(
    "--all", "complete", is_flag=True, help="Show also layers that differ in contexts alone."
)
@click.option("--exit-code", is_flag=True, help="Exit with 1 if any layer differs.")
@model_options
@width_option
@json_option
def diff_command(
    before: str,
    after: str,
    complete: bool,
    exit_code: bool,
    width: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Compare two models layer by layer: what appeared, vanished or changed from BEFORE to AFTER.

    Example: unrolled diff model.onnx pruned.onnx
    """
    from unrolled.analysis.differences import Difference  # It is only needed here.

    check_formats(as_json, of_tables=["complete", "width"])
    counting = counting_options_of(options)
    chosen = model_options_of(options)
    chosen.check([before, after])
    first, second = (analyze(resolve_name(one, chosen), **counting) for one in (before, after))
    difference = Difference(first, second)
    if as_json:
        say(json_text([difference.to_dict()]))
    else:
        print_sheet(difference.sheet(width, complete=complete), width)
    if exit_code and not difference.is_empty:
        sys.exit(EXIT_FAILURES)


@main.command("graph", short_help="Draw the layers of MODEL as a picture.")
@click.argument("name", metavar="MODEL")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    required=True,
    help="The file to write: .svg, .png or .pdf (drawn by Graphviz), .mmd (Mermaid) or .dot.",
)
@click.option(
    "--depth",
    type=click.IntRange(min=1),
    metavar="N",
    help="Put what has the same first N parts of its name into one box.",
)
@model_options
def graph_command(name: str, output: str, depth: int | None, **options: Any) -> None:
    """Draw the layers of MODEL with the arrows between them, coloured by their contexts.

    Example: unrolled graph model.onnx -o model.svg --depth 2
    """
    from unrolled.analysis.layer_graph import check_picture  # It is only needed here.

    counting = counting_options_of(options)
    chosen = model_options_of(options)
    chosen.check([name])
    check_picture(Path(output))
    files.check_writable(output)
    path = analyze(resolve_name(name, chosen), **counting).graph(depth).save(output)
    say(f"Wrote {printable(path)}", err=True)
