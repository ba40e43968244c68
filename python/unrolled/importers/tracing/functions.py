"""Functions of single elements as they are composed while a model is read, and their names.

A model writes SiLU as a product with a sigmoid and GELU by an error function; what matters is what
is computed. So a composition is recognised by its values on a grid, whatever it is made of. Names
are those of `Network.activation` and of signal propagation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["IDENTITY", "NAMED", "Composition", "ElementFunction", "combined"]

Array: TypeAlias = npt.NDArray[Any]
ElementFunction: TypeAlias = Callable[[Array], Array]

GRID = np.linspace(-7.5, 7.5, 301)
POSITIVE_GRID = np.geomspace(0.02, 50.0, 61)
"""Where powers are looked for, which are not known of negative numbers."""

RELATIVE, ABSOLUTE = 2e-5, 2e-6
"""How near values must be: models store constants such as the square root of two in 32 bits."""


def _sigmoid(x: Array) -> Array:
    result: Array = 1.0 / (1.0 + np.exp(-x))
    return result


def _erf(x: Array) -> Array:
    result: Array = np.vectorize(math.erf, otypes=[np.float64])(x)
    return result


def _softplus(x: Array) -> Array:
    return np.logaddexp(0.0, x)


NAMED: dict[str, ElementFunction] = {
    "identity": lambda x: x,
    "relu": lambda x: np.maximum(x, 0.0),
    "relu6": lambda x: np.clip(x, 0.0, 6.0),
    "silu": lambda x: x * _sigmoid(x),
    "gelu": lambda x: 0.5 * x * (1.0 + _erf(x / math.sqrt(2.0))),
    "gelu_tanh": lambda x: (
        0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))
    ),
    "quick_gelu": lambda x: x * _sigmoid(1.702 * x),
    "hard_swish": lambda x: x * np.clip(x + 3.0, 0.0, 6.0) / 6.0,
    "mish": lambda x: x * np.tanh(_softplus(x)),
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "softplus": _softplus,
    "log_sigmoid": lambda x: -_softplus(-x),
    "selu": lambda x: (
        1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0.0)))
    ),
    "softsign": lambda x: x / (1.0 + np.abs(x)),
    "exp": np.exp,
    "erf(1)": _erf,
    "abs": np.abs,
    "square": np.square,
    "sin": np.sin,
    "cos": np.cos,
    "atan": np.arctan,
    "negative": np.negative,
    "hard_sigmoid": lambda x: np.clip(x / 6.0 + 0.5, 0.0, 1.0),
    "hard_tanh": lambda x: np.clip(x, -1.0, 1.0),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0.0))),
    "softshrink": lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0.0),
}
"""Functions by the names that signal propagation knows, without arguments."""


class Composition(NamedTuple):
    """What was done to the elements of a tensor, one function after the other.

    Attributes
    ----------
    apply : callable or None
        The function of an array of elements; None if it is not known.
    description : str
        The operators in their order, for messages.
    """

    apply: ElementFunction | None
    description: str

    def then(self, function: ElementFunction | None, description: str) -> Composition:
        """Apply one more function behind it."""
        if self is IDENTITY:
            return Composition(function, description)
        text = f"{self.description}, {description}"
        inner = self.apply
        if inner is None or function is None:
            return Composition(None, text)
        outer, before = function, inner
        return Composition(lambda x: outer(before(x)), text)

    def followed_by(self, other: Composition) -> Composition:
        """Apply another composition behind it."""
        if other is IDENTITY:
            return self
        return other if self is IDENTITY else self.then(other.apply, other.description)

    def is_made_of(self, inner: Composition, function: ElementFunction) -> bool:
        """Whether it is a function of what another composition gives."""
        if self.apply is None or inner.apply is None:
            return False
        values, before = _values_on_grid(self.apply), _values_on_grid(inner.apply)
        if values is None or before is None:
            return False
        with np.errstate(all="ignore"):
            return _agree(values, function(before))

    def is_at(self, points: Array, function: ElementFunction) -> bool:
        """Whether it gives what another function does, at some arguments of that."""
        values = None if self.apply is None else _values_at(self.apply, points)
        return values is not None and _agree(values, function(points))

    def name(self) -> str | None:
        """The name of the function, with its arguments if it has any; None if there is none."""
        return None if self.apply is None else _name_of(self.apply)

    def scaled_name(self) -> tuple[str, float] | None:
        """The name of a function that this is a multiple of, and the factor; None if none is."""
        if self.apply is None:
            return None
        values = _values_on_grid(self.apply)
        if values is None:
            return None
        with np.errstate(all="ignore"):
            for name, expected in _named_values().items():
                place = int(np.argmax(np.abs(expected)))
                factor = float(values[place] / expected[place])
                if math.isfinite(factor) and factor and _agree(values / factor, expected):
                    return name, factor
        return None


IDENTITY = Composition(lambda x: x, "identity")


@cache
def _named_values() -> dict[str, Array]:
    with np.errstate(all="ignore"):
        return {name: function(GRID) for name, function in NAMED.items()}


def _values_on_grid(apply: ElementFunction) -> Array | None:
    return _values_at(apply, GRID)


def _values_at(apply: ElementFunction, points: Array) -> Array | None:
    with np.errstate(all="ignore"):
        try:
            values = np.asarray(apply(points), dtype=np.float64)
        except (TypeError, ValueError, ArithmeticError):
            return None
    return values if values.shape == points.shape else None


@lru_cache(maxsize=256)
def _name_of(apply: ElementFunction) -> str | None:
    """The name of a function; models use few, and some of them in thousands of places."""
    values = _values_on_grid(apply)
    if values is None:
        return None
    for name, expected in _named_values().items():
        if _agree(values, expected):
            return name
    return _name_with_arguments(apply, values) or _name_of_power(apply, values)


def _name_of_power(apply: ElementFunction, values: Array) -> str | None:
    """The name of a root, or of a power below zero, of positive numbers; None if it is none."""
    with np.errstate(all="ignore"):
        near, low, high = (float(value) for value in apply(np.array([0.0, 1e9, 1e12])))
        is_positive = low > 0 and high > 0
        exponent = round(math.log(high / low) / math.log(1e3), 6) if is_positive else 0.0
        if exponent == 0 or (exponent > 0 and np.isfinite(values).all()):
            return None  # It is known of negative numbers, too, and is no power there.
        scale = low / 1e9**exponent
        shift = (near / scale) ** (1 / exponent) if near > 0 and math.isfinite(near) else 0.0
        expected = scale * (POSITIVE_GRID + shift) ** exponent
        if not np.allclose(apply(POSITIVE_GRID), expected, rtol=RELATIVE, atol=0.0):
            return None
    arguments = [exponent, shift, scale]
    if math.isclose(scale, 1.0, rel_tol=RELATIVE):
        arguments = [exponent, shift] if shift else [exponent]
    return f"power({', '.join(f'{argument:.7g}' for argument in arguments)})"


def combined(
    functions: Sequence[Composition], combine: Callable[..., Array], description: str
) -> Composition:
    """A function of several functions of one tensor, such as their product."""
    parts = [function.apply for function in functions]
    known = [part for part in parts if part is not None]
    text = f"{description} of ({'), ('.join(one.description for one in functions)})"
    if len(known) < len(parts):
        return Composition(None, text)
    return Composition(lambda x: combine(*[part(x) for part in known]), text)


def _agree(values: Array, expected: Array) -> bool:
    return bool(np.allclose(values, expected, rtol=RELATIVE, atol=ABSOLUTE))


def _name_with_arguments(apply: ElementFunction, values: Array) -> str | None:
    """The name of a family of functions whose arguments are read off a few values."""
    with np.errstate(all="ignore"):
        low, left, zero, near, right, high = (
            float(value) for value in apply(np.array([-1e3, -1.0, 0.0, 1e-3, 1.0, 1e3]))
        )
    candidates: list[tuple[str, ElementFunction]] = []

    def offer(name: str, arguments: Sequence[float], function: ElementFunction) -> None:
        if all(math.isfinite(argument) for argument in arguments):
            listed = ", ".join(f"{argument:.7g}" for argument in arguments)
            candidates.append((f"{name}({listed})", function))

    slope, steep = right - zero, (near - zero) / 1e-3
    offer("linear", [slope, zero], lambda x: slope * x + zero)
    offer("leaky_relu", [-left], lambda x: np.where(x > 0, x, -left * x))
    if low < high:
        offer("clip", [low, high], lambda x: np.clip(x, low, high))
    offer("elu", [-low], lambda x: np.where(x > 0, x, -low * np.expm1(np.minimum(x, 0.0))))
    offer("celu", [-low], lambda x: np.where(x > 0, x, -low * np.expm1(np.minimum(x, 0.0) / -low)))
    offer("hard_sigmoid", [steep, zero], lambda x: np.clip(steep * x + zero, 0.0, 1.0))
    if 0 < right < 1:
        rate = math.log(right / (1 - right))
        offer("silu", [rate], lambda x: x * _sigmoid(rate * x))
    if zero > 0:
        rate = math.log(2.0) / zero
        offer("softplus", [rate], lambda x: np.logaddexp(0.0, rate * x) / rate)
    with np.errstate(all="ignore"):
        for name, function in candidates:
            if _agree(values, function(GRID)):
                return name
    return None
