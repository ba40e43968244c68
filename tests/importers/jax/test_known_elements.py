"""What is known of elements that a mask hides, in JAX functions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402

from oracles.jax_counting import exact, shaped  # noqa: E402
from oracles.masked_elements import (  # noqa: E402
    SHAPE,
    computed,
    names_of,
    random_program,
    wrong_names,
)
from unrolled.importers.jax import from_jax  # noqa: E402

FUNCTIONS: dict[str, Any] = {
    **{name: getattr(jnp, name) for name in ("exp", "tanh", "abs", "floor", "cosh")},
    "neg": jnp.negative,
    "relu": jax.nn.relu,
    "sigmoid": jax.nn.sigmoid,
    "clip": lambda x: jnp.clip(x, -3.0, 3.0),
    "half": lambda x: 0.5 * x,
    "minus": lambda x: x * -2.0,
    "next": lambda x: x + 1.0,
}


@pytest.mark.parametrize("seed", range(24))
def test_random_functions_of_masked_tensors(seed: int) -> None:
    steps = random_program(seed, length=9)

    def function(given: Any, u: Any) -> Any:
        return computed(steps, given, u, FUNCTIONS, jnp.where, jnp.asarray)

    params = {name: shaped(*SHAPE) for name in names_of(steps)}
    assert not wrong_names(exact(from_jax(function, params, shaped(*SHAPE))), steps)


def test_a_tensor_written_where_it_is_positive_is_a_function_of_itself() -> None:
    def function(given: Any) -> Any:
        y = given["w"] * 1.0
        return jnp.where(y > 0, 0.0, y)

    found = exact(from_jax(function, {"w": shaped(*SHAPE)}))
    assert found["w"].tolist() == np.ones(SHAPE, int).tolist()
