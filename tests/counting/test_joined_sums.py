"""Sums over joined tensors that are taken before they are joined change nothing but the work."""

from __future__ import annotations

import numpy as np
import pytest

from oracles.path_sums import Elements
from unrolled import Network
from unrolled.counting.joined_sums import sum_before_joining
from unrolled.counting.path_diagram import Arrow, Diagram
from unrolled.counting.summation import path_sums


def dense_block(layers: int, *, newest_first: bool, nested: bool, norm: bool = True) -> Network:
    """Layers that read all that was there before them, side by side along the channels."""
    net = Network("block")
    known = [net.conv(net.input((2, 3, 3), name="x"), 3, 3, padding=1, name="stem")]
    joined = known[0]
    for layer in range(layers):
        y = net.activation(net.batch_norm(joined), "relu") if norm else joined
        y = net.conv(y, 2, 3, padding=1, name=f"layer{layer}")
        parts = [joined, y] if nested else [*known, y]
        known.append(y)
        joined = net.concat(parts[::-1] if newest_first else parts, axis=0)
    net.output(net.dense(net.global_pool(joined), 2, name="head"))
    return net


def depths(link):
    return int(link.source.role != "parameter" and link.target.name.startswith(("lay", "he", "st")))


def assert_law_is_that_of_elements(network, weight_of=lambda link: 1, grade_of=depths):
    expected = Elements(network, weight_of, grade_of).law()
    exact = path_sums(network, weight_of, grade=grade_of, direction="forward")
    assert exact.is_exact
    assert {grade: one for grade, one in enumerate(exact.law) if one} == expected
    for other in (
        path_sums(network, weight_of, grade=grade_of, direction="forward", exact=False),
        path_sums(
            network, lambda link: np.asarray(weight_of(link), float), grade=grade_of,
            direction="forward",
        ),
    ):  # fmt: skip
        assert not other.is_exact
        found = {grade: one for grade, one in enumerate(other.law) if one}
        assert found == pytest.approx({grade: float(one) for grade, one in expected.items()})


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("newest_first", [False, True])
def test_dense_blocks_have_the_law_of_their_elements(newest_first, nested):
    assert_law_is_that_of_elements(dense_block(3, newest_first=newest_first, nested=nested))


def test_weights_of_single_elements_stay_where_they_are():
    network = dense_block(2, newest_first=False, nested=False)

    def weight_of(link):
        if link.source.role == "parameter" or link.target.shape[-2:] != (3, 3):
            return 2
        # One for each channel, so that the concatenations cannot be gone around.
        return np.arange(1, link.target.shape[0] + 1).reshape(-1, 1, 1)

    assert_law_is_that_of_elements(network, weight_of)


def test_weights_and_grades_on_the_way_to_a_concatenation():
    network = dense_block(3, newest_first=True, nested=False, norm=False)
    assert_law_is_that_of_elements(
        network, lambda link: 1 + link.source.id % 3, lambda link: link.target.id % 3
    )


def test_one_tensor_twice_a_gap_and_an_input_among_what_is_joined():
    net = Network("mixed")
    x = net.input((2, 4), name="x")
    y = net.conv(x, 2, 3, padding=1, name="layer")
    joined = net.concat([y, x, net.pad(y, [(1, 0), (0, 0)]), y], axis=0)
    one = net.conv(x, 1, 1, name="layer1")
    shifted = net.add(joined, net.concat([x, x, net.concat([x, y], axis=0), one], axis=0))
    net.output(net.conv(shifted, 2, 3, padding=1, name="layer2"))
    net.output(net.dense(net.flatten(joined), 2, name="head"))
    net.output(shifted)
    assert_law_is_that_of_elements(net)


def test_what_is_joined_along_an_axis_that_is_not_summed_is_kept():
    net = Network("along")
    x = net.input((2, 4), name="x")
    joined = net.concat([x, net.conv(x, 2, 3, padding=1, name="layer")], axis=1)
    net.output(net.conv(joined, 2, 3, name="layer2"))
    assert_law_is_that_of_elements(net)


@pytest.mark.parametrize("newest_first", [False, True])
def test_work_grows_with_the_number_of_layers_and_not_its_square(newest_first):
    def arrows(layers: int) -> int:
        network = dense_block(layers, newest_first=newest_first, nested=False)
        diagram = Diagram.of_network(network, network.inputs)
        reached = [grade is not None for grade in diagram.largest_grades()]
        kept: list[Arrow] = [arrow for arrow in diagram.arrows if reached[arrow.source]]
        plain = Diagram(diagram.names, diagram.shapes, tuple(kept), diagram.starts, diagram.ends)
        return len(sum_before_joining(plain).arrows)

    ten, twenty, forty = (arrows(layers) for layers in (10, 20, 40))
    assert forty - twenty == 2 * (twenty - ten)
