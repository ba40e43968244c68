"""Operators of onnxruntime, each beside the operators that it was fused from."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from onnx import ModelProto

from cases.onnx_models import model, node

Shape = tuple[int, ...]


class Fused(NamedTuple):
    """A model, and what it is expected to be read as."""

    fused: ModelProto
    plain: ModelProto
    made: dict[str, Shape]
    """Parameters that are stored as integers, in the shape of the parameter."""


CASES: dict[str, Fused] = {}


def case(
    name: str,
    fused: Any,
    *plain: Any,
    weights: dict[str, Shape],
    integers: dict[str, Any] | None = None,
    made: dict[str, Shape] | None = None,
    inputs: dict[str, Shape] | None = None,
    constants: dict[str, Any] | None = None,
    outputs: str = "y",
    opset: int = 17,
) -> None:
    """A node of onnxruntime, and plain nodes; `integers` are stored in the first model only."""
    nodes = [node(fused) if isinstance(fused, str) else fused]
    first = model(
        *nodes,
        weights=weights,
        constants={**(constants or {}), **(integers or {})},
        inputs=inputs,
        outputs=outputs,
        opset=opset,
    )
    second = model(
        *plain,
        weights={**weights, **(made or {})},
        constants=constants,
        inputs=inputs,
        outputs=outputs,
        opset=opset,
    )
    CASES[name] = Fused(first, second, made or {})


def ms(text: str, **attributes: Any) -> Any:
    """A node of onnxruntime's domain."""
    return node(f"com.microsoft::{text}", **attributes)


def integers(*shape: int) -> Any:
    return np.ones(shape, dtype=np.int8)


X = {"x": (2, 3)}

case("Gelu", ms("Gelu x -> y"), "Erf x -> y", weights=X)
case("QuickGelu", ms("QuickGelu x -> y", alpha=1.5), "Erf x -> y", weights=X)
for operator in ("BiasGelu", "FastGelu"):
    case(
        operator, ms(f"{operator} x,b -> y"), "Add x,b -> a", "Erf a -> y", weights={**X, "b": (3,)}
    )
case(
    "BiasSoftmax",
    ms("BiasSoftmax x,b -> y", axis=1, is_inner_broadcast=0),
    "Add x,b -> a",
    node("Softmax a -> y", axis=1),
    weights={**X, "b": (2, 3)},
)
MATRICES = {"a": (2, 3, 4), "b": (2, 3, 5)}
case(
    "FusedMatMul",
    ms("FusedMatMul a,b -> y", transA=1, alpha=0.5),
    node("Transpose a -> t", perm=[0, 2, 1]),
    "MatMul t,b -> y",
    weights=MATRICES,
)
case(
    "FusedMatMul of batches",
    ms("FusedMatMul a,b -> y", transBatchA=1, transBatchB=1, transB=1),
    node("Transpose a -> t", perm=[1, 0, 2]),
    node("Transpose b -> u", perm=[1, 2, 0]),
    "MatMul t,u -> y",
    weights={"a": (2, 3, 4), "b": (5, 3, 4)},
)
case(
    "FusedGemm",
    ms("FusedGemm a,b,c -> y", transA=1, activation="Relu"),
    node("Gemm a,b,c -> t", transA=1),
    "Relu t -> y",
    weights={"a": (3, 2), "b": (3, 4), "c": (4,)},
)
KERNEL = {"w": (4, 2, 3, 3), "b": (4,)}
CONV = {"strides": [2, 1], "pads": [1, 0, 1, 1], "kernel_shape": [3, 3]}
case(
    "FusedConv",
    ms("FusedConv x,w,b,z -> y", activation="Relu", **CONV),
    node("Conv x,w,b -> c", **CONV),
    "Add c,z -> s",
    "Relu s -> y",
    weights={"x": (1, 2, 5, 5), **KERNEL, "z": (1, 4, 3, 4)},
)
LAST = [
    node("Transpose x -> f", perm=[0, 3, 1, 2]),
    node("Conv f,w,b -> c", **CONV),
    node("Transpose c -> l", perm=[0, 2, 3, 1]),
]
for operator in ("NhwcConv", "NhwcFusedConv"):
    case(
        operator,
        ms(f"{operator} x,w,b -> y", **CONV),
        *LAST,
        "Identity l -> y",
        weights={"x": (1, 5, 5, 2), **KERNEL},
    )
