"""Functions and normalisers that are read from PyTorch modules, with ``operations=True``."""

from __future__ import annotations

import numpy as np
import pytest

import unrolled
from unrolled.importers.torch import from_torch

torch = pytest.importorskip("torch")

nn = torch.nn
X = torch.zeros(2, 3)


class Written(nn.Module):
    """A function of tensors as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize(
    ("module", "kind", "name"),
    [
        (nn.ReLU(), "function", "relu"),
        (nn.ReLU6(), "function", "relu6"),
        (nn.SiLU(), "function", "silu"),
        (Written(lambda h: h * torch.sigmoid(h)), "function", "silu"),
        (nn.GELU(), "function", "gelu"),
        (nn.GELU("tanh"), "function", "gelu_tanh"),
        (Written(lambda h: h * (1 + torch.erf(h / 2**0.5)) / 2), "function", "gelu"),
        (nn.Hardswish(), "function", "hard_swish"),
        (nn.Mish(), "function", "mish"),
        (nn.ELU(), "function", "elu"),
        (nn.LeakyReLU(0.2), "function", "leaky_relu(0.2)"),
        (Written(lambda h: h.clamp(0, 6)), "function", "relu6"),
        (Written(lambda h: torch.where(h > 0, h, 0.2 * h)), "function", "leaky_relu(0.2)"),
        (Written(lambda h: torch.maximum(h, 0.1 * h)), "function", "leaky_relu(0.1)"),
        (nn.LayerNorm(4), "layer_norm", None),
        (nn.BatchNorm1d(4), "batch_norm", None),
        (nn.Softmax(-1), "softmax", None),
    ],
)
def test_operations_and_counts(module, kind, name):
    model = nn.Sequential(nn.Linear(3, 4), module).eval()
    net, without = (from_torch(model, X, operations=one) for one in (True, False))
    operations = [net.operation(tensor) for tensor in net.tensors]
    found = [(one.kind, one.function) for one in operations if one is not None]
    assert (kind, name) in [
        (one, function if one == "function" else None) for one, function in found
    ]
    counted, expected = unrolled.count(net), unrolled.count(without)
    assert list(counted) == list(expected)
    for parameter in expected:
        np.testing.assert_array_equal(counted[parameter].log2(), expected[parameter].log2())
