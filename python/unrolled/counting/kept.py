"""Counts as plain arrays, with the interface of the core's own: what pickles of counts hold.

Every distinct count is kept once, and parameters refer to it by number. All arrays of one kind are
one array, because there are several of them for each of hundreds of parameters.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from unrolled._support.caching import cached_property
from unrolled.errors import InvalidArgumentError
from unrolled.spectrum.spectrum import NOT_EXACT

if TYPE_CHECKING:
    from unrolled import _core

__all__ = ["AnyCounts", "AnyParameterCounts", "KeptCounts", "KeptParameter", "KeptSpectrum"]

AnyCounts: TypeAlias = "_core.Counts | KeptCounts"
AnyParameterCounts: TypeAlias = "_core.ParameterCounts | KeptParameter"


class Joined(NamedTuple):
    """Several arrays of integers as one, in the smallest type that holds them."""

    values: npt.NDArray[Any]
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, arrays: Iterable[npt.ArrayLike]) -> Joined:
        """Join arrays of integers that are not negative."""
        parts = [np.asarray(array, dtype=np.uint64) for array in arrays]
        values = np.concatenate(parts)
        return cls(values.astype(np.min_scalar_type(values.max(initial=0))), tuple(map(len, parts)))

    def split(self, dtype: npt.DTypeLike) -> list[npt.NDArray[Any]]:
        """The arrays again."""
        return np.split(self.values.astype(dtype), np.cumsum(self.lengths)[:-1])


class KeptParameter(NamedTuple):
    """The counts of one parameter; see `_core.ParameterCounts`."""

    runs: list[npt.NDArray[np.uint64]]
    level_index: npt.NDArray[np.uint32]
    mantissas: npt.NDArray[np.float64]
    exponents: npt.NDArray[np.int64]
    degeneracies: npt.NDArray[np.uint64]
    weight_nodes: int
    integers: Sequence[int] | None

    @classmethod
    def of(cls, core: AnyParameterCounts, *, is_exact: bool) -> KeptParameter:
        """What the core has counted of a parameter."""
        if isinstance(core, KeptParameter):
            return core
        mantissas = np.asarray(core.mantissas)
        return cls(
            [np.asarray(run) for run in core.runs],
            np.asarray(core.level_index),
            mantissas,
            np.asarray(core.exponents),
            np.asarray(core.degeneracies),
            core.weight_nodes,
            [core.exact(level) for level in range(len(mantissas))] if is_exact else None,
        )

    def exact(self, level: int) -> int:
        """The count of a level as an integer."""
        return _integer(self.integers, level)


class KeptSpectrum(NamedTuple):
    """The distinct counts of all parameters, without zero; see `_core.Spectrum`."""

    mantissas: npt.NDArray[np.float64]
    exponents: npt.NDArray[np.int64]
    degeneracies: npt.NDArray[np.uint64]
    integers: Sequence[int] | None
    all_owners: Sequence[Sequence[tuple[int, int]]]

    def exact(self, level: int) -> int:
        """The count of a level as an integer."""
        return _integer(self.integers, level)

    def owners(self, level: int) -> list[tuple[int, int]]:
        """The tensors that have the count of a level, and how many of their elements do."""
        return list(self.all_owners[level])


@dataclass(frozen=True, eq=False)
class KeptCounts:
    """The counts of all parameters of a network; see `_core.Counts`."""

    exact: bool
    total: int | None
    log2_total: float
    peak_bytes: int
    parameters: list[int]
    num_axes: list[int]
    weight_nodes: list[int]
    runs: Joined
    level_index: Joined
    levels: Joined
    """For every level of every parameter the number of its count among the distinct ones."""
    degeneracies: Joined
    mantissas: npt.NDArray[np.float64]
    exponents: npt.NDArray[np.int64]
    integers: list[int] | None

    @classmethod
    def of(cls, core: AnyCounts) -> KeptCounts:
        """What the core has counted."""
        if isinstance(core, KeptCounts):
            return core
        parts = [
            KeptParameter.of(core.parameter(one), is_exact=core.exact) for one in core.parameters
        ]
        levels = {key: value for part in parts for key, value in _levels(part)}
        numbers = {key: number for number, key in enumerate(sorted(levels))}
        values = [levels[key] for key in numbers]
        return cls(
            core.exact,
            core.total,
            core.log2_total,
            core.peak_bytes,
            core.parameters,
            [len(part.runs) for part in parts],
            [part.weight_nodes for part in parts],
            Joined.of(run for part in parts for run in part.runs),
            Joined.of(part.level_index for part in parts),
            Joined.of([numbers[key] for key, _ in _levels(part)] for part in parts),
            Joined.of(part.degeneracies for part in parts),
            np.array([mantissa for mantissa, _ in values]),
            np.array([exponent for _, exponent in values], dtype=np.int64),
            [int(key[-1]) for key in numbers] if core.exact else None,
        )

    @property
    def num_elements(self) -> int:
        """How many scalar parameters were counted, with a context or without one."""
        return sum(int(part.degeneracies.sum()) for part in self._parts.values())

    @property
    def num_weight_nodes(self) -> int:
        """The weight nodes of all parameters."""
        return sum(self.weight_nodes)

    def parameter(self, number: int) -> KeptParameter:
        """The counts of one parameter, by the number of its tensor."""
        return self._parts[number]

    def spectrum(self) -> KeptSpectrum:
        """The distinct counts of all parameters."""
        owners: list[list[tuple[int, int]]] = [[] for _ in self.mantissas]
        columns = zip(
            self.parameters, self.levels.split(np.int64), self._parts.values(), strict=True
        )
        for parameter, levels, part in columns:
            for level, degeneracy in zip(levels.tolist(), part.degeneracies.tolist(), strict=True):
                owners[level].append((parameter, degeneracy))
        zeros = int(np.count_nonzero(self.mantissas == 0))
        totals = [sum(degeneracy for _, degeneracy in level) for level in owners[zeros:]]
        return KeptSpectrum(
            self.mantissas[zeros:],
            self.exponents[zeros:],
            np.array(totals, dtype=np.uint64),
            None if self.integers is None else self.integers[zeros:],
            owners[zeros:],
        )

    @cached_property
    def _parts(self) -> dict[int, KeptParameter]:
        runs = iter(self.runs.split(np.uint64))
        columns = zip(
            self.parameters,
            self.num_axes,
            self.weight_nodes,
            self.level_index.split(np.uint32),
            self.levels.split(np.int64),
            self.degeneracies.split(np.uint64),
            strict=True,
        )
        integers = self.integers
        return {
            number: KeptParameter(
                [next(runs) for _ in range(num_axes)],
                level_index,
                self.mantissas[levels],
                self.exponents[levels],
                degeneracies,
                weight_nodes,
                None if integers is None else [integers[level] for level in levels.tolist()],
            )
            for number, num_axes, weight_nodes, level_index, levels, degeneracies in columns
        }

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


def _levels(part: KeptParameter) -> list[tuple[tuple[float, ...], tuple[float, int]]]:
    """A key for every level, by which counts are ordered and told apart, and its value."""
    values = list(zip(part.mantissas.tolist(), part.exponents.tolist(), strict=True))
    if part.integers is not None:
        return [((count,), value) for count, value in zip(part.integers, values, strict=True)]
    # A mantissa of zero is a count of zero, whatever the exponent is.
    return [((float(value[0] > 0), value[1], value[0]), value) for value in values]


def _integer(integers: Sequence[int] | None, level: int) -> int:
    if integers is None:
        raise InvalidArgumentError(NOT_EXACT)
    return integers[level]
