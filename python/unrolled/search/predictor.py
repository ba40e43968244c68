"""`Predictor`: from a few trained architectures to what the others are worth.

What is fitted is in `unrolled.scores.regression`, what architectures look like to it in
`candidates`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from unrolled._support.arguments import Progress, checked_choice, checked_positive, items
from unrolled._support.hints import described
from unrolled._support.optional import import_optional
from unrolled.errors import InvalidArgumentError
from unrolled.scores.regression import (
    FEWEST_LABELS,
    ZERO_LABEL,
    Posterior,
    coordinates,
    normal_scores,
    parts,
    posterior,
)
from unrolled.scores.shown import baseline_name
from unrolled.scores.statistics import spearman
from unrolled.search.candidates import (
    BASELINES,
    BESIDE,
    Candidates,
    FeatureChoice,
    candidates_of,
    names_of,
)
from unrolled.search.predictor_records import (
    PredictorParts,
    Target,
    check_space,
    read_predictor,
    write_predictor,
)
from unrolled.search.space import Space
from unrolled.show import tables
from unrolled.spectrum.catalogue import FEATURES

if TYPE_CHECKING:
    import pandas

__all__ = ["Explanation", "Predictor", "Ranked", "Ranking"]

Array = npt.NDArray[np.float64]

RESAMPLES = 400
"""Resamples of the labels, for errors of rank correlations."""

MOST_SHOWN = 8
"""Features in the table of an explanation."""

TYPICAL_NOISE = 0.15
"""Variance of the noise of labels that is assumed where the next ones are chosen."""


class Ranked(NamedTuple):
    """One architecture of a ranking.

    Attributes
    ----------
    name : str
    row : tuple of int or None
        Its options, if it is of a space.
    number : int
        Its position among those that were ranked.
    prediction, uncertainty : float
        As `Predictor.predict` and `Predictor.uncertainty` have them.
    """

    name: str
    row: tuple[int, ...] | None
    number: int
    prediction: float
    uncertainty: float


class Ranking(Sequence[Ranked]):
    """Architectures, the best first; what `Predictor.rank` returns."""

    def __init__(self, ranked: Sequence[Ranked], basis: str) -> None:
        self._ranked = tuple(ranked)
        self.basis = basis
        """What they are ranked by: "predictor", or the name of a score."""

    def __len__(self) -> int:
        return len(self._ranked)

    def __getitem__(self, at: Any) -> Any:
        return self._ranked[at]

    def top(self, n: int = 10) -> list[Ranked]:
        """The first `n`.

        Raises
        ------
        InvalidArgumentError
            An `n` below 1, or none that is an integer.
        """
        return list(self._ranked[: checked_positive(n, "n")])

    def to_pandas(self) -> pandas.DataFrame:
        """A data frame, a row an architecture.

        Raises
        ------
        MissingPackageError
            pandas is not installed.
        """
        frames = import_optional("pandas", "pandas", "to_pandas()")
        frame: pandas.DataFrame = frames.DataFrame(self._ranked, columns=Ranked._fields)
        return frame

    def table(self, *, width: int | None = None, n: int = 10) -> str:
        """The first `n` as a table."""
        columns = [
            tables.Column("architecture", "left", folds=True),
            tables.Column("prediction"),
            tables.Column("uncertainty"),
        ]
        rows = [
            [one.name, f"{one.prediction:.4g}", f"{one.uncertainty:.2g}"] for one in self.top(n)
        ]
        title = f"{len(self):,} architectures by {self.basis}"
        return tables.Sheet(title, columns, rows).text(width or tables.output_width())

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        return f"Ranking({len(self)} architectures, by {self.basis!r})"


@dataclass(frozen=True)
class Explanation:
    """How well a predictor does on its own labels, and what it goes by.

    Attributes
    ----------
    num_labels : int
    correlation : float
        Spearman's correlation of labels with predictions from all other labels; NaN for fewer than
        five labels.
    error : float
        Its standard error over resamples of the labels.
    low, high : float
        Its 95 % interval over resamples of the labels.
    baselines : dict of str to float
        Spearman's correlation of labels with sizes and with the zero-label scores.
    basis : str
        What `Predictor.rank` ranks by: "predictor" if it beats every baseline by more than the
        error of the difference, and else the best baseline.
    reason : str
        Why, in a sentence.
    features : dict of str to float
        The share of the variance of predictions that each feature carries, the largest first. A
        prediction is a sum over features and products of two, of which each has half, so that
        their shares and `prior` add up to 1; one that takes back what others say has a negative
        share.
    prior : float
        The share of the zero-label scores: what predictions begin with, and what labels change
        of it.
    """

    num_labels: int
    correlation: float
    error: float
    low: float
    high: float
    baselines: dict[str, float]
    basis: str
    reason: str
    features: dict[str, float]
    prior: float

    def table(self, *, width: int | None = None) -> str:
        """Rank correlations of the predictor and its baselines, then what the features carry."""
        width = width or tables.output_width()
        columns = [
            tables.Column("ranked by", "left", folds=True),
            tables.Column("Spearman"),
        ]
        own = f"{self.correlation:.2f} ({self.low:.2f} to {self.high:.2f})"
        rows = [["predictor, each from the others", own]]
        rows += [[baseline_name(name), f"{value:.2f}"] for name, value in self.baselines.items()]
        notes = ["In brackets: the 95 % interval over resamples of the labels.", self.reason]
        text = tables.Sheet(f"Predictor from {self.num_labels} labels", columns, rows, notes).text(
            width
        )
        if not self.features:
            return text
        columns = [
            tables.Column("feature", "left"),
            tables.Column("share"),
            tables.Column("meaning", "left", folds=True),
        ]
        rows = [
            [
                "zero-label scores",
                f"{self.prior:.0%}",
                "what predictions begin with, as labels correct it",
            ]
        ]
        rows += [
            [name, f"{share:.0%}", FEATURES[name].meaning if name in FEATURES else ""]
            for name, share in list(self.features.items())[:MOST_SHOWN]
        ]
        title = "What carries the variance of the predictions"
        return f"{text}\n\n{tables.Sheet(title, columns, rows).text(width)}"

    def __str__(self) -> str:
        return self.table()


class Predictor:
    """Predicts accuracies of architectures from those of a few that were trained.

    A Gaussian process over forty features of the graph, weighed by the signal that links carry, the
    ranks of zero-label scores, and products of two of them, with a zero-label score as its prior
    mean; predictions under several priors and noises are averaged by their evidence. Nothing is
    tuned. All architectures at hand are scaled together, so
    a prediction depends on what is predicted beside it, a little.

    Parameters
    ----------
    features : "default", "all", names, or callable
        The forty features of `unrolled.features`; those and sizes; some of them by name; or a
        function of a dictionary of columns, each of shape ``(architectures,)``, that returns an
        array of shape ``(architectures, features)``.
    target : {"rank", "value"}
        Whether normal scores of the ranks of the labels are predicted, which no outlier moves, or
        the labels themselves. Predictions are in the units of the labels for "value"; for "rank"
        they are normal scores, where 0 is the middle of the labels and 1 one standard deviation.
    space : Space, optional
        If it is given, architectures are rows of options in it.

    Raises
    ------
    InvalidArgumentError, UnknownNameError
        Unknown features or another target.

    Examples
    --------
    >>> import numpy as np
    >>> from unrolled import search
    >>> space = search.nasbench_macro()
    >>> rows = space.random_rows(12, np.random.default_rng(0))
    >>> labels = search.macs_many(space, rows)["depth"]        # Instead of accuracies.
    >>> predictor = search.Predictor(space=space).fit(rows, labels)
    >>> predictor.predict(rows).shape
    (12,)
    """

    def __init__(
        self,
        features: FeatureChoice = "default",
        *,
        target: Target = "rank",
        space: Space | None = None,
    ) -> None:
        if space is not None and not isinstance(space, Space):
            raise InvalidArgumentError(f"space must be a Space, got {described(space)}")
        self._choice: FeatureChoice = features
        if not callable(features):
            names = names_of(features)
            self._choice = features if isinstance(features, str) else names
        self._target = checked_choice("target", target, ("rank", "value"))
        self._space = space
        self._labelled: Candidates | None = None
        self._labels: Array = np.empty(0)

    def fit(
        self, architectures: Any, accuracies: Any, *, progress: Progress | None = None
    ) -> Predictor:
        """Learn from architectures that were trained.

        Parameters
        ----------
        architectures
            A sequence of models, each of which anything that `analyze` takes; a `Space`, for all it
            has; or, with `space`, rows of options.
        accuracies : sequence of float
            One for each; more is better.
        progress : callable, optional
            Called as ``progress(done, total)``.

        Returns
        -------
        Predictor
            This one.

        Raises
        ------
        InvalidArgumentError
            Another number of accuracies than of architectures; accuracies that are not finite or
            all the same; an architecture without a path from an input to an output.
        UnrolledError
            Whatever reading a model raises.
        """
        labels = np.array(_numbers(accuracies))
        candidates = candidates_of(architectures, self._space, progress=progress)
        if len(labels) != len(candidates):
            raise InvalidArgumentError(
                f"got {len(labels)} accuracies of {len(candidates)} architectures; give one for "
                "each"
            )
        if len(labels) > 1 and np.ptp(labels) == 0:
            raise InvalidArgumentError(
                f"all {len(labels)} accuracies are {labels[0]:g}; from equal labels nothing can be "
                "learned"
            )
        dead = np.flatnonzero(~candidates.are_scored)
        if len(dead):
            raise InvalidArgumentError(
                f"architecture {candidates.label(int(dead[0]))} has no path from an input over a "
                "kernel to an output; leave it out"
            )
        candidates.features(self._choice)
        self._labelled, self._labels = candidates, labels
        return self

    @property
    def num_labels(self) -> int:
        """How many architectures it was fitted to."""
        return len(self._labels)

    def predict(self, architectures: Any, *, progress: Progress | None = None) -> Array:
        """What is expected of architectures.

        Parameters
        ----------
        architectures, progress
            As for `fit`.

        Returns
        -------
        array of shape ``(architectures,)``
            In the units that `target` says; minus infinity where no path leads to an output.

        Raises
        ------
        InvalidArgumentError
            It was not fitted, or to fewer than five labels.
        UnrolledError
            Whatever reading a model raises.
        """
        return self._posterior(candidates_of(architectures, self._space, progress=progress)).mean

    def uncertainty(self, architectures: Any, *, progress: Progress | None = None) -> Array:
        """The standard deviation of what is expected; arguments and errors as for `predict`."""
        found = self._posterior(candidates_of(architectures, self._space, progress=progress))
        deviation: Array = np.sqrt(found.variance)
        return deviation

    def rank(self, architectures: Any, *, progress: Progress | None = None) -> Ranking:
        """Architectures in the order of what is expected of them, the best first.

        Where the predictor does not beat its baselines on its own labels (`explain` says so), they
        are in the order of the best baseline, equals in that of predictions; with fewer than five
        labels in that of the zero-label score.

        Parameters
        ----------
        architectures, progress
            As for `fit`.
        """
        return self._ranking(candidates_of(architectures, self._space, progress=progress))

    def _ranking(self, candidates: Candidates) -> Ranking:
        basis = self.explain().basis
        count = len(candidates)
        if self.num_labels < FEWEST_LABELS:
            mean, deviation = np.full(count, math.nan), np.full(count, math.nan)
        else:
            found = self._posterior(candidates)
            mean, deviation = found.mean, np.sqrt(found.variance)
        key = mean if basis == "predictor" else candidates.columns[basis]
        key = np.where(candidates.are_scored, key, -np.inf)
        # Sizes are often equal; then what is predicted decides, and at last the position.
        order = np.lexsort((-mean, -key))
        rows = candidates.rows
        return Ranking(
            [
                Ranked(
                    candidates.label(at),
                    None if rows is None else tuple(rows[at].tolist()),
                    at,
                    float(mean[at]),
                    float(deviation[at]),
                )
                for at in order.tolist()
            ],
            basis,
        )

    def suggest(self, architectures: Any, n: int = 1) -> list[Ranked]:
        """Architectures to train next: those whose labels leave least uncertain of all others.

        One after the other, each is the one that lowers the sum of variances most. On the project's
        benchmarks this gains little over a random choice (at most .01 in rank correlation).

        Parameters
        ----------
        architectures
            As for `fit`; those that have labels already are left out if they are of the same space.
        n : int

        Raises
        ------
        InvalidArgumentError
            `n` is not positive, or larger than the number of architectures.
        """
        wanted = checked_positive(n, "n")
        candidates = candidates_of(architectures, self._space)
        usable = candidates.are_scored & ~self._is_labelled(candidates)
        if wanted > usable.sum():
            raise InvalidArgumentError(
                f"n={wanted}, but only {usable.sum()} architectures without a label have a path "
                "from an input to an output"
            )
        both = (self._fitted(), candidates)
        places = coordinates(
            np.concatenate([one.features(self._choice) for one in both]),
            np.concatenate([one.scores() for one in both]),
        )
        chosen = _spread_out(places, self.num_labels, usable, wanted)
        ranking = {one.number: one for one in self._ranking(candidates)}
        return [ranking[at] for at in chosen]

    def explain(self) -> Explanation:
        """How well it predicts its own labels, each from all others, beside baselines.

        Raises
        ------
        InvalidArgumentError
            It was not fitted.
        """
        labelled = self._fitted()
        labels, count = self._labels, self.num_labels
        baselines = {
            name: _correlation(labelled.columns[name], labels) for name in (*BASELINES, *BESIDE)
        }
        if count < FEWEST_LABELS:
            reason = (
                f"There are too few labels to fit anything ({count}, and it takes "
                f"{FEWEST_LABELS}): "
                f"architectures are ranked by the zero-label score {ZERO_LABEL}."
            )
            nothing = (math.nan,) * 4
            return Explanation(count, *nothing, baselines, ZERO_LABEL, reason, {}, math.nan)
        predictions = self._left_out()
        correlation = _correlation(predictions, labels)
        best = max(BASELINES, key=lambda name: -2 if math.isnan(v := baselines[name]) else v)
        found = _resampled(predictions, labelled.columns[best], labels)
        gain = correlation - baselines[best]
        is_better = gain > found.gain_error
        verb = "beats" if is_better else "does not beat"
        reason = (
            f"On the labels, each predicted from the others, the predictor {verb} the best "
            f"baseline, {best}, by more than the error of the difference: {gain:+.2f}±"
            f"{found.gain_error:.2f}. Architectures are ranked by "
            f"{'the predictor' if is_better else best}."
        )
        shares, prior = self._shares(labelled)
        return Explanation(
            count,
            correlation,
            found.error,
            found.low,
            found.high,
            baselines,
            "predictor" if is_better else best,
            reason,
            shares,
            prior,
        )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write what it was fitted to as a file of JSON, whole or not at all.

        `load` makes the same predictor of it, to the bit. docs/formats.md describes the format.

        Parameters
        ----------
        path : str or path

        Raises
        ------
        InvalidArgumentError
            It was not fitted, or its features are a function of one's own.
        OSError
            The file cannot be written.

        Examples
        --------
        >>> import pathlib, tempfile
        >>> import numpy as np
        >>> from unrolled import search
        >>> space = search.nasbench_macro()
        >>> rows = space.random_rows(12, np.random.default_rng(0))
        >>> labels = search.macs_many(space, rows)["depth"]        # Instead of accuracies.
        >>> predictor = search.Predictor(space=space).fit(rows, labels)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = predictor.save(pathlib.Path(folder) / "predictor.json")
        ...     again = search.Predictor.load(path, space=space)
        >>> bool((again.predict(rows) == predictor.predict(rows)).all())
        True
        """
        labelled = self._fitted()
        if callable(self._choice):
            raise InvalidArgumentError(
                "its features are a function of your own, which a file of JSON cannot hold; choose "
                "features by name, or pickle the predictor where the function can be imported"
            )
        choice = self._choice if isinstance(self._choice, str) else [*self._choice]
        parts = PredictorParts(
            choice, self._target, labelled, self._labels, self._space is not None
        )
        return write_predictor(path, parts)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, space: Space | None = None) -> Predictor:
        """Read a predictor that `save` wrote.

        Parameters
        ----------
        path : str or path
        space : Space, optional
            The one that it was made with, if it was made with one, which the file does not hold. It
            is compared by its options and by the features of the architectures that have labels.

        Raises
        ------
        ResultFileError
            A file that `save` did not write, that was changed since, or that another version wrote
            whose features are others.
        InvalidArgumentError
            A space that is missing, not expected, or another one.
        OSError
            The file cannot be read.
        """
        parts = read_predictor(path)
        check_space(path, parts, space)
        found = cls(parts.features, target=parts.target, space=space)
        found._labelled, found._labels = parts.labelled, parts.labels
        return found

    def __repr__(self) -> str:
        return f"Predictor({self.num_labels} labels)"

    def _fitted(self) -> Candidates:
        if self._labelled is None:
            raise InvalidArgumentError("the predictor was not fitted; call fit() first")
        return self._labelled

    def _shares(self, labelled: Candidates) -> tuple[dict[str, float], float]:
        """The shares of the variance of predictions that features carry, and that of scores."""
        features = labelled.features(self._choice)
        targets, _, _ = self._targets(self._labels)
        added = parts(features, labelled.scores(), np.arange(self.num_labels), targets)
        added -= added.mean(axis=1, keepdims=True)
        mean = added.sum(axis=0)
        variance = float(mean @ mean)
        if variance == 0:
            return {}, math.nan
        *shares, prior = (added @ mean / variance).tolist()
        if callable(self._choice):
            names = [f"feature {at}" for at in range(len(shares))]
        else:
            names = names_of(self._choice)
        largest = sorted(zip(names, shares, strict=True), key=lambda pair: -abs(pair[1]))
        return {name: share for name, share in largest if share != 0}, prior

    def _is_labelled(self, candidates: Candidates) -> npt.NDArray[np.bool_]:
        """Which architectures have labels, as far as rows tell."""
        known = self._labelled
        if known is None or known.rows is None or candidates.rows is None:
            return np.zeros(len(candidates), bool)
        if known.places != candidates.places:
            return np.zeros(len(candidates), bool)
        seen = set(map(tuple, known.rows.tolist()))
        return np.array([tuple(row) in seen for row in candidates.rows.tolist()], bool)

    def _targets(self, labels: Array) -> tuple[Array, float, float]:
        """What is predicted, and how to come back from it to the units of labels."""
        if self._target == "rank":
            return normal_scores(labels), 0.0, 1.0
        middle, scale = float(labels.mean()), float(labels.std()) or 1.0
        return (labels - middle) / scale, middle, scale

    def _together(self, candidates: Candidates) -> tuple[Array, Array]:
        """Features and scores of the labelled architectures, and of others with a path."""
        labelled = self._fitted()
        alive = candidates.are_scored
        features = [one.features(self._choice) for one in (labelled, candidates)]
        scores = [one.scores() for one in (labelled, candidates)]
        return (
            np.concatenate([features[0], features[1][alive]]),
            np.concatenate([scores[0], scores[1][alive]]),
        )

    def _posterior(self, candidates: Candidates) -> Posterior:
        count = self.num_labels
        self._fitted()
        if count < FEWEST_LABELS:
            raise InvalidArgumentError(
                f"the predictor was fitted to {count} labels, and it takes {FEWEST_LABELS} to "
                "predict anything; rank() ranks by the zero-label score"
            )
        features, scores = self._together(candidates)
        targets, middle, scale = self._targets(self._labels)
        found = posterior(features, scores, np.arange(count), targets)
        mean, variance = np.full(len(candidates), -np.inf), np.zeros(len(candidates))
        mean[candidates.are_scored] = middle + scale * found.mean[count:]
        variance[candidates.are_scored] = scale**2 * found.variance[count:]
        return found._replace(mean=mean, variance=variance)

    def _left_out(self) -> Array:
        """Predictions of all labelled architectures, each from the labels of the others."""
        labelled = self._fitted()
        features, scores = labelled.features(self._choice), labelled.scores()
        predictions = np.empty(self.num_labels)
        for at in range(self.num_labels):
            others = np.delete(np.arange(self.num_labels), at)
            targets, middle, scale = self._targets(self._labels[others])
            found = posterior(features, scores, others, targets)
            predictions[at] = middle + scale * found.mean[at]
        return predictions


