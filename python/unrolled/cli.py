"""The command ``unrolled``: parse, call the public functions, print."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import click

from unrolled import __version__, _tables, models
from unrolled._graph_readers import is_graph_file, read_graph
from unrolled.analysis import analyze
from unrolled.compare import SORT_KEYS, compare
from unrolled.errors import InvalidArgumentError, UnrolledError
from unrolled.graph import Graph
from unrolled.network import Network

__all__ = ["main"]

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130
LARGEST_JSON_INTEGER = 1 << 53

Progress = Callable[[int, int], None]


def model_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of commands that count."""
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
        click.option("--log", "log_space", is_flag=True, help="Count in log space, not exactly."),
        click.option("--json", "as_json", is_flag=True, help="Print a list of JSON objects."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


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
            fail(f"cannot write the output: {error.strerror or error}")
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
@click.option("--threads", type=int, metavar="N", help="Of a graph. [default: one a core]")
@click.option("--mmap", is_flag=True, help="Leave the edges of an .npz file where they are.")
@model_options
def analyze_command(
    name: str,
    threads: int | None,
    mmap: bool,
    size: int | None,
    padding: Any,
    log_space: bool,
    as_json: bool,
) -> None:
    """Analyze MODEL: its figures, then a table of its layers.

    MODEL is the name of a published model, or a file with a graph: .npz as saved by Graph.save,
    .csv with the columns source, target and maybe multiplicity, or .graphml.
    """
    with progress_bar(f"Counting {name}") as progress:
        model: Network | Graph
        if is_graph_file(name):
            if size is not None:
                raise InvalidArgumentError("--size is for published models, not for files")
            model = read_graph(name, mmap=mmap, threads=threads, progress=progress)
        elif threads is not None or mmap:
            raise InvalidArgumentError(f"--threads and --mmap are for graphs, not for {name}")
        else:
            model = models.build(name, size=size, padding=padding)
        analysis = analyze(model, exact=not log_space, threads=threads, progress=progress)
    click.echo(to_json([analysis]) if as_json else analysis.table())


@main.command("compare")
@click.argument("names", nargs=-1, required=True)
@click.option(
    "--sort",
    metavar="KEY",
    default=SORT_KEYS[0],
    show_default=True,
    help=f"Figure to rank by, one of: {', '.join(SORT_KEYS)}.",
)
@click.option(
    "--ascending/--descending",
    default=None,
    help="Smallest or largest first. [default: descending; names ascending]",
)
@model_options
def compare_command(
    names: Sequence[str],
    sort: str,
    ascending: bool | None,
    size: int | None,
    padding: Any,
    log_space: bool,
    as_json: bool,
) -> None:
    """Compare the models NAMES, or files with graphs, in one ranked table."""
    with progress_bar("Counting") as progress:
        networks = [
            read_graph(name)
            if is_graph_file(name)
            else models.build(name, size=size, padding=padding)
            for name in names
        ]
        comparison = compare(
            networks, sort=sort, ascending=ascending, exact=not log_space, progress=progress
        )
    click.echo(to_json(comparison) if as_json else comparison.table())


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
