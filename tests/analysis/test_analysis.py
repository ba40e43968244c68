"""`analyze` and its table."""

import math

import pytest

import unrolled
from unrolled import (
    Analysis,
    InvalidArgumentError,
    InvalidNetworkError,
    Network,
    Spectrum,
    models,
)
from unrolled.spectrum.catalogue import CATALOGUE


def small_network():
    return models.cnn(
        [4, 6], size=6, strides=[1, 2], skip=2, batch_norm=True, classes=3, name="small"
    )


@pytest.fixture(scope="module", params=[True, False], ids=["exact", "log"])
def analysis(request):
    return unrolled.analyze(small_network(), exact=request.param)


@pytest.fixture(scope="module")
def plain():
    """The counts of all parameters as plain integers, by layer."""
    counts = unrolled.count(small_network())
    layers = {}
    for name in counts:
        layers.setdefault(name.rpartition("/")[0], []).extend(counts[name].exact().ravel().tolist())
    return layers


def test_figures_from_the_definitions(analysis, plain):
    counts = [count for layer in plain.values() for count in layer]
    total = sum(counts)
    probabilities = [count / total for count in counts]
    spread = sum(p * math.log2(c) for p, c in zip(probabilities, counts, strict=True))
    entropy = -sum(p * math.log2(p) for p in probabilities)
    surprisal = -sum(math.log2(p) for p in probabilities)
    size = 3 * 6 * 6 + 3 + len(counts)
    assert analysis.name == "small"
    assert analysis.num_parameters == analysis.num_weight_nodes == len(counts)
    assert (analysis.num_inputs, analysis.num_outputs) == (108, 3)
    assert analysis.total_contexts == (total if analysis.is_exact else None)
    expected = {
        "log2_total_contexts": math.log2(total),
        "expected_spread": spread,
        "entropy": entropy,
        "total_surprisal": surprisal,
        "surprisal_estimate": math.log2(surprisal * 108 / size),
        "spread_estimate": math.log2(len(counts) * (spread + 1) * 108 / size),
    }
    for name, value in expected.items():
        assert getattr(analysis, name) == pytest.approx(value, rel=1e-12), name


def test_entropy_and_expected_spread_add_up_to_log2_of_the_total(analysis):
    assert analysis.entropy + analysis.expected_spread == pytest.approx(
        analysis.log2_total_contexts, rel=1e-13
    )


def test_layers_have_the_counts_and_shares_of_their_parameters(analysis, plain):
    total = sum(map(sum, plain.values()))
    spread = sum(c * math.log2(c) for layer in plain.values() for c in layer)
    assert [layer.name for layer in analysis.layers] == list(plain)
    for layer in analysis.layers:
        counts = plain[layer.name]
        assert layer.num_parameters == len(counts) == sum(map(math.prod, layer.shapes))
        assert layer.log2_minimum == pytest.approx(math.log2(min(counts)), abs=1e-13)
        assert layer.log2_maximum == pytest.approx(math.log2(max(counts)), abs=1e-13)
        assert layer.share_of_contexts == pytest.approx(sum(counts) / total, rel=1e-12)
        expected = sum(c * math.log2(c) for c in counts) / spread
        assert layer.share_of_spread == pytest.approx(expected, rel=1e-12, abs=1e-15)
    assert math.fsum(layer.share_of_contexts for layer in analysis.layers) == pytest.approx(1)
    assert math.fsum(layer.share_of_spread for layer in analysis.layers) == pytest.approx(1)


def test_to_dict_has_every_attribute(analysis):
    record = analysis.to_dict()
    assert list(record) == ["name", *CATALOGUE]
    assert all(record[key] == getattr(analysis, key) for key in record)


def test_counts_are_analysed_as_they_are():
    counts = unrolled.count(small_network(), exact=False)
    analysis = unrolled.analyze(counts)
    assert analysis.counts is counts
    assert not analysis.is_exact


