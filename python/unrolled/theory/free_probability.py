"""Sums and products of large random matrices that are free of each other.

Moments follow from power series, densities from subordination, edges from the transforms. The laws
to begin with are in `spectral_laws`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unrolled._support.caching import cached_property
from unrolled._support.hints import described
from unrolled._support.optional import import_optional
from unrolled.errors import InvalidArgumentError, TheoryDomainError
from unrolled.theory import series
from unrolled.theory.spectral_laws import SpectralLaw

__all__ = ["FreeProduct", "FreeSum", "follow", "free_product", "free_sum"]

ComplexArray = NDArray[np.complex128]
Equation = Callable[[ComplexArray, ComplexArray], tuple[ComplexArray, ComplexArray]]
"""What has to vanish, and its derivative, from the unknown and from z."""

FREE = "the two matrices are free: one is turned against the other by a random rotation"
SHRINK = 1.6
LEAST_HEIGHT = 1e-5


@dataclass(frozen=True)
class FreeSum(SpectralLaw):
    """The law of a sum of free matrices. See `free_sum`."""

    first: SpectralLaw
    second: SpectralLaw

    @property
    def title(self) -> str:
        """Both laws."""
        return f"Free sum of ({self.first.title}) and ({self.second.title})"

    @property
    def assumptions(self) -> str:
        """Freeness, and those of both laws."""
        return _joined(self.first, self.second)

    @property
    def atom(self) -> float:
        """What both masses at zero have in common at least (Bercovici and Voiculescu, 1998)."""
        return max(0.0, self.first.atom + self.second.atom - 1.0)

    def moments(self, order: int) -> tuple[float, ...]:
        """From free cumulants, which add up."""
        pairs = zip(
            self.first.free_cumulants(order), self.second.free_cumulants(order), strict=True
        )
        return tuple(series.moments_of_cumulants([one + other for one, other in pairs]))

    @cached_property
    def edges(self) -> tuple[float, float]:
        """Where ``R(g) + 1/g`` turns, on either side of zero."""

        def place(g: float) -> float:
            return float(self.r_transform(g)) + 1 / g

        laws = self.first, self.second
        right = _least(place, min(law._at_edge(1)[0] for law in laws))
        if self.atom > 0:
            return self._end_of_gap(right), right
        left = -_least(lambda g: -place(-g), min(-law._at_edge(0)[0] for law in laws))
        return (0.0 if abs(left) <= 1e-8 * right else left), right

    def _end_of_gap(self, right: float) -> float:
        """Where the density begins beside an atom; by bisection, as transforms are ambiguous."""
        x = np.geomspace(1e-14 * right, right, 200)[:-1]
        is_dense = self._stieltjes(x.astype(np.complex128))[0].imag * x < -1e-6
        if is_dense[0]:
            return 0.0
        first = int(np.argmax(is_dense))
        low, high = float(x[first - 1]), float(x[first])
        while high - low > 1e-14 * right:
            middle = (low + high) / 2
            value, _ = self._stieltjes(np.array([middle], dtype=np.complex128))
            low, high = (low, middle) if value[0].imag * middle < -1e-6 else (middle, high)
        return high

    def r_transform(self, w: ArrayLike) -> Any:
        """The sum of both."""
        return self.first.r_transform(w) + self.second.r_transform(w)

    def _stieltjes(self, z: ComplexArray) -> tuple[ComplexArray, ComplexArray]:
        def parts(y: ComplexArray, z: ComplexArray) -> tuple[ComplexArray, ...]:
            """Reciprocals of G, which are nearly straight lines, and the equation's derivative."""
            value, slope = _reciprocal(*self.first._stieltjes(y))
            other, other_slope = _reciprocal(*self.second._stieltjes(z + value - y))
            return value, slope, other, other_slope, slope - other_slope * (slope - 1)

        def equation(y: ComplexArray, z: ComplexArray) -> tuple[ComplexArray, ComplexArray]:
            value, _, other, _, total = parts(y, z)
            return value - other, total

        y = follow(equation, lambda z: z, z, self._reach)
        value, slope, _, other_slope, total = parts(y, z)
        with np.errstate(divide="ignore", invalid="ignore"):  # At the edges.
            return 1 / value, -slope / value**2 * other_slope / total

    @cached_property
    def _reach(self) -> float:
        """No eigenvalue is further from zero."""
        return sum(max(map(abs, law._support)) for law in (self.first, self.second))


