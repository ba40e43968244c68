"""Reading the configuration of a Keras model from files, text, and live models."""

from __future__ import annotations

import json
import os
import sys
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import index
from pathlib import Path
from typing import Any

from unrolled._support.hints import described
from unrolled.errors import InvalidArgumentError, InvalidModelError
from unrolled.importers.tracing.values import Shape

__all__ = ["Source", "input_shapes", "is_functional", "is_model", "layer_name", "read"]

LARGEST_CONFIG = 1 << 28
"""Bytes of a configuration; a larger one is refused, for it may be a trap."""

Config = Mapping[str, Any]


@dataclass
class Source:
    """A model as Keras serialises it, and what is known of where it comes from.

    Attributes
    ----------
    entry : mapping
        With "class_name" and "config".
    name : str
        What errors and provenance call it.
    version : str
        Of Keras; "" where it is not known.
    live : object or None
        The model itself, if it was one.
    """

    entry: Config
    name: str
    version: str = ""
    live: Any = None
    stem: str = field(default="", repr=False)

    @property
    def model_name(self) -> str:
        """A name for the network."""
        config = self.entry["config"]
        name = config.get("name") if isinstance(config, Mapping) else None
        name = name if isinstance(name, str) and name else self.stem or "model"
        return "".join([letter if letter.isprintable() else "_" for letter in name])


def read(model: Any) -> Source:
    """The configuration of a model.

    Parameters
    ----------
    model : Keras model, path, JSON text, or dict

    Raises
    ------
    InvalidArgumentError
        Something else, or a file that is not there.
    InvalidModelError
        No configuration of a Keras model, or one without its graph.
    """
    if isinstance(model, Mapping):
        source = Source(model, "Keras configuration")
    elif isinstance(model, str) and model.lstrip()[:1] == "{":
        source = Source(_parsed(model, "JSON text"), "JSON text")
    elif isinstance(model, (str, os.PathLike)):
        source = _read_file(Path(os.fspath(model)))
    elif callable(getattr(model, "get_config", None)) and hasattr(model, "to_json"):
        source = _read_live(model)
    else:
        raise InvalidArgumentError(
            "from_keras takes a Keras model, the path of a .keras or .json file, or what "
            f"model.to_json() returns, got {described(model)}"
        )
    source.entry = _checked(source)
    version = source.entry.get("keras_version")  # Written by Keras 2 only.
    if not source.version and isinstance(version, str):
        source.version = version
    return source


def _read_file(path: Path) -> Source:
    try:
        with open(path, "rb") as file:
            start = file.read(8)
            if start[:4] == b"PK\x03\x04":
                return _read_archive(path)
            if start == b"\x89HDF\r\n\x1a\n":
                raise InvalidModelError(
                    f"{path}: an HDF5 file; load it with Keras and give the model, or save it "
                    "again as a .keras file"
                )
            text = start + file.read(LARGEST_CONFIG)
    except FileNotFoundError:
        raise InvalidArgumentError(f"there is no file {os.fspath(path)!r}") from None
    except IsADirectoryError:
        raise InvalidModelError(
            f"{path}: a directory; of a saved model give the .keras or .json file"
        ) from None
    except OSError as error:
        raise InvalidArgumentError(f"cannot read {os.fspath(path)!r}: {error.strerror}") from None
    return Source(_parsed(_text(text, str(path)), str(path)), str(path), stem=path.stem)


def _read_archive(path: Path) -> Source:
    """A .keras file: a zip archive with config.json and metadata.json."""
    try:
        with zipfile.ZipFile(path) as archive:
            config = _member(archive, "config.json")
            try:
                metadata = json.loads(_member(archive, "metadata.json"))
            except (KeyError, ValueError):
                metadata = {}
    except KeyError:
        raise InvalidModelError(f"{path}: no Keras file: there is no config.json in it") from None
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, RuntimeError) as error:
        raise InvalidModelError(f"{path}: a damaged Keras file: {error}") from None
    except Exception as error:  # zlib.error and others of damaged archives
        raise InvalidModelError(f"{path}: a damaged Keras file: {error}") from None
    version = metadata.get("keras_version") if isinstance(metadata, dict) else None
    entry = _parsed(_text(config, str(path)), str(path))
    return Source(entry, str(path), version if isinstance(version, str) else "", stem=path.stem)


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as file:
        return file.read(LARGEST_CONFIG + 1)


