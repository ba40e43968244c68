"""Kernels of infinitely wide networks: of Gaussian processes at initialisation, and of training.

A network is given as a list of its layers. Moments of activations are in `activations`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unrolled._support.hints import described
from unrolled.errors import InvalidArgumentError, TheoryDomainError
from unrolled.show.plot import styled
from unrolled.theory.activations import Activation, ActivationLike, as_activation
from unrolled.theory.results import TheoryResult, figure_of, panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Affine", "Kernel", "kernel"]

Array = NDArray[np.float64]
Kind = Literal["nngp", "ntk"]


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
        return f"{name} of {len(self.matrix)} samples: {', '.join(self.layers)}"

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
            axes.set(title=self.title, xlabel="sample", ylabel="sample")
            axes.locator_params(integer=True)
        return figure_of(axes), axes


def kernel(
    layers: Sequence[Affine | ActivationLike], inputs: ArrayLike, *, kind: Kind = "nngp"
) -> Kernel:
    """The kernel of a chain of infinitely wide layers for some inputs.

    Parameters
    ----------
    layers : sequence of Affine, str, Activation or callable
        The first and the last are `Affine`; activations may follow each other no more than once
        between two of them.
    inputs : array_like, shape (samples, features)
    kind : {"nngp", "ntk"}
        The covariance of outputs at initialisation, or the kernel of the change of outputs under
        training by gradient descent.

    Returns
    -------
    Kernel

    Raises
    ------
    TheoryDomainError
        Layers in another order, or variances out of range.
    InvalidArgumentError
        Inputs that are no matrix of finite numbers, or an unknown kind.

    Notes
    -----
    ``K' = sigma_w2 E f f + sigma_b2`` and ``T' = K' + sigma_w2 E f' f' T``, with ``T = K`` behind
    the first layer. Lee et al., Deep neural networks as Gaussian processes (2018); Jacot et al.,
    Neural tangent kernel (2018). By formulas for ReLU and its kind and for erf; otherwise every
    pair of samples takes a double integral of some milliseconds a layer.

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
    rows = np.asarray(inputs, dtype=np.float64)
    if rows.ndim != 2 or 0 in rows.shape or not np.all(np.isfinite(rows)):
        raise InvalidArgumentError(
            f"inputs are a matrix (samples, features) of finite numbers, got shape {rows.shape}"
        )
    steps = _checked(layers)
    first = steps[0][1]
    covariance = first.sigma_w2 * (rows @ rows.T) / rows.shape[1] + first.sigma_b2
    tangent = covariance.copy()
    for activation, affine in steps[1:]:
        assert activation is not None
        covariance, slopes = _behind(activation, covariance, needs_slopes=kind == "ntk")
        covariance = affine.sigma_w2 * covariance + affine.sigma_b2
        if slopes is not None:
            tangent = covariance + affine.sigma_w2 * slopes * tangent
    names = [f"affine({first.sigma_w2:g}, {first.sigma_b2:g})"]
    notes: list[str] = []
    for activation, affine in steps[1:]:
        assert activation is not None
        names += [activation.name, f"affine({affine.sigma_w2:g}, {affine.sigma_b2:g})"]
        if activation.note and activation.note not in notes:
            notes.append(activation.note)
    return Kernel(kind, tangent if kind == "ntk" else covariance, tuple(names), tuple(notes))


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
        if not (layer.sigma_w2 > 0 and layer.sigma_b2 >= 0 and math.isfinite(sum(layer))):
            raise TheoryDomainError(
                f"variances of {layer} must be positive, that of biases or zero"
            )
        steps.append((waiting, layer))
        waiting = None
    if not steps or waiting is not None:
        raise TheoryDomainError("the last layer is Affine: its outputs are what the kernel is of")
    return steps


def _behind(
    activation: Activation, covariance: Array, *, needs_slopes: bool
) -> tuple[Array, Array | None]:
    """Mean products of the activation and of its slopes; each pair of samples is done once."""
    upper = np.triu_indices(len(covariance))
    variances = np.diag(covariance)
    given = variances[upper[0]], variances[upper[1]], covariance[upper]
    results = [activation.pair_product(*given)]
    if needs_slopes:
        results.append(activation.pair_slope_product(*given))
    matrices = []
    for values in results:
        matrix = np.empty_like(covariance)
        matrix[upper] = values
        matrix.T[upper] = values
        matrices.append(matrix)
    return matrices[0], matrices[1] if needs_slopes else None
