"""Tensors that are one of several: the places where architectures of a search space differ."""

from __future__ import annotations

from collections.abc import Mapping

from unrolled._core import Operation, Relation
from unrolled._support.hints import described
from unrolled.errors import InvalidArgumentError, InvalidNetworkError
from unrolled.network.builder import Builder, Choice, Tensor, undone_if_refused

SUM = Operation("sum")


class Selection(Builder):
    """The layer method that leaves a decision open."""

    @undone_if_refused
    def choice(
        self, name: str, options: Mapping[str, Tensor | None], *, place: str | None = None
    ) -> Tensor:
        """A tensor that is one of several, or nothing: a place where architectures differ.

        A network with choices stands for all its architectures, which `unrolled.search` counts and
        scores. An option may be another choice, or be computed from one. What is computed from
        nothing is nothing, too, and a sum leaves it out.

        Parameters
        ----------
        name : str
            A name that no other tensor has.
        options : mapping of str to Tensor or None
            The options by label, all of one shape. None is nothing: no edge at all.
        place : str, optional
            The name of the decision; by default that of the tensor. Choices of one place, in the
            repeated cells of a network for example, have the same labels and take the same option.

        Returns
        -------
        Tensor, shape of the options

        Raises
        ------
        InvalidArgumentError
            No options, labels that are no strings, or options that are neither tensors nor None.
        InvalidNetworkError
            Options of different shapes, nothing but None, or labels that differ from those of
            another choice of the same place.

        Examples
        --------
        >>> from unrolled import Network
        >>> net = Network("cell")
        >>> x = net.input((8, 16, 16))
        >>> y = net.choice("edge", {"skip": x, "conv3": net.conv(x, 8, 3), "none": None})
        >>> y
        Tensor('edge', shape=(8, 16, 16), role='activation')
        >>> net.choices[0].labels
        ('skip', 'conv3', 'none')
        """
        layer = self._layer("choice", name)
        place = layer if place is None else place
        if not isinstance(place, str) or not place.isprintable() or not place:
            raise InvalidArgumentError(
                f"layer '{layer}': place must be a printable, non-empty string, got {place!r}"
            )
        if not isinstance(options, Mapping):
            raise InvalidArgumentError(
                f"layer '{layer}': options must be a mapping of labels to tensors or None, got "
                f"{described(options)}"
            )
        if not options:
            raise InvalidArgumentError(
                f"layer '{layer}': a choice needs at least one option; got none"
            )
        for label in options:
            if not isinstance(label, str) or not label or not label.isprintable():
                raise InvalidArgumentError(
                    f"layer '{layer}': labels must be printable, non-empty strings, got {label!r}"
                )
        tensors = [tensor for tensor in options.values() if tensor is not None]
        self._own(layer, *tensors)
        if not tensors:
            raise InvalidNetworkError(
                f"layer '{layer}': every option is None; at least one must be a tensor"
            )
        shape = tensors[0].shape
        for label, tensor in options.items():
            if tensor is not None and tensor.shape != shape:
                raise InvalidNetworkError(
                    f"layer '{layer}': options must have one shape, but '{tensors[0].name}' has "
                    f"{shape} and {label!r}, '{tensor.name}', has {tensor.shape}; what changes "
                    "shapes is for unrolled.search.Space.from_function"
                )
        labels = tuple(options)
        for other in self._choices:
            if other.place == place and other.labels != labels:
                raise InvalidNetworkError(
                    f"layer '{layer}': place {place!r} has the options "
                    f"{', '.join(other.labels)} at '{self._handle(other.tensor).name}'; choices "
                    f"of one place need the same, got {', '.join(labels)}"
                )
        chosen = self._new(layer, shape, SUM)
        relations = [Relation.same(axis, axis) for axis in range(len(shape))]
        for tensor in tensors:
            self.link(tensor, chosen, relations)
        is_nothing = tuple(tensor is None for tensor in options.values())
        self._choices.append(Choice(chosen.id, place, labels, is_nothing))
        return chosen
