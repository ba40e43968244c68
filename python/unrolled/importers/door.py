"""The door that a model came through: its terms for errors, and what every reader's errors say.

A reader is reached through its own function, through `analyze` or `compare`, or from the shell.
Each calls the arguments something else, and advice is only of use in the terms of the caller. So
callers hand a `Door` to the readers, which ask it. Which arguments a model needs, and what is
wrong with a given one, is up to the readers.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from unrolled._support.hints import out_of_memory, shortened
from unrolled.errors import InvalidModelError, InvalidNetworkError, MemoryLimitError

__all__ = ["Door", "reading"]

LONGEST_MESSAGE = 2000
"""Characters of an error about a model; what a file says may be as long as the file."""


@dataclass(frozen=True)
class Door:
    """Where a model was given, and what its arguments are called there.

    Attributes
    ----------
    function : str
        Such as "from_onnx", "analyze", or the name of the program.
    terms : mapping
        What the arguments of `unrolled.sources.resolve` are called; without those that are not to
        be had at this door.
    is_shell : bool
        Whether arguments are options of a command.

    Examples
    --------
    >>> analyze = Door("analyze", {"inputs": "inputs"})
    >>> reader = Door("from_onnx", {"inputs": "input_shapes"})
    >>> reader.shape(reader, "x", (1, 3)), analyze.shape(reader, "x", (1, 3))
    ("input_shapes={'x': (1, 3)}", "inputs={'x': (1, 3)}")
    >>> Door("compare").shape(reader, "x", (1, 3))
    "the network that from_onnx(model, input_shapes={'x': (1, 3)}) returns"
    >>> Door("unrolled", {"inputs": "--input"}, is_shell=True).shape(reader, "x", (1, 3))
    '--input x=1,3'
    """

    function: str
    terms: Mapping[str, str] = field(default_factory=dict)
    is_shell: bool = False

    def term(self, argument: str) -> str:
        """What an argument of `unrolled.sources.resolve` is called here."""
        return self.terms.get(argument, argument)

    def shape(self, reader: Door, name: str, lengths: Sequence[object]) -> str:
        """What to write so that an input has a shape.

        Parameters
        ----------
        reader : Door
            The function of the reader itself, for doors that take no shapes.
        name : str
            Of the input.
        lengths : sequence
        """
        listed = ", ".join(map(str, lengths))
        if self.is_shell:
            return f"{self.term('inputs')} {shlex.quote(name)}={listed.replace(' ', '')}"
        shape = f"({listed},)" if len(lengths) == 1 else f"({listed})"
        return self.inputs(reader, f"{{{name!r}: {shape}}}")

    def inputs(self, reader: Door, value: str) -> str:
        """What to write so that the reader gets a value of Python as its inputs."""
        if "inputs" in self.terms:
            return f"{self.terms['inputs']}={value}"
        call = f"{reader.function}(model, {reader.terms['inputs']}={value})"
        return f"the network that {call} returns"


@contextmanager
def reading(source: str) -> Iterator[None]:
    """Errors in reading a model name it once, are not too long, and are those of this package.

    Parameters
    ----------
    source : str
        What the model is called: a file, or a kind of object.

    Raises
    ------
    InvalidModelError
        In place of one that does not name the model, of one about the network that was being
        built, and where the model is nested too deeply.
    MemoryLimitError
        In place of a `MemoryError`.
    """
    try:
        yield
    except (InvalidModelError, InvalidNetworkError) as error:
        message = shortened(f"{source}: {error}", LONGEST_MESSAGE)
        raise InvalidModelError(message) from error.__cause__
    except MemoryLimitError:
        raise
    except MemoryError as error:
        raise MemoryLimitError(out_of_memory(source)) from error
    except RecursionError:
        raise InvalidModelError(f"{source}: it is nested too deeply") from None