case(
    "NhwcConv with channels of the kernel last",
    ms("NhwcConv x,w,b -> y", **CONV),
    node("Transpose w -> v", perm=[0, 3, 1, 2]),
    node("Transpose x -> f", perm=[0, 3, 1, 2]),
    node("Conv f,v,b -> c", **CONV),
    node("Transpose c -> y", perm=[0, 2, 3, 1]),
    weights={"x": (1, 5, 5, 2), "w": (4, 3, 3, 2), "b": (4,)},
)
case(
    "NhwcMaxPool",
    ms("NhwcMaxPool x -> y", kernel_shape=[2, 2], strides=[2, 2]),
    node("Transpose x -> f", perm=[0, 3, 1, 2]),
    node("MaxPool f -> p", kernel_shape=[2, 2], strides=[2, 2]),
    node("Transpose p -> y", perm=[0, 2, 3, 1]),
    weights={"x": (1, 4, 4, 2)},
)
NORM = {"x": (2, 3), "skip": (2, 3), "g": (3,), "h": (3,), "b": (3,)}
case(
    "SkipLayerNormalization",
    ms("SkipLayerNormalization x,skip,g,h,b -> n,,,s"),
    "Sum x,skip,b -> s",
    node("LayerNormalization s,g,h -> n", axis=-1),
    weights=NORM,
    outputs="n,s",
)
case(
    "SkipSimplifiedLayerNormalization",
    ms("SkipSimplifiedLayerNormalization x,skip,g,b -> y"),
    "Sum x,skip,b -> s",
    node("LayerNormalization s,g -> y", axis=-1),
    weights={name: NORM[name] for name in ("x", "skip", "g", "b")},
)
TABLES = {"words": (5, 3), "places": (4, 3), "parts": (2, 3), "g": (3,), "h": (3,)}
case(
    "EmbedLayerNormalization",
    ms("EmbedLayerNormalization ids,sides,words,places,parts,g,h -> y,m"),
    "Gather words,ids -> a",
    "Gather places,first -> b",
    "Gather parts,sides -> c",
    "Sum a,b,c -> s",
    node("LayerNormalization s,g,h -> y", axis=-1),
    weights=TABLES,
    inputs={"ids": (1, 2), "sides": (1, 2)},
    constants={"first": np.array([[0, 1]])},
)
TOKENS = {"x": (1, 3, 4)}


def apart(*names: str) -> list[Any]:
    """Two heads of tensors of shape (1, tokens, features)."""
    nodes = []
    for name in names:
        nodes.append(node(f"Reshape {name},heads -> {name}r"))
        nodes.append(node(f"Transpose {name}r -> {name}h", perm=[0, 2, 1, 3]))
    return nodes


ATTENDED = [
    node("Transpose kh -> kt", perm=[0, 1, 3, 2]),
    "MatMul qh,kt -> s",
    node("Softmax s -> p", axis=-1),
    "MatMul p,vh -> o",
    node("Transpose o -> ot", perm=[0, 2, 1, 3]),
    "Reshape ot,joined -> y",
]
HEADS = {"heads": np.array([0, 0, 2, -1]), "joined": np.array([0, 0, -1])}
case(
    "Attention",
    ms("Attention x,w,b -> y", num_heads=2),
    "MatMul x,w -> m",
    "Add m,b -> a",
    node("Split a -> q,k,v", axis=2, num_outputs=3),
    *apart("q", "k", "v"),
    *ATTENDED,
    weights={**TOKENS, "w": (4, 12), "b": (12,)},
    constants=HEADS,
    opset=18,
)
case(
    "QAttention",
    ms("QAttention x,w,b,xs,ws -> y", num_heads=2),
    "MatMul x,w -> m",
    "Add m,b -> a",
    node("Split a -> q,k,v", axis=2, num_outputs=3),
    *apart("q", "k", "v"),
    *ATTENDED,
    weights={**TOKENS, "b": (12,)},
    integers={"w": integers(4, 12), "xs": integers(1), "ws": integers(1)},
    made={"w": (4, 12)},
    constants=HEADS,
    opset=18,
)
QKV = {"q0": (1, 3, 4), "k0": (1, 5, 4), "v0": (1, 5, 6), "b": (14,)}
case(
    "MultiHeadAttention",
    ms("MultiHeadAttention q0,k0,v0,b -> y", num_heads=2),
    "Split b,widths -> bq,bk,bv",
    "Add q0,bq -> q",
    "Add k0,bk -> k",
    "Add v0,bv -> v",
    *apart("q", "k", "v"),
    *ATTENDED,
    weights=QKV,
    constants={**HEADS, "widths": np.array([4, 4, 6])},
)


