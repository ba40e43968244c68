"""Questions may be asked with the arguments and the symbols of the formulas."""

from __future__ import annotations

import numpy as np
import pytest

from unrolled import theory

pytest.importorskip("scipy")


def test_results_take_the_arguments_and_symbols_of_the_formulas():
    """The same question, as a reader of the papers writes it and as the documentation does."""
    field = theory.mean_field("tanh", 6.25, 0.09, 4.0)
    assert field.q == theory.mean_field("tanh", sigma_w2=6.25, sigma_b2=0.09, q0=4.0).q
    assert theory.q_map("tanh", sigma_w2=6.25, sigma_b2=0.09, q=field.q) == pytest.approx(field.q)
    assert theory.c_map("tanh", sigma_w2=6.25, sigma_b2=0.09, c=field.c) == pytest.approx(field.c)
    assert len(theory.length_map("tanh", 6.25, 0.09, 3).q) == 3
    forward, backward = theory.gain("relu")
    assert (forward, backward) == pytest.approx((2.0, 2.0), rel=1e-14)
    point = theory.critical_point("tanh", sigma_b2=0.05)
    spectrum = theory.jacobian_spectrum(point, 4)
    assert spectrum.moments(1)[0] == pytest.approx(1.0)
    assert (spectrum.q, spectrum.sigma_w2) == (point.q, point.sigma_w2)
    mixture = [0.0, 0.0, 0.5, 0.0, 0.5]
    given = (mixture, tuple(mixture), np.array(mixture), dict(enumerate(mixture)))
    assert len({theory.SphericalModel(one).total_complexity for one in given}) == 1
    curve = theory.information_bottleneck([[0.45, 0.05], [0.05, 0.45]], [2.0])
    assert (curve.I_X[0], curve.I_Y[0]) == (curve.information_x[0], curve.information_y[0])


def test_a_monotone_layer_is_solved_without_an_input_by_the_name_of_a_splitting():
    A, B = [[0.5, 0.2], [0.0, 0.4]], [[0.0, 1.0], [0.0, 0.0]]
    layer = theory.MonotoneLayer.parametrise(A, B, 0.1, b=[0.2, 1.0])
    same = theory.MonotoneLayer(layer.W, np.eye(2))
    for step in (0.05, layer.max_step / 2):
        np.testing.assert_allclose(
            layer.solve("forward_backward", step).z, same.solve([0.2, 1.0]).z, atol=1e-9
        )
    np.testing.assert_allclose(layer.solve("peaceman_rachford", 0.5).z, layer.solve().z, atol=1e-9)


def test_the_last_layer_of_a_network_of_one_output_may_be_flat():
    nested = [([1, -1], [0, 1]), ([[1, -2]], [3])]
    flat = [([1, -1], [0, 1]), ([1, -2], 3)]
    assert theory.linear_pieces(nested, (-2, 2)) == theory.linear_pieces(flat, (-2, 2))
