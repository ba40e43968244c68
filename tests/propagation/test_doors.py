"""Attention, masks and embeddings are followed alike, through whatever door they come.

Models hold the scale of their scores in 32 bits, hence the tolerances.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unrolled
from cases.masks import BY_HEAD, HEADS, MASKS, TOKENS
from unrolled import Network, count, propagate, score
from unrolled.errors import InvalidArgumentError

WIDTH = 6
ALL = {**MASKS, **BY_HEAD}


def layer(seen: Any, semantics: Any = "value") -> Network:
    net = Network("mixer", semantics=semantics)
    x = net.input((TOKENS, WIDTH))
    net.output(net.multi_head_attention(x, HEADS, mask=seen, use_bias=False, name="m"))
    return net


def as_onnx(seen: Any, operations: bool, semantics: Any = "value") -> Network:
    pytest.importorskip("onnx")
    return unrolled.from_onnx(
        layer(seen).to_onnx(seed=0), operations=operations, semantics=semantics
    )


def as_function_of_jax(seen: Any, operations: bool, semantics: Any = "value") -> Network:
    """Tokens come before heads there."""
    jax = pytest.importorskip("jax")
    jnp = jax.numpy

    def function(params: Any, x: Any) -> Any:
        apart = (
            (x @ params[name]).reshape(1, TOKENS, HEADS, WIDTH // HEADS)
            for name in ("query", "key", "value")
        )
        mask = None if seen is None else jnp.asarray(seen).reshape(shape)
        mixed = jax.nn.dot_product_attention(*apart, mask=mask)
        return mixed.reshape(TOKENS, WIDTH) @ params["output"]

    shape = (1, *[1] * (3 - np.ndim(seen)), *np.shape(seen))
    params = {name: jnp.zeros((WIDTH, WIDTH)) for name in ("query", "key", "value", "output")}
    return unrolled.from_jax(
        function, params, jnp.zeros((TOKENS, WIDTH)), operations=operations, semantics=semantics
    )


def gradients(network: Network) -> dict[str, Any]:
    """Mean squared gradients of the four kernels, by what they are for."""
    p = propagate(network, 1.2)
    found = {}
    for tensor in network.parameters:
        roles = ("query", "key", "value", "output", "relative")
        role = next(one for one in roles if one in tensor.name)
        found[role] = p[tensor.name].gradient
    return found


@pytest.mark.parametrize("door", [as_onnx, as_function_of_jax])
@pytest.mark.parametrize("name", ["no mask", *ALL])
def test_a_mask_is_followed_through_every_door(name: str, door: Any) -> None:
    built, found = layer(ALL.get(name)), door(ALL.get(name), True)
    assert len(found.outputs) == 1
    assert gradients(found) == pytest.approx(gradients(built), rel=1e-6)
    assert propagate(found, 1.2).jacobian == pytest.approx(propagate(built, 1.2).jacobian)
    ours, theirs = unrolled.score(built), unrolled.score(found)
    assert theirs.saliency_entropy == pytest.approx(ours.saliency_entropy, rel=1e-6)
    assert theirs.log_size == pytest.approx(ours.log_size, rel=1e-6)


@pytest.mark.parametrize("semantics", ["value", "dependency"])
@pytest.mark.parametrize("door", [as_onnx, as_function_of_jax])
@pytest.mark.parametrize("name", ALL)
def test_counts_are_the_same_with_operations(name: str, door: Any, semantics: Any) -> None:
    bare, full = (count(door(ALL[name], with_them, semantics)) for with_them in (False, True))
    built = count(layer(ALL[name], semantics))
    for one in bare:
        assert bare[one].exact().tolist() == full[one].exact().tolist()
    assert sorted(bare[one].total for one in bare) == sorted(built[one].total for one in built)


def with_relative_bias(net: Network, tokens: int) -> Network:
    """The network read from ONNX, where a parameter is added to its scores before the mask."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(net.to_onnx(seed=0))
    (masking,) = [node for node in model.graph.node if node.op_type == "Where"]
    products = [node for node in model.graph.node if node.op_type in ("MatMul", "Mul", "Div")]
    scores = {name for node in products for name in node.output}
    at = next(at for at, name in enumerate(masking.input) if name in scores)
    bias = onnx.numpy_helper.from_array(np.ones((HEADS, tokens, tokens), np.float32), "relative")
    model.graph.initializer.append(bias)
    added = onnx.helper.make_node("Add", [masking.input[at], "relative"], ["biased"])
    model.graph.node.insert(list(model.graph.node).index(masking), added)
    masking.input[at] = "biased"
    return unrolled.from_onnx(model, operations=True)


