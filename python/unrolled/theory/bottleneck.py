"""The information bottleneck: how little of X says how much about Y.

A representation T of X that keeps I(X;T) of information and says I(T;Y) about Y can be no better
than a curve that belongs to the joint law of X and Y. `information_bottleneck` finds it for tables
of probabilities, `gaussian_bottleneck` for normal variables, and `information_plane` says where the
layers of a network lie beside it. The curve is a property of data, not of a network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from unrolled._support.arguments import checked_choice, checked_positive, checked_seed
from unrolled._support.hints import described
from unrolled._support.optional import import_optional
from unrolled.errors import InvalidArgumentError, TheoryDomainError
from unrolled.show.plot import COLOR, SECOND_COLOR, styled
from unrolled.theory.results import TheoryResult, figure_of, panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "BottleneckCurve",
    "InformationPlane",
    "PlanePoint",
    "gaussian_bottleneck",
    "information_bottleneck",
    "information_plane",
]

Array: TypeAlias = npt.NDArray[np.float64]
Unit = Literal["nats", "bits"]

SUM_TOLERANCE = 1e-9
"""How far from 1 the sum of a table of probabilities may be."""

TINY = 1e-300
"""Stands for a probability of zero in logarithms."""

SETTLED = 1e-14
"""Change of an encoder in one step below which it has converged."""

MOST_STEPS = 20_000
"""The iteration at one beta may take so many steps; it is slow near bifurcations."""

NOTHING = 1e-12
"""An objective no more below zero than this, in nats, is that of saying nothing."""

SAME_CLUSTER = 1e-3
"""Clusters whose laws of Y differ less in all probabilities are one."""


@dataclass(frozen=True, repr=False, eq=False)
class BottleneckCurve(TheoryResult):
    """The least information about X for what is said about Y, for a number of trade-offs.

    Attributes
    ----------
    beta : ndarray
        What is minimised is ``I(X;T) - beta I(T;Y)``; in the order given.
    information_x, information_y : ndarray
        I(X;T) and I(T;Y) of the best representation for each beta.
    mutual_information : float
        I(X;Y), which no representation exceeds.
    clusters : tuple of int
        Clusters of X that differ in what they say about Y; of normal variables, the modes in use.
    bifurcations : tuple of float
        The betas from which there is one more: of normal variables exactly, of tables the larger of
        two neighbours in `beta` between which their number changes.
    onset : float
        The beta at which the curve leaves zero if it does so continuously.
    unit : {"nats", "bits"}
    encoders : ndarray or None
        p(t|x) for each beta, shape ``(betas, values of X, clusters)``; of tables only.
    """

    beta: Array
    information_x: Array
    information_y: Array
    mutual_information: float
    clusters: tuple[int, ...]
    bifurcations: tuple[float, ...]
    onset: float
    unit: Unit
    encoders: Array | None = None

    @property
    def I_X(self) -> Array:  # noqa: N802
        """``I(X;T)``, under the symbol that the field writes for `information_x`."""
        return self.information_x

    @property
    def I_Y(self) -> Array:  # noqa: N802
        """``I(T;Y)``, likewise `information_y`."""
        return self.information_y

    @property
    def title(self) -> str:
        """What there is to know, and from where on anything is kept."""
        return (
            f"Information bottleneck: I(X;Y) = {self.mutual_information:.6g} {self.unit}, onset at "
            f"beta = {self.onset:.6g}"
        )

    @property
    def rows(self) -> list[dict[str, object]]:
        """A row a beta."""
        columns = (self.beta, self.information_x, self.information_y, self.clusters)
        kind = "clusters" if self.encoders is not None else "modes"
        return [
            {
                "beta": float(beta),
                f"I(X;T) ({self.unit})": float(x),
                f"I(T;Y) ({self.unit})": float(y),
                kind: number,
            }
            for beta, x, y, number in zip(*columns, strict=True)
        ]

    @property
    def assumptions(self) -> str:
        """What is exact, and what the curve is of."""
        if self.encoders is None:
            return (
                "X and Y are jointly normal with the given covariances; the optimum is then linear "
                "and the curve exact. It is a property of the data, not of a network."
            )
        return (
            "the joint law is known exactly. The iteration finds local optima, of which the best "
            "one of several starts is shown; below the onset a discontinuous start of the curve "
            "can be missed. The curve is a property of the data, not of a network."
        )

    def plot(
        self, *, axes: Axes | None = None, points: InformationPlane | None = None
    ) -> tuple[Figure, Axes]:
        """The information plane with the curve, its bifurcations and its bounds.

        Parameters
        ----------
        axes : matplotlib.axes.Axes, optional
        points : InformationPlane, optional
            Layers to show beside the curve, in the same unit.

        Returns
        -------
        figure, axes

        Raises
        ------
        InvalidArgumentError
            Points in another unit.
        MissingPackageError
            matplotlib is not installed.
        """
        if points is not None and points.unit != self.unit:
            raise InvalidArgumentError(
                f"the curve is in {self.unit} and the points are in {points.unit}; use one unit"
            )
        order = np.argsort(self.beta)
        x, y = self.information_x[order], self.information_y[order]
        with styled():
            axes = panel(axes)
            axes.plot(x, y, color=COLOR, marker=".", label="best representations")
            top = self.mutual_information
            axes.axhline(top, color="0.5", linewidth=0.8, label="I(X;Y)")
            axes.plot([0, top], [0, top], "--", color="0.5", linewidth=0.8, label="I(T;Y) = I(X;T)")
            at = [int(np.argmin(abs(self.beta[order] - beta))) for beta in self.bifurcations]
            axes.plot(x[at], y[at], "s", color=SECOND_COLOR, label="bifurcations")
            if points is not None:
                _draw_points(axes, points)
            axes.set_xlabel(f"I(X;T) [{self.unit}]")
            axes.set_ylabel(f"I(T;Y) [{self.unit}]")
            axes.set_title("Information bottleneck")
            axes.legend()
        return figure_of(axes), axes


class PlanePoint(NamedTuple):
    """A layer in the information plane.

    Attributes
    ----------
    information_x, information_y : float
        I(X;T) and I(T;Y).
    bias_x, bias_y : float
        By how much estimates from samples are too large on average, to first order; negative if
        too small, and zero if the laws are known.
    cells : int
        Different values of T.
    """

    information_x: float
    information_y: float
    bias_x: float
    bias_y: float
    cells: int


@dataclass(frozen=True, repr=False)
class InformationPlane(TheoryResult):
    """Where the layers of a network lie in the information plane.

    Attributes
    ----------
    points : dict of str to PlanePoint
        By name of layer.
    num_samples : int or None
        None if the laws are known.
    unit : {"nats", "bits"}
    """

    points: dict[str, PlanePoint]
    num_samples: int | None
    unit: Unit

    @property
    def title(self) -> str:
        """How many layers, from how many samples."""
        source = "known laws"
        if self.num_samples is not None:
            source = f"{self.num_samples:,} samples"
        layers = len(self.points)
        return f"Information plane of {layers:,} layer{'s' * (layers != 1)}, from {source}"

    @property
    def rows(self) -> list[dict[str, object]]:
        """A row a layer."""
        return [
            {
                "layer": name,
                f"I(X;T) ({self.unit})": point.information_x,
                f"I(T;Y) ({self.unit})": point.information_y,
                "bias of I(X;T)": point.bias_x,
                "bias of I(T;Y)": point.bias_y,
                "values of T": point.cells,
            }
            for name, point in self.points.items()
        ]

    @property
    def assumptions(self) -> str:
        """What was estimated, and how far it can be trusted."""
        if self.num_samples is None:
            return "the joint law of X and Y and the encoders are known exactly."
        return (
            "plug-in estimates of binned activations: they depend on the bins, and those of a "
            "deterministic network say more about the bins than about the network. The first-order "
            "bias is stated and not taken off; where it is not small against the estimate, the "
            "estimate is worth nothing."
        )

    def plot(self, *, axes: Axes | None = None) -> tuple[Figure, Axes]:
        """The layers as points; see `TheoryResult.plot`."""
        with styled():
            axes = panel(axes)
            _draw_points(axes, self)
            axes.set_xlabel(f"I(X;T) [{self.unit}]")
            axes.set_ylabel(f"I(T;Y) [{self.unit}]")
            axes.set_title(self.title)
        return figure_of(axes), axes


def _draw_points(axes: Axes, plane: InformationPlane) -> None:
    x = [point.information_x for point in plane.points.values()]
    y = [point.information_y for point in plane.points.values()]
    axes.plot(x, y, "o-", color=SECOND_COLOR, linewidth=0.8, label="layers")
    for name, point in plane.points.items():
        axes.annotate(
            name, point[:2], xytext=(4, -10), textcoords="offset points", fontsize="small"
        )


def information_bottleneck(
    pxy: npt.ArrayLike,
    betas: npt.ArrayLike,
    *,
    clusters: int | None = None,
    restarts: int = 8,
    seed: int = 0,
    unit: Unit = "nats",
) -> BottleneckCurve:
    """Find the representations of X that say most about Y for what they keep of X.

    For each beta, ``I(X;T) - beta I(T;Y)`` is minimised over all encoders p(t|x) by

        p(t|x) ~ p(t) exp(-beta KL[p(y|x) | p(y|t)])

    from the largest beta down, starting from the encoder found before and from random ones, and the
    best result is kept.

    Parameters
    ----------
    pxy : array of float, shape ``(values of X, values of Y)``
        The joint law: not negative, with the sum 1. Values of probability zero are left out.
    betas : array of float
        Positive.
    clusters : int, optional
        Values of T at most; as many as X has by default, which are enough.
    restarts : int
        Random starts at each beta.
    seed : int
        Of the random starts.
    unit : {"nats", "bits"}

    Returns
    -------
    BottleneckCurve

    Raises
    ------
    TheoryDomainError
        No law, or a beta that is not positive.
    InvalidArgumentError
        Numbers of clusters or restarts that are no positive integers, or an unknown unit.
    MissingPackageError
        SciPy is not installed.

    References
    ----------
    N. Tishby, F. C. Pereira, W. Bialek, "The information bottleneck method" (1999), arXiv
    physics/0004057. The onset: 1 over the square of the second singular value of
    ``p(x,y) / sqrt(p(x) p(y))``, the maximal correlation.

    Examples
    --------
    A bit that is turned over with probability 0.1:

    >>> curve = information_bottleneck([[0.45, 0.05], [0.05, 0.45]], [1.5, 2.0, 10.0])
    >>> round(curve.onset, 9), curve.clusters
    (1.5625, (1, 2, 2))
    >>> curve.information_y.round(6).tolist(), round(curve.mutual_information, 6)
    ([0.0, 0.282273, 0.368064], 0.368064)
    """
    joint = _law(pxy)
    values = _betas(betas)
    scale = _scale(unit)
    kept = joint[joint.sum(axis=1) > 0][:, joint.sum(axis=0) > 0]
    number = len(kept) if clusters is None else checked_positive(clusters, "clusters")
    starts = checked_positive(restarts, "restarts")
    problem = _Problem(kept, number)
    draw = np.random.default_rng(checked_seed(seed))
    found: dict[int, _Solution] = {}
    before: Array | None = None
    for at in np.argsort(-values, kind="stable").tolist():
        encoders = problem.starts(draw, starts, before)
        found[at] = problem.solve(float(values[at]), encoders)
        before = found[at].encoder
    solutions = [found[at] for at in range(len(values))]
    numbers = tuple(one.clusters for one in solutions)
    full = np.zeros((len(values), len(joint), number))
    full[:, :, 0] = 1.0
    full[:, joint.sum(axis=1) > 0] = [one.encoder for one in solutions]
    return BottleneckCurve(
        values,
        np.array([one.information_x for one in solutions]) / scale,
        np.array([one.information_y for one in solutions]) / scale,
        _mutual_information(kept) / scale,
        numbers,
        _changes(values, numbers),
        problem.onset,
        unit,
        full,
    )


class _Solution(NamedTuple):
    """An encoder p(t|x), and what it keeps and says in nats."""

    encoder: Array
    information_x: float
    information_y: float
    clusters: int

    def cost(self, beta: float) -> float:
        """What is minimised."""
        return self.information_x - beta * self.information_y


class _Problem:
    """A joint law without zeros in its margins, and the iteration for it."""

    def __init__(self, joint: Array, clusters: int) -> None:
        self.joint = joint
        self.clusters = clusters
        self.px, self.py = joint.sum(axis=1), joint.sum(axis=0)
        self.given_x = joint / self.px[:, None]
        self.negative_entropy = (self.given_x * np.log(np.maximum(self.given_x, TINY))).sum(axis=1)
        self.softmax = import_optional("scipy.special", "theory").softmax

    @property
    def onset(self) -> float:
        """The beta at which saying nothing stops being a local optimum."""
        normalised = self.joint / np.sqrt(np.outer(self.px, self.py))
        singular = np.linalg.svd(normalised, compute_uv=False)
        second = float(singular[1]) if len(singular) > 1 else 0.0
        return 1 / second**2 if second > 1e-12 else math.inf

    def starts(self, draw: np.random.Generator, number: int, before: Array | None) -> Array:
        """Encoders to start from, shape ``(starts, values of X, clusters)``."""
        size = len(self.px)
        random = draw.dirichlet(np.full(self.clusters, 0.5), size=(number, size))
        own = np.eye(size, self.clusters)
        own[self.clusters :, -1] = 1.0  # Fewer clusters than values: the last one has the rest.
        first = [own] if before is None else [own, before]
        # Clusters that have died out cannot come back, so each start has a little of all.
        return np.concatenate([first, random]) * (1 - 1e-6) + 1e-6 / self.clusters

    def solve(self, beta: float, encoders: Array) -> _Solution:
        """The best encoder from all starts."""
        settled = np.zeros(len(encoders), dtype=bool)
        for _ in range(MOST_STEPS):
            active = ~settled
            updated = self._update(beta, encoders[active])
            change = np.abs(updated - encoders[active]).max(axis=(1, 2))
            encoders[active] = updated
            settled[active] = change < SETTLED
            if settled.all():
                break
        solutions = [self._describe(encoder) for encoder in encoders]
        best = min(solutions, key=lambda one: one.cost(beta))
        if best.cost(beta) > -NOTHING:
            nothing = np.zeros_like(best.encoder)
            nothing[:, 0] = 1.0
            return _Solution(nothing, 0.0, 0.0, 1)
        return best

    def _update(self, beta: float, encoders: Array) -> Array:
        """One step of the iteration for several encoders at once."""
        pt, given_t = self._clusters(encoders)
        cross = np.einsum("xy,sty->sxt", self.given_x, np.log(np.maximum(given_t, TINY)))
        divergence = self.negative_entropy[:, None] - cross
        logarithms = np.log(np.maximum(pt, TINY))[:, None, :] - beta * divergence
        updated: Array = self.softmax(logarithms, axis=2)
        return updated

    def _clusters(self, encoders: Array) -> tuple[Array, Array]:
        """p(t) and p(y|t)."""
        pt = np.einsum("x,sxt->st", self.px, encoders)
        joint = np.einsum("xy,sxt->sty", self.joint, encoders)
        return pt, joint / np.maximum(pt, TINY)[:, :, None]

    def _describe(self, encoder: Array) -> _Solution:
        pt, given_t = (array[0] for array in self._clusters(encoder[None]))
        used = pt > 1e-9
        # Clusters that say the same of Y count once.
        different: list[Array] = []
        for law in given_t[used]:
            if all(np.abs(law - other).max() > SAME_CLUSTER for other in different):
                different.append(law)
        return _Solution(
            encoder,
            _mutual_information(self.px[:, None] * encoder),
            _mutual_information(pt[:, None] * given_t),
            len(different),
        )


def _mutual_information(joint: Array) -> float:
    """The entropy of a table of probabilities, in nats."""
    independent = np.outer(joint.sum(axis=1), joint.sum(axis=0))
    positive = joint > 0
    terms = joint[positive] * np.log(joint[positive] / independent[positive])
    return max(math.fsum(terms.tolist()), 0.0)


def _changes(betas: Array, numbers: tuple[int, ...]) -> tuple[float, ...]:
    """The betas from which there are more clusters than at the next smaller one."""
    order = np.argsort(betas, kind="stable").tolist()
    return tuple(
        float(betas[after]) for before, after in pairwise(order) if numbers[after] > numbers[before]
    )


def gaussian_bottleneck(
    Sxx: npt.ArrayLike,
    Sxy: npt.ArrayLike,
    Syy: npt.ArrayLike,
    betas: npt.ArrayLike,
    *,
    unit: Unit = "nats",
) -> BottleneckCurve:
    """The information bottleneck of jointly normal variables, in closed form.

    With the eigenvalues l of ``Sx|y Sxx^-1``, a mode is in use from ``beta = 1 / (1 - l)`` on, and

        I(X;T) = sum over modes in use of 1/2 ln((beta - 1) (1 - l) / l)
        I(T;Y) = I(X;T) - sum over modes in use of 1/2 ln(beta (1 - l))

    Parameters
    ----------
    Sxx, Sxy, Syy : array of float, shapes ``(n, n)``, ``(n, m)`` and ``(m, m)``
        Covariances of X, of X with Y, and of Y; numbers stand for one variable each.
    betas : array of float
        Positive.
    unit : {"nats", "bits"}

    Returns
    -------
    BottleneckCurve
        Without encoders; its clusters are modes in use.

    Raises
    ------
    TheoryDomainError
        Covariances that are not symmetric and positive, or that determine a part of X by Y, about
        which any amount of information can be kept; a beta that is not positive.
    InvalidArgumentError
        Shapes that do not fit, or an unknown unit.

    References
    ----------
    G. Chechik, A. Globerson, N. Tishby, Y. Weiss, "Information bottleneck for Gaussian variables",
    JMLR 6 (2005).

    Examples
    --------
    >>> curve = gaussian_bottleneck(1.0, 0.8, 1.0, [1.0, 2.0, 10.0])
    >>> round(curve.onset, 9), curve.information_x.round(6).tolist()
    (1.5625, [0.0, 0.287682, 1.386294])
    """
    scale = _scale(unit)
    values = _betas(betas)
    xx, xy, yy = (
        _covariance(one, name) for one, name in ((Sxx, "Sxx"), (Sxy, "Sxy"), (Syy, "Syy"))
    )
    size, other = xy.shape
    if xx.shape != (size, size) or yy.shape != (other, other):
        raise InvalidArgumentError(
            f"Sxx must be {size} x {size} and Syy {other} x {other}, as Sxy is {size} x {other}; "
            f"got {xx.shape} and {yy.shape}"
        )
    lambdas = _left_over(xx, xy, yy)
    with np.errstate(divide="ignore"):
        critical = 1 / (1 - lambdas)
    in_use = values[:, None] > critical
    beta = np.where(in_use, values[:, None], 2.0)
    left = np.where(in_use, lambdas, 0.5)
    kept = 0.5 * np.log((beta - 1) * (1 - left) / left) * in_use
    lost = 0.5 * np.log(beta * (1 - left)) * in_use
    finite = np.unique(critical[np.isfinite(critical)])
    return BottleneckCurve(
        values,
        kept.sum(axis=1) / scale,
        (kept - lost).sum(axis=1) / scale,
        float(-0.5 * np.log(lambdas).sum()) / scale,
        tuple(in_use.sum(axis=1).tolist()),
        tuple(finite.tolist()),
        float(critical.min()),
        unit,
    )


def _left_over(xx: Array, xy: Array, yy: Array) -> Array:
    """The eigenvalues of ``Sx|y Sxx^-1``, ascending: the shares of variance that Y leaves open."""
    try:
        root = np.linalg.cholesky(xx)
        np.linalg.cholesky(yy)
    except np.linalg.LinAlgError:
        raise TheoryDomainError(
            "Sxx and Syy must be positive definite; leave out variables that are combinations of "
            "others"
        ) from None
    if not (np.allclose(xx, xx.T) and np.allclose(yy, yy.T)):
        raise TheoryDomainError("Sxx and Syy must be symmetric")
    known = xy @ np.linalg.solve(yy, xy.T)
    whitened = np.linalg.solve(root, np.linalg.solve(root, known).T)
    explained = np.linalg.eigvalsh((whitened + whitened.T) / 2).astype(np.float64)
    lambdas = 1 - explained[::-1]
    if lambdas[0] < -1e-9:
        raise TheoryDomainError(
            "these are no covariances: Y would explain more than all of the variance of X"
        )
    if lambdas[0] < 1e-13:
        raise TheoryDomainError(
            "Y determines a combination of X, about which any amount of information can be kept; "
            "leave it out, or add noise"
        )
    # Rounding may leave a share above 1, of what Y says nothing about.
    return np.minimum(lambdas, 1.0)


def information_plane(
    layers: Mapping[str, npt.ArrayLike] | Sequence[npt.ArrayLike],
    y: npt.ArrayLike | None = None,
    x: npt.ArrayLike | None = None,
    *,
    pxy: npt.ArrayLike | None = None,
    bins: int = 30,
    unit: Unit = "nats",
) -> InformationPlane:
    """Where layers lie in the information plane: from samples, or from known laws.

    From samples, activations of each unit are sorted into `bins` bins of equal width between their
    least and largest value in the layer; T is the combination of the bins of all units. Estimates
    are those of the relative frequencies. To first order in 1 / n they are too large by
    ``(cells of both - cells of one - cells of the other + 1) / (2 n)``, which is stated.

    Parameters
    ----------
    layers : dict of str to array, or sequence of arrays
        From samples: activations, shape ``(samples, units)`` or ``(samples,)``. With `pxy`:
        encoders p(t|x), shape ``(values of X, values of T)``. Without names they are called
        "layer 1" and so on.
    y : array, shape ``(samples,)``
        The labels.
    x : array, shape ``(samples,)``, optional
        The value of X of each sample; by default all are different.
    pxy : array of float, shape ``(values of X, values of Y)``, optional
        The joint law, instead of samples.
    bins : int
        From samples.
    unit : {"nats", "bits"}

    Returns
    -------
    InformationPlane

    Raises
    ------
    InvalidArgumentError
        Neither labels nor a law, or both; arrays that do not fit; an unknown unit.
    TheoryDomainError
        Encoders or a table that are no laws.

    References
    ----------
    N. Tishby, N. Zaslavsky, "Deep learning and the information bottleneck principle" (2015), arXiv
    1503.02406. The bias: G. A. Miller, "Note on the bias of information estimates" (1955). What to
    make of such figures: A. M. Saxe et al., "On the information bottleneck theory of deep
    learning", ICLR 2018.

    Examples
    --------
    >>> plane = information_plane({"sign": [0.0, 0.0, 1.0, 1.0]}, y=[0, 0, 1, 1], unit="bits")
    >>> point = plane.points["sign"]
    >>> round(point.information_x, 9), round(point.information_y, 9), round(point.bias_x, 6)
    (1.0, 1.0, -0.180337)
    """
    scale = _scale(unit)
    if isinstance(layers, list | tuple):
        layers = {f"layer {number}": one for number, one in enumerate(layers, 1)}
    if not isinstance(layers, Mapping) or not layers:
        raise InvalidArgumentError(
            f"layers must be a dict or a list of arrays, one a layer, got {described(layers)}"
        )
    if (pxy is None) == (y is None):
        raise InvalidArgumentError("give the labels y of samples, or the joint law pxy; not both")
    points = {}
    if pxy is not None:
        joint = _law(pxy)
        for name, encoder in layers.items():
            points[name] = _known_point(name, joint, encoder, scale)
        return InformationPlane(points, None, unit)
    labels = _labels(y, "y")
    number = len(labels)
    own = np.arange(number) if x is None else _labels(x, "x")
    for name, activations in layers.items():
        cells = _binned(name, activations, checked_positive(bins, "bins"), number)
        if len(own) != number:
            raise InvalidArgumentError(f"x has {len(own)} samples and y has {number}")
        to_x, bias_x = _estimate(own, cells)
        to_y, bias_y = _estimate(cells, labels)
        points[name] = PlanePoint(
            to_x / scale, to_y / scale, bias_x / scale, bias_y / scale, int(cells.max()) + 1
        )
    return InformationPlane(points, number, unit)


def _known_point(name: str, joint: Array, encoder: npt.ArrayLike, scale: float) -> PlanePoint:
    table = np.asarray(encoder, dtype=np.float64)
    if table.ndim != 2 or len(table) != len(joint):
        raise InvalidArgumentError(
            f"layer '{name}': an encoder has a row for each of the {len(joint)} values of X, got "
            f"the shape {table.shape}"
        )
    if not (table >= 0).all() or np.abs(table.sum(axis=1) - 1).max() > SUM_TOLERANCE:
        raise TheoryDomainError(f"layer '{name}': the rows of an encoder are laws with the sum 1")
    both = joint.sum(axis=1)[:, None] * table
    return PlanePoint(
        _mutual_information(both) / scale,
        _mutual_information(table.T @ joint) / scale,
        0.0,
        0.0,
        int((both.sum(axis=0) > 0).sum()),
    )


def _labels(values: npt.ArrayLike | None, what: str) -> npt.NDArray[np.int64]:
    """Values of a discrete variable, numbered."""
    array = np.asarray(values)
    if array.ndim != 1 or not array.size:
        raise InvalidArgumentError(f"{what} has one value a sample, got the shape {array.shape}")
    numbers: npt.NDArray[np.int64] = np.unique(array, return_inverse=True)[1].ravel()
    return numbers


def _binned(
    name: str, activations: npt.ArrayLike, bins: int, samples: int
) -> npt.NDArray[np.int64]:
    """The cell that each sample is in, numbered."""
    try:
        array = np.asarray(activations, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(
            f"layer '{name}': activations are numbers, one row a sample; got "
            f"{described(activations)}"
        ) from error
    array = array.reshape(len(array), -1) if array.ndim else array
    if array.ndim != 2 or len(array) != samples or not np.isfinite(array).all():
        raise InvalidArgumentError(
            f"layer '{name}': activations are finite numbers, one row for each of the {samples} "
            f"samples; got the shape {array.shape}"
        )
    low, high = array.min(), array.max()
    width = (high - low) / bins or 1.0
    numbers = np.minimum(((array - low) / width).astype(np.int64), bins - 1)
    cells: npt.NDArray[np.int64] = np.unique(numbers, axis=0, return_inverse=True)[1].ravel()
    return cells


def _estimate(first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Mutual information of relative frequencies in nats, and its bias to first order."""
    number = len(first)
    pairs, both = np.unique(np.stack([first, second]), axis=1, return_counts=True)
    one, other = np.bincount(first), np.bincount(second)
    ratios = both * number / (one[pairs[0]] * other[pairs[1]])
    information = math.fsum((both / number * np.log(ratios)).tolist())
    cells = len(both) - int(np.count_nonzero(one)) - int(np.count_nonzero(other)) + 1
    return max(information, 0.0), cells / (2 * number)


