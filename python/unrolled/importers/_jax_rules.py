"""All rules for JAX primitives."""

from __future__ import annotations

from unrolled.importers import (  # noqa: F401
    _jax_control,
    _jax_elementwise,
    _jax_movement,
    _jax_products,
)
from unrolled.importers._jax_table import TABLE

__all__ = ["TABLE"]
