"""Contexts that training adds to those of the design: `training_contexts`.

The reusability prior says that a parameter functions in many contexts not only because of the
design of a model but also because of data, augmentation and regularisation, and leaves these to
future work. Here they are counted with the definition of the design: a context is a path from a
parameter to an output of the computational graph, now that of training.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from unrolled._support.arguments import (
    Progress,
    check_progress,
    checked_limit,
    checked_positive,
)
from unrolled._support.hints import described, did_you_mean
from unrolled.analysis.analysis import Analysis, analyze
from unrolled.counting.path_diagram import Diagram, Weight
from unrolled.counting.scaled import SUMS, Scaled
from unrolled.counting.sum_maps import SumMap
from unrolled.counting.weighted_sweep import sweep
from unrolled.errors import (
    InvalidArgumentError,
    MemoryLimitError,
    TheoryDomainError,
    UnknownNameError,
)
from unrolled.network.builder import Link, Semantics, Tensor
from unrolled.network.network import Network
from unrolled.show.plot import COLOR, SECOND_COLOR, styled
from unrolled.sources.resolution import resolve
from unrolled.spectrum.catalogue import CATALOGUE, value_of
from unrolled.spectrum.spectrum import Spectrum, Values
from unrolled.theory.mask_covariances import Mask, path_moments
from unrolled.theory.results import TheoryResult, figure_of, panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Dropout", "TrainingContexts", "training_contexts"]

DEFAULT_LIMIT = 1 << 28
"""Bytes of a covariance: what a variance of a few seconds needs."""


@dataclass(frozen=True)
class Dropout:
    """How the elements of a tensor are dropped, anew at every presentation of a sample.

    Attributes
    ----------
    keep : float
        The probability, from 0 to 1, that an element is there.
    axes : tuple of int, optional
        The axes along which masks are drawn independently. None, the default: one for every
        element, as in dropout. ``(0,)``: one for a channel, as in spatial dropout. ``()``: one for
        the whole tensor, as in stochastic depth.
    """

    keep: float
    axes: tuple[int, ...] | None = None


Keep: TypeAlias = Mapping[str, "float | Dropout"]


def training_contexts(
    model: Any,
    *,
    samples: int = 1,
    augmentations: int | Mapping[str, int] = 1,
    keep: Keep | None = None,
    variance: bool = True,
    inputs: Any = None,
    semantics: Semantics | None = None,
    memory_limit: int | None = None,
    progress: Progress | None = None,
) -> TrainingContexts:
    """Count the contexts of all parameters in training: with data, augmentation and dropout.

    The graph of training has a copy of the graph of the model for every presentation of a sample,
    with inputs and outputs of its own and the parameters in common. With `samples` times
    `augmentations` presentations, every count C is as many times larger. Dropout and stochastic
    depth take elements away, anew for every presentation; a path is there if all elements along it
    are. The expected value of a count then is the sum over its paths of the product of the
    probabilities along them, times the number of presentations. The variance of the total needs
    pairs of paths, because two paths that meet the same mask are there or not together; it is exact
    as well. All quantities are those of the expected counts, which the true ones per presentation
    approach as presentations become many.

    Parameters
    ----------
    model
        Whatever `unrolled.analyze` takes, but a network in the end.
    samples : int
        The number of different samples.
    augmentations : int or dict of str to int
        The number of different versions in which each sample is shown: a number, or the factors
        of it by name, such as ``{"flips": 2, "crops": 81}``.
    keep : dict, optional
        What is dropped: by the name of a tensor, or by the kind or the function of its operation
        ("affine", "relu"), the probability that one of its elements is kept, or a `Dropout`. Layers
        of dropout have no tensor of their own; name the tensor that they are applied to. A
        parameter may be named, too.
    variance : bool
        Whether to find the variance of the total contexts. Maps of positions make it expensive:
        time and memory grow with the square of the number of positions behind the first mask.
    inputs, semantics
        For models that have to be imported; see `unrolled.analyze`.
    memory_limit : int, optional
        Bytes that the covariance of two tensors may take; 256 MiB by default.
    progress : callable, optional
        Called as ``progress(done, total)`` while the variance is found.

    Returns
    -------
    TrainingContexts

    Raises
    ------
    InvalidArgumentError
        A model that is no network, numbers that are no positive integers, axes that a tensor does
        not have.
    TheoryDomainError
        A probability that is not between 0 and 1.
    UnknownNameError
        A key of `keep` that is neither a tensor nor a kind or function of one.
    MemoryLimitError
        The variance would need more than `memory_limit`.

    References
    ----------
    The prior: A. G. Polat, F. Alpaslan, "The reusability prior: comparing deep learning models
    without training", Mach. Learn.: Sci. Technol. (2023), doi 10.1088/2632-2153/acc713. Dropout:
    N. Srivastava et al., JMLR 15 (2014). Stochastic depth: G. Huang et al., ECCV 2016. The
    definition for training, and the variance, are of this package.

    Examples
    --------
    >>> from unrolled import models
    >>> net = models.mlp([3], inputs=2, classes=1)
    >>> result = training_contexts(net, samples=100, keep={"layer1": 0.5})
    >>> round(result.design.log2_total_contexts, 6), round(result.training.log2_total_contexts, 6)
    (3.70044, 9.731319)

    Each of three units has 3 paths that end in it if it is there, and 4 paths begin behind them:
    8.5 paths are expected of a presentation, with the variance 3 * 9 / 4.

    >>> abs(result.relative_deviation - (27 / 4) ** 0.5 / 8.5 / 10) < 1e-12
    True
    """
    network = resolve(model, inputs=inputs, semantics=semantics)
    if not isinstance(network, Network):
        raise InvalidArgumentError(
            f"training_contexts() needs a network, whose layers can be named; got "
            f"{described(network)}"
        )
    check_progress(progress)
    limit = checked_limit(memory_limit)
    presentations = checked_positive(samples, "samples") * _versions(augmentations)
    dropouts = _dropouts(network, keep or {})
    design = analyze(network)
    return TrainingContexts(
        design=design,
        training=_expected(network, design, dropouts, presentations),
        presentations=presentations,
        dropouts={network.tensors[number].name: one for number, one in dropouts.items()},
        mask_entropy=_mask_entropy(network, dropouts),
        relative_deviation=(
            _deviation(network, dropouts, presentations, limit or DEFAULT_LIMIT, progress)
            if variance
            else None
        ),
    )


@dataclass(frozen=True, repr=False)
class TrainingContexts(TheoryResult):
    """Contexts of a model in training, beside those of its design.

    Attributes
    ----------
    design : Analysis
        Of the model as it is, once and with nothing dropped.
    training : Analysis
        Of the expected counts in the graph of training.
    presentations : int
        How many copies of the model that graph has.
    dropouts : dict of str to Dropout
        What is dropped, by name of tensor.
    mask_entropy : float
        Of the masks of one presentation, in bits: typically, one of ``2**mask_entropy`` different
        networks is trained.
    relative_deviation : float or None
        Standard deviation of the total contexts over all presentations, divided by their expected
        value; None if it was not asked for.
    """

    design: Analysis
    training: Analysis
    presentations: int
    dropouts: Mapping[str, Dropout]
    mask_entropy: float
    relative_deviation: float | None

    @property
    def title(self) -> str:
        """What was presented how often."""
        what = f"{self.presentations:,} presentation{'s' * (self.presentations != 1)}"
        tensors = len(self.dropouts)
        dropped = f", {tensors:,} tensor{'s' * (tensors != 1)} with dropout" if tensors else ""
        return f"{self.design.name} in training: {what}{dropped}"

    @property
    def rows(self) -> list[dict[str, object]]:
        """Every quantity, of the design and in training."""
        rows: list[dict[str, object]] = [
            {
                "quantity": quantity.with_unit(quantity.label),
                "design": value_of(self.design, quantity.key),
                "in training": _value_in_training(self.training, quantity.key),
            }
            for quantity in CATALOGUE.values()
            if quantity.key not in ("name", "total_contexts")
        ]
        for label, value in (
            ("standard deviation of Z over Z", self.relative_deviation),
            ("entropy of the masks of a presentation (bits)", self.mask_entropy),
        ):
            rows.append({"quantity": label, "design": 0.0, "in training": value})
        return rows

    @property
    def assumptions(self) -> str:
        """What is counted, and what the quantities are of."""
        return (
            "a context is a path of the graph of all presentations, which share the parameters and "
            "nothing else; masks are independent between tensors and presentations; quantities are "
            "those of the expected counts; nothing is said about learning."
        )

    def plot(self, *, axes: Axes | None = None) -> tuple[Figure, Axes]:
        """Mean contexts of the parameters of each tensor, along the depth; see `TheoryResult`."""
        with styled():
            axes = panel(axes)
            for analysis, color, label in (
                (self.training, SECOND_COLOR, "in training, expected"),
                (self.design, COLOR, "design"),
            ):
                levels = analysis.spectrum
                counts = np.repeat(levels.log2_counts, 2)
                edges = np.cumsum(levels.degeneracies.astype(np.float64)) / levels.num_parameters
                shares = np.concatenate([[0.0], np.repeat(edges, 2)[:-1]])
                axes.plot(shares, counts, color=color, label=label)
            axes.set_xlabel("share of the parameters with at most so many contexts")
            axes.set_ylabel(r"$\log_2 C$ [bits]")
            axes.set_title(self.title)
            axes.legend()
        return figure_of(axes), axes


def _value_in_training(training: Analysis, key: str) -> object:
    """A quantity; None for an estimate that expected counts far below one do not have."""
    if key == "spread_estimate" and training.expected_spread <= -1:
        return None
    value: object = value_of(training, key)
    return value


def _versions(augmentations: int | Mapping[str, int]) -> int:
    """In how many versions a sample is shown."""
    if not isinstance(augmentations, Mapping):
        return checked_positive(augmentations, "augmentations")
    return math.prod(
        checked_positive(number, f"augmentations[{name!r}]")
        for name, number in augmentations.items()
    )


def _dropouts(network: Network, keep: Keep) -> dict[int, Dropout]:
    """What is dropped, by number of tensor; a name goes before a function, and that before a kind.

    Raises
    ------
    UnknownNameError, InvalidArgumentError, TheoryDomainError
        See `training_contexts`.
    """
    if not isinstance(keep, Mapping):
        raise InvalidArgumentError(
            f"keep must be a dict of names or kinds to probabilities, got {described(keep)}"
        )
    known: set[str] = set()
    dropouts = {}
    for tensor in network.tensors:
        operation = network.operation(tensor)
        keys = [tensor.name]
        if operation is not None:
            keys += [key for key in (operation.function, operation.kind) if key is not None]
        known.update(keys)
        key = next((key for key in keys if key in keep), None)
        if key is not None and tensor.role != "input":
            dropouts[tensor.id] = _checked_dropout(keep[key], tensor, key)
        elif key is not None:
            raise InvalidArgumentError(
                f"keep: '{key}' is an input, and no path from a parameter leads through one"
            )
    for key in keep:
        if key not in known:
            raise UnknownNameError(
                f"keep: network '{network.name}' has no tensor, no function and no kind of "
                f"operation named {key!r}{did_you_mean(str(key), known)}; a layer of dropout has "
                "no tensor of its own, so name the one that it is applied to"
            )
    return dropouts


def _checked_dropout(value: object, tensor: Tensor, key: str) -> Dropout:
    dropout = value if isinstance(value, Dropout) else Dropout(value)  # type: ignore[arg-type]
    rank = len(tensor.shape)
    if not isinstance(dropout.keep, Real):
        raise InvalidArgumentError(
            f"keep: '{key}' needs a probability or a Dropout, got {described(value)}"
        )
    if not 0 <= dropout.keep <= 1:
        raise TheoryDomainError(
            f"keep: the probability of '{key}' must be between 0 and 1, got {dropout.keep}; it is "
            "that of being kept, which is 1 minus the rate of a layer of dropout"
        )
    axes = tuple(range(rank)) if dropout.axes is None else tuple(dropout.axes)
    if len(set(axes)) != len(axes) or not all(axis in range(rank) for axis in axes):
        raise InvalidArgumentError(
            f"keep: tensor '{tensor.name}' of shape {tensor.shape} has no axes {dropout.axes}"
        )
    return Dropout(float(dropout.keep), axes)


def _expected(
    network: Network, design: Analysis, dropouts: Mapping[int, Dropout], presentations: int
) -> Analysis:
    """The quantities of the expected counts in the graph of all presentations."""
    if dropouts:
        spectrum, unreached = _expected_spectrum(network, dropouts, presentations)
    else:
        numbers = design.spectrum.degeneracies.tolist()
        pairs = zip(design.spectrum.counts, numbers, strict=True)
        spectrum = Spectrum.from_counts({count * presentations: each for count, each in pairs})
        unreached = design.num_unreached_parameters
    return Analysis(
        f"{design.name} in training",
        spectrum,
        num_inputs=design.num_inputs * presentations,
        num_outputs=design.num_outputs * presentations,
        num_weight_nodes=design.num_weight_nodes * presentations,
        num_unreached_parameters=unreached,
    )


def _expected_spectrum(
    network: Network, dropouts: Mapping[int, Dropout], presentations: int
) -> tuple[Spectrum, int]:
    """The distinct expected counts, and the number of parameters that never have a context."""
    keep = {number: dropout.keep for number, dropout in dropouts.items()}

    def weight_of(link: Link) -> Weight:
        return keep.get(link.target.id, 1.0)

    diagram = Diagram.of_network(network, network.parameters, weight_of)
    sums = sweep(diagram.turned_round(), SUMS)
    parts = []
    for parameter in network.parameters:
        counts = SumMap.of_scaled(sums[parameter.id], parameter.shape)
        levels, numbers = counts.spectrum()
        factor = keep.get(parameter.id, 1.0) * presentations
        parts.append((levels.times(Scaled.of(factor)), numbers))
    found = Scaled(
        np.concatenate([levels.mantissas for levels, _ in parts]),
        np.concatenate([levels.exponents for levels, _ in parts]),
    )
    numbers = np.concatenate([numbers for _, numbers in parts])
    reached = found.mantissas > 0
    return _merged(found.at(reached), numbers[reached]), int(numbers[~reached].sum())


def _merged(counts: Scaled, numbers: npt.NDArray[np.int64]) -> Spectrum:
    """The spectrum of positive counts, with so many parameters each."""
    order = np.lexsort(counts)
    (mantissas, exponents), numbers = counts.at(order), numbers[order]
    differs = (np.diff(mantissas) != 0) | (np.diff(exponents) != 0)
    first = np.flatnonzero(np.concatenate([[True], differs])[: len(mantissas)])
    degeneracies = np.add.reduceat(numbers, first) if len(first) else numbers
    values = Values(2.0 * mantissas[first], exponents[first] - 1, degeneracies.astype(np.uint64))
    return Spectrum(values, None, lambda level: {})


def _mask_entropy(network: Network, dropouts: Mapping[int, Dropout]) -> float:
    """The entropy of all masks of one presentation, in bits."""
    total = 0.0
    for number, dropout in dropouts.items():
        shape = network.tensors[number].shape
        masks = math.prod(shape[axis] for axis in dropout.axes or ())
        outcomes = (dropout.keep, 1 - dropout.keep)
        total -= masks * math.fsum(p * math.log2(p) for p in outcomes if p > 0)
    return total


def _deviation(
    network: Network,
    dropouts: Mapping[int, Dropout],
    presentations: int,
    limit: int,
    progress: Progress | None,
) -> float:
    """Standard deviation of the total contexts over their expected value."""
    masks = {
        number: Mask(dropout.keep, frozenset(dropout.axes or ()))
        for number, dropout in dropouts.items()
    }
    diagram = Diagram.of_network(network, network.parameters)
    try:
        found = path_moments(diagram, masks, memory_limit=limit, progress=progress)
    except MemoryLimitError as error:
        raise MemoryLimitError(
            f"network '{network.name}': {error}; pass variance=False to have expected values only, "
            "or a larger memory_limit"
        ) from None
    (mean, base), (variance, exponent) = found
    if not mean:
        return math.nan
    # The number of presentations divides the square of the ratio: masks are drawn anew for each.
    return math.sqrt(math.ldexp(variance / mean**2 / presentations, exponent - 2 * base))
