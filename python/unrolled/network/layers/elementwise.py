"""Functions of single elements, and sums, products and the like of several tensors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from unrolled._core import Operation, Relation
from unrolled._support.hints import described
from unrolled.errors import InvalidArgumentError, InvalidNetworkError
from unrolled.network.builder import (
    FORMS,
    Builder,
    Form,
    PointwiseFunction,
    Tensor,
    form,
    undone_if_refused,
)
from unrolled.network.relations import same

SUM = Operation("sum")
DIFFERENCE = Operation("sum", "subtract")
PRODUCT = Operation("product")
QUOTIENT = Operation("other", "divide")
MAXIMUM = Operation("maximum")
MINIMUM = Operation("maximum", "minimum")


class Elementwise(Builder):
    """Layer methods that work element by element."""

    def activation(
        self,
        x: Tensor,
        function: str | PointwiseFunction = "relu",
        *,
        name: str | None = None,
    ) -> Tensor:
        """A pointwise function: one edge from each element.

        A self-gated function such as "silu" or "gelu" is one function of its argument and one
        edge; `multiply` of `x` and a function of `x` would be two.

        Parameters
        ----------
        x : Tensor
        function : str or callable
            A name such as "relu", with its arguments if it has any: "leaky_relu(0.2)"; or a
            function that maps NumPy arrays element by element. Counts do not depend on it. Names
            that `propagate` does not know may be given a meaning there.
        name : str, optional

        Returns
        -------
        Tensor, shape of `x`

        Raises
        ------
        InvalidArgumentError
            `function` is neither a name nor a function of NumPy arrays.

        Examples
        --------
        >>> from unrolled import Network
        >>> net = Network()
        >>> net.activation(net.input((8, 7, 7)), "silu")
        Tensor('silu_1', shape=(8, 7, 7), role='activation')
        """
        if not isinstance(function, str) or not function:
            return self._activate_own(x, function, name)
        layer = self._free_name(function.partition("(")[0] or function, name)
        self._own(layer, x)
        return self._declare(layer, _function(x.shape, function), [x])

    @undone_if_refused
    def _activate_own(
        self, x: Tensor, function: str | PointwiseFunction, name: str | None
    ) -> Tensor:
        """An activation by a function of one's own."""
        if not callable(function) or not _maps_elements(function):
            layer = name if isinstance(name, str) and name else "activation"
            raise InvalidArgumentError(
                f"layer '{layer}': function must be the name of a function such as "
                "'relu', or a function that maps the elements of a NumPy array, got "
                f"{described(function)}"
            )
        return self.activation(x, self.keep_function(function), name=name)

    def add(self, *xs: Tensor, name: str | None = None) -> Tensor:
        """Sum of tensors after broadcasting; one edge for each occurrence of an operand.

        NumPy's rules hold: shapes align at their last axes. In addition, a vector ``(channels,)``
        meets ``(channels, *spatial)`` of two or three spatial axes channel by channel; a vector
        that fits the last axis as well is refused as ambiguous.

        Parameters
        ----------
        *xs : Tensor
            At least one; ``add(x, x)`` is two edges.
        name : str, optional

        Returns
        -------
        Tensor
            Of the common shape.

        Raises
        ------
        InvalidArgumentError
            No operand.
        InvalidNetworkError
            Shapes that do not broadcast.

        Examples
        --------
        >>> from unrolled import Network
        >>> net = Network()
        >>> x = net.input((8, 7, 7))
        >>> net.add(x, net.activation(x)).shape
        (8, 7, 7)
        """
        return self._combine(self._free_name("add", name), xs, SUM)

    def subtract(self, a: Tensor, b: Tensor, *, name: str | None = None) -> Tensor:
        """Difference of two tensors; edges and errors as for `add`."""
        return self._combine(self._free_name("subtract", name), (a, b), DIFFERENCE)

    def multiply(self, *xs: Tensor, name: str | None = None) -> Tensor:
        """Product of tensors, a gate for example; both factors are edges, as for `add`.

        Raises
        ------
        InvalidArgumentError, InvalidNetworkError
            As for `add`.

        Examples
        --------
        >>> from unrolled import Network
        >>> net = Network()
        >>> x = net.input((8, 7, 7))
        >>> gate = net.dense(net.global_pool(x), 8)
        >>> net.multiply(x, net.reshape(gate, (8, 1, 1))).shape
        (8, 7, 7)
        """
        return self._combine(self._free_name("multiply", name), xs, PRODUCT)

    def divide(self, a: Tensor, b: Tensor, *, name: str | None = None) -> Tensor:
        """Quotient of two tensors; edges and errors as for `add`."""
        return self._combine(self._free_name("divide", name), (a, b), QUOTIENT)

    def maximum(self, *xs: Tensor, name: str | None = None) -> Tensor:
        """Largest of several tensors, element by element; edges and errors as for `add`."""
        return self._combine(self._free_name("maximum", name), xs, MAXIMUM)

    def minimum(self, *xs: Tensor, name: str | None = None) -> Tensor:
        """Smallest of several tensors, element by element; edges and errors as for `add`."""
        return self._combine(self._free_name("minimum", name), xs, MINIMUM)

    def _combine(self, layer: str, xs: Sequence[Tensor], operation: Operation) -> Tensor:
        if not xs:
            raise InvalidArgumentError(f"layer '{layer}': at least one operand is needed, got none")
        self._own(layer, *xs)
        shape = xs[0].shape
        if all(x.shape == shape for x in xs):
            return self._declare(layer, _alike(shape, operation, len(xs)), xs)
        shapes = [x.shape for x in xs]
        offsets = _offsets(layer, shapes)
        shape = broadcast_shape(layer, shapes, offsets)
        data = [
            (x, alignment(x.shape, shape, offset)) for x, offset in zip(xs, offsets, strict=True)
        ]
        return self._compute(layer, shape, operation, data)


