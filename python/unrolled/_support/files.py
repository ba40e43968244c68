"""Files that are written whole or not at all, and files that are read without trust."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["check_writable", "open_regular", "read_bytes", "suffix_of", "write", "write_with"]

# Paths of `pathlib` are made where they are needed: importing it takes longer than reading most
# files.


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
    from pathlib import Path

    path = Path(path)
    target = _target(path)
    if target.exists() and not target.is_file():  # A device or a pipe cannot be replaced.
        with target.open("wb") as file:
            fill(file)
        return path
    part = _beside(target)
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


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file to be read in binary, if it is a regular one.

    A device may have no end, and to open a pipe may take for ever; what a name leads to through
    links is what counts.

    Raises
    ------
    OSError
        It cannot be opened, or it is something else.
    """

    def open_at_once(name: str, flags: int) -> int:
        return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))

    stream = open(path, "rb", opener=open_at_once)  # noqa: SIM115 - the caller closes it.
    mode = os.fstat(stream.fileno()).st_mode
    if not stat.S_ISREG(mode):
        stream.close()
        raise OSError(
            errno.EINVAL,
            f"it is a {_kind(mode)}; copy what it has into a file first",
            os.fspath(path),
        )
    return stream


def read_bytes(path: str | os.PathLike[str], most: int) -> bytes:
    """The content of a regular file.

    Raises
    ------
    OSError
        It cannot be read, is something else than a regular file, or has more than `most` bytes.
    """
    with open_regular(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        # No more than it says, for as much memory would be taken beforehand; it may still grow.
        content = stream.read(size + 1) if size <= most else b""
    if size > most or len(content) > most:
        raise OSError(errno.EFBIG, f"it has more than {most:,} bytes", os.fspath(path))
    return content


def suffix_of(name: str | os.PathLike[str]) -> str:
    """The end of a name that says what kind of file it is, in small letters, or nothing.

    Examples
    --------
    >>> suffix_of("models/ResNet.ONNX"), suffix_of("resnet50")
    ('.onnx', '')
    """
    return os.path.splitext(os.path.normpath(os.fsdecode(name)))[1].lower()


def _kind(mode: int) -> str:
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        return "device"
    if stat.S_ISDIR(mode):
        return "directory"
    return "pipe" if stat.S_ISFIFO(mode) else "socket"


def check_writable(path: str | os.PathLike[str]) -> None:
    """Find out whether a file can be written, before the work that it is to hold.

    Raises
    ------
    OSError
        The file cannot be written: it is a folder, or that for it is not there or read-only.
    """
    target = _target(path)
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if target.exists() and not target.is_file():
        return  # Only writing tells about a device or a pipe.
    part = _beside(target)
    try:
        part.open("xb").close()
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from None
    part.unlink()


def _target(path: str | os.PathLike[str]) -> Path:
    """The file itself where the path is a link; a link to itself is left to fail when opened."""
    from pathlib import Path

    return Path(os.path.realpath(path))


def _beside(target: Path) -> Path:
    """A file of a name of its own in the same folder, so that it can take the place of `target`."""
    return target.with_name(f".{os.urandom(16).hex()}.part")
