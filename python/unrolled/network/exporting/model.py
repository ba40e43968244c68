"""A network as the bytes of an ONNX file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from unrolled._core import Operation
from unrolled._support.arguments import checked_positive, checked_seed
from unrolled._support.optional import import_optional
from unrolled.errors import (
    InvalidNetworkError,
    SizeOverflowError,
    UnknownOperationError,
)
from unrolled.network.exporting.computation import Computation, NotWrittenError
from unrolled.network.exporting.graph import GraphWriter
from unrolled.network.exporting.operations import use_of_kernel, write_tensor
from unrolled.network.exporting.values import (
    InitialWeights,
    ParameterUse,
    check_weights,
    initial_values,
)
from unrolled.network.layers.attention import PART

if TYPE_CHECKING:
    from unrolled.network.builder import Builder, Link, Tensor

__all__ = ["IR_VERSION", "OPSET", "model_bytes"]

OPSET, IR_VERSION = 23, 11
"""The versions of the operators and of the format; the first that have RMS normalisation."""

LARGEST_FILE = 2**31 - 2**20
"""Bytes of weights that a file can hold, with room for the nodes."""

LEFT_OUT = "weights_left_out.bin"
"""The file in which weights would be that are left out."""


def model_bytes(
    network: Builder, weights: InitialWeights | None, *, seed: int, batch: int
) -> bytes:
    """The file of a network; see `Network.to_onnx`."""
    helper = import_optional("onnx.helper", "onnx", "to_onnx")
    batch = checked_positive(batch, "batch")
    seed = checked_seed(seed)
    if not network.outputs:
        raise InvalidNetworkError(
            f"network '{network.name}' has no output; mark one with output(tensor) before it is "
            "written"
        )
    graph = GraphWriter([tensor.name for tensor in network.tensors], batch)
    computations = _computations(network)
    _write_all(network, graph, computations)
    outputs = [_output(graph, tensor) for tensor in network.outputs]
    of_indices = _integer_inputs(network, computations)
    made = helper.make_graph(
        graph.nodes,
        network.name,
        [_described(one.name, one, batch, one.id in of_indices) for one in network.inputs],
        [
            _described(name, one, batch, False)
            for name, one in zip(outputs, network.outputs, strict=True)
        ],
        _initializers(network, computations, weights, seed),
    )
    model = helper.make_model(
        made,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="unrolled",
    )
    return bytes(model.SerializeToString(deterministic=True))


def _computations(network: Builder) -> list[Computation]:
    """How every activation is computed, in the order of declaration, which is one of computation.

    One-hot rows, which stand between indices and the rows of a table, are no tensors of their own
    in ONNX, and neither is what stands for the scores of an attention with a mask.
    """
    links: dict[int, list[Link]] = {}
    for link in network.links:
        links.setdefault(link.target.id, []).append(link)
    activations = [tensor for tensor in network.tensors if tensor.role == "activation"]
    operations = {one.id: network.operation(one) or Operation("other") for one in activations}
    one_hot = {
        one: links[one][0]
        for one, operation in operations.items()
        if operation.kind == "embedding" and operation.function == "one_hot"
    }
    parts = {one for one, operation in operations.items() if operation == PART}
    found = []
    for tensor in activations:
        if tensor.id in one_hot or tensor.id in parts:
            continue
        what = Computation(tensor, operations[tensor.id], links.get(tensor.id, []))
        rows = [link.source.id for link in what.links if link.role == "data"]
        if what.operation.kind == "embedding" and rows and rows[0] in one_hot:
            what = what._replace(indices=one_hot[rows[0]])
        if what.operation.function == "masked_attention":
            what = _with_factors(what, links, parts)
        found.append(what)
    integers = _integer_inputs(network, found)
    return [
        one._replace(is_integer=one.indices is not None and one.indices.source.id in integers)
        for one in found
    ]


def _with_factors(what: Computation, links: dict[int, list[Link]], parts: set[int]) -> Computation:
    """An attention with a mask, and the two tensors that its scores are products of."""
    weights = [link.source.id for link in what.links if link.source.id in parts]
    if not weights:
        return what
    totals = [link.source.id for link in links.get(weights[0], [])][:2]
    factors = [links[one][0].source for one in totals if len(links.get(one, [])) == 1]
    if len(factors) != 2:
        return what
    others = [link for link in what.links if link.source.id not in parts]
    return what._replace(query=factors[0], key=factors[1], links=others)


def _integer_inputs(network: Builder, computations: list[Computation]) -> set[int]:
    """The inputs that are nothing but indices."""
    as_indices = {one.indices.source.id for one in computations if one.indices is not None}
    otherwise = {
        link.source.id for one in computations for link in one.links if one.indices is None
    }
    return {one.id for one in network.inputs if one.id in as_indices - otherwise}


def _write_all(network: Builder, graph: GraphWriter, computations: list[Computation]) -> None:
    unwritten = []
    for what in computations:
        try:
            write_tensor(graph, what)
        except NotWrittenError as error:
            unwritten.append((what.target.name, str(error)))
    written = {one.target.id for one in computations}
    for tensor in network.outputs:
        if tensor.role == "activation" and tensor.id not in written:
            unwritten.append((tensor.name, "it stands for others, and is no tensor in ONNX"))
    if unwritten:
        shown = "; ".join(f"'{name}': {why}" for name, why in unwritten[:5])
        more = f"; and {len(unwritten) - 5} more" if len(unwritten) > 5 else ""
        raise UnknownOperationError(
            f"network '{network.name}' cannot be written as ONNX, because of "
            f"{len(unwritten)} tensors. {shown}{more}. Build them with layer methods",
            unwritten,
        )


def _output(graph: GraphWriter, tensor: Tensor) -> str:
    """The name of an output, which must be computed by a node."""
    if tensor.role == "activation":
        return tensor.name
    return graph.node("Identity", [tensor.name], near=f"{tensor.name}/output")


def _described(name: str, tensor: Tensor, batch: int, is_integer: bool) -> Any:
    onnx = import_optional("onnx", "onnx", "to_onnx")
    kind = onnx.TensorProto.INT64 if is_integer else onnx.TensorProto.FLOAT
    shape = [*([] if tensor.role == "parameter" else [batch]), *tensor.shape]
    return onnx.helper.make_tensor_value_info(name, kind, shape)


def _initializers(
    network: Builder,
    computations: list[Computation],
    weights: InitialWeights | None,
    seed: int,
) -> list[Any]:
    numpy_helper = import_optional("onnx.numpy_helper", "onnx", "to_onnx")
    parameters = network.parameters
    size = 4 * sum(one.size for one in parameters)
    if weights is None:
        return [_left_out(one) for one in parameters]
    check_weights(weights, parameters)
    if size > LARGEST_FILE:
        raise SizeOverflowError(
            f"the weights of network '{network.name}' take {size:,} bytes, and a file holds "
            f"{LARGEST_FILE:,}; leave them out by weights=None"
        )
    random = np.random.default_rng(seed)
    uses = _uses(computations)
    return [
        numpy_helper.from_array(
            initial_values(one, uses.get(one.id, ParameterUse("data")), weights, random), one.name
        )
        for one in parameters
    ]


def _left_out(parameter: Tensor) -> Any:
    """A stored tensor without its values."""
    onnx = import_optional("onnx", "onnx", "to_onnx")
    tensor = onnx.TensorProto(name=parameter.name, data_type=onnx.TensorProto.FLOAT)
    tensor.dims.extend(parameter.shape)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (
        ("location", LEFT_OUT),
        ("offset", "0"),
        ("length", str(4 * parameter.size)),
    ):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return tensor


def _uses(computations: list[Computation]) -> dict[int, ParameterUse]:
    """What every parameter is to the first layer that it belongs to."""
    found: dict[int, ParameterUse] = {}
    fans: dict[int, ParameterUse] = {}
    for what in computations:
        for link in what.of_role("kernel"):
            use = use_of_kernel(link)
            fans[what.target.id] = use
            found.setdefault(link.source.id, use)
        for link in what.of_role("data"):
            # A bias may follow after what was computed was given another shape.
            if link.source.id in fans:
                fans.setdefault(what.target.id, fans[link.source.id])
        for link in what.links:
            if link.source.role != "parameter":
                continue
            near = fans.get(what.target.id) if link.role == "bias" else None
            use = ParameterUse(link.role, *(near[1:] if near else ()))
            found.setdefault(link.source.id, use)
    return found
