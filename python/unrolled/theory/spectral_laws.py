"""Laws of eigenvalues of large random matrices: the semicircle, Marchenko-Pastur, and their base.

Sums and products of free matrices are in `free_probability`, the spectrum of the Jacobian of a deep
network in `jacobian_spectra`; both derive from `SpectralLaw`.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unrolled._support.arguments import checked_number, checked_numbers
from unrolled._support.caching import cached_property
from unrolled._support.hints import described
from unrolled._support.optional import import_optional
from unrolled.errors import InvalidArgumentError, TheoryDomainError
from unrolled.show.plot import COLOR, SECOND_COLOR, styled
from unrolled.theory.arguments import checked_count
from unrolled.theory.results import TheoryResult, figure_of, panel
from unrolled.theory.series import cumulants_of_moments

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["MarchenkoPastur", "Semicircle", "SpectralLaw", "marchenko_pastur", "semicircle"]

Array = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

LARGE = "matrices of infinite size (corrections of order 1/size)"
ROWS = 5
"""Moments that a table shows."""

CDF_NODES = 400


class SpectralLaw(TheoryResult):
    """A law of eigenvalues: a density between two edges, and perhaps a mass at zero.

    What a subclass has to define are `title`, `assumptions`, `moments`, `edges`, `atom`, and
    ``_stieltjes`` above and on the real axis.
    """

    @property
    @abstractmethod
    def edges(self) -> tuple[float, float]:
        """Least and largest eigenvalue; the density may vanish in places between them."""

    @property
    @abstractmethod
    def atom(self) -> float:
        """The share of eigenvalues that are exactly zero."""

    @abstractmethod
    def moments(self, order: int) -> tuple[float, ...]:
        """The means of ``eigenvalue^k`` for k = 1, ..., order.

        Raises
        ------
        TheoryDomainError
            An order below 1.
        InvalidArgumentError
            An order that is no integer.
        """

    @abstractmethod
    def _stieltjes(self, z: ComplexArray) -> tuple[ComplexArray, ComplexArray]:
        """The transform and its derivative; on the real axis the limits from above."""

    @property
    def _support(self) -> tuple[float, float]:
        """As `edges`, but with the atom."""
        least, largest = self.edges
        return (min(least, 0.0), max(largest, 0.0)) if self.atom > 0 else (least, largest)

    @property
    def rows(self) -> list[dict[str, object]]:
        """Edges, atom and the first moments."""
        figures: list[tuple[str, object]] = [
            ("least eigenvalue", self.edges[0]),
            ("largest eigenvalue", self.edges[1]),
            ("share of zeros", self.atom),
        ]
        figures += [(f"moment {k}", one) for k, one in enumerate(self.moments(ROWS), 1)]
        return [{"quantity": name, "value": value} for name, value in figures]

    def free_cumulants(self, order: int) -> tuple[float, ...]:
        """Coefficients of the R-transform: ``R(w) = sum_k kappa_k w^(k-1)``, k = 1, ..., order.

        Errors are those of `moments`.
        """
        return tuple(cumulants_of_moments(self.moments(_checked_order(order))))

    def stieltjes(self, z: ArrayLike) -> ComplexArray:
        """``G(z)``, the mean of ``1 / (z - eigenvalue)``.

        Parameters
        ----------
        z : array_like of complex
            On the real axis between the edges: the limit from above.

        Returns
        -------
        ndarray of complex
            Of the shape of `z`.
        """
        points = np.asarray(z, dtype=np.complex128)
        below = points.imag < 0
        values, _ = self._stieltjes(np.where(below, points.conj(), points).ravel())
        values = values.reshape(points.shape)
        return np.where(below, values.conj(), values)

    def density(self, x: ArrayLike) -> Array:
        """The density of eigenvalues, without the atom at zero.

        Parameters
        ----------
        x : array_like

        Returns
        -------
        ndarray
            Of the shape of `x`; zero outside the edges.

        Raises
        ------
        InvalidArgumentError
            No numbers.
        """
        points = checked_numbers("x", x)
        result = np.zeros(points.shape)
        least, largest = self.edges
        inside = (points > least) & (points < largest)
        if np.any(inside):
            values, _ = self._stieltjes(points[inside].astype(np.complex128))
            result[inside] = np.maximum(-values.imag / np.pi, 0.0)
        return result

    def cdf(self, x: ArrayLike) -> Array:
        """The share of eigenvalues up to `x`, to about six digits.

        Parameters
        ----------
        x : array_like

        Returns
        -------
        ndarray
            Of the shape of `x`.

        Raises
        ------
        InvalidArgumentError
            No numbers.
        """
        points = checked_numbers("x", x)
        least, largest = self.edges
        above = self._mass_above(np.clip(points, least, largest))
        above = np.where(points < least, 1.0 - self.atom, np.where(points >= largest, 0.0, above))
        return np.clip(1.0 - above - self.atom * (points < 0), 0.0, 1.0)

    @cached_property
    def _mass_above(self) -> Callable[[Array], Array]:
        """The mass of the density above a point, by interpolation."""
        interpolator = import_optional("scipy.interpolate", "theory").PchipInterpolator
        least, largest = self.edges
        angles = np.linspace(0.0, np.pi, CDF_NODES + 1)
        # Hard edges: eigenvalues accumulate at zero, over many powers of ten.
        is_hard = least == 0.0
        low, high = (math.log(largest * 1e-14), math.log(largest)) if is_hard else (least, largest)
        places = (low + high) / 2 + (high - low) / 2 * np.cos(angles)
        values = np.exp(places) if is_hard else places
        density = self.density(values) * (values if is_hard else 1.0)
        mass = interpolator(angles, density * np.sin(angles) * (high - low) / 2).antiderivative()

        def above(x: Array) -> Array:
            place = np.log(np.maximum(x, largest * 1e-14)) if is_hard else x
            cosine = (place - (low + high) / 2) / ((high - low) / 2)
            result: Array = mass(np.arccos(np.clip(cosine, -1.0, 1.0)))
            return result

        return above

    def r_transform(self, w: ArrayLike) -> Any:
        """``R(w) = G^-1(w) - 1/w``: adds up over sums of free matrices.

        Parameters
        ----------
        w : array_like
            Real numbers that `stieltjes` takes outside the edges, not zero.

        Raises
        ------
        TheoryDomainError
            A number it does not take there.
        """
        return self._by_inversion(w, lambda x, g: g, lambda x, w: x - 1 / w, "R")

    def s_transform(self, w: ArrayLike) -> Any:
        """``S(w) = (1 + w) / (w M^-1(w))`` with ``M(z) = z G(z) - 1``: multiplies over products.

        Parameters
        ----------
        w : array_like
            Real numbers that M takes outside the edges, not zero.

        Raises
        ------
        TheoryDomainError
            A mean of zero, where there is no such transform; or a number that M does not take.
        """
        if abs(self.moments(1)[0]) <= 1e-15 * max(map(abs, self.edges)):
            raise TheoryDomainError(f"a law of mean zero has no S-transform: {self.title}")
        return self._by_inversion(w, lambda x, g: x * g - 1, lambda x, w: (1 + w) / (w * x), "S")

    def _at_edge(self, side: int) -> tuple[float, float]:
        """G and ``M = z G - 1`` at the end of the support, 0 or 1, from outside."""
        place = self._support[side]
        if side == 0 and (self.atom > 0 or place == 0):
            return -math.inf, -math.inf
        value = self._real(place)
        return value, place * value - 1

    @property
    def _least_moment(self) -> float:
        """M at the least eigenvalue that is not zero, from the left."""
        least = self.edges[0]
        return least * self._real(least) - 1 if least > 0 else self.atom - 1

    def _real(self, x: float) -> float:
        values, _ = self._stieltjes(np.array([x], dtype=np.complex128))
        return float(values[0].real)

    def _by_inversion(
        self,
        w: ArrayLike,
        of: Callable[[float, float], float],
        transform: Callable[[float, float], float],
        name: str,
    ) -> Any:
        """A transform at places where a function of x and G(x) takes the values w."""
        targets = np.asarray(w, dtype=np.float64)
        found = [transform(self._place(float(one), of, name), float(one)) for one in targets.flat]
        return np.array(found).reshape(targets.shape)[()]

    def _place(self, target: float, of: Callable[[float, float], float], name: str) -> float:
        brentq = import_optional("scipy.optimize", "theory").brentq
        least, largest = self._support
        span = largest - least

        def excess(x: float) -> float:
            return 1 / of(x, self._real(x)) - 1 / target  # Nearly a straight line.

        near, far = 1e-14 * span, 1e6 * span
        sides = [(largest + near, largest + far), (least - far, least - near)]
        if least > near:
            sides.append((1e-14 * least, least * (1 - 1e-14)))
        for low, high in sides:
            if excess(low) * excess(high) < 0:
                return float(brentq(excess, low, high, xtol=1e-14 * span, rtol=1e-14))
        raise TheoryDomainError(
            f"the {name}-transform is not defined at {target:g}: no point outside the spectrum "
            f"belongs to it ({self.title})"
        )

    def plot(
        self, *, matrix: ArrayLike | None = None, axes: Axes | None = None
    ) -> tuple[Figure, Axes]:
        """The density with its edges, and the eigenvalues of a given matrix beside it.

        Parameters
        ----------
        matrix : array_like, optional
            A symmetric matrix, shape (n, n), or its eigenvalues, shape (n,).
        axes : matplotlib.axes.Axes, optional
            Where to draw: by default a new figure.

        Returns
        -------
        figure, axes

        Raises
        ------
        InvalidArgumentError
            A matrix of another shape.
        MissingPackageError
            matplotlib is not installed.
        """
        eigenvalues = None if matrix is None else eigenvalues_of(matrix)
        least, largest = self.edges
        is_hard = least == 0.0
        angles = np.linspace(0.0, np.pi, 301)[1:-1]
        if is_hard:
            low, high = math.log(largest * 1e-6), math.log(largest)
            x = np.exp((low + high) / 2 + (high - low) / 2 * np.cos(angles))
        else:
            x = (least + largest) / 2 + (largest - least) / 2 * np.cos(angles)
        with styled():
            axes = panel(axes)
            if eigenvalues is not None:
                drawn = eigenvalues[eigenvalues > 1e-6 * largest] if is_hard else eigenvalues
                bins: Any = 40
                if is_hard:
                    bins = np.geomspace(1e-4 * largest, max(largest, drawn.max()) * 1.001, 40)
                weights = np.full(len(drawn), 1 / len(eigenvalues))
                heights, ends = np.histogram(drawn, bins=bins, weights=weights)
                axes.stairs(
                    heights / np.diff(ends), ends, fill=True, color="#bbbbbb", label="matrix"
                )
            axes.plot(x, self.density(x), color=COLOR, label="law")
            for edge in self.edges[is_hard:]:
                axes.axvline(edge, color=SECOND_COLOR, linestyle="--", linewidth=0.9)
            if is_hard:
                axes.set_xscale("log")
                axes.set_yscale("log")
                axes.set_xlim(left=1e-4 * largest)
            title = self.title if self.atom == 0 else f"{self.title}; {self.atom:.3g} are zero"
            axes.set(title=title, xlabel="eigenvalue", ylabel="density")
            axes.legend()
        return figure_of(axes), axes


@dataclass(frozen=True)
class Semicircle(SpectralLaw):
    """The law of large symmetric matrices of independent entries. See `semicircle`."""

    sigma: float

    @property
    def title(self) -> str:
        """The law and its deviation."""
        return f"Semicircle of deviation {float(self.sigma):g}"

    @property
    def assumptions(self) -> str:
        """What the matrix is."""
        return f"symmetric matrix of independent entries of variance sigma^2 / size; {LARGE}"

    @property
    def edges(self) -> tuple[float, float]:
        """``-2 sigma`` and ``2 sigma``."""
        return -2 * float(self.sigma), 2 * float(self.sigma)

    @property
    def atom(self) -> float:
        """None."""
        return 0.0

    def moments(self, order: int) -> tuple[float, ...]:
        """Catalan numbers for even orders; errors are those of `SpectralLaw.moments`."""
        return tuple(
            0 * self.sigma if k % 2 else math.comb(k, k // 2) // (k // 2 + 1) * self.sigma**k
            for k in range(1, _checked_order(order) + 1)
        )

    def r_transform(self, w: ArrayLike) -> Any:
        """``sigma^2 w``, for any w."""
        return float(self.sigma) ** 2 * np.asarray(w)[()]

    def _stieltjes(self, z: ComplexArray) -> tuple[ComplexArray, ComplexArray]:
        edge = 2 * float(self.sigma)
        root = _root(z - edge) * _root(z + edge)
        with np.errstate(divide="ignore", invalid="ignore"):  # At the edges.
            return 2 / (z + root), (1 - z / root) * 2 / edge**2


@dataclass(frozen=True)
class MarchenkoPastur(SpectralLaw):
    """The law of large matrices of covariances. See `marchenko_pastur`."""

    ratio: float
    sigma: float = 1

    @property
    def title(self) -> str:
        """The law and its parameters."""
        return f"Marchenko-Pastur, ratio {float(self.ratio):g}, deviation {float(self.sigma):g}"

    @property
    def assumptions(self) -> str:
        """What the matrix is."""
        return f"X X^T, X of independent entries of variance sigma^2 / columns; {LARGE}"

    @property
    def edges(self) -> tuple[float, float]:
        """``sigma^2 (1 -+ sqrt(ratio))^2``, of the part that is not zero."""
        root = math.sqrt(self.ratio)
        return float(self.sigma) ** 2 * (1 - root) ** 2, float(self.sigma) ** 2 * (1 + root) ** 2

    @property
    def atom(self) -> float:
        """``1 - 1/ratio`` where there are more rows than columns."""
        return max(0.0, 1 - 1 / float(self.ratio))

    def moments(self, order: int) -> tuple[float, ...]:
        """Narayana polynomials in the ratio; errors are those of `SpectralLaw.moments`."""
        return tuple(
            sum(math.comb(k, r) * math.comb(k - 1, r) // (r + 1) * self.ratio**r for r in range(k))
            * self.sigma ** (2 * k)
            for k in range(1, _checked_order(order) + 1)
        )

    def r_transform(self, w: ArrayLike) -> Any:
        """``sigma^2 / (1 - ratio sigma^2 w)``."""
        variance = float(self.sigma) ** 2
        return variance / (1 - float(self.ratio) * variance * np.asarray(w)[()])

    def s_transform(self, w: ArrayLike) -> Any:
        """``1 / (sigma^2 (1 + ratio w))``."""
        return 1 / (float(self.sigma) ** 2 * (1 + float(self.ratio) * np.asarray(w)[()]))

    def _stieltjes(self, z: ComplexArray) -> tuple[ComplexArray, ComplexArray]:
        ratio, variance = float(self.ratio), float(self.sigma) ** 2
        least, largest = self.edges
        root = _root(z - least) * _root(z - largest)
        with np.errstate(divide="ignore", invalid="ignore"):  # At the edges.
            moved = z - variance * (1 - ratio)
            # Two forms of one root of a quadratic equation: the one without cancellation.
            value = np.where(
                np.abs(moved + root) > np.abs(moved - root),
                2 / (moved + root),
                (moved - root) / (2 * ratio * variance * z),
            )
            return value, (ratio * variance * value - 1) * value / root


def semicircle(sigma: float = 1) -> Semicircle:
    """Wigner's law: eigenvalues of symmetric matrices of independent entries.

    Parameters
    ----------
    sigma : float
        Entries have the variance ``sigma^2 / size``. Positive; moments of a fraction are exact.

    Returns
    -------
    Semicircle

    Raises
    ------
    TheoryDomainError
        A deviation that is not positive.

    Examples
    --------
    >>> semicircle(1).moments(6)
    (0, 1, 0, 2, 0, 5)
    """
    return Semicircle(_checked_positive(sigma, "sigma"))


def marchenko_pastur(ratio: float, sigma: float = 1) -> MarchenkoPastur:
    """The law of Marchenko and Pastur: eigenvalues of ``X X^T``.

    Parameters
    ----------
    ratio : float
        Rows of X over its columns, positive.
    sigma : float
        Entries have the variance ``sigma^2 / columns``. Moments of fractions are exact.

    Returns
    -------
    MarchenkoPastur

    Raises
    ------
    TheoryDomainError
        A number that is not positive.

    Examples
    --------
    >>> law = marchenko_pastur(4)
    >>> law.edges, law.atom, law.moments(2)
    ((1.0, 9.0), 0.75, (1, 5))
    """
    return MarchenkoPastur(_checked_positive(ratio, "ratio"), _checked_positive(sigma, "sigma"))


def eigenvalues_of(matrix: ArrayLike) -> Array:
    """Of a symmetric matrix, or as they are given."""
    values = checked_numbers("the matrix", matrix)
    if values.ndim == 1 and len(values):
        return values
    if values.ndim == 2 and values.shape[0] == values.shape[1] > 0:
        if np.allclose(values, values.T):
            return np.asarray(np.linalg.eigvalsh(values), dtype=np.float64)
        raise InvalidArgumentError("the matrix is not symmetric; for singular values give J @ J.T")
    raise InvalidArgumentError(
        f"a symmetric matrix, or the vector of its eigenvalues, is expected; got shape "
        f"{values.shape}"
    )


def _root(z: ComplexArray) -> ComplexArray:
    """The square root in the upper half-plane, also on the negative axis with a sign of zero."""
    return np.sqrt(np.where(z.imag == 0, z.real + 0j, z))


def _checked_positive(value: float, name: str) -> float:
    number = checked_number(name, value)
    if not (number > 0 and math.isfinite(number)):
        raise TheoryDomainError(f"{name} must be positive, got {described(value)}")
    return value


def _checked_order(order: int) -> int:
    return checked_count(order, "the order of moments")
