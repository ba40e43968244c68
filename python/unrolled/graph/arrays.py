"""Arrays of integers as the core takes them, with errors that say what is wrong with others."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from unrolled._support.hints import described
from unrolled.errors import InvalidGraphError

__all__ = [
    "Unsigned",
    "as_mask",
    "integers",
    "labels",
    "largest",
    "multiplicities",
    "node_ids",
    "refuse_negative",
    "unsigned",
]

Unsigned = npt.NDArray[np.uint32] | npt.NDArray[np.uint64]

NARROW = (np.dtype(np.int32), np.dtype(np.uint32))
WIDE = (np.dtype(np.int64), np.dtype(np.uint64))


def integers(values: Any, what: str) -> npt.NDArray[np.integer[Any]]:
    """One-dimensional array of integers of any width; `what` names it in errors.

    Raises
    ------
    InvalidGraphError
        Anything else: floats, booleans, objects, more dimensions.
    """
    refuse_masked(values, what)
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidGraphError(f"{what} must be an array of integers: {error}") from None
    if array.dtype.kind in "fO" and array.size and array.ndim == 1 and _are_integers(values):
        array = _wide_integers(values, what)
    if array.size == 0 and array.ndim == 1 and array.dtype == np.float64:
        array = array.astype(np.int64)  # what NumPy makes of an empty list
    if array.ndim == 0 and array.dtype.kind in "OSU":  # a set, a generator, a text
        raise InvalidGraphError(
            f"{what} must be an array or list of integers, got {described(values)}"
        )
    if array.dtype.kind not in "iu":
        hint = "; convert them with .astype(int)" if array.dtype.kind == "f" else ""
        raise InvalidGraphError(
            f"{what} must be integers, got dtype {array.dtype} "
            f"({described(values) if array.ndim == 0 else f'shape {array.shape}'}){hint}"
        )
    if array.ndim != 1:
        raise InvalidGraphError(f"{what} must have one dimension, got shape {array.shape}")
    return array


def _are_integers(values: Any) -> bool:
    return isinstance(values, (list, tuple)) and all(
        type(value) is int or isinstance(value, np.integer) for value in values
    )


def _wide_integers(values: Any, what: str) -> npt.NDArray[np.integer[Any]]:
    """Integers of which some have more than 63 bits, or that NumPy had no common type for."""
    numbers = [int(value) for value in values]
    for at, number in enumerate(numbers):
        if not -(1 << 63) <= number < 1 << 64:
            raise InvalidGraphError(f"{what}[{at}] is {number}, which 64 bits cannot hold")
    least = min(numbers)
    if least < 0 and max(numbers) >= 1 << 63:
        raise InvalidGraphError(
            f"{what}[{numbers.index(least)}] is {least}, beside {max(numbers)}: "
            "no type of 64 bits holds both"
        )
    return np.array(numbers, dtype=np.int64 if least < 0 else np.uint64)


def unsigned(values: Any, what: str, *, copy: bool = False) -> Unsigned:
    """Integers as the core reads them: native, without gaps, 32 or 64 bits, sign bit ignored.

    Shares memory with `values` wherever the dtype allows, unless `copy`. A negative number of 64
    bits becomes one that no graph has, which the core refuses. One of 32 bits could pass for a
    node, and is refused here.
    """
    array = integers(values, what)
    if array.dtype in WIDE and array.dtype.isnative:
        return _pack(array, copy).view(np.uint64)
    if array.dtype in NARROW and array.dtype.isnative:
        refuse_negative(array, what)
        return _pack(array, copy).view(np.uint32)
    return np.ascontiguousarray(
        array, dtype=np.int64 if array.dtype.kind == "i" else np.uint64
    ).view(np.uint64)


def multiplicities(values: Any, *, copy: bool = False) -> npt.NDArray[np.uint64] | None:
    """Multiplicities as unsigned integers of 64 bits; None stays None."""
    if values is None:
        return None
    array = integers(values, "multiplicity")
    refuse_negative(array, "multiplicity", least=1)
    return _pack(array, copy, dtype=np.uint64)


def _pack(array: npt.NDArray[Any], copy: bool, dtype: Any = None) -> npt.NDArray[Any]:
    """The array without gaps, shared or copied."""
    if copy:
        return np.array(array, dtype=dtype, order="C")
    if array.flags.carray and (dtype is None or array.dtype == dtype):
        return array
    return np.require(array, dtype=dtype, requirements=["C", "A"])


def as_mask(values: Any) -> npt.NDArray[np.bool_] | None:
    """The booleans that something consists of; None for anything else."""
    try:
        array = np.asarray(values)
    except ValueError:  # ragged lists
        return None
    return array if array.dtype == np.bool_ else None


def refuse_masked(values: Any, what: str) -> None:
    """Say so if entries of a masked array are missing, for what lies below them is no number."""
    if isinstance(values, np.ma.MaskedArray) and (missing := int(np.ma.getmaskarray(values).sum())):
        raise InvalidGraphError(
            f"{what} is a masked array with {missing} of {values.size} entries missing; "
            "leave them out with .compressed(), or fill them"
        )


def refuse_negative(array: npt.NDArray[Any], what: str, least: int = 0) -> None:
    """Say which number is too small."""
    if array.size and array[array.argmin()] < least:
        at = int(np.argmax(array < least))
        raise InvalidGraphError(f"{what}[{at}] is {array[at]}; it must be at least {least}")


def largest(array: npt.NDArray[Any]) -> int:
    """The largest of some integers; of a few it is found in half the time that ``max()`` takes."""
    return int(array[array.argmax()])


def node_ids(values: Any, what: str, nodes: int) -> npt.NDArray[np.uint32] | None:
    """Ascending ids of the nodes that an array of ids, or a boolean mask, names."""
    if values is None:
        return None
    if (mask := as_mask(values)) is not None:
        refuse_masked(values, what)
        if mask.shape != (nodes,):
            raise InvalidGraphError(
                f"{what}: a mask must have one entry for each of the {nodes} nodes, "
                f"got shape {mask.shape}"
            )
        return np.flatnonzero(mask).astype(np.uint32)
    array = integers(values, what)
    refuse_negative(array, what)
    if array.size and largest(array) >= nodes:
        at = int(np.argmax(array >= nodes))
        raise InvalidGraphError(
            f"{what}[{at}] is {array[at]}, but there are {nodes} nodes, numbered from 0"
        )
    rises = array.size < 2 or bool((array[1:] > array[:-1]).all())
    return (array if rises else np.unique(array)).astype(np.uint32)


def labels(values: Any, nodes: int) -> npt.NDArray[np.int64] | None:
    """Label of the parameter that each node is; None stays None."""
    if values is None:
        return None
    array = integers(values, "parameters")
    if array.shape != (nodes,):
        raise InvalidGraphError(
            f"parameters must have one label for each of the {nodes} nodes, or be a mask; "
            f"got shape {array.shape}"
        )
    if array.dtype == np.uint64 and array.size and array.max() >= 1 << 63:
        raise InvalidGraphError("parameters: labels must be below 2**63")
    return array.astype(np.int64)
