"""Files that networks are written to run in onnxruntime, and compute what their layers say."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

import unrolled
from cases.network_layers import LAYERS, built
from unrolled import Network
from unrolled._core import function_names

runtime = pytest.importorskip("onnxruntime")


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
    signal = unrolled.propagate(net)["y"]
    assert measured == pytest.approx(signal.variance + signal.mean**2, rel=2e-5)


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
