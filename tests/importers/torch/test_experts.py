"""Experts that compute every token, most with a weight of zero, are those that are chosen."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from unrolled import from_torch, propagate  # noqa: E402


class Experts(torch.nn.Module):
    """Four experts of two layers, of which two compute a token."""

    def __init__(self, is_dense: bool) -> None:
        super().__init__()
        self.is_dense = is_dense
        self.router = torch.nn.Linear(8, 4, bias=False)
        self.up = torch.nn.Parameter(torch.rand(4, 8, 6))
        self.down = torch.nn.Parameter(torch.rand(4, 6, 8))

    def forward(self, x: Any) -> Any:
        top, index = torch.topk(self.router(x), 2, dim=-1)
        weights = torch.softmax(top, -1)
        if self.is_dense:
            weights = torch.zeros(x.shape[0], 4).scatter(1, index, weights)
            hidden = torch.relu(torch.einsum("tw,ewh->teh", x, self.up))
            results = torch.einsum("teh,ehw->tew", hidden, self.down)
        else:
            hidden = torch.relu(torch.einsum("tw,tkwh->tkh", x, self.up[index]))
            results = torch.einsum("tkh,tkhw->tkw", hidden, self.down[index])
        return torch.einsum("tk,tkw->tw", weights, results)


def test_both_ways_have_the_same_signal() -> None:
    one, other = (
        propagate(from_torch(Experts(is_dense), torch.zeros(3, 8), operations=True))
        for is_dense in (False, True)
    )
    names = [name for name, _ in Experts(False).named_parameters()]
    assert other.jacobian == pytest.approx(one.jacobian, rel=1e-9)
    for name in names:
        assert other[name].gradient == pytest.approx(one[name].gradient, rel=1e-9), name
