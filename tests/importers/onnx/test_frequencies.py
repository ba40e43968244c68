"""Frequencies of positions are constants; learnt angles and weights beside them are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

from cases.onnx_models import model, node
from unrolled import count, from_onnx

RANGE = np.arange(4, dtype=np.int64)
PHASE = ["Cast:to positions -> p", "Unsqueeze p,one -> column", "Mul column,f -> phase"]


def read(*nodes: str, positions: Any = RANGE, **weights: Any) -> Any:
    """A network in which x of shape (4, 3) meets what nodes make of positions and of f."""
    made = [
        node(one.replace(":to", ""), to=1) if ":to" in one else one
        for one in [*nodes, "Mul x,wave -> y"]
    ]
    inputs: dict[str, Any] = {"x": (4, 3)}
    half = np.float32(0.5)
    constants: dict[str, Any] = {"one": np.array([1]), "positions": positions, "half": half}
    net = model(*made, weights={"f": (3,), **weights}, constants=constants, inputs=inputs)
    return from_onnx(net)


def test_positions_may_be_scaled() -> None:
    scaled = [*PHASE[:2], "Mul column,half -> near", "Mul near,f -> phase", "Sin phase -> wave"]
    assert read(*scaled).num_parameters == 0


@pytest.mark.parametrize("wave", ["Sin", "Cos"])
def test_frequencies_are_constants(wave: str) -> None:
    net = read(*PHASE, f"{wave} phase -> wave")
    assert net.num_parameters == 0
    assert "frequencies" in net.provenance.skipped["f"]


def test_frequencies_are_constants_where_they_are_moved_first() -> None:
    moved = ["Identity f -> g", *PHASE[:2], "Mul column,g -> phase", "Identity phase -> same"]
    assert read(*moved, "Cos same -> wave").num_parameters == 0


@pytest.mark.parametrize(
    "nodes",
    [
        ["Sin f -> wave"],  # A rotation by learnt angles.
        [*PHASE, "Sin phase -> s", "Add s,f -> wave"],  # Used beside the wave, too.
        [*PHASE, "Tanh phase -> wave"],
        [*PHASE, "Identity phase -> wave"],
        ["Mul f,half -> phase", "Sin phase -> wave"],  # Learnt angles in another unit.
        ["Reshape half,one -> h", "Mul f,h -> phase", "Cos phase -> wave"],
        ["Mul x,f -> phase", "Sin phase -> wave"],  # What it is multiplied with is no position.
    ],
    ids=[
        "angles",
        "used twice",
        "no wave",
        "the phase",
        "a unit",
        "a unit, reshaped",
        "no positions",
    ],
)
def test_what_is_more_than_frequencies_is_a_parameter(nodes: list[str]) -> None:
    net = read(*nodes)
    assert net.num_parameters == 3
    assert count(net)["f"].total > 0


def test_it_can_be_named_as_a_parameter() -> None:
    made = [node(one.replace(":to", ""), to=1) if ":to" in one else one for one in PHASE]
    file = model(
        *made,
        "Sin phase -> wave",
        "Mul x,wave -> y",
        weights={"f": (3,)},
        constants={"one": np.array([1]), "positions": RANGE},
        inputs={"x": (4, 3)},
    )
    counts = count(from_onnx(file, parameters=["f"]))["f"]
    assert counts.exact().tolist() == [4, 4, 4]  # At each of four positions.


def test_bounds_of_a_range_are_cast_to_the_type_of_the_others() -> None:
    """PyTorch's exporter writes the zero of a range as a float that is cast like the limit."""
    net = from_onnx(
        model(
            "CastLike start,limit -> first",
            "CastLike step,limit -> by",
            "Range first,limit,by -> at",
            "Gather table,at -> rows",
            "Add x,rows -> y",
            weights={"table": (5, 3)},
            constants={
                "start": np.float32(0),
                "step": np.float32(1),
                "limit": np.array(4, dtype=np.int64),
            },
            inputs={"x": (4, 3)},
            opset=18,
        )
    )
    assert count(net)["table"].exact().tolist() == [[1, 1, 1]] * 4 + [[0, 0, 0]]
