"""ONNX's protocol buffers, and what of them reading a model needs: types, arrays and attributes.

The package ``onnx`` imports much besides, which takes longer than to read most files. So the module
of its messages is used alone, and the rest only for types that NumPy does not have.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from unrolled._support.optional import import_alone, import_optional

__all__ = ["array_of", "dtype_of", "messages", "type_name", "value_of"]

TYPES = {
    1: "<f4", 2: "u1", 3: "i1", 4: "<u2", 5: "<i2", 6: "<i4", 7: "<i8", 9: "?", 10: "<f2",
    11: "<f8", 12: "<u4", 13: "<u8", 14: "<c8", 15: "<c16",
}  # fmt: skip
"""By number, the types of elements that NumPy has, as files store them."""

FIELDS = {1: "float_data", 6: "int32_data", 7: "int64_data", 11: "double_data"}
"""By type, where elements are that are not stored as bytes."""

ATTRIBUTES = {1: "f", 2: "i", 3: "s", 5: "g", 6: "floats", 7: "ints", 8: "strings"}
"""By kind of attribute, the field that has its value."""


def messages() -> Any:
    """The module with the classes of the messages; there is one of each, whoever asks for it.

    Raises
    ------
    MissingPackageError
        ONNX is not installed.
    """
    return import_alone("onnx.onnx_ml_pb2", "onnx", "reading ONNX models")


def type_name(data_type: int) -> str:
    """The name of a type of elements, such as "FLOAT"; nothing if there is none."""
    try:
        name: str = messages().TensorProto.DataType.Name(data_type)
    except ValueError:
        return ""
    return name


def dtype_of(data_type: int) -> np.dtype[Any]:
    """The type that NumPy has for elements of a type.

    Raises
    ------
    KeyError, ValueError, TypeError
        There is none.
    """
    if data_type in TYPES:
        return np.dtype(TYPES[data_type]).newbyteorder("=")
    helper = import_optional("onnx.helper", "onnx", "reading ONNX models")
    found: np.dtype[Any] = np.dtype(helper.tensor_dtype_to_np_dtype(data_type))
    return found


def array_of(tensor: Any) -> npt.NDArray[Any]:
    """The elements of a TensorProto that holds them.

    Raises
    ------
    ValueError, TypeError
        It does not hold them, or others.
    """
    kind = tensor.data_type
    if kind in TYPES and not tensor.HasField("segment") and not tensor.data_location:
        if tensor.HasField("raw_data"):
            stored = np.frombuffer(tensor.raw_data, dtype=TYPES[kind])
            return stored.astype(dtype_of(kind), copy=False).reshape(tuple(tensor.dims))
        if kind in FIELDS:
            listed = np.asarray(getattr(tensor, FIELDS[kind]), dtype=dtype_of(kind))
            return listed.reshape(tuple(tensor.dims))
    helper = import_optional("onnx.numpy_helper", "onnx", "reading ONNX models")
    return np.asarray(helper.to_array(tensor))


def value_of(attribute: Any) -> Any:
    """The value of an attribute that refers to no other.

    Raises
    ------
    ValueError
        An attribute of no known kind.
    """
    field = ATTRIBUTES.get(attribute.type)
    if field is None:
        helper = import_optional("onnx.helper", "onnx", "reading ONNX models")
        return helper.get_attribute_value(attribute)
    value = getattr(attribute, field)
    return list(value) if field in ("floats", "ints", "strings") else value
