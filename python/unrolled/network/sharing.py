"""Layers of a network by their parameters, and sharing the parameters of equal layers."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

from unrolled._support.hints import described, did_you_mean
from unrolled.errors import InvalidArgumentError, InvalidNetworkError, UnknownNameError
from unrolled.network.builder import Builder, Link, Tensor
from unrolled.network.configurations import Configuration, configuration_of, kernel_of, split_name

__all__ = ["Configuration", "Layer", "SharingKey", "fill_with_shared", "layers", "sharing_groups"]


class Layer(NamedTuple):
    """A layer that has parameters, as `Network.layers` lists them.

    Attributes
    ----------
    name : str
        What the names of its parameters have before the last ``/``, or the last dot.
    parameters : dict of str to Tensor
        Its parameters by their role, such as "kernel" and "bias".
    configuration : Configuration or None
        None unless the layer is a convolution or dense. Of a kernel that several layers use
        already, that of the first place it is used in.

    Examples
    --------
    >>> from unrolled import models
    >>> layer = models.resnet(18, size=32).layers[2]
    >>> layer.name, layer.stage, layer.shapes
    ('stage1.block1.first.conv', 'stage1', {'kernel': (64, 64, 3, 3)})
    """

    name: str
    parameters: Mapping[str, Tensor]
    configuration: Configuration | None

    @property
    def stage(self) -> str:
        """The part of the name before the first dot."""
        return self.name.partition(".")[0]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the parameters by their role."""
        return {role: tensor.shape for role, tensor in self.parameters.items()}

    def __repr__(self) -> str:
        return f"Layer(name={self.name!r}, parameters={self.parameters!r})"


SharingKey: TypeAlias = (
    Literal["configuration", "stage"] | Callable[[Layer], Hashable] | Mapping[str, Iterable[str]]
)
"""What `Network.share` takes."""


def layers(network: Builder) -> tuple[Layer, ...]:
    """The layers of a network that have parameters, in the order of declaration."""
    links: dict[int, list[Link]] = {}
    into: dict[int, list[Link]] = {}
    for link in network.links:
        links.setdefault(link.source.id, []).append(link)
        into.setdefault(link.target.id, []).append(link)
    found: dict[str, dict[str, Tensor]] = {}
    for parameter in network.parameters:
        name, role = split_name(parameter.name)
        found.setdefault(name, {})[role] = parameter
    return tuple(
        Layer(
            name,
            parameters,
            None
            if (kernel := kernel_of(parameters)) is None
            else configuration_of(kernel, links, into),
        )
        for name, parameters in found.items()
    )


def sharing_groups(network: Builder, by: SharingKey) -> dict[Hashable, list[Layer]]:
    """The layers that are to share, by key, after all checks."""
    known = layers(network)
    if isinstance(by, Mapping):
        groups = _group_by_names(network, known, by)
    elif callable(by):
        groups = _group_by_function(network, known, by)
    elif by == "configuration":
        return _group(known, lambda layer: layer.configuration)
    elif by == "stage":
        if not any("." in layer.name for layer in known if layer.configuration):
            raise InvalidArgumentError(
                f"network '{network.name}': sharing by stage needs layers named like "
                "'stage1.block1.conv'; the stage is what stands before the first dot"
            )
        return _group(
            known, lambda layer: layer.configuration and (layer.stage, layer.configuration)
        )
    else:
        raise InvalidArgumentError(
            "share() takes by='configuration', by='stage', a function of a Layer, or a dict of "
            f"groups of layer names; got {described(by)}"
        )
    for key, members in groups.items():
        _check_alike(network, key, members)
    return groups


def _group(
    known: Iterable[Layer], key_of: Callable[[Layer], Hashable]
) -> dict[Hashable, list[Layer]]:
    groups: dict[Hashable, list[Layer]] = {}
    for layer in known:
        key = key_of(layer)
        if key is not None:
            groups.setdefault(key, []).append(layer)
    return groups


def _group_by_function(
    network: Builder, known: Iterable[Layer], by: Callable[[Layer], Hashable]
) -> dict[Hashable, list[Layer]]:
    """Groups by a user's function, which may fail."""

    def key_of(layer: Layer) -> Hashable:
        try:
            key = by(layer)
            hash(key)
        except Exception as error:
            raise InvalidArgumentError(
                f"network '{network.name}': the key function failed for layer '{layer.name}' with "
                f"{type(error).__name__}: {error}; it takes a Layer and returns something "
                "hashable, or None for a layer that shares with none"
            ) from error
        return key

    return _group(known, key_of)


