"""The exceptions of the package, all under `UnrolledError`."""

from __future__ import annotations

__all__ = [
    "CycleError",
    "InvalidArgumentError",
    "InvalidNetworkError",
    "MemoryLimitError",
    "MissingPackageError",
    "NothingToCountError",
    "SizeOverflowError",
    "UnknownModelError",
    "UnknownNameError",
    "UnrolledError",
]


class UnrolledError(Exception):
    """Base class of every error this package raises on purpose."""


class InvalidArgumentError(UnrolledError, ValueError):
    """An argument has a value the function cannot use."""


class InvalidNetworkError(UnrolledError, ValueError):
    """A layer, tensor or link of a network does not fit the others."""


class SizeOverflowError(InvalidNetworkError, OverflowError):
    """A size of a network does not fit into 64 bits."""


class CycleError(InvalidNetworkError):
    """The links of a network form a cycle; the message names its tensors."""


class NothingToCountError(UnrolledError, ValueError):
    """A network has no parameter, or no parameter with a context."""


class MemoryLimitError(UnrolledError, MemoryError):
    """A count would need more memory than `memory_limit` allows."""


class MissingPackageError(UnrolledError, ImportError):
    """A function needs a package that is not installed; the message says how to install it."""


class UnknownModelError(UnrolledError, LookupError):
    """No model of this name is known; the message lists those that are."""


class UnknownNameError(UnrolledError, LookupError):
    """No counted parameter has this name; the message says which come near."""
