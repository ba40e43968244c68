"""Curves of inputs on their way through a random network: how long and how bent they become."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from unrolled.errors import TheoryDomainError
from unrolled.show.plot import COLOR, SECOND_COLOR, styled
from unrolled.theory.activations import Activation, ActivationLike, as_activation
from unrolled.theory.arguments import checked_count
from unrolled.theory.mean_squares import (
    WIDE,
    checked_mean_square,
    checked_variances,
    fixed_mean_square,
)
from unrolled.theory.results import TheoryResult, figure_of, panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["LengthMap", "length_map"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LengthMap(TheoryResult):
    """Length and curvature of a curve of inputs, layer by layer. What `length_map` returns.

    Attributes
    ----------
    q, chi_1 : ndarray, shape (depth,)
        Mean square of the pre-activations of each layer, and the factor on squared lengths from
        it to the next one.
    metric : ndarray, shape (depth,)
        Squared speed of the curve, per element of a layer.
    curvature : ndarray, shape (depth,), or None
        Squared curvature, per length; None for functions with kinks, where it diverges.
    """

    activation: Activation
    sigma_w2: float
    sigma_b2: float
    q: Array
    chi_1: Array
    metric: Array
    curvature: Array | None

    @property
    def title(self) -> str:
        """The activation and its variances."""
        return (
            f"A circle of inputs through {self.activation.name}, sigma_w2 {self.sigma_w2:g}, "
            f"sigma_b2 {self.sigma_b2:g}"
        )

    @property
    def total_curvature(self) -> Array | None:
        """Curvature times length, over that of the circle: by how much directions turn."""
        return None if self.curvature is None else np.sqrt(self.curvature * self.metric)

    @property
    def rows(self) -> list[dict[str, object]]:
        """One row a layer."""
        total = self.total_curvature
        return [
            {
                "layer": at + 1,
                "q": float(self.q[at]),
                "chi_1": float(self.chi_1[at]),
                "squared length": float(self.metric[at]),
                "squared curvature": None if self.curvature is None else float(self.curvature[at]),
                "total curvature": None if total is None else float(total[at]),
            }
            for at in range(len(self.q))
        ]

    @property
    def assumptions(self) -> str:
        """Infinite width, and what is normalised how."""
        return f"{WIDE}; the curve begins as a circle, lengths are per element of a layer"

    def plot(self, *, axes: Axes | None = None) -> tuple[Figure, Axes]:
        """Squared length, squared curvature and total curvature by depth, on a log axis.

        Parameters and errors are those of `TheoryResult.plot`.
        """
        with styled():
            axes = panel(axes)
            layers = np.arange(1, len(self.q) + 1)
            axes.plot(layers, self.metric, "o-", color=COLOR, markersize=3, label="squared length")
            total = self.total_curvature
            if self.curvature is not None and total is not None:
                axes.plot(
                    layers,
                    self.curvature,
                    "s-",
                    color="#999999",
                    markersize=3,
                    label="squared curvature",
                )
                axes.plot(
                    layers, total, "^-", color=SECOND_COLOR, markersize=3, label="total curvature"
                )
            axes.set_yscale("log")
            axes.set(title=self.title, xlabel="layer")
            axes.locator_params(axis="x", integer=True)
            axes.legend()
        return figure_of(axes), axes


def length_map(
    activation: ActivationLike,
    sigma_w2: float,
    sigma_b2: float = 0.0,
    depth: int = 20,
    *,
    q0: float | None = None,
) -> LengthMap:
    """How long and how bent a circle of inputs becomes on its way through the layers.

    Parameters
    ----------
    activation : str, Activation or callable
    sigma_w2, sigma_b2 : float
    depth : int
        Number of layers.
    q0 : float, optional
        Mean square of the first pre-activations, by default that of the fixed point.

    Returns
    -------
    LengthMap

    Raises
    ------
    TheoryDomainError
        A variance, `q0` or `depth` out of range.
    NoFixedPointError
        No `q0` was given, and lengths grow without bound.

    Notes
    -----
    With k(t) the covariance of two points at distance t along the curve, a layer maps k to C(k),
    and the chain rule gives ``k'' -> chi_1 k''`` and ``k'''' -> chi_1 k'''' + 3 chi_2 k''^2``. So
    it holds before the fixed point is reached, too. In the chaotic phase curvature saturates, and
    length grows as the square root of ``chi_1^depth``. Poole et al. (2016), equation 8.

    Examples
    --------
    >>> curve = length_map("tanh", 4.0**2, 0.3**2, depth=12)
    >>> print(curve.curvature[-1].round(4), curve.total_curvature[-1].round())
    1.7213 533.0
    """
    activation = as_activation(activation)
    sigma_w2, sigma_b2 = checked_variances(sigma_w2, sigma_b2)
    depth = checked_count(depth, "depth, the number of layers,")
    q = (
        fixed_mean_square(activation, sigma_w2, sigma_b2, None)[0]
        if q0 is None
        else checked_mean_square(q0)
    )
    if q == 0:
        raise TheoryDomainError("a circle of radius zero has no curvature; give q0 > 0")
    squares, slopes, metric, curvature = [q], [], [q], [1 / q]
    bends = activation.second_derivative is not None
    for layer in range(depth):
        chi_1 = sigma_w2 * activation.mean_square_slope(squares[-1])
        slopes.append(chi_1)
        if layer == depth - 1:
            break
        bend = activation.mean_square_curvature(squares[-1])
        if bend is not None:
            curvature.append(3 * sigma_w2 * bend / chi_1**2 + curvature[-1] / chi_1)
        metric.append(chi_1 * metric[-1])
        if q0 is None:
            squares.append(q)
        else:
            squares.append(sigma_w2 * activation.mean_square(squares[-1]) + sigma_b2)
    return LengthMap(
        activation,
        sigma_w2,
        sigma_b2,
        np.array(squares),
        np.array(slopes),
        np.array(metric),
        np.array(curvature) if bends else None,
    )
