"""Whole Keras models against published figures and the same architecture built otherwise."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import unrolled
from oracles.keras_forms import from_keras, keras, of_keras
from unrolled import Network

pytestmark = of_keras
L = keras.layers


def turned(array: Any, name: str) -> Any:
    """A kernel in the layout of `Network`: output channels, input channels, positions."""
    if not name.endswith("kernel") or array.ndim < 3:
        return array
    rank = array.ndim - 2
    order = (rank, rank + 1) if "dw" in name else (rank + 1, rank)
    array = array.transpose(*order, *range(rank))
    return array.reshape(-1, 1, *array.shape[2:]) if "dw" in name else array


def check_equal(net: Network, other: Network) -> None:
    """Equal counts, parameter tensor by parameter tensor, in order."""
    counts, others = unrolled.count(net), unrolled.count(other)
    assert len(net.parameters) == len(other.parameters)
    for one, two in zip(net.parameters, other.parameters, strict=True):
        assert one.trainable == two.trainable
        found = turned(counts[one.name].log2(), one.name)
        assert np.array_equal(found, others[two.name].log2()), (one.name, two.name)
    assert counts.total == others.total
    assert counts.num_weight_nodes == others.num_weight_nodes


@pytest.fixture(scope="module")
def efficientnet() -> Any:
    return keras.applications.EfficientNetV2B0(weights=None)


def test_efficientnet_is_the_model_of_this_package(efficientnet: Any) -> None:
    net = from_keras(efficientnet)
    check_equal(net, unrolled.models.efficientnet_v2("b0", padding="same"))
    # Published for EfficientNetV2-B0; padding only mirrors counts.
    counts = unrolled.count(net)
    assert counts.log2_total == pytest.approx(756.838553618253, rel=1e-14)
    assert counts.num_parameters == 7_200_312


def test_signals_in_efficientnet_are_those_of_the_model_of_this_package(efficientnet: Any) -> None:
    # Images are rescaled by numbers of the configuration, which batch norms take out again.
    imported = unrolled.propagate(from_keras(efficientnet, operations=True), exact=False)
    net = unrolled.models.efficientnet_v2("b0", padding="same", activations=True)
    built = unrolled.propagate(net, exact=False)
    # Keras adds 1e-3 to variances in its batch norms.
    assert imported.jacobian == pytest.approx(built.jacobian, rel=0.2)
    assert len(imported.kernels) == len(built.kernels) == 92
    for one, other in zip(imported.kernels, built.kernels, strict=True):
        assert (one.size, one.fan_in, one.fan_out) == (other.size, other.fan_in, other.fan_out)
        assert one.relative_gradient == pytest.approx(other.relative_gradient, rel=0.1)


def test_names_and_shapes_are_those_of_keras(efficientnet: Any) -> None:
    net = from_keras(efficientnet.to_json())
    assert [(p.name, p.shape, p.trainable) for p in net.parameters] == [
        (w.path, tuple(w.shape), w.trainable) for w in efficientnet.weights
    ]


def test_another_image_size(efficientnet: Any) -> None:
    net = from_keras(efficientnet, (96, 64, 3))
    check_equal(net, unrolled.models.efficientnet_v2("b0", padding="same", size=(96, 64)))


def test_resnet_has_the_published_number_of_parameters() -> None:
    model = keras.applications.ResNet50(weights=None)
    net = from_keras(model)
    assert net.num_parameters == model.count_params() == 25_636_712
    assert {(p.name, p.shape, p.trainable) for p in net.parameters} == {
        (w.path, tuple(w.shape), w.trainable) for w in model.weights
    }


def test_other_applications() -> None:
    for name, size in (("MobileNetV3Small", 64), ("MobileNetV2", 64)):
        build = getattr(keras.applications, name)
        model = build(weights=None, include_top=False, input_shape=(size, size, 3))
        net = from_keras(model)
        assert net.num_parameters == model.count_params()
        assert unrolled.count(net).is_exact


def test_residual_network_of_layers() -> None:
    """A network of Keras layers has the counts of one of this package's layers."""
    x = keras.Input((12, 12, 3))
    y = L.Conv2D(8, 3, padding="same", name="stem")(x)
    z = L.ReLU()(L.BatchNormalization(name="norm")(y))
    z = L.DepthwiseConv2D(3, padding="same", name="dw")(z)
    y = L.MaxPooling2D(2)(L.Add()([y, z]))
    y = L.Dense(5, name="head")(L.GlobalAveragePooling2D()(y))
    net = from_keras(keras.Model(x, y))

    other = Network()
    image = other.input((3, 12, 12))
    stem = other.conv(image, 8, 3, name="stem")
    depthwise = other.depthwise_conv(other.batch_norm(stem, name="norm"), 3, name="dw")
    pooled = other.max_pool(other.add(stem, depthwise), 2)
    other.output(other.dense(other.global_pool(pooled), 5, name="head"))
    check_equal(net, other)


def test_dense_network_is_the_closed_form() -> None:
    net = from_keras(keras.Sequential([keras.Input((4,)), L.Dense(8), L.Dense(3)]))
    counts = unrolled.count(net)
    first, second = net.parameters[0].name, net.parameters[2].name
    assert (counts[first].minimum, counts[second].maximum) == (3, 1)
    assert counts.total == 4 * 8 * 3 + 8 * 3 + 8 * 3 + 3


def test_unrolled_graph_agrees() -> None:
    """Both engines count the same in a network that was read from Keras."""
    x = keras.Input((4, 3))
    y = L.MultiHeadAttention(2, 2, name="attention")(x, x)
    y = L.LayerNormalization(name="norm")(L.Add()([x, y]))
    y = L.GRU(2, name="gru")(y)
    net = from_keras(json.loads(keras.Model(x, y).to_json()))
    assert unrolled.count(net.unroll()).total == unrolled.count(net).total
