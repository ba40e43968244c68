"""Predictors in files: the same predictor in another process, or an error that says why not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import unrolled
from unrolled import models, search
from unrolled.cli import main

pytest.importorskip("scipy")

SPACE = search.nasbench_macro()
ROWS = SPACE.random_rows(40, np.random.default_rng(0))
LABELS = np.sin(np.arange(14.0)) / 3.0

ASK = """
import pickle, sys
import numpy as np
from unrolled import models, search
space = search.nasbench_macro() if sys.argv[2] == "rows" else None
predictor = search.Predictor.load(sys.argv[1], space=space)
if space is None:
    asked = [models.mlp([width] * 3, inputs=6, classes=2) for width in (5, 9, 33)]
else:
    asked = space.random_rows(40, np.random.default_rng(0))
explanation = predictor.explain()
found = (
    predictor.num_labels, predictor.predict(asked), predictor.uncertainty(asked),
    list(predictor.rank(asked)), predictor.suggest(asked, 2), vars(explanation),
    explanation.table(width=100),
)
sys.stdout.buffer.write(pickle.dumps(found))
"""


def answers(predictor: search.Predictor, asked: Any) -> tuple[Any, ...]:
    """All that a predictor says of some architectures."""
    explanation = predictor.explain()
    return (
        predictor.num_labels,
        predictor.predict(asked),
        predictor.uncertainty(asked),
        list(predictor.rank(asked)),
        predictor.suggest(asked, 2),
        vars(explanation),
        explanation.table(width=100),
    )


def small_models() -> list[unrolled.Network]:
    return [
        models.mlp([width] * depth, inputs=6, classes=2) for width in (4, 8, 16) for depth in (1, 2)
    ]


@pytest.mark.parametrize("kind", ["rows", "rows by name", "models"])
def test_a_loaded_predictor_says_the_same_to_the_bit_in_another_process(
    tmp_path: Path, kind: str
) -> None:
    import pickle

    path = tmp_path / "predictor.json"
    if kind == "models":
        predictor = search.Predictor(target="value").fit(small_models(), LABELS[:6])
        asked: Any = [models.mlp([width] * 3, inputs=6, classes=2) for width in (5, 9, 33)]
    else:
        names = "all" if kind == "rows" else iter(["log_channels", "macs", "path_kernels"])
        predictor = search.Predictor(names, space=SPACE).fit(ROWS[:14], LABELS)  # type: ignore[arg-type]
        asked = ROWS
    assert predictor.save(path) == path
    run = subprocess.run(
        [sys.executable, "-c", ASK, str(path), kind.partition(" ")[0]],
        capture_output=True,
        check=True,
    )
    again = pickle.loads(run.stdout)
    for found, expected in zip(again, answers(predictor, asked), strict=True):
        if isinstance(expected, np.ndarray):
            np.testing.assert_array_equal(found, expected)
        else:
            assert repr(found) == repr(expected)


def test_a_space_as_architectures_needs_no_space_to_load(tmp_path: Path) -> None:
    space = _one_place("edge")
    predictor = search.Predictor().fit(space, [0.5, 0.7, 0.8, 0.6, 0.1])
    path = predictor.save(tmp_path / "predictor.json")
    again = search.Predictor.load(path)
    np.testing.assert_array_equal(again.predict(space), predictor.predict(space))
    with pytest.raises(unrolled.InvalidArgumentError, match="takes models, not rows"):
        search.Predictor.load(path, space=SPACE)
    with pytest.raises(unrolled.InvalidArgumentError, match="only 0 architectures"):
        again.suggest(space, 1)


def test_rows_of_another_space_are_not_taken_for_labelled_ones() -> None:
    predictor = search.Predictor().fit(_one_place("edge"), [0.5, 0.7, 0.8, 0.6, 0.1])
    with pytest.raises(unrolled.InvalidArgumentError, match="only 0 architectures"):
        predictor.suggest(_one_place("edge"), 1)
    assert len(predictor.suggest(_one_place("other"), 2)) == 2


def _one_place(name: str) -> search.Space:
    net = unrolled.Network("cell")
    x = net.conv(net.input((3, 8, 8)), 4, 3)
    options = {f"conv{size}": net.conv(x, 4, size) for size in (1, 3, 5, 7)} | {"skip": x}
    net.output(net.dense(net.global_pool(net.choice(name, options)), 10))
    return search.Space(net)


def test_too_few_labels_are_kept_too(tmp_path: Path) -> None:
    predictor = search.Predictor(space=SPACE).fit(ROWS[:3], [0.1, 0.5, 0.3])
    again = search.Predictor.load(predictor.save(tmp_path / "few.json"), space=SPACE)
    assert again.explain().reason == predictor.explain().reason
    assert [one.number for one in again.rank(ROWS)] == [one.number for one in predictor.rank(ROWS)]


def test_what_no_file_can_hold_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "predictor.json"
    with pytest.raises(unrolled.InvalidArgumentError, match="not fitted"):
        search.Predictor().save(path)
    own = search.Predictor(lambda columns: np.stack([columns["macs"]], axis=1), space=SPACE)
    with pytest.raises(unrolled.InvalidArgumentError, match="pickle the predictor"):
        own.fit(ROWS[:14], LABELS).save(path)
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    predictor = search.Predictor(space=SPACE).fit(ROWS[:14], LABELS)
    with pytest.raises(OSError, match="No such file"):
        predictor.save(tmp_path / "nowhere" / "predictor.json")
    with pytest.raises(FileNotFoundError):
        search.Predictor.load(tmp_path / "nothing.json", space=SPACE)


def test_another_space_is_refused(tmp_path: Path) -> None:
    path = search.Predictor(space=SPACE).fit(ROWS[:14], LABELS).save(tmp_path / "predictor.json")
    with pytest.raises(unrolled.InvalidArgumentError, match="give it as load"):
        search.Predictor.load(path)
    with pytest.raises(unrolled.InvalidArgumentError, match="other places or options"):
        search.Predictor.load(path, space=search.nasbench201())
    with pytest.raises(unrolled.InvalidArgumentError, match="must be a Space"):
        search.Predictor.load(path, space="nasbench_macro")  # type: ignore[arg-type]
    # The same places, but another kernel behind one of the options.
    spaces = []
    for size in (3, 5):
        net = unrolled.Network("cell")
        x = net.input((3, 8, 8))
        options = {"small": net.conv(x, 4, 1), "large": net.conv(x, 4, size)}
        net.output(net.dense(net.global_pool(net.choice("edge", options)), 10))
        spaces.append(search.Space(net))
    path = search.Predictor(space=spaces[0]).fit([[0], [1]], [0.1, 0.2]).save(path)
    assert search.Predictor.load(path, space=spaces[0]).num_labels == 2
    with pytest.raises(unrolled.InvalidArgumentError, match="edge=large of space 'cell' has"):
        search.Predictor.load(path, space=spaces[1])


def change(record: dict[str, Any], **parts: Any) -> str:
    return json.dumps({**record, **parts})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda record: "", "not a file of JSON"),
        (lambda record: json.dumps(record)[:500], "not a file of JSON"),
        (lambda record: "[" * 100_000, "not a file of JSON"),
        (lambda record: "[]", "must be an object"),
        (lambda record: change(record, format="unrolled.Analysis"), "Predictor.save makes one"),
        (lambda record: change(record, version=2, unrolled="9.1"), "written by unrolled 9.1"),
        (lambda record: change(record, columns={"macs": [1.0] * 14}), "fit the predictor again"),
        (lambda record: change(record, columns=None), "columns"),
        (lambda record: change(record, features=["log_chanels"]), "log_channels"),
        (lambda record: change(record, features=7), "features"),
        (lambda record: change(record, features=[]), "features"),
        (lambda record: change(record, target="loss"), "'rank' or 'value'"),
        (lambda record: change(record, takes_rows="yes"), "true or false"),
        (lambda record: change(record, labels=[]), "at least one label"),
        (lambda record: change(record, labels=record["labels"][1:]), "columns like the labels"),
        (lambda record: change(record, labels=[0.5] * 14), "not all the same"),
        (lambda record: change(record, labels=[None, *record["labels"][1:]]), "a number"),
        (lambda record: change(record, labels=["nan", *record["labels"][1:]]), "a number"),
        (lambda record: json.dumps(record).replace("0.0,", "NaN,", 1), "NaN is no number"),
        (lambda record: change(record, rows=None), "rows"),
        (lambda record: change(record, rows=[[9] * 8] * 14), "a row of options"),
        (lambda record: change(record, rows=[[0] * 7] * 14), "a row of options"),
        (lambda record: change(record, places=[["layer1"]] * 8), "pairs of a name"),
        (
            lambda record: change(
                record, columns={**record["columns"], "saliency_entropy": ["-inf"] * 14}
            ),
            "a path",
        ),
        (
            lambda record: change(
                record, columns={**record["columns"], "path_kernels": ["nan"] * 14}
            ),
            "'path_kernels'",
        ),
    ],
)
def test_files_that_hold_no_predictor_are_refused(tmp_path: Path, spoil: Any, message: str) -> None:
    path = search.Predictor(space=SPACE).fit(ROWS[:14], LABELS).save(tmp_path / "predictor.json")
    path.write_text(spoil(json.loads(path.read_text())))
    with pytest.raises(unrolled.ResultFileError, match=message) as caught:
        search.Predictor.load(path, space=SPACE)
    assert str(caught.value).startswith(str(path))


def test_numbers_that_are_not_finite_are_kept(tmp_path: Path) -> None:
    path = search.Predictor(["macs"], space=SPACE).fit(ROWS[:14], LABELS).save(tmp_path / "a.json")
    record = json.loads(path.read_text())
    record["columns"]["path_kernels"] = [
        "nan",
        "inf",
        "-inf",
        *record["columns"]["path_kernels"][3:],
    ]
    path.write_text(json.dumps({**record, "takes_rows": False}))
    again = search.Predictor.load(path).save(tmp_path / "b.json")
    assert json.loads(again.read_text())["columns"] == record["columns"]


def test_the_shell_keeps_a_predictor_and_uses_it_again(tmp_path: Path) -> None:
    labels, kept = tmp_path / "labels.csv", tmp_path / "kept.json"
    names = [place.name for place in SPACE.places]
    lines = [",".join([*names, "accuracy"])]
    for row, label in zip(ROWS[:14], LABELS, strict=True):
        lines.append(",".join([*SPACE.decode(row.tolist()).values(), repr(float(label))]))
    labels.write_text("\n".join(lines))

    def shell(*options: str) -> Any:
        return CliRunner().invoke(main, ["search", "nasbench_macro", *options])

    first = shell("--labels", str(labels), "--save-predictor", str(kept), "--json")
    again = shell("--predictor", str(kept), "--json")
    assert first.exit_code == again.exit_code == 0, first.output + again.output
    assert first.stdout == again.stdout
    for options, message in [
        (["--save-predictor", str(kept)], "only with --labels"),
        (["--predictor", str(kept), "--labels", str(labels)], "not with --labels"),
        (["--predictor", str(kept), "--by", "macs"], "not with --predictor"),
        (["--predictor", str(labels)], "not a file of JSON"),
        (["--predictor", str(tmp_path / "nothing.json")], "No such file"),
        (["--labels", str(labels), "--save-predictor", str(tmp_path / "no" / "a")], "No such file"),
    ]:
        wrong = shell(*options)
        assert wrong.exit_code in (1, 2), wrong.output
        assert "Traceback" not in wrong.output
        assert not isinstance(wrong.exception, OSError)
        assert message in " ".join(wrong.output.split()), wrong.output
    other = CliRunner().invoke(main, ["search", "nasbench201", "--predictor", str(kept)])
    assert other.exit_code in (1, 2)
    assert "other places or options" in " ".join(other.output.split())