def _law(pxy: npt.ArrayLike) -> Array:
    try:
        joint = np.asarray(pxy, dtype=np.float64)
    except (TypeError, ValueError):
        joint = np.asarray(np.nan)
    if joint.ndim != 2 or not joint.size:
        raise InvalidArgumentError(
            f"a joint law is a table with a row for each value of X, got {described(pxy)}"
        )
    if not (joint >= 0).all() or not abs(joint.sum() - 1) <= SUM_TOLERANCE:
        raise TheoryDomainError(
            f"probabilities are not negative and have the sum 1, here it is {joint.sum():.12g}; "
            "divide the table by its sum"
        )
    return joint


def _betas(betas: npt.ArrayLike) -> Array:
    try:
        values = np.atleast_1d(np.asarray(betas, dtype=np.float64))
    except (TypeError, ValueError):
        values = np.asarray([[np.nan]])
    if values.ndim != 1 or not values.size:
        raise InvalidArgumentError(f"betas must be a list of numbers, got {described(betas)}")
    if not (np.isfinite(values) & (values > 0)).all():
        raise TheoryDomainError(f"betas must be positive numbers, got {described(betas)}")
    return values


def _covariance(values: npt.ArrayLike, name: str) -> Array:
    try:
        array = np.atleast_2d(np.asarray(values, dtype=np.float64))
    except (TypeError, ValueError):
        array = np.asarray([np.nan])
    if array.ndim != 2 or not np.isfinite(array).all():
        raise InvalidArgumentError(f"{name} must be a matrix of numbers, got {described(values)}")
    return array


def _scale(unit: str) -> float:
    """Nats in a unit."""
    return math.log(2) if checked_choice("unit", unit, get_args(Unit)) == "bits" else 1.0
