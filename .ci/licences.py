"""Writes THIRD-PARTY-LICENSES: the licences of all crates that the extension has in it.

    python .ci/licences.py           writes the file
    python .ci/licences.py --check   fails if a crate is missing in it, or one is too many

Crates for tests, benchmarks and building are not in the extension, and not in the file.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILE = ROOT / "THIRD-PARTY-LICENSES"
OURS = "unrolled-"
NAMES = re.compile(r"^(licen[cs]e|copying|notice|unlicense)", re.IGNORECASE)
RULE = "=" * 100
BEGIN = """The extension module unrolled._core has the crates below in it, under their own licences.
Crates that offer a choice of licences are used under the Apache License 2.0 or the MIT licence.
"""


def crates() -> list[dict[str, str]]:
    """Name, version, licence and folder of every crate that is linked, on any platform."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked"]
    found = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    packages = {one["id"]: one for one in found["packages"]}
    nodes = {one["id"]: one for one in found["resolve"]["nodes"]}
    waiting = [one for one in packages if packages[one]["name"] == "unrolled-python"]
    linked: set[str] = set()
    while waiting:
        one = waiting.pop()
        if one in linked:
            continue
        linked.add(one)
        for dependency in nodes[one]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                waiting.append(dependency["pkg"])
    return [
        {
            "name": packages[one]["name"],
            "version": packages[one]["version"],
            "licence": packages[one]["license"] or "see its file",
            "folder": str(Path(packages[one]["manifest_path"]).parent),
        }
        for one in sorted(linked, key=lambda one: (packages[one]["name"], packages[one]["version"]))
        if not packages[one]["name"].startswith(OURS)
    ]


def write() -> None:
    """Write the file: crates of equal texts together, each text once."""
    by_text: dict[str, list[str]] = {}
    for crate in crates():
        title = f"{crate['name']} {crate['version']} ({crate['licence']})"
        paths = sorted(one for one in Path(crate["folder"]).iterdir() if NAMES.match(one.name))
        texts = [one.read_text("utf-8", "replace").strip() for one in paths if one.is_file()]
        for text in texts or ["No text comes with it; its licence is named above."]:
            by_text.setdefault(text, []).append(title)
    parts = [BEGIN]
    for text, titles in by_text.items():
        parts.append("\n".join([RULE, *titles, RULE, "", text, ""]))
    FILE.write_text("\n".join(parts), "utf-8")


def check() -> None:
    """Compare the crates of the file with those that are linked."""
    expected = {f"{crate['name']} {crate['version']} ({crate['licence']})" for crate in crates()}
    written: set[str] = set()
    is_title = False
    for line in FILE.read_text("utf-8").splitlines():
        if line == RULE:
            is_title = not is_title
        elif is_title:
            written.add(line)
    if written != expected:
        sys.exit(f"run python .ci/licences.py: {sorted(written ^ expected)} differ")


if __name__ == "__main__":
    check() if "--check" in sys.argv[1:] else write()
