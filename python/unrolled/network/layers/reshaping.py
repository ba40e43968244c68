"""Layers that regroup or permute axes: one edge from the element read."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from unrolled._core import Operation, Relation
from unrolled.errors import InvalidArgumentError, InvalidNetworkError
from unrolled.network.builder import Builder, Tensor, undone_if_refused
from unrolled.network.shapes import axes_of, integer

MOVE = Operation("move")


class Reshaping(Builder):
    """Layer methods that regroup or permute axes."""

    @undone_if_refused
    def reshape(self, x: Tensor, shape: int | Sequence[int], *, name: str | None = None) -> Tensor:
        """Give the elements another shape, in row-major order.

        Parameters
        ----------
        x : Tensor
        shape : int or sequence of int
            The new lengths; one of them may be -1 and is worked out.
        name : str, optional

        Returns
        -------
        Tensor, shape `shape`

        Raises
        ------
        InvalidArgumentError
            A length that is neither positive nor -1.
        InvalidNetworkError
            Another number of elements.

        Examples
        --------
        >>> from unrolled import Network
        >>> net = Network()
        >>> net.reshape(net.input((8, 7, 7)), (8, -1)).shape
        (8, 49)
        """
        layer = self._layer("reshape", name)
        self._own(layer, x)
        given = shape if isinstance(shape, Sequence) else (shape,)
        wanted = _resolve(layer, x.shape, [integer(layer, "a length", n, least=-1) for n in given])
        return self._compute(layer, wanted, MOVE, [(x, regrouping(x.shape, wanted))])

    @undone_if_refused
    def flatten(self, x: Tensor, *, name: str | None = None) -> Tensor:
        """Give the elements a single axis, in row-major order.

        Examples
        --------
        >>> from unrolled import Network
        >>> net = Network()
        >>> net.flatten(net.input((8, 7, 7))).shape
        (392,)
        """
        layer = self._layer("flatten", name)
        self._own(layer, x)
        shape = (x.size,)
        return self._compute(layer, shape, MOVE, [(x, regrouping(x.shape, shape))])

    @undone_if_refused
    def transpose(
        self, x: Tensor, axes: Sequence[int] | None = None, *, name: str | None = None
    ) -> Tensor:
        """Permute the axes.

        Parameters
        ----------
        x : Tensor
        axes : sequence of int, optional
            Axis `i` of the result is axis ``axes[i]`` of `x`; all in reverse by default.
        name : str, optional

        Raises
        ------
        InvalidArgumentError
            `axes` is not a permutation.

        Examples
        --------
        >>> from unrolled import Network
        >>> net = Network()
        >>> net.transpose(net.input((8, 7, 5)), (2, 0, 1)).shape
        (5, 8, 7)
        """
        layer = self._layer("transpose", name)
        self._own(layer, x)
        rank = len(x.shape)
        order = tuple(reversed(range(rank))) if axes is None else axes_of(layer, axes, rank)
        if len(order) != rank:
            raise InvalidArgumentError(
                f"layer '{layer}': axes {order} are not a permutation of the {rank} axes of "
                f"'{x.name}'"
            )
        shape = tuple([x.shape[axis] for axis in order])
        relations = [Relation.same(source, target) for target, source in enumerate(order)]
        return self._compute(layer, shape, MOVE, [(x, relations)])


def _resolve(layer: str, source: tuple[int, ...], wanted: list[int]) -> tuple[int, ...]:
    """The wanted shape with -1 worked out."""
    if 0 in wanted or wanted.count(-1) > 1:
        raise InvalidArgumentError(
            f"layer '{layer}': lengths must be positive and at most one may be -1, got {wanted}"
        )
    size, known = prod(source), prod(length for length in wanted if length > 0)
    if -1 in wanted and size % known == 0:
        wanted = [length if length > 0 else size // known for length in wanted]
    if -1 in wanted or prod(wanted) != size:
        raise InvalidNetworkError(
            f"layer '{layer}': a tensor of shape {source} has {size} elements and cannot be given "
            f"the shape {tuple(wanted)}"
        )
    return tuple(wanted)


def regrouping(source: tuple[int, ...], target: tuple[int, ...]) -> list[Relation]:
    """A reshape in the smallest groups of axes: what stays as it is costs nothing to count."""
    relations: list[Relation] = []
    i = o = 0
    while i < len(source) or o < len(target):
        if i < len(source) and source[i] == 1:
            relations.append(Relation.each(i))
            i += 1
        elif o < len(target) and target[o] == 1:
            relations.append(Relation.sum(o))
            o += 1
        else:
            first_i, first_o = i, o
            inner, outer = source[i], target[o]
            i, o = i + 1, o + 1
            while inner != outer:
                if inner < outer:
                    inner *= source[i]
                    i += 1
                else:
                    outer *= target[o]
                    o += 1
            if i == first_i + 1 and o == first_o + 1:
                relations.append(Relation.same(first_i, first_o))
            else:
                relations.append(Relation.reshape([*range(first_i, i)], [*range(first_o, o)]))
    return relations
