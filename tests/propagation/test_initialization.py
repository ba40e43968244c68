"""Reports on initialisation: where nets explode and vanish, and advice that mends them."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import unrolled
from command_line import invoke
from oracles import maps_of_variances
from unrolled import Network, initialization_report, models
from unrolled.errors import InvalidArgumentError


def chain(depth, width=64, function="relu", *, use_bias=True):
    net = Network("chain")
    x = net.input((width,))
    for _ in range(depth):
        x = net.activation(net.dense(x, width, use_bias=use_bias), function)
    net.output(net.dense(x, 10, name="head"))
    return net


def vgg16(size=64):
    net = Network("vgg16")
    x = net.input((3, size, size))
    for width, number in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(number):
            x = net.activation(net.conv(x, width, 3, padding="same"))
        x = net.max_pool(x, 2, stride=2)
    x = net.flatten(x)
    for width in (4096, 4096):
        x = net.activation(net.dense(x, width))
    net.output(net.dense(x, 1000))
    return net


def transformer(depth, *, normalise, width=32, tokens=8):
    """Blocks of attention and a feed-forward net, normalised in front of either or not at all."""
    net = Network("transformer")
    x = net.input((tokens, width))
    for _ in range(depth):
        h = net.layer_norm(x) if normalise else x
        x = net.add(x, net.multi_head_attention(h, heads=4))
        h = net.layer_norm(x) if normalise else x
        h = net.activation(net.dense(h, 4 * width), "gelu")
        x = net.add(x, net.dense(h, width))
    net.output(net.dense(net.layer_norm(x) if normalise else x, 10))
    return net


def test_vgg_vanishes_under_the_defaults_of_pytorch_and_not_under_he():
    for gain, weights in ((2.0, "he"), (1 / 3, "torch")):
        report = initialization_report(vgg16(), weights, biases=0.0)
        jacobian, mean_square = maps_of_variances.vgg16(gain)
        assert report.propagation.jacobian == pytest.approx(jacobian, rel=1e-5)
        assert report.rows[-1].mean_square == pytest.approx(mean_square, rel=1e-5)
        assert report.jacobian_per_output == pytest.approx(jacobian / 1000, rel=1e-5)
        assert (report.vanishes_at is None) == (weights == "he")
        assert report.explodes_at is None
    assert report.vanishes_at == "conv_6"
    assert any(one.startswith("The signal vanishes: at layer 'conv_6'") for one in report.findings)
    assert "Behind relu, weights of variance 2 / fan-in keep signal and gradient." in report.advice


def test_biases_of_pytorch_are_all_that_is_left_of_the_signal_of_vgg():
    report = initialization_report(vgg16(), "torch")
    p = report.propagation
    fans = {kernel.layer: kernel.fan_in for kernel in p.kernels}
    for one in p.parameters:
        if one.role == "bias":
            assert one.mean_square == pytest.approx(1 / 3 / fans[one.layer])
    assert report.vanishes_at == "conv_6"
    # q = q / 6 + b far from the borders, whatever the input was.
    dense = report.rows[-2]
    assert dense.mean_square == pytest.approx(6 / 5 / (3 * 4096), rel=0.2)
    assert dense.correlation > 0.999
    assert report.collapses_at == "conv_7"
    assert report.log10_gradient_ratio < -3
    assert any("those of the last layer" in one for one in report.findings)
    assert any(one.startswith("Smaller biases") for one in report.advice)


def gated(*, squeeze):
    net = Network()
    x = net.activation(net.conv(net.input((3, 16, 16)), 32, 3, use_bias=False, name="maps"))
    if squeeze:
        s = net.global_pool(x, keep_dimensions=True)
        s = net.activation(net.conv(s, 8, 1, use_bias=False, name="squeeze"))
        s = net.activation(net.conv(s, 32, 1, use_bias=False, name="excite"), "sigmoid")
        x = net.multiply(x, s)
    net.output(net.dense(net.flatten(x), 10, use_bias=False, name="head"))
    return net


def test_gates_of_whole_maps_may_be_the_same_for_all_samples():
    report = initialization_report(gated(squeeze=True))
    assert report.propagation["squeeze"].correlation > 0.99
    assert report.is_sound
    # The same layers on the way to the output are another matter.
    net = Network()
    x = net.activation(net.conv(net.input((3, 16, 16)), 32, 3, use_bias=False))
    x = net.conv(net.global_pool(x, keep_dimensions=True), 8, 1, use_bias=False, name="squeeze")
    net.output(net.dense(net.flatten(net.activation(x)), 10, use_bias=False))
    assert initialization_report(net).collapses_at == "squeeze"


def resnet50(size=64):
    """With a stem that pools 2 x 2, where `models.resnet` pools 3 x 3."""
    net = Network("resnet50")

    def layer(x, channels, taps, stride=1):
        x = net.conv(x, channels, taps, stride=stride, padding=taps // 2, use_bias=False)
        return net.batch_norm(x)

    x = net.activation(layer(net.input((3, size, size)), 64, 7, 2))
    x = net.max_pool(x, 2, stride=2)
    for stage, blocks in enumerate((3, 4, 6, 3)):
        width = 64 << stage
        for block in range(blocks):
            stride = 2 if block == 0 and stage else 1
            y = net.activation(layer(x, width, 1))
            y = layer(net.activation(layer(y, width, 3, stride)), 4 * width, 1)
            x = net.activation(net.add(x if block else layer(x, 4 * width, 1, stride), y))
    net.output(net.dense(net.global_pool(x), 1000))
    return net


def test_gradients_of_resnet_50_are_52_times_larger_at_the_stem():
    """A batch norm multiplies them at every layer; skip connections keep the product small."""
    report = initialization_report(resnet50())
    jacobian, mean_square, first, last = maps_of_variances.resnet50()
    kernels = report.propagation.kernels
    assert len(kernels) == 54
    assert report.propagation.jacobian == pytest.approx(jacobian, rel=1e-4)
    assert report.rows[-1].mean_square == pytest.approx(mean_square, rel=1e-4)
    assert kernels[0].gradient == pytest.approx(first, rel=1e-4)
    assert kernels[-1].gradient == pytest.approx(last, rel=1e-4)
    assert round(math.sqrt(kernels[0].gradient / kernels[-1].gradient)) == 52
    assert report.is_sound
    relative = report.rows[0].relative_gradient / report.rows[-1].relative_gradient
    assert report.log10_gradient_ratio == pytest.approx(math.log10(relative), abs=1e-9)


def test_published_models_by_name_have_their_functions():
    by_name = initialization_report("resnet18", size=64)
    built = initialization_report(models.resnet(18, size=64, activations=True))
    assert by_name.jacobian_per_output == built.jacobian_per_output
    linear = initialization_report(models.resnet(18, size=64))
    assert linear.jacobian_per_output < built.jacobian_per_output / 10
    assert any("no function" in note for note in linear.notes)
    assert not any("no function" in note for note in built.notes)


def test_a_transformer_needs_its_normalisers():
    for depth in (6, 24):
        assert initialization_report(transformer(depth, normalise=True)).is_sound
        report = initialization_report(transformer(depth, normalise=False))
        assert report.explodes_at is not None
        assert report.findings[0].startswith(
            f"The signal explodes: at layer '{report.explodes_at}'"
        )
        explodes = [row.name for row in report.rows if row.verdict == "explodes"]
        assert explodes[0] == report.explodes_at
        branches = 2 * depth
        assert report.advice[0].startswith(
            f"Scale the last kernel of each of the {branches} residual branches by 1/{branches}"
        )


def residual(blocks, width=32):
    net = Network("residual")
    x = net.input((width,))
    for number in range(blocks):
        h = net.activation(net.dense(x, width, name=f"in_{number}"))
        x = net.add(x, net.dense(h, width, name=f"out_{number}"))
    net.output(net.dense(x, 10))
    return net


def test_branches_scaled_as_advised_add_as_much_as_one():
    """Every branch adds twice its input's mean square, or all together at most e^2 times it."""
    blocks = 20
    net = residual(blocks)
    report = initialization_report(net)
    assert report.explodes_at == "in_6"  # 2 * 3^6 is the first beyond a thousand.
    assert report.rows[-1].mean_square == pytest.approx(2 * 3.0**blocks)
    scaled = {f"out_{number}/kernel": 2 / 32 / blocks for number in range(blocks)}
    mended = initialization_report(net, overrides=scaled)
    assert mended.is_sound
    assert mended.rows[-1].mean_square == pytest.approx(2 * (1 + 2 / blocks) ** blocks)


