"""What a rule for an operator of PyTorch sees: its arguments by name, and the shapes it returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from unrolled._support.optional import import_optional
from unrolled.importers.rules import Rule, RuleTable
from unrolled.importers.tracing.values import Array, Constant, Operand, Shape, Value

__all__ = ["TABLE", "Node", "aten", "many", "mapped", "tensor_of"]

TABLE = RuleTable("torch")


def aten(*names: str) -> Callable[[Rule], Rule]:
    """Register a rule for operators of ATen, all overloads and the in-place forms included."""
    return TABLE.rule(*[f"aten.{name}" for name in names])


class Node:
    """A call of an operator.

    ``node["weight"]`` is an argument by its name in the operator's schema, or its default: tensors
    are operands, all others what they are in Python.

    Attributes
    ----------
    name : str
        Of the node in the exported graph.
    operator : str
        Such as "aten.conv2d".
    target : torch._ops.OpOverload
    shapes : list of tuple of int
        Of the tensors that it returns.
    are_conditions : callable
        Takes the name of an argument, and returns whether each tensor in it holds truth values.
    """

    def __init__(
        self,
        name: str,
        operator: str,
        target: Any,
        arguments: Mapping[str, Any],
        shapes: list[Shape],
        are_conditions: Callable[[str], list[bool]] = lambda _: [],
    ) -> None:
        self.are_conditions = are_conditions
        self.name = name
        self.operator = operator
        self.target = target
        self.shapes = shapes
        self._arguments = dict(arguments)

    @property
    def shape(self) -> Shape:
        """The shape of the first tensor that it returns."""
        return self.shapes[0]

    def __getitem__(self, argument: str) -> Any:
        return self._arguments[argument]

    def __contains__(self, argument: object) -> bool:
        return argument in self._arguments

    def __iter__(self) -> Iterator[str]:
        return iter(self._arguments)

    def get(self, argument: str, default: Any = None) -> Any:
        """An argument, or something else if the overload has none of that name."""
        return self[argument] if argument in self._arguments else default

    def operand(self, argument: str) -> Operand:
        """An argument as an operand; numbers are constants."""
        given = self[argument]
        return given if isinstance(given, (Value, Constant)) else Constant.of(given)

    def operands(self) -> list[Operand]:
        """All tensors among the arguments."""
        found: list[Operand] = []
        for argument in self:
            mapped(self[argument], found.append)
        return found

    def run(self, replace: Callable[[str, Any], Any]) -> Any:
        """Run the operator itself.

        Parameters
        ----------
        replace : callable
            Takes the name of an argument and a tensor, a number or the like in it, and returns
            what to call the operator with in its place.
        """
        chosen = {}
        for name in self:
            given = self[name]
            if isinstance(given, (list, tuple)):
                chosen[name] = [replace(name, one) for one in given]
            else:
                chosen[name] = replace(name, given)
        return self.call(chosen)

    def call(self, arguments: Mapping[str, Any]) -> Any:
        """Call the operator itself with arguments for it, by name."""
        torch = import_optional("torch", "torch")
        schema = self.target._schema.arguments
        args = [arguments[one.name] for one in schema if not one.kwarg_only]
        kwargs = {one.name: arguments[one.name] for one in schema if one.kwarg_only}
        with torch.no_grad():
            return self.target(*args, **kwargs)


def mapped(given: Any, function: Callable[[Operand], Any]) -> Any:
    """Lists of lists with a function applied to the operands in them."""
    if isinstance(given, (Value, Constant)):
        return function(given)
    if isinstance(given, (list, tuple)):
        return type(given)([mapped(one, function) for one in given])
    return given


def tensor_of(array: Array) -> Any:
    """A tensor with the elements of an array."""
    torch = import_optional("torch", "torch")
    return torch.from_numpy(np.array(array))


def many(given: Any, number: int) -> list[Any]:
    """An argument that stands for all axes if it is one number."""
    listed = list(given) if isinstance(given, Sequence) else [given]
    return listed * number if len(listed) == 1 else listed
