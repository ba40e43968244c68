"""Checks the links between pages, and makes those of the README absolute for a release.

    python .ci/links.py --check               fails if a link of a page leads to no file
    python .ci/links.py --absolute URL TAG    rewrites README.md and pyproject.toml

The README is shown on package indexes, too, where a relative link leads nowhere. Which address the
repository has is known to the workflow that builds a release, so it is written down there and not
in the repository: `URL` is that of the repository, `TAG` the version that is built. Links become
those of pages at that version, pictures are linked as they are, and the package gets its addresses
unless pyproject.toml has some. Done twice, it changes nothing the second time.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]

CODE = re.compile(r"^(`{3,}|~{3,}).*?^\1|(`+)(?!`).*?(?<!`)\2(?!`)", re.MULTILINE | re.DOTALL)
TARGET = re.compile(r"\]\(\s*([^)\s]+)[^)]*\)|\b(?:href|src)=\"([^\"]+)\"")
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|#|//", re.IGNORECASE)
"""How a target begins that is no file: with a scheme, as a place on the page, with a host."""

PICTURES = (".gif", ".jpeg", ".jpg", ".png", ".svg", ".webp")
REPOSITORY = re.compile(r"https://[\w.-]+(:\d+)?(/[\w.-]+){2}")
TAG = re.compile(r"\w[\w./+-]*")

URLS = """
[project.urls]
Homepage = "{url}"
Documentation = "{url}/blob/{tag}/docs/index.md"
Changelog = "{url}/blob/{tag}/CHANGELOG.md"
Issues = "{url}/issues"
"""


class Link(NamedTuple):
    """A relative link, and where in the text its target stands."""

    target: str
    first: int
    last: int

    @property
    def path(self) -> str:
        """The file, without the place in it."""
        return self.target.partition("#")[0]


def relative_links(text: str) -> Iterator[Link]:
    """The links of a page in Markdown that lead to files, but for what is code."""
    hidden = CODE.sub(lambda found: " " * len(found[0]), text)
    for found in TARGET.finditer(hidden):
        group = 1 if found[1] else 2
        if not ELSEWHERE.match(found[group]):
            yield Link(found[group], *found.span(group))


def broken_links(page: Path) -> list[str]:
    """The links of a page that lead to no file."""
    links = relative_links(page.read_text("utf-8"))
    return [link.target for link in links if not (page.parent / link.path).exists()]


def pages() -> list[Path]:
    """All pages of the repository."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def absolute(text: str, url: str, tag: str) -> str:
    """A page at the top of the repository, with absolute links."""
    for link in reversed(list(relative_links(text))):
        is_picture = link.path.lower().endswith(PICTURES)
        address = f"{url}/{'raw' if is_picture else 'blob'}/{tag}/{link.target}"
        if link.path.lower().endswith(".svg"):
            address += "?sanitize=true"  # Else it is sent as text, which no browser draws.
        text = text[: link.first] + address + text[link.last :]
    return text


def with_addresses(project: str, url: str, tag: str) -> str:
    """A pyproject.toml that has addresses of the project, its own if it has some."""
    if re.search(r"^\[project\.urls\]", project, re.MULTILINE):
        return project
    return project.rstrip("\n") + "\n" + URLS.format(url=url, tag=tag)


def check() -> None:
    """Fail if a link of any page leads to no file."""
    broken = [f"{page.relative_to(ROOT)}: {one}" for page in pages() for one in broken_links(page)]
    if broken:
        sys.exit("links that lead to no file:\n" + "\n".join(broken))


def prepare_release(url: str, tag: str) -> None:
    """Rewrite the README and pyproject.toml for a release; neither if something is wrong."""
    url = url.rstrip("/")
    if not REPOSITORY.fullmatch(url):
        sys.exit(f"expected the address of a repository, https://HOST/OWNER/NAME, got '{url}'")
    if not TAG.fullmatch(tag):
        sys.exit(f"expected a tag such as v0.1.0, got '{tag}'")
    readme, project = ROOT / "README.md", ROOT / "pyproject.toml"
    broken = broken_links(readme)
    if broken:
        sys.exit(f"README.md links to what is not there: {', '.join(broken)}")
    readme.write_text(absolute(readme.read_text("utf-8"), url, tag), "utf-8")
    project.write_text(with_addresses(project.read_text("utf-8"), url, tag), "utf-8")


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        check()
    elif len(sys.argv) == 4 and sys.argv[1] == "--absolute":
        prepare_release(*sys.argv[2:])
    else:
        sys.exit(__doc__)
