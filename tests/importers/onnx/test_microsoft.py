"""Operators of onnxruntime: each as what it was fused from, and whole files before and after."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

import onnx
from onnx import ModelProto

import unrolled
from cases.onnx_fused import CASES
from cases.onnx_models import model, node
from oracles.onnx_checking import assert_counts
from unrolled.errors import InvalidModelError, UnsupportedOperatorError


@pytest.mark.parametrize("semantics", ["value", "dependency"])
@pytest.mark.parametrize("name", CASES)
def test_a_fused_operator_is_what_it_was_fused_from(name: str, semantics: str) -> None:
    """Counts of every element of every parameter, by walking the plain form in single numbers."""
    one = CASES[name]
    if any(value.name == "seen" for value in one.plain.graph.initializer):
        pytest.skip("compared below: the counter knows no masks")
    assert_counts(one.fused, semantics=semantics, as_if=one.plain, made=one.made)


MASKED = ["GroupQueryAttention", "GroupQueryAttention in a window", "causal Attention"]


@pytest.mark.parametrize("semantics", ["value", "dependency"])
@pytest.mark.parametrize("name", [*MASKED, "MultiHeadAttention with padding"])
def test_fused_attention_sees_what_a_mask_leaves(name: str, semantics: Any) -> None:
    """Masks written out are compared with single numbers in test_masks.py."""
    one = CASES[name]
    fused, plain = (
        unrolled.count(unrolled.from_onnx(proto, semantics=semantics))
        for proto in (one.fused, one.plain)
    )
    assert set(fused) == set(plain)
    for parameter in plain:
        assert fused[parameter].exact().tolist() == plain[parameter].exact().tolist(), parameter


def test_keys_that_a_query_does_not_see_are_not_counted() -> None:
    """Key number i is seen by the queries from i on, in two heads."""
    counts = unrolled.count(unrolled.from_onnx(CASES["GroupQueryAttention"].fused))
    assert counts["v"].exact()[0, :, 0].tolist() == [6, 4, 2]


def transformer() -> ModelProto:
    """A block with attention in two heads, GELU written out, and layer norms of sums."""
    width, heads = 8, [0, 0, 2, -1]
    nodes: list[Any] = []
    for name in "qkv":
        nodes += [
            f"MatMul x,w{name} -> {name}0",
            f"Add {name}0,b{name} -> {name}",
            f"Reshape {name},heads -> {name}r",
            node(f"Transpose {name}r -> {name}h", perm=[0, 2, 1, 3]),
        ]
    nodes += [
        node("Transpose kh -> kt", perm=[0, 1, 3, 2]),
        "MatMul qh,kt -> s",
        "Mul s,/Constant_output_0 -> r",
        node("Softmax r -> p", axis=-1),
        "MatMul p,vh -> o",
        node("Transpose o -> ot", perm=[0, 2, 1, 3]),
        "Reshape ot,joined -> j",
        "MatMul j,wo -> jo",
        "Add jo,bo -> jb",
        "Add jb,x -> sum1",
        node("LayerNormalization sum1,g1,h1 -> n1", axis=-1),
        "MatMul n1,w1 -> m1",
        "Add m1,c1 -> a1",
        "Div a1,/Constant_1_output_0 -> d",
        "Erf d -> e",
        "Add e,/Constant_2_output_0 -> f",
        "Mul a1,f -> g",
        "Mul g,/Constant_3_output_0 -> h",
        "MatMul h,w2 -> m2",
        "Add m2,c2 -> a2",
        "Add a2,n1 -> sum2",
        node("LayerNormalization sum2,g2,h2 -> y", axis=-1),
    ]
    square = {f"w{name}": (width, width) for name in "qkvo"}
    vectors = {f"b{name}": (width,) for name in "qkvo"}
    norms = {f"{kind}{at}": (width,) for kind in "gh" for at in (1, 2)}
    return model(
        *nodes,
        inputs={"x": (1, 3, width)},
        weights={
            **square,
            **vectors,
            **norms,
            "w1": (width, 16),
            "c1": (16,),
            "w2": (16, width),
            "c2": (width,),
        },
        constants={
            "heads": np.array(heads),
            "joined": np.array([0, 0, -1]),
            "/Constant_output_0": np.float32(0.5),
            "/Constant_1_output_0": np.float32(2**0.5),
            "/Constant_2_output_0": np.float32(1),
            "/Constant_3_output_0": np.float32(0.5),
        },
    )


def network_of_convolutions() -> ModelProto:
    return model(
        node("Conv x,k1,b1 -> c1", pads=[1, 1, 1, 1]),
        "Relu c1 -> r1",
        node("Conv r1,k2,b2 -> c2", pads=[1, 1, 1, 1]),
        "Add c2,r1 -> s",
        "Relu s -> r2",
        node("Conv r2,k3,b3 -> c3", strides=[2, 2]),
        "Sigmoid c3 -> g",
        "Mul c3,g -> m",
        "GlobalAveragePool m -> p",
        "Flatten p -> f",
        node("Gemm f,w,b -> y", transB=1),
        inputs={"x": (1, 4, 8, 8)},
        weights={
            "k1": (8, 4, 3, 3),
            "b1": (8,),
            "k2": (8, 8, 3, 3),
            "b2": (8,),
            "k3": (4, 8, 3, 3),
            "b3": (4,),
            "w": (5, 4),
            "b": (5,),
        },
    )


FILES: dict[str, Callable[[], ModelProto]] = {
    "transformer": transformer,
    "convolutions": network_of_convolutions,
}


def levels_of(proto: ModelProto) -> list[tuple[int, int]]:
    """The distinct counts of all parameters, and how many have each."""
    spectrum = unrolled.count(unrolled.from_onnx(proto)).spectrum()
    return list(zip(spectrum.counts, spectrum.degeneracies.tolist(), strict=True))


def optimised(proto: ModelProto, folder: Path) -> ModelProto:
    """The file that onnxruntime makes of a model at its level `extended`."""
    ort = pytest.importorskip("onnxruntime")
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    options.log_severity_level = 3
    ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return onnx.load(folder / "optimised.onnx")


@pytest.mark.parametrize("name", FILES)
def test_a_file_before_and_after_its_optimisation(name: str, tmp_path: Path) -> None:
    before = FILES[name]()
    after = optimised(before, tmp_path)
    assert any(one.domain == "com.microsoft" for one in after.graph.node)
    assert levels_of(after) == levels_of(before)
    first, second = (unrolled.count(unrolled.from_onnx(one)) for one in (before, after))
    for parameter in set(first) & set(second):
        assert first[parameter].exact().tolist() == second[parameter].exact().tolist(), parameter


@pytest.mark.parametrize("name", FILES)
def test_a_file_before_and_after_dynamic_quantisation(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    from onnxruntime.quantization import quantize_dynamic

    before = FILES[name]()
    onnx.save(before, tmp_path / "before.onnx")
    quantize_dynamic(tmp_path / "before.onnx", tmp_path / "after.onnx")
    after = onnx.load(tmp_path / "after.onnx")
    assert levels_of(after) == levels_of(before)
    assert levels_of(optimised(after, tmp_path)) == levels_of(before)


@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
@pytest.mark.parametrize("name", FILES)
def test_a_file_before_and_after_static_quantisation(name: str, form: str, tmp_path: Path) -> None:
    quantisation = pytest.importorskip("onnxruntime.quantization")
    before = FILES[name]()
    onnx.save(before, tmp_path / "before.onnx")
    shape = [one.dim_value for one in before.graph.input[0].type.tensor_type.shape.dim]

    class Samples(quantisation.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            random = np.random.default_rng(0)
            self.left = [{"x": random.normal(size=shape).astype(np.float32)} for _ in range(2)]

        def get_next(self) -> Any:
            return self.left.pop() if self.left else None

    quantisation.quantize_static(
        tmp_path / "before.onnx",
        tmp_path / "after.onnx",
        Samples(),
        quant_format=quantisation.QuantFormat[form],
    )
    after = onnx.load(tmp_path / "after.onnx")
    assert levels_of(after) == levels_of(before)
    assert levels_of(optimised(after, tmp_path)) == levels_of(before)


def test_weights_of_four_bits() -> None:
    pytest.importorskip("onnxruntime")
    try:
        from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
    except ImportError as error:
        pytest.skip(str(error))
    before = transformer()
    quantiser = MatMulNBitsQuantizer(before, block_size=16, is_symmetric=True)
    quantiser.process()
    after = quantiser.model.model
    assert any(one.op_type == "MatMulNBits" for one in after.graph.node)
    assert levels_of(after) == levels_of(transformer())


def test_what_onnxruntime_reorders_for_one_machine_is_refused_by_name() -> None:
    proto = model("com.microsoft.nchwc::Conv x,w -> y", inputs={"x": (1,)}, weights={"w": (1,)})
    with pytest.raises(UnsupportedOperatorError, match=r"reordered for one machine.*extended"):
        unrolled.from_onnx(proto)


@pytest.mark.parametrize(
    ("proto", "message"),
    [
        (
            model(
                node("com.microsoft::MatMulNBits x,w,s -> y", K=3, N=2, bits=4, block_size=16),
                inputs={"x": (2, 5)},
                constants={"w": np.zeros((2, 1, 8), np.uint8), "s": np.ones(2, np.int64)},
            ),
            "does not fit",
        ),
        (
            model(
                node("com.microsoft::Attention x,w -> y", num_heads=3),
                inputs={"x": (1, 2, 4)},
                weights={"w": (4, 12)},
            ),
            "3 heads do not fit",
        ),
        (
            model(
                node("com.microsoft::FusedGemm x,w -> y", activation="Relu"),
                inputs={"x": (1, 2, 4)},
                weights={"w": (4, 12)},
            ),
            "no matrices",
        ),
    ],
)
def test_operators_that_do_not_fit(proto: ModelProto, message: str) -> None:
    with pytest.raises(InvalidModelError, match=message):
        unrolled.from_onnx(proto)