def test_batch_norm_without_skips_cannot_be_mended_by_variances():
    net = Network("plain")
    x = net.input((32,))
    for _ in range(60):
        x = net.activation(net.batch_norm(net.dense(x, 32, use_bias=False)))
    net.output(net.dense(x, 5))
    report = initialization_report(net)
    # Squared gradients grow by this at layers whose input is behind relu (Yang et al. 2019).
    factor = math.pi / (math.pi - 1)
    found = report.propagation.jacobian
    assert found == pytest.approx(5 * factor**59, rel=1e-9)
    # All kernels but the last have equal sizes and variances; the last one has a part of both.
    first, second = report.rows[0].relative_gradient, report.rows[1].relative_gradient
    assert first**2 / second**2 == pytest.approx(factor, rel=1e-9)
    assert report.advice[0].startswith("No variance of the weights helps here")
    assert not any("scale_to" in one for one in report.advice)
    other = initialization_report(net, "lecun")
    assert other.log10_gradient_ratio == pytest.approx(report.log10_gradient_ratio)


@pytest.mark.parametrize(
    "net",
    [
        chain(12, function="tanh"),
        chain(12, function="gelu"),
        transformer(3, normalise=True),
        transformer(3, normalise=False),
        resnet50(32),
    ],
    ids=["tanh", "gelu", "pre-norm", "no norm", "resnet50"],
)
@pytest.mark.parametrize("weights", ["he", "torch"])
def test_scaled_layers_have_the_mean_square_asked_for(net, weights):
    report = initialization_report(net, weights)
    for target in (1.0, 0.25):
        if target == 0.25 and weights == "torch":
            continue  # Biases alone are larger than that in the narrow nets.
        scaled = report.scale_to(target)
        squares = [row.mean_square for row in initialization_report(net, scaled).rows]
        assert squares == pytest.approx([target] * len(squares), rel=1e-5)


