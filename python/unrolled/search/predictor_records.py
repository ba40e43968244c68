"""Predictors in files: what one was fitted to as a record of JSON, and back.

A predictor is its labels and what is known of the architectures that have them; all else is worked
out again. Python writes numbers with as many digits as give the same bits again. Names of columns
are those of this version: a file with others would be another predictor, and is refused.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from unrolled._core import VERSION as PACKAGE_VERSION
from unrolled._core import Scorer
from unrolled._support import files
from unrolled._support.hints import described
from unrolled._support.records import (
    Record,
    read_figure,
    read_json,
    read_list,
    read_text,
    read_whole_number,
)
from unrolled.errors import InvalidArgumentError, ResultFileError, UnknownNameError
from unrolled.search.candidates import Candidates, candidates_of, names_of
from unrolled.search.space import Place, Space

__all__ = ["PredictorParts", "Target", "check_space", "read_predictor", "write_predictor"]

Target = Literal["rank", "value"]
"""What a predictor predicts."""

FORMAT, VERSION = "unrolled.Predictor", 1

TOLERANCE = 1e-6
"""How far the features of an architecture may be from those of the file on another machine."""


class PredictorParts(NamedTuple):
    """What a predictor is made of.

    Attributes
    ----------
    features : str or list of str
    target : {"rank", "value"}
    labelled : Candidates
    labels : array of shape ``(labels,)``
    takes_rows : bool
        Whether it was made with a space, so that architectures are rows of options.
    """

    features: str | list[str]
    target: Target
    labelled: Candidates
    labels: npt.NDArray[np.float64]
    takes_rows: bool


def write_predictor(path: str | os.PathLike[str], parts: PredictorParts) -> Path:
    """Write a file, whole or not at all.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    one = parts.labelled
    record = {
        "format": FORMAT,
        "version": VERSION,
        "unrolled": PACKAGE_VERSION,
        "features": parts.features,
        "target": parts.target,
        "takes_rows": parts.takes_rows,
        "places": None
        if one.places is None
        else [[name, [*labels]] for name, labels in one.places],
        "rows": None if one.rows is None else one.rows.tolist(),
        "names": one.names,
        "labels": parts.labels.tolist(),
        "columns": {name: [*map(_plain, values.tolist())] for name, values in one.columns.items()},
    }
    return files.write(path, json.dumps(record, allow_nan=False))


def read_predictor(path: str | os.PathLike[str]) -> PredictorParts:
    """Read a file.

    Raises
    ------
    ResultFileError
        Another file, one of another version, or one that contradicts itself.
    OSError
        The file cannot be read.
    """
    return read_json(path, _parts)


