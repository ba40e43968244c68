"""Architectures as a predictor sees them: their features, zero-label scores and sizes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from unrolled._support.arguments import Progress, items
from unrolled._support.hints import described, did_you_mean
from unrolled.errors import InvalidArgumentError, UnknownNameError
from unrolled.scores.architecture_features import columns_of
from unrolled.scores.regression import PRIORS
from unrolled.scores.scoring import DOOR, are_scored, checked_network
from unrolled.search.space import Place, Rows, Space, spelled
from unrolled.search.table import Table
from unrolled.sources.resolution import resolve
from unrolled.spectrum.catalogue import FEATURES

__all__ = ["BASELINES", "BESIDE", "Candidates", "FeatureChoice", "candidates_of", "names_of"]

Array = npt.NDArray[np.float64]

FeatureChoice = str | Sequence[str] | Callable[[Mapping[str, Array]], Array]
"""What `Predictor` takes as features."""

BASELINES = ("weights", "macs", "saliency_entropy", "log_effective_size")
"""What a predictor has to beat, or else it gives way to the best of them."""

BESIDE = ("activations", "effective_macs", "effective_units", "effective_edges")
"""What stands beside them, so that nothing is chosen among too many."""

LOGARITHMS = ("log_effective_size", "saliency_entropy")
"""Scores that are logarithms already."""

SIZES = ("weights", "macs", "activations", "depth", "effective_macs", "effective_units")
"""Numbers of things, which are taken as logarithms."""


class Candidates(NamedTuple):
    """Architectures with what is known of them without labels.

    Attributes
    ----------
    names : list of str
        Of models; empty for architectures of a space, which have rows.
    rows : array of int, shape ``(architectures, places)``, or None
        Their options in the space.
    columns : dict of str to array of shape ``(architectures,)``
        Features and scores by name.
    places : tuple of Place or None
        What they are rows of.
    """

    names: list[str]
    rows: Rows | None
    columns: dict[str, Array]
    places: tuple[Place, ...] | None = None

    def __len__(self) -> int:
        return len(self.columns["saliency_entropy"])

    @property
    def are_scored(self) -> npt.NDArray[np.bool_]:
        """Which of them have a path over a kernel, as `are_scored` says."""
        return are_scored(self.columns)

    def label(self, at: int) -> str:
        """What to call one of them in a message or a table."""
        if self.rows is None or self.places is None:
            return self.names[at]
        return spelled(self.places, self.rows[at].tolist())

    def features(self, choice: FeatureChoice) -> Array:
        """The chosen features, shape ``(architectures, features)``.

        Raises
        ------
        InvalidArgumentError
            A function of one's own that gives no such array, or numbers that are not finite.
        """
        if callable(choice):
            returned = choice(self.columns)
            try:
                given = np.asarray(returned, dtype=np.float64)
            except (TypeError, ValueError):
                raise InvalidArgumentError(
                    f"features() must return an array of shape ({len(self)}, features), got "
                    f"{described(returned)}"
                ) from None
            if given.ndim != 2 or len(given) != len(self):
                raise InvalidArgumentError(
                    f"features() must return an array of shape ({len(self)}, features), got shape "
                    f"{given.shape}"
                )
            names: Sequence[str] = [f"feature {at}" for at in range(given.shape[1])]
        else:
            names = names_of(choice)
            given = np.stack([self._finite(name) for name in names], axis=1)
        wrong = ~np.isfinite(given) & self.are_scored[:, None]
        if wrong.any():
            row, column = (int(one) for one in np.argwhere(wrong)[0])
            raise InvalidArgumentError(
                f"feature '{names[column]}' of architecture {self.label(row)} is "
                f"{given[row, column]}, where a finite number is expected"
            )
        return given

    def _finite(self, name: str) -> Array:
        """A column; sizes, which span orders of magnitude, as logarithms."""
        column = self.columns[name]
        return column if name in FEATURES or name in LOGARITHMS else np.log1p(column)

    def scores(self) -> Array:
        """The zero-label scores, shape ``(architectures, scores)``."""
        return np.stack([self.columns[name] for name in PRIORS], axis=1)


def names_of(choice: Any) -> list[str]:
    """The names of the features that are chosen, if it is not a function that chooses.

    Raises
    ------
    InvalidArgumentError, UnknownNameError
        Nothing that names features, or names that are not known.
    """
    if isinstance(choice, str) and choice in ("default", "all"):
        return [*FEATURES, *(LOGARITHMS + SIZES if choice == "all" else ())]
    names = items(choice) if not isinstance(choice, str) else [choice]
    if not names:
        raise InvalidArgumentError(
            "features must be 'default', 'all', names of features, or a function of their columns; "
            f"got {described(choice)}"
        )
    known = [*FEATURES, *LOGARITHMS, *SIZES]
    for name in names:
        if name not in known:
            raise UnknownNameError(
                f"there is no feature named {name!r}{did_you_mean(str(name), known)}"
            )
    return [str(name) for name in names]


def candidates_of(
    architectures: Any,
    space: Space | None,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Candidates:
    """Architectures of any kind, with their features.

    Parameters
    ----------
    architectures
        A `Space`, which stands for all it has; a `Table` or rows of options, if `space` is given;
        or models, each of which anything that `analyze` takes.
    space : Space, optional
    threads, progress
        As for `propagate_many`.

    Raises
    ------
    InvalidArgumentError
        Nothing that could be architectures, or none at all.
    UnrolledError
        Whatever reading a model raises.
    """
    if isinstance(architectures, Space):
        return _of_rows(architectures, architectures.rows(), threads, progress)
    if isinstance(architectures, Table):
        architectures = architectures.rows
    if space is not None:
        return _of_rows(space, space.check(architectures), threads, progress)
    models = _models(architectures)
    found: dict[str, list[float]] = {}
    names = []
    for done, model in enumerate(models, 1):
        network = checked_network(resolve(model, operations=True, door=DOOR))
        names.append(network.name)
        for name, value in columns_of(network).items():
            found.setdefault(name, []).append(value)
        if progress is not None:
            progress(done, len(models))
    return Candidates(names, None, {name: np.array(values) for name, values in found.items()})


def _of_rows(
    space: Space, rows: Rows, threads: int | None, progress: Progress | None
) -> Candidates:
    if not len(rows):
        raise InvalidArgumentError("expected at least one architecture, got none")
    columns = space.features(rows, threads=threads, progress=progress)
    return Candidates([], rows, columns, space.places)


def _models(architectures: Any) -> list[Any]:
    if isinstance(architectures, (str, os.PathLike)) or not (found := items(architectures)):
        raise InvalidArgumentError(
            "architectures must be a sequence of models, a Space, or rows of options together with "
            f"space=...; got {described(architectures)}"
        )
    return found
