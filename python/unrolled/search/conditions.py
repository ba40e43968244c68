"""`Condition`: what architectures have to satisfy, as a text that is read without being run."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Collection, Mapping
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from unrolled._support.hints import described, did_you_mean
from unrolled.errors import InvalidArgumentError

__all__ = ["Condition"]

LONGEST = 10_000
"""Characters of a condition."""

DEEPEST = 200
"""Operators within each other; a sum of many terms is as deep as it is long."""

COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: lambda a, b: (a < b) | (a > b),  # So that what is no number satisfies it neither.
}
ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}

Values = Mapping[str, npt.NDArray[Any]]


class Condition:
    """A condition such as ``"params < 1e6 and macs < 50e6 and edge01 != 'none'"``.

    Comparisons of columns, numbers and sums, differences, products, quotients and powers of them,
    joined by ``and``, ``or`` and ``not``, which bind as in Python. Labels of places are strings in
    quotes; names of places may have dots. The text is parsed, and never run.

    Parameters
    ----------
    text : str
    numbers : collection of str
        The names of columns of numbers.
    labels : mapping of str to collection of str
        The names of columns of labels, and the labels of each.

    Attributes
    ----------
    text : str
    names : frozenset of str
        The columns that it reads.

    Raises
    ------
    InvalidArgumentError
        Anything else than that, or a name that is no column.
    """

    def __init__(
        self, text: str, numbers: Collection[str], labels: Mapping[str, Collection[str]]
    ) -> None:
        if not isinstance(text, str) or not text.strip():
            raise InvalidArgumentError(
                "where must be a condition such as 'macs < 50e6 and depth > 3', got "
                f"{described(text)}"
            )
        if len(text) > LONGEST:
            raise InvalidArgumentError(f"where may have {LONGEST} characters, got {len(text)}")
        self.text = text
        self._numbers = frozenset(numbers)
        self._labels = labels
        names: set[str] = set()
        try:
            body = ast.parse(text.strip(), mode="eval").body
            if _depth(body) > DEEPEST:
                raise self._error(f"it has more than {DEEPEST} operators within each other")
            self._test = self._condition(body, names)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise self._error(f"it cannot be read ({error})") from None
        self.names = frozenset(names)

    def mask(self, columns: Values) -> npt.NDArray[np.bool_]:
        """Which rows satisfy it.

        Parameters
        ----------
        columns : mapping of str to array of shape ``(n,)``
            Numbers, and labels as strings; what is not a number satisfies no comparison.
        """
        with np.errstate(all="ignore"):
            found: npt.NDArray[np.bool_] = np.asarray(self._test(columns), np.bool_)
        return found

    def _error(self, reason: str) -> InvalidArgumentError:
        return InvalidArgumentError(
            f"where={self.text!r}: {reason}; expected comparisons of columns and numbers joined "
            "by and, or, not, such as 'macs < 50e6 and depth > 3'"
        )

    def _condition(self, node: ast.expr, names: set[str]) -> Callable[[Values], Any]:
        if isinstance(node, ast.BoolOp):
            parts = [self._condition(value, names) for value in node.values]
            join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
            return lambda columns: reduce(join, [part(columns) for part in parts])
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            inner = self._condition(node.operand, names)
            return lambda columns: np.logical_not(inner(columns))
        if isinstance(node, ast.Compare):
            return self._comparison(node, names)
        raise self._error(f"{ast.unparse(node)!r} is no comparison")

    def _comparison(self, node: ast.Compare, names: set[str]) -> Callable[[Values], Any]:
        sides = [node.left, *node.comparators]
        tests = []
        own: set[str] = set()
        for left, kind, right in zip(sides, node.ops, sides[1:], strict=False):
            compare = COMPARISONS.get(type(kind))
            if compare is None:
                raise self._error(f"{ast.unparse(node)!r} is compared in a way that is not known")
            pair = self._of_labels(left, right, compare, own) or self._of_labels(
                right, left, compare, own
            )
            if pair is None:
                first, second = self._number(left, own), self._number(right, own)
                pair = _compared(compare, first, second)
            tests.append(pair)
        if not own:
            raise self._error(f"{ast.unparse(node)!r} reads no column")
        names |= own
        return lambda columns: reduce(np.logical_and, [test(columns) for test in tests])

    def _of_labels(
        self, name: ast.expr, label: ast.expr, compare: Callable[[Any, Any], Any], names: set[str]
    ) -> Callable[[Values], Any] | None:
        """The comparison of a place with a label, if it is one."""
        place = _dotted(name)
        if place is None or place not in self._labels:
            return None
        if not isinstance(label, ast.Constant) or not isinstance(label.value, str):
            raise self._error(f"place {place!r} can be compared with one of its labels only")
        if compare not in (COMPARISONS[ast.Eq], COMPARISONS[ast.NotEq]):
            raise self._error(f"labels of {place!r} are equal or not, and have no order")
        known, given = self._labels[place], label.value
        if given not in known:
            raise self._error(
                f"place {place!r} has no option {given!r}{did_you_mean(given, list(known))}"
            )
        names.add(place)
        is_equal = compare is COMPARISONS[ast.Eq]
        return lambda columns: (columns[place] == given) == is_equal

    def _number(self, node: ast.expr, names: set[str]) -> Callable[[Values], Any]:
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, (int, float))
            and not isinstance(node.value, bool)
        ):
            try:
                value = np.float64(node.value)
            except OverflowError:
                raise self._error("a number is too large") from None
            return lambda _: value
        name = _dotted(node)
        if name is not None:
            if name not in self._numbers:
                known = [*self._numbers, *self._labels]
                raise self._error(f"there is no column {name!r}{did_you_mean(name, known)}")
            names.add(name)
            return lambda columns: columns[name]
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            inner = self._number(node.operand, names)
            sign = -1.0 if isinstance(node.op, ast.USub) else 1.0
            return lambda columns: sign * inner(columns)
        if isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
            work = ARITHMETIC[type(node.op)]
            return _compared(work, self._number(node.left, names), self._number(node.right, names))
        raise self._error(f"{ast.unparse(node)!r} is neither a column nor a number")


def _compared(
    work: Callable[[Any, Any], Any],
    first: Callable[[Values], Any],
    second: Callable[[Values], Any],
) -> Callable[[Values], Any]:
    return lambda columns: work(first(columns), second(columns))


def _dotted(node: ast.expr) -> str | None:
    """A name, which may have dots in it; None for anything else."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else None


def _depth(node: ast.AST) -> int:
    """How many nodes lie within each other, without recursion, which has a limit of its own."""
    depth, level = 0, [node]
    while level:
        depth += 1
        level = [child for one in level for child in ast.iter_child_nodes(one)]
    return depth
