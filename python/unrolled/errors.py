"""The exceptions of the package, all under `UnrolledError`."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence

from unrolled.printable import one_line

__all__ = [
    "CycleError",
    "GraphFileError",
    "InvalidArgumentError",
    "InvalidGraphError",
    "InvalidModelError",
    "InvalidNetworkError",
    "MemoryLimitError",
    "MissingPackageError",
    "NoFixedPointError",
    "NothingToCountError",
    "ResultFileError",
    "SizeOverflowError",
    "TheoryDomainError",
    "UnknownModelError",
    "UnknownNameError",
    "UnknownOperationError",
    "UnrolledError",
    "UnsupportedOperatorError",
]


class UnrolledError(Exception):
    """Base class of every error this package raises on purpose.

    Its message is one line without anything that a terminal would obey, whatever the names in it
    hold; `args` has it as it was raised.
    """

    def __str__(self) -> str:
        return one_line(super().__str__())


class InvalidArgumentError(UnrolledError, ValueError):
    """An argument has a value the function cannot use."""


class InvalidNetworkError(UnrolledError, ValueError):
    """A layer, tensor or link of a network does not fit the others."""


class InvalidGraphError(UnrolledError, ValueError):
    """Arrays or attributes that describe no graph; the message says where."""


class InvalidModelError(UnrolledError, ValueError):
    """A model that cannot be read: damaged, contradictory, too large, or without known shapes."""


class UnsupportedOperatorError(UnrolledError, NotImplementedError):
    """A model has operators without a rule.

    Attributes
    ----------
    operators : dict of str to list of str
        The operators, and the names of the nodes where they were met.
    """

    def __init__(self, message: str, operators: Mapping[str, Sequence[str]] | None = None) -> None:
        super().__init__(message)
        self.operators = {name: list(nodes) for name, nodes in (operators or {}).items()}


class GraphFileError(UnrolledError, ValueError):
    """A file that holds no graph, or one that was damaged."""


class ResultFileError(UnrolledError, ValueError):
    """A file or a record that holds no result of this package, or one that was damaged."""


class SizeOverflowError(InvalidNetworkError, OverflowError):
    """A size does not fit into 64 bits."""


class CycleError(InvalidNetworkError, InvalidGraphError):
    """The links of a network, or the edges of a graph, form a cycle; the message names it.

    Attributes
    ----------
    nodes : tuple
        Of a graph: the nodes along the cycle, the first repeated at the end.
    """

    def __init__(self, message: str, nodes: Sequence[Hashable] = ()) -> None:
        super().__init__(message)
        self.nodes = tuple(nodes)


class UnknownOperationError(UnrolledError, ValueError):
    """How tensors are computed is not known, so that no signal can be followed through them.

    Attributes
    ----------
    tensors : dict of str to str
        The names of all such tensors, and why each is not known.
    """

    def __init__(self, message: str, tensors: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.tensors = dict(tensors)


class NothingToCountError(UnrolledError, ValueError):
    """A network or graph has no parameter, or no parameter with a context."""


# The built-in class has a constructor of its own, which only its own kind may use: as the second
# base it could not be made by what unpickles exceptions for Dask.
class MemoryLimitError(MemoryError, UnrolledError):
    """Something would need more memory than `memory_limit` allows, or than there is."""


class MissingPackageError(UnrolledError, ImportError):
    """A function needs a package that is not installed; the message says how to install it."""


class UnknownModelError(UnrolledError, LookupError):
    """No model of this name is known; the message lists those that are."""


class UnknownNameError(UnrolledError, LookupError):
    """Nothing that was counted, and no node, has this name; the message says which come near."""


class NoFixedPointError(UnrolledError, ArithmeticError):
    """An iteration has no limit: what it computes grows without bound, or never settles."""


class TheoryDomainError(InvalidArgumentError):
    """An argument or a signal lies where a formula does not hold; the message says where.

    Attributes
    ----------
    tensor : str or None
        The tensor of a network at which it happened, if there is one.
    """

    tensor: str | None = None
