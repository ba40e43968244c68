"""Packages that only some functions need."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from unrolled.errors import MissingPackageError

__all__ = ["import_optional"]


def import_optional(module: str, extra: str) -> Any:
    """Import a module of an optional package.

    Parameters
    ----------
    module : str
        Its dotted name.
    extra : str
        The extra of this package that installs it.

    Raises
    ------
    MissingPackageError
        It is not installed; the message says how to install it.
    """
    try:
        return import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        raise MissingPackageError(
            f"this needs {package}, which is not installed: pip install 'unrolled[{extra}]'"
        ) from None