def _group_by_names(
    network: Builder, known: Sequence[Layer], groups: Mapping[str, Iterable[str]]
) -> dict[Hashable, list[Layer]]:
    """Groups by the names of their layers."""
    by_name = {layer.name: layer for layer in known}
    group_of: dict[str, str] = {}
    found: dict[Hashable, list[Layer]] = {}
    for group, members in groups.items():
        if isinstance(members, (str, bytes)) or not isinstance(members, Iterable):
            raise InvalidArgumentError(
                f"share(): group {group!r} must be a list of layer names, got {described(members)}"
            )
        found[group] = []
        for name in members:
            if not isinstance(name, str) or name not in by_name:
                raise UnknownNameError(
                    f"network '{network.name}' has no layer with parameters named {name!r}"
                    f"{did_you_mean(str(name), by_name)} (Network.layers lists them)"
                )
            if name in group_of:
                where = "twice" if group_of[name] == group else f"in {group_of[name]!r}, too"
                raise InvalidArgumentError(
                    f"share(): layer {name!r} of group {group!r} is there {where}; a layer can "
                    "share with one group, once"
                )
            group_of[name] = group
            found[group].append(by_name[name])
    return found


def _check_alike(network: Builder, key: Hashable, members: Sequence[Layer]) -> None:
    """Layers grouped by a user must have the same parameters."""
    for layer in members[1:]:
        if _signature(layer) != _signature(members[0]):
            first, other = (_describe(one) for one in (members[0], layer))
            raise InvalidNetworkError(
                f"network '{network.name}': layers {first} and {other} cannot share as {key!r}; "
                "all layers of a group need parameters of equal names and shapes"
            )


def _signature(layer: Layer) -> dict[str, tuple[tuple[int, ...], bool]]:
    return {role: (one.shape, one.trainable) for role, one in layer.parameters.items()}


def _describe(layer: Layer) -> str:
    shapes = ", ".join(
        f"{role} {shape}{'' if layer.parameters[role].trainable else ' not trainable'}"
        for role, shape in layer.shapes.items()
    )
    return f"'{layer.name}' ({shapes})"


def fill_with_shared(copy: Builder, network: Builder, groups: Iterable[Sequence[Layer]]) -> None:
    """Fill an empty network with a copy in which the layers of a group share parameters.

    Each uses those of the first layer of its group.

    Layers without a parameter that others of their group have just lack it.
    """
    kept: dict[int, Tensor] = {}
    for members in groups:
        first: dict[str, Tensor] = {}
        for layer in members:
            for role, tensor in layer.parameters.items():
                kept[tensor.id] = first.setdefault(role, tensor)
    own: dict[int, Tensor] = {}
    for tensor in network.tensors:
        if kept.get(tensor.id, tensor) is not tensor:
            continue
        if tensor.role == "parameter":
            own[tensor.id] = copy.parameter(tensor.name, tensor.shape, tensor.trainable)
        elif tensor.role == "input":
            own[tensor.id] = copy.input(tensor.shape, tensor.name)
        else:
            operation = network.operation(tensor)
            own[tensor.id] = copy.tensor(tensor.name, tensor.shape, operation=operation)
    for number, tensor in kept.items():
        own[number] = own[tensor.id]
    for link in network.links:
        source, target = own[link.source.id], own[link.target.id]
        copy.link(source, target, link.relations, role=link.role)
    copy.number_like(network)
    copy.choose_like(network, {number: tensor.id for number, tensor in own.items()})
    for tensor in network.outputs:
        copy.output(own[tensor.id])


def fill_with_part(
    copy: Builder,
    network: Builder,
    tensors: Iterable[int],
    links: Iterable[int],
    outputs: Iterable[int],
) -> None:
    """Fill an empty network with some tensors and links of another one, given by their numbers."""
    own: dict[int, Tensor] = {}
    all_tensors, all_links = network.tensors, network.links
    for number in tensors:
        tensor = all_tensors[number]
        if tensor.role == "parameter":
            own[number] = copy.parameter(tensor.name, tensor.shape, tensor.trainable)
        elif tensor.role == "input":
            own[number] = copy.input(tensor.shape, tensor.name)
        else:
            operation = network.operation(tensor)
            own[number] = copy.tensor(tensor.name, tensor.shape, operation=operation)
    for number in links:
        link = all_links[number]
        copy.link(own[link.source.id], own[link.target.id], link.relations, role=link.role)
    copy.number_like(network)
    for number in outputs:
        copy.output(own[number])
