"""Networks that are written as ONNX count as before, parameter by parameter."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unrolled
from cases.network_layers import LAYERS, built
from unrolled import Network, Relation, models
from unrolled.importers.onnx import from_onnx

onnx = pytest.importorskip("onnx")


def assert_equal_counts(net: Network, content: bytes) -> Network:
    again = from_onnx(content, semantics=net.semantics)
    counts, expected = unrolled.count(again), unrolled.count(net)
    for parameter in net.parameters:
        np.testing.assert_array_equal(
            counts[parameter.name].exact(), expected[parameter.name].exact(), parameter.name
        )
    assert {one.name for one in again.parameters} == {one.name for one in net.parameters}
    assert counts.total == expected.total
    return again


@pytest.mark.parametrize("semantics", ["value", "dependency"])
@pytest.mark.parametrize("kind", LAYERS)
def test_layers_count_the_same_after_a_round_trip(kind: str, semantics: str) -> None:
    shape, layer = LAYERS[kind]
    net = built(shape, layer, semantics)
    content = net.to_onnx()
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    assert_equal_counts(net, content)


def test_every_layer_method_is_written() -> None:
    """A layer method that is added needs a rule here."""
    tried = " ".join(kind for kind in LAYERS) + " embedding activation"
    kinds = [
        name
        for base in Network.__mro__
        if base.__module__.startswith("unrolled.network.layers")
        for name in vars(base)
        if not name.startswith("_")
    ]
    known_by_other_names = {"global_pool", "depthwise_conv", "multiply", "multi_head_attention"}
    missing = [name for name in kinds if name not in tried and name not in known_by_other_names]
    assert not missing


NASBENCH = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|skip_connect~2|"
PUBLISHED: dict[str, Callable[[], Network]] = {
    **{
        name: partial(models.build, name, size=64)
        for name in ("resnet18", "resnet50", "resnet50-v1.5", "efficientnetv2-b0")
    },
    "cnn": lambda: models.cnn([8, 16]),
    "mlp": lambda: models.mlp([16, 8]),
    "nasbench201": lambda: models.nasbench201(NASBENCH),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_models_count_the_same_after_a_round_trip(name: str) -> None:
    net = PUBLISHED[name]()
    assert_equal_counts(net, net.to_onnx(weights=None))


def test_embeddings_are_gathered_by_integers() -> None:
    net = Network()
    words = net.embedding(net.input((7,), "words"), 11, 6, name="table")
    net.output(net.dense(net.layer_norm(words), 3))
    again = assert_equal_counts(net, net.to_onnx())
    assert again.inputs[0].name == "words"


@pytest.mark.parametrize("scheme", ["he", "lecun", "glorot", "torch", "orthogonal", 3.0])
def test_weights_have_the_variances_of_their_scheme(scheme: Any) -> None:
    net = Network()
    y = net.conv(net.input((64, 4, 4)), 96, 3, name="conv")
    y = net.conv_transpose(y, 48, 3, groups=4, name="up")
    net.output(net.dense(net.global_pool(y), 200, name="head"))
    model = onnx.load_from_string(net.to_onnx(weights=scheme, seed=3))
    values = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    for layer, fan_in, fan_out in (
        ("conv", 64 * 9, 96 * 9),
        ("up", 24 * 9, 12 * 9),
        ("head", 48, 200),
    ):
        kernel = values[f"{layer}/kernel"]
        expected = {
            "he": 2 / fan_in,
            "lecun": 1 / fan_in,
            "glorot": 2 / (fan_in + fan_out),
            "torch": 1 / (3 * fan_in),
            "orthogonal": 1 / max(fan_in, kernel.size // fan_in),
            3.0: 3 / fan_in,
        }[scheme]
        error = expected * np.sqrt(2 / kernel.size)
        assert abs(float((kernel.astype(float) ** 2).mean()) - expected) < 4 * error
    if scheme == "orthogonal":
        head = values["head/kernel"].astype(float)
        np.testing.assert_allclose(head @ head.T, np.eye(48), atol=1e-5)
    assert not values["conv/bias"].any() or scheme == "torch"


def test_the_same_seed_gives_the_same_file(tmp_path: Path) -> None:
    net = models.mlp([8], inputs=4, classes=2)
    path = tmp_path / "net.onnx"
    content = net.to_onnx(path, seed=4)
    assert path.read_bytes() == content == net.to_onnx(seed=4)
    assert content != net.to_onnx(seed=5)
    assert [one.name for one in tmp_path.iterdir()] == ["net.onnx"]


def own_layer() -> Network:
    net = Network("own")
    x = net.input((4,))
    net.link(x, y := net.tensor("y", (4,)), [Relation.same(0, 0)])
    z = net.activation(y, "no_such_function", name="z")
    net.output(net.dense(z, 2))
    return net


def test_tensors_that_no_node_computes_are_all_named() -> None:
    with pytest.raises(unrolled.UnknownOperationError, match=r"2 tensors.*'y'.*'z'") as raised:
        own_layer().to_onnx()
    assert list(raised.value.tensors) == ["y", "z"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": "hee"}, "did you mean 'he'"),
        ({"weights": -1.0}, "at least 0"),
        ({"weights": {"head/kernl": 1}}, "no parameter named 'head/kernl'"),
        ({"weights": {"dense_1/kernel": np.ones(3)}}, "shape"),
        ({"seed": -1}, "seed"),
        ({"batch": 0}, "batch"),
    ],
)
def test_options_that_cannot_be_used_are_refused(
    options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    net = Network()
    net.output(net.dense(net.input((4,)), 2))
    with pytest.raises(unrolled.UnrolledError, match=message):
        net.to_onnx(tmp_path / "net.onnx", **options)
    assert not list(tmp_path.iterdir())


def test_a_network_without_outputs_is_refused() -> None:
    net = Network()
    net.input((4,))
    with pytest.raises(unrolled.InvalidNetworkError, match="no output"):
        net.to_onnx()


def test_weights_beyond_a_file_are_refused_but_can_be_left_out() -> None:
    net = Network()
    net.output(net.dense(net.input((30_000,)), 30_000))
    with pytest.raises(unrolled.SizeOverflowError, match="weights=None"):
        net.to_onnx()
    again = from_onnx(net.to_onnx(weights=None))
    assert unrolled.count(again).total == unrolled.count(net).total
