"""Two models layer by layer, and layers as a picture."""

from __future__ import annotations

import json
import os
import stat

import pytest
from click.testing import CliRunner

import unrolled
from unrolled import InvalidArgumentError, MissingPackageError, Network, diff, models
from unrolled.cli import main


def changes_of(difference):
    return [(one.change, one.name) for one in difference if one.change != "same"]


def test_equal_models_do_not_differ():
    difference = diff("resnet18", unrolled.analyze("resnet18", exact=False))
    assert difference.is_empty
    assert len(difference) == 41
    assert "no layer differs" in difference.table()


def build(width, names, classes=3, extra=False):
    net = Network("chain")
    x = net.input((4,), "x")
    for name in names:
        x = net.activation(net.dense(x, width, name=name), "relu")
    if extra:
        x = net.batch_norm(net.reshape(x, (width, 1)), name="extra")
        x = net.reshape(x, (width,))
    net.output(net.dense(x, classes, name="head"))
    return net


def test_a_new_head_moves_the_contexts_of_all_others():
    """Each has as many times more contexts as there are classes more."""
    difference = diff(build(8, "ab"), build(8, "ab", classes=6))
    assert changes_of(difference) == [("contexts", "a"), ("contexts", "b"), ("changed", "head")]
    assert "In contexts alone: by +1.000 bits." in difference.table()
    names = "shapes output_shape num_parameters num_trainable macs"
    assert " ".join(difference[2].attributes) == names
    assert "8x3 -> 8x6" in difference.table()


def test_what_appeared_and_vanished():
    there = build(8, "ab", extra=True)
    assert ("added", "extra") in changes_of(diff(build(8, "ab"), there))
    assert ("removed", "extra") in changes_of(diff(there, build(8, "ab")))
    names = [one.name for one in diff(there, build(8, "ab"))]
    assert names == ["a", "b", "extra", "head"]


def test_new_names_of_the_same():
    difference = diff(build(8, "ab"), build(8, ["layer0", "layer1"]))
    assert changes_of(difference) == [("renamed", "a -> layer0"), ("renamed", "b -> layer1")]


def test_pruned_layers():
    difference = diff(build(8, "ab"), build(6, "ab"))
    assert [change for change, _ in changes_of(difference)] == ["changed"] * 3
    record = difference.to_dict()
    assert json.loads(json.dumps(record)) == record
    assert record["totals"]["after"]["num_parameters"] == 4 * 6 + 6 + 42 + 21


def test_graphs_have_no_layers():
    with pytest.raises(InvalidArgumentError, match="knows no layers"):
        diff("resnet18", models.mlp([2], inputs=2).unroll())


@pytest.mark.parametrize("width", [80, 120])
def test_tables_fit(width):
    text = diff("resnet18", "resnet34").table(width=width)
    assert max(map(len, text.splitlines())) <= width
    assert text.count("\n+ ") == 32


def test_the_shell():
    runner = CliRunner()
    same = runner.invoke(main, ["diff", "resnet18", "resnet18", "--exit-code"])
    assert same.exit_code == 0
    other = runner.invoke(main, ["diff", "resnet18", "resnet34", "--exit-code", "--json"])
    assert other.exit_code == 1
    (record,) = json.loads(other.output)
    assert sum(one["change"] == "added" for one in record["changes"]) == 32


# Pictures.


def residual():
    net = Network("residual")
    x = net.input((8,), "x")
    y = net.dense(net.activation(net.dense(x, 8, name="block.a"), "relu"), 8, name="block.b")
    net.output(net.dense(net.add(x, y, name="sum"), 2, name="head"))
    return net


def test_arrows_are_where_data_flows():
    picture = unrolled.analyze(residual()).graph()
    names = [node.name for node in picture.nodes]
    arrows = {(names[source], names[target]) for source, target in picture.arrows}
    assert {("x", "block.a"), ("x", "sum"), ("block.b", "sum"), ("sum", "head")} <= arrows
    grouped = unrolled.analyze(residual()).graph(depth=1)
    assert {"x", "block", "sum", "head"} <= {node.name for node in grouped.nodes}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Of what pydot reads with.
def test_graphviz_reads_what_is_written():
    pydot = pytest.importorskip("pydot")
    net = residual()
    net.name = 'a "quoted" \\ name'
    picture = unrolled.analyze(net).graph()
    (graph,) = pydot.graph_from_dot_data(picture.to_dot())
    named = [node for node in graph.get_nodes() if node.get_name() != "node"]
    assert len(named) == len(picture.nodes)
    assert len(graph.get_edges()) == len(picture.arrows)


def test_colours_follow_the_contexts():
    lines = unrolled.analyze(residual()).graph().to_mermaid().splitlines()
    fills = {line.split()[1]: line.split()[2] for line in lines if line.startswith("  style")}
    head = next(line.split("[")[0].strip() for line in lines if '["head' in line)
    assert fills["n0"].startswith("fill:#ffffff")
    assert fills[head].startswith("fill:#f3f6fa")
    assert any(fill.startswith("fill:#1f77b4") for fill in fills.values())


def test_names_are_no_mermaid():
    net = Network("hostile")
    net.output(net.dense(net.input((2,), "x"), 2, name='"]; click n0 <b>'))
    text = unrolled.analyze(net).graph().to_mermaid()
    assert "<b>" not in text.replace("<br>", "")
    assert "#34;]; click n0 #60;b#62;" in text


def test_the_program_of_graphviz_is_called(tmp_path, monkeypatch):
    pytest.importorskip("graphviz")
    program = tmp_path / "dot"
    program.write_text("#!/bin/sh\ncat > /dev/null\necho '<svg/>'\n")
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    path = tmp_path / "model.svg"
    result = CliRunner().invoke(main, ["graph", "resnet18", "-o", str(path), "--depth", "1"])
    assert result.exit_code == 0, result.output
    assert path.read_text() == "<svg/>\n"


def test_without_graphviz(tmp_path, monkeypatch):
    pytest.importorskip("graphviz")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingPackageError, match="'dot' is not installed"):
        unrolled.analyze(residual()).graph().save(tmp_path / "model.svg")
    path = unrolled.analyze(residual()).graph().save(tmp_path / "model.mmd")
    assert path.read_text().startswith("flowchart TD\n")
    with pytest.raises(InvalidArgumentError, match="must end in"):
        unrolled.analyze(residual()).graph().save(tmp_path / "model.txt")


def test_a_loaded_analysis_has_no_network(tmp_path):
    path = unrolled.analyze(residual()).save(tmp_path / "residual.json")
    with pytest.raises(InvalidArgumentError, match="was loaded"):
        unrolled.Analysis.load(path).graph()
