"""Sequences of tensors and optional values: what is in them is known while a model is read."""

from __future__ import annotations

from typing import Any

import numpy as np

from unrolled._support.hints import listed
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
    at = len(items)
    if node.optional(2) is not None:  # Before the element that has the place, or behind the last.
        at = _position(node, 2, len(items), behind=True)
    return Items([*items[:at], node.input(1), *items[at:]])


@rule("SequenceErase")
def erased(_: Tracer, node: Node) -> Items:
    items = _items(node)
    if not items:
        raise InvalidModelError(f"node '{node.name}': the sequence is empty")
    at = _position(node, 1, len(items)) if node.optional(1) is not None else len(items) - 1
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
    ranks = {one.rank for one in items}
    shapes = listed([str(one.shape) for one in items])
    if len(ranks) > 1 or (is_new and len({one.shape for one in items}) > 1):
        raise InvalidModelError(f"node '{node.name}': tensors of shapes {shapes} cannot be joined")
    (axis,) = checked_axes(node, [node.attribute("axis", 0)], items[0].rank + is_new)
    if is_new:
        return tracer.stack(items, axis)
    # An empty tensor has nothing to add.
    return tracer.concat([one for one in items if one.shape[axis]] or items[:1], axis)


@rule("SplitToSequence")
def split(tracer: Tracer, node: Node) -> Items:
    x = node.input(0)
    (axis,) = checked_axes(node, [node.attribute("axis", 0)], x.rank)
    whole, given = x.shape[axis], node.constant(1)
    lengths = [1] * whole if given is None else given.integers(f"node '{node.name}', input 1")
    if given is not None and not given.rank:  # One length for all parts but the last.
        each = lengths[0]
        if each < 1:
            raise InvalidModelError(f"node '{node.name}': parts of length {each}")
        lengths = [min(each, whole - at) for at in range(0, whole, each)]
    if len(lengths) > MOST_PARTS:
        raise InvalidModelError(
            f"node '{node.name}': {len(lengths):,} parts are too many; at most {MOST_PARTS:,} are"
        )
    if min(lengths, default=0) < 0 or sum(lengths) != whole:
        raise InvalidModelError(
            f"node '{node.name}': parts of lengths {listed(lengths)} do not make axis {axis} of "
            f"shape {x.shape}"
        )
    parts = tracer.split(x, axis, lengths)
    if given is None and not node.attribute("keepdims", 1):
        parts = [tracer.squeeze(part, [axis]) for part in parts]
    return Items(parts)


@rule("SequenceMap")
def mapped(_: Tracer, node: Node) -> list[Items]:
    """A body for every element, and for those of other sequences at the same place."""
    given: list[Any] = list(node.inputs)
    rounds = len(_items(node))
    others = {len(one.operands) for one in given if isinstance(one, Items)}
    if others != {rounds}:
        raise InvalidModelError(
            f"node '{node.name}': sequences of {listed(sorted(others))} tensors have no pairs"
        )
    found: list[list[Operand]] = [[] for _ in node.outputs]
    for at in range(rounds):
        inputs = [one.operands[at] if isinstance(one, Items) else one for one in given]
        results = node.run_body(node.graph("body"), inputs)
        if len(results) != len(found):
            raise InvalidModelError(
                f"node '{node.name}': its body computes {len(results)} tensors for {len(found)} "
                "sequences"
            )
        for items, result in zip(found, results, strict=True):
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


def _position(node: Node, position: int, length: int, *, behind: bool = False) -> int:
    """A place in a sequence, which may be that behind its last element."""
    if not isinstance(node.input(position), Constant):
        raise UnsupportedOperatorError("a place in a sequence that is known only at run time")
    given = node.integers(position) or []
    if len(given) != 1:
        raise InvalidModelError(
            f"node '{node.name}' ({node.operator}): a place in a sequence is one number, got "
            f"{listed(given)}"
        )
    (at,) = given
    if not -length <= at < length + behind:
        raise InvalidModelError(
            f"node '{node.name}' ({node.operator}): there is no place {at} among {length}"
        )
    return at + length if at < 0 else at
