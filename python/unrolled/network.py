"""`Network`: describes a model, layer by layer, to the counting core."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, get_args

from unrolled import _core
from unrolled._core import Operation
from unrolled._hints import did_you_mean
from unrolled._layers._base import Link, Semantics, Tensor
from unrolled._layers.attention import Attention
from unrolled._layers.convolution import Convolution
from unrolled._layers.elementwise import Elementwise
from unrolled._layers.movement import Movement
from unrolled._layers.pooling import Pooling
from unrolled.errors import (
    InvalidArgumentError,
    InvalidNetworkError,
    UnknownNameError,
    UnrolledError,
)
from unrolled.sharing import Layer, SharingKey, layers, merged, sharing_groups

if TYPE_CHECKING:
    from unrolled.graph import Graph
    from unrolled.importers import Provenance

__all__ = ["Link", "Network", "Tensor"]


class Network(Convolution, Pooling, Elementwise, Movement, Attention):
    """A computational graph, described tensor by tensor.

    Layer methods take `Tensor` handles, add tensors and links, and return the output. Shapes are
    channels first and have no batch axis: ``(channels, height, width)`` for images,
    ``(tokens, channels)`` for sequences. Passing the same parameter to several layers ties them.

    Parameters
    ----------
    name : str
        Shown in tables.
    semantics : {"value", "dependency"}
        Which edges normalisers have. "value": layer, group, instance and RMS norms and softmax
        are transparent, one edge from each element. "dependency": they connect every element
        with its whole normalised group.

    Raises
    ------
    InvalidArgumentError
        Unknown semantics.

    Examples
    --------
    >>> from unrolled import Network
    >>> net = Network("tiny")
    >>> x = net.input((3, 8, 8))
    >>> x = net.activation(net.batch_norm(net.conv(x, 4, 3, use_bias=False)))
    >>> net.output(net.dense(net.global_pool(x), 10, name="head"))
    >>> net
    Network('tiny', 174 parameters, 192 inputs, 10 outputs)

    A layer of one's own is made of links; here one weight a channel:

    >>> from unrolled import Relation
    >>> weight = net.parameter("gain/weight", (4,))
    >>> y = net.tensor("gain", x.shape)
    >>> net.link(x, y, [Relation.same(0, 0), Relation.same(1, 1), Relation.same(2, 2)])
    >>> net.link(weight, y, [Relation.same(0, 0), Relation.sum(1), Relation.sum(2)])
    """

    def __init__(self, name: str = "network", *, semantics: Semantics = "value") -> None:
        if not isinstance(name, str) or not name or not name.isprintable():
            raise InvalidArgumentError(
                f"a network's name must be a printable, non-empty string, got {name!r}"
            )
        if semantics not in get_args(Semantics):
            raise InvalidArgumentError(
                f"semantics must be 'value' or 'dependency', got {semantics!r}"
            )
        self.name = name
        self._semantics: Semantics = semantics
        self._core = _core.Network()
        self._tensors: list[Tensor] = []
        self._numbers: dict[str, int] = {}
        self._functions: dict[str, Callable[[Any], Any]] = {}
        self._recipe: Callable[[int | Sequence[int]], Network] | None = None
        self._provenance: Provenance | None = None

    @property
    def semantics(self) -> Semantics:
        """Which edges normalisers have: "value" or "dependency"."""
        return self._semantics

    @property
    def provenance(self) -> Provenance | None:
        """How it was imported; None if it was built with layers."""
        return self._provenance

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
            self._core.mark_output(tensor.id)

    def __getitem__(self, name: str) -> Tensor:
        number = self._core.find(name) if isinstance(name, str) else None
        if number is None:
            near = did_you_mean(str(name), [tensor.name for tensor in self._tensors])
            raise UnknownNameError(f"network '{self.name}' has no tensor named {name!r}{near}")
        return self._tensors[number]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._core.find(name) is not None

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All tensors in the order of declaration."""
        return tuple(self._tensors)

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """The parameters in the order of declaration."""
        return tuple([tensor for tensor in self._tensors if tensor.role == "parameter"])

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The inputs in the order of declaration."""
        return tuple([tensor for tensor in self._tensors if tensor.role == "input"])

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The outputs in the order they were marked."""
        return tuple([self._tensors[number] for number in self._core.outputs])

    @property
    def links(self) -> tuple[Link, ...]:
        """The links in the order of declaration."""
        return tuple(
            [
                Link(self._tensors[source], self._tensors[target], tuple(relations), role)
                for (source, target, relations), role in zip(
                    self._core.links, self._core.roles, strict=True
                )
            ]
        )

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
    def functions(self) -> dict[str, Callable[[Any], Any]]:
        """Functions of one's own that were given to `activation`, by the name kept for them."""
        return dict(self._functions)

    def unroll(
        self,
        *,
        memory_limit: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Graph:
        """Expand a small network into an explicit graph, one node for every element of a tensor.

        Nodes are named by the tensor and the index of the element. Elements of parameters are
        parameters of their own, those of inputs and outputs are inputs and outputs. Time and
        memory grow with the number of edges between elements.

        Parameters
        ----------
        memory_limit : int, optional
            Bytes the graph may take; by default most of the memory that is free.
        progress : callable, optional
            Called as ``progress(done, total)`` now and then.

        Raises
        ------
        MemoryLimitError
            The graph would need more.
        CycleError
            The links form a cycle.

        Examples
        --------
        >>> import unrolled
        >>> net = unrolled.models.mlp([2], inputs=2, classes=1)
        >>> graph = net.unroll()
        >>> graph
        Graph('mlp', 14 nodes, 15 edges, 1 output)
        >>> unrolled.count(graph)["layer1/kernel", (0, 1)]
        1
        """
        from unrolled._graph_names import TensorNames, TensorPlace
        from unrolled.counts import check_progress, checked_limit
        from unrolled.graph import Graph

        check_progress(progress)
        limit = checked_limit(memory_limit)
        try:
            core, starts = self._core.unroll(memory_limit=limit, progress=progress)
        except UnrolledError as error:
            raise type(error)(f"network '{self.name}': {error}") from None
        tensors = [(self._tensors[number], start) for number, start in starts]
        places = [TensorPlace(start, tensor.name, tensor.shape) for tensor, start in tensors]
        return Graph(core, self.name, TensorNames(places))

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers that have parameters, in the order of declaration."""
        return layers(self)

    def share(self, by: SharingKey = "configuration", *, name: str | None = None) -> Network:
        """Aggressive parameter sharing: a new network in which alike layers are tied.

        The layers of a group use the parameters of its first, all under their own names otherwise.
        Inputs, outputs and links stay; N_G gets smaller, the number of weight nodes does not.

        Parameters
        ----------
        by : "configuration", "stage", callable, or dict of str to list of str
            "configuration": convolutions and dense layers of equal `Configuration` share, as
            published: equal kernel, stride, input and output channels, depthwise or not. Norms
            stay as they are; projections of one attention may be alike, and then share.
            "stage": the same, but only within a stage, the part of the name before the first dot.
            A function takes a `Layer` and returns a key, or None for a layer that shares with
            none; layers with equal keys share. A dict has the names of the layers of each group.
            The last two may tie any layers whose parameters have equal names and shapes.
        name : str, optional
            Of the new network; by default that of this one with " (shared)".

        Returns
        -------
        Network

        Raises
        ------
        InvalidArgumentError
            Something else than these, a function that fails or returns something that cannot be
            hashed, a layer in two groups, or names without stages.
        InvalidNetworkError
            Layers of a group whose parameters differ.
        UnknownNameError
            A layer of a dict that the network does not have.

        References
        ----------
        A. G. Polat, F. Alpaslan, "The reusability prior: comparing deep learning models without
        training", Mach. Learn.: Sci. Technol. (2023), doi 10.1088/2632-2153/acc713.

        Examples
        --------
        >>> from unrolled import analyze, models
        >>> net = models.mlp(16, depth=4, inputs=16)
        >>> shared = net.share()
        >>> shared
        Network('mlp (shared)', 442 parameters, 16 inputs, 10 outputs)
        >>> analyze(shared).num_weight_nodes == analyze(net).num_parameters
        True
        >>> net.share({"ends": ["layer1", "layer4"]}).num_parameters
        986
        """
        groups = sharing_groups(self, by)
        name = f"{self.name} (shared)" if name is None else name
        shared = merged(self, groups.values(), name)
        shared._provenance = self._provenance
        if self._recipe is not None:
            shared._recipe = lambda size: self.resized(size).share(by)
        return shared

    def resized(self, size: int | Sequence[int]) -> Network:
        """The same model, built again for another size of the input image.

        Parameters
        ----------
        size : int or (height, width)
            In pixels; one number is the side of a square.

        Raises
        ------
        InvalidArgumentError
            A size that is not positive.
        InvalidNetworkError
            A network that `unrolled.models` did not build, or that was changed since: links do not
            say how they would be for another size.

        Examples
        --------
        >>> from unrolled import models
        >>> models.resnet(18, size=32).resized((64, 32))
        Network('resnet18', 11,699,112 parameters, 6,144 inputs, 1,000 outputs)
        """
        if self._recipe is None or not self.is_resizable:
            raise InvalidNetworkError(
                f"network '{self.name}' cannot be built for another size: only networks of "
                "unrolled.models that were not changed since can; build it anew"
            )
        resized = self._recipe(size)
        resized.name, resized._recipe = self.name, self._recipe
        return resized

    @property
    def is_resizable(self) -> bool:
        """Whether `resized` can build it: `unrolled.models` did, and nothing was changed since."""
        if self._recipe is None:
            return False
        return self._content() == self._recipe(self.inputs[0].shape[1:])._content()

    def _content(self) -> tuple[object, ...]:
        """What two networks that count alike have in common."""
        core = self._core
        described = core.tensors, core.links, core.roles, core.operations, core.outputs
        return self._semantics, *described

    @property
    def num_inputs(self) -> int:
        """The number of scalar inputs, N_I."""
        return sum(prod(tensor.shape) for tensor in self.inputs)

    @property
    def num_outputs(self) -> int:
        """The number of scalar outputs."""
        return sum(prod(tensor.shape) for tensor in self.outputs)

    @property
    def num_parameters(self) -> int:
        """The number of scalar parameters, reached by an output or not."""
        return sum(prod(tensor.shape) for tensor in self.parameters)

    def __repr__(self) -> str:
        semantics = "" if self._semantics == "value" else f", semantics={self._semantics!r}"
        return (
            f"Network({self.name!r}, {self.num_parameters:,} parameters, "
            f"{self.num_inputs:,} inputs, {self.num_outputs:,} outputs{semantics})"
        )
