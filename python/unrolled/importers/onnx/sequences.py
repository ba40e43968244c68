"""Sequences of tensors and optional values: what is in them is known while a model is read."""

from __future__ import annotations

from typing import Any

import numpy as np

from unrolled.errors import InvalidModelError, UnsupportedOperatorError
from unrolled.importers.onnx.elementwise import checked_axes
from unrolled.importers.onnx.reader import Items, Node
from unrolled.importers.onnx.table import TABLE
from unrolled.importers.tracing.tracer import Tracer
from unrolled.importers.tracing.values import Constant, Operand

__all__: list[str] = []

rule = TABLE.rule

MOST_PARTS = 100_000


@rule("SequenceEmpty", "SequenceConstruct")
def sequence(_: Tracer, node: Node) -> Items:
    return Items([node.input(position) for position in range(len(node.inputs))])


@rule("SequenceAt")
def element(_: Tracer, node: Node) -> Operand:
    items = _items(node)
    return items[_position(node, 1, len(items))]


@rule("SequenceInsert")
def inserted(_: Tracer, node: Node) -> Items:
    items = _items(node)
    at = _position(node, 2, len(items) + 1) if node.optional(2) is not None else len(items)
    return Items([*items[:at], node.input(1), *items[at:]])


@rule("SequenceErase")
def erased(_: Tracer, node: Node) -> Items:
    items = _items(node)
    at = _position(node, 1, len(items)) if node.optional(1) is not None else len(items) - 1
    if at < 0:
        raise InvalidModelError(f"node '{node.name}': the sequence is empty")
    return Items([*items[:at], *items[at + 1 :]])


@rule("SequenceLength")
def length(_: Tracer, node: Node) -> Operand:
    return Constant.of(np.array(len(_items(node)), np.int64))


@rule("ConcatFromSequence")
def joined(tracer: Tracer, node: Node) -> Operand:
    items = _items(node)
    if not items:
        raise InvalidModelError(f"node '{node.name}': the sequence is empty")
    is_new = bool(node.attribute("new_axis", 0))
    (axis,) = checked_axes(node, [node.attribute("axis", 0)], items[0].rank + is_new)
    parts = [tracer.unsqueeze(one, [axis]) for one in items] if is_new else items
    return tracer.concat(parts, axis)


@rule("SplitToSequence")
def split(tracer: Tracer, node: Node) -> Items:
    x = node.input(0)
    (axis,) = checked_axes(node, [node.attribute("axis", 0)], x.rank)
    whole, given = x.shape[axis], node.constant(1)
    lengths = [1] * whole if given is None else given.integers(f"node '{node.name}', input 1")
    if given is not None and not given.rank:  # One length for all parts but the last.
        each = max(lengths[0], 1)
        lengths = [min(each, whole - at) for at in range(0, whole, each)]
    if len(lengths) > MOST_PARTS or min(lengths, default=0) < 0 or sum(lengths) != whole:
        raise InvalidModelError(f"node '{node.name}': parts of {whole} do not fit")
    parts = tracer.split(x, axis, lengths)
    if given is None and not node.attribute("keepdims", 1):
        parts = [tracer.squeeze(part, [axis]) for part in parts]
    return Items(parts)


@rule("SequenceMap")
def mapped(_: Tracer, node: Node) -> list[Items]:
    """A body for every element, and for those of other sequences at the same place."""
    given: list[Any] = list(node.inputs)
    rounds = len(_items(node))
    found: list[list[Operand]] = [[] for _ in node.outputs]
    for at in range(rounds):
        inputs = [one.operands[at] if isinstance(one, Items) else one for one in given]
        for items, result in zip(found, node.run_body(node.graph("body"), inputs), strict=True):
            items.append(result)
    return [Items(items) for items in found]


@rule("Optional")
def optional(_: Tracer, node: Node) -> Any:
    return node.anything(0)


@rule("OptionalGetElement")
def taken(_: Tracer, node: Node) -> Any:
    found = node.anything(0)
    if found is None:
        raise InvalidModelError(f"node '{node.name}': the optional value is not there")
    return found


@rule("OptionalHasElement")
def is_there(_: Tracer, node: Node) -> Operand:
    return Constant.of(np.array(node.anything(0) is not None))


def _items(node: Node) -> list[Operand]:
    found = node.anything(0)
    if not isinstance(found, Items):
        raise InvalidModelError(f"node '{node.name}' ({node.operator}): it reads no sequence")
    return found.operands


def _position(node: Node, position: int, length: int) -> int:
    """A place in a sequence."""
    if not isinstance(node.optional(position), Constant):
        raise UnsupportedOperatorError("a place in a sequence that is known only at run time")
    (at,) = node.integers(position) or [0]
    if not -length <= at < length:
        raise InvalidModelError(f"node '{node.name}': there is no place {at} among {length}")
    return at % length
