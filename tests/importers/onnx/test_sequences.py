"""Sequences, optional values and Fourier transforms, each as what it comes to."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

from onnx import ModelProto, numpy_helper

import unrolled
from cases.onnx_models import model, node, subgraph
from oracles.onnx_checking import assert_counts
from unrolled.errors import InvalidModelError, UnsupportedOperatorError

PAIR = {"a": (2, 3), "b": (2, 3)}
AT = {"zero": np.array(0), "one": np.array(1), "last": np.array(-1)}

CASES: dict[str, tuple[ModelProto, ModelProto]] = {
    "built, changed and joined": (
        model(
            "SequenceConstruct a,b -> s",
            "SequenceInsert s,a,zero -> t",
            "SequenceErase t,last -> u",
            node("ConcatFromSequence u -> y", axis=1),
            weights=PAIR,
            constants=AT,
        ),
        model(node("Concat a,a -> y", axis=1), weights=PAIR),
    ),
    "stacked": (
        model(
            "SequenceEmpty -> e",
            "SequenceInsert e,a -> s",
            "SequenceInsert s,b -> t",
            node("ConcatFromSequence t -> y", axis=0, new_axis=1),
            weights=PAIR,
        ),
        model(
            "Unsqueeze a,zero -> a1",
            "Unsqueeze b,zero -> b1",
            node("Concat a1,b1 -> y", axis=0),
            weights=PAIR,
            constants={"zero": np.array([0])},
        ),
    ),
    "split": (
        model(
            node("SplitToSequence a,two -> s", axis=1),
            "SequenceAt s,one -> p",
            "SequenceAt s,zero -> q",
            "Mul p,q -> y",
            weights=PAIR,
            constants={**AT, "two": np.array(2)},
        ),
        model(
            node("Split a,parts -> q,p", axis=1),
            "Mul p,q -> y",
            weights=PAIR,
            constants={"parts": np.array([2, 1])},
        ),
    ),
    "split into rows": (
        model(
            node("SplitToSequence a -> s", axis=0, keepdims=0),
            "SequenceAt s,last -> p",
            "Mul p,b -> y",
            weights=PAIR,
            constants=AT,
        ),
        model("Gather a,one -> p", "Mul p,b -> y", weights=PAIR, constants=AT),
    ),
    "mapped": (
        model(
            "SequenceConstruct a,b -> s",
            node(
                "SequenceMap s,b -> t",
                body=subgraph("Add e,f -> g", inputs="e,f", outputs="g"),
            ),
            node("ConcatFromSequence t -> y", axis=0),
            weights=PAIR,
        ),
        model("Add a,b -> p", "Add b,b -> q", node("Concat p,q -> y", axis=0), weights=PAIR),
    ),
    "optional": (
        model(
            "Optional a -> o",
            "OptionalHasElement o -> c",
            node(
                "If c -> y",
                then_branch=subgraph("OptionalGetElement o -> t", outputs="t"),
                else_branch=subgraph("Neg b -> e", outputs="e"),
            ),
            weights=PAIR,
        ),
        model("Identity a -> y", weights=PAIR),
    ),
    "a length as a number": (
        model(
            "SequenceConstruct a,b -> s",
            "SequenceLength s -> n",
            "Gather w,n -> r",
            "Mul a,r -> y",
            weights={**PAIR, "w": (3, 3)},
        ),
        model(
            "Gather w,two -> r",
            "Mul a,r -> y",
            weights={**PAIR, "w": (3, 3)},
            constants={"two": np.array(2)},
        ),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_sequence_is_what_is_in_it(name: str) -> None:
    found, plain = CASES[name]
    assert_counts(found, as_if=plain)


def test_a_sequence_as_an_output_is_several() -> None:
    network = unrolled.from_onnx(model("SequenceConstruct a,b -> s", weights=PAIR))
    assert [tensor.shape for tensor in network.outputs] == [(2, 3), (2, 3)]


@pytest.mark.parametrize(
    ("proto", "message", "kind"),
    [
        (
            model("SequenceConstruct a,b -> s", "Relu s -> y", weights=PAIR),
            "input 0 is a sequence of tensors",
            InvalidModelError,
        ),
        (model("SequenceAt a,i -> y", weights=PAIR, inputs={"i": ()}), "no seq", InvalidModelError),
        (
            model(
                "SequenceConstruct a -> s", "SequenceAt s,i -> y", weights=PAIR, inputs={"i": ()}
            ),
            "known only at run time",
            UnsupportedOperatorError,
        ),
        (
            model("SequenceConstruct a -> s", "SequenceAt s,one -> y", weights=PAIR, constants=AT),
            "no place 1 among 1",
            InvalidModelError,
        ),
        (
            model("SequenceEmpty -> s", "ConcatFromSequence s -> y"),
            "empty",
            InvalidModelError,
        ),
        (
            model(
                "SequenceConstruct a -> s",
                "SequenceAt s,two -> y",
                weights=PAIR,
                constants={"two": np.array([0, 0])},
            ),
            "one number, got 0, 0",
            InvalidModelError,
        ),
        (
            model(
                "SequenceConstruct a -> s",
                "SequenceAt s,none -> y",
                weights=PAIR,
                constants={"none": np.array([], np.int64)},
            ),
            "one number",
            InvalidModelError,
        ),
        (
            model("SequenceConstruct a -> s", "SequenceAt s -> y", weights=PAIR),
            "input 1 is missing",
            InvalidModelError,
        ),
        (
            model(
                "SequenceConstruct a,c -> s",
                node("ConcatFromSequence s -> y", axis=1),
                weights={"a": (2, 3), "c": (2,)},
            ),
            "shapes \\(2, 3\\), \\(2,\\) cannot be joined",
            InvalidModelError,
        ),
        (
            model(
                "SequenceConstruct a,a -> s",
                "SequenceConstruct a -> r",
                node(
                    "SequenceMap s,r -> t", body=subgraph("Add e,f -> g", inputs="e,f", outputs="g")
                ),
                weights=PAIR,
            ),
            "sequences of 1, 2 tensors",
            InvalidModelError,
        ),
        (
            model(
                "SequenceConstruct a,a -> s",
                node(
                    "SequenceMap s -> t", body=subgraph("Add e,f -> g", inputs="e,f", outputs="g")
                ),
                weights=PAIR,
            ),
            "takes 2 inputs, and is given 1",
            InvalidModelError,
        ),
        (
            model(
                node("SplitToSequence a,parts -> s", axis=1),
                weights=PAIR,
                constants={"parts": np.array([1, 1])},
            ),
            "lengths 1, 1 do not make axis 1",
            InvalidModelError,
        ),
        (model("Optional -> y"), "optional value that is not there", InvalidModelError),
        (
            model("StatefulPartitionedCall a -> y", weights=PAIR),
            "no rule for 1 operator: StatefulPartitionedCall",
            UnsupportedOperatorError,
        ),
    ],
)
def test_sequences_that_cannot_be(proto: ModelProto, message: str, kind: Any) -> None:
    with pytest.raises(kind, match=message):
        unrolled.from_onnx(proto)


PLACES = {f"n{at}".replace("-", "m"): np.array(at) for at in range(-5, 6)}


def random_sequence(seed: int) -> list[Any]:
    """Nodes that build, change and join a sequence of rows; about half of the places are wrong."""
    random = np.random.default_rng(seed)
    nodes = ["SequenceConstruct a,b -> s0"]
    for number in range(int(random.integers(1, 4))):
        place = str(random.choice(list(PLACES)))
        place = "" if random.random() < 0.2 else f",{place}"
        kind = random.choice(["insert", "erase", "split"])
        if kind == "insert":
            new = random.choice(["a", "b", "c"])
            nodes.append(f"SequenceInsert s{number},{new}{place} -> s{number + 1}")
        elif kind == "erase":
            nodes.append(f"SequenceErase s{number}{place} -> s{number + 1}")
        else:
            nodes.append(node(f"ConcatFromSequence s{number} -> j{number}", axis=0))
            parts = random.choice(["", ",n1", ",n2", ",n3", ",n0", ",nm1"])
            nodes.append(node(f"SplitToSequence j{number}{parts} -> s{number + 1}", axis=0))
    return nodes


@pytest.mark.parametrize("seed", range(60))
def test_random_sequences_are_those_of_onnxruntime(seed: int) -> None:
    """All elements are only moved, so that how often each comes out is its count."""
    runtime = pytest.importorskip("onnxruntime")
    nodes = random_sequence(seed)
    last = max(int(text) for one in nodes for text in re.findall(r"\bs(\d+)\b", str(one)))
    nodes.append(node(f"ConcatFromSequence s{last} -> y", axis=0))
    shapes = {"a": (1, 2), "b": (1, 2), "c": (1, 2)}
    made = model(*nodes, weights=shapes, constants=PLACES, inputs={"u": (1,)})
    numbers = np.arange(1, 7, dtype=np.float32).reshape(3, 1, 2)
    for tensor, array in zip(made.graph.initializer, numbers, strict=False):
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = runtime.InferenceSession(made.SerializeToString(), options)
        (found,) = session.run(None, {"u": np.zeros(1, np.float32)})
    except Exception:
        with pytest.raises(InvalidModelError, match=r"place|empty|parts"):
            unrolled.from_onnx(made)
        return
    counts = unrolled.count(unrolled.from_onnx(made))
    for name, array in zip("abc", numbers, strict=True):
        expected = [int((found == number).sum()) for number in array.reshape(-1)]
        seen = counts[name].exact().reshape(-1).tolist() if name in counts else [0, 0]
        assert seen == expected, (name, nodes)


def test_a_loop_may_carry_a_sequence() -> None:
    body = subgraph(
        "SequenceInsert s,b -> t",
        "Identity c -> d",
        inputs="i,c,s",
        outputs="d,t",
    )
    found = model(
        "SequenceConstruct a -> s",
        node("Loop three,,s -> t", body=body),
        node("ConcatFromSequence t -> y", axis=0),
        weights=PAIR,
        constants={"three": np.array(3)},
    )
    assert_counts(found, as_if=model(node("Concat a,b,b,b -> y", axis=0), weights=PAIR))


@pytest.mark.parametrize(
    ("text", "options", "shape", "count"),
    [
        ("DFT x -> y", {"axis": 1, "onesided": 0}, (2, 5, 1), 5 * 2),
        ("DFT x -> y", {"axis": 1, "onesided": 1}, (2, 5, 1), 3 * 2),
        ("DFT x -> y", {"axis": 1, "inverse": 1}, (2, 5, 2), 5 * 2),
        ("DFT x,eight -> y", {"axis": 1}, (2, 5, 1), 8 * 2),
    ],
)
def test_a_transform_sums_over_its_axis(
    text: str, options: dict[str, Any], shape: tuple[int, ...], count: int
) -> None:
    """Every element is in both parts of every bin of its row."""
    proto = model(node(text, **options), weights={"x": shape}, constants={"eight": np.array(8)})
    counts = unrolled.count(unrolled.from_onnx(proto))["x"].exact()
    assert counts.tolist() == np.full(shape, count).tolist()


def test_frames_of_a_signal() -> None:
    """Frames of four, two apart: three of them in eight samples, with three bins of two parts."""
    proto = model(
        "STFT x,step,window -> y",
        weights={"x": (1, 8, 1), "window": (4,)},
        constants={"step": np.array(2)},
    )
    counts = unrolled.count(unrolled.from_onnx(proto))
    frames = [sum(start <= at < start + 4 for start in (0, 2, 4)) for at in range(8)]
    assert counts["x"].exact().reshape(-1).tolist() == [6 * number for number in frames]
    assert counts["window"].exact().tolist() == [18] * 4
    assert unrolled.from_onnx(proto).outputs[0].shape == (1, 3, 3, 2)
