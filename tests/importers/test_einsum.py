"""One rule for einsum at all doors: for every term of the sum over all indices, an edge a factor.

Expected counts come from writing out every term.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import unrolled
from cases.keras_models import functional

Shape = tuple[int, ...]
Read = Callable[[str, list[str], dict[str, Shape]], Any]

EQUATIONS: dict[str, tuple[str, list[str], dict[str, Shape]]] = {
    "a chain": ("bi,ij,jk->bk", ["x", "v", "w"], {"x": (2, 3), "v": (3, 4), "w": (4, 2)}),
    "one weight twice": ("bi,ij,jk->bk", ["x", "w", "w"], {"x": (1, 2), "w": (2, 2)}),
    "a long chain": (
        "ab,bc,cd,de->ae",
        ["u", "v", "w", "x"],
        {"u": (2, 3), "v": (3, 4), "w": (4, 2), "x": (2, 3)},
    ),
    "a ring": (
        "abc,cd,de,ea->b",
        ["u", "v", "w", "x"],
        {"u": (2, 3, 2), "v": (2, 3), "w": (3, 4), "x": (4, 2)},
    ),
    "pointwise": ("i,i,i->i", ["u", "v", "w"], {"u": (3,), "v": (3,), "w": (3,)}),
    "outer": ("i,j,k->kij", ["u", "v", "w"], {"u": (2,), "v": (3,), "w": (4,)}),
    "all summed": ("i,j,k->", ["u", "v", "w"], {"u": (2,), "v": (3,), "w": (4,)}),
    "of two, summed in one": ("bi,ij->b", ["x", "w"], {"x": (2, 3), "w": (3, 4)}),
    "of two, summed in both": ("bi,jk->b", ["x", "w"], {"x": (2, 3), "w": (3, 4)}),
    "bilinear": ("bi,oij,bj->bo", ["x", "w", "y"], {"x": (2, 3), "w": (4, 3, 2), "y": (2, 2)}),
    "a diagonal": ("bii,ij,b->j", ["x", "w", "y"], {"x": (2, 3, 3), "w": (3, 2), "y": (2,)}),
    "without a result": ("ij,jk,kl", ["u", "v", "w"], {"u": (2, 3), "v": (3, 2), "w": (2, 4)}),
    "in pairs and alone": (
        "ab,ab,bc->ca",
        ["u", "v", "w"],
        {"u": (2, 3), "v": (2, 3), "w": (3, 2)},
    ),
}


def terms(equation: str, operands: list[str], shapes: dict[str, Shape]) -> dict[str, Any]:
    """Counts of all operands, each a parameter: one for every term that it is a factor of."""
    inputs, _, _ = equation.partition("->")
    subscripts = inputs.split(",")
    lengths: dict[str, int] = {}
    for letters, name in zip(subscripts, operands, strict=True):
        lengths.update(zip(letters, shapes[name], strict=True))
    counts = {name: np.zeros(shape, dtype=int) for name, shape in shapes.items()}
    for index in itertools.product(*[range(length) for length in lengths.values()]):
        at = dict(zip(lengths, index, strict=True))
        for letters, name in zip(subscripts, operands, strict=True):
            counts[name][tuple([at[letter] for letter in letters])] += 1
    return {name: array.tolist() for name, array in counts.items()}


def from_onnx(equation: str, operands: list[str], shapes: dict[str, Shape]) -> Any:
    pytest.importorskip("onnx")
    from cases.onnx_models import model, node

    einsum = node(f"Einsum {','.join(operands)} -> result", equation=equation)
    return unrolled.from_onnx(model(einsum, weights=shapes))


def from_jax(equation: str, operands: list[str], shapes: dict[str, Shape]) -> Any:
    jax = pytest.importorskip("jax")

    def apply(params: Any) -> Any:
        return jax.numpy.einsum(equation, *[params[name] for name in operands])

    return unrolled.from_jax(apply, {name: np.ones(s, np.float32) for name, s in shapes.items()})


def from_jitted_jax(equation: str, operands: list[str], shapes: dict[str, Shape]) -> Any:
    jax = pytest.importorskip("jax")
    einsum = jax.jit(jax.numpy.einsum, static_argnums=0)

    def apply(params: Any) -> Any:
        return einsum(equation, *[params[name] for name in operands])

    return unrolled.from_jax(apply, {name: np.ones(s, np.float32) for name, s in shapes.items()})


def from_torch(equation: str, operands: list[str], shapes: dict[str, Shape]) -> Any:
    torch = pytest.importorskip("torch")

    class Einsum(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            for name, shape in shapes.items():
                setattr(self, name, torch.nn.Parameter(torch.ones(shape)))

        def forward(self, _: Any) -> Any:
            return torch.einsum(equation, *[getattr(self, name) for name in operands])

    return unrolled.from_torch(Einsum(), torch.ones(1))


def from_keras(equation: str, operands: list[str], shapes: dict[str, Shape]) -> Any:
    """Every operand is a row of ones times a kernel."""
    calls: dict[str, Any] = {}
    for name, shape in shapes.items():
        config = {"units": int(np.prod(shape)), "use_bias": False}
        calls[name] = "Dense", config, ["one"]
        calls[f"{name}_shaped"] = "ops.Reshape", {"newshape": list(shape)}, [name]
    factors = [f"{name}_shaped" for name in operands]
    calls["einsum"] = "ops.Einsum", {"subscripts": equation}, factors
    return unrolled.from_keras(functional({"one": (1, 1)}, calls, "einsum"))


DOORS: dict[str, Read] = {
    "onnx": from_onnx,
    "keras": from_keras,
    "jax": from_jax,
    "jitted jax": from_jitted_jax,
    "torch": from_torch,
}


@pytest.mark.parametrize("equation", EQUATIONS)
@pytest.mark.parametrize("door", DOORS)
def test_every_door_counts_terms(door: str, equation: str) -> None:
    text, operands, shapes = EQUATIONS[equation]
    counts = unrolled.count(DOORS[door](text, operands, shapes))
    found = {
        name.removesuffix("/kernel"): np.reshape(
            counts[name].exact(), shapes[name.removesuffix("/kernel")]
        ).tolist()
        for name in counts
    }
    assert found == terms(text, operands, shapes)


@pytest.mark.parametrize("seed", range(int(12 * float(os.environ.get("TEST_CASES_FACTOR", "1")))))
@pytest.mark.parametrize("door", ["onnx", "jax"])
def test_random_equations(door: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    letters = list("abcde")[: random.integers(2, 6)]
    lengths = {letter: int(random.integers(1, 4)) for letter in letters}
    subscripts = [
        "".join(random.permutation(letters)[: random.integers(1, min(len(letters), 3) + 1)])
        for _ in range(random.integers(2, 5))
    ]
    used = sorted(set("".join(subscripts)))
    result = "".join(random.permutation(used)[: random.integers(0, len(used) + 1)])
    operands = [f"p{number}" for number in range(len(subscripts))]
    shapes = {
        name: tuple([lengths[letter] for letter in term])
        for name, term in zip(operands, subscripts, strict=True)
    }
    equation = f"{','.join(subscripts)}->{result}"
    counts = unrolled.count(DOORS[door](equation, operands, shapes))
    assert {name: counts[name].exact().tolist() for name in counts} == terms(
        equation, operands, shapes
    )


def test_two_einsums_of_one_equation_in_a_row() -> None:
    """JAX writes four products under one name."""
    jax = pytest.importorskip("jax")

    def once(x: Any, w: Any) -> Any:
        return jax.numpy.einsum("bi,ij,jk->bk", x, w, w)

    w, x = np.ones((2, 2), np.float32), np.ones((1, 2), np.float32)
    counts = unrolled.count(unrolled.from_jax(lambda w, x: once(once(x, w), w), w, x))
    # A weight is in 4 terms of each einsum, and from an output of the first 4 paths lead on.
    assert counts["parameter"].exact().tolist() == [[4 + 4 * 4] * 2] * 2


def test_factors_that_are_constants() -> None:
    """JAX multiplies them first, and they are factors all the same."""
    jax = pytest.importorskip("jax")
    ones = np.ones((3, 3), np.float32)

    def apply(w: Any) -> Any:
        return jax.numpy.einsum("ai,ij,jk,kl->al", w, ones, ones, ones)

    counts = unrolled.count(unrolled.from_jax(apply, np.ones((50, 3), np.float32)))
    assert counts["parameter"].exact().tolist() == [[27] * 3] * 50


def test_products_one_after_the_other_stay_so() -> None:
    pytest.importorskip("jax")
    w, x = np.ones((2, 2), np.float32), np.ones((1, 2), np.float32)
    counts = unrolled.count(unrolled.from_jax(lambda w, x: x @ w @ w, w, x))
    assert counts["parameter"].exact().tolist() == [[3, 3]] * 2


def test_einsum_over_a_batch_of_vmap() -> None:
    jax = pytest.importorskip("jax")
    einsum = jax.vmap(lambda u, v, w: jax.numpy.einsum("i,ij,j->", u, v, w))
    shapes = {"u": (5, 3), "v": (5, 3, 2), "w": (5, 2)}
    params = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    network = unrolled.from_jax(lambda p: einsum(p["u"], p["v"], p["w"]), params)
    counts = unrolled.count(network)
    found = {name: counts[name].exact().tolist() for name in counts}
    assert found == terms("bi,bij,bj->b", ["u", "v", "w"], shapes)
