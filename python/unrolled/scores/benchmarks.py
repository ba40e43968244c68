"""Benchmarks whose architectures are a space of choices: their accuracies, and their scores.

The accuracies come with the package; where from, and under which licence, is in
``data/SOURCES.md`` beside this module. The networks are built by `unrolled.models.benchmarks`.
Families of models that other libraries build are in `unrolled.scores.families`.
"""

from __future__ import annotations

import csv
import gzip
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from io import StringIO
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from unrolled._core import Scorer, Variants, VariantScorer
from unrolled._support.arguments import Progress, checked_choice, checked_numbers
from unrolled._support.caching import cached_property
from unrolled._support.hints import described
from unrolled.errors import InvalidArgumentError
from unrolled.models.benchmarks import SPACES, Choices, SearchSpace
from unrolled.network.network import Network
from unrolled.scores.names import BENCHMARKS
from unrolled.scores.scoring import are_scored

__all__ = [
    "Benchmark",
    "OwnSpaceBenchmark",
    "Scorable",
    "SpaceBenchmark",
    "load",
    "own_space_benchmark",
    "packaged_table",
    "trainable",
]


class Benchmark(ABC):
    """Architectures with the accuracies that were measured.

    Attributes
    ----------
    name : str
    accuracies : mapping of str to array of shape ``(architectures,)``
        By task; more is better.
    left_out : mapping of str to str
        Architectures that are not among them because they could not be read, with the reason.
    """

    name: str
    accuracies: Mapping[str, npt.NDArray[np.float64]]
    left_out: Mapping[str, str] = MappingProxyType({})

    @property
    @abstractmethod
    def architectures(self) -> tuple[str, ...]:
        """Names of all architectures, in the order of all arrays."""

    @abstractmethod
    def scored(
        self, progress: Progress | None = None
    ) -> tuple[Benchmark, dict[str, npt.NDArray[np.float64]]]:
        """The architectures that could be scored, with every score and baseline of them.

        Parameters
        ----------
        progress : callable, optional
            Called as ``progress(done, total)`` now and then.

        Returns
        -------
        benchmark : Benchmark
            The same one, without what is in its `left_out`.
        scores : dict of str to array of shape ``(architectures,)``
            "weights" and all that follow count only what lies on a path from the input to the
            output; "parameters" are all that are trained. Architectures without a path over a
            kernel are minus infinity in each of them, below all others.
        """

    @abstractmethod
    def features(self, progress: Progress | None = None) -> dict[str, npt.NDArray[np.float64]]:
        """What a predictor knows of all architectures: features and zero-label scores, by name.

        Parameters
        ----------
        progress : callable, optional
            Called as ``progress(done, total)`` now and then.
        """

    def __len__(self) -> int:
        return len(self.architectures)


@dataclass(frozen=True)
class SpaceBenchmark(Benchmark):
    """A space of architectures with the accuracies that were measured.

    Attributes
    ----------
    name : str
    space : SearchSpace
    choices : array of shape ``(architectures, places)``
        The option at each place of choice.
    accuracies : mapping of str to array of shape ``(architectures,)``
        By task; more is better.
    """

    name: str
    space: SearchSpace
    choices: npt.NDArray[np.int64]
    accuracies: Mapping[str, npt.NDArray[np.float64]]

    @cached_property
    def architectures(self) -> tuple[str, ...]:
        """The benchmark's own strings, in the order of all arrays."""
        return tuple(self.space.spell(tuple(row)) for row in self.choices.tolist())

    def scored(
        self, progress: Progress | None = None
    ) -> tuple[SpaceBenchmark, dict[str, npt.NDArray[np.float64]]]:
        """All architectures with their scores; see `Benchmark.scored`."""
        return self, self.scores(progress)

    def scores(self, progress: Progress | None = None) -> dict[str, npt.NDArray[np.float64]]:
        """Every score and baseline of every architecture.

        All architectures are one network, in which each opens links of its own.
        """
        scorer, rows = self._variants()
        found = scorer.scores(rows, progress=progress)
        columns = {name: found[:, at] for at, name in enumerate(scorer.score_columns)}
        scored = are_scored(columns)
        columns["parameters"] = self._parameters()
        return {name: np.where(scored, one, -np.inf) for name, one in columns.items()}

    def features(self, progress: Progress | None = None) -> dict[str, npt.NDArray[np.float64]]:
        """Features of all architectures; see `Benchmark.features`."""
        scorer, rows = self._variants()
        found = scorer.features(rows, progress=progress)
        return {name: found[:, at] for at, name in enumerate(Scorer.feature_columns)}

    def _variants(self) -> tuple[VariantScorer, npt.NDArray[np.uint32]]:
        """The network of all architectures, compiled, and the options that each takes."""
        network, gates = self.space.supernet()
        options = [len(one) for one in self.space.options]
        scorer = VariantScorer(Variants(network._core, options, gates))
        return scorer, np.ascontiguousarray(self.choices, np.uint32)

    def _parameters(self) -> npt.NDArray[np.float64]:
        """Trainable parameters, which are a sum over the places of choice."""
        places = len(self.space.options)
        base: Choices = (0,) * places
        least = trainable(self.space.build(self.space.spell(base)))
        total = np.full(len(self), float(least))
        for place, options in enumerate(self.space.options):
            more = [0.0]
            for option in range(1, len(options)):
                changed = (*base[:place], option, *base[place + 1 :])
                more.append(trainable(self.space.build(self.space.spell(changed))) - least)
            total += np.array(more)[self.choices[:, place]]
        return total


