"""Running a Keras model layer by layer, with the rules of its layers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from unrolled._support.hints import described, shortened
from unrolled.errors import InvalidModelError, UnrolledError, UnsupportedOperatorError
from unrolled.importers.door import Door
from unrolled.importers.keras.config import is_functional, is_model, layer_name
from unrolled.importers.keras.graph import Graph, Missing, Reference, substituted
from unrolled.importers.keras.layer import BUILT_IN, TABLE, Layer, Refused, flattened
from unrolled.importers.keras.live import LiveWeights
from unrolled.importers.rules import Unsupported
from unrolled.importers.tracing.tracer import Tracer
from unrolled.importers.tracing.values import Constant, Operand, Shape, Value

__all__ = ["UNREADABLE", "Reader", "RuleError", "Scope"]

MOST_CALLS = 20_000
"""Layers that are applied; a model that needs more is refused, for it may be a trap."""

REASONS = {
    "Lambda": "its function is Python code; use operations of keras.ops on tensors instead, or a "
    "layer of your own with a rule",
}

KERAS_MODULES = ("keras", "keras_core", "tf_keras", "tensorflow")
"""Packages whose classes the rules are for."""

UNREADABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What a rule runs into if a configuration is not what Keras writes."""

Config = Mapping[str, Any]


