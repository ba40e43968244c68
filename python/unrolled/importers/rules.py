"""Tables of operator rules, and the error that names every operator without one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, TypeVar

from unrolled._support.hints import shortened
from unrolled.errors import InvalidArgumentError, UnsupportedOperatorError
from unrolled.importers.tracing.values import Operand

__all__ = ["RuleTable", "Unsupported", "as_list"]

MOST_NODES_NAMED = 3
"""So many nodes of each operator without a rule are named in the message."""

MOST_OPERATORS_NAMED = 20
"""So many operators are named in the message; the error's `operators` has all of them."""

LONGEST_REASON = 200
"""Characters of what is said about an operator."""

Rule = TypeVar("Rule", bound=Callable[..., Any])


class RuleTable:
    """The rules of one framework, by operator.

    Parameters
    ----------
    framework : str
        The name of its module in `unrolled.importers`.
    """

    def __init__(self, framework: str) -> None:
        self.framework = framework
        self._rules: dict[str, Callable[..., Any]] = {}

    def rule(self, *operators: str, replace: bool = False) -> Callable[[Rule], Rule]:
        """Use a function as the rule of operators.

        Parameters
        ----------
        *operators : str
        replace : bool
            Whether it takes the place of rules that the operators have. Without it such an operator
            is refused, but for a function that is defined again, as a cell of a notebook is.

        Returns
        -------
        callable
            A decorator. The function takes a `Tracer` and the node, and returns an operand, or a
            sequence of them if the operator has several outputs.

        Raises
        ------
        InvalidArgumentError
            No operator, something else than names, or an operator that has a rule.
        """
        if not operators or not all(isinstance(name, str) and name for name in operators):
            raise InvalidArgumentError(
                f"rule() takes the names of operators, such as rule('Relu'), got {operators!r}"
            )
        twins = [name for name in operators if operators.count(name) > 1]
        if twins:
            raise InvalidArgumentError(f"rule() takes every operator once, got {twins[0]!r} twice")

        def register(function: Rule) -> Rule:
            for name in operators if not replace else ():
                known = self._rules.get(name)
                if known is not None and not _is_same_definition(known, function):
                    raise InvalidArgumentError(
                        f"rule(): the operator {name!r} has a rule, "
                        f"{known.__module__}.{getattr(known, '__qualname__', known)}; write "
                        f"rule({name!r}, replace=True) to replace it"
                    )
            for name in operators:
                self._rules[name] = function
            return function

        return register

    def get(self, operator: str) -> Callable[..., Any] | None:
        """The rule of an operator, if it has one."""
        return self._rules.get(operator)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._rules))

    def __contains__(self, operator: object) -> bool:
        return operator in self._rules

    def remove(self, *operators: str) -> None:
        """Forget rules; operators without one are passed over."""
        for name in operators:
            self._rules.pop(name, None)


def _is_same_definition(known: Callable[..., Any], function: Callable[..., Any]) -> bool:
    """Whether a named function is the known one, or replaces it because its code ran again."""
    if known is function:
        return True
    places = [
        (getattr(one, "__module__", None), getattr(one, "__qualname__", None))
        for one in (known, function)
    ]
    return places[0] == places[1] and "<lambda>" not in str(places[0][1])


class Unsupported:
    """Gathers operators that cannot be read, so that one error names them all."""

    def __init__(self, framework: str) -> None:
        self.framework = framework
        self._nodes: dict[str, dict[str, None]] = {}
        self._reasons: dict[str, str] = {}

    def add(self, operator: str, node: str, reason: str = "") -> None:
        """Record a node whose operator has no rule, or none for this case."""
        self._nodes.setdefault(operator, {})[node] = None
        if reason:
            self._reasons.setdefault(operator, reason)

    def __bool__(self) -> bool:
        return bool(self._nodes)

    def __iter__(self) -> Iterator[str]:
        return iter(self._nodes)

    def check(self, source: str) -> None:
        """Raise the error if there is anything to name.

        Raises
        ------
        UnsupportedOperatorError
        """
        if not self._nodes:
            return
        parts = []
        for operator, nodes in islice(self._nodes.items(), MOST_OPERATORS_NAMED):
            named = ", ".join([repr(shortened(node)) for node in islice(nodes, MOST_NODES_NAMED)])
            more = len(nodes) - MOST_NODES_NAMED
            reason = self._reasons.get(operator)
            parts.append(
                f"{shortened(operator)} (node {named}{f' and {more} more' if more > 0 else ''}"
                f"{f': {shortened(reason, LONGEST_REASON)}' if reason else ''})"
            )
        number = len(self._nodes)
        if number > len(parts):
            parts.append(f"and {number - len(parts):,} more")
        first = shortened(next(iter(self._nodes)))
        raise UnsupportedOperatorError(
            f"{source}: no rule for {number:,} operator{'s' if number > 1 else ''}: "
            f"{'; '.join(parts)}. "
            f"Add one with @unrolled.importers.{self.framework}.rule({first!r})",
            {operator: list(nodes) for operator, nodes in self._nodes.items()},
        )


def as_list(result: Operand | list[Operand] | tuple[Operand, ...]) -> list[Operand]:
    """What a rule returned, as a list of outputs."""
    return list(result) if isinstance(result, (list, tuple)) else [result]
