"""`evaluate` and its result, `Evaluation`: how scores rank the architectures of a benchmark."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from unrolled._support.arguments import (
    Progress,
    check_progress,
    checked_choice,
    checked_numbers,
    checked_positive,
    checked_seed,
    items,
)
from unrolled._support.hints import described, did_you_mean
from unrolled.errors import InvalidArgumentError, MissingPackageError
from unrolled.scores import statistics
from unrolled.scores.benchmarks import (
    Benchmark,
    Scorable,
    load,
    own_space_benchmark,
)
from unrolled.scores.families import given_models, load_family
from unrolled.scores.labels import LabelCurve, checked_labels, label_curve
from unrolled.scores.names import BENCHMARKS, FAMILIES, FIGURES
from unrolled.scores.shown import baseline_name, frame_of, with_interval
from unrolled.show import tables

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["BASELINES", "COLUMNS", "Agreement", "Evaluation", "evaluate"]

BASELINES = {
    "parameters": "trainable parameters, also of parts that no path from the input leads through",
    "weights": "weights of kernels on paths from the input to the output",
    "macs": "multiplications by weights",
    "activations": "elements that are computed with weights",
    "layers": "layers with weights on paths from the input to the output",
    "depth": "the most layers with weights on one path",
}
"""What every evaluation shows beside the scores, and what it is."""

COLUMNS = (
    "log_size",
    "saliency_entropy",
    "effective_macs",
    "effective_units",
    "effective_edges",
    "effective_parameters",
)
"""The scores of this package that can be evaluated."""

LOGARITHMS = ("log_size", "saliency_entropy")
"""Those that are on a logarithmic scale already."""

WIDE = 0.05
"""Half the width of an interval from which on tables show it beside the correlation."""

DRAWS = 200
LABEL_DRAWS = 30
TOP = 0.01
FEWEST_AT_THE_TOP = 10
MOST_DRAWS = 100_000


@dataclass(frozen=True)
class Agreement:
    """How one score agrees with the accuracies of one task.

    Attributes
    ----------
    score, task : str
    spearman : float
        Spearman's rank correlation over all architectures.
    low, high : float
        Its 95 % bootstrap interval over architectures of this space.
    kendall : float
        Kendall's tau-b; NaN without SciPy.
    within : float
        Spearman's correlation among architectures of equal numbers of parameters, a mean by size;
        NaN where there are no ten alike.
    top_found : float
        The share of the best one per cent, but at least of the best ten, that is among as many of
        the highest scores.
    best : float
        The accuracy of the architecture with the highest score.
    is_baseline : bool
    """

    score: str
    task: str
    spearman: float
    low: float
    high: float
    kendall: float
    within: float
    top_found: float
    best: float
    is_baseline: bool


class Evaluation:
    """How scores rank architectures whose accuracy is known. What `evaluate` returns.

    Attributes
    ----------
    benchmark : Benchmark
        The architectures and their accuracies.
    values : dict of str to array of shape ``(architectures,)``
        Every score and baseline that was evaluated, by name.
    agreements : tuple of Agreement
        One for each score and each task, baselines last.
    curve : LabelCurve or None
        How well a predictor ranks by how many labels it has, if that was asked for.
    """

    def __init__(
        self,
        benchmark: Benchmark,
        values: dict[str, npt.NDArray[np.float64]],
        agreements: Iterable[Agreement],
        curve: LabelCurve | None = None,
    ) -> None:
        self.benchmark = benchmark
        self.values = values
        self.agreements = tuple(agreements)
        self.curve = curve

    def __getitem__(self, key: tuple[str, str]) -> Agreement:
        """The agreement of a score with a task."""
        for one in self.agreements:
            if (one.score, one.task) == key:
                return one
        raise InvalidArgumentError(
            f"expected a score and a task of this evaluation, got {key!r}; scores are "
            f"{', '.join(self.values)}; tasks are {', '.join(self.benchmark.accuracies)}"
        )

    def table(self, figure: str = "spearman", *, width: int | None = None) -> str:
        """One figure of all agreements, a line a score and a column a task, baselines below.

        Where few architectures make wide intervals, Spearman's correlations come with them.

        Parameters
        ----------
        figure : {"spearman", "kendall", "within", "top_found", "best"}
            See `Agreement`.
        width : int, optional
            Columns to fill at most; by default those of the terminal.

        Raises
        ------
        InvalidArgumentError
            Another figure.
        """
        checked_choice("figure", figure, tuple(FIGURES))
        tasks = list(self.benchmark.accuracies)
        widest = max((one.high - one.low) / 2 for one in self.agreements)
        has_intervals = figure == "spearman" and widest > WIDE
        columns = [tables.Column("score", "left"), *map(tables.Column, tasks)]
        rows = []
        for name in self.values:
            row = [self[name, task] for task in tasks]
            shown = baseline_name(name) if row[0].is_baseline else name
            cells = [
                with_interval(one) if has_intervals else f"{getattr(one, figure):.3f}"
                for one in row
            ]
            rows.append([shown, *cells])
        notes = [
            "In brackets: 95 % bootstrap intervals."
            if has_intervals
            else f"95 % bootstrap intervals of Spearman's are at most +-{widest:.3f} wide.",
            "They hold for these architectures and say nothing of others.",
        ]
        notes += [f"Left out: {name}: {why}" for name, why in self.benchmark.left_out.items()]
        title = f"{FIGURES[figure]}: {self.benchmark.name}, {len(self.benchmark):,} architectures"
        return tables.render(title, columns, rows, width=width, notes=notes)

    def to_dict(self) -> list[dict[str, str | float | bool]]:
        """All agreements as records."""
        return [asdict(one) for one in self.agreements]

    def to_pandas(self) -> pandas.DataFrame:
        """All agreements, a row for each score and task.

        Raises
        ------
        MissingPackageError
            pandas is not installed.
        """
        return frame_of(Agreement, self.agreements, ["score", "task"])

    def plot(
        self, score: str | None = None, task: str | None = None, *, axes: Axes | None = None
    ) -> tuple[Figure, Axes]:
        """Draw the accuracy of every architecture against its score.

        Architectures without a path from the input to the output are left out.

        Parameters
        ----------
        score, task : str, optional
            By default the first of each.
        axes : matplotlib.axes.Axes, optional

        Returns
        -------
        figure, axes

        Raises
        ------
        InvalidArgumentError
            A score or task that was not evaluated.
        MissingPackageError
            matplotlib is not installed.
        """
        from unrolled.show import plot  # It imports matplotlib's types, which not all need.

        score = next(iter(self.values)) if score is None else score
        task = next(iter(self.benchmark.accuracies)) if task is None else task
        agreement = self[score, task]
        values, accuracies = self.values[score], self.benchmark.accuracies[task]
        is_drawn = np.isfinite(values)
        with plot.styled():
            axes = plot.panel(axes)
            axes.plot(values[is_drawn], accuracies[is_drawn], ".", markersize=2, alpha=0.4)
            if score not in LOGARITHMS:
                axes.set_xscale("symlog")
            axes.set_xlabel(score.replace("_", " "))
            axes.set_ylabel(f"{task.replace('_', ' ')}")
            axes.set_title(f"{self.benchmark.name}: Spearman {agreement.spearman:.3f}")
        return plot.figure_of(axes), axes

    def __repr__(self) -> str:
        return self.table() if self.curve is None else f"{self.table()}\n\n{self.curve.table()}"


def evaluate(
    benchmark: str | Iterable[Any] | Scorable,
    scores: Iterable[str] | None = None,
    *,
    accuracies: Iterable[float] | Mapping[str, Iterable[float]] | None = None,
    rows: Any = None,
    own: Mapping[str, Callable[[str], float]] | None = None,
    labels: Iterable[int] | None = None,
    label_draws: int = LABEL_DRAWS,
    draws: int = DRAWS,
    seed: int = 0,
    progress: Progress | None = None,
) -> Evaluation:
    """Compare scores with the measured accuracies of many architectures.

    The baselines (parameters, weights, MACs, activations, layers, depth) are always shown beside.

    Parameters
    ----------
    benchmark : str, iterable of models, or unrolled.search.Space
        A benchmark by name: "nasbench201", "nasbench_macro" or "transnasbench_micro", which are
        15,625 cells on three data sets, 6,561 chains of mobile blocks on CIFAR-10, and 4,096 cells
        on seven tasks, scored as networks of 47 classes. Or a family of models for ImageNet:
        "published" are those of this package; "torchvision", "timm" (its convolutional networks)
        and "keras" are built by these libraries, without weights. Or models of your own, in any
        form that `score` takes, or a space of your own, with their `accuracies`.
    scores : iterable of str, optional
        Which scores of this package; by default all. More of each is taken to be better.
    accuracies : iterable of float, or mapping of str to iterable of float, optional
        For models of your own: one accuracy for each, by task if there are several; for a space
        one for each of its `rows`.
    rows : array of int of shape ``(n, places)``, optional
        For a space of your own: the architectures; by default all of them in order.
    own : mapping of str to callable, optional
        Further scores by name: functions of the name of an architecture, which for benchmarks of
        spaces is the string that they spell it with.
    labels : iterable of int, optional
        Numbers of architectures whose accuracies a predictor is given, such as ``[0, 10, 20, 50]``:
        how well does `unrolled.search.Predictor` then rank all others? With fewer than five it is
        the zero-label score. Of more than 1,500 architectures so many are drawn. Needs SciPy.
    label_draws : int
        How often so many architectures are drawn.
    draws : int
        Resamples for the bootstrap intervals.
    seed : int
        Of their random numbers.
    progress : callable, optional
        Called as ``progress(done, total)`` now and then.

    Returns
    -------
    Evaluation
        What a library's version cannot build, or this package cannot read, is named in
        ``benchmark.left_out`` and below the table. With `labels`, its `curve` says how well the
        predictor ranks.

    Raises
    ------
    InvalidArgumentError
        An unknown benchmark or score, a score of one's own that is no function of numbers, models
        without accuracies, more labels than architectures.
    MissingPackageError
        The library of a family, or SciPy for `labels`, is not installed.
    UnrolledError
        A model of one's own that cannot be read or scored.

    Examples
    --------
    >>> import unrolled
    >>> found = unrolled.evaluate("nasbench_macro", scores=["saliency_entropy"], draws=20)
    >>> f"{found['saliency_entropy', 'cifar10'].spearman:.3f}"
    '0.852'
    >>> f"{found['parameters', 'cifar10'].spearman:.3f}"
    '0.318'
    >>> nets = [unrolled.models.mlp(4, depth=depth, inputs=4) for depth in (1, 2, 3)]
    >>> found = unrolled.evaluate(nets, accuracies=[60.0, 71.5, 70.0], draws=20)
    >>> found["depth", "accuracy"].spearman
    0.5
    >>> found = unrolled.evaluate("nasbench_macro", [], labels=[0, 20], label_draws=5, draws=20)
    >>> found.curve[20, "cifar10"].spearman > found.curve[0, "cifar10"].spearman
    True
    """
    root = checked_seed(seed)
    loaded = _loaded(benchmark, accuracies, rows)
    wanted = _checked_scores(scores)
    numbers = None if labels is None else checked_labels(labels)
    check_progress(progress)
    if checked_positive(draws, "draws") > MOST_DRAWS:
        raise InvalidArgumentError(f"draws must be at most {MOST_DRAWS:,}, got {draws:,}")
    loaded, found = loaded.scored(progress)
    values = {name: found[name] for name in wanted}
    for name, function in (own or {}).items():
        values[name] = _own_score(name, function, loaded)
    values.update({name: found[name] for name in BASELINES})
    agreements = [
        _agreement(name, task, values, loaded, draws, root)
        for name in values
        for task in loaded.accuracies
    ]
    curve = None
    if numbers is not None:
        baselines = {**found, **values}
        curve = label_curve(
            loaded,
            baselines,
            numbers,
            draws=label_draws,
            seed=root,
            resamples=draws,
            progress=progress,
        )
    return Evaluation(loaded, values, agreements, curve)


def _loaded(
    benchmark: str | Iterable[Any] | Scorable,
    accuracies: Iterable[float] | Mapping[str, Iterable[float]] | None,
    rows: Any,
) -> Benchmark:
    """A benchmark by name, or the given models or space with their accuracies."""
    is_space = not isinstance(benchmark, str) and hasattr(benchmark, "scores")
    if rows is not None and not is_space:
        raise InvalidArgumentError("rows= are for a space of your own")
    if not isinstance(benchmark, str):
        if accuracies is None:
            raise InvalidArgumentError(
                "evaluate() takes the name of a benchmark, or models with accuracies=, one for "
                f"each model; got {described(benchmark)} alone"
            )
        if is_space:
            return own_space_benchmark(cast(Scorable, benchmark), rows, accuracies)
        return given_models(cast("Iterable[Any]", benchmark), accuracies)
    checked_choice("benchmark", benchmark, (*BENCHMARKS, *FAMILIES))
    if accuracies is not None:
        raise InvalidArgumentError(f"accuracies= are for models; {benchmark} has its own")
    return load_family(benchmark) if benchmark in FAMILIES else load(benchmark)


def _checked_scores(scores: Iterable[str] | None) -> list[str]:
    if scores is None:
        return list(COLUMNS)
    given = items(scores)
    if given is None:
        raise InvalidArgumentError(f"scores must be a list of names, got {described(scores)}")
    for name in given:
        if name not in COLUMNS:
            raise InvalidArgumentError(
                f"unknown score {name!r}{did_you_mean(str(name), COLUMNS)} (scores: "
                f"{', '.join(COLUMNS)}; baselines are always shown)"
            )
    return list(dict.fromkeys(given))


def _own_score(
    name: str, function: Callable[[str], float], benchmark: Benchmark
) -> npt.NDArray[np.float64]:
    if not callable(function):
        raise InvalidArgumentError(
            f"own score {name!r} must be a function of an architecture, got {described(function)}"
        )
    if name in COLUMNS or name in BASELINES:
        raise InvalidArgumentError(f"own score {name!r} has the name of one of this package")
    values = checked_numbers(
        f"own score {name!r}", [function(one) for one in benchmark.architectures]
    )
    if np.isnan(values).any():
        raise InvalidArgumentError(
            f"own score {name!r} must not be NaN; give what cannot be scored minus infinity"
        )
    return values


def _kendall(score: npt.NDArray[np.float64], accuracy: npt.NDArray[np.float64]) -> float:
    try:
        return statistics.kendall(score, accuracy)
    except MissingPackageError:
        return math.nan


def _agreement(
    name: str,
    task: str,
    values: Mapping[str, npt.NDArray[np.float64]],
    benchmark: Benchmark,
    draws: int,
    seed: int,
) -> Agreement:
    score, accuracy = values[name], benchmark.accuracies[task]
    top = min(len(benchmark), max(FEWEST_AT_THE_TOP, round(TOP * len(benchmark))))
    low, high = statistics.spearman_interval(score, accuracy, draws=draws, seed=seed)
    return Agreement(
        score=name,
        task=task,
        spearman=statistics.spearman(score, accuracy),
        low=low,
        high=high,
        kendall=_kendall(score, accuracy),
        within=statistics.spearman_within(score, accuracy, values["parameters"]),
        top_found=statistics.top_found(score, accuracy, top),
        best=float(accuracy[np.argmax(score)]),
        is_baseline=name in BASELINES,
    )
