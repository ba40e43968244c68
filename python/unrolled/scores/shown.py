"""What tables and data frames of evaluations have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, Protocol

from unrolled._support.optional import import_optional

if TYPE_CHECKING:
    import pandas

__all__ = ["baseline_name", "frame_of", "with_interval"]


class Correlation(Protocol):
    """A rank correlation that was measured, with its interval."""

    @property
    def spearman(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


def with_interval(one: Correlation) -> str:
    """A correlation as tables show it, such as "0.82 (0.75 to 0.88)"."""
    return f"{one.spearman:.2f} ({one.low:.2f} to {one.high:.2f})"


def baseline_name(name: str) -> str:
    """What a line of a table calls a baseline."""
    return f"{name} (baseline)"


def frame_of(kind: type[Any], records: Sequence[Any], index: Sequence[str]) -> pandas.DataFrame:
    """A data frame of instances of a dataclass, a row each; also of none.

    Raises
    ------
    MissingPackageError
        pandas is not installed.
    """
    module = import_optional("pandas", "pandas")
    rows, columns = [asdict(one) for one in records], [field.name for field in fields(kind)]
    frame: pandas.DataFrame = module.DataFrame.from_records(rows, columns=columns)
    return frame.set_index([*index])
