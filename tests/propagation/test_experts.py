"""Mixtures of experts against drawn ones, and against dense layers where they are the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

from cases.onnx_experts import GATES, expert_block
from unrolled import (
    Network,
    Operation,
    Relation,
    Signal,
    features,
    from_onnx,
    initialization_report,
    propagate,
    score,
)
from unrolled.errors import UnknownOperationError

LAW = Signal(1.0, 0.5, 0.3, 0.2)
TOKENS, WIDTH = 3, 48
BIAS = {"square": 0.04, "pair": 0.13, "kernel": 0.04, "router": 0.13}
"""What is left at 48 channels; at 200 of them none of these is seen any more."""


WEIGHTS = dict(zip(GATES, ["w", "w", "w/linear", "w#2", "w/linear"], strict=True))
"""The tensor of the weights that results of experts are multiplied with."""


def network(gate: str, **options: Any) -> Network:
    return from_onnx(expert_block(gate, **options).SerializeToString(), operations=True)


def weigh(gate: str, numbers: np.ndarray, chosen: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights of all experts, zero for most, and their derivatives by a router's numbers."""
    experts = numbers.shape[-1]
    order = np.argsort(-numbers, axis=-1)[..., :chosen]
    is_chosen = np.zeros(numbers.shape)
    np.put_along_axis(is_chosen, order, 1.0, -1)
    if gate.startswith("softmax"):
        values = slopes = np.exp(numbers)
    else:
        values = 1 / (1 + np.exp(-numbers))
        slopes = values * (1 - values)
    same = np.eye(experts)
    if gate == "sigmoid":
        return values * is_chosen, same * (slopes * is_chosen)[..., None]
    counted = np.ones(numbers.shape) if gate == "softmax" else is_chosen
    total = (values * counted).sum(-1, keepdims=True)
    shares = values / total * counted
    steps = (slopes / total * counted)[..., None, :]
    return shares * is_chosen, (same - shares[..., None]) * steps * is_chosen[..., None]


