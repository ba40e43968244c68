"""The extension module: the counting core, `unrolled-core`, as seen from Python."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final, Literal, TypeAlias, final

import numpy as np
import numpy.typing as npt

__all__ = [
    "VERSION",
    "Counts",
    "Declaration",
    "Graph",
    "GraphCounts",
    "GraphSpectrum",
    "Network",
    "Operation",
    "ParameterCounts",
    "Program",
    "Quantities",
    "Relation",
    "Scorer",
    "Spectrum",
    "Sweep",
    "VariantScorer",
    "Variants",
    "boltzmann_sums",
    "function_moments",
    "function_names",
    "probabilities",
    "surprisals",
]

VERSION: Final[str]

_Integers: TypeAlias = Sequence[int] | npt.NDArray[np.int64]
_Indices: TypeAlias = npt.NDArray[np.uint32] | npt.NDArray[np.uint64]
_Progress: TypeAlias = Callable[[int, int], None] | None
_LinkRole: TypeAlias = Literal[
    "data", "kernel", "bias", "scale", "shift", "mean", "variance", "table"
]
_Count: TypeAlias = tuple[float, int, int | None]

@final
class Relation:
    """One factor of a link: which indices of target axes read which indices of source axes.

    In the definitions below ``i`` is an index of the source axis and ``o`` one of the target axis;
    ``t`` counts the taps of a window. The source is the earlier tensor, the target the later.
    """

    def __new__(
        cls,
        kind: str,
        source_axes: Sequence[int],
        target_axes: Sequence[int],
        arguments: dict[str, Any] | None = None,
    ) -> Relation:
        """A relation by the properties of another one, which pickles and copies are made of."""

    @staticmethod
    def same(source: int, target: int) -> Relation:
        """``i = o``; the axes have equal lengths."""

    @staticmethod
    def sum(target: int) -> Relation:
        """The axis is in the target only: all its indices read the same source element."""

    @staticmethod
    def each(source: int) -> Relation:
        """The axis is in the source only: every index of it is read."""

    @staticmethod
    def all(source: int, target: int) -> Relation:
        """Every target index reads every source index."""

    @staticmethod
    def window(
        source: int, target: int, *, size: int, stride: int = 1, dilation: int = 1, padding: int = 0
    ) -> Relation:
        """``i = o * stride - padding + t * dilation`` for every tap in bounds."""

    @staticmethod
    def transposed_window(
        source: int, target: int, *, size: int, stride: int = 1, dilation: int = 1, padding: int = 0
    ) -> Relation:
        """``o = i * stride - padding + t * dilation`` for every tap in bounds."""

    @staticmethod
    def taps(
        source: int,
        target: int,
        *,
        extent: int,
        size: int,
        stride: int = 1,
        dilation: int = 1,
        padding: int = 0,
    ) -> Relation:
        """``i`` is a tap of the window over `extent` positions, read at every ``o`` in bounds."""

    @staticmethod
    def transposed_taps(
        source: int,
        target: int,
        *,
        extent: int,
        size: int,
        stride: int = 1,
        dilation: int = 1,
        padding: int = 0,
    ) -> Relation:
        """``i`` is a tap of the transposed window of `extent` inputs, read where it hits ``o``."""

    @staticmethod
    def blocks(source: int, target: int, *, groups: int) -> Relation:
        """Both axes fall into `groups` equal blocks; ``o`` reads its own block."""

    @staticmethod
    def slice(source: int, target: int, *, start: int = 0, step: int = 1) -> Relation:
        """``i = start + step * o``; the step may be negative or zero."""

    @staticmethod
    def select(source: int, target: int, indices: _Integers) -> Relation:
        """``i = indices[o]``; -1 reads nothing."""

    @staticmethod
    def sparse(
        source: int,
        target: int,
        offsets: _Integers,
        indices: _Integers,
        multiplicities: _Integers | None = None,
    ) -> Relation:
        """``o`` reads ``indices[offsets[o]:offsets[o + 1]]``, with multiplicities if given."""

    @staticmethod
    def reshape(source_axes: _Integers, target_axes: _Integers) -> Relation:
        """Several axes on either side, equal in row-major order."""

    @property
    def kind(self) -> str:
        """The name of the constructor."""

    @property
    def source_axes(self) -> list[int]:
        """Axes of the source."""

    @property
    def target_axes(self) -> list[int]:
        """Axes of the target."""

    @property
    def arguments(self) -> dict[str, Any]:
        """The other arguments of the constructor, all of them, by name."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self, /) -> int: ...

