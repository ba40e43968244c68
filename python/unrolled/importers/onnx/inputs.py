"""The inputs of an ONNX model and their shapes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from unrolled._support.hints import described, listed, shortened
from unrolled.errors import InvalidArgumentError, InvalidModelError
from unrolled.importers.door import Door
from unrolled.importers.onnx.reader import MOST_AXES
from unrolled.importers.tracing.values import Shape

__all__ = ["FROM_ONNX", "declared_inputs", "shape_in_file"]

FROM_ONNX = Door("from_onnx", {"inputs": "input_shapes"})


def declared_inputs(
    source: str,
    graph: Any,
    given: Mapping[str, Sequence[int]] | Sequence[int] | None,
    weights: Collection[str],
    door: Door,
) -> dict[str, Shape]:
    """Shapes of all inputs that are not stored tensors, with what the file leaves open filled in.

    Parameters
    ----------
    source : str
        For messages.
    graph : onnx.GraphProto
    given : dict of str to sequence of int, sequence of int, or None
    weights : collection of str
        Inputs that are parameters; one shape alone is not for them.
    door : Door
        Where the model and the shapes were given.

    Raises
    ------
    InvalidModelError
        A length is known from nowhere.
    InvalidArgumentError
        Shapes for other inputs, or of another rank.
    """
    stored = {tensor.name for tensor in graph.initializer}
    stored |= {tensor.values.name for tensor in graph.sparse_initializer}
    inputs = [value for value in graph.input if value.name not in stored]
    names = [value.name for value in inputs]
    data = [name for name in names if name not in weights]
    shapes = {
        name: checked(source, name, shape)
        for name, shape in door.shapes_by_name(given, source, names, data).items()
    }
    return {value.name: _shape(source, value, shapes.get(value.name), door) for value in inputs}


def shape_in_file(value: Any) -> list[int | str | None] | None:
    """The lengths that a file states: numbers, names, or nothing; None without a rank.

    Raises
    ------
    InvalidModelError
        More axes than any tensor has.
    """
    if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
        return None
    if len(value.type.tensor_type.shape.dim) > MOST_AXES:
        raise InvalidModelError(
            f"'{shortened(value.name)}' has {len(value.type.tensor_type.shape.dim):,} axes; at "
            f"most {MOST_AXES} are read"
        )
    return [
        int(length.dim_value) if length.HasField("dim_value") else (str(length.dim_param) or None)
        for length in value.type.tensor_type.shape.dim
    ]


def checked(source: str, name: str, shape: Any) -> Shape:
    """A shape of positive ints."""
    try:
        lengths = tuple([int(length) for length in shape])
        whole = all(length == int_ for length, int_ in zip(shape, lengths, strict=True))
    except (TypeError, ValueError, OverflowError):
        lengths, whole = (), False
    if not whole or len(lengths) > MOST_AXES or any(length < 1 for length in lengths):
        raise InvalidArgumentError(
            f"{source}: input '{name}': a shape is a sequence of positive integers such as "
            f"(1, 3, 224, 224), of at most {MOST_AXES}; got {described(shape)}"
        )
    return lengths


def _shape(source: str, value: Any, given: Shape | None, door: Door) -> Shape:
    shown = shortened(value.name)
    stated = shape_in_file(value)
    if stated is None:
        kind = value.type.WhichOneof("value")
        if kind not in (None, "tensor_type"):
            raise InvalidModelError(f"input '{shown}' is no tensor but a {kind}")
        if given is None:
            raise InvalidModelError(
                f"the file does not say the shape of input '{shown}'; give "
                f"{door.shape(FROM_ONNX, shown, ['...'])}"
            )
        return given
    if given is not None:
        if len(given) != len(stated):
            raise InvalidArgumentError(
                f"{source}: input '{shown}' has {len(stated)} axes, {_format_lengths(stated)}, "
                f"got the shape {given}"
            )
        return given
    for axis, length in enumerate(stated):
        if not isinstance(length, int) or length < 1:
            known = f" ('{shortened(length)}')" if isinstance(length, str) else ""
            example = [n if isinstance(n, int) and n > 0 else 1 for n in stated]
            raise InvalidModelError(
                f"input '{shown}' has shape {_format_lengths(stated)}, and nothing says how long "
                f"its axis {axis}{known} is; give {door.shape(FROM_ONNX, shown, example)}, or with "
                "the lengths you want"
            )
    return tuple([int(length) for length in stated if length is not None])


def _format_lengths(lengths: Sequence[int | str | None]) -> str:
    shown = listed(["?" if length is None else length for length in lengths])
    return f"({shown},)" if len(lengths) == 1 else f"({shown})"
