"""Packages that only some functions need: import them, or say how to install them."""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from typing import Any

from unrolled.errors import MissingPackageError

__all__ = ["import_alone", "import_optional"]


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


def import_alone(name: str, extra: str, what: str = "this") -> Any:
    """A module of a package that comes with one of the extras, without the rest of the package.

    For modules that need nothing of their package, which may import much more than they do. The
    package is not imported, and nothing is changed for those who import it later: they get a module
    of their own.

    Parameters and errors are those of `import_optional`.
    """
    package = name.partition(".")[0]
    alone = None if package in sys.modules else _loaded_alone(name)
    if alone is not None:
        return alone
    import_optional(package, extra, what)
    return import_optional(name, extra, what)


@cache
def _loaded_alone(name: str) -> Any:
    """A module that is part of a package, None if it cannot be found."""
    package = find_spec(name.partition(".")[0])
    folders = None if package is None else package.submodule_search_locations
    spec = None if folders is None else PathFinder.find_spec(name, list(folders))
    if spec is None or spec.loader is None:
        return None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
