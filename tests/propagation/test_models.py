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
    propagation = report.propagation
    assert len(report.rows) == len(propagation.kernels) > 30
    # Derivatives reach the input and every kernel, whatever they pass on the way.
    assert 0 < report.jacobian_per_output < float("inf")
    assert all(row.mean_square > 0 for row in report.rows)
    assert all(kernel.gradient > 0 for kernel in propagation.kernels)
    assert "other" not in {tensor.kind for tensor in propagation.tensors}


def test_standardised_kernels_have_the_variance_asked_for(folder):
    """Those of an NFNet are divided by their deviation, and scaled."""
    net = from_onnx(folder / "timm__dm_nfnet_f0.onnx", operations=True)
    p = propagate(net, "lecun")
    assert "57 kernels are computed from parameters" in p.notes[0]
    for kernel in p.kernels:
        assert kernel.mean_square == pytest.approx(1 / kernel.fan_in)
        assert 1e-3 < p[kernel.target].mean_square < 1e3


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
