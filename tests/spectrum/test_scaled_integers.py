"""Integers of any size as a mantissa and an exponent, against exact fractions."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from unrolled.spectrum.spectrum import scaled_integer


@given(st.integers(1, 1 << 300))
@example(1)
@example((1 << 64) - 1)
@example((1 << 84) + (1 << 31) + 1)  # Above a tie by the last of its bits.
@example((1 << 84) + (1 << 31))  # A tie, which goes to the even mantissa.
@example(19342813212913260744933387)
def test_a_mantissa_is_the_nearest_there_is(count: int) -> None:
    mantissa, exponent = scaled_integer(count)
    assert 1 <= mantissa < 2
    scale = Fraction(2) ** exponent
    # Python rounds a quotient of integers to the nearest double, ties to even.
    assert mantissa == count / (1 << exponent) or mantissa == 1.0
    assert abs(Fraction(mantissa) * scale - count) <= scale * Fraction(1, 2**53)


@pytest.mark.parametrize("exponent", [10, 100, 100_000])
def test_what_rounds_up_to_a_power_of_two_has_its_exponent(exponent: int) -> None:
    found = scaled_integer((1 << exponent) - 1)
    assert found == ((1.0, exponent) if exponent > 53 else (2.0 - 2.0 ** (1 - exponent), 9))
