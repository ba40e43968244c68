"""Draws the pictures of the chapters on theory: ``python docs/theory_pictures.py``."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot

from unrolled import Network, models, theory
from unrolled.plot import close

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FOLDER = Path(__file__).parent / "pictures"
SIZE = (8.4, 3.2)
"""Of a picture with two panels, in inches."""

Drawing = Callable[["Axes", "Axes"], None]


def draw_path_sums(left: Axes, right: Axes) -> None:
    """Paths of a residual network by their depth, and the gradient along them."""
    net = residual_network()
    theory.paths(net).plot(axes=left)
    theory.effective_depth(net).plot(axes=right)
    left.set_title("16 residual blocks: paths", loc="left")
    right.set_title("their share of the gradient", loc="left")


def residual_network(blocks: int = 16) -> Network:
    """Blocks of two layers beside a skip connection."""
    net = Network(f"{blocks} residual blocks")
    x = net.dense(net.input((32,)), 32, name="first")
    for number in range(blocks):
        h = net.activation(net.dense(x, 32, name=f"in_{number}"), "relu")
        x = net.add(x, net.dense(h, 32, name=f"out_{number}"))
    net.output(net.dense(x, 10, name="last"))
    return net


def draw_training(left: Axes, right: Axes) -> None:
    """Contexts in training, with and without dropping branches."""
    net = residual_network(8)
    dropped = {f"out_{number}": 1 - 0.5 * number / 7 for number in range(8)}
    theory.training_contexts(net, samples=1000).plot(axes=left)
    theory.training_contexts(net, samples=1000, keep=dropped).plot(axes=right)
    left.set_title("8 residual blocks, 1,000 samples", loc="left")
    right.set_title("and branches dropped, the later the oftener", loc="left")


def draw_mean_field(left: Axes, right: Axes) -> None:
    """Order and chaos of tanh, and the map of correlations in each."""
    theory.critical_line("tanh", np.linspace(0.0, 0.3, 13).tolist()).plot(axes=left)
    theory.mean_field("tanh", 2.5**2, 0.3**2).plot(axes=right)
    right.set_title("tanh, chaotic", loc="left")


def draw_random_matrices(left: Axes, right: Axes) -> None:
    """Jacobians by depth, and a law beside the singular values of one matrix."""
    critical = theory.critical_point("tanh", sigma_b2=0.05)
    for depth in (2, 4, 8):
        theory.jacobian_spectrum(critical, depth, ensemble="orthogonal").plot(axes=left)
        curve = next(line for line in reversed(left.lines) if line.get_label() == "law")
        curve.set(label=f"{depth} layers", color=f"C{len(left.lines) % 10}")
    left.legend()
    left.set_xlim(1e-3, 12)
    left.set_title("J J^T of tanh, orthogonal weights", loc="left")
    matrix = np.random.default_rng(0).standard_normal((300, 600)) / np.sqrt(600)
    theory.marchenko_pastur(0.5).plot(axes=right, matrix=matrix @ matrix.T)
    right.legend(loc="upper right")


def draw_derivatives(left: Axes, right: Axes) -> None:
    """What a gradient keeps of ResNet-50, and what checkpoints cost."""
    theory.activation_memory(models.resnet(50, activations=True)).plot(axes=left)
    theory.checkpoints(50, 6).plot(axes=right)


def draw_regions(left: Axes, right: Axes) -> None:
    """The sawtooth of the most pieces, and a network whose pieces are few."""
    theory.linear_pieces(theory.sawtooth(4).layers, (-2, 2)).plot(axes=left)
    generator = np.random.default_rng(1)
    widths = [1, 16, 16, 1]
    layers = [
        (generator.standard_normal((n, m)) * np.sqrt(2 / m), 0.1 * generator.standard_normal(n))
        for m, n in pairwise(widths)
    ]
    theory.linear_pieces(layers, (-1, 1)).plot(axes=right)


def draw_spin_glass(left: Axes, right: Axes) -> None:
    """Complexity of critical points of each index, for three spins and for ten."""
    theory.SphericalModel(3).plot(axes=left)
    theory.SphericalModel(10).plot(axes=right)


def draw_fixed_points(left: Axes, right: Axes) -> None:
    """Residuals of a cell by three methods, and memory against depth."""
    weights = np.array([[0.5, -0.8], [0.6, 0.4]])
    bias = np.array([0.3, -0.2])
    for method in ("iteration", "anderson", "broyden"):
        found = theory.fixed_point(
            lambda z: np.tanh(weights @ z + bias),
            np.zeros(2),
            method=method,
            max_steps=200,
        )
        found.plot(axes=left)
        left.lines[-1].set(label=method, color=f"C{len(left.lines) - 1}")
    left.set_title("z = tanh(Wz + b)", loc="left")
    left.legend()
    theory.memory(60, 1000).plot(axes=right)


def draw_bottleneck(left: Axes, right: Axes) -> None:
    """The curve of a channel, and layers in its plane."""
    joint = np.array([[0.30, 0.05, 0.01], [0.04, 0.20, 0.06], [0.02, 0.04, 0.28]])
    betas = np.geomspace(1.4, 12, 24).tolist()
    theory.information_bottleneck(joint, betas).plot(axes=left)
    theory.gaussian_bottleneck(
        np.eye(3), np.diag(np.sqrt([0.8, 0.5, 0.1])), np.eye(3), np.geomspace(1.1, 30, 60).tolist()
    ).plot(axes=right)


PICTURES: dict[str, Drawing] = {
    "path-sums": draw_path_sums,
    "training-contexts": draw_training,
    "mean-field": draw_mean_field,
    "random-matrices": draw_random_matrices,
    "derivatives": draw_derivatives,
    "linear-regions": draw_regions,
    "spin-glass": draw_spin_glass,
    "fixed-points": draw_fixed_points,
    "information-bottleneck": draw_bottleneck,
}
"""By the name of the chapter."""


def main(folder: Path = FOLDER) -> None:
    """Draw all of them."""
    folder.mkdir(exist_ok=True)
    pyplot.switch_backend("svg")
    mpl.rcParams["svg.hashsalt"] = "unrolled"  # Pictures that are drawn again are the same files.
    mpl.rcParams["svg.fonttype"] = "none"  # Letters stay letters, a third of the size.
    mpl.rcParams["font.size"] = 9
    for name, draw in PICTURES.items():
        figure, (left, right) = pyplot.subplots(1, 2, figsize=SIZE, layout="constrained")
        draw(left, right)
        figure.savefig(folder / f"theory-{name}.svg", metadata={"Date": None})
        close(figure)


if __name__ == "__main__":
    main()
