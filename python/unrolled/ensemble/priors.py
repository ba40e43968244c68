"""Other priors over the parameters of a model than reusability."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from unrolled._support.arguments import checked_number
from unrolled._support.hints import described
from unrolled.ensemble.levels import LN2, Levels, times_ln2
from unrolled.errors import InvalidArgumentError
from unrolled.network.configurations import split_name

if TYPE_CHECKING:
    from unrolled.counting.counts import Counts

__all__ = ["Prior", "PriorLevel", "PriorName", "with_prior"]

PriorName: TypeAlias = Literal["uniform", "depth", "layer_size"]


class PriorLevel(NamedTuple):
    """What a prior is told about the parameters of one level.

    Attributes
    ----------
    energy : float
        ``ln C`` or, in bits, ``log2 C``; or what the ensemble was given.
    degeneracy : float
        How many parameters have it.
    parameter, layer : str or None
        Names of the parameter tensor and of its layer; None without `Counts`.
    layer_size : int or None
        Number of parameters of the layer that have a context; None without `Counts`.
    depth : float or None
        Mean length of the paths from these parameters to an output, in links; None unless
        counted with ``lengths=True``.

    Examples
    --------
    >>> from unrolled import Ensemble
    >>> Ensemble([0.0, 1.0]).with_prior(lambda level: 2.0 - level.energy).degeneracies
    array([2., 1.])
    """

    energy: float
    degeneracy: float
    parameter: str | None = None
    layer: str | None = None
    layer_size: int | None = None
    depth: float | None = None


class Prior(NamedTuple):
    """What a prior says about the parameters of one level.

    Attributes
    ----------
    weight : float
        Of each parameter, at least 0; it multiplies the degeneracy. True is 1 and False is 0.
    energy : float, optional
        Of each parameter, in the unit of the ensemble; by default as it was.

    Examples
    --------
    >>> from unrolled import Ensemble, Prior
    >>> Ensemble([0.0, 5.0]).with_prior(lambda level: Prior(0.5, 2 * level.energy)).energies
    array([ 0., 10.])
    """

    weight: float = 1.0
    energy: float | None = None


def with_prior(
    levels: Levels,
    counts: Counts | None,
    scale: float,
    prior: PriorName | Callable[[PriorLevel], float | Prior],
) -> Levels:
    """Levels under a prior; energies of `prior` are in units of `scale` nats."""
    if counts is not None:
        levels, described_levels = _by_parameter(counts, scale)
    else:
        pairs = zip((levels.heads / scale).tolist(), levels.weights.tolist(), strict=True)
        described_levels = [PriorLevel(*pair) for pair in pairs]
    if isinstance(prior, str):
        prior = _build_prior(prior, scale)
    elif not callable(prior):
        raise InvalidArgumentError(
            f"a prior is a function of a PriorLevel or one of {', '.join(get_args(PriorName))}; "
            f"got {described(prior)}"
        )
    weights, heads, tails = levels.weights.copy(), levels.heads.copy(), levels.tails.copy()
    for at, level in enumerate(described_levels):
        weight, energy = _checked(prior(level), level)
        weights[at] = float(weights[at]) * weight
        if energy is not None:
            heads[at], tails[at] = times_ln2(np.array(energy)) if scale == LN2 else (energy, 0.0)
    return Levels(heads, tails, weights)


def _checked(given: float | Prior, level: PriorLevel) -> Prior:
    """What a prior returned, with numbers that can be used."""
    result = given if isinstance(given, Prior) else Prior(given)
    try:
        # A condition is a weight, too: of 1 for the parameters it is true of.
        is_condition = isinstance(result.weight, (bool, np.bool_))
        weight = float(result.weight) if is_condition else checked_number("weight", result.weight)
        energy = None if result.energy is None else checked_number("energy", result.energy)
    except InvalidArgumentError:
        weight, energy = math.nan, None
    fits = 0 <= weight < math.inf and (energy is None or math.isfinite(energy))
    if not fits:
        raise InvalidArgumentError(
            f"a prior returns a finite weight of at least 0, or Prior(weight, energy); got "
            f"{described(given)} for {level}"
        )
    return Prior(weight, energy)


def _build_prior(name: str, scale: float) -> Callable[[PriorLevel], Prior]:
    def depth(level: PriorLevel) -> Prior:
        if level.depth is None:
            raise InvalidArgumentError(
                "the prior 'depth' needs the lengths of paths: make the ensemble of "
                "count(network, lengths=True)"
            )
        return Prior(energy=level.depth)

    def layer_size(level: PriorLevel) -> Prior:
        if level.layer_size is None:
            raise InvalidArgumentError(
                "the prior 'layer_size' needs layers: make the ensemble of Counts"
            )
        return Prior(energy=math.log(level.layer_size) / scale)

    priors: dict[str, Callable[[PriorLevel], Prior]] = {
        "uniform": lambda level: Prior(energy=0.0),
        "depth": depth,
        "layer_size": layer_size,
    }
    if name not in priors:
        raise InvalidArgumentError(
            f"unknown prior {name!r}; named are {', '.join(get_args(PriorName))}, or give a "
            "function of a PriorLevel"
        )
    return priors[name]


def _by_parameter(counts: Counts, scale: float) -> tuple[Levels, list[PriorLevel]]:
    """Levels told apart by parameter tensor and count, and by depth where that is known."""
    sizes: dict[str, int] = {}
    parameters = {name: counts[name] for name in counts}
    for name, parameter in parameters.items():
        layer = split_name(name)[0]
        sizes[layer] = sizes.get(layer, 0) + parameter.size - parameter.num_unreached
    rows: list[tuple[float, int, int]] = []
    owners: list[tuple[str, str, int, float | None]] = []
    for name, parameter in parameters.items():
        layer = split_name(name)[0]
        for row, depth in parameter.levels_with_depth():
            rows.append(row)
            owners.append((name, layer, sizes[layer], depth))
    mantissas, exponents, weights = (np.array(column) for column in zip(*rows, strict=True))
    levels = Levels.of_logarithms(mantissas, exponents, weights.astype(np.float64))
    energies = (levels.heads / scale).tolist()
    known = zip(energies, levels.weights.tolist(), owners, strict=True)
    return levels, [PriorLevel(energy, number, *owner) for energy, number, owner in known]
