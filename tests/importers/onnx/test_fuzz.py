"""Damaged ONNX models are read or refused, and nothing else happens.

TEST_CASES_FACTOR=100 runs a hundred times as many of them.

Where a model that was changed is still valid, and the reference evaluator can run it, its outputs
have the shapes that the importer finds.
"""

from __future__ import annotations

import os
import time
from random import Random
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

from onnx import ModelProto, checker, helper, shape_inference
from onnx.reference import ReferenceEvaluator

import unrolled
from cases.onnx_control import CONTROL
from cases.onnx_elementwise import ELEMENTWISE
from cases.onnx_folded import FOLDED
from cases.onnx_layers import LAYERS
from cases.onnx_movement import MOVEMENT, OLDER
from cases.onnx_mutations import mutated_bytes, mutated_model
from unrolled.errors import UnrolledError
from unrolled.importers import onnx as door

MODELS = [*ELEMENTWISE.values(), *MOVEMENT.values(), *LAYERS.values(), *CONTROL.values()]
MODELS += [older for older, _ in OLDER.values()]
MODELS += FOLDED.values()
CASES = int(300 * float(os.environ.get("TEST_CASES_FACTOR", "1")))
BLOCK = 50
"""Cases of one test."""

LONGEST = 10
"""Seconds that a case may take."""

SEVERAL = ("Loop", "SequenceConstruct", "SequenceInsert", "SequenceMap", "SplitToSequence")
"""The evaluator concatenates what a loop should stack, and has one shape for a sequence."""

LARGEST_RUN = 100_000
"""Elements of a tensor, for a network to be counted and a model to be run."""


@pytest.mark.parametrize("block", range(max(CASES // BLOCK, 1)))
def test_damaged_bytes_are_read_or_refused(block: int) -> None:
    for number in range(block * BLOCK, (block + 1) * BLOCK):
        random = Random(f"bytes {number}")
        read(mutated_bytes(random, random.choice(MODELS).SerializeToString()), random)


@pytest.mark.parametrize("block", range(max(2 * CASES // BLOCK, 1)))
def test_damaged_structure_is_read_or_refused(block: int) -> None:
    operators = [*door.operators(), "NonZero", "MyOp"]
    for number in range(block * BLOCK, (block + 1) * BLOCK):
        random = Random(f"structure {number}")
        proto = mutated_model(random, random.choice(MODELS), operators)
        network = read(proto, random)
        if network is not None:
            assert_shapes(network, proto, number)


def read(model: Any, random: Random) -> Any:
    """The network of a model after it was counted, or None if it is refused or large."""
    start = time.monotonic()
    try:
        network = unrolled.from_onnx(model, semantics=random.choice(["value", "dependency"]))
        if max([tensor.size for tensor in network.tensors], default=0) > LARGEST_RUN:
            return None
        if network.num_parameters:
            unrolled.count(network)
    except UnrolledError:
        return None
    finally:
        assert time.monotonic() - start < LONGEST
    return network


def assert_shapes(network: Any, proto: ModelProto, number: int) -> None:
    """Outputs have the shapes of the reference evaluator or, where it errs, of shape inference."""
    expected = evaluated(proto)
    if expected is None or any(one.op_type in SEVERAL for one in proto.graph.node):
        return
    found = [tensor.shape for tensor in network.outputs]
    try:
        inferred = shape_inference.infer_shapes(proto, data_prop=True)
    except shape_inference.InferenceError:
        return  # It is not valid: a type that it states is another one.
    others = [shape_of(value) for value in inferred.graph.output]
    # The network leaves out constant outputs.
    assert is_part(found, expected) or is_part(found, others), (number, found, expected, others)


def evaluated(proto: ModelProto) -> list[Any] | None:
    """Shapes of the outputs of a valid model, if they can be had."""
    checked = ModelProto()
    checked.CopyFrom(proto)
    for value in checked.graph.output:
        value.type.tensor_type.shape.SetInParent()
    stored = {tensor.name for tensor in proto.graph.initializer}
    feeds = {}
    try:
        checker.check_model(checked)
        for value in proto.graph.input:
            if value.name not in stored:
                kind = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
                feeds[value.name] = np.ones(shape_of(value), kind)
        with np.errstate(all="ignore"):
            return [np.shape(one) for one in ReferenceEvaluator(proto).run(None, feeds)]
    except Exception:  # The evaluator raises anything if a model is damaged.
        return None


def shape_of(value: Any) -> tuple[int, ...]:
    return tuple(length.dim_value for length in value.type.tensor_type.shape.dim)


def is_part(found: list[Any], expected: list[Any]) -> bool:
    """Whether one list is the other with some elements left out."""
    rest = iter(expected)
    return all(one in rest for one in found)
