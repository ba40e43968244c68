"""The theory of deep networks, as functions of numbers, of lists of layers and of real models.

Every function returns a small frozen record that prints as a table, becomes a data frame or HTML,
draws itself, and always says under which assumptions its figures hold.
"""

from __future__ import annotations

from unrolled.counting.summation import PathSums, path_sums
from unrolled.theory.activations import Activation, as_activation, leaky_relu
from unrolled.theory.bottleneck import (
    BottleneckCurve,
    InformationPlane,
    PlanePoint,
    gaussian_bottleneck,
    information_bottleneck,
    information_plane,
)
from unrolled.theory.checkpointing import Checkpoints, checkpoints
from unrolled.theory.critical_points import (
    CriticalLine,
    CriticalPoint,
    Gain,
    critical_line,
    critical_point,
    gain,
)
from unrolled.theory.curves import LengthMap, length_map
from unrolled.theory.derivatives import (
    ActivationMemory,
    GradientCost,
    JacobianCost,
    activation_memory,
    gradient_cost,
    jacobian_cost,
)
from unrolled.theory.effective_depth import EffectiveDepth, effective_depth
from unrolled.theory.fixed_points import (
    FixedPoint,
    MemoryOfDepth,
    fixed_point,
    implicit_gradient,
    memory,
)
from unrolled.theory.free_probability import FreeProduct, FreeSum, free_product, free_sum
from unrolled.theory.jacobian_spectra import (
    Isometry,
    JacobianSpectrum,
    isometry,
    jacobian_spectrum,
)
from unrolled.theory.kernels import Affine, Kernel, kernel
from unrolled.theory.mean_fields import MeanField, c_map, mean_field, q_map
from unrolled.theory.monotone import MonotoneGradient, MonotoneLayer
from unrolled.theory.overview import Overview, overview
from unrolled.theory.path_laws import Paths, paths
from unrolled.theory.pieces import (
    Pieces,
    Sawtooth,
    count_pieces_along,
    linear_pieces,
    sawtooth,
)
from unrolled.theory.regions import RegionBounds, linear_region_bounds
from unrolled.theory.results import TheoryResult
from unrolled.theory.spectral_laws import (
    MarchenkoPastur,
    Semicircle,
    SpectralLaw,
    marchenko_pastur,
    semicircle,
)
from unrolled.theory.spin_glasses import SphericalModel, SpinGlass, spin_glass
from unrolled.theory.training import Dropout, TrainingContexts, training_contexts
from unrolled.theory.weight_tying import EdgeLaw, WeightTied, weight_tied

__all__ = [
    "Activation",
    "ActivationMemory",
    "Affine",
    "BottleneckCurve",
    "Checkpoints",
    "CriticalLine",
    "CriticalPoint",
    "Dropout",
    "EdgeLaw",
    "EffectiveDepth",
    "FixedPoint",
    "FreeProduct",
    "FreeSum",
    "Gain",
    "GradientCost",
    "InformationPlane",
    "Isometry",
    "JacobianCost",
    "JacobianSpectrum",
    "Kernel",
    "LengthMap",
    "MarchenkoPastur",
    "MeanField",
    "MemoryOfDepth",
    "MonotoneGradient",
    "MonotoneLayer",
    "Overview",
    "PathSums",
    "Paths",
    "Pieces",
    "PlanePoint",
    "RegionBounds",
    "Sawtooth",
    "Semicircle",
    "SpectralLaw",
    "SphericalModel",
    "SpinGlass",
    "TheoryResult",
    "TrainingContexts",
    "WeightTied",
    "activation_memory",
    "as_activation",
    "c_map",
    "checkpoints",
    "count_pieces_along",
    "critical_line",
    "critical_point",
    "effective_depth",
    "fixed_point",
    "free_product",
    "free_sum",
    "gain",
    "gaussian_bottleneck",
    "gradient_cost",
    "implicit_gradient",
    "information_bottleneck",
    "information_plane",
    "isometry",
    "jacobian_cost",
    "jacobian_spectrum",
    "kernel",
    "leaky_relu",
    "length_map",
    "linear_pieces",
    "linear_region_bounds",
    "marchenko_pastur",
    "mean_field",
    "memory",
    "overview",
    "path_sums",
    "paths",
    "q_map",
    "sawtooth",
    "semicircle",
    "spin_glass",
    "training_contexts",
    "weight_tied",
]
