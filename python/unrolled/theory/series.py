"""Power series of free probability: between moments, free cumulants and the S-transform.

A series is the list of its coefficients. All functions keep the kind of number they are given:
fractions stay exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

__all__ = [
    "cumulants_of_moments",
    "inverse",
    "moments_of_cumulants",
    "moments_of_s_series",
    "power",
    "product",
    "s_series_of_moments",
]

Series = list[Any]


def product(first: Sequence[Any], second: Sequence[Any]) -> Series:
    """The product of two series, as long as the shorter one."""
    length = min(len(first), len(second))
    return [sum(first[k] * second[n - k] for k in range(n + 1)) for n in range(length)]


def power(series: Sequence[Any], exponent: int) -> Series:
    """A power of a series, by squaring; exponent 0 gives one."""
    result: Series = [1] + [0] * (len(series) - 1)
    square = list(series)
    while exponent:
        if exponent % 2:
            result = product(result, square)
        exponent //= 2
        if exponent:
            square = product(square, square)
    return result


def inverse(series: Sequence[Any]) -> Series:
    """``1 / series``; its first coefficient must not be zero."""
    first = _exact(series[0])
    result: Series = [1 / first]
    for n in range(1, len(series)):
        result.append(-sum(series[k] * result[n - k] for k in range(1, n + 1)) / first)
    return result


def moments_of_cumulants(cumulants: Sequence[Any]) -> Series:
    """Moments 1, ..., K from free cumulants 1, ..., K.

    ``m_n = sum_s kappa_s [u^(n-s)] M(u)^s`` with ``M(u) = 1 + sum m_k u^k``: Nica and Speicher,
    Lectures on the combinatorics of free probability (2006), lecture 11.

    Examples
    --------
    >>> moments_of_cumulants([0, 1, 0, 0, 0, 0])
    [0, 1, 0, 2, 0, 5]
    """
    moments: Series = []
    for n in range(1, len(cumulants) + 1):
        known = [1, *moments] + [0] * (n - len(moments))
        moments.append(sum(cumulants[s - 1] * power(known, s)[n - s] for s in range(1, n + 1)))
    return moments


def cumulants_of_moments(moments: Sequence[Any]) -> Series:
    """Free cumulants 1, ..., K from moments 1, ..., K: the inverse of `moments_of_cumulants`.

    Examples
    --------
    >>> cumulants_of_moments([1, 2, 5, 14])
    [1, 1, 1, 1]
    """
    whole = [1, *moments]
    cumulants: Series = []
    for n in range(1, len(moments) + 1):
        known = sum(cumulants[s - 1] * power(whole, s)[n - s] for s in range(1, n))
        cumulants.append(moments[n - 1] - known)
    return cumulants


def s_series_of_moments(moments: Sequence[Any]) -> Series:
    """Coefficients of S(w) up to ``w^(K-1)`` from moments 1, ..., K; the first is not zero.

    ``S(w) = (1 + w) u(w) / w``, where u inverts ``M(u) = sum m_k u^k``; by Lagrange,
    ``[w^n] u = (1/n) [u^(n-1)] (u / M(u))^n``.

    Examples
    --------
    >>> s_series_of_moments([1, 2, 5])  # 1 / (1 + w)
    [Fraction(1, 1), Fraction(-1, 1), Fraction(1, 1)]
    """
    quotient = inverse(moments)
    length = len(moments)
    reverted = [_exact(power(quotient, n)[n - 1]) / n for n in range(1, length + 1)]
    return product(reverted, ([1, 1] + [0] * length)[:length])


def moments_of_s_series(series: Sequence[Any]) -> Series:
    """Moments 1, ..., K from S(w) up to ``w^(K-1)``: ``(1/n) [w^(n-1)] ((1 + w) / S(w))^n``.

    Examples
    --------
    >>> [int(one) for one in moments_of_s_series([1, -1, 1, -1])]
    [1, 2, 5, 14]
    """
    length = len(series)
    base = product(inverse(series), ([1, 1] + [0] * length)[:length])
    return [_exact(power(base, n)[n - 1]) / n for n in range(1, length + 1)]


def _exact(number: Any) -> Any:
    """Integers as fractions, so that they can be divided."""
    return Fraction(number) if isinstance(number, int) else number
