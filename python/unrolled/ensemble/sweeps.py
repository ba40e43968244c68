"""Quantities of an ensemble at several temperatures, and its peaks of heat capacity, as tables."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np

from unrolled._support import notebooks
from unrolled._support.hints import did_you_mean
from unrolled._support.optional import import_optional
from unrolled.ensemble.levels import Floats
from unrolled.errors import UnknownNameError
from unrolled.show import tables

if TYPE_CHECKING:
    import pandas

    from unrolled.ensemble.canonical import Unit

__all__ = ["SYMBOLS", "Axis", "HeatCapacityPeak", "TemperatureSweep", "peaks_on", "peaks_table"]

Axis: TypeAlias = Literal["temperature", "beta"]
"""Columns of a sweep that the others are drawn against."""

SYMBOLS = {
    "temperature": "T",
    "beta": "beta",
    "log_partition": "ln Z",
    "free_energy": "F",
    "energy": "U",
    "entropy": "S",
    "heat_capacity": "C_v",
}
"""The columns of a sweep in their order, and the symbols they are written with."""


class HeatCapacityPeak(NamedTuple):
    """A maximum of the heat capacity; `Ensemble.heat_capacity_peaks` finds them all.

    Attributes
    ----------
    name : str
        "A", "B" and so on, by rising inverse temperature.
    temperature, beta : float
        Where it is; no unit.
    heat_capacity, energy, entropy : float
        ``C_v``, ``U`` and ``S`` there, in nats or bits.

    Examples
    --------
    >>> from unrolled import Ensemble
    >>> [peak.name for peak in Ensemble([0.0, 1.0]).heat_capacity_peaks()]
    ['A', 'B']
    """

    name: str
    temperature: float
    beta: float
    heat_capacity: float
    energy: float
    entropy: float


class TemperatureSweep(Mapping[str, Floats]):
    """Quantities of an ensemble at several temperatures. `Ensemble.sweep` makes it.

    A mapping from the names of the columns to arrays: ``temperature``, ``beta``,
    ``log_partition``, ``free_energy``, ``energy``, ``entropy``, ``heat_capacity``, each of shape
    ``(temperatures,)``. The limits T -> 0 are a temperature of 0.0 or -0.0 and an infinite beta.

    Attributes
    ----------
    unit : {"nats", "bits"}
        Unit of all columns but the first two, which have none.

    Examples
    --------
    >>> from unrolled import Ensemble
    >>> sweep = Ensemble([0.0, 1.0]).sweep([1.0, float("inf")])
    >>> list(sweep)[:3], sweep["entropy"].round(6).tolist()
    (['temperature', 'beta', 'log_partition'], [0.582203, 0.693147])
    """

    def __init__(self, columns: Mapping[str, Floats], unit: Unit) -> None:
        self.unit = unit
        self._columns = {name: columns[name] for name in SYMBOLS}
        for column in self._columns.values():
            column.flags.writeable = False

    def to_dict(self) -> dict[str, list[float]]:
        """Lists of floats by the names of the columns."""
        return {name: column.tolist() for name, column in self._columns.items()}

    def to_pandas(self) -> pandas.DataFrame:
        """A data frame with one row a temperature and the columns of this table.

        Raises
        ------
        MissingPackageError
            pandas is not installed.
        """
        frame: pandas.DataFrame = import_optional("pandas", "pandas").DataFrame(self.to_dict())
        return frame

    def table(self, *, width: int | None = None) -> str:
        """The sweep as plain text, one line a temperature.

        Parameters
        ----------
        width : int, optional
            Columns to fill at most: by default those of the terminal, or as many as it takes.
        """
        logarithm = "ln Z" if self.unit == "nats" else "log2 Z"
        headings = [logarithm if symbol == "ln Z" else symbol for symbol in SYMBOLS.values()]
        rows = [
            [_number(temperature, signed_zero=True), _number(beta)] + [f"{x:,.6f}" for x in rest]
            for temperature, beta, *rest in zip(*self.to_dict().values(), strict=True)
        ]
        return tables.render(
            "Quantities by temperature",
            [tables.Column(heading) for heading in headings],
            rows,
            width=width,
            notes=[f"{logarithm}, F, U, S and C_v in {self.unit}; T and beta = 1/T have no unit."],
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._columns, self.unit)

    def __getitem__(self, name: str) -> Floats:
        if name not in self._columns:
            raise UnknownNameError(
                f"a sweep has no column {name!r}{did_you_mean(str(name), self._columns)} "
                f"(columns: {', '.join(self._columns)})"
            )
        return self._columns[name]

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def _repr_html_(self) -> str:
        facts = [("temperatures", f"{len(self['temperature']):,}"), ("unit", self.unit)]
        return notebooks.card("Temperature sweep", facts, self.small_chart())

    def small_chart(self) -> str:
        """Entropy and heat capacity over the temperatures in their order, for notebooks."""
        temperatures = self["temperature"]
        if not len(temperatures):
            return ""
        falls = np.flatnonzero(np.diff(np.signbit(temperatures)))
        return notebooks.curves(
            [("entropy S", self["entropy"]), ("heat capacity C_v", self["heat_capacity"])],
            "entropy S (blue) and heat capacity C_v (red) by temperature",
            (f"T = {temperatures[0]:.4g}", f"T = {temperatures[-1]:.4g}"),
            int(falls[0]) + 1 if len(falls) else None,
        )

    def __repr__(self) -> str:
        return self.table()


def peaks_on(
    curve: TemperatureSweep, peaks: Sequence[HeatCapacityPeak], axis: Axis = "temperature"
) -> list[HeatCapacityPeak]:
    """The peaks that lie on a curve, which may leave out temperatures around zero."""
    places = curve[axis]
    found = []
    for peak in peaks:
        at = peak.temperature if axis == "temperature" else peak.beta
        alike = places[np.signbit(places) == np.signbit(at)]
        if len(alike) and alike.min() <= at <= alike.max():
            found.append(peak)
    return found


def peaks_table(peaks: Sequence[HeatCapacityPeak], unit: Unit, *, width: int | None = None) -> str:
    """Peaks of the heat capacity as plain text, one line a peak."""
    headings = ["peak", "T", "beta", "C_v", "U", "S"]
    rows = [
        [name, _number(temperature), _number(beta), *(f"{x:,.6f}" for x in rest)]
        for name, temperature, beta, *rest in peaks
    ]
    return tables.render(
        "Peaks of the heat capacity",
        [tables.Column(heading) for heading in headings],
        rows,
        width=width,
        notes=[f"C_v, U and S in {unit}; T and beta = 1/T have no unit."],
    )


def _number(value: float, *, signed_zero: bool = False) -> str:
    """A temperature or its inverse; zero is one of the two limits."""
    if signed_zero and value == 0:
        return "0-" if np.signbit(value) else "0+"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return f"{value:,.6g}"
