"""Normalisation layers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from unrolled._core import Operation, Relation
from unrolled._support.hints import described
from unrolled.errors import InvalidArgumentError, InvalidNetworkError
from unrolled.network.builder import Builder, Tensor, Weight, undone_if_refused
from unrolled.network.relations import along, same
from unrolled.network.shapes import axes_of, axis_of, integer, non_negative


class Normalization(Builder):
    """Layer methods that normalise."""

    @undone_if_refused
    def batch_norm(
        self,
        x: Tensor,
        *,
        axis: int = 0,
        scale: bool | Tensor = True,
        shift: bool | Tensor = True,
        mean: Tensor | None = None,
        variance: Tensor | None = None,
        epsilon: float = 0.0,
        name: str | None = None,
    ) -> Tensor:
        """Batch normalisation as in inference: one edge, and four parameters a channel.

        Mean and variance are parameters that training does not change: ``trainable_only=True``
        leaves them out of a count. The edges are the same in both semantics.

        Parameters
        ----------
        x : Tensor, shape ``(..., channels, ...)``
        axis : int
            The axis of the channels.
        scale, shift : bool or Tensor of shape ``(channels,)``
            Whether there is such a parameter, or the (tied) parameter to use.
        mean, variance : Tensor, shape ``(channels,)``, optional
        epsilon : float
            Added to the variance; counts do not depend on it.
        name : str, optional
            Name of the output; parameters are ``name/scale``, ``name/shift``, ``name/mean`` and
            ``name/variance``.

        Returns
        -------
        Tensor, shape of `x`

        Raises
        ------
        InvalidNetworkError
            An axis out of range, or a tied parameter of another shape.

        Examples
        --------
        >>> from unrolled import Network
        >>> net = Network()
        >>> x = net.batch_norm(net.input((8, 7, 7)), name="bn")
        >>> [(p.name, p.trainable) for p in net.parameters]  # doctest: +NORMALIZE_WHITESPACE
        [('bn/scale', True), ('bn/shift', True),
         ('bn/mean', False), ('bn/variance', False)]
        """
        layer = self._layer("batch_norm", name)
        self._own(layer, x)
        axis = axis_of(layer, axis, len(x.shape))
        shape = (x.shape[axis],)
        relations = along((axis,), len(x.shape))
        weights = _affine(layer, shape, relations, scale, shift)
        weights.append(Weight("mean", shape, relations, mean, False))
        weights.append(Weight("variance", shape, relations, variance, False))
        epsilon = non_negative(layer, "epsilon", epsilon)
        return self._normalise(layer, x, weights, (), _batch_norm(axis, epsilon))

    @undone_if_refused
    def layer_norm(
        self,
        x: Tensor,
        *,
        axes: int | Sequence[int] = -1,
        scale: bool | Tensor = True,
        shift: bool | Tensor = True,
        epsilon: float = 0.0,
        name: str | None = None,
    ) -> Tensor:
        """Layer normalisation over `axes`, with an element-wise scale and shift.

        With value semantics one edge from each element; with dependency semantics one from every
        element of its group, that is of all positions along `axes`.

        Parameters
        ----------
        x : Tensor
        axes : int or sequence of int
            The axes normalised together.
        scale, shift : bool or Tensor of the lengths of `axes`
            Whether there is such a parameter, or the (tied) parameter to use.
        epsilon : float
            Added to the variance; counts do not depend on it.
        name : str, optional
            Name of the output; parameters are ``name/scale`` and ``name/shift``.

        Returns
        -------
        Tensor, shape of `x`

        Raises
        ------
        InvalidArgumentError, InvalidNetworkError
            Axes out of range or named twice, or a tied parameter of another shape.

        Examples
        --------
        >>> from unrolled import Network
        >>> net = Network()
        >>> x = net.layer_norm(net.input((12, 64)), name="norm")
        >>> net["norm/scale"].shape
        (64,)
        """
        layer = self._layer("layer_norm", name)
        return self._normalise_axes(layer, x, "layer_norm", axes, scale, shift, epsilon)

    @undone_if_refused
    def rms_norm(
        self,
        x: Tensor,
        *,
        axes: int | Sequence[int] = -1,
        scale: bool | Tensor = True,
        epsilon: float = 0.0,
        name: str | None = None,
    ) -> Tensor:
        """Division by the root mean square over `axes`: `layer_norm` without a shift.

        Raises
        ------
        InvalidArgumentError, InvalidNetworkError
            As for `layer_norm`.
        """
        layer = self._layer("rms_norm", name)
        return self._normalise_axes(layer, x, "rms_norm", axes, scale, False, epsilon)

    @undone_if_refused
    def group_norm(
        self,
        x: Tensor,
        groups: int,
        *,
        scale: bool | Tensor = True,
        shift: bool | Tensor = True,
        epsilon: float = 0.0,
        name: str | None = None,
    ) -> Tensor:
        """Normalisation over groups of channels and all spatial axes.

        With value semantics one edge from each element; with dependency semantics one from every
        element of its group.

        Parameters
        ----------
        x : Tensor, shape ``(channels, *spatial)``
        groups : int
            Into how many groups the channels fall.
        scale, shift : bool or Tensor of shape ``(channels,)``
            Whether there is such a parameter, or the (tied) parameter to use.
        epsilon : float
            Added to the variance; counts do not depend on it.
        name : str, optional
            Name of the output; parameters are ``name/scale`` and ``name/shift``.

        Returns
        -------
        Tensor, shape of `x`

        Raises
        ------
        InvalidArgumentError, InvalidNetworkError
            Channels that do not divide into the groups, a scalar `x`, or a tied parameter of
            another shape.

        Examples
        --------
        >>> from unrolled import Network
        >>> net = Network()
        >>> net.group_norm(net.input((8, 7, 7)), 4).shape
        (8, 7, 7)
        """
        layer = self._layer("group_norm", name)
        self._own(layer, x)
        groups = integer(layer, "groups", groups)
        return self._normalise_groups(layer, x, groups, scale, shift, epsilon)

    @undone_if_refused
    def instance_norm(
        self,
        x: Tensor,
        *,
        scale: bool | Tensor = True,
        shift: bool | Tensor = True,
        epsilon: float = 0.0,
        name: str | None = None,
    ) -> Tensor:
        """Normalisation of every channel on its own: `group_norm` with a channel a group.

        Raises
        ------
        InvalidArgumentError, InvalidNetworkError
            As for `group_norm`.
        """
        layer = self._layer("instance_norm", name)
        self._own(layer, x)
        groups = x.shape[0] if x.shape else 1
        return self._normalise_groups(layer, x, groups, scale, shift, epsilon)

    @undone_if_refused
    def softmax(self, x: Tensor, *, axis: int = -1, name: str | None = None) -> Tensor:
        """Softmax along an axis.

        Its denominator is a normaliser: with value semantics one edge from each element, with
        dependency semantics one from every element along `axis`.

        Raises
        ------
        InvalidNetworkError
            An axis out of range.

        Examples
        --------
        >>> from unrolled import Network
        >>> net = Network()
        >>> net.softmax(net.input((10,))).shape
        (10,)
        """
        layer = self._layer("softmax", name)
        self._own(layer, x)
        axis = axis_of(layer, axis, len(x.shape))
        operation = Operation("softmax", axes=(axis,))
        return self._normalise(layer, x, [], self._group((axis,)), operation)

    def _group(self, axes: Sequence[int]) -> list[Relation]:
        """What connects a normalised group, if anything does."""
        return [Relation.all(axis, axis) for axis in axes] if self._semantics != "value" else []

    def _normalise_axes(
        self,
        layer: str,
        x: Tensor,
        kind: Literal["layer_norm", "rms_norm"],
        axes: int | Sequence[int],
        scale: bool | Tensor,
        shift: bool | Tensor,
        epsilon: float,
    ) -> Tensor:
        self._own(layer, x)
        numbers = axes_of(layer, axes, len(x.shape))
        shape = tuple([x.shape[axis] for axis in numbers])
        weights = _affine(layer, shape, along(numbers, len(x.shape)), scale, shift)
        epsilon = non_negative(layer, "epsilon", epsilon)
        operation = Operation(kind, axes=numbers, epsilon=epsilon)
        return self._normalise(layer, x, weights, self._group(numbers), operation)

    def _normalise_groups(
        self,
        layer: str,
        x: Tensor,
        groups: int,
        scale: bool | Tensor,
        shift: bool | Tensor,
        epsilon: float,
    ) -> Tensor:
        if not x.shape or x.shape[0] % groups:
            raise InvalidNetworkError(
                f"layer '{layer}': a tensor of shape {x.shape} has no channels that divide into "
                f"{groups} groups"
            )
        group = self._group(range(1, len(x.shape)))
        if self._semantics != "value":
            group.append(Relation.blocks(0, 0, groups=groups))
        epsilon = non_negative(layer, "epsilon", epsilon)
        operation = Operation("group_norm", axes=(0,), groups=groups, epsilon=epsilon)
        weights = _affine(layer, x.shape[:1], along((0,), len(x.shape)), scale, shift)
        return self._normalise(layer, x, weights, group, operation)

    def _normalise(
        self,
        layer: str,
        x: Tensor,
        weights: list[Weight],
        group: Sequence[Relation],
        operation: Operation,
    ) -> Tensor:
        """One edge from each element, or from its whole `group`, and from each weight."""
        relations: Sequence[Relation] = same(len(x.shape))
        if group:
            grouped = {axis for relation in group for axis in relation.target_axes}
            own = [one for one in relations if grouped.isdisjoint(one.target_axes)]
            relations = [*own, *group]
        return self._declare(layer, x.shape, operation, [(x, relations)], weights)


@lru_cache
def _batch_norm(axis: int, epsilon: float) -> Operation:
    """The operation of batch norms, of which a network has many alike."""
    return Operation("batch_norm", axes=(axis,), epsilon=epsilon)


def _affine(
    layer: str,
    shape: tuple[int, ...],
    relations: Sequence[Relation],
    scale: bool | Tensor,
    shift: bool | Tensor,
) -> list[Weight]:
    """The weights that follow a normalisation."""
    for role, given in (("scale", scale), ("shift", shift)):
        if not isinstance(given, (bool, Tensor)):
            raise InvalidArgumentError(
                f"layer '{layer}': {role} must be True, False or a tensor, got {described(given)}"
            )
    weights = []
    if scale is not False:
        weights.append(Weight("scale", shape, relations, None if scale is True else scale))
    if shift is not False:
        weights.append(Weight("shift", shape, relations, None if shift is True else shift))
    return weights
