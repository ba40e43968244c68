"""`features`: numbers that describe a model to a predictor of accuracies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unrolled._core import Scorer
from unrolled._support.optional import import_optional
from unrolled.errors import UnrolledError
from unrolled.network.network import Network
from unrolled.propagation.functions import own_pieces
from unrolled.scores.scoring import DOOR, checked_network
from unrolled.show import tables
from unrolled.sources.resolution import resolve
from unrolled.spectrum.catalogue import FEATURES

if TYPE_CHECKING:
    import pandas

__all__ = ["Features", "features", "features_of"]


@dataclass(frozen=True, repr=False)
class Features:
    """Forty numbers of one model; what each is stands in `unrolled.spectrum.catalogue`.

    Attributes
    ----------
    name : str
        Of the model.
    values : dict of str to float
        By the names of the features; logarithms are natural.

    Examples
    --------
    >>> import unrolled
    >>> found = unrolled.features(unrolled.models.mlp([8, 8], inputs=4, classes=2))
    >>> found["path_kernels"], found["log_paths"]
    (3.0, 0.0)
    """

    name: str
    values: dict[str, float]

    def __getitem__(self, key: str) -> float:
        return self.values[key]

    def to_dict(self) -> dict[str, Any]:
        """The name and all features."""
        return {"name": self.name, **self.values}

    def to_pandas(self) -> pandas.Series[Any]:
        """A series of the features.

        Raises
        ------
        MissingPackageError
            pandas is not installed.
        """
        frames = import_optional("pandas", "pandas", "to_pandas()")
        series: pandas.Series[Any] = frames.Series(self.values, name=self.name)
        return series

    def table(self, *, width: int | None = None) -> str:
        """Every feature with its value and its meaning."""
        width = width or tables.output_width()
        columns = [
            tables.Column("feature", "left"),
            tables.Column("value"),
            tables.Column("meaning", "left", folds=True),
        ]
        rows = [
            [one.key, f"{self.values[one.key]:.{one.decimals}f}", one.meaning]
            for one in FEATURES.values()
        ]
        return tables.Sheet(f"{self.name}: features", columns, rows).text(width)

    def __repr__(self) -> str:
        return f"Features({self.name!r}, {len(self.values)} numbers)"

    def __str__(self) -> str:
        return self.table()


def features(
    model: Any,
    /,
    *,
    inputs: Any = None,
    values: Mapping[str, Any] | None = None,
    functions: Mapping[str, Callable[[Any], Any]] | None = None,
) -> Features:
    """Numbers that describe the architecture of a model to a predictor.

    At initialisation every link carries a share of the variance that arrives at its target. A path
    is drawn with the product of the shares of its links. How many kernels lie on such a path, how
    much passes by the kernels, how wide and how correlated layers are, and how evenly the expected
    saliency is spread: forty numbers in all, from one sweep forwards and one backwards.

    Parameters
    ----------
    model
        Whatever `score` takes.
    inputs, values, functions
        As for `score`.

    Returns
    -------
    Features

    Raises
    ------
    UnknownOperationError
        Tensors whose operation is not known, all of them named.
    NothingToCountError
        No output.
    UnrolledError
        Whatever reading the model raises.

    Examples
    --------
    >>> import unrolled
    >>> found = unrolled.features("resnet18")
    >>> round(found["least_kernels"]), round(found["most_kernels"])
    (5, 18)
    """
    return features_of(
        checked_network(resolve(model, inputs=inputs, values=values, operations=True, door=DOOR)),
        functions,
    )


def features_of(
    network: Network, functions: Mapping[str, Callable[[Any], Any]] | None = None
) -> Features:
    """The features of a network; see `features`."""
    columns = columns_of(network, functions)
    return Features(network.name, {key: columns[key] for key in FEATURES})


def columns_of(
    network: Network, functions: Mapping[str, Callable[[Any], Any]] | None = None
) -> dict[str, float]:
    """Features and scores of a network, by name, in nats.

    Raises
    ------
    UnknownOperationError
        See `features`.
    """
    try:
        scorer = Scorer(network._core, own_pieces(network, functions))
        row = scorer.features()
    except UnrolledError as error:
        error.args = (f"network '{network.name}': {error.args[0]}", *error.args[1:])
        raise
    return dict(zip(Scorer.feature_columns, row, strict=True))
