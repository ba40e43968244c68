"""The command ``unrolled``: parse, call the public functions, print."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unrolled import costs
from unrolled._core import VERSION
from unrolled._support import files
from unrolled._support.hints import shortened
from unrolled.analysis.analysis import Analysis, analyze
from unrolled.cli.options import (
    ModelOptions,
    counting_options_of,
    model_options,
    model_options_of,
    parse_size,
    refuse_given,
    resolve_name,
    source_options,
)
from unrolled.cli.program import EXIT_FAILURES, Program, progress_bar, say
from unrolled.errors import InvalidArgumentError, UnrolledError
from unrolled.network.network import Network
from unrolled.printable import one_line, printable
from unrolled.scores.names import BENCHMARKS, FAMILIES, FIGURES
from unrolled.show import tables
from unrolled.show.layers import COLUMNS, chosen_columns, sorted_layers
from unrolled.spectrum.catalogue import RANKED, RANKED_BY, SCORES

if TYPE_CHECKING:
    from unrolled.analysis.comparison import Comparison

__all__ = ["main"]

FRAMEWORKS = ["onnx", "keras", "torch", "jax"]
WIDEST_HELP = 140
"""Columns of help in a terminal that has as many; longer lines are hard to read."""


def graph_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of commands that count one graph."""
    command = click.option(
        "--mmap", is_flag=True, help="Leave the edges of an .npz file where they are."
    )(command)
    return click.option(
        "--threads",
        type=int,
        metavar="N",
        help="How many threads count a graph. [default: one a core]",
    )(command)


