"""What the importer of ONNX says of how tensors are computed, with ``operations=True``.

Functions are recognised however a model writes them; no count depends on them.
"""

from __future__ import annotations

import numpy as np
import pytest

import unrolled
from unrolled.errors import NothingToCountError, UnknownOperationError

pytest.importorskip("onnx")

from cases.onnx_control import CONTROL
from cases.onnx_elementwise import ELEMENTWISE
from cases.onnx_layers import LAYERS
from cases.onnx_models import model, node
from cases.onnx_movement import MOVEMENT

CASES = ELEMENTWISE | MOVEMENT | LAYERS | CONTROL


def operations_of(net):
    """Kinds and functions of all tensors but inputs and parameters, in their order."""
    found = []
    for tensor in net.tensors:
        operation = net.operation(tensor)
        if operation is not None:
            found.append((operation.kind, operation.function))
    return found


def functions_behind(*nodes, opset=20, **constants):
    """The functions between a dense layer and the output of a model."""
    given = {name: np.float32(value) for name, value in constants.items()}
    read = model(
        "MatMul x,w -> h",
        *nodes,
        inputs={"x": (2, 3)},
        weights={"w": (3, 4)},
        constants=given,
        opset=opset,
    )
    (first, *found) = operations_of(unrolled.from_onnx(read, operations=True))
    assert first == ("affine", None)
    assert all(kind == "function" for kind, _ in found)
    return [name for _, name in found]


@pytest.mark.parametrize(
    ("nodes", "constants", "name"),
    [
        (["Relu h -> y"], {}, "relu"),
        (["Max h,zero -> y"], {"zero": 0}, "relu"),
        (["Clip h,zero -> y"], {"zero": 0}, "relu"),
        (["Clip h,zero,six -> y"], {"zero": 0, "six": 6}, "relu6"),
        (["Min h,six -> a", "Max a,zero -> y"], {"zero": 0, "six": 6}, "relu6"),
        (["Relu h -> a", "Min a,six -> y"], {"six": 6}, "relu6"),
        (["Sigmoid h -> s", "Mul h,s -> y"], {}, "silu"),
        (["Neg h -> n", "Exp n -> e", "Add e,one -> d", "Div h,d -> y"], {"one": 1}, "silu"),
        (["Mul h,k -> a", "Sigmoid a -> s", "Mul s,h -> y"], {"k": 1.702}, "quick_gelu"),
        (["Gelu h -> y"], {}, "gelu"),
        (
            ["Div h,r -> a", "Erf a -> e", "Add e,one -> p", "Mul h,p -> m", "Mul m,half -> y"],
            {"r": 2**0.5, "one": 1, "half": 0.5},
            "gelu",
        ),
        (
            ["Mul h,half -> a", "Mul h,r -> b", "Erf b -> e", "Add e,one -> p", "Mul a,p -> y"],
            {"r": 0.5**0.5, "one": 1, "half": 0.5},
            "gelu",
        ),
        ([node("Gelu h -> y", approximate="tanh")], {}, "gelu_tanh"),
        (
            [
                "Mul h,h -> a",
                "Mul a,h -> b",
                "Mul b,c -> d",
                "Add h,d -> e",
                "Mul e,r -> f",
                "Tanh f -> g",
                "Add g,one -> i",
                "Mul h,i -> j",
                "Mul j,half -> y",
            ],
            {"c": 0.044715, "r": (2 / np.pi) ** 0.5, "one": 1, "half": 0.5},
            "gelu_tanh",
        ),
        (["HardSwish h -> y"], {}, "hard_swish"),
        (
            ["Add h,three -> a", "Clip a,zero,six -> b", "Mul h,b -> c", "Div c,six -> y"],
            {"zero": 0, "three": 3, "six": 6},
            "hard_swish",
        ),
        ([node("HardSigmoid h -> s", alpha=1 / 6), "Mul h,s -> y"], {}, "hard_swish"),
        (["Mish h -> y"], {}, "mish"),
        (["Softplus h -> a", "Tanh a -> t", "Mul h,t -> y"], {}, "mish"),
        (["Elu h -> y"], {}, "elu"),
        (["Selu h -> y"], {}, "selu"),
        (["Softplus h -> y"], {}, "softplus"),
        (["Tanh h -> y"], {}, "tanh"),
        (["Sigmoid h -> y"], {}, "sigmoid"),
        ([node("LeakyRelu h -> y", alpha=0.2)], {}, "leaky_relu(0.2)"),
        ([node("Elu h -> y", alpha=0.5)], {}, "elu(0.5)"),
        (["Mul h,a -> b", "Max h,b -> y"], {"a": 0.1}, "leaky_relu(0.1)"),
    ],
)
def test_functions_have_names_however_they_are_written(nodes, constants, name):
    assert functions_behind(*nodes, **constants)[-1:] == [name]


