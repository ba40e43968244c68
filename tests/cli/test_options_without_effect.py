"""Options that would change nothing are refused, and numbers are read strictly."""

from __future__ import annotations

import pytest

from command_line import invoke
from unrolled.cli.options import parse_bytes

SMALL = "resnet18 --size 32"

REFUSED = [
    (f"analyze {SMALL} --json --columns macs", "--columns: only for tables, not with --json"),
    (f"analyze {SMALL} --csv --depth 2", "--depth: only for tables, not with --csv"),
    (f"analyze {SMALL} --json --sort macs", "--sort: only for tables"),
    (f"analyze {SMALL} --csv --dtype float16", "--dtype: only for tables"),
    (f"analyze {SMALL} --json --width 90", "--width: only for tables"),
    (f"analyze {SMALL} --json --sort macs --depth 1", "--depth, --sort: only for tables"),
    (f"analyze {SMALL} --csv --input-size 64", "--input-size: not with --csv"),
    (f"analyze {SMALL} --dtype float16", "--dtype: only for the columns memory and"),
    (f"analyze {SMALL} --dtype float16 --columns macs", "--dtype: only for the columns memory"),
    (f"compare {SMALL} --json --width 90", "--width: only for tables"),
    (f"compare {SMALL} --csv --width 90", "--width: only for tables"),
    (f"diff resnet18 {SMALL} --json --all", "--all: only for tables"),
    (f"diff resnet18 {SMALL} --json --width 90", "--width: only for tables"),
    ("evaluate nasbench_macro --json --figure kendall", "--figure: only for tables"),
    (f"theory {SMALL} --init torch --sw2 2", "--init: not with --sw2"),
    ("theory --activation tanh --init torch", "--init: only for a MODEL"),
    ("theory --activation tanh --correlation 0", "--correlation: only for a MODEL"),
    ("theory --activation tanh --input x=1 --size 3", "--size, --input: only for a MODEL"),
    ("search nasbench_macro --seed 1", "--seed: only with --evaluations"),
    ("search nasbench_macro --evaluations 9 --out a.csv", "--out: only for sweeps"),
    ("search nasbench_macro --threads 1 --executor dask://here", "--threads: not with --executor"),
    *(
        (f"search nasbench_macro --labels a.csv {option}", f"{option.split()[0]}: not with --label")
        for option in (
            *("--score macs", "--by macs", "--ascending", "--out a.csv", "--executor dask://a"),
            *("--evaluations 9", "--seed 1", "--threads 1", "--plot a.png"),
        )
    ),
]


@pytest.mark.parametrize(("line", "message"), REFUSED)
def test_an_option_without_effect_is_refused(line, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = invoke(*line.split())
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error: {message}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "line",
    [
        f"analyze {SMALL} --columns memory --dtype float16",
        f"analyze {SMALL} --columns activations,kind --dtype bfloat16",
        f"analyze {SMALL} --json --input-size 64",
        f"theory {SMALL} --sw2 2",
        "search nasbench_macro --evaluations 9 --seed 1 --top 1",
    ],
)
def test_the_same_options_where_they_have_one(line):
    assert invoke(*line.split()).exit_code == 0


def test_a_size_is_for_the_published_models_among_files(tmp_path):
    graph = tmp_path / "graph.csv"
    graph.write_text("source,target\n0,1\n")
    model = tmp_path / "model.json"
    model.write_text("{}")
    assert invoke("compare", "resnet18", graph, "--size", 32).exit_code == 0
    # The file is read, which is where this ends.
    result = invoke("compare", "resnet18", model, "--size", 32)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {model}: ")


@pytest.mark.parametrize("option", ["--input", "--value"])
def test_an_input_is_named_once(option):
    result = invoke("analyze", "model.onnx", option, "x=1", option, "y=2", option, "x=3")
    assert result.exit_code == 2
    assert f"'{option}': 'x' was given twice" in result.stderr


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2GB", 2 << 30),
        ("1e9", 10**9),
        ("1.5 GiB", 3 << 29),
        (" 2 gb ", 2 << 30),
        ("500M", 500 << 20),
        ("7", 7),
        ("7 b", 7),
        (".5k", 512),
        ("3.T", 3 << 40),
        ("9007199254740993", 9007199254740993),
    ],
)
def test_sizes_in_bytes(text, expected):
    assert parse_bytes(None, None, text) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        *("-1", "+1", "inf", "nan", "", " ", "G", "GB", "i", "5i", "0", "0.1", "1_000", "0x10"),
        *("1e400", "1e-9", "1e99999999999", "1e", "2 G B", "2GG", "2,5G", "1 000", "\u0661G", "²"),
        *("9e18k", "1\n2"),
    ],
)
def test_what_is_no_size_in_bytes(text):
    result = invoke("analyze", "resnet18", "--memory-limit", text)
    assert result.exit_code == 2
    assert "'--memory-limit': expected a number of bytes" in result.stderr


@pytest.mark.parametrize(
    "line",
    [
        *("analyze resnet18 --depth 0", "analyze resnet18 --depth -1 --json"),
        *("graph resnet18 -o a.svg --depth 0", "search nasbench_macro --top 0"),
        *("search nasbench_macro --evaluations -5", "search nasbench_macro --threads 0"),
        *("analyze a.onnx --input x=1_0", "analyze a.onnx --value x=\u0663"),
        "analyze resnet18 --input-size 4_4",
    ],
)
def test_numbers_that_are_none(line):
    result = invoke(*line.split())
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: Invalid value for ")


@pytest.mark.parametrize("kind", ["missing", "folder", "long"])
def test_labels_that_cannot_be_read(kind, tmp_path):
    path = tmp_path / "labels.csv"
    if kind == "folder":
        path.mkdir()
    elif kind == "long":
        path.write_text(f'layer1\n"{"a" * 200_000}"\n')
    result = invoke("search", "nasbench_macro", "--labels", path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error: {path}: ")


@pytest.mark.parametrize(
    "text", ["def space():\n    raise KeyError('a')\n", "raise SystemExit(0)\n", "import nothing\n"]
)
def test_a_file_of_a_space_that_does_not_run(text, tmp_path):
    path = tmp_path / f"space_that_fails_{len(text)}.py"
    path.write_text(text)
    result = invoke("search", f"{path}:space")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "cannot be run: " in result.stderr
