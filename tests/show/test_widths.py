"""Tables and text fit the width there is, and lose nothing by it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled import models
from unrolled.analysis.analysis import analyze
from unrolled.ensemble.ensemble import Ensemble
from unrolled.show import tables

CELLS = st.text("0123456789.,-", min_size=1, max_size=12)


@st.composite
def sheets(draw: st.DrawFn) -> tables.Sheet:
    """Tables of any number of columns, with or without totals."""
    length = draw(st.integers(1, 9))
    row = st.lists(CELLS, min_size=length, max_size=length)
    columns = [tables.Column("name", "left", cuts=draw(st.booleans()))]
    columns += [tables.Column(draw(CELLS)) for _ in range(length - 1)]
    totals = draw(row) if draw(st.booleans()) else ()
    return tables.Sheet("title", columns, draw(st.lists(row, min_size=1, max_size=3)), (), totals)


@given(sheets(), st.integers(26, 60))
def test_a_table_is_no_wider_than_asked_and_has_all_cells(sheet: tables.Sheet, width: int) -> None:
    """A name and one column of 12 characters always fit."""
    lines = sheet.text(width).splitlines()
    assert max(map(len, lines)) <= width
    rest = [cell for row in [*sheet.rows, sheet.totals] for cell in row[1:]]
    words = [word for line in lines for word in line.split()]
    for cell in {*rest}:
        assert words.count(cell) >= rest.count(cell)


def test_a_table_that_fits_is_in_one_part() -> None:
    columns = [tables.Column("model", "left"), tables.Column("a"), tables.Column("b")]
    sheet = tables.Sheet("title", columns, [["net", "1", "2"]])
    assert sheet.text(11).splitlines() == ["title", "", "model a b", "---------", "net   1 2"]
    assert sheet.text(8).split("\n\n")[1:] == [
        "model a\n-------\nnet   1",
        "model b\n-------\nnet   2",
    ]


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("unit", ["nats", "bits"])
def test_a_sweep_of_temperatures_fits(unit: str, width: int) -> None:
    ensemble = Ensemble.from_counts(analyze(models.mlp([30] * 40, inputs=30)), unit=unit)
    sweep = ensemble.sweep(temperatures=[-1e9, -65, 1e-9, 1e9])
    assert max(map(len, sweep.table(width=width).splitlines())) <= width


def test_long_lines_go_on_at_a_blank() -> None:
    assert tables.wrapped("a bc\n\n" + "d" * 12 + " e", 8).split("\n") == [
        "a bc",
        "",
        "d" * 8,
        "dddd e",
    ]


@given(sheets(), st.lists(st.text(max_size=12), min_size=1), st.data(), st.integers(26, 90))
def test_a_table_that_is_written_line_by_line_is_the_one_that_rich_draws(
    sheet: tables.Sheet, texts: list[str], data: st.DataObject, width: int
) -> None:
    """Headings of several lines, blanks, and letters that are two columns wide, or none."""
    anything = st.sampled_from([*texts, "", " a ", "\N{CJK UNIFIED IDEOGRAPH-4E00}"])
    columns = [
        column._replace(heading=data.draw(st.sampled_from(["", "two\nlines", " a", "b "])))
        for column in sheet.columns
    ]
    rows = [[data.draw(anything) for _ in row] for row in sheet.rows]
    parts = tables._parts(columns, rows, sheet.totals, width)
    notes = data.draw(st.lists(anything, max_size=2))
    lines = tables._plain_lines(parts, notes, width)
    if lines is not None:
        drawn = "\n".join(tables._drawn_lines(parts, notes, width))
        assert "\n".join(lines).rstrip("\n") == drawn.rstrip("\n")