def test_a_function_that_reads_a_tensor_twice_is_followed_once():
    read = model(
        *("MatMul x,w -> h", "Mul h,a -> b", "Max h,b -> y"),
        inputs={"x": (2, 3)},
        weights={"w": (3, 4)},
        constants={"a": np.float32(0.5)},
    )
    with_operations = unrolled.from_onnx(read, operations=True)
    assert unrolled.count(with_operations)["w"].exact()[0, 0] == 4  # Two rows, two edges each.
    p = unrolled.propagate(with_operations)
    assert p["y"].mean_square == pytest.approx(2 * (1 + 0.25) / 2)
    assert p.jacobian == pytest.approx(2 * 3 * 4 * (2 / 3) * (1 + 0.25) / 2)


def test_recurrent_layers_have_the_functions_that_they_name():
    def functions(recurrent):
        read = model(recurrent, inputs={"x": (2, 1, 3)}, weights={"w": (1, 8, 3), "r": (1, 8, 2)})
        net = unrolled.from_onnx(read, operations=True)
        assert unrolled.propagate(net).jacobian > 0
        return {name for kind, name in operations_of(net) if kind == "function"}

    assert functions(node("LSTM x,w,r -> y", hidden_size=2)) == {"sigmoid", "tanh"}
    given = node(
        "LSTM x,w,r -> y",
        hidden_size=2,
        activations=["HardSigmoid", "Relu", "LeakyRelu"],
        activation_alpha=[0.25, 0.3],
        activation_beta=[0.5],
    )
    assert functions(given) == {"hard_sigmoid(0.25, 0.5)", "relu", "leaky_relu(0.3)"}


def test_multiples_of_functions_are_the_function_and_a_factor():
    """As in networks without normalisers, which scale each activation to keep its variance."""
    names = functions_behind("Gelu h -> g", "Mul g,factor -> y", factor=1.7)
    assert names == ["gelu", "linear(1.7, 0)"]


def test_what_cancels_is_no_function():
    assert functions_behind("Neg h -> a", "Neg a -> y") == []
    assert functions_behind("Mul h,two -> a", "Div a,two -> y", two=2) == []


NORMALISERS = {
    "layer_norm": [
        node("ReduceMean h -> mean", axes=[-1]),
        "Sub h,mean -> centred",
        "Pow centred,two -> squares",
        node("ReduceMean squares -> variance", axes=[-1]),
        "Add variance,epsilon -> more",
        "Sqrt more -> deviation",
        "Div centred,deviation -> y",
    ],
    "rms_norm": [
        "Mul h,h -> squares",
        node("ReduceMean squares -> mean", axes=[-1]),
        "Add mean,epsilon -> more",
        "Sqrt more -> root",
        "Div h,root -> y",
    ],
    "softmax": [
        node("ReduceMax h -> most", axes=[-1]),
        "Sub h,most -> less",
        "Exp less -> e",
        "ReduceSum e,last -> total",
        "Div e,total -> y",
    ],
}
FUSED = {
    "layer_norm": [node("LayerNormalization h,scale,shift -> y")],
    "softmax": [node("Softmax h -> y", axis=-1)],
    "batch_norm": [node("BatchNormalization h,scale,shift,mean,variance -> y")],
}
STORED = dict.fromkeys(("scale", "shift", "mean", "variance"), (4,))


@pytest.mark.parametrize("kind", NORMALISERS)
def test_normalisers_that_are_taken_apart(kind):
    read = model(
        "MatMul x,w -> h",
        *NORMALISERS[kind],
        inputs={"x": (2, 3)},
        weights={"w": (3, 4)},
        constants={"two": np.float32(2), "epsilon": np.float32(1e-5), "last": np.array([-1])},
        opset=17,
        outputs="y",
    )
    found = operations_of(unrolled.from_onnx(read, operations=True))
    assert found[0] == ("affine", None)
    assert kind in [name for name, _ in found]
    assert {name for name, _ in found} <= {"affine", "move", kind}


@pytest.mark.parametrize("kind", FUSED)
def test_normalisers_of_one_operator_and_the_roles_of_their_parameters(kind):
    weights = {} if kind == "softmax" else STORED
    if kind == "layer_norm":
        weights = {name: STORED[name] for name in ("scale", "shift")}
    read = model(
        "MatMul x,w -> h",
        *FUSED[kind],
        inputs={"x": (2, 3)},
        weights={"w": (3, 4), **weights},
    )
    net = unrolled.from_onnx(read, operations=True)
    assert kind in [name for name, _ in operations_of(net)]
    roles = {link.source.name: link.role for link in net.links}
    assert roles["w"] == "kernel"
    assert {name: roles[name] for name in weights} == {name: name for name in weights}


