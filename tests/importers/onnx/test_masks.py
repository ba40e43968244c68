"""Masks in ONNX models: however they are written, they take the same edges away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

from cases.masks import BY_HEAD, CAUSAL, HEADS, MASKS, TOKENS
from cases.onnx_models import model, node
from oracles.masked_attention import assert_masked, expected_counts
from unrolled import count, from_onnx

SHAPES = {"q": (1, HEADS, TOKENS, 3), "k": (1, HEADS, TOKENS, 3), "v": (1, HEADS, TOKENS, 2)}
SCORES = ("Transpose k -> kt", "MatMul q,kt -> s", "Mul s,scale -> scaled")
NEGATIVE = np.float32(-np.inf)

Nodes = tuple[list[Any], dict[str, Any]]


def transposed(nodes: Any) -> list[Any]:
    """Nodes of text, the keys turned round by their last two axes."""
    return [
        node(one, perm=[0, 1, 3, 2]) if isinstance(one, str) and "-> kt" in one else one
        for one in nodes
    ]


def added(fill: float) -> Callable[[Any], Nodes]:
    def written(seen: Any) -> Nodes:
        mask = np.where(seen, 0, fill).astype(np.float32)
        return ["Add scaled,mask -> m", "Softmax m -> p"], {"mask": mask}

    return written


def chosen(seen: Any) -> Nodes:
    return ["Where seen,scaled,low -> m", "Softmax m -> p"], {"seen": seen, "low": NEGATIVE}


def chosen_the_other_way(seen: Any) -> Nodes:
    nodes = ["Not seen -> gone", "Where gone,low,scaled -> m", "Softmax m -> p"]
    return nodes, {"seen": seen, "low": np.float32(np.finfo(np.float32).min)}


def multiplied(seen: Any) -> Nodes:
    """As BERT has it: (1 - mask) * -10000 is added."""
    nodes = ["Cast:to seen -> f", "Sub one,f -> g", "Mul g,low -> h", "Add h,scaled -> m"]
    return [*nodes, "Softmax m -> p"], {
        "seen": seen,
        "one": np.float32(1),
        "low": np.float32(-10000),
    }


def safe(seen: Any) -> Nodes:
    """As PyTorch exports it: rows without a key would not be numbers."""
    nodes, constants = added(-np.inf)(seen)
    nodes[-1] = "Softmax m -> r"
    return [*nodes, "IsNaN r -> isnan", "Where isnan,zero,r -> p"], {
        **constants,
        "zero": np.float32(0),
    }


def written_out(seen: Any) -> Nodes:
    nodes, constants = chosen(seen)
    axes = {"axes": [-1], "keepdims": 1}
    return [
        nodes[0],
        node("ReduceMax m -> top", **axes),
        "Sub m,top -> d",
        "Exp d -> e",
        node("ReduceSum e,last -> t", keepdims=1),
        "Div e,t -> p",
    ], {**constants, "last": np.array([-1])}


WAYS = {
    "added -inf": added(-np.inf),
    "added -1e4": added(-1e4),
    "added -3e38": added(-3e38),
    "Where": chosen,
    "Where not": chosen_the_other_way,
    "one minus the mask": multiplied,
    "safe": safe,
    "written out": written_out,
}


def attention(nodes: Any, constants: Any, outputs: str = "y") -> Any:
    parsed = [
        node(one.replace(":to", ""), to=1) if isinstance(one, str) and ":to" in one else one
        for one in nodes
    ]
    return model(
        *transposed(SCORES),
        *parsed,
        "MatMul p,v -> y",
        weights=SHAPES,
        constants={"scale": np.float32(0.5), **constants},
        outputs=outputs,
    )


@pytest.mark.parametrize("semantics", ["value", "dependency"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mask", [*MASKS, *BY_HEAD])
def test_constant_masks_take_edges_away(mask: str, way: str, semantics: Any) -> None:
    seen = {**MASKS, **BY_HEAD}[mask]
    made = attention(*WAYS[way](seen))
    assert_masked(from_onnx(made, semantics=semantics), SHAPES, seen)
    if semantics == "value":
        assert_masked(from_onnx(made, semantics=semantics, operations=True), SHAPES, seen)


@pytest.mark.parametrize("way", ["added -inf", "Where"])
@pytest.mark.parametrize("semantics", ["value", "dependency"])
def test_weights_that_are_outputs_have_the_edges_that_are_left(way: str, semantics: Any) -> None:
    made = attention(*WAYS[way](CAUSAL), outputs="p")
    found = count(from_onnx(made, semantics=semantics))
    seen = np.arange(1, TOKENS + 1)
    factor = seen if semantics == "value" else seen**2
    np.testing.assert_array_equal(found["q"].exact()[0, 0, :, 0].astype(int), factor)


@pytest.mark.parametrize("semantics", ["value", "dependency"])
def test_a_mask_after_the_softmax_leaves_its_sums(semantics: Any) -> None:
    """The hidden scores are still in the normaliser, and their values are not read."""
    nodes = ["Softmax scaled -> r", "Where seen,r,zero -> p"]
    made = attention(nodes, {"seen": CAUSAL, "zero": np.float32(0)})
    found = count(from_onnx(made, semantics=semantics))
    expected = expected_counts(SHAPES, CAUSAL, "value")
    assert found["v"].exact().tolist() == expected["v"]
    if semantics == "value":
        assert_masked(from_onnx(made), SHAPES, CAUSAL)
    else:
        rows = np.arange(1, TOKENS + 1) * TOKENS * SHAPES["v"][-1]
        assert found["q"].exact()[0, 0, :, 0].tolist() == rows.tolist()


TRIANGLES = {
    "Trilu of ones": (
        [
            node("Trilu full -> t", upper=0),
            node("Cast t -> seen", to=9),
        ],
        {"full": np.ones((TOKENS, TOKENS), np.float32)},
    ),
    "Range and Less": (
        [
            "Range zero,tokens,unit -> r",
            "Unsqueeze r,last -> column",
            "Less column,r -> later",
            "Not later -> seen",
        ],
        {
            "zero": np.array(0),
            "tokens": np.array(TOKENS),
            "unit": np.array(1),
            "last": np.array([1]),
        },
    ),
    "CumSum": (
        ["CumSum row,axis -> r", "Unsqueeze r,last -> c", "LessOrEqual r,c -> seen"],
        {"row": np.ones(TOKENS, np.int64), "axis": np.array(0), "last": np.array([1])},
    ),
}


@pytest.mark.parametrize("name", ["Trilu of ones", "Range and Less", "CumSum"])
def test_masks_are_worked_out(name: str) -> None:
    nodes, constants = TRIANGLES[name]
    made = attention(
        [*nodes, "Where seen,scaled,low -> m", "Softmax m -> p"], {**constants, "low": NEGATIVE}
    )
    assert_masked(from_onnx(made), SHAPES, CAUSAL)


@pytest.mark.parametrize("semantics", ["value", "dependency"])
@pytest.mark.parametrize("cached", [0, 2])
def test_attention_23_is_causal(cached: int, semantics: Any) -> None:
    keys = TOKENS + cached
    shapes = {name: (1, HEADS, keys, shape[-1]) for name, shape in SHAPES.items()}
    shapes["q"] = SHAPES["q"]
    past = ",,past,old" if cached else ""
    weights = dict(SHAPES)
    if cached:
        weights |= {"past": (1, HEADS, cached, 3), "old": (1, HEADS, cached, 2)}
    made = model(
        node(f"Attention q,k,v{past} -> y" + (",pk,pv" if cached else ""), is_causal=1),
        weights=weights,
        outputs="y",
        opset=23,
    )
    network = from_onnx(made, semantics=semantics)
    seen = np.tril(np.ones((TOKENS, keys), bool), cached)
    expected = expected_counts(shapes, seen, semantics)
    found = count(network)
    assert found["q"].exact().tolist() == expected["q"]
    assert found["k"].exact().tolist() == np.array(expected["k"])[:, :, cached:].tolist()
    if cached:
        assert found["old"].exact().tolist() == np.array(expected["v"])[:, :, :cached].tolist()


@pytest.mark.parametrize("mask", [*MASKS, *BY_HEAD])
@pytest.mark.parametrize("kind", ["flags", "numbers"])
def test_attention_23_with_a_mask(mask: str, kind: str) -> None:
    seen = {**MASKS, **BY_HEAD}[mask]
    array = seen if kind == "flags" else np.where(seen, 0, NEGATIVE).astype(np.float32)
    made = model("Attention q,k,v,mask -> y", weights=SHAPES, constants={"mask": array}, opset=23)
    assert_masked(from_onnx(made), SHAPES, seen)


def test_a_mask_known_only_at_run_time_changes_nothing() -> None:
    """But what is known to be hidden besides is hidden."""
    common: Any = {"weights": SHAPES, "inputs": {"given": (1, 1, 1, TOKENS)}}
    scores = transposed(["Transpose k -> kt", "MatMul q,kt -> s"])
    end = ["Softmax m -> p", "MatMul p,v -> y"]
    cast = node("Cast given -> g", to=9)
    alone = model(*scores, cast, "Where g,s,low -> m", *end, constants={"low": NEGATIVE}, **common)
    network = from_onnx(alone)
    assert_masked(network, SHAPES, CAUSAL | True)
    assert network.provenance is not None
    assert "run time" in "".join(network.provenance.skipped.values())
    together = model(
        *scores,
        cast,
        "And g,seen -> both",
        "Where both,s,low -> m",
        *end,
        constants={"low": NEGATIVE, "seen": CAUSAL},
        **common,
    )
    assert_masked(from_onnx(together), SHAPES, CAUSAL)


def test_other_constants_change_no_edge() -> None:
    for nodes, constants in (
        (["Add scaled,bias -> m"], {"bias": np.where(CAUSAL, 0, -9999).astype(np.float32)}),
        (["Where seen,scaled,one -> m"], {"seen": CAUSAL, "one": np.float32(1)}),
    ):
        made = attention([*nodes, "Softmax m -> p"], constants)
        assert_masked(from_onnx(made), SHAPES, CAUSAL | True)


def test_a_relative_bias_is_masked_with_its_scores() -> None:
    """A bias by head and distance, as T5 adds it, before or after the mask."""
    bias = (1, HEADS, TOKENS, TOKENS)
    mask = {"mask": np.where(CAUSAL, 0, NEGATIVE).astype(np.float32)}
    found = []
    for nodes in (
        ["Add scaled,bias -> b", "Add b,mask -> m"],
        ["Add bias,mask -> b", "Add scaled,b -> m"],
    ):
        made = model(
            *transposed(SCORES),
            *nodes,
            "Softmax m -> p",
            "MatMul p,v -> y",
            weights={**SHAPES, "bias": bias},
            constants={"scale": np.float32(0.5), **mask},
        )
        network = from_onnx(made)
        assert_masked(network, SHAPES, CAUSAL)
        counts = count(network)["bias"].exact()
        np.testing.assert_array_equal(counts[0, 0].astype(int), 2 * CAUSAL)
        found.append(counts.tolist())
    assert found[0] == found[1]


STORED = {
    "what is added": (["Add scaled,mask -> m"], {"mask": np.where(CAUSAL, 0, NEGATIVE)}),
    "what is chosen": (["Where seen,scaled,ninf -> m"], {"ninf": np.array(NEGATIVE)}),
    "ones of a triangle": (
        [
            node("Trilu ones -> t", upper=0),
            node("Cast t -> c", to=9),
            "Where c,scaled,low -> m",
        ],
        {"ones": np.ones((TOKENS, TOKENS))},
    ),
    "a triangle that is compared": (
        ["Equal triangle,nothing -> gone", "Where gone,low,scaled -> m"],
        {"triangle": np.tril(np.ones((TOKENS, TOKENS)))},
    ),
    "one minus the mask": (
        ["Sub ones,triangle -> rest", "Mul rest,scale10000 -> added", "Add scaled,added -> m"],
        {
            "ones": np.array(1.0),
            "triangle": np.tril(np.ones((TOKENS, TOKENS))),
            "scale10000": np.array(-10000.0),
        },
    ),
    "chosen beside it": (
        ["Where seen,zero,ninf -> added", "Add scaled,added -> m"],
        {"zero": np.array(0.0), "ninf": np.array(NEGATIVE)},
    ),
}


@pytest.mark.parametrize("name", STORED)
def test_stored_masks_are_no_parameters(name: str) -> None:
    from onnx import numpy_helper

    nodes, stored = STORED[name]
    made = attention(
        [*nodes, "Softmax m -> p"],
        {"seen": CAUSAL, "low": NEGATIVE, "nothing": np.float32(0)},
    )
    made.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(array, np.float32), key) for key, array in stored.items()
    )
    network = from_onnx(made)
    assert {tensor.name for tensor in network.parameters} == {"q", "k", "v"}
    assert_masked(network, SHAPES, CAUSAL)
    assert network.provenance is not None
    assert set(stored) <= set(network.provenance.skipped)
    asked = from_onnx(made, parameters=list(stored)[:1])
    assert next(iter(stored)) not in (asked.provenance.skipped if asked.provenance else {})


def test_weights_in_conditions_at_run_time_are_parameters() -> None:
    made = model(
        "Greater x,threshold -> c",
        "Where c,x,w -> y",
        weights={"threshold": (3,), "w": (3,)},
        inputs={"x": (2, 3)},
    )
    assert {tensor.name for tensor in from_onnx(made).parameters} == {"threshold", "w"}


def test_large_masks_are_known_by_what_they_hold() -> None:
    from onnx import numpy_helper

    tokens = 80
    shapes = dict.fromkeys(SHAPES, (1, 1, tokens, 1))
    seen = np.tril(np.ones((tokens, tokens), bool))
    made = model(
        *transposed(["Transpose k -> kt", "MatMul q,kt -> s"]),
        "Add s,mask -> m",
        "Softmax m -> p",
        "MatMul p,v -> y",
        weights=shapes,
    )
    made.graph.initializer.append(
        numpy_helper.from_array(np.where(seen, 0, NEGATIVE).astype(np.float32), "mask")
    )
    assert count(from_onnx(made))["v"].total == tokens * (tokens + 1) // 2


def test_long_decoders_have_no_maps_of_tokens_times_tokens() -> None:
    tokens = 2048
    shapes = {"q": (1, HEADS, tokens, 4), "k": (1, HEADS, tokens, 4), "v": (1, HEADS, tokens, 4)}
    made = model(
        *transposed(["Transpose k -> kt", "MatMul q,kt -> s"]),
        node("Trilu full -> t", upper=0),
        node("Cast t -> seen", to=9),
        "Where seen,s,low -> m",
        "Softmax m -> p",
        "MatMul p,v -> y",
        weights=shapes,
        constants={"full": np.ones((tokens, tokens), np.float32), "low": NEGATIVE},
    )
    network = from_onnx(made)
    assert max(tensor.size for tensor in network.tensors) < tokens * tokens
    assert count(network)["v"].total == HEADS * 4 * tokens * (tokens + 1) // 2
