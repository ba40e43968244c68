"""Published architectures come to the same counts as ONNX models and as `unrolled.models`."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

import unrolled
from cases.onnx_architectures import efficientnet_v2_b0, resnet_50
from cases.onnx_models import model, node
from unrolled import Network


def assert_equal_counts(found: Network, expected: Network) -> None:
    """Every element of every parameter has the same count in both."""
    counts, others = unrolled.count(found), unrolled.count(expected)
    assert set(counts) == set(others)
    for name in others:
        assert np.array_equal(counts[name].exact(), others[name].exact()), name
    first, second = unrolled.analyze(counts), unrolled.analyze(others)
    assert first.total_contexts == second.total_contexts
    assert first.spread_estimate == second.spread_estimate
    assert first.surprisal_estimate == second.surprisal_estimate


def test_resnet_50() -> None:
    found = unrolled.from_onnx(resnet_50(224), (1, 3, 224, 224))
    assert_equal_counts(found, unrolled.models.resnet(50, variant="v1.5"))


@pytest.mark.parametrize("as_operators", [False, True])
def test_efficientnet_v2_b0(as_operators: bool) -> None:
    found = unrolled.from_onnx(efficientnet_v2_b0(96, as_operators=as_operators), (1, 3, 96, 96))
    expected = unrolled.models.efficientnet_v2("b0", size=96, padding="same")
    assert_equal_counts(found, expected)


def edges_of_weights(network: Network) -> dict[str, int]:
    """How many edges lead from each weight straight to what is computed from it."""
    found: dict[str, int] = {}
    for link in network.links:
        if link.source.role == "parameter":
            alone = Network()
            source = alone.parameter("source", link.source.shape)
            target = alone.tensor("target", link.target.shape)
            alone.link(source, target, link.relations)
            alone.output(target)
            edges = int(unrolled.count(alone).total)
            found[link.source.name] = found.get(link.source.name, 0) + edges
    return found


MULTIPLICATIONS: dict[str, tuple[Any, Any, Any, int]] = {
    # Rows times columns times terms; where nothing is padded, every term multiplies.
    "Conv": (node("Conv x,w -> y"), (1, 3, 6, 6), (8, 3, 3, 3), 8 * 4 * 4 * 27),
    "strided": (node("Conv x,w -> y", strides=[2, 2]), (1, 3, 7, 7), (8, 3, 3, 3), 8 * 9 * 27),
    "grouped": (node("Conv x,w -> y", group=2), (1, 4, 6), (6, 2, 3), 6 * 4 * 6),
    "ConvTranspose": (node("ConvTranspose x,w -> y"), (1, 3, 4), (3, 5, 2), 3 * 4 * 5 * 2),
    "Gemm": (node("Gemm x,w -> y"), (2, 3), (3, 5), 2 * 3 * 5),
    "MatMul": (node("MatMul x,w -> y"), (4, 2, 3), (3, 5), 4 * 2 * 3 * 5),
    "Einsum": (node("Einsum x,w -> y", equation="bij,jkl->bikl"), (2, 3, 4), (4, 2, 2), 6 * 16),
}


@pytest.mark.parametrize("name", MULTIPLICATIONS)
def test_edges_from_weights_are_multiply_accumulates(name: str) -> None:
    proto, x, weight, expected = MULTIPLICATIONS[name]
    network = unrolled.from_onnx(model(proto, inputs={"x": x}, weights={"w": weight}))
    assert edges_of_weights(network) == {"w": expected}


def test_multiply_accumulates_of_resnet_50() -> None:
    """torchvision publishes 4.0892 billion; those on padding have no edge."""
    network = unrolled.from_onnx(resnet_50(224), (1, 3, 224, 224))
    nominal = sum(
        link.target.size * (prod(link.source.shape[1:]) if "conv" in link.source.name else 2048)
        for link in network.links
        if link.source.name.endswith("kernel")
    )
    assert round(nominal / 1e9, 4) == 4.0892
