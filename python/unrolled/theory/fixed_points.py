"""Layers of infinite depth: fixed points, their derivatives, and the memory that they save.

A network whose layers all share their weights repeats one function f. If repeating it converges,
its limit is a fixed point z = f(z), which may be found by any other method as well, and derived by
without going back through the repetitions.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from unrolled._support.arguments import checked_choice, checked_positive
from unrolled._support.hints import described
from unrolled._support.optional import import_optional
from unrolled.errors import InvalidArgumentError, NoFixedPointError
from unrolled.show.plot import COLOR, SECOND_COLOR, styled
from unrolled.theory.results import TheoryResult, figure_of, panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FixedPoint", "MemoryOfDepth", "fixed_point", "implicit_gradient", "memory"]

Array: TypeAlias = npt.NDArray[np.float64]
Function: TypeAlias = Callable[[Array], npt.ArrayLike]
Method = Literal["anderson", "broyden", "iteration", "newton_krylov"]

WINDOW = 5
"""Iterates that Anderson acceleration mixes."""

RIDGE = 1e-10
"""Added to the normal equations of the mixture, relative to their size."""

DIVERGED = 1e12
"""A residual that many times the first one, or one, says that there is no limit in reach."""


@dataclass(frozen=True, repr=False, eq=False)
class FixedPoint(TheoryResult):
    """A point that a function leaves where it is, and how it was found.

    Attributes
    ----------
    z : ndarray
        The point, of the shape of the start.
    residuals : tuple of float
        ``|f(z) - z|`` in the Euclidean norm at every evaluation.
    method : str
    converged : bool
        Whether the last residual is below the tolerance.
    """

    z: Array
    residuals: tuple[float, ...]
    method: str
    converged: bool

    @property
    def steps(self) -> int:
        """Evaluations of the function."""
        return len(self.residuals)

    @property
    def contraction(self) -> float:
        """The factor by which the residual fell at each of the last evaluations, on average."""
        last = [residual for residual in self.residuals if residual > 0][-11:]
        if len(last) < 2:
            return 0.0
        return math.exp(math.log(last[-1] / last[0]) / (len(last) - 1))

    @property
    def title(self) -> str:
        """The method, and whether it found a fixed point."""
        found = "converged" if self.converged else "has not converged"
        return f"Fixed point by {self.method}: {found} in {self.steps:,} evaluations"

    @property
    def rows(self) -> list[dict[str, object]]:
        """One row with the end of the search."""
        return [
            {
                "method": self.method,
                "evaluations": self.steps,
                "residual": self.residuals[-1],
                "contraction": self.contraction,
                "converged": self.converged,
            }
        ]

    @property
    def assumptions(self) -> str:
        """What a small residual says, and what it does not."""
        return (
            "a small residual says that f moves z little, not that the fixed point is near, the "
            "only one, or the one that plain iteration goes to; a certificate of one solution is "
            "MonotoneLayer.strength > 0."
        )

    def plot(self, *, axes: Axes | None = None) -> tuple[Figure, Axes]:
        """Residuals against evaluations; see `TheoryResult.plot`."""
        with styled():
            axes = panel(axes)
            axes.plot(range(1, self.steps + 1), self.residuals, color=COLOR, label=self.method)
            axes.set_yscale("log")
            axes.set_xlabel("evaluations of f")
            axes.set_ylabel("$|f(z) - z|$")
            axes.set_title(self.title)
            axes.legend()
        return figure_of(axes), axes


def fixed_point(
    f: Function,
    z0: npt.ArrayLike,
    *,
    method: Method = "anderson",
    tol: float = 1e-10,
    max_steps: int = 1000,
) -> FixedPoint:
    """Find a fixed point of a function.

    Parameters
    ----------
    f : callable
        Takes an array of the shape of `z0` and returns one.
    z0 : array of float
        Where the search begins.
    method : {"anderson", "broyden", "iteration", "newton_krylov"}
        "iteration": apply f again and again, which converges where f contracts. "anderson": the
        mixture of the last five iterates with the least residual. "broyden" and "newton_krylov":
        those of SciPy for the root of ``f(z) - z``.
    tol : float
        The residual ``|f(z) - z|`` that is small enough, relative to the larger of 1 and ``|z|``.
    max_steps : int
        Evaluations at most (of "newton_krylov" and "broyden": a little more, to finish a step).

    Returns
    -------
    FixedPoint
        Not `converged` if the evaluations did not suffice.

    Raises
    ------
    NoFixedPointError
        The iterates diverge, or are no numbers any more.
    InvalidArgumentError
        An unknown method, a start that is no array of finite numbers, or a function that returns
        another shape.
    MissingPackageError
        SciPy is not installed ("broyden" and "newton_krylov").

    References
    ----------
    Deep equilibrium models: S. Bai, J. Z. Kolter, V. Koltun, arXiv 1909.01377. The acceleration:
    D. G. Anderson, J. ACM 12 (1965); H. F. Walker, P. Ni, SIAM J. Numer. Anal. 49 (2011).

    Examples
    --------
    >>> import numpy as np
    >>> found = fixed_point(np.cos, 1.0)
    >>> round(float(found.z), 9), found.converged
    (0.739085133, True)
    """
    start = _start(z0)
    checked_choice("method", method, get_args(Method))
    if not (isinstance(tol, (int, float)) and tol > 0):
        raise InvalidArgumentError(f"tol must be a positive number, got {described(tol)}")
    search = _Search(f, start, float(tol), checked_positive(max_steps, "max_steps"))
    try:
        with np.errstate(all="ignore"):
            if method in ("anderson", "iteration"):
                _iterate(search, WINDOW if method == "anderson" else 1)
            else:
                _root(search, "broyden1" if method == "broyden" else "krylov")
    except _SearchOverError:
        pass
    return FixedPoint(
        search.best.reshape(start.shape), tuple(search.residuals), method, search.converged
    )


class _SearchOverError(Exception):
    """The search is over: converged, or out of evaluations."""


class _Search:
    """Evaluates a function, remembers residuals, and says when it is enough."""

    def __init__(self, f: Function, start: Array, tol: float, max_steps: int) -> None:
        self.f, self.start, self.tol, self.max_steps = f, start, tol, max_steps
        self.residuals: list[float] = []
        self.best = start
        self.converged = False

    def image(self, z: Array) -> Array:
        """f(z), flat.

        Raises
        ------
        _SearchOverError
            The residual is small enough, or this was the last evaluation.
        NoFixedPointError, InvalidArgumentError
            See `fixed_point`.
        """
        image = np.asarray(self.f(z.reshape(self.start.shape)), dtype=np.float64)
        if image.shape != self.start.shape:
            raise InvalidArgumentError(
                f"f must return an array of the shape of z0, {self.start.shape}, got {image.shape}"
            )
        flat = image.ravel()
        residual = float(np.linalg.norm(flat - z.ravel()))
        first = self.residuals[0] if self.residuals else residual
        if not math.isfinite(residual) or residual > DIVERGED * max(first, 1.0):
            raise NoFixedPointError(
                f"the iterates diverge: after {len(self.residuals)} evaluations |f(z) - z| is "
                f"{residual:.3g}, at the beginning it was {first:.3g}; f has no fixed point, or "
                "start nearer to it, or use method='newton_krylov'"
            )
        if not self.residuals or residual <= min(self.residuals):
            self.best = z.copy()
        self.residuals.append(residual)
        if residual <= self.tol * max(1.0, float(np.linalg.norm(z))):
            self.converged = True
            raise _SearchOverError
        if len(self.residuals) >= self.max_steps:
            raise _SearchOverError
        return flat


def _iterate(search: _Search, window: int) -> None:
    """Replace z by the mixture of the last images whose residuals cancel best.

    With coefficients that add up to 1 the mixture of images has about the mixed residual, which is
    least for coefficients proportional to the solution of the normal equations with ones.
    """
    z = search.start.ravel()
    images: list[Array] = []
    residuals: list[Array] = []
    while True:
        image = search.image(z)
        images, residuals = [*images, image][-window:], [*residuals, image - z][-window:]
        differences = np.array(residuals)
        normal = differences @ differences.T
        normal += RIDGE * np.trace(normal) / len(normal) * np.eye(len(normal))
        coefficients = np.linalg.solve(normal, np.ones(len(normal)))
        z = coefficients / coefficients.sum() @ np.array(images)


def _root(search: _Search, method: str) -> None:
    """Find a root of f(z) - z with SciPy, which the search stops."""
    root = import_optional("scipy.optimize", "theory").root
    try:
        root(
            lambda z: search.image(z) - z,
            search.start.ravel(),
            method=method,
            options={"fatol": 0.0, "maxiter": search.max_steps, "disp": False},
        )
    except ValueError as error:
        # What SciPy says where its model of the derivative breaks down.
        raise NoFixedPointError(
            f"the search broke down after {len(search.residuals)} evaluations: {error}; start "
            "elsewhere, or use method='anderson'"
        ) from error


def _required_arguments(function: Callable[..., Any]) -> int | None:
    """How many arguments a function cannot do without; None if it does not say."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    by_place = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(one.kind in by_place and one.default is one.empty for one in parameters)