def test_scaled_layers_of_a_chain_have_the_critical_variance():
    scaled = initialization_report(chain(5)).scale_to(1.0)
    assert scaled.pop("dense_1/kernel") == pytest.approx(1 / 64)
    assert list(scaled.values()) == pytest.approx([2 / 64] * 5)


def test_layers_scaled_without_data_are_so_when_weights_are_drawn():
    width, draws = 48, 400
    net = chain(4, width, "tanh", use_bias=False)
    report = initialization_report(net, "torch")
    scaled = report.scale_to(1.0)
    rng = np.random.default_rng(15)
    found = []
    for _ in range(draws):
        x, squares = rng.standard_normal(width), []
        for kernel in report.propagation.kernels:
            deviation = math.sqrt(scaled[kernel.name])
            h = rng.standard_normal((kernel.size // width, width)) @ x * deviation
            squares.append(np.mean(h**2))
            x = np.tanh(h)
        found.append(squares)
    error = np.std(found, axis=0, ddof=1) / math.sqrt(draws)
    # What infinitely many channels have is missed by less than 1/width at each layer.
    assert np.all(np.abs(np.mean(found, axis=0) - 1) < 4 * error + np.arange(5) / width)


def test_scale_to_keeps_what_was_asked_for():
    net = chain(3, function="own")
    options = {"functions": {"own": np.tanh}, "overrides": {"head/kernel": 0.5}}
    scaled = initialization_report(net, "torch", **options).scale_to(1.0)
    squares = [row.mean_square for row in initialization_report(net, scaled, **options).rows]
    assert squares[:-1] == pytest.approx([1.0] * 3)
    assert squares[-1] != pytest.approx(1.0)


@pytest.mark.parametrize(
    "weights", ["torch", {"dense_2": 3.0, "dense_3/bias": 0.5}, lambda use: 0.7]
)
@pytest.mark.parametrize(
    "overrides", [{"dense_3": 3.0}, {"dense_1/kernel": 0.5, "dense_4": 1e-3}, {"dense_3": 0.0}]
)
def test_layers_that_are_given_stay_and_all_others_are_scaled(weights, overrides):
    net = chain(5, 8)
    scaled = initialization_report(net, weights, overrides=overrides).scale_to(1.0)
    given = {name if "/" in name else f"{name}/kernel": v for name, v in overrides.items()}
    assert scaled.items() >= given.items()
    biases = {one for one in scaled if one.endswith("/bias")}
    for again in (
        initialization_report(net, scaled),
        initialization_report(net, weights, overrides=scaled),
    ):
        for row in again.rows:
            is_given = f"{row.name}/kernel" in given
            is_lost = 0.0 in given.values() and row.name > "dense_3" and not biases
            expected = 0.0 if is_lost else 1.0
            assert is_given or row.mean_square == pytest.approx(expected, rel=1e-5), row


def test_parameters_that_are_neither_kernels_nor_biases_stay():
    net = Network()
    x = net.input((6,))
    for number in range(3):
        h = net.layer_norm(net.dense(x, 6, name=f"in_{number}"), name=f"norm_{number}")
        x = net.add(x, net.dense(h, 6, name=f"out_{number}"))
    net.output(net.dense(x, 2, name="head"))
    weights = {f"norm_{number}/scale": np.array([3.0, 4.0]) for number in range(3)}
    scaled = initialization_report(net, weights).scale_to(0.5)
    again = initialization_report(net, weights, overrides=scaled)
    assert [row.mean_square for row in again.rows] == pytest.approx([0.5] * 7, rel=1e-5)


def test_a_mean_square_that_no_variance_reaches_is_refused():
    report = initialization_report(chain(3), biases=1.0)
    with pytest.raises(InvalidArgumentError, match="gives layer 'dense_1' a mean square of"):
        report.scale_to(0.5)
    assert report.scale_to(1.5)["dense_1/kernel"] == pytest.approx(0.5 / 64)


def test_kernels_without_any_gradient_are_a_finding():
    net = Network()
    x = net.input((5,))
    a = net.activation(net.dense(x, 5, name="a"))
    net.output(net.add(net.dense(x, 5, name="c"), net.dense(a, 5, name="b")))
    assert initialization_report(net).dead_at is None
    for overrides, dead in (({"b": 0.0}, "a"), ({"a": 0.0}, "b")):
        report = initialization_report(net, overrides=overrides)
        assert report.dead_at == dead
        assert not report.is_sound
        assert (
            f"No gradient at all: 1 of 3 kernels get none; the first is that of layer '{dead}'."
        ) in report.findings
        assert any(
            one.startswith(f"Nothing at layer '{dead}' will change") for one in report.advice
        )
        assert report.propagation[f"{dead}/kernel"].gradient == 0
        assert_is_json(report)
        assert report.table()
    # The scale at the end of a branch that starts at zero gets one, and what is behind it none.
    net = Network()
    x = net.input((5,))
    net.output(net.add(x, net.batch_norm(net.dense(x, 5, name="a"), name="norm")))
    report = initialization_report(net, overrides={"norm/scale": 0.0})
    assert report.dead_at == "a"
    assert report.propagation["norm/scale"].gradient == pytest.approx(5)


@pytest.mark.parametrize("target", [0.0, -1.0, math.inf, math.nan, "1"])
def test_targets_that_cannot_be(target):
    with pytest.raises(InvalidArgumentError, match="target must be a positive mean square"):
        initialization_report(chain(2)).scale_to(target)


def test_a_thousand_layers():
    for weights, end in (("he", 0.0), ("lecun", -1000.0), (4.0, 1000.0)):
        report = initialization_report(chain(1000), weights)
        head = report.propagation["head"]
        assert head.log2_mean_square - report.propagation["dense_1"].log2_mean_square == (
            pytest.approx(end)
        )
        assert (report.explodes_at is not None) == (end > 0)
        assert (report.vanishes_at is not None) == (end < 0)
        assert_is_json(report)
        assert report.table()
    report = initialization_report(chain(1000), "torch")
    # At every layer but the last, squared gradients shrink by 6, the weights being equal.
    assert report.log10_gradient_ratio == pytest.approx(-999 / 2 * math.log10(6), abs=2)
    assert "e+" in report.findings[-1]
    assert_is_json(report)


def assert_is_json(report):
    values = report.to_dict()
    again = json.loads(json.dumps(values, allow_nan=False))
    assert again == values
    assert [row["name"] for row in values["layers"]] == [row.name for row in report.rows]


def test_a_signal_that_is_lost_is_a_finding():
    report = initialization_report(chain(20, function="exp"), 4.0)
    assert report.rows == ()
    # The layer leaves the range, and the function behind it all ranges.
    assert report.explodes_at == "dense_2"
    assert report.vanishes_at is None
    assert report.findings[0].startswith("The signal explodes: at layer 'dense_2'")
    assert report.lost_at == "exp_2"
    assert "'exp_2' is too large" in report.findings[1]
    assert report.advice
    assert math.isnan(report.jacobian_per_output)
    assert math.isnan(report.log10_gradient_ratio)
    assert "needs care" in report.table()
    assert_is_json(report)
    with pytest.raises(InvalidArgumentError, match="cannot be followed to the end"):
        report.scale_to(1.0)
    with pytest.raises(InvalidArgumentError, match="cannot be followed to the end"):
        report.plot()


def test_samples_that_become_one_direction():
    report = initialization_report(chain(20, function="tanh"), 1.0, biases=0.5)
    row = next(row for row in report.rows if row.name == report.collapses_at)
    assert row.correlation > 0.99
    assert report.advice[-1] == (
        "Smaller biases keep samples apart for longer: all samples have them in common."
    )
    report = initialization_report(chain(100))
    assert report.collapses_at is not None
    assert [one.partition(":")[0] for one in report.advice] == [
        "No variance of the weights keeps samples apart here"
    ]


def test_graphs_have_no_signal():
    with pytest.raises(InvalidArgumentError, match="a model made of tensors"):
        initialization_report(unrolled.Graph.from_edges([0, 1], [1, 2]))


def test_the_shell_shows_the_report_of_the_function():
    result = invoke("init", "resnet18", "--size", 64)
    assert result.exit_code == 0
    assert result.stdout.startswith("resnet18: sound at initialisation\n")
    assert "E|J|^2 per output" in result.stdout
    (values,) = json.loads(invoke("init", "resnet18", "--size", 64, "--json").stdout)
    report = initialization_report("resnet18", size=64)
    assert values == json.loads(json.dumps(report.to_dict()))
    (values,) = json.loads(
        invoke("init", "resnet18", "--size", 64, "--init", "torch", "--json").stdout
    )
    assert values["layers"][0]["weight_variance"] == pytest.approx(1 / 3 / 147)


def test_shell_says_in_one_line_what_is_wrong(tmp_path):
    for wrong in (["--init", "hee"], ["--biases", "-1"], ["--correlation", "2"]):
        result = invoke("init", "resnet18", "--size", 32, *wrong)
        assert result.exit_code == 2, wrong
        assert len(result.stderr.strip().splitlines()) == 1, result.stderr
        assert result.stdout == ""
    assert "did you mean 'he'" in invoke("init", "resnet18", "--size", 32, "--init", "hee").stderr


def test_shell_draws(tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "signal.png"
    result = invoke("init", "resnet18", "--size", 32, "--plot", path)
    assert result.exit_code == 0
    assert path.read_bytes().startswith(b"\x89PNG")


def preprocessed(scaling: tuple[str, ...], *, moves: bool = False) -> unrolled.Network:
    net = unrolled.Network()
    x = net.input((12, 12, 3) if moves else (3, 12, 12), name="image")
    for name in scaling:
        x = net.activation(x, name)
    if moves:
        x = net.transpose(x, (2, 0, 1))
    for width in (8, 16):
        x = net.activation(net.conv(x, width, 3, padding=1, use_bias=False))
    net.output(net.dense(net.global_pool(x), 5, use_bias=False))
    return net


@pytest.mark.parametrize(
    "scaling", [("linear(0.003921569, 0)",), ("linear(0.0078431, -1)",), ("linear(2, 1)",) * 2]
)
@pytest.mark.parametrize("moves", [False, True])
def test_signals_scores_and_reports_begin_behind_the_scaling_of_a_model(scaling, moves):
    """One place says where a signal enters: `propagate`, reports and scores agree on it."""
    plain, scaled = (preprocessed(names, moves=moves) for names in ((), scaling))
    one, other = (unrolled.initialization_report(net) for net in (plain, scaled))
    for row, same in zip(one.rows, other.rows, strict=True):
        assert same.mean_square == pytest.approx(row.mean_square)
        assert same.correlation == pytest.approx(row.correlation, abs=1e-12)
        assert same.relative_gradient == pytest.approx(row.relative_gradient)
        assert same.verdict == row.verdict
    assert unrolled.score(scaled).to_dict()["saliency_entropy"] == pytest.approx(
        unrolled.score(plain).to_dict()["saliency_entropy"]
    )
    propagation = other.propagation
    (entry,) = propagation.entries
    assert propagation[entry].mean_square == pytest.approx(1.0)
    assert propagation[entry].mean == pytest.approx(0.0, abs=1e-12)
    assert propagation.jacobian == pytest.approx(one.propagation.jacobian)
    slope = math.prod(float(name[7:-1].split(",")[0]) for name in scaling)
    ratio = propagation["image"].gradient / propagation[entry].gradient
    assert ratio == pytest.approx(slope**2)


def test_a_law_that_is_given_is_that_of_the_input_itself():
    """Pixels of mean square 100 in front of a division by 10."""
    net = preprocessed(("linear(0.1, 0)",))
    p = unrolled.propagate(net, input=unrolled.Signal(100.0))
    assert p["image"].mean_square == pytest.approx(100)
    assert p[p.entries[0]].mean_square == pytest.approx(1.0)
    report = unrolled.initialization_report(net, input=unrolled.Signal(1.0))
    first = p[p.kernels[0].target].mean_square
    assert report.rows[0].mean_square == pytest.approx(0.01 * first)
    # In proportion to what enters the model, nothing vanishes.
    assert report.vanishes_at is None


def test_an_input_that_is_also_read_as_it_is_has_no_scaling():
    net = unrolled.Network()
    x = net.input((8,))
    net.output(net.add(net.dense(x, 4), net.dense(net.activation(x, "linear(0.01, 0)"), 4)))
    assert unrolled.propagate(net).entries == ("input",)
