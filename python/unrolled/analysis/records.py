"""Analyses as plain data that JSON can hold, and back; docs/formats.md describes the format.

What is read is looked at piece by piece: a record may come from anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from unrolled._core import VERSION as PACKAGE_VERSION
from unrolled._support.hints import described
from unrolled._support.records import (
    LARGEST_NUMBER,
    Record,
    read_figure,
    read_shape,
    read_text,
    read_whole_number,
)
from unrolled.costs import Activations
from unrolled.errors import ResultFileError
from unrolled.network.provenance import Provenance
from unrolled.show.formats import json_value
from unrolled.show.layer_formats import layer_record
from unrolled.show.layers import LayerSummary
from unrolled.spectrum.catalogue import CATALOGUE, value_of
from unrolled.spectrum.spectrum import Spectrum, Values, scaled_integer

__all__ = ["FORMAT", "NetworkFacts", "arguments_of", "record_of"]

FORMAT, VERSION = "unrolled.Analysis", 1
DEEPEST = 2
"""How many records may stand within each other: that of a model, and that of its true value."""


class NetworkFacts(NamedTuple):
    """What an analysis tells of a network besides the quantities of its spectrum.

    Attributes
    ----------
    semantics : {"value", "dependency"}
        Which edges normalisers had.
    input_shapes : tuple of tuple of int
        Shapes of the inputs in the order of declaration.
    layers : tuple of LayerSummary
        The layers that have parameters.
    mean_length, length_variance : float or None
        Over all contexts, in links; None if lengths were not counted.
    provenance : Provenance or None
        How the network was imported, if it was.
    operations : tuple of LayerSummary
        What is computed without parameters.
    activations : Activations or None
        Elements of activations in memory.
    """

    semantics: str
    input_shapes: tuple[tuple[int, ...], ...]
    layers: tuple[LayerSummary, ...]
    mean_length: float | None
    length_variance: float | None
    provenance: Provenance | None
    operations: tuple[LayerSummary, ...] = ()
    activations: Activations | None = None


def record_of(analysis: Any, facts: NetworkFacts | None) -> dict[str, Any]:
    """All that is known of a model without its counts, as JSON can hold it."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "unrolled": PACKAGE_VERSION,
        "name": analysis.name,
        **{key: _plain(value_of(analysis, key), key) for key in CATALOGUE},
        "input_size": None if analysis.input_size is None else list(analysis.input_size),
        "spectrum": _spectrum_record(analysis.spectrum),
        "network": None if facts is None else _facts_record(facts),
        "true_value": None
        if analysis.true_value is None
        else analysis.true_value.to_dict(complete=True),
    }


def _spectrum_record(spectrum: Spectrum) -> dict[str, Any]:
    owners = [spectrum.owners(level) for level in range(len(spectrum))]
    values = {
        "mantissas": spectrum.mantissas.tolist(),
        "exponents": spectrum.exponents.tolist(),
    }
    return {
        **({"counts": [hex(count) for count in spectrum.counts]} if spectrum.is_exact else values),
        "degeneracies": spectrum.degeneracies.tolist(),
        "owners": owners if any(owners) else None,
    }


def _facts_record(facts: NetworkFacts) -> dict[str, Any]:
    return {
        "semantics": facts.semantics,
        "input_shapes": [list(shape) for shape in facts.input_shapes],
        "layers": [layer_record(layer) for layer in facts.layers],
        "operations": [layer_record(layer) for layer in facts.operations],
        "activations": None
        if facts.activations is None
        else {
            key: value if key == "by_kind" else json_value(value)
            for key, value in facts.activations._asdict().items()
        },
        "mean_length": json_value(facts.mean_length),
        "length_variance": json_value(facts.length_variance),
        "provenance": None if facts.provenance is None else facts.provenance.to_dict(),
    }


def _plain(value: str | int | float | None, key: str = "") -> str | int | float | None:
    """What is not finite as null; the total contexts as text, because they have any size."""
    return value if isinstance(value, int) and key != "total_contexts" else json_value(value)


def arguments_of(record: Any, depth: int = 0) -> dict[str, Any]:
    """What `Analysis` is called with to make the model of a record; its true value is a record.

    Raises
    ------
    ResultFileError
        It is no record of an analysis, of another version, or contradicts itself.
    """
    given = Record(record, "the record")
    if given.get("format") != FORMAT:
        raise ResultFileError(
            f"not an analysis that was saved: its format is {described(given.get('format'))}, "
            f"expected '{FORMAT}'; Analysis.to_dict(complete=True) and Analysis.save make one"
        )
    if given.get("version") != VERSION:
        raise ResultFileError(
            f"an analysis of format version {described(given.get('version'))}; this reads version "
            f"{VERSION}"
        )
    if depth >= DEEPEST:
        raise ResultFileError("an analysis whose true value has a true value of its own")
    size = given.get("input_size")
    sizes = None if size is None else given.shape("input_size")
    if sizes is not None and len(sizes) != 2:
        raise ResultFileError(f"input_size: expected height and width, got {described(size)}")
    network, true_value = given.get("network"), given.get("true_value")
    return {
        "name": given.text("name"),
        "spectrum": _spectrum_of(Record(given.get("spectrum"), "spectrum")),
        **{
            key: given.number(key)
            for key in ("num_inputs", "num_weight_nodes", "num_unreached_parameters")
        },
        "num_outputs": given.take("num_outputs", lambda one: read_whole_number(one, 1)),
        "input_size": sizes,
        "facts": None if network is None else _facts_of(Record(network, "network")),
        "true_value": None if true_value is None else arguments_of(true_value, depth + 1),
    }


