"""A block of experts as ONNX files have it: tokens, a router, and weights chosen by its numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

__all__ = ["GATES", "expert_block"]

GATES = ("softmax", "softmax of chosen", "softmax, divided", "sigmoid", "sigmoid, divided")
"""How numbers of a router become weights; "divided" by the sum of those that were chosen."""


def expert_block(
    gate: str,
    *,
    tokens: int = 3,
    width: int = 8,
    hidden: int = 8,
    experts: int = 4,
    chosen: int = 2,
) -> Any:
    """A model of two layers an expert, with ReLU between them.

    Parameters
    ----------
    gate : str
        One of `GATES`.
    tokens, width, hidden, experts, chosen : int
    """
    nodes, stored = [], []

    def node(operator: str, inputs: list[str], *outputs: str, **attributes: Any) -> None:
        nodes.append(helper.make_node(operator, inputs, list(outputs), **attributes))

    def store(name: str, array: Any) -> None:
        stored.append(numpy_helper.from_array(np.asarray(array), name))

    draws = np.random.default_rng(0)
    shapes = {"router": (width, experts)}
    shapes |= {"up": (experts, width, hidden), "down": (experts, hidden, width)}
    for name, shape in shapes.items():
        store(name, draws.normal(size=shape).astype(np.float32))
    for name, axes in {"one": [1], "two": [2], "both": [1, 2], "k": [chosen]}.items():
        store(name, np.array(axes, dtype=np.int64))
    node("MatMul", ["x", "router"], "numbers")
    raw = "raw" if "divided" in gate else "w"
    if gate == "softmax of chosen":
        node("TopK", ["numbers", "k"], "top", "index")
        node("Softmax", ["top"], "w", axis=-1)
    elif gate.startswith("softmax"):
        node("Softmax", ["numbers"], "shares", axis=-1)
        node("TopK", ["shares", "k"], raw, "index")
    else:
        node("Sigmoid", ["numbers"], "shares")
        node("TopK", ["shares", "k"], "unused", "index")
        node("GatherElements", ["shares", "index"], raw, axis=1)
    if "divided" in gate:
        node("ReduceSum", ["raw", "one"], "total", keepdims=1)
        node("Div", ["raw", "total"], "w")
    for name in ("up", "down"):
        node("Gather", [name, "index"], f"chosen {name}", axis=0)
    node("Unsqueeze", ["x", "both"], "rows")
    node("MatMul", ["rows", "chosen up"], "argument")
    node("Relu", ["argument"], "hidden")
    node("MatMul", ["hidden", "chosen down"], "wide")
    node("Squeeze", ["wide", "two"], "results")
    node("Unsqueeze", ["w", "two"], "factors")
    node("Mul", ["results", "factors"], "weighed")
    node("ReduceSum", ["weighed", "one"], "y", keepdims=0)
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, (tokens, width)) for name in "xy"
    ]
    graph = helper.make_graph(nodes, "experts", ends[:1], ends[1:], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
