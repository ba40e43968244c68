"""Which equations of a jaxpr something depends on, nested ones looked into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["Liveness", "called_name", "inner_jaxpr", "opened"]

CALLS = (
    *("jit", "pjit", "xla_call", "core_call", "call", "closed_call", "core_closed_call"),
    *("remat", "remat2", "checkpoint", "custom_jvp_call", "custom_vjp_call"),
    *("custom_jvp_call_jaxpr", "custom_vjp_call_jaxpr", "composite"),
)
"""Primitives that do what the jaxpr they carry does."""


def inner_jaxpr(equation: Any) -> Any:
    """The jaxpr, closed or not, that an equation calls; None for any other equation."""
    if equation.primitive.name not in CALLS:
        return None
    for name in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        if name in equation.params:
            return equation.params[name]
    return None


def called_name(equation: Any) -> str:
    """The name of the function that an equation calls, as far as JAX tells."""
    name = equation.params.get("name")
    if name is None:
        debug = getattr(opened(inner_jaxpr(equation))[0], "debug_info", None)
        name = getattr(debug, "func_name", "")
    return str(name).partition(" ")[0]


def opened(jaxpr: Any) -> tuple[Any, Sequence[Any]]:
    """A jaxpr and its constants, of a closed one or not."""
    return (jaxpr.jaxpr, jaxpr.consts) if hasattr(jaxpr, "consts") else (jaxpr, ())


class Liveness:
    """Says which equations and inputs of jaxprs the outputs that are used depend on."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, tuple[bool, ...]], tuple[list[list[bool]], list[bool]]] = {}
        self._kept: list[Any] = []  # An id belongs to one object only while that object exists.

    def of(self, jaxpr: Any, used: Sequence[bool]) -> tuple[list[list[bool]], list[bool]]:
        """Which outputs of each equation and which inputs (constants apart) are needed.

        Parameters
        ----------
        jaxpr : Jaxpr
        used : sequence of bool
            For every output.
        """
        key = id(jaxpr), tuple(used)
        if key not in self._known:
            self._kept.append(jaxpr)
            self._known[key] = self._find(jaxpr, used)
        return self._known[key]

    def _find(self, jaxpr: Any, used: Sequence[bool]) -> tuple[list[list[bool]], list[bool]]:
        live = {id(out) for out, is_used in zip(jaxpr.outvars, used, strict=True) if is_used}
        equations = []
        for equation in reversed(jaxpr.eqns):
            outputs = [id(out) in live for out in equation.outvars]
            equations.append(outputs)
            if any(outputs):
                needed = self._inputs(equation, outputs)
                live |= {id(v) for v, n in zip(equation.invars, needed, strict=True) if n}
        return equations[::-1], [id(variable) in live for variable in jaxpr.invars]

    def _inputs(self, equation: Any, used: list[bool]) -> list[bool]:
        """Which inputs of an equation the outputs that are used need."""
        called = inner_jaxpr(equation)
        if called is not None:
            return self.of(opened(called)[0], used)[1]
        name = equation.primitive.name
        if name == "scan":
            return self._scan(equation, used)
        if name == "cond":
            branches = [self.of(opened(one)[0], used)[1] for one in equation.params["branches"]]
            return [True, *[any(needed) for needed in zip(*branches, strict=True)]]
        return [True] * len(equation.invars)

    def _scan(self, equation: Any, used: list[bool]) -> list[bool]:
        constants, carried = equation.params["num_consts"], equation.params["num_carry"]
        jaxpr = opened(equation.params["jaxpr"])[0]
        used = self.of_steps(jaxpr, constants, carried, used)
        needed = list(self.of(jaxpr, used)[1])
        # What a loop carries is used if it is used at the end, because there may be no step at all.
        needed[constants : constants + carried] = used[:carried]
        return needed

    def of_steps(self, jaxpr: Any, constants: int, carried: int, used: list[bool]) -> list[bool]:
        """Which outputs of the step of a loop are used, at the end or by the next step."""
        while True:
            carry = self.of(jaxpr, used)[1][constants : constants + carried]
            wider = [a or b for a, b in zip(used, carry, strict=False)] + used[carried:]
            if wider == used:
                return used
            used = wider
