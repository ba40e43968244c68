"""Random small networks, built twice: as a `Network` and, element by element, as its graph."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from oracles.element_graph import ElementGraph
from strategies.random_layers import dense
from strategies.random_movement import add_parameter
from strategies.twin import LAYERS, Draw, Layer, Twin
from unrolled.network import Network

__all__ = ["Twin", "twins"]


@st.composite
def twins(draw: Draw, layers: Sequence[Layer] = LAYERS) -> Twin:
    """Networks of two to nine random layers, one or two inputs and one or more outputs."""
    semantics = draw(st.sampled_from(["dependency", "value"]))
    twin = Twin(Network("random", semantics=semantics), ElementGraph(semantics))
    for _ in range(draw(st.integers(1, 2))):
        axes = draw(st.sampled_from([2, 1, 3, 0]))
        longest = {0: 0, 1: 7, 2: 6, 3: 3}[axes]
        spatial = [draw(st.integers(3, longest)) for _ in range(axes)]
        twin.input((draw(st.sampled_from([2, 4, 3, 1])), *spatial))
    for value in twin.values[:]:
        # A parameter for every input element shows which of them the layers really read.
        add_parameter(twin, *value)
    for _ in range(draw(st.integers(2, 9))):
        draw(st.sampled_from(layers))(draw, twin)
    # Whatever was drawn, the last tensor is used, and some parameter has a context.
    dense(draw, twin)
    computed = [value for value in twin.values[:-1] if value[0].role == "activation"]
    others = st.lists(st.sampled_from(computed), max_size=2, unique_by=id)
    for tensor, nodes in [twin.values[-1], *draw(others)]:
        twin.network.output(tensor)
        twin.graph.output(nodes)
    return twin
