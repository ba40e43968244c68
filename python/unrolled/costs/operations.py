"""What each layer of a network costs: multiplications, edges, other operations, and activations.

Rules are those of fvcore, torchinfo and the like, so that figures can be compared: a convolution is
charged for all taps of its kernel, those on padding too. Edges are those of the graph whose paths
are counted, which has none to padding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from unrolled.costs.data_flow import computed_order, first_links, takes_memory_of
from unrolled.counting.path_diagram import number_of_edges, number_of_terms
from unrolled.network.builder import Link, Tensor
from unrolled.network.configurations import split_name
from unrolled.network.network import Network

__all__ = ["Flow", "OperationCost", "costs_of", "dotted_name", "flow_of"]

WITHOUT_OPERATIONS = ("affine", "matmul", "embedding", "move")
"""Kinds of operations whose data edges are multiplications, or are only read."""

NUMBERED = "onnx::"
"""What PyTorch's exporter begins the names of parameters with that it gave a number."""

KINDS = {
    "affine": "weighted sum",
    "function": "function",
    "average": "average",
    "max_pool": "max pool",
    "batch_norm": "batch norm",
    "layer_norm": "layer norm",
    "rms_norm": "RMS norm",
    "group_norm": "group norm",
    "matmul": "product",
}


class OperationCost(NamedTuple):
    """What one layer, or one operation without parameters, costs for one sample.

    Attributes
    ----------
    name : str
        Of the layer, or that of the tensor, with dots between its parts.
    path : str
        The name with dots between its parts; of a layer whose parameters an exporter named by
        numbers, such as ``onnx::MatMul_12``, the name of what it computes.
    has_parameters : bool
    kind : str
        Such as "conv", "dense", "batch norm", "product"; see `costs_of`.
    output_shape : tuple of int or None
        Of the last tensor it makes of data; None if no data flows through it.
    macs : int
        Multiplications by weights, and of two computed values, with all taps of a kernel.
    edges : int
        Edges into what it computes; taps on padding have none.
    operations : int
        Additions of biases, and what functions, norms, pools, sums and products take: of n operands
        n - 1 operations, of one operand one.
    activations : int
        Elements that it computes and that take memory of their own.
    num_trainable : int
        Of its parameters, those that training changes.
    uses : int
        In how many places its parameters are used: more than 1 if they are shared.
    """

    name: str
    path: str
    has_parameters: bool
    kind: str
    output_shape: tuple[int, ...] | None
    macs: int
    edges: int
    operations: int
    activations: int
    num_trainable: int
    uses: int

    @property
    def flops(self) -> int:
        """Two for each multiplication with its addition, and one for each other operation."""
        return 2 * self.macs + self.operations


def costs_of(network: Network, num_tensors: int | None = None) -> list[OperationCost]:
    """What every layer costs, in the order of declaration, and then every other operation.

    A layer is what parameters of one name (before their last part) compute. Lookups in tables
    multiply nothing. What is computed of weights alone could be computed beforehand, and is free.

    Parameters
    ----------
    network : Network
    num_tensors : int, optional
        Only its first ones, for a network that has grown since; by default all.

    Raises
    ------
    CycleError
        The links form a cycle.

    Examples
    --------
    >>> from unrolled import models
    >>> [(cost.name, cost.kind, cost.macs) for cost in costs_of(models.mlp([8], inputs=4))]
    [('layer1', 'dense', 32), ('classifier', 'dense', 80)]
    """
    return _Survey(network, num_tensors).costs()


class Flow(NamedTuple):
    """Which layers and operations get data from which.

    Attributes
    ----------
    order : tuple of str
        Names of inputs, and of layers and operations as `costs_of` has them.
    arrows : tuple of (str, str)
        From the one that computes to the one that reads; movements of elements are left out.
    """

    order: tuple[str, ...]
    arrows: tuple[tuple[str, str], ...]


