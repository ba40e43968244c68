"""Quantities against 200-digit arithmetic, published numbers and laws."""

import math
import pickle
from fractions import Fraction
from types import SimpleNamespace

import mpmath
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from unrolled import (
    Graph,
    InvalidArgumentError,
    NothingToCountError,
    Spectrum,
    analyze,
    count,
    models,
    quantities,
)

SIZES = {"num_inputs": 2, "num_outputs": 1, "num_weight_nodes": 8}


def precise(tally, num_inputs=2, num_outputs=1, num_weight_nodes=8):
    """All quantities of a mapping of counts to degeneracies, straight from the definitions."""
    with mpmath.workdps(200):
        log2 = {count: mpmath.log(count, 2) for count in tally}
        total = sum(count * number for count, number in tally.items())
        log2_total = mpmath.log(total, 2)
        probability = {count: mpmath.mpf(count) / total for count in tally}
        surprisal = {}
        for count in tally:
            # log1p keeps the digits of a probability that is 1 to 200 digits.
            rest = mpmath.mpf(total - count) / count
            surprisal[count] = mpmath.log1p(rest) / mpmath.log(2)
        parameters = sum(tally.values())
        whole = mpmath.mpf(num_inputs) / (num_inputs + num_outputs + num_weight_nodes)
        total_surprisal = sum(number * surprisal[c] for c, number in tally.items())
        spread = sum(number * probability[c] * log2[c] for c, number in tally.items())
        return {
            "log2_total_contexts": log2_total,
            "total_surprisal": total_surprisal,
            "entropy": sum(n * probability[c] * surprisal[c] for c, n in tally.items()),
            "expected_spread": spread,
            "surprisal_estimate": (
                mpmath.log(total_surprisal * whole, 2) if total_surprisal else -mpmath.inf
            ),
            "spread_estimate": mpmath.log(parameters * (spread + 1) * whole, 2),
        }


def computed(spectrum):
    return {
        "log2_total_contexts": quantities.log2_total_contexts(spectrum),
        "total_surprisal": quantities.total_surprisal(spectrum),
        "entropy": quantities.entropy(spectrum),
        "expected_spread": quantities.expected_spread(spectrum),
        "surprisal_estimate": quantities.surprisal_estimate(spectrum, **SIZES),
        "spread_estimate": quantities.spread_estimate(spectrum, **SIZES),
    }


def check(tally, spectrum=None):
    expected = precise(tally)
    found = computed(Spectrum.from_counts(tally) if spectrum is None else spectrum)
    for name, value in found.items():
        # An estimate is the logarithm of a quantity: relative errors become absolute ones.
        absolute = 1e-13 if name.endswith("_estimate") else 1e-300
        assert value == pytest.approx(float(expected[name]), rel=1e-13, abs=absolute), name


def power_of_two_and_more(bits):
    return st.builds(lambda low: (1 << bits) | low, st.integers(0, (1 << bits) - 1))


any_count = st.one_of(
    st.integers(1, 20),
    st.integers(1, 2**80),
    st.integers(1, 6000).flatmap(power_of_two_and_more),
    st.integers(1, 6000).map(lambda bits: (1 << bits) - 1),
)
any_degeneracy = st.one_of(st.just(1), st.integers(1, 10), st.integers(1, 10**8))


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(any_count, any_degeneracy, min_size=1, max_size=12))
@example({1: 1})
@example({7: 1})
@example({1: 2, 2**33: 1})
@example({1: 10**8, 2**5000: 1})
@example({1: 1, 2**5000: 10**8})
@example({2**4000 + 1: 1, 2**4000: 10**8})
@example({2**53 - 1: 1, 2**53: 1, 2**53 + 1: 1})
@example({3: 10**8})
def test_all_quantities_agree_with_200_digits(tally):
    check(tally)


@pytest.mark.parametrize(
    "model",
    [
        models.cnn([4, 8], size=9, strides=2, batch_norm=True),
        models.mlp([3] * 40, inputs=2, skip=2),
        Graph.from_edges([0, 0, 1, 1, 2, 5], [1, 2, 2, 3, 3, 2]),
        Graph.from_edges([0, 1, 2], [3, 3, 3], parameters=[7, 7, 8, -1], multiplicity=[1, 5, 6]),
    ],
)
def test_what_was_counted_has_the_quantities_of_its_counts(model):
    """The core works them out of its own levels, of arrays, and of what a pickle holds."""
    spectrum = count(model).spectrum()
    tally = dict(zip(spectrum.counts, spectrum.degeneracies.tolist(), strict=True))
    check(tally, spectrum)
    check(tally, pickle.loads(pickle.dumps(spectrum)))
    assert spectrum.num_parameters == sum(tally.values())
    analysis = analyze(model)
    for name in ("log2_total_contexts", "entropy", "expected_spread", "total_surprisal"):
        assert getattr(analysis, name) == pytest.approx(float(precise(tally)[name]), rel=1e-13)


