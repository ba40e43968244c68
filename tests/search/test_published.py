"""Published spaces beyond the benchmarks: known sizes, and agreement with networks alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unrolled
from unrolled import InvalidArgumentError, InvalidNetworkError, Network, search

INCEPTION = {
    "edge01": 1, "edge02": 1, "edge03": 1, "edge05": 1,
    "edge16": 1, "edge26": 1, "edge34": 1, "edge46": 1, "edge56": 1,
    "vertex1": "conv1x1", "vertex2": "conv3x3", "vertex3": "conv3x3", "vertex4": "conv3x3",
    "vertex5": "maxpool3x3",
}  # fmt: skip
"""The example of the benchmark's own page."""


def row_101(space: search.Space, options: dict[str, object]) -> tuple[int, ...]:
    plain = {place.name: place.labels[0] for place in space.places}
    return space.encode(plain | {name: str(option) for name, option in options.items()})


def test_cells_of_nasbench101_have_their_published_sizes() -> None:
    space = search.nasbench101()
    row = row_101(space, INCEPTION)
    assert search.macs_many(space, [row])["parameters"].tolist() == [2694282]


def test_cells_of_nasbench101_that_are_not_valid() -> None:
    space = search.nasbench101()
    with pytest.raises(InvalidNetworkError, match="no path"):
        space.network(row_101(space, {"edge01": 1}))
    with pytest.raises(InvalidNetworkError, match="10 edges"):
        space.network(row_101(space, {**INCEPTION, "edge06": 1}))
    rows = [row_101(space, {"edge06": 1}), row_101(space, {"edge01": 1, "edge06": 1})]
    found = search.macs_many(space, rows)  # A vertex on no path makes no difference.
    assert found["parameters"][0] == found["parameters"][1]
    table = search.sweep(space, ["macs"], rows=[*rows, row_101(space, {})])
    assert list(table.errors) == [2]


