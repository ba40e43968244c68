"""Kernels of infinitely wide networks: of Gaussian processes at initialisation, and of training.

A network is given as a list of its layers, or as a `Network` of dense layers, convolutions, sums
and activations. Moments of activations are in `activations`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unrolled._core import Relation
from unrolled._support.arguments import checked_number, checked_numbers
from unrolled._support.hints import described
from unrolled.errors import InvalidArgumentError, TheoryDomainError
from unrolled.network.builder import Link, Tensor
from unrolled.network.network import Network
from unrolled.show.plot import styled
from unrolled.theory.activations import Activation, ActivationLike, as_activation
from unrolled.theory.layers import evaluation_order, fan_in, links_by_target
from unrolled.theory.results import TheoryResult, figure_of, panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Affine", "Kernel", "kernel"]

Array = NDArray[np.float64]
Kind = Literal["nngp", "ntk"]

LARGEST_STATE = 2**28
"""Covariances that are held at once, two gigabytes."""


class Affine(NamedTuple):
    """A dense layer with random weights.

    Attributes
    ----------
    sigma_w2 : float
        Variance of weights times fan-in.
    sigma_b2 : float
        Variance of biases.
    """

    sigma_w2: float
    sigma_b2: float = 0.0


@dataclass(frozen=True, eq=False)
class Kernel(TheoryResult):
    """The kernel of some inputs. What `kernel` returns; `numpy.asarray` takes its matrix.

    Attributes
    ----------
    kind : {"nngp", "ntk"}
    matrix : ndarray, shape (samples, samples)
    layers : tuple of str
    notes : tuple of str
    """

    kind: Kind
    matrix: Array
    layers: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __array__(self, dtype: object = None, copy: bool | None = None) -> Array:
        """The matrix."""
        return np.array(self.matrix, dtype=dtype)  # type: ignore[call-overload,no-any-return]

    @property
    def title(self) -> str:
        """The kind, the number of samples and the layers."""
        name = {"nngp": "Gaussian process kernel", "ntk": "Neural tangent kernel"}[self.kind]
        layers = ", ".join(self.layers)
        return f"{name} of {len(self.matrix)} samples: {layers}"

    @property
    def rows(self) -> list[dict[str, object]]:
        """One row a sample: its own entry, and how it correlates with the others."""
        own = np.sqrt(np.diag(self.matrix))
        with np.errstate(invalid="ignore"):
            correlations = self.matrix / np.outer(own, own)
        others = ~np.eye(len(own), dtype=bool)
        return [
            {
                "sample": at,
                "kernel with itself": float(self.matrix[at, at]),
                "least correlation": float(row[others[at]].min()) if len(own) > 1 else None,
                "largest correlation": float(row[others[at]].max()) if len(own) > 1 else None,
            }
            for at, row in enumerate(correlations)
        ]

    @property
    def assumptions(self) -> str:
        """Infinite width, and the parametrisation of the neural tangent kernel."""
        notes = ["infinite width, weights and biases independent, normal and of zero mean"]
        if self.kind == "ntk":
            notes.append(
                "weights are sigma_w / sqrt(fan_in) times, biases sigma_b times trained numbers "
                "that begin as standard normal ones; training by gradient flow with small steps"
            )
        return "; ".join([*notes, *self.notes])

    def plot(self, *, axes: Axes | None = None) -> tuple[Figure, Axes]:
        """The matrix as an image.

        Parameters and errors are those of `TheoryResult.plot`.
        """
        with styled():
            axes = panel(axes)
            image = axes.imshow(self.matrix, cmap="cividis", interpolation="nearest")
            axes.figure.colorbar(image, ax=axes)
            axes.grid(visible=False)
            axes.set(title=self.title.partition(":")[0], xlabel="sample", ylabel="sample")
            axes.locator_params(integer=True)
        return figure_of(axes), axes


def kernel(
    model: Sequence[Affine | ActivationLike] | Network,
    inputs: ArrayLike,
    *,
    kind: Kind = "nngp",
    sigma_w2: float | None = None,
    sigma_b2: float | None = None,
) -> Kernel:
    """The kernel of infinitely wide layers for some inputs.

    Parameters
    ----------
    model : sequence of Affine, str, Activation or callable; or Network
        Layers in turn: the first and the last are `Affine`, with an activation between any two.
        Or a network of dense layers, convolutions, sums, activations and reshaping, as if it had
        infinitely many channels; of its sums all operands but one end in a weight layer.
    inputs : array_like, shape (samples, features)
        For a network: samples of the shape of its input, along a first axis.
    kind : {"nngp", "ntk"}
        The covariance of outputs at initialisation, or the kernel of the change of outputs under
        training by gradient descent.
    sigma_w2, sigma_b2 : float, optional
        Of a network: variances of weights times fan-in, and of biases where a layer has them; by
        default 2 and 0.

    Returns
    -------
    Kernel

    Raises
    ------
    TheoryDomainError
        Layers in another order, or a network with other layers; variances out of range.
    InvalidArgumentError
        Inputs of another shape or not finite, an unknown kind, variances beside a list of layers.

    Notes
    -----
    ``K' = sigma_w2 E f f + sigma_b2`` and ``T' = K' + sigma_w2 E f' f' T``, with ``T = K`` behind
    the first layer. Lee et al., Deep neural networks as Gaussian processes (2018); Jacot et al.,
    Neural tangent kernel (2018); for convolutions Novak et al. (2019). By formulas for ReLU and its
    kind and for erf; otherwise every pair of samples takes a double integral of some milliseconds a
    layer.

    Examples
    --------
    >>> hidden = [Affine(2.0), "relu"]
    >>> inputs = [[1.0, 1.0], [1.4, -0.2]]  # Of mean square 1, with correlation 0.6.
    >>> kernel([*hidden, *hidden, *hidden, Affine(2.0)], inputs).matrix.round(6)
    array([[2.      , 1.550625],
           [1.550625, 2.      ]])
    """
    if kind not in ("nngp", "ntk"):
        raise InvalidArgumentError(f"kind is 'nngp' or 'ntk', got {described(kind)}")
    rows = checked_numbers("inputs", inputs)
    if rows.ndim < 2 or 0 in rows.shape or not np.all(np.isfinite(rows)):
        raise InvalidArgumentError(
            f"inputs are samples, one a row, of finite numbers; got shape {rows.shape}"
        )
    if isinstance(model, Network):
        weights = 2.0 if sigma_w2 is None else sigma_w2
        variances = _checked_variances(Affine(weights, sigma_b2 or 0.0))
        return _kernel_of_network(model, rows, kind, variances)
    if sigma_w2 is not None or sigma_b2 is not None:
        raise InvalidArgumentError("the layers of a list have their own variances: leave them out")
    return _kernel_of_chain(model, rows, kind)


@dataclass(frozen=True)
class _State:
    """Covariances of all pairs of samples, by element, and the tangent kernel so far.

    The last two axes are of samples; the others are those of the tensor, of length one where all
    elements along an axis are alike.
    """

    covariance: Array
    tangent: Array

    def behind(self, activation: Activation, kind: Kind) -> _State:
        """What an activation makes of it."""
        samples = self.covariance.shape[-1]
        first, second = np.triu_indices(samples)
        variances = np.diagonal(self.covariance, axis1=-2, axis2=-1)
        given = (
            variances[..., first],
            variances[..., second],
            self.covariance[..., first, second],
        )
        values = _symmetric(activation.pair_product(*given), samples)
        if kind == "nngp":
            return _State(values, np.zeros_like(values))
        slopes = _symmetric(activation.pair_slope_product(*given), samples)
        return _State(values, self.tangent * slopes)

    def plus(self, other: _State) -> _State:
        """The sum of two operands of which one is of zero mean given the other."""
        rank = max(self.covariance.ndim, other.covariance.ndim)
        first, second = (
            [part.reshape((1,) * (rank - part.ndim) + part.shape) for part in (one.covariance,
             one.tangent)]
            for one in (self, other)
        )  # fmt: skip
        return _State(first[0] + second[0], first[1] + second[1])

    def weighted(self, mix: Callable[[Array], Array], affine: Affine) -> _State:
        """What a weight layer makes of it; its own weights add the covariance to the tangent."""
        covariance = mix(self.covariance) + affine.sigma_b2
        return _State(covariance, covariance + mix(self.tangent))


def _symmetric(upper: Array, samples: int) -> Array:
    """A matrix, or many, from the upper triangle."""
    matrices = np.empty((*upper.shape[:-1], samples, samples))
    first, second = np.triu_indices(samples)
    matrices[..., first, second] = upper
    matrices[..., second, first] = upper
    return matrices


def _kernel_of_chain(layers: Sequence[Affine | ActivationLike], rows: Array, kind: Kind) -> Kernel:
    if rows.ndim != 2:
        raise InvalidArgumentError(
            f"a chain of layers takes a matrix (samples, features), got shape {rows.shape}"
        )
    gram = rows @ rows.T / rows.shape[1]
    state = _State(gram, np.zeros_like(gram))
    names: list[str] = []
    notes: dict[str, None] = {}
    for activation, affine in _checked(layers):
        if activation is not None:
            state = state.behind(activation, kind)
            names.append(activation.name)
            notes[activation.note] = None
        state = state.weighted(partial(np.multiply, affine.sigma_w2), affine)
        names.append(f"affine({affine.sigma_w2:g}, {affine.sigma_b2:g})")
    matrix = state.tangent if kind == "ntk" else state.covariance
    return Kernel(kind, matrix, tuple(names), tuple(filter(None, notes)))


def _checked(
    layers: Sequence[Affine | ActivationLike],
) -> list[tuple[Activation | None, Affine]]:
    """Every affine layer with the activation before it."""
    steps: list[tuple[Activation | None, Affine]] = []
    waiting: Activation | None = None
    for layer in layers:
        if not isinstance(layer, Affine):
            if waiting is not None or not steps:
                raise TheoryDomainError(
                    f"an activation follows an Affine layer, {described(layer)} does not"
                )
            waiting = as_activation(layer)
            continue
        if steps and waiting is None:
            raise TheoryDomainError(
                "two Affine layers in a row: put 'linear' between them if nothing is"
            )
        steps.append((waiting, _checked_variances(layer)))
        waiting = None
    if not steps or waiting is not None:
        raise TheoryDomainError("the last layer is Affine: its outputs are what the kernel is of")
    return steps


def _checked_variances(layer: Affine) -> Affine:
    weights = checked_number("sigma_w2", layer.sigma_w2)
    biases = checked_number("sigma_b2", layer.sigma_b2)
    if not (weights > 0 and biases >= 0 and math.isfinite(weights + biases)):
        raise TheoryDomainError(
            f"sigma_w2 must be positive and sigma_b2 not negative, got {described(layer)}"
        )
    return Affine(weights, biases)


def _kernel_of_network(network: Network, rows: Array, kind: Kind, variances: Affine) -> Kernel:
    """Element by element, from the input to the output."""
    into = links_by_target(network)
    order = evaluation_order(network, into)
    inputs = [tensor for tensor in order if tensor.role == "input"]
    if len(inputs) != 1 or len(network.outputs) != 1:
        raise TheoryDomainError(
            f"a kernel is of networks with one input and one output, '{network.name}' has "
            f"{len(inputs)} and {len(network.outputs)}"
        )
    if rows.shape[1:] != inputs[0].shape:
        raise InvalidArgumentError(
            f"'{network.name}' takes samples of shape {inputs[0].shape}, got {rows.shape[1:]}"
        )
    samples = np.moveaxis(rows, 0, -1)
    products = samples[..., :, None] * samples[..., None, :]
    walk = _Walk(network, kind, variances)
    walk.states[inputs[0].id] = _State(products, np.zeros_like(products))
    for tensor in order:
        if tensor is not inputs[0]:
            walk.visit(tensor, into.get(tensor.id, []))
    state = walk.states[network.outputs[0].id]
    matrices = state.tangent if kind == "ntk" else state.covariance
    if any(length != 1 for length in matrices.shape[:-2]):
        raise TheoryDomainError(
            f"elements of the output '{network.outputs[0].name}' differ; end with a dense layer"
        )
    notes = ["channels infinitely many, and all alike", *dict.fromkeys(walk.notes)]
    return Kernel(kind, matrices.reshape(matrices.shape[-2:]), tuple(walk.names), tuple(notes))


class _Walk:
    """States of the tensors of a network, one after the other."""

    def __init__(self, network: Network, kind: Kind, variances: Affine) -> None:
        self.network, self.kind, self.variances = network, kind, variances
        self.states: dict[int, _State] = {}
        self.names: list[str] = []
        self.notes: list[str] = []
        # Tensors of zero mean, whatever they may be added to.
        self.is_weighted: set[int] = set()
        self.kernels = {link.target.id: link for link in network.links if link.role == "kernel"}
        self.biased = {link.target.id for link in network.links if link.role == "bias"}

    def visit(self, tensor: Tensor, links: Sequence[Link]) -> None:
        """The state of a tensor from those it is computed from."""
        operation = self.network.operation(tensor)
        what = "other" if operation is None else operation.kind
        function = None if operation is None else operation.function
        sources = [link.source.id for link in links]
        if any(link.role != "data" for link in links) or not sources:
            what = "product"
        before = [self.states[one] for one in sources if one in self.states]
        if what == "affine" and len(links) == 1:
            bias = self.variances.sigma_b2 if tensor.id in self.biased else 0.0
            scale = self.variances.sigma_w2 / fan_in(self.kernels[tensor.id])
            mix = partial(_mixed, link=links[0], scale=scale)
            self.states[tensor.id] = before[0].weighted(mix, Affine(1.0, bias))
            self.is_weighted.add(tensor.id)
            self.names.append(tensor.name)
        elif what == "function":
            name = function or ""
            activation = as_activation(self.network.functions.get(name, name))
            self.states[tensor.id] = before[0].behind(activation, self.kind)
            self.names.append(activation.name)
            self.notes += [activation.note] if activation.note else []
        elif what == "sum" and function is None:
            others = [one for one in sources if one not in self.is_weighted]
            if len(others) > 1 or len(set(sources)) < len(sources):
                raise TheoryDomainError(
                    f"operands of the sum '{tensor.name}' are correlated: all but one must end in "
                    "a weight layer of their own"
                )
            self.states[tensor.id] = reduce(_State.plus, before)
            self.is_weighted |= set() if others else {tensor.id}
        elif what == "move" and len(links) == 1 and tensor.size == links[0].source.size:
            self.states[tensor.id] = _State(
                _moved(before[0].covariance, links[0]), _moved(before[0].tangent, links[0])
            )
            self.is_weighted |= {tensor.id} if sources[0] in self.is_weighted else set()
        else:
            raise TheoryDomainError(
                f"'{tensor.name}' is of kind {what}: kernels are known of dense layers, "
                "convolutions, activations, sums and reshaping"
            )


def _mixed(values: Array, link: Link, scale: float) -> Array:
    """Sums over what each element of a weight layer reads, times the variance of a weight."""
    targets: list[int | None] = [None] * len(link.source.shape)
    for relation in link.relations:
        if len(relation.source_axes) != 1:
            continue  # An axis of the target only: all its elements are alike.
        (axis,) = relation.source_axes
        targets[axis] = relation.target_axes[0] if relation.target_axes else None
        if relation.kind == "same":
            continue
        length = link.source.shape[axis]
        reads = _reads(relation, length, link)
        if values.shape[axis] == 1 < length:
            # All that is read is alike, so that only its number matters.
            numbers = reads.sum(axis=1)
            numbers = numbers[:1] if np.all(numbers == numbers[0]) else numbers
            shape = [1] * values.ndim
            shape[axis] = len(numbers)
            values = values * numbers.reshape(shape)
        else:
            values = np.moveaxis(np.tensordot(reads, values, axes=(1, axis)), 0, axis)
    return scale * _arranged(values, targets, len(link.target.shape))


def _reads(relation: Relation, length: int, link: Link) -> Array:
    """Which elements along an axis are read, shape ``(elements of the target, length)``."""
    if relation.kind in ("all", "each"):
        return np.ones((1, length))
    target = link.target.shape[relation.target_axes[0]] if relation.target_axes else 1
    if relation.kind == "blocks":
        groups = int(relation.arguments["groups"])
        ones = np.ones((target // groups, length // groups))
        return np.asarray(np.kron(np.eye(groups), ones))
    if relation.kind == "window":
        given = relation.arguments
        reads = np.zeros((target, length))
        for tap in range(given["size"]):
            places = (
                np.arange(target) * given["stride"] - given["padding"] + tap * given["dilation"]
            )
            inside = (places >= 0) & (places < length)
            reads[np.flatnonzero(inside), places[inside]] = 1.0
        return reads
    raise TheoryDomainError(
        f"'{link.target.name}' reads '{link.source.name}' by {relation.kind}: kernels are known of "
        "dense layers and convolutions"
    )


def _moved(values: Array, link: Link) -> Array:
    """Reshaped or transposed, axes of samples last."""
    samples = values.shape[-2:]
    if all(relation.kind == "same" for relation in link.relations):
        targets = {one.source_axes[0]: one.target_axes[0] for one in link.relations}
        axes = [targets[axis] for axis in range(len(targets))]
        return _arranged(values, axes, len(link.target.shape))
    if {relation.kind for relation in link.relations} - {"same", "reshape"}:
        raise TheoryDomainError(
            f"'{link.target.name}' moves elements in an unknown way: kernels are known of "
            "reshaping and transposing"
        )
    if link.target.size * samples[0] ** 2 > LARGEST_STATE:
        raise TheoryDomainError(
            f"covariances of {link.target.size} elements of '{link.target.name}' for {samples[0]} "
            "samples do not fit into memory; take fewer samples"
        )
    return np.broadcast_to(values, (*link.source.shape, *samples)).reshape(
        *link.target.shape, *samples
    )


def _arranged(values: Array, targets: Sequence[int | None], rank: int) -> Array:
    """Axes in the order of the target; those that it does not have are of length one."""
    kept = sorted((target, axis) for axis, target in enumerate(targets) if target is not None)
    gone = [axis for axis, target in enumerate(targets) if target is None]
    count = len(targets)
    ordered = np.transpose(values, [*(axis for _, axis in kept), *gone, count, count + 1])
    shape = [1] * rank
    for at, (target, _) in enumerate(kept):
        shape[target] = ordered.shape[at]
    return ordered.reshape(*shape, *values.shape[-2:])
