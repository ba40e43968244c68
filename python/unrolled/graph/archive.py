"""Graphs in files: NumPy arrays in an uncompressed zip archive, with a description of them all."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Hashable, Iterable
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from unrolled import _core
from unrolled._support import files
from unrolled._support.arguments import Progress, checked_name
from unrolled._support.hints import listed, out_of_memory
from unrolled.errors import (
    GraphFileError,
    InvalidGraphError,
    MemoryLimitError,
    UnrolledError,
)
from unrolled.graph.arrays import unsigned
from unrolled.graph.names import Names, as_names

if TYPE_CHECKING:
    import zipfile

__all__ = ["load", "save"]

FORMAT = "unrolled.Graph"
VERSION = 1
DESCRIPTION = "description"
DTYPES: dict[str, tuple[str, ...]] = {
    "indptr": ("uint32", "uint64"),
    "indices": ("uint32", "uint64"),
    "multiplicity": ("uint64",),
    "rank": ("uint32",),
    "outputs": ("uint32",),
    "inputs": ("uint32",),
    "parameters": ("uint32",),
    "labels": ("int64",),
}
"""The arrays that a file may have, and the types that `save` writes them in."""
NEEDED = ("indptr", "indices", "outputs", "inputs")
PARAMETERS = ("parameters", "labels")
"""One of these says which nodes are parameters."""
SUFFIX = ".npy"
"""Every member of the archive has the name of its array and this."""
READ_AT_ONCE = 1 << 20
LOCAL_HEADER = struct.Struct("<4s22xHH")


class Member(NamedTuple):
    """Where a file has an array."""

    start: int
    dtype: np.dtype[Any]
    length: int


def save(core: _core.Graph, name: str, names: Names | None, path: str | os.PathLike[str]) -> None:
    """Write a graph; a file in its place is replaced when the new one is complete."""
    lists = core.sorted_lists()
    if lists is None:
        raise InvalidGraphError(
            f"the edges of '{name}' are in a file already; copy that, or load it without mmap first"
        )
    labels = core.parameters()
    nodes = np.flatnonzero(labels >= 0)
    untied = np.array_equal(labels[nodes], nodes)
    arrays: dict[str, npt.NDArray[Any] | None] = {
        **dict(zip(("indptr", "indices", "multiplicity"), lists, strict=True)),
        "rank": core.rank,
        "outputs": core.outputs,
        "inputs": core.inputs(),
        "parameters": nodes.astype(np.uint32) if untied else None,
        "labels": None if untied else labels,
    }
    present = {key: array for key, array in arrays.items() if array is not None}
    description = {
        "format": FORMAT,
        "version": VERSION,
        "name": name,
        "arrays": {key: [str(array.dtype), len(array)] for key, array in present.items()},
        "names": None if names is None else [_plain(one) for one in names],
    }
    text = np.frombuffer(json.dumps(description).encode(), dtype=np.uint8)
    parts: dict[str, Any] = {DESCRIPTION: text, **present}
    files.write_with(path, lambda stream: np.savez(stream, **parts))


def load(
    path: str | os.PathLike[str], *, mmap: bool, progress: Progress | None
) -> tuple[_core.Graph, str, Names | None]:
    """Read what `save` wrote: the graph, its name, the names of its nodes."""
    path = os.fsdecode(path)
    watched = None if progress is None else _Watched(progress)
    with open(path, "rb") as stream:
        try:
            return _load(path, stream, mmap, watched)
        except (GraphFileError, MemoryLimitError):
            raise
        except MemoryError as error:
            raise MemoryLimitError(out_of_memory(path)) from error
        # Reading what is not there, or is something else, fails in many ways.
        except Exception as error:
            if watched is not None and watched.error is not None:
                raise watched.error from None
            if isinstance(error, UnrolledError):
                raise GraphFileError(f"{path}: {error}; the file is damaged") from error
            reason = str(error) or type(error).__name__
            raise GraphFileError(f"{path}: not a graph that was saved: {reason}") from error


class _Watched:
    """Progress that remembers what it raised, so that the file is not blamed for it."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.error: Exception | None = None

    def __call__(self, done: int, total: int) -> None:
        try:
            self._progress(done, total)
        except Exception as error:
            self.error = error
            raise


