"""Damaged files. Each is refused, or its counts are those of the graph that was saved."""

from __future__ import annotations

import contextlib
import os
import pickle

import numpy as np
import pytest

import unrolled
from cases.graph_files import CASES, mutated, outcome
from strategies.random_graphs import grid
from unrolled import GraphFileError, UnrolledError


@pytest.mark.parametrize("mmap", [False, True])
def test_the_file_itself_is_fine(tmp_path, small_file, mmap):
    data, expected = small_file
    assert outcome(tmp_path / "graph.npz", data, expected, mmap)


@pytest.mark.parametrize("mmap", [False, True])
def test_a_file_cut_off_anywhere_is_refused(tmp_path, small_file, mmap):
    data, expected = small_file
    for size in range(0, len(data), 3 if mmap else 1):
        assert outcome(tmp_path / "graph.npz", data[:size], expected, mmap) is None, size


@pytest.mark.parametrize("mmap", [False, True])
def test_a_bit_changed_anywhere_never_changes_a_count(tmp_path, small_file, mmap):
    data, expected = small_file
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
def test_bytes_that_do_not_belong(tmp_path, small_file, mmap):
    data, expected = small_file
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
def test_random_damage_never_changes_a_count(tmp_path, small_file, mmap):
    data, expected = small_file
    rng = np.random.default_rng(int(os.environ.get("GRAPH_FILE_SEED", "0")))
    path = tmp_path / "graph.npz"
    for number in range(CASES // 2):
        changed = mutated(data, rng)
        found = outcome(path, changed, expected, mmap)
        if found not in (None, True):
            (tmp_path / f"case{number}.npz").write_bytes(changed)
            pytest.fail(f"another count from {tmp_path}/case{number}.npz")


def test_errors_name_the_file(tmp_path):
    path = tmp_path / "broken one.npz"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(GraphFileError, match=r"broken one\.npz"):
        unrolled.Graph.load(path)
    assert issubclass(GraphFileError, UnrolledError)


@pytest.mark.parametrize("change", ["truncate", "overwrite", "copy"])
def test_a_file_in_use_that_changes(tmp_path, change):
    """Another program writes into a mapped file: any answer or error will do, but no crash."""
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
