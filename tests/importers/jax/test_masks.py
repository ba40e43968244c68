"""Masks in JAX functions: what they hide has no edges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402

from cases.masks import BY_HEAD, CAUSAL, HEADS, MASKS, TOKENS  # noqa: E402
from oracles.jax_counting import shaped  # noqa: E402
from oracles.masked_attention import expected_counts  # noqa: E402
from unrolled import count  # noqa: E402
from unrolled.importers.jax import from_jax  # noqa: E402

WIDTHS = {"q": 3, "k": 3, "v": 3}
PARAMS = {name: shaped(1, TOKENS, HEADS, width) for name, width in WIDTHS.items()}
SHAPES = {name: (HEADS, TOKENS, width) for name, width in WIDTHS.items()}


def assert_masked(function: Callable[[Any], Any], seen: Any, semantics: Any) -> Any:
    """Counts are those of attention with the mask; tokens come before heads in JAX."""
    network = from_jax(function, PARAMS, semantics=semantics)
    counts = count(network)
    for name, expected in expected_counts(SHAPES, seen, semantics).items():
        found = counts[name].exact()[0].transpose(1, 0, 2)
        assert found.tolist() == expected, name
    return network


@pytest.mark.parametrize("semantics", ["value", "dependency"])
def test_causal_attention(semantics: Any) -> None:
    assert_masked(
        lambda p: jax.nn.dot_product_attention(p["q"], p["k"], p["v"], is_causal=True),
        CAUSAL,
        semantics,
    )


@pytest.mark.parametrize("semantics", ["value", "dependency"])
@pytest.mark.parametrize("name", [*MASKS, *BY_HEAD])
def test_masks_of_attention(name: str, semantics: Any) -> None:
    seen = {**MASKS, **BY_HEAD}[name]
    mask = jnp.asarray(np.broadcast_to(seen, (1, HEADS, TOKENS, TOKENS)))
    assert_masked(
        lambda p: jax.nn.dot_product_attention(p["q"], p["k"], p["v"], mask=mask), seen, semantics
    )


def test_a_local_window() -> None:
    assert_masked(
        lambda p: jax.nn.dot_product_attention(
            p["q"], p["k"], p["v"], is_causal=True, local_window_size=1
        ),
        MASKS["sliding window"],
        "value",
    )


def scores(p: Any) -> Any:
    return jnp.einsum("bqhd,bkhd->bhqk", p["q"], p["k"]) / 2


def mixed(weights: Any, p: Any) -> Any:
    return jnp.einsum("bhqk,bkhd->bqhd", weights, p["v"])


def chosen(p: Any) -> Any:
    seen = jnp.tril(jnp.ones((TOKENS, TOKENS), bool))
    return mixed(jax.nn.softmax(jnp.where(seen, scores(p), -jnp.inf)), p)


def added(p: Any) -> Any:
    bias = jnp.where(jnp.arange(TOKENS)[:, None] >= jnp.arange(TOKENS), 0.0, -1e9)
    return mixed(jax.nn.softmax(scores(p) + bias), p)


def given_to_softmax(p: Any) -> Any:
    seen = jnp.tri(TOKENS, dtype=bool)
    return mixed(jax.nn.softmax(scores(p), where=seen, axis=-1), p)


@pytest.mark.parametrize("semantics", ["value", "dependency"])
@pytest.mark.parametrize("function", [chosen, added, given_to_softmax])
def test_masks_written_out(function: Callable[[Any], Any], semantics: Any) -> None:
    assert_masked(function, CAUSAL, semantics)


def test_a_mask_after_the_softmax() -> None:
    def function(p: Any) -> Any:
        return mixed(jnp.tril(jax.nn.softmax(scores(p))), p)

    assert_masked(function, CAUSAL, "value")


def test_a_mask_known_only_at_run_time_changes_nothing() -> None:
    def function(p: Any, seen: Any) -> Any:
        return jax.nn.dot_product_attention(p["q"], p["k"], p["v"], mask=seen)

    network = from_jax(function, PARAMS, shaped(1, 1, 1, TOKENS, dtype=jnp.bool_))
    counts = count(network)
    expected = expected_counts(SHAPES, CAUSAL | True, "value")
    assert counts["v"].exact()[0].transpose(1, 0, 2).tolist() == expected["v"]
    assert network.provenance is not None
    assert "run time" in "".join(network.provenance.skipped.values())
