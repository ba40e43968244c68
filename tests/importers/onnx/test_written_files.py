"""Files that networks are written to run in onnxruntime, and compute what their layers say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import unrolled
from cases.network_layers import LAYERS, built
from unrolled import Network
from unrolled._core import function_names

runtime = pytest.importorskip("onnxruntime")
special = pytest.importorskip("scipy.special")


def run(content: bytes, x: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """What a file with one input and one output computes of `x`."""
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    (y,) = session.run(None, {entry.name: np.asarray(x, dtype=np.float32)})
    return np.asarray(y, dtype=np.float64)


FUNCTIONS = [
    *(name for name in function_names() if name not in ("clip", "linear")),
    "clip(-0.5, 0.75)",
    "leaky_relu(0.2)",
    "elu(0.5)",
    "silu(1.5)",
    "softplus(2)",
    "linear(2, 0.5)",
]
"""Every function that `propagate` knows by name."""


@pytest.mark.parametrize("function", FUNCTIONS)
def test_functions_are_those_that_propagation_follows(function: str) -> None:
    """The square of what a file computes has the mean that the core has for the function."""
    net = Network()
    net.output(net.activation(net.input((4001,)), function, name="y"))
    z = np.linspace(-8, 8, 4001)
    (y,) = run(net.to_onnx(), z[None])
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    measured = np.trapezoid(y**2 * density, z)
    signal = unrolled.propagate(net, input=unrolled.Signal())["y"]
    assert measured == pytest.approx(signal.variance + signal.mean**2, rel=2e-5)


def elu(x: Any, alpha: float = 1.0, width: float = 1.0) -> Any:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / width))


def silu(x: Any, beta: float = 1.0) -> Any:
    return x * special.expit(beta * x)


def softplus(x: Any, beta: float = 1.0) -> Any:
    return np.logaddexp(0, beta * x) / beta


DEFINITIONS: dict[str, Callable[[Any], Any]] = {
    "abs": np.abs,
    "atan": np.arctan,
    "celu": elu,
    "celu(0.3)": lambda x: elu(x, 0.3, 0.3),
    "clip(-0.5, 0.75)": lambda x: np.clip(x, -0.5, 0.75),
    "clip(-0.5)": lambda x: np.maximum(x, -0.5),
    "clip(-inf, 0.75)": lambda x: np.minimum(x, 0.75),
    "cos": np.cos,
    "elu": elu,
    "elu(0.5)": lambda x: elu(x, 0.5),
    "erf": lambda x: special.erf(np.sqrt(np.pi) / 2 * x),
    "erf(1)": special.erf,
    "exp": np.exp,
    "gelu": lambda x: x * special.ndtr(x),
    "GELU": lambda x: x * special.ndtr(x),
    "gelu_tanh": lambda x: x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "hard_sigmoid(0.2)": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
    "hard_sigmoid(0.3, 0.1)": lambda x: np.clip(0.3 * x + 0.1, 0, 1),
    "hard_swish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "hard_tanh(-2)": lambda x: np.clip(x, -2, 1),
    "hard_tanh(-2, 0.5)": lambda x: np.clip(x, -2, 0.5),
    "identity": lambda x: x,
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "leaky_relu(0.2)": lambda x: np.where(x > 0, x, 0.2 * x),
    "LeakyReLU( -0.5 )": lambda x: np.where(x > 0, x, -0.5 * x),
    "linear": lambda x: x,
    "linear(2)": lambda x: 2 * x,
    "linear(2, 0.5)": lambda x: 2 * x + 0.5,
    "log_sigmoid": special.log_expit,
    "mish": lambda x: x * np.tanh(np.logaddexp(0, x)),
    "negative": np.negative,
    "prelu": lambda x: np.where(x > 0, x, 0.25 * x),
    "prelu(0.1)": lambda x: np.where(x > 0, x, 0.1 * x),
    "quick_gelu": lambda x: silu(x, 1.702),
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "selu": lambda x: 1.0507009873554805 * elu(x, 1.6732632423543772),
    "sigmoid": special.expit,
    "silu": silu,
    "silu(1.5)": lambda x: silu(x, 1.5),
    "silu(0)": lambda x: x / 2,
    "sin": np.sin,
    "softplus": softplus,
    "softplus(2)": lambda x: softplus(x, 2.0),
    "softshrink": lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0),
    "softshrink(0.1)": lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.1, 0),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "square": np.square,
    "swish": silu,
    "swish(0.7)": lambda x: silu(x, 0.7),
    "tanh": np.tanh,
}
"""Functions by their definitions, with arguments and without."""


def test_every_known_function_has_a_definition_here() -> None:
    assert set(function_names()) == {name for name in DEFINITIONS if name in function_names()} | {
        "clip"
    }


@pytest.mark.parametrize("function", DEFINITIONS)
def test_functions_have_the_values_of_their_definitions_far_from_zero_too(function: str) -> None:
    x = np.array([-120.0, -95, -20, -6, -3, -2.5, -1, -0.5, -0.1, 0, 0.1, 0.5, 1, 2.5, 6, 20, 88])
    net = Network()
    net.output(net.activation(net.input((len(x),)), function, name="y"))
    with np.errstate(over="ignore"):
        expected = DEFINITIONS[function](x)
    found = run(net.to_onnx(), x[None])[0]
    # Terms of single precision may cancel, and the runtime's sigmoid has six digits.
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=3e-6)


@pytest.mark.parametrize(
    "function",
    [
        "relu(1)",
        "relu6(3)",
        "gelu(tanh)",
        "leaky_relu(0.1, 0.2)",
        "elu(nan)",
        "celu(0)",
        "clip(1, 2, 3)",
        "clip(2, 1)",
        "softplus(0)",
        "softplus(-1)",
        "softshrink(0)",
        "quick_gelu(2)",
        "square(3)",
        "log_sigmoid(2)",
        "gelu_tanh(1)",
        "hard_sigmoid(-1)",
        "leaky_relu(0.2",
        "linear(1, 2, 3)",
        "linear(inf)",
        "no_such_function",
    ],
)
def test_functions_that_propagation_does_not_know_are_not_written(function: str) -> None:
    net = Network()
    net.output(net.activation(net.input((3,)), function, name="y"))
    for refused in (net.to_onnx, lambda: unrolled.propagate(net)):
        with pytest.raises(unrolled.UnknownOperationError, match="'y'"):
            refused()


@pytest.mark.parametrize("kind", sorted(LAYERS))
def test_files_run_and_give_the_shapes_of_the_network(kind: str) -> None:
    net = built(*LAYERS[kind])
    x = np.random.default_rng(0).standard_normal((2, *net.inputs[0].shape))
    y = run(net.to_onnx(batch=2), x)
    assert y.shape == (2, *net.outputs[0].shape)
    assert np.isfinite(y).all()
    np.testing.assert_allclose(run(net.to_onnx(), x[1:])[0], y[1], rtol=1e-4, atol=1e-5)


def test_a_file_computes_what_its_layers_say() -> None:
    """By NumPy: padding at both ends, strides, and batch norm as it is before training."""
    net = Network()
    x = net.input((2, 5))
    y = net.activation(net.batch_norm(net.conv(x, 3, 3, stride=2, name="conv"), name="norm"))
    net.output(net.dense(net.flatten(y), 4, name="head"))
    random = np.random.default_rng(5)
    values = {one.name: random.standard_normal(one.shape) for one in net.parameters}
    values["norm/variance"] = values["norm/variance"] ** 2 + 0.5
    signal = random.standard_normal((2, 5))
    padded = np.pad(signal, ((0, 0), (1, 1)))
    taps = np.stack([padded[:, i : i + 3] for i in (0, 2, 4)])
    conv = np.einsum("pit,oit->op", taps, values["conv/kernel"]) + values["conv/bias"][:, None]
    mean, variance = values["norm/mean"][:, None], values["norm/variance"][:, None]
    norm = (conv - mean) / np.sqrt(variance)
    norm = norm * values["norm/scale"][:, None] + values["norm/shift"][:, None]
    expected = np.maximum(norm, 0).ravel() @ values["head/kernel"] + values["head/bias"]
    found = run(net.to_onnx(weights=values), signal[None])
    np.testing.assert_allclose(found[0], expected, rtol=1e-4, atol=1e-5)


def test_attention_with_a_mask_computes_what_its_softmax_says() -> None:
    """By NumPy, query by query, over the keys that it sees; one query sees none."""
    seen = np.array([[1, 0, 1], [0, 1, 1], [1, 1, 0], [0, 0, 0]], dtype=bool)
    net = Network()
    keys, values = net.parameter("keys", (3, 2)), net.parameter("values", (3, 5))
    net.output(net.attention(net.input((4, 2), "x"), keys, values, mask=seen))
    random = np.random.default_rng(3)
    given = {one.name: random.standard_normal(one.shape) for one in net.parameters}
    x = random.standard_normal((1, 4, 2))
    (y,) = run(net.to_onnx(weights=given), x)
    for query in range(3):
        chosen = seen[query]
        scores = np.exp(given["keys"][chosen] @ x[0, query] / np.sqrt(2))
        expected = scores / scores.sum() @ given["values"][chosen]
        np.testing.assert_allclose(y[query], expected, rtol=1e-5)
    assert np.isfinite(y).all()
