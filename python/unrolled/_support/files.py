"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

__all__ = ["write", "write_with"]


def write(path: str | os.PathLike[str], text: str) -> Path:
    """Write text in UTF-8; see `write_with`."""
    return write_with(path, lambda file: file.write(text.encode()))


def write_with(path: str | os.PathLike[str], fill: Callable[[BinaryIO], object]) -> Path:
    """Let `fill` write a file beside `path`, which takes its place when it is complete.

    A file that is replaced leaves its permissions to the new one.

    Raises
    ------
    OSError
        The file cannot be written; what was there before is still there.
    """
    path = Path(path)
    target = path.resolve()
    if target.exists() and not target.is_file():  # A device or a pipe cannot be replaced.
        with target.open("wb") as file:
            fill(file)
        return path
    part = target.with_name(f".{uuid4().hex}.part")
    try:
        with part.open("xb") as file:
            fill(file)
        if target.exists():
            with suppress(OSError):  # Some file systems have no permissions to keep.
                part.chmod(target.stat().st_mode)
        part.replace(target)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename == str(part):
            raise type(error)(error.errno, error.strerror, str(path)) from None
        raise
    return path
