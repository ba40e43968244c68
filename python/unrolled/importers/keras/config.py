"""Reading the configuration of a Keras model from files, text, and live models."""

from __future__ import annotations

import io
import json
import os
import sys
import warnings
from codecs import BOM_UTF8
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from unrolled._support.files import open_regular
from unrolled._support.hints import described, shortened
from unrolled._support.optional import import_optional
from unrolled.errors import InvalidArgumentError, InvalidModelError

if TYPE_CHECKING:
    import zipfile

__all__ = ["Source", "is_functional", "is_model", "layer_name", "named_source", "read"]

LARGEST_CONFIG = 1 << 24
"""Bytes of a configuration; a larger one is refused, for it may be a trap.

Those of the largest models of Keras have a megabyte. As objects of Python they take up to 30 times
as much.
"""

MOST_OBJECTS = 1_000_000
"""One configuration may have so many objects of JSON."""

LARGEST_DIRECTORY = 1 << 20
"""Bytes that are read of an archive at once; of its table of contents, most of all."""

Config = Mapping[str, Any]

Text = TypeVar("Text", str, bytes)


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


def named_source(model: Any) -> str:
    """What errors call a model."""
    if isinstance(model, Mapping):
        return "Keras configuration"
    if _is_text(model):
        return "JSON text"
    if isinstance(model, (str, os.PathLike)):
        return os.fspath(model)
    return f"{type(model).__name__} '{shortened(str(getattr(model, 'name', 'model')))}'"


def _is_text(model: Any) -> bool:
    return isinstance(model, str) and model.lstrip()[:1] == "{"


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
    name = named_source(model)
    if isinstance(model, Mapping):
        source = Source(model, name)
    elif _is_text(model):
        source = Source(_parse(_limit(model)), name)
    elif isinstance(model, (str, os.PathLike)):
        source = _read_file(os.fspath(model))
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


