"""ONNX operators on elements, reductions and movements, against an independent counter."""

from __future__ import annotations

import pytest

pytest.importorskip("onnx")

from cases.onnx_elementwise import ELEMENTWISE
from cases.onnx_fused import CASES as FUSED
from cases.onnx_layers import LAYERS
from cases.onnx_models import names
from cases.onnx_movement import MOVEMENT, OLDER
from oracles.onnx_checking import assert_counts, operators_in
from unrolled.importers import onnx as door

NORMALISING = ("Attention", "LRN", "LogSoftmax", "Softmax")
CASES = ELEMENTWISE | MOVEMENT | LAYERS


@pytest.mark.parametrize("name", CASES)
def test_operators_count_as_their_linear_forms(name: str) -> None:
    assert_counts(CASES[name])


@pytest.mark.parametrize("name", OLDER)
def test_operators_of_older_versions(name: str) -> None:
    older, modern = OLDER[name]
    assert_counts(older, as_if=modern)


NORMALISERS = [
    name
    for name, one in LAYERS.items()
    if any("Norm" in operator or operator in NORMALISING for operator in operators_in(one))
]


@pytest.mark.parametrize("name", NORMALISERS)
def test_counts_with_dependency_semantics(name: str) -> None:
    assert_counts(LAYERS[name], semantics="dependency")


def test_every_operator_with_a_rule_has_a_case() -> None:
    elsewhere = {"If", "Loop", "Scan"}  # test_control.py
    elsewhere |= set(
        names("""ConcatFromSequence DFT Optional OptionalGetElement OptionalHasElement STFT
        SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength
        SequenceMap SplitToSequence""")
    )  # test_sequences.py
    fused = [one.fused for one in FUSED.values()]
    # And these in test_parameters.py.
    constants = set(
        names("""Constant ConstantOfShape EyeLike RandomNormal RandomNormalLike
        RandomUniform RandomUniformLike Range Shape Size""")
    )
    constants |= set(
        names("""ConvInteger DequantizeLinear DynamicQuantizeLinear MatMulInteger
        QLinearConv QLinearMatMul""")
    )
    models = [*CASES.values(), *[older for older, _ in OLDER.values()]]
    met = set().union(*[operators_in(one) for one in models]) | elsewhere | constants
    met |= {
        f"{one.domain}::{one.op_type}" if one.domain else one.op_type
        for model in fused
        for one in model.graph.node
    }
    refused = {one for one in door.operators() if one.startswith("com.microsoft.nchwc::")}
    assert sorted(set(door.operators()) - met - refused) == []
