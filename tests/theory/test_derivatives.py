"""Costs of derivatives, against all brackets, all orders, and graphs drawn out by elements."""

from __future__ import annotations

import random
from functools import lru_cache
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unrolled
from strategies.random_networks import twins
from unrolled import Graph, InvalidArgumentError, Network, NothingToCountError, UnknownNameError
from unrolled.counting.path_diagram import number_of_pairs
from unrolled.theory import (
    activation_memory,
    checkpoints,
    gradient_cost,
    jacobian_chains,
    jacobian_cost,
)
from unrolled.theory.jacobian_chains import Factor, best_bracket


def brackets(first, last):
    """All ways to put brackets around the factors first, ..., last - 1."""
    if last - first == 1:
        yield first
        return
    for middle in range(first + 1, last):
        for left in brackets(first, middle):
            for right in brackets(middle, last):
                yield (left, right)


def price(bracket, factors):
    """The cost of a bracket, and the factor itself if it is a single one that was not made."""
    if isinstance(bracket, int):
        factor = factors[bracket]
        return (
            {"made": factor.accumulation, "applied": 0},
            factor.before,
            factor.after,
            factor.edges,
        )
    (left, before, middle, left_edges), (right, _, after, right_edges) = (
        price(one, factors) for one in bracket
    )
    ways = [left["made"] + right["made"] + before * middle * after]
    if "applied" in left:
        ways.append(right["made"] + left_edges * after)
    if "applied" in right:
        ways.append(left["made"] + right_edges * before)
    return {"made": min(ways)}, before, after, None


@settings(max_examples=60)
@given(st.data())
def test_best_bracket_is_the_best_of_all(data) -> None:
    dims = data.draw(st.lists(st.integers(1, 9), min_size=2, max_size=8))
    factors = [
        Factor(a, b, data.draw(st.integers(1, a * b)), data.draw(st.sampled_from([0, 0, 3, 40])))
        for a, b in pairwise(dims)
    ]
    expected = min(price(one, factors)[0]["made"] for one in brackets(0, len(factors)))
    assert best_bracket(factors).cost == expected


def test_long_chains_are_compared_as_floats_and_priced_as_integers(monkeypatch):
    draw = random.Random(1)
    dims = [draw.randint(1, 50) * 10**6 for _ in range(40)]
    factors = [Factor(a, b, a * b) for a, b in pairwise(dims)]
    exact = best_bracket(factors)
    monkeypatch.setattr(jacobian_chains, "MOST_EXACT", 1)
    assert best_bracket(factors) == exact
    assert isinstance(exact.cost, int)
    assert exact.cost > 2**53


@pytest.mark.parametrize(
    ("dims", "forward", "reverse", "optimal"),
    [
        ((30, 35, 15, 5, 10, 20, 25), 40500, 47500, 15125),
        ((784, 512, 256, 128, 10), 129454080, 5652480, 5652480),
        ((784, 512, 256, 128, 1), 128550912, 565248, 565248),
        ((100, 2, 100, 2, 100), 60000, 60000, 20800),
        ((4, 2, 6, 2, 4), 128, 128, 72),
        ((5, 10, 1, 1), 55, 60, 55),
        ((7, 3), 0, 0, 0),
    ],
)
def test_chains(dims, forward, reverse, optimal):
    """Formulas, and the network of dense layers with the same numbers of units."""
    cost = jacobian_cost(dims)
    assert (cost.forward, cost.reverse, cost.optimal) == (forward, reverse, optimal)
    net = Network()
    x = net.input((dims[0],))
    for units in dims[1:]:
        x = net.dense(x, units)
    net.output(x)
    same = jacobian_cost(net)
    assert (same.forward, same.reverse, same.optimal) == (forward, reverse, optimal)
    assert same.order == cost.order


def test_bracket_of_a_textbook_chain():
    cost = jacobian_cost(np.array([30, 35, 15, 5, 10, 20, 25]))
    assert cost.order == "((J6 (J5 J4)) ((J3 J2) J1))"
    assert cost.mode == "mixed"


