"""The information bottleneck: against closed forms, a general optimiser, and what must hold."""

from __future__ import annotations

import math
from itertools import pairwise

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled import InvalidArgumentError, TheoryDomainError
from unrolled.theory import gaussian_bottleneck, information_bottleneck, information_plane

scipy_optimize = pytest.importorskip("scipy.optimize")

THREE = np.array([[0.30, 0.05, 0.01], [0.04, 0.20, 0.06], [0.02, 0.04, 0.28]])


def symmetric_channel(error):
    return np.array([[1 - error, error], [error, 1 - error]]) / 2


def entropy(p):
    return -sum(one * mpmath.log(one) for one in (p, 1 - p) if one)


def closed_form(error, beta):
    """The optimum for a symmetric channel is one as well, with its own error a."""
    with mpmath.workdps(30):
        d, b = mpmath.mpf(error), mpmath.mpf(beta)

        def both(a):
            return a * (1 - d) + d * (1 - a)

        def condition(a):
            ratio = mpmath.log((1 - both(a)) / both(a))
            return mpmath.log((1 - a) / a) - b * (1 - 2 * d) * ratio

        low, high = mpmath.mpf(10) ** -25, mpmath.mpf("0.499999")
        for _ in range(120):
            middle = (low + high) / 2
            if condition(middle) > 0:
                low = middle
            else:
                high = middle
        a = low
        return float(mpmath.log(2) - entropy(a)), float(mpmath.log(2) - entropy(both(a)))


