"""Tells what kind of model something is, without importing a framework."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from unrolled._support.hints import described
from unrolled.errors import InvalidArgumentError
from unrolled.network.builder import Semantics
from unrolled.network.network import Network

__all__ = ["FILES", "imported", "is_model_file"]

FILES = {".onnx": "onnx", ".keras": "keras", ".json": "keras"}
"""The frameworks of model files by their suffix."""

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
    return Path(name).suffix.lower() in FILES


def imported(model: Any, inputs: Any = None, *, semantics: Semantics = "value") -> Network | None:
    """Import a file or object of a framework as a network; None if it is neither.

    Parameters
    ----------
    model : str, Path, or an object of a framework
    inputs : optional
        What the importer takes after the model: shapes for ONNX and Keras, example inputs for
        PyTorch, and for a JAX function a tuple of its parameters and example inputs.
    semantics : {"value", "dependency"}

    Raises
    ------
    MissingPackageError, InvalidModelError, UnsupportedOperatorError
        See the importers.
    InvalidArgumentError
        A function without `inputs`.
    """
    framework = _framework(model)
    if framework is None and callable(model):
        return _function(model, inputs, semantics)
    if framework is None:
        return None
    if framework == "onnx":
        from unrolled.importers.onnx.importer import from_onnx

        return from_onnx(model, inputs, semantics=semantics)
    if framework == "keras":
        from unrolled.importers.keras.importer import from_keras

        return from_keras(model, inputs, semantics=semantics)
    from unrolled.importers.torch.importer import from_torch

    return from_torch(model, inputs, semantics=semantics)


def _framework(model: Any) -> str | None:
    if isinstance(model, (str, os.PathLike)):
        return FILES.get(Path(model).suffix.lower())
    for base in type(model).__mro__:
        framework = CLASSES.get((base.__module__.partition(".")[0], base.__name__))
        if framework is not None:
            return framework
    return None


def _function(model: Callable[..., Any], inputs: Any, semantics: Semantics) -> Network:
    if not isinstance(inputs, tuple) or len(inputs) < 2:
        raise InvalidArgumentError(
            f"{described(model)} can be analysed as a JAX function together with its parameters "
            "and example inputs: analyze(function, inputs=(params, x)), or unrolled.from_jax"
        )
    from unrolled.importers.jax.importer import from_jax

    return from_jax(model, *inputs, semantics=semantics)
