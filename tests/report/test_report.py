"""Reports: what is in them, that they load nothing, and that a browser draws them."""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import pytest

import unrolled
from cases.hostile_names import HOSTILE, raw
from command_line import invoke
from unrolled import InvalidArgumentError, Spectrum, models
from unrolled.analysis import Analysis

pytest.importorskip("bokeh")
pytest.importorskip("jinja2")

from unrolled import report
from unrolled.report.charts import looks
from unrolled.show import html
from unrolled.show.plot import sensible_zero

BEGIN_OF_CHARTS = '<script type="application/json" id="charts">'
NASTY = "</script><script>document.title='broken'</script><img src=x onerror=alert(1)>&amp;\"'"
PUBLISHED = ["resnet50", *(f"efficientnetv2-{one}" for one in ("b0", "b1", "b2", "b3", *"sml"))]
VOID = {"meta", "br", "img", "input", "link", "hr"}
UNCLOSED = {"tr", "td", "th"}


class Page(HTMLParser):
    """Checks that tags nest, and collects what is of interest."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.ids, self.references, self.texts = [], [], [], [], {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        self.ids += [attrs[key] for key in ("id",) if key in attrs]
        self.references += [attrs[key] for key in ("src", "href", "action") if key in attrs]
        if tag not in VOID | UNCLOSED:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in UNCLOSED:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data.strip())


@pytest.fixture(scope="module")
def comparison():
    nets = [models.resnet(18, size=size, activations=True) for size in (8, 32)]
    nets.append(models.mlp(4, depth=2, name=NASTY))
    alone = Analysis(
        "alone", Spectrum.from_counts([1, 2]), num_inputs=1, num_outputs=1, num_weight_nodes=2
    )
    return unrolled.compare([*nets, alone])


@pytest.fixture(scope="module")
def text(comparison):
    return report.render(comparison)


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def charts(page):
    return json.loads(next(text for text in page.texts["script"] if text.startswith("{")))


def test_a_page_that_refers_to_itself_only(page):
    assert page.references
    assert all(reference.startswith("#") for reference in page.references)
    assert {reference[1:] for reference in page.references} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert not {tag for tag, _ in page.tags} & {"img", "link", "iframe", "object", "base"}


def test_styles_and_our_script_load_nothing(page):
    (style,) = page.texts["style"]
    assert not re.search(r"url\(|@import|https?:", style)
    ours = [text for text in page.texts["script"] if "embed_items" in text][-1]
    assert not re.search(r"https?:|fetch|XMLHttp|import\(", ours)


def test_it_says_what_language_and_width_it_is_for(page):
    assert ("html", {"lang": "en"}) in page.tags
    assert any(attrs.get("name") == "viewport" for _, attrs in page.tags)


def test_tables_are_accessible(page):
    tables = sum(tag == "table" for tag, _ in page.tags)
    assert sum(tag == "caption" for tag, _ in page.tags) == tables > 3
    assert all("scope" in attrs for tag, attrs in page.tags if tag == "th")
    for tag, attrs in page.tags:
        if attrs.get("role") in ("group", "region"):
            assert attrs["aria-label"], tag


def test_the_ranking_is_in_order(page, comparison):
    names = [text for text in page.texts["tbody"] if text in {one.name for one in comparison}]
    assert names[: len(comparison)] == [one.name for one in comparison]


def test_every_layer_is_listed(text, comparison):
    for one in comparison:
        for layer in one.layers if one.counts else []:
            assert f'<th scope="row">{layer.name}<td>' in text


def test_names_are_escaped(page, text):
    scripts = sum(tag == "script" for tag, _ in page.tags)
    plain = unrolled.compare([models.mlp(4, depth=2)])
    assert scripts == sum(tag == "script" for tag, _ in Page(report.render(plain)).tags)
    assert NASTY not in text
    assert any(NASTY in texts for texts in page.texts["label"])


def test_a_title_is_escaped(comparison):
    page = Page(report.render(comparison, title=NASTY))
    assert page.texts["title"] == page.texts["h1"] == [NASTY]


def test_charts_have_every_model_and_layer(page, comparison):
    content = json.dumps(charts(page)["document"])
    for one in comparison:
        assert json.dumps(one.name) in content
    assert '"stage4.block2.second.conv"' in content
    assert set(charts(page)["roots"].values()) <= set(page.ids)


def test_models_of_equal_names_are_told_apart(page):
    labels = [text for text in page.texts["label"] if text.startswith("resnet18")]
    assert labels == ["resnet18", "resnet18 (2)"]


def test_equal_reports_are_equal_files(comparison, text):
    assert report.render(comparison) == text


def test_date_and_versions(comparison):
    page = Page(report.render(comparison, date=datetime.date(2024, 2, 29)))
    cells = page.texts["tbody"]
    assert cells[cells.index("date") + 1] == "2024-02-29"
    assert cells[cells.index("unrolled") + 1] == unrolled.__version__
    for part in ("Python", "NumPy", "Bokeh"):
        assert re.match(r"\d+\.", cells[cells.index(part) + 1])


def test_semantics_and_shapes(page):
    cells = page.texts["tbody"]
    assert "3,072 (3 × 32 × 32)" in cells
    assert "value" in cells


def test_a_bound_is_marked():
    bound = unrolled.analyze(models.resnet(18, size=32), input_size=40)
    text = report.render(unrolled.compare([bound]))
    assert "lower bounds for inputs of 40 x 40" in text
    assert "for 40 × 40, counted at a smaller size" in text
    assert "<h1>Contexts of resnet18</h1>" in text


@pytest.mark.parametrize("key", ["name", "total_contexts", "num_inputs", "surprisal_estimate"])
def test_rows_follow_the_order_of_the_comparison(comparison, key):
    ranked = unrolled.compare(comparison, sort=key)
    page = Page(report.render(ranked))
    names = [text for text in page.texts["tbody"] if text in {one.name for one in ranked}]
    assert names[: len(ranked)] == [one.name for one in ranked]


def test_one_parameter_has_no_finite_estimate():
    net = unrolled.Network("one")
    net.output(net.dense(net.input((1,)), 1, use_bias=False))
    text = report.render(unrolled.compare([net], sort="surprisal_estimate"))
    assert "<td>-inf" in text
    json.loads(
        re.search(r'id="charts">(.*?)</script>', text)[1],
        parse_constant=lambda name: pytest.fail(name),
    )


def test_the_temperature_sweep_has_the_published_setting_and_breaks_at_zero(page, comparison):
    """The published setting is in the table, and the curves break at T = 0."""
    one = comparison[0]
    cells = page.texts["tbody"]
    at = [place for place, text in enumerate(cells) if text == one.name]
    row = next(cells[place : place + 6] for place in at if cells[place + 1] == "-1")
    figures = (one.log2_total_contexts, one.expected_spread, one.entropy)
    assert row[2:5] == [f"{value:,.3f}" for value in figures]
    content = json.dumps(charts(page)["document"])
    temperatures = re.search(r'"temperature", \[([^]]*)\]', content)[1]
    assert temperatures.count("nan") == 1
    assert "-0.0, {" in temperatures
    assert "}, 0.0" in temperatures


def test_peaks_are_those_of_the_ensemble(page, comparison):
    """Report, figure and shell name the same peaks, at the same temperatures."""
    cells = page.texts["tbody"]
    for one in comparison:
        peaks = unrolled.Ensemble.from_counts(one, unit="bits").heat_capacity_peaks()
        for peak in peaks:
            row = [one.name, peak.name, f"{peak.temperature:.6g}", f"{peak.beta:,.6g}"]
            assert row in [cells[at : at + 4] for at in range(len(cells))]
    content = json.dumps(charts(page)["document"])
    assert '"peak", ["A", "B"' in content


def test_temperatures_of_one_s_own(comparison):
    text = report.render(comparison, temperatures=[3.25, -7.125])
    for column in ("x", "temperature"):
        assert f'["{column}",[-7.125,{{"type":"number","value":"nan"}},3.25]]' in text
    for wrong in ([0], [], ["hot"]):
        with pytest.raises(InvalidArgumentError):
            report.render(comparison, temperatures=wrong)


def test_nothing_to_report(comparison):
    empty = type(comparison)([], "name", None)
    with pytest.raises(InvalidArgumentError, match="nothing to report"):
        report.render(empty)


@pytest.mark.parametrize("options", [{"title": 3}, {"date": 20240229}])
def test_what_is_no_text(comparison, options):
    with pytest.raises(InvalidArgumentError, match="must be text, got int"):
        report.render(comparison, **options)


def test_a_saved_report_is_the_rendered_text(comparison, tmp_path):
    path = comparison.save(tmp_path / "report.html", title="Ranking")
    assert path.read_text() == report.render(comparison, title="Ranking")
    assert os.listdir(tmp_path) == ["report.html"]


def test_the_licence_of_the_library_is_kept(text):
    assert "Copyright (c) Anaconda" in text
    assert "Redistributions in binary form must reproduce" in text


# In a browser.


def browser():
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return next(filter(None, map(shutil.which, names)), None)


def run_in_browser(path, *options):
    """The page as headless Chromium has it after running its scripts, without any network."""
    if browser() is None:
        pytest.skip("no Chromium")
    command = [
        browser(),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={path.parent / 'profile'}",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--virtual-time-budget=20000",
        "--dump-dom",
        *options,
        path.as_uri(),
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return result.stdout


@pytest.fixture(scope="module")
def rendered(comparison, tmp_path_factory):
    return run_in_browser(comparison.save(tmp_path_factory.mktemp("report") / "report.html"))


def test_a_browser_draws_all_charts(rendered, page):
    drawn = re.search(r'<html[^>]* data-charts="([^"]*)"', rendered)
    assert drawn is not None, rendered[:300]
    assert drawn[1] == f"{len(charts(page)['roots'])} drawn"


def test_nothing_of_a_name_runs(rendered):
    assert "<title>4 models by" in rendered


def test_the_report_of_the_published_models_is_under_three_megabytes():
    text = report.render(unrolled.compare(PUBLISHED))
    assert len(text.encode()) < 3_000_000


@pytest.mark.parametrize(
    "names",
    [
        ["a (3)", "a", "a"],
        ["a", "a", "a (2)", "a"],
        ["a", "a (2)", "a", "a (2)"],
        ["a"] * 5,
        ["a\x1b", "a\\x1b", "a\x1b"],
    ],
)
def test_every_model_has_a_key_of_its_own(names):
    keys = [look.key for look in looks(names)]
    assert len(set(keys)) == len(keys)
    assert all(key.isprintable() for key in keys)
    # A name that one model has alone is its key, and the first of several has it as well.
    assert {key for name, key in zip(names, keys, strict=True) if name == key} >= {
        name for name in names if name.isprintable() and names.count(name) == 1
    } - {"a\\x1b"}


def test_hostile_names_in_a_report():
    def page(names):
        analyses = [
            Analysis(
                name, Spectrum.from_counts([1, 2]), num_inputs=1, num_outputs=1, num_weight_nodes=2
            )
            for name in names
        ]
        title = "".join(names)
        return report.render(unrolled.compare(analyses), title=title, date=title)

    hostile, benign = page(HOSTILE.values()), page(map(str, range(len(HOSTILE))))
    assert [tag for tag, _ in Page(hostile).tags] == [tag for tag, _ in Page(benign).tags]
    shown, rest = hostile.split(BEGIN_OF_CHARTS)
    drawn = rest.partition("</script>")[0]
    assert raw(shown) == raw(drawn) == []
    assert all(one.isprintable() for one in strings(json.loads(drawn)))


def strings(value):
    """All strings in a structure of JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from strings(one)


