"""How the tracer turns operators into links, whatever framework they come from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import unrolled
from unrolled import Network
from unrolled.errors import InvalidModelError
from unrolled.importers import Constant, Operand, Tracer

SHAPE = (2, 6)
EPSILON = Constant.of(1e-5)


def counts_of(
    build: Callable[[Tracer, Operand], Operand], semantics: str = "value"
) -> dict[str, np.ndarray]:
    """Counts of all parameters behind ``build(w + x)``, counted by both engines."""
    tracer = Tracer(Network("traced", semantics=semantics))
    x, w = tracer.input("x", SHAPE), tracer.parameter("w", SHAPE)
    tracer.output(build(tracer, tracer.add(x, w)))
    counts = unrolled.count(tracer.network)
    unrolled_counts = unrolled.count(tracer.network.unroll())
    for name in counts:
        for at, value in np.ndenumerate(counts[name].exact()):
            assert unrolled_counts[name, at] == value
    return {name: counts[name].exact() for name in counts}


def edges(build: Callable[[Tracer, Operand], Operand], semantics: str = "value") -> list[int]:
    """The distinct counts of the elements that `build` is applied to."""
    return sorted(set(counts_of(build, semantics)["w"].ravel().tolist()))


def function(tracer: Tracer, x: Operand) -> Operand:
    return tracer.pointwise(x)


def mean(tracer: Tracer, x: Operand, keepdims: bool = True) -> Operand:
    return tracer.reduce(x, [-1], keepdims=keepdims)


def deviation(tracer: Tracer, x: Operand) -> Operand:
    """The root of the mean of squares plus a small number."""
    squares = mean(tracer, tracer.multiply(x, x))
    return tracer.pointwise(tracer.add(squares, EPSILON), power=True)


def centred(tracer: Tracer, x: Operand) -> Operand:
    return tracer.subtract(x, mean(tracer, x))


# Every way to write a layer norm or a part of it, without scale and shift.
NORMALISERS = {
    "fused": lambda t, x: t.normalise(x, [-1]),
    "mean subtracted": centred,
    "mean minus tensor": lambda t, x: t.subtract(mean(t, x), x),
    "negative mean added": lambda t, x: t.add(x, t.negative(mean(t, x))),
    "divided": lambda t, x: t.divide(x, deviation(t, x)),
    "times a reciprocal": lambda t, x: t.multiply(x, t.reciprocal(deviation(t, x))),
    "both": lambda t, x: t.divide(centred(t, x), deviation(t, centred(t, x))),
    "variance by moments": lambda t, x: t.multiply(
        centred(t, x),
        t.reciprocal(
            t.pointwise(
                t.subtract(mean(t, t.multiply(x, x)), t.multiply(mean(t, x), mean(t, x))),
                power=True,
            )
        ),
    ),
    "statistic with its axis put back": lambda t, x: t.subtract(
        x, t.unsqueeze(mean(t, x, keepdims=False), [1])
    ),
    "statistic broadcast beforehand": lambda t, x: t.divide(x, t.expand(deviation(t, x), SHAPE)),
    "statistic reshaped": lambda t, x: t.divide(
        x, t.reshape(t.reshape(deviation(t, x), (2,)), (2, 1))
    ),
    "softmax": lambda t, x: t.divide(
        function(t, t.subtract(x, mean(t, x))),
        mean(t, function(t, t.subtract(x, mean(t, x)))),
    ),
    "sum of a function": lambda t, x: t.divide(x, mean(t, function(t, x))),
}


@pytest.mark.parametrize("name", NORMALISERS)
def test_normalisers(name: str) -> None:
    assert edges(NORMALISERS[name]) == [1]
    assert edges(NORMALISERS[name], "dependency") == [SHAPE[1]]


@pytest.mark.parametrize("semantics", ["value", "dependency"])
def test_reciprocal_times_a_scale(semantics: str) -> None:
    """As JAX writes it: the factor is multiplied by the scale before it meets the tensor."""

    def norm(t: Tracer, x: Operand) -> Operand:
        factor = t.multiply(t.reciprocal(deviation(t, centred(t, x))), t.parameter("s", (6,)))
        return t.multiply(centred(t, x), factor)

    found = counts_of(norm, semantics)
    assert set(found["w"].ravel()) == {1 if semantics == "value" else 6}
    assert set(found["s"].ravel()) == {SHAPE[0]}


@pytest.mark.parametrize(("semantics", "expected"), [("value", 1), ("dependency", 2)])
def test_normaliser_along_the_first_axis(semantics: str, expected: int) -> None:
    def norm(t: Tracer, x: Operand) -> Operand:
        return t.subtract(x, t.reduce(x, [0], keepdims=False))

    assert edges(norm, semantics) == [expected]


@pytest.mark.parametrize("semantics", ["value", "dependency"])
@pytest.mark.parametrize("has_scale", [True, False])
@pytest.mark.parametrize("has_shift", [True, False])
@pytest.mark.parametrize("shape", [(6,), SHAPE])
def test_multiplied_out(
    semantics: str, has_scale: bool, has_shift: bool, shape: tuple[int, ...]
) -> None:
    """As Keras writes it: ``x * f + (shift - mean * f)``, f a scale divided by the deviation."""

    def norm(t: Tracer, x: Operand) -> Operand:
        factor = t.reciprocal(deviation(t, centred(t, x)))
        if has_scale:
            factor = t.multiply(factor, t.parameter("scale", shape))
        rest = t.multiply(t.negative(mean(t, x)), factor)
        if has_shift:
            rest = t.add(rest, t.parameter("shift", shape))
        return t.add(t.multiply(x, factor), rest)

    found = counts_of(norm, semantics)
    assert set(found["w"].ravel()) == {1 if semantics == "value" else 6}
    assert set(found) == {"w", *["scale"] * has_scale, *["shift"] * has_shift}
    for name in set(found) - {"w"}:
        assert set(found[name].ravel()) == {SHAPE[0] if shape == (6,) else 1}


def test_another_factor_is_not_multiplied_out() -> None:
    def sum_(t: Tracer, x: Operand) -> Operand:
        factor = t.reciprocal(deviation(t, x))
        a = t.multiply(factor, t.parameter("a", (6,)))
        b = t.multiply(factor, t.parameter("b", (6,)))
        return t.subtract(t.multiply(x, a), t.multiply(mean(t, x), b))

    # Its own edge, and those of the mean and of the deviation that is multiplied with it.
    assert set(counts_of(sum_)["w"].ravel()) == {1 + 6 + 6}


@pytest.mark.parametrize(("semantics", "expected"), [("value", 1), ("dependency", 36)])
def test_one_norm_after_the_other(semantics: str, expected: int) -> None:
    for norm in (NORMALISERS["fused"], NORMALISERS["both"], NORMALISERS["divided"]):
        assert edges(lambda t, x, norm=norm: norm(t, norm(t, x)), semantics) == [expected]


# What only looks like a normaliser: a statistic that multiplies, is added, or is of another tensor.
GATES = {
    "multiplied": (lambda t, x: t.multiply(x, mean(t, x)), 1 + 6),
    "added": (lambda t, x: t.add(x, mean(t, x)), 1 + 6),
    "function of it multiplied": (lambda t, x: t.multiply(x, function(t, mean(t, x))), 1 + 6),
    "function of a reciprocal": (
        lambda t, x: t.multiply(x, function(t, t.reciprocal(mean(t, x)))),
        1 + 6,
    ),
    "of the negative, added": (
        lambda t, x: t.add(t.negative(x), mean(t, t.negative(x))),
        1 + 6,
    ),
    "statistic in the numerator": (lambda t, x: t.divide(mean(t, x), x), 1 + 6),
    "function of a product with a reciprocal": (
        lambda t, x: t.multiply(
            x,
            function(t, t.multiply(t.reciprocal(mean(t, x)), t.parameter("s", (6,)))),
        ),
        1 + 6,
    ),
    "groups that do not fit": (  # The second axis of the tensor meets the last.
        lambda t, x: t.subtract(
            t.reshape(x, (3, 2, 2)), t.reduce(t.reshape(x, (3, 2, 2)), [0, 2], keepdims=False)
        ),
        1 + 6,
    ),
    "used twice": (
        lambda t, x: t.add(centred(t, x), mean(t, x)),
        1 + 6,
    ),
}


@pytest.mark.parametrize("name", GATES)
def test_gates(name: str) -> None:
    build, expected = GATES[name]
    assert edges(build) == [expected]


def test_global_response_norm() -> None:
    """The statistic is normalised by a mean of itself, and multiplies the tensor."""

    def norm(t: Tracer, x: Operand) -> Operand:
        spread = t.reduce(x, [0], keepdims=True)
        return t.multiply(x, t.divide(spread, t.add(mean(t, spread), EPSILON)))

    assert edges(norm) == [1 + 2]
    assert edges(norm, "dependency") == [1 + 2 * 6]


# Functions of one tensor, however they are written.
FUNCTIONS = {
    "SiLU": lambda t, x: t.multiply(x, function(t, x)),
    "square": lambda t, x: t.multiply(x, x),
    "quotient": lambda t, x: t.divide(x, function(t, x)),
    "GELU by erf": lambda t, x: t.multiply(
        t.multiply(x, t.add(function(t, t.divide(x, Constant.of(1.4))), Constant.of(1.0))),
        Constant.of(0.5),
    ),
    "GELU by tanh": lambda t, x: t.multiply(
        t.multiply(x, Constant.of(0.5)),
        t.add(
            Constant.of(1.0),
            function(t, t.add(x, t.multiply(t.multiply(x, t.multiply(x, x)), Constant.of(0.04)))),
        ),
    ),
    "Mish": lambda t, x: t.multiply(x, function(t, function(t, x))),
    "HardSwish": lambda t, x: t.multiply(
        x, t.multiply(t.pointwise(t.add(x, Constant.of(3.0))), Constant.of(1 / 6))
    ),
    "reshaped and back": lambda t, x: t.reshape(t.reshape(x, (3, 4)), SHAPE),
}


@pytest.mark.parametrize("semantics", ["value", "dependency"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str, semantics: str) -> None:
    assert edges(FUNCTIONS[name], semantics) == [1]


SUMS = {
    "twice": (lambda t, x: t.add(x, x), 2),
    "with a function": (lambda t, x: t.add(x, function(t, x)), 2),
    "with a gate": (lambda t, x: t.add(x, t.multiply(x, function(t, x))), 2),
    "of a sum": (lambda t, x: t.add(t.add(x, x), t.add(x, x)), 4),
    "gate of a sum": (
        lambda t, x: t.multiply(s := t.add(x, function(t, x)), function(t, s)),
        2,
    ),
    "of three": (lambda t, x: t.add(x, x, x), 3),
    "extremes": (lambda t, x: t.combine(x, function(t, x)), 2),
}


@pytest.mark.parametrize("name", SUMS)
def test_sums_have_an_edge_for_every_term(name: str) -> None:
    build, expected = SUMS[name]
    assert edges(build) == [expected]


def test_products_of_two_tensors_have_two_edges() -> None:
    def gated(t: Tracer, x: Operand) -> Operand:
        a = t.einsum("bi,io->bo", x, t.parameter("a", (6, 6)))
        return t.multiply(x, function(t, a))

    found = counts_of(gated)
    assert set(found["w"].ravel()) == {1 + 6}
    assert set(found["a"].ravel()) == {2}


@pytest.mark.parametrize(
    "run",
    [
        lambda a: a[::-1, 1:4],
        lambda a: a.T,
        lambda a: np.triu(a, 1),
        lambda a: a.reshape(4, 3)[:, [2, 0]],
        lambda a: np.diagonal(a),
        lambda a: np.pad(a, ((1, 0), (2, 1))),
        lambda a: np.repeat(a, 3, axis=0)[:, None, :],
        lambda a: a[[0, 1, 1], [5, 0, 0]],
        lambda a: np.roll(a, 2, axis=1),
        lambda a: a[0:1, 2:3],
        lambda a: a[1],
        lambda a: a * 0,
    ],
)
def test_movements_by_element_numbers(run: Callable[[np.ndarray], np.ndarray]) -> None:
    numbers = np.arange(1, 13).reshape(SHAPE)
    read = run(numbers)
    expected = np.array([(read == number).sum() for number in numbers.ravel()]).reshape(SHAPE)

    def moved(t: Tracer, x: Operand) -> Operand:
        # A tensor of its own next to it, since an output that nothing leads to is an error.
        rest = t.parameter("rest", read.shape)
        return t.add(t.rearrange([x], run), rest)

    np.testing.assert_array_equal(counts_of(moved)["w"], expected)


def test_parameters_that_nothing_reads_are_not_declared() -> None:
    tracer = Tracer(Network("lazy"))
    x = tracer.input("x", (3,))
    tracer.parameter("unused", (3,))
    tracer.output(tracer.add(x, tracer.parameter("used", (3,))))
    assert [tensor.name for tensor in tracer.network.parameters] == ["used"]


def test_two_outputs_of_one_tensor() -> None:
    tracer = Tracer(Network("twins"))
    x = tracer.add(tracer.input("x", (3,)), tracer.parameter("w", (3,)))
    tracer.output(x, tracer.pointwise(x), Constant((4,)))
    assert tracer.network.num_outputs == 6
    assert unrolled.count(tracer.network).total == 6


ERRORS = {
    "shapes that do not broadcast": lambda t, x: t.add(x, t.parameter("b", (5,))),
    "another number of elements": lambda t, x: t.reshape(x, (5, 2)),
    "axes that are no permutation": lambda t, x: t.transpose(x, (0, 0)),
    "indices out of range": lambda t, x: t.take(x, 1, np.array([6])),
    "lengths that differ": lambda t, x: t.einsum("bi,io->bo", x, t.parameter("k", (5, 6))),
    "labels of their own": lambda t, x: t.einsum("bi->bz", x),
    "an axis that is not 1": lambda t, x: t.squeeze(x, [0]),
    "parts that do not add up": lambda t, x: t.split(x, 1, [2, 2]),
    "nothing left": lambda t, x: t.pad(x, [(-2, 0), (0, 0)]),
    "other lengths to join": lambda t, x: t.concat([x, t.parameter("k", (2, 5))], 0),
    "a larger window": lambda t, x: t.pool(x, [t.window(6, 7)], first=1),
    "a kernel of other channels": lambda t, x: t.convolve(
        t.reshape(x, (1, 2, 6)), t.parameter("k", (4, 3, 2)), [t.window(6, 2)]
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_name_the_operator(name: str) -> None:
    tracer = Tracer(Network("wrong"))
    x = tracer.add(tracer.input("x", SHAPE), tracer.parameter("w", SHAPE))
    tracer.name = "the_operator"
    with pytest.raises(InvalidModelError, match="the_operator"):
        ERRORS[name](tracer, x)
