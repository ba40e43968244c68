"""Layers of an analysis as data frames, texts and files."""

from __future__ import annotations

import csv
import io
import json
import math

import pytest

import unrolled
from unrolled import Analysis, InvalidArgumentError, Spectrum
from unrolled.show.layers import LayerSummary


@pytest.fixture(scope="module")
def analysis():
    return unrolled.analyze(unrolled.models.resnet(18, size=32))


def test_data_frames_have_a_row_a_layer(analysis):
    pytest.importorskip("pandas")
    frame = analysis.to_pandas()
    assert list(frame.columns) == list(LayerSummary._fields[1:])
    assert len(frame) == len(analysis.layers) + len(analysis.operations)
    assert frame.loc["stem.conv", "macs"] == 64 * 16 * 16 * 3 * 49
    assert frame["macs"].sum() == analysis.totals.macs


def test_csv_has_every_figure(analysis):
    rows = list(csv.DictReader(io.StringIO(analysis.to_csv())))
    for row, layer in zip(rows, analysis.layers, strict=False):
        assert row["name"] == layer.name
        assert row["shapes"].split()[0] == "x".join(map(str, layer.shapes[0]))
        assert int(row["edges"]) == layer.edges
        assert float(row["log2_maximum"]) == layer.log2_maximum
        assert row["mean_length"] == ""


def test_texts_end_with_the_totals(analysis):
    number = f"{analysis.num_parameters:,}"
    assert number in analysis.to_markdown().splitlines()[-1]
    last = analysis.to_latex().splitlines()[-3]
    assert last.startswith("total & ")
    assert number in last


def test_json_is_what_load_reads(analysis, tmp_path):
    text = analysis.to_json(tmp_path / "own.json")
    assert json.loads(text)["network"]["layers"][0]["name"] == "stem.conv"
    again = Analysis.load(tmp_path / "own.json")
    assert again.totals.macs == analysis.totals.macs
    assert again.activations == analysis.activations
    assert again.operations[0].kind == analysis.operations[0].kind


@pytest.mark.parametrize(
    ("suffix", "method"),
    [("json", "to_json"), ("csv", "to_csv"), ("md", "to_markdown"), ("tex", "to_latex")],
)
def test_saved_files_are_those_of_the_methods(analysis, suffix, method, tmp_path):
    path = analysis.save(tmp_path / f"layers.{suffix}")
    assert path.read_text() == getattr(analysis, method)()


def test_saved_images_leave_no_figure_open(analysis, tmp_path):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    open_before = pyplot.get_fignums()
    assert analysis.save(tmp_path / "layers.svg").read_bytes().startswith(b"<?xml")
    assert pyplot.get_fignums() == open_before


def test_a_spectrum_has_no_layers_to_write(tmp_path):
    numbers = Spectrum.from_counts([1, 2])
    alone = Analysis("alone", numbers, num_inputs=1, num_outputs=1, num_weight_nodes=2)
    for method in ("to_csv", "to_markdown", "to_latex"):
        with pytest.raises(InvalidArgumentError, match="knows no layers"):
            getattr(alone, method)()
    alone.save(tmp_path / "alone.json")


def test_names_run_nothing():
    """A name that a spreadsheet, Markdown or LaTeX would take for a command."""
    net = unrolled.Network()
    net.output(net.dense(net.input((2,)), 3, name="=cmd|'_x'"))
    analysis = unrolled.analyze(net)
    assert "\"'=cmd|'_x'\"" in analysis.to_csv()
    assert r"=cmd\|'\_x'" in analysis.to_markdown()
    assert r"=cmd|'\_x'" in analysis.to_latex()


def test_operations_have_no_counts(analysis):
    for operation in analysis.operations:
        assert operation.num_parameters == 0
        assert math.isnan(operation.log2_maximum)
