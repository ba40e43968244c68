"""Large models as ONNX graphs without weights, in the form that PyTorch exports them in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnx import TensorProto, helper


class Graph:
    """Collects nodes, and weights that are said to be stored elsewhere."""

    def __init__(self, name: str, shape: Sequence[int]) -> None:
        self.name = name
        self.nodes: list[Any] = []
        self.stored: list[Any] = []
        self.input = helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        output = f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def weight(self, *shape: int) -> str:
        tensor = TensorProto(name=f"weight.{len(self.stored)}", data_type=TensorProto.FLOAT)
        tensor.dims.extend(shape)
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="weights.bin")
        self.stored.append(tensor)
        return str(tensor.name)

    def integers(self, *values: int) -> str:
        tensor = helper.make_tensor(
            f"integers.{len(self.stored)}", TensorProto.INT64, [len(values)], values
        )
        self.stored.append(tensor)
        return str(tensor.name)

    def number(self, value: float) -> str:
        tensor = helper.make_tensor("", TensorProto.FLOAT, [], [value])
        return self.node("Constant", value=tensor)

    def conv(self, x: str, i: int, o: int, k: int, *, bias: bool = True, **attributes: Any) -> str:
        groups = attributes.get("group", 1)
        biases = [self.weight(o)] if bias else []
        return self.node("Conv", x, self.weight(o, i // groups, k, k), *biases, **attributes)

    def dense(self, x: str, i: int, o: int) -> str:
        return self.node("Add", self.weight(o), self.node("MatMul", x, self.weight(i, o)))

    def layer_norm(self, x: str, width: int) -> str:
        weights = self.weight(width), self.weight(width)
        return self.node("LayerNormalization", x, *weights, axis=-1)

    def gelu(self, x: str) -> str:
        error = self.node("Erf", self.node("Div", x, self.number(1.4142135)))
        half = self.node("Mul", x, self.node("Add", error, self.number(1.0)))
        return self.node("Mul", half, self.number(0.5))

    def model(self, output: str) -> Any:
        y = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, self.name, [self.input], [y], self.stored)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def vision_transformer(depth: int, width: int, heads: int, size: int, patch: int) -> Any:
    """A vision transformer (Dosovitskiy et al. 2021)."""
    graph = Graph("vit", (1, 3, size, size))
    tokens = (size // patch) ** 2
    x = graph.conv("image", 3, width, patch, strides=[patch, patch])
    x = graph.node(
        "Transpose", graph.node("Reshape", x, graph.integers(1, width, tokens)), perm=[0, 2, 1]
    )
    x = graph.node("Concat", graph.weight(1, 1, width), x, axis=1)
    x = graph.node("Add", x, graph.weight(1, tokens + 1, width))
    for _ in range(depth):
        y = graph.dense(graph.layer_norm(x, width), width, 3 * width)
        y = graph.node("Reshape", y, graph.integers(1, tokens + 1, 3, heads, width // heads))
        y = graph.node("Transpose", y, perm=[2, 0, 3, 1, 4])
        query, key, value = (
            graph.node("Gather", y, graph.node("Constant", value_int=at), axis=0) for at in range(3)
        )
        scores = graph.node("MatMul", query, graph.node("Transpose", key, perm=[0, 1, 3, 2]))
        y = graph.node("MatMul", graph.node("Softmax", scores, axis=-1), value)
        y = graph.node("Transpose", y, perm=[0, 2, 1, 3])
        y = graph.node("Reshape", y, graph.integers(1, tokens + 1, width))
        x = graph.node("Add", x, graph.dense(y, width, width))
        y = graph.dense(graph.layer_norm(x, width), width, 4 * width)
        x = graph.node("Add", x, graph.dense(graph.gelu(y), 4 * width, width))
    x = graph.node(
        "Gather", graph.layer_norm(x, width), graph.node("Constant", value_int=0), axis=1
    )
    return graph.model(
        graph.node("Gemm", x, graph.weight(1000, width), graph.weight(1000), transB=1)
    )


def convnext(depths: Sequence[int], widths: Sequence[int], size: int) -> Any:
    """ConvNeXt (Liu et al. 2022)."""
    graph = Graph("convnext", (1, 3, size, size))
    last, first = [0, 2, 3, 1], [0, 3, 1, 2]

    def norm(x: str, width: int) -> str:
        y = graph.layer_norm(graph.node("Transpose", x, perm=last), width)
        return graph.node("Transpose", y, perm=first)

    x = norm(graph.conv("image", 3, widths[0], 4, strides=[4, 4]), widths[0])
    before = widths[0]
    for depth, width in zip(depths, widths, strict=True):
        if width != before:
            x = graph.conv(norm(x, before), before, width, 2, strides=[2, 2])
        for _ in range(depth):
            y = graph.conv(x, width, width, 7, group=width, pads=[3, 3, 3, 3])
            y = graph.layer_norm(graph.node("Transpose", y, perm=last), width)
            y = graph.dense(graph.gelu(graph.dense(y, width, 4 * width)), 4 * width, width)
            y = graph.node("Mul", graph.node("Transpose", y, perm=first), graph.weight(width, 1, 1))
            x = graph.node("Add", x, y)
        before = width
    x = graph.node("Flatten", norm(graph.node("GlobalAveragePool", x), before))
    return graph.model(
        graph.node("Gemm", x, graph.weight(1000, before), graph.weight(1000), transB=1)
    )


def densenet(blocks: Sequence[int], growth: int, size: int) -> Any:
    """DenseNet (Huang et al. 2017)."""
    graph = Graph("densenet", (1, 3, size, size))

    def normalised(x: str, width: int) -> str:
        weights = [graph.weight(width) for _ in range(4)]
        return graph.node("Relu", graph.node("BatchNormalization", x, *weights))

    width = 2 * growth
    x = graph.conv("image", 3, width, 7, bias=False, strides=[2, 2], pads=[3, 3, 3, 3])
    x = graph.node(
        "MaxPool", normalised(x, width), kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]
    )
    for number, layers in enumerate(blocks):
        if number:
            x = graph.conv(normalised(x, width), width, width // 2, 1, bias=False)
            x = graph.node("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
            width //= 2
        for _ in range(layers):
            y = graph.conv(normalised(x, width), width, 4 * growth, 1, bias=False)
            y = normalised(y, 4 * growth)
            y = graph.conv(y, 4 * growth, growth, 3, bias=False, pads=[1, 1, 1, 1])
            x = graph.node("Concat", x, y, axis=1)
            width += growth
    x = graph.node("Flatten", graph.node("GlobalAveragePool", normalised(x, width)))
    return graph.model(
        graph.node("Gemm", x, graph.weight(1000, width), graph.weight(1000), transB=1)
    )
