"""Explicit graphs: `Graph`, the checks of its arrays, names of nodes, files, and exchange.

Counting the paths of a graph lives in `unrolled.counting`.
"""

from __future__ import annotations

from unrolled.graph.graph import Graph

__all__ = ["Graph"]
