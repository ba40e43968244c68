"""`evaluate` and its result, `Evaluation`: how scores rank the architectures of a benchmark."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from unrolled._support.arguments import (
    Progress,
    check_progress,
    checked_choice,
    checked_numbers,
    checked_positive,
    items,
)
from unrolled._support.hints import described, did_you_mean
from unrolled._support.optional import import_optional
from unrolled.errors import InvalidArgumentError, MissingPackageError
from unrolled.scores import statistics
from unrolled.scores.benchmarks import BENCHMARKS, Benchmark, OwnBenchmark, Scorable, load
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
    "depth": "the most layers with weights on one path",
}
"""What every evaluation shows beside the scores, and what it is."""

COLUMNS = (
    "saliency_entropy",
    "effective_macs",
    "effective_units",
    "effective_edges",
    "effective_parameters",
)
"""The scores of this package that can be evaluated."""

DRAWS = 200
TOP = 0.01
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
        The share of the best one per cent that is among the highest one per cent of scores.
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
    """How scores rank the architectures of a benchmark. What `evaluate` returns.

    Attributes
    ----------
    benchmark : Benchmark or OwnBenchmark
        The architectures and their accuracies.
    values : dict of str to array of shape ``(architectures,)``
        Every score and baseline that was evaluated, by name.
    agreements : tuple of Agreement
        One for each score and each task, baselines last.
    """

    def __init__(
        self,
        benchmark: Benchmark | OwnBenchmark,
        values: dict[str, npt.NDArray[np.float64]],
        agreements: Iterable[Agreement],
    ) -> None:
        self.benchmark = benchmark
        self.values = values
        self.agreements = tuple(agreements)

    def __getitem__(self, key: tuple[str, str]) -> Agreement:
        """The agreement of a score with a task."""
        for one in self.agreements:
            if (one.score, one.task) == key:
                return one
        raise InvalidArgumentError(
            f"expected a score and a task of this evaluation, got {key!r}; scores are "
            f"{', '.join(self.values)}; tasks are {', '.join(self.benchmark.accuracies)}"
        )

    def table(self, *, width: int | None = None) -> str:
        """Spearman's correlations, a line a score and a column a task, baselines below.

        Parameters
        ----------
        width : int, optional
            Columns to fill at most; by default those of the terminal.
        """
        tasks = list(self.benchmark.accuracies)
        columns = [tables.Column("score", "left"), *map(tables.Column, tasks)]
        rows = []
        for name in self.values:
            row = [self[name, task] for task in tasks]
            mark = " (baseline)" if row[0].is_baseline else ""
            rows.append([name + mark, *(f"{one.spearman:.3f}" for one in row)])
        widest = max((one.high - one.low) / 2 for one in self.agreements)
        notes = [
            f"95 % bootstrap intervals are at most +-{widest:.3f} wide: see to_pandas().",
            "They hold for this space of architectures and say nothing of others.",
        ]
        title = f"Spearman's correlation with accuracy: {self.benchmark.name}, "
        title += f"{len(self.benchmark):,} architectures"
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
        module = import_optional("pandas", "pandas")
        columns = [field.name for field in fields(Agreement)]
        frame: pandas.DataFrame = module.DataFrame.from_records(self.to_dict(), columns=columns)
        return frame.set_index(["score", "task"])

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
            figure: Any = None
            if axes is None:
                figure, [axes] = plot.new_figure()
            axes.plot(values[is_drawn], accuracies[is_drawn], ".", markersize=2, alpha=0.4)
            if agreement.is_baseline or score != "saliency_entropy":
                axes.set_xscale("symlog")
            axes.set_xlabel(score.replace("_", " "))
            axes.set_ylabel(f"{task.replace('_', ' ')}")
            axes.set_title(f"{self.benchmark.name}: Spearman {agreement.spearman:.3f}")
        if figure is None:
            figure = axes.figure
        return figure, axes

    def __repr__(self) -> str:
        return self.table()


def evaluate(
    benchmark: str | Scorable,
    scores: Iterable[str] | None = None,
    *,
    accuracies: Any = None,
    rows: Any = None,
    own: Mapping[str, Callable[[Any], float]] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
    progress: Progress | None = None,
) -> Evaluation:
    """Compare scores with the accuracies of a benchmark, or of a space of one's own.

    The baselines (parameters, weights, MACs, activations, depth) are always shown beside.

    Parameters
    ----------
    benchmark : {"nasbench201", "nasbench_macro", "transnasbench_micro"}, or unrolled.search.Space
        A published benchmark by name, or a space of one's own, whose accuracies are given. The
        published ones have 15,625 cells on three data sets, 6,561 chains of mobile blocks on
        CIFAR-10, and 4,096 cells on seven tasks, scored as networks of 47 classes.
    scores : iterable of str, optional
        Which scores of this package; by default all. More of each is taken to be better.
    accuracies : array of float, or mapping of str to array, optional
        Of a space of one's own: an accuracy for each architecture of `rows`, maybe for several
        tasks by name. More is better.
    rows : array of int of shape ``(n, places)``, optional
        Of a space of one's own: the architectures; by default all of them in order.
    own : mapping of str to callable, optional
        Further scores by name: functions of the benchmark's string of an architecture, or of its
        network in a space of one's own.
    draws : int
        Resamples for the bootstrap intervals.
    seed : int
        Of their random numbers.
    progress : callable, optional
        Called as ``progress(done, total)`` now and then.

    Returns
    -------
    Evaluation

    Raises
    ------
    InvalidArgumentError
        An unknown benchmark or score, or a score of one's own that is no function of numbers.

    Examples
    --------
    >>> import unrolled
    >>> found = unrolled.evaluate("nasbench_macro", scores=["saliency_entropy"], draws=20)
    >>> f"{found['saliency_entropy', 'cifar10'].spearman:.3f}"
    '0.852'
    >>> f"{found['parameters', 'cifar10'].spearman:.3f}"
    '0.318'
    """
    wanted = _checked_scores(scores)
    check_progress(progress)
    if checked_positive(draws, "draws") > MOST_DRAWS:
        raise InvalidArgumentError(f"draws must be at most {MOST_DRAWS:,}, got {draws:,}")
    loaded = _loaded(benchmark, rows, accuracies)
    found = loaded.scores(progress)
    values = {name: found[name] for name in wanted}
    for name, function in (own or {}).items():
        values[name] = _own_score(name, function, loaded)
    values.update({name: found[name] for name in BASELINES})
    agreements = [
        _agreement(name, task, values, loaded, draws, seed)
        for name in values
        for task in loaded.accuracies
    ]
    return Evaluation(loaded, values, agreements)


def _loaded(benchmark: str | Scorable, rows: Any, accuracies: Any) -> Benchmark | OwnBenchmark:
    """A benchmark by name, or a space with its accuracies."""
    if isinstance(benchmark, str) or not hasattr(benchmark, "scores"):
        for what, given in (("accuracies", accuracies), ("rows", rows)):
            if given is not None:
                raise InvalidArgumentError(
                    f"{what} are for a space of one's own; those of {benchmark!r} are published"
                )
        return load(checked_choice("benchmark", cast(str, benchmark), BENCHMARKS))
    if accuracies is None:
        raise InvalidArgumentError(
            f"evaluate() of space '{benchmark.name}' needs accuracies, one for each architecture; "
            f"published ones come with the names {', '.join(BENCHMARKS)}"
        )
    choices = benchmark.check(benchmark.rows() if rows is None else rows)
    by_task = accuracies if isinstance(accuracies, Mapping) else {"accuracy": accuracies}
    checked = {}
    for task, given in by_task.items():
        checked[str(task)] = checked_numbers(f"accuracies of {task!r}", given)
        if len(checked[str(task)]) != len(choices):
            raise InvalidArgumentError(
                f"accuracies of {task!r} must be one for each of {len(choices):,} architectures, "
                f"got {len(checked[str(task)]):,}"
            )
        if np.isnan(checked[str(task)]).any():
            raise InvalidArgumentError(f"accuracies of {task!r} must not be NaN; leave out rows")
    if not checked or len(choices) < 2:
        raise InvalidArgumentError("evaluate() needs accuracies of at least two architectures")
    return OwnBenchmark(benchmark, choices, checked)


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
    name: str, function: Callable[[Any], float], benchmark: Benchmark | OwnBenchmark
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
    benchmark: Benchmark | OwnBenchmark,
    draws: int,
    seed: int,
) -> Agreement:
    score, accuracy = values[name], benchmark.accuracies[task]
    low, high = statistics.spearman_interval(score, accuracy, draws=draws, seed=seed)
    return Agreement(
        score=name,
        task=task,
        spearman=statistics.spearman(score, accuracy),
        low=low,
        high=high,
        kendall=_kendall(score, accuracy),
        within=statistics.spearman_within(score, accuracy, values["parameters"]),
        top_found=statistics.top_found(score, accuracy, max(1, round(TOP * len(benchmark)))),
        best=float(accuracy[np.argmax(score)]),
        is_baseline=name in BASELINES,
    )
