"""Contexts of repeated cells: against networks drawn out in time, exact sums and mpmath."""

from __future__ import annotations

import math

import mpmath
import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unrolled
from unrolled import (
    Graph,
    InvalidArgumentError,
    NoFixedPointError,
    NothingToCountError,
    TheoryDomainError,
    UnknownNameError,
)
from unrolled.theory import weight_tied

pytest.importorskip("scipy")

CELL = [[int(digit) for digit in row] for row in ["11010", "01100", "10010", "00101", "10001"]]


def perron(matrix):
    """The largest eigenvalue and the laws of edges, with 30 digits by power iteration."""
    size = len(matrix)
    with mpmath.workdps(30):
        shifted = mpmath.matrix(matrix) + mpmath.eye(size)
        right, left = mpmath.ones(size, 1), mpmath.ones(size, 1)
        for _ in range(400):
            right, left = shifted * right, shifted.T * left
            growth = sum(right)
            right, left = right / growth, left / sum(left)
        growth -= 1
        edges = [(i, j) for j in range(size) for i in range(size) if matrix[i][j]]
        down = [matrix[i][j] * left[i] for i, j in edges]
        through = [matrix[i][j] * left[i] * right[j] for i, j in edges]
        laws = [[value / sum(law) for value in law] for law in (down, through)]
        entropies = [-sum(p * mpmath.log(p) for p in law) for law in laws]
    return growth, laws, entropies


class TestWithoutEnd:
    def test_five_nodes(self):
        rho, laws, entropies = perron(CELL)
        assert float(rho) == pytest.approx(2.263445790669379, rel=1e-15)
        found = weight_tied(CELL)
        assert found.growth == pytest.approx(0.8168883382672935, abs=1e-15)
        assert found.growth == pytest.approx(float(mpmath.log(rho)), abs=1e-14)
        assert found.law.entropy_down == pytest.approx(2.3799280042677, abs=1e-13)
        assert found.law.entropy_through == pytest.approx(2.3715699577181, abs=1e-13)
        assert [found.law.entropy_down, found.law.entropy_through] == pytest.approx(
            [float(one) for one in entropies], abs=1e-13
        )
        np.testing.assert_allclose(found.law.down, [float(p) for p in laws[0]], rtol=1e-12)
        np.testing.assert_allclose(found.law.through, [float(p) for p in laws[1]], rtol=1e-12)

    def test_finite_numbers_of_steps_approach_it(self):
        """Down as fast as powers of the second eigenvalue, through like 1 / steps."""
        limit = weight_tied(CELL).law
        at = {steps: weight_tied(CELL, steps=steps).law for steps in (100, 200)}
        np.testing.assert_allclose(at[100].down, limit.down, atol=1e-12)
        np.testing.assert_allclose(2 * at[200].through - at[100].through, limit.through, atol=1e-10)

    def test_a_periodic_cell(self):
        """A ring of three with one double edge: rho is the cube root of 2."""
        ring = weight_tied([[0, 0, 2], [1, 0, 0], [0, 1, 0]])
        assert ring.growth == pytest.approx(math.log(2) / 3, abs=1e-14)
        np.testing.assert_allclose(ring.law.through, 1 / 3, rtol=1e-12)

    def test_what_leads_to_and_from_the_fastest_component(self):
        """Edges before it have contexts down; those behind have none in the limit."""
        graph = nx.DiGraph([("in", "a"), ("a", "b"), ("b", "a"), ("a", "a"), ("b", "out")])
        found = weight_tied(graph, inputs=["in"], outputs=["out"])
        assert set(found.law.nodes) == {"a", "b"}
        shares = dict(zip([edge[:2] for edge in found.edges], found.law.down, strict=True))
        golden = (1 + math.sqrt(5)) / 2
        # Paths down from a and from b grow in the ratio of the golden number.
        weights = {("in", "a"): golden, ("a", "a"): golden, ("b", "a"): golden, ("a", "b"): 1.0}
        for edge, weight in weights.items():
            assert shares[edge] == pytest.approx(weight / sum(weights.values()), rel=1e-12)
        assert shares["b", "out"] == 0
        through = dict(zip([edge[:2] for edge in found.edges], found.law.through, strict=True))
        assert through["in", "a"] == through["b", "out"] == 0
        late = weight_tied(graph, inputs=["in"], outputs=["out"], steps=400).law
        np.testing.assert_allclose(late.down, found.law.down, atol=1e-12)

    def test_two_components_side_by_side_have_a_law_each(self):
        found = weight_tied([[2, 0], [0, 2]])
        assert [law.nodes for law in found.laws] == [(0,), (1,)]
        assert [law.through.tolist() for law in found.laws] == [[1.0, 0.0], [0.0, 1.0]]
        with pytest.raises(InvalidArgumentError, match="2 components"):
            found.law  # noqa: B018

    def test_two_components_that_follow_each_other_have_none(self):
        """Paths grow like T 2**T."""
        cell = [[2, 0], [1, 2]]
        with pytest.raises(NoFixedPointError, match="one leads to the other"):
            weight_tied(cell)
        totals = [weight_tied(cell, steps=steps).total for steps in (10, 20)]
        assert totals == [2 * 2**10 + 10 * 2**9, 2 * 2**20 + 20 * 2**19]

    def test_a_slower_component_in_between_does_no_harm(self):
        found = weight_tied([[3, 0, 0], [1, 2, 0], [0, 1, 1]])
        assert found.growth == pytest.approx(math.log(3))

    def test_no_cycle(self):
        with pytest.raises(NoFixedPointError, match="no cycle"):
            weight_tied([[0, 0], [1, 0]])
        with pytest.raises(NoFixedPointError, match="no cycle"):
            weight_tied(unrolled.models.mlp([2], inputs=2).unroll())

    def test_a_large_cell(self):
        """Beyond 500 nodes sparse eigenvalues are used: a random cell against NumPy."""
        draw = np.random.default_rng(3)
        cell = (draw.random((600, 600)) < 0.01).astype(int)
        expected = np.abs(np.linalg.eigvals(cell)).max()
        assert weight_tied(cell).growth == pytest.approx(math.log(expected), rel=1e-10)


