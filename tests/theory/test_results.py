"""A result says the same in every form, and never without its assumptions."""

import json
import subprocess
import sys
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest

from unrolled.theory.results import TheoryResult, cell


@dataclass(frozen=True)
class Weighing(TheoryResult):
    heaviest: float

    title = "Apples < pears"
    assumptions = "the scales are <level>"

    @property
    def rows(self):
        return [
            {"fruit": "apple", "weight": self.heaviest, "price": Fraction(1, 3)},
            {"fruit": "pear & co", "weight": np.float64(0.5), "price": None},
        ]

    def plot(self, *, axes=None):
        raise NotImplementedError


def test_text_has_title_rows_and_assumptions():
    lines = str(Weighing(2.0)).splitlines()
    assert lines[0] == "Apples < pears"
    assert set(lines[3]) == {"-"}
    assert [line.split() for line in [lines[2], *lines[4:]]] == [
        ["fruit", "weight", "price"],
        ["apple", "2", "1/3"],
        ["pear", "&", "co", "0.5", "-"],
        [],
        ["Assumptions:", "the", "scales", "are", "<level>"],
    ]


def test_html_is_escaped_and_has_the_assumptions():
    text = Weighing(2.0)._repr_html_()
    assert "Apples &lt; pears" in text
    assert "pear &amp; co" in text
    assert "Assumptions: the scales are &lt;level&gt;" in text


def test_data_frame_keeps_values_and_assumptions():
    frame = Weighing(2.0).to_pandas()
    assert list(frame.columns) == ["fruit", "weight", "price"]
    assert frame["weight"].tolist() == [2.0, 0.5]
    assert frame.attrs["assumptions"] == "the scales are <level>"


def test_dictionary_is_json():
    read = json.loads(json.dumps(Weighing(float("inf")).to_dict(), allow_nan=False))
    assert read["rows"][0] == {"fruit": "apple", "weight": "inf", "price": "1/3"}
    assert read["assumptions"] == "the scales are <level>"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "yes"),
        (10**15, "2^49.82892142"),
        (-(2**60), "-2^60"),
        pytest.param(2**20000, "2^20000", id="too long for Python to print"),
        (np.int64(1234), "1,234"),
        ((1, 2.5), "1, 2.5"),
        ((), "-"),
    ],
)
def test_cell(value, text):
    assert cell(value) == text


def test_the_theory_is_there_without_an_import_of_its_own():
    code = "import unrolled; print(unrolled.theory.gain('relu').backward)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout.strip() == "2.0"
