"""Random functions of masked tensors, and the edges of every element by the rules of DESIGN.

A program is a list of steps on one tensor, each with a parameter of its own or none. An element
is a node with edges, or a number that is known beforehand; here both are kept element by element,
and nothing of the importers is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

SHAPE = (3, 4)
LOW = -1e4

UNARY: dict[str, Callable[[Any], Any]] = {
    "exp": np.exp,
    "tanh": np.tanh,
    "abs": np.abs,
    "neg": np.negative,
    "relu": lambda a: np.maximum(a, 0.0),
    "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
    "floor": np.floor,
    "clip": lambda a: np.clip(a, -3.0, 3.0),
    "half": lambda a: 0.5 * a,
    "minus": lambda a: -2.0 * a,
    "next": lambda a: a + 1.0,
    "cosh": np.cosh,
}
"""Functions of single elements, by the names that programs have for them."""

CHOICES = ("plain", "and", "or", "not and")
"""How a condition is made of one that is known at run time and of a constant."""


@dataclass
class Step:
    """One step: an operation, its parameter if it has one, and constants."""

    operation: str
    name: str = ""
    mask: Any = None
    number: float = 0.0
    first: bool = False


@dataclass
class Elements:
    """Counts by parameter, element by element, and numbers where these are known; else NaN."""

    counts: dict[str, Any]
    known: Any

    @staticmethod
    def of(name: str) -> Elements:
        return Elements({name: np.ones(SHAPE, dtype=int)}, np.full(SHAPE, np.nan))

    def decided(self, places: Any, number: float) -> Elements:
        counts = {name: np.where(places, 0, one) for name, one in self.counts.items()}
        return Elements(counts, np.where(places, number, self.known))

    def joined(self, *others: Elements) -> Elements:
        counts = dict(self.counts)
        for other in others:
            for name, one in other.counts.items():
                counts[name] = counts.get(name, 0) + one
        return Elements(counts, np.full(SHAPE, np.nan))


def applied(x: Elements, step: Step) -> Elements:
    """A tensor after one more step."""
    if step.operation in UNARY:
        with np.errstate(all="ignore"):
            return Elements(x.counts, UNARY[step.operation](x.known))
    if step.operation == "fill":
        if step.number in (0.0, -np.inf):
            return x.decided(step.mask, step.number)
        return Elements(x.counts, np.where(step.mask, np.nan, x.known))
    if step.operation == "add mask":
        return x.decided(step.mask, -np.inf)
    fresh = Elements.of(step.name)
    if step.operation == "add":
        return x.joined(fresh).decided(x.known <= LOW, -np.inf)
    if step.operation == "multiply":
        return x.joined(fresh).decided(x.known == 0, 0.0)
    if step.operation.startswith("between"):
        return between(x, step, fresh, Elements.of(f"{step.name}other"))
    return chosen(x, step, fresh)


def met_and_unmet(step: Step) -> tuple[Any, Any]:
    """Where the condition of a step is known to hold, and not to."""
    how = step.operation.partition(" ")[2]
    none = np.zeros(SHAPE, bool)
    if how == "and":
        return none, ~step.mask
    return {"not and": ~step.mask, "or": step.mask}.get(how, none), none


def between(x: Elements, step: Step, condition: Elements, other: Elements) -> Elements:
    """A tensor or another one, by a condition: the other is for where it holds if `first`."""
    met, unmet = met_and_unmet(step)
    other_there, tensor_there = (met, unmet) if step.first else (unmet, met)
    result = x.joined(condition, other)
    for name in x.counts:
        result.counts[name] = np.where(other_there, 0, x.counts[name])
    result.counts[step.name] = np.where(met | unmet, 0, 1)
    result.counts[f"{step.name}other"] = np.where(tensor_there, 0, 1)
    # One number is remembered; that of any other kind than zero and low is not.
    is_kept = tensor_there & ((x.known <= LOW) | (x.known == 0))
    return Elements(result.counts, np.where(is_kept, x.known, np.nan))


def chosen(x: Elements, step: Step, condition: Elements) -> Elements:
    """A tensor, or a number, by a condition: the number is for where it holds if `first`."""
    met, unmet = met_and_unmet(step)
    number_there, tensor_there = (met, unmet) if step.first else (unmet, met)
    open_ = ~met & ~unmet
    # A constant other than zero and than what puts scores out changes no edge.
    result = x.joined(condition)
    for name in x.counts:
        result.counts[name] = x.counts[name]
    result.counts[step.name] = np.where(open_, 1, 0)
    result.known = np.where(tensor_there, x.known, np.nan)
    for number, alike in ((-np.inf, x.known <= LOW), (0.0, x.known == 0)):
        if step.number == number:
            result = result.decided(number_there | (open_ & alike), number)
    return result


def random_program(seed: int, length: int = 6) -> list[Step]:
    """Steps of which each leaves one kind of known number, as tensors remember one."""
    random = np.random.default_rng(seed)
    steps: list[Step] = []
    x = Elements.of("w")
    while len(steps) < length:
        step = random_step(random, len(steps))
        y = applied(x, step)
        kinds = {kind for kind, known in of_kinds(y) if known.any()}
        if len(kinds) > 1 or not np.isnan(y.known).any() or forgets(x, step):
            continue
        steps.append(step)
        x = y
    return steps


def of_kinds(x: Elements) -> Iterator[tuple[str, Any]]:
    with np.errstate(all="ignore"):
        yield "low", x.known <= LOW
        yield "zero", x.known == 0
        yield "other", ~np.isnan(x.known) & (x.known > LOW) & (x.known != 0)


def forgets(x: Elements, step: Step) -> bool:
    """Whether a number of another kind is put beside numbers that are known already."""
    if step.operation not in ("fill", "add mask") and not step.operation.startswith("choose"):
        return False
    number = -np.inf if step.operation == "add mask" else step.number
    for kind, known in of_kinds(x):
        if known.any() and kind != ("low" if number <= LOW else "zero" if number == 0 else kind):
            return True
    return False


def random_step(random: Any, number: int) -> Step:
    mask = random.random(SHAPE if random.random() < 0.6 else (1, SHAPE[1])) < 0.4
    if mask.all() or not mask.any():
        return random_step(random, number)
    mask = np.broadcast_to(mask, SHAPE)
    name, fill = f"p{number}", float(random.choice([-np.inf, 0.0, 5.0], p=[0.4, 0.45, 0.15]))
    kind = random.choice(["fill", "add mask", "unary", "add", "multiply", "choose", "between"])
    if kind == "unary":
        return Step(str(random.choice(list(UNARY))))
    if kind in ("choose", "between"):
        how = random.choice(CHOICES)
        return Step(f"{kind} {how}", name, mask, fill, bool(random.random() < 0.5))
    return Step(str(kind), name, mask, fill)


def expected(steps: list[Step]) -> dict[str, Any]:
    """Counts where a tensor is an output as it is added to a parameter and multiplied by one."""
    x = Elements.of("w")
    for step in steps:
        x = applied(x, step)
    ends = [applied(x, Step("add", "added")), applied(x, Step("multiply", "multiplied"))]
    totals: dict[str, Any] = {}
    for end in ends:
        for name, counts in end.counts.items():
            totals[name] = totals.get(name, 0) + counts
    return {name: counts for name, counts in totals.items() if counts.any()}


def names_of(steps: list[Step]) -> list[str]:
    """All parameters of a program."""
    named = [step.name for step in steps if step.operation in ("add", "multiply")]
    named += [step.name for step in steps if step.operation.startswith(("choose", "between"))]
    named += [f"{step.name}other" for step in steps if step.operation.startswith("between")]
    return ["w", *named, "added", "multiplied"]


def computed(
    steps: list[Step], given: Any, u: Any, functions: Any, where: Any, array: Callable[[Any], Any]
) -> tuple[Any, Any]:
    """A program as a framework runs it.

    Parameters
    ----------
    steps : list of Step
    given : mapping of str to tensor
        The parameters.
    u : tensor
        An input, which makes conditions depend on more than parameters.
    functions : mapping of str to callable
        Those of `UNARY`.
    where : callable
    array : callable
        Makes a tensor of a NumPy array.
    """
    x = given["w"]
    for step in steps:
        kind, _, how = step.operation.partition(" ")
        if step.operation in UNARY:
            x = functions[step.operation](x)
        elif kind == "fill":
            x = where(array(step.mask), array(np.float32(step.number)), x)
        elif step.operation == "add mask":
            x = x + array(np.where(step.mask, -np.inf, 0).astype(np.float32))
        elif kind == "add":
            x = x + given[step.name]
        elif kind == "multiply":
            x = x * given[step.name]
        else:
            condition = given[step.name] + u > 0
            if how != "plain":
                mask = array(step.mask)
                condition = condition | mask if how == "or" else condition & mask
            condition = ~condition if how == "not and" else condition
            number = array(np.float32(step.number))
            if kind == "between":
                number = given[f"{step.name}other"]
            x = where(condition, number, x) if step.first else where(condition, x, number)
    return x + given["added"], x * given["multiplied"]


def wrong_names(found: dict[str, Any], steps: list[Step]) -> list[str]:
    """Parameters whose counts are others than expected."""
    wanted = expected(steps)
    seen = {name: one.astype(int) for name, one in found.items() if one.astype(int).any()}
    return [
        name
        for name in sorted({*seen, *wanted})
        if not np.array_equal(seen.get(name, 0), wanted.get(name, 0))
    ]
