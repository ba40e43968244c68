"""PyTorch modules and programs as networks: `from_torch`, and `rule` for operators of one's own.

The rules live beside it by subject; what they share with other frameworks is in
`unrolled.importers.tracing`. The framework is imported when a model is read, not before.
"""

from __future__ import annotations

from unrolled.importers.torch.importer import Node, from_torch, operators, rule

__all__ = ["Node", "from_torch", "operators", "rule"]
