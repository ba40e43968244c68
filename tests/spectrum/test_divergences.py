"""Divergences against their definitions in exact arithmetic, and by their laws."""

import math
from fractions import Fraction

import mpmath
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unrolled
from unrolled import InvalidArgumentError, NothingToCountError, Spectrum, divergence

tallies = st.dictionaries(
    st.one_of(st.integers(1, 40), st.integers(1, 2**40)),
    st.integers(1, 1000),
    min_size=1,
    max_size=8,
)
options = st.fixed_dictionaries(
    {
        "of": st.sampled_from(["contexts", "parameters"]),
        "bin_width": st.sampled_from([0, 1, 2, 0.25]),
    }
)


def distribution(tally, of, bin_width):
    """Exact probabilities by bin; bins by integer arithmetic where the width is one or two."""
    weights = {c: c * g if of == "contexts" else g for c, g in tally.items()}
    total = sum(weights.values())
    bins = {}
    for c, weight in weights.items():
        if bin_width == 0:
            at = c
        elif bin_width == 0.25:
            # floor(4 log2 c): the largest k with 2**k <= c**4.
            at = (c**4).bit_length() - 1
        else:
            at = (c.bit_length() - 1) // bin_width
        bins[at] = bins.get(at, 0) + Fraction(weight, total)
    return bins


def relative_entropy(p, q):
    if any(at not in q for at in p):
        return mpmath.inf

    def number(x):
        return mpmath.mpf(x.numerator) / x.denominator

    return sum((number(x) * mpmath.log(number(x / q[at]), 2) for at, x in p.items()), mpmath.mpf(0))


@settings(max_examples=100)
@given(tallies, tallies, options)
def test_divergences_agree_with_their_definitions_in_50_digits(a, b, chosen):
    found = divergence(Spectrum.from_counts(a), Spectrum.from_counts(b), **chosen)
    p, q = (distribution(one, **chosen) for one in (a, b))
    with mpmath.workdps(50):
        middle = {at: (p.get(at, Fraction(0)) + q.get(at, Fraction(0))) / 2 for at in {*p, *q}}
        there, back = relative_entropy(p, q), relative_entropy(q, p)
        jensen = (relative_entropy(p, middle) + relative_entropy(q, middle)) / 2
        near = {"rel": 1e-11, "abs": 1e-14}
        assert found.relative_entropy == pytest.approx(float(there), **near)
        assert found.reverse_relative_entropy == pytest.approx(float(back), **near)
        assert found.jensen_shannon_distance**2 == pytest.approx(float(jensen), **near)


@settings(max_examples=60)
@given(tallies, tallies, tallies, st.sampled_from(["contexts", "parameters"]))
def test_divergences_are_distances_or_not_as_they_should(a, b, c, of):
    x, y, z = (Spectrum.from_counts(one) for one in (a, b, c))
    for width in (0, 1):
        ab, ba = divergence(x, y, of=of, bin_width=width), divergence(y, x, of=of, bin_width=width)
        assert ab.relative_entropy == pytest.approx(ba.reverse_relative_entropy, rel=1e-12)
        assert ab.relative_entropy >= 0
        assert 0 <= ab.jensen_shannon_distance <= 1
        ac, bc = divergence(x, z, of=of, bin_width=width), divergence(y, z, of=of, bin_width=width)
        for at in (2, 3):  # both distances obey the triangle inequality
            assert ab[at] == pytest.approx(ba[at], rel=1e-9, abs=1e-12)
            assert ac[at] <= ab[at] + bc[at] + 1e-9
        same = divergence(x, x, of=of, bin_width=width)
        assert same == (0.0, 0.0, 0.0, 0.0)


def test_earth_movers_distance_of_shifted_counts_is_the_shift():
    a = {3: 2, 5: 7, 12: 1}
    shifted = {count * 2**10: number for count, number in a.items()}
    for of in ("contexts", "parameters"):
        found = divergence(Spectrum.from_counts(a), Spectrum.from_counts(shifted), of=of)
        assert found.earth_movers_distance == pytest.approx(10, rel=1e-13)
        assert found.jensen_shannon_distance == pytest.approx(1.0, rel=1e-14)
        assert found.relative_entropy == math.inf


def test_a_model_by_all_its_names():
    net = unrolled.models.resnet(18, size=32)
    counts = unrolled.count(net)
    log = unrolled.count(net, exact=False)
    for same in (net, counts, unrolled.analyze(counts), counts.spectrum()):
        assert divergence(net, same, bin_width=0) == (0.0, 0.0, 0.0, 0.0)
    assert divergence(net, log).earth_movers_distance == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda s: divergence(s, 3), InvalidArgumentError, "got int 3"),
        (lambda s: divergence(s, s, of="edges"), InvalidArgumentError, "got 'edges'"),
        (lambda s: divergence(s, s, bin_width=-1), InvalidArgumentError, "bin_width must be"),
        (lambda s: divergence(s, s, bin_width=math.nan), InvalidArgumentError, "bin_width must be"),
        (lambda s: divergence(s, s, bin_width="1"), InvalidArgumentError, "bin_width must be"),
        (lambda s: divergence(s, Spectrum.from_counts([])), NothingToCountError, "empty spectrum"),
        (lambda s: divergence(s, "resnet17"), unrolled.UnknownModelError, "resnet18"),
    ],
)
def test_what_has_no_divergence_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call(Spectrum.from_counts([1, 2]))
