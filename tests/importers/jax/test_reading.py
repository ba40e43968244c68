"""`from_jax`: names, arguments, provenance, refusals."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import unrolled
from unrolled.errors import InvalidArgumentError, InvalidModelError, UnsupportedOperatorError
from unrolled.importers import Tracer, Value

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402
from jax import lax  # noqa: E402

from oracles.jax_counting import exact, shaped  # noqa: E402
from unrolled.importers.jax import from_jax, operators, rule  # noqa: E402
from unrolled.importers.jax.table import TABLE  # noqa: E402


def dense(params: Any, x: Any) -> Any:
    return x @ params["kernel"]


KERNEL = {"kernel": shaped(3, 2)}


def names(network: Any) -> list[str]:
    return [tensor.name for tensor in network.parameters]


def test_parameters_are_named_by_their_path() -> None:
    tree = {"a": [{"w": shaped(2, 2)}, (shaped(2),)], "b": shaped()}
    network = from_jax(lambda p, x: x @ p["a"][0]["w"] + p["a"][1][0] * p["b"], tree, shaped(1, 2))
    assert sorted(names(network)) == ["a/0/w", "a/1/0", "b"]
    assert names(from_jax(lambda p: p * 2, shaped(3))) == ["parameter"]
    clashing = {"a": {"b": shaped(2)}, "a/b": shaped(3)}
    network = from_jax(lambda p: (p["a"]["b"], p["a/b"]), clashing)
    assert sorted(names(network)) == ["a/b", "a/b#2"]


def test_inputs_are_named_by_the_arguments() -> None:
    def function(params: Any, image: Any, *others: Any) -> Any:
        return (image + others[0]["left"] + others[0]["right"]) @ params["kernel"]

    others = {"left": shaped(1, 3), "right": jnp.ones((1, 3))}
    network = from_jax(function, KERNEL, np.ones((1, 3)), others)
    found = [tensor.name for tensor in network.inputs]
    assert found == ["image", "input1/left", "input1/right"]
    network = from_jax(lambda p, kernel: kernel @ p["kernel"], KERNEL, shaped(1, 3))
    assert (names(network), network.inputs[0].name) == (["kernel"], "input/kernel")


def test_provenance_says_what_was_read() -> None:
    table = jnp.ones((5, 3))

    def function(params: Any, x: Any, key: Any) -> Any:
        unused = jax.random.normal(key, (1, 3)) @ params["kernel"]
        del unused
        return (x + table[params["step"]]) @ params["kernel"]

    params = {**KERNEL, "step": shaped(dtype=jnp.int32), "bias": shaped(4), "none": shaped(0, 4)}
    params["step"] = jnp.int32(2)
    network = from_jax(function, params, shaped(1, 3), jax.random.key(0), name="mine")
    found = network.provenance
    assert found is not None
    assert (network.name, found.framework, found.version) == ("mine", "jax", jax.__version__)
    assert found.source == "JAX function function"
    assert dict(found.input_shapes) == {"x": (1, 3)}
    assert dict(found.parameters) == {"kernel": 6}
    assert found.operators["dot_general"] == 1
    assert dict(found.skipped) == {
        "step": "int32, not floating-point",
        "none": "no elements",
        "bias": "not used",
        "key": "key of random numbers",
    }


def test_captured_weights_are_constants_that_are_listed() -> None:
    weights, mean = np.ones((8, 8), np.float32), jnp.ones(8)
    function = jax.jit(lambda p, x: ((x - mean) @ weights) @ p["kernel"])
    network = from_jax(function, {"kernel": shaped(8, 2)}, shaped(1, 8))
    assert network.provenance is not None
    ((name, reason),) = network.provenance.skipped.items()
    assert "float32[8, 8]" in name
    assert "params" in reason


def test_no_values_are_needed_at_any_size() -> None:
    params = {"kernel": shaped(1 << 20, 1 << 20), "bias": shaped(1 << 20, dtype=jnp.bfloat16)}
    network = from_jax(
        lambda p, x: jnp.zeros((1, 1 << 30))[:, : 1 << 20] + x @ p["kernel"] + p["bias"],
        params,
        shaped(1, 1 << 20),
    )
    assert network.num_parameters == (1 << 40) + (1 << 20)
    counts = unrolled.count(network)
    assert counts.total == (1 << 40) + (1 << 20)


def test_frozen_parameters_are_not_trainable() -> None:
    params = {"batch_stats": {"m": shaped(2)}, "params": {"a": shaped(2), "ab": shaped(2)}}

    def frozen(**options: Any) -> set[str]:
        network = from_jax(
            lambda p: p["batch_stats"]["m"] + p["params"]["a"] + p["params"]["ab"],
            params,
            **options,
        )
        return {tensor.name for tensor in network.parameters if not tensor.trainable}

    assert frozen() == {"batch_stats/m"}
    assert frozen(frozen=()) == set()
    assert frozen(frozen="params/a") == {"params/a"}
    assert frozen(frozen=["params", "batch_stats/m"]) == {
        *("params/a", "params/ab", "batch_stats/m"),
    }
    assert frozen(frozen=lambda name: name.endswith("b")) == {"params/ab"}
    with pytest.raises(InvalidArgumentError, match="frozen"):
        frozen(frozen=3)


@jax.tree_util.register_pytree_with_keys_class
class Layer:
    """A module that is a pytree, as in Equinox, some leaves of which are no arrays."""

    def __init__(self, weight: Any, scale: Any, activation: Any) -> None:
        self.weight, self.scale, self.activation = weight, scale, activation

    def __call__(self, x: Any) -> Any:
        return self.activation(x @ self.weight) * self.scale

    def tree_flatten_with_keys(self) -> Any:
        key = jax.tree_util.GetAttrKey
        leaves = [(key(name), getattr(self, name)) for name in ("weight", "scale", "activation")]
        return leaves, None

    @classmethod
    def tree_unflatten(cls, _: Any, leaves: Any) -> Layer:
        return cls(*leaves)


def test_modules_that_are_trees() -> None:
    module = Layer(shaped(3, 2), 0.5, jax.nn.relu)
    network = from_jax(lambda m, x: m(x), module, shaped(1, 3))
    assert sorted(names(network)) == ["scale", "weight"]
    assert exact(network)["scale"].tolist() == 2


def test_flax_nnx() -> None:
    nnx = pytest.importorskip("flax.nnx")

    class Model(nnx.Module):  # type: ignore[misc, name-defined]
        def __init__(self, rngs: Any) -> None:
            self.linear = nnx.Linear(3, 2, rngs=rngs)
            self.norm = nnx.BatchNorm(2, use_running_average=True, rngs=rngs)
            self.dropout = nnx.Dropout(0.5, deterministic=True, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            return self.dropout(self.norm(self.linear(x)))

    graph, state = nnx.split(nnx.eval_shape(lambda: Model(nnx.Rngs(0))))
    network = from_jax(lambda s, x: nnx.merge(graph, s)(x), state, shaped(1, 3))
    assert {tensor.name: tensor.trainable for tensor in network.parameters} == {
        "linear/bias": True,
        "linear/kernel": True,
        "norm/bias": True,
        "norm/mean": False,
        "norm/scale": True,
        "norm/var": False,
    }


def test_dropout_in_training_is_refused_and_dead_code_is_not() -> None:
    def noisy(params: Any, x: Any) -> Any:
        keep = jax.random.bernoulli(jax.random.key(0), 0.5, x.shape)
        return jnp.where(keep, x, 0) @ params["kernel"]

    with pytest.raises(UnsupportedOperatorError, match="random") as caught:
        from_jax(noisy, KERNEL, shaped(1, 3))
    assert any(name.startswith("random") for name in caught.value.operators)

    def dead(params: Any, x: Any) -> Any:
        noisy(params, x)
        jnp.linalg.eigvalsh(x.T @ x)
        return lax.scan(
            lambda c, _: ((c[0] @ c[0], lax.linalg.cholesky(c[1])), None),
            (params["s"], x.T @ x),
            None,
            3,
        )[0][0]

    assert names(from_jax(dead, {**KERNEL, "s": shaped(2, 2)}, shaped(1, 3))) == ["s"]


def test_unsupported_primitives_are_named_all_at_once() -> None:
    def function(params: Any, x: Any) -> Any:
        with jax.named_scope("head"):
            y = jnp.linalg.eigvalsh(params["s"])
        return y, jnp.linalg.cholesky(params["s"])

    with pytest.raises(UnsupportedOperatorError) as caught:
        from_jax(function, {**KERNEL, "s": shaped(2, 2)}, shaped(1, 3))
    assert {"eigh", "cholesky"} <= set(caught.value.operators)
    assert caught.value.operators["eigh"] == ["head/eigh"]
    assert "unrolled.importers.jax.rule(" in str(caught.value)


@pytest.mark.parametrize(
    "function",
    [
        lambda p, x: lax.while_loop(lambda y: y.sum() < 3, lambda y: y @ p["s"], x),
        lambda p, x: lax.cond(x[0, 0] > 0, lambda y: y @ p["s"], jnp.tanh, x),
        lambda p, x: lax.gather(
            p["s"],
            x[0, :, None].astype(int),
            lax.GatherDimensionNumbers((1, 2), (), (0,)),
            (1, 1),
        ),
        lambda p, x: lax.scan(lambda y, _: (y @ p["s"], None), x, None, 100_000)[0],
    ],
)
def test_what_depends_on_run_time_is_refused(function: Any) -> None:
    with pytest.raises(UnsupportedOperatorError):
        from_jax(function, {"s": shaped(2, 2)}, shaped(1, 2))


def test_rules_of_ones_own() -> None:
    @rule("cholesky")
    def own(tracer: Tracer, node: Any) -> Any:
        (x,) = node.operands
        assert isinstance(x, Value)
        return tracer.reduce(x, (0,), keepdims=False)

    try:
        with pytest.raises(InvalidModelError, match=r"cholesky.*\(2, 2\)"):
            from_jax(lambda p: jnp.linalg.cholesky(p), shaped(2, 2))
        TABLE.remove("cholesky")
        rule("cholesky")(lambda tracer, node: [tracer.pointwise(x) for x in node.operands])
        network = from_jax(lambda p: lax.linalg.cholesky(p, symmetrize_input=False), shaped(2, 2))
        assert exact(network)["parameter"].tolist() == [[1, 0], [1, 1]]
    finally:
        TABLE.remove("cholesky")
    assert "cholesky" not in operators()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3, KERNEL), "function"),
        ((dense, KERNEL, "x"), "'x'"),
        ((dense, KERNEL, True), "lambda"),
        ((dense, KERNEL, shaped(0, 3)), "empty"),
    ],
)
def test_arguments_that_are_no_function_or_array_are_refused(
    arguments: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        from_jax(*arguments)


@pytest.mark.parametrize(
    ("function", "inputs"),
    [
        (dense, (shaped(1, 4),)),
        (dense, ()),
        (lambda p, x: "text", (shaped(1, 3),)),
        (lambda p, x: float(x.sum()) * p["kernel"], (shaped(1, 3),)),
        (lambda p, x: jnp.ones(3), (shaped(1, 3),)),
    ],
)
def test_functions_that_cannot_be_read(function: Any, inputs: tuple[Any, ...]) -> None:
    with pytest.raises(InvalidModelError, match="JAX function"):
        from_jax(function, KERNEL, *inputs)


def test_jax_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, unrolled.importers.jax; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
