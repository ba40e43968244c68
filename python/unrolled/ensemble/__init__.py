"""Statistical mechanics of a spectrum: ensembles, temperatures and priors."""

from __future__ import annotations

from unrolled.ensemble.distribution import DensityOfStates
from unrolled.ensemble.ensemble import EnergyLevel, Ensemble
from unrolled.ensemble.priors import Prior, PriorLevel
from unrolled.ensemble.sweeps import HeatCapacityPeak, TemperatureSweep

__all__ = [
    "DensityOfStates",
    "EnergyLevel",
    "Ensemble",
    "HeatCapacityPeak",
    "Prior",
    "PriorLevel",
    "TemperatureSweep",
]
