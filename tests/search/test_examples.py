"""The example of Optuna runs, and what it finds is not dominated by what it tried."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from unrolled import search


@pytest.mark.filterwarnings("ignore")
def test_optuna_finds_a_front() -> None:
    optuna = pytest.importorskip("optuna")
    path = Path(__file__).parents[2] / "examples" / "optuna_search.py"
    spec = importlib.util.spec_from_file_location("optuna_search", path)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
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
