"""Hashes of functions and of what they work with, which are the same in every process.

The result of a sweep belongs to functions of a user: those that build networks and those that score
them. A file may be resumed only if these still do what they did, so that a hash has to cover what
they are made of, and not their names alone.
"""

from __future__ import annotations

import functools
import hashlib
import types
from collections.abc import Iterator, Mapping, Set
from typing import Any

import numpy as np

from unrolled.network.network import Network

__all__ = ["fingerprint_of"]

PLAIN = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis))

Seen = dict[int, tuple[int, Any]]
"""What was met, with its number, by identity; it is kept, so that no identity is used twice."""

DEEPEST = 40
"""Objects within objects; what lies deeper is taken by its type alone."""


def fingerprint_of(value: Any) -> str:
    """A hash of a value, and of all that it refers to, as far as Python tells.

    Of a function it covers the code, its defaults, the values that it closes over, and the
    functions and constants of its own module that it names, and theirs. Functions of other modules
    count by their names, so that another version of a library gives the same hash. Another version
    of Python, which compiles to other code, gives another one.

    Examples
    --------
    >>> from functools import partial
    >>> first, second = (fingerprint_of(partial(max, at)) for at in (1, 2))
    >>> first == second, first == fingerprint_of(partial(max, 1))
    (False, True)
    """
    digest = hashlib.sha256()
    seen: Seen = {}
    for text in _words(value, seen, 0):
        digest.update(text.encode("utf-8", "surrogatepass"))
        digest.update(b"\0")
    return digest.hexdigest()


def _words(value: Any, seen: Seen, depth: int) -> Iterator[str]:
    """What a value is made of, as words that begin with what it is."""
    if isinstance(value, PLAIN):
        yield f"{type(value).__name__} {value!r}"
        return
    if id(value) in seen:
        yield f"again {seen[id(value)][0]}"
        return
    if depth > DEEPEST:
        yield f"deep {_name(type(value))}"
        return
    # Whether equal constants are one object differs between processes.
    if not isinstance(value, (tuple, frozenset, types.CodeType)):
        seen[id(value)] = len(seen), value
    inside = functools.partial(_words, seen=seen, depth=depth + 1)
    if isinstance(value, types.FunctionType):
        yield from _function_words(value, seen, depth)
    elif isinstance(value, types.CodeType):
        yield f"code {value.co_name} {value.co_varnames} {value.co_code.hex()} {value.co_names}"
        for constant in value.co_consts:
            yield from inside(constant)
    elif isinstance(value, types.MethodType):
        yield "method"
        yield from inside(value.__func__)
        yield from inside(value.__self__)
    elif isinstance(value, functools.partial):
        yield "partial"
        for part in (value.func, value.args, value.keywords):
            yield from inside(part)
    elif isinstance(value, Network):
        yield f"network {value.fingerprint()}"
    elif isinstance(value, (np.ndarray, np.generic)):
        array = np.ascontiguousarray(value)
        yield f"array {array.dtype.str} {np.shape(value)}"
        yield from inside(array.tolist()) if array.dtype.hasobject else [array.tobytes().hex()]
    elif isinstance(value, Mapping):
        yield f"mapping {len(value)}"
        for key, one in value.items():
            yield from inside(key)
            yield from inside(one)
    elif isinstance(value, Set):
        yield f"set {len(value)}"
        yield from sorted(fingerprint_of(one) for one in value)
    elif isinstance(value, (list, tuple, range)):
        yield f"{type(value).__name__} {len(value)}"
        for one in value:
            yield from inside(one)
    elif isinstance(value, (type, types.ModuleType, types.BuiltinFunctionType)):
        yield f"named {_name(value)}"
    else:
        yield f"object {_name(type(value))}"
        call = vars(type(value)).get("__call__")
        if isinstance(call, types.FunctionType):
            yield from inside(call)
        yield from inside(getattr(value, "__dict__", {}))


def _function_words(function: types.FunctionType, seen: Seen, depth: int) -> Iterator[str]:
    inside = functools.partial(_words, seen=seen, depth=depth + 1)
    yield f"function {_name(function)}"
    yield from inside(function.__code__)
    for part in (function.__defaults__, function.__kwdefaults__):
        yield from inside(part)
    for cell in function.__closure__ or ():
        try:
            yield from inside(cell.cell_contents)
        except ValueError:  # It is still empty.
            yield "empty"
    for name in _globals_named(function.__code__):
        found = function.__globals__.get(name, _Missing)
        if found is _Missing:
            continue
        yield f"global {name}"
        is_other = getattr(found, "__module__", None) not in (None, function.__module__)
        yield from [f"named {_name(found)}"] if is_other else inside(found)


class _Missing:
    """In the place of a global that is not there, such as a name of `builtins`."""


def _globals_named(code: types.CodeType) -> list[str]:
    """The names that a function, and those defined in it, may look up in its module."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names.update(_globals_named(constant))
    return sorted(names)


def _name(value: Any) -> str:
    module = getattr(value, "__module__", "")
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    return f"{module}.{name or _name(type(value))}"
