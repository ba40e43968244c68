"""Walks a jaxpr, equation by equation, with a table of rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from unrolled.errors import InvalidModelError, UnsupportedOperatorError
from unrolled.importers.jax.constants import constant, worked_out
from unrolled.importers.jax.einsums import Contraction, Einsums, number_of_operands
from unrolled.importers.jax.equation import MISSING, Equation, Missing, Thing
from unrolled.importers.jax.lazy import elementwise
from unrolled.importers.jax.liveness import Liveness, called_name, inner_jaxpr, opened
from unrolled.importers.rules import RuleTable, Unsupported
from unrolled.importers.tracing.values import Array, Constant

if TYPE_CHECKING:
    from unrolled.importers.tracing.tracer import Tracer

__all__ = ["Walker"]

MOST_EQUATIONS = 1_000_000
"""A model may have so many equations once its loops are unrolled."""

LARGEST_UNNAMED = 16
"""Floating-point numbers of a constant that is not worth a mention."""

RANDOM = "random numbers have no fixed graph; trace the model as in inference"

REFUSED = {
    **dict.fromkeys(
        ["random_bits", "random_clone", "random_fold_in", "random_gamma", "random_seed"], RANDOM
    ),
    **dict.fromkeys(["random_split", "random_unwrap", "random_wrap", "threefry2x32"], RANDOM),
    **dict.fromkeys(["rng_bit_generator", "rng_uniform"], RANDOM),
}
"""Primitives without a rule of which more can be said than that."""


FUNCTIONS: dict[str, tuple[Callable[[Array, float], Array], float]] = {
    "celu": (lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / alpha)), 1.0),
    "squareplus": (lambda x, b: (x + np.sqrt(x**2 + b)) / 2, 4.0),
}
"""Jitted functions of `jax.nn` that add up several functions of one tensor. They count as one.

