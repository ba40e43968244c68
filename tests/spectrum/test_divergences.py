"""Divergences against their definitions in exact arithmetic, and by their laws."""

import math
from fractions import Fraction

import mpmath
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import unrolled
from unrolled import InvalidArgumentError, NothingToCountError, Spectrum, divergence

counts = st.one_of(
    st.integers(1, 40),
    st.integers(1, 2**40),
    # As far apart as the counts of published models, and further.
    st.tuples(st.integers(1, 40), st.integers(0, 4000)).map(lambda pair: pair[0] << pair[1]),
)
tallies = st.dictionaries(
    counts,
    st.integers(1, 1000),
    min_size=1,
    max_size=8,
)
drawn = st.sampled_from(["contexts", "parameters"])
# Widths that no ratio of the logarithms of two integers is a multiple of, where these are rounded.
forms = st.one_of(
    st.tuples(st.sampled_from([None, "shift"]), st.sampled_from([0, 1, 2, 0.25])),
    st.tuples(st.just("scale"), st.sampled_from([0.0371, 0.2903])),
)


def bin_of(c, largest, align, bin_width):
    """The bin of a count, by integer arithmetic but for ratios of logarithms."""
    if align == "scale":
        share = mpmath.log(c) / mpmath.log(largest) if largest > 1 else mpmath.mpf(1)
        return int(mpmath.floor((1 - share) / bin_width))
    if bin_width == 0:
        return Fraction(c, largest) if align else c
    # Of the powers of two, the exponent of the largest that is at most c, or at most largest / c.
    numerator, denominator = (largest, c) if align else (c, 1)
    if bin_width == 0.25:
        return (numerator**4 // denominator**4).bit_length() - 1
    return ((numerator // denominator).bit_length() - 1) // bin_width


def distribution(tally, of, align, bin_width):
    """Exact probabilities by bin."""
    weights = {c: c * g if of == "contexts" else g for c, g in tally.items()}
    total = sum(weights.values())
    bins = {}
    for c, weight in weights.items():
        at = bin_of(c, max(tally), align, bin_width)
        bins[at] = bins.get(at, 0) + Fraction(weight, total)
    return bins


def relative_entropy(p, q):
    if any(at not in q for at in p):
        return mpmath.inf

    def number(x):
        return mpmath.mpf(x.numerator) / x.denominator

    return sum((number(x) * mpmath.log(number(x / q[at]), 2) for at, x in p.items()), mpmath.mpf(0))


@settings(max_examples=200)
@given(tallies, tallies, drawn, forms)
@example({16: 1}, {16: 1, 2**2000: 1}, "contexts", (None, 1))
@example({16: 1, 2**2000: 1}, {2**2000: 1}, "contexts", (None, 1))
@example({16: 1, 2**2000: 1}, {16: 3, 2**2000: 1}, "contexts", (None, 0))
def test_divergences_agree_with_their_definitions_in_50_digits(a, b, of, form):
    chosen = {"of": of, "align": form[0], "bin_width": form[1]}
    found = divergence(Spectrum.from_counts(a), Spectrum.from_counts(b), **chosen)
    with mpmath.workdps(50):
        p, q = (distribution(one, **chosen) for one in (a, b))
        middle = {at: (p.get(at, Fraction(0)) + q.get(at, Fraction(0))) / 2 for at in {*p, *q}}
        there, back = relative_entropy(p, q), relative_entropy(q, p)
        jensen = (relative_entropy(p, middle) + relative_entropy(q, middle)) / 2
        near = {"rel": 1e-11, "abs": 1e-14}
        assert found.relative_entropy == pytest.approx(float(there), **near)
        assert found.reverse_relative_entropy == pytest.approx(float(back), **near)
        assert found.jensen_shannon_distance**2 == pytest.approx(float(jensen), rel=1e-11)


def test_presence_does_not_underflow():
    """A level counts however improbable it is: 2**-1996 is below the smallest double."""
    one, both, other = (Spectrum.from_counts(c) for c in ([16], [16, 2**2000], [2**2000]))
    found = divergence(one, both)
    assert found.relative_entropy == pytest.approx(1996, rel=1e-15)
    assert found.reverse_relative_entropy == math.inf
    found = divergence(both, other)
    assert (found.relative_entropy, found.reverse_relative_entropy) == (math.inf, 0.0)
    assert found.jensen_shannon_distance < 1e-290


def test_a_small_distance_keeps_its_digits():
    """Two spectra whose probabilities differ by 1e-9: the distance is of the same order."""
    a, b = {1: 10**9, 2: 10**9}, {1: 10**9 + 1, 2: 10**9 - 1}
    found = divergence(*map(Spectrum.from_counts, (a, b)), of="parameters")
    with mpmath.workdps(50):
        p, q = (distribution(one, "parameters", None, 1) for one in (a, b))
        middle = {at: (p[at] + q[at]) / 2 for at in p}
        jensen = (relative_entropy(p, middle) + relative_entropy(q, middle)) / 2
        assert found.jensen_shannon_distance == pytest.approx(float(mpmath.sqrt(jensen)), rel=1e-9)
        there = relative_entropy(p, q)
        assert found.relative_entropy == pytest.approx(float(there), rel=1e-6)


@settings(max_examples=60)
@given(tallies, tallies, drawn, st.integers(0, 500), st.integers(1, 5))
def test_alignments_forget_what_they_align(a, b, of, doublings, power):
    """Counts times 2**k are alike after a shift, and powers of counts after scaling."""
    x, y = Spectrum.from_counts(a), Spectrum.from_counts(b)
    shifted = Spectrum.from_counts({c << doublings: g for c, g in a.items()})
    for width in (0, 1):
        one, other = (divergence(s, y, of=of, align="shift", bin_width=width) for s in (x, shifted))
        assert one[:3] == pytest.approx(other[:3], rel=1e-12, abs=1e-12)
        assert one[3] == pytest.approx(other[3], rel=1e-9, abs=1e-9)
    assert divergence(x, shifted, of=of, align="shift").earth_movers_distance < 1e-9
    raised = Spectrum.from_counts({c**power: g for c, g in a.items()})
    found = divergence(x, raised, of="parameters", align="scale", bin_width=0.0371)
    assert found[:3] == pytest.approx((0, 0, 0), abs=1e-12)
    assert found.earth_movers_distance < 1e-12


def test_published_models_are_told_apart():
    """All but the earth mover's distance saturate without an alignment."""
    spectra = [unrolled.count(unrolled.models.resnet(depth)).spectrum() for depth in (18, 34, 50)]
    small, deep, wide = spectra
    for pair in ((small, deep), (small, wide), (deep, wide)):
        assert divergence(*pair).jensen_shannon_distance == 1.0
        for chosen in ({"align": "shift"}, {"align": "scale", "of": "parameters"}):
            assert 0 <= divergence(*pair, **chosen).jensen_shannon_distance < 0.7
    # A basic block and the stem are the same in 18 and 34; a bottleneck is something else.
    shifted = {"align": "shift"}
    near, far = divergence(small, deep, **shifted), divergence(small, wide, **shifted)
    assert near.jensen_shannon_distance < far.jensen_shannon_distance / 100
    assert near.earth_movers_distance < far.earth_movers_distance


def test_scaled_spectra_of_single_contexts():
    ones, more = Spectrum.from_counts([1, 1, 1]), Spectrum.from_counts([1, 4])
    assert divergence(ones, ones, align="scale") == (0.0, 0.0, 0.0, 0.0)
    found = divergence(ones, more, of="parameters", align="scale")
    assert found.relative_entropy == pytest.approx(1.0)  # the largest level has half of `more`
    assert found.earth_movers_distance == pytest.approx(0.5)


@settings(max_examples=60)
@given(tallies, tallies, tallies, drawn)
def test_divergences_are_distances_or_not_as_they_should(a, b, c, of):
    x, y, z = (Spectrum.from_counts(one) for one in (a, b, c))
    for align, width in ((None, 0), (None, 1), ("shift", 0), ("shift", 1), ("scale", 0.0371)):
        form = {"of": of, "align": align, "bin_width": width}
        ab, ba = divergence(x, y, **form), divergence(y, x, **form)
        assert ab.relative_entropy == pytest.approx(ba.reverse_relative_entropy, rel=1e-12)
        assert ab.relative_entropy >= 0
        assert 0 <= ab.jensen_shannon_distance <= 1
        ac, bc = divergence(x, z, **form), divergence(y, z, **form)
        for at in (2, 3):  # both distances obey the triangle inequality
            assert ab[at] == pytest.approx(ba[at], rel=1e-9, abs=1e-12)
            assert ac[at] <= ab[at] + bc[at] + 1e-9
        same = divergence(x, x, **form)
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
        (lambda s: divergence(s, s, bin_width=True), InvalidArgumentError, "bin_width must be"),
        (lambda s: divergence(s, s, bin_width=10**400), InvalidArgumentError, "bin_width must be"),
        (lambda s: divergence(s, s, align="largest"), InvalidArgumentError, "got 'largest'"),
        (
            lambda s: divergence(s, s, align="scale", bin_width=0),
            InvalidArgumentError,
            "above 0 with align='scale'",
        ),
        (lambda s: divergence(s, Spectrum.from_counts([])), NothingToCountError, "empty spectrum"),
        (lambda s: divergence(s, "resnet17"), unrolled.UnknownModelError, "resnet18"),
    ],
)
def test_what_has_no_divergence_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call(Spectrum.from_counts([1, 2]))
