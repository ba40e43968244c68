"""`Network` itself: handles, names, links, errors, laws; the engine against brute force."""

from __future__ import annotations

import inspect
import random
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles.counting import assert_engine_counts, counts_of
from strategies import random_layers, random_movement
from strategies.random_networks import Twin, twins
from unrolled import Relation, count, reference
from unrolled.errors import (
    InvalidArgumentError,
    InvalidNetworkError,
    NothingToCountError,
    SizeOverflowError,
)
from unrolled.network import Network, Tensor

# The engine against brute force, element by element.


@settings(max_examples=max(600, settings().max_examples))
@given(twins())
def test_engine_agrees_with_brute_force(twin: Twin) -> None:
    expected = {name: counts.tolist() for name, counts in twin.graph.count().items()}
    assert_engine_counts(twin.network, expected)


@given(twins())
def test_weight_nodes_agree_with_brute_force(twin: Twin) -> None:
    expected = twin.graph.count_weight_nodes()
    for exact in (True, False):
        counts = count(twin.network, exact=exact)
        assert {name: counts[name].num_weight_nodes for name in counts} == expected
        assert counts.num_weight_nodes == sum(expected.values())


def test_every_layer_is_drawn_at_random() -> None:
    """A layer method that `twins` never calls would go untested against brute force."""
    drawn = inspect.getsource(random_layers) + inspect.getsource(random_movement)
    layers = {
        name
        for name, method in inspect.getmembers(Network, inspect.isfunction)
        if method.__module__.startswith("unrolled.network.layers.") and not name.startswith("_")
    }
    assert "conv" in layers
    assert not {name for name in layers if not re.search(rf"network\.{name}\b", drawn)}


# Laws. `rebuilt` copies a network link by link, so it knows nothing of layers.


def rebuilt(
    network: Network, tensor_order: list[int], link_order: list[int], repeat: int = 0
) -> Network:
    """The same network with other names and another order of everything.

    With `repeat`, its outputs are no longer outputs themselves but summed up that many times.
    """
    copy = Network("copy")
    handles: dict[int, Tensor] = {}
    for number in tensor_order:
        tensor = network.tensors[number]
        name = f"t{number}"
        if tensor.role == "parameter":
            handles[number] = copy.parameter(name, tensor.shape, tensor.trainable)
        elif tensor.role == "input":
            handles[number] = copy.input(tensor.shape, name)
        else:
            handles[number] = copy.tensor(name, tensor.shape)
    for number in link_order:
        source, target, relations = network.links[number]
        copy.link(handles[source.id], handles[target.id], list(reversed(relations)))
    for tensor in reversed(network.outputs):
        output = handles[tensor.id]
        copy.output(copy.add(*[output] * repeat) if repeat else output)
    return copy


def expected_of(network: Network, factor: int = 1) -> dict[str, Any]:
    return {
        f"t{network[name].id}": (counts * factor).tolist()
        for name, counts in reference.count(network).items()
    }


