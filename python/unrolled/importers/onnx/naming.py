"""Names that people know for stored tensors that an exporter numbered.

A weight that was transposed on the way is stored as ``onnx::MatMul_4189``. The node that reads it
still says where it belongs: ``/layers/layers.0/attn/qkv/MatMul`` is the module
``layers.0.attn.qkv``. PyTorch's newer exporter says so in a property of the node, and tf2onnx in
the style of TensorFlow, whose paths have slashes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from unrolled.importers.onnx.folding import Folding
from unrolled.importers.onnx.graph import find_needed
from unrolled.importers.onnx.quantisation import MOVING, all_nodes, is_weight_type
from unrolled.importers.onnx.reader import property_of
from unrolled.importers.tracing.values import size_of

__all__ = ["known_names"]

NUMBERED = re.compile(
    r"(/|onnx::|_?val_\d+$|_v_\d+$|const_fold_opt|ConstantFolding|.*_output_\d+$)", re.I
)
"""Names that exporters number, or derive from operators that they have folded."""

SCOPES = "pkg.torch.onnx.name_scopes"
"""The property in which PyTorch lists the modules around a node, the outermost first."""

LONGEST_PATH = 1000

MOST_MOVES = 16
"""Nodes that only move a stored tensor on its way to what reads it."""

BATCH_NORM = ("weight", "weight", "bias", "running_mean", "running_var")
STANDARDISED = ("weight", "scale", "shift", "mean", "variance")
"""The inputs of a batch norm, and of one whose first input is stored: weights are standardised."""

ROLES: dict[str, tuple[str, ...]] = {
    "Add": ("bias", "bias"),
    "Conv": ("weight", "weight", "bias"),
    "ConvTranspose": ("weight", "weight", "bias"),
    "Div": ("scale", "scale"),
    "GRU": ("", "weight_ih", "weight_hh", "bias", "", "hidden"),
    "Gemm": ("weight", "weight", "bias"),
    "GroupNormalization": ("", "weight", "bias"),
    "InstanceNormalization": ("", "weight", "bias"),
    "LSTM": ("", "weight_ih", "weight_hh", "bias", "", "hidden", "cell", "peepholes"),
    "LayerNormalization": ("", "weight", "bias"),
    "Mul": ("scale", "scale"),
    "RNN": ("", "weight_ih", "weight_hh", "bias", "", "hidden"),
    "Sub": ("bias", "bias"),
}
"""What the inputs of operators are to a layer; elsewhere a stored tensor is its weight."""


class Reader(NamedTuple):
    """A node that reads a stored tensor, and at which input."""

    node: Any
    position: int


def known_names(graph: Any, folding: Folding) -> dict[str, str]:
    """Names for the stored tensors of a graph whose own are an exporter's.

    What was folded out of one parameter has the name of that parameter, unless the graph still has
    it. Tensors for which no node tells a name are left out. No two get the same name, nor one that
    the graph has already.
    """
    stored = {tensor.name for tensor in graph.initializer}
    stored |= {tensor.values.name for tensor in graph.sparse_initializer}
    # Shapes and other single numbers are seldom parameters, and must not take the best names.
    wanted = {
        tensor.name: size_of(tensor.dims) == 1
        for tensor in graph.initializer
        if NUMBERED.match(tensor.name) and is_weight_type(tensor.data_type)
    }
    if not wanted and not folding.sources:
        return {}
    needed = find_needed(graph.node, [value.name for value in graph.output])
    readers: dict[str, Reader] = {}
    for node in all_nodes(needed):
        for position, name in enumerate(node.input):
            readers.setdefault(name, Reader(node, position))
    taken = stored | {value.name for value in graph.input}
    taken |= {name for node in all_nodes(graph.node) for name in node.output}
    names: dict[str, str] = {}
    for folded in folding.sources:
        source = folding.only_source(folded)
        if source is not None and source not in taken:
            names[folded] = source
            taken.add(source)
            wanted.pop(folded, None)
    order = {name: at for at, name in enumerate(readers)}
    for name in sorted(wanted, key=lambda one: (wanted[one], order.get(one, -1))):
        free = (one for one in _candidates(name, readers, stored) if one not in taken)
        found = next(free, None)
        if found is not None:
            names[name] = found
            taken.add(found)
    return names


def _candidates(name: str, readers: Mapping[str, Reader], stored: Iterable[str]) -> Iterator[str]:
    """Names that a stored tensor might have, the best first."""
    first = readers.get(name)
    if first is None:
        return
    layer = _layer(first.node)
    if layer is None:
        return
    path, dot, number = layer
    role = _role(_used(first, readers), stored)
    yield f"{path}{dot}{role}"
    if number:
        yield f"{path}{dot}{role}_{number}"
    for more in range(2, 100):
        yield f"{path}{dot}{role}_{number}_{more}" if number else f"{path}{dot}{role}_{more}"


def _used(reader: Reader, readers: Mapping[str, Reader]) -> Reader:
    """What reads a tensor once it was moved."""
    for _ in range(MOST_MOVES):
        is_moved = reader.node.op_type in MOVING and reader.position == 0 and reader.node.output
        following = readers.get(reader.node.output[0]) if is_moved else None
        if following is None:
            break
        reader = following
    return reader


def _role(reader: Reader, stored: Iterable[str]) -> str:
    node, position = reader
    roles: tuple[str, ...]
    if node.op_type == "BatchNormalization":
        roles = STANDARDISED if node.input[0] in stored else BATCH_NORM
    else:
        roles = ROLES.get(node.op_type, ())
    return (roles[position] if position < len(roles) else "") or "weight"


def _layer(node: Any) -> tuple[str, str, str] | None:
    """The module that a node belongs to, what stands before a role, and the node's number in it."""
    scopes = property_of(node, SCOPES)
    if 0 < len(scopes) <= LONGEST_PATH:
        modules = re.findall(r"'([^']*)'", scopes)[:-1]
        if modules and modules[-1]:
            return modules[-1], ".", ""
    path = node.name
    if "/" not in path:
        path = next((re.sub(r"_output_\d+$", "", one) for one in node.output if "/" in one), path)
    if not path or len(path) > LONGEST_PATH or not path.isprintable():
        return None
    *parts, operator = path.split("/")
    number = re.search(r"_(\d+)$", operator)
    if not path.startswith("/"):
        above = "/".join(parts)
        return (above, "/", "") if above else (operator, ".", "")
    parts = [part for part in parts if part]
    # A module in a list is preceded by the list: "layers", "layers.0".
    below = [*parts[1:], ""]
    modules = [one for one, inner in zip(parts, below, strict=False) if not _is_list(one, inner)]
    return (".".join(modules) or operator, ".", number[1] if number else "")


def _is_list(part: str, following: str) -> bool:
    return following.startswith(f"{part}.")
