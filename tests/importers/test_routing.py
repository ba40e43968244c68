"""What is chosen or put at run time: an edge from everything that might be chosen, at all doors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

from cases.onnx_models import model, node
from oracles.element_graph import ElementGraph, Nodes
from unrolled import count, from_onnx

TOKENS, WIDTH, EXPERTS, CHOSEN, HIDDEN = 3, 2, 4, 2, 3
SHAPES = {
    "x": (TOKENS, WIDTH),
    "router": (WIDTH, EXPERTS),
    "up": (EXPERTS, WIDTH, HIDDEN),
    "down": (EXPERTS, HIDDEN, WIDTH),
}


def expected_of_experts(semantics: str) -> dict[str, Any]:
    """A mixture of experts with routing to the two best, edge by edge."""
    graph = ElementGraph(semantics)
    x, router, up, down = (graph.parameter(name, shape) for name, shape in SHAPES.items())
    logits = graph.dense(x, router, None)
    # Each of the chosen has an edge from all along the axis, and so has its number.
    best: Nodes = np.empty((TOKENS, CHOSEN), dtype=np.int64)
    for token, place in np.ndindex(*best.shape):
        best[token, place] = graph.node(logits[token])
    weights = graph.softmax(best, -1)
    gates: Nodes = np.empty((TOKENS, EXPERTS), dtype=np.int64)
    for token, expert in np.ndindex(*gates.shape):
        one_hot = [graph.node([best[token, place]]) for place in range(CHOSEN)]
        gates[token, expert] = graph.node([*one_hot, *weights[token]])
    terms = []
    for expert in range(EXPERTS):
        hidden = graph.elementwise(graph.dense(x, up[expert], None))
        y = graph.dense(hidden, down[expert], None)
        terms.append(graph.elementwise(y, gates[:, expert : expert + 1]))
    graph.output(graph.elementwise(*terms))
    return {name: counts.tolist() for name, counts in graph.count().items()}


def assert_experts(network: Any, prefix: str = "") -> None:
    counts = count(network)
    expected = expected_of_experts(network.semantics)
    for name, found in expected.items():
        if prefix + name in counts:
            own = counts[prefix + name].exact()
            assert own.tolist() == np.array(found, dtype=object).reshape(own.shape).tolist(), name
    assert sum(prefix + name in counts for name in expected) >= 3


ONNX_EXPERTS = [
    "MatMul x,router -> logits",
    node("TopK logits,two -> best,at", axis=-1),
    "Softmax best -> w",
    node("ScatterElements zeros,at,w -> gates", axis=-1),
    node("Einsum x,up -> h", equation="tw,ewh->eth"),
    "Relu h -> r",
    node("Einsum r,down -> y", equation="eth,ehw->etw"),
    node("Transpose gates -> turned", perm=[1, 0]),
    "Unsqueeze turned,last -> wide",
    "Mul y,wide -> gated",
    node("ReduceSum gated,first -> out", keepdims=0),
]


@pytest.mark.parametrize("semantics", ["value", "dependency"])
def test_experts_in_onnx(semantics: Any) -> None:
    made = model(
        *ONNX_EXPERTS,
        weights=SHAPES,
        constants={
            "two": np.array([CHOSEN]),
            "last": np.array([-1]),
            "first": np.array([0]),
            "zeros": np.zeros((TOKENS, EXPERTS), np.float32),
        },
    )
    assert_experts(from_onnx(made, semantics=semantics))


@pytest.mark.parametrize("way", ["scatter", "put_along_axis"])
@pytest.mark.parametrize("semantics", ["value", "dependency"])
def test_experts_in_jax(semantics: Any, way: str) -> None:
    jax = pytest.importorskip("jax")
    from unrolled.importers.jax import from_jax

    jnp = jax.numpy

    def experts(p: Any) -> Any:
        best, at = jax.lax.top_k(p["x"] @ p["router"], CHOSEN)
        w, zeros = jax.nn.softmax(best), jnp.zeros((TOKENS, EXPERTS))
        if way == "scatter":
            gates = zeros.at[jnp.arange(TOKENS)[:, None], at].set(w)
        else:
            gates = jnp.put_along_axis(zeros, at, w, axis=-1, inplace=False)
        y = jax.nn.relu(jnp.einsum("tw,ewh->eth", p["x"], p["up"]))
        y = jnp.einsum("eth,ehw->etw", y, p["down"])
        return (y * gates.T[..., None]).sum(0)

    params = {name: jax.ShapeDtypeStruct(shape, "float32") for name, shape in SHAPES.items()}
    assert_experts(from_jax(experts, params, semantics=semantics))


@pytest.mark.parametrize("way", ["scatter", "indices"])
@pytest.mark.parametrize("semantics", ["value", "dependency"])
def test_experts_in_torch(semantics: Any, way: str) -> None:
    torch = pytest.importorskip("torch")
    from unrolled.importers.torch import from_torch

    class Experts(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, shape in SHAPES.items():
                setattr(self, name, torch.nn.Parameter(torch.ones(shape)))

        def forward(self, given: Any) -> Any:
            x = self.x + given
            best, at = (x @ self.router).topk(CHOSEN)
            w, gates = best.softmax(-1), torch.zeros(TOKENS, EXPERTS)
            if way == "scatter":
                gates = gates.scatter(-1, at, w)
            else:
                gates[torch.arange(TOKENS)[:, None], at] = w
            y = torch.einsum("tw,ewh->eth", x, self.up).relu()
            y = torch.einsum("eth,ehw->etw", y, self.down)
            return (y * gates.T[..., None]).sum(0)

    assert_experts(from_torch(Experts(), torch.zeros(1), semantics=semantics))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("semantics", ["value", "dependency"])
def test_experts_in_keras(semantics: Any) -> None:
    from oracles.keras_forms import from_keras, keras

    ops, layers = keras.ops, keras.layers
    x = keras.Input((WIDTH,), batch_size=TOKENS)
    logits = layers.Dense(EXPERTS, use_bias=False, name="router")(x)
    best, at = ops.top_k(logits, CHOSEN)
    w = ops.softmax(best)
    one_hot = ops.one_hot(at, EXPERTS)
    gates = ops.sum(one_hot * ops.expand_dims(w, -1), axis=1)
    terms = []
    for expert in range(EXPERTS):
        hidden = layers.Dense(HIDDEN, activation="relu", use_bias=False, name=f"up{expert}")(x)
        y = layers.Dense(WIDTH, use_bias=False, name=f"down{expert}")(hidden)
        terms.append(y * gates[:, expert : expert + 1])
    network = from_keras(keras.Model(x, layers.Add()(terms)), semantics=semantics)
    counts, expected = count(network), expected_of_experts(semantics)
    assert counts["router/kernel"].exact().tolist() == expected["router"]
    for name in ("up", "down"):
        for expert in range(EXPERTS):
            found = counts[f"{name}{expert}/kernel"].exact().tolist()
            assert found == expected[name][expert]


# Single operators, against graphs of elements.


def assert_equal(network: Any, graph: ElementGraph) -> None:
    counts = count(network)
    for name, expected in graph.count().items():
        found = counts[name].exact() if name in counts else np.zeros(expected.shape, int)
        assert found.tolist() == expected.tolist(), name


def chosen(graph: ElementGraph, candidates: Any, index: int) -> int:
    """One of some elements by a number of run time: a product with a one-hot row."""
    return graph.node([*candidates, *[graph.node([index]) for _ in candidates]])


def test_gather_elements_by_numbers_of_run_time() -> None:
    graph = ElementGraph("value")
    x, at = graph.parameter("x", (3, 4)), graph.parameter("at", (2, 2))
    y = np.array([[chosen(graph, x[row], at[row, place]) for place in (0, 1)] for row in (0, 1)])
    graph.output(y)
    made = model(node("GatherElements x,at -> y", axis=1), weights={"x": (3, 4), "at": (2, 2)})
    assert_equal(from_onnx(made), graph)


@pytest.mark.parametrize("batch", [0, 1])
def test_gather_nd_by_numbers_of_run_time(batch: int) -> None:
    graph = ElementGraph("value")
    x, at = graph.parameter("x", (2, 3, 2)), graph.parameter("at", (2, 2 - batch))
    rows = []
    for place in (0, 1):
        candidates = x[place] if batch else x.reshape(6, 2)
        one_hot = [graph.node(at[place]) for _ in candidates]
        rows.append([graph.node([*candidates[:, f], *one_hot]) for f in (0, 1)])
    graph.output(np.array(rows))
    made = model(
        node("GatherND x,at -> y", batch_dims=batch),
        weights={"x": (2, 3, 2), "at": (2, 2 - batch)},
    )
    assert_equal(from_onnx(made), graph)


def test_a_cache_has_edges_from_the_old_and_from_every_update() -> None:
    graph = ElementGraph("value")
    cache, new, at = (
        graph.parameter(*one) for one in (("c", (4, 2)), ("n", (3, 2)), ("at", (3, 1)))
    )
    y = np.empty((4, 2), dtype=np.int64)
    for row in range(4):
        one_hot = [graph.node([at[place, 0]]) for place in range(3)]
        for f in (0, 1):
            y[row, f] = graph.node([cache[row, f], graph.node([*new[:, f], *one_hot])])
    graph.output(y)
    made = model("ScatterND c,at,n -> y", weights={"c": (4, 2), "n": (3, 2), "at": (3, 1)})
    assert_equal(from_onnx(made), graph)


def test_a_static_cache_in_jax() -> None:
    jax = pytest.importorskip("jax")
    from unrolled.importers.jax import from_jax

    def update(p: Any, position: Any) -> Any:
        return jax.lax.dynamic_update_slice(p["cache"], p["new"], (0, position, 0))

    params = {
        "cache": jax.ShapeDtypeStruct((1, 5, 2), "float32"),
        "new": jax.ShapeDtypeStruct((1, 2, 2), "float32"),
    }
    counts = count(from_jax(update, params, jax.ShapeDtypeStruct((), "int32")))
    assert counts["cache"].exact().tolist() == np.ones((1, 5, 2), int).tolist()
    assert counts["new"].exact().tolist() == np.full((1, 2, 2), 5).tolist()


@pytest.mark.parametrize("name", ["sort", "argsort", "take_along_axis", "top_k"])
def test_order_in_jax(name: str) -> None:
    jax = pytest.importorskip("jax")
    from unrolled.importers.jax import from_jax

    jnp = jax.numpy
    functions = {
        "sort": lambda p: jnp.sort(p["x"], axis=0),
        "argsort": lambda p: jnp.argsort(p["x"], axis=0),
        "take_along_axis": lambda p: jnp.take_along_axis(p["x"], p["at"].astype(int), axis=0),
        "top_k": lambda p: jax.lax.top_k(p["x"].T, 2)[0],
    }
    shapes = {"x": (3, 2), "at": (4, 2)}
    params = {key: jax.ShapeDtypeStruct(shape, "float32") for key, shape in shapes.items()}
    counts = count(from_jax(functions[name], params))
    each = {"take_along_axis": 4, "top_k": 2}.get(name, 3)
    assert counts["x"].exact().tolist() == np.full((3, 2), each).tolist()
    if name == "take_along_axis":
        assert counts["at"].exact().tolist() == np.full((4, 2), 3).tolist()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["sort", "argsort", "take_along_axis", "top_k", "scatter_update"])
def test_order_in_keras(name: str) -> None:
    from oracles.keras_forms import from_keras, keras

    ops = keras.ops
    functions = {
        "sort": lambda x: ops.sort(x, axis=1),
        "argsort": lambda x: ops.argsort(x, axis=1),
        "take_along_axis": lambda x: ops.take_along_axis(x, ops.argsort(x, axis=1), axis=1),
        "top_k": lambda x: ops.top_k(x, 2)[0],
        "scatter_update": lambda x: ops.scatter_update(x, [[0, 1, 1]], [0.0]),
    }
    x = keras.Input((4, 3), batch_size=1)
    y = functions[name](keras.layers.PReLU(name="probe")(x))
    found = count(from_keras(keras.Model(x, y)))["probe/alpha"].exact().astype(int)
    each = {"take_along_axis": 4, "top_k": 2}.get(name, 4)
    if name == "take_along_axis":  # And the number of each, once for every place.
        assert found.min() >= each
    elif name == "scatter_update":
        assert (found.sum(), found[1, 1]) == (11, 0)
    else:
        assert (found == each).all()


def test_empty_caches_of_attention() -> None:
    made = model(
        node("Attention q,k,v,,past,old -> y,pk,pv", is_causal=1),
        weights={"q": (1, 1, 2, 3), "k": (1, 1, 2, 3), "v": (1, 1, 2, 3)},
        inputs={"past": (1, 1, "length", 3), "old": (1, 1, "length", 3)},
        outputs="y",
        opset=23,
    )
    empty = {"past": (1, 1, 0, 3), "old": (1, 1, 0, 3)}
    assert count(from_onnx(made, empty))["v"].exact()[0, 0, :, 0].tolist() == [2, 1]