class Scorable(Protocol):
    """A space of architectures that is not among the published ones; `search.Space` is one.

    Attributes
    ----------
    name : str
    """

    name: str

    def rows(self) -> npt.NDArray[Any]:
        """All architectures."""

    def check(self, rows: Any) -> npt.NDArray[Any]:
        """Architectures, as `scores` takes them."""

    def decode(self, row: Any) -> dict[str, str]:
        """The labels of an architecture, by place."""

    def scores(
        self, rows: Any, *, progress: Progress | None = None
    ) -> dict[str, npt.NDArray[np.float64]]:
        """Every score and baseline of some architectures."""

    def features(
        self, rows: Any, *, progress: Progress | None = None
    ) -> dict[str, npt.NDArray[np.float64]]:
        """Features and zero-label scores of some architectures."""


@dataclass(frozen=True)
class OwnSpaceBenchmark(Benchmark):
    """Architectures of a space of one's own, with their accuracies.

    Attributes
    ----------
    space : Scorable
    choices : array of shape ``(architectures, places)``
    accuracies : mapping of str to array of shape ``(architectures,)``
        By task; more is better.
    """

    space: Scorable
    choices: npt.NDArray[Any]
    accuracies: Mapping[str, npt.NDArray[np.float64]]

    @property
    def name(self) -> str:  # type: ignore[override]
        """The name of the space."""
        return self.space.name

    @cached_property
    def architectures(self) -> tuple[str, ...]:
        """Places and labels, such as "edge=skip pool=max", in the order of all arrays."""
        labels = (self.space.decode(row) for row in self.choices.tolist())
        return tuple(" ".join(map("=".join, one.items())) for one in labels)

    def __len__(self) -> int:
        return len(self.choices)

    def scored(
        self, progress: Progress | None = None
    ) -> tuple[OwnSpaceBenchmark, dict[str, npt.NDArray[np.float64]]]:
        """All architectures with their scores; see `Benchmark.scored`."""
        columns = self.space.scores(self.choices, progress=progress)
        scored = are_scored(columns)
        return self, {name: np.where(scored, one, -np.inf) for name, one in columns.items()}

    def features(self, progress: Progress | None = None) -> dict[str, npt.NDArray[np.float64]]:
        """Features of all architectures; see `Benchmark.features`."""
        return self.space.features(self.choices, progress=progress)


def own_space_benchmark(space: Scorable, rows: Any, accuracies: Any) -> OwnSpaceBenchmark:
    """Architectures of a space of one's own, with their accuracies.

    Parameters
    ----------
    space : Scorable
    rows : array of int, shape ``(n, places)``, or None for all
    accuracies : array of float, or mapping of str to array
        One for each row, by task if there are several.

    Raises
    ------
    InvalidArgumentError
        Too few architectures, or not one finite number for each.
    """
    choices = space.check(space.rows() if rows is None else rows)
    if len(choices) < 3:
        raise InvalidArgumentError(
            f"evaluate() needs at least three architectures of space '{space.name}', got "
            f"{len(choices)}"
        )
    by_task = accuracies if isinstance(accuracies, Mapping) else {"accuracy": accuracies}
    checked = {}
    for task, figures in by_task.items():
        values = checked_numbers(f"accuracies of {task!r}", figures)
        if values.shape != (len(choices),) or not np.isfinite(values).all():
            raise InvalidArgumentError(
                f"accuracies of {task!r} must be one finite number for each of "
                f"{len(choices):,} architectures, got {described(figures)}"
            )
        checked[str(task)] = values
    if not checked:
        raise InvalidArgumentError("accuracies must have at least one task")
    return OwnSpaceBenchmark(space, choices, checked)


def trainable(network: Network) -> int:
    """The number of parameters that training changes."""
    return sum(tensor.size for tensor in network.parameters if tensor.trainable)


def packaged_table(name: str) -> tuple[list[str], list[list[str]]]:
    """The heading and the rows of a table of accuracies that comes with the package."""
    packed = (files("unrolled.scores") / "data" / f"{name}.csv.gz").read_bytes()
    heading, *rows = csv.reader(StringIO(gzip.decompress(packed).decode("ascii")))
    return heading, rows


def load(name: str) -> SpaceBenchmark:
    """The benchmark of a space by name.

    Parameters
    ----------
    name : {"nasbench201", "nasbench_macro", "transnasbench_micro"}

    Raises
    ------
    InvalidArgumentError
        Another name.

    Examples
    --------
    >>> from unrolled.scores.benchmarks import load
    >>> benchmark = load("nasbench201")
    >>> len(benchmark), sorted(benchmark.accuracies)
    (15625, ['cifar10', 'cifar100', 'imagenet16'])
    """
    checked_choice("benchmark", name, BENCHMARKS)
    (_, *tasks), rows = packaged_table(name)
    choices = np.array([[int(digit) for digit in row[0]] for row in rows], np.int64)
    figures = np.array([row[1:] for row in rows], np.float64)
    accuracies = {task: figures[:, at] for at, task in enumerate(tasks)}
    return SpaceBenchmark(name, SPACES[name], choices, accuracies)
