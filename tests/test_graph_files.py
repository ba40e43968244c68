"""Saved graphs: round trips, mapped files, and files that are broken in every way."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import threading
import warnings
import zipfile
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unrolled
from graph_oracles import Expected, assert_close, assert_log2
from random_graphs import LARGEST, Case, decorated, graphs, grid, scattered
from unrolled import GraphFileError, InvalidGraphError, UnrolledError

CASES = int(os.environ.get("GRAPH_FILE_CASES", "2000"))
"""Random mutations to try; set GRAPH_FILE_CASES to some millions once in a while."""

SMALL = Case(
    7,
    [0, 1, 2, 2, 3, 0, 4],
    [2, 2, 3, 4, 5, 5, 5],
    multiplicity=[1, 2, 3, 1, 2**40, LARGEST, 7],
    outputs=[5, 4, 6],
    labels=[3, 3, -1, 8, -1, -1, 0],
    inputs=[1, 2],
)


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


def about(graph):
    """All that is known of a graph whose edges are in a file."""
    found = [graph.num_nodes, graph.num_edges, graph.name, graph.names]
    return [*found, *(part.tolist() for part in (graph.outputs, graph.inputs, graph.parameters))]


def everything(graph):
    """All that can be said of a graph, to compare."""
    lists = (graph.indptr, graph.indices, graph.multiplicity)
    return [*about(graph), *(None if part is None else part.tolist() for part in lists)]


def answers(graph, **options):
    """Counts by every engine in every direction."""
    found = []
    nodes = range(graph.num_nodes) if graph.names is None else graph.names
    for directions in ({}, {"towards": "inputs"}, {"through": True}):
        exact = unrolled.count(graph, **directions, **options)
        in_log = unrolled.count(graph, exact=False, **directions, **options)
        found.append([exact.exact(node) for node in nodes])
        found.append(exact.total)
        found.append(exact.spectrum().levels)
        found.append(exact.log2().tobytes())
        found.append(in_log.log2().tobytes())
        found.append(in_log.log2_total)
    return found


def main_answers(graph):
    """Counts that together depend on all there is in a file."""
    down = unrolled.count(graph)
    up = unrolled.count(graph, towards="inputs")
    nodes = range(graph.num_nodes)
    spectrum = down.spectrum()
    counts = [down.exact(node) for node in nodes] + [up.exact(node) for node in nodes]
    return [counts, up.total, spectrum.counts, spectrum.degeneracies.tolist()]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A small file as bytes, and the answers of its graph."""
    path = tmp_path_factory.mktemp("saved") / "graph.npz"
    graph = SMALL.build(name="small")
    graph.save(path)
    return path.read_bytes(), main_answers(graph)


# Round trips.


