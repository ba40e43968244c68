"""A small table of edges for the command line, and the figures that must come out."""

from __future__ import annotations

import json
import math

import pytest

from command_line import invoke

# Two sources, a double edge to a node that leads to the sink three times.
ROWS = [("a", "c", 1), ("b", "c", 2), ("c", "d", 3), ("a", "d", 1)]
COUNTS = {"a": 4, "b": 6, "c": 3, "d": 1}
TOTAL = 10


def record_of(*arguments):
    """The one object that ``analyze --json`` prints."""
    result = invoke("analyze", *arguments, "--json")
    assert result.exit_code == 0, result.output
    (record,) = json.loads(result.output)
    return record


def write(path, rows, *, header=None, separator=","):
    lines = [] if header is None else [header]
    lines += [separator.join(map(str, row)) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def numbered(rows=ROWS):
    return [("abcd".index(a), "abcd".index(b), *rest) for a, b, *rest in rows]


def check(record, exact=True):
    assert record["total_contexts"] == (TOTAL if exact else None)
    assert record["log2_total_contexts"] == pytest.approx(math.log2(TOTAL), rel=1e-13)
    assert (record["num_parameters"], record["num_outputs"]) == (2, 1)
    spread = sum(COUNTS[node] / TOTAL * math.log2(COUNTS[node]) for node in "ab")
    assert record["expected_spread"] == pytest.approx(spread, rel=1e-12)
