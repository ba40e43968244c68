"""What the theory says of one model, part by part: what the command ``unrolled theory`` prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from math import isnan
from typing import TYPE_CHECKING, Any, TypeVar

from unrolled._support.collection import collection_paused
from unrolled._support.hints import described
from unrolled._support.optional import import_optional
from unrolled.costs.activations import activations_in
from unrolled.costs.data_flow import DataFlow
from unrolled.errors import (
    InvalidArgumentError,
    TheoryDomainError,
    UnknownNameError,
    UnrolledError,
)
from unrolled.network.network import Network
from unrolled.propagation.initialization import InitializationReport, initialization_report
from unrolled.show import html, tables
from unrolled.show.plot import new_figure, styled
from unrolled.show.summaries import Block
from unrolled.sources.resolution import resolve
from unrolled.theory.checkpointing import Checkpoints, checkpoints
from unrolled.theory.derivatives import (
    ActivationMemory,
    JacobianCost,
    cost_of_flow,
    memory_of,
)
from unrolled.theory.effective_depth import EffectiveDepth, effective_depth
from unrolled.theory.path_laws import Paths, paths
from unrolled.theory.regions import RegionBounds, linear_region_bounds
from unrolled.theory.results import TheoryResult

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Overview", "overview"]

Result = TypeVar("Result")

MOST_REPETITIONS = 2
"""How often a step is run again at most in the plan of checkpoints."""


@dataclass(frozen=True, repr=False)
class Overview:
    """Everything that the theory says of a model in one place.

    A part that does not apply to the model is None, and `missing` says why.

    Attributes
    ----------
    name : str
    paths : Paths or None
    depth : EffectiveDepth or None
    initialization : InitializationReport or None
    derivatives : JacobianCost or None
    memory : ActivationMemory or None
    checkpoints : Checkpoints or None
        Of a chain as long as the deepest path, with as few snapshots as run no step more often than
        twice in addition.
    regions : RegionBounds or None
    missing : dict of str to str
        For each part that is None, the reason.
    """

    name: str
    paths: Paths | None
    depth: EffectiveDepth | None
    initialization: InitializationReport | None
    derivatives: JacobianCost | None
    memory: ActivationMemory | None
    checkpoints: Checkpoints | None
    regions: RegionBounds | None
    missing: dict[str, str] = field(default_factory=dict)

    def parts(self) -> Iterator[tuple[str, TheoryResult | InitializationReport | None]]:
        """The parts by name, in the order in which they are printed."""
        for part in PARTS:
            yield part, getattr(self, part)

    def table(self, *, width: int | None = None) -> str:
        """All parts as plain text, each with its assumptions or with why it is missing.

        Parameters
        ----------
        width : int, optional
            Columns to fill at most: by default those of the terminal, or as many as it takes.
        """
        blocks = []
        for part, result in self.parts():
            heading = f"== {part} =="
            if result is None:
                reason = f"Does not apply: {self.missing[part]}"
                blocks.append(f"{heading}\n{tables.wrapped(reason, width)}")
            else:
                blocks.append(f"{heading}\n{result.table(width=width)}")
        return "\n\n".join(blocks)

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        return f"Overview({self.name!r}, missing={sorted(self.missing)})"

    def _repr_html_(self) -> str:
        pieces = []
        for part, result in self.parts():
            pieces.append(f"<h3>{html.escaped(part)}</h3>")
            pieces.append(
                f"<p>Does not apply: {html.escaped(self.missing[part])}</p>"
                if result is None
                else result._repr_html_()
            )
        return "".join(pieces)

    def to_dict(self) -> dict[str, Any]:
        """All parts as JSON can hold them; see `TheoryResult.to_dict`."""
        found: dict[str, Any] = {"name": self.name}
        for part, result in self.parts():
            found[part] = None if result is None else result.to_dict()
        return {**found, "missing": dict(self.missing)}

    def plot(self) -> tuple[Figure, Sequence[Axes]]:
        """Draw the depth, what is kept, the checkpoints and the regions, as far as they apply.

        Signal and gradients have figures of their own: ``initialization.plot()``.

        Raises
        ------
        InvalidArgumentError
            No part applies.
        MissingPackageError
            matplotlib is not installed (the extra ``plot``).
        """
        drawn = [
            result
            for result in (self.depth, self.memory, self.checkpoints, self.regions)
            if result is not None
        ]
        if not drawn:
            raise InvalidArgumentError(f"no part that can be drawn applies to '{self.name}'")
        with styled():
            figure, axes = new_figure(len(drawn))
        for result, panel in zip(drawn, axes, strict=True):
            result.plot(axes=panel)
        return figure, axes

    def summary(self) -> dict[str, str]:
        """The main figure of each part, as a cell of a table of several models; a dash for none.

        Examples
        --------
        >>> from unrolled import models
        >>> overview(models.mlp(8, depth=2, inputs=4, classes=2)).summary()["effective depth"]
        '3.00 of 3'
        """
        report, costs = self.initialization, self.derivatives
        found = {
            "paths (log2)": self.paths and f"{self.paths.log2_psi:,.1f}",
            "effective depth": self.depth and f"{self.depth.mean:.2f} of {self.depth.nominal}",
            "at initialisation": report and ("sound" if report.is_sound else "needs care"),
            "Jacobian": costs and f"{costs.mode} mode",
            "kept for a gradient": self.memory and tables.byte_size(self.memory.saved),
            "checkpoints": self.checkpoints and f"{self.checkpoints.snapshots:,}",
            "linear regions, at most (log2)": self.regions and f"{self.regions.log2_upper:,.0f}",
        }
        return {heading: text or tables.MISSING for heading, text in found.items()}

    def to_pandas(self) -> pandas.DataFrame:
        """The main figure of each part as a data frame of one row; see `summary`.

        The assumptions of each part are in its ``attrs``.

        Raises
        ------
        MissingPackageError
            pandas is not installed.

        Examples
        --------
        >>> from unrolled import models
        >>> net = models.mlp(8, depth=2, inputs=4, classes=2)
        >>> overview(net).to_pandas().loc["mlp", "Jacobian"]
        'reverse mode'
        """
        module = import_optional("pandas", "pandas")
        index = module.Index([self.name], name="model")
        frame: pandas.DataFrame = module.DataFrame([self.summary()], index=index)
        results = [(part, one) for part, one in self.parts() if isinstance(one, TheoryResult)]
        frame.attrs = {"assumptions": {part: one.assumptions for part, one in results}}
        return frame

    def blocks(self) -> Iterator[Block]:
        """The parts as small tables and sentences, for pages; signals layer by layer are left out.

        `initialization` has those.
        """
        for part, result in self.parts():
            if result is None:
                yield Block(part, f"Does not apply: {self.missing[part]}")
            elif isinstance(result, InitializationReport):
                title = "Sound." if result.is_sound else "Needs care."
                advice = [f"Advice: {sentence}" for sentence in result.advice]
                yield Block(part, title, notes=[*result.findings, *advice, *result.notes])
            else:
                yield result.block(part)

    def headline(self) -> dict[str, str]:
        """One line a part: its main figure, or why it is missing."""
        lines = {}
        for part, result in self.parts():
            if isinstance(result, TheoryResult):
                lines[part] = result.title
            elif result is None:
                lines[part] = f"does not apply: {self.missing[part]}"
            else:
                sound = "sound" if result.is_sound else result.findings[0]
                jacobian = result.jacobian_per_output
                lines[part] = sound + (
                    "" if isnan(jacobian) else f"; E|J|^2 per output {jacobian:.6g}"
                )
        return lines


PARTS = (
    "paths",
    "depth",
    "initialization",
    "derivatives",
    "memory",
    "checkpoints",
    "regions",
)
"""Attributes of `Overview`, in the order of their usefulness to whoever designs a model."""


@collection_paused()
def overview(
    model: Any, weights: Any = "he", *, inputs: Any = None, size: Any = None, **options: Any
) -> Overview:
    """Say of a model everything that the theory knows of it.

    Parameters
    ----------
    model
        Anything that `unrolled.propagate` takes.
    weights : str, float, mapping or callable
        How it is initialised; see `unrolled.propagate`.
    inputs, size
        For models that have to be imported or built; see `unrolled.analyze`.
    **options
        Of `unrolled.propagate`: biases, input, batch_norm, gain, overrides, functions.

    Returns
    -------
    Overview

    Raises
    ------
    InvalidArgumentError
        A model that is not made of tensors, or options that no part takes. Parts that do not apply
        to a model are no errors.

    Examples
    --------
    >>> from unrolled import models
    >>> found = overview(models.mlp(8, depth=2, inputs=4, classes=2))
    >>> found.paths.psi, found.depth.mean, found.derivatives.mode
    (512, 3.0, 'reverse')
    """
    network = resolve(model, inputs=inputs, size=size, operations=True)
    if not isinstance(network, Network):
        raise InvalidArgumentError(
            f"the theory of deep networks needs a model made of tensors, which {described(model)} "
            "is not"
        )
    missing: dict[str, str] = {}

    def attempt(part: str, compute: Callable[[], Result]) -> Result | None:
        try:
            return compute()
        except UnrolledError as error:
            is_request = isinstance(error, (InvalidArgumentError, UnknownNameError))
            if is_request and not isinstance(error, TheoryDomainError):
                raise  # What was asked for cannot be, whatever the model is.
            missing[part] = str(error)
            return None

    # Depth by depth, paths of hundreds of layers take seconds; their mean and variance do not.
    found_paths = attempt("paths", lambda: paths(network, law=False, shares=False))
    # Both say that there is no derivative where there is no path.
    flow = cache(lambda: DataFlow(network))
    activations = cache(lambda: activations_in(flow()))
    report = attempt("initialization", lambda: initialization_report(network, weights, **options))
    propagation = None if report is None else report.propagation
    depth = None
    if propagation is None:
        missing["depth"] = (
            missing["initialization"] if report is None else " ".join(report.findings)
        )
    else:
        depth = attempt("depth", lambda: effective_depth(propagation))
    plan = None
    if depth is None or depth.nominal < 1:
        missing["checkpoints"] = missing.get("depth", "the model has no weight layers")
    else:
        plan = _plan(depth.nominal)
    return Overview(
        network.name,
        found_paths,
        depth,
        report,
        attempt("derivatives", lambda: cost_of_flow(flow(), activations())),
        attempt("memory", lambda: memory_of(network.name, activations())),
        plan,
        attempt("regions", lambda: linear_region_bounds(network)),
        missing,
    )


def _plan(steps: int) -> Checkpoints:
    """The least snapshots with which no step is run again more often than is allowed."""
    snapshots = 1
    while (plan := checkpoints(steps, snapshots)).repetitions > MOST_REPETITIONS:
        snapshots += 1
    return plan
