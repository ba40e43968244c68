"""Files, options and signals that end the command line with a message."""

from __future__ import annotations

import os

import networkx as nx
import numpy as np
import pytest

import unrolled
from cases.graph_tables import numbered, write
from command_line import command, command_on_a_terminal, invoke
from strategies.random_graphs import grid


def broken_archive(path):
    grid(3, 3).build().save(path)
    path.write_bytes(path.read_bytes()[:-40])


BROKEN = {
    "missing.npz": (None, "missing.npz"),
    "missing.csv": (None, "missing.csv"),
    "missing.graphml": (None, "missing.graphml"),
    "truncated.npz": (broken_archive, "truncated.npz"),
    "text.npz": (lambda path: path.write_text("0,1\n"), "text.npz"),
    "empty.npz": (lambda path: path.write_bytes(b""), "empty.npz"),
    "foreign.npz": (lambda path: np.savez(path, a=np.arange(3)), "foreign.npz"),
    "empty.csv": (lambda path: path.write_text(""), "empty"),
    "header.csv": (lambda path: path.write_text("source,target\n"), "header"),
    "column.csv": (lambda path: path.write_text("0\n1\n"), "column"),
    "columns.csv": (lambda path: path.write_text("0,1,2,3\n1,2,2,3\n"), "column"),
    "ragged.csv": (lambda path: path.write_text("0,1\n1,2,3\n2\n"), "2"),
    "negative.csv": (lambda path: path.write_text("0,1\n1,-2\n"), "negative.csv: targets[1] is -2"),
    "huge.csv": (lambda path: path.write_text("0,1\n1,8589934592\n"), "nodes"),
    "beyond.csv": (lambda path: path.write_text(f"0,1\n1,{2**70}\n"), "beyond.csv: edge 2"),
    "digits.csv": (lambda path: path.write_text(f"0,{'9' * 5000}\n"), "5000 digits"),
    "times.csv": (lambda path: path.write_text(f"0,1,{'9' * 5000}\n"), "5000 digits"),
    "zero.csv": (lambda path: path.write_text("0,1,1\n1,2,0\n"), "multiplicity"),
    "minus.csv": (lambda path: path.write_text("0,1,1\n1,2,-3\n"), "-3"),
    "fraction.csv": (lambda path: path.write_text("0,1,1\n1,2,1.5\n"), "1.5"),
    "words.csv": (lambda path: path.write_text("0,1,1\n1,2,many\n"), "many"),
    "nothing.csv": (lambda path: path.write_text("0,1,1\n1,2,\n"), "error"),
    "no name.csv": (lambda path: path.write_text("a,b\nb,\n"), "error"),
    "cycle.csv": (lambda path: path.write_text("0,1\n1,2\n2,1\n"), " -> "),
    "names.csv": (lambda path: path.write_text("up,down\ndown,up\nup,out\n"), "'up' -> "),
    "loop.csv": (lambda path: path.write_text("a,b\nb,b\n"), "'b' -> 'b'"),
    "binary.csv": (lambda path: path.write_bytes(bytes(range(256)) * 5), "binary.csv"),
    "latin.csv": (lambda path: path.write_bytes(b"a,b\nb,\xff\xfe\n"), "latin.csv"),
    "text.graphml": (lambda path: path.write_text("0,1\n"), "text.graphml"),
    "bomb.graphml": (lambda path: path.write_text(entities()), "error"),
    "other.graphml": (lambda path: path.write_text("<html></html>"), "other.graphml"),
    "undirected.graphml": (lambda path: nx.write_graphml(nx.path_graph(3), path), "DiGraph"),
    "kind.graphml": (
        lambda path: nx.write_graphml(weird_kind(), path),
        "weird",
    ),
    "cycle.graphml": (lambda path: nx.write_graphml(nx.DiGraph([(0, 1), (1, 0)]), path), " -> "),
    "graph.txt": (lambda path: path.write_text("0,1\n"), "graph.txt"),
    "graph.yaml": (lambda path: path.write_text("{}"), "graph.yaml"),
}


def weird_kind():
    graph = nx.DiGraph([("a", "b")])
    graph.nodes["a"]["kind"] = "weird"
    return graph


def entities():
    """Its nested entities would be a gigabyte if they were written out."""
    lines = [f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10)]
    return (
        '<?xml version="1.0"?><!DOCTYPE g [<!ENTITY e0 "0123456789">'
        + "".join(lines)
        + ']><graphml xmlns="http://graphml.graphdrawing.org/xmlns"><graph edgedefault="directed">'
        + '<node id="&e9;"/></graph></graphml>'
    )


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_one_line_and_exit_code_2(tmp_path, name):
    make, message = BROKEN[name]
    if make:
        make(tmp_path / name)
    result = invoke("analyze", tmp_path / name)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert message in result.stderr


@pytest.mark.parametrize("name", ["cycle.csv", "truncated.npz", "missing.npz", "ragged.csv"])
def test_broken_files_of_a_process(tmp_path, name):
    make, _ = BROKEN[name]
    if make:
        make(tmp_path / name)
    result = command("analyze", tmp_path / name, "--json")
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("threads", ["0", "-1", "two", "1.5"])
def test_a_wrong_number_of_threads_is_one_line(tmp_path, threads):
    path = write(tmp_path / "edges.csv", numbered())
    result = invoke("analyze", path, "--threads", threads)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["edges.csv", "edges.graphml"])
def test_only_archives_are_mapped(tmp_path, name):
    (tmp_path / name).write_text("0,1\n")
    result = invoke("analyze", tmp_path / name, "--mmap")
    assert result.exit_code == 2
    assert f"{name}: only the edges of an .npz file" in result.stderr


def test_a_folder_in_place_of_a_file_is_one_line(tmp_path):
    (tmp_path / "graph.npz").mkdir()
    result = invoke("analyze", tmp_path / "graph.npz")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


def test_nothing_to_count(tmp_path):
    """No node is a parameter."""
    path = tmp_path / "graph.npz"
    unrolled.Graph.from_edges([0], [1], parameters=[-1, -1]).save(path)
    result = invoke("analyze", path)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_a_signal_ends_a_long_count_without_a_traceback(tmp_path):
    """The exact count of so long a ladder takes minutes."""
    node = np.arange(2_000_000)
    unrolled.Graph.from_edges(
        np.concatenate([node[:-1], node[:-2]]), np.concatenate([node[1:], node[2:]])
    ).save(tmp_path / "long.npz")
    result = command_on_a_terminal(
        "analyze", "long.npz", cwd=tmp_path, interrupted_at=b"Counting long.npz"
    )
    assert result.returncode == 130
    assert result.output == b""
    assert b"Traceback" not in result.shown


def test_names_too_long_for_a_message_are_cut(tmp_path):
    long = "n" * 100_000
    for rows in ([(long, "b"), ("b", long)], [(long, "")], [("a", "b", long)]):
        result = invoke("analyze", write(tmp_path / "edges.csv", rows, header="source,target"))
        assert result.exit_code == 2
        assert len(result.stderr) < 2100
