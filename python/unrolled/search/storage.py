"""Tables in files, and the parts that they are made of while a sweep goes on.

A sweep writes each chunk as a file of its own, which appears whole or not at all, into a folder
beside the result. When all are there they are put together. So whatever is there after a kill is
complete, and what is missing is known.

A result says which sweep it is of, so that another one does not take it for its own: Parquet in
the metadata of the file, CSV, which has no room for that, in a file beside it, whose form and name
are those of the W3C's "Metadata Vocabulary for Tabular Data".
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np

from unrolled._support import files
from unrolled._support.optional import import_optional
from unrolled.errors import InvalidArgumentError, UnrolledError
from unrolled.search.space import Place
from unrolled.search.work import Chunk

__all__ = ["Form", "Parts", "form_of"]

LEAST_ROWS = 1 << 16
"""Parts are put together to groups of at least so many rows."""

IDENTITY = b"unrolled.sweep"


class Form(Protocol):
    """How a table is written and read."""

    def write(self, stream: BinaryIO, chunk: Chunk) -> None:
        """Write one chunk."""

    def join(self, stream: BinaryIO, parts: Iterator[Path], identity: Mapping[str, Any]) -> None:
        """Put chunks together."""

    def describe(self, path: Path, identity: Mapping[str, Any]) -> None:
        """Say beside a file which sweep it is of, where it cannot say so itself."""

    def read(self, path: Path) -> Iterator[Chunk]:
        """Read what was written, part by part."""

    def is_of(self, path: Path, identity: Mapping[str, Any]) -> bool:
        """Whether a file is the complete result of the sweep of this identity."""


METADATA = "-metadata.json"
"""What the name of the file that describes a CSV file ends with, behind that of the latter."""


class _Columns:
    """The columns of a table in a file."""

    def __init__(self, places: Sequence[Place], names: Sequence[str]) -> None:
        self.places = tuple(places)
        self.names = tuple(names)
        self.header = [*(place.name for place in places), *names, "error"]


class Parquet(_Columns):
    """Labels as dictionaries, numbers as doubles, errors as strings; needs pyarrow."""

    def __init__(self, places: Sequence[Place], names: Sequence[str]) -> None:
        super().__init__(places, names)
        self._arrow = import_optional("pyarrow", "parquet", "a .parquet file")
        self._parquet = import_optional("pyarrow.parquet", "parquet", "a .parquet file")
        labels = self._arrow.dictionary(self._arrow.int32(), self._arrow.string())
        fields = [(place.name, labels) for place in self.places]
        fields += [(name, self._arrow.float64()) for name in self.names]
        self._schema = self._arrow.schema([*fields, ("error", self._arrow.string())])

    def _table(self, chunk: Chunk) -> Any:
        arrays = [
            self._arrow.DictionaryArray.from_arrays(
                self._arrow.array(chunk.rows[:, at].astype(np.int32)),
                self._arrow.array(list(place.labels)),
            )
            for at, place in enumerate(self.places)
        ]
        arrays += [self._arrow.array(chunk.columns[name]) for name in self.names]
        errors = [chunk.errors.get(at) for at in range(len(chunk.rows))]
        arrays.append(self._arrow.array(errors, self._arrow.string()))
        return self._arrow.Table.from_arrays(arrays, schema=self._schema)

    def write(self, stream: BinaryIO, chunk: Chunk) -> None:
        self._parquet.write_table(self._table(chunk), stream)

    def join(self, stream: BinaryIO, parts: Iterator[Path], identity: Mapping[str, Any]) -> None:
        schema = self._schema.with_metadata({IDENTITY: json.dumps(identity).encode()})
        with self._parquet.ParquetWriter(stream, schema) as writer:
            waiting: list[Chunk] = []
            rows = 0
            for part in parts:
                for chunk in self.read(part):
                    waiting.append(chunk)
                    rows += len(chunk.rows)
                if rows >= LEAST_ROWS:
                    self._flush(writer, waiting)
                    waiting, rows = [], 0
            self._flush(writer, waiting)

    def describe(self, path: Path, identity: Mapping[str, Any]) -> None:
        """The file itself says it."""

    def _flush(self, writer: Any, chunks: Sequence[Chunk]) -> None:
        if chunks:
            table = self._arrow.concat_tables([self._table(chunk) for chunk in chunks])
            writer.write_table(table, row_group_size=max(1, table.num_rows))

    def read(self, path: Path) -> Iterator[Chunk]:
        with self._parquet.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                yield self._chunk(file.read_row_group(group))
            if not file.num_row_groups:
                yield self._chunk(self._schema.empty_table())

    def _chunk(self, table: Any) -> Chunk:
        rows = np.empty((table.num_rows, len(self.places)), np.uint32)
        for at, place in enumerate(self.places):
            column = table.column(place.name).combine_chunks()
            if not self._arrow.types.is_dictionary(column.type):
                column = column.dictionary_encode()
            labels = column.dictionary.to_pylist()
            number = np.array([place.labels.index(label) for label in labels], np.uint32)
            rows[:, at] = number[column.indices.to_numpy(zero_copy_only=False)]
        columns = {name: np.asarray(table.column(name).to_numpy()) for name in self.names}
        errors = table.column("error")
        wrong = {}
        if errors.null_count < table.num_rows:
            listed = enumerate(errors.to_pylist())
            wrong = {at: error for at, error in listed if error is not None}
        return Chunk(rows, columns, wrong)

    def is_of(self, path: Path, identity: Mapping[str, Any]) -> bool:
        try:
            metadata = self._parquet.read_schema(path).metadata or {}
        except (OSError, self._arrow.ArrowException):
            return False
        return bool(metadata.get(IDENTITY) == json.dumps(identity).encode())


class Csv(_Columns):
    """A line each; numbers with all their digits, errors in the last column."""

    def write(self, stream: BinaryIO, chunk: Chunk) -> None:
        labels = [
            np.array(place.labels, object)[chunk.rows[:, at]].tolist()
            for at, place in enumerate(self.places)
        ]
        numbers = [list(map(repr, chunk.columns[name].tolist())) for name in self.names]
        errors = [chunk.errors.get(at, "") for at in range(len(chunk.rows))]
        text = _Encoded(stream)
        csv.writer(text, lineterminator="\n").writerows(zip(*labels, *numbers, errors, strict=True))

    def join(self, stream: BinaryIO, parts: Iterator[Path], identity: Mapping[str, Any]) -> None:
        csv.writer(_Encoded(stream), lineterminator="\n").writerow(self.header)
        for part in parts:
            with part.open("rb") as file:
                shutil.copyfileobj(file, stream)

    def describe(self, path: Path, identity: Mapping[str, Any]) -> None:
        columns = [{"titles": name, "datatype": "string"} for name in self.header]
        for column in columns[len(self.places) : -1]:
            column["datatype"] = "double"
        description = {
            "@context": "http://www.w3.org/ns/csvw",
            "url": path.name,
            "tableSchema": {"columns": columns},
            "notes": [{IDENTITY.decode(): identity}],
        }
        files.write(_metadata_of(path), json.dumps(description, indent=1) + "\n")

    def read(self, path: Path) -> Iterator[Chunk]:
        # A byte order mark, which spreadsheets write, is none of the first name.
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, strict=True)
            if next(lines, None) != self.header:
                raise InvalidArgumentError(f"{path} has other columns than this sweep")
            waiting: list[list[str]] = []
            for line in lines:
                if len(line) != len(self.header):
                    raise InvalidArgumentError(
                        f"{path}, line {lines.line_num}: expected {len(self.header)} cells, got "
                        f"{len(line)}"
                    )
                waiting.append(line)
                if len(waiting) == LEAST_ROWS:
                    yield self._chunk(waiting)
                    waiting = []
            yield self._chunk(waiting)

    def _chunk(self, lines: Sequence[Sequence[str]]) -> Chunk:
        rows = np.empty((len(lines), len(self.places)), np.uint32)
        for at, place in enumerate(self.places):
            number = {label: option for option, label in enumerate(place.labels)}
            rows[:, at] = [number[line[at]] for line in lines]
        start = len(self.places)
        columns = {
            name: np.array([float(line[start + at]) for line in lines], np.float64)
            for at, name in enumerate(self.names)
        }
        errors = {at: line[-1] for at, line in enumerate(lines) if line[-1]}
        return Chunk(rows, columns, errors)

    def is_of(self, path: Path, identity: Mapping[str, Any]) -> bool:
        try:
            description = json.loads(_metadata_of(path).read_text(encoding="utf-8"))
            if description["notes"][0][IDENTITY.decode()] != identity:
                return False
            rows = sum(len(chunk.rows) for chunk in self.read(path))
        except (OSError, UnrolledError, csv.Error, ValueError, KeyError, IndexError, TypeError):
            return False
        return bool(rows == identity["total"]) and _ends_with_a_line(path)


def _metadata_of(path: Path) -> Path:
    return path.with_name(path.name + METADATA)


def _ends_with_a_line(path: Path) -> bool:
    """Whether the last line of a file is whole, as that of one that was cut off need not be."""
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"


class _Encoded:
    """Text for a binary stream."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        self._stream.write(text.encode())