@dataclass(frozen=True)
class FreeProduct(SpectralLaw):
    """The law of a product of free matrices. See `free_product`."""

    first: SpectralLaw
    second: SpectralLaw

    @property
    def title(self) -> str:
        """Both laws."""
        return f"Free product of ({self.first.title}) and ({self.second.title})"

    @property
    def assumptions(self) -> str:
        """Freeness, and those of both laws."""
        return _joined(self.first, self.second)

    @property
    def atom(self) -> float:
        """The larger of both."""
        return max(self.first.atom, self.second.atom)

    def moments(self, order: int) -> tuple[float, ...]:
        """From S-transforms, which multiply."""
        factors = [
            series.s_series_of_moments(law.moments(order)) for law in (self.first, self.second)
        ]
        return tuple(series.moments_of_s_series(series.product(*factors)))

    @cached_property
    def edges(self) -> tuple[float, float]:
        """Where ``(1 + w) / (w S(w))`` turns."""

        def place(w: float) -> float:
            return (1 + w) / (w * float(self.s_transform(w)))

        laws = self.first, self.second
        right = _least(place, min(law._at_edge(1)[1] for law in laws))
        # Between zero and the least other eigenvalue, M falls from -(1 - atom).
        top, bottom = self.atom - 1, max(law._least_moment for law in laws)
        if bottom >= top:
            return 0.0, right
        return -_least(lambda t: -place(top - t), top - bottom), right

    def s_transform(self, w: ArrayLike) -> Any:
        """The product of both."""
        return self.first.s_transform(w) * self.second.s_transform(w)

    def _stieltjes(self, z: ComplexArray) -> tuple[ComplexArray, ComplexArray]:
        def parts(y: ComplexArray, z: ComplexArray) -> tuple[ComplexArray, ...]:
            """As for sums, with reciprocals of ``M = z G - 1``."""
            value, slope = _reciprocal_moments(self.first, y)
            place = z * (1 + value) / y
            other, other_slope = _reciprocal_moments(self.second, place)
            total = slope - other_slope * (z * slope - place) / y
            return value, slope, other, other_slope * place / z, total

        def equation(y: ComplexArray, z: ComplexArray) -> tuple[ComplexArray, ComplexArray]:
            value, _, other, _, total = parts(y, z)
            return value - other, total

        mean = float(self.second.moments(1)[0])
        y = follow(equation, lambda z: z / mean, z, self._reach)
        value, slope, _, by_z, total = parts(y, z)
        result = (1 + 1 / value) / z
        with np.errstate(divide="ignore", invalid="ignore"):  # At the edges.
            return result, (-slope / value**2 * by_z / total - result) / z

    @cached_property
    def _reach(self) -> float:
        """No eigenvalue is larger."""
        return self.first.edges[1] * self.second.edges[1]


def free_sum(first: SpectralLaw, second: SpectralLaw) -> FreeSum:
    """Eigenvalues of ``A + B`` for large A and B in general position.

    Parameters
    ----------
    first, second : SpectralLaw

    Returns
    -------
    FreeSum
        A law that can be added and multiplied again.

    Raises
    ------
    InvalidArgumentError
        Something else than laws.

    Notes
    -----
    R-transforms add up. Densities by subordination, ``G(z) = G_A(y)`` with
    ``G_A(y) = G_B(z + 1/G_A(y) - y)``, solved by Newton's method from far above the real axis down
    to it. Belinschi and Bercovici, A new approach to subordination results (2007).

    Examples
    --------
    >>> from unrolled.theory import marchenko_pastur, semicircle
    >>> law = free_sum(semicircle(3), semicircle(4))  # The semicircle of deviation 5.
    >>> law.moments(4), [round(edge, 9) for edge in law.edges]
    ((0, 25, 0, 1250), [-10.0, 10.0])
    """
    _check_laws(first, second)
    return FreeSum(first, second)


