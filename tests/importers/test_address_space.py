"""Damaged and hostile models in a process of 2 GiB: no abort, no foreign exception, nothing long.

TEST_CASES_FACTOR=100 reads some thousands of damaged ones.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("onnx")
pytest.importorskip("resource")
if not hasattr(os, "fork"):
    pytest.skip("processes cannot be forked here", allow_module_level=True)

from cases.hostile import CASES
from cases.keras_models import MODELS
from unrolled import from_keras

TESTS = Path(__file__).parents[1]
LONGEST = 10
"""Seconds of work that a model may take."""

CASES_OF_A_KIND = int(20 * float(os.environ.get("TEST_CASES_FACTOR", "1")))
NAMES = list(CASES)
GROUPS = [NAMES[start : start + 10] for start in range(0, len(NAMES), 10)]


def check_read(*arguments: str) -> None:
    """Every case is read or refused."""
    path = os.pathsep.join([str(TESTS), *sys.path])
    done = subprocess.run(
        [sys.executable, "-m", "cases.hostile", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines
    for line in lines:
        assert line["result"] in ("read", "refused", "out of memory"), line
        assert line["seconds"] < LONGEST, line


@pytest.mark.parametrize("names", GROUPS, ids=lambda names: f"{names[0]} and so on")
def test_hostile_models(names: list[str]) -> None:
    check_read(*names)


@pytest.mark.parametrize("kind", ["onnx", "onnx bytes", "keras", "keras text", "keras archive"])
def test_damaged_models(kind: str) -> None:
    check_read(kind, "0", str(CASES_OF_A_KIND))


@pytest.mark.parametrize("name", MODELS)
def test_models_that_are_not_damaged(name: str) -> None:
    """What is damaged above can be read as it is."""
    assert from_keras(MODELS[name]).num_outputs > 0
