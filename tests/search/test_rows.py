"""Rows that are no architectures are refused alike wherever rows are taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import unrolled
from unrolled import InvalidArgumentError, search
from unrolled._core import Variants
from unrolled.search.variants import Template

SPACE = search.nasbench201()

MANY: dict[str, Callable[[Any], Any]] = {
    "macs_many": lambda rows: search.macs_many(SPACE, rows),
    "propagate_many": lambda rows: search.propagate_many(SPACE, rows),
    "count_many": lambda rows: search.count_many(SPACE, rows),
    "features": lambda rows: SPACE.gather(rows, Template.features),
    "sweep": lambda rows: search.sweep(SPACE, ["macs"], rows=rows),
    "canonical": SPACE.canonical,
    "numbers": SPACE.numbers,
    "scores": SPACE.scores,
    "evaluate": lambda rows: unrolled.evaluate(
        SPACE, ["log_size"], rows=rows, accuracies=[1.0, 2.0, 3.0], draws=2
    ),
    "fit": lambda rows: search.Predictor(space=SPACE).fit(rows, [1.0]),
}
ONE: dict[str, Callable[[Any], Any]] = {"decode": SPACE.decode, "network": SPACE.network}

BAD_ROWS: list[tuple[Any, str]] = [
    ([1.0] * 6, "integers"),
    (np.ones(6), "integers"),
    ([True] * 6, "integers"),
    ([1, 1, 1, 1, 1, True], "integers"),
    (np.ones(6, bool), "integers"),
    (["1"] * 6, "integers"),
    ("nasbench", "integers"),
    ([2**70] * 6, "integers"),
    (np.ma.array([1] * 6, mask=[1] + [0] * 5), "without a mask"),
    ([1] * 5, "6 places"),
    ([1] * 7, "6 places"),
    ([5, 0, 0, 0, 0, 0], "option 5 at place 'edge01'"),
    ([0, 0, 0, 0, 0, -1], "option -1 at place 'edge23'"),
    (np.array([2**63] * 6, np.uint64), "takes option 9223372036854775808"),
    (3, "6 places"),
]


@pytest.mark.parametrize("door", [*MANY, *ONE])
@pytest.mark.parametrize(("row", "message"), BAD_ROWS)
def test_a_row_that_is_no_architecture_is_refused(door: str, row: Any, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        (MANY | ONE)[door](row)


@pytest.mark.parametrize("door", MANY)
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[1] * 6, [1] * 5], "all of one length"),
        ([[1] * 6, [True] * 6], "truth values"),
        (np.ones((2, 6)), "integers"),
        (np.ones((2, 6, 1), int), "6 places"),
        (np.empty((0, 5), int), "6 places"),
    ],
)
def test_rows_that_are_no_architectures_are_refused(door: str, rows: Any, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        MANY[door](rows)


@pytest.mark.parametrize("door", ONE)
def test_several_rows_are_not_one(door: str) -> None:
    for rows in ([[1] * 6], np.ones((2, 6), int), [], np.empty((0, 6), int)):
        with pytest.raises(InvalidArgumentError, match="one architecture"):
            ONE[door](rows)


def test_one_row_alone_is_one_architecture() -> None:
    for row in ([1, 2, 3, 4, 0, 1], (1, 2, 3, 4, 0, 1), np.array([1, 2, 3, 4, 0, 1], np.int8)):
        assert search.macs_many(SPACE, row)["macs"].shape == (1,)
        assert list(SPACE.decode(row).values())[:2] == ["skip_connect", "avg_pool_3x3"]
    assert search.macs_many(SPACE, [])["macs"].shape == (0,)


@pytest.mark.parametrize("numbers", [[-1], [15625], [0.0], [True], [[1]], "1", 3])
def test_numbers_outside_of_the_space_are_refused(numbers: Any) -> None:
    with pytest.raises(InvalidArgumentError):
        SPACE.rows_of(numbers)


def test_bounds_and_draws_are_checked() -> None:
    random = np.random.default_rng(0)
    for bad in (
        lambda: SPACE.rows(-1),
        lambda: SPACE.rows(0, 15626),
        lambda: SPACE.rows(2, 1),
        lambda: SPACE.rows(0, 2.0),  # type: ignore[arg-type]
        lambda: SPACE.rows(True),
        lambda: SPACE.random_rows(-1, random),
        lambda: SPACE.random_rows(1.0, random),  # type: ignore[arg-type]
        lambda: SPACE.random_rows(1, 0),  # type: ignore[arg-type]
        lambda: SPACE.encode([1] * 6),  # type: ignore[arg-type]
    ):
        with pytest.raises(InvalidArgumentError):
            bad()
    assert SPACE.random_rows(0, random).shape == (0, 6)


def test_the_core_refuses_a_row_of_two_architectures_as_the_part_of_one() -> None:
    net = unrolled.Network("two")
    x = net.input((2, 3, 3))
    net.output(net.choice("way", {"left": x, "right": net.activation(x)}))
    variants = Variants(net._core, [2], [(0, 0), None, (0, 1)])
    assert variants.part([0])
    for row in ([], [0, 1], [2]):
        with pytest.raises(unrolled.UnrolledError):
            variants.part(row)
    alone = unrolled.models.mlp([2], inputs=2, classes=2)
    nothing = Variants(alone._core, [], [None] * len(alone.links))
    assert nothing.part([])
    with pytest.raises(unrolled.UnrolledError):
        nothing.part([0])
