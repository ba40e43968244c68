"""Spin glasses: complexities by arithmetic of 30 digits, laws, and masses of networks."""

import math

import mpmath as mp
import numpy as np
import pytest

import unrolled
from oracles.gaussian_moments import agrees
from unrolled import InvalidArgumentError, Network, NothingToCountError, TheoryDomainError
from unrolled.theory import SphericalModel, semicircle, spin_glass

GROUND_STATES = {
    3: ("1.6329931618555", ["1.6569983635275", "1.652873198103", "1.6502531274393",
                            "1.6483990219086"]),
    4: ("1.7320508075689", ["1.7940850281793", "1.7833003012541"]),
    5: ("1.7888543819998", ["1.8879888263689"]),
    10: ("1.897366596101", ["2.1353638004501", "2.0921424910189"]),
}  # fmt: skip
"""By H: the threshold, and the energies of the indices 0, 1, ..."""


def rate(depth, u):
    """As the integral that it is, ``(2/E^2) int_E^|u| sqrt(z^2 - E^2) dz``."""
    edge = 2 * mp.sqrt(mp.mpf(depth - 1) / depth)
    return 2 / edge**2 * mp.quad(lambda z: mp.sqrt(abs(z * z - edge * edge)), [edge, -mp.mpf(u)])


def complexity(depth, k, u):
    """Below the threshold."""
    bowl = mp.log(depth - 1) / 2 - mp.mpf(depth - 2) * u * u / (4 * (depth - 1))
    return bowl - (k + 1) * rate(depth, u)


@pytest.mark.parametrize("depth", GROUND_STATES)
def test_thresholds_and_ground_states(depth):
    threshold, energies = GROUND_STATES[depth]
    model = SphericalModel(depth)
    assert agrees(model.threshold, threshold)
    for k, digits in enumerate(energies):
        assert agrees(model.ground_state(k), digits)
        with mp.workdps(25):
            unit = mp.mpf(10) ** -len(digits.partition(".")[2])
            low, high = mp.mpf(digits) - 2 * unit, mp.mpf(digits) + 2 * unit
            assert complexity(depth, k, -low) > 0 > complexity(depth, k, -high)


def test_complexities_to_all_digits():
    model = SphericalModel(3)
    for u, digits in (
        (-0.5, ".31532359027997"),
        (-1.0, ".22157359027997"),
        (-1.64, ".009843268288359"),
        (-1.7, "-.030445661736106"),
    ):
        assert agrees(model.complexity(u), digits)
    assert agrees(model.complexity_of_index(1, -1.64), ".0093129462967453")
    assert agrees(model.complexity_of_index(5, -1.0), ".013240256946639")
    assert agrees(model.rate(-1.7), ".015769252016079")
    with mp.workdps(25):
        assert agrees(rate(3, mp.mpf("-1.7")), ".015769252016079")
        assert agrees(complexity(3, 0, mp.mpf("-1.7")), "-.030445661736106")
        assert agrees(complexity(3, 1, mp.mpf("-1.64")), ".0093129462967453")


def test_complexity_has_its_limits():
    for depth in (3, 7, 40):
        model = SphericalModel(depth)
        assert model.complexity(0.0) == pytest.approx(math.log(depth - 1) / 2, rel=1e-14)
        assert model.complexity(3.0) == model.complexity(0.0)
        edge = model.threshold
        for k in (0, 3):
            assert model.complexity_of_index(k, 0.0) == pytest.approx(
                math.log(depth - 1) / 2 - (depth - 2) / depth, abs=1e-14
            )
            near = model.complexity_of_index(k, np.array([-edge - 1e-9, -edge + 1e-9]))
            assert near[0] == pytest.approx(near[1], abs=1e-8)
        energies = np.linspace(-2 * edge, edge, 200)
        values = model.complexity(energies)
        assert np.all(np.diff(values) >= 0)
        # The fewer eigenvalues are negative, the more of the low critical points there are.
        low = np.linspace(-1.2 * edge, -edge, 20)
        assert np.all(
            np.diff([model.complexity_of_index(k, low) for k in range(4)], axis=0) <= 1e-15
        )
        np.testing.assert_allclose(model.complexity_of_index(0, low), model.complexity(low))


def test_two_spins_have_no_exponential_complexity():
    """A quadratic form: 2 N critical points, its eigenvectors; the least eigenvalue is -sqrt 2."""
    model = SphericalModel(2)
    assert model.total_complexity == 0.0
    assert model.complexity(1.0) == 0.0
    assert model.ground_state(0) == model.ground_state(2) == math.sqrt(2)
    rng = np.random.default_rng(1)
    size = 600
    couplings = rng.normal(size=(size, size))
    # H = sum J_ij s_i s_j / sqrt(N) on the sphere of radius sqrt(N), a spin.
    energies = np.linalg.eigvalsh((couplings + couplings.T) / 2) / math.sqrt(size)
    assert energies[0] == pytest.approx(-model.ground_state(0), abs=0.03)


