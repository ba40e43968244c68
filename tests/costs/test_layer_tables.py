"""Tables of layers: columns, depth, order, totals."""

from __future__ import annotations

import pytest

import unrolled
from unrolled import InvalidArgumentError, Spectrum
from unrolled.show.layers import COLUMNS


@pytest.fixture(scope="module")
def analysis():
    return unrolled.analyze(unrolled.models.resnet(18, size=64))


def rows_of(text):
    """The lines of a table between its two rules, and the totals."""
    lines = text.splitlines()
    rules = [at for at, line in enumerate(lines) if set(line) == {"-"}]
    first, second = rules
    return lines[first + 1 : second], lines[second + 1]


@pytest.mark.parametrize("column", COLUMNS)
def test_every_column(analysis, column):
    rows, totals = rows_of(analysis.table(width=120, columns=[column]))
    assert len(rows) == len(analysis.layers) + 1
    assert totals.startswith("total")


def test_groups_have_the_sums_of_their_layers(analysis):
    rows, totals = rows_of(analysis.table(width=120, columns="parameters,macs", depth=2))
    top = {line.split()[0]: line.split()[1] for line in rows if not line.startswith(" ")}
    assert list(top) == [
        *("stem", "stage1", "stage2", "stage3", "stage4", "classifier", "pool"),
    ]
    for group, shown in top.items():
        parts = [one for one in analysis.layers if one.name.split(".")[0] == group]
        assert int(shown.replace(",", "")) == sum(one.num_parameters for one in parts)
    assert totals.split()[1] == f"{analysis.num_parameters:,}"
    assert any(line.startswith("  block2 ") for line in rows)


def test_the_largest_first(analysis):
    rows, _ = rows_of(analysis.table(width=120, columns="macs", sort="parameters"))
    by_name = {layer.name: layer.num_parameters for layer in analysis.layers}
    numbers = [by_name[line.split()[0]] for line in rows[:-1]]
    assert numbers == sorted(numbers, reverse=True)


def test_names_of_a_tree_come_from_what_is_computed():
    layers = unrolled.analyze(unrolled.models.mlp([4], inputs=3)).layers
    moved = layers[0]._replace(name="onnx::MatMul_7", path="blocks.0.attn.qkv.MatMul")
    from unrolled.show.layers import layer_tree

    names = [row.name for row in layer_tree([moved, layers[1]], 2)]
    assert names == ["blocks", "  0", "classifier"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": "macz"}, "no column 'macz'; did you mean 'macs'"),
        ({"sort": "colour"}, "no column 'colour'"),
        ({"depth": 0}, "depth must be an integer of at least 1"),
        ({"dtype": "float7"}, "dtype must be"),
    ],
)
def test_what_there_is_not(analysis, options, message):
    with pytest.raises(InvalidArgumentError, match=message):
        analysis.table(**options)


def test_a_spectrum_has_no_layers_to_choose_from():
    numbers = Spectrum.from_counts([1, 2])
    alone = unrolled.Analysis("alone", numbers, num_inputs=1, num_outputs=1, num_weight_nodes=2)
    with pytest.raises(InvalidArgumentError, match="knows no layers"):
        alone.table(depth=1)


def test_attributes_name_columns_too(analysis):
    assert analysis.table(columns="num_parameters") == analysis.table(columns="parameters")
    assert analysis.table(columns="share-of-macs") == analysis.table(columns=["share_of_macs"])
