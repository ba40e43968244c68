"""Layers say how their tensors are computed, and what the sources of their links are."""

import pickle

import numpy as np
import pytest

from unrolled import Network, Operation, Relation, analyze
from unrolled.errors import InvalidArgumentError, InvalidNetworkError, UnknownNameError


@pytest.fixture
def net():
    return Network()


def operation(net, tensor):
    found = net.operation(tensor)
    assert net.operation(tensor.name) == found
    return found


def roles(net, tensor):
    return [link.role for link in net.links if link.target is tensor]


@pytest.mark.parametrize(
    ("layer", "expected", "expected_roles"),
    [
        (lambda net, x: net.conv(x, 4, 3), Operation("affine"), ["data", "kernel", "bias"]),
        (
            lambda net, x: net.depthwise_conv(x, 3, use_bias=False),
            Operation("affine"),
            ["data", "kernel"],
        ),
        (
            lambda net, x: net.conv_transpose(x, 4, 3, stride=2),
            Operation("affine"),
            ["data", "kernel", "bias"],
        ),
        (lambda net, x: net.dense(x, 4), Operation("affine"), ["data", "kernel", "bias"]),
        (lambda net, x: net.matmul(x, x), Operation("matmul"), ["data", "data"]),
        (lambda net, x: net.activation(x), Operation("function", "relu"), ["data"]),
        (
            lambda net, x: net.activation(x, "leaky_relu(0.2)"),
            Operation("function", "leaky_relu(0.2)"),
            ["data"],
        ),
        (lambda net, x: net.add(x, x), Operation("sum"), ["data", "data"]),
        (lambda net, x: net.subtract(x, x), Operation("sum", "subtract"), ["data", "data"]),
        (lambda net, x: net.multiply(x, x), Operation("product"), ["data", "data"]),
        (lambda net, x: net.divide(x, x), Operation("other", "divide"), ["data", "data"]),
        (lambda net, x: net.maximum(x, x), Operation("maximum"), ["data", "data"]),
        (lambda net, x: net.minimum(x, x), Operation("maximum", "minimum"), ["data", "data"]),
        (lambda net, x: net.max_pool(x, 2), Operation("max_pool"), ["data"]),
        (lambda net, x: net.average_pool(x, 2), Operation("average"), ["data"]),
        (lambda net, x: net.global_pool(x), Operation("average"), ["data"]),
        (
            lambda net, x: net.global_pool(x, kind="max", keep_dimensions=True),
            Operation("max_pool"),
            ["data"],
        ),
        (
            lambda net, x: net.batch_norm(x, epsilon=1e-3),
            Operation("batch_norm", axes=(0,), epsilon=1e-3),
            ["data", "scale", "shift", "mean", "variance"],
        ),
        (
            lambda net, x: net.layer_norm(x, axes=(1, 2), shift=False),
            Operation("layer_norm", axes=(1, 2)),
            ["data", "scale"],
        ),
        (lambda net, x: net.rms_norm(x), Operation("rms_norm", axes=(2,)), ["data", "scale"]),
        (
            lambda net, x: net.group_norm(x, 2, scale=False),
            Operation("group_norm", axes=(0,), groups=2),
            ["data", "shift"],
        ),
        (
            lambda net, x: net.instance_norm(x),
            Operation("group_norm", axes=(0,), groups=4),
            ["data", "scale", "shift"],
        ),
        (lambda net, x: net.softmax(x, axis=0), Operation("softmax", axes=(0,)), ["data"]),
        (lambda net, x: net.embedding(x, 9, 2), Operation("embedding"), ["data", "table"]),
        (lambda net, x: net.concat([x, x]), Operation("move"), ["data", "data"]),
        (lambda net, x: net.flatten(x), Operation("move"), ["data"]),
        (lambda net, x: net.transpose(x), Operation("move"), ["data"]),
        (lambda net, x: net.slice(x, 1, 2), Operation("move"), ["data"]),
        (lambda net, x: net.pad(x, [(0, 0), (1, 1), (1, 1)]), Operation("move"), ["data"]),
        (lambda net, x: net.upsample(x, 2), Operation("move"), ["data"]),
        (lambda net, x: net.select(x, 0, [0, 0]), Operation("move"), ["data"]),
    ],
)
def test_layer_says_what_it_computes(net, layer, expected, expected_roles):
    y = layer(net, net.input((4, 6, 6)))
    assert operation(net, y) == expected
    assert roles(net, y) == expected_roles