def sorting_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of commands that rank."""
    command = click.option(
        "--ascending/--descending",
        default=None,
        help="Whether the smallest or the largest comes first. [default: descending; names "
        "ascending]",
    )(command)
    return click.option(
        "--sort",
        metavar="KEY",
        help="What to rank by, one of the scores: "
        f"{', '.join(key for key in SCORES if key not in RANKED)}; or of {', '.join(RANKED)}. "
        f"[default: {RANKED_BY}; without scores {RANKED[0]}]",
    )(command)


json_option = click.option("--json", "as_json", is_flag=True, help="Print a list of JSON objects.")
csv_option = click.option(
    "--csv", "as_csv", is_flag=True, help="Print comma-separated values with all digits."
)
width_option = click.option(
    "--width",
    type=click.IntRange(min=40, max=1000),
    metavar="COLUMNS",
    help="Let tables fill this many columns of text. [default: those of the terminal]",
)


@click.group(
    cls=Program,
    invoke_without_command=True,
    context_settings={
        "help_option_names": ["-h", "--help"],
        # click stops at 80 columns by itself, however wide the terminal is.
        "max_content_width": WIDEST_HELP,
    },
)
@click.version_option(VERSION, "-V", "--version", message="%(prog)s %(version)s")
@click.pass_context
def main(context: click.Context) -> None:
    """What the structure of a deep-learning model is worth, before any training.

    Will it train as it is initialised (init)? How does it rank among others (score, search)? What
    does each layer cost, and how much are its parameters reused (analyze, compare)? No command
    needs data or weights.

    Example: unrolled init model.onnx
    """
    if context.invoked_subcommand is None:
        say(context.get_help())


@main.command("analyze")
@click.argument("name", metavar="MODEL")
@click.option(
    "--columns",
    metavar="LIST",
    help=f"What to show of each layer, with commas between: {', '.join(COLUMNS)}.",
)
@click.option(
    "--depth",
    type=click.IntRange(min=1),
    metavar="N",
    help="Show the layers as a tree of their names, down to N parts, with sums.",
)
@click.option(
    "--sort", metavar="COLUMN", help="Sort the layers by a column, the largest first, or by name."
)
@click.option(
    "--dtype",
    default="float32",
    show_default=True,
    metavar="TYPE",
    help="Type of the activations, for the column memory.",
)
@click.option("--lengths", is_flag=True, help="Count the lengths of the contexts as well.")
@click.option(
    "--input-size",
    metavar="PIXELS",
    callback=parse_size,
    help="Estimate for a larger image, such as 448 or 448x224: the published lower bound, and "
    "the true value if the model can be built for it.",
)
@graph_options
@model_options
@width_option
@json_option
@csv_option
@click.option("--plot", metavar="FILE", help="Draw figures into an image: .png, .svg, .pdf, ...")
def analyze_command(
    name: str,
    columns: str | None,
    depth: int | None,
    sort: str | None,
    dtype: str,
    lengths: bool,
    input_size: tuple[int, int] | None,
    threads: int | None,
    mmap: bool,
    width: int | None,
    as_json: bool,
    as_csv: bool,
    plot: str | None,
    **options: Any,
) -> None:
    """Analyze MODEL: its figures, then a table of its layers.

    MODEL is the name of a published model, a file with a model (.onnx; .keras or .json of Keras),
    or one with a graph: .npz as saved by Graph.save, or a matrix of SciPy; .csv or .tsv with the
    columns source, target and maybe multiplicity; or .graphml, .gexf, .gml, .edgelist or .dot, as
    NetworkX reads them.

    Example: unrolled analyze model.onnx --depth 2 --columns kind,parameters,macs,memory
    """
    counting = counting_options_of(options)
    chosen = model_options_of(options)
    chosen.check([name])
    check_formats(as_json, as_csv, of_tables=["columns", "depth", "sort", "dtype", "width"])
    if as_csv:
        refuse_given(
            ["input_size"], "not with --csv, which has layers and no estimates; use --json"
        )
    check_figure(plot)
    if not {"memory", "activations"} & set(chosen_columns(columns, 0)):
        refuse_given(
            ["dtype"], "only for the columns memory and activations; choose one with --columns"
        )
    costs.width_of(dtype)
    sorted_layers([], sort)
    with progress_bar(f"Counting {os.path.basename(name)}") as progress:
        model = resolve_name(name, chosen, threads=threads, mmap=mmap, progress=progress)
        analysis = analyze(
            model,
            **counting,
            lengths=lengths,
            input_size=input_size,
            threads=threads,
            progress=progress,
        )
    save_plot(plot, analysis.plot)
    if as_json:
        say(to_json([analysis], with_layers=True))
    elif as_csv:
        say(analysis.to_csv().rstrip("\n"))
    else:
        sheet = analysis.sheet(width, columns=columns, depth=depth, sort=sort, dtype=dtype)
        print_sheet(sheet, width)
        if analysis.provenance is not None:
            say("\n" + tables.wrapped(f"{analysis.name}: {analysis.provenance}", width))


@main.command("compare")
@click.argument("names", nargs=-1, required=True)
@sorting_options
@click.option(
    "--scores/--no-scores",
    default=None,
    help="Show scores and baselines alone, or none of them. [default: scores, then contexts; "
    "contexts alone if --sort names one of their quantities]",
)
@click.option(
    "--keep-going",
    is_flag=True,
    help="Go on where a model cannot be read or counted: it has a row that says why, and the "
    "exit code is 1.",
)
@model_options
@width_option
@json_option
@csv_option
@click.option("--plot", metavar="FILE", help="Draw the ranking into an image: .png, .svg, ...")
def compare_command(
    names: Sequence[str],
    sort: str | None,
    ascending: bool | None,
    scores: bool | None,
    keep_going: bool,
    width: int | None,
    as_json: bool,
    as_csv: bool,
    plot: str | None,
    **options: Any,
) -> None:
    """Compare the models or files NAMES in one ranked table.

    Example: unrolled compare *.onnx resnet50 --sort entropy --keep-going
    """
    from unrolled.analysis.comparison import compare  # It is heavy, and only needed here.

    check_formats(as_json, as_csv)
    check_figure(plot)
    counting = counting_options_of(options)
    chosen = model_options_of(options)
    with progress_bar("Counting") as progress:
        comparison = compare(
            loaded_models(names, chosen, scores=scores, keep_going=keep_going),
            sort=sort,
            ascending=ascending,
            scores=scores,
            keep_going=keep_going,
            progress=progress,
            **counting,
        )
    if len(comparison):
        save_plot(plot, comparison.plot)
    show(comparison, as_json, as_csv=as_csv, width=width)
    if comparison.failures:
        if as_csv:
            reasons = [f"{one.name}: {one.reason}" for one in comparison.failures]
            say("\n".join(f"error: {one_line(reason)}" for reason in reasons), err=True)
        sys.exit(EXIT_FAILURES)


@main.command("report")
@click.argument("names", nargs=-1, required=True)
@click.option("-o", "--output", metavar="FILE", required=True, help="The HTML file to write.")
@click.option("--title", help="Give the report this heading.")
@click.option("--date", metavar="TEXT", help="Show this date. [default: today]")
@click.option(
    "--init",
    "weights",
    metavar="SCHEME",
    help="Add a section on signals at initialisation, with weights as for unrolled init.",
)
@click.option(
    "--theory/--no-theory",
    "with_theory",
    default=True,
    show_default=True,
    help="Add what unrolled theory says of each model; it takes up to some seconds a model.",
)
@sorting_options
@model_options
def report_command(
    names: Sequence[str],
    output: str,
    title: str | None,
    date: str | None,
    weights: str | None,
    with_theory: bool,
    sort: str | None,
    ascending: bool | None,
    **options: Any,
) -> None:
    """Write a report on the models or files NAMES as one HTML file.

    Example: unrolled report *.onnx -o report.html --title "Our models"
    """
    import datetime

    # They are heavy, and only needed here.
    from unrolled import report
    from unrolled.analysis.comparison import compare

    report.check_packages()
    check_report(output, names)
    counting = counting_options_of(options)
    models_found = loaded_models(names, model_options_of(options))
    scheme: Any = "he" if weights is None else scheme_of(weights)
    initializations = []
    if weights is not None:
        from unrolled.propagation import initialization_report  # It is heavy, and only needed here.

        initializations = [initialization_report(one, scheme) for one in models_found]
    with progress_bar("Counting") as progress:
        comparison = compare(
            models_found, sort=sort, ascending=ascending, progress=progress, **counting
        )
    overviews = overviews_of(comparison, models_found, scheme) if with_theory else []
    date = datetime.date.today().isoformat() if date is None else date
    path = report.write(
        comparison,
        output,
        title=title,
        date=date,
        initializations=initializations,
        overviews=overviews,
    )
    say(f"Wrote {printable(path)}", err=True)


def overviews_of(comparison: Comparison, models_found: Sequence[Any], scheme: Any) -> list[Any]:
    """What the theory says of the networks among models, in the order of their ranking."""
    from unrolled.theory import overview  # It is heavy, and only needed here.

    networks = [one for one in models_found if isinstance(one, Network)]
    found = []
    with progress_bar("Working out the theory") as progress:
        for done, network in enumerate(networks):
            if progress is not None:
                progress(done, len(networks))
            found.append(overview(network, scheme))
    places = {one.name: place for place, one in enumerate(comparison)}
    return sorted(found, key=lambda one: places.get(one.name, len(places)))


def loaded_models(
    names: Sequence[str],
    chosen: ModelOptions,
    *,
    scores: bool | None = None,
    keep_going: bool = False,
) -> list[Any]:
    """Models, published or in files, with their operations as far as scores need them.

    One that cannot be read is an error, or among the others as a `Failure` if it is to go on.
    """
    from unrolled.analysis.comparison import (  # It is heavy, and only needed here.
        Failure,
        resolve_for_scores,
    )

    chosen.check(names)

    def load(name: str) -> Any:
        if scores is None:
            return resolve_for_scores(lambda known: resolve_name(name, chosen, operations=known))
        return resolve_name(name, chosen, operations=scores)

    found: list[Any] = []
    for name in names:
        try:
            found.append(load(name))
        except (UnrolledError, OSError) as error:
            if not keep_going:
                raise
            found.append(Failure.of(name, error))
    return found


def check_formats(
    as_json: bool, as_csv: bool = False, *, of_tables: Sequence[str] = ("width",)
) -> None:
    """Refuse two formats at once, and options of tables where none is printed.

    Parameters
    ----------
    as_json, as_csv : bool
    of_tables : sequence of str
        Names of the parameters that change nothing but a table.

    Raises
    ------
    UsageError
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other.")
    if as_json or as_csv:
        refuse_given(of_tables, f"only for tables, not with {'--json' if as_json else '--csv'}")


