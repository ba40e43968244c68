"""Convolutions with kernels that are no parameters, such as blurring: their values are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import pytest
from scipy.linalg import hadamard

import unrolled
from oracles.tape import (
    Draws,
    Estimate,
    Value,
    affine,
    apply,
    dense,
    fixed,
    gradient_square,
    kernel_gradient,
    mean_square,
    pair_of_positions,
    pair_of_samples,
    reshape,
)
from propagation.test_sign_patterns import LEAKY, RELU, enumerate_all, patterns, turning_inputs
from unrolled import Network, Operation, Relation, Tensor, propagate, score
from unrolled.errors import InvalidArgumentError, UnknownOperationError

Taps = Sequence[float]


def matrix(extent: int, taps: Taps, stride: int, padding: int) -> np.ndarray:
    stops = (extent + 2 * padding - len(taps)) // stride + 1
    found = np.zeros((stops, extent))
    for stop in range(stops):
        for tap, weight in enumerate(taps):
            if 0 <= (at := stop * stride + tap - padding) < extent:
                found[stop, at] = weight
    return found


def blur(x: Value, weights: tuple[Taps, Taps], stride: int, padding: int) -> Value:
    """A fixed kernel for every channel, in NumPy."""
    channels, *sides = x.shape[2:]
    rows, columns = (
        matrix(side, taps, stride, padding) for side, taps in zip(sides, weights, strict=True)
    )
    y = fixed(reshape(x, channels, sides[0] * sides[1]), np.kron(rows, columns))
    return reshape(y, channels, len(rows), len(columns))


def blurred(
    net: Network, x: Tensor, weights: tuple[Taps, Taps], stride: int, padding: int, name: str
) -> Tensor:
    """The same as a tensor of a network."""
    channels, *sides = x.shape
    lengths = [
        (side + 2 * padding - len(taps)) // stride + 1
        for side, taps in zip(sides, weights, strict=True)
    ]
    operation = Operation("average", axes=(1, 2), weights=weights)
    y = net.tensor(name, (channels, *lengths), operation=operation)
    relations = [Relation.same(0, 0)]
    for axis, taps in enumerate(weights, 1):
        window = {"size": len(taps), "stride": stride, "padding": padding}
        relations.append(Relation.window(axis, axis, **window))
    net.link(x, y, relations)
    return y


@pytest.mark.parametrize(
    ("weights", "stride", "padding"),
    [
        (((0.25, 0.5, 0.25), (0.25, 0.5, 0.25)), 1, 1),
        (((0.2, 0.5, 0.4), (0.3, 0.6)), 1, 1),
        (((0.125, 0.375, 0.375, 0.125), (0.125, 0.375, 0.375, 0.125)), 2, 1),
        (((1.0, 2.0, 1.0), (1.0, 0.0, -1.0)), 1, 1),
        (((0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), 1, 1),
    ],
)
def test_sign_patterns(weights: tuple[Taps, Taps], stride: int, padding: int) -> None:
    """Exact mode equals the mean over all signs of weights, borders included.

    Inputs have the signs of a Hadamard matrix, so that no two pixels are alike on average, and
    magnitudes that take turns.
    """
    k1, k2 = patterns(0.5, (1, 1, 2, 2), (1, 1, 2, 2))

    def run(x: Value) -> dict[str, Value]:
        b = blur(x, weights, stride, padding)
        h = affine(b, k1, padding=1)
        return {"b": b, "h": h, "y": affine(apply(h, *LEAKY), k2, stride=2, padding=1)}

    net = Network()
    b = blurred(net, net.input((1, 4, 4)), weights, stride, padding, "b")
    h = net.conv(b, 1, 2, padding=1, use_bias=False, name="h")
    a = net.activation(h, "leaky_relu(0.3)")
    net.output(net.conv(a, 1, 2, stride=2, padding=1, use_bias=False, name="y"))
    p = propagate(net, {"h": 0.5, "y": 0.5}, exact=True)
    magnitudes = np.abs(turning_inputs(16))
    signed = hadamard(16)[:, None] * magnitudes
    inputs = signed.reshape(256, 1, 4, 4)
    found = enumerate_all(run, inputs, {"h/kernel": k1, "y/kernel": k2}, "y")
    assert found["J"] == pytest.approx(p.jacobian, rel=1e-10)
    for name in ("b", "h", "y"):
        assert found[name] == pytest.approx(p[name].mean_square, rel=1e-10), name
    for name in ("h/kernel", "y/kernel"):
        assert found[name] == pytest.approx(p[name].gradient, rel=1e-10), name


def within(estimate: Estimate, prediction: float, bias: float = 0.0) -> None:
    assert estimate.agrees(prediction, bias), (
        f"simulated {estimate}, predicted {prediction:.6g} with a bias of {bias:.0%}"
    )


BINOMIAL = (0.25, 0.5, 0.25)
WIDE = (0.125, 0.375, 0.375, 0.125)


@cache
def simulated_blur(weights: tuple[Taps, Taps], stride: int, padding: int) -> dict[str, Value]:
    draws, width, side = Draws(300, 7), 16, 8
    x = draws.input(3, side, side)
    k1, k2 = draws.kernel(2 / 27, width, 3, 3, 3), draws.kernel(2 / (9 * width), width, width, 3, 3)
    h = apply(affine(x, k1, padding=1), *RELU)
    b = blur(h, weights, stride, padding)
    y = apply(affine(b, k2, padding=1), *RELU)
    features = int(np.prod(y.shape[2:]))
    k3 = draws.kernel(2 / features, features, 5)
    z = dense(reshape(y, features), k3)
    draws.pull(z)
    return {"h": h, "b": b, "y": y, "z": z, "k1": k1, "k2": k2, "k3": k3}


@pytest.mark.parametrize(
    ("weights", "stride", "padding", "bias"),
    [
        ((BINOMIAL, BINOMIAL), 2, 1, 0.06),
        ((BINOMIAL, BINOMIAL), 1, 1, 0.12),
        ((WIDE, WIDE), 2, 1, 0.06),
        (((1.0, 2.0, 1.0), (1.0, 0.0, -1.0)), 1, 1, 0.2),
    ],
)
@pytest.mark.parametrize("exact", [False, None])
def test_blur_between_layers(
    weights: tuple[Taps, Taps], stride: int, padding: int, bias: float, exact: bool | None
) -> None:
    """Behind ReLU elements have a mean in common, which a blur keeps and an edge detector drops.

    Windows that overlap leave a bias in the derivatives of the first layer, and one number for a
    whole tensor another at so many borders.
    """
    width, side = 16, 8
    drawn = simulated_blur(weights, stride, padding)
    h, b, y, z = (drawn[name] for name in "hbyz")
    k1, k2, k3 = (drawn[name] for name in ("k1", "k2", "k3"))
    net = Network()
    at = net.conv(net.input((3, side, side)), width, 3, padding=1, use_bias=False, name="c1")
    at = blurred(net, net.activation(at, "relu", name="h"), weights, stride, padding, "b")
    at = net.activation(net.conv(at, width, 3, padding=1, use_bias=False, name="c2"), name="y")
    net.output(net.dense(net.flatten(at), 5, use_bias=False, name="z"))
    p = propagate(net, exact=exact)
    borders = 0.1 if exact is False else 0.02
    for name, value in {"h": h, "b": b, "y": y, "z": z}.items():
        within(mean_square(value), p[name].mean_square, borders)
        within(pair_of_samples(value), p[name].correlation * p[name].mean_square, borders)
        within(gradient_square(value), p[name].gradient, borders if name != "h" else bias)
    product = p["b"].position_correlation * p["b"].mean_square
    within(Estimate(pair_of_positions(b.array, width)), product, 0.12 + borders)
    for name, kernel in {"c2/kernel": k2, "z/kernel": k3}.items():
        squares = Estimate((kernel.gradient.reshape(300, -1) ** 2).sum(1))
        within(squares, 2 * p[name].gradient, 2 * borders)
    within(kernel_gradient(k1), 2 * p["c1/kernel"].gradient, bias + borders)


KERNEL = np.outer(BINOMIAL, WIDE[1:]).astype(np.float32)


def from_onnx() -> Network:
    onnx = pytest.importorskip("onnx")
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    kernel = np.broadcast_to(KERNEL, (4, 1, 3, 3)).copy()
    nodes = [
        helper.make_node("Constant", [], ["blur"], value=onnx.numpy_helper.from_array(kernel)),
        helper.make_node("Conv", ["x", "blur"], ["y"], group=4, strides=[2, 2]),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", float32, [1, 4, 8, 8])],
        [helper.make_tensor_value_info("y", float32, [1, 4, 3, 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    return unrolled.from_onnx(model, operations=True)


def from_torch() -> Network:
    torch = pytest.importorskip("torch")

    class Blur(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("taps", torch.tensor(KERNEL)[None, None], persistent=False)

        def forward(self, x):
            taps = self.taps.expand(4, 1, 3, 3)
            return torch.nn.functional.conv2d(x, taps, stride=2, groups=4)

    return unrolled.from_torch(Blur(), torch.zeros(1, 4, 8, 8), operations=True)


def from_jax() -> Network:
    jax = pytest.importorskip("jax")
    kernel = np.broadcast_to(KERNEL, (4, 1, 3, 3)).copy()

    def function(params, x):
        return jax.lax.conv_general_dilated(x, kernel, (2, 2), "VALID", feature_group_count=4)

    return unrolled.from_jax(function, {}, np.zeros((1, 4, 8, 8), np.float32), operations=True)


@pytest.mark.parametrize("door", [from_onnx, from_torch, from_jax])
def test_the_same_kernel_at_every_door(door: Callable[[], Network]) -> None:
    net = door()
    operations = [net.operation(tensor) for tensor in net.tensors]
    (found,) = [one for one in operations if one is not None and one.kind == "average"]
    assert np.allclose(np.outer(*found.weights), KERNEL)
    p = propagate(net)
    assert p.tensors[-1].mean_square == pytest.approx(float((KERNEL.astype(float) ** 2).sum()))
    assert not net.num_parameters


def test_kernels_that_are_no_product_of_taps_are_refused() -> None:
    torch = pytest.importorskip("torch")

    class Laplacian(torch.nn.Module):
        def forward(self, x):
            taps = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]).expand(4, 1, 3, 3)
            return torch.nn.functional.conv2d(x, taps, groups=4)

    net = unrolled.from_torch(Laplacian(), torch.zeros(1, 4, 8, 8), operations=True)
    with pytest.raises(UnknownOperationError, match="fixed_kernel"):
        propagate(net)


def tower(pool: Callable[[Network, Tensor], Tensor]) -> Network:
    net = Network()
    x = net.activation(net.conv(net.input((3, 16, 16)), 8, 3, padding=1))
    x = net.activation(net.conv(pool(net, x), 16, 3, padding=1))
    net.output(net.dense(net.global_pool(x), 5))
    return net


def test_scores_of_equal_weights_are_those_of_a_mean() -> None:
    third = (1 / 3, 1 / 3, 1 / 3)
    weighted = score(tower(lambda net, x: blurred(net, x, (third, third), 2, 1, "b"))).to_dict()
    plain = score(tower(lambda net, x: net.average_pool(x, 3, stride=2, padding=1))).to_dict()
    for name, value in plain.items():
        if isinstance(value, float):
            assert weighted[name] == pytest.approx(value, rel=1e-9), name
    narrow = score(tower(lambda net, x: blurred(net, x, ((0, 1, 0),) * 2, 2, 1, "b"))).to_dict()
    blurry = score(tower(lambda net, x: blurred(net, x, (BINOMIAL,) * 2, 2, 1, "b"))).to_dict()
    name = "effective_parameters"
    assert weighted[name] < blurry[name] < narrow[name]


def test_operations_with_weights() -> None:
    operation = Operation("average", axes=(1, 2), weights=(BINOMIAL, (1.0,)))
    assert operation == eval(repr(operation), {"Operation": Operation})
    import pickle

    again = pickle.loads(pickle.dumps(operation))
    assert again == operation
    assert hash(again) == hash(operation)
    for arguments in (
        {"kind": "sum", "axes": (0,), "weights": ((1.0,),)},
        {"kind": "average", "axes": (0,), "weights": ((1.0,), (2.0,))},
        {"kind": "average", "axes": (0,), "weights": ((),)},
        {"kind": "average", "axes": (0,), "weights": ((float("nan"),),)},
        {"kind": "average", "axes": (0,), "weights": 3},
    ):
        with pytest.raises(InvalidArgumentError, match=r"weight|tap"):
            Operation(**arguments)
