"""What a live model knows of its weights beyond its configuration: paths, sharing, freezing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from unrolled.errors import InvalidModelError
from unrolled.importers.tracing.values import Shape

if TYPE_CHECKING:
    from unrolled.importers.door import Door
    from unrolled.importers.keras.layer import Layer

__all__ = ["LiveWeights"]

HOLDERS = ("layer", "forward_layer", "backward_layer", "cell")
"""Attributes of layers that hold another one."""


class LiveWeights:
    """The layers of a live model by their place; empty if a file is read."""

    def __init__(self, model: Any, door: Door) -> None:
        self._door = door
        self._layers: dict[tuple[str, ...], Any] = {}
        self._model = model
        self.used: set[int] = set()
        if model is not None:
            self._enter(model, ())

    def _enter(self, layer: Any, place: tuple[str, ...]) -> None:
        """Record layers by their places; recursion goes as deep as models are nested."""
        for one in [*_sequence(layer, "layers"), *_sequence(layer, "cells"), *_find_inner(layer)]:
            here = (*place, str(getattr(one, "name", "")))
            if here not in self._layers:
                self._layers[here] = one
                self._enter(one, here)

    def identity(self, place: tuple[str, ...]) -> Any:
        """What is equal for the places of one layer; None if that is not known."""
        layer = self._layers.get(place)
        return None if layer is None else id(layer)

    def checked(
        self, layer: Layer, name: str, path: str, shape: Shape, trainable: bool
    ) -> tuple[str, bool]:
        """The path that Keras gives a weight, and whether it is trainable there.

        Raises
        ------
        InvalidModelError
            It has another shape there.
        """
        owner = self._layers.get(layer.place)
        if owner is None:
            return path, trainable
        weight = _find(_sequence(owner, "weights"), name, shape)
        if weight is None:
            return path, trainable
        there = tuple(int(length) for length in weight.shape)
        if there != shape:
            raise InvalidModelError(
                f"{layer}: weight '{name}' of the model has the shape {there}, and would need "
                f"{shape}; choose other {self._door.term('inputs')}"
            )
        self.used.add(id(weight))
        own = str(getattr(weight, "path", path)).partition(":")[0]
        return (own if own.endswith(f"/{name}") else path), bool(weight.trainable) and trainable

    def values(self, layer: Layer, name: str, shape: Shape) -> Any:
        """The elements of a weight; None if a file is read."""
        owner = self._layers.get(layer.place)
        weight = None if owner is None else _find(_sequence(owner, "weights"), name, shape)
        return None if weight is None else np.asarray(weight.numpy())

    def unused(self) -> list[tuple[str, str]]:
        """Weights of the model that no output is computed from, with the reason."""
        if self._model is None:
            return []
        return [
            (str(getattr(weight, "path", weight.name)), "not used")
            for weight in _sequence(self._model, "weights")
            if id(weight) not in self.used
        ]


def _find(weights: Sequence[Any], name: str, shape: Shape) -> Any:
    """The weight whose path ends with a name."""
    found = [w for w in weights if str(getattr(w, "path", w.name)).endswith(f"/{name}")]
    if not found:
        found = [w for w in weights if w.name.partition(":")[0] == name]
    if not found:  # Weights that were given no name are numbered through.
        found = [w for w in weights if w.name.startswith("variable") and tuple(w.shape) == shape]
    same = [w for w in found if tuple(w.shape) == shape]
    return (same or found or [None])[0] if len(same) == 1 or len(found) == 1 else None


def _sequence(owner: Any, name: str) -> list[Any]:
    try:
        return list(getattr(owner, name, None) or [])
    except (TypeError, ValueError, AttributeError):
        return []


def _find_inner(layer: Any) -> list[Any]:
    """Layers inside wrappers, and cells."""
    held = [getattr(layer, name, None) for name in HOLDERS]
    return [one for one in held if one is not None and hasattr(one, "weights")]
