"""`analyze(..., input_size=...)`, the published lower bound, and `Network.resized`."""

import math

import pytest

import unrolled
from unrolled import InvalidArgumentError, InvalidNetworkError, models


@pytest.mark.parametrize("size", [48, (48, 64)])
def test_bound_changes_the_number_of_inputs_only(size):
    net = models.resnet(18, size=32)
    own = unrolled.analyze(net)
    bound = unrolled.analyze(net, input_size=size)
    height, width = (size, size) if isinstance(size, int) else size
    inputs = 3 * height * width
    scale = inputs / (inputs + 1000 + own.num_weight_nodes)
    spread = own.num_parameters * (own.expected_spread + 1)
    assert bound.surprisal_estimate == pytest.approx(math.log2(own.total_surprisal * scale))
    assert bound.spread_estimate == pytest.approx(math.log2(spread * scale))
    assert bound.input_size == (height, width)
    changed = ("num_inputs", "surprisal_estimate", "spread_estimate")
    assert {key: value for key, value in bound.to_dict().items() if key not in changed} == {
        key: value for key, value in own.to_dict().items() if key not in changed
    }


@pytest.mark.parametrize("name", ["efficientnetv2-b0", "resnet50"])
def test_true_value_is_that_of_the_larger_model(name):
    bound = unrolled.analyze(models.build(name, size=64, classes=7), input_size=96)
    true = unrolled.analyze(models.build(name, size=96, classes=7))
    assert bound.true_value.to_dict() == true.to_dict()
    assert bound.surprisal_estimate <= true.surprisal_estimate
    assert bound.spread_estimate <= true.spread_estimate


def test_the_bound_on_the_surprisal_is_not_strict():
    """The docstring warns of this: the surprisal estimate can lie above the true value."""
    bound = unrolled.analyze(models.resnet(18), input_size=225)
    assert bound.surprisal_estimate > bound.true_value.surprisal_estimate
    assert bound.spread_estimate < bound.true_value.spread_estimate


def test_options_reach_the_true_value():
    net = models.resnet(18, size=32)
    bound = unrolled.analyze(net, input_size=33, exact=False, trainable_only=True)
    assert not bound.true_value.is_exact
    trainable = sum(one.size for one in net.parameters if one.trainable)
    value = bound.true_value
    assert value.num_parameters + value.num_unreached_parameters == trainable


def test_no_true_value_without_the_model():
    net = models.cnn(4, depth=2, size=8)
    assert unrolled.analyze(unrolled.count(net), input_size=9).true_value is None
    net.output(net["pool"])
    assert unrolled.analyze(net, input_size=9).true_value is None


def test_summary_and_table_say_what_the_estimates_are():
    bound = unrolled.analyze(models.resnet(18, size=32), input_size=48)
    assert "lower bounds for inputs of 48 x 48" in bound.summary()
    assert f"{bound.true_value.spread_estimate:.6f}" in bound.summary()
    assert "lower bounds for inputs of 48 x 48" in unrolled.compare([bound]).table()
    assert "lower bounds" not in unrolled.compare([bound.true_value]).table()


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (31, "at least the 32 x 32 pixels counted, got 31 x 31"),
        ((64, 16), "got 64 x 16"),
        ((64,), "one side or"),
        ("64", "one side or"),
        (64.0, "one side or"),
    ],
)
def test_sizes_that_are_none(size, message):
    with pytest.raises(InvalidArgumentError, match=message):
        unrolled.analyze(models.resnet(18, size=32), input_size=size)


def test_models_without_an_image():
    with pytest.raises(InvalidNetworkError, match=r"one input of shape .* got \(784,\)"):
        unrolled.analyze(models.mlp(4, depth=1), input_size=9)


# Networks built again.


@pytest.mark.parametrize(
    "build",
    [
        lambda size: models.efficientnet_v2("b1", size=size, padding="same", classes=3),
        lambda size: models.resnet(50, size=size, variant="v1.5", include_top=False),
        lambda size: models.build("resnet34", size=size),
        lambda size: models.cnn([4, 8], strides=[1, 2], skip=2, size=size, head="flatten"),
        lambda size: models.resnet(18, size=size).share("stage", name="tied"),
    ],
)
def test_resized_as_if_built_for_the_size(build):
    small, large = build(40), build((48, 56))
    resized = small.resized((48, 56))
    assert resized.name == small.name
    assert unrolled.analyze(resized).to_dict() == unrolled.analyze(large).to_dict()
    assert resized.resized(40).num_inputs == small.num_inputs


def test_what_the_caller_changes_later_does_not_matter():
    channels = [4, 8]
    net = models.cnn(channels, size=8)
    channels[1] = 16
    assert net.resized(9).num_parameters == net.num_parameters


@pytest.mark.parametrize(
    "change",
    [
        lambda net: net.output(net["pool"]),
        lambda net: net.dense(net["pool"], 3),
        lambda net: net.link(
            net["pool"],
            net["classifier"],
            [unrolled.Relation.all(0, 0)],
        ),
    ],
)
def test_a_changed_network_cannot_be_built_again(change):
    net = models.cnn(4, depth=2, size=8)
    assert net.is_resizable
    change(net)
    assert not net.is_resizable
    with pytest.raises(InvalidNetworkError, match="not changed since"):
        net.resized(9)


def test_networks_of_one_s_own_cannot_be_built_again():
    with pytest.raises(InvalidNetworkError, match=r"unrolled\.models"):
        models.mlp(4, depth=1).resized(9)


def test_sizes_are_checked():
    with pytest.raises(InvalidArgumentError, match="positive"):
        models.resnet(18, size=32).resized(0)
