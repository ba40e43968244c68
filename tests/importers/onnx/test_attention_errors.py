"""Attention operators whose inputs or numbers of heads do not fit: errors in their own words."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("onnx")

import unrolled
from cases.onnx_models import model, node
from unrolled.errors import UnrolledError

MICROSOFT = "com.microsoft::"

OPERATORS: dict[str, tuple[str, dict[str, Any], list[tuple[int, ...]]]] = {
    "Attention of four axes": ("Attention", {}, [(1, 4, 3, 6), (1, 2, 3, 6), (1, 2, 3, 5)]),
    "Attention of three axes": (
        "Attention",
        {"q_num_heads": 4, "kv_num_heads": 2},
        [(1, 3, 24), (1, 3, 12), (1, 3, 10), (3, 3)],
    ),
    "Attention with a cache": (
        "Attention",
        {"is_causal": 1},
        [(1, 2, 3, 6), (1, 2, 3, 6), (1, 2, 3, 5), (3, 5), (1, 2, 2, 6), (1, 2, 2, 5)],
    ),
    "packed Attention": (f"{MICROSOFT}Attention", {"num_heads": 2}, [(1, 3, 8), (8, 24), (24,)]),
    "MultiHeadAttention": (
        f"{MICROSOFT}MultiHeadAttention",
        {"num_heads": 2},
        [(1, 3, 8), (1, 3, 8), (1, 3, 8), (24,)],
    ),
    "GroupQueryAttention": (
        f"{MICROSOFT}GroupQueryAttention",
        {"num_heads": 4, "kv_num_heads": 2},
        [(1, 3, 24), (1, 3, 12), (1, 3, 12)],
    ),
    "packed GroupQueryAttention": (
        f"{MICROSOFT}GroupQueryAttention",
        {"num_heads": 4, "kv_num_heads": 2},
        [(1, 3, 48)],
    ),
    "RotaryEmbedding": ("RotaryEmbedding", {}, [(1, 2, 3, 6), (1, 3, 3), (1, 3, 3)]),
}

SHAPES = [(), (1,), (5,), (3, 5), (1, 3, 7), (0, 3, 8), (2, 5, 3, 7), (1, 2, 0, 6), (1, 2, 3, 1, 5)]
NUMBERS = [None, -1, 0, 3, 5, 1 << 40, "2", 2.0]


def read(kind: str, attributes: dict[str, Any], shapes: list[tuple[int, ...]]) -> None:
    names = [f"x{at}" for at in range(len(shapes))]
    made = model(
        node(f"{kind} {','.join(names)} -> y", name="attend", **attributes),
        weights=dict(zip(names, shapes, strict=True)),
        outputs="y",
        opset=23,
    )
    unrolled.from_onnx(made)


def message_of(kind: str, attributes: dict[str, Any], shapes: list[tuple[int, ...]]) -> str:
    """The error, "" if there is none."""
    try:
        read(kind, attributes, shapes)
    except UnrolledError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", OPERATORS)
def test_shapes_that_do_not_fit(name: str) -> None:
    kind, attributes, shapes = OPERATORS[name]
    read(kind, attributes, shapes)
    for position in range(len(shapes)):
        for shape in SHAPES:
            changed = [shape if at == position else one for at, one in enumerate(shapes)]
            message = message_of(kind, attributes, changed)
            if shape == (1, 3, 7) and not position:
                assert message, (position, shape)
            assert "cannot be read: " not in message, (position, shape, message)
            # What is empty is found where a tensor is made, which is named after the output.
            is_named = "attend" in message or "layer 'y" in message
            assert not message or is_named, (position, shape, message)


@pytest.mark.parametrize("name", [name for name in OPERATORS if OPERATORS[name][1]])
def test_numbers_of_heads_that_do_not_fit(name: str) -> None:
    kind, attributes, shapes = OPERATORS[name]
    for key in attributes:
        if "heads" not in key:
            continue
        for number in NUMBERS:
            changed = {k: number if k == key else v for k, v in attributes.items()}
            changed = {k: v for k, v in changed.items() if v is not None}
            message = message_of(kind, changed, shapes)
            assert "cannot be read: " not in message, (key, number, message)
            if number is None or number != 2:
                assert message, (key, number)
            if number is None or not isinstance(number, int) or not 0 < number < 100:
                assert f"{key} must be an integer" in message, (key, number, message)


def test_a_mask_may_not_make_scores_larger() -> None:
    """A mask for two sequences, where there is one."""
    shapes = [(1, 2, 3, 6), (1, 2, 3, 6), (1, 2, 3, 5), (2, 1, 3, 3)]
    assert "a mask of shape (2, 1, 3, 3)" in message_of("Attention", {}, shapes)
