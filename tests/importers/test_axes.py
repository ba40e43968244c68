"""Axes that a tensor does not have are errors; none is taken for another one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unrolled
from unrolled.errors import InvalidModelError

RANK = 3

ONNX: dict[str, tuple[str, str]] = {
    **{
        f"{operator} {key}": (f"{operator} x -> y", key)
        for operator, key in {
            "Softmax": "axis",
            "LogSoftmax": "axis",
            "Hardmax": "axis",
            "ArgMax": "axis",
            "ArgMin": "axis",
            "LpNormalization": "axis",
            "MeanVarianceNormalization": "axes*",
            "ReduceMax": "axes*",
            "ReduceMean": "axes*",
            "Transpose": "perm",
        }.items()
    },
    "Flatten": ("Flatten x -> y", "axis flat"),
    "Concat": ("Concat x,x -> y", "axis"),
    "Split": ("Split x -> y", "axis"),
    "Gather": ("Gather x,zero -> y", "axis"),
    "GatherElements": ("GatherElements x,index -> y", "axis"),
    "ScatterElements": ("ScatterElements x,index,x -> y", "axis"),
    "Compress": ("Compress x,flags -> y", "axis"),
    "LayerNormalization": ("LayerNormalization x,scale -> y", "axis"),
    "TopK": ("TopK x,one -> y,z", "axis"),
    "CumSum": ("CumSum x,bad -> y", ""),
    "Squeeze": ("Squeeze x,list -> y", ""),
    "Unsqueeze": ("Unsqueeze x,list -> y", "inserted"),
    "Slice": ("Slice x,zeros,ones,list -> y", ""),
    "BiasSoftmax": ("com.microsoft::BiasSoftmax x,x -> y", "axis"),
    "QLinearSoftmax": ("com.microsoft::QLinearSoftmax x,s,zp,s,zp -> y", "axis"),
    "QLinearConcat": ("com.microsoft::QLinearConcat s,zp,x,s,zp,x,s,zp -> y", "axis"),
    "SplitToSequence": ("SplitToSequence x -> y", "axis"),
    "OneHot": ("OneHot x,depth,values -> y", "inserted axis"),
}


@pytest.mark.parametrize("axis", [RANK, -RANK - 1, -5, 7, 100])
@pytest.mark.parametrize("name", ONNX)
def test_onnx(name: str, axis: int) -> None:
    pytest.importorskip("onnx")
    from cases.onnx_models import model, node

    text, key = ONNX[name]
    rank = RANK + 1 if key.startswith("inserted") else RANK
    if key == "axis flat" and axis == RANK:
        return  # Which leaves no axis behind it.
    if -rank <= axis < rank:
        return
    attributes: dict[str, Any] = {}
    if key.endswith("axis") or key == "axis flat":
        attributes["axis"] = axis
    elif key == "axes*":
        attributes["axes"] = [axis]
    elif key == "perm":
        attributes["perm"] = [0, 1, axis]
    made = model(
        node(text, **attributes),
        inputs={"x": (2, 3, 4)},
        weights={"scale": (4,)},
        constants={
            "bad": np.array(axis),
            "list": np.array([axis]),
            "zero": np.array([0]),
            "zeros": np.array([0]),
            "one": np.array([1]),
            "ones": np.array([1]),
            "index": np.zeros((2, 3, 4), np.int64),
            "flags": np.array([True, False]),
            "depth": np.array(3),
            "values": np.array([0.0, 1.0], np.float32),
            "s": np.float32(1),
            "zp": np.uint8(0),
        },
        outputs="y",
    )
    with pytest.raises(InvalidModelError, match=rf"{axis}|no permutation"):
        unrolled.from_onnx(made)


KERAS: dict[str, tuple[str, dict[str, Any]]] = {
    **{
        f"{name} {key}": (name, {key: "axis"})
        for name in ("Softmax", "LayerNormalization", "BatchNormalization", "UnitNormalization")
        for key in ("axis",)
    },
    **{
        f"ops.{name}": (f"ops.{name}", {"axis": "axis"})
        for name in (
            *("Max", "Mean", "Sum", "Argmax", "Sort", "Argsort", "Softmax", "LogSoftmax", "Glu"),
            *("Normalize", "Cumsum", "Cumprod", "Squeeze", "Unstack", "Flip"),
        )
    },
    "ops.ExpandDims": ("ops.ExpandDims", {"axis": "inserted"}),
    "ops.OneHot": ("ops.OneHot", {"axis": "inserted", "num_classes": 3}),
    "ops.Split": ("ops.Split", {"axis": "axis", "indices_or_sections": 1}),
    "ops.Repeat": ("ops.Repeat", {"axis": "axis", "repeats": 2}),
    "ops.Roll": ("ops.Roll", {"axis": "axis", "shift": 1}),
    "ops.Take": ("ops.Take", {"axis": "axis", "indices": [0]}),
    "ops.Swapaxes": ("ops.Swapaxes", {"axis1": 0, "axis2": "axis"}),
    "ops.Moveaxis": ("ops.Moveaxis", {"source": 0, "destination": "axis"}),
    "ops.Moveaxis source": ("ops.Moveaxis", {"source": ["axis"], "destination": [1]}),
    "ops.Transpose": ("ops.Transpose", {"axes": [0, 1, "axis"]}),
    "ops.Diagonal": ("ops.Diagonal", {"axis1": 0, "axis2": "axis"}),
    "PReLU": ("PReLU", {"shared_axes": ["axis"]}),
    "Permute": ("Permute", {"dims": [1, "axis"]}),
}


@pytest.mark.parametrize("axis", [RANK, -RANK - 1, -5, 7, 100])
@pytest.mark.parametrize("name", KERAS)
def test_keras(name: str, axis: int) -> None:
    from cases.keras_models import functional

    kind, config = KERAS[name]
    rank = RANK + 1 if "inserted" in config.values() else RANK
    if -rank <= axis < rank:
        return

    def filled(given: Any) -> Any:
        if isinstance(given, list):
            return [filled(one) for one in given]
        return axis if given in ("axis", "inserted") else given

    filled_config = {key: filled(one) for key, one in config.items()}
    made = functional({"x": (2, 3, 4)}, {"y": (kind, filled_config, ["x"])}, "y")
    with pytest.raises(InvalidModelError, match=r"layer 'y'|y: axis"):
        unrolled.from_keras(made)


@pytest.mark.parametrize("axes", [[[7], [0]], [[0], [-4]], 4])
def test_contracted_axes_of_keras(axes: Any) -> None:
    from cases.keras_models import functional

    made = functional(
        {"x": (2, 3, 4), "z": (2, 3, 4)},
        {"y": ("ops.Tensordot", {"axes": axes}, ["x", "z"])},
        "y",
    )
    with pytest.raises(InvalidModelError, match="layer 'y'"):
        unrolled.from_keras(made)
    layer = functional(
        {"x": (2, 3, 4), "z": (2, 3, 4)}, {"y": ("Dot", {"axes": [1, 5]}, [["x", "z"]])}, "y"
    )
    with pytest.raises(InvalidModelError, match="axis 5"):
        unrolled.from_keras(layer)
