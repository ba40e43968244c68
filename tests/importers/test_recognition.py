"""`analyze`, `compare` and the shell take models of frameworks as they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import unrolled
from command_line import invoke
from unrolled.errors import (
    InvalidArgumentError,
    InvalidModelError,
    MissingPackageError,
    UnknownModelError,
)
from unrolled.importers import imported, is_model_file

onnx = pytest.importorskip("onnx")
helper, FLOAT = onnx.helper, onnx.TensorProto.FLOAT


def dense(batch: int | str = 1, units: int = 4):
    """A dense layer from 3 inputs, with a softmax."""
    x = helper.make_tensor_value_info("x", FLOAT, [batch, 3])
    y = helper.make_tensor_value_info("y", FLOAT, [batch, units])
    stored = [
        helper.make_tensor("head.weight", FLOAT, [units, 3], [0.0] * 3 * units),
        helper.make_tensor("head.bias", FLOAT, [units], [0.0] * units),
    ]
    nodes = [
        helper.make_node("Gemm", ["x", "head.weight", "head.bias"], ["h"], transB=1),
        helper.make_node("Softmax", ["h"], ["y"]),
    ]
    return helper.make_model(helper.make_graph(nodes, "dense", [x], [y], stored))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    onnx.save(dense(), tmp_path / "dense.onnx")
    return tmp_path / "dense.onnx"


def test_objects_and_files_alike(path):
    expected = unrolled.analyze(unrolled.from_onnx(path))
    assert expected.num_parameters == 16
    for given in (path, str(path), onnx.load(path)):
        assert unrolled.analyze(given).total_contexts == expected.total_contexts == 16
    assert expected.provenance.operators == {"Gemm": 1, "Softmax": 1}
    assert expected.provenance.parameters == {"head.weight": 12, "head.bias": 4}
    assert expected.provenance is expected.counts.provenance


def test_options_reach_the_importer():
    model = dense("batch")
    with pytest.raises(InvalidModelError, match=r"input 'x'.*axis 0 \('batch'\).*give inputs="):
        unrolled.analyze(model)
    analysis = unrolled.analyze(model, inputs={"x": (2, 3)}, semantics="dependency")
    assert analysis.provenance.semantics == "dependency"
    assert analysis.provenance.input_shapes == {"x": (2, 3)}
    assert analysis.total_contexts == 2 * 16 * 4


def test_names_of_published_models():
    assert unrolled.analyze("resnet18").num_parameters == 11_699_112
    with pytest.raises(UnknownModelError, match="did you mean 'resnet18'"):
        unrolled.analyze("resnet81")


def test_graphs_in_files(tmp_path):
    unrolled.Graph.from_edges([0, 1], [1, 2]).save(tmp_path / "graph.npz")
    assert unrolled.analyze(tmp_path / "graph.npz").total_contexts == 1


def test_comparison_of_anything(path):
    ranking = unrolled.compare([path, onnx.load(path), "resnet18", unrolled.models.mlp([2])])
    assert sorted(one.name for one in ranking) == ["dense", "dense", "mlp", "resnet18"]


def test_layers_of_dotted_names(path):
    analysis = unrolled.analyze(path)
    assert [layer.name for layer in analysis.layers] == ["head"]
    (layer,) = unrolled.from_onnx(path).layers
    assert layer.configuration.kind == "dense"
    assert (layer.configuration.input_channels, layer.configuration.output_channels) == (3, 4)


@pytest.mark.parametrize("options", [{"inputs": (1, 3)}, {"semantics": "value"}])
def test_options_for_what_is_imported_only(options):
    with pytest.raises(InvalidArgumentError, match="have to be imported, not for Network"):
        unrolled.analyze(unrolled.models.mlp([2]), **options)


def test_what_is_no_model():
    assert imported(3) is None
    with pytest.raises(InvalidArgumentError, match=r"inputs=\(params, x\)"):
        unrolled.analyze(lambda params, x: x)
    for name in ("m.onnx", "a/b.KERAS", "m.json"):
        assert is_model_file(name)
    assert not is_model_file("edges.csv")


def test_a_framework_that_is_not_installed(path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'unrolled\[onnx\]'"):
        unrolled.analyze(path)


def test_the_shell_takes_model_files(path):
    result = invoke("analyze", path, "--json")
    assert result.exit_code == 0, result.output
    (record,) = json.loads(result.stdout)
    assert record["total_contexts"] == 16
    assert record["provenance"]["operators"] == {"Gemm": 1, "Softmax": 1}
    assert record["provenance"] == unrolled.from_onnx(path).provenance.to_dict()
    shown = invoke("analyze", path).stdout
    assert "operators: Gemm, Softmax" in shown
    assert "16 scalars in 2 tensors" in shown


def test_the_shell_passes_options_of_importers_on(tmp_path):
    onnx.save(dense("batch"), tmp_path / "open.onnx")
    failed = invoke("analyze", tmp_path / "open.onnx")
    assert failed.exit_code == 2
    assert "input 'x'" in failed.stderr
    for shape in ("x=2,3", "x=2x3"):
        result = invoke(
            "analyze",
            tmp_path / "open.onnx",
            "--input",
            shape,
            "--semantics",
            "dependency",
            "--json",
        )
        assert json.loads(result.stdout)[0]["total_contexts"] == 2 * 16 * 4
    for wrong in ("x", "x=", "x=0,3", "=1,3", "x=1,,3"):
        assert invoke("analyze", tmp_path / "open.onnx", "--input", wrong).exit_code == 2


def test_shell_compares_files_and_published_models(path):
    result = invoke("compare", path, "resnet18", "--json", "--sort", "name")
    assert [record["name"] for record in json.loads(result.stdout)] == ["dense", "resnet18"]
    assert "provenance" not in json.loads(result.stdout)[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["resnet18", "--input", "x=1,3"], "--input, --value and --semantics are for model files"),
        (["m.onnx", "--size", "32"], "--size and --padding are for published models"),
        (["m.onnx", "--threads", "2"], "--threads and --mmap are for graphs"),
        (["m.onnx"], "cannot be read"),
        (["m.json"], "m.json"),
    ],
)
def test_the_shell_refuses_what_it_cannot_import_in_one_line(
    tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    result = invoke("analyze", *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert message in result.stderr


@pytest.mark.parametrize("framework", ["onnx", "keras", "torch", "jax"])
def test_shell_lists_operators(framework):
    result = invoke("operators", framework)
    assert result.exit_code == 0
    names = result.stdout.split("\n")[:-1]
    assert len(names) > 50
    assert names == sorted(names)