def test_signals_at_initialisation_have_a_section_if_asked_for(tmp_path):
    net = unrolled.Network(NASTY)
    x = net.input((16,))
    for _ in range(20):
        x = net.activation(net.dense(x, 16))
    net.output(x)
    comparison = unrolled.compare([net])
    assert 'id="initialization"' not in report.render(comparison)
    found = unrolled.initialization_report(net, "lecun")
    page = report.render(comparison, initializations=[found])
    parsed = Page(page)
    assert "initialization" in parsed.ids
    assert "#initialization" in parsed.references
    shown = parsed.texts["li"]
    assert any("The signal vanishes: at layer" in text for text in shown)
    assert any("Advice: Behind relu" in text for text in shown)
    assert "<img src=x" not in page

    path = tmp_path / "report.html"
    result = invoke("report", "resnet18", "--size", 32, "--init", "torch", "-o", path)
    assert result.exit_code == 0, result.stderr
    assert "resnet18: sound" in path.read_text(encoding="utf-8")
    result = invoke("report", "resnet18", "--size", 32, "--init", "hee", "-o", path)
    assert result.exit_code == 2
    assert "did you mean 'he'" in result.stderr


def test_the_headline_states_the_finding(page, comparison):
    """Which model leads, and by how much."""
    first, second = comparison[0], comparison[1]
    (finding,) = [one for one in page.texts["p"] if one.startswith(first.name)]
    assert "has the largest log size" in finding
    assert f"{comparison.scores[0].log_size:.3f} nats, before {second.name}" in finding


