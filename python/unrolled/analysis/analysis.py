"""`analyze` and its result, `Analysis`: every quantity of one model.

Several models are compared in `comparison`; the formulas are in `unrolled.spectrum.quantities`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from unrolled import costs, show
from unrolled._support import files
from unrolled._support.caching import cached_property
from unrolled.analysis.larger_inputs import larger_image
from unrolled.counting.counting import count
from unrolled.counting.counts import Counts
from unrolled.counting.graph_counts import GraphCounts
from unrolled.counting.parameter_counts import ParameterCounts
from unrolled.errors import (
    InvalidArgumentError,
    InvalidNetworkError,
    NothingToCountError,
)
from unrolled.graph.graph import Graph
from unrolled.importers.door import Door
from unrolled.network.builder import Semantics
from unrolled.network.configurations import split_name
from unrolled.network.network import Network
from unrolled.sources.resolution import resolve
from unrolled.spectrum import quantities
from unrolled.spectrum.catalogue import CATALOGUE, ESTIMATES, value_of
from unrolled.spectrum.spectrum import Spectrum, scaled_integer

if TYPE_CHECKING:
    from pathlib import Path

    import pandas
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from rich.console import Console, ConsoleOptions, RenderableType

    from unrolled.analysis.layer_graph import LayerGraph
    from unrolled.analysis.records import NetworkFacts
    from unrolled.costs import Activations, OperationCost
    from unrolled.network.provenance import Provenance
    from unrolled.show import tables
    from unrolled.show.layers import LayerSummary
    from unrolled.show.summaries import Summary

__all__ = ["Analysis", "analyze", "network_of"]

ANALYZE = Door("analyze", {"inputs": "inputs", "values": "values"})

NARROW = 100


@dataclass(frozen=True, eq=False, repr=False)
class Analysis:
    """The quantities of one model. `analyze` makes one from a network.

    Attributes
    ----------
    name : str
        Name of the model.
    spectrum : Spectrum
        Distinct context counts with their degeneracies; all quantities follow from it.
    num_inputs, num_outputs : int
        Scalar inputs and outputs.
    num_weight_nodes : int
        A parameter that several layers share is one weight node for each.
    num_unreached_parameters : int
        Parameters without a context, which no other figure includes.
    counts : Counts, GraphCounts or None
        Counts by parameter, or by node; None if the analysis was made of a spectrum alone.
    input_size : tuple of int or None
        Height and width of a larger input, for which the estimates are the published lower
        bounds; `num_inputs` is that of the larger input, all else was counted at the own size.
    true_value : Analysis or None
        The same model, built and counted at `input_size`, where that is possible.
    facts : NetworkFacts or None
        Layers, shapes of inputs and the like of an analysis that was loaded, whose counts are gone.

    Pickles and files (`save`) have everything but the counts of single parameters, which can be
    counted again: `counts` is None then. Pickle the `counts` themselves to keep them.

    Examples
    --------
    The first worked example of the publication, which has 8 parameters:

    >>> from unrolled import Analysis, Spectrum
    >>> example = Analysis(
    ...     "example", Spectrum.from_counts([2, 2, 2, 2, 1, 1, 1, 1]),
    ...     num_inputs=2, num_outputs=1, num_weight_nodes=8)
    >>> example.total_contexts, round(example.expected_spread, 12)
    (12, 0.666666666667)
    """

    name: str
    spectrum: Spectrum
    num_inputs: int = field(kw_only=True)
    num_outputs: int = field(kw_only=True)
    num_weight_nodes: int = field(kw_only=True)
    num_unreached_parameters: int = field(default=0, kw_only=True)
    counts: Counts | GraphCounts | None = field(default=None, kw_only=True)
    input_size: tuple[int, int] | None = field(default=None, kw_only=True)
    true_value: Analysis | None = field(default=None, kw_only=True)
    facts: NetworkFacts | None = field(default=None, kw_only=True)

    @property
    def is_exact(self) -> bool:
        """Whether the contexts were counted as integers, not in log space."""
        return self.spectrum.is_exact

    @property
    def provenance(self) -> Provenance | None:
        """How the network was imported, if it was."""
        return self._known.provenance if self._known is not None else None

    @property
    def semantics(self) -> str | None:
        """Which edges normalisers had; None if it was made of a graph, or of a spectrum alone."""
        return self._known.semantics if self._known is not None else None

    @property
    def input_shapes(self) -> tuple[tuple[int, ...], ...] | None:
        """Shapes of the inputs of the network; None as for `semantics`."""
        return self._known.input_shapes if self._known is not None else None

    @property
    def num_parameters(self) -> int:
        """Number of parameters with a context, ``N_G``."""
        return self.spectrum.num_parameters

    @cached_property
    def total_contexts(self) -> int | None:
        """Total number of contexts, ``Z``; None if counted in log space."""
        if not self.is_exact:
            return None
        return self.spectrum.total if self.counts is None else self.counts.total

    @cached_property
    def log2_total_contexts(self) -> float:
        """``log2 Z`` in bits; see `quantities.log2_total_contexts`."""
        if self.total_contexts is None:
            return quantities.log2_total_contexts(self.spectrum)
        mantissa, exponent = scaled_integer(self.total_contexts)
        return exponent + math.log2(mantissa)

    @cached_property
    def expected_spread(self) -> float:
        """``E[log2 C]`` in bits; see `quantities.expected_spread`."""
        return quantities.expected_spread(self.spectrum)

    @cached_property
    def entropy(self) -> float:
        """``H`` in bits; see `quantities.entropy`."""
        return quantities.entropy(self.spectrum)

    @cached_property
    def total_surprisal(self) -> float:
        """``S_G`` in bits; see `quantities.total_surprisal`."""
        return quantities.total_surprisal(self.spectrum)

    @cached_property
    def surprisal_estimate(self) -> float:
        """``P_G`` in bits; see `quantities.surprisal_estimate`.

        Raises
        ------
        InvalidNetworkError
            The model has no input.
        """
        return self._estimate(quantities.surprisal_estimate)

    @cached_property
    def spread_estimate(self) -> float:
        """``P'_G`` in bits; see `quantities.spread_estimate`.

        Raises
        ------
        InvalidNetworkError
            The model has no input.
        """
        return self._estimate(quantities.spread_estimate)

    @cached_property
    def mean_length(self) -> float:
        """Mean length of all contexts in links; see `ParameterCounts.mean_length`.

        Raises
        ------
        InvalidArgumentError
            Lengths were not counted.
        """
        return self._length("mean_length")

    @cached_property
    def length_variance(self) -> float:
        """Variance of the length over all contexts; errors as for `mean_length`."""
        return self._length("length_variance")

    def _length(self, key: str) -> float:
        figure: float | None = None if self._known is None else getattr(self._known, key)
        if figure is None:
            raise InvalidArgumentError(
                f"'{self.name}' was analysed without lengths; use analyze(network, lengths=True)"
            )
        return figure

    @property
    def _has_lengths(self) -> bool:
        if isinstance(self.counts, Counts):
            return self.counts.has_lengths
        return self.facts is not None and self.facts.mean_length is not None

    @cached_property
    def _known(self) -> NetworkFacts | None:
        """What is known of the network besides its spectrum."""
        if not isinstance(self.counts, Counts):
            return self.facts
        from unrolled.analysis.records import NetworkFacts  # Quantities need none of it.

        mean = variance = None
        if self.counts.has_lengths:
            counted = [(self.counts[name].length_moments, 1) for name in self.counts]
            from unrolled.counting.lengths import Moments

            lengths = Moments.total(counted)
            mean, variance = lengths.mean, lengths.variance
        shapes = tuple([tensor.shape for tensor in self.counts.inputs])
        return NetworkFacts(
            self.counts.semantics,
            shapes,
            self.layers,
            mean,
            variance,
            self.counts.provenance,
            self.operations,
            self.activations,
        )

    @property
    def has_layers(self) -> bool:
        """Whether there are `layers`: not if it was made of a graph, or of a spectrum alone."""
        return isinstance(self.counts, Counts) or self.facts is not None

    @cached_property
    def layers(self) -> tuple[LayerSummary, ...]:
        """Summaries of the layers that have parameters, in the order of declaration.

        Raises
        ------
        InvalidArgumentError
            If the analysis was made of a graph, or of a spectrum alone.
        """
        if not isinstance(self.counts, Counts):
            if self.facts is not None:
                return self.facts.layers
            what = "spectrum" if self.counts is None else "graph"
            raise InvalidArgumentError(
                f"'{self.name}' was analysed from a {what}, which knows no layers; "
                "analyze a Network or Counts instead"
            )
        groups: dict[str, list[ParameterCounts]] = {}
        for name in self.counts:
            layer = split_name(name)[0]
            groups.setdefault(layer, []).append(self.counts[name])
        by_name = {cost.name: cost for cost in self._costs if cost.has_parameters}
        return tuple(
            _add_cost(self._summarize_layer(name, group), by_name[name])
            for name, group in groups.items()
        )

    @cached_property
    def operations(self) -> tuple[LayerSummary, ...]:
        """What the network computes without parameters of its own, such as products and pools.

        Movements of elements, which cost nothing, are not among them. Errors are those of `layers`.
        """
        if not isinstance(self.counts, Counts):
            _ = self.layers
            return self.facts.operations if self.facts is not None else ()
        without = (math.nan,) * 4
        return tuple(
            _add_cost(show.layers.LayerSummary(cost.name, (), 0, 0, *without), cost)
            for cost in self._costs
            if not cost.has_parameters and (cost.flops or cost.activations)
        )

    @cached_property
    def totals(self) -> LayerSummary:
        """The sums over `layers` and `operations`: parameters, MACs, FLOPs, edges, activations.

        Errors are those of `layers`.

        Examples
        --------
        >>> import unrolled
        >>> totals = unrolled.analyze("resnet50").totals
        >>> totals.num_parameters, totals.num_trainable, totals.macs
        (25610152, 25557032, 3857973248)
        """
        total = show.layers.taken_together([*self.layers, *self.operations], "total")
        return total._replace(output_shape=None)

    @cached_property
    def activations(self) -> Activations | None:
        """Elements of activations in memory: all, and at the peak of a pass forwards and backwards.

        For one sample; `Activations.in_bytes` has them in bytes of a type. None if no path leads
        from an input to an output. Errors are those of `layers`.

        Examples
        --------
        >>> import unrolled
        >>> memory = unrolled.analyze("resnet50").activations.in_bytes("float32")
        >>> memory.total, memory.forward_peak, memory.backward_peak
        (107589536, 9633792, 80883712)
        """
        if not isinstance(self.counts, Counts):
            _ = self.layers
            return self.facts.activations if self.facts is not None else None
        try:
            return costs.activations_of(
                self.network, len(self.counts.tensors), self.counts.num_outputs
            )
        except NothingToCountError:
            return None

    def graph(self, depth: int | None = None) -> LayerGraph:
        """The layers with the arrows between them, coloured by their contexts, as a picture.

        Parameters
        ----------
        depth : int, optional
            Put all in one box whose names have the same parts, between dots, down to this depth;
            by default every layer and operation has its own.

        Raises
        ------
        InvalidArgumentError
            The analysis was loaded or pickled, or knows no layers; or a depth below 1.

        Examples
        --------
        >>> import unrolled
        >>> unrolled.analyze("resnet50").graph(depth=1)
        LayerGraph('resnet50', 8 nodes, 7 arrows)
        """
        from unrolled.analysis.layer_graph import draw_layers  # It is only needed here.

        if depth is not None and (isinstance(depth, bool) or depth < 1):
            raise InvalidArgumentError(f"depth must be an integer of at least 1, got {depth!r}")
        layers = [*self.layers, *self.operations]
        network = self.network
        number = len(self.counts.tensors) if isinstance(self.counts, Counts) else None
        return draw_layers(self.name, layers, costs.flow_of(network, number), depth)

    @property
    def network(self) -> Network:
        """The network that was counted, which may have grown since.

        Raises
        ------
        InvalidArgumentError
            The analysis was loaded or pickled, or was made of a graph or of a spectrum alone.
        """
        if not isinstance(self.counts, Counts):
            _ = self.layers
            raise InvalidArgumentError(
                f"'{self.name}' was loaded, and its network is not there; analyze the model again"
            )
        return network_of(self.counts)

    @cached_property
    def _costs(self) -> list[OperationCost]:
        if not isinstance(self.counts, Counts):
            return []
        return costs.costs_of(self.network, len(self.counts.tensors))

    def to_dict(self, *, complete: bool = False) -> dict[str, Any]:
        """The name and all quantities, by the names of the attributes.

        Without an input, estimates are None.

        Parameters
        ----------
        complete : bool
            Add the spectrum, the layers and whatever else `from_dict` needs, all of it as JSON can
            hold it; docs/formats.md describes the format.
        """
        if complete:
            from unrolled.analysis.records import record_of  # It is only needed here.

            return record_of(self, self._known)
        return {"name": self.name} | {key: value_of(self, key) for key in CATALOGUE}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Analysis:
        """The analysis that ``to_dict(complete=True)`` tells of, without its counts.

        Quantities are worked out again from the spectrum, whatever the record says of them.

        Raises
        ------
        ResultFileError
            Not such a record, or one that contradicts itself.

        Examples
        --------
        >>> import unrolled
        >>> analysis = unrolled.analyze(unrolled.models.mlp([4], inputs=3))
        >>> again = unrolled.Analysis.from_dict(analysis.to_dict(complete=True))
        >>> again.to_dict() == analysis.to_dict(), again.layers == analysis.layers
        (True, True)
        """
        from unrolled.analysis.records import arguments_of  # It is only needed here.

        return cls._from_arguments(arguments_of(record))

    def to_pandas(self) -> pandas.DataFrame:
        """One row a layer and operation, its name as index, the attributes of `LayerSummary`.

        Raises
        ------
        InvalidArgumentError
            The analysis was made of a graph, or of a spectrum alone.
        MissingPackageError
            pandas is not installed.
        """
        return show.layer_formats.to_pandas(self)

    def to_csv(self, path: str | os.PathLike[str] | None = None) -> str:
        """One line a layer and operation as comma-separated values; written to a file if given.

        Columns are the attributes of `LayerSummary`, numbers unrounded. Shapes are written like
        64x3x7x7, those of several parameters with blanks between. Names are quoted as in
        `Comparison.to_csv`.

        Raises
        ------
        InvalidArgumentError
            The analysis was made of a graph, or of a spectrum alone.
        OSError
            The file cannot be written.

        Examples
        --------
        >>> import unrolled
        >>> analysis = unrolled.analyze(unrolled.models.mlp([4], inputs=3, classes=2))
        >>> analysis.to_csv().splitlines()[1].split(",")[:3]
        ['"layer1"', '"3x4 4"', '16']
        """
        return show.formats.write_if_asked(path, show.layer_formats.to_csv(self))

    def to_markdown(self, path: str | os.PathLike[str] | None = None) -> str:
        """The layers and their totals as a Markdown table; errors are those of `to_csv`."""
        return show.formats.write_if_asked(path, show.layer_formats.to_markdown(self))

    def to_latex(self, path: str | os.PathLike[str] | None = None) -> str:
        """The layers as a LaTeX tabular for the package booktabs; errors are those of `to_csv`."""
        return show.formats.write_if_asked(path, show.layer_formats.to_latex(self))

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """What ``to_dict(complete=True)`` has as text, which `load` reads from a file.

        Raises
        ------
        OSError
            The file cannot be written.
        """
        import json

        text = json.dumps(self.to_dict(complete=True), allow_nan=False)
        return show.formats.write_if_asked(path, text)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write a file of the kind its suffix says, whole or not at all.

        Parameters
        ----------
        path : str or path
            ``.json`` for all that is known, which `load` reads again; ``.csv``, ``.md`` or
            ``.tex`` for the layers; or a kind of image, such as ``.png``, ``.svg`` or ``.pdf``,
            for the figures of `plot`.

        Raises
        ------
        InvalidArgumentError
            Another suffix, or a table of layers of an analysis that knows none.
        MissingPackageError
            An image, and matplotlib is not installed.
        OSError
            The file cannot be written.

        Examples
        --------
        >>> import tempfile, pathlib, unrolled
        >>> analysis = unrolled.analyze("resnet18")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = analysis.save(pathlib.Path(folder) / "resnet18.json")
        ...     unrolled.Analysis.load(path).entropy == analysis.entropy
        True
        """
        from pathlib import Path

        path = Path(path)
        kind = path.suffix.lower()
        texts = {
            ".json": self.to_json,
            ".csv": self.to_csv,
            ".md": self.to_markdown,
            ".tex": self.to_latex,
        }
        if kind in texts:
            return files.write(path, texts[kind]())
        if kind in ("", ".htm", ".html", ".txt"):
            raise InvalidArgumentError(
                f"save(): '{path}' must end in .json, .csv, .md, .tex or the suffix of an image, "
                "such as .png, .svg or .pdf; compare([model]).save(...) writes a report"
            )
        return show.plot.save_drawn(self.plot, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Analysis:
        """Read an analysis that `save` wrote.

        Raises
        ------
        ResultFileError
            A file that `save` did not write, or that was changed since.
        OSError
            The file cannot be read.
        """
        from unrolled._support.records import read_json  # It is only needed here.

        return read_json(path, cls.from_dict)

    @classmethod
    def _from_arguments(cls, arguments: dict[str, Any]) -> Analysis:
        if arguments["true_value"] is not None:
            arguments["true_value"] = cls._from_arguments(arguments["true_value"])
        return cls(**arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        parts = {one.name: getattr(self, one.name) for one in fields(self)}
        return _restore, (type(self), {**parts, "counts": None, "facts": self._known})

    def __copy__(self) -> Analysis:
        return replace(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Analysis:
        return replace(self)

    def summary(self) -> str:
        """The quantities of the model as text, one a line, with their units."""
        return self.summarize().text()

    def summarize(self) -> Summary:
        """The quantities of the model as labelled lines, for text and HTML alike."""
        lines = []
        for key, quantity in CATALOGUE.items():
            value = value_of(self, key)
            if key == "total_contexts" or value is None:
                continue
            if key == "num_unreached_parameters" and not value:
                continue
            text = f"{value:,}" if isinstance(value, int) else f"{value:,.6f}"
            lines.append((quantity.label, text, quantity.unit))
        if self._has_lengths:
            lines.append(("mean length of a context", f"{self.mean_length:,.6f}", "links"))
        how = "exactly" if self.is_exact else "in log space"
        return show.summaries.Summary(f"{self.name}, counted {how}", lines, self._bounds())

    def table(
        self,
        *,
        width: int | None = None,
        columns: str | Iterable[str] | None = None,
        depth: int | None = None,
        sort: str | None = None,
        dtype: Any = "float32",
    ) -> str:
        """The `summary`, then one line a layer, operations without parameters, and the totals.

        Parameters
        ----------
        width : int, optional
            Columns of text to fill at most: by default those of the terminal, or as many as it
            takes. From 100 on there are outputs and MACs by default, from 120 on bars.
        columns : iterable of str, or text with commas, optional
            What to show of each layer: "kind", "shape" (of its first parameter), "output",
            "parameters", "trainable", "macs", "edges", "flops", "activations", "memory", "uses",
            "least" and "most" (contexts of a parameter in bits), "bar" (the same as "most"),
            "share_of_parameters", "share_of_macs", "share_of_contexts", "share_of_spread".
        depth : int, optional
            Show a tree of the parts of names that stand between dots, down to this depth, with the
            sums of each group. By default every layer has one line.
        sort : str, optional
            A column to sort by, the largest first, or "name"; by default the order of declaration.
        dtype : str or dtype
            Of activations, for their memory.

        Raises
        ------
        InvalidArgumentError
            An unknown column or type, a depth below 1, or any of these for an analysis that knows
            no layers.

        Examples
        --------
        >>> import unrolled
        >>> analysis = unrolled.analyze(unrolled.models.resnet(18))
        >>> for line in analysis.table(columns="parameters,macs", depth=1).splitlines()[12:]:
        ...     print(line)
        layer      parameters    MACs
        -----------------------------
        stem            9,664   118 M
        stage1        148,480 462.4 M
        stage2        526,848   411 M
        stage3      2,102,272   411 M
        stage4      8,398,848   411 M
        classifier    513,000   512 k
        pool                0       0
        -----------------------------
        total      11,699,112 1.814 G
        MACs: multiplications, with those by padding.
        """
        return self.sheet(width, columns=columns, depth=depth, sort=sort, dtype=dtype).text(width)

    def plot(self) -> tuple[Figure, Sequence[Axes]]:
        """Draw contexts along the depth, the spectrum, and shares of the spread by layer.

        Returns
        -------
        figure, axes
            Of matplotlib: one axes a panel, only the spectrum if the analysis knows no layers. See
            `plot` for single panels.

        Raises
        ------
        MissingPackageError
            matplotlib is not installed.
        """
        return show.plot.overview(self)

    def _repr_html_(self) -> str:
        return show.html.analysis(self)

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """The table as rich draws it in a terminal."""
        return self.sheet(options.max_width).drawn()

    def sheet(
        self,
        width: int | None = None,
        *,
        columns: str | Iterable[str] | None = None,
        depth: int | None = None,
        sort: str | None = None,
        dtype: Any = "float32",
    ) -> tables.Sheet:
        """What `table` shows, before it is laid out; without layers, the summary alone."""
        width = width or show.tables.output_width()
        if not self.has_layers:
            if (columns, depth, sort) != (None, None, None):
                _ = self.layers
            return show.tables.Sheet(self.summary(), (), ())
        keys = show.layers.chosen_columns(columns, width)
        name, element = costs.width_of(dtype)
        bits = [one.log2_maximum for one in self.layers if not math.isnan(one.log2_maximum)]
        decimals = 1 if width < NARROW else 3
        whole = show.layers.Whole(self.totals, max(bits, default=math.nan), decimals, element)
        if depth is None:
            shown = show.layers.sorted_layers(self.layers, sort)
            if self.operations:
                rest = show.layers.taken_together(self.operations, "(no parameters)")
                shown.append(rest._replace(output_shape=None))
        elif isinstance(depth, bool) or not isinstance(depth, int) or depth < 1:
            raise InvalidArgumentError(f"depth must be an integer of at least 1, got {depth!r}")
        else:
            shown = show.layers.layer_tree([*self.layers, *self.operations], depth, sort)
        rows = [show.layers.layer_cells(layer, keys, whole) for layer in shown]
        sheet = [show.tables.Column("layer", "left", folds=True)]
        columns_of = show.layers.COLUMNS
        sheet += [
            show.tables.Column(columns_of[key].heading, columns_of[key].justify) for key in keys
        ]
        return show.tables.Sheet(
            self.summary(),
            sheet,
            rows,
            self._notes(keys, name),
            show.layers.layer_cells(whole.total, keys, whole),
        )

    def _notes(self, keys: Sequence[str], dtype: str) -> list[str]:
        """What stands below the table of layers, for the columns that it has."""
        sentences = {
            "least": "C: contexts of one parameter.",
            "share_of_contexts": "Z: contexts of all.",
            "share_of_spread": "E: expected spread.",
            "shape": "Shape: of the layer's first parameter.",
            "macs": "MACs: multiplications, with those by padding.",
            "edges": "Edges: of the graph; none from padding.",
            "flops": "FLOPs: 2 MACs, and 1 for each other operation.",
        }
        notes = [" ".join(text for key, text in sentences.items() if key in keys)]
        if any(layer.num_uses > 1 for layer in self.layers):
            notes.append("(x2): parameters that are used in two places; they count once.")
        if self.activations is not None and {"memory", "activations"} & set(keys):
            memory = self.activations.in_bytes(dtype)
            peaks = map(show.tables.byte_size, (memory.forward_peak, memory.backward_peak))
            notes.append(
                "Memory of activations of one sample in {}: {} at the peak of an evaluation, {} at "
                "that of a reverse sweep.".format(dtype, *peaks)
            )
        if self.num_unreached_parameters:
            notes.append(
                f"{self.num_unreached_parameters:,} parameters reach no output and are left out."
            )
        return [note for note in notes if note]

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        return (
            f"Analysis({self.name!r}, {self.num_parameters:,} parameters, "
            f"expected spread {self.expected_spread:,.6g} bits, entropy {self.entropy:,.6g} bits)"
        )

    def _bounds(self) -> list[str | tuple[str, str, str]]:
        """What the summary says about a larger input."""
        if self.input_size is None:
            return []
        height, width = self.input_size
        sentence = f"Estimates are lower bounds for inputs of {height} x {width}, as published."
        if self.true_value is None:
            return [sentence]
        values = [(key, getattr(self.true_value, key)) for key in ESTIMATES]
        return [
            f"{sentence} Counted there:",
            *((CATALOGUE[key].label, f"{value:,.6f}", "bits") for key, value in values),
        ]

    def _estimate(self, formula: Callable[..., float]) -> float:
        if self.num_inputs == 0:
            raise InvalidNetworkError(
                f"'{self.name}': without an input there are no performance estimates; "
                "declare one with Network.input, or with the inputs of a Graph"
            )
        return formula(
            self.spectrum,
            num_inputs=self.num_inputs,
            num_outputs=self.num_outputs,
            num_weight_nodes=self.num_weight_nodes,
        )

    def _summarize_layer(self, name: str, parameters: Iterable[ParameterCounts]) -> LayerSummary:
        parameters = list(parameters)
        spectra = [spectrum for one in parameters if len(spectrum := one.spectrum())]
        contexts = math.fsum(
            value for spectrum in spectra for value in self._contexts(spectrum).tolist()
        )
        spread = math.fsum(
            value
            for spectrum in spectra
            for value in (self._contexts(spectrum) * spectrum.log2_counts).tolist()
        )
        mean_length = math.nan
        if self._has_lengths:
            from unrolled.counting.lengths import Moments

            mean_length = Moments.total([(one.length_moments, 1) for one in parameters]).mean
        return show.layers.LayerSummary(
            name,
            tuple(one.shape for one in parameters),
            sum(spectrum.num_parameters for spectrum in spectra),
            sum(one.num_unreached for one in parameters),
            min((float(spectrum.log2_counts[0]) for spectrum in spectra), default=math.nan),
            max((float(spectrum.log2_counts[-1]) for spectrum in spectra), default=math.nan),
            contexts,
            spread / self.expected_spread if self.expected_spread else math.nan,
            mean_length=mean_length,
        )

    def _contexts(self, spectrum: Spectrum) -> quantities.Floats:
        """The part of all contexts that each level of a parameter has."""
        logarithms = spectrum.log2_counts - self.log2_total_contexts
        parts: quantities.Floats = spectrum.degeneracies.astype(np.float64) * np.exp2(logarithms)
        return parts


def network_of(counts: Counts) -> Network:
    """The network that was counted, which may have grown since.

    Raises
    ------
    InvalidArgumentError
        It is no longer there.
    """
    network = counts.tensors[0].network
    if not isinstance(network, Network):
        raise InvalidArgumentError(f"'{counts.name}' was analysed without its network")
    return network


def _add_cost(layer: LayerSummary, cost: OperationCost) -> LayerSummary:
    """A layer with what it costs."""
    return layer._replace(
        kind=cost.kind,
        output_shape=cost.output_shape,
        num_trainable=cost.num_trainable,
        macs=cost.macs,
        edges=cost.edges,
        flops=cost.flops,
        activations=cost.activations,
        num_uses=cost.uses,
        path=cost.path,
    )


def _restore(kind: type[Analysis], parts: dict[str, Any]) -> Analysis:
    """An analysis that was pickled."""
    return kind(**parts)


def analyze(
    model: Any,
    *,
    inputs: Any = None,
    values: Mapping[str, Any] | None = None,
    semantics: Semantics | None = None,
    input_size: int | Sequence[int] | None = None,
    exact: bool = True,
    trainable_only: bool = False,
    lengths: bool = False,
    threads: int | None = None,
    memory_limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Analysis:
    """Count the contexts of a model's parameters and work out its quantities.

    Parameters
    ----------
    model : Network, Graph, Counts, GraphCounts, str, Path, or an object of another library
        With counts, nothing is counted again and the options have no effect. A string is the name
        of a published model or of a file: ``.onnx``, ``.keras``, ``.json`` of Keras, or a graph.
        Objects are an ONNX ModelProto, a Keras model, a PyTorch module, a JAX function; a graph of
        NetworkX, SciPy, igraph or rustworkx; edges as an integer array of shape ``(2, edges)``, as
        a table of pandas, polars or pyarrow with the columns source, target and maybe
        multiplicity, or as a tuple of these columns.
    inputs : optional
        For what has to be imported: shapes of inputs for ONNX and Keras, example inputs for
        PyTorch, ``(params, *example_inputs)`` for a function. See `from_onnx`, `from_keras`,
        `from_torch` and `from_jax`.
    values : dict, optional
        For ONNX: elements of integer inputs, such as ``{"position": 5}``; see `from_onnx`.
    semantics : {"value", "dependency"}, optional
        For what has to be imported: which edges normalisers have; by default "value".
    input_size : int or (height, width), optional
        Of a larger input in pixels. The two estimates are then the published lower bounds: all
        is counted at the model's own size, and only ``N_I``, also within ``|G|``, is that of
        the larger input. `Analysis.true_value` has what counting at that size gives, if
        `unrolled.models` built the network. The bound on the surprisal estimate is not strict:
        from 224 to 225 pixels, that of ResNet-18 is 24.4962 and the true value 24.4958.
    exact, trainable_only, lengths, threads, memory_limit, progress
        See `count`. Of a graph, only the counts of parameters are kept.

    Returns
    -------
    Analysis

    Raises
    ------
    NothingToCountError, MemoryLimitError
        See `count`.
    InvalidArgumentError
        Something else than a model or counts towards the outputs, an option that is not for it, or
        an `input_size` smaller than the own one.
    UnknownModelError
        A name that no published model has.
    MissingPackageError, InvalidModelError, UnsupportedOperatorError
        See the importers.
    InvalidNetworkError
        An `input_size` for a model without exactly one image as its input.

    References
    ----------
    A. G. Polat, F. Alpaslan, "The reusability prior: comparing deep learning models without
    training", Mach. Learn.: Sci. Technol. (2023), doi 10.1088/2632-2153/acc713. The lower bound is
    that of the program published with it.

    Examples
    --------
    >>> import unrolled
    >>> result = unrolled.analyze(unrolled.models.mlp([4, 4], inputs=3, classes=2))
    >>> result.num_parameters, result.num_weight_nodes, result.num_inputs, result.num_outputs
    (46, 46, 3, 2)
    >>> result.total_contexts, round(result.log2_total_contexts, 6)
    (178, 7.475733)
    >>> abs(result.entropy + result.expected_spread - result.log2_total_contexts) < 1e-12
    True

    What is known at 32 pixels about 48, and what is true:

    >>> bound = unrolled.analyze(unrolled.models.resnet(18, size=32), input_size=48)
    >>> round(bound.spread_estimate, 3), round(bound.true_value.spread_estimate, 3)
    (20.145, 20.238)
    """
    source = resolve(model, inputs=inputs, values=values, semantics=semantics, door=ANALYZE)
    if input_size is not None and isinstance(source, (Graph, GraphCounts)):
        raise InvalidArgumentError("input_size is for networks; the inputs of a graph are no image")
    if threads is not None and not isinstance(source, (Graph, GraphCounts)):
        raise InvalidArgumentError("threads are for graphs; a network is counted by one")
    options: dict[str, Any] = {
        "exact": exact,
        "trainable_only": trainable_only,
        "lengths": lengths,
        "memory_limit": memory_limit,
        "progress": progress,
    }
    counts: Counts | GraphCounts
    if isinstance(source, Graph):
        counts = count(source, nodes="parameters", threads=threads, **options)
    elif isinstance(source, Network):
        counts = count(source, **options)
    else:
        counts = source
    own = _analysis_of(counts)
    if input_size is None or isinstance(counts, GraphCounts):
        return own
    channels, *sides = larger_image(counts, input_size)
    true_value = None
    if isinstance(source, Network) and source.is_resizable:
        true_value = analyze(source.resized(sides), **options)
    return replace(
        own,
        num_inputs=channels * sides[0] * sides[1],
        input_size=(sides[0], sides[1]),
        true_value=true_value,
    )


def _analysis_of(counts: Counts | GraphCounts) -> Analysis:
    if isinstance(counts, GraphCounts):
        _check_graph(counts)
    return Analysis(
        counts.name,
        counts.spectrum(),
        num_inputs=counts.num_inputs,
        num_outputs=counts.num_outputs,
        num_weight_nodes=counts.num_weight_nodes,
        num_unreached_parameters=counts.num_unreached_parameters,
        counts=counts,
    )


def _check_graph(counts: GraphCounts) -> None:
    """Refuse counts that have nothing to analyse."""
    if counts.towards != "outputs":
        raise InvalidArgumentError(
            f"'{counts.name}' was counted with other paths; analysis needs those from "
            "parameters to outputs"
        )
    if not len(counts.spectrum()):
        raise NothingToCountError(
            f"graph '{counts.name}': no parameter leads to an output; say which nodes are "
            "parameters, and which are outputs"
        )
