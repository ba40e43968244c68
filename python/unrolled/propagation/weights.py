"""Which variances weights have at initialisation: schemes by name, and everything else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import nan
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from unrolled._core import Program
from unrolled._support.arguments import checked_number, checked_numbers
from unrolled._support.hints import described, did_you_mean, listed
from unrolled.errors import InvalidArgumentError, UnknownNameError, UnrolledError
from unrolled.network.configurations import split_name
from unrolled.network.initialization import KernelScheme, kernel_variance
from unrolled.network.network import Network

__all__ = ["Scheme", "Use", "Weights", "elements_of", "uses_of"]

Scheme: TypeAlias = KernelScheme | Literal["stored"]

SCHEMES = (*get_args(KernelScheme), "stored")


class Use(NamedTuple):
    """A parameter, and what it is to the tensor that is computed with it.

    Attributes
    ----------
    name : str
    layer : str
        What its name has before the last ``/``, or the last dot.
    role : str or None
        "kernel", "bias", "scale", "shift", "mean", "variance" or "table"; None if it is not used.
    size : int
    target : str or None
        The tensor that is computed with it, at its first place of use.
    source : str or None
        Of a kernel: the tensor that it is applied to.
    fan_in : float
        Edges into one element of the output where all taps are in bounds; of a bias, those of its
        layer, or 0 if it belongs to none.
    fan_out : float
        Edges from one element of the input.
    uses : int
        In how many places it is used.
    """

    name: str
    layer: str
    role: str | None
    size: int
    target: str | None
    source: str | None
    fan_in: float
    fan_out: float
    uses: int


Weights: TypeAlias = Scheme | float | Mapping[str, Any] | Callable[[Use], float]
"""What `propagate` takes as weights."""


def uses_of(network: Network, program: Program) -> list[Use]:
    """The parameters of a network, in the order in which the program has them."""
    tensors = network.tensors
    uses = []
    for number, role, ends, fans, places in program.parameters:
        tensor = tensors[number]
        layer, _ = split_name(tensor.name)
        target, source = (None if end is None else tensors[end].name for end in ends)
        uses.append(Use(tensor.name, layer, role, tensor.size, target, source, *fans, places))
    return uses


def elements_of(
    network: Network,
    uses: list[Use],
    weights: Weights,
    biases: float | None,
    gain: float,
    overrides: Mapping[str, float] | None,
) -> npt.NDArray[np.float64]:
    """Mean and mean square of the elements of every parameter, in the order of `uses`."""
    gain = checked_number("gain", gain)
    if not 0 <= gain < np.inf:
        raise InvalidArgumentError(f"gain must be a number of at least 0, got {described(gain)}")
    if biases is not None and not 0 <= checked_number("biases", biases) < np.inf:
        raise InvalidArgumentError(
            f"biases must be a variance of at least 0, got {described(biases)}"
        )
    _check_weights(weights)
    given = _by_name(uses, weights, "weights") if isinstance(weights, Mapping) else {}
    changed = _by_name(uses, overrides, "overrides") if overrides is not None else {}
    stored = _stored_moments(network) if weights == "stored" else {}
    rows = []
    for use in uses:
        if use.name in changed:
            row = _moments(changed[use.name], f"overrides[{use.name!r}]")
        elif use.name in given:
            row = _moments(given[use.name], f"weights[{use.name!r}]")
        elif use.name in stored:
            row = _checked_moments(stored[use.name], f"the stored values of '{use.name}'")
        elif weights == "stored" and use.role is not None:
            raise InvalidArgumentError(
                f"weights='stored', but nothing is known of the values of '{use.name}'; import the "
                "model with its weights, or give them as weights={name: array}"
            )
        else:
            row = _initial(use, weights, biases, gain)
        rows.append(row)
    return np.array(rows, dtype=np.float64).reshape(-1, 2)


def _check_weights(weights: Weights) -> None:
    is_scheme = isinstance(weights, str) and weights in SCHEMES
    if not is_scheme and not isinstance(weights, Mapping) and not callable(weights):
        try:
            value = checked_number("weights", weights)
        except InvalidArgumentError:
            is_text = isinstance(weights, str)
            shown = (
                f"{weights!r}{did_you_mean(str(weights), SCHEMES)}"
                if is_text
                else described(weights)
            )
            raise InvalidArgumentError(
                f"weights must be {', '.join(map(repr, SCHEMES))}, a number, a mapping from names "
                f"of layers or a function of a layer, got {shown}"
            ) from None
        if not 0 <= value < np.inf:
            raise InvalidArgumentError(
                f"weights as a number must be at least 0: the variance of a weight times the "
                f"fan-in of its layer; got {described(weights)}"
            )


def _initial(use: Use, weights: Weights, biases: float | None, gain: float) -> tuple[float, float]:
    """Mean and mean square as they are before training."""
    if use.role == "kernel":
        return 0.0, _kernel_variance(use, weights, gain)
    if use.role == "bias":
        if biases is not None:
            return 0.0, float(biases)
        is_torch = isinstance(weights, str) and weights == "torch"
        return 0.0, 1 / (3 * use.fan_in) if is_torch and use.fan_in else 0.0
    if use.role in ("scale", "variance"):
        return 1.0, 1.0
    return 0.0, 1.0 if use.role == "table" else 0.0


def _kernel_variance(use: Use, weights: Weights, gain: float) -> float:
    if callable(weights):
        try:
            found = weights(use)
        except UnrolledError:
            raise
        except Exception as error:
            raise InvalidArgumentError(
                f"weights() failed for layer '{use.layer}' with {type(error).__name__}: {error}; "
                "it takes a Use and returns a variance"
            ) from error
        variance = _moments(found, f"weights() of layer '{use.layer}'")[1]
    else:
        scheme = "he" if isinstance(weights, Mapping) or weights == "stored" else weights
        variance = kernel_variance(scheme, use.fan_in, use.fan_out)
    scaled = variance * gain * gain
    if not np.isfinite(scaled) or (scaled == 0 and variance > 0 and gain > 0):
        raise InvalidArgumentError(
            f"weights of layer '{use.layer}' would have a variance of {variance:g} times the "
            f"square of the gain {gain:g}, which no float can be; give a gain nearer to 1"
        )
    return scaled


def _moments(value: Any, what: str) -> tuple[float, float]:
    """A variance, or the values of a parameter, as mean and mean square."""
    array = checked_numbers(what, value)
    if array.ndim:
        if not array.size or not np.isfinite(array).all():
            raise InvalidArgumentError(f"{what} must be finite numbers, got {described(value)}")
        with np.errstate(over="ignore"):
            square = float(np.mean(array**2))
        return _checked_moments(
            (float(array.mean()), square if square or not array.any() else nan), what
        )
    number = float(array)
    if not 0 <= number < np.inf:
        raise InvalidArgumentError(
            f"{what} must be the mean square of a parameter, at least 0, or its values; "
            f"got {described(value)}"
        )
    return 0.0, number


def _checked_moments(moments: tuple[float, float], what: str) -> tuple[float, float]:
    """Mean and mean square, if these are numbers that a float can be."""
    if not np.isfinite(moments).all():
        raise InvalidArgumentError(
            f"{what} must be finite numbers whose squares are neither too large nor too small for "
            "a float; divide them by a power of two, and multiply what reads them"
        )
    return moments


def _by_name(uses: list[Use], given: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Values by the names of parameters; a layer stands for its kernel."""
    if not isinstance(given, Mapping):
        raise InvalidArgumentError(
            f"{what} must be a mapping from names of layers or parameters, got {described(given)}"
        )
    names = {use.name: use.name for use in uses}
    for use in uses:
        if use.role in ("kernel", "table"):
            names.setdefault(use.layer, use.name)
    found = {}
    for name, value in given.items():
        if name not in names:
            near = did_you_mean(str(name), names)
            raise UnknownNameError(
                f"{what}: the network has no layer or parameter named {name!r}{near} "
                f"(there are {listed(sorted(names), 6)})"
            )
        found[names[name]] = value
    return found


def _stored_moments(network: Network) -> Mapping[str, tuple[float, float]]:
    """Mean and mean square of the stored values of parameters, by name."""
    return network.parameter_moments