def test_the_headline_of_a_published_ranking(comparison):
    ranked = unrolled.compare(comparison, sort="spread_estimate")
    text = report.render(ranked)
    (finding,) = [one for one in Page(text).texts["p"] if one.startswith(ranked[0].name)]
    assert "has the largest spread estimate" in finding
    assert f"{ranked[0].spread_estimate:.3f} bits, before {ranked[1].name}" in finding


def test_one_model_is_told_by_its_main_layers():
    analysis = unrolled.analyze(models.resnet(18, size=32))
    text = report.render(unrolled.compare([analysis]))
    shares = sorted((one.share_of_spread for one in analysis.layers), reverse=True)
    assert shares[0] > 0.5
    assert f"comes from one layer, {analysis.layers[0].name}, of 41" in text


@pytest.mark.parametrize(
    ("values", "start"),
    [([3.0, 10.0], 0), ([26.05, 26.4, 26.7], 25.9), ([5.0], 0), ([0.0, 9.0], 0), ([7.0, 7.0], 0)],
)
def test_bars_begin_at_a_sensible_zero(values, start):
    assert sensible_zero(values) == start


def test_symbols_are_mathematics():
    assert html.mathematics("P'_G") == "<var>P</var>\N{PRIME}<sub>G</sub>"
    assert html.mathematics("<b> C_v") == "&lt;b&gt; <var>C</var><sub>v</sub>"
    assert html.mathematics("CNN, ResNet E-1") == "CNN, ResNet E-1"


