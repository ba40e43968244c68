"""`propagate`: its arguments as the core takes them, and what the core found as records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import inf, isfinite, isnan, ldexp, log2, nan, prod
from typing import Any, Literal

import numpy as np

from unrolled._core import Program, Sweep
from unrolled._support.arguments import checked_choice
from unrolled._support.hints import described, did_you_mean
from unrolled.errors import InvalidArgumentError, TheoryDomainError, UnknownNameError, UnrolledError
from unrolled.network.builder import Tensor
from unrolled.network.network import Network
from unrolled.propagation.functions import own_pieces
from unrolled.propagation.records import ParameterPropagation, Propagation, TensorPropagation
from unrolled.propagation.signal import Signal
from unrolled.propagation.weights import Use, Weights, elements_of, uses_of
from unrolled.sources.resolution import resolve

__all__ = ["SignalLostError", "propagate"]


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
        The law of the inputs. By default ``Signal()`` behind the scaling that a model begins with:
        straight lines that nothing but an input enters, such as a division by 255. What is given
        here is the law in front of it.
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
        A signal that grows beyond what a bounded or exponential function can be followed at, a
        signal or gradient beyond 2^(2^49) or below one over that, or a root or quotient of what is
        not positive and, where it divides, varies by more than a third of its mean.
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
    given = _checked_functions(functions)
    try:
        program = Program(
            network._core, own_pieces(network, given), exact=None if exact is None else bool(exact)
        )
    except UnrolledError as error:
        error.args = (f"network '{network.name}': {error.args[0]}", *error.args[1:])
        raise
    uses = uses_of(network, program)
    elements = elements_of(network, uses, weights, biases, gain, overrides)
    tensors = network.tensors
    order = [tensors[number] for number in program.tensors]
    ends = [tensors[number] for number in program.outputs]
    try:
        sweep = program.propagate(
            elements,
            _laws(input, [tensor for tensor in order if tensor.role == "input"]),
            [1.0] * len(ends) if loss is None else _seeds(network, program, ends),
            batch_norm == "stored",
        )
    except TheoryDomainError as error:
        message, number = error.args
        error.tensor = tensors[number].name
        error.args = (f"network '{network.name}': at tensor '{error.tensor}', {message}",)
        raise
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
    found = _tensors(network, program, sweep, order)
    entries = [tensors[number].name for number in program.entries]
    propagation = Propagation(
        network,
        found,
        _parameters(uses, elements, sweep),
        _log2_jacobian([tensor for tensor in found if tensor.name in entries]),
        sum(end.size for end in ends),
        settings,
        notes,
        entries,
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
        law = (*(given or Signal()).law, given is None)
        return np.array([law] * max(len(inputs), 1), dtype=np.float64)
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
    laws = [(*given.get(name, Signal()).law, name not in given) for name in names]
    return np.array(laws, dtype=np.float64).reshape(-1, 5)


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
    entries : tuple of str
        See `Propagation`.
    """

    what: Literal["signal", "gradient"]
    is_large: bool
    before: tuple[TensorPropagation, ...]
    kernels: tuple[ParameterPropagation, ...]
    entries: tuple[str, ...]


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
    error.entries = propagation.entries
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
    # One call for all of them: networks unrolled over time have tens of thousands.
    operations = network._core.operations
    for tensor, positions, exactness, signal, unit, gradient, power, slope, scale in rows:
        mean, square, samples, other, _ = signal
        role = tensor.role
        found.append(
            TensorPropagation(
                name=tensor.name,
                kind=role if role != "activation" else operations[tensor.id].kind,
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
    if value > 0:
        return log2(value) + 2 * power_of_four
    return nan if isnan(value) else -inf


def _log2_jacobian(entries: Sequence[TensorPropagation]) -> float:
    """Base-2 logarithm of the squared derivatives by all elements of some tensors."""
    logs = [one.log2_gradient + log2(one.size) for one in entries if one.size]
    most = max(logs, default=-inf)
    if not isfinite(most):
        return most
    return most + log2(sum(2.0 ** (one - most) for one in logs))


def _ldexp(value: float, exponent: int) -> float:
    try:
        return ldexp(value, exponent)
    except OverflowError:
        return inf if value > 0 else -inf
