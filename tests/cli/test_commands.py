"""The command line, through subprocesses where exits and streams matter."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

import unrolled
from command_line import command, command_on_a_terminal, invoke
from unrolled import models
from unrolled.cli import commands
from unrolled.ensemble.sweeps import peaks_table
from unrolled.show import tables
from unrolled.show.formats import json_value
from unrolled.spectrum.catalogue import CATALOGUE


def test_version_is_that_of_the_package():
    result = command("--version")
    assert result.returncode == 0
    assert result.stdout == f"unrolled {unrolled.__version__}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["analyze", "-h"], ["compare", "-h"]])
def test_every_command_has_help(arguments):
    result = invoke(*arguments)
    assert result.exit_code == 0
    assert result.output.startswith("Usage: unrolled")


@pytest.mark.parametrize("run", [command, invoke])
def test_the_bare_command_prints_its_help(run):
    bare, asked = run(), run("--help")
    assert bare.stdout == asked.stdout
    assert bare.stdout.startswith("Usage: unrolled")
    assert bare.stderr == ""


def test_models_are_all_listed():
    result = invoke("models")
    assert result.exit_code == 0
    _, table = result.output.split("---\n")
    assert [line.split()[0] for line in table.splitlines()] == list(models.names())


def test_analyze_prints_the_table():
    result = invoke("analyze", "resnet18", "--size", "32")
    expected = unrolled.analyze(models.resnet(18, size=32)).table()
    assert result.exit_code == 0
    assert result.output == expected + "\n"


def test_analyze_passes_size_and_padding_on():
    result = invoke("analyze", "resnet50", "--size", "64", "--padding", "same", "--json")
    (record,) = json.loads(result.output)
    assert record["num_inputs"] == 3 * 64 * 64
    expected = unrolled.analyze(models.resnet(50, size=64, padding="same"))
    assert record["total_contexts"] == str(expected.total_contexts)
    assert expected.total_contexts != unrolled.analyze(models.resnet(50, size=64)).total_contexts


@pytest.mark.parametrize("by", ["configuration", "stage"])
def test_compare_counts_shared_layers_as_the_package_does(by):
    result = invoke("compare", "resnet18", "--size", "32", "--share", by, "--json")
    (record,) = json.loads(result.output)
    expected = unrolled.analyze(models.resnet(18, size=32).share(by))
    assert record["name"] == "resnet18 (shared)"
    assert record["num_parameters"] == expected.num_parameters
    assert record["num_weight_nodes"] == expected.num_weight_nodes > expected.num_parameters


def test_analyze_writes_figures_or_refuses_the_suffix(tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "figures.png"
    result = invoke("analyze", "resnet18", "--size", "32", "--plot", str(path))
    assert result.exit_code == 0
    assert result.output.startswith("resnet18, counted exactly")
    assert path.read_bytes().startswith(b"\x89PNG")
    result = invoke("analyze", "resnet18", "--size", "32", "--plot", str(tmp_path / "figures"))
    assert result.exit_code == 2
    assert "must end in the suffix of an image" in result.stderr


def test_report_writes_the_file_that_render_makes(tmp_path):
    pytest.importorskip("bokeh")
    path = tmp_path / "report.html"
    names = ("resnet18", "resnet34")
    result = invoke(
        "report",
        *names,
        "--size",
        "32",
        "-o",
        str(path),
        "--title",
        "T & U",
        "--date",
        "May",
        "--no-theory",
    )
    assert result.exit_code == 0
    assert result.stdout == ""
    comparison = unrolled.compare(models.build(name, size=32, activations=True) for name in names)
    assert path.read_text() == unrolled.report.render(comparison, title="T & U", date="May")


def test_report_that_cannot_be_written(tmp_path):
    pytest.importorskip("bokeh")
    path = tmp_path / "none" / "report.html"
    result = invoke("report", "resnet18", "--size", "32", "-o", str(path))
    assert result.exit_code == 2
    assert result.stderr == (
        f"error: cannot write the output to {path}: No such file or directory\n"
    )


def test_terminals_get_a_drawn_table(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", Terminal())
    comparison = unrolled.compare([models.resnet(18, size=32)])
    commands.show(comparison, as_json=False)
    drawn = sys.stdout.getvalue()
    assert "\x1b[1m" in drawn
    assert "\N{BOX DRAWINGS LIGHT HORIZONTAL}" in drawn
    plain = re.sub(r"\x1b\[\d*m", "", drawn).replace("\N{BOX DRAWINGS LIGHT HORIZONTAL}", "-")
    lines = [line.rstrip() for line in plain.splitlines()]
    assert lines == comparison.table(width=80).splitlines()


def test_json_has_one_object_a_model():
    result = command("compare", "resnet18", "efficientnetv2-b0", "--size", "32", "--json")
    assert result.returncode == 0
    assert result.stderr == ""
    records = json.loads(result.stdout)
    assert [record["name"] for record in records] == ["efficientnetv2-b0", "resnet18"]
    for record in records:
        analysis = unrolled.analyze(models.build(record["name"], size=32))
        assert list(record)[: len(CATALOGUE) + 1] == ["name", *CATALOGUE]
        for key in set(CATALOGUE) - {"total_contexts"}:
            assert record[key] == getattr(analysis, key), key
        assert int(record["total_contexts"]) == analysis.total_contexts
        assert isinstance(record["total_contexts"], str)


def test_log_gives_the_figures_of_exact_counts_but_no_exact_total():
    (exact,) = json.loads(invoke("analyze", "resnet18", "--size=32", "--json").output)
    (in_log,) = json.loads(invoke("analyze", "resnet18", "--size=32", "--json", "--log").output)
    assert in_log["total_contexts"] is None
    assert in_log["expected_spread"] == pytest.approx(exact["expected_spread"], rel=1e-12)
    assert "log space" in invoke("compare", "resnet18", "--size=32", "--log").output


@pytest.mark.parametrize(("direction", "sign"), [("--ascending", 1), ("--descending", -1)])
def test_compare_sorts_in_either_direction(direction, sign):
    names = ["resnet18", "efficientnetv2-b0", "resnet34"]
    result = invoke("compare", *names, "--size=128", "--sort=num_parameters", direction)
    assert result.exit_code == 0
    ranked = [line.split(" ")[0] for line in result.output.splitlines()]
    ranked = [name for name in ranked if name in names]
    assert ranked == ["efficientnetv2-b0", "resnet18", "resnet34"][::sign]


def test_thermo_prints_a_sweep(tmp_path):
    image = tmp_path / "curves.png"
    result = invoke("thermo", "resnet18", "--size=32", "--temperatures=-1:1:5", f"--plot={image}")
    assert result.exit_code == 0
    ensemble = unrolled.Ensemble.from_counts(unrolled.count(models.resnet(18, size=32)))
    sweep = ensemble.sweep([-1.0, -0.5, "0-", "0+", 0.5, 1.0])
    peaks = peaks_table(ensemble.heat_capacity_peaks(), "nats")
    assert result.output == f"resnet18\n{sweep.table()}\n\n{peaks}\n"
    assert image.read_bytes().startswith(b"\x89PNG")


def test_thermo_json_has_the_published_temperature_and_both_limits_at_zero():
    options = ["--size=32", "--unit=bits", "--json"]
    (record,) = json.loads(invoke("thermo", "resnet18", "--temperatures", "-1", *options).output)
    analysis = unrolled.analyze(models.resnet(18, size=32))
    assert (record["name"], record["unit"], record["temperature"]) == ("resnet18", "bits", [-1.0])
    assert record["energy"] == [pytest.approx(analysis.expected_spread, rel=1e-13)]
    assert record["entropy"] == [pytest.approx(analysis.entropy, rel=1e-13)]
    # The published range steps by 0.1 across zero, which stands for both its limits.
    (record,) = json.loads(
        invoke("thermo", "resnet18", "--temperatures", "-3:3:61", *options).output
    )
    assert len(record["temperature"]) == 62
    assert record["beta"].count(None) == 2
    (record,) = json.loads(invoke("thermo", "resnet18", "--temperatures=1,0+,inf", *options).output)
    assert record["energy"][1] == 0.0
    assert record["beta"] == [1.0, None, 0.0]


def test_thermo_without_temperatures_shows_what_the_ensemble_does():
    options = ["thermo", "resnet18", "--size=32", "--unit=bits", "--json"]
    (record,) = json.loads(invoke(*options).output)
    ensemble = unrolled.Ensemble.from_counts(
        unrolled.analyze(models.resnet(18, size=32)), unit="bits"
    )
    assert record["temperature"] == ensemble.sweep().to_dict()["temperature"]
    assert record["peaks"] == [peak._asdict() for peak in ensemble.heat_capacity_peaks()]
    assert len(record["peaks"]) > 1
    (record,) = json.loads(invoke(*options, "--beta=auto").output)
    assert record["beta"] == ensemble.sweep(beta="auto").to_dict()["beta"]


def test_thermo_by_inverse_temperature(tmp_path):
    image = tmp_path / "curves.png"
    result = invoke("thermo", "resnet18", "--size=32", "--json", "--beta=-1:1:3", f"--plot={image}")
    (record,) = json.loads(result.output)
    assert record["beta"] == [-1.0, 0.0, 1.0]
    assert record["temperature"] == [-1.0, None, 1.0]
    assert image.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--size=32"], "No such option '--size'"),
        (["analyse"], "No such command 'analyse'"),
        (["analyze"], "Missing argument 'MODEL'"),
        (["compare"], "Missing argument 'NAMES...'"),
        (["analyze", "resnet5"], "unknown model 'resnet5'; did you mean 'resnet50'"),
        (["analyze", "zzz"], "unknown model 'zzz'; known are efficientnetv2-b0"),
        (["compare", "resnet18", "zzz"], "'unrolled models' lists all"),
        (["compare", "resnet18", "--sort", "entropi"], "did you mean 'entropy'"),
        (["analyze", "resnet18", "--size", "0"], "size must be a positive integer, got 0"),
        (["analyze", "resnet18", "--size", "-5"], "got -5"),
        (["analyze", "resnet18", "--size", "x"], "'x' is not a valid integer"),
        (["analyze", "resnet18", "--size", str(10**12)], "overflow"),
        (["analyze", "resnet18", "--padding", "valid"], "'valid' is not one of"),
        (["thermo", "resnet18", "--temperatures", "1:2"], "expected FIRST:LAST:NUMBER"),
        (["thermo", "resnet18", "--temperatures", "1,cold"], "or a list of numbers, got '1,cold'"),
        (["thermo", "resnet18", "--size=32", "--temperatures", "nan"], "T must be numbers"),
        (["thermo", "resnet18", "--size=32", "--temperatures", "1:2:0"], "got list []"),
        (["thermo", "resnet18", "--unit", "joules"], "'joules' is not one of"),
        (["thermo", "resnet18", "--beta", "1,0+"], "or a list of numbers, got '1,0+'"),
        (["thermo", "resnet18", "--beta=1:2:99999"], "a budget of 10,000 temperatures"),
        (["thermo", "resnet18", "--size=32", "--beta", "nan"], "beta must be numbers, got NaN"),
        (["thermo", "resnet18", "--beta=1", "--temperatures=1"], "exclude each other"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(arguments, message):
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["analyze", "resnet5"], "unknown model 'resnet5'; did you mean 'resnet50'"),
        (["analyze", "resnet18", "--size", str(10**12)], "overflow"),
    ],
)
def test_wrong_input_of_a_process_is_one_line_and_exit_code_2(arguments, message):
    result = command(*arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


def test_any_error_of_ours_is_caught(monkeypatch):
    for kind in unrolled.errors.__all__:

        def fail(*args, kind=kind, **options):
            raise getattr(unrolled.errors, kind)(f"two lines\nabout {kind}")

        monkeypatch.setattr(commands, "analyze", fail)
        result = invoke("analyze", "resnet18", "--size=32")
        assert result.exit_code == 2
        assert result.stderr == f"error: two lines about {kind}\n"


def test_ctrl_c_exits_with_130_and_no_traceback(monkeypatch):
    def interrupt(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "analyze", interrupt)
    result = invoke("analyze", "resnet18", "--size=32")
    assert result.exit_code == 130
    assert "Traceback" not in result.output


@pytest.mark.usefixtures("ctrl_c")
def test_a_signal_exits_with_130_and_no_traceback():
    code = (
        "from unrolled.cli import commands\n"
        "import time\n"
        "def wait(*args, **options):\n"
        "    print('waiting', flush=True)\n"
        "    time.sleep(60)\n"
        "commands.analyze = wait\n"
        "commands.main(['analyze', 'resnet18', '--size=32'])\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "waiting\n"
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors


@pytest.mark.skipif(os.name != "posix", reason="closes a pipe as POSIX shells do")
def test_a_closed_pipe_is_quiet():
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as closed:
        result = subprocess.run(
            [sys.executable, "-m", "unrolled", "models"],
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert result.returncode == 1
    assert result.stderr == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a disk that is always full")
def test_a_full_disk_is_one_line():
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "unrolled", "models"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert result.returncode == 2
    assert result.stderr.startswith("error: cannot write the output: ")
    assert result.stderr.count("\n") == 1


def test_no_progress_bar_without_a_terminal():
    result = command("analyze", "resnet18", "--size", "32")
    assert result.returncode == 0
    assert result.stderr == ""
    assert result.stdout.isascii()


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_progress_bar_on_a_terminal():
    returncode, output, shown = command_on_a_terminal("analyze", "resnet18", "--size=32", "--json")
    assert returncode == 0
    assert b"Counting resnet18" in shown
    assert json.loads(output)[0]["name"] == "resnet18"


@pytest.mark.parametrize("columns", ["80", "120"])
def test_tables_fit_the_columns_variable(columns):
    result = command(
        "compare",
        "efficientnetv2-l",
        "efficientnetv2-b0",
        "--log",
        "--no-scores",
        env={**os.environ, "COLUMNS": columns},
    )
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= int(columns)
    # Nothing is folded: each model is one line with all its figures.
    assert [len(line.split()) for line in lines if line.startswith("efficientnet")] == [9, 9]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2**53, 2**53),
        (-(2**53), -(2**53)),
        (2**53 + 1, "9007199254740993"),
        (-(2**53) - 1, "-9007199254740993"),
        (2.5, 2.5),
        (float("inf"), None),
        (float("-inf"), None),
        (float("nan"), None),
        (None, None),
        ("name", "name"),
    ],
)
def test_json_has_no_number_that_a_reader_could_round(value, expected):
    assert json_value(value) == expected


@pytest.mark.parametrize("bits", [13_000, 14_283, 50_000, 200_000])
def test_integers_beyond_the_limit_of_python_conversion(bits):
    limit = sys.get_int_max_str_digits()
    for number in (1 << bits, -(1 << bits) + 1, 10 ** (bits // 4), 7 * 10**9000 + 3):
        digits = tables.decimal_digits(number)
        try:
            sys.set_int_max_str_digits(0)
            assert digits == str(number)
        finally:
            sys.set_int_max_str_digits(limit)
