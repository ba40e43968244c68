"""Comparisons score what they can, say what they cannot, and say what ranks."""

from __future__ import annotations

import csv
import io
import json
import pickle

import pytest

import unrolled
from command_line import invoke
from unrolled import InvalidArgumentError, Network, Relation, models
from unrolled.spectrum.catalogue import RANKED, SCORES, SCORES_SHOWN


def mlp(depth, name=None):
    return models.mlp(4, depth=depth, inputs=4, name=name or f"mlp{depth}")


def unknown(name="unknown"):
    """A network of which nobody knows what it computes."""
    net = Network(name)
    x, y = net.input((3,)), net.tensor("y", (3,))
    net.link(x, y, [Relation.same(0, 0)])
    net.link(net.parameter("y/kernel", (3,)), y, [Relation.same(0, 0)])
    net.output(y)
    return net


@pytest.fixture(scope="module")
def graph():
    return unrolled.Graph.from_edges([0, 1], [1, 2], name="chain")


@pytest.fixture(scope="module")
def mixed(graph):
    return unrolled.compare([graph, mlp(2), unknown(), mlp(5)])


def test_the_first_table_has_scores_and_baselines_and_the_second_contexts(mixed):
    first, second = mixed.sheets(200)
    headings = [" ".join(one.heading.split()) for one in first.columns]
    assert headings == ["model", *(one.title for one in SCORES_SHOWN)]
    assert mixed.sort == "log_size"
    assert first.title == "Models by log size, largest first"
    assert "more means" in first.notes[1]
    for one in SCORES_SHOWN:
        assert any(one.more_means in note for note in first.notes)
    text = mixed.table(width=200)
    assert "surprisal estimate" not in " ".join(text.split())
    assert [one.heading for one in second.columns][-1] == "total\nsurprisal"


def test_models_without_scores_come_last_and_say_why(mixed):
    assert [one.name for one in mixed] == ["mlp5", "mlp2", "chain", "unknown"]
    assert [one is None for one in mixed.scores] == [False, False, True, True]
    reasons = {one.name: one.reason for one in mixed.unscored}
    assert set(reasons) == {"chain", "unknown"}
    assert "needs a network of layers" in reasons["chain"]
    assert "operation" in reasons["unknown"]
    for text in (mixed.table(width=120), mixed._repr_html_()):
        assert "chain has no scores: " in text
        assert "unknown has no scores: " in text
    row = next(line for line in mixed.table(width=120).splitlines() if line.startswith("chain"))
    assert row.split() == ["chain", *["-"] * len(SCORES_SHOWN)]


def test_every_export_has_all_models(mixed):
    pytest.importorskip("pandas")
    rows = list(csv.DictReader(io.StringIO(mixed.to_csv())))
    assert [row["name"] for row in rows] == [one.name for one in mixed]
    assert [bool(row["log_size"]) for row in rows] == [True, True, False, False]
    assert all(row["entropy"] for row in rows)
    assert mixed.to_pandas()["macs"].isna().tolist() == [False, False, True, True]
    assert mixed.to_markdown().count("| chain | - |") == 1
    assert mixed.to_latex().count("chain & -- &") == 1
    again = pickle.loads(pickle.dumps(mixed))
    assert again.to_dict() == mixed.to_dict()
    assert again.table(width=90) == mixed.table(width=90)


def test_a_figure_of_scores_has_dashes(mixed):
    pytest.importorskip("matplotlib").use("agg")
    from matplotlib import pyplot

    _, axes = mixed.plot()
    assert [one.get_text() for one in axes.texts][-2:] == ["-", "-"]
    pyplot.close("all")


def test_a_report_of_both(mixed):
    pytest.importorskip("bokeh")
    from unrolled import report

    text = report.render(mixed)
    assert "mlp5 has the largest log size" in text
    assert "chain has no scores" in text


@pytest.mark.parametrize("key", [key for key in RANKED if key != "name"])
def test_what_the_publication_ranks_by_is_ranked_alone(key):
    found = unrolled.compare([mlp(2), unknown(), mlp(5)], sort=key)
    assert found.scores == ()
    (sheet,) = found.sheets(200)
    assert sheet.columns[-1].heading == "spread\nestimate"
    assert found.unscored == ()


def test_nothing_is_scored_if_it_is_not_wanted():
    found = unrolled.compare([mlp(2), mlp(5)], scores=False)
    assert (found.scores, found.sort) == ((), "spread_estimate")
    assert "log_size" not in found.to_dict()[0]


