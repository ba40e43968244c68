"""The one place that turns whatever a user may give into a network, a graph or counts.

`resolve` serves every function and command that takes "a model", so that whatever one of them
takes, all take. How files and objects of frameworks are read lives in `unrolled.importers` and
`unrolled.graph`; this package decides which of them is asked.
"""

from __future__ import annotations

from unrolled.sources.resolution import Model, resolve

__all__ = ["Model", "resolve"]