def seen_only(lines: list[Any]) -> list[Any]:
    """Scores put out where a query does not see a key."""
    where = [node("Where seen,s,low -> m"), node("Softmax m -> p", axis=-1)]
    softmax = next(at for at, one in enumerate(lines) if getattr(one, "op_type", "") == "Softmax")
    return [*lines[:softmax], *where, *lines[softmax + 1 :]]


MASKED = {**HEADS, "low": np.float32(-1e9)}
for name, options, seen in (
    ("GroupQueryAttention", {}, np.tri(3, 3, 0)),
    ("GroupQueryAttention in a window", {"local_window_size": 2}, np.tri(3) - np.tri(3, k=-2)),
):
    case(
        name,
        ms("GroupQueryAttention q,k,v -> y", num_heads=2, kv_num_heads=1, **options),
        *apart("q"),
        "Unsqueeze k,one -> k1",
        "Unsqueeze v,one -> v1",
        node("Concat k1,k1 -> kh", axis=1),
        node("Concat v1,v1 -> vh", axis=1),
        *seen_only(ATTENDED),
        weights={"q": (1, 3, 4), "k": (1, 3, 2), "v": (1, 3, 2)},
        constants={**MASKED, "one": np.array([1]), "seen": seen.astype(bool)},
    )
case(
    "causal Attention",
    ms("Attention x,w,b -> y", num_heads=2, unidirectional=1),
    "MatMul x,w -> m0",
    "Add m0,b -> a",
    node("Split a -> q,k,v", axis=2, num_outputs=3),
    *apart("q", "k", "v"),
    *seen_only(ATTENDED),
    weights={**TOKENS, "w": (4, 12), "b": (12,)},
    constants={**MASKED, "seen": np.tri(3).astype(bool)},
    opset=18,
)
case(
    "MultiHeadAttention with padding",
    ms("MultiHeadAttention q,k,v,,kept -> y", num_heads=2),
    *apart("q", "k", "v"),
    *seen_only(ATTENDED),
    weights={"q": (1, 3, 4), "k": (1, 4, 4), "v": (1, 4, 4)},
    constants={
        **MASKED,
        "kept": np.array([[1, 1, 0, 1]]),
        "seen": np.array([[[[True, True, False, True]]]]),
    },
)


def turned(x: str, y: str) -> list[Any]:
    """Features 0, 1 and 2, 3 of every head turned as pairs, by the rows of angles c and s."""
    return [
        node(f"Split {x} -> {x}1,{x}2", axis=3),
        f"Mul {x}1,c -> {x}a",
        f"Mul {x}2,s -> {x}b",
        f"Mul {x}1,s -> {x}c",
        f"Mul {x}2,c -> {x}d",
        f"Sub {x}a,{x}b -> {x}e",
        f"Add {x}c,{x}d -> {x}f",
        node(f"Concat {x}e,{x}f -> {y}", axis=3),
    ]


ANGLES = ["Gather cos,rows -> c", "Gather sin,rows -> s"]
ROTARY = {"x": (1, 2, 3, 4), "cos": (6, 2), "sin": (6, 2)}
for name, first, text, domain in (
    ("RotaryEmbedding", [[2, 3, 4]], "RotaryEmbedding x,cos,sin,at -> y", ""),
    ("RotaryEmbedding of onnxruntime", [2], "RotaryEmbedding x,at,cos,sin -> y", "com.microsoft::"),
):
    case(
        name,
        node(f"{domain}{text}"),
        *ANGLES,
        *turned("x", "y"),
        weights=ROTARY,
        constants={"at": np.array(first), "rows": np.array([2, 3, 4])},
        opset=23,
    )