class TestTables:
    @pytest.mark.parametrize(
        ("beta", "kept", "said"),
        [
            (1.6, 0.08922365989818, 0.0564541015803),
            (2, 0.48273038258187, 0.28227298361545),
            (3, 0.65776259129018, 0.35807647769923),
            (5, 0.69164810428745, 0.36779495574195),
            (10, 0.69314674898642, 0.3680641663342),
        ],
    )
    def test_a_symmetric_channel(self, beta, kept, said):
        expected = closed_form("0.1", beta)
        assert expected == pytest.approx((kept, said), abs=1e-13)
        curve = information_bottleneck(symmetric_channel(0.1), beta)
        assert (curve.information_x[0], curve.information_y[0]) == pytest.approx(
            expected, abs=2e-13
        )
        assert curve.mutual_information == pytest.approx(0.3680642071685, abs=1e-13)
        assert curve.mutual_information == pytest.approx(
            float(mpmath.log(2) - entropy(mpmath.mpf("0.1"))), abs=1e-14
        )
        assert curve.onset == pytest.approx(1 / 0.8**2, rel=1e-14)

    def test_the_curve_of_three_values_is_known(self):
        curve = information_bottleneck(THREE, [2, 3, 5])
        assert curve.mutual_information == pytest.approx(0.4500940335488588, abs=1e-15)
        assert curve.onset == pytest.approx(1.6356459270817, abs=1e-13)
        assert curve.information_x == pytest.approx(
            [0.3395715996134, 0.7698278287524, 1.0494871745508], abs=1e-12
        )
        assert curve.information_y == pytest.approx(
            [0.1919225128258, 0.3645173065683, 0.4423283873429], abs=1e-12
        )
        assert curve.clusters == (2, 3, 3)
        assert curve.bifurcations == (3.0,)

    @pytest.mark.parametrize("beta", [2.0, 3.0, 5.0])
    def test_a_general_optimiser_finds_nothing_better(self, beta):
        px, py = THREE.sum(axis=1), THREE.sum(axis=0)

        def information(joint):
            margins = np.outer(joint.sum(axis=1), joint.sum(axis=0))
            return (joint * np.log(np.maximum(joint, 1e-300) / margins)).sum()

        def cost(logits):
            table = np.exp(logits.reshape(3, 3) - logits.reshape(3, 3).max(axis=1, keepdims=True))
            table /= table.sum(axis=1, keepdims=True)
            return information(px[:, None] * table) - beta * information(table.T @ THREE)

        draw = np.random.default_rng(1)
        best = min(
            scipy_optimize.minimize(cost, draw.normal(size=9) * 2, method="BFGS").fun
            for _ in range(6)
        )
        curve = information_bottleneck(THREE, beta)
        found = curve.information_x[0] - beta * curve.information_y[0]
        assert found == pytest.approx(best, abs=1e-6)
        assert found <= best + 1e-12
        assert py.sum() == pytest.approx(1)

    def test_the_slope_of_the_curve_is_one_over_beta(self):
        for beta in (2.0, 3.0, 6.0):
            curve = information_bottleneck(THREE, [beta * 0.999, beta * 1.001])
            slope = np.diff(curve.information_y) / np.diff(curve.information_x)
            assert slope[0] == pytest.approx(1 / beta, rel=1e-4)

    def test_the_encoder_has_what_is_stated(self):
        curve = information_bottleneck(THREE, [2.0, 4.0])
        plane = information_plane(
            {str(beta): one for beta, one in zip(curve.beta, curve.encoders, strict=True)},
            pxy=THREE,
        )
        for point, x, y in zip(
            plane.points.values(), curve.information_x, curve.information_y, strict=True
        ):
            assert point[:2] == pytest.approx((x, y), abs=1e-14)

    @settings(max_examples=15)
    @given(st.integers(0, 10**6), st.integers(2, 4), st.integers(2, 4))
    def test_information_stays_within_its_bounds(self, seed, xs, ys):
        draw = np.random.default_rng(seed)
        joint = draw.dirichlet(np.full(xs * ys, 0.7)).reshape(xs, ys)
        betas = [1.1, 2.0, 5.0, 20.0, 200.0]
        curve = information_bottleneck(joint, betas, restarts=3)
        x, y = curve.information_x, curve.information_y
        slack = 1e-9
        assert (y <= x + slack).all()
        assert (y <= curve.mutual_information + slack).all()
        assert (x <= -(joint.sum(axis=1) * np.log(joint.sum(axis=1))).sum() + slack).all()
        assert (np.diff(x) >= -slack).all()
        assert (np.diff(y) >= -slack).all()
        assert curve.onset >= 1 - slack
        # Each is optimal for its own beta: none of the others does better there.
        for at, beta in enumerate(betas):
            assert (x[at] - beta * y[at] <= x - beta * y + 1e-7).all()

    def test_below_the_onset_nothing_is_kept(self):
        curve = information_bottleneck(symmetric_channel(0.1), [0.5, 1.0, 1.55])
        assert curve.information_x.tolist() == [0, 0, 0]
        assert curve.clusters == (1, 1, 1)

    def test_independent_variables(self):
        curve = information_bottleneck(np.outer([0.3, 0.7], [0.5, 0.5]), [10.0])
        assert curve.onset == math.inf
        assert (curve.information_x[0], curve.mutual_information) == pytest.approx(
            (0, 0), abs=1e-15
        )

    def test_order_units_and_empty_rows(self):
        joint = np.zeros((4, 3))
        joint[np.ix_([0, 2, 3], [0, 1, 2])] = THREE
        curve = information_bottleneck(joint, [5, 2, 3], unit="bits", clusters=3)
        nats = information_bottleneck(THREE, [2, 3, 5])
        expected = nats.information_x[[2, 0, 1]] / math.log(2)
        assert curve.information_x == pytest.approx(expected, abs=1e-11)
        assert curve.encoders.shape == (3, 4, 3)
        np.testing.assert_allclose(curve.encoders.sum(axis=2), 1)

    def test_few_clusters(self):
        two = information_bottleneck(THREE, [5.0], clusters=2)
        assert two.clusters == (2,)
        all_of_them = information_bottleneck(THREE, [5.0])
        costs = [one.information_x[0] - 5 * one.information_y[0] for one in (two, all_of_them)]
        assert costs[0] > costs[1]

    @pytest.mark.parametrize(
        ("pxy", "error", "message"),
        [
            ([[0.5, 0.6]], TheoryDomainError, "sum 1"),
            ([[-0.5, 1.5]], TheoryDomainError, "not negative"),
            ([[math.nan, 1.0]], TheoryDomainError, "sum 1"),
            ([0.5, 0.5], InvalidArgumentError, "a table"),
            ("law", InvalidArgumentError, "a table"),
        ],
    )
    def test_what_is_no_joint_law_is_refused(self, pxy, error, message):
        with pytest.raises(error, match=message):
            information_bottleneck(pxy, [2.0])

    @pytest.mark.parametrize("betas", [[0.0], [-1.0], [math.nan], [math.inf]])
    def test_betas_must_be_positive(self, betas):
        with pytest.raises(TheoryDomainError, match="betas must be positive"):
            information_bottleneck(THREE, betas)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"betas": []}, "a list of numbers"),
            ({"betas": "two"}, "a list of numbers"),
            ({"clusters": 0}, "clusters must be"),
            ({"restarts": 0}, "restarts must be"),
            ({"unit": "hartleys"}, "unit must be"),
        ],
    )
    def test_wrong_options_of_the_bottleneck_are_refused(self, options, message):
        with pytest.raises(InvalidArgumentError, match=message):
            information_bottleneck(THREE, **({"betas": [2.0]} | options))


