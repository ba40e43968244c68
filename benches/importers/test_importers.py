"""Importing large models and counting them, each apart."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

import unrolled

pytest.importorskip("onnx")
from workloads.onnx_models import convnext, densenet, vision_transformer

Measure = Callable[..., None]
pytestmark = pytest.mark.benchmark(timer=time.process_time)

MODELS: dict[str, Callable[[bool], Any]] = {
    "ViT-L/16": lambda smoke: vision_transformer(2 if smoke else 24, 1024, 16, 224, 16),
    "ConvNeXt-L": lambda smoke: convnext(
        (1, 1) if smoke else (3, 3, 27, 3), (192, 384) if smoke else (192, 384, 768, 1536), 224
    ),
    "DenseNet-201": lambda smoke: densenet((2, 2) if smoke else (6, 12, 48, 32), 32, 224),
}
PARAMETERS = {"ViT-L/16": 304_326_632, "ConvNeXt-L": 197_767_336, "DenseNet-201": 20_242_984}
"""As timm and torchvision have them; batch-norm statistics are counted."""


@pytest.mark.parametrize("step", ["import", "exact", "log"])
@pytest.mark.parametrize("name", MODELS)
def test_large_models(measure: Measure, smoke: bool, name: str, step: str) -> None:
    model = MODELS[name](smoke)
    net = unrolled.from_onnx(model)
    assert smoke or net.num_parameters == PARAMETERS[name]

    def run() -> Any:
        if step == "import":
            return unrolled.from_onnx(model)
        return unrolled.count(net, exact=step == "exact")

    measure(f"{name}, {net.num_parameters:,} parameters", step, run)
