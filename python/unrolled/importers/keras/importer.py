"""Keras 3 models and files, read from their configuration: files need no Keras.

A `.keras` file, and what `model.to_json()` returns, hold the whole graph with hyper-parameters and
shapes, and so does a model that is there as an object. Rules for layers of your own go by the name
of the class:

>>> from unrolled.importers import keras
>>> @keras.rule("Doubling")
... def doubling(tracer, layer):
...     return tracer.pointwise(layer.x)
>>> "Doubling" in keras.operators() and "Dense" in keras.operators()
True

A rule takes a `Tracer` and the layer: `layer.x` and `layer.inputs` are its operands,
`layer.config` is what `get_config()` returned, ``layer.weight("kernel", shape)`` a weight of it,
``layer.activation(y)`` its activation. Operations of `keras.ops` go by names such as "ops.Add",
activations by names such as "activations.relu".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from unrolled._support.arguments import checked_choice
from unrolled._support.hints import shortened
from unrolled.errors import InvalidModelError, UnrolledError
from unrolled.importers.door import Door, reading
from unrolled.importers.keras import (  # noqa: F401 - these fill the table
    attention,
    legacy,
    movement,
    norms,
    recurrent,
    rules,
    windows,
)
from unrolled.importers.keras import operations as operation_rules  # noqa: F401 - it does, too
from unrolled.importers.keras.config import Source, is_functional, named_source, read
from unrolled.importers.keras.graph import endpoints
from unrolled.importers.keras.inputs import FROM_KERAS, input_shapes
from unrolled.importers.keras.layer import BUILT_IN, TABLE, Layer, flattened
from unrolled.importers.keras.live import LiveWeights
from unrolled.importers.keras.reader import UNREADABLE, Reader, RuleError, Scope
from unrolled.importers.tracing.tracer import Tracer
from unrolled.network.network import Network
from unrolled.network.provenance import Provenance

if TYPE_CHECKING:
    from unrolled.importers.tracing.values import Operand, Shape
    from unrolled.network.builder import Semantics

__all__ = ["Layer", "from_keras", "operators", "read_keras", "rule"]

BUILT_IN.update(TABLE)

rule = TABLE.rule


def operators() -> list[str]:
    """The layers, operations and activations that have a rule, in order.

    Examples
    --------
    >>> from unrolled.importers import keras
    >>> [name for name in keras.operators() if name.startswith("Conv1D")]
    ['Conv1D', 'Conv1DTranspose']
    """
    return list(TABLE)


def from_keras(
    model: Any,
    input_shape: tuple[int, ...] | Mapping[str, tuple[int, ...]] | None = None,
    *,
    name: str | None = None,
    semantics: Semantics = "value",
    operations: bool = False,
) -> Network:
    """Read a Keras model: an object, a file, or its configuration.

    Parameters
    ----------
    model : Keras model, path, str or dict
        A functional or sequential model of any backend, the path of a `.keras`, `.json` or `.h5`
        file (which needs h5py), or what `model.to_json()` or `model.get_config()` returns. Only for
        a model that is an object does Keras have to be installed.
    input_shape : tuple of int, or dict of str to tuple of int, optional
        Shape of the input, or shapes by the names of inputs, with the batch axis or without it. It
        fixes lengths that are not known, and overrides those that are, where weights allow it.
        Where the model does not say how many axes an input has, give its shape without.
    name : str, optional
        Of the network; the model's own by default.
    semantics : {"value", "dependency"}
        Whether normalisers (layer norm, softmax, ...) are transparent, or connect every element
        with its whole group.
    operations : bool
        Keep functions of single elements and normalisers as tensors of their own, as `propagate`
        needs them. Counts are the same, lengths are not.

    Returns
    -------
    Network
        Its `provenance` tells what was read and how. A batch axis of unknown length is 1.
        Parameters have the paths that Keras gives its variables, such as "stem/kernel". A layer
        used in several places, or over time, has one parameter for each weight. Frozen layers,
        statistics of batch norm, and the mean and variance of a `Normalization` layer that are
        not fixed in its configuration, are parameters that are not trainable.

    Raises
    ------
    InvalidArgumentError
        No model, no such file, or an `input_shape` that does not fit.
    InvalidModelError
        A damaged file, a subclassed model, shapes that are not known or do not fit.
    UnsupportedOperatorError
        Layers without a rule; all of them are named.

    Notes
    -----
    Layers are read as they work at inference, so dropout and augmentation do nothing. A causal mask
    (``use_causal_mask=True``) and masks that are constant take edges away; masks known only at run
    time do not.

    Examples
    --------
    >>> import unrolled.importers.keras
    >>> dense = {"class_name": "Dense", "config": {"name": "dense", "units": 3}}
    >>> config = {"name": "tiny", "layers": [dense]}
    >>> net = unrolled.importers.keras.from_keras(
    ...     {"class_name": "Sequential", "config": config}, input_shape=(4,)
    ... )
    >>> net
    Network('tiny', 15 parameters, 4 inputs, 3 outputs)
    >>> [parameter.name for parameter in net.parameters]
    ['tiny/dense/kernel', 'tiny/dense/bias']
    """
    checked_choice("semantics", semantics, ("value", "dependency"))
    return read_keras(
        model,
        input_shape,
        name=name,
        semantics=semantics,
        operations=operations,
        door=FROM_KERAS,
    )


def read_keras(
    model: Any,
    input_shape: Any = None,
    *,
    name: str | None = None,
    semantics: Semantics = "value",
    operations: bool = False,
    door: Door,
) -> Network:
    """The same as `from_keras`, for a model that came through another door."""
    with reading(named_source(model)):
        source = read(model)
        try:
            network = Network(source.model_name if name is None else name, semantics=semantics)
            return _built(source, input_shape, network, operations, door)
        except RuleError as error:
            raise error.error from None
        except (UnrolledError, MemoryError, RecursionError):
            raise
        except UNREADABLE as error:
            raise InvalidModelError(
                f"a damaged configuration: {type(error).__name__}: {shortened(str(error))}"
            ) from error


def _built(
    source: Source, input_shape: Any, network: Network, operations: bool, door: Door
) -> Network:
    names = _input_names(source)
    shapes = input_shapes(source, input_shape, names, door)
    tracer = Tracer(network, operations=operations)
    live = LiveWeights(source.live, door)
    reader = Reader(tracer, source.entry, live, door)
    inputs = {one: tracer.input(one, shape) for one, shape in shapes.items()}
    outputs = reader.model(source.entry, [inputs], {}, Scope())
    reader.unsupported.check(source.name)
    tracer.name = "output"
    marked: dict[Any, int] = {}
    for number, (key, output) in enumerate(_with_keys(source.entry, list(flattened(outputs)))):
        first = marked.setdefault(key, number)
        if first == number:
            tracer.output(output)
        else:
            reader.skipped[f"output {number}"] = f"the same as output {first}, which is one output"
    _note(source, network, reader, shapes)
    return network


def _input_names(source: Source) -> list[str]:
    """The names of the inputs, in order."""
    entry = source.entry
    config = entry["config"]
    if is_functional(entry):
        return [reference.layer for reference in endpoints(config["input_layers"])]
    layers = config if isinstance(config, list) else config["layers"]
    for layer in layers:
        if isinstance(layer, Mapping) and layer.get("class_name") == "InputLayer":
            return [str((layer.get("config") or {}).get("name", "input"))]
    return ["input"]


def _with_keys(entry: Mapping[str, Any], outputs: list[Operand]) -> list[tuple[Any, Operand]]:
    """Outputs with what is equal for one that is listed twice."""
    keys: list[Any] = list(range(len(outputs)))
    if is_functional(entry):
        listed = endpoints(entry["config"]["output_layers"])
        keys = listed if len(listed) == len(outputs) else keys
    return list(zip(keys, outputs, strict=True))


def _note(source: Source, network: Network, reader: Reader, shapes: Mapping[str, Shape]) -> None:
    skipped = reader.tracer.notes | reader.skipped
    for path, reason in reader.live.unused():
        skipped.setdefault(path, reason)
    provenance = Provenance(
        source=source.name,
        framework="keras",
        version=source.version or "of unknown version",
        semantics=network.semantics,
        input_shapes=dict(shapes),
        operators=dict(sorted(reader.operators.items())),
        parameters=dict(reader.parameters),
        skipped=skipped,
        operations=reader.tracer.operations,
    )
    network.record_provenance(provenance)
