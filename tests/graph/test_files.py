"""Saved graphs: round trips, mapped files, paths."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unrolled
from cases.graph_files import SMALL, about, answers, everything
from oracles.graph_paths import Expected, assert_close, assert_log2
from strategies.random_graphs import decorated, graphs, grid, scattered
from unrolled import GraphFileError, InvalidGraphError, UnrolledError


def named_graph():
    graph = nx.DiGraph(name="named")
    graph.add_nodes_from([("w", (0, 1)), ("w", (0, 2))], kind="parameter", parameter="w")
    graph.add_node("bias", kind="parameter")
    graph.add_node("x", kind="input")
    graph.add_node(17, kind="operation")
    graph.add_node("ÿ \n 'y'", kind="output")
    graph.add_edges_from((node, 17) for node in list(graph)[:4])
    graph.add_edge(17, "ÿ \n 'y'", multiplicity=5)
    return unrolled.Graph.from_networkx(graph)


# Round trips.


@settings(max_examples=max(40, settings().max_examples // 3))
@given(case=graphs(), mmap=st.booleans())
def test_a_loaded_graph_is_the_saved_one(tmp_path_factory, case, mmap):
    path = tmp_path_factory.mktemp("round") / "graph.npz"
    graph = case.build(name="round trip")
    graph.save(path)
    assert everything(unrolled.Graph.load(path)) == everything(graph)
    loaded = unrolled.Graph.load(path, mmap=mmap)
    assert about(loaded) == about(graph)
    assert answers(loaded) == answers(graph)
    counts = unrolled.count(loaded)
    assert [counts.exact(node) for node in range(case.num_nodes)] == Expected(case).downstream


@pytest.mark.parametrize("mmap", [False, True])
def test_names_come_back(tmp_path, mmap):
    graph = named_graph()
    graph.save(tmp_path / "graph.npz")
    loaded = unrolled.Graph.load(tmp_path / "graph.npz", mmap=mmap)
    assert loaded.names == graph.names
    assert [type(name) for name in loaded.names] == [type(name) for name in graph.names]
    assert [loaded.index(name) for name in graph.names] == list(range(graph.num_nodes))
    assert about(loaded) == about(graph)
    assert answers(loaded) == answers(graph)
    assert unrolled.count(loaded).exact(("w", (0, 2))) == 5


def test_names_of_an_unrolled_network_come_back(tmp_path):
    graph = unrolled.models.mlp([4], inputs=3, classes=2).unroll()
    graph.save(tmp_path / "graph.npz")
    loaded = unrolled.Graph.load(tmp_path / "graph.npz")
    assert loaded.names == graph.names
    assert unrolled.count(loaded).exact(("layer1/kernel", (2, 3))) == 2


def test_names_that_cannot_be_saved(tmp_path):
    """Any object may name a node, but a file that keeps any object could run code."""
    graph = unrolled.Graph.from_networkx(nx.DiGraph([(object(), object())]))
    with pytest.raises(UnrolledError, match="name"):
        graph.save(tmp_path / "graph.npz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mmap", [False, True])
def test_a_mapped_file_is_read_whole_in_several_parts(tmp_path, mmap):
    """The graph has enough edges for a mapped file to be read in several parts."""
    case = decorated(scattered(20_000, 200_000, 60, seed=1), np.random.default_rng(5))
    graph = case.build()
    graph.save(tmp_path / "graph.npz")
    loaded = unrolled.Graph.load(tmp_path / "graph.npz", mmap=mmap)
    for options in ({}, {"towards": "inputs"}, {"through": True}):
        for exact in (True, False):
            one, other = (
                unrolled.count(source, exact=exact, nodes=nodes, threads=threads, **options)
                for source, nodes, threads in ((graph, "all", 1), (loaded, "all", 2))
            )
            # In log space, sums may be taken in another order from a file.
            assert_close(one.log2(), other.log2())
            if exact:
                assert one.total == other.total
                assert one.log2().tobytes() == other.log2().tobytes()
                assert one.spectrum().levels == other.spectrum().levels
    in_log = unrolled.count(loaded, exact=False)
    assert_log2(in_log.log2(), Expected(case).downstream)


@pytest.mark.parametrize("shuffle", [False, True])
def test_mapped_graphs_in_any_order(tmp_path, shuffle):
    """Nodes need not be numbered along the edges: the file is then read in the order it takes."""
    case = grid(40, 40)
    if shuffle:
        case = case.relabelled(np.random.default_rng(1).permutation(1600).tolist())
    case.build().save(tmp_path / "graph.npz")
    loaded = unrolled.Graph.load(tmp_path / "graph.npz", mmap=True)
    counts = unrolled.count(loaded)
    assert [counts.exact(node) for node in range(1600)] == Expected(case).downstream
    upstream = unrolled.count(loaded, towards="inputs")
    assert [upstream.exact(node) for node in range(1600)] == Expected(case).upstream


@pytest.mark.parametrize(
    "action",
    [
        lambda graph, path: graph.indptr,
        lambda graph, path: graph.indices,
        lambda graph, path: graph.multiplicity,
        lambda graph, path: graph.coalesce(),
        lambda graph, path: graph.to_networkx(),
        lambda graph, path: graph.to_scipy(),
        lambda graph, path: graph.save(path),
        lambda graph, path: graph.save(path.with_name("copy.npz")),
    ],
)
def test_edges_in_a_file_are_not_in_memory(tmp_path, action):
    path = tmp_path / "graph.npz"
    SMALL.build().save(path)
    before = path.read_bytes()
    with pytest.raises(InvalidGraphError, match="mmap"):
        action(unrolled.Graph.load(path, mmap=True), path)
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["graph.npz"]


def test_loaded_graphs_are_saved_again(tmp_path):
    SMALL.build().save(tmp_path / "one.npz")
    loaded = unrolled.Graph.load(tmp_path / "one.npz")
    loaded.save(tmp_path / "two.npz")
    assert everything(unrolled.Graph.load(tmp_path / "two.npz")) == everything(loaded)
    loaded.save(tmp_path / "one.npz")
    assert answers(loaded) == answers(unrolled.Graph.load(tmp_path / "one.npz"))


@pytest.mark.parametrize("mmap", [False, True])
def test_a_graph_whose_file_is_gone(tmp_path, mmap):
    """A graph in memory is counted as before; a mapped one is, or says what happened."""
    path = tmp_path / "graph.npz"
    SMALL.build().save(path)
    loaded = unrolled.Graph.load(path, mmap=mmap)
    try:
        path.unlink()
    except PermissionError:
        pytest.skip("this system keeps files that are open")
    try:
        assert answers(loaded) == answers(SMALL.build())
    except GraphFileError:
        assert mmap


@pytest.mark.parametrize("mmap", [False, True])
def test_a_graph_whose_file_is_replaced(tmp_path, mmap):
    """The other graph is of the same size, so that its edges are where those of the first were."""
    path = tmp_path / "graph.npz"
    length = 11
    node = np.repeat(np.arange(length - 1), 2)
    first = unrolled.Graph.from_edges(node, node + 1)
    second = unrolled.Graph.from_edges(
        node, np.minimum(node + np.tile([1, 2], length - 1), length - 1)
    )
    first.save(path)
    loaded = unrolled.Graph.load(path, mmap=mmap)
    second.save(path)
    assert unrolled.count(second).total != 2 ** (length - 1)
    try:
        assert unrolled.count(loaded).total == 2 ** (length - 1)
    except GraphFileError:
        assert mmap


def test_numpy_reads_the_file(tmp_path):
    SMALL.build().save(tmp_path / "graph.npz")
    with np.load(tmp_path / "graph.npz", allow_pickle=False) as members:
        arrays = {name: members[name] for name in members.files}
    found = [values for values in arrays.values() if values.shape == (SMALL.num_edges,)]
    assert any(values.tolist() == SMALL.csr()[1].tolist() for values in found)


# Paths.


@pytest.mark.parametrize("kind", [str, Path])
def test_paths_of_every_kind(tmp_path, kind):
    path = kind(str(tmp_path / "graph.npz"))
    SMALL.build().save(path)
    assert everything(unrolled.Graph.load(path)) == everything(SMALL.build())


def test_save_replaces_an_older_file(tmp_path):
    path = tmp_path / "graph.npz"
    grid(3, 3).build().save(path)
    SMALL.build().save(path)
    assert everything(unrolled.Graph.load(path)) == everything(SMALL.build())
    assert [found.name for found in tmp_path.iterdir()] == ["graph.npz"]


@pytest.mark.skipif(os.name != "posix", reason="needs permissions and symbolic links")
def test_a_file_that_is_replaced_stays_what_it_was(tmp_path):
    path, link = tmp_path / "graph.npz", tmp_path / "link.npz"
    grid(3, 3).build().save(path)
    path.chmod(0o640)
    link.symlink_to(path)
    SMALL.build().save(link)
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert everything(unrolled.Graph.load(path)) == everything(SMALL.build())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a named pipe")
@pytest.mark.timeout(30)
def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    pipe, copy = tmp_path / "pipe", tmp_path / "copy.npz"
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: copy.write_bytes(pipe.read_bytes()), daemon=True)
    reader.start()
    SMALL.build().save(pipe)
    assert pipe.is_fifo()
    reader.join()
    assert everything(unrolled.Graph.load(copy)) == everything(SMALL.build())


@pytest.mark.parametrize("mmap", [False, True])
def test_paths_that_are_no_files(tmp_path, mmap):
    with pytest.raises(FileNotFoundError, match=r"missing\.npz"):
        unrolled.Graph.load(tmp_path / "missing.npz", mmap=mmap)
    with pytest.raises(OSError, match=tmp_path.name):
        unrolled.Graph.load(tmp_path, mmap=mmap)
    for value in (None, 3.5, [tmp_path]):
        with pytest.raises((TypeError, UnrolledError)):
            unrolled.Graph.load(value, mmap=mmap)


def test_failed_saves_leave_nothing(tmp_path):
    graph = SMALL.build()
    with pytest.raises(FileNotFoundError):
        graph.save(tmp_path / "no" / "such" / "graph.npz")
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(OSError, match="folder"):
        graph.save(tmp_path / "folder.npz")
    assert [found.name for found in tmp_path.iterdir()] == ["folder.npz"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_a_folder_that_must_not_change(tmp_path):
    path = tmp_path / "graph.npz"
    grid(2, 2).build().save(path)
    before = path.read_bytes()
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError):
            SMALL.build().save(path)
    finally:
        tmp_path.chmod(0o700)
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["graph.npz"]


BREAKING_OFF = """
import resource, sys
import numpy as np
import unrolled
graph = unrolled.Graph.from_edges(np.arange(50_000), np.arange(1, 50_001))
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))
try:
    graph.save(sys.argv[1])
except OSError as error:
    print(type(error).__name__)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs a limit on the size of files")
def test_a_save_that_breaks_off_keeps_the_old_file(tmp_path):
    path = tmp_path / "graph.npz"
    grid(2, 2).build().save(path)
    before = path.read_bytes()
    result = subprocess.run(
        [sys.executable, "-c", BREAKING_OFF, path],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stdout) == (0, "OSError\n"), result.stderr
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["graph.npz"]
