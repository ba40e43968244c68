"""Slips of two sets of lecture slides, each against what is right; see docs/theory.

The slides are K. Webster and P. H. Richemond, Theories of deep learning (Imperial College London),
and F. Huszar, DeepNN lecture 3 (Cambridge). What they say is computed here as they say it.
"""

import math
from itertools import pairwise

import numpy as np
import pytest

from oracles.gaussian_moments import mean, moment
from unrolled.ensemble import Ensemble
from unrolled.theory import (
    SphericalModel,
    c_map,
    jacobian_spectrum,
    length_map,
    linear_pieces,
    marchenko_pastur,
    mean_field,
    sawtooth,
    semicircle,
    spin_glass,
)


def test_kinks_grow_with_the_width_of_one_layer_and_with_two_to_the_depth_at_most():
    """Slides: about 2^depth kinks. That is a maximum, and sawtooth reaches it."""
    assert len(linear_pieces(sawtooth(6).layers, (-2, 2)).breakpoints) == 2**6 - 1
    rng = np.random.default_rng(4)
    for _ in range(20):
        layers = [(rng.normal(size=7), rng.normal(size=7)), (rng.normal(size=(1, 7)), [0.0])]
        assert len(linear_pieces(layers, (-50, 50)).breakpoints) <= 7


def test_gibbs_averages_need_the_temperature():
    """Slides, (3): weights exp(-H) in the average, but exp(-beta H) in the measure."""
    counts = {2: 3, 5: 1, 7: 4}
    ensemble = Ensemble.from_counts(counts)
    energies = {count: math.log(count) for count in counts}
    for beta in (0.5, 1.0, 2.0):
        weights = {n: g * math.exp(-beta * energies[n]) for n, g in counts.items()}
        right = sum(weights[n] * energies[n] for n in counts) / sum(weights.values())
        plain = {n: g * math.exp(-energies[n]) for n, g in counts.items()}
        slides = sum(plain[n] * energies[n] for n in counts) / sum(weights.values())
        assert ensemble.energy(1 / beta) == pytest.approx(right, rel=1e-12)
        assert (slides == pytest.approx(right)) == (beta == 1.0)


def test_normalisation_of_outputs_is_a_negative_power():
    """Slides: q = sqrt(Psi^((H-1)/2H)). Only Psi^(-(H-1)/(2H)) gives sums the variance they have.

    The Hamiltonian divides by ``Lambda^((H-1)/2)`` with ``Lambda = Psi^(1/H)``.
    """
    glass = spin_glass([784, 100, 100, 1])
    psi, depth = glass.mass, glass.depth
    assert glass.normalization == pytest.approx(psi ** (-(depth - 1) / (2 * depth)), rel=1e-13)
    assert glass.normalization == pytest.approx(glass.root_mass ** (-(depth - 1) / 2), rel=1e-13)
    assert math.sqrt(psi ** ((depth - 1) / (2 * depth))) > 1 > glass.normalization


def test_complexity_above_the_threshold_needs_the_energy():
    """Slides: ln(H-1)/2 - (H-2)/(4(H-1)), without u^2: it would jump at the threshold."""
    model = SphericalModel(3)
    edge = model.threshold
    slides = math.log(2) / 2 - 1 / 8
    at_edge = float(model.complexity_of_index(0, -edge))
    assert at_edge == pytest.approx(math.log(2) / 2 - 1 / 3, abs=1e-14)
    assert float(model.complexity_of_index(0, 0.0)) == pytest.approx(at_edge, abs=1e-14)
    assert (slides, at_edge) == (pytest.approx(0.22157, abs=1e-5), pytest.approx(0.01324, abs=1e-5))


def test_index_is_a_share_and_its_power_law_an_expansion():
    """Slides: the number of negative eigenvalues, from the energy of the minimiser on."""
    model = SphericalModel(3)
    x = 0.5
    expansion = 4 * math.sqrt(2) / (3 * math.pi) * (1 - x) ** 1.5
    exact = float(model.index_fraction(-x * model.threshold))
    assert (expansion, exact) == (pytest.approx(0.2122, abs=1e-4), pytest.approx(0.1955, abs=1e-4))
    # It vanishes at the threshold, which lies above the least energy.
    assert model.index_fraction(-model.threshold) == 0.0
    assert model.threshold < model.ground_state(0)


def test_critical_points_are_counted_below_a_level_and_two_spins_have_few():
    """Slides: for all H >= 2. With H = 2 all exponents are zero or negative."""
    model = SphericalModel(2)
    assert np.all(model.complexity(np.linspace(-3, 3, 13)) <= 0)
    energies = np.linspace(-1.7, 0.5, 30)
    assert np.all(np.diff(SphericalModel(3).complexity(energies)) >= 0)


