"""What `propagate` returns: records of tensors and of parameters, and both as a `Propagation`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import exp, inf, isnan, log2, nan, prod
from typing import TYPE_CHECKING, Any, Literal

from unrolled._core import function_moments
from unrolled._support.hints import did_you_mean
from unrolled._support.optional import import_optional
from unrolled.errors import UnknownNameError
from unrolled.network.network import Network
from unrolled.show import tables
from unrolled.show.plot import new_figure

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["HOMOGENEOUS", "ParameterPropagation", "Propagation", "TensorPropagation"]

Exactness = Literal["exact", "mean-field", "approximate"]

HOMOGENEOUS = frozenset({"relu", "leaky_relu", "abs", "identity", "linear", "negative"})
"""Functions through which scale passes."""


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
    entries : tuple of str
        For every input the tensor at which its signal enters: the last of the scaling that a model
        begins with, such as a division by 255, or the input itself.

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
        entries: Sequence[str] = (),
    ) -> None:
        self.network = network
        self._tensors = {tensor.name: tensor for tensor in tensors}
        self._parameters = {parameter.name: parameter for parameter in parameters}
        order = {name: number for number, name in enumerate(self._tensors)}
        kernels = [one for one in parameters if one.role == "kernel"]
        kernels.sort(key=lambda one: order.get(one.target, len(order)))
        self._kernels = tuple(kernels)
        self._layers = {one.layer: one for one in parameters if one.role in ("kernel", "table")}
        self.log2_jacobian = log2_jacobian
        self.num_outputs = outputs
        self.settings = dict(settings)
        self.notes = tuple(notes)
        self.entries = tuple(entries)

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
        return self._kernels

    @property
    def jacobian(self) -> float:
        """Expected squared Frobenius norm E|J|^2 of the derivatives of outputs by inputs.

        Inputs are meant as they are behind the scaling that a model begins with; see `entries`.
        """
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
        """Sum of one over the width of every hidden layer.

        For chains of dense layers and ReLU the logarithm of a squared gradient norm has about five
        times this as its variance, and half of that less than the logarithm of the mean as its mean
        (Hanin and Nica 2018, arXiv 1812.05994): if it is large, a typical draw is far below the
        mean. Positions that share weights, skip connections and normalisers make draws scatter
        less.
        """
        widths = []
        for kernel in self.kernels[:-1]:
            target = self._tensors[kernel.target]
            widths.append(target.size / target.positions)
        return float(sum(1 / width for width in widths))

    @property
    def typical_factor(self) -> float:
        """How many times the mean a squared gradient norm of a typical draw is.

        Exp of the mean of its logarithm, in proportion to its mean, for chains of dense layers and
        functions through which scale passes; NaN for all other networks. A hidden layer of width n
        divides it by exp((3k - 1)/(2n)), where k is E f'^4 / (E f'^2)^2: 2 for ReLU, 1 without a
        function. Terms of higher order in 1/n are left out; they make it smaller still.

        Examples
        --------
        >>> import unrolled
        >>> net = unrolled.Network()
        >>> x = net.input((100,))
        >>> for _ in range(8):
        ...     x = net.activation(net.dense(x, 20))
        >>> net.output(net.dense(x, 1))
        >>> p = unrolled.propagate(net)
        >>> round(p.width_ratio, 3), round(p.typical_factor, 3)
        (0.4, 0.368)
        """
        is_chain = all(
            tensor.positions == 1 and tensor.kind in ("input", "affine", "function", "move")
            for tensor in self._tensors.values()
        )
        if not is_chain:
            return nan
        readers: dict[str, list[str]] = {}
        for link in self.network.links:
            if link.role == "data":
                readers.setdefault(link.source.name, []).append(link.target.name)
        exponent = 0.0
        for tensor in self._tensors.values():
            behind = [name for name in readers.get(tensor.name, ()) if name in self._tensors]
            if len(behind) > 1:
                return nan
            if tensor.kind == "affine" and behind:
                at, spread = behind[0], 1.0
                while self._tensors[at].kind == "function":
                    operation = self.network.operation(at)
                    spread *= nan if operation is None else _spread_of_slopes(operation.function)
                    if not readers.get(at):
                        break
                    at = readers[at][0]
                exponent += (3 * spread - 1) / 2 / tensor.size
        return exp(-exponent)

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


def _spread_of_slopes(function: str | None) -> float:
    """E f'^4 / (E f'^2)^2 of a function through which scale passes; NaN of any other."""
    name = (function or "").partition("(")[0]
    if name not in HOMOGENEOUS:
        return nan
    left, right = (function_moments(function or "", mean, 0.0, 1.0) for mean in (-1.0, 1.0))
    if left is None or right is None:
        return nan
    # An argument that does not vary has the squared slope of its side.
    squares = left[3], right[3]
    total = sum(squares)
    return 2 * sum(square**2 for square in squares) / total**2 if total else nan


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