class TestSteps:
    def test_a_dense_cell(self):
        found = weight_tied(np.ones((3, 3), dtype=int), steps=4)
        assert found.contexts_through == (4 * 3**3,) * 9 == (108,) * 9
        assert found.contexts_down == (1 + 3 + 9 + 27,) * 9
        assert found.total == 3**5

    @settings(max_examples=25)
    @given(st.data())
    def test_networks_drawn_out_in_time(self, data):
        """Tied dense layers with a mask of edges, as a graph of single elements."""
        size = data.draw(st.integers(1, 4))
        steps = data.draw(st.integers(1, 4))
        cell = np.array(
            data.draw(
                st.lists(
                    st.lists(st.integers(0, 2), min_size=size, max_size=size),
                    min_size=size,
                    max_size=size,
                )
            )
        )
        found = weight_tied(cell, steps=steps)
        # Nodes: the states, then one weight for each edge of the cell.
        pairs = [(i, j) for j in range(size) for i in range(size) if cell[i, j]]
        assert [(target, source) for source, target, _ in found.edges] == pairs
        if not pairs:
            assert found.contexts_down == ()
            return
        states = size * (steps + 1)
        edges, times = [], []
        for step in range(steps):
            for number, (i, j) in enumerate(pairs):
                target = (step + 1) * size + i
                edges += [(step * size + j, target), (states + number, target)]
                times += [cell[i, j], 1]
        graph = Graph.from_edges(
            *zip(*edges, strict=True),
            multiplicity=times,
            num_nodes=states + len(pairs),
            outputs=list(range(steps * size, states)),
            inputs=list(range(size)),
            parameters=[-1] * states + list(range(len(pairs))),
        )
        counts = unrolled.count(graph)
        assert found.contexts_down == tuple(
            counts.exact(states + number) for number in range(len(pairs))
        )
        upstream = unrolled.count(graph, towards="inputs")
        through = []
        for i, j in pairs:
            through.append(
                sum(
                    upstream.exact(step * size + j) * counts.exact((step + 1) * size + i)
                    for step in range(steps)
                )
            )
        assert found.contexts_through == tuple(through)
        assert found.total == sum(counts.exact(node) for node in range(size))

    def test_inputs_and_outputs(self):
        found = weight_tied([[0, 0], [1, 1]], inputs=[0], outputs=[1], steps=5)
        assert found.total == 1
        # 0 -> 1 in the first step, then the loop.
        assert found.contexts_through == (1, 4)

    def test_shares_of_numbers_beyond_floats(self):
        found = weight_tied([[9] * 5] * 5, steps=1000)
        np.testing.assert_allclose(found.law.through, 1 / 25)
        assert found.total == 5 * 45**1000