def test_slope_takes_the_root_of_the_variance_only():
    """Slides, (15): phi'(sqrt(q z)), which is not even real; the slope of (14) has sqrt(q) z."""
    field = mean_field("tanh", 4.0, 0.1)
    step = 1e-5
    slope = (c_map("tanh", 4.0, 0.1, 1.0, q=field.q)
             - c_map("tanh", 4.0, 0.1, 1.0 - step, q=field.q)) / step  # fmt: skip
    assert slope == pytest.approx(field.chi_1, abs=1e-4)
    assert field.chi_1 == pytest.approx(4 * float(moment("tanh", field.q, derivative=1)), rel=1e-10)
    with_absolute = float(mean(lambda z: 1 / math.cosh(math.sqrt(field.q * abs(z))) ** 4, 1.0))
    assert abs(4 * with_absolute - field.chi_1) > 0.1


def test_layers_multiply_the_activations_before_them():
    """Slides, (9): h = W + b. Only W times what is before gives the maps of lengths."""
    rng = np.random.default_rng(2)
    size = 2000
    signal = np.tanh(rng.normal(size=size))
    after = rng.normal(size=(size, size)) @ signal * math.sqrt(2.0 / size)
    expected = 2.0 * float(moment("tanh", 1))
    assert np.mean(after**2) == pytest.approx(expected, rel=6 * math.sqrt(2 / size))


def test_curvature_saturates_and_length_grows():
    """Slides: "global curvature grows exponentially"; a length's curvature does not."""
    field = mean_field("tanh", 16.0, 0.09)
    curve = length_map("tanh", 16.0, 0.09, depth=30)
    assert curve.curvature[-1] == pytest.approx(3 * field.chi_2 / (field.chi_1 * (field.chi_1 - 1)))
    assert curve.curvature[-1] == pytest.approx(curve.curvature[-2], rel=1e-9)
    assert curve.total_curvature[-1] / curve.total_curvature[-2] == pytest.approx(
        math.sqrt(field.chi_1), rel=1e-9
    )


def test_entries_of_a_wigner_matrix_shrink_with_its_size():
    """Slides: variance sigma^2, for which eigenvalues grow with the root of the size."""
    rng = np.random.default_rng(1)
    largest = []
    for size in (200, 800):
        matrix = rng.normal(size=(size, size))
        largest.append(np.linalg.eigvalsh((matrix + matrix.T) / math.sqrt(2))[-1])
        assert largest[-1] / math.sqrt(size) == pytest.approx(semicircle(1.0).edges[1], abs=0.1)
    assert largest[1] / largest[0] == pytest.approx(2.0, abs=0.1)


def test_marchenko_pastur_is_divided_by_the_variance():
    """Slides: 2 pi lambda sigma phi, of which the mass is sigma; and lambda_+- are not given."""
    sigma, phi = 1.5, 0.5
    law = marchenko_pastur(phi, sigma)
    least, largest = law.edges
    angles = (np.arange(2000) + 0.5) * np.pi / 2000
    x = (least + largest) / 2 + (largest - least) / 2 * np.cos(angles)
    steps = (largest - least) / 2 * np.sin(angles) * np.pi / 2000
    slides = np.sqrt((x - least) * (largest - x)) / (2 * np.pi * x * sigma * phi)
    assert np.sum(slides * steps) == pytest.approx(sigma, rel=1e-6)
    assert np.sum(law.density(x) * steps) == pytest.approx(1.0, rel=1e-6)
    # The slides' mass at zero, 1 - 1/phi, is right where phi is rows over columns, above one.
    assert marchenko_pastur(4.0).atom == 1 - 1 / 4


def test_variance_of_the_jacobian_off_the_critical_line():
    """Slides, (33): L (mu_2/mu_1^2 - 1 - s_1), which lacks the square of the mean elsewhere."""
    critical = jacobian_spectrum("tanh", 3, q=0.5)
    excess = critical.variance
    shifted = jacobian_spectrum("tanh", 3, q=0.5, sigma_w2=1.2 * critical.sigma_w2)
    assert shifted.variance == pytest.approx(excess * 1.2**6, rel=1e-12)
    per_depth = [jacobian_spectrum("tanh", depth, q=0.5).variance for depth in (1, 2, 3)]
    assert all(
        after - before == pytest.approx(per_depth[0], rel=1e-10)
        for before, after in pairwise(per_depth)
    )
