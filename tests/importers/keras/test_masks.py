"""Masks in operations of Keras: what they hide has no edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cases.masks import BY_HEAD, CAUSAL, HEADS, MASKS, TOKENS
from oracles.keras_forms import keras, of_keras
from oracles.masked_attention import expected_counts
from unrolled import count
from unrolled.importers.keras import from_keras

ops = keras.ops
pytestmark = of_keras

SHAPES = {"q": (HEADS, TOKENS, 3), "k": (HEADS, TOKENS, 3), "v": (HEADS, TOKENS, 3)}


def model_of(attend: Any) -> Any:
    """Attention of probes, tokens before heads, as Keras has them."""
    inputs = [keras.Input((TOKENS, HEADS, 3), name=f"x{name}") for name in SHAPES]
    probes = [keras.layers.PReLU(name=name)(x) for name, x in zip(SHAPES, inputs, strict=True)]
    return keras.Model(inputs, attend(*probes))


def assert_masked(attend: Any, seen: Any, semantics: Any) -> None:
    counts = count(from_keras(model_of(attend), semantics=semantics))
    for name, expected in expected_counts(SHAPES, seen, semantics).items():
        found = counts[f"{name}/alpha"].exact().transpose(1, 0, 2)
        assert found.tolist() == expected, name


@pytest.mark.parametrize("semantics", ["value", "dependency"])
def test_causal_attention(semantics: Any) -> None:
    def attend(q: Any, k: Any, v: Any) -> Any:
        return ops.dot_product_attention(q, k, v, is_causal=True)

    assert_masked(attend, CAUSAL, semantics)


@pytest.mark.parametrize("semantics", ["value", "dependency"])
@pytest.mark.parametrize("name", [*MASKS, *BY_HEAD])
def test_masks_of_attention(name: str, semantics: Any) -> None:
    seen = {**MASKS, **BY_HEAD}[name]
    mask = np.broadcast_to(seen, (1, HEADS if seen.ndim == 3 else 1, TOKENS, TOKENS))

    def attend(q: Any, k: Any, v: Any) -> Any:
        return ops.dot_product_attention(q, k, v, mask=ops.convert_to_tensor(mask))

    assert_masked(attend, seen, semantics)


@pytest.mark.parametrize("safe", [False, True])
def test_masks_written_out(safe: bool) -> None:
    """A score that is put out, and then replaced by another low one, has no edge either way."""

    def attend(q: Any, k: Any, v: Any) -> Any:
        q, k, v = (ops.transpose(x, (0, 2, 1, 3)) for x in (q, k, v))
        scores = ops.matmul(q, ops.transpose(k, (0, 1, 3, 2)))
        scores = ops.where(ops.convert_to_tensor(CAUSAL), scores, -np.inf)
        if safe:
            scores = ops.where(ops.equal(scores, -np.inf), -1e9, scores)
        return ops.matmul(ops.softmax(scores), v)

    assert_masked(attend, CAUSAL, "value")
