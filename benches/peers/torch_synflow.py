"""Synflow of cells of NAS-Bench-201 as proxies compute it: forwards and backwards in PyTorch.

Written from H. Tanaka and others, "Pruning neural networks without any data by iteratively
conserving synaptic flow", NeurIPS 2020: the absolute values of all weights, an input of ones, the
gradient of the sum of the outputs, and the sum of weight times gradient. Batch norms are left out,
as the authors of proxies do, for at most a part of the time is theirs.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""Source and target of the edges of a cell, in the order of the operations."""


class Edge(nn.Module):  # type: ignore[misc]
    """One operation of a cell."""

    def __init__(self, operation: str, channels: int) -> None:
        super().__init__()
        self.operation = operation
        if operation.startswith("nor_conv"):
            side = int(operation[-1])
            self.kernel = nn.Conv2d(channels, channels, side, padding=side // 2, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.operation == "none":
            return torch.zeros_like(x)
        if self.operation == "skip_connect":
            return x
        if self.operation == "avg_pool_3x3":
            return nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        convolved: torch.Tensor = self.kernel(torch.relu(x))
        return convolved


class Cell(nn.Module):  # type: ignore[misc]
    """Four nodes, with an operation between each two."""

    def __init__(self, operations: tuple[str, ...], channels: int) -> None:
        super().__init__()
        self.edges = nn.ModuleList(Edge(operation, channels) for operation in operations)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        nodes = [x]
        for target in (1, 2, 3):
            edges = [
                edge(nodes[source])
                for edge, (source, end) in zip(self.edges, EDGES, strict=True)
                if end == target
            ]
            nodes.append(torch.stack(edges).sum(0))
        return nodes[-1]


class Reduction(nn.Module):  # type: ignore[misc]
    """A residual block that halves the side and doubles the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = 2 * channels
        self.first = nn.Conv2d(channels, wide, 3, stride=2, padding=1, bias=False)
        self.second = nn.Conv2d(wide, wide, 3, padding=1, bias=False)
        self.beside = nn.Conv2d(channels, wide, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        straight = self.second(torch.relu(self.first(torch.relu(x))))
        beside = self.beside(nn.functional.avg_pool2d(x, 2))
        total: torch.Tensor = straight + beside
        return total


def network(operations: tuple[str, ...]) -> nn.Module:
    """The network that NAS-Bench-201 makes of one cell: three stages of five cells each."""
    layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, padding=1, bias=False)]
    for stage, channels in enumerate((16, 32, 64)):
        if stage:
            layers.append(Reduction(channels // 2))
        layers += [Cell(operations, channels) for _ in range(5)]
    layers += [nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)]
    return nn.Sequential(*layers)


def synflow(operations: Iterable[str]) -> float:
    """Synflow of the cell with these operations; its network is made and thrown away."""
    net = network(tuple(operations))
    with torch.no_grad():
        for weight in net.parameters():
            weight.abs_()
    net(torch.ones(1, 3, 32, 32)).sum().backward()
    with torch.no_grad():
        flows = [(one * one.grad).sum() for one in net.parameters() if one.grad is not None]
        return float(torch.stack(flows).sum())
