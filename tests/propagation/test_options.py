"""What `propagate` takes: weights and functions of any kind, inputs that one has, at every door."""

from __future__ import annotations

import math

import numpy as np
import pytest

import unrolled
from unrolled import Network, Signal, propagate
from unrolled._support.arguments import checked_choice
from unrolled.errors import InvalidArgumentError, UnknownNameError, UnknownOperationError

RANDOM = np.random.default_rng(4)
FIRST = RANDOM.normal(0.1, 0.5, (6, 8)).astype(np.float32)
BIAS = RANDOM.normal(0.0, 0.3, 8).astype(np.float32)
BIAS -= BIAS.mean()
SECOND = RANDOM.uniform(-0.7, 0.7, (8, 3)).astype(np.float32)
NAMES = {"first", "bias", "second"}


def built() -> Network:
    net = Network()
    x = net.input((6,))
    h = net.tensor("h", (8,), operation=unrolled.Operation("affine"))
    net.link(x, h, [unrolled.Relation.all(0, 0)])
    kernel = net.parameter("first", (6, 8))
    net.link(kernel, h, [unrolled.Relation.each(0), unrolled.Relation.same(1, 0)], role="kernel")
    bias = net.parameter("bias", (8,))
    net.link(bias, h, [unrolled.Relation.same(0, 0)], role="bias")
    a = net.activation(h, "relu")
    y = net.dense(a, 3, use_bias=False, kernel=net.parameter("second", (8, 3)))
    net.output(y)
    for name, array in (("first", FIRST), ("bias", BIAS), ("second", SECOND)):
        net.record_moments(name, float(array.mean()), float(np.mean(np.square(array, dtype=float))))
    return net


def from_onnx() -> Network:
    onnx = pytest.importorskip("onnx")
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "first", "bias"], ["h"]),
            helper.make_node("Relu", ["h"], ["a"]),
            helper.make_node("MatMul", ["a", "second"], ["y"]),
        ],
        "graph",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 6])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 3])],
        [
            numpy_helper.from_array(array, name)
            for name, array in (("first", FIRST), ("bias", BIAS), ("second", SECOND))
        ],
    )
    opset = [helper.make_opsetid("", 20)]
    return unrolled.from_onnx(helper.make_model(graph, opset_imports=opset), operations=True)


def from_jax() -> Network:
    jax = pytest.importorskip("jax")

    def function(params, x):
        return jax.nn.relu(x @ params["first"] + params["bias"]) @ params["second"]

    params = {"first": FIRST, "bias": BIAS, "second": SECOND}
    return unrolled.from_jax(function, params, np.zeros((1, 6), np.float32), operations=True)


def from_keras() -> Network:
    from oracles.keras_forms import keras

    x = keras.Input((6,))
    layers = [
        keras.layers.Dense(8, activation="relu", name="first"),
        keras.layers.Dense(3, use_bias=False, name="second"),
    ]
    model = keras.Model(x, layers[1](layers[0](x)))
    model.set_weights([FIRST, BIAS, SECOND])
    return unrolled.from_keras(model, operations=True)


def from_torch() -> Network:
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(
        torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3, bias=False)
    )
    with torch.no_grad():
        for parameter, array in zip(model.parameters(), (FIRST.T, BIAS, SECOND.T), strict=True):
            parameter.copy_(torch.tensor(array))
    return unrolled.from_torch(model, torch.zeros(1, 6), operations=True)


DOORS = [
    built,
    from_onnx,
    from_jax,
    pytest.param(
        from_keras, marks=pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
    ),
    from_torch,
]


@pytest.mark.parametrize("door", DOORS)
def test_stored_weights_and_measured_inputs_at_every_door(door) -> None:
    net = door()
    samples = np.random.default_rng(5).normal(0.5, 1.5, (40, 6))
    signal = Signal.from_array(samples)
    p = propagate(net, "stored", input=signal)
    square = np.mean(samples**2)
    v, b, w = (float(np.mean(np.square(one, dtype=float))) for one in (FIRST, BIAS, SECOND))
    hidden = 6 * v * square + b
    kernels = p.kernels
    assert p[kernels[0].target].mean_square == pytest.approx(hidden, rel=1e-6) or p[
        kernels[0].target
    ].mean_square == pytest.approx(6 * v * square, rel=1e-6)
    assert p.tensors[-1].mean_square == pytest.approx(8 * w * hidden / 2, rel=1e-6)
    assert p.jacobian == pytest.approx(3 * 8 * w / 2 * 6 * v, rel=1e-6)
    # Of all pairs of samples, mean products of elements; biases are the same for both.
    total = samples.sum(0)
    products = (total @ total - np.sum(samples**2)) / (40 * 39 * 6)
    correlation = (6 * v * products + b) / hidden
    angle = np.arccos(correlation)
    joint = (np.sin(angle) + (np.pi - angle) * correlation) / np.pi
    assert p.tensors[-1].correlation == pytest.approx(joint, rel=1e-6)


