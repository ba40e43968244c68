"""`GraphWriter`: the nodes and constants of an ONNX graph, and names that nothing else has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from unrolled._support.optional import import_optional

__all__ = ["GraphWriter"]


class GraphWriter:
    """Collects nodes in the order of computation.

    Parameters
    ----------
    names : iterable of str
        Names that tensors of the network have, which no other value may get.
    batch : int
        The length of the first axis of every activation.
    """

    def __init__(self, names: Iterable[str], batch: int) -> None:
        self.batch = batch
        self.nodes: list[Any] = []
        self._helper = import_optional("onnx.helper", "onnx", "to_onnx")
        self._numpy_helper = import_optional("onnx.numpy_helper", "onnx", "to_onnx")
        self._taken = set(names)
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def node(
        self,
        operator: str,
        inputs: Sequence[str],
        output: str | None = None,
        *,
        near: str = "",
        **attributes: Any,
    ) -> str:
        """Add a node, and return the name of what it computes.

        Parameters
        ----------
        operator : str
        inputs : sequence of str
            An input that is left out is the empty string.
        output : str, optional
            The name of its output; by default a free one that begins with `near`.
        near : str
            The tensor of the network for the sake of which the node is there.
        **attributes
            Of the node.
        """
        name = output if output is not None else self._free(f"{near}/{operator.lower()}")
        made = self._helper.make_node(operator, list(inputs), [name], name=name, **attributes)
        self.nodes.append(made)
        return name

    def rename_last(self, output: str) -> str:
        """Give what the last node computes the name of a tensor, and return it."""
        last = self.nodes[-1]
        last.name = last.output[0] = output
        return output

    def constant(self, value: npt.ArrayLike, *, kind: type[np.generic] = np.float32) -> str:
        """The name of a constant, which is no parameter; equal ones are written once."""
        array = np.asarray(value, dtype=kind)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            name = self._free("constant")
            tensor = self._numpy_helper.from_array(array, name)
            self.nodes.append(self._helper.make_node("Constant", [], [name], value=tensor))
            self._constants[key] = name
        return self._constants[key]

    def integers(self, values: Iterable[int]) -> str:
        """The name of a constant list of integers, such as a shape."""
        return self.constant(list(values), kind=np.int64)

    def _free(self, wanted: str) -> str:
        name, number = wanted, 1
        while name in self._taken:
            number += 1
            name = f"{wanted}_{number}"
        self._taken.add(name)
        return name
