"""Spaces: choices, rows, networks of single architectures, and that many are counted as one is.

What many at once give is compared with networks that the tests build without a choice.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest

import unrolled
from peers.numpy_scores import saliency_entropies
from unrolled import (
    InvalidArgumentError,
    InvalidNetworkError,
    Network,
    NothingToCountError,
    Relation,
    UnknownNameError,
    search,
)
from unrolled.errors import CycleError
from unrolled.models.benchmarks import NASBENCH201, NASBENCH_MACRO, TRANSNASBENCH_MICRO, SearchSpace
from unrolled.network.network import Tensor

FIRST = ("skip", "conv3", "none")
INNER = ("wide", "narrow")
SECOND = ("nested", "pool", "none", "gate")


def block(net: Network, x: Tensor, size: int, name: str) -> Tensor:
    x = net.conv(net.activation(x, name=f"{name}.relu"), 4, size, use_bias=False, name=name)
    return net.batch_norm(x, name=f"{name}.norm")


def small_network() -> Network:
    """Choices in a chain and beside it, one of them nested in another, and an always open path."""
    net = Network("small")
    x = net.conv(net.input((3, 6, 6)), 4, 3, name="stem")
    first = net.choice("first", {"skip": x, "conv3": block(net, x, 3, "a"), "none": None})
    inner = net.choice(
        "inner", {"wide": block(net, first, 3, "wide"), "narrow": block(net, first, 1, "narrow")}
    )
    second = net.choice(
        "second",
        {
            "nested": inner,
            "pool": net.average_pool(first, 3, stride=1, padding="symmetric", name="pool"),
            "none": None,
            "gate": net.multiply(first, net.activation(x, "sigmoid", name="gate"), name="gated"),
        },
    )
    y = net.add(first, second, name="sum")
    net.output(net.dense(net.global_pool(y, name="mean"), 5, name="head"))
    return net


def built_alone(first: str, inner: str, second: str) -> Network | None:
    """One architecture of `small_network`, layer by layer; None if it has no path."""
    net = Network("alone")
    x = net.conv(net.input((3, 6, 6)), 4, 3, name="stem")
    if first == "none":
        return None
    y = {"skip": lambda: x, "conv3": lambda: block(net, x, 3, "a")}[first]()
    beside = {
        "nested": lambda: block(net, y, 3 if inner == "wide" else 1, "inner"),
        "pool": lambda: net.average_pool(y, 3, stride=1, padding="symmetric", name="pool"),
        "none": lambda: None,
        "gate": lambda: net.multiply(y, net.activation(x, "sigmoid", name="gate"), name="gated"),
    }[second]()
    if beside is not None:
        y = net.add(y, beside, name="sum")
    net.output(net.dense(net.global_pool(y, name="mean"), 5, name="head"))
    return net


def all_of_small() -> list[tuple[str, str, str]]:
    return list(product(FIRST, INNER, SECOND))


def check_counts(found: dict[str, np.ndarray], at: int, network: Network, exact: bool) -> None:
    alone = unrolled.analyze(network, exact=exact)
    for name in (
        "log2_total_contexts",
        "entropy",
        "expected_spread",
        "total_surprisal",
        "surprisal_estimate",
        "spread_estimate",
        "num_weight_nodes",
    ):
        value = getattr(alone, name)
        assert found[name][at] == pytest.approx(value, rel=1e-12, abs=1e-12), name
    assert found["num_counted_parameters"][at] == alone.num_parameters
    if exact:
        assert int.from_bytes(found["total_contexts"][at], "little") == alone.total_contexts


def check_scores(found: dict[str, np.ndarray], at: int, network: Network) -> None:
    alone = unrolled.score(network)
    for name in (
        "saliency_entropy",
        "effective_macs",
        "effective_units",
        "effective_edges",
        "effective_parameters",
        "macs",
        "activations",
        "depth",
    ):
        assert found[name][at] == pytest.approx(getattr(alone, name), rel=1e-13), name
    trainable = sum(one.size for one in network.parameters if one.trainable)
    assert found["parameters"][at] == trainable


def test_rows_are_all_combinations_in_order() -> None:
    space = search.Space(small_network())
    assert [place.name for place in space.places] == ["first", "inner", "second"]
    assert [place.labels for place in space.places] == [FIRST, INNER, SECOND]
    labels = [tuple(space.decode(row).values()) for row in space.rows()]
    assert labels == all_of_small()
    assert [space.encode(space.decode(row)) for row in space.rows()] == [
        tuple(row) for row in space.rows().tolist()
    ]
    assert space.numbers(space.rows()).tolist() == list(range(space.size))


@pytest.mark.parametrize("exact", [False, True])
def test_counts_of_a_small_space_are_those_of_networks_built_alone(exact: bool) -> None:
    space = search.Space(small_network())
    found = search.count_many(space, space.rows(), exact=exact)
    for at, labels in enumerate(all_of_small()):
        network = built_alone(*labels)
        if network is None:
            assert found["num_counted_parameters"][at] == 0
            assert found["log2_total_contexts"][at] == -np.inf
            assert np.isnan(found["entropy"][at])
        else:
            check_counts(found, at, network, exact)


def test_scores_of_a_small_space_are_those_of_networks_built_alone() -> None:
    space = search.Space(small_network())
    found = search.propagate_many(space, space.rows())
    sizes = search.macs_many(space, space.rows())
    for name, values in sizes.items():
        assert (values == found[name]).all(), name
    for at, labels in enumerate(all_of_small()):
        network = built_alone(*labels)
        if network is None:
            assert found["saliency_entropy"][at] == -np.inf
            assert found["parameters"][at] == found["macs"][at] == 0
        else:
            check_scores(found, at, network)


def test_a_network_of_a_row_is_the_network_built_alone() -> None:
    space = search.Space(small_network())
    for row, labels in zip(space.rows().tolist(), all_of_small(), strict=True):
        alone = built_alone(*labels)
        if alone is None:
            with pytest.raises(NothingToCountError, match="no path"):
                space.network(row)
            continue
        network = space.network(row)
        assert not network.choices
        assert network.num_parameters == alone.num_parameters
        assert unrolled.count(network).total == unrolled.count(alone).total


def test_choices_of_one_place_go_together() -> None:
    net = Network("tied")
    x = net.input((4, 6, 6))
    for cell in range(3):
        y = net.conv(x, 4, 3, use_bias=False, name=f"conv{cell}")
        x = net.choice(f"cell{cell}", {"skip": x, "conv": y}, place="edge")
    net.output(net.dense(net.global_pool(x), 2, name="head"))
    space = search.Space(net)
    assert (len(space), space.places) == (2, (search.Place("edge", ("skip", "conv")),))
    assert search.macs_many(space, [[0], [1]])["parameters"].tolist() == [10, 10 + 3 * 4 * 4 * 9]


def test_a_parameter_may_be_an_option_and_tied_ones_count_once() -> None:
    net = Network("tied")
    x = net.input((4, 6, 6))
    kernel = net.parameter("kernel", (4, 4, 3, 3))
    plain = net.parameter("plain", (4, 6, 6))
    one = net.conv(x, 4, 3, use_bias=False, kernel=kernel, name="one")
    two = net.conv(one, 4, 3, use_bias=False, kernel=kernel, name="two")
    net.output(net.choice("depth", {"one": one, "two": two, "constant": plain}))
    space = search.Space(net)
    found = search.count_many(space, space.rows())
    assert found["num_counted_parameters"].tolist() == [144, 144, 144]
    assert found["num_weight_nodes"].tolist() == [144, 288, 144]


def published_alone(space: SearchSpace, row: list[int]) -> Network:
    """An architecture without what no path from the input leads to.

    The published networks have the parameters of such parts as well.
    """
    network = space.build(space.spell(tuple(row)))
    reached = {tensor.id for tensor in network.inputs}
    for link in network.links:  # In the order of declaration, which is that of computation.
        if link.source.id in reached:
            reached.add(link.target.id)
    alone = Network("alone")
    own: dict[int, Tensor] = {}
    for link in network.links:
        if link.target.id not in reached:
            continue
        if link.source.role != "parameter" and link.source.id not in reached:
            continue
        for one in (link.source, link.target):
            if one.id in own:
                continue
            if one.role == "input":
                own[one.id] = alone.input(one.shape, one.name)
            elif one.role == "parameter":
                own[one.id] = alone.parameter(one.name, one.shape, one.trainable)
            else:
                operation = network.operation(one)
                own[one.id] = alone.tensor(one.name, one.shape, operation=operation)
        alone.link(own[link.source.id], own[link.target.id], link.relations, role=link.role)
    alone.output(*[own[tensor.id] for tensor in network.outputs])
    return alone


@pytest.mark.parametrize(
    ("space", "published", "few"),
    [
        (search.nasbench201, NASBENCH201, 40),
        (search.transnasbench_micro, TRANSNASBENCH_MICRO, 6),
        (search.nasbench_macro, NASBENCH_MACRO, 12),
    ],
)
def test_published_spaces_have_the_numbers_of_their_networks(
    space: Callable[[], search.Space], published: SearchSpace, few: int
) -> None:
    whole = space()
    assert whole.rows().tolist() == [list(row) for row in published.architectures()]
    rows = whole.random_rows(few, np.random.default_rng(7))
    scores = search.propagate_many(whole, rows)
    has_path = np.isfinite(scores["saliency_entropy"])
    assert has_path.sum() > few / 2
    counts = search.count_many(whole, rows, exact=True)
    for at in np.flatnonzero(has_path).tolist():
        check_scores(scores, at, whole.network(rows[at]))
        # Functions and normalisers are tensors of their own in both, which counts do not see.
        check_counts(counts, at, published_alone(published, rows[at].tolist()), True)


def test_three_hundred_cells_of_nasbench201_score_as_alone() -> None:
    space = search.nasbench201()
    rows = space.random_rows(300, np.random.default_rng(1))
    found = search.propagate_many(space, rows)
    for at, row in enumerate(rows.tolist()):
        alone = unrolled.score(NASBENCH201.build(NASBENCH201.spell(tuple(row))))
        assert found["saliency_entropy"][at] == pytest.approx(alone.saliency_entropy, rel=1e-13)
        assert found["macs"][at] == alone.macs
        assert found["effective_units"][at] == pytest.approx(alone.effective_units, rel=1e-13)


def test_every_tenth_cell_of_nasbench201_has_the_entropy_of_a_program_of_numpy() -> None:
    space = search.nasbench201()
    rows = space.rows()[::10]
    entropies = search.propagate_many(space, rows)["saliency_entropy"]
    np.testing.assert_allclose(entropies, saliency_entropies(rows.astype(np.int64)), rtol=1e-9)


def test_equal_architectures_have_one_canonical_row() -> None:
    space = search.Space(small_network())
    rows = space.rows()
    keys = space.canonical(rows)
    networks: dict[tuple[int, ...], str | None] = {}
    for key, labels in zip(map(tuple, keys.tolist()), all_of_small(), strict=True):
        alone = built_alone(*labels)
        print_of = None if alone is None else alone.fingerprint()
        assert networks.setdefault(key, print_of) == print_of
    distinct = set(networks.values())
    assert len(distinct) == len(networks)


def test_threads_do_not_matter() -> None:
    space = search.nasbench201()
    rows = space.random_rows(200, np.random.default_rng(2))
    one = search.propagate_many(space, rows, threads=1)
    two = search.propagate_many(space, rows, threads=2)
    counts = [search.count_many(space, rows[:40], exact=True, threads=n) for n in (1, 3)]
    assert all((one[name] == two[name]).all() for name in one)
    for name in counts[0]:
        np.testing.assert_array_equal(counts[0][name], counts[1][name])


def test_progress_comes_to_its_end_and_can_stop() -> None:
    space = search.nasbench201()
    seen: list[tuple[int, int]] = []
    search.count_many(space, space.rows(0, 500), progress=lambda *now: seen.append(now))
    assert seen[-1] == (500, 500)
    assert seen == sorted(seen)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search.propagate_many(space, space.rows(), progress=stop)


def test_spaces_and_networks_with_choices_are_pickled_and_copied() -> None:
    net = small_network()
    again = pickle.loads(pickle.dumps(net))
    assert again == net
    assert again.choices == copy.deepcopy(net).choices == net.choices
    assert again.fingerprint() == net.fingerprint()
    other = small_network()
    object.__setattr__(other, "_choices", [])
    assert other.fingerprint() != net.fingerprint()
    space = search.Space(net)
    loaded = pickle.loads(pickle.dumps(space))
    for name, values in search.count_many(space, space.rows()).items():
        np.testing.assert_array_equal(search.count_many(loaded, space.rows())[name], values)
    shared = net.share()
    assert [choice.place for choice in shared.choices] == ["first", "inner", "second"]
    assert search.Space(shared).size == space.size


class TestErrors:
    def test_options(self) -> None:
        net = Network()
        x = net.input((3, 4, 4))
        with pytest.raises(InvalidArgumentError, match="at least one option"):
            net.choice("edge", {})
        with pytest.raises(InvalidNetworkError, match="every option is None"):
            net.choice("edge", {"none": None})
        with pytest.raises(InvalidArgumentError, match="mapping"):
            net.choice("edge", [x])  # type: ignore[arg-type]
        with pytest.raises(InvalidArgumentError, match="labels must be"):
            net.choice("edge", {1: x})  # type: ignore[dict-item]
        with pytest.raises(InvalidArgumentError, match="expected a Tensor"):
            net.choice("edge", {"x": 1})  # type: ignore[dict-item]
        with pytest.raises(InvalidNetworkError, match="from_function"):
            net.choice("edge", {"x": x, "y": net.conv(x, 5, 3)})
        net.choice("edge", {"x": x})
        with pytest.raises(InvalidNetworkError, match="options x at 'edge'"):
            net.choice("other", {"y": x}, place="edge")

    def test_a_cyclic_choice(self) -> None:
        net = Network("ring")
        x = net.tensor("x", (3,))
        net.link(net.input((3,)), x, [Relation.same(0, 0)])
        chosen = net.choice("edge", {"skip": x, "function": net.activation(x)})
        net.link(chosen, x, [Relation.same(0, 0)])
        net.output(chosen)
        with pytest.raises(CycleError, match=r"ring.*edge"):
            search.Space(net)

    def test_networks_that_are_no_space(self) -> None:
        net = Network("plain")
        x = net.input((3,))
        with pytest.raises(InvalidNetworkError, match="no choices"):
            search.Space(net)
        with pytest.raises(InvalidArgumentError, match="needs a Network"):
            search.Space("resnet18")  # type: ignore[arg-type]
        chosen = net.choice("edge", {"x": x})
        with pytest.raises(NothingToCountError, match="no output"):
            search.Space(net)
        net.output(net.activation(chosen))
        search.Space(net)
        net.link(x, chosen, [Relation.same(0, 0)])
        with pytest.raises(InvalidNetworkError, match="as well"):
            search.Space(net)

    def test_a_space_without_valid_architectures(self) -> None:
        net = Network("dead")
        x = net.input((3,))
        nothing = net.tensor("nothing", (3,), operation=unrolled.Operation("sum"))
        net.choice("unused", {"x": x})
        net.output(net.choice("edge", {"nothing": nothing}))
        with pytest.raises(NothingToCountError, match="no path"):
            search.Space(net)

    def test_rows(self) -> None:
        space = search.Space(small_network())
        with pytest.raises(InvalidArgumentError, match="row 1 takes option 3 at place 'first'"):
            search.count_many(space, [[0, 0, 0], [3, 0, 0]])
        with pytest.raises(InvalidArgumentError, match="takes option -1"):
            search.macs_many(space, [[0, -1, 0]])
        with pytest.raises(InvalidArgumentError, match=r"\(architectures, 3\)"):
            search.propagate_many(space, [[0, 0]])
        with pytest.raises(InvalidArgumentError, match="integers"):
            search.propagate_many(space, [[0.0, 0.0, 0.0]])
        with pytest.raises(InvalidArgumentError, match="0 to 24"):
            space.rows(20, 25)
        with pytest.raises(UnknownNameError, match="did you mean 'first'"):
            space.encode({"firts": "skip"})
        with pytest.raises(UnknownNameError, match="no option 'skp'"):
            space.encode({"first": "skp", "inner": "wide", "second": "pool"})
        with pytest.raises(UnknownNameError, match="'inner' is missing"):
            space.encode({"first": "skip", "second": "pool"})
        assert len(search.macs_many(space, np.empty((0, 3), int))["macs"]) == 0

    def test_a_network_that_leaves_choices_open_is_no_model(self) -> None:
        net = small_network()
        for function in (
            unrolled.count,
            unrolled.analyze,
            unrolled.score,
            unrolled.propagate,
            Network.unroll,
        ):
            with pytest.raises(InvalidNetworkError, match=r"leaves choices open.*network\(row\)"):
                function(net)


def mlp(width: int, depth: int) -> Network:
    """A function of a module, which other processes can be given."""
    if width * depth > 60:
        raise InvalidArgumentError(f"{width} x {depth} is too large")
    return unrolled.models.mlp([width] * depth, inputs=6, classes=3)


def with_choices(width: int) -> Network:
    net = Network("template")
    x = net.conv(net.input((3, 6, 6)), width, 3, name="stem")
    y = net.choice("edge", {"skip": x, "conv": net.conv(x, width, 3, name="conv")})
    net.output(net.dense(net.global_pool(y), 2, name="head"))
    return net


class TestTemplates:
    def test_functions_are_spaces(self) -> None:
        space = search.Space.from_function(mlp, {"width": [4, 8], "depth": [1, 2, 3]})
        counts = search.count_many(space, space.rows()[::-1], exact=True)
        scores = search.propagate_many(space, space.rows())
        for at, (width, depth) in enumerate(product([4, 8], [1, 2, 3])):
            check_counts(counts, 5 - at, mlp(width, depth), True)
            check_scores(scores, at, mlp(width, depth))
            assert space.network([at // 3, at % 3]) == mlp(width, depth)

    def test_networks_of_a_function_may_have_choices(self) -> None:
        space = search.Space.from_function(with_choices, {"width": [2, 5]})
        assert [place.name for place in space.places] == ["width", "edge"]
        found = search.macs_many(space, space.rows())["parameters"].tolist()
        parameters = [[27 * w + w + 2 * w + 2, 9 * w * w + w] for w in (2, 5)]
        assert found == [one for w, more in parameters for one in (w, w + more)]
        assert pickle.loads(pickle.dumps(space)).network([1, 1]).num_parameters == found[3]

    def test_each_combination_is_built_once(self) -> None:
        built = []

        def build(width: int, depth: int) -> Network:
            built.append((width, depth))
            return mlp(width, depth)

        space = search.Space.from_function(build, {"width": [4, 8], "depth": [1, 2]})
        for _ in range(3):
            search.macs_many(space, np.repeat(space.rows(), 5, axis=0))
        assert sorted(built) == [(4, 1), (4, 2), (8, 1), (8, 2)]

    def test_errors(self) -> None:
        make = search.Space.from_function
        with pytest.raises(InvalidArgumentError, match="needs a function"):
            make(3, {"width": [1]})  # type: ignore[arg-type]
        with pytest.raises(InvalidArgumentError, match=r"'width'.*no options"):
            make(mlp, {"width": []})
        with pytest.raises(InvalidArgumentError, match="mapping"):
            make(mlp, {})
        with pytest.raises(InvalidArgumentError, match="list of options"):
            make(mlp, {"width": "wide"})
        with pytest.raises(InvalidArgumentError, match="must return a Network"):
            make(lambda width: None, {"width": [1]})  # type: ignore[arg-type, return-value]
        with pytest.raises(NothingToCountError, match="no valid architecture"):
            make(lambda width: dead(), {"width": [1, 2]})
        space = make(mlp, {"width": [4, 99], "depth": [1, 2]})
        with pytest.raises(InvalidArgumentError, match="width=99, depth=1: 99 x 1 is too large"):
            search.macs_many(space, space.rows())
        space = make(
            lambda width: with_choices(width) if width < 3 else mlp(4, 1), {"width": [2, 3]}
        )
        with pytest.raises(InvalidNetworkError, match="same places"):
            search.macs_many(space, space.rows())


def dead() -> Network:
    net = Network("dead")
    net.input((3,))
    net.output(net.tensor("nothing", (3,)))
    return net


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("factor", ["query", "key", "value"])
def test_attention_is_nothing_where_one_of_its_factors_is(factor: str, causal: bool) -> None:
    net = Network("attention")
    x = net.input((4, 6), "x")
    factors = {name: net.dense(x, 6, name=name) for name in ("query", "key", "value")}
    factors[factor] = net.choice("factor", {"dense": factors[factor], "none": None})
    y = net.attention(*factors.values(), causal=causal, name="attention")
    net.output(net.dense(y, 2, name="head"))
    space = search.Space(net)
    scores = search.propagate_many(space, [[0], [1]])
    alone = unrolled.score(space.network([0]))
    assert scores["saliency_entropy"][0] == pytest.approx(alone.saliency_entropy, rel=1e-12)
    assert scores["saliency_entropy"][1] == -np.inf
    assert search.macs_many(space, [[1]])["macs"].tolist() == [0]
    with pytest.raises(NothingToCountError, match="no path leads to an output"):
        space.network([1])
