"""Networks from PyTorch modules, through `torch.export`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from unrolled._support.hints import described
from unrolled._support.optional import import_optional
from unrolled.errors import InvalidArgumentError, InvalidModelError
from unrolled.importers.door import Door, reading
from unrolled.importers.rules import Rule
from unrolled.importers.torch import (  # noqa: F401 - these fill the table
    elementwise,
    movement,
    norms,
    products,
    windows,
)
from unrolled.importers.torch.calling import Returned, checked_outputs
from unrolled.importers.torch.graph import Reader
from unrolled.importers.torch.node import TABLE, Node
from unrolled.importers.torch.program import FROM_TORCH, Program, exported
from unrolled.importers.tracing.tracer import Tracer
from unrolled.importers.tracing.values import Value
from unrolled.network.builder import Semantics
from unrolled.network.network import Network
from unrolled.network.provenance import Provenance

__all__ = ["Node", "from_torch", "operators", "read_torch", "rule"]


def rule(*names: str, replace: bool = False) -> Callable[[Rule], Rule]:
    """Use a function as the rule of operators.

    Parameters
    ----------
    *names : str
        Such as "aten.relu" for all its overloads and its in-place form, "aten.max.dim" for one
        overload, or "my_library.my_operator".
    replace : bool
        Whether it takes the place of rules that the operators have. Without it such an operator is
        refused, but for a function that is defined again, as a cell of a notebook is.

    Returns
    -------
    callable
        A decorator for functions that take a `Tracer` and a `Node` and return an operand, or a list
        of them if the operator returns several tensors.

    Raises
    ------
    InvalidArgumentError
        No name, or an operator that has a rule.

    Examples
    --------
    >>> import unrolled.importers.torch
    >>> @unrolled.importers.torch.rule("my_library.swap")
    ... def swap(tracer, node):
    ...     return tracer.transpose(node["x"], (1, 0))
    >>> "my_library.swap" in unrolled.importers.torch.operators()
    True
    """
    return TABLE.rule(*names, replace=replace)


def operators() -> list[str]:
    """The operators that have a rule.

    Those that have none but that PyTorch itself makes of others are read as these.

    Examples
    --------
    >>> import unrolled.importers.torch
    >>> "aten.conv2d" in unrolled.importers.torch.operators()
    True
    """
    return list(TABLE)


def from_torch(
    module: Any,
    example_inputs: Any = None,
    *,
    kwargs: Mapping[str, Any] | None = None,
    outputs: Collection[str] = (),
    name: str | None = None,
    semantics: Semantics = "value",
    operations: bool = False,
    training: bool = False,
) -> Network:
    """The network of a PyTorch module.

    The module is exported by `torch.export`, as it is in evaluation: nothing is folded, batch norm
    keeps its four parameters a channel. Parameters have the names of the state dict. Floating-point
    buffers that are used, such as running statistics, are parameters that are not trainable, but
    for those that the state dict leaves out, that only become a condition, or that are masks; all
    other tensors are constants. Nothing is computed, and weights may be on the "meta" device.

    Models of transformers are read as they are: of what they return tensors count, and they keep no
    cache for a next call.

    Parameters
    ----------
    module : torch.nn.Module or torch.export.ExportedProgram
        Left as it is.
    example_inputs : torch.Tensor, tuple or dict, optional
        Positional arguments of a call, or all arguments by name; of tensors only shape and type
        matter, and they may be on the "meta" device. An exported program with static shapes needs
        none.
    kwargs : dict of str to Tensor, optional
        Arguments by name.
    outputs : collection of str
        Which of the tensors that the module returns are outputs; by default all of them. Their
        names are keys, fields and positions, joined by points: "logits", "0" or
        "hidden_states.2"; "hidden_states" stands for all of these.
    name : str, optional
        Of the network; by default that of the class.
    semantics : {"value", "dependency"}
        Which edges normalisers have; see `Network`.
    operations : bool
        Keep functions of single elements and normalisers as tensors of their own, as `propagate`
        needs them. Counts are the same, lengths are not.
    training : bool
        Whether to export as in training: batch norm then normalises by the statistics of its
        input, and running statistics are not parameters.

    Returns
    -------
    Network
        `Network.provenance` tells what was met and what was skipped.

    Raises
    ------
    InvalidArgumentError
        No module, inputs that are none, or names of outputs that are none.
    InvalidModelError
        `torch.export` cannot export the module, or shapes are not known.
    MissingPackageError
        PyTorch is not installed.
    UnsupportedOperatorError
        Operators without a rule, all of them named; see `rule`.

    Notes
    -----
    A mask that is constant takes edges away, whether it is added to scores, chooses between them
    and a constant (`where`, `masked_fill`), or is given to attention; one that is known only at run
    time does not.
    Operators that PyTorch itself makes of others are read as these if they have no rule.

    Examples
    --------
    >>> import torch
    >>> import unrolled
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.GELU())
    >>> unrolled.from_torch(model, torch.zeros(1, 8))
    Network('Sequential', 36 parameters, 8 inputs, 4 outputs)
    """
    return read_torch(
        module,
        example_inputs,
        kwargs=kwargs,
        outputs=outputs,
        name=name,
        semantics=semantics,
        operations=operations,
        training=training,
        door=FROM_TORCH,
    )


def read_torch(
    module: Any,
    example_inputs: Any = None,
    *,
    kwargs: Mapping[str, Any] | None = None,
    outputs: Collection[str] = (),
    name: str | None = None,
    semantics: Semantics = "value",
    operations: bool = False,
    training: bool = False,
    door: Door,
) -> Network:
    """The same as `from_torch`, for a module that came through another door."""
    import_optional("torch", "torch", "reading PyTorch modules")
    if kwargs is not None and not isinstance(kwargs, Mapping):
        raise InvalidArgumentError(f"kwargs must be a dict, got {described(kwargs)}")
    source = _source(module)
    with reading(source):
        returned = Returned(checked_outputs(outputs))
        program = exported(module, example_inputs, dict(kwargs or {}), training, returned, door)
        own = type(module).__name__ if name is None else name
        network = Network(own, semantics=semantics)
        return _built(program, source, network, operations, returned, door)


def _built(
    program: Any,
    source: str,
    network: Network,
    operations: bool,
    returned: Returned,
    door: Door,
) -> Network:
    torch = import_optional("torch", "torch")
    tracer = Tracer(network, operations=operations)
    reader = Reader(tracer)
    given = Program(program, tracer, door)
    outputs = reader.walk(program.graph_module, given.inputs)
    reader.unsupported.check(source)
    specs = program.graph_signature.output_specs
    nodes = program.graph.output_node().args[0]
    marked: dict[Any, int] = {}
    repeated: dict[str, str] = {}
    tracer.name = "output"
    found = zip(nodes, outputs, specs, strict=True)
    own = [(node, output) for node, output, spec in found if _is_output(spec)]
    if not returned.names:  # A program that was exported before has names of its own.
        names = [spec.arg.name for spec in specs if _is_output(spec)]
        kept = returned.chosen(names)
        own = [one for one, is_kept in zip(own, kept, strict=True) if is_kept]
    for number, (node, output) in enumerate(own):
        if not isinstance(output, Value):
            continue
        first = marked.setdefault(node, number)
        if first == number:
            tracer.output(output)
        else:
            repeated[f"output {number}"] = f"the same as output {first}, which is one output"
    if not marked:
        raise InvalidModelError("no output depends on an input or a parameter")
    provenance = Provenance(
        source,
        "torch",
        str(torch.__version__),
        network.semantics,
        given.shapes,
        dict(reader.operators),
        {tensor.name: tensor.size for tensor in network.parameters},
        returned.skipped | given.skipped() | tracer.notes | repeated,
        operations=operations,
    )
    network.record_provenance(provenance)
    return network


def _is_output(spec: Any) -> bool:
    return bool(spec.kind.name == "USER_OUTPUT")


def _source(module: Any) -> str:
    kind = type(module)
    return f"{kind.__module__}.{kind.__qualname__}"
