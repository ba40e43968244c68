"""Tells what kind of model something is, without importing a framework."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from unrolled._support.files import suffix_of
from unrolled._support.hints import described
from unrolled.errors import InvalidArgumentError
from unrolled.importers.door import Door
from unrolled.network.builder import Semantics
from unrolled.network.network import Network

__all__ = ["FILES", "framework_of", "imported", "is_model_file"]

FILES = {
    ".onnx": "onnx",
    **dict.fromkeys([".keras", ".json", ".h5", ".hdf5"], "keras"),
}
"""The frameworks of model files by their suffix."""

IMPORTED = Door("imported", {"inputs": "inputs"})

CLASSES = {
    ("onnx", "ModelProto"): "onnx",
    ("keras", "Model"): "keras",
    ("keras", "Sequential"): "keras",
    ("tf_keras", "Model"): "keras",
    ("torch", "Module"): "torch",
    ("torch", "ExportedProgram"): "torch",
}
"""The frameworks of objects by a package and the name of a class of theirs, or of its bases."""


def is_model_file(name: str) -> bool:
    """Whether a name is that of a file with a model, there or not."""
    return suffix_of(name) in FILES


def imported(
    model: Any,
    inputs: Any = None,
    *,
    values: Any = None,
    semantics: Semantics = "value",
    operations: bool = False,
    door: Door = IMPORTED,
) -> Network | None:
    """Import a file or object of a framework as a network; None if it is neither.

    Parameters
    ----------
    model : str, Path, or an object of a framework
    inputs : optional
        What the importer takes after the model: shapes for ONNX and Keras, example inputs for
        PyTorch, and for a JAX function a tuple of its parameters and example inputs.
    values : dict, optional
        For ONNX: elements of integer inputs; see `unrolled.from_onnx`.
    semantics : {"value", "dependency"}
    operations : bool
        Whether functions and normalisers are tensors of their own; see the importers.
    door : Door, optional
        Where the model was given, for errors.

    Raises
    ------
    MissingPackageError, InvalidModelError, UnsupportedOperatorError
        See the importers.
    InvalidArgumentError
        A function without `inputs`.
    """
    framework = framework_of(model)
    if values is not None and framework != "onnx":
        raise InvalidArgumentError(
            f"{door.term('values')}: only for models of ONNX, not for {described(model)}"
        )
    if framework is None and callable(model):
        return _function(model, inputs, semantics, operations, door)
    if framework is None:
        return None
    if framework == "onnx":
        from unrolled.importers.onnx.importer import read_onnx

        return read_onnx(
            model, inputs, values=values, semantics=semantics, operations=operations, door=door
        )
    if framework == "keras":
        from unrolled.importers.keras.importer import read_keras

        return read_keras(model, inputs, semantics=semantics, operations=operations, door=door)
    from unrolled.importers.torch.importer import read_torch

    return read_torch(model, inputs, semantics=semantics, operations=operations, door=door)


def framework_of(model: Any) -> str | None:
    """The framework of a file or object, such as "onnx"; None if it is of none."""
    if isinstance(model, (str, os.PathLike)):
        return FILES.get(suffix_of(model))
    for base in type(model).__mro__:
        framework = CLASSES.get((base.__module__.partition(".")[0], base.__name__))
        if framework is not None:
            return framework
    return None


def _function(
    model: Callable[..., Any], inputs: Any, semantics: Semantics, operations: bool, door: Door
) -> Network:
    if not isinstance(inputs, tuple) or len(inputs) < 2:
        here = f"{door.term('inputs')}=(params, x), or " if "inputs" in door.terms else ""
        raise InvalidArgumentError(
            f"{described(model)} can be read as a JAX function together with its parameters and "
            f"example inputs: give {here}the network that from_jax(function, params, x) returns"
        )
    from unrolled.importers.jax.importer import from_jax

    return from_jax(model, *inputs, semantics=semantics, operations=operations)
