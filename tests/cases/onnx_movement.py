"""Models of ONNX operators that move elements."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import ModelProto

from cases.onnx_models import model, node

MOVEMENT: dict[str, ModelProto] = {}
CUBE = {"x": (2, 3, 4)}
IMAGE = {"x": (1, 2, 3, 4)}


def case(name: str, *nodes: Any, weigh: bool = True, **options: Any) -> None:
    """Register a model under a name.

    Unless `weigh` is false, sums of what it computes are multiplied by a parameter, so that its
    elements do not all have the same count.
    """
    assert name not in MOVEMENT
    options.setdefault("weights", CUBE)
    options["weights"] = {**options["weights"], "scale": (1,)}
    MOVEMENT[name] = (
        model(
            *nodes,
            "CumSum y,last -> s",
            "Mul s,scale -> z",
            **options
            | {
                "constants": {**options.get("constants", {}), "last": np.array(-1)},
            },
        )
        if weigh
        else model(*nodes, **options)
    )


def both(name: str, operator: str, attribute: str, value: Any, **options: Any) -> None:
    """Register two models: a value is an attribute, or an input as from version 13 on."""
    case(
        f"{name} by attribute",
        node(f"{operator} x -> y", **{attribute: value}),
        opset=11,
        **options,
    )
    case(
        f"{name} by input",
        f"{operator} x,given -> y",
        constants={"given": value},
        opset=13,
        **options,
    )


case("Reshape", "Reshape x,shape -> y", constants={"shape": [4, -1]})
case("Reshape keeps", "Reshape x,shape -> y", constants={"shape": [0, 2, -1]})
case("Reshape allows zero", node("Reshape x,shape -> y", allowzero=1), constants={"shape": [6, 4]})
case("Reshape by attribute", node("Reshape x -> y", shape=[-1, 8]), opset=4, weigh=False)
case("Reshape of a scalar", "Reshape x,shape -> y", weights={"x": ()}, constants={"shape": [1, 1]})
case(
    "Reshape of a reshape",
    "Reshape x,a -> b",
    "Reshape b,c -> y",
    constants={"a": [4, 6], "c": [2, 12]},
)
for axis in range(-3, 4):
    case(f"Flatten {axis}", node("Flatten x -> y", axis=axis))
case("Transpose", "Transpose x -> y")
case("Transpose by order", node("Transpose x -> y", perm=[1, 2, 0]))
case(
    "Transpose then reshape",
    node("Transpose x -> t", perm=[1, 0, 2]),
    "Reshape t,shape -> y",
    constants={"shape": [6, 4]},
)
both("Squeeze", "Squeeze", "axes", [-1, 0], weights={"x": (1, 3, 1, 2, 1)})
case("Squeeze all", "Squeeze x -> y", weights={"x": (1, 3, 1, 2)})
both("Unsqueeze", "Unsqueeze", "axes", [0, 3])
case("Unsqueeze behind", "Unsqueeze x,axes -> y", constants={"axes": [-1, -3]})
case("Expand", "Expand x,shape -> y", weights={"x": (3, 1)}, constants={"shape": [2, 1, 4]})
case("Expand by ones", "Expand x,shape -> y", constants={"shape": [1, 1]})
for axis in (0, 1, -1):
    case(f"Concat {axis}", node("Concat x,x,w -> y", axis=axis), weights={**CUBE, "w": (2, 3, 4)})
case(
    "Concat with a constant",
    node("Concat c,x -> y", axis=1),
    constants={"c": np.zeros((2, 1, 4), np.float32)},
)
case("Concat of one", node("Concat x -> y", axis=1))
case("Split by attribute", node("Split x -> y,v", axis=-1, split=[1, 3]), opset=11)
case("Split by input", node("Split x,given -> v,y", axis=-1), constants={"given": [1, 3]}, opset=13)
case("Split evenly", node("Split x -> v,y", axis=2), opset=11)
case(
    "Split in three",
    node("Split x -> a,y,c", axis=2, num_outputs=3),
    opset=18,
    weights={"x": (2, 1, 7)},
)
case("Split on the first axis", "Split x,given -> v,y", constants={"given": [1, 1]})
case("Slice by attribute", node("Slice x -> y", starts=[1, 0], ends=[3, -1], axes=[1, 2]), opset=9)
case(
    "Slice by attribute without axes", node("Slice x -> y", starts=[0, 1], ends=[1, 1000]), opset=9
)
SLICES = {
    "a step of two": ([0], [4], [2], [2]),
    "backwards": ([-1], [-1000], [2], [-1]),
    "backwards by two": ([3], [0], [-1], [-2]),
    "backwards to the front": ([2], [-(1 << 62)], [2], [-1]),
    "two axes": ([1, -3], [9223372036854775807, -1], [-2, 2], [1, 1]),
    "beyond the end": ([-10], [10], [1], [2]),
    "an odd step": ([1], [4], [2], [2]),
}
for name, given in SLICES.items():
    values = dict(zip("abcd", [np.array(one) for one in given], strict=True))
    case(f"Slice, {name}", "Slice x,a,b,c,d -> y", constants=values)
case("Slice without axes", "Slice x,a,b -> y", constants={"a": [1, 1], "b": [2, 3]})
case("Gather", node("Gather x,at -> y", axis=1), constants={"at": np.array([[0, 2], [-1, 0]])})
case("Gather one", node("Gather x,at -> y", axis=-1), constants={"at": np.array(1)})
case("Gather rows", "Gather x,at -> y", weights={"x": (5, 3)}, constants={"at": [4, 4, 0]})
case(
    "Gather at run time",
    node("ArgMax v -> at", axis=0, keepdims=0),
    node("Gather x,at -> y", axis=1),
    weights={**CUBE, "v": (3, 2)},
)
case(
    "GatherElements",
    node("GatherElements x,at -> y", axis=1),
    constants={"at": np.array([[[0, 2], [1, -1]]])},
)
case(
    "GatherElements on the last axis",
    node("GatherElements x,at -> y", axis=-1),
    constants={"at": np.array([[[3, 0]] * 3] * 2)},
)
case("GatherND", "GatherND x,at -> y", constants={"at": np.array([[0, 1], [1, -1]])})
case(
    "GatherND of elements",
    "GatherND x,at -> y",
    constants={"at": np.array([[[0, 1, 2]], [[1, 2, 0]]])},
)
case(
    "GatherND in batches",
    node("GatherND x,at -> y", batch_dims=1),
    constants={"at": np.array([[[0]], [[2]]])},
)
case(
    "GatherND in batches of two",
    node("GatherND x,at -> y", batch_dims=1),
    constants={"at": np.array([[[0, 1]], [[2, 3]]])},
)
UPDATED = {**CUBE, "u": (1, 2, 2)}
PLACES = {"at": np.array([[[0, 2], [1, 1]]])}
case(
    "ScatterElements",
    node("ScatterElements x,at,u -> y", axis=1),
    weights=UPDATED,
    constants=PLACES,
    opset=18,
)
case(
    "ScatterElements on the last axis",
    node("ScatterElements x,at,u -> y", axis=-1),
    weights=UPDATED,
    constants={"at": np.array([[[-1, 0], [3, 2]]])},
    opset=18,
)
case(
    "Scatter",
    node("Scatter x,at,u -> y", axis=1),
    weights=UPDATED,
    constants={"at": PLACES["at"]},
    opset=9,
    weigh=False,
)
for kind in ("add", "mul", "max", "min"):
    case(
        f"ScatterElements, {kind}",
        node("ScatterElements x,at,u -> y", axis=1, reduction=kind),
        weights=UPDATED,
        constants=PLACES,
        opset=18,
    )
    case(
        f"ScatterElements, {kind}, at one place",
        node("ScatterElements x,at,u -> y", axis=1, reduction=kind),
        weights=UPDATED,
        constants={"at": np.array([[[0, 2], [0, 2]]])},
        opset=18,
    )
    case(
        f"ScatterND, {kind}, at one place",
        node("ScatterND x,at,u -> y", reduction=kind),
        weights={**CUBE, "u": (3, 4)},
        constants={"at": np.array([[0, 1], [1, 2], [0, 1]])},
        opset=18,
    )
case(
    "ScatterND",
    "ScatterND x,at,u -> y",
    weights={**CUBE, "u": (2, 4)},
    constants={"at": np.array([[0, 1], [1, 2]])},
    opset=18,
)
case(
    "ScatterND of elements",
    "ScatterND x,at,u -> y",
    weights={**CUBE, "u": (2,)},
    constants={"at": np.array([[0, 1, 2], [1, 2, -1]])},
    opset=18,
)
case(
    "ScatterND into a constant",
    "ScatterND c,at,u -> y",
    weights={"u": (2, 4)},
    constants={"c": np.zeros((2, 3, 4), np.float32), "at": np.array([[0, 1], [1, 2]])},
    opset=18,
)
case(
    "ScatterND of a constant",
    "ScatterND x,at,c -> y",
    constants={"c": np.zeros((2, 4), np.float32), "at": np.array([[0, 1], [1, 2]])},
    opset=18,
)
case("Tile", "Tile x,times -> y", constants={"times": [2, 1, 3]})
case("Tile of one", "Tile x,times -> y", weights={"x": (1, 3)}, constants={"times": [4, 2]})
PADS = {"around": [0, 1, 2, 0, 2, 1], "cut": [0, -1, 1, 0, 0, -2]}
for name, pads in PADS.items():
    case(f"Pad {name} by attribute", node("Pad x -> y", pads=pads), opset=10)
    case(f"Pad {name} by input", "Pad x,pads -> y", constants={"pads": pads})
for mode in ("reflect", "edge", "wrap"):
    case(
        f"Pad {mode}",
        node("Pad x,pads -> y", mode=mode),
        constants={"pads": [0, 1, 2, 0, 1, 3]},
        opset=19,
    )
case(
    "Pad with a value",
    "Pad x,pads,c -> y",
    constants={"pads": [0, 1, 2, 0, 1, 3], "c": np.float32(1)},
)
case(
    "Pad some axes",
    "Pad x,pads,,axes -> y",
    constants={"pads": [1, 2, 0, 1], "axes": [-1, 0]},
    opset=18,
)
case("CenterCropPad", "CenterCropPad x,shape -> y", constants={"shape": [3, 2, 7]}, opset=18)
case(
    "CenterCropPad of axes",
    node("CenterCropPad x,shape -> y", axes=[-1, 0]),
    constants={"shape": [1, 5]},
    opset=18,
)
for mode in ("DCR", "CRD"):
    case(
        f"DepthToSpace {mode}",
        node("DepthToSpace x -> y", blocksize=2, mode=mode),
        weights={"x": (1, 8, 2, 3)},
    )
case("SpaceToDepth", node("SpaceToDepth x -> y", blocksize=2), weights={"x": (1, 2, 4, 6)})
for upper in (0, 1):
    for k in (-1, 0, 1):
        case(
            f"Trilu {upper} {k}", node("Trilu x,k -> y", upper=upper), constants={"k": np.array(k)}
        )
case("Trilu by default", "Trilu x -> y")
case("Compress", node("Compress x,c -> y", axis=1), constants={"c": np.array([True, False, True])})
case("Compress short", node("Compress x,c -> y", axis=-1), constants={"c": np.array([False, True])})
case("Compress all", "Compress x,c -> y", constants={"c": np.arange(20) % 3 == 0})
case(
    "ReverseSequence",
    node("ReverseSequence x,n -> y", time_axis=1, batch_axis=0),
    constants={"n": [2, 3]},
)
case("ReverseSequence, time first", "ReverseSequence x,n -> y", constants={"n": [2, 1, 2]})
for axis in (-1, 0, 1):
    case(
        f"OneHot {axis}",
        node("ArgMax x -> at", axis=2, keepdims=0),
        node("OneHot at,depth,values -> y", axis=axis),
        constants={"depth": np.array(5), "values": np.float32([0, 1])},
    )
COLUMNS = {
    "of a plain window": ((1, 4, 9), [4, 4], [2, 2], {}),
    "with strides": ((1, 4, 4), [4, 4], [2, 2], {"strides": [2, 2]}),
    "with dilations": ((1, 8, 4), [4, 4], [2, 2], {"dilations": [2, 2]}),
    "with pads": ((1, 6, 15), [4, 5], [3, 1], {"pads": [1, 0, 0, 0]}),
    "of one axis": ((1, 6, 4), [5], [2], {}),
}
for name, (shape, image, block, attributes) in COLUMNS.items():
    case(
        f"Col2Im {name}",
        node("Col2Im x,image,block -> y", **attributes),
        weights={"x": shape},
        constants={"image": image, "block": block},
        opset=18,
    )

RESIZED: dict[str, tuple[dict[str, Any], list[float]]] = {
    "up": ({}, [1, 1, 2, 2]),
    "by odd factors": ({}, [1, 1, 1.7, 2.5]),
    "down": ({}, [1, 1, 0.5, 0.6]),
    "asymmetric": (
        {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
        [1, 1, 2, 3],
    ),
    "ceil": ({"nearest_mode": "ceil"}, [1, 1, 1.5, 2]),
    "round_prefer_ceil": ({"nearest_mode": "round_prefer_ceil"}, [1, 1, 2, 2]),
    "align_corners": ({"coordinate_transformation_mode": "align_corners"}, [1, 1, 2, 2]),
    "linear": ({"mode": "linear"}, [1, 1, 2, 2]),
    "linear down": ({"mode": "linear"}, [1, 1, 0.5, 0.75]),
    "linear corners": (
        {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
        [1, 1, 2, 2],
    ),
    "linear asymmetric": (
        {"mode": "linear", "coordinate_transformation_mode": "asymmetric"},
        [1, 1, 2, 2],
    ),
    "linear antialias": ({"mode": "linear", "antialias": 1}, [1, 1, 0.5, 0.5]),
    "cubic": ({"mode": "cubic"}, [1, 1, 2, 1.5]),
    "cubic down": ({"mode": "cubic"}, [1, 1, 0.7, 0.5]),
    "cubic excluding": ({"mode": "cubic", "exclude_outside": 1}, [1, 1, 2, 1]),
    "half_pixel_symmetric": (
        {"mode": "linear", "coordinate_transformation_mode": "half_pixel_symmetric"},
        [1, 1, 1.4, 1.7],
    ),
}
for name, (attributes, scales) in RESIZED.items():
    case(
        f"Resize {name}",
        node("Resize x,,scales -> y", **attributes),
        weights=IMAGE,
        constants={"scales": np.float32(scales)},
        opset=19,
    )
case(
    "Resize to sizes",
    "Resize x,,,sizes -> y",
    weights=IMAGE,
    constants={"sizes": [1, 2, 7, 3]},
    opset=13,
)
case(
    "Resize linear to sizes",
    node("Resize x,,,sizes -> y", mode="linear"),
    weights=IMAGE,
    constants={"sizes": [1, 2, 7, 3]},
    opset=13,
)
for policy in ("not_larger", "not_smaller"):
    case(
        f"Resize {policy}",
        node("Resize x,,,sizes -> y", axes=[2, 3], keep_aspect_ratio_policy=policy),
        weights=IMAGE,
        constants={"sizes": [5, 7]},
        opset=18,
    )
case(
    "Resize of axes",
    node("Resize x,,scales -> y", axes=[3, 2], mode="linear"),
    weights=IMAGE,
    constants={"scales": np.float32([2, 3])},
    opset=18,
)

OLDER: dict[str, tuple[ModelProto, ModelProto]] = {}
"""Operators that the reference evaluator does not have, and what they are the same as."""

for mode in ("nearest", "linear"):
    SCALES = {"scales": np.float32([1, 1, 2, 2.5])}
    modern = model(
        node(
            "Resize x,,scales -> y",
            mode=mode,
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        ),
        weights=IMAGE,
        constants=SCALES,
        opset=13,
    )
    by_attribute = node("Upsample x -> y", mode=mode, scales=[1.0, 1.0, 2.0, 2.5])
    OLDER |= {
        f"Upsample 7 {mode}": (model(by_attribute, weights=IMAGE, opset=7), modern),
        f"Upsample 9 {mode}": (
            model(
                node("Upsample x,scales -> y", mode=mode), weights=IMAGE, constants=SCALES, opset=9
            ),
            modern,
        ),
        f"Resize 10 {mode}": (
            model(
                node("Resize x,scales -> y", mode=mode), weights=IMAGE, constants=SCALES, opset=10
            ),
            modern,
        ),
    }