def darts_alone(genotype: dict[str, list[tuple[str, int]]], cells: int, channels: int) -> int:
    """Trainable parameters of the published network, added up by hand, without auxiliary head."""

    def separable(width: int, size: int) -> int:
        return width * size * size + width * width + 2 * width

    def operation(name: str, width: int, reduces: bool) -> int:
        size = 5 if name.endswith("5x5") else 3
        if name.startswith("sep"):
            return 2 * separable(width, size)
        if name.startswith("dil"):
            return separable(width, size)
        return width * width + 2 * width if name == "skip_connect" and reduces else 0

    total, before, last, width = (
        3 * 3 * channels * 9 + 6 * channels,
        3 * channels,
        3 * channels,
        channels,
    )
    for cell in range(cells):
        reduces = cell in (cells // 3, 2 * cells // 3)
        width *= 2 if reduces else 1
        total += before * width + 2 * width + last * width + 2 * width
        for name, source in genotype["reduction" if reduces else "normal"]:
            total += operation(name, width, reduces and source < 2)
        before, last = last, 4 * width
    return total + last * 10 + 10


# The cell that the authors of DARTS found by the second order.
GENOTYPE = {
    "normal": [
        ("sep_conv_3x3", 0), ("sep_conv_3x3", 1), ("sep_conv_3x3", 0), ("sep_conv_3x3", 1),
        ("sep_conv_3x3", 1), ("skip_connect", 0), ("skip_connect", 0), ("dil_conv_3x3", 2),
    ],
    "reduction": [
        ("max_pool_3x3", 0), ("max_pool_3x3", 1), ("skip_connect", 2), ("max_pool_3x3", 1),
        ("max_pool_3x3", 0), ("skip_connect", 2), ("skip_connect", 2), ("max_pool_3x3", 1),
    ],
}  # fmt: skip


def row_of_genotype(space: search.Space) -> tuple[int, ...]:
    labels = {}
    for kind, edges in GENOTYPE.items():
        for node in range(4):
            pair = sorted(edges[2 * node : 2 * node + 2], key=lambda edge: edge[1])
            labels[f"{kind}.node{node + 1}.inputs"] = "".join(str(source) for _, source in pair)
            for side, (name, _) in enumerate(pair, 1):
                labels[f"{kind}.node{node + 1}.operation{side}"] = name
    return space.encode(labels)


def test_the_cell_of_darts_has_its_size() -> None:
    space = search.darts(cells=5, channels=8)
    row = row_of_genotype(space)
    [parameters] = search.macs_many(space, [row])["parameters"].tolist()
    assert parameters == darts_alone(GENOTYPE, 5, 8)
    # 3.3 million are published for twenty cells of 36 channels.
    assert darts_alone(GENOTYPE, 20, 36) == pytest.approx(3.3e6, rel=0.02)
    alone = space.network(row)
    assert sum(one.size for one in alone.parameters if one.trainable) == parameters


def test_rows_of_darts_score_as_alone() -> None:
    space = search.darts(cells=3, channels=4, size=16)
    rows = space.random_rows(5, np.random.default_rng(0))
    scores = search.propagate_many(space, rows)
    counts = search.count_many(space, rows)
    for at, row in enumerate(rows):
        alone = space.network(row)
        entropy = unrolled.score(alone).saliency_entropy
        assert scores["saliency_entropy"][at] == pytest.approx(entropy, rel=1e-12)
        total = unrolled.analyze(alone, exact=False).log2_total_contexts
        assert counts["log2_total_contexts"][at] == pytest.approx(total, rel=1e-12)


def test_residual_networks_have_the_published_size() -> None:
    # ResNet-20, -32, -44 and -56 for CIFAR-10 have .27, .46, .66 and .85 million parameters; two
    # projections, in the place of shortcuts without parameters, add 2,752 weights of theirs.
    space = search.resnet_family(depths=[3, 5, 7, 9], widths=[16])
    rows = [[at, at, at, 0, 0, 0] for at in range(4)]
    found = search.macs_many(space, rows)
    assert (found["parameters"] / 1e6).round(2).tolist() == [0.27, 0.47, 0.66, 0.86]
    assert found["depth"].tolist() == [20, 32, 44, 56]


def test_transformers_have_the_size_of_their_formula() -> None:
    space = search.transformer_family(depths=[1, 3], widths=[16, 24], heads=[2, 5], ratios=[4])
    table = search.sweep(space, ["parameters", "saliency_entropy"])
    wrong = [at for at, row in enumerate(space.rows().tolist()) if row[2] == 1]
    assert list(table.errors) == wrong
    for at, (depth, width, heads, _, patch) in enumerate(space.rows().tolist()):
        if heads == 1:
            continue
        d, w, p = (1, 3)[depth], (16, 24)[width], (4, 8)[patch]
        block = 4 * (w * w + w) + (4 * w * w + 4 * w) + (4 * w * w + w) + 4 * w
        tokens = (32 // p) ** 2
        expected = 3 * p * p * w + w + tokens * w + d * block + 2 * w + 10 * w + 10
        assert table["parameters"][at] == expected


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (make, {name: given})
        for make, names, numbers in (
            (
                search.resnet_family,
                ("depths", "widths", "kernels", "resolutions"),
                ("stages", "classes"),
            ),
            (
                search.transformer_family,
                ("depths", "widths", "heads", "ratios", "patches"),
                ("size", "classes"),
            ),
        )
        for name, many in [(name, True) for name in names] + [(name, False) for name in numbers]
        for given in (
            ([], [4, 4], [0], [-1], [4, 0], [True, 4], [2.0], ["4"], [None], 4, "4", None)
            if many
            else (0, -1, 1.5, True, "3", None, [3])
        )
    ],
)
def test_options_of_families_that_are_no_positive_integers_are_refused_by_name(
    make: Any, options: dict[str, Any]
) -> None:
    [name] = options
    with pytest.raises(InvalidArgumentError, match=f"{make.__name__}: {name}"):
        make(**options)


def test_places_of_darts_can_be_named_in_conditions() -> None:
    space = search.darts(cells=3, channels=2, size=8)
    where = "normal.node2.inputs == '12' and reduction.node1.operation1 != 'skip_connect'"
    table = search.random(space, 5, ["macs"], where=where, seed=0)
    for at in range(5):
        assert table.decode(at)["normal.node2.inputs"] == "12"
        assert table.decode(at)["reduction.node1.operation1"] != "skip_connect"


def test_networks_of_families_are_those_of_one() -> None:
    space = search.resnet_family(depths=[1, 2], widths=[4], resolutions=[16])
    found = search.propagate_many(space, space.rows())
    for at, row in enumerate(space.rows()):
        alone = space.network(row)
        assert isinstance(alone, Network)
        entropy = unrolled.score(alone).saliency_entropy
        assert found["saliency_entropy"][at] == pytest.approx(entropy, rel=1e-13)
