"""Path sums by the definition: Fractions, edge by edge, over a network of a few elements."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction

import numpy as np

from unrolled import reference


class Elements:
    """All edges of a network between single elements, with their weights and grades."""

    def __init__(self, network, weight_of=lambda link: 1, grade_of=lambda link: 0):
        self.network = network
        self.edges = []
        for link in network.links:
            weights = np.broadcast_to(np.asarray(weight_of(link), dtype=object), link.target.shape)
            for i, o, number in reference._edges(
                link.relations, link.source.shape, link.target.shape
            ):
                weight = Fraction(weights[o]) * number
                edge = ((link.source.name, i), (link.target.name, o), weight, number)
                self.edges.append((*edge, grade_of(link)))
        self.nodes = [
            (tensor.name, index) for tensor in network.tensors for index in np.ndindex(tensor.shape)
        ]
        ranks = self._ranks()
        self.nodes.sort(key=lambda node: ranks[node[0]])
        self.into, self.out_of = defaultdict(list), defaultdict(list)
        for source, target, weight, number, grade in self.edges:
            self.into[target].append((source, weight, number, grade))
            self.out_of[source].append((target, weight, number, grade))

    def _ranks(self):
        """Every tensor after those it is computed from."""
        ranks = {tensor.name: 0 for tensor in self.network.tensors}
        for _ in ranks:
            for link in self.network.links:
                ranks[link.target.name] = max(ranks[link.target.name], ranks[link.source.name] + 1)
        return ranks

    def _ends(self, tensors, given):
        ends = {}
        for tensor in tensors:
            values = np.broadcast_to(
                np.asarray((given or {}).get(tensor.name, 1), dtype=object), tensor.shape
            )
            for index in np.ndindex(tensor.shape):
                ends[tensor.name, index] = Fraction(values[index])
        return ends

    def forward(self, sources=None):
        sums = defaultdict(Fraction, self._ends(self.network.inputs, sources))
        for node in self.nodes:
            for source, weight, _, _ in self.into[node]:
                sums[node] += weight * sums[source]
        return sums

    def backward(self, outputs=None):
        sums = defaultdict(Fraction, self._ends(self.network.outputs, outputs))
        for node in reversed(self.nodes):
            for target, weight, _, _ in self.out_of[node]:
                sums[node] += weight * sums[target]
        return sums

    def total(self, sources=None, outputs=None):
        backward = self.backward(outputs)
        ends = self._ends(self.network.inputs, sources)
        return sum(value * backward[node] for node, value in ends.items())

    def largest(self):
        """The largest product of a path; parallel edges are one."""
        sums = defaultdict(Fraction, self._ends(self.network.outputs, None))
        for node in reversed(self.nodes):
            for target, weight, number, _ in self.out_of[node]:
                sums[node] = max(sums[node], weight / number * sums[target])
        return max(sums[node] for node in self._ends(self.network.inputs, None))

    def law(self):
        """Sum of the products over the paths of each grade."""
        laws = defaultdict(lambda: defaultdict(Fraction))
        for node, value in self._ends(self.network.outputs, None).items():
            laws[node][0] += value
        for node in reversed(self.nodes):
            for target, weight, _, grade in self.out_of[node]:
                for at, value in laws[target].items():
                    laws[node][at + grade] += weight * value
        total = defaultdict(Fraction)
        for node in self._ends(self.network.inputs, None):
            for at, value in laws[node].items():
                total[at] += value
        return dict(total)
