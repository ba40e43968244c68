"""What is known of the nodes of an exported PyTorch graph before any rule is asked."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

from unrolled.errors import InvalidModelError
from unrolled.importers.tracing.values import Shape

__all__ = [
    "bound_arguments",
    "decomposition",
    "layer_name",
    "local_response_size",
    "mutates_views",
    "shapes_of",
    "written_node",
]

MAY_ALIAS = {
    *("aten.dropout", "aten.feature_dropout", "aten.alpha_dropout", "aten.einsum", "aten.pad"),
    *("aten.type_as", "aten.feature_alpha_dropout", "aten.tile", "aten.hstack"),
}
"""Operators that may return their argument though their schema does not tell."""

LOCAL_RESPONSE = {
    *("pow", "add", "mul", "squeeze", "view", "reshape", "avg_pool2d", "avg_pool3d", "pad"),
    *("unsqueeze", "constant_pad_nd"),
}
"""What a local response normalisation is made of."""


def mutates_views(module: Any) -> bool:
    """Whether a graph writes in place what it also sees through views."""
    for part in module.modules():
        if not hasattr(part, "graph"):
            continue
        group: dict[Any, Any] = {}
        viewed = set() if part is module else set(part.graph.find_nodes(op="placeholder"))
        for node in part.graph.nodes:
            written, seen = written_node(node), _find_viewed(node)
            if written is not None:
                group[node] = group.get(written, written)
                if group[node] in viewed:
                    return True
            elif seen is not None:
                group[node] = group.get(seen, seen)
                if node.target is not operator.getitem:
                    viewed.add(group[node])
    return False


def written_node(node: Any) -> Any:
    """The node that an operator writes in place and returns, if it does."""
    schema = getattr(node.target, "_schema", None)
    if node.op != "call_function" or schema is None or not node.args:
        return None
    info = schema.arguments[0].alias_info
    return node.args[0] if info is not None and info.is_write and schema.returns else None


def _find_viewed(node: Any) -> Any:
    """The node whose memory what an operator returns may share."""
    if node.op != "call_function" or not node.args or not hasattr(node.args[0], "meta"):
        return None
    if node.target is operator.getitem:
        return node.args[0]
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return None
    shares = any(one.alias_info is not None for one in schema.returns)
    return node.args[0] if shares or schema.name.replace("::", ".") in MAY_ALIAS else None


COMPARISONS = {
    *("eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_not", "isinf"),
    *("logical_xor", "isnan", "isneginf", "bool"),
}
"""Operators whose result is a condition."""

MOVEMENTS = {
    *("view", "reshape", "slice", "select", "unsqueeze", "squeeze", "expand", "transpose", "t"),
    *("permute", "alias", "detach", "clone", "contiguous", "tril", "triu", "to", "_to_copy"),
    *("unflatten", "flatten", "narrow", "expand_as", "index", "lift_fresh_copy", "type_as"),
}
"""Operators after which it is still the same numbers, or zero."""


def is_only_a_condition(node: Any) -> bool:
    """Whether all that is ever made of a tensor is a condition."""
    waiting, is_read = [node], False
    while waiting:
        for user in waiting.pop().users:
            is_read = True
            name = getattr(user.target, "__name__", str(user.target)).partition(".")[0]
            value = user.meta.get("val")
            is_flag = str(getattr(value, "dtype", "")) == "torch.bool"
            if user.op != "call_function" or (name not in MOVEMENTS and name not in COMPARISONS):
                return False
            if not is_flag:
                if name not in MOVEMENTS:
                    return False
                waiting.append(user)
    return is_read


def local_response_size(node: Any) -> int | None:
    """Over how many channels a division normalises, if it is a local response normalisation.

    It divides a tensor by a power of an average of its squares over neighbouring channels.
    """
    if len(node.args) != 2 or not hasattr(node.args[1], "meta"):
        return None
    x, one = node.args
    size = None
    while one.op == "call_function":
        name = getattr(one.target, "__name__", "").partition(".")[0]
        if size is not None and all(arg in (x, 2) for arg in one.args):
            return size if name in ("mul", "pow", "square") else None
        if name not in LOCAL_RESPONSE or not hasattr(one.args[0], "meta"):
            return None
        if any(hasattr(arg, "meta") for arg in one.args[1:]):
            return None
        if name.startswith("avg_pool"):
            kernel = list(one.args[1])
            size = kernel[0] if set(kernel[1:]) == {1} else None
        one = one.args[0]
    return None


def decomposition(node: Any, torch: Any) -> Any:
    """The graph of what an operator is made of; None if PyTorch does not say."""
    from torch._decomp import decomposition_table
    from torch.fx.experimental.proxy_tensor import make_fx

    target = node.target
    function = decomposition_table.get(target)
    if function is None and target.has_kernel_for_dispatch_key(
        torch._C.DispatchKey.CompositeImplicitAutograd
    ):
        function = target.decompose
    if function is None:
        return None
    nodes: list[Any] = []

    def pick(given: Any) -> None:
        if isinstance(given, torch.fx.Node):
            nodes.append(given)
        elif isinstance(given, (list, tuple)):
            for one in given:
                pick(one)

    pick([*node.args, *node.kwargs.values()])
    fakes = [one.meta["val"] for one in nodes]

    def run(*tensors: Any) -> Any:
        waiting = iter(tensors)

        def filled(given: Any) -> Any:
            if isinstance(given, torch.fx.Node):
                return next(waiting)
            if isinstance(given, (list, tuple)):
                return type(given)([filled(one) for one in given])
            return given

        args = [filled(one) for one in node.args]
        return function(*args, **{name: filled(one) for name, one in node.kwargs.items()})

    with torch.no_grad():
        return make_fx(run, tracing_mode="fake")(*fakes)


def bound_arguments(schema: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by name, defaults included."""
    bound = {}
    for number, one in enumerate(schema):
        if number < len(args) and not one.kwarg_only:
            bound[one.name] = args[number]
        else:
            bound[one.name] = kwargs.get(one.name, one.default_value)
    return bound


def shapes_of(node: Any, torch: Any) -> list[Shape]:
    value = node.meta.get("val")
    values = value if isinstance(value, (list, tuple)) else [value]
    shapes = []
    for one in values:
        if isinstance(one, torch.Tensor):
            if not all(isinstance(length, int) for length in one.shape):
                raise InvalidModelError(
                    f"{node.name}: the shape {tuple(one.shape)} is not fixed; it depends on "
                    "values at run time, or the program was exported without fixed shapes"
                )
            shapes.append(tuple(one.shape))
    return shapes


def are_conditions(node: Any, argument: str, torch: Any) -> list[bool]:
    """Whether each tensor of an argument, a list of them or one, holds truth values."""
    given = bound_arguments(node.target._schema.arguments, node.args, node.kwargs)[argument]
    values = [
        one.meta.get("val") if isinstance(one, torch.fx.Node) else one
        for one in (given if isinstance(given, (list, tuple)) else [given])
    ]
    return [isinstance(one, torch.Tensor) and one.dtype == torch.bool for one in values]


def layer_name(node: Any, operator_name: str) -> str:
    """The module that a node belongs to, and what it does there."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path = stack[-1][0] if stack else ""
    return f"{path or 'forward'}/{operator_name}"
