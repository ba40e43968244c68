"""`propagate` and its result, `Propagation`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import exp, inf, isnan, ldexp, log2, nan, prod
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from unrolled._core import Program, Sweep
from unrolled._support.arguments import checked_choice
from unrolled._support.hints import described, did_you_mean
from unrolled._support.optional import import_optional
from unrolled.errors import InvalidArgumentError, TheoryDomainError, UnknownNameError, UnrolledError
from unrolled.network.builder import Tensor
from unrolled.network.network import Network
from unrolled.propagation.functions import pieces_of
from unrolled.propagation.signal import Signal
from unrolled.propagation.weights import Use, Weights, elements_of, uses_of
from unrolled.show import tables
from unrolled.show.plot import new_figure
from unrolled.sources.resolution import resolve

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["ParameterPropagation", "Propagation", "TensorPropagation", "propagate"]

Exactness = Literal["exact", "mean-field", "approximate"]


@dataclass(frozen=True)
class TensorPropagation:
    """What the sweeps say of the elements of a tensor, on average over them.

    Attributes
    ----------
    name : str
    kind : str
        "input", "parameter", or the kind of its operation.
    shape : tuple of int
    positions : int
        Positions that weights are shared between; all other elements are channels.
    mean : float
        Mean of the elements.
    log2_mean_square : float
        Base-2 logarithm of `mean_square`, which never overflows; -inf for zero.
    log2_variance : float
        Base-2 logarithm of `variance`.
    correlation : float
        Mean product of an element with the same element of another sample, divided by the mean
        square. Near 1, samples can hardly be told apart.
    position_correlation : float
        The same for an element and one at another position. NaN if there is one position.
    log2_gradient : float
        Base-2 logarithm of `gradient`.
    gradient_correlation : float
        Correlation between the derivatives at two positions.
    log2_slope : float
        Of a function or normaliser: base-2 logarithm of the factor by which it multiplies the mean
        square of derivatives, E f'(x)^2 of a function. NaN for other tensors.
    exactness : {"exact", "mean-field", "approximate"}
        Whether the rule that this tensor follows is exact at every width, exact for infinitely
        many channels, or an approximation. What it is computed from has a rule of its own.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    positions: int
    mean: float
    log2_mean_square: float
    log2_variance: float
    correlation: float
    position_correlation: float
    log2_gradient: float
    gradient_correlation: float
    log2_slope: float
    exactness: Exactness

    @property
    def mean_square(self) -> float:
        """Mean square of the elements; inf if it is too large for a float."""
        return _power(self.log2_mean_square)

    @property
    def variance(self) -> float:
        """Mean square less the square of the mean."""
        return _power(self.log2_variance)

    @property
    def gradient(self) -> float:
        """Mean square of the derivatives by an element.

        Derivatives are those of a sum of the outputs with independent standard normal weights, or
        of a cross entropy.
        """
        return _power(self.log2_gradient)

    @property
    def slope(self) -> float:
        """The factor of a function or normaliser on the mean square of derivatives."""
        return _power(self.log2_slope)

    @property
    def size(self) -> int:
        """The number of elements."""
        return prod(self.shape)


@dataclass(frozen=True)
class ParameterPropagation:
    """What the sweeps say of a parameter.

    Attributes
    ----------
    name, layer : str
    role : str
        "kernel", "bias", "scale", "shift", "mean", "variance" or "table".
    target : str
        The tensor that is computed with it, at its first place of use.
    source : str or None
        Of a kernel: the tensor that it is applied to.
    size : int
        Number of elements.
    fan_in, fan_out : float
        Of a kernel: edges into one element of the output, and from one element of the input.
    mean_square : float
        Mean square of its elements, as it was given: of a kernel, the variance of a weight.
    log2_gradient : float
        Base-2 logarithm of `gradient`.
    """

    name: str
    layer: str
    role: str
    target: str
    source: str | None
    size: int
    fan_in: float
    fan_out: float
    mean_square: float
    log2_gradient: float

    @property
    def gradient(self) -> float:
        """Expected squared gradient, summed over the elements."""
        return _power(self.log2_gradient)

    @property
    def relative_gradient(self) -> float:
        """Norm of the gradient in proportion to that of the parameter.

        The root of `gradient` divided by the sum of the squares of the elements; it can be compared
        between layers. NaN for a parameter that is zero.
        """
        if self.mean_square == 0:
            return nan
        squares = log2(self.size) + log2(self.mean_square)
        return _power((self.log2_gradient - squares) / 2)


