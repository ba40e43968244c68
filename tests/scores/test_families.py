"""Families of models with published accuracies, and models of one's own with theirs."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import pytest
from scipy import stats

import unrolled
from command_line import invoke
from unrolled import InvalidArgumentError, MissingPackageError, Network
from unrolled.errors import UnknownOperationError, UnsupportedOperatorError
from unrolled.models.benchmarks import SPACES
from unrolled.scores import families
from unrolled.scores.families import BUILDERS, Member, ModelFamily, load_family
from unrolled.scores.names import BENCHMARKS, FAMILIES


def test_the_shell_knows_every_benchmark_and_family() -> None:
    assert tuple(SPACES) == BENCHMARKS
    assert tuple(BUILDERS) == FAMILIES


@pytest.mark.parametrize("name", FAMILIES)
def test_every_model_of_a_family_is_there_once_with_a_plausible_accuracy(name: str) -> None:
    family = load_family(name)
    assert len(set(family.architectures)) == len(family) >= 12
    accuracies = family.accuracies["imagenet"]
    assert accuracies.shape == (len(family),)
    assert 50 < accuracies.min() < accuracies.max() < 90
    assert all(64 <= member.size <= 800 for member in family.members)


def test_known_accuracies_are_those_of_their_models() -> None:
    # As torchvision, timm and pycls print them beside the weights.
    for name, model, accuracy in (
        ("torchvision", "resnet50", 76.13),
        ("torchvision", "vgg16", 71.592),
        ("published", "resnet50-v1.5", 76.13),
        ("keras", "MobileNetV2", 71.878),
        ("keras", "NASNetLarge", 82.638),
        ("pycls", "regnetx_032", 78.264),
    ):
        family = load_family(name)
        place = family.architectures.index(model)
        assert family.accuracies["imagenet"][place] == accuracy


def test_published_models_are_ranked_without_any_library() -> None:
    found = unrolled.evaluate("published", draws=20)
    accuracies = found.benchmark.accuracies["imagenet"]
    macs = [unrolled.score(name).macs for name in found.benchmark.architectures]
    expected = stats.spearmanr(macs, accuracies).statistic
    assert found["macs", "imagenet"].spearman == pytest.approx(expected)
    assert found["log_size", "imagenet"].spearman > 0.5
    assert found.benchmark.left_out == {}
    assert "12 architectures" in repr(found)
    # Twelve models make intervals so wide that no table hides them.
    one = found["macs", "imagenet"]
    assert f"{one.spearman:.2f} ({one.low:.2f} to {one.high:.2f})" in repr(found)
    assert "12 architectures" in invoke("evaluate", "published", "--score", "log_size").stdout


def chain(depth: int, width: int = 4) -> Network:
    net = Network(f"chain{depth}x{width}")
    x = net.input((3, 8, 8))
    for _ in range(depth):
        x = net.activation(net.conv(x, width, 3, use_bias=False))
    net.output(x)
    return net


def test_models_of_ones_own_are_evaluated_with_their_accuracies() -> None:
    nets = [chain(depth, width) for depth in (1, 2, 3) for width in (4, 8)]
    accuracies = {"easy": range(6), "hard": [3.0, 1.0, 2.0, 6.0, 5.0, 4.0]}
    found = unrolled.evaluate(nets, ["log_size"], accuracies=accuracies, draws=20)
    assert found.benchmark.architectures == tuple(net.name for net in nets)
    log_sizes = [unrolled.score(net).log_size for net in nets]
    assert found.values["log_size"].tolist() == log_sizes
    for task, figures in accuracies.items():
        expected = stats.spearmanr(log_sizes, list(figures)).statistic
        assert found["log_size", task].spearman == pytest.approx(expected)
    alike = unrolled.evaluate([nets[0]] * 3, accuracies=[1.0, 2.0, 3.0], draws=5)
    assert alike.benchmark.architectures == ("chain1x4", "chain1x4#2", "chain1x4#3")
    assert math.isnan(alike["log_size", "accuracy"].spearman)


@pytest.mark.parametrize(
    ("models", "accuracies", "message"),
    [
        ([chain(1)] * 2, [1.0, 2.0], "at least three models"),
        ([chain(1)] * 3, [1.0, 2.0], "one finite number for each of 3 models"),
        ([chain(1)] * 3, [1.0, 2.0, math.nan], "one finite number"),
        ([chain(1)] * 3, {}, "at least one task"),
        ([chain(1)] * 3, None, "accuracies="),
        ("published", [1.0], "has its own"),
    ],
)
def test_accuracies_must_fit_the_models(models: Any, accuracies: Any, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        unrolled.evaluate(models, accuracies=accuracies)


def test_models_of_ones_own_that_cannot_be_scored_are_an_error() -> None:
    odd = Network("odd")
    y = odd.tensor("odd", (3,))
    odd.link(odd.input((3,)), y, [unrolled.Relation.same(0, 0)])
    odd.output(y)
    with pytest.raises(UnknownOperationError, match="odd"):
        unrolled.evaluate([chain(1), odd, chain(2)], accuracies=[1.0, 2.0, 3.0])


def test_models_that_a_library_cannot_build_are_named() -> None:
    def build(member: Member) -> Network:
        if member.name == "new":
            raise UnsupportedOperatorError("no rule for 1 operator: torus")
        return chain(len(member.name))

    members = [Member(name) for name in ("a", "new", "bb", "cccc")]
    accuracies = {"imagenet": np.array([1.0, 9.0, 2.0, 3.0])}
    seen: list[tuple[int, int]] = []
    family = ModelFamily("made up", members, accuracies, build)
    kept, scores = family.scored(lambda done, total: seen.append((done, total)))
    assert kept.architectures == ("a", "bb", "cccc")
    assert kept.accuracies["imagenet"].tolist() == [1.0, 2.0, 3.0]
    assert list(kept.left_out) == ["new"]
    assert scores["depth"].tolist() == [1.0, 2.0, 4.0]
    assert seen == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    with pytest.raises(InvalidArgumentError, match="torus"):
        ModelFamily("made up", members[1:2], {}, build).scored()


def test_a_family_whose_library_is_missing_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("torch", "torchvision", "timm", "keras"):
        monkeypatch.setitem(sys.modules, package, None)
    for family in ("torchvision", "timm", "pycls", "keras"):
        with pytest.raises(MissingPackageError, match="pip install"):
            unrolled.evaluate(family)


# Keras finds shapes on NumPy by running layers on memory as it is; see `oracles.keras_forms`.
@pytest.mark.filterwarnings("ignore:(invalid value|overflow|divide by zero):RuntimeWarning")
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_models_of_keras_are_built_without_weights() -> None:
    pytest.importorskip("oracles.keras_forms")  # It chooses a backend that builds quickly.
    built = families.BUILDERS["keras"](Member("MobileNetV3Small", 224))
    # Multiplications as torchvision gives them for the same architecture.
    assert unrolled.score(built).macs == pytest.approx(0.057e9, rel=0.02)
