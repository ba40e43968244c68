"""Fingerprints of spaces and functions: whatever changes what a sweep finds changes them."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unrolled import InvalidArgumentError, Network, models, search
from unrolled.search.fingerprints import fingerprint_of

SMALL: dict[str, Any] = {"depths": [1], "widths": [4], "resolutions": [8], "stages": 2}


@pytest.mark.parametrize(
    "changed", [{"classes": 3}, {"depths": [2]}, {"widths": [8]}, {"kernels": [5]}, {"stages": 1}]
)
def test_a_family_has_another_fingerprint_after_any_change(changed: dict[str, Any]) -> None:
    space = search.resnet_family(**SMALL)
    assert space.fingerprint() == search.resnet_family(**SMALL).fingerprint()
    assert space.fingerprint() == pickle.loads(pickle.dumps(space)).fingerprint()
    assert space.fingerprint() != search.resnet_family(**(SMALL | changed)).fingerprint()


def test_a_transformer_family_differs_by_what_is_no_place() -> None:
    options: dict[str, Any] = {"depths": [1], "widths": [8], "heads": [2], "patches": [4]}
    sizes = [
        search.transformer_family(**options, size=size, classes=classes).fingerprint()
        for size, classes in ((8, 2), (16, 2), (8, 3))
    ]
    assert len(set(sizes)) == 3


def test_a_sweep_of_a_changed_family_does_not_take_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "family.csv"
    ten = search.sweep(search.resnet_family(**SMALL), ["parameters"], out=path)
    other = search.resnet_family(**SMALL, classes=11)
    with pytest.raises(InvalidArgumentError, match="not the result of this sweep"):
        search.sweep(other, ["parameters"], out=path)
    assert search.sweep(other, ["parameters"])["parameters"] > ten["parameters"]


def constant(number: float) -> Callable[[Network], float]:
    def score(network: Network) -> float:
        return number

    return score


def test_a_score_that_now_does_something_else_does_not_take_the_old_file(tmp_path: Path) -> None:
    space = search.nasbench_macro()
    rows = space.rows(0, 4)
    path = tmp_path / "found.csv"
    search.sweep(space, {"mine": constant(1.0)}, rows=rows, out=path)
    assert search.sweep(space, {"mine": constant(1.0)}, rows=rows, out=path)["mine"][0] == 1.0
    with pytest.raises(InvalidArgumentError, match="not the result of this sweep"):
        search.sweep(space, {"mine": constant(2.0)}, rows=rows, out=path)


def test_a_space_whose_own_function_changed_has_another_fingerprint() -> None:
    def space(slope: float) -> search.Space:
        net = Network("own")
        x = net.input((3,))
        y = net.activation(x, lambda values: np.maximum(values, slope * values))
        net.output(net.dense(net.choice("way", {"left": x, "right": y}), 2))
        return search.Space(net)

    assert space(0.1).fingerprint() == space(0.1).fingerprint()
    assert space(0.1).fingerprint() != space(0.2).fingerprint()


class Scaled:
    def __init__(self, by: float) -> None:
        self.by = by

    def __call__(self, value: float) -> float:
        return self.by * value


def test_functions_differ_by_code_defaults_closures_arguments_and_attributes() -> None:
    def added(shift: float, by: float = 1.0) -> Callable[[float], float]:
        def inner(value: float, factor: float = by) -> float:
            return factor * value + shift

        return inner

    different = [
        added(1.0),
        added(2.0),
        added(1.0, 3.0),
        lambda value: value + 1,
        lambda value: value - 1,
        partial(Scaled(1.0), 2),
        partial(Scaled(1.0), 3),
        Scaled(1.0),
        Scaled(2.0),
        Scaled(1.0).__call__,
        [1, 2],
        (1, 2),
        [1, 2.0],
        {"a": 1},
        {1, 2},
        {1, 3},
        np.arange(3),
        np.arange(3.0),
        models.mlp([3], inputs=2, classes=2),
        models.mlp([4], inputs=2, classes=2),
        True,
        1,
        None,
    ]
    found = [fingerprint_of(one) for one in different]
    assert len(set(found)) == len(different)
    assert found == [fingerprint_of(one) for one in different]
    assert fingerprint_of(added(1.0)) == fingerprint_of(added(1.0))
    loop: list[Any] = []
    loop.append(loop)
    assert fingerprint_of(loop) == fingerprint_of(loop)


def test_functions_that_a_function_calls_belong_to_it(tmp_path: Path) -> None:
    module = tmp_path / "scored_by_a_test.py"
    text = (
        "STEP = {step}\n"
        "def inner(x):\n    return x + {shift} * STEP\n"
        "def score(x):\n    return inner(x)\n"
    )
    code = (
        f"import sys\nsys.path[:0] = {[str(tmp_path), *sys.path]!r}\n"
        "from scored_by_a_test import score\n"
        "from unrolled.search.fingerprints import fingerprint_of\n"
        "print(fingerprint_of(score))\n"
    )
    found = []
    for step, shift in ((1, 1), (1, 1), (1, 2), (2, 1)):
        module.write_text(text.format(step=step, shift=shift))
        command = [sys.executable, "-B", "-c", code]
        found.append(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert found[0] == found[1]
    assert len(set(found)) == 3
