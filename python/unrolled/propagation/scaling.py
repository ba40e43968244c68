"""The variances of kernels that give every layer's output the same mean square."""

from __future__ import annotations

from math import inf, isfinite, log2

from unrolled.errors import InvalidArgumentError
from unrolled.propagation.propagation import propagate
from unrolled.propagation.records import Propagation

__all__ = ["scaled_variances"]

MOST_ROUNDS = 60
"""Sweeps after which scaling weights gives up."""

CLOSE = 1e-6
"""What the binary logarithm of a mean square may miss."""


def scaled_variances(propagation: Propagation, target: float) -> dict[str, float]:
    """Correct all kernels at once, again and again, until every output has the mean square."""
    variances = {kernel.name: kernel.mean_square for kernel in propagation.kernels}
    origins = _origins(propagation)
    settings = dict(propagation.settings)
    asked = settings.pop("overrides") or {}
    free = {
        kernel.name
        for kernel in propagation.kernels
        if kernel.name not in asked and kernel.layer not in asked and kernel.mean_square > 0
    }
    # A scheme may say what biases are; a mapping of variances does not.
    biases = {
        one.name: one.mean_square
        for one in propagation.parameters
        if one.role == "bias" and one.mean_square
    }
    goal, current = log2(target), propagation
    for _ in range(MOST_ROUNDS):
        reached = {tensor.name: tensor.log2_mean_square for tensor in current.tensors}
        missed = ""
        # By how much the output of each layer will have changed, so that layers behind it know.
        changes: dict[str, float] = {}
        for kernel in current.kernels:
            origin = origins.get(kernel.source or "")
            before = 0.0 if origin is None else changes.get(origin, 0.0)
            excess = reached[kernel.target] - goal
            if kernel.name not in free or not isfinite(excess):
                changes[kernel.target] = before
                continue
            if abs(excess) >= CLOSE and not missed:
                missed = kernel.layer
            changes[kernel.target] = -excess
            change = -excess - before
            variances[kernel.name] *= 2.0 ** max(min(change, 900.0), -900.0)
        if not missed or not all(0 < variances[name] < inf for name in free):
            break
        current = propagate(
            propagation.network,
            **settings,
            overrides={**asked, **{name: variances[name] for name in free}},
        )
    if missed:
        raise InvalidArgumentError(
            f"no variance was found that gives layer '{missed}' a mean square of {target:g}; its "
            "biases, or what else is added there, may be larger: give smaller biases, or another "
            "target"
        )
    return {**variances, **biases}


def _origins(propagation: Propagation) -> dict[str, str]:
    """For each tensor the layer whose output sets its scale; none behind a normaliser."""
    targets = {kernel.target for kernel in propagation.kernels}
    first: dict[str, str] = {}
    for link in propagation.network.links:
        if link.role == "data":
            first.setdefault(link.target.name, link.source.name)
    origins: dict[str, str] = {}
    for tensor in propagation.tensors:
        if tensor.name in targets:
            origins[tensor.name] = tensor.name
        elif not tensor.kind.endswith("_norm") and tensor.kind not in ("softmax", "input"):
            before = origins.get(first.get(tensor.name, ""))
            if before is not None:
                origins[tensor.name] = before
    return origins
