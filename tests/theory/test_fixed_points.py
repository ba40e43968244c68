"""Fixed points, their derivatives and certificates, against mpmath and direct solves."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled import InvalidArgumentError, NoFixedPointError, TheoryDomainError
from unrolled.theory import MonotoneLayer, fixed_point, implicit_gradient, memory

pytest.importorskip("scipy")

METHODS = ["anderson", "broyden", "iteration", "newton_krylov"]
SPLITTINGS = ["forward_backward", "peaceman_rachford"]

# A cell of two units with tanh.
W = np.array([[0.5, -0.8], [0.6, 0.4]])
B = np.array([0.3, -0.2])


def cell(z):
    return np.tanh(W @ z + B)


def exact_cell():
    """The fixed point of the cell in 40 digits, and the derivative of its sum by the bias."""
    with mpmath.workdps(40):
        w, b = mpmath.matrix(W.tolist()), mpmath.matrix(B.tolist())

        def equations(*z):
            u = w * mpmath.matrix(z) + b
            return [mpmath.tanh(u[at]) - z[at] for at in range(2)]

        z = mpmath.findroot(equations, (0.4, 0.1))
        slope = mpmath.diag([1 - z[at] ** 2 for at in range(2)])
        inverse = (mpmath.eye(2) - slope * w) ** -1
        derivative = (inverse * slope).T * mpmath.matrix([1, 1])
        eigenvalues = mpmath.eig(slope * w, left=False, right=False)
        radius = max(abs(one) for one in eigenvalues)
    return (
        np.array([float(z[0]), float(z[1])]),
        np.array([float(derivative[0]), float(derivative[1])]),
        float(radius),
    )


class TestFixedPoint:
    @pytest.mark.parametrize("method", METHODS)
    def test_a_cell_of_two_units(self, method):
        z, _, _ = exact_cell()
        assert z == pytest.approx([0.4155138656287693, 0.08187438998814319], abs=1e-15)
        found = fixed_point(cell, np.zeros(2), method=method, tol=1e-13)
        assert found.converged
        np.testing.assert_allclose(found.z, z, atol=3e-13)
        assert found.steps == len(found.residuals)
        assert found.residuals[-1] <= 1e-13

    def test_iteration_contracts_by_the_spectral_radius(self):
        z, _, radius = exact_cell()
        # The eigenvalues are a complex pair, whose product is the determinant.
        assert radius == pytest.approx(math.sqrt(0.68 * np.prod(1 - z**2)), rel=1e-14)
        assert radius == pytest.approx(0.74754630256146728, abs=1e-15)
        found = fixed_point(cell, np.zeros(2), method="iteration", tol=1e-13)
        assert found.contraction == pytest.approx(radius, rel=0.02)

    def test_anderson_needs_fewer_evaluations(self):
        steps = [fixed_point(cell, np.zeros(2), method=one).steps for one in METHODS[:3:2]]
        assert steps[0] * 3 < steps[1]

    @pytest.mark.parametrize("method", ["anderson", "broyden", "newton_krylov"])
    def test_fixed_points_that_iteration_flees(self, method):
        """The slope at the fixed point 1 is -3."""
        found = fixed_point(lambda z: 4 - 3 * z, [0.5], method=method)
        assert found.z == pytest.approx([1.0])
        with pytest.raises(NoFixedPointError, match="diverge"):
            fixed_point(lambda z: 4 - 3 * z, [0.5], method="iteration")

    @settings(max_examples=30)
    @given(st.integers(0, 10**6), st.integers(1, 8))
    def test_affine_maps_against_a_direct_solve(self, seed, size):
        draw = np.random.default_rng(seed)
        matrix = draw.normal(size=(size, size))
        matrix *= 0.9 / max(np.abs(np.linalg.eigvals(matrix)).max(), 1e-3)
        shift = draw.normal(size=size)
        expected = np.linalg.solve(np.eye(size) - matrix, shift)
        found = fixed_point(
            lambda z: matrix @ z + shift, np.zeros(size), method="anderson", max_steps=5000
        )
        assert found.converged
        # A residual of 1e-10 leaves an error as large as the inverse of I - A.
        slack = np.linalg.norm(np.linalg.inv(np.eye(size) - matrix), 2)
        np.testing.assert_allclose(
            found.z, expected, atol=2e-10 * slack * max(1, np.linalg.norm(expected))
        )

    def test_shapes_are_kept(self):
        found = fixed_point(lambda z: z / 2 + 1, np.zeros((2, 3)))
        assert found.z.shape == (2, 3)
        np.testing.assert_allclose(found.z, 2.0, rtol=1e-9)

    def test_a_start_that_is_the_answer(self):
        found = fixed_point(lambda z: z, [1.0, 2.0])
        assert (found.steps, found.residuals, found.contraction) == (1, (0.0,), 0.0)

    def test_too_few_evaluations_are_no_error(self):
        found = fixed_point(cell, np.zeros(2), method="iteration", max_steps=5)
        assert (found.converged, found.steps) == (False, 5)
        assert "has not converged" in str(found)

    @pytest.mark.parametrize("method", METHODS)
    def test_no_fixed_point(self, method):
        """z + 1 never comes back, and the searches say so or give up."""
        try:
            found = fixed_point(lambda z: z + 1, np.zeros(1), method=method, max_steps=50)
        except NoFixedPointError:
            return
        assert not found.converged

    def test_numbers_that_are_none(self):
        with pytest.raises(NoFixedPointError, match="diverge"):
            fixed_point(lambda z: z * np.nan, [1.0])

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"method": "newton"}, "method must be one of"),
            ({"tol": 0}, "tol must be"),
            ({"max_steps": 0}, "max_steps must be"),
            ({"z0": [math.inf]}, "finite numbers"),
            ({"z0": "zero"}, "finite numbers"),
            ({"f": lambda z: [1.0, 2.0]}, "of the shape of z0"),
        ],
    )
    def test_wrong_options_of_the_search_are_refused(self, options, message):
        arguments = {"f": np.cos, "z0": [1.0]} | options
        with pytest.raises(InvalidArgumentError, match=message):
            fixed_point(arguments.pop("f"), arguments.pop("z0"), **arguments)


class TestImplicitGradient:
    @staticmethod
    def vjp(z, v):
        return W.T @ ((1 - np.tanh(W @ z + B) ** 2) * v)

    def test_a_cell_of_two_units(self):
        z, expected, _ = exact_cell()
        assert expected == pytest.approx([1.326110272111244, -0.1003516319481911], abs=1e-14)
        found = implicit_gradient(self.vjp, z, np.ones(2)) * (1 - z**2)
        np.testing.assert_allclose(found, expected, rtol=1e-11)

    def test_finite_differences(self):
        z, _, _ = exact_cell()
        found = implicit_gradient(self.vjp, z, np.ones(2)) * (1 - z**2)
        for at in range(2):
            sums = []
            for sign in (1, -1):
                b = B.copy()
                b[at] += sign * 1e-5
                moved = fixed_point(lambda z, b=b: np.tanh(W @ z + b), z, tol=1e-15)
                sums.append(moved.z.sum())
            assert (sums[0] - sums[1]) / 2e-5 == pytest.approx(found[at], rel=1e-8)

    @settings(max_examples=20)
    @given(st.integers(0, 10**6), st.integers(1, 12))
    def test_it_need_not_contract(self, seed, size):
        draw = np.random.default_rng(seed)
        matrix = draw.normal(size=(size, size)) * 2
        seed_vector = draw.normal(size=size)
        system = np.eye(size) - matrix.T
        if np.linalg.cond(system) > 1e4:
            return
        expected = np.linalg.solve(system, seed_vector)
        found = implicit_gradient(lambda z, v: matrix.T @ v, np.zeros(size), seed_vector)
        np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9)

    def test_an_eigenvalue_of_one(self):
        with pytest.raises(NoFixedPointError, match="1 is an eigenvalue"):
            implicit_gradient(lambda z, v: v, [1.0, 2.0], [1.0, 0.0])

    def test_gradients_of_other_shapes_are_refused(self):
        with pytest.raises(InvalidArgumentError, match="shape of z"):
            implicit_gradient(self.vjp, [1.0, 2.0], [1.0])
        with pytest.raises(InvalidArgumentError, match="vjp must return"):
            implicit_gradient(lambda z, v: [1.0], [1.0, 2.0], [1.0, 1.0])


def three_units():
    A = [[0.5, 0.2, 0], [0, 0.4, 0.1], [0.3, 0, 0.6]]
    skew = [[0, 1, 0.5], [0, 0, -1], [0, 0, 0]]
    return MonotoneLayer.parametrise(A, skew, 0.1, np.eye(3))


def direct_solution(layer, bias):
    """The only z = relu(W z + bias), by trying which units are active."""
    size = len(bias)
    for active in np.ndindex(*[2] * size):
        on = np.array(active, dtype=bool)
        z = np.zeros(size)
        system = (np.eye(size) - layer.W)[np.ix_(on, on)]
        z[on] = np.linalg.solve(system, bias[on])
        if (z[on] > 0).all() and ((layer.W @ z + bias)[~on] <= 0).all():
            slope = on.astype(float)
            return z, np.linalg.solve((np.eye(size) - slope[:, None] * layer.W), np.diag(slope))
    raise AssertionError


class TestMonotoneLayer:
    def test_strength_and_bounds_are_those_of_the_matrix(self):
        layer = three_units()
        assert layer.strength == pytest.approx(0.2290622197686059, abs=1e-15)
        assert layer.lipschitz == pytest.approx(1.7744682009470716, rel=1e-15)
        assert layer.max_step == pytest.approx(0.1454946481386845, rel=1e-14)
        assert np.linalg.norm(layer.W, 2) == pytest.approx(1.8046088027716827, rel=1e-15)
        radius = np.abs(np.linalg.eigvals(layer.W)).max()
        assert radius == pytest.approx(1.5825560311263895, rel=1e-14)
        assert layer.is_well_posed
        assert layer.input_lipschitz == pytest.approx(1 / layer.strength)

    def test_certificates_in_exact_arithmetic(self):
        """The symmetric part of I - W is m + A^T A, whatever B is."""
        with mpmath.workdps(40):
            A = mpmath.matrix([["0.5", "0.2", "0"], ["0", "0.4", "0.1"], ["0.3", "0", "0.6"]])
            least = min(
                mpmath.eigsy(A.T * A + mpmath.mpf("0.1") * mpmath.eye(3), eigvals_only=True)
            )
        assert three_units().strength == pytest.approx(float(least), rel=1e-14)

    @pytest.mark.parametrize("method", SPLITTINGS)
    def test_solutions_and_derivatives(self, method):
        layer = three_units()
        x = np.array([0.2, 1.0, 0.7])
        z, derivative = direct_solution(layer, x)
        assert z == pytest.approx([0.7492931196983977, 0, 0.4052780395852969], abs=1e-15)
        np.testing.assert_allclose(layer.solve(x, method, tol=1e-14).z, z, atol=1e-13)
        gradient = layer.gradient(x, np.ones(3), method, tol=1e-14)
        expected = derivative.T @ np.ones(3)
        assert expected == pytest.approx([-0.4948162111215834, 0, 1.79076343072573], abs=1e-14)
        np.testing.assert_allclose(gradient.bias, expected, atol=1e-12)
        np.testing.assert_allclose(gradient.inputs, expected, atol=1e-12)
        np.testing.assert_allclose(gradient.weights, np.outer(expected, z), atol=1e-12)

    def test_peaceman_rachford_needs_fewer_steps(self):
        """Of the second input, where one unit is active, z = 25/11."""
        layer = three_units()
        x = [1, -0.5, 0.3]
        few, many = (layer.solve(x, one, tol=1e-14) for one in SPLITTINGS[::-1])
        for found in (few, many):
            np.testing.assert_allclose(found.z, [25 / 11, 0, 0], atol=1e-12)
        assert 75 <= few.steps <= 95
        assert 850 <= many.steps <= 1000

    @settings(max_examples=30)
    @given(st.integers(0, 10**6), st.integers(1, 6), st.sampled_from(SPLITTINGS))
    def test_random_layers_against_trying_all_active_sets(self, seed, size, method):
        draw = np.random.default_rng(seed)
        layer = MonotoneLayer.parametrise(
            draw.normal(size=(size, size)) / 2,
            draw.normal(size=(size, size)) / 2,
            0.3,
            np.eye(size),
        )
        x = draw.normal(size=size)
        z, derivative = direct_solution(layer, x)
        np.testing.assert_allclose(layer.solve(x, method).z, z, atol=1e-9)
        seed_vector = draw.normal(size=size)
        found = layer.gradient(x, seed_vector, method)
        np.testing.assert_allclose(found.bias, derivative.T @ seed_vector, atol=1e-8)

    @pytest.mark.parametrize("alpha", [0.3, 1.0, 4.0])
    def test_steps_of_peaceman_rachford_change_nothing(self, alpha):
        layer = MonotoneLayer(W, np.eye(2), activation="tanh")
        z, derivative, _ = exact_cell()
        np.testing.assert_allclose(layer.solve(B, alpha=alpha).z, z, atol=1e-11)
        found = layer.gradient(B, np.ones(2), alpha=alpha)
        np.testing.assert_allclose(found.bias, derivative, atol=1e-10)

    @pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
    @pytest.mark.parametrize("step", [0.001, 0.3, 7.0, 1000.0])
    def test_proximal_operators_with_another_step(self, activation, step):
        """Against bisection with 40 digits."""
        layer = MonotoneLayer([[0.0]], [[1.0]], activation=activation)
        values = np.array([-40.0, -1.0, 1e-3, 0.5, 3.0, 500.0])
        found = layer._prox(values, step)
        with mpmath.workdps(40):
            f = mpmath.tanh if activation == "tanh" else lambda y: 1 / (1 + mpmath.exp(-y))
            for u, z in zip(values, found, strict=True):
                reach = abs(u) * (1 + 1 / step) + 1 + 1 / step
                low, high = mpmath.mpf(-reach), mpmath.mpf(reach)
                for _ in range(200):
                    middle = (low + high) / 2
                    if (1 - mpmath.mpf(step)) * f(middle) + step * middle > u:
                        high = middle
                    else:
                        low = middle
                assert float(f(low)) == pytest.approx(z, rel=2e-12)

    def test_random_matrices_at_initialisation(self):
        """Norm 2 s, largest eigenvalue of the symmetric part s sqrt 2, for the variance s^2/n."""
        size, scale = 400, 0.5
        draw = np.random.default_rng(7)
        matrix = draw.normal(size=(size, size)) * scale / math.sqrt(size)
        assert np.linalg.norm(matrix, 2) == pytest.approx(2 * scale, rel=0.03)
        layer = MonotoneLayer(matrix, np.eye(size))
        assert 1 - layer.strength == pytest.approx(scale * math.sqrt(2), rel=0.03)

    def test_no_certificate(self):
        layer = MonotoneLayer([[2.0]], [[1.0]])
        assert not layer.is_well_posed
        assert "without a certificate" in repr(layer)
        with pytest.raises(TheoryDomainError, match="not well posed"):
            layer.solve([1.0])

    def test_steps_out_of_range(self):
        layer = three_units()
        for alpha in (0.0, -1.0, layer.max_step):
            with pytest.raises(TheoryDomainError, match="steps between 0 and"):
                layer.solve(np.ones(3), "forward_backward", alpha)
        with pytest.raises(TheoryDomainError, match="must be positive"):
            layer.solve(np.ones(3), "peaceman_rachford", 0.0)

    def test_too_few_steps(self):
        layer = three_units()
        assert not layer.solve(np.ones(3), max_steps=3).converged
        with pytest.raises(NoFixedPointError, match="did not suffice"):
            layer.gradient(np.ones(3), np.ones(3), max_steps=3)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (([[1.0, 2.0]], [[1.0]]), "square"),
            (([[1.0]], [[1.0], [2.0]]), "as many rows"),
            (([[math.nan]], [[1.0]]), "W must be"),
            (([[0.0]], [[1.0]], [1.0, 2.0]), "as many rows"),
            ((1.0, [[1.0]]), "2 axes"),
        ],
    )
    def test_arrays_that_make_no_layer_are_refused(self, arguments, message):
        with pytest.raises(InvalidArgumentError, match=message):
            MonotoneLayer(*arguments)

    def test_unknown_activations_and_solvers_are_refused(self):
        layer = three_units()
        with pytest.raises(InvalidArgumentError, match="activation must be"):
            MonotoneLayer([[0.0]], [[1.0]], activation="gelu")
        with pytest.raises(InvalidArgumentError, match="'forward_backward' or"):
            layer.solve(np.ones(3), "newton")
        with pytest.raises(InvalidArgumentError, match="x must have 3 elements"):
            layer.solve(np.ones(2))
        with pytest.raises(InvalidArgumentError, match="cotangent must have"):
            layer.gradient(np.ones(3), np.ones(2))
        with pytest.raises(TheoryDomainError, match="must be positive"):
            MonotoneLayer.parametrise(np.eye(2), np.eye(2), 0.0, np.eye(2))
        with pytest.raises(InvalidArgumentError, match="B must be square"):
            MonotoneLayer.parametrise(np.eye(2), np.eye(3), 0.1, np.eye(2))


class TestMemory:
    def test_the_history_of_the_solver_counts(self):
        found = memory(100, 1000, history=5)
        assert (found.unrolled, found.implicit) == (100 * 1000, 11 * 1000)
        assert memory(found.break_even, 1000).unrolled > found.implicit
        assert memory(found.break_even - 1, 1000).unrolled == found.implicit
        assert memory(2, 7, history=0).implicit == 7

    @pytest.mark.parametrize("arguments", [(0, 1), (1, 0), (1, 1, -1), (1.5, 1), (1, 1, 0.5)])
    def test_numbers_of_units_are_positive_integers(self, arguments):
        with pytest.raises(InvalidArgumentError, match="positive integer"):
            memory(*arguments)
