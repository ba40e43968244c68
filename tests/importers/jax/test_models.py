"""An architecture has the same counts through JAX as from the layers of `Network`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from unrolled import Network, analyze, count

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402
from jax import lax  # noqa: E402

from oracles.jax_counting import exact, shaped  # noqa: E402
from unrolled.importers.jax import from_jax  # noqa: E402

SEMANTICS = pytest.mark.parametrize("semantics", ["value", "dependency"])


def assert_equal(found: Network, net: Network, names: dict[str, str]) -> None:
    """Counts agree tensor by tensor; `names` maps names in `found` to those in `net`.

    Kernels of convolutions have their channels last in JAX; other tensors may be reshaped.
    """
    counts, expected = exact(found), exact(net)
    assert set(counts) == set(names)
    assert set(expected) == set(names.values())
    for name, other in names.items():
        numbers = expected[other]
        if numbers.ndim == 4:
            numbers = numbers.transpose(2, 3, 1, 0)
        assert counts[name].tolist() == numbers.reshape(counts[name].shape).tolist(), name
    a, b = analyze(found), analyze(net)
    assert a.num_weight_nodes == b.num_weight_nodes
    assert a.total_surprisal == pytest.approx(b.total_surprisal, rel=1e-13)
    assert a.surprisal_estimate == pytest.approx(b.surprisal_estimate, rel=1e-13)


def test_plain_convolutional_network() -> None:
    def network(params: Any, image: Any) -> Any:
        x = image
        for stride, layer in zip((2, 1), params["stages"], strict=True):
            x = lax.conv_general_dilated(
                x, layer["w"], (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            x = jax.nn.relu(x + layer["b"])
        x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        return x.reshape(1, -1) @ params["head"]["w"] + params["head"]["b"]

    stages = [
        {"w": shaped(3, 3, 3, 4), "b": shaped(4)},
        {"w": shaped(5, 5, 4, 6), "b": shaped(6)},
    ]
    params = {"stages": stages, "head": {"w": shaped(96, 10), "b": shaped(10)}}
    found = from_jax(network, params, shaped(1, 16, 16, 3))
    assert [tensor.name for tensor in found.inputs] == ["image"]

    net = Network()
    x = net.input((3, 16, 16))
    x = net.activation(net.conv(x, 4, 3, stride=2, padding=((0, 1), (0, 1)), name="a"))
    x = net.activation(net.conv(x, 6, 5, padding=2, name="b"))
    x = net.max_pool(x, 2)
    x = net.flatten(net.transpose(x, (1, 2, 0)))
    net.output(net.dense(x, 10, name="head"))
    names = {
        "stages/0/w": "a/kernel",
        "stages/0/b": "a/bias",
        "stages/1/w": "b/kernel",
        "stages/1/b": "b/bias",
        "head/w": "head/kernel",
        "head/b": "head/bias",
    }
    assert_equal(found, net, names)


def applied(module: Any, *inputs: Any, **options: Any) -> Network:
    variables = jax.eval_shape(module.init, jax.random.key(0), *inputs)
    return from_jax(module.apply, variables, *inputs, **options)


@SEMANTICS
def test_flax_convolutional_network(semantics: Any) -> None:
    nn = pytest.importorskip("flax.linen")

    class Model(nn.Module):  # type: ignore[misc, name-defined]
        @nn.compact
        def __call__(self, x: Any) -> Any:
            x = nn.Conv(8, (3, 3), use_bias=False)(x)
            x = nn.silu(nn.BatchNorm(use_running_average=True)(x))
            y = nn.Conv(8, (3, 3), feature_group_count=8)(x)
            y = nn.gelu(nn.GroupNorm(4)(y))
            gate = nn.sigmoid(nn.Conv(8, (1, 1))(y.mean((1, 2), keepdims=True)))
            x = nn.avg_pool(x + y * gate, (2, 2), (2, 2))
            return nn.softmax(nn.Dense(5)(x.mean((1, 2))))

    found = applied(Model(), shaped(1, 10, 12, 3), semantics=semantics)
    assert found.name == "Model"
    assert {t.name for t in found.parameters if not t.trainable} == {
        "batch_stats/BatchNorm_0/mean",
        "batch_stats/BatchNorm_0/var",
    }
    net = Network(semantics=semantics)
    x = net.conv(net.input((3, 10, 12)), 8, 3, padding=1, use_bias=False, name="stem")
    x = net.activation(net.batch_norm(x, name="bn"))
    y = net.conv(x, 8, 3, padding=1, groups=8, name="depth")
    y = net.activation(net.group_norm(y, 4, name="gn"))
    gate = net.conv(net.reshape(net.global_pool(y), (8, 1, 1)), 8, 1, name="gate")
    x = net.average_pool(net.add(x, net.multiply(y, gate)), 2)
    net.output(net.softmax(net.dense(net.global_pool(x), 5, name="head")))
    names = {
        "params/Conv_0/kernel": "stem/kernel",
        "params/BatchNorm_0/scale": "bn/scale",
        "params/BatchNorm_0/bias": "bn/shift",
        "batch_stats/BatchNorm_0/mean": "bn/mean",
        "batch_stats/BatchNorm_0/var": "bn/variance",
        "params/Conv_1/kernel": "depth/kernel",
        "params/Conv_1/bias": "depth/bias",
        "params/GroupNorm_0/scale": "gn/scale",
        "params/GroupNorm_0/bias": "gn/shift",
        "params/Conv_2/kernel": "gate/kernel",
        "params/Conv_2/bias": "gate/bias",
        "params/Dense_0/kernel": "head/kernel",
        "params/Dense_0/bias": "head/bias",
    }
    assert_equal(found, net, names)


@pytest.mark.parametrize("shift", [True, False])
def test_batch_norm_multiplied_out(shift: bool) -> None:
    """Keras writes batch norm like this when it runs on JAX."""

    def function(p: Any, x: Any) -> Any:
        mean, scale = p["mean"].reshape(1, 1, 1, -1), p["scale"].reshape(1, 1, 1, -1)
        inverse = lax.rsqrt(p["variance"].reshape(1, 1, 1, -1) + 1e-3) * scale
        rest = -mean * inverse
        if shift:
            rest = rest + p["shift"].reshape(1, 1, 1, -1)
        return x * inverse + rest

    names = ["mean", "scale", "variance", *(["shift"] if shift else [])]
    found = from_jax(function, {name: shaped(6) for name in names}, shaped(1, 4, 5, 6))
    net = Network()
    net.output(net.batch_norm(net.input((6, 4, 5)), shift=shift, name="bn"))
    assert_equal(found, net, {name: f"bn/{name}" for name in names})


@SEMANTICS
def test_flax_transformer_block(semantics: Any) -> None:
    nn = pytest.importorskip("flax.linen")

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        @nn.compact
        def __call__(self, x: Any) -> Any:
            y = nn.LayerNorm(name="norm1")(x)
            x = x + nn.MultiHeadDotProductAttention(2, name="mix", deterministic=True)(y)
            y = nn.gelu(nn.Dense(32, name="up")(nn.RMSNorm(name="norm2")(x)))
            return x + nn.Dense(8, name="down")(nn.Dropout(0.5, deterministic=True)(y))

    found = applied(Block(), shaped(1, 5, 8), semantics=semantics)
    net = Network(semantics=semantics)
    x = net.input((5, 8))
    x = net.add(x, net.multi_head_attention(net.layer_norm(x, name="norm1"), 2, name="mix"))
    y = net.activation(net.dense(net.rms_norm(x, name="norm2"), 32, name="up"))
    net.output(net.add(x, net.dense(y, 8, name="down")))
    names = {
        f"params/mix/{ours}/{kind}": f"mix/{theirs}/{kind}"
        for ours, theirs in {
            "query": "query",
            "key": "key",
            "value": "value",
            "out": "output",
        }.items()
        for kind in ("kernel", "bias")
    }
    names |= {
        f"params/{d}/{kind}": f"{d}/{kind}" for d in ("up", "down") for kind in ("kernel", "bias")
    }
    names |= {"params/norm1/scale": "norm1/scale", "params/norm1/bias": "norm1/shift"}
    assert_equal(found, net, {**names, "params/norm2/scale": "norm2/scale"})


@SEMANTICS
@pytest.mark.parametrize("groups", [1, 2, 6])
def test_group_norm(semantics: Any, groups: int) -> None:
    nn = pytest.importorskip("flax.linen")
    found = applied(Normed(nn.GroupNorm(groups)), shaped(1, 4, 5, 6), semantics=semantics)
    net = Network(semantics=semantics)
    weight = net.parameter("weight", (6, 4, 5))
    net.output(net.group_norm(net.multiply(net.input((6, 4, 5)), weight), groups, name="gn"))
    counts, expected = exact(found), exact(net)
    assert counts["params/weight"].tolist() == expected["weight"].transpose(1, 2, 0).tolist()
    assert counts["params/norm/scale"].tolist() == expected["gn/scale"].tolist()


def Normed(norm: Any) -> Any:  # noqa: N802
    """A norm behind a parameter for each element of the input."""
    nn = pytest.importorskip("flax.linen")

    class Module(nn.Module):  # type: ignore[misc, name-defined]
        norm: Any

        @nn.compact
        def __call__(self, x: Any) -> Any:
            return self.norm(x * self.param("weight", nn.initializers.ones, x.shape[1:]))

    return Module(norm)


@SEMANTICS
@pytest.mark.parametrize("fast", [True, False])
def test_layer_norm_over_several_axes(semantics: Any, fast: bool) -> None:
    nn = pytest.importorskip("flax.linen")
    norm = nn.LayerNorm(reduction_axes=(1, 3), feature_axes=(3,), use_fast_variance=fast)
    found = applied(Normed(norm), shaped(1, 4, 5, 6), semantics=semantics)
    net = Network(semantics=semantics)
    weight = net.parameter("weight", (4, 5, 6))
    x = net.multiply(net.input((4, 5, 6)), weight)
    x = net.layer_norm(x, axes=(0, 2), scale=False, shift=False)
    net.output(
        net.add(net.multiply(x, net.parameter("s", (1, 1, 6))), net.parameter("b", (1, 1, 6)))
    )
    counts, expected = exact(found), exact(net)
    assert counts["params/weight"].tolist() == expected["weight"].tolist()
    assert counts["params/norm/scale"].tolist() == expected["s"].reshape(-1).tolist()
    assert counts["params/norm/bias"].tolist() == expected["b"].reshape(-1).tolist()


@SEMANTICS
@pytest.mark.parametrize("axis", [-1, 0])
def test_softmax(semantics: Any, axis: int) -> None:
    def function(params: Any) -> Any:
        return jax.nn.softmax(params["x"], axis=axis)

    found = from_jax(function, {"x": shaped(3, 4)}, semantics=semantics)
    net = Network(semantics=semantics)
    net.output(net.softmax(net.parameter("x", (3, 4)), axis=axis))
    assert exact(found)["x"].tolist() == exact(net)["x"].tolist()


@pytest.mark.parametrize("reverse", [False, True])
def test_scan_is_unrolled_with_tied_parameters(reverse: bool) -> None:
    def step(params: Any, hidden: Any, x: Any) -> tuple[Any, Any]:
        hidden = jnp.tanh(x @ params["w"] + hidden @ params["u"] + params["b"])
        return hidden, hidden[:, :2]

    def scanned(params: Any, xs: Any) -> Any:
        return lax.scan(
            lambda hidden, x: step(params, hidden, x), jnp.zeros((1, 4)), xs, reverse=reverse
        )

    def by_hand(params: Any, xs: Any) -> Any:
        hidden = jnp.zeros((1, 4))
        rows = [None] * 5
        for at in range(5)[:: -1 if reverse else 1]:
            hidden, rows[at] = step(params, hidden, xs[at])
        return hidden, jnp.stack(rows)

    params = {"w": shaped(3, 4), "u": shaped(4, 4), "b": shaped(4)}
    found = from_jax(scanned, params, shaped(5, 1, 3))
    manual = from_jax(by_hand, params, shaped(5, 1, 3))
    assert {k: v.tolist() for k, v in exact(found).items()} == {
        k: v.tolist() for k, v in exact(manual).items()
    }
    assert analyze(found).num_weight_nodes == analyze(manual).num_weight_nodes

    net = Network()
    w, u, b = net.parameter("w", (3, 4)), net.parameter("u", (4, 4)), net.parameter("b", (4,))
    xs = net.input((5, 3))
    hidden, rows = None, []
    for at in range(5)[:: -1 if reverse else 1]:
        y = net.dense(net.slice(xs, 0, start=at, stop=at + 1), 4, kernel=w, bias=b)
        if hidden is not None:
            y = net.add(y, net.dense(hidden, 4, kernel=u, use_bias=False))
        hidden = net.activation(y)
        rows.append(net.slice(hidden, 1, stop=2))
    net.output(hidden, *rows)
    assert exact(found)["w"].tolist() == exact(net)["w"].tolist()
    assert exact(found)["b"].tolist() == exact(net)["b"].tolist()


def test_scan_over_stacked_parameters_reads_a_slice_of_them() -> None:
    def stacked(params: Any, x: Any) -> Any:
        return lax.scan(lambda y, w: (jax.nn.relu(y @ w), None), x, params["w"])[0]

    found = exact(from_jax(stacked, {"w": shaped(3, 4, 4)}, shaped(1, 4)))["w"]
    net = Network()
    x = net.input((4,))
    for name in "abc":
        x = net.activation(net.dense(x, 4, use_bias=False, name=name))
    net.output(x)
    expected = exact(net)
    for at, name in enumerate("abc"):
        assert found[at].tolist() == expected[f"{name}/kernel"].tolist()


def test_loops_and_branches_of_known_course() -> None:
    def looped(params: Any, x: Any) -> Any:
        def body(carry: Any) -> Any:
            step, y = carry
            return step + 1, lax.cond(step % 2 == 0, lambda y: y @ params["w"], jnp.tanh, y)

        return lax.while_loop(lambda carry: carry[0] < 5, body, (0, x))[1]

    def plain(params: Any, x: Any) -> Any:
        for _ in range(3):
            x = x @ params["w"]
        return x

    def counted(params: Any, x: Any) -> Any:
        return lax.fori_loop(0, 3, lambda _, y: y @ params["w"], x)

    params = {"w": shaped(4, 4)}
    found = [exact(from_jax(f, params, shaped(1, 4)))["w"] for f in (looped, plain, counted)]
    assert found[0].tolist() == found[1].tolist() == found[2].tolist()
    # Entry (i, j) is used first, in between and last: j has 16, 4 and 1 paths to the outputs.
    assert np.all(found[1] == 16 + 4 + 1)


def dequantised(params, x):
    weight = params["q"].astype(np.float32) * params["scale"]
    return x @ weight + params["bias"]


def shifted(params, x):
    weight = (params["q"].astype(np.float32) - params["zero"]) * params["scale"][None]
    return x @ weight + params["bias"]


def scaled_afterwards(params, x):
    return (x @ params["q"].astype(np.float32)) * params["scale"] + params["bias"]


@pytest.mark.parametrize("is_jitted", [False, True])
@pytest.mark.parametrize("function", [dequantised, shifted, scaled_afterwards])
def test_integers_that_are_dequantised_by_hand_are_the_parameter(function, is_jitted):
    """Their scale and zero point are none: counts are those of a dense layer."""
    params = {
        "q": np.ones((3, 4), np.int8),
        "scale": np.ones(4, np.float32),
        "zero": np.ones((1, 4), np.float32),
        "bias": np.ones(4, np.float32),
    }
    called = jax.jit(function) if is_jitted else function
    network = from_jax(called, params, np.ones((2, 3), np.float32))
    counts = count(network)
    assert {name: counts[name].exact().tolist() for name in counts} == {
        "q": [[2] * 4] * 3,
        "bias": [2] * 4,
    }
    assert network.provenance.skipped["scale"] == "the scale of a quantised weight"
    assert [one.name for one in network.parameters if not one.trainable] == ["q"]


def test_integers_that_are_no_weights_keep_their_values():
    """An array of positions has to be known, and a mask is no factor."""

    def chosen(params, x):
        if params["at"][0] == 1:
            x = x[:, params["at"]]
        return x * (params["seen"] > 0) * params["scale"]

    params = {
        "at": np.array([1, 0], np.int8),
        "seen": np.array([1, 0], np.uint8),
        "scale": np.ones(2, np.float32),
    }
    network = from_jax(chosen, params, np.ones((2, 3), np.float32))
    assert [tensor.name for tensor in network.parameters] == ["scale"]
