"""Names of the nodes of a graph."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Iterator, Sequence
from functools import cached_property
from math import prod
from typing import NamedTuple, Protocol

import numpy as np

__all__ = ["Names", "TableNames", "TensorNames", "TensorPlace"]


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