case(
    "RotaryEmbedding of pairs side by side",
    node("RotaryEmbedding x,cos,sin,at -> y", interleaved=1),
    *ANGLES,
    node("Gather x,even -> u", axis=3),
    node("Gather x,odd -> w", axis=3),
    "Mul u,c -> a",
    "Mul w,s -> b",
    "Mul u,s -> d",
    "Mul w,c -> e",
    "Sub a,b -> f",
    "Add d,e -> g",
    "Unsqueeze f,last -> f1",
    "Unsqueeze g,last -> g1",
    node("Concat f1,g1 -> h", axis=4),
    "Reshape h,shape -> y",
    weights=ROTARY,
    constants={
        "at": np.array([[2, 3, 4]]),
        "rows": np.array([2, 3, 4]),
        "even": np.array([0, 2]),
        "odd": np.array([1, 3]),
        "last": np.array([4]),
        "shape": np.array([1, 2, 3, 4]),
    },
    opset=23,
)
case(
    "MatMulNBits",
    ms("MatMulNBits x,w,scales -> y", K=32, N=3, bits=4, block_size=16),
    "MatMul x,w -> y",
    weights={"x": (2, 32)},
    integers={"w": np.zeros((3, 2, 8), np.uint8), "scales": np.ones(6, np.int64)},
    made={"w": (32, 3)},
)
SCALES = {name: np.array(1) for name in ("as", "az", "bs", "bz", "ys", "yz")}
case(
    "DynamicQuantizeMatMul",
    ms("DynamicQuantizeMatMul x,w,bs,bz,b -> y"),
    "MatMul x,w -> m",
    "Add m,b -> y",
    weights={"x": (2, 3), "b": (4,)},
    integers={"w": integers(3, 4), **SCALES},
    made={"w": (3, 4)},
)
case(
    "MatMulIntegerToFloat",
    ms("MatMulIntegerToFloat x,w,as,bs,az,bz,b -> y"),
    "MatMul x,w -> m",
    "Add m,b -> y",
    weights={"x": (2, 3), "b": (4,)},
    integers={"w": integers(3, 4), **SCALES},
    made={"w": (3, 4)},
)
case(
    "QGemm",
    ms("QGemm x,as,az,w,bs,bz,b,ys,yz -> y", transB=1),
    node("Gemm x,w,b -> y", transB=1),
    weights={"x": (2, 3)},
    integers={"w": integers(4, 3), "b": np.ones(4, np.int32), **SCALES},
    made={"w": (4, 3), "b": (4,)},
)
PAIR = {"x": (2, 3), "w": (2, 3)}
for operator, plain in (("QLinearAdd", "Add"), ("QLinearMul", "Mul")):
    case(
        operator,
        ms(f"{operator} x,as,az,w,bs,bz,ys,yz -> y"),
        f"{plain} x,w -> y",
        weights=PAIR,
        integers=SCALES,
    )
case(
    "QLinearConcat",
    ms("QLinearConcat ys,yz,x,as,az,w,bs,bz -> y", axis=1),
    node("Concat x,w -> y", axis=1),
    weights=PAIR,
    integers=SCALES,
)
for operator in ("QLinearSigmoid", "QLinearLeakyRelu"):
    case(
        operator, ms(f"{operator} x,as,az,ys,yz -> y"), "Sigmoid x -> y", weights=X, integers=SCALES
    )
case(
    "QLinearSoftmax",
    ms("QLinearSoftmax x,as,az,ys,yz -> y", axis=1, opset=13),
    node("Softmax x -> y", axis=1),
    weights=X,
    integers=SCALES,
)
IMAGE = {"x": (1, 2, 4, 4)}
case(
    "QLinearGlobalAveragePool",
    ms("QLinearGlobalAveragePool x,as,az,ys,yz -> y"),
    "GlobalAveragePool x -> y",
    weights=IMAGE,
    integers=SCALES,
)
case(
    "QLinearGlobalAveragePool with channels last",
    ms("QLinearGlobalAveragePool x,as,az,ys,yz -> y", channels_last=1),
    node("ReduceMean x -> y", axes=[1, 2]),
    weights=IMAGE,
    integers=SCALES,
)
case(
    "QLinearAveragePool",
    ms("QLinearAveragePool x,as,az,ys,yz -> y", kernel_shape=[2, 2]),
    node("AveragePool x -> y", kernel_shape=[2, 2]),
    weights=IMAGE,
    integers=SCALES,
)
case(
    "QLinearReduceMean",
    ms("QLinearReduceMean x,as,az,ys,yz -> y", axes=[1], keepdims=0),
    node("ReduceMean x -> y", axes=[1], keepdims=0),
    weights=X,
    integers=SCALES,
)
case(
    "QLinearWhere",
    ms("QLinearWhere c,x,as,az,w,bs,bz,ys,yz -> y"),
    "Where c,x,w -> y",
    weights=PAIR,
    integers=SCALES,
    constants={"c": np.array([True, False, True])},
)
case(
    "QLinearConv with channels last",
    ms("QLinearConv x,as,az,w,bs,bz,ys,yz,b -> y", channels_last=1, **CONV),
    *LAST,
    "Identity l -> y",
    weights={"x": (1, 5, 5, 2)},
    integers={"w": integers(4, 2, 3, 3), "b": np.ones(4, np.int32), **SCALES},
    made={"w": (4, 2, 3, 3), "b": (4,)},
)
for operator in ("BiasAdd", "BiasDropout"):
    case(operator, ms(f"{operator} x,b,w -> y"), "Sum x,b,w -> y", weights={**PAIR, "b": (3,)})
