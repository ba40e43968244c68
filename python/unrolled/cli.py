"""The command ``unrolled``: parse, call the public functions, print."""

from __future__ import annotations

import datetime
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import click
import numpy as np

from unrolled import __version__, _tables, models
from unrolled._analyze import analyze
from unrolled._graph_readers import is_graph_file, read_graph
from unrolled.analysis import Analysis
from unrolled.compare import SORT_KEYS, Comparison, compare
from unrolled.ensemble import Ensemble
from unrolled.errors import InvalidArgumentError, UnrolledError
from unrolled.graph import Graph
from unrolled.network import Network

__all__ = ["main"]

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130
LARGEST_JSON_INTEGER = 1 << 53

Progress = Callable[[int, int], None]


def model_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of commands that count; all but the last for published models."""
    options = [
        click.option(
            "--size", type=int, metavar="PIXELS", help="Side of the input image. [default: own]"
        ),
        click.option(
            "--padding",
            type=click.Choice(["symmetric", "same"]),
            default="symmetric",
            show_default=True,
            help="Half the kernel on both sides, or as Keras does it.",
        ),
        click.option(
            "--share",
            type=click.Choice(["configuration", "stage"]),
            help="Tie convolutions and dense layers of equal configuration: all, or by stage.",
        ),
        click.option("--log", "log_space", is_flag=True, help="Count in log space, not exactly."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


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
        default=SORT_KEYS[0],
        show_default=True,
        help=f"Figure to rank by, one of: {', '.join(SORT_KEYS)}.",
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
@click.version_option(__version__, "-V", "--version", message="%(prog)s %(version)s")
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

    MODEL is the name of a published model, or a file with a graph: .npz as saved by Graph.save,
    .csv with the columns source, target and maybe multiplicity, or .graphml.
    """
    with progress_bar(f"Counting {name}") as progress:
        model = read_or_built(name, threads, mmap, progress, **options)
        analysis = analyze(model, exact=not log_space, threads=threads, progress=progress)
    if plot is not None:
        from unrolled.plot import save

        save(analysis.plot()[0], plot)
    show([analysis], analysis, as_json)


@main.command("compare")
@click.argument("names", nargs=-1, required=True)
@sorting_options
@model_options
@json_option
def compare_command(names: Sequence[str], as_json: bool, **options: Any) -> None:
    """Compare the models NAMES, or files with graphs, in one ranked table."""
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
    """Write a report on the models NAMES, or files with graphs, as one HTML file."""
    from unrolled import report

    comparison = compared(names, **options)
    date = datetime.date.today().isoformat() if date is None else date
    path = report.write(comparison, output, title=title, date=date)
    click.echo(f"Wrote {path}", err=True)


def built(name: str, *, size: int | None, padding: Any, share: Any) -> Network:
    """A published model with the options of `model_options`."""
    network = models.build(name, size=size, padding=padding)
    return network if share is None else network.share(share)


def read_or_built(
    name: str, threads: int | None, mmap: bool, progress: Progress | None, **options: Any
) -> Network | Graph:
    """The graph in a file, or else a published model."""
    check_options([name], **options)
    if is_graph_file(name):
        return read_graph(name, mmap=mmap, threads=threads, progress=progress)
    if threads is not None or mmap:
        raise InvalidArgumentError(f"--threads and --mmap are for graphs, not for {name}")
    return built(name, **options)


def check_options(names: Sequence[str], *, size: int | None, padding: Any, share: Any) -> None:
    """Refuse options that would change nothing, because all models come from files."""
    if all(map(is_graph_file, names)) and (size, padding, share) != (None, "symmetric", None):
        raise InvalidArgumentError(
            "--size, --padding and --share are for published models, not for files"
        )


def compared(
    names: Sequence[str], *, sort: str, ascending: bool | None, log_space: bool, **options: Any
) -> Comparison:
    """A ranking of published models and graphs in files."""
    check_options(names, **options)
    with progress_bar("Counting") as progress:
        networks = [
            read_graph(name) if is_graph_file(name) else built(name, **options) for name in names
        ]
        return compare(
            networks, sort=sort, ascending=ascending, exact=not log_space, progress=progress
        )


def show(analyses: Any, result: Analysis | Comparison, as_json: bool) -> None:
    """JSON, or the table: drawn in a terminal, plain ASCII elsewhere."""
    if as_json:
        click.echo(to_json(analyses))
    elif sys.stdout.isatty():
        from rich.console import Console

        Console(highlight=False, width=_tables.output_width()).print(result)
    else:
        click.echo(result.table())


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

    MODEL is the name of a published model, or a file with a graph, as for analyze.
    """
    given = parsed_temperatures(temperatures)
    with progress_bar(f"Counting {name}") as progress:
        model = read_or_built(name, threads, mmap, progress, **options)
        analysis = analyze(model, exact=not log_space, threads=threads, progress=progress)
    ensemble = Ensemble.from_counts(analysis, unit=unit)
    sweep = ensemble.sweep(given)
    if plot is not None:
        from unrolled.plot import save

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
        _tables.Column("model", "left"),
        _tables.Column("own size"),
        _tables.Column("description", "left", folds=True),
    ]
    rows = [[info.name, str(info.size), info.description] for info in models.describe()]
    click.echo(_tables.render("Published models", columns, rows, width=None))


def to_json(analyses: Any) -> str:
    """A list with one object a model; see `json_value`."""
    objects = [
        {key: json_value(value) for key, value in analysis.to_dict().items()}
        for analysis in analyses
    ]
    return json.dumps(objects, indent=2, allow_nan=False)


def json_value(value: str | int | float | None) -> str | int | float | None:
    """Integers that a double cannot hold become strings; what is not finite becomes null."""
    if isinstance(value, int) and abs(value) > LARGEST_JSON_INTEGER:
        return _tables.decimal_digits(value)
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
