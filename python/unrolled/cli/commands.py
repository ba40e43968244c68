"""The command ``unrolled``: parse, call the public functions, print."""

from __future__ import annotations

import datetime
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NoReturn

import click
import numpy as np

from unrolled import models
from unrolled._core import VERSION
from unrolled._support.arguments import Progress
from unrolled.analysis.analysis import Analysis, analyze
from unrolled.analysis.comparison import Comparison, compare
from unrolled.cli.options import model_options, model_options_of, resolve_name
from unrolled.ensemble.ensemble import Ensemble
from unrolled.errors import UnrolledError
from unrolled.show import tables
from unrolled.spectrum.catalogue import RANKED

__all__ = ["main"]

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130
FRAMEWORKS = ["onnx", "keras", "torch", "jax"]
LARGEST_JSON_INTEGER = 1 << 53


def graph_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of commands that count one graph."""
    command = click.option(
        "--mmap", is_flag=True, help="Leave the edges of an .npz file where they are."
    )(command)
    return click.option(
        "--threads", type=int, metavar="N", help="Of a graph. [default: one a core]"
    )(command)


def sorting_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of commands that rank."""
    command = click.option(
        "--ascending/--descending",
        default=None,
        help="Smallest or largest first. [default: descending; names ascending]",
    )(command)
    return click.option(
        "--sort",
        metavar="KEY",
        default=RANKED[0],
        show_default=True,
        help=f"Quantity to rank by, one of: {', '.join(RANKED)}.",
    )(command)


json_option = click.option("--json", "as_json", is_flag=True, help="Print a list of JSON objects.")


class Program(click.Group):
    """Exits with 0, 2 after one line on the standard error, or 130 if interrupted."""

    def main(self, *args: Any, **options: Any) -> NoReturn:
        """Run the command and exit; never a traceback for wrong input."""
        try:
            super().main(*args, **{**options, "prog_name": "unrolled", "standalone_mode": False})
        except UnrolledError as error:
            fail(str(error))
        except click.ClickException as error:
            fail(f"{error.format_message()} Try 'unrolled --help'.")
        except OSError as error:  # A full disk, for example; click ends quietly if a pipe closes.
            where = f" to {error.filename}" if error.filename else ""
            fail(f"cannot write the output{where}: {error.strerror or error}")
        except (click.Abort, KeyboardInterrupt):
            sys.exit(EXIT_INTERRUPTED)
        sys.exit(0)


def fail(message: str) -> NoReturn:
    """One line on the standard error, then the exit."""
    click.echo(f"error: {' '.join(message.split())}", err=True)
    sys.exit(EXIT_ERROR)