What each computes, and the default of its argument.
"""

PAIRS = {"hypot": np.hypot, "logaddexp": np.logaddexp, "logaddexp2": np.logaddexp2}
"""Functions of `jax.numpy` that use each of two tensors several times. They count as one."""

LOOPS = ("cond", "scan", "while")
"""Primitives that may pass on what is missing without computing anything from it."""


class Walker:
    """Goes through jaxprs and holds what was found on the way.

    Parameters
    ----------
    tracer : Tracer
    table : RuleTable
    """

    def __init__(self, tracer: Tracer, table: RuleTable) -> None:
        self.tracer = tracer
        self.operators: Counter[str] = Counter()
        self.unsupported = Unsupported(table.framework)
        self._table = table
        self.liveness = Liveness()
        self.skipped: dict[str, str] = {}
        self._einsums = Einsums(tracer)
        self._scopes: list[str] = []
        self._constants: dict[int, tuple[Any, Constant]] = {}

    def closed(self, jaxpr: Any, things: Sequence[Thing], used: Sequence[bool]) -> list[Thing]:
        """The outputs of a jaxpr, closed or not.

        Parameters
        ----------
        jaxpr : ClosedJaxpr or Jaxpr
        things : sequence of Thing
            Its inputs.
        used : sequence of bool
            Which of its outputs are.

        Returns
        -------
        list of Thing
            `MISSING` for outputs that are not used or could not be read.
        """
        jaxpr, constants = opened(jaxpr)
        known: dict[Any, Thing | Contraction] = dict(zip(jaxpr.invars, things, strict=True))
        live, _ = self.liveness.of(jaxpr, used)
        for variable, value in zip(jaxpr.constvars, constants, strict=True):
            known[variable] = self._capture(value)

        def found(atom: Any) -> Thing | Contraction:
            if hasattr(atom, "val"):
                return self._capture(atom.val, atom.aval)
            return known.get(atom, MISSING)  # What is passed to a loop that does not use it.

        for equation, outputs in zip(jaxpr.eqns, live, strict=True):
            if any(outputs):
                given = [found(atom) for atom in equation.invars]
                known.update(
                    zip(equation.outvars, self._results(equation, given, outputs), strict=True)
                )
        return [
            self._einsums.made(found(atom)) if is_used else MISSING
            for atom, is_used in zip(jaxpr.outvars, used, strict=True)
        ]

    def _results(
        self, equation: Any, given: list[Thing | Contraction], used: list[bool]
    ) -> Sequence[Thing | Contraction]:
        operator = equation.primitive.name
        self.operators[operator] += 1
        if self.operators.total() > MOST_EQUATIONS:
            raise InvalidModelError(
                f"the function has more than {MOST_EQUATIONS:,} equations, its loops unrolled"
            )
        scope = str(getattr(equation.source_info, "name_stack", ""))
        called = inner_jaxpr(equation)
        with self._scope(scope):
            if called is not None and operator not in self._table:
                things = [self._einsums.made(thing) for thing in given]
                if _is_function(equation):
                    return [self._map(called_name(equation), *things)]
                if called_name(equation) in PAIRS and len(equation.outvars) == 1:
                    shape = tuple(equation.outvars[0].aval.shape)
                    return [self._combine(called_name(equation), things, shape)]
                return self.closed(called, things, used)
            name = "/".join([part for part in (*self._scopes, operator) if part])
            number = number_of_operands(name)
            node = Equation(self, equation, name, [], used)
            self.tracer.name = name
            if number and not any(isinstance(thing, Missing) for thing in given):
                part = self._einsums.read(node, given, number)
                if part is not None:
                    return [part]
            node.things = [self._einsums.made(thing) for thing in given]
            results = self._compute(node)
            if number and not isinstance(results[0], Missing):
                self._einsums.note(node, given, results, number)
            return results

    def _capture(self, value: Any, aval: Any = None) -> Constant:
        """A constant of the function; noted if it might be meant as a parameter."""
        if not np.shape(value):
            return constant(value, getattr(aval, "dtype", None))
        if id(value) not in self._constants:
            found = constant(value)
            dtype = getattr(value, "dtype", None)
            if "float" in str(dtype) and found.size > LARGEST_UNNAMED:
                number = len(self.skipped) + 1
                self.skipped[f"constant {number}: {dtype}{list(found.shape)}"] = (
                    "an array that the function has from elsewhere; a parameter must be in params"
                )
            self._constants[id(value)] = value, found
        return self._constants[id(value)][1]

    def _map(self, name: str, thing: Thing, *arguments: Thing) -> Thing:
        """A function of single elements."""
        if isinstance(thing, Missing):
            return thing
        compute, default = FUNCTIONS[name]
        numbers = [one.only_number() if isinstance(one, Constant) else None for one in arguments]
        argument = numbers[0] if numbers else default
        known = None if argument is None else partial(_with_argument, compute, argument)
        function = partial(self.tracer.pointwise, function=known, name=name)
        return elementwise(self.tracer, [thing], thing.shape, function)

    def _combine(self, name: str, things: Sequence[Thing], shape: tuple[int, ...]) -> Thing:
        """A function of the elements at the same index of several tensors."""
        items = [thing for thing in things if not isinstance(thing, Missing)]
        if len(items) < len(things):
            return MISSING
        self.tracer.name = "/".join([part for part in (*self._scopes, name) if part])
        function = partial(self.tracer.function, compute=PAIRS[name])
        return elementwise(self.tracer, items, shape, function)

    @contextmanager
    def _scope(self, name: str) -> Iterator[None]:
        self._scopes.append(name)
        try:
            yield
        finally:
            self._scopes.pop()

    def _compute(self, node: Equation) -> Sequence[Thing]:
        """The results of an equation that calls no other jaxpr as it is."""
        nothing = [MISSING] * len(node.shapes)
        rule = self._table.get(node.operator)
        if node.operator in REFUSED and rule is None:
            self.unsupported.add(node.operator, node.name, REFUSED[node.operator])
            return nothing
        if any(isinstance(t, Missing) for t in node.things) and node.operator not in LOOPS:
            return nothing
        constants = [thing for thing in node.things if isinstance(thing, Constant)]
        if len(constants) == len(node.things):
            return worked_out(self.tracer, node, constants)
        if any(0 in shape for shape in node.shapes):
            return [Constant.of(np.zeros(shape)) for shape in node.shapes]
        if rule is None:
            self.unsupported.add(node.operator, node.name)
            return nothing
        self.tracer.name = node.name
        try:
            return _checked(node, rule(self.tracer, node))
        except UnsupportedOperatorError as error:
            self.unsupported.add(node.operator, node.name, str(error))
            return nothing


def _checked(node: Equation, results: Any) -> list[Thing]:
    """What a rule returned, if it has the shapes that JAX says."""
    found: list[Thing] = list(results) if isinstance(results, (list, tuple)) else [results]
    shapes = [None if isinstance(thing, Missing) else tuple(thing.shape) for thing in found]
    fits = len(shapes) == len(node.shapes) and all(
        shape in (None, expected) for shape, expected in zip(shapes, node.shapes, strict=True)
    )
    if not fits:
        raise InvalidModelError(
            f"{node.name}: expected results of shapes {node.shapes} from the rule of "
            f"{node.operator}, got {shapes}"
        )
    return found


def _is_function(equation: Any) -> bool:
    """Whether it calls one of `FUNCTIONS` on one tensor that keeps its shape."""
    first, *others = [getattr(atom.aval, "shape", None) for atom in equation.invars] or [None]
    results = [out.aval.shape for out in equation.outvars]
    named = called_name(equation) in FUNCTIONS
    return named and results == [first] and all(shape == () for shape in others)


def _with_argument(compute: Callable[[Array, float], Array], argument: float, x: Array) -> Array:
    return compute(x, argument)
