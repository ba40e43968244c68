"""Features of architectures against whole distributions of paths, and at every door."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import unrolled
from oracles import features as oracle
from oracles import scores as descriptions
from unrolled import Network, models, search
from unrolled.spectrum.catalogue import FEATURES

CELLS = ("444444", "240104", "111111", "244321", "033212")


def assert_equal(found: dict[str, float], expected: dict[str, float]) -> None:
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-9, abs=1e-9), name


@pytest.mark.parametrize("digits", CELLS)
def test_features_of_cells_are_those_of_their_distributions_of_paths(digits: str) -> None:
    choices = tuple(map(int, digits))
    net, output = descriptions.nasbench201_cells(choices)
    space = search.nasbench201()
    found = space.gather([choices], search.variants.Template.features)
    columns = {name: float(values[0]) for name, values in found.items()}
    assert_equal(columns, oracle.features(net, output))


def test_features_of_chains_are_those_of_their_distributions_of_paths() -> None:
    choices = (0, 1, 2, 0, 1, 2, 0, 1)
    net, output = descriptions.nasbench_macro_blocks(choices)
    found = search.nasbench_macro().gather([choices], search.variants.Template.features)
    columns = {name: float(values[0]) for name, values in found.items()}
    assert_equal(columns, oracle.features(net, output))


def test_features_of_concatenation_and_pools_are_those_of_their_distributions_of_paths() -> None:
    net = Network()
    x = net.activation(net.batch_norm(net.conv(net.input((3, 16, 16)), 8, 3, use_bias=False)))
    y = net.concat(
        [
            x,
            net.batch_norm(net.conv(x, 4, 1, use_bias=False)),
            net.max_pool(x, 3, stride=1, padding="same"),
        ]
    )
    y = net.average_pool(net.activation(net.batch_norm(y)), 2)
    net.output(net.dense(net.global_pool(y), 5, use_bias=False))
    slow = descriptions.Description(3, 16)
    a = slow.relu(descriptions.conv_norm(slow, "input0", 8, 3))
    b = slow.concat([a, descriptions.conv_norm(slow, a, 4, 1), slow.largest(a, 3, 1)])
    b = slow.average(slow.relu(slow.norm(b)), 2, 2)
    found = unrolled.features(net)
    expected = oracle.features(slow, slow.dense(slow.pool(b), 5))
    assert_equal(found.values, expected)
    # Scales and shifts of three norms.
    assert found["log_other_parameters"] == pytest.approx(np.log1p(2 * (8 + 4 + 20)))


def test_attention_passes_by_values_and_counts_products() -> None:
    net = Network()
    x = net.input((6, 16))
    net.output(net.dense(net.attention(*(net.dense(x, 16, use_bias=False) for _ in range(3))), 4))
    found = unrolled.features(net)
    # A path goes through the values: their kernel, and the last one.
    assert found["path_kernels"] == pytest.approx(2.0)
    assert found["path_kernels_deviation"] == pytest.approx(0.0, abs=1e-9)
    assert found["log_other_macs"] == pytest.approx(np.log1p(2 * 6 * 6 * 16))


def test_gates_carry_no_paths() -> None:
    net = Network()
    x = net.conv(net.input((4, 8, 8)), 8, 3, use_bias=False)
    gate = net.conv(net.global_pool(x, keep_dimensions=True), 8, 1, use_bias=False)
    net.output(net.dense(net.global_pool(net.multiply(x, net.activation(gate, "sigmoid"))), 3))
    found = unrolled.features(net)
    assert found["path_kernels"] == pytest.approx(2.0)
    assert found["most_kernels"] == 3
    assert found["log_gates"] == pytest.approx(np.log(3))


def test_variants_have_the_features_of_their_networks() -> None:
    space = search.nasbench201()
    rows = space.random_rows(20, np.random.default_rng(3))
    found = space.gather(rows, search.variants.Template.features)
    for at, row in enumerate(rows):
        if not np.isfinite(found["saliency_entropy"][at]):
            continue
        alone = unrolled.features(space.network(row.tolist()))
        assert_equal({name: found[name][at] for name in FEATURES}, alone.values)


def test_features_are_the_same_through_onnx(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    net = models.cnn([8, 16])
    net.to_onnx(tmp_path / "net.onnx")
    again = unrolled.features(tmp_path / "net.onnx")
    assert_equal(again.values, unrolled.features(net).values)


def test_features_read_well_and_name_what_is_missing() -> None:
    found = unrolled.features(models.mlp([8, 8], inputs=4, classes=2))
    assert list(found.values) == list(FEATURES)
    assert "mean number of kernels on a path" in found.table(width=100)
    assert found.to_dict()["name"] == found.name
    with pytest.raises(unrolled.InvalidArgumentError, match="needs a network of layers"):
        unrolled.features(unrolled.Graph.from_edges([0], [1]))


def test_features_of_two_hundred_blocks_are_those_of_their_formula() -> None:
    blocks = 200
    net = Network("deep")
    x = net.conv(net.input((2, 4, 4)), 2, 3, name="stem")
    for block in range(blocks):
        y = net.batch_norm(net.conv(x, 2, 3, name=f"conv{block}"), name=f"norm{block}")
        x = net.batch_norm(net.add(x, y, name=f"sum{block}"), name=f"outer{block}")
    net.output(net.dense(net.global_pool(x), 2, name="head"))
    found = unrolled.features(net)
    assert found["log_merges"] == pytest.approx(math.log(1 + blocks))
    assert found["log_identities"] == pytest.approx(math.log(1 + blocks))
    assert found["log_paths"] == pytest.approx(blocks * math.log(2))
    assert (found["least_kernels"], found["most_kernels"]) == (2, blocks + 2)


def test_features_of_a_chain_of_norms_are_found_in_time() -> None:
    # What led to a link is looked for behind each norm; twice at each would never end.
    net = Network("norms")
    x = net.input((2, 4, 4))
    for at in range(200):
        x = net.batch_norm(x, name=f"first{at}")
    x = net.conv(x, 2, 3, name="conv")
    for at in range(200):
        x = net.batch_norm(x, name=f"second{at}")
    net.output(net.dense(net.global_pool(x), 2, name="head"))
    found = unrolled.features(net)
    # One norm is that of the input; those behind it and behind the kernel are no further ones.
    assert found["log_lone_norms"] == pytest.approx(math.log(2))
    assert found["log_links"] > 0
