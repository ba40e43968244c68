"""Pictures of the documentation: chapters have them, and pages show what is there."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[2] / "docs"
CHAPTERS = sorted(path.stem for path in (DOCS / "theory").glob("*.md") if path.stem != "index")
PAGES = sorted(DOCS.rglob("*.md"))
LARGEST = 60_000
"""Bytes of a picture of the theory."""


@pytest.fixture(scope="module")
def script() -> Any:
    pytest.importorskip("scipy")
    pytest.importorskip("matplotlib").use("agg")
    spec = importlib.util.spec_from_file_location("theory_pictures", DOCS / "theory_pictures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_show_pictures_that_are_there_and_say_what_they_show(page: Path) -> None:
    for text, path in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", page.read_text()):
        assert (page.parent / path).is_file()
        assert len(text) > 20


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_chapter_has_its_picture(chapter: str) -> None:
    assert f"(../pictures/theory-{chapter}.svg)" in (DOCS / "theory" / f"{chapter}.md").read_text()
    picture = (DOCS / "pictures" / f"theory-{chapter}.svg").read_bytes()
    assert picture.startswith(b"<?xml")
    assert len(picture) < LARGEST


def test_the_script_draws_a_picture_a_chapter(script: Any) -> None:
    assert sorted(script.PICTURES) == CHAPTERS


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_picture_can_be_drawn_again(script: Any, chapter: str) -> None:
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, 2)
    script.PICTURES[chapter](*panels)
    for axes in panels:
        assert axes.get_xlabel()
        assert axes.get_title(loc="left") or axes.get_title()
    pyplot.close(figure)
