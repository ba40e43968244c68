"""Rules of PyTorch operators that normalise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unrolled._core import Operation
from unrolled.importers.torch.node import Node, aten
from unrolled.importers.tracing.normalisers import NORM_ROLES
from unrolled.importers.tracing.values import Constant, Operand, Value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unrolled.importers.tracing.tracer import Tracer

__all__: list[str] = []


@aten("batch_norm", "_native_batch_norm_legit_no_training", "_native_batch_norm_legit")
@aten("native_batch_norm", "cudnn_batch_norm", "miopen_batch_norm", "_batch_norm_with_update")
@aten("_native_batch_norm_legit_functional", "_batch_norm_with_update_functional")
@aten("_batch_norm_no_update", "_batch_norm_impl_index")
def _batch_norm(tracer: Tracer, node: Node) -> Operand | list[Operand]:
    x = node.operand("input")
    functional = "no_training" not in node.operator and "no_update" not in node.operator
    is_training = node.get("training", node.get("train", functional))
    weights = _weights(node, "weight", "bias")
    if is_training or node.get("running_mean") is None:
        x = tracer.normalise(x, [axis for axis in range(x.rank) if axis != 1], "batch_norm")
    else:
        weights += _weights(node, "running_mean", "running_var")
    operation = Operation("batch_norm", axes=(1,))
    return _with_statistics(node, _affine(tracer, x, (1,), weights, operation))


@aten("instance_norm")
def _instance_norm(tracer: Tracer, node: Node) -> Operand:
    x = node.operand("input")
    weights = _weights(node, "weight", "bias")
    if not node["use_input_stats"]:
        weights += _weights(node, "running_mean", "running_var")
        return _affine(tracer, x, (1,), weights, Operation("batch_norm", axes=(1,)))
    if tracer.network.semantics == "dependency":
        x = tracer.normalise(x, range(2, x.rank), "group_norm")
    operation = Operation("group_norm", axes=(1,), groups=x.shape[1])
    return _affine(tracer, x, (1,), weights, operation)


@aten("layer_norm", "native_layer_norm", "rms_norm", "_fused_rms_norm")
def _layer_norm(tracer: Tracer, node: Node) -> Operand | list[Operand]:
    x = node.operand("input")
    axes = range(x.rank - len(node["normalized_shape"]), x.rank)
    kind = "rms_norm" if "rms" in node.operator else "layer_norm"
    operation = Operation(kind, axes=tuple(axes))
    weights = _weights(node, "weight", "bias")
    y = _affine(tracer, tracer.normalise(x, axes, kind), axes, weights, operation)
    return _with_statistics(node, y)


@aten("group_norm", "native_group_norm")
def _group_norm(tracer: Tracer, node: Node) -> Operand | list[Operand]:
    x = node.operand("input")
    groups = node.get("num_groups") or node["group"]
    if tracer.network.semantics == "dependency":
        grouped = tracer.reshape(x, (x.shape[0], groups, x.shape[1] // groups, *x.shape[2:]))
        grouped = tracer.normalise(grouped, range(2, grouped.rank))
        x = tracer.reshape(grouped, x.shape)
    weights = _weights(node, "weight", "bias")
    operation = Operation("group_norm", axes=(1,), groups=groups)
    return _with_statistics(node, _affine(tracer, x, (1,), weights, operation))


@aten("local_response_norm")
def _local_response_norm(tracer: Tracer, node: Node) -> Operand:
    """PyTorch has no such operator; a division that amounts to it is read as one."""
    x, size = node.operand("input"), node["size"]
    if isinstance(x, Constant) or tracer.network.semantics == "value":
        return tracer.pointwise(x)
    window = tracer.window(x.shape[1], size, padding=(size // 2, (size - 1) // 2))
    return tracer.pool(x, [window], first=1)


@aten("softmax", "log_softmax", "_softmax", "_log_softmax", "_safe_softmax", "special_softmax")
@aten("special_log_softmax", "softmin")
def _softmax(tracer: Tracer, node: Node) -> Operand:
    x = node.operand("self")
    kind = "log_softmax" if "log" in node.operator else "softmax"
    kind = "" if "softmin" in node.operator else kind
    return tracer.normalise(x, [node["dim"]], kind) if x.rank else x


def _weights(node: Node, *names: str) -> list[Operand]:
    given = [node.get(name) for name in names]
    return [weight for weight in given if weight is not None]


def _affine(
    tracer: Tracer,
    x: Operand,
    axes: Sequence[int],
    weights: Sequence[Operand],
    operation: Operation,
) -> Operand:
    """A norm with its weights; those of the statistics come last."""
    if not weights and not (tracer.operations and isinstance(x, Value)):
        return x
    roles = NORM_ROLES[: len(weights)]
    if len(weights) == 2 and operation.kind == "batch_norm" and isinstance(x, Value):
        roles = NORM_ROLES[:2] if x.node.kind == "normalised" else NORM_ROLES[2:]
    return tracer.affine(x, axes, *weights, operation=operation, roles=roles)


def _with_statistics(node: Node, y: Operand) -> Operand | list[Operand]:
    """The statistics that some of these also return serve training alone."""
    if len(node.shapes) == 1:
        return y
    return [y, *[Constant(shape) for shape in node.shapes[1:]]]