def flow_of(network: Network, num_tensors: int | None = None) -> Flow:
    """Find out between which layers data flows; parameters and errors are those of `costs_of`.

    Examples
    --------
    >>> from unrolled import models
    >>> flow_of(models.mlp([8], inputs=4)).arrows
    (('input', 'layer1'), ('layer1', 'classifier'))
    """
    return _Survey(network, num_tensors).flow()


class _Survey:
    """Who computes what in a network: layers by their parameters, and the rest by itself."""

    def __init__(self, network: Network, num_tensors: int | None) -> None:
        self.network = network
        tensors = network.tensors[:num_tensors]
        self.parameters = [tensor for tensor in tensors if tensor.role == "parameter"]
        self.into: dict[int, list[Link]] = {tensor.id: [] for tensor in tensors}
        self.readers: Counter[int] = Counter()
        for link in first_links(network, num_tensors):
            self.into[link.target.id].append(link)
            self.readers[link.source.id] += 1
        self.trainable: Counter[str] = Counter()
        self.layer_of: dict[int, str] = {}
        """The layer that computes a tensor, or that a parameter belongs to."""
        self.data: set[int] = set()
        """Tensors that depend on an input."""
        self.order = computed_order(network, num_tensors)
        for tensor in self.order:
            self._place(tensor)

    def _place(self, tensor: Tensor) -> None:
        links = self.into[tensor.id]
        if tensor.role == "parameter":
            self.layer_of[tensor.id] = split_name(tensor.name)[0]
        elif tensor.role == "input" or any(link.source.id in self.data for link in links):
            self.data.add(tensor.id)
        weights = [link.source.id for link in links if link.source.id not in self.data]
        for number in weights:
            if number in self.layer_of:
                self.layer_of[tensor.id] = self.layer_of[number]
                break

    def costs(self) -> list[OperationCost]:
        layers: dict[str, list[Tensor]] = {
            self.layer_of[tensor.id]: [] for tensor in self.parameters
        }
        others: list[Tensor] = []
        for tensor in self.order:
            if tensor.role != "activation":
                continue
            layer = self.layer_of.get(tensor.id)
            (others if layer is None else layers[layer]).append(tensor)
        uses: dict[str, int] = {}
        for parameter in self.parameters:
            layer = self.layer_of[parameter.id]
            self.trainable[layer] += parameter.size if parameter.trainable else 0
            uses[layer] = max(uses.get(layer, 0), self.readers[parameter.id])
        kinds = self._find_kinds()
        costs = [
            self._add_up(name, tensors, kinds.get(name), uses[name])
            for name, tensors in layers.items()
        ]
        costs += [self._add_up(dotted_name(one.name), [one], None, 0) for one in others]
        return costs

    def flow(self) -> Flow:
        names: dict[int, tuple[str, ...]] = {}
        order: dict[str, None] = {}
        arrows: dict[tuple[str, str], None] = {}
        for tensor in self.order:
            if tensor.id not in self.data:
                continue
            sources = dict.fromkeys(
                name
                for link in self.into[tensor.id]
                if link.source.id in self.data
                for name in names[link.source.id]
            )
            layer = self.layer_of.get(tensor.id)
            if layer is None and self._find_operation(tensor) == "move":
                names[tensor.id] = tuple(sources)
                continue
            own = dotted_name(tensor.name) if layer is None else layer
            names[tensor.id] = (own,)
            order.setdefault(own)
            arrows |= {(source, own): None for source in sources if source != own}
        return Flow(tuple(order), tuple(arrows))

    def _find_kinds(self) -> Mapping[str, str]:
        """Layers of which the configuration says what they are."""
        found = {}
        for layer in self.network.layers:
            if layer.configuration is not None:
                found[layer.name] = layer.configuration.kind.replace("_", " ")
        return found

    def _add_up(
        self, name: str, tensors: list[Tensor], kind: str | None, uses: int
    ) -> OperationCost:
        computed = [tensor for tensor in tensors if tensor.id in self.data]
        links = [link for tensor in tensors for link in self.into[tensor.id]]
        return OperationCost(
            name,
            self._find_path(name, computed),
            uses > 0,
            self._name_kind(kind, computed, links),
            computed[-1].shape if computed else None,
            sum(map(self._count_macs, computed)),
            sum(map(_count_edges, links)),
            sum(map(self._count_operations, computed)),
            sum(tensor.size for tensor in computed if not self._is_in_place(tensor)),
            self.trainable[name] if uses else 0,
            max(uses, 1),
        )

    def _find_path(self, name: str, computed: list[Tensor]) -> str:
        if computed and name.startswith(NUMBERED):
            return dotted_name(computed[0].name)
        return name.replace("/", ".")

    def _name_kind(
        self, configured: str | None, computed: Iterable[Tensor], links: Iterable[Link]
    ) -> str:
        roles = {link.role for link in links}
        if "table" in roles:
            return "embedding"
        if configured is not None:
            return configured
        kinds = [self._find_operation(tensor) for tensor in computed]
        kinds = [kind for kind in kinds if kind not in ("move", "sum")] or kinds
        kind = kinds[0] if kinds else "parameter"
        if kind == "sum" and roles & {"scale", "shift"}:
            return "norm"
        if kind == "move" and not kinds[1:]:
            return "movement"
        return KINDS.get(kind, kind.replace("_", " "))

    def _find_operation(self, tensor: Tensor) -> str:
        operation = self.network.operation(tensor)
        return "other" if operation is None else operation.kind

    def _count_macs(self, tensor: Tensor) -> int:
        links = self.into[tensor.id]
        if self._find_operation(tensor) == "matmul":
            # The edges come in pairs, one to each factor of a product.
            return max(
                number_of_terms(link.relations, link.source.shape, tensor.shape) for link in links
            )
        return sum(
            number_of_terms(link.relations, link.source.shape, tensor.shape)
            for link in links
            if link.role == "kernel" or self._is_recurrent_kernel(tensor, link)
        )

    def _is_recurrent_kernel(self, tensor: Tensor, link: Link) -> bool:
        """Whether a link sums over an axis of weights, in a step of a recurrence or a like layer.

        What such a layer computes has no kind, and its links have no roles.
        """
        if self._find_operation(tensor) != "other" or link.source.id in self.data:
            return False
        return any(relation.kind == "each" for relation in link.relations)

    def _count_operations(self, tensor: Tensor) -> int:
        kind = self._find_operation(tensor)
        links = [
            link for link in self.into[tensor.id] if not self._is_recurrent_kernel(tensor, link)
        ]
        if kind in WITHOUT_OPERATIONS:
            return sum(_count_edges(link) for link in links if link.role == "bias")
        return max(sum(map(_count_edges, links)) - tensor.size, tensor.size)

    def _is_in_place(self, tensor: Tensor) -> bool:
        """Whether it takes the memory of what it reads: views, and biases that are added."""
        links = [link for link in self.into[tensor.id] if link.source.id in self.data]
        readers = self.readers[links[0].source.id] if links else 0
        return takes_memory_of(self._find_operation(tensor), tensor, links, readers)


def _count_edges(link: Link) -> int:
    return number_of_edges(link.relations, link.source.shape, link.target.shape)


def dotted_name(name: str) -> str:
    """The name of a tensor with dots between its parts, as parameters have it.

    Exporters of PyTorch write ``/layer1/layer1.0/conv1/Conv_output_0``, where every part begins
    with the one before.

    Examples
    --------
    >>> dotted_name("/blocks/blocks.0/attn/MatMul_1_output_0"), dotted_name("stage1.block1.add")
    ('blocks.0.attn.MatMul_1', 'stage1.block1.add')
    """
    if not name.startswith("/"):
        return name
    parts: list[str] = []
    for part in name.strip("/").split("/"):
        if parts and part.startswith(f"{parts[-1]}."):
            parts.pop()
        parts.append(part)
    parts[-1] = parts[-1].replace("_output_0", "")
    return ".".join(parts)
