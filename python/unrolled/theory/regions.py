"""Bounds on the linear regions of networks that are made of straight pieces.

Bounds are on the best that any weights can do. What random weights do is far less: a network with
one input, whose exact pieces are in `pieces`, shows it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from numbers import Integral
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from unrolled._core import Operation
from unrolled._support.hints import described
from unrolled.errors import InvalidArgumentError, TheoryDomainError, UnknownOperationError
from unrolled.network.builder import Link, Tensor
from unrolled.network.network import Network
from unrolled.show.plot import COLOR, SECOND_COLOR, styled
from unrolled.sources.resolution import resolve
from unrolled.theory.activations import Activation, as_activation
from unrolled.theory.arguments import checked_count
from unrolled.theory.layers import evaluation_order, links_by_target
from unrolled.theory.results import TheoryResult, figure_of, panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["LayerRegions", "RegionBounds", "linear_region_bounds"]

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
        digits = ".6g" if self.log2_upper < 1e6 else ".0f"
        return f"Linear regions of {self.name}: {lower}at most 2^{self.log2_upper:{digits}}"

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


def linear_region_bounds(
    model: Any = None, widths: Sequence[int] | None = None, *, n0: int | None = None
) -> RegionBounds:
    """Bounds on how many linear regions the input space can fall into.

    Parameters
    ----------
    model : int or model
        The number of inputs of a chain of dense layers, with `widths`; or whatever
        `unrolled.analyze` takes and can be read as a network.
    widths : sequence of int, optional
        Units of the layers of ReLUs, in order; an affine output layer does not count.
    n0 : int, optional
        The number of inputs of a chain, as formulas call it, instead of `model`.

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
    >>> linear_region_bounds(n0=2, widths=[4, 4]) == bounds
    True
    """
    if n0 is not None:
        if model is not None:
            raise InvalidArgumentError(
                f"n0 is the number of inputs of a chain, instead of a model; got {described(model)}"
            )
        model = n0
    if widths is None and model is not None and not isinstance(model, Integral):
        network = resolve(model, operations=True)
        if not isinstance(network, Network):
            raise InvalidArgumentError(
                f"linear regions are of networks with layers, got {described(model)}; or give the "
                "number of inputs and the widths of a chain"
            )
        return _bounds_of_network(network)
    if widths is None or isinstance(widths, str) or not isinstance(model, Integral):
        raise InvalidArgumentError(
            "give a model, or the number of inputs and the widths of the layers of a chain: "
            "linear_region_bounds(2, [8, 8])"
        )
    inputs = checked_count(model, "the number of inputs")
    numbers = [checked_count(one, "the width of a layer") for one in widths]
    if not numbers:
        raise TheoryDomainError("give the width of one layer at least")
    return _bounds_of_chain(inputs, numbers, [], f"{model} inputs, widths {numbers}")


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


@dataclass
class _Walk:
    """Ranks and layers of kinks, tensor by tensor."""

    network: Network
    operations: Sequence[Operation]
    inputs: int
    kernels: dict[int, int]
    ranks: dict[int, int] = field(default_factory=dict)
    layers: list[LayerRegions] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    activations: dict[str, Activation | None] = field(default_factory=dict)
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
    # One call for all of them: networks unrolled over time have tens of thousands.
    operations = network._core.operations
    walk = _Walk(network, operations, inputs, kernels)
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
    kinds = [operations[tensor.id].kind for tensor in order if tensor.role == "activation"]
    if "function" not in kinds and kinds.count("affine") > 1:
        raise TheoryDomainError(
            f"network '{network.name}' says of no tensor that an activation makes it, as counts do "
            "not need them (published models leave them out, unless they are given by name): add "
            "them with Network.activation, or 'linear' ones if there are none"
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
    operation = walk.operations[tensor.id]
    kind = operation.kind
    sources = {link.source.id: link.source for link in links if link.source.role != "parameter"}
    rank = min(walk.inputs, sum(walk.ranks[one] for one in sources), tensor.size)
    walk.ranks[tensor.id] = rank
    before = sum(one.size for one in sources.values())
    if any(link.role != "data" for link in links):
        walk.refused[tensor.name] = "multiplies by what depends on the input"
    elif kind == "function":
        _visit_function(
            walk, tensor, operation.function or "", sum(walk.ranks[one] for one in sources)
        )
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
    if function not in walk.activations:
        try:
            known = as_activation(walk.network.functions.get(function, function))
        except InvalidArgumentError:
            known = None
        walk.activations[function] = known
    activation = walk.activations[function]
    if activation is None:
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
