"""Scores against published test values, a slow interpreter of their table, and laws."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unrolled
from oracles import scores as oracle
from unrolled import InvalidArgumentError, Network, NothingToCountError
from unrolled.errors import UnknownOperationError
from unrolled.models.benchmarks import NASBENCH201, NASBENCH_MACRO, TRANSNASBENCH_MICRO
from unrolled.spectrum.catalogue import SCORES

# Effective parameters, edges and units, and the saliency entropy, to ten digits.
NASBENCH201_VALUES = {
    "444444": (1524272, 227197568, 14067786.29, 15.76396636),
    "111111": (72752, 14860928, 1049740.786, 11.69586122),
    "222222": (11312.00011, 2278016.051, 444015.0920, 11.41087437),
    "333333": (234032, 38453888, 5389089.287, 14.77134822),
    "444144": (1282352, 191808128, 11898112.04, 15.92490526),
    "000400": (314672, 50250368, 3219415.037, 14.62389824),
    "240104": (556592, 85639808, 5389089.287, 15.24006776),
    "244321": (98310.36097, 20432794.19, 3080749.294, 14.48051174),
    "423124": (139861.7233, 38655845.92, 4232182.328, 14.90507168),
    "224143": (97299.43397, 17071868.26, 2881320.292, 14.29619164),
}
EFFECTIVE_MACS = {
    "444444": 220119680,
    "444144": 184730240,
    "244321": 19607861.04,
    "222222": 1491584.029,
}
MACRO_VALUES = {
    "11111111": (5082330.362, 15.22752597),
    "22222222": (10184408.87, 15.95141446),
    "00000000": (702864.1435, 13.20244336),
    "01201201": (4571814.540, 15.18313538),
}
TRANSNAS_VALUES = {
    "64-41414-3_33_333": (291511534.6, 19.10307974),
    "64-41414-1_11_111": (35636067.34, 17.33665939),
    "64-41414-2_31_103": (129263804.2, 18.49657269),
}
TEN_DIGITS = 5e-10
ROUNDING = 1e-13


def cell(digits: str) -> str:
    return NASBENCH201.spell(tuple(map(int, digits)))


@pytest.mark.parametrize("digits", NASBENCH201_VALUES)
def test_cells_of_nasbench201_have_their_values(digits: str) -> None:
    found = unrolled.score(unrolled.models.nasbench201(cell(digits)))
    values = (
        found.effective_parameters,
        found.effective_edges,
        found.effective_units,
        found.saliency_entropy,
    )
    assert values == pytest.approx(NASBENCH201_VALUES[digits], rel=TEN_DIGITS)
    if digits in EFFECTIVE_MACS:
        assert found.effective_macs == pytest.approx(EFFECTIVE_MACS[digits], rel=TEN_DIGITS)


@pytest.mark.parametrize(
    ("build", "values"),
    [
        (unrolled.models.nasbench_macro, MACRO_VALUES),
        (unrolled.models.transnasbench_micro, TRANSNAS_VALUES),
    ],
)
def test_other_benchmarks_have_their_values(
    build: Callable[[str], Network], values: dict[str, tuple[float, float]]
) -> None:
    for architecture, expected in values.items():
        found = unrolled.score(build(architecture))
        both = (found.effective_units, found.saliency_entropy)
        assert both == pytest.approx(expected, rel=TEN_DIGITS), architecture


def assert_agrees(found: unrolled.Scores, expected: dict[str, float]) -> None:
    names = {
        "W": "effective_parameters",
        "E": "effective_edges",
        "E'": "effective_macs",
        "S": "effective_units",
        "H": "saliency_entropy",
    }
    for key, name in names.items():
        assert getattr(found, name) == pytest.approx(expected[key], rel=1e-12), name


def test_random_architectures_agree_with_the_slow_interpreter() -> None:
    random = np.random.default_rng(17)
    for _ in range(25):
        choices = tuple(random.integers(5, size=6).tolist())
        found = unrolled.score(NASBENCH201.build(NASBENCH201.spell(choices)))
        assert_agrees(found, oracle.nasbench201(choices))
    for _ in range(10):
        choices = tuple(random.integers(3, size=8).tolist())
        found = unrolled.score(NASBENCH_MACRO.build(NASBENCH_MACRO.spell(choices)))
        assert_agrees(found, oracle.nasbench_macro(choices))


def test_windows_and_concatenation_agree_with_the_slow_interpreter() -> None:
    net, slow = Network(), oracle.Description(3, 64)
    x, y = net.input((3, 64, 64)), "input0"
    x, y = net.conv(x, 8, 3, stride=2, use_bias=False), slow.conv(y, 8, 3, 2)
    x, y = net.activation(x), slow.relu(y)
    x, y = net.max_pool(x, 2), slow.largest(y, 2, 2)
    first, left = net.average_pool(x, 4, stride=2, padding="same"), slow.average(y, 4, 2)
    second, right = net.conv(x, 16, 5, stride=2, groups=4), slow.conv(y, 16, 5, 2, 4)
    x, y = net.concat([first, second]), slow.concat([left, right])
    # What a function reads here varies by more than one, without a norm.
    x, y = net.add(x, net.conv(x, 24, 3)), slow.add([y, slow.conv(y, 24, 3)])
    x, y = net.conv(net.activation(x), 12, 3), slow.conv(slow.relu(y), 12, 3)
    net.output(net.dense(net.global_pool(x), 5))
    assert_agrees(unrolled.score(net), slow.scores(slow.dense(slow.pool(y), 5)))


def test_the_network_of_all_architectures_scores_each_like_its_own() -> None:
    from unrolled.scores.benchmarks import load

    for name, space in (("nasbench201", NASBENCH201), ("transnasbench_micro", TRANSNASBENCH_MICRO)):
        benchmark = load(name)
        found = benchmark.scores()
        rows = np.random.default_rng(3).integers(len(benchmark), size=8)
        for row in rows.tolist():
            own = unrolled.score(space.build(benchmark.architectures[row]))
            for key in ("saliency_entropy", "effective_macs", "effective_units", "macs"):
                expected = found[key][row]
                if np.isfinite(found["saliency_entropy"][row]):
                    assert getattr(own, key) == pytest.approx(expected, rel=1e-12)
                else:
                    assert own.saliency_entropy == expected == -math.inf


def test_macs_and_parameters_of_macro_are_the_published_ones() -> None:
    # Parameters and multiplications of the benchmark's own table, for its first two rows.
    for architecture, parameters, macs in (
        ("02012100", 890666, 47327744),
        ("11111221", 2181386, 65012224),
    ):
        net = unrolled.models.nasbench_macro(architecture)
        assert sum(one.size for one in net.parameters if one.trainable) == parameters
        assert unrolled.score(net).macs == macs


def test_parameters_of_nasbench201_are_the_published_ones() -> None:
    # In millions, rounded to five decimals, as the benchmark's table has them.
    for digits, millions in (("233111", 0.12931), ("442141", 0.80243)):
        net = unrolled.models.nasbench201(cell(digits))
        trained = sum(one.size for one in net.parameters if one.trainable)
        assert trained / 1e6 == pytest.approx(millions, abs=6e-6)


def test_an_architecture_without_a_path_is_below_all_others() -> None:
    found = unrolled.score(unrolled.models.nasbench201(cell("000000")))
    assert found.saliency_entropy == -math.inf
    assert (found.macs, found.activations, found.depth, found.effective_units) == (0, 0, 0, 0.0)
    assert found.num_parameters > 0


def plain(depth: int, *, shared: bool = False) -> Network:
    net = Network("plain")
    x = net.input((4, 8, 8))
    kernel = None
    for _ in range(depth):
        x = net.activation(net.conv(x, 4, 3, use_bias=False, kernel=kernel))
        kernel = net.parameters[0] if shared else None
    net.output(x)
    return net


def test_depth_overflows_nothing() -> None:
    # Derivatives grow by pi / (pi - 1) a layer, beyond the range of a double after 1,850 layers.
    found = unrolled.score(plain(3000))
    assert math.isfinite(found.saliency_entropy)
    assert found.depth == 3000
    # The last layers have least, so that twice as many layers add the same factors in front.
    assert unrolled.score(plain(2000)).saliency_entropy == pytest.approx(
        found.saliency_entropy, rel=1e-12
    )


def test_what_grows_in_sums_overflows_nothing() -> None:
    net = Network()
    x = net.conv(net.input((4, 8, 8)), 4, 3, use_bias=False)
    for _ in range(1500):
        x = net.add(x, x)
    # The variance is now 2 to the power of 1,500.
    net.output(net.conv(net.activation(x), 4, 3, use_bias=False))
    found = unrolled.score(net)
    one = Network()
    x = one.conv(one.input((4, 8, 8)), 4, 3, use_bias=False)
    one.output(one.conv(one.activation(x), 4, 3, use_bias=False))
    assert found.effective_units == unrolled.score(one).effective_units
    assert math.isfinite(found.saliency_entropy)


@pytest.mark.parametrize(("size", "stride"), [(2, 2), (3, 1), (3, 2)])
def test_the_law_of_a_maximum_is_that_of_simulated_maps(size: int, stride: int) -> None:
    random = np.random.default_rng(23)
    variance, covariance, side = 1.0, 0.3, 9
    common = math.sqrt(covariance) * random.normal(size=(20000, 1, 1))
    maps = common + math.sqrt(variance - covariance) * random.normal(size=(20000, side, side))
    windows = np.lib.stride_tricks.sliding_window_view(maps, (size, size), axis=(1, 2))
    largest = windows[:, ::stride, ::stride].max(axis=(3, 4))
    net = oracle.Description(1, side)
    net.steps["source"] = oracle.Step("", "input", [], {}, forward=(variance, covariance))
    step = oracle.Step("", "largest", ["source"], {"k": size, "s": stride})
    expected, shared = net._forward(step, ["source"])
    assert largest.var(axis=0).mean() == pytest.approx(expected, rel=0.02)
    # Windows that share nothing have the common part alone; those that do are treated as means.
    apart = np.mean((largest[:, 0, 0] - largest[:, 0, 0].mean()) * largest[:, -1, -1])
    assert apart == pytest.approx(covariance, abs=0.02)
    assert covariance <= shared < expected


def test_windows_that_share_nothing_are_dense_layers_of_windows() -> None:
    patches = Network()
    x = patches.conv(patches.input((3, 32, 32)), 8, 4, stride=4, use_bias=False)
    patches.output(patches.conv(patches.activation(x), 4, 3, use_bias=False))
    moved = Network()
    x = moved.reshape(moved.input((3, 32, 32)), (3, 8, 4, 8, 4))
    x = moved.reshape(moved.transpose(x, (0, 2, 4, 1, 3)), (48, 8, 8))
    x = moved.conv(x, 8, 1, use_bias=False)
    moved.output(moved.conv(moved.activation(x), 4, 3, use_bias=False))
    first, second = unrolled.score(patches), unrolled.score(moved)
    for key in ("saliency_entropy", "effective_units", "effective_macs", "macs", "log_size"):
        assert getattr(first, key) == pytest.approx(getattr(second, key), rel=1e-12), key


def test_log_size_is_the_mean_of_signal_and_size() -> None:
    found = unrolled.score(unrolled.models.nasbench_macro("01201201"), unit="bits")
    size = math.log2(found.effective_parameters * found.layers) / 2
    expected = (found.saliency_entropy + size) / 2
    assert found.log_size == pytest.approx(expected, rel=1e-14)
    # The stem, three kernels a block, the plain kernel of the first layer, the last kernel and the
    # classifier.
    assert found.layers == 1 + 3 * sum(digit != "0" for digit in "01201201") + 1 + 1 + 1
    nothing = unrolled.score(unrolled.models.nasbench201(cell("000000")))
    assert nothing.log_size == -math.inf


def test_a_flat_saliency_has_the_logarithm_of_all_units() -> None:
    net = Network()
    net.output(net.dense(net.input((9,)), 16, use_bias=False))
    found = unrolled.score(net)
    assert found.effective_units == 16 * 3
    assert found.saliency_entropy == pytest.approx(math.log(48), rel=1e-14)
    assert unrolled.score(net, unit="bits").saliency_entropy == pytest.approx(math.log2(48))


def test_tied_kernels_are_parameters_once_and_edges_every_time() -> None:
    apart, tied = unrolled.score(plain(3)), unrolled.score(plain(3, shared=True))
    assert tied.effective_parameters * 3 == pytest.approx(apart.effective_parameters)
    assert tied.effective_edges == apart.effective_edges
    assert tied.saliency_entropy == apart.saliency_entropy


def test_an_embedding_is_read_as_one_row() -> None:
    net = Network()
    net.output(net.dense(net.embedding(net.input((6,)), 1000, 8), 4, use_bias=False))
    found = unrolled.score(net)
    # Eight features of one row at six positions, and a kernel of 8 x 4 at each of them.
    assert found.macs == 6 * 8 + 6 * 8 * 4
    assert found.effective_parameters == 8 + 8 * 4
    assert found.effective_units == pytest.approx(6 * 8 + 6 * 4 * math.sqrt(8))


def test_attention_projections_are_dense_layers_of_tokens() -> None:
    net = Network()
    x = net.input((10, 32))
    net.output(net.multi_head_attention(x, heads=4))
    found = unrolled.score(net)
    # Queries, keys, values and what puts the heads together: four kernels at ten tokens.
    assert found.macs == 4 * 10 * 32 * 32
    assert found.depth == 2
    assert found.saliency_entropy <= math.log(found.effective_units) + ROUNDING


@pytest.mark.parametrize("function", ["relu", "gelu", "silu", "hard_swish", "tanh"])
def test_entropy_is_at_most_the_logarithm_of_the_units(function: str) -> None:
    net = Network()
    x = net.input((3, 16, 16))
    for channels in (8, 16):
        x = net.activation(net.batch_norm(net.conv(x, channels, 3, stride=2)), function)
        gate = net.conv(net.global_pool(x, keep_dimensions=True), channels, 1)
        x = net.multiply(x, net.activation(gate, "sigmoid"))
    net.output(net.dense(net.global_pool(x), 10))
    found = unrolled.score(net)
    assert 0 < found.saliency_entropy <= math.log(found.effective_units) + ROUNDING


def test_own_functions_have_moments_too() -> None:
    def named(function: object) -> Network:
        net = Network()
        x = net.conv(net.input((3, 16, 16)), 8, 3, use_bias=False)
        net.output(net.conv(net.activation(x, function), 8, 3))  # type: ignore[arg-type]
        return net

    own = unrolled.score(named(lambda x: np.tanh(x)))
    expected = unrolled.score(named("tanh")).saliency_entropy
    assert own.saliency_entropy == pytest.approx(expected, rel=1e-9)
    given = unrolled.score(named("nobodys"), functions={"nobodys": np.tanh})
    assert given.saliency_entropy == own.saliency_entropy


@pytest.mark.parametrize("digits", NASBENCH201_VALUES)
def test_cells_have_their_values_through_onnx(digits: str) -> None:
    pytest.importorskip("onnx")
    from cases.scored_onnx import nasbench201_model

    found = unrolled.score(nasbench201_model(tuple(map(int, digits))))
    values = (
        found.effective_parameters,
        found.effective_edges,
        found.effective_units,
        found.saliency_entropy,
    )
    assert values == pytest.approx(NASBENCH201_VALUES[digits], rel=TEN_DIGITS)
    if digits in EFFECTIVE_MACS:
        assert found.effective_macs == pytest.approx(EFFECTIVE_MACS[digits], rel=TEN_DIGITS)


def test_other_benchmarks_have_their_values_through_onnx(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    from cases.scored_onnx import nasbench_macro_model, transnasbench_model

    for values, build in (
        (MACRO_VALUES, nasbench_macro_model),
        (TRANSNAS_VALUES, transnasbench_model),
    ):
        for architecture, expected in values.items():
            digits = architecture.rpartition("-")[2].replace("_", "")
            path = tmp_path / f"{digits}.onnx"
            onnx.save(build(tuple(map(int, digits))), path)
            found = unrolled.score(path)
            both = (found.effective_units, found.saliency_entropy)
            assert both == pytest.approx(expected, rel=TEN_DIGITS), architecture


def test_published_models_have_their_functions_in_scores() -> None:
    by_name = unrolled.score("resnet18")
    built = unrolled.score(unrolled.models.resnet(18, activations=True))
    assert by_name == built
    bare = unrolled.models.resnet(18)
    assert unrolled.analyze("resnet18").total_contexts == unrolled.analyze(bare).total_contexts
    with_functions = unrolled.analyze(unrolled.models.resnet(18, activations=True))
    assert with_functions.total_contexts == unrolled.analyze(bare).total_contexts


def test_what_cannot_be_scored_is_refused() -> None:
    net = Network("unfinished")
    x = net.input((3,))
    with pytest.raises(NothingToCountError, match="unfinished"):
        unrolled.score(net)
    y = net.tensor("odd", (3,))
    net.link(x, y, [unrolled.Relation.same(0, 0)])
    net.output(y)
    with pytest.raises(UnknownOperationError, match="odd"):
        unrolled.score(net)
    with pytest.raises(InvalidArgumentError, match="network of layers"):
        unrolled.score(unrolled.models.mlp(4, depth=1, inputs=4).unroll())
    with pytest.raises(InvalidArgumentError, match="unit"):
        unrolled.score("resnet18", unit="bytes")  # type: ignore[arg-type]


def test_every_score_is_registered_once_and_says_what_it_is_worth() -> None:
    found = unrolled.score(unrolled.models.nasbench_macro("00000000"))
    assert list(found.to_dict()) == ["name", *SCORES, "unit"]
    for one in SCORES.values():
        assert one.more_means
        assert "NAS-Bench-201" in one.measured
        assert one.label in found.table(width=200)


def attention_in_blocks(*, masked: bool) -> Network:
    """Six tokens in two blocks of three, told apart by a mask or by an axis of their own."""
    net = Network()
    x = net.dense(net.input((6, 8)), 8, name="in")
    query, key, value = (net.dense(x, 8, name=name) for name in ("query", "key", "value"))
    if masked:
        block = np.arange(6) // 3
        y = net.attention(query, key, value, mask=block[:, None] == block)
    else:
        parts = (net.reshape(one, (2, 3, 8)) for one in (query, key, value))
        y = net.reshape(net.attention(*parts), (6, 8))
    net.output(net.dense(net.layer_norm(net.add(x, y)), 5, name="out"))
    return net


def test_a_mask_of_blocks_scores_like_blocks_apart() -> None:
    masked, apart = (unrolled.score(attention_in_blocks(masked=one)) for one in (True, False))
    assert masked.to_dict() == apart.to_dict()


def test_features_of_a_mask_of_blocks_are_those_of_blocks_apart() -> None:
    masked, apart = (unrolled.features(attention_in_blocks(masked=one)) for one in (True, False))
    assert masked.to_dict() == apart.to_dict()


def test_the_scaling_that_a_model_begins_with_does_not_count() -> None:
    scaling = "linear(0.00392, -0.5)"

    def scored(*, before: bool = False, behind: bool = False) -> dict[str, Any]:
        net = Network("scaled")
        x = net.input((3, 8, 8))
        x = net.conv(net.activation(x, scaling) if before else x, 4, 3)
        x = net.activation(x, scaling) if behind else x
        x = net.add(x, net.conv(net.activation(x, "silu"), 4, 3))
        net.output(net.dense(net.global_pool(x), 2))
        return unrolled.score(net).to_dict()

    assert scored(before=True) == scored()
    assert scored(behind=True)["saliency_entropy"] != scored()["saliency_entropy"]
