"""Where a network comes from, and what was made of it on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from unrolled._support.caching import cached_property
from unrolled.printable import printable

__all__ = ["Provenance"]


@dataclass(frozen=True)
class Provenance:
    """How a network was imported; `Network.provenance` and `Analysis.provenance`.

    Attributes
    ----------
    source : str
        A file, or what kind of object.
    framework : str
        Such as "onnx".
    version : str
        Of the framework or format, as far as it is known.
    semantics : {"value", "dependency"}
        Which edges normalisers have.
    input_shapes : dict of str to tuple of int
    operators : dict of str to int
        How often each operator was met, those that were worked out beforehand included.
    parameters : dict of str to int
        Scalars of each parameter, by name, in the order they were met.
    skipped : dict of str to str
        What is no parameter though it might seem one, and why.
    operations : bool
        Whether functions of single elements and normalisers are tensors of their own; counts need
        none of them.
    stored_names : dict of str to str
        By the name of a parameter, what the model calls it where that is another name: one that an
        exporter made up, such as ``onnx::MatMul_4189``.

    Examples
    --------
    >>> from unrolled.importers import Provenance
    >>> print(Provenance("tiny.onnx", "onnx", "1.17", "value", {"x": (1, 3)}, {"Gemm": 1}))
    tiny.onnx (onnx 1.17), value semantics
    inputs: x (1, 3)
    operators: Gemm
    parameters: 0 scalars in 0 tensors
    """

    source: str
    framework: str
    version: str
    semantics: str
    input_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    operators: Mapping[str, int] = field(default_factory=dict)
    parameters: Mapping[str, int] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)
    stored_names: Mapping[str, str] = field(default_factory=dict)
    operations: bool = True

    @cached_property
    def _known_names(self) -> dict[str, str]:
        return {stored: name for name, stored in self.stored_names.items()}

    def known_name(self, name: str) -> str:
        """The name of the parameter that the model calls so; any other name as it is."""
        return self._known_names.get(name, name)

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain dicts, lists, strings and integers, for JSON."""
        return {
            "source": self.source,
            "framework": self.framework,
            "version": self.version,
            "semantics": self.semantics,
            "input_shapes": {name: list(shape) for name, shape in self.input_shapes.items()},
            "operators": dict(self.operators),
            "parameters": dict(self.parameters),
            "skipped": dict(self.skipped),
            "stored_names": dict(self.stored_names),
            "operations": self.operations,
        }

    @property
    def line(self) -> str:
        """The same in one line: where it comes from, its inputs and its parameters.

        Examples
        --------
        >>> from unrolled.importers import Provenance
        >>> Provenance("tiny.onnx", "onnx", "1.17", "value", {"x": (1, 3)}, {"Gemm": 1}).line
        'tiny.onnx (onnx 1.17), value semantics, x (1, 3), 0 scalars in 0 tensors'
        """
        parts = [
            f"{self.source} ({self.framework} {self.version}), {self.semantics} semantics",
            *(f"{name} {shape}" for name, shape in self.input_shapes.items()),
            f"{sum(self.parameters.values()):,} scalars in {len(self.parameters):,} tensors",
        ]
        if self.skipped:
            parts.append(f"{len(self.skipped):,} skipped")
        return printable(", ".join(parts))

    def __str__(self) -> str:
        inputs = ", ".join(f"{name} {shape}" for name, shape in self.input_shapes.items())
        operators = ", ".join(
            f"{number} {name}" if number > 1 else name
            for name, number in sorted(self.operators.items())
        )
        lines = [
            f"{self.source} ({self.framework} {self.version}), {self.semantics} semantics",
            f"inputs: {inputs}",
            f"operators: {operators}",
            f"parameters: {sum(self.parameters.values()):,} scalars in "
            f"{len(self.parameters):,} tensors",
        ]
        by_reason: dict[str, list[str]] = {}
        for name, reason in self.skipped.items():
            by_reason.setdefault(reason, []).append(name)
        for reason, names in by_reason.items():
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            lines.append(f"skipped {names[0]}{more}: {reason}")
        return "\n".join(map(printable, lines))
