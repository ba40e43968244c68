"""The shapes of the inputs of a Keras model: those in its configuration, and those given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import index
from typing import Any

from unrolled._support.hints import described, listed, shortened
from unrolled.errors import InvalidArgumentError, InvalidModelError
from unrolled.importers.door import Door
from unrolled.importers.keras.config import Source, is_functional, is_model, layer_name
from unrolled.importers.tracing.values import Shape

__all__ = ["FROM_KERAS", "input_shapes"]

FROM_KERAS = Door("from_keras", {"inputs": "input_shape"})

MOST_AXES = 64
"""An input may have so many axes, as in NumPy."""

Config = Mapping[str, Any]


def input_shapes(source: Source, given: Any, names: Sequence[str], door: Door) -> dict[str, Shape]:
    """The shapes of the inputs, batch axis included.

    Parameters
    ----------
    source : Source
    given : tuple of int, dict, or None
        Instead of those in the file, with the batch axis or without it.
    names : sequence of str
        Of the inputs.
    door : Door
        Where the model and the shapes were given.
    """
    stored = {name: _read_stored(source.entry, name) for name in names}
    shapes = door.shapes_by_name(given, source.name, names)
    return {name: _resolve(source, name, stored[name], shapes.get(name), door) for name in names}


def _read_stored(entry: Config, name: str) -> list[Any] | None:
    """The shape of an input in the file; None where there is none."""
    config = entry["config"]
    layers = config if isinstance(config, list) else config["layers"]
    found: Any = None
    for layer in layers:
        if layer_name(layer) == name and layer.get("class_name") == "InputLayer":
            found = _batch_shape(layer.get("config"))
            return list(found) if isinstance(found, (list, tuple)) else None
    if is_functional(entry):
        return None
    if isinstance(config, Mapping):
        found = config.get("build_input_shape")
    if found is None:
        found = (entry.get("build_config") or {}).get("input_shape")
    if found is None and layers:
        found = _batch_shape(layers[0].get("config"))
        if found is None:
            found = (layers[0].get("build_config") or {}).get("input_shape")
    while found is None and layers and is_model(layers[0]):
        entry = layers[0]
        inner = entry["config"]
        layers = inner if isinstance(inner, list) else inner["layers"]
        found = _batch_shape(layers[0].get("config")) if layers else None
    return list(found) if isinstance(found, (list, tuple)) else None


def _batch_shape(config: Any) -> Any:
    if not isinstance(config, Mapping):
        return None
    return config.get("batch_shape") or config.get("batch_input_shape")


def _resolve(source: Source, name: str, stored: list[Any] | None, given: Any, door: Door) -> Shape:
    """A shape without unknown lengths; the batch axis is 1 unless something says otherwise."""
    shown = shortened(repr(name))
    if given is not None:
        return _read_given(source, name, stored, given)
    if stored is None:
        raise InvalidModelError(
            f"the shape of input {shown} is not in the model: give "
            f"{door.shape(FROM_KERAS, name, ['...'])}, without the batch axis"
        )
    if stored and stored[0] is None:
        stored = [1, *stored[1:]]
    unknown = [axis for axis, length in enumerate(stored) if length is None]
    if unknown:
        axes = f"axis {unknown[0]}" if len(unknown) == 1 else f"axes {listed(unknown)}"
        example = [32 if length is None else length for length in stored]
        raise InvalidModelError(
            f"input {shown} has the shape ({listed(stored)}), batch axis included, of which the "
            f"lengths of {axes} are not known: give {door.shape(FROM_KERAS, name, example)}, or "
            "with the lengths you want"
        )
    if not _are_lengths(stored):
        raise InvalidModelError(
            f"input {shown} has the shape ({listed(stored)}); expected positive integers"
        )
    return tuple(stored)


def _read_given(source: Source, name: str, stored: list[Any] | None, given: Any) -> Shape:
    """The shape that was given for an input, its batch axis put in front if it is left out."""
    what = f"{source.name}: input {shortened(repr(name))}"
    batch = stored[0] if stored and isinstance(stored[0], int) else 1
    try:
        lengths: list[Any] = [None if n is None else index(n) for n in _sequence(given)]
    except TypeError:
        lengths = [None, None]
    if stored is None or len(lengths) == len(stored) - 1:
        lengths.insert(0, batch)
    elif len(lengths) == len(stored):
        stored = [batch, *stored[1:]]
        lengths = [n if one is None else one for one, n in zip(lengths, stored, strict=True)]
    if not _are_lengths(lengths):
        raise InvalidArgumentError(
            f"{what}: a shape is a sequence of positive integers such as (224, 224, 3), of at most "
            f"{MOST_AXES}; got {described(given)}"
        )
    if stored is not None and len(lengths) != len(stored):
        raise InvalidArgumentError(
            f"{what} has {len(stored)} axes with the batch axis, ({listed(stored)}), got the shape "
            f"{described(given)}"
        )
    return tuple(lengths)


def _sequence(given: Any) -> Sequence[Any]:
    return [given] if isinstance(given, int) else list(given)


def _are_lengths(shape: Sequence[Any]) -> bool:
    whole = all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in shape)
    return whole and len(shape) <= MOST_AXES
