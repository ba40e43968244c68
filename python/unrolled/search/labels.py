"""Labels of architectures of a space, as tables of text have them."""

from __future__ import annotations

import csv
import io
import math
import os
from typing import Any

import numpy as np
import numpy.typing as npt

from unrolled._support.files import read_bytes
from unrolled._support.hints import did_you_mean
from unrolled.errors import InvalidArgumentError, UnrolledError
from unrolled.search.space import Rows, Space

__all__ = ["read_labels"]

Numbers = npt.NDArray[np.float64]

LABEL = "accuracy"
"""The column that has the labels."""

MOST_BYTES = 1 << 28
"""Of a file of labels."""


def read_labels(space: Space, path: str | os.PathLike[str]) -> tuple[Rows, Numbers]:
    """Architectures and their accuracies from a CSV file.

    Parameters
    ----------
    space : Space
    path : path
        Of a file whose header names the places of the space and "accuracy"; each line has the label
        of the option at every place, and a number.

    Returns
    -------
    rows : array of int, shape ``(labels, places)``
    accuracies : array of shape ``(labels,)``

    Raises
    ------
    InvalidArgumentError
        No table in UTF-8, a column that is missing or there twice, an option that a place does not
        have, or an accuracy that is no finite number; the message has the line.
    OSError
        The file cannot be read.
    """
    content = read_bytes(path, MOST_BYTES)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidArgumentError(f"{path} is no text in UTF-8 ({error})") from None
    # What follows counts the lines of the file, of which some may be empty.
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        return _read(space, path, reader)
    except csv.Error as error:
        raise InvalidArgumentError(f"{path}, line {reader.line_num}: {error}") from None


def _read(space: Space, path: str | os.PathLike[str], reader: Any) -> tuple[Rows, Numbers]:
    columns = [name.strip() for name in next(reader, [])]
    needed = [place.name for place in space.places]
    for name in (*needed, LABEL):
        if columns.count(name) != 1:
            number = "twice the" if name in columns else "no"
            raise InvalidArgumentError(
                f"{path}: the header has {number} column {name!r}, and needs the places of space "
                f"'{space.name}' and '{LABEL}', each once{did_you_mean(name, columns)}"
            )
    rows, accuracies = [], []
    for line in reader:
        if not any(cell.strip() for cell in line):
            continue
        where = f"{path}, line {reader.line_num}"
        if len(line) != len(columns):
            raise InvalidArgumentError(
                f"{where}: expected {len(columns)} cells, as the header has, got {len(line)}"
            )
        record = dict(zip(columns, (cell.strip() for cell in line), strict=True))
        try:
            rows.append(space.encode({name: record[name] for name in needed}))
        except UnrolledError as error:
            raise InvalidArgumentError(f"{where}: {error}") from None
        try:
            accuracy = float(record[LABEL])
        except ValueError:
            accuracy = math.nan
        if not math.isfinite(accuracy):
            raise InvalidArgumentError(
                f"{where}: the accuracy must be a finite number, got {record[LABEL]!r}"
            )
        accuracies.append(accuracy)
    if not rows:
        raise InvalidArgumentError(f"{path} has a header and no architecture")
    return space.check(rows), np.array(accuracies)