@pytest.mark.parametrize("name", MASKS)
def test_a_bias_without_variance_changes_nothing_behind_a_mask(name: str) -> None:
    """Its scores are written out as products, from which the same is to follow."""
    built = layer(MASKS[name])
    found = with_relative_bias(built, TOKENS)
    without = {one: figure for one, figure in gradients(found).items() if one != "relative"}
    assert without == pytest.approx(gradients(built), rel=1e-6)
    ours, theirs = unrolled.score(built), unrolled.score(found)
    assert theirs.saliency_entropy == pytest.approx(ours.saliency_entropy, rel=0.02)


def test_a_bias_behind_a_mask_in_simulation() -> None:
    """Scores vary by 1/2, one half of it by the bias; derivatives are off by less than a fifth."""
    tokens, width, draws = 12, 96, 400
    net = Network("mixer")
    x = net.input((tokens, width))
    net.output(net.multi_head_attention(x, HEADS, causal=True, use_bias=False, name="m"))
    p = propagate(with_relative_bias(net, tokens), 0.5, biases=0.25)
    random = np.random.default_rng(6)
    features = width // HEADS
    query, key, value = random.normal(0, 0.5**0.5, (3, draws, HEADS, tokens, features))
    scores = query @ key.swapaxes(-1, -2) / features**0.5
    scores = scores + random.normal(0, 0.5, scores.shape)
    scores = np.where(np.tril(np.ones((tokens, tokens), bool)), scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights = weights / weights.sum(-1, keepdims=True)
    squares = np.square(weights @ value).mean((1, 2, 3))
    error = squares.std() / draws**0.5
    assert abs(squares.mean() - p["m/attention"].mean_square) < 4 * error + 0.05 * squares.mean()
    pulled = random.normal(0, p["m/attention"].gradient ** 0.5, value.shape)
    slopes = pulled @ value.swapaxes(-1, -2)
    slopes = weights * (slopes - (weights * slopes).sum(-1, keepdims=True))
    sums = np.square(slopes).sum((1, 2, 3))
    error = sums.std() / draws**0.5
    assert abs(sums.mean() - p["relative"].gradient) < 4 * error + 0.2 * sums.mean()


def test_a_name_that_is_taken_is_no_obstacle() -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(layer(MASKS["causal"]).to_onnx(seed=0))
    taken = "m/attention/scores/query"
    for one in model.graph.initializer:
        if one.name == "m/query/kernel":
            one.name = taken
    for node in model.graph.node:
        for at, name in enumerate(node.input):
            if name == "m/query/kernel":
                node.input[at] = taken
    found = unrolled.from_onnx(model, operations=True)
    assert taken in [tensor.name for tensor in found.parameters]
    expected = gradients(layer(MASKS["causal"]))
    assert propagate(found, 1.2)[taken].gradient == pytest.approx(expected["query"])


def looked_up(door: str) -> Network:
    """Rows of a table that indices choose, and a layer behind them."""
    tokens, rows, width = 5, 12, 8
    net = Network("words")
    x = net.embedding(net.input((tokens,)), rows, width, name="words")
    net.output(net.dense(x, 3, use_bias=False, name="last"))
    if door == "onnx":
        pytest.importorskip("onnx")
        return unrolled.from_onnx(net.to_onnx(seed=0), operations=True)
    if door == "network":
        return net
    jax = pytest.importorskip("jax")
    jnp = jax.numpy
    params = {"table": jnp.zeros((rows, width)), "kernel": jnp.zeros((width, 3))}

    def function(params: Any, indices: Any) -> Any:
        if door == "jax, computed":  # As positions are, which padding does not take part in.
            indices = jnp.cumsum(indices != 1) * (indices != 1) + 1
        return params["table"][indices] @ params["kernel"]

    return unrolled.from_jax(function, params, jnp.zeros(tokens, dtype=int), operations=True)


@pytest.mark.parametrize("door", ["onnx", "jax", "jax, computed"])
def test_embeddings_are_followed_through_every_door(door: str) -> None:
    """Whatever indices are computed by, nothing flows through them."""

    def found(net: Network) -> list[float]:
        p = propagate(net, 0.7)
        return [p[one.name].gradient for one in net.parameters]

    built, read = looked_up("network"), looked_up(door)
    assert found(read) == pytest.approx(found(built))
    assert min(found(read)) > 0
    ours, theirs = unrolled.score(built), unrolled.score(read)
    for name in ("saliency_entropy", "log_size", "effective_units", "effective_macs"):
        assert getattr(theirs, name) == pytest.approx(getattr(ours, name)), name


def test_networks_without_functions_are_refused() -> None:
    """Their counts are right, but a signal through them would be that of another model."""
    bare = as_onnx(MASKS["causal"], False)
    assert count(bare).total == count(layer(MASKS["causal"])).total
    calls = (
        unrolled.score,
        unrolled.features,
        propagate,
        unrolled.initialization_report,
        unrolled.theory.overview,
    )
    for call in calls:
        with pytest.raises(InvalidArgumentError, match="operations=True"):
            call(bare)
    for published in (unrolled.models.resnet(18, size=32), unrolled.models.resnet(18).share()):
        for call in (unrolled.score, unrolled.features):
            with pytest.raises(InvalidArgumentError, match="activations=True"):
                call(published)


def classifier_of_onnx(last: str) -> Network:
    onnx = pytest.importorskip("onnx")
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [
        helper.make_node("MatMul", ["x", "first"], ["h"]),
        helper.make_node("Relu", ["h"], ["a"]),
        helper.make_node("MatMul", ["a", "second"], ["z"]),
    ]
    if last:
        nodes.append(helper.make_node(last, ["z"], ["y"], axis=-1))
    shapes = {"first": (6, 12), "second": (12, 5)}
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("x", float32, (1, 6))],
        [helper.make_tensor_value_info("y" if last else "z", float32, (1, 5))],
        [
            onnx.numpy_helper.from_array(np.ones(shape, np.float32), name)
            for name, shape in shapes.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    return unrolled.from_onnx(model, operations=True)


def classifier_of_jax(last: str) -> Network:
    jax = pytest.importorskip("jax")
    end = {"": lambda x: x, "Softmax": jax.nn.softmax, "LogSoftmax": jax.nn.log_softmax}[last]

    def function(params: Any, x: Any) -> Any:
        return end(jax.nn.relu(x @ params["first"]) @ params["second"])

    params = {"first": np.zeros((6, 12)), "second": np.zeros((12, 5))}
    return unrolled.from_jax(function, params, np.zeros((1, 6)), operations=True)


def classifier_of_torch(last: str) -> Network:
    torch = pytest.importorskip("torch")
    nn = torch.nn
    ends = {"": (), "Softmax": (nn.Softmax(-1),), "LogSoftmax": (nn.LogSoftmax(-1),)}
    module = nn.Sequential(
        nn.Linear(6, 12, bias=False), nn.ReLU(), nn.Linear(12, 5, bias=False), *ends[last]
    )
    return unrolled.from_torch(module, (torch.zeros(1, 6),), operations=True)


CLASSIFIERS = {
    "onnx": classifier_of_onnx,
    "jax": classifier_of_jax,
    "torch": classifier_of_torch,
}


@pytest.mark.parametrize("door", CLASSIFIERS)
@pytest.mark.parametrize("last", ["Softmax", "LogSoftmax"])
def test_the_logarithm_of_a_softmax_at_the_end_is_left_out_like_the_softmax(
    door: str, last: str
) -> None:
    plain, whole = CLASSIFIERS[door](""), CLASSIFIERS[door](last)
    p, q = propagate(plain, 1 / 6), propagate(whole, 1 / 6)
    assert len(p.kernels) == len(q.kernels) == 2
    for a, b in zip(p.kernels, q.kernels, strict=True):
        assert b.gradient == pytest.approx(a.gradient, rel=1e-12)
    assert any("at the end is left out" in note for note in q.notes)
    assert score(whole).saliency_entropy == pytest.approx(score(plain).saliency_entropy, rel=1e-12)
    assert score(whole).log_size == pytest.approx(score(plain).log_size, rel=1e-12)


def test_what_is_subtracted_may_be_any_function_of_a_sum() -> None:
    """One that overflows where it is tried out gives no warning."""
    onnx = pytest.importorskip("onnx")
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [
        helper.make_node("ReduceSum", ["x", "axes"], ["sum"]),
        helper.make_node("Exp", ["sum"], ["large"]),
        helper.make_node("Sub", ["x", "large"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(name, float32, (3, 4)) for name in "xy"]
    axes = onnx.numpy_helper.from_array(np.array([1]), "axes")
    graph = helper.make_graph(nodes, "unusual", ends[:1], ends[1:], [axes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    assert unrolled.from_onnx(model, operations=True).num_outputs == 12
