"""What cannot be written, drawn or swept is refused before anything is counted."""

from __future__ import annotations

import os

import pytest

from command_line import invoke
from unrolled.analysis import comparison
from unrolled.cli import commands, thermo


@pytest.fixture(autouse=True)
def nothing_is_counted(monkeypatch, tmp_path):
    def refuse(*arguments, **options):
        raise AssertionError("something was counted")

    for room in (commands, comparison, thermo):
        for name in {"analyze", "compare", "resolve_name"} & vars(room).keys():
            monkeypatch.setattr(room, name, refuse)
    monkeypatch.chdir(tmp_path)


def refusal(*arguments):
    result = invoke(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert os.listdir() == []
    return result.stderr


@pytest.mark.parametrize("command", ["analyze", "thermo"])
def test_a_figure_that_cannot_be_written_is_refused_first(command):
    pytest.importorskip("matplotlib")
    assert "suffix of an image: " in refusal(command, "resnet18", "--plot", "x.txt")
    assert "suffix of an image: " in refusal(command, "resnet18", "--plot", "x")
    message = refusal(command, "resnet18", "--plot", "none/x.png")
    assert message == "error: cannot write the output to none/x.png: No such file or directory\n"


def test_a_report_that_cannot_be_written_is_refused_first():
    pytest.importorskip("bokeh")
    message = refusal("report", "resnet18", "-o", "none/x.html")
    assert message == "error: cannot write the output to none/x.html: No such file or directory\n"
    assert "Is a directory" in refusal("report", "resnet18", "-o", ".")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may do all")
def test_folders_that_are_read_only(tmp_path):
    os.chmod(tmp_path, 0o500)
    try:
        assert "Permission denied" in refusal("analyze", "resnet18", "--plot", "x.png")
    finally:
        os.chmod(tmp_path, 0o700)


def test_a_report_does_not_overwrite_a_model(tmp_path):
    pytest.importorskip("bokeh")
    (tmp_path / "edges.csv").write_text("source,target\na,b\n")
    (tmp_path / "same.html").symlink_to("edges.csv")
    for output in ("edges.csv", "./edges.csv", "same.html"):
        result = invoke("report", "edges.csv", "-o", output)
        assert result.exit_code == 2
        assert result.stderr == "error: the report would overwrite the model 'edges.csv'\n"
    assert (tmp_path / "edges.csv").read_text() == "source,target\na,b\n"


@pytest.mark.parametrize(
    "temperatures", ["1:2:300000000", "1:2:10001", f"0:1:{10**100}", ",".join(["1"] * 10_001)]
)
def test_a_sweep_has_a_budget(temperatures):
    message = refusal("thermo", "resnet18", f"--temperatures={temperatures}")
    assert "a sweep has a budget of 10,000 temperatures, got " in message


@pytest.mark.parametrize("temperatures", ["1:inf:3", "nan:1:3", "1e308:-1e308:3", "1:2:-1"])
def test_a_sweep_has_ends(temperatures):
    message = refusal("thermo", "resnet18", f"--temperatures={temperatures}")
    assert f"expected FIRST:LAST:NUMBER or a list of numbers, got '{temperatures}'" in message


def test_long_values_are_cut():
    message = refusal("thermo", "resnet18", f"--temperatures={'x' * 10_000}")
    assert len(message) < 300


def test_what_fits_is_counted():
    with pytest.raises(AssertionError, match="something was counted"):
        commands.main(["thermo", "resnet18", "--temperatures=1:2:10000"])
