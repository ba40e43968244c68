"""The reference lists everything public, so that nothing is to be found in the source alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import unrolled
from unrolled import errors, scores, search, theory

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "index.md"
LISTED = set(re.findall(r"^   ([\w.]+)$", REFERENCE.read_text(encoding="utf-8"), re.MULTILINE))

# Errors are listed by their module, and what else is no class or function by the guides.
ELSEWHERE = {*errors.__all__, "__version__", "errors", "importers"}


@pytest.mark.parametrize(
    "package", [unrolled, scores, search, theory], ids=lambda one: one.__name__
)
def test_what_is_public_stands_in_the_reference(package) -> None:
    assert not set(package.__all__) - LISTED - ELSEWHERE


def test_no_page_has_the_name_of_a_page_that_the_site_makes_itself() -> None:
    made = {"search", "genindex", "py-modindex"}
    assert not made & {page.stem for page in REFERENCE.parents[1].glob("*.md")}
