"""Reads the graph of an exported PyTorch program, node by node."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from unrolled._support.optional import import_optional
from unrolled.errors import InvalidModelError, UnsupportedOperatorError
from unrolled.importers.rules import Unsupported, as_list
from unrolled.importers.torch.fx import (
    are_conditions,
    bound_arguments,
    decomposition,
    layer_name,
    local_response_size,
    shapes_of,
    written_node,
)
from unrolled.importers.torch.node import TABLE, Node, tensor_of
from unrolled.importers.tracing.budget import LARGEST_CONSTANT
from unrolled.importers.tracing.tracer import Tracer
from unrolled.importers.tracing.values import Constant, Shape, Value

__all__ = ["Reader", "constant_of"]

DEEPEST_DECOMPOSITION = 8
"""Operators are decomposed into others at most so many times, one inside the other."""

INLINED = {
    "wrap_with_set_grad_enabled": 1,
    "wrap_with_autocast": 4,
    "wrap": 0,
    "hints_wrapper": 0,
    "invoke_subgraph": 0,
    "tag_activation_checkpoint": 0,
}
"""Operators that run a graph, which is the argument of that number."""

MISSING = object()
"""Stands for what an operator without a rule would return."""


class Reader:
    """Walks a graph and its subgraphs.

    Attributes
    ----------
    operators : Counter
        Met so far.
    unsupported : Unsupported
    """

    def __init__(self, tracer: Tracer) -> None:
        self.tracer = tracer
        self.operators: Counter[str] = Counter()
        self.unsupported = Unsupported("torch")
        self._torch = import_optional("torch", "torch")
        self._depth = 0

    def walk(self, module: Any, inputs: Sequence[Any]) -> list[Any]:
        """Read a graph.

        Parameters
        ----------
        module : torch.fx.GraphModule
        inputs : sequence
            For each placeholder an operand or a plain value.

        Returns
        -------
        list
            What the graph returns.
        """
        known: dict[Any, Any] = {}
        owners: dict[Any, Any] = {}  # The owners of nodes that were written in place.
        waiting = iter(inputs)

        def look_up(node: Any) -> Any:
            return known[owners.get(node, node)]

        for node in module.graph.nodes:
            if node.op == "placeholder":
                known[node] = next(waiting)
            elif node.op == "get_attr":
                known[node] = self._attribute(module, node.target)
            elif node.op == "output":
                returned = node.args[0]
                single = isinstance(returned, self._torch.fx.Node) or returned is None
                return [self._replace(one, look_up) for one in ([returned] if single else returned)]
            else:
                known[node] = self._call(node, look_up)
                written = written_node(node)
                if written is not None:
                    owner = owners.get(written, written)
                    owners[node] = owner
                    known[owner] = known[node]
        return []

    def _attribute(self, module: Any, path: str) -> Any:
        found = module
        for name in path.split("."):
            found = getattr(found, name)
        if isinstance(found, self._torch.Tensor):
            return constant_of(found)
        return found

    def _replace(self, given: Any, look_up: Callable[[Any], Any]) -> Any:
        """Arguments with nodes replaced by what is known of them."""
        if isinstance(given, self._torch.fx.Node):
            return look_up(given)
        if isinstance(given, (list, tuple)):
            return [self._replace(one, look_up) for one in given]
        return given

    def _call(self, node: Any, look_up: Callable[[Any], Any]) -> Any:
        target = node.target
        args = [self._replace(one, look_up) for one in node.args]
        kwargs = {name: self._replace(one, look_up) for name, one in node.kwargs.items()}
        if _has_missing([*args, *kwargs.values()]):
            return MISSING
        if target is operator.getitem:
            return args[0][args[1]]
        if isinstance(target, self._torch._ops.OpOverload):
            return self._operator(node, args, kwargs)
        if isinstance(target, self._torch._ops.HigherOrderOperator):
            return self._graph_operator(node, args, kwargs)
        name = getattr(target, "__name__", str(target))
        if any(isinstance(one, (Value, Constant)) for one in [*args, *kwargs.values()]):
            self.unsupported.add(name, node.name)
            return MISSING
        return target(*args, **kwargs)

    def _operator(self, node: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        target = node.target
        name = target._schema.name.replace("::", ".")
        if not target._schema.returns:  # An assertion, or the like.
            return None
        self.operators[name] += 1
        self.tracer.name = layer_name(node, name.partition(".")[2].rstrip("_"))
        shapes = shapes_of(node, self._torch)
        arguments = bound_arguments(target._schema.arguments, args, kwargs)
        if (folded := self._fold(node, arguments, shapes)) is not None:
            return folded
        if shapes and all(0 in shape for shape in shapes):
            return _as_returned(node, [Constant(shape) for shape in shapes])
        if name == "aten.div" and (size := local_response_size(node)) is not None:
            name, arguments = "aten.local_response_norm", {"input": args[0], "size": size}
        rule = _rule(name, target)
        if rule is None:
            return self._decompose(node, name, args, kwargs)
        conditions = partial(are_conditions, node, torch=self._torch)
        call = Node(node.name, name, target, arguments, shapes, conditions)
        try:
            results = as_list(rule(self.tracer, call))
        except UnsupportedOperatorError as error:
            self.unsupported.add(name, node.name, str(error))
            return MISSING
        found = [result.shape for result in results]
        if found != shapes:
            raise InvalidModelError(
                f"{node.name}: the rule of {name} returned shapes {found}, and PyTorch {shapes}"
            )
        return _as_returned(node, results)

    def _fold(self, node: Any, arguments: Mapping[str, Any], shapes: list[Shape]) -> Any:
        """The result of an operator all whose tensors are constants; None if it has others."""
        given: list[Any] = []
        for one in arguments.values():
            given += one if isinstance(one, list) else [one]
        if any(isinstance(one, Value) for one in given):
            return None
        unknown = any(isinstance(one, Constant) and one.array is None for one in given)
        tags = node.target.tags
        size = sum([int(np.prod(shape, dtype=object)) for shape in shapes])
        large = size > LARGEST_CONSTANT
        if not unknown and not large and self._torch.Tag.nondeterministic_seeded not in tags:
            self.tracer.budget.work(node.name, size)
            call = Node(node.name, "", node.target, arguments, shapes)
            try:
                result = call.run(self._real)
            except (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError):
                result = None  # Then only the shape of the result is known.
            if result is not None:
                return _constants(result, self._torch)
        return _as_returned(node, [Constant(shape) for shape in shapes])

    def _real(self, name: str, given: Any) -> Any:
        if isinstance(given, Constant):
            return None if given.array is None else tensor_of(given.array)
        return "cpu" if name == "device" and given is not None else given

    def _decompose(self, node: Any, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """An operator without a rule, read as the operators that PyTorch makes it of."""
        graph = None
        if self._depth < DEEPEST_DECOMPOSITION:
            graph = decomposition(node, self._torch)
        if graph is None:
            self.unsupported.add(name, node.name)
            return MISSING
        tensors: list[Any] = []
        for one in [*args, *kwargs.values()]:
            tensors += _tensors(one)
        outer, self.unsupported = self.unsupported, Unsupported("torch")
        self._depth += 1
        try:
            result = _as_returned(node, self.walk(graph, tensors))
        finally:
            inner, self.unsupported = self.unsupported, outer
            self._depth -= 1
        if inner:
            self.unsupported.add(
                name, node.name, f"made of {', '.join(inner)}, which cannot be read"
            )
            return MISSING
        return result

    def _graph_operator(self, node: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """An operator that runs graphs, if it is known which."""
        name = node.target.name()
        self.operators[name] += 1
        if name in INLINED:
            at = INLINED[name]
            operands = args[at + 1 :]
            if name == "invoke_subgraph":
                operands = operands[1:]
            if name == "hints_wrapper":
                operands = args[1]
            return self.walk(args[at], operands)
        if name == "cond" and isinstance(args[0], (bool, Constant)):
            held = args[0].array if isinstance(args[0], Constant) else np.asarray(args[0])
            if held is not None:
                return self.walk(args[1] if bool(held) else args[2], args[3])
        reason = "what it runs depends on values at run time" if name == "cond" else ""
        self.unsupported.add(name, node.name, reason)
        return MISSING


def constant_of(tensor: Any) -> Constant:
    """A constant with the elements of a tensor, if it has any and they are not too many."""
    return Constant(tuple(tensor.shape), array_of(tensor))


def array_of(tensor: Any) -> Any:
    """The elements of a tensor; None if there are none, or too many."""
    torch = import_optional("torch", "torch")
    fake = torch._subclasses.fake_tensor.FakeTensor
    if tensor.is_meta or isinstance(tensor, fake) or tensor.numel() > LARGEST_CONSTANT:
        return None
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    return tensor.detach().cpu().resolve_conj().resolve_neg().numpy()


def _rule(name: str, target: Any) -> Callable[..., Any] | None:
    for one in (f"{name}.{target._overloadname}", name):
        if (rule := TABLE.get(one)) is not None:
            return rule
    is_in_place = name.endswith("_") and not name.endswith("__")
    return TABLE.get(name[:-1]) if is_in_place and target._schema.is_mutable else None


def _as_returned(node: Any, results: list[Any]) -> Any:
    """A single result or a list, as the node has it."""
    is_list = isinstance(node.meta.get("val"), (list, tuple))
    return results if is_list else results[0] if results else MISSING


def _constants(result: Any, torch: Any) -> Any:
    if isinstance(result, (list, tuple)):
        return [_constants(one, torch) for one in result]
    return constant_of(result) if isinstance(result, torch.Tensor) else result


def _has_missing(given: Any) -> bool:
    if isinstance(given, list):
        return any(_has_missing(one) for one in given)
    return given is MISSING


def _tensors(given: Any) -> list[Any]:
    if isinstance(given, (Value, Constant)):
        return [given]
    if isinstance(given, list):
        return [tensor for one in given for tensor in _tensors(one)]
    return []
