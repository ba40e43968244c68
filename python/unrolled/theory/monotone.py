"""Implicit layers with a certificate: `MonotoneLayer`.

A layer z = f(W z + U x + b) has exactly one solution for every x if I - W is strongly monotone,
however large W is. Operator splittings then find it, and its derivatives, for certain.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from unrolled._support.arguments import checked_choice
from unrolled._support.caching import cached_property
from unrolled._support.hints import described
from unrolled._support.optional import import_optional
from unrolled.errors import InvalidArgumentError, NoFixedPointError, TheoryDomainError
from unrolled.theory.fixed_points import FixedPoint

__all__ = ["MonotoneGradient", "MonotoneLayer"]

Array: TypeAlias = npt.NDArray[np.float64]
Splitting = Literal["forward_backward", "peaceman_rachford"]
Prox: TypeAlias = Callable[[Array, float], Array]

RELATIVE = 1e-15
"""The equation of one element is solved to this accuracy."""


class MonotoneGradient(NamedTuple):
    """Derivatives of a loss by what a `MonotoneLayer` is made of and given.

    Attributes
    ----------
    bias : ndarray
        By b, shape ``(n,)``.
    inputs : ndarray
        By x, shape ``(inputs,)``.
    weights : ndarray
        By W, shape ``(n, n)``.
    """

    bias: Array
    inputs: Array
    weights: Array


def _sigmoid(u: Array) -> Array:
    values: Array = 0.5 * (1.0 + np.tanh(0.5 * u))
    return values


ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "relu": (lambda u: np.maximum(u, 0.0), lambda u: (u > 0).astype(np.float64)),
    "tanh": (np.tanh, lambda u: 1.0 - np.tanh(u) ** 2),
    "sigmoid": (_sigmoid, lambda u: _sigmoid(u) * (1.0 - _sigmoid(u))),
}
"""Functions that never fall and never rise faster than 1, and their derivatives."""


class MonotoneLayer:
    """The layer z = f(W z + U x + b), solved for z.

    Parameters
    ----------
    W : array of float, shape ``(n, n)``
    U : array of float, shape ``(n, inputs)``
    b : array of float, shape ``(n,)``, optional
        Zero by default.
    activation : {"relu", "tanh", "sigmoid"}

    Raises
    ------
    InvalidArgumentError
        Arrays that are not finite or do not fit, or an unknown activation.

    References
    ----------
    E. Winston, J. Z. Kolter, "Monotone operator equilibrium networks", arXiv 2006.08591.

    Examples
    --------
    W has the norm 2, so that iteration need not converge; there is one solution all the same:

    >>> layer = MonotoneLayer([[0.0, 2.0], [-2.0, 0.0]], [[1.0], [1.0]])
    >>> layer.strength, layer.is_well_posed
    (1.0, True)
    >>> layer.solve([3.0]).z.round(9)
    array([3., 0.])
    """

    def __init__(
        self,
        W: npt.ArrayLike,
        U: npt.ArrayLike,
        b: npt.ArrayLike | None = None,
        *,
        activation: Literal["relu", "tanh", "sigmoid"] = "relu",
    ) -> None:
        self.W = _array(W, "W", 2)
        size = len(self.W)
        self.U = _array(U, "U", 2)
        self.b = np.zeros(size) if b is None else _array(b, "b", 1)
        if self.W.shape != (size, size) or len(self.U) != size or self.b.shape != (size,):
            raise InvalidArgumentError(
                "W must be square, and U and b have as many rows; got the shapes "
                f"{self.W.shape}, {self.U.shape} and {self.b.shape}"
            )
        checked_choice("activation", activation, tuple(ACTIVATIONS))
        self.activation = activation
        self._function, self._derivative = ACTIVATIONS[activation]

    @classmethod
    def parametrise(
        cls,
        A: npt.ArrayLike,
        B: npt.ArrayLike,
        m: float,
        U: npt.ArrayLike | None = None,
        b: npt.ArrayLike | None = None,
        *,
        activation: Literal["relu", "tanh", "sigmoid"] = "relu",
    ) -> MonotoneLayer:
        """A layer that is well posed by construction: W = (1 - m) I - A^T A + B - B^T.

        Parameters
        ----------
        A, B : array of float, shape ``(n, n)``
            Any; A may have another number of rows.
        m : float
            The strength of the layer is at least this positive number.
        U, b, activation
            See `MonotoneLayer`. Without U the input is added as it is.

        Raises
        ------
        TheoryDomainError
            m is not positive.
        InvalidArgumentError
            As for `MonotoneLayer`.
        """
        if not m > 0:
            raise TheoryDomainError(f"the strength m must be positive, got {m}")
        first, second = _array(A, "A", 2), _array(B, "B", 2)
        size = first.shape[1]
        if second.shape != (size, size):
            raise InvalidArgumentError(
                f"B must be square with as many columns as A; got {first.shape} and {second.shape}"
            )
        W = (1 - m) * np.eye(size) - first.T @ first + second - second.T
        return cls(W, np.eye(size) if U is None else U, b, activation=activation)

    @cached_property
    def strength(self) -> float:
        """m, the least eigenvalue of the symmetric part of I - W."""
        symmetric = np.eye(len(self.W)) - (self.W + self.W.T) / 2
        return float(np.linalg.eigvalsh(symmetric)[0])

    @cached_property
    def lipschitz(self) -> float:
        """L, the spectral norm of I - W."""
        return float(np.linalg.norm(np.eye(len(self.W)) - self.W, 2))

    @property
    def is_well_posed(self) -> bool:
        """Whether there is exactly one z for every x, for certain: m > 0."""
        return self.strength > 0

    @property
    def max_step(self) -> float:
        """The step below which forward-backward splitting converges, 2 m / L^2."""
        return 2 * self.strength / self.lipschitz**2

    @property
    def input_lipschitz(self) -> float:
        """How much faster than x the solution can change, at most: the norm of U over m."""
        return float(np.linalg.norm(self.U, 2)) / self.strength

    def solve(
        self,
        x: npt.ArrayLike | None = None,
        method: Splitting | float = "peaceman_rachford",
        alpha: float | None = None,
        *,
        tol: float = 1e-12,
        max_steps: int = 100_000,
    ) -> FixedPoint:
        """The solution for an input.

        Parameters
        ----------
        x : array of float, shape ``(inputs,)``, optional
            By default zero; it may be left out before `method` and `alpha`, too, as in
            ``layer.solve("forward_backward", 0.1)``.
        method : {"peaceman_rachford", "forward_backward"}
            The first one solves a linear system a step, with a matrix that is inverted once, and
            needs few steps; the second one only multiplies by W.
        alpha : float, optional
            The step: by default 1, and half of `max_step`. Forward-backward splitting converges
            below `max_step`, the other one for all.
        tol : float
            The residual ``|f(W z + U x + b) - z|`` that is small enough, relative to the larger of
            1 and ``|z|``.
        max_steps : int

        Returns
        -------
        FixedPoint

        Raises
        ------
        TheoryDomainError
            The layer is not well posed, or a step is out of range.
        InvalidArgumentError
            An unknown method, or an input of another shape.
        """
        if isinstance(x, str):
            if not isinstance(method, str):
                alpha = method
            x, method = None, cast("Splitting", x)
        if not isinstance(method, str):
            raise InvalidArgumentError(f"method must be a name, got {described(method)}")
        bias = self.b if x is None else self.U @ self._input(x) + self.b
        return self._split(self.W, bias, self._prox, method, alpha, tol, max_steps)

    def gradient(
        self,
        x: npt.ArrayLike,
        cotangent: npt.ArrayLike,
        method: Splitting = "peaceman_rachford",
        alpha: float | None = None,
        *,
        tol: float = 1e-12,
        max_steps: int = 100_000,
    ) -> MonotoneGradient:
        """Derivatives of a loss through the solution, by the same splittings.

        With D = f'(W z + U x + b), the derivative g by b solves g = D (W^T g + c): a layer of the
        same kind with W^T, and D as its activation. It is as well posed as the layer itself.

        Parameters
        ----------
        x : array of float, shape ``(inputs,)``
        cotangent : array of float, shape ``(n,)``
            The derivative c of the loss by z.
        method, alpha, tol, max_steps
            As for `solve`.

        Raises
        ------
        NoFixedPointError
            `max_steps` did not suffice.
        TheoryDomainError, InvalidArgumentError
            As for `solve`.
        """
        seed = _array(cotangent, "cotangent", 1)
        if seed.shape != self.b.shape:
            raise InvalidArgumentError(
                f"the cotangent must have the shape {self.b.shape}, got {seed.shape}"
            )
        options = (method, alpha, tol, max_steps)
        forward = self.solve(x, *options[:2], tol=tol, max_steps=max_steps)
        z = forward.z
        slope = self._derivative(self.W @ z + self.U @ self._input(x) + self.b)

        def prox(u: Array, step: float) -> Array:
            denominator = slope + step * (1.0 - slope)
            scaled: Array = u * slope / denominator
            return scaled

        backward = self._split(self.W.T, seed, prox, *options)
        if not (forward.converged and backward.converged):
            raise NoFixedPointError(
                f"{max_steps:,} steps did not suffice; allow more, or a larger tol than {tol}"
            )
        g = backward.z
        return MonotoneGradient(g, self.U.T @ g, np.outer(g, z))

    def _input(self, x: npt.ArrayLike) -> Array:
        array = _array(x, "x", 1)
        if len(array) != self.U.shape[1]:
            raise InvalidArgumentError(
                f"x must have {self.U.shape[1]} elements, as many as U has columns; got "
                f"{len(array)}"
            )
        return array

    def _split(
        self,
        W: Array,
        bias: Array,
        prox: Prox,
        method: Splitting,
        alpha: float | None,
        tol: float,
        max_steps: int,
    ) -> FixedPoint:
        """Solve z = prox(W z + bias, 1) by one of the splittings."""
        if not self.is_well_posed:
            raise TheoryDomainError(
                f"the layer is not well posed: the symmetric part of I - W has the eigenvalue "
                f"{self.strength:.6g}, which is not positive; use MonotoneLayer.parametrise, or "
                "fixed_point without a certificate"
            )
        step: Callable[[Array, Array], tuple[Array, Array]]
        if method == "forward_backward":
            size = self.max_step / 2 if alpha is None else alpha
            if not 0 < size < self.max_step:
                raise TheoryDomainError(
                    f"forward-backward splitting converges for steps between 0 and 2 m / L^2 = "
                    f"{self.max_step:.6g}, got {size}"
                )

            def step(z: Array, u: Array) -> tuple[Array, Array]:
                return prox(z - size * (z - W @ z - bias), size), u

        elif method == "peaceman_rachford":
            size = 1.0 if alpha is None else alpha
            if not 0 < size < math.inf:
                raise TheoryDomainError(f"the step alpha must be positive, got {size}")
            inverse = np.linalg.inv((1 + size) * np.eye(len(W)) - size * W)

            def step(z: Array, u: Array) -> tuple[Array, Array]:
                reflected = 2 * z - u
                u = 2 * inverse @ (reflected + size * bias) - reflected
                return prox(u, size), u

        else:
            raise InvalidArgumentError(
                f"method must be 'forward_backward' or 'peaceman_rachford', got {described(method)}"
            )
        z, u = np.zeros(len(W)), np.zeros(len(W))
        residuals: list[float] = []
        for _ in range(max_steps):
            z, u = step(z, u)
            residuals.append(float(np.linalg.norm(prox(W @ z + bias, 1.0) - z)))
            if residuals[-1] <= tol * max(1.0, float(np.linalg.norm(z))):
                return FixedPoint(z, tuple(residuals), method, True)
        return FixedPoint(z, tuple(residuals), method, False)

    def _prox(self, u: Array, step: float) -> Array:
        """The activation, as it is with another step.

        The activation f is the proximal operator of a function g for the step 1, so that the
        derivative of g at f(y) is y - f(y). For a step a, z = f(y) with (1 - a) f(y) + a y = u.
        """
        if self.activation == "relu" or step == 1.0:
            return self._function(u)
        brentq = import_optional("scipy.optimize", "theory").brentq

        def excess(y: float, target: float) -> float:
            return float((1 - step) * self._function(np.asarray(y)) + step * y - target)

        # The slope lies between 1 and the step, which says how far from 0 the solution can be.
        solutions = []
        for target in u.tolist():
            at_zero = excess(0.0, target)
            ends = sorted((-at_zero, -at_zero / step))
            margin = 1e-9 * (abs(ends[0]) + abs(ends[1])) + 1e-300
            low, high = ends[0] - margin, ends[1] + margin
            solutions.append(brentq(excess, low, high, (target,), xtol=1e-300, rtol=RELATIVE))
        return self._function(np.array(solutions))

    def __repr__(self) -> str:
        return (
            f"MonotoneLayer({len(self.W)} units, {self.activation}, strength {self.strength:.6g}, "
            f"{'well posed' if self.is_well_posed else 'without a certificate'})"
        )


def _array(values: Any, what: str, ndim: int) -> Array:
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.array(np.nan)
    if array.ndim != ndim or not array.size or not np.isfinite(array).all():
        raise InvalidArgumentError(
            f"{what} must be an array of finite numbers with {ndim} "
            f"ax{'e' if ndim > 1 else 'i'}s, got {described(values)}"
        )
    return array
