"""All rules for JAX primitives."""

from __future__ import annotations

from unrolled.importers.jax import (  # noqa: F401
    control,
    elementwise,
    movement,
    products,
    routing,
)
from unrolled.importers.jax.table import TABLE

__all__ = ["TABLE"]
