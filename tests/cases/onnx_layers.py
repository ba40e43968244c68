"""Models of ONNX layers: convolutions, products, pooling, norms, recurrent layers."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import ModelProto

from cases.onnx_models import model, node

LAYERS: dict[str, ModelProto] = {}


def case(name: str, *nodes: Any, **options: Any) -> None:
    """Register a model under a name."""
    assert name not in LAYERS
    LAYERS[name] = model(*nodes, **options)


# x, kernel, and attributes.
CONVOLUTIONS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "of one axis": ((1, 2, 7), (3, 2, 3), {}),
    "of two axes": ((1, 2, 5, 6), (3, 2, 3, 2), {}),
    "of three axes": ((1, 1, 3, 3, 4), (2, 1, 2, 2, 3), {"strides": [1, 2, 1]}),
    "with pads": ((1, 2, 4, 4), (2, 2, 3, 3), {"pads": [1, 0, 2, 1]}),
    "with strides": ((1, 1, 7, 6), (1, 1, 3, 3), {"strides": [2, 3], "pads": [1, 1, 1, 1]}),
    "with dilations": ((1, 1, 7, 7), (1, 1, 3, 2), {"dilations": [2, 3], "pads": [2, 0, 1, 3]}),
    "in groups": ((1, 4, 4), (6, 2, 3), {"group": 2}),
    "depthwise": ((1, 3, 5, 5), (3, 1, 3, 3), {"group": 3, "pads": [1, 1, 1, 1]}),
    "depthwise, multiplied": ((1, 2, 5), (4, 1, 3), {"group": 2}),
    "same, upper": ((1, 1, 6, 5), (1, 1, 3, 2), {"auto_pad": "SAME_UPPER", "strides": [2, 1]}),
    "same, lower": ((1, 1, 6, 5), (1, 1, 3, 2), {"auto_pad": "SAME_LOWER", "strides": [2, 1]}),
    "valid": ((1, 1, 6), (1, 1, 3), {"auto_pad": "VALID"}),
    "of a batch": ((2, 1, 4), (2, 1, 2), {}),
    "with a kernel shape": ((1, 1, 4), (2, 1, 2), {"kernel_shape": [2]}),
}
for name, (x, kernel, attributes) in CONVOLUTIONS.items():
    case(f"Conv {name}", node("Conv x,w -> y", **attributes), weights={"x": x, "w": kernel})
    case(
        f"Conv {name}, biased",
        node("Conv x,w,b -> y", **attributes),
        inputs={"x": x},
        weights={"w": kernel, "b": kernel[:1]},
    )
case(
    "Conv with a constant kernel",
    "Conv x,w -> y",
    weights={"x": (1, 1, 5)},
    constants={"w": np.ones((1, 1, 3), np.float32)},
)

TRANSPOSED: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "of one axis": ((1, 2, 4), (2, 3, 3), {}),
    "of two axes": ((1, 1, 3, 4), (1, 2, 3, 2), {"strides": [2, 3]}),
    "with pads": ((1, 1, 4, 4), (1, 1, 3, 3), {"pads": [1, 0, 1, 1], "strides": [2, 2]}),
    "with output padding": (
        (1, 1, 3),
        (1, 1, 3),
        {"strides": [2], "output_padding": [1], "pads": [1, 1]},
    ),
    "with dilations": ((1, 1, 4), (1, 1, 3), {"dilations": [2]}),
    "in groups": ((1, 4, 3), (4, 2, 2), {"group": 2}),
    "to a shape": (
        (1, 1, 3, 3),
        (1, 1, 3, 3),
        {"strides": [3, 2], "output_shape": [10, 8], "kernel_shape": [3, 3]},
    ),
    "same, upper": ((1, 1, 3), (1, 1, 3), {"auto_pad": "SAME_UPPER", "strides": [2]}),
    "same, lower": ((1, 1, 3), (1, 1, 3), {"auto_pad": "SAME_LOWER", "strides": [2]}),
}
for name, (x, kernel, attributes) in TRANSPOSED.items():
    rows = kernel[1] * attributes.get("group", 1)
    case(
        f"ConvTranspose {name}",
        node("ConvTranspose x,w,b -> y", **attributes),
        weights={"x": x, "w": kernel, "b": (rows,)},
    )

WINDOWS: dict[str, tuple[Any, dict[str, Any]]] = {
    "of one axis": ((1, 2, 7), {"kernel_shape": [3]}),
    "of two axes": ((1, 2, 5, 6), {"kernel_shape": [3, 2], "strides": [2, 1]}),
    "with pads": ((1, 1, 5, 6), {"kernel_shape": [3, 2], "pads": [1, 0, 1, 1]}),
    "ceil": ((1, 1, 6, 7), {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    "ceil with pads": (
        (1, 1, 5, 8),
        {"kernel_shape": [2, 3], "strides": [2, 3], "pads": [1, 1, 1, 1], "ceil_mode": 1},
    ),
    "same, upper": ((1, 1, 6), {"kernel_shape": [3], "strides": [2], "auto_pad": "SAME_UPPER"}),
    "same, lower": ((1, 1, 6), {"kernel_shape": [3], "strides": [2], "auto_pad": "SAME_LOWER"}),
    "valid": ((1, 1, 6), {"kernel_shape": [4], "auto_pad": "VALID"}),
}
for operator in ("MaxPool", "AveragePool", "LpPool"):
    for name, (x, attributes) in WINDOWS.items():
        case(
            f"{operator} {name}",
            node(f"{operator} x -> y", **attributes),
            weights={"x": x},
            opset=18,
        )
    case(
        f"{operator} with dilations",
        node(f"{operator} x -> y", kernel_shape=[3], dilations=[2]),
        weights={"x": (1, 2, 7)},
        opset=19,
    )
case(
    "MaxPool ceil over the end",
    node("MaxPool x -> y", kernel_shape=[2], strides=[3], ceil_mode=1, pads=[0, 1]),
    weights={"x": (1, 1, 6)},
    opset=22,
)
case(
    "AveragePool counting pads",
    node("AveragePool x -> y", kernel_shape=[3], pads=[1, 1], count_include_pad=1),
    weights={"x": (1, 1, 5)},
)
for kind in ("Average", "Lp", "Max"):
    case(f"Global{kind}Pool", f"Global{kind}Pool x -> y", weights={"x": (1, 2, 3, 4)})

MATRICES = {
    "of matrices": ((2, 3), (3, 4)),
    "of a vector and a matrix": ((3,), (3, 4)),
    "of a matrix and a vector": ((2, 3), (3,)),
    "of vectors": ((3,), (3,)),
    "of batches": ((2, 2, 3), (2, 3, 4)),
    "broadcast": ((2, 1, 2, 3), (3, 3, 4)),
    "broadcast to more axes": ((2, 3), (5, 1, 3, 2)),
}
for name, (a, b) in MATRICES.items():
    case(f"MatMul {name}", "MatMul x,w -> y", weights={"x": a, "w": b})
case(
    "MatMul with itself",
    node("Transpose x -> t", perm=[1, 0]),
    "MatMul x,t -> y",
    weights={"x": (2, 3)},
)
for first in (0, 1):
    for second in (0, 1):
        case(
            f"Gemm {first} {second}",
            node("Gemm x,w,b -> y", transA=first, transB=second, alpha=0.5),
            weights={
                "x": (3, 2) if first else (2, 3),
                "w": (4, 3) if second else (3, 4),
                "b": (4,),
            },
        )
for bias in [(), (1,), (2, 1), (2, 4), (1, 4)]:
    case(
        f"Gemm with a bias of shape {bias}",
        "Gemm x,w,b -> y",
        weights={"x": (2, 3), "w": (3, 4), "b": bias},
    )
case("Gemm without a bias", "Gemm x,w -> y", weights={"x": (2, 3), "w": (3, 4)})
EQUATIONS: dict[str, list[tuple[int, ...]]] = {
    "ij,jk->ik": [(2, 3), (3, 4)],
    "bhqd,bhkd->bhqk": [(1, 2, 3, 2), (1, 2, 4, 2)],
    "ij->ji": [(2, 3)],
    "ij->": [(2, 3)],
    "ii->i": [(3, 3)],
    "ij,jk,kl->il": [(2, 3), (3, 2), (2, 2)],
    "i,j->ij": [(2,), (3,)],
    "...ij,jk->...ik": [(2, 2, 3), (3, 2)],
    "ij,ij": [(2, 3), (2, 3)],
    "ij,k->i": [(2, 3), (4,)],
}
for equation, shapes in EQUATIONS.items():
    names = ["x", "w", "v"][: len(shapes)]
    case(
        f"Einsum {equation}",
        node(f"Einsum {','.join(names)} -> y", equation=equation),
        weights=dict(zip(names, shapes, strict=True)),
    )

IMAGE = {"x": (1, 4, 2, 3)}
STATISTICS = {"scale": (4,), "shift": (4,), "mean": (4,), "variance": (4,)}
case(
    "BatchNormalization",
    "BatchNormalization x,scale,shift,mean,variance -> y",
    weights={**IMAGE, **STATISTICS},
)
case(
    "BatchNormalization of features",
    "BatchNormalization x,scale,shift,mean,variance -> y",
    weights={"x": (2, 4), **STATISTICS},
    opset=9,
)
case(
    "BatchNormalization of a batch",
    node("BatchNormalization x,scale,shift,mean,variance -> y,m,v", training_mode=1),
    weights={**IMAGE, **STATISTICS},
    outputs="y",
)
for axis, weight in {-1: (4,), 1: (3, 4), 2: (4,), -2: (3, 4), 0: (2, 3, 4)}.items():
    case(
        f"LayerNormalization {axis}",
        node("LayerNormalization x,g,b -> y", axis=axis),
        weights={"x": (2, 3, 4), "g": weight, "b": weight},
    )
    case(
        f"RMSNormalization {axis}",
        node("RMSNormalization x,g -> y", axis=axis),
        weights={"x": (2, 3, 4), "g": weight},
        opset=23,
    )
case(
    "LayerNormalization without a shift",
    "LayerNormalization x,g -> y",
    weights={"x": (2, 3, 4), "g": (4,)},
)
case(
    "LayerNormalization with broadcast weights",
    node("LayerNormalization x,g,b -> y", axis=1),
    weights={"x": (2, 3, 4), "g": (3, 1), "b": (1,)},
)
case(
    "SimplifiedLayerNormalization",
    "SimplifiedLayerNormalization x,g -> y",
    weights={"x": (2, 3, 4), "g": (4,)},
)
for opset, length in {18: 2, 21: 4}.items():
    case(
        f"GroupNormalization {opset}",
        node("GroupNormalization x,g,b -> y", num_groups=2),
        weights={**IMAGE, "g": (length,), "b": (length,)},
        opset=opset,
    )
case(
    "InstanceNormalization",
    "InstanceNormalization x,g,b -> y",
    weights={**IMAGE, "g": (4,), "b": (4,)},
)
case("LpNormalization", node("LpNormalization x -> y", axis=1, p=2), weights=IMAGE)
case("MeanVarianceNormalization", "MeanVarianceNormalization x -> y", weights=IMAGE, opset=13)
case(
    "MeanVarianceNormalization of axes",
    node("MeanVarianceNormalization x -> y", axes=[1, 3]),
    weights=IMAGE,
    opset=13,
)
case(
    "LayerNormalization with its statistics",
    node("LayerNormalization x,g -> y,mean,spread", axis=1),
    weights={"x": (2, 3, 4), "g": (3, 4)},
)
for size in (1, 2, 3, 5):
    case(f"LRN {size}", node("LRN x -> y", size=size), weights=IMAGE)
for operator in ("Softmax", "LogSoftmax"):
    for opset in (11, 13):
        for axis in (None, 1, -1, 0):
            attributes = {} if axis is None else {"axis": axis}
            case(
                f"{operator} {opset} {axis}",
                node(f"{operator} x -> y", **attributes),
                weights={"x": (2, 3, 4)},
                opset=opset,
            )
case(
    "Softmax that is weighted",
    node("Softmax x -> s", axis=-1),
    "MatMul s,w -> y",
    weights={"x": (2, 3), "w": (3, 2)},
)

HEADS = {"q": (1, 2, 3, 2), "k": (1, 2, 4, 2), "v": (1, 2, 4, 3)}
case("Attention", "Attention q,k,v -> y", weights=HEADS, opset=23)
case(
    "Attention with a mask",
    "Attention q,k,v,mask -> y",
    weights={**HEADS, "mask": (3, 4)},
    opset=23,
)
case(
    "Attention with grouped heads",
    "Attention q,k,v -> y",
    weights={**HEADS, "q": (1, 4, 3, 2)},
    opset=23,
)
case(
    "Attention of three axes",
    node("Attention q,k,v -> y", q_num_heads=4, kv_num_heads=2),
    weights={"q": (1, 3, 8), "k": (1, 5, 4), "v": (1, 5, 6)},
    opset=23,
)
case(
    "Attention with a past",
    "Attention q,k,v,,past,old -> y,pk,pv",
    weights={**HEADS, "past": (1, 2, 2, 2), "old": (1, 2, 2, 3)},
    opset=23,
)

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
for operator, gates in GATES.items():
    for direction in ("forward", "reverse", "bidirectional"):
        runs = 2 if direction == "bidirectional" else 1
        weights = {"x": (3, 2, 2), "w": (runs, 3 * gates, 2), "r": (runs, 3 * gates, 3)}
        bias = {"b": (runs, 6 * gates)}
        h = {"h": (runs, 2, 3)}
        more = {"c": (runs, 2, 3), "p": (runs, 9)} if operator == "LSTM" else {}
        options: dict[str, Any] = {"hidden_size": 3, "direction": direction}
        outputs = "y,last,cell" if operator == "LSTM" else "y,last"
        case(
            f"{operator} {direction}",
            node(f"{operator} x,w,r -> {outputs}", **options),
            weights=weights,
        )
        case(
            f"{operator} {direction} with biases",
            node(f"{operator} x,w,r,b -> y", **options),
            weights={**weights, **bias},
        )
        case(
            f"{operator} {direction} with states",
            node(f"{operator} x,w,r,b,,h{',c,p' if more else ''} -> {outputs}", **options),
            weights={**weights, **bias, **h, **more},
        )
        if operator == "GRU":
            for tail, extra in {"": {}, ",b,,h": {**bias, **h}, ",b": bias}.items():
                case(
                    f"GRU {direction} reset after {tail}",
                    node(f"GRU x,w,r{tail} -> y,last", linear_before_reset=1, **options),
                    weights={**weights, **extra},
                )
    case(
        f"{operator} last state only",
        node(f"{operator} x,w,r -> ,last", hidden_size=3),
        weights={"x": (2, 1, 2), "w": (1, 3 * gates, 2), "r": (1, 3 * gates, 3)},
    )
    case(
        f"{operator} batch first",
        node(f"{operator} x,w,r,,,h -> y,last", hidden_size=3, layout=1),
        weights={"x": (2, 4, 2), "w": (1, 3 * gates, 2), "r": (1, 3 * gates, 3), "h": (2, 1, 3)},
    )
case(
    "LSTM with peepholes and no state",
    node("LSTM x,w,r,,,,,p -> y", hidden_size=2),
    weights={"x": (3, 1, 2), "w": (1, 8, 2), "r": (1, 8, 2), "p": (1, 6)},
)
case(
    "LSTM of an input",
    node("LSTM x,w,r -> y", hidden_size=2),
    inputs={"x": (3, 1, 2)},
    weights={"w": (1, 8, 2), "r": (1, 8, 2)},
)
