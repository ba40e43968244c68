"""Semicircle and Marchenko-Pastur: closed forms, transforms, and matrices of finite size."""

import math
from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest

from unrolled import InvalidArgumentError, TheoryDomainError
from unrolled.theory import marchenko_pastur, semicircle
from unrolled.theory.series import (
    cumulants_of_moments,
    moments_of_cumulants,
    moments_of_s_series,
    s_series_of_moments,
)

LAWS = {
    "semicircle": semicircle(1.5),
    "tall": marchenko_pastur(0.25, 1.2),
    "square": marchenko_pastur(1.0),
    "flat": marchenko_pastur(4.0, 0.7),
}


def test_moments_of_the_semicircle():
    s = Fraction(3, 2)
    assert semicircle(s).moments(6) == (0, s**2, 0, 2 * s**4, 0, 5 * s**6)


def test_moments_of_marchenko_pastur():
    phi = Fraction(2, 7)
    assert marchenko_pastur(phi).moments(3) == (1, 1 + phi, 1 + 3 * phi + phi**2)


@pytest.mark.parametrize("name", LAWS)
def test_moments_are_integrals_of_the_density(name):
    law = LAWS[name]
    least, largest = law.edges
    with mp.workdps(15):
        half, middle = (largest - least) / 2, (largest + least) / 2

        def integrand(angle, k):
            """With the cosine as variable, in which the density is smooth."""
            x = middle + half * float(mp.cos(angle))
            return float(law.density(x)) * x**k * half * float(mp.sin(angle))

        mass = mp.quad(lambda angle: integrand(angle, 0), [0, mp.pi / 2, mp.pi])
        assert float(mass) == pytest.approx(1 - law.atom, abs=1e-7)
        for k, moment in enumerate(law.moments(4), 1):
            found = mp.quad(lambda angle, k=k: integrand(angle, k), [0, mp.pi / 2, mp.pi])
            assert float(found) == pytest.approx(moment, rel=1e-9, abs=1e-12)


def test_density_of_marchenko_pastur_by_its_formula():
    """With ``2 pi lambda sigma^2 phi`` in the denominator; the slides lack a part of it."""
    sigma, phi = 1.3, 0.4
    law = marchenko_pastur(phi, sigma)
    least, largest = sigma**2 * (1 - math.sqrt(phi)) ** 2, sigma**2 * (1 + math.sqrt(phi)) ** 2
    assert law.edges == pytest.approx((least, largest), rel=1e-14)
    x = np.linspace(least, largest, 9)
    expected = np.sqrt((x - least) * (largest - x)) / (2 * np.pi * x * sigma**2 * phi)
    np.testing.assert_allclose(law.density(x), expected, atol=1e-13)
    assert law.density(least / 2) == law.density(2 * largest) == 0.0


def test_density_of_the_semicircle_by_its_formula():
    x = np.linspace(-3, 3, 7)
    expected = np.sqrt(9 - x * x) / (2 * np.pi * 2.25)
    np.testing.assert_allclose(semicircle(1.5).density(x), expected, atol=1e-13)


@pytest.mark.parametrize("name", LAWS)
def test_transforms_satisfy_their_definitions(name):
    law = LAWS[name]
    for x in (law.edges[1] * 1.1, law.edges[1] * 3.0):
        g = float(law.stieltjes(x).real)
        assert float(law.r_transform(g)) + 1 / g == pytest.approx(x, rel=1e-12)
        if name != "semicircle":
            w = x * g - 1
            assert (1 + w) / (w * float(law.s_transform(w))) == pytest.approx(x, rel=1e-12)
    z = np.array([0.3 + 0.2j, -1.0 + 1e-3j, 2.0 - 0.5j])
    step = 1e-6
    slope = (law.stieltjes(z + step) - law.stieltjes(z - step)) / (2 * step)
    upper = np.where(z.imag < 0, z.conj(), z)
    np.testing.assert_allclose(
        np.where(z.imag < 0, slope.conj(), slope), law._stieltjes(upper)[1], rtol=1e-6
    )
    np.testing.assert_allclose(law.stieltjes(z.conj()), law.stieltjes(z).conj(), rtol=1e-14)


@pytest.mark.parametrize("name", LAWS)
def test_transforms_of_laws_are_those_of_the_general_method(name):
    """Without formulas of their own, by inverting G."""
    law = LAWS[name]
    general = super(type(law), law)
    g = 0.5 * float(law.stieltjes(law.edges[1]).real)
    assert float(general.r_transform(g)) == pytest.approx(float(law.r_transform(g)), rel=1e-11)
    if name != "semicircle":
        w = -0.4 * (1 - law.atom)
        assert float(general.s_transform(w)) == pytest.approx(float(law.s_transform(w)), rel=1e-11)


def test_closed_forms_of_transforms():
    law, variance, w = marchenko_pastur(0.3, 1.4), 1.4**2, 0.21
    assert law.r_transform(w) == pytest.approx(variance / (1 - 0.3 * variance * w), rel=1e-14)
    assert law.s_transform(w) == pytest.approx(1 / (variance * (1 + 0.3 * w)), rel=1e-14)
    assert semicircle(1.5).r_transform(w) == pytest.approx(2.25 * w, rel=1e-14)