def test_a_single_output_does_not_make_reverse_mode_the_best():
    """The lecture says so; it is true if no other dimension is 1."""
    assert jacobian_cost((5, 10, 1, 1)).mode == "forward"
    draw = random.Random(0)
    for _ in range(300):
        dims = [draw.randint(2, 40) for _ in range(draw.randint(2, 7))] + [1]
        assert jacobian_cost(dims).mode == "reverse", dims


@settings(max_examples=max(20, settings().max_examples // 5))
@given(twins())
def test_pairs_of_links_are_edges_of_the_graph(twin) -> None:
    """Each link alone, drawn out: its distinct edges."""
    for link in twin.network.links:
        net = Network("one")
        source = net.input(link.source.shape, "source")
        target = net.tensor("target", link.target.shape)
        net.link(source, target, link.relations)
        net.output(target)
        graph = net.unroll().coalesce()
        pairs = number_of_pairs(link.relations, link.source.shape, link.target.shape)
        assert pairs == graph.num_edges


def residual(branch=(3, 3), width=4, blocks=2):
    net = Network("residual")
    x = net.input((width,), "x")
    for block in range(blocks):
        y = x
        for at, units in enumerate((*branch, width)):
            y = net.dense(y, units, name=f"dense{block}.{at}")
        x = net.add(x, y, name=f"sum{block}")
    net.output(net.dense(x, 2, name="top"))
    return net


def test_branches_are_multiplied_apart_and_added():
    cost = jacobian_cost(residual(branch=(3, 3), width=4, blocks=1))
    # Branch: 4-3-3-4, a skip of 4 edges, and a sum of 4 edges; then 4-2.
    chain = [Factor(4, 3, 12), Factor(3, 3, 9), Factor(3, 4, 12), Factor(4, 4, 4)]
    branch = min(price(one, chain)[0]["made"] for one in brackets(0, 4))
    block_edges = 12 + 9 + 12 + 4 + 4
    factors = [Factor(4, 4, block_edges, branch), Factor(4, 2, 8)]
    assert cost.optimal == best_bracket(factors).cost == min(branch + 8 * 4, block_edges * 2)
    assert cost.forward == 4 * (9 + 12 + 4 + 8)
    assert cost.reverse == 2 * block_edges


def test_branches_that_are_linked_have_no_optimum():
    net = Network("dense blocks")
    x = net.input((3,), "x")
    a = net.dense(x, 3, name="a")
    b = net.dense(net.add(x, a, name="xa"), 3, name="b")
    net.output(net.add(x, a, b, name="xab"))
    cost = jacobian_cost(net)
    assert (cost.optimal, cost.order, cost.cost) == (None, None, None)
    assert "linked with each other" in cost.reason
    assert cost.reason in str(cost)
    # Not from x: 3 + 9 + 3 + 3 edges; not into the last sum: 9 + 3 + 3 + 9.
    assert (cost.forward, cost.reverse, cost.mode) == (3 * 18, 3 * 24, "forward")


def test_several_inputs_and_outputs():
    net = Network("two")
    a, b = net.input((3,), "a"), net.input((5,), "b")
    hidden = net.add(net.dense(a, 4, name="left"), net.dense(b, 4, name="right"), name="sum")
    net.output(hidden, net.dense(hidden, 2, name="top"))
    net.dense(a, 7, name="dead")
    cost = jacobian_cost(net)
    # The sum has 8 edges; the top's are not counted backwards, those of the inputs not forwards.
    assert cost.forward == 8 * (8 + 8)
    assert cost.reverse == 6 * (12 + 20 + 8)
    assert cost.optimal <= min(cost.forward, cost.reverse)


def test_identity():
    net = Network()
    net.output(net.input((3,)))
    cost = jacobian_cost(net)
    assert (cost.forward, cost.reverse, cost.optimal) == (0, 0, 0)
    assert "times reverse mode" in str(cost)


class TestGraphs:
    # x1 -> a, x2 -> a, a -> b, x2 -> b, b -> y1..y3, a -> y4
    small = Graph.from_edges(
        [0, 1, 2, 1, 3, 3, 3, 2],
        [2, 2, 3, 3, 4, 5, 6, 7],
        names=["x1", "x2", "a", "b", "y1", "y2", "y3", "y4"],
    )
    # 3 inputs -> u -> 5 vertices -> w -> 2 outputs
    waist = Graph.from_edges(
        [0, 1, 2, *[3] * 5, *range(4, 9), 9, 9], [3, 3, 3, *range(4, 9), *[9] * 5, 10, 11]
    )

    def test_a_given_order_costs_what_it_costs_by_hand(self):
        assert jacobian_cost(self.small, order=["a", "b"]).cost == 10
        given = jacobian_cost(self.small, order=["b", "a"])
        assert (given.cost, given.optimal, given.order) == (14, 10, ("b", "a"))
        assert "the given order" in str(given)

    def test_forward_reverse_and_best(self):
        cost = jacobian_cost(self.waist)
        assert (cost.forward, cost.reverse, cost.optimal, cost.mode) == (36, 26, 13, "mixed")
        assert jacobian_cost(self.waist, order="forward").cost == 36
        assert jacobian_cost(self.waist, order="reverse").cost == 26
        assert jacobian_cost(self.waist, order="exhaustive").cost == 13

    def test_markowitz_of_an_unrolled_chain(self):
        graph = unrolled.models.mlp([2, 6, 2], inputs=4, classes=4).unroll()
        cost = jacobian_cost(graph, order="markowitz")
        assert (cost.forward, cost.reverse, cost.optimal, cost.cost) == (128, 128, 72, 72)

    @settings(max_examples=40)
    @given(st.data())
    def test_best_of_all_permutations(self, data):
        nodes = data.draw(st.integers(3, 8))
        pairs = [(a, b) for b in range(nodes) for a in range(b)]
        chosen = data.draw(st.lists(st.sampled_from(pairs), min_size=nodes - 1, unique=True))
        graph = Graph.from_edges(*zip(*chosen, strict=True), num_nodes=nodes)
        cost = jacobian_cost(graph)
        prices = {
            order: eliminated(chosen, nodes, order) for order in permutations(sorted(cost.order))
        }
        assert cost.optimal == min(prices.values())
        assert prices[cost.order] == cost.optimal
        assert cost.forward >= cost.optimal
        assert cost.reverse >= cost.optimal

    def test_parallel_edges_are_one_derivative(self):
        once = Graph.from_edges([0, 1], [1, 2])
        twice = Graph.from_edges([0, 0, 1], [1, 1, 2], multiplicity=[1, 2, 5])
        assert jacobian_cost(once).forward == jacobian_cost(twice).forward == 1

    def test_an_output_that_is_used_further(self):
        cost = jacobian_cost(Graph.from_edges([0, 1], [1, 2], outputs=[1, 2]))
        assert (cost.order, cost.optimal) == ((1,), 2)

    def test_too_many_vertices(self):
        line = Graph.from_edges(np.arange(20), np.arange(1, 21))
        cost = jacobian_cost(line)
        assert (cost.optimal, cost.cost) == (None, None)
        assert "up to 14 vertices" in cost.reason
        assert jacobian_cost(line, order="markowitz").cost == 19
        with pytest.raises(InvalidArgumentError, match="markowitz"):
            jacobian_cost(line, order="exhaustive")

    def test_wrong_orders_are_refused(self):
        with pytest.raises(InvalidArgumentError, match="every vertex between"):
            jacobian_cost(self.small, order=["a"])
        with pytest.raises(UnknownNameError):
            jacobian_cost(self.small, order=["a", "z"])
        with pytest.raises(InvalidArgumentError, match="'forward', 'reverse'"):
            jacobian_cost(self.small, order="sideways")
        with pytest.raises(NothingToCountError, match="no derivative"):
            jacobian_cost(Graph.from_edges([0], [1], inputs=[1], outputs=[0]))


def eliminated(edges, nodes, order):
    """The definition, with a matrix."""
    joined = np.zeros((nodes, nodes), dtype=bool)
    for a, b in edges:
        joined[a, b] = True
    # What no input reaches or what reaches no output is not there.
    sources = ~joined.any(axis=0)
    sinks = ~joined.any(axis=1)
    cost = 0
    for vertex in order:
        before, after = joined[:, vertex].copy(), joined[vertex].copy()
        cost += int(before.sum()) * int(after.sum())
        joined[np.ix_(before, after)] = True
        joined[:, vertex] = joined[vertex] = False
    assert not joined[~sources][:, ~sinks].any()
    return cost


class TestGradients:
    def test_dense_layers(self):
        """Forwards once; backwards twice, but for what is derived by the inputs."""
        net = unrolled.models.mlp([5, 7], inputs=3, classes=2)
        kernels, biases = 3 * 5 + 5 * 7 + 7 * 2, 5 + 7 + 2
        cost = gradient_cost(net)
        assert cost.evaluation == kernels + biases
        assert cost.reverse_sweep == kernels + biases + 5 * 7 + 7 * 2
        assert cost.hessian_bound == (kernels + biases) * 10 * cost.evaluation
        assert cost.num_parameters == net.num_parameters

    def test_products_of_matrices(self):
        net = Network()
        a, b = net.input((4, 6), "a"), net.input((6, 5), "b")
        net.output(net.matmul(a, b, name="ab"))
        assert gradient_cost(net).evaluation == 4 * 6 * 5

    @settings(max_examples=max(20, settings().max_examples // 5))
    @given(twins())
    def test_a_gradient_costs_at_most_three_evaluations(self, twin):
        try:
            cost = gradient_cost(twin.network)
        except NothingToCountError:
            return
        assert 1 <= cost.ratio <= 3

    def test_state_that_is_not_trained_is_not_derived_by(self):
        net = Network()
        net.output(net.batch_norm(net.input((3, 2))))
        cost = gradient_cost(net)
        assert (cost.num_parameters, cost.evaluation, cost.reverse_sweep) == (6, 6 + 24, 12)


class TestMemory:
    def test_what_is_kept_for_what(self):
        net = Network()
        x = net.input((2, 4, 4), "x")
        y = net.conv(x, 3, 3, padding="same", name="conv")  # keeps x: 32
        z = net.activation(net.batch_norm(y, name="norm"), name="relu")  # keeps y and norm: 48, 48
        s = net.add(y, z, name="sum")  # keeps nothing
        m = net.max_pool(s, 2, name="max")  # keeps sum: 48
        flat = net.reshape(m, (12,), name="flat")  # shares the memory of max
        d = net.dense(flat, 5, name="dense")  # keeps max: 12
        net.output(net.dense(net.average_pool(net.reshape(d, (1, 5)), 5), 1, name="top"))
        memory = activation_memory(net)
        assert memory.by_kind == {
            "affine": (3, (32 + 12 + 1) * 4),
            "batch_norm": (1, 48 * 4),
            "function": (1, 48 * 4),
            "max_pool": (1, 48 * 4),
        }
        assert memory.saved == (32 + 12 + 1 + 3 * 48) * 4
        assert activation_memory(net, "float16").saved * 2 == memory.saved
        assert activation_memory(net, "bfloat16").saved * 2 == memory.saved

    def test_the_peak_of_a_chain(self):
        """While the derivative by the input of a layer is made, that by its output is there."""
        net = unrolled.models.mlp([50, 3], inputs=2, classes=1)
        # Kept: 2, 50, 3. Top: 1 + 3 at work. Second: 2 and 50 left, 3 + 50 at work.
        memory = activation_memory(net, "int8")
        assert memory.saved == 55
        assert memory.peak == max(55 + 1 + 3, 52 + 3 + 50, 2 + 50)

    def test_memory_of_unknown_types_is_refused(self):
        net = unrolled.models.mlp([2], inputs=2)
        with pytest.raises(InvalidArgumentError, match="dtype must be"):
            activation_memory(net, "float7")
        with pytest.raises(InvalidArgumentError, match="needs a network"):
            activation_memory(net.unroll())


class TestCheckpoints:
    @staticmethod
    @lru_cache(None)
    def extra(steps, snapshots):
        """The recursion: advance, keep, reverse the rest with one snapshot less, then the part."""
        if steps == 1:
            return 0
        if snapshots == 1:
            return steps * (steps - 1) // 2
        extra = TestCheckpoints.extra
        return min(
            k + extra(steps - k, snapshots - 1) + extra(k, snapshots) for k in range(1, steps)
        )

    @pytest.mark.parametrize(
        ("steps", "snapshots", "expected"),
        [(10, 3, 15), (20, 3, 45), (35, 4, 84), (100, 5, 316), (10, 2, 20), (10, 4, 14)],
    )
    def test_known_plans(self, steps, snapshots, expected):
        assert checkpoints(steps, snapshots).extra_steps == expected

    def test_all_small_plans_follow_the_recursion(self):
        for steps in range(1, 61):
            for snapshots in range(1, 8):
                plan = checkpoints(steps, snapshots)
                assert plan.extra_steps == self.extra(steps, snapshots), (steps, snapshots)

    def test_positions_are_those_of_a_best_plan(self):
        for steps, snapshots in [(10, 3), (61, 4), (37, 6), (5, 9), (1, 3)]:
            places = [*checkpoints(steps, snapshots).positions, steps]
            assert places[0] == 0
            left = snapshots
            total = 0
            for at, to in pairwise(places[:-1]):
                total += (to - at) + self.extra(to - at, left)
                left -= 1
            total += self.extra(steps - places[-2], left)
            assert total == self.extra(steps, snapshots)

    def test_numbers_of_any_size(self):
        plan = checkpoints(10**12, 40)
        assert plan.repetitions < 40
        assert plan.extra_steps > 10**12

    @pytest.mark.parametrize("value", [0, -3, 2.5, "ten"])
    def test_numbers_of_checkpoints_are_positive_integers(self, value):
        with pytest.raises(InvalidArgumentError, match="steps must be a positive integer"):
            checkpoints(value, 3)
        with pytest.raises(InvalidArgumentError, match="snapshots must be a positive integer"):
            checkpoints(3, value)


class TestErrors:
    @pytest.mark.parametrize("dims", [[3], [3, 0], [3, -1], [3, 2.5], []])
    def test_dims(self, dims):
        with pytest.raises(InvalidArgumentError, match="a chain needs"):
            jacobian_cost(dims)

    def test_order_of_a_chain(self):
        with pytest.raises(InvalidArgumentError, match="order is for graphs"):
            jacobian_cost([3, 2], order="forward")

    def test_counts_are_no_model_to_differentiate(self):
        counts = unrolled.count(unrolled.models.mlp([2], inputs=2))
        with pytest.raises(InvalidArgumentError, match="takes numbers of units"):
            jacobian_cost(counts)

    def test_no_path(self):
        net = Network()
        net.input(3)
        net.output(net.activation(net.parameter("w", 3)))
        for function in (jacobian_cost, gradient_cost, activation_memory):
            with pytest.raises(NothingToCountError, match="no derivative"):
                function(net)


def test_a_long_order_is_not_cut_to_its_first_brackets() -> None:
    cost = jacobian_cost([2 + at % 3 for at in range(60)])
    assert isinstance(cost.order, str)
    assert len(cost.order) > 100
    assert "((((" not in cost.assumptions
    assert "the best order is in the attribute order" in cost.assumptions
