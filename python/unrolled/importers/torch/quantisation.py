"""Which integers among the tensors of a PyTorch program are quantised weights.

Integers of a byte are a weight where they are cast to floating point and then multiplied: with
another tensor in a product of matrices or a convolution, or with their scale, which is stored.
"""

from __future__ import annotations

from typing import Any

__all__ = ["scaled_integers"]

MOVES = {
    *("alias", "clone", "contiguous", "detach", "expand", "permute", "reshape", "squeeze", "t"),
    *("transpose", "unsqueeze", "view", "_unsafe_view", "flatten", "unflatten"),
}
"""Operators that leave elements as they are."""

CASTS = {"to", "_to_copy", "type_as"}

PRODUCTS = {
    *("addmm", "baddbmm", "bmm", "conv1d", "conv2d", "conv3d", "convolution", "einsum", "linear"),
    *("matmul", "mm", "mv"),
}


def scaled_integers(integers: list[Any], floats: list[Any]) -> set[Any]:
    """The placeholders that are quantised weights.

    Parameters
    ----------
    integers, floats : list of torch.fx.Node
        Placeholders of stored integers of a byte, and of stored floating-point tensors.
    """
    stored = set(_moved(floats))
    return {node for node in integers if _is_weight(node, stored)}


def _is_weight(node: Any, stored: set[Any]) -> bool:
    """Whether integers are cast, and multiplied then."""
    waiting, seen = [(node, False)], set[Any]()
    while waiting:
        one, is_cast = waiting.pop()
        for user in one.users:
            if (user, is_cast) in seen:
                continue
            seen.add((user, is_cast))
            name = _operator(user)
            if is_cast and name in PRODUCTS:
                return True
            if is_cast and name in ("mul", "div"):
                if any(other in stored for other in user.all_input_nodes if other is not one):
                    return True
            elif name in CASTS:
                value = user.meta.get("val")
                waiting.append((user, is_cast or bool(getattr(value, "is_floating_point", bool)())))
            elif name in MOVES or (is_cast and name in ("add", "sub", "rsub")):
                waiting.append((user, is_cast))
    return False


def _moved(nodes: list[Any]) -> list[Any]:
    """Nodes and what they are moved to, or cast to."""
    found = list(nodes)
    for node in found:
        found += [one for one in node.users if _operator(one) in MOVES | CASTS]
    return found


def _operator(node: Any) -> str:
    schema = getattr(node.target, "_schema", None)
    return "" if schema is None else str(schema.name).rpartition("::")[2]
