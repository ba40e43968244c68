"""Walks the nodes of an ONNX graph, its functions and its subgraphs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from unrolled._support.hints import shortened
from unrolled.errors import (
    InvalidModelError,
    InvalidNetworkError,
    UnrolledError,
    UnsupportedOperatorError,
)
from unrolled.importers.onnx.conditions import parts_of_masks
from unrolled.importers.onnx.folding import Folding
from unrolled.importers.onnx.frequencies import frequencies_of_positions
from unrolled.importers.onnx.inputs import Declared, is_optional, shape_in_file
from unrolled.importers.onnx.quantisation import all_nodes, packed_shapes, quantised_weights
from unrolled.importers.onnx.reader import (
    LARGEST_WEIGHT,
    Items,
    Node,
    Stored,
    check_location,
    first_elements,
    is_external,
    is_float,
    may_put_out,
    name_of,
    read_constant,
    shape_of_tensor,
    stored_values,
)
from unrolled.importers.onnx.rules import TABLE, WEIGHT_INPUTS
from unrolled.importers.onnx.views import is_varied, order_of_copy, rows_of
from unrolled.importers.onnx.waves import (
    has_name_of_operator,
    is_table_of_waves,
    may_be_folded,
    may_begin,
)
from unrolled.importers.rules import Unsupported, as_list
from unrolled.importers.tracing.budget import LARGEST_CONSTANT
from unrolled.importers.tracing.masking import LOW, puts_out
from unrolled.importers.tracing.tracer import Tracer
from unrolled.importers.tracing.values import Constant, Shape, Value, size_of

__all__ = ["Walk", "find_needed"]

DEEPEST = 32
"""Functions and subgraphs may be nested so deep."""

MOST_REPEATED = 50_000
"""Nodes of subgraphs and functions may run so often in all."""

MADE_UP = re.compile(
    r"/|onnx::|val_\d+$|_val_\d+$|const|ConstantFolding|.*(Const|Cast|_output_\d+$|:\d+$)", re.I
)
"""Names of values that exporters number or derive from operators, and modules never have."""

DEFAULT_DOMAINS = ("", "ai.onnx")


class Unreadable(NamedTuple):
    """Stands for what would have been computed by an operator without a rule for it."""

    operator: str
    node: str


NOTED = Unreadable("", "")
"""Stands for the result of an operator that the error will name."""


class UnreadableBodyError(Exception):
    """A subgraph computes something by an operator that will be named already."""


Scope = dict[str, Any]


class Walk:
    """One model being turned into a network.

    Attributes
    ----------
    operators : list of str
        Those of all nodes read.
    """

    def __init__(
        self,
        tracer: Tracer,
        model: Any,
        source: str,
        folder: Path | None,
        parameters: frozenset[str],
        constants: frozenset[str],
        names: Mapping[str, str],
        folding: Folding,
    ) -> None:
        self.tracer = tracer
        self._names = names
        self._folding = folding
        self.operators: list[str] = []
        self._repeated = 0
        self._model = model
        self._source = source
        self._folder = folder
        self._parameters = parameters
        self._constants = constants
        self._opsets = {entry.domain: int(entry.version) for entry in model.opset_import}
        self._functions = {_function_key(f, f.name): f for f in model.functions}
        self._unsupported = Unsupported("onnx")
        self._stored: dict[str, Stored] = {}
        self._tensors: dict[str, Any] = {}
        self._beginnings: dict[Any, list[str]] = {}
        self._in_masks: set[str] = set()
        self._frequencies: set[str] = set()
        self._inputs: dict[str, Value] = {}
        self._outputs: set[str] = set()
        self._plans: dict[int, tuple[Any, list[Any], dict[int, list[str]]]] = {}
        self._skipped: dict[str, str] = {}
        self._stated: dict[str, Shape] = {}

    def opset(self, domain: str) -> int:
        """The version of a domain's operators; the newest if the file does not say."""
        names = DEFAULT_DOMAINS if domain in DEFAULT_DOMAINS else (domain,)
        return next((self._opsets[one] for one in names if one in self._opsets), 1 << 30)

    def weight_inputs(self) -> frozenset[str]:
        """Inputs of the graph that are parameters: asked for, or only ever weights of layers."""
        inputs = {value.name for value in self._model.graph.input} - self._constants
        as_weights: set[str] = set()
        as_data: set[str] = set()
        for node in self._model.graph.node:
            places = WEIGHT_INPUTS.get(node.op_type, ())
            for position, name in enumerate(node.input):
                (as_weights if position in places else as_data).add(name)
        return frozenset(inputs & ((as_weights - as_data) | self._parameters))

    def run(self, inputs: Mapping[str, Declared]) -> None:
        """Read the whole graph; the network has its inputs, links and outputs afterwards."""
        graph = self._model.graph
        weights = self.weight_inputs()
        scope: Scope = {}
        self._store(graph, scope)
        stated = {value.name: shape_in_file(value) for value in graph.input}
        for name, (shape, array) in inputs.items():
            if array is not None:
                self._skipped[name] = "an input whose value was given"
                scope[name] = self.tracer.held(array, shape)
            elif name in weights:
                value = self.tracer.parameter(name, shape)
                self._stored[name] = scope[name] = Stored(Constant(shape), value)
            elif not size_of(shape):  # As a cache of keys and values may be.
                scope[name] = Constant(shape, np.zeros(shape, np.float32))
            else:
                scope[name] = self._inputs[name] = self.tracer.input(name, shape)
        for value in graph.input:
            if is_optional(value):
                self.tracer.notes[value.name] = "an optional input, read as one that is there"
        if all(stated.get(name) == list(shape) for name, (shape, _) in inputs.items()):
            for value in [*graph.value_info, *graph.output]:
                self._state(value)
        names = [value.name for value in graph.output]
        try:
            self._walk(graph, names, scope, 0, {})
        except InvalidModelError:
            self._unsupported.check(self._source)  # What has no rule is the more useful to know.
            raise
        outputs = [self._operand(scope, name, "the graph") for name in names]
        self._unsupported.check(self._source)
        if not outputs:
            raise InvalidModelError("the graph has no output")
        first: dict[str, str] = {}
        others = _other_names(graph)
        for name, output in zip(names, outputs, strict=True):
            same = first.setdefault(_first_name(others, name), name)
            if same != name or name in self._outputs:
                self._skipped[f"output '{name}'"] = f"the same as '{same}', which is one output"
            else:
                self.tracer.name = name
                self.tracer.output(*(output.operands if isinstance(output, Items) else [output]))
                self._outputs.add(name)

    def skipped(self) -> dict[str, str]:
        """Stored tensors and inputs that are no parameters of the network, and why."""
        unused = {
            name: "nothing that leads to an output is computed from it"
            for name, value in [*self._inputs.items(), *self._values()]
            if value.node.tensor is None
        }
        declared = {tensor.name for tensor in self.tracer.network.parameters}
        notes = {name: note for name, note in self.tracer.notes.items() if name not in declared}
        return self._skipped | unused | notes

    def stored_names(self) -> dict[str, str]:
        """What the file calls parameters of the network that have another name there."""
        return {
            value.node.name: name
            for name, value in self._values()
            if value.node.name != name and value.node.tensor is not None
        }

    def _values(self) -> list[tuple[str, Value]]:
        """The stored tensors that are parameters where something is computed from them."""
        stored = self._stored.items()
        return [(name, one.value) for name, one in stored if one.value is not None]

    def _store(self, graph: Any, scope: Scope) -> None:
        quantised, packed = quantised_weights(graph), packed_shapes(graph)
        if any(is_float(tensor.data_type) for tensor in graph.initializer):
            self._in_masks |= self._parts_of_masks(graph)
            floats = [one.name for one in graph.initializer if is_float(one.data_type)]
            self._frequencies |= frequencies_of_positions(graph, floats)
        self._tensors.update({tensor.name: tensor for tensor in graph.initializer})
        for tensor in graph.initializer:
            is_weight = is_float(tensor.data_type) or tensor.name in quantised
            stored = self._read_stored(tensor.name, tensor, is_weight, packed.get(tensor.name))
            if stored.value is not None and quantised.get(tensor.name, False):
                stored = replace(stored, value=replace(stored.value, awaits_scale=True))
            scope[tensor.name] = stored
        for sparse in graph.sparse_initializer:
            shape = shape_of_tensor(sparse.values.name, sparse)
            name = sparse.values.name
            value = self.tracer.parameter(self._names.get(name, name), shape)
            scope[name] = self._stored[name] = Stored(Constant(shape), value)

    def _read_stored(
        self, name: str, tensor: Any, is_parameter: bool, shape: Shape | None = None
    ) -> Stored:
        """A stored tensor; `shape` is that of the parameter it is, if it is stored in another."""
        check_location(name, tensor)
        is_weight = is_float(tensor.data_type) and name not in self._constants
        constant = self._constant(name, tensor, LARGEST_WEIGHT if is_weight else LARGEST_CONSTANT)
        source = self._folding.only_source(name)
        if name in self._constants:
            is_parameter, self._skipped[name] = False, "named as a constant"
        elif name in self._parameters:
            is_parameter = True
        elif is_weight and (view := self._read_view(name, tensor)) is not None:
            return view
        elif (
            is_parameter
            and constant.size == 1
            and constant.array is not None
            and MADE_UP.match(name)
            and source is None
        ):
            self._skipped[name] = "a single number under a name that an exporter made up"
            is_parameter = False
        elif is_parameter and constant.size == 1 and not is_float(tensor.data_type):
            self._skipped[name] = "a single number that was quantised"
            is_parameter = False
        elif is_parameter and (reason := self._reason_of_constant(name, tensor, constant)):
            self._skipped[name] = reason
            is_parameter, constant = False, self._constant(name, tensor, is_weight=False)
        if constant.size == 0:
            is_parameter = False
        if not is_parameter:
            return Stored(constant, None)
        known = self._stored.get(name)
        if known is None:
            own = self._names.get(name, name)
            values = partial(stored_values, tensor)
            value = self.tracer.parameter(own, shape or constant.shape, values=values)
            known = Stored(constant, value)
            self._stored[name] = known
        return known

    def _reason_of_constant(self, name: str, tensor: Any, constant: Constant) -> str:
        """Why a stored tensor is no weight, but positions or a mask; empty if it is one."""
        if name in self._folding.left_out:
            return "a buffer that the state dict leaves out"
        if self._folding.sources.get(name, name) == ():
            return "worked out by the exporter from no parameter"
        if name in self._frequencies:
            return "frequencies: only multiplied with positions, for sines and cosines"
        if name in self._in_masks:
            return "only a part of masks"
        if self._is_table_of_waves(name, tensor):
            return "sines or cosines of positions, which an optimiser worked out"
        if constant.array is None and self._may_put_out(name, tensor):
            constant = self._constant(name, tensor, is_weight=False)
        is_mask = constant.array is not None and puts_out(constant.array)
        return "a mask: all that it holds is zero or puts scores out" if is_mask else ""

    def _may_put_out(self, name: str, tensor: Any) -> bool:
        """Whether a large stored tensor begins as a mask would that is added to scores."""
        if not is_external(tensor):
            return may_put_out(tensor)
        if not may_be_folded(name) or size_of(tensor.dims) <= LARGEST_WEIGHT:
            return False
        budget = self.tracer.budget
        first = first_elements(name, tensor, self._folder, budget, LARGEST_WEIGHT).array
        return first is not None and bool(np.all((first == 0) | (first <= LOW)))

    def _is_table_of_waves(self, name: str, tensor: Any) -> bool:
        """Whether an optimiser has stored what a rotary or sinusoidal embedding makes of positions.

        A table that has the name of a module may be learnt, whatever it begins with.
        """
        if name in self._folding.sources or not may_be_folded(name):
            return False
        if not is_external(tensor):
            array = stored_values(tensor)
            return array is not None and is_table_of_waves(array)
        shape = [length for length in shape_of_tensor(name, tensor) if length > 1]
        if len(shape) < 2:
            return False
        row = size_of(shape[1:])
        first = first_elements(name, tensor, self._folder, self.tracer.budget, row).array
        if first is None and has_name_of_operator(name):
            self.tracer.notes[f"numbers of '{name}'"] = (
                "not at hand: should they be sines of positions, they are read as a parameter"
            )
        if first is None or not may_begin(first):
            return False
        array = self._constant(name, tensor, is_weight=False).array
        return array is not None and is_table_of_waves(array)

    def _read_view(self, name: str, tensor: Any) -> Stored | None:
        """A tensor that holds a parameter again, or rows of one; None if it holds its own numbers.

        What an exporter folded out of one parameter is that parameter: the same as where the file
        has it in another order, too, and otherwise those of its rows that were chosen beforehand.
        """
        known = self._stored.get(name)
        if known is not None and known.view is not None:
            return known
        source = self._folding.only_source(name)
        constant = Constant(shape_of_tensor(name, tensor))
        found = self._source_and_order(name, tensor, source)
        if found is not None:
            original, order = found
            known = self._read_stored(original, self._tensors[original], True)
            if known.value is not None and known.view is None:
                self._skipped[name] = f"the same parameter as '{original}'"
                value = known.value
                return Stored(constant, value, cache(partial(self.tracer.transpose, value, order)))
        if source is None or name in self._folding.moved:
            return None
        array = self._constant(name, tensor, is_weight=False).array
        rows = None if array is None else rows_of(array)
        if rows is None:
            return None
        own = self._names.get(name, name)
        value = self.tracer.parameter(own, rows.rows.shape, values=lambda: rows.rows)
        self._stored[name] = Stored(constant, value, cache(partial(rows.read, self.tracer, value)))
        return self._stored[name]

    def _source_and_order(
        self, name: str, tensor: Any, source: str | None
    ) -> tuple[str, tuple[int, ...]] | None:
        """The stored tensor that another one holds again, and the order of its axes there."""
        shape = tuple(tensor.dims)
        if source is not None and source in self._tensors:
            if name in self._folding.moved and shape[::-1] == tuple(self._tensors[source].dims):
                return source, tuple(range(len(shape)))[::-1]
            originals = [source]
        elif source is None and len(shape) == 2 and name in self._names:
            originals = self._beginning_alike(tensor, shape[::-1])
        else:
            return None
        for original in originals:
            array, copy = stored_values(self._tensors[original]), stored_values(tensor)
            if array is not None and copy is not None and is_varied(copy):
                order = order_of_copy(array, copy)
                if order is not None:
                    return original, order
        return None

    def _beginning_alike(self, tensor: Any, shape: Shape) -> list[str]:
        """Stored tensors under names of modules that have a shape, and begin as another one."""
        if not is_float(tensor.data_type) or is_external(tensor):
            return []
        if not self._beginnings:
            for one in self._tensors.values():
                if len(one.dims) == 2 and is_float(one.data_type) and one.name not in self._names:
                    key = tuple(one.dims), one.data_type, one.raw_data[:2]
                    self._beginnings.setdefault(key, []).append(one.name)
        key = shape, tensor.data_type, tensor.raw_data[:2]
        return self._beginnings.get(key, [])

    def _parts_of_masks(self, graph: Any) -> set[str]:
        """Stored tensors that are only ever part of a mask."""
        stored = [one.name for one in graph.initializer if is_float(one.data_type)]
        given = [(one.name, one) for one in graph.initializer if is_float(one.data_type)]
        for node in graph.node:
            if node.op_type == "Constant" and len(node.output) == 1:
                given += [(node.output[0], one.t) for one in node.attribute if one.name == "value"]
        numbers = {}
        for name, tensor in given:
            if size_of(tuple(tensor.dims)) == 1:
                number = self._constant(name, tensor).only_number()
                if number is not None:
                    numbers[name] = number
        return parts_of_masks(graph, stored, numbers)

    def _constant(
        self, name: str, tensor: Any, most: int = LARGEST_CONSTANT, *, is_weight: bool = True
    ) -> Constant:
        budget = self.tracer.budget
        if is_weight and MADE_UP.match(name) and size_of(tensor.dims) <= LARGEST_WEIGHT:
            is_weight = False  # As those that are in the file itself.
        return read_constant(name, tensor, self._folder, budget, most, is_weight=is_weight)

    def _state(self, value: Any) -> None:
        lengths = shape_in_file(value)
        if lengths is not None and all(isinstance(n, int) for n in lengths):
            shape = tuple([int(n) for n in lengths if n is not None])
            if self._stated.setdefault(value.name, shape) != shape:
                raise InvalidModelError(
                    f"the file says that '{shortened(value.name)}' has shape "
                    f"{self._stated[value.name]}, and also {shape}"
                )

    def _walk(
        self,
        graph: Any,
        outputs: Sequence[str],
        scope: Scope,
        depth: int,
        references: Mapping[str, Any],
    ) -> None:
        """Read nodes in their order; the scope has what they compute, while something reads it."""
        if id(graph) not in self._plans:  # A loop walks its body many times.
            needed = find_needed(graph.node, outputs)
            self._plans[id(graph)] = graph, needed, _last_readers(needed, outputs)
        _, nodes, done_with = self._plans[id(graph)]
        for position, proto in enumerate(nodes):
            self._repeated += depth > 0
            if self._repeated > MOST_REPEATED:
                raise InvalidModelError(
                    f"more than {MOST_REPEATED:,} nodes once loops are unrolled"
                )
            operator = _operator_of(proto)
            domain = operator.rpartition("::")[0]
            self.operators.append(operator)
            name = name_of(proto)
            inputs = [
                self._read(scope, one, name, operator) if one else None for one in proto.input
            ]
            function = self._functions.get(_function_key(proto, proto.op_type))
            if function is not None and operator not in TABLE:
                results = self._call(function, proto, name, inputs, depth, references)
            else:
                run_body = partial(self._body, scope=scope, depth=depth + 1, references=references)
                node = Node(
                    operator,
                    proto,
                    self.opset(domain),
                    inputs,
                    references,
                    self._constant,
                    run_body,
                )
                try:
                    results = self._results(node)
                except InvalidModelError:
                    if self._unsupported:
                        self._note_ruleless(nodes[position + 1 :])
                    raise
            extra = len(proto.output) - len(results)
            results += [Unreadable(operator, name) for _ in range(extra)]
            for output, result in zip(proto.output, results, strict=False):
                if output:
                    self._check(output, result, name)
                    scope[output] = result
            for other in done_with.get(position, ()):
                scope.pop(other, None)

    def _results(self, node: Node) -> list[Any]:
        """What a node's rule returns; a node without a rule is recorded for the error."""
        unreadable = [one for one in node.inputs if isinstance(one, Unreadable)]
        if unreadable:
            for one in unreadable:
                self._note(one)
            self._note_ruleless([node.proto])
            return [NOTED for _ in node.outputs]
        rule = TABLE.get(node.operator)
        self.tracer.name = next((name for name in node.outputs if name), node.name)
        try:
            if rule is not None:
                return as_list(rule(self.tracer, node))
            self._unsupported.add(node.operator, node.name)
        except UnreadableBodyError:
            pass
        except UnsupportedOperatorError as error:
            self._unsupported.add(node.operator, node.name, str(error))
        except (InvalidModelError, InvalidNetworkError) as error:
            raise InvalidModelError(_locate(node, str(error))) from error.__cause__
        except UnrolledError:
            raise
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            message = f"cannot be read: {error}"
            raise InvalidModelError(_locate(node, message)) from error
        return [NOTED for _ in node.outputs]

    def _call(
        self,
        function: Any,
        proto: Any,
        name: str,
        inputs: list[Any],
        depth: int,
        references: Mapping[str, Any],
    ) -> list[Any]:
        """The outputs of a function that the model defines."""
        if depth >= DEEPEST:
            raise InvalidModelError(f"node '{name}': functions are nested more than {DEEPEST} deep")
        given = {attribute.name: attribute for attribute in function.attribute_proto}
        for attribute in proto.attribute:
            referred = references.get(attribute.ref_attr_name, attribute)
            given[attribute.name] = referred if attribute.ref_attr_name else attribute
        scope: Scope = dict.fromkeys(function.input)
        scope.update(zip(function.input, inputs, strict=False))
        self._walk(function, function.output, scope, depth + 1, given)
        return [self._read(scope, output, name, proto.op_type) for output in function.output]

    def _body(
        self,
        graph: Any,
        inputs: Iterable[Any],
        *,
        scope: Scope,
        depth: int,
        references: Mapping[str, Any],
    ) -> list[Any]:
        """Run a subgraph once, within the scope around it; its outputs."""
        if depth > DEEPEST:
            raise InvalidModelError(f"subgraphs are nested more than {DEEPEST} deep")
        inner = dict(scope)
        self._store(graph, inner)
        names, inputs = [value.name for value in graph.input], list(inputs)
        if len(names) != len(inputs):
            raise InvalidModelError(
                f"a subgraph takes {len(names)} inputs, and is given {len(inputs)}"
            )
        inner.update(zip(names, inputs, strict=True))
        outputs = [value.name for value in graph.output]
        self._walk(graph, outputs, inner, depth, references)
        found = [self._operand(inner, name, "a subgraph") for name in outputs]
        if any(isinstance(one, Unreadable) for one in found):
            raise UnreadableBodyError
        return found

    def _operand(self, scope: Scope, name: str, reader: str) -> Any:
        """An output of a graph; it is recorded if no rule computes it."""
        found = self._read(scope, name, reader, "output")
        if isinstance(found, Unreadable):
            self._note(found)
        if found is None:
            raise InvalidModelError(
                f"output '{shortened(name)}' of {reader} is an optional value that is not there"
            )
        return found.operand if isinstance(found, Stored) else found

    def _read(self, scope: Scope, name: str, reader: str, operator: str) -> Any:
        if name not in scope:
            raise InvalidModelError(
                f"node '{shortened(reader)}' ({operator}) reads '{shortened(name)}', which nothing "
                "before it computes; the nodes form a cycle, are out of order, or one is missing"
            )
        return scope[name]

    def _note_ruleless(self, nodes: Iterable[Any]) -> None:
        """Note the nodes that cannot be read whatever they read, those of subgraphs as well."""
        for proto in all_nodes(nodes):
            operator = _operator_of(proto)
            is_function = _function_key(proto, proto.op_type) in self._functions
            if operator not in TABLE and not is_function:
                self._unsupported.add(operator, name_of(proto))

    def _note(self, unreadable: Unreadable) -> None:
        if unreadable is not NOTED:
            self._unsupported.add(
                unreadable.operator, unreadable.node, "only its first outputs have one"
            )

    def _check(self, output: str, result: Any, node: str) -> None:
        """Refuse a result whose shape is not what the file says: one of them is wrong."""
        stated = self._stated.get(output)
        found = result.shape if isinstance(result, (Value, Constant)) else stated
        if stated is not None and found != stated:
            raise InvalidModelError(
                f"node '{node}': '{shortened(output)}' comes out with shape {found}, but the "
                f"file says {stated}"
            )


