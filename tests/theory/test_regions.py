"""Linear regions: sums drawn out, exact pieces by sampling, and bounds on real networks."""

import math
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import mpmath as mp
import networkx
import numpy as np
import pytest

import unrolled
from oracles.gaussian_moments import agrees
from unrolled import (
    InvalidArgumentError,
    Network,
    Operation,
    Relation,
    TheoryDomainError,
    UnknownOperationError,
)
from unrolled.theory import (
    count_pieces_along,
    linear_pieces,
    linear_region_bounds,
    sawtooth,
)
from unrolled.theory.regions import _log2_regions

LAYERS = [
    ([1, -1, 2], [0, 1, -1]),
    ([[1, -2, 1], [-1, 1, 1], [2, 1, -1]], [0, Fraction(-1, 2), Fraction(1, 4)]),
    ([[1, -1, 2]], [0]),
]


def drawn_out(inputs, widths):
    """Theorem 1 of Serra et al.: the sum over all numbers of units that are switched off."""
    if not widths:
        return 1
    width, *rest = widths
    return sum(
        math.comb(width, off) * drawn_out(min(inputs, width - off), rest)
        for off in range(min(inputs, width) + 1)
    )


@pytest.mark.parametrize(
    ("inputs", "widths", "lower", "upper"),
    [
        (1, [2, 2], 6, 9),
        (1, [2] * 5, 48, 243),
        (1, [4, 4], 20, 25),
        (2, [3, 3], 7, 40),
        (2, [4, 4], 44, 121),
        (2, [8, 8], 592, 1369),
        (2, [4, 4, 4], 176, 1331),
        (8, [22, 1, 10], None, 7204440),
        (10, [22, 10, 1], None, 3570860492),
    ],
)
def test_bounds_of_chains(inputs, widths, lower, upper):
    found = linear_region_bounds(inputs, widths)
    assert (found.lower, found.upper) == (lower, upper)
    assert found.log2_upper == math.log2(upper)
    assert drawn_out(inputs, widths) == upper
    if lower is not None:
        *hidden, last = widths
        regions = sum(math.comb(last, j) for j in range(inputs + 1))
        assert lower == regions * math.prod((n // inputs) ** inputs for n in hidden)


def test_carrying_dimensions_is_tighter_than_the_product():
    found = linear_region_bounds(8, [22, 1, 10])
    plain = math.prod(
        sum(math.comb(n, j) for j in range(rank + 1)) for n, rank in ((22, 8), (1, 1), (10, 1))
    )
    assert plain > found.upper
    assert 2 ** sum(one.log2_factor for one in found.per_layer) == pytest.approx(plain)
    # With the ranks of the inputs in all layers, as without regard to the bottleneck.
    assert math.prod(sum(math.comb(n, j) for j in range(min(8, n) + 1)) for n in (22, 1, 10)) \
        == 1216349620  # fmt: skip


def test_all_small_chains_agree_with_the_sum_drawn_out():
    rng = np.random.default_rng(2)
    for _ in range(200):
        inputs = int(rng.integers(1, 8))
        widths = [int(n) for n in rng.integers(1, 11, size=rng.integers(1, 5))]
        assert linear_region_bounds(inputs, widths).upper == drawn_out(inputs, widths)


@pytest.mark.parametrize(
    ("hyperplanes", "rank", "digits"),
    [(100, 30, "85.363077843798"), (100, 70, "99.999976801266"), (802816, 150528, "558920.94453")],
)
def test_logarithms_of_sums_of_binomials(hyperplanes, rank, digits):
    assert agrees(_log2_regions(hyperplanes, rank), digits)
    with mp.workdps(40):
        # The last term, and its ratio to those before, summed until nothing is added.
        term = total = mp.mpf(1)
        for k in range(rank):
            term *= mp.mpf(rank - k) / (hyperplanes - rank + 1 + k)
            total += term
            if term < mp.mpf(10) ** -38 * total:
                break
        exact = mp.log(mp.binomial(hyperplanes, rank) * total, 2)
    assert agrees(exact, digits)


def test_logarithms_without_integers(monkeypatch):
    """The form for millions of hyperplanes, where integers can still be compared with."""
    monkeypatch.setattr("unrolled.theory.regions.LARGEST_EXACT", 0)
    for n, r in ((100, 30), (100, 70), (100, 50), (100, 99), (100, 100), (3, 1), (1, 0), (7, 0)):
        exact = math.log2(sum(math.comb(n, j) for j in range(r + 1)))
        assert _log2_regions(n, r) == pytest.approx(exact, rel=1e-12, abs=1e-12)


def test_bound_is_attained_by_one_input_and_three_units():
    """Slopes 1, -1, 1/2, -1/2: four pieces, each onto [0, 1], folded into each other."""
    # Kinks at 1, 2, 4 on [0, 6]; the last unit looks to the left, so that no piece is flat.
    first = ([[1], [1], [-1]], [-1, -2, 4])
    fold = [Fraction(-2), Fraction(3, 2), Fraction(-1)]
    shift = Fraction(4)
    again = ([[6 * w for w in fold], [6 * w for w in fold], [-6 * w for w in fold]],
             [6 * shift - 1, 6 * shift - 2, 4 - 6 * shift])  # fmt: skip
    once = linear_pieces([first, ([fold], [shift])], (0, 6))
    assert [str(one) for one in once.slopes] == ["1", "-1", "1/2", "-1/2"]
    assert [float(one) for one in once.values] == [0, 1, 0, 1, 0]
    twice = linear_pieces([first, again, ([fold], [shift])], (0, 6))
    assert len(twice.slopes) == linear_region_bounds(1, [3, 3]).upper == 16


@pytest.mark.parametrize("depth", range(8))
def test_sawtooth(depth):
    tooth = sawtooth(depth)
    pieces = linear_pieces(tooth.layers, (-2, 2))
    assert len(pieces.breakpoints) == 2**depth - 1
    assert {abs(slope) for slope in pieces.slopes} == {2**depth}

    def exact(x):
        for _ in range(depth):
            x = 2 * abs(x) - 2
        return x

    for x, value in zip((-2, *pieces.breakpoints, 2), pieces.values, strict=True):
        assert value == exact(Fraction(x))


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_pieces_of_a_sawtooth_are_paths_of_its_graph(depth):
    network = sawtooth(depth).network
    graph = network.unroll().to_networkx()
    starts = [node for node in graph if node[0] == "input"]
    ends = [node for node in graph if node[0] == "output"]
    paths = sum(
        math.prod(graph.edges[edge]["multiplicity"] for edge in pairwise(path))
        for start in starts
        for end in ends
        for path in networkx.all_simple_paths(graph, start, end)
    )
    assert paths == 2**depth
    assert linear_region_bounds(network).upper == 3**depth


def test_exact_kinks_of_a_network():
    pieces = linear_pieces(LAYERS, (-2, 2))
    assert [str(one) for one in pieces.breakpoints] == ["0", "1/4", "1/2", "3/5", "3/2"]
    assert [int(one) for one in pieces.slopes] == [-1, 4, 2, -2, 3, 2]


def forward(layers, x):
    values = np.atleast_2d(x)
    for at, (weights, biases) in enumerate(layers):
        weights = np.array(weights, dtype=float)
        weights = weights[:, None] if weights.ndim == 1 else weights
        values = weights @ values + np.array([float(one) for one in biases])[:, None]
        if at < len(layers) - 1:
            values = np.maximum(values, 0.0)
    return values[0]


def test_kinks_by_sampling():
    pieces = linear_pieces(LAYERS, (-2, 2))
    x = np.linspace(-2, 2, 4001)
    np.testing.assert_allclose(pieces(x), forward(LAYERS, x), atol=1e-12)
    assert count_pieces_along(lambda x: forward(LAYERS, x), -2.0, 2.0) == 6


def test_random_networks_by_sampling():
    """Exact kinks of floats: between them the function is straight, at each of them it bends."""
    rng = np.random.default_rng(6)
    layers = [
        (rng.normal(size=(n, m)), rng.normal(size=n)) for m, n in ((1, 5), (5, 4), (4, 3), (3, 1))
    ]
    pieces = linear_pieces(layers, (-3.0, 3.0))
    x = np.linspace(-3, 3, 5001)
    np.testing.assert_allclose(pieces(x), forward(layers, x), atol=1e-11)
    for at, slopes in zip(pieces.breakpoints, pairwise(pieces.slopes), strict=True):
        assert slopes[0] != slopes[1]
        assert -3 < at < 3
    assert count_pieces_along(lambda x: forward(layers, x), -3.0, 3.0) <= len(pieces.slopes)


def test_kinks_at_random_initialisation_follow_the_number_of_neurons():
    """Width 32, He, biases of deviation 0.1, on [-1, 1], 12 draws, by sampling."""
    rng = np.random.default_rng(21)
    means = {}
    for depth in (1, 2, 4):
        numbers = []
        for _ in range(12):
            sizes = [1, *[32] * depth, 1]
            layers = [
                (rng.normal(size=(n, m)) * math.sqrt(2 / m), 0.1 * rng.normal(size=n))
                for m, n in pairwise(sizes)
            ]
            numbers.append(
                count_pieces_along(lambda x, layers=layers: forward(layers, x), -1.0, 1.0, 60_000)
                - 1
            )
        error = np.std(numbers, ddof=1) / math.sqrt(12)
        expected, their_error = {1: (30.6, 0.3), 2: (62.5, 1.3), 4: (120.5, 5.3)}[depth]
        # Sampling misses kinks that lie close together, a few in a hundred.
        missed = 0.05 * expected
        assert abs(np.mean(numbers) - expected) < 4 * math.hypot(error, their_error) + missed
        means[depth] = np.mean(numbers)
    assert means[4] < 2 * 4 * 32


def chain(widths, inputs=2, activation="relu"):
    net = Network("chain")
    x = net.input((inputs,))
    for width in widths:
        x = net.activation(net.dense(x, width), activation)
    net.output(net.dense(x, 1))
    return net


def test_networks_that_are_chains_have_the_bounds_of_chains():
    found, expected = linear_region_bounds(chain([4, 5, 3])), linear_region_bounds(2, [4, 5, 3])
    assert (found.lower, found.upper) == (expected.lower, expected.upper)
    assert [one.hyperplanes for one in found.per_layer] == [4, 5, 3]


def test_an_image_is_flattened_without_harm():
    net = Network()
    x = net.flatten(net.input((1, 2, 1)))
    net.output(net.dense(net.activation(net.dense(x, 4)), 1))
    assert linear_region_bounds(net).lower == linear_region_bounds(2, [4]).lower == 11


def test_residual_networks_by_ranks():
    """Sums of what has rank 1 have rank 1 with one input: every ReLU multiplies by n + 1."""
    net = Network("residual")
    x = net.dense(net.input((1,)), 5)
    for _ in range(3):
        x = net.add(x, net.dense(net.activation(net.dense(x, 4)), 5))
    net.output(net.dense(x, 1))
    found = linear_region_bounds(net)
    assert found.upper == 5**3
    assert found.lower is None
    assert [one.rank for one in found.per_layer] == [1, 1, 1]


def test_pieces_of_residual_networks_stay_below_the_bound():
    rng = np.random.default_rng(12)
    for _ in range(20):
        first = rng.normal(size=(3, 1))
        blocks = [(rng.normal(size=(2, 3)), rng.normal(size=(2, 1)), rng.normal(size=(3, 2)))
                  for _ in range(3)]  # fmt: skip

        def function(x, first=first, blocks=blocks):
            h = first * x
            for inner, shift, outer in blocks:
                h = h + outer @ np.maximum(inner @ h + shift, 0)
            return h.sum(axis=0)

        assert count_pieces_along(function, -5.0, 5.0) <= 3**3


def test_ranks_of_bottlenecks_sums_and_concatenations():
    net = Network()
    x = net.input((6,))
    narrow = net.dense(x, 2)
    wide = net.activation(net.dense(narrow, 10), name="wide")
    other = net.activation(net.dense(x, 3), name="other")
    joined = net.concat([wide, other])
    net.output(net.activation(joined, name="joined"))
    ranks = {one.name: one.rank for one in linear_region_bounds(net).per_layer}
    assert ranks == {"wide": 2, "other": 3, "joined": 5}


def test_convolutions_count_elements():
    net = Network()
    x = net.activation(net.conv(net.input((1, 4, 4)), 2, 3, padding="same"))
    net.output(net.dense(net.flatten(x), 1))
    found = linear_region_bounds(net)
    assert found.per_layer[0].hyperplanes == 32
    assert found.upper == sum(math.comb(32, j) for j in range(17))
    assert found.lower is None


@pytest.mark.parametrize(
    ("layer", "hyperplanes"),
    [
        (lambda net, x: net.max_pool(x, 2), 4 * 6),
        (lambda net, x: net.maximum(x, x, x), 16 * 3),
        (lambda net, x: net.activation(x, "hard_tanh"), 16 * 2),
        (lambda net, x: net.activation(x, "abs"), 16),
        (lambda net, x: net.activation(x, "leaky_relu(0.2)"), 16),
        (lambda net, x: net.global_pool(x, kind="max"), math.comb(16, 2)),
    ],
)
def test_hyperplanes_of_layers(layer, hyperplanes):
    net = Network()
    net.output(net.activation(layer(net, net.input((1, 4, 4))), "relu"))
    assert linear_region_bounds(net).per_layer[0].hyperplanes == hyperplanes


def test_batch_norm_and_softmax_are_said():
    net = Network()
    x = net.activation(net.batch_norm(net.dense(net.input((2,)), 4)))
    net.output(net.softmax(net.dense(x, 3), name="shares"))
    text = linear_region_bounds(net).assumptions
    assert "as at inference" in text
    assert "before 'shares'" in text
    assert "not what a network does" in text


def own_tensor(net, x):
    y = net.tensor("own", x.shape)
    net.link(x, y, [Relation.same(0, 0)])
    return y


@pytest.mark.parametrize(
    ("layer", "error", "message"),
    [
        (
            lambda net, x: net.activation(x, "gelu"),
            TheoryDomainError,
            "gelu, which is not straight",
        ),
        (lambda net, x: net.multiply(x, x), TheoryDomainError, "kind product"),
        (lambda net, x: net.layer_norm(x), TheoryDomainError, "kind layer_norm"),
        (lambda net, x: net.activation(x, "wavy"), UnknownOperationError, "wavy, which is not"),
        (own_tensor, UnknownOperationError, "'own' is computed in an unknown way"),
    ],
)
def test_networks_that_are_not_straight(layer, error, message):
    net = Network()
    x = net.activation(net.dense(net.input((4,)), 4))
    y = layer(net, x)
    net.output(net.dense(y, 1))
    with pytest.raises(error, match=message) as refusal:
        linear_region_bounds(net)
    if error is UnknownOperationError:
        assert list(refusal.value.tensors) == [y.name]


def test_networks_without_activations():
    """Counts do not need them, so that networks of `models` leave them out; named models do not."""
    with pytest.raises(TheoryDomainError, match="published models leave them out"):
        linear_region_bounds(unrolled.models.resnet(18, size=32))
    named = linear_region_bounds("resnet18")
    assert len(named.per_layer) == 18  # 17 ReLUs and the pooling of maxima.
    assert named.log2_upper > 1e6
    linear = chain([3, 3], activation="linear")
    assert linear_region_bounds(linear).upper == 1


def test_large_networks_have_logarithms_only():
    found = linear_region_bounds(784, [20_000, 500])
    assert found.upper is None
    expected = _log2_regions(20_000, 784) + _log2_regions(500, 784)
    assert found.log2_upper == pytest.approx(expected, rel=1e-14)
    assert "at most 2^" in found.title
    # Millions are written out: a power within a power is hard to read.
    assert replace(found, log2_upper=24743048.4).title.endswith("at most 2^24743048")
    assert repr(linear_region_bounds(10, [5000] * 9)).startswith("RegionBounds(log2_upper=")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: linear_region_bounds(0, [2]), TheoryDomainError, "from 1 on"),
        (lambda: linear_region_bounds(2, []), TheoryDomainError, "one layer"),
        (lambda: linear_region_bounds(2, [2, 0]), TheoryDomainError, "from 1 on"),
        (lambda: linear_region_bounds(2), InvalidArgumentError, "widths"),
        (
            lambda: linear_region_bounds(unrolled.Graph.from_edges([0], [1])),
            InvalidArgumentError,
            "networks with layers",
        ),
        (lambda: sawtooth(-1), TheoryDomainError, "depth"),
        (lambda: sawtooth(1.5), InvalidArgumentError, "integer"),
        (lambda: linear_region_bounds(2, ["x"]), InvalidArgumentError, "integer"),
        (lambda: linear_pieces(LAYERS, (2, 2)), TheoryDomainError, "empty"),
        (lambda: linear_pieces(LAYERS, (0, 1, 2)), InvalidArgumentError, "pair"),
        (lambda: linear_pieces(LAYERS, 3), InvalidArgumentError, "pair"),
        (lambda: linear_pieces(LAYERS, (0, math.inf)), InvalidArgumentError, "finite"),
        (lambda: linear_pieces(LAYERS[:2], (0, 1)), TheoryDomainError, "one output"),
        (lambda: linear_pieces([], (0, 1)), TheoryDomainError, "one output"),
        (lambda: linear_pieces(LAYERS[1:], (0, 1)), TheoryDomainError, "one input"),
        (lambda: linear_pieces([([1, 2], [0]), ([[1, 1]], [0])], (0, 1)), InvalidArgumentError,
         "2 rows of weights and 1 biases"),
        (lambda: linear_pieces([([1], ["x"])], (0, 1)), InvalidArgumentError, "finite numbers"),
        (lambda: linear_pieces(sawtooth(6).layers, (-2, 2), most_pieces=10), TheoryDomainError,
         "more than 10"),
        (lambda: count_pieces_along(abs, 0.0, 1.0, 1), TheoryDomainError, "from 2 on"),
        (lambda: count_pieces_along(lambda x: 1.0, 0.0, 1.0), InvalidArgumentError, "one finite"),
    ],
)  # fmt: skip
def test_arguments_outside_the_theory(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_flat_stretch_counts_once_along_a_line_in_the_plane():
    def function(points):
        return np.maximum(points[:, 0] + points[:, 1], 0.0)

    assert count_pieces_along(function, [-1.0, -1.0], [1.0, 2.0]) == 2


def test_operation_of_a_concatenation_is_a_move():
    """What ranks rely on."""
    net = Network()
    x = net.input((2,))
    assert net.operation(net.concat([x, x])) == Operation("move")
