"""How the program starts, prints and ends: its streams, its exit codes, one line for an error.

What it prints for people passes through `say`, `fail` or a console of `unrolled.show.tables`, which
make it printable first. No command is here.
"""

from __future__ import annotations

import errno
import io
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import click

from unrolled._support.arguments import Progress
from unrolled._support.hints import shortened
from unrolled.errors import UnrolledError
from unrolled.printable import one_line, printable, printable_lines
from unrolled.show import tables

__all__ = ["EXIT_FAILURES", "Program", "fail", "progress_bar", "say"]

LONGEST_MESSAGE = 2000
EXIT_FAILURES = 1
"""Some of several models could not be counted, and the others were."""
EXIT_ERROR = 2
EXIT_INTERRUPTED = 130


class Program(click.Group):
    """Exits with 0, 1 if some of several models failed, 2 after an error, or 130 if interrupted.

    An error is one line on the standard error.
    """

    def main(self, *args: Any, **options: Any) -> NoReturn:
        """Run the command and exit; never a traceback for wrong input."""
        _prepare_streams()
        options |= {"prog_name": "unrolled", "standalone_mode": False}
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _show_warning
                super().main(*args, **options)
        except UnrolledError as error:
            fail(str(error))
        except click.ClickException as error:
            fail(f"{error.format_message()} Try 'unrolled --help'.")
        except OSError as error:  # A full disk, for example; click ends quietly if a pipe closes.
            where = f" to {error.filename}" if error.filename else ""
            fail(f"cannot write the output{where}: {error.strerror or error}")
        except MemoryError:
            fail("out of memory")
        except (click.Abort, KeyboardInterrupt):
            sys.exit(EXIT_INTERRUPTED)
        sys.exit(0)


def say(text: str, *, err: bool = False) -> None:
    """Print lines on the standard output, or on the standard error."""
    click.echo(printable_lines(text), err=err)


def fail(message: str) -> NoReturn:
    """One line on the standard error, then the exit."""
    try:
        say(f"error: {shortened(one_line(message), LONGEST_MESSAGE)}", err=True)
    except OSError:
        # Nobody can be told. What is left in the buffer must not fail again at the exit.
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    sys.exit(EXIT_ERROR)


@contextmanager
def progress_bar(label: str) -> Iterator[Progress | None]:
    """A bar on the standard error if that is a terminal; gone when done."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    console = tables.console(sys.stderr)
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(printable(label), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class _ClosedStream(io.TextIOBase):
    """Stands for the standard output if it was closed before the program began."""

    encoding = "utf-8"

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        raise OSError(errno.EBADF, "the standard output is closed")


def _prepare_streams() -> None:
    """Let nothing that is printed fail for its letters, nor for a stream that is not there."""
    if sys.stdout is None:
        sys.stdout = _ClosedStream()
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with suppress(OSError):  # It is flushed first; what fails will fail again, and be told.
                stream.reconfigure(errors="backslashreplace")


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """One line for a warning of a library, which would name a file and a line of its code."""
    say(f"warning: {one_line(str(message))}", err=True)
