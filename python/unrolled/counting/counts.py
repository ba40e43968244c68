"""`Counts`: the context counts of all parameters of a network.

Those of a graph are in `graph_counts`, of one parameter in `parameter_counts`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from unrolled import _core
from unrolled._support import notebooks
from unrolled._support.caching import cached_property
from unrolled._support.copying import shared_copy, stored_attributes
from unrolled._support.hints import did_you_mean
from unrolled.counting.parameter_counts import ParameterCounts
from unrolled.errors import (
    InvalidArgumentError,
    UnknownNameError,
)
from unrolled.spectrum.spectrum import NOT_EXACT, Spectrum, Values

if TYPE_CHECKING:
    from unrolled.counting.kept import AnyCounts
    from unrolled.counting.lengths import LengthCounts
    from unrolled.network.network import Network, Tensor

__all__ = ["Counts"]


class Counts:
    """Context counts of all parameters of a network, by name.

    What `count` returns. A snapshot: layers added to the network later do not change it.

    Attributes
    ----------
    name : str
        Name of the network.
    is_exact : bool
        Whether the counts are integers; otherwise they are known in log space only.
    num_inputs, num_outputs : int
        Scalar inputs, ``N_I``, and outputs of the network.
    semantics : {"value", "dependency"}
        Which edges normalisers had.
    provenance : Provenance or None
        How the network was imported, if it was.

    Examples
    --------
    >>> import unrolled
    >>> counts = unrolled.count(unrolled.models.mlp([4], inputs=3, classes=2))
    >>> list(counts)
    ['layer1/kernel', 'layer1/bias', 'classifier/kernel', 'classifier/bias']
    >>> counts.spectrum()
    Spectrum(2 levels, 26 parameters, log2 counts 0 to 1)
    """

    def __init__(
        self, network: Network, core: AnyCounts, lengths: LengthCounts | None = None
    ) -> None:
        self._core = core
        self._lengths = lengths
        self.name = network.name
        self.is_exact = core.exact
        self.num_inputs = network.num_inputs
        self.num_outputs = network.num_outputs
        self.semantics = network.semantics
        self.provenance = network.provenance
        # Tables are made when asked for: counting must not wait for them. Tensors are added to a
        # network, and never change.
        self._network = network
        self._num_tensors = network.num_tensors

    @cached_property
    def inputs(self) -> tuple[Tensor, ...]:
        """The inputs of the network in the order of declaration."""
        return tuple([tensor for tensor in self._network.inputs if tensor.id < self._num_tensors])

    @cached_property
    def tensors(self) -> tuple[Tensor, ...]:
        """All tensors that the network had when it was counted."""
        return self._network.tensors[: self._num_tensors]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The counted parameters in the order of declaration."""
        return tuple(self._numbers)

    @cached_property
    def _tensors(self) -> dict[int, Tensor]:
        return {number: self.tensors[number] for number in self._core.parameters}

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {tensor.name: number for number, tensor in self._tensors.items()}

    @property
    def total(self) -> int:
        """Total number of contexts, ``Z``.

        Raises
        ------
        InvalidArgumentError
            If the counts are known in log space only; see `log2_total`.
        """
        total = self._core.total
        if total is None:
            raise InvalidArgumentError(NOT_EXACT)
        return total

    @property
    def log2_total(self) -> float:
        """Total number of contexts in bits, ``log2 Z``."""
        return self._core.log2_total

    @property
    def num_parameters(self) -> int:
        """Number of parameters with a context, ``N_G``."""
        return self.spectrum().num_parameters

    @cached_property
    def num_unreached_parameters(self) -> int:
        """Number of parameters without a context; no other figure includes them."""
        return self._core.num_elements - self.num_parameters

    @cached_property
    def num_weight_nodes(self) -> int:
        """Number of weight nodes: a tied parameter is one for every layer that uses it."""
        return self._core.num_weight_nodes

    @property
    def has_lengths(self) -> bool:
        """Whether the lengths of the contexts were counted as well."""
        return self._lengths is not None

    @property
    def peak_bytes(self) -> int:
        """Bytes of counts the core held at its peak."""
        return self._core.peak_bytes

    def spectrum(self) -> Spectrum:
        """Distinct counts of all parameters that have a context, with their degeneracies."""
        return self._spectrum

    @cached_property
    def _spectrum(self) -> Spectrum:
        core = self._core.spectrum()
        levels = core if isinstance(core, _core.Spectrum) else Values(*core[:3])

        def owners(level: int) -> dict[str, int]:
            return {self._tensors[number].name: size for number, size in core.owners(level)}

        return Spectrum(levels, core.exact if self.is_exact else None, owners)

    def __getitem__(self, name: str) -> ParameterCounts:
        number = self._number(name)
        if number is None:
            hint = did_you_mean(str(name), self.names) or f"; they begin with '{self.names[0]}'"
            raise UnknownNameError(f"'{self.name}' has no counted parameter {name!r}{hint}")
        shape, counted = self._tensors[number].shape, self._lengths
        lengths = None
        if counted is not None:
            from unrolled.counting.lengths import Lengths  # Few ask for them.

            lengths = partial(Lengths, counted, number, is_exact=self.is_exact)
        return ParameterCounts(name, shape, self._core.parameter(number), self.is_exact, lengths)

    def __copy__(self) -> Counts:
        return shared_copy(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Counts:
        return shared_copy(self)

    def __getstate__(self) -> dict[str, Any]:
        """All attributes, counts as plain arrays."""
        from unrolled.counting.kept import KeptCounts  # Only pickles need it.

        state = stored_attributes(self)
        state["_core"] = KeptCounts.of(self._core)
        if self._lengths is not None:
            from unrolled.counting.lengths import LengthCounts

            state["_lengths"] = LengthCounts(*map(KeptCounts.of, self._lengths))
        return state

    def _number(self, name: object) -> int | None:
        """The tensor of a parameter, by its name or the one that the imported model has for it."""
        if not isinstance(name, str):
            return None
        number = self._numbers.get(name)
        if number is None and self.provenance is not None:
            number = self._numbers.get(self.provenance.known_name(name))
        return number

    def __contains__(self, name: object) -> bool:
        return self._number(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def _repr_html_(self) -> str:
        facts = [
            ("parameters", f"{self.num_parameters:,}"),
            ("log2 of the total contexts", f"{self.log2_total:,.6f} bits"),
            ("counted", "exactly" if self.is_exact else "in log space"),
        ]
        spectrum = self.spectrum()
        chart = notebooks.histogram_bars(
            spectrum.log2_counts,
            spectrum.degeneracies.astype(np.float64),
            "parameters (log10) by contexts, log2 C [bits]",
        )
        return notebooks.card(f"Counts of {self.name}", facts, chart)

    def __repr__(self) -> str:
        space = "" if self.is_exact else "in log space, "
        return (
            f"Counts({self.name!r}, {self.num_parameters:,} parameters, {space}"
            f"log2 of the total contexts {self.log2_total:,.6g})"
        )
