"""Counts one network by every engine; all must agree on every element."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from unrolled import count, reference
from unrolled.network import Network, Tensor

Layer = Callable[[Network, Tensor], Tensor]


def counts_of(network: Network) -> dict[str, Any]:
    """Nested lists of Python integers by parameter name."""
    found = {name: counts.tolist() for name, counts in reference.count(network).items()}
    assert_engine_counts(network, found)
    return found


def assert_engine_counts(network: Network, expected: dict[str, Any]) -> None:
    """The exact engine finds `expected`, and the logarithmic one its logarithms."""
    exact, logs = count(network), count(network, exact=False)
    assert set(exact) == set(logs) == set(expected)
    for name, numbers in expected.items():
        assert exact[name].exact().tolist() == numbers, name
        close(logs[name].log2().tolist(), numbers, name)
        close(exact[name].log2().tolist(), numbers, name)
    total = sum(flat(list(expected.values())))
    assert exact.total == total
    close([exact.log2_total, logs.log2_total], [total, total], "total")


def close(found: Any, numbers: Any, name: str) -> None:
    """Logarithms to the base 2 agree with integers to 1e-12."""
    for log2, number in zip(flat(found), flat(numbers), strict=True):
        expected = math.log2(number) if number else -math.inf
        assert math.isclose(log2, expected, rel_tol=1e-12, abs_tol=1e-12), (name, log2, expected)


def flat(nested: Any) -> list[Any]:
    """The numbers of nested lists."""
    return [x for part in nested for x in flat(part)] if isinstance(nested, list) else [nested]


def edges_from(shape: tuple[int, ...], layer: Layer, semantics: Any = "value") -> Any:
    """Edges from each element of a tensor `x` into a layer, all of whose output counts."""
    net = Network(semantics=semantics)
    net.output(layer(net, net.parameter("x", shape)))
    return counts_of(net)["x"]


def counts_in(shape: tuple[int, ...], layer: Layer, semantics: Any = "value") -> dict[str, Any]:
    """Counts of a layer's own parameters, all of whose output counts; short names."""
    net = Network(semantics=semantics)
    net.output(layer(net, net.input(shape)))
    return {name.split("/", 1)[1]: found for name, found in counts_of(net).items()}