def implicit_gradient(
    vjp: Callable[..., Any],
    z: npt.ArrayLike,
    cotangent: npt.ArrayLike,
    *,
    tol: float = 1e-12,
    max_steps: int = 1000,
) -> Array:
    """Carry the derivative of a loss back through a fixed point, without the way to it.

    With z = f(z, theta) and J = df/dz there, dz/dtheta = (I - J)^{-1} df/dtheta. So the derivative
    of a loss with the cotangent c = dl/dz is y^T df/dtheta with y = c + J^T y, which is what is
    solved for here, by GMRES. It exists if 1 is no eigenvalue of J; that J contracts is not needed.

    Parameters
    ----------
    vjp : callable
        Takes z and an array v of its shape and returns J^T v at z; or takes v alone, as what
        ``jax.vjp`` returns does. The result may be a tuple of one array.
    z : array of float
        The fixed point.
    cotangent : array of float
        dl/dz, of the same shape.
    tol : float
        Of the residual of the equation, relative to the cotangent.
    max_steps : int
        Iterations of GMRES at most.

    Returns
    -------
    ndarray
        y, of the shape of z.

    Raises
    ------
    NoFixedPointError
        GMRES does not converge: 1 is an eigenvalue of J, or nearly.
    InvalidArgumentError
        Shapes that do not fit.
    MissingPackageError
        SciPy is not installed.

    References
    ----------
    S. Bai, J. Z. Kolter, V. Koltun, "Deep equilibrium models", arXiv 1909.01377, theorem 1.

    Examples
    --------
    The limit of z = a z + b is b / (1 - a), and its derivative by b is 1 / (1 - a):

    >>> implicit_gradient(lambda z, v: 0.75 * v, [8.0], [1.0])
    array([4.])
    >>> implicit_gradient(lambda v: 0.75 * v, [8.0], [1.0])
    array([4.])
    """
    takes_one = _required_arguments(vjp) == 1
    point, seed = _start(z), _start(cotangent)
    if point.shape != seed.shape:
        raise InvalidArgumentError(
            f"the cotangent must have the shape of z, {point.shape}, got {seed.shape}"
        )
    linalg = import_optional("scipy.sparse.linalg", "theory")

    def without_fixed_part(flat: Array) -> Array:
        given = flat.reshape(point.shape)
        found = vjp(given) if takes_one else vjp(point, given)
        if isinstance(found, tuple) and len(found) == 1:
            found = found[0]
        carried = np.asarray(found, dtype=np.float64)
        if carried.shape != point.shape:
            raise InvalidArgumentError(
                f"vjp must return an array of the shape of z, {point.shape}, got {carried.shape}"
            )
        image: Array = flat - carried.ravel()
        return image

    size = point.size
    equation = linalg.LinearOperator((size, size), matvec=without_fixed_part, dtype=np.float64)
    restart = min(size, 50)
    solution, info = linalg.gmres(
        equation,
        seed.ravel(),
        rtol=tol,
        atol=0.0,
        restart=restart,
        maxiter=math.ceil(checked_positive(max_steps, "max_steps") / restart),
    )
    residual = float(np.linalg.norm(without_fixed_part(solution) - seed.ravel()))
    # GMRES may be content with its own estimate of the residual.
    if info != 0 or not residual <= 1e3 * tol * max(float(np.linalg.norm(seed)), 1e-300):
        raise NoFixedPointError(
            f"y = c + J^T y has no solution in reach, its residual stays at {residual:.3g}: 1 is "
            "an eigenvalue of df/dz, or nearly, and the fixed point does not depend smoothly on "
            "its parameters"
        )
    result: Array = solution.reshape(point.shape)
    return result


