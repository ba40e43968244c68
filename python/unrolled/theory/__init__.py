"""The theory of deep networks, as functions of numbers, of lists of layers and of real models.

Every function returns a small frozen record that prints as a table, becomes a data frame or HTML,
draws itself, and always says under which assumptions its figures hold.
"""

from __future__ import annotations

from unrolled.theory.activations import Activation, as_activation, leaky_relu
from unrolled.theory.free_probability import FreeProduct, FreeSum, free_product, free_sum
from unrolled.theory.jacobian_spectra import (
    Isometry,
    JacobianSpectrum,
    isometry,
    jacobian_spectrum,
)
from unrolled.theory.kernels import Affine, Kernel, kernel
from unrolled.theory.mean_fields import (
    CriticalLine,
    CriticalPoint,
    Gain,
    LengthMap,
    MeanField,
    c_map,
    critical_line,
    critical_point,
    gain,
    length_map,
    mean_field,
    q_map,
)
from unrolled.theory.results import TheoryResult
from unrolled.theory.spectral_laws import (
    MarchenkoPastur,
    Semicircle,
    SpectralLaw,
    marchenko_pastur,
    semicircle,
)

__all__ = [
    "Activation",
    "Affine",
    "CriticalLine",
    "CriticalPoint",
    "FreeProduct",
    "FreeSum",
    "Gain",
    "Isometry",
    "JacobianSpectrum",
    "Kernel",
    "LengthMap",
    "MarchenkoPastur",
    "MeanField",
    "Semicircle",
    "SpectralLaw",
    "TheoryResult",
    "as_activation",
    "c_map",
    "critical_line",
    "critical_point",
    "free_product",
    "free_sum",
    "gain",
    "isometry",
    "jacobian_spectrum",
    "kernel",
    "leaky_relu",
    "length_map",
    "marchenko_pastur",
    "mean_field",
    "q_map",
    "semicircle",
]
