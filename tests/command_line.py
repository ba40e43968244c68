"""The command line as tests call it: as a process, within this one, and on a terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
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
    """Run the same command line within this process."""
    return CliRunner().invoke(cli.main, [str(argument) for argument in arguments])


class OnTerminal(NamedTuple):
    """What a process did whose errors go to a terminal."""

    returncode: int
    output: bytes
    shown: bytes


def command_on_a_terminal(
    *arguments: object, interrupted_at: bytes = b"", **options: Any
) -> OnTerminal:
    """Run it as a process whose standard error is a terminal of 80 columns.

    A second after the terminal shows `interrupted_at`, the process gets the signal of Ctrl-C.
    """
    import pty

    leading, following = pty.openpty()
    with subprocess.Popen(
        [*PROGRAM, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=following,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
        **options,
    ) as process:
        too_late = threading.Timer(60, process.kill)
        too_late.start()
        os.close(following)
        shown = b""
        try:
            while chunk := os.read(leading, 4096):
                shown += chunk
                if interrupted_at and interrupted_at in shown:
                    time.sleep(1)
                    process.send_signal(signal.SIGINT)
                    interrupted_at = b""
        except OSError:
            pass  # The other end is closed.
        assert process.stdout is not None
        output = process.stdout.read()
        process.wait()
        too_late.cancel()
    os.close(leading)
    return OnTerminal(process.returncode, output, shown)


class OnScreen(NamedTuple):
    """What a command left on a terminal that all it prints goes to."""

    exit_code: int
    text: str


def on_a_screen(*arguments: object, columns: int = 80, sent: str = "both") -> OnScreen:
    """Run the command in this process, in front of a terminal that shows every byte as it comes.

    With `sent` "errors", only the standard error goes there and the output is thrown away; with
    "output" it is the other way round.
    """
    import fcntl
    import pty
    import struct
    import termios
    import tty

    leading, following = pty.openpty()
    tty.setraw(following)
    fcntl.ioctl(following, termios.TIOCSWINSZ, struct.pack("HHHH", 25, columns, 0, 0))
    shown: list[bytes] = []

    def watch() -> None:
        try:
            while chunk := os.read(leading, 4096):
                shown.append(chunk)
        except OSError:
            pass  # The other end is closed.

    watcher = threading.Thread(target=watch)
    watcher.start()
    streams = sys.stdout, sys.stderr
    with (
        open(following, "w", encoding="utf-8") as screen,
        open(os.devnull, "w", encoding="utf-8") as nowhere,
    ):
        sys.stdout = nowhere if sent == "errors" else screen
        sys.stderr = nowhere if sent == "output" else screen
        try:
            cli.main([str(argument) for argument in arguments])
        except SystemExit as end:
            exit_code = end.code
        finally:
            sys.stdout, sys.stderr = streams
    watcher.join()
    os.close(leading)
    assert isinstance(exit_code, int)
    return OnScreen(exit_code, b"".join(shown).decode("utf-8"))