# Click's versions disagree on what a missing command is; to us it is an error of one line.
@click.group(
    cls=Program, no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(VERSION, "-V", "--version", message="%(prog)s %(version)s")
def main() -> None:
    """How much a deep-learning model reuses its parameters, before any training.

    Counts the contexts of every parameter: the paths from it to an output of the model's
    computational graph.
    """


@main.command("analyze")
@click.argument("name", metavar="MODEL")
@graph_options
@model_options
@json_option
@click.option("--plot", metavar="FILE", help="Draw figures into an image: .png, .svg, .pdf, ...")
def analyze_command(
    name: str,
    threads: int | None,
    mmap: bool,
    log_space: bool,
    as_json: bool,
    plot: str | None,
    **options: Any,
) -> None:
    """Analyze MODEL: its figures, then a table of its layers.

    MODEL is the name of a published model, a file with a model (.onnx; .keras or .json of Keras),
    or one with a graph: .npz as saved by Graph.save, .csv with the columns source, target and
    maybe multiplicity, or .graphml.
    """
    chosen = model_options_of(options)
    chosen.check([name])
    with progress_bar(f"Counting {name}") as progress:
        model = resolve_name(name, chosen, threads=threads, mmap=mmap, progress=progress)
        analysis = analyze(model, exact=not log_space, threads=threads, progress=progress)
    if plot is not None:
        from unrolled.show.plot import save

        save(analysis.plot()[0], plot)
    show([analysis], analysis, as_json)


@main.command("compare")
@click.argument("names", nargs=-1, required=True)
@sorting_options
@model_options
@json_option
def compare_command(names: Sequence[str], as_json: bool, **options: Any) -> None:
    """Compare the models NAMES, published or in files, in one ranked table."""
    comparison = compared(names, **options)
    show(comparison, comparison, as_json)


@main.command("report")
@click.argument("names", nargs=-1, required=True)
@click.option("-o", "--output", metavar="FILE", required=True, help="The HTML file to write.")
@click.option("--title", help="Heading of the report.")
@click.option("--date", metavar="TEXT", help="Date to show. [default: today]")
@sorting_options
@model_options
def report_command(
    names: Sequence[str], output: str, title: str | None, date: str | None, **options: Any
) -> None:
    """Write a report on the models NAMES, published or in files, as one HTML file."""
    from unrolled import report  # It is heavy, and only needed here.

    comparison = compared(names, **options)
    date = datetime.date.today().isoformat() if date is None else date
    path = report.write(comparison, output, title=title, date=date)
    click.echo(f"Wrote {path}", err=True)


def compared(
    names: Sequence[str], *, sort: str, ascending: bool | None, log_space: bool, **options: Any
) -> Comparison:
    """A ranking of models, published or in files."""
    chosen = model_options_of(options)
    chosen.check(names)
    with progress_bar("Counting") as progress:
        found = [resolve_name(name, chosen) for name in names]
        return compare(
            found, sort=sort, ascending=ascending, exact=not log_space, progress=progress
        )


def show(analyses: Any, result: Analysis | Comparison, as_json: bool) -> None:
    """JSON, or the table: drawn in a terminal, plain ASCII elsewhere."""
    if as_json:
        click.echo(to_json(analyses))
    elif sys.stdout.isatty():
        from rich.console import Console

        Console(highlight=False, width=tables.output_width()).print(result)
    else:
        click.echo(result.table())
    if not as_json:
        for analysis in analyses:
            if analysis.provenance is not None:
                click.echo(f"\n{analysis.name}: {analysis.provenance}")


@main.command("operators")
@click.argument("framework", type=click.Choice(FRAMEWORKS))
def operators_command(framework: str) -> None:
    """List the operators of FRAMEWORK that can be read, one a line."""
    module = import_module(f"unrolled.importers.{framework}")
    click.echo("\n".join(module.operators()))


@main.command("thermo")
@click.argument("name", metavar="MODEL")
@graph_options
@click.option(
    "--temperatures",
    metavar="FIRST:LAST:NUMBER",
    default="-3:3:61",
    show_default=True,
    help="Equally spaced, or a list such as -1,0-,0+,1,inf. T = 0 stands for its two limits.",
)
@click.option(
    "--unit", type=click.Choice(["nats", "bits"]), default="nats", show_default=True, help="Of all."
)
@model_options
@json_option
@click.option("--plot", metavar="FILE", help="Draw the curves into an image: .png, .svg, .pdf, ...")
def thermo_command(
    name: str,
    temperatures: str,
    unit: Any,
    threads: int | None,
    mmap: bool,
    log_space: bool,
    as_json: bool,
    plot: str | None,
    **options: Any,
) -> None:
    """Sweep the temperature of MODEL: Z, F, U, S and C_v at each.

    MODEL is the name of a published model, or a file, as for analyze.
    """
    given = parsed_temperatures(temperatures)
    chosen = model_options_of(options)
    chosen.check([name])
    with progress_bar(f"Counting {name}") as progress:
        model = resolve_name(name, chosen, threads=threads, mmap=mmap, progress=progress)
        analysis = analyze(model, exact=not log_space, threads=threads, progress=progress)
    ensemble = Ensemble.from_counts(analysis, unit=unit)
    sweep = ensemble.sweep(given)
    if plot is not None:
        from unrolled.show.plot import save

        save(ensemble.plot(given)[0], plot)
    if as_json:
        columns = {key: list(map(json_value, column)) for key, column in sweep.to_dict().items()}
        record = {"name": analysis.name, "unit": unit, **columns}
        click.echo(json.dumps([record], indent=2, allow_nan=False))
    else:
        click.echo(f"{analysis.name}\n{sweep.table()}")


def parsed_temperatures(text: str) -> list[float | str]:
    """Numbers out of ``first:last:number`` or a list; 0 becomes its two limits."""
    first, *others = text.split(":")
    try:
        if others:
            last, number = others
            values = np.linspace(float(first), float(last), int(number)).tolist()
            step = abs(float(last) - float(first)) / max(int(number) - 1, 1)
            # Steps of 0.1 and the like miss zero by a rounding error.
            values = [0.0 if abs(value) < 1e-9 * step else value for value in values]
        else:
            parts = [part.strip() for part in text.split(",")]
            values = [part if part in ("0+", "0-") else float(part) for part in parts]
    except ValueError:
        raise click.BadParameter(
            f"expected FIRST:LAST:NUMBER or a list of numbers, got '{text}'.",
            param_hint="'--temperatures'",
        ) from None
    limits = ["0+", "0-"] if others and float(first) > 0 else ["0-", "0+"]
    return [one for value in values for one in (limits if value == 0 else [value])]


@main.command("models")
def models_command() -> None:
    """List the models that can be named."""
    columns = [
        tables.Column("model", "left"),
        tables.Column("own size"),
        tables.Column("description", "left", folds=True),
    ]
    rows = [[info.name, str(info.size), info.description] for info in models.describe()]
    click.echo(tables.render("Published models", columns, rows, width=None))


def to_json(analyses: Any) -> str:
    """A list with one object a model; see `json_value`."""
    objects = []
    for analysis in analyses:
        figures: dict[str, Any] = {k: json_value(v) for k, v in analysis.to_dict().items()}
        if analysis.provenance is not None:
            figures["provenance"] = analysis.provenance.to_dict()
        objects.append(figures)
    return json.dumps(objects, indent=2, allow_nan=False)


def json_value(value: str | int | float | None) -> str | int | float | None:
    """Integers that a double cannot hold become strings; what is not finite becomes null."""
    if isinstance(value, int) and abs(value) > LARGEST_JSON_INTEGER:
        return tables.decimal_digits(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


@contextmanager
def progress_bar(label: str) -> Iterator[Progress | None]:
    """A bar on the standard error if that is a terminal; gone when done."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
