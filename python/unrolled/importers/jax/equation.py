"""What the rules of JAX primitives are given: an `Equation` and the things it is computed from.

The walk that makes equations is in `walk`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

from unrolled._support.optional import import_optional
from unrolled.importers.jax.lazy import Item, made
from unrolled.importers.jax.liveness import Liveness
from unrolled.importers.tracing.tracer import Tracer
from unrolled.importers.tracing.values import Operand, Shape

__all__ = ["MISSING", "Equation", "Missing", "Thing"]


class Missing:
    """The type of `MISSING`: what is never used, or an operator without a rule computes."""


MISSING = Missing()

Thing: TypeAlias = Item | Missing
"""What a variable of a jaxpr stands for."""


class Evaluator(Protocol):
    """What an equation asks of the walk that met it."""

    @property
    def tracer(self) -> Tracer:
        """What builds the network."""

    @property
    def liveness(self) -> Liveness:
        """Which variables are used."""

    def closed(self, jaxpr: Any, things: Sequence[Thing], used: Sequence[bool]) -> list[Thing]:
        """What a jaxpr, closed or not, computes from things."""


class Equation:
    """An operation of a jaxpr, as rules get it.

    Attributes
    ----------
    operator : str
        The name of the primitive.
    name : str
        Where it is: the name stack of JAX, and the primitive.
    params : dict of str to object
        Parameters of the primitive, as JAX has them.
    things : list of Thing
        What it is computed from, or what is missing of it.
    shapes : list of tuple of int
        Of its results.
    types : list of numpy.dtype
        Of its results.
    used : list of bool
        Which of its results are.
    """

    def __init__(
        self, walker: Evaluator, equation: Any, name: str, things: list[Thing], used: list[bool]
    ) -> None:
        self.operator: str = equation.primitive.name
        self.name = name
        self.params: dict[str, Any] = dict(equation.params)
        self.things = things
        self.shapes: list[Shape] = [tuple(out.aval.shape) for out in equation.outvars]
        self.types: list[Any] = [out.aval.dtype for out in equation.outvars]
        self.used = used
        self._walker = walker
        self._primitive = equation.primitive

    @property
    def items(self) -> list[Item]:
        """What it is computed from, broadcasting not done yet."""
        return [thing for thing in self.things if not isinstance(thing, Missing)]

    @property
    def operands(self) -> list[Operand]:
        """What it is computed from."""
        return [made(self._walker.tracer, item) for item in self.items]

    def of_steps(self, jaxpr: Any, constants: int, carried: int) -> tuple[list[bool], list[bool]]:
        """Which outputs of the step of a loop are used, and which inputs they need."""
        liveness, plain = self._walker.liveness, jaxpr.jaxpr
        used = liveness.of_steps(plain, constants, carried, self.used)
        return used, liveness.of(plain, used)[1]

    def inline(self, jaxpr: Any, things: Sequence[Thing], used: Sequence[bool]) -> list[Thing]:
        """What a jaxpr, closed or not, computes from things."""
        return self._walker.closed(jaxpr, things, used)

    def run(self, *arrays: Any, **changes: Any) -> Any:
        """What JAX computes from arrays, some parameters changed."""
        jax = import_optional("jax", "jax")

        params = {**self.params, **changes}
        with jax.default_device(jax.local_devices(backend="cpu")[0]):
            return self._primitive.bind(*map(jax.numpy.asarray, arrays), **params)
