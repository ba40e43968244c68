"""The inputs of an ONNX model and their shapes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from unrolled._support.hints import described, did_you_mean, listed, shortened
from unrolled.errors import InvalidArgumentError, InvalidModelError
from unrolled.importers.door import Door
from unrolled.importers.onnx.messages import dtype_of
from unrolled.importers.onnx.reader import MOST_AXES
from unrolled.importers.tracing.budget import LARGEST_CONSTANT
from unrolled.importers.tracing.values import Shape, size_of

__all__ = ["FROM_ONNX", "Declared", "declared_inputs", "is_optional", "shape_in_file"]

FROM_ONNX = Door("from_onnx", {"inputs": "input_shapes", "values": "values"})


WHOLE = (int, np.integer)

Length: TypeAlias = int | str | None
"""Of an axis: a number, a symbol that stands for one, or nothing."""


class Declared(NamedTuple):
    """What an input is.

    Attributes
    ----------
    shape : tuple of int
    value : numpy.ndarray or None
        Its elements, if they were given.
    """

    shape: Shape
    value: npt.NDArray[Any] | None = None


def declared_inputs(
    source: str,
    graph: Any,
    given: Mapping[str, Any] | Sequence[int | None] | None,
    weights: Collection[str],
    door: Door,
    values: Mapping[str, Any] | None = None,
) -> dict[str, Declared]:
    """Shapes of all inputs that are not stored tensors, with what the file leaves open filled in.

    A symbol stands for one length wherever it occurs: given by itself, or by the shape of one
    input, it holds for the others.

    Parameters
    ----------
    source : str
        For messages.
    graph : onnx.GraphProto
    given : dict of str to sequence of int or to int, sequence of int, or None
        Shapes by the names of inputs, in which None leaves a length to the file, and lengths by
        symbols.
    weights : collection of str
        Inputs that are parameters; one shape alone is not for them.
    door : Door
        Where the model and the shapes were given.
    values : dict of str to array, optional
        Elements of integer inputs.

    Raises
    ------
    InvalidModelError
        A length is known from nowhere.
    InvalidArgumentError
        Shapes for other inputs, of another rank, or with two lengths for one symbol; values that
        an input cannot have.
    """
    stored = {tensor.name for tensor in graph.initializer}
    stored |= {tensor.values.name for tensor in graph.sparse_initializer}
    inputs = {value.name: value for value in graph.input if value.name not in stored}
    stated = {name: shape_in_file(value) for name, value in inputs.items()}
    data = [name for name in inputs if name not in weights]
    shapes, symbols = _by_name(source, given, data, stated, door)
    arrays = _values(source, inputs, values, door)
    for name, array in arrays.items():
        if array.ndim or not stated[name]:
            shapes.setdefault(name, list(array.shape))
    for name, lengths in shapes.items():
        _bind(source, name, lengths, stated[name], symbols)
    found = {}
    for name, value in inputs.items():
        shape = _shape(value, stated[name], shapes.get(name), symbols, door)
        found[name] = Declared(shape, _fitted(source, name, arrays.get(name), shape))
    return found


def _fitted(
    source: str, name: str, array: npt.NDArray[Any] | None, shape: Shape
) -> npt.NDArray[Any] | None:
    """A value in the shape of its input."""
    if array is None:
        return None
    if not array.ndim and size_of(shape) <= LARGEST_CONSTANT:
        return np.full(shape, array)
    if array.shape != shape:
        raise InvalidArgumentError(
            f"{source}: input '{shortened(name)}' has the shape {shape}, and the value given for "
            f"it {array.shape}"
        )
    return array


def shape_in_file(value: Any) -> list[Length] | None:
    """The lengths that a file states: numbers, names, or nothing; None without a rank.

    Raises
    ------
    InvalidModelError
        More axes than any tensor has.
    """
    tensor = _tensor_type(value)
    if tensor is None or not tensor.HasField("shape"):
        return None
    if len(tensor.shape.dim) > MOST_AXES:
        raise InvalidModelError(
            f"'{shortened(value.name)}' has {len(tensor.shape.dim):,} axes; at most {MOST_AXES} "
            "are read"
        )
    return [
        int(length.dim_value) if length.HasField("dim_value") else (str(length.dim_param) or None)
        for length in tensor.shape.dim
    ]


def is_optional(value: Any) -> bool:
    """Whether an input may be left out when the model is run."""
    return bool(value.type.HasField("optional_type"))


def _tensor_type(value: Any) -> Any:
    """The type of a tensor, or of an optional one; None of anything else."""
    kind = value.type.optional_type.elem_type if is_optional(value) else value.type
    return kind.tensor_type if kind.HasField("tensor_type") else None


def _by_name(
    source: str,
    given: Mapping[str, Any] | Sequence[int | None] | None,
    data: Sequence[str],
    stated: Mapping[str, list[Length] | None],
    door: Door,
) -> tuple[dict[str, list[int | None]], dict[str, int]]:
    """The shapes that were given by the names of inputs, and the lengths by symbols."""
    firsts = {shape[0] for shape in stated.values() if shape}
    open_ = {one for shape in stated.values() for one in shape or () if isinstance(one, str)}
    symbols: dict[str, int] = {}
    rest = given
    if isinstance(given, Mapping):
        rest = dict(given)
        for name, length in given.items():
            is_number = isinstance(length, WHOLE)
            if name in open_ and (is_number or name not in stated):
                shape = [length] if is_number else length
                (found, *more) = checked(source, name, shape, may_be_empty=name not in firsts) or [
                    None
                ]
                if found is not None and not more:
                    symbols[name] = found
                    del rest[name]
    shapes = door.shapes_by_name(rest, source, list(stated), data, sorted(open_))
    return {name: checked(source, name, shape) for name, shape in shapes.items()}, symbols


def _bind(
    source: str,
    name: str,
    shape: Sequence[int | None],
    stated: Sequence[Length] | None,
    symbols: dict[str, int],
) -> None:
    """Note which lengths the shape of an input gives to symbols.

    Raises
    ------
    InvalidArgumentError
        Another number of axes, or another length than the symbol has already.
    """
    if stated is None:
        return
    if len(shape) != len(stated):
        raise InvalidArgumentError(
            f"{source}: input '{shortened(name)}' has {len(stated)} axes, "
            f"{_format_lengths(stated)}, got the shape {tuple(shape)}"
        )
    for axis, (length, symbol) in enumerate(zip(shape, stated, strict=True)):
        if length is None or not isinstance(symbol, str):
            continue
        if symbols.setdefault(symbol, length) != length:
            raise InvalidArgumentError(
                f"{source}: axis {axis} of input '{shortened(name)}' is '{shortened(symbol)}', "
                f"which is {symbols[symbol]} already, and was given the length {length}"
            )


def _values(
    source: str, inputs: Mapping[str, Any], given: Mapping[str, Any] | None, door: Door
) -> dict[str, npt.NDArray[Any]]:
    """The values of integer inputs, in the types of the inputs."""
    term = door.term("values")
    if given is not None and not isinstance(given, Mapping):
        raise InvalidArgumentError(
            f"{term} must be a dict of inputs and values, got {described(given)}"
        )
    found = {}
    for name, value in (given or {}).items():
        if name not in inputs:
            raise InvalidArgumentError(
                f"{source}: {term}: there is no input '{shortened(str(name))}'"
                f"{did_you_mean(str(name), list(inputs))}"
            )
        what = f"{source}: {term}: input '{shortened(name)}'"
        kind = getattr(_tensor_type(inputs[name]), "elem_type", 0)
        try:
            array, dtype = np.asarray(value), dtype_of(kind)
        except (KeyError, TypeError, ValueError, OverflowError):
            raise InvalidArgumentError(
                f"{what} cannot have a value, got {described(value)}"
            ) from None
        if dtype.kind not in "iub":
            raise InvalidArgumentError(
                f"{what} is of type {dtype}; only integers and truth values may be given"
            )
        if array.dtype.kind not in "iub" or array.size > LARGEST_CONSTANT:
            raise InvalidArgumentError(
                f"{what}: expected up to {LARGEST_CONSTANT:,} integers, got {described(value)}"
            )
        typed = array.astype(dtype)
        if not np.array_equal(typed, array):
            raise InvalidArgumentError(f"{what}: {dtype} cannot hold {described(value)}")
        found[name] = typed
    return found


def checked(source: str, name: str, shape: Any, *, may_be_empty: bool = False) -> list[int | None]:
    """A shape of positive ints, and of None for lengths that the file may say.

    Behind the first axis a length may be 0, as that of an empty cache of keys and values; and the
    first one, if it `may_be_empty`.
    """
    try:
        lengths = [None if length is None else int(length) for length in shape]
        whole = all(length == int_ for length, int_ in zip(shape, lengths, strict=True))
    except (TypeError, ValueError, OverflowError):
        lengths, whole = [], False
    negative = any(n is not None and n < 0 for n in lengths)
    empty = lengths[:1] == [0] and not may_be_empty
    if not whole or len(lengths) > MOST_AXES or negative or empty:
        raise InvalidArgumentError(
            f"{source}: input '{shortened(str(name))}': a shape is a sequence of positive integers "
            f"such as (1, 3, 224, 224), of at most {MOST_AXES}; got {described(shape)}"
        )
    return lengths


def _shape(
    value: Any,
    stated: Sequence[Length] | None,
    given: Sequence[int | None] | None,
    symbols: Mapping[str, int],
    door: Door,
) -> Shape:
    """The shape of an input: as given, else as the file says, symbols replaced."""
    shown = shortened(value.name)
    if stated is None:
        kind = value.type.WhichOneof("value")
        if kind is not None and _tensor_type(value) is None:
            raise InvalidModelError(
                f"input '{shown}' is no tensor but of {kind.replace('_', ' ')}; give a model that "
                "makes it of tensors"
            )
        if given is None or None in given:
            raise InvalidModelError(
                f"the file does not say the shape of input '{shown}'; give "
                f"{door.shape(FROM_ONNX, shown, ['...'])}"
            )
        return tuple([length for length in given if length is not None])
    lengths: list[int] = []
    for axis, length in enumerate(stated):
        found = None if given is None else given[axis]
        is_asked_for = found is not None or isinstance(length, str)
        if found is None:
            found = symbols.get(length) if isinstance(length, str) else length
        if found is None or found < (0 if is_asked_for else 1):
            known = f" ('{shortened(length)}')" if isinstance(length, str) else ""
            example = [n if isinstance(n, int) and n > 0 else 1 for n in stated]
            raise InvalidModelError(
                f"input '{shown}' has shape {_format_lengths(stated)}, and nothing says how long "
                f"its axis {axis}{known} is; give {door.shape(FROM_ONNX, shown, example)}, or with "
                "the lengths you want"
            )
        lengths.append(found)
    return tuple(lengths)


def _format_lengths(lengths: Sequence[Length]) -> str:
    shown = listed(["?" if length is None else length for length in lengths])
    return f"({shown},)" if len(lengths) == 1 else f"({shown})"
