"""The command line as tests call it: as a process, within this one, and on a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any, NamedTuple

from click.testing import CliRunner, Result

from unrolled import cli

PROGRAM = [sys.executable, "-m", "unrolled"]


def command(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run ``python -m unrolled`` with captured output."""
    return subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


def invoke(*arguments: object) -> Result:
    """The same within this process."""
    return CliRunner().invoke(cli.main, [str(argument) for argument in arguments])


class OnTerminal(NamedTuple):
    """What a process did whose errors go to a terminal."""

    returncode: int
    output: bytes
    shown: bytes


def command_on_a_terminal(*arguments: object, **options: Any) -> OnTerminal:
    """The same as a process, its standard error a terminal of 80 columns."""
    import pty

    leading, following = pty.openpty()
    with subprocess.Popen(
        [*PROGRAM, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=following,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
        **options,
    ) as process:
        os.close(following)
        shown = b""
        try:
            while chunk := os.read(leading, 4096):
                shown += chunk
        except OSError:
            pass  # The other end is closed.
        assert process.stdout is not None
        output = process.stdout.read()
    os.close(leading)
    return OnTerminal(process.returncode, output, shown)