def save_plot(path: str | None, draw: Callable[[], tuple[Any, Any]]) -> None:
    """Draw a figure into an image, if one was asked for."""
    if path is not None:
        from unrolled.show.plot import save_drawn

        save_drawn(draw, path)


def check_figure(path: str | None) -> None:
    """Refuse a file that no figure can be written to, before anything is counted.

    Raises
    ------
    InvalidArgumentError, MissingPackageError
        See `checked_image_kind`.
    OSError
        The file cannot be written.
    """
    if path is not None:
        from unrolled.show.plot import checked_image_kind

        checked_image_kind(Path(path))
        files.check_writable(path)


def check_report(path: str, names: Sequence[str]) -> None:
    """Refuse a file that no report can be written to, before anything is counted.

    Raises
    ------
    InvalidArgumentError
        The report would take the place of one of the models.
    OSError
        The file cannot be written.
    """
    files.check_writable(path)
    for name in names:
        if os.path.exists(path) and os.path.exists(name) and os.path.samefile(path, name):
            raise InvalidArgumentError(f"the report would overwrite the model '{name}'")


def show(
    result: Comparison,
    as_json: bool,
    *,
    as_csv: bool = False,
    width: int | None = None,
) -> None:
    """A ranking as JSON, as CSV, or as a table with a line a model on where it comes from."""
    if as_json:
        failures = [{"name": one.name, "error": one.reason} for one in result.failures]
        say(to_json(result, more=failures))
    elif as_csv:
        say(result.to_csv().rstrip("\n"))
    else:
        for number, sheet in enumerate(result.sheets(width)):
            if number:
                say("")
            print_sheet(sheet, width)
        most = width or tables.output_width()
        lines = [
            shortened(provenance.line, most)
            for one in result
            if (provenance := one.provenance) is not None
        ]
        if lines:
            say("\n" + "\n".join(lines))


