"""Norms, roots and quotients of computed tensors: rules for numbers that are positive and steady.

Networks with drawn weights are the judge, within four standard errors and a stated bias: what is
left of a mean over few units.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import ndtr

import unrolled
from oracles.tape import (
    Draws,
    Estimate,
    Value,
    apply,
    contract,
    dense,
    gradient_square,
    kernel_gradient,
    mean,
    mean_square,
    pair_of_positions,
    pair_of_samples,
    per_draw,
)
from unrolled import Network, Operation, Propagation, Relation, Signal, propagate, score
from unrolled.errors import TheoryDomainError

WIDTH = 8
KERNEL = np.random.default_rng(0).normal(size=(6, WIDTH)).astype(np.float32)
GELU = (lambda x: x * ndtr(x), lambda x: ndtr(x) + x * np.exp(-x * x / 2) / (2 * np.pi) ** 0.5)
RELU = (lambda x: np.maximum(x, 0), lambda x: (x > 0).astype(float))
ROOT = (np.sqrt, lambda x: 0.5 * x**-0.5)
INVERSE = (lambda x: 1 / x, lambda x: -(x**-2.0))
SIZE = (np.abs, np.sign)


def within(estimate: Estimate, prediction: float, bias: float = 0.0) -> None:
    assert estimate.agrees(prediction, bias), (
        f"simulated {estimate}, predicted {prediction:.6g} with a bias of {bias:.0%}"
    )


def inputs(draws: Draws, width: int, correlation: float = 0.0, samples: int = 2) -> Value:
    """Two samples of mean square one each, so that nothing but the rule is left to chance."""
    x = draws.input(width, correlation=correlation, samples=samples).array
    return Value(x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True)))


def onnx_model(nodes, shapes, weights):
    onnx = pytest.importorskip("onnx")
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    made = [
        helper.make_node(kind, inputs, [output], **options)
        for kind, inputs, output, options in nodes
    ]
    first, last = shapes
    graph = helper.make_graph(
        made,
        "graph",
        [helper.make_tensor_value_info("x", float32, first)],
        [helper.make_tensor_value_info(nodes[-1][2], float32, last)],
        [onnx.numpy_helper.from_array(np.asarray(one), name) for name, one in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    return unrolled.from_onnx(model, operations=True)


def norm_from_onnx(order: float) -> Network:
    operators = {1: "ReduceL1", 2: "ReduceL2"}
    if order not in operators:
        pytest.skip("ONNX has no such operator")
    nodes = [
        ("MatMul", ["x", "kernel"], "h", {}),
        (operators[order], ["h", "axes"], "y", {"keepdims": 1}),
    ]
    return onnx_model(nodes, ([1, 6], [1, 1]), {"kernel": KERNEL, "axes": np.array([-1])})


def norm_from_torch(order: float) -> Network:
    torch = pytest.importorskip("torch")

    class Norm(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(6, WIDTH, bias=False)

        def forward(self, x):
            return torch.linalg.vector_norm(self.linear(x), order, dim=-1, keepdim=True)

    return unrolled.from_torch(Norm(), torch.zeros(1, 6), operations=True)


def short_norm_from_torch(order: float) -> Network:
    torch = pytest.importorskip("torch")

    class Norm(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(6, WIDTH, bias=False)

        def forward(self, x):
            return self.linear(x).norm(p=order, dim=1)

    return unrolled.from_torch(Norm(), torch.zeros(1, 6), operations=True)


def norm_from_keras(order: float) -> Network:
    from oracles.keras_forms import keras

    x = keras.Input((6,))
    h = keras.layers.Dense(WIDTH, use_bias=False)(x)
    y = keras.ops.norm(h, ord=order, axis=-1, keepdims=True)
    return unrolled.from_keras(keras.Model(x, y), operations=True)


def norm_from_jax(order: float) -> Network:
    jax = pytest.importorskip("jax")

    def function(params, x):
        return jax.numpy.linalg.norm(x @ params["kernel"], ord=order, axis=-1, keepdims=True)

    return unrolled.from_jax(
        function, {"kernel": KERNEL}, np.zeros((1, 6), np.float32), operations=True
    )


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize(
    "door",
    [
        norm_from_onnx,
        norm_from_torch,
        short_norm_from_torch,
        pytest.param(
            norm_from_keras, marks=pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
        ),
        norm_from_jax,
    ],
)
def test_norms_at_every_door(door: Callable[[float], Network], order: float) -> None:
    """The norm of eight normal numbers; that of the third powers is near to a gamma variable."""
    p = propagate(door(order), "lecun")
    found = next(tensor for tensor in reversed(p.tensors) if tensor.kind != "move")
    h = np.random.default_rng(1).normal(size=(200_000, WIDTH))
    norms = (np.abs(h) ** order).sum(1) ** (1 / order)
    bias = 0.01 if order == 3 else 0.0
    within(Estimate(norms), found.mean, bias)
    within(Estimate(norms**2), found.mean_square, bias)
    # Two samples with nothing in common: the norms are independent.
    assert found.correlation * found.mean_square == pytest.approx(found.mean**2)


def test_what_a_root_of_squares_passes_on_is_what_it_receives() -> None:
    """Derivatives of a norm are a unit vector."""
    p = propagate(norm_from_onnx(2), "lecun")
    h = next(tensor for tensor in p.tensors if tensor.kind == "affine")
    assert h.gradient == pytest.approx(1 / WIDTH)


def steady(net: Network) -> Network:
    x = net.input((40,))
    a = net.dense(x, 30, use_bias=False, name="a")
    b = net.activation(net.dense(x, 60, use_bias=False, name="b"), "relu", name="r")
    size = net.tensor("m", (1,), operation=Operation("average"))
    net.link(b, size, [Relation.all(0, 0)])
    net.output(net.dense(net.divide(a, size, name="y"), 10, use_bias=False, name="z"))
    return net


def test_quotient_by_a_mean_over_units() -> None:
    """A mean over sixty units; one over it varies by a tenth, of which a third is left."""
    draws = Draws(4000, 2)
    x = inputs(draws, 40, 0.4)
    k1, k2 = draws.kernel(1 / 40, 40, 30), draws.kernel(2 / 40, 40, 60)
    k3 = draws.kernel(1 / 30, 30, 10)
    a = dense(x, k1)
    m = mean(apply(dense(x, k2), *RELU), [2])
    y = a * apply(m, *INVERSE)
    z = dense(y, k3)
    draws.pull(z)
    variances = {"a": 1 / 40, "b": 2 / 40, "z": 1 / 30}
    p = propagate(steady(Network()), variances, input=Signal(correlation=0.4))
    for name, value in {"a": a, "m": m, "y": y, "z": z}.items():
        within(mean_square(value), p[name].mean_square, 0.03)
        within(pair_of_samples(value), p[name].correlation * p[name].mean_square, 0.05)
        within(gradient_square(value), p[name].gradient, 0.04)
    for name, kernel in {"a/kernel": k1, "b/kernel": k2, "z/kernel": k3}.items():
        squares = Estimate((kernel.gradient.reshape(4000, -1) ** 2).sum(1))
        # Gradients of the two samples add up; they are independent, as those of the outputs are.
        within(squares, 2 * p[name].gradient, 0.05)


def test_a_quotient_by_what_may_be_zero_is_refused() -> None:
    net = Network("rational")
    x = net.input((8,))
    net.output(net.divide(net.dense(x, 4), net.dense(x, 4), name="ratio"))
    with pytest.raises(TheoryDomainError, match=r"'ratio', a quotient .* positive") as error:
        propagate(net)
    assert error.value.tensor == "ratio"
    with pytest.raises(TheoryDomainError, match="deviation"):
        unrolled.initialization_report(net)


def between_kernels(nodes: list, width: int, variance: float, correlation: float) -> Propagation:
    """A file's nodes from h to y, of so many units, between a kernel before and one behind."""
    nodes = [("MatMul", ["x", "k1"], "h", {}), *nodes, ("MatMul", ["y", "k2"], "z", {})]
    weights = {
        "k1": np.ones((20, width), np.float32),
        "k2": np.ones((width, 5), np.float32),
        "axes": np.array([-1]),
    }
    net = onnx_model(nodes, ([1, 20], [1, 5]), weights)
    return propagate(net, {"k1": variance, "k2": 1.0}, input=Signal(correlation=correlation))