def test_grouped_transposed_convolution_regroups_what_it_computed(net):
    y = net.conv_transpose(net.input((4, 6, 6)), 4, 3, groups=2, name="up")
    assert operation(net, net["up/grouped"]) == Operation("affine")
    assert roles(net, net["up/grouped"]) == ["data", "kernel"]
    assert operation(net, y) == Operation("move")
    assert roles(net, y) == ["data", "bias"]


def test_attention_divides_scores_by_the_root_of_the_head_size(net):
    x = net.input((12, 16))
    net.attention(x, x, x, name="mix")
    assert net.operation("mix/scores") == Operation("matmul", divisor=4.0)
    assert net.operation("mix/weights") == Operation("softmax", axes=(1,))
    assert net.operation("mix") == Operation("matmul")


def test_inputs_and_parameters_are_not_computed(net):
    x = net.input((3,))
    w = net.parameter("w", (3,))
    assert net.operation(x) is None
    assert net.operation(w) is None
    assert net.operation(net.tensor("y", (3,))) == Operation("other")


def test_own_layers_say_it_too(net):
    x = net.input((3,))
    w = net.parameter("w", (3, 2))
    y = net.tensor("y", (2,), operation=Operation("affine"))
    net.link(x, y, [Relation.all(0, 0)])
    net.link(w, y, [Relation.each(0), Relation.same(1, 0)], role="kernel")
    assert operation(net, y) == Operation("affine")
    assert roles(net, y) == ["data", "kernel"]


def test_function_of_ones_own_is_kept_under_its_name(net):
    x = net.input((3,))

    def cube(x):
        return x**3

    first = net.activation(x, cube)
    again = net.activation(x, cube)
    other = net.activation(x, type("Cube", (), {"__name__": "cube", "__call__": np.abs})())
    assert first.name == "cube_1"
    assert net.operation(first) == net.operation(again) == Operation("function", "cube")
    assert net.operation(other) == Operation("function", "cube#2")
    assert net.functions["cube"] is cube
    with pytest.raises(InvalidArgumentError, match="name of a function"):
        net.activation(x, 3)
    with pytest.raises(InvalidArgumentError, match="maps the elements"):
        net.activation(x, np.sum)


def test_sharing_keeps_operations_roles_and_functions(net):
    x = net.input((4,))
    x = net.activation(net.dense(x, 4, name="a"), np.tanh)
    net.output(net.dense(x, 4, name="b"))
    shared = net.share()
    assert [shared.operation(t.name) for t in shared.tensors if t.role == "activation"] == [
        net.operation(t) for t in net.tensors if t.role == "activation"
    ]
    assert [link.role for link in shared.links] == [link.role for link in net.links]
    assert shared.functions == net.functions


def test_counts_do_not_depend_on_operations():
    def total(function, kind):
        net = Network()
        x = net.activation(net.conv(net.input((3, 8, 8)), 4, 3), function)
        net.output(net.dense(net.global_pool(x, kind=kind), 2))
        return analyze(net).total_contexts

    assert total("relu", "average") == total("gelu", "max")


def test_operation_is_a_value():
    one = Operation("layer_norm", axes=(0, 2), epsilon=1e-5)
    assert one == Operation("layer_norm", axes=(0, 2), epsilon=1e-5)
    assert hash(one) == hash(Operation("layer_norm", axes=(0, 2), epsilon=1e-5))
    assert one != Operation("layer_norm", axes=(0, 2))
    assert (one.kind, one.function, one.axes, one.divisor, one.groups, one.epsilon) == (
        "layer_norm",
        None,
        (0, 2),
        None,
        1,
        1e-5,
    )
    for example in (one, Operation("average", divisor=9.0), Operation("function", "elu(0.5)")):
        assert pickle.loads(pickle.dumps(example)) == example
        assert eval(repr(example)) == example
    with pytest.raises(AttributeError):
        one.kind = "softmax"