case(
    "TransposeMatMul",
    ms("TransposeMatMul a,b -> y", transA=1),
    node("Transpose a -> t", perm=[0, 2, 1]),
    "MatMul t,b -> y",
    weights=MATRICES,
)
case(
    "QuantizeLinear and DequantizeLinear",
    ms("QuantizeLinear x,as,az -> q"),
    "Identity x -> y",
    weights=X,
    integers=SCALES,
)
last = CASES["QuantizeLinear and DequantizeLinear"].fused.graph
last.node.append(ms("DequantizeLinear q,as,az -> y"))
PACKED = {"qkv": (1, 3, 2, 3, 2)}
case(
    "MultiHeadAttention of packed queries, keys and values",
    ms("MultiHeadAttention qkv -> y", num_heads=2),
    node("Split qkv -> q5,k5,v5", axis=3, num_outputs=3),
    *[f"Reshape {one}5,flat -> {one}" for one in "qkv"],
    *apart("q", "k", "v"),
    *ATTENDED,
    weights=PACKED,
    constants={**HEADS, "flat": np.array([1, 3, 4])},
    opset=18,
)
case(
    "MultiHeadAttention of packed keys and values",
    ms("MultiHeadAttention q,kv -> y", num_heads=2),
    node("Split kv -> k5,v5", axis=3, num_outputs=2),
    *[f"Reshape {one}5,flat -> {one}" for one in "kv"],
    *apart("q", "k", "v"),
    *ATTENDED,
    weights={"q": (1, 3, 4), "kv": (1, 5, 2, 2, 2)},
    constants={**HEADS, "flat": np.array([1, 5, 4])},
    opset=18,
)
case(
    "Attention with a past",
    ms("Attention x,w,b,,past -> y,present", num_heads=2),
    "MatMul x,w -> m",
    "Add m,b -> a",
    node("Split a -> q,k,v", axis=2, num_outputs=3),
    *apart("q", "k", "v"),
    node("Split past -> pk5,pv5", axis=0, num_outputs=2),
    "Reshape pk5,old -> pk",
    "Reshape pv5,old -> pv",
    node("Concat pk,kh -> kall", axis=2),
    node("Concat pv,vh -> vall", axis=2),
    node("Transpose kall -> kt", perm=[0, 1, 3, 2]),
    "MatMul qh,kt -> s",
    node("Softmax s -> p", axis=-1),
    "MatMul p,vall -> o",
    node("Transpose o -> ot", perm=[0, 2, 1, 3]),
    "Reshape ot,joined -> y",
    "Unsqueeze kall,zero -> k1",
    "Unsqueeze vall,zero -> v1",
    node("Concat k1,v1 -> present", axis=0),
    weights={**TOKENS, "w": (4, 12), "b": (12,), "past": (2, 1, 2, 2, 2)},
    constants={**HEADS, "old": np.array([1, 2, 2, 2]), "zero": np.array([0])},
    outputs="y,present",
    opset=18,
)
case(
    "Attention with widths and a bias of scores",
    ms("Attention x,w,,,,more -> y", num_heads=2, qkv_hidden_sizes=[4, 4, 6]),
    "MatMul x,w -> a",
    node("Split a,widths -> q,k,v", axis=2),
    *apart("q", "k", "v"),
    node("Transpose kh -> kt", perm=[0, 1, 3, 2]),
    "MatMul qh,kt -> s0",
    "Add s0,more -> s",
    node("Softmax s -> p", axis=-1),
    "MatMul p,vh -> o",
    node("Transpose o -> ot", perm=[0, 2, 1, 3]),
    "Reshape ot,joined -> y",
    weights={**TOKENS, "w": (4, 14), "more": (1, 2, 3, 3)},
    constants={**HEADS, "widths": np.array([4, 4, 6])},
)
