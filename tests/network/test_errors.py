"""What a `Network` refuses: the error and what its message says."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress
from itertools import product
from typing import Any

import numpy as np
import pytest

from unrolled import Relation
from unrolled.errors import (
    InvalidArgumentError,
    InvalidNetworkError,
    SizeOverflowError,
    UnknownNameError,
    UnrolledError,
)
from unrolled.network import Network, Tensor

# What is done with a network and an image of shape (4, 8, 8); what is raised; and what its message
# must say.
Case = tuple[Callable[[Network, Tensor], Any], type[UnrolledError], str]


def foreign() -> Tensor:
    return Network("other").input((4, 8, 8), "stranger")


ERRORS: dict[str, Case] = {
    "rank of conv": (
        lambda n, x: n.conv(n.flatten(x), 4, 3, name="c"),
        InvalidNetworkError,
        r"'c'.*\(256,\)",
    ),
    "window larger than the input": (
        lambda n, x: n.conv(x, 4, 9, padding="valid", name="c"),
        InvalidNetworkError,
        r"'c'.*size 9.*0 \+ 8 \+ 0",
    ),
    "dilated window larger than the padded input": (
        lambda n, x: n.max_pool(x, 3, dilation=5, padding=1, name="p"),
        InvalidNetworkError,
        r"'p'.*dilation 5.*11 positions.*1 \+ 8 \+ 1",
    ),
    "zero channels": (
        lambda n, x: n.conv(x, 0, 3, name="c"),
        InvalidArgumentError,
        "'c'.*channels must be at least 1, got 0",
    ),
    "fractional channels": (
        lambda n, x: n.conv(x, 2.5, 3, name="c"),  # type: ignore[arg-type]
        InvalidArgumentError,
        r"'c'.*channels must be an integer, got 2\.5",
    ),
    "negative stride": (
        lambda n, x: n.conv(x, 4, 3, stride=-1, name="c"),
        InvalidArgumentError,
        "'c'.*stride must be at least 1, got -1",
    ),
    "zero dilation of one axis": (
        lambda n, x: n.conv(x, 4, 3, dilation=(1, 0), name="c"),
        InvalidArgumentError,
        "'c'.*dilation must be at least 1, got 0",
    ),
    "sizes for too many axes": (
        lambda n, x: n.conv(x, 4, (3, 3, 3), name="c"),
        InvalidArgumentError,
        r"'c'.*window size.*2 spatial axes.*\(3, 3, 3\)",
    ),
    "unknown padding": (
        lambda n, x: n.conv(x, 4, 3, padding="full", name="c"),  # type: ignore[arg-type]
        InvalidArgumentError,
        "'c'.*'same', 'symmetric', 'valid'.*'full'",
    ),
    "negative padding": (
        lambda n, x: n.conv(x, 4, 3, padding=[(-1, 0), (0, 0)], name="c"),
        InvalidArgumentError,
        "'c'.*padding must be at least 0, got -1",
    ),
    "padding of one axis only": (
        lambda n, x: n.conv(x, 4, 3, padding=[(1, 0)], name="c"),
        InvalidArgumentError,
        r"'c'.*one pair \(before, after\) for each of 2 axes",
    ),
    "groups": (
        lambda n, x: n.conv(x, 6, 3, groups=3, name="c"),
        InvalidNetworkError,
        "'c'.*4 input and 6 output channels.*3 groups",
    ),
    "groups of a transposed convolution": (
        lambda n, x: n.conv_transpose(x, 3, 3, groups=2, name="c"),
        InvalidNetworkError,
        "'c'.*4 input and 3 output channels.*2 groups",
    ),
    "output padding": (
        lambda n, x: n.conv_transpose(x, 3, 3, stride=2, padding=1, output_padding=2, name="c"),
        InvalidArgumentError,
        "'c'.*output_padding 2",
    ),
    "padding that cuts everything off": (
        lambda n, x: n.conv_transpose(x, 3, 1, padding=4, name="c"),
        InvalidNetworkError,
        r"'c'.*\(4, 4\).*8 positions",
    ),
    "shape of a tied kernel": (
        lambda n, x: n.conv(x, 4, 3, kernel=n.parameter("w", (4, 4, 5, 5)), name="c"),
        InvalidNetworkError,
        r"'c'.*kernel must have shape \(4, 4, 3, 3\), but 'w' has shape \(4, 4, 5, 5\)",
    ),
    "shape of a tied scale": (
        lambda n, x: n.layer_norm(x, scale=n.parameter("w", (4,)), name="norm"),
        InvalidNetworkError,
        r"'norm'.*scale must have shape \(8,\), but 'w'",
    ),
    "no scale": (
        lambda n, x: n.batch_norm(x, scale=None, name="norm"),
        InvalidArgumentError,
        "'norm'.*scale must be True, False or a tensor, got NoneType",
    ),
    "bias without a bias": (
        lambda n, x: n.dense(x, 4, use_bias=False, bias=n.parameter("w", 4), name="d"),
        InvalidArgumentError,
        "'d'.*use_bias=False",
    ),
    "dense on a scalar": (
        lambda n, x: n.dense(n.parameter("w", ()), 4, name="d"),
        InvalidNetworkError,
        "'d'.*scalar",
    ),
    "matrix product": (
        lambda n, x: n.matmul(x, n.parameter("w", (7, 3)), name="m"),
        InvalidNetworkError,
        r"'m'.*\(4, 8, 8\) and \(7, 3\).*8 and 7",
    ),
    "matrix product with a vector": (
        lambda n, x: n.matmul(x, n.parameter("w", 8), name="m"),
        InvalidNetworkError,
        r"'m'.*two axes.*\(8,\)",
    ),
    "leading axes of a matrix product": (
        lambda n, x: n.matmul(x, n.parameter("w", (3, 8, 8)), name="m"),
        InvalidNetworkError,
        "'m'.*do not broadcast",
    ),
    "heads": (
        lambda n, x: n.multi_head_attention(n.reshape(x, (-1, 8)), 3, name="a"),
        InvalidNetworkError,
        "'a'.*8 channels.*3 heads",
    ),
    "numbers of keys and values": (
        lambda n, x: n.attention(x, x, n.parameter("v", (7, 8)), name="a"),
        InvalidNetworkError,
        r"'a'.*\(4, 8, 8\).*\(7, 8\)",
    ),
    "shapes that do not broadcast": (
        lambda n, x: n.add(x, n.parameter("w", (3, 8)), name="sum"),
        InvalidNetworkError,
        r"'sum'.*\(4, 8, 8\), \(3, 8\) do not broadcast",
    ),
    "a vector that could be meant either way": (
        lambda n, x: n.multiply(n.parameter("y", (8, 2, 8)), n.parameter("w", 8), name="gate"),
        InvalidNetworkError,
        r"'gate'.*\(8,\) fits both.*\(8, 2, 8\)",
    ),
    "no operand": (lambda n, x: n.add(name="sum"), InvalidArgumentError, "'sum'.*none"),
    "concatenated shapes": (
        lambda n, x: n.concat([x, n.parameter("w", (4, 8, 7))], 0, name="c"),
        InvalidNetworkError,
        r"'c'.*\(4, 8, 8\) and \(4, 8, 7\).*axis 0",
    ),
    "concatenated ranks": (
        lambda n, x: n.concat([x, n.flatten(x)], 0, name="c"),
        InvalidNetworkError,
        r"'c'.*\(256,\)",
    ),
    "concatenated tensors of which one has no axis": (
        lambda n, x: n.concat([n.flatten(x), n.input((), "scalar")], name="c"),
        InvalidNetworkError,
        r"'c'.*\(256,\) and \(\)",
    ),
    "concatenated along an axis that only the first has": (
        lambda n, x: n.concat([n.reshape(x, (32, 8)), n.parameter("w", (32,))], 1, name="c"),
        InvalidNetworkError,
        r"'c'.*\(32, 8\) and \(32,\)",
    ),
    "indices that are an array without axes": (
        lambda n, x: n.select(x, 0, np.array(2), name="s"),
        InvalidArgumentError,
        "'s'.*sequence of indices",
    ),
    "axes that are an array without axes": (
        lambda n, x: n.transpose(x, np.array(2), name="t"),  # type: ignore[arg-type]
        InvalidArgumentError,
        "'t'.*not a permutation",
    ),
    "an option that is neither true nor false": (
        lambda n, x: n.conv(x, 4, 3, use_bias=np.array([True, False]), name="c"),  # type: ignore[arg-type]
        InvalidArgumentError,
        "'c'.*use_bias must be True or False",
    ),
    "a kind that cannot be hashed": (
        lambda n, x: n.global_pool(x, kind={"max"}, name="p"),  # type: ignore[arg-type]
        InvalidArgumentError,
        "'p'.*kind must be 'average' or 'max', got set",
    ),
    "an epsilon of 400 digits": (
        lambda n, x: n.batch_norm(x, epsilon=10**400, name="b"),
        InvalidArgumentError,
        "'b'.*epsilon must be numbers",
    ),
    "a function that is an array": (
        lambda n, x: n.activation(x, "", name=np.array([1, 2])),  # type: ignore[arg-type]
        InvalidArgumentError,
        "name of a function",
    ),
    "nothing to concatenate": (
        lambda n, x: n.concat([], name="c"),
        InvalidArgumentError,
        "'c'.*at least one",
    ),
    "something else to concatenate": (
        lambda n, x: n.concat(5, name="c"),  # type: ignore[arg-type]
        InvalidArgumentError,
        "'c'.*at least one.*int 5",
    ),
    "indices that are none": (
        lambda n, x: n.select(x, 0, 3, name="s"),  # type: ignore[arg-type]
        InvalidArgumentError,
        "'s'.*sequence of indices.*int 3",
    ),
    "a large array instead of a tensor": (
        lambda n, x: n.dense(x, 9, kernel=np.zeros((99, 9)), name="d"),  # type: ignore[arg-type]
        InvalidArgumentError,
        r"'d'.*expected a Tensor.*ndarray .{,120}$",
    ),
    "axis out of range": (
        lambda n, x: n.softmax(x, axis=3, name="s"),
        InvalidNetworkError,
        "'s'.*axis 3 is out of range.*3 axes",
    ),
    "axis of a norm out of range": (
        lambda n, x: n.batch_norm(x, axis=-4, name="s"),
        InvalidNetworkError,
        "'s'.*axis -4",
    ),
    "axis named twice": (
        lambda n, x: n.layer_norm(x, axes=(1, -2), name="s"),
        InvalidArgumentError,
        r"'s'.*\(1, 1\).*twice",
    ),
    "groups of a norm": (
        lambda n, x: n.group_norm(x, 3, name="s"),
        InvalidNetworkError,
        r"'s'.*\(4, 8, 8\).*3 groups",
    ),
    "number of elements": (
        lambda n, x: n.reshape(x, (5, -1), name="r"),
        InvalidNetworkError,
        r"'r'.*\(4, 8, 8\) has 256 elements.*\(5, -1\)",
    ),
    "two lengths to work out": (
        lambda n, x: n.reshape(x, (-1, -1), name="r"),
        InvalidArgumentError,
        "'r'.*at most one",
    ),
    "no permutation": (
        lambda n, x: n.transpose(x, (0, 1), name="t"),
        InvalidArgumentError,
        r"'t'.*\(0, 1\).*permutation",
    ),
    "an empty slice": (
        lambda n, x: n.slice(x, 0, 4, name="s"),
        InvalidNetworkError,
        "'s'.*reads nothing",
    ),
    "a step of zero": (
        lambda n, x: n.slice(x, 0, 0, 4, 0, name="s"),
        InvalidArgumentError,
        "'s'.*zero",
    ),
    "sections": (
        lambda n, x: n.split(x, 3, name="s"),
        InvalidNetworkError,
        "'s'.*length 4.*3",
    ),
    "index out of range": (
        lambda n, x: n.select(x, 0, [0, 4], name="s"),
        InvalidNetworkError,
        r"'s'.*-4 and 3.*\[0, 4\]",
    ),
    "negative index out of range": (
        lambda n, x: n.select(x, 0, [-5], name="s"),
        InvalidArgumentError,
        "'s'.*-4.*-5",
    ),
    "crop of everything": (
        lambda n, x: n.pad(x, [(0, 0), (-4, -4), (0, 0)], name="p"),
        InvalidNetworkError,
        "'p'.*leaves nothing",
    ),
    "pool without spatial axes": (
        lambda n, x: n.global_pool(n.flatten(x), name="g"),
        InvalidNetworkError,
        r"'g'.*\(256,\)",
    ),
    "factor": (
        lambda n, x: n.upsample(x, 0, name="u"),
        InvalidArgumentError,
        "'u'.*factor must be at least 1, got 0",
    ),
    "name of a function": (
        lambda n, x: n.activation(x, max, name="a"),  # type: ignore[arg-type]
        InvalidArgumentError,
        "'a'.*name of a function",
    ),
    "name taken": (
        lambda n, x: n.activation(x, name="input"),
        InvalidNetworkError,
        "'input'.*already",
    ),
    "name that is no string": (
        lambda n, x: n.activation(x, name=3),  # type: ignore[arg-type]
        InvalidArgumentError,
        "non-empty string, got 3",
    ),
    "name that breaks the line": (
        lambda n, x: n.activation(x, name="two\nlines"),
        InvalidArgumentError,
        r"printable.*two\\nlines",
    ),
    "tensor of another network": (
        lambda n, x: n.add(x, foreign(), name="sum"),
        InvalidNetworkError,
        "'sum'.*'stranger' belongs to another network",
    ),
    "kernel of another network": (
        lambda n, x: n.dense(x, 4, kernel=foreign(), name="d"),
        InvalidNetworkError,
        "'d'.*'stranger' belongs to another network",
    ),
    "no tensor": (
        lambda n, x: n.conv([1, 2], 4, 3, name="c"),  # type: ignore[arg-type]
        InvalidArgumentError,
        r"'c'.*expected a Tensor.*list \[1, 2\]",
    ),
    "output marked twice": (
        lambda n, x: n.output(x, x),
        InvalidNetworkError,
        "'input' is marked as an output twice",
    ),
    "output marked again": (
        lambda n, x: [mark(x) for mark in (n.output, n.output)],
        InvalidNetworkError,
        "'input' is marked as an output twice",
    ),
    "no output": (lambda n, x: n.output(), InvalidArgumentError, "at least one"),
    "zero size": (
        lambda n, x: n.input((3, 0), "zero"),
        InvalidArgumentError,
        "'zero'.*at least 1, got 0",
    ),
    "negative size": (
        lambda n, x: n.parameter("w", (3, -2)),
        InvalidArgumentError,
        "'w'.*at least 1, got -2",
    ),
    "shape that is no shape": (
        lambda n, x: n.tensor("t", "ab"),  # type: ignore[arg-type]
        InvalidArgumentError,
        "'t'.*integer, got 'ab'",
    ),
    "length beyond 64 bits": (
        lambda n, x: n.input((2**70,), "huge"),
        SizeOverflowError,
        "'huge'.*64 bits",
    ),
    "elements beyond 64 bits": (
        lambda n, x: n.input((2**40, 2**40), "huge"),
        SizeOverflowError,
        "'huge'.*64 bits",
    ),
    "units beyond 64 bits": (
        lambda n, x: n.dense(x, 2**62, name="d"),
        SizeOverflowError,
        "'d.*64 bits",
    ),
    "window too large to count": (
        lambda n, x: n.conv(x, 4, 2**30, dilation=2**30, padding="same", name="c"),
        SizeOverflowError,
        "'c'.*too large",
    ),
    "stride too large to count": (
        lambda n, x: n.conv(x, 4, 3, stride=2**62, name="c"),
        SizeOverflowError,
        "'c'.*stride.*too large",
    ),
    "link that leaves an axis out": (
        lambda n, x: n.link(x, n.tensor("t", 4), [Relation.same(0, 0), Relation.each(1)]),
        InvalidNetworkError,
        "'input'.*'t'.*axes",
    ),
    "link of unequal lengths": (
        lambda n, x: n.link(n.parameter("w", 3), n.tensor("t", 4), [Relation.same(0, 0)]),
        InvalidNetworkError,
        "'w'.*'t'.*3 and 4",
    ),
    "link into a parameter": (
        lambda n, x: n.link(x, n.parameter("w", ()), []),
        InvalidNetworkError,
        "'input'.*'w'",
    ),
    "link without relations": (
        lambda n, x: n.link(x, n.tensor("t", 4), [0]),  # type: ignore[list-item]
        InvalidArgumentError,
        r"'t'.*'input'.*Relation.*\[0\]",
    ),
    "link to no tensor": (
        lambda n, x: n.link(x, "t", []),  # type: ignore[arg-type]
        InvalidArgumentError,
        "expected a Tensor.*str 't'",
    ),
    "link from no tensor": (
        lambda n, x: n.link(None, n.tensor("t", 4), []),  # type: ignore[arg-type]
        InvalidArgumentError,
        "^layer 't': expected a Tensor.*NoneType None",
    ),
    "unknown name": (
        lambda n, x: n["inputs"],
        UnknownNameError,
        "'inputs'.*did you mean 'input'",
    ),
    "unknown semantics": (
        lambda n, x: Network(semantics="jacobian"),  # type: ignore[arg-type]
        InvalidArgumentError,
        "'value' or 'dependency', got 'jacobian'",
    ),
    "network without a name": (lambda n, x: Network(""), InvalidArgumentError, "non-empty"),
}


# Every layer, given three tensors, with other arguments that suit images.
LAYERS: dict[str, Callable[[Network, Tensor, Tensor, Tensor], Any]] = {
    "activation": lambda n, x, y, z: n.activation(x),
    "add": lambda n, x, y, z: n.add(x, y, z),
    "attention": lambda n, x, y, z: n.attention(x, y, z),
    "average_pool": lambda n, x, y, z: n.average_pool(x, 2),
    "batch_norm": lambda n, x, y, z: n.batch_norm(x, scale=y, mean=z),
    "concat": lambda n, x, y, z: (n.concat([x, y, z]), n.concat([x, y, z], -1)),
    "conv": lambda n, x, y, z: n.conv(x, 2, 1, kernel=y, bias=z),
    "conv_transpose": lambda n, x, y, z: n.conv_transpose(x, 2, 1, kernel=y, bias=z),
    "dense": lambda n, x, y, z: n.dense(x, 2, kernel=y, bias=z),
    "depthwise_conv": lambda n, x, y, z: n.depthwise_conv(x, 1, kernel=y, bias=z),
    "divide": lambda n, x, y, z: n.divide(x, y),
    "embedding": lambda n, x, y, z: n.embedding(x, 2, 2, table=y),
    "flatten": lambda n, x, y, z: n.flatten(x),
    "global_pool": lambda n, x, y, z: n.global_pool(x),
    "group_norm": lambda n, x, y, z: n.group_norm(x, 2, scale=y, shift=z),
    "instance_norm": lambda n, x, y, z: n.instance_norm(x, scale=y, shift=z),
    "layer_norm": lambda n, x, y, z: n.layer_norm(x, scale=y, shift=z),
    "link": lambda n, x, y, z: n.link(x, y, [Relation.same(0, 0)]),
    "matmul": lambda n, x, y, z: n.matmul(x, y),
    "max_pool": lambda n, x, y, z: n.max_pool(x, 2),
    "maximum": lambda n, x, y, z: n.maximum(x, y, z),
    "minimum": lambda n, x, y, z: n.minimum(x, y, z),
    "multi_head_attention": lambda n, x, y, z: n.multi_head_attention(x, 2, context=y),
    "multiply": lambda n, x, y, z: n.multiply(x, y, z),
    "output": lambda n, x, y, z: n.output(x, y, z),
    "pad": lambda n, x, y, z: n.pad(x, [(1, 1), (0, 1)]),
    "reshape": lambda n, x, y, z: n.reshape(x, (2, -1)),
    "rms_norm": lambda n, x, y, z: n.rms_norm(x, scale=y),
    "select": lambda n, x, y, z: n.select(x, 1, [0, 0]),
    "slice": lambda n, x, y, z: n.slice(x, 1, 0, 1),
    "softmax": lambda n, x, y, z: n.softmax(x, axis=1),
    "split": lambda n, x, y, z: n.split(x, 2, 1),
    "subtract": lambda n, x, y, z: n.subtract(x, y),
    "transpose": lambda n, x, y, z: n.transpose(x, (1, 0)),
    "upsample": lambda n, x, y, z: n.upsample(x, 2),
}


def test_every_layer_is_tried_here() -> None:
    layers = {
        name
        for name, method in inspect.getmembers(Network, inspect.isfunction)
        if method.__module__.startswith("unrolled.network.layers.") and not name.startswith("_")
    }
    assert layers | {"link", "output"} == set(LAYERS)


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS.keys())
def test_tensors_of_any_rank_are_taken_or_refused(
    layer: Callable[[Network, Tensor, Tensor, Tensor], Any],
) -> None:
    for ranks in product(range(5), repeat=3):
        net = Network()
        tensors = [net.parameter(f"p{at}", (2,) * rank) for at, rank in enumerate(ranks)]
        with suppress(UnrolledError):
            layer(net, *tensors)


@pytest.mark.parametrize("case", ERRORS.values(), ids=ERRORS.keys())
def test_what_is_no_network_is_refused(case: Case) -> None:
    attempt, kind, message = case
    net = Network("broken")
    x = net.input((4, 8, 8))
    with pytest.raises(kind, match=message):
        attempt(net, x)


@pytest.mark.parametrize(
    ("layer", "arguments", "wrong"),
    [
        ("conv", (4, 3), (4.0, 3)),
        ("conv", (4, 3), (4, 3.0)),
        ("conv", (4, (3, 3)), (4, (3, 3.0))),
        ("conv", (4, 3), (0, 3)),
        ("max_pool", (2,), (2.0,)),
        ("max_pool", ((2, 2),), ((2, 2.0),)),
        ("dense", (4,), (4.0,)),
        ("dense", (4,), ("4",)),
    ],
)
def test_numbers_of_a_wrong_type_are_refused_after_an_equal_layer(
    layer: str, arguments: tuple[Any, ...], wrong: tuple[Any, ...]
) -> None:
    # Layers that are alike are remembered, and 3.0 == 3.
    net = Network()
    x = net.input((2, 8, 8))
    getattr(net, layer)(x, *arguments, name="right")
    tensors = net.num_tensors
    for _ in range(2):
        with pytest.raises(InvalidArgumentError, match="'wrong'"):
            getattr(net, layer)(x, *wrong, name="wrong")
    assert net.num_tensors == tensors
