"""Elementwise layers and those that only move elements, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from oracles.counting import counts_of, edges_from
from unrolled.network import Network, Tensor

# Elementwise.


def test_activation_is_one_edge() -> None:
    assert edges_from((2, 3), lambda net, x: net.activation(x, "gelu")) == [[1] * 3] * 2


@pytest.mark.parametrize("method", ["add", "subtract", "multiply", "divide", "maximum", "minimum"])
def test_every_occurrence_of_an_operand_is_an_edge(method: str) -> None:
    assert edges_from((2, 3), lambda net, x: getattr(net, method)(x, x)) == [[2] * 3] * 2


def test_add_of_three() -> None:
    assert edges_from((2,), lambda net, x: net.add(x, x, x)) == [3, 3]


@pytest.mark.parametrize(
    ("shape", "other", "result", "edges"),
    [
        ((3,), (2, 3), (2, 3), 2),
        ((1,), (2, 3), (2, 3), 6),
        ((), (2, 3), (2, 3), 6),
        ((4, 1, 1), (4, 2, 3), (4, 2, 3), 6),
        ((4,), (4, 2, 3), (4, 2, 3), 6),
        ((3,), (4, 2, 3), (4, 2, 3), 8),
        ((4,), (4, 1, 1), (4, 1, 1), 1),
        ((4,), (4, 2, 3, 5), (4, 2, 3, 5), 30),
        ((2, 1), (1, 3), (2, 3), 3),
        ((2, 3), (5, 2, 3), (5, 2, 3), 5),
    ],
)
@pytest.mark.parametrize("swap", [False, True])
def test_broadcast_elements_have_an_edge_to_each_copy(
    shape: tuple[int, ...], other: tuple[int, ...], result: tuple[int, ...], edges: int, swap: bool
) -> None:
    net = Network()
    operands = [net.parameter("x", shape), net.input(other)]
    y = net.multiply(*(reversed(operands) if swap else operands))
    assert y.shape == result
    net.output(y)
    assert np.unique(counts_of(net)["x"]).tolist() == [edges]


def test_channel_vector_meets_its_channel() -> None:
    net = Network()
    image, gate = net.parameter("image", (2, 3, 4)), net.parameter("gate", (2,))
    net.output(net.slice(net.multiply(gate, image), 0, 1))
    found = counts_of(net)
    assert found["gate"] == [0, 12]
    assert found["image"][1] == [[1] * 4] * 3


# Movement: one edge from the element read.


def test_reshape_and_flatten_keep_row_major_order() -> None:
    for layer in (
        lambda net, x: net.slice(net.flatten(x), 0, 4, 5),
        lambda net, x: net.slice(net.slice(net.reshape(x, (3, -1)), 0, 2), 1, 0, 1),
        lambda net, x: net.slice(net.reshape(x, (1, 6, 1)), 1, 4, 5),
    ):
        assert edges_from((2, 3), layer) == [[0, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ((2, 3, 4), (2, 12)),
        ((2, 3, 4), (6, 4)),
        ((2, 3, 4), (4, 3, 2)),
        ((6, 4), (2, 3, 2, 2)),
        ((2, 3, 5), (3, 2, 5)),
        ((1, 4, 1), (2, 1, 2)),
        ((1,), ()),
        ((), (1, 1)),
    ],
)
def test_reshape_is_a_bijection_in_order(source: tuple[int, ...], target: tuple[int, ...]) -> None:
    """Element number k of the result reads element number k and no other."""
    size = int(np.prod(source))
    for k in range(size):
        net = Network()
        y = net.reshape(net.parameter("x", source), target)
        net.output(net.slice(net.reshape(y, -1), 0, k, k + 1))
        assert np.ravel(counts_of(net)["x"]).tolist() == [int(k == i) for i in range(size)]


def test_transpose_moves_elements_with_their_axes() -> None:
    def layer(net: Network, x: Tensor) -> Tensor:
        y = net.transpose(x, (2, 0, 1))
        assert y.shape == (4, 2, 3)
        return net.slice(y, 0, 3)

    assert edges_from((2, 3, 4), layer) == [[[0, 0, 0, 1]] * 3] * 2


def test_concat_of_a_tensor_with_itself() -> None:
    net = Network()
    x, z = net.parameter("x", (2, 3)), net.parameter("z", (1, 3))
    y = net.concat([x, z, x], 0)
    assert y.shape == (5, 3)
    net.output(net.slice(y, 0, 1, 4))
    assert counts_of(net) == {"x": [[1] * 3, [1] * 3], "z": [[1] * 3]}


@pytest.mark.parametrize(
    "bounds", [(1, None, 2), (None, None, -1), (-2, None, None), (4, 0, -3), (None, 2, None)]
)
def test_slice_reads_what_python_reads(bounds: tuple[int | None, ...]) -> None:
    expected = [int(i in range(5)[slice(*bounds)]) for i in range(5)]
    assert edges_from((5,), lambda net, x: net.slice(x, 0, *bounds)) == expected


def test_split_hands_each_element_to_one_part() -> None:
    net = Network()
    x = net.parameter("x", (2, 6))
    first, second, third = net.split(x, 3, axis=1, name="parts")
    assert (first.name, first.shape, third.name) == ("parts/0", (2, 2), "parts/2")
    net.output(net.add(second, second), third)
    assert counts_of(net)["x"] == [[0, 0, 2, 2, 1, 1]] * 2
    assert [part.shape[1] for part in net.split(x, (1, 5), axis=-1)] == [1, 5]


def test_select_counts_repetitions() -> None:
    assert edges_from((4,), lambda net, x: net.select(x, 0, [0, 0, -1, 0])) == [3, 0, 0, 1]


def test_pad_adds_elements_computed_from_nothing() -> None:
    net = Network()
    y = net.pad(net.parameter("x", (2, 3)), [(0, 0), (1, 2)])
    assert y.shape == (2, 6)
    net.output(net.conv(y, 1, 2, padding="valid", use_bias=False, name="conv"))
    found = counts_of(net)
    assert found["x"] == [[2, 2, 2]] * 2
    assert found["conv/kernel"] == [[[5, 5]] * 2]


def test_negative_padding_crops() -> None:
    assert edges_from((4,), lambda net, x: net.pad(x, [(-1, -2)])) == [0, 1, 0, 0]


def test_upsample_repeats_every_element() -> None:
    net = Network()
    y = net.upsample(net.parameter("x", (1, 2, 2)), (2, 3))
    assert y.shape == (1, 4, 6)
    net.output(net.slice(net.slice(y, 1, 1, 2), 2, 2, 6))
    assert counts_of(net)["x"] == [[[1, 3], [0, 0]]]
