"""`Builder`: the tensors and links of a network, and the checks with which they are added."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache, partial, wraps
from math import prod
from typing import Any, Concatenate, Literal, NamedTuple, ParamSpec, TypeAlias, TypeVar, get_args

from unrolled._core import Declaration, Operation, Relation
from unrolled._core import Network as Core
from unrolled._support.arguments import checked_choice, checked_name
from unrolled._support.hints import described, did_you_mean
from unrolled.errors import (
    InvalidArgumentError,
    InvalidNetworkError,
    MemoryLimitError,
    SizeOverflowError,
    UnknownNameError,
    UnrolledError,
)
from unrolled.network.shapes import boolean, checked_shape

Role = Literal["input", "parameter", "activation"]
LinkRole = Literal["data", "kernel", "bias", "scale", "shift", "mean", "variance", "table"]
Semantics = Literal["value", "dependency"]
SEMANTICS: tuple[Semantics, ...] = get_args(Semantics)

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
OneBuilder = TypeVar("OneBuilder", bound="Builder")


class _Draft:
    """A tensor while it is made: its attributes can be set, each with a single instruction.

    A network makes hundreds of tensors, and a frozen class would set each attribute by a call.
    """

    __slots__ = ("id", "name", "network", "role", "shape", "trainable")

    def __init__(
        self,
        network: Builder,
        number: int,
        name: str,
        shape: tuple[int, ...],
        role: Role,
        trainable: bool,
    ) -> None:
        self.network = network
        self.id = number
        self.name = name
        self.shape = shape
        self.role = role
        self.trainable = trainable


@dataclass(frozen=True, eq=False, repr=False)
class Tensor(_Draft):
    """A handle on one tensor of a `Network`; layers take handles and return them.

    Attributes
    ----------
    network : Network
        The network it belongs to.
    id : int
        Its position among `network.tensors`.
    name : str
        Its unique name.
    shape : tuple of int
        Lengths of its axes; channels first, no batch axis; ``()`` for a scalar.
    role : {"input", "parameter", "activation"}
    trainable : bool
        Whether it is a parameter that training changes.
    """

    __slots__ = ()

    network: Builder
    id: int
    name: str
    shape: tuple[int, ...]
    role: Role
    trainable: bool

    def __getstate__(self) -> list[Any]:
        return [getattr(self, one.name) for one in fields(self)]

    def __setstate__(self, state: Sequence[Any]) -> None:
        for one, value in zip(fields(self), state, strict=True):
            object.__setattr__(self, one.name, value)

    @property
    def size(self) -> int:
        """The number of elements."""
        size = 1
        for length in self.shape:
            size *= length
        return size

    def __repr__(self) -> str:
        frozen = ", trainable=False" if self.role == "parameter" and not self.trainable else ""
        return f"Tensor({self.name!r}, shape={self.shape}, role={self.role!r}{frozen})"


def _tensor(
    network: Builder,
    number: int,
    name: str,
    shape: tuple[int, ...],
    role: Role = "activation",
    trainable: bool = False,
) -> Tensor:
    """A new handle."""
    draft: Any = _Draft(network, number, name, shape, role, trainable)
    draft.__class__ = Tensor
    made: Tensor = draft
    return made


class Connection(NamedTuple):
    """What a link connects, and how: the part of a `Link` that counts depend on."""

    source: Tensor
    target: Tensor
    relations: tuple[Relation, ...]


class Link(Connection):
    """Which elements of `source` each element of `target` is computed from, and as what.

    It is the tuple of its first three attributes.

    Attributes
    ----------
    source, target : Tensor
    relations : tuple of Relation
    role : str
        What the source is to the target: "data", or, of a parameter, "kernel", "bias", "scale",
        "shift", "mean", "variance" or "table".
    """

    role: LinkRole

    def __new__(
        cls,
        source: Tensor,
        target: Tensor,
        relations: tuple[Relation, ...],
        role: LinkRole = "data",
    ) -> Link:
        """Connect two tensors."""
        link = super().__new__(cls, source, target, relations)
        link.role = role
        return link


PointwiseFunction: TypeAlias = Callable[[Any], Any]
"""A function of single elements that takes a NumPy array and returns one of equal shape."""


FORMS = 512
"""So many forms of layers of a kind are remembered."""


class Weight(NamedTuple):
    """A parameter that a layer needs, and how it reads it."""

    role: LinkRole
    shape: tuple[int, ...]
    relations: Sequence[Relation]
    trainable: bool = True


class Form(NamedTuple):
    """What layers that are alike have in common: all but their names and what they read."""

    shape: tuple[int, ...]
    weights: Sequence[Weight]
    declaration: Declaration


def form(
    shape: tuple[int, ...],
    operation: Operation,
    data: Sequence[Sequence[Relation]],
    weights: Sequence[Weight] = (),
) -> Form:
    """The form of layers that compute a tensor of this shape.

    Parameters
    ----------
    shape : tuple of int
    operation : Operation
    data : sequence of sequences of Relation
        How each of the tensors that are read is linked to the one that is computed.
    weights : sequence of Weight

    Raises
    ------
    SizeOverflowError
        Lengths that 64 bits cannot hold.
    """
    try:
        return Form(shape, weights, Declaration(shape, operation, data, weights))
    except OverflowError as error:
        shapes = [shape, *[weight.shape for weight in weights]]
        raise _too_large(next(one for one in shapes if max(one, default=0) >> 64)) from error


def remembered(
    make: Callable[Concatenate[str, Arguments], Form],
) -> Callable[Concatenate[str, Arguments], Form]:
    """Remember the forms that a function makes of the arguments of layers, which it checks.

    The function is given the name of the layer first, for messages alone. Arguments are told apart
    by type as well, since 1, 1.0 and True are equal. The items of sequences are not, and must have
    been checked before.
    """
    known = lru_cache(maxsize=FORMS, typed=True)(partial(make, ""))

    @wraps(make)
    def form_of(layer: str, /, *args: Arguments.args, **options: Arguments.kwargs) -> Form:
        try:
            return known(*args, **options)  # type: ignore[arg-type]
        except (TypeError, UnrolledError):
            # Arguments that cannot be remembered, or are refused: the error names the layer then.
            return make(layer, *args, **options)

    return form_of


class Choice(NamedTuple):
    """A tensor that is one of several; see `Network.choice`.

    Attributes
    ----------
    tensor : int
        The number of the tensor.
    place : str
        The name of the decision. Choices of one place take the same option.
    labels : tuple of str
        The options.
    is_nothing : tuple of bool
        Whether each option is nothing at all, and has no link.
    """

    tensor: int
    place: str
    labels: tuple[str, ...]
    is_nothing: tuple[bool, ...]


def undone_if_refused(
    layer: Callable[Concatenate[OneBuilder, Arguments], Result],
) -> Callable[Concatenate[OneBuilder, Arguments], Result]:
    """Let a layer method that fails leave the network as it was.

    Some layers are several tensors and links, and what is wrong with them may be found after the
    first. A layer that is declared by one `Builder._declare` under a `Builder._free_name`, and
    changes nothing besides, needs none of this.
    """

    @wraps(layer)
    def whole(self: OneBuilder, /, *args: Arguments.args, **options: Arguments.kwargs) -> Result:
        tensors, links = self._core.sizes()
        numbers, functions = self._numbers, self._functions
        try:
            return layer(self, *args, **options)
        except BaseException as error:  # Whatever it is, Ctrl-C too, it is passed on.
            self._numbers, self._functions = numbers, functions
            self._undo(tensors, links, error)
            raise

    return whole


class Builder:
    """The tensors and links of a network, and how to add to them; the base of all layers.

    What builds layers from these is in `unrolled.network.layers`; what is done with a finished
    network is in `unrolled.network.network`.

    Parameters
    ----------
    name : str
    semantics : {"value", "dependency"}
        See `Network`.
    """

    def __init__(self, name: str, semantics: Semantics) -> None:
        checked_choice("semantics", semantics, SEMANTICS)
        self.name = checked_name(name, "a network")
        self._semantics: Semantics = semantics
        self._core = Core()
        # Most tensors are parameters, whose handles nobody asks for while a network is built.
        self._handles: dict[int, Tensor] = {}
        # These two are replaced and never changed, so that a layer that is refused can be undone.
        self._numbers: Mapping[str, int] = {}
        self._functions: Mapping[str, Callable[[Any], Any]] = {}
        self._moments: dict[str, tuple[float, float]] = {}
        self._links: tuple[Link, ...] = ()
        self._choices: list[Choice] = []

    @property
    def semantics(self) -> Semantics:
        """Which edges normalisers have: "value" or "dependency"."""
        return self._semantics

    def __getitem__(self, name: str) -> Tensor:
        number = self._core.find(name) if isinstance(name, str) else None
        if number is None:
            near = did_you_mean(str(name), [tensor.name for tensor in self.tensors])
            raise UnknownNameError(f"network '{self.name}' has no tensor named {name!r}{near}")
        return self._handle(number)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._core.find(name) is not None

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All tensors in the order of declaration."""
        handles = self._handles
        if len(handles) < self.num_tensors:
            for number, row in enumerate(self._core.tensors):
                if number not in handles:
                    handles[number] = _tensor_of(self, number, row)
        return tuple([handles[number] for number in range(len(handles))])

    @property
    def num_tensors(self) -> int:
        """The number of tensors."""
        return self._core.sizes()[0]

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """The parameters in the order of declaration."""
        return tuple([self._handle(number) for number in self._core.parameters])

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The inputs in the order of declaration."""
        return tuple([self._handle(number) for number in self._core.inputs])

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The outputs in the order they were marked."""
        return tuple([self._handle(number) for number in self._core.outputs])

    @property
    def links(self) -> tuple[Link, ...]:
        """The links in the order of declaration."""
        roles = self._core.roles
        if len(self._links) != len(roles):  # Links are added, never changed or taken away.
            tensors = self.tensors
            self._links = tuple(
                [
                    Link(tensors[source], tensors[target], tuple(relations), role)
                    for (source, target, relations), role in zip(
                        self._core.links, roles, strict=True
                    )
                ]
            )
        return self._links

    @property
    def choices(self) -> tuple[Choice, ...]:
        """The tensors that are one of several, in the order of declaration."""
        return tuple(self._choices)

    def operation(self, tensor: Tensor | str) -> Operation | None:
        """How a tensor is computed from those that are linked to it.

        Parameters
        ----------
        tensor : Tensor or str
            A tensor of this network or its name.

        Returns
        -------
        Operation or None
            None for inputs and parameters. Its kind is "other" for a tensor made by `tensor`
            without an operation.

        Raises
        ------
        InvalidArgumentError, InvalidNetworkError, UnknownNameError
            Something else, a tensor of another network, or an unknown name.

        Examples
        --------
        >>> from unrolled import Network
        >>> net = Network()
        >>> x = net.activation(net.conv(net.input((3, 8, 8)), 4, 3, name="conv"), "gelu")
        >>> net.operation("conv"), net.operation(x)
        (Operation('affine'), Operation('function', 'gelu'))
        """
        found = self[tensor] if isinstance(tensor, str) else tensor
        self._own("operation", found)
        return self._core.operation(found.id) if found.role == "activation" else None

    @property
    def parameter_moments(self) -> dict[str, tuple[float, float]]:
        """Mean and mean square of the stored values of parameters, if an importer read them."""
        return dict(self._moments)

    def record_moments(self, name: str, mean: float, mean_square: float) -> None:
        """Say what the stored values of a parameter are on average, and their squares."""
        self._moments[self[name].name] = (float(mean), float(mean_square))

    @property
    def functions(self) -> dict[str, Callable[[Any], Any]]:
        """Functions of one's own that were given to `activation`, by the name kept for them."""
        return dict(self._functions)

    @property
    def num_inputs(self) -> int:
        """The number of scalar inputs, N_I."""
        return self._core.num_inputs

    @property
    def num_outputs(self) -> int:
        """The number of scalar outputs."""
        return self._core.num_outputs

    @property
    def num_parameters(self) -> int:
        """The number of scalar parameters, reached by an output or not."""
        return sum(prod(tensor.shape) for tensor in self.parameters)

    def input(self, shape: int | Iterable[int], name: str = "input") -> Tensor:
        """Declare an input; its elements are what `num_inputs` counts.

        Parameters
        ----------
        shape : int or sequence of int
            Channels first and without a batch axis, such as ``(3, 224, 224)``.
        name : str
            A name no other tensor has.

        Raises
        ------
        InvalidArgumentError
            A length that is not a positive integer.
        InvalidNetworkError
            The name is taken.
        SizeOverflowError
            More elements than 64 bits can number.
        """
        return self._add(self._layer("input", name), checked_shape(name, shape), "input", False)

    def parameter(self, name: str, shape: int | Iterable[int], trainable: bool = True) -> Tensor:
        """Declare a parameter for layers built with `link`, or to be tied across layers.

        Parameters
        ----------
        name : str
            A name no other tensor has.
        shape : int or sequence of int
            Lengths of its axes; ``()`` for a scalar.
        trainable : bool
            False for state that training does not change, such as batch-norm statistics.

        Raises
        ------
        InvalidArgumentError, InvalidNetworkError, SizeOverflowError
            As for `input`.
        """
        layer = self._layer("parameter", name)
        trainable = boolean(layer, "trainable", trainable)
        return self._add(layer, checked_shape(name, shape), "parameter", trainable)

    def tensor(
        self, name: str, shape: int | Iterable[int], *, operation: Operation | None = None
    ) -> Tensor:
        """Declare an activation, to be computed from other tensors by `link`.

        Parameters
        ----------
        name : str
            A name no other tensor has.
        shape : int or sequence of int
            Lengths of its axes; ``()`` for a scalar.
        operation : Operation, optional
            What is computed of the elements that links name. Counts do not depend on it;
            `propagate` does.

        Raises
        ------
        InvalidArgumentError, InvalidNetworkError, SizeOverflowError
            As for `input`, and an operation with axes that the tensor does not have.
        """
        layer = self._layer("tensor", name)
        if operation is not None and not isinstance(operation, Operation):
            raise InvalidArgumentError(
                f"layer '{layer}': expected an unrolled.Operation, got {described(operation)}"
            )
        return self._new(layer, checked_shape(name, shape), operation)

    def link(
        self,
        source: Tensor,
        target: Tensor,
        relations: Sequence[Relation],
        *,
        role: LinkRole = "data",
    ) -> None:
        """Say which elements of `source` each element of `target` is computed from.

        Parameters
        ----------
        source, target : Tensor
            The earlier tensor and the later one; `target` must be an activation.
        relations : sequence of Relation
            Their Kronecker product is the link; together they cover every axis of both tensors
            exactly once.
        role : {"data", "kernel", "bias", "scale", "shift", "mean", "variance", "table"}
            What the source is to the target. A kernel belongs to the data link before it that has
            none yet, or else to the next one.

        Raises
        ------
        InvalidArgumentError
            Something else than tensors and relations, or an unknown role.
        InvalidNetworkError
            Relations that do not fit the two shapes, or tensors of another network.
        """
        layer = target.name if isinstance(target, Tensor) else "link"
        self._own(layer, source, target)
        if not isinstance(role, str):
            raise InvalidArgumentError(
                f"layer '{layer}': the role of a link must be a word, got {described(role)}"
            )
        try:
            self._core.link(source.id, target.id, list(relations), role)
        except TypeError as error:
            raise InvalidArgumentError(
                f"layer '{layer}': a link from '{source.name}' needs a sequence of "
                f"unrolled.Relation, got {described(relations)}"
            ) from error

    def output(self, *tensors: Tensor) -> None:
        """Mark tensors as outputs: every element of them counts 1 for itself.

        An output may feed further layers; its elements then count 1 plus what lies downstream.

        Raises
        ------
        InvalidArgumentError
            No tensor, or something else than tensors.
        InvalidNetworkError
            A tensor marked before, or of another network.
        """
        if not tensors:
            raise InvalidArgumentError("output() needs at least one tensor")
        self._own("output", *tensors)
        marked = set(self._core.outputs)
        for tensor in tensors:
            if tensor.id in marked:
                raise InvalidNetworkError(
                    f"tensor '{tensor.name}' is marked as an output twice; mark it once"
                )
            marked.add(tensor.id)
        for tensor in tensors:
            self._core.mark_output(tensor.id)

    def keep_function(self, function: PointwiseFunction, name: str | None = None) -> str:
        """Keep a function of one's own, and return the name under which operations find it.

        Parameters
        ----------
        function : callable
            Maps NumPy arrays element by element.
        name : str, optional
            By default that of the function; numbered if another function has it.
        """
        own = name or str(getattr(function, "__name__", type(function).__name__))
        free, number = own, 1
        while self._functions.get(free, function) is not function:
            number += 1
            free = f"{own}#{number}"
        self._functions = {**self._functions, free: function}
        return free

    def number_like(self, other: Builder) -> None:
        """Number unnamed layers to come as another network would, which this one is a copy of.

        Functions of one's own are known under the same names, too.
        """
        self._numbers = {kind: other._last_number(kind) for kind in other._numbers}
        self._functions = dict(other._functions)
        self._moments = {name: of for name, of in other._moments.items() if name in self}

    def check_decided(self) -> None:
        """Refuse a network that is no single model.

        Raises
        ------
        InvalidNetworkError
            It leaves choices open.
        """
        if self._choices:
            places = list(dict.fromkeys(choice.place for choice in self._choices))
            shown = ", ".join(places[:3]) + (", ..." if len(places) > 3 else "")
            raise InvalidNetworkError(
                f"network '{self.name}' leaves choices open ({shown}); take one architecture with "
                "unrolled.search.Space(network).network(row), or all with unrolled.search"
            )

    def choose_like(self, other: Builder, numbers: Mapping[int, int]) -> None:
        """Leave the same decisions open as another network, which this one is a copy of.

        `numbers` has, for the number of every tensor of the other one, that in this one.
        """
        self._choices = [one._replace(tensor=numbers[one.tensor]) for one in other._choices]

    def _layer(self, kind: str, name: str | None) -> str:
        """The name of a new layer: the one given if it is free, or the next automatic one."""
        if name is None:
            name = self._free_name(kind, None)
            self._numbers = {**self._numbers, kind: self._numbers.get(kind, 0) + 1}
            return name
        return self._free_name(kind, name)

    def _last_number(self, kind: str) -> int:
        """The number before that of the next unnamed layer of a kind."""
        number, find = self._numbers.get(kind, 0), self._core.find
        while find(f"{kind}_{number + 1}") is not None:
            number += 1
        return number

    def _free_name(self, kind: str, name: str | None) -> str:
        """As `_layer`, for a layer that will have a tensor of this name, or will not be.

        An automatic number is not used up before there is such a tensor.
        """
        if name is None:
            number = self._last_number(kind)
            if self._numbers.get(kind, 0) != number:
                self._numbers = {**self._numbers, kind: number}
            return f"{kind}_{number + 1}"
        if not isinstance(name, str) or not name or not name.isprintable():
            raise InvalidArgumentError(
                f"a name must be a printable, non-empty string, got {name!r}"
            )
        if self._core.find(name) is not None:
            raise InvalidNetworkError(
                f"layer '{name}': the network has a tensor of this name already; "
                "give every layer a name of its own"
            )
        return name

    def _own(self, layer: str, *tensors: Tensor) -> None:
        """Refuse what is not a tensor of this network."""
        for tensor in tensors:
            if not isinstance(tensor, Tensor):
                raise InvalidArgumentError(
                    f"layer '{layer}': expected a Tensor of this network, got {described(tensor)}"
                )
            if tensor.network is not self:
                raise InvalidNetworkError(
                    f"layer '{layer}': tensor '{tensor.name}' belongs to another network; "
                    "build all layers of a model with the same Network"
                )

    def _add(
        self,
        name: str,
        shape: tuple[int, ...],
        role: Role,
        trainable: bool,
        operation: Operation | None = None,
    ) -> Tensor:
        core = self._core
        try:
            if role == "activation":
                number = core.add_activation(name, shape, operation)
            elif role == "parameter":
                number = core.add_parameter(name, shape, trainable)
            else:
                number = core.add_input(name, shape)
        except SizeOverflowError:
            raise
        except OverflowError as error:
            raise SizeOverflowError(f"layer '{name}': {_too_large(shape)}") from error
        tensor = self._handles[number] = _tensor(self, number, name, shape, role, trainable)
        return tensor

    def _handle(self, number: int) -> Tensor:
        """The handle on a tensor, of which there is one."""
        handle = self._handles.get(number)
        if handle is None:
            handle = self._handles[number] = _tensor_of(self, number, self._core.tensor(number))
        return handle

    def _declare(
        self,
        layer: str,
        form: Form,
        sources: Sequence[Tensor],
        given: Sequence[Tensor | None] = (),
    ) -> Tensor:
        """Declare a layer in one call of the core.

        Parameters that are not given, or are None, are declared before the tensor that is computed.
        """
        numbers: list[int | None] = []
        if given:
            for one, weight in zip(given, form.weights, strict=True):
                if one is None:
                    numbers.append(None)
                else:
                    self._check_given(layer, weight.role, weight.shape, one)
                    numbers.append(one.id)
        read = [sources[0].id] if len(sources) == 1 else [x.id for x in sources]
        core = self._core
        tensors, links = core.sizes()
        try:
            number = core.add_layer(layer, form.declaration, read, numbers)
            tensor = self._handles[number] = _tensor(self, number, layer, form.shape)
        except BaseException as error:  # The core has added nothing, unless it was Ctrl-C later.
            self._undo(tensors, links, error)
            raise
        return tensor

    def _undo(self, tensors: int, links: int, error: BaseException) -> None:
        """Take away what was added beyond so many tensors and links, because of an error.

        Raises
        ------
        MemoryLimitError
            In place of a `MemoryError`.
        """
        self._core.truncate(tensors, links)
        self._handles = {at: one for at, one in self._handles.items() if at < tensors}
        if isinstance(error, MemoryError) and not isinstance(error, MemoryLimitError):
            raise MemoryLimitError(
                f"network '{self.name}': there is not enough memory for this layer; free some, "
                "raise the limit of the process, or use smaller sizes"
            ) from error

    def _compute(
        self,
        layer: str,
        shape: tuple[int, ...],
        operation: Operation,
        data: Sequence[tuple[Tensor, Sequence[Relation]]],
    ) -> Tensor:
        """Declare a layer without parameters, which hardly is like another one."""
        own = form(shape, operation, [relations for _, relations in data])
        return self._declare(layer, own, [source for source, _ in data])

    def _new(self, name: str, shape: tuple[int, ...], operation: Operation | None = None) -> Tensor:
        return self._add(name, shape, "activation", False, operation)

    def _weight(
        self, layer: str, role: LinkRole, shape: tuple[int, ...], given: Tensor | None
    ) -> Tensor:
        """A parameter of a layer of several tensors: the one given, or else a new one."""
        if given is None:
            return self._add(f"{layer}/{role}", shape, "parameter", True)
        self._check_given(layer, role, shape, given)
        return given

    def _check_given(
        self, layer: str, role: LinkRole, shape: tuple[int, ...], given: Tensor
    ) -> None:
        """Refuse a parameter that a layer cannot use."""
        self._own(layer, given)
        if given.shape != shape:
            raise InvalidNetworkError(
                f"layer '{layer}': {role} must have shape {shape}, but '{given.name}' has shape "
                f"{given.shape}"
            )


def _tensor_of(network: Builder, number: int, row: tuple[str, Sequence[int], Role, bool]) -> Tensor:
    """A handle on what the core knows as a tensor."""
    name, shape, role, trainable = row
    return _tensor(network, number, name, tuple(shape), role, trainable)


def _too_large(shape: tuple[int, ...]) -> SizeOverflowError:
    """The error for lengths that the core cannot be told."""
    return SizeOverflowError(
        f"shape {shape} has more elements than 64 bits can number; use smaller sizes"
    )
