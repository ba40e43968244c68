"""Networks of benchmarks as ONNX, written from the benchmarks' descriptions."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Writer:
    """Nodes and parameters of one graph."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.parameters: list[Any] = []

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def weight(self, *shape: int) -> str:
        name = f"weight_{len(self.parameters)}"
        self.parameters.append(numpy_helper.from_array(np.ones(shape, np.float32), name))
        return name

    def conv(self, x: str, inputs: int, outputs: int, k: int, s: int = 1, groups: int = 1) -> str:
        weight = self.weight(outputs, inputs // groups, k, k)
        pads = [k // 2] * 4
        strides = [s, s]
        return self.node("Conv", x, weight, pads=pads, strides=strides, group=groups)

    def norm(self, x: str, channels: int) -> str:
        return self.node("BatchNormalization", x, *(self.weight(channels) for _ in range(4)))

    def conv_norm(
        self, x: str, inputs: int, outputs: int, k: int, s: int = 1, groups: int = 1
    ) -> str:
        return self.norm(self.conv(x, inputs, outputs, k, s, groups), outputs)

    def halves(self, x: str, inputs: int, outputs: int) -> str:
        """Two 1 x 1 kernels, on even and on odd positions, next to each other."""
        parts = []
        for start in (0, 1):
            arrays = ([start, start], [1 << 30, 1 << 30], [2, 3], [2, 2])
            y = self.node("Slice", x, *(self.integers(one) for one in arrays))
            parts.append(self.conv(y, inputs, outputs // 2, 1))
        return self.norm(self.node("Concat", *parts, axis=1), outputs)

    def integers(self, values: list[int]) -> str:
        name = f"integers_{len(self.parameters)}"
        self.parameters.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def finish(self, x: str, channels: int, side: int, classes: int = 10) -> Any:
        x = self.node("Flatten", self.node("GlobalAveragePool", x))
        x = self.node("Gemm", x, self.weight(classes, channels), self.weight(classes), transB=1)
        graph = helper.make_graph(
            self.nodes,
            "benchmark",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, side, side])],
            [helper.make_tensor_value_info(x, TensorProto.FLOAT, [1, classes])],
            self.parameters,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        onnx.checker.check_model(model)
        return model


def nasbench201_model(choices: tuple[int, ...]) -> Any:
    """Operations of a cell: 0 none, 1 skip, 2 pool, 3 and 4 the kernels."""
    net = Writer()
    x, width = net.conv_norm("x", 3, 16, 3), 16
    for stage in range(3):
        if stage:
            y = net.conv_norm(net.node("Relu", x), width, 2 * width, 3, 2)
            y = net.conv_norm(net.node("Relu", y), 2 * width, 2 * width, 3)
            pooled = net.node("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
            x, width = net.node("Add", net.conv(pooled, width, 2 * width, 1), y), 2 * width
        for _ in range(5):
            nodes, rest = [x], list(choices)
            for target in (1, 2, 3):
                total = ""
                for source in range(target):
                    choice, y = rest.pop(0), nodes[source]
                    if choice == 0 or not y:
                        continue
                    if choice == 2:
                        pads = [1, 1, 1, 1]
                        y = net.node("AveragePool", y, kernel_shape=[3, 3], pads=pads)
                    elif choice > 2:
                        y = net.conv_norm(net.node("Relu", y), width, width, 2 * choice - 5)
                    total = net.node("Add", total, y) if total else y
                nodes.append(total)
            x = nodes[3]
    return net.finish(net.node("Relu", net.norm(x, width)), width, 32)


def nasbench_macro_model(choices: tuple[int, ...]) -> Any:
    net = Writer()
    x, width, rest = net.node("Relu", net.conv_norm("x", 3, 32, 3)), 32, list(choices)
    for layers in (2, 3, 3):
        for layer in range(layers):
            s, outputs = (2, 2 * width) if layer == 0 else (1, width)
            choice = rest.pop(0)
            if choice == 0:
                x = x if layer else net.conv_norm(x, width, outputs, 1, s)
            else:
                wide, k = (3 * width, 3) if choice == 1 else (6 * width, 5)
                y = net.node("Relu", net.conv_norm(x, width, wide, 1))
                y = net.node("Relu", net.conv_norm(y, wide, wide, k, s, wide))
                y = net.conv_norm(y, wide, outputs, 1)
                x = net.node("Add", x, y) if layer else y
            width = outputs
    x = net.node("Relu", net.conv_norm(x, width, 1280, 1))
    return net.finish(x, 1280, 32)


def transnasbench_model(choices: tuple[int, ...]) -> Any:
    """Operations of a cell: 0 none, 1 identity, 2 and 3 the kernels; none without a path."""
    net = Writer()
    x = net.conv_norm("x", 3, 32, 3, 2)
    x, width = net.conv_norm(net.node("Relu", x), 32, 64, 3, 2), 64
    for kind in "41414":
        for cell in range(2):
            s = 2 if kind == "4" and cell == 0 else 1
            outputs = width * s
            nodes, rest = [x], list(choices)
            for target in (1, 2, 3):
                total = ""
                for source in range(target):
                    choice, y = rest.pop(0), nodes[source]
                    if choice == 0 or not y:
                        continue
                    inputs, step = (width, s) if source == 0 else (outputs, 1)
                    if choice > 1:
                        y = net.conv_norm(
                            net.node("Relu", y), inputs, outputs, 2 * choice - 3, step
                        )
                    elif step == 2:
                        y = net.halves(net.node("Relu", y), inputs, outputs)
                    total = net.node("Add", total, y) if total else y
                nodes.append(total)
            x, width = nodes[3], outputs
    return net.finish(x, width, 256, 47)
