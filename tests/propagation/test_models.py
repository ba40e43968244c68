"""Reports on 26 architectures of timm and torchvision, and the same model through other doors."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from unrolled import from_onnx, initialization_report, models
from unrolled.propagation import propagate

pytest.importorskip("onnx")

ARCHIVE = Path(__file__).parents[1] / "data" / "models.tar.xz"
with tarfile.open(ARCHIVE) as archive:
    NAMES = sorted(name.removesuffix(".onnx") for name in archive.getnames())
LOST = {"timm__dm_nfnet_f0"}
"""Its variances are the product of weights and a gain that is stored with them."""

WITHOUT_GRADIENT = {"timm__mobilevit_xxs": 1, "timm__swin_tiny_patch4_window7_224": 2}
"""Kernels next to windows of positions, whose gradients are taken to cancel: a known fault."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("models")
    with tarfile.open(ARCHIVE) as archive:
        for member in archive:
            assert member.isfile()
            assert Path(member.name).name == member.name
            file = archive.extractfile(member)
            assert file is not None
            (path / member.name).write_bytes(file.read())
    return path


def test_all_models_are_there():
    assert len(NAMES) == 26
    assert sum(name.startswith("tv__") for name in NAMES) == 4


@pytest.mark.parametrize("name", NAMES)
def test_report_on_every_model(folder, name):
    report = initialization_report(folder / f"{name}.onnx")
    report.table()
    report.to_dict()
    if name in LOST:
        assert not report.is_sound
        return
    propagation = report.propagation
    assert len(report.rows) == len(propagation.kernels) > 30
    # Derivatives reach the input and every kernel, whatever they pass on the way.
    assert 0 < report.jacobian_per_output < float("inf")
    assert all(row.mean_square > 0 for row in report.rows)
    lost = [kernel.name for kernel in propagation.kernels if not kernel.gradient > 0]
    assert len(lost) <= WITHOUT_GRADIENT.get(name, 0)
    assert "other" not in {tensor.kind for tensor in propagation.tensors}


def test_resnet_50_of_three_origins(folder):
    """timm, torchvision, and the builder, whose batch norms have an epsilon of 0, not of 1e-5."""
    timm, torchvision = (
        initialization_report(folder / f"{name}.onnx")
        for name in ("timm__resnet50", "tv__resnet50")
    )
    built = initialization_report(models.resnet(50, variant="v1.5", activations=True))
    assert timm.rows == torchvision.rows
    assert built.jacobian_per_output == pytest.approx(timm.jacobian_per_output, rel=1e-4)

    def law(report):
        return sorted((row.fan_in, row.relative_gradient, row.mean_square) for row in report.rows)

    for one, other in zip(law(built), law(timm), strict=True):
        assert one == pytest.approx(other, rel=1e-4)


def test_exact_mode_is_the_same_through_both_doors(folder):
    imported = propagate(from_onnx(folder / "tv__resnet50.onnx", operations=True))
    built = propagate(models.resnet(50, variant="v1.5", activations=True))
    assert imported.jacobian == pytest.approx(built.jacobian, rel=1e-4)
