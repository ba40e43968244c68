"""How many paths a model has, how deep they are, and which branches carry them: `paths`.

Sums over paths with weights of one's own are `unrolled.counting.summation.path_sums`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unrolled._support.arguments import Progress
from unrolled._support.hints import described
from unrolled.counting.summation import GradeMoments, grade_moments, path_sums
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
    mean_depth, depth_variance : float
        Of the number of weight layers, dense layers and convolutions, along a path.
    law : tuple of int or None
        The number of paths with 0, 1, ... weight layers; None if it was not asked for.
    shares : dict of str to float or None
        For every tensor but parameters, the share of the paths that lead through it; None if it was
        not asked for.
    """

    name: str
    psi: int
    mean_depth: float
    depth_variance: float
    law: tuple[int, ...] | None = None
    shares: Mapping[str, float] | None = None

    @property
    def log2_psi(self) -> float:
        """Logarithm of the number of paths to base 2."""
        return math.log2(self.psi)

    @property
    def shortest(self) -> int | None:
        """The least number of weight layers along a path; None without the law."""
        return min(self._depths, default=None)

    @property
    def longest(self) -> int | None:
        """The largest number of weight layers along a path; None without the law."""
        return max(self._depths, default=None)

    @property
    def _depths(self) -> list[int]:
        """The depths that paths have."""
        return [depth for depth, number in enumerate(self.law or ()) if number]

    @property
    def title(self) -> str:
        """The number of paths and their depth."""
        ends = "" if self.law is None else f", {self.shortest} to {self.longest}"
        return (
            f"{self.name}: 2^{self.log2_psi:.10g} paths, {self.mean_depth:.10g} weight layers on "
            f"average{ends}"
        )

    @property
    def rows(self) -> list[dict[str, object]]:
        """A row a depth, but those of next to no paths; one row in all without the law."""
        if self.law is None:
            return [
                {
                    "paths (log2)": self.log2_psi,
                    "mean weight layers": self.mean_depth,
                    "variance": self.depth_variance,
                }
            ]
        return [
            {"weight layers": depth, "paths (log2)": math.log2(number), "share": number / self.psi}
            for depth, number in enumerate(self.law)
            if number > LEAST_SHARE * self.psi
        ]

    @property
    def assumptions(self) -> str:
        """What a path counts for."""
        if self.mean_depth == 0:
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
        """The number of paths by depth.

        Parameters
        ----------
        axes : matplotlib.axes.Axes, optional

        Returns
        -------
        figure, axes

        Raises
        ------
        InvalidArgumentError
            The law was not asked for.
        MissingPackageError
            matplotlib is not installed.
        """
        if self.law is None:
            raise InvalidArgumentError(
                f"'{self.name}': paths were not counted by depth; use paths(model, law=True)"
            )
        with styled():
            axes = panel(axes)
            values = [math.log2(self.law[depth]) for depth in self._depths]
            axes.plot(self._depths, values, "o-", color=COLOR)
            axes.set_xlabel("weight layers along a path")
            axes.set_ylabel(r"$\log_2$ of the number of paths [bits]")
            axes.set_title(f"{self.name}: paths by depth")
        return figure_of(axes), axes


def paths(
    model: Any,
    *,
    law: bool = True,
    shares: bool = True,
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
    law : bool
        Count paths by their depth. That takes seconds for models of hundreds of layers, such as
        DenseNet; mean and variance alone take a fraction of it.
    shares : bool
        Find the share of the paths that leads through each tensor.
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
    options: dict[str, Any] = {"memory_limit": memory_limit, "progress": progress}
    moments = grade_moments(network, "affine", **options)
    if not moments.total:
        raise NothingToCountError(
            f"network '{network.name}': no path leads from an input to an output"
        )
    by_depth = by_tensor = None
    if law:
        graded = path_sums(network, grade="affine", direction="forward", **options)
        by_depth = tuple(map(int, graded.law))
        moments = _exact_moments(by_depth)
    if shares:
        by_tensor = path_sums(network, exact=False, progress=progress).shares()
    return Paths(network.name, moments.total, moments.mean, moments.variance, by_depth, by_tensor)


def _exact_moments(law: Sequence[int]) -> GradeMoments:
    """Of a law in integers, with one rounding each."""
    total = sum(law)
    first = sum(depth * number for depth, number in enumerate(law))
    second = sum(depth**2 * number for depth, number in enumerate(law))
    return GradeMoments(total, first / total, (second * total - first**2) / total**2)