class Propagation(Mapping[str, TensorPropagation | ParameterPropagation]):
    """A signal on its way through a network, and derivatives on theirs back.

    What `propagate` returns: a mapping from the names of tensors and parameters. The name of a
    layer stands for the tensor that its kernel computes.

    Attributes
    ----------
    network : Network
    settings : dict
        What was asked for: weights, biases, input, batch_norm, gain, overrides, functions, exact,
        loss.
    notes : tuple of str
        What was left out or assumed.

    Examples
    --------
    >>> import unrolled
    >>> net = unrolled.Network("chain")
    >>> x = net.input((7,))
    >>> for width in (5, 11, 3):
    ...     x = net.activation(net.dense(x, width))
    >>> net.output(net.dense(x, 4, name="head"))
    >>> p = unrolled.propagate(net)
    >>> p
    Propagation of 'chain': E|J|^2 = 8 for 4 outputs, weights 'he'
    >>> p["head"].mean_square, p["head/kernel"].gradient
    (2.0, 12.0)
    """

    def __init__(
        self,
        network: Network,
        tensors: Sequence[TensorPropagation],
        parameters: Sequence[ParameterPropagation],
        log2_jacobian: float,
        outputs: int,
        settings: Mapping[str, Any],
        notes: Sequence[str],
    ) -> None:
        self.network = network
        self._tensors = {tensor.name: tensor for tensor in tensors}
        self._parameters = {parameter.name: parameter for parameter in parameters}
        self._layers = {one.layer: one for one in parameters if one.role in ("kernel", "table")}
        self.log2_jacobian = log2_jacobian
        self.num_outputs = outputs
        self.settings = dict(settings)
        self.notes = tuple(notes)

    def __getitem__(self, name: str) -> TensorPropagation | ParameterPropagation:
        if name in self._tensors:
            return self._tensors[name]
        if name in self._parameters:
            return self._parameters[name]
        if name in self._layers:
            return self._tensors[self._layers[name].target]
        known = [*self._tensors, *self._parameters, *self._layers]
        raise UnknownNameError(
            f"no signal of a tensor, parameter or layer named {name!r}"
            f"{did_you_mean(str(name), known)}; tensors that reach no output have none"
        )

    def __iter__(self) -> Iterator[str]:
        yield from self._tensors
        yield from self._parameters

    def __len__(self) -> int:
        return len(self._tensors) + len(self._parameters)

    @property
    def tensors(self) -> tuple[TensorPropagation, ...]:
        """All tensors with a signal, in the order in which they are computed."""
        return tuple(self._tensors.values())

    @property
    def parameters(self) -> tuple[ParameterPropagation, ...]:
        """All parameters that are used, in the order of declaration."""
        return tuple(self._parameters.values())

    @property
    def kernels(self) -> tuple[ParameterPropagation, ...]:
        """The kernels, in the order in which the tensors that they compute are."""
        order = {name: number for number, name in enumerate(self._tensors)}
        kernels = [one for one in self._parameters.values() if one.role == "kernel"]
        return tuple(sorted(kernels, key=lambda one: order.get(one.target, len(order))))

    @property
    def jacobian(self) -> float:
        """Expected squared Frobenius norm E|J|^2 of the derivatives of outputs by inputs."""
        return _power(self.log2_jacobian)

    @property
    def exactness(self) -> Exactness:
        """That of the least exact rule on the way."""
        found = {tensor.exactness for tensor in self._tensors.values()}
        for name in ("approximate", "mean-field"):
            if name in found:
                return name
        return "exact"

    @property
    def width_ratio(self) -> float:
        """Sum of one over the width of every layer.

        For chains of ReLU layers the logarithm of a squared gradient norm has about five times
        this as its variance, and half of that less than the logarithm of the mean as its mean
        (Hanin and Nica 2018, arXiv 1812.05994): if it is large, a typical draw is far below the
        mean.
        """
        widths = []
        for kernel in self.kernels[:-1]:
            target = self._tensors[kernel.target]
            widths.append(target.size / target.positions)
        return float(sum(1 / width for width in widths))

    @property
    def typical_factor(self) -> float:
        """Exp of minus 5/2 `width_ratio`: how far a typical draw lies below the mean."""
        return exp(-2.5 * self.width_ratio)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A row a kernel: the layer, its variance, and the signal and gradient there."""
        rows = []
        for kernel in self.kernels:
            target = self._tensors[kernel.target]
            rows.append(
                {
                    "layer": kernel.layer,
                    "fan_in": kernel.fan_in,
                    "weight_variance": kernel.mean_square,
                    "mean_square": target.mean_square,
                    "correlation": target.correlation,
                    "position_correlation": target.position_correlation,
                    "gradient": target.gradient,
                    "kernel_gradient": kernel.gradient,
                    "relative_gradient": kernel.relative_gradient,
                    "exactness": target.exactness,
                }
            )
        return rows

    def table(self, *, width: int | None = None) -> str:
        """A line a kernel, as plain text.

        Parameters
        ----------
        width : int, optional
            Columns to fill at most: by default those of the terminal, or as many as it takes.
        """
        headings = ("layer", "fan-in", "v", "q", "c", "g", "kernel G", "relative", "exactness")
        columns = [
            tables.Column(heading, "left" if heading in ("layer", "exactness") else "right")
            for heading in headings
        ]
        cells = [
            [
                row["layer"],
                f"{row['fan_in']:g}",
                f"{row['weight_variance']:.4g}",
                f"{row['mean_square']:.4g}",
                _shown(row["correlation"]),
                f"{row['gradient']:.4g}",
                f"{row['kernel_gradient']:.4g}",
                _shown(row["relative_gradient"]),
                row["exactness"],
            ]
            for row in self.rows
        ]
        return tables.render(repr(self), columns, cells, width=width, notes=["", *self.notes])

    def to_pandas(self) -> pandas.DataFrame:
        """`rows` as a data frame; what was asked for is in its ``attrs``.

        Raises
        ------
        MissingPackageError
            pandas is not installed.
        """
        module = import_optional("pandas", "pandas")
        frame: pandas.DataFrame = module.DataFrame(self.rows)
        frame.attrs = {"title": repr(self), "notes": list(self.notes)}
        return frame

    def plot(self, *, axes: Sequence[Axes] | None = None) -> tuple[Figure, Sequence[Axes]]:
        """Draw signal, gradient and relative gradient by layer, and the correlation below.

        Parameters
        ----------
        axes : sequence of two matplotlib.axes.Axes, optional
            Where to draw: by default a new figure.

        Returns
        -------
        figure, axes

        Raises
        ------
        MissingPackageError
            matplotlib is not installed.
        """
        if axes is None:
            figure, axes = new_figure(2)
        else:
            found = axes[0].get_figure(root=True)
            assert found is not None
            figure = found
        kernels = self.kernels
        targets = [self._tensors[kernel.target] for kernel in kernels]
        layers = range(1, len(kernels) + 1)
        tenth = log2(10)
        relative = [
            (one.log2_gradient - log2(one.size) - log2(one.mean_square)) / 2
            if one.mean_square
            else nan
            for one in kernels
        ]
        upper, lower = axes
        for label, values in (
            ("signal: mean square", [one.log2_mean_square for one in targets]),
            ("derivative: mean square", [one.log2_gradient for one in targets]),
            ("kernel: relative gradient", relative),
        ):
            shown = [value / tenth if abs(value) < inf else nan for value in values]
            upper.plot(layers, shown, marker=".", label=label)
        upper.set_ylabel("log10")
        upper.set_title(repr(self))
        upper.legend()
        lower.plot(layers, [one.correlation for one in targets], marker=".", label="samples")
        positions = [one.position_correlation for one in targets]
        if not all(map(isnan, positions)):
            lower.plot(layers, positions, marker=".", label="positions")
        lower.set_ylabel("correlation")
        lower.set_xlabel("layer")
        lower.legend()
        return figure, axes

    def __repr__(self) -> str:
        weights = self.settings["weights"]
        shown = repr(weights) if isinstance(weights, (str, int, float)) else "as given"
        return (
            f"Propagation of '{self.network.name}': E|J|^2 = {_text(self.log2_jacobian)} for "
            f"{self.num_outputs:,} outputs, weights {shown}"
        )


def propagate(
    model: Any,
    weights: Weights = "he",
    *,
    biases: float | None = None,
    input: Signal | Mapping[str, Signal] | None = None,
    batch_norm: Literal["batch", "stored"] = "batch",
    gain: float = 1.0,
    overrides: Mapping[str, float] | None = None,
    functions: Mapping[str, Callable[[Any], Any]] | None = None,
    exact: bool | None = None,
    loss: Literal["cross_entropy"] | None = None,
    inputs: Any = None,
    values: Mapping[str, Any] | None = None,
    size: int | Sequence[int] | None = None,
) -> Propagation:
    """Follow a signal through a model at initialisation, and derivatives back.

    For every tensor: the mean square of its elements over random weights, how alike they are in two
    samples and at two positions, and the mean square of the derivatives by them. For every
    parameter: the expected squared gradient. Nothing is drawn at random.

    Parameters
    ----------
    model
        A `Network`, or anything else that `analyze` takes and that is made of tensors.
    weights : str, float, mapping or callable
        The variance v of a weight, with f the fan-in of its layer and F its fan-out. "he": 2/f;
        "lecun": 1/f; "glorot": 2/(f + F); "torch", the default of PyTorch's layers: 1/(3f);
        "orthogonal": 1/f; "stored": the mean squares of the values that an imported model has. A
        number s stands for s/f. A mapping from names of layers or parameters has variances, or
        arrays of values; layers that it does not name are as for "he". A function takes a `Use` and
        returns a variance.
    biases : float, optional
        The variance of a bias. By default 0, and with "torch" that of the weights.
    input : Signal or mapping of str to Signal, optional
        The law of the inputs; by default ``Signal()``.
    batch_norm : {"batch", "stored"}
        Whether batch norms normalise by the samples, as in training, or by their parameters for
        mean and variance, which are 0 and 1 unless `weights` or `overrides` say otherwise.
    gain : float
        By which weights that follow a scheme are multiplied.
    overrides : mapping of str to float, optional
        Mean squares of single parameters, by name, whatever `weights` says: of a branch's last
        kernel, of scales.
    functions : mapping of str to callable, optional
        What functions do that are known by name only, or under another meaning: each takes a NumPy
        array and returns one of equal shape.
    exact : bool, optional
        True: elements near a border are told from others, and channels that are made in different
        ways from each other. False: one number stands for a whole tensor, with the mean number of
        taps in bounds, which is rough where images are small. By default as with True, unless that
        takes many numbers, as for large images; then only channels are told from each other, and a
        note says so.
    loss : {"cross_entropy"}, optional
        Derivatives of a cross entropy at equal logits instead of the outputs themselves.
    inputs, values, size
        For models that have to be imported or built; see `analyze`.

    Returns
    -------
    Propagation

    Raises
    ------
    UnknownOperationError
        Tensors whose operation or function is not known: all of them, and what to do.
    TheoryDomainError
        A signal that grows beyond what a bounded or exponential function can be followed at, or a
        signal or gradient beyond 2^(2^49) or below one over that.
    InvalidArgumentError, UnknownNameError
        Arguments that cannot be, names that the network does not have, or a model that is no
        network.

    Notes
    -----
    A softmax at the end is left out: derivatives start before it. Exact at any width for chains and
    residual branches of affine layers and ReLU; elsewhere behind a function elements are taken to
    be normal, as they are for infinitely many channels. `Propagation.exactness` tells.

    References
    ----------
    K. He et al., "Delving deep into rectifiers", ICCV 2015. B. Poole et al., "Exponential
    expressivity in deep neural networks through transient chaos", NeurIPS 2016. S. Schoenholz et
    al., "Deep information propagation", ICLR 2017. G. Yang et al., "A mean field theory of batch
    normalization", ICLR 2019.

    Examples
    --------
    >>> import unrolled
    >>> net = unrolled.Network("deep")
    >>> x = net.input((64,))
    >>> for _ in range(30):
    ...     x = net.activation(net.dense(x, 64), "tanh")
    >>> net.output(x)
    >>> p = unrolled.propagate(net, "torch")
    >>> print(f"{p.jacobian:.1e}")
    1.1e-13
    """
    network = resolve(model, inputs=inputs, values=values, size=size, operations=True)
    if not isinstance(network, Network):
        raise InvalidArgumentError(
            f"a signal needs a model made of tensors, which {described(model)} is not"
        )
    network.check_decided()
    checked_choice("batch_norm", batch_norm, ("batch", "stored"))
    if loss is not None:
        checked_choice("loss", loss, ("cross_entropy",))
    if exact is not None and not isinstance(exact, (bool, np.bool_)):
        raise InvalidArgumentError(f"exact must be True, False or None, got {described(exact)}")
    own = {**network.functions, **_checked_functions(functions)}
    try:
        program = Program(
            network._core, pieces_of(own), exact=None if exact is None else bool(exact)
        )
    except UnrolledError as error:
        error.args = (f"network '{network.name}': {error.args[0]}", *error.args[1:])
        raise
    uses = uses_of(network, program)
    elements = elements_of(network, uses, weights, biases, gain, overrides)
    tensors = network.tensors
    order = [tensors[number] for number in program.tensors]
    ends = [tensors[number] for number in program.outputs]
    sweep = program.propagate(
        elements,
        _laws(input, [tensor for tensor in order if tensor.role == "input"]),
        [1.0] * len(ends) if loss is None else _seeds(network, program, ends),
        batch_norm == "stored",
    )
    settings = {
        "weights": weights,
        "biases": biases,
        "input": input,
        "batch_norm": batch_norm,
        "gain": gain,
        "overrides": overrides,
        "functions": functions,
        "exact": exact,
        "loss": loss,
    }
    notes = [
        f"The softmax '{tensors[number].name}' at the end is left out." for number in program.cut
    ]
    if program.computed_kernels:
        notes.append(
            f"{len(program.computed_kernels)} kernels are computed from parameters, perhaps "
            "standardised; they are taken to have the variance that was asked for."
        )
    if exact is None and program.resolution != "exact":
        notes.append("Elements near borders are not told from others, for too many would differ.")
    propagation = Propagation(
        network,
        _tensors(network, program, sweep, order),
        _parameters(uses, elements, sweep),
        _log2(*sweep.jacobian),
        sum(end.size for end in ends),
        settings,
        notes,
    )
    if sweep.lost is not None:
        raise _lost(propagation, sweep.lost)
    return propagation


def _checked_functions(
    functions: Mapping[str, Callable[[Any], Any]] | None,
) -> Mapping[str, Callable[[Any], Any]]:
    if functions is None:
        return {}
    if not isinstance(functions, Mapping) or not all(
        isinstance(name, str) and callable(function) for name, function in functions.items()
    ):
        raise InvalidArgumentError(
            f"functions must be a mapping from names to functions, got {described(functions)}"
        )
    return functions


def _laws(given: Signal | Mapping[str, Signal] | None, inputs: list[Tensor]) -> Any:
    """The law of each input, a row each."""
    if given is None or isinstance(given, Signal):
        law = (given or Signal()).law
        return np.array([law] * max(len(inputs), 1))
    if not isinstance(given, Mapping):
        raise InvalidArgumentError(
            "input must be a Signal, or a mapping from names of inputs to Signals, got "
            f"{described(given)}; Signal.from_array makes one of data"
        )
    names = [tensor.name for tensor in inputs]
    for name, signal in given.items():
        if name not in names:
            raise UnknownNameError(
                f"input: the network has no input named {name!r}{did_you_mean(str(name), names)}"
            )
        if not isinstance(signal, Signal):
            raise InvalidArgumentError(f"input[{name!r}] must be a Signal, got {described(signal)}")
    return np.array([given.get(name, Signal()).law for name in names]).reshape(-1, 4)


def _seeds(network: Network, program: Program, ends: Sequence[Tensor]) -> list[float]:
    """Mean squares of the derivatives of a cross entropy at equal logits, by output.

    Classes lie along the axes of the softmax at the end. Where there is none, they are the channels
    of an output: all axes but those along which it was computed with the same weights.
    """
    tensors = network.tensors
    data = {
        end: start
        for (start, end), role in zip(network._core.ends, network._core.roles, strict=True)
        if role == "data"
    }
    cut = set(program.cut)
    softmax_of = {data[number]: number for number in program.cut if data[number] not in cut}
    positions = dict(zip(program.tensors, program.positions, strict=True))
    seeds = []
    for end in ends:
        softmax = softmax_of.get(end.id)
        operation = None if softmax is None else network.operation(tensors[softmax])
        if operation is not None:
            classes = prod(end.shape[axis] for axis in operation.axes)
        else:
            classes = round(end.size / positions[end.id])
        seeds.append((1 - 1 / classes) / classes)
    return seeds


class SignalLostError(TheoryDomainError):
    """A signal or gradient that cannot be followed, with what is known of those before it.

    Attributes
    ----------
    what : {"signal", "gradient"}
    is_large : bool
        Whether it is too large, and not too small.
    before : tuple of TensorPropagation
        The tensors whose signals are known, in the order in which they are computed.
    kernels : tuple of ParameterPropagation
        All kernels.
    """

    what: Literal["signal", "gradient"]
    is_large: bool
    before: tuple[TensorPropagation, ...]
    kernels: tuple[ParameterPropagation, ...]


def _lost(
    propagation: Propagation, lost: tuple[int, Literal["signal", "gradient"], bool]
) -> SignalLostError:
    """The error of a sweep that was not completed."""
    network = propagation.network
    number, what, is_large = lost
    tensor = network.tensors[number].name
    error = SignalLostError(
        f"network '{network.name}': the {what} at tensor '{tensor}' is too "
        f"{'large' if is_large else 'small'} to be followed any further; choose weights that keep "
        "it in range"
    )
    found = propagation.tensors
    names = [one.name for one in found]
    error.tensor, error.what, error.is_large = tensor, what, is_large
    error.before = found[: names.index(tensor)] if what == "signal" else found
    error.kernels = propagation.kernels
    return error


def _tensors(
    network: Network, program: Program, sweep: Sweep, order: Sequence[Tensor]
) -> list[TensorPropagation]:
    found = []
    rows = zip(
        order,
        program.positions,
        program.exactness,
        sweep.signals.tolist(),
        sweep.signal_exponents.tolist(),
        sweep.gradients.tolist(),
        sweep.gradient_exponents.tolist(),
        sweep.slopes.tolist(),
        sweep.slope_exponents.tolist(),
        strict=True,
    )
    for tensor, positions, exactness, signal, unit, gradient, power, slope, scale in rows:
        mean, square, samples, other, _ = signal
        operation = network.operation(tensor)
        found.append(
            TensorPropagation(
                name=tensor.name,
                kind=tensor.role if operation is None else operation.kind,
                shape=tensor.shape,
                positions=int(positions),
                mean=_ldexp(mean, unit),
                log2_mean_square=_log2(square, unit),
                log2_variance=_log2(max(square - mean * mean, 0.0), unit),
                correlation=samples / square if square else nan,
                position_correlation=other / square if square and positions > 1 else nan,
                log2_gradient=_log2(gradient[0], power),
                gradient_correlation=gradient[1] if positions > 1 else nan,
                log2_slope=_log2(slope, scale),
                exactness=exactness,
            )
        )
    return found


def _parameters(uses: Sequence[Use], elements: Any, sweep: Sweep) -> list[ParameterPropagation]:
    found = []
    values = zip(
        sweep.parameter_gradients.tolist(), sweep.parameter_exponents.tolist(), strict=True
    )
    for use, (_, square), (gradient, power) in zip(uses, elements.tolist(), values, strict=True):
        if use.role is None or use.target is None:
            continue
        found.append(
            ParameterPropagation(
                name=use.name,
                layer=use.layer,
                role=use.role,
                target=use.target,
                source=use.source,
                size=use.size,
                fan_in=use.fan_in,
                fan_out=use.fan_out,
                mean_square=square,
                log2_gradient=_log2(gradient, power),
            )
        )
    return found


def _log2(value: float, power_of_four: int) -> float:
    """Base-2 logarithm of ``value * 4**power_of_four``."""
    if isnan(value):
        return nan
    return log2(value) + 2 * power_of_four if value > 0 else -inf


def _ldexp(value: float, exponent: int) -> float:
    try:
        return ldexp(value, exponent)
    except OverflowError:
        return inf if value > 0 else -inf


def _power(exponent: float) -> float:
    """Two to a power; inf if it is too large."""
    try:
        return float(2.0**exponent)
    except OverflowError:
        return inf


def _text(exponent: float) -> str:
    """Two to a power with six digits, however large or small."""
    if isnan(exponent) or exponent == -inf:
        return "0"
    if abs(exponent) < 1000:
        return f"{2.0**exponent:.6g}"
    tens = exponent / log2(10)
    return f"{10 ** (tens % 1):.6g}e{int(tens // 1):+d}"


def _shown(value: float) -> str:
    return tables.MISSING if isnan(value) else f"{value:.4g}"