def test_roles_of_convolutions_dense_layers_and_tables():
    read = model(
        "Conv x,kernel,bias -> h",
        node("Flatten h -> f"),
        node("Gemm f,matrix,more -> y"),
        inputs={"x": (1, 2, 4, 4)},
        weights={"kernel": (3, 2, 3, 3), "bias": (3,), "matrix": (12, 5), "more": (5,)},
    )
    net = unrolled.from_onnx(read, operations=True)
    roles = {link.source.name: link.role for link in net.links if link.source.role == "parameter"}
    assert roles == {"kernel": "kernel", "bias": "bias", "matrix": "kernel", "more": "bias"}
    assert {"affine"} <= {kind for kind, _ in operations_of(net)} <= {"affine", "move", "sum"}


def test_unknown_operations_are_all_named_at_once():
    read = model(
        "MatMul x,w -> h",
        "MatMul h,v -> b",
        "IsNaN b -> c",
        "Where c,b,h -> d",
        "Mod d,d -> y",
        inputs={"x": (2, 3)},
        weights={"w": (3, 4), "v": (4, 4)},
    )
    net = unrolled.from_onnx(read, operations=True)
    with pytest.raises(UnknownOperationError) as caught:
        unrolled.propagate(net)
    message = str(caught.value)
    assert "functions={name: callable}" in message
    unknown = []
    for tensor in net.tensors:
        operation = net.operation(tensor)
        if operation is not None and (operation.function or "").startswith("("):
            unknown.append(tensor.name)
    assert len(unknown) > 1
    assert f"{len(unknown)} unknown operations: " in message
    assert all(f"'{name}'" in message for name in unknown)


@pytest.mark.parametrize("semantics", ["value", "dependency"])
@pytest.mark.parametrize("name", CASES)
def test_counts_do_not_depend_on_operations(name, semantics):
    with_them, without = (
        counted(unrolled.from_onnx(CASES[name], semantics=semantics, operations=operations))
        for operations in (True, False)
    )
    assert with_them.keys() == without.keys()
    for parameter, expected in without.items():
        np.testing.assert_array_equal(with_them[parameter], expected, err_msg=parameter)


def counted(net):
    """The logarithms of all counts, parameter by parameter."""
    try:
        counts = unrolled.count(net)
    except NothingToCountError:
        return {}
    return {name: counts[name].log2() for name in counts}


def test_norm_of_groups_of_channels_leaves_positions_as_they_are():
    """PyTorch writes it as a norm of instances of a reshaped tensor, which is reshaped back."""
    read = model(
        "Conv x,w -> h",
        "Reshape h,groups -> g",
        "InstanceNormalization g,one,zero -> n",
        "Reshape n,whole -> m",
        "Mul m,scale -> s",
        "Add s,shift -> y",
        inputs={"x": (1, 3, 5, 5)},
        weights={"w": (6, 3, 1, 1), "scale": (6, 1, 1), "shift": (6, 1, 1)},
        constants={
            "groups": np.array([1, 2, -1]),
            "whole": np.array([1, 6, 5, 5]),
            "one": np.ones(2, np.float32),
            "zero": np.zeros(2, np.float32),
        },
    )
    net = unrolled.from_onnx(read, operations=True)
    kinds = [kind for kind, _ in operations_of(net)]
    assert kinds == ["affine", "group_norm", "product", "sum"]
    norm = next(
        one for one in net.tensors if getattr(net.operation(one), "kind", "") == "group_norm"
    )
    assert norm.shape == (1, 6, 5, 5)
    assert net.operation(norm).groups == 2
    assert unrolled.count(net).total == unrolled.count(unrolled.from_onnx(read)).total


def test_a_constant_array_multiplies_by_its_mean_square() -> None:
    deviation = np.array([0.2, 0.5, 2.0], dtype=np.float32).reshape(3, 1, 1)
    nodes = ["Div x,deviation -> b", "Conv b,w -> y"]
    given = {"weights": {"w": (4, 3, 3, 3)}, "inputs": {"x": (1, 3, 6, 6)}}
    divided = model(*nodes, constants={"deviation": deviation}, **given)
    plain = model("Conv x,w -> y", **given)
    # By default a signal enters behind the scaling that a model begins with; here it is in front.
    found, expected = (
        unrolled.propagate(unrolled.from_onnx(one, operations=True), input=unrolled.Signal())
        for one in (divided, plain)
    )
    factor = np.mean(1 / np.square(deviation))
    assert found["y"].mean_square == pytest.approx(expected["y"].mean_square * factor, rel=1e-6)
    notes = unrolled.from_onnx(divided, operations=True).provenance.skipped
    assert any("multiplies" in one for one in notes.values())
