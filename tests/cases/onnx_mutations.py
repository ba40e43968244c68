"""Damaged ONNX models: bytes changed, and nodes, attributes, shapes and types changed."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from onnx import AttributeProto, ModelProto, TensorProto

STRANGE = [-(1 << 63), -(1 << 31), -7, -2, -1, 0, 1, 2, 3, 4, 5, 7, 64, 10**6, 1 << 31, 10**12]
STRANGE += [1 << 62, (1 << 63) - 1]


def mutated_bytes(random: Random, content: bytes) -> bytes:
    """Bytes overwritten, cut out, doubled or cut off."""
    changed = bytearray(content)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(changed)) if changed else 0
        kind = random.randrange(5)
        if kind == 0:
            changed[at : at + 1] = bytes([random.randrange(256)])
        elif kind == 1:
            changed[at : at + 1] = bytes([changed[at] ^ (1 << random.randrange(8))])
        elif kind == 2:
            del changed[at : at + random.randint(1, 8)]
        elif kind == 3:
            changed[at:at] = changed[at : at + random.randint(1, 8)]
        elif random.random() < 0.2:
            del changed[at:]
        if not changed:
            break
    return bytes(changed)


def mutated_model(random: Random, model: ModelProto, operators: list[str]) -> ModelProto:
    """One to three changes of structure."""
    changed = ModelProto()
    changed.CopyFrom(model)
    for _ in range(random.randint(1, 3)):
        random.choice(MUTATIONS)(random, changed, operators)
    return changed


def _node(random: Random, model: ModelProto) -> Any:
    """A node, perhaps of a subgraph or a function."""
    nodes = list(model.graph.node)
    for function in model.functions:
        nodes += function.node
    for node in list(nodes):
        for attribute in node.attribute:
            if attribute.HasField("g"):
                nodes += attribute.g.node
    return random.choice(nodes) if nodes else None


def _names(model: ModelProto) -> list[str]:
    names = [tensor.name for tensor in model.graph.initializer]
    names += [value.name for value in model.graph.input]
    return names + [name for node in model.graph.node for name in node.output] + ["", "none"]


def drop_node(random: Random, model: ModelProto, operators: list[str]) -> None:
    if model.graph.node:
        del model.graph.node[random.randrange(len(model.graph.node))]


def double_node(random: Random, model: ModelProto, operators: list[str]) -> None:
    if model.graph.node:
        model.graph.node.append(random.choice(model.graph.node))


def swap_nodes(random: Random, model: ModelProto, operators: list[str]) -> None:
    nodes = list(model.graph.node)
    random.shuffle(nodes)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def change_operator(random: Random, model: ModelProto, operators: list[str]) -> None:
    node = _node(random, model)
    if node is not None:
        node.op_type = random.choice(operators)


def change_domain(random: Random, model: ModelProto, operators: list[str]) -> None:
    node = _node(random, model)
    if node is not None:
        node.domain = random.choice(["", "ai.onnx", "com.microsoft", "my.domain"])


def change_inputs(random: Random, model: ModelProto, operators: list[str]) -> None:
    node = _node(random, model)
    if node is None or not node.input:
        return
    kind = random.randrange(4)
    at = random.randrange(len(node.input))
    if kind == 0:
        node.input[at] = random.choice(_names(model))
    elif kind == 1:
        del node.input[at]
    elif kind == 2:
        node.input.append(random.choice(_names(model)))
    else:
        names = list(node.input)
        random.shuffle(names)
        del node.input[:]
        node.input.extend(names)


def change_outputs(random: Random, model: ModelProto, operators: list[str]) -> None:
    node = _node(random, model)
    if node is None:
        return
    kind = random.randrange(3)
    if kind == 0 and node.output:
        node.output[random.randrange(len(node.output))] = random.choice(_names(model))
    elif kind == 1 and node.output:
        del node.output[random.randrange(len(node.output))]
    else:
        node.output.append(random.choice(_names(model)) + "more")


def change_attribute(random: Random, model: ModelProto, operators: list[str]) -> None:
    node = _node(random, model)
    if node is None or not node.attribute:
        return
    attribute = random.choice(node.attribute)
    kind = random.randrange(6)
    if kind == 0:
        node.attribute.remove(attribute)
    elif kind == 1:
        attribute.type = random.randrange(0, 15) if random.random() < 0.5 else AttributeProto.INTS
    elif attribute.type == AttributeProto.INTS and attribute.ints:
        at = random.randrange(len(attribute.ints))
        if kind == 2:
            del attribute.ints[at]
        elif kind == 3:
            attribute.ints.append(random.choice(STRANGE))
        else:
            attribute.ints[at] = random.choice(STRANGE)
    elif attribute.type == AttributeProto.INT:
        attribute.i = random.choice(STRANGE)
    elif attribute.type == AttributeProto.STRING:
        attribute.s = random.choice([b"", b"\xff\xfe", b"SAME_UPPER", b"linear", attribute.s[:-1]])
    elif attribute.type == AttributeProto.FLOATS and attribute.floats:
        attribute.floats[0] = random.choice([0.0, -1.0, 1e30, float("nan"), float("inf"), 2.5])


def change_stored(random: Random, model: ModelProto, operators: list[str]) -> None:
    if not model.graph.initializer:
        return
    tensor = random.choice(model.graph.initializer)
    kind = random.randrange(6)
    if kind == 0 and tensor.dims:
        tensor.dims[random.randrange(len(tensor.dims))] = random.choice(STRANGE)
    elif kind == 1 and tensor.dims:
        del tensor.dims[random.randrange(len(tensor.dims))]
    elif kind == 2:
        tensor.dims.append(random.choice([0, 1, 2, 1 << 62]))
    elif kind == 3:
        tensor.data_type = random.randrange(0, 24)
    elif kind == 4 and tensor.data_type == TensorProto.INT64 and len(tensor.raw_data) >= 8:
        at = 8 * random.randrange(len(tensor.raw_data) // 8)
        value = random.choice(STRANGE).to_bytes(8, "little", signed=True)
        tensor.raw_data = tensor.raw_data[:at] + value + tensor.raw_data[at + 8 :]
    else:
        tensor.raw_data = tensor.raw_data[: random.randrange(len(tensor.raw_data) + 1)]


def change_shape_and_data(random: Random, model: ModelProto, operators: list[str]) -> None:
    """Another shape of a weight that still can be read."""
    if not model.graph.initializer:
        return
    tensor = random.choice(model.graph.initializer)
    if tensor.data_type == TensorProto.FLOAT and tensor.dims:
        tensor.dims[random.randrange(len(tensor.dims))] = random.randint(1, 6)
        size = 1
        for length in tensor.dims:
            size *= length
        if 0 <= size < 10**5:
            tensor.raw_data = b"\0\0\x80\x3f" * size


def change_input_shape(random: Random, model: ModelProto, operators: list[str]) -> None:
    if not model.graph.input:
        return
    lengths = random.choice(model.graph.input).type.tensor_type.shape.dim
    if lengths and random.random() < 0.8:
        random.choice(lengths).dim_value = random.choice([1, 2, 5, 8, *STRANGE])
    else:
        lengths.add().dim_value = 2


def change_opset(random: Random, model: ModelProto, operators: list[str]) -> None:
    for entry in model.opset_import:
        entry.version = random.choice([-1, 0, 1, 6, 7, 8, 9, 10, 11, 12, 13, 17, 18, 21, 23, 1000])


def change_graph_outputs(random: Random, model: ModelProto, operators: list[str]) -> None:
    if model.graph.output:
        random.choice(model.graph.output).name = random.choice(_names(model))


Mutation = Callable[[Random, ModelProto, list[str]], None]
MUTATIONS: list[Mutation] = [
    drop_node,
    double_node,
    swap_nodes,
    change_operator,
    change_domain,
    change_inputs,
    change_inputs,
    change_outputs,
    change_attribute,
    change_attribute,
    change_attribute,
    change_stored,
    change_stored,
    change_shape_and_data,
    change_input_shape,
    change_opset,
    change_graph_outputs,
]
