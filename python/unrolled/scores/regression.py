"""Gaussian processes over features of architectures, averaged by their evidence.

The features of all architectures at hand are scaled together, and a polynomial kernel of degree two
compares them and the ranks of zero-label scores, which have half of the variance. What is left of
the ranks of the labels after a multiple of the ranks of one of these scores is the target. The
multiple, the score and the noise are not chosen: predictions under all of them are averaged, each
by its evidence. Which features there are is not known here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from unrolled._support.optional import import_optional

__all__ = [
    "FEWEST_LABELS",
    "PRIORS",
    "ZERO_LABEL",
    "Posterior",
    "coordinates",
    "normal_scores",
    "parts",
    "posterior",
]

Array = npt.NDArray[np.float64]

PRIORS = ("log_effective_size", "saliency_entropy", "weights", "macs", "activations")
"""The zero-label scores that predictions may begin with."""

ZERO_LABEL = "log_effective_size"
"""The score to rank by without labels."""

FEWEST_LABELS = 5
"""With fewer labels than this nothing is fitted."""

NOISES = (0.02, 0.05, 0.15, 0.4, 1.0, 3.0)
"""Variances of the noise of labels, as multiples of the mean variance of the linear part."""

SLOPES = (0.0, 0.3, 0.6, 0.9)
"""Multiples of the ranks of a zero-label score that predictions begin with."""

CLIP = 3.0
"""Standard deviations beyond which a feature says no more."""


class Posterior(NamedTuple):
    """What is expected of all architectures, in the units of the targets.

    Attributes
    ----------
    mean, variance : array of shape ``(architectures,)``
    weights : array of shape ``(scores, slopes, noises)``
        How much each of the averaged predictions counts; they add up to 1.
    coefficients : array of shape ``(labels,)``
        What the kernel between an architecture and each label is multiplied with.
    """

    mean: Array
    variance: Array
    weights: Array
    coefficients: Array


def standardized(features: Array) -> Array:
    """Features with mean 0 and variance 1, cut off at three standard deviations; constant ones go.

    Parameters
    ----------
    features : array of shape ``(architectures, features)``

    Returns
    -------
    array of shape ``(architectures, features that differ)``
    """
    return _scaled(np.clip(_scaled(features[:, _differ(features)]), -CLIP, CLIP))


def _differ(features: Array) -> npt.NDArray[np.bool_]:
    """Which features are not the same for all architectures."""
    scale = np.abs(features).max(axis=0, initial=0.0)
    spread = np.ptp(features, axis=0) if len(features) else scale
    differ: npt.NDArray[np.bool_] = spread > 1e-12 * scale
    return differ


def _scaled(features: Array) -> Array:
    deviation = features.std(axis=0)
    deviation[deviation == 0] = 1.0
    scaled: Array = (features - features.mean(axis=0)) / deviation
    return scaled


def normal_scores(values: npt.ArrayLike) -> Array:
    """The quantiles of the normal distribution at the ranks of values, which ties share.

    Parameters
    ----------
    values : array of shape ``(architectures,)``
        Any numbers that can be ordered; minus infinity is the lowest.

    Examples
    --------
    >>> normal_scores([3.0, 1.0, 2.0]).round(4).tolist()
    [0.9674, -0.9674, 0.0]
    """
    stats = import_optional("scipy.stats", "predict", "Predictor")
    special = import_optional("scipy.special", "predict", "Predictor")
    array = np.asarray(values, dtype=np.float64)
    ranks = stats.rankdata(array)
    quantiles: Array = special.ndtri((ranks - 0.5) / max(1, len(array)))
    return quantiles


def coordinates(features: Array, scores: Array) -> Array:
    """Where architectures lie: features and ranks of scores, each half of the variance.

    Parameters
    ----------
    features : array of shape ``(architectures, features)``
    scores : array of shape ``(architectures, scores)``

    Returns
    -------
    array of shape ``(architectures, features that differ + scores)``
        The mean over architectures of the sum of squares is 1, if anything differs at all.
    """
    groups = [_of_unit_size(group) for group in (standardized(features), _ranks(scores))]
    return _of_unit_size(np.concatenate(groups, axis=1))


def _of_unit_size(columns: Array) -> Array:
    """Columns divided by a number, so that the mean sum of squares of a row is 1."""
    size = float((columns**2).sum() / max(1, len(columns)))
    return columns / np.sqrt(size) if size > 0 else columns


def _ranks(scores: Array) -> Array:
    return np.stack([normal_scores(score) for score in scores.T], axis=1)


def _kernel(products: Array) -> Array:
    """The kernel, from products of coordinates: a constant, the linear part, and a quadratic one.

    Its variances are 1, 1 and about a quarter.
    """
    kernel: Array = (1.0 + products / 2) ** 2
    return kernel


def posterior(
    features: Array, scores: Array, labelled: npt.NDArray[np.intp], targets: Array
) -> Posterior:
    """Predictions for all architectures from the targets of some.

    Parameters
    ----------
    features : array of shape ``(architectures, features)``
    scores : array of shape ``(architectures, scores)``
        Zero-label scores; only their ranks matter.
    labelled : array of int, shape ``(labels,)``
    targets : array of shape ``(labels,)``
        What is to be predicted, with mean near 0 and variance near 1.

    Returns
    -------
    Posterior
    """
    places = coordinates(features, scores)
    across, own = _kernel(places @ places[labelled].T), _kernel((places**2).sum(axis=1))
    values, vectors = np.linalg.eigh(across[labelled])
    rotated = across @ vectors
    count = len(targets)
    # What predictions begin with: a column for each score and slope, as all that follows.
    begin = (_ranks(scores)[:, :, None] * np.array(SLOPES)).reshape(len(features), -1)
    residual = vectors.T @ (targets[:, None] - begin[labelled])
    means, lefts, scales, solved, evidences = [], [], [], [], []
    for noise in NOISES:
        inverse = 1.0 / (np.maximum(values, 0.0) + noise)
        scale = (inverse @ residual**2 + 1.0) / (count + 2)
        means.append(begin + rotated @ (inverse[:, None] * residual))
        lefts.append(np.maximum(own + noise - rotated**2 @ inverse, 0.0))
        scales.append(scale)
        solved.append(inverse[:, None] * residual)
        evidences.append(0.5 * np.log(inverse).sum() - (count + 2) / 2 * np.log(scale))
    evidence = np.array(evidences)
    weights = np.exp(evidence - evidence.max())
    weights /= weights.sum()
    mean = sum(one @ share for one, share in zip(means, weights, strict=True))
    coefficients = sum(one @ share for one, share in zip(solved, weights, strict=True))
    # The variance of a mixture: within its parts, and between them.
    within = (weights * np.array(scales)).sum(axis=1) @ np.array(lefts)
    between = sum(
        (one - mean[:, None]) ** 2 @ share for one, share in zip(means, weights, strict=True)
    )
    by_score = weights.T.reshape(scores.shape[1], len(SLOPES), len(NOISES))
    return Posterior(mean, within + between, by_score, vectors @ coefficients)


def parts(features: Array, scores: Array, labelled: npt.NDArray[np.intp], targets: Array) -> Array:
    """What each feature adds to the mean of `posterior`, and at last what all scores add.

    A prediction is a constant and a sum over coordinates and products of two of them. Each of the
    two has half of a product.

    Parameters
    ----------
    features, scores, labelled, targets
        As for `posterior`.

    Returns
    -------
    array of shape ``(features + 1, architectures)``
    """
    found = posterior(features, scores, labelled, targets)
    places = coordinates(features, scores)
    # (1 + p / 2)^2 is 1 + p (1 + p / 4), and p is a sum over coordinates.
    across = (1.0 + places @ places[labelled].T / 4) * found.coefficients
    carried = (places * (across @ places[labelled])).T
    differ = _differ(features)
    added = np.zeros((features.shape[1] + 1, len(features)))
    added[:-1][differ] = carried[: differ.sum()]
    added[-1] = carried[differ.sum() :].sum(axis=0)
    slopes = found.weights.sum(axis=2) @ np.array(SLOPES)
    added[-1] += _ranks(scores) @ slopes
    return added
