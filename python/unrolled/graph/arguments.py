"""Checks of what `Graph` is given, before the core sees it."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy.typing as npt

from unrolled._support.hints import described
from unrolled.errors import CycleError, InvalidGraphError
from unrolled.graph.arrays import as_mask, integers, labels, node_ids, refuse_negative

__all__ = [
    "checked_nodes",
    "naming_negative_ids",
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
    is_mask = as_mask(parameters) is not None
    return {
        "outputs": node_ids(outputs, "outputs", nodes),
        "inputs": node_ids(inputs, "inputs", nodes),
        "parameters": node_ids(parameters, "parameters", nodes) if is_mask else None,
        "labels": None if is_mask else labels(parameters, nodes),
    }


def refuse_negative_ids(**arrays: npt.ArrayLike) -> None:
    """Say so if what the core would see as a huge id is a negative one."""
    for what, values in arrays.items():
        refuse_negative(integers(values, what), what)


@contextmanager
def naming_negative_ids(**arrays: npt.ArrayLike) -> Iterator[None]:
    """Where the core refuses a huge id that was a negative one, say so instead."""
    try:
        yield
    except CycleError:
        raise
    except InvalidGraphError:
        refuse_negative_ids(**arrays)
        raise
