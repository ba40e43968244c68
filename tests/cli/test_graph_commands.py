"""Graphs from files on the command line."""

from __future__ import annotations

import json
import math
import os

import networkx as nx
import numpy as np
import pytest

import unrolled
from cases.graph_tables import COUNTS, ROWS, TOTAL, check, numbered, record_of, write
from command_line import command, command_on_a_terminal, invoke
from oracles.graph_paths import Expected
from strategies.random_graphs import Case, decorated, grid, ladder, scattered
from unrolled.show.formats import json_value

# CSV.


@pytest.mark.parametrize("header", [None, "source,target,multiplicity", "from,to,paths"])
def test_edges_with_ids(tmp_path, header):
    check(record_of(write(tmp_path / "edges.csv", numbered(), header=header)))


@pytest.mark.parametrize("header", [None, "source,target,multiplicity"])
def test_edges_with_names(tmp_path, header):
    check(record_of(write(tmp_path / "edges.csv", ROWS, header=header)))


@pytest.mark.parametrize(
    ("header", "named"),
    [
        *((None, False), ("source,target", False), ("from,to", False)),
        *((None, True), ("source,target", True), ("Source,Target", True)),
    ],
)
def test_lines_that_come_again_are_parallel_edges(tmp_path, header, named):
    rows = [(a, b) for a, b, number in ROWS for _ in range(number)]
    rows = rows if named else numbered(rows)
    check(record_of(write(tmp_path / "edges.csv", rows, header=header)))


def test_lines_of_every_kind(tmp_path):
    """Lines may end as on other systems, have blanks and quotes, and the last needs no end."""
    path = tmp_path / "edges.csv"
    path.write_bytes(b"source,target,multiplicity\r\n0,2,1\r\n 1, 2, 2\r\n2,3,3\r\n0,3,1")
    check(record_of(path))
    path.write_text('"a","c",1\nb,c,2\n\nc,d,3\n"a",d,1\n')
    check(record_of(path))


def test_a_byte_order_mark(tmp_path):
    """Spreadsheets write one at the start of a file."""
    path = tmp_path / "edges.csv"
    path.write_text("source,target,multiplicity\n0,2,1\n1,2,2\n2,3,3\n0,3,1\n", "utf-8-sig")
    check(record_of(path))
    rows = [f"{a},{b}\n" * number for a, b, number in ROWS]
    path.write_text("".join(["source,target\n", *rows]), "utf-8-sig")
    check(record_of(path))


def test_names_with_separators(tmp_path):
    path = tmp_path / "edges.csv"
    path.write_text('"a, b",c,1\n"x ""y""",c,2\nc,d,3\n"a, b",d,1\n')
    check(record_of(path))


def test_log_counts_the_same_without_an_exact_total(tmp_path):
    check(record_of(write(tmp_path / "edges.csv", numbered()), "--log"), exact=False)


def test_large_counts_are_strings(tmp_path):
    path = write(tmp_path / "edges.csv", [(at, at + 1, 2) for at in range(100)])
    assert record_of(path)["total_contexts"] == str(2**100)


@pytest.mark.parametrize("seed", range(3))
def test_the_same_figures_as_in_python(tmp_path, seed):
    rng = np.random.default_rng(seed)
    case = scattered(200, 900, 20, seed)
    case = Case(case.num_nodes, case.sources, case.targets)
    names = rng.permutation(case.num_nodes).tolist()
    write(tmp_path / "ids.csv", [(a, b, number) for a, b, number in case.edges])
    write(tmp_path / "names.csv", [(f"n{names[a]}", f"n{names[b]}") for a, b, _ in case.edges])
    graph = case.build()
    # Nodes without an edge are in no line of a file of names, but have ids below the largest.
    used = max(*case.sources, *case.targets) + 1
    alone = used - len({*case.sources, *case.targets})
    total = unrolled.count(graph).total - (case.num_nodes - used)
    assert int(record_of(tmp_path / "ids.csv")["total_contexts"]) == total
    assert int(record_of(tmp_path / "names.csv")["total_contexts"]) == total - alone