@dataclass(frozen=True, repr=False)
class MemoryOfDepth(TheoryResult):
    """Numbers that training keeps: of all steps, or of the fixed point alone.

    Attributes
    ----------
    steps : int
        How often the layer is repeated, T.
    size : int
        Numbers in a state.
    history : int
        Earlier iterates that the solver of the fixed point keeps; each has an image as well.
    """

    steps: int
    size: int
    history: int

    @property
    def unrolled(self) -> int:
        """All states of the repeated layer, ``T size``."""
        return self.steps * self.size

    @property
    def implicit(self) -> int:
        """The fixed point and the history of its solver, ``size (1 + 2 history)``."""
        return self.size * (1 + 2 * self.history)

    @property
    def break_even(self) -> int:
        """The number of steps from which the fixed point needs less."""
        return 2 + 2 * self.history

    @property
    def title(self) -> str:
        """The two figures side by side."""
        return f"Memory of {self.steps:,} repetitions of a layer of {self.size:,} numbers"

    @property
    def rows(self) -> list[dict[str, object]]:
        """A row a way of training."""
        return [
            {"training": "through all steps", "numbers": self.unrolled},
            {"training": "through the fixed point", "numbers": self.implicit},
        ]

    @property
    def assumptions(self) -> str:
        """What the fixed memory leaves out."""
        return (
            "states alone, not what lies within a step; memory does not grow with depth, but the "
            f"solver keeps {self.history} pairs of iterates and images. There is a fixed point to "
            "find only if there is one, and time grows instead."
        )

    def plot(self, *, axes: Axes | None = None) -> tuple[Figure, Axes]:
        """Memory against the number of steps; see `TheoryResult.plot`."""
        most = max(2 * self.break_even, self.steps)
        with styled():
            axes = panel(axes)
            axes.plot([1, most], [self.size, most * self.size], color=COLOR, label="all steps")
            axes.plot(
                [1, most], [self.implicit] * 2, color=SECOND_COLOR, label="fixed point and solver"
            )
            axes.plot([self.steps], [self.unrolled], "o", color=COLOR)
            axes.set_xlabel("repetitions T")
            axes.set_ylabel("numbers kept")
            axes.set_title(self.title)
            axes.legend()
        return figure_of(axes), axes


def memory(steps: int, size: int, history: int = 5) -> MemoryOfDepth:
    """Compare the memory of a layer that is repeated with that of its fixed point.

    Parameters
    ----------
    steps : int
        How often the layer is repeated.
    size : int
        Numbers in a state.
    history : int
        Earlier iterates that the solver keeps, 0 for plain iteration.

    Raises
    ------
    InvalidArgumentError
        Numbers that are not positive integers, or a negative history.

    Examples
    --------
    >>> compared = memory(steps=100, size=1000)
    >>> compared.unrolled, compared.implicit, compared.break_even
    (100000, 11000, 12)
    """
    kept = 0 if isinstance(history, int) and history == 0 else checked_positive(history, "history")
    return MemoryOfDepth(checked_positive(steps, "steps"), checked_positive(size, "size"), kept)


def _start(values: npt.ArrayLike) -> Array:
    """An array of finite floats."""
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.array(np.nan)
    if not array.size or not np.isfinite(array).all():
        raise InvalidArgumentError(f"expected an array of finite numbers, got {described(values)}")
    return array
