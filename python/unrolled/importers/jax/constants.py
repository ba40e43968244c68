"""Constants of a jaxpr, and what is computed from constants alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from unrolled.errors import InvalidModelError
from unrolled.importers.tracing.budget import LARGEST_CONSTANT
from unrolled.importers.tracing.values import Constant, size_of

if TYPE_CHECKING:
    from unrolled.importers.jax.equation import Equation
    from unrolled.importers.tracing.tracer import Tracer

__all__ = ["constant", "worked_out"]

Array: TypeAlias = npt.NDArray[Any]

ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "abs": np.abs,
    "add": np.add,
    "ceil": np.ceil,
    "cos": np.cos,
    "eq": np.equal,
    "exp": np.exp,
    "floor": np.floor,
    "ge": np.greater_equal,
    "gt": np.greater,
    "is_finite": np.isfinite,
    "le": np.less_equal,
    "log": np.log,
    "lt": np.less,
    "max": np.maximum,
    "min": np.minimum,
    "mul": np.multiply,
    "ne": np.not_equal,
    "neg": np.negative,
    "pow": np.power,
    "sign": np.sign,
    "sin": np.sin,
    "sqrt": np.sqrt,
    "square": np.square,
    "sub": np.subtract,
    "convert_element_type": lambda x: x,
    "copy": lambda x: x,
    "stop_gradient": lambda x: x,
}
"""What NumPy computes as JAX does; faster, for JAX compiles every function for every shape."""


def constant(value: Any, dtype: Any = None) -> Constant:
    """A constant from something that JAX takes for an array."""
    shape = tuple(np.shape(value))
    if size_of(shape) > LARGEST_CONSTANT:
        return Constant(shape)
    try:
        return Constant.of(np.asarray(value, dtype))
    except TypeError:  # Keys of random numbers have no values.
        return Constant(shape)


def worked_out(tracer: Tracer, node: Equation, constants: Sequence[Constant]) -> list[Constant]:
    """The results of an equation on constants; only shapes where values are many or not known.

    Raises
    ------
    InvalidModelError
        JAX cannot compute them, or all that is worked out takes too much.
    """
    arrays = [one.array for one in constants if one.array is not None]
    if node.operator == "broadcast_in_dim" and len(arrays) == 1:
        return [
            _broadcast(node, arrays[0])
        ]  # Arrays of slices take no memory, whatever their size.
    if node.operator == "slice" and arrays:
        return [Constant.of(_slice(node, arrays[0]))]
    sizes = [size_of(shape) for shape in node.shapes] + [array.size for array in arrays]
    if len(arrays) < len(constants) or max(sizes, default=0) > LARGEST_CONSTANT:
        return [Constant(shape) for shape in node.shapes]
    with np.errstate(all="ignore"):
        array = _by_numpy(node, arrays)
        if array is not None:
            return [tracer.held(np.asarray(array, node.types[0]), None, *arrays)]
    try:
        results = node.run(*arrays)
    except Exception as error:
        raise InvalidModelError(
            f"{node.name}: JAX cannot compute this constant: {type(error).__name__}: {error}"
        ) from error
    found = results if isinstance(results, (list, tuple)) else [results]
    worked = [constant(one) for one in found]
    for one in worked:
        tracer.budget.work(node.name, max(sizes))
        if one.array is not None:
            tracer.budget.hold(node.name, one.array)
    return worked


def _broadcast(node: Equation, array: Array) -> Constant:
    (shape,) = node.shapes
    ones = [1] * len(shape)
    for axis, length in zip(node.params["broadcast_dimensions"], array.shape, strict=True):
        ones[axis] = length
    return Constant(shape, np.broadcast_to(array.reshape(ones), shape))


def _slice(node: Equation, array: Array) -> Array:
    starts, stops = node.params["start_indices"], node.params["limit_indices"]
    return array[tuple(map(slice, starts, stops, node.params["strides"] or [1] * array.ndim))]


def _by_numpy(node: Equation, arrays: Sequence[Array]) -> Array | None:
    """The result where NumPy has the same function."""
    operator = node.operator
    if operator in ELEMENTWISE:
        array: Array = ELEMENTWISE[operator](*arrays)
        return array
    if operator in ("reshape", "squeeze", "expand_dims"):
        return arrays[0].reshape(node.shapes[0])
    if operator == "transpose":
        return arrays[0].transpose(node.params["permutation"])
    if operator == "select_n" and len(arrays) == 3:
        return np.where(arrays[0].astype(bool), arrays[2], arrays[1])
    if operator == "div" and node.types[0].kind == "f":
        return np.asarray(arrays[0] / arrays[1])
    if operator == "iota":
        shape, axis = node.shapes[0], node.params["dimension"]
        line = np.arange(shape[axis]).reshape([-1 if a == axis else 1 for a in range(len(shape))])
        return np.broadcast_to(line, shape)
    return None
