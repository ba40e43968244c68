"""What the optimiser of an exporter folded stored tensors from, where the file says so.

PyTorch's exporter works out what no input reaches: a weight is stored transposed, a causal mask and
the cosines of rotary embeddings as numbers, the rows of a table that positions choose as a tensor
of their own, each under the name of the operator that was there. Its files have a list of the
parameters and buffers that the model had, and with every folded tensor the names of all that it was
made of. What was made of no parameter is a constant; what was made of one is that parameter, in
another order, some of its rows, or beside a mask.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from unrolled.importers.onnx.reader import is_float, property_of

__all__ = ["Folding", "read_folding"]

FOLDED_FROM = "pkg.onnxscript.optimizer.folded_from"
"""The property of a value that lists the names of what it was worked out from."""

SIGNATURE = "pkg.torch.export.ExportedProgram.graph_signature"
"""The property of a graph that lists what a model has stored, a line for each."""

STORED = re.compile(
    r"^\w+: (PARAMETER|BUFFER) target='([^'\n]+)'(?: persistent=(True|False))?$", re.MULTILINE
)
QUOTED = re.compile(r"'([^'\n]+)'")


@dataclass(frozen=True)
class Folding:
    """Which stored tensors were made of which parameters.

    Attributes
    ----------
    sources : dict of str to tuple of str
        By the name of a folded tensor, those of the parameters that it was made of; where there is
        none, those of the buffers that the state dict has.
    moved : set of str
        Folded tensors that were made of one tensor and nothing else: they are its transpose.
    left_out : set of str
        Stored tensors that are buffers which the state dict leaves out.
    """

    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    moved: frozenset[str] = frozenset()
    left_out: frozenset[str] = frozenset()

    def only_source(self, name: str) -> str | None:
        """The one parameter that a folded tensor was made of, if it is one."""
        sources = self.sources.get(name, ())
        return sources[0] if len(sources) == 1 else None


def read_folding(graph: Any) -> Folding:
    """What an ONNX graph says of how its stored floating-point tensors came about.

    Parameters
    ----------
    graph : onnx.GraphProto
    """
    parameters: set[str] = set()
    buffers: set[str] = set()
    left_out: set[str] = set()
    for kind, target, persistent in STORED.findall(property_of(graph, SIGNATURE)):
        if kind == "PARAMETER":
            parameters.add(target)
        else:
            (left_out if persistent == "False" else buffers).add(target)
    if not parameters:
        return Folding()
    stored = {one.name for one in graph.initializer if is_float(one.data_type)}
    sources, moved = {}, set()
    for value in graph.value_info:
        if value.name not in stored or value.name in parameters:
            continue
        names = QUOTED.findall(property_of(value, FOLDED_FROM))
        if not names:
            continue
        found = [name for name in names if name in parameters]
        sources[value.name] = tuple(found or [name for name in names if name in buffers])
        if len(names) == 1:
            moved.add(value.name)
    return Folding(sources, frozenset(moved), frozenset(stored & left_out))
