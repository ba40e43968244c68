"""Resized images and products with constants are followed by the sizes of what multiplies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unrolled
from unrolled import Network, propagate

SIDE, CHANNELS = 8, 6


def resized_by_onnx(mode: str, scale: float) -> Network:
    onnx = pytest.importorskip("onnx")
    stored = {
        "kernel": np.ones((CHANNELS, 3, 1, 1), np.float32),
        "scales": np.array([1, 1, scale, scale], np.float32),
    }
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Conv", ["x", "kernel"], ["c"]),
            onnx.helper.make_node("Resize", ["c", "", "scales"], ["y"], mode=mode),
        ],
        "resized",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(array, name) for name, array in stored.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])
    return unrolled.from_onnx(model, operations=True)


def weights_of(mode: str, scale: float) -> Any:
    """What every position of an axis weighs in those of the resized one, by onnx itself."""
    reference = pytest.importorskip("onnx.reference")
    onnx = pytest.importorskip("onnx")
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Resize", ["x", "", "s"], ["y"], mode=mode)],
        "axis",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [SIDE, SIDE])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(np.array([1, scale], np.float32), "s")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])
    (rows,) = reference.ReferenceEvaluator(model).run(None, {"x": np.eye(SIDE, dtype=np.float32)})
    return rows


@pytest.mark.parametrize("scale", [2.0, 0.5])
@pytest.mark.parametrize(("mode", "factor"), [("nearest", 1.0), ("linear", 1.6), ("cubic", 9.0)])
def test_a_resized_image_is_about_as_large_as_it_is(mode: str, factor: float, scale: float) -> None:
    """A mean of what it reads: right where all weigh alike, else low by no more than this."""
    found = propagate(resized_by_onnx(mode, scale), 1.0)["y"].mean_square
    true = np.square(weights_of(mode, scale)).sum(0).mean() ** 2
    assert true / factor <= found * (1 + 1e-6)
    assert found <= true * (1 + 1e-6)


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


def test_resizing_in_jax_is_a_mean_of_what_it_reads() -> None:
    jax = pytest.importorskip("jax")

    def function(params: Any, x: Any) -> Any:
        return jax.image.resize(x @ params, (4, 4, 5), "linear")

    params = jax.numpy.zeros((3, 5))
    net = unrolled.from_jax(function, params, jax.numpy.zeros((SIDE, SIDE, 3)), operations=True)
    (end,) = net.outputs
    rows = np.asarray(jax.image.resize(np.eye(SIDE), (4, SIDE), "linear"))
    true = (np.square(rows).sum() / 4) ** 2
    assert true / 1.6 < propagate(net, 1.0)[end.name].mean_square <= true


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