def test_free_cumulants():
    assert semicircle(2).free_cumulants(5) == (0, 4, 0, 0, 0)
    phi = Fraction(3, 5)
    assert marchenko_pastur(phi, 2).free_cumulants(4) == tuple(4**k * phi ** (k - 1) for k in
                                                               range(1, 5))  # fmt: skip


def test_moments_of_cumulants_by_counting_partitions():
    """The sum over partitions without crossings, drawn out."""

    def partitions(items):
        if not items:
            yield []
            return
        first, *rest = items
        for part in partitions(rest):
            yield [[first], *part]
            for at, block in enumerate(part):
                yield [*part[:at], [first, *block], *part[at + 1 :]]

    def crosses(part):
        where = {item: at for at, block in enumerate(part) for item in block}
        return any(
            where[a] == where[c] != where[b] == where[d]
            for d in where
            for c in range(d)
            for b in range(c)
            for a in range(b)
        )

    cumulants = [
        Fraction(1, 2),
        Fraction(3),
        Fraction(-2),
        Fraction(1, 5),
        Fraction(7),
        Fraction(2),
    ]
    for n in range(1, 7):
        expected = sum(
            math.prod(cumulants[len(block) - 1] for block in part)
            for part in partitions(list(range(n)))
            if not crosses(part)
        )
        assert moments_of_cumulants(cumulants[:n])[-1] == expected


def test_series_are_each_other_s_inverse():
    moments = [Fraction(2), Fraction(7), Fraction(31), Fraction(160), Fraction(901)]
    assert moments_of_cumulants(cumulants_of_moments(moments)) == moments
    assert moments_of_s_series(s_series_of_moments(moments)) == moments


@pytest.mark.parametrize("name", LAWS)
def test_share_of_eigenvalues_below(name):
    """The derivative is the density; the ends are exact."""
    law = LAWS[name]
    least, largest = law.edges
    x = np.linspace(least, largest, 9)[1:-1]
    step = 1e-3 * (largest - least)
    slope = (law.cdf(x + step) - law.cdf(x - step)) / (2 * step)
    np.testing.assert_allclose(slope, law.density(x), rtol=2e-3)
    assert law.cdf(largest) == 1.0
    assert law.cdf(-10.0) == 0.0
    if least > 0:
        assert law.cdf(least / 2) == law.atom


def test_share_below_of_the_semicircle():
    x = np.linspace(-1.9, 1.9, 7)
    expected = 0.5 + x * np.sqrt(4 - x * x) / (4 * np.pi) + np.arcsin(x / 2) / np.pi
    np.testing.assert_allclose(semicircle(1.0).cdf(x), expected, atol=2e-7)


def test_eigenvalues_of_a_symmetric_matrix():
    """Entries of variance sigma^2 / size, as the slides forget to say."""
    rng = np.random.default_rng(3)
    size = 800
    matrix = rng.normal(size=(size, size)) / math.sqrt(size)
    values = np.linalg.eigvalsh((matrix + matrix.T) / math.sqrt(2))
    law = semicircle(1.0)
    shares = (np.arange(size) + 0.5) / size
    assert np.max(np.abs(law.cdf(values) - shares)) < 0.01
    assert np.max(np.abs(values)) == pytest.approx(2.0, abs=0.06)


@pytest.mark.parametrize("rows", [200, 1600])
def test_eigenvalues_of_a_covariance_matrix(rows):
    rng = np.random.default_rng(4)
    columns = 800
    matrix = rng.normal(size=(rows, columns)) / math.sqrt(columns)
    values = np.linalg.eigvalsh(matrix @ matrix.T)
    law = marchenko_pastur(rows / columns)
    bulk = np.sort(values)[max(0, rows - columns) :]
    assert np.count_nonzero(values < 1e-9) == law.atom * rows
    shares = law.atom + (np.arange(len(bulk)) + 0.5) / rows
    assert np.max(np.abs(law.cdf(bulk) - shares)) < 0.02
    # The ends of a matrix of finite size lie within, by its size to the power -2/3.
    assert (bulk[0], bulk[-1]) == pytest.approx(law.edges, rel=0.05, abs=0.05)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: semicircle(0.0), "sigma"),
        (lambda: marchenko_pastur(-1.0), "ratio"),
        (lambda: marchenko_pastur(math.inf), "ratio"),
        (lambda: semicircle().moments(0), "from 1 on"),
        (lambda: semicircle().s_transform(0.1), "mean zero"),
        (lambda: super(type(LAWS["tall"]), LAWS["tall"]).r_transform(50.0), "not defined"),
    ],
)
def test_arguments_outside_the_theory(call, message):
    with pytest.raises(TheoryDomainError, match=message):
        call()


@pytest.mark.parametrize(
    ("matrix", "message"),
    [(np.zeros((2, 3)), "shape"), (np.array([[0.0, 1.0], [0.0, 0.0]]), "not symmetric")],
)
def test_matrices_that_have_no_eigenvalues_to_draw(matrix, message):
    with pytest.raises(InvalidArgumentError, match=message):
        semicircle().plot(matrix=matrix)
