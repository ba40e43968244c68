"""Published spaces of architectures, and families of networks, as search spaces."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from unrolled.models.benchmarks import (
    NASBENCH201,
    NASBENCH_MACRO,
    TRANSNASBENCH_MICRO,
    SearchSpace,
)
from unrolled.search.cells import darts, nasbench101
from unrolled.search.families import resnet_family, transformer_family
from unrolled.search.space import Space
from unrolled.search.variants import Template

__all__ = ["PUBLISHED", "nasbench201", "nasbench_macro", "transnasbench_micro"]


def _of_benchmark(published: SearchSpace, names: Sequence[str]) -> Space:
    """A published space as one network with a gate for each option."""
    network, gates = published.supernet()
    places = list(zip(names, published.options, strict=True))
    template = Template(network, places, gates)
    return Space.of_template(published.name, template)


EDGES = ("edge01", "edge02", "edge12", "edge03", "edge13", "edge23")


def nasbench201() -> Space:
    """NAS-Bench-201: 15,625 cells of six edges with five operations.

    Rows are in the order of the benchmark's strings: what each edge between two of the four nodes
    computes.

    References
    ----------
    X. Dong, Y. Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture
    Search", ICLR 2020.

    Examples
    --------
    >>> from unrolled import search
    >>> search.nasbench201()
    Space('nasbench201', 15,625 architectures, 6 places)
    """
    return _of_benchmark(NASBENCH201, EDGES)


def transnasbench_micro() -> Space:
    """The cells of TransNAS-Bench-101: 4,096 of six edges with four operations.

    References
    ----------
    Y. Duan et al., "TransNAS-Bench-101: Improving Transferability and Generalizability of
    Cross-Task Neural Architecture Search", CVPR 2021.

    Examples
    --------
    >>> from unrolled import search
    >>> search.transnasbench_micro()
    Space('transnasbench_micro', 4,096 architectures, 6 places)
    """
    return _of_benchmark(TRANSNASBENCH_MICRO, EDGES)


def nasbench_macro() -> Space:
    """NAS-Bench-Macro: 6,561 chains of eight mobile blocks.

    References
    ----------
    X. Su et al., "Prioritized Architecture Sampling with Monto-Carlo Tree Search", CVPR 2021.

    Examples
    --------
    >>> from unrolled import search
    >>> search.nasbench_macro()
    Space('nasbench_macro', 6,561 architectures, 8 places)
    """
    names = [f"layer{number}" for number in range(1, len(NASBENCH_MACRO.options) + 1)]
    return _of_benchmark(NASBENCH_MACRO, names)


PUBLISHED: dict[str, Callable[[], Space]] = {
    "nasbench201": nasbench201,
    "nasbench_macro": nasbench_macro,
    "transnasbench_micro": transnasbench_micro,
    "nasbench101": nasbench101,
    "darts": darts,
    "resnet_family": resnet_family,
    "transformer_family": transformer_family,
}
"""Spaces that the shell knows by name."""
