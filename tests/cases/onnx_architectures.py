"""Published architectures written as ONNX models, without the numbers of their weights."""

from __future__ import annotations

from typing import Any

from onnx import ModelProto, TensorProto, helper

from cases.onnx_models import Shape, node


class Exporter:
    """Writes the layers of a model as the nodes that exporters write, padding as Keras does or not.

    Parameters
    ----------
    same : bool
        Whether strided layers are padded more at the end.
    as_operators : bool
        Whether that is written by Pad operators, as timm does, or by `auto_pad`.
    """

    def __init__(self, *, same: bool = False, as_operators: bool = False) -> None:
        self.same = same
        self.as_operators = as_operators
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.channels: dict[str, int] = {"x": 3}

    def weight(self, name: str, shape: Shape) -> str:
        """A stored tensor whose numbers are in a file that is not there."""
        tensor = TensorProto(name=name, dims=shape, data_type=TensorProto.FLOAT)
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="weights.bin")
        self.weights.append(tensor)
        return name

    def add(self, operator: str, inputs: str, channels: int, **attributes: Any) -> str:
        name = f"t{len(self.channels)}"
        self.nodes.append(node(f"{operator} {inputs} -> {name}", **attributes))
        self.channels[name] = channels
        return name

    def conv(
        self,
        x: str,
        rows: int,
        size: int,
        name: str,
        *,
        stride: int = 1,
        groups: int = 1,
        **more: Any,
    ) -> str:
        kernel = self.weight(f"{name}/kernel", (rows, self.channels[x] // groups, size, size))
        bias = f",{self.weight(f'{name}/bias', (rows,))}" if more.get("bias") else ""
        attributes: dict[str, Any] = {"strides": [stride] * 2, "group": groups}
        if self.same and stride > 1 and self.as_operators:
            x = self.add("Pad", f"{x},sides", self.channels[x])  # An even side, a kernel of three.
        elif self.same:
            attributes["auto_pad"] = "SAME_UPPER"
        else:
            attributes["pads"] = [size // 2] * 4
        return self.add("Conv", f"{x},{kernel}{bias}", rows, **attributes)

    def norm(self, x: str, name: str) -> str:
        names = ["scale", "shift", "mean", "variance"]
        given = [self.weight(f"{name}/{one}", (self.channels[x],)) for one in names]
        return self.add("BatchNormalization", ",".join([x, *given]), self.channels[x])

    def conv_norm(self, x: str, rows: int, size: int, name: str, **options: Any) -> str:
        return self.norm(self.conv(x, rows, size, f"{name}.conv", **options), f"{name}.norm")

    def function(self, operator: str, x: str) -> str:
        return self.add(operator, x, self.channels[x])

    def silu(self, x: str) -> str:
        return self.add("Mul", f"{x},{self.function('Sigmoid', x)}", self.channels[x])

    def classifier(self, x: str, classes: int) -> None:
        pooled = self.function("GlobalAveragePool", x)
        flat = self.function("Flatten", pooled)
        kernel = self.weight("classifier/kernel", (self.channels[x], classes))
        self.add("Gemm", f"{flat},{kernel},{self.weight('classifier/bias', (classes,))}", classes)

    def model(self, side: int) -> ModelProto:
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, side, side])
        last = helper.make_tensor_value_info(self.nodes[-1].output[0], TensorProto.FLOAT, None)
        sides = helper.make_tensor("sides", TensorProto.INT64, [8], [0] * 6 + [1, 1])
        graph = helper.make_graph(self.nodes, "net", [x], [last], [*self.weights, sides])
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def resnet_50(side: int) -> ModelProto:
    """ResNet-50 v1.5, its strides on the 3 x 3 convolutions."""
    net = Exporter()
    x = net.function("Relu", net.conv_norm("x", 64, 7, "stem", stride=2))
    x = net.add("MaxPool", x, 64, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    for stage, blocks in enumerate((3, 4, 6, 3)):
        for block in range(blocks):
            name, width = f"stage{stage + 1}.block{block + 1}", 64 << stage
            stride = 2 if stage and not block else 1
            y = net.function("Relu", net.conv_norm(x, width, 1, f"{name}.reduce"))
            y = net.conv_norm(y, width, 3, f"{name}.spatial", stride=stride)
            y = net.conv_norm(net.function("Relu", y), 4 * width, 1, f"{name}.expand")
            if not block:
                x = net.conv_norm(x, 4 * width, 1, f"{name}.shortcut", stride=stride)
            x = net.function("Relu", net.add("Add", f"{y},{x}", 4 * width))
    net.classifier(x, 1000)
    return net.model(side)


STAGES = [
    (False, 1, 16, 1, 1),
    (False, 2, 32, 4, 2),
    (False, 2, 48, 4, 2),
    (True, 3, 96, 4, 2),
    (True, 5, 112, 6, 1),
    (True, 8, 192, 6, 2),
]
"""Of EfficientNetV2-B0: whether depthwise, repeats, channels, expansion, stride."""


def efficientnet_v2_b0(side: int, *, as_operators: bool) -> ModelProto:
    """EfficientNetV2-B0, padded as Keras does."""
    net = Exporter(same=True, as_operators=as_operators)
    x = net.silu(net.conv_norm("x", 32, 3, "stem", stride=2))
    for number, (is_depthwise, repeats, channels, expansion, stride) in enumerate(STAGES, 1):
        for repeat in range(repeats):
            name, step = f"stage{number}.block{repeat + 1}", stride if not repeat else 1
            first, inputs = x, net.channels[x]
            wide = inputs * expansion
            if is_depthwise:
                x = net.silu(net.conv_norm(x, wide, 1, f"{name}.expand"))
                depthwise = f"{name}.depthwise"
                x = net.silu(net.conv_norm(x, wide, 3, depthwise, stride=step, groups=wide))
                gate = net.function("GlobalAveragePool", x)
                gate = net.silu(net.conv(gate, inputs // 4, 1, f"{name}.squeeze", bias=True))
                gate = net.conv(gate, wide, 1, f"{name}.excite", bias=True)
                x = net.add("Mul", f"{x},{net.function('Sigmoid', gate)}", wide)
            elif expansion > 1:
                x = net.silu(net.conv_norm(x, wide, 3, f"{name}.expand", stride=step))
            size = 3 if expansion == 1 else 1
            x = net.conv_norm(x, channels, size, f"{name}.project")
            x = net.silu(x) if expansion == 1 else x
            if step == 1 and inputs == channels:
                x = net.add("Add", f"{x},{first}", channels)
    x = net.silu(net.conv_norm(x, 1280, 1, "head"))
    net.classifier(x, 1000)
    return net.model(side)
