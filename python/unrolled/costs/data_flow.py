"""Where data flows in a network: what lies between inputs and outputs, in the order of computation.

What that costs is in `unrolled.costs.operations` and `unrolled.costs.activations`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from unrolled._support.caching import cached_property
from unrolled.counting.path_diagram import computation_order, number_of_pairs
from unrolled.errors import NothingToCountError
from unrolled.network.builder import Link, Tensor
from unrolled.network.network import Network

__all__ = ["DataFlow", "computed_order", "first_links", "takes_memory_of"]


class DataFlow:
    """The tensors and links of a network that lie between its inputs and its outputs.

    Parameters
    ----------
    network : Network
    num_tensors : int, optional
        Only its first ones, for a network that has grown since; by default all.
    num_outputs : int, optional
        Only the tensors that were marked as outputs first, so many elements of them; by default
        all that are outputs.

    Attributes
    ----------
    tensors : list of Tensor
        In an order in which they can be computed.
    inputs, outputs : list of Tensor
    links : list of Link
        Between these tensors.
    ends : set of int
        The outputs that nothing else is computed from.
    kinds : list of str
        Of the operations of all tensors of the network, by their numbers.

    Raises
    ------
    NothingToCountError
        No path leads from an input to an output.
    """

    def __init__(
        self, network: Network, num_tensors: int | None = None, num_outputs: int | None = None
    ) -> None:
        tensors = computed_order(network, num_tensors)
        known = {tensor.id for tensor in tensors}
        links = [
            link for link in first_links(network, num_tensors) if link.source.role != "parameter"
        ]
        # One call for all of them: networks unrolled over time have tens of thousands.
        self.kinds = [operation.kind for operation in network._core.operations]
        inputs = {tensor.id for tensor in network.inputs} & known
        outputs = {tensor.id for tensor in _first_outputs(network, num_outputs)} & known
        reached, reaching = set(inputs), set(outputs)
        into: dict[int, list[Link]] = {tensor.id: [] for tensor in tensors}
        out_of: dict[int, list[Link]] = {tensor.id: [] for tensor in tensors}
        for link in links:
            into[link.target.id].append(link)
            out_of[link.source.id].append(link)
        for tensor in tensors:
            if tensor.id in reached:
                reached.update([link.target.id for link in out_of[tensor.id]])
        for tensor in reversed(tensors):
            if tensor.id in reaching:
                reaching.update([link.source.id for link in into[tensor.id]])
        live = reached & reaching
        if not live & inputs:
            raise NothingToCountError(
                f"network '{network.name}': no path leads from an input to an output, so there is "
                "no derivative"
            )
        self.network = network
        self.tensors = [tensor for tensor in tensors if tensor.id in live]
        self.inputs = [tensor for tensor in self.tensors if tensor.id in inputs]
        self.outputs = [tensor for tensor in self.tensors if tensor.id in outputs]
        self.links = [link for link in links if link.source.id in live and link.target.id in live]
        self.ends = {
            tensor.id
            for tensor in self.outputs
            if all(link.target.id not in live for link in out_of[tensor.id])
        }

        self._known: dict[object, int] = {}

    @cached_property
    def pairs(self) -> list[int]:
        """How many pairs of elements each of the links joins."""
        return [self.pairs_of(link) for link in self.links]

    def pairs_of(self, link: Link) -> int:
        """How many pairs of elements a link of the network joins."""
        # Layers of one kind have equal links: most are counted once.
        alike = (link.relations, link.source.shape, link.target.shape)
        pairs = self._known.get(alike)
        if pairs is None:
            pairs = self._known[alike] = number_of_pairs(*alike)
        return pairs


def computed_order(network: Network, num_tensors: int | None = None) -> list[Tensor]:
    """Tensors, each behind those it is computed from: in the order of declaration if it can be.

    Parameters
    ----------
    network : Network
    num_tensors : int, optional
        Only its first ones, and the links between them; by default all.

    Raises
    ------
    CycleError
        The links form a cycle.
    """
    tensors = network.tensors[:num_tensors]
    pairs = network._core.ends
    if num_tensors is not None and num_tensors < network.num_tensors:
        pairs = [pair for pair in pairs if max(pair) < num_tensors]
    if all(source < target for source, target in pairs):
        return list(tensors)
    order = computation_order([tensor.name for tensor in tensors], pairs)
    return [tensors[number] for number in order]


def first_links(network: Network, num_tensors: int | None = None) -> Sequence[Link]:
    """The links between the first tensors of a network, which may have grown since."""
    if num_tensors is None or num_tensors >= len(network.tensors):
        return network.links
    return [link for link in network.links if max(link.source.id, link.target.id) < num_tensors]


def _first_outputs(network: Network, num_elements: int | None) -> Sequence[Tensor]:
    """The tensors that were marked as outputs first, with so many elements together."""
    outputs = network.outputs
    if num_elements is None:
        return outputs
    sizes = accumulate(tensor.size for tensor in outputs)
    return [tensor for tensor, size in zip(outputs, sizes, strict=True) if size <= num_elements]


def takes_memory_of(kind: str, tensor: Tensor, links: Sequence[Link], readers: int) -> bool:
    """Whether a tensor has no memory of its own, but that of the tensor it is computed from.

    Views do, such as reshapes and transposes; so do sums with parameters, whatever adds a bias.

    Parameters
    ----------
    kind : str
        Of its operation.
    tensor : Tensor
    links : sequence of Link
        Those into it that carry data.
    readers : int
        How many links the only tensor that it reads has.
    """
    if len(links) != 1 or links[0].source.size != tensor.size:
        return False
    return kind == "move" or (kind == "sum" and readers == 1 and links[0].source.role != "input")