@pytest.mark.parametrize(("x", "digits"), [(0.5, ".19550110947789"), (0.9, ".018693036734249")])
def test_share_of_negative_eigenvalues(x, digits):
    model = SphericalModel(3)
    assert agrees(model.index_fraction(-x * model.threshold), digits)
    with mp.workdps(25):
        exact = 2 / mp.pi * mp.quad(lambda t: mp.sqrt(1 - t * t), [mp.mpf(str(x)), 1])
    assert agrees(exact, digits)


def test_share_of_negative_eigenvalues_near_the_edge():
    """The expansion ``4 sqrt(2)/(3 pi) (1 - x)^(3/2)``, with an error of the next order."""
    model = SphericalModel(5)
    for distance in (1e-2, 1e-4, 1e-6):
        found = model.index_fraction(-(1 - distance) * model.threshold)
        expected = 4 * math.sqrt(2) / (3 * math.pi) * distance**1.5
        assert found == pytest.approx(expected, rel=distance)


@pytest.mark.parametrize("depth", [3, 6])
def test_hessians_are_shifted_semicircles(depth):
    """At energy u the Hessian is a Gaussian matrix of deviation sqrt(H (H-1)) minus H u."""
    model = SphericalModel(depth)
    law = semicircle(math.sqrt(depth * (depth - 1)))
    for u in np.array([-0.95, -0.4, 0.0, 0.3]) * model.threshold:
        assert model.index_fraction(u) == pytest.approx(float(law.cdf(depth * u)), abs=1e-6)


def test_shares_at_the_ends():
    model = SphericalModel(4)
    energies = np.array([-1.0, 0.0, 1.0]) * model.threshold
    np.testing.assert_allclose(model.index_fraction(energies), [0, 0.5, 1], atol=1e-15)


def blocks(number):
    """``x^2 ((1 + x^2)/2)^B``: two layers, and B residual blocks of two."""
    return {2 + 2 * k: math.comb(number, k) / 2**number for k in range(number + 1)}


@pytest.mark.parametrize(
    ("number", "mixed", "plain"),
    [
        (1, ".4236489301936", ".54930614433405"),
        (4, ".86730052769405", "1.0986122886681"),
        (16, "1.4420898938241", "1.7482537807332"),
    ],
)
def test_total_complexity_of_residual_networks(number, mixed, plain):
    found = SphericalModel(mixture=blocks(number)).total_complexity
    assert agrees(found, mixed)
    assert agrees(SphericalModel(2 + 2 * number).total_complexity, plain)
    with mp.workdps(25):

        def xi(x):
            return x**2 * ((1 + x**2) / 2) ** number

        assert agrees(mp.log(mp.diff(xi, 1, 2) / mp.diff(xi, 1)) / 2, mixed)


def test_total_complexity_is_that_of_all_energies():
    for depth in (3, 5, 20):
        model = SphericalModel(depth)
        assert model.total_complexity == pytest.approx(float(model.complexity(9.0)), rel=1e-14)
        same = SphericalModel(mixture={depth: 7.0})
        assert same.total_complexity == model.total_complexity


def test_critical_points_of_a_small_model():
    """Two spins, H = 3: a cubic form on a circle, drawn 4000 times, by the formula of Rice.

    It takes the two derivatives of xi that the total complexity takes.
    """
    rng = np.random.default_rng(7)
    angles = np.linspace(0, 2 * np.pi, 721)[:-1]
    spins = np.stack([np.cos(angles), np.sin(angles)])
    numbers = []
    for _ in range(4000):
        couplings = rng.normal(size=(2, 2, 2))
        energy = np.einsum("ijk,ia,ja,ka->a", couplings, spins, spins, spins)
        rising = np.diff(energy, append=energy[0]) > 0
        numbers.append(np.count_nonzero(rising != np.roll(rising, 1)))
    error = np.std(numbers) / math.sqrt(4000)
    xi = SphericalModel(3).coefficients
    slope = sum(power * share for power, share in xi.items())
    bend = sum(power * (power - 1) * share for power, share in xi.items())
    # sqrt(E f''^2 / E f'^2) / pi zeros a radian of the derivative along the circle.
    expected = 2 * math.sqrt((3 * bend + slope) / slope)
    assert abs(np.mean(numbers) - expected) < 4 * error


