"""PReLU of frameworks begins as a leaky ReLU, whose slopes are parameters."""

from __future__ import annotations

from typing import Any

import pytest

import unrolled
from unrolled import Network, propagate
from unrolled.errors import UnknownOperationError

WIDTH = 8


def leaky(slope: float, *, shape: tuple[int, ...] = (WIDTH,)) -> Network:
    net = Network()
    x = net.dense(net.input(shape), WIDTH, use_bias=False)
    net.output(net.dense(net.activation(x, f"leaky_relu({slope!r})"), WIDTH, use_bias=False))
    return net


def signals(net: Network) -> list[float]:
    found = propagate(net, "he")
    kernels = [one for one in net.parameters if len(one.shape) == 2]
    (end,) = net.outputs
    return [found[end.name].mean_square, *[found[one.name].gradient for one in kernels]]


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
@pytest.mark.parametrize(
    ("initializer", "slope"), [("zeros", 0.0), ("ones", 1.0), ({"constant": 0.3}, 0.3)]
)
def test_slopes_of_keras_are_those_it_begins_with(initializer: Any, slope: float) -> None:
    keras = pytest.importorskip("keras")
    if isinstance(initializer, dict):
        initializer = keras.initializers.Constant(initializer["constant"])
    x = keras.Input((WIDTH,))
    y = keras.layers.Dense(WIDTH, use_bias=False)(x)
    y = keras.layers.PReLU(alpha_initializer=initializer)(y)
    model = keras.Model(x, keras.layers.Dense(WIDTH, use_bias=False)(y))
    net = unrolled.from_keras(model, operations=True)
    assert signals(net) == pytest.approx(signals(leaky(slope)))
    assert unrolled.score(net).saliency_entropy == pytest.approx(
        unrolled.score(leaky(slope)).saliency_entropy
    )


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
def test_slopes_of_keras_that_are_drawn_are_not_guessed() -> None:
    keras = pytest.importorskip("keras")
    x = keras.Input((WIDTH,))
    y = keras.layers.PReLU(alpha_initializer="glorot_uniform")(x)
    net = unrolled.from_keras(keras.Model(x, y), operations=True)
    with pytest.raises(UnknownOperationError, match="prelu"):
        propagate(net)


@pytest.mark.parametrize("slopes", [1, WIDTH])
def test_slopes_of_pytorch_are_a_quarter(slopes: int) -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(
        torch.nn.Linear(WIDTH, WIDTH, bias=False),
        torch.nn.PReLU(slopes),
        torch.nn.Linear(WIDTH, WIDTH, bias=False),
    )
    net = unrolled.from_torch(model, torch.zeros(1, WIDTH), operations=True)
    assert signals(net) == pytest.approx(signals(leaky(0.25, shape=(1, WIDTH))))
    assert net.num_parameters == 2 * WIDTH**2 + slopes
