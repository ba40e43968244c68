"""Ensembles at the ends of the range of doubles, and what is no number to them."""

import math
import warnings
from decimal import Decimal
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.random_levels import precise
from unrolled import Ensemble, InvalidArgumentError, Prior, Spectrum

INF = math.inf
TWO_LEVELS = 0.19661193324148185  # exp(1) / (1 + exp(1))**2: of two levels at T = E


def test_the_heat_capacity_of_two_levels_is_one_number_at_any_scale():
    with mpmath.workdps(50):
        assert float(mpmath.e / (1 + mpmath.e) ** 2) == pytest.approx(TWO_LEVELS, rel=1e-15)
    for size in (1e155, 1e-170, 1.7e308, 1e-300, 1.0):
        for sign in (1.0, -1.0):
            found = Ensemble([0.0, sign * size])
            for T in (size, -size):
                assert found.heat_capacity(T) == pytest.approx(TWO_LEVELS, rel=1e-13), (size, T)
    # Both at once: each temperature sees the levels of its own scale.
    both = Ensemble([0.0, 1e-170, 1e155])
    assert both.heat_capacity(1e-170) == pytest.approx(TWO_LEVELS, rel=1e-13)
    assert both.heat_capacity(1e155) == pytest.approx(2 * math.e / (2 * math.e + 1) ** 2 * 1.0)


sizes = st.integers(-150, 150).map(lambda digits: 10.0**digits)
relative_energies = st.lists(
    st.tuples(st.floats(-20, 20).map(lambda x: round(x, 3)), st.integers(1, 1000).map(float)),
    min_size=1,
    max_size=6,
)


@settings(max_examples=150)
@given(relative_energies, relative_energies, sizes, sizes, st.booleans(), st.booleans())
def test_levels_of_two_scales_agree_with_mpmath(near, far, small, large, is_cold, is_negative):
    small, large = sorted((small, large))
    pairs = [(energy * small, g) for energy, g in near]
    pairs += [(energy * large, g) for energy, g in far]
    T = (small if is_cold else large) * (-1.0 if is_negative else 1.0)
    with mpmath.workdps(400):
        end = (min if T > 0 else max)(energy for energy, _ in pairs)
        expected = precise([(mpmath.mpf(e) - mpmath.mpf(end), g) for e, g in pairs], T)
    e = Ensemble([energy for energy, _ in pairs], [g for _, g in pairs])
    for name in ("entropy", "heat_capacity"):
        assert getattr(e, name)(T) == pytest.approx(float(expected[name]), rel=1e-11, abs=1e-12)


def test_the_variance_is_infinite_only_if_it_is_beyond_the_largest_double():
    assert Ensemble([0.0, 1e160]).energy_variance(INF) == INF
    assert Ensemble([0.0, 1e150]).energy_variance(INF) == pytest.approx(2.5e299, rel=1e-14)
    assert Ensemble([0.0, 1e160]).energy(INF) == pytest.approx(5e159, rel=1e-14)


def test_orders_beyond_all_counts():
    e = Ensemble([0.0, 1.0, 5000.0], [1, 2, 3])
    top = math.log(1 / 3)
    for q in (1e20, 1e300, 1.7e308):
        assert e.renyi_entropy(q, -1.0) == pytest.approx(-top, rel=1e-14)
        assert e.spread_spectrum(q, 1.0) == pytest.approx(5000.0, rel=1e-14)
    huge = Ensemble([0.0, 1e155])
    assert huge.spread_spectrum([0.5, 2.0, 1e200, 1e308], INF).tolist() == pytest.approx(
        [2 * math.log(2), 1e155, 1e155, 1e155], rel=1e-14
    )
    assert huge.renyi_entropy([0.5, 1e308], 1e-200).tolist() == [0.0, 0.0]
    assert huge.probabilities([1e-200, -1e-200]).tolist() == [[1.0, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Ensemble([0, 1], [1e308, 1e308]), "degeneracies add up to more than"),
        (lambda: Ensemble([-1e308, 1e308]), "differ by more than the largest double"),
        (lambda: Ensemble([0], [1e300]).with_prior(lambda level: 1e300), "add up to more than"),
        (lambda: Ensemble.from_probabilities([1e308, 1e308], [0, 1]), "got a sum of inf"),
        (lambda: Ensemble([0.0, 1.0]).density_of_states(bins=[1.0]), "bins must be"),
        (lambda: Ensemble([0.0, 1.0]).density_of_states(bins=[0.0, math.nan]), "bins must be"),
    ],
)
def test_what_doubles_cannot_hold(make, message):
    with pytest.raises(InvalidArgumentError, match=message):
        make()


