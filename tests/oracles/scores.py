"""Scores by their table, term by term: a slow interpreter of small descriptions of networks.

A description is a list of steps ``(name, operation, sources, numbers)``. It shares no code with the
package: neither networks nor relations, and sizes are those that the description gives. Functions
other than ReLU, products and attention are not known here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import ndtr


@dataclass
class Step:
    name: str
    operation: str
    sources: list[str]
    numbers: dict[str, Any]
    channels: int = 0
    positions: int = 0
    forward: tuple[float, float] = (0.0, 0.0)
    backward: list[float] = field(default_factory=lambda: [0.0, 0.0])


def k0(r: float) -> float:
    return (math.pi - math.acos(min(r, 1.0))) / (2 * math.pi)


def khat(r: float) -> float:
    r = min(r, 1.0)
    k1 = (math.sqrt(1 - r * r) + r * (math.pi - math.acos(r))) / math.pi
    return (k1 - 1 / math.pi) / (1 - 1 / math.pi)


def overlap(k: int, s: int) -> float:
    """The correlation of box-filtered white noise in a k x k window."""
    if k == 1:
        return 0.0
    shifts = range(1 - k, k)
    along = sum((k - abs(j)) * max(0.0, 1 - abs(j) * s / k) ** 2 for j in shifts)
    return math.sqrt(max(along**2 - k**2, 0.0) / (k**4 - k**2))


@lru_cache
def largest_variance(n: int) -> float:
    """The variance of the largest of n standard normal variables, by its law on a grid."""
    z = np.linspace(-9, 9, 20001)
    weights = n * np.exp(-z * z / 2) / math.sqrt(2 * math.pi) * ndtr(z) ** (n - 1)
    mean, square = (float(np.sum(z**power * weights)) * (z[1] - z[0]) for power in (1, 2))
    return square - mean**2


class Description:
    """Steps of a network of images, each with its channels and the side of its map."""

    def __init__(self, channels: int, side: int) -> None:
        self.steps: dict[str, Step] = {}
        self._new("input", [], channels, side * side)

    def _new(self, operation: str, sources: list[str], channels: int, positions: int, **numbers):
        name = f"{operation}{len(self.steps)}"
        self.steps[name] = Step(name, operation, sources, numbers, channels, positions)
        return name

    def _like(self, operation: str, source: str) -> str:
        one = self.steps[source]
        return self._new(operation, [source], one.channels, one.positions)

    def conv(self, x: str, channels: int, k: int, s: int = 1, groups: int = 1) -> str:
        positions = self.steps[x].positions // s**2
        return self._new("conv", [x], channels, positions, k=k, s=s, groups=groups)

    def norm(self, x: str) -> str:
        return self._like("norm", x)

    def relu(self, x: str) -> str:
        return self._like("relu", x)

    def average(self, x: str, k: int, s: int) -> str:
        one = self.steps[x]
        return self._new("average", [x], one.channels, one.positions // s**2, k=k, s=s)

    def largest(self, x: str, k: int, s: int) -> str:
        one = self.steps[x]
        return self._new("largest", [x], one.channels, one.positions // s**2, k=k, s=s)

    def pool(self, x: str) -> str:
        return self._new("pool", [x], self.steps[x].channels, 1)

    def add(self, xs: list[str]) -> str:
        if not xs:
            return self._new("zero", [], 0, 0)
        one = self.steps[xs[0]]
        return self._new("add", xs, one.channels, one.positions)

    def concat(self, xs: list[str]) -> str:
        channels = sum(self.steps[x].channels for x in xs)
        return self._new("concat", xs, channels, self.steps[xs[0]].positions)

    def dense(self, x: str, units: int) -> str:
        return self.conv(x, units, 1)

    def scores(self, output: str) -> dict[str, float]:
        """W, E, E', S and H for one output."""
        steps = list(self.steps.values())
        begun = {"input0"}
        for step in steps:
            if any(source in begun for source in step.sources):
                begun.add(step.name)
        ends = {output}
        for step in reversed(steps):
            if step.name in ends:
                ends.update(step.sources)
        live = begun & ends
        found = dict.fromkeys(("W", "E", "E'", "S"), 0.0)
        if output not in live:
            return found | {"H": -math.inf}
        for step in steps:
            if step.name in live:
                step.forward = self._forward(step, [s for s in step.sources if s in live])
                step.backward = [0.0, 0.0]
        self.steps[output].backward = [1.0, 0.0]
        for step in reversed(steps):
            if step.name in live:
                for source in step.sources:
                    if source in live:
                        b, h = self._backward(step, self.steps[source])
                        self.steps[source].backward[0] += b
                        self.steps[source].backward[1] += h
        saliencies = []
        for step in steps:
            if step.name in live and step.operation == "conv":
                source = self.steps[step.sources[0]]
                k, s, groups = (step.numbers[key] for key in ("k", "s", "groups"))
                v, c = source.forward
                x = c / v
                tau = k**4 / (k**2 + (k**4 - k**2) * x**2)
                p = source.positions if k > s else step.positions
                weights = source.channels * step.channels * tau / groups
                units = step.channels * p * math.sqrt(source.channels * tau / groups)
                found["W"] += weights
                found["E"] += weights * p
                found["E'"] += weights * step.positions
                found["S"] += units
                power = step.channels * step.positions * self._kept(source) * step.backward[0]
                saliencies.append((math.sqrt(power * units), units))
        total = sum(one for one, _ in saliencies)
        shares = [(one / total, units) for one, units in saliencies]
        return found | {"H": -sum(q * math.log(q / s) for q, s in shares)}

    def _kept(self, source: Step) -> float:
        """The variance that a kernel keeps; before a function, if it reads one."""
        if source.operation == "relu":
            return self.steps[source.sources[0]].forward[0]
        return source.forward[0]

    def _forward(self, step: Step, sources: list[str]) -> tuple[float, float]:
        if step.operation == "input":
            return 1.0, 0.0
        states = [self.steps[source].forward for source in sources]
        v, c = states[0]
        k, s = step.numbers.get("k", 1), step.numbers.get("s", 1)
        if step.operation == "conv":
            kept = self._kept(self.steps[sources[0]])
            return kept, kept * c / v
        if step.operation == "norm":
            return 1.0, c / v
        if step.operation == "relu":
            f = v * (1 - 1 / math.pi) / 2
            return f, f * khat(c / v)
        if step.operation == "average":
            u = v - c
            return c + u / k**2, c + overlap(k, s) * u / k**2
        if step.operation == "pool":
            return 1.0, 0.0
        if step.operation == "concat":
            widths = [self.steps[source].channels for source in sources]
            return tuple(
                sum(w * state[part] for w, state in zip(widths, states, strict=True)) / sum(widths)
                for part in (0, 1)
            )
        if step.operation == "largest":
            u = (v - c) * largest_variance(k**2)
            return c + u, c + overlap(k, s) * u
        assert step.operation == "add"
        return sum(state[0] for state in states), sum(state[1] for state in states)

    def _backward(self, step: Step, source: Step) -> tuple[float, float]:
        b, h = step.backward
        v, c = source.forward
        k, s = step.numbers.get("k", 1), step.numbers.get("s", 1)
        if step.operation == "conv":
            factor = step.channels / (source.channels * s**2) * self._kept(source) / v
            return factor * b, factor * h / s**2
        if step.operation == "norm":
            return b / v, h / v
        if step.operation == "relu":
            return b / 2, k0(c / v) * h
        if step.operation == "average":
            u = (b - h) / (s**2 * k**2)
            return h / s**4 + u, h / s**4 + overlap(k, 1) * u
        if step.operation == "largest":
            return b / s**2, h / s**4
        if step.operation == "pool":
            return b / source.positions**2, b / source.positions**2
        return b, h