@pytest.mark.parametrize("order", [1, 2])
def test_division_by_a_norm(order: int) -> None:
    """Elements divided by the norm over forty of them; one in forty is left."""
    draws, width = Draws(1500, 3), 40
    x = inputs(draws, 20, 0.5)
    k1, k2 = draws.kernel(3 / 20, 20, width), draws.kernel(1.0, width, 5)
    h = dense(x, k1)
    sizes = apply(h, *SIZE) if order == 1 else h * h
    count = Value(np.array(float(width)))
    total = mean(sizes, [2]) * count
    y = h * apply(total if order == 1 else apply(total, *ROOT), *INVERSE)
    z = dense(y, k2)
    draws.pull(z)
    nodes = [
        (f"ReduceL{order}", ["h", "axes"], "n", {"keepdims": 1}),
        ("Div", ["h", "n"], "y", {}),
    ]
    p = between_kernels(nodes, width, 3 / 20, 0.5)
    within(mean_square(z), p["z"].mean_square, 0.03)
    within(pair_of_samples(z), p["z"].correlation * p["z"].mean_square, 0.04)
    within(gradient_square(h), p["h"].gradient, 0.05)


def test_division_by_the_mean_of_positive_elements() -> None:
    """The mean over thirty units is one whatever comes; the rest loses a thirtieth."""
    draws, width = Draws(2500, 4), 30
    x = inputs(draws, 20, 0.3)
    k1, k2 = draws.kernel(2 / 20, 20, width), draws.kernel(1.0, width, 5)
    a = apply(dense(x, k1), *RELU)
    y = a * apply(mean(a, [2]), *INVERSE)
    z = dense(y, k2)
    draws.pull(z)
    nodes = [
        ("Relu", ["h"], "a", {}),
        ("ReduceMean", ["a", "axes"], "m", {"keepdims": 1}),
        ("Div", ["a", "m"], "y", {}),
    ]
    p = between_kernels(nodes, width, 2 / 20, 0.3)
    norm = next(tensor for tensor in p.tensors if tensor.kind == "rms_norm")
    within(Estimate(per_draw(y.array)), norm.mean)
    for value, tensor in ((y, norm), (z, p["z"])):
        within(mean_square(value), tensor.mean_square, 0.03)
        within(pair_of_samples(value), tensor.correlation * tensor.mean_square, 0.04)
    within(gradient_square(a), next(t for t in p.tensors if t.name == "h/relu").gradient, 0.08)


