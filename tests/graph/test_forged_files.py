"""Files some of whose members were replaced, with checksums that fit."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import warnings
import zipfile

import numpy as np
import pytest

import unrolled
from cases.graph_files import CASES, SMALL, mutated, outcome, replace
from oracles.graph_paths import Expected
from strategies.random_graphs import Case
from unrolled import GraphFileError


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
    """Load what may be another graph now: its counts must be those of the edges that it has."""
    replace(path, data)
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
def test_a_missing_member(tmp_path, small_file, mmap):
    data, expected = small_file
    members = members_of(data)
    path = tmp_path / "graph.npz"
    for missing in members:
        rest = {name: content for name, content in members.items() if name != missing}
        assert outcome(path, archive_of(rest), expected, mmap) in (None, True), missing
    assert outcome(path, archive_of({}), expected, mmap) is None


def refusal(path, data, mmap):
    """What is said of a file of these bytes."""
    path.write_bytes(data)
    with pytest.raises(GraphFileError) as caught:
        unrolled.Graph.load(path, mmap=mmap)
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 1000 + len(str(path))
    return message


def described_anew(members, change):
    """The members, with another description."""
    description = json.loads(np.load(io.BytesIO(members["description.npy"])).tobytes())
    change(description)
    text = np.frombuffer(json.dumps(description).encode(), dtype=np.uint8)
    return {**members, "description.npy": as_npy(text)}


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("name", ["indptr", "indices", "outputs", "inputs", "labels"])
def test_an_array_that_is_missing_and_not_described(tmp_path, small_file, name, mmap):
    """What was left out of the file and of its description alike is missed all the same."""
    members = members_of(small_file[0])
    rest = described_anew(members, lambda description: description["arrays"].pop(name))
    del rest[f"{name}.npy"]
    assert f"'{name}'" in refusal(tmp_path / "graph.npz", archive_of(rest), mmap)


@pytest.mark.parametrize("mmap", [False, True])
def test_members_that_are_no_arrays_of_graphs(tmp_path, small_file, mmap):
    members = members_of(small_file[0])
    path = tmp_path / "graph.npz"
    for name in ("indices", "../indices.npy", "/etc/passwd", "indices.npy/", "INDICES.npy"):
        message = refusal(path, archive_of({**members, name: members["indices.npy"]}), mmap)
        assert "array" in message
    for name in ("\x1b[2J\n.npy", "\u202e.npy", "x" * 60_000 + ".npy"):
        refusal(path, archive_of({**members, name: b""}), mmap)
    many = {f"a{number}.npy": b"" for number in range(5000)}
    assert "5,000 in all" in refusal(path, archive_of(members | many), mmap)
    renamed = {name.removesuffix(".npy"): content for name, content in members.items()}
    assert "is no array" in refusal(path, archive_of(renamed), mmap)


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("dtype", ["int32", "float32", "float64", "int16", "uint8"])
def test_arrays_of_other_types_that_are_described_so(tmp_path, small_file, dtype, mmap):
    """Bytes of another type would be read as the numbers of other nodes."""
    members = members_of(small_file[0])
    targets = np.load(io.BytesIO(members["indices.npy"]))

    def change(description):
        description["arrays"]["indices"] = [dtype, len(targets)]

    forged = described_anew(members, change) | {"indices.npy": as_npy(targets.astype(dtype))}
    message = refusal(tmp_path / "graph.npz", archive_of(forged), mmap)
    assert "'indices' must be of uint32 or uint64" in message


@pytest.mark.parametrize("mmap", [False, True])
def test_both_ways_to_name_parameters(tmp_path, small_file, mmap):
    members = members_of(small_file[0])

    def change(description):
        description["arrays"]["parameters"] = ["uint32", 1]

    forged = described_anew(members, change)
    forged["parameters.npy"] = as_npy(np.array([0], dtype=np.uint32))
    message = refusal(tmp_path / "graph.npz", archive_of(forged), mmap)
    assert "one of the arrays 'labels', 'parameters'" in message


@pytest.mark.parametrize("mmap", [False, True])
def test_two_nodes_of_one_name(tmp_path, mmap):
    path = tmp_path / "graph.npz"
    unrolled.Graph.from_edges([0, 1], [1, 2], names=["a", "b", "c"]).save(path)

    def change(description):
        description["names"] = ["a", "b", "a"]

    forged = archive_of(described_anew(members_of(path.read_bytes()), change))
    assert "nodes 0 and 2 are both named" in refusal(path, forged, mmap)


@pytest.mark.parametrize("mmap", [False, True])
def test_a_foreign_archive(tmp_path, small_file, mmap):
    _, expected = small_file
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
def test_members_of_wrong_shapes_and_types(tmp_path, small_file, mmap):
    data, _ = small_file
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
def test_values_changed_one_by_one(tmp_path, small_file, mmap):
    """Each number of each array is changed: that may be another graph, but never a wrong count."""
    data, _ = small_file
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
def test_members_changed_at_random_never_count_wrongly(tmp_path, small_file, mmap):
    """Bytes of one member change, and the checksums with them."""
    data, _ = small_file
    members = members_of(data)
    names = list(members)
    rng = np.random.default_rng(int(os.environ.get("GRAPH_FILE_SEED", "0")))
    path = tmp_path / "graph.npz"
    for _ in range(CASES // 8):
        name = names[int(rng.integers(len(names)))]
        consistent(path, archive_of({**members, name: mutated(members[name], rng)}), mmap)


@pytest.mark.parametrize("mmap", [False, True])
def test_headers_of_arrays_that_promise_too_much(tmp_path, small_file, mmap):
    data, expected = small_file
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
def test_pickled_objects_are_refused(tmp_path, small_file, monkeypatch, mmap):
    monkeypatch.setenv("GRAPH_TRAP", str(tmp_path / "sprung"))
    data, expected = small_file
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
def test_compressed_archives_never_count_wrongly(tmp_path, small_file, mmap, compression):
    """As `numpy.savez_compressed` makes them; what is compressed cannot be mapped."""
    data, expected = small_file
    content = archive_of(members_of(data), compression)
    assert outcome(tmp_path / "graph.npz", content, expected, mmap) in (None, True)


@pytest.mark.parametrize("mmap", [False, True])
def test_members_named_twice(tmp_path, small_file, mmap):
    data, _ = small_file
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
            message = refusal(tmp_path / "graph.npz", content, mmap)
            assert f"the array '{name.removesuffix('.npy')}' twice" in message
