"""Networks: tensors and links, the layers that are written with them, and sharing of parameters.

`unrolled.models` builds published models with it, `unrolled.importers` those of frameworks.
"""

from __future__ import annotations

from unrolled._core import Operation
from unrolled.network.builder import Link, LinkRole, Semantics, Tensor
from unrolled.network.configurations import Configuration
from unrolled.network.network import Network
from unrolled.network.provenance import Provenance
from unrolled.network.sharing import Layer

__all__ = [
    "Configuration",
    "Layer",
    "Link",
    "LinkRole",
    "Network",
    "Operation",
    "Provenance",
    "Semantics",
    "Tensor",
]
