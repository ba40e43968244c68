"""What the rules of Keras layers are given: a layer's configuration, operands and weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import index
from typing import TYPE_CHECKING, Any, Protocol

from unrolled._support.hints import shortened
from unrolled.errors import InvalidModelError
from unrolled.importers.rules import RuleTable
from unrolled.importers.tracing.index_maps import MOST_ELEMENTS
from unrolled.importers.tracing.recurrent import LONGEST_SEQUENCE
from unrolled.importers.tracing.values import Constant, Operand, Shape, Value

if TYPE_CHECKING:
    from unrolled.importers.door import Door
    from unrolled.importers.tracing.tracer import Tracer

__all__ = ["BUILT_IN", "TABLE", "Layer", "Refused", "flattened"]

TABLE = RuleTable("keras")

BUILT_IN: set[str] = set()
"""The operators that this package has rules for."""

Config = Mapping[str, Any]


class Refused(Exception):  # noqa: N818 - it never leaves the reader.
    """A layer that cannot be read, to be named with all others."""

    def __init__(self, operator: str, node: str, reason: str = "") -> None:
        super().__init__(operator, node, reason)
        self.operator, self.node, self.reason = operator, node, reason


class LayerReader(Protocol):
    """What a layer asks of the reader of its model."""

    @property
    def tracer(self) -> Tracer:
        """What builds the network."""

    @property
    def door(self) -> Door:
        """Where the model was given."""

    @property
    def skipped(self) -> dict[str, str]:
        """Why weights were left out, by their paths."""

    def weight(self, layer: Layer, name: str, shape: Shape, trainable: bool) -> Value:
        """A weight of the layer, declared when it is first asked for."""

    def activation(self, layer: Layer, given: Any, x: Operand) -> Operand:
        """The activation that a configuration names, applied to a tensor."""

    def inner(
        self, layer: Layer, entry: Any, args: list[Any], kwargs: dict[str, Any], name: str | None
    ) -> Any:
        """What a layer that is held by another one returns."""


@dataclass(eq=False, repr=False)
class Layer:
    """A layer or an operation of a Keras model, as it is applied once.

    Attributes
    ----------
    operator : str
        The name of its class; "ops.Add" for operations, "activations.relu" for activations.
    name : str
    config : mapping
        As `get_config` returns it.
    args : list
        Positional arguments of the call; tensors are operands.
    kwargs : dict
        Keyword arguments of the call.
    built : tuple or None
        The input shape that its weights were made for, if the file tells.
    """

    operator: str
    name: str
    config: Config
    args: list[Any]
    kwargs: dict[str, Any]
    reader: LayerReader
    built: tuple[Any, ...] | None = None
    place: tuple[str, ...] = ()
    prefix: str = ""
    trainable: bool = True
    identity: Any = None

    @property
    def tracer(self) -> Tracer:
        """What builds the network."""
        return self.reader.tracer

    @property
    def inputs(self) -> list[Operand]:
        """All tensors of the first argument; of all keyword arguments if there is no argument."""
        return list(flattened(self.args[0] if self.args else self.kwargs))

    @property
    def x(self) -> Operand:
        """The first tensor."""
        inputs = self.inputs
        if not inputs:
            raise InvalidModelError(f"{self}: it is called without a tensor")
        return inputs[0]

    def argument(self, position: int, name: str, default: Any = None) -> Any:
        """An argument of the call, by position, name, or from the configuration."""
        if position < len(self.args):
            return self.args[position]
        if name in self.kwargs:
            return self.kwargs[name]
        return self.config.get(name, default)

    def integer(self, key: str, *, least: int = 1) -> int:
        """An integer of the configuration."""
        return self._checked(key, self.config.get(key), least)

    def integers(self, key: str, rank: int, *, default: int = 1, least: int = 1) -> list[int]:
        """One integer of the configuration for each of `rank` axes."""
        given = self.config.get(key)
        if given is None:
            given = default
        if not isinstance(given, (list, tuple)):
            given = [given] * rank
        if len(given) != rank:
            raise InvalidModelError(f"{self}: {key} {given!r} is not for {rank} axes")
        return [self._checked(key, number, least) for number in given]

    def _checked(self, key: str, value: Any, least: int) -> int:
        try:
            number = index(value)
        except TypeError:
            raise InvalidModelError(f"{self}: {key} is no integer: {value!r}") from None
        if number < least:
            raise InvalidModelError(f"{self}: {key} must be at least {least}, got {number}")
        return number

    @property
    def channels_first(self) -> bool:
        """Whether channels come before the spatial axes."""
        return self.config.get("data_format") == "channels_first"

    def lengths(self, x: Operand, axes: Sequence[int]) -> Shape:
        """The lengths of axes that shapes of weights depend on.

        Raises
        ------
        InvalidModelError
            The weights were made for others.
        """
        built = self.built if self.built is not None and len(self.built) == x.rank else None
        for axis in axes:
            if not -x.rank <= axis < x.rank:
                raise InvalidModelError(f"{self}: there is no axis {axis} in shape {x.shape}")
            if built is not None and isinstance(built[axis], int) and built[axis] != x.shape[axis]:
                raise InvalidModelError(
                    f"{self}: its weights were made for inputs of shape {built}, and do not fit "
                    f"{x.shape}; choose other {self.reader.door.term('inputs')}"
                )
        return tuple([x.shape[axis] for axis in axes])

    def weight(self, name: str, shape: Sequence[int], *, trainable: bool = True) -> Value:
        """A weight of the layer; the same parameter wherever the layer is applied.

        Parameters
        ----------
        name : str
            As in the path of the Keras variable, without the name of the layer.
        shape : sequence of int
        trainable : bool
            Frozen layers have no trainable weights, whatever this says.
        """
        return self.reader.weight(self, name, tuple(shape), trainable and self.trainable)

    def adapted(self, name: str, shape: Sequence[int]) -> Operand:
        """A kernel, with its low-rank adaptation if it has one."""
        rank = self.config.get("lora_rank")
        if not rank:
            return self.weight(name, shape)
        kernel = self.weight(name, shape, trainable=False)
        stem = f"lora_{name}"
        a = self.weight(f"{stem}_a", (*shape[:-1], rank))
        b = self.weight(f"{stem}_b", (rank, shape[-1]))
        return self.tracer.add(kernel, self.tracer.matmul(a, b))

    def skip(self, name: str, reason: str) -> None:
        """Record a weight that no output is computed from."""
        self.reader.skipped[f"{self.prefix}{self.name}/{name}"] = reason

    def followed(self, number: int, most: int = MOST_ELEMENTS) -> None:
        """Check a number of elements or positions that are to be followed one by one.

        Raises
        ------
        InvalidModelError
            They are too many, here or in the whole model.
        """
        if number > most:
            raise InvalidModelError(
                f"{self}: {number:,} elements are too many to follow one by one; at most "
                f"{most:,} are"
            )
        self.tracer.budget.keep(str(self), number)

    def steps(self, x: Operand) -> int:
        """The number of time steps of a sequence, axis 1, that can be unrolled.

        Raises
        ------
        InvalidModelError
            There is no such axis, or it is too long.
        """
        if x.rank < 3:
            raise InvalidModelError(f"{self}: there is no axis of time in shape {x.shape}")
        if x.shape[1] > LONGEST_SEQUENCE:
            raise InvalidModelError(
                f"{self}: {x.shape[1]:,} steps are too many to unroll; at most "
                f"{LONGEST_SEQUENCE:,} are"
            )
        return x.shape[1]

    def activation(self, x: Operand, key: str = "activation") -> Operand:
        """The activation that the configuration names under `key`, applied to a tensor."""
        return self.reader.activation(self, self.config.get(key), x)

    def inner(self, entry: Any, *args: Any, name: str | None = None, **kwargs: Any) -> Any:
        """Apply a layer that this one holds, such as that of a wrapper.

        Parameters
        ----------
        entry : mapping
            The layer as Keras serialises it, with its class and configuration.
        *args, **kwargs
            Of the call.
        name : str, optional
            Instead of the one it has.
        """
        return self.reader.inner(self, entry, list(args), kwargs, name)

    def refused(self, reason: str) -> Refused:
        """The exception to raise where there is no rule for a case."""
        return Refused(self.operator, self.name, reason)

    def __str__(self) -> str:
        return f"layer '{shortened(self.name)}' ({shortened(self.operator)})"


def flattened(given: Any) -> Iterator[Operand]:
    """All operands in nested lists and dicts, those of dicts by key in order."""
    if isinstance(given, (Value, Constant)):
        yield given
    elif isinstance(given, (list, tuple)):
        for one in given:
            yield from flattened(one)
    elif isinstance(given, Mapping):
        for key in sorted(given, key=str):
            yield from flattened(given[key])
