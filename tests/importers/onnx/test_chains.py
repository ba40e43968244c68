"""Random chains of ONNX operators, against an independent counter."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

from hypothesis import given
from hypothesis import strategies as st

from cases.onnx_models import model, node
from oracles.onnx_checking import assert_counts

Draw = Any
LARGEST = 60


class Chain:
    """A model that grows by an operator at a time."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.nodes: list[Any] = []
        self.weights: dict[str, tuple[int, ...]] = {"x": draw(st.sampled_from(SHAPES))}
        self.constants: dict[str, Any] = {}
        self.shapes = {"x": self.weights["x"]}

    def pick(self) -> tuple[str, tuple[int, ...]]:
        """Draw a tensor, the latest one more often than others."""
        names = list(self.shapes)
        name = self.draw(st.sampled_from([*names, *names[-1:] * 3]))
        return name, self.shapes[name]

    def weight(self, shape: tuple[int, ...]) -> str:
        known = [name for name, one in self.weights.items() if one == shape and name != "x"]
        if known and self.draw(st.booleans()):
            return self.draw(st.sampled_from(known))
        name = f"w{len(self.weights)}"
        self.weights[name] = shape
        return name

    def constant(self, value: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(value)
        return name

    def add(self, shape: tuple[int, ...], operator: str, inputs: str, **attributes: Any) -> None:
        name = f"t{len(self.shapes)}"
        self.nodes.append(node(f"{operator} {inputs} -> {name}", **attributes))
        self.shapes[name] = shape

    def step(self) -> None:
        name, shape = self.pick()
        kind = self.draw(st.sampled_from(STEPS))
        kind(self, name, shape)


SHAPES = [(2, 3), (3, 4), (1, 2, 5), (2, 3, 2), (1, 2, 3, 4), (4,)]


def pointwise(chain: Chain, x: str, shape: tuple[int, ...]) -> None:
    chain.add(shape, chain.draw(st.sampled_from(["Relu", "Tanh", "Neg", "Exp"])), x)


def weighted(chain: Chain, x: str, shape: tuple[int, ...]) -> None:
    kept = chain.draw(st.integers(0, len(shape)))
    chosen = tuple(n if chain.draw(st.booleans()) else 1 for n in shape[kept:])
    operator = chain.draw(st.sampled_from(["Add", "Mul", "Sub", "Max"]))
    chain.add(shape, operator, f"{x},{chain.weight(chosen)}")


def residual(chain: Chain, x: str, shape: tuple[int, ...]) -> None:
    others = [name for name, one in chain.shapes.items() if one == shape]
    chain.add(shape, "Add", f"{x},{chain.draw(st.sampled_from(others))}")


def dense(chain: Chain, x: str, shape: tuple[int, ...]) -> None:
    columns = chain.draw(st.integers(1, 3))
    chain.add((*shape[:-1], columns), "MatMul", f"{x},{chain.weight((shape[-1], columns))}")


def conv(chain: Chain, x: str, shape: tuple[int, ...]) -> None:
    if len(shape) < 3 or any(one.op_type == "Pad" for one in chain.nodes):
        return pointwise(
            chain, x, shape
        )  # A convolution may take an earlier Pad for its own padding.
    draw, spatial = chain.draw, shape[2:]
    sizes = [draw(st.integers(1, min(3, n))) for n in spatial]
    strides = [draw(st.integers(1, 2)) for _ in spatial]
    pads = [draw(st.integers(0, 1)) for _ in range(2 * len(spatial))]
    groups = draw(st.sampled_from([n for n in (1, 2, 3) if shape[1] % n == 0]))
    rows = groups * draw(st.integers(1, 2))
    lengths = [
        (n + pads[at] + pads[at + len(spatial)] - k) // s + 1
        for at, (n, k, s) in enumerate(zip(spatial, sizes, strides, strict=True))
    ]
    kernel = chain.weight((rows, shape[1] // groups, *sizes))
    result = (shape[0], rows, *lengths)
    chain.add(result, "Conv", f"{x},{kernel}", strides=strides, pads=pads, group=groups)
    return None


def transpose(chain: Chain, x: str, shape: tuple[int, ...]) -> None:
    order = chain.draw(st.permutations(range(len(shape))))
    chain.add(tuple(shape[axis] for axis in order), "Transpose", x, perm=list(order))


def reshape(chain: Chain, x: str, shape: tuple[int, ...]) -> None:
    size = prod(shape)
    divisors = [n for n in range(1, size + 1) if size % n == 0]
    first = chain.draw(st.sampled_from(divisors))
    wanted = chain.draw(st.sampled_from([(first, size // first), (1, first, size // first)]))
    chain.add(wanted, "Reshape", f"{x},{chain.constant(wanted)}")


def slice_(chain: Chain, x: str, shape: tuple[int, ...]) -> None:
    axis = chain.draw(st.integers(0, len(shape) - 1))
    start = chain.draw(st.integers(0, shape[axis] - 1))
    step = chain.draw(st.sampled_from([1, 2, -1]))
    end = -1000 if step < 0 else shape[axis]
    length = len(range(shape[axis])[start : None if step < 0 else end : step])
    given = [chain.constant([value]) for value in (start, end, axis, step)]
    result = (*shape[:axis], length, *shape[axis + 1 :])
    chain.add(result, "Slice", ",".join([x, *given]))


def concat(chain: Chain, x: str, shape: tuple[int, ...]) -> None:
    axis = chain.draw(st.integers(0, len(shape) - 1))
    rest = (len(shape), shape[:axis], shape[axis + 1 :])
    others = [n for n, s in chain.shapes.items() if (len(s), s[:axis], s[axis + 1 :]) == rest]
    other = chain.draw(st.sampled_from(others))
    length = shape[axis] + chain.shapes[other][axis]
    result = (*shape[:axis], length, *shape[axis + 1 :])
    if prod(result) <= LARGEST:
        chain.add(result, "Concat", f"{x},{other}", axis=axis)


def gather(chain: Chain, x: str, shape: tuple[int, ...]) -> None:
    axis = chain.draw(st.integers(0, len(shape) - 1))
    at = chain.draw(st.lists(st.integers(-shape[axis], shape[axis] - 1), min_size=1, max_size=3))
    result = (*shape[:axis], len(at), *shape[axis + 1 :])
    chain.add(result, "Gather", f"{x},{chain.constant(at)}", axis=axis)


def reduce(chain: Chain, x: str, shape: tuple[int, ...]) -> None:
    """Add a sum to its own tensor; it is never multiplied with that, which would be a gate."""
    axis = chain.draw(st.integers(0, len(shape) - 1))
    name = f"r{len(chain.shapes)}"
    chain.nodes.append(node(f"ReduceSum {x},{chain.constant([axis])} -> {name}"))
    small = (*shape[:axis], 1, *shape[axis + 1 :])
    chain.add(shape, "Add", f"{x},{name}")
    chain.shapes[name] = small


def softmax(chain: Chain, x: str, shape: tuple[int, ...]) -> None:
    chain.add(shape, "Softmax", x, axis=chain.draw(st.integers(-len(shape), len(shape) - 1)))


def pad(chain: Chain, x: str, shape: tuple[int, ...]) -> None:
    pads = [chain.draw(st.integers(0, 1)) for _ in range(2 * len(shape))]
    result = tuple(n + pads[at] + pads[at + len(shape)] for at, n in enumerate(shape))
    if prod(result) <= LARGEST:
        chain.add(result, "Pad", f"{x},{chain.constant(pads)}")


STEPS = [pointwise, weighted, residual, dense, conv, transpose, reshape, slice_, concat, gather]
STEPS += [reduce, softmax, pad]


@st.composite
def chains(draw: Draw) -> Any:
    chain = Chain(draw)
    for _ in range(draw(st.integers(1, 10))):
        chain.step()
    chain.step()
    last = list(chain.shapes)[-1]
    if not chain.nodes or last == "x":
        chain.add(chain.shapes["x"], "Relu", "x")
    outputs = [list(chain.shapes)[-1]]
    if draw(st.booleans()):
        outputs.append(draw(st.sampled_from(list(chain.shapes))))
    return model(
        *chain.nodes,
        weights=chain.weights,
        constants=chain.constants,
        outputs=",".join(outputs),
    )


@given(chains(), st.sampled_from(["value", "dependency"]))
def test_random_chains_count_as_their_linear_forms(proto: Any, semantics: str) -> None:
    assert_counts(proto, semantics=semantics)