def _spectrum_of(record: Record) -> Spectrum:
    degeneracies = record.each("degeneracies", lambda one: read_whole_number(one, 1))
    counts: list[int] | None = None
    if "counts" in record.values:
        counts = record.each("counts", _hexadecimal)
        scaled = [scaled_integer(count) for count in counts]
    else:
        mantissas = record.each("mantissas", _mantissa)
        exponents = record.each(
            "exponents", lambda one: read_whole_number(one, -(1 << 62), 1 << 62)
        )
        record.check(len(mantissas) == len(exponents), "as many exponents as mantissas")
        scaled = list(zip(mantissas, exponents, strict=True))
    record.check(len(degeneracies) == len(scaled), "as many degeneracies as counts")
    record.check(len(scaled) > 0, "at least one count")
    keys: list[Any] = [(exponent, mantissa) for mantissa, exponent in scaled]
    order = keys if counts is None else counts
    record.check(all(a < b for a, b in pairwise(order)), "rising counts")
    record.check(sum(degeneracies) < LARGEST_NUMBER, "parameters that 64 bits can number")
    owners: list[dict[str, int]] = [{}] * len(scaled)
    if record.get("owners") is not None:
        owners = record.each("owners", _owners)
        totals = [sum(one.values()) for one in owners]
        record.check(totals == degeneracies, "owners of every parameter of a level")
    values = Values(
        np.array([mantissa for mantissa, _ in scaled], dtype=np.float64),
        np.array([exponent for _, exponent in scaled], dtype=np.int64),
        np.array(degeneracies, dtype=np.uint64),
    )
    return Spectrum(values, None if counts is None else counts.__getitem__, owners.__getitem__)


def _facts_of(record: Record) -> NetworkFacts:
    provenance, activations = record.get("provenance"), record.get("activations")
    return NetworkFacts(
        record.text("semantics"),
        tuple(record.each("input_shapes", read_shape)),
        tuple(record.each("layers", _layer)),
        record.figure("mean_length"),
        record.figure("length_variance"),
        None if provenance is None else _provenance(Record(provenance, "provenance")),
        tuple(record.each("operations", lambda one: _layer(one, has_parameters=False))),
        None if activations is None else _activations(Record(activations, "activations")),
    )


def _activations(record: Record) -> Activations:
    return Activations(
        record.take("total", _any_size),
        record.take("forward_peak", _any_size),
        record.take("saved", _any_size),
        record.take("backward_peak", _any_size),
        record.mapping("by_kind", _pair),
    )


def _pair(value: Any) -> tuple[int, int]:
    shape = read_shape(value)
    if len(shape) != 2:
        raise ValueError("expected two whole numbers")
    return shape[0], shape[1]


def _layer(value: Any, *, has_parameters: bool = True) -> LayerSummary:
    record = Record(value, "a layer")

    def figure(key: str) -> float:
        found = record.figure(key)
        return math.nan if found is None else found

    shapes = record.each("shapes", read_shape)
    if has_parameters:
        record.check(len(shapes) > 0, "the shape of at least one parameter")
    output = record.get("output_shape")
    return LayerSummary(
        record.text("name"),
        tuple(shapes),
        record.number("num_parameters"),
        record.number("num_unreached_parameters"),
        figure("log2_minimum"),
        figure("log2_maximum"),
        figure("share_of_contexts"),
        figure("share_of_spread"),
        record.text("kind"),
        None if output is None else record.shape("output_shape"),
        record.number("num_trainable"),
        record.take("macs", _any_size),
        record.take("edges", _any_size),
        record.take("flops", _any_size),
        record.take("activations", _any_size),
        record.number("num_uses"),
        record.text("path"),
        figure("mean_length"),
    )


def _provenance(record: Record) -> Provenance:
    return Provenance(
        record.text("source"),
        record.text("framework"),
        record.text("version"),
        record.text("semantics"),
        record.mapping("input_shapes", read_shape),
        record.mapping("operators", read_whole_number),
        record.mapping("parameters", read_whole_number),
        record.mapping("skipped", read_text),
        record.mapping("stored_names", read_text) if "stored_names" in record.values else {},
        record.values.get("operations", True) is True,
    )


def _any_size(value: Any) -> int:
    """A whole number, as text where it is above 2^53; see `json_value`."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    number: int = value if is_number else int(read_text(value))
    if number < 0:
        raise ValueError("expected whole numbers from 0 on")
    return number


def _hexadecimal(value: Any) -> int:
    count = int(read_text(value), 16)
    if count < 1:
        raise ValueError("expected counts above zero")
    return count


def _mantissa(value: Any) -> float:
    mantissa = read_figure(value)
    if mantissa is None or not 1 <= mantissa < 2:
        raise ValueError("expected mantissas from 1 to below 2")
    return mantissa


def _owners(value: Any) -> dict[str, int]:
    if not isinstance(value, Mapping):
        raise TypeError("expected numbers by the names of parameters")
    return {read_text(name): read_whole_number(number, 1) for name, number in value.items()}
