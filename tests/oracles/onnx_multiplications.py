"""Multiplications of an ONNX file, counted by walking its nodes with the shapes that ONNX infers.

Nothing of the package is used. A convolution multiplies all weights of a filter at every position
of its output, padding or not; a matrix product once for each term of each element.
"""

from __future__ import annotations

from math import prod
from pathlib import Path

import onnx


def multiplications(path: Path) -> tuple[int, int]:
    """Multiplications by stored weights, and of two computed tensors."""
    model = onnx.load(path, load_external_data=False)
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    shapes = {one.name: list(one.dims) for one in graph.initializer}
    stored = set(shapes)
    for value in (*graph.value_info, *graph.input, *graph.output):
        shapes[value.name] = [one.dim_value for one in value.type.tensor_type.shape.dim]
    by_weights = by_values = 0
    for node in graph.node:
        # What is computed of weights alone is a weight.
        if node.input and all(not name or name in stored for name in node.input):
            stored |= set(node.output)
            continue
        if node.op_type == "Constant":
            stored |= set(node.output)
        if node.op_type == "Conv":
            number = prod(shapes[node.output[0]]) * prod(shapes[node.input[1]][1:])
        elif node.op_type in ("MatMul", "Gemm"):
            transposed = any(one.name == "transA" and one.i for one in node.attribute)
            assert not transposed
            number = prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]
        elif node.op_type == "LSTM":
            number = lstm(node, shapes)
        elif node.op_type in ("ConvTranspose", "Einsum", "GRU", "RNN"):
            raise AssertionError(f"no rule for {node.op_type}")
        else:
            continue
        if all(name in stored for name in node.input[1:2]):
            by_weights += number
        else:
            by_values += number
    return by_weights, by_values


def lstm(node: onnx.NodeProto, shapes: dict[str, list[int]]) -> int:
    """Of an LSTM that begins with a state of zeros, which nothing has to be multiplied by."""
    steps, batch, _ = shapes[node.input[0]]
    kernel, recurrent = (prod(shapes[name]) for name in node.input[1:3])
    return batch * (steps * kernel + (steps - 1) * recurrent)