@final
class Operation:
    """How a tensor is computed from the elements that its links name.

    Counts do not depend on it. Layers set it; `Network.tensor` takes one for layers of one's own.

    Parameters
    ----------
    kind : str
        "affine", "function", "sum", "product", "maximum", "average", "max_pool", "batch_norm",
        "layer_norm", "rms_norm", "group_norm", "softmax", "matmul", "embedding", "move" or
        "other".
    function : str, optional
        The name of a function of single elements, with its arguments if it has any: "relu",
        "leaky_relu(0.2)". Of a sum, "subtract": all operands but the first are subtracted; of a
        maximum, "minimum"; of an RMS norm, "mean" or "mean_abs" if it divides by the mean of
        elements or of their sizes.
    axes : tuple of int
        Of layer norm, RMS norm and softmax: the axes normalised together. Of batch norm and group
        norm: the axis of the channels. Of an average with weights: those of its window.
    divisor : float, optional
        Of an average: the elements of a window, where it is not the number of those in bounds. Of
        a product of matrices: what its sums are divided by.
    groups : int
        Into how many groups the channels of a group norm fall.
    epsilon : float
        Added to the variance by a normaliser.
    weights : tuple of tuple of float
        Of an average that does not weigh all elements of a window alike, such as a blur: for each
        of its axes, the weights of the window's taps. What it takes is the sum with their products.
        Along an axis with a sparse relation, as interpolation has, they are those of its entries.

    Raises
    ------
    InvalidArgumentError
        An unknown kind; a divisor that is no positive number, a number of groups below 1, an
        epsilon below 0, or something else than numbers.
    """

    def __new__(
        cls,
        kind: str,
        function: str | None = None,
        *,
        axes: Sequence[int] = ...,
        divisor: float | None = None,
        groups: int = 1,
        epsilon: float = 0.0,
        weights: Sequence[Sequence[float]] = ...,
    ) -> Operation: ...
    @property
    def kind(self) -> str: ...
    @property
    def function(self) -> str | None: ...
    @property
    def axes(self) -> tuple[int, ...]: ...
    @property
    def divisor(self) -> float | None: ...
    @property
    def groups(self) -> int: ...
    @property
    def epsilon(self) -> float: ...
    @property
    def weights(self) -> tuple[tuple[float, ...], ...]: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self, /) -> int: ...
    def __getnewargs_ex__(self, /) -> tuple[tuple[str, str | None], dict[str, Any]]: ...

@final
class Declaration:
    """All that a layer tells the core, but for its name and what it reads."""

    def __new__(
        cls,
        shape: Sequence[int],
        operation: Operation,
        data: Sequence[Sequence[Relation]],
        weights: Sequence[tuple[str, Sequence[int], Sequence[Relation], bool]],
    ) -> Declaration: ...

