"""Tables of sines and cosines that an optimiser worked out are constants; weights are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

import onnx

from cases.onnx_models import model
from unrolled import count, from_onnx
from unrolled.importers.onnx.waves import is_table_of_waves

POSITIONS, WIDTH = 8, 8
FREQUENCIES = 10_000.0 ** -(np.arange(WIDTH) / WIDTH)
ANGLES = np.arange(POSITIONS)[:, None] * FREQUENCIES
TABLES = {
    "cosines": np.cos(ANGLES),
    "sines": np.sin(ANGLES),
    "scaled cosines": 1.37 * np.cos(ANGLES),
    "scaled sines": 1.37 * np.sin(ANGLES),
    "pairs, as of rotary embeddings": np.cos(np.concatenate([ANGLES, ANGLES], 1))[None, None],
    "beside each other": np.concatenate([np.sin(ANGLES), np.cos(ANGLES)], 1)[None],
    "alternating": np.stack([np.sin(ANGLES), np.cos(ANGLES)], -1).reshape(POSITIONS, -1),
    "matrices of rotations": np.stack([np.cos(ANGLES), -np.sin(ANGLES), np.sin(ANGLES)], -1),
    "positions last": np.cos(ANGLES).T,
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", TABLES)
def test_waves_are_found(name: str, dtype: Any) -> None:
    assert is_table_of_waves(TABLES[name].astype(dtype))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_long_tables_are_found_in_any_precision(dtype: str) -> None:
    """Angles of thousands are off by their own rounding, and slow waves hardly move."""
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    frequencies = (10_000.0 ** -(np.arange(32) / 32)).astype(np.float32)
    angles = np.arange(4096, dtype=np.float32)[:, None] * frequencies
    table = np.concatenate([np.cos(angles), np.sin(angles)], 1).astype(np.dtype(dtype))
    assert is_table_of_waves(table)


RANDOM = np.random.default_rng(7)


@pytest.mark.parametrize(
    "table",
    [
        RANDOM.normal(size=(POSITIONS, WIDTH)),
        np.vstack([np.ones((1, WIDTH)), RANDOM.normal(size=(POSITIONS - 1, WIDTH))]),
        np.vstack([np.zeros((1, WIDTH)), RANDOM.normal(size=(POSITIONS - 1, WIDTH))]),
        np.ones((POSITIONS, WIDTH)),
        np.zeros((POSITIONS, WIDTH)),
        np.eye(POSITIONS),
        np.tri(POSITIONS),
        np.cos(ANGLES) ** 2,
        np.arange(POSITIONS)[:, None] * RANDOM.normal(size=WIDTH),  # Straight lines.
        np.cos(ANGLES + 0.1),
        np.cos(np.sqrt(ANGLES)),
        np.cos(ANGLES) + 1e-5 * RANDOM.normal(size=ANGLES.shape),  # As if it had been trained.
        np.where(np.arange(WIDTH) == 3, RANDOM.normal(size=ANGLES.shape), np.cos(ANGLES)),
        np.cos(ANGLES)[:2],  # Any two numbers are a wave.
        np.full((POSITIONS, WIDTH), np.nan),
        np.zeros((0, 5)),
        np.float64(1.0),
    ],
)
def test_other_numbers_are_no_waves(table: Any) -> None:
    assert not is_table_of_waves(np.asarray(table, dtype=np.float32))


def rotated(name: str, table: Any) -> Any:
    """A model that multiplies by a table under some name, in single precision."""
    array = np.asarray(table, dtype=np.float32)
    file = model(
        "MatMul x,weight -> h",
        f"Mul h,{name} -> y",
        weights={"weight": (3, array.shape[-1])},
        inputs={"x": (array.shape[-2], 3)},
    )
    file.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return file


@pytest.mark.parametrize("name", ["unsqueeze_14", "cos", "mul_3", "val_27", "/rotary/Cos_output_0"])
def test_a_folded_table_is_no_parameter(name: str) -> None:
    net = from_onnx(rotated(name, np.cos(ANGLES)))
    assert [tensor.name for tensor in net.parameters] == ["weight"]
    assert "sines or cosines" in net.provenance.skipped[name]
    # Each weight is read once at each position, with or without the table.
    assert count(net)["weight"].exact().tolist() == [[POSITIONS] * WIDTH] * 3


@pytest.mark.parametrize(
    ("name", "table"),
    [("encoder.positions", np.cos(ANGLES)), ("unsqueeze_14", np.cos(ANGLES) ** 2)],
    ids=["the name of a module", "other numbers"],
)
def test_a_table_that_may_be_learnt_is_a_parameter(name: str, table: Any) -> None:
    counts = count(from_onnx(rotated(name, table)))
    assert counts[name].total == POSITIONS * WIDTH


def test_it_can_be_named_as_a_parameter() -> None:
    net = from_onnx(rotated("cos", np.cos(ANGLES)), parameters=["cos"])
    assert net.num_parameters == 3 * WIDTH + POSITIONS * WIDTH


@pytest.mark.parametrize("positions", [POSITIONS, 1000], ids=["small", "large"])
def test_a_table_in_another_file_is_read(positions: int, tmp_path: Path) -> None:
    table = np.cos(np.arange(positions)[:, None] * FREQUENCIES)
    path = tmp_path / "model.onnx"
    onnx.save(
        rotated("cos", table), path, save_as_external_data=True, location="data", size_threshold=0
    )
    assert from_onnx(path).num_parameters == 3 * WIDTH
    (tmp_path / "data").unlink()
    net = from_onnx(path)
    assert net.num_parameters == 3 * WIDTH + positions * WIDTH
    assert "not at hand" in net.provenance.skipped["numbers of 'cos'"]
