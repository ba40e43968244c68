"""`evaluate` on the published accuracies, and the statistics behind it against SciPy."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy import stats

import unrolled
from command_line import invoke
from unrolled import InvalidArgumentError, report
from unrolled.scores import statistics
from unrolled.scores.benchmarks import load
from unrolled.scores.names import BENCHMARKS

# Spearman's correlations that the scores were published with, to three decimals.
PUBLISHED = {
    "nasbench201": {
        "saliency_entropy": (0.949, 0.941, 0.920),
        "effective_units": (0.907, 0.894, 0.883),
        "weights": (0.822, 0.797, 0.777),
        "macs": (0.822, 0.797, 0.777),
        "activations": (0.756, 0.768, 0.764),
        "parameters": (0.771, 0.747, 0.711),
    },
    "nasbench_macro": {
        "saliency_entropy": (0.852,),
        "effective_units": (0.888,),
        "effective_edges": (0.782,),
        "macs": (0.748,),
        "activations": (0.889,),
        "parameters": (0.318,),
    },
    "transnasbench_micro": {
        "saliency_entropy": (0.878, 0.703, 0.542, 0.711, 0.864, 0.860, 0.13),
        "effective_units": (0.859, 0.658, 0.493, 0.668, 0.866, 0.843, 0.09),
        "effective_edges": (0.863, 0.673, 0.514, 0.685, 0.881, 0.851, 0.09),
        "macs": (0.819, 0.619, 0.467, 0.612, 0.819, 0.811, 0.09),
        "activations": (0.658, 0.444, 0.292, 0.460, 0.589, 0.630, 0.09),
        "parameters": (0.678, 0.490, 0.350, 0.485, 0.710, 0.670, 0.05),
    },
}


@pytest.mark.parametrize("space", BENCHMARKS)
def test_scores_rank_as_published(space: str) -> None:
    found = unrolled.evaluate(space, draws=10)
    tasks = list(found.benchmark.accuracies)
    for score, published in PUBLISHED[space].items():
        for task, expected in zip(tasks, published, strict=True):
            one = found[score, task]
            decimals = 0.0055 if task == "autoencoder" else 0.00051
            assert one.spearman == pytest.approx(expected, abs=decimals), (score, task)
            assert one.low <= one.spearman <= one.high
    assert f"{len(found.benchmark):,} architectures" in repr(found)


def test_every_architecture_of_a_benchmark_is_there_once() -> None:
    for name, number in zip(BENCHMARKS, (15625, 6561, 4096), strict=True):
        benchmark = load(name)
        assert len(set(benchmark.architectures)) == len(benchmark) == number
        assert set(map(tuple, benchmark.choices.tolist())) == set(benchmark.space.architectures())
        parsed = [benchmark.space.parse(one) for one in benchmark.architectures[::97]]
        assert parsed == [tuple(row) for row in benchmark.choices[::97].tolist()]


def test_known_accuracies_are_those_of_their_architectures() -> None:
    benchmark = load("nasbench201")
    row = benchmark.architectures.index(
        "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
    )
    assert benchmark.accuracies["cifar10"][row] == pytest.approx(85.86333, abs=6e-4)
    macro = load("nasbench_macro")
    row = macro.architectures.index("11111221")
    assert macro.accuracies["cifar10"][row] == pytest.approx(92.3033, abs=6e-5)


def test_statistics_agree_with_scipy() -> None:
    random = np.random.default_rng(5)
    # Few values, so that there are many ties, some of them at minus infinity.
    a = random.integers(8, size=300).astype(float)
    a[a == 0] = -np.inf
    b = a.clip(-1) + random.normal(size=300)
    ranks = stats.rankdata(a)
    assert statistics.spearman(a, b) == pytest.approx(stats.spearmanr(ranks, b).statistic)
    assert statistics.kendall(a, b) == pytest.approx(stats.kendalltau(ranks, b).statistic)
    weights = random.integers(4, size=300)
    repeated = stats.spearmanr(np.repeat(ranks, weights), np.repeat(b, weights)).statistic
    by_weight = statistics._correlation(
        statistics.Ranking(a).ranks(weights), statistics.Ranking(b).ranks(weights), weights
    )
    assert by_weight == pytest.approx(repeated)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    random = np.random.default_rng(11)
    rho = 0.6
    truth = 6 / math.pi * math.asin(rho / 2)  # Of two normal variables.
    covered = 0
    for seed in range(100):
        a, noise = random.normal(size=(2, 150))
        b = rho * a + math.sqrt(1 - rho**2) * noise
        low, high = statistics.spearman_interval(a, b, draws=200, seed=seed)
        covered += low <= truth <= high
    assert 88 <= covered <= 100  # 95 expected; below 88 with a probability of 0.1 %.


def test_the_top_is_found_by_what_it_is_ranked_by() -> None:
    accuracy = np.arange(100.0)
    assert statistics.top_found(accuracy, accuracy, 10) == 1.0
    assert statistics.top_found(-accuracy, accuracy, 10) == 0.0
    swapped = accuracy.copy()
    swapped[[95, 5]] = swapped[[5, 95]]
    assert statistics.top_found(swapped, accuracy, 10) == 0.9


def test_within_strata_the_difference_between_them_does_not_count() -> None:
    strata = np.repeat([0.0, 1.0, 2.0], 20)
    inside = np.tile(np.arange(20.0), 3)
    accuracy = 100 * strata + inside
    assert statistics.spearman_within(strata - inside / 100, accuracy, strata) == pytest.approx(-1)
    assert math.isnan(statistics.spearman_within(strata, accuracy, strata))
    assert math.isnan(statistics.spearman_within(inside, accuracy, accuracy))


def test_scores_of_ones_own_are_evaluated_beside() -> None:
    found = unrolled.evaluate(
        "nasbench_macro",
        ["effective_units"],
        own={"digits": lambda architecture: sum(map(int, architecture))},
        draws=5,
    )
    assert list(found.values)[:2] == ["effective_units", "digits"]
    assert 0 < found["digits", "cifar10"].spearman < 1
    frame = found.to_pandas()
    assert frame.loc[("digits", "cifar10"), "spearman"] == found["digits", "cifar10"].spearman
    figure, axes = found.plot("digits")
    assert axes.get_xlabel() == "digits"
    assert figure.axes == [axes]


def test_what_cannot_be_evaluated_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="benchmark must be"):
        unrolled.evaluate("imagenet")
    with pytest.raises(InvalidArgumentError, match="saliency_entropy"):
        unrolled.evaluate("nasbench_macro", ["saliency_entrpy"])
    with pytest.raises(InvalidArgumentError, match="list of names"):
        unrolled.evaluate("nasbench_macro", "macs")
    with pytest.raises(InvalidArgumentError, match="NaN"):
        unrolled.evaluate("nasbench_macro", [], own={"none": lambda one: math.nan})
    with pytest.raises(InvalidArgumentError, match="draws"):
        unrolled.evaluate("nasbench_macro", draws=0)
    for build, architecture in (
        (unrolled.models.nasbench201, "|skip_connect~0|"),
        (unrolled.models.nasbench_macro, "0123"),
        (unrolled.models.transnasbench_micro, "64-41414-4_00_000"),
    ):
        with pytest.raises(InvalidArgumentError, match="expected"):
            build(architecture)


def test_comparisons_show_scores_with_their_baselines() -> None:
    nets = [unrolled.models.nasbench_macro(one) for one in ("00000000", "22222222")]
    found = unrolled.compare(nets, scores=True)
    assert [one.name[-8:] for one in found] == ["22222222", "00000000"]
    assert found.sort == "log_size"
    assert found.scores == tuple(map(unrolled.score, reversed(nets)))
    text = found.table(width=200)
    for heading in ("saliency", "MACs", "parameters", "activations", "depth", "more means"):
        assert heading in text
    assert found.to_dict()[0]["macs"] == found.scores[0].macs
    assert found.to_csv().splitlines()[0].endswith("macs,activations,depth")
    assert found.to_pandas()["depth"].tolist() == [one.depth for one in found.scores]
    by_entropy = unrolled.compare(nets, scores=True, sort="saliency_entropy")
    assert "saliency" in by_entropy.plot()[1].get_xlabel()
    for shown in (text, found.to_markdown(), found.to_latex(), found._repr_html_()):
        assert "Measured: NAS-Bench-201" in shown
        assert "surprisal" not in shown
    # Published estimates are there if they are asked for by name, below the scores.
    published = unrolled.compare(nets, scores=True, sort="spread_estimate")
    for shown in (published.table(width=200), published._repr_html_()):
        assert shown.index("MACs") < shown.index("surprisal")
    assert published.to_markdown().count("|:---|") == 2
    assert published.to_latex().count("begin{tabular}") == 2
    page = report.render(found)
    assert page.index("Measured: NAS-Bench-201") < page.index("surprisal")
    with pytest.raises(InvalidArgumentError, match="scores=False"):
        unrolled.compare(nets, sort="saliency_entropy", scores=False)


def test_the_shell_scores_and_evaluates() -> None:
    found = invoke("score", "resnet18", "resnet34", "--size", "64", "--json")
    scores = json.loads(found.stdout)
    assert [one["name"] for one in scores] == ["resnet34", "resnet18"]
    expected = unrolled.score(unrolled.models.resnet(18, size=64, activations=True))
    assert scores[1]["saliency_entropy"] == expected.saliency_entropy
    assert "saliency entropy" in invoke("score", "resnet18", "--size", "64").stdout
    evaluated = invoke("evaluate", "nasbench_macro", "--score", "saliency_entropy")
    assert "0.852" in evaluated.stdout
    found = unrolled.evaluate("nasbench_macro", ["saliency_entropy"])
    for figure in ("kendall", "top_found"):
        shown = invoke("evaluate", "nasbench_macro", "--score", "log_size", "--figure", figure)
        assert f"{getattr(found['macs', 'cifar10'], figure):.3f}" in shown.stdout
        assert shown.stdout.strip() != evaluated.stdout.strip()
    with pytest.raises(InvalidArgumentError, match="figure must be"):
        found.table("pearson")
    compared = invoke("compare", "resnet18", "--size", "64", "--scores")
    assert "more means" in compared.stdout
