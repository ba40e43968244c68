"""Exports PyTorch modules, and tells what the inputs of an exported program are."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from unrolled._support.hints import described
from unrolled._support.optional import import_optional
from unrolled.errors import InvalidArgumentError, InvalidModelError, UnrolledError
from unrolled.importers.door import Door
from unrolled.importers.torch.calling import (
    Returned,
    are_keywords,
    returning_tensors,
    without_caches,
)
from unrolled.importers.torch.fx import is_only_a_condition, mutates_views
from unrolled.importers.torch.graph import constant_of
from unrolled.importers.torch.quantisation import scaled_integers
from unrolled.importers.tracing.masking import puts_out
from unrolled.importers.tracing.tracer import Tracer
from unrolled.importers.tracing.values import Shape, Value

__all__ = ["FROM_TORCH", "Program", "exported"]

FROM_TORCH = Door("from_torch", {"inputs": "example_inputs"})

LONGEST_REASON = 500
"""Characters of an error of the exporter that are shown."""


def exported(
    module: Any,
    inputs: Any,
    kwargs: Mapping[str, Any],
    training: bool,
    returned: Returned,
    door: Door,
) -> Any:
    """The program of a module, with nothing written in place that is also seen through a view.

    What the module returns is told to `returned`.

    Raises
    ------
    InvalidArgumentError
        No module, or inputs that are none.
    InvalidModelError
        It cannot be exported.
    """
    torch = import_optional("torch", "torch")
    is_program = isinstance(module, torch.export.ExportedProgram)
    if not is_program and not isinstance(module, torch.nn.Module):
        raise InvalidArgumentError(
            "from_torch() takes a torch.nn.Module or a torch.export.ExportedProgram, got "
            f"{described(module)}"
        )
    if inputs is None and not kwargs and not is_program:
        raise InvalidArgumentError(
            f"{described(module)} needs example inputs: give "
            f"{door.inputs(FROM_TORCH, 'torch.zeros(1, 3, 224, 224)')}, in the shape that it takes"
        )
    if not is_program and are_keywords(module, inputs):
        inputs, kwargs = None, {**inputs, **kwargs}
    program = module
    with _silence(torch):
        try:
            if inputs is not None or kwargs:
                program = _export(torch, module, inputs, kwargs, training, returned)
            if mutates_views(program.graph_module):
                program = program.run_decompositions({})
        except (UnrolledError, MemoryError):
            raise
        except Exception as error:
            raise InvalidModelError(
                f"torch.export could not export {type(module).__name__}: {_reason(error)}"
            ) from error
    return program


def _export(
    torch: Any,
    module: Any,
    inputs: Any,
    kwargs: Mapping[str, Any],
    training: bool,
    returned: Returned,
) -> Any:
    is_program = isinstance(module, torch.export.ExportedProgram)
    callee = module.module() if is_program else module
    modes = {one: one.training for one in callee.modules()}
    weights = [*callee.parameters(), *callee.buffers()]
    device = weights[0].device if weights else None
    given = () if inputs is None else inputs
    args = tuple(given) if isinstance(given, (tuple, list)) else (given,)
    args = tuple([_place(torch, one, device) for one in args])
    named = {name: _place(torch, one, device) for name, one in kwargs.items()}
    fast_path = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        if not is_program:
            callee.train(training)
        with torch.no_grad(), without_caches(callee):
            if is_program:
                return torch.export.export(callee, args, named or None, strict=False)
            with returning_tensors(callee, returned):
                return torch.export.export(callee, args, named or None, strict=False)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
        for one, mode in modes.items():
            one.training = mode


def _place(torch: Any, given: Any, device: Any) -> Any:
    """An input on the device of the weights."""
    if isinstance(given, (tuple, list)):
        return type(given)([_place(torch, one, device) for one in given])
    if isinstance(given, dict):
        return {name: _place(torch, one, device) for name, one in given.items()}
    if given is not None and not isinstance(given, (torch.Tensor, bool, int, float, str)):
        if _holds_tensors(torch, given):  # As a cache of keys and values does.
            return given
        raise InvalidArgumentError(
            f"example inputs must be tensors, got {described(given)}; use torch.zeros(shape)"
        )
    if not isinstance(given, torch.Tensor) or device is None or given.device == device:
        return given
    if given.is_meta:
        return torch.zeros(given.shape, dtype=given.dtype, device=device)
    return given.to(device)


def _holds_tensors(torch: Any, given: Any) -> bool:
    """Whether PyTorch knows how to take an object apart into tensors."""
    return type(given) in torch.utils._pytree.SUPPORTED_NODES


@contextmanager
def _silence(torch: Any) -> Iterator[None]:
    """Suppress what the exporter logs and warns of."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    shown = text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]}..."
    return f"{type(error).__name__}: {shown}"


