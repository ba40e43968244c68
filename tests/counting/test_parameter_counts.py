"""`count` and what it returns, against the element-level graph and plain integers."""

import math
import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unrolled
from unrolled import (
    InvalidArgumentError,
    MemoryLimitError,
    Network,
    NothingToCountError,
    SizeOverflowError,
    Spectrum,
    UnknownNameError,
    models,
    reference,
)
from unrolled.counting import parameter_counts


def small_network():
    """A network of strides, padding, a tied kernel, a residual and a norm: counts of many sizes."""
    net = Network("small")
    x = net.input((3, 7, 6))
    x = net.conv(x, 4, 3, stride=2, padding="same", name="stem")
    kernel = net.parameter("tied/kernel", (4, 4, 3, 3))
    y = net.conv(x, 4, 3, kernel=kernel, use_bias=False, name="first")
    y = net.conv(y, 4, 3, kernel=kernel, padding="symmetric", use_bias=False, name="second")
    x = net.add(net.batch_norm(y, name="norm"), x)
    net.output(net.dense(net.flatten(x), 5, name="head"))
    return net


@pytest.fixture(scope="module")
def network():
    return small_network()


@pytest.fixture(scope="module")
def expected(network):
    return reference.count(network)


@pytest.fixture(scope="module")
def counts(network):
    return unrolled.count(network)


@pytest.fixture(scope="module")
def log_counts(network):
    return unrolled.count(network, exact=False)


def all_elements(expected):
    return [count for array in expected.values() for count in array.ravel().tolist()]


def test_every_element_has_the_count_of_the_graph_of_elements(counts, expected):
    assert list(counts) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(counts[name].exact(), array)
        assert counts[name].shape == array.shape
        for index in np.ndindex(array.shape):
            assert counts[name][index] == array[index]
            assert counts[name].log2(index) == pytest.approx(math.log2(array[index]), rel=1e-15)


def test_logarithms_of_every_element(counts, log_counts, expected):
    for name, array in expected.items():
        logarithms = np.vectorize(math.log2, otypes=[float])(array)
        np.testing.assert_allclose(counts[name].log2(), logarithms, rtol=1e-15)
        np.testing.assert_allclose(log_counts[name].log2(), logarithms, rtol=1e-14)
        assert counts[name].log2().dtype == np.float64


def test_figures_of_a_parameter(counts, expected):
    for name, array in expected.items():
        one = counts[name]
        values = array.ravel().tolist()
        assert (one.minimum, one.maximum, one.total) == (min(values), max(values), sum(values))
        assert one.log2_minimum == pytest.approx(math.log2(min(values)), rel=1e-15)
        assert one.log2_maximum == pytest.approx(math.log2(max(values)), rel=1e-15)
        assert one.num_distinct == len(set(values))
        assert one.size == len(values)
        assert one.num_unreached == 0
        assert one.spectrum().counts == sorted(set(values))
        assert one.spectrum().total == sum(values)


def test_figures_of_the_network(counts, log_counts, expected):
    values = all_elements(expected)
    assert counts.total == sum(values)
    for one in (counts, log_counts):
        assert one.log2_total == pytest.approx(math.log2(sum(values)), rel=1e-14)
        assert one.num_parameters == len(values)
        assert one.num_unreached_parameters == 0
        # The kernel used by two layers is one parameter and two weight nodes an element.
        assert one.num_weight_nodes == len(values) + 4 * 4 * 3 * 3
        assert (one.num_inputs, one.num_outputs) == (3 * 7 * 6, 5)
        assert one.peak_bytes > 0
    assert counts.is_exact
    assert not log_counts.is_exact


