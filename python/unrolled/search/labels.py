"""Labels of architectures of a space, as tables of text have them."""

from __future__ import annotations

import csv
import io
import math
import os

import numpy as np
import numpy.typing as npt

from unrolled._support.files import read_bytes
from unrolled._support.hints import did_you_mean
from unrolled.errors import InvalidArgumentError, UnrolledError
from unrolled.search.space import Rows, Space

__all__ = ["read_labels"]

LABEL = "accuracy"
"""The column that has the labels."""

MOST_BYTES = 1 << 28
"""Of a file of labels."""


def read_labels(space: Space, path: str | os.PathLike[str]) -> tuple[Rows, npt.NDArray[np.float64]]:
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
        A column that is missing, an option that a place does not have, or an accuracy that is no
        finite number; the message has the line.
    OSError
        The file cannot be read.
    """
    text = read_bytes(path, MOST_BYTES).decode("utf-8-sig", errors="replace")
    reader = csv.DictReader(io.StringIO(text, newline=""))
    columns = list(reader.fieldnames or ())
    for needed in (*(place.name for place in space.places), LABEL):
        if needed not in columns:
            raise InvalidArgumentError(
                f"{path}: the header has no column {needed!r}{did_you_mean(needed, columns)}; it "
                f"needs the places of space '{space.name}' and '{LABEL}'"
            )
    rows, accuracies = [], []
    for line, record in enumerate(reader, 2):
        try:
            rows.append(space.encode({place.name: record[place.name] for place in space.places}))
        except UnrolledError as error:
            raise InvalidArgumentError(f"{path}, line {line}: {error}") from None
        try:
            accuracy = float(record[LABEL] or "")
        except ValueError:
            accuracy = math.nan
        if not math.isfinite(accuracy):
            raise InvalidArgumentError(
                f"{path}, line {line}: the accuracy must be a finite number, got {record[LABEL]!r}"
            )
        accuracies.append(accuracy)
    return space.check(rows), np.array(accuracies)
