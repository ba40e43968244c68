"""Links lead somewhere: between pages here, and from the README on a package index."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(
    not (ROOT / ".github").exists(), reason="a source archive has the links of its release"
)

URL, TAG = "https://forge.example/some-one/a.b", "v1.2.3"


def script() -> Any:
    spec = spec_from_file_location("links", ROOT / ".ci" / "links.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["links"] = module
    spec.loader.exec_module(module)
    return module


links = script()


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(folder / ".ci" / "links.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The files that the script reads, to be changed."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "links.py", tmp_path / ".ci")
    for name in ("README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    for link in links.relative_links((ROOT / "README.md").read_text("utf-8")):
        (tmp_path / link.path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / link.path).touch()
    return tmp_path


def test_all_links_between_pages_lead_to_files() -> None:
    broken = {str(page): links.broken_links(page) for page in links.pages()}
    assert {page: found for page, found in broken.items() if found} == {}


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        ("[a](docs/a.md) and [b\nc](docs/b.md#part)", ["docs/a.md", "docs/b.md#part"]),
        ("![picture](docs/p.svg)", ["docs/p.svg"]),
        ("[![badge](b.svg)](page.md)", ["b.svg", "page.md"]),
        ('<img src="p.png"> <a href="q.md">q</a>', ["p.png", "q.md"]),
        ("[`code`](a.md) but `[none](b.md)`", ["a.md"]),
        ("```python\nx = [f](y)\n```\n[a](b.md)", ["b.md"]),
        ("[a](https://x.example/a) [b](#part) [c](mailto:a@x.example) [d](//x.example)", []),
        ('[a](b.md "title")', ["b.md"]),
    ],
)
def test_relative_links_are_found(text: str, targets: list[str]) -> None:
    found = list(links.relative_links(text))
    assert [link.target for link in found] == targets
    assert [text[link.first : link.last] for link in found] == targets


def test_links_of_a_release_are_absolute(repository: Path) -> None:
    before = list(links.relative_links((repository / "README.md").read_text("utf-8")))
    assert before
    assert run(repository, "--absolute", URL, TAG).returncode == 0
    after = (repository / "README.md").read_text("utf-8")
    assert list(links.relative_links(after)) == []
    for link in before:
        is_picture = link.path.endswith(".svg")
        expected = (
            f"{URL}/raw/{TAG}/{link.target}?sanitize=true"
            if is_picture
            else (f"{URL}/blob/{TAG}/{link.target}")
        )
        assert f"]({expected})" in after


def test_the_package_gets_addresses(repository: Path) -> None:
    tomllib = pytest.importorskip("tomllib")  # Python 3.10 has none.
    run(repository, "--absolute", URL, TAG)
    project = tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["urls"]["Homepage"] == URL
    for address in project["urls"].values():
        assert address.startswith(URL)
        page = address.partition(f"/blob/{TAG}/")[2]
        assert not page or (ROOT / page).exists()


def test_addresses_that_are_there_are_kept(repository: Path) -> None:
    file = repository / "pyproject.toml"
    own = file.read_text("utf-8") + '\n[project.urls]\nHomepage = "https://own.example"\n'
    file.write_text(own, "utf-8")
    run(repository, "--absolute", URL, TAG)
    assert file.read_text("utf-8") == own


def test_a_second_time_changes_nothing(repository: Path) -> None:
    files = [repository / "README.md", repository / "pyproject.toml"]
    run(repository, "--absolute", URL, TAG)
    first = [file.read_bytes() for file in files]
    assert run(repository, "--absolute", URL, TAG).returncode == 0
    assert [file.read_bytes() for file in files] == first


def test_a_link_to_nothing_is_an_error_and_changes_nothing(repository: Path) -> None:
    (repository / "README.md").write_text("[gone](docs/gone.md)\n", "utf-8")
    project = (repository / "pyproject.toml").read_bytes()
    result = run(repository, "--absolute", URL, TAG)
    assert result.returncode != 0
    assert "docs/gone.md" in result.stderr
    assert (repository / "README.md").read_text("utf-8") == "[gone](docs/gone.md)\n"
    assert (repository / "pyproject.toml").read_bytes() == project
    result = run(repository, "--check")
    assert result.returncode != 0
    assert "README.md: docs/gone.md" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--absolute", "/", TAG),
        ("--absolute", "https://forge.example/", TAG),
        ("--absolute", URL, ""),
        ("--absolute", URL, "a b"),
        ("--absolute", URL),
        (),
    ],
)
def test_what_is_no_address_is_refused(repository: Path, arguments: tuple[str, ...]) -> None:
    before = (repository / "README.md").read_bytes()
    assert run(repository, *arguments).returncode != 0
    assert (repository / "README.md").read_bytes() == before


def test_every_job_that_builds_prepares_the_links_first() -> None:
    workflow = (ROOT / ".github" / "workflows" / "release.yml").read_text("utf-8")
    steps = re.findall(r"links\.py --absolute|uses: PyO3/maturin-action", workflow)
    assert steps == ["links.py --absolute", "uses: PyO3/maturin-action"] * (len(steps) // 2)
    assert len(steps) == 6
