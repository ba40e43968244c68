"""`Network`: describes a model, layer by layer, to the counting core."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from unrolled._support import notebooks
from unrolled._support.arguments import check_progress, checked_limit
from unrolled._support.files import write_with
from unrolled.errors import (
    InvalidArgumentError,
    InvalidNetworkError,
    UnrolledError,
)
from unrolled.graph.graph import Graph
from unrolled.graph.names import TensorNames, TensorPlace
from unrolled.network.builder import Link, Semantics, Tensor
from unrolled.network.configurations import split_name
from unrolled.network.construction import construction_of, core_of, fingerprint_of
from unrolled.network.layers.attention import Attention
from unrolled.network.layers.convolution import Convolution
from unrolled.network.layers.elementwise import Elementwise
from unrolled.network.layers.movement import Movement
from unrolled.network.layers.pooling import Pooling
from unrolled.network.selection import Selection

if TYPE_CHECKING:
    from unrolled.network.exporting.values import InitialWeights
    from unrolled.network.provenance import Provenance
    from unrolled.network.sharing import Layer, SharingKey

__all__ = ["Link", "Network", "Tensor"]


class Network(Convolution, Pooling, Elementwise, Movement, Attention, Selection):
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

    Notes
    -----
    Besides what each of them says, all layer methods raise `InvalidArgumentError` for something
    else than a tensor, or for a name that cannot be printed, `InvalidNetworkError` for a tensor of
    another network, or for a name that is taken, and `SizeOverflowError` for sizes that 64 bits
    cannot hold. A layer that is refused leaves the network as it was.

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

    # Two networks may become equal, and cease to be: there is no hash that stays.
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, name: str = "network", *, semantics: Semantics = "value") -> None:
        super().__init__(name, semantics)
        self._recipe: Callable[[int | Sequence[int]], Network] | None = None
        self._has_functions = True
        self._provenance: Provenance | None = None

    @property
    def provenance(self) -> Provenance | None:
        """How it was imported; None if it was built with layers."""
        return self._provenance

    def __getitem__(self, name: str) -> Tensor:
        """A tensor by its name, or by the one that the imported model stores it under."""
        if (
            self._provenance is not None
            and isinstance(name, str)
            and not super().__contains__(name)
        ):
            name = self._provenance.known_name(name)
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        """Whether there is a tensor that `network[name]` finds."""
        if self._provenance is not None and isinstance(name, str):
            known = self._provenance.known_name(name)
            return super().__contains__(name) or super().__contains__(known)
        return super().__contains__(name)

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
        self.check_decided()
        limit = checked_limit(memory_limit)
        try:
            core, starts = self._core.unroll(memory_limit=limit, progress=progress)
        except UnrolledError as error:
            raise type(error)(f"network '{self.name}': {error}") from None
        tensors = [(self._handle(number), start) for number, start in starts]
        places = [TensorPlace(start, tensor.name, tensor.shape) for tensor, start in tensors]
        return Graph(core, self.name, TensorNames(places))

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers that have parameters, in the order of declaration."""
        from unrolled.network.sharing import layers  # It is only needed here.

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
        from unrolled.network.sharing import fill_with_shared, sharing_groups

        groups = sharing_groups(self, by)
        name = f"{self.name} (shared)" if name is None else name
        shared = Network(name, semantics=self.semantics)
        fill_with_shared(shared, self, groups.values())
        shared._provenance = self._provenance
        shared._has_functions = self._has_functions
        if self._recipe is not None:
            shared._recipe = partial(_resize_and_share, self, by)
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

    def set_recipe(
        self,
        recipe: Callable[[int | Sequence[int]], Network],
        *,
        has_functions: bool = True,
    ) -> None:
        """Say how to build the same model for another size of its input, for `resized`.

        Parameters
        ----------
        recipe : callable
            Takes one side or ``(height, width)`` in pixels and returns a new network. It must give
            this network again for its own size.
        has_functions : bool
            Whether the network has the activations of the model. Scores refuse it if not.
        """
        self._recipe = recipe
        self._has_functions = has_functions

    def check_read_with_functions(self) -> None:
        """Refuse a network that an importer read without its functions and normalisers.

        Counts need none of them, but whatever follows a signal does.

        Raises
        ------
        InvalidArgumentError
        """
        if self._provenance is not None and not self._provenance.operations:
            raise InvalidArgumentError(
                f"network '{self.name}' was read from {self._provenance.source} without its "
                "functions and normalisers, so that only its counts are those of the model; read "
                "it with operations=True"
            )

    def check_built_with_functions(self) -> None:
        """Refuse a published model that was built without its activations.

        Raises
        ------
        InvalidArgumentError
        """
        if not self._has_functions:
            raise InvalidArgumentError(
                f"network '{self.name}' was built without its activations, so that it would be "
                "followed as a linear network; build it with activations=True, or give the name "
                "of the published model"
            )

    def fingerprint(self, *, names: bool = True) -> str:
        """A hash of all that the network is made of.

        Equal networks have equal fingerprints, in any process, on any machine and under any version
        of Python, so that results can be kept by them. Hashed are the semantics, the tensors, how
        they are computed, the links, and the outputs, all in the order of declaration. The name of
        the network, its provenance and its recipe are not. Of a function of one's own the name is.

        Parameters
        ----------
        names : bool
            Whether the names of tensors count. Without them, networks that were built in the same
            way under other names have one fingerprint: they count alike.

        Returns
        -------
        str
            64 hexadecimal digits: a SHA-256, of the text that docs/formats.md describes.

        Examples
        --------
        >>> from unrolled import models
        >>> net = models.resnet(18, size=32)
        >>> net.fingerprint() == models.resnet(18, size=(32, 32)).fingerprint()
        True
        >>> net.fingerprint() == models.resnet(18, size=64).fingerprint()
        False
        """
        return fingerprint_of(construction_of(self, is_canonical=True), names=bool(names))

    def to_onnx(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        weights: InitialWeights | None = "he",
        seed: int = 0,
        batch: int = 1,
    ) -> bytes:
        """Write the network as an ONNX file, with weights as they are before training.

        Parameters
        ----------
        path : path, optional
            Where to write the file; an existing one is replaced once the new one is complete.
        weights : str, number, mapping, callable or None
            "he", "lecun", "glorot", "torch" or "orthogonal": how kernels are drawn, as in
            `propagate`; a number is the variance of a weight times the fan-in. A mapping has
            arrays by the names of parameters, and "he" holds for the others. A function is given
            every parameter (a `Tensor`) and returns its values. With None weights are left out:
            the file says where they would be, and can be counted but not run.
        seed : int
            Of the random numbers. The same seed gives the same file.
        batch : int
            The length of the axis in front that every input and output has.

        Returns
        -------
        bytes
            The content of the file: an ONNX model of opset 23, in which values have the names of
            the tensors, and initialisers those of the parameters.

        Raises
        ------
        MissingPackageError
            onnx is not installed.
        UnknownOperationError
            Tensors are computed in ways that no layer method has; all are named.
        InvalidNetworkError
            No output is marked, or choices are left open.
        SizeOverflowError
            The weights do not fit into a file, which holds 2 GiB.
        InvalidArgumentError, UnknownNameError
            Weights, a seed or a batch that cannot be used; a network that was read from a file or
            a framework without ``operations=True``, so that its functions are missing.
        OSError
            The file cannot be written.

        Examples
        --------
        >>> from unrolled import Network, count
        >>> from unrolled.importers.onnx import from_onnx
        >>> net = Network()
        >>> x = net.activation(net.conv(net.input((3, 8, 8)), 4, 3))
        >>> net.output(net.dense(net.global_pool(x), 10))
        >>> again = from_onnx(net.to_onnx(seed=1))
        >>> count(again).total == count(net).total
        True
        """
        self.check_decided()
        self.check_read_with_functions()
        # Few write files, and all who import the package would wait for it.
        from unrolled.network.exporting import model_bytes

        content = model_bytes(self, weights, seed=seed, batch=batch)
        if path is not None:
            write_with(path, lambda file: file.write(content))
        return content

    @property
    def is_resizable(self) -> bool:
        """Whether `resized` can build it: `unrolled.models` did, and nothing was changed since."""
        if self._recipe is None:
            return False
        return self == self._recipe(self.inputs[0].shape[1:])

    def __eq__(self, other: object) -> bool:
        """Whether the other network is made of the same, as `fingerprint` has it."""
        if not isinstance(other, Network):
            return NotImplemented
        return construction_of(self, is_canonical=True) == construction_of(other, is_canonical=True)

    def __copy__(self) -> Network:
        """A network of its own, which has tensors of its own under the same names."""
        return deepcopy(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Network:
        """See `__copy__`; tensors that are copied together with it belong to the copy."""
        copy = type(self).__new__(type(self))
        memo[id(self)] = copy
        copy._core = core_of(construction_of(self))
        # A tensor may be what is copied, and the network only for its sake.
        copy._handles = {
            number: memo[id(one)]
            if id(one) in memo
            else memo.setdefault(id(one), replace(one, network=copy))
            for number, one in self._handles.items()
        }
        copy._links = ()
        for name, value in self.__dict__.items():
            if name not in ("_core", "_handles", "_links"):
                # What a recipe and a function refer to is theirs, and a provenance cannot change.
                is_shared = name in ("_recipe", "_provenance")
                copy.__dict__[name] = value if is_shared else deepcopy(value, memo)
        return copy

    def __getstate__(self) -> dict[str, Any]:
        """All but the core, and but what cannot be pickled of a recipe and of functions."""
        state = dict(self.__dict__)
        del state["_core"]
        state["_links"] = ()
        state["_construction"] = construction_of(self)
        if not _is_picklable(self._recipe):
            state["_recipe"] = None
        state["_functions"] = {
            name: function for name, function in self._functions.items() if _is_picklable(function)
        }
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Tell a new core what the old one was told."""
        state = dict(state)
        self._core = core_of(state.pop("_construction"))
        self.__dict__.update(state)

    def _repr_html_(self) -> str:
        facts = [
            ("parameters", f"{self.num_parameters:,}"),
            ("inputs", f"{self.num_inputs:,}"),
            ("outputs", f"{self.num_outputs:,}"),
            ("layers with parameters", f"{len(self.layers):,}"),
            ("semantics", self._semantics),
        ]
        sizes: dict[str, int] = {}
        for tensor in self.parameters:
            layer = split_name(tensor.name)[0]
            sizes[layer] = sizes.get(layer, 0) + tensor.size
        labels = [f"{name}: {size:,}" for name, size in sizes.items()]
        chart = notebooks.bars(
            [float(size) for size in sizes.values()],
            "parameters by layer",
            ("first layer", "last"),
            labels=labels,
        )
        return notebooks.card(f"Network {self.name}", facts, chart)

    def __repr__(self) -> str:
        semantics = "" if self._semantics == "value" else f", semantics={self._semantics!r}"
        return (
            f"Network({self.name!r}, {self.num_parameters:,} parameters, "
            f"{self.num_inputs:,} inputs, {self.num_outputs:,} outputs{semantics})"
        )


def _resize_and_share(network: Network, by: SharingKey, size: int | Sequence[int]) -> Network:
    """The recipe of a network whose layers share parameters."""
    return network.resized(size).share(by)


def _is_picklable(function: object) -> bool:
    """Whether another process can be given a function."""
    try:
        pickle.dumps(function)
    except Exception:  # Whatever the function holds may raise anything.
        return False
    return True
