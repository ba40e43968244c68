"""One whole job in a process of its own, for its memory: from edge arrays in files to counts.

python graph_huge.py SIDE FOLDER: a folder that `write` has filled. Prints JSON: seconds of each
step, and the peaks of memory in MiB, after loading the edges and at the end.
"""

from __future__ import annotations

import json
import re
import resource
import sys
import time
from pathlib import Path

import numpy as np

from peers.graph_peers import PEERS
from peers.graph_sides import OURS, Side
from workloads.graph_families import Edges, family

__all__ = ["run", "write"]

SIDES: dict[str, type[Side]] = {f"{side.name} {side.kind}": side for side in [*OURS, *PEERS]}


def peak() -> float:
    """Largest memory of this process so far, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux: `getrusage` would count the process that started this one
        found = re.search(r"VmHWM:\s*(\d+)", status.read_text())
        if found is not None:
            return int(found[1]) / 2**10
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (2**20 if sys.platform == "darwin" else 2**10)


def write(edges: Edges, folder: Path) -> None:
    np.save(folder / "sources.npy", edges.sources)
    np.save(folder / "targets.npy", edges.targets)
    (folder / "num_nodes").write_text(str(edges.num_nodes))


def run(side: Side, folder: Path) -> dict[str, float]:
    small = family("mlp", 100)
    side.whole_job(small)  # compiles what there is to compile
    sources, targets = np.load(folder / "sources.npy"), np.load(folder / "targets.npy")
    edges = Edges("", int((folder / "num_nodes").read_text()), sources, targets)
    before, clock = peak(), [time.perf_counter()]
    side.build(edges)
    clock.append(time.perf_counter())
    side.order()
    clock.append(time.perf_counter())
    counts = side.count()
    clock.append(time.perf_counter())
    steps = {"build": clock[1] - clock[0], "order": clock[2] - clock[1]}
    steps |= {"count": clock[3] - clock[2], "loaded": before, "peak": peak()}
    assert counts is not None  # they are alive, and so part of the peak
    return steps


if __name__ == "__main__":
    print(json.dumps(run(SIDES[sys.argv[1]](), Path(sys.argv[2]))))
