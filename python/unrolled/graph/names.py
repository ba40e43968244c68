"""Names of the nodes of a graph: listed one by one, or made from the tensors of a network."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Iterator, Sequence, Sized
from math import prod
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from unrolled._support.caching import cached_property
from unrolled._support.hints import described, shortened
from unrolled.errors import CycleError, InvalidGraphError

__all__ = ["Names", "TableNames", "TensorNames", "TensorPlace", "as_names", "named_cycle"]


@runtime_checkable
class Names(Protocol):
    """The name of every node, and the node of every name."""

    def __len__(self) -> int:
        """Number of nodes."""

    def __getitem__(self, node: int, /) -> Hashable:
        """Name of a node."""

    def __iter__(self) -> Iterator[Hashable]:
        """All names, by node."""

    def find(self, name: Hashable) -> int | None:
        """Node of a name, or None if there is none."""


class TableNames:
    """Names that are listed one by one."""

    def __init__(self, names: Sequence[Hashable]) -> None:
        self._names = names

    @cached_property
    def _nodes(self) -> dict[Hashable, int]:
        return {name: node for node, name in enumerate(self._names)}

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, node: int, /) -> Hashable:
        return self._names[node]

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self._names)

    def find(self, name: Hashable) -> int | None:
        """Node of a name, or None if there is none."""
        return self._nodes.get(name)


class TensorPlace(NamedTuple):
    """Where the elements of a tensor are among the nodes, in row-major order."""

    start: int
    name: str
    shape: tuple[int, ...]


class TensorNames:
    """Names that are made when asked for: a tensor's name and the index of an element."""

    def __init__(self, tensors: Sequence[TensorPlace]) -> None:
        self._tensors = tensors
        self._starts = [tensor.start for tensor in tensors]
        self._places = {tensor.name: tensor for tensor in tensors}

    def __len__(self) -> int:
        return sum(prod(tensor.shape) for tensor in self._tensors)

    def __getitem__(self, node: int, /) -> Hashable:
        tensor = self._tensors[bisect_right(self._starts, node) - 1]
        index = np.unravel_index(node - tensor.start, tensor.shape)
        return (tensor.name, tuple(int(i) for i in index))

    def __iter__(self) -> Iterator[Hashable]:
        return (
            (tensor.name, index) for tensor in self._tensors for index in np.ndindex(tensor.shape)
        )

    def find(self, name: Hashable) -> int | None:
        """Node of a name, or None if there is none."""
        match name:
            case (str(tensor), tuple(index)) if tensor in self._places:
                place = self._places[tensor]
                lengths = zip(index, place.shape, strict=False)
                if len(index) == len(place.shape) and all(
                    isinstance(i, (int, np.integer)) and 0 <= i < length for i, length in lengths
                ):
                    return place.start + int(
                        np.ravel_multi_index(index, place.shape) if index else 0
                    )
        return None


def as_names(names: Sequence[Hashable] | Names | None, num_nodes: int) -> Names | None:
    """The names of the nodes of a graph, checked.

    Raises
    ------
    InvalidGraphError
        No sequence, not as many names as nodes, a name that cannot be hashed, or one that two nodes
        have.
    """
    if names is None:
        return None
    if not isinstance(names, (Sized, Names)) or isinstance(names, (str, bytes)):
        raise InvalidGraphError(
            f"names must be a sequence with one name for each node, got {described(names)}"
        )
    if len(names) != num_nodes:
        raise InvalidGraphError(
            f"{len(names)} names for a graph of {num_nodes} nodes; give one name for each node"
        )
    if isinstance(names, Names):
        return names
    numbers: dict[Hashable, int] = {}
    for node, name in enumerate(names):
        try:
            first = numbers.setdefault(name, node)
        except TypeError:
            raise InvalidGraphError(
                f"node {node} has the name {described(name)}; names must be hashable"
            ) from None
        if first != node:
            raise InvalidGraphError(
                f"nodes {first} and {node} are both named {described(name)}; names must differ"
            )
    return TableNames(list(names))


LONGEST_CYCLE = 20
"""So many nodes of a cycle are shown at most."""


def named_cycle(error: CycleError, names: Sequence[Hashable] | Names | None) -> CycleError:
    """Name the nodes of a cycle that the core, which knows their numbers only, has refused."""
    if names is None or not all(_has_name(node, names) for node in error.nodes):
        return error
    nodes = [names[node] for node in error.nodes if isinstance(node, int)]
    shown = [shortened(repr(node)) for node in nodes]
    if len(shown) > LONGEST_CYCLE:
        half = LONGEST_CYCLE // 2
        shown[half:-half] = [f"({len(shown) - 2 * half} more)"]
    return CycleError(
        f"the graph has a cycle: {' -> '.join(shown)}; counting paths needs an acyclic graph", nodes
    )


def _has_name(node: object, names: Sequence[Hashable] | Names) -> bool:
    return isinstance(node, int) and 0 <= node < len(names)
