"""Names in tables, texts, pages and figures are shown, and never obeyed."""

from __future__ import annotations

import csv
import pickle
import re
from html.parser import HTMLParser
from io import StringIO
from xml.etree import ElementTree

import pytest

import unrolled
from cases.hostile_names import HOSTILE, STYLES, raw
from unrolled import Analysis, Spectrum, models, plot
from unrolled.importers import Provenance
from unrolled.printable import one_line, printable, printable_lines


def named(name):
    return Analysis(
        name, Spectrum.from_counts([1, 2, 4]), num_inputs=1, num_outputs=1, num_weight_nodes=3
    )


@pytest.fixture(params=HOSTILE.values(), ids=HOSTILE)
def hostile(request):
    return request.param


@pytest.fixture
def comparison(hostile):
    return unrolled.compare([named(hostile), named("plain")])


# The function itself.


def test_every_character_is_printable_afterwards():
    everything = "".join(map(chr, range(0x110000)))
    assert printable(everything).isprintable()
    assert printable(printable(everything)) == printable(everything)


def test_letters_stay():
    text = "".join(filter(str.isprintable, map(chr, range(0x30000))))
    assert printable(text) is text


def test_line_ends_are_escaped_or_joined():
    assert printable("a\r\n\tb") == "a\\r\\n\\tb"
    assert printable_lines("a\r\n\tb") == "a\\r\n\\tb"
    assert one_line(" a\r\n  b \n\n\tc\x85") == "a b \\tc\\x85"
    assert one_line(" " * 10**6) == ""


# Errors.


@pytest.mark.parametrize("kind", unrolled.errors.__all__)
def test_errors_never_print_control_characters(kind):
    for hostile in HOSTILE.values():
        error = getattr(unrolled.errors, kind)(f"layer '{hostile}'\n  cannot be read")
        assert str(error).isprintable()
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
        assert error.args[0].startswith(f"layer '{hostile}'")


def test_errors_that_quote_names_of_nodes(hostile):
    with pytest.raises(unrolled.CycleError) as caught:
        unrolled.Graph.from_edges([0, 1], [1, 0], names=[hostile, "b"])
    assert str(caught.value).isprintable()
    assert caught.value.nodes[0] in (hostile, "b")


# Tables.


def test_tables_keep_hostile_names_in_one_cell(comparison):
    for text in (comparison.table(width=80), comparison.table(width=130), repr(comparison)):
        assert raw(text) == []
    lines = comparison.table(width=130).splitlines()
    assert [len(re.split("  +", line)) for line in lines].count(1) <= len(lines)
    assert sum(printable(comparison[0].name)[:8] in line for line in lines) == 1


def test_tables_drawn_by_any_console(comparison, hostile):
    """A console that reads markup gets none to read."""
    from rich.console import Console

    console = Console(file=StringIO(), width=130, force_terminal=True, legacy_windows=False)
    console.print(comparison)
    console.print(comparison[0])
    text = console.file.getvalue()
    assert raw(text) == []
    assert printable(hostile) in STYLES.sub("", text)


def test_summaries_and_provenance(hostile):
    assert raw(named(hostile).summary()) == []
    assert named(hostile).summary().count("\n") == named("plain").summary().count("\n")
    shapes = {hostile: (1, 3)}
    provenance = Provenance(
        hostile, hostile, hostile, "value", shapes, {hostile: 2}, {hostile: 3}, {hostile: hostile}
    )
    assert raw(str(provenance)) == []
    assert str(provenance).count("\n") == 4
    assert provenance.source == hostile


# Texts.


def test_markdown(comparison):
    lines = comparison.to_markdown().splitlines()
    assert raw("\n".join(lines)) == []
    assert len(lines) == 4
    for line in lines:
        assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) == 10


def test_latex_runs_no_macro_from_a_name(comparison):
    text = comparison.to_latex()
    assert raw(text) == []
    assert len(text.splitlines()) == 8
    for line in text.splitlines()[4:6]:
        name = line.partition(" & ")[0]
        bare = re.sub(r"\\[a-z]+\{\}|\\[&%$#_{}]|\{[\[*]\}", "", name)
        assert not set(bare) & set("\\{}$&#%_~^<>[*")