# Other files.


def test_a_saved_graph_has_the_figures_of_the_graph(tmp_path):
    case = decorated(grid(8, 9), np.random.default_rng(3))
    case = Case(
        case.num_nodes, case.sources, case.targets, [2] * case.num_edges, [71, 70], None, None
    )
    inputs = [1, 2, 9]
    graph = unrolled.Graph.from_edges(
        np.array(case.sources),
        np.array(case.targets),
        outputs=[70, 71],
        multiplicity=[2] * case.num_edges,
        inputs=inputs,
        name="a grid",
    )
    graph.save(tmp_path / "graph.npz")
    expected = unrolled.analyze(graph)
    for options in ([], ["--mmap"], ["--threads", "2"], ["--threads=1", "--mmap"]):
        record = record_of(tmp_path / "graph.npz", *options)
        for key, value in expected.to_dict().items():
            if key == "total_contexts":
                assert (
                    int(record[key])
                    == value
                    == sum(Expected(case).reached(Expected(case).downstream))
                )
            elif key != "name":
                assert record[key] == json_value(value), key
        in_log = record_of(tmp_path / "graph.npz", "--log", *options)
        assert in_log["total_contexts"] is None
        assert in_log["entropy"] == pytest.approx(expected.entropy, rel=1e-9)


def test_the_table_says_how_was_counted(tmp_path):
    graph = unrolled.Graph.from_edges([0, 1], [2, 2], parameters=[0, -1, -1], inputs=[1], name="v")
    graph.save(tmp_path / "graph.npz")
    result = invoke("analyze", tmp_path / "graph.npz")
    assert result.exit_code == 0
    assert "parameters" in result.output
    assert "entropy" in result.output
    assert "counted exactly" in result.output
    assert "log space" in invoke("analyze", tmp_path / "graph.npz", "--log").output


def test_a_table_of_edges_without_inputs(tmp_path):
    """Estimates need inputs, which a list of edges does not name; the rest is shown."""
    result = invoke("analyze", write(tmp_path / "edges.csv", numbered()))
    assert result.exit_code == 0, result.output
    assert "entropy" in result.output


def test_graphml_has_the_figures_of_the_networkx_graph(tmp_path):
    graph = nx.DiGraph()
    graph.add_nodes_from(["w0", "w1"], kind="parameter", parameter="w")
    graph.add_node("b", kind="parameter")
    graph.add_node("x", kind="input")
    graph.add_node("h", kind="operation")
    graph.add_node("y", kind="output")
    graph.add_edges_from([("w0", "h"), ("w1", "h"), ("x", "h"), ("b", "y")], multiplicity=1)
    graph.add_edge("h", "y", multiplicity=3)
    nx.write_graphml(graph, tmp_path / "graph.graphml")
    record = record_of(tmp_path / "graph.graphml")
    expected = unrolled.analyze(unrolled.Graph.from_networkx(graph)).to_dict()
    assert record["total_contexts"] == expected["total_contexts"] == 7
    assert (record["num_parameters"], record["num_weight_nodes"]) == (2, 3)
    assert (record["num_inputs"], record["num_outputs"]) == (1, 1)
    assert record["surprisal_estimate"] == expected["surprisal_estimate"]


def test_graphml_without_kinds(tmp_path):
    graph = nx.MultiDiGraph()
    for source, target, number in ROWS:
        for _ in range(number):
            graph.add_edge(source, target)
    nx.write_graphml(graph, tmp_path / "graph.graphml")
    check(record_of(tmp_path / "graph.graphml"))


def test_help_names_the_files():
    result = invoke("analyze", "--help")
    for word in (".npz", ".csv", ".graphml", "--threads", "--mmap"):
        assert word in result.output


def test_models_still_go_by_name():
    assert record_of("resnet18", "--size=32")["num_inputs"] == 3 * 32 * 32


