"""Commands that draw into files: what is written, and that no figure stays open."""

from __future__ import annotations

import pytest

from command_line import invoke

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")

from matplotlib import pyplot  # noqa: E402

COMMANDS = [
    "analyze resnet18 --size 32",
    "compare resnet18 resnet34 --size 32",
    "init resnet18 --size 32",
    "theory resnet18 --size 32",
    "theory --activation tanh",
    "thermo resnet18 --size 32 --temperatures 1,2",
    "evaluate nasbench_macro --score saliency_entropy",
    "search nasbench_macro --top 3",
]


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_draws_and_lets_go(line, tmp_path):
    path = tmp_path / "figure.png"
    result = invoke(*line.split(), "--plot", path)
    assert (result.exit_code, result.stderr) == (0, "")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert list(tmp_path.iterdir()) == [path]
    assert pyplot.get_fignums() == []


@pytest.mark.parametrize("line", COMMANDS)
@pytest.mark.parametrize("name", ["folder.png", "missing/figure.png", "figure.nonsense"])
def test_a_figure_that_cannot_be_written_is_refused_at_once(line, name, tmp_path):
    folder = tmp_path / "folder.png"
    folder.mkdir()
    result = invoke(*line.split(), "--plot", tmp_path / name)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == [folder]
