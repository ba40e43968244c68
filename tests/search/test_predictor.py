"""A predictor from a few labels: what it learns, when it gives way, and what it refuses."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import unrolled
from unrolled import models, search
from unrolled.cli import main
from unrolled.scores import benchmarks
from unrolled.scores.regression import PRIORS, coordinates, normal_scores, posterior
from unrolled.scores.statistics import spearman
from unrolled.search.labels import read_labels
from unrolled.spectrum.catalogue import FEATURES

pytest.importorskip("scipy")

SPACE = search.nasbench_macro()


@pytest.fixture(scope="module")
def cells() -> tuple[search.Space, np.ndarray, np.ndarray]:
    """Two thousand cells of NAS-Bench-201 that have a path, and their accuracies."""
    benchmark = benchmarks.load("nasbench201")
    space = search.nasbench201()
    chosen = np.random.default_rng(0).choice(len(benchmark), 2000, replace=False)
    rows, accuracy = benchmark.choices[chosen], benchmark.accuracies["cifar10"][chosen]
    alive = np.isfinite(search.propagate_many(space, rows)["saliency_entropy"])
    return space, rows[alive].astype(np.uint32), accuracy[alive]


def test_fifty_labels_rank_better_than_parameters(cells: Any) -> None:
    space, rows, accuracy = cells
    found, baseline = [], search.macs_many(space, rows)["parameters"]
    for seed in range(3):
        chosen = np.random.default_rng(seed).choice(len(rows), 50, replace=False)
        predictor = search.Predictor(space=space).fit(rows[chosen], accuracy[chosen])
        rest = np.setdiff1d(np.arange(len(rows)), chosen)
        found.append(spearman(predictor.predict(rows[rest]), accuracy[rest]))
    assert np.mean(found) > spearman(baseline, accuracy) + 0.05


def test_shuffled_labels_teach_nothing_beyond_what_the_scores_say(cells: Any) -> None:
    space, rows, accuracy = cells
    columns = space.features(rows[:400])
    features = np.stack([columns[name] for name in FEATURES], axis=1)
    random = np.random.default_rng(1)
    found = []
    for _ in range(100):
        chosen = random.choice(400, 20, replace=False)
        labels = normal_scores(random.permutation(accuracy[chosen]))
        mean = posterior(features, np.zeros((400, 1)), chosen, labels).mean
        rest = np.delete(np.arange(400), chosen)
        found.append(spearman(mean[rest], accuracy[rest]))
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(len(found))


def test_shuffled_labels_teach_nothing(cells: Any) -> None:
    space, rows, accuracy = cells
    random = np.random.default_rng(0)
    found = []
    for _ in range(20):
        chosen = random.choice(len(rows), 20, replace=False)
        labels = random.permutation(accuracy[chosen])
        predictor = search.Predictor(space=space).fit(rows[chosen], labels)
        found.append(spearman(predictor.predict(rows[:400]), accuracy[:400]))
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(len(found)) + 0.05


def test_a_predictor_that_beats_nothing_gives_way_and_says_so(cells: Any) -> None:
    space, rows, _ = cells
    labels = np.random.default_rng(1).standard_normal(12)
    predictor = search.Predictor(space=space).fit(rows[:12], labels)
    explanation = predictor.explain()
    assert explanation.basis != "predictor"
    assert "does not beat" in explanation.table(width=100)
    ranking = predictor.rank(rows[:100])
    column = space.features(rows[:100])[explanation.basis]
    assert [column[one.number] for one in ranking] == sorted(column, reverse=True)
    assert ranking.basis == explanation.basis


def test_an_explanation_says_what_carries_the_predictions_and_how_sure_it_is() -> None:
    random = np.random.default_rng(3)
    rows = SPACE.random_rows(40, random)
    widths = SPACE.features(rows)["path_activations"]
    labels = widths + 0.01 * random.standard_normal(40)
    names = ["path_activations", "log_identities", "log_merges"]
    predictor = search.Predictor(names, space=SPACE).fit(rows, labels)
    found = predictor.explain()
    assert sum(found.features.values()) + found.prior == pytest.approx(1.0)
    assert next(iter(found.features)) == "path_activations"
    assert found.features["path_activations"] > 0.5
    # Each label left out by hand.
    left_out = []
    for at in range(40):
        others = np.delete(np.arange(40), at)
        again = search.Predictor(names, space=SPACE).fit(rows[others], labels[others])
        left_out.append(again.predict(rows[at : at + 1])[0])
    assert found.correlation == pytest.approx(spearman(np.array(left_out), labels), abs=0.02)
    assert found.low <= found.correlation <= found.high
    assert found.error < 0.1
    assert {"weights", "macs", "saliency_entropy", "log_effective_size"} <= set(found.baselines)
    table = found.table(width=100)
    assert f"({found.low:.2f} to {found.high:.2f})" in table
    assert "zero-label scores" in table
    assert "path_activations" in table


def test_equal_baselines_are_parted_by_predictions() -> None:
    rows = SPACE.random_rows(30, np.random.default_rng(4))
    labels = np.random.default_rng(5).standard_normal(30)
    predictor = search.Predictor(space=SPACE).fit(rows, labels)
    assert predictor.explain().basis != "predictor"
    ranking = predictor.rank(np.concatenate([rows, rows[::-1]]))
    column = SPACE.features(rows)[ranking.basis]
    keys = [
        (-np.concatenate([column, column[::-1]])[one.number], -one.prediction) for one in ranking
    ]
    assert keys == sorted(keys)


def test_fewer_than_five_labels_leave_the_zero_label_score() -> None:
    rows = SPACE.rows(0, 60)
    predictor = search.Predictor(space=SPACE).fit(rows[:3], [0.1, 0.5, 0.3])
    assert "too few" in predictor.explain().reason
    ranking = predictor.rank(rows)
    assert ranking.basis == "log_effective_size"
    assert np.isnan(ranking[0].prediction)
    with pytest.raises(unrolled.InvalidArgumentError, match="3 labels"):
        predictor.predict(rows)


def test_values_are_predicted_in_their_units() -> None:
    random = np.random.default_rng(2)
    rows = SPACE.random_rows(40, random)
    sizes = np.log(search.macs_many(SPACE, rows)["macs"])
    predictor = search.Predictor(space=SPACE, target="value").fit(rows[:20], 50 + 10 * sizes[:20])
    found = predictor.predict(rows[20:])
    deviation = predictor.uncertainty(rows[20:])
    assert np.corrcoef(found, sizes[20:])[0, 1] > 0.95
    wrong = np.abs(found - (50 + 10 * sizes[20:])).mean()
    assert wrong < 0.3 * np.std(10 * sizes)
    assert (deviation > 0).all()
    known = predictor.uncertainty(rows[:20])
    assert known.mean() < deviation.mean()


def test_models_of_any_kind_are_architectures(tmp_path: Any) -> None:
    networks = [
        models.mlp([width] * depth, inputs=6, classes=2) for width in (4, 8, 16) for depth in (1, 2)
    ]
    labels = [float(net.num_parameters) for net in networks]
    pytest.importorskip("onnx")
    networks[0].to_onnx(tmp_path / "first.onnx")
    predictor = search.Predictor().fit([tmp_path / "first.onnx", *networks[1:]], labels)
    again = search.Predictor().fit(networks, labels)
    pool = [*networks, models.mlp([32], inputs=6, classes=2)]
    assert predictor.predict(pool) == pytest.approx(again.predict(pool))
    assert [one.name for one in predictor.rank(pool)]


def test_suggestions_are_new_and_come_from_the_pool() -> None:
    rows = SPACE.rows(0, 200)
    predictor = search.Predictor(space=SPACE).fit(rows[:10], np.arange(10.0))
    found = predictor.suggest(rows, 5)
    indices = [one.number for one in found]
    assert len(set(indices)) == 5
    assert min(indices) >= 10
    with pytest.raises(unrolled.InvalidArgumentError, match="only 0"):
        predictor.suggest(rows[:10], 1)


def test_a_suggestion_is_the_one_that_leaves_least_uncertain() -> None:
    """By the variances of a Gaussian process, solved for each candidate with a whole matrix."""
    rows = SPACE.random_rows(40, np.random.default_rng(8))
    rows = np.unique(rows, axis=0)
    predictor = search.Predictor(space=SPACE).fit(rows[:6], np.arange(6.0))
    columns = SPACE.features(rows)
    known, scores = (
        np.stack([columns[name] for name in names], axis=1) for names in (FEATURES, PRIORS)
    )
    # As the predictor scales them: what has labels, and then all that it chooses among.
    places = coordinates(*(np.concatenate([one[:6], one]) for one in (known, scores)))
    kernel = places @ places.T + 1.0
    labelled, others = list(range(6)), range(6, len(places))

    def uncertain(chosen: list[int]) -> float:
        own = kernel[np.ix_(chosen, chosen)] + 0.15 * np.eye(len(chosen))
        across = kernel[np.ix_(others, chosen)]
        kept = np.einsum("ij,ji->i", across, np.linalg.solve(own, across.T))
        return float((np.diag(kernel)[6:] - kept).sum())

    for one in predictor.suggest(rows, 3):
        left = {at: uncertain([*labelled, at]) for at in others if at - 6 not in range(6)}
        assert left[6 + one.number] <= min(left.values()) + 1e-9
        labelled.append(6 + one.number)


def test_predictors_pickle_and_repeat_to_the_digit() -> None:
    rows = SPACE.rows(0, 30)
    predictor = search.Predictor(space=SPACE).fit(rows[:8], np.sin(np.arange(8)))
    again = pickle.loads(pickle.dumps(predictor))
    np.testing.assert_array_equal(again.predict(rows), predictor.predict(rows))


def test_own_features_and_chosen_ones_are_used() -> None:
    rows = SPACE.rows(0, 40)
    sizes = search.macs_many(SPACE, rows)["macs"]
    named = search.Predictor(["log_channels", "macs"], space=SPACE).fit(rows[:12], sizes[:12])
    own = search.Predictor(
        lambda columns: np.log1p(np.stack([columns["macs"]], axis=1)), space=SPACE
    ).fit(rows[:12], sizes[:12])
    for predictor in (named, own):
        assert spearman(predictor.predict(rows), sizes) > 0.8


@pytest.mark.parametrize(
    ("returned", "message"),
    [("x", "got str 'x'"), ([[1], [1, 2]], "got list"), (np.ones(12), r"got shape \(12,\)")],
)
def test_own_features_that_are_no_table_of_numbers_are_refused(returned: Any, message: str) -> None:
    predictor = search.Predictor(lambda columns: returned, space=SPACE)
    with pytest.raises(unrolled.InvalidArgumentError, match=message):
        predictor.fit(SPACE.rows(0, 12), range(12))


@pytest.mark.parametrize(
    ("rows", "accuracies", "message"),
    [
        ([[0] * 8, [1] * 8], [0.5], "1 accuracies of 2"),
        ([[0] * 8, [1] * 8], [0.5, 0.5], "equal labels"),
        ([[0] * 8, [1] * 8], [0.5, float("nan")], "accuracy 1 is nan"),
        ([[0] * 8, [1] * 8], "best", "sequence of numbers"),
        ([[0] * 8, [1] * 8], [], "sequence of numbers"),
        ([[0] * 7], [0.5], "places of choice"),
        ([], [0.5], "at least one architecture"),
    ],
)
def test_labels_that_say_nothing_are_refused(rows: Any, accuracies: Any, message: str) -> None:
    with pytest.raises(unrolled.InvalidArgumentError, match=message):
        search.Predictor(space=SPACE).fit(rows, accuracies)


def test_architectures_without_a_path_are_refused_as_labels_and_ranked_last() -> None:
    space = search.nasbench201()
    dead = [0] * 6
    with pytest.raises(
        unrolled.InvalidArgumentError, match=r"edge01=none edge02=none .* has no path"
    ):
        search.Predictor(space=space).fit([dead, [4] * 6], [0.1, 0.9])
    rows = [[4] * 6, [3] * 6, [1] * 6, [2] * 6, [4, 3, 4, 3, 4, 3]]
    predictor = search.Predictor(space=space).fit(rows, [0.9, 0.7, 0.3, 0.1, 0.8])
    ranking = predictor.rank([dead, *rows])
    assert ranking[-1].row == tuple(dead)
    shown = " ".join(f"{place}={label}" for place, label in space.decode(ranking[0].row).items())
    assert ranking[0].name == shown
    assert "edge01=" in ranking.table(width=200)
    assert predictor.predict([dead])[0] == -np.inf


def test_unknown_features_and_targets_are_refused() -> None:
    with pytest.raises(unrolled.UnknownNameError, match="log_channels"):
        search.Predictor(["log_chanels"])
    with pytest.raises(unrolled.InvalidArgumentError, match="target"):
        search.Predictor(target="loss")
    with pytest.raises(unrolled.InvalidArgumentError, match="not fitted"):
        search.Predictor().predict([models.mlp([4], inputs=2, classes=2)])


def test_labels_are_read_from_a_file_and_wrong_lines_are_named(tmp_path: Any) -> None:
    names = [place.name for place in SPACE.places]
    path = tmp_path / "labels.csv"
    rows = SPACE.rows(0, 9)
    lines = [",".join([*names, "accuracy"])]
    lines += [
        ",".join([*SPACE.decode(row.tolist()).values(), str(0.5 + at / 100)])
        for at, row in enumerate(rows)
    ]
    path.write_text("\n".join(lines))
    found, accuracies = read_labels(SPACE, path)
    np.testing.assert_array_equal(found, rows)
    assert accuracies == pytest.approx(0.5 + np.arange(9) / 100)
    path.write_text("\n".join([*lines[:3], lines[3].rpartition(",")[0] + ",high"]))
    with pytest.raises(unrolled.InvalidArgumentError, match="line 4"):
        read_labels(SPACE, path)
    path.write_text("accuracy\n0.5")
    with pytest.raises(unrolled.InvalidArgumentError, match="no column"):
        read_labels(SPACE, path)


GOOD = "layer1,layer2,layer3,layer4,layer5,layer6,layer7,layer8,accuracy\n"
LINE = "identity," + "expand3_kernel3,expand6_kernel5," * 3 + "identity,0.5\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no column 'layer1'"),
        (GOOD.encode(), "a header and no architecture"),
        (GOOD.replace("layer2", "layer1").encode(), "twice the column 'layer1'"),
        (GOOD.replace("accuracy", "acuracy").encode(), "each once; did you mean 'acuracy'"),
        (
            (GOOD + LINE.replace("expand3", "expand9", 1)).encode(),
            "line 2: place 'layer2' has no option",
        ),
        ((GOOD + "\n\n" + LINE + LINE[9:]).encode(), "line 5: expected 9 cells"),
        ((GOOD + LINE.replace("0.5", "0.5,0.6")).encode(), "line 2: expected 9 cells"),
        ((GOOD + LINE.replace("0.5", "")).encode(), "line 2: the accuracy must be a finite"),
        ((GOOD + LINE.replace("0.5", "inf")).encode(), "line 2: the accuracy must be a finite"),
        ((GOOD + LINE.replace("0.5", '"0.5')).encode(), "line 2: unexpected end of data"),
        (GOOD.encode("utf-16"), "no text in UTF-8"),
        ((GOOD + LINE + LINE).encode(), "all 2 accuracies are 0.5"),
        (None, "No such file"),
    ],
)
def test_files_of_labels_that_cannot_be_used_are_errors_of_the_shell(
    tmp_path: Any, content: bytes | None, message: str
) -> None:
    path = tmp_path / "labels.csv"
    if content is not None:
        path.write_bytes(content)
    done = CliRunner().invoke(main, ["search", "nasbench_macro", "--labels", str(path)])
    assert done.exit_code in (1, 2), done.output
    assert "Traceback" not in done.output
    assert not isinstance(done.exception, OSError)
    assert message in " ".join(done.output.split()), done.output


def test_labels_may_have_a_mark_spaces_and_empty_lines(tmp_path: Any) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(b"\xef\xbb\xbf" + (GOOD.replace(",", " , ") + "\r\n" + LINE).encode())
    rows, accuracies = read_labels(SPACE, path)
    assert SPACE.decode(rows[0])["layer1"] == "identity"
    assert accuracies.tolist() == [0.5]


def test_the_shell_ranks_a_space_from_labels(tmp_path: Any) -> None:
    names = [place.name for place in SPACE.places]
    rows = SPACE.random_rows(12, np.random.default_rng(4))
    sizes = search.macs_many(SPACE, rows)["macs"]
    path = tmp_path / "labels.csv"
    lines = [",".join([*names, "accuracy"])]
    for row, size in zip(rows, sizes, strict=True):
        lines.append(",".join([*SPACE.decode(row.tolist()).values(), f"{size:g}"]))
    path.write_text("\n".join(lines))
    run = CliRunner().invoke(main, ["search", "nasbench_macro", "--labels", str(path), "--json"])
    assert run.exit_code == 0, run.output
    best = json.loads(run.stdout)
    assert len(best) == 10
    assert {"prediction", "uncertainty", "ranked_by", *names} <= set(best[0])
    shown = CliRunner().invoke(main, ["search", "nasbench_macro", "--labels", str(path)])
    assert "Architectures are ranked by" in shown.stdout
    some = ["--where", "layer1 == 'identity'", "--json", "--top", "3"]
    run = CliRunner().invoke(main, ["search", "nasbench_macro", "--labels", str(path), *some])
    assert [one["layer1"] for one in json.loads(run.stdout)] == ["identity"] * 3
    nothing = ["search", "nasbench_macro", "--labels", str(path), "--where", "macs < 0"]
    assert "satisfies 'macs < 0'" in CliRunner().invoke(main, nothing).output
