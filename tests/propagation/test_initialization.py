"""Reports on initialisation: where nets explode and vanish, and advice that mends them."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import unrolled
from command_line import invoke
from oracles.maps_of_variances import vgg16 as vgg16_by_maps
from unrolled import Network, Signal, UnrolledError, initialization_report, models, propagate
from unrolled.errors import InvalidArgumentError, UnknownNameError


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
        jacobian, mean_square = vgg16_by_maps(gain)
        assert report.propagation.jacobian == pytest.approx(jacobian, rel=1e-5)
        assert report.rows[-1].mean_square == pytest.approx(mean_square, rel=1e-5)
        assert report.jacobian_per_output == pytest.approx(jacobian / 1000, rel=1e-5)
        assert (report.vanishes_at is None) == (weights == "he")
        assert report.explodes_at is None
    assert report.vanishes_at == "conv_6"
    assert any(one.startswith("The signal vanishes: at layer 'conv_6'") for one in report.findings)
    assert "Behind relu, weights of variance 2 / fan-in keep signal and gradient." in report.advice


def test_biases_of_pytorch_hide_that_the_signal_of_vgg_vanishes():
    report = initialization_report(vgg16(), "torch")
    assert report.vanishes_at is None  # What is left are biases, the same for all samples.
    assert report.collapses_at is not None
    assert report.log10_gradient_ratio < -3
    assert any("those of the last layer" in one for one in report.findings)
    assert any(one.startswith("Smaller biases") for one in report.advice)


def test_gradients_of_resnet_50_are_larger_at_the_stem():
    """A batch norm multiplies them at every layer; skips keep the factor at some tens."""
    report = initialization_report(models.resnet(50, variant="v1.5", resolution=64))
    assert report.propagation["stem/kernel" if "stem" in report.rows[0].name else report.rows[0].name + "/kernel"]
    stem, head = report.rows[0], report.rows[-1]
    assert report.log10_gradient_ratio == pytest.approx(
        math.log10(stem.relative_gradient / head.relative_gradient)
    )
