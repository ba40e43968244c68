"""Functions, normalisers and roles that are read from Keras layers, with ``operations=True``."""

from __future__ import annotations

import numpy as np
import pytest

import unrolled
from oracles.keras_forms import from_keras, keras, of_keras

pytestmark = of_keras
L, ops = keras.layers, keras.ops


def read(*layers, **options):
    x = h = keras.Input((4,))
    for layer in (L.Dense(5, name="dense"), *layers):
        h = layer(h)
    return from_keras(keras.Model(x, h), **options)


def found_in(net):
    operations = [net.operation(tensor) for tensor in net.tensors]
    return [(one.kind, one.function) for one in operations if one is not None]


@pytest.mark.parametrize(
    ("layers", "name"),
    [
        *(
            ([L.Activation(name)], name)
            for name in ("relu", "relu6", "silu", "gelu", "mish", "elu", "selu", "tanh", "sigmoid")
        ),
        ([L.ReLU()], "relu"),
        ([L.ReLU(6)], "relu6"),
        ([L.LeakyReLU(0.2)], "leaky_relu(0.2)"),
        ([L.Activation("hard_silu")], "hard_swish"),
        ([lambda h: h * ops.sigmoid(h)], "silu"),
        ([lambda h: h * ops.relu6(h + 3) / 6], "hard_swish"),
        ([lambda h: ops.gelu(h, approximate=False)], "gelu"),
        ([lambda h: ops.gelu(h, approximate=True)], "gelu_tanh"),
    ],
)
def test_functions_have_names_however_they_are_written(layers, name):
    net, without = read(*layers, operations=True), read(*layers)
    assert [one for one in found_in(net) if one[0] == "function"] == [("function", name)]
    found, expected = unrolled.count(net), unrolled.count(without)
    assert list(found) == list(expected)
    for parameter in expected:
        np.testing.assert_array_equal(found[parameter].log2(), expected[parameter].log2())
    unrolled.propagate(net)


@pytest.mark.parametrize(
    ("layer", "functions"),
    [
        (L.LSTM(3), {"sigmoid", "tanh"}),
        (
            L.LSTM(3, activation="relu", recurrent_activation="hard_sigmoid"),
            {"relu", "hard_sigmoid"},
        ),
        (L.GRU(3), {"sigmoid", "tanh", "linear(-1, 1)"}),
        (L.GRU(3, activation="elu", reset_after=False), {"sigmoid", "elu", "linear(-1, 1)"}),
        (L.SimpleRNN(3, activation="softsign"), {"softsign"}),
    ],
)
def test_recurrent_layers_have_the_functions_that_they_were_given(layer, functions):
    x = keras.Input((4, 2))
    model = keras.Model(x, layer(x))
    net, without = from_keras(model, operations=True), from_keras(model)
    assert {name for kind, name in found_in(net) if kind == "function"} == functions
    found, expected = unrolled.count(net), unrolled.count(without)
    for parameter in expected:
        np.testing.assert_array_equal(found[parameter].log2(), expected[parameter].log2())
    assert unrolled.propagate(net).jacobian > 0


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (L.LayerNormalization(), "layer_norm"),
        (L.BatchNormalization(), "batch_norm"),
        (L.RMSNormalization(), "rms_norm"),
        (L.Softmax(), "softmax"),
    ],
)
def test_normalisers_and_the_roles_of_their_parameters(layer, kind):
    net = read(layer, operations=True)
    assert kind in [one for one, _ in found_in(net)]
    roles = {link.source.name: link.role for link in net.links}
    assert (roles["dense/kernel"], roles["dense/bias"]) == ("kernel", "bias")
    expected = {
        "gamma": "scale",
        "scale": "scale",
        "beta": "shift",
        "moving_mean": "mean",
        "moving_variance": "variance",
    }
    for weight in layer.weights:
        assert roles[weight.path] == expected[weight.name], weight.path


@pytest.mark.parametrize("invert", [False, True])
def test_normalisation_by_numbers_of_the_configuration_scales_the_signal(invert):
    mean, variance = np.array([0.5, 0.0, -0.5]), np.array([4.0, 1.0, 0.25])
    given = {"mean": mean.tolist(), "variance": variance.tolist(), "invert": invert}
    x = keras.Input((6, 6, 3))
    h = L.Rescaling(0.5)(x)
    y = L.Conv2D(4, 3, name="conv")(L.Normalization(axis=-1, **given)(h))
    net = from_keras(keras.Model(x, y), operations=True)
    # The second moments of three channels, one after the other; means are not followed.
    factor = np.mean(variance if invert else 1 / variance)
    # By default a signal enters behind the scaling that a model begins with; here in front of it.
    found = unrolled.propagate(net, input=unrolled.Signal())["conv"].mean_square
    plain = from_keras(keras.Model(x, L.Conv2D(4, 3, name="conv")(x)), operations=True)
    expected = unrolled.propagate(plain)["conv"].mean_square * 0.25 * factor
    assert found == pytest.approx(expected, rel=1e-6)


def test_applications_are_scored_with_their_preprocessing():
    model = keras.applications.EfficientNetV2B0(weights=None)
    bare = keras.applications.EfficientNetV2B0(weights=None, include_preprocessing=False)
    found, expected = unrolled.score(model), unrolled.score(bare)
    assert found.saliency_entropy == pytest.approx(expected.saliency_entropy, rel=1e-9)
    assert found.macs == expected.macs


def test_a_mean_that_does_not_fit_is_an_error():
    x = keras.Input((4,))
    layer = L.Normalization(mean=[0.0] * 4, variance=[1.0] * 4)
    text = keras.Model(x, layer(x)).to_json()
    for wrong in ("[0.0, 0.0, 0.0]", "[0.0, 0.0, 0.0, NaN]"):
        broken = text.replace("[0.0, 0.0, 0.0, 0.0]", wrong)
        assert broken != text
        with pytest.raises(unrolled.errors.InvalidModelError, match="mean and variance"):
            unrolled.from_keras(broken)


def test_preprocessing_is_no_vanishing_signal():
    model = keras.applications.EfficientNetV2B0(weights=None)
    report = unrolled.initialization_report(model, input=unrolled.Signal())
    assert report.vanishes_at is None
    first = next(one for one in report.propagation.tensors if one.kind == "function")
    assert first.mean_square < 1e-3
    # Without a law of its own, what enters behind the preprocessing has a mean square of one.
    default = unrolled.initialization_report(model).propagation
    assert default[default.entries[0]].mean_square == pytest.approx(1.0)