class RuleError(Exception):
    """What a user's rule ran into; it is not the fault of the model."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class Scope(NamedTuple):
    """Where a layer is: the models around it, what precedes names of weights, what is frozen."""

    place: tuple[str, ...] = ()
    prefix: str = ""
    trainable: bool = True


class Reader:
    """Builds a network from the configuration of a model.

    Parameters
    ----------
    tracer : Tracer
    entry : mapping
        The model as Keras serialises it.
    live : LiveWeights
        What is known of the weights if the model is there as an object.
    door : Door
        Where the model was given.
    """

    def __init__(self, tracer: Tracer, entry: Config, live: LiveWeights, door: Door) -> None:
        self.tracer = tracer
        self.door = door
        self.live = live
        self.unsupported = Unsupported("keras")
        self.operators: Counter[str] = Counter()
        self.parameters: dict[str, int] = {}
        self.skipped: dict[str, str] = {}
        self._weights: dict[Any, Value] = {}
        self._find_shared = frozenset(_find_shared(entry))
        self._calls = 0

    def model(self, entry: Config, args: list[Any], kwargs: dict[str, Any], scope: Scope) -> Any:
        """Apply a model to operands; outputs as its configuration nests them.

        `None` stands for tensors behind a layer that cannot be read.
        """
        config = entry["config"]
        if isinstance(config, Mapping) and config.get("trainable") is False:
            scope = Scope(scope.place, scope.prefix, False)
        if is_functional(entry):
            scope = Scope(scope.place, "", scope.trainable)
            return self._functional(config, args[0] if args else kwargs, scope)
        layers = config if isinstance(config, list) else config["layers"]
        name = layer_name(entry)
        scope = Scope(scope.place, f"{name}/", scope.trainable)
        (x,) = flattened(args[0] if args else kwargs)
        names = [layer_name(layer) for layer in layers]
        twins = [one for one, number in Counter(names).items() if number > 1]
        if twins:
            raise InvalidModelError(f"two layers have the name '{shortened(twins[0])}'")
        for layer in layers:
            if layer.get("class_name") != "InputLayer":
                x = self._gather(layer, [x], {}, scope)
                if x is None:
                    return None
        return x

    def _functional(self, config: Config, given: Any, scope: Scope) -> Any:
        graph = Graph(config)
        results: dict[tuple[str, int], list[Operand | None]] = {}
        for name, x in zip(graph.inputs, _match(given, graph.inputs), strict=True):
            results[name, 0] = [x]

        def found(reference: Reference) -> Operand | None:
            outputs = results[reference.layer, reference.call]
            if reference.tensor >= len(outputs):
                raise InvalidModelError(
                    f"layer '{reference.layer}' has no output {reference.tensor}"
                )
            return outputs[reference.tensor]

        for name, call in graph.order(results):
            args, kwargs = graph.calls[name, call]
            try:
                given_args = substituted(args, found)
                given_kwargs = substituted(kwargs, found)
                result = self._gather(graph.entries[name], given_args, given_kwargs, scope)
            except Missing:
                result = None
            results[name, call] = [None] if result is None else _outputs(result)
            if result is None:  # None of its tensors is known.
                results[name, call] *= 1 + graph.most_outputs.get((name, call), 0)
        return substituted(graph.outputs, found, missing=True)

    def _gather(self, entry: Config, args: list[Any], kwargs: dict[str, Any], scope: Scope) -> Any:
        """Apply a layer; None if that cannot be done, which is recorded for the error."""
        try:
            return self.call(entry, args, kwargs, scope)
        except Missing:
            return None
        except Refused as refused:
            self.unsupported.add(refused.operator, refused.node, refused.reason)
            return None

    def call(
        self,
        entry: Any,
        args: list[Any],
        kwargs: dict[str, Any],
        scope: Scope,
        name: str | None = None,
    ) -> Any:
        """Apply a layer or a model to operands."""
        self._calls += 1
        if self._calls > MOST_CALLS:
            raise InvalidModelError(f"more than {MOST_CALLS:,} layers are applied; is it a model?")
        if not isinstance(entry, Mapping) or not isinstance(entry.get("class_name"), str):
            raise InvalidModelError(
                f"a layer is an object with a class_name, got {described(entry)}"
            )
        name = layer_name(entry) if name is None else name
        place = (*scope.place, name)
        if is_model(entry):
            self.operators[entry["class_name"]] += 1
            return self.model(entry, args, kwargs, Scope(place, scope.prefix, scope.trainable))
        config = entry.get("config")
        config = config if isinstance(config, Mapping) else {}
        layer = Layer(
            operator=operator_of(entry),
            name=name,
            config=config,
            args=args,
            kwargs=kwargs,
            reader=self,
            built=_built(entry),
            place=place,
            prefix=scope.prefix,
            trainable=scope.trainable and config.get("trainable", True) is not False,
        )
        layer.identity = self._identity(layer, entry)
        _check_quantised(layer)
        self.operators[layer.operator] += 1
        return self._run(layer, _reason(entry))

    def inner(
        self, layer: Layer, entry: Any, args: list[Any], kwargs: dict[str, Any], name: str | None
    ) -> Any:
        """Apply a layer that another one holds."""
        outer = self.tracer.name
        scope = Scope(layer.place, f"{layer.prefix}{layer.name}/", layer.trainable)
        result = self.call(entry, args, kwargs, scope, name)
        if result is None:
            raise Missing
        self.tracer.name = outer
        return result

    def _run(self, layer: Layer, reason: str = "") -> Any:
        rule = TABLE.get(layer.operator)
        if rule is None:
            raise Refused(layer.operator, layer.name, reason)
        self.tracer.name = f"{layer.prefix}{layer.name}"
        try:
            return rule(self.tracer, layer)
        except UnsupportedOperatorError as error:
            operator, nodes = next(iter(error.operators.items()), (layer.operator, [layer.name]))
            raise Refused(operator, nodes[0] if nodes else layer.name, str(error)) from error
        except (UnrolledError, Refused, Missing):
            raise
        except UNREADABLE as error:
            if not rule.__module__.startswith("unrolled.importers"):
                raise RuleError(error) from error
            raise InvalidModelError(
                f"{layer}: its configuration cannot be used: {type(error).__name__}: "
                f"{shortened(str(error))}"
            ) from error

    def activation(self, layer: Layer, given: Any, x: Operand) -> Operand:
        """An activation as configurations name it, applied to a tensor."""
        if given is None or given == "linear":
            return x
        if isinstance(given, Mapping) and given.get("class_name") != "function":
            if given.get("class_name") == "__lambda__":
                raise layer.refused("an activation by a lambda is Python code; name a function")
            result: Operand = self.inner(layer, given, [x], {}, None)
            return result
        name = given.get("config") if isinstance(given, Mapping) else given
        if not isinstance(name, str):
            raise InvalidModelError(f"{layer}: no activation: {described(given)}")
        applied = Layer(
            operator=f"activations.{name}",
            name=layer.name,
            config={},
            args=[x],
            kwargs={},
            reader=self,
            place=layer.place,
            prefix=layer.prefix,
        )
        outer = self.tracer.name
        result = self._run(applied)
        self.tracer.name = outer
        return result

    def weight(self, layer: Layer, name: str, shape: Shape, trainable: bool) -> Value:
        """The parameter of a weight, declared when it is first used."""
        key = layer.identity, name
        if key in self._weights:
            weight = self._weights[key]
            if weight.shape != shape:
                raise InvalidModelError(
                    f"{layer}: weight '{name}' has the shape {weight.shape}, and would need "
                    f"{shape} here"
                )
            return weight
        path = f"{layer.prefix}{layer.name}/{name}"
        path, trainable = self.live.checked(layer, name, path, shape, trainable)
        if path in self.parameters:  # Layers of equal names in different models.
            path = "/".join([*layer.place, name])
        values = partial(self.live.values, layer, name, shape)
        declared = self.tracer.parameter(path, shape, trainable=trainable, values=values)
        self._weights[key] = declared
        self.parameters[declared.node.name] = declared.size
        return declared

    def _identity(self, layer: Layer, entry: Config) -> Any:
        """What is equal for the places of one layer."""
        identity = self.live.identity(layer.place)
        if identity is not None:
            return identity
        text = _configuration(entry) if self._find_shared else ""
        return text if text in self._find_shared else layer.place


def _configuration(entry: Config) -> str:
    """What a layer is, as text, without the numbers of shared objects in it."""

    def plain(given: Any) -> Any:
        if isinstance(given, Mapping):
            return {key: plain(one) for key, one in given.items() if key != "shared_object_id"}
        return [plain(one) for one in given] if isinstance(given, (list, tuple)) else given

    return json.dumps(plain([entry.get("class_name"), entry.get("config")]), sort_keys=True)


def _find_shared(given: Any) -> Iterator[str]:
    """Configurations of layers that a file says are one object in several places.

    Not all of the places have its number, but all have the same configuration, name included.
    """
    waiting, seen = [given], set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, Mapping):
            config = one.get("config")
            layer = isinstance(config, Mapping) and "trainable" in config
            if layer and one.get("shared_object_id") is not None:
                yield _configuration(one)
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def operator_of(entry: Config) -> str:
    """The name that rules know a class by."""
    module, name = str(entry.get("module") or "keras"), str(entry["class_name"])
    if module.partition(".")[0] not in KERAS_MODULES:
        # A class of the user's own, even if it has the name of one of Keras.
        return f"{module}>{name}" if name in BUILT_IN else name
    if ".ops." in f".{module}.":
        return f"ops.{name}"
    return name


def _reason(entry: Config) -> str:
    """Why an operator has no rule, where there is more to say than that it has none."""
    known = REASONS.get(operator_of(entry))
    if known is not None:
        return known
    module = str(entry.get("module") or "keras").partition(".")[0]
    if entry.get("registered_name") and module not in KERAS_MODULES:
        return (
            "a class of your own, of which the configuration has no graph; on the backend JAX, "
            "from_jax reads it: give it model.stateless_call"
        )
    return ""


def _built(entry: Config) -> tuple[Any, ...] | None:
    build = entry.get("build_config")
    if not isinstance(build, Mapping):
        return None
    shape = build.get("input_shape")
    if isinstance(shape, (list, tuple)) and all(n is None or isinstance(n, int) for n in shape):
        return tuple(shape)
    return None


def _check_quantised(layer: Layer) -> None:
    policy = layer.config.get("dtype")
    if isinstance(policy, Mapping) and "Quantized" in str(policy.get("class_name")):
        raise layer.refused("a quantised layer; its integer weights are not the trained ones")


def _outputs(result: Any) -> list[Operand | None]:
    """All tensors that a layer returned, in the order in which Keras numbers them."""
    if isinstance(result, (Value, Constant)) or result is None:
        return [result]
    if isinstance(result, (list, tuple)):
        return [one for part in result for one in _outputs(part)]
    if isinstance(result, Mapping):
        return [one for key in sorted(result, key=str) for one in _outputs(result[key])]
    raise InvalidModelError(f"a rule must return operands, got {described(result)}")


def _match(given: Any, names: list[str]) -> list[Operand]:
    """The operands a model is called with, in the order of its inputs."""
    if isinstance(given, Mapping) and all(name in given for name in names):
        return [given[name] for name in names]
    operands = list(flattened(given))
    if len(operands) != len(names):
        raise InvalidModelError(
            f"a model with {len(names)} inputs is called with {len(operands)} tensors"
        )
    return operands