def test_many_models_have_names_at_their_points_and_a_filter():
    nets = [models.mlp([4 + at], inputs=3, name=f"mlp{at}") for at in range(12)]
    text = report.render(unrolled.compare(nets))
    assert '<input type="search"' in text
    for at in range(12):
        assert f'"label",["mlp{at}"]' in text


LOOK_AT_NAMES = """<script>
setTimeout(() => {
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = "10px Helvetica, Arial, sans-serif";
  let shown = 0, wrong = 0;
  for (const view of Bokeh.index) {
    const named = (view.model.renderers ?? []).filter((one) => one.glyph?.tags.includes("name"));
    if (!named.length) continue;
    const of = (value) => value?.value ?? value;
    const seen = named.filter((one) => of(one.glyph.text_alpha) > 0);
    const boxes = seen.map((one) => {
      const { data_source: data } = one;
      const at = (axis) => view.frame[`${axis}_scale`].compute(data.get_column(axis)[0]);
      const width = pen.measureText(one.data_source.get_column("label")[0]).width;
      const part = { left: 0, right: 1, center: 0.5 }[of(one.glyph.text_align)];
      const left = at("x") + of(one.glyph.x_offset) - part * width;
      const middle = at("y") + of(one.glyph.y_offset);
      return [left, left + width, middle - 5, middle + 5];
    });
    shown += boxes.length;
    const { left, right } = view.frame.bbox;
    boxes.forEach((a, i) => {
      if (a[0] < left || a[1] > right) wrong += 1;
      boxes.slice(0, i).forEach((b) => {
        if (a[0] < b[1] && b[0] < a[1] && a[2] < b[3] && b[2] < a[3]) wrong += 1;
      });
    });
  }
  document.documentElement.dataset.names = `${shown} shown, ${wrong} wrong`;
}, 3000);
</script>"""


