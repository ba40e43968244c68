"""Whatever is wrong with an ONNX model is reported quickly by one clear error."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

from onnx import ModelProto, TensorProto, helper

import unrolled
from cases.onnx_models import model, node, subgraph
from unrolled.errors import (
    InvalidArgumentError,
    InvalidModelError,
    UnrolledError,
    UnsupportedOperatorError,
)
from unrolled.importers import onnx as door

DENSE = model("MatMul x,w -> y", inputs={"x": ("N", 3)}, weights={"w": (3, 4)})


def error_of(proto: Any, kind: type[UnrolledError] = InvalidModelError, **options: Any) -> str:
    """The message of the error that refuses a model, which must come within seconds."""
    start = time.monotonic()
    with pytest.raises(kind) as caught:
        unrolled.from_onnx(proto, **options)
    assert time.monotonic() - start < 10
    return str(caught.value)


# Shapes of inputs.


def test_a_length_that_nothing_fixes() -> None:
    message = error_of(DENSE)
    assert "input 'x' has shape (N, 3)" in message
    assert "axis 0 ('N')" in message
    assert "input_shapes={'x': (1, 3)}" in message


def test_a_length_without_a_name() -> None:
    proto = model("Relu x -> y", inputs={"x": (2, 0)})
    assert "axis 1 is; give input_shapes" in error_of(proto)


def test_an_input_without_a_shape() -> None:
    proto = model("Relu x -> y", inputs={"x": (2,)})
    proto.graph.input[0].type.tensor_type.ClearField("shape")
    assert "does not say the shape of input 'x'" in error_of(proto)
    assert unrolled.from_onnx(proto, (2, 5)).num_inputs == 10


def test_an_input_that_is_no_tensor() -> None:
    proto = model("Relu x -> y", inputs={"x": (2,)})
    sequence = helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, None)
    proto.graph.input[0].CopyFrom(sequence)
    assert "no tensor but of sequence type" in error_of(proto)


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({"z": (1, 3)}, "no input 'z'"),
        ({"x": (1, 3, 1)}, "has 2 axes, (N, 3), got the shape (1, 3, 1)"),
        ({"x": (0, 3)}, "positive integers"),
        ({"x": (-1, 3)}, "positive integers"),
        ({"x": (1.5, 3)}, "positive integers"),
        ({"x": "ab"}, "positive integers"),
        ({"x": 3}, "positive integers"),
        ((1, 3, 3), "has 2 axes"),
    ],
)
def test_shapes_that_do_not_fit(given: Any, part: str) -> None:
    assert part in error_of(DENSE, InvalidArgumentError, input_shapes=given)


def test_one_shape_for_two_inputs() -> None:
    proto = model("Add x,y -> z", inputs={"x": ("N",), "y": ("N",)})
    assert "dict from their names" in error_of(proto, InvalidArgumentError, input_shapes=(3,))


def test_shapes_that_the_weights_do_not_fit() -> None:
    assert "do not multiply" in error_of(DENSE, input_shapes={"x": (1, 5)})


# Operators without a rule.


def test_all_unsupported_operators_are_named_at_once() -> None:
    proto = model(
        node("NonZero x -> a", name="first"),
        node("GridSample x,x -> b", name="second"),
        node("my.domain::MyOp x -> c", name="third"),
        *[node(f"my.domain::MyOp x -> d{i}", name=f"more{i}") for i in range(4)],
        "Add a,b -> e",
        "Sum e,c,d0,d1,d2,d3 -> y",
        inputs={"x": (2, 3)},
    )
    with pytest.raises(UnsupportedOperatorError) as caught:
        unrolled.from_onnx(proto)
    message = str(caught.value)
    assert "no rule for 3 operators" in message
    assert "NonZero (node 'first')" in message
    assert "GridSample (node 'second')" in message
    assert "my.domain::MyOp (node 'third', 'more0', 'more1' and 2 more)" in message
    assert "@unrolled.importers.onnx.rule('NonZero')" in message
    assert caught.value.operators["my.domain::MyOp"] == ["third"] + [f"more{i}" for i in range(4)]


@pytest.fixture
def my_rule() -> Iterator[None]:
    yield
    door.importer.TABLE.remove("my.domain::MyOp", "MyOp")


def test_a_rule_of_ones_own(my_rule: None) -> None:
    @door.rule("my.domain::MyOp")
    def double(tracer: Any, node: Any) -> Any:
        x = node.input(0)
        return [tracer.add(x, x), tracer.combine(x, node.input(1))]

    proto = model("my.domain::MyOp x,w -> y,z", weights={"x": (2,), "w": (2,)}, outputs="y,z")
    counts = unrolled.count(unrolled.from_onnx(proto))
    assert {name: counts[name].exact().tolist() for name in counts} == {"x": [3, 3], "w": [1, 1]}
    assert "my.domain::MyOp" in door.operators()


def test_a_rule_of_ones_own_that_fails(my_rule: None) -> None:
    @door.rule("my.domain::MyOp")
    def fail(tracer: Any, node: Any) -> Any:
        return node.input(7)

    proto = model("my.domain::MyOp x -> y", inputs={"x": (2,)})
    assert "node 'y' (my.domain::MyOp): input 7 is missing" in error_of(proto)


@pytest.mark.parametrize("names", [(), ("",), (3,)])
def test_a_rule_without_a_name(names: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="names of operators"):
        door.rule(*names)


def test_an_output_that_no_rule_computes() -> None:
    pool = node("MaxPool x -> y,at", kernel_shape=[2])
    plain = model(pool, inputs={"x": (1, 1, 4)}, outputs="y")
    assert unrolled.from_onnx(plain).outputs[0].shape == (1, 1, 3)
    proto = model(pool, "Relu at -> z", inputs={"x": (1, 1, 4)})
    assert "only its first outputs" in error_of(proto, UnsupportedOperatorError)


@pytest.mark.parametrize(
    "proto",
    [
        model(
            node("If c -> y", then_branch=subgraph(outputs="x"), else_branch=subgraph(outputs="x")),
            inputs={"x": (2,), "c": (1,)},
        ),
        model(
            node("Loop n,,x -> y", body=subgraph("Relu s -> t", inputs="i,c,s", outputs="c,t")),
            inputs={"x": (2,), "n": (1,)},
        ),
    ],
)
def test_control_flow_by_what_is_known_at_run_time(proto: ModelProto) -> None:
    assert "known only at run time" in error_of(proto, UnsupportedOperatorError)


def test_an_unsupported_operator_in_a_body() -> None:
    body = subgraph("NonZero p -> q", "Add s,s -> t", inputs="s,p", outputs="t,q")
    proto = model(
        node("Scan x,w -> y,z", body=body, num_scan_inputs=1),
        weights={"x": (2,), "w": (3, 2)},
        outputs="y,z",
    )
    assert "no rule for 1 operator: NonZero" in error_of(proto, UnsupportedOperatorError)


# Graphs that are not valid.


def with_attribute_twice(proto: Any) -> Any:
    proto.attribute.append(helper.make_attribute("axis", 1))
    proto.attribute[1].name = "axis"
    return proto


def function(text: str = "Relu x -> y") -> Any:
    """A function F of my.domain."""
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_function("my.domain", "F", ["x"], ["y"], [node(text)], opsets)


def body_of_twins() -> Any:
    body = subgraph("Add x,w -> y", outputs="y", weights={"w": (2,)})
    body.initializer.append(body.initializer[0])
    return body


BROKEN: dict[str, tuple[ModelProto, str]] = {
    "a cycle": (model("Add x,b -> a", "Relu a -> b", inputs={"x": (2,)}), "reads 'b'"),
    "out of order": (model("Relu a -> y", "Relu x -> a", inputs={"x": (2,)}, outputs="y"), "'a'"),
    "a missing input": (model("Add x,nothing -> y", inputs={"x": (2,)}), "reads 'nothing'"),
    "a missing output": (model("Relu x -> y", inputs={"x": (2,)}, outputs="z"), "reads 'z'"),
    "no outputs": (model("Relu x -> y", inputs={"x": (2,)}, outputs=""), "no output"),
    "a name twice": (model("Relu x -> y", "Exp x -> y", inputs={"x": (2,)}), "two nodes compute"),
    "a name twice in one node": (model("Split x -> y,y", inputs={"x": (2,)}), "two nodes compute"),
    "a node that computes an input": (
        model("Relu x -> x", inputs={"x": (2,)}, outputs="x"),
        "'x' is an input, and a node computes it",
    ),
    "a node that computes a stored tensor": (
        model("Relu x -> w", inputs={"x": (2,)}, weights={"w": (2,)}),
        "'w' is a stored tensor, and a node computes it",
    ),
    "an attribute twice": (
        model(with_attribute_twice(node("Softmax x -> y", axis=0)), inputs={"x": (2,)}),
        "node 'y': two attributes are called 'axis'",
    ),
    "two functions of one name": (
        model(*["my.domain::F x -> y"], inputs={"x": (2,)}, functions=[function(), function()]),
        "two functions are called 'my.domain::F",
    ),
    "a node of a function that computes its input": (
        model("my.domain::F x -> y", inputs={"x": (2,)}, functions=[function("Relu x -> x")]),
        "'x' is an input, and a node computes it",
    ),
    "a stored tensor twice in a body": (
        model(
            node("If c -> y", then_branch=body_of_twins(), else_branch=body_of_twins()),
            inputs={"x": (2,)},
            constants={"c": np.array(True)},
        ),
        "two stored tensors have one name, 'w'",
    ),
    **{
        f"{operator} of another kernel_shape": (
            model(
                node(f"{operator} x,w -> y", kernel_shape=[5]),
                inputs={"x": (1, 2, 8)},
                weights={"w": (2, 2, 3)},
            ),
            "kernel_shape is (5), but the kernel has the shape (2, 2, 3)",
        )
        for operator in ("Conv", "ConvTranspose", "ConvInteger")
    },
    "too few inputs": (model("Add -> y", inputs={"x": (2,)}), "no input"),
    "an input left out": (model("MatMul x, -> y", inputs={"x": (2,)}), "input 1 is missing"),
    "shapes that do not broadcast": (
        model("Add x,w -> y", inputs={"x": (2,)}, weights={"w": (3,)}),
        "do not broadcast",
    ),
    "an axis out of range": (
        model(node("Softmax x -> y", axis=5), inputs={"x": (2,)}),
        "out of range",
    ),
    "an attribute of another type": (
        model(node("Softmax x -> y", axis="one"), inputs={"x": (2,)}),
        "attribute 'axis' is 'one', expected a int",
    ),
    "a function that calls itself": (
        model(
            "my.domain::F x -> y",
            inputs={"x": (2,)},
            functions=[
                helper.make_function(
                    "my.domain",
                    "F",
                    ["x"],
                    ["y"],
                    [node("my.domain::F x -> y")],
                    [helper.make_opsetid("my.domain", 1)],
                )
            ],
        ),
        "nested more than",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_graphs_that_are_broken(name: str) -> None:
    proto, part = BROKEN[name]
    assert part in error_of(proto)


def test_two_inputs_of_one_name() -> None:
    proto = model("Relu x -> y", inputs={"x": (2,)})
    proto.graph.input.append(proto.graph.input[0])
    assert "two inputs have one name" in error_of(proto)


@pytest.mark.parametrize("sparse", [False, True])
def test_two_stored_tensors_of_one_name(sparse: bool) -> None:
    """The first one was taken, whatever the second one is."""
    proto = model("MatMul x,w -> y", inputs={"x": (1, 3)}, weights={"w": (3, 4)})
    other = helper.make_tensor("w", TensorProto.FLOAT, [3, 2], [0.0] * 6)
    if sparse:
        values = helper.make_tensor("w", TensorProto.FLOAT, [1], [0.0])
        places = helper.make_tensor("places", TensorProto.INT64, [1], [0])
        proto.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [3, 2]))
    else:
        proto.graph.initializer.append(other)
    assert "two stored tensors have one name, 'w'" in error_of(proto)


def test_a_stored_tensor_may_be_the_default_of_an_input() -> None:
    proto = model("MatMul x,w -> y", inputs={"x": (1, 3), "w": (3, 4)}, weights={"w": (3, 4)})
    assert unrolled.from_onnx(proto).num_parameters == 12


def test_two_versions_of_a_domain() -> None:
    proto = model("Relu x -> y", inputs={"x": (2,)})
    proto.opset_import.append(helper.make_opsetid("my.domain", 1))
    proto.opset_import.append(helper.make_opsetid("my.domain", 2))
    assert "two versions are imported of the domain 'my.domain'" in error_of(proto)


def test_a_shape_that_the_file_states_twice() -> None:
    proto = model("Relu x -> a", "Exp a -> y", inputs={"x": (2,)})
    for length in (2, 3):
        stated = helper.make_tensor_value_info("a", TensorProto.FLOAT, [length])
        proto.graph.value_info.append(stated)
    assert "says that 'a' has shape (2,), and also (3,)" in error_of(proto)


def test_a_shape_that_the_file_states_differently() -> None:
    proto = model("Relu x -> y", inputs={"x": (2,)})
    stated = helper.make_tensor_value_info("y", TensorProto.FLOAT, [3])
    proto.graph.output[0].CopyFrom(stated)
    assert "comes out with shape (2,), but the file says (3,)" in error_of(proto)


# Files that are not ONNX models.


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"hello, this is no model\n", b"PK\x03\x04" * 100, bytes(range(256))]
)
def test_files_that_are_no_models(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    assert "model.onnx" in error_of(path)
    assert "bytes" in error_of(content)


def test_a_file_cut_off_anywhere_is_refused() -> None:
    content = model("Conv x,w -> y", inputs={"x": (1, 2, 5)}, weights={"w": (3, 2, 3)})
    data = content.SerializeToString()
    for length in range(0, len(data), 7):
        try:
            unrolled.from_onnx(data[:length])
        except UnrolledError:
            continue
        raise AssertionError(length)


def test_no_file_at_all(tmp_path: Path) -> None:
    assert "No such file" in error_of(tmp_path / "missing.onnx")
    assert "cannot be read" in error_of(tmp_path)
    assert "expected the path" in error_of(3, InvalidArgumentError)
    assert "expected the path" in error_of(None, InvalidArgumentError)


@pytest.mark.parametrize("field", ["op_type", "input", "name"])
def test_names_that_are_no_text(field: str) -> None:
    data = model(node("Relu xxxx -> y", name="nnnn"), inputs={"xxxx": (2,)}).SerializeToString()
    changed = data.replace(
        {"op_type": b"Relu", "input": b"xxxx", "name": b"nnnn"}[field], b"\xff" * 4
    )
    error_of(changed)


# Sizes that are absurd: bombs.


def bomb(text: str, value: Any, **attributes: Any) -> Callable[[], ModelProto]:
    """A model that makes a huge tensor of a small file."""
    return lambda: model(
        node(text, **attributes),
        "Mul y,w -> z",
        weights={"x": (2, 3), "w": (1,)},
        constants={"c": value, "one": np.array(1)},
    )


BOMBS = {
    "Expand": bomb("Expand x,c -> y", np.array([1 << 40, 2, 3])),
    "Expand far": bomb("Expand x,c -> y", np.array([1 << 62, 1 << 62, 2, 3])),
    "Tile": bomb("Tile x,c -> y", np.array([1 << 40, 1 << 40])),
    "Pad": bomb("Pad x,c -> y", np.array([1 << 62, 0, 0, 1 << 62])),
    "Pad reflect": bomb("Pad x,c -> y", np.array([0, 1 << 40, 0, 0]), mode="reflect"),
    "Resize": bomb("Resize x,,,c -> y", np.array([1 << 40, 1 << 40])),
    "Resize linear": bomb("Resize x,,,c -> y", np.array([1 << 40, 3]), mode="linear"),
    "Upsample": bomb("Upsample x -> y", np.array([1]), scales=[1e12, 1e12]),
    "Range": bomb("Range one,c,one -> y", np.array(1 << 50)),
    "OneHot": bomb("OneHot x,c,one -> y", np.array(1 << 62)),
    "Split": bomb("Split x -> y,v", np.array([1]), num_outputs=1 << 60),
    "Reshape": bomb("Reshape x,c -> y", np.array([1 << 40, 1 << 40])),
    "CenterCropPad": bomb("CenterCropPad x,c -> y", np.array([1 << 62, 1 << 62])),
    "Scan": bomb("Scan x -> y", np.array([1]), num_scan_inputs=1 << 60, body=subgraph()),
    "Col2Im": bomb("Col2Im x,c,c -> y", np.array([1 << 40, 1 << 40])),
    "Conv of long strides": bomb("Conv x,x -> y", np.array([1]), pads=[1 << 62] * 2),
    "Loop": lambda: model(
        node(
            "Loop n,,x -> y",
            body=subgraph("Identity c -> d", "Relu s -> t", inputs="i,c,s", outputs="d,t"),
        ),
        inputs={"x": (2,)},
        constants={"n": np.array(1 << 60)},
    ),
    "Loop for ever": lambda: model(
        node(
            "Loop ,,x -> y",
            body=subgraph("Identity c -> d", "Relu s -> t", inputs="i,c,s", outputs="d,t"),
        ),
        inputs={"x": (2,)},
    ),
    "ConstantOfShape": bomb("ConstantOfShape c -> y", np.array([1 << 62, 1 << 62])),
    "Attention": lambda: model(
        "Attention q,k,v -> y",
        weights={"k": (1, 2, 4, 2), "v": (1, 2, 4, 3)},
        inputs={"q": (1, 1 << 31, 3, 2)},
        opset=23,
    ),
    "RNN": lambda: model(
        node("RNN x,w,r -> y", hidden_size=1),
        inputs={"x": (1 << 40, 1, 1)},
        weights={"w": (1, 1, 1), "r": (1, 1, 1)},
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_sizes_that_no_memory_holds_are_refused_quickly(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unrolled.importers.onnx.graph.MOST_REPEATED", 2000)
    proto = BOMBS[name]()
    start = time.monotonic()
    try:
        network = unrolled.from_onnx(proto)
        unrolled.count(network, memory_limit=1 << 28)
    except UnrolledError:
        pass
    assert time.monotonic() - start < 10


def test_weights_of_absurd_shapes() -> None:
    proto = model("MatMul x,w -> y", inputs={"x": (1, 3)}, weights={"w": (3, 4)})
    for dims in ([1 << 40, 1 << 40], [1 << 62, 1 << 62], [-1, 4], [3, 1 << 62]):
        del proto.graph.initializer[0].dims[:]
        proto.graph.initializer[0].dims.extend(dims)
        error_of(proto, UnrolledError)


def test_more_nodes_than_any_model_has() -> None:
    proto = model("Relu x -> y", inputs={"x": (1,)})
    one = node("Relu x -> y")
    for at in range(200_001):
        one.output[0] = f"y{at}"
        proto.graph.node.append(one)
    assert "more than 200,000 nodes" in error_of(proto)


def test_bodies_that_multiply(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three loops within one another, of a thousand steps each."""
    monkeypatch.setattr("unrolled.importers.onnx.graph.MOST_REPEATED", 2000)
    body = subgraph("Identity c -> d", "Relu s -> t", inputs="i,c,s", outputs="d,t")
    for _ in range(2):
        inner = node("Loop n,,s -> t", body=body)
        body = subgraph("Identity c -> d", inner, inputs="i,c,s", outputs="d,t")
    proto = model(
        node("Loop n,,x -> y", body=body), inputs={"x": (2,)}, constants={"n": np.array(1000)}
    )
    assert "once loops are unrolled" in error_of(proto)


