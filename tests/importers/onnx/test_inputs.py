"""Lengths that a file leaves open, by symbols and shapes, and values of integer inputs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

import onnx
from onnx import ModelProto, TensorProto, helper

import unrolled
from cases.onnx_models import model, node, subgraph
from command_line import invoke
from unrolled.errors import InvalidArgumentError, InvalidModelError, UnsupportedOperatorError
from unrolled.theory import effective_depth

TWO = model(
    "MatMul x,w -> a",
    "Add a,b -> y",
    inputs={"x": ("batch", "sequence", 3), "b": ("batch", "sequence", 4), "z": (1,)},
    weights={"w": (3, 4)},
)


def shapes_of(given: Any) -> dict[str, tuple[int, ...]]:
    network = unrolled.from_onnx(TWO, given)
    return {tensor.name: tensor.shape for tensor in network.inputs}


@pytest.mark.parametrize(
    "given",
    [
        {"batch": 2, "sequence": 5},
        {"x": (2, 5, 3)},
        {"b": (2, 5, 4)},
        {"x": (2, None, 3), "sequence": 5},
        {"x": (None, 5, None), "b": (2, None, 4)},
        {"batch": np.int64(2), "sequence": (5,)},
        {"batch": 2, "x": [2, 5, 3]},
    ],
)
def test_a_symbol_is_one_length_wherever_it_occurs(given: Any) -> None:
    assert shapes_of(given) == {"x": (2, 5, 3), "b": (2, 5, 4)}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"x": (2, 5, 3), "b": (2, 6, 4)}, "axis 1 of input 'b' is 'sequence', which is 5 already"),
        ({"batch": 1, "x": (2, 5, 3)}, "axis 0 of input 'x' is 'batch', which is 1 already"),
        ({"batch": 0, "sequence": 5}, "positive integers"),
        ({"sequense": 5}, "did you mean 'sequence'.*open lengths: batch, sequence"),
        ({"x": (2, 5)}, "has 3 axes"),
        ({"batch": 2.5}, "input 'batch'"),
    ],
)
def test_lengths_that_cannot_be(given: Any, message: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        shapes_of(given)
    assert re.search(message, str(caught.value))


def test_a_length_that_nothing_fixes() -> None:
    for given in ({"batch": 2}, {"x": (None, None, 3), "batch": 2}, None):
        with pytest.raises(InvalidModelError, match="nothing says how long its axis"):
            shapes_of(given)


def test_none_in_the_shape_of_an_only_input() -> None:
    one = model("MatMul x,w -> y", inputs={"x": ("n", 7, 2)}, weights={"w": (2, 4)})
    assert unrolled.from_onnx(one, (1, None, 2)).inputs[0].shape == (1, 7, 2)


def with_integers(*nodes: Any, **options: Any) -> ModelProto:
    """A model whose input `position` is an integer, and `flag` a truth value."""
    proto = model(*nodes, **options)
    for name, kind in (("position", TensorProto.INT64), ("flag", TensorProto.BOOL)):
        proto.graph.input.append(helper.make_tensor_value_info(name, kind, ["n"]))
    return proto


STEPS = with_integers(
    node("Reshape position,scalar -> trips"),
    node(
        "Loop trips,,x -> y",
        body=subgraph("MatMul s,w -> t", "Identity c -> d", inputs="i,c,s", outputs="d,t"),
    ),
    inputs={"x": (2, 3)},
    weights={"w": (3, 3)},
    constants={"scalar": np.zeros(0, dtype=np.int64)},
)


@pytest.mark.parametrize("value", [3, [3], np.array([3], dtype=np.uint8)])
def test_the_number_of_steps_is_known_by_a_value(value: Any) -> None:
    """Powers of a matrix: three uses of one weight, 3 ** k paths from each."""
    given = {"values": {"position": value}, "input_shapes": {"n": 1}}
    network = unrolled.from_onnx(STEPS, **given)
    written_out = model(
        "MatMul x,w -> a",
        "MatMul a,w -> b",
        "MatMul b,w -> y",
        inputs={"x": (2, 3)},
        weights={"w": (3, 3)},
    )
    expected = unrolled.count(unrolled.from_onnx(written_out))["w"].exact().tolist()
    assert unrolled.count(network)["w"].exact().tolist() == expected
    assert [tensor.name for tensor in network.inputs] == ["x"]
    assert network.provenance is not None
    assert network.provenance.skipped["position"] == "an input whose value was given"
    with pytest.raises(UnsupportedOperatorError, match="number of steps known only at run time"):
        unrolled.from_onnx(STEPS, {"n": 1})


def test_positions_and_conditions_by_values() -> None:
    branches = {
        "then_branch": subgraph("Relu x -> u", outputs="u"),
        "else_branch": subgraph("MatMul x,w -> v", outputs="v"),
    }
    proto = with_integers(
        "Gather x,position -> row",
        node("If flag -> z", **branches),
        "Add z,row -> y",
        inputs={"x": (3, 3)},
        weights={"w": (3, 3)},
    )
    read = unrolled.from_onnx(proto, {"n": 1}, values={"position": 1, "flag": False})
    assert (read.num_parameters, read.num_inputs) == (9, 9)
    graph = read.unroll()
    counts = unrolled.count(graph, towards="inputs")
    assert counts.total == 9 * (
        3 + 1
    )  # Every output has a row of x in its sum, and one element that is read.
    flagged = unrolled.from_onnx(proto, {"n": 1}, values={"position": 1, "flag": True})
    assert flagged.num_parameters == 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"positon": 1}, "did you mean 'position'"),
        ({"x": 1}, "input 'x' is of type float32; only integers"),
        ({"position": 1.5}, "expected up to"),
        ({"position": [1, 2]}, "has the shape|is 'n', which is 1 already"),
        ({"position": 1 << 70}, "position"),
        ({"flag": 3}, "bool cannot hold"),
        ([1], "must be a dict"),
    ],
)
def test_values_that_cannot_be(values: Any, message: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        unrolled.from_onnx(STEPS, {"n": 1}, values=values)
    assert re.search(message, str(caught.value))


def test_values_at_every_door() -> None:
    """What takes shapes of inputs takes values of inputs, and reads the same network."""
    given = {"inputs": {"n": 1}, "values": {"position": 3}}
    network = unrolled.from_onnx(STEPS, {"n": 1}, values={"position": 3}, operations=True)
    assert unrolled.propagate(STEPS, **given).jacobian == unrolled.propagate(network).jacobian
    assert unrolled.score(STEPS, **given) == unrolled.score(network)
    assert unrolled.features(STEPS, **given).values == unrolled.features(network).values
    found = effective_depth(STEPS, **given)
    assert found.mean == effective_depth(network).mean
    rows = unrolled.initialization_report(STEPS, **given).rows
    assert rows == unrolled.initialization_report(network).rows


def test_values_of_several_models() -> None:
    """Trips of a loop in one model; another that is no file of ONNX is compared as it is."""
    fixed = ModelProto()
    fixed.CopyFrom(STEPS)
    for value in fixed.graph.input:
        for length in value.type.tensor_type.shape.dim:
            if length.dim_param:
                length.dim_value = 1
    other = unrolled.models.mlp(4, depth=2, inputs=4)
    values = {"position": 3}
    for sort in ("spread_estimate", None):
        compared = unrolled.compare([fixed, other], sort=sort, values=values)
        counts = {one.num_parameters: one.total_contexts for one in compared}
        expected = unrolled.analyze(fixed, values=values)
        assert counts[9] == expected.total_contexts
    with pytest.raises(InvalidArgumentError, match="values: only for models of ONNX"):
        unrolled.compare([other], values=values)
    with pytest.raises(InvalidArgumentError, match="did you mean 'position'"):
        unrolled.compare([fixed], values={"positon": 3})


def typed(kind: Any, *nodes: Any, **parts: Any) -> ModelProto:
    """A model with an input "o" of some type."""
    proto = model(*nodes, **parts)
    proto.graph.input.append(helper.make_value_info("o", kind))
    return proto


def test_an_optional_input_is_there() -> None:
    tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, ["n", 3])
    nodes = [
        "OptionalHasElement o -> c",
        node(
            "If c -> x",
            then_branch=subgraph("OptionalGetElement o -> t", outputs="t"),
            else_branch=subgraph("Identity other -> u", outputs="u"),
        ),
        "MatMul x,w -> y",
    ]
    given = {"weights": {"w": (3, 4), "other": (2, 3)}}
    proto = typed(helper.make_optional_type_proto(tensor), *nodes, **given)
    network = unrolled.from_onnx(proto, {"n": 2})
    assert [(one.name, one.shape) for one in network.inputs] == [("o", (2, 3))]
    plain = model("MatMul o,w -> y", inputs={"o": (2, 3)}, weights={"w": (3, 4)})
    expected = unrolled.count(unrolled.from_onnx(plain))["w"].exact().tolist()
    assert unrolled.count(network)["w"].exact().tolist() == expected
    assert network.provenance is not None
    assert network.provenance.skipped["o"] == "an optional input, read as one that is there"
    with pytest.raises(InvalidModelError, match="nothing says how long"):
        unrolled.from_onnx(proto)
    sequence = helper.make_sequence_type_proto(tensor)
    for kind in (sequence, helper.make_optional_type_proto(sequence)):
        with pytest.raises(InvalidModelError, match=r"no tensor but of (sequence|optional) type"):
            unrolled.from_onnx(typed(kind, "SequenceAt o,w -> y", weights={"w": ()}))


def test_an_optional_integer_may_have_a_value() -> None:
    tensor = helper.make_tensor_type_proto(TensorProto.INT64, [])
    proto = typed(
        helper.make_optional_type_proto(tensor),
        "OptionalGetElement o -> n",
        node("Loop n,,w -> y", body=subgraph(
            "MatMul s,w -> t", "Identity c -> d", inputs="i,c,s", outputs="d,t")),
        weights={"w": (3, 3)},
    )  # fmt: skip
    network = unrolled.from_onnx(proto, values={"o": 2})
    expected = model("MatMul w,w -> a", "MatMul a,w -> y", weights={"w": (3, 3)})
    counts = unrolled.count(unrolled.from_onnx(expected))["w"].exact().tolist()
    assert unrolled.count(network)["w"].exact().tolist() == counts


def test_symbols_and_values_in_the_shell_and_in_analyze(tmp_path: Path) -> None:
    path = tmp_path / "steps.onnx"
    onnx.save(STEPS, path)
    found = unrolled.analyze(path, inputs={"n": 1}, values={"position": 3})
    assert found.num_inputs == 6
    shell = invoke("analyze", path, "--input", "n=1", "--value", "position=3", "--json")
    assert f'"num_inputs": {found.num_inputs}' in shell.output
    onnx.save(TWO, tmp_path / "two.onnx")
    given = ["--input", "x=2,?,3", "--input", "sequence=5"]
    assert invoke("analyze", tmp_path / "two.onnx", *given).exit_code == 0
    refused = invoke("analyze", tmp_path / "two.onnx", *given, "--value", "z")
    assert refused.exit_code == 2
    with pytest.raises(InvalidArgumentError, match="values: only for models of ONNX"):
        unrolled.analyze("resnet18", values={"x": 1})