def print_sheet(sheet: tables.Sheet, width: int | None) -> None:
    """A table: drawn in a terminal, plain ASCII elsewhere."""
    if sys.stdout.isatty():
        console = tables.console(sys.stdout, width)
        for part in sheet.drawn(console.width):
            console.print(part)
    else:
        say(sheet.text(width))


@main.command("init", short_help="Say where signal or gradient explodes or vanishes in MODEL.")
@click.argument("name", metavar="MODEL")
@click.option(
    "--init",
    "weights",
    default="he",
    show_default=True,
    metavar="SCHEME",
    help="How weights are drawn: he, lecun, glorot, torch, orthogonal, or a number s for a "
    "variance of s / fan-in.",
)
@click.option("--biases", type=float, metavar="V", help="The variance of each bias. [default: 0]")
@click.option(
    "--correlation",
    type=float,
    default=0.0,
    show_default=True,
    help="How alike two samples are at the input, from 0 to 1.",
)
@click.option(
    "--batch-norm",
    type=click.Choice(["batch", "stored"]),
    default="batch",
    show_default=True,
    help="Normalise by the samples, as in training, or by the stored statistics.",
)
@click.option(
    "--exact/--rough",
    default=None,
    help="Tell elements near a border from others. [default: for small inputs]",
)
@source_options
@json_option
@click.option("--plot", metavar="FILE", help="Draw signal and gradients into an image.")
def init_command(
    name: str,
    weights: str,
    biases: float | None,
    correlation: float,
    batch_norm: Any,
    exact: bool | None,
    as_json: bool,
    plot: str | None,
    **options: Any,
) -> None:
    """Say where signal or gradient of MODEL explodes or vanishes before it is trained.

    MODEL is the name of a published model or a file with a model, as for analyze.

    Example: unrolled init model.onnx --init torch
    """
    from unrolled.propagation import (  # It is heavy, and only needed here.
        Signal,
        initialization_report,
    )

    chosen = model_options_of(options)
    chosen.check([name])
    check_figure(plot)
    model = resolve_name(name, chosen, operations=True)
    report = initialization_report(
        model,
        scheme_of(weights),
        biases=biases,
        input=Signal(correlation=correlation),
        batch_norm=batch_norm,
        exact=exact,
    )
    save_plot(plot, report.plot)
    if as_json:
        say(json_text([report.to_dict()]))
    else:
        say(report.table())


