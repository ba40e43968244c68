"""Rules for operations of `keras.ops` that move elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from unrolled.errors import InvalidModelError
from unrolled.importers.keras.layer import TABLE, Layer, flattened
from unrolled.importers.tracing.tracer import Tracer
from unrolled.importers.tracing.values import (
    Constant,
    Operand,
    Value,
    checked_axes,
    checked_axis,
    size_of,
)

__all__: list[str] = []

rule = TABLE.rule


@rule("ops.Reshape", "ops.View")
def _reshape(tracer: Tracer, layer: Layer) -> Operand:
    x = layer.x
    given = layer.argument(1, "newshape")
    shape = [given] if isinstance(given, int) else list(given)
    if None in shape:  # The batch axis, as shapes of Keras tensors have it.
        shape = [x.shape[0] if n is None and at == 0 else n for at, n in enumerate(shape)]
        shape = [-1 if n is None else n for n in shape]
    known = int(np.prod([n for n in shape if n != -1], dtype=object))
    if shape.count(-1) == 1 and known > 0:
        shape[shape.index(-1)] = x.size // known
    return tracer.reshape(x, shape)


@rule("ops.Ravel")
def _ravel(tracer: Tracer, layer: Layer) -> Operand:
    return tracer.reshape(layer.x, (layer.x.size,))


@rule("ops.Transpose")
def _transpose(tracer: Tracer, layer: Layer) -> Operand:
    axes = layer.argument(1, "axes")
    return tracer.transpose(layer.x, range(layer.x.rank)[::-1] if axes is None else axes)


@rule("ops.Swapaxes")
def _swapaxes(tracer: Tracer, layer: Layer) -> Operand:
    order = list(range(layer.x.rank))
    a, b = layer.config["axis1"], layer.config["axis2"]
    order[a], order[b] = order[b], order[a]
    return tracer.transpose(layer.x, order)


@rule("ops.Moveaxis")
def _moveaxis(tracer: Tracer, layer: Layer) -> Operand:
    rank = layer.x.rank
    source, destination = [
        checked_axes(str(layer), [given] if isinstance(given, int) else given, rank)
        for given in (layer.config["source"], layer.config["destination"])
    ]
    order = [axis for axis in range(rank) if axis not in source]
    for to, axis in sorted(zip(destination, source, strict=True)):
        order.insert(to, axis)
    return tracer.transpose(layer.x, order)


@rule("ops.ExpandDims")
def _expand_dims(tracer: Tracer, layer: Layer) -> Operand:
    axis = layer.argument(1, "axis")
    return tracer.unsqueeze(layer.x, [axis] if isinstance(axis, int) else axis)


@rule("ops.Squeeze")
def _squeeze(tracer: Tracer, layer: Layer) -> Operand:
    x, axis = layer.x, layer.argument(1, "axis")
    if axis is None:
        axis = [at for at, n in enumerate(x.shape) if n == 1 and at > 0]
    return tracer.squeeze(x, [axis] if isinstance(axis, int) else axis)


@rule("ops.BroadcastTo")
def _broadcast_to(tracer: Tracer, layer: Layer) -> Operand:
    shape = [1 if n is None else n for n in layer.config["shape"]]
    return tracer.expand(layer.x, shape)


@rule("ops.Concatenate")
def _concatenate(tracer: Tracer, layer: Layer) -> Operand:
    return tracer.concat(layer.inputs, layer.argument(1, "axis", 0))


@rule("ops.Hstack", "ops.Vstack")
def _stacked(tracer: Tracer, layer: Layer) -> Operand:
    axis = 0 if layer.operator == "ops.Vstack" or layer.inputs[0].rank == 1 else 1
    return tracer.concat(layer.inputs, axis)


@rule("ops.Stack")
def _stack(tracer: Tracer, layer: Layer) -> Operand:
    inputs = layer.inputs
    axis = checked_axis(str(layer), layer.argument(1, "axis", 0), inputs[0].rank + 1)
    return tracer.concat([tracer.unsqueeze(x, (axis,)) for x in inputs], axis)


@rule("ops.Split", "ops.ArraySplit")
def _split(tracer: Tracer, layer: Layer) -> list[Operand]:
    x = layer.x
    axis = checked_axis(str(layer), layer.argument(2, "axis", 0), x.rank)
    given = layer.argument(1, "indices_or_sections")
    layer.followed(x.shape[axis] + (given if isinstance(given, int) else 0))
    parts = np.array_split(np.arange(x.shape[axis]), given)
    if isinstance(given, int) and layer.operator == "ops.Split" and x.shape[axis] % given:
        raise InvalidModelError(f"{layer}: {x.shape[axis]} positions do not make {given} parts")
    return tracer.split(x, axis, [len(part) for part in parts])


@rule("ops.Unstack")
def _unstack(tracer: Tracer, layer: Layer) -> list[Operand]:
    x = layer.x
    axis = checked_axis(str(layer), layer.config.get("axis", 0), x.rank)
    layer.followed(x.shape[axis])
    parts = tracer.split(x, axis, [1] * x.shape[axis])
    return [tracer.squeeze(part, (axis,)) for part in parts]


@rule("ops.Slice")
def _slice(tracer: Tracer, layer: Layer) -> Operand:
    x, starts = layer.x, layer.argument(1, "start_indices")
    if any(isinstance(one, Value) for one in flattened(starts)):
        raise layer.refused("a start that is known only at run time")
    starts = starts.integers(str(layer)) if isinstance(starts, Constant) else starts
    for axis, (start, length) in enumerate(zip(starts, layer.config["shape"], strict=True)):
        x = tracer.slice(x, axis, start, x.shape[axis] - start if length == -1 else length)
    return x


@rule("ops.Pad")
def _pad(tracer: Tracer, layer: Layer) -> Operand:
    x = layer.x
    given = layer.argument(1, "pad_width")
    sides = np.broadcast_to(np.asarray(given), (x.rank, 2)).tolist()
    mode = str(layer.argument(2, "mode", "constant"))
    if mode == "constant":
        return tracer.pad(x, [(before, after) for before, after in sides])
    layer.followed(size_of([n + sum(side) for n, side in zip(x.shape, sides, strict=True)]))
    return tracer.rearrange([x], lambda array: np.pad(array, sides, mode=mode))  # type: ignore[call-overload]


@rule("ops.Flip")
def _flip(tracer: Tracer, layer: Layer) -> Operand:
    axis = layer.config.get("axis")
    axis = tuple(axis) if isinstance(axis, list) else axis
    return tracer.rearrange([layer.x], lambda array: np.flip(array, axis))


@rule("ops.Roll")
def _roll(tracer: Tracer, layer: Layer) -> Operand:
    shift, axis = layer.argument(1, "shift"), layer.argument(2, "axis")
    return tracer.rearrange([layer.x], lambda array: np.roll(array, shift, axis))


@rule("ops.Tile")
def _tile(tracer: Tracer, layer: Layer) -> Operand:
    repeats = layer.argument(1, "repeats")
    layer.followed(layer.x.size * size_of([repeats] if isinstance(repeats, int) else repeats))
    return tracer.rearrange([layer.x], lambda array: np.tile(array, repeats))


@rule("ops.Repeat")
def _repeat(tracer: Tracer, layer: Layer) -> Operand:
    repeats, axis = layer.argument(1, "repeats"), layer.argument(2, "axis")
    total = sum([repeats] if isinstance(repeats, int) else repeats)
    layer.followed(total * (layer.x.size if axis is None else layer.x.shape[axis]))
    if axis is None:
        return tracer.rearrange([layer.x], lambda array: np.repeat(array, repeats))
    at = np.repeat(np.arange(layer.x.shape[axis]), repeats)
    return tracer.take(layer.x, axis, at)


@rule("ops.Tril", "ops.Triu")
def _triangle(tracer: Tracer, layer: Layer) -> Operand:
    cut = np.tril if layer.operator == "ops.Tril" else np.triu
    return tracer.rearrange([layer.x], lambda array: cut(array, layer.config.get("k", 0)))


@rule("ops.Diagonal")
def _diagonal(tracer: Tracer, layer: Layer) -> Operand:
    offset, first, second = [
        layer.config.get(key, default)
        for key, default in (("offset", 0), ("axis1", 0), ("axis2", 1))
    ]
    return tracer.rearrange([layer.x], lambda array: np.diagonal(array, offset, first, second))


@rule("ops.Take")
def _take(tracer: Tracer, layer: Layer) -> Operand:
    x, indices, axis = layer.x, layer.argument(1, "indices"), layer.argument(2, "axis")
    if axis is None:
        x, axis = tracer.reshape(x, (x.size,)), 0
    if isinstance(indices, Value):
        return tracer.embedding(x, indices, axis)
    array = indices.array if isinstance(indices, Constant) else np.asarray(indices)
    if array is None:
        raise layer.refused("the indices are not known")
    return tracer.take(x, axis, array)


@rule("ops.TakeAlongAxis")
def _take_along_axis(tracer: Tracer, layer: Layer) -> Operand:
    x, indices = layer.x, layer.argument(1, "indices")
    axis = layer.argument(2, "axis", layer.config.get("axis", -1))
    if not isinstance(indices, Value):
        array = indices.array if isinstance(indices, Constant) else np.asarray(indices)
        if array is None:
            raise layer.refused("the indices are not known")
        return tracer.rearrange([x], lambda a: np.take_along_axis(a, array, axis))
    if axis is None:
        x, axis = tracer.reshape(x, (x.size,)), 0
    return tracer.take_along(x, indices, axis)


@rule("ops.ScatterUpdate", "ops.Scatter")
def _scatter(tracer: Tracer, layer: Layer) -> Operand:
    if layer.operator == "ops.Scatter":
        given = [layer.argument(0, "indices"), layer.argument(1, "values")]
        shape = layer.argument(2, "shape", layer.config.get("shape"))
        target: Operand = Constant(tuple(shape), np.zeros(tuple(shape)))
    else:
        given = [layer.argument(1, "indices"), layer.argument(2, "updates")]
        target = layer.x
    indices, updates = (
        one if isinstance(one, (Value, Constant)) else Constant.of(np.asarray(one)) for one in given
    )
    depth = indices.shape[-1]
    last = indices.rank - 1
    numbers = [
        tracer.reshape(tracer.slice(indices, last, at, 1), indices.shape[:-1])
        for at in range(depth)
    ]
    if isinstance(indices, Value):
        return tracer.put_at(target, range(depth), numbers, updates)
    array = indices.array
    if array is None:
        raise layer.refused("the indices are not known")
    places = tuple([array[..., at] for at in range(depth)])
    if layer.operator == "ops.Scatter" or layer.config.get("reduction") is not None:
        return tracer.put_at(target, range(depth), numbers, updates)

    def run(old: Any, new: Any) -> Any:
        old = old.copy()
        old[places] = new
        return old

    return tracer.rearrange([target, updates], run)


@rule("ops.Sort", "ops.Argsort")
def _sort(tracer: Tracer, layer: Layer) -> Operand:
    x, axis = layer.x, layer.argument(1, "axis", layer.config.get("axis", -1))
    if axis is None:
        x, axis = tracer.reshape(x, (x.size,)), 0
    y = tracer.reorder(x, axis)
    return tracer.pointwise(y) if layer.operator == "ops.Argsort" else y


@rule("ops.TopK")
def _top_k(tracer: Tracer, layer: Layer) -> list[Operand]:
    y = tracer.reorder(layer.x, -1, layer.integer("k"))
    return [y, tracer.pointwise(y)]


@rule("ops.DepthToSpace", "ops.SpaceToDepth")
def _blocks(tracer: Tracer, layer: Layer) -> Operand:
    x, block = layer.x, layer.integer("block_size")
    if layer.channels_first:
        x = tracer.transpose(x, (0, 2, 3, 1))
    b, h, w, c = x.shape
    if layer.operator == "ops.DepthToSpace":
        y = tracer.reshape(x, (b, h, w, block, block, c // block**2))
        y = tracer.transpose(y, (0, 1, 3, 2, 4, 5))
        y = tracer.reshape(y, (b, h * block, w * block, c // block**2))
    else:
        y = tracer.reshape(x, (b, h // block, block, w // block, block, c))
        y = tracer.transpose(y, (0, 1, 3, 2, 4, 5))
        y = tracer.reshape(y, (b, h // block, w // block, c * block**2))
    return tracer.transpose(y, (0, 3, 1, 2)) if layer.channels_first else y


@rule("ops.GetItem")
def _get_item(tracer: Tracer, layer: Layer) -> Operand:
    x, key = layer.args[0], layer.argument(1, "key")
    parts = list(key) if isinstance(key, (list, tuple)) else [key]
    if any(isinstance(one, Value) for one in flattened(parts)) or any(
        isinstance(part, slice) and any(isinstance(n, Value) for n in (part.start, part.stop))
        for part in parts
    ):
        if len(parts) == 1 and isinstance(parts[0], Value):
            return tracer.embedding(x, parts[0])
        raise layer.refused("an index that is known only at run time, together with others")
    if all(part is None or part is Ellipsis or isinstance(part, (int, slice)) for part in parts):
        return _slice_axes(tracer, layer, x, parts)
    index: tuple[Any, ...] = tuple(
        [
            np.asarray(p.array if isinstance(p, Constant) else p)
            if isinstance(p, (Constant, list))
            else p
            for p in parts
        ]
    )
    return tracer.rearrange([x], lambda array: array[index])


def _slice_axes(tracer: Tracer, layer: Layer, x: Operand, parts: Sequence[Any]) -> Operand:
    """Indices and slices, one axis after the other."""
    used = len([part for part in parts if part is not None and part is not Ellipsis])
    if used > x.rank:
        raise InvalidModelError(f"{layer}: {used} indices for shape {x.shape}")
    whole = [slice(None)] * (x.rank - used)
    at = next((at for at, part in enumerate(parts) if part is Ellipsis), None)
    parts = [*parts, *whole] if at is None else [*parts[:at], *whole, *parts[at + 1 :]]
    axis = 0
    for part in parts:
        if part is None:
            x = tracer.unsqueeze(x, (axis,))
        elif isinstance(part, slice):
            places = range(x.shape[axis])[part]
            x = tracer.slice(x, axis, places.start, len(places), places.step)
        else:
            place = range(x.shape[axis])[part]
            x = tracer.squeeze(tracer.slice(x, axis, place, 1), (axis,))
            continue
        axis += 1
    return x