def _numbers(accuracies: Any) -> list[float]:
    given = items(accuracies)
    try:
        numbers = [float(one) for one in given or ()]
    except (TypeError, ValueError):
        numbers = []
    if not numbers:
        raise InvalidArgumentError(
            f"accuracies must be a sequence of numbers, got {described(accuracies)}"
        )
    for at, one in enumerate(numbers):
        if not math.isfinite(one):
            raise InvalidArgumentError(f"accuracy {at} is {one}; leave out what was not trained")
    return numbers


def _correlation(a: Array, b: Array) -> float:
    return spearman(a, b) if len(a) > 1 else math.nan


class _Resampled(NamedTuple):
    """Errors of a rank correlation, and of how far it is above another one."""

    error: float
    low: float
    high: float
    gain_error: float


def _resampled(predictions: Array, baseline: Array, labels: Array) -> _Resampled:
    random = np.random.default_rng(0)
    found = []
    for _ in range(RESAMPLES):
        chosen = random.integers(0, len(labels), len(labels))
        pair = [_correlation(one[chosen], labels[chosen]) for one in (predictions, baseline)]
        if not any(map(math.isnan, pair)):
            found.append((pair[0], pair[0] - pair[1]))
    if len(found) < 2:
        return _Resampled(math.nan, math.nan, math.nan, math.inf)
    error, gain_error = np.std(np.array(found), axis=0, ddof=1).tolist()
    low, high = np.quantile(np.array(found)[:, 0], [0.025, 0.975]).tolist()
    return _Resampled(error, low, high, gain_error)