@final
class Network:
    """Tensors and links; tensors are identified by their position."""

    def __new__(cls) -> Network: ...
    def add_input(self, name: str, shape: Sequence[int]) -> int: ...
    def add_parameter(self, name: str, shape: Sequence[int], trainable: bool = True) -> int: ...
    def add_activation(
        self, name: str, shape: Sequence[int], operation: Operation | None = None
    ) -> int: ...
    def set_operation(self, id: int, operation: Operation) -> None: ...
    def operation(self, id: int) -> Operation: ...
    def link(
        self, source: int, target: int, relations: Sequence[Relation], role: str = "data"
    ) -> None: ...
    def add_layer(
        self,
        name: str,
        layer: Declaration,
        sources: Sequence[int],
        given: Sequence[int | None] = ...,
    ) -> int:
        """Declare a tensor that is computed, parameters that are not given, and its links."""

    def mark_output(self, id: int) -> None: ...
    def sizes(self) -> tuple[int, int]: ...
    def truncate(self, tensors: int, links: int) -> None: ...
    @property
    def inputs(self) -> list[int]: ...
    @property
    def parameters(self) -> list[int]: ...
    def tensor(
        self, id: int
    ) -> tuple[str, list[int], Literal["input", "parameter", "activation"], bool]: ...
    def find(self, name: str) -> int | None: ...
    @property
    def tensors(
        self,
    ) -> list[tuple[str, list[int], Literal["input", "parameter", "activation"], bool]]: ...
    @property
    def links(self) -> list[tuple[int, int, list[Relation]]]: ...
    @property
    def ends(self) -> list[tuple[int, int]]:
        """Source and target of every link."""

    @property
    def roles(self) -> list[_LinkRole]:
        """What the source of every link is to its target."""

    @property
    def operations(self) -> list[Operation]:
        """How every tensor is computed; of kind "other" for inputs and parameters."""

    def followed_functions(self) -> list[str]:
        """The names of the functions that a signal meets on its way, each once."""

    @property
    def num_inputs(self) -> int:
        """The number of elements of all inputs."""

    @property
    def num_outputs(self) -> int: ...
    @property
    def outputs(self) -> list[int]: ...
    def unroll(
        self, memory_limit: int | None = None, progress: _Progress = None
    ) -> tuple[Graph, list[tuple[int, int]]]:
        """The graph of all elements, and the tensors with the node of their first element."""

    def count(
        self,
        exact: bool = True,
        *,
        memory_limit: int | None = None,
        trainable_only: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Counts:
        """Contexts of every parameter; `progress` is called with links done and links in all."""

    def length_sums(
        self,
        exact: bool = True,
        *,
        memory_limit: int | None = None,
        trainable_only: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Counts:
        """Along an axis before those of a parameter: contexts, their lengths, and the squares."""

    def path_moments(
        self,
        grades: Sequence[int],
        exact: bool = True,
        *,
        memory_limit: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Counts:
        """Of the first parameter: paths from inputs to outputs, their grades, and the squares.

        Without any grade the number of paths alone.
        """

    def extreme_lengths(
        self,
        longest: bool,
        *,
        trainable_only: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Counts:
        """Length of the shortest or longest context of every parameter plus one, 0 for none."""

@final
class Counts:
    """Contexts of every parameter of a network; a count is ``mantissa * 2**exponent``."""

    @property
    def exact(self) -> bool: ...
    @property
    def total(self) -> int | None:
        """The total contexts Z if the run was exact."""

    @property
    def log2_total(self) -> float: ...
    @property
    def parameters(self) -> list[int]:
        """Identifiers of the tensors counted, in the order of declaration."""

    @property
    def peak_bytes(self) -> int:
        """The largest number of bytes the counts took at any moment."""

    @property
    def num_elements(self) -> int:
        """How many scalar parameters were counted, with a context or without one."""

    @property
    def num_weight_nodes(self) -> int: ...
    def parameter(self, id: int) -> ParameterCounts: ...
    def spectrum(self) -> Spectrum: ...

@final
class ParameterCounts:
    """Contexts of the elements of one parameter; levels ascend by count, zero being a level."""

    @property
    def runs(self) -> list[npt.NDArray[np.uint64]]:
        """For every axis the lengths of the runs of equal slices."""

    @property
    def level_index(self) -> npt.NDArray[np.uint32]:
        """The level of every block of runs, row-major and flat."""

    @property
    def mantissas(self) -> npt.NDArray[np.float64]:
        """Of every level, in [1, 2); 0 for a count of zero."""

    @property
    def exponents(self) -> npt.NDArray[np.int64]: ...
    @property
    def degeneracies(self) -> npt.NDArray[np.uint64]:
        """How many elements have each level."""

    @property
    def weight_nodes(self) -> int:
        """Over all places of use, the elements that have a context through that place."""

    def exact(self, level: int) -> int: ...

@final
class Spectrum:
    """The distinct counts of all parameters, ascending, without zero."""

    @property
    def mantissas(self) -> npt.NDArray[np.float64]: ...
    @property
    def exponents(self) -> npt.NDArray[np.int64]: ...
    @property
    def degeneracies(self) -> npt.NDArray[np.uint64]: ...
    @property
    def num_reached(self) -> int:
        """How many parameters have a context."""

    def quantities(self) -> Quantities: ...
    def exact(self, level: int) -> int: ...
    def owners(self, level: int) -> list[tuple[int, int]]:
        """The tensors that have this level, and how many of their elements do."""

    def __len__(self) -> int: ...

@final
class Graph:
    """Successor lists; `roles` has outputs, inputs and parameters as ids, or labels, or None."""

    @staticmethod
    def from_edges(
        sources: _Indices,
        targets: _Indices,
        multiplicity: npt.NDArray[np.uint64] | None,
        num_nodes: int | None,
        roles: dict[str, Any],
        threads: int = 0,
        progress: _Progress = None,
    ) -> Graph: ...
    @staticmethod
    def from_csr(
        indptr: _Indices,
        indices: _Indices,
        multiplicity: npt.NDArray[np.uint64] | None,
        roles: dict[str, Any],
        threads: int = 0,
        progress: _Progress = None,
    ) -> Graph: ...
    @staticmethod
    def from_file(
        path: str,
        indptr: _Indices,
        num_edges: int,
        indices_at: int,
        wide: bool,
        multiplicity_at: int | None,
        rank: npt.NDArray[np.uint32] | None,
        roles: dict[str, Any],
        progress: _Progress = None,
    ) -> Graph:
        """Lists in a file, from these bytes on; indices have 64 bits if `wide`, else 32."""

    @property
    def num_nodes(self) -> int: ...
    @property
    def num_edges(self) -> int: ...
    @property
    def indptr(self) -> _Indices: ...
    @property
    def indices(self) -> _Indices | None:
        """None if they are in a file."""

    @property
    def multiplicity(self) -> npt.NDArray[np.uint64] | None: ...
    @property
    def outputs(self) -> npt.NDArray[np.uint32]: ...
    @property
    def rank(self) -> npt.NDArray[np.uint32] | None:
        """The number of every node in the sorted lists, if that is another one."""

    def sorted_lists(
        self,
    ) -> tuple[_Indices, _Indices, npt.NDArray[np.uint64] | None] | None:
        """The lists in topological order; None if they are in a file."""

    def inputs(self) -> npt.NDArray[np.uint32]: ...
    def parameters(self) -> npt.NDArray[np.int64]:
        """The label of the parameter that each node is, or -1."""

    def count(
        self,
        exact: bool,
        towards: str,
        parameters_only: bool,
        threads: int,
        memory_limit: int | None,
        progress: _Progress,
    ) -> GraphCounts:
        """Paths of every node, `towards` "outputs", "inputs" or "both"; 0 threads: one a core."""

@final
class GraphCounts:
    """Counts of the nodes of a graph, each as mantissa, exponent and, if exact, integer."""

    @property
    def exact(self) -> bool: ...
    @property
    def peak_bytes(self) -> int: ...
    def has(self, node: int) -> bool:
        """Whether the count of a node was kept."""

    def value(self, node: int) -> _Count: ...
    def integers(self, nodes: npt.NDArray[np.uint64] | None = None) -> list[int]: ...
    def group(self, label: int) -> _Count: ...
    def log2(self) -> npt.NDArray[np.float64]: ...
    def spectrum(self) -> GraphSpectrum: ...

@final
class GraphSpectrum:
    """The distinct counts of all parameters of a graph, ascending, without zero."""

    @property
    def mantissas(self) -> npt.NDArray[np.float64]: ...
    @property
    def exponents(self) -> npt.NDArray[np.int64]: ...
    @property
    def degeneracies(self) -> npt.NDArray[np.uint64]: ...
    @property
    def num_reached(self) -> int:
        """How many parameters have a context."""

    def quantities(self) -> Quantities: ...
    @property
    def num_parameters(self) -> int:
        """Of all parameters, with a path or without one."""

    @property
    def num_weight_nodes(self) -> int: ...
    @property
    def total(self) -> _Count: ...
    def exact(self, level: int) -> int: ...
    def __len__(self) -> int: ...

@final
class Quantities:
    """The quantities of a spectrum, in bits; see `unrolled.quantities`."""

    def __new__(
        cls,
        mantissas: npt.NDArray[np.float64],
        exponents: npt.NDArray[np.int64],
        degeneracies: npt.NDArray[np.uint64],
    ) -> Quantities: ...
    @property
    def num_parameters(self) -> int: ...
    @property
    def log2_total(self) -> float: ...
    @property
    def total_surprisal(self) -> float: ...
    @property
    def entropy(self) -> float: ...
    @property
    def expected_spread(self) -> float: ...

def surprisals(
    mantissas: npt.NDArray[np.float64],
    exponents: npt.NDArray[np.int64],
    degeneracies: npt.NDArray[np.uint64],
) -> npt.NDArray[np.float64]:
    """Of one parameter of each level, in bits."""

def probabilities(
    mantissas: npt.NDArray[np.float64],
    exponents: npt.NDArray[np.int64],
    degeneracies: npt.NDArray[np.uint64],
) -> npt.NDArray[np.float64]:
    """Relative frequency of one parameter of each level."""

def boltzmann_sums(
    energies: npt.NDArray[np.float64],
    log_weights: npt.NDArray[np.float64],
    log_states: float,
    betas: Sequence[float],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Logarithm of the total weight, mean and variance of the energy, at every `betas`."""

_Floats: TypeAlias = npt.NDArray[np.float64]
_Pieces: TypeAlias = tuple[_Floats, _Floats, _Floats, bool]

@final
class Program:
    """A network, compiled for signal propagation; functions are breaks, coefficients, kinks."""

    def __new__(
        cls, network: Network, functions: Mapping[str, _Pieces] = ..., exact: bool | None = None
    ) -> Program: ...
    @property
    def tensors(self) -> list[int]:
        """Tensors with signals, in the order in which they are computed."""

    @property
    def outputs(self) -> list[int]:
        """Where derivatives start."""

    @property
    def parameters(
        self,
    ) -> list[tuple[int, str | None, tuple[int | None, int | None], tuple[float, float], int]]:
        """Of every parameter: tensor, role, target and source, fan-in and fan-out, uses."""

    @property
    def entries(self) -> list[int]:
        """By input, where a signal enters: behind the scaling that a model begins with."""

    @property
    def cut(self) -> list[int]:
        """Softmaxes at the end, which are left out."""

    @property
    def computed_kernels(self) -> list[int]:
        """Kernels that are computed from parameters."""

    @property
    def exactness(self) -> list[Literal["exact", "mean-field", "approximate"]]:
        """Of every tensor."""

    @property
    def resolution(self) -> Literal["mean", "channels", "exact"]:
        """Which elements are told from each other."""

    @property
    def positions(self) -> list[float]:
        """Of every tensor, the positions that share weights."""

    def propagate(
        self, parameters: _Floats, inputs: _Floats, seeds: Sequence[float], stored: bool = False
    ) -> Sweep:
        """Sweep forwards and back.

        Rows are mean and mean square; of inputs the mean square, three correlations, and whether
        they are those behind the scaling that a model begins with.
        """

@final
class Sweep:
    """What a sweep found; numbers are those of an array times four to the power of another."""

    @property
    def signals(self) -> _Floats:
        """By tensor: mean (in units of the root), mean square, and three mean products."""

    @property
    def signal_exponents(self) -> npt.NDArray[np.int64]: ...
    @property
    def gradients(self) -> _Floats:
        """By tensor: mean square, and correlation between positions."""

    @property
    def gradient_exponents(self) -> npt.NDArray[np.int64]: ...
    @property
    def slopes(self) -> _Floats: ...
    @property
    def slope_exponents(self) -> npt.NDArray[np.int64]: ...
    @property
    def parameter_gradients(self) -> _Floats: ...
    @property
    def parameter_exponents(self) -> npt.NDArray[np.int64]: ...
    @property
    def jacobian(self) -> tuple[float, int]: ...
    @property
    def lost(self) -> tuple[int, Literal["signal", "gradient"], bool] | None:
        """The tensor beyond which nothing could be followed, and whether it was too large."""

def function_moments(
    name: str,
    mean: float,
    variance: float,
    correlation: float,
    functions: Mapping[str, _Pieces] = ...,
) -> list[float] | None:
    """E f, E f^2, E f f', E f'^2 and the mean product of slopes; None for an unknown name."""

def function_names() -> list[str]:
    """The names of the functions that are known."""

@final
class Variants:
    """A network, and which option of which place opens each of its links."""

    columns: ClassVar[list[str]]
    def __new__(
        cls, network: Network, options: Sequence[int], choices: Sequence[tuple[int, int] | None]
    ) -> Variants: ...
    def part(self, row: Sequence[int]) -> tuple[list[int], list[int], list[int]]:
        """Numbers of the tensors, links and outputs that take part in an architecture."""

    def have_paths(self, rows: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
        """Whether a path leads from an input to an output, for each row of options."""

    def canonical(self, rows: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
        """Rows of options in which those that take no part are -1."""

    def count(
        self,
        rows: npt.NDArray[np.uint32],
        exact: bool = False,
        *,
        memory_limit: int | None = None,
        trainable_only: bool = False,
        threads: int = 0,
        progress: _Progress = None,
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.uint8] | None]:
        """Quantities in the order of `columns` for each row, and exact totals as bytes."""

@final
class VariantScorer:
    """Variants of one network, compiled for scoring."""

    size_columns: ClassVar[list[str]]
    score_columns: ClassVar[list[str]]
    def __new__(
        cls, variants: Variants, functions: Mapping[str, _Pieces] = ...
    ) -> VariantScorer: ...
    def sizes(
        self, rows: npt.NDArray[np.uint32], *, threads: int = 0, progress: _Progress = None
    ) -> npt.NDArray[np.float64]:
        """A row of sizes, in the order of `size_columns`, for each row of options."""

    def scores(
        self, rows: npt.NDArray[np.uint32], *, threads: int = 0, progress: _Progress = None
    ) -> npt.NDArray[np.float64]:
        """A row of scores, in the order of `score_columns`, for each row of options."""

    def features(
        self, rows: npt.NDArray[np.uint32], *, threads: int = 0, progress: _Progress = None
    ) -> npt.NDArray[np.float64]:
        """A row of features and scores, as `Scorer.feature_columns` has them."""

@final
class Scorer:
    """A network compiled for scoring."""

    columns: ClassVar[list[str]]
    def __new__(cls, network: Network, functions: Mapping[str, _Pieces] = ...) -> Scorer: ...
    def scores(self) -> list[float]:
        """Scores, in the order of `columns`."""

    feature_columns: ClassVar[list[str]]
    def features(self) -> list[float]:
        """Features and scores, in the order of `feature_columns`."""