def _read_file(path: str) -> Source:
    try:
        with open_regular(path) as file:
            start = file.read(8)
            if start[:4] == b"PK\x03\x04":
                return _read_archive(path, file)
            if start == b"\x89HDF\r\n\x1a\n":
                return _read_hdf5(path)
            text = start + file.read(LARGEST_CONFIG)
    except FileNotFoundError:
        raise InvalidArgumentError(f"there is no file {path!r}") from None
    except InvalidModelError:
        raise
    except IsADirectoryError:
        raise InvalidModelError(
            "a directory; of a saved model give the .keras or .json file"
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidArgumentError(f"cannot read {path!r}: {reason}") from None
    return Source(_parse(_text(text)), path, stem=_stem(path))


def _stem(path: str) -> str:
    """The name of a file without folders and without its kind."""
    return os.path.splitext(os.path.basename(path))[0]


def _read_hdf5(path: str) -> Source:
    """A file of Keras 2, which has the configuration as an attribute."""
    h5py = import_optional("h5py", "h5", "reading HDF5 files of Keras")
    try:
        with h5py.File(path, "r") as file:
            text, version = (file.attrs.get(key) for key in ("model_config", "keras_version"))
    except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise InvalidModelError(f"a damaged HDF5 file: {shortened(str(error))}") from None
    if text is None:
        raise InvalidModelError(
            "an HDF5 file without a configuration, as save_weights() writes it; give the file of "
            "model.save(), or what model.to_json() returns"
        )
    text = _text(text) if isinstance(text, bytes) else _limit(str(text))
    shown = version.decode("utf-8", "replace") if isinstance(version, bytes) else version
    return Source(_parse(text), path, shown if isinstance(shown, str) else "", stem=_stem(path))


class Bounded(io.RawIOBase):
    """A file of which no more is read at once than a table of contents may have."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file

    def read(self, size: int | None = -1, /) -> bytes:
        """As of any file."""
        if size is None or size < 0:
            size = LARGEST_DIRECTORY
        if size > LARGEST_DIRECTORY:
            raise InvalidModelError(
                f"its table of contents has more than {LARGEST_DIRECTORY:,} bytes; a .keras file "
                "has some three entries"
            )
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """As of any file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As of any file."""
        return self._file.tell()

    def seekable(self) -> bool:
        """As of any file."""
        return True

    def readable(self) -> bool:
        """As of any file."""
        return True


def _read_archive(path: str, file: BinaryIO) -> Source:
    """A .keras file: a zip archive with config.json and metadata.json."""
    import zipfile  # It is only needed here, and not quick to import.

    try:
        with zipfile.ZipFile(Bounded(file)) as archive:
            config = _member(archive, "config.json")
            try:
                metadata = json.loads(_member(archive, "metadata.json"))
            except (KeyError, ValueError):
                metadata = {}
    except KeyError:
        raise InvalidModelError("no Keras file: there is no config.json in it") from None
    except (InvalidModelError, MemoryError, RecursionError):
        raise
    except Exception as error:  # zlib.error and others of damaged archives
        raise InvalidModelError(f"a damaged Keras file: {shortened(str(error))}") from None
    version = metadata.get("keras_version") if isinstance(metadata, dict) else None
    entry = _parse(_text(config))
    return Source(entry, path, version if isinstance(version, str) else "", stem=_stem(path))


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    """The content of a member, or a byte more than a configuration may have."""
    from zipfile import ZIP_DEFLATED, ZIP_STORED

    if archive.getinfo(name).compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise InvalidModelError(
            f"{name} is compressed in another way than Keras does, which is not read"
        )
    with archive.open(name) as member:
        return member.read(LARGEST_CONFIG + 1)


def _text(data: bytes) -> str:
    try:
        return _limit(data).removeprefix(BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidModelError(f"neither a .keras file nor JSON: {error}") from None


def _limit(text: Text) -> Text:
    if len(text) > LARGEST_CONFIG:
        raise InvalidModelError(f"the configuration has more than {LARGEST_CONFIG:,} bytes")
    return text


def _parse(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_Objects().read)
    except InvalidModelError:
        raise
    except (ValueError, RecursionError) as error:
        raise InvalidModelError(f"cannot read the JSON: {error}") from None


class _Objects:
    """Reads the objects of one configuration, which are not too many."""

    def __init__(self) -> None:
        self._number = 0

    def read(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """A JSON object, none of whose keys is there twice with different values."""
        self._number += 1
        if self._number > MOST_OBJECTS:
            raise InvalidModelError(f"the configuration has more than {MOST_OBJECTS:,} objects")
        found = dict(pairs)
        if len(found) < len(pairs):
            for key, value in pairs:
                if found[key] != value:
                    raise InvalidModelError(
                        f"an object has the key '{shortened(key)}' twice, with different values"
                    )
        return found


def _read_live(model: Any) -> Source:
    """A model that was given as an object; its configuration does not depend on the backend."""
    source = Source({}, named_source(model), live=model)
    keras = sys.modules.get("keras")
    source.version = str(getattr(keras, "__version__", ""))
    own = type(model).__module__.partition(".")[0] in ("keras", "tf_keras", "tensorflow")
    if not own and keras is not None:
        try:  # A subclass of a functional model has the graph of one.
            model = keras.Model(model.inputs, model.outputs, name=model.name)
        except Exception:
            raise _subclass_error() from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Lambda layers warn; they are refused anyway.
            source.entry = json.loads(model.to_json())
    except MemoryError:
        raise
    except Exception as error:
        raise InvalidModelError(
            f"Keras cannot serialise the model: {error}; custom layers need a get_config() method"
        ) from error
    return source


def _subclass_error() -> InvalidModelError:
    return InvalidModelError(
        "a subclassed model has no graph in its configuration. Make it a functional one: "
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
            "no configuration of a Keras model: expected a JSON object with "
            "'class_name' and 'config', as model.to_json() writes it"
        )
    if not is_model(entry):
        if str(entry.get("module", "")).startswith("keras.layers"):
            raise InvalidModelError(
                "a single layer; wrap it: keras.Sequential([keras.Input(...), layer])"
            )
        raise _subclass_error()
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
