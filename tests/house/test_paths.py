"""Files and folders that the documents for developers name are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = ["CONTRIBUTING.md", "DESIGN.md", "rust/core/README.md"]
CORE = ROOT / "rust" / "core"
PLACES = [ROOT, ROOT / "python" / "unrolled", ROOT / "tests", CORE, CORE / "src"]
PLACES += [CORE / "src" / "network", CORE / "src" / "graph"]
"""Where the documents' paths begin."""

ENDINGS = ("/", ".py", ".pyi", ".rs", ".toml", ".md")


def paths_in(text: str) -> list[str]:
    """What stands between backticks and looks like a path of a file or folder."""
    words = re.findall(r"`([\w./<>-]+)`", text)
    return [
        word
        for word in words
        if not word.startswith("<") and ("/" in word.strip("/") or word.endswith(ENDINGS))
    ]


def missing(paths: list[str]) -> list[str]:
    """The paths that lead to nothing from any of PLACES; ``<name>`` stands for any name."""
    patterns = {path: re.sub(r"<\w+>", "*", path).strip("/") for path in paths}
    return [
        path
        for path, pattern in patterns.items()
        if not any(any(place.glob(pattern)) for place in PLACES)
    ]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_no_document_names_a_path_that_is_gone(document: str) -> None:
    paths = paths_in((ROOT / document).read_text(encoding="utf-8"))
    assert paths
    assert missing(paths) == []


def paths_of_the_map(design: str) -> list[str]:
    """The paths of section 4 of DESIGN, whose tree shows by indentation what lies in what.

    Names come first in a line, then spaces and what is there; a line far to the right goes on with
    what the line above says.
    """
    section = design.partition("## 4. Layout\n")[2].partition("\nPackages ")[0]
    paths = []
    folders: list[tuple[int, str]] = []
    for line in section.splitlines():
        depth = len(line) - len(line.lstrip())
        if not 0 < depth < 28:
            continue
        folders = [folder for folder in folders if folder[0] < depth]
        inside = folders[-1][1] if folders else ""
        first, *others = line.strip().partition("  ")[0].split()
        beside = f"{inside}{first}".rstrip("/").rpartition("/")[0]
        paths += [f"{inside}{first}", *(f"{beside}/{name}" for name in others)]
        folders.append((depth, f"{inside}{first}"))
    return paths


def test_every_room_of_the_map_is_there() -> None:
    paths = paths_of_the_map((ROOT / "DESIGN.md").read_text(encoding="utf-8"))
    assert {"rust/core/src/network/engine/", "python/unrolled/importers/onnx/"} <= {*paths}
    assert missing(paths) == []


def test_every_package_is_on_the_map() -> None:
    paths = paths_of_the_map((ROOT / "DESIGN.md").read_text(encoding="utf-8"))
    packages = (ROOT / "python" / "unrolled").glob("*/__init__.py")
    assert {f"python/unrolled/{file.parent.name}/" for file in packages} <= {*paths}


def test_a_path_that_is_gone_would_be_noticed() -> None:
    text = "Look into `ensemble/sweeps.py`, `tests/<subject>/` and `ensemble/gone.py`, not `a.b`."
    assert missing(paths_in(text)) == ["ensemble/gone.py"]
