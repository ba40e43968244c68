"""Puts together again what `jnp.einsum` contracts in pairs.

JAX writes an einsum as products of two operands, sums of axes that only one operand has, and
transpositions, in an order that depends on the lengths of axes. What the model says is one product,
so they wait until all operands are there. They are known by the scope that JAX names after the
equation; where operands are given with lists of axes it names none, and pairs stay pairs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unrolled.importers.jax.lazy import Item, made
from unrolled.importers.tracing.values import Constant, Operand, Shape

if TYPE_CHECKING:
    from unrolled.importers.jax.equation import Equation, Thing
    from unrolled.importers.tracing.tracer import Tracer

__all__ = ["Contraction", "Einsums", "number_of_operands"]

EQUATION = re.compile(r"(?:\w+\()*([a-zA-Z. ]*(?:,[a-zA-Z. ]*)+)(?:->[a-zA-Z. ]*)?\)*")
"""The name of a scope, transformations such as "vmap(...)" around it."""

PARTS = ("convert_element_type", "dot_general", "reduce_sum", "transpose")
"""What an einsum of several operands is made of, but for diagonals."""


def number_of_operands(name: str) -> int:
    """How many operands the einsum of an equation of this name has; 0 if it is in none."""
    found = EQUATION.fullmatch(name.rpartition("/")[0].rpartition("/")[2])
    return 0 if found is None else found[1].count(",") + 1


@dataclass(eq=False, slots=True)
class Contraction:
    """A product of some operands of an einsum, not made yet.

    Attributes
    ----------
    operands : list of Operand
    labels : list of list of object
        Of the axes of each operand; what is equal is one index.
    result : list of object
        The labels of the result.
    shape : tuple of int
        Of the result.
    """

    operands: list[Operand]
    labels: list[list[object]]
    result: list[object]
    shape: Shape


class Einsums:
    """Gathers the parts of einsums while a jaxpr is read."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._made: dict[int, tuple[Contraction, Operand]] = {}
        self._products: dict[int, tuple[Constant, Contraction]] = {}
        self._diagonals: dict[int, Any] = {}

    def made(self, thing: Thing | Contraction) -> Thing:
        """The operand that a product is, if it is one; else the same."""
        if not isinstance(thing, Contraction):
            return thing
        if id(thing) not in self._made:
            self._made[id(thing)] = thing, self._contract(thing)
        return self._made[id(thing)][1]

    def read(
        self, node: Equation, things: Sequence[Thing | Contraction], number: int
    ) -> Item | Contraction | None:
        """What a part of an einsum of `number` operands computes; None if it is like any other."""
        if all(isinstance(thing, Constant) for thing in things):
            return None
        waits = any(isinstance(thing, Contraction) for thing in things)
        if node.operator == "dot_general" and not waits and number == 2:
            return None
        if node.operator in ("convert_element_type", "transpose") and not waits:
            return None
        part = self._part(node, things)
        return self._contract(part) if part and len(part.operands) >= number else part

    def note(
        self, node: Equation, things: Sequence[Any], results: Sequence[Any], number: int
    ) -> None:
        """Remember what was computed in another way: products of constants, and diagonals."""
        if node.operator == "select_n":
            self._diagonals[id(results[0])] = results[0]
        elif isinstance(results[0], Constant):
            part = self._part(node, things)
            if part is not None and len(part.operands) < number:
                self._products[id(results[0])] = results[0], part

    def _part(self, node: Equation, things: Sequence[Any]) -> Contraction | None:
        """The product that waits after an equation; None if it is no part of an einsum."""
        if node.operator == "dot_general":
            return self._product(node, self._leaf(things[0]), self._leaf(things[1]))
        if node.operator not in PARTS or id(things[0]) in self._diagonals:
            return None
        part = self._leaf(things[0])
        result = part.result
        if node.operator == "reduce_sum":
            gone = node.params["axes"]
            result = [label for axis, label in enumerate(result) if axis not in gone]
        elif node.operator == "transpose":
            result = [result[axis] for axis in node.params["permutation"]]
        return Contraction(part.operands, part.labels, result, node.shapes[0])

    def _leaf(self, thing: Any) -> Contraction:
        if isinstance(thing, Contraction):
            return thing
        if id(thing) in self._products:
            return _with_own_labels(self._products[id(thing)][1])
        operand = made(self._tracer, thing)
        labels: list[object] = [object() for _ in operand.shape]
        return Contraction([operand], [labels], labels, operand.shape)

    def _product(self, node: Equation, a: Contraction, b: Contraction) -> Contraction:
        summed, batch = node.params["dimension_numbers"]
        same = {
            b.result[of_b]: a.result[of_a]
            for of_a, of_b in (*zip(*summed, strict=True), *zip(*batch, strict=True))
        }
        labels = [[same.get(label, label) for label in given] for given in b.labels]
        result = [a.result[axis] for axis in batch[0]]
        for part, gone in ((a, {*summed[0], *batch[0]}), (b, {*summed[1], *batch[1]})):
            result += [label for axis, label in enumerate(part.result) if axis not in gone]
        return Contraction([*a.operands, *b.operands], [*a.labels, *labels], result, node.shapes[0])

    def _contract(self, product: Contraction) -> Operand:
        numbers: dict[object, int] = {}

        def numbered(labels: Sequence[object]) -> list[int]:
            return [numbers.setdefault(label, len(numbers)) for label in labels]

        labels = list(map(numbered, product.labels))
        return self._tracer.contract(labels, numbered(product.result), product.operands)


def _with_own_labels(product: Contraction) -> Contraction:
    """The same product, to be used once more."""
    own: dict[object, object] = {}

    def renamed(labels: Sequence[object]) -> list[object]:
        return [own.setdefault(label, object()) for label in labels]

    labels = list(map(renamed, product.labels))
    return Contraction(product.operands, labels, renamed(product.result), product.shape)