def correlated(draws: Any, r: float, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    one, other = draws.normal(size=(2, *shape))
    return one, r * one + np.sqrt(1 - r * r) * other


@pytest.mark.parametrize(("experts", "chosen", "variance"), [(8, 2, 1.0), (4, 1, 3.0), (6, 6, 2.0)])
@pytest.mark.parametrize("gate", GATES)
def test_weights_are_those_of_drawn_numbers(
    gate: str, experts: int, chosen: int, variance: float
) -> None:
    """Mean, mean square, and mean products with those of another token or another sample."""
    net = network(gate, width=WIDTH, experts=experts, chosen=chosen)
    followed = propagate(net, overrides={"router": variance / WIDTH}, input=LAW)
    # Of a single weight no mean is taken.
    found = followed["w" if chosen == 1 and "divided" in gate else WEIGHTS[gate]]
    draws = np.random.default_rng(1)
    for r, correlation in ((0.5, found.correlation), (0.3, found.position_correlation)):
        one, other = correlated(draws, r, (40_000, experts))
        a, b = (weigh(gate, variance**0.5 * z, chosen)[0] for z in (one, other))
        expected = {
            found.mean: a.sum(-1) / chosen,
            found.mean_square: (a * a).sum(-1) / chosen,
            found.mean_square * correlation: (a * b).sum(-1) / chosen,
        }
        for value, drawn in expected.items():
            # The core draws as well, 16,384 tokens.
            error = drawn.std() * np.sqrt(1 / drawn.size + 1 / 16_384)
            assert value == pytest.approx(drawn.mean(), abs=4 * error + 1e-6)


def drawn(gate: str, experts: int, chosen: int, variance: float) -> dict[str, np.ndarray]:
    """What blocks with drawn weights do to two samples of tokens, one value a draw."""
    draws = np.random.default_rng(2)
    rows = 2 * TOKENS
    sample, token = np.divmod(np.arange(rows), TOKENS)
    same_sample, same_token = sample[:, None] == sample, token[:, None] == token
    law = np.where(same_sample, np.where(same_token, 1, 0.3), np.where(same_token, 0.5, 0.2))
    root = np.linalg.cholesky(law)
    found: dict[str, list[float]] = {}
    for _ in range(160):
        x = root @ draws.normal(size=(rows, WIDTH))
        router = draws.normal(size=(WIDTH, experts)) * np.sqrt(variance / WIDTH)
        up, down = draws.normal(size=(2, experts, WIDTH, WIDTH)) * np.sqrt(2 / WIDTH)
        weights, slopes = weigh(gate, x @ router, chosen)
        argument = np.einsum("tw,ewh->teh", x, up)
        hidden = np.maximum(argument, 0)
        results = np.einsum("teh,ehw->tew", hidden, down)
        y = np.einsum("te,tew->tw", weights, results)
        change = np.zeros((rows, WIDTH))
        change[:TOKENS] = draws.normal(size=(TOKENS, WIDTH))
        by_result = weights[..., None] * change[:, None]
        by_number = np.einsum("tw,tew,tem->tm", change, results, slopes)
        by_argument = np.einsum("tew,ehw->teh", by_result, down) * (argument > 0)
        by_x = np.einsum("teh,ewh->tw", by_argument, up) + by_number @ router.T
        first, second = y[:TOKENS], y[TOKENS:]
        of_positions = (first.sum(0) ** 2 - (first**2).sum(0)).sum()
        values = {
            "square": (y * y).mean(),
            "samples": (first * second).mean(),
            "positions": of_positions / (TOKENS * (TOKENS - 1) * WIDTH),
            "x": (by_x[:TOKENS] ** 2).mean(),
            "up": (np.einsum("tw,teh->ewh", x, by_argument) ** 2).sum(),
            "down": (np.einsum("teh,tew->ehw", hidden, by_result) ** 2).sum(),
            "router": ((x.T @ by_number) ** 2).sum(),
        }
        for name, value in values.items():
            found.setdefault(name, []).append(value)
    return {name: np.array(values) for name, values in found.items()}


@pytest.mark.parametrize(
    ("gate", "experts", "chosen", "variance"),
    [
        ("softmax, divided", 8, 2, 1.0),
        ("softmax", 4, 2, 2.0),
        ("sigmoid, divided", 6, 3, 1.0),
        ("softmax of chosen", 4, 4, 1.0),
    ],
)
def test_block_is_that_of_drawn_weights(
    gate: str, experts: int, chosen: int, variance: float
) -> None:
    sizes: dict[str, Any] = {"width": WIDTH, "hidden": WIDTH, "tokens": TOKENS}
    net = network(gate, experts=experts, chosen=chosen, **sizes)
    found = propagate(net, overrides={"router": variance / WIDTH}, input=LAW)
    y = found["y"]
    values = {
        "square": (y.mean_square, BIAS["square"]),
        "samples": (y.mean_square * y.correlation, BIAS["pair"]),
        "positions": (y.mean_square * y.position_correlation, BIAS["pair"]),
        "x": (found["x"].gradient, BIAS["square"]),
        "up": (found["up"].gradient, BIAS["kernel"]),
        "down": (found["down"].gradient, BIAS["kernel"]),
        "router": (found["router"].gradient, BIAS["router"]),
    }
    for name, expected in drawn(gate, experts, chosen, variance).items():
        value, bias = values[name]
        error = 4 * expected.std() / np.sqrt(expected.size) + bias * expected.mean()
        assert value == pytest.approx(expected.mean(), abs=error), name


def test_one_expert_is_a_dense_block() -> None:
    found = propagate(network("softmax, divided", experts=1, chosen=1), input=LAW)
    net = Network()
    x = net.input((3, 8), "x")
    kernels = [net.parameter(name, (8, 8)) for name in ("up", "down")]
    hidden = net.activation(net.dense(x, 8, use_bias=False, kernel=kernels[0]), "relu")
    net.output(net.dense(hidden, 8, use_bias=False, kernel=kernels[1], name="y"))
    expected = propagate(net, input=LAW)
    for name in ("mean_square", "correlation", "position_correlation"):
        assert getattr(found["y"], name) == pytest.approx(getattr(expected["y"], name), rel=1e-12)
    for name in ("x", "up", "down"):
        assert found[name].gradient == pytest.approx(expected[name].gradient, rel=1e-12)
    assert found["router"].gradient == 0.0


def test_parameters_have_all_experts() -> None:
    found = propagate(network("softmax", experts=4, chosen=2))
    assert (found["up"].size, found["up"].fan_in, found["up"].fan_out) == (4 * 8 * 8, 8, 8)
    names = {row.name for row in initialization_report(network("softmax")).rows}
    assert {"up", "down", "router"} <= names


def test_scores_count_all_experts_and_the_work_of_those_that_are_chosen() -> None:
    found = score(network("softmax, divided", tokens=3, experts=4, chosen=2))
    assert found.effective_parameters == pytest.approx(8 * 4 + 4 * 2 * 8 * 8)
    assert found.macs == 3 * (8 * 4 + 2 * 2 * 8 * 8)
    assert found.layers == 3


def test_a_choice_that_is_no_mixture_is_refused_by_name() -> None:
    net = Network()
    x = net.input((3, 8), "x")
    hidden = net.dense(x, 8, name="scores")
    top = net.tensor("top", (3, 2), operation=Operation("other", "top_k"))
    net.link(hidden, top, [Relation.same(0, 0), Relation.all(1, 1)])
    net.output(net.dense(top, 2, name="head"))
    for follow in (propagate, score):
        with pytest.raises(UnknownOperationError, match=r"'top' \(.*'head'"):
            follow(net)


@pytest.mark.parametrize(("experts", "chosen"), [(4, 6), (100_000, 2)])
def test_choices_that_no_mixture_has_are_refused(experts: int, chosen: int) -> None:
    net = Network("odd")
    x = net.input((3, 8))
    numbers = net.dense(x, experts)
    best = net.tensor("best", (3, chosen), operation=Operation("other", "top_k"))
    net.link(numbers, best, [Relation.same(0, 0), Relation.all(1, 1)])
    net.output(net.dense(best, 5))
    for follow in (propagate, score, features):
        with pytest.raises(UnknownOperationError, match=r"network 'odd': .*'best'") as error:
            follow(net)
        assert list(error.value.tensors) == ["best"]


def choosing(tokens: int, experts: int, chosen: int) -> tuple[Network, Any]:
    """A network in which tokens choose experts, and one-hot rows that say which."""
    net = Network("odd")
    numbers = net.dense(net.input((tokens, 8), "routed"), experts)
    top = net.tensor("top", (tokens, chosen), operation=Operation("other", "top_k"))
    net.link(numbers, top, [Relation.same(0, 0), Relation.all(1, 1)])
    rows = net.tensor(
        "rows", (tokens, chosen, experts), operation=Operation("embedding", "one_hot")
    )
    net.link(top, rows, [Relation.same(0, 0), Relation.same(1, 1), Relation.sum(2)])
    return net, rows


def test_more_elements_than_64_bits_count_are_no_mixture() -> None:
    net, rows = choosing(3, 64, 33)
    x = net.input((3, 1 << 59), "x")
    y = net.tensor("y", (3, 33, 64), operation=Operation("matmul"))
    net.link(rows, y, [Relation.same(axis, axis) for axis in range(3)])
    net.link(x, y, [Relation.same(0, 0), Relation.each(1), Relation.sum(1), Relation.sum(2)])
    net.output(net.dense(y, 2))
    assert score(net).num_parameters == (8 + 1) * 64 + (64 + 1) * 2


def test_weights_may_be_moved_any_number_of_times() -> None:
    net, rows = choosing(3, 4, 2)
    moved = net.parameter("weights", (4, 8, 5))
    for number in range(100_000):
        before, moved = moved, net.tensor(f"t{number}", (4, 8, 5), operation=Operation("move"))
        net.link(before, moved, [Relation.same(axis, axis) for axis in range(3)])
    y = net.tensor("y", (3, 2, 8, 5), operation=Operation("embedding"))
    net.link(
        rows,
        y,
        [Relation.same(0, 0), Relation.same(1, 1), Relation.each(2), *map(Relation.sum, (2, 3))],
    )
    of_experts = [Relation.each(0), *map(Relation.sum, (0, 1))]
    net.link(moved, y, [*of_experts, Relation.same(1, 2), Relation.same(2, 3)], role="table")
    net.output(y)
    assert score(net).num_parameters == 8 * 4 + 4 + 4 * 8 * 5


def test_many_choices_that_are_not_understood_are_all_named() -> None:
    net = Network("many")
    x = net.input((3, 4))
    for number in range(200):
        top = net.tensor(f"t{number}", (3, 2), operation=Operation("other", "top_k"))
        net.link(x, top, [Relation.same(0, 0), Relation.all(1, 1)])
        x = net.dense(top, 4)
    net.output(x)
    with pytest.raises(UnknownOperationError) as error:
        score(net)
    assert list(error.value.tensors) == [f"t{number}" for number in range(200)]


def test_functions_that_take_no_numbers_are_said_to_be_unknown() -> None:
    net = Network()
    x = net.dense(net.input((3,), "x"), 3, name="before")
    name = net.keep_function(lambda values: ~values)
    net.output(net.activation(x, name, name="flipped"))
    with pytest.raises(UnknownOperationError, match=r"TypeError.*functions=\{.*: callable\}"):
        propagate(net)