@pytest.mark.parametrize(
    ("attempt", "error", "match"),
    [
        (lambda net, x: Operation("relu"), InvalidArgumentError, "one of affine, function"),
        (
            lambda net, x: net.tensor("y", (3,), operation="affine"),
            InvalidArgumentError,
            "unrolled.Operation",
        ),
        (
            lambda net, x: net.tensor("y", (3,), operation=Operation("softmax", axes=(1,))),
            InvalidNetworkError,
            "axis 1 is out of range",
        ),
        (
            lambda net, x: net.link(x, net.tensor("y", (3,)), [Relation.same(0, 0)], role="weight"),
            InvalidArgumentError,
            "one of data, kernel",
        ),
        (
            lambda net, x: net.link(x, net.tensor("y", (3,)), [Relation.same(0, 0)], role=3),
            InvalidArgumentError,
            "the role of a link.*int 3",
        ),
        (lambda net, x: net.layer_norm(x, epsilon=-1), InvalidArgumentError, "epsilon"),
        (lambda net, x: net.global_pool(x, kind="sum"), InvalidArgumentError, "'average' or"),
        (lambda net, x: net.operation("nothing"), UnknownNameError, "nothing"),
        (lambda net, x: net.operation(Network().input(3)), InvalidNetworkError, "another network"),
    ],
)
def test_what_cannot_be_is_refused(net, attempt, error, match):
    with pytest.raises(error, match=match):
        attempt(net, net.input((3,)))


NO_NUMBERS = (-1, True, np.True_, float("nan"), float("inf"), "1", [1])


@pytest.mark.parametrize("name", ["divisor", "groups", "epsilon"])
def test_numbers_that_no_operation_has_are_refused_and_told(name):
    more = {"divisor": [0, -0.0], "groups": [0, 1.5, np.float64(2), 2**70], "epsilon": [-0.5]}
    for given in (*NO_NUMBERS, *more[name]):
        with pytest.raises(InvalidArgumentError, match=name.removesuffix("s")) as refusal:
            Operation("average", **{name: given})
        assert repr(given).lower() in str(refusal.value).lower()


@pytest.mark.parametrize("axes", [-1, 3, True, "0", {0}, {0: 1}, (-1,), (True,), (0.0,), (2**64,)])
def test_axes_that_are_none_are_refused_and_told(axes):
    with pytest.raises(InvalidArgumentError, match="axes of an operation") as refusal:
        Operation("softmax", axes=axes)
    assert repr(axes) in str(refusal.value)


@pytest.mark.parametrize("given", [3, None, b"sum", ["sum"]])
def test_kinds_and_functions_are_names(given):
    with pytest.raises(InvalidArgumentError, match="the kind of an operation must be one of"):
        Operation(given)
    if given is not None:
        with pytest.raises(InvalidArgumentError, match="the function of an operation must be"):
            Operation("function", given)


def test_numbers_of_numpy_are_numbers():
    given = Operation("group_norm", axes=np.array([0]), groups=np.int64(4), epsilon=np.float32(0.5))
    assert given == Operation("group_norm", axes=(0,), groups=4, epsilon=0.5)


def test_operations_that_are_equal_are_hashed_and_written_alike(net):
    zero, minus_zero = Operation("rms_norm", epsilon=0.0), Operation("rms_norm", epsilon=-0.0)
    assert zero == minus_zero
    assert hash(zero) == hash(minus_zero)

    def fingerprint(epsilon):
        net = Network()
        net.output(net.layer_norm(net.input((3,), name="x"), epsilon=epsilon, name="y"))
        return net.fingerprint()

    assert fingerprint(0.0) == fingerprint(-0.0)


def test_refused_operation_leaves_no_tensor(net):
    with pytest.raises(InvalidNetworkError):
        net.tensor("y", (3,), operation=Operation("softmax", axes=(7,)))
    assert "y" not in net
    assert net.tensor("y", (3,)).id == 0
