"""Counts of a JAX function by automatic differentiation of its counting form.

The counting form of a function is what is left if every activation is the identity, every maximum
or mean a sum, and nothing cancels. Its derivative at ones says how many edges lead from an element
to the outputs, for functions that are linear in each argument.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import unrolled
from unrolled.importers.jax import from_jax


def shaped(*lengths: int, dtype: Any = jnp.float32) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(lengths, dtype)


def ones(structs: Any) -> Any:
    return jax.tree.map(lambda one: jnp.ones(one.shape, jnp.float32), structs)


def assert_counts(
    function: Callable[..., Any],
    params: dict[str, Any],
    counting_form: Callable[..., Any] | None = None,
    **options: Any,
) -> None:
    """Counts of all elements of all parameters are derivatives of the sum of outputs."""
    form = counting_form or function

    def total(p: Any) -> Any:
        return sum(jnp.sum(y) for y in jax.tree.leaves(form(p)))

    expected = jax.jit(jax.grad(total))(ones(params))
    network = from_jax(function, params, **options)
    counts = unrolled.count(network)
    assert set(counts) == {key for key in expected if np.any(expected[key])}
    for key in counts:
        found = np.array(counts[key].exact().tolist(), dtype=float)
        np.testing.assert_array_equal(found, np.asarray(expected[key]), err_msg=key)


def exact(network: Any) -> dict[str, np.ndarray[Any, Any]]:
    """Counts by name."""
    counts = unrolled.count(network)
    return {name: counts[name].exact() for name in counts}