def test_paths_with_folders(tmp_path):
    (tmp_path / "a folder").mkdir()
    path = write(tmp_path / "a folder" / "edges.csv", numbered())
    result = command("analyze", "edges.csv", "--json", cwd=path.parent)
    assert result.returncode == 0, result.stderr
    check(json.loads(result.stdout)[0])
    assert result.stderr == ""


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_progress_bar_on_a_terminal(tmp_path):
    ladder(2000).build().save(tmp_path / "graph.npz")
    # In its folder, for 80 columns cut a longer path off.
    returncode, output, shown = command_on_a_terminal(
        "analyze", "graph.npz", "--json", cwd=tmp_path
    )
    assert returncode == 0
    assert b"graph.npz" in shown
    assert len(json.loads(output)) == 1


# Other commands.


@pytest.fixture
def saved(tmp_path):
    """A file of the graph of `ROWS`, in which no inputs are named."""
    path = tmp_path / "graph.npz"
    sources, targets, times = zip(*numbered(), strict=True)
    unrolled.Graph.from_edges(sources, targets, multiplicity=times).save(path)
    return path


@pytest.mark.parametrize("options", [[], ["--mmap"], ["--threads=1"], ["--log"]])
def test_thermo_of_a_graph_finds_all_contexts_at_minus_one(saved, options):
    """At T = -1 the partition function is the number of all contexts."""
    result = invoke("thermo", saved, "--temperatures=-1,inf", "--unit=bits", "--json", *options)
    assert result.exit_code == 0, result.output
    (record,) = json.loads(result.output)
    assert record["name"] == "graph"
    assert record["log_partition"] == pytest.approx([math.log2(TOTAL), 1])
    assert record["energy"] == pytest.approx(
        [sum(COUNTS[node] / TOTAL * math.log2(COUNTS[node]) for node in "ab"), math.log2(24) / 2]
    )


def test_thermo_of_a_table(tmp_path):
    result = invoke("thermo", write(tmp_path / "edges.csv", ROWS), "--temperatures=-1")
    assert result.exit_code == 0
    assert result.output.startswith("edges\n")


def test_compare_with_a_model(saved):
    result = invoke("compare", saved, "resnet18", "--size", "32", "--json")
    assert result.exit_code == 0, result.output
    model, graph = json.loads(result.output)
    assert (model["name"], model["num_inputs"]) == ("resnet18", 3072)
    check(graph)
    assert graph["spread_estimate"] is graph["surprisal_estimate"] is None
    table = invoke("compare", saved, "resnet18", "--size", "32", "--ascending").output
    assert table.index("\nresnet18") < table.index("\ngraph")


def test_report_takes_graphs(saved, tmp_path):
    pytest.importorskip("bokeh")
    result = invoke("report", saved, "resnet18", "--size=32", "-o", tmp_path / "x.html")
    assert result.exit_code == 0, result.output
    text = (tmp_path / "x.html").read_text()
    assert "the parts on layers are without graph." in text
    assert "resnet18: 41 layers" in text


def test_analyze_and_thermo_plot_graphs(saved, tmp_path):
    pytest.importorskip("matplotlib")
    for command_name in ("analyze", "thermo"):
        path = tmp_path / f"{command_name}.png"
        result = invoke(command_name, saved, "--plot", path)
        assert result.exit_code == 0, result.output
        assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "arguments",
    [
        *(["analyze", option] for option in ("--size=32", "--padding=same", "--share=stage")),
        ["thermo", "--size=32"],
        ["compare", "--share=configuration"],
        ["report", "-o", "x.html", "--size=32"],
    ],
)
def test_options_of_models(saved, arguments):
    result = invoke(*arguments, saved)
    assert result.exit_code == 2
    assert "models, not" in result.stderr


def test_options_of_graphs():
    for command_name in ("analyze", "thermo"):
        result = invoke(command_name, "resnet18", "--mmap")
        assert result.exit_code == 2
        assert "--threads and --mmap are for graphs, not for resnet18" in result.stderr
