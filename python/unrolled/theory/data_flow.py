"""The links of a network along which derivatives flow, and how many pairs of elements they join.

What derivatives cost is counted from them in `unrolled.theory.derivatives`.
"""

from __future__ import annotations

from unrolled.counting.path_diagram import computation_order, number_of_pairs
from unrolled.errors import NothingToCountError
from unrolled.network.builder import Link
from unrolled.network.network import Network

__all__ = ["DataFlow"]


class DataFlow:
    """What lies on a way from an input to an output of a network.

    Parameters
    ----------
    network : Network

    Attributes
    ----------
    network : Network
    tensors : list of Tensor
        Each after those it is computed from.
    inputs, outputs : list of Tensor
    links : list of Link
    pairs : list of int
        How many pairs of elements each of the links joins.
    ends : set of int
        The outputs that nothing else is computed from, by number.

    Raises
    ------
    NothingToCountError
        No path leads from an input to an output.
    CycleError
        The links form a cycle.
    """

    def __init__(self, network: Network) -> None:
        known = network.tensors
        links = [link for link in network.links if link.source.role != "parameter"]
        into: dict[int, list[int]] = {}
        out_of: dict[int, list[int]] = {}
        for link in links:
            into.setdefault(link.target.id, []).append(link.source.id)
            out_of.setdefault(link.source.id, []).append(link.target.id)
        inputs = {tensor.id for tensor in network.inputs}
        outputs = {tensor.id for tensor in network.outputs}
        reached, reaching = set(inputs), set(outputs)
        order = computation_order(
            [tensor.name for tensor in known], [(one.source.id, one.target.id) for one in links]
        )
        for number in order:
            if not reached.isdisjoint(into.get(number, ())):
                reached.add(number)
        for number in reversed(order):
            if not reaching.isdisjoint(out_of.get(number, ())):
                reaching.add(number)
        live = reached & reaching
        if not live & inputs:
            raise NothingToCountError(
                f"network '{network.name}': no path leads from an input to an output, so there is "
                "no derivative"
            )
        self.network = network
        self.tensors = [known[number] for number in order if number in live]
        self.inputs = [tensor for tensor in self.tensors if tensor.id in inputs]
        self.outputs = [tensor for tensor in self.tensors if tensor.id in outputs]
        self.links = [link for link in links if link.source.id in live and link.target.id in live]
        self.ends = {
            tensor.id for tensor in self.outputs if live.isdisjoint(out_of.get(tensor.id, ()))
        }
        # Layers of one kind have equal links: most are counted once.
        self._known: dict[object, int] = {}
        self.pairs = [self.pairs_of(link) for link in self.links]

    def pairs_of(self, link: Link) -> int:
        """How many pairs of elements a link of the network joins."""
        alike = (link.relations, link.source.shape, link.target.shape)
        pairs = self._known.get(alike)
        if pairs is None:
            pairs = self._known[alike] = number_of_pairs(*alike)
        return pairs
