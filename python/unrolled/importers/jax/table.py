"""The table of rules for JAX primitives, filled by the modules beside it."""

from __future__ import annotations

from unrolled.errors import UnsupportedOperatorError
from unrolled.importers.rules import RuleTable

__all__ = ["TABLE", "refused"]

TABLE = RuleTable("jax")


def refused(reason: str) -> UnsupportedOperatorError:
    """What a rule raises for a case it does not cover."""
    return UnsupportedOperatorError(reason)