@main.command("theory", short_help="Say what theory knows of MODEL, or of an activation.")
@click.argument("name", metavar="[MODEL]", required=False)
@click.option(
    "--init",
    "weights",
    default="he",
    show_default=True,
    metavar="SCHEME",
    help="How weights of MODEL are drawn: he, lecun, glorot, torch, orthogonal, or a number s for "
    "a variance of s / fan-in.",
)
@click.option(
    "--correlation",
    type=float,
    metavar="C",
    help="How alike two samples are at the input, from 0 to 1. [default: 0]",
)
@click.option(
    "--batch-norm",
    type=click.Choice(["batch", "stored"]),
    help="Normalise by the samples, as in training, or by the stored statistics. [default: batch]",
)
@click.option(
    "--activation", metavar="NAME", help="Instead of a MODEL, show the mean field of this function."
)
@click.option(
    "--sw2",
    type=float,
    metavar="X",
    help="The variance of weights times their fan-in. [default: critical]",
)
@click.option("--sb2", type=float, metavar="Y", help="The variance of each bias. [default: 0]")
@source_options
@json_option
@click.option("--plot", metavar="FILE", help="Draw figures into an image: .png, .svg, .pdf, ...")
def theory_command(
    name: str | None,
    weights: str,
    correlation: float | None,
    batch_norm: Any,
    activation: str | None,
    sw2: float | None,
    sb2: float | None,
    as_json: bool,
    plot: str | None,
    **options: Any,
) -> None:
    """Say what the theory of deep networks knows of MODEL, or of an activation.

    Of MODEL, a published one or a file: paths and effective depth, signal and gradient at
    initialisation, the cost of derivatives and what they keep, checkpoints, linear regions; every
    part with its assumptions.

    Example: unrolled theory model.onnx

    Example: unrolled theory --activation gelu --sb2 0.05
    """
    chosen = model_options_of(options)
    if (name is None) == (activation is None):
        raise click.UsageError("give either a MODEL or --activation.")
    if name is None:
        refuse_given(
            ["weights", "correlation", "batch_norm", *ModelOptions._fields],
            "only for a MODEL; --activation goes with --sw2, --sb2, --json and --plot",
        )
    else:
        chosen.check([name])
        if sw2 is not None:
            refuse_given(["weights"], "not with --sw2, by which all weights are drawn")
    check_figure(plot)
    result: Any
    if name is None:
        result = mean_field_of(str(activation), sw2, sb2)
    else:
        from unrolled.propagation import Signal
        from unrolled.theory import overview  # It is heavy, and only needed here.

        result = overview(
            resolve_name(name, chosen, operations=True),
            scheme_of(weights) if sw2 is None else sw2,
            biases=sb2,
            input=Signal(correlation=correlation or 0.0),
            batch_norm=batch_norm or "batch",
        )
    save_plot(plot, result.plot)
    if as_json:
        say(json_text([result.to_dict()]))
    else:
        say(result.table())


