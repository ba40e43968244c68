"""Sums and products of free matrices: known laws, integrals, and matrices of finite size."""

import math
from fractions import Fraction

import numpy as np
import pytest

from unrolled import InvalidArgumentError, TheoryDomainError
from unrolled.theory import free_product, free_sum, marchenko_pastur, semicircle
from unrolled.theory.series import cumulants_of_moments

LAWS = {
    "shifted semicircle": lambda: free_sum(semicircle(1.0), marchenko_pastur(0.5)),
    "sum with a gap": lambda: free_sum(marchenko_pastur(3.0), marchenko_pastur(4.0)),
    "sum without zeros": lambda: free_sum(marchenko_pastur(0.5), marchenko_pastur(4.0)),
    "product": lambda: free_product(marchenko_pastur(0.5), marchenko_pastur(0.25)),
    "square product": lambda: free_product(marchenko_pastur(1.0), marchenko_pastur(1.0)),
    "product with a gap": lambda: free_product(marchenko_pastur(4.0), marchenko_pastur(0.5)),
}


def integrals(law, orders, nodes=400):
    """Of the density times powers, by the midpoint rule in an angle, as everything is smooth."""
    least, largest = law.edges
    is_hard = least == 0
    low, high = (math.log(largest * 1e-12), math.log(largest)) if is_hard else (least, largest)
    angles = (np.arange(nodes) + 0.5) * np.pi / nodes
    x = (low + high) / 2 + (high - low) / 2 * np.cos(angles)
    weights = np.sin(angles) * (high - low) / 2 * np.pi / nodes
    if is_hard:
        x = np.exp(x)
        weights = weights * x
    density = law.density(x)
    return [float(np.sum(weights * density * x**k)) for k in orders]


@pytest.mark.parametrize("name", LAWS)
def test_moments_are_integrals_of_the_density(name):
    """The moments are from series, the density from subordination, the edges from transforms."""
    law = LAWS[name]()
    # The mass that the zeros of one matrix became is still narrow, and takes more nodes.
    found = integrals(law, range(5), nodes=3000 if name == "sum without zeros" else 400)
    # Eigenvalues below 1e-12 of the largest are left out where they accumulate at zero.
    assert found[0] == pytest.approx(1 - law.atom, abs=3e-4 if law.edges[0] == 0 else 1e-11)
    assert found[1:] == pytest.approx(law.moments(4), rel=1e-11)


def test_semicircles_add_like_normal_laws():
    law, expected = free_sum(semicircle(3), semicircle(4)), semicircle(5)
    assert law.moments(8) == expected.moments(8)
    assert law.edges == pytest.approx(expected.edges, rel=1e-12)
    x = np.linspace(-11, 11, 23)
    np.testing.assert_allclose(law.density(x), expected.density(x), atol=1e-12)


def test_sum_of_marchenko_pastur_is_one_of_more_columns():
    """X X^T + Y Y^T is that of (X Y)."""
    law = free_sum(marchenko_pastur(0.5), marchenko_pastur(0.5))
    expected = marchenko_pastur(0.25, math.sqrt(2))
    assert law.edges == pytest.approx(expected.edges, rel=1e-9)
    x = np.linspace(0.6, 4.4, 9)
    np.testing.assert_allclose(law.density(x), expected.density(x), rtol=1e-10)
    assert law.moments(6) == pytest.approx(expected.moments(6), rel=1e-12)


