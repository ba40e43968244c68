"""Networks: tensors and links, the layers that are written with them, and sharing of parameters.

`unrolled.models` builds published models with it, `unrolled.importers` those of frameworks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unrolled._core import Operation
from unrolled.network.builder import Link, LinkRole, Semantics, Tensor
from unrolled.network.configurations import Configuration
from unrolled.network.network import Network

if TYPE_CHECKING:
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


def __getattr__(name: str) -> Any:
    """Import what only some networks need when it is first used."""
    from importlib import import_module

    if name == "Layer":
        return import_module("unrolled.network.sharing").Layer
    if name == "Provenance":
        return import_module("unrolled.network.provenance").Provenance
    raise AttributeError(f"module 'unrolled.network' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Also what is not imported yet."""
    return sorted({*globals(), *__all__})
