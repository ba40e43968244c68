"""Paths of a PyTorch model counted by its own gradients, one model run without any importer.

Every function of a model is replaced by the sum over its edges: a product of two computed numbers
by their sum, a matrix product by all terms of all sums, a function of a single number by that
number. Then the model is linear, and the derivative of the sum of its outputs by a parameter is
the number of paths that lead from it to them. What only normalises passes nothing on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

__all__ = ["path_counts"]

HIDDEN = -1e4
"""What is added to a score that a mask puts out."""


def path_counts(model: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    """The derivatives of the sum of all logits by every parameter, as arrays, by name.

    Parameters
    ----------
    model : torch.nn.Module
        A model of transformers that attends by `scaled_dot_product_attention`.
    inputs : dict of str to tensor of integers
        Tokens, which are taken to be chosen at run time.
    """
    model = model.double().eval()
    model.zero_grad()
    with _Edges(list(inputs.values())):
        logits = model(**inputs, use_cache=False).logits
    logits.sum().backward()
    return {name: one.grad.numpy() for name, one in model.named_parameters()}


class _Edges(TorchFunctionMode):
    """Replaces functions of tensors that depend on parameters."""

    def __init__(self, tokens: list[Any]) -> None:
        super().__init__()
        self.shapes = {one.shape for one in tokens}

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(function, "__name__", "")
        given = [*args, *kwargs.values()]
        depends = any(isinstance(one, torch.Tensor) and one.requires_grad for one in given)
        if name == "embedding":
            return self._rows(*args[:2])
        if depends and name in RULES:
            return RULES[name](*args, **kwargs)
        if depends and name in ALIKE:
            return args[0]
        return function(*args, **kwargs)

    def _rows(self, indices: Any, table: Any) -> Any:
        """Any row may be chosen at run time; positions are known beforehand."""
        if indices.shape in self.shapes:
            return table.sum(0).expand(*indices.shape, table.shape[1])
        return table[indices]


def _linear(x: Any, weight: Any, bias: Any = None) -> Any:
    y = x.sum(-1, keepdim=True) + weight.sum(-1)
    return y if bias is None else y + bias


def _product(a: Any, b: Any) -> Any:
    """A sum of the two operands, of which numbers and constants give shapes alone."""
    shape = torch.broadcast_shapes(*[getattr(one, "shape", ()) for one in (a, b)])
    return sum(
        one.expand(shape) for one in (a, b) if isinstance(one, torch.Tensor) and one.requires_grad
    )


def _attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    if enable_gqa:
        times = query.shape[-3] // key.shape[-3]
        key, value = (one.repeat_interleave(times, -3) for one in (key, value))
    shape = (*query.shape[:-1], key.shape[-2])
    seen = torch.ones(shape, dtype=torch.bool)
    scores = query.sum(-1, keepdim=True) + key.sum(-1).unsqueeze(-2)
    if is_causal:
        seen = seen.tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        seen = seen & attn_mask
    elif attn_mask is not None:
        seen = seen & (attn_mask > HIDDEN)
        if attn_mask.requires_grad:  # A bias by position that is learnt.
            scores = scores + attn_mask
    weights = torch.where(seen, scores, 0.0)
    return weights.sum(-1, keepdim=True) + seen.to(value.dtype) @ value


def _batched(a: Any, b: Any) -> Any:
    return a.sum(-1, keepdim=True) + b.sum(-2, keepdim=True)


def _largest(x: Any, number: int, dim: int = -1) -> tuple[Any, Any]:
    """The largest numbers along the last axis and their places: any of them, whichever it is."""
    any_of_them = x.sum(dim, keepdim=True).expand(*x.shape[:-1], number)
    return any_of_them, any_of_them


def _chosen(x: Any, index: Any) -> Any:
    """What is chosen at a computed place: the product with a one-hot row, term by term."""
    if not (isinstance(index, torch.Tensor) and index.requires_grad):
        return torch.Tensor.__getitem__(x, index)
    rows = x.sum(0).expand(*index.shape, *x.shape[1:])
    return rows + x.shape[0] * index.reshape(*index.shape, *[1] * (x.dim() - 1))


def _nothing(x: Any, *_: Any, **__: Any) -> Any:
    """The square of which a norm takes the mean: no path goes through it."""
    return x.detach().square()


RULES: dict[str, Callable[..., Any]] = {
    "__getitem__": _chosen,
    "bmm": _batched,
    "linear": _linear,
    "mul": _product,
    "pow": _nothing,
    "scaled_dot_product_attention": _attention,
    "topk": _largest,
}
ALIKE = {
    "__itruediv__",
    "__idiv__",
    "div",
    "div_",
    "dropout",
    "float",
    "neg",
    "relu",
    "silu",
    "softmax",
    "to",
}
"""Functions of single numbers, casts, which would round, and normalisers of what was chosen."""