def _load(
    path: str, stream: IO[bytes], mmap: bool, progress: Progress | None
) -> tuple[_core.Graph, str, Names | None]:
    import zipfile

    with zipfile.ZipFile(stream) as archive:
        members = _members(path, archive.infolist(), os.fstat(stream.fileno()).st_size)
        if DESCRIPTION not in members:
            raise GraphFileError(f"{path}: not a graph that was saved, for want of a description")
        raw = _read(archive, members[DESCRIPTION], None)
        description = _description(path, raw)
        _check(path, description, members)
        in_file = ("indices", "multiplicity") if mmap else ()
        arrays = {
            key: _read(archive, members[key], described)
            for key, described in description["arrays"].items()
            if key not in in_file
        }
        places = {
            key: _verify(archive, stream, members[key], description["arrays"][key])
            for key in in_file
            if key in members
        }
    names = description["names"]
    roles = {key: arrays.get(key) for key in ("outputs", "inputs", "parameters", "labels")}
    indptr = unsigned(arrays["indptr"], "indptr")
    rank = arrays.get("rank")
    if mmap:
        indices, times = places["indices"], places.get("multiplicity")
        core = _core.Graph.from_file(
            path,
            indptr,
            indices.length,
            indices.start,
            indices.dtype.itemsize == 8,
            None if times is None else times.start,
            rank,
            roles,
            progress,
        )
    else:
        lists = (indptr, unsigned(arrays["indices"], "indices"), arrays.get("multiplicity"))
        if rank is not None:
            lists = _in_given_order(*lists, rank)
        core = _core.Graph.from_csr(*lists, roles, 0, progress)
    table = as_names(None if names is None else list(map(_hashable, names)), core.num_nodes)
    return core, checked_name(description["name"], "a graph"), table


def _members(path: str, infos: list[zipfile.ZipInfo], file_size: int) -> dict[str, zipfile.ZipInfo]:
    """The members of an archive by the names of their arrays, each of which lies in the file."""
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        name = info.filename.removesuffix(SUFFIX)
        if name == info.filename:
            raise GraphFileError(
                f"{path}: not a graph that was saved: {_quoted([info.filename])} is no array"
            )
        if name in members:
            raise GraphFileError(f"{path}: has the array {_quoted([name])} twice; it is damaged")
        if info.header_offset + info.compress_size > file_size:
            raise GraphFileError(
                f"{path}: the array {_quoted([name])} is longer than the file; it is damaged"
            )
        members[name] = info
    return members


def _quoted(names: Iterable[str]) -> str:
    """Names of members as they can be printed, the first ones if there are many."""
    return listed([repr(name) for name in sorted(names)])


def _description(path: str, text: npt.NDArray[Any]) -> Any:
    try:
        return json.loads(text.tobytes())
    except ValueError:
        raise GraphFileError(
            f"{path}: not a graph that was saved: its description is no JSON"
        ) from None


def _check(path: str, description: Any, members: dict[str, zipfile.ZipInfo]) -> None:
    """The description is one, and the archive has what it says."""
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise GraphFileError(f"{path}: not a graph that was saved")
    if description.get("version") != VERSION:
        raise GraphFileError(
            f"{path}: of format version {description.get('version')}, this reads version {VERSION}"
        )
    if not isinstance(description.get("names"), (list, type(None))) or not isinstance(
        arrays := description.get("arrays"), dict
    ):
        raise GraphFileError(f"{path}: its description lists no arrays, or names that are no list")
    if unknown := (set(members) | set(arrays)) - {DESCRIPTION, *DTYPES}:
        raise GraphFileError(f"{path}: graphs have no array {_quoted(unknown)}; it is damaged")
    if extra := set(members) - {DESCRIPTION, *arrays}:
        raise GraphFileError(
            f"{path}: its description does not name the array {_quoted(extra)}; it is damaged"
        )
    if missing := (set(arrays) | set(NEEDED)) - set(members):
        raise GraphFileError(f"{path}: lacks the array {_quoted(missing)}; it is damaged")
    if len(set(PARAMETERS) & set(arrays)) != 1:
        raise GraphFileError(
            f"{path}: expected one of the arrays {_quoted(PARAMETERS)}; it is damaged"
        )
    for key, described in arrays.items():
        if not isinstance(described, list) or described[:1] not in [[one] for one in DTYPES[key]]:
            raise GraphFileError(
                f"{path}: the array {_quoted([key])} must be of {' or '.join(DTYPES[key])}; "
                "it is damaged"
            )


