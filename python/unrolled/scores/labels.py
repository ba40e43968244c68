"""`LabelCurve`: how well a predictor ranks, by how many architectures have a label.

The predictor is that of `unrolled.search`, whose mathematics is in `unrolled.scores.regression`.
Labels are drawn at random, again and again, and what is predicted of all other architectures is
compared with their accuracies.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from unrolled._support.arguments import Progress, checked_positive, items
from unrolled._support.hints import described
from unrolled.errors import InvalidArgumentError
from unrolled.scores import statistics
from unrolled.scores.benchmarks import Benchmark
from unrolled.scores.regression import (
    FEWEST_LABELS,
    PRIORS,
    ZERO_LABEL,
    normal_scores,
    posterior,
)
from unrolled.scores.scoring import are_scored
from unrolled.scores.shown import baseline_name, frame_of, with_interval
from unrolled.show import tables
from unrolled.spectrum.catalogue import FEATURES

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["LabelCurve", "LabelPoint", "checked_labels", "label_curve"]

Numbers = npt.NDArray[np.float64]

MOST_CANDIDATES = 1500
"""Architectures of a benchmark that are predicted; of more, so many are drawn."""

FEWEST_LEFT = 3
"""Architectures without a label, below which a rank correlation says nothing."""

MOST_DRAWS = 10_000

SHOWN = ("parameters", "macs", "saliency_entropy")
"""Baselines that stand beside the predictor: those and the zero-label score."""


@dataclass(frozen=True)
class LabelPoint:
    """How well a predictor ranks with so many labels.

    Attributes
    ----------
    task : str
    labels : int
    spearman : float
        Spearman's correlation of predictions with accuracies, over all architectures without a
        label: the mean over draws of labels.
    error : float
        The standard error of that mean; zero where nothing is drawn.
    low, high : float
        What 95 % of the draws lie between. Without labels there is nothing to draw: then it is the
        bootstrap interval over architectures.
    draws : int
    """

    task: str
    labels: int
    spearman: float
    error: float
    low: float
    high: float
    draws: int


class LabelCurve:
    """How well a predictor ranks, by how many labels it has; `Evaluation.curve`.

    Attributes
    ----------
    name : str
        Of the benchmark.
    architectures : int
        How many were labelled or predicted; those without a path over a kernel are not among them.
    points : tuple of LabelPoint
    baselines : dict of str to dict of str to float
        Spearman's correlation with accuracy over the same architectures, by score and task.
    """

    def __init__(
        self,
        name: str,
        architectures: int,
        points: Iterable[LabelPoint],
        baselines: Mapping[str, Mapping[str, float]],
    ) -> None:
        self.name = name
        self.architectures = architectures
        self.points = tuple(points)
        self.baselines = {key: dict(values) for key, values in baselines.items()}

    def __getitem__(self, key: tuple[int, str]) -> LabelPoint:
        """The point of a number of labels and a task."""
        for one in self.points:
            if (one.labels, one.task) == key:
                return one
        known = sorted({one.labels for one in self.points})
        raise InvalidArgumentError(
            f"expected a number of labels and a task of this curve, got {key!r}; labels are "
            f"{', '.join(map(str, known))}; tasks are {', '.join(self.tasks)}"
        )

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks, in their order."""
        return tuple(dict.fromkeys(one.task for one in self.points))

    def table(self, *, width: int | None = None) -> str:
        """A line for each number of labels, then the baselines; a column a task."""
        columns = [tables.Column("ranked by", "left"), *map(tables.Column, self.tasks)]
        rows = []
        for labels in dict.fromkeys(one.labels for one in self.points):
            what = (
                f"{labels} labels" if labels >= FEWEST_LABELS else f"{labels} labels: {ZERO_LABEL}"
            )
            cells = [self[labels, task] for task in self.tasks]
            rows.append([what, *map(with_interval, cells)])
        for name, values in self.baselines.items():
            rows.append([baseline_name(name), *(f"{values[task]:.2f}" for task in self.tasks)])
        draws = max(one.draws for one in self.points)
        notes = [
            f"Means of {draws} draws of the labels, over all architectures without one.",
            "In brackets: 95 % of the draws; without labels the 95 % bootstrap interval.",
        ]
        title = (
            f"Spearman's correlation by number of labels: {self.name}, "
            f"{self.architectures:,} architectures"
        )
        return tables.render(title, columns, rows, width=width, notes=notes)

    def to_dict(self) -> list[dict[str, Any]]:
        """All points as records."""
        return [asdict(one) for one in self.points]

    def to_pandas(self) -> pandas.DataFrame:
        """All points, a row for each task and number of labels.

        Raises
        ------
        MissingPackageError
            pandas is not installed.
        """
        return frame_of(LabelPoint, self.points, ["task", "labels"])

    def plot(self, task: str | None = None, *, axes: Axes | None = None) -> tuple[Figure, Axes]:
        """Draw the curve of a task, with its interval, and the baselines as lines.

        Parameters
        ----------
        task : str, optional
            By default the first.
        axes : matplotlib.axes.Axes, optional

        Returns
        -------
        figure, axes

        Raises
        ------
        InvalidArgumentError
            Another task.
        MissingPackageError
            matplotlib is not installed.
        """
        from unrolled.show import plot  # It imports matplotlib's types, which not all need.

        chosen = self.tasks[0] if task is None else task
        points = sorted(
            (one for one in self.points if one.task == chosen), key=lambda one: one.labels
        )
        if not points:
            raise InvalidArgumentError(
                f"this curve has no task {chosen!r}; tasks are {', '.join(self.tasks)}"
            )
        labels = [one.labels for one in points]
        with plot.styled():
            axes = plot.panel(axes)
            axes.plot(labels, [one.spearman for one in points], "o-", label="predictor")
            low, high = [one.low for one in points], [one.high for one in points]
            axes.fill_between(labels, low, high, alpha=0.2, linewidth=0)
            for at, (name, values) in enumerate(self.baselines.items()):
                axes.axhline(
                    values[chosen],
                    color=f"{0.2 + 0.15 * at:.2f}",
                    linestyle=("--", ":", "-.", (0, (5, 1, 1, 1)))[at % 4],
                    linewidth=1,
                    label=name.replace("_", " "),
                )
            axes.set_xlabel("architectures with a label")
            axes.set_ylabel("Spearman's correlation")
            axes.set_title(f"{self.name}: {chosen.replace('_', ' ')}")
            axes.legend()
        return plot.figure_of(axes), axes

    def __repr__(self) -> str:
        return self.table()


