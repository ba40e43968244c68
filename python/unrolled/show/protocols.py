"""What can be shown, as protocols: the attributes that tables, figures and reports read.

`Analysis` and `Comparison` satisfy them; nothing here knows how a model is counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from unrolled.show.layers import LayerSummary
from unrolled.show.summaries import Block, Summary
from unrolled.spectrum.catalogue import Quantity
from unrolled.spectrum.spectrum import Spectrum

__all__ = ["AnalysisLike", "ComparisonLike", "OverviewLike", "ScoresLike"]


class AnalysisLike(Protocol):
    """The quantities of one model; see `unrolled.Analysis`."""

    @property
    def name(self) -> str:
        """The name of the model."""

    @property
    def spectrum(self) -> Spectrum:
        """The distinct counts with their degeneracies."""

    @property
    def num_inputs(self) -> int:
        """The number of scalar inputs."""

    @property
    def num_outputs(self) -> int:
        """The number of scalar outputs."""

    @property
    def num_parameters(self) -> int:
        """The number of parameters with a context."""

    @property
    def num_unreached_parameters(self) -> int:
        """The number of parameters without a context."""

    @property
    def num_weight_nodes(self) -> int:
        """The number of weight nodes."""

    @property
    def total_contexts(self) -> int | None:
        """The total number of contexts, if it was counted exactly."""

    @property
    def is_exact(self) -> bool:
        """Whether the contexts were counted as integers."""

    @property
    def semantics(self) -> str | None:
        """Which edges normalisers had, or None if there is no network."""

    @property
    def input_shapes(self) -> tuple[tuple[int, ...], ...] | None:
        """The shapes of the inputs, or None if there is no network."""

    @property
    def input_size(self) -> tuple[int, int] | None:
        """The size of a larger input that the estimates are for, or None."""

    @property
    def has_layers(self) -> bool:
        """Whether there are `layers`."""

    @property
    def layers(self) -> tuple[LayerSummary, ...]:
        """Summaries of the layers that have parameters."""

    @property
    def operations(self) -> tuple[LayerSummary, ...]:
        """What is computed without parameters."""

    @property
    def totals(self) -> LayerSummary:
        """The sums over layers and operations."""

    def to_dict(self) -> dict[str, Any]:
        """All quantities by key, and the name."""

    def summarize(self) -> Summary:
        """What the summary of the model says, before it is laid out."""


class OverviewLike(Protocol):
    """What the theory says of one model; see `unrolled.theory.Overview`."""

    @property
    def name(self) -> str:
        """The name of the model."""

    def blocks(self) -> Iterator[Block]:
        """The parts as small tables and sentences."""

    def summary(self) -> Mapping[str, str]:
        """The main figure of each part, by the heading of its column."""


class ScoresLike(Protocol):
    """The scores of one model, an attribute for each of their keys; see `unrolled.Scores`."""

    @property
    def name(self) -> str:
        """The name of the model."""

    @property
    def unit(self) -> str:
        """The unit of what is on a logarithmic scale."""

    def to_dict(self) -> dict[str, str | int | float]:
        """All scores by key, the name and the unit."""


class ComparisonLike(Protocol):
    """Several models in the order of a ranking; see `unrolled.Comparison`."""

    @property
    def sort(self) -> str:
        """The key of the quantity that they are ranked by."""

    @property
    def analyses(self) -> Sequence[AnalysisLike]:
        """The models in their order."""

    @property
    def scores(self) -> Sequence[ScoresLike | None]:
        """The scores of the models in their order, None where there are none; or empty."""

    @property
    def shows_counts(self) -> bool:
        """Whether tables show what was counted, beside scores or alone."""

    @property
    def quantities(self) -> Sequence[Quantity]:
        """The columns of tables of counts."""

    @property
    def measured(self) -> Sequence[str] | None:
        """Keys of the scores of which tables say how they ranked; None for all."""

    @property
    def title(self) -> str:
        """What the ranking is by."""

    @property
    def notes(self) -> list[str]:
        """What is special about some models."""

    def to_dict(self) -> list[dict[str, str | int | float | None]]:
        """All quantities of each model."""

    def __len__(self) -> int:
        """The number of models."""

    def __iter__(self) -> Iterator[Any]:
        """The models in their order."""

    def __getitem__(self, position: int, /) -> Any:
        """The model at a place of the ranking."""
