"""ONNX files and models as networks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from unrolled._support.hints import did_you_mean, shortened
from unrolled.errors import InvalidArgumentError, InvalidModelError
from unrolled.importers.door import Door, reading
from unrolled.importers.onnx.folding import read_folding
from unrolled.importers.onnx.graph import Walk
from unrolled.importers.onnx.inputs import FROM_ONNX, declared_inputs
from unrolled.importers.onnx.naming import known_names
from unrolled.importers.onnx.reader import check_model, load_model, named_source
from unrolled.importers.onnx.rules import TABLE
from unrolled.importers.tracing.tracer import Tracer
from unrolled.network.builder import Semantics
from unrolled.network.network import Network
from unrolled.network.provenance import Provenance

__all__ = ["from_onnx", "operators", "read_onnx", "rule"]

rule = TABLE.rule


def operators() -> tuple[str, ...]:
    """The operators that have a rule, in alphabetical order.

    Examples
    --------
    >>> from unrolled.importers import onnx
    >>> "Conv" in onnx.operators()
    True
    """
    return tuple(TABLE)


def from_onnx(
    model: Any,
    input_shapes: Mapping[str, Sequence[int | None] | int] | Sequence[int | None] | None = None,
    *,
    values: Mapping[str, Any] | None = None,
    parameters: Collection[str] = (),
    constants: Collection[str] = (),
    name: str | None = None,
    semantics: Semantics = "value",
    operations: bool = False,
) -> Network:
    """Read an ONNX model as a network.

    Only the graph, the names, types and shapes of weights, and small integer tensors are read; a
    file whose weights are elsewhere needs none of them.

    Parameters
    ----------
    model : str, Path, bytes or onnx.ModelProto
        A file, its content, or a model in memory.
    input_shapes : dict of str to sequence of int or to int, or sequence of int, optional
        Shapes of inputs, batch axis included, where the file leaves lengths open, and lengths by
        the symbols that the file has for them: ``{"batch": 1, "sequence": 128}``. A symbol that the
        shape of one input fixes holds for the others. None in a shape is what the file says there.
        Of a model with one input, its shape alone will do.
    values : dict of str to int or array, optional
        Elements of integer inputs that are the same in every run, such as ``{"position": 5}``, so
        that numbers of steps, positions and conditions are known. One number is all elements.
    parameters, constants : collection of str
        Names of stored tensors, or inputs, that are parameters, or constants, whatever they seem.
        By default, floating-point initialisers are parameters, but for single numbers under a name
        that an exporter made up; of the inputs, those are that only weights of layers are
        expected from, such as the kernel of a convolution.
    name : str, optional
        Of the network; by default that of the file.
    semantics : {"value", "dependency"}
        Which edges normalisers have; see `Network`.
    operations : bool
        Keep functions of single elements and normalisers as tensors of their own, as `propagate`
        needs them. Counts are the same, lengths are not.

    Returns
    -------
    Network
        Parameters have the names of the initialisers. Where an exporter numbered those
        (``onnx::MatMul_4189``), they are named after the node that reads them, as in
        ``layers.0.attn.qkv.weight``; the network knows them by either name. `Network.provenance`
        says what was met, and has both names.

    Raises
    ------
    MissingPackageError
        The package onnx is not installed.
    InvalidModelError
        Not an ONNX file, a length that nothing fixes, shapes that do not fit, values that would
        be needed and are not known, or a size that is absurd.
    UnsupportedOperatorError
        Operators without a rule; all of them are named. See `rule`.
    InvalidArgumentError
        Arguments that do not fit the model.

    Examples
    --------
    >>> import unrolled
    >>> from onnx import TensorProto, helper
    >>> x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])
    >>> y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])
    >>> weight = helper.make_tensor("weight", TensorProto.FLOAT, [2, 3], [0.0] * 6)
    >>> node = helper.make_node("Gemm", ["x", "weight"], ["y"], transB=1)
    >>> model = helper.make_model(helper.make_graph([node], "dense", [x], [y], [weight]))
    >>> unrolled.from_onnx(model, {"x": (1, 3)})
    Network('dense', 6 parameters, 3 inputs, 2 outputs)
    """
    return read_onnx(
        model,
        input_shapes,
        values=values,
        parameters=parameters,
        constants=constants,
        name=name,
        semantics=semantics,
        operations=operations,
        door=FROM_ONNX,
    )


def read_onnx(
    model: Any,
    input_shapes: Any,
    *,
    values: Any = None,
    parameters: Collection[str] = (),
    constants: Collection[str] = (),
    name: str | None = None,
    semantics: Semantics = "value",
    operations: bool = False,
    door: Door,
) -> Network:
    """The same as `from_onnx`, for a model that came through another door."""
    source = named_source(model)
    with reading(source):
        proto, folder = load_model(model)
        graph = proto.graph
        if not graph.node and not graph.output:
            raise InvalidModelError("there is no graph in it")
        check_model(proto)
        network = Network(_name(model, graph) if name is None else name, semantics=semantics)
        tracer = Tracer(network, operations=operations)
        folding = read_folding(graph)
        names = known_names(graph, folding)
        stored = {known: name for name, known in names.items()}
        parameters, constants = (
            [stored.get(name, name) for name in given] for given in (parameters, constants)
        )
        walk = Walk(
            tracer,
            proto,
            source,
            folder,
            frozenset(parameters),
            frozenset(constants),
            names,
            folding,
        )
        shapes = declared_inputs(source, graph, input_shapes, walk.weight_inputs(), door, values)
        _check_names(source, graph, [*parameters, *constants])
        walk.run(shapes)
    provenance = Provenance(
        source,
        "onnx",
        f"IR {proto.ir_version}, opset {walk.opset('')}",
        semantics,
        {tensor.name: tensor.shape for tensor in network.inputs},
        dict(Counter(walk.operators)),
        {tensor.name: tensor.size for tensor in network.parameters},
        walk.skipped(),
        walk.stored_names(),
        operations=operations,
    )
    network.record_provenance(provenance)
    return network


def _name(model: Any, graph: Any) -> str:
    text = Path(model).stem if isinstance(model, (str, Path)) else str(graph.name)
    return "".join([letter for letter in text if letter.isprintable()]) or "model"


def _check_names(source: str, graph: Any, names: Sequence[str]) -> None:
    known = [tensor.name for tensor in graph.initializer]
    known += [tensor.values.name for tensor in graph.sparse_initializer]
    known += [value.name for value in graph.input]
    for name in names:
        if name not in known:
            raise InvalidArgumentError(
                f"{source}: there is no stored tensor or input '{shortened(str(name))}'"
                f"{did_you_mean(str(name), known)}"
            )
