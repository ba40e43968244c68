"""How a kernel is written down makes no difference: whole, in blocks, or in groups."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest

import unrolled
from unrolled import Network, search
from unrolled.network.network import Tensor

SIZES = (
    *("log_size", "saliency_entropy", "effective_macs", "effective_units", "effective_edges"),
    *("effective_parameters", "num_parameters", "macs", "activations", "depth"),
)
"""All scores but the number of layers, which counts kernels as they are written."""

Layers = Callable[[Network, Tensor], Tensor]


def model(middle: Layers, *, channels: int = 12, image: int = 16) -> unrolled.Scores:
    """The scores of a network with some layers in its middle."""
    net = Network()
    x = net.activation(net.batch_norm(net.conv(net.input((3, image, image)), channels, 3)))
    x = net.max_pool(middle(net, x), 2)
    x = net.activation(net.batch_norm(net.conv(x, 20, 3)))
    net.output(net.dense(net.global_pool(x), 10))
    return unrolled.score(net)


def joined_layers(scores: unrolled.Scores) -> int:
    """The layers that the log size counts, from its definition."""
    size = 2 * scores.log_size - scores.saliency_entropy
    layers = math.exp(2 * size) / scores.effective_parameters
    assert layers == pytest.approx(round(layers), rel=1e-9)
    return round(layers)


def same(first: unrolled.Scores, second: unrolled.Scores) -> None:
    for key in SIZES:
        assert getattr(first, key) == pytest.approx(getattr(second, key), rel=1e-12), key


def block(net: Network, x: Tensor, channels: int, *, groups: int = 1, size: int = 3) -> Tensor:
    x = net.conv(x, channels, size, groups=groups, use_bias=False)
    return net.activation(net.batch_norm(x))


@pytest.mark.parametrize("parts", [(32, 32), (16, 48), (8,) * 8, (1, 62, 1)])
def test_a_convolution_is_its_parts_concatenated(parts: Sequence[int]) -> None:
    whole = model(lambda net, x: block(net, x, 64))
    split = model(lambda net, x: net.concat([block(net, x, part) for part in parts]))
    same(whole, split)
    assert split.layers == whole.layers + len(parts) - 1


def test_what_follows_each_channel_alone_may_stand_before_or_behind() -> None:
    whole = model(lambda net, x: block(net, x, 64))

    def after(net: Network, x: Tensor) -> Tensor:
        x = net.concat([net.conv(x, 32, 3, use_bias=False) for _ in range(2)])
        return net.activation(net.batch_norm(x))

    same(whole, model(after))


def test_groups_are_branches_of_their_own() -> None:
    def narrow(net: Network, x: Tensor) -> Tensor:
        return net.concat([block(net, part, 16) for part in net.split(x, 4)])

    whole, apart = model(lambda net, x: block(net, x, 64, groups=4)), model(narrow)
    same(whole, apart)


def test_branches_of_several_layers_are_grouped_layers() -> None:
    def grouped(net: Network, x: Tensor) -> Tensor:
        return block(net, block(net, x, 64), 32, groups=4)

    def narrow(net: Network, x: Tensor) -> Tensor:
        return net.concat([block(net, block(net, x, 16), 8) for _ in range(4)])

    whole, apart = model(grouped), model(narrow)
    for key in SIZES[1:]:
        assert getattr(whole, key) == pytest.approx(getattr(apart, key), rel=1e-12), key
    # The first layers of the branches do not meet, and are layers of their own.
    assert joined_layers(apart) == joined_layers(whole) + 3


def test_concatenations_of_concatenations_are_one() -> None:
    def nested(net: Network, x: Tensor) -> Tensor:
        inner = net.concat([block(net, x, 8), block(net, x, 24)])
        return net.concat([block(net, x, 32), inner])

    same(model(nested), model(lambda net, x: block(net, x, 64)))


def test_kernels_that_are_added_are_one_layer() -> None:
    def added(net: Network, x: Tensor) -> Tensor:
        parts = [net.batch_norm(net.conv(x, 64, size, use_bias=False)) for size in (1, 3, 5)]
        return net.activation(net.add(net.add(parts[0], parts[1]), parts[2]))

    found = model(added)
    assert found.layers == 6
    assert joined_layers(found) == 4


def test_functions_of_kernels_that_are_added_are_apart() -> None:
    found = model(lambda net, x: net.add(block(net, x, 64), block(net, x, 64)))
    assert joined_layers(found) == found.layers == 5


def test_layers_one_after_the_other_are_never_one() -> None:
    def dense_block(net: Network, x: Tensor) -> Tensor:
        for _ in range(4):
            x = net.concat([x, block(net, x, 8)])
        return x

    def collected(net: Network, x: Tensor) -> Tensor:
        parts = [x]
        for _ in range(4):
            parts.append(block(net, parts[-1], 8))
        return net.concat(parts)

    for layers in (dense_block, collected):
        found = model(layers)
        assert joined_layers(found) == found.layers == 7


def test_parts_at_other_positions_are_layers_of_their_own() -> None:
    net = Network()
    x = net.input((3, 16, 16))
    net.output(net.concat([net.conv(x, 8, 3), net.conv(x, 8, 3)], axis=1))
    assert joined_layers(unrolled.score(net)) == 2
    # Nor does what is added everywhere belong to what is added to.
    net = Network()
    x = net.input((3, 16, 16))
    everywhere = net.conv(net.global_pool(x, keep_dimensions=True), 8, 1)
    net.output(net.add(net.conv(x, 8, 3), everywhere))
    assert joined_layers(unrolled.score(net)) == 2


def test_what_is_read_elsewhere_is_a_layer_of_its_own() -> None:
    net = Network()
    x = net.input((3, 16, 16))
    first, second = net.conv(x, 8, 3), net.conv(x, 8, 3)
    net.output(net.concat([first, second]))
    assert joined_layers(unrolled.score(net)) == 1
    net.output(first)
    assert joined_layers(unrolled.score(net)) == 2


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_residual_networks_have_as_many_layers_as_their_names_say(depth: int) -> None:
    # The projection beside the last layer of a block is part of it.
    found = unrolled.score(unrolled.models.resnet(depth, activations=True))
    assert joined_layers(found) == depth
    assert found.layers > depth


def test_options_that_are_left_out_leave_what_is_there_apart() -> None:
    net = Network("branches")
    x = net.conv(net.input((3, 16, 16)), 8, 3)
    options = {"conv": lambda: net.conv(x, 8, 3), "none": lambda: None}
    parts = [
        net.choice(f"branch{at}", {name: make() for name, make in options.items()})
        for at in range(3)
    ]
    net.output(net.dense(net.global_pool(net.concat(parts)), 10))
    space = search.Space(net)
    rows = space.rows()
    columns = search.propagate_many(space, rows)
    alive = np.isfinite(columns["log_size"])
    assert alive.sum() == 7
    for row, log_size in zip(rows[alive], columns["log_size"][alive], strict=True):
        alone = unrolled.score(space.network(row))
        assert log_size == pytest.approx(alone.log_size, rel=1e-12)
        assert joined_layers(alone) == 3
