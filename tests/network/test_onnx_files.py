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
from unrolled import Network, Operation, Relation, models
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


def test_a_network_that_was_read_without_its_functions_is_not_written() -> None:
    net = Network("net")
    net.output(net.dense(net.activation(net.dense(net.input((4,)), 3)), 2))
    content = net.to_onnx()
    with pytest.raises(unrolled.InvalidArgumentError, match="operations=True"):
        from_onnx(content).to_onnx()
    again = from_onnx(content, operations=True)
    assert Operation("function", "relu") in [again.operation(one) for one in again.tensors]
    assert_equal_counts(again, again.to_onnx())


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


def convolution(
    reading: list[Relation], taps: list[Relation], kernel: tuple[int, ...] = (4, 3, 2)
) -> Network:
    """A convolution over one axis, with its links as they are given."""
    net = Network("own")
    x = net.input((3, 6))
    y = net.tensor("y", (4, 5), operation=Operation("affine"))
    net.link(x, y, reading)
    net.link(net.parameter("kernel", kernel), y, taps, role="kernel")
    net.output(y)
    return net


def reading(kind: Operation, *relations: Relation, shape: tuple[int, ...] = (3, 6)) -> Network:
    """A tensor that is computed from an input alone, by one link."""
    net = Network("own")
    y = net.tensor("y", shape, operation=kind)
    net.link(net.input((3, 6)), y, relations)
    net.output(y)
    return net


def with_role(kind: str, role: Any) -> Network:
    net = reading(Operation(kind, "relu"), Relation.same(0, 0), Relation.same(1, 1))
    spread = [Relation.same(0, 0), Relation.sum(1)]
    net.link(net.parameter("more", (3,)), net["y"], spread, role=role)
    return net


SAME, ALL = Relation.same(0, 0), Relation.all(0, 0)
SLIDE = Relation.window(1, 1, size=2)
TAPS = [SAME, Relation.each(1), Relation.taps(2, 1, extent=6, size=2)]
NOT_WRITTEN: dict[str, Callable[[], Network]] = {
    "nothing": lambda: Network("empty"),
    "one_tap": lambda: convolution(
        [ALL, SLIDE], [SAME, Relation.each(1), Relation.all(2, 1)], (4, 3, 1)
    ),
    "other_taps": lambda: convolution(
        [ALL, SLIDE], [SAME, Relation.each(1), Relation.taps(2, 1, extent=6, size=2, padding=1)]
    ),
    "more_rows": lambda: convolution([ALL, SLIDE], TAPS, (4, 5, 2)),
    "selected": lambda: convolution([Relation.select(0, 0, [0, 1, 2, 0]), SLIDE], TAPS),
    "early_end": lambda: reading(
        Operation("max_pool"), SAME, Relation.window(1, 1, size=2), shape=(3, 2)
    ),
    "shifted_channels": lambda: reading(
        Operation("average"), Relation.slice(0, 0, start=0), SLIDE, shape=(3, 5)
    ),
    "no_axis_pooled": lambda: reading(Operation("average"), SAME, Relation.same(1, 1)),
    "pooled_and_repeated": lambda: reading(Operation("average"), SAME, Relation.all(1, 1)),
    "softmax_of_a_slice": lambda: reading(
        Operation("softmax", axes=[1]), SAME, Relation.slice(1, 1, start=0, step=2), shape=(3, 3)
    ),
    "norm_of_a_transpose": lambda: reading(
        Operation("layer_norm", axes=[1]), Relation.same(0, 1), Relation.same(1, 0), shape=(6, 3)
    ),
    "norm_of_nothing": lambda: reading(Operation("layer_norm"), SAME, Relation.same(1, 1)),
    "odd_groups": lambda: reading(
        Operation("group_norm", axes=[0], groups=2), SAME, Relation.same(1, 1)
    ),
    "two_channel_axes": lambda: reading(
        Operation("batch_norm", axes=[0, 1]), SAME, Relation.same(1, 1)
    ),
    "one_factor": lambda: reading(Operation("matmul"), SAME, Relation.same(1, 1)),
    "dense_without_kernel": lambda: reading(Operation("affine"), SAME, Relation.all(1, 1)),
    "repeated_in_part": lambda: reading(
        Operation("move"),
        SAME,
        Relation.transposed_window(1, 1, size=2, stride=2),
        shape=(3, 7),
    ),
    "bias_of_a_function": lambda: with_role("function", "bias"),
    "kernel_of_a_pool": lambda: with_role("max_pool", "kernel"),
    "table_of_a_softmax": lambda: with_role("softmax", "table"),
    "moved_bias_alone": lambda: with_role("move", "scale"),
}


@pytest.mark.parametrize("case", sorted(NOT_WRITTEN))
def test_links_that_no_node_reads_are_refused_by_the_name_of_their_tensor(case: str) -> None:
    net = NOT_WRITTEN[case]()
    if not net.outputs:
        net.output(net.tensor("y", (3,), operation=Operation("sum")))
    with pytest.raises(unrolled.UnknownOperationError, match="'y': ") as raised:
        net.to_onnx()
    assert list(raised.value.tensors) == ["y"]


def test_parameters_may_be_all_that_a_layer_reads() -> None:
    net = Network("constant")
    x = net.input((4, 3))
    y = net.dense(net.layer_norm(net.parameter("prompt", (4, 3)), name="norm"), 3, name="dense")
    net.output(net.add(x, net.softmax(y)))
    content = net.to_onnx(batch=2)
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    assert_equal_counts(net, net.to_onnx())