def free_product(first: SpectralLaw, second: SpectralLaw) -> FreeProduct:
    """Eigenvalues of ``sqrt(A) B sqrt(A)`` for large A and B >= 0 in general position.

    Parameters
    ----------
    first, second : SpectralLaw
        Without negative eigenvalues.

    Returns
    -------
    FreeProduct
        A law that can be added and multiplied again.

    Raises
    ------
    TheoryDomainError
        A law with negative eigenvalues.
    InvalidArgumentError
        Something else than laws.

    Notes
    -----
    S-transforms multiply: Voiculescu, Multiplication of certain noncommuting random variables
    (1987). Densities as for `free_sum`.

    Examples
    --------
    >>> from unrolled.theory import marchenko_pastur
    >>> square = marchenko_pastur(1)
    >>> free_product(square, square).moments(4) == (1, 3, 12, 55)  # Fuss-Catalan numbers.
    True
    """
    _check_laws(first, second)
    for law in (first, second):
        if law._support[0] < 0:
            raise TheoryDomainError(
                f"a free product is of laws without negative eigenvalues; "
                f"{law.title} begins at {law._support[0]:g}"
            )
    return FreeProduct(first, second)


def follow(
    equation: Equation,
    guess: Callable[[ComplexArray], ComplexArray],
    z: ComplexArray,
    reach: float,
) -> ComplexArray:
    """Solve an equation at z by following its solution down from far above the spectrum.

    Parameters
    ----------
    equation : callable
        From the unknown and z, both of one shape, to what has to vanish and its derivative.
    guess : callable
        The solution for large z.
    z : ndarray of complex
        Where to arrive, not below the real axis.
    reach : float
        The size of the spectrum.
    """
    floor = np.maximum(LEAST_HEIGHT * np.maximum(np.abs(z), 1e-7 * reach), z.imag)
    ceiling = np.maximum(8.0 * (reach + np.abs(z)), z.imag)
    steps = 1 + int(np.ceil(np.log(np.max(ceiling / floor, initial=1.0)) / np.log(SHRINK)))
    y = guess(z.real + 1j * ceiling)
    for share in np.linspace(0.0, 1.0, steps + 1):
        at = z.real + 1j * ceiling ** (1 - share) * floor**share
        for _ in range(2):
            y = _newton(equation, y, at)
    for _ in range(8):
        y = _newton(equation, y, z)
    return y


def _newton(equation: Equation, y: ComplexArray, z: ComplexArray) -> ComplexArray:
    value, slope = equation(y, z)
    # At an edge of the spectrum the derivative vanishes with the value.
    with np.errstate(all="ignore"):
        step = value / slope
    return y - np.where(np.isfinite(step), step, 0.0)


def _least(function: Callable[[float], float], bound: float) -> float:
    """The minimum over (0, bound) of a function that first falls; the bound may be infinite."""
    minimize = import_optional("scipy.optimize", "theory").minimize_scalar

    def stretched(t: float) -> float:
        return t * bound if np.isfinite(bound) else t / (1 - t)

    found = minimize(
        lambda t: function(stretched(t)),
        bounds=(1e-9, 1 - 1e-6),
        method="bounded",
        options={"xatol": 1e-9},  # The square of its error is that of the minimum.
    )
    return float(found.fun)


def _reciprocal(value: ComplexArray, slope: ComplexArray) -> tuple[ComplexArray, ComplexArray]:
    return 1 / value, -slope / value**2


def _reciprocal_moments(law: SpectralLaw, y: ComplexArray) -> tuple[ComplexArray, ComplexArray]:
    value, slope = law._stieltjes(y)
    return _reciprocal(y * value - 1, value + y * slope)


def _joined(first: SpectralLaw, second: SpectralLaw) -> str:
    notes = dict.fromkeys([FREE, *first.assumptions.split("; "), *second.assumptions.split("; ")])
    return "; ".join(notes)


def _check_laws(*laws: object) -> None:
    for law in laws:
        if not isinstance(law, SpectralLaw):
            raise InvalidArgumentError(
                f"a law such as semicircle() or marchenko_pastur(1) is expected, "
                f"got {described(law)}"
            )
