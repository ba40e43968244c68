"""What a `Comparison` turns into: data frames, CSV, Markdown, LaTeX, HTML, files."""

from __future__ import annotations

import csv
import os
from html.parser import HTMLParser
from io import StringIO

import pytest

import unrolled
from unrolled import Analysis, InvalidArgumentError, MissingPackageError, Spectrum, models
from unrolled._support import files, optional
from unrolled.spectrum.catalogue import CATALOGUE

NASTY = "a|b & <script>alert(1)</script> 50% $x_1^2$ ~{}\\"


@pytest.fixture(scope="module")
def comparison():
    nets = [models.mlp(4, depth=depth, inputs=4, name=f"mlp{depth}") for depth in (2, 1)]
    huge = Analysis(
        NASTY,
        Spectrum.from_counts({1: 3, 2**20000: 1}),
        num_inputs=2,
        num_outputs=1,
        num_weight_nodes=4,
    )
    return unrolled.compare([*nets, huge], sort="spread_estimate")


class Cells(HTMLParser):
    """Collects the texts of the cells of all tables, and all tags."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.tags, self._open = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        self._open = tag in ("td", "th")
        if self._open:
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        self._open = False

    def handle_data(self, data):
        if self._open:
            self.rows[-1][-1] += data.strip()


def test_data_frames_keep_exact_figures(comparison):
    pytest.importorskip("pandas")
    frame = comparison.to_pandas()
    assert list(frame.columns) == list(CATALOGUE)
    assert list(frame.index) == [one.name for one in comparison]
    for one in comparison:
        assert frame.loc[one.name, "total_contexts"] == one.total_contexts
        assert frame.loc[one.name, "entropy"] == one.entropy


def test_to_pandas_in_log_space():
    pytest.importorskip("pandas")
    frame = unrolled.compare([models.mlp(4, depth=1)], exact=False).to_pandas()
    assert frame["total_contexts"].tolist() == [None]


def test_csv_has_every_digit(comparison):
    rows = list(csv.DictReader(StringIO(comparison.to_csv())))
    assert [row["name"] for row in rows] == [one.name for one in comparison]
    for row, one in zip(rows, comparison, strict=True):
        assert float(row["total_surprisal"]) == one.total_surprisal
        assert int(row["num_parameters"]) == one.num_parameters
        digits = row["total_contexts"]
        assert int(digits[-9:]) == one.total_contexts % 10**9
    assert max(len(row["total_contexts"]) for row in rows) == 6021  # ceil(20000 log10(2))


def test_csv_of_log_space_has_no_total():
    text = unrolled.compare([models.mlp(4, depth=1)], exact=False).to_csv()
    (row,) = csv.DictReader(StringIO(text))
    assert row["total_contexts"] == ""


def test_markdown_escapes_names(comparison):
    head, rule, *rows = comparison.to_markdown().splitlines()
    assert head.startswith("| model | parameters | inputs | log2 Z (bits)")
    assert rule.count("|") == head.count("|") == 10
    for row, one in zip(rows, comparison, strict=True):
        unescaped = row.replace("\\\\", "").replace("\\|", "")
        assert unescaped.count("|") == 10
        assert f"| {one.spread_estimate:.3f} |" in row
    assert any("\\<script\\>" in row for row in rows)


def test_latex_escapes_names(comparison):
    lines = comparison.to_latex().splitlines()
    assert lines[0] == r"\begin{tabular}{lrrrrrrrr}"
    assert lines[-1] == r"\end{tabular}"
    rows = lines[lines.index(r"\midrule") + 1 : lines.index(r"\bottomrule")]
    assert len(rows) == 3
    for row in rows:
        assert row.replace(r"\&", "").count("&") == 8
        assert row.endswith(r"\\")
    assert r"50\% \$x\_1\textasciicircum{}2\$ \textasciitilde{}\{\}\textbackslash{}" in "".join(
        rows
    )


@pytest.mark.parametrize("method", ["to_csv", "to_markdown", "to_latex"])
def test_texts_go_to_files_too(comparison, method, tmp_path):
    text = getattr(comparison, method)(tmp_path / "file")
    assert (tmp_path / "file").read_text() == text == getattr(comparison, method)()
    assert os.listdir(tmp_path) == ["file"]


def test_html_of_a_comparison(comparison):
    text = comparison._repr_html_()
    cells = Cells(text)
    assert "script" not in cells.tags
    head, *rows = cells.rows
    assert len(head) == 9
    assert [row[0] for row in rows] == [one.name for one in comparison]
    assert rows[0][-1] == f"{comparison[0].spread_estimate:.3f}"


def test_html_of_many_models_is_capped():
    one = unrolled.analyze(models.mlp(4, depth=1))
    text = unrolled.compare([one] * 100, scores=False)._repr_html_()
    assert len(Cells(text).rows) == 61
    assert "40 more models are not shown" in text


def test_html_of_an_analysis():
    analysis = unrolled.analyze(models.resnet(50, size=32))
    text = analysis._repr_html_()
    cells = Cells(text)
    assert ["entropy H", f"{analysis.entropy:,.6f} bits"] in cells.rows
    assert [row[0] for row in cells.rows].count("stem.conv") == 1
    assert f"{len(analysis.layers) - 60} more layers are not shown" in text


def test_html_of_an_analysis_without_counts(comparison):
    (nasty,) = (one for one in comparison if one.name == NASTY)
    cells = Cells(nasty._repr_html_())
    assert "script" not in cells.tags
    assert len(cells.rows) == len(nasty.summary().splitlines())


def test_html_says_what_a_bound_is():
    bound = unrolled.analyze(models.resnet(18, size=32), input_size=40)
    assert "lower bounds for inputs of 40 x 40" in bound._repr_html_()


@pytest.mark.parametrize("suffix", [".csv", ".md", ".tex", ".MD"])
def test_saved_tables_are_those_of_the_methods(comparison, suffix, tmp_path):
    path = comparison.save(tmp_path / f"ranking{suffix}")
    methods = {".csv": "to_csv", ".md": "to_markdown", ".tex": "to_latex"}
    assert path.read_text() == getattr(comparison, methods[suffix.lower()])()


@pytest.mark.parametrize("name", ["ranking", "ranking.txt", "ranking.json"])
def test_save_nothing_else(comparison, name, tmp_path):
    with pytest.raises(InvalidArgumentError, match=r"must end in \.html, \.csv"):
        comparison.save(tmp_path / name)
    assert os.listdir(tmp_path) == []


def test_save_with_options_of_a_report(comparison, tmp_path):
    with pytest.raises(InvalidArgumentError, match="title are options of a report"):
        comparison.save(tmp_path / "ranking.csv", title="Ranking")


# Files.


def test_nothing_half_written_is_left(tmp_path):
    path = tmp_path / "file"
    path.write_text("before")

    def fail(file):
        file.write(b"half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        files.write_with(path, fail)
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["file"]


def test_errors_name_the_file_that_was_asked_for(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none/file\.csv") as caught:
        files.write(tmp_path / "none" / "file.csv", "text")
    assert ".part" not in str(caught.value)
    with pytest.raises(IsADirectoryError):
        files.write(tmp_path, "text")


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="no symbolic links")
def test_links_and_devices_stay_what_they_are(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    files.write(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "text"
    files.write(os.devnull, "text")
    assert not os.path.isfile(os.devnull)


def test_whether_a_file_can_be_written_is_known_before(tmp_path):
    (tmp_path / "there").write_text("before")
    for name in ("there", "new"):
        files.check_writable(tmp_path / name)
    assert (tmp_path / "there").read_text() == "before"
    assert os.listdir(tmp_path) == ["there"]
    files.check_writable(os.devnull)
    with pytest.raises(FileNotFoundError, match=r"none/file\.csv") as caught:
        files.check_writable(tmp_path / "none" / "file.csv")
    assert ".part" not in str(caught.value)
    with pytest.raises(IsADirectoryError):
        files.check_writable(tmp_path)
    with pytest.raises(NotADirectoryError):
        files.check_writable(tmp_path / "there" / "file.csv")


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="no symbolic links")
def test_links_that_lead_to_themselves(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    files.check_writable(tmp_path / "loop")
    files.write(tmp_path / "loop", "text")
    assert (tmp_path / "loop").read_text() == "text"


# Missing packages.


def test_missing_package_is_one_line_that_says_what_to_install():
    with pytest.raises(MissingPackageError, match=r"pip install 'unrolled\[plot\]'") as caught:
        optional.import_optional("no_such_package.part", "plot")
    assert "\n" not in str(caught.value)
    assert caught.value.name == "no_such_package"
    assert isinstance(caught.value, ImportError)


def test_errors_inside_a_package_are_not_hidden(tmp_path, monkeypatch):
    (tmp_path / "broken_package.py").write_text("import what_it_needs")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="what_it_needs") as caught:
        optional.import_optional("broken_package", "plot")
    assert not isinstance(caught.value, MissingPackageError)


@pytest.mark.parametrize(
    ("package", "extra", "use"),
    [
        ("pandas", "pandas", lambda comparison, path: comparison.to_pandas()),
        ("matplotlib", "plot", lambda comparison, path: comparison.plot()),
        ("matplotlib", "plot", lambda comparison, path: comparison[0].plot()),
        ("matplotlib", "plot", lambda comparison, path: comparison.save(path / "a.png")),
        ("bokeh", "report", lambda comparison, path: comparison.save(path / "a.html")),
        ("jinja2", "report", lambda comparison, path: comparison.save(path / "a.html")),
    ],
)
def test_every_extra_is_asked_for(comparison, package, extra, use, tmp_path, monkeypatch):
    def import_module(name):
        if name.partition(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return original(name)

    original = optional.import_module
    monkeypatch.setattr(optional, "import_module", import_module)
    with pytest.raises(MissingPackageError, match=rf"needs {package}.*unrolled\[{extra}\]"):
        use(comparison, tmp_path)
    assert os.listdir(tmp_path) == []
