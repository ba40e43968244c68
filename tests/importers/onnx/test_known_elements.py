"""What is known of elements that a mask hides, after whatever follows the mask."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

from cases.onnx_models import model, node
from oracles.masked_elements import SHAPE, Step, names_of, random_program, wrong_names
from unrolled import count, from_onnx
from unrolled.errors import InvalidModelError

OPERATORS = {
    "exp": "Exp",
    "tanh": "Tanh",
    "abs": "Abs",
    "neg": "Neg",
    "relu": "Relu",
    "sigmoid": "Sigmoid",
    "floor": "Floor",
    "cosh": "Cosh",
    "clip": "Clip",
    "half": "Mul",
    "minus": "Mul",
    "next": "Add",
}
ARGUMENTS = {"clip": (-3.0, 3.0), "half": (0.5,), "minus": (-2.0,), "next": (1.0,)}


class Program:
    """A program as nodes."""

    def __init__(self, steps: list[Step]) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}
        x = "w"
        for step in steps:
            x = self.step(x, step)
        self.nodes += [f"Add {x},added -> sum", f"Mul {x},multiplied -> product"]
        self.weights = dict.fromkeys(names_of(steps), SHAPE)

    def constant(self, array: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = array if np.asarray(array).dtype == bool else np.float32(array)
        return name

    def node(self, operator: str, *inputs: str) -> str:
        name = f"y{len(self.nodes)}"
        self.nodes.append(f"{operator} {','.join(inputs)} -> {name}")
        return name

    def step(self, x: str, step: Step) -> str:
        kind, _, how = step.operation.partition(" ")
        if step.operation in OPERATORS:
            arguments = [self.constant(one) for one in ARGUMENTS.get(step.operation, ())]
            return self.node(OPERATORS[step.operation], x, *arguments)
        if kind == "fill":
            return self.node("Where", self.constant(step.mask), self.constant(step.number), x)
        if step.operation == "add mask":
            return self.node("Add", x, self.constant(np.where(step.mask, -np.inf, 0)))
        if kind in ("add", "multiply"):
            return self.node("Add" if kind == "add" else "Mul", x, step.name)
        zero = self.constant(0.0)
        condition = self.node("Greater", self.node("Add", step.name, "u"), zero)
        if how != "plain":
            operator = "Or" if how == "or" else "And"
            condition = self.node(operator, condition, self.constant(step.mask))
        if how == "not and":
            condition = self.node("Not", condition)
        number = f"{step.name}other" if kind == "between" else self.constant(step.number)
        return self.node("Where", condition, *([number, x] if step.first else [x, number]))


@pytest.mark.parametrize("seed", range(0, 240, 40))
def test_random_functions_of_masked_tensors(seed: int) -> None:
    for number in range(seed, seed + 40):
        steps = random_program(number)
        program = Program(steps)
        made = model(
            *program.nodes,
            weights=program.weights,
            constants=program.constants,
            inputs={"u": SHAPE},
            outputs="sum,product",
            opset=18,
        )
        counts = count(from_onnx(made))
        found = {name: counts[name].exact() for name in counts}
        assert not wrong_names(found, steps), (number, steps)


MASK = np.array([[True, False, False, True], [False, False, True, False], [False] * 4])


def counts_behind(*nodes: Any, fill: float, semantics: Any = "value", **more: Any) -> Any:
    """Counts of a parameter that multiplies a function of a masked one, and of that one."""
    made = model(
        "Where mask,fill,w -> x",
        *nodes,
        "Mul y,v -> z",
        weights={"w": SHAPE, "v": SHAPE, **more.pop("weights", {})},
        constants={"mask": MASK, "fill": np.float32(fill), **more},
        inputs={"u": SHAPE},
        outputs="z",
        opset=18,
    )
    counts = count(from_onnx(made, semantics=semantics))
    return counts["v"].exact().astype(int), counts["w"].exact().astype(int)


SEEN = (~MASK).astype(int)
GROUPS = SEEN * SEEN.sum(1, keepdims=True)

NORMS: dict[str, tuple[Any, float, Any]] = {
    "softmax gives no weight": (node("Softmax x -> y", axis=-1), -np.inf, SEEN),
    "log-softmax is low and no zero": (node("LogSoftmax x -> y", axis=-1), -np.inf, 1),
    "a softmax of zeros gives weights": (node("Softmax x -> y", axis=-1), 0.0, 1),
    "a layer norm moves zeros": (node("LayerNormalization x,g,b -> y", axis=-1), 0.0, 1),
    "an l2 norm leaves zeros": (node("LpNormalization x -> y", axis=-1), 0.0, SEEN),
}


@pytest.mark.parametrize("name", NORMS)
def test_norms_of_masked_tensors(name: str) -> None:
    """A parameter that multiplies has an edge where the norm is not known to be zero."""
    nodes, fill, expected = NORMS[name]
    ones = np.ones(SHAPE[-1], np.float32)
    found, of_masked = counts_behind(nodes, fill=fill, g=ones, b=ones)
    np.testing.assert_array_equal(found, np.broadcast_to(expected, SHAPE))
    np.testing.assert_array_equal(of_masked, SEEN)


@pytest.mark.parametrize("name", NORMS)
def test_norms_connect_what_a_mask_leaves(name: str) -> None:
    """With dependency semantics an element that is known has no edges, any other has all."""
    nodes, fill, expected = NORMS[name]
    ones = np.ones(SHAPE[-1], np.float32)
    found, of_masked = counts_behind(nodes, fill=fill, semantics="dependency", g=ones, b=ones)
    np.testing.assert_array_equal(found, np.broadcast_to(expected, SHAPE))
    is_known = np.array_equal(np.broadcast_to(expected, SHAPE), SEEN) or "log" in name
    readers = SEEN.sum(1, keepdims=True) if is_known else SHAPE[-1]
    np.testing.assert_array_equal(of_masked, SEEN * readers)


def test_a_safe_divide_keeps_what_it_reads() -> None:
    """``where(den == 0, 1, num / den)``: the mask of the numerator says nothing of the result."""
    nodes = [
        "Add d,u -> den",
        "Equal den,zero -> none",
        "Div x,den -> q",
        "Where none,one,q -> y",
    ]
    found, of_masked = counts_behind(
        *nodes, fill=0.0, weights={"d": SHAPE}, zero=np.float32(0), one=np.float32(1)
    )
    np.testing.assert_array_equal(found, np.ones(SHAPE))
    np.testing.assert_array_equal(of_masked, SEEN)
    found, of_masked = counts_behind(*nodes[:3], "Where none,zero,q -> y", fill=0.0,
                                     weights={"d": SHAPE}, zero=np.float32(0))  # fmt: skip
    np.testing.assert_array_equal(found, SEEN)


@pytest.mark.parametrize("fill", [0.0, -np.inf])
def test_a_sum_made_safe_is_no_zero(fill: float) -> None:
    """``where(x == fill, 1, x)`` is one where the mask hides, so that its factor has an edge."""
    nodes = ["Equal x,fill -> none", "Where none,one,x -> y"]
    found, of_masked = counts_behind(*nodes, fill=fill, one=np.float32(1))
    np.testing.assert_array_equal(found, np.ones(SHAPE))
    np.testing.assert_array_equal(of_masked, SEEN)
    found, _ = counts_behind(nodes[0], "Where none,zero,x -> y", fill=fill, zero=np.float32(0))
    np.testing.assert_array_equal(found, SEEN)


def test_bounds_that_are_computed_have_edges() -> None:
    """Every element is clipped by the one bound, so that it has a path to each of them."""
    made = model(
        node("ReduceMin b -> low", keepdims=0),
        "Clip w,low,high -> y",
        weights={"w": SHAPE, "b": (2,)},
        constants={"high": np.float32(3)},
    )
    counts = count(from_onnx(made))
    assert counts["w"].exact().tolist() == np.ones(SHAPE, int).tolist()
    assert counts["b"].exact().tolist() == [12, 12]


def test_a_bias_that_is_zero_in_part_is_no_mask() -> None:
    """What is added to the scores of Attention may be zero without hiding them."""
    shape = (1, 1, 3, 2)
    made = model(
        "Where seen,b,zero -> bias",
        node("Attention q,k,v,bias -> y"),
        weights={"q": shape, "k": shape, "v": shape, "b": (3, 3)},
        constants={"seen": np.tril(np.ones((3, 3), bool)), "zero": np.float32(0)},
        outputs="y",
        opset=23,
    )
    counts = count(from_onnx(made))
    assert counts["v"].exact().tolist() == np.full(shape, 3).tolist()
    assert counts["b"].exact().tolist() == (2 * np.tril(np.ones((3, 3), int))).tolist()


def test_choices_between_large_tensors_are_not_spread_out() -> None:
    """Each element is of one tensor, whatever the size; a broadcast condition stays small."""
    rows = 1 << 23
    made = model(
        "Mul a,u -> x",
        "Where c,x,b -> y",
        weights={"a": (1, 3), "b": (1, 1)},
        inputs={"u": (rows, 1)},
        constants={"c": np.array([True, False, True])},
    )
    counts = count(from_onnx(made))
    assert counts["a"].exact().tolist() == [[rows, 0, rows]]
    assert counts["b"].exact().tolist() == [[rows]]


def test_masks_that_would_be_too_large_together_are_refused() -> None:
    lines = np.arange(1 << 14) % 2 == 0
    made = model(
        "Mul w,u -> x",
        "Where rows,low,x -> a",
        "Where columns,low,a -> y",
        weights={"w": (1, 1)},
        inputs={"u": (1 << 14, 1 << 14)},
        constants={"rows": lines[:, None], "columns": lines[None], "low": np.float32(-np.inf)},
    )
    with pytest.raises(InvalidModelError, match="a mask of 268,435,456 elements is too large"):
        from_onnx(made)


def test_all_elements_may_be_hidden_in_the_end() -> None:
    """What two masks hide together is all there is, or what is read of a tensor later."""
    rows = np.array([[True], [False], [True]])
    made = model(
        "Where rows,low,w -> a",
        "Where others,low,a -> b",
        "Add b,w -> y",
        "Gather a,zero -> c",
        "Reshape c,shape -> d",
        "Add d,v -> z",
        weights={"w": SHAPE, "v": (4,)},
        constants={
            "rows": rows,
            "others": ~rows,
            "low": np.float32(-np.inf),
            "zero": np.array([0]),
            "shape": np.array([4]),
        },
        outputs="y,z,a",
    )
    counts = count(from_onnx(made))
    expected = 1 + np.broadcast_to(~rows, SHAPE)  # Of the second sum and of the masked tensor.
    assert counts["w"].exact().tolist() == expected.astype(int).tolist()
    assert "v" not in counts or not counts["v"].exact().any()


@pytest.mark.parametrize(
    ("nodes", "move"),
    [
        ([node("Gather x,places -> y", axis=1)], lambda a: a[:, [3, 0, -2]]),
        ([node("Transpose x -> t"), "Reshape t,shape -> y"], lambda a: a.T.reshape(2, 6)),
        (["Slice x,one,last,one,back -> y"], lambda a: a[:, 1::-1]),
        ([node("Concat x,w -> y", axis=0)], lambda a: np.concatenate([a, np.ones(SHAPE, int)])),
        (["Expand x,wide -> y"], lambda a: np.broadcast_to(a, (2, *SHAPE))),
    ],
)
def test_masks_move_with_their_elements(nodes: Any, move: Any) -> None:
    """What multiplies a zero has no edge, wherever the zero has been moved."""
    expected = move(SEEN)
    made = model(
        "Where mask,fill,w -> x",
        *nodes,
        "Mul y,v -> z",
        weights={"w": SHAPE, "v": expected.shape},
        constants={
            "mask": MASK,
            "fill": np.float32(0),
            "places": np.array([3, 0, -2]),
            "shape": np.array([2, 6]),
            "one": np.array([1]),
            "last": np.array([-5]),
            "back": np.array([-1]),
            "wide": np.array([2, *SHAPE]),
        },
        opset=18,
    )
    assert count(from_onnx(made))["v"].exact().tolist() == expected.tolist()
