"""Normalisation layers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Literal

from unrolled._core import Operation, Relation
from unrolled._support.hints import described
from unrolled.errors import InvalidArgumentError, InvalidNetworkError
from unrolled.network.builder import (
    FORMS,
    Builder,
    Form,
    LinkRole,
    Tensor,
    Weight,
    form,
    remembered,
    undone_if_refused,
)
from unrolled.network.relations import along, same
from unrolled.network.shapes import axes_of, axis_of, integer, non_negative


class Normalization(Builder):
    """Layer methods that normalise."""

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
        InvalidArgumentError
            A scale or shift that is neither a truth value nor a tensor, or a negative epsilon.
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
        layer = self._free_name("batch_norm", name)
        self._own(layer, x)
        if scale is shift is True and mean is variance is None:
            return self._declare(layer, _batch_norm(layer, x.shape, axis, epsilon), [x])
        axis = axis_of(layer, axis, len(x.shape))
        weights = _affine(layer, scale, shift)
        weights["mean"], weights["variance"] = mean, variance
        operation = _operation("batch_norm", (axis,), 1, non_negative(layer, "epsilon", epsilon))
        return self._normalise(layer, x, weights, (axis,), (), operation)

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
            Axes out of range or named twice, a negative epsilon, or a tied parameter of another
            shape.

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
        InvalidArgumentError, InvalidNetworkError
            An axis that is no integer, or out of range.

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
        return self._normalise(layer, x, {}, (), self._group((axis,)), operation)

    def _group(self, axes: Iterable[int]) -> tuple[Relation, ...]:
        """What connects a normalised group, if anything does."""
        return () if self._semantics == "value" else tuple([Relation.all(a, a) for a in axes])

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
        weights = _affine(layer, scale, shift)
        operation = _operation(kind, numbers, 1, non_negative(layer, "epsilon", epsilon))
        return self._normalise(layer, x, weights, numbers, self._group(numbers), operation)

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
            group = (*group, Relation.blocks(0, 0, groups=groups))
        epsilon = non_negative(layer, "epsilon", epsilon)
        weights = _affine(layer, scale, shift)
        operation = _operation("group_norm", (0,), groups, epsilon)
        return self._normalise(layer, x, weights, (0,), group, operation)

    def _normalise(
        self,
        layer: str,
        x: Tensor,
        weights: dict[LinkRole, Tensor | None],
        axes: tuple[int, ...],
        group: tuple[Relation, ...],
        operation: Operation,
    ) -> Tensor:
        """One edge from each element, or from its whole `group`, and from the weights of `axes`."""
        own = _norm(x.shape, tuple(weights), axes, group, operation)
        return self._declare(layer, own, [x], tuple(weights.values()))


@lru_cache(maxsize=FORMS)
def _norm(
    shape: tuple[int, ...],
    roles: tuple[LinkRole, ...],
    axes: tuple[int, ...],
    group: tuple[Relation, ...],
    operation: Operation,
) -> Form:
    """A normalisation, with weights along `axes`."""
    rank = len(shape)
    grouped = {axis for relation in group for axis in relation.target_axes}
    read = [one for one in same(rank) if grouped.isdisjoint(one.target_axes)]
    lengths = tuple([shape[axis] for axis in axes])
    weights = [
        Weight(role, lengths, along(axes, rank), trainable=role in ("scale", "shift"))
        for role in roles
    ]
    return form(shape, operation, [[*read, *group]], weights)


@remembered
def _batch_norm(layer: str, shape: tuple[int, ...], axis: int, epsilon: float) -> Form:
    """A batch norm with parameters of its own."""
    axis = axis_of(layer, axis, len(shape))
    operation = _operation("batch_norm", (axis,), 1, non_negative(layer, "epsilon", epsilon))
    return _norm(shape, ("scale", "shift", "mean", "variance"), (axis,), (), operation)


@lru_cache(maxsize=FORMS)
def _operation(
    kind: Literal["batch_norm", "layer_norm", "rms_norm", "group_norm"],
    axes: tuple[int, ...],
    groups: int,
    epsilon: float,
) -> Operation:
    return Operation(kind, axes=axes, groups=groups, epsilon=epsilon)


def _affine(
    layer: str, scale: bool | Tensor, shift: bool | Tensor
) -> dict[LinkRole, Tensor | None]:
    """The weights that follow a normalisation: the tensors given, and None for new ones."""
    weights: dict[LinkRole, Tensor | None] = {}
    offered: tuple[tuple[LinkRole, bool | Tensor], ...] = (("scale", scale), ("shift", shift))
    for role, given in offered:
        if given is True or isinstance(given, Tensor):
            weights[role] = None if given is True else given
        elif given is not False:
            raise InvalidArgumentError(
                f"layer '{layer}': {role} must be True, False or a tensor, got {described(given)}"
            )
    return weights