@pytest.mark.parametrize(("width", "least"), [(1280, 30), (500, 20)])
def test_names_at_points_cover_neither_each_other_nor_the_edges(width, least, tmp_path):
    nets = [
        models.mlp([20 + 7 * (at % 5), 20 + at], inputs=3, name=f"a_model_of_some_length_{at}")
        for at in range(26)
    ]
    path = tmp_path / "report.html"
    text = report.render(unrolled.compare(nets)).replace("</body>", f"{LOOK_AT_NAMES}</body>")
    path.write_text(text)
    found = re.search(
        r'data-names="(\d+) shown, (\d+) wrong"',
        run_in_browser(path, f"--window-size={width},900"),
    )
    assert found is not None
    shown, wrong = map(int, found.groups())
    assert wrong == 0
    assert shown >= least


@pytest.fixture(scope="module")
def overviews():
    theory = pytest.importorskip("unrolled.theory")
    nets = [models.mlp([8, 8], inputs=3, name="plain"), models.mlp([8], inputs=3, name=NASTY)]
    return [theory.overview(net) for net in nets]


def test_the_theory_has_a_tab_of_its_own(comparison, overviews):
    text = report.render(comparison, overviews=overviews)
    page = Page(text)
    assert ("a", {"href": "#theory"}) in page.tags
    for one in overviews:
        for heading, value in one.summary().items():
            assert html.escaped(heading) in text
            assert f">{html.escaped(value)}" in text
        for block in one.blocks():
            assert f"<h4>{block.heading.capitalize()}</h4>" in text
            assert html.escaped(block.title) in text
        for _, result in one.parts():
            if hasattr(result, "assumptions"):
                assert html.escaped(result.assumptions)[:700] in text
    assert "theory" not in Page(report.render(comparison)).ids


def test_a_part_of_the_theory_that_does_not_apply_says_why(comparison):
    theory = pytest.importorskip("unrolled.theory")
    net = unrolled.Network("smooth")
    net.output(net.dense(net.activation(net.dense(net.input((4,)), 8), "gelu"), 2))
    found = theory.overview(net)
    text = report.render(comparison, overviews=[found])
    assert f"Does not apply: {html.escaped(found.missing['regions'])}" in text
    assert found.summary()["linear regions, at most (log2)"] == "-"


def test_the_shell_writes_the_theory_of_networks(tmp_path):
    graph = tmp_path / "chain.csv"
    graph.write_text("source,target\n0,1\n1,2\n")
    path = tmp_path / "report.html"
    line = ("report", "resnet18", graph, "--size", 32, "-o", path)
    assert invoke(*line).exit_code == 0
    assert "resnet18: all parts, with their assumptions" in path.read_text()
    assert "chain: all parts" not in path.read_text()
    assert invoke(*line, "--no-theory").exit_code == 0
    assert 'id="theory"' not in path.read_text()


def test_the_theory_needs_no_scipy_and_says_what_would(tmp_path):
    """In an interpreter that cannot import SciPy."""
    code = (
        "import sys; sys.modules['scipy'] = None\n"
        "from unrolled.cli import main\n"
        "main(['report', 'resnet18', '--size', '32', '-o', sys.argv[1]])\n"
    )
    path = tmp_path / "report.html"
    subprocess.run([sys.executable, "-c", code, path], check=True, timeout=120)
    text = path.read_text()
    assert 'id="theory"' in text
    assert "Does not apply" not in text or "pip install" in text


def test_a_chart_of_scores(page, comparison):
    roots = charts(page)["roots"].values()
    assert "chart-scores" in roots
    assert ("a", {"href": "#scores"}) in page.tags
    published = report.render(unrolled.compare(comparison, sort="spread_estimate"))
    assert 'id="chart-scores"' not in published
