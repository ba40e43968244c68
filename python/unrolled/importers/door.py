"""The door that a model came through: its terms for errors, and what every reader's errors say.

A reader is reached through its own function, through `analyze` or `compare`, or from the shell.
Each calls the arguments something else, and advice is only of use in the terms of the caller. So
callers hand a `Door` to the readers, which ask it. Which arguments a model needs, and what is
wrong with a given one, is up to the readers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, NamedTuple

from unrolled._support.hints import did_you_mean, listed, out_of_memory, shortened
from unrolled.errors import (
    InvalidArgumentError,
    InvalidModelError,
    InvalidNetworkError,
    MemoryLimitError,
)

__all__ = ["Door", "reading"]

LONGEST_MESSAGE = 2000
"""Characters of an error about a model; what a file says may be as long as the file."""


class Door(NamedTuple):
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
    terms: Mapping[str, str] = MappingProxyType({})
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
        numbers = ", ".join(map(str, lengths))
        if self.is_shell:
            import shlex

            return f"{self.term('inputs')} {shlex.quote(name)}={numbers.replace(' ', '')}"
        shape = f"({numbers},)" if len(lengths) == 1 else f"({numbers})"
        return self.inputs(reader, f"{{{name!r}: {shape}}}")

    def inputs(self, reader: Door, value: str) -> str:
        """What to write so that the reader gets a value of Python as its inputs."""
        if "inputs" in self.terms:
            return f"{self.terms['inputs']}={value}"
        call = f"{reader.function}(model, {reader.terms['inputs']}={value})"
        return f"the network that {call} returns"

    def shapes_by_name(
        self,
        given: Any,
        source: str,
        names: Sequence[str],
        data: Sequence[str] | None = None,
        symbols: Sequence[str] = (),
    ) -> dict[str, Any]:
        """The shapes that were given for the inputs of a model, by the names of these.

        Parameters
        ----------
        given : mapping, shape, or None
            A shape without a name is that of the only input.
        source : str
            The model, for errors.
        names : sequence of str
            All inputs.
        data : sequence of str, optional
            The inputs that are no weights, if some are.
        symbols : sequence of str
            Of lengths that the model leaves open; they may be given as well, and are named in
            errors.

        Raises
        ------
        InvalidArgumentError
            A shape without a name where it could be for several inputs, or an unknown name.
        """
        if given is None:
            return {}
        if not isinstance(given, Mapping):
            inputs = names if data is None else data
            if len(inputs) != 1:
                raise InvalidArgumentError(
                    f"{source}: one shape was given, and the model has {len(inputs)} inputs, "
                    f"{listed(inputs) or 'none'}; give {self.term('inputs')} as a dict from their "
                    "names to shapes"
                )
            return {inputs[0]: given}
        for name in given:
            if name not in names:
                known, lengths = [*names, *symbols], ""
                if symbols:
                    lengths = f"; open lengths: {listed(symbols)}"
                raise InvalidArgumentError(
                    f"{source}: there is no input '{shortened(str(name))}'"
                    f"{did_you_mean(str(name), known)}; inputs: {listed(names) or 'none'}{lengths}"
                )
        return dict(given)


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