def _read(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, described: list[Any] | None
) -> npt.NDArray[Any]:
    """An array of the archive, its checksum verified."""
    with archive.open(info) as member:
        shape, dtype = _header(member, info)
        if described is not None and [str(dtype), shape[0]] != described:
            raise GraphFileError(f"array {info.filename} is not as described")
        array: npt.NDArray[Any] = np.empty(shape, dtype=dtype)
        rest = memoryview(array.data).cast("B") if array.size else memoryview(b"")
        while len(rest):
            part = member.read(min(READ_AT_ONCE, len(rest)))
            if not part:
                raise GraphFileError(f"array {info.filename} is cut short")
            rest[: len(part)] = part
            rest = rest[len(part) :]
        if member.read(1):  # also makes zipfile compare the checksum
            raise GraphFileError(f"array {info.filename} is too long")
    return array


def _header(member: IO[bytes], info: zipfile.ZipInfo) -> tuple[tuple[int], np.dtype[Any]]:
    """Shape and type of an array, no larger than what the archive holds."""
    from zipfile import ZIP_STORED

    if info.compress_type != ZIP_STORED:
        raise GraphFileError(f"array {info.filename} is compressed; graphs are saved without")
    version = np.lib.format.read_magic(member)
    if version != (1, 0):
        raise GraphFileError(f"array {info.filename} has format {version}")
    shape, _, dtype = np.lib.format.read_array_header_1_0(member)
    size = info.file_size - member.tell()
    if dtype.hasobject or len(shape) != 1 or shape[0] * dtype.itemsize != size:
        raise GraphFileError(f"array {info.filename}: shape {shape} of {dtype} in {size} bytes")
    return shape, dtype


def _verify(
    archive: zipfile.ZipFile, stream: IO[bytes], info: zipfile.ZipInfo, described: list[Any]
) -> Member:
    """Where the numbers of an array begin in the file, once its checksum is verified."""
    with archive.open(info) as member:
        shape, dtype = _header(member, info)
        if [str(dtype), shape[0]] != described or dtype.newbyteorder("<") != dtype:
            raise GraphFileError(f"array {info.filename} is not as described")
        offset = member.tell()
        while member.read(READ_AT_ONCE):
            pass
    stream.seek(info.header_offset)
    _, name, extra = LOCAL_HEADER.unpack(stream.read(LOCAL_HEADER.size))
    return Member(info.header_offset + LOCAL_HEADER.size + name + extra + offset, dtype, shape[0])


def _in_given_order(
    indptr: Any, indices: Any, multiplicity: Any, rank: npt.NDArray[np.uint32]
) -> tuple[Any, Any, Any]:
    """Sorted lists as they were before they were sorted."""
    nodes = len(indptr) - 1
    if len(rank) != nodes or not np.array_equal(np.bincount(rank, minlength=nodes), np.ones(nodes)):
        raise GraphFileError("the rank is no permutation")
    node_of = np.empty(nodes, dtype=np.uint32)
    node_of[rank] = np.arange(nodes, dtype=np.uint32)
    degrees = np.diff(indptr.astype(np.int64))[rank]
    offsets = np.concatenate([[0], np.cumsum(degrees)])
    edges = np.arange(offsets[-1]) - np.repeat(offsets[:-1], degrees)
    edges += np.repeat(indptr.astype(np.int64)[:-1][rank], degrees)
    times = None if multiplicity is None else multiplicity[edges]
    return offsets.view(np.uint64), node_of[indices[edges]], times


def _plain(name: Hashable) -> Any:
    """A name as JSON can hold it; tuples become lists."""
    if isinstance(name, tuple):
        return [_plain(part) for part in name]
    if name is None or type(name) in (str, int, float, bool):
        return name
    raise InvalidGraphError(
        f"the node {name!r} cannot be saved: names must be strings, numbers or tuples of them"
    )


def _hashable(name: Any) -> Hashable:
    return tuple(_hashable(part) for part in name) if isinstance(name, list) else name