def conv_norm(net: Description, x: str, channels: int, k: int, s: int = 1, groups: int = 1) -> str:
    return net.norm(net.conv(x, channels, k, s, groups))


def nasbench201(choices: tuple[int, ...]) -> dict[str, float]:
    """Scores of a cell; see `nasbench201_cells`."""
    net, output = nasbench201_cells(choices)
    return net.scores(output)


def nasbench201_cells(choices: tuple[int, ...]) -> tuple[Description, str]:
    """A network of equal cells: operations of 01, 02, 12, 03, 13, 23, from none to 3 x 3."""
    net = Description(3, 32)
    x = conv_norm(net, "input0", 16, 3)
    for width in (16, 32, 64):
        if width > 16:
            y = conv_norm(net, net.relu(x), width, 3, 2)
            y = conv_norm(net, net.relu(y), width, 3)
            x = net.add([net.conv(net.average(x, 2, 2), width, 1), y])
        for _ in range(5):
            nodes, rest = [x], list(choices)
            for target in (1, 2, 3):
                into = []
                for source in range(target):
                    choice, node = rest.pop(0), nodes[source]
                    if choice == 1:
                        into.append(node)
                    elif choice == 2:
                        into.append(net.average(node, 3, 1))
                    elif choice > 2:
                        into.append(conv_norm(net, net.relu(node), width, 2 * choice - 5))
                zero = net.add([])
                node = net.add(into) if into else zero
                net.steps[node].channels = width
                net.steps[node].positions = net.steps[x].positions
                nodes.append(node)
            x = nodes[3]
    return net, net.dense(net.pool(net.relu(net.norm(x))), 10)


def nasbench_macro(choices: tuple[int, ...]) -> dict[str, float]:
    """Scores of a chain of blocks; see `nasbench_macro_blocks`."""
    net, output = nasbench_macro_blocks(choices)
    return net.scores(output)


def nasbench_macro_blocks(choices: tuple[int, ...]) -> tuple[Description, str]:
    net = Description(3, 32)
    x, width, rest = net.relu(conv_norm(net, "input0", 32, 3)), 32, list(choices)
    for layers in (2, 3, 3):
        for layer in range(layers):
            s = 2 if layer == 0 else 1
            channels = 2 * width if layer == 0 else width
            choice = rest.pop(0)
            if choice == 0:
                x = conv_norm(net, x, channels, 1, 2) if layer == 0 else x
            else:
                wide, k = (3 * width, 3) if choice == 1 else (6 * width, 5)
                y = net.relu(conv_norm(net, x, wide, 1))
                y = net.relu(conv_norm(net, y, wide, k, s, wide))
                y = conv_norm(net, y, channels, 1)
                x = y if layer == 0 else net.add([x, y])
            width = channels
    x = net.relu(conv_norm(net, x, 1280, 1))
    return net, net.dense(net.pool(x), 10)
