"""Both sides of a comparison in one session: answers compared, ratios printed at the end."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from graph_table import Table

SMOKE = pytest.StashKey[bool]()
BOARD = pytest.StashKey["Board"]()


@dataclass
class Board:
    """What the session measured: seconds by case and side, tables, and notes on anything else."""

    seconds: dict[str, dict[str, float]] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    tables: dict[str, Table] = field(default_factory=dict)

    def table(self, title: str) -> Table:
        return self.tables.setdefault(title, Table(title))

    def agree(self, case: str, answer: Any) -> None:
        """Every side of a case must give the same answer (floats: to 1e-12 relative)."""
        first = self.answers.setdefault(case, answer)
        if isinstance(answer, float) or isinstance(first, float):
            assert math.isclose(answer, first, rel_tol=1e-12), (case, answer, first)
        else:
            assert answer == first, case

    def lines(self) -> Iterator[str]:
        for case, sides in self.seconds.items():
            base = next(iter(sides.values()))
            for side, seconds in sides.items():
                ratio = f"{seconds / base:10.2f} x" if seconds != base else " " * 12
                yield f"{case:44} {side:14} {1e3 * seconds:12.3f} ms {ratio}"
        yield from self.notes
        for table in self.tables.values():
            yield ""
            yield from table.lines()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--smoke", action="store_true", help="small sizes, one round: only that the benchmarks run"
    )
    parser.addoption(
        "--huge", action="store_true", help="graphs of 10^8 edges too: minutes, and 8 GB of memory"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[SMOKE] = bool(config.getoption("--smoke"))
    config.stash[BOARD] = Board()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    title = "fastest rounds, and ratios to the first side"
    if config.stash[SMOKE]:
        title += " (smoke run: these numbers mean nothing)"
    terminalreporter.section(title)
    for line in config.stash[BOARD].lines():
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def smoke(pytestconfig: pytest.Config) -> bool:
    return pytestconfig.stash[SMOKE]


@pytest.fixture(scope="session")
def board(pytestconfig: pytest.Config) -> Board:
    return pytestconfig.stash[BOARD]


@pytest.fixture
def measure(benchmark: Any, board: Board, smoke: bool) -> Callable[..., None]:
    """Time one side of a case, and compare its answer with the other sides' afterwards."""

    def measure(
        case: str,
        side: str,
        run: Callable[[], Any],
        answer: Callable[[Any], Any] | None = None,
        rounds: int = 15,
    ) -> None:
        benchmark.group = case
        warm = 0 if smoke or rounds < 5 else 2
        result = benchmark.pedantic(run, rounds=1 if smoke else rounds, warmup_rounds=warm)
        if benchmark.stats is not None:  # absent under --benchmark-disable
            board.seconds.setdefault(case, {})[side] = benchmark.stats.stats.min
        if answer is not None:
            board.agree(case, answer(result))

    return measure
