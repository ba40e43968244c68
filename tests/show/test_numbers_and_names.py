"""Numbers with prefixes, and names cut to a width."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from unrolled.show import tables
from unrolled.show.tables import PREFIXES, cut_names

SIZES = st.one_of(st.integers(0, 10**7), st.integers(0, 10**40), st.integers(0, 10**700))


def value_of(text: str, base: int) -> Fraction:
    digits, _, prefix = text.removesuffix("B").removesuffix("i").strip().partition(" ")
    return Fraction(digits.replace(",", "")) * base ** [one.upper() for one in PREFIXES].index(
        prefix.strip().upper()
    )


@given(SIZES)
@example(999_999)
@example(999_949)
@example(10**27 - 1)
@example(10**400)
def test_four_digits_of_a_number_are_right(number: int) -> None:
    text = tables.scaled(number)
    assert abs(value_of(text, 1000) - number) <= Fraction(number, 1999)
    assert not text.startswith("1000 ")
    assert tables.scaled(-number) == (f"-{text}" if number else "0")


@given(SIZES)
@example(1023)
@example(2**20 - 1)
@example(2**90)
@example(2**2000)
def test_four_digits_of_a_size_are_right(number: int) -> None:
    text = tables.byte_size(number)
    assert abs(value_of(text, 1024) - number) <= Fraction(number, 1999)
    assert not re.match(r"1024 \w", text)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (99_999, "99,999"), (100_000, "100 k"), (999_999, "1 M"), (4_089_184_256, "4.089 G"),
        (10**24, "1 Y"), (10**400, "1.000e+400"), (-999_999, "-1 M"),
    ],
)  # fmt: skip
def test_prefixes(number: int, text: str) -> None:
    assert tables.scaled(number) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(999_999.7)
def test_a_figure_is_right_to_six_digits_and_short(value: float) -> None:
    text = tables.figure(value)
    assert float(text.replace(",", "")) == pytest.approx(value, rel=5.0e-6, abs=1e-300)
    assert len(text) <= 20
    assert "e" not in text or not 1e-3 <= abs(value) < 1e14


@given(
    st.lists(st.text("ab_", min_size=1, max_size=30), min_size=1, max_size=5), st.integers(12, 20)
)
def test_cut_names_fit_and_keep_both_ends(names: list[str], room: int) -> None:
    for name, cut in zip(names, cut_names(names, room), strict=True):
        assert len(cut) <= room
        start, dots, end = cut.partition("...")
        assert cut == name or (dots and name.startswith(start) and name.endswith(end))


@pytest.mark.parametrize("place", [0, 3, 10, 20, 36, 39])
def test_names_that_differ_in_one_place_stay_different(place: int) -> None:
    names = ["x" * place + one + "x" * (39 - place) for one in "ab"]
    first, second = cut_names(names, 41 - 20)
    assert (first == second) is (place == 20)  # Nothing shows both ends and the middle.
