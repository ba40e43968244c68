"""How many fields the bytes of a protocol buffer have, before they are parsed.

A field of two bytes can become a message of a hundred and twenty, so that what a file takes in
memory shows in its fields and not in its length. Elements of tensors are one field, however many
they are.
"""

from __future__ import annotations

from typing import Any

__all__ = ["check_fields"]

UNCHECKED = 1 << 22
"""Bytes of a file that cannot grow to much, whatever is in it."""

MOST_FIELDS = 3_000_000
"""Of a file, those of messages within messages included."""

VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5
"""Types of the wire format that are still in use."""


def check_fields(content: bytes, descriptor: Any) -> None:
    """Refuse what has so many fields that it would fill the memory.

    What is no protocol buffer is left to the parser, which has a better word for it.

    Parameters
    ----------
    content : bytes
    descriptor : google.protobuf.descriptor.Descriptor
        Of the message that it should be.

    Raises
    ------
    ValueError
        There are more than `MOST_FIELDS`.
    """
    if len(content) < UNCHECKED:
        return
    fields = 0
    messages: dict[Any, dict[int, Any]] = {}
    waiting = [(0, len(content), descriptor)]
    while waiting:
        at, end, kind = waiting.pop()
        if kind.full_name not in messages:
            of_messages = {f.number: f.message_type for f in kind.fields if f.message_type}
            messages[kind.full_name] = of_messages
        inner = messages[kind.full_name]
        while at < end:
            fields += 1
            if fields > MOST_FIELDS:
                raise ValueError(f"it has more than {MOST_FIELDS:,} fields")
            tag, at = content[at], at + 1
            if tag > 127:
                tag, at = _varint(content, at - 1, end)
            wire = tag & 7
            if wire == LENGTH:
                length, at = _varint(content, at, end)
                if tag >> 3 in inner and length:
                    waiting.append((at, min(at + length, end), inner[tag >> 3]))
                at += length
            elif wire == VARINT:
                _, at = _varint(content, at, end)
            elif wire in (EIGHT_BYTES, FOUR_BYTES):
                at += 8 if wire == EIGHT_BYTES else 4
            else:
                return


def _varint(content: bytes, at: int, end: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where it ends."""
    number = shift = 0
    while at < end:
        byte = content[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            break
        shift += 7
        if shift > 63:
            return number, end
    return number, at