def _text(data: bytes, name: str) -> str:
    if len(data) > LARGEST_CONFIG:
        raise InvalidModelError(f"{name}: the configuration has more than {LARGEST_CONFIG:,} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidModelError(f"{name}: neither a .keras file nor JSON: {error}") from None


def _parsed(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidModelError(f"{name}: cannot read the JSON: {error}") from None


def _read_live(model: Any) -> Source:
    """A model that is there as an object; all backends have the same configuration."""
    kind = type(model).__name__
    source = Source({}, f"{kind} '{getattr(model, 'name', 'model')}'", live=model)
    keras = sys.modules.get("keras")
    source.version = str(getattr(keras, "__version__", ""))
    own = type(model).__module__.partition(".")[0] in ("keras", "tf_keras", "tensorflow")
    if not own and keras is not None:
        try:  # A subclass of a functional model has the graph of one.
            model = keras.Model(model.inputs, model.outputs, name=model.name)
        except Exception:
            raise _subclassed(source.name) from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Lambda layers warn; they are refused anyway.
            source.entry = json.loads(model.to_json())
    except Exception as error:
        raise InvalidModelError(
            f"{source.name}: Keras cannot serialise the model: {error}; custom layers need a "
            "get_config() method"
        ) from error
    return source


def _subclassed(name: str) -> InvalidModelError:
    return InvalidModelError(
        f"{name}: a subclassed model has no graph in its configuration. Make it a functional one: "
        "inputs = keras.Input(shape=...); model = keras.Model(inputs, model.call(inputs))"
    )


def _checked(source: Source) -> Config:
    """The entry of the model, if it holds its graph."""
    entry: Any = source.entry
    if isinstance(entry, Mapping) and "class_name" not in entry and "layers" in entry:
        kind = "Functional" if "input_layers" in entry else "Sequential"
        entry = {"class_name": kind, "config": entry}  # What get_config() returns.
    if not isinstance(entry, Mapping) or "class_name" not in entry or "config" not in entry:
        raise InvalidModelError(
            f"{source.name}: no configuration of a Keras model: expected a JSON object with "
            "'class_name' and 'config', as model.to_json() writes it"
        )
    if not is_model(entry):
        if str(entry.get("module", "")).startswith("keras.layers"):
            raise InvalidModelError(
                f"{source.name}: a single layer; wrap it: keras.Sequential([keras.Input(...), "
                "layer])"
            )
        raise _subclassed(source.name)
    return entry


def is_model(entry: Any) -> bool:
    """Whether an entry of a configuration is a model with its graph."""
    if not isinstance(entry, Mapping):
        return False
    config = entry.get("config")
    if isinstance(config, list):  # Sequential models of early Keras 2.
        return entry.get("class_name") == "Sequential"
    return isinstance(config, Mapping) and isinstance(config.get("layers"), list)


def is_functional(entry: Any) -> bool:
    """Whether a model is a graph rather than a sequence."""
    return (
        is_model(entry)
        and isinstance(entry["config"], Mapping)
        and ("input_layers" in entry["config"])
    )


def layer_name(entry: Any) -> str:
    """The name of a layer."""
    if not isinstance(entry, Mapping):
        raise InvalidModelError(f"a layer is a JSON object, got {described(entry)}")
    config = entry.get("config")
    name = entry.get("name") or (config.get("name") if isinstance(config, Mapping) else None)
    return str(name or entry.get("class_name", "layer"))


def input_shapes(source: Source, given: Any, names: Sequence[str]) -> dict[str, Shape]:
    """The shapes of the inputs, batch axis included.

    Parameters
    ----------
    source : Source
    given : tuple of int, dict, or None
        Instead of those in the file; without the batch axis.
    names : sequence of str
        Of the inputs.
    """
    stored = {name: _stored(source.entry, name) for name in names}
    if given is None:
        given = {}
    elif not isinstance(given, Mapping):
        if len(names) != 1:
            raise InvalidArgumentError(
                f"the model has {len(names)} inputs: give input_shape as a dict by name, with "
                f"{', '.join([repr(name) for name in names])}"
            )
        given = {names[0]: given}
    for name in given:
        if name not in stored:
            raise InvalidArgumentError(
                f"input_shape: the model has no input {name!r}, only "
                f"{', '.join([repr(one) for one in names])}"
            )
    return {name: _resolved(name, stored[name], given.get(name)) for name in names}


def _stored(entry: Config, name: str) -> list[Any] | None:
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


def _resolved(name: str, stored: list[Any] | None, given: Any) -> Shape:
    """A shape without unknown lengths; the batch axis is 1 unless the file says otherwise."""
    if given is not None:
        shape = _given(name, given)
        if stored is not None and len(stored) != len(shape) + 1:
            raise InvalidArgumentError(
                f"input_shape: input {name!r} has {len(stored) - 1} axes besides the batch axis, "
                f"got {given!r}"
            )
        batch = stored[0] if stored and isinstance(stored[0], int) else 1
        return _positive(name, [batch, *shape])
    if stored is None:
        raise InvalidModelError(
            f"the shape of input {name!r} is not in the model: give input_shape, without the "
            "batch axis"
        )
    if stored and stored[0] is None:
        stored = [1, *stored[1:]]
    unknown = [axis for axis, length in enumerate(stored) if length is None]
    if unknown:
        axes = f"axis {unknown[0]}" if len(unknown) == 1 else f"axes {unknown}"
        example = tuple([32 if length is None else length for length in stored[1:]])
        raise InvalidModelError(
            f"input {name!r} has the shape {tuple(stored)}, batch axis included, of which the "
            f"lengths of {axes} are not known: give them by input_shape, such as {example}, or "
            f"{{{name!r}: {example}}}"
        )
    return _positive(name, stored)


def _given(name: str, given: Any) -> list[int]:
    try:
        return [index(length) for length in ([given] if isinstance(given, int) else given)]
    except TypeError:
        raise InvalidArgumentError(
            f"input_shape of {name!r} must be integers without the batch axis, got {given!r}"
        ) from None


def _positive(name: str, shape: Sequence[Any]) -> Shape:
    if not all(isinstance(length, int) and length > 0 for length in shape):
        raise InvalidArgumentError(
            f"input {name!r} must have positive integers as lengths, got {tuple(shape)}"
        )
    return tuple(shape)
