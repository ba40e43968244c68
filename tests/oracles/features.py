"""Features of small descriptions of networks, from whole distributions instead of moments.

It shares no code with the package. A path is followed as a distribution over numbers of kernels,
paths are counted as integers, and statistics of layers are those of NumPy over lists.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict

import numpy as np

from oracles.scores import Description, Step


def features(net: Description, output: str) -> dict[str, float]:
    """The features of a network with one output, by name."""
    net.scores(output)  # Leaves in every step what comes from before and from behind it.
    steps = _live(net, output)
    laws: dict[str, Counter[int]] = {}
    functions: dict[str, float] = {}
    reach: dict[str, float] = {}
    paths: dict[str, int] = {}
    extent = net.steps["input0"].positions
    found: dict[str, float] = defaultdict(float)
    merged: list[tuple[float, float]] = []
    for step in steps:
        sources = [net.steps[name] for name in step.sources if name in {s.name for s in steps}]
        if not sources:
            laws[step.name], functions[step.name] = Counter({0: 1.0}), 0.0
            reach[step.name], paths[step.name] = 0.0, 1
            continue
        carried = np.array([_carried(step, source) for source in sources])
        shares = carried / carried.sum()
        law: Counter[int] = Counter()
        functions[step.name] = reach[step.name] = 0.0
        for share, source in zip(shares, sources, strict=True):
            for kernels, chance in laws[source.name].items():
                law[kernels + (step.operation == "conv")] += share * chance
            functions[step.name] += share * (functions[source.name] + (step.operation == "relu"))
            k = step.numbers.get("k", 1)
            width = (k**2 - 1) / 12 * extent / source.positions
            reach[step.name] += share * (reach[source.name] + width)
        laws[step.name] = law
        paths[step.name] = sum(paths[source.name] for source in sources)
        is_layer = step.operation in ("conv", "average", "largest")
        found["links"] += len(sources) if len(sources) > 1 or is_layer else 0
        if step.operation == "add" and len(sources) > 1:
            kinds = [_kind(net, steps, source) for source in sources]
            found["identities"] += kinds.count("identity")
            merged.append(
                (
                    sum(s for s, kind in zip(shares, kinds, strict=True) if kind != "conv"),
                    sum(s for s, kind in zip(shares, kinds, strict=True) if kind == "identity"),
                )
            )
        found["average_pools"] += step.operation == "average"
        found["max_pools"] += step.operation == "largest"
        found["concatenations"] += len(sources) * (step.operation == "concat" and len(sources) > 1)
        if step.operation == "norm":
            found["lone_norms"] += _kind(net, steps, sources[0]) == "identity"
        readers = [one for one in steps if step.name in one.sources]
        is_read = any(one.operation == "conv" for one in readers)
        found["lone_activations"] += step.operation == "relu" and not is_read
    law = laws[output]
    mean = sum(kernels * chance for kernels, chance in law.items())
    deviation = math.sqrt(sum((kernels - mean) ** 2 * chance for kernels, chance in law.items()))
    least, most = _extremes(steps, output)
    return {
        "path_kernels": mean,
        "path_kernels_deviation": deviation,
        "path_activations": functions[output],
        "log_receptive_field": math.log1p(reach[output]),
        "log_paths": math.log(paths[output]),
        "least_kernels": least,
        "most_kernels": most,
        "log_path_kernels": math.log1p(mean),
        "relative_path_kernels": mean / most,
        "relative_path_kernels_deviation": deviation / mean,
        "weightless_share": float(np.mean([one for one, _ in merged])) if merged else 0.0,
        "identity_share": float(np.mean([one for _, one in merged])) if merged else 0.0,
        "log_merges": math.log1p(len(merged)),
        **{
            f"log_{kind}": math.log1p(found[kind])
            for kind in (
                "identities",
                "average_pools",
                "max_pools",
                "lone_norms",
                "concatenations",
                "lone_activations",
            )
        },
        "log_links": math.log(found["links"]),
        **_of_layers(net, steps, laws),
    }


def _live(net: Description, output: str) -> list[Step]:
    begun, ends = {"input0"}, {output}
    for step in net.steps.values():
        if any(source in begun for source in step.sources):
            begun.add(step.name)
    for step in reversed(net.steps.values()):
        if step.name in ends:
            ends.update(step.sources)
    return [step for step in net.steps.values() if step.name in begun & ends]


def _carried(step: Step, source: Step) -> float:
    if step.operation == "add":
        return source.forward[0]
    if step.operation == "concat":
        return source.forward[0] * source.channels
    return 1.0


def _kind(net: Description, steps: list[Step], source: Step) -> str:
    """What leads to a sum; behind a tensor that nothing else reads, what led there."""
    if source.operation in ("conv", "average", "largest"):
        return source.operation
    live = {one.name: one for one in steps}
    before = [live[name] for name in source.sources if name in live]
    if len(before) != 1 or sum(one.sources.count(source.name) for one in steps) > 1:
        return "identity"
    if source.operation == "relu":
        return "relu"
    kind = _kind(net, steps, before[0])
    return "norm" if source.operation == "norm" and kind == "identity" else kind


def _extremes(steps: list[Step], output: str) -> tuple[int, int]:
    bounds: dict[str, tuple[int, int]] = {}
    for step in steps:
        known = [bounds[source] for source in step.sources if source in bounds]
        own = int(step.operation == "conv")
        least = min((one for one, _ in known), default=0) + own
        bounds[step.name] = (least, max((one for _, one in known), default=0) + own)
    return bounds[output]


def _tau(net: Description, step: Step) -> tuple[float, float]:
    v, c = net.steps[step.sources[0]].forward
    k = step.numbers["k"]
    return k**4 / (k**2 + (k**4 - k**2) * (c / v) ** 2), c / v


def _of_layers(
    net: Description, steps: list[Step], laws: dict[str, Counter[int]]
) -> dict[str, float]:
    rows = []
    for step in steps:
        if step.operation != "conv":
            continue
        source = net.steps[step.sources[0]]
        tau, r = _tau(net, step)
        fan = source.channels / step.numbers["groups"]
        weights = fan * step.channels * tau
        kept = net._kept(source)
        saliency = step.channels * step.positions * kept * step.backward[0]
        depth = sum(kernels * chance for kernels, chance in laws[source.name].items())
        rows.append(
            (
                math.log(step.channels),
                abs(math.log(source.channels / step.channels)),
                math.log(fan * step.numbers["k"] ** 2),
                math.log(weights),
                math.log(step.channels * step.positions * math.sqrt(fan * tau)),
                math.log(tau),
                math.log(saliency) / 2,
                math.log(step.positions),
                depth,
                r,
                weights * step.positions,
                step.positions,
            )
        )
    table = np.array(rows).T
    channels, ratio, fan_in, weights, units, taps, saliency, positions, depth, r, macs, n = table
    spatial = np.flatnonzero(n > 1)

    def slope(y: np.ndarray) -> float:
        return float(np.polyfit(depth, y, 1)[0] * depth.std()) if np.ptp(depth) else 0.0

    return {
        "log_channels": channels.mean(),
        "log_channels_deviation": channels.std(),
        "log_channels_maximum": channels.max(),
        "log_channels_minimum": channels.min(),
        "log_channel_ratio": ratio.mean(),
        "log_fan_in": fan_in.mean(),
        "log_effective_weights_deviation": weights.std(),
        "log_effective_units_deviation": units.std(),
        "log_effective_taps": taps.mean(),
        "log_saliency": saliency.mean(),
        "log_saliency_deviation": saliency.std(),
        "log_positions": positions.mean(),
        "saliency_slope": slope(saliency),
        "channels_slope": slope(channels),
        "correlation": r.mean(),
        "last_correlation": r[spatial[-1]] if len(spatial) else 0.0,
        "weighted_correlation": float((r * macs).sum() / macs.sum()),
    }
