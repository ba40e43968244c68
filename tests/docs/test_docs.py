"""Every example in a docstring and in the README runs, and prints what it says."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import unrolled
from unrolled import cli

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
PAGES_WITH_EXAMPLES = [page for page in PAGES if "\n```python\n" in page.read_text()]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(unrolled.__path__, "unrolled.")
    if not module.name.endswith(("__main__", "_core"))
)


def run(example: doctest.DocTest) -> None:
    report: list[str] = []
    results = doctest.DocTestRunner(optionflags=FLAGS).run(example, out=report.append)
    assert not results.failed, "".join(report)


def fenced_blocks(language: str, page: Path = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


FRAMEWORKS = ("jax", "keras", "onnx", "torch")
"""The examples of their importers run where the framework is installed."""


@pytest.fixture(autouse=True)
def rules_of_examples() -> Iterator[None]:
    """Other tests do not meet the operators that examples write rules for."""
    doors = [importlib.import_module(f"unrolled.importers.{name}") for name in FRAMEWORKS]
    before = [set(door.operators()) for door in doors]
    yield
    for door, names in zip(doors, before, strict=True):
        door.importer.TABLE.remove(*set(door.operators()) - names)


@pytest.mark.parametrize("name", ["unrolled", *MODULES])
def test_examples_of_module(name: str) -> None:
    for framework in set(name.split(".")).intersection(FRAMEWORKS):
        pytest.importorskip(framework, exc_type=ImportError)
    module = importlib.import_module(name)
    for example in doctest.DocTestFinder(exclude_empty=True).find(module):
        run(example)


@pytest.mark.parametrize("name", [name for name in unrolled.__all__ if not name.startswith("__")])
def test_public_name_is_documented(name: str) -> None:
    assert (getattr(unrolled, name).__doc__ or "").strip()


FUNCTIONS = [name for name in unrolled.__all__ if inspect.isfunction(getattr(unrolled, name))]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_public_function_has_an_example(name: str) -> None:
    finder = doctest.DocTestFinder(exclude_empty=False)
    assert any(found.examples for found in finder.find(getattr(unrolled, name), name))


@pytest.mark.parametrize("page", PAGES_WITH_EXAMPLES, ids=lambda page: str(page.relative_to(ROOT)))
def test_examples_of_page_print_what_they_say(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All blocks are one session: later ones use the names of earlier ones. What is not Python
    # becomes empty lines, so that a failure is reported with its line.
    fence, lines = None, []
    for line in page.read_text().splitlines():
        if line.startswith("```"):
            fence = line.removeprefix("```") or None
            lines.append("")
        else:
            lines.append(line if fence == "python" else "")
    example = doctest.DocTestParser().get_doctest("\n".join(lines), {}, page.name, str(page), 0)
    assert len(example.examples) >= len(fenced_blocks("python", page)) > 0
    monkeypatch.chdir(tmp_path)  # Files the examples write.
    monkeypatch.setenv("MPLBACKEND", "agg")
    run(example)


@pytest.mark.parametrize("block", fenced_blocks("console"))
def test_commands_of_readme_print_what_they_say(
    block: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    command, _, expected = block.partition("\n")
    program, *arguments = shlex.split(command.removeprefix("$ "))
    assert program == "unrolled"
    monkeypatch.setenv("COLUMNS", "132")
    result = CliRunner().invoke(cli.main, arguments)
    assert result.exit_code == 0, result.output
    checker = doctest.OutputChecker()
    assert checker.check_output(expected, result.output, FLAGS), result.output


def test_readme_has_the_published_table() -> None:
    """The command line that installs and compares is followed by what it prints."""
    command = re.search(
        r"^python3 -m venv .*(unrolled compare .*)$", README.read_text(), re.MULTILINE
    )
    assert command is not None
    assert any(block.startswith(f"$ {command[1]}") for block in fenced_blocks("console"))