def mean_field_of(activation: str, sigma_w2: float | None, sigma_b2: float | None) -> Any:
    """The mean field of an activation, by default at its critical point."""
    from unrolled import theory  # It is heavy, and only needed here.

    if sigma_w2 is None:
        return theory.critical_point(activation, sigma_b2=sigma_b2 or 0.0)
    return theory.mean_field(activation, sigma_w2, sigma_b2 or 0.0)


def scheme_of(text: str) -> Any:
    """The name of a scheme of weights, or a number."""
    try:
        return float(text)
    except ValueError:
        return text


@main.command("operators")
@click.argument("framework", type=click.Choice(FRAMEWORKS))
def operators_command(framework: str) -> None:
    """List the operators of FRAMEWORK that can be read, one a line.

    Example: unrolled operators onnx
    """
    module = import_module(f"unrolled.importers.{framework}")
    say("\n".join(module.operators()))


@main.command("score", short_help="Score architectures without data or weights.")
@click.argument("names", nargs=-1, required=True)
@click.option(
    "--sort",
    metavar="KEY",
    default=RANKED_BY,
    show_default=True,
    help=f"The score to rank by, one of: {', '.join(SCORES)}, name.",
)
@click.option(
    "--ascending/--descending",
    default=None,
    help="Whether the smallest or the largest comes first. [default: descending; names ascending]",
)
@click.option(
    "--unit",
    type=click.Choice(["nats", "bits"]),
    default="nats",
    show_default=True,
    help="The unit of the log size and of the saliency entropy.",
)
@source_options
@json_option
def score_command(
    names: Sequence[str],
    sort: str,
    ascending: bool | None,
    unit: Any,
    as_json: bool,
    **options: Any,
) -> None:
    """Score the architectures NAMES without data or weights, with the baselines beside.

    NAMES are published models or files with models, as for analyze. What a score is worth is
    measured by the command evaluate.

    Example: unrolled score model.onnx efficientnetv2-b0
    """
    # They are heavy, and only needed here.
    from unrolled.scores.scoring import ranked, score_network
    from unrolled.show.cells import ranking_title, score_sheet

    chosen = model_options_of(options)
    chosen.check(names)
    ranked([], sort)
    found = [score_network(resolve_name(name, chosen, operations=True), unit) for name in names]
    found = list(ranked(found, sort, ascending))
    if as_json:
        say(json_text([one.to_dict() for one in found]))
    elif len(found) == 1:
        say(found[0].table())
    else:
        title = ranking_title(sort, sort == "name" if ascending is None else ascending)
        names = [one.name for one in found]
        say(score_sheet(title, names, found, tuple(SCORES.values())).text(None))


