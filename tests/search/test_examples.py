"""The examples run: what Optuna finds is not dominated, and what is chosen for digits is good."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from unrolled import search


def example_of(name: str) -> ModuleType:
    path = Path(__file__).parents[2] / "examples" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    return example


@pytest.mark.filterwarnings("ignore")
def test_optuna_finds_a_front() -> None:
    optuna = pytest.importorskip("optuna")
    example = example_of("optuna_search")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = search.nasbench201()
    study = example.study(space, 60)
    tried = np.array([trial.values for trial in study.trials if trial.values])
    assert len(tried) > 30
    for best in study.best_trials:
        entropy, macs = best.values
        row = [space.encode(best.params)]
        assert search.propagate_many(space, row)["saliency_entropy"][0] == entropy
        assert not ((tried[:, 0] > entropy) & (tried[:, 1] <= macs)).any()
    again = example.study(space, 60)
    assert [trial.params for trial in again.trials] == [trial.params for trial in study.trials]


@pytest.fixture(scope="module")
def digits() -> Any:
    pytest.importorskip("sklearn")
    pytest.importorskip("scipy")
    return example_of("digits")


def test_the_derivatives_of_the_example_are_those_of_differences(digits: Any) -> None:
    train, _, _ = digits.split()
    images, labels = train.images[:16], train.labels[:16]

    def loss(trainer: Any) -> float:
        scores, _ = trainer.scores(images)
        logs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        return float(-logs[np.arange(16), labels].mean())

    random = np.random.default_rng(0)
    for function, skips in (("relu", True), ("tanh", False)):
        trainer = digits.Trainer(6, 3, function, skips, seed=0)
        found = trainer.gradients(images, labels)
        assert set(found) == set(trainer.weights)
        for name, value in trainer.weights.items():
            at = tuple(random.integers(0, value.shape))
            start, step = value[at], 1e-6
            value[at] = start + step
            above = loss(trainer)
            value[at] = start - step
            below = loss(trainer)
            value[at] = start
            assert found[name][at] == pytest.approx((above - below) / (2 * step), abs=1e-6)


def test_twenty_trained_networks_lead_to_a_good_one_and_its_file(
    digits: Any, tmp_path: Path
) -> None:
    pytest.importorskip("onnx")
    path = tmp_path / "chosen.onnx"
    choice = digits.choose_one(str(path))
    assert len(choice.accuracies) == 20
    _, choose, last = digits.split()
    # It is among the best of those that were trained, and as good on digits that nobody looked at.
    assert choice.trainer.accuracy(choose) > np.quantile(choice.accuracies, 0.75)
    assert choice.trainer.accuracy(last) > 0.9
    assert choice.report.vanishes_at is None
    assert choice.report.explodes_at is None
    network = digits.space().network(choice.row)
    assert {one.name for one in network.parameters} == set(choice.trainer.weights)
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    [entry] = session.get_inputs()
    images = last.images[:40].astype(np.float32)
    scores = [session.run(None, {entry.name: image[None]})[0][0] for image in images]
    np.testing.assert_allclose(scores, choice.trainer.scores(images)[0], rtol=1e-3, atol=1e-3)
