"""Options of the shell on layers, formats, limits, and files that cannot be read."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest
from click.testing import CliRunner

import unrolled
from unrolled.cli import main


def run(*arguments):
    return CliRunner().invoke(main, list(arguments))


def test_json_has_layers_and_totals():
    result = run("analyze", "resnet18", "--size", "32", "--json")
    (found,) = json.loads(result.output)
    analysis = unrolled.analyze(unrolled.models.resnet(18, size=32))
    assert [layer["name"] for layer in found["layers"]] == [one.name for one in analysis.layers]
    assert found["totals"]["macs"] == analysis.totals.macs
    assert found["activations"]["forward_peak"] == analysis.activations.forward_peak


def test_csv_is_that_of_the_analysis():
    result = run("analyze", "resnet18", "--size", "32", "--csv")
    analysis = unrolled.analyze(unrolled.models.resnet(18, size=32))
    assert result.output == analysis.to_csv()


def test_the_table_that_was_asked_for():
    options = ["--columns", "kind,macs", "--depth", "1", "--sort", "macs", "--width", "60"]
    result = run("analyze", "resnet18", "--size", "64", *options)
    analysis = unrolled.analyze(unrolled.models.resnet(18, size=64))
    expected = analysis.table(columns=["kind", "macs"], depth=1, sort="macs", width=60)
    assert result.output == expected + "\n"


def test_options_reach_the_count():
    options = ["--size", "32", "--trainable-only", "--lengths", "--input-size", "48x40", "--json"]
    (found,) = json.loads(run("analyze", "resnet18", *options).output)
    net = unrolled.models.resnet(18, size=32)
    analysis = unrolled.analyze(net, trainable_only=True, lengths=True, input_size=(48, 40))
    assert found["num_parameters"] == analysis.num_parameters
    assert found["num_inputs"] == 3 * 48 * 40
    assert found["layers"][0]["mean_length"] == analysis.layers[0].mean_length


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--columns", "macz"], "did you mean 'macs'"),
        (["--sort", "size"], "no column 'size'"),
        (["--memory-limit", "much"], "a number of bytes such as 500M"),
        (["--input-size", "0"], "a side in pixels"),
        (["--json", "--csv"], "exclude each other"),
        (["--memory-limit", "1"], "memory_limit is 1 bytes"),
    ],
)
def test_wrong_options(arguments, message):
    result = run("analyze", "resnet18", "--size", "32", *arguments)
    assert result.exit_code == 2
    assert message in result.output


@pytest.fixture
def bad(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.onnx").write_bytes(b"junk")
    return "bad.onnx"


def test_one_bad_file_of_many_is_a_row_that_says_why(bad):
    pytest.importorskip("onnx")
    names = ["resnet18", bad, "missing.onnx"]
    result = run("compare", *names, "--keep-going")
    assert result.exit_code == 1
    assert re.search(r"\nresnet18 +11,699,112 ", result.output)
    assert "bad.onnx: not an ONNX file" in result.output
    assert "missing.onnx: cannot be read" in result.output
    found = json.loads(run("compare", *names, "--keep-going", "--json").output)
    assert [one["name"] for one in found] == ["resnet18", "bad.onnx", "missing.onnx"]
    assert "not an ONNX file" in found[1]["error"]
    assert run("compare", *names).exit_code == 2


def test_failures_are_there_in_python(bad):
    pytest.importorskip("onnx")
    comparison = unrolled.compare(["resnet18", bad, 7], keep_going=True)
    assert [one.name for one in comparison] == ["resnet18"]
    assert [failure.name for failure in comparison.failures] == ["bad.onnx", "int"]
    assert "expected a Network" in comparison.failures[1].reason
    assert not unrolled.compare([bad], keep_going=True).analyses


def test_csv_and_figures_of_a_comparison(tmp_path):
    pytest.importorskip("matplotlib")
    image = tmp_path / "ranking.png"
    result = run("compare", "resnet18", "resnet34", "--size", "32", "--csv", "--plot", str(image))
    rows = list(csv.DictReader(io.StringIO(result.output)))
    assert [row["name"] for row in rows] == ["resnet34", "resnet18"]
    assert image.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("width", [72, 80, 120])
def test_long_names_lose_their_middle(width):
    net = unrolled.models.resnet(18, size=32, activations=True)
    net.name = "a_company__" + "very_" * 30 + "long_name_v2"
    comparison = unrolled.compare([net, "resnet18"])
    lines = comparison.table(width=width).splitlines()
    assert max(map(len, lines)) <= width
    rows = [line for line in lines if line.startswith("a_")]
    assert len(rows) == 2  # One of scores and one of contexts.
    for row in rows:
        assert "..." in row
        assert row.split()[0].endswith("v2")
