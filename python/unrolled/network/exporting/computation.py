"""`Computation`: a tensor, how it is computed and from what, as the writers of nodes take it."""

from __future__ import annotations

from typing import NamedTuple

from unrolled._core import Operation
from unrolled.network.builder import Link, LinkRole, Tensor

__all__ = ["Computation", "NotWrittenError"]


class NotWrittenError(Exception):
    """A tensor is computed in a way for which no node is written; the message says which."""


class Computation(NamedTuple):
    """A tensor, how it is computed, and from what.

    Attributes
    ----------
    target : Tensor
    operation : Operation
    links : list of Link
    indices : Link or None
        Of an embedding: where the indices come from.
    is_integer : bool
        Of an embedding: whether the indices are written as integers already.
    query, key : Tensor or None
        Of an attention with a mask: what its scores are products of.
    """

    target: Tensor
    operation: Operation
    links: list[Link]
    indices: Link | None = None
    is_integer: bool = False
    query: Tensor | None = None
    key: Tensor | None = None

    def of_role(self, role: LinkRole) -> list[Link]:
        """The links of a role."""
        return [link for link in self.links if link.role == role]

    def only(self, role: LinkRole) -> Link:
        """The one link of a role."""
        found = self.of_role(role)
        if len(found) != 1:
            raise NotWrittenError(f"it has {len(found)} links of the role '{role}' instead of one")
        return found[0]
