"""The graph of a functional Keras model: its calls, in an order in which they can be made."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from unrolled._support.hints import described, shortened
from unrolled.errors import InvalidModelError
from unrolled.importers.keras.config import is_functional, layer_name
from unrolled.importers.tracing.values import Constant, Operand

__all__ = ["Graph", "Missing", "Reference", "endpoints", "substituted"]

Config = Mapping[str, Any]


class Missing(Exception):  # noqa: N818 - it never leaves the reader.
    """A layer whose inputs come from one that cannot be read."""


class Reference(NamedTuple):
    """An output of another layer: its name, which of its calls, and which tensor of that."""

    layer: str
    call: int
    tensor: int


class Graph:
    """The calls of a functional model, and which tensors go where."""

    def __init__(self, config: Config) -> None:
        self.entries: dict[str, Config] = {}
        self.calls: dict[tuple[str, int], tuple[Any, Any]] = {}
        self.most_outputs: dict[tuple[str, int], int] = {}
        for entry in config["layers"]:
            name = layer_name(entry)
            if name in self.entries:
                raise InvalidModelError(f"two layers have the name '{shortened(name)}'")
            self.entries[name] = entry
        for name, entry in self.entries.items():
            for call, node in enumerate(entry.get("inbound_nodes") or []):
                self.calls[name, call] = self._read(node)
        self.inputs = [reference.layer for reference in endpoints(config["input_layers"])]
        self.outputs = self._read_nested(config.get("output_layers"))
        for reference in self._references():
            key = reference.layer, reference.call
            self.most_outputs[key] = max(self.most_outputs.get(key, 0), reference.tensor)

    def _references(self) -> Iterator[Reference]:
        for args, kwargs in self.calls.values():
            yield from _references(args)
            yield from _references(kwargs)
        yield from _references(self.outputs)

    def order(self, given: Mapping[tuple[str, int], Any]) -> Iterator[tuple[str, int]]:
        """Every call after those it takes tensors from, otherwise in the order of the layers.

        Raises
        ------
        InvalidModelError
            There is a cycle, or a tensor that no layer makes.
        """
        rank = {call: place for place, call in enumerate(self.calls)}
        missing: dict[tuple[str, int], int] = {}
        readers: dict[tuple[str, int], list[tuple[str, int]]] = {}
        for call, (args, kwargs) in self.calls.items():
            if call in given:
                continue
            needed = {(one.layer, one.call) for part in (args, kwargs) for one in _references(part)}
            needed -= set(given)
            missing[call] = len(needed)
            for other in needed:
                if other not in self.calls:
                    raise InvalidModelError(
                        f"layer '{call[0]}' reads call {other[1]} of layer '{other[0]}', which is "
                        "not in the model"
                    )
                readers.setdefault(other, []).append(call)
        ready = [(rank[call], call) for call, number in missing.items() if number == 0]
        heapq.heapify(ready)
        done = 0
        while ready:
            _, call = heapq.heappop(ready)
            yield call
            done += 1
            for reader in readers.get(call, []):
                missing[reader] -= 1
                if missing[reader] == 0:
                    heapq.heappush(ready, (rank[reader], reader))
        if done < len(missing):
            stuck = next(call for call, number in missing.items() if number)
            raise InvalidModelError(f"the layers form a cycle, through '{stuck[0]}'")
        for one in _references(self.outputs):
            if (one.layer, one.call) not in self.calls and (one.layer, one.call) not in given:
                raise InvalidModelError(
                    f"output layer '{one.layer}' (call {one.call}) is not in the model"
                )

    def _read(self, node: Any) -> tuple[Any, Any]:
        """Arguments of a call, tensors replaced by references."""
        if isinstance(node, Mapping):
            return _revive(node.get("args") or []), _revive(node.get("kwargs") or {})
        # Keras 2: [[layer, call, tensor, keyword arguments], ...]
        if isinstance(node, list) and node and isinstance(node[0], str):
            node = [node]
        references = [self._legacy_argument(one[:3]) for one in node]
        given = node[0][3] if len(node[0]) > 3 and isinstance(node[0][3], Mapping) else {}
        kwargs = {key: self._legacy_argument(value) for key, value in given.items()}
        return [references[0] if len(references) == 1 else references], kwargs

    def _legacy_argument(self, given: Any) -> Any:
        """An argument as Keras 2 has it, in which tensors are only lists of three."""
        if _is_endpoint(given):
            if given[0] == "_CONSTANT_VALUE":
                return Constant.of(np.asarray(given[2]))
            if given[0] in self.entries:
                return self._reference(given, legacy=True)
        if isinstance(given, list):
            return [self._legacy_argument(one) for one in given]
        if isinstance(given, Mapping):
            return {key: self._legacy_argument(one) for key, one in given.items()}
        return given

    def _reference(self, given: Any, *, legacy: bool = False) -> Reference:
        name, call, tensor = given
        if not (isinstance(name, str) and isinstance(call, int) and isinstance(tensor, int)):
            raise InvalidModelError(f"no tensor of a layer: {described(given)}")
        if is_functional(self.entries.get(name)) and (legacy or call > 0):
            call -= 1  # Counted from the call that defines the model.
        return Reference(name, max(call, 0), max(tensor, 0))

    def _read_nested(self, given: Any) -> Any:
        if _is_endpoint(given):
            return self._reference(given)
        if isinstance(given, Mapping):
            return {key: self._read_nested(one) for key, one in given.items()}
        if isinstance(given, (list, tuple)):
            return [self._read_nested(one) for one in given]
        raise InvalidModelError(f"no output of a model: {described(given)}")


def _is_endpoint(given: Any) -> bool:
    return isinstance(given, (list, tuple)) and len(given) == 3 and isinstance(given[0], str)


def endpoints(given: Any) -> list[Reference]:
    """The tensors that nested lists and dicts of a configuration name, in order."""
    if _is_endpoint(given):
        name, call, tensor = given
        return [Reference(name, call, tensor)]
    if isinstance(given, Mapping):
        return [one for key in sorted(given) for one in endpoints(given[key])]
    if isinstance(given, (list, tuple)):
        return [one for part in given for one in endpoints(part)]
    raise InvalidModelError(f"no input of a model: {described(given)}")


def _revive(given: Any) -> Any:
    """Arguments of a call as Keras serialises them."""
    if isinstance(given, (list, tuple)):
        return [_revive(one) for one in given]
    if not isinstance(given, Mapping):
        return given
    kind, config = given.get("class_name"), given.get("config")
    if not isinstance(config, Mapping) or not isinstance(kind, str):
        return {key: _revive(one) for key, one in given.items()}
    if kind == "__keras_tensor__":
        name, call, tensor = config["keras_history"]
        return Reference(str(name), int(call), int(tensor))
    if kind in ("__tensor__", "__numpy__"):
        dtype = config.get("dtype")
        return Constant.of(np.asarray(config["value"], "float32" if dtype == "bfloat16" else dtype))
    if kind == "__slice__":
        return slice(*[_revive(config.get(part)) for part in ("start", "stop", "step")])
    if kind == "__ellipsis__":
        return Ellipsis
    return dict(given)


def _references(given: Any) -> Iterator[Reference]:
    if isinstance(given, Reference):
        yield given
    elif isinstance(given, list):
        for one in given:
            yield from _references(one)
    elif isinstance(given, Mapping):
        for one in given.values():
            yield from _references(one)
    elif isinstance(given, slice):
        for one in (given.start, given.stop, given.step):
            yield from _references(one)


def substituted(
    given: Any, found: Callable[[Reference], Operand | None], *, missing: bool = False
) -> Any:
    """The same with operands instead of references.

    Raises
    ------
    Missing
        There is none for a reference, unless `missing` allows it.
    """
    if isinstance(given, Reference):
        operand = found(given)
        if operand is None and not missing:
            raise Missing
        return operand
    if isinstance(given, list):
        return [substituted(one, found, missing=missing) for one in given]
    if isinstance(given, Mapping):
        return {key: substituted(one, found, missing=missing) for key, one in given.items()}
    if isinstance(given, slice):
        parts = [substituted(p, found) for p in (given.start, given.stop, given.step)]
        return slice(*parts)
    return given
