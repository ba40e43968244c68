"""An independent counter for ONNX models: each operator in its linear counting form.

Contexts are linear in what is counted, so a model is run forwards on numbers that stand for "paths
from the parameters, weighted": every weight of a parameter gets a random integer, products become
sums of their factors, functions of one tensor the identity, and what comes out, added up, is the
sum of the weights times their contexts. Operators that only move or add are run by
`onnx.reference` as they are. Nothing of the importer is used here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

SHAPES = ("Shape", "Size", "EyeLike", "RandomNormalLike", "RandomUniformLike")
"""Operators that read the shape of a tensor only: what they compute is constant."""

LARGEST_EXACT = 1 << 52


class Pair(NamedTuple):
    """A tensor: its numbers, and its weighted counts; no counts if it is constant."""

    real: Any
    count: Any


@dataclass
class Call:
    """A node with what it reads."""

    node: NodeProto
    opset: int
    pairs: list[Pair | None]
    semantics: str

    def attribute(self, name: str, default: Any = None) -> Any:
        for attribute in self.node.attribute:
            if attribute.name == name:
                value = helper.get_attribute_value(attribute)
                return value.decode() if isinstance(value, bytes) else value
        return default

    def real(self, position: int) -> Any:
        pair = self.pairs[position] if position < len(self.pairs) else None
        return None if pair is None else pair.real

    def shape(self, position: int) -> tuple[int, ...]:
        return np.shape(self.real(position))

    def count(self, position: int) -> Any:
        """Weighted counts, zero for a constant; None for an input that is left out."""
        pair = self.pairs[position] if position < len(self.pairs) else None
        if pair is None:
            return None
        return np.zeros(np.shape(pair.real)) if pair.count is None else pair.count

    def counts(self) -> list[Any]:
        return [self.count(at) for at, pair in enumerate(self.pairs) if pair is not None]

    def integers(self, position: int, attribute: str, default: Any = None) -> Any:
        """Constant integers of an input, or of an attribute in older versions."""
        given = self.real(position)
        return self.attribute(attribute, default) if given is None else list(np.ravel(given))

    def run(self, arrays: Sequence[Any], **attributes: Any) -> list[Any]:
        """Run the node's own operator on other numbers."""
        changed = NodeProto()
        changed.CopyFrom(self.node)
        for name, value in attributes.items():
            kept = [one for one in changed.attribute if one.name != name]
            del changed.attribute[:]
            changed.attribute.extend([*kept, helper.make_attribute(name, value)])
        return evaluate(changed, self.opset, arrays)


RULES: dict[str, Callable[[Call], Any]] = {}
"""Counts of the outputs of operators, filled by `onnx_counting_rules`."""

REALS: dict[str, Callable[[Call], Any]] = {}
"""Numbers of operators that the reference evaluator does not have."""


def evaluate(proto: NodeProto, opset: int, arrays: Sequence[Any]) -> list[Any]:
    """The outputs of one node."""
    renamed = NodeProto()
    renamed.CopyFrom(proto)
    del renamed.input[:], renamed.output[:]
    renamed.input.extend("" if a is None else f"i{at}" for at, a in enumerate(arrays))
    renamed.output.extend(f"o{at}" if name else "" for at, name in enumerate(proto.output))
    feeds = {f"i{at}": array for at, array in enumerate(arrays) if array is not None}
    graph = helper.make_graph(
        [renamed],
        "node",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in feeds],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in renamed.output if n],
    )
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    with np.errstate(all="ignore"):  # The numbers do not matter.
        found = iter(ReferenceEvaluator(built).run(None, feeds))
    return [next(found) if name else None for name in proto.output]


