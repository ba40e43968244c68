"""Files of sweeps: which ones a sweep takes for its own, and what it leaves alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from unrolled import InvalidArgumentError, Network, models, search
from unrolled.search import storage


def space_of(labels: tuple[str, str], place: str = "edge") -> search.Space:
    net = Network("small")
    x = net.conv(net.input((3, 6, 6)), 4, 3, name="stem")
    options = {labels[0]: x, labels[1]: net.conv(x, 4, 3, name="conv"), "none": None}
    y = net.choice(place, options)
    net.output(net.dense(net.global_pool(y), 5, name="head"))
    return search.Space(net)


@pytest.fixture
def written(tmp_path: Path) -> tuple[search.Space, Path]:
    space = space_of(("skip", "conv"))
    path = tmp_path / "found.csv"
    search.sweep(space, ["macs", "depth"], out=path)
    return space, path


def again(written: tuple[search.Space, Path]) -> search.Table:
    return search.sweep(written[0], ["macs", "depth"], out=written[1])


def test_a_file_that_a_spreadsheet_saved_is_still_the_result(
    written: tuple[search.Space, Path],
) -> None:
    before = again(written)
    text = written[1].read_text()
    written[1].write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    after = again(written)
    np.testing.assert_array_equal(after["macs"], before["macs"])
    np.testing.assert_array_equal(after.rows, before.rows)
    assert after.errors == before.errors


@pytest.mark.parametrize(
    "labels",
    [('quo"ted', "com,ma"), ("semi;colon", "tab"), ("kein Weg", "für"), (" skip ", "conv")],
)
def test_names_that_need_quotes_come_back(tmp_path: Path, labels: tuple[str, str]) -> None:
    space = space_of(labels, place="an, edge")
    path = tmp_path / "found.csv"
    first = search.sweep(space, ["macs"], out=path)
    second = search.sweep(space, ["macs"], out=path)
    for table in (first, second):
        np.testing.assert_array_equal(table.rows, space.rows())
        assert table.to_dict()[1]["an, edge"] == labels[1]


def build(width: str) -> Network:
    return models.mlp([len(width)], inputs=3, classes=2)


def test_options_that_are_written_in_several_lines_come_back(tmp_path: Path) -> None:
    space = search.Space.from_function(build, {"width": ["one\nand\r\nmore", "two"]})
    path = tmp_path / "found.csv"
    for _ in range(2):
        table = search.sweep(space, ["macs"], out=path)
        assert table.decode(0) == {"width": "one\nand\r\nmore"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", None),  # Nothing is left.
        ("\n", "header"),
        ("no path leads from an input to an output\n", ""),
        ("an output\n", "an"),
        ("0.0,0.0,no path leads from an input to an output\n", "0.0,0"),
        ("skip", "walk"),
        ("skip,", "skip,,"),
        ("edge,", "ledge,"),
        ("macs,depth", "depth,macs"),
        ("conv,", 'con"v,'),
    ],
)
def test_a_file_that_was_cut_or_changed_is_not_the_result(
    written: tuple[search.Space, Path], old: str, new: str | None
) -> None:
    text = written[1].read_text()
    assert old in text
    if new is None:
        changed = ""
    elif new == "header":
        changed = text.splitlines(keepends=True)[0]
    else:
        changed = text[: text.rindex(old)] + new + text[text.rindex(old) + len(old) :]
    written[1].write_text(changed)
    with pytest.raises(InvalidArgumentError, match="not the result of this sweep"):
        again(written)
    assert written[1].read_text() == changed


def test_bytes_that_are_no_text_are_not_the_result(written: tuple[search.Space, Path]) -> None:
    for content in (b"\xff\xfe\x00" * 40, b"\0" * 100, b'"' + b"x" * 200_000):
        written[1].write_bytes(content)
        with pytest.raises(InvalidArgumentError, match="not the result of this sweep"):
            again(written)


def test_a_result_of_another_space_with_the_same_columns_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "found.csv"
    search.sweep(space_of(("skip", "conv")), ["macs"], out=path)
    net = Network("small")
    x = net.conv(net.input((3, 6, 6)), 8, 3, name="stem")
    y = net.choice("edge", {"skip": x, "conv": net.conv(x, 8, 3, name="conv"), "none": None})
    net.output(net.dense(net.global_pool(y), 5, name="head"))
    with pytest.raises(InvalidArgumentError, match="not the result of this sweep"):
        search.sweep(search.Space(net), ["macs"], out=path)


def test_the_description_of_a_csv_file_names_its_columns(
    written: tuple[search.Space, Path],
) -> None:
    description = json.loads((written[1].parent / "found.csv-metadata.json").read_text())
    assert description["url"] == "found.csv"
    columns = description["tableSchema"]["columns"]
    assert [one["titles"] for one in columns] == ["edge", "macs", "depth", "error"]
    assert [one["datatype"] for one in columns] == ["string", "double", "double", "string"]
    (written[1].parent / "found.csv-metadata.json").unlink()
    with pytest.raises(InvalidArgumentError, match="not the result of this sweep"):
        again(written)


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "found.csv.parts"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(InvalidArgumentError, match="no folder of a sweep"):
        search.sweep(space_of(("skip", "conv")), ["macs"], out=tmp_path / "found.csv")
    assert (folder / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_sweep_of_no_rows_has_an_empty_table(tmp_path: Path, suffix: str) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    space = space_of(("skip", "conv"))
    for _ in range(2):
        table = search.sweep(space, ["macs"], rows=[], out=tmp_path / f"none.{suffix}")
        assert len(table.top(3)) == len(table.front("macs")) == len(table["macs"]) == 0


def test_a_cut_parquet_file_is_not_the_result(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    space, path = space_of(("skip", "conv")), tmp_path / "found.parquet"
    search.sweep(space, ["macs"], out=path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InvalidArgumentError, match="not the result of this sweep"):
        search.sweep(space, ["macs"], out=path)
    assert isinstance(storage.form_of(path, space.places, ["macs"]), storage.Parquet)
