"""What tests give to processes started anew: functions that such a process imports by name."""

from __future__ import annotations

from typing import Any

import numpy as np

import unrolled


def counted(model: Any) -> Any:
    """Count a model, which came pickled; what was counted goes back the same way."""
    return unrolled.count(model)


def analyzed(network: unrolled.Network) -> tuple[str, unrolled.Analysis]:
    """Analyze a network, and say by its fingerprint which one it was."""
    return network.fingerprint(), unrolled.analyze(network)


def failing(length: int) -> None:
    """Raise a `CycleError` that knows its nodes."""
    graph = unrolled.Graph.from_edges(np.arange(length), np.roll(np.arange(length), 1))
    unrolled.count(graph)