def form_of(path: Path, places: Sequence[Place], names: Sequence[str]) -> Form:
    """How the table of a file is written: as its ending says."""
    return Parquet(places, names) if path.suffix == ".parquet" else Csv(places, names)


class Parts:
    """The folder of chunks beside the result of a sweep.

    Parameters
    ----------
    path : Path
        The result.
    form : Form
    identity : mapping
        What tells this sweep from others, as values of JSON.

    Raises
    ------
    InvalidArgumentError
        The folder, or the result, is that of another sweep.
    """

    def __init__(self, path: Path, form: Form, identity: Mapping[str, Any]) -> None:
        self.path, self._form = path, form
        self._identity = dict(identity)
        self._folder = path.with_name(path.name + ".parts")
        self._manifest = self._folder / "sweep.json"
        self.is_complete = path.exists() and form.is_of(path, identity)
        if path.exists() and not self.is_complete:
            raise InvalidArgumentError(
                f"{path} is there already, and is not the result of this sweep; choose another "
                "file, or delete it"
            )

    def begin(self) -> set[int]:
        """Make the folder if it is not there; the numbers of the chunks that are."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._manifest.exists():
            try:
                known = json.loads(self._manifest.read_text(encoding="utf-8"))
            except ValueError:
                known = None
            if known != self._identity:
                raise InvalidArgumentError(
                    f"{self._folder} has parts of another sweep (of another space, other scores or "
                    "chunks of another size); choose another file, or delete the folder"
                )
        else:
            if not all(map(_is_unfinished, self._folder.iterdir())):
                raise InvalidArgumentError(
                    f"{self._folder} is there already, and is no folder of a sweep; choose another "
                    "file, or move the folder away"
                )
            files.write(self._manifest, json.dumps(self._identity))
        done = set()
        for file in self._folder.iterdir():
            if re.fullmatch(r"\d+", file.stem) and file.suffix == self.path.suffix:
                done.add(int(file.stem))
            elif _is_unfinished(file):
                file.unlink(missing_ok=True)
        return done

    def add(self, number: int, chunk: Chunk) -> None:
        """Keep a chunk."""
        files.write_with(self._file(number), lambda stream: self._form.write(stream, chunk))

    def finish(self, chunks: int) -> None:
        """Put all chunks together, and delete them."""
        self._form.describe(self.path, self._identity)
        parts = (self._file(number) for number in range(chunks))
        files.write_with(self.path, lambda stream: self._form.join(stream, parts, self._identity))
        self.clear()

    def clear(self) -> None:
        """Delete the folder, which may be left over from a sweep that was killed at its end."""
        if self._folder.exists() and self._manifest.exists():
            shutil.rmtree(self._folder)

    def chunks(self) -> Iterator[Chunk]:
        """The result, part by part."""
        return self._form.read(self.path)

    def _file(self, number: int) -> Path:
        return self._folder / f"{number:08d}{self.path.suffix}"


def _is_unfinished(file: Path) -> bool:
    """Whether a file was being written when a sweep was killed."""
    return file.name.startswith(".") and file.is_file()


def is_writable(path: Path) -> None:
    """Refuse a file in a folder that is not there, before anything is worked out."""
    if not path.parent.is_dir():
        raise InvalidArgumentError(f"there is no folder {str(path.parent)!r} to write {path.name}")
    if not os.access(path.parent, os.W_OK):
        raise InvalidArgumentError(f"the folder {str(path.parent)!r} cannot be written to")
