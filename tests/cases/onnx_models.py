"""Small ONNX models, written as one line of text for each node."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

Shape = tuple[int, ...]


def node(text: str, **attributes: Any) -> NodeProto:
    """A node from text such as ``"Conv x,kernel,bias -> y"``; "my.domain::Op x -> y" has a domain.

    Names of inputs that are left out are empty: ``"Clip x,,high -> y"``.
    """
    left, _, right = text.partition("->")
    operator, _, inputs = left.strip().partition(" ")
    domain, _, operator = operator.rpartition("::")
    return helper.make_node(
        operator,
        _names(inputs),
        _names(right),
        domain=domain or None,
        **attributes,
    )


def model(
    *nodes: NodeProto | str,
    weights: Mapping[str, Shape] | None = None,
    constants: Mapping[str, Any] | None = None,
    inputs: Mapping[str, Sequence[int | str]] | None = None,
    outputs: str | None = None,
    opset: int = 17,
    functions: Sequence[Any] = (),
    ir_version: int = 8,
) -> ModelProto:
    """A model.

    Parameters
    ----------
    *nodes : NodeProto, or text as for `node`
    weights : dict of str to tuple of int
        Floating-point initialisers, filled with random numbers.
    constants : dict of str to array
        Integer arrays become initialisers, others are the values of Constant nodes.
    inputs : dict of str to shape
    outputs : str, optional
        Names; by default, what the last node computes.
    """
    protos = [node(one) if isinstance(one, str) else one for one in nodes]
    first = []
    initializers = [
        numpy_helper.from_array(numbers_for(name, shape), name)
        for name, shape in (weights or {}).items()
    ]
    for name, array in (constants or {}).items():
        tensor = numpy_helper.from_array(np.asarray(array), name)
        if np.asarray(array).dtype.kind == "f":
            first.append(helper.make_node("Constant", [], [name], value=tensor))
        else:
            initializers.append(tensor)
    wanted = [one for one in protos[-1].output if one] if outputs is None else _names(outputs)
    graph = helper.make_graph(
        [*first, *protos],
        "model",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in (inputs or {}).items()
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in wanted],
        initializers,
    )
    domains = {one.domain for one in [*protos, *functions] if one.domain}
    return helper.make_model(
        graph,
        opset_imports=[
            helper.make_opsetid("", opset),
            *[helper.make_opsetid(domain, 1) for domain in sorted(domains)],
        ],
        functions=functions,
        ir_version=ir_version,
    )


def subgraph(
    *nodes: NodeProto | str,
    inputs: str = "",
    outputs: str = "",
    weights: Mapping[str, Shape] | None = None,
) -> Any:
    """A body for If, Loop and Scan."""
    return helper.make_graph(
        [node(one) if isinstance(one, str) else one for one in nodes],
        "body",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in _names(inputs)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in _names(outputs)],
        [
            numpy_helper.from_array(numbers_for(name, shape), name)
            for name, shape in (weights or {}).items()
        ],
    )


def names(text: str) -> list[str]:
    """The words of a text."""
    return text.split()


def numbers_for(name: str, shape: Shape) -> Any:
    """Random numbers that depend on the name only, well away from zero."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    return random.uniform(0.5, 1.5, shape).astype(np.float32)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")] if text.strip() else []
