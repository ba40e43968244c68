"""ONNX files: reading them, their limits, and the nodes that rules see."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from unrolled._support.optional import import_optional
from unrolled.errors import InvalidArgumentError, InvalidModelError
from unrolled.importers.tracing.values import (
    LARGEST_CONSTANT,
    Constant,
    Operand,
    Shape,
    Value,
    size_of,
)

__all__ = [
    "Node",
    "Stored",
    "check_location",
    "check_model",
    "is_float",
    "load_model",
    "read_constant",
    "shape_of_tensor",
]

LARGEST_FILE = 1 << 31
"""Bytes; a protocol buffer cannot be larger."""

MOST_NODES = 200_000
"""Of a model with all its functions and subgraphs."""

FLOATS = (
    "FLOAT",
    "DOUBLE",
    "FLOAT16",
    "BFLOAT16",
    "FLOAT8E4M3FN",
    "FLOAT8E4M3FNUZ",
    "FLOAT8E5M2",
    "FLOAT8E5M2FNUZ",
    "FLOAT8E8M0",
    "FLOAT4E2M1",
    "COMPLEX64",
    "COMPLEX128",
)


def load_model(model: Any) -> tuple[Any, str, Path | None]:
    """A ModelProto of a file, of bytes, or as given; external data is left where it is.

    Returns
    -------
    model : onnx.ModelProto
    source : str
        For messages.
    folder : Path or None
        Where external data would be.
    """
    onnx = import_optional("onnx", "onnx")
    if isinstance(model, onnx.ModelProto):
        return model, "a ModelProto", None
    if not isinstance(model, (str, Path, bytes)):
        raise InvalidArgumentError(
            f"expected the path of an ONNX file or an onnx.ModelProto, got {type(model).__name__}"
        )
    if isinstance(model, bytes):
        return _parsed(onnx, model, "bytes"), "bytes", None
    path = Path(model)
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise InvalidModelError(
                f"{path}: {size:,} bytes are more than an ONNX file can have; store the weights as "
                "external data"
            )
        content = path.read_bytes()
    except OSError as error:
        raise InvalidModelError(f"{path}: cannot be read: {error.strerror or error}") from error
    return _parsed(onnx, content, str(path)), str(path), path.parent


def _parsed(onnx: Any, content: bytes, source: str) -> Any:
    DecodeError = import_optional("google.protobuf.message", "onnx").DecodeError  # noqa: N806

    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except (DecodeError, ValueError, RecursionError) as error:
        raise InvalidModelError(f"{source}: not an ONNX file: {error}") from None
    return model


def check_model(source: str, model: Any) -> None:
    """Refuse a model with too many nodes in all, with names that are no text, or meant twice."""
    waiting = [model.graph, *model.functions]
    found = 0
    while waiting:
        graph = waiting.pop()
        found += len(graph.node)
        if found > MOST_NODES:
            raise InvalidModelError(
                f"{source}: more than {MOST_NODES:,} nodes; no model that large is read"
            )
        for name in _names(graph):
            if not isinstance(name, str):  # Protocol buffers give bytes that are no UTF-8 as bytes.
                raise InvalidModelError(f"{source}: not an ONNX file: a name is no text: {name!r}")
        computed = set[str]()
        for node in graph.node:
            twice = computed.intersection(node.output) - {""}
            if twice:
                raise InvalidModelError(f"{source}: two nodes compute '{min(twice)}'")
            computed.update(node.output)
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    waiting.append(attribute.g)
                waiting += attribute.graphs


def _names(graph: Any) -> Iterator[Any]:
    """All names in a graph or function, but for those in its subgraphs."""
    yield graph.name
    if hasattr(graph, "initializer"):
        yield from [tensor.name for tensor in graph.initializer]
        yield from [tensor.values.name for tensor in graph.sparse_initializer]
        yield from [value.name for value in (*graph.input, *graph.output, *graph.value_info)]
    else:
        yield from (graph.domain, *graph.input, *graph.output)
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        for attribute in node.attribute:
            yield from (attribute.name, attribute.ref_attr_name)


def is_float(data_type: int) -> bool:
    """Whether a TensorProto of this type holds floating-point numbers."""
    from onnx import TensorProto

    try:
        return TensorProto.DataType.Name(data_type) in FLOATS
    except ValueError:
        return False


def shape_of_tensor(name: str, tensor: Any) -> Shape:
    """The shape of a stored tensor."""
    shape = tuple([int(length) for length in tensor.dims])
    if any(length < 0 for length in shape):
        raise InvalidModelError(f"tensor '{name}': shape {shape} has a negative length")
    return shape


def read_constant(name: str, tensor: Any, folder: Path | None) -> Constant:
    """A stored tensor as a constant; its elements only if they are small and at hand."""
    from onnx import TensorProto, numpy_helper

    shape = shape_of_tensor(name, tensor)
    if tensor.data_location == TensorProto.EXTERNAL:
        check_location(name, tensor)
        if is_float(tensor.data_type) or folder is None:
            return Constant(shape)
    if size_of(shape) > LARGEST_CONSTANT:
        return Constant(shape)
    base = "" if folder is None else str(folder)
    try:
        return Constant(shape, np.asarray(numpy_helper.to_array(tensor, base)).reshape(shape))
    except Exception as error:
        if tensor.data_location == TensorProto.EXTERNAL:
            return Constant(shape)  # Not there; whoever needs its elements says so.
        raise InvalidModelError(f"tensor '{name}': cannot be read: {error}") from None


def check_location(name: str, tensor: Any) -> None:
    """Refuse external data outside of the folder of the model."""
    for entry in tensor.external_data:
        if entry.key != "location":
            continue
        path = PurePosixPath(entry.value.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in entry.value:
            raise InvalidModelError(
                f"tensor '{name}': external data at {entry.value!r} lies outside of the folder of "
                "the model"
            )


@dataclass(frozen=True)
class Stored:
    """A tensor that the file stores.

    Attributes
    ----------
    constant : Constant
        With its elements, if they are at hand.
    value : Value or None
        The parameter that it is where something is computed from it; None if it is none.
    """

    constant: Constant
    value: Value | None

    @property
    def operand(self) -> Operand:
        """What it is as an operand."""
        return self.constant if self.value is None else self.value


class Node:
    """A node of an ONNX graph, as rules see it.

    Attributes
    ----------
    operator : str
        Such as "Conv"; of other domains with the domain before it, "com.microsoft::Gelu".
    name : str
        For messages.
    opset : int
        The version of its domain.
    inputs : list of Operand, Stored or None
        None for those left out.
    outputs : list of str
        Empty names for those that nobody wants.
    proto : onnx.NodeProto
    run_body : callable
        Reads a subgraph once: takes the graph and its inputs, returns its outputs.
    """

    def __init__(
        self,
        operator: str,
        proto: Any,
        opset: int,
        inputs: list[Any],
        references: Mapping[str, Any],
        folder: Path | None,
        run_body: Callable[[Any, Sequence[Operand]], list[Operand]],
    ) -> None:
        self.operator = operator
        self.proto = proto
        self.opset = opset
        self.inputs = inputs
        self.outputs = list(proto.output)
        self.name = proto.name or (self.outputs[0] if self.outputs else "") or operator
        self._references = references
        self._folder = folder
        self.run_body = run_body

    def input(self, position: int) -> Operand:
        """An operand that must be there."""
        operand = self.optional(position)
        if operand is None:
            raise InvalidModelError(
                f"node '{self.name}' ({self.operator}): input {position} is missing"
            )
        return operand

    def optional(self, position: int) -> Operand | None:
        """An operand, or None if it was left out."""
        if position >= len(self.inputs) or self.inputs[position] is None:
            return None
        found: Operand | Stored = self.inputs[position]
        return found.operand if isinstance(found, Stored) else found

    def integers(self, position: int) -> list[int] | None:
        """An operand that has to be constant, as a list; None if it was left out."""
        constant = self.constant(position)
        return (
            None if constant is None else constant.integers(f"node '{self.name}', input {position}")
        )

    def constant(self, position: int) -> Constant | None:
        """An operand that has to be constant; None if it was left out."""
        if position < len(self.inputs) and isinstance(self.inputs[position], Stored):
            stored: Stored = self.inputs[position]
            return stored.constant
        operand = self.optional(position)
        if operand is not None and not isinstance(operand, Constant):
            raise InvalidModelError(
                f"node '{self.name}' ({self.operator}): input {position} is known only at run "
                "time, and the shapes that follow depend on it; export the model with static shapes"
            )
        return operand

    def attribute(self, name: str, default: Any = None) -> Any:
        """The value of an attribute: an int, a float, a str, a list, a graph, or a Constant."""
        from onnx import AttributeProto, helper

        for attribute in self.proto.attribute:
            if attribute.name != name:
                continue
            if attribute.ref_attr_name:
                attribute = self._references.get(attribute.ref_attr_name)
                if attribute is None:
                    return default
            if attribute.type == AttributeProto.TENSOR:
                return read_constant(f"{self.name}:{name}", attribute.t, self._folder)
            try:
                value = helper.get_attribute_value(attribute)
            except (ValueError, TypeError) as error:
                raise InvalidModelError(
                    f"node '{self.name}': attribute '{name}' cannot be read: {error}"
                ) from None
            return _plain(self.name, name, value, default)
        return default

    def graph(self, name: str) -> Any:
        """The subgraph of an attribute, which must be there."""
        for attribute in self.proto.attribute:
            if attribute.name == name and attribute.HasField("g"):
                return attribute.g
        raise InvalidModelError(f"node '{self.name}' ({self.operator}): it has no {name}")

    def has(self, name: str) -> bool:
        """Whether an attribute is there."""
        return any(attribute.name == name for attribute in self.proto.attribute)


def _plain(node: str, name: str, value: Any, default: Any) -> Any:
    """An attribute's value as Python has it, of the type of the default if there is one."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    elif not isinstance(value, (int, float, str)) and hasattr(value, "__iter__"):
        value = [one.decode("utf-8", "replace") if isinstance(one, bytes) else one for one in value]
    if default is not None and not isinstance(value, type(default)):
        if isinstance(default, float) and isinstance(value, int):
            return float(value)
        raise InvalidModelError(
            f"node '{node}': attribute '{name}' is {value!r}, expected a {type(default).__name__}"
        )
    return value