def response_norm(channels: int, side: int, width: int, gamma: float) -> Network:
    """Global response normalisation as ConvNeXt-V2 has it, between two kernels."""
    onnx = pytest.importorskip("onnx")
    epsilon = onnx.numpy_helper.from_array(np.array(1e-6, np.float32))
    nodes = [
        ("MatMul", ["x", "k1"], "u", {}),
        ("Gelu", ["u"], "a", {}),
        ("ReduceL2", ["a", "positions"], "g", {"keepdims": 1}),
        ("ReduceMean", ["g", "features"], "m", {"keepdims": 1}),
        ("Constant", [], "epsilon", {"value": epsilon}),
        ("Add", ["m", "epsilon"], "d", {}),
        ("Div", ["g", "d"], "n", {}),
        ("Mul", ["a", "n"], "an", {}),
        ("Mul", ["an", "gamma"], "s", {}),
        ("Add", ["s", "beta"], "t", {}),
        ("Add", ["a", "t"], "o", {}),
        ("MatMul", ["o", "k2"], "y", {}),
    ]
    weights = {
        "k1": np.ones((channels, width), np.float32),
        "k2": np.ones((width, channels), np.float32),
        "gamma": np.full((1, 1, 1, width), gamma, np.float32),
        "beta": np.zeros((1, 1, 1, width), np.float32),
        "positions": np.array([1, 2]),
        "features": np.array([-1]),
    }
    shape = [1, side, side, channels]
    return onnx_model(nodes, (shape, shape), weights)


def drawn_response_norm(
    channels: int, side: int, width: int, gamma: float, alike: float
) -> dict[str, Value]:
    draws = Draws(150, 5)
    common = draws.random.normal(size=(150, 2, 1, 1, channels))
    own = draws.random.normal(size=(150, 2, side, side, channels))
    x = Value(alike**0.5 * common + (1 - alike) ** 0.5 * own)
    k1, k2 = draws.kernel(2 / channels, channels, width), draws.kernel(2 / width, width, channels)
    u = contract("dshwi,dio->dshwo", x, k1)
    a = apply(u, *GELU)
    g = apply(mean(a * a, (2, 3)), *ROOT)
    n = g * apply(mean(g, (4,)), *INVERSE)
    scale = Value(np.full((1, 1, 1, 1, width), gamma))
    s = a * n * scale
    o = a + s
    y = contract("dshwi,dio->dshwo", o, k2)
    draws.pull(y)
    return {"u": u, "a": a, "n": n, "s": s, "o": o, "y": y, "k1": k1, "k2": k2, "gamma": scale}


