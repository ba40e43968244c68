"""`overview` and the command ``unrolled theory``: every part, or why it is missing."""

from __future__ import annotations

import gc
import json
from pathlib import Path

import pytest

import unrolled
from command_line import invoke
from unrolled import InvalidArgumentError, Network, theory


def test_parts_are_those_of_the_functions_themselves() -> None:
    net = unrolled.models.mlp([8, 8], inputs=4, classes=2)
    found = theory.overview(net)
    assert found.paths == theory.paths(net, law=False, shares=False)
    assert found.depth == theory.effective_depth(net)
    assert found.derivatives == theory.jacobian_cost(net)
    assert found.memory == theory.activation_memory(net)
    assert found.initialization is not None
    assert found.initialization.rows == unrolled.initialization_report(net).rows


def test_frame_has_the_main_figure_of_each_part() -> None:
    found = theory.overview(unrolled.models.mlp([8, 8], inputs=4, classes=2, name="small"))
    frame = found.to_pandas()
    assert frame.index.tolist() == ["small"]
    assert frame.loc["small"].to_dict() == found.summary()
    assert found.paths is not None
    assert frame.attrs["assumptions"]["paths"] == found.paths.assumptions


@pytest.mark.parametrize("was_enabled", [True, False])
def test_collector_is_left_as_it_was(was_enabled: bool) -> None:
    """Whether a model is understood or not."""
    before = gc.isenabled()
    (gc.enable if was_enabled else gc.disable)()
    try:
        theory.overview(unrolled.models.mlp([2], inputs=2))
        assert gc.isenabled() == was_enabled
        with pytest.raises(InvalidArgumentError):
            theory.overview(unrolled.Graph.from_edges([0], [1]))
        assert gc.isenabled() == was_enabled
    finally:
        (gc.enable if before else gc.disable)()


def test_part_that_does_not_apply_says_why() -> None:
    net = Network("smooth")
    net.output(net.dense(net.activation(net.dense(net.input((4,)), 8), "gelu"), 2))
    found = theory.overview(net)
    assert found.regions is None
    assert "straight" in found.missing["regions"]
    assert f"Does not apply: {found.missing['regions']}" in found.table()
    assert found.to_dict()["regions"] is None


def test_every_part_is_printed_with_its_assumptions() -> None:
    found = theory.overview("resnet18", size=64)
    assert not found.missing
    assert found.table().count("Assumptions:") == 6
    assert set(found.headline()) == {part for part, _ in found.parts()}


def test_signal_that_is_lost_is_a_finding() -> None:
    net = Network("blown")
    x = net.input((16,))
    for _ in range(200):
        x = net.dense(x, 16)
        x = net.activation(net.multiply(x, x), "relu")
    net.output(x)
    found = theory.overview(net, 1000.0)
    assert found.initialization is not None
    assert not found.initialization.is_sound
    assert found.initialization.explodes_at == "dense_2"
    # Nothing can be said of what a gradient passes through, and that is what is said.
    assert found.depth is None
    assert f"'{found.initialization.lost_at}' is too large" in found.missing["depth"]
    assert found.paths is not None


def test_wrong_requests_are_errors() -> None:
    net = unrolled.models.mlp(4, depth=1, inputs=4)
    with pytest.raises(InvalidArgumentError):
        theory.overview(net, "nonsense")
    with pytest.raises(unrolled.UnrolledError):
        theory.overview(net, overrides={"no such layer": 1.0})
    with pytest.raises(InvalidArgumentError, match="made of tensors"):
        theory.overview(unrolled.Graph.from_edges([0], [1]))


def test_command_prints_parts_figures_and_json(tmp_path: Path) -> None:
    result = invoke("theory", "resnet18", "--size", "32", "--init", "torch")
    assert result.exit_code == 0, result.output
    for part in theory.overview(unrolled.models.mlp(4, depth=1, inputs=4)).headline():
        assert f"== {part} ==" in result.output
    figure = tmp_path / "theory.svg"
    result = invoke("theory", "resnet18", "--size", "32", "--json", "--plot", str(figure))
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.output)
    assert found["name"] == "resnet18"
    assert found["paths"]["title"].startswith("resnet18: 2^")
    assert figure.read_text().startswith("<?xml")


def test_command_knows_activations() -> None:
    result = invoke("theory", "--activation", "gelu", "--sb2", "0.05")
    assert result.exit_code == 0
    assert theory.critical_point("gelu", sigma_b2=0.05).table() in result.output
    result = invoke("theory", "--activation", "tanh", "--sw2", "6.25", "--sb2", "0.09")
    assert "chaotic" in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["resnet18", "--activation", "relu"],
        ["--activation", "relu", "--size", "32"],
        ["--activation", "no such function"],
        ["no-such-model"],
    ],
)
def test_command_refuses_what_it_cannot_do(arguments: list[str]) -> None:
    result = invoke("theory", *arguments)
    assert result.exit_code != 0
    assert "Traceback" not in result.output