def test_latex_arguments():
    """Behind a line end, LaTeX takes what begins with a bracket or a star for its argument."""
    rows = unrolled.compare([named("[1em]"), named("*")], sort="name").to_latex().splitlines()[4:6]
    assert rows[0].startswith("{*} & ")
    assert rows[1].startswith("{[}1em] & ")


@pytest.mark.parametrize("sign", [*"=+-@", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_spreadsheets_run_no_name(sign):
    for before in ("", " ", "\t", "\r"):
        name = f"{before}{sign}cmd|' /C calc'!A0"
        (row,) = csv.DictReader(StringIO(unrolled.compare([named(name)]).to_csv()))
        assert row["name"][0] in "'\\"
        assert row["name"].lstrip("'") == printable(name)


def test_spreadsheets_run_no_formula_from_a_name(comparison):
    text = comparison.to_csv()
    assert raw(text) == []
    head, *lines = text.splitlines()
    assert len(lines) == 2
    # A name is one cell, also where semicolons or tabulators part cells.
    assert all(line.startswith('"') for line in lines)
    rows = list(csv.reader(lines))
    assert {len(row) for row in rows} == {len(head.split(","))}
    names = [printable(one.name) for one in comparison]
    assert [row[0].removeprefix("'") for row in rows] == [name.removeprefix("'") for name in names]
    float(rows[0][-1])


# Pages.


class Texts(HTMLParser):
    """The texts of a page, and its tags."""

    def __init__(self, page):
        super().__init__()
        self.texts, self.tags = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.texts.append(data)


def test_pages_have_no_element_from_a_name(comparison, hostile):
    for page, benign in (
        (comparison._repr_html_(), unrolled.compare([named("a"), named("b")])._repr_html_()),
        (comparison[0]._repr_html_(), named("a")._repr_html_()),
    ):
        assert raw(page) == []
        assert Texts(page).tags == Texts(benign).tags
    assert any(printable(hostile) in text for text in Texts(comparison._repr_html_()).texts)


# Figures.


@pytest.fixture
def pyplot():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def layered(name):
    """An analysis whose model and layers have a name; networks refuse most of the hostile ones."""
    net = unrolled.Network(name=name)
    net.output(net.dense(net.dense(net.input((3,)), 2, name=name), 2, name=f"{name}b"))
    return unrolled.analyze(net)


FORMULAS = ["$x^$", "$\\frac{$", "a_$b$_c", "\\$x$", "100%", "{}^_~\\", "$$", "日本"]


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("usetex", [False, True])
def test_figures_show_names_as_they_are(pyplot, name, usetex):
    analysis = layered(name)
    with pyplot.rc_context({"text.usetex": usetex}):
        figures = [analysis.plot()[0], unrolled.compare([analysis, analysis]).plot()[0]]
    for figure in figures:
        if not usetex:
            figure.canvas.draw()  # It would fail if a name were read as a broken formula.
        named = [text for text in figure.findobj(pyplot.Text) if name in text.get_text()]
        assert named
        for text in named:
            assert not text.get_parse_math()
            assert not text.get_usetex()


@pytest.mark.filterwarnings("ignore:Glyph")
def test_figures_of_hostile_names(pyplot, comparison, tmp_path):
    with pyplot.rc_context({"svg.fonttype": "none"}):
        comparison.save(tmp_path / "ranking.svg")
        plot.save(comparison[0].plot()[0], tmp_path / "overview.svg")
    for path in tmp_path.glob("*.svg"):
        texts = [one.text or "" for one in ElementTree.parse(path).iter() if "text" in one.tag]
        assert raw("".join(texts)) == []


def test_mathematics_of_our_own_stays(pyplot):
    figure = unrolled.analyze(models.mlp(4, depth=2)).plot()[0]
    assert any("$" in text.get_text() for text in figure.findobj(pyplot.Text))
    assert all(
        text.get_parse_math() for text in figure.findobj(pyplot.Text) if "$" in text.get_text()
    )
