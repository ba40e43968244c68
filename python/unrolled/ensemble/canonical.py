"""The canonical ensemble: quantities of levels with weights at a temperature."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from unrolled._support.arguments import checked_choice
from unrolled.ensemble.levels import LN2, Floats, Levels, Sums, Temperatures

__all__ = ["Canonical", "Real", "Unit", "checked_unit", "quantities_of"]

Unit: TypeAlias = Literal["nats", "bits"]
Real: TypeAlias = Any
"""A float for scalar arguments, an array of float64 of their shape for arrays."""


def checked_unit(unit: Unit) -> Unit:
    """The unit, if it is one."""
    return checked_choice("unit", unit, get_args(Unit))


def log_partition(given: Temperatures, sums: Sums) -> Floats:
    """``ln Z`` in nats."""
    with np.errstate(invalid="ignore", over="ignore"):
        shift = np.where(sums.reference == 0, 0.0, -given.betas * sums.reference)
        tail = np.where(np.isfinite(shift) & (sums.tail != 0), -given.betas * sums.tail, 0.0)
    result: Floats = shift + (tail + sums.log_total)
    return result


def free_energy(given: Temperatures, sums: Sums) -> Floats:
    """``F`` in nats."""
    with np.errstate(invalid="ignore", over="ignore"):
        heat = given.values * sums.log_total
    # A distribution that is infinitely hot: -T ln Z tends to the mean energy.
    is_hot = np.isinf(given.values) & (sums.log_total == 0)
    result: Floats = (sums.tail - np.where(is_hot, -sums.mean, heat)) + sums.reference
    return result


def energy(given: Temperatures, sums: Sums) -> Floats:
    """``U`` in nats."""
    result: Floats = (sums.tail + sums.mean) + sums.reference
    return result


def entropy(given: Temperatures, sums: Sums) -> Floats:
    """``S`` in nats."""
    heat = np.zeros_like(sums.mean)
    np.multiply(given.betas, sums.mean, out=heat, where=sums.mean != 0)
    result: Floats = sums.log_total + heat
    return result


def heat_capacity(given: Temperatures, sums: Sums) -> Floats:
    """``C_v`` in nats."""
    width = np.zeros_like(sums.width)
    np.multiply(given.betas, sums.width, out=width, where=sums.width != 0)
    result: Floats = width**2
    return result


QUANTITIES = {
    "log_partition": log_partition,
    "free_energy": free_energy,
    "energy": energy,
    "entropy": entropy,
    "heat_capacity": heat_capacity,
}


def quantities_of(levels: Levels, given: Temperatures, unit: Unit) -> dict[str, Floats]:
    """All columns of a sweep, from one reading of the levels."""
    sums = levels.sums(given.betas)
    scale = LN2 if unit == "bits" else 1.0
    columns = {"temperature": given.values, "beta": given.betas}
    return columns | {name: formula(given, sums) / scale for name, formula in QUANTITIES.items()}


class Canonical:
    """What an `Ensemble` has at every temperature."""

    __slots__ = ("_levels", "_unit")

    def __init__(self, levels: Levels, unit: Unit) -> None:
        self._levels = levels
        self._unit = checked_unit(unit)

    @property
    def unit(self) -> Unit:
        """Unit of what the methods return unless told otherwise: "nats" or "bits"."""
        return self._unit

    def log_partition(self, T: Any = -1.0, *, unit: Unit | None = None) -> Real:
        """Logarithm of the partition function.

        Symbol ``ln Z``; formula ``ln sum g exp(-beta E)``; unit nats or bits. At T = -1 that of the
        total contexts. Infinite as T -> 0, unless the level it freezes to has energy 0.
        Source: Polat and Alpaslan (2023).

        Parameters
        ----------
        T : float, "0+", "0-" or array_like
            Temperatures of any shape, not 0.
        unit : {"nats", "bits"}, optional
            By default that of the ensemble.

        Returns
        -------
        float, or ndarray of float64 of the shape of `T`

        Raises
        ------
        InvalidArgumentError
            T = 0, NaN, or an unknown unit.

        Examples
        --------
        >>> from unrolled import Ensemble
        >>> round(Ensemble.from_counts([2, 2, 2, 1, 1]).log_partition(unit="bits"), 12)
        3.0
        """
        return self._quantity("log_partition", T, unit)

    def free_energy(self, T: Any = -1.0, *, unit: Unit | None = None) -> Real:
        """Free energy.

        Symbol ``F``; formula ``-T ln Z = U - T S``; unit nats or bits. At T = -1 it is ``ln Z``. As
        T -> 0 the energy of the level it freezes to; minus infinity at T = inf.
        Parameters, results and errors are those of `log_partition`.
        Source: Polat and Alpaslan (2023).

        Examples
        --------
        >>> from unrolled import Ensemble
        >>> e = Ensemble.from_counts([2, 2, 2, 1, 1], unit="bits")
        >>> e.free_energy([-1.0, "0+", "0-"]).round(12)
        array([3., 0., 1.])
        """
        return self._quantity("free_energy", T, unit)

    def energy(self, T: Any = -1.0, *, unit: Unit | None = None) -> Real:
        """Expected energy.

        Symbol ``U``; formula ``sum g p E = -d ln Z / d beta = d(beta F) / d beta``; unit nats or
        bits. At T = -1 the expected spread. Parameters, results and errors are those of
        `log_partition`. Source: Polat and Alpaslan (2023).

        Examples
        --------
        >>> from unrolled import Ensemble
        >>> e = Ensemble.from_counts([2, 2, 2, 1, 1], unit="bits")
        >>> e.energy([-1.0, "0+", "0-"]).round(12)
        array([0.75, 0.  , 1.  ])
        """
        return self._quantity("energy", T, unit)

    def entropy(self, T: Any = -1.0, *, unit: Unit | None = None) -> Real:
        """Entropy of the distribution over the states.

        Symbol ``S``; formula ``-sum g p ln p = ln Z + beta U = -dF / dT``; unit nats or bits. As
        T -> 0 the logarithm of the degeneracy of the level it freezes to (third law). Parameters,
        results and errors are those of `log_partition`. Source: Polat and Alpaslan (2023).

        Examples
        --------
        >>> from unrolled import Ensemble
        >>> e = Ensemble.from_counts([2, 2, 1, 1, 1, 1], unit="bits")
        >>> e.entropy([-1.0, "0+", "0-"]).round(12)
        array([2.5, 2. , 1. ])
        """
        return self._quantity("entropy", T, unit)

    def energy_variance(self, T: Any = -1.0, *, unit: Unit | None = None) -> Real:
        """Variance of the energy.

        Symbol ``Var(E)``; formula ``sum g p (E - U)**2 = d**2 ln Z / d beta**2``; unit nats squared
        or bits squared. Infinite where it exceeds the largest double. Parameters, results and
        errors are those of `log_partition`.

        Examples
        --------
        >>> from unrolled import Ensemble
        >>> round(Ensemble.from_counts([2, 2, 2, 1, 1], unit="bits").energy_variance(-1.0), 12)
        0.1875
        """
        sums = self._levels.sums(Temperatures.of(T).betas)
        with np.errstate(over="ignore", under="ignore"):
            return real(sums.width**2 / self._scale(unit) ** 2)

    def heat_capacity(self, T: Any = -1.0, *, unit: Unit | None = None) -> Real:
        """Heat capacity.

        Symbol ``C_v``; formula ``dU / dT = beta**2 Var(E)`` with energies in nats; unit nats or
        bits, as the unit of U. Zero as T -> 0 and at infinite T. Parameters, results and errors are
        those of `log_partition`.

        Examples
        --------
        >>> from unrolled import Ensemble
        >>> round(Ensemble([0.0, 1.0]).heat_capacity(0.5), 6)
        0.419974
        """
        return self._quantity("heat_capacity", T, unit)

    def probabilities(self, T: Any = -1.0, *, per: Literal["state", "level"] = "state") -> Floats:
        """Boltzmann probabilities.

        Symbol ``p``; formula ``exp(-beta E) / Z`` for one state of each level, times ``g`` for the
        level; no unit. Those of levels sum to 1. The relative error is 1e-15 for large ones and
        grows with their logarithm, to 1e-13 at 1e-300. Source: Polat and Alpaslan (2023).

        Parameters
        ----------
        T : float, "0+", "0-" or array_like
            Temperatures, not 0.
        per : {"state", "level"}

        Returns
        -------
        ndarray of float64
            Shape ``T.shape + (levels,)``.

        Raises
        ------
        InvalidArgumentError
            T = 0, NaN, or something else than "state" and "level".

        Examples
        --------
        >>> from unrolled import Ensemble
        >>> Ensemble.from_counts([2, 1, 1]).probabilities(per="level").tolist()
        [0.5, 0.5]
        """
        checked_choice("per", per, ("state", "level"))
        betas = Temperatures.of(T).betas
        result = np.empty((betas.size, len(self._levels)))
        for row, beta in zip(result, betas.ravel().tolist(), strict=True):
            row[:] = self._levels.log_probabilities(beta)
        if per == "level":
            result += self._levels.log_weights
        return np.exp(result).reshape((*betas.shape, len(self._levels)))

    def _quantity(self, name: str, T: Any, unit: Unit | None) -> Real:
        given = Temperatures.of(T)
        return real(QUANTITIES[name](given, self._levels.sums(given.betas)) / self._scale(unit))

    def _scale(self, unit: Unit | None) -> float:
        """What nats are divided by."""
        return LN2 if checked_unit(self._unit if unit is None else unit) == "bits" else 1.0


def real(values: Floats) -> Real:
    """A float instead of an array without axes."""
    return float(values) if np.ndim(values) == 0 else values
