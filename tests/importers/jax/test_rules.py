"""Every primitive against derivatives of its counting form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402
from jax import lax  # noqa: E402

from oracles.jax_counting import assert_counts, exact, shaped  # noqa: E402
from unrolled.importers.jax import from_jax  # noqa: E402

Function = Callable[[dict[str, Any]], Any]


def of_x(function: Callable[[Any], Any]) -> Function:
    return lambda p: function(p["x"])


X = {"x": shaped(4, 6)}

MOVEMENTS: dict[str, Callable[[Any], Any]] = {
    "reshape": lambda x: x.reshape(3, 8)[1:],
    "transpose": lambda x: x.T[2:],
    "expand_dims": lambda x: x[:, None, :, None],
    "broadcast": lambda x: jnp.broadcast_to(x[:, None], (4, 5, 6)),
    "broadcast in front": lambda x: jnp.broadcast_to(x, (2, 4, 6)),
    "slice": lambda x: x[1:4:2, ::-2],
    "element": lambda x: x[0, -1],
    "reverse": lambda x: x[::-1, ::-1][1:],
    "concatenate": lambda x: jnp.concatenate([x, x[:1], jnp.ones((2, 6))]),
    "stack": lambda x: jnp.stack([x[0], x[1], x[1]]),
    "split": lambda x: jnp.split(x, [1, 3], axis=1)[1],
    "pad": lambda x: jnp.pad(x, ((1, 2), (0, 3)))[1:3],
    "pad inside": lambda x: lax.pad(x, 0.0, ((-1, 2, 1), (1, -2, 3))),
    "pad negative": lambda x: lax.pad(x, 0.0, ((-1, 0, 0), (2, -3, 0))),
    "pad inside and cut": lambda x: lax.pad(x, 0.0, ((-2, -3, 2), (-4, 1, 1))),
    "wrap": lambda x: jnp.pad(x, ((1, 2), (0, 3)), mode="wrap"),
    "reflect": lambda x: jnp.pad(x, ((1, 2), (0, 3)), mode="reflect"),
    "roll": lambda x: jnp.roll(x, 2, axis=1)[:, :4],
    "repeat": lambda x: jnp.repeat(x, 3, axis=0),
    "tile": lambda x: jnp.tile(x, (2, 3)),
    "dynamic slice": lambda x: lax.dynamic_slice(x, (2, 5), (2, 3)),
    "update along an axis": lambda x: lax.dynamic_update_slice(x, x[:1], (2, 0)),
    "update a box": lambda x: lax.dynamic_update_slice(x, x[:2, :2], (2, 3)),
    "update all": lambda x: lax.dynamic_update_slice(x, x[::-1], (0, 0))[:1],
    "take rows": lambda x: jnp.take(x, jnp.array([[0, 2], [2, -1]]), axis=0),
    "take columns": lambda x: x[:, jnp.array([5, 0, 0])],
    "take points": lambda x: x[jnp.array([0, 1, 3, 3]), jnp.array([2, 2, 0, 0])],
    "take blocks": lambda x: x[jnp.array([1, 3]), 1:3],
    "take out of range": lambda x: x.at[jnp.array([1, 7])].get(mode="fill", fill_value=0),
    "take and clip": lambda x: x.at[jnp.array([1, 7])].get(mode="clip"),
    "take along": lambda x: jnp.take_along_axis(x, jnp.array([[5, 0], [1, 1], [0, 0], [2, 3]]), 1),
    "set rows": lambda x: x.at[jnp.array([0, 2])].set(x[:2]),
    "set a point": lambda x: x.at[1, 2].set(x[3, 3]),
    "set a constant": lambda x: x.at[1:3, 2].set(0.0),
    "set in a constant": lambda x: jnp.zeros((5, 6)).at[1:3].set(x[:2]),
    "add rows": lambda x: x.at[jnp.array([0, 2, 2, 9])].add(x),
    "add points": lambda x: x.at[jnp.array([0, 2]), jnp.array([1, 1])].add(x[3, :2]),
    "add to a constant": lambda x: jnp.zeros((3, 6)).at[jnp.array([0, 2, 2, 1])].add(x),
    "segments": lambda x: jax.ops.segment_sum(x, jnp.array([0, 2, 2, 1]), 3),
    "choice": lambda x: jnp.where(jnp.arange(24).reshape(4, 6) % 3 == 0, x, x[::-1]),
    "triangle of both": lambda x: jnp.where(jnp.tri(4, 6, dtype=bool), x, x[:, ::-1]),
    "nearest": lambda x: jax.image.resize(x, (8, 3), "nearest"),
    "diagonal": lambda x: jnp.diagonal(x),
    "trace": lambda x: jnp.trace(x),
    "meshed": lambda x: x[jnp.ix_(jnp.array([0, 3]), jnp.array([1, 1, 4]))],
    "triangle": lambda x: jnp.tril(x),
    "bools": lambda x: x[np.array([True, False, True, True])],
}


@pytest.mark.parametrize("name", MOVEMENTS)
def test_movement(name: str) -> None:
    assert_counts(of_x(MOVEMENTS[name]), X)


SUMS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "sum": (lambda x: x.sum(0), lambda x: x.sum(0)),
    "mean": (lambda x: x.mean(), lambda x: x.sum()),
    "max": (lambda x: x.max(1), lambda x: x.sum(1)),
    "min": (lambda x: x.min((0, 1)), lambda x: x.sum()),
    "prod": (lambda x: x.prod(0), lambda x: x.sum(0)),
    "argmax": (lambda x: x.argmax(0), lambda x: x.sum(0)),
    "any": (lambda x: (x > 0).any(1), lambda x: x.sum(1)),
    "norm": (lambda x: jnp.linalg.norm(x, axis=1), lambda x: x.sum(1)),
    "cumsum": (lambda x: x.cumsum(1), lambda x: x.cumsum(1)),
    "cumulative maximum": (
        lambda x: lax.cummax(x, 0, reverse=True),
        lambda x: lax.cumsum(x, 0, reverse=True),
    ),
    "custom reduction": (
        lambda x: lax.reduce(x, 1.0, lambda a, b: a * b + a, (1,)),
        lambda x: x.sum(1),
    ),
    "windows": (
        lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (2, 3), (1, 2), "SAME"),
        lambda x: lax.reduce_window(x, 0.0, lax.add, (2, 3), (1, 2), "SAME"),
    ),
    "windows spread": (
        lambda x: lax.reduce_window(
            x, jnp.inf, lax.min, (2, 2), (2, 1), ((1, 1), (-1, 2)), (2, 3), (3, 1)
        ),
        lambda x: lax.reduce_window(
            x, 0.0, lax.add, (2, 2), (2, 1), ((1, 1), (-1, 2)), (2, 3), (3, 1)
        ),
    ),
    "windows of a function": (
        lambda x: lax.reduce_window(x, 1.0, lambda a, b: a * b + a, (2, 2), (2, 2), "VALID"),
        lambda x: lax.reduce_window(x, 0.0, lax.add, (2, 2), (2, 2), "VALID"),
    ),
    "bilinear": (
        lambda x: jax.image.resize(x, (8, 11), "bilinear"),
        lambda x: (
            ((jnp.abs(jax.image.resize(jnp.eye(4), (8, 4), "bilinear")) > 1e-6) * 1.0)
            @ x
            @ ((jnp.abs(jax.image.resize(jnp.eye(6), (6, 11), "bilinear")) > 1e-6) * 1.0)
        ),
    ),
    "constant matrix": (lambda x: x @ jnp.full((6, 2), 0.5), lambda x: x @ jnp.ones((6, 2))),
    "transform": (
        lambda x: jnp.fft.fft2(x).real,
        lambda x: jnp.ones((4, 4)) @ x @ jnp.ones((6, 6)),
    ),
    "real transform": (lambda x: jnp.abs(jnp.fft.rfft(x)), lambda x: x @ jnp.ones((6, 4))),
}


@pytest.mark.parametrize("name", SUMS)
def test_sum(name: str) -> None:
    function, form = SUMS[name]
    assert_counts(of_x(function), X, of_x(form))


ONE_EDGE: dict[str, Callable[[Any], Any]] = {
    **{
        name: getattr(jax.nn, name)
        for name in (
            *("relu", "relu6", "sigmoid", "softplus", "soft_sign", "silu", "log_sigmoid"),
            *("leaky_relu", "hard_sigmoid", "hard_silu", "hard_tanh", "elu", "celu", "selu"),
            *("gelu", "squareplus", "mish", "sparse_plus"),
        )
        if hasattr(jax.nn, name)
    },
    "gelu by erf": lambda x: jax.nn.gelu(x, approximate=False),
    "powers": lambda x: (x**3) ** 0.5 + 2,
    "logs": lambda x: jnp.log1p(jnp.exp(x)) - 1,
    "clipped": lambda x: jnp.clip(x, 0, 1),
    "types": lambda x: x.astype(jnp.bfloat16).astype(jnp.float32),
    "constants": lambda x: (3 - x) / 7 * jnp.arange(6.0),
    "stopped": lambda x: lax.stop_gradient(x),
    "jitted": jax.jit(lambda x: jnp.tanh(x) * x),
    "checkpointed": jax.checkpoint(lambda x: jnp.tanh(x) * x),
    "mapped": jax.vmap(lambda row: jnp.tanh(row) * row),
    "softmax": jax.nn.softmax,
    "log softmax": jax.nn.log_softmax,
    "softmax over both": lambda x: jax.nn.softmax(x, axis=(0, 1)),
    "standardised": lambda x: jax.nn.standardize(x, axis=0),
    "by a norm": lambda x: x / jnp.linalg.norm(x, axis=1, keepdims=True),
    "by a safe norm": lambda x: x / jnp.maximum(jnp.linalg.norm(x, axis=1, keepdims=True), 1e-6),
    "by the root mean square": lambda x: x * lax.rsqrt(jnp.mean(x**2, -1, keepdims=True) + 1e-6),
    "by variance": lambda x: (x - x.mean(0)) / jnp.sqrt(jnp.var(x, 0) + 1e-3),
}


@pytest.mark.parametrize("name", ONE_EDGE)
def test_function_of_one_tensor(name: str) -> None:
    assert_counts(of_x(ONE_EDGE[name]), X, of_x(lambda x: x))


PAIR = {"x": shaped(4, 6), "y": shaped(4, 6)}
SEVERAL: dict[str, tuple[Function, Function]] = {
    "add": (lambda p: p["x"] + p["y"][:1], lambda p: p["x"] + p["y"][:1]),
    "twice": (lambda p: p["x"] + p["x"] - p["y"], lambda p: 2 * p["x"] + p["y"]),
    "product": (lambda p: p["x"] * p["y"], lambda p: p["x"] + p["y"]),
    "quotient": (lambda p: p["x"] / p["y"][:, :1], lambda p: p["x"] + p["y"][:, :1]),
    "maximum": (lambda p: jnp.maximum(p["x"], p["y"]), lambda p: p["x"] + p["y"]),
    "clip": (lambda p: jnp.clip(p["x"], 0, p["y"]), lambda p: p["x"] + p["y"]),
    "power": (lambda p: p["x"] ** p["y"], lambda p: p["x"] + p["y"]),
    "angle": (lambda p: jnp.arctan2(p["x"], p["y"]), lambda p: p["x"] + p["y"]),
    "gate": (lambda p: jax.nn.silu(p["x"]) * p["y"], lambda p: p["x"] + p["y"]),
    "gated linear unit": (lambda p: jax.nn.glu(p["x"]), lambda p: p["x"][:, :3] + p["x"][:, 3:]),
    "choice": (lambda p: jnp.where(p["x"] > 0, p["x"], p["y"]), lambda p: 2 * p["x"] + p["y"]),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_function_of_several_tensors(name: str) -> None:
    function, form = SEVERAL[name]
    assert_counts(function, PAIR, form)


@pytest.mark.parametrize(
    ("equation", "first", "second"),
    [
        ("ij,jk->ik", (2, 3), (3, 4)),
        ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)),
        ("bqhd,bkhd->bhqk", (1, 3, 2, 4), (1, 5, 2, 4)),
        ("ijk,kj->i", (2, 3, 4), (4, 3)),
        ("i,j->ji", (3,), (4,)),
        ("i,i->", (3,), (3,)),
    ],
)
def test_products(equation: str, first: tuple[int, ...], second: tuple[int, ...]) -> None:
    params = {"a": shaped(*first), "b": shaped(*second)}
    assert_counts(lambda p: jnp.einsum(equation, p["a"], p["b"]), params)


LAYOUTS = [
    ("NHWC", "HWIO", "NHWC"),
    ("NCHW", "OIHW", "NCHW"),
    ("CHWN", "IHWO", "NHWC"),
    ("NHCW", "WOHI", "CNWH"),
]


SLIDING = ("window_strides", "lhs_dilation", "rhs_dilation", "padding")


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    layout = draw(st.sampled_from(LAYOUTS))
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    number = st.integers(1, 3)
    within, out = draw(number), groups * draw(number)
    lengths = {"H": draw(st.integers(2, 7)), "W": draw(st.integers(2, 7))}
    sizes = {"H": draw(number), "W": draw(number)}
    pair = st.tuples(number, number)
    options = {
        "window_strides": draw(pair),
        "lhs_dilation": draw(pair),
        "rhs_dilation": draw(pair),
        "padding": [draw(st.tuples(st.integers(-1, 3), st.integers(-1, 3))) for _ in range(2)],
        "feature_group_count": groups,
        "dimension_numbers": layout,
    }
    x = {"N": draw(st.integers(1, 2)), "C": within * groups, **lengths}
    kernel = {"O": out, "I": within, **sizes}
    shapes = {
        "x": shaped(*[x[axis] for axis in layout[0]]),
        "w": shaped(*[kernel[axis] for axis in layout[1]]),
    }
    return shapes, options


def met(extent: int, size: int, stride: int, spread: int, dilation: int, sides: Any) -> Any:
    """Along one axis: 1 where an output position reads an input position by a tap."""
    padded = (extent - 1) * spread + 1 + sum(sides)
    length = max((padded - (size - 1) * dilation - 1) // stride + 1, 0)
    output, tap, source = np.ogrid[:length, :size, :extent]
    return source * spread + sides[0] == output * stride + tap * dilation


@given(convolutions())
def test_convolution(case: tuple[dict[str, Any], dict[str, Any]]) -> None:
    shapes, options = case
    x_axes, w_axes, _ = options["dimension_numbers"]
    x, w = (
        dict(zip(axes, shapes[name].shape, strict=True))
        for name, axes in (("x", x_axes), ("w", w_axes))
    )
    columns = zip(*(options[name] for name in SLIDING), strict=True)
    spatial = [axis for axis in w_axes if axis in "HW"]  # In the order that JAX takes them in.
    along = {a: met(x[a], w[a], *rest) for a, rest in zip(spatial, columns, strict=True)}
    rows, lines = along["H"], along["W"]
    if not (rows.any() and lines.any()):
        return
    read = np.multiply.outer(rows.sum((0, 1)), lines.sum((0, 1)))
    used = np.multiply.outer(rows.sum((0, 2)), lines.sum((0, 2)))
    expected = {
        "x": np.tile(w["O"] // options["feature_group_count"] * read, (x["N"], x["C"], 1, 1)),
        "w": np.tile(x["N"] * used, (w["O"], w["I"], 1, 1)),
    }
    network = from_jax(
        lambda p: lax.conv_general_dilated(p["x"], p["w"], **options),
        {name: shaped(*one.shape) for name, one in shapes.items()},
    )
    for name, axes, plain in (("x", x_axes, "NCHW"), ("w", w_axes, "OIHW")):
        ordered = expected[name].transpose([plain.index(axis) for axis in axes])
        assert exact(network)[name].tolist() == ordered.tolist()


def test_embedding_is_a_product_with_a_one_hot_row() -> None:
    from oracles.jax_counting import exact
    from unrolled.importers.jax import from_jax

    ids = shaped(2, 5, dtype=jnp.int32)
    found = exact(from_jax(lambda p, ids: p["t"][ids], {"t": shaped(7, 3)}, ids))
    assert np.all(found["t"] == 10)
    columns = exact(from_jax(lambda p, i: jnp.take(p["t"], i, axis=1), {"t": shaped(7, 3)}, ids))
    assert np.all(columns["t"] == 10)
    row = from_jax(lambda p, i: p["t"][2 * i, :2], {"t": shaped(7, 3)}, shaped(dtype=jnp.int32))
    assert exact(row)["t"].tolist() == [[1, 1, 0]] * 7
    hot = from_jax(lambda p, ids: jax.nn.one_hot(ids, 7) @ p["t"], {"t": shaped(7, 3)}, ids)
    assert np.all(exact(hot)["t"] == 10)


LOG_SUM_EXP: dict[str, Callable[[Any], Any]] = {
    "jax.nn": lambda x: jax.nn.logsumexp(x, axis=-1),
    "axis kept": lambda x: jax.nn.logsumexp(x, axis=0, keepdims=True),
    "over all": lambda x: jax.scipy.special.logsumexp(x),
    "scaled": lambda x: jax.nn.logsumexp(x, axis=-1, b=2.0),
    "of the negative": lambda x: -jax.nn.logsumexp(-x, axis=-1),
}
SUMMED = {"axis kept": lambda x: x.sum(0), "over all": jnp.sum}


@pytest.mark.parametrize("semantics", ["value", "dependency"])
@pytest.mark.parametrize("name", LOG_SUM_EXP)
def test_log_sum_exp_is_one_reduction(name: str, semantics: Any) -> None:
    form = SUMMED.get(name, lambda x: x.sum(-1))
    assert_counts(of_x(LOG_SUM_EXP[name]), X, of_x(form), semantics=semantics)


@pytest.mark.parametrize("function", [jnp.logaddexp, jnp.logaddexp2, jnp.hypot])
def test_functions_of_two_tensors_that_are_written_out(function: Any) -> None:
    params = {"x": shaped(4, 6), "y": shaped(6)}
    assert_counts(lambda p: function(p["x"], p["y"]), params, lambda p: p["x"] + p["y"])
