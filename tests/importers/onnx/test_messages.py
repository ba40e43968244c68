"""What is read of ONNX's messages without its package is what the package reads."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from unrolled.importers.onnx.messages import (  # noqa: E402
    array_of,
    dtype_of,
    messages,
    type_name,
    value_of,
)

KINDS = [kind for kind in TensorProto.DataType.values() if kind != TensorProto.UNDEFINED]


def test_messages_are_those_of_the_package():
    assert messages().ModelProto is onnx.ModelProto
    assert messages().TensorProto is TensorProto


@pytest.mark.parametrize("kind", KINDS)
def test_types_are_those_of_the_package(kind):
    assert type_name(kind) == TensorProto.DataType.Name(kind)
    assert dtype_of(kind) == np.dtype(helper.tensor_dtype_to_np_dtype(kind))


def test_types_that_there_are_not():
    assert type_name(12345) == ""
    with pytest.raises((KeyError, ValueError, TypeError)):
        dtype_of(12345)


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != TensorProto.STRING])
def test_arrays_are_those_of_the_package(kind, raw):
    values = np.array([[1, 0, 1], [1, 1, 0]]).astype(helper.tensor_dtype_to_np_dtype(kind))
    tensor = (
        numpy_helper.from_array(values)
        if raw
        else helper.make_tensor("x", kind, values.shape, values.ravel())
    )
    found, expected = array_of(tensor), numpy_helper.to_array(tensor)
    assert found.dtype == expected.dtype == values.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("change", [{"dims": [4]}, {"raw_data": b"12345"}])
def test_arrays_that_do_not_fit_are_errors(change):
    tensor = numpy_helper.from_array(np.zeros(3, np.float32))
    for field, value in change.items():
        tensor.ClearField(field)
        tensor.MergeFrom(TensorProto(**{field: value}))
    with pytest.raises(ValueError, match=r"reshape|buffer size"):
        numpy_helper.to_array(tensor)
    with pytest.raises(ValueError, match=r"reshape|buffer size"):
        array_of(tensor)


@pytest.mark.parametrize(
    "value",
    [1.5, 3, "text", [1.0, 2.5], [1, 2], ["a", "b"], helper.make_graph([], "g", [], []),
     numpy_helper.from_array(np.arange(3)), [numpy_helper.from_array(np.arange(3))]],
)  # fmt: skip
def test_attributes_are_those_of_the_package(value):
    attribute = helper.make_attribute("name", value)
    assert value_of(attribute) == helper.get_attribute_value(attribute)


def test_reading_a_file_imports_no_package(tmp_path):
    path = tmp_path / "dense.onnx"
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, length])
        for name, length in (("x", 3), ("y", 2))
    )
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["z"], transB=1, alpha=1.0),
        helper.make_node("Reshape", ["z", "shape"], ["y"]),
    ]
    stored = [
        helper.make_tensor("w", TensorProto.FLOAT, [2, 3], [0.5] * 6),
        numpy_helper.from_array(np.array([1, 2]), "shape"),
    ]
    onnx.save(helper.make_model(helper.make_graph(nodes, "dense", [x], [y], stored)), path)
    code = (
        "import sys, unrolled\n"
        f"net = unrolled.from_onnx({str(path)!r})\n"
        "assert net.num_parameters == 6, net.num_parameters\n"
        "assert not {'onnx', 'ml_dtypes'} & set(sys.modules)\n"
        "import onnx, onnx.numpy_helper\n"
        f"model = onnx.load({str(path)!r})\n"
        "assert unrolled.from_onnx(model).num_parameters == 6\n"
        "assert onnx.onnx_ml_pb2.ModelProto is onnx.ModelProto\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
