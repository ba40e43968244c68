"""Which integers among the parameters of a JAX function are quantised weights.

Integers of a byte or less are a weight where they are cast to floating point and then multiplied:
with another array, or with their scale, which is a stored array.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from unrolled.importers.jax.liveness import inner_jaxpr, opened

__all__ = ["are_small_integers", "scaled_integers"]

MOVES = (
    *("broadcast_in_dim", "copy", "expand_dims", "reshape", "rev", "slice", "squeeze"),
    *("stop_gradient", "transpose"),
)
"""Primitives that leave elements as they are."""

PRODUCTS = ("conv_general_dilated", "dot_general")

MOST_EQUATIONS = 100_000
"""Equations that are looked at; beyond them, nothing is taken for a weight."""


def are_small_integers(leaf: Any) -> bool:
    """Whether an array holds several integers of a byte or less."""
    dtype = np.dtype(leaf.dtype) if _is_of_numpy(leaf.dtype) else leaf.dtype
    is_integer = getattr(dtype, "kind", "") in "iu" or str(dtype) in ("int2", "int4", "uint4")
    size = int(np.prod(leaf.shape, dtype=object))
    return is_integer and getattr(dtype, "itemsize", 8) <= 1 and size > 1


def _is_of_numpy(dtype: Any) -> bool:
    try:
        np.dtype(dtype)
    except TypeError:
        return False
    return True


def scaled_integers(jaxpr: Any, integers: Mapping[str, int], floats: Collection[int]) -> set[str]:
    """The names of inputs that are quantised weights.

    Parameters
    ----------
    jaxpr : Jaxpr
    integers : dict of str to int
        Inputs with small integers: their positions by their names.
    floats : collection of int
        Positions of stored floating-point arrays.
    """
    search = _Search()
    stored = {id(jaxpr.invars[at]) for at in floats}
    return {
        name for name, at in integers.items() if search.is_weight(jaxpr, jaxpr.invars[at], stored)
    }


class _Search:
    """Follows integers through a jaxpr and those that it calls."""

    def __init__(self) -> None:
        self._left = MOST_EQUATIONS

    def is_weight(
        self, jaxpr: Any, variable: Any, stored: set[int], *, is_cast: bool = False
    ) -> bool:
        """Whether what is in a variable is cast, and multiplied then."""
        derived = self._derived(jaxpr, stored)
        casts = {id(variable): is_cast}
        for equation in jaxpr.eqns:
            self._left -= 1
            if self._left < 0:
                return False
            places = [at for at, one in enumerate(equation.invars) if id(one) in casts]
            if not places:
                continue
            cast = casts[id(equation.invars[places[0]])]
            name = equation.primitive.name
            inner = inner_jaxpr(equation)
            if inner is not None:
                if self._is_weight_inside(equation, opened(inner)[0], places[0], derived, cast):
                    return True
            elif cast and name in PRODUCTS:
                return True
            elif cast and name in ("mul", "div"):
                others = [one for at, one in enumerate(equation.invars) if at not in places]
                if any(id(one) in derived for one in others):
                    return True
            elif name in MOVES or (cast and name in ("add", "sub")):
                casts[id(equation.outvars[0])] = cast
            elif name == "convert_element_type":
                is_float = np.issubdtype(equation.outvars[0].aval.dtype, np.inexact)
                is_float = is_float or "float" in str(equation.outvars[0].aval.dtype)
                casts[id(equation.outvars[0])] = cast or is_float
        return False

    def _is_weight_inside(
        self, equation: Any, inner: Any, place: int, derived: set[int], cast: bool
    ) -> bool:
        """The same within a jaxpr that an equation calls."""
        if len(inner.invars) != len(equation.invars):
            return False
        pairs = zip(equation.invars, inner.invars, strict=True)
        stored = {id(own) for outer, own in pairs if id(outer) in derived}
        return self.is_weight(inner, inner.invars[place], stored, is_cast=cast)

    def _derived(self, jaxpr: Any, stored: set[int]) -> set[int]:
        """What is a stored array, moved or cast."""
        derived = set(stored)
        for equation in jaxpr.eqns:
            if equation.primitive.name in (*MOVES, "convert_element_type") and (
                id(equation.invars[0]) in derived
            ):
                derived.add(id(equation.outvars[0]))
        return derived
