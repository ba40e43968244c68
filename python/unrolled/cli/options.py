"""The models that the shell's arguments name: published ones, graphs and models in files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click
from click.core import ParameterSource

from unrolled._support.arguments import Progress
from unrolled._support.hints import shortened
from unrolled.errors import InvalidArgumentError
from unrolled.graph.readers import is_graph_file
from unrolled.importers.door import Door
from unrolled.importers.recognition import is_model_file
from unrolled.network.network import Network
from unrolled.sources.resolution import Model, resolve

if TYPE_CHECKING:
    from unrolled.models.blocks import Padding

__all__ = [
    "ModelOptions",
    "counting_options_of",
    "model_options",
    "model_options_of",
    "parse_size",
    "parse_whole_number",
    "refuse_given",
    "resolve_name",
    "source_options",
]

Part = TypeVar("Part")


SHELL = Door(
    "unrolled",
    {
        "inputs": "--input",
        "values": "--value",
        "semantics": "--semantics",
        "size": "--size",
        "padding": "--padding",
        "mmap": "--mmap",
    },
    is_shell=True,
)


BYTES = re.compile(
    r"\s*(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]{1,3})?)"
    r"\s*(?P<unit>[KMGT]?)(?:i?B)?\s*",
    re.IGNORECASE | re.ASCII,
)
"""A number of bytes, such as ``500M``, ``1.5 GiB`` or ``1e9``."""

WHOLE_NUMBER = re.compile(r"\s*[+-]?[0-9]+\s*", re.ASCII)
LARGEST_SIZE = (1 << 63) - 1


class ModelOptions(NamedTuple):
    """The options of commands that take models; see `model_options`."""

    size: int | None
    padding: Padding | None
    share: Any
    inputs: dict[str, tuple[int | None, ...]]
    values: dict[str, Any]
    semantics: Any

    def check(self, names: Sequence[str]) -> None:
        """Refuse options that would change nothing.

        Raises
        ------
        InvalidArgumentError
        """
        published = not all(is_graph_file(name) or is_model_file(name) for name in names)
        if not published and (self.size, self.padding) != (None, None):
            raise InvalidArgumentError("--size and --padding are for published models, not files")
        if all(map(is_graph_file, names)) and self.share is not None:
            raise InvalidArgumentError("--share is for models, not for graphs")
        if not any(map(is_model_file, names)) and (self.inputs or self.values or self.semantics):
            raise InvalidArgumentError(
                "--input, --value and --semantics are for model files (.onnx, .keras, .json)"
            )


def model_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of commands that count; each for some kinds of models."""
    options = [
        click.option("--log", "log_space", is_flag=True, help="Count in log space, not exactly."),
        click.option(
            "--trainable-only",
            is_flag=True,
            help="Leave out what training does not change, such as the statistics of batch norms.",
        ),
        click.option(
            "--memory-limit",
            metavar="BYTES",
            callback=parse_bytes,
            help="Stop before counts take more memory than this, such as 500M or 2G.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return source_options(command)


def parse_bytes(context: click.Context, option: click.Parameter, text: str | None) -> int | None:
    """A number of bytes out of ``2G``, ``1.5 GiB`` or ``1e9``; units are powers of 1024."""
    if text is None:
        return None
    found = BYTES.fullmatch(text)
    from decimal import Decimal

    size = Decimal(0)
    if found is not None:
        size = Decimal(found["number"]) * 1024 ** " KMGT".index(found["unit"].upper() or " ")
    if not 1 <= size <= LARGEST_SIZE:
        raise click.BadParameter(
            f"expected a number of bytes such as 500M, 1.5GiB or 1e9, got '{shortened(text)}'.",
            param_hint="'--memory-limit'",
        )
    return int(size)


def parse_size(
    context: click.Context, option: click.Parameter, text: str | None
) -> tuple[int, ...] | None:
    """Height and width out of ``448`` or ``448x224``."""
    if text is None:
        return None
    try:
        sides = [parse_whole_number(part) for part in text.lower().split("x")]
    except ValueError:
        sides = []
    if len(sides) not in (1, 2) or min(sides) < 1:
        raise click.BadParameter(
            f"expected a side in pixels, or height x width such as 448x224, got "
            f"'{shortened(text)}'.",
            param_hint="'--input-size'",
        )
    return (sides[0], sides[-1])


def parse_whole_number(text: str) -> int:
    """A whole number in plain digits; Python's own reading also takes 1_000 and other scripts.

    Raises
    ------
    ValueError
    """
    if WHOLE_NUMBER.fullmatch(text) is None:
        raise ValueError(f"not a whole number: {text!r}")
    return int(text)


def refuse_given(options: Sequence[str], reason: str) -> None:
    """Refuse options that were given, but would change nothing.

    Parameters
    ----------
    options : sequence of str
        Names of parameters of the command that runs.
    reason : str
        Ends the sentence that begins with the options, such as "has no effect on JSON".

    Raises
    ------
    UsageError
    """
    context = click.get_current_context()
    given = [
        option.opts[-1]
        for option in context.command.params
        if option.name in options
        and context.get_parameter_source(option.name) is ParameterSource.COMMANDLINE
    ]
    if given:
        raise click.UsageError(f"{', '.join(given)}: {reason}.")


def counting_options_of(options: dict[str, Any]) -> dict[str, Any]:
    """Take what `analyze` and `compare` are called with out of the options of a command."""
    return {
        "exact": not options.pop("log_space"),
        "trainable_only": options.pop("trainable_only"),
        "memory_limit": options.pop("memory_limit"),
    }


def source_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of commands that take a model, whatever they do with it."""
    options = [
        click.option(
            "--size",
            type=int,
            metavar="PIXELS",
            help="Build a published model for images of this side. [default: own]",
        ),
        click.option(
            "--padding",
            type=click.Choice(["symmetric", "same"]),
            help="Pad a published model by half the kernel on both sides, or as Keras does. "
            "[default: symmetric]",
        ),
        click.option(
            "--share",
            type=click.Choice(["configuration", "stage"]),
            help="Tie convolutions and dense layers of equal configuration: all, or by stage.",
        ),
        click.option(
            "--input",
            "inputs",
            multiple=True,
            metavar="NAME=LENGTHS",
            help="Give an input of a model file this shape, such as x=1,3,224,224, or give a "
            "length that the file leaves open by its symbol: batch=1. A ? is as in the file.",
        ),
        click.option(
            "--value",
            "values",
            multiple=True,
            metavar="NAME=INTEGERS",
            help="Elements of an integer input of an ONNX file, such as position=5.",
        ),
        click.option(
            "--semantics",
            type=click.Choice(["value", "dependency"]),
            help="Which edges normalisers of a model file have: one from each value, or one from "
            "everything they depend on. [default: value]",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def model_options_of(options: dict[str, Any]) -> ModelOptions:
    """Take the options of `model_options` out of those of a command."""
    given = {name: options.pop(name) for name in ("size", "padding", "share", "semantics")}
    inputs = _by_name("--input", map(parsed_input, options.pop("inputs")))
    values = _by_name("--value", map(_value, options.pop("values")))
    return ModelOptions(**given, inputs=inputs, values=values)


def _by_name(option: str, given: Iterable[tuple[str, Part]]) -> dict[str, Part]:
    """What an option was given by name, each name once."""
    found: dict[str, Part] = {}
    for name, value in given:
        if name in found:
            raise click.BadParameter(
                f"'{shortened(name)}' was given twice.", param_hint=f"'{option}'"
            )
        found[name] = value
    return found


def _value(text: str) -> tuple[str, int | list[int]]:
    """A name and integers out of ``name=5`` or ``name=1,2,3``."""
    name, _, listed = text.rpartition("=")
    try:
        numbers = [parse_whole_number(number) for number in listed.split(",")]
    except ValueError:
        numbers = []
    if not name or not numbers:
        raise click.BadParameter(
            f"expected a name and integers such as position=5, got '{text}'.",
            param_hint="'--value'",
        )
    return name, numbers if len(numbers) > 1 else numbers[0]


def parsed_input(text: str) -> tuple[str, tuple[int | None, ...]]:
    """A name and a shape out of ``name=1,3,224,224``."""
    name, _, lengths = text.rpartition("=")
    shape: tuple[int | None, ...] = ()
    try:
        listed = lengths.lower().replace("x", ",").split(",")
        shape = tuple(
            [None if length.strip() == "?" else parse_whole_number(length) for length in listed]
        )
    except ValueError:
        pass
    if not name or not shape or any(length is not None and length < 1 for length in shape):
        raise click.BadParameter(
            f"expected a name and positive lengths such as x=1,3,224,224, got '{text}'.",
            param_hint="'--input'",
        )
    return name, shape


def resolve_name(
    name: str,
    options: ModelOptions,
    *,
    threads: int | None = None,
    mmap: bool = False,
    operations: bool = False,
    progress: Progress | None = None,
) -> Model:
    """The graph or model in a file, or else a published model."""
    if not is_graph_file(name) and (threads is not None or mmap):
        raise InvalidArgumentError(f"--threads and --mmap are for graphs, not for {name}")
    is_imported = is_model_file(name)
    is_published = not is_imported and not is_graph_file(name)
    model = resolve(
        name,
        inputs=(options.inputs or None) if is_imported else None,
        values=(options.values or None) if is_imported else None,
        semantics=options.semantics if is_imported else None,
        size=options.size if is_published else None,
        padding=options.padding if is_published else None,
        mmap=mmap,
        operations=operations,
        threads=threads,
        progress=progress,
        door=SHELL,
    )
    if options.share is None or not isinstance(model, Network):
        return model
    return model.share(options.share)
