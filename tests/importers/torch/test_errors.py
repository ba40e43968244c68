"""Errors say what cannot be read from PyTorch."""

from __future__ import annotations

from typing import Any

import pytest

from unrolled.errors import InvalidArgumentError, InvalidModelError, UnsupportedOperatorError
from unrolled.importers import torch as door
from unrolled.importers.torch import from_torch
from unrolled.importers.torch.node import TABLE

torch = pytest.importorskip("torch")
nn = torch.nn
X = torch.zeros(1, 4)


class Function(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.linear, self.function = nn.Linear(4, 4), function

    def forward(self, x: Any) -> Any:
        return self.function(self.linear(x))


@pytest.mark.parametrize("given", [None, 3, lambda x: x, "model.pt", torch.zeros(2)])
def test_no_module(given: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"takes a torch\.nn\.Module or"):
        from_torch(given, X)


def test_no_inputs() -> None:
    with pytest.raises(InvalidArgumentError, match="needs example inputs"):
        from_torch(nn.ReLU())


@pytest.mark.parametrize("given", [{1: 2}, object(), (X, object())])
def test_inputs_that_are_no_tensors(given: Any) -> None:
    with pytest.raises((InvalidArgumentError, InvalidModelError)):
        from_torch(nn.ReLU(), given)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="kwargs must be a dict"):
        from_torch(nn.ReLU(), X, kwargs=[X])  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="semantics"):
        from_torch(nn.ReLU(), X, semantics="other")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="name"):
        from_torch(nn.ReLU(), X, name="")


def test_an_input_of_wrong_shape_is_refused() -> None:
    with pytest.raises(InvalidModelError, match=r"torch\.export could not export Linear"):
        from_torch(nn.Linear(3, 2), X)


def test_branch_on_values() -> None:
    module = Function(lambda y: y if y.sum() > 0 else -y)
    with pytest.raises(InvalidModelError, match=r"torch\.export could not export Function"):
        from_torch(module, X)


def test_a_module_is_restored_after_an_error() -> None:
    module = Function(lambda y: y.nothing()).train()
    with pytest.raises(InvalidModelError):
        from_torch(module, X)
    assert module.training
    assert module.linear.training


def test_shapes_known_at_run_time() -> None:
    with pytest.raises(InvalidModelError, match="is not fixed"):
        from_torch(Function(lambda y: y[y > 0]), X)


def test_dynamic_axes_need_inputs() -> None:
    batch = torch.export.Dim("batch", min=1, max=8)
    example = (torch.zeros(2, 4),)
    program = torch.export.export(nn.Linear(4, 2), example, dynamic_shapes=({0: batch},))
    with pytest.raises(InvalidModelError, match="axis 0 has no fixed length"):
        from_torch(program)


def test_all_operators_without_a_rule_are_named() -> None:
    def function(y: Any) -> Any:
        first = torch.linalg.inv(y.T @ y)
        second = torch.fft.fft(y).real
        third = torch.linalg.inv(first) + y
        return first.sum() + second.sum() + third, torch.cdist(y, y)

    with pytest.raises(UnsupportedOperatorError) as caught:
        from_torch(Function(function), X)
    assert set(caught.value.operators) == {"aten.linalg_inv", "aten.fft_fft", "aten.cdist"}
    assert "made of aten.linalg_inv_ex, which cannot be read" in str(caught.value)
    assert "@unrolled.importers.torch.rule(" in str(caught.value)


@pytest.mark.parametrize(
    ("module", "inputs", "match"),
    [
        (nn.LSTM(3, 4, proj_size=2), torch.zeros(2, 1, 3), "proj_size"),
        (nn.EmbeddingBag(5, 3), torch.zeros(1, 2, dtype=torch.long), "known only at run time"),
    ],
)
def test_operators_that_cannot_be_read_are_named(module: Any, inputs: Any, match: str) -> None:
    with pytest.raises(UnsupportedOperatorError, match=match):
        from_torch(module, inputs)


def test_nothing_depends_on_anything() -> None:
    with pytest.raises(InvalidModelError, match="no output depends on"):
        from_torch(Function(lambda y: torch.ones(3)), X)


def test_rules_of_users() -> None:
    @torch.library.custom_op("unrolled_test::swap", mutates_args=())
    def swap(x: torch.Tensor) -> torch.Tensor:
        return x.T.clone()

    @swap.register_fake
    def _(x: Any) -> Any:
        return x.new_empty(x.shape[::-1])

    module = Function(lambda y: swap(y))
    with pytest.raises(UnsupportedOperatorError, match=r"unrolled_test\.swap"):
        from_torch(module, X)
    try:

        @door.rule("unrolled_test.swap")
        def rule(tracer: Any, node: Any) -> Any:
            return tracer.transpose(node["x"], (1, 0))

        assert "unrolled_test.swap" in door.operators()
        assert from_torch(module, X).num_outputs == 4

        @door.rule("unrolled_test.swap", replace=True)
        def wrong(tracer: Any, node: Any) -> Any:
            return node["x"]

        with pytest.raises(InvalidModelError, match=r"rule of unrolled_test\.swap returned shapes"):
            from_torch(module, X)
    finally:
        TABLE.remove("unrolled_test.swap")
