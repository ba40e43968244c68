"""`analyze`: count one model, whatever it is given as, and work out its quantities."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unrolled._support.hints import described
from unrolled.analysis.analysis import Analysis
from unrolled.analysis.larger_inputs import larger_image
from unrolled.counting.counts import Counts, GraphCounts, count
from unrolled.errors import InvalidArgumentError, NothingToCountError

if TYPE_CHECKING:
    from unrolled.graph.graph import Graph
    from unrolled.network.builder import Semantics
    from unrolled.network.network import Network

__all__ = ["analyze", "as_model"]


def analyze(
    model: Any,
    *,
    inputs: Any = None,
    semantics: Semantics | None = None,
    input_size: int | Sequence[int] | None = None,
    exact: bool = True,
    trainable_only: bool = False,
    lengths: bool = False,
    threads: int | None = None,
    memory_limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Analysis:
    """Count the contexts of a model's parameters and work out its quantities.

    Parameters
    ----------
    model : Network, Graph, Counts, GraphCounts, str, Path, or an object of a framework
        With counts, nothing is counted again and the options have no effect. A string is the name
        of a published model or of a file: ``.onnx``, ``.keras``, ``.json`` of Keras, or a graph.
        Objects are an ONNX ModelProto, a Keras model, a PyTorch module, a JAX function.
    inputs : optional
        For what has to be imported: shapes of inputs for ONNX and Keras, example inputs for
        PyTorch, ``(params, *example_inputs)`` for a function. See `from_onnx`, `from_keras`,
        `from_torch` and `from_jax`.
    semantics : {"value", "dependency"}, optional
        For what has to be imported: which edges normalisers have; by default "value".
    input_size : int or (height, width), optional
        Of a larger input in pixels. The two estimates are then the published lower bounds: all
        is counted at the model's own size, and only ``N_I``, also within ``|G|``, is that of
        the larger input. `Analysis.true_value` has what counting at that size gives, if
        `unrolled.models` built the network. The bound on the surprisal estimate is not strict:
        from 224 to 225 pixels, that of ResNet-18 is 24.4962 and the true value 24.4958.
    exact, trainable_only, lengths, threads, memory_limit, progress
        See `count`. Of a graph, only the counts of parameters are kept.

    Returns
    -------
    Analysis

    Raises
    ------
    NothingToCountError, MemoryLimitError
        See `count`.
    InvalidArgumentError
        Something else than a model or counts towards the outputs, an option that is not for it, or
        an `input_size` smaller than the own one.
    UnknownModelError
        A name that no published model has.
    MissingPackageError, InvalidModelError, UnsupportedOperatorError
        See the importers.
    InvalidNetworkError
        An `input_size` for a model without exactly one image as its input.

    References
    ----------
    A. G. Polat, F. Alpaslan, "The reusability prior: comparing deep learning models without
    training", Mach. Learn.: Sci. Technol. (2023), doi 10.1088/2632-2153/acc713. The lower bound is
    that of the program published with it.

    Examples
    --------
    >>> import unrolled
    >>> result = unrolled.analyze(unrolled.models.mlp([4, 4], inputs=3, classes=2))
    >>> result.num_parameters, result.num_weight_nodes, result.num_inputs, result.num_outputs
    (46, 46, 3, 2)
    >>> result.total_contexts, round(result.log2_total_contexts, 6)
    (178, 7.475733)
    >>> abs(result.entropy + result.expected_spread - result.log2_total_contexts) < 1e-12
    True

    What is known at 32 pixels about 48, and what is true:

    >>> bound = unrolled.analyze(unrolled.models.resnet(18, size=32), input_size=48)
    >>> round(bound.spread_estimate, 3), round(bound.true_value.spread_estimate, 3)
    (20.145, 20.238)
    """
    from unrolled.graph.graph import Graph
    from unrolled.network.network import Network

    model = as_model(model, inputs, semantics)
    if input_size is not None and isinstance(model, (Graph, GraphCounts)):
        raise InvalidArgumentError("input_size is for networks; the inputs of a graph are no image")
    counts: Counts | GraphCounts
    options: dict[str, Any] = {
        "exact": exact,
        "trainable_only": trainable_only,
        "lengths": lengths,
        "memory_limit": memory_limit,
        "progress": progress,
    }
    if isinstance(model, Graph):
        counts = count(model, nodes="parameters", threads=threads, **options)
    elif isinstance(model, (Counts, GraphCounts)):
        counts = model
    elif threads is not None:
        raise InvalidArgumentError("threads are for graphs; a network is counted by one")
    else:
        counts = count(model, **options)
    spectrum = counts.spectrum()
    if isinstance(counts, GraphCounts):
        _check_graph(counts)
    own = Analysis(
        counts.name,
        spectrum,
        num_inputs=counts.num_inputs,
        num_outputs=counts.num_outputs,
        num_weight_nodes=counts.num_weight_nodes,
        num_unreached_parameters=counts.num_unreached_parameters,
        counts=counts,
    )
    if input_size is None or isinstance(counts, GraphCounts):
        return own
    channels, *sides = larger_image(counts, input_size)
    true_value = None
    if isinstance(model, Network) and model.is_resizable:
        true_value = analyze(model.resized(sides), **options)
    return replace(
        own,
        num_inputs=channels * sides[0] * sides[1],
        input_size=(sides[0], sides[1]),
        true_value=true_value,
    )


def _check_graph(counts: GraphCounts) -> None:
    """Refuse counts that have nothing to analyse."""
    if counts.towards != "outputs":
        raise InvalidArgumentError(
            f"'{counts.name}' was counted with other paths; analysis needs those from "
            "parameters to outputs"
        )
    if not len(counts.spectrum()):
        raise NothingToCountError(
            f"graph '{counts.name}': no parameter leads to an output; say which nodes are "
            "parameters, and which are outputs"
        )


def as_model(
    model: Any, inputs: Any = None, semantics: Semantics | None = None
) -> Network | Graph | Counts | GraphCounts:
    """What can be counted, or was: read, built or imported if it is none of ours yet.

    Raises
    ------
    UnrolledError
        See `analyze`.
    """
    from unrolled.graph.graph import Graph
    from unrolled.network.network import Network

    if not isinstance(model, (Network, Graph, Counts, GraphCounts)):
        found = _read_or_imported(model, inputs, semantics)
        if found is not None:
            return found
        if isinstance(model, (str, os.PathLike)):
            from unrolled import models

            model = models.build(os.fspath(model))
    if inputs is not None or semantics is not None:
        raise InvalidArgumentError(
            f"inputs and semantics are for models that have to be imported, not for "
            f"{described(model)}"
        )
    if isinstance(model, (Network, Graph, Counts, GraphCounts)):
        return model
    raise InvalidArgumentError(
        "expected a Network, a Graph, counts, a file or a model of ONNX, Keras, PyTorch or JAX, "
        f"got {described(model)}"
    )


def _read_or_imported(
    model: Any, inputs: Any, semantics: Semantics | None
) -> Network | Graph | None:
    from unrolled.graph.readers import is_graph_file, read_graph
    from unrolled.importers import imported

    if isinstance(model, (str, os.PathLike)) and is_graph_file(str(model)):
        if inputs is None and semantics is None:
            return read_graph(str(Path(model)))
        return None
    return imported(model, inputs, semantics=semantics or "value")
