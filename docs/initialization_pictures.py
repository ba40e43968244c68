"""Draws the pictures of the page on initialisation: ``python docs/initialization_pictures.py``."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot

from unrolled import Network, Propagation, propagate

FOLDER = Path(__file__).parent / "pictures"


def vgg16(size: int = 64) -> Network:
    """VGG-16 for images of `size` by `size` pixels."""
    net = Network("VGG-16")
    x = net.input((3, size, size))
    for width, number in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(number):
            x = net.activation(net.conv(x, width, 3, padding="same"))
        x = net.max_pool(x, 2, stride=2)
    x = net.flatten(x)
    for width in (4096, 4096):
        x = net.activation(net.dense(x, width))
    net.output(net.dense(x, 1000))
    return net


def residual(blocks: int = 20) -> Network:
    """Residual blocks without any normaliser."""
    net = Network("residual")
    x = net.input((32,))
    for number in range(blocks):
        h = net.activation(net.dense(x, 32, name=f"in_{number}"))
        x = net.add(x, net.dense(h, 32, name=f"out_{number}"))
    net.output(net.dense(x, 10))
    return net


def plain(depth: int = 60, *, skip: bool = False) -> Network:
    """Dense layers with batch norms, one after the other or each beside a skip connection."""
    net = Network("plain")
    x = net.input((32,))
    for _ in range(depth):
        h = net.batch_norm(net.dense(net.activation(x), 32, use_bias=False))
        x = net.add(x, h) if skip else h
    net.output(net.dense(x, 5))
    return net


def draw(name: str, curves: dict[str, Propagation]) -> None:
    """Draw the signal of each curve on the left, and its relative gradients on the right."""
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(8, 2.8), layout="constrained")
    for label, found in curves.items():
        layers = range(1, len(found.kernels) + 1)
        left.plot(layers, [row["mean_square"] for row in found.rows], label=label)
        right.plot(layers, [row["relative_gradient"] for row in found.rows], label=label)
    for axes, title in ((left, "mean square of the signal"), (right, "relative gradient")):
        axes.set(title=title, xlabel="layer", yscale="log")
    left.legend()
    figure.savefig(FOLDER / f"{name}.svg", metadata={"Date": None})
    pyplot.close(figure)


def main() -> None:
    """Draw all of them."""
    FOLDER.mkdir(exist_ok=True)
    pyplot.switch_backend("svg")
    mpl.rcParams["svg.hashsalt"] = "unrolled"  # Pictures that are drawn again are the same files.
    net = vgg16()
    draw(
        "initialization-vgg",
        {"PyTorch's default, no biases": propagate(net, "torch", biases=0.0), "He": propagate(net)},
    )
    net = residual()
    scaled = {f"out_{number}/kernel": 2 / 32 / 20 for number in range(20)}
    draw(
        "initialization-residual",
        {"He": propagate(net), "branches by 1/20": propagate(net, overrides=scaled)},
    )
    draw(
        "initialization-batch-norm",
        {"plain": propagate(plain()), "with skips": propagate(plain(skip=True))},
    )


if __name__ == "__main__":
    main()
