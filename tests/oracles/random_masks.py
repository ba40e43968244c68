"""Moments of the number of paths under random masks, by trying all masks with Fractions."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from itertools import product

import numpy as np

from oracles.path_sums import Elements


def mask_groups(network, masks):
    """Sets of elements that share a mask, with the probability that they are there."""
    groups = defaultdict(set)
    for name, (_, axes) in masks.items():
        for index in np.ndindex(network[name].shape):
            groups[name, tuple(index[axis] for axis in sorted(axes))].add((name, index))
    return [(Fraction(masks[name][0]), members) for (name, _), members in groups.items()]


def moments_of_paths(network, masks):
    """Mean and variance of the number of paths from parameters to outputs.

    Parameters
    ----------
    masks : dict
        By name of tensor: the probability that an element is there, and the axes along which masks
        are independent.
    """
    elements = Elements(network)
    groups = mask_groups(network, masks)
    outputs = elements._ends(network.outputs, None)
    parameters = [
        (tensor.name, index) for tensor in network.parameters for index in np.ndindex(tensor.shape)
    ]
    mean = square = Fraction(0)
    for present in product([True, False], repeat=len(groups)):
        probability = Fraction(1)
        absent = set()
        for (keep, members), is_there in zip(groups, present, strict=True):
            probability *= keep if is_there else 1 - keep
            if not is_there:
                absent |= members
        if not probability:
            continue
        counts = defaultdict(int)
        for node in reversed(elements.nodes):
            if node in absent:
                continue
            counts[node] = int(outputs.get(node, 0)) + sum(
                int(weight) * counts[target] for target, weight, _, _ in elements.out_of[node]
            )
        total = sum(counts[node] for node in parameters)
        mean += probability * total
        square += probability * total**2
    return mean, square - mean**2
