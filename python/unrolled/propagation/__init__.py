"""Signal propagation at initialisation: what a network makes of a signal before anyone trains it.

`propagate` follows the law of a signal forwards and that of derivatives backwards, without drawing
a weight. The sweeps are in the core; this package says which variances weights and inputs have,
and what is shown of the result. What is concluded from it, such as advice, lives elsewhere.
"""

from __future__ import annotations

from unrolled.propagation.propagation import (
    ParameterPropagation,
    Propagation,
    TensorPropagation,
    propagate,
)
from unrolled.propagation.signal import Signal

__all__ = [
    "ParameterPropagation",
    "Propagation",
    "Signal",
    "TensorPropagation",
    "propagate",
]
