"""What the arguments of a JAX function are: parameters, inputs, or neither."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeAlias

import numpy as np

from unrolled._support.optional import import_optional
from unrolled.errors import InvalidArgumentError
from unrolled.importers.jax.quantisation import are_small_integers
from unrolled.importers.tracing.values import Shape

__all__ = ["Frozen", "Inputs", "Parameters", "path_name"]

Frozen: TypeAlias = Callable[[str], bool] | Collection[str] | None

FROZEN = ("batch_stats",)
"""Where Flax keeps the statistics of batch norms."""


class Parameters:
    """The leaves of the first argument.

    Attributes
    ----------
    traced_names : list of str
        Of the leaves that are traced.
    structs : list of jax.ShapeDtypeStruct
        The same leaves.
    trainable : dict of str to bool
        Those that are parameters, and whether training changes them.
    names : set of str
        Of all leaves.
    integers : list of str
        Leaves with integers of a byte or less, which may be quantised weights: those that are named
        as `weights` are.
    skipped : dict of str to str
        Leaves that are no parameters, and why.
    """

    def __init__(self, tree: Any, frozen: Frozen, weights: Collection[str] = ()) -> None:
        jax = import_optional("jax", "jax")

        leaves, self._structure = jax.tree_util.tree_flatten_with_path(tree)
        self._leaves = [leaf for _, leaf in leaves]
        self._traced: list[int] = []
        self.traced_names: list[str] = []
        self.structs: list[Any] = []
        self.skipped: dict[str, str] = {}
        self.trainable: dict[str, bool] = {}
        self.names: set[str] = set()
        self.integers: list[str] = []
        variables = _flax_variables(tree)
        is_frozen = _predicate(frozen)
        for at, (path, leaf) in enumerate(leaves):
            variable = variables.get(path_name(path[:-1]))
            path = path if variable is None else path[:-1]
            name = self._free(path_name(path) or "parameter")
            if isinstance(leaf, (float, complex)):
                leaf = jax.ShapeDtypeStruct((), jax.dtypes.canonicalize_dtype(type(leaf)))
            if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
                continue  # An option or a function, used as it is.
            shape = checked_shape(name, leaf)
            kind = self._kind(name, shape, leaf.dtype)
            if kind is not None and are_small_integers(leaf):
                self.integers.append(name)
            if name in weights:
                self.trainable[name] = False
            elif kind is not None:
                self.skipped[name] = kind
                if hasattr(leaf, "__array__"):
                    continue
            else:
                fixed = is_frozen(name) or (frozen is None and variable == "frozen")
                self.trainable[name] = not fixed
            self._traced.append(at)
            self.traced_names.append(name)
            self.structs.append(_struct(leaf))

    def values(self, name: str) -> Any:
        """The elements of a leaf that is traced; None if only its shape is known."""
        leaf = self._leaves[self._traced[self.traced_names.index(name)]]
        return np.asarray(leaf) if hasattr(leaf, "__array__") else None

    def tree(self, traced: Sequence[Any]) -> Any:
        """The argument with other values at the leaves that are traced."""
        jax = import_optional("jax", "jax")

        leaves = list(self._leaves)
        for at, leaf in zip(self._traced, traced, strict=True):
            leaves[at] = leaf
        return jax.tree_util.tree_unflatten(self._structure, leaves)

    def _kind(self, name: str, shape: Shape, dtype: Any) -> str | None:
        """Why a leaf is no parameter, if it is none."""
        jax = import_optional("jax", "jax")

        if not jax.numpy.issubdtype(dtype, jax.numpy.inexact):
            return f"{dtype}, not floating-point"
        return "no elements" if 0 in shape else None

    def _free(self, name: str) -> str:
        number, free = 1, name
        while free in self.names:
            number += 1
            free = f"{name}#{number}"
        self.names.add(free)
        return free


class Inputs:
    """The leaves of all other arguments.

    Attributes
    ----------
    names : list of str
    shapes : list of tuple of int
    are_keys : list of bool
        Whether they are keys of random numbers, which are no inputs.
    structs : tuple of pytree
        The arguments, with shapes only.
    """

    def __init__(self, function: Any, arguments: Sequence[Any], taken: set[str]) -> None:
        jax = import_optional("jax", "jax")

        names = _argument_names(function, len(arguments))
        self.names: list[str] = []
        self.shapes: list[Shape] = []
        self.are_keys: list[bool] = []
        leaves, structure = jax.tree_util.tree_flatten_with_path(tuple(arguments))
        structs = []
        for path, leaf in leaves:
            name = "/".join([part for part in (names[path[0].idx], path_name(path[1:])) if part])
            if isinstance(leaf, float):
                leaf = jax.ShapeDtypeStruct((), jax.dtypes.canonicalize_dtype(float))
            if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
                raise InvalidArgumentError(
                    f"example input '{name}' must be an array or jax.ShapeDtypeStruct, got "
                    f"{leaf!r}; options belong into the function: lambda p, x: f(p, x, {leaf!r})"
                )
            shape = checked_shape(name, leaf)
            if 0 in shape:
                raise InvalidArgumentError(f"example input '{name}' of shape {shape} is empty")
            while name in taken:
                name = f"input/{name}"
            taken.add(name)
            self.names.append(name)
            self.shapes.append(shape)
            self.are_keys.append(jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.extended))
            structs.append(_struct(leaf))
        self.structs = jax.tree_util.tree_unflatten(structure, structs)


def _flax_variables(tree: Any) -> dict[str, str]:
    """Variables of Flax NNX by path, their values being one step further: trainable or frozen."""
    jax = import_optional("jax", "jax")

    def kinds(leaf: Any) -> list[str]:
        return [c.__name__ for c in type(leaf).__mro__ if c.__module__.startswith("flax.")]

    def is_variable(leaf: Any) -> bool:
        return "Variable" in kinds(leaf)

    leaves, _ = jax.tree_util.tree_flatten_with_path(tree, is_leaf=is_variable)
    return {
        path_name(path): "trainable" if "Param" in kinds(leaf) else "frozen"
        for path, leaf in leaves
        if is_variable(leaf)
    }


def path_name(path: Sequence[Any]) -> str:
    """The keys of a path, joined by "/"."""
    keys = []
    for key in path:
        for attribute in ("key", "idx", "name"):
            if hasattr(key, attribute):
                keys.append(str(getattr(key, attribute)))
                break
    return "/".join(keys)


def checked_shape(name: str, leaf: Any) -> Shape:
    """The shape of an array or of what describes one.

    Raises
    ------
    InvalidArgumentError
        It has lengths that are no numbers.
    """
    try:
        return tuple([int(length) for length in leaf.shape])
    except Exception as error:
        raise InvalidArgumentError(
            f"'{name}' has the shape {leaf.shape}, whose lengths are not all numbers"
        ) from error


def _struct(leaf: Any) -> Any:
    """The shape and type of a leaf as JAX will have it."""
    jax = import_optional("jax", "jax")

    if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.extended):
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)
    return jax.ShapeDtypeStruct(leaf.shape, jax.dtypes.canonicalize_dtype(leaf.dtype))


def _predicate(frozen: Frozen) -> Callable[[str], bool]:
    if callable(frozen):
        return frozen
    prefixes = FROZEN if frozen is None else (frozen,) if isinstance(frozen, str) else frozen
    if not isinstance(prefixes, Collection) or not all(isinstance(one, str) for one in prefixes):
        raise InvalidArgumentError(
            f"frozen must be a function of a name, or prefixes of names, got {frozen!r}"
        )
    return lambda name: any(name == one or name.startswith(f"{one}/") for one in prefixes)


def _argument_names(function: Any, number: int) -> list[str]:
    """What a function calls the arguments that follow the first, as far as it says."""
    try:
        given = list(inspect.signature(function).parameters.values())[1:]
    except (TypeError, ValueError):
        given = []
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [one.name for one in given if one.kind in kinds][:number]
    if number == 1 and not names:
        return ["input"]
    return names + [f"input{at}" for at in range(len(names), number)]