class TestGaussian:
    @pytest.mark.parametrize(
        ("beta", "kept", "said"),
        [
            (2, 0.28768207245178, 0.16425203348602),
            (4, 0.83698821678584, 0.3669845875401),
            (10, 1.3862943611199, 0.45814536593708),
        ],
    )
    def test_one_gaussian_variable_has_the_best_noisy_copy(self, beta, kept, said):
        """Against the best of all noisy copies of X, found by a search."""
        curve = gaussian_bottleneck(1.0, 0.8, 1.0, beta)
        assert (curve.information_x[0], curve.information_y[0]) == pytest.approx(
            (kept, said), abs=1e-13
        )

        def informations(noise):
            # T = X + noise: correlations with X and Y.
            with_x = 1 / (1 + noise)
            return -0.5 * math.log(1 - with_x), -0.5 * math.log(1 - 0.64 * with_x)

        best = scipy_optimize.minimize_scalar(
            lambda u: informations(math.exp(u))[0] - beta * informations(math.exp(u))[1],
            bounds=(-10, 10),
            method="bounded",
            options={"xatol": 1e-12},
        )
        assert informations(math.exp(best.x)) == pytest.approx((kept, said), abs=1e-6)

    def test_modes_join_the_curve_one_by_one(self):
        lambdas = np.array([0.2, 0.5, 0.9])
        cross = np.diag(np.sqrt(1 - lambdas))
        curve = gaussian_bottleneck(np.eye(3), cross, np.eye(3), [3, 20])
        assert curve.information_x == pytest.approx([1.3862943611199, 4.0111933606415], abs=1e-12)
        assert curve.information_y == pytest.approx([0.74582743838886, 1.1270328627446], abs=1e-12)
        assert curve.clusters == (2, 3)
        assert curve.bifurcations == pytest.approx((1.25, 2.0, 10.0))
        assert curve.mutual_information == pytest.approx(-0.5 * np.log(lambdas).sum())

    def test_it_depends_on_subspaces_alone(self):
        """Other coordinates of X and Y change nothing."""
        draw = np.random.default_rng(5)
        root = draw.normal(size=(5, 5))
        full = root @ root.T
        own, other = draw.normal(size=(3, 3)), draw.normal(size=(2, 2))
        betas = [1.5, 3.0, 30.0]
        first = gaussian_bottleneck(full[:3, :3], full[:3, 3:], full[3:, 3:], betas)
        second = gaussian_bottleneck(
            own @ full[:3, :3] @ own.T,
            own @ full[:3, 3:] @ other.T,
            other @ full[3:, 3:] @ other.T,
            betas,
        )
        np.testing.assert_allclose(first.information_x, second.information_x, atol=1e-9)
        np.testing.assert_allclose(first.information_y, second.information_y, atol=1e-9)
        # With all modes nearly without noise, what is said is all there is.
        late = gaussian_bottleneck(full[:3, :3], full[:3, 3:], full[3:, 3:], 1e9)
        determinant = np.linalg.slogdet
        expected = 0.5 * (
            determinant(full[:3, :3])[1] + determinant(full[3:, 3:])[1] - determinant(full)[1]
        )
        assert late.information_y[0] == pytest.approx(expected, abs=1e-6)

    def test_a_fine_table_of_a_normal_law_has_the_same_curve(self):
        """Eleven values of X and of Y, rho .8: the table loses a little."""
        at = np.linspace(-3, 3, 11)
        x, y = np.meshgrid(at, at, indexing="ij")
        joint = np.exp(-(x**2 - 1.6 * x * y + y**2) / (2 * 0.36))
        joint /= joint.sum()
        exact = gaussian_bottleneck(1.0, 0.8, 1.0, [4.0])
        table = information_bottleneck(joint, [4.0], restarts=1)
        assert table.information_y[0] == pytest.approx(exact.information_y[0], rel=0.05)
        assert table.onset == pytest.approx(exact.onset, rel=0.03)

    @pytest.mark.parametrize(
        ("covariances", "error", "message"),
        [
            (([[1, 1], [1, 1]], [[0.5], [0.5]], 1.0), TheoryDomainError, "positive definite"),
            ((1.0, 1.0, 1.0), TheoryDomainError, "determines"),
            ((1.0, 1.2, 1.0), TheoryDomainError, "no covariances"),
            (([[1, 0.5], [0, 1]], [[0.1], [0.1]], 1.0), TheoryDomainError, "symmetric"),
            (([[1, 0], [0, 1]], 0.5, 1.0), InvalidArgumentError, "Sxx must be 1 x 1"),
            (("one", 0.5, 1.0), InvalidArgumentError, "a matrix of numbers"),
        ],
    )
    def test_what_is_no_covariance_is_refused(self, covariances, error, message):
        with pytest.raises(error, match=message):
            gaussian_bottleneck(*covariances, [2.0])


