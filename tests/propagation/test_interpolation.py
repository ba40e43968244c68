"""Resized images and products with constants are followed by the sizes of what multiplies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unrolled
from unrolled import Network, propagate

SIDE, CHANNELS = 8, 6


def resized_by_onnx(mode: str, scale: float, **attributes: Any) -> Network:
    onnx = pytest.importorskip("onnx")
    stored = {
        "kernel": np.ones((CHANNELS, 3, 1, 1), np.float32),
        "scales": np.array([1, 1, scale, scale], np.float32),
    }
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Conv", ["x", "kernel"], ["c"]),
            onnx.helper.make_node("Resize", ["c", "", "scales"], ["y"], mode=mode, **attributes),
        ],
        "resized",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(array, name) for name, array in stored.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])
    return unrolled.from_onnx(model, operations=True)


def weights_of(mode: str, scale: float, **attributes: Any) -> Any:
    """What every position of the resized axis takes of those of an axis, by onnx itself."""
    reference = pytest.importorskip("onnx.reference")
    onnx = pytest.importorskip("onnx")
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Resize", ["x", "", "s"], ["y"], mode=mode, **attributes)],
        "axis",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [SIDE, SIDE])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(np.array([1, scale], np.float32), "s")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])
    (rows,) = reference.ReferenceEvaluator(model).run(None, {"x": np.eye(SIDE, dtype=np.float32)})
    return rows.T.astype(float)


def products_of(rows: Any, correlation: float) -> tuple[float, float]:
    """Mean square of what is resized along two axes, and its correlation between two positions."""
    both = np.kron(rows, rows)
    count = both.shape[1]
    among = correlation * np.ones((count, count)) + (1 - correlation) * np.eye(count)
    covariances = both @ among @ both.T
    diagonal, places = np.trace(covariances), len(covariances)
    square = diagonal / places
    return square, (covariances.sum() - diagonal) / (places * (places - 1)) / square


@pytest.mark.parametrize("correlation", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("scale", [2.0, 0.5])
@pytest.mark.parametrize(
    ("mode", "attributes"),
    [
        ("nearest", {}),
        ("linear", {}),
        ("linear", {"coordinate_transformation_mode": "align_corners"}),
        ("cubic", {}),
        ("cubic", {"cubic_coeff_a": -0.5}),
    ],
)
def test_a_resized_image_is_as_large_as_its_weights_make_it(
    mode: str, attributes: dict[str, Any], scale: float, correlation: float
) -> None:
    """The sum of their squares where positions are independent, of their products where equal."""
    net = resized_by_onnx(mode, scale, **attributes)
    entering = unrolled.Signal(position_correlation=correlation)
    found = propagate(net, 1.0, input=entering)["y"]
    rows = weights_of(mode, scale, **attributes)
    square, between = products_of(rows, correlation)
    assert found.mean_square == pytest.approx(square, rel=2e-5)
    assert found.position_correlation == pytest.approx(between, abs=2e-5)


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_derivatives_come_back_by_the_same_weights(mode: str) -> None:
    found = propagate(resized_by_onnx(mode, 2.0), 1.0)
    rows = weights_of(mode, 2.0)
    # Derivatives by outputs are independent, so that the squares of weights add up.
    assert found["c"].gradient == pytest.approx((np.square(rows).sum() / SIDE) ** 2, rel=2e-5)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("size", [16, 5])
def test_pytorch_interpolates_by_its_own_weights(size: int, align_corners: bool) -> None:
    torch = pytest.importorskip("torch")

    class Resized(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(3, CHANNELS, 1, bias=False)

        def forward(self, x: Any) -> Any:
            return torch.nn.functional.interpolate(
                self.conv(x), (size, size), mode="bilinear", align_corners=align_corners
            )

    net = unrolled.from_torch(Resized().eval(), torch.zeros(1, 3, SIDE, SIDE), operations=True)
    (end,) = net.outputs
    basis = torch.eye(SIDE).reshape(SIDE, 1, SIDE, 1).expand(SIDE, 1, SIDE, 2)
    rows = torch.nn.functional.interpolate(
        basis, (size, 2), mode="bilinear", align_corners=align_corners
    )[:, 0, :, 0].numpy()
    expected = (np.square(rows).sum() / size) ** 2
    assert propagate(net, 1.0)[end.name].mean_square == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
def test_keras_interpolates_by_its_own_weights(method: str) -> None:
    keras = pytest.importorskip("keras")
    x = keras.Input((SIDE, SIDE, CHANNELS))
    model = keras.Model(x, keras.layers.Resizing(2 * SIDE, 3, interpolation=method)(x))
    net = unrolled.from_keras(model, operations=True)
    (end,) = net.outputs
    expected = 1.0
    for length in (2 * SIDE, 3):
        image = np.eye(SIDE, dtype=np.float32)[:, :, None, None]
        rows = keras.ops.image.resize(image.repeat(2, axis=2), (length, 2), interpolation=method)
        expected *= np.square(np.asarray(rows)).sum() / 2 / length
    # Backends treat what lies beyond the border in different ways.
    accuracy = 1e-5 if method == "bilinear" else 0.03
    assert propagate(net, 1.0)[end.name].mean_square == pytest.approx(expected, rel=accuracy)


def test_a_product_with_a_constant_has_its_size() -> None:
    jax = pytest.importorskip("jax")
    matrix = np.random.default_rng(5).normal(0.0, 0.3, (12, 5)).astype(np.float32)

    def function(params: Any, x: Any) -> Any:
        return (x @ params) @ matrix

    params = jax.numpy.zeros((7, 12))
    net = unrolled.from_jax(function, params, jax.numpy.zeros((4, 7)), operations=True)
    (end,) = net.outputs
    expected = np.square(matrix.astype(float)).sum() / 5
    assert propagate(net, 1.0)[end.name].mean_square == pytest.approx(expected, rel=1e-6)


def test_resizing_in_jax_is_followed_by_its_weights() -> None:
    jax = pytest.importorskip("jax")

    def function(params: Any, x: Any) -> Any:
        return jax.image.resize(x @ params, (4, 4, 5), "linear")

    params = jax.numpy.zeros((3, 5))
    net = unrolled.from_jax(function, params, jax.numpy.zeros((SIDE, SIDE, 3)), operations=True)
    (end,) = net.outputs
    rows = np.asarray(jax.image.resize(np.eye(SIDE), (4, SIDE), "linear"))
    true = (np.square(rows).sum() / 4) ** 2
    # Axes come one after the other, and behind the first, positions are alike along that alone.
    assert propagate(net, 1.0)[end.name].mean_square == pytest.approx(true, rel=0.03)


def test_adaptive_pooling_divides_by_what_it_reads() -> None:
    """Windows of two and three positions, as when seven are pooled to three."""
    net = Network()
    x = net.conv(net.input((3, 7)), CHANNELS, 1, use_bias=False)
    y = net.tensor("y", (CHANNELS, 3), operation=unrolled.Operation("average"))
    rows = unrolled.Relation.sparse(1, 1, [0, 3, 5, 7], [0, 1, 2, 3, 4, 5, 6])
    net.link(x, y, [unrolled.Relation.same(0, 0), rows])
    net.output(y)
    expected = (1 / 3 + 1 / 2 + 1 / 2) / 3
    assert propagate(net, 1.0)["y"].mean_square == pytest.approx(expected)
