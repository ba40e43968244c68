"""Reading the layers of a network: in which order tensors are computed, and from how much."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from unrolled.network.builder import Link, Tensor
from unrolled.network.network import Network

__all__ = ["evaluation_order", "fan_in", "links_by_target"]


def links_by_target(network: Network) -> dict[int, list[Link]]:
    """The links into every tensor that carry what depends on the inputs.

    Those from kernels and biases are left out, unless a kernel is computed itself.
    """
    into: dict[int, list[Link]] = {}
    for link in network.links:
        if link.role == "data" or link.source.role != "parameter":
            into.setdefault(link.target.id, []).append(link)
    return into


def evaluation_order(network: Network, into: Mapping[int, Sequence[Link]]) -> list[Tensor]:
    """Inputs and activations that an output depends on, each behind what it is computed from."""
    order: list[Tensor] = []
    begun: set[int] = set()
    stack = [(tensor, False) for tensor in reversed(network.outputs)]
    while stack:
        tensor, is_ready = stack.pop()
        if is_ready:
            order.append(tensor)
        elif tensor.id not in begun:
            begun.add(tensor.id)
            stack.append((tensor, True))
            sources = [link.source for link in into.get(tensor.id, ())]
            stack += [(source, False) for source in sources if source.id not in begun]
    return [tensor for tensor in order if tensor.role != "parameter"]


def fan_in(kernel: Link) -> float:
    """How many weights an element is computed from, if all of its window is in bounds.

    Parameters
    ----------
    kernel : Link
        From a kernel to the tensor it is applied for.
    """
    # Axes that are carried over number the outputs; all others are summed over.
    outputs = math.prod(
        kernel.source.shape[axis]
        for relation in kernel.relations
        if relation.kind == "same"
        for axis in relation.source_axes
    )
    return kernel.source.size / outputs
