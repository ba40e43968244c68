"""What kind of layer a kernel belongs to, read off the links around it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from unrolled._core import Relation
    from unrolled.network.builder import Link, Tensor

__all__ = ["Configuration", "configuration_of", "kernel_of", "split_name"]


class Configuration(NamedTuple):
    """What makes two convolutions or dense layers alike, whatever their padding and input size.

    Attributes
    ----------
    kind : {"conv", "conv_transpose", "dense"}
    kernel_size, stride, dilation : tuple of int
        One each for every spatial axis; empty for a dense layer.
    input_channels, output_channels : int
    groups : int
        As many as input channels for a depthwise convolution.

    Examples
    --------
    >>> from unrolled import Network
    >>> net = Network()
    >>> x = net.conv(net.input((3, 8, 8)), 16, 3, stride=2, name="stem")
    >>> net.layers[0].configuration  # doctest: +NORMALIZE_WHITESPACE
    Configuration(kind='conv', kernel_size=(3, 3), stride=(2, 2), dilation=(1, 1),
                  input_channels=3, output_channels=16, groups=1)
    """

    kind: Literal["conv", "conv_transpose", "dense"]
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    input_channels: int
    output_channels: int
    groups: int


def split_name(name: str) -> tuple[str, str]:
    """The name of a parameter's layer, and its role there.

    They are divided by the last ``/``, or by the last dot, as PyTorch has it. A name with neither
    is that of a layer with a single parameter.

    Examples
    --------
    >>> split_name("stage1.block1.conv/kernel"), split_name("layer1.0.conv1.weight")
    (('stage1.block1.conv', 'kernel'), ('layer1.0.conv1', 'weight'))
    """
    layer, mark, role = name.rpartition("/" if "/" in name else ".")
    return (layer, role) if mark and layer else (name, role)


def kernel_of(parameters: Mapping[str, Tensor]) -> Tensor | None:
    """The kernel among the parameters of a layer, by role: that of the name, or the only one."""
    for role in ("kernel", "weight"):
        if role in parameters:
            return parameters[role]
    return next(iter(parameters.values())) if len(parameters) == 1 else None


def configuration_of(
    kernel: Tensor, links: Mapping[int, list[Link]], into: Mapping[int, list[Link]]
) -> Configuration | None:
    """Read off the links from the kernel and from the input to the first place of use.

    Parameters
    ----------
    kernel : Tensor
    links, into : dict of int to list of Link
        The links from every tensor, and into it.
    """
    if not links.get(kernel.id):
        return None
    link = links[kernel.id][0]
    inputs = [one for one in into[link.target.id] if one.source.role != "parameter"]
    if not inputs:
        return None
    by_source = {axis: one for one in link.relations for axis in one.source_axes}
    taps = [axis for axis, one in by_source.items() if one.kind in ("taps", "transposed_taps")]
    x = inputs[0]
    if len(kernel.shape) == 2 and not taps:
        return _dense(kernel, by_source, x)
    return _convolution(kernel, by_source, x)


def _dense(kernel: Tensor, by_source: Mapping[int, Relation], x: Link) -> Configuration | None:
    kinds = [by_source[axis].kind for axis in range(2)]
    if sorted(kinds) not in (["all", "same"], ["each", "same"]):
        return None
    summed = 1 if kinds[0] == "same" else 0
    length = kernel.shape[summed]
    contracted = [
        axis
        for one in x.relations
        if one.kind in ("all", "each")
        for axis in one.source_axes
        if x.source.shape[axis] == length
    ]
    if not contracted:
        return None
    return Configuration("dense", (), (), (), length, kernel.shape[1 - summed], 1)


def _convolution(
    kernel: Tensor, by_source: Mapping[int, Relation], x: Link
) -> Configuration | None:
    spatial = [
        axis
        for axis, one in by_source.items()
        if one.kind in ("taps", "transposed_taps")
        or (one.kind == "all" and kernel.shape[axis] == 1)
    ]
    outputs = [axis for axis, one in by_source.items() if one.kind == "same"]
    others = [axis for axis in by_source if axis not in (*spatial, *outputs)]
    if len(spatial) != len(kernel.shape) - 2 or len(outputs) != 1 or len(others) != 1:
        return None
    by_target = {axis: one for one in x.relations for axis in one.target_axes}
    windows = [by_target.get(by_source[axis].target_axes[0]) for axis in sorted(spatial)]
    found = [one for one in windows if one is not None]
    kinds = {one.kind for one in found}
    if len(found) != len(spatial) or not kinds <= {"same", "window", "transposed_window"}:
        return None
    # The inputs of a group are summed over, or, in a transposed one, the group has an axis.
    summed, kept = by_source[others[0]], by_source[outputs[0]]
    channels = by_target.get((kept if summed.kind == "each" else summed).target_axes[0])
    if channels is None or not channels.source_axes:
        return None
    inputs = x.source.shape[channels.source_axes[0]]
    groups = inputs if channels.kind == "same" else channels.arguments.get("groups", 1)
    is_transposed = "transposed_window" in kinds
    return Configuration(
        "conv_transpose" if is_transposed else "conv",
        tuple([kernel.shape[axis] for axis in sorted(spatial)]),
        tuple([window.arguments.get("stride", 1) for window in found]),
        tuple([window.arguments.get("dilation", 1) for window in found]),
        inputs,
        kernel.shape[outputs[0]] * (groups if is_transposed else 1),
        groups,
    )