def test_spectrum_and_its_owners(counts, log_counts, expected):
    values = all_elements(expected)
    spectrum = counts.spectrum()
    assert spectrum.counts == sorted(set(values))
    assert spectrum.degeneracies.tolist() == [values.count(count) for count in spectrum.counts]
    for level, count in enumerate(spectrum.counts):
        owners = {
            name: number
            for name, array in expected.items()
            if (number := array.ravel().tolist().count(count))
        }
        assert spectrum.owners(level) == owners
    in_log_space = log_counts.spectrum()
    np.testing.assert_allclose(
        np.repeat(in_log_space.log2_counts, in_log_space.degeneracies.astype(int)),
        [math.log2(value) for value in sorted(values)],
        rtol=1e-14,
        atol=1e-14,
    )


def test_log_space_has_no_integers(log_counts):
    name = log_counts.names[0]
    for attempt in (
        lambda: log_counts.total,
        lambda: log_counts.spectrum().counts,
        lambda: log_counts.spectrum().total,
        lambda: log_counts[name].minimum,
        lambda: log_counts[name].maximum,
        lambda: log_counts[name].total,
        lambda: log_counts[name].exact(),
        lambda: log_counts[name][0, 0, 0, 0],
    ):
        with pytest.raises(InvalidArgumentError, match="exact=True"):
            attempt()
    assert log_counts[name].log2((0, 0, 0, 0)) > 0


def test_weights_that_only_meet_padding_have_no_context():
    net = Network("padded")
    x = net.conv(net.input((2, 1, 1)), 3, 3, name="conv")
    net.output(x)
    counts = unrolled.count(net)
    kernel = counts["conv/kernel"]
    assert kernel.num_unreached == 3 * 2 * 8
    assert kernel.minimum == 0
    assert kernel.log2_minimum == -math.inf
    logarithms = kernel.log2()
    assert np.count_nonzero(np.isneginf(logarithms)) == kernel.num_unreached
    assert np.all(logarithms[:, :, 1, 1] == 0)
    assert kernel.spectrum().counts == [1]
    assert kernel.spectrum().owners(0) == {"conv/kernel": 6}
    assert counts.num_parameters == counts.num_weight_nodes == 3 * 2 + 3
    assert counts.num_unreached_parameters == 3 * 2 * 8
    assert counts.spectrum().num_parameters == 9


def test_trainable_only_leaves_statistics_out():
    net = small_network()
    counts = unrolled.count(net, trainable_only=True)
    left_out = {tensor.name for tensor in net.parameters} - set(counts)
    assert left_out == {"norm/mean", "norm/variance"}
    assert counts.num_parameters == net.num_parameters - 8
    with pytest.raises(UnknownNameError, match="norm/mean"):
        counts["norm/mean"]


def test_a_scalar_parameter_is_indexed_by_an_empty_tuple():
    net = Network("scalar")
    gain = net.parameter("gain", ())
    y = net.tensor("y", (3,))
    net.link(gain, y, [unrolled.Relation.sum(0)])
    net.output(y)
    counts = unrolled.count(net)
    assert counts["gain"][()] == 3
    assert counts["gain"].exact().shape == ()
    assert counts["gain"].log2(()) == pytest.approx(math.log2(3))


def test_counts_are_a_snapshot():
    net = models.mlp([4], inputs=3, classes=2)
    counts = unrolled.count(net)
    net.output(net.dense(net["layer1"], 50, name="later"))
    assert "later/kernel" not in counts
    assert counts.num_outputs == 2
    assert counts["layer1/kernel"][0, 0] == 2
    assert unrolled.count(net)["layer1/kernel"][0, 0] == 52


def test_progress_reaches_its_end():
    steps = []
    unrolled.count(small_network(), progress=lambda done, total: steps.append((done, total)))
    assert steps[-1][0] == steps[-1][1] > 0
    assert steps == sorted(steps)


def test_mapping_of_names(counts):
    assert len(counts) == len(counts.names) == len(set(counts))
    assert "stem/kernel" in counts
    assert "stem" not in counts


@pytest.mark.parametrize(
    ("name", "hint"), [("stem/kernal", "stem/kernel"), ("qqq", "stem/kernel"), (3, "stem/kernel")]
)
def test_an_unknown_parameter_is_refused_with_a_suggestion(counts, name, hint):
    with pytest.raises(UnknownNameError, match=f"{name}.*{hint}"):
        counts[name]


