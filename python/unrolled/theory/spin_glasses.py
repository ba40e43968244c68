"""Spin glasses: the spherical model that a network was likened to, and its critical points.

The likeness (Choromanska et al. 2015) rests on assumptions that real networks do not meet; results
always say so. The Gibbs measure of contexts is another matter: see `unrolled.Ensemble`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unrolled._support.arguments import checked_numbers
from unrolled._support.hints import described
from unrolled._support.optional import import_optional
from unrolled.counting.summation import path_sums
from unrolled.errors import InvalidArgumentError, TheoryDomainError
from unrolled.network.builder import Link
from unrolled.network.network import Network
from unrolled.show.plot import COLOR, SECOND_COLOR, styled
from unrolled.sources.resolution import resolve
from unrolled.theory.arguments import checked_count
from unrolled.theory.layers import fan_in
from unrolled.theory.results import TheoryResult, figure_of, panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["SphericalModel", "SpinGlass", "spin_glass"]

Array = NDArray[np.float64]
Mixture = Mapping[int, float] | Sequence[float]
"""Coefficients of xi by power, or from the power 0 on."""

LIMIT = "numbers of critical points are of their mean, as exponents in the limit of large size"
LIKENESS = (
    "paths independent of each other and of the input, weights redundant and uniform "
    "(Choromanska et al. 2015): not met by real networks, and no prediction of a trained loss"
)

GROUND_STATES = 4
"""Energies of critical points of index 0, 1, ... that a table shows."""


@dataclass(frozen=True, init=False)
class SphericalModel(TheoryResult):
    """The spherical spin glass of H spins an interaction, or of a mixture.

    Energies u are a spin; the model lives on the sphere of radius ``sqrt(size)``, and its energy
    has the covariance ``size * xi(overlap)``.

    Parameters
    ----------
    depth : int, or mapping or sequence, optional
        H, at least 2: ``xi(x) = x^H``. Whatever is no integer is taken for a mixture.
    mixture : mapping or sequence, optional
        Instead: the coefficients of xi, by power, or from the power 0 on; not negative. They are
        divided by their sum.
    H, xi : optional
        The same two by the names that formulas give them.

    Raises
    ------
    TheoryDomainError
        Both or none of the two; a depth below 2; or coefficients that are no mixture.

    Notes
    -----
    Auffinger, Ben Arous and Cerny, Random matrices and complexity of spin glasses (2013); for
    mixtures Auffinger and Ben Arous, Complexity of random smooth functions on the high-dimensional
    sphere (2013). Of mixtures only `total_complexity` is known here.

    Examples
    --------
    >>> model = SphericalModel(3)
    >>> round(model.threshold, 6), round(model.ground_state(0), 6)
    (1.632993, 1.656998)
    >>> SphericalModel(H=3) == model, SphericalModel(xi={2: 0.5, 4: 0.5}).coefficients
    (True, {2: 0.5, 4: 0.5})
    """

    depth: int | None
    mixture: Mixture | None = field(repr=False)

    def __init__(
        self,
        depth: int | Mixture | None = None,
        mixture: Mixture | None = None,
        *,
        H: int | None = None,
        xi: Mixture | None = None,
    ) -> None:
        if isinstance(depth, Mapping | list | tuple | np.ndarray) and mixture is None:
            depth, mixture = None, depth
        given = [one for one in (depth, mixture, H, xi) if one is not None]
        if len(given) != 1:
            raise TheoryDomainError("give exactly one of depth and mixture, or of H and xi")
        object.__setattr__(self, "depth", H if depth is None else depth)
        object.__setattr__(self, "mixture", xi if mixture is None else mixture)
        if self.depth is not None:
            checked_count(self.depth, "H, the spins of an interaction,", least=2)
        if self.mixture is not None:
            values = self.coefficients
            if not values or not all(value >= 0 and power >= 0 for power, value in values.items()):
                raise TheoryDomainError(
                    "a mixture has powers and coefficients that are not negative, and one that is "
                    f"positive; got {described(self.mixture)}"
                )

    @property
    def coefficients(self) -> dict[int, float]:
        """The coefficients of xi by power, of sum one."""
        if self.depth is not None:
            return {self._pure("xi"): 1.0}
        assert self.mixture is not None
        given = self.mixture
        pairs = given.items() if isinstance(given, Mapping) else enumerate(given)
        values = {int(power): float(value) for power, value in pairs if value != 0}
        total = math.fsum(values.values())
        return {power: value / total for power, value in values.items()} if total > 0 else {}

    @property
    def title(self) -> str:
        """The powers."""
        if self.depth is not None:
            return f"Spherical model of {self.depth} spins an interaction"
        powers = sorted(self.coefficients)
        return f"Spherical model of a mixture of {powers[0]} to {powers[-1]} spins"

    @property
    def rows(self) -> list[dict[str, object]]:
        """Thresholds and complexities."""
        figures: list[tuple[str, object]] = [("total complexity", self.total_complexity)]
        if self.depth is not None:
            figures.insert(0, ("threshold E_inf", self.threshold))
            figures += [(f"ground state E_{k}", self.ground_state(k)) for k in range(GROUND_STATES)]
        return [{"quantity": name, "value": value} for name, value in figures]

    @property
    def assumptions(self) -> str:
        """The limit; and the likeness."""
        return f"{LIMIT}; as a model of a network: {LIKENESS}"

    @property
    def threshold(self) -> float:
        """``E_inf = 2 sqrt((H - 1)/H)``: below ``-E_inf`` critical points have a finite index."""
        depth = self._pure("a threshold")
        return 2 * math.sqrt((depth - 1) / depth)

    def rate(self, u: ArrayLike) -> Any:
        """``I(u)``, what it costs to have an eigenvalue beyond the edge, for ``u <= -E_inf``.

        Parameters
        ----------
        u : array_like

        Returns
        -------
        float or ndarray

        Raises
        ------
        TheoryDomainError
            An energy above ``-E_inf``.
        """
        edge, energy = self.threshold, checked_numbers("u", u)
        if not np.all(energy <= -edge):
            raise TheoryDomainError(
                f"the rate is of energies up to -E_inf = {-edge:.9g}, got {described(u)}"
            )
        return self._rate(energy)[()]

    def complexity(self, u: ArrayLike) -> Any:
        """``Theta_H(u)``: the exponent, a spin, of the number of critical points below u.

        Parameters
        ----------
        u : array_like
            Energies a spin.

        Returns
        -------
        float or ndarray
            Negative where there are none.

        Raises
        ------
        TheoryDomainError
            A mixture, or an energy that is not finite.
        """
        depth, energy = self._pure("a complexity by energy"), checked_numbers("u", u)
        self._check_energies(energy)
        bowl = math.log(depth - 1) / 2 - (depth - 2) * np.minimum(energy, 0.0) ** 2 / (
            4 * (depth - 1)
        )
        return (bowl - self._rate(np.minimum(energy, -self.threshold)))[()]

    def complexity_of_index(self, k: int, u: ArrayLike) -> Any:
        """``Theta_(k,H)(u)``: as `complexity`, of critical points of index k only.

        Above ``-E_inf`` it stays at ``ln(H - 1)/2 - (H - 2)/H``: no more such points are added.

        Parameters
        ----------
        k : int
            The number of negative eigenvalues of the Hessian, from 0.
        u : array_like

        Raises
        ------
        TheoryDomainError
            A negative index.
        """
        depth, energy = self._pure("a complexity by energy"), checked_numbers("u", u)
        self._check_energies(energy)
        low = np.minimum(energy, -self.threshold)
        bowl = math.log(depth - 1) / 2 - (depth - 2) * low**2 / (4 * (depth - 1))
        return (bowl - (_checked_index(k) + 1) * self._rate(low))[()]

    def ground_state(self, k: int = 0) -> float:
        """``E_k``: critical points of index k have energies above ``-E_k``.

        Parameters
        ----------
        k : int
            From 0; that of 0 is the least energy of all.

        Raises
        ------
        TheoryDomainError
            A negative index, or a mixture.
        """
        brentq = import_optional("scipy.optimize", "theory").brentq
        if self._pure("a ground state") == 2:
            return math.sqrt(2.0)  # No exponential number anywhere.
        _checked_index(k)

        def height(energy: float) -> float:
            return float(self.complexity_of_index(k, -energy))

        high = 2 * self.threshold
        while height(high) > 0:
            high *= 2
        return float(brentq(height, self.threshold, high, xtol=1e-15, rtol=1e-14))

    def index_fraction(self, u: ArrayLike) -> Any:
        """The share of negative eigenvalues of the Hessian at critical points of energy u.

        ``(acos x - x sqrt(1 - x^2))/pi`` with ``x = -u/E_inf``: a semicircle whose centre moves
        with the energy. Near the threshold, ``4 sqrt(2)/(3 pi) (1 - x)^(3/2)``.

        Parameters
        ----------
        u : array_like
            Energies in ``[-E_inf, E_inf]``.

        Raises
        ------
        TheoryDomainError
            An energy outside.
        """
        energy = checked_numbers("u", u)
        x = -energy / self.threshold
        if not np.all(np.abs(x) <= 1):
            raise TheoryDomainError(
                f"the share is of energies within E_inf = {self.threshold:.9g}, got {described(u)}"
            )
        return ((np.arccos(x) - x * np.sqrt((1 - x) * (1 + x))) / np.pi)[()]

    @property
    def total_complexity(self) -> float:
        """The exponent of the number of all critical points; zero if it is not exponential.

        ``max(0, ln(xi''(1)/xi'(1)) / 2)``, also for mixtures: it takes two moments of the powers.
        """
        pairs = self.coefficients.items()
        mean = math.fsum(power * share for power, share in pairs)
        pairs_of_spins = math.fsum(power * (power - 1) * share for power, share in pairs)
        if mean == 0 or pairs_of_spins <= mean:
            return 0.0
        return math.log(pairs_of_spins / mean) / 2

    def plot(self, *, axes: Axes | None = None) -> tuple[Figure, Axes]:
        """Complexities by energy, all and of the lowest indices, with the thresholds.

        Parameters and errors are those of `TheoryResult.plot`; a mixture has no such curves and
        is a `TheoryDomainError`.
        """
        self._pure("a complexity by energy")
        edge, ground = self.threshold, self.ground_state(0)
        width = max(ground - edge, 0.02 * edge)
        u = np.linspace(-ground - 0.4 * width, -edge + 1.2 * width, 301)
        with styled():
            axes = panel(axes)
            axes.plot(u, self.complexity(u), color="black", label="all")
            for k, alpha in zip(range(GROUND_STATES), (1.0, 0.75, 0.5, 0.35), strict=True):
                axes.plot(
                    u, self.complexity_of_index(k, u), color=COLOR, alpha=alpha, label=f"index {k}"
                )
                axes.plot([-self.ground_state(k)], [0.0], "o", color=SECOND_COLOR, markersize=3)
            axes.axhline(0.0, color="#999999", linewidth=0.8)
            axes.axvline(-edge, color=SECOND_COLOR, linestyle="--", linewidth=0.9)
            axes.annotate("$-E_\\infty$", (-edge, axes.get_ylim()[0]), xytext=(3, 4),
                          textcoords="offset points")  # fmt: skip
            axes.annotate("$-E_0$", (-ground, 0.0), xytext=(-20, 4), textcoords="offset points")
            axes.set(
                title=self.title,
                xlabel="energy a spin, $u$",
                ylabel="exponent of the number below $u$",
            )
            axes.legend()
        return figure_of(axes), axes

    def _pure(self, what: str) -> int:
        if self.depth is None:
            raise TheoryDomainError(
                f"{what} is of a single power; of mixtures only total_complexity is known"
            )
        return checked_count(self.depth, "H, the spins of an interaction,", least=2)

    def _rate(self, energy: Array) -> Array:
        edge = self.threshold
        root = np.sqrt(np.maximum((-energy - edge) * (-energy + edge), 0.0))
        result: Array = -energy / edge**2 * root - np.log(-energy + root) + math.log(edge)
        return result

    def _check_energies(self, energy: Array) -> None:
        if not np.all(np.isfinite(energy)):
            raise TheoryDomainError(f"energies are finite numbers, got {described(energy)}")


@dataclass(frozen=True)
class SpinGlass(TheoryResult):
    """The spin glass that a network was likened to. What `spin_glass` returns.

    Attributes
    ----------
    name : str
    mass : int
        Psi, the number of paths from inputs to outputs.
    depth : int
        H, weight layers on the longest path.
    parameters : int
        N, the number of weights that multiply.
    mixture : tuple of float
        Coefficients of xi from power 0 on: the share of paths by weight layers, each weighted by
        its expected squared derivative.
    """

    name: str
    mass: int = field(repr=False)
    depth: int
    parameters: int
    mixture: tuple[float, ...]

    @property
    def root_mass(self) -> float:
        """``Lambda = Psi^(1/H)``, the size of the spin glass."""
        if self.mass.bit_length() < 1000:
            return float(self.mass ** (1 / self.depth))
        return float(2.0 ** (math.log2(self.mass) / self.depth))

    @property
    def normalization(self) -> float:
        """What outputs are multiplied by: ``q = Psi^(-(H-1)/(2H)) = Lambda^(-(H-1)/2)``."""
        return float(self.root_mass ** (-(self.depth - 1) / 2))

    @property
    def model(self) -> SphericalModel:
        """The spherical model: of one power for a plain network, else of the mixture."""
        powers = [power for power, share in enumerate(self.mixture) if share > 0]
        if powers == [self.depth] and self.depth >= 2:
            return SphericalModel(self.depth)
        return SphericalModel(mixture=self.mixture)

    @property
    def title(self) -> str:
        """The name."""
        return f"Spin glass of {self.name}"

    @property
    def rows(self) -> list[dict[str, object]]:
        """One row a quantity."""
        powers = range(len(self.mixture))
        mean = math.fsum(power * share for power, share in zip(powers, self.mixture, strict=True))
        figures: list[tuple[str, str, object]] = [
            ("Psi", "paths from inputs to outputs", self.mass),
            ("H", "weight layers on the longest path", self.depth),
            ("Lambda", "Psi^(1/H)", self.root_mass),
            ("N", "weights that multiply", self.parameters),
            ("E l", "mean power of the mixture", mean),
            ("Theta", "total complexity", self.model.total_complexity),
        ]
        return [dict(zip(("symbol", "meaning", "value"), one, strict=True)) for one in figures]

    @property
    def assumptions(self) -> str:
        """The likeness and the limit."""
        return f"{LIKENESS}; {LIMIT}; weights keep the mean squared derivative of each layer"

    def plot(self, *, axes: Axes | None = None) -> tuple[Figure, Axes]:
        """The mixture: shares by power.

        Parameters and errors are those of `TheoryResult.plot`.
        """
        with styled():
            axes = panel(axes)
            axes.bar(range(len(self.mixture)), self.mixture, color=COLOR)
            axes.set(
                title=self.title, xlabel="weight layers on a path",
                ylabel="share of the mean\nsquared derivative",
            )  # fmt: skip
            axes.locator_params(axis="x", integer=True)
        return figure_of(axes), axes


def spin_glass(model: Any) -> SpinGlass:
    """Mass, size and mixture of the spin glass that a network was likened to.

    Parameters
    ----------
    model : sequence of int or model
        Widths of a plain network, from the inputs to the outputs; or whatever `unrolled.analyze`
        takes and can be read as a network.

    Returns
    -------
    SpinGlass

    Raises
    ------
    TheoryDomainError
        Widths that are not positive, or a network without paths or weight layers.
    InvalidArgumentError
        A model without layers, such as a graph.

    Notes
    -----
    Choromanska et al., The loss surfaces of multilayer networks (2015). The mixture is the law of
    weight layers along a path, of which each layer passes on ``1 / fan_in`` of the squared
    derivative an edge, as it does with the initialisation that keeps its mean.

    Examples
    --------
    >>> glass = spin_glass([100, 25, 1])
    >>> glass.mass, glass.root_mass, glass.parameters
    (2500, 50.0, 2525)
    """
    if isinstance(model, Sequence) and not isinstance(model, str):
        widths = [checked_count(width, "the width of a layer") for width in model]
        if len(widths) < 2:
            raise TheoryDomainError(f"give the widths of inputs and outputs at least, got {widths}")
        depth = len(widths) - 1
        size = sum(one * other for one, other in pairwise(widths))
        return SpinGlass(
            f"widths {widths}", math.prod(widths), depth, size, (0.0,) * depth + (1.0,)
        )
    network = resolve(model)
    if not isinstance(network, Network):
        raise InvalidArgumentError(
            f"a spin glass is of a network with layers, or of widths; got {described(model)}"
        )
    return _of_network(network)


def _of_network(network: Network) -> SpinGlass:
    mass = int(path_sums(network, direction="backward").total)
    kernels = [
        link for link in network.links if link.role == "kernel" and link.source.role == "parameter"
    ]
    weights = {link.target.id: fan_in(link) for link in kernels}
    size = sum({link.source.id: link.source.size for link in kernels}.values())

    def passed_on(link: Link) -> float:
        is_weighted = link.role == "data" and link.target.id in weights
        return 1.0 / weights[link.target.id] if is_weighted else 1.0

    if mass == 0 or not kernels:
        raise TheoryDomainError(
            f"network '{network.name}' has no path from an input to an output, or no weight layer"
        )
    squares = path_sums(network, passed_on, grade="affine", direction="backward", exact=False)
    law = np.asarray(squares.law, dtype=np.float64)
    mixture = tuple(float(one) for one in law / law.sum())
    return SpinGlass(network.name, mass, len(mixture) - 1, size, mixture)


def _checked_index(k: int) -> int:
    return checked_count(k, "the index, a number of eigenvalues,", least=0)