def test_deep_nesting_is_refused_without_overflow() -> None:
    body = subgraph("Mul x,w -> t", outputs="t")
    for _ in range(25):
        other = subgraph(outputs="x")
        body = subgraph(node("If c -> t", then_branch=body, else_branch=other), outputs="t")
    constants = {"c": np.array(True)}
    proto = model(*body.node, inputs={"x": (2,)}, weights={"w": (2,)}, constants=constants)
    assert unrolled.from_onnx(proto).num_parameters == 2


def test_all_operators_without_a_rule_are_named_at_once() -> None:
    """Also those behind the first, in bodies, and where a shape would be an error meanwhile."""
    body = subgraph("my.domain::C b -> e", outputs="e")
    proto = model(
        "my.domain::A x -> a",
        "Relu a -> b",
        "my.domain::B b -> c",
        node("If d -> e", then_branch=body, else_branch=body),
        "my.domain::D a -> d",
        "Reshape x,shape -> f",
        "my.domain::E f -> g",
        "Add c,e -> h",
        "Add g,h -> y",
        inputs={"x": (2,)},
        constants={"shape": np.array([7])},
    )
    nodes = list(proto.graph.node)
    del proto.graph.node[:]
    proto.graph.node.extend([nodes[at] for at in (0, 1, 2, 4, 3, 5, 6, 7, 8)])
    with pytest.raises(UnsupportedOperatorError) as caught:
        unrolled.from_onnx(proto)
    assert set(caught.value.operators) == {f"my.domain::{letter}" for letter in "ABCDE"}
    assert "no rule for 5 operators" in str(caught.value)


