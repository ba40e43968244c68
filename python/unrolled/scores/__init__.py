"""Scores that rank architectures without data or training, and how well they do.

`score` gives the scores of a model beside their baselines; `evaluate` compares them with the
published accuracies of a benchmark; `features` are numbers of a model for a predictor. The sweeps
behind all of them are in the core.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unrolled.scores.architecture_features import Features, features
    from unrolled.scores.evaluation import Evaluation, evaluate
    from unrolled.scores.scoring import Scores, score

__all__ = ["Evaluation", "Features", "Scores", "evaluate", "features", "score"]


def __getattr__(name: str) -> Any:
    """Import scores, features and evaluations when they are first used."""
    from importlib import import_module

    if name in ("Features", "features"):
        return getattr(import_module("unrolled.scores.architecture_features"), name)
    if name in ("Evaluation", "evaluate"):
        return getattr(import_module("unrolled.scores.evaluation"), name)
    if name in ("Scores", "score"):
        return getattr(import_module("unrolled.scores.scoring"), name)
    raise AttributeError(f"module 'unrolled.scores' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Also what is not imported yet."""
    return sorted({*globals(), *__all__})
