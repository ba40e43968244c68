"""Masks in PyTorch modules: what they hide has no edges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from cases.masks import BY_HEAD, CAUSAL, HEADS, MASKS, TOKENS  # noqa: E402
from oracles.masked_attention import assert_masked  # noqa: E402
from unrolled.importers.torch import from_torch  # noqa: E402

F = torch.nn.functional
SHAPES = {"q": (1, HEADS, TOKENS, 3), "k": (1, HEADS, TOKENS, 3), "v": (1, HEADS, TOKENS, 2)}


class Attention(torch.nn.Module):
    """Attention of parameters; the input is added to the queries."""

    def __init__(self, attend: Callable[..., Any]) -> None:
        super().__init__()
        self.q, self.k, self.v = (torch.nn.Parameter(torch.ones(s)) for s in SHAPES.values())
        self.attend = attend

    def forward(self, x: Any) -> Any:
        return self.attend(self.q + x, self.k, self.v)


def read(attend: Callable[..., Any], semantics: Any = "value") -> Any:
    return from_torch(Attention(attend), torch.zeros(1), semantics=semantics)


@pytest.mark.parametrize("semantics", ["value", "dependency"])
def test_causal_attention(semantics: Any) -> None:
    def attend(q: Any, k: Any, v: Any) -> Any:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)

    assert_masked(read(attend, semantics), SHAPES, CAUSAL)


@pytest.mark.parametrize("semantics", ["value", "dependency"])
@pytest.mark.parametrize("kind", ["flags", "numbers"])
@pytest.mark.parametrize("name", [*MASKS, *BY_HEAD])
def test_masks_of_attention(name: str, kind: str, semantics: Any) -> None:
    seen = {**MASKS, **BY_HEAD}[name]
    mask = torch.tensor(seen.copy())
    if kind == "numbers":
        mask = torch.zeros(mask.shape).masked_fill(~mask, -float("inf"))

    def attend(q: Any, k: Any, v: Any) -> Any:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)

    assert_masked(read(attend, semantics), SHAPES, seen)


def chosen(q: Any, k: Any, v: Any) -> Any:
    seen = torch.tril(torch.ones(TOKENS, TOKENS)) == 1
    return torch.where(seen, q @ k.mT, -1e9).softmax(-1) @ v


def filled(q: Any, k: Any, v: Any) -> Any:
    at = torch.arange(TOKENS)
    return (q @ k.mT).masked_fill(at > at[:, None], -float("inf")).softmax(-1) @ v


def added(q: Any, k: Any, v: Any) -> Any:
    mask = torch.full((TOKENS, TOKENS), torch.finfo(torch.float32).min).triu(1)
    return (q @ k.mT + mask).softmax(-1) @ v


def flattened(q: Any, k: Any, v: Any) -> Any:
    """Batch and heads as one axis, as in OPT."""
    q, k, v = (x.flatten(0, 1) for x in (q, k, v))
    seen = torch.ones(TOKENS, TOKENS, dtype=torch.bool).tril()
    weights = torch.bmm(q, k.mT).masked_fill(~seen, -1e4).softmax(-1)
    return torch.bmm(weights, v)


@pytest.mark.parametrize("semantics", ["value", "dependency"])
@pytest.mark.parametrize("attend", [chosen, filled, added, flattened])
def test_masks_written_out(attend: Callable[..., Any], semantics: Any) -> None:
    assert_masked(read(attend, semantics), SHAPES, CAUSAL)


def test_a_mask_known_only_at_run_time_changes_nothing() -> None:
    class Module(Attention):
        def forward(self, x: Any) -> Any:
            return F.scaled_dot_product_attention(self.q, self.k, self.v, attn_mask=x)

    network = from_torch(Module(chosen), torch.zeros(1, 1, 1, TOKENS, dtype=torch.bool))
    assert_masked(network, SHAPES, np.ones((TOKENS, TOKENS), bool))
    assert network.provenance is not None
    assert "run time" in "".join(network.provenance.skipped.values())
