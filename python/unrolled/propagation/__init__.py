"""Signal propagation at initialisation: what a network makes of a signal before anyone trains it.

`propagate` follows the law of a signal forwards and that of derivatives backwards, without drawing
a weight. The sweeps are in the core; this package says which variances weights and inputs have
(`weights`, `signal`), what is shown of the result (`records`), what an engineer concludes from it
(`initialization`), and which variances would do (`scaling`).
"""

from __future__ import annotations

from unrolled.propagation.initialization import (
    InitializationReport,
    LayerVerdict,
    initialization_report,
)
from unrolled.propagation.propagation import propagate
from unrolled.propagation.records import ParameterPropagation, Propagation, TensorPropagation
from unrolled.propagation.signal import Signal

__all__ = [
    "InitializationReport",
    "LayerVerdict",
    "ParameterPropagation",
    "Propagation",
    "Signal",
    "TensorPropagation",
    "initialization_report",
    "propagate",
]
