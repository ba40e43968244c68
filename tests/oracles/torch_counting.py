"""Counts by automatic differentiation: a module is run with every operator in its counting form.

In that form an output element is the sum of what it has edges from, once for each edge, so that the
derivative of the sum of all outputs by a weight is its number of paths. Operators that only move
elements are their own counting form. Nothing here knows of exported graphs or of rules.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from unrolled import count
from unrolled.importers.torch import from_torch
from unrolled.network import Network

torch = pytest.importorskip("torch")

from torch.overrides import TorchFunctionMode  # noqa: E402

Tensor = Any

POINTWISE = {
    *("abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "ceil", "celu", "clamp"),
    *("clamp_max", "clamp_min", "clip", "cos", "cosh", "dropout", "elu", "erf", "erfc", "exp"),
    *("exp2", "expm1", "fix", "float", "floor", "frac", "gelu", "hardshrink", "hardsigmoid"),
    *("hardswish", "hardtanh", "leaky_relu", "log", "log10", "log1p", "log2", "log_sigmoid"),
    *("logsigmoid", "mish", "nan_to_num", "neg", "pow", "positive", "reciprocal", "relu"),
    *("relu6", "round", "rpow", "rrelu", "rsqrt", "selu", "sigmoid", "sign", "silu", "sin"),
    *("sinh", "softplus", "softshrink", "softsign", "sqrt", "square", "tan", "tanh"),
    *("tanhshrink", "threshold", "to", "trunc"),
}

SUMS = {
    *(
        "amax",
        "amin",
        "logsumexp",
        "max",
        "mean",
        "median",
        "min",
        "norm",
        "prod",
        "std",
        "sum",
        "var",
    ),
    "vector_norm",
}

IN_PLACE = {"__iadd__": "add", "__isub__": "sub", "__imul__": "mul", "__itruediv__": "div"}

NORMS = ("softmax", "log_softmax", "softmin", "normalize")


class Counting(TorchFunctionMode):
    """Replaces functions of PyTorch by their counting forms while it is entered."""

    def __init__(self, semantics: str) -> None:
        super().__init__()
        self.semantics = semantics

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = getattr(func, "__name__", "")
        name = IN_PLACE.get(given, given.strip("_").removeprefix("linalg_"))
        result = self.counted(name, func, args, kwargs or {})
        if given in IN_PLACE or (given.endswith("_") and not given.endswith("__")):
            return result if result is args[0] else args[0].copy_(result)
        return result

    def counted(self, name: str, func: Any, args: Any, kwargs: Any) -> Any:
        if name in NORMS and args[0].requires_grad:
            return self.normalised(lambda x: func(x, *args[1:], **kwargs), args[0])
        form = getattr(self, f"form_{name}", None)
        if form is not None:
            return form(func, *args, **kwargs)
        if name in POINTWISE and args[0].requires_grad:
            return args[0]
        if name in SUMS and args[0].requires_grad:
            return total(*args, **kwargs) if "norm" not in name else total(args[0], **kwargs)
        return func(*args, **kwargs)

    def normalised(self, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        return x if self.semantics == "value" else pattern(function, x)

    def form_mul(self, func: Any, a: Tensor, b: Any, **_: Any) -> Tensor:
        return both(a, b)

    form_div = form_rdiv = form_sub = form_true_divide = form_maximum = form_minimum = form_mul
    form_rsub = form_rtruediv = form_truediv = form_mul
    form_multiply = form_atan2 = form_hypot = form_fmod = form_mul
    form_eq = form_ge = form_gt = form_le = form_lt = form_ne = form_mul

    def form_add(self, func: Any, a: Tensor, b: Any, alpha: float = 1, **_: Any) -> Tensor:
        return both(a, b)

    def form_where(self, func: Any, condition: Tensor, a: Any, b: Any) -> Tensor:
        return both(both(condition, a), b)

    def form_lerp(self, func: Any, a: Any, b: Any, weight: Any) -> Tensor:
        return both(both(a, b), weight)

    form_addcmul = form_addcdiv = lambda self, func, x, a, b, **_: both(both(x, a), b)

    def form_matmul(self, func: Any, a: Tensor, b: Tensor) -> Tensor:
        return factors(torch.matmul, a, b)

    form_mm = form_bmm = form_mv = form_dot = form_matmul

    def form_outer(self, func: Any, a: Tensor, b: Tensor) -> Tensor:
        return factors(torch.outer, a, b)

    def form_addmm(self, func: Any, x: Tensor, a: Tensor, b: Tensor, **_: Any) -> Tensor:
        return both(x, factors(torch.matmul, a, b))

    form_baddbmm = form_addmv = form_addmm

    def form_einsum(self, func: Any, equation: str, *operands: Tensor) -> Tensor:
        if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
            operands = tuple(operands[0])
        return factors(lambda *given: torch.einsum(equation, *given), *operands)

    def form_bilinear(self, func: Any, a: Tensor, b: Tensor, w: Tensor, bias: Tensor) -> Tensor:
        def plain(*given: Tensor) -> Tensor:
            return torch.nn.functional.bilinear(*given, None)

        return both(factors(plain, a, b, w), bias)

    def form_linear(self, func: Any, x: Tensor, weight: Tensor, bias: Any = None) -> Tensor:
        y = factors(torch.nn.functional.linear, x, weight)
        return y if bias is None else y + bias

    def form_conv2d(self, func: Any, x: Tensor, w: Tensor, bias: Any = None, *rest: Any) -> Tensor:
        y = factors(lambda a, b: func(a, b, None, *rest), x, w)
        return y if bias is None else y + bias.reshape(-1, *[1] * (w.dim() - 2))

    form_conv1d = form_conv3d = form_conv2d
    form_conv_transpose1d = form_conv_transpose2d = form_conv_transpose3d = form_conv2d

    def form_prelu(self, func: Any, x: Tensor, weight: Tensor) -> Tensor:
        return both(x, weight.reshape(-1, *[1] * (x.dim() - 2)) if x.dim() > 1 else weight)

    def form_glu(self, func: Any, x: Tensor, dim: int = -1) -> Tensor:
        a, b = x.chunk(2, dim)
        return a + b

    def form_batch_norm(
        self, func: Any, x: Tensor, mean: Any, var: Any, weight: Any = None, bias: Any = None,
        training: bool = False, *rest: Any, **_: Any,
    ) -> Tensor:  # fmt: skip
        weights = [weight, bias]
        if training:
            x = self.normalised(lambda a: func(a, None, None, training=True), x)
        else:
            weights += [mean, var]
        return channels(x, weights)

    def form_instance_norm(
        self,
        func: Any,
        x: Tensor,
        running_mean: Any,
        running_var: Any,
        weight: Any,
        bias: Any,
        **_: Any,
    ) -> Tensor:
        return channels(self.normalised(func, x), [weight, bias])

    def form_group_norm(
        self, func: Any, x: Tensor, groups: int, weight: Any, bias: Any, eps: float = 1e-5
    ) -> Tensor:
        return channels(self.normalised(lambda a: func(a, groups), x), [weight, bias])

    def form_layer_norm(
        self, func: Any, x: Tensor, shape: Any, weight: Any = None, bias: Any = None, eps: Any = 0.1
    ) -> Tensor:
        y = self.normalised(lambda a: func(a, shape), x)
        return sum([one for one in (weight, bias) if one is not None], y)

    form_rms_norm = form_layer_norm

    def form_local_response_norm(self, func: Any, x: Tensor, *rest: Any, **more: Any) -> Tensor:
        return self.normalised(lambda a: func(a, *rest, **more), x)

    def form_scaled_dot_product_attention(
        self,
        func: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        attn_mask: Any = None,
        *_: Any,
        **more: Any,
    ) -> Tensor:
        if more.get("enable_gqa"):
            k, v = [x.repeat_interleave(q.shape[-3] // x.shape[-3], -3) for x in (k, v)]
        scores = factors(torch.matmul, q, k.transpose(-2, -1))
        if attn_mask is not None:
            scores = both(scores, attn_mask)
        scores = self.normalised(lambda a: a.softmax(-1), scores)
        return factors(torch.matmul, scores, v)

    def form_embedding(self, func: Any, index: Tensor, weight: Tensor, *rest: Any) -> Tensor:
        return weight.sum(0).expand(*index.shape, -1)

    def form_max_pool2d(self, func: Any, x: Tensor, *rest: Any, **more: Any) -> Tensor:
        return maxima(lambda a: func(a, *rest, **more), x)

    form_max_pool1d = form_max_pool3d = form_adaptive_max_pool2d = form_max_pool2d

    def form_avg_pool2d(self, func: Any, x: Tensor, *rest: Any, **more: Any) -> Tensor:
        return pattern(lambda a: func(a, *rest, **more), x)

    form_avg_pool1d = form_avg_pool3d = form_adaptive_avg_pool2d = form_avg_pool2d
    form_adaptive_avg_pool1d = form_adaptive_avg_pool3d = form_interpolate = form_avg_pool2d
    form_cumsum = form_cumprod = form_logcumsumexp = form_avg_pool2d


def keep(x: Any) -> Any:
    """A term of a sum; nothing has an edge from a constant."""
    if not isinstance(x, torch.Tensor):
        return 0
    return x if x.requires_grad else torch.zeros(x.shape, dtype=torch.float64)


def both(a: Any, b: Any) -> Tensor:
    """An edge from the element of each operand."""
    return keep(a) + keep(b)


def factors(product: Callable[..., Tensor], *operands: Tensor) -> Tensor:
    """For each term of a sum of products an edge from each factor."""
    ones = [torch.ones_like(x) for x in operands]
    terms = [
        product(*ones[:i], x, *ones[i + 1 :]) for i, x in enumerate(operands) if x.requires_grad
    ]
    return sum(terms[1:], terms[0])


def channels(x: Tensor, weights: list[Any]) -> Tensor:
    """An edge from the weight of the channel."""
    shape = (-1, *[1] * (x.dim() - 2))
    return sum([one.reshape(shape) for one in weights if one is not None], x)


def total(x: Tensor, dim: Any = None, keepdim: bool = False, **_: Any) -> Tensor:
    """An edge from every element that is reduced."""
    return x.sum() if dim is None else x.sum(dim, keepdim)


def pattern(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """An edge wherever the Jacobian matrix is not zero at a random point."""
    point = torch.rand(x.shape, dtype=torch.float64) + 0.5
    jacobian = torch.autograd.functional.jacobian(function, point)
    return linear(jacobian.abs() > 1e-9, x, jacobian.shape[: jacobian.dim() - x.dim()])


def maxima(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """An edge from every element that is the maximum if it is large."""
    basis = torch.eye(x.numel(), dtype=torch.float64).reshape(-1, *x.shape)
    found = torch.stack([function(one) for one in basis])
    return linear(torch.movedim(found > 0.5, 0, -1), x, found.shape[1:])


def linear(edges: Tensor, x: Tensor, shape: Any) -> Tensor:
    return (edges.reshape(-1, x.numel()).double() @ x.reshape(-1)).reshape(shape)


def expected(module: Any, *inputs: Tensor, semantics: str = "value") -> dict[str, Any]:
    """The counts of all parameters and floating-point buffers of a module by name."""
    module = copy.deepcopy(module).double()
    leaves = dict(module.named_parameters())
    for name, buffer in list(module.named_buffers()):
        if buffer.is_floating_point():
            leaves[name] = buffer.clone().requires_grad_()
            owner, _, last = name.rpartition(".")
            setattr(module.get_submodule(owner), last, leaves[name])
    for parameter in leaves.values():
        parameter.requires_grad_()
    given = [x.double().requires_grad_() if x.is_floating_point() else x for x in inputs]
    with Counting(semantics):
        outputs = module(*given)
    outputs = outputs if isinstance(outputs, (tuple, list)) else [outputs]
    sum([y.sum() for y in outputs if y.requires_grad]).backward()
    return {
        name: np.rint(parameter.grad.numpy()).astype(np.int64)
        for name, parameter in leaves.items()
        if parameter.grad is not None
    }


def assert_counts(module: Any, *inputs: Tensor, semantics: Any = "value") -> Network:
    """The importer finds the counts that automatic differentiation does."""
    network = from_torch(module.eval(), inputs, semantics=semantics)
    counts = count(network)
    wanted = expected(module, *inputs, semantics=semantics)
    assert set(counts) == set(wanted)
    found = {name: counts[name].exact() for name in wanted}
    wrong = [name for name in wanted if (found[name] != wanted[name]).any()]
    assert not wrong, wrong
    return network


class Probes(torch.nn.Module):
    """Functions, each of a constant input and a weight that is added to it."""

    def __init__(
        self, cases: dict[str, tuple[tuple[int, ...], Callable[[Tensor], Tensor]]]
    ) -> None:
        super().__init__()
        self.functions = {name: function for name, (_, function) in cases.items()}
        weights = {
            f"of_{name}": torch.nn.Parameter(torch.rand(s)) for name, (s, _) in cases.items()
        }
        self.weights = torch.nn.ParameterDict(weights)

    def forward(self, x: Tensor) -> list[Tensor]:
        # The factor lets functions in place, which must not write the weight itself.
        return [
            function(self.weights[f"of_{name}"] * 1.0) for name, function in self.functions.items()
        ]
