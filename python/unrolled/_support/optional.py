"""Packages that only some functions need: import them, or say how to install them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from unrolled.errors import MissingPackageError

__all__ = ["import_optional"]


def import_optional(name: str, extra: str, what: str = "this") -> Any:
    """A module of a package that comes with one of the extras.

    Parameters
    ----------
    name : str
        Of the module, such as "matplotlib.pyplot".
    extra : str
        The extra of this package that installs it.
    what : str
        That needs it, for the error.

    Raises
    ------
    MissingPackageError
        The package is not installed. What goes wrong inside an installed one is not hidden.
    """
    package = name.partition(".")[0]
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        raise MissingPackageError(
            f"{what} needs {package}, which is not installed: pip install 'unrolled[{extra}]'",
            name=package,
        ) from None
