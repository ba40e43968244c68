"""Every operator of PyTorch: counts are those of automatic differentiation in the counting form."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from oracles.torch_counting import Probes, assert_counts  # noqa: E402

F = torch.nn.functional

NONE = torch.zeros(1)
INDEX = torch.tensor([2, 0, 2])
ROWS = torch.tensor([[0, 2], [1, 1]])

POINTWISE: dict[str, Any] = {
    **{
        name: ((2, 3), getattr(F, name))
        for name in (
            *("celu", "elu", "gelu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh"),
            *("leaky_relu", "logsigmoid", "mish", "relu", "relu6", "selu", "silu", "softplus"),
            *("softshrink", "softsign", "dropout"),
        )
    },
    **{
        name: ((2, 3), getattr(torch, name))
        for name in (
            *("abs", "acos", "asin", "atan", "ceil", "cos", "cosh", "erf", "erfc", "exp", "exp2"),
            *("expm1", "floor", "frac", "log", "log10", "log1p", "log2", "neg", "reciprocal"),
            *("round", "rsqrt", "sigmoid", "sign", "sin", "sinh", "sqrt", "square", "tan", "tanh"),
            *("trunc", "nan_to_num", "positive"),
        )
    },
    "in_place": ((2, 3), lambda x: x.sigmoid_().relu_().mul_(2).add_(1).clamp_(0, 6).sqrt_()),
    "powers": ((2, 3), lambda x: (x**2) ** 0.5 + 1),
    "two_to_the": ((2, 3), lambda x: 2**x),
    "negative_power": ((2, 3), lambda x: x**-1.5),
    "numbers": ((2, 3), lambda x: (3 - (2 / (x * 2 - 1) + 1)) / 5),
    "clamp": ((2, 3), lambda x: x.clamp(min=0).clamp(max=3)),
    "constants": ((2, 3), lambda x: x * torch.arange(3) + torch.ones(4, 2, 3)),
    "larger": ((2, 3), lambda x: torch.maximum(x, torch.zeros(3))),
    "threshold": ((2, 3), lambda x: F.threshold(x, 0.1, 20.0)),
    "glu": ((2, 6), F.glu),
    "glu_first": ((4, 3), lambda x: F.glu(x, dim=0)),
    "to": ((2, 3), lambda x: x.to(torch.float64).contiguous().clone().float()),
}

SEVERAL: dict[str, Any] = {
    "add": ((2, 3), lambda x: x + x.T.reshape(3, 2).T),
    "add_alpha": ((2, 3), lambda x: torch.add(x, x[:1], alpha=-2)),
    "subtract": ((2, 3), lambda x: x - x[:, :1]),
    "multiply": ((2, 3), lambda x: x * x[:1]),
    "divide": ((2, 3), lambda x: x / x[:, :1]),
    "maximum": ((2, 3), lambda x: torch.maximum(x, x[:1])),
    "minimum": ((2, 3), lambda x: torch.minimum(x[:1], x)),
    "atan2": ((2, 3), lambda x: torch.atan2(x, x[:1])),
    "addcmul": ((2, 3), lambda x: torch.addcmul(x, x[:1], x[:, :1], value=0.5)),
    "addcdiv": ((2, 3), lambda x: torch.addcdiv(x, x[:1], x[:, :1])),
    "where": ((2, 3), lambda x: torch.where(x > x[:1], x, x[:, :1])),
    "lerp": ((2, 3), lambda x: torch.lerp(x, x[:1], x[:, :1])),
    "matmul": ((2, 3), lambda x: x @ x.T),
    "matmul_batch": ((2, 3, 4), lambda x: torch.matmul(x, x[0].T)),
    "vector": ((3, 3), lambda x: torch.mv(x, x[0])),
    "dot": ((2, 3), lambda x: torch.dot(x[0], x[1])),
    "mm": ((2, 3), lambda x: torch.mm(x, x.T)),
    "bmm": ((2, 3, 3), lambda x: torch.bmm(x, x)),
    "outer": ((2, 3), lambda x: torch.outer(x[0], x[1])),
    "addmm": ((3, 3), lambda x: torch.addmm(x[0], x, x)),
    "baddbmm": ((2, 3, 3), lambda x: torch.baddbmm(x, x, x)),
    "einsum": ((2, 3), lambda x: torch.einsum("ab,cb->ca", x, x)),
    "einsum_dots": ((2, 3, 2), lambda x: torch.einsum("...ab,bc", x, x[0, :2])),
    "attention": ((1, 2, 3, 4), lambda x: F.scaled_dot_product_attention(x, x, x)),
    "attention_bias": (
        (1, 2, 3, 4),
        lambda x: F.scaled_dot_product_attention(x, x, x, x[..., :3]),
    ),
    "shared_heads": (
        (1, 4, 3, 2),
        lambda x: F.scaled_dot_product_attention(x, x[:, :2], x[:, :2], enable_gqa=True),
    ),
    "prelu": ((2, 3, 2), lambda x: F.prelu(x, x[0, :, 0])),
    "prelu_one": ((2, 3), lambda x: F.prelu(x, x[0, :1])),
    "linear": ((2, 3), lambda x: F.linear(x, x, x[:, 0])),
    "bilinear": ((2, 2), lambda x: F.bilinear(x, x, x.reshape(1, 2, 2), x[0, :1])),
}

REDUCED: dict[str, Any] = {
    "mean": ((2, 3, 4), lambda x: x.mean(dim=(0, -1))),
    "mean_all": ((2, 3), lambda x: x.mean()),
    "sum": ((2, 3), lambda x: x.sum(dim=1, keepdim=True)),
    "amax": ((2, 3), lambda x: x.amax(dim=0)),
    "amin": ((2, 3), lambda x: x.amin(dim=0)),
    "max_of_all": ((2, 3), lambda x: x.max()),
    "prod": ((2, 3), lambda x: x.prod(dim=1)),
    "std": ((2, 3), lambda x: x.std(dim=1)),
    "var": ((2, 3), lambda x: x.var(dim=1, unbiased=False)),
    "logsumexp": ((2, 3), lambda x: x.logsumexp(dim=1)),
    "norm": ((2, 3), lambda x: torch.norm(x, dim=1)),
    "vector_norm": ((2, 3), lambda x: torch.linalg.vector_norm(x, dim=0, ord=1)),
    "cumsum": ((2, 4), lambda x: x.cumsum(1)),
    "cumprod": ((4, 2), lambda x: x.cumprod(0)),
}

MOVED: dict[str, Any] = {
    "reshape": ((2, 3, 4), lambda x: x.view(6, 4).reshape(3, -1).flatten().unflatten(0, (4, 6))),
    "permute": ((2, 3, 4), lambda x: x.permute(2, 0, 1).transpose(0, 1).mT[0].t()),
    "squeeze": ((2, 1, 3), lambda x: x.squeeze(1).unsqueeze(0).squeeze().movedim(0, 1)),
    "expand": ((2, 1), lambda x: x.expand(3, 2, 4).expand_as(torch.zeros(5, 3, 2, 4))),
    "repeat": ((2, 3), lambda x: x.repeat(2, 1, 3)),
    "tile": ((2, 3), lambda x: torch.tile(x, (2, 2))),
    "repeat_interleave": ((2, 3), lambda x: x.repeat_interleave(2, 1)),
    "repeat_interleave_each": (
        (2, 3),
        lambda x: torch.repeat_interleave(x, torch.tensor([1, 3]), dim=0, output_size=4),
    ),
    "concat": ((2, 3), lambda x: torch.cat([x, torch.ones(2, 1), x[:, 1:], x], 1)),
    "stack": ((2, 3), lambda x: torch.stack([x, x.flip(0)], -1)),
    "hstack": ((2, 3), lambda x: torch.hstack([x, x[:, :1]])),
    "split": ((5, 2), lambda x: x.split(2)[2] + x.split([1, 3, 1])[0]),
    "chunk": ((5, 2), lambda x: x.chunk(2)[1].sum(dim=0) * 3),
    "tensor_split": ((5, 2), lambda x: torch.tensor_split(x, 3)[0]),
    "unbind": ((3, 2), lambda x: x.unbind()[1]),
    "slice": ((4, 7), lambda x: x[1:, -5:6:2]),
    "select": ((4, 3), lambda x: x[-1]),
    "narrow": ((4, 3), lambda x: x.narrow(0, 1, 2)),
    "flip": ((2, 3), lambda x: x.flip(0, 1)[:, :2]),
    "roll": ((3, 4), lambda x: x.roll((1, -1), (0, 1))[:2, :3]),
    "roll_flat": ((3, 4), lambda x: x.roll(5)[0]),
    "rot90": ((2, 3), lambda x: x.rot90()[:2]),
    "index_select": ((3, 2), lambda x: x.index_select(0, INDEX)),
    "index": ((3, 2), lambda x: x[INDEX]),
    "index_rows": ((2, 3), lambda x: x[:, ROWS]),
    "index_two": ((3, 3), lambda x: x[INDEX, torch.tensor([0, 1, 0])]),
    "gather": ((3, 2), lambda x: x.gather(0, ROWS)),
    "take_along": ((3, 2), lambda x: torch.take_along_dim(x, ROWS, 0)),
    "scatter": ((3, 2), lambda x: x.scatter(0, ROWS[1:], x[:1])),
    "scatter_number": ((3, 2), lambda x: x.scatter(0, ROWS, 1.0)),
    "scatter_add": ((3, 2), lambda x: x.scatter_add(0, ROWS[:1], x[:1])),
    "index_put": ((3, 2), lambda x: x.index_put((INDEX[:2],), x[1:])),
    "index_copy": ((3, 2), lambda x: x.index_copy(0, INDEX[:2], x[1:])),
    "index_add": ((3, 2), lambda x: x.index_add(0, INDEX[:2], x[1:])),
    "pad": ((2, 3), lambda x: F.pad(x, (1, 2, 0, 1), value=1.0)),
    "crop": ((2, 3), lambda x: F.pad(x, (-1, 1))),
    "reflect": ((1, 4, 3), lambda x: F.pad(x, (2, 1), mode="reflect")),
    "replicate": ((1, 1, 2, 3), lambda x: F.pad(x, (2, 1, 0, 1), mode="replicate")),
    "circular": ((1, 4, 3), lambda x: F.pad(x, (2, 1), mode="circular")),
    "pixel_shuffle": ((1, 8, 2, 3), lambda x: F.pixel_shuffle(x, 2)[:, :1, 1:]),
    "pixel_unshuffle": ((1, 1, 4, 6), lambda x: F.pixel_unshuffle(x, 2)[:, 1:3]),
    "channel_shuffle": ((1, 6, 2, 2), lambda x: F.channel_shuffle(x, 2)[:, :2]),
    "windows": ((2, 7), lambda x: x.unfold(1, 3, 2)),
    "im2col": ((1, 2, 4, 5), lambda x: F.unfold(x, 2, dilation=2, padding=1, stride=2)),
    "col2im": ((1, 8, 12), lambda x: F.fold(x, (4, 5), 2)),
    "col2im_stride": (
        (1, 4, 6),
        lambda x: F.fold(x, (4, 5), 2, dilation=2, padding=1, stride=2),
    ),
    "tril": ((2, 3, 3), lambda x: x.tril()),
    "triu": ((3, 4), lambda x: x.triu(1)),
    "diagonal": ((2, 3, 3), lambda x: x.diagonal(1, 1, 2)),
    "diag_embed": ((2, 3), lambda x: torch.diag_embed(x)),
    "select_scatter": ((3, 2), lambda x: x.select_scatter(x[0], 0, 2)),
    "slice_scatter": ((3, 2), lambda x: x.slice_scatter(x[:1], 0, 1, 2)),
    "ones_like": ((3, 2), lambda x: x + torch.ones_like(x) * x.new_full((2,), 3.0)),
}

WINDOWS: dict[str, Any] = {
    "max": ((1, 2, 7, 8), lambda x: F.max_pool2d(x, 3, 2, 1)),
    "max_ceil": ((1, 1, 6, 7), lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True)),
    "max_dilated": ((1, 1, 7, 6), lambda x: F.max_pool2d(x, 2, 1, dilation=2)),
    "max_1d": ((2, 9), lambda x: F.max_pool1d(x, 3)),
    "max_3d": ((1, 4, 4, 4), lambda x: F.max_pool3d(x, 2)),
    "avg": ((1, 2, 7, 8), lambda x: F.avg_pool2d(x, (3, 2), (2, 1), padding=(1, 0))),
    "avg_1d": ((2, 9), lambda x: F.avg_pool1d(x, 3, ceil_mode=True)),
    "avg_3d": ((1, 4, 4, 4), lambda x: F.avg_pool3d(x, 2)),
    "adaptive": ((1, 2, 7, 8), lambda x: F.adaptive_avg_pool2d(x, (3, 5))),
    "adaptive_even": ((1, 2, 6, 8), lambda x: F.adaptive_avg_pool2d(x, (3, None))),
    "adaptive_1": ((1, 2, 6, 8), lambda x: F.adaptive_avg_pool2d(x, 1)),
    "adaptive_1d": ((1, 2, 7), lambda x: F.adaptive_avg_pool1d(x, 4)),
    "adaptive_max": ((2, 5, 6), lambda x: F.adaptive_max_pool2d(x, (2, 4))),
    "nearest": ((1, 2, 3, 4), lambda x: F.interpolate(x, scale_factor=2)),
    "nearest_size": ((1, 1, 5, 4), lambda x: F.interpolate(x, size=(3, 7))),
    "nearest_exact": ((1, 1, 5), lambda x: F.interpolate(x, size=7, mode="nearest-exact")),
    "linear": ((1, 2, 5), lambda x: F.interpolate(x, scale_factor=1.5, mode="linear")),
    "bilinear": ((1, 1, 4, 3), lambda x: F.interpolate(x, scale_factor=2, mode="bilinear")),
    "corners": (
        (1, 1, 4, 3),
        lambda x: F.interpolate(x, size=(7, 5), mode="bilinear", align_corners=True),
    ),
    "bicubic": ((1, 1, 5, 4), lambda x: F.interpolate(x, size=(10, 6), mode="bicubic")),
    "antialias": (
        (1, 1, 8, 6),
        lambda x: F.interpolate(x, size=(3, 4), mode="bilinear", antialias=True),
    ),
}

NORMS: dict[str, Any] = {
    "softmax": ((2, 3, 2), lambda x: x.softmax(1)),
    "log_softmax": ((2, 3), lambda x: F.log_softmax(x, -1)),
    "layer_norm": ((2, 3, 4), lambda x: F.layer_norm(x, (3, 4))),
    "group_norm": ((1, 4, 2, 2), lambda x: F.group_norm(x, 2, x[0, :, 0, 0], x[0, :, 1, 1])),
    "instance_norm": ((2, 3, 4), lambda x: F.instance_norm(x)),
    "standardised": ((4, 2, 3), lambda x: F.batch_norm(x, None, None, training=True)),
    "normalize": ((2, 4), lambda x: F.normalize(x, dim=-1)),
    "local_response": ((1, 5, 2, 2), lambda x: F.local_response_norm(x, 3)),
    "attention": ((1, 2, 3, 4), lambda x: F.scaled_dot_product_attention(x, x, x)),
}

GROUPS = {
    "pointwise": POINTWISE,
    "several": SEVERAL,
    "reduced": REDUCED,
    "moved": MOVED,
    "windows": WINDOWS,
    "norms": NORMS,
}


@pytest.mark.parametrize("group", GROUPS)
def test_operators(group: str) -> None:
    assert_counts(Probes(GROUPS[group]), NONE)


def test_norms_with_dependency_semantics() -> None:
    assert_counts(Probes(NORMS), NONE, semantics="dependency")