def _locate(node: Node, message: str) -> str:
    """A message that names the node."""
    if f"'{node.name}'" in message:
        return message
    return f"node '{node.name}' ({shortened(node.operator)}): {message}"


def _operator_of(proto: Any) -> str:
    """The operator of a node, with its domain unless that is the standard one."""
    domain = "" if proto.domain in DEFAULT_DOMAINS else proto.domain
    return f"{domain}::{proto.op_type}" if domain else str(proto.op_type)


def _function_key(proto: Any, name: str) -> tuple[str, str, str]:
    """What a function and the nodes that call it have in common."""
    return proto.domain, name, getattr(proto, "overload", "")


def _other_names(graph: Any) -> dict[str, str]:
    """What Identity nodes call a tensor, and what it was called before."""
    nodes = [node for node in graph.node if node.op_type == "Identity" and not node.domain]
    return {node.output[0]: node.input[0] for node in nodes if node.output and node.input}


def _first_name(others: dict[str, str], name: str) -> str:
    """The name of a tensor before nodes that are nothing but another name for it."""
    passed = {name}
    while name in others and others[name] not in passed:
        name = others[name]
        passed.add(name)
    return name


def find_needed(nodes: Sequence[Any], outputs: Iterable[str]) -> list[Any]:
    """The nodes that lead to an output, in their order."""
    wanted = set(outputs)
    needed = []
    for node in reversed(nodes):
        if not wanted.isdisjoint(node.output):
            needed.append(node)
            wanted |= _read_by(node)
    return needed[::-1]


def _last_readers(nodes: Sequence[Any], outputs: Iterable[str]) -> dict[int, list[str]]:
    """The names that nothing reads after a node, by the position of that node."""
    last: dict[str, int] = {}
    for position, node in enumerate(nodes):
        for name in (*_read_by(node), *node.output):
            last[name] = position
    for name in outputs:
        last.pop(name, None)
    found: dict[int, list[str]] = {}
    for name, position in last.items():
        found.setdefault(position, []).append(name)
    return found


def _read_by(node: Any) -> set[str]:
    """The names that a node reads, in its subgraphs as well."""
    names: set[str] = set()
    waiting = [node]
    while waiting:
        one = waiting.pop()
        names.update(one.input)
        for attribute in one.attribute:
            graphs = [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]
            for graph in graphs:
                waiting += graph.node
                names.update([value.name for value in graph.output])
    return names
