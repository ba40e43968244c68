"""Path sums against their definition, the engine of graphs, published totals and laws."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unrolled
from oracles.path_sums import Elements
from strategies.random_networks import Twin, twins
from unrolled import InvalidArgumentError, Network, NothingToCountError, Relation, models
from unrolled.counting.summation import path_sums


def weight_tables(draw, network, numbers):
    """A weight for every link, a number or an array that broadcasts to the target."""
    tables = []
    for link in network.links:
        shape = link.target.shape
        if not shape or draw(st.booleans()):
            tables.append(draw(numbers))
            continue
        kept = draw(st.tuples(*[st.booleans() for _ in shape]))
        own = tuple(length if keep else 1 for length, keep in zip(shape, kept, strict=True))
        flat = draw(st.lists(numbers, min_size=math.prod(own), max_size=math.prod(own)))
        tables.append(np.array(flat).reshape(own))
    return tables


def by_link(network, values):
    """The value of each link, which the package and the oracle see in the same order."""
    known = {}
    for link, value in zip(network.links, values, strict=True):
        known.setdefault((link.source.id, link.target.id, link.relations), []).append(value)
    return lambda link: known[link.source.id, link.target.id, link.relations][0]


def assert_equal_maps(sums, elements, network, close=None):
    forward, backward = elements.forward(), elements.backward()
    for tensor in network.tensors:
        arrays = [sums.forward(tensor.name), sums.backward(tensor.name), sums.through(tensor.name)]
        for index in np.ndindex(tensor.shape):
            node = (tensor.name, index)
            expected = [forward[node], backward[node], forward[node] * backward[node]]
            if tensor.role == "parameter":
                expected[0] = expected[2] = 0
            found = [array[index] for array in arrays]
            if close is None:
                assert found == expected, node
            else:
                assert found == pytest.approx([float(one) for one in expected], rel=close, abs=0)


@settings(max_examples=max(25, settings().max_examples // 4))
@given(twins())
def test_unit_weights_are_the_counts_of_the_unrolled_graph(twin: Twin) -> None:
    network = twin.network
    sums = path_sums(network)
    graph = network.unroll()
    through = unrolled.count(graph, through=True)
    upstream = unrolled.count(graph, towards="inputs")
    downstream = unrolled.count(graph)
    for tensor in network.tensors:
        arrays = [sums.forward(tensor.name), sums.backward(tensor.name), sums.through(tensor.name)]
        for index in np.ndindex(tensor.shape):
            node = (tensor.name, index)
            expected = [counts.exact(node) for counts in (upstream, downstream, through)]
            assert [array[index] for array in arrays] == expected
    counts = unrolled.count(network)
    for name in counts:
        np.testing.assert_array_equal(sums.backward(name), counts[name].exact())


@settings(max_examples=max(15, settings().max_examples // 6))
@given(st.data())
def test_integer_weights(data) -> None:
    network = data.draw(twins()).network
    weight_of = by_link(network, weight_tables(data.draw, network, st.integers(0, 2**40)))
    sums = path_sums(network, weight_of)
    assert sums.is_exact
    elements = Elements(network, weight_of)
    assert_equal_maps(sums, elements, network)
    assert sums.total == elements.total()
    # The same in floats, and by the sweep for real weights.
    for other in (path_sums(network, weight_of, exact=False), real_sweep(network, weight_of)):
        assert not other.is_exact
        # Logarithms, as sums of many such weights are beyond the range of floats.
        assert other.log2_total == pytest.approx(sums.log2_total, rel=1e-15, abs=2e-12)


def real_sweep(network, weight_of, **options):
    return path_sums(network, lambda link: np.asarray(weight_of(link), dtype=np.float64), **options)


@settings(max_examples=max(15, settings().max_examples // 6))
@given(st.data())
def test_real_weights(data) -> None:
    network = data.draw(twins()).network
    numbers = st.sampled_from([0.0, 1.0, 0.3, 2.5, 1e-9, 7e8])
    weight_of = by_link(network, weight_tables(data.draw, network, numbers))
    sums = path_sums(network, weight_of)
    assert_equal_maps(sums, Elements(network, weight_of), network, close=1e-12)


@settings(max_examples=max(15, settings().max_examples // 6))
@given(st.data())
def test_forward_and_backward_totals_agree(data) -> None:
    network = data.draw(twins()).network
    weight_of = by_link(network, weight_tables(data.draw, network, st.integers(0, 9)))
    sides = {}
    for what, tensors in (("sources", network.inputs), ("outputs", network.outputs)):
        sides[what] = {
            tensor.name: np.array(
                data.draw(st.lists(st.integers(0, 5), min_size=tensor.size, max_size=tensor.size))
            ).reshape(tensor.shape)
            for tensor in tensors
        }
    expected = Elements(network, weight_of).total(**sides)
    for direction in ("forward", "backward"):
        assert path_sums(network, weight_of, direction=direction, **sides).total == expected
        real = real_sweep(network, weight_of, direction=direction, **sides).total
        assert real == pytest.approx(float(expected), rel=1e-12)


@settings(max_examples=max(15, settings().max_examples // 6))
@given(st.data())
def test_all_cuts_agree(data) -> None:
    """Paths that end before a cut, and those that cross it, are all paths."""
    network = data.draw(twins()).network
    weight_of = by_link(network, weight_tables(data.draw, network, st.integers(0, 9)))
    sums = path_sums(network, weight_of)
    elements = Elements(network, weight_of)
    ranks = elements._ranks()
    outputs = {tensor.name for tensor in network.outputs}
    for cut in range(max(ranks.values())):
        crossing = sum(
            sums.forward(name)[i] * weight * sums.backward(target)[o]
            for (name, i), (target, o), weight, _, _ in elements.edges
            if ranks[name] <= cut < ranks[target]
        )
        ended = sum(int(sums.forward(name).sum()) for name in outputs if ranks[name] <= cut)
        assert crossing + ended == sums.total


@settings(max_examples=max(15, settings().max_examples // 6))
@given(st.data())
def test_law_of_the_grade(data) -> None:
    network = data.draw(twins()).network
    weight_of = by_link(network, weight_tables(data.draw, network, st.integers(0, 3)))
    grades = data.draw(
        st.lists(st.integers(0, 2), min_size=len(network.links), max_size=len(network.links))
    )
    grade_of = by_link(network, grades)
    expected = Elements(network, weight_of, grade_of).law()
    sums = path_sums(network, weight_of, grade=grade_of, direction="forward")
    assert {grade: value for grade, value in enumerate(sums.law) if value} == {
        grade: value for grade, value in expected.items() if value
    }
    assert sum(sums.law) == sums.total
    real = real_sweep(network, weight_of, grade=grade_of, direction="forward")
    for grade, value in enumerate(real.law):
        assert value == pytest.approx(float(expected.get(grade, 0)), rel=1e-12, abs=0)
    if sums.total:
        mean = Fraction(sum(at * value for at, value in expected.items()), sums.total)
        variance = sum((at - mean) ** 2 * value for at, value in expected.items()) / sums.total
        assert sums.mean_grade == pytest.approx(float(mean), rel=1e-12)
        assert sums.grade_variance == pytest.approx(float(variance), rel=1e-9, abs=1e-12)
        assert sums.longest == max(grade for grade, value in expected.items() if value)


@settings(max_examples=max(15, settings().max_examples // 6))
@given(st.data())
def test_largest_product(data) -> None:
    network = data.draw(twins()).network
    numbers = st.sampled_from([0.5, 1.0, 2.0, 0.25])
    weight_of = by_link(network, weight_tables(data.draw, network, numbers))
    elements = Elements(network, weight_of)
    for direction in ("forward", "backward"):
        largest = path_sums(network, weight_of, semiring="max", direction=direction)
        assert largest.total == elements.largest()


@settings(max_examples=max(10, settings().max_examples // 8))
@given(st.data())
def test_longest_path(data) -> None:
    network = data.draw(twins()).network
    grade_of = by_link(network, [at % 3 for at in range(len(network.links))])
    graded = path_sums(network, grade=grade_of, direction="forward")
    longest = path_sums(network, grade=grade_of, semiring="max")
    if graded.total:
        assert longest.longest == graded.longest
    else:
        with pytest.raises(NothingToCountError):
            longest.longest  # noqa: B018


def residual_blocks(blocks=3, width=6):
    """x + W2 relu(W1 x), several times; weights and grades of its squared Jacobian."""
    net = Network("blocks")
    x = net.input((width,), "x")
    for number in range(blocks):
        y = net.dense(x, width, use_bias=False, name=f"first{number}")
        y = net.activation(y, name=f"relu{number}")
        y = net.dense(y, width, use_bias=False, name=f"second{number}")
        x = net.add(x, y, name=f"sum{number}")
    net.output(x)

    def weight(link):
        if link.source.role == "parameter":
            return 1
        name = link.target.name
        variance = {"first": 2 / width, "second": 0.5 / width, "relu": 0.5}
        return variance.get(name.rstrip("0123456789"), 1)

    def grade(link):
        is_dense = link.target.name.startswith(("first", "second"))
        return int(is_dense and link.source.role != "parameter")

    return net, weight, grade


def test_small_convolutional_network():
    net = Network()
    x = net.input((2, 6, 5), "input")
    first = net.conv(x, 3, 3, stride=2, padding=1, name="first")
    relu = net.activation(first, name="relu")
    second = net.conv(relu, 3, 3, padding="same", name="second")
    add = net.add(relu, second, name="add")
    pool = net.global_pool(add, name="pool")
    net.output(net.dense(pool, 4, name="dense"))
    sums = path_sums(net)
    assert sums.backward("input")[0, 0, 0] == 156
    assert sums.forward("add")[0, 0, 0] == 158
    totals = {name: sums.through(name).sum() for name in sums.shares()}
    assert totals.pop("second") == 23256
    assert set(totals) == {"input", "first", "relu", "add", "pool", "dense"}
    assert set(totals.values()) == {24600}
    assert sums.total == 24600
    assert sums.shares()["second"] == 23256 / 24600


def test_dense_chain():
    net = models.mlp([3, 5], inputs=4, classes=2)
    sums = path_sums(net)
    assert sums.total == 4 * 3 * 5 * 2 == 120
    kernels = [tensor for tensor in net.parameters if tensor.name.endswith("kernel")]
    assert sum(sums.backward(kernel.name).size for kernel in kernels) == 37


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        pytest.param(lambda: models.resnet(18), 201.6114910710193, id="resnet18"),
        pytest.param(lambda: models.resnet(50), 476.5257195078509, id="resnet50"),
        pytest.param(lambda: models.efficientnet_v2("b0"), 756.5921178306079, id="efficientnet"),
    ],
)
def test_both_directions_of_a_whole_model_have_one_total(network, expected):
    """Both directions add up to the same integer."""
    network = network()
    sums = {one: path_sums(network, direction=one) for one in ("forward", "backward")}
    assert sums["forward"].total == sums["backward"].total
    assert sums["forward"].log2_total == pytest.approx(expected, abs=1e-12)


def test_residual_blocks_follow_the_binomial_law():
    """Each block multiplies the squared Jacobian by 1 + z**2 / 2, and there are 6 inputs."""
    net, weight, grade = residual_blocks()
    sums = path_sums(net, weight, grade=grade)
    assert sums.law == pytest.approx([6, 0, 9, 0, 4.5, 0, 0.75], rel=1e-14, abs=0)
    assert (sums.mean_grade, sums.grade_variance) == pytest.approx((2, 8 / 3), rel=1e-13)
    for z, expected in ((0, 6), (1, 20.25), (2, 162)):
        at_z = path_sums(net, lambda link, z=z: weight(link) * z ** grade(link))
        assert at_z.total == pytest.approx(expected, rel=1e-13)


def test_weights_by_kind_of_operation():
    """A name goes before a kind, and parameters keep their weight of 1."""
    net, weight, grade = residual_blocks()
    named = {f"first{number}": 1 / 3 for number in range(3)}
    expected = path_sums(net, weight, grade=grade)
    found = path_sums(net, named | {"affine": 1 / 12, "function": 0.5}, grade="affine")
    assert found.law == pytest.approx(expected.law, rel=1e-14)
    assert found.backward("first0/kernel")[0, 0] == pytest.approx(
        expected.backward("first0/kernel")[0, 0], rel=1e-14
    )


def test_a_bound_on_the_slope_by_the_norms_of_layers():
    """Tensors as nodes: a residual block multiplies the bound by 1 + the norms of its layers."""
    net, _, _ = residual_blocks(blocks=2)
    norms = {"first0": 2.0, "second0": 0.5, "first1": 3.0, "second1": 1.5}
    assert path_sums(net, norms, level="tensor").total == (1 + 2 * 0.5) * (1 + 3 * 1.5)


@pytest.mark.parametrize("weight", [1e10, 1e-10])
def test_a_thousand_layers_neither_overflow_nor_vanish(weight):
    net = models.mlp(3, depth=1000, inputs=3, classes=3)
    named = {f"layer{number}": weight for number in range(1, 1001)}
    sums = path_sums(net, named)
    expected = 1000 * math.log2(weight) + 1002 * math.log2(3)
    assert sums.log2_total == pytest.approx(expected, rel=1e-13)
    assert sums.log2_through("layer500")[1] == pytest.approx(expected - math.log2(3), rel=1e-13)
    if weight > 1:
        with pytest.raises(InvalidArgumentError, match="log2_total"):
            sums.total  # noqa: B018
        with pytest.raises(InvalidArgumentError, match="log2_forward"):
            sums.forward("layer1000")
    else:
        assert sums.total == 0.0


def test_elements_of_one_tensor_may_differ_by_any_power():
    net = Network()
    x = net.input((2,), "x")
    for number in range(20):
        x = net.activation(x, name=f"f{number}")
    net.output(x)
    sums = path_sums(net, lambda link: np.array([1e300, 1e-300]))
    expected = 20 * np.log2([1e300, 1e-300])
    np.testing.assert_allclose(sums.log2_backward("x"), expected, rtol=1e-14)


def test_a_tensor_without_a_path():
    net = Network()
    x = net.input((2,), "x")
    dead = net.activation(x, name="dead")
    net.output(net.dense(x, 2, name="y"))
    sums = path_sums(net)
    assert sums.backward("dead").tolist() == [0, 0]
    assert sums.shares() == {"x": 1.0, "dead": 0.0, "y": 1.0}
    assert sums.through("y/kernel").tolist() == [[0, 0], [0, 0]]
    assert dead.name in net


class TestErrors:
    net = models.mlp([2], inputs=2, classes=1)

    @pytest.mark.parametrize("weight", [-1, math.nan, math.inf, "two", None, np.ones(7), 1j])
    def test_weights_that_are_no_numbers_are_refused(self, weight):
        with pytest.raises(InvalidArgumentError, match="'layer1'"):
            path_sums(self.net, {"layer1": weight})

    @pytest.mark.parametrize("grade", [-1, 0.5, None, 10**6])
    def test_grades_that_are_no_integers_are_refused(self, grade):
        with pytest.raises(InvalidArgumentError, match="a grade is an integer"):
            path_sums(self.net, grade=lambda link: grade)

    def test_unknown_grade(self):
        with pytest.raises(InvalidArgumentError, match="or 'affine'"):
            path_sums(self.net, grade="dense")

    @pytest.mark.parametrize("option", ["direction", "semiring", "level"])
    def test_unknown_options_are_refused(self, option):
        with pytest.raises(InvalidArgumentError, match=f"{option} must be "):
            path_sums(self.net, **{option: "sideways"})

    @pytest.mark.parametrize("what", ["weights", "sources", "outputs"])
    def test_unknown_names(self, what):
        with pytest.raises(unrolled.UnknownNameError, match="layr1"):
            path_sums(self.net, **{what: {"layr1": 1}})

    def test_names_of_results(self):
        with pytest.raises(unrolled.UnknownNameError, match="did you mean 'layer1'"):
            path_sums(self.net).forward("layr1")

    def test_other_direction(self):
        with pytest.raises(InvalidArgumentError, match="direction='both'"):
            path_sums(self.net, direction="forward").backward("layer1")

    def test_no_grade(self):
        with pytest.raises(InvalidArgumentError, match="without a grade"):
            path_sums(self.net).law  # noqa: B018

    def test_the_largest_path_has_no_law_and_no_shares(self):
        largest = path_sums(self.net, semiring="max", grade=lambda link: 1)
        with pytest.raises(InvalidArgumentError, match="no law"):
            largest.law  # noqa: B018
        with pytest.raises(InvalidArgumentError, match="no shares"):
            largest.shares()

    def test_grade_and_weights_of_the_largest_path(self):
        with pytest.raises(InvalidArgumentError, match="leave out weights"):
            path_sums(self.net, {"layer1": 2}, semiring="max", grade=lambda link: 1)

    def test_nothing_between(self):
        net = Network()
        net.output(net.activation(net.parameter("w", 2)))
        with pytest.raises(NothingToCountError, match="no input"):
            path_sums(net)

    def test_a_cycle_is_refused_by_its_tensors(self):
        net = Network()
        x, y = net.tensor("x", 2), net.tensor("y", 2)
        net.link(net.input(2, "in"), x, [Relation.same(0, 0)])
        net.link(x, y, [Relation.same(0, 0)])
        net.link(y, x, [Relation.same(0, 0)])
        net.output(y)
        with pytest.raises(unrolled.CycleError, match=r"x -> y -> x|y -> x -> y"):
            path_sums(net)

    def test_no_network(self):
        with pytest.raises(InvalidArgumentError, match="takes a Network"):
            path_sums("resnet50")
