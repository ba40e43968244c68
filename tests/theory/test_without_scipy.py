"""What needs no SciPy works without it, and the rest says how to install it."""

from __future__ import annotations

import subprocess
import sys

import pytest

# An interpreter that cannot import SciPy.
BLOCKED = "import sys\nsys.modules['scipy'] = None\nfrom unrolled import models\n"
NET = "net = models.mlp([3], inputs=2, classes=1)\n"


def run(statement):
    code = f"{BLOCKED}from unrolled.theory import *\n{NET}{statement}"
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize(
    "statement",
    [
        "print(paths(net).psi, path_sums(net, {'affine': 0.5}).total)",
        "training_contexts(net, keep={'layer1': 0.5})",
        "jacobian_cost(net), jacobian_cost([3, 2, 1]), jacobian_cost(net.unroll())",
        "gradient_cost(net), activation_memory(net), checkpoints(10, 3), memory(10, 10)",
        "fixed_point(lambda z: z / 2 + 1, [0.0])",
        "MonotoneLayer([[0.5]], [[1.0]]).gradient([1.0], [1.0])",
        "gaussian_bottleneck(1.0, 0.8, 1.0, [2.0])",
        "information_plane({'t': [0.0, 1.0]}, y=[0, 1])",
    ],
)
def test_most_of_the_theory_works_without_scipy(statement):
    result = run(statement)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    "statement",
    [
        "weight_tied([[1]])",
        "fixed_point(lambda z: z / 2 + 1, [0.0], method='broyden')",
        "implicit_gradient(lambda z, v: v / 2, [1.0], [1.0])",
        "information_bottleneck([[1.0]], [2.0])",
        "MonotoneLayer([[0.5]], [[1.0]], activation='tanh').solve([1.0], alpha=0.5)",
    ],
)
def test_says_what_is_missing(statement):
    result = run(statement)
    assert result.returncode == 1
    assert "MissingPackageError" in result.stderr
    assert "pip install 'unrolled[theory]'" in result.stderr
