"""`initialization_report`: where signal or gradient explodes or vanishes, and what to do about it.

The numbers are those of `propagate`; this module reads them as an engineer would.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf, isfinite, isnan, log2, log10, nan
from typing import TYPE_CHECKING, Any, Literal

from unrolled._core import function_moments
from unrolled._support.arguments import checked_number
from unrolled._support.hints import described
from unrolled._support.optional import import_optional
from unrolled.errors import InvalidArgumentError
from unrolled.network.network import Network
from unrolled.propagation.functions import own_pieces
from unrolled.propagation.propagation import SignalLostError, propagate
from unrolled.propagation.records import (
    HOMOGENEOUS,
    ParameterPropagation,
    Propagation,
    TensorPropagation,
)
from unrolled.propagation.scaling import scaled_variances
from unrolled.propagation.weights import Weights
from unrolled.show import html, tables
from unrolled.show.formats import json_value
from unrolled.sources.resolution import resolve

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["InitializationReport", "LayerVerdict", "initialization_report"]

Verdict = Literal["ok", "explodes", "vanishes", "one direction"]

LEAST, MOST = 1e-3, 1e3
"""Mean squares in proportion to that of the input between which a signal is in range."""

MOST_CORRELATION = 0.99
"""Beyond it, two samples or two positions can hardly be told apart."""

GRADIENT_RATIO = 1e3
"""How much the relative gradients of the first and the last layer may differ."""

CLOSE = 1e-6
"""Variances that differ by less keep signal and gradient alike."""

MOST_TYPICAL = 0.3
"""A typical draw that has less of the mean than this is worth a note."""

CONSTANT = 1e-12
"""Samples that are as alike as this read the same numbers."""


@dataclass(frozen=True)
class LayerVerdict:
    """A layer with a kernel, and how signal and gradient fare there.

    Attributes
    ----------
    name : str
    fan_in : float
    weight_variance : float
        Mean square v of a weight.
    mean_square : float
        Mean square q of what the layer computes.
    correlation : float
        That of two samples there, c.
    gain : float
        By which factor the mean square of derivatives grows on the way back through the layer, from
        its output to its input; NaN where it has no single input.
    gradient : float
        Mean square g of the derivatives by what the layer computes.
    relative_gradient : float
        Norm of the gradient of the kernel in proportion to that of the kernel.
    verdict : {"ok", "explodes", "vanishes", "one direction"}
        Of the signal: whether it is in range of the input's, and samples can be told apart.
    """

    name: str
    fan_in: float
    weight_variance: float
    mean_square: float
    correlation: float
    gain: float
    gradient: float
    relative_gradient: float
    verdict: Verdict


@dataclass(frozen=True)
class InitializationReport:
    """What becomes of signal and gradient at initialisation, and advice.

    Attributes
    ----------
    name : str
    rows : tuple of LayerVerdict
        A row for each kernel, in the order in which they are applied.
    propagation : Propagation or None
        The numbers behind it; None if the signal left the range in which it can be followed.
    findings : tuple of str
        Sentences: what is wrong, the first place first. Empty if nothing is.
    advice : tuple of str
        Sentences: what to do.
    notes : tuple of str
        What the numbers assume.
    explodes_at, vanishes_at, collapses_at : str or None
        The first layer whose signal is too large, is too small, or tells two samples apart no more.
    dead_at : str or None
        The first layer whose kernel gets no gradient at all: none of it is small, it is zero.
    lost_at : str or None
        The tensor beyond which signal or gradient cannot be followed; then there are no rows.

    Examples
    --------
    >>> import unrolled
    >>> net = unrolled.Network("deep")
    >>> x = net.input((64,))
    >>> for _ in range(30):
    ...     x = net.activation(net.dense(x, 64), "relu")
    >>> net.output(net.dense(x, 10))
    >>> report = unrolled.initialization_report(net, "lecun")
    >>> report.vanishes_at, report.explodes_at
    ('dense_11', None)
    >>> print(report.findings[0])
    The signal vanishes: at layer 'dense_11' its mean square is 9.8e-04 times that of the input.
    """

    name: str
    rows: tuple[LayerVerdict, ...]
    propagation: Propagation | None = field(repr=False)
    findings: tuple[str, ...] = field(repr=False)
    advice: tuple[str, ...] = field(repr=False)
    notes: tuple[str, ...] = field(repr=False)
    explodes_at: str | None = None
    vanishes_at: str | None = None
    collapses_at: str | None = None
    dead_at: str | None = None
    lost_at: str | None = None

    @property
    def is_sound(self) -> bool:
        """Whether nothing was found to be wrong."""
        return not self.findings

    @property
    def jacobian_per_output(self) -> float:
        """Expected squared norm of the derivatives of one output by the inputs."""
        if self.propagation is None:
            return nan
        return self.propagation.jacobian / self.propagation.num_outputs

    @property
    def log10_gradient_ratio(self) -> float:
        """Decimal logarithm of the relative gradient of the first layer by that of the last.

        NaN if either is zero, or there is only one layer.
        """
        if self.propagation is None or len(self.rows) < 2:
            return nan
        kernels = self.propagation.kernels
        ends = [_log2_relative(kernels[0]), _log2_relative(kernels[-1])]
        return (ends[0] - ends[1]) * log10(2) if all(map(isfinite, ends)) else nan

    def table(self, *, width: int | None = None) -> str:
        """The headline, findings and advice, then a line a layer, as plain text.

        Parameters
        ----------
        width : int, optional
            Columns to fill at most: by default those of the terminal, or as many as it takes.
        """
        return self._sheet().text(width or tables.output_width())

    def _headline(self) -> list[str]:
        lines = [f"{self.name}: {'sound at initialisation' if self.is_sound else 'needs care'}"]
        if self.propagation is not None:
            jacobian = self.propagation.log2_jacobian - log2(self.propagation.num_outputs)
            lines.append(f"  E|J|^2 per output          {_shown(jacobian, 6)}")
            if not isnan(self.log10_gradient_ratio):
                ratio = _shown(self.log10_gradient_ratio * log2(10), 4)
                lines.append(f"  gradient, first / last     {ratio} (relative to weights)")
            lines.append(f"  width ratio, sum of 1/n    {self.propagation.width_ratio:.4g}")
            lines.append(f"  rules                      {self.propagation.exactness}")
        return lines

    def _sheet(self) -> tables.Sheet:
        headings = ("layer", "fan-in", "v", "q", "c", "gain", "g", "relative", "verdict")
        columns = [
            tables.Column(
                heading,
                "left" if heading in ("layer", "verdict") else "right",
                folds=heading == "layer",
            )
            for heading in headings
        ]
        cells = [
            [
                row.name,
                f"{row.fan_in:g}",
                *(
                    tables.MISSING if isnan(value) else f"{value:.3g}"
                    for value in (
                        row.weight_variance,
                        row.mean_square,
                        row.correlation,
                        row.gain,
                        row.gradient,
                        row.relative_gradient,
                    )
                ),
                row.verdict,
            ]
            for row in self.rows
        ]
        sentences = [*self.findings, *(f"Advice: {one}" for one in self.advice)]
        symbols = (
            "v: variance of a weight. q: mean square of the output. c: correlation of two samples. "
            "gain: of squared derivatives, on the way back. g: mean square of derivatives. "
            "relative: gradient of the kernel by its norm."
        )
        title = "\n".join([*self._headline(), *sentences])
        return tables.Sheet(title, columns, cells, [symbols, *self.notes])

    def __str__(self) -> str:
        return self.table()

    def _repr_html_(self) -> str:
        sheet = self._sheet()
        headings = [column.heading for column in sheet.columns]
        title = sheet.title.replace("\n", " · ")
        return html.table(title, headings, sheet.rows)

    def to_dict(self) -> dict[str, Any]:
        """Headline, findings, advice and rows as plain values, for JSON; None for no number."""
        values = {
            "name": self.name,
            "is_sound": self.is_sound,
            "jacobian_per_output": self.jacobian_per_output,
            "log10_gradient_ratio": self.log10_gradient_ratio,
            "width_ratio": nan if self.propagation is None else self.propagation.width_ratio,
            "exactness": None if self.propagation is None else self.propagation.exactness,
            "explodes_at": self.explodes_at,
            "vanishes_at": self.vanishes_at,
            "collapses_at": self.collapses_at,
            "dead_at": self.dead_at,
            "lost_at": self.lost_at,
            "findings": list(self.findings),
            "advice": list(self.advice),
            "notes": list(self.notes),
            "layers": [
                {key: json_value(value) for key, value in vars(row).items()} for row in self.rows
            ],
        }
        return {
            key: json_value(value) if isinstance(value, float) else value
            for key, value in values.items()
        }

    def to_pandas(self) -> pandas.DataFrame:
        """The rows as a data frame.

        Raises
        ------
        MissingPackageError
            pandas is not installed.
        """
        module = import_optional("pandas", "pandas")
        frame: pandas.DataFrame = module.DataFrame([vars(row) for row in self.rows])
        return frame

    def plot(self) -> tuple[Figure, Sequence[Axes]]:
        """Draw signal and gradients by layer, and correlations below; see `Propagation.plot`.

        Raises
        ------
        InvalidArgumentError
            The signal could not be followed to the end, so there is nothing to draw.
        MissingPackageError
            matplotlib is not installed.
        """
        if self.propagation is None:
            raise InvalidArgumentError(
                f"the signal of '{self.name}' cannot be followed to the end: {self.findings[0]}"
            )
        figure, axes = self.propagation.plot()
        for bound in (log10(LEAST), log10(MOST)):
            axes[0].axhline(bound, color="0.6", linewidth=0.8, linestyle=":")
        axes[1].axhline(MOST_CORRELATION, color="0.6", linewidth=0.8, linestyle=":")
        return figure, axes

    def scale_to(self, target: float = 1.0) -> dict[str, float]:
        """Variances of all kernels that give every layer's output a mean square of `target`.

        Forwards, layer by layer, without data: what layer-sequential unit-variance initialisation
        finds by sampling.

        Parameters
        ----------
        target : float

        Returns
        -------
        dict of str to float
            Variances by the name of the kernel, for ``weights=`` of `propagate`, and those of
            biases that are not zero. A kernel in front of a normaliser has its variance, too,
            though any would do there. Of a kernel that is used twice, the first place counts. What
            was asked for by ``overrides`` stays as it was, and so does a kernel that is zero. Where
            scales, tables or other parameters are not those of a fresh model, as with "stored",
            give what is returned as ``overrides=`` beside the same weights.

        Raises
        ------
        InvalidArgumentError
            A target that is not positive, a signal that cannot be followed, or a layer that no
            variance of its kernel brings there, such as one whose biases are larger.

        References
        ----------
        D. Mishkin, J. Matas, "All you need is a good init", ICLR 2016 (arXiv 1511.06422).
        """
        try:
            goal = checked_number("target", target)
        except InvalidArgumentError:
            goal = nan
        if not 0 < goal < inf:
            raise InvalidArgumentError(
                f"target must be a positive mean square, got {described(target)}"
            )
        if self.propagation is None:
            raise InvalidArgumentError(
                f"the signal of '{self.name}' cannot be followed to the end; give weights that are "
                "smaller, and scale those"
            )
        return scaled_variances(self.propagation, goal)


def initialization_report(
    model: Any,
    weights: Weights = "he",
    *,
    inputs: Any = None,
    values: Mapping[str, Any] | None = None,
    size: int | Sequence[int] | None = None,
    exact: bool | None = None,
    **options: Any,
) -> InitializationReport:
    """Say where signal or gradient explodes, vanishes or becomes one direction before training.

    Parameters
    ----------
    model
        Anything that `propagate` takes.
    weights : str, float, mapping or callable
        See `propagate`.
    inputs, values, size
        For models that have to be imported or built; see `analyze`.
    exact : bool, optional
        Which elements of a tensor are told from each other; see `propagate`.
    **options
        Of `propagate`: biases, input, batch_norm, gain, overrides, functions, loss.

    Returns
    -------
    InitializationReport

    Raises
    ------
    UnrolledError
        See `propagate`. A signal that explodes until it cannot be followed is a finding, not an
        error.

    Examples
    --------
    >>> import unrolled
    >>> report = unrolled.initialization_report(unrolled.models.mlp(32, depth=3, inputs=16))
    >>> report.is_sound, len(report.rows)
    (True, 4)
    """
    network = resolve(model, inputs=inputs, values=values, size=size, operations=True)
    if not isinstance(network, Network):
        raise InvalidArgumentError(
            f"a signal needs a model made of tensors, which {described(model)} is not"
        )
    try:
        propagation = propagate(network, weights, exact=exact, **options)
    except SignalLostError as error:
        return _lost(network, error)
    return _report(network, propagation)


def _lost(network: Network, error: SignalLostError) -> InitializationReport:
    """The report on a signal or gradient that grew or shrank until it could not be followed."""
    squares = {tensor.name: tensor.log2_mean_square for tensor in error.before}
    start = _log2_of_input(error.before, error.entries)
    ratios = [
        (kernel.layer, squares[kernel.target] - start)
        for kernel in error.kernels
        if kernel.target in squares
    ]
    explodes_at = next((layer for layer, ratio in ratios if ratio > log2(MOST)), None)
    vanishes_at = next((layer for layer, ratio in ratios if ratio < log2(LEAST)), None)
    if error.what == "signal" and error.is_large:
        explodes_at = explodes_at or error.tensor
    elif error.what == "signal":
        vanishes_at = vanishes_at or error.tensor
    known = dict(ratios)
    findings = []
    for verb, layer in (("explodes", explodes_at), ("vanishes", vanishes_at)):
        if layer in known:
            findings.append(_finding_of_signal(verb, layer, known[layer]))
    findings.append(f"The {error.what} leaves every range in which it can be followed: {error}.")
    return InitializationReport(
        network.name,
        (),
        None,
        tuple(findings),
        (
            "Normalise, or scale the last kernel of every residual branch by one over the number "
            "of branches; then ask again.",
        ),
        (),
        explodes_at=explodes_at,
        vanishes_at=vanishes_at,
        lost_at=error.tensor,
    )


def _finding_of_signal(verb: str, layer: str, log2_ratio: float) -> str:
    shown = _shown(log2_ratio, 2, always_power=True)
    return (
        f"The signal {verb}: at layer '{layer}' its mean square is {shown} times that of the input."
    )


def _report(network: Network, propagation: Propagation) -> InitializationReport:
    tensors = {tensor.name: tensor for tensor in propagation.tensors}
    start = _log2_of_input(propagation.tensors, propagation.entries)
    rows = tuple(_row(kernel, tensors, start) for kernel in propagation.kernels)
    alike = _rows_alike(network, propagation, rows)
    rows = tuple(
        replace(row, verdict="ok") if row.verdict == "one direction" and not is_alike else row
        for row, is_alike in zip(rows, alike, strict=True)
    )
    first: dict[str, LayerVerdict | None] = {
        verdict: next((row for row in rows if row.verdict == verdict), None)
        for verdict in ("explodes", "vanishes")
    }
    first["one direction"] = next(
        (row for row, is_alike in zip(rows, alike, strict=True) if is_alike), None
    )
    report = InitializationReport(
        network.name,
        rows,
        propagation,
        (),
        (),
        (),
        explodes_at=None if first["explodes"] is None else first["explodes"].name,
        vanishes_at=None if first["vanishes"] is None else first["vanishes"].name,
        collapses_at=None if first["one direction"] is None else first["one direction"].name,
        dead_at=next(iter(_layers_without_gradient(propagation)), None),
    )
    findings = _findings(report, first, start)
    return replace(
        report,
        findings=tuple(findings),
        advice=tuple(_advice(network, propagation, report)) if findings else (),
        notes=tuple(_notes(propagation)),
    )


def _layers_without_gradient(propagation: Propagation) -> list[str]:
    """Layers whose kernels get a gradient of exactly zero, in order."""
    return [one.layer for one in propagation.kernels if one.log2_gradient == -inf]


def _log2_of_input(tensors: Sequence[TensorPropagation], entries: Sequence[str]) -> float:
    """The mean square of what enters the model, behind the scaling that it begins with, if any."""
    return max((one.log2_mean_square for one in tensors if one.name in entries), default=0.0)


def _row(
    kernel: ParameterPropagation, tensors: Mapping[str, TensorPropagation], start: float
) -> LayerVerdict:
    target = tensors[kernel.target]
    source = tensors.get(kernel.source or "")
    gain = nan
    if source is not None and isfinite(source.log2_gradient) and isfinite(target.log2_gradient):
        sizes = log2(max(source.size, 1)) - log2(max(target.size, 1))
        exponent = source.log2_gradient - target.log2_gradient + sizes
        gain = 2.0**exponent if abs(exponent) < 1000 else nan
    ratio = target.log2_mean_square - start
    verdict: Verdict = "ok"
    if ratio > log2(MOST):
        verdict = "explodes"
    elif ratio < log2(LEAST):
        verdict = "vanishes"
    elif target.correlation > MOST_CORRELATION:
        verdict = "one direction"
    return LayerVerdict(
        kernel.layer,
        kernel.fan_in,
        kernel.mean_square,
        target.mean_square,
        target.correlation,
        gain,
        target.gradient,
        kernel.relative_gradient,
        verdict,
    )


def _rows_alike(
    network: Network, propagation: Propagation, rows: Sequence[LayerVerdict]
) -> list[bool]:
    """At which layers samples can hardly be told apart although they should be.

    They need not be at layers whose output only scales whole maps, as in squeeze-and-excite blocks:
    the maps tell samples apart. Nor where a layer reads what no sample changes, as a class token.
    """
    found = [row.correlation > MOST_CORRELATION for row in rows]
    if not any(found):
        return found
    tensors = {tensor.name: tensor for tensor in propagation.tensors}
    reaching = _tensors_reaching_outputs(network, propagation)
    has_collapsed = False
    for at, kernel in enumerate(propagation.kernels):
        if found[at]:
            source = tensors.get(kernel.source or "")
            is_given = source is not None and 1 - source.correlation < CONSTANT
            found[at] = kernel.target in reaching and (has_collapsed or not is_given)
            has_collapsed |= found[at]
    return found


def _tensors_reaching_outputs(network: Network, propagation: Propagation) -> set[str]:
    """Tensors that go elsewhere than into factors that are repeated over a map."""
    followed = {tensor.name: (tensor.kind, tensor.size) for tensor in propagation.tensors}
    names = [tensor.name for tensor in network.tensors]
    readers: dict[str, list[str]] = {}
    for (start, end), role in zip(network._core.ends, network._core.roles, strict=True):
        if role == "data" and names[end] in followed:
            readers.setdefault(names[start], []).append(names[end])
    # As they are, and after a move has repeated them.
    reaching: tuple[set[str], set[str]] = (set(), set())
    for name, (_, size) in reversed(followed.items()):
        behind = readers.get(name)
        if behind is None:
            reaching[False].add(name)
            reaching[True].add(name)
            continue
        for reader in behind:
            kind, larger = followed[reader]
            for is_repeated in (False, True):
                is_larger = is_repeated or larger > size
                is_gate = kind == "product" and is_larger
                if not is_gate and reader in reaching[kind == "move" and is_larger]:
                    reaching[is_repeated].add(name)
    return reaching[False]


def _findings(
    report: InitializationReport, first: Mapping[str, LayerVerdict | None], start: float
) -> list[str]:
    assert report.propagation is not None
    squares = {one.name: one.log2_mean_square for one in report.propagation.tensors}
    targets = {kernel.layer: kernel.target for kernel in report.propagation.kernels}
    findings = []
    for verdict, verb in (("explodes", "explodes"), ("vanishes", "vanishes")):
        row = first[verdict]
        if row is not None:
            findings.append(_finding_of_signal(verb, row.name, squares[targets[row.name]] - start))
    row = first["one direction"]
    if row is not None:
        findings.append(
            f"Samples become one direction: at layer '{row.name}' two of them have a correlation "
            f"of {row.correlation:.4f}."
        )
    dead = _layers_without_gradient(report.propagation)
    if dead:
        number = len(report.propagation.kernels)
        findings.append(
            f"No gradient at all: {len(dead)} of {number} kernels get none; the first is that of "
            f"layer '{dead[0]}'."
        )
    ratio = report.log10_gradient_ratio
    if _gradients_differ(report):
        larger = "first" if ratio > 0 else "last"
        shown = _shown(abs(ratio) * log2(10), 2, always_power=True)
        findings.append(
            f"Gradients differ: those of the {larger} layer are {shown} times as large as those at "
            "the other end, in proportion to the weights."
        )
    return findings


def _gradients_differ(report: InitializationReport) -> bool:
    return abs(report.log10_gradient_ratio) > log10(GRADIENT_RATIO)


def _log2_relative(kernel: ParameterPropagation) -> float:
    """Base-2 logarithm of the relative gradient, which never overflows."""
    if kernel.mean_square == 0:
        return nan
    return (kernel.log2_gradient - log2(kernel.size) - log2(kernel.mean_square)) / 2


def _shown(exponent: float, digits: int, *, always_power: bool = False) -> str:
    """Two to a power, however large or small."""
    if exponent == -inf:
        return "0"
    tens = exponent * log10(2)
    if isfinite(tens) and abs(tens) < 300:
        return f"{10**tens:.{digits - 1}e}" if always_power else f"{10**tens:.{digits}g}"
    return f"{10 ** (tens % 1):.{digits - 1}f}e{tens // 1:+.0f}" if isfinite(tens) else str(tens)


def _advice(network: Network, propagation: Propagation, report: InitializationReport) -> list[str]:
    kinds = {tensor.kind for tensor in propagation.tensors}
    branches = sum(tensor.kind == "sum" for tensor in propagation.tensors)
    normalised = kinds & {"batch_norm", "layer_norm", "rms_norm", "group_norm"}
    is_off = bool(report.explodes_at or report.vanishes_at or _gradients_differ(report))
    advice = []
    if report.explodes_at and branches > 1:
        otherwise = "" if normalised else "; or normalise what goes into every branch"
        advice.append(
            f"Scale the last kernel of each of the {branches} residual branches by 1/{branches} in "
            f"variance, so that all of them together add as much as one{otherwise}."
        )
    if is_off and normalised == {"batch_norm"} and branches < 2:
        advice.append(
            "No variance of the weights helps here: batch norm undoes it, and multiplies gradients "
            "at every layer. Add skip connections, or replace batch norm."
        )
    elif is_off and not normalised:
        advice += _gains(network, propagation)
        advice.append(
            "report.scale_to(1.0) has the variance of every kernel for which each layer passes on "
            "a mean square of 1."
        )
    if report.dead_at:
        advice.append(
            f"Nothing at layer '{report.dead_at}' will change at the first step: its input is "
            "zero, or a kernel, a scale or a slope behind it is. Give that a small value, unless "
            "it is the last of a residual branch, which may start at zero."
        )
    if report.collapses_at:
        advice.append(_advice_on_correlation(network, propagation, bool(normalised)))
    return advice


def _advice_on_correlation(network: Network, propagation: Propagation, is_normalised: bool) -> str:
    if any(one.role == "bias" and one.mean_square > 0 for one in propagation.parameters):
        return "Smaller biases keep samples apart for longer: all samples have them in common."
    followed = {tensor.name for tensor in propagation.tensors if tensor.kind == "function"}
    names = {
        (operation.function or "").partition("(")[0]
        for tensor, operation in zip(network.tensors, network._core.operations, strict=True)
        if tensor.name in followed
    }
    if is_normalised or names <= HOMOGENEOUS:
        return (
            "No variance of the weights keeps samples apart here: it changes their scale only. "
            "Fewer layers, skip connections, or a batch norm before the layer that is named would."
        )
    return (
        "A variance of the weights at the critical point of the activation keeps samples apart "
        "for longer; see unrolled.theory."
    )


def _gains(network: Network, propagation: Propagation) -> list[str]:
    """For each activation the variance, times the fan-in, that keeps signal and gradient."""
    found: dict[str, float] = {}
    for tensor in propagation.tensors:
        operation = network.operation(tensor.name) if tensor.kind == "function" else None
        if operation is not None and operation.function is not None:
            found.setdefault(operation.function, tensor.mean_square)
    sentences = []
    own = own_pieces(network)
    for name in list(found)[:3]:
        moments = function_moments(name, 0.0, 1.0, 0.0, own)
        if moments is None or not moments[1] or not moments[3]:
            continue
        forward, backward = 1 / moments[1], 1 / moments[3]
        if name.startswith("linear") or name == "identity":
            continue
        if abs(forward - backward) < CLOSE * forward:
            sentences.append(
                f"Behind {name}, weights of variance {forward:.4g} / fan-in keep signal and "
                "gradient."
            )
        else:
            sentences.append(
                f"Behind {name}, at a mean square of 1, weights of variance {forward:.4g} / fan-in "
                f"keep the signal and {backward:.4g} / fan-in the gradient."
            )
    return sentences


def _notes(propagation: Propagation) -> list[str]:
    notes = list(propagation.notes)
    meaning = {
        "exact": "Every rule on the way is exact at any width.",
        "mean-field": "The numbers are those of infinitely many channels; a draw of finite width "
        "scatters around them.",
        "approximate": "Some rules on the way are approximations; see the exactness of each tensor "
        "in report.propagation.",
    }
    notes.append(meaning[propagation.exactness])
    if len(propagation.kernels) > 1 and not any(
        one.kind in ("function", "softmax") for one in propagation.tensors
    ):
        notes.append(
            "There is no function between the layers; networks of unrolled.models have theirs with "
            "activations=True."
        )
    if propagation.typical_factor < MOST_TYPICAL:
        notes.append(
            f"A typical draw has about {propagation.typical_factor:.2g} times the mean "
            "squared gradient that is shown, as the layers are narrow for their number."
        )
    return notes
