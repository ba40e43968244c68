"""Normalisation layers."""

from __future__ import annotations

from collections.abc import Sequence

from unrolled._core import Relation
from unrolled._support.hints import described
from unrolled.errors import InvalidArgumentError, InvalidNetworkError
from unrolled.network.builder import Builder, Tensor, Weight
from unrolled.network.shapes import axes_of, axis_of, integer


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
        weights = _affine(layer, shape, scale, shift)
        weights.append(Weight("mean", shape, mean, False))
        weights.append(Weight("variance", shape, variance, False))
        return self._normalise(layer, x, weights, (axis,), [])

    def layer_norm(
        self,
        x: Tensor,
        *,
        axes: int | Sequence[int] = -1,
        scale: bool | Tensor = True,
        shift: bool | Tensor = True,
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
        return self._normalise_axes(layer, x, axes, scale, shift)

    def rms_norm(
        self,
        x: Tensor,
        *,
        axes: int | Sequence[int] = -1,
        scale: bool | Tensor = True,
        name: str | None = None,
    ) -> Tensor:
        """Division by the root mean square over `axes`: `layer_norm` without a shift.

        Raises
        ------
        InvalidArgumentError, InvalidNetworkError
            As for `layer_norm`.
        """
        return self._normalise_axes(self._layer("rms_norm", name), x, axes, scale, False)

    def group_norm(
        self,
        x: Tensor,
        groups: int,
        *,
        scale: bool | Tensor = True,
        shift: bool | Tensor = True,
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
        return self._normalise_groups(layer, x, integer(layer, "groups", groups), scale, shift)

    def instance_norm(
        self,
        x: Tensor,
        *,
        scale: bool | Tensor = True,
        shift: bool | Tensor = True,
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
        return self._normalise_groups(layer, x, x.shape[0] if x.shape else 1, scale, shift)

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
        return self._normalise(layer, x, [], (), self._group((axis,)))

    def _group(self, axes: Sequence[int]) -> list[Relation]:
        """What connects a normalised group, if anything does."""
        return [Relation.all(axis, axis) for axis in axes] if self._semantics != "value" else []

    def _normalise_axes(
        self,
        layer: str,
        x: Tensor,
        axes: int | Sequence[int],
        scale: bool | Tensor,
        shift: bool | Tensor,
    ) -> Tensor:
        self._own(layer, x)
        numbers = axes_of(layer, axes, len(x.shape))
        weights = _affine(layer, tuple([x.shape[axis] for axis in numbers]), scale, shift)
        return self._normalise(layer, x, weights, numbers, self._group(numbers))

    def _normalise_groups(
        self, layer: str, x: Tensor, groups: int, scale: bool | Tensor, shift: bool | Tensor
    ) -> Tensor:
        if not x.shape or x.shape[0] % groups:
            raise InvalidNetworkError(
                f"layer '{layer}': a tensor of shape {x.shape} has no channels that divide into "
                f"{groups} groups"
            )
        group = self._group(range(1, len(x.shape)))
        if self._semantics != "value":
            group.append(Relation.blocks(0, 0, groups=groups))
        return self._normalise(layer, x, _affine(layer, x.shape[:1], scale, shift), (0,), group)

    def _normalise(
        self,
        layer: str,
        x: Tensor,
        weights: list[Weight],
        weight_axes: Sequence[int],
        group: Sequence[Relation],
    ) -> Tensor:
        """One edge from each element, or from its whole `group`, and from each weight."""
        sources = self._weights(layer, *weights)
        y = self._new(layer, x.shape)
        rank = len(x.shape)
        grouped = {axis for relation in group for axis in relation.target_axes}
        same = [Relation.same(axis, axis) for axis in range(rank) if axis not in grouped]
        self._core.link(x.id, y.id, [*same, *group])
        relations = [Relation.sum(axis) for axis in range(rank) if axis not in weight_axes]
        relations += [Relation.same(at, axis) for at, axis in enumerate(weight_axes)]
        for source in sources:
            self._core.link(source.id, y.id, relations)
        return y


def _affine(
    layer: str, shape: tuple[int, ...], scale: bool | Tensor, shift: bool | Tensor
) -> list[Weight]:
    """The weights that follow a normalisation."""
    for role, given in (("scale", scale), ("shift", shift)):
        if not isinstance(given, (bool, Tensor)):
            raise InvalidArgumentError(
                f"layer '{layer}': {role} must be True, False or a tensor, got {described(given)}"
            )
    return [
        Weight(role, shape, None if given is True else given)
        for role, given in (("scale", scale), ("shift", shift))
        if given is not False
    ]
