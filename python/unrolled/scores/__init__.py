"""Scores that rank architectures without data or training, and how well they do.

`score` gives the scores of a model beside their baselines; `evaluate` compares them with the
published accuracies of a benchmark; `features` are numbers of a model for a predictor. The sweeps
behind all of them are in the core.
"""

from unrolled.scores.architecture_features import Features, features
from unrolled.scores.evaluation import Evaluation, evaluate
from unrolled.scores.scoring import Scores, score

__all__ = ["Evaluation", "Features", "Scores", "evaluate", "features", "score"]