def check_space(path: str | os.PathLike[str], parts: PredictorParts, space: Space | None) -> None:
    """Refuse a space that a predictor was not fitted in, as far as its own architectures tell.

    Raises
    ------
    InvalidArgumentError
        A space is missing, or not expected, or has other places or architectures.
    UnrolledError
        Whatever building an architecture of the space raises.
    """
    where, places = os.fsdecode(path), parts.labelled.places
    if not parts.takes_rows:
        if space is not None:
            raise InvalidArgumentError(
                f"{where}: this predictor takes models, not rows of a space; load it without space="
            )
        return
    if space is None:
        raise InvalidArgumentError(
            f"{where}: this predictor takes rows of the space that it was fitted in, which the "
            "file does not hold; give it as load(path, space=...)"
        )
    if not isinstance(space, Space):
        raise InvalidArgumentError(f"space must be a Space, got {described(space)}")
    if space.places != places:
        raise InvalidArgumentError(
            f"{where}: space '{space.name}' has other places or options than the one that the "
            f"predictor was fitted in, which are {_shown(places)}"
        )
    now = candidates_of(parts.labelled.rows, space)
    for name, known in parts.labelled.columns.items():
        same = np.isclose(now.columns[name], known, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
        if not same.all():
            at = int(np.argmin(same))
            raise InvalidArgumentError(
                f"{where}: architecture {now.label(at)} of space '{space.name}' has another "
                f"{name} ({now.columns[name][at]:g}) than when the predictor was fitted "
                f"({known[at]:g}); give the space as it was, or fit a new predictor"
            )


def _shown(places: tuple[Place, ...] | None) -> str:
    text = ", ".join(f"{place.name} ({' '.join(place.labels)})" for place in places or ())
    return text if len(text) < 300 else f"{text[:300]}..."


def _plain(value: float) -> float | str:
    """A number as JSON has it; text where it is not finite."""
    return value if math.isfinite(value) else str(value)


def _number(value: Any) -> float:
    if value in ("inf", "-inf", "nan"):
        return float(value)
    return _finite(value)


def _finite(value: Any) -> float:
    number = read_figure(value)
    if number is None:
        raise TypeError("expected a number")
    return number


def _place(value: Any) -> Place:
    pair = read_list(value)
    if len(pair) != 2:
        raise ValueError("expected pairs of a name and its options")
    return Place(read_text(pair[0]), tuple(map(read_text, read_list(pair[1]))))


def _features(value: Any) -> str | list[str]:
    choice = value if isinstance(value, str) else [*map(read_text, read_list(value))]
    names_of(choice)
    return choice


def _target(value: Any) -> Target:
    if value == "rank":
        return "rank"
    if value == "value":
        return "value"
    raise ValueError("expected 'rank' or 'value'")


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("expected true or false")
    return value


def _parts(values: Any) -> PredictorParts:
    given = Record(values, "the record")
    if given.get("format") != FORMAT:
        raise ResultFileError(
            f"not a predictor that was saved: its format is {described(given.get('format'))}, "
            f"expected '{FORMAT}'; Predictor.save makes one"
        )
    if given.get("version") != VERSION:
        raise ResultFileError(
            f"a predictor of format version {described(given.get('version'))}, written by "
            f"unrolled {given.get('unrolled')}; this is {PACKAGE_VERSION}, which reads version "
            f"{VERSION}: fit the predictor again, or read the file with the version that wrote it"
        )
    columns = given.mapping("columns", lambda column: [*map(_number, read_list(column))])
    if set(columns) != set(Scorer.feature_columns):
        raise ResultFileError(
            f"its features are those of unrolled {given.get('unrolled')}, and others than those of "
            f"this version, {PACKAGE_VERSION}: fit the predictor again"
        )
    try:
        choice = given.take("features", _features)
    except UnknownNameError as error:
        raise ResultFileError(f"features of the record: {error}") from None
    labels = np.array(given.each("labels", _finite))
    count = len(labels)
    given.check(count > 0, "at least one label")
    given.check(count == 1 or np.ptp(labels) > 0, "labels that are not all the same")
    given.check({len(column) for column in columns.values()} == {count}, "columns like the labels")
    takes_rows, places, rows = given.take("takes_rows", _truth), None, None
    names = given.each("names", read_text)
    if given.get("rows") is None:
        given.check(not takes_rows, "rows, as it takes rows of a space")
        given.check(len(names) == count, "a name for each label")
    else:
        places = tuple(given.each("places", _place))
        listed = given.each("rows", lambda row: [*map(read_whole_number, read_list(row))])
        most = [len(place.labels) for place in places]
        fits = (
            len(row) == len(most) and all(a < b for a, b in zip(row, most, strict=True))
            for row in listed
        )
        given.check(len(listed) == count and all(fits), "a row of options for each label")
        rows = np.array(listed, np.uint32)
    arrays = {name: np.array(columns[name]) for name in Scorer.feature_columns}
    labelled = Candidates(names, rows, arrays, places)
    given.check(bool(labelled.are_scored.all()), "architectures that have a path")
    try:
        labelled.features(choice)
    except InvalidArgumentError as error:
        raise ResultFileError(f"columns of the record: {error}") from None
    return PredictorParts(choice, given.take("target", _target), labelled, labels, takes_rows)