class TestPlane:
    def test_known_laws(self):
        identity, merged = np.eye(2), np.ones((2, 1))
        plane = information_plane({"copy": identity, "nothing": merged}, pxy=symmetric_channel(0.1))
        assert plane.points["copy"][:2] == pytest.approx((math.log(2), 0.3680642071685))
        assert plane.points["nothing"][:2] == (0.0, 0.0)

    def test_layers_of_a_deterministic_network(self):
        """What a later layer knows, the earlier ones know: data processing, exactly."""
        draw = np.random.default_rng(0)
        inputs = draw.normal(size=(400, 3))
        labels = (inputs.sum(axis=1) > 0).astype(int)
        first = np.digitize(inputs, np.linspace(-1, 1, 5)).astype(float)
        second = first.sum(axis=1)
        third = (second > 7.5).astype(float)
        plane = information_plane(
            {"first": first, "second": second, "third": third}, y=labels, bins=30, unit="bits"
        )
        for before, after in pairwise(plane.points.values()):
            assert before.information_x >= after.information_x - 1e-12
            assert before.information_y >= after.information_y - 1e-12
        assert plane.points["third"].information_x <= 1

    def test_the_bias_is_that_of_independent_variables(self):
        """The mean estimate over many draws, whose true value is zero: 4 standard errors."""
        draw = np.random.default_rng(11)
        estimates, biases = [], []
        for _ in range(600):
            t, y = draw.integers(0, 4, size=500), draw.integers(0, 3, size=500)
            point = information_plane({"t": t}, y=y, bins=4).points["t"]
            estimates.append(point.information_y)
            biases.append(point.bias_y)
        assert set(biases) == {(4 * 3 - 4 - 3 + 1) / 1000}
        error = np.std(estimates) / math.sqrt(len(estimates))
        assert np.mean(estimates) == pytest.approx(biases[0], abs=4 * error + 1e-4)

    def test_repeated_inputs(self):
        plane = information_plane({"t": [0.0, 1.0, 0.0, 1.0]}, y=[0, 1, 0, 1], x=[7, 8, 7, 8])
        assert plane.points["t"][:2] == pytest.approx((math.log(2), math.log(2)))

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            (({"t": [1.0]},), InvalidArgumentError, "give the labels"),
            (({}, [1]), InvalidArgumentError, "a dict or a list of arrays"),
            (({"t": [1.0, 2.0]}, [1]), InvalidArgumentError, "one row for each of the 1"),
            (({"t": [math.nan]}, [1]), InvalidArgumentError, "finite"),
            (({"t": [1.0]}, [[1]]), InvalidArgumentError, "one value a sample"),
            (({"t": [1.0]}, [1], [1, 2]), InvalidArgumentError, "x has 2 samples"),
        ],
    )
    def test_wrong_encoders_are_refused(self, arguments, error, message):
        with pytest.raises(error, match=message):
            information_plane(*arguments)

    def test_errors_of_encoders(self):
        with pytest.raises(InvalidArgumentError, match="a row for each of the 2"):
            information_plane({"t": np.eye(3)}, pxy=symmetric_channel(0.1))
        with pytest.raises(TheoryDomainError, match="laws with the sum 1"):
            information_plane({"t": np.ones((2, 2))}, pxy=symmetric_channel(0.1))


def test_units_of_curve_and_points_must_agree():
    curve = information_bottleneck(THREE, [2.0])
    points = information_plane({"t": np.eye(3)}, pxy=THREE, unit="bits")
    with pytest.raises(InvalidArgumentError, match="use one unit"):
        curve.plot(points=points)
