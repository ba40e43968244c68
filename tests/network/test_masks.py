"""Attention with masks, against graphs of single elements built by loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unrolled
from oracles.counting import assert_engine_counts, counts_of
from oracles.element_graph import ElementGraph
from unrolled import Network
from unrolled.errors import InvalidArgumentError, InvalidNetworkError

TOKENS = 5
LATER = np.tril(np.ones((TOKENS, TOKENS), bool))
AT = np.arange(TOKENS)

MASKS = {
    "causal": LATER,
    "anticausal": LATER.T,
    "without oneself": np.tril(LATER, -1),
    "sliding window": LATER & (AT[:, None] - AT < 2),
    "window on both sides": np.abs(AT[:, None] - AT) < 2,
    "blocks": AT[:, None] // 2 == AT // 2,
    "prefix": LATER | (AT < 3),
    "padding": np.broadcast_to(AT < 3, (TOKENS, TOKENS)),
    "one query sees nothing": LATER & (AT != 2)[:, None],
    "oneself": np.eye(TOKENS, dtype=bool),
    "nothing in common": np.array([[0, 1, 0, 1, 1]] * 2 + [[1, 0, 1, 0, 0]] * 3, bool),
    "by head": np.stack([LATER, LATER.T, LATER]),
    "by head, one of them whole": np.stack([LATER, LATER | True]),
}


@pytest.mark.parametrize("semantics", ["value", "dependency"])
@pytest.mark.parametrize("name", MASKS)
def test_masked_attention_has_the_paths_of_its_elements(name: str, semantics: Any) -> None:
    seen = MASKS[name]
    heads = seen.shape[0] if seen.ndim == 3 else 2
    net, graph = Network(semantics=semantics), ElementGraph(semantics)
    shapes = {"q": (heads, TOKENS, 2), "k": (1, TOKENS, 2), "v": (TOKENS, 3)}
    tensors = [net.parameter(role, shape) for role, shape in shapes.items()]
    nodes = [graph.parameter(role, shape) for role, shape in shapes.items()]
    net.output(net.attention(*tensors, mask=seen))
    graph.output(graph.masked_attention(*nodes, seen))
    expected = {role: counts.tolist() for role, counts in graph.count().items()}
    assert counts_of(net) == expected
    unrolled_graph = unrolled.count(net.unroll())
    assert int(unrolled_graph.total) == int(unrolled.count(net).total)


def test_lengths_are_those_of_the_products_and_the_softmax() -> None:
    found = []
    for mask in (None, np.broadcast_to(np.arange(4) < 3, (4, 4))):
        net = Network()
        query, key = net.parameter("q", (4, 2)), net.parameter("k", (4, 2))
        net.output(net.attention(query, key, net.parameter("v", (4, 2)), mask=mask))
        counts = unrolled.count(net, lengths=True)
        found.append([float(np.ravel(counts[name].mean_length())[0]) for name in "qkv"])
    assert found[0] == found[1]


@pytest.mark.parametrize("semantics", ["value", "dependency"])
@pytest.mark.parametrize(("queries", "keys"), [(4, 4), (2, 5), (4, 2), (1, 3)])
def test_causal_is_the_lower_triangle_at_the_last_key(
    queries: int, keys: int, semantics: Any
) -> None:
    found = []
    for arguments in (
        {"causal": True},
        {"mask": np.tril(np.ones((queries, keys), bool), keys - queries)},
    ):
        net = Network(semantics=semantics)
        query, key = net.parameter("q", (queries, 3)), net.parameter("k", (keys, 3))
        net.output(net.attention(query, key, net.parameter("v", (keys, 2)), **arguments))
        found.append(counts_of(net))
    assert found[0] == found[1]


@pytest.mark.parametrize("semantics", ["value", "dependency"])
def test_a_decoder_of_two_layers_against_its_elements(semantics: Any) -> None:
    tokens, channels, heads = 4, 4, 2
    size = channels // heads
    net, graph = Network(semantics=semantics), ElementGraph(semantics)
    x, nodes = net.parameter("x", (tokens, channels)), graph.parameter("x", (tokens, channels))
    seen = np.tril(np.ones((tokens, tokens), bool))
    for layer in ("a", "b"):
        mixed = net.multi_head_attention(x, heads, causal=True, use_bias=False, name=layer)
        x = net.add(x, mixed)
        parts = []
        for role in ("query", "key", "value"):
            kernel = graph.parameter(f"{layer}/{role}/kernel", (channels, channels))
            part = graph.dense(nodes, kernel, None)
            parts.append(part.reshape(tokens, heads, size).transpose(1, 0, 2))
        y = graph.masked_attention(*parts, seen).transpose(1, 0, 2).reshape(tokens, channels)
        kernel = graph.parameter(f"{layer}/output/kernel", (channels, channels))
        nodes = graph.elementwise(nodes, graph.dense(y, kernel, None))
    net.output(x)
    graph.output(nodes)
    assert_engine_counts(net, {name: counts.tolist() for name, counts in graph.count().items()})


def test_nothing_that_comes_later_has_a_context_at_the_first_token() -> None:
    net = Network()
    x = net.parameter("x", (5, 4))
    y = net.multi_head_attention(x, 2, causal=True)
    y = net.multi_head_attention(net.add(x, y), 2, causal=True)
    net.output(net.slice(y, 0, 2, 3))
    positive = np.array(counts_of(net)["x"]) > 0
    assert positive.all(axis=1).tolist() == [True, True, True, False, False]
    assert not positive[3:].any()


def test_a_mask_that_hides_nothing_changes_nothing() -> None:
    nets = []
    for mask in (None, np.ones((3, 3), bool)):
        net = Network()
        x = net.parameter("x", (3, 2))
        net.output(net.attention(x, x, x, mask=mask))
        nets.append(net)
    assert nets[0] == nets[1]


def test_long_sequences_are_counted_by_their_tokens() -> None:
    """Values are read by as many queries as follow them: 1 to n, however long the sequence is."""
    tokens = 100_000
    net = Network()
    x = net.input((tokens, 2), "x")
    value = net.parameter("v", (tokens, 1))
    net.output(net.attention(x, x, value, causal=True))
    assert unrolled.count(net).total == tokens * (tokens + 1) // 2


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"mask": np.ones((4, 3), bool)}, InvalidNetworkError, r"\(4, 3\) does not fit"),
        ({"mask": np.ones(4, bool)}, InvalidNetworkError, "does not fit"),
        ({"mask": np.zeros((4, 4))}, InvalidArgumentError, "truth values"),
        ({"mask": np.ones((4, 4), bool), "causal": True}, InvalidArgumentError, "mask alone"),
        ({"causal": np.ones(2)}, InvalidArgumentError, "causal"),
    ],
)
def test_masks_that_are_refused(arguments: Any, error: type[Exception], message: str) -> None:
    net = Network()
    x = net.input((4, 2))
    before = net.tensors
    with pytest.raises(error, match=message):
        net.attention(x, x, x, name="mix", **arguments)
    with pytest.raises(error, match=message):
        net.multi_head_attention(x, 1, name="mix", **arguments)
    assert net.tensors == before


def test_a_mask_that_differs_along_two_leading_axes_is_refused() -> None:
    net = Network()
    x = net.input((2, 2, 2, 2))
    mask = np.zeros((2, 2, 2, 2), bool)
    mask[0, 1, 0, 1] = mask[1, 0, 1, 1] = True
    with pytest.raises(InvalidNetworkError, match="more than one leading axis"):
        net.attention(x, x, x, mask=mask)