def test_anything_with_levels_is_a_spectrum():
    """Lists, narrow types and arrays with gaps are taken as they are."""
    tally = {3: 5, 16: 2, 24: 1}
    columns = np.array([[1.5, 1.0, 1.5], [1, 4, 4], [5, 2, 1]]).T
    exponents = columns[:, 1].astype(np.int32)
    for mantissas, degeneracies in (
        (columns[:, 0], columns[:, 2].astype(np.int64)),
        ([1.5, 1.0, 1.5], [5, 2, 1]),
    ):
        check(
            tally,
            SimpleNamespace(mantissas=mantissas, exponents=exponents, degeneracies=degeneracies),
        )


@pytest.mark.parametrize("gap", [1, 10, 40, 60, 200, 900])
def test_a_parameter_with_nearly_all_contexts_keeps_its_digits(gap):
    # 1 - p is far below the precision of p; a difference of logarithms would give 0 or noise.
    check({2**gap: 1, 1: 1})
    surprisal = quantities.surprisals(Spectrum.from_counts({2**gap: 1, 1: 1}))[-1]
    assert surprisal == pytest.approx(math.log1p(2.0**-gap) / math.log(2), rel=1e-14)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(any_count, any_degeneracy, min_size=1, max_size=12))
def test_entropy_and_expected_spread_add_up_to_the_logarithm_of_the_total(tally):
    spectrum = Spectrum.from_counts(tally)
    total = quantities.log2_total_contexts(spectrum)
    assert quantities.entropy(spectrum) + quantities.expected_spread(spectrum) == pytest.approx(
        total, rel=1e-13
    )


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.integers(1, 2**900), any_degeneracy, min_size=1, max_size=12))
def test_probabilities_and_surprisals_of_single_levels(tally):
    spectrum = Spectrum.from_counts(tally)
    total = sum(count * number for count, number in tally.items())
    expected = [float(Fraction(count, total)) for count in sorted(tally)]
    np.testing.assert_allclose(quantities.probabilities(spectrum), expected, rtol=1e-14)
    mass = math.fsum(quantities.probabilities(spectrum) * spectrum.degeneracies)
    assert mass == pytest.approx(1.0, rel=1e-14)
    with mpmath.workdps(60):
        surprisals = [
            float(mpmath.log1p(mpmath.mpf(total - c) / c) / mpmath.log(2)) for c in sorted(tally)
        ]
    np.testing.assert_allclose(quantities.surprisals(spectrum), surprisals, rtol=1e-13)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 2**3000), st.integers(1, 10**8))
def test_equal_counts_have_the_largest_entropy(count, number):
    spectrum = Spectrum.from_counts({count: number})
    assert quantities.entropy(spectrum) == pytest.approx(math.log2(number), rel=1e-14)
    assert quantities.total_surprisal(spectrum) == pytest.approx(
        number * math.log2(number), rel=1e-14
    )


def test_a_single_parameter_has_no_surprisal():
    spectrum = Spectrum.from_counts([12345])
    assert quantities.total_surprisal(spectrum) == 0.0
    assert quantities.entropy(spectrum) == 0.0
    assert quantities.surprisal_estimate(spectrum, **SIZES) == -math.inf


def test_size_adds_inputs_outputs_and_weight_nodes():
    assert quantities.size(num_inputs=3, num_outputs=5, num_weight_nodes=7) == 15


@pytest.mark.parametrize("name", ["num_inputs", "num_outputs", "num_weight_nodes"])
def test_size_refuses_impossible_numbers(name):
    with pytest.raises(InvalidArgumentError, match=f"{name} is -1"):
        quantities.size(**{**SIZES, name: -1})
    with pytest.raises(InvalidArgumentError, match=f"{name} must be a number, got str"):
        quantities.size(**{**SIZES, name: "8"})


def test_an_empty_spectrum_has_no_quantities():
    empty = Spectrum.from_counts([0, 0])
    for formula in (
        quantities.entropy,
        quantities.expected_spread,
        quantities.log2_total_contexts,
        quantities.probabilities,
        quantities.surprisals,
        quantities.total_surprisal,
    ):
        with pytest.raises(NothingToCountError, match="empty spectrum"):
            formula(empty)


def test_every_function_names_formula_unit_and_source():
    for name in set(quantities.__all__) - {"SpectrumLike"}:
        text = getattr(quantities, name).__doc__
        for word in ("Symbol ``", "formula ``", "Polat and Alpaslan (2023)", ">>> "):
            assert word in text, f"{name}: {word}"
        assert "unit bits" in text or "no unit" in text, name