@pytest.mark.parametrize("door", DOORS)
def test_weights_by_name_and_by_function_at_every_door(door) -> None:
    net = door()
    kernels = [one.name for one in propagate(net).kernels]
    by_name = propagate(net, dict(zip(kernels, (0.3, 0.2), strict=True)), biases=0.1)
    # Two samples without anything in common.
    expected = 8 * 0.2 * (6 * 0.3 + 0.1) / 2
    assert by_name.tensors[-1].mean_square == pytest.approx(expected)
    seen = []

    def variance(use):
        seen.append((use.name, use.role, use.fan_in, use.fan_out, use.size))
        return {6: 0.3, 8: 0.2}[use.fan_in]

    by_function = propagate(net, variance, biases=0.1)
    assert by_function.tensors[-1].mean_square == pytest.approx(expected)
    fans = [("kernel", 6, 8, 48), ("kernel", 8, 3, 24)]
    assert sorted(seen) == sorted((name, *fan) for name, fan in zip(kernels, fans, strict=True))
    arrays = propagate(net, dict(zip(kernels, (FIRST, SECOND), strict=True)), biases=0.0)
    assert arrays[kernels[0]].mean_square == pytest.approx(np.mean(FIRST**2), rel=1e-5)


def test_stored_weights_that_nobody_knows() -> None:
    net = Network()
    net.output(net.dense(net.input((4,)), 2))
    with pytest.raises(InvalidArgumentError, match=r"nothing is known of the values of 'dense_1"):
        propagate(net, "stored")
    with pytest.raises(UnknownNameError, match="did you mean 'dense_1"):
        propagate(net, {"dense1": 1.0})
    with pytest.raises(InvalidArgumentError, match="weights"):
        propagate(net, lambda use: -1.0)


def test_functions_of_ones_own() -> None:
    """A function that one wrote is the same as the one that has its name."""
    width = 20

    def chain(function):
        net = Network()
        x = net.input((width,))
        for _ in range(3):
            x = net.activation(net.dense(x, width, use_bias=False), function)
        net.output(x)
        return net

    signal = Signal(correlation=0.4)
    named = propagate(chain("silu"), 2.0, input=signal)

    def silu(x):
        return x / (1 + np.exp(-x))

    for p in (
        propagate(chain("mine"), 2.0, input=signal, functions={"mine": silu}),
        propagate(chain(silu), 2.0, input=signal),
    ):
        assert p.jacobian == pytest.approx(named.jacobian, rel=1e-9)
        last, right = p.tensors[-1], named.tensors[-1]
        assert last.mean_square == pytest.approx(right.mean_square, rel=1e-9)
        assert last.correlation == pytest.approx(right.correlation, rel=1e-9)


def test_kernels_that_are_computed_from_parameters() -> None:
    """A part of a larger parameter has its variance, and adds to its gradient."""
    net = Network()
    x = net.input((6,))
    both = net.parameter("both", (6, 10))
    parts = [net.slice(both, 1, start, start + 5) for start in (0, 5)]
    for part in parts:
        target = net.tensor(f"of {part.name}", (5,), operation=unrolled.Operation("affine"))
        net.link(x, target, [unrolled.Relation.all(0, 0)])
        net.link(
            part, target, [unrolled.Relation.each(0), unrolled.Relation.same(1, 0)], role="kernel"
        )
        net.output(target)
    p = propagate(net, "lecun")
    assert [tensor.mean_square for tensor in p.tensors[1:]] == pytest.approx([1.0, 1.0])
    assert p["both"].gradient == pytest.approx(60)
    assert p["both"].fan_in == 6
    assert p.notes == ()

    net = Network()
    x = net.input((6,))
    kernel = net.tensor("made", (6, 5), operation=unrolled.Operation("affine"))
    net.link(x, kernel, [unrolled.Relation.same(0, 0), unrolled.Relation.sum(1)])
    target = net.tensor("y", (5,), operation=unrolled.Operation("affine"))
    net.link(x, target, [unrolled.Relation.all(0, 0)])
    net.link(
        kernel, target, [unrolled.Relation.each(0), unrolled.Relation.same(1, 0)], role="kernel"
    )
    net.output(target)
    with pytest.raises(UnknownOperationError, match="its kernel is computed from an input"):
        propagate(net)


