"""Names of files, nodes, operators, layers and arguments reach no terminal as commands.

Each case runs in front of a pseudo-terminal that keeps every byte.
"""

from __future__ import annotations

import csv
import json
import os

import networkx as nx
import numpy as np
import pytest

import unrolled
from cases.hostile_names import HOSTILE, STYLES, file_name, raw
from command_line import command_on_a_terminal, on_a_screen

SOME = (
    "escape",
    "title of the window",
    "back over the line",
    "line end",
    "right to left",
    "markup of rich",
    "formula",
    "broken formula",
    "undecodable",
)
"""Names for what takes longer than a file does."""

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    return tmp_path


def check(*arguments, code=None, columns=80):
    """Run a command that must leave nothing raw, and one line if it fails."""
    screen = on_a_screen(*arguments, columns=columns)
    assert raw(screen.text) == [], screen.text
    assert screen.exit_code in ((0, 2) if code is None else (code,)), screen.text
    if screen.exit_code == 2:
        lines = STYLES.sub("", screen.text).rstrip("\n").split("\n")
        assert lines[-1].startswith("error: ")
        assert sum(line.startswith("error: ") for line in lines) == 1
    return screen.text


def write_edges(path, *edges):
    with open(path, "w", newline="", encoding="utf-8", errors="surrogateescape") as stream:
        csv.writer(stream).writerows([("source", "target"), *edges])


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_files_with_hostile_names_are_analysed(hostile):
    """A file of any name is analysed, and shown by a name that can be seen."""
    name = file_name(hostile)
    write_edges(f"{name}.csv", ("a", "b"), ("b", "c"))
    for columns in (80, 120):
        text = check("analyze", f"{name}.csv", code=0, columns=columns)
        assert ", counted exactly" in text
        check("compare", f"{name}.csv", f"{name}.csv", code=0, columns=columns)
    check("analyze", f"{name}.npz", code=2)
    check("analyze", f"{name}.onnx", code=2)


@pytest.mark.parametrize("name", SOME)
def test_hostile_arguments_are_refused_in_printable_errors(name):
    hostile = HOSTILE[name]
    for arguments in (
        [hostile],
        [f"--{hostile}"],
        ["analyze", hostile],
        ["analyze", "resnet18", "--size", hostile],
        ["analyze", "resnet18", "--input", f"{hostile}=1"],
        ["compare", "resnet18", "--sort", hostile],
        ["operators", hostile],
        ["thermo", "resnet18", "--temperatures", hostile],
        ["analyze", "resnet18", "--plot", hostile],
        ["report", "resnet18", "-o", f"no folder/{hostile}"],
    ):
        check(*arguments, code=2)


@pytest.mark.parametrize("name", SOME)
def test_nodes_and_cells(name):
    """What errors quote from a file."""
    hostile = HOSTILE[name]
    write_edges("cycle.csv", ("a", hostile), (hostile, "a"))
    check("analyze", "cycle.csv", code=2)
    write_edges("cell.csv", ("a", "b", hostile))
    check("analyze", "cell.csv", code=2)
    with open("headings.csv", "w", encoding="utf-8", errors="surrogateescape") as stream:
        csv.writer(stream).writerows([("a", hostile, "c"), (1, 2, 3)])
    check("analyze", "headings.csv", code=2)


@pytest.mark.parametrize("name", SOME)
def test_graph_files(name):
    hostile = HOSTILE[name]
    if all(ord(one) >= 32 and not 0xD800 <= ord(one) < 0xE000 for one in hostile):  # as XML wants
        graph = nx.DiGraph([("a", hostile), (hostile, "a")], name=hostile)
        nx.write_graphml(graph, "cycle.graphml")
        check("analyze", "cycle.graphml", code=2)
        graph.remove_edge(hostile, "a")
        nx.write_graphml(graph, "graph.graphml")
        check("analyze", "graph.graphml", code=0)
    saved = unrolled.Graph.from_edges([0, 1], [1, 2], names=[hostile, "b", "c"])
    saved.save("graph.npz")
    arrays = dict(np.load("graph.npz"))
    description = json.loads(bytes(arrays["description"]))
    description["name"] = hostile
    arrays["description"] = np.frombuffer(json.dumps(description).encode(), dtype=np.uint8)
    np.savez("forged.npz", **arrays)
    check("analyze", "forged.npz")


