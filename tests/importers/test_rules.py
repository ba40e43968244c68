"""Tables of rules: an operator has one, and another one takes its place only if that is meant."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from typing import Any

import pytest

from unrolled.errors import InvalidArgumentError
from unrolled.importers.rules import RuleTable


def test_an_operator_has_one_rule() -> None:
    table = RuleTable("onnx")

    @table.rule("Relu", "Tanh")
    def first(tracer: Any, node: Any) -> Any:
        return node

    def second(tracer: Any, node: Any) -> Any:
        return tracer

    with pytest.raises(InvalidArgumentError, match=r"'Tanh' has a rule, .*first; .*replace=True"):
        table.rule("Sign", "Tanh")(second)
    assert table.get("Tanh") is first
    assert "Sign" not in table  # What is refused changes nothing.
    table.rule("Tanh", replace=True)(second)
    assert table.get("Tanh") is second
    assert table.get("Relu") is first


def test_a_cell_that_runs_again_defines_its_rule_again() -> None:
    table = RuleTable("onnx")
    cell = "def own(tracer, node):\n    return node\n"
    found = []
    for _ in range(2):
        scope: dict[str, Any] = {"__name__": "__main__"}
        exec(cell, scope)
        table.rule("Own")(scope["own"])
        found.append(table.get("Own"))
    assert found[0] is not found[1]
    table.rule("Other")(lambda tracer, node: node)
    with pytest.raises(InvalidArgumentError, match="'Other' has a rule"):
        table.rule("Other")(lambda tracer, node: tracer)


def test_an_operator_is_named_once() -> None:
    with pytest.raises(InvalidArgumentError, match="'Relu' twice"):
        RuleTable("onnx").rule("Relu", "Tanh", "Relu")


@pytest.mark.parametrize("framework", ["onnx", "keras", "jax", "torch"])
def test_no_two_rules_of_this_package_are_for_one_operator(framework: str) -> None:
    """All modules of rules are imported anew; a doubled operator would be an error."""
    if framework == "torch":
        pytest.importorskip("torch")
    package = importlib.import_module(f"unrolled.importers.{framework}")
    names = [one.name for one in pkgutil.iter_modules(package.__path__)]
    code = "import importlib\n" + "\n".join(
        f"importlib.import_module('unrolled.importers.{framework}.{name}')" for name in names
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