@settings(max_examples=max(40, settings().max_examples // 3))
@given(case=graphs(), mmap=st.booleans())
def test_round_trip(tmp_path_factory, case, mmap):
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
    """Any object may name a node; a file that could run code is not the way to keep it."""
    graph = unrolled.Graph.from_networkx(nx.DiGraph([(object(), object())]))
    with pytest.raises(UnrolledError, match="name"):
        graph.save(tmp_path / "graph.npz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mmap", [False, True])
def test_larger_graphs(tmp_path, mmap):
    """Enough edges for a mapped file to be read in several parts."""
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
    """Numbered along the edges, a file is read once; otherwise in whatever order it takes."""
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
        lambda graph, path: pickle.dumps(graph),
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
    """In memory it lives on; in a file it may, or says what happened."""
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
    """By a graph of the same size, whose edges are where those of the first were."""
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


def test_save_replaces(tmp_path):
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


# Broken files. Each is refused, or its counts are those of the graph that was saved.


def outcome(path, data, expected, mmap=False):
    """Load changed bytes: None if refused, else whether the counts are right."""
    path.write_bytes(data)
    try:
        found = main_answers(unrolled.Graph.load(path, mmap=mmap))
    except GraphFileError:
        return None
    return found == expected


@pytest.mark.parametrize("mmap", [False, True])
def test_the_file_itself_is_fine(tmp_path, saved, mmap):
    data, expected = saved
    assert outcome(tmp_path / "graph.npz", data, expected, mmap)


@pytest.mark.parametrize("mmap", [False, True])
def test_truncated_anywhere(tmp_path, saved, mmap):
    data, expected = saved
    for size in range(0, len(data), 3 if mmap else 1):
        assert outcome(tmp_path / "graph.npz", data[:size], expected, mmap) is None, size


@pytest.mark.parametrize("mmap", [False, True])
def test_one_bit_anywhere(tmp_path, saved, mmap):
    data, expected = saved
    path = tmp_path / "graph.npz"
    refused, step = 0, 3 if mmap else 1
    for at in range(0, len(data), step):
        changed = bytearray(data)
        changed[at] ^= 1 << (at * 5 % 8)
        found = outcome(path, bytes(changed), expected, mmap)
        assert found in (None, True), (at, bytes(data[max(at - 20, 0) : at + 20]))
        refused += found is None
    assert refused > len(data) // step // 3


@pytest.mark.parametrize("mmap", [False, True])
def test_bytes_that_do_not_belong(tmp_path, saved, mmap):
    data, expected = saved
    path = tmp_path / "graph.npz"
    foreign = [
        b"",
        b"\0",
        b"PK",
        b"PK\3\4",
        b"PK\5\6" + bytes(18),
        b"\x93NUMPY\1\0",
        b"source,target\n0,1\n",
        os.urandom(1000),
        bytes(10_000),
        data[1:],
        data[::-1],
        data[: len(data) // 2] * 2,
        pickle.dumps({"indptr": [0, 1]}),
    ]
    for content in foreign:
        assert outcome(path, content, expected, mmap) is None, content[:30]
    for content in (b"junk" + data, data + b"junk", data + data):
        assert outcome(path, content, expected, mmap) in (None, True)


@pytest.mark.parametrize("mmap", [False, True])
def test_random_mutations(tmp_path, saved, mmap):
    data, expected = saved
    rng = np.random.default_rng(int(os.environ.get("GRAPH_FILE_SEED", "0")))
    path = tmp_path / "graph.npz"
    for number in range(CASES // 2):
        changed = mutated(data, rng)
        found = outcome(path, changed, expected, mmap)
        if found not in (None, True):
            (tmp_path / f"case{number}.npz").write_bytes(changed)
            pytest.fail(f"another count from {tmp_path}/case{number}.npz")


INTERESTING = [0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63]


def mutated(data, rng):
    """One to four random changes of the bytes."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        size = max(len(changed), 1)
        at, other = sorted(rng.integers(0, size, 2).tolist())
        if rng.random() < 0.3:  # The directory at the end of the archive.
            at = max(size - int(rng.integers(1, 600)), 0)
            other = min(at + int(rng.integers(1, 60)), size)
        match int(rng.integers(0, 8)):
            case 0 | 1:
                flipped = [byte ^ 1 << int(rng.integers(0, 8)) for byte in changed[at : at + 1]]
                changed[at : at + 1] = bytes(flipped)
            case 2:
                changed[at : at + 1] = rng.bytes(1)
            case 3:
                del changed[at:other]
            case 4:
                changed[at:at] = changed[at:other][:200]
            case 5:
                changed[at:other] = bytes(other - at)
            case 6:
                width = int(rng.choice([1, 2, 4, 8]))
                value = INTERESTING[int(rng.integers(len(INTERESTING)))] % (1 << 8 * width)
                changed[at : at + width] = value.to_bytes(width, "little")
            case 7:
                del changed[at:]
    return bytes(changed)


# Members of the archive that were written anew, with checksums that fit.


def members_of(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive_of(members, compression=zipfile.ZIP_STORED):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return target.getvalue()


def as_npy(values):
    target = io.BytesIO()
    np.lib.format.write_array(target, np.asanyarray(values), allow_pickle=True)
    return target.getvalue()


def consistent(path, data, mmap):
    """Load what may be another graph now: whatever it says it is, its counts must fit."""
    path.write_bytes(data)
    try:
        loaded = unrolled.Graph.load(path, mmap=mmap)
        down, up = unrolled.count(loaded), unrolled.count(loaded, towards="inputs")
    except (GraphFileError, unrolled.NothingToCountError):
        return
    graph = unrolled.Graph.load(path)
    offsets = graph.indptr.astype(np.int64)
    case = Case(
        graph.num_nodes,
        np.repeat(np.arange(graph.num_nodes), np.diff(offsets)).tolist(),
        graph.indices.tolist(),
        None if graph.multiplicity is None else graph.multiplicity.tolist(),
        graph.outputs.tolist(),
        graph.parameters.tolist(),
        graph.inputs.tolist(),
    )
    expected = Expected(case)
    nodes = range(graph.num_nodes) if graph.names is None else graph.names
    assert [down.exact(node) for node in nodes] == expected.downstream
    assert [up.exact(node) for node in nodes] == expected.upstream


@pytest.mark.parametrize("mmap", [False, True])
def test_a_missing_member(tmp_path, saved, mmap):
    data, expected = saved
    members = members_of(data)
    path = tmp_path / "graph.npz"
    for missing in members:
        rest = {name: content for name, content in members.items() if name != missing}
        assert outcome(path, archive_of(rest), expected, mmap) in (None, True), missing
    assert outcome(path, archive_of({}), expected, mmap) is None


@pytest.mark.parametrize("mmap", [False, True])
def test_a_foreign_archive(tmp_path, saved, mmap):
    _, expected = saved
    path = tmp_path / "graph.npz"
    target = io.BytesIO()
    np.savez(target, a=np.arange(3), b=np.eye(2))
    assert outcome(path, target.getvalue(), expected, mmap) is None
    target = io.BytesIO()
    np.savez(target, indptr=np.array([0, 1, 1]), indices=np.array([1]))
    consistent(path, target.getvalue(), mmap)
    assert outcome(path, archive_of({"readme.txt": b"hello"}), expected, mmap) is None
    np.save(target := io.BytesIO(), np.arange(3))
    assert outcome(path, target.getvalue(), expected, mmap) is None
    sparse = pytest.importorskip("scipy.sparse")
    sparse.save_npz(target := io.BytesIO(), sparse.csr_array(np.triu(np.ones((3, 3), int), 1)))
    assert outcome(path, target.getvalue(), expected, mmap) is None


DESCRIPTIONS = {
    "no text": (b"\x00\xff", "JSON"),
    "no object": (b"[]", "not a graph"),
    "another format": (b'{"format": "other"}', "not a graph"),
    "another version": (b'{"format": "unrolled.Graph", "version": 99}', "99"),
    "no arrays": (b'{"format": "unrolled.Graph", "version": 1}', "arrays"),
}


@pytest.mark.parametrize("text", DESCRIPTIONS)
def test_descriptions_that_are_none(tmp_path, text):
    content, message = DESCRIPTIONS[text]
    path = tmp_path / "graph.npz"
    np.savez(path, description=np.frombuffer(content, dtype=np.uint8))
    with pytest.raises(GraphFileError, match=message):
        unrolled.Graph.load(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"name": 3}, "name"), ({"name": ""}, "name"), ({"names": "abc"}, "names")],
)
def test_descriptions_with_other_names(tmp_path, changes, message):
    path = tmp_path / "graph.npz"
    SMALL.build().save(path)
    with np.load(path) as archive:
        arrays = dict(archive)
    description = json.loads(arrays.pop("description").tobytes()) | changes
    text = np.frombuffer(json.dumps(description).encode(), dtype=np.uint8)
    np.savez(path, description=text, **arrays)
    with pytest.raises(GraphFileError, match=message):
        unrolled.Graph.load(path)


@pytest.mark.parametrize("mmap", [False, True])
def test_members_of_wrong_shapes_and_types(tmp_path, saved, mmap):
    data, _ = saved
    members = members_of(data)
    path = tmp_path / "graph.npz"
    strange = [
        np.array(0),
        np.array([], dtype=np.int64),
        np.array([1.5]),
        np.array([np.nan] * 7),
        np.array(["text"] * 7),
        np.array([b"bytes"] * 8),
        np.zeros((2, 3), dtype=np.int64),
        np.zeros(7, dtype="i4,f8"),
        np.zeros(3, dtype="M8[s]"),
        np.array([True, False]),
        np.full(7, 2**62),
        np.full(8, -1),
        np.full(7, 6),
        np.array([2**64 - 1] * 7, dtype=np.uint64),
        np.arange(7),
        np.arange(8)[::-1].astype(">i4"),
        np.zeros(7, dtype=np.int64),
        np.array(10**9),
    ]
    for name in members:
        for values in strange:
            consistent(path, archive_of({**members, name: as_npy(values)}), mmap)


@pytest.mark.parametrize("mmap", [False, True])
def test_values_changed_one_by_one(tmp_path, saved, mmap):
    """Every number of every array becomes another: another graph, or none, but no wrong count."""
    data, _ = saved
    members = members_of(data)
    path = tmp_path / "graph.npz"
    for name, content in members.items():
        if not name.endswith(".npy"):
            continue
        values = np.load(io.BytesIO(content), allow_pickle=False)
        if values.dtype.kind not in "iu":
            continue
        for at in range(values.size):
            limits = np.iinfo(values.dtype)
            for new in (0, 7, limits.max, limits.min):
                changed = values.copy()
                changed.flat[at] = new
                consistent(path, archive_of({**members, name: as_npy(changed)}), mmap)


@pytest.mark.parametrize("mmap", [False, True])
def test_random_members(tmp_path, saved, mmap):
    """Bytes of one member change, and the checksums with them."""
    data, _ = saved
    members = members_of(data)
    names = list(members)
    rng = np.random.default_rng(int(os.environ.get("GRAPH_FILE_SEED", "0")))
    path = tmp_path / "graph.npz"
    for _ in range(CASES // 8):
        name = names[int(rng.integers(len(names)))]
        consistent(path, archive_of({**members, name: mutated(members[name], rng)}), mmap)


@pytest.mark.parametrize("mmap", [False, True])
def test_headers_of_arrays_that_promise_too_much(tmp_path, saved, mmap):
    data, expected = saved
    members = members_of(data)
    path = tmp_path / "graph.npz"
    for name in members:
        for header in (
            "{'descr': '<i8', 'fortran_order': False, 'shape': (1000000000000000,), }",
            "{'descr': '<i8', 'fortran_order': False, 'shape': (9223372036854775807,), }",
            "{'descr': '<i8', 'fortran_order': False, 'shape': (-1,), }",
            "{'descr': '|O', 'fortran_order': False, 'shape': (7,), }",
            "{'descr': '<i8', 'fortran_order': False}",
            "{'descr': '<i8', 'fortran_order': False, 'shape': 7}",
            "{'descr': '<q9', 'fortran_order': False, 'shape': (7,), }",
            "__import__('os').abort()",
            "(" * 5000,
            "",
        ):
            text = header.encode().ljust(118, b" ") + b"\n"
            content = b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + bytes(100)
            found = outcome(path, archive_of({**members, name: content}), expected, mmap)
            assert found in (None, True), (name, header)


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return (open, (os.environ["GRAPH_TRAP"], "w"))


@pytest.mark.parametrize("mmap", [False, True])
def test_pickled_objects_are_refused(tmp_path, saved, monkeypatch, mmap):
    monkeypatch.setenv("GRAPH_TRAP", str(tmp_path / "sprung"))
    data, expected = saved
    members = members_of(data)
    trap = as_npy(np.array([Trap()] * 7, dtype=object))
    for name in [*members, "names.npy", "labels.npy"]:
        content = archive_of({**members, name: trap})
        assert outcome(tmp_path / "graph.npz", content, expected, mmap) in (None, True), name
    content = archive_of(dict.fromkeys(members, trap))
    assert outcome(tmp_path / "graph.npz", content, expected, mmap) is None
    assert outcome(tmp_path / "graph.npz", trap, expected, mmap) is None
    assert outcome(tmp_path / "graph.npz", pickle.dumps(Trap()), expected, mmap) is None
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressed_archives(tmp_path, saved, mmap, compression):
    """As `numpy.savez_compressed` makes them; what is compressed cannot be mapped."""
    data, expected = saved
    content = archive_of(members_of(data), compression)
    assert outcome(tmp_path / "graph.npz", content, expected, mmap) in (None, True)


@pytest.mark.parametrize("mmap", [False, True])
def test_members_named_twice(tmp_path, saved, mmap):
    data, expected = saved
    members = members_of(data)
    for name in members:
        other = as_npy(np.array([1, 2, 3]))
        for order in ((members[name], other), (other, members[name])):
            target = io.BytesIO()
            with zipfile.ZipFile(target, "w") as archive, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for found, content in members.items():
                    for copy in order if found == name else (content,):
                        archive.writestr(found, copy)
            content = target.getvalue()
            assert outcome(tmp_path / "graph.npz", content, expected, mmap) in (None, True)


def test_errors_name_the_file(tmp_path):
    path = tmp_path / "broken one.npz"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(GraphFileError, match=r"broken one\.npz"):
        unrolled.Graph.load(path)
    assert issubclass(GraphFileError, UnrolledError)


@pytest.mark.parametrize("change", ["truncate", "overwrite", "copy"])
def test_a_file_in_use_that_changes(tmp_path, change):
    """Another program writes into the file: any answer or an error, but no crash."""
    path = tmp_path / "graph.npz"
    grid(60, 60).build().save(path)
    loaded = unrolled.Graph.load(path, mmap=True)
    size = path.stat().st_size
    if change == "copy":
        copy = tmp_path / "copy.npz"
        copy.write_bytes(path.read_bytes()[:100])
        copy.replace(path)
    else:
        with path.open("r+b") as file:
            file.seek(size // 3)
            if change == "truncate":
                file.truncate()
            else:
                file.write(b"\xff" * (size // 3))
    for options in ({}, {"exact": False}, {"towards": "inputs"}, {"through": True}):
        with contextlib.suppress(UnrolledError):
            unrolled.count(loaded, **options).log2()
