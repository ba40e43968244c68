"""Exact and log counting of the published models, against the peer; growth; independence."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

import unrolled
from peers.numpy_networks import Peer

Measure = Callable[..., None]
# Seconds of processor time, all threads together: one core is what is compared, and what else the
# machine does matters less.
pytestmark = pytest.mark.benchmark(timer=time.process_time)
ROUNDS = {"efficientnetv2-b0": 9, "efficientnetv2-l": 2}


@cache
def model(name: str, size: int) -> unrolled.Network:
    return unrolled.models.build(name, size=size)


@cache
def small_cnn(kernel_size: int, channels: int, size: int) -> unrolled.Network:
    """Eight convolutions, and a pooling as wide as the image behind them.

    With the last one all positions have different counts; without it, small kernels would have
    an advantage: far from the border their counts are equal.
    """
    net = unrolled.Network()
    x = net.input((3, size, size))
    for _ in range(8):
        x = net.conv(x, channels, kernel_size, padding="symmetric")
    x = net.max_pool(x, 2 * (size // 2) - 1, stride=1, padding="symmetric")
    net.output(net.dense(net.global_pool(x), 10))
    return net


def total(counts: Any) -> int:
    return int(counts.total)


def log2_total(counts: Any) -> float:
    return float(counts.log2_total)


@pytest.mark.parametrize("side", ["unrolled", "peer", "tuned peer"])
@pytest.mark.parametrize(
    ("name", "size"), [("efficientnetv2-b0", 224), ("efficientnetv2-l", 480), ("resnet50", 224)]
)
def test_exact(measure: Measure, smoke: bool, name: str, size: int, side: str) -> None:
    size = 64 if smoke else size
    net = model(name, size)
    case = f"exact, {name} at {size}"
    if side == "unrolled":
        measure(case, side, lambda: unrolled.count(net), total)
    else:
        peer = Peer(net._core, tuned="tuned" in side)
        measure(case, side, peer.count, total, rounds=ROUNDS.get(name, 5))


@pytest.mark.parametrize("side", ["log", "exact"])
@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("efficientnetv2-l", 480),
        # How counting grows with the image: read these rows against each other.
        ("efficientnetv2-b0", 112),
        ("efficientnetv2-b0", 224),
        ("efficientnetv2-b0", 448),
        ("efficientnetv2-b0", 896),
    ],
)
def test_log_and_exact(measure: Measure, smoke: bool, name: str, size: int, side: str) -> None:
    size = size // 4 if smoke else size
    net = model(name, size)

    def run() -> unrolled.Counts:
        return unrolled.count(net, exact=side == "exact")

    measure(f"log, {name} at {size}", side, run, log2_total)


@pytest.mark.parametrize("kernel_size", [3, 7, 15, 31])
@pytest.mark.parametrize("space", ["log", "exact"])
def test_kernel_size(measure: Measure, smoke: bool, space: str, kernel_size: int) -> None:
    net = small_cnn(kernel_size, 64, 32 if smoke else 224)

    def run() -> unrolled.Counts:
        return unrolled.count(net, exact=space == "exact")

    measure(f"kernel size, {space}", f"{kernel_size} x {kernel_size}", run)


@pytest.mark.parametrize("channels", [1, 64, 4096])
@pytest.mark.parametrize("space", ["log", "exact"])
def test_channels(measure: Measure, smoke: bool, space: str, channels: int) -> None:
    net = small_cnn(3, channels, 32 if smoke else 224)

    def run() -> unrolled.Counts:
        return unrolled.count(net, exact=space == "exact")

    measure(f"channels, {space}", str(channels), run)
