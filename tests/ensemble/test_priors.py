"""Ensembles of other priors than equal weights."""

import math

import pytest

import unrolled
from unrolled import Ensemble

INF = math.inf


def test_a_prior_weighs_levels_and_drops_the_impossible_ones():
    p, x = [0.5, 0.25, 0.25, 0.0], [0.0, 1.0, 3.0, 77.0]
    e = Ensemble.from_probabilities(p, x)
    assert len(e) == 3
    assert e.num_states == 1.0
    assert (e.energy(INF), e.entropy(INF), e.log_partition(INF)) == (1.0, 0.0, 0.0)
    assert e.free_energy(INF) == e.free_energy(-INF) == 1.0
    # At high T, F tends to the mean energy; that the sum of p is not quite 1 must not be seen.
    thirds = Ensemble.from_probabilities([1 / 3] * 3, [1.0, 2.0, 6.0])
    assert thirds.free_energy(1e18) == pytest.approx(3.0, rel=1e-14)
    # Entropy is minus the relative entropy from the prior.
    level = e.probabilities(0.7, per="level")
    relative = sum(a * math.log(a / b) for a, b in zip(level, p, strict=False))
    assert e.entropy(0.7) == pytest.approx(-relative, rel=1e-12)


def test_priors_by_hand():
    e = Ensemble([0.0, 1.0, 2.0], [1, 2, 3])
    halved = e.with_prior(lambda level: 0.5**level.energy)
    assert halved.degeneracies.tolist() == [1.0, 1.0, 0.75]
    assert e.with_prior(lambda level: level.energy > 0).num_states == 5
    moved = e.with_prior(lambda level: unrolled.Prior(2.0, -level.energy))
    assert moved.energies.tolist() == [0.0, -1.0, -2.0]
    assert moved.num_states == 12
    assert e.degeneracies.tolist() == [1.0, 2.0, 3.0]
    flat = e.with_prior("uniform")
    assert flat.entropy(-1.0) == flat.entropy(3.0) == pytest.approx(math.log(6))


def test_priors_by_layer_and_depth():
    net = unrolled.models.mlp([4, 5], inputs=3, classes=2)
    counts = unrolled.count(net, lengths=True)
    e = Ensemble.from_counts(counts, unit="bits")
    seen = []
    e.with_prior(lambda level: seen.append(level) or 1.0)
    assert sum(level.degeneracy for level in seen) == e.num_states
    # The parameters of layers 1, 2 and 3 are 3, 2 and 1 links from the outputs.
    by_layer = {level.layer: (level.layer_size, level.depth) for level in seen}
    assert by_layer == {"layer1": (16, 3.0), "layer2": (25, 2.0), "classifier": (12, 1.0)}
    depth = e.with_prior("depth")
    weights = {1.0: 12 / 2, 2.0: 25 / 4, 3.0: 16 / 8}
    total = sum(weights.values())
    assert depth.log_partition(1.0) == pytest.approx(math.log2(total))
    assert depth.energy(1.0) == pytest.approx(sum(d * w for d, w in weights.items()) / total)
    by_size = e.with_prior("layer_size")
    assert by_size.log_partition(1.0) == pytest.approx(math.log2(3))
    assert by_size.log_partition(-1.0) == pytest.approx(math.log2(16**2 + 25**2 + 12**2))
    # Telling levels apart by layer changes nothing.
    same = e.with_prior(lambda level: 1.0)
    assert same.entropy(-1.0) == pytest.approx(e.entropy(-1.0), rel=1e-14)
