"""Names that the shell and the functions of this package share, without what they stand for.

The shell has to know its options before it knows which command is wanted.
"""

from __future__ import annotations

__all__ = ["BENCHMARKS", "FAMILIES", "FIGURES"]

BENCHMARKS = ("nasbench201", "nasbench_macro", "transnasbench_micro")
"""The spaces that `unrolled.scores.benchmarks.load` knows."""

FAMILIES = ("published", "torchvision", "timm", "pycls", "keras")
"""The families of models that `unrolled.scores.families.load_family` knows."""

FIGURES = {
    "spearman": "Spearman's correlation with accuracy",
    "kendall": "Kendall's tau-b with accuracy",
    "within": "Spearman's correlation with accuracy among equal numbers of parameters",
    "top_found": "Share of the most accurate that score highest",
    "best": "Accuracy of what scores highest",
}
"""What a table of an evaluation can show."""