@pytest.mark.parametrize("name", SOME)
def test_models_of_onnx(name):
    hostile = HOSTILE[name]
    onnx = pytest.importorskip("onnx")
    hostile = hostile.encode("utf-8", "replace").decode()  # A protocol buffer holds nothing else.
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    for operator, domain in (("Gemm", ""), (hostile, ""), ("Gemm", hostile)):
        x = helper.make_tensor_value_info(f"{hostile}x", kind, [1, 3])
        y = helper.make_tensor_value_info(f"{hostile}y", kind, [1, 2])
        weight = helper.make_tensor(f"{hostile}w", kind, [3, 2], [0.0] * 6)
        node = helper.make_node(
            operator, [x.name, weight.name], [y.name], name=hostile, domain=domain
        )
        graph = helper.make_graph([node], hostile, [x], [y], [weight])
        imports = [helper.make_opsetid("", 17)]
        imports += [helper.make_opsetid(domain, 1)] if domain else []
        onnx.save(helper.make_model(graph, opset_imports=imports), "model.onnx")
        check("analyze", "model.onnx", code=0 if (operator, domain) == ("Gemm", "") else 2)
        check("analyze", "model.onnx", "--input", f"{hostile}=1,3", code=2)


@pytest.mark.parametrize("name", SOME)
def test_models_of_keras(name):
    hostile = HOSTILE[name]
    for kind, code in (("Dense", 0), (hostile, 2)):
        layers = [
            {"class_name": "InputLayer", "config": {"batch_shape": [None, 3], "name": hostile}},
            {"class_name": kind, "config": {"units": 2, "name": f"{hostile}d"}},
        ]
        config = {"class_name": "Sequential", "config": {"name": hostile, "layers": layers}}
        with open("model.json", "w", encoding="utf-8") as stream:
            json.dump(config, stream)
        check("analyze", "model.json", code=code)
        check("analyze", "model.json", "--json", code=code)


@pytest.mark.parametrize("name", SOME)
def test_figures_and_reports_take_hostile_names(name):
    """Figures and reports of files of any name, written to files of any name."""
    hostile = HOSTILE[name]
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pytest.importorskip("bokeh")
    name = file_name(hostile)
    write_edges(f"{name}.csv", ("a", "b"), ("b", "c"))
    text = check("analyze", f"{name}.csv", "--plot", f"{name}.svg", code=0)
    assert "Traceback" not in text
    check("thermo", f"{name}.csv", "--temperatures=1", "--plot", f"{name}.png", code=0)
    check("report", f"{name}.csv", "-o", f"{name}.html", "--title", hostile, code=0)
    with open(f"{name}.html", encoding="utf-8") as page:
        assert raw(page.read().partition('<script type="application/json"')[0]) == []
    pyplot.close("all")
    assert sum(one.endswith((".svg", ".png", ".html")) for one in os.listdir()) == 3


@pytest.mark.parametrize("name", ["escape", "line end", "undecodable", "markup of rich"])
def test_hostile_names_of_bytes_are_shown_printable(name):
    """The same from outside, where arguments come as bytes."""
    path = f"{file_name(HOSTILE[name])}.csv"
    write_edges(path, ("a", "b"), ("b", "a"))
    result = command_on_a_terminal("analyze", path)
    shown = result.shown.decode().replace("\r\n", "\n")
    assert (result.returncode, result.output) == (2, b"")
    assert raw(shown) == []
    assert "Traceback" not in shown


def test_the_test_would_notice():
    for name, hostile in HOSTILE.items():
        shown = raw(f"\x1b[1m{hostile}\x1b[0m")
        assert bool(shown) == (not hostile.replace("\n", "").isprintable()), name
