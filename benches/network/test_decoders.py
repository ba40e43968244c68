"""Decoders with causal attention: time and memory, exactly and in log space."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

import unrolled

Measure = Callable[..., None]

GPT2_SMALL = {"layers": 12, "width": 768, "heads": 12, "vocabulary": 50257}
LARGE = {"layers": 32, "width": 4096, "heads": 32, "vocabulary": 32000}


@cache
def decoder(layers: int, width: int, heads: int, vocabulary: int, tokens: int) -> unrolled.Network:
    """Pre-norm transformer blocks on embeddings of tokens and positions."""
    net = unrolled.Network()
    x = net.embedding(net.input((tokens,), "ids"), vocabulary, width, name="words")
    x = net.add(x, net.parameter("positions", (tokens, width)))
    for number in range(layers):
        name = f"block{number}"
        mixed = net.layer_norm(x, name=f"{name}/norm1")
        mixed = net.multi_head_attention(mixed, heads, causal=True, name=f"{name}/attention")
        x = net.add(x, mixed)
        hidden = net.dense(net.layer_norm(x, name=f"{name}/norm2"), 4 * width, name=f"{name}/up")
        x = net.add(x, net.dense(net.activation(hidden, "gelu"), width, name=f"{name}/down"))
    x = net.layer_norm(x, name="norm")
    net.output(net.dense(x, vocabulary, use_bias=False, name="head"))
    return net


@pytest.mark.parametrize("exact", [True, False], ids=["exact", "log"])
@pytest.mark.parametrize(
    ("name", "sizes", "tokens"),
    [("gpt-2 small", GPT2_SMALL, 1024), ("32 layers of 4,096", LARGE, 8192)],
)
def test_decoders(
    measure: Measure, smoke: bool, name: str, sizes: dict[str, int], tokens: int, exact: bool
) -> None:
    net = decoder(**sizes, tokens=64 if smoke else tokens)
    case = f"{'exact' if exact else 'log'}, {name} at {tokens}"
    limit = 500 << 20 if tokens == 1024 else 4 << 30

    def log2_total(counts: Any) -> float:
        return float(counts.log2_total)

    def run() -> Any:
        return unrolled.count(net, exact=exact, memory_limit=limit)

    measure(case, "unrolled", run, log2_total, rounds=3)
