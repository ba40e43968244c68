"""Contexts in training, against networks with every presentation drawn out and all masks tried."""

from __future__ import annotations

import math
from collections import defaultdict
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

import unrolled
from oracles.path_sums import Elements
from oracles.random_masks import mask_groups, moments_of_paths
from unrolled import (
    InvalidArgumentError,
    MemoryLimitError,
    Network,
    TheoryDomainError,
    UnknownNameError,
    models,
    quantities,
)
from unrolled.theory import Dropout, training_contexts

KEYS = ("log2_total_contexts", "expected_spread", "entropy", "total_surprisal")
ESTIMATES = ("surprisal_estimate", "spread_estimate")
NUMBERS = ("num_parameters", "num_weight_nodes", "num_inputs", "num_outputs")


def convolutions(copies=1):
    """A small residual network, drawn out several times with the same parameters."""
    net = Network("copies")
    shapes = {"first": (3, 2, 3), "second": (3, 3, 3), "top": (3, 2)}
    kernels = {name: net.parameter(f"{name}/kernel", shape) for name, shape in shapes.items()}
    for number in range(copies):
        x = net.input((2, 5), f"x{number}")
        y = net.conv(
            x, 3, 3, padding="same", kernel=kernels["first"], use_bias=False, name=f"first{number}"
        )
        y = net.activation(y, name=f"relu{number}")
        z = net.conv(
            y,
            3,
            3,
            padding="same",
            kernel=kernels["second"],
            use_bias=False,
            name=f"second{number}",
        )
        pool = net.global_pool(net.add(y, z, name=f"sum{number}"), name=f"pool{number}")
        net.output(
            net.dense(pool, 2, kernel=kernels["top"], use_bias=False, name=f"logits{number}")
        )
    return net


@pytest.mark.parametrize(("samples", "augmentations"), [(1, 1), (5, 1), (3, {"a": 2, "b": 2})])
def test_presentations_are_copies_with_tied_parameters(samples, augmentations):
    number = samples * (4 if isinstance(augmentations, dict) else 1)
    drawn_out = unrolled.analyze(convolutions(number))
    found = training_contexts(convolutions(), samples=samples, augmentations=augmentations)
    assert found.presentations == number
    assert found.training.total_contexts == drawn_out.total_contexts
    for key in (*NUMBERS, *KEYS, *ESTIMATES):
        assert getattr(found.training, key) == pytest.approx(getattr(drawn_out, key), rel=1e-14)
    assert (found.relative_deviation, found.mask_entropy) == (0.0, 0.0)


def test_data_alone_adds_the_logarithm_of_its_size_to_the_spread_and_nothing_to_the_entropy():
    one = training_contexts("resnet18", samples=1)
    many = training_contexts("resnet18", samples=50_000, augmentations={"flips": 2})
    added = math.log2(100_000)
    assert many.training.expected_spread - one.training.expected_spread == pytest.approx(added)
    for key in ("entropy", "total_surprisal", "surprisal_estimate"):
        assert getattr(many.training, key) == pytest.approx(getattr(one.training, key), rel=1e-12)


def expected_counts(network, masks):
    """Expected contexts of every element of a parameter, over all masks."""
    elements = Elements(network)
    groups = mask_groups(network, masks)
    outputs = elements._ends(network.outputs, None)
    totals = defaultdict(Fraction)
    for present in product([True, False], repeat=len(groups)):
        probability = math.prod(
            keep if there else 1 - keep for (keep, _), there in zip(groups, present, strict=True)
        )
        gone = {
            node
            for (_, members), there in zip(groups, present, strict=True)
            if not there
            for node in members
        }
        counts = defaultdict(int)
        for node in reversed(elements.nodes):
            if node not in gone:
                counts[node] = int(outputs.get(node, 0)) + sum(
                    int(weight) * counts[to] for to, weight, _, _ in elements.out_of[node]
                )
            totals[node] += probability * counts[node]
    return [
        totals[tensor.name, index]
        for tensor in network.parameters
        for index in np.ndindex(tensor.shape)
    ]


