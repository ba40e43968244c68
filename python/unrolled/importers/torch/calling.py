"""How a PyTorch module is called while it is exported, and what it returns as named tensors.

Models of libraries return objects that hold tensors, and some keep what they have computed for the
next call. An exported program returns tensors alone.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from unrolled._support.hints import described, did_you_mean, listed
from unrolled._support.optional import import_optional
from unrolled.errors import InvalidArgumentError

__all__ = ["Returned", "are_keywords", "checked_outputs", "returning_tensors", "without_caches"]


class Returned:
    """What a call returned.

    Attributes
    ----------
    names : list of str
        Of the tensors that count as outputs, in order: the keys of mappings, the fields of objects
        and the positions in tuples that lead to each, joined by points.
    skipped : dict of str to str
        What is no tensor, and what it is.
    """

    def __init__(self, wanted: Collection[str]) -> None:
        self.names: list[str] = []
        self.skipped: dict[str, str] = {}
        self._wanted = wanted

    def tensors(self, returned: Any) -> tuple[Any, ...]:
        """The tensors in what a call returned that count as outputs.

        Raises
        ------
        InvalidArgumentError
            A name that was asked for is not among them.
        """
        self.skipped = {}
        torch = import_optional("torch", "torch")
        flat = list(self._flat(torch, returned, ""))
        kept = self.chosen([name for name, _ in flat])
        return tuple([tensor for (_, tensor), is_kept in zip(flat, kept, strict=True) if is_kept])

    def chosen(self, names: Sequence[str]) -> list[bool]:
        """Which of the tensors of these names count as outputs.

        Raises
        ------
        InvalidArgumentError
            A name that was asked for is not among them.
        """
        for one in self._wanted:
            if not any(_leads_to(one, name) for name in names):
                raise InvalidArgumentError(
                    f"outputs: the module returns nothing called '{one}'"
                    f"{did_you_mean(one, names)}; it returns {listed(names)}"
                )
        kept = [
            not self._wanted or any(_leads_to(one, name) for one in self._wanted) for name in names
        ]
        self.names = [name for name, is_kept in zip(names, kept, strict=True) if is_kept]
        return kept

    def _flat(self, torch: Any, given: Any, name: str) -> Iterator[tuple[str, Any]]:
        if isinstance(given, torch.Tensor):
            yield name or "output", given
            return
        if given is None or isinstance(given, (bool, int, float, str)):
            return
        parts = _parts(given)
        if parts is None:
            kind = type(given).__name__
            self.skipped[f"output '{name or 'output'}'"] = f"a {kind}, which is no tensor"
            return
        for key, part in parts.items():
            yield from self._flat(torch, part, f"{name}.{key}" if name else str(key))


def _parts(given: Any) -> Mapping[Any, Any] | None:
    """What an object holds, by key, field or position; None if it holds nothing."""
    if isinstance(given, Mapping):
        return given
    if isinstance(given, tuple) and hasattr(given, "_fields"):
        return dict(zip(given._fields, given, strict=True))
    if isinstance(given, (list, tuple)):
        return dict(enumerate(given))
    if dataclasses.is_dataclass(given) and not isinstance(given, type):
        return {one.name: getattr(given, one.name) for one in dataclasses.fields(given)}
    return None


def _leads_to(wanted: str, name: str) -> bool:
    return name == wanted or name.startswith(f"{wanted}.")


def checked_outputs(outputs: Any) -> tuple[str, ...]:
    """Names of outputs that a user asks for.

    Raises
    ------
    InvalidArgumentError
        Something else than names.
    """
    given = (outputs,) if isinstance(outputs, str) else outputs
    if not isinstance(given, Collection) or not all(isinstance(one, str) for one in given):
        raise InvalidArgumentError(
            f"outputs must be names of what the module returns, got {described(outputs)}"
        )
    return tuple(given)


def are_keywords(module: Any, inputs: Any) -> bool:
    """Whether inputs are a mapping from the names of the arguments that a module takes."""
    if not isinstance(inputs, Mapping) or not inputs:
        return False
    try:
        taken = inspect.signature(module.forward).parameters
    except (TypeError, ValueError, AttributeError):
        return False
    is_open = any(one.kind is one.VAR_KEYWORD for one in taken.values())
    return all(isinstance(name, str) and (is_open or name in taken) for name in inputs)


@contextmanager
def returning_tensors(module: Any, returned: Returned) -> Iterator[None]:
    """Let a module return the tensors alone that its results hold."""
    own = module.__dict__.get("forward")
    forward = module.forward

    @functools.wraps(forward)
    def flat(*args: Any, **kwargs: Any) -> Any:
        return returned.tensors(forward(*args, **kwargs))

    module.forward = flat
    try:
        yield
    finally:
        if own is None:
            del module.forward
        else:
            module.forward = own


@contextmanager
def without_caches(module: Any) -> Iterator[None]:
    """Let models that would keep what they have computed for the next call not do so."""
    configs: dict[int, Any] = {}
    for one in module.modules():
        config = getattr(one, "config", None)
        if getattr(config, "use_cache", None) is True:
            configs[id(config)] = config
    try:
        for config in configs.values():
            config.use_cache = False
        yield
    finally:
        for config in configs.values():
            config.use_cache = True
