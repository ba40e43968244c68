"""How many weight layers the gradient of a model at initialisation goes through.

The laws of signal and gradient are those of `unrolled.propagation`; here they weigh paths. Paths
that all count alike are those of `unrolled.theory.path_laws`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from unrolled._core import Operation
from unrolled._support.hints import described
from unrolled.costs.data_flow import computed_order
from unrolled.counting.path_diagram import number_of_pairs
from unrolled.errors import InvalidArgumentError, NothingToCountError
from unrolled.network.builder import Link, Tensor
from unrolled.network.network import Network
from unrolled.propagation.propagation import propagate
from unrolled.propagation.records import Propagation, TensorPropagation
from unrolled.show.plot import COLOR, styled
from unrolled.sources.resolution import resolve
from unrolled.theory.results import TheoryResult, figure_of, panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["EffectiveDepth", "effective_depth"]

LEAST_SHARE = 1e-6
"""Depths with a smaller share of the gradient have no row in the table."""


@dataclass(frozen=True, repr=False)
class EffectiveDepth(TheoryResult):
    """The number of weight layers on a path, paths weighed by the gradient along them.

    Attributes
    ----------
    name : str
    law : tuple of float
        The share of the squared gradient that goes through 0, 1, ... weight layers.
    nominal : int
        The largest number of weight layers on any path.
    """

    name: str
    law: tuple[float, ...]
    nominal: int

    @property
    def mean(self) -> float:
        """The effective depth: the mean of the law."""
        return math.fsum(depth * share for depth, share in enumerate(self.law))

    @property
    def variance(self) -> float:
        """The variance of the law."""
        mean = self.mean
        return math.fsum((depth - mean) ** 2 * share for depth, share in enumerate(self.law))

    @property
    def title(self) -> str:
        """The effective depth beside the nominal one."""
        return f"{self.name}: effective depth {self.mean:.6g} of {self.nominal} weight layers"

    @property
    def rows(self) -> list[dict[str, object]]:
        """A row a depth, but those with next to no gradient."""
        return [
            {"weight layers": depth, "share of the gradient": share}
            for depth, share in enumerate(self.law)
            if share > LEAST_SHARE
        ]

    @property
    def assumptions(self) -> str:
        """What weighs a path."""
        return (
            "at initialisation, a path has the share of the expected squared derivative that comes "
            "along it; paths are taken as uncorrelated, as independent weights of mean zero make "
            "them. One number stands for a tensor, so that borders count on average: with padding "
            "the mean comes out too small, by one per cent in three layers of 3 by 3 kernels on "
            "maps of 12 by 12, and by more on smaller ones. Where a tensor goes to several places, "
            "maxima, softmax and operations that are not known are taken to pass derivatives on "
            "as they are."
        )

    def plot(self, *, axes: Axes | None = None) -> tuple[Figure, Axes]:
        """The share of the gradient by depth; see `TheoryResult.plot`."""
        with styled():
            axes = panel(axes)
            axes.bar(range(len(self.law)), self.law, color=COLOR)
            axes.axvline(self.mean, color="black", linestyle=":", label=f"mean {self.mean:.4g}")
            axes.set_xlabel("weight layers along a path")
            axes.set_ylabel("share of the squared gradient")
            axes.set_title(self.title)
            axes.legend()
        return figure_of(axes), axes


def effective_depth(
    model: Any,
    weights: Any = "he",
    *,
    inputs: Any = None,
    values: Any = None,
    size: Any = None,
    **options: Any,
) -> EffectiveDepth:
    """Weigh the paths of a model by the gradient along them, and say how deep they are.

    A residual network of many layers sends nearly all of its gradient along short paths; a chain
    without skips sends all of it through all layers.

    Parameters
    ----------
    model
        Anything that `unrolled.propagate` takes, or a `Propagation`, which is not computed again.
    weights : str, float, mapping or callable
        As for `unrolled.propagate`.
    inputs, values, size
        For models that have to be imported or built; see `unrolled.analyze`.
    **options
        Of `unrolled.propagate`.

    Returns
    -------
    EffectiveDepth

    Raises
    ------
    InvalidArgumentError
        A model that is not made of tensors.
    NothingToCountError
        No gradient arrives at an input.
    UnrolledError
        See `unrolled.propagate`.

    Notes
    -----
    A walk goes from the inputs to the outputs. From a tensor it takes each link with a probability
    in proportion to the mean square of the derivative that comes back along it. The law is that of
    the number of dense layers and convolutions on the walk, after Veit, Wilber and Belongie,
    Residual networks behave like ensembles of relatively shallow networks (2016), who measure what
    is computed here.

    Examples
    --------
    Three blocks ``x + W2 relu(W1 x)`` with variances 2/n and 1/(2n) have the polynomial
    ``(1 + z^2 / 2)^3``: each block is gone through with the probability 1/3.

    >>> from unrolled import Network
    >>> net = Network()
    >>> x = net.input((6,))
    >>> small = {}
    >>> for block in range(3):
    ...     y = net.activation(net.dense(x, 6, name=f"first{block}"), "relu")
    ...     y = net.dense(y, 6, name=f"second{block}")
    ...     small[f"second{block}/kernel"] = 0.5 / 6
    ...     x = net.add(x, y)
    >>> net.output(x)
    >>> depth = effective_depth(net, overrides=small)
    >>> round(depth.mean, 12), depth.nominal
    (2.0, 6)
    """
    if isinstance(model, Propagation):
        propagation, network = model, model.network
    else:
        found = resolve(model, inputs=inputs, values=values, size=size, operations=True)
        if not isinstance(found, Network):
            raise InvalidArgumentError(
                f"an effective depth needs a model made of tensors, which {described(model)} is not"
            )
        network = found
        propagation = propagate(network, weights, **options)
    return EffectiveDepth(network.name, *_law(network, propagation))


def _law(network: Network, propagation: Propagation) -> tuple[tuple[float, ...], int]:
    """The law of the depth, and the largest depth of any path."""
    by_name = {state.name: state for state in propagation.tensors}
    # All by number: networks unrolled over time have tens of thousands of tensors.
    tensors, operations = network.tensors, network._core.operations
    states = [by_name.get(tensor.name) for tensor in tensors]
    kinds = [operation.kind for operation in operations]
    variances: dict[str, float] = {}
    for kernel in propagation.kernels:
        # A layer with several kernels, as a recurrent one, has those of one variance.
        variances[kernel.target] = kernel.mean_square
    out_of: list[list[tuple[Link, float]]] = [[] for _ in tensors]
    into: dict[int, list[Link]] = {}
    for link in network.links:
        if link.source.role != "parameter" and link.role == "data":
            into.setdefault(link.target.id, []).append(link)
    # Layers of one kind have equal links: most are counted once.
    pairs_of = cache(number_of_pairs)
    for number, links in into.items():
        for link in links:
            pairs = pairs_of(link.relations, link.source.shape, link.target.shape)
            passed = _passed(link, links, operations[number], states, variances, pairs)
            out_of[link.source.id].append((link, passed))
    ends = {_before_softmax(tensor, kinds, into).id for tensor in network.outputs}
    # A function right before a maximum is followed together with it and has no gradient of its own;
    # what comes back along its links then stands for it.
    totals = [None if state is None else _total(state) for state in states]
    laws: list[np.ndarray | None] = [None] * len(tensors)
    deepest = [0] * len(tensors)
    for tensor in reversed(computed_order(network)):
        number = tensor.id
        branches = []
        for link, passed in out_of[number]:
            target = link.target.id
            law, total = laws[target], totals[target]
            if law is not None and total is not None and passed > 0:
                step = int(kinds[target] == "affine")
                branches.append((math.log2(passed) + total, step, law, deepest[target]))
        if number in ends:
            # The derivative of an output by itself: one for every element.
            branches.append((math.log2(max(tensor.size, 1)), 0, np.ones(1), 0))
        branches = [branch for branch in branches if branch[0] > -math.inf]
        if not branches:
            continue
        most = max(branch[0] for branch in branches)
        shares = [2.0 ** (branch[0] - most) for branch in branches]
        whole = sum(shares)
        if totals[number] == -math.inf:
            totals[number] = most + math.log2(whole)
        laws[number] = _mixture(
            (share / whole, step, law)
            for share, (_, step, law, _) in zip(shares, branches, strict=True)
        )
        deepest[number] = max(step + depth for _, step, _, depth in branches)
    return _of_inputs(network, totals, laws, deepest)


def _mixture(parts: Iterable[tuple[float, int, np.ndarray]]) -> np.ndarray:
    """The sum of laws with a share each, every one a number of layers deeper than it was."""
    known = list(parts)
    if len(known) == 1 and known[0][1] == 0:
        return known[0][2]  # Most tensors are read once, and need no law of their own.
    law = np.zeros(max(step + len(after) for _, step, after in known))
    for share, step, after in known:
        law[step : step + len(after)] += share * after
    return law


def _before_softmax(output: Tensor, kinds: Sequence[str], into: dict[int, list[Link]]) -> Tensor:
    """Where derivatives start: an output, or what a softmax there is taken of."""
    while output.role == "activation" and kinds[output.id] == "softmax" and into.get(output.id):
        output = into[output.id][0].source
    return output


def _of_inputs(
    network: Network,
    totals: Sequence[float | None],
    laws: Sequence[np.ndarray | None],
    deepest: Sequence[int],
) -> tuple[tuple[float, ...], int]:
    """The laws of all inputs, each with the share of the gradient that arrives there."""
    starts = []
    for tensor in network.inputs:
        total, law = totals[tensor.id], laws[tensor.id]
        if law is not None and total is not None and total > -math.inf:
            starts.append((total, law, deepest[tensor.id]))
    if not starts:
        raise NothingToCountError(
            f"network '{network.name}': no gradient arrives at an input, so no path has a weight"
        )
    most = max(total for total, _, _ in starts)
    shares = [2.0 ** (total - most) for total, _, _ in starts]
    whole = sum(shares)
    law = _mixture(
        (share / whole, 0, one) for share, (_, one, _) in zip(shares, starts, strict=True)
    )
    return tuple(law.tolist()), max(depth for _, _, depth in starts)


def _total(state: TensorPropagation) -> float:
    """Base-2 logarithm of the squared derivatives, summed over the elements."""
    return state.log2_gradient + math.log2(max(state.size, 1))


def _passed(
    link: Link,
    siblings: Sequence[Link],
    operation: Operation,
    states: Sequence[TensorPropagation | None],
    variances: dict[str, float],
    pairs: int,
) -> float:
    """How much of the squared derivatives by a target comes back along one of its links."""
    kind = operation.kind
    target = states[link.target.id]
    if target is None:
        return 0.0
    if kind == "function" or kind.endswith("_norm"):
        return target.slope if math.isfinite(target.log2_slope) else 1.0
    taps = pairs / max(target.size, 1)
    if kind == "affine":  # Of the taps, only those in bounds.
        return taps * variances.get(link.target.name, 1.0)
    if kind == "average":
        if operation.weights:
            return math.prod(sum(weight**2 for weight in one) for one in operation.weights)
        if operation.divisor is not None:
            return taps / operation.divisor**2
        return 1.0 / taps if taps else 0.0
    if kind in ("product", "matmul"):
        sources = [states[one.source.id] for one in siblings if one is not link]
        others = [source.mean_square for source in sources if source is not None]
        divisor = operation.divisor or 1.0
        return math.prod(others) * (taps if kind == "matmul" else 1.0) / divisor**2
    if kind in ("maximum", "max_pool", "softmax"):
        return 1.0
    return taps