@pytest.mark.parametrize("index", [0, (0, 0), (0, 0, 0, 3), (0, 0, 0, -4), (0, 0, 0, "x"), ...])
def test_index_outside_a_parameter(counts, index):
    with pytest.raises(InvalidArgumentError, match=r"stem/kernel.*shape \(4, 3, 3, 3\)"):
        counts["stem/kernel"][index]


def test_negative_indices_count_from_the_end(counts):
    kernel = counts["stem/kernel"]
    assert kernel[-1, -1, -1, -3] == kernel.exact()[-1, -1, -1, -3]


def test_arrays_of_absurd_size_are_refused(counts, monkeypatch):
    monkeypatch.setattr(parameter_counts, "LARGEST_ARRAY", 100)
    with pytest.raises(InvalidArgumentError, match=r"stem/kernel.*108 elements.*spectrum\(\)"):
        counts["stem/kernel"].log2()
    with pytest.raises(InvalidArgumentError, match="108 elements"):
        counts["stem/kernel"].exact()


def test_what_is_no_network():
    with pytest.raises(
        InvalidArgumentError, match="takes a Network or a Graph, got str 'resnet50'"
    ):
        unrolled.count("resnet50")


@pytest.mark.parametrize("limit", [-1, 2.5, "1 GB"])
def test_memory_limit_that_is_no_number_of_bytes(limit):
    with pytest.raises(InvalidArgumentError, match="memory_limit must be"):
        unrolled.count(small_network(), memory_limit=limit)


def bytes_in(message):
    """The sizes named in a message: what counting needs, and the limit."""
    units = {"bytes": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}
    found = re.findall(rf"([\d.]+) ({'|'.join(units)})\b", message)
    return [float(number) * units[unit] for number, unit in found]


def test_a_refusal_of_memory_says_how_much_would_do():
    net = models.efficientnet_v2("b0", size=64)
    counted = unrolled.count(net)
    limit = counted.peak_bytes // 4
    with pytest.raises(MemoryLimitError, match=r"'efficientnetv2-b0'.*at tensor 's") as refusal:
        unrolled.count(net, memory_limit=limit)
    needed, stated = bytes_in(str(refusal.value))
    # Rounded up to a tenth of a unit.
    assert limit <= stated <= limit + 100
    assert needed > limit
    # What counting needs is estimated; half as much again must do.
    assert unrolled.count(net, memory_limit=int(1.5 * needed)).total == counted.total
    assert unrolled.count(net, memory_limit=2**70).total == counted.total


def test_memory_limit_in_log_space():
    net = models.efficientnet_v2("b0", size=64)
    limit = unrolled.count(net).peak_bytes // 4
    assert unrolled.count(net, exact=False, memory_limit=limit).num_parameters == net.num_parameters
    with pytest.raises(MemoryLimitError, match="use smaller inputs") as refusal:
        unrolled.count(net, exact=False, memory_limit=1000)
    assert bytes_in(str(refusal.value))[0] > 1000
    assert "log space" not in str(refusal.value)


@pytest.mark.parametrize("progress", [3, "bar"])
def test_progress_that_cannot_be_called(progress):
    with pytest.raises(InvalidArgumentError, match="progress must be a function"):
        unrolled.count(small_network(), progress=progress)


def test_nothing_to_count():
    net = Network("empty")
    net.output(net.activation(net.input((3,))))
    with pytest.raises(NothingToCountError, match=r"network 'empty': .*no parameters"):
        unrolled.count(net)


def test_nothing_to_count_of_what_training_changes():
    net = Network()
    net.output(net.batch_norm(net.input((2, 3)), scale=False, shift=False))
    with pytest.raises(NothingToCountError, match="trainable_only=False"):
        unrolled.count(net, trainable_only=True)