@pytest.mark.parametrize("key", [key for key in SCORES if key not in RANKED])
def test_the_score_that_ranks_is_shown(key):
    found = unrolled.compare([mlp(2), mlp(5)], sort=key)
    values = [getattr(one, key) for one in found.scores]
    assert values == sorted(values, reverse=True)
    text = " ".join(found.table(width=200).split())
    name = SCORES[key].title
    assert f"{name[0].upper()}{name[1:]}: more means {SCORES[key].more_means}." in text
    assert SCORES[key].heading.split()[-1] in text


@pytest.mark.parametrize("key", [key for key in RANKED if key != "name"])
def test_tables_say_which_direction_is_better(key, mixed):
    found = unrolled.compare([mlp(2)], sort=key)
    (sheet,) = found.sheets(80)
    says = [note for note in sheet.notes if ": more means " in note]
    assert len(says) == (key not in ("num_inputs", "num_outputs", "num_unreached_parameters"))


def test_names_are_in_alphabetical_order_and_say_so():
    found = unrolled.compare([mlp(5), mlp(2)], sort="name")
    assert [one.name for one in found.scores] == ["mlp2", "mlp5"]
    assert found.table().startswith("Models by name, in alphabetical order")
    backwards = unrolled.compare([mlp(2), mlp(5)], sort="name", ascending=False)
    assert backwards.table().startswith("Models by name, in reverse order")


def test_if_no_model_has_scores_the_published_ranking_is_left(graph):
    found = unrolled.compare([graph, unknown()])
    assert (found.sort, found.scores) == ("spread_estimate", ())
    # Nobody expects scores of a graph, but of a network.
    assert [one.name for one in found.unscored] == ["unknown"]
    with pytest.raises(InvalidArgumentError, match="needs a network of layers"):
        unrolled.compare([graph], sort="macs")


def test_scores_that_were_asked_for_are_an_error_where_there_are_none(graph):
    with pytest.raises(InvalidArgumentError, match="needs a network of layers"):
        unrolled.compare([graph, mlp(2)], scores=True)
    found = unrolled.compare([graph, mlp(2)], scores=True, keep_going=True)
    assert [one.name for one in found.failures] == ["chain"]
    assert len(found.sheets(120)) == 1


def test_analyses_and_counts_have_the_scores_of_their_networks(graph):
    nets = [mlp(2), mlp(5)]
    expected = unrolled.compare(nets).scores
    for given in (map(unrolled.analyze, nets), map(unrolled.count, nets)):
        assert unrolled.compare(given).scores == expected
    loaded = pickle.loads(pickle.dumps(unrolled.analyze(nets[0])))
    found = unrolled.compare([loaded, unrolled.analyze(graph), nets[1]])
    reasons = {one.name: one.reason for one in found.unscored}
    assert "was loaded" in reasons["mlp2"]
    assert "from a graph" in reasons["chain"]


def test_a_network_that_has_grown_is_not_scored():
    net = mlp(2)
    counted = unrolled.analyze(net)
    net.output(net.dense(net["layer1"], 700, name="later"))
    found = unrolled.compare([counted, mlp(5)])
    assert "has grown since" in found.unscored[0].reason
    assert found.scores[0] is not None


def test_the_shell_compares_as_the_package_does(tmp_path):
    path = tmp_path / "chain.csv"
    path.write_text("source,target\n0,1\n1,2\n")
    line = ("compare", "resnet18", path, "resnet34", "--size", "32")
    expected = unrolled.compare(
        [*(models.build(name, size=32, activations=True) for name in ("resnet18", "resnet34"))]
    )
    shown = invoke(*line)
    assert shown.exit_code == 0
    assert shown.stdout.startswith("Models by log size, largest first")
    assert "chain has no scores: " in shown.stdout
    records = json.loads(invoke(*line, "--json").stdout)
    assert [one["log_size"] for one in records] == [
        *(one["log_size"] for one in expected.to_dict()),
        None,
    ]
    plain = invoke(*line, "--no-scores").stdout
    assert plain.startswith("Models by spread estimate, largest first")
    assert "log size" not in plain
    assert invoke(*line, "--scores").exit_code == 2
    by_name = invoke("score", "resnet34", "resnet18", "--sort", "name", "--size", "32")
    assert by_name.stdout.startswith("Models by name, in alphabetical order")