@settings(max_examples=max(50, settings().max_examples // 2))
@given(twins(), st.integers(0, 2**32))
def test_names_and_order_change_nothing(twin: Twin, seed: int) -> None:
    network = twin.network
    tensors, links = [*range(len(network.tensors))], [*range(len(network.links))]
    shuffle = random.Random(seed).shuffle
    shuffle(tensors)
    shuffle(links)
    assert counts_of(rebuilt(network, tensors, links)) == expected_of(network)


@settings(max_examples=max(50, settings().max_examples // 2))
@given(twins(), st.integers(1, 4))
def test_a_factor_in_series_multiplies_every_count(twin: Twin, factor: int) -> None:
    network = twin.network
    tensors, links = [*range(len(network.tensors))], [*range(len(network.links))]
    copy = rebuilt(network, tensors, links, repeat=factor)
    assert counts_of(copy) == expected_of(network, factor)


@given(st.lists(st.integers(1, 6), min_size=2, max_size=12))
def test_series_of_dense_layers_multiplies_widths(widths: list[int]) -> None:
    net = Network()
    x = net.input(widths[0])
    for number, width in enumerate(widths[1:]):
        x = net.dense(x, width, name=f"layer{number}")
    net.output(x)
    found = counts_of(net)
    later = 1
    for number in reversed(range(len(widths) - 1)):
        assert found[f"layer{number}/bias"] == [later] * widths[number + 1]
        assert found[f"layer{number}/kernel"] == [[later] * widths[number + 1]] * widths[number]
        later *= widths[number + 1]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=5))
def test_parallel_branches_add(depths: list[int]) -> None:
    """Branches of dense layers, each 2 wide and so deep: 2 ** depth paths an output element."""
    net = Network()
    x = net.parameter("x", 2)
    branches = []
    for depth in depths:
        y = net.activation(x)
        for _ in range(depth):
            y = net.dense(y, 2)
        branches.append(y)
    net.output(net.add(*branches))
    assert counts_of(net)["x"] == [sum(2**depth for depth in depths)] * 2


def test_output_that_is_used_further() -> None:
    net = Network()
    x = net.dense(net.input(3), 2, name="first")
    y = net.dense(x, 5)
    net.output(x, y)
    assert counts_of(net)["first/bias"] == [6, 6]


def test_a_parameter_that_reaches_no_output_counts_zero() -> None:
    net = Network()
    x = net.input(2)
    net.dense(x, 3, name="unused")
    net.output(net.dense(x, 2, name="used"))
    assert counts_of(net)["unused/kernel"] == [[0] * 3] * 2


def test_a_layer_of_ones_own() -> None:
    """A locally connected layer: as a convolution, but with a kernel for every position."""
    net = Network()
    x, kernel = net.input((2, 5)), net.parameter("local/kernel", (3, 4, 2, 2))
    y = net.tensor("local", (3, 4))
    net.link(x, y, [Relation.all(0, 0), Relation.window(1, 1, size=2)])
    each = [Relation.same(0, 0), Relation.same(1, 1), Relation.each(2), Relation.each(3)]
    net.link(kernel, y, each)
    net.output(net.global_pool(y))
    assert counts_of(net)["local/kernel"] == [[[[1] * 2] * 2] * 4] * 3


# Handles, names and what a network tells about itself.


def small() -> Network:
    net = Network("small")
    x = net.conv(net.input((3, 8, 8)), 4, 3, name="conv")
    x = net.batch_norm(x, name="norm")
    net.output(net.dense(net.global_pool(x), 10, name="head"))
    return net


def test_what_a_network_tells() -> None:
    net = small()
    assert net.num_inputs == 3 * 8 * 8
    assert net.num_outputs == 10
    assert net.num_parameters == (4 * 3 * 9 + 4) + 16 + (4 * 10 + 10)
    assert [tensor.name for tensor in net.inputs] == ["input"]
    assert [tensor.name for tensor in net.outputs] == ["head"]
    assert [tensor.name for tensor in net.parameters if not tensor.trainable] == [
        "norm/mean",
        "norm/variance",
    ]
    assert net.tensors[net["conv"].id] is net["conv"]
    assert "conv/kernel" in net
    assert "conv/weights" not in net
    assert 3 not in net
    assert repr(net) == "Network('small', 178 parameters, 192 inputs, 10 outputs)"
    assert "dependency" in repr(Network(semantics="dependency"))


def test_links_are_told_as_they_were_made() -> None:
    net = Network()
    y = net.dense(net.input(3), 2, use_bias=False, name="y")
    assert net.links == (
        (net["input"], y, (Relation.all(0, 0),)),
        (net["y/kernel"], y, (Relation.each(0), Relation.same(1, 0))),
    )
    assert net.links[0].source is net["input"]


def test_a_tensor_tells_and_cannot_be_changed() -> None:
    net = small()
    kernel = net["conv/kernel"]
    assert (kernel.shape, kernel.size, kernel.role) == ((4, 3, 3, 3), 108, "parameter")
    assert repr(kernel) == "Tensor('conv/kernel', shape=(4, 3, 3, 3), role='parameter')"
    assert repr(net["norm/mean"]).endswith("role='parameter', trainable=False)")
    with pytest.raises(AttributeError):
        kernel.name = "other"  # type: ignore[misc]


def test_automatic_names_count_on_and_avoid_those_taken() -> None:
    net = Network()
    x = net.input((3, 8))
    net.conv(x, 2, 1, name="conv_2")
    assert [net.conv(x, 2, 1).name for _ in range(2)] == ["conv_1", "conv_3"]
    assert net.activation(x, "silu").name == "silu_1"


def test_auto_and_given_weights_of_every_layer_are_named_by_role() -> None:
    net = Network()
    x = net.input((4, 8, 8))
    net.conv(x, 4, 3, name="conv")
    net.layer_norm(x, name="norm")
    net.embedding(net.input(3, "words"), 5, 2, name="embedding")
    assert [p.name for p in net.parameters] == [
        "conv/kernel",
        "conv/bias",
        "norm/scale",
        "norm/shift",
        "embedding/table",
    ]


def test_a_refused_layer_leaves_no_trace() -> None:
    net = Network()
    x = net.input((4, 8, 8))
    wrong = net.parameter("wrong", 3)
    queries, values = net.reshape(x, (2, 32, 4)), net.reshape(x, (4, 32, 2))
    before = net.tensors
    for attempt in (
        lambda: net.conv(x, 4, 3, bias=wrong, name="layer"),
        lambda: net.conv(x, 4, 9, padding="valid", name="layer"),
        lambda: net.batch_norm(x, variance=wrong, name="layer"),
        lambda: net.multi_head_attention(x, 2, name="layer"),
        lambda: net.split(x, (3, 3), name="layer"),
        lambda: net.attention(queries, queries, values, name="layer"),
    ):
        with pytest.raises(InvalidNetworkError, match="layer 'layer'"):
            attempt()
    assert net.tensors == before
    net.conv(x, 4, 3, name="layer")


def test_engine_refuses_what_cannot_be_counted() -> None:
    net = Network()
    net.output(net.activation(net.input(3)))
    with pytest.raises(NothingToCountError):
        count(net)
    net = Network()
    net.dense(net.input(3), 2)
    with pytest.raises(NothingToCountError):
        count(net)
    net = Network()
    net.dense(net.input(3), 2)
    net.output(net.tensor("island", 3))
    with pytest.raises(InvalidNetworkError, match="'island' is disconnected"):
        count(net)


def test_engine_shows_a_cycle() -> None:
    net = Network()
    x = net.add(net.parameter("w", 2), net.parameter("v", 2), name="x")
    y = net.activation(x, name="y")
    net.link(y, x, [Relation.same(0, 0)])
    net.output(y)
    with pytest.raises(InvalidNetworkError, match=r"x -> y -> x|y -> x -> y"):
        count(net)


def test_what_is_refused_halfway_leaves_no_trace() -> None:
    """The first tensors of these layers are fine, and the last has too many elements."""
    net = Network()
    x = net.input((2, 3))
    image = net.input((2, 4, 4), "image")
    net.output(x)
    before = net.tensors, net.links, net.outputs, net.fingerprint()
    many = 1 << 61
    for attempt in (
        lambda: net.dense(image, 1 << 60),
        lambda: net.dense(image, 1 << 60, use_bias=False, name="layer"),
        lambda: net.embedding(x, many, 3),
        lambda: net.embedding(image, 1 << 59, 2),
        lambda: net.conv(image, 1 << 58, 3),
        lambda: net.conv_transpose(image, 1 << 58, 3),
        lambda: net.depthwise_conv(image, 3, multiplier=1 << 60),
        lambda: net.multi_head_attention(x, 3, width=many),
        lambda: net.multi_head_attention(x, 1, head_size=many),
    ):
        with pytest.raises(SizeOverflowError):
            attempt()
        assert (net.tensors, net.links, net.outputs, net.fingerprint()) == before
    with pytest.raises(InvalidNetworkError, match="twice"):
        net.output(image, x)
    with pytest.raises(InvalidArgumentError, match="units"):
        net.dense(x, 0)
    with pytest.raises(InvalidNetworkError, match="of this name"):
        net.activation(x, lambda elements: 2 * elements, name="input")
    assert (net.tensors, net.outputs, net.functions) == (before[0], before[2], {})
    # Neither are the numbers of unnamed layers used up.
    assert net.dense(x, 2).name == "dense_1"
    assert "dense_1/kernel" in net
