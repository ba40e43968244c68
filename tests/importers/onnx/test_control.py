"""ONNX branches, loops, scans and functions, against an independent counter."""

from __future__ import annotations

import pytest

pytest.importorskip("onnx")

from cases.onnx_control import CONTROL
from oracles.onnx_checking import assert_counts


@pytest.mark.parametrize("name", CONTROL)
def test_control_flow_counts_as_the_operators_it_runs(name: str) -> None:
    assert_counts(CONTROL[name])