@pytest.mark.parametrize(
    ("alike", "gamma", "biases"),
    [
        # Of the signal, of products of positions, and of derivatives in front of the function.
        (0.0, 1.0, (0.08, 0.2, 0.16)),
        (0.5, 1.0, (0.06, 0.26, 0.4)),
        (0.5, 0.1, (0.03, 0.06, 0.08)),
        (0.5, -0.5, (0.08, 0.4, 0.5)),
    ],
)
def test_global_response_normalisation(
    alike: float, gamma: float, biases: tuple[float, float, float]
) -> None:
    """Channels are weighed by their own norm over 25 positions, in proportion to its mean over 64.

    Where positions are alike, channels differ, and the gate is large where its channel is.
    """
    bias, of_positions, of_slopes = biases
    drawn = drawn_response_norm(48, 5, 64, gamma, alike)
    net = response_norm(48, 5, 64, gamma)
    variances = {"k1": 2 / 48, "k2": 2 / 64, "gamma": np.full(1, gamma)}
    p = propagate(net, variances, input=Signal(1.0, 0.0, alike))
    names = {"a": "u/gelu", "n": "n", "s": "s", "o": "o", "y": "y"}
    for key, name in names.items():
        within(mean_square(drawn[key]), p[name].mean_square, bias)
        if key in ("a", "o", "y"):
            within(gradient_square(drawn[key]), p[name].gradient, bias)
    for key in ("o", "y"):
        array = np.moveaxis(drawn[key].array, 4, 2)
        product = p[key].position_correlation * p[key].mean_square
        within(Estimate(pair_of_positions(array, array.shape[2])), product, of_positions)
    within(gradient_square(drawn["u"]), p["u"].gradient, of_slopes)
    assert p.exactness == "approximate"


def test_gradients_of_a_scale_that_multiplies() -> None:
    """A layer scale: it multiplies the signal, whatever its own size, and has a gradient."""
    draws, width = Draws(3000, 6), 24
    x = draws.input(16, samples=1)
    k1, k2 = draws.kernel(1 / 16, 16, width), draws.kernel(1 / width, width, 4)
    values = np.linspace(0.2, 1.4, width)
    scale = Value(np.broadcast_to(values, (3000, 1, width)).copy())
    h = dense(x, k1)
    y = h * scale
    z = dense(y, k2)
    draws.pull(z)
    nodes = [
        ("MatMul", ["x", "k1"], "h", {}),
        ("Mul", ["h", "gamma"], "y", {}),
        ("MatMul", ["y", "k2"], "z", {}),
    ]
    weights = {
        "k1": np.ones((16, width), np.float32),
        "gamma": values.astype(np.float32),
        "k2": np.ones((width, 4), np.float32),
    }
    net = onnx_model(nodes, ([1, 16], [1, 4]), weights)
    p = propagate(net, {"k1": 1 / 16, "gamma": values, "k2": 1 / width})
    for name, value in {"h": h, "y": y, "z": z}.items():
        within(mean_square(value), p[name].mean_square)
        within(gradient_square(value), p[name].gradient)
    within(kernel_gradient(k1), p["k1"].gradient)
    within(kernel_gradient(scale), p["gamma"].gradient)
    # The importer keeps what the model has.
    stored = propagate(net, "stored")
    assert stored["y"].mean_square / stored["h"].mean_square == pytest.approx(np.mean(values**2))


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
def test_a_layer_scale_of_keras_multiplies() -> None:
    pytest.importorskip("keras")
    from keras.src.applications.convnext import LayerScale

    from oracles.keras_forms import keras

    x = keras.Input((6,))
    h = keras.layers.Dense(WIDTH, use_bias=False)(x)
    y = LayerScale(1e-3, WIDTH)(h)
    p: Propagation = propagate(unrolled.from_keras(keras.Model(x, y), operations=True), "stored")
    before, after = p.tensors[-2:]
    assert after.mean_square == pytest.approx(1e-6 * before.mean_square, rel=1e-6)


def test_scores_of_quotients() -> None:
    """A quotient by a steady number is scored as its dividend; what divides has its gradient."""
    found = score(steady(Network())).to_dict()
    assert found["layers"] == 3
    assert np.isfinite(found["saliency_entropy"])
    gate = score(response_norm(48, 5, 64, 1.0)).to_dict()
    assert gate["layers"] == 2
    assert np.isfinite(gate["saliency_entropy"])
