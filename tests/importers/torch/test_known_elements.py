"""What is known of elements that a mask hides, in PyTorch modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from oracles.masked_elements import (  # noqa: E402
    SHAPE,
    computed,
    names_of,
    random_program,
    wrong_names,
)
from unrolled import count  # noqa: E402
from unrolled.importers.torch import from_torch  # noqa: E402

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    **{name: getattr(torch, name) for name in ("exp", "tanh", "abs", "neg", "relu", "sigmoid")},
    **{name: getattr(torch, name) for name in ("floor", "cosh")},
    "clip": lambda x: x.clamp(-3.0, 3.0),
    "half": lambda x: 0.5 * x,
    "minus": lambda x: x * -2.0,
    "next": lambda x: x + 1.0,
}


class Program(torch.nn.Module):
    """A function of parameters and of an input."""

    def __init__(self, function: Callable[..., Any], names: list[str]) -> None:
        super().__init__()
        self.function = function
        values = {name: torch.nn.Parameter(torch.rand(SHAPE)) for name in names}
        self.given = torch.nn.ParameterDict(values)

    def forward(self, u: Any) -> Any:
        return self.function(self.given, u)


def counts_of(function: Callable[..., Any], names: list[str]) -> dict[str, Any]:
    counts = count(from_torch(Program(function, names), torch.zeros(SHAPE)))
    return {name.removeprefix("given."): counts[name].exact() for name in counts}


@pytest.mark.parametrize("seed", range(12))
def test_random_functions_of_masked_tensors(seed: int) -> None:
    steps = random_program(seed, length=9)

    def function(given: Any, u: Any) -> Any:
        return computed(steps, given, u, FUNCTIONS, torch.where, lambda a: torch.tensor(a.copy()))

    assert not wrong_names(counts_of(function, names_of(steps)), steps)


def test_a_tensor_written_where_it_is_positive_is_a_function_of_itself() -> None:
    """``y[y > 0] = 0`` is a rectifier: one edge, and none of the indices is a number."""

    def itself(given: Any, u: Any) -> Any:
        y = given["w"] * 1.0
        y[y > 0] = 0
        return y

    def rows(given: Any, u: Any) -> Any:
        y = given["w"] * 1.0
        y[u[:, 0] + given["c"][:, 0] > 0] = y[0]
        return y

    def columns(given: Any, u: Any) -> Any:
        y = given["w"] * 1.0
        y[:, u[0] + given["c"][0] > 0] = 2.0
        return y

    def several(given: Any, u: Any) -> Any:
        y = given["w"] * 1.0
        y[y > 0] = u[0, :2]
        return y

    ones = np.ones(SHAPE, int)
    assert counts_of(itself, ["w"])["w"].tolist() == ones.tolist()
    found = counts_of(rows, ["w", "c"])
    assert found["w"].tolist() == [[1 + SHAPE[0]] * SHAPE[1], *ones[1:].tolist()]
    assert found["c"][:, 0].tolist() == [SHAPE[1]] * SHAPE[0]
    found = counts_of(columns, ["w", "c"])
    assert found["w"].tolist() == ones.tolist()
    assert found["c"][0].tolist() == [SHAPE[0]] * SHAPE[1]
    with pytest.raises(Exception, match=r"condition|not fixed|shape"):
        counts_of(several, ["w"])
