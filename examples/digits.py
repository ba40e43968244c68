"""From a space of networks through twenty that are trained to the one that is chosen.

The data are the digits of scikit-learn, 1,797 images of 8 x 8 pixels. Networks are residual or
plain stacks of dense layers, trained by NumPy alone, so that all of it takes seconds. Run it with
``python examples/digits.py chosen.onnx``; it needs ``pip install "unrolled[predict,onnx]"
scikit-learn``.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import numpy as np
from sklearn.datasets import load_digits

import unrolled
from unrolled import Network, search

CHOICES: dict[str, list[Any]] = {
    "width": [4, 8, 16, 32],
    "depth": [1, 2, 3, 4, 6, 8],
    "function": ["relu", "tanh"],
    "skips": [False, True],
}
EPOCHS, BATCH, RATE, MOMENTUM = 8, 32, 0.02, 0.9

Array = Any
Weights = dict[str, Array]


class Digits(NamedTuple):
    """Images as rows of 64 numbers between 0 and 1, and the digits that they show."""

    images: Array
    labels: Array


def split() -> tuple[Digits, Digits, Digits]:
    """Digits to train with, to choose by, and to look at once at the end."""
    given = load_digits()
    order = np.random.default_rng(0).permutation(len(given.target))
    images, labels = given.data[order] / 16, given.target[order]
    train, choose, last = (
        Digits(images[part], labels[part])
        for part in (slice(0, 1000), slice(1000, 1400), slice(1400, None))
    )
    return train, choose, last


def build(width: int, depth: int, function: str, skips: bool) -> Network:
    """The network of an architecture."""
    net = Network("digits")
    x = net.activation(net.dense(net.input((64,)), width, name="stem"), function)
    for block in range(depth):
        y = net.activation(net.dense(x, width, name=f"block{block}"), function)
        x = net.add(x, y) if skips else y
    net.output(net.dense(x, 10, name="head"))
    return net


def space() -> search.Space:
    """All architectures."""
    return search.Space.from_function(build, CHOICES, name="digits")


class Trainer:
    """One network by NumPy: what it computes, and its derivatives.

    Parameters
    ----------
    width, depth, function, skips
        As for `build`, whose parameters have the same names.
    seed : int
        Of the initial weights and of the order of images.
    """

    def __init__(self, width: int, depth: int, function: str, skips: bool, seed: int) -> None:
        self.depth, self.function, self.skips = depth, function, skips
        self.random = np.random.default_rng(seed)
        sizes = {"stem": (64, width), "head": (width, 10)}
        sizes.update({f"block{block}": (width, width) for block in range(depth)})
        self.weights: Weights = {}
        for layer, (inputs, outputs) in sizes.items():
            normal = self.random.standard_normal((inputs, outputs))
            self.weights[f"{layer}/kernel"] = normal * np.sqrt(2 / inputs)
            self.weights[f"{layer}/bias"] = np.zeros(outputs)

    def hidden(self, x: Array, layer: str) -> tuple[Array, Array]:
        """A layer with its function, and the slopes of that."""
        z = x @ self.weights[f"{layer}/kernel"] + self.weights[f"{layer}/bias"]
        if self.function == "relu":
            return np.maximum(z, 0), (z > 0).astype(float)
        y = np.tanh(z)
        return y, 1 - y**2

    def scores(self, images: Array) -> tuple[Array, list[tuple[Array, Array]]]:
        """A score for each digit, and what each layer read with the slopes of its function."""
        x, slopes = self.hidden(images, "stem")
        kept = [(images, slopes)]
        for block in range(self.depth):
            y, slopes = self.hidden(x, f"block{block}")
            kept.append((x, slopes))
            x = x + y if self.skips else y
        kept.append((x, np.ones(1)))
        return x @ self.weights["head/kernel"] + self.weights["head/bias"], kept

    def gradients(self, images: Array, labels: Array) -> Weights:
        """Derivatives of the mean cross-entropy."""
        scores, kept = self.scores(images)
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        shares[np.arange(len(labels)), labels] -= 1
        back, found = shares / len(labels), {}
        layers = ["stem", *(f"block{block}" for block in range(self.depth)), "head"]
        for layer, (x, slopes) in reversed(list(zip(layers, kept, strict=True))):
            inner = back * slopes
            found[f"{layer}/kernel"] = x.T @ inner
            found[f"{layer}/bias"] = inner.sum(axis=0)
            through = inner @ self.weights[f"{layer}/kernel"].T
            is_skipped = self.skips and layer.startswith("block")
            back = back + through if is_skipped else through
        return found

    def fit(self, digits: Digits) -> Trainer:
        """Descend with momentum for some epochs."""
        speed = {name: np.zeros_like(value) for name, value in self.weights.items()}
        for _ in range(EPOCHS):
            order = self.random.permutation(len(digits.labels))
            for start in range(0, len(order), BATCH):
                some = order[start : start + BATCH]
                for name, slope in self.gradients(digits.images[some], digits.labels[some]).items():
                    speed[name] = MOMENTUM * speed[name] - RATE * slope
                    self.weights[name] += speed[name]
        return self

    def accuracy(self, digits: Digits) -> float:
        """The share of images whose digit has the highest score."""
        return float((self.scores(digits.images)[0].argmax(axis=1) == digits.labels).mean())


def trained(row: Any, digits: Digits, *, seed: int = 0) -> Trainer:
    """The network of an architecture, after training."""
    options = {name: CHOICES[name][at] for name, at in zip(CHOICES, row, strict=True)}
    return Trainer(**options, seed=seed).fit(digits)


class Choice(NamedTuple):
    """What the search comes to."""

    accuracies: list[float]
    row: tuple[int, ...]
    trainer: Trainer
    report: unrolled.InitializationReport


def choose_one(path: str, labels: int = 20) -> Choice:
    """Train some architectures, choose one by them, train that, and write it to a file."""
    train, choose, last = split()
    architectures = space()
    numbers = np.random.default_rng(2).choice(architectures.size, labels, replace=False)
    rows = architectures.rows_of(numbers)
    accuracies = [trained(row, train).accuracy(choose) for row in rows]

    predictor = search.Predictor(space=architectures).fit(rows, accuracies)
    ranking = predictor.rank(architectures)
    print(predictor.explain(), ranking.table(n=5), sep="\n\n")

    # The ranking may be by a score; the one that the predictor likes best is worth training, too.
    firsts = [ranking[0], max(ranking, key=lambda one: one.prediction)]
    trainers = [trained(one.row, train) for one in firsts]
    found = [trainer.accuracy(choose) for trainer in trainers]
    print(f"\nlabelled: {min(accuracies):.1%} to {max(accuracies):.1%}")
    print(f"first by {ranking.basis}: {found[0]:.1%}, by predictions: {found[1]:.1%}")
    best = int(np.argmax(found))
    row, trainer = firsts[best].row, trainers[best]
    print(f"chosen: {firsts[best].name}, of new digits {trainer.accuracy(last):.1%}")

    network = architectures.network(row)
    report = unrolled.initialization_report(network, "he")
    print(f"\n{report}")
    network.to_onnx(path, weights=trainer.weights)
    return Choice(accuracies, row, trainer, report)


if __name__ == "__main__":
    choose_one(sys.argv[1] if len(sys.argv) > 1 else "chosen.onnx")
