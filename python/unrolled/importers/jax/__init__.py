"""JAX functions as networks: the function `from_jax`, and `rule` for operators of one's own.

The rules live beside it by subject; what they share with other frameworks is in
`unrolled.importers.tracing`. The framework is imported when a model is read, not before.
"""

from __future__ import annotations

from unrolled.importers.jax.importer import from_jax, operators, rule

__all__ = ["from_jax", "operators", "rule"]
