"""Linear regions of networks of straight pieces: bounds, and the exact pieces along one input.

Bounds are on the best that any weights can do. What random weights do is far less; a network with
one input shows it exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from unrolled._support.hints import described
from unrolled.errors import InvalidArgumentError, TheoryDomainError, UnknownOperationError
from unrolled.network.builder import Link, Tensor
from unrolled.network.network import Network
from unrolled.show.plot import COLOR, SECOND_COLOR, styled
from unrolled.sources.resolution import resolve
from unrolled.theory.activations import as_activation
from unrolled.theory.layers import evaluation_order, links_by_target
from unrolled.theory.results import TheoryResult, figure_of, panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "LayerRegions",
    "Pieces",
    "RegionBounds",
    "Sawtooth",
    "count_pieces_along",
    "linear_pieces",
    "linear_region_bounds",
    "sawtooth",
]

LARGEST_EXACT = 10_000
"""Layers of more units have their sums of binomials by logarithms."""

LARGEST_TRANSFER = 2 * 10**8
"""Bits that the numbers of regions by dimension may take together."""

MOST_LISTED = 8
"""Tensors that an error names."""

CAVEAT = (
    "a maximum over all weights, not what a network does: at random initialisation, and after "
    "training, kinks along a line follow the number of neurons, not 2^depth"
)


class LayerRegions(NamedTuple):
    """What one layer of kinks can do.

    Attributes
    ----------
    name : str
    hyperplanes : int
        Kinks of all its elements together.
    rank : int
        Dimensions that its inputs can have within a region of what is before.
    log2_factor : float
        ``log2 sum_(j <= rank) C(hyperplanes, j)``, by which regions can multiply at most.
    """

    name: str
    hyperplanes: int
    rank: int
    log2_factor: float


@dataclass(frozen=True)
class RegionBounds(TheoryResult):
    """Bounds on the largest number of linear regions. What `linear_region_bounds` returns.

    Attributes
    ----------
    lower : int or None
        That many there are for some weights; None where no bound is known.
    upper : int or None
        No weights make more. None if it has too many digits; see `log2_upper`.
    log2_upper : float
    per_layer : tuple of LayerRegions
    name : str
    notes : tuple of str
    """

    lower: int | None = field(repr=False)
    upper: int | None = field(repr=False)
    log2_upper: float
    per_layer: tuple[LayerRegions, ...]
    name: str = "network"
    notes: tuple[str, ...] = ()

    @property
    def log2_lower(self) -> float | None:
        """None where there is no lower bound."""
        return None if self.lower is None else math.log2(self.lower)

    @property
    def title(self) -> str:
        """The bounds."""
        lower = "" if self.log2_lower is None else f"at least 2^{self.log2_lower:.6g}, "
        return f"Linear regions of {self.name}: {lower}at most 2^{self.log2_upper:.6g}"

    @property
    def rows(self) -> list[dict[str, object]]:
        """One row a layer of kinks."""
        return [
            {
                "layer": one.name,
                "hyperplanes": one.hyperplanes,
                "rank": one.rank,
                "log2 of the factor": one.log2_factor,
            }
            for one in self.per_layer
        ]

    @property
    def assumptions(self) -> str:
        """That this is a maximum."""
        return "; ".join([CAVEAT, *self.notes])

    def plot(self, *, axes: Axes | None = None) -> tuple[Figure, Axes]:
        """The logarithm of the bound along the depth, and the number of kinks.

        Parameters and errors are those of `TheoryResult.plot`.
        """
        with styled():
            axes = panel(axes)
            layers = np.arange(1, len(self.per_layer) + 1)
            bound = np.cumsum([one.log2_factor for one in self.per_layer])
            neurons = np.cumsum([one.hyperplanes for one in self.per_layer])
            axes.plot(layers, np.maximum(bound, 0.1), "o-", color=COLOR, label="log2 of the bound")
            axes.plot(
                layers, np.log2(1 + neurons), "s-", color=SECOND_COLOR,
                label="log2 of the number of neurons",
            )  # fmt: skip
            axes.set_yscale("log")
            axes.set(title=self.title, xlabel="layer of kinks")
            axes.locator_params(axis="x", integer=True)
            axes.legend()
        return figure_of(axes), axes


def linear_region_bounds(model: Any, widths: Sequence[int] | None = None) -> RegionBounds:
    """Bounds on how many linear regions the input space can fall into.

    Parameters
    ----------
    model : int or model
        The number of inputs of a chain of dense layers, with `widths`; or whatever
        `unrolled.analyze` takes and can be read as a network.
    widths : sequence of int, optional
        Units of the layers of ReLUs, in order; an affine output layer does not count.

    Returns
    -------
    RegionBounds

    Raises
    ------
    TheoryDomainError
        Widths that are not positive, or a model that is not of straight pieces: it says where.
    UnknownOperationError
        A model with tensors of which it is not known how they are computed.
    InvalidArgumentError
        A model without layers, such as a graph.

    Notes
    -----
    Upper bound of chains: Serra, Tjandraatmadja and Ramalingam, Bounding and counting linear
    regions (2018), theorem 1, in the form of Hinz and van de Geer (2019): regions are counted by
    the dimension of their image. Of other networks: the product over layers of the regions that
    their hyperplanes can cut out of the image of a region before. Lower bound of chains: Montufar
    et al. (2014), theorem 4. What networks do: Hanin and Rolnick, Complexity of linear regions in
    deep networks (2019).

    Examples
    --------
    >>> bounds = linear_region_bounds(2, [4, 4])
    >>> bounds.lower, bounds.upper
    (44, 121)
    """
    if widths is None and not isinstance(model, int):
        network = resolve(model)
        if not isinstance(network, Network):
            raise InvalidArgumentError(
                f"linear regions are of networks with layers, got {described(model)}; or give the "
                "number of inputs and the widths of a chain"
            )
        return _bounds_of_network(network)
    if widths is None or isinstance(widths, str) or not isinstance(model, int):
        raise InvalidArgumentError(
            "give a model, or the number of inputs and the widths of the layers of a chain: "
            "linear_region_bounds(2, [8, 8])"
        )
    numbers = [int(one) for one in widths]
    if model < 1 or not numbers or min(numbers) < 1:
        raise TheoryDomainError(
            f"the number of inputs and all widths are positive, got {model} and {numbers}"
        )
    return _bounds_of_chain(int(model), numbers, [], f"{model} inputs, widths {numbers}")


def _bounds_of_chain(
    inputs: int, widths: Sequence[int], notes: Sequence[str], name: str, *, is_dense: bool = True
) -> RegionBounds:
    """Dense layers of ReLUs; regions are carried from layer to layer by their dimension."""
    ranks = [min([inputs, *widths[:at]]) for at in range(len(widths))]
    factors = [_log2_regions(width, rank) for width, rank in zip(widths, ranks, strict=True)]
    layers = [
        LayerRegions(f"layer {at}", width, rank, factor)
        for at, (width, rank, factor) in enumerate(zip(widths, ranks, factors, strict=True), 1)
    ]
    lower = None
    if is_dense and all(width >= inputs for width in widths) and inputs * sum(widths) < 10**8:
        lower = _regions(widths[-1], inputs)
        for width in widths[:-1]:
            lower *= (width // inputs) ** inputs
    upper = None
    is_small = max(widths) <= LARGEST_EXACT and inputs * sum(widths) <= LARGEST_TRANSFER
    if is_small:
        upper = _transferred(inputs, widths)
        log2_upper = math.log2(upper)
    else:
        log2_upper = math.fsum(factors)
    return RegionBounds(lower, upper, log2_upper, tuple(layers), name, tuple(notes))


def _transferred(inputs: int, widths: Sequence[int]) -> int:
    """The number of regions, counted by the dimension of their image.

    A region of dimension d splits into at most C(n, j) with j of n units switched off, for
    j = 0, ..., min(d, n); their image has the dimension min(d, n - j).
    """
    states = [0] * inputs + [1]
    for width in widths:
        binomials = _binomials(width, min(inputs, width))
        sums = list(accumulate(binomials))
        above = list(accumulate(reversed(states)))  # above[k]: the last k + 1 states together.
        after = [0] * (inputs + 1)
        for s in range(min(inputs, width) + 1):
            # Either j <= n - d keeps the dimension d = s, or j = n - s leads there from d > s.
            stays = states[s] * sums[min(s, width - s)]
            least = max(s + 1, width - s)
            falls = above[inputs - least] if least <= inputs else 0
            after[s] = stays + binomials[s] * falls
        states = after
    return sum(states)


def _binomials(n: int, last: int) -> list[int]:
    """C(n, 0), ..., C(n, last)."""
    values = [1]
    for j in range(last):
        values.append(values[-1] * (n - j) // (j + 1))
    return values


def _regions(hyperplanes: int, rank: int) -> int:
    """Into how many regions hyperplanes cut a space at most (Schlaefli)."""
    return sum(_binomials(hyperplanes, min(rank, hyperplanes)))


def _log2_regions(hyperplanes: int, rank: int) -> float:
    """The logarithm of `_regions`, also for millions of hyperplanes."""
    n, r = hyperplanes, min(rank, hyperplanes)
    if n <= LARGEST_EXACT:
        return math.log2(_regions(n, r))
    if 2 * r >= n:  # All subsets but those of more than r.
        missing = _log2_regions(n, n - r - 1) if r < n else -math.inf
        return n + math.log1p(-(2.0 ** (missing - n))) / math.log(2)
    binomial = math.lgamma(n + 1) - math.lgamma(r + 1) - math.lgamma(n - r + 1)
    # C(n, r) (1 + r/(n-r+1) (1 + (r-1)/(n-r+2) (1 + ...))), until terms do not matter.
    total = term = 1.0
    for k in range(r):
        term *= (r - k) / (n - r + 1 + k)
        total += term
        if term < 1e-17 * total:
            break
    return (binomial + math.log(total)) / math.log(2)


@dataclass(frozen=True)
class Pieces(TheoryResult):
    """A function of one number that is straight between kinks. What `linear_pieces` returns.

    Attributes
    ----------
    interval : tuple of Fraction
    breakpoints : tuple of Fraction
        Where the slope changes, from left to right, within the interval.
    slopes : tuple of Fraction
        One more than breakpoints.
    values : tuple of Fraction
        At the beginning of the interval, at the breakpoints, and at its end.
    """

    interval: tuple[Fraction, Fraction]
    breakpoints: tuple[Fraction, ...]
    slopes: tuple[Fraction, ...]
    values: tuple[Fraction, ...] = field(repr=False)

    @property
    def title(self) -> str:
        """How many pieces, and where."""
        low, high = (float(end) for end in self.interval)
        number = len(self.slopes)
        return f"{number} linear piece{'s' if number > 1 else ''} on [{low:g}, {high:g}]"

    @property
    def rows(self) -> list[dict[str, object]]:
        """One row a piece."""
        ends = [self.interval[0], *self.breakpoints, self.interval[1]]
        return [
            {"from": low, "to": high, "slope": slope}
            for low, high, slope in zip(ends[:-1], ends[1:], self.slopes, strict=True)
        ]

    @property
    def assumptions(self) -> str:
        """Exactness, and what to expect of other weights."""
        return (
            "exact for the weights as given; random weights make about as many kinks as there are "
            "neurons, not 2^depth"
        )

    def __call__(self, x: ArrayLike) -> Any:
        """The function at some places, in floating point."""
        ends = [float(one) for one in (self.interval[0], *self.breakpoints, self.interval[1])]
        return np.interp(np.asarray(x, dtype=np.float64), ends, [float(one) for one in self.values])

    def plot(self, *, axes: Axes | None = None) -> tuple[Figure, Axes]:
        """The function with its kinks marked.

        Parameters and errors are those of `TheoryResult.plot`.
        """
        ends = [float(one) for one in (self.interval[0], *self.breakpoints, self.interval[1])]
        values = [float(one) for one in self.values]
        with styled():
            axes = panel(axes)
            axes.plot(ends, values, color=COLOR)
            axes.plot(ends[1:-1], values[1:-1], "o", color=SECOND_COLOR, markersize=3)
            axes.set(title=self.title, xlabel="input", ylabel="output")
        return figure_of(axes), axes


def linear_pieces(
    layers: Sequence[tuple[Any, Any]],
    interval: tuple[Any, Any],
    *,
    most_pieces: int = 100_000,
) -> Pieces:
    """The exact pieces of a ReLU network with one input and one output.

    Parameters
    ----------
    layers : sequence of (weights, biases)
        Weights of shape ``(outputs, inputs)``, as nested lists or arrays; the first layer may be a
        flat list. ReLUs follow all layers but the last. Numbers are used as they are: integers,
        fractions, texts such as "1/3", or floats, whose binary values are taken.
    interval : tuple of two numbers
        Its ends, finite.
    most_pieces : int
        Stop with an error beyond so many.

    Returns
    -------
    Pieces

    Raises
    ------
    TheoryDomainError
        More than one input or output, an empty interval, or more pieces than allowed.
    InvalidArgumentError
        Shapes that do not fit, or numbers that are not finite.

    Examples
    --------
    >>> hat = linear_pieces([([1, 1], [0, -1]), ([[2, -4]], [0])], (-1, 3))
    >>> [str(one) for one in hat.breakpoints], [str(one) for one in hat.slopes]
    (['0', '1'], ['0', '2', '-2'])
    """
    low, high = (_fraction(one, "the interval") for one in interval)
    if not low < high:
        raise TheoryDomainError(f"the interval is empty: {described(interval)}")
    steps = _exact_layers(layers)
    places: list[Fraction] = [low, high]
    values: list[list[Fraction]] = [[low], [high]]
    for number, (weights, biases) in enumerate(steps):
        values = [_affine(weights, biases, one) for one in values]
        if number < len(steps) - 1:
            places, values = _bent(places, values)
            if len(places) > most_pieces + 1:
                raise TheoryDomainError(
                    f"more than {most_pieces} pieces behind layer {number + 1}: narrow the "
                    "interval, or raise most_pieces"
                )
    heights = [one[0] for one in values]
    breakpoints: list[Fraction] = []
    slopes: list[Fraction] = []
    kept = [heights[0]]
    for at in range(len(places) - 1):
        slope = (heights[at + 1] - heights[at]) / (places[at + 1] - places[at])
        if slopes and slope == slopes[-1]:
            continue
        if slopes:
            breakpoints.append(places[at])
            kept.append(heights[at])
        slopes.append(slope)
    return Pieces((low, high), tuple(breakpoints), tuple(slopes), (*kept, heights[-1]))


class Sawtooth(NamedTuple):
    """What `sawtooth` returns.

    Attributes
    ----------
    network : Network
    layers : list of (weights, biases)
        For `linear_pieces`.
    """

    network: Network
    layers: list[tuple[list[list[int]], list[int]]]


def sawtooth(depth: int) -> Sawtooth:
    """The network with one input and two units a layer that has ``2^depth`` pieces.

    ``f_l = 2 |f_(l-1)| - 2 = 2 relu(f_(l-1)) + 2 relu(-f_(l-1)) - 2``, from ``f_0 = x``. On
    [-2, 2] every piece runs from -2 to 2 or back.

    Parameters
    ----------
    depth : int
        Number of hidden layers, not negative; with none it is an affine layer.

    Returns
    -------
    Sawtooth

    Raises
    ------
    TheoryDomainError
        A negative depth.

    Notes
    -----
    Montufar et al., On the number of linear regions of deep neural networks (2014); Telgarsky,
    Representation benefits of deep feedforward networks (2015).

    Examples
    --------
    >>> tooth = sawtooth(3)
    >>> print(linear_pieces(tooth.layers, (-2, 2)).title)
    8 linear pieces on [-2, 2]
    """
    if depth < 0:
        raise TheoryDomainError(f"depth is a number of layers, got {described(depth)}")
    layers: list[tuple[list[list[int]], list[int]]] = []
    for layer in range(depth):
        layers.append(([[1], [-1]], [0, 0]) if layer == 0 else ([[2, 2], [-2, -2]], [-2, 2]))
    layers.append(([[2, 2]], [-2]) if depth else ([[1]], [0]))
    network = Network(f"sawtooth of depth {depth}")
    x = network.input((1,))
    for layer in range(1, depth + 1):
        x = network.activation(network.dense(x, 2, name=f"layer{layer}"))
    network.output(network.dense(x, 1, name="output"))
    return Sawtooth(network, layers)


def count_pieces_along(
    function: Callable[[Any], Any], start: ArrayLike, end: ArrayLike, samples: int = 10_000
) -> int:
    """A lower bound on the pieces of any function along a line, by sampling.

    Stretches of equally spaced samples on a straight line are counted; a piece that has less than
    three samples is missed.

    Parameters
    ----------
    function : callable
        Takes points, shape ``(samples + 1,)``, or ``(samples + 1, n)`` where the ends are vectors
        of length n, and returns one number for each.
    start, end : array_like
        Numbers, or vectors of equal length.
    samples : int
        Intervals, at least 2.

    Returns
    -------
    int

    Raises
    ------
    TheoryDomainError
        Too few samples.
    InvalidArgumentError
        A function that does not return one finite number a point.

    Examples
    --------
    >>> count_pieces_along(abs, -1.0, 2.0)
    2
    """
    if samples < 2:
        raise TheoryDomainError(f"at least 2 samples are needed, got {described(samples)}")
    share = np.linspace(0.0, 1.0, samples + 1)
    first, last = (np.asarray(one, dtype=np.float64) for one in (start, end))
    points = first + (share if first.ndim == 0 else share[:, None]) * (last - first)
    values = np.asarray(function(points), dtype=np.float64).reshape(-1)
    if len(values) != samples + 1 or not np.all(np.isfinite(values)):
        raise InvalidArgumentError(
            f"the function must return one finite number for each of {samples + 1} points, "
            f"got {described(values)}"
        )
    bends = np.abs(np.diff(values, 2))
    # Far above rounding errors of the values, and of what they were computed from.
    is_straight = bends <= 1e-12 * (1.0 + np.abs(values).max())
    return int(np.count_nonzero(np.diff(is_straight.astype(np.int8), prepend=0) == 1))


def _fraction(number: Any, where: str) -> Fraction:
    try:
        return Fraction(number)
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        raise InvalidArgumentError(
            f"{where} needs finite numbers, got {described(number)}"
        ) from None


def _exact_layers(
    layers: Sequence[tuple[Any, Any]],
) -> list[tuple[list[list[Fraction]], list[Fraction]]]:
    """Weights and biases as fractions, with shapes that fit."""
    steps: list[tuple[list[list[Fraction]], list[Fraction]]] = []
    width = 1
    for at, layer in enumerate(layers, 1):
        if not isinstance(layer, Sequence) or len(layer) != 2:
            raise InvalidArgumentError(f"layer {at} is a pair (weights, biases)")
        rows, shifts = (one.tolist() if hasattr(one, "tolist") else list(one) for one in layer)
        if at == 1:  # A flat list is one weight a unit.
            rows = [one if isinstance(one, Sequence) and not isinstance(one, str) else [one]
                    for one in rows]  # fmt: skip
        if any(not isinstance(row, Sequence) or len(row) != width for row in rows):
            raise (TheoryDomainError if at == 1 else InvalidArgumentError)(
                f"layer {at} needs weights of shape (outputs, {width})"
                + (": the network has one input" if at == 1 else "")
            )
        if len(shifts) != len(rows) or not rows:
            raise InvalidArgumentError(
                f"layer {at} has {len(rows)} rows of weights and {len(shifts)} biases"
            )
        where = f"layer {at}"
        weights = [[_fraction(one, where) for one in row] for row in rows]
        steps.append((weights, [_fraction(one, where) for one in shifts]))
        width = len(rows)
    if not steps or width != 1:
        raise TheoryDomainError(
            f"the network must have one output, got {width if steps else 0}; choose a row"
        )
    return steps


def _affine(
    weights: list[list[Fraction]], biases: list[Fraction], values: list[Fraction]
) -> list[Fraction]:
    return [
        sum((w * value for w, value in zip(row, values, strict=True) if w and value), bias)
        for row, bias in zip(weights, biases, strict=True)
    ]


def _bent(
    places: list[Fraction], values: list[list[Fraction]]
) -> tuple[list[Fraction], list[list[Fraction]]]:
    """ReLUs, with a new place wherever one of them begins or ends."""
    new_places: list[Fraction] = [places[0]]
    new_values = [values[0]]
    for at in range(len(places) - 1):
        low, high = values[at], values[at + 1]
        # Shares of the way at which a unit crosses zero.
        shares = {one / (one - other) for one, other in zip(low, high, strict=True)
                  if one * other < 0}  # fmt: skip
        for share in sorted(shares):
            new_places.append(places[at] + share * (places[at + 1] - places[at]))
            new_values.append(
                [one + share * (other - one) for one, other in zip(low, high, strict=True)]
            )
        new_places.append(places[at + 1])
        new_values.append(high)
    zero = Fraction(0)
    return new_places, [[max(one, zero) for one in row] for row in new_values]


@dataclass
class _Walk:
    """Ranks and layers of kinks, tensor by tensor."""

    network: Network
    inputs: int
    kernels: dict[int, int]
    ranks: dict[int, int] = field(default_factory=dict)
    layers: list[LayerRegions] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    has_relus_only: bool = True
    is_dense: bool = True

    def cut(self, name: str, hyperplanes: int, rank: int) -> None:
        """Add a layer of kinks."""
        factor = _log2_regions(hyperplanes, rank)
        self.layers.append(LayerRegions(name, hyperplanes, rank, factor))


def _bounds_of_network(network: Network) -> RegionBounds:
    """By the rank of every tensor within a region of what is before it."""
    into = links_by_target(network)
    kernels = {
        link.target.id: link.source.size
        for link in network.links
        if link.role == "kernel" and link.source.role == "parameter"
    }
    order = evaluation_order(network, into)
    inputs = sum(tensor.size for tensor in order if tensor.role == "input")
    walk = _Walk(network, inputs, kernels)
    for tensor in order:
        if tensor.role == "input":
            walk.ranks[tensor.id] = tensor.size
        else:
            _visit(walk, tensor, into.get(tensor.id, []))
    if walk.refused:
        raise TheoryDomainError(
            f"network '{network.name}' is not made of straight pieces, so that it has no linear "
            f"regions: {_listed(walk.refused)}"
        )
    if walk.unknown:
        raise UnknownOperationError(
            f"regions of network '{network.name}' are not known: {_listed(walk.unknown)}; say what "
            "they compute, with Network.activation, or with the operation of Network.tensor",
            walk.unknown.items(),
        )
    kinds = [getattr(network.operation(tensor), "kind", "") for tensor in order]
    if "function" not in kinds and kinds.count("affine") > 1:
        raise TheoryDomainError(
            f"network '{network.name}' says of no tensor that an activation makes it, as counts do "
            "not need them (published models leave them out): add them with Network.activation, "
            "or 'linear' ones if there are none"
        )
    notes = tuple(dict.fromkeys(walk.notes))
    links = [into[tensor.id] for tensor in order if tensor.role != "input"]
    reads = [one.source.id for part in links for one in part]
    is_chain = all(len(part) == 1 for part in links) and len(set(reads)) == len(reads)
    layers = tuple(walk.layers)
    if is_chain and walk.has_relus_only and layers:
        widths = [one.hyperplanes for one in layers]
        chain = _bounds_of_chain(inputs, widths, notes, network.name, is_dense=walk.is_dense)
        return replace(chain, per_layer=layers)
    log2_upper = math.fsum(one.log2_factor for one in layers)
    upper = None
    if all(one.hyperplanes <= LARGEST_EXACT for one in layers) and log2_upper < 1e6:
        upper = math.prod(_regions(one.hyperplanes, one.rank) for one in layers)
    return RegionBounds(None, upper, log2_upper, layers, network.name, notes)


def _listed(tensors: Mapping[str, str]) -> str:
    """The first few, and how many more there are."""
    parts = [f"'{name}' {reason}" for name, reason in tensors.items()]
    more = f" and {len(parts) - MOST_LISTED} more" if len(parts) > MOST_LISTED else ""
    return "; ".join(parts[:MOST_LISTED]) + more


def _visit(walk: _Walk, tensor: Tensor, links: Sequence[Link]) -> None:
    """The rank of a tensor, and its kinks."""
    operation = walk.network.operation(tensor)
    kind = "other" if operation is None else operation.kind
    sources = {link.source.id: link.source for link in links if link.source.role != "parameter"}
    rank = min(walk.inputs, sum(walk.ranks[one] for one in sources), tensor.size)
    walk.ranks[tensor.id] = rank
    before = sum(one.size for one in sources.values())
    if any(link.role != "data" for link in links):
        walk.refused[tensor.name] = "multiplies by what depends on the input"
    elif kind == "function":
        name = "" if operation is None else operation.function or ""
        _visit_function(walk, tensor, name, sum(walk.ranks[one] for one in sources))
    elif kind in ("max_pool", "maximum"):
        window = len(links) if kind == "maximum" else _window(links[0])
        walk.has_relus_only = False
        walk.cut(tensor.name, tensor.size * math.comb(window, 2), rank)
    elif kind == "affine":
        walk.is_dense = walk.is_dense and walk.kernels.get(tensor.id) == before * tensor.size
    elif kind == "batch_norm":
        walk.notes.append("batch norm with stored statistics, as at inference")
    elif kind in ("sum", "average", "move"):
        # Nothing but a new order of the elements keeps a chain of dense layers one.
        walk.is_dense = walk.is_dense and kind == "move" and tensor.size == before
    elif kind == "softmax" and tensor in walk.network.outputs:
        walk.notes.append(f"regions of the logits, before '{tensor.name}'")
    elif kind == "other":
        walk.unknown[tensor.name] = "is computed in an unknown way"
    else:
        walk.refused[tensor.name] = f"is of kind {kind}"


def _visit_function(walk: _Walk, tensor: Tensor, function: str, rank: int) -> None:
    """A function of single elements: each of its kinks is a hyperplane an element."""
    try:
        activation = as_activation(walk.network.functions.get(function, function))
    except InvalidArgumentError:
        walk.unknown[tensor.name] = f"applies {function}, which is not known"
        return
    if not activation.slopes:
        walk.refused[tensor.name] = f"applies {function}, which is not straight"
        return
    if activation.kinks:
        walk.cut(tensor.name, tensor.size * len(activation.kinks), min(walk.inputs, rank))
    walk.has_relus_only = walk.has_relus_only and activation.slopes in ((0.0, 1.0), (1.0,))


def _window(link: Link) -> int:
    """The largest number of elements that an element of a pooled tensor is computed from."""
    number = 1
    for relation in link.relations:
        if relation.kind in ("all", "each"):
            number *= math.prod(link.source.shape[axis] for axis in relation.source_axes)
        elif relation.kind == "window":
            number *= int(relation.arguments["size"])
    return number
