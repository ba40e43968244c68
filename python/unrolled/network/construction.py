"""The construction of a network as plain data: what copies, pickles and fingerprints are made of.

The core of a network cannot be pickled. What it was told can: tensors, links and outputs, with
every distinct relation and operation once, so that it is short even for deep networks. Whatever a
network comes to know besides, and counts or propagation depend on, has its place here: then it is
copied, compared and hashed as well.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from unrolled._core import Network as Core
from unrolled._core import Operation, Relation

if TYPE_CHECKING:
    from unrolled.network.builder import Builder, Choice, LinkRole, Role, Semantics

__all__ = ["Construction", "construction_of", "core_of", "fingerprint_of"]

FORMAT, VERSION = "unrolled.Network", 1
"""The first words that are hashed. The version rises if the same network is described otherwise."""

One = TypeVar("One", bound=Hashable)


class TensorRow(NamedTuple):
    """A tensor, and how it is computed: the number of its operation."""

    name: str
    shape: tuple[int, ...]
    role: Role
    trainable: bool
    operation: int


class LinkRow(NamedTuple):
    """A link between two tensors by their numbers, and the numbers of its relations."""

    source: int
    target: int
    role: LinkRole
    relations: tuple[int, ...]


class Construction(NamedTuple):
    """All that makes a network, in the order in which it was declared."""

    semantics: Semantics
    tensors: tuple[TensorRow, ...]
    links: tuple[LinkRow, ...]
    outputs: tuple[int, ...]
    operations: tuple[Operation, ...]
    relations: tuple[Relation, ...]
    choices: tuple[Choice, ...]


def construction_of(network: Builder, *, is_canonical: bool = False) -> Construction:
    """What a network was told.

    A link is the product of its relations, which has no order: if `is_canonical`, they are in that
    of their axes, and networks that are built alike have equal constructions.
    """
    core = network._core
    operations: dict[Operation, int] = {}
    relations: dict[Relation, int] = {}
    tensors = [
        TensorRow(one.name, one.shape, one.role, one.trainable, _number(operations, operation))
        for one, operation in zip(network.tensors, core.operations, strict=True)
    ]
    links = [
        LinkRow(
            source,
            target,
            role,
            tuple(
                [_number(relations, one) for one in (_sort(factors) if is_canonical else factors)]
            ),
        )
        for (source, target, factors), role in zip(core.links, core.roles, strict=True)
    ]
    return Construction(
        network.semantics,
        tuple(tensors),
        tuple(links),
        tuple(core.outputs),
        tuple(operations),
        tuple(relations),
        network.choices,
    )


def core_of(construction: Construction) -> Core:
    """A network of the core that was told the same."""
    core = Core()
    for name, shape, role, trainable, operation in construction.tensors:
        if role == "input":
            core.add_input(name, shape)
        elif role == "parameter":
            core.add_parameter(name, shape, trainable)
        else:
            core.add_activation(name, shape, construction.operations[operation])
    for source, target, link_role, relations in construction.links:
        core.link(source, target, [construction.relations[one] for one in relations], link_role)
    for number in construction.outputs:
        core.mark_output(number)
    return core


def fingerprint_of(construction: Construction, *, names: bool) -> str:
    """The SHA-256 of the lines of `_describe` as hexadecimal digits; see `Network.fingerprint`."""
    import hashlib
    import json

    digest = hashlib.sha256()
    for line in _describe(construction, names):
        text = json.dumps(line, ensure_ascii=True, separators=(",", ":"), sort_keys=True)
        digest.update(f"{text}\n".encode("ascii"))
    return digest.hexdigest()


def _describe(construction: Construction, names: bool) -> Iterator[list[Any]]:
    """A network line by line, as values of JSON; docs/formats.md says what stands where."""
    yield [FORMAT, VERSION, construction.semantics]
    operations = [_operation(one) for one in construction.operations]
    for name, shape, role, trainable, operation in construction.tensors:
        shown = name if names else None
        yield ["tensor", shown, list(shape), role, trainable, operations[operation]]
    relations = [_relation(one) for one in construction.relations]
    for source, target, link_role, factors in construction.links:
        yield ["link", source, target, link_role, [relations[one] for one in factors]]
    yield ["outputs", *construction.outputs]
    for tensor, place, labels, is_nothing in construction.choices:
        yield ["choice", tensor, place, list(labels), list(is_nothing)]


def _operation(operation: Operation) -> list[Any]:
    return [
        operation.kind,
        operation.function,
        list(operation.axes),
        None if operation.divisor is None else float(operation.divisor).hex(),
        operation.groups,
        float(operation.epsilon).hex(),
        *([[weight.hex() for weight in taps] for taps in operation.weights]),
    ]


def _relation(relation: Relation) -> list[Any]:
    arguments = {
        name: _digest(value) if isinstance(value, np.ndarray) else value
        for name, value in relation.arguments.items()
    }
    return [relation.kind, relation.source_axes, relation.target_axes, arguments]


def _digest(indices: np.ndarray[Any, Any]) -> str:
    """Lists may be long; their hash is that of integers of 64 bits, the lowest byte first."""
    import hashlib

    return hashlib.sha256(np.asarray(indices, dtype="<i8").tobytes()).hexdigest()


def _sort(relations: Iterable[Relation]) -> list[Relation]:
    return sorted(relations, key=lambda one: (one.target_axes, one.source_axes))


def _number(numbers: dict[One, int], one: One) -> int:
    """The number of something among the distinct ones met so far."""
    return numbers.setdefault(one, len(numbers))