def test_an_index_at_run_time_is_called_that() -> None:
    proto = model("Slice x,i,i -> y", inputs={"x": (3, 2), "i": (3, 2)})
    message = error_of(proto, UnsupportedOperatorError)
    assert "known only at run time" in message
    assert "static shapes" not in message


INTEGERS = {
    "two": np.array([0, 1]),
    "beyond": np.array([[0, 1, 2], [0, 1, 3]]),
    "before": np.array([[0, 1, -5], [0, 1, 1]]),
    "rows": np.array([[0], [2]]),
    "inside": np.array([[0], [1]]),
}

IN_THEIR_OWN_WORDS: dict[str, tuple[Any, str]] = {
    "one operand of two": (node("Sub x -> y"), "takes 2 inputs, got 1"),
    "three operands of two": (node("Div x,x,x -> y"), "takes 2 inputs, got 3"),
    "a base alone": (node("Pow x -> y"), "takes 2 inputs, got 1"),
    "an axis that is a list": (node("CumSum x,two -> y"), "one integer, got 0, 1"),
    "an axis that is missing": (node("CumSum x -> y"), "input 1 is missing"),
    "a diagonal that is a list": (node("Trilu x,two -> y"), "one integer, got 0, 1"),
    "elements beyond the axis": (
        node("GatherElements x,beyond -> y", axis=1),
        "from 0 to 3 are out of range for axis 1",
    ),
    "updates beyond the axis": (
        node("ScatterElements x,beyond,x -> y", axis=1),
        "from 0 to 3 are out of range for axis 1",
    ),
    "updates before the axis": (
        node("ScatterElements x,before,x -> y", axis=1),
        "from -5 to 1 are out of range for axis 1",
    ),
    "rows beyond the table": (
        node("GatherND x,rows -> y"),
        "from 0 to 2 are out of range for axis 0",
    ),
    "updates of rows beyond": (
        node("ScatterND x,rows,x -> y"),
        "from 0 to 2 are out of range for axis 0",
    ),
    "updates that do not fit": (
        node("ScatterND x,inside,half -> y"),
        r"indices of shape \(2, 1\) and updates of shape \(2,\) do not fit",
    ),
    "blocks for other axes": (
        node("Col2Im x,two,rows -> y", strides=[1]),
        "for 2, 2, 1, 2 axes",
    ),
}


@pytest.mark.parametrize("name", IN_THEIR_OWN_WORDS)
def test_what_does_not_fit_is_refused_in_its_own_words(name: str) -> None:
    made, message = IN_THEIR_OWN_WORDS[name]
    proto = model(made, inputs={"x": (2, 3), "half": (2,)}, constants=INTEGERS)
    with pytest.raises(InvalidModelError, match=message):
        unrolled.from_onnx(proto)