@main.command("evaluate", short_help="Say how well scores rank what was trained.")
@click.argument("benchmark", metavar="BENCHMARK", type=click.Choice((*BENCHMARKS, *FAMILIES)))
@click.option(
    "--score",
    "scores",
    multiple=True,
    metavar="KEY",
    help="A score to evaluate; may be given several times. [default: all]",
)
@click.option(
    "--figure",
    type=click.Choice(tuple(FIGURES)),
    default="spearman",
    show_default=True,
    help="What the table shows; --json has all.",
)
@click.option(
    "--labels",
    metavar="N,N,...",
    help="Also how well a predictor ranks that has so many labels, such as 0,10,20,50.",
)
@click.option(
    "--plot",
    metavar="FILE",
    help="Draw the first score against accuracy, or the curve over labels, into an image.",
)
@json_option
def evaluate_command(
    benchmark: str,
    scores: Sequence[str],
    figure: str,
    labels: str | None,
    plot: str | None,
    as_json: bool,
) -> None:
    """Compare scores and baselines with the published accuracies of BENCHMARK.

    BENCHMARK is a space of cells or chains of blocks, which takes some seconds (nasbench201,
    nasbench_macro, transnasbench_micro), or a family of models: published needs nothing else;
    torchvision, timm, pycls (models of timm) and keras need these packages, and some minutes.

    Example: unrolled evaluate nasbench201
    """
    from unrolled.scores.evaluation import evaluate  # It is heavy, and only needed here.

    check_formats(as_json, of_tables=["figure"])
    check_figure(plot)
    numbers = None if labels is None else parsed_labels(labels)
    with progress_bar(f"Scoring {benchmark}") as progress:
        evaluation = evaluate(benchmark, scores or None, labels=numbers, progress=progress)
    curve = evaluation.curve
    save_plot(plot, evaluation.plot if curve is None else curve.plot)
    if as_json:
        points = [] if curve is None else curve.to_dict()
        predicted = [{"score": "predictor", **one} for one in points]
        say(json_text([*evaluation.to_dict(), *predicted]))
        return
    say(evaluation.table(figure))
    if curve is not None:
        say(f"\n{curve.table()}")


def parsed_labels(text: str) -> list[int]:
    """Numbers of labels out of a list with commas.

    Raises
    ------
    BadParameter
    """
    try:
        return [int(one) for one in text.split(",")]
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is no list of whole numbers, such as 0,10,20,50", param_hint="--labels"
        ) from None


@main.command("models")
def models_command() -> None:
    """List the models that can be named.

    Example: unrolled models
    """
    columns = [
        tables.Column("model", "left"),
        tables.Column("own size"),
        tables.Column("description", "left", folds=True),
    ]
    from unrolled import models  # Other commands have files.

    rows = [[info.name, str(info.size), info.description] for info in models.describe()]
    say(tables.render("Published models", columns, rows, width=None))


def to_json(
    analyses: Sequence[Analysis] | Comparison,
    *,
    with_layers: bool = False,
    more: Sequence[dict[str, Any]] = (),
) -> str:
    """A list with one object a model, and more objects behind."""
    from unrolled.analysis.comparison import Comparison

    if isinstance(analyses, Comparison):
        rows = analyses.to_dict()
    else:
        rows = [one.to_dict() for one in analyses]
    objects = []
    for analysis, row in zip(analyses, rows, strict=True):
        figures: dict[str, Any] = dict(row)
        if with_layers:
            figures |= layers_of(analysis)
        if analysis.provenance is not None:
            figures["provenance"] = analysis.provenance.to_dict()
        objects.append(figures)
    return json_text([*objects, *more])


def layers_of(analysis: Analysis) -> dict[str, Any]:
    """Layers, operations, totals and memory for JSON; of a graph there are none."""
    if not analysis.has_layers:
        return {"layers": None}
    from unrolled.show.layer_formats import layer_record

    memory = analysis.activations
    return {
        "layers": [layer_record(layer) for layer in analysis.layers],
        "operations": [layer_record(layer) for layer in analysis.operations],
        "totals": layer_record(analysis.totals),
        "activations": None if memory is None else memory._asdict(),
    }


def json_text(objects: Sequence[Mapping[str, Any]]) -> str:
    """JSON in printable ASCII, whatever the strings hold; see `json_value` for numbers.

    JSON has no infinity and nothing that is not a number: they become null, at every command.
    """
    from unrolled.show.formats import json_value

    text = json.dumps(_json_values(objects, json_value), indent=2, allow_nan=False)
    return text.replace("\x7f", "\\u007f")  # The one control character that JSON leaves as it is.


def _json_values(value: Any, number: Callable[[Any], Any]) -> Any:
    """Nested lists and mappings, each number as a function makes it one that JSON can have."""
    if isinstance(value, Mapping):
        return {key: _json_values(one, number) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json_values(one, number) for one in value]
    return number(value)
