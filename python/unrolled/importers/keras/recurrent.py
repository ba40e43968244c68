"""Rules for the recurrent layers of Keras, unrolled over time with tied weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from unrolled.errors import InvalidModelError
from unrolled.importers.keras.layer import TABLE, Layer, flattened
from unrolled.importers.keras.rules import POINTWISE, activation_function
from unrolled.importers.keras.windows import convolved, spatial_axes, windows_of
from unrolled.importers.tracing.functions import ElementFunction
from unrolled.importers.tracing.tracer import Tracer
from unrolled.importers.tracing.values import Constant, Operand

__all__: list[str] = []

rule = TABLE.rule

CELLS = {"LSTM": "lstm_cell", "GRU": "gru_cell", "SimpleRNN": "simple_rnn_cell"}
"""What Keras calls the cells that hold the weights of these layers."""


def _cell(layer: Layer, config: Mapping[str, Any], name: str) -> Layer:
    """The cell of a layer, as the owner of its weights."""
    cell = replace(layer, config=config, name=name, place=(*layer.place, name))
    cell.prefix = f"{layer.prefix}{layer.name}/"
    cell.trainable = layer.trainable and config.get("trainable", True) is not False
    cell.identity = (layer.identity, name)
    return cell


def _states(layer: Layer) -> list[Operand]:
    """Initial states given with the call; the first argument may be a list that ends with them."""
    given = layer.argument(1, "initial_state")
    if given is None and layer.args and isinstance(layer.args[0], list):
        given = layer.args[0][1:]
    return list(flattened(given))


def _run(
    layer: Layer, cell: Layer, kind: str, x: Operand, states: list[Operand], reverse: bool
) -> tuple[Operand, list[Operand]]:
    """States of all steps, in the order of the steps, and the last states, for batch-first x."""
    tracer = layer.tracer
    if x.rank != 3:
        raise InvalidModelError(f"{layer}: expects three axes, got shape {x.shape}")
    layer.steps(x)
    _check_activations(cell)
    units = cell.integer("units")
    (inputs,) = cell.lengths(x, (-1,))
    gates = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1}[kind] * units
    weights = [
        tracer.transpose(cell.weight("kernel", (inputs, gates)), (1, 0)),
        tracer.transpose(cell.weight("recurrent_kernel", (units, gates)), (1, 0)),
    ]
    recurrent_bias: Operand | None = None
    after = kind == "GRU" and bool(cell.config.get("reset_after", True))
    if layer.operator.startswith("CuDNN"):  # Two biases, one behind the other.
        halves = tracer.split(cell.weight("bias", (2 * gates,)), 0, [gates, gates])
        weights += halves[:1]
        if kind == "GRU":
            after, recurrent_bias = True, halves[1]
        else:
            weights.append(halves[1])
    elif cell.config.get("use_bias", True) and after:
        rows = tracer.split(cell.weight("bias", (2, gates)), 0, [1, 1])
        bias, recurrent_bias = [tracer.reshape(row, (gates,)) for row in rows]
        weights.append(bias)
    elif cell.config.get("use_bias", True):
        weights.append(cell.weight("bias", (gates,)))
    time = tracer.transpose(x, (1, 0, 2))
    given = [tracer.unsqueeze(state, (0,)) for state in states]
    first = given[0] if given else None
    of_new = _activation(cell, "activation", "tanh")
    of_gates = _activation(cell, "recurrent_activation", "sigmoid")
    if kind == "LSTM":
        carry = given[1] if len(given) > 1 else None
        functions = (of_gates, of_new, of_new)
        steps, *last = tracer.lstm(
            time, weights, first, carry, order="ifco", reverse=reverse, functions=functions
        )
    elif kind == "GRU":
        steps, *last = tracer.gru(
            time,
            weights,
            first,
            recurrent_bias=recurrent_bias,
            reset_after=after,
            reverse=reverse,
            functions=(of_gates, of_new),
        )
    else:
        steps, *last = tracer.rnn(time, weights, first, reverse=reverse, function=of_new)
    return tracer.transpose(steps, (1, 0, 2)), [tracer.squeeze(state, (0,)) for state in last]


def _check_activations(cell: Layer) -> None:
    """Steps are functions of single units; others are a group in dependency semantics."""
    for key in ("activation", "recurrent_activation"):
        given = cell.config.get(key)
        if given is not None and given not in POINTWISE:
            raise cell.refused(f"{key} {given!r} in a recurrent layer cannot be read")


def _activation(cell: Layer, key: str, default: str) -> ElementFunction | None:
    """The function that a configuration names; None without an activation is the identity."""
    name = cell.config.get(key, default)
    return activation_function("linear" if name is None else str(name), {})


def _select_returned(
    layer: Layer, steps: Operand, last: Operand, states: list[Operand], reverse: bool
) -> Any:
    """What the configuration asks for; Keras gives steps in the order they are worked out."""
    result = last
    if layer.config.get("return_sequences"):
        result = (
            layer.tracer.slice(steps, 1, steps.shape[1] - 1, steps.shape[1], -1)
            if (reverse and steps.shape[1] > 1)
            else steps
        )
    return [result, *states] if layer.config.get("return_state") else result


@rule("LSTM", "GRU", "SimpleRNN", "CuDNNLSTM", "CuDNNGRU")
def _recurrent(tracer: Tracer, layer: Layer) -> Any:
    kind = layer.operator
    reverse = bool(layer.config.get("go_backwards"))
    if kind.startswith("CuDNN"):
        kind = kind.removeprefix("CuDNN")
        steps, states = _run(layer, layer, kind, layer.x, _states(layer), reverse)
        return _select_returned(layer, steps, states[0], states, reverse)
    cell = _cell(layer, layer.config, CELLS[kind])
    cell.trainable = layer.trainable
    steps, states = _run(layer, cell, kind, layer.x, _states(layer), reverse)
    return _select_returned(layer, steps, states[0], states, reverse)


@rule("RNN")
def _cells(tracer: Tracer, layer: Layer) -> Any:
    """A layer of one of the cells of Keras, or of several one above the other."""
    entry = layer.config["cell"]
    holder, entries = layer, [entry]
    if entry.get("class_name") == "StackedRNNCells":
        holder = _cell(layer, entry["config"], entry["config"]["name"])
        entries = entry["config"]["cells"]
    reverse = bool(layer.config.get("go_backwards"))
    given = _states(layer)
    x, last = layer.x, []
    for number, one in enumerate(entries):
        kind = str(one.get("class_name"))
        if kind.removesuffix("Cell") not in CELLS or not kind.endswith("Cell"):
            raise layer.refused(f"a cell of class {kind} cannot be read")
        kind = kind.removesuffix("Cell")
        cell = _cell(holder, one["config"], one["config"]["name"])
        cell.identity = (holder.identity, number)
        cell.built = None
        number_of_states = 2 if kind == "LSTM" else 1
        states, given = given[:number_of_states], given[number_of_states:]
        x, states = _run(layer, cell, kind, x, states, reverse)
        last.append(states)
    flat = [state for states in last for state in states]
    return _select_returned(layer, x, last[-1][0], flat, reverse)


@rule("Bidirectional")
def _bidirectional(tracer: Tracer, layer: Layer) -> Any:
    forward = layer.config["layer"]
    backward = layer.config.get("backward_layer")
    name = forward["config"]["name"].removeprefix("forward_")
    if backward is None:
        turned = {**forward["config"], "go_backwards": True}
        backward = {**forward, "config": {**turned, "name": f"backward_{name}"}}
    states = _states(layer)
    half = len(states) // 2
    x = layer.x
    parts, others = [], []
    names = [f"forward_{name}", backward["config"]["name"]]
    for entry, given, own in zip(
        (forward, backward), (states[:half], states[half:]), names, strict=True
    ):
        result = layer.inner(entry, x, name=own, initial_state=given or None)
        result, *rest = result if isinstance(result, list) else [result]
        parts.append(result)
        others += rest
    if forward["config"].get("return_sequences") and parts[1].shape[1] > 1:
        length = parts[1].shape[1]
        parts[1] = tracer.slice(parts[1], 1, length - 1, length, -1)
    mode = layer.config.get("merge_mode", "concat")
    if mode is None:
        return [*parts, *others]
    if mode == "concat":
        merged = tracer.concat(parts, -1)
    elif mode in ("sum", "ave"):
        merged = tracer.add(*parts)
    elif mode == "mul":
        merged = tracer.multiply(*parts)
    else:
        raise InvalidModelError(f"{layer}: unknown merge_mode {mode!r}")
    return [merged, *others] if others else merged


@rule("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
def _convolutional(tracer: Tracer, layer: Layer) -> Any:
    x = layer.x
    reverse = bool(layer.config.get("go_backwards"))
    cell = _cell(layer, layer.config, "conv_lstm_cell")
    cell.trainable = layer.trainable
    _check_activations(cell)
    length = layer.steps(x)
    order = range(length - 1, -1, -1) if reverse else range(length)
    states = _states(layer)
    hidden, carry = states if len(states) == 2 else (None, None)
    steps: list[Operand] = []
    for step in order:
        now = tracer.squeeze(tracer.slice(x, 1, step, 1), (1,))
        hidden, carry = _convolutional_step(cell, now, hidden, carry)
        steps.append(tracer.unsqueeze(hidden, (1,)))
    assert hidden is not None
    assert carry is not None
    result: Operand = hidden
    if layer.config.get("return_sequences"):
        result = tracer.concat(steps, 1)
    return [result, hidden, carry] if layer.config.get("return_state") else result


def _convolutional_step(
    cell: Layer, x: Operand, hidden: Operand | None, carry: Operand | None
) -> tuple[Operand, Operand]:
    """New states from an input and the states before; those that are zero have no edge."""
    tracer = cell.tracer
    rank = int(cell.operator[-2])
    at, positions = spatial_axes(cell, x, rank)
    sizes, filters = cell.integers("kernel_size", rank), cell.integer("filters")
    windows = windows_of(
        cell,
        [x.shape[axis] for axis in positions],
        sizes,
        cell.integers("strides", rank),
        cell.integers("dilation_rate", rank),
    )
    kernel = cell.weight("kernel", (*sizes, x.shape[at], 4 * filters))
    recurrent = cell.weight("recurrent_kernel", (*sizes, filters, 4 * filters))
    gates = convolved(cell, x, kernel, windows)
    if cell.config.get("use_bias", True):
        gates = tracer.affine(gates, (at,), cell.weight("bias", (4 * filters,)))
    if hidden is not None and not isinstance(hidden, Constant):
        lengths = [hidden.shape[axis] for axis in positions]
        same = windows_of(cell, lengths, sizes, [1] * rank, padding="same")
        gates = tracer.add(gates, convolved(cell, hidden, recurrent, same))
    i, f, c, o = tracer.split(gates, at, [filters] * 4)
    new = tracer.combine(*([f, carry] if carry is not None else []), i, c)
    return tracer.combine(o, new), new
