"""Orders of entropies and spreads, densities of states, microcanonical entropies."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from strategies.random_levels import ensemble, levels
from unrolled import Ensemble

INF = math.inf


@settings(max_examples=60)
@given(levels, st.sampled_from([-1.0, 1.0, 0.3, INF, "0+", "0-"]))
def test_renyi_entropies_fall_and_spreads_rise_with_the_order(pairs, T):
    e = ensemble(pairs)
    near_one = [1 - 1e-7, 1 - 1e-12, 1.0, 1 + 1e-12, 1 + 1e-7]
    orders = [0.0, 0.01, 0.5, 0.9, *near_one, 1.5, 2.0, 10.0, 200.0, INF]
    entropies, spreads = e.renyi_entropy(orders, T), e.spread_spectrum(orders, T)
    scale = 1 + max(abs(energy) for energy, _ in pairs)
    assert (np.diff(entropies) <= 1e-12 * scale).all()
    assert (np.diff(spreads) >= -1e-12 * scale).all()
    assert entropies[6] == pytest.approx(e.entropy(T), rel=1e-12, abs=1e-12 * scale)
    assert spreads[6] == pytest.approx(e.energy(T), rel=1e-12, abs=1e-12 * scale)
    assert entropies[-1] == pytest.approx(-math.log(e.probabilities(T).max()), abs=1e-12 * scale)
    if T == -1.0:
        assert entropies + spreads == pytest.approx(
            np.full(len(orders), e.log_partition(T)), rel=1e-12, abs=1e-11 * scale
        )


@settings(max_examples=60)
@given(levels, st.floats(0, 5), st.floats(0.5, 3).flatmap(lambda T: st.sampled_from([T, -T])))
@example([(0.0, 1.0), (3000.0, 1.0)], 1 + 1e-9, 1.0)
@example([(0.0, 7.0), (-3.0, 2.0)], 1 - 1e-9, -1.0)
def test_renyi_entropy_agrees_with_mpmath(pairs, q, T):
    with mpmath.workdps(100 + int(max(abs(e) for e, _ in pairs) / abs(T))):
        order = mpmath.mpf(q)
        weights = [mpmath.exp(-mpmath.mpf(e) / mpmath.mpf(T)) for e, _ in pairs]
        total = mpmath.fsum(w * mpmath.mpf(g) for w, (_, g) in zip(weights, pairs, strict=True))
        sums = [
            mpmath.mpf(g) * (w / total) ** order for w, (_, g) in zip(weights, pairs, strict=True)
        ]
        assume(q != 1)
        expected = mpmath.log(mpmath.fsum(sums)) / (1 - order)
    assert ensemble(pairs).renyi_entropy(q, T) == pytest.approx(
        float(expected), rel=1e-12, abs=1e-12
    )


def test_densities_of_states_hold_every_state():
    e = Ensemble([0.0, 1.0, 1.0, 4.0], [1, 2, 3, 6])
    density = e.density_of_states(bins=8)
    assert density.states.sum() == e.num_states
    assert (density.density * np.diff(density.edges)).sum() == pytest.approx(12)
    assert e.density_of_states(bins=[0.5, 1.5]).states.tolist() == [5.0]
    assert Ensemble([2.0] * 3).density_of_states(bins=4).states.sum() == 3
    bits = e.density_of_states(bins=2, unit="bits")
    assert bits.edges[-1] == pytest.approx(4 / math.log(2))


def test_microcanonical_entropy_is_the_logarithm_of_the_states_in_reach():
    e = Ensemble([0.0, 1.0, 1.0, 4.0], [1, 2, 3, 6])
    assert e.microcanonical_entropy(1.0, width=0.1) == pytest.approx(math.log(5))
    found = e.microcanonical_entropy([[0.5], [2.5]], width=1.0)
    assert found.tolist() == [[0.0], [-INF]]
    wide = e.microcanonical_entropy(2.0, width=100.0, unit="bits")
    assert wide == pytest.approx(math.log2(12))
