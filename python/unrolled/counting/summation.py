"""Weighted sums over the paths of a network: `path_sums`.

Every path from an input to an output has a product of weights. Summed over all paths that begin at,
end at or lead through an element, these products answer one question for each choice of weights:
how many paths there are, how much variance arrives, how steep the network can be at most. With
integer weights the counting core does the work, exactly; with real ones a sweep over maps.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from unrolled import _core
from unrolled._core import Operation
from unrolled._support.arguments import Progress, check_progress, checked_choice, checked_limit
from unrolled._support.caching import cached_property
from unrolled._support.hints import described, did_you_mean
from unrolled.counting.counted_sweep import (
    counted,
    grade_law,
    is_countable,
)
from unrolled.counting.joined_sums import sum_before_joining
from unrolled.counting.path_diagram import Arrow, Diagram, Weight
from unrolled.counting.scaled import LARGEST_PRODUCTS, SUMS, Scaled
from unrolled.counting.sum_maps import SumMap, Total, combined, log2_of, ratio
from unrolled.counting.weighted_sweep import of_equal_grades, sweep, weighted
from unrolled.errors import InvalidArgumentError, NothingToCountError, UnknownNameError
from unrolled.network.builder import Link
from unrolled.network.network import Network
from unrolled.show.plot import COLOR, SECOND_COLOR, figure_of, panel, styled
from unrolled.show.records import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from unrolled.network.builder import Tensor

__all__ = ["GradeMoments", "PathSums", "grade_moments", "path_sums"]

Numbers: TypeAlias = "float | npt.ArrayLike"
Weights: TypeAlias = "Callable[[Link], Numbers] | Mapping[str, Numbers]"
Grade: TypeAlias = Callable[[Link], int]
Direction = Literal["both", "forward", "backward"]
Combination = Literal["sum", "max"]
Level = Literal["element", "tensor"]

LARGEST_GRADE = 1000
"""One link may have a grade up to this; grades count layers."""

LARGEST_INTEGER = (1 << 63) - 1
"""Larger weights are floats."""


def path_sums(
    network: Network,
    weights: Weights | None = None,
    *,
    sources: Mapping[str, Numbers] | None = None,
    outputs: Mapping[str, Numbers] | None = None,
    direction: Direction = "both",
    grade: Grade | Literal["affine"] | None = None,
    semiring: Combination = "sum",
    level: Level = "element",
    exact: bool = True,
    memory_limit: int | None = None,
    progress: Progress | None = None,
) -> PathSums:
    """Sum the products of weights along all paths of a network.

    With weights w of the links, s of the inputs and o of the outputs, for every element

        B(v) = o(v) + sum over v -> u of w B(u)       over the paths from v to the outputs
        F(u) = s(u) + sum over v -> u of w F(v)       over the paths from the inputs to u
        T(v) = F(v) B(v)                              over the paths through v

    and the total is the sum of s B over the inputs, which is that of o F over the outputs, and that
    of T over every cut. Parallel edges are different paths, and each has the weight.

    Parameters
    ----------
    network : Network
    weights : callable or dict, optional
        A function takes a `Link` and returns the weight of its edges: a number, or an array that
        broadcasts to the shape of the target. A dict has the weights of links into a tensor, by the
        name of the tensor or else the kind of its operation (see `Network.operation`); links from
        parameters, and all others, then have 1. All weights are 1 by default; none may be negative.
    sources, outputs : dict, optional
        The weight of beginning at an input and of ending at an output, by name: a number, or an
        array that broadcasts to its shape. Those that are not named have 1.
    direction : {"both", "forward", "backward"}
        Which sums are wanted: forward over paths from the inputs, backward to the outputs.
    grade : callable or "affine", optional
        A function that takes a `Link` and returns an integer from 0, by which paths along it have a
        larger grade; the result then knows the law of the grade. "affine": 1 on links into dense
        layers and convolutions from what they are applied to, so that the grade of a path is the
        number of weight layers along it.
    semiring : {"sum", "max"}
        "max": of parallel paths only the one with the largest product counts. With a `grade`, which
        then allows no weights, the one with the largest grade.
    level : {"element", "tensor"}
        "tensor": every tensor is one node and every link one edge, for weights that belong to whole
        layers, such as norms.
    exact : bool
        True: integers of unlimited size, as long as all weights are integers below 2**63. False,
        or with other weights: floats with exponents of their own.
    memory_limit : int, optional
        Bytes that exact sums may take; by default most of the memory that is free.
    progress : callable, optional
        Called as ``progress(done, total)`` while one direction is summed.

    Returns
    -------
    PathSums

    Raises
    ------
    InvalidArgumentError
        Weights or grades that are negative, not finite or do not fit; an unknown option.
    UnknownNameError
        A name in a dict that the network does not have.
    NothingToCountError
        A network without an input or without an output.
    CycleError
        The links form a cycle.
    MemoryLimitError
        Exact sums would need more than `memory_limit`.

    References
    ----------
    Transfer matrices of a directed graph; for "max" the longest path problem. The sum over all
    paths of a residual network by their length is that of A. Veit, M. Wilber, S. Belongie,
    "Residual networks behave like ensembles of relatively shallow networks", NeurIPS 2016.

    Examples
    --------
    >>> from unrolled import models
    >>> net = models.mlp([3, 5], inputs=4, classes=2)
    >>> path_sums(net).total
    120

    If all kernels are drawn with the variance 0.1 and nothing lies between the layers, the expected
    sum of the squares of all derivatives of outputs by inputs is

    >>> squares = path_sums(net, {"affine": 0.1}, grade="affine")
    >>> round(squares.total, 12), squares.longest
    (0.12, 3)
    """
    if not isinstance(network, Network):
        raise InvalidArgumentError(f"path_sums() takes a Network, got {described(network)}")
    checked_choice("direction", direction, get_args(Direction))
    checked_choice("semiring", semiring, get_args(Combination))
    checked_choice("level", level, get_args(Level))
    limit = checked_limit(memory_limit)
    check_progress(progress)
    if semiring == "max" and grade is not None and (weights, sources, outputs) != (None,) * 3:
        raise InvalidArgumentError(
            "semiring='max' with a grade finds the path of the largest grade, which has nothing to "
            "do with weights; leave out weights, sources and outputs"
        )
    request = _Request(weights, sources, outputs, grade, level, semiring)
    diagram = _diagram(network, request)
    from_inputs = _reachable(diagram)
    graded = grade is not None and semiring == "sum"
    forward = backward = law = None
    is_integer = semiring == "sum" and _has_integers(diagram)
    is_exact = is_integer and exact
    if is_integer:
        options: dict[str, Any] = {"memory_limit": limit, "progress": progress}
        if direction != "backward":
            forward = _count_maps(from_inputs.turned_round(), is_exact, options)
        if direction != "forward":
            backward = _count_maps(diagram, is_exact, options)
        if graded:
            found_law = grade_law(sum_before_joining(from_inputs), is_exact, **options)
            law = SumMap.of_counts(found_law, is_exact)
    else:
        ring = SUMS if semiring == "sum" else LARGEST_PRODUCTS
        if direction != "backward":
            found = sweep(from_inputs, ring, progress=progress)
            forward = list(map(SumMap.of_scaled, found, diagram.shapes))
        if direction != "forward":
            found = sweep(diagram.turned_round(), ring, progress=progress)
            backward = list(map(SumMap.of_scaled, found, diagram.shapes))
        if graded:
            real = _real_law(sum_before_joining(from_inputs), progress)
            law = SumMap.of_scaled(real, real.shape)
    return PathSums(network, diagram, _Parts(forward, backward, law, is_exact, request))


class GradeMoments(NamedTuple):
    """The number of paths of a network, with mean and variance of their grade."""

    total: int
    mean: float
    variance: float


def grade_moments(
    network: Network,
    grade: Grade | Literal["affine"],
    *,
    memory_limit: int | None = None,
    progress: Progress | None = None,
) -> GradeMoments:
    """Count the paths of a network, and find the mean and the variance of their grade.

    Quicker than the law of the grade: the number is exact, the other two have rounding errors.

    Parameters
    ----------
    network, grade, memory_limit, progress
        As for `path_sums`.

    Raises
    ------
    UnrolledError
        As for `path_sums`.

    Examples
    --------
    >>> from unrolled import models
    >>> grade_moments(models.mlp([3, 5], inputs=4, classes=2), "affine")
    GradeMoments(total=120, mean=3.0, variance=0.0)
    """
    limit = checked_limit(memory_limit)
    check_progress(progress)
    _check_ends(network)
    request = _Request(None, None, None, grade, "element", "sum")
    grade_of = _grade_function(network, request)
    grades = [_checked_grade(grade_of(link), link) for link in network.links]
    count = network._core.path_moments
    total = int(_only_counts(count([], memory_limit=limit, progress=progress), True).integers()[0])
    if not total:
        return GradeMoments(0, math.nan, math.nan)
    if not any(grades):
        return GradeMoments(total, 0.0, 0.0)
    sums = _only_counts(count(grades, False, progress=progress), False).scaled()
    mantissa, exponent = sums.at(slice(0, 1)).total()
    _, first, second = (sums.scaled_by(-exponent).floats() / mantissa).tolist()
    return GradeMoments(total, first, max(second - first**2, 0.0))


def _only_counts(counts: _core.Counts, is_exact: bool) -> SumMap:
    """The counts of the parameter that paths were counted for."""
    return SumMap.of_counts(counts.parameter(counts.parameters[0]), is_exact)


class _Request(NamedTuple):
    """What a user asked for."""

    weights: Weights | None
    sources: Mapping[str, Numbers] | None
    outputs: Mapping[str, Numbers] | None
    grade: Grade | Literal["affine"] | None
    level: Level
    semiring: Combination


class _Parts(NamedTuple):
    """What was summed."""

    forward: list[SumMap] | None
    backward: list[SumMap] | None
    law: SumMap | None
    is_exact: bool
    request: _Request


class PathSums(Record):
    """Weighted sums over the paths of a network, of all its tensors. `path_sums` makes one.

    A snapshot: layers added to the network later do not change it.

    Attributes
    ----------
    name : str
        Name of the network.
    is_exact : bool
        Whether the sums are integers; otherwise they are floats with exponents of their own.
    semiring : {"sum", "max"}
        Whether parallel paths add up, or the largest of them counts.

    Examples
    --------
    >>> from unrolled import models
    >>> sums = path_sums(models.mlp([3, 5], inputs=4, classes=2))
    >>> sums
    PathSums('mlp', log2 of the total 6.90689)
    >>> sums.forward("layer2")[0], sums.backward("layer1")[0], sums.through("layer1")[0]
    (12, 10, 40)
    """

    def __init__(self, network: Network, diagram: Diagram, parts: _Parts) -> None:
        self.name = network.name
        self.is_exact = parts.is_exact
        self.semiring = parts.request.semiring
        self._parts = parts
        self._numbers = {name: number for number, name in enumerate(diagram.names)}
        self._diagram = diagram
        self._between = [tensor.name for tensor in network.tensors if tensor.role != "parameter"]

    def forward(self, name: str) -> npt.NDArray[Any]:
        """Sum over the paths from the inputs to each element of a tensor.

        Parameters
        ----------
        name : str
            Of a tensor. No path leads to a parameter.

        Returns
        -------
        ndarray
            Of the shape of the tensor: of Python integers if the sums are exact, else of floats.

        Raises
        ------
        InvalidArgumentError
            Only the other direction was summed, the tensor has too many elements for an array, or
            floats cannot hold the sums (`log2_forward` can).
        UnknownNameError
            The network has no such tensor.
        """
        values = self._map("forward", name)
        return values.integers() if self.is_exact else _floats(values.scaled(), "log2_forward")

    def backward(self, name: str) -> npt.NDArray[Any]:
        """Sum over the paths from each element of a tensor to the outputs; as for `forward`.

        If all weights are 1, those of a parameter are its contexts.
        """
        values = self._map("backward", name)
        return values.integers() if self.is_exact else _floats(values.scaled(), "log2_backward")

    def through(self, name: str) -> npt.NDArray[Any]:
        """Sum over the paths from inputs to outputs through each element; as for `forward`."""
        forward, backward = self._map("forward", name), self._map("backward", name)
        if self.is_exact:
            product: npt.NDArray[Any] = forward.integers() * backward.integers()
            return product
        return _floats(forward.scaled().times(backward.scaled()), "log2_through")

    def log2_forward(self, name: str) -> npt.NDArray[np.float64]:
        """`forward` as logarithms to base 2, which no size overflows; minus infinity for none."""
        return self._map("forward", name).log2()

    def log2_backward(self, name: str) -> npt.NDArray[np.float64]:
        """`backward` as logarithms to base 2."""
        return self._map("backward", name).log2()

    def log2_through(self, name: str) -> npt.NDArray[np.float64]:
        """`through` as logarithms to base 2."""
        logarithms: npt.NDArray[np.float64] = self.log2_forward(name) + self.log2_backward(name)
        return logarithms

    @cached_property
    def _total(self) -> Total:
        """Over all paths, an integer or a mantissa and an exponent."""
        diagram, parts = self._diagram, self._parts
        maps, ends = parts.backward, diagram.starts
        if maps is None:
            maps, ends = parts.forward, diagram.ends
        assert maps is not None
        totals = [
            maps[number].total_with(SumMap.of_weight(weight, diagram.shapes[number]), self.semiring)
            for number, weight in ends.items()
        ]
        return combined(totals, self.semiring)

    @property
    def total(self) -> int | float:
        """Over all paths from inputs to outputs: an integer if exact, else a float.

        Raises
        ------
        InvalidArgumentError
            A float cannot hold it; `log2_total` can.
        """
        if isinstance(self._total, int):
            return self._total
        return float(_floats(Scaled.of(self._total[0]).scaled_by(self._total[1]), "log2_total"))

    @property
    def log2_total(self) -> float:
        """Logarithm of the total to base 2; minus infinity if there is no path."""
        return log2_of(self._total)

    @property
    def longest(self) -> int:
        """The largest grade of a path.

        Raises
        ------
        InvalidArgumentError
            Summed without a grade.
        NothingToCountError
            No path leads from an input to an output.
        """
        self._check_graded()
        if self.semiring == "max":
            if self.log2_total == -math.inf:
                raise self._no_path()
            return round(self.log2_total)
        return max(grade for grade, share in enumerate(self.grade_shares) if share > 0)

    @property
    def law(self) -> tuple[int, ...] | tuple[float, ...]:
        """Sum over the paths of each grade from 0, the coefficients of a polynomial.

        Raises
        ------
        InvalidArgumentError
            Summed without a grade or with the semiring "max", or a float cannot hold a coefficient
            (see `grade_shares`).
        """
        law = self._require_law()
        if self.is_exact:
            return tuple(law.integers().tolist())
        return tuple(_floats(law.scaled(), "grade_shares").tolist())

    @property
    def grade_shares(self) -> npt.NDArray[np.float64]:
        """The law of the grade as shares of the total, shape ``(grades,)``.

        Raises
        ------
        InvalidArgumentError
            As for `law`.
        NothingToCountError
            No path leads from an input to an output.
        """
        scaled = self._require_law().scaled()
        mantissa, exponent = scaled.total()
        if not mantissa:
            raise self._no_path()
        shares: npt.NDArray[np.float64] = scaled.scaled_by(-exponent).floats() / mantissa
        return shares

    @property
    def mean_grade(self) -> float:
        """Mean grade of a path, weighted by the products; errors as for `grade_shares`."""
        shares = self.grade_shares
        return math.fsum(shares * np.arange(len(shares)))

    @property
    def grade_variance(self) -> float:
        """Variance of the grade of a path; errors as for `grade_shares`."""
        shares = self.grade_shares
        return math.fsum(shares * (np.arange(len(shares)) - self.mean_grade) ** 2)

    def shares(self) -> dict[str, float]:
        """For every tensor but parameters, the part of the total that leads through it.

        Shares of the tensors of one cut add up to 1: they say which branch carries how much.

        Raises
        ------
        InvalidArgumentError
            Only one direction was summed, or the semiring is "max".
        NothingToCountError
            No path leads from an input to an output.
        """
        if self.semiring == "max":
            raise InvalidArgumentError("the largest path has no shares; use semiring='sum'")
        if self.log2_total == -math.inf:
            raise self._no_path()
        return {
            name: ratio(
                self._map("forward", name).total_with(self._map("backward", name)), self._total
            )
            for name in self._between
        }

    @property
    def title(self) -> str:
        """The name of the network and the total."""
        return f"{self.name}: sums over paths, log2 of the total {self.log2_total:,.6g}"

    @property
    def rows(self) -> list[dict[str, object]]:
        """For every tensor but parameters the logarithms to base 2 of its sums, over all elements.

        Beside them is the share of the total that leads through it, where both directions were
        summed and there is a path.
        """
        directions = [one for one in ("forward", "backward") if getattr(self._parts, one)]
        has_shares = len(directions) == 2 and self.semiring == "sum" and self._total != 0
        shares = self.shares() if has_shares and self.log2_total > -math.inf else {}
        found = []
        for name in self._between:
            ones = SumMap.of_weight(1, self._diagram.shapes[self._numbers[name]])
            row: dict[str, object] = {"tensor": name}
            for direction in directions:
                values: SumMap = getattr(self._parts, direction)[self._numbers[name]]
                row[f"log2 {direction}"] = log2_of(values.total_with(ones, self.semiring))
            if shares:
                row["share"] = shares[name]
            found.append(row)
        return found

    @property
    def assumptions(self) -> str:
        """What a path weighs, and what becomes of parallel ones."""
        numbers = "integers, exact" if self.is_exact else "floats with exponents of their own"
        parallel = "parallel paths add up" if self.semiring == "sum" else "the largest path counts"
        return f"a path weighs the product of its links' weights; {parallel}; sums are {numbers}"

    def plot(self, *, axes: Axes | None = None) -> tuple[Figure, Axes]:
        """The sums of the tensors in the order of the network; errors are those of `Record.plot`.

        Parameters
        ----------
        axes : matplotlib.axes.Axes, optional

        Returns
        -------
        figure, axes
        """
        rows = self.rows
        with styled():
            axes = panel(axes)
            for key, color in (("log2 forward", COLOR), ("log2 backward", SECOND_COLOR)):
                if key in rows[0]:
                    values = np.array([row[key] for row in rows], dtype=np.float64)
                    axes.plot(range(len(rows)), values, color=color, label=key.partition(" ")[2])
            axes.set(
                title=self.name, xlabel="tensor", ylabel=r"$\log_2$ of its sum over paths [bits]"
            )
            axes.legend()
        return figure_of(axes), axes

    def __repr__(self) -> str:
        return f"PathSums({self.name!r}, log2 of the total {self.log2_total:,.6g})"

    def _map(self, direction: Literal["forward", "backward"], name: str) -> SumMap:
        maps: list[SumMap] | None = getattr(self._parts, direction)
        if maps is None:
            raise InvalidArgumentError(
                f"'{self.name}' was summed in the other direction only; use "
                "path_sums(network, direction='both')"
            )
        number = self._numbers.get(name) if isinstance(name, str) else None
        if number is None:
            near = did_you_mean(str(name), self._numbers)
            raise UnknownNameError(f"network '{self.name}' has no tensor named {name!r}{near}")
        return maps[number]

    def _check_graded(self) -> None:
        if self._parts.request.grade is None:
            raise InvalidArgumentError(
                f"'{self.name}' was summed without a grade; use path_sums(network, grade=...)"
            )

    def _require_law(self) -> SumMap:
        self._check_graded()
        if self._parts.law is None:
            raise InvalidArgumentError("the largest path has no law; use semiring='sum'")
        return self._parts.law

    def _no_path(self) -> NothingToCountError:
        return NothingToCountError(
            f"network '{self.name}': no path of positive weight leads from an input to an output"
        )


def _floats(values: Scaled, instead: str) -> npt.NDArray[np.float64]:
    """Plain floats, unless one is too large."""
    floats = values.floats()
    if np.isinf(floats).any():
        raise InvalidArgumentError(f"a sum is beyond the range of floats; use {instead}")
    return floats


def _count_maps(diagram: Diagram, is_exact: bool, options: Mapping[str, Any]) -> list[SumMap]:
    core, probes = counted(diagram, is_exact, **options)
    return [SumMap.of_counts(core.parameter(probe), is_exact) for probe in probes]


def _check_ends(network: Network) -> None:
    """Refuse a network without an input or an output."""
    if not network.inputs or not network.outputs:
        what = "input" if not network.inputs else "output"
        raise NothingToCountError(
            f"network '{network.name}' has no {what}; paths lead from an input to an output"
        )


def _where(link: Link) -> str:
    """A link, as errors name it."""
    return f"the link from '{link.source.name}' to '{link.target.name}'"


def _diagram(network: Network, request: _Request) -> Diagram:
    """The network with weights and grades on its links."""
    _check_ends(network)
    shapes = [tensor.shape for tensor in network.tensors]
    if request.level == "tensor":
        shapes = [() for _ in shapes]
    weight_of, grade_of = _weight_function(network, request), _grade_function(network, request)
    arrows = []
    for link in network.links:
        shape = shapes[link.target.id]
        where = _where(link)
        weight = checked_weight(weight_of(link), shape, where)
        grade = _checked_grade(grade_of(link), link)
        if request.semiring == "max" and request.grade is not None:
            weight = math.ldexp(1.0, grade)
        relations = link.relations if request.level == "element" else ()
        arrows.append(Arrow(link.source.id, link.target.id, relations, weight, grade=grade))
    return Diagram(
        tuple(tensor.name for tensor in network.tensors),
        tuple(shapes),
        tuple(arrows),
        _ends("sources", network.inputs, request.sources, shapes),
        _ends("outputs", network.outputs, request.outputs, shapes),
    )


def _weight_function(network: Network, request: _Request) -> Callable[[Link], Numbers]:
    weights = request.weights
    if weights is None:
        return lambda link: 1
    if callable(weights):
        return weights
    if not isinstance(weights, Mapping):
        raise InvalidArgumentError(
            "weights must be a function of a Link, or a dict by name of tensor, got "
            f"{described(weights)}"
        )
    kinds = {tensor.name: _kind(network, tensor) for tensor in network.tensors}
    known = weights
    for name in known:
        if name not in kinds and not _is_kind(name):
            near = did_you_mean(str(name), [*kinds, *{kind for kind in kinds.values() if kind}])
            raise UnknownNameError(
                f"network '{network.name}' has no tensor and no kind of operation named {name!r}"
                f"{near}"
            )

    def weight(link: Link) -> Numbers:
        if link.source.role == "parameter":
            return 1
        name = link.target.name
        return known[name] if name in known else known.get(kinds[name] or "", 1)

    return weight


def _kind(network: Network, tensor: Tensor) -> str | None:
    operation = network.operation(tensor)
    return None if operation is None else operation.kind


def _is_kind(name: object) -> bool:
    try:
        return isinstance(name, str) and bool(Operation(name))
    except InvalidArgumentError:
        return False


def _grade_function(network: Network, request: _Request) -> Grade:
    grade = request.grade
    if grade is None:
        return lambda link: 0
    if callable(grade):
        return grade
    if grade != "affine":
        raise InvalidArgumentError(
            f"grade must be a function of a Link or 'affine', got {described(grade)}"
        )
    operations = network._core.operations
    layers = {number for number, known in enumerate(operations) if known.kind == "affine"}
    return lambda link: int(link.source.role != "parameter" and link.target.id in layers)


def _ends(
    what: str,
    tensors: Iterable[Tensor],
    given: Mapping[str, Numbers] | None,
    shapes: list[tuple[int, ...]],
) -> dict[int, Weight]:
    """Where paths begin or end, with weights."""
    known = {tensor.name: tensor for tensor in tensors}
    if given is not None and not isinstance(given, Mapping):
        raise InvalidArgumentError(f"{what} must be a dict by name, got {described(given)}")
    for name in given or {}:
        if name not in known:
            kind = "input" if what == "sources" else "output"
            near = did_you_mean(str(name), known)
            raise UnknownNameError(f"{what}: there is no {kind} named {name!r}{near}")
    return {
        tensor.id: checked_weight(
            1 if given is None else given.get(name, 1), shapes[tensor.id], f"{what}: '{name}'"
        )
        for name, tensor in known.items()
    }


def checked_weight(value: object, shape: tuple[int, ...], where: str) -> Weight:
    """A weight as an integer, a float or an array of either, that fits a tensor of this shape.

    Raises
    ------
    InvalidArgumentError
        No number, a negative one or one that is not finite, or an array that does not fit.
    """
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind == "O" and array.ndim == 0 and isinstance(value, Real):
        # An integer beyond 64 bits, a fraction.
        array = np.asarray(float(value))
    if array.dtype.kind not in "biuf":
        raise InvalidArgumentError(f"{where}: weights are numbers, got {described(value)}")
    if not (np.isfinite(array).all() and (array >= 0).all()):
        raise InvalidArgumentError(
            f"{where}: weights must be finite and not negative, got {described(value)}"
        )
    try:
        fits = np.broadcast_shapes(array.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise InvalidArgumentError(
            f"{where}: a weight of shape {array.shape} does not broadcast to {shape}"
        )
    if array.dtype.kind != "f":
        if array.max(initial=0) > LARGEST_INTEGER:
            array = array.astype(np.float64)
        else:
            return int(array) if array.ndim == 0 else array.astype(np.int64)
    return float(array) if array.ndim == 0 else array.astype(np.float64)


def _checked_grade(value: object, link: Link) -> int:
    try:
        grade = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        grade = -1
    if not 0 <= grade <= LARGEST_GRADE:
        raise InvalidArgumentError(
            f"{_where(link)}: a grade is an integer from 0 to {LARGEST_GRADE}, got "
            f"{described(value)}"
        )
    return grade


def _has_integers(diagram: Diagram) -> bool:
    weights = [arrow.weight for arrow in diagram.arrows]
    weights += [*diagram.starts.values(), *diagram.ends.values()]
    return all(is_countable(weight) for weight in weights)


def _reachable(diagram: Diagram) -> Diagram:
    """Without the links from tensors that no path from a start reaches, such as parameters."""
    reached = [grade is not None for grade in diagram.largest_grades()]
    arrows = [arrow for arrow in diagram.arrows if reached[arrow.source]]
    return replace(diagram, arrows=tuple(arrows))


def _real_law(diagram: Diagram, progress: Progress | None) -> Scaled:
    """Sum over the paths of each grade."""
    sums = sweep(diagram, SUMS, graded=True, ends_only=True, progress=progress)
    law = Scaled.zeros((1,))
    for number, weight in diagram.ends.items():
        values, shape = sums[number], diagram.shapes[number]
        if values is None:
            continue
        values = weighted(values, weight, shape)
        for axis, length in enumerate(shape, 1):
            values = SUMS.along(values, axis, length)
        law = SUMS.plus(*of_equal_grades(law, values.map(np.ravel)))
    return law