def test_no_output_reached():
    net = Network("aimless")
    x = net.input((3,))
    net.dense(x, 2, name="dense")
    net.output(net.activation(x))
    with pytest.raises(NothingToCountError, match="no parameter leads to an output"):
        unrolled.count(net)


def test_repr_names_the_network_and_the_shape(counts, log_counts):
    assert repr(counts).startswith("Counts('small', ")
    assert "in log space" in repr(log_counts)
    assert repr(counts["norm/mean"]).startswith("ParameterCounts('norm/mean', shape=(4,), ")
    assert repr(Spectrum.from_counts([])) == "Spectrum(0 levels)"


@settings(max_examples=200)
@given(st.lists(st.one_of(st.integers(0, 5), st.integers(0, 2**3000)), max_size=30))
def test_spectrum_of_plain_numbers(numbers):
    spectrum = Spectrum.from_counts(numbers)
    reached = [number for number in numbers if number]
    assert spectrum.counts == sorted(set(reached))
    assert spectrum.total == sum(numbers)
    assert spectrum.num_parameters == len(reached)
    assert len(spectrum) == len(list(spectrum)) == len(set(reached))
    for mantissa, exponent, count in zip(
        spectrum.mantissas.tolist(), spectrum.exponents.tolist(), spectrum.counts, strict=True
    ):
        assert 1 <= mantissa < 2
        # Scaled to an integer of 53 bits, the mantissa must be within half a bit of the count.
        scaled = int(mantissa * 2**52)
        assert 2 * abs((scaled << exponent) - (count << 52)) <= 1 << exponent


@pytest.mark.parametrize("below", [11, 12, 31, 1000])
@pytest.mark.parametrize("beyond", [-1, 0, 1])
def test_counts_at_a_tie_are_rounded_as_the_core_rounds_them(below, beyond):
    """Half a last bit above a power of two, and a little more or less, wherever that little is."""
    count = (((1 << 53) + 1) << below) + beyond
    spectrum = Spectrum.from_counts([count])
    exact = Fraction(count, 1 << (53 + below))
    assert Fraction(spectrum.mantissas[0]) == Fraction(float(exact))
    graph = unrolled.Graph.from_edges([0, 1], [1, 2], multiplicity=[(1 << 53) + 1, 1 << 11])
    found = unrolled.count(graph).spectrum()
    assert found.mantissas[0] == Spectrum.from_counts(found.counts).mantissas[0]


def test_spectrum_of_a_mapping():
    spectrum = Spectrum.from_counts({5: 3, 2: 1, 0: 7, 9: 0})
    assert spectrum.levels == [(1.0, 1), (math.log2(5), 3)]
    assert spectrum.total == 17
    assert spectrum.owners(0) == {}


@pytest.mark.parametrize("numbers", [[1.5], ["1"], [None], {1: 1.5}, [-1], {1: -2}])
def test_spectrum_refuses_what_is_no_count(numbers):
    with pytest.raises(InvalidArgumentError, match="counts are"):
        Spectrum.from_counts(numbers)


@pytest.mark.parametrize("counts", [{1: 2**64}, {1: 2**63, 2: 2**63}])
def test_more_parameters_than_64_bits_can_number(counts):
    with pytest.raises(SizeOverflowError, match=f"{2**64} parameters"):
        Spectrum.from_counts(counts)


def test_most_parameters_that_64_bits_can_number():
    assert Spectrum.from_counts({1: 2**63, 2: 2**63 - 1}).num_parameters == 2**64 - 1


@pytest.mark.parametrize("level", [2, -3])
def test_no_such_level(level):
    with pytest.raises(InvalidArgumentError, match="2 levels"):
        Spectrum.from_counts([1, 2]).count(level)


def test_arrays_of_a_spectrum_are_read_only():
    spectrum = Spectrum.from_counts([1, 2])
    for array in (spectrum.mantissas, spectrum.exponents, spectrum.degeneracies):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 5
