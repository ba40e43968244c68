"""What stands for a tensor while a model is read: values, constants, and nodes not made yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from operator import index
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from unrolled._support.hints import described
from unrolled.errors import InvalidModelError
from unrolled.importers.tracing.functions import IDENTITY, Composition

if TYPE_CHECKING:
    from unrolled._core import Operation
    from unrolled.network.builder import Tensor

__all__ = [
    "INVERSE",
    "OPPOSITE",
    "OTHER_NORMALISERS",
    "Combination",
    "Constant",
    "Kind",
    "Node",
    "Operand",
    "Shape",
    "Shift",
    "Sign",
    "Value",
    "broadcast_shapes",
    "checked_axes",
    "checked_axis",
]

Shape: TypeAlias = tuple[int, ...]
Kind: TypeAlias = Literal[
    "tensor",
    "input",
    "parameter",
    "frozen",
    "sum",
    "product",
    "reduction",
    "normalised",
    "reshaped",
    "padded",
    "contracted",
    "masked",
]
Sign: TypeAlias = Literal["", "-", "/"]
Combination: TypeAlias = Literal["sum", "product"]
Array: TypeAlias = npt.NDArray[Any]


OTHER_NORMALISERS = ("log_softmax", "sparsemax")
"""Normalisers whose operation is of the kind "other", with their name."""

OPPOSITE: dict[Sign, Sign] = {"": "-", "-": "", "/": "-"}
INVERSE: dict[Sign, Sign] = {"": "/", "-": "/", "/": ""}

LONGEST_CHAIN = 64
"""Nodes that wait, one behind the other; operands of which every pair is looked at."""


@dataclass(eq=False, slots=True)
class Node:
    """A tensor of the network, or one that is made only if something reads it as it is.

    Sums, products, statistics and normalised tensors wait, because what they turn out to be depends
    on what follows: a mean that is subtracted from its own tensor is a normaliser, and has no
    edges of its own with value semantics.

    Attributes
    ----------
    kind : str
        "tensor", "input", "parameter" or "frozen", a parameter that training does not change;
        "sum", "product", "reduction", "normalised", "reshaped", "padded", "contracted" or
        "masked".
    name : str
        For the tensor.
    shape : tuple of int
        Of a reduction with the axes reduced kept, their length being 1.
    operands : tuple of Value
        What it is computed from; none for a tensor.
    axes : tuple of int
        Reduced, or normalised; of a padded tensor, for every axis the positions added in front.
    parent : Node or None
        The nearest node that all operands are pointwise functions of, if there is one.
    depth : int
        How many nodes wait behind this one at most.
    is_divided : bool
        Of a normalised one: whether more was done than to subtract a mean.
    shift : Shift or None
        Of a reduction: the statistic that was subtracted from what it reduces.
    scaled : (Node, tuple of Node) or None
        If it is the product of a normalised tensor and other factors, that tensor and those.
    tensor : Tensor or None
        Once it is made.
    is_weight : bool
        Whether it is a parameter, or computed from parameters alone.
    operation : Operation or None
        How it is computed, where that is known before it is made.
    normaliser : str
        Of a normalised one: the kind of its operation, such as "layer_norm".
    reduction : str
        Of a reduction: "mean", "sum", "max", "norm", or nothing if it is another one.
    views : dict
        Tensors of functions of it, by the name of the function, once they are made.
    labels : tuple of tuple of int
        Of a contracted one: those of the axes of its operands, and at last its own.
    hidden : numpy.ndarray of bool or None
        The elements that are constants, where some are: of a masked one those that a mask hides.
    """

    kind: Kind
    name: str
    shape: Shape
    operands: tuple[Value, ...] = ()
    axes: tuple[int, ...] = ()
    parent: Node | None = None
    depth: int = 0
    is_divided: bool = True
    shift: Shift | None = None
    scaled: tuple[Node, tuple[Node, ...]] | None = None
    tensor: Tensor | None = None
    is_weight: bool = False
    operation: Operation | None = None
    normaliser: str = ""
    reduction: str = ""
    views: dict[str, Tensor] = field(default_factory=dict)
    labels: tuple[tuple[int, ...], ...] = ()
    hidden: Array | None = None

    @property
    def is_statistic(self) -> bool:
        """Whether it is a reduction, or a sum or product that waits because of one."""
        node = self
        while node.kind in ("sum", "product") and node.parent is not None:
            node = node.parent
        return node.kind in ("reduction", "sum", "product")

    def functions_of(self, *, normalised: bool = False) -> list[Node]:
        """Itself and what it is a pointwise function of, the nearest first, not without end.

        If `normalised`, a normalised tensor is followed by the one that it normalises.
        """
        chain: list[Node] = []
        node: Node | None = self
        while node is not None and len(chain) <= LONGEST_CHAIN:
            chain.append(node)
            through = normalised and node.kind == "normalised"
            node = node.operands[0].node if through else node.parent
        return chain


class Shift(NamedTuple):
    """A statistic that was subtracted from its own tensor, as before exponentials are added up.

    Attributes
    ----------
    statistic : Node
    axes : tuple of int
        Of the group that it is taken of.
    sign : {"", "-"}
        With which it is in the difference.
    """

    statistic: Node
    axes: tuple[int, ...]
    sign: Sign


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """A tensor of the model: a pointwise function of a node.

    Pointwise functions of one tensor have one edge an element, which changes no count, so they
    are the node itself.

    Attributes
    ----------
    node : Node
    shape : tuple of int
    axes : tuple of int or None, or None
        The axis of the node that each axis is, None for an axis that it does not have; None if
        the axes are those of the node. Only statistics are looked at so.
    sign : {"", "-", "/"}
        Whether it is the negative or the reciprocal.
    mapped : bool
        Whether another function than these was applied.
    awaits_scale : bool
        Whether it is of quantised integers that nothing has scaled yet.
    shift : Shift or None
        The statistic of its own that was subtracted from it, and may be added back later.
    function : Composition
        What was done to the elements of the node, signs and reciprocals included. It is followed
        only if the tracer keeps operations.
    fill : float or None
        What the hidden elements of its node are, as far as it is known; of scores that a mask puts
        out something very low, of probabilities zero, and of conditions a bool.
    """

    node: Node
    shape: Shape
    axes: tuple[int | None, ...] | None = None
    sign: Sign = ""
    mapped: bool = False
    awaits_scale: bool = False
    shift: Shift | None = None
    function: Composition = IDENTITY
    fill: float | None = None

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return size_of(self.shape)

    def signed(self, sign: Sign) -> Value:
        """The same, marked as negative, reciprocal or neither."""
        return self if self.sign == sign else replace(self, sign=sign)


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """A tensor that depends on no input and no parameter; nothing has an edge from it.

    Attributes
    ----------
    shape : tuple of int
    array : numpy.ndarray or None
        Its elements; None where they are too many, or not in the file.
    """

    shape: Shape
    array: Array | None = None

    @staticmethod
    def of(array: Any) -> Constant:
        """A constant with known elements."""
        array = np.asarray(array)
        return Constant(array.shape, array)

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return size_of(self.shape)

    def only_number(self) -> float | None:
        """The number that all its elements are, or None."""
        if self.array is None:
            return None
        flat = self.array.reshape(-1)
        is_one = flat.size > 0 and flat.dtype.kind in "iufb" and bool(np.all(flat == flat[0]))
        return float(flat[0]) if is_one else None

    def integers(self, what: str) -> list[int]:
        """Its elements as a list of ints.

        Raises
        ------
        InvalidModelError
            They are not known, or no integers.
        """
        if self.array is None:
            raise InvalidModelError(f"{what}: the values are not in the file")
        array = self.array.reshape(-1)
        if array.dtype.kind == "f" and np.all(np.isfinite(array)) and np.all(array % 1 == 0):
            array = array.astype(np.int64)
        if array.dtype.kind not in "iub":
            raise InvalidModelError(f"{what}: expected integers, got {described(array)}")
        return [int(number) for number in array]


Operand: TypeAlias = Value | Constant


def checked_axis(what: str, axis: Any, rank: int) -> int:
    """An axis counted from the front.

    Raises
    ------
    InvalidModelError
        It is no integer, or there is no such axis.
    """
    return checked_axes(what, [axis], rank)[0]


def checked_axes(what: str, axes: Iterable[Any], rank: int) -> list[int]:
    """Axes counted from the front.

    Raises
    ------
    InvalidModelError
        One is no integer, or there is no such axis.
    """
    found = []
    for axis in axes:
        try:
            number = index(axis)
        except TypeError:
            raise InvalidModelError(f"{what}: an axis is no integer: {described(axis)}") from None
        if not -rank <= number < rank:
            raise InvalidModelError(
                f"{what}: axis {number} is out of range for a tensor of {rank} "
                f"{'axis' if rank == 1 else 'axes'}"
            )
        found.append(number % rank)
    return found


def size_of(shape: Sequence[int]) -> int:
    """The number of elements of a tensor, as a Python integer."""
    size = 1
    for length in shape:
        size *= length
    return size


def broadcast_shapes(what: str, shapes: Sequence[Shape]) -> Shape:
    """The common shape by NumPy's rules, without a limit on the number of axes.

    Raises
    ------
    InvalidModelError
        There is none.
    """
    result = [1] * max((len(shape) for shape in shapes), default=0)
    for shape in shapes:
        for axis, length in enumerate(shape, len(result) - len(shape)):
            if result[axis] == 1:
                result[axis] = length
            elif length not in (1, result[axis]):
                listed = ", ".join(map(str, shapes))
                raise InvalidModelError(f"{what}: shapes {listed} do not broadcast")
    return tuple(result)
