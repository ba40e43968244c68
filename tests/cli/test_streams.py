"""Standard streams that are closed, full or of other encodings, and sizes that are no numbers."""

from __future__ import annotations

import os
import subprocess
import warnings

import pytest

from cases.hostile_names import STYLES
from command_line import PROGRAM, command, invoke, on_a_screen
from unrolled.cli import commands

posix = pytest.mark.skipif(os.name != "posix", reason="closes streams as POSIX shells do")


def in_a_shell(arguments, redirection):
    """Run the program with a redirection of sh."""
    words = [*PROGRAM, *arguments]
    return subprocess.run(
        ["sh", "-c", f'"$@" {redirection}', "sh", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@posix
@pytest.mark.parametrize("arguments", [["models"], ["--help"], ["analyze", "resnet18", "--size=8"]])
def test_a_closed_output_is_one_line(arguments):
    result = in_a_shell(arguments, ">&-")
    assert result.returncode == 2
    assert result.stderr == "error: cannot write the output: the standard output is closed\n"


@posix
def test_a_closed_error_stream_changes_nothing():
    assert in_a_shell(["models"], "2>&-").stdout == command("models").stdout
    result = in_a_shell(["analyze", "resnet18", "--size=8"], "2>&-")
    assert result.returncode == 0
    assert result.stdout.startswith("resnet18, counted exactly")
    assert in_a_shell(["analyze", "nothing"], "2>&-").returncode == 2
    assert in_a_shell(["analyze", "nothing"], ">&- 2>&-").returncode == 2


@posix
def test_an_output_that_is_for_reading_is_one_line():
    result = in_a_shell(["models"], "1</dev/null")
    assert result.returncode == 2
    assert result.stderr.startswith("error: cannot write the output: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a disk that is always full")
def test_nobody_can_be_told():
    assert in_a_shell(["analyze", "nothing"], "2>/dev/full").returncode == 2


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_letters_that_an_encoding_does_not_have(encoding, tmp_path):
    (tmp_path / "日本é.csv").write_text("source,target\na,b\n")
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    for arguments, code in ((["analyze", "日本é.csv"], 0), (["analyze", "日本é.onnx"], 2)):
        result = subprocess.run(
            [*PROGRAM, *arguments],
            capture_output=True,
            cwd=tmp_path,
            env=environment,
            timeout=60,
            check=False,
        )
        assert result.returncode == code
        assert b"Traceback" not in result.stderr
        assert (result.stdout or result.stderr).strip()


SIZES = ["²", "٨٠", "9" * 5000, "-80", "1e2", "", "eighty"]


@posix
@pytest.mark.parametrize("columns", SIZES)
def test_sizes_that_are_no_numbers(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("LINES", columns)
    for arguments in (["models"], ["analyze", "resnet18", "--size=8"]):
        assert invoke(*arguments).exit_code == 0
        screen = on_a_screen(*arguments, columns=90)
        assert screen.exit_code == 0
        assert max(map(len, screen.text.splitlines())) < 500


@posix
@pytest.mark.parametrize("columns", [40, 80, 120])
def test_tables_fit_the_terminal(columns, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    screen = on_a_screen(
        "compare", "efficientnetv2-b0", "--size=32", "--log", columns=columns, sent="output"
    )
    assert screen.exit_code == 0
    widest = max(map(len, STYLES.sub("", screen.text).splitlines()))
    assert widest <= max(columns, 80)  # Below that, digits would have to be cut off.


def test_warnings_of_libraries_are_one_line(monkeypatch):
    original = commands.analyze

    def analyze(*arguments, **options):
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("two lines\nand \x1b[41m", RuntimeWarning, stacklevel=1)
        return original(*arguments, **options)

    monkeypatch.setattr(commands, "analyze", analyze)
    result = invoke("analyze", "resnet18", "--size=8")
    assert result.exit_code == 0
    assert result.stderr == "warning: two lines and \\x1b[41m\n"


def test_no_memory_is_one_line(monkeypatch):
    def analyze(*arguments, **options):
        raise MemoryError

    monkeypatch.setattr(commands, "analyze", analyze)
    result = invoke("analyze", "resnet18", "--size=8")
    assert (result.exit_code, result.stderr) == (2, "error: out of memory\n")
