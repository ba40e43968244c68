"""Analyses that are pickled, written to files and read again, and files that are damaged."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import unrolled
from strategies.random_graphs import Case, graphs
from strategies.random_networks import Twin, twins
from unrolled import Analysis, InvalidArgumentError, Provenance, ResultFileError, Spectrum, models


def again(analysis: Analysis) -> list[Analysis]:
    """The same analysis after it was pickled, and after it was written as JSON and read."""
    text = json.dumps(analysis.to_dict(complete=True), allow_nan=False)
    return [pickle.loads(pickle.dumps(analysis)), Analysis.from_dict(json.loads(text))]


def assert_same(one: Analysis, other: Analysis) -> None:
    assert one.to_dict() == other.to_dict()
    assert one.to_dict(complete=True) == other.to_dict(complete=True)
    assert one.is_exact == other.is_exact
    assert one.spectrum.levels == other.spectrum.levels
    assert (one.semantics, one.input_shapes, one.provenance) == (
        other.semantics,
        other.input_shapes,
        other.provenance,
    )
    assert one.has_layers == other.has_layers
    assert one.table(width=120) == other.table(width=120)
    if one.has_layers:
        pairs = zip(one.layers, other.layers, strict=True)
        assert all(repr(layer) == repr(twin) for layer, twin in pairs)  # NaN is not equal to itself
    assert other.counts is None


@settings(max_examples=40)
@given(twins(), st.booleans(), st.booleans())
def test_analyses_of_random_networks_come_back_the_same(
    twin: Twin, exact: bool, lengths: bool
) -> None:
    analysis = unrolled.analyze(twin.network, exact=exact, lengths=lengths)
    for other in again(analysis):
        assert_same(analysis, other)
        if lengths:
            assert (other.mean_length, other.length_variance) == (
                analysis.mean_length,
                analysis.length_variance,
            )
        else:
            with pytest.raises(InvalidArgumentError, match="without lengths"):
                _ = other.mean_length


TIE = Case(
    5,
    [2, 0, 0, 2],
    [3, 1, 2, 3],
    multiplicity=[2**31 - 1, 9, 2**53 + 1, 1],
)
"""The count of its parameter is a little above the middle between two numbers of 53 bits."""


@settings(max_examples=40)
@example(TIE, True)
@given(graphs(), st.booleans())
def test_analyses_of_random_graphs_come_back_the_same(case: Case, exact: bool) -> None:
    graph = case.build()
    try:
        analysis = unrolled.analyze(graph, exact=exact)
    except unrolled.NothingToCountError:
        return
    for other in again(analysis):
        assert_same(analysis, other)
        with pytest.raises(InvalidArgumentError, match="knows no layers"):
            _ = other.layers


@pytest.mark.parametrize(
    "analysis",
    [
        unrolled.analyze(models.resnet(18, size=32), input_size=(48, 40)),
        unrolled.analyze(models.resnet(18, size=32), exact=False),
        Analysis(
            "a spectrum",
            Spectrum.from_counts({1: 5, 2**20_000 + 1: 2}),  # More digits than Python prints.
            num_inputs=0,
            num_outputs=1,
            num_weight_nodes=2**60,
        ),
    ],
    ids=["larger input", "log space", "plain spectrum"],
)
def test_analyses_of_all_kinds_come_back_the_same(analysis: Analysis, tmp_path: Path) -> None:
    path = analysis.save(tmp_path / "analysis.json")
    for other in (*again(analysis), Analysis.load(path)):
        assert_same(analysis, other)
        assert other.input_size == analysis.input_size
        if analysis.true_value is not None:
            assert other.true_value is not None
            assert_same(analysis.true_value, other.true_value)
    report = unrolled.compare([analysis], scores=False).save(
        tmp_path / "report.html", date="2024-02-29"
    )
    loaded = unrolled.compare([Analysis.load(path)], scores=False)
    other = loaded.save(tmp_path / "other.html", date="2024-02-29")
    assert report.read_text() == other.read_text()


def test_provenance_comes_along() -> None:
    network = models.mlp([4], inputs=3)
    provenance = Provenance(
        "m.onnx", "onnx", "1.17", "value", {"x": (1, 3)}, {"Gemm": 2}, {"w": 12}, {"s": "a scale"}
    )
    network.record_provenance(provenance)
    for other in again(unrolled.analyze(network)):
        assert other.provenance == provenance


def test_a_pickle_has_no_counts_and_a_copy_has() -> None:
    analysis = unrolled.analyze(models.resnet(50))
    assert len(pickle.dumps(analysis)) < 60_000
    assert copy.copy(analysis).counts is copy.deepcopy(analysis).counts is analysis.counts
    ensemble = unrolled.Ensemble.from_counts(pickle.loads(pickle.dumps(analysis)))
    assert ensemble.entropy() == unrolled.Ensemble.from_counts(analysis).entropy()


def test_quantities_are_worked_out_from_the_spectrum() -> None:
    """Whatever a record says of them."""
    analysis = unrolled.analyze(models.mlp([4], inputs=3))
    record = analysis.to_dict(complete=True) | {"entropy": 77.0, "total_contexts": "5"}
    assert Analysis.from_dict(record).to_dict() == analysis.to_dict()


def test_a_file_is_json_that_others_can_read(tmp_path: Path) -> None:
    analysis = unrolled.analyze(models.efficientnet_v2("b0", size=64))
    record = json.loads(analysis.save(tmp_path / "b0.JSON").read_text())
    assert record["format"] == "unrolled.Analysis"
    assert record["entropy"] == analysis.entropy
    assert int(record["total_contexts"]) == analysis.total_contexts
    counts = [int(count, 16) for count in record["spectrum"]["counts"]]
    numbers = record["spectrum"]["degeneracies"]
    assert sum(c * g for c, g in zip(counts, numbers, strict=True)) == analysis.total_contexts
    assert [layer["name"] for layer in record["network"]["layers"]] == [
        layer.name for layer in analysis.layers
    ]


RECORD = unrolled.analyze(models.cnn([2, 3], size=8), input_size=9).to_dict(complete=True)
RECORD["spectrum"]["counts"] = RECORD["spectrum"]["counts"][:3]
RECORD["spectrum"]["degeneracies"] = RECORD["spectrum"]["degeneracies"][:3]
RECORD["spectrum"]["owners"] = RECORD["spectrum"]["owners"][:3]


def changed(*path: Any, to: Any) -> Any:
    """A record with another value at a place."""
    record = copy.deepcopy(RECORD)
    place = record
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return record


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (None, "the record must be an object, got NoneType"),
        ([RECORD], "must be an object, got list"),
        ({}, "not an analysis that was saved"),
        (unrolled.analyze(models.mlp([2], inputs=2)).to_dict(), r"to_dict\(complete=True\)"),
        (changed("format", to="unrolled.Graph"), "not an analysis.*'unrolled.Graph'"),
        (changed("version", to=2), "format version int 2; this reads version 1"),
        (changed("name", to=None), "name of the record: expected text, got NoneType"),
        (changed("num_inputs", to=-1), "num_inputs.*whole numbers from 0"),
        (changed("num_inputs", to=True), "num_inputs.*whole numbers"),
        (changed("num_outputs", to=1.5), "num_outputs.*whole numbers"),
        (changed("num_outputs", to=0), "num_outputs.*whole numbers from 1"),
        (changed("spectrum", to={"counts": [], "degeneracies": []}), "at least one count"),
        (changed("network", "layers", 0, "shapes", to=[]), "shape of at least one parameter"),
        (changed("num_weight_nodes", to=2**70), "num_weight_nodes.*64 bits"),
        (changed("input_size", to=[3]), "input_size: expected height and width"),
        (changed("spectrum", to=3), "spectrum must be an object"),
        (changed("spectrum", "counts", to=["0x1", "0x1", "0x2"]), "rising counts"),
        (changed("spectrum", "counts", to=["0x1", "0x2", "zwei"]), "counts of spectrum"),
        (changed("spectrum", "counts", to=["-0x2", "0x1", "0x2"]), "above zero"),
        (changed("spectrum", "counts", to=["0x1", "0x2"]), "as many degeneracies as counts"),
        (changed("spectrum", "degeneracies", 0, to=0), "whole numbers from 1"),
        (changed("spectrum", "degeneracies", 0, to=2**64 - 1), "64 bits can number"),
        (changed("spectrum", "owners", 0, to={"kernel": 1}), "owners of every parameter"),
        (changed("spectrum", "owners", 0, to=[1]), "by the names of parameters"),
        (changed("network", "semantics", to=7), "semantics of network: expected text"),
        (changed("network", "layers", 0, "shapes", to=[["x"]]), "shapes of a layer"),
        (changed("network", "layers", 0, "log2_minimum", to="1"), "a number or null"),
        *(
            (changed("network", *place, to=value), "expected a finite number or null")
            for place in (("layers", 0, "share_of_spread"), ("mean_length",), ("length_variance",))
            for value in (math.nan, math.inf, -math.inf, 10**400)
        ),
        (changed("spectrum", to={"mantissas": [10**400]}), "degeneracies"),
        (
            changed("spectrum", to={"mantissas": [10**400], "degeneracies": [1], "exponents": [1]}),
            "mantissas of spectrum: expected a finite number",
        ),
        (changed("network", "provenance", to={}), "source of provenance: expected text"),
        (changed("true_value", "true_value", to=RECORD), "a true value of its own"),
    ],
)
def test_records_that_are_none_are_refused(record: Any, message: str) -> None:
    with pytest.raises(ResultFileError, match=message):
        Analysis.from_dict(record)


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.sampled_from([10**400, -(10**400)]),
    st.floats(),
    st.text(max_size=4),
    st.just([]),
    st.just({}),
    st.lists(st.integers(-2, 2), max_size=3),
    st.dictionaries(st.text(max_size=2), st.integers(-2, 2), max_size=2),
)


@settings(max_examples=200)
@given(st.data())
def test_nothing_but_one_error_comes_of_damaged_records(data: st.DataObject) -> None:
    record = copy.deepcopy(RECORD)
    for _ in range(data.draw(st.integers(1, 2))):
        place: Any = record
        while True:
            keys = sorted(place) if isinstance(place, dict) else range(len(place))
            key = data.draw(st.sampled_from(list(keys)))
            inner = place[key]
            if not isinstance(inner, (dict, list)) or not inner or data.draw(st.booleans()):
                break
            place = inner
        if isinstance(place, dict) and data.draw(st.booleans()):
            del place[key]
        else:
            place[key] = data.draw(JUNK)
        if not record:
            break
    try:
        analysis = Analysis.from_dict(record)
    except ResultFileError:
        return
    assert isinstance(analysis.table(width=100), str)
    assert math.isfinite(analysis.log2_total_contexts)
    json.dumps(analysis.to_dict(complete=True), allow_nan=False)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b"3",
        b"NaN",
        b'{"format": "unrolled.Analysis"}',
        b"9" * 9999,
    ],
    ids=["empty", "cut", "no text", "deep", "a number", "no number", "too little", "long number"],
)
def test_files_that_are_none_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "analysis.json"
    path.write_bytes(content)
    with pytest.raises(ResultFileError, match=r"analysis\.json: "):
        Analysis.load(path)


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("key", ["unrolled", "entropy", "true_value"])
def test_a_file_has_no_numbers_that_json_has_not(constant: str, key: str, tmp_path: Path) -> None:
    """Wherever they stand: other readers of JSON would refuse the file."""
    path = tmp_path / "analysis.json"
    record = {**RECORD, key: float(constant.replace("Infinity", "inf"))}
    path.write_text(json.dumps(record))
    with pytest.raises(
        ResultFileError, match=rf"analysis\.json: .*{constant} is no number of JSON"
    ):
        Analysis.load(path)


def test_lengths_that_are_not_finite_are_null_in_a_file(tmp_path: Path) -> None:
    analysis = unrolled.analyze(models.mlp([2], inputs=2), lengths=True)
    facts = Analysis.from_dict(analysis.to_dict(complete=True)).facts
    assert facts is not None
    odd = facts._replace(mean_length=math.nan, length_variance=math.inf)
    given = Analysis.from_dict(analysis.to_dict(complete=True))
    path = dataclasses.replace(given, facts=odd).save(tmp_path / "analysis.json")
    network = json.loads(path.read_text(), parse_constant=pytest.fail)["network"]
    assert (network["mean_length"], network["length_variance"]) == (None, None)
    assert Analysis.load(path).facts == facts._replace(mean_length=None, length_variance=None)


def test_names_of_files(tmp_path: Path) -> None:
    analysis = unrolled.analyze(models.mlp([4], inputs=3))
    with pytest.raises(InvalidArgumentError, match=r"must end in \.json"):
        analysis.save(tmp_path / "analysis.html")
    with pytest.raises(FileNotFoundError):
        Analysis.load(tmp_path / "missing.json")
    with pytest.raises(OSError, match="directory"):
        Analysis.load(tmp_path)
