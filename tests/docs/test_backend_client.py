"""The example client of the documentation: typed strictly, and does what its page says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("onnx")

from onnx import TensorProto, helper, save

CLIENT = Path(__file__).parents[2] / "docs" / "backend_client.py"


def write_dense(path: Path, units: int) -> None:
    """A dense layer without values, whose shapes are all that is read."""
    weight = helper.make_tensor("weight", TensorProto.FLOAT, [4, units], [0.0] * 4 * units)
    node = helper.make_node("MatMul", ["x", "weight"], ["y"])
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, units])
    save(helper.make_model(helper.make_graph([node], "dense", [x], [y], [weight])), path)


def test_models_are_counted_once_and_errors_stay_with_their_model(tmp_path):
    write_dense(tmp_path / "first.onnx", 3)
    write_dense(tmp_path / "again.onnx", 3)
    (tmp_path / "bad.onnx").write_bytes(b"junk")
    names = [str(tmp_path / name) for name in ("first.onnx", "bad.onnx", "missing.onnx")]
    arguments = [sys.executable, str(CLIENT), str(tmp_path / "cache")]

    def run(*models):
        result = subprocess.run([*arguments, *models], capture_output=True, text=True, check=True)
        return result.stdout.splitlines()

    first, bad, missing = run(*names)
    assert first.endswith("first.onnx: 12 parameters, 12 MACs, 2^3.6 contexts (counted)")
    assert "not an ONNX file" in bad
    assert "No such file" in missing
    assert len(list((tmp_path / "cache").iterdir())) == 1
    (again,) = run(str(tmp_path / "again.onnx"))
    assert again.endswith("(kept)")


def test_it_is_typed_strictly(tmp_path):
    pytest.importorskip("mypy")
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", str(CLIENT)]
    command.insert(-1, f"--cache-dir={tmp_path}")
    environment = {"MYPYPATH": str(root / "python"), "PATH": ""}
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    ours = [line for line in result.stdout.splitlines() if "backend_client.py" in line]
    assert not [line for line in ours if ": error:" in line], result.stdout
