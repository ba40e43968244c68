"""Scores of real exports, whose multiplications are known, through every door that reads them."""

from __future__ import annotations

import math
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import unrolled

onnx = pytest.importorskip("onnx")

ARCHIVE = Path(__file__).parents[1] / "data" / "models.tar.xz"

MULTIPLICATIONS = {
    # In 10^9, as torchvision gives them for weights of these models.
    "tv__resnet50": 4.089,
    "tv__efficientnet_v2_s": 8.366,
    "tv__googlenet": 1.498,
    "tv__shufflenet_v2_x1_0": 0.145,
    # The same architectures of timm, by the same table.
    "timm__resnet50": 4.089,
    "timm__densenet201": 4.291,
    "timm__convnext_tiny": 4.456,
    "timm__mobilenetv3_large_100": 0.217,
    "timm__regnety_016": 1.612,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(path, filter="data")
    return path


def files(folder: Path) -> Iterator[Path]:
    yield from sorted(folder.rglob("*.onnx"))


def test_every_export_is_scored(folder: Path) -> None:
    found = {path.stem: unrolled.score(path) for path in files(folder)}
    assert len(found) == 26
    for name, scores in found.items():
        assert 0 < scores.saliency_entropy <= math.log(scores.effective_units), name
        assert 0 < scores.effective_macs <= scores.macs, name
        assert 0 < scores.effective_parameters <= scores.num_parameters, name
        assert scores.depth <= scores.layers, name
        if name in MULTIPLICATIONS:
            assert scores.macs / 1e9 == pytest.approx(MULTIPLICATIONS[name], abs=6e-4), name
    # One network, exported by two libraries.
    twins = [found[name].to_dict() | {"name": ""} for name in ("tv__resnet50", "timm__resnet50")]
    assert twins[0] == twins[1]


def test_every_door_gives_the_same_scores(folder: Path) -> None:
    path = next(one for one in files(folder) if one.stem == "timm__ghostnet_100")
    expected = unrolled.score(path)
    model = onnx.load(path, load_external_data=False)
    network = unrolled.from_onnx(path, operations=True)
    [compared] = unrolled.compare([path], scores=True).scores
    for found in (unrolled.score(str(path)), unrolled.score(network), compared):
        assert found == expected
    figures = unrolled.score(model).to_dict() | {"name": expected.name}
    assert figures == expected.to_dict()
