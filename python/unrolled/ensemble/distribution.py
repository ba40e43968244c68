"""How the states of an ensemble are distributed: entropies and spreads of any order, densities."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from unrolled._support.arguments import checked_number, checked_numbers
from unrolled._support.hints import described
from unrolled.ensemble.canonical import Canonical, Real, Unit, real
from unrolled.ensemble.levels import Floats, Temperatures, log_mean_exponential
from unrolled.errors import InvalidArgumentError

__all__ = ["DensityOfStates", "Distribution"]


class DensityOfStates(NamedTuple):
    """Numbers of states by energy; `Ensemble.density_of_states` makes it.

    Attributes
    ----------
    edges : ndarray of float64
        Edges of the bins, shape ``(bins + 1,)``.
    states : ndarray of float64
        Number of states in each bin, shape ``(bins,)``.
    density : ndarray of float64
        States per unit of energy, shape ``(bins,)``.

    Examples
    --------
    >>> from unrolled import Ensemble
    >>> Ensemble([0.0, 1.0, 4.0], [1, 1, 6]).density_of_states(bins=2)
    DensityOfStates(edges=array([0., 2., 4.]), states=array([2., 6.]), density=array([1., 3.]))
    """

    edges: Floats
    states: Floats
    density: Floats


class Distribution(Canonical):
    """What an `Ensemble` has at one temperature, or without any."""

    __slots__ = ()

    def renyi_entropy(self, q: Any, T: float | str = -1.0, *, unit: Unit | None = None) -> Real:
        """Renyi entropy of order q of the distribution over the states.

        Symbol ``H_q``; formula ``ln(sum g p**q) / (1 - q)``; unit nats or bits. It never rises
        with q: the logarithm of the number of states at q = 0, Shannon's entropy at q = 1, minus
        the logarithm of the largest probability at q = inf. Source: A. Renyi, "On measures of
        entropy and information", Proc. 4th Berkeley Symposium (1961).

        Parameters
        ----------
        q : float or array_like
            Orders, at least 0; infinity is one.
        T : float, "0+" or "0-"
            One temperature.
        unit : {"nats", "bits"}, optional
            By default that of the ensemble.

        Returns
        -------
        float, or ndarray of float64 of the shape of `q`

        Raises
        ------
        InvalidArgumentError
            A negative order or NaN, T = 0 or several T, an unknown unit.

        Examples
        --------
        >>> from unrolled import Ensemble
        >>> e = Ensemble.from_counts([2, 1, 1], unit="bits")
        >>> e.renyi_entropy([1, float("inf")]).round(12)
        array([1.5, 1. ])
        """
        orders = _orders(q)
        logs = self._levels.log_probabilities(_invert_temperature(T))
        reached = ~np.isneginf(logs)
        logs, log_weights = logs[reached], self._levels.log_weights[reached]
        log_levels = logs + log_weights

        def entropy(order: float) -> float:
            if order == 1.0:
                return math.fsum(-np.exp(log_levels) * logs)
            if math.isinf(order):
                return 0.0 - float(logs.max())
            with np.errstate(over="ignore"):
                terms, growth = log_weights + order * logs, (order - 1.0) * logs
            if not math.isfinite(terms.max()):  # The largest term leaves no room for any other.
                share = 1.0 / (1.0 - order)
                return float((log_weights * share + logs * (order * share)).min())
            return log_mean_exponential(log_levels, growth, terms) / (1.0 - order)

        return real(_map_orders(orders, entropy) / self._scale(unit))

    def spread_spectrum(self, q: Any, T: float | str = -1.0, *, unit: Unit | None = None) -> Real:
        """Expected spread of order q: the energies' exponential mean.

        Symbol ``L_q``; formula ``ln(sum g p exp((q - 1) E)) / (q - 1)``; unit nats or bits. It
        never falls with q: the expected energy at q = 1 (at T = -1 the expected spread), the
        highest energy at q = inf. At T = -1, where ``exp(E)`` is the count C, it is the logarithm
        of the power mean of order q - 1 of the counts, and completes the Renyi entropy of the same
        order as the expected spread does Shannon's: ``H_q + L_q = ln Z``. Source: the mean is
        Kolmogorov's and Nagumo's, which Renyi (1961) uses; its use for spreads is our own.
        Parameters, results and errors are those of `renyi_entropy`.

        Examples
        --------
        >>> from unrolled import Ensemble
        >>> e = Ensemble.from_counts([2, 1, 1], unit="bits")
        >>> e.spread_spectrum([1, float("inf")]).round(12)
        array([0.5, 1. ])
        """
        orders = _orders(q)
        beta = _invert_temperature(T)
        at = self._levels.end(highest=beta < 0)
        relative = self._levels.relative(at)
        log_levels = self._levels.log_probabilities(beta) + self._levels.log_weights
        reached = ~np.isneginf(log_levels)
        relative, log_levels = relative[reached], log_levels[reached]
        log_weights = self._levels.log_weights[reached]
        log_total = float(self._levels.sums(np.array(beta)).log_total)

        def spread(order: float) -> float:
            if order == 1.0:
                return math.fsum(np.exp(log_levels) * relative)
            if math.isinf(order):
                return float(relative.max())
            with np.errstate(over="ignore", invalid="ignore"):
                growth = (order - 1.0) * relative
                terms = log_levels + growth
                if math.isfinite(beta):
                    terms = log_weights + (order - 1.0 - beta) * relative - log_total
            if not math.isfinite(terms.max()):  # The largest term leaves no room for any other.
                share = 1.0 / (order - 1.0)
                spreads = (log_weights - log_total) * share + relative * (1.0 - beta * share)
                return float(spreads.max())
            return log_mean_exponential(log_levels, growth, terms) / (order - 1.0)

        spreads = (_map_orders(orders, spread) + self._levels.tails[at]) + self._levels.heads[at]
        return real(spreads / self._scale(unit))

    def density_of_states(self, *, bins: Any = 50, unit: Unit | None = None) -> DensityOfStates:
        """Number of states by energy.

        Symbol ``g(E)``; formula: the degeneracies of the levels in a bin, divided by its width.

        Parameters
        ----------
        bins : int or array_like
            How many bins of equal width from the lowest to the highest energy; or their edges,
            rising. The last bin includes its upper edge.
        unit : {"nats", "bits"}, optional
            Unit of the energies; by default that of the ensemble.

        Returns
        -------
        DensityOfStates

        Raises
        ------
        InvalidArgumentError
            No bins, or edges that do not rise; an unknown unit.

        Examples
        --------
        >>> from unrolled import Ensemble
        >>> Ensemble([0.0, 1.0, 4.0], [1, 1, 6]).density_of_states(bins=[0, 2, 4]).states
        array([2., 6.])
        """
        energies = self._levels.heads / self._scale(unit)
        try:
            if isinstance(bins, bool):
                raise TypeError(f"{bins} is no number")
            wanted: int | Floats
            if not np.iterable(bins):
                wanted = operator.index(bins)
            else:
                wanted = checked_numbers("bins", bins)
                if wanted.size < 2 or np.isnan(wanted).any():
                    raise ValueError(f"got {described(bins)}")
            states, edges = np.histogram(energies, wanted, weights=self._levels.weights)
        except (TypeError, ValueError) as error:
            raise InvalidArgumentError(
                f"bins must be a positive number of bins or rising edges: {error}"
            ) from None
        return DensityOfStates(edges, states, states / np.diff(edges))

    def microcanonical_entropy(
        self, energy: Any, *, width: float = 1.0, unit: Unit | None = None
    ) -> Real:
        """Entropy of the states within a window of energy, all of equal probability.

        Symbol ``S(E)``; formula ``ln sum g`` over the levels from ``E - width / 2`` up to but not
        including ``E + width / 2``; unit nats or bits. Minus infinity if there are none.

        Parameters
        ----------
        energy : float or array_like
            Centres of windows.
        width : float
            Of each window, above 0.
        unit : {"nats", "bits"}, optional
            Unit of `energy`, `width` and the result; by default that of the ensemble.

        Returns
        -------
        float, or ndarray of float64 of the shape of `energy`

        Raises
        ------
        InvalidArgumentError
            A width that is not above 0, energies that are NaN, or an unknown unit.

        Examples
        --------
        >>> from unrolled import Ensemble
        >>> e = Ensemble([0.0, 1.0, 2.0], [1, 8, 4], unit="bits")
        >>> e.microcanonical_entropy([1.0, 5.0], width=0.5)
        array([  3., -inf])
        """
        scale = self._scale(unit)
        centres, width = checked_numbers("energy", energy), checked_number("width", width)
        if np.isnan(centres).any() or not width > 0:
            raise InvalidArgumentError(
                f"expected energies and a width above 0, got {described(energy)}, {width!r}"
            )
        with np.errstate(over="ignore"):
            lower, upper = centres.ravel() - width / 2, centres.ravel() + width / 2
        order = np.argsort(self._levels.heads, kind="stable")
        energies, weights = self._levels.heads[order] / scale, self._levels.weights[order]
        first, last = np.searchsorted(energies, lower), np.searchsorted(energies, upper)
        states = [weights[low:high].sum() for low, high in zip(first, last, strict=True)]
        with np.errstate(divide="ignore"):
            return real(np.log(states).reshape(centres.shape) / scale)


def _orders(q: Any) -> Floats:
    """Orders of Renyi entropies."""
    orders = checked_numbers("q", q)
    if not (orders >= 0).all():
        raise InvalidArgumentError(f"orders q are at least 0, got {described(q)}")
    return orders


def _map_orders(orders: Floats, figure: Callable[[float], float]) -> Floats:
    """A figure of every order, in an array of their shape."""
    return np.array([figure(order) for order in orders.ravel().tolist()]).reshape(orders.shape)


def _invert_temperature(T: Any) -> float:
    """The inverse of one temperature."""
    betas = Temperatures.of(T).betas
    if betas.ndim:
        raise InvalidArgumentError(f"expected one temperature T, got {described(T)}")
    return float(betas)
