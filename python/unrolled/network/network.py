"""`Network`: describes a model, layer by layer, to the counting core."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from unrolled._support.arguments import check_progress, checked_limit
from unrolled.errors import (
    InvalidNetworkError,
    UnrolledError,
)
from unrolled.graph.graph import Graph
from unrolled.graph.names import TensorNames, TensorPlace
from unrolled.network.builder import Link, Semantics, Tensor
from unrolled.network.layers.attention import Attention
from unrolled.network.layers.convolution import Convolution
from unrolled.network.layers.elementwise import Elementwise
from unrolled.network.layers.movement import Movement
from unrolled.network.layers.pooling import Pooling
from unrolled.network.provenance import Provenance
from unrolled.network.sharing import Layer, SharingKey, fill_with_shared, layers, sharing_groups

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
        super().__init__(name, semantics)
        self._recipe: Callable[[int | Sequence[int]], Network] | None = None
        self._provenance: Provenance | None = None

    @property
    def provenance(self) -> Provenance | None:
        """How it was imported; None if it was built with layers."""
        return self._provenance

    def record_provenance(self, provenance: Provenance) -> None:
        """Say how the network was imported; importers do, and it is shown beside results."""
        self._provenance = provenance

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
        shared = Network(name, semantics=self.semantics)
        fill_with_shared(shared, self, groups.values())
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

    def set_recipe(self, recipe: Callable[[int | Sequence[int]], Network]) -> None:
        """Say how to build the same model for another size of its input, for `resized`.

        Parameters
        ----------
        recipe : callable
            Takes one side or ``(height, width)`` in pixels and returns a new network. It must give
            this network again for its own size.
        """
        self._recipe = recipe

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

    def __repr__(self) -> str:
        semantics = "" if self._semantics == "value" else f", semantics={self._semantics!r}"
        return (
            f"Network({self.name!r}, {self.num_parameters:,} parameters, "
            f"{self.num_inputs:,} inputs, {self.num_outputs:,} outputs{semantics})"
        )
