"""Attention of which a mask hides keys, as nodes of ONNX.

A network has no tensor of queries times keys for it, but relations that say which keys a query
sees. A file has them: the products, the mask as a constant, a softmax and the sum of the values.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from unrolled._core import Relation
from unrolled.network.builder import Link, Tensor
from unrolled.network.exporting.computation import Computation, NotWrittenError
from unrolled.network.exporting.graph import GraphWriter

__all__ = ["write_masked_attention"]

LARGEST_MASK = 2**28
"""Elements of a mask, which takes a byte for each."""

Flags = npt.NDArray[np.bool_]


def write_masked_attention(graph: GraphWriter, what: Computation) -> None:
    """Write products, mask, softmax and weighted values; the last node has the tensor's name."""
    if what.query is None or what.key is None or not what.links:
        raise NotWrittenError("it is not said what its scores are products of")
    near, leading = what.target.name, what.target.shape[:-2]
    value = what.links[0].source
    if any(link.source.id != value.id or not _key_relation(link) for link in what.links):
        raise NotWrittenError("it has not one tensor of values")
    query = _with_leading_axes(graph, what.query, len(leading), near)
    key = _with_leading_axes(graph, what.key, len(leading), near)
    rank = len(leading) + 3
    turned = graph.node("Transpose", [key], near=near, perm=[*range(rank - 2), rank - 1, rank - 2])
    scores = graph.node("MatMul", [query, turned], near=near)
    if what.operation.divisor not in (None, 1.0):
        scores = graph.node("Div", [scores, graph.constant(what.operation.divisor)], near=near)
    mask = graph.constant(_seen_keys(what), kind=np.bool_)
    # The lowest number, not an infinite one: a query that sees no key has no weights of NaN.
    low = graph.constant(np.finfo(np.float32).min)
    scores = graph.node("Where", [mask, scores, low], near=near)
    weights = graph.node("Softmax", [scores], near=near, axis=-1)
    given = _with_leading_axes(graph, value, len(leading), near)
    graph.node("MatMul", [weights, given], near)


def _key_relation(link: Link) -> list[Relation]:
    """The relations from the axis of the keys to that of the queries."""
    at, rank = len(link.source.shape) - 2, len(link.target.shape) - 2
    return [
        one
        for one in link.relations
        if one.source_axes == [at] and one.target_axes == [rank] and one.kind in READERS
    ]


def _seen_keys(what: Computation) -> Flags:
    """Whether a query sees a key: queries times keys, with leading axes if it differs by one."""
    values = what.links
    queries, keys = what.target.shape[-2], values[0].source.shape[-2]
    leading = len(what.target.shape) - 2
    places = [
        (one.target_axes[0], one.arguments["indices"])
        for link in values
        for one in link.relations
        if one.kind == "select" and one.target_axes[0] < leading
    ]
    axes = {axis for axis, _ in places}
    if len(axes) > 1 or (axes and len(places) != len(values)):
        raise NotWrittenError("its masks differ along more than one axis")
    length = what.target.shape[next(iter(axes))] if axes else 1
    if length * queries * keys > LARGEST_MASK:
        raise NotWrittenError(
            f"its mask of {length * queries * keys:,} elements is larger than {LARGEST_MASK:,}"
        )
    seen = np.zeros((length, queries, keys), dtype=np.bool_)
    for number, link in enumerate(values):
        (relation,) = _key_relation(link)
        here = READERS[relation.kind](relation, queries, keys)
        chosen = np.asarray(places[number][1]) >= 0 if axes else np.array([True])
        seen[chosen] = here
    between = [1] * (leading - 1 - next(iter(axes))) if axes else []
    return seen.reshape(*([length] if axes else []), *between, queries, keys)


def _of_window(relation: Relation, queries: int, keys: int) -> Flags:
    arguments = relation.arguments
    if arguments["stride"] != 1 or arguments["dilation"] != 1:
        raise NotWrittenError("the keys of its queries are no window of stride 1")
    first = np.arange(queries)[:, None] - arguments["padding"]
    at = np.arange(keys)[None, :]
    found: Flags = (at >= first) & (at < first + arguments["size"])
    return found


def _of_rows(relation: Relation, queries: int, keys: int) -> Flags:
    offsets, indices = relation.arguments["offsets"], relation.arguments["indices"]
    found = np.zeros((queries, keys), dtype=np.bool_)
    found[np.repeat(np.arange(queries), np.diff(offsets)), indices] = True
    return found


READERS: dict[str, Any] = {"sparse": _of_rows, "window": _of_window}
"""What makes an array of a relation between queries and keys, by its kind."""


def _with_leading_axes(graph: GraphWriter, tensor: Tensor, leading: int, near: str) -> str:
    """A value with the axis of the batch and as many axes before its last two as there are."""
    missing = leading - (len(tensor.shape) - 2)
    batch = 1 if tensor.role == "parameter" else graph.batch
    if not missing and tensor.role != "parameter":
        return tensor.name
    shape = graph.integers([batch, *[1] * missing, *tensor.shape])
    return graph.node("Reshape", [tensor.name, shape], near=near)
