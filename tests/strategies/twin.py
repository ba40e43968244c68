"""A network and its element graph, built side by side, and helpers for drawing random layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from hypothesis import strategies as st

from oracles.element_graph import ElementGraph, Nodes
from unrolled.network import Network, Tensor

Draw: TypeAlias = Callable[[Any], Any]
Value: TypeAlias = tuple[Tensor, Nodes]

LARGEST = 150
"""Elements a tensor may have; brute force is slow."""


@dataclass
class Twin:
    """A network and its element graph, with the tensors that further layers may use."""

    network: Network
    graph: ElementGraph
    values: list[Value] = field(default_factory=list)
    weights: list[Value] = field(default_factory=list)
    layers: list[str] = field(default_factory=list)

    def input(self, shape: Sequence[int]) -> None:
        tensor = self.network.input(shape, f"input_{len(self.values)}")
        self.values.append((tensor, self.graph.fresh(shape)))

    def name(self) -> str:
        return f"layer{len(self.layers)}"

    def weight(self, draw: Draw, role: str, shape: Sequence[int]) -> tuple[Tensor | None, Nodes]:
        """Nodes for a weight of the next layer: new ones, or those of an earlier weight (tied)."""
        tied = [known for known in self.weights if known[0].shape == tuple(shape)]
        if tied and draw(st.booleans()):
            chosen: Value = draw(st.sampled_from(tied))
            return chosen
        return None, self.graph.parameter(f"{self.name()}/{role}", shape)

    def switch(
        self, draw: Draw, role: str, shape: Sequence[int]
    ) -> tuple[Tensor | bool, list[Nodes]]:
        """As `weight`, for a weight that a layer may do without."""
        if draw(st.booleans()):
            return False, []
        tensor, nodes = self.weight(draw, role, shape)
        return (True if tensor is None else tensor), [nodes]

    def add(self, tensor: Tensor, nodes: Nodes) -> None:
        assert tensor.shape == nodes.shape, (self.layers, tensor, nodes.shape)
        for parameter in self.network.parameters:
            if all(parameter is not known for known, _ in self.weights):
                self.weights.append((parameter, self.graph.parameters[parameter.name]))
        self.values.append((tensor, nodes))

    def pick(self, draw: Draw, ranks: Sequence[int]) -> Value | None:
        """A tensor of one of the ranks, the latest ones being likelier."""
        fitting = [value for value in self.values if len(value[0].shape) in ranks]
        if not fitting:
            return None
        back: int = min(draw(st.integers(0, 3)), len(fitting) - 1)
        return fitting[-1 - back]


Layer: TypeAlias = Callable[[Draw, Twin], None]
LAYERS: list[Layer] = []
"""All random layers, as `layer` has registered them."""


def layer(*ranks: int) -> Callable[[Callable[[Draw, Twin, Tensor, Nodes], None]], Layer]:
    """A random layer that reads a tensor of one of the ranks; it does nothing without one."""

    def decorate(function: Callable[[Draw, Twin, Tensor, Nodes], None]) -> Layer:
        def drawn(draw: Draw, twin: Twin) -> None:
            value = twin.pick(draw, ranks or (1, 2, 3, 4))
            if value is not None:
                before = len(twin.values)
                function(draw, twin, *value)
                if len(twin.values) > before:
                    twin.layers.append(function.__name__)

        LAYERS.append(drawn)
        return drawn

    return decorate


def divisors(number: int) -> list[int]:
    return [divisor for divisor in range(1, number + 1) if number % divisor == 0]


def per_axis(draw: Draw, axes: int, least: int, most: int) -> list[int]:
    return [draw(st.integers(least, most)) for _ in range(axes)]


def as_argument(draw: Draw, values: Sequence[int]) -> int | tuple[int, ...]:
    """One int if all are equal, as a user would write it, or one for every axis."""
    return values[0] if len(set(values)) == 1 and draw(st.booleans()) else tuple(values)