def test_tied_parameters_are_weight_nodes_at_each_place():
    net = Network("tied")
    kernel = net.parameter("kernel", (4, 4))
    x = net.input((4,))
    for _ in range(3):
        x = net.dense(x, 4, kernel=kernel, use_bias=False)
    net.output(x)
    analysis = unrolled.analyze(net)
    assert (analysis.num_parameters, analysis.num_weight_nodes) == (16, 48)
    # 1 + 4 + 16 contexts of each weight, from the last place to the first.
    assert analysis.total_contexts == 16 * 21
    assert analysis.surprisal_estimate == pytest.approx(math.log2(16 * 4 * 4 / (4 + 4 + 48)))
    spread = math.log2(21)
    assert analysis.spread_estimate == pytest.approx(math.log2(16 * (spread + 1) * 4 / 56))


def test_unreached_parameters_are_reported():
    net = Network("padded")
    net.output(net.conv(net.input((2, 1, 1)), 3, 3, name="conv"))
    analysis = unrolled.analyze(net)
    assert analysis.num_parameters == 9
    assert analysis.num_unreached_parameters == 48
    assert analysis.layers[0].num_unreached_parameters == 48
    assert analysis.layers[0].log2_minimum == 0
    assert math.isnan(analysis.layers[0].share_of_spread)
    assert "48 parameters reach no output" in analysis.table()
    assert "-" in analysis.table().splitlines()[-4]


def test_a_layer_without_any_context():
    net = Network("dead end")
    x = net.input((2,))
    net.dense(x, 3, name="unused")
    net.output(net.dense(x, 1, name="used"))
    unused, used = unrolled.analyze(net).layers
    assert (unused.num_parameters, unused.num_unreached_parameters) == (0, 9)
    assert math.isnan(unused.log2_maximum)
    assert (unused.share_of_contexts, used.share_of_contexts) == (0, 1)
    assert "unused" in unrolled.analyze(net).table()


@pytest.mark.parametrize("width", [80, 120])
def test_table_fits_and_is_ascii(analysis, width):
    text = analysis.table(width=width)
    lines = text.splitlines()
    assert text.isascii()
    assert max(map(len, lines)) <= width
    rows = {line.split()[0]: line.split()[1:] for line in lines if "x" in line and "layer" in line}
    assert rows["layer1"][:2] == ["4x3x3x3", "108"]
    shares = [float(cell.strip("%<")) for cell in rows["layer1"][-2:]]
    layer = analysis.layers[0]
    assert shares[0] == pytest.approx(100 * layer.share_of_contexts, abs=0.006)
    assert shares[1] == pytest.approx(100 * layer.share_of_spread, abs=0.006)


def test_table_says_what_was_counted(analysis):
    text = analysis.table()
    assert ("counted exactly" if analysis.is_exact else "counted in log space") in text
    assert f"{analysis.expected_spread:,.6f} bits" in text
    assert f"{analysis.num_parameters:,}" in text


def test_a_spectrum_alone_has_no_layers():
    analysis = Analysis(
        "numbers", Spectrum.from_counts([1, 2]), num_inputs=1, num_outputs=1, num_weight_nodes=2
    )
    with pytest.raises(InvalidArgumentError, match="numbers"):
        analysis.layers  # noqa: B018
    assert analysis.table() == analysis.summary()


def test_without_an_input_there_are_no_estimates():
    net = Network("dreaming")
    net.output(net.activation(net.parameter("w", 3)))
    analysis = unrolled.analyze(net)
    assert analysis.total_contexts == 3
    for name in ("surprisal_estimate", "spread_estimate"):
        with pytest.raises(InvalidNetworkError, match=r"'dreaming'.*input"):
            getattr(analysis, name)


def test_what_is_no_model():
    with pytest.raises(InvalidArgumentError, match="expected a Network, a Graph") as error:
        unrolled.analyze(3)
    assert str(error.value).endswith("got int 3")


def test_str_is_the_summary_and_repr_names_the_model(analysis):
    assert repr(analysis).startswith("Analysis('small', ")
    assert str(analysis) == analysis.summary()