@lru_cache(maxsize=FORMS)
def _alike(shape: tuple[int, ...], operation: Operation, operands: int) -> Form:
    """What is computed element by element of so many operands of its own shape."""
    return form(shape, operation, [same(len(shape))] * operands)


@lru_cache(maxsize=FORMS)
def _function(shape: tuple[int, ...], name: str) -> Form:
    """A function of the elements of a tensor of this shape."""
    return form(shape, Operation("function", name), [same(len(shape))])


def _maps_elements(function: PointwiseFunction) -> bool:
    """Whether a function gives an array of the shape that it was given."""
    probe = np.array([[-0.5, 0.0, 0.5]])
    try:
        return np.shape(function(probe)) == probe.shape
    except Exception:
        return False


def alignment(source: tuple[int, ...], target: tuple[int, ...], offset: int) -> list[Relation]:
    """How a tensor is read after broadcasting if its first axis meets axis `offset`."""
    relations = []
    for axis, length in enumerate(target):
        at = axis - offset
        if not 0 <= at < len(source):
            relations.append(Relation.sum(axis))
        elif source[at] == length:
            relations.append(Relation.same(at, axis))
        else:
            relations.append(Relation.all(at, axis))
    return relations


def broadcast_shape(
    layer: str, shapes: Sequence[tuple[int, ...]], offsets: Sequence[int]
) -> tuple[int, ...]:
    """The common shape of operands whose first axes meet the axes `offsets`."""
    result = [1] * max(len(shape) for shape in shapes)
    for shape, offset in zip(shapes, offsets, strict=True):
        for axis, length in enumerate(shape, offset):
            if result[axis] == 1:
                result[axis] = length
            elif length not in (1, result[axis]):
                listed = ", ".join(map(str, shapes))
                raise InvalidNetworkError(
                    f"layer '{layer}': shapes {listed} do not broadcast; aligned at their last "
                    "axes, lengths must be equal or 1 (reshape one of them first)"
                )
    return tuple(result)


def _offsets(layer: str, shapes: Sequence[tuple[int, ...]]) -> list[int]:
    """For every operand the axis of the result that its first axis meets."""
    rank = max(len(shape) for shape in shapes)
    offsets = [rank - len(shape) for shape in shapes]
    if rank < 3:
        return offsets
    full = [shape for shape in shapes if len(shape) == rank]
    first, last = (max(shape[axis] for shape in full) for axis in (0, -1))
    for position, shape in enumerate(shapes):
        if len(shape) != 1 or shape[0] == 1 or shape[0] != first:
            continue
        if first == last:
            raise InvalidNetworkError(
                f"layer '{layer}': a vector of shape {shape} fits both the first and the last axis "
                f"of {full[0]}; reshape it to have {rank} axes"
            )
        offsets[position] = 0
    return offsets
