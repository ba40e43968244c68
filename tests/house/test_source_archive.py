"""The source archive holds all that tests, benchmarks and fuzzing need, data files included."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_no_file_of_tests_or_benches_is_left_out_of_the_source_archive() -> None:
    tomllib = pytest.importorskip("tomllib")  # Python 3.10 has none.
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = [entry["path"] for entry in settings["tool"]["maturin"]["include"]]
    included = {path.relative_to(ROOT) for pattern in patterns for path in ROOT.glob(pattern)}
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("only a repository knows which files are its own")
    command = ["git", "ls-files", "-z", "tests", "benches", "rust/core/fuzz/*.rs"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    files = {Path(name) for name in listed.stdout.split("\0") if name}
    assert Path("tests/house/test_source_archive.py") in files
    assert sorted(files - included) == []