class TestDiscount:
    @pytest.mark.parametrize(
        ("discount", "total"), [(0.25, 11.36388140161725), (0.4, 51.95067264573991)]
    )
    def test_five_nodes(self, discount, total):
        found = weight_tied(CELL, discount=discount)
        assert found.total == pytest.approx(total, rel=1e-14)
        with mpmath.workdps(30):
            z = mpmath.mpf(1) / 4 if discount == 0.25 else mpmath.mpf(2) / 5
            inverse = (mpmath.eye(5) - z * mpmath.matrix(CELL)) ** -1
            assert found.total == pytest.approx(float(sum(inverse)), rel=1e-14)

    def test_sums_over_all_lengths(self):
        """Each edge: the discounted paths down, and through, added up."""
        matrix, z = np.array(CELL, dtype=float), 0.3
        found = weight_tied(CELL, discount=z)
        after = sum(z**t * np.linalg.matrix_power(matrix.T, t) @ np.ones(5) for t in range(200))
        before = sum(z**t * np.linalg.matrix_power(matrix, t) @ np.ones(5) for t in range(200))
        for at, (j, i, _) in enumerate(found.edges):
            assert found.contexts_down[at] == pytest.approx(after[i], rel=1e-12)
            assert found.contexts_through[at] == pytest.approx(z * after[i] * before[j], rel=1e-12)

    def test_near_the_limit_the_law_is_that_without_end(self):
        rho = math.exp(weight_tied(CELL).growth)
        near = weight_tied(CELL, discount=(1 - 1e-7) / rho).law
        np.testing.assert_allclose(near.through, weight_tied(CELL).law.through, atol=1e-6)

    @pytest.mark.parametrize("discount", [0, -0.1, math.nan, math.inf, "half", 0.4419, 1.0])
    def test_discounts_out_of_range_are_refused(self, discount):
        with pytest.raises(TheoryDomainError, match="discount"):
            weight_tied(CELL, discount=discount)

    def test_without_a_cycle_every_discount_will_do(self):
        assert weight_tied([[0, 0], [1, 0]], discount=5.0).total == pytest.approx(2 + 5)


class TestCells:
    def test_the_same_cell_in_all_forms(self):
        from scipy import sparse

        expected = weight_tied(CELL, steps=6)
        graph = nx.DiGraph((j, i) for i in range(5) for j in range(5) if CELL[i][j])
        graph = nx.relabel_nodes(graph, {node: node for node in range(5)})
        for cell in (np.array(CELL), sparse.csr_array(CELL), sparse.coo_matrix(CELL)):
            assert weight_tied(cell, steps=6).contexts_through == expected.contexts_through
        named = weight_tied(graph, steps=6)
        contexts = dict(zip(expected.edges, expected.contexts_through, strict=True))
        assert dict(zip(named.edges, named.contexts_through, strict=True)) == contexts

    def test_an_acyclic_graph_has_steps(self):
        graph = Graph.from_edges([0, 0, 1], [1, 2, 2], multiplicity=[1, 3, 1])
        found = weight_tied(graph, inputs=[0], outputs=[2], steps=2)
        assert (found.total, found.edges) == (1, ((0, 1, 1), (0, 2, 3), (1, 2, 1)))
        assert weight_tied(graph, inputs=[0], outputs=[2], steps=1).total == 3

    def test_parallel_edges_of_a_multigraph(self):
        graph = nx.MultiDiGraph([("a", "a"), ("a", "a")])
        assert weight_tied(graph).growth == pytest.approx(math.log(2))

    @pytest.mark.parametrize(
        "cell",
        [[[1, 2]], [[-1]], [[0.5]], "cell", [1, 2], nx.DiGraph(), None, [[math.nan]]],
        ids=repr,
    )
    def test_no_cell(self, cell):
        with pytest.raises(InvalidArgumentError, match="a cell is a square matrix"):
            weight_tied(cell)

    def test_undirected(self):
        with pytest.raises(InvalidArgumentError, match="undirected"):
            weight_tied(nx.Graph([(0, 1)]))

    def test_steps_that_cannot_be_counted_are_refused(self):
        with pytest.raises(InvalidArgumentError, match="not both"):
            weight_tied(CELL, steps=3, discount=0.1)
        for steps in (0, 2.5, "many"):
            with pytest.raises(InvalidArgumentError, match="steps must be a positive integer"):
                weight_tied(CELL, steps=steps)
        with pytest.raises(InvalidArgumentError, match="too many to count"):
            weight_tied(CELL, steps=10**9)
        with pytest.raises(UnknownNameError, match="no node 7"):
            weight_tied(CELL, inputs=[7])
        with pytest.raises(NothingToCountError, match="no path"):
            weight_tied([[1, 0], [0, 1]], inputs=[0], outputs=[1])
