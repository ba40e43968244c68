"""`Template`: a network with open choices, compiled to count and score its variants.

It knows numbers of options only; what they are called is the business of `Space`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from unrolled._core import Scorer, Variants, VariantScorer
from unrolled._support.arguments import Progress
from unrolled.errors import InvalidNetworkError, NothingToCountError, UnrolledError
from unrolled.network.network import Network
from unrolled.network.sharing import fill_with_part
from unrolled.propagation.functions import own_pieces
from unrolled.search.fingerprints import fingerprint_of

__all__ = ["Gate", "Template"]

Gate = tuple[int, int] | None
"""The place and the option that open a link, if it is not always open."""

Options = npt.NDArray[np.uint32]


class Template:
    """A network with open choices, compiled.

    Parameters
    ----------
    network : Network
    places : sequence of pairs of str and tuple of str, optional
        Names and labels of the places; by default those of the choices of the network.
    gates : sequence, optional
        For every link what opens it; by default the choices of the network do.

    Raises
    ------
    InvalidNetworkError
        Links into a choice besides those of its options.
    CycleError, NothingToCountError
        As for `Space`.
    """

    def __init__(
        self,
        network: Network,
        places: Sequence[tuple[str, tuple[str, ...]]] | None = None,
        gates: Sequence[Gate] | None = None,
    ) -> None:
        if places is None or gates is None:
            places, gates = _gates_of(network)
        self.places = tuple(places)
        self._network = network
        self._gates = list(gates)
        self._compile()

    def _compile(self) -> None:
        options = [len(labels) for _, labels in self.places]
        try:
            self._variants = Variants(self._network._core, options, self._gates)
        except UnrolledError as error:
            raise type(error)(f"network '{self._network.name}': {error}") from None
        self._scorer: VariantScorer | None = None

    def places_as(self, kind: Callable[[str, tuple[str, ...]], Any]) -> tuple[Any, ...]:
        """The places, each as something made of its name and labels."""
        return tuple(kind(name, labels) for name, labels in self.places)

    def whole(self, name: str | None) -> Network:
        """A copy of the network, if it leaves nothing open."""
        copy = self._network.__copy__()
        copy.name = copy.name if name is None else name
        return copy

    def network(self, row: Options, name: str) -> Network:
        """The network of one variant, without what takes no part in it.

        Raises
        ------
        NothingToCountError
            No path leads to an output.
        """
        tensors, links, outputs = self._variants.part(row.tolist())
        if not outputs:
            raise NothingToCountError(f"network '{name}': no path leads to an output")
        found = Network(name, semantics=self._network.semantics)
        fill_with_part(found, self._network, tensors, links, outputs)
        return found

    def fingerprint(self) -> str:
        """A hash of the network, of its own functions, and of what opens its links."""
        own = fingerprint_of(self._network.functions)
        return f"{self._network.fingerprint()} {own} {self.places!r} {self._gates!r}"

    def have_paths(self, rows: Options) -> npt.NDArray[np.bool_]:
        """Whether a path leads from an input to an output, for each variant.

        Without one nothing can be found of it. A path on which no kernel lies is one, too; scores
        of such a variant say that nothing matters in it.
        """
        return self._variants.have_paths(rows)

    def canonical(self, rows: Options) -> npt.NDArray[np.int64]:
        """Rows with -1 in the place of choices that make no difference."""
        return np.asarray(self._variants.canonical(rows), np.int64)

    def sizes(
        self, rows: Options, *, threads: int = 0, progress: Progress | None = None
    ) -> dict[str, npt.NDArray[np.float64]]:
        """Sizes of variants, by name."""
        found = self._scoring().sizes(rows, threads=threads, progress=progress)
        return _columns(VariantScorer.size_columns, found)

    def scores(
        self, rows: Options, *, threads: int = 0, progress: Progress | None = None
    ) -> dict[str, npt.NDArray[np.float64]]:
        """Scores and sizes of variants, by name."""
        table = self._scoring().scores(rows, threads=threads, progress=progress)
        return _columns(VariantScorer.score_columns, table)

    def features(
        self, rows: Options, *, threads: int = 0, progress: Progress | None = None
    ) -> dict[str, npt.NDArray[np.float64]]:
        """Features and scores of variants, by name."""
        found = self._scoring().features(rows, threads=threads, progress=progress)
        return _columns(Scorer.feature_columns, found)

    def counts(
        self,
        rows: Options,
        *,
        exact: bool = False,
        trainable_only: bool = False,
        memory_limit: int | None = None,
        threads: int = 0,
        progress: Progress | None = None,
    ) -> tuple[dict[str, npt.NDArray[np.float64]], npt.NDArray[np.uint8] | None]:
        """What follows from the counts of variants, by name, and exact totals as bytes."""
        found, totals = self._variants.count(
            rows,
            exact,
            trainable_only=trainable_only,
            memory_limit=memory_limit,
            threads=threads,
            progress=progress,
        )
        return _columns(Variants.columns, found), totals

    def _scoring(self) -> VariantScorer:
        if self._scorer is None:
            try:
                pieces = own_pieces(self._network)
                self._scorer = VariantScorer(self._variants, pieces)
            except UnrolledError as error:
                raise type(error)(f"network '{self._network.name}': {error}") from None
        return self._scorer

    def __getstate__(self) -> dict[str, Any]:
        """What the core compiled is compiled again."""
        return {"places": self.places, "_network": self._network, "_gates": self._gates}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        self._compile()


def _columns(
    names: Sequence[str], table: npt.NDArray[np.float64]
) -> dict[str, npt.NDArray[np.float64]]:
    return {name: np.ascontiguousarray(table[:, at]) for at, name in enumerate(names)}


def _gates_of(network: Network) -> tuple[list[tuple[str, tuple[str, ...]]], list[Gate]]:
    """The places of the choices of a network, and what opens each of its links."""
    numbers: dict[str, int] = {}
    places: list[tuple[str, tuple[str, ...]]] = []
    waiting: dict[int, list[Gate]] = {}
    for choice in network.choices:
        if choice.place not in numbers:
            numbers[choice.place] = len(places)
            places.append((choice.place, choice.labels))
        waiting[choice.tensor] = [
            (numbers[choice.place], option)
            for option, is_nothing in enumerate(choice.is_nothing)
            if not is_nothing
        ]
    gates: list[Gate] = []
    for link in network.links:
        if link.target.id not in waiting:
            gates.append(None)
            continue
        if not waiting[link.target.id]:
            raise InvalidNetworkError(
                f"network '{network.name}': '{link.source.name}' is linked to the choice "
                f"'{link.target.name}' as well; a choice is computed from its options alone"
            )
        gates.append(waiting[link.target.id].pop(0))
    return places, gates
