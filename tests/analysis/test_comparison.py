"""`compare` and its table."""

import pytest

import unrolled
from unrolled import InvalidArgumentError, UnknownModelError, models
from unrolled.spectrum.catalogue import RANKED


def networks():
    return [models.mlp(4, depth=depth, inputs=4, name=f"mlp{depth}") for depth in (2, 12, 1)]


@pytest.fixture(scope="module")
def comparison():
    return unrolled.compare(networks(), sort="spread_estimate")


def names(comparison):
    return [analysis.name for analysis in comparison]


def test_largest_spread_estimate_first(comparison):
    estimates = [analysis.spread_estimate for analysis in comparison]
    assert estimates == sorted(estimates, reverse=True)
    assert names(comparison) == ["mlp12", "mlp2", "mlp1"]


@pytest.mark.parametrize("key", RANKED)
@pytest.mark.parametrize("ascending", [True, False])
def test_every_sort_key(key, ascending):
    ranked = unrolled.compare(networks(), sort=key, ascending=ascending)
    values = [getattr(analysis, key) for analysis in ranked]
    assert values == sorted(values, reverse=not ascending)


def test_total_contexts_rank_in_log_space_too():
    ranked = unrolled.compare(networks(), sort="total_contexts", exact=False)
    assert names(ranked) == ["mlp12", "mlp2", "mlp1"]


def test_names_are_alphabetical_by_default():
    assert names(unrolled.compare(networks(), sort="name")) == ["mlp1", "mlp12", "mlp2"]


def test_takes_networks_counts_analyses_and_names():
    given = networks()
    mixed = [unrolled.count(given[0]), unrolled.analyze(given[1]), given[2]]
    assert names(unrolled.compare(mixed)) == ["mlp12", "mlp2", "mlp1"]


def test_sequence_of_analyses(comparison):
    assert len(comparison) == 3
    assert comparison[0].name == "mlp12"
    assert comparison.to_dict() == [analysis.to_dict() for analysis in comparison]
    assert repr(comparison) == str(comparison) == comparison.table()


@pytest.mark.parametrize("exact", [True, False])
def test_log_space_is_marked(exact):
    ranked = unrolled.compare(networks(), exact=exact)
    assert [analysis.is_exact for analysis in ranked] == [exact] * len(ranked)
    is_marked = "log space" in ranked.table()
    assert is_marked is not exact


@pytest.mark.parametrize("width", [80, 120])
def test_table_fits_and_is_ascii(comparison, width):
    text = comparison.table(width=width)
    lines = text.splitlines()
    assert text.isascii()
    assert max(map(len, lines)) <= width
    rows = [line.split() for line in lines if line.startswith("mlp")]
    assert [row[0] for row in rows] == names(comparison)
    decimals = 2 if width < 110 else 3
    for row, analysis in zip(rows, comparison, strict=True):
        assert row[1:3] == [f"{analysis.num_parameters:,}", "4"]
        assert row[3] == f"{analysis.log2_total_contexts:.{decimals}f}"
        assert row[-1] == f"{analysis.spread_estimate:.{decimals}f}"


def test_a_narrow_table_loses_no_digit(comparison):
    """Columns without room follow below, beside the names."""
    parts: dict[str, list[str]] = {}
    for line in comparison.table(width=40).splitlines():
        if line.startswith("mlp"):
            name, *cells = line.split()
            parts.setdefault(name, []).extend(cells)
    assert [[name, *cells] for name, cells in parts.items()] == [
        line.split() for line in comparison.table(width=80).splitlines() if line.startswith("mlp")
    ]


@pytest.mark.parametrize(
    ("key", "title"),
    [("entropy", "Models by entropy,"), ("num_inputs", "Models by number of inputs,")],
)
def test_table_says_how_it_is_sorted(key, title):
    text = unrolled.compare(networks(), sort=key, ascending=True).table()
    assert text.startswith(f"{title} smallest first")


def test_progress_is_reported_for_each_model():
    steps = []
    unrolled.compare(networks(), progress=lambda done, total: steps.append((done, total)))
    assert steps == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_progress_that_cannot_be_called():
    with pytest.raises(InvalidArgumentError, match=r"progress must be a function.*got int 3"):
        unrolled.compare(networks(), progress=3)


@pytest.mark.parametrize("given", ["resnet50", b"x", 3, None])
def test_what_is_no_list(given):
    with pytest.raises(InvalidArgumentError, match="takes a list"):
        unrolled.compare(given)


def test_nothing_to_compare():
    with pytest.raises(InvalidArgumentError, match="at least one"):
        unrolled.compare([])


def test_unknown_sort_key():
    with pytest.raises(InvalidArgumentError, match="did you mean 'entropy'"):
        unrolled.compare(networks(), sort="entropi")


def test_an_unknown_model_is_refused_with_a_suggestion():
    with pytest.raises(UnknownModelError, match="resnet50"):
        unrolled.compare(["resnet51"])


def test_what_is_no_model():
    with pytest.raises(InvalidArgumentError, match="got int 3"):
        unrolled.compare([3])
