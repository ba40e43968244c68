"""`resolve`: a network, a graph or counts of whatever was given as a model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from unrolled._support.arguments import Progress
from unrolled._support.hints import described
from unrolled.counting.counts import Counts
from unrolled.counting.graph_counts import GraphCounts
from unrolled.errors import InvalidArgumentError
from unrolled.graph.graph import Graph
from unrolled.graph.readers import SUFFIXES, is_graph_file, read_graph
from unrolled.importers.door import Door
from unrolled.importers.recognition import FILES, imported, is_model_file
from unrolled.network.builder import Semantics
from unrolled.network.network import Network

if TYPE_CHECKING:
    from unrolled.models.blocks import Padding

__all__ = ["Model", "resolve"]

Model: TypeAlias = Network | Graph | Counts | GraphCounts
"""What can be counted, or has been."""

RESOLVE = Door("resolve", {"inputs": "inputs", "values": "values"})


def resolve(
    model: Any,
    *,
    inputs: Any = None,
    values: Any = None,
    semantics: Semantics | None = None,
    operations: bool = False,
    size: int | Sequence[int] | None = None,
    padding: Padding | None = None,
    mmap: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
    door: Door = RESOLVE,
) -> Model:
    """Read, build, import or convert a model, unless it is one of ours already.

    Parameters
    ----------
    model
        A `Network`, `Graph`, `Counts` or `GraphCounts`, which are returned as they are; the name of
        a published model; the path of a file (``.onnx``, ``.keras``, ``.json`` of Keras, or a
        graph); an object of ONNX, Keras, PyTorch or JAX; a graph of NetworkX, SciPy, igraph or
        rustworkx; edges as an integer array of shape ``(2, edges)``, as a table of pandas, polars
        or pyarrow with the columns source, target and maybe multiplicity, or as a tuple of these
        columns.
    inputs, values, semantics
        For models that have to be imported; see `unrolled.importers.recognition.imported`.
    operations : bool
        Whether models that are imported or published keep functions and normalisers as tensors of
        their own, as following a signal needs them; counts are the same. A network that was
        imported without them is refused.
    size, padding
        For published models; see `unrolled.models.build`.
    mmap, threads
        For graphs: whether edges stay in their file, and how many threads build the graph.
    progress : callable, optional
        Called as ``progress(done, total)`` while a graph is read.
    door : Door, optional
        What the function that was called names these arguments, for errors.

    Raises
    ------
    InvalidArgumentError
        Something that is no model, or an option that is not for it.
    UnknownModelError
        A name that no published model has.
    UnrolledError
        Whatever the reader of a file or object raises.
    """
    found: Model | None
    options = _Options(inputs, values, semantics, size, padding, mmap, door)
    if isinstance(model, (Network, Graph, Counts, GraphCounts)):
        options.refuse_all_but((), model)
        if operations and isinstance(model, Network):
            model.check_read_with_functions()
        return model
    if isinstance(model, (str, os.PathLike)):
        return _resolve_name(os.fsdecode(model), options, operations, threads, progress)
    from unrolled.sources.foreign_graphs import convert_graph  # Files and names do not need it.

    found = convert_graph(model, threads=threads, progress=progress)
    if found is not None:
        options.refuse_all_but((), model)
        return found
    found = imported(
        model,
        inputs,
        values=values,
        semantics=semantics or "value",
        operations=operations,
        door=door,
    )
    if found is not None:
        options.refuse_all_but(("inputs", "values", "semantics"), model)
        return found
    raise InvalidArgumentError(
        "expected a Network, a Graph, counts, a file, a model of ONNX, Keras, PyTorch or JAX, a "
        "graph of NetworkX, SciPy, igraph or rustworkx, or edges as an array of shape (2, edges) "
        f"or a table; got {described(model)}"
    )


def _resolve_name(
    name: str,
    options: _Options,
    operations: bool,
    threads: int | None,
    progress: Progress | None,
) -> Network | Graph:
    if is_graph_file(name):
        options.refuse_all_but(("mmap",), f"the graph in {name}")
        return read_graph(name, mmap=options.mmap, threads=threads, progress=progress)
    if is_model_file(name):
        options.refuse_all_but(("inputs", "values", "semantics"), f"the model in {name}")
        network = imported(
            name,
            options.inputs,
            values=options.values,
            semantics=options.semantics or "value",
            operations=operations,
            door=options.door,
        )
        if network is not None:
            return network
    from unrolled import models  # Files do not need them.

    _refuse_other_file(name, models.names())
    options.refuse_all_but(("size", "padding"), f"the published model {name!r}")
    return models.build(
        name,
        size=options.size,
        padding=options.padding or "symmetric",
        activations=operations,
    )


def _refuse_other_file(name: str, published: Sequence[str]) -> None:
    """Tell a file of an unknown kind, or one that is not there, from a name that is unknown.

    Raises
    ------
    InvalidArgumentError
    """
    if name in published:
        return
    known = ", ".join((*SUFFIXES, *FILES))
    if os.path.lexists(name):
        kind = "is a folder" if os.path.isdir(name) else "is a file of an unknown kind"
        raise InvalidArgumentError(f"{name} {kind}; files of models and graphs end with {known}")
    if os.path.basename(name) != name:
        raise InvalidArgumentError(
            f"{name}: there is no such file; files of models and graphs end with {known}"
        )


class _Options:
    """The options of `resolve`, each of which suits some kinds of models."""

    def __init__(
        self,
        inputs: Any,
        values: Any,
        semantics: Semantics | None,
        size: int | Sequence[int] | None,
        padding: Padding | None,
        mmap: bool,
        door: Door,
    ) -> None:
        self.door = door
        self.inputs, self.values, self.semantics = inputs, values, semantics
        self.size, self.padding = size, padding
        self.mmap = mmap
        of_imports = inputs is not None or values is not None or semantics is not None
        self.any_given = of_imports or size is not None or padding is not None or mmap

    def refuse_all_but(self, suitable: Sequence[str], model: object) -> None:
        """Refuse options that would change nothing for a model, or for what a text says it is.

        Raises
        ------
        InvalidArgumentError
        """
        if not self.any_given:
            return
        given = {
            "inputs": self.inputs is not None,
            "values": self.values is not None,
            "semantics": self.semantics is not None,
            "size": self.size is not None,
            "padding": self.padding is not None,
            "mmap": self.mmap,
        }
        unsuitable = [name for name, is_given in given.items() if is_given and name not in suitable]
        if unsuitable:
            kinds = {
                "inputs": "models that have to be imported",
                "values": "models of ONNX",
                "semantics": "models that have to be imported",
                "size": "published models",
                "padding": "published models",
                "mmap": "graphs in .npz files",
            }
            named = " and ".join(map(self.door.term, unsuitable))
            shown = model if isinstance(model, str) else described(model)
            raise InvalidArgumentError(f"{named}: only for {kinds[unsuitable[0]]}, not for {shown}")
