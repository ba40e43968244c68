"""The inputs of an ONNX model and their shapes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from unrolled._support.hints import did_you_mean
from unrolled.errors import InvalidArgumentError, InvalidModelError
from unrolled.importers.tracing.values import Shape

__all__ = ["declared_inputs", "shape_in_file"]


def declared_inputs(
    source: str,
    graph: Any,
    given: Mapping[str, Sequence[int]] | Sequence[int] | None,
    weights: Collection[str],
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
    if len(set(names)) != len(names):
        raise InvalidModelError(f"{source}: two inputs have one name")
    shapes = _by_name(source, given, [name for name in names if name not in weights], names)
    return {value.name: _shape(source, value, shapes.get(value.name)) for value in inputs}


def shape_in_file(value: Any) -> list[int | str | None] | None:
    """The lengths that a file states: numbers, names, or nothing; None without a rank."""
    if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
        return None
    return [
        int(length.dim_value) if length.HasField("dim_value") else (str(length.dim_param) or None)
        for length in value.type.tensor_type.shape.dim
    ]


def _by_name(
    source: str,
    given: Mapping[str, Sequence[int]] | Sequence[int] | None,
    data: Sequence[str],
    names: Sequence[str],
) -> dict[str, Shape]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        if len(data) != 1:
            raise InvalidArgumentError(
                f"{source}: one shape was given, and the inputs are {', '.join(data) or 'none'}; "
                "give input_shapes as a dict from their names to shapes"
            )
        given = {data[0]: given}
    for name in given:
        if name not in names:
            raise InvalidArgumentError(
                f"{source}: there is no input '{name}'{did_you_mean(str(name), list(names))}; "
                f"inputs: {', '.join(names) or 'none'}"
            )
    return {name: checked(name, shape) for name, shape in given.items()}


def checked(name: str, shape: Any) -> Shape:
    """A shape of positive ints."""
    try:
        lengths = tuple([int(length) for length in shape])
        whole = all(length == int_ for length, int_ in zip(shape, lengths, strict=True))
    except (TypeError, ValueError):
        lengths, whole = (), False
    if not whole or any(length < 1 for length in lengths):
        raise InvalidArgumentError(
            f"input '{name}': a shape is a sequence of positive integers such as (1, 3, 224, 224), "
            f"got {shape!r}"
        )
    return lengths


def _shape(source: str, value: Any, given: Shape | None) -> Shape:
    name = value.name
    stated = shape_in_file(value)
    if stated is None:
        kind = value.type.WhichOneof("value")
        if kind not in (None, "tensor_type"):
            raise InvalidModelError(f"{source}: input '{name}' is no tensor but a {kind}")
        if given is None:
            raise InvalidModelError(
                f"{source}: the file does not say the shape of input '{name}'; "
                f"give input_shapes={{{name!r}: (...)}}"
            )
        return given
    if given is not None:
        if len(given) != len(stated):
            raise InvalidArgumentError(
                f"{source}: input '{name}' has {len(stated)} axes, {_shown(stated)}, got the shape "
                f"{given}"
            )
        return given
    for axis, length in enumerate(stated):
        if not isinstance(length, int) or length < 1:
            known = f" ('{length}')" if isinstance(length, str) else ""
            raise InvalidModelError(
                f"{source}: input '{name}' has shape {_shown(stated)}, and nothing says how long "
                f"its axis {axis}{known} is; give input_shapes={{{name!r}: "
                f"{_shown([n if isinstance(n, int) and n > 0 else 1 for n in stated])}}}, or with "
                "the lengths you want"
            )
    return tuple([int(length) for length in stated if length is not None])


def _shown(lengths: Sequence[int | str | None]) -> str:
    shown = ", ".join(["?" if length is None else str(length) for length in lengths])
    return f"({shown},)" if len(lengths) == 1 else f"({shown})"
