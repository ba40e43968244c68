"""`Ensemble`: the statistical mechanics of a spectrum, at any temperature.

Parameter *w* with ``C`` contexts is a state of energy ``E = ln C``. At temperature T its Boltzmann
weight is ``exp(-E / T)``, which at T = -1, the setting of the published analysis, is ``C`` itself.

References
----------
A. G. Polat, F. Alpaslan, "The reusability prior: comparing deep learning models without training",
Mach. Learn.: Sci. Technol. (2023), doi 10.1088/2632-2153/acc713.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

import numpy as np

from unrolled._support import notebooks
from unrolled._support.arguments import checked_numbers
from unrolled._support.hints import described
from unrolled.counting.counts import Counts
from unrolled.ensemble import sampling
from unrolled.ensemble.canonical import Unit, checked_unit, quantities_of
from unrolled.ensemble.distribution import Distribution
from unrolled.ensemble.levels import Levels, Temperatures, times_ln2, total
from unrolled.ensemble.priors import Prior, PriorLevel, PriorName, with_prior
from unrolled.ensemble.sweeps import HeatCapacityPeak, TemperatureSweep
from unrolled.errors import InvalidArgumentError, NothingToCountError
from unrolled.spectrum.spectrum import Spectrum

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from unrolled.ensemble.levels import Floats

__all__ = ["EnergyLevel", "Ensemble"]

SUM_TOLERANCE = 1e-9
AUTOMATIC = "auto"
"""Instead of inverse temperatures: those that show everything that happens."""


class HasSpectrum(Protocol):
    """What has a spectrum: counts by a method, an analysis by an attribute."""

    @property
    def spectrum(self) -> Spectrum | Callable[[], Spectrum]:
        """The spectrum, or what returns it."""


class EnergyLevel(NamedTuple):
    """An energy and the number of states that have it.

    Examples
    --------
    >>> from unrolled import Ensemble
    >>> Ensemble([1.0, 2.0, 2.0], [4, 1, 1]).top_level
    EnergyLevel(energy=2.0, degeneracy=2.0)
    """

    energy: float
    degeneracy: float


class Ensemble(Distribution):
    """States with energies, in equilibrium at a temperature T.

    With the inverse temperature ``beta = 1 / T``, the degeneracies ``g`` and the energies ``E``:

    ======================  =====================================  ==================
    method                  formula                                unit
    ======================  =====================================  ==================
    `log_partition`         ``ln Z = ln sum g exp(-beta E)``       nats or bits
    `free_energy`           ``F = -T ln Z``                        nats or bits
    `energy`                ``U = sum g p E``                      nats or bits
    `entropy`               ``S = -sum g p ln p = ln Z + beta U``  nats or bits
    `energy_variance`       ``sum g p (E - U)**2``                 squares of these
    `heat_capacity`         ``C_v = dU / dT = beta**2 Var(E)``     nats or bits
    ======================  =====================================  ==================

    where ``p = exp(-beta E) / Z`` is the probability of one state. T has no unit. It may be of
    either sign, infinite, one of the limits ``"0+"`` and ``"0-"``, or an array; T = 0 itself is an
    error, as both limits differ. Sums are taken in log space: nothing overflows, and results have
    an error of about 1e-14, relative, or absolute beside the largest energy. Source of the
    identification: Polat and Alpaslan (2023); the formulas are those of the canonical ensemble.

    Parameters
    ----------
    energies : array_like
        One-dimensional, finite, in any order.
    degeneracies : array_like, optional
        Numbers of states, at least 0; 1 each by default. They need not be integers: any measure
        over the states may take their place. Levels of degeneracy 0 are left out.
    unit : {"nats", "bits"}
        Unit of `energies`, and of whatever the methods return unless told otherwise. In bits
        everything divides by ln 2 (variances by its square), the Boltzmann weight is
        ``2**(-beta E)``, and ``C_v = ln 2 * beta**2 Var(E)``.

    Raises
    ------
    InvalidArgumentError
        Energies that are not finite, degeneracies that are negative or not finite, lists of
        different lengths, an unknown unit; truth values, text, dates, complex numbers and arrays
        with a mask, as with all numbers of an ensemble; degeneracies whose sum, or energies whose
        range, is beyond the largest double.
    NothingToCountError
        No level.

    Examples
    --------
    >>> from unrolled import Ensemble
    >>> two = Ensemble([0.0, 1.0])
    >>> round(two.energy(1.0), 6), two.entropy("0+"), two.entropy(float("inf"))
    (0.268941, 0.0, 0.6931471805599453)
    """

    __slots__ = ("_counts", "_survey")

    def __init__(self, energies: Any, degeneracies: Any = None, *, unit: Unit = "nats") -> None:
        values = _column("energies", energies)
        weights = (
            np.ones(len(values)) if degeneracies is None else _column("degeneracies", degeneracies)
        )
        super().__init__(Levels(*_in_nats(values, weights, unit), weights), unit)
        self._counts: Counts | None = None
        self._survey: sampling.Survey | None = None

    @classmethod
    def _from_levels(cls, levels: Levels, unit: Unit, counts: Counts | None = None) -> Ensemble:
        ensemble = cls.__new__(cls)
        Distribution.__init__(ensemble, levels, unit)
        ensemble._counts = counts
        ensemble._survey = None
        return ensemble

    @classmethod
    def from_counts(
        cls,
        counts: HasSpectrum | Spectrum | Iterable[int] | Mapping[int, int],
        *,
        unit: Unit = "nats",
    ) -> Ensemble:
        """Parameters as states of energy ``E = ln C``; those without a context are left out.

        At T = -1 the partition function is the total number of contexts, the energy the expected
        spread and the entropy that of `unrolled.quantities`.
        Source: Polat and Alpaslan (2023).

        Parameters
        ----------
        counts : Counts, GraphCounts, Analysis, Spectrum, iterable or mapping of int to int
            Whatever has a spectrum, or plain numbers; for these see `Spectrum.from_counts`. Of
            `GraphCounts`, the states are those of `GraphCounts.spectrum`. Priors by layer or depth
            need `Counts`, or an `Analysis` that has them.
        unit : {"nats", "bits"}
            Unit of results; in bits energies are log2 counts.

        Raises
        ------
        InvalidArgumentError
            Something else, or an unknown unit.
        NothingToCountError
            No count above zero.

        Examples
        --------
        >>> from unrolled import Ensemble
        >>> e = Ensemble.from_counts([2, 2, 2, 1, 1], unit="bits")
        >>> [round(x, 12) for x in (e.log_partition(), e.energy(), e.entropy())]
        [3.0, 0.75, 2.25]
        """
        spectrum = _spectrum_of(counts)
        owner: Any = counts
        if not isinstance(counts, (Counts, Spectrum)):
            owner = getattr(counts, "counts", None)  # Those of an analysis.
        if not len(spectrum):
            raise NothingToCountError("an empty spectrum makes no ensemble: no count is above 0")
        weights = spectrum.degeneracies.astype(np.float64)
        levels = Levels.of_logarithms(spectrum.mantissas, spectrum.exponents, weights)
        return cls._from_levels(levels, unit, owner if isinstance(owner, Counts) else None)

    @classmethod
    def from_probabilities(cls, p: Any, energies: Any, *, unit: Unit = "nats") -> Ensemble:
        """Levels with prior probabilities ``p``, which take the place of degeneracies.

        The partition function is ``Z = sum p exp(-beta E)``: that of a prior ``p`` which the
        energies tilt. Without a temperature (T infinite) the ensemble is the prior itself. The
        entropy is relative to the prior: minus the relative entropy from it, never above 0.

        Parameters
        ----------
        p : array_like
            At least 0, with a sum of 1 (to 1e-9).
        energies : array_like
            Of the same length.
        unit : {"nats", "bits"}
            See `Ensemble`.

        Raises
        ------
        InvalidArgumentError
            Probabilities that are negative or do not sum to 1, and as for `Ensemble`.

        Examples
        --------
        >>> from unrolled import Ensemble
        >>> e = Ensemble.from_probabilities([0.5, 0.25, 0.25], [0.0, 1.0, 3.0])
        >>> e.energy(float("inf")), e.entropy(float("inf"))
        (1.0, 0.0)
        """
        weights = _column("p", p)
        whole = total(weights)
        if not abs(whole - 1.0) <= SUM_TOLERANCE:
            raise InvalidArgumentError(
                f"probabilities must sum to 1, got a sum of {whole:.12g}; divide them by it, or "
                "use Ensemble(energies, degeneracies) for weights"
            )
        heads, tails = _in_nats(_column("energies", energies), weights, unit)
        return cls._from_levels(Levels(heads, tails, weights / whole, is_distribution=True), unit)

    @property
    def energies(self) -> Floats:
        """Energies of the levels in `unit`, shape ``(levels,)``."""
        return self._levels.heads / self._scale(None)

    @property
    def degeneracies(self) -> Floats:
        """Numbers of states of the levels, or weights of any measure, shape ``(levels,)``."""
        return self._levels.weights

    @property
    def num_states(self) -> float:
        """Number of states; 1 for an ensemble made of probabilities."""
        return 1.0 if self._levels.is_distribution else math.fsum(self._levels.weights)

    @property
    def ground_level(self) -> EnergyLevel:
        """The lowest energy, where everything is as T -> 0+, and the number of its states."""
        return self._end(highest=False)

    @property
    def top_level(self) -> EnergyLevel:
        """The highest energy, where everything is as T -> 0-, and the number of its states."""
        return self._end(highest=True)

    def sweep(
        self, temperatures: Any = None, *, beta: Any = None, unit: Unit | None = None
    ) -> TemperatureSweep:
        """All quantities at several temperatures, in one reading of the levels.

        Parameters
        ----------
        temperatures : array_like, optional
            One-dimensional; numbers other than 0, "0+" and "0-". By default some 40 that show
            everything that happens to this ensemble, from where it is frozen to where all states
            are alike, with the peaks of the heat capacity, -1 and both limits.
        beta : array_like or "auto", optional
            Inverse temperatures instead, of any size: 0 for infinite T, infinities for the limits
            T -> 0. "auto" for some that show everything.
        unit : {"nats", "bits"}, optional
            By default that of the ensemble.

        Returns
        -------
        TemperatureSweep

        Raises
        ------
        InvalidArgumentError
            No temperature, T = 0, NaN, both temperatures and inverse ones, or an unknown unit.

        Examples
        --------
        >>> from unrolled import Ensemble
        >>> Ensemble.from_counts([2, 2, 2, 1, 1]).sweep([-1, "0+", 2.5])
        Quantities by temperature
        <BLANKLINE>
          T beta     ln Z         F        U        S      C_v
        ------------------------------------------------------
         -1   -1 2.079442  2.079442 0.519860 1.559581 0.090085
         0+  inf 0.693147  0.000000 0.000000 0.693147 0.000000
        2.5  0.4 1.452451 -3.631127 0.368760 1.599955 0.019139
        ln Z, F, U, S and C_v in nats; T and beta = 1/T have no unit.
        """
        given = self._read_temperatures(temperatures, beta)
        if given is None:
            given = sampling.listed_temperatures(self._seen, by_beta=beta is not None)
        return self._sweep(given, unit)

    def curve(
        self, temperatures: Any = None, *, beta: Any = None, unit: Unit | None = None
    ) -> TemperatureSweep:
        """All quantities over a range of temperatures, as densely as curves of them need it.

        Points are put between those that are given, wherever a quantity changes: the entropy that
        is lost from one point to the next is the area under the heat capacity between them, so no
        peak is missed, however narrow it is or close to T = 0.

        Parameters
        ----------
        temperatures, beta, unit
            Those of `sweep`; what is given has a range that is covered. They come back in the order
            of the axis: by temperature, or by inverse temperature if that is given.

        Returns
        -------
        TemperatureSweep

        Raises
        ------
        InvalidArgumentError
            As for `sweep`.

        Examples
        --------
        >>> from unrolled import Ensemble
        >>> curve = Ensemble([0.0, 1e-5]).curve([-1.0, "0-", "0+", 1.0])
        >>> at = float(curve["temperature"][curve["heat_capacity"].argmax()])
        >>> abs(at) < 1e-5, len(curve["beta"]) < 500
        (True, True)
        """
        given = self._read_temperatures(temperatures, beta)
        by_beta = beta is not None
        wanted = self._seen if given is None else given
        return self._sweep(sampling.curve_temperatures(self._levels, wanted, by_beta=by_beta), unit)

    def heat_capacity_peaks(self, *, unit: Unit | None = None) -> tuple[HeatCapacityPeak, ...]:
        """The maxima of the heat capacity, at temperatures of either sign.

        At each the ensemble passes from some levels to others, as two levels do around T of about
        0.4 of their distance (a Schottky anomaly). Maxima are left out from which it does not fall
        on both sides by 1 % of the highest of all.

        Parameters
        ----------
        unit : {"nats", "bits"}, optional
            By default that of the ensemble.

        Returns
        -------
        tuple of HeatCapacityPeak
            By rising inverse temperature; empty if all states have one energy.

        Raises
        ------
        InvalidArgumentError
            An unknown unit.

        Examples
        --------
        >>> from unrolled import Ensemble, analyze
        >>> e = Ensemble.from_counts(analyze("resnet50"), unit="bits")
        >>> for peak in e.heat_capacity_peaks():
        ...     print(f"{peak.name}: {peak.heat_capacity:.2f} bits at T = {peak.temperature:.3g}")
        A: 1.41 bits at T = -0.000318
        B: 2.83 bits at T = -4.78
        C: 4.13 bits at T = -33.1
        D: 1.54 bits at T = 11.6
        """
        betas = self._seen.betas
        sweep = self._sweep(Temperatures.of_betas(betas), unit)
        names = ("temperature", "beta", "heat_capacity", "energy", "entropy")
        rows = zip(*(sweep[name].tolist() for name in names), strict=True)
        labels = sampling.peak_names(len(betas))
        return tuple(HeatCapacityPeak(label, *row) for label, row in zip(labels, rows, strict=True))

    @property
    def temperature_range(self) -> tuple[float, float]:
        """The smallest and the largest ``|T|`` between which everything happens.

        Below, all but 1 % of the entropy that can be lost is lost, and above as much is left; no
        peak of the heat capacity is outside, or within a factor of 4 of the ends.

        Examples
        --------
        >>> from unrolled import Ensemble
        >>> low, high = Ensemble([0.0, 1.0]).temperature_range
        >>> low < 0.2 < 2.0 < high
        True
        """
        return 1 / self._seen.largest, 1 / self._seen.smallest

    def with_prior(self, prior: PriorName | Callable[[PriorLevel], float | Prior], /) -> Ensemble:
        """The same parameters under another prior: with other weights, other energies, or both.

        The reusability prior gives a parameter the energy ``E = ln C`` and each the weight 1. An
        ensemble made of `Counts` is told apart by parameter tensor and count first, so that a
        prior may go by layer; one made of plain numbers has no layers.

        Parameters
        ----------
        prior : callable or str
            Called with the `PriorLevel` of each level; returns the weight of each of its
            parameters, at least 0, or a `Prior`, with a weight and an energy in `unit`. Or a name:

            - "uniform": energy 0. All parameters are alike at any temperature.
            - "depth": the energy is the depth, the mean length of the paths from a parameter to
              an output, one unit a link. At T > 0 energies rise linearly with depth and weights
              fall exponentially, the hypothetical example of the thesis. Needs counts with
              ``lengths=True``.
            - "layer_size": the energy is the logarithm of the number of parameters of the layer.
              At T = -1 weights are proportional to it; at T = 1 all layers have one total.

        Returns
        -------
        Ensemble
            Its levels are those that `prior` was called with and gave a weight above 0.

        Raises
        ------
        InvalidArgumentError
            An unknown name, a weight that is negative or no number, an energy that is not finite,
            or a named prior that needs what this ensemble does not know.
        NothingToCountError
            No level has a weight above 0.

        References
        ----------
        A. G. Polat, PhD thesis, Middle East Technical University, 2023.

        Examples
        --------
        >>> import unrolled
        >>> counts = unrolled.count(unrolled.models.mlp([4], inputs=3, classes=2), lengths=True)
        >>> e = unrolled.Ensemble.from_counts(counts, unit="bits")
        >>> e.with_prior(lambda level: level.layer == "classifier").num_states
        10.0
        >>> depth = e.with_prior("depth")                   # 16 parameters at 2 links, 10 at 1
        >>> round(depth.energy(1.0), 12) == round((16 / 4 * 2 + 10 / 2 * 1) / (16 / 4 + 10 / 2), 12)
        True
        """
        levels = with_prior(self._levels, self._counts, self._scale(None), prior)
        return Ensemble._from_levels(levels, self.unit)

    def plot(
        self, temperatures: Any = None, *, beta: Any = None, unit: Unit | None = None
    ) -> tuple[Figure, dict[str, Axes]]:
        """Draw Z, F, U, S and C_v against T or its inverse, and the levels with degeneracies.

        Curves are those of `curve`; peaks of the heat capacity are named as by
        `heat_capacity_peaks`. Needs matplotlib: ``pip install "unrolled[plot]"``. Works without a
        display.

        Parameters
        ----------
        temperatures : array_like, optional
            As for `sweep`: curves run between them and break at T = 0, and up to 40 are marked. By
            default everything that happens is shown, on an axis that is linear next to 0 and
            logarithmic elsewhere, as far as temperatures differ that much.
        beta : array_like or "auto", optional
            Inverse temperatures as for `sweep`, which are the axis then. Through ``beta = 0``,
            which is infinite temperature, curves do not break.
        unit : {"nats", "bits"}, optional
            By default that of the ensemble.

        Returns
        -------
        figure : matplotlib.figure.Figure
        axes : dict of str to matplotlib.axes.Axes
            By the names of the columns of a `TemperatureSweep`, and "levels".

        Raises
        ------
        InvalidArgumentError
            As for `sweep`.
        MissingPackageError
            matplotlib is not installed.
        """
        from unrolled.ensemble import drawing

        given = self._read_temperatures(temperatures, beta)
        curve = self.curve(temperatures, beta=beta, unit=unit)
        return drawing.plot(
            curve,
            None if given is None else self._sweep(given, unit),
            self.heat_capacity_peaks(unit=unit),
            (self._levels.heads / self._scale(unit), self.degeneracies),
            axis="temperature" if beta is None else "beta",
            linear_width=1 / self._seen.largest if beta is None else self._seen.smallest,
        )

    @property
    def _seen(self) -> sampling.Survey:
        """Where the ensemble changes, looked up once."""
        if self._survey is None:
            self._survey = sampling.survey(self._levels)
        return self._survey

    def _read_temperatures(self, temperatures: Any, beta: Any) -> Temperatures | None:
        """The temperatures of a sweep; None if they are to be chosen."""
        if temperatures is not None and beta is not None:
            raise InvalidArgumentError("give temperatures or beta, their inverse, not both")
        if beta is not None:
            if isinstance(beta, str) and beta == AUTOMATIC:
                return None
            given, shown = Temperatures.of_betas(beta), beta
        elif temperatures is None:
            return None
        else:
            given, shown = Temperatures.of(temperatures), temperatures
        if given.values.ndim != 1 or not given.values.size:
            raise InvalidArgumentError(
                f"a sweep takes a list of temperatures, got {described(shown)}"
            )
        return given

    def _sweep(self, given: Temperatures, unit: Unit | None) -> TemperatureSweep:
        unit = checked_unit(self.unit if unit is None else unit)
        return TemperatureSweep(quantities_of(self._levels, given, unit), unit)

    def __len__(self) -> int:
        """Number of levels."""
        return len(self._levels)

    def _repr_html_(self) -> str:
        facts = [
            ("levels", f"{len(self):,}"),
            ("states", f"{self.num_states:,.10g}"),
            (
                "energies",
                f"{self.ground_level.energy:,.6g} to {self.top_level.energy:,.6g} {self.unit}",
            ),
        ]
        return notebooks.card("Ensemble", facts, self.curve().small_chart())

    def __repr__(self) -> str:
        plural = "s" if len(self) > 1 else ""
        low, high = self.ground_level.energy, self.top_level.energy
        return (
            f"Ensemble({len(self):,} level{plural}, {self.num_states:,.10g} states, "
            f"energies {low:,.6g} to {high:,.6g} {self.unit})"
        )

    def _end(self, *, highest: bool) -> EnergyLevel:
        at = self._levels.end(highest=highest)
        states = math.fsum(self._levels.weights[self._levels.relative(at) == 0])
        return EnergyLevel(float(self._levels.heads[at] / self._scale(None)), states)


def _spectrum_of(counts: HasSpectrum | Spectrum | Iterable[int] | Mapping[int, int]) -> Spectrum:
    """The spectrum of counts or of an analysis, or that of plain numbers."""
    if isinstance(counts, Spectrum):
        return counts
    spectrum = getattr(counts, "spectrum", None)
    if callable(spectrum):  # A method of counts, but an attribute of an analysis.
        spectrum = spectrum()
    return spectrum if isinstance(spectrum, Spectrum) else Spectrum.from_counts(cast("Any", counts))


def _column(name: str, given: Any) -> Floats:
    """A list of finite numbers."""
    values = checked_numbers(name, given)
    if values.ndim != 1:
        raise InvalidArgumentError(
            f"{name} must be a one-dimensional list of numbers, got {described(given)}"
        )
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        at = int(wrong[0])
        raise InvalidArgumentError(f"{name} must be finite, got {values[at]} at position {at}")
    return values


def _in_nats(energies: Floats, weights: Floats, unit: Unit) -> tuple[Floats, Floats]:
    """Energies as sums of two doubles, once they and their weights are checked."""
    if len(energies) != len(weights):
        raise InvalidArgumentError(
            f"every level has an energy and a weight: got {len(energies)} energies and "
            f"{len(weights)} weights"
        )
    wrong = np.flatnonzero(weights < 0)
    if len(wrong):
        at = int(wrong[0])
        raise InvalidArgumentError(
            f"degeneracies and probabilities are at least 0, got {weights[at]} at position {at}"
        )
    if checked_unit(unit) == "bits":
        return times_ln2(energies)
    return energies, np.zeros_like(energies)
