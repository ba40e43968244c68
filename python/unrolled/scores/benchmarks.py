"""Published benchmarks: the accuracies of all their architectures, and the scores of them.

The accuracies come with the package; where from, and under which licence, is in
``data/SOURCES.md`` beside this module. The networks are built by `unrolled.models.benchmarks`.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from io import StringIO
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from unrolled._core import Scorer
from unrolled._support.arguments import Progress, checked_choice
from unrolled.models.benchmarks import SPACES, Choices, SearchSpace
from unrolled.network.network import Network

__all__ = ["BENCHMARKS", "Benchmark", "OwnBenchmark", "Scorable", "load"]

Numbers = npt.NDArray[np.float64]

BENCHMARKS = tuple(SPACES)
"""The names that `load` knows."""


@dataclass(frozen=True)
class Benchmark:
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

    def __len__(self) -> int:
        return len(self.choices)

    @cached_property
    def architectures(self) -> tuple[str, ...]:
        """The benchmark's own strings, in the order of all arrays."""
        return tuple(self.space.spell(tuple(row)) for row in self.choices.tolist())

    def scores(self, progress: Progress | None = None) -> dict[str, npt.NDArray[np.float64]]:
        """Every score of every architecture, by name, and the baselines.

        All architectures are one network, in which each opens links of its own.

        Parameters
        ----------
        progress : callable, optional
            Called as ``progress(done, total)`` now and then.

        Returns
        -------
        dict of str to array of shape ``(architectures,)``
            "weights" and all that follow count only what lies on a path from the input to the
            output; "parameters" are all that are trained. Architectures without a path are
            minus infinity in each of them, below all others.
        """
        network, gates, starts = self.space.supernet()
        scorer = Scorer(network._core, {}, gates)
        is_open = np.zeros((len(self), starts[-1]), bool)
        rows = np.arange(len(self))
        for place, start in enumerate(starts[:-1]):
            is_open[rows, start + self.choices[:, place]] = True
        found = scorer.score(is_open, progress)
        columns = {name: found[:, at] for at, name in enumerate(scorer.columns)}
        has_path = np.isfinite(columns["saliency_entropy"])
        columns["parameters"] = self._parameters()
        return {name: np.where(has_path, one, -np.inf) for name, one in columns.items()}

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
    """A space of architectures that is not among the published ones.

    Attributes
    ----------
    name : str
    """

    name: str

    def rows(self) -> npt.NDArray[Any]:
        """All architectures."""

    def check(self, rows: Any) -> npt.NDArray[Any]:
        """Architectures, as `scores` takes them."""

    def scores(self, rows: Any, *, progress: Progress | None = None) -> dict[str, Numbers]:
        """Every score and baseline of some architectures, by name."""

    def network(self, row: Any) -> Network:
        """The network of one architecture."""


@dataclass(frozen=True)
class OwnBenchmark:
    """Architectures of a space of one's own, with accuracies.

    Attributes
    ----------
    space : Scorable
    choices : array of shape ``(architectures, places)``
    accuracies : mapping of str to array of shape ``(architectures,)``
        By task; more is better.
    """

    space: Scorable
    choices: npt.NDArray[Any]
    accuracies: Mapping[str, Numbers]

    @property
    def name(self) -> str:
        """The name of the space."""
        return self.space.name

    def __len__(self) -> int:
        return len(self.choices)

    @property
    def architectures(self) -> Iterator[Network]:
        """The networks, one after the other."""
        return (self.space.network(row.tolist()) for row in self.choices)

    def scores(self, progress: Progress | None = None) -> dict[str, Numbers]:
        """Every score and baseline of every architecture, by name; see `Benchmark.scores`."""
        columns = self.space.scores(self.choices, progress=progress)
        has_path = np.isfinite(columns["saliency_entropy"])
        return {name: np.where(has_path, one, -np.inf) for name, one in columns.items()}


def trainable(network: Network) -> int:
    """The number of parameters that training changes."""
    return sum(tensor.size for tensor in network.parameters if tensor.trainable)


def load(name: str) -> Benchmark:
    """A benchmark by name.

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
    packed = (files("unrolled.scores") / "data" / f"{name}.csv.gz").read_bytes()
    lines = csv.reader(StringIO(gzip.decompress(packed).decode("ascii")))
    _, *tasks = next(lines)
    rows = list(lines)
    choices = np.array([[int(digit) for digit in row[0]] for row in rows], np.int64)
    figures = np.array([row[1:] for row in rows], np.float64)
    accuracies = {task: figures[:, at] for at, task in enumerate(tasks)}
    return Benchmark(name, SPACES[name], choices, accuracies)
