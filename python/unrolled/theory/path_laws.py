"""How many paths a model has, how deep they are, and which branches carry them: `paths`.

Sums over paths with weights of one's own are `unrolled.counting.summation.path_sums`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unrolled._support.arguments import Progress
from unrolled._support.hints import described
from unrolled.counting.summation import path_sums
from unrolled.errors import InvalidArgumentError, NothingToCountError
from unrolled.network.builder import Semantics
from unrolled.network.network import Network
from unrolled.show.plot import COLOR, styled
from unrolled.sources.resolution import resolve
from unrolled.theory.results import TheoryResult, figure_of, panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Paths", "paths"]

LEAST_SHARE = 1e-12
"""Depths of fewer paths than that share have no row in the table."""


@dataclass(frozen=True, repr=False)
class Paths(TheoryResult):
    """The paths of a model from its inputs to its outputs.

    Attributes
    ----------
    name : str
    psi : int
        The number of paths.
    law : tuple of int
        The number of paths with 0, 1, ... weight layers: dense layers and convolutions.
    shares : dict of str to float
        For every tensor but parameters, the share of the paths that lead through it.
    """

    name: str
    psi: int
    law: tuple[int, ...]
    shares: Mapping[str, float]

    @property
    def log2_psi(self) -> float:
        """Logarithm of the number of paths to base 2."""
        return math.log2(self.psi)

    @property
    def mean_depth(self) -> float:
        """Mean number of weight layers along a path."""
        return sum(depth * number for depth, number in enumerate(self.law)) / self.psi

    @property
    def depth_variance(self) -> float:
        """Variance of the number of weight layers along a path."""
        first = sum(depth * number for depth, number in enumerate(self.law))
        second = sum(depth**2 * number for depth, number in enumerate(self.law))
        return (second * self.psi - first**2) / self.psi**2

    @property
    def shortest(self) -> int:
        """The least number of weight layers along a path."""
        return next(depth for depth, number in enumerate(self.law) if number)

    @property
    def longest(self) -> int:
        """The largest number of weight layers along a path."""
        return max(depth for depth, number in enumerate(self.law) if number)

    @property
    def title(self) -> str:
        """The number of paths and their depth."""
        return (
            f"{self.name}: 2^{self.log2_psi:.10g} paths, {self.mean_depth:.10g} weight layers on "
            f"average, {self.shortest} to {self.longest}"
        )

    @property
    def rows(self) -> list[dict[str, object]]:
        """A row a depth, but those of next to no paths."""
        return [
            {"weight layers": depth, "paths (log2)": math.log2(number), "share": number / self.psi}
            for depth, number in enumerate(self.law)
            if number > LEAST_SHARE * self.psi
        ]

    @property
    def assumptions(self) -> str:
        """What a path counts for."""
        if self.longest == 0:
            return (
                "every path counts alike. No tensor of this network is known to be a weight layer, "
                "so all depths are 0: it was made of links alone, or imported without operations."
            )
        return (
            "every path counts alike, however much signal it carries: nearly all of them go "
            "through nearly all layers, because deep paths are so many. The depth that gradients "
            "see weighs paths by what they carry, and is far smaller in residual networks."
        )

    def plot(self, *, axes: Axes | None = None) -> tuple[Figure, Axes]:
        """The number of paths by depth; see `TheoryResult.plot`."""
        depths = [depth for depth, number in enumerate(self.law) if number]
        with styled():
            axes = panel(axes)
            values = [math.log2(self.law[depth]) for depth in depths]
            axes.plot(depths, values, "o-", color=COLOR)
            axes.set_xlabel("weight layers along a path")
            axes.set_ylabel(r"$\log_2$ of the number of paths [bits]")
            axes.set_title(f"{self.name}: paths by depth")
        return figure_of(axes), axes


def paths(
    model: Any,
    *,
    inputs: Any = None,
    semantics: Semantics | None = None,
    memory_limit: int | None = None,
    progress: Progress | None = None,
) -> Paths:
    """Count the paths of a model from inputs to outputs: all, by depth, and through each tensor.

    Parameters
    ----------
    model
        Whatever `unrolled.analyze` takes, but a network in the end. Depths need a network that
        knows the operations of its tensors: without any that is "affine" all depths are zero.
    inputs, semantics
        For models that have to be imported; see `unrolled.analyze`.
    memory_limit, progress
        See `path_sums`.

    Returns
    -------
    Paths

    Raises
    ------
    InvalidArgumentError
        A model that is no network; `unrolled.count` with ``through=True`` serves graphs.
    NothingToCountError
        No input, no output, or no path from one to the other.

    References
    ----------
    Paths of residual networks by their length: A. Veit, M. Wilber, S. Belongie, arXiv 1605.06431.

    Examples
    --------
    >>> from unrolled import models
    >>> found = paths(models.mlp([3, 5], inputs=4, classes=2))
    >>> found.psi, found.law, found.mean_depth
    (120, (0, 0, 0, 120), 3.0)
    """
    network = resolve(model, inputs=inputs, semantics=semantics)
    if not isinstance(network, Network):
        raise InvalidArgumentError(
            "paths() needs a network, whose layers are known; count(graph, through=True) counts "
            f"the paths of a graph. Got {described(network)}"
        )
    sums = path_sums(network, grade="affine", memory_limit=memory_limit, progress=progress)
    if not sums.total:
        raise NothingToCountError(
            f"network '{network.name}': no path leads from an input to an output"
        )
    return Paths(network.name, int(sums.total), tuple(map(int, sums.law)), sums.shares())