def mean_square_of_cross_entropy(classes: int) -> float:
    """Of its derivatives by equal logits, over all logits and labels."""
    differences = np.full((classes, classes), 1 / classes) - np.eye(classes)
    return float(np.mean(differences**2))


@pytest.mark.parametrize("softmax", [True, False])
def test_classes_of_a_cross_entropy_lie_where_the_softmax_is_taken(softmax: bool) -> None:
    """Behind a convolution the first axis has the classes, behind a dense layer the last."""
    net = Network()
    y = net.conv(net.input((3, 4, 5)), 6, 1, name="y")
    net.output(net.softmax(y, axis=0) if softmax else y)
    gradient = propagate(net, loss="cross_entropy")["y"].gradient
    assert gradient == pytest.approx(mean_square_of_cross_entropy(6))
    net = Network()
    y = net.dense(net.input((7, 5)), 6, name="y")
    net.output(net.softmax(y) if softmax else y)
    gradient = propagate(net, loss="cross_entropy")["y"].gradient
    assert gradient == pytest.approx(mean_square_of_cross_entropy(6))
    if softmax:
        net = Network()
        net.output(net.softmax(net.dense(net.input((7, 5)), 6, name="y"), axis=0))
        gradient = propagate(net, loss="cross_entropy")["y"].gradient
        assert gradient == pytest.approx(mean_square_of_cross_entropy(7))


def test_outputs_of_a_cross_entropy_each_have_their_own_classes() -> None:
    net = Network()
    x = net.input((5,))
    for number in (2, 9):
        net.output(net.softmax(net.dense(x, number, name=f"y{number}")))
    p = propagate(net, loss="cross_entropy")
    for number in (2, 9):
        assert p[f"y{number}"].gradient == pytest.approx(mean_square_of_cross_entropy(number))


class Broken:
    def __float__(self) -> float:
        raise RuntimeError("broken")


