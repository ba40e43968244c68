"""`Tracer`: what the rules of all frameworks build networks with."""

from __future__ import annotations

from unrolled.importers.tracing.recurrent import Recurrent
from unrolled.importers.tracing.routing import Routing
from unrolled.importers.tracing.windows import Windows

__all__ = ["Tracer"]


class Tracer(Routing, Recurrent, Windows):
    """Turns the operators of a model into tensors and links of a `Network`.

    Rules call its methods with operands and return what they return. A `Value` stands for a tensor
    that depends on an input or a parameter, a `Constant` for any other: nothing has an edge from a
    constant, and operators on constants alone are worked out. Shapes are those of the model, batch
    axis included.

    Attributes
    ----------
    network : Network
        What is being built.
    name : str
        For tensors that are made from here on.

    Examples
    --------
    >>> from unrolled import Network
    >>> from unrolled.importers import Tracer
    >>> tracer = Tracer(Network("gated"))
    >>> x = tracer.input("x", (1, 8))
    >>> weight = tracer.parameter("weight", (8, 8))
    >>> hidden = tracer.einsum("bi,io->bo", x, weight)
    >>> tracer.output(tracer.multiply(hidden, tracer.pointwise(hidden)))  # one function: one edge
    >>> tracer.network
    Network('gated', 64 parameters, 8 inputs, 8 outputs)
    """