def checked_labels(labels: Any) -> list[int]:
    """Numbers of labels, ascending and each once.

    Raises
    ------
    InvalidArgumentError
    """
    listed = items(labels)
    if not listed:
        raise InvalidArgumentError(
            "labels must be a list of numbers of labelled architectures, such as [0, 10, 20, 50]; "
            f"got {described(labels)}"
        )
    checked = set()
    for one in listed:
        is_zero = not isinstance(one, (bool, float, str)) and one == 0
        checked.add(0 if is_zero else checked_positive(one, "each of labels"))
    return sorted(checked)


def label_curve(
    benchmark: Benchmark,
    baselines: Mapping[str, Numbers],
    labels: Sequence[int],
    *,
    draws: int,
    seed: int,
    resamples: int,
    progress: Progress | None = None,
) -> LabelCurve:
    """How well a predictor ranks the architectures of a benchmark with so many labels.

    Parameters
    ----------
    benchmark : Benchmark
        As `Benchmark.scored` returns it.
    baselines : mapping of str to array of shape ``(architectures,)``
        Scores of all its architectures, of which some stand beside the predictor.
    labels : sequence of int
        As `checked_labels` returns them.
    draws : int
        How often labels are drawn for each number of them.
    seed : int
        Of all that is drawn.
    resamples : int
        For the interval of the zero-label score.
    progress : callable, optional

    Raises
    ------
    InvalidArgumentError
        Fewer architectures than labels, and three more.
    MissingPackageError
        SciPy is not installed.
    """
    many = checked_positive(draws, "label_draws")
    if many > MOST_DRAWS:
        raise InvalidArgumentError(f"label_draws must be at most {MOST_DRAWS:,}, got {many:,}")
    columns = benchmark.features(progress)
    chosen = _candidates(columns, seed)
    if max(labels) + FEWEST_LEFT > len(chosen):
        raise InvalidArgumentError(
            f"{max(labels)} labels leave fewer than {FEWEST_LEFT} of the {len(chosen):,} "
            f"architectures of {benchmark.name} that have a path over a kernel; ask for fewer"
        )
    features = np.stack([columns[name][chosen] for name in FEATURES], axis=1)
    priors = np.stack([columns[name][chosen] for name in PRIORS], axis=1)
    accuracies = {task: values[chosen] for task, values in benchmark.accuracies.items()}
    total = len(accuracies) * many * sum(one >= FEWEST_LABELS for one in labels)
    points, done = [], 0
    for task, accuracy in accuracies.items():
        for number in labels:
            if number < FEWEST_LABELS:
                score = columns[ZERO_LABEL][chosen]
                points.append(_zero_label_point(task, number, score, accuracy, resamples, seed))
                continue
            random = np.random.default_rng([seed, number])  # The same labels for all tasks.
            found = []
            for _ in range(many):
                labelled = random.choice(len(chosen), number, replace=False)
                found.append(_correlation(features, priors, accuracy, labelled))
                done += 1
                if progress is not None:
                    progress(done, total)
            points.append(_point(task, number, np.array(found)))
    shown = {name: baselines[name][chosen] for name in SHOWN}
    shown[ZERO_LABEL] = columns[ZERO_LABEL][chosen]
    beside = {
        name: {task: statistics.spearman(score, one) for task, one in accuracies.items()}
        for name, score in shown.items()
    }
    return LabelCurve(benchmark.name, len(chosen), points, beside)


