"""Masks of attention as arrays, True where a query sees a key, by name."""

from __future__ import annotations

import numpy as np

TOKENS, HEADS = 5, 2
AT = np.arange(TOKENS)
CAUSAL = np.tril(np.ones((TOKENS, TOKENS), bool))

MASKS = {
    "causal": CAUSAL,
    "without oneself": np.tril(CAUSAL, -1) | (AT == 0) & (AT == 0)[:, None],
    "sliding window": CAUSAL & (AT[:, None] - AT < 2),
    "window on both sides": np.abs(AT[:, None] - AT) < 2,
    "blocks": AT[:, None] // 2 == AT // 2,
    "prefix": CAUSAL | (AT < 3),
    "padding": np.broadcast_to(AT < 3, (TOKENS, TOKENS)),
    "scattered": np.array([[0, 1, 0, 1, 1]] * 2 + [[1, 0, 1, 0, 0]] * 3, bool),
}
"""Each for all heads."""

BY_HEAD = {
    "causal and not": np.stack([CAUSAL, CAUSAL.T]),
    "one is whole": np.stack([CAUSAL, CAUSAL | True]),
}
"""Each with an axis of heads in front."""
