"""Questions may be asked with the arguments and the symbols of the formulas."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import unrolled
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


def test_calls_with_the_symbols_of_formulas() -> None:
    chain = theory.linear_region_bounds(2, [4, 4])
    assert theory.linear_region_bounds(n0=2, widths=[4, 4]) == chain
    assert theory.SphericalModel(H=3) == theory.SphericalModel(3)
    mixture = theory.SphericalModel(xi=[0, 0, 1, 0, 1])
    assert mixture.total_complexity == theory.SphericalModel({2: 0.5, 4: 0.5}).total_complexity
    assert pickle.loads(pickle.dumps(theory.SphericalModel(H=5))) == theory.SphericalModel(5)
    assert replace(theory.SphericalModel(5), depth=3) == theory.SphericalModel(3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.linear_region_bounds(2, [4], n0=2), "instead of a model"),
        (lambda: theory.linear_region_bounds(n0=2), "the widths of the layers"),
        (lambda: theory.linear_region_bounds(widths=[2]), "the number of inputs"),
        (lambda: theory.linear_region_bounds(n0=0, widths=[2]), "the number of inputs"),
        (lambda: theory.linear_region_bounds(), "the number of inputs"),
        (lambda: theory.SphericalModel(3, xi=[0, 0, 1]), "exactly one"),
        (lambda: theory.SphericalModel(H=3, xi=[0, 0, 1]), "exactly one"),
        (lambda: theory.SphericalModel(3, H=3), "exactly one"),
        (lambda: theory.SphericalModel(), "exactly one"),
        (lambda: theory.SphericalModel(H=1), "H, the spins"),
        (lambda: theory.SphericalModel(xi=[]), "a mixture has powers"),
        (lambda: theory.information_plane([], y=[0]), "a dict or a list of arrays"),
        (lambda: theory.information_plane(["word"], y=[0]), "layer 'layer 1'"),
        (lambda: theory.information_plane([[1, [2]]], y=[0, 1]), "layer 'layer 1'"),
        (lambda: theory.weight_tied(([0, 1, 2], [1, 2, 0])), "networkx.DiGraph"),
    ],
)
def test_what_such_calls_refuse(call: Callable[[], object], message: str) -> None:
    with pytest.raises(unrolled.InvalidArgumentError, match=message):
        call()


def test_a_function_that_takes_the_cotangent_alone() -> None:
    """As that of `jax.vjp` does, which also returns a tuple."""
    matrix = np.array([[0.5, 0.2], [-0.3, 0.4]])
    expected = np.linalg.solve(np.eye(2) - matrix.T, [1.0, 2.0])
    for vjp in (
        lambda z, v: matrix.T @ v,
        lambda v: matrix.T @ v,
        lambda v, *more: (matrix.T @ v,),
        lambda z, v: (matrix.T @ v,),
        matrix.T.dot,
    ):
        found = theory.implicit_gradient(vjp, np.zeros(2), [1.0, 2.0])
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_the_derivative_of_jax_is_taken_as_it_is() -> None:
    jax = pytest.importorskip("jax")
    matrix = np.array([[0.5, 0.25], [-0.25, 0.5]], np.float32)
    _, vjp = jax.vjp(lambda z: matrix @ z, jax.numpy.zeros(2))
    found = theory.implicit_gradient(vjp, np.zeros(2), [1.0, 2.0], tol=1e-6)
    expected = np.linalg.solve(np.eye(2) - matrix.T, [1.0, 2.0])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_layers_of_an_information_plane_need_no_names() -> None:
    layers = [[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]]
    named = theory.information_plane({"layer 1": layers[0], "layer 2": layers[1]}, y=[0, 0, 1, 1])
    for given in (layers, tuple(layers), [np.array(one) for one in layers]):
        assert theory.information_plane(given, y=[0, 0, 1, 1]).points == named.points


def test_edges_with_cycles_are_a_cell_as_a_graph_of_networkx() -> None:
    nx = pytest.importorskip("networkx")
    pairs = [(0, 1), (1, 2), (2, 0), (1, 0)]
    matrix = np.zeros((3, 3), dtype=int)
    for source, target in pairs:
        matrix[target, source] = 1
    found = theory.weight_tied(nx.DiGraph(pairs))
    assert found.growth == pytest.approx(theory.weight_tied(matrix).growth, abs=1e-12)
