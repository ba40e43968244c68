"""Settings for all tests: hypothesis profiles, chosen by HYPOTHESIS_PROFILE; shared fixtures."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "default",
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=5000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

# Tables would be as wide as the terminal of whoever runs the tests; pytest-xdist sets it as well.
os.environ.pop("COLUMNS", None)


# Failed assertions of these packages are explained as those of tests are.
pytest.register_assert_rewrite("cases", "oracles", "strategies")


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C interrupts this process and those that the test starts.

    A shell makes jobs in the background ignore it, and their children inherit that.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def small_file(tmp_path_factory):
    """The bytes of a small graph's file, and the counts of that graph."""
    # Imported here because strategies and settings take the profile when they are made.
    from cases.graph_files import SMALL, main_answers

    path = tmp_path_factory.mktemp("saved") / "graph.npz"
    graph = SMALL.build(name="small")
    graph.save(path)
    return path.read_bytes(), main_answers(graph)


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    """Close what a test drew: pyplot keeps every figure, and warns of the twentieth."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
