"""Draws the picture of the first page: ``python docs/first_picture.py``.

On the left the contexts of a small network; on the right what two numbers say of the accuracy of
all architectures of NAS-Bench-201, with their rank correlations.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot
from matplotlib.axes import Axes

import unrolled

FILE = Path(__file__).parent / "pictures" / "contexts-and-accuracy.svg"

# One parameter w is read by two hidden values, and each of these by three outputs.
NODES = {
    "x": (0.0, 2.0),
    "w": (0.0, 0.6),
    "h1": (1.0, 2.0),
    "h2": (1.0, 0.6),
    "v": (1.0, -0.7),
    "y1": (2.0, 2.4),
    "y2": (2.0, 1.2),
    "y3": (2.0, 0.0),
}
EDGES = [
    ("x", "h1"),
    ("x", "h2"),
    ("w", "h1"),
    ("w", "h2"),
    *((hidden, output) for hidden in ("h1", "h2") for output in ("y1", "y2", "y3")),
    ("v", "y3"),
]
NAMED = {"x": "input", "w": "weight w", "v": "bias v", "y2": "outputs"}
PLACES = {"x": (0, 0.32), "w": (0, -0.32), "v": (0, -0.32), "y2": (0.16, 0)}


def draw_contexts(axes: Axes) -> None:
    """Draw the small graph with the paths of one weight, and how many each node has."""
    names = list(NODES)
    counts = unrolled.count(
        unrolled.Graph.from_edges(
            [names.index(source) for source, _ in EDGES],
            [names.index(target) for _, target in EDGES],
        )
    )
    for source, target in EDGES:
        is_path = source == "w" or source.startswith("h")
        axes.annotate(
            "",
            xy=NODES[target],
            xytext=NODES[source],
            arrowprops={
                "arrowstyle": "-|>",
                "shrinkA": 9,
                "shrinkB": 9,
                "color": "tab:blue" if is_path else "0.65",
                "linewidth": 1.6 if is_path else 0.9,
            },
        )
    for number, (name, (x, y)) in enumerate(NODES.items()):
        color = "tab:blue" if name == "w" else "tab:orange" if name == "v" else "0.55"
        axes.plot(x, y, "o", color=color, markersize=15)
        axes.text(x, y - 0.02, str(counts[number]), color="white", ha="center", va="center")
        if name in NAMED:
            right, up = PLACES[name]
            axes.text(x + right, y + up, NAMED[name], ha="left" if right else "center", va="center")
    axes.set(xlim=(-0.4, 2.9), ylim=(-1.3, 2.8))
    axes.set_title("Contexts: paths to an output", loc="left")
    axes.axis("off")


def draw_agreement(axes: Axes, found: unrolled.Evaluation, score: str, label: str) -> None:
    """Draw the accuracy of every architecture against one of its numbers."""
    values, accuracy = found.values[score], found.benchmark.accuracies["cifar10"]
    shown = np.isfinite(values) & (accuracy > 60)
    axes.scatter(values[shown], accuracy[shown], s=2, alpha=0.15, linewidths=0, rasterized=True)
    axes.set(xlabel=label, xscale="log" if score == "parameters" else "linear")
    axes.set_title(f"rank correlation {found[score, 'cifar10'].spearman:.2f}", loc="left")


def main() -> None:
    """Write the picture."""
    # Text stays text, and the same picture has the same bytes each time.
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "unrolled", "font.size": 9})
    found = unrolled.evaluate("nasbench201", scores=["saliency_entropy"], draws=20)
    figure, (left, middle, right) = pyplot.subplots(1, 3, figsize=(10, 3), layout="constrained")
    draw_contexts(left)
    draw_agreement(middle, found, "parameters", "number of parameters")
    draw_agreement(right, found, "saliency_entropy", "saliency entropy, nats")
    middle.set_ylabel("accuracy on CIFAR-10, %")
    figure.savefig(FILE, dpi=150, metadata={"Date": None})
    pyplot.close(figure)


if __name__ == "__main__":
    main()