class Counter:
    """Runs a model on pairs.

    Parameters
    ----------
    model : ModelProto
    counts : dict of str to array
        Weighted counts of the parameters, by name.
    semantics : str
    """

    def __init__(
        self, model: ModelProto, counts: Mapping[str, Any], semantics: str = "value"
    ) -> None:
        self.counts = counts
        self.semantics = semantics
        self.opset = next(one.version for one in model.opset_import if one.domain == "")
        self.functions = {(one.domain, one.name): one for one in model.functions}
        self.scope: dict[str, Pair | None] = {}
        stored = {tensor.name for tensor in model.graph.initializer}
        for value in model.graph.input:
            if value.name not in stored:
                shape = [length.dim_value for length in value.type.tensor_type.shape.dim]
                numbers = np.random.default_rng(1).uniform(0.5, 1.5, shape).astype(np.float32)
                zeros = np.zeros(shape)
                self.scope[value.name] = Pair(numbers, counts.get(value.name, zeros))
        self.store(model.graph, self.scope)
        self.walk(model.graph.node, self.scope)
        again = {one.output[0]: one.input[0] for one in model.graph.node if is_identity(one)}
        names = [value.name for value in model.graph.output]
        while set(names) & set(again):
            names = [again.get(name, name) for name in names]
        self.outputs = [self.scope[name] for name in dict.fromkeys(names)]  # Twice is once.

    def total(self) -> int:
        """Sum over parameters of weight times contexts."""
        found = sum(np.sum(pair.count) for pair in self.outputs if pair and pair.count is not None)
        assert 0 <= found < LARGEST_EXACT
        return int(found)

    def store(self, graph: Any, scope: dict[str, Pair | None]) -> None:
        for tensor in graph.initializer:
            scope[tensor.name] = Pair(numpy_helper.to_array(tensor), self.counts.get(tensor.name))

    def walk(self, nodes: Sequence[NodeProto], scope: dict[str, Pair | None]) -> None:
        for proto in nodes:
            pairs = [scope[name] if name else None for name in proto.input]
            function = self.functions.get((proto.domain, proto.op_type))
            if function is not None:
                results = self.called(function, proto, pairs)
            elif proto.op_type in ("If", "Loop", "Scan"):
                call = Call(proto, self.opset, pairs, self.semantics)
                results = getattr(self, proto.op_type.lower())(call, scope)
            else:
                results = self.results(Call(proto, self.opset, pairs, self.semantics))
            for name, result in zip(proto.output, results, strict=False):
                if name in self.counts and result is not None:  # Weights that the model makes.
                    result = Pair(result.real, self.counts[name])
                if name:
                    scope[name] = result

    def results(self, call: Call) -> list[Pair]:
        operator = call.node.op_type
        if operator in REALS:
            reals = as_list(REALS[operator](call))
        else:
            arrays = [None if pair is None else pair.real for pair in call.pairs]
            reals = evaluate(call.node, call.opset, arrays)
        if operator in SHAPES or all(pair is None or pair.count is None for pair in call.pairs):
            return [Pair(real, None) for real in reals]
        counts = as_list(RULES[operator](call))
        for real, count in zip(reals, counts, strict=False):
            assert real is None or count is None or np.shape(real) == np.shape(count), (
                operator,
                np.shape(count),
            )
        return [Pair(real, count) for real, count in zip(reals, counts, strict=False)]

    def called(self, function: Any, proto: NodeProto, pairs: list[Any]) -> list[Any]:
        given = {one.name: one for one in [*function.attribute_proto, *proto.attribute]}
        scope: dict[str, Pair | None] = dict.fromkeys(function.input)
        scope.update(zip(function.input, pairs, strict=False))
        self.walk([with_attributes(node, given) for node in function.node], scope)
        return [scope[name] for name in function.output]

    def body(self, graph: Any, given: Sequence[Any], scope: Any) -> list[Any]:
        inner = dict(scope)
        self.store(graph, inner)
        inner.update(zip([value.name for value in graph.input], given, strict=True))
        self.walk(graph.node, inner)
        return [inner[value.name] for value in graph.output]

    def if_(self, call: Call, scope: Any) -> list[Any]:
        chosen = "then_branch" if np.ravel(call.real(0))[0] else "else_branch"
        return self.body(call.attribute(chosen), [], scope)

    def loop(self, call: Call, scope: Any) -> list[Any]:
        graph, state, stacked = call.attribute("body"), call.pairs[2:], []
        limit = np.inf if call.real(0) is None else int(np.ravel(call.real(0))[0])
        holds = call.real(1) is None or bool(np.ravel(call.real(1))[0])
        step = 0
        while holds and step < limit:
            given = [Pair(np.array(step), None), Pair(np.array(True), None), *state]
            condition, *found = self.body(graph, given, scope)
            holds = bool(np.ravel(condition.real)[0])
            state, more = found[: len(state)], found[len(state) :]
            stacked.append(more)
            step += 1
        return [*state, *[stack(parts, 0) for parts in zip(*stacked, strict=True)]]

    def scan(self, call: Call, scope: Any) -> list[Any]:
        graph, number = call.attribute("body"), call.attribute("num_scan_inputs")
        state: list[Any] = call.pairs[: len(call.pairs) - number]
        sequences = call.pairs[len(state) :]
        axes = call.attribute("scan_input_axes", [0] * number)
        back = call.attribute("scan_input_directions", [0] * number)
        length = np.shape(sequences[0].real)[axes[0]]  # type: ignore[union-attr]
        stacked = []
        for step in range(length):
            parts = [
                take(one, length - 1 - step if b else step, axis)
                for one, axis, b in zip(sequences, axes, back, strict=True)
            ]
            found = self.body(graph, [*state, *parts], scope)
            state, more = found[: len(state)], found[len(state) :]
            stacked.append(more)
        columns = list(zip(*stacked, strict=True))
        out_axes = call.attribute("scan_output_axes", [0] * len(columns))
        out_back = call.attribute("scan_output_directions", [0] * len(columns))
        return state + [
            stack(parts[::-1] if b else parts, axis)
            for parts, axis, b in zip(columns, out_axes, out_back, strict=True)
        ]


def is_identity(node: NodeProto) -> bool:
    return node.op_type == "Identity" and not node.domain


setattr(Counter, "if", Counter.if_)


def with_attributes(proto: NodeProto, given: Mapping[str, AttributeProto]) -> NodeProto:
    """A node of a function with the attributes that it refers to."""
    changed = NodeProto()
    changed.CopyFrom(proto)
    del changed.attribute[:]
    for attribute in proto.attribute:
        if attribute.ref_attr_name and attribute.ref_attr_name not in given:
            continue
        source = given[attribute.ref_attr_name] if attribute.ref_attr_name else attribute
        copy = changed.attribute.add()
        copy.CopyFrom(source)
        copy.name = attribute.name
        if copy.HasField("g"):
            nodes = [with_attributes(node, given) for node in copy.g.node]
            del copy.g.node[:]
            copy.g.node.extend(nodes)
    return changed


def take(pair: Any, at: int, axis: int) -> Pair:
    count = None if pair.count is None else np.take(pair.count, at, axis)
    return Pair(np.take(pair.real, at, axis), count)


def stack(pairs: Sequence[Any], axis: int) -> Pair:
    real = np.stack([pair.real for pair in pairs], axis)
    if all(pair.count is None for pair in pairs):
        return Pair(real, None)
    counts = [np.zeros(np.shape(p.real)) if p.count is None else p.count for p in pairs]
    return Pair(real, np.stack(counts, axis))


def as_list(found: Any) -> list[Any]:
    return list(found) if isinstance(found, (list, tuple)) else [found]
