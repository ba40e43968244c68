"""Search spaces: many architectures, counted, scored and searched.

`Space` is a set of architectures, left open by `Network.choice` or built by a function.
`macs_many`, `propagate_many` and `count_many` work on any number of them at once; `sweep` writes
what is found of all into a `Table`; `evolve`, `random` and `exhaustive` look for the best;
`Predictor` learns from those that were trained.
"""

from unrolled.search.cells import darts, nasbench101
from unrolled.search.evolution import evolve, exhaustive, random
from unrolled.search.families import resnet_family, transformer_family
from unrolled.search.many import count_many, macs_many, propagate_many
from unrolled.search.predictor import Explanation, Predictor, Ranked, Ranking
from unrolled.search.space import Place, Space
from unrolled.search.spaces import nasbench201, nasbench_macro, transnasbench_micro
from unrolled.search.sweep import SweepError, sweep
from unrolled.search.table import Table

__all__ = [
    "Explanation",
    "Place",
    "Predictor",
    "Ranked",
    "Ranking",
    "Space",
    "SweepError",
    "Table",
    "count_many",
    "darts",
    "evolve",
    "exhaustive",
    "macs_many",
    "nasbench101",
    "nasbench201",
    "nasbench_macro",
    "propagate_many",
    "random",
    "resnet_family",
    "sweep",
    "transformer_family",
    "transnasbench_micro",
]
