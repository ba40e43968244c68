"""Checks of what `Graph` is given, before the core sees it."""

from __future__ import annotations

import operator
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from unrolled._support.hints import described, did_you_mean
from unrolled.errors import InvalidGraphError
from unrolled.graph.arrays import as_mask, integers, labels, node_ids, refuse_negative
from unrolled.graph.names import Names

__all__ = [
    "checked_nodes",
    "named_labels",
    "named_nodes",
    "refuse_negative_ids",
    "roles",
]


def checked_nodes(num_nodes: int) -> int:
    """Number of nodes for the core, which knows how many a graph can have."""
    try:
        number = operator.index(num_nodes)
    except TypeError:
        number = -1
    if not 0 <= number < 1 << 64 or isinstance(num_nodes, bool):
        raise InvalidGraphError(
            f"num_nodes must be an integer from 0 of at most 64 bits, got {described(num_nodes)}"
        )
    return number


def roles(
    outputs: npt.ArrayLike | None,
    inputs: npt.ArrayLike | None,
    parameters: npt.ArrayLike | None,
    nodes: int,
) -> dict[str, Any]:
    """What nodes are, as the core takes it."""
    is_mask = parameters is not None and as_mask(parameters) is not None
    return {
        "outputs": node_ids(outputs, "outputs", nodes),
        "inputs": node_ids(inputs, "inputs", nodes),
        "parameters": node_ids(parameters, "parameters", nodes) if is_mask else None,
        "labels": None if is_mask else labels(parameters, nodes),
    }


def named_nodes(values: Any, what: str, names: Names) -> npt.ArrayLike:
    """A mask as it is; the ids of nodes that are named one by one.

    Raises
    ------
    InvalidGraphError
        Something else than a collection of nodes, or a node that the graph does not have.
    """
    if as_mask(values) is not None and len(values):
        return values  # type: ignore[no-any-return]
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise InvalidGraphError(f"{what} must be a collection of nodes, got {described(values)}")
    ids = [_found(node, what, names) for node in values]
    return np.array(ids, dtype=np.int64)


def named_labels(values: Any, names: Names) -> npt.ArrayLike:
    """A mask or an array of labels as it is; the labels of nodes that are named one by one.

    Raises
    ------
    InvalidGraphError
        As for `named_nodes`, and a label that cannot be hashed.
    """
    if isinstance(values, np.ndarray) and values.dtype.kind in "iub":
        return values
    if isinstance(values, Mapping):
        known: dict[Hashable, int] = {}
        found = np.full(len(names), -1, dtype=np.int64)
        for node, label in values.items():
            at = _found(node, "parameters", names)
            try:
                found[at] = -1 if label is None else known.setdefault(label, at)
            except TypeError:
                raise InvalidGraphError(
                    f"parameters: node {node!r} has the label {described(label)}; labels must be "
                    "hashable"
                ) from None
        return found
    nodes = named_nodes(values, "parameters", names)
    if as_mask(nodes) is not None:
        return nodes
    mask = np.zeros(len(names), dtype=bool)
    mask[np.asarray(nodes)] = True
    return mask


def _found(node: Any, what: str, names: Names) -> int:
    """The id of a node."""
    try:
        number = names.find(node)
    except TypeError:  # It cannot be hashed.
        number = None
    if number is None:
        near = did_you_mean(str(node), [str(name) for name in names])
        raise InvalidGraphError(f"{what}: the graph has no node {described(node)}{near}")
    return number


def refuse_negative_ids(**arrays: npt.ArrayLike) -> None:
    """Say which id is negative where the core refuses a huge one, which it took it for."""
    for what, values in arrays.items():
        refuse_negative(integers(values, what), what)