def test_product_of_square_matrices_is_fuss_catalan():
    """``m_k = C(3k, k) / (2k + 1)``; the largest eigenvalue of L factors, ``(L+1)^(L+1) / L^L``."""
    square = marchenko_pastur(1)
    law = free_product(square, square)
    assert law.moments(6) == tuple(math.comb(3 * k, k) // (2 * k + 1) for k in range(1, 7))
    assert law.edges == pytest.approx((0.0, 27 / 4), abs=1e-12)
    third = free_product(law, square)
    assert third.moments(4) == tuple(math.comb(4 * k, k) // (3 * k + 1) for k in range(1, 5))
    assert third.edges[1] == pytest.approx(256 / 27, rel=1e-12)


def test_operations_commute():
    first, second = marchenko_pastur(0.3, 1.1), marchenko_pastur(2.0, 0.8)
    x = np.array([0.7, 1.5, 3.0])
    for operation in (free_sum, free_product):
        one, other = operation(first, second), operation(second, first)
        np.testing.assert_allclose(one.density(x), other.density(x), rtol=1e-9)
        assert one.edges == pytest.approx(other.edges, rel=1e-9)
        assert one.atom == other.atom


def test_derivative_of_the_transform():
    """Laws of laws need it."""
    z = np.array([0.8 + 0.3j, 2.0 + 0.05j])
    step = 1e-6
    for name, make in LAWS.items():
        law = make()
        slope = (law.stieltjes(z + step) - law.stieltjes(z - step)) / (2 * step)
        np.testing.assert_allclose(slope, law._stieltjes(z)[1], rtol=1e-7, err_msg=name)


def test_transforms_add_and_multiply():
    total = free_sum(semicircle(0.5), marchenko_pastur(0.4))
    product = free_product(marchenko_pastur(0.5), marchenko_pastur(0.25))
    for w in (-0.3, 0.1, 0.2):
        assert total.r_transform(w) == pytest.approx(0.25 * w + 1 / (1 - 0.4 * w), rel=1e-13)
        assert product.s_transform(w) == pytest.approx(
            1 / ((1 + 0.5 * w) * (1 + 0.25 * w)), rel=1e-13
        )


def test_sum_of_a_product_and_a_semicircle():
    product = free_product(marchenko_pastur(0.5), marchenko_pastur(0.25))
    law = free_sum(product, semicircle(0.3))
    assert integrals(law, range(3), nodes=24) == pytest.approx([1.0, *law.moments(2)], rel=1e-9)


def test_free_cumulants_of_random_matrices_add_up():
    """Moments of single matrices of size 300, over ten draws; corrections are of 1/size^2."""
    rng = np.random.default_rng(8)
    size, draws, order = 300, 10, 4
    found = np.empty((draws, 3, order))
    for draw in range(draws):
        noise = rng.normal(size=(size, size)) / math.sqrt(size)
        first = (noise + noise.T) / math.sqrt(2)
        other = rng.normal(size=(size, 2 * size)) / math.sqrt(2 * size)
        second = other @ other.T
        for at, matrix in enumerate((first, second, first + second)):
            values = np.linalg.eigvalsh(matrix)
            moments = [float(np.mean(values**k)) for k in range(1, order + 1)]
            found[draw, at] = cumulants_of_moments(moments)
    law = free_sum(semicircle(1.0), marchenko_pastur(0.5))
    difference = found[:, 2] - found[:, 0] - found[:, 1]
    for samples, expected in ((difference, np.zeros(order)), (found[:, 2], law.free_cumulants(4))):
        error = samples.std(axis=0) / math.sqrt(draws)
        assert np.all(np.abs(samples.mean(axis=0) - expected) < 4 * error + 10 / size)


@pytest.mark.parametrize("name", ["sum with a gap", "product with a gap", "product"])
def test_eigenvalues_of_matrices(name):
    """Of one matrix of size 600, with the law's share below each."""
    rng = np.random.default_rng(9)
    size = 600

    def covariance(ratio):
        matrix = rng.normal(size=(size, round(size / ratio))) / math.sqrt(round(size / ratio))
        return matrix @ matrix.T

    law = LAWS[name]()
    first = covariance(law.first.ratio)
    second = covariance(law.second.ratio)
    if name.startswith("sum"):
        values = np.linalg.eigvalsh(first + second)
    else:
        values = np.sort(np.linalg.eigvals(first @ second).real)
    number = round(law.atom * size)
    bulk = values[number:]
    assert np.all(np.abs(values[:number]) < 1e-8)
    shares = law.atom + (np.arange(len(bulk)) + 0.5) / size
    assert np.max(np.abs(law.cdf(bulk) - shares)) < 0.015
    # The ends of a matrix of finite size lie within, by its size to the power -2/3.
    assert bulk[0] == pytest.approx(law.edges[0], abs=0.1)
    assert bulk[-1] == pytest.approx(law.edges[1], rel=0.08)


def test_exact_fractions():
    law = free_sum(marchenko_pastur(Fraction(1, 2)), semicircle(Fraction(1, 3)))
    assert law.moments(2) == (1, Fraction(1, 2) + Fraction(1, 9) + 1)


def test_assumptions_name_both_matrices():
    text = str(LAWS["shifted semicircle"]())
    assert "free" in text
    assert "X X^T" in text
    assert "symmetric" in text


def test_what_cannot_be_multiplied():
    with pytest.raises(TheoryDomainError, match="negative eigenvalues"):
        free_product(semicircle(1.0), marchenko_pastur(1.0))
    with pytest.raises(InvalidArgumentError, match="a law such as"):
        free_sum(semicircle(1.0), 3)
