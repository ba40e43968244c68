"""`Network.share` and `Network.layers`."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unrolled
from strategies.random_networks import Twin, twins
from unrolled import (
    Configuration,
    InvalidArgumentError,
    InvalidNetworkError,
    UnknownNameError,
    models,
    reference,
)

# The published figures.


def test_b0_shared_by_configuration():
    net = models.efficientnet_v2("b0")
    analysis = unrolled.analyze(net.share(by="configuration"))
    assert analysis.num_parameters == 3_018_800
    assert analysis.num_weight_nodes == 7_200_312
    assert analysis.expected_spread == pytest.approx(746.608413463679, rel=1e-14)
    assert analysis.total_surprisal == pytest.approx(1_640_481_671.2355, rel=1e-12)


def test_norms_and_classifier_of_b0_stay_unshared():
    net = models.efficientnet_v2("b0")
    before = {name for name in unrolled.count(net) if ".norm/" in name or "classifier" in name}
    after = set(unrolled.count(net.share()))
    assert before
    assert before <= after


def test_the_original_stays_as_it_was():
    net = models.resnet(18, size=32)
    tensors, links = net.tensors, net.links
    before = unrolled.analyze(net).to_dict()
    shared = net.share()
    assert shared.num_parameters < net.num_parameters
    assert (net.tensors, net.links) == (tensors, links)
    assert unrolled.analyze(net).to_dict() == before
    assert (shared.name, net.name) == ("resnet18 (shared)", "resnet18")
    assert net.share(name="tied").name == "tied"


# Laws.


def by_shape(layer):
    return tuple(layer.shapes.items())


@settings(max_examples=60)
@given(twins(), st.sampled_from(["configuration", by_shape]))
def test_counts_of_a_group_add_up(twin: Twin, by):
    """Tying parameters adds their counts, element by element, and keeps the weight nodes."""
    net = twin.network
    shared = net.share(by)
    before, after = unrolled.count(net), unrolled.count(shared)
    assert sum(sum(after[name].exact().flat) for name in after) == before.total
    assert after.num_weight_nodes == before.num_weight_nodes
    expected = {}
    owner = {}
    for layer in net.layers:
        key = layer.configuration if by == "configuration" else by(layer)
        for role, tensor in layer.parameters.items():
            group = (key, role) if key is not None else tensor.name
            name = owner.setdefault(group, tensor.name)
            expected[name] = expected.get(name, 0) + before[tensor.name].exact()
    assert set(after) == set(expected)
    for name, counts in expected.items():
        np.testing.assert_array_equal(after[name].exact(), counts)


def test_shared_networks_agree_with_brute_force():
    net = models.cnn(4, depth=3, size=4, input_channels=4, skip=2, classes=2)
    shared = net.share()
    slow = reference.count(shared)
    counts = unrolled.count(shared)
    assert list(counts) == ["layer1/kernel", "layer1/bias", "classifier/kernel", "classifier/bias"]
    for name in counts:
        np.testing.assert_array_equal(counts[name].exact(), slow[name])


def test_sharing_nothing_changes_nothing():
    net = models.mlp([5, 4, 3], inputs=6)
    same = unrolled.analyze(net.share(lambda layer: None, name="mlp"))
    assert same.to_dict() == unrolled.analyze(net).to_dict()


# Which layers share.


def tied(net, shared):
    """The layers of `net` whose parameters `shared` does not have under their own names."""
    return {layer.name for layer in net.layers} - {layer.name for layer in shared.layers}


@pytest.fixture
def convolutions():
    net = unrolled.Network("convolutions")
    x = net.input((8, 9, 9))
    for name, options in {
        "plain": {},
        "padded": {"padding": "valid"},
        "biasless": {"use_bias": False},
        "strided": {"stride": 2},
        "dilated": {"dilation": 2},
        "grouped": {"groups": 2},
        "again": {},
    }.items():
        net.output(net.conv(x, 8, 3, name=name, **options))
    net.output(net.depthwise_conv(x, 3, name="depthwise"))
    net.output(net.conv_transpose(x, 8, 3, name="transposed"))
    net.output(net.conv_transpose(x, 8, 3, groups=4, name="transposed.grouped"))
    net.output(net.dense(net.global_pool(x), 8, name="dense"))
    return net


def test_configurations_tell_layers_apart_by_what_they_compute(convolutions):
    found = {layer.name: layer.configuration for layer in convolutions.layers}
    plain = Configuration("conv", (3, 3), (1, 1), (1, 1), 8, 8, 1)
    assert found == {
        "plain": plain,
        "padded": plain,
        "biasless": plain,
        "strided": plain._replace(stride=(2, 2)),
        "dilated": plain._replace(dilation=(2, 2)),
        "grouped": plain._replace(groups=2),
        "again": plain,
        "depthwise": plain._replace(groups=8),
        "transposed": plain._replace(kind="conv_transpose"),
        "transposed.grouped": plain._replace(kind="conv_transpose", groups=4),
        "dense": Configuration("dense", (), (), (), 8, 8, 1),
    }


def test_equal_configurations_share_kernels_and_the_biases_there_are(convolutions):
    shared = convolutions.share()
    assert tied(convolutions, shared) == {"padded", "biasless", "again"}
    counts, before = unrolled.count(shared), unrolled.count(convolutions)
    assert counts["plain/bias"][0] == sum(
        before[f"{name}/bias"][0] for name in ("plain", "padded", "again")
    )


def test_stages_share_among_themselves():
    net = models.resnet(18, size=32)
    by_stage = tied(net, net.share(by="stage"))
    assert "stage1.block2.second.conv" in by_stage
    assert "stage2.block1.shortcut.conv" not in by_stage
    sizes = [net.share(by=by).num_parameters for by in ("configuration", "stage")]
    assert sizes[0] <= sizes[1] < net.num_parameters


def test_groups_by_name():
    net = models.mlp(4, depth=4, inputs=4)
    shared = net.share({"ends": ["layer1", "layer4"], "middle": ["layer3", "layer2"]})
    assert [layer.name for layer in shared.layers] == ["layer1", "layer3", "classifier"]
    assert shared.num_parameters == net.num_parameters - 2 * (4 * 4 + 4)


def test_a_user_s_key_may_tie_norms():
    net = models.resnet(18, size=32)
    shared = net.share(lambda layer: by_shape(layer) if "scale" in layer.parameters else None)
    norms = [layer for layer in net.layers if "scale" in layer.parameters]
    widths = {layer.parameters["scale"].shape for layer in norms}
    kept = [layer for layer in shared.layers if "scale" in layer.parameters]
    assert len(kept) == len(widths)
    assert not any(layer.parameters["mean"].trainable for layer in kept)


def test_what_is_tied_already_stays_tied():
    net = unrolled.Network()
    x = net.input((4,))
    x = net.dense(x, 4, use_bias=False, name="first")
    x = net.dense(x, 4, use_bias=False, kernel=net["first/kernel"], name="second")
    net.output(net.dense(x, 4, use_bias=False, name="third"))
    counts = unrolled.count(net.share())
    assert list(counts) == ["first/kernel"]
    assert (counts.num_parameters, counts.num_weight_nodes) == (16, 48)


def test_semantics_and_automatic_names_are_kept():
    net = unrolled.Network(semantics="dependency")
    x = net.dense(net.input((4,)), 4)
    net.output(net.softmax(net.dense(x, 4)))
    shared = net.share()
    assert shared.semantics == "dependency"
    assert prod(shared.dense(shared["dense_2"], 4).shape) == 4
    assert "dense_3" in shared


def test_layers_of_one_s_own_have_no_configuration():
    net = unrolled.Network()
    x = net.input((3, 2))
    y = net.tensor("y", (3, 2))
    for name in ("y/kernel", "gain"):
        weight = net.parameter(name, (3,))
        relations = [unrolled.Relation.same(0, 0), unrolled.Relation.sum(1)]
        net.link(weight, y, relations)
    net.link(x, y, [unrolled.Relation.same(0, 0), unrolled.Relation.same(1, 1)])
    net.output(y)
    assert [(layer.name, layer.configuration) for layer in net.layers] == [
        ("y", None),
        ("gain", None),
    ]


# Errors.


@pytest.mark.parametrize(
    ("by", "error", "message"),
    [
        (3, InvalidArgumentError, "got int 3"),
        ("config", InvalidArgumentError, "by='configuration'"),
        ("stage", InvalidArgumentError, "first dot"),
        (lambda layer: 1 / 0, InvalidArgumentError, "layer 'layer1' with ZeroDivisionError"),
        (lambda layer: [], InvalidArgumentError, "unhashable"),
        (lambda layer: 1, InvalidNetworkError, r"kernel \(4, 4\).*kernel \(4, 10\)"),
        ({"a": ["layer1", "layr2"]}, UnknownNameError, "did you mean 'layer2'"),
        ({"a": [["layer1"]]}, UnknownNameError, "no layer"),
        ({"a": ["layer1", "layer1"]}, InvalidArgumentError, "twice"),
        ({"a": ["layer1"], "b": ["layer1"]}, InvalidArgumentError, "in 'a', too"),
        ({"a": "layer1"}, InvalidArgumentError, "list of layer names, got str"),
        ({"a": ["layer1", "classifier"]}, InvalidNetworkError, "cannot share as 'a'"),
    ],
)
def test_what_cannot_be_shared_is_refused(by, error, message):
    net = models.mlp(4, depth=2, inputs=4)
    with pytest.raises(error, match=message):
        net.share(by)


def test_layers_that_training_treats_differently():
    net = unrolled.Network()
    x = net.input((4,))
    for trainable in (True, False):
        kernel = net.parameter(f"{trainable}/kernel", (4, 4), trainable)
        x = net.dense(x, 4, use_bias=False, kernel=kernel, name=f"dense {trainable}")
    net.output(x)
    with pytest.raises(InvalidNetworkError, match="not trainable"):
        net.share(lambda layer: "all")