@pytest.mark.parametrize(
    ("widths", "mass", "root", "size"),
    [
        ([100, 25, 1], 2500, "50.0", 2525),
        ([784, 100, 100, 1], 7840000, "198.65767767585", 88500),
        ([10, 20, 20, 20, 1], 80000, "16.817928305074", 1020),
    ],
)
def test_masses_of_plain_networks(widths, mass, root, size):
    glass = spin_glass(widths)
    assert (glass.mass, glass.parameters, glass.depth) == (mass, size, len(widths) - 1)
    assert agrees(glass.root_mass, root)
    assert agrees(mp.root(mass, len(widths) - 1), root)
    assert glass.model == SphericalModel(len(widths) - 1)
    network = unrolled.models.mlp(widths[1:-1], inputs=widths[0], classes=widths[-1])
    found = spin_glass(network)
    assert (found.mass, found.parameters) == (mass, size)
    assert found.mixture == pytest.approx(glass.mixture, abs=1e-12)


def test_mixture_of_a_residual_network():
    """Every block passes on as much as its branch: ``(1 + x^2)/2`` a block."""
    net = Network("residual")
    x = net.dense(net.activation(net.dense(net.input((6,)), 6)), 6)
    for _ in range(4):
        x = net.add(x, net.dense(net.activation(net.dense(x, 6)), 6))
    net.output(x)
    glass = spin_glass(net)
    expected = blocks(4)
    assert glass.depth == 10
    assert {at: share for at, share in enumerate(glass.mixture) if share} == pytest.approx(expected)
    assert agrees(glass.model.total_complexity, ".86730052769405")
    assert glass.mass == 6**3 * (1 + 6**2) ** 4


def test_mass_of_a_convolutional_network():
    glass = spin_glass("resnet18")
    assert math.log2(glass.mass) == pytest.approx(201.6114910710193, abs=1e-12)
    assert glass.depth == 18
    assert math.fsum(glass.mixture) == pytest.approx(1.0, abs=1e-12)
    assert "not met by real networks" in str(glass)


def test_outputs_are_scaled_by_a_power_of_the_root_mass():
    glass = spin_glass([10, 20, 20, 20, 1])
    assert glass.normalization == pytest.approx(glass.root_mass ** (-3 / 2), rel=1e-13)


def test_records_print_their_assumptions():
    for record in (SphericalModel(3), SphericalModel(mixture=blocks(2)), spin_glass([4, 4, 1])):
        assert "not met by real networks" in record.table()
        assert "not met by real networks" in record._repr_html_()


def without_weights():
    net = Network()
    net.output(net.activation(net.input((2,))))
    return net


MIXTURE = SphericalModel(mixture=[0, 0, 1, 1])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: SphericalModel(), TheoryDomainError, "exactly one"),
        (lambda: SphericalModel(3, [1.0]), TheoryDomainError, "exactly one"),
        (lambda: SphericalModel(1), TheoryDomainError, "from 2 on"),
        (lambda: SphericalModel(2.5), InvalidArgumentError, "must be an integer"),
        (lambda: SphericalModel(mixture=[0.0]), TheoryDomainError, "positive"),
        (lambda: SphericalModel(mixture={2: -1.0, 3: 2.0}), TheoryDomainError, "not negative"),
        (lambda: SphericalModel(3).rate(-1.0), TheoryDomainError, "E_inf"),
        (lambda: SphericalModel(3).complexity(math.nan), TheoryDomainError, "finite"),
        (lambda: SphericalModel(3).complexity_of_index(-1, 0.0), TheoryDomainError, "from 0 on"),
        (lambda: SphericalModel(3).ground_state(-1), TheoryDomainError, "from 0"),
        (lambda: SphericalModel(3).index_fraction(-1.7), TheoryDomainError, "within"),
        (lambda: MIXTURE.threshold, TheoryDomainError, "single power"),
        (lambda: MIXTURE.complexity(0.0), TheoryDomainError, "single power"),
        (lambda: MIXTURE.plot(), TheoryDomainError, "single power"),
        (lambda: spin_glass([3]), TheoryDomainError, "widths"),
        (lambda: spin_glass([3, 0, 1]), TheoryDomainError, "width"),
        (lambda: spin_glass(unrolled.Graph.from_edges([0], [1])), InvalidArgumentError, "layers"),
        (lambda: spin_glass(Network()), NothingToCountError, "no input"),
        (lambda: spin_glass(without_weights()), TheoryDomainError, "no weight layer"),
    ],
)
def test_arguments_outside_the_theory(call, error, message):
    with pytest.raises(error, match=message):
        call()
