"""Predictions from evidence against a direct Gaussian process in fifty digits."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from mpmath import mp

from unrolled.scores.regression import (
    NOISES,
    SLOPES,
    coordinates,
    normal_scores,
    parts,
    posterior,
    standardized,
)


def direct(
    features: np.ndarray, scores: np.ndarray, labelled: list[int], targets: list[float]
) -> tuple[list[mpmath.mpf], list[mpmath.mpf]]:
    """The averaged prediction, by solving with whole matrices."""
    n = len(labelled)
    ranked = np.stack([normal_scores(score) for score in scores.T], axis=1)

    def product(columns: np.ndarray, i: int, j: int) -> mpmath.mpf:
        size = sum(mp.mpf(x) ** 2 for x in columns.ravel()) / len(columns)
        return (
            sum(mp.mpf(a) * mp.mpf(b) for a, b in zip(columns[i], columns[j], strict=True)) / size
        )

    def kernel(i: int, j: int) -> mpmath.mpf:
        linear = (product(features, i, j) + product(ranked, i, j)) / 2
        return 1 + linear + linear**2 / 4

    parts = []
    for score in scores.T:
        ranks = [mp.mpf(z) for z in normal_scores(score)]
        for slope in map(mp.mpf, SLOPES):
            residual = mp.matrix(
                [mp.mpf(t) - slope * ranks[i] for t, i in zip(targets, labelled, strict=True)]
            )
            for noise in map(mp.mpf, NOISES):
                matrix = mp.matrix(n, n)
                for a, i in enumerate(labelled):
                    for b, j in enumerate(labelled):
                        matrix[a, b] = kernel(i, j) + (noise if a == b else 0)
                weights = mp.lu_solve(matrix, residual)
                scale = ((residual.T * weights)[0] + 1) / (n + 2)
                evidence = -mp.log(mp.det(matrix)) / 2 - mp.mpf(n + 2) / 2 * mp.log(scale)
                means, variances = [], []
                for i in range(len(features)):
                    across = mp.matrix([kernel(i, j) for j in labelled])
                    means.append(slope * ranks[i] + (across.T * weights)[0])
                    left = kernel(i, i) + noise - (across.T * mp.lu_solve(matrix, across))[0]
                    variances.append(scale * left)
                parts.append((evidence, means, variances))
    largest = max(one for one, _, _ in parts)
    shares = [mp.exp(one - largest) for one, _, _ in parts]
    total = sum(shares)
    mean = [
        sum(s * m[i] for s, (_, m, _) in zip(shares, parts, strict=True)) / total
        for i in range(len(features))
    ]
    variance = [
        sum(s * (v[i] + (m[i] - mean[i]) ** 2) for s, (_, m, v) in zip(shares, parts, strict=True))
        / total
        for i in range(len(features))
    ]
    return mean, variance


def test_predictions_are_those_of_fifty_digits() -> None:
    random = np.random.default_rng(1)
    features = random.standard_normal((6, 3))
    scores = random.standard_normal((6, 2))
    labelled, targets = np.array([0, 2, 5]), normal_scores([0.3, 0.1, 0.2])
    found = posterior(features, scores, labelled, targets)
    with mp.workdps(50):
        mean, variance = direct(standardized(features), scores, labelled.tolist(), list(targets))
    assert found.mean == pytest.approx([float(one) for one in mean], rel=1e-8)
    assert found.variance == pytest.approx([float(one) for one in variance], rel=1e-8)
    assert found.weights.sum() == pytest.approx(1.0)


def test_coordinates_share_the_variance_between_features_and_scores() -> None:
    random = np.random.default_rng(3)
    features, scores = random.standard_normal((20, 7)), random.standard_normal((20, 2))
    squares = coordinates(features, scores) ** 2
    assert squares[:, :7].sum() / 20 == pytest.approx(0.5)
    assert squares[:, 7:].sum() / 20 == pytest.approx(0.5)
    # What does not differ leaves all of it to the others.
    for given in ((features, np.ones((20, 2))), (np.ones((20, 7)), scores)):
        assert (coordinates(*given) ** 2).sum() / 20 == pytest.approx(1.0)
    assert not coordinates(np.ones((4, 2)), np.ones((4, 1))).any()


def test_parts_add_up_to_the_prediction() -> None:
    random = np.random.default_rng(2)
    features = random.standard_normal((30, 4))
    features[:, 2] = 1.0
    scores = random.standard_normal((30, 2))
    labelled = np.arange(12)
    targets = normal_scores(2 * features[:12, 1] + 0.1 * random.standard_normal(12))
    added = parts(features, scores, labelled, targets)
    assert added.shape == (5, 30)
    assert not added[2].any()
    constant = posterior(features, scores, labelled, targets).mean - added.sum(axis=0)
    assert constant == pytest.approx(np.full(30, constant[0]), abs=1e-12)
    largest = np.argmax(added.std(axis=1))
    assert largest == 1
    assert np.corrcoef(added[1], features[:, 1])[0, 1] > 0.99


def test_scaled_features_are_centred_and_bounded_and_constant_ones_go() -> None:
    features = np.random.default_rng(0).standard_cauchy((200, 4))
    features[:, 1] = 7.5
    scaled = standardized(features)
    assert scaled.shape == (200, 3)
    assert scaled.mean(axis=0) == pytest.approx(np.zeros(3), abs=1e-12)
    assert scaled.std(axis=0) == pytest.approx(np.ones(3))
    assert np.isfinite(scaled).all()


def test_ranks_are_shared_by_equals_and_ordered_with_infinity_first() -> None:
    found = normal_scores([-np.inf, 2.0, 2.0, 5.0])
    assert found[1] == found[2]
    assert found[0] < found[1] < found[3]
    assert found[0] == pytest.approx(-found[3])