@pytest.mark.parametrize(
    "masks",
    [
        pytest.param({"pool0": (Fraction(1, 2), (0,))}, id="dropout before the head"),
        pytest.param({"second0": (Fraction(4, 5), ())}, id="stochastic depth"),
        pytest.param({"relu0": (Fraction(1, 3), (0,))}, id="spatial dropout"),
        pytest.param(
            {"relu0": (Fraction(2, 3), (1,)), "second0": (Fraction(1, 2), (0,))}, id="both"
        ),
        pytest.param({"top/kernel": (Fraction(3, 4), (0, 1))}, id="weights"),
        pytest.param({"relu0": (Fraction(0), ()), "pool0": (Fraction(1, 2), ())}, id="never there"),
    ],
)
def test_expected_counts_and_variance_by_trying_all_masks(masks):
    network = convolutions()
    presentations = 6
    keep = {name: Dropout(float(one), axes) for name, (one, axes) in masks.items()}
    found = training_contexts(network, samples=presentations, keep=keep)
    expected = sorted(float(one) * presentations for one in expected_counts(network, masks) if one)
    levels = found.training.spectrum
    counts = np.repeat(np.exp2(levels.log2_counts), levels.degeneracies.astype(int))
    np.testing.assert_allclose(counts, expected, rtol=1e-13)
    mean, variance = moments_of_paths(network, masks)
    assert sum(expected) == pytest.approx(float(mean) * presentations, rel=1e-13)
    deviation = math.sqrt(variance) / float(mean) / math.sqrt(presentations)
    assert found.relative_deviation == pytest.approx(deviation, rel=1e-12)
    # The quantities are those of these counts.
    p = np.array(expected) / sum(expected)
    assert found.training.entropy == pytest.approx(-(p * np.log2(p)).sum(), rel=1e-12)
    assert found.training.expected_spread == pytest.approx(
        (p * np.log2(expected)).sum(), rel=1e-12, abs=1e-12
    )


def test_entropy_of_masks():
    keep = {"relu0": Dropout(0.5, (0,)), "second0": Dropout(0.25, ())}
    quarter = -(0.25 * math.log2(0.25) + 0.75 * math.log2(0.75))
    found = training_contexts(convolutions(), keep=keep)
    assert found.mask_entropy == pytest.approx(3 + quarter)


def test_keys_are_names_then_functions_then_kinds():
    net = convolutions()
    keep = {"affine": 0.5, "second0": 0.75, "relu": 0.9, "function": 0.1}
    found = training_contexts(net, keep=keep, variance=False)
    assert {name: one.keep for name, one in found.dropouts.items()} == {
        "first0": 0.5,
        "relu0": 0.9,
        "second0": 0.75,
        "logits0": 0.5,
    }
    assert found.relative_deviation is None


def test_stochastic_depth_of_a_deep_network():
    """The survival of every block divides the mean of what lies behind; nothing overflows."""
    net = models.resnet(50, size=32)
    blocks = [one.name for one in net.tensors if one.name.endswith(".expand.norm")]
    assert len(blocks) == 16
    found = training_contexts(net, keep={name: Dropout(0.8, ()) for name in blocks})
    lost = found.design.log2_total_contexts - found.training.log2_total_contexts
    assert 0 < lost < 16 * -math.log2(0.8)
    assert found.relative_deviation > 0
    text = str(found)
    assert "1 presentation, 16 tensors with dropout" in text
    assert text.endswith("nothing is said about learning.")


def test_expected_counts_below_one_have_no_spread_estimate():
    net = models.mlp([2], inputs=2, classes=1)
    found = training_contexts(net, keep={"classifier": 1e-6})
    rows = {row["quantity"]: row["in training"] for row in found.rows}
    assert rows["spread estimate P'_G (bits)"] is None
    assert quantities.entropy(found.training.spectrum) == pytest.approx(found.design.entropy)


class TestErrors:
    net = convolutions()

    @pytest.mark.parametrize("value", [0, -1, 1.5, "many", None])
    def test_numbers_of_samples_are_positive_integers(self, value):
        with pytest.raises(InvalidArgumentError, match="samples must be a positive integer"):
            training_contexts(self.net, samples=value)
        with pytest.raises(InvalidArgumentError, match=r"augmentations\['crop'\]"):
            training_contexts(self.net, augmentations={"crop": value})

    @pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
    def test_probabilities(self, value):
        with pytest.raises(TheoryDomainError, match="between 0 and 1"):
            training_contexts(self.net, keep={"relu": value})

    @pytest.mark.parametrize("value", ["half", None])
    def test_no_probability(self, value):
        with pytest.raises(InvalidArgumentError, match="a probability or a Dropout"):
            training_contexts(self.net, keep={"relu": value})

    @pytest.mark.parametrize("axes", [(2,), (0, 0), (-1,)])
    def test_axes(self, axes):
        with pytest.raises(InvalidArgumentError, match="has no axes"):
            training_contexts(self.net, keep={"relu0": Dropout(0.5, axes)})

    def test_unknown_layers_are_refused_with_a_suggestion(self):
        with pytest.raises(UnknownNameError, match="did you mean 'relu"):
            training_contexts(self.net, keep={"relu1": 0.5})

    def test_inputs_cannot_be_dropped(self):
        with pytest.raises(InvalidArgumentError, match="is an input"):
            training_contexts(self.net, keep={"x0": 0.5})

    def test_no_mapping(self):
        with pytest.raises(InvalidArgumentError, match="keep must be a dict"):
            training_contexts(self.net, keep=0.5)

    def test_graphs_are_refused(self):
        with pytest.raises(InvalidArgumentError, match="needs a network"):
            training_contexts(self.net.unroll())

    def test_a_limit_of_memory_advises_to_leave_out_the_variance(self):
        with pytest.raises(MemoryLimitError, match="variance=False"):
            training_contexts(self.net, keep={"relu": 0.5}, memory_limit=1000)