def small() -> Network:
    net = Network()
    net.output(net.dense(net.activation(net.dense(net.input((8,)), 8, name="a")), 8, name="b"))
    return net


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        -1,
        None,
        "a",
        [],
        [math.nan],
        ["a", "b"],
        [[1], [1, 2]],
        np.array([True, False]),
        1j,
        np.array([1j]),
        Broken(),
        [Broken()],
        np.full(8, 1e200),
        np.full(8, 1e-200),
        np.ma.array([1.0, 2.0], mask=[False, True]),
        10**400,
    ],
    ids=str,
)
@pytest.mark.parametrize("how", ["mapping", "function", "overrides"])
def test_values_that_no_parameter_has(how: str, value: object) -> None:
    options: dict[str, object] = {
        "mapping": {"weights": {"a": value}},
        "function": {"weights": lambda use: value},
        "overrides": {"overrides": {"a/kernel": value}},
    }[how]
    with pytest.raises(InvalidArgumentError, match=r"(weights|overrides)(\['a/kernel'\]|\(\))"):
        propagate(small(), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": None}, "weights must be 'he', .* or a function of a layer, got NoneType None"),
        ({"weights": b"he"}, "weights must be 'he', .*, got bytes b'he'"),
        ({"weights": "hee"}, "weights must be 'he', .*, got 'hee'; did you mean 'he'"),
        ({"weights": lambda: 1.0}, r"weights\(\) failed for layer 'a' with TypeError"),
        ({"weights": lambda use: use.nothing}, r"weights\(\) failed for layer 'a' with Attribute"),
        ({"gain": 1e300}, "a variance of 0.25 times the square of the gain 1e\\+300"),
        ({"gain": 1e-300}, "a variance of 0.25 times the square of the gain 1e-300"),
        ({"gain": math.nan}, "gain must be a number of at least 0"),
        ({"biases": -1}, "biases must be a variance of at least 0"),
        ({"overrides": [1]}, "overrides must be a mapping"),
        ({"input": np.ones((3, 8))}, "input must be a Signal, or a mapping"),
        ({"input": {"input": 1}}, "must be a Signal, got int 1"),
        ({"batch_norm": "train"}, "batch_norm must be 'batch' or 'stored', got 'train'"),
        ({"loss": "cross-entropy"}, "loss must be 'cross_entropy', got 'cross-entropy'; did you"),
        ({"exact": 1}, "exact must be True, False or None, got int 1"),
        ({"functions": {1: np.tanh}}, "functions must be a mapping from names to functions"),
        ({"functions": {"relu": lambda x: x * 1j}}, "it returned complex numbers"),
        ({"functions": {"relu": lambda x: None}}, "must return an array of the shape"),
    ],
    ids=str,
)
def test_options_that_cannot_be_say_what_came_and_what_was_expected(
    options: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        propagate(small(), **options)


@pytest.mark.parametrize(
    "arguments",
    [
        (math.nan,),
        (math.inf,),
        (0,),
        (-1,),
        ("1",),
        (True,),
        (1, math.nan),
        (1, 1.1),
        (1, None),
        (1, 0, -1.1),
        (1, 0, 0, 2),
        # Equal in two samples, and yet only one of them is like its neighbour.
        (1, 1, 0, 1),
        (1, -1, 1, 1),
        (1, -0.5, -0.5, -0.5),
    ],
)
def test_signals_that_cannot_be(arguments: tuple[object, ...]) -> None:
    with pytest.raises(InvalidArgumentError, match=r"must be|no signal has correlation"):
        Signal(*arguments)


def test_correlations_that_numbers_have_are_a_signal() -> None:
    """Whatever is measured can be given again, unlike samples among them."""
    random = np.random.default_rng(6)
    for shape in ((2, 1, 2), (2, 3), (3, 2, 5), (40, 3, 4, 4)):
        for mean in (0.0, 1.0):
            samples = random.normal(mean, 1.0, shape)
            assert Signal.from_array(samples).mean_square == pytest.approx(np.mean(samples**2))
    assert Signal.from_array([[1.0, -2.0], [-1.0, 2.0]]) == Signal(2.5, -1.0)
    # Elements that are as unlike at two positions as in two samples are alike in both.
    assert Signal(correlation=-0.5).law == (1.0, -0.5, -0.5, 0.25)
    assert Signal(correlation=0.5).law == (1.0, 0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    "samples",
    [
        [],
        [[]],
        np.zeros((0, 3)),
        np.zeros((2, 0)),
        np.ones((1, 3)),
        np.ones(3),
        np.zeros((2, 3)),
        np.array([["a", "b"], ["c", "d"]]),
        np.array([[None, 1], [1, 2]], dtype=object),
        np.full((2, 3), 1e200),
        np.full((2, 3), 1e-200),
        np.full((2, 3), math.nan),
        [[1], [1, 2]],
        None,
        5,
        np.ones((2, 3), dtype=bool),
        np.ones((2, 3), dtype=complex),
        np.ma.array([[1.0, 2.0], [3.0, 4.0]], mask=[[0, 1], [0, 0]]),
    ],
    ids=str,
)
def test_samples_that_cannot_be(samples: object) -> None:
    with pytest.raises(InvalidArgumentError, match="samples must"):
        Signal.from_array(samples)


def test_samples_of_integers_and_objects_are_numbers() -> None:
    expected = Signal.from_array(np.array([[1.0, 2.0], [3.0, 5.0]]))
    assert Signal.from_array(np.array([[1, 2], [3, 5]])) == expected
    assert Signal.from_array(np.array([[1, 2.0], [3, 5]], dtype=object)) == expected


def test_means_and_variances_beyond_floats() -> None:
    """The square of a mean of 1e200 is no float, its difference from the mean square may be one."""
    net = Network()
    x = net.input((8,))
    for number in range(8):
        x = net.activation(net.dense(x, 8, use_bias=False, name=f"d{number}"), name=f"a{number}")
    net.output(x)
    p = propagate(net, 1e100)
    last, first = p["a7"], p["a0"]
    assert first.variance == pytest.approx(1e100 * (0.5 - 0.5 / math.pi))
    assert last.mean_square == last.variance == math.inf
    assert last.log2_variance - last.log2_mean_square == pytest.approx(math.log2(1 - 1 / math.pi))


def test_choices_are_listed_as_one_would_say_them() -> None:
    for choices, listed in (
        (("a",), "'a'"),
        (("a", "b"), "'a' or 'b'"),
        (("a", "b", "c"), "one of 'a', 'b', 'c'"),
    ):
        for value, shown in (("x", "'x'"), (3, "int 3"), (None, "NoneType None")):
            with pytest.raises(InvalidArgumentError) as caught:
                checked_choice("what", value, choices)
            assert str(caught.value) == f"what must be {listed}, got {shown}"
    with pytest.raises(InvalidArgumentError, match="got 'batches'; did you mean 'batch'"):
        checked_choice("batch_norm", "batches", ("batch", "stored"))
