"""All rules for JAX primitives."""

from __future__ import annotations

from unrolled.importers._jax import (  # noqa: F401
    control,
    elementwise,
    movement,
    products,
)
from unrolled.importers._jax.table import TABLE

__all__ = ["TABLE"]
