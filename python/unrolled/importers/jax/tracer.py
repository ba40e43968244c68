"""A tracer that remembers how tensors were made, for norms that JAX functions write out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from unrolled.importers.tracing.tracer import Tracer
from unrolled.importers.tracing.values import Constant, Node, Operand, Shape, Value

if TYPE_CHECKING:
    from unrolled.network.network import Network

__all__ = ["RememberingTracer"]


class RememberingTracer(Tracer):
    """A tracer for which the same reshape is the same tensor, and one undone is none.

    A group norm takes its statistics from a reshape of the tensor that it normalises. A batch norm
    is also recognised where it is multiplied out, as Keras does: ``x * s + (shift - mean * s)``.

    Attributes
    ----------
    origins : dict of Node to Value
        Reshaped tensors, and what they were before.
    columns : dict of Node to sequence of Operand
        Tensors that were put together of columns, and these.
    """

    def __init__(self, network: Network, *, operations: bool = False) -> None:
        super().__init__(network, operations=operations)
        self.origins: dict[Node, Value] = {}
        self.columns: dict[Node, Sequence[Operand]] = {}
        self._reshapes: dict[tuple[Node, Shape], Value] = {}
        self._sums: dict[Node, Sequence[Operand]] = {}
        self._products: dict[Node, Sequence[Operand]] = {}
        self._of_weights: set[Node] = set()

    def parameter(
        self,
        name: str,
        shape: Shape,
        *,
        trainable: bool = True,
        values: Callable[[], Any] | None = None,
    ) -> Value:
        """Declare a parameter of the model."""
        value = super().parameter(name, shape, trainable=trainable, values=values)
        self._of_weights.add(value.node)
        return value

    def reshape(self, x: Operand, shape: Sequence[int]) -> Operand:
        """Another shape in row-major order."""
        shape = tuple(shape)
        if isinstance(x, Constant) or x.shape == shape or x.node.is_statistic or x.axes is not None:
            return super().reshape(x, shape)
        origin = self.origins.get(x.node, x)
        if origin.shape == shape:
            return replace(origin, sign="", mapped=True)
        key = origin.node, shape
        if key not in self._reshapes:
            result = super().reshape(origin, shape)
            assert isinstance(result, Value)
            self._reshapes[key] = result
            self.origins.setdefault(result.node, origin)
            if origin.node in self._of_weights:
                self._of_weights.add(result.node)
        known = self._reshapes[key]
        return known if x.fill is None else super().reshape(x, shape)

    def add(self, *operands: Operand) -> Operand:
        """Sum of tensors after broadcasting."""
        first = self.network.num_tensors
        for x, scale, mean, shift in self._batch_norms(operands):
            result = super().add(super().multiply(super().add(x, mean), scale), *shift)
            break
        else:
            result = super().add(*operands)
        return self._note(result, operands, self._sums, first)

    def multiply(self, *operands: Operand) -> Operand:
        """Product of tensors after broadcasting."""
        first = self.network.num_tensors
        return self._note(super().multiply(*operands), operands, self._products, first)

    def _note(
        self,
        result: Operand,
        operands: Sequence[Operand],
        made: dict[Node, Sequence[Operand]],
        first: int,
    ) -> Operand:
        """Remember what a result was made of if it is a tensor from number `first` on."""
        tensor = result.node.tensor if isinstance(result, Value) else None
        if isinstance(result, Value) and tensor is not None and tensor.id >= first:
            made[result.node] = operands
            if all(isinstance(x, Constant) or self._is_weight(x) for x in operands):
                self._of_weights.add(result.node)
        return result

    def _is_weight(self, x: Operand) -> bool:
        """Whether it is computed from parameters alone."""
        return isinstance(x, Value) and x.node in self._of_weights

    def _batch_norms(
        self, operands: Sequence[Operand]
    ) -> Iterator[tuple[Operand, Operand, Operand, Sequence[Operand]]]:
        """What is normalised, its scale, minus its mean, and its shift if there is one."""
        if len(operands) != 2:
            return
        for scaled, rest in (operands, operands[::-1]):
            for x, scale in self._factors(scaled):
                weights = self._is_weight(scale) and self._is_weight(rest)
                if not weights or isinstance(x, Constant) or self._is_weight(x):
                    continue
                for part, *shift in [(rest,), *self._parts(self._sums, rest)]:
                    for mean, other in self._factors(part):
                        if _node(other) is _node(scale) and self._is_weight(mean):
                            yield x, scale, mean, shift

    def _factors(self, x: Operand) -> list[tuple[Operand, ...]]:
        return self._parts(self._products, x)

    def _parts(self, made: dict[Node, Sequence[Operand]], x: Operand) -> list[tuple[Operand, ...]]:
        """The two terms or factors that a tensor was made of, in either order."""
        node = _node(x)
        parts = tuple(made.get(node, ())) if node is not None else ()
        return [parts, parts[::-1]] if len(parts) == 2 else []


def _node(x: Operand) -> Node | None:
    return x.node if isinstance(x, Value) else None