def _candidates(columns: Mapping[str, Numbers], seed: int) -> npt.NDArray[np.intp]:
    """The architectures that are labelled or predicted, in their order."""
    alive = np.flatnonzero(are_scored(columns))
    if len(alive) <= MOST_CANDIDATES:
        return alive
    drawn = np.random.default_rng(seed).choice(alive, MOST_CANDIDATES, replace=False)
    return np.sort(drawn)


def _correlation(
    features: Numbers, priors: Numbers, accuracy: Numbers, labelled: npt.NDArray[np.intp]
) -> float:
    """Spearman's correlation of what is predicted with accuracies that were not given."""
    if np.ptp(accuracy[labelled]) == 0:
        return 0.0  # From equal labels nothing can be learned.
    predicted = posterior(features, priors, labelled, normal_scores(accuracy[labelled])).mean
    rest = np.delete(np.arange(len(accuracy)), labelled)
    return statistics.spearman(predicted[rest], accuracy[rest])


def _zero_label_point(
    task: str, labels: int, score: Numbers, accuracy: Numbers, resamples: int, seed: int
) -> LabelPoint:
    low, high = statistics.spearman_interval(score, accuracy, draws=resamples, seed=seed)
    return LabelPoint(task, labels, statistics.spearman(score, accuracy), 0.0, low, high, 0)


def _point(task: str, labels: int, found: Numbers) -> LabelPoint:
    error = float(np.std(found, ddof=1) / math.sqrt(len(found))) if len(found) > 1 else math.nan
    low, high = np.quantile(found, [0.025, 0.975]).tolist()
    return LabelPoint(task, labels, float(found.mean()), error, low, high, len(found))
