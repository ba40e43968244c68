"""Fused ONNX operators count as those written out, and gates keep the edges of both factors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

from onnx import ModelProto, TensorProto

from cases.onnx_models import model, node
from oracles.onnx_checking import assert_counts

X = {"x": (2, 3, 4)}
NUMBERS = {
    name: np.float32(value)
    for name, value in {
        "zero": 0,
        "half": 0.5,
        "one": 1,
        "two": 2,
        "three": 3,
        "six": 6,
        "root": 1.4142,
        "eps": 1e-5,
        "cube": 0.0447,
    }.items()
}
PLAIN = model("Identity x -> y", weights=X)


def equal(form: ModelProto, *nodes: Any, semantics: Any = "value", **options: Any) -> None:
    """The nodes count as the model `form`, in which nothing is left to recognise."""
    options.setdefault("weights", X)
    options["constants"] = {**NUMBERS, **options.get("constants", {})}
    assert_counts(model(*nodes, **options), as_if=form, semantics=semantics)


SUM = node("ReduceSum e,last -> s", keepdims=1)
LOG_SUM_EXP: dict[str, list[Any]] = {
    "plain": [
        "ReduceMax x,last -> m",
        "Sub x,m -> d",
        "Exp d -> e",
        SUM,
        "Log s -> l",
        "Add l,m -> y",
    ],
    "the statistic first": [
        *["ReduceMax x,last -> m", "Sub x,m -> d", "Exp d -> e", SUM, "Log s -> l", "Add m,l -> y"]
    ],
    "of the negative": [
        *["ReduceMin x,last -> m", "Sub m,x -> d", "Exp d -> e", SUM, "Log s -> l", "Sub m,l -> y"]
    ],
    "of minus the tensor": [
        *["Neg x -> n", "ReduceMax n,last -> m", "Sub n,m -> d", "Exp d -> e", SUM, "Log s -> l"],
        "Add l,m -> y",
    ],
    "with a temperature": [
        *["ReduceMax x,last -> m", "Sub x,m -> d", "Div d,two -> f", "Exp f -> e", SUM],
        *["Log s -> l", "Mul l,two -> k", "Add k,m -> y"],
    ],
    "shifted by the largest of all": [
        *["ReduceMax x,all -> m", "Sub x,m -> d", "Exp d -> e", SUM, "Log s -> l", "Add l,m -> y"]
    ],
    "of the mean": [
        *["ReduceMax x,last -> m", "Sub x,m -> d", "Exp d -> e"],
        *["ReduceMean e,last -> s", "Log s -> l", "Add l,m -> y"],
    ],
}
"""A statistic is subtracted, so that exponentials stay small, and added back."""


@pytest.mark.parametrize("semantics", ["value", "dependency"])
@pytest.mark.parametrize("name", LOG_SUM_EXP)
def test_log_sum_exp_is_one_reduction(name: str, semantics: str) -> None:
    form = model("ReduceSum x,last -> y", weights=X, constants={"last": np.array([-1])})
    axes = {"last": np.array([-1]), "all": np.array([0, 1, 2])}
    equal(form, *LOG_SUM_EXP[name], semantics=semantics, constants=axes, opset=18)


def test_log_sum_exp_without_its_axis() -> None:
    nodes = [
        *["ReduceMax x,last -> m", "Sub x,m -> d", "Exp d -> e"],
        *[node("ReduceSum e,last -> s", keepdims=0), "Log s -> l", "Squeeze m,last -> q"],
        "Add l,q -> y",
    ]
    summed = node("ReduceSum x,last -> y", keepdims=0)
    constants = {"last": np.array([-1])}
    form = model(summed, weights=X, constants=constants)
    equal(form, *nodes, constants=constants, opset=18)


ADDED: dict[str, list[Any]] = {
    "a mean and a maximum": ["ReduceMax x,last -> m", "ReduceMean x,last -> a", "Add a,m -> y"],
    "added twice": [
        *["ReduceMax x,last -> m", "Sub x,m -> d", "Exp d -> e", SUM, "Log s -> l"],
        *["Add l,m -> k", "Add k,m -> y"],
    ],
    "subtracted twice": [
        *["ReduceMax x,last -> m", "Sub x,m -> d", "Exp d -> e", SUM, "Log s -> l", "Sub l,m -> y"]
    ],
    "another statistic added": [
        *["ReduceMax x,last -> m", "ReduceMin x,last -> a", "Sub x,m -> d", "Exp d -> e", SUM],
        *["Log s -> l", "Add l,a -> y"],
    ],
}


@pytest.mark.parametrize("name", ADDED)
def test_other_sums_of_statistics_have_edges_from_each(name: str) -> None:
    form = model(
        *["ReduceSum x,last -> a", "Add a,a -> y"], weights=X, constants={"last": np.array([-1])}
    )
    equal(form, *ADDED[name], constants={"last": np.array([-1])}, opset=18)


GATED: dict[str, list[Any]] = {
    "SiLU": ["Sigmoid x -> s", "Mul x,s -> y"],
    "SiLU, the gate first": ["Sigmoid x -> s", "Mul s,x -> y"],
    "SiLU with a factor": ["Mul x,root -> f", "Sigmoid f -> s", "Mul x,s -> y"],
    "GELU by the error function": [
        "Div x,root -> a",
        "Erf a -> b",
        "Add b,one -> c",
        "Mul x,c -> d",
        "Mul d,half -> y",
    ],
    "GELU by the error function, halved first": [
        "Mul x,half -> h",
        "Div x,root -> a",
        "Erf a -> b",
        "Add b,one -> c",
        "Mul h,c -> y",
    ],
    "GELU by the hyperbolic tangent": [
        "Pow x,three -> a",
        "Mul a,cube -> b",
        "Add x,b -> c",
        "Mul c,root -> d",
        "Tanh d -> e",
        "Add e,one -> f",
        "Mul x,half -> g",
        "Mul g,f -> y",
    ],
    "hard sigmoid": ["Add x,three -> a", "Relu a -> b", "Min b,six -> c", "Div c,six -> y"],
    "hard swish": [
        "Add x,three -> a",
        "Clip a,zero,six -> b",
        "Div b,six -> c",
        "Mul x,c -> y",
    ],
    "hard swish by HardSigmoid": ["HardSigmoid x -> s", "Mul x,s -> y"],
    "Mish": ["Softplus x -> a", "Tanh a -> b", "Mul x,b -> y"],
    "Mish written out": [
        "Exp x -> a",
        "Add a,one -> b",
        "Log b -> c",
        "Tanh c -> d",
        "Mul x,d -> y",
    ],
    "a square": ["Mul x,x -> y"],
    "softsign": ["Abs x -> a", "Add a,one -> b", "Div x,b -> y"],
}


@pytest.mark.parametrize("semantics", ["value", "dependency"])
@pytest.mark.parametrize("name", GATED)
def test_a_gate_by_a_function_of_the_same_tensor_is_one_function(name: str, semantics: str) -> None:
    equal(PLAIN, *GATED[name], semantics=semantics)


LAYER_NORM = model(
    node("LayerNormalization x,g,b -> y", axis=-1), weights={**X, "g": (4,), "b": (4,)}
)
CENTRED = [node("ReduceMean x -> m", axes=[-1]), "Sub x,m -> d"]
SCALED = ["Mul n,g -> s", "Add s,b -> y"]
NORMS: dict[str, list[Any]] = {
    "by a power": [
        *CENTRED,
        "Pow d,two -> q",
        node("ReduceMean q -> v", axes=[-1]),
        "Add v,eps -> e",
        "Sqrt e -> r",
        "Div d,r -> n",
        *SCALED,
    ],
    "by a product": [
        *CENTRED,
        "Mul d,d -> q",
        node("ReduceMean q -> v", axes=[-1]),
        "Add v,eps -> e",
        "Sqrt e -> r",
        "Reciprocal r -> i",
        "Mul d,i -> n",
        *SCALED,
    ],
    "by the mean of squares": [
        node("ReduceMean x -> m", axes=[-1]),
        "Mul x,x -> xx",
        node("ReduceMean xx -> mm", axes=[-1]),
        "Mul m,m -> m2",
        "Sub mm,m2 -> v",
        "Add v,eps -> e",
        "Sqrt e -> r",
        "Sub x,m -> d",
        "Div d,r -> n",
        *SCALED,
    ],
    "by the negative root": [
        *CENTRED,
        "Mul d,d -> q",
        node("ReduceMean q -> v", axes=[-1]),
        "Add v,eps -> e",
        "Pow e,minus -> i",
        "Mul d,i -> n",
        *SCALED,
    ],
    "with casts": [
        node("Cast x -> x64", to=TensorProto.DOUBLE),
        node("ReduceMean x64 -> m", axes=[-1]),
        "Sub x64,m -> d",
        "Mul d,d -> q",
        node("ReduceMean q -> v", axes=[-1]),
        node("Cast v -> v32", to=TensorProto.FLOAT),
        "Add v32,eps -> e",
        "Sqrt e -> r",
        node("Cast d -> d32", to=TensorProto.FLOAT),
        "Div d32,r -> n",
        *SCALED,
    ],
}


@pytest.mark.parametrize("semantics", ["value", "dependency"])
@pytest.mark.parametrize("name", NORMS)
def test_layer_norm_written_out(name: str, semantics: str) -> None:
    equal(
        LAYER_NORM,
        *NORMS[name],
        semantics=semantics,
        weights={**X, "g": (4,), "b": (4,)},
        constants={"minus": np.float32(-0.5)},
    )


RMS = [
    "Mul x,x -> q",
    node("ReduceMean q -> v", axes=[-1]),
    "Add v,eps -> e",
    "Sqrt e -> r",
]


@pytest.mark.parametrize("semantics", ["value", "dependency"])
@pytest.mark.parametrize(
    "last",
    [
        ["Div x,r -> n", "Mul n,g -> y"],
        ["Reciprocal r -> i", "Mul x,i -> n", "Mul g,n -> y"],
        ["Div one,r -> i", "Mul i,x -> n", "Mul g,n -> y"],
    ],
)
def test_rms_norm_written_out(last: list[Any], semantics: str) -> None:
    form = model("RMSNormalization x,g -> y", weights={**X, "g": (4,)}, opset=23)
    equal(form, *RMS, *last, semantics=semantics, weights={**X, "g": (4,)})


@pytest.mark.parametrize("semantics", ["value", "dependency"])
@pytest.mark.parametrize("norm", ["ReduceL2", "ReduceL1", "ReduceMax", "ReduceSum"])
def test_a_tensor_divided_by_its_norm(norm: str, semantics: str) -> None:
    form = model(node("LpNormalization x -> y", axis=1), weights=X)
    axes = {"axes": [1]} if norm != "ReduceSum" else {}
    given = ",axes" if norm == "ReduceSum" else ""
    equal(
        form,
        node(f"{norm} x{given} -> s", **axes),
        "Max s,eps -> c",
        "Div x,c -> y",
        semantics=semantics,
        constants={"axes": np.array([1])},
    )
    expanded = ["Shape x -> shape", "Expand s,shape -> wide", "Div x,wide -> y"]
    nodes = [node(f"{norm} x{given} -> s", **axes), *expanded]
    equal(form, *nodes, semantics=semantics, constants={"axes": np.array([1])})


@pytest.mark.parametrize("semantics", ["value", "dependency"])
@pytest.mark.parametrize("shifted", [False, True])
def test_softmax_written_out(shifted: bool, semantics: str) -> None:
    form = model(node("Softmax x -> y", axis=2), weights=X)
    first = [node("ReduceMax x -> m", axes=[2]), "Sub x,m -> d"] if shifted else ["Identity x -> d"]
    equal(
        form,
        *first,
        "Exp d -> e",
        node("ReduceSum e,axes -> s"),
        "Div e,s -> y",
        semantics=semantics,
        constants={"axes": np.array([2])},
    )


@pytest.mark.parametrize("semantics", ["value", "dependency"])
def test_instance_norm_written_out(semantics: str) -> None:
    weights = {"x": (1, 2, 3, 4), "g": (2,), "b": (2,)}
    form = model("InstanceNormalization x,g,b -> y", weights=weights)
    equal(
        form,
        node("ReduceMean x -> m", axes=[2, 3]),
        "Sub x,m -> d",
        "Mul d,d -> q",
        node("ReduceMean q -> v", axes=[2, 3]),
        "Add v,eps -> e",
        "Sqrt e -> r",
        "Div d,r -> n",
        "Unsqueeze g,last -> g3",
        "Unsqueeze b,last -> b3",
        "Mul n,g3 -> s",
        "Add s,b3 -> y",
        semantics=semantics,
        weights=weights,
        constants={"last": np.array([1, 2])},
    )


@pytest.mark.parametrize("semantics", ["value", "dependency"])
def test_batch_norm_written_out(semantics: str) -> None:
    names = ["scale", "shift", "mean", "variance"]
    weights = {"x": (1, 2, 3, 3), **dict.fromkeys(names, (2, 1, 1))}
    equal(
        model("Sum x,scale,shift,mean,variance -> y", weights=weights),
        "Sub x,mean -> d",
        "Add variance,eps -> e",
        "Sqrt e -> r",
        "Div d,r -> n",
        "Mul n,scale -> s",
        "Add s,shift -> y",
        semantics=semantics,
        weights=weights,
    )


@pytest.mark.parametrize("semantics", ["value", "dependency"])
def test_attention_written_out(semantics: str) -> None:
    weights = {"q": (1, 2, 3, 2), "k": (1, 2, 4, 2), "v": (1, 2, 4, 3)}
    equal(
        model("Attention q,k,v -> y", weights=weights, opset=23),
        node("Transpose k -> t", perm=[0, 1, 3, 2]),
        "Mul q,half -> scaled",
        "MatMul scaled,t -> scores",
        node("Softmax scores -> p", axis=-1),
        "MatMul p,v -> y",
        semantics=semantics,
        weights=weights,
    )


GATES: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "squeeze and excite": (
        ["GlobalAveragePool x -> p", "Conv p,w -> c", "Sigmoid c -> s", "Mul x,s -> y"],
        {"x": (1, 2, 3, 3), "w": (2, 2, 1, 1)},
    ),
    "squeeze and excite by a mean": (
        [
            node("ReduceMean x -> p", axes=[2, 3]),
            "Conv p,w -> c",
            "HardSigmoid c -> s",
            "Mul x,s -> y",
        ],
        {"x": (1, 2, 3, 3), "w": (2, 2, 1, 1)},
    ),
    "a gated linear unit": (
        [node("Split x -> a,b", axis=1), "Sigmoid b -> s", "Mul a,s -> y"],
        {"x": (2, 4)},
    ),
    "a gate by a sum with a bias": (
        ["Add x,w -> a", "Sigmoid a -> s", "Mul x,s -> y"],
        {"x": (2, 4), "w": (4,)},
    ),
    "a mean that is added": ([node("ReduceMean x -> m", axes=[1]), "Add x,m -> y"], {"x": (2, 4)}),
    "a mean that multiplies": (
        [node("ReduceMean x -> m", axes=[1]), "Mul x,m -> y"],
        {"x": (2, 4)},
    ),
    "the mean of another tensor subtracted": (
        [node("ReduceMean w -> m", axes=[1]), "Sub x,m -> y"],
        {"x": (2, 4), "w": (2, 4)},
    ),
    "division by the norm of another tensor": (
        [node("ReduceL2 w -> m", axes=[1]), "Div x,m -> y"],
        {"x": (2, 4), "w": (2, 4)},
    ),
    "a norm over itself": ([node("ReduceL2 x -> m", axes=[1]), "Div m,x -> y"], {"x": (2, 4)}),
    "a tensor and its transpose": (["Transpose x -> t", "Mul x,t -> y"], {"x": (3, 3)}),
    "a mean transposed and subtracted": (
        [node("ReduceMean x -> m", axes=[1], keepdims=0), "Sub x,m -> y"],
        {"x": (3, 3)},
    ),
}


@pytest.mark.parametrize("semantics", ["value", "dependency"])
@pytest.mark.parametrize("name", GATES)
def test_what_only_looks_like_a_normaliser_keeps_both_edges(name: str, semantics: str) -> None:
    nodes, weights = GATES[name]
    assert_counts(model(*nodes, weights=weights), semantics=semantics)


@pytest.mark.parametrize("semantics", ["value", "dependency"])
def test_global_response_norm(semantics: str) -> None:
    """Norms over their mean are normalised; the product with them is a gate."""
    weights = {"x": (1, 3, 3, 2), "g": (2,), "b": (2,)}
    norm = node("ReduceL2 x -> n", axes=[1, 2])
    last = ["Mul x,r -> p", "Mul g,p -> s", "Add s,b -> t", "Add x,t -> y"]
    form = model(norm, node("LpNormalization n -> r", axis=-1), *last, weights=weights)
    equal(
        form,
        norm,
        node("ReduceMean n -> m", axes=[-1]),
        "Add m,eps -> e",
        "Div n,e -> r",
        *last,
        semantics=semantics,
        weights=weights,
    )


PADDED = {"x": (1, 2, 5, 4), "w": (3, 2, 3, 2)}
SIDES = {"sides": np.array([0, 0, 1, 2, 0, 0, 0, 1])}
WINDOWED = {
    "Conv": ("Conv p,w -> y", {}),
    "strided": ("Conv p,w -> y", {"strides": [2, 2]}),
    "padded twice": ("Conv p,w -> y", {"pads": [1, 0, 1, 1]}),
    "MaxPool": ("MaxPool p -> y", {"kernel_shape": [3, 3], "strides": [2, 2]}),
}


@pytest.mark.parametrize("between", [[], ["Relu q -> p"]])
@pytest.mark.parametrize("name", WINDOWED)
def test_padding_is_no_node_whether_it_is_an_operator_or_an_attribute(
    name: str, between: list[Any]
) -> None:
    text, attributes = WINDOWED[name]
    pads = np.add(attributes.get("pads", [0] * 4), [1, 2, 0, 1])
    together = node(text.replace(" p", " x"), **{**attributes, "pads": pads.tolist()})
    first = f"Pad x,sides -> {'q' if between else 'p'}"
    apart = [first, *between, node(text, **attributes)]
    equal(model(together, weights=PADDED), *apart, weights=PADDED, constants=SIDES)


def test_padding_of_channels_is_an_operator_of_its_own() -> None:
    proto = model(
        "Pad x,sides -> p",
        "Conv p,w -> y",
        weights={"x": (1, 1, 4), "w": (1, 2, 2)},
        constants={"sides": np.array([0, 1, 0, 0, 0, 0])},
    )
    assert_counts(proto)
