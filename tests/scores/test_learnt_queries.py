"""Attention of which one side is computed from parameters alone: pooling by learnt queries."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

import unrolled
from unrolled import Network, Tensor

KEYS, WIDTH, CLASSES = 64, 16, 5


def pooled(query: Callable[[Network], Tensor], *, mask: bool = False) -> Network:
    """Tokens that are put together by a query of their own."""
    net = Network("pooled")
    x = net.input((KEYS, WIDTH), name="tokens")
    key, value = (net.dense(x, WIDTH, use_bias=False, name=name) for name in ("key", "value"))
    hidden = {"mask": np.arange(KEYS)[None] >= 16} if mask else {}
    y = net.attention(query(net), key, value, **hidden)
    net.output(net.dense(y, CLASSES, use_bias=False, name="out"))
    return net


def as_input(net: Network) -> Tensor:
    return net.input((1, WIDTH), name="query")


def as_parameter(net: Network) -> Tensor:
    return net.parameter("query", (1, WIDTH))


def projected(net: Network) -> Tensor:
    return net.dense(net.layer_norm(net.parameter("latent", (1, 40))), WIDTH, use_bias=False)


@pytest.mark.parametrize("mask", [False, True])
def test_learnt_queries_score_like_queries_that_enter(mask: bool) -> None:
    entering = unrolled.score(pooled(as_input, mask=mask)).to_dict()
    learnt = unrolled.score(pooled(as_parameter, mask=mask)).to_dict()
    differing = {key for key in learnt if learnt[key] != entering[key]}
    assert differing == {"num_parameters"}


@pytest.mark.parametrize("mask", [False, True])
def test_layers_on_no_path_from_an_input_do_not_count(mask: bool) -> None:
    direct = unrolled.score(pooled(as_parameter, mask=mask)).to_dict()
    behind = unrolled.score(pooled(projected, mask=mask)).to_dict()
    differing = {key for key in behind if behind[key] != direct[key]}
    assert differing == {"num_parameters"}


def test_the_size_of_a_learnt_query_counts() -> None:
    def twice(net: Network) -> Tensor:
        return net.activation(as_parameter(net), "linear(2, 0)")

    def thrice(net: Network) -> Tensor:
        return net.activation(as_input(net), "linear(3, 0)")

    def entropy(query: Callable[[Network], Tensor]) -> float:
        return unrolled.score(pooled(query)).saliency_entropy

    assert entropy(twice) != entropy(as_parameter)
    # The scaling that an input begins with is none.
    assert entropy(thrice) == entropy(as_input)


@pytest.mark.parametrize("queries", [1, 16, 64])
def test_saliency_of_pooled_tokens_is_that_of_random_networks(queries: int) -> None:
    """Values are read by as many queries as there are, each with its weight."""
    net = pooled(lambda net: net.parameter("query", (queries, WIDTH)))
    found = unrolled.score(net)
    rng = np.random.default_rng(0)
    squares = np.zeros(2)
    draws = 600
    for _ in range(draws):
        q, k, v = (rng.standard_normal((n, WIDTH)) for n in (queries, KEYS, KEYS))
        weights = np.exp(q @ k.T / math.sqrt(WIDTH))
        weights /= weights.sum(axis=1, keepdims=True)
        # Outputs are independent, so that the squares of their derivatives add up.
        signs = rng.standard_normal((queries, CLASSES)) @ rng.standard_normal((CLASSES, WIDTH))
        arriving = signs / math.sqrt(WIDTH)
        by_value = weights.T @ arriving
        by_weight = arriving @ v.T
        by_score = weights * (by_weight - np.sum(weights * by_weight, axis=1, keepdims=True))
        by_key = by_score.T @ q / math.sqrt(WIDTH)
        squares += np.mean(by_key**2) / draws, np.mean(by_value**2) / draws
    # What the page on scores says of each kernel: channels, positions, squares of signals (those
    # of tokens, and of the mean that a query takes) and of derivatives.
    mean = np.exp(1.0) / KEYS / (1 + (np.exp(1.0) - 1) / KEYS)
    powers = [KEYS * WIDTH * squares[0], KEYS * WIDTH * squares[1], CLASSES * queries * mean]
    units = [
        KEYS * WIDTH * math.sqrt(WIDTH),
        KEYS * WIDTH * math.sqrt(WIDTH),
        queries * CLASSES * math.sqrt(WIDTH),
    ]
    roots = [math.sqrt(one * unit) for one, unit in zip(powers, units, strict=True)]
    shares = np.array(roots) / sum(roots)
    entropy = -np.sum(shares * np.log(shares / np.array(units)))
    assert found.saliency_entropy == pytest.approx(entropy, abs=0.01)


def test_keys_and_values_may_be_learnt_as_well() -> None:
    for mask in (None, np.eye(4, 3, dtype=bool)):
        net = Network()
        x = net.dense(net.input((4, 2)), 2, use_bias=False, name="in")
        keys, values = net.parameter("keys", (3, 2)), net.parameter("values", (3, 2))
        net.output(net.dense(net.attention(x, keys, values, mask=mask), 2, name="out"))
        assert unrolled.score(net).layers == 2
        assert math.isfinite(unrolled.score(net).saliency_entropy)


def test_a_product_of_parameters_alone_does_not_make_a_score() -> None:
    """SigLIP's head multiplies its probe with a slice of a parameter: a layer, and on no path."""
    torch = pytest.importorskip("torch")

    class Pool(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.probe = torch.nn.Parameter(torch.randn(1, 1, WIDTH))
            self.attention = torch.nn.MultiheadAttention(WIDTH, 1, bias=False, batch_first=True)

        def forward(self, x: object) -> object:
            return self.attention(self.probe, x, x)[0]

    model = Pool().eval()
    found = unrolled.score(unrolled.from_torch(model, torch.zeros(1, KEYS, WIDTH), operations=True))
    net = Network()
    x = net.input((KEYS, WIDTH))
    key, value = (net.dense(x, WIDTH, use_bias=False) for _ in range(2))
    y = net.attention(net.parameter("query", (1, WIDTH)), key, value)
    net.output(net.dense(y, WIDTH, use_bias=False))
    expected = unrolled.score(net)
    assert found.layers == expected.layers - 1  # Keys and values have one kernel in two halves.
    assert found.effective_units == pytest.approx(expected.effective_units)
    assert found.saliency_entropy == pytest.approx(expected.saliency_entropy, rel=1e-6)
