"""How many elements of activations have to be in memory, forwards and backwards.

All numbers are elements of one sample; `width_of` has the bytes of an element.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from unrolled._support.hints import described
from unrolled.costs.data_flow import DataFlow, takes_memory_of
from unrolled.errors import InvalidArgumentError
from unrolled.network.builder import Link, Tensor
from unrolled.network.network import Network

__all__ = ["Activations", "activations_in", "activations_of", "width_of"]

BFLOAT16 = "bfloat16"
"""A type of two bytes that NumPy does not know."""

FREE_KINDS = ("sum", "average", "move")
"""Operations whose derivatives need none of the values that they read."""


class Activations(NamedTuple):
    """Elements of activations that a network has in memory, of one sample.

    Attributes
    ----------
    total : int
        Of all that is computed, each once; reshapes and transposes share the memory of what they
        read. The inputs are not among it.
    forward_peak : int
        The most at any moment of an evaluation in the order of declaration, which frees a tensor
        when nothing needs it any more; inputs are among it.
    saved : int
        What a reverse sweep finds kept: inputs of weighted sums, functions, norms, products and
        maxima, each once.
    backward_peak : int
        The most at any moment of the reverse sweep: what is still kept, and derivatives at work.
    by_kind : dict of str to (int, int)
        For each kind of operation that something is kept for, how many tensors it is the first to
        ask for, and their elements.
    """

    total: int
    forward_peak: int
    saved: int
    backward_peak: int
    by_kind: dict[str, tuple[int, int]]

    def in_bytes(self, dtype: Any = "float32") -> Activations:
        """The same in bytes, for elements of a type that NumPy knows, or "bfloat16".

        Raises
        ------
        InvalidArgumentError
            Another type.

        Examples
        --------
        >>> from unrolled import models
        >>> activations_of(models.mlp([4, 4], inputs=3, classes=2)).in_bytes("float16").saved
        22
        """
        _, width = width_of(dtype)
        return Activations(
            self.total * width,
            self.forward_peak * width,
            self.saved * width,
            self.backward_peak * width,
            {kind: (number, size * width) for kind, (number, size) in self.by_kind.items()},
        )


def activations_of(
    network: Network, num_tensors: int | None = None, num_outputs: int | None = None
) -> Activations:
    """Count the elements of activations of a network.

    Parameters
    ----------
    network : Network
    num_tensors, num_outputs : int, optional
        Only its first tensors, and only so many elements of outputs, for a network that has grown
        since; by default all.

    Raises
    ------
    NothingToCountError
        No path leads from an input to an output.

    Examples
    --------
    >>> from unrolled import models
    >>> found = activations_of(models.mlp([4, 4], inputs=3, classes=2))
    >>> found.total, found.forward_peak, found.saved
    (10, 8, 11)
    """
    return activations_in(DataFlow(network, num_tensors, num_outputs))


def activations_in(flow: DataFlow) -> Activations:
    """Count the elements of activations of what lies between inputs and outputs."""
    kinds = flow.kinds
    into: dict[int, list[Link]] = {tensor.id: [] for tensor in flow.tensors}
    for link in flow.links:
        into[link.target.id].append(link)
    root = _find_shared_memory(flow, into)
    # By tensor that is kept: the first operation that asks for it, which is the last to need it.
    needed_by: dict[int, Tensor] = {}
    for tensor in flow.tensors:
        if tensor.role != "activation" or kinds[tensor.id] in FREE_KINDS:
            continue
        for link in into[tensor.id]:
            needed_by.setdefault(root[link.source.id], tensor)
    sizes = {tensor.id: tensor.size for tensor in flow.tensors}
    by_kind: dict[str, tuple[int, int]] = {}
    for number, tensor in needed_by.items():
        kind = kinds[tensor.id]
        tensors, size = by_kind.get(kind, (0, 0))
        by_kind[kind] = (tensors + 1, size + sizes[number])
    owned = [tensor for tensor in flow.tensors if root[tensor.id] == tensor.id]
    return Activations(
        sum(tensor.size for tensor in owned if tensor.role != "input"),
        _find_forward_peak(flow, into, root, sizes),
        sum(size for _, size in by_kind.values()),
        _find_backward_peak(flow, into, needed_by, sizes),
        by_kind,
    )


def width_of(dtype: Any) -> tuple[str, int]:
    """The name of a type of numbers, and the bytes of one.

    Raises
    ------
    InvalidArgumentError
        Neither a type of numbers that NumPy knows nor "bfloat16".

    Examples
    --------
    >>> width_of("float16"), width_of("bfloat16")
    (('float16', 2), ('bfloat16', 2))
    """
    if isinstance(dtype, str) and dtype == BFLOAT16:
        return BFLOAT16, 2
    try:
        known = np.dtype(dtype)
    except TypeError:
        known = np.dtype(object)
    if known.kind not in "fciub" or dtype is None:
        raise InvalidArgumentError(
            f"dtype must be a type of numbers such as 'float32', got {described(dtype)}"
        )
    return known.name, known.itemsize


def _find_shared_memory(flow: DataFlow, into: dict[int, list[Link]]) -> dict[int, int]:
    """For every tensor the one whose memory it shares: its own, or that of what is reshaped."""
    readers = Counter(link.source.id for links in into.values() for link in links)
    root: dict[int, int] = {}
    for tensor in flow.tensors:
        links = into[tensor.id]
        kind = flow.kinds[tensor.id] if tensor.role == "activation" else ""
        number = readers[links[0].source.id] if links else 0
        shared = takes_memory_of(kind, tensor, links, number)
        root[tensor.id] = root[links[0].source.id] if shared else tensor.id
    return root


def _find_forward_peak(
    flow: DataFlow, into: dict[int, list[Link]], root: dict[int, int], sizes: dict[int, int]
) -> int:
    """The most elements at any step of an evaluation."""
    last = {root[tensor.id]: at for at, tensor in enumerate(flow.tensors)}
    for at, tensor in enumerate(flow.tensors):
        for link in into[tensor.id]:
            last[root[link.source.id]] = at
    last |= {root[tensor.id]: len(flow.tensors) for tensor in flow.outputs}
    freed: dict[int, list[int]] = {}
    for number, at in last.items():
        freed.setdefault(at, []).append(number)
    # Inputs are there before anything is computed.
    held = sum(tensor.size for tensor in flow.inputs)
    peak = held
    for at, tensor in enumerate(flow.tensors):
        if root[tensor.id] == tensor.id and tensor.role != "input":
            held += sizes[tensor.id]
        peak = max(peak, held)
        held -= sum(sizes[number] for number in freed.get(at, ()))
    return peak


def _find_backward_peak(
    flow: DataFlow,
    into: dict[int, list[Link]],
    needed_by: dict[int, Tensor],
    sizes: dict[int, int],
) -> int:
    """The most elements at any step of the reverse sweep."""
    freed: dict[int, list[int]] = {}
    for number, tensor in needed_by.items():
        freed.setdefault(tensor.id, []).append(number)
    kept = sum(sizes[number] for number in needed_by)
    working = {tensor.id for tensor in flow.outputs}
    at_work = _add_sizes(working, sizes)
    peak = kept + at_work
    for tensor in reversed(flow.tensors):
        sources = {link.source.id for link in into[tensor.id] if link.source.role != "input"}
        at_work += _add_sizes(sources - working, sizes)
        working |= sources
        peak = max(peak, kept + at_work)
        if tensor.id in working:
            working.discard(tensor.id)
            at_work -= sizes[tensor.id]
        kept -= _add_sizes(freed.get(tensor.id, ()), sizes)
    return peak


def _add_sizes(numbers: Iterable[int], sizes: dict[int, int]) -> int:
    return sum(sizes[number] for number in numbers)