class Program:
    """What the placeholders of an exported program stand for.

    Attributes
    ----------
    inputs : list
        For each placeholder an operand or a plain value.
    shapes : dict of str to tuple of int
        Of the inputs of the model.
    """

    def __init__(self, program: Any, tracer: Tracer, door: Door) -> None:
        torch = import_optional("torch", "torch")
        self.shapes: dict[str, Shape] = {}
        self.inputs: list[Any] = []
        self._weights: dict[str, Value] = {}
        self._tied: dict[str, str] = {}
        self._constants: dict[str, str] = {}
        self._names: dict[Any, str] = {}
        self._tracer = tracer
        self._door = door
        self._torch = torch
        nodes = program.graph.find_nodes(op="placeholder")
        self._quantised = self._find_quantised(program, nodes)
        for node, spec in zip(nodes, program.graph_signature.input_specs, strict=True):
            kind = spec.kind.name
            if kind in ("PARAMETER", "BUFFER", "CONSTANT_TENSOR"):
                tensor = program.state_dict.get(spec.target)
                if tensor is None:
                    tensor = program.constants[spec.target]
                self.inputs.append(self._stored(spec, tensor, node))
            elif kind == "USER_INPUT":
                self.inputs.append(self._given(node, spec))
            else:
                self.inputs.append(None)

    def _find_quantised(self, program: Any, nodes: Any) -> set[Any]:
        """The placeholders of integers that are quantised weights."""
        integers, floats = [], []
        for node, spec in zip(nodes, program.graph_signature.input_specs, strict=True):
            value = node.meta.get("val")
            if spec.kind.name == "USER_INPUT" or not isinstance(value, self._torch.Tensor):
                continue
            if value.is_floating_point():
                floats.append(node)
            elif value.dtype in (self._torch.int8, self._torch.uint8) and value.numel() > 1:
                integers.append(node)
        return scaled_integers(integers, floats) if integers else set()

    def skipped(self) -> dict[str, str]:
        """What might seem a parameter and is none, and why."""
        unused = [name for name, one in self._weights.items() if one.node.tensor is None]
        found = dict.fromkeys(unused, "not used")
        notes = self._tracer.notes
        found.update({name: notes[name] for name in unused if name in notes})
        found.update({name: f"the same tensor as {first}" for name, first in self._tied.items()})
        return found | self._constants

    def _stored(self, spec: Any, tensor: Any, node: Any) -> Any:
        name, kind = spec.target, spec.kind.name
        is_number = tensor.is_floating_point() or tensor.is_complex()
        is_quantised = node in self._quantised
        if not is_quantised and (kind == "CONSTANT_TENSOR" or not is_number):
            return constant_of(tensor)
        if kind == "BUFFER" and not is_quantised:
            reason = self._reason_of_buffer(spec, tensor, node)
            if reason:
                self._constants[name] = reason
                return constant_of(tensor)
        key = _identity(tensor)
        if key in self._names:
            self._tied[name] = self._names[key]
            return self._weights[self._names[key]]
        is_trainable = kind == "PARAMETER" and bool(tensor.requires_grad)
        value = self._tracer.parameter(
            name,
            tuple(tensor.shape),
            trainable=is_trainable,
            values=partial(_values, tensor),
        )
        value = replace(value, awaits_scale=True) if is_quantised else value
        self._names[key], self._weights[name] = name, value
        return value

    def _reason_of_buffer(self, spec: Any, tensor: Any, node: Any) -> str:
        """Why a buffer is no parameter; empty if it is one."""
        if spec.persistent is False:
            return "a buffer that the state dict leaves out"
        if is_only_a_condition(node):
            return "a buffer that only becomes a condition"
        held = constant_of(tensor).array
        return "a mask that is added" if held is not None and puts_out(held) else ""

    def _given(self, node: Any, spec: Any) -> Any:
        value = node.meta.get("val")
        if not isinstance(value, self._torch.Tensor):
            return getattr(spec.arg, "value", value)
        shape = tuple(value.shape)
        for axis, length in enumerate(shape):
            if not isinstance(length, int):
                raise InvalidModelError(
                    f"input '{node.name}': axis {axis} has no fixed length ({length}); give "
                    f"{self._door.inputs(FROM_TORCH, 'torch.zeros(1, 3, 224, 224)')}, in the shape "
                    "that it shall have"
                )
        name = node.name
        self.shapes[name] = shape
        if 0 in shape:  # As a cache of keys and values may be.
            return constant_of(self._torch.zeros(shape, dtype=value.dtype))
        return self._tracer.input(name, shape)


def _identity(tensor: Any) -> Any:
    """Equal for tensors that are the same memory."""
    if tensor.is_meta or not tensor.numel() or not tensor.untyped_storage().data_ptr():
        return id(tensor)
    address = tensor.data_ptr()
    return address, tuple(tensor.shape), tensor.stride(), tensor.dtype


def _values(tensor: Any) -> Any:
    """The elements of a tensor; None if it has none that are at hand."""
    if tensor.is_meta or tensor.is_complex() or type(tensor).__name__ == "FakeTensor":
        return None
    own = tensor.detach().cpu()
    return (own if own.element_size() == 8 else own.float()).numpy()
