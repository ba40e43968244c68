"""Variances that kernels have before training, by the names of the schemes."""

from __future__ import annotations

from typing import Literal, TypeAlias

__all__ = ["KernelScheme", "kernel_variance"]

KernelScheme: TypeAlias = Literal["he", "lecun", "glorot", "torch", "orthogonal"]


def kernel_variance(scheme: KernelScheme | float, fan_in: float, fan_out: float) -> float:
    """The variance of an element of a kernel.

    Parameters
    ----------
    scheme : {"he", "lecun", "glorot", "torch", "orthogonal"} or number
        A number is the variance times the fan-in.
    fan_in, fan_out : float
        Edges into one element of the output, and from one element of the input.

    Examples
    --------
    >>> kernel_variance("he", 8, 4), kernel_variance("glorot", 8, 4), kernel_variance(1.5, 8, 4)
    (0.25, 0.16666666666666666, 0.1875)
    """
    if not isinstance(scheme, str):
        return float(scheme) / fan_in
    variances = {
        "he": 2 / fan_in,
        "lecun": 1 / fan_in,
        "glorot": 2 / (fan_in + fan_out),
        "torch": 1 / (3 * fan_in),
        "orthogonal": 1 / fan_in,
    }
    return variances[scheme]
