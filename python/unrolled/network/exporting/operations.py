"""Which nodes of ONNX compute a tensor from those that are linked to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from unrolled._core import Relation
from unrolled.network.builder import Link, LinkRole
from unrolled.network.exporting.attention import write_masked_attention
from unrolled.network.exporting.computation import Computation, NotWrittenError
from unrolled.network.exporting.functions import write_function
from unrolled.network.exporting.graph import GraphWriter
from unrolled.network.exporting.reading import is_shift, write_read
from unrolled.network.exporting.values import ParameterUse

__all__ = ["use_of_kernel", "write_tensor"]


class Geometry(NamedTuple):
    """A window over the spatial axes, by the names of the attributes of ONNX."""

    kernel_shape: list[int]
    strides: list[int]
    dilations: list[int]
    pads: list[int]


def write_tensor(graph: GraphWriter, what: Computation) -> None:
    """Write the nodes that compute a tensor; the last one has its name.

    Raises
    ------
    NotWrittenError
        There is no such node, or a link reads in a way that the node cannot.
    """
    kind = what.operation.kind
    if kind == "other" and what.operation.function in ("divide", "masked_attention"):
        kind = what.operation.function
    if kind not in WRITERS:
        raise NotWrittenError(
            "it is not said how it is computed"
            if what.operation.function is None
            else f"there is no rule for the function '{what.operation.function}'"
        )
    if not what.links:
        raise NotWrittenError("nothing is linked to it")
    others = {link.role for link in what.links} - ROLES.get(kind, {"data"})
    if others:
        raise NotWrittenError(f"its node takes no {' and no '.join(sorted(others))}")
    WRITERS[kind](graph, what)


def use_of_kernel(kernel: Link) -> ParameterUse:
    """Between how many elements a kernel lies, by the axes that it sums over."""
    shape = kernel.source.shape
    summed = {axis for one in kernel.relations if one.kind == "each" for axis in one.source_axes}
    taps = {
        axis
        for one in kernel.relations
        if one.kind in ("taps", "transposed_taps", "all")
        for axis in one.source_axes
    }
    window = prod(shape[axis] for axis in taps)
    inputs = prod(shape[axis] for axis in summed)
    outputs = prod(
        length for axis, length in enumerate(shape) if axis not in summed and axis not in taps
    )
    groups = [one.arguments["groups"] for one in kernel.relations if one.kind == "blocks"]
    if groups:  # Of a transposed convolution, whose first axis are all input channels.
        inputs, outputs = shape[0] // groups[0], shape[1]
    return ParameterUse("kernel", max(1, inputs * window), max(1, outputs * window))


def _read(graph: GraphWriter, link: Link, *, is_expanded: bool = False) -> str:
    name = write_read(graph, link, is_expanded=is_expanded)
    if name is None:
        kinds = ", ".join(sorted({one.kind for one in link.relations}))
        raise NotWrittenError(
            f"it reads '{link.source.name}' by the relations {kinds}, which no node here has"
        )
    return name


def _check(link: Link, *expected: Relation) -> None:
    """Refuse a link that is not the product of these relations, in whatever order.

    All elements for all is the same as each, repeated along an axis of its own.
    """
    left = list(link.relations)
    for one in expected:
        same = [one]
        if one.kind == "all" and one not in left:
            same = [Relation.each(one.source_axes[0]), Relation.sum(one.target_axes[0])]
        if not all(part in left for part in same):
            break
        for part in same:
            left.remove(part)
    else:
        if not left:
            return
    kinds = ", ".join(one.kind for one in link.relations)
    raise NotWrittenError(
        f"it reads '{link.source.name}' by the relations {kinds} otherwise than its node does"
    )


def _check_spread(link: Link, axes: Sequence[int]) -> None:
    """Refuse anything but a parameter with these axes of the target, the same along all others."""
    rank = len(link.target.shape)
    others = [Relation.sum(axis) for axis in range(rank) if axis not in axes]
    _check(link, *others, *[Relation.same(at, axis) for at, axis in enumerate(axes)])


def _check_in_place(link: Link, joined: Sequence[int] = ()) -> None:
    """Refuse anything but a source of the same shape, whose elements may be joined on some axes.

    Under the semantics "dependency" a normaliser joins all elements that it normalises together.
    """
    at = _by_target(link)
    for axis in range(len(link.target.shape)):
        relation = at.get(axis)
        kinds = ("same", "all", "blocks") if axis in joined else ("same",)
        if relation is None or relation.source_axes != [axis] or relation.kind not in kinds:
            raise NotWrittenError(
                f"it reads '{link.source.name}' along axis {axis} otherwise than its node does"
            )
    if link.source.shape != link.target.shape:
        raise NotWrittenError(f"it has another shape than '{link.source.name}'")


def _by_target(link: Link) -> dict[int, Relation]:
    """The relations of a link by their axis of the target, where they have exactly one."""
    return {one.target_axes[0]: one for one in link.relations if len(one.target_axes) == 1}


def _with_bias(graph: GraphWriter, what: Computation, write: Callable[[str | None], str]) -> None:
    """Write a node and then the biases that it does not take itself, each as a sum."""
    biases = what.of_role("bias")
    if not biases:
        write(what.target.name)
        return
    name = write(None)
    for position, link in enumerate(biases, 1):
        output = what.target.name if position == len(biases) else None
        name = graph.node("Add", [name, _read(graph, link)], output, near=what.target.name)


def _write_affine(graph: GraphWriter, what: Computation) -> None:
    data, kernel = what.only("data"), what.only("kernel")
    if kernel.source.role != "parameter":
        raise NotWrittenError(f"its kernel '{kernel.source.name}' is no parameter")
    first = {one.source_axes[0]: one for one in kernel.relations if len(one.source_axes) == 1}
    kinds = {axis: one.kind for axis, one in first.items()}
    rank = len(kernel.source.shape)
    if rank == 2 and kinds == {0: "each", 1: "same"}:
        _write_dense(graph, what, data, kernel)
    elif rank > 2 and (kinds.get(0), kinds.get(1)) == ("same", "each"):
        _write_convolution(graph, what, data, kernel)
    elif rank > 2 and (kinds.get(0), kinds.get(1)) in (("each", "same"), ("blocks", "same")):
        _write_transposed(graph, what, data, kernel)
    else:
        raise NotWrittenError("its kernel belongs to no dense layer and to no convolution")


def _write_dense(graph: GraphWriter, what: Computation, data: Link, kernel: Link) -> None:
    last = len(data.source.shape) - 1
    if len(what.target.shape) != last + 1:
        raise NotWrittenError(f"it has another number of axes than '{data.source.name}'")
    _check(data, *[Relation.same(axis, axis) for axis in range(last)], Relation.all(last, last))
    _check_kernel_length(kernel, 0, data.source.shape[last])
    sums = [Relation.sum(axis) for axis in range(last)]
    _check(kernel, *sums, Relation.each(0), Relation.same(1, last))
    inputs = [_whole(graph, data), kernel.source.name]
    _with_bias(graph, what, lambda output: graph.node("MatMul", inputs, output, near=_name(what)))


def _write_convolution(graph: GraphWriter, what: Computation, data: Link, kernel: Link) -> None:
    channels = _by_target(data).get(0)
    if channels is None or channels.source_axes != [0]:
        raise NotWrittenError("its channels are not the first axis")
    if len(kernel.source.shape) != len(what.target.shape) + 1:
        raise NotWrittenError(f"its kernel '{kernel.source.name}' has no axis for each of its own")
    geometry = _windows(data, list(kernel.source.shape[2:]))
    _check(kernel, Relation.same(0, 0), Relation.each(1), *_taps(data, kernel))
    groups = {"all": 1, "same": data.source.shape[0]}.get(channels.kind)
    if channels.kind == "blocks":
        groups = channels.arguments["groups"]
    if groups is None:
        raise NotWrittenError(f"its channels are read by the relation {channels.kind}")
    _check_kernel_length(kernel, 1, data.source.shape[0] // groups)
    inputs = [_whole(graph, data), kernel.source.name]
    biases = what.of_role("bias")
    if len(biases) == 1 and biases[0].source.shape == what.target.shape[:1]:
        _check_spread(biases[0], [0])
        graph.node(
            "Conv", [*inputs, biases[0].source.name], _name(what), group=groups, **_named(geometry)
        )
        return
    _with_bias(
        graph,
        what,
        lambda output: graph.node(
            "Conv", inputs, output, near=_name(what), group=groups, **_named(geometry)
        ),
    )


def _check_kernel_length(kernel: Link, axis: int, length: int) -> None:
    """Refuse a kernel that has not one weight for each element that it is multiplied with."""
    if kernel.source.shape[axis] != length:
        raise NotWrittenError(
            f"its kernel '{kernel.source.name}' has length {kernel.source.shape[axis]} along axis "
            f"{axis}, and {length} elements to multiply"
        )


def _taps(data: Link, kernel: Link) -> list[Relation]:
    """How a kernel has to be read if the windows over the data are those of a convolution."""
    found = []
    for axis, window in sorted(_by_target(data).items())[1:]:
        size = window.arguments["size"] if window.kind == "window" else 1
        _check_kernel_length(kernel, axis + 1, size)
        if size > 1:
            extent = data.source.shape[axis]
            found.append(Relation.taps(axis + 1, axis, extent=extent, **window.arguments))
        else:
            found.append(Relation.all(axis + 1, axis))
    return found


def _write_transposed(graph: GraphWriter, what: Computation, data: Link, kernel: Link) -> None:
    groups, spatial = 1, 1
    for one in kernel.relations:
        if one.kind == "blocks":
            groups, spatial = one.arguments["groups"], 2
    taps = []
    sizes, strides, dilations, before, after, added = [], [], [], [], [], []
    by_target = _by_target(data)
    for axis in range(spatial, len(what.target.shape)):
        relation = by_target.get(axis)
        at = axis - spatial + 1
        if relation is None or relation.kind != "transposed_window" or relation.source_axes != [at]:
            raise NotWrittenError(f"its axis {axis} is not read as by a transposed convolution")
        arguments = relation.arguments
        extent = data.source.shape[relation.source_axes[0]]
        taps.append(Relation.transposed_taps(at + 1, axis, extent=extent, **arguments))
        reach = (arguments["size"] - 1) * arguments["dilation"] + 1
        whole = (extent - 1) * arguments["stride"] + reach
        cut = whole - arguments["padding"] - what.target.shape[axis]
        sizes.append(arguments["size"])
        strides.append(arguments["stride"])
        dilations.append(arguments["dilation"])
        before.append(arguments["padding"])
        after.append(max(cut, 0))
        added.append(max(-cut, 0))
    if groups == 1:
        channels = [Relation.all(0, 0)]
        _check(kernel, Relation.each(0), Relation.same(1, 0), *taps)
    else:
        channels = [Relation.blocks(0, 0, groups=groups), Relation.sum(1)]
        _check(kernel, channels[0], Relation.same(1, 1), *taps)
    _check(data, *channels, *[one for axis, one in by_target.items() if axis >= spatial])
    _check_kernel_length(kernel, 0, data.source.shape[0])
    attributes = {
        **_named(Geometry(sizes, strides, dilations, [*before, *after])),
        "group": groups,
        "output_padding": added,
    }
    inputs = [_whole(graph, data), kernel.source.name]

    def write(output: str | None) -> str:
        if groups == 1:
            return graph.node("ConvTranspose", inputs, output, near=_name(what), **attributes)
        together = graph.node("ConvTranspose", inputs, near=_name(what), **attributes)
        shape = graph.integers([graph.batch, *what.target.shape])
        return graph.node("Reshape", [together, shape], output, near=_name(what))

    _with_bias(graph, what, write)


def _windows(data: Link, sizes: list[int] | None = None) -> Geometry:
    """The windows over the axes behind the first, all of which are read by windows or as they are.

    The padding behind is what makes the last window fit.
    """
    by_target = _by_target(data)
    found, strides, dilations, before, after = [], [], [], [], []
    for axis in range(1, len(data.target.shape)):
        relation = by_target.get(axis)
        if relation is None or relation.source_axes != [axis]:
            raise NotWrittenError(f"its axis {axis} is not that of its input")
        arguments = {"size": 1, "stride": 1, "dilation": 1, "padding": 0}
        if relation.kind == "window":
            arguments = relation.arguments
        elif relation.kind != "same":
            raise NotWrittenError(f"its axis {axis} is read by the relation {relation.kind}")
        reach = (arguments["size"] - 1) * arguments["dilation"] + 1
        stops = (data.target.shape[axis] - 1) * arguments["stride"] + reach
        left = data.source.shape[axis] + arguments["padding"] - stops
        if left >= arguments["stride"]:
            raise NotWrittenError(f"along axis {axis} its windows end before its input does")
        found.append(arguments["size"])
        strides.append(arguments["stride"])
        dilations.append(arguments["dilation"])
        before.append(arguments["padding"])
        after.append(max(0, -left))
    return Geometry(sizes or found, strides, dilations, [*before, *after])


def _named(geometry: Geometry) -> dict[str, Any]:
    return geometry._asdict()


def _name(what: Computation) -> str:
    return what.target.name


def _write_function(graph: GraphWriter, what: Computation) -> None:
    function = what.operation.function or "identity"
    x = _read(graph, what.only("data"), is_expanded=True)
    if not write_function(graph, function, x, _name(what)):
        raise NotWrittenError(f"no node of ONNX computes the function '{function}'")


def _operands(graph: GraphWriter, what: Computation) -> list[str]:
    """The operands as they broadcast to the shape of the result, the first written out if needed.

    It is needed where no operand alone has all lengths of the result.
    """
    needs_expansion = all(link.source.shape != what.target.shape for link in what.links)
    first, *others = what.links
    names = [_read(graph, first, is_expanded=needs_expansion)]
    return names + [_read(graph, link) for link in others]


def _combined(operator: str) -> Writer:
    """One node for two operands, or as many nodes as there are operands but one."""

    def write(graph: GraphWriter, what: Computation) -> None:
        name, *others = _operands(graph, what)
        if not others:
            graph.node("Identity", [name], _name(what))
        for position, other in enumerate(others, 1):
            output = _name(what) if position == len(others) else None
            name = graph.node(operator, [name, other], output, near=_name(what))

    return write


def _write_sum(graph: GraphWriter, what: Computation) -> None:
    if what.operation.function == "subtract":
        _combined("Sub")(graph, what)
    elif len(what.links) == 2:
        _combined("Add")(graph, what)
    else:
        graph.node("Sum", _operands(graph, what), _name(what))


def _write_maximum(graph: GraphWriter, what: Computation) -> None:
    operator = "Min" if what.operation.function == "minimum" else "Max"
    graph.node(operator, _operands(graph, what), _name(what))


def _write_pooled(graph: GraphWriter, what: Computation) -> None:
    data = what.only("data")
    is_average = what.operation.kind == "average"
    if what.operation.weights:
        raise NotWrittenError("the taps of its window have weights of their own")
    kinds = {one.kind for one in data.relations}
    if "window" in kinds:
        channels = _by_target(data).get(0)
        if channels is None or channels != Relation.same(0, 0):
            raise NotWrittenError("its channels are not the first axis")
        geometry = _windows(data)
        attributes = _named(geometry)
        count = prod(geometry.kernel_shape)
        scale = 1.0
        if is_average and what.operation.divisor is not None:
            scale = count / what.operation.divisor
            attributes["count_include_pad"] = 1
        operator = "AveragePool" if is_average else "MaxPool"
    else:
        reduced = _reduced_axes(data)
        count = prod(data.source.shape[axis] for axis in reduced)
        divisor = what.operation.divisor
        scale = 1.0 if divisor is None or not is_average else count / divisor
        attributes = {"keepdims": int("all" in kinds)}
        operator = "ReduceMean" if is_average else "ReduceMax"
    inputs = [_whole(graph, data)]
    if "keepdims" in attributes:
        inputs.append(graph.integers([axis + 1 for axis in sorted(reduced)]))
    if scale == 1.0:
        graph.node(operator, inputs, _name(what), **attributes)
    else:
        mean = graph.node(operator, inputs, near=_name(what), **attributes)
        graph.node("Mul", [mean, graph.constant(scale)], _name(what))


def _reduced_axes(data: Link) -> list[int]:
    """The axes of the source that are pooled as wholes, and either stay with length 1 or go."""
    reduced = [one.source_axes[0] for one in data.relations if one.kind in ("each", "all")]
    kept = [axis for axis in range(len(data.source.shape)) if axis not in reduced]
    staying = [Relation.same(axis, axis) for axis in kept] + [
        Relation.all(axis, axis) for axis in reduced
    ]
    going = [Relation.same(axis, at) for at, axis in enumerate(kept)] + [
        Relation.each(axis) for axis in reduced
    ]
    if not reduced:
        raise NotWrittenError("it pools over no axis")
    stays = any(one.kind == "all" for one in data.relations)
    _check(data, *(staying if stays else going))
    if stays and any(data.target.shape[axis] != 1 for axis in reduced):
        raise NotWrittenError("it has axes that are pooled as wholes and repeated")
    return reduced


def _write_batch_norm(graph: GraphWriter, what: Computation) -> None:
    if len(what.operation.axes) != 1:
        raise NotWrittenError(f"its channels have {len(what.operation.axes)} axes instead of one")
    (axis,) = what.operation.axes
    _check_in_place(what.only("data"))
    rank = len(what.target.shape)
    order = [axis, *[other for other in range(rank) if other != axis]]
    roles: tuple[LinkRole, ...] = ("mean", "variance")
    for role in roles:
        _check_spread(what.only(role), [axis])
    statistics = [what.only(role).source.name for role in roles]
    affine = [_affine(graph, what, role, [axis]) for role in ("scale", "shift")]
    _transposed(
        graph,
        what,
        order,
        lambda x, output: graph.node(
            "BatchNormalization",
            [x, *affine, *statistics],
            output,
            near=_name(what),
            epsilon=what.operation.epsilon,
        ),
    )


def _write_normalised(graph: GraphWriter, what: Computation) -> None:
    """Layer and RMS norm, over axes that are brought to the end."""
    axes = list(what.operation.axes)
    if not axes:
        raise NotWrittenError("it normalises no axis")
    _check_in_place(what.only("data"), axes)
    order = [axis for axis in range(len(what.target.shape)) if axis not in axes] + axes
    weights = [_affine(graph, what, "scale", axes)]
    operator = "RMSNormalization"
    if what.operation.kind == "layer_norm":
        operator = "LayerNormalization"
        if what.of_role("shift"):
            weights.append(_affine(graph, what, "shift", axes))
    elif what.of_role("shift"):
        raise NotWrittenError("its node takes no shift")
    _transposed(
        graph,
        what,
        order,
        lambda x, output: graph.node(
            operator,
            [x, *weights],
            output,
            near=_name(what),
            axis=-len(axes),
            epsilon=what.operation.epsilon,
        ),
    )


def _write_group_norm(graph: GraphWriter, what: Computation) -> None:
    if list(what.operation.axes) not in ([], [0]) or not what.target.shape:
        raise NotWrittenError("its channels are not the first axis")
    if what.operation.groups < 1 or what.target.shape[0] % what.operation.groups:
        raise NotWrittenError(f"its channels do not fall into {what.operation.groups} groups")
    data = what.only("data")
    _check_in_place(data, range(len(what.target.shape)))
    weights = [_affine(graph, what, role, [0]) for role in ("scale", "shift")]
    graph.node(
        "GroupNormalization",
        [_whole(graph, data), *weights],
        _name(what),
        num_groups=what.operation.groups,
        epsilon=what.operation.epsilon,
    )


def _affine(graph: GraphWriter, what: Computation, role: LinkRole, axes: Sequence[int]) -> str:
    """The scale or shift of a normaliser over some axes, or a constant that changes nothing."""
    if what.of_role(role):
        link = what.only(role)
        _check_spread(link, axes)
        return link.source.name
    shape = [what.target.shape[axis] for axis in axes]
    return graph.constant(np.full(shape, 1.0 if role == "scale" else 0.0))


def _transposed(
    graph: GraphWriter,
    what: Computation,
    order: list[int],
    write: Callable[[str, str | None], str],
) -> None:
    """Write a node whose input has its axes in another order, and give them back their own."""
    x = _whole(graph, what.only("data"))
    if order == sorted(order):
        write(x, _name(what))
        return
    there = [0, *[axis + 1 for axis in order]]
    back = [there.index(axis) for axis in range(len(there))]
    y = write(graph.node("Transpose", [x], near=_name(what), perm=there), None)
    graph.node("Transpose", [y], _name(what), perm=back)


def _write_softmax(graph: GraphWriter, what: Computation) -> None:
    if len(what.operation.axes) != 1:
        raise NotWrittenError("its softmax goes over several axes")
    data = what.only("data")
    _check_in_place(data, what.operation.axes)
    graph.node("Softmax", [_whole(graph, data)], _name(what), axis=what.operation.axes[0] + 1)


def _write_product(graph: GraphWriter, what: Computation) -> None:
    if len(what.links) != 2:
        raise NotWrittenError(f"it is a product of {len(what.links)} matrices")
    rank = len(what.target.shape)
    names = []
    for link, (contracted, free) in zip(what.links, ((-1, -2), (-2, -1)), strict=True):
        by_target = _by_target(link)
        # The axis that is summed over is linked to the axis that the other factor brings.
        summed = by_target.get(rank + contracted)
        kept = by_target.get(rank + free)
        if summed is None or summed.kind != "all" or kept is None or kept.kind != "same":
            raise NotWrittenError("its factors are no matrices in the last two axes")
        _check_leading(link, (summed, kept))
        names.append(_matrix(graph, link, summed.source_axes[0], kept.source_axes[0], contracted))
    divisor = what.operation.divisor
    if divisor is None or divisor == 1.0:
        graph.node("MatMul", names, _name(what))
    else:
        product = graph.node("MatMul", names, near=_name(what))
        graph.node("Div", [product, graph.constant(divisor)], _name(what))


def _check_leading(link: Link, last: tuple[Relation, Relation]) -> None:
    """Refuse a factor whose axes before the matrices are not those of the product, from behind."""
    shift = len(link.target.shape) - len(link.source.shape)
    for one in link.relations:
        if one in last or one.kind == "sum":
            continue
        is_in_place = one.kind == "same" or (
            one.kind == "all" and link.source.shape[one.source_axes[0]] == 1
        )
        if not is_in_place or one.source_axes[0] + shift != one.target_axes[0]:
            raise NotWrittenError(f"it reads '{link.source.name}' otherwise than its node does")


def _matrix(graph: GraphWriter, link: Link, summed: int, kept: int, contracted: int) -> str:
    """A factor with its matrices in the last two axes, in the order of a product."""
    source = link.source
    offset = 0 if source.role == "parameter" else 1
    last = [kept, summed] if contracted == -1 else [summed, kept]
    order = [axis for axis in range(len(source.shape)) if axis not in last] + last
    name = source.name
    if order != sorted(order):
        permutation = [*range(offset), *[axis + offset for axis in order]]
        name = graph.node("Transpose", [name], near=link.target.name, perm=permutation)
    leading = len(link.target.shape) - len(source.shape)
    if leading and offset:
        # Behind the axis of the batch, where the other factor has axes that this one lacks.
        lengths = [source.shape[axis] for axis in order]
        shape = graph.integers([graph.batch, *[1] * leading, *lengths])
        name = graph.node("Reshape", [name, shape], near=link.target.name)
    return name


def _write_embedding(graph: GraphWriter, what: Computation) -> None:
    if what.indices is None:
        raise NotWrittenError("its rows are not chosen by indices")
    last = len(what.indices.source.shape)
    same = [Relation.same(axis, axis) for axis in range(last)]
    sums = [Relation.sum(axis) for axis in range(last)]
    _check(what.indices, *same, Relation.sum(last))
    _check(what.only("data"), *same, Relation.all(last, last))
    _check(what.only("table"), *sums, Relation.each(0), Relation.same(1, last))
    indices = what.indices.source.name
    if not what.is_integer:
        int64 = 7
        indices = graph.node("Cast", [indices], near=_name(what), to=int64)
    table = what.only("table").source.name
    _with_bias(
        graph,
        what,
        lambda output: graph.node("Gather", [table, indices], output, near=_name(what), axis=0),
    )


def _write_move(graph: GraphWriter, what: Computation) -> None:
    data = what.of_role("data")
    if not data:
        raise NotWrittenError("no data is linked to it")
    if len(data) == 1:
        write = partial(_write_moved, graph, data[0])
    else:
        axis = _joined_axis(data)
        if axis is None:
            raise NotWrittenError("it joins tensors otherwise than one after the other on an axis")
        names = [_whole(graph, link) for link in data]
        write = partial(graph.node, "Concat", names, near=_name(what), axis=axis + 1)
    _with_bias(graph, what, write)


def _write_moved(graph: GraphWriter, link: Link, output: str | None) -> str:
    name = _read(graph, link, is_expanded=True)
    if output is None:
        return name
    if name == link.source.name:
        return graph.node("Identity", [name], output)
    return graph.rename_last(output)


def _joined_axis(data: list[Link]) -> int | None:
    """The axis along which sources lie one behind the other, as whole tensors."""
    for axis in range(len(data[0].target.shape)):
        start = 0
        for link in data:
            at = _by_target(link)
            others = [at.get(other) for other in range(len(link.target.shape)) if other != axis]
            moved = at.get(axis)
            if moved is None or any(one is None or one.kind != "same" for one in others):
                break
            begins = moved.arguments["padding"] if is_shift(moved) else 0
            if begins != start or not (is_shift(moved) or moved.kind == "same"):
                break
            start += link.source.shape[axis]
        else:
            if start == data[0].target.shape[axis]:
                return axis
    return None


def _whole(graph: GraphWriter, link: Link) -> str:
    """A source with the axis of the batch, which parameters do not have."""
    if link.source.role != "parameter":
        return link.source.name
    shape = graph.integers([graph.batch, *link.source.shape])
    return graph.node("Expand", [link.source.name, shape], near=link.target.name)


ROLES: dict[str, set[LinkRole]] = {
    "affine": {"data", "kernel", "bias"},
    "batch_norm": {"data", "scale", "shift", "mean", "variance"},
    "divide": {"data", "kernel", "bias", "scale", "shift", "mean", "variance", "table"},
    "embedding": {"data", "table", "bias"},
    "group_norm": {"data", "scale", "shift"},
    "layer_norm": {"data", "scale", "shift"},
    "move": {"data", "bias"},
    "rms_norm": {"data", "scale", "shift"},
}
ROLES |= dict.fromkeys(("sum", "product", "maximum"), ROLES["divide"])
"""The links that a node takes, by the kind of its operation; all others take data alone."""

Writer: TypeAlias = Callable[[GraphWriter, Computation], None]

WRITERS: dict[str, Writer] = {
    "affine": _write_affine,
    "average": _write_pooled,
    "batch_norm": _write_batch_norm,
    "divide": _combined("Div"),
    "embedding": _write_embedding,
    "function": _write_function,
    "group_norm": _write_group_norm,
    "layer_norm": _write_normalised,
    "masked_attention": write_masked_attention,
    "matmul": _write_product,
    "max_pool": _write_pooled,
    "maximum": _write_maximum,
    "move": _write_move,
    "product": _combined("Mul"),
    "rms_norm": _write_normalised,
    "softmax": _write_softmax,
    "sum": _write_sum,
}
"""What writes a tensor, by the kind of its operation."""