two = Ensemble([0.0, 1.0])
DOORS = {
    "T": lambda x: two.energy(x),
    "T of a sweep": lambda x: two.sweep(x),
    "energies": lambda x: Ensemble(x),
    "degeneracies": lambda x: Ensemble([0.0, 1.0], x),
    "probabilities": lambda x: Ensemble.from_probabilities(x, [0.0, 1.0]),
    "energies of probabilities": lambda x: Ensemble.from_probabilities([0.5, 0.5], x),
    "q": lambda x: two.renyi_entropy(x),
    "q of spreads": lambda x: two.spread_spectrum(x),
    "energy": lambda x: two.microcanonical_entropy(x),
    "width": lambda x: two.microcanonical_entropy(0.5, width=x),
    "bins": lambda x: two.density_of_states(bins=x),
    "weight of a prior": lambda x: two.with_prior(lambda level: x),
    "energy of a prior": lambda x: two.with_prior(lambda level: Prior(1.0, x)),
    "counts": lambda x: Ensemble.from_counts(x),
}
NO_NUMBERS = {
    "a truth value": True,
    "a truth value of NumPy": np.True_,
    "truth values": np.array([True, True]),
    "a truth value in a list": [True, 2.0],
    "a complex number": 1j,
    "complex numbers": np.array([0.5 + 0j, 0.5 + 1j]),
    "numbers with a mask": np.ma.array([0.5, 0.5], mask=[False, True]),
    "a masked number": np.ma.masked,
    "a masked number in a list": [np.ma.masked, 1.0],
    "a date": np.datetime64("2020-01-01"),
    "dates": np.array(["2020-01-01", "2020-01-02"], dtype="datetime64[D]"),
    "a stretch of time": np.timedelta64(3, "s"),
    "text": "1",
    "texts": ["0.5", "0.5"],
    "bytes": b"1",
    "nothing in a list": [None, 1.0],
    "a set": {0.25, 0.75},
    "rows of different lengths": [[0.5, 0.5], [1.0]],
    "an integer of 400 digits": [10**400, 1],
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("what", NO_NUMBERS)
def test_what_is_no_number_is_refused_at_every_door(door, what):
    if door == "weight of a prior" and what in ("a truth value", "a truth value of NumPy"):
        assert DOORS[door](NO_NUMBERS[what]).num_states == 2.0  # a condition selects
        return
    if door == "counts" and what == "an integer of 400 digits":
        assert DOORS[door](NO_NUMBERS[what]).top_level.energy == pytest.approx(400 * math.log(10))
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InvalidArgumentError):
            DOORS[door](NO_NUMBERS[what])


def test_whatever_holds_real_numbers_is_taken():
    import pandas

    expected = Ensemble([0.5, 2.0]).entropy(1.5)
    for energies in (
        (0.5, 2),
        [Fraction(1, 2), Decimal(2)],
        np.array([0.5, 2.0], dtype=np.float16),
        np.array([0.5, 2.0], dtype=object),
        pandas.Series([0.5, 2.0]),
        pandas.Series([0.5, 2.0], dtype="Float64"),
        (energy for energy in (0.5, 2.0)),
        {0.5: "a", 2.0: "b"}.keys(),
    ):
        assert Ensemble(energies).entropy(1.5) == expected
    assert Ensemble([0.5, 2.0]).entropy(np.array(1.5)) == expected
    assert Ensemble([0.5, 2.0]).entropy(iter([1.5, "0+"])).tolist() == [expected, 0.0]
    with pytest.raises(InvalidArgumentError):
        Ensemble(pandas.Series([0.5, None], dtype="Float64"))


def test_counts_are_no_truth_values():
    with pytest.raises(InvalidArgumentError, match="got bool True"):
        Spectrum.from_counts([True, 2])
    with pytest.raises(InvalidArgumentError, match="got bool True"):
        Spectrum.from_counts({1: True})
