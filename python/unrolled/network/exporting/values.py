"""Initial values of parameters, drawn with a seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod, sqrt
from typing import Any, NamedTuple, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from unrolled._support.arguments import checked_number
from unrolled._support.hints import described, did_you_mean
from unrolled.errors import InvalidArgumentError, UnknownNameError
from unrolled.network.builder import LinkRole, Tensor
from unrolled.network.initialization import KernelScheme, kernel_variance

__all__ = ["InitialWeights", "ParameterUse", "check_weights", "initial_values"]

Array: TypeAlias = npt.NDArray[np.float32]
InitialWeights: TypeAlias = (
    KernelScheme | float | Mapping[str, npt.ArrayLike] | Callable[[Tensor], npt.ArrayLike]
)
"""What `Network.to_onnx` takes as weights."""


class ParameterUse(NamedTuple):
    """What a parameter is to the layer that it belongs to, and between how many elements it lies.

    Attributes
    ----------
    role : str
        As in `Link.role`.
    fan_in, fan_out : int
        Of a kernel: edges into one element of the output, and from one of the input. Of a bias:
        those of its kernel.
    """

    role: LinkRole
    fan_in: int = 1
    fan_out: int = 1


def check_weights(weights: InitialWeights, parameters: tuple[Tensor, ...]) -> None:
    """Refuse what says nothing of how weights begin, before anything is written."""
    if isinstance(weights, str):
        if weights not in get_args(KernelScheme):
            schemes = ", ".join(map(repr, get_args(KernelScheme)))
            raise InvalidArgumentError(
                f"weights must be one of {schemes}, a number, a mapping from names to arrays, a "
                f"function of a tensor, or None; got {weights!r}"
                f"{did_you_mean(weights, get_args(KernelScheme))}"
            )
    elif isinstance(weights, Mapping):
        names = [one.name for one in parameters]
        for name in weights:
            if name not in names:
                raise UnknownNameError(
                    f"weights: the network has no parameter named {name!r}"
                    f"{did_you_mean(str(name), names)}"
                )
    elif not callable(weights):
        value = checked_number("weights", weights)
        if not 0 <= value < np.inf:
            raise InvalidArgumentError(
                "weights as a number must be at least 0: the variance of a weight times the fan-in "
                f"of its layer; got {described(weights)}"
            )


def initial_values(
    parameter: Tensor, use: ParameterUse, weights: InitialWeights, random: np.random.Generator
) -> Array:
    """The values that a parameter begins with.

    Kernels are normal with the variance of the scheme, uniform under "torch", and have orthonormal
    rows or columns under "orthogonal". Scales and variances are 1, tables standard normal, and all
    else is 0, but for the biases of PyTorch.
    """
    shape = parameter.shape
    if callable(weights):
        return _given(parameter, weights(parameter), f"weights() of '{parameter.name}'")
    if isinstance(weights, Mapping):
        if parameter.name in weights:
            name = parameter.name
            return _given(parameter, weights[name], f"weights[{name!r}]")
        weights = "he"
    if use.role == "kernel":
        return _kernel(shape, use, weights, random)
    if use.role == "bias" and weights == "torch":
        bound = 1 / sqrt(use.fan_in)
        return random.uniform(-bound, bound, shape).astype(np.float32)
    if use.role in ("scale", "variance"):
        return np.ones(shape, dtype=np.float32)
    if use.role == "table":
        return random.standard_normal(shape, dtype=np.float32)
    return np.zeros(shape, dtype=np.float32)


def _kernel(
    shape: tuple[int, ...],
    use: ParameterUse,
    weights: KernelScheme | float,
    random: np.random.Generator,
) -> Array:
    variance = kernel_variance(weights, use.fan_in, use.fan_out)
    if weights == "torch":
        bound = sqrt(3 * variance)
        return random.uniform(-bound, bound, shape).astype(np.float32)
    if weights == "orthogonal":
        # As a matrix of fan-in columns; its shorter side is orthonormal.
        rows = prod(shape) // use.fan_in
        normal = random.standard_normal((max(rows, use.fan_in), min(rows, use.fan_in)))
        factor, triangle = np.linalg.qr(normal)
        factor *= np.sign(np.diag(triangle))
        matrix = factor if rows >= use.fan_in else factor.T
        is_transposed = len(shape) == 2 and shape[0] == use.fan_in
        return (matrix.T if is_transposed else matrix).reshape(shape).astype(np.float32)
    return random.standard_normal(shape, dtype=np.float32) * np.float32(sqrt(variance))


def _given(parameter: Tensor, value: Any, what: str) -> Array:
    array = np.asarray(value)
    if array.shape != parameter.shape or array.dtype.kind not in "fiub":
        raise InvalidArgumentError(
            f"{what} must be numbers of shape {parameter.shape}, got {described(value)} of shape "
            f"{array.shape}"
        )
    return array.astype(np.float32)
