"""ONNX files: reading them, their limits, and the nodes that rules see."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from unrolled._support.files import open_regular, read_bytes
from unrolled._support.hints import described, listed, shortened
from unrolled._support.optional import import_optional
from unrolled.errors import InvalidArgumentError, InvalidModelError
from unrolled.importers.onnx.messages import array_of, dtype_of, messages, type_name, value_of
from unrolled.importers.onnx.wire import check_fields
from unrolled.importers.tracing.budget import LARGEST_CONSTANT, Budget
from unrolled.importers.tracing.masking import LOW
from unrolled.importers.tracing.values import Constant, Operand, Shape, Value, size_of

__all__ = [
    "Items",
    "Node",
    "Stored",
    "check_location",
    "check_model",
    "first_elements",
    "is_external",
    "is_float",
    "load_model",
    "may_put_out",
    "name_of",
    "named_source",
    "property_of",
    "read_constant",
    "shape_of_tensor",
]

LARGEST_FILE = 1 << 31
"""Bytes; a protocol buffer cannot be larger."""

MOST_NODES = 200_000
"""A model with all its functions and subgraphs may have so many nodes."""

MOST_PARTS = 2_000_000
"""Inputs, outputs and attributes of nodes, stored tensors and declared values, of all graphs."""

MOST_AXES = 64
"""A tensor may have so many axes, as in NumPy."""

MOST_VALUES = 1 << 20
"""One attribute may have so many values."""

LONGEST_PROPERTY = 1 << 20
"""Characters of a property that are read."""

LARGEST_ELEMENT = 8
"""Bytes of an integer."""

LARGEST_WEIGHT = 1 << 12
"""Floating-point numbers of a stored tensor that are read; weights need no values."""

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


def named_source(model: Any) -> str:
    """What errors call a model."""
    if isinstance(model, bytes):
        return "bytes"
    return str(model) if isinstance(model, (str, Path)) else f"a {type(model).__name__}"


def load_model(model: Any) -> tuple[Any, Path | None]:
    """A ModelProto of a file, of bytes, or as given; external data is left where it is.

    Returns
    -------
    model : onnx.ModelProto
    folder : Path or None
        Where external data would be.
    """
    onnx = messages()
    if isinstance(model, onnx.ModelProto):
        return model, None
    if not isinstance(model, (str, Path, bytes)):
        raise InvalidArgumentError(
            f"expected the path of an ONNX file or an onnx.ModelProto, got {described(model)}"
        )
    if isinstance(model, bytes):
        return _parse(onnx, model), None
    path = Path(model)
    try:
        content = read_bytes(path, LARGEST_FILE)
    except OSError as error:
        hint = ""
        if error.errno == errno.EFBIG:
            hint = ", which no ONNX file can have; store the weights as external data"
        raise InvalidModelError(f"cannot be read: {error.strerror or error}{hint}") from error
    except ValueError as error:  # A path with a null character.
        raise InvalidModelError(f"cannot be read: {error}") from None
    return _parse(onnx, content), path.parent


def _parse(onnx: Any, content: bytes) -> Any:
    DecodeError = import_optional("google.protobuf.message", "onnx").DecodeError  # noqa: N806

    model = onnx.ModelProto()
    try:
        check_fields(content, onnx.ModelProto.DESCRIPTOR)
    except ValueError as error:
        raise InvalidModelError(f"{error}; no model that large is read") from None
    try:
        model.ParseFromString(content)
    except (DecodeError, ValueError, RecursionError) as error:
        if "alloc" in str(error):  # Protocol buffers have no error of their own for it.
            raise MemoryError(str(error)) from None
        raise InvalidModelError(f"not an ONNX file: {error}") from None
    return model


def check_model(model: Any) -> None:
    """Refuse a model with too many parts in all, and names that are no text or are given twice.

    Every name of a graph has one meaning: of its stored tensors and the outputs of its nodes, no
    two may have the same, nor an output of a node that of an input. A stored tensor may have the
    name of an input, for which it is the default.
    """
    functions = [(one.domain, one.name, getattr(one, "overload", "")) for one in model.functions]
    _check_once("two functions are called", ["::".join(map(str, one)) for one in functions])
    _check_once("two versions are imported of the domain", [e.domain for e in model.opset_import])
    waiting = [model.graph, *model.functions]
    nodes = parts = 0
    while waiting:
        graph = waiting.pop()
        nodes += len(graph.node)
        if nodes > MOST_NODES:
            raise InvalidModelError(f"more than {MOST_NODES:,} nodes; no model that large is read")
        parts += _parts(graph)
        if parts > MOST_PARTS:
            raise InvalidModelError(
                f"nodes, stored tensors and declared values have more than {MOST_PARTS:,} parts in "
                "all; no model that large is read"
            )
        for name in _names(graph):
            if not isinstance(name, str):  # Protocol buffers give bytes that are no UTF-8 as bytes.
                raise InvalidModelError(f"not an ONNX file: a name is no text: {described(name)}")
        _check_graph(graph)
        for node in graph.node:
            _check_once(
                f"node '{name_of(node)}': two attributes are called",
                [attribute.name for attribute in node.attribute],
            )
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    waiting.append(attribute.g)
                waiting += attribute.graphs


def _check_graph(graph: Any) -> None:
    computed = [name for node in graph.node for name in node.output]
    if hasattr(graph, "initializer"):
        inputs = [value.name for value in graph.input]
        stored = [tensor.name for tensor in graph.initializer]
        stored += [tensor.values.name for tensor in graph.sparse_initializer]
        _check_once("two inputs have one name,", inputs)
        _check_once("two stored tensors have one name,", stored)
    else:
        inputs, stored = list(graph.input), []
        _check_once("two inputs have one name,", inputs)
    _check_once("two nodes compute", computed)
    for kind, names in (("a stored tensor", stored), ("an input", inputs)):
        both = set(names).intersection(computed) - {""}
        if both:
            raise InvalidModelError(f"'{shortened(min(both))}' is {kind}, and a node computes it")


def _check_once(what: str, names: Iterable[str]) -> None:
    seen = set[str]()
    for name in names:
        if name in seen and name:
            raise InvalidModelError(f"{what} '{shortened(name)}'")
        seen.add(name)


def _parts(graph: Any) -> int:
    """How much there is in a graph or function besides its nodes, but for subgraphs."""
    parts = len(graph.input) + len(graph.output)
    if hasattr(graph, "initializer"):
        parts += len(graph.initializer) + len(graph.sparse_initializer) + len(graph.value_info)
    for node in graph.node:
        parts += len(node.input) + len(node.output) + len(node.attribute)
    return parts


def name_of(node: Any) -> str:
    """What errors call a node."""
    return shortened(str(node.name or next(filter(None, node.output), "") or node.op_type))


def _names(graph: Any) -> Iterator[Any]:
    """All names in a graph or function, but for those in its subgraphs."""
    yield graph.name
    if hasattr(graph, "initializer"):
        yield from [tensor.name for tensor in graph.initializer]
        yield from [tensor.values.name for tensor in graph.sparse_initializer]
        yield from [value.name for value in (*graph.input, *graph.output, *graph.value_info)]
        for tensor in graph.initializer:
            for entry in tensor.external_data:
                yield from (entry.key, entry.value)
    else:
        yield from (graph.domain, *graph.input, *graph.output)
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        for attribute in node.attribute:
            yield from (attribute.name, attribute.ref_attr_name)


def property_of(part: Any, key: str) -> str:
    """What a node, a value or a graph says of itself under a key; nothing if it is no text."""
    for entry in getattr(part, "metadata_props", ()):
        # Protocol buffers give bytes that are no UTF-8 as bytes.
        if entry.key == key and isinstance(entry.value, str):
            return entry.value if len(entry.value) <= LONGEST_PROPERTY else ""
    return ""


@cache
def is_float(data_type: int) -> bool:
    """Whether a TensorProto of this type holds floating-point numbers."""
    return type_name(data_type) in FLOATS


def shape_of_tensor(name: str, tensor: Any) -> Shape:
    """The shape of a stored tensor."""
    if len(tensor.dims) > MOST_AXES:
        raise InvalidModelError(
            f"tensor '{shortened(name)}': {len(tensor.dims):,} axes; at most {MOST_AXES} are read"
        )
    shape = tuple([int(length) for length in tensor.dims])
    if any(length < 0 for length in shape):
        raise InvalidModelError(
            f"tensor '{shortened(name)}': shape ({listed(shape)}) has a negative length"
        )
    return shape


def read_constant(
    name: str,
    tensor: Any,
    folder: Path | None,
    budget: Budget,
    most: int = LARGEST_CONSTANT,
    *,
    is_weight: bool = True,
) -> Constant:
    """A stored tensor as a constant; its elements only if they are at hand and not too many.

    Floating-point numbers of another file are read where it is known that they are no weights.
    """
    shape = shape_of_tensor(name, tensor)
    if is_external(tensor):
        check_location(name, tensor)
        if (is_weight and is_float(tensor.data_type)) or folder is None:
            return Constant(shape)
    if size_of(shape) > most:
        return Constant(shape)
    if is_external(tensor):
        assert folder is not None
        found = _with_external_data(name, tensor, folder, size_of(shape))
        if found is None:
            return Constant(
                shape
            )  # The file is not there; a rule that needs the elements reports that.
        tensor = found
    try:
        array = array_of(tensor).reshape(shape)
    except MemoryError:
        raise
    except Exception as error:
        raise InvalidModelError(f"tensor '{shortened(name)}': cannot be read: {error}") from None
    budget.work(f"tensor '{shortened(name)}'", array.size)
    budget.hold(f"tensor '{shortened(name)}'", array)
    return Constant(shape, array)


def stored_values(tensor: Any) -> Any:
    """The elements of a tensor of floats; None if the file does not hold them."""
    fields = ("raw_data", "float_data", "double_data", "int32_data")
    if is_external(tensor) or not any(len(getattr(tensor, field)) for field in fields):
        return None
    try:
        return array_of(tensor)
    except (ValueError, TypeError):
        return None  # Only the shape is told, as in models without their weights.


def first_elements(
    name: str, tensor: Any, folder: Path | None, budget: Budget, number: int
) -> Constant:
    """The first elements of a tensor that is stored in another file, as many as asked for."""
    part = messages().TensorProto()
    part.CopyFrom(tensor)
    part.ClearField("dims")
    part.dims.append(number)
    return read_constant(name, part, folder, budget, is_weight=False)


def may_put_out(tensor: Any) -> bool:
    """Whether a large stored tensor begins as a mask would that is added to scores."""
    if is_external(tensor) or not tensor.raw_data:
        return False
    try:
        kind = dtype_of(tensor.data_type)
    except (KeyError, ValueError, TypeError):
        return False
    if kind.kind != "f" or len(tensor.raw_data) < LARGEST_WEIGHT * kind.itemsize:
        return False
    first = np.frombuffer(tensor.raw_data, dtype=kind, count=LARGEST_WEIGHT)
    return bool(np.all((first == 0) | (first <= LOW)))


def is_external(tensor: Any) -> bool:
    """Whether the elements of a tensor are in another file."""
    return bool(tensor.data_location == tensor.EXTERNAL)


def check_location(name: str, tensor: Any) -> None:
    """Refuse external data outside of the folder of the model."""
    for entry in tensor.external_data:
        if entry.key != "location":
            continue
        path = PurePosixPath(entry.value.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in entry.value:
            raise _outside(name, entry.value)


def _outside(name: str, location: str) -> InvalidModelError:
    return InvalidModelError(
        f"tensor '{shortened(name)}': external data at '{shortened(location)}' lies outside of the "
        "folder of the model"
    )


def _with_external_data(name: str, tensor: Any, folder: Path, size: int) -> Any:
    """The same tensor with its elements, of another file; None if they are not there.

    Only as many bytes are read as the elements can have, from a regular file that is in the folder
    of the model when all links are followed.
    """
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    try:
        path = (folder / location).resolve(strict=True)
        is_inside = path.is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):
        return None
    if not is_inside:
        raise _outside(name, location)
    try:
        with open_regular(path) as stream:
            stream.seek(int(entries.get("offset", 0)))
            most = size * _bytes_of_element(tensor.data_type)
            length = min(int(entries.get("length", most)), most)
            content = stream.read(max(length, 0))
    except (OSError, ValueError, OverflowError):
        return None
    found = messages().TensorProto()
    found.data_type = tensor.data_type
    found.dims.extend(tensor.dims)
    found.raw_data = content
    return found


def _bytes_of_element(data_type: int) -> int:
    if not is_float(data_type):
        return LARGEST_ELEMENT
    try:
        return int(dtype_of(data_type).itemsize)
    except (KeyError, ValueError, TypeError):
        return LARGEST_ELEMENT


@dataclass(frozen=True, eq=False)
class Items:
    """A sequence of tensors, which stands for itself in the place of an operand."""

    operands: list[Operand]


@dataclass(frozen=True)
class Stored:
    """A tensor that the file stores.

    Attributes
    ----------
    constant : Constant
        With its elements, if they are at hand.
    value : Value or None
        The parameter that it is where something is computed from it; None if it is none.
    view : callable or None
        Returns the stored tensor where that is not the parameter as it is, but a part of it, or
        its axes in another order.
    """

    constant: Constant
    value: Value | None
    view: Callable[[], Operand] | None = None

    @property
    def operand(self) -> Operand:
        """What it is as an operand."""
        if self.view is not None:
            return self.view()
        return self.constant if self.value is None else self.value


class Node:
    """A node of an ONNX graph, as rules see it.

    Attributes
    ----------
    operator : str
        Such as "Conv"; of other domains with the domain before it, "com.microsoft::Gelu".
    name : str
        For messages, not too long.
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
        read: Callable[[str, Any], Constant],
        run_body: Callable[[Any, Sequence[Operand]], list[Operand]],
    ) -> None:
        self.operator = operator
        self.proto = proto
        self.opset = opset
        self.inputs = inputs
        self.outputs = list(proto.output)
        self.name = name_of(proto)
        self._references = references
        self._read = read
        self.run_body = run_body

    def named(self, operator: str) -> Node:
        """The same node for the rule of another operator, which it was fused from."""
        node = copy(self)
        node.operator = operator
        return node

    def given(self, inputs: Mapping[int, Operand | None], *, only: bool = False) -> Node:
        """The same node with other operands at some positions, and at the others none if `only`."""
        node = copy(self)
        kept = [] if only else self.inputs
        length = max(len(kept), *[position + 1 for position in inputs])
        node.inputs = [kept[at] if at < len(kept) else None for at in range(length)]
        for position, operand in inputs.items():
            node.inputs[position] = operand
        return node

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
        found = self.anything(position)
        if isinstance(found, Items):
            raise InvalidModelError(
                f"node '{self.name}' ({self.operator}): input {position} is a sequence of tensors"
            )
        return found

    def anything(self, position: int) -> Operand | Items | None:
        """An operand or a sequence of them, or None if it was left out."""
        if position >= len(self.inputs) or self.inputs[position] is None:
            return None
        found: Operand | Items | Stored = self.inputs[position]
        return found.operand if isinstance(found, Stored) else found

    def integers(self, position: int) -> list[int] | None:
        """An operand that has to be constant, as a list; None if it was left out."""
        constant = self.constant(position)
        return (
            None if constant is None else constant.integers(f"node '{self.name}', input {position}")
        )

    def number(self, position: int, default: int | None = None) -> int:
        """An operand that has to be one constant integer; an error if there is none by default."""
        given = self.integers(position)
        if given is None and default is not None:
            return default
        if given is None:
            self.input(position)
        if given is None or len(given) != 1:
            raise InvalidModelError(
                f"node '{self.name}' ({self.operator}): input {position} has to be one integer, "
                f"got {listed(given or ['none'])}"
            )
        return given[0]

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
        for attribute in self.proto.attribute:
            if attribute.name != name:
                continue
            if attribute.ref_attr_name:
                attribute = self._references.get(attribute.ref_attr_name)
                if attribute is None:
                    return default
            if attribute.type == attribute.TENSOR:
                return self._read(f"{self.name}:{name}", attribute.t)
            try:
                for kind in ("ints", "floats", "strings"):
                    if len(getattr(attribute, kind)) > MOST_VALUES:
                        raise ValueError(f"it has more than {MOST_VALUES:,} values")
                value = value_of(attribute)
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
            f"node '{node}': attribute '{name}' is {shortened(repr(value))}, expected a "
            f"{type(default).__name__}"
        )
    return value
