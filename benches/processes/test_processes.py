"""What a user waits for and pays: importing, the published table, memory at its peak."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Measure = Callable[..., None]
MODELS = [f"efficientnetv2-{size}" for size in ("b0", "b1", "b2", "b3", "s", "m", "l")]


def run(*arguments: str) -> str:
    return subprocess.run(arguments, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("code", ["import numpy", "import numpy, unrolled"])
def test_import(measure: Measure, code: str) -> None:
    measure("import", code, lambda: run(sys.executable, "-c", code))


def test_compare_command(measure: Measure, smoke: bool) -> None:
    models = MODELS[:2] if smoke else [*MODELS, "resnet50"]
    command = [sys.executable, "-m", "unrolled", "compare", *models]
    measure("command", f"compare, {len(models)}", lambda: run(*command), rounds=3)


@pytest.mark.parametrize("exact", [True, False])
def test_peak_memory(board: Any, smoke: bool, exact: bool) -> None:
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("asks Linux how much memory a process had at its peak")
    size = 64 if smoke else 480
    code = f"""
import pathlib, re, unrolled
def peak():  # in KiB
    return int(re.search(r"VmHWM:\\s*(\\d+)", pathlib.Path("{status}").read_text())[1])
net = unrolled.models.build("efficientnetv2-l", size={size})
before = peak()
unrolled.count(net, exact={exact})
print(before, peak())
"""
    before, after = (int(word) / 1024 for word in run(sys.executable, "-c", code).split())
    kind = "exact" if exact else "log"
    line = f"peak memory, {kind}, efficientnetv2-l at {size}: process {after:.0f} MiB"
    board.notes.append(f"{line}, of which counting {after - before:.0f} MiB")
