"""The command ``unrolled search``: a space by name or from a file, swept or searched."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unrolled._support.hints import described, did_you_mean
from unrolled._support.optional import import_optional
from unrolled.cli.commands import check_figure, json_option, json_text, main, save_plot
from unrolled.cli.options import refuse_given
from unrolled.cli.program import progress_bar, say
from unrolled.errors import InvalidArgumentError, UnrolledError
from unrolled.network.network import Network
from unrolled.show import tables

if TYPE_CHECKING:
    from unrolled.search.predictor import Predictor
    from unrolled.search.space import Space
    from unrolled.search.table import Table

__all__ = ["search_command"]

BESIDES_LABELS = (
    *("scores", "by", "ascending", "out", "executor", "evaluations", "seed", "threads", "plot"),
)
"""Parameters of the command that change nothing about predictions."""

MOST_SWEPT = 20_000_000
"""Architectures above which a space is not swept unless they are written to a file."""


@main.command("search")
@click.argument("name", metavar="SPACE")
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    metavar="N",
    help="How many to show.",
)
@click.option(
    "--score",
    "scores",
    multiple=True,
    metavar="KEY",
    help="A score or size to find; may be given several times. [default: saliency_entropy, "
    "effective_units, macs, parameters]",
)
@click.option("--by", metavar="KEY", help="What to rank by. [default: the first score]")
@click.option("--where", metavar="TEXT", help="A condition such as 'macs < 50e6 and depth > 3'.")
@click.option(
    "--ascending/--descending",
    default=None,
    help="Smallest or largest first. [default: smallest for sizes, largest for scores]",
)
@click.option("--out", metavar="FILE", help="Write all of them to a .parquet or .csv file.")
@click.option("--executor", metavar="ADDRESS", help="Of a scheduler of Dask: dask://host:port.")
@click.option(
    "--evaluations",
    type=click.IntRange(min=1),
    metavar="N",
    help="Search by evolution with so many evaluations, instead of looking at all.",
)
@click.option(
    "--labels",
    metavar="FILE",
    help="A CSV file of trained architectures: a column for each place, and 'accuracy'. What the "
    "others are worth is predicted from them.",
)
@click.option("--save-predictor", metavar="FILE", help="With --labels: keep what was learned.")
@click.option(
    "--predictor",
    metavar="FILE",
    help="What --save-predictor wrote for the same space, instead of --labels.",
)
@click.option("--seed", default=0, show_default=True, help="Of the evolution.")
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="N",
    help="Of this machine. [default: one a core]",
)
@click.option("--plot", metavar="FILE", help="Draw the ranking against MACs into an image.")
@json_option
def search_command(
    name: str,
    top: int,
    scores: Sequence[str],
    by: str | None,
    where: str | None,
    ascending: bool | None,
    out: str | None,
    executor: str | None,
    evaluations: int | None,
    labels: str | None,
    save_predictor: str | None,
    predictor: str | None,
    seed: int,
    threads: int | None,
    plot: str | None,
    as_json: bool,
) -> None:
    """Rank the architectures of SPACE.

    SPACE is the name of a published space (nasbench201, nasbench_macro, transnasbench_micro), or a
    Python file and a variable in it, my_space.py:space: an unrolled.search.Space, a Network with
    choices, or a function without arguments that returns one of them. The file is run.

    Example: unrolled search nasbench201 --top 10 --where "macs < 100e6"
    """
    from unrolled import search
    from unrolled.search.sweep import DEFAULT_SCORES

    if labels is None:
        refuse_given(["save_predictor"], "only with --labels, which it is learned from")
    else:
        refuse_given(["predictor"], "not with --labels, from which another one is learned")
    if labels is not None or predictor is not None:
        option = "--predictor" if labels is None else "--labels"
        refuse_given(BESIDES_LABELS, f"not with {option}, which ranks by what it predicts")
    elif evaluations is not None:
        refuse_given(["out", "executor"], "only for sweeps, not with --evaluations")
    else:
        refuse_given(["seed"], "only with --evaluations")
    if executor is not None:
        refuse_given(["threads"], "not with --executor, whose workers have threads of their own")
    check_figure(plot)
    wanted = list(scores or DEFAULT_SCORES)
    ranked_by = wanted[0] if by is None else by
    if ranked_by not in wanted:
        wanted.insert(0, ranked_by)
    if plot is not None and "macs" not in wanted:
        wanted.append("macs")
    space = _space(name)
    if labels is not None or predictor is not None:
        learned = _predictor(space, labels, save_predictor, predictor)
        _say_predictions(space, learned, top, where, as_json)
        return
    found: Table
    if evaluations is not None:
        with progress_bar(f"Searching {space.name}") as progress:
            best = search.evolve(
                space,
                ranked_by,
                evaluations=evaluations,
                where=where,
                ascending=ascending,
                seed=seed,
                n=top,
                threads=threads,
                progress=progress,
            )
        found = search.sweep(space, wanted, rows=best.rows, threads=threads)
        shown = found
    else:
        if space.size > MOST_SWEPT and out is None:
            raise InvalidArgumentError(
                f"space '{space.name}' has {space.size:.3g} architectures, too many to hold; write "
                "them to a file with --out, or search with --evaluations N"
            )
        wanted += [one for one in _read_by(where) if one not in wanted]
        with progress_bar(f"Scoring {space.name}") as progress, _client(executor, name) as client:
            found = search.sweep(
                space, wanted, out=out, executor=client, threads=threads, progress=progress
            )
        shown = found.top(top, by=ranked_by, where=where, ascending=ascending)
    save_plot(plot, lambda: found.plot("macs", ranked_by))
    if as_json:
        say(json_text(shown.to_dict()))
    else:
        say(shown.table(most=top))
        if len(found) > len(shown):
            notes = f"{len(found):,} architectures were scored"
            notes += f", {len(found.errors):,} of them have no path or cannot be built."
            say(tables.wrapped(notes))


def _predictor(
    space: Space, labels: str | None, saved_to: str | None, file: str | None
) -> Predictor:
    """A predictor from a file of labels, which may be kept in another file, or from such a file."""
    from unrolled import search
    from unrolled.search.labels import read_labels

    if space.size > MOST_SWEPT:
        raise InvalidArgumentError(
            f"space '{space.name}' has {space.size:.3g} architectures, too many to predict at once"
        )
    try:
        if labels is None:
            return search.Predictor.load(str(file), space=space)
        rows, accuracies = read_labels(space, labels)
    except (OSError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidArgumentError(f"{labels or file}: cannot be read: {reason}") from error
    predictor = search.Predictor(space=space).fit(rows, accuracies)
    if saved_to is not None:
        predictor.save(saved_to)
    return predictor


def _say_predictions(
    space: Space, predictor: Predictor, top: int, where: str | None, as_json: bool
) -> None:
    """Rank a space by a predictor."""
    from unrolled import search

    rows = space.rows()
    if where is not None:
        with progress_bar(f"Scoring {space.name}") as progress:
            # A condition may read labels alone, and a sweep finds something.
            table = search.sweep(space, _read_by(where) or ["macs"], progress=progress)
        rows = table.top(max(1, len(table)), by=table.names[0], where=where).rows
        if not len(rows):
            raise InvalidArgumentError(
                f"no architecture of space '{space.name}' satisfies {where!r}; loosen the condition"
            )
    with progress_bar(f"Predicting {space.name}") as progress:
        ranking = predictor.rank(rows, progress=progress)
    best = ranking.top(top)
    if as_json:
        found = [
            {
                **space.decode(one.row),
                "prediction": one.prediction,
                "uncertainty": one.uncertainty,
                "ranked_by": ranking.basis,
            }
            for one in best
        ]
        say(json_text(found))
        return
    say(ranking.table(n=top))
    say(tables.wrapped(predictor.explain().reason))


def _read_by(where: str | None) -> list[str]:
    """Columns of the core that a condition reads."""
    import ast

    from unrolled.search.work import ALIASES, COLUMNS

    if where is None:
        return []
    try:
        nodes = list(ast.walk(ast.parse(where.strip(), mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []  # The table refuses it in words.
    names = [ALIASES.get(node.id, node.id) for node in nodes if isinstance(node, ast.Name)]
    return [name for name in dict.fromkeys(names) if name in COLUMNS]


@contextmanager
def _client(address: str | None, name: str) -> Iterator[Any]:
    """A client of Dask whose workers can import the file of the space; None without an address."""
    if address is None:
        yield None
        return
    distributed = import_optional("distributed", "dask", "--executor")
    try:
        client = distributed.Client(address.replace("dask://", "tcp://", 1), timeout=10)
    except (OSError, ValueError) as error:
        raise InvalidArgumentError(
            f"--executor: no scheduler of Dask answers at {address!r} ({error})"
        ) from error
    with client:
        file, _, variable = name.rpartition(":")
        if variable and file.endswith(".py"):
            client.upload_file(file)
        yield client


def _space(name: str) -> Space:
    """A published space by name, or one from a file."""
    from unrolled import search
    from unrolled.search.spaces import PUBLISHED

    if name in PUBLISHED:
        return PUBLISHED[name]()
    file, _, variable = name.rpartition(":")
    if not file.endswith(".py") or not variable:
        raise InvalidArgumentError(
            f"there is no space {name!r}{did_you_mean(name, list(PUBLISHED))}; expected one of "
            f"{', '.join(PUBLISHED)}, or a file and a variable, as in my_space.py:space"
        )
    path = Path(file)
    if not path.is_file():
        raise InvalidArgumentError(f"there is no file {file!r}")
    found = _variable(path, variable)
    if callable(found) and not isinstance(found, (search.Space, Network)):
        with _told(f"{variable!r} of {file}"):
            found = found()
    if isinstance(found, Network):
        found = search.Space(found)
    if not isinstance(found, search.Space):
        raise InvalidArgumentError(
            f"{variable!r} of {file} must be an unrolled.search.Space, a Network with choices, or "
            f"a function that returns one, got {described(found)}"
        )
    return found


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Whatever somebody's file raises, or that it ends the program, as an error of the command."""
    try:
        yield
    except UnrolledError:
        raise
    except (Exception, SystemExit) as error:
        raise InvalidArgumentError(
            f"{what} cannot be run: {type(error).__name__}: {error}"
        ) from error


def _variable(path: Path, variable: str) -> Any:
    """A variable of a Python file, which is run as a module of its own name.

    So its functions can be pickled for workers that can import it.
    """
    folder = os.fspath(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    if path.stem in sys.modules:
        raise InvalidArgumentError(
            f"{path} has the name of a module that is in use, {path.stem!r}; rename the file"
        )
    import importlib.util

    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise InvalidArgumentError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        with _told(str(path)):
            spec.loader.exec_module(module)
    except UnrolledError:
        del sys.modules[path.stem]  # Half of a module is none.
        raise
    if not hasattr(module, variable):
        names = [one for one in vars(module) if not one.startswith("_")]
        raise InvalidArgumentError(
            f"{path} has no variable {variable!r}{did_you_mean(variable, names)}"
        )
    return getattr(module, variable)