def _spread_out(places: Array, labels: int, usable: npt.NDArray[np.bool_], n: int) -> list[int]:
    """Which architectures to label: each the one that lowers the sum of variances most.

    The variances are those of the constant and linear parts of the kernel.

    Parameters
    ----------
    places : array of shape ``(labels + architectures, coordinates)``
        As `coordinates` returns them.
    labels : int
        How many of them have labels; they come first.
    usable : array of bool, shape ``(architectures,)``
        Which may be chosen.
    n : int
        How many to choose.
    """
    places = np.concatenate([places, np.ones((len(places), 1))], axis=1)
    known, others = places[:labels], places[labels:]
    # The covariance of the weights of coordinates, which the kernel stands for.
    precision = np.eye(places.shape[1]) + known.T @ known / TYPICAL_NOISE
    covariance = np.linalg.inv(precision)
    products = others.T @ others
    left, chosen = usable.copy(), []
    for _ in range(n):
        through = others @ covariance
        own = np.einsum("nf,nf->n", through, others)
        gain = np.einsum("nf,nf->n", through @ products, through) / (TYPICAL_NOISE + own)
        best = int(np.argmax(np.where(left, gain, -np.inf)))
        chosen.append(best)
        left[best] = False
        covariance -= np.outer(through[best], through[best]) / (TYPICAL_NOISE + own[best])
    return chosen
