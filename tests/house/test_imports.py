"""Imports of the package point one way, and never in a circle.

All imports are read, also those inside functions and those for types only. Python itself accepts
many circles as long as some of their imports wait; whoever reads the files does not.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from importlib.util import resolve_name
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import networkx as nx
import pytest

PACKAGE = Path(__file__).parents[2] / "python" / "unrolled"

ORDER = """
_core printable
errors
_support
spectrum graph
network show
counting models importers reference
sources costs
ensemble propagation
scores
report
analysis
theory search
plot quantities
__init__
cli
__main__
"""
"""Packages and modules right below `unrolled`: each may import from lines above its own.

`plot` and `quantities` are the public paths of modules further up, for users and the face only.
"""

ROWS = {part: row for row, line in enumerate(ORDER.split("\n")) for part in line.split()}


class Import(NamedTuple):
    """A line of `importer` that imports `imported`; both are modules by their full names."""

    importer: str
    imported: str
    place: str

    def __str__(self) -> str:
        return f"{self.place}\n        {self.importer} imports {self.imported}"


def modules_of(package: Path) -> dict[str, Path]:
    """The files of a package by the full names of their modules, stubs of extensions included."""
    found = {}
    for file in sorted([*package.rglob("*.py"), *package.rglob("*.pyi")]):
        parts = file.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imports_of(package: Path) -> list[Import]:
    """Every import of one module of the package by another, wherever it stands in the file."""
    modules = modules_of(package)
    found = []
    for module, file in modules.items():
        source = file.read_text(encoding="utf-8")
        lines = source.splitlines()
        inside = module if file.stem == "__init__" else module.rpartition(".")[0]
        for node in ast.walk(ast.parse(source)):
            for imported in dict.fromkeys(imported_by(node, inside, modules)):
                if imported.partition(".")[0] == package.name:
                    line = node.lineno  # type: ignore[attr-defined]
                    place = f"{file.relative_to(package.parent)}:{line}: {lines[line - 1].strip()}"
                    found.append(Import(module, imported, place))
    return found


def imported_by(node: ast.AST, inside: str, modules: Mapping[str, Path]) -> Iterator[str]:
    """Full names of the modules that a statement or call in the package `inside` asks for.

    ``from package import name`` asks for the submodule of that name if there is one, and else for
    the package's ``__init__``. That Python runs the ``__init__`` of every package on the way to a
    module is not counted: it would make a circle of each module with its own package.
    """
    match node:
        case ast.Import(names=aliases):
            yield from (alias.name for alias in aliases)
        case ast.ImportFrom(module=name, names=aliases, level=level):
            base = resolve_name("." * level + (name or ""), inside)
            for alias in aliases:
                submodule = f"{base}.{alias.name}"
                yield submodule if submodule in modules else base
        case ast.Call(
            func=ast.Name("import_module" | "__import__") | ast.Attribute(attr="import_module"),
            args=[argument, *_],
        ):
            match argument:
                case ast.Constant(str(name)):
                    yield resolve_name(name, inside)
                case ast.JoinedStr([ast.Constant(str(start)), *_]):  # Any module that fits.
                    yield from (name for name in modules if name.startswith(start))


def part_of(module: str) -> str:
    """What right below the whole package a module belongs to."""
    return [*module.split("."), "__init__"][1]


def wrong_ways(imports: list[Import], modules: Mapping[str, Path]) -> list[str]:
    """What is wrong with every import that does not go to a line above in the order."""
    found = []
    for one in imports:
        importer, imported = part_of(one.importer), part_of(one.imported)
        unknown = {importer, imported} - ROWS.keys()
        if one.imported not in modules:
            found.append(f"{one}, which is not there")
        elif unknown:
            found.append(f"{one}, but no line of ORDER has {', '.join(sorted(unknown))}")
        elif importer != imported and ROWS[importer] <= ROWS[imported]:
            found.append(f"{one}, but in ORDER {imported} does not stand above {importer}")
    return found


def circles(imports: list[Import]) -> list[list[Import]]:
    """The shortest circle through each set of modules that all need each other."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    for one in imports:
        graph.add_edge(one.importer, one.imported, line=one)
    found = []
    for component in nx.strongly_connected_components(graph):
        ways_back = [
            [start, *nx.shortest_path(graph, end, start)]
            for start, end in graph.subgraph(component).edges
        ]
        if ways_back:
            walk = min(ways_back, key=len)
            found.append([graph.edges[step]["line"] for step in pairwise(walk)])
    return found


def report(lines: list[str]) -> str:
    return "\n" + "\n".join(f"    {line}" for line in lines)


def test_no_package_imports_one_that_is_above_it() -> None:
    found = wrong_ways(imports_of(PACKAGE), modules_of(PACKAGE))
    if found:
        pytest.fail(f"imports that go the wrong way: {len(found)}{report(found)}", pytrace=False)


def test_no_files_import_each_other_in_a_circle() -> None:
    found = circles(imports_of(PACKAGE))
    if found:
        shown = [f"a circle of {len(circle)}:{report([*map(str, circle)])}" for circle in found]
        pytest.fail("\n".join(shown), pytrace=False)


def test_the_whole_package_is_read() -> None:
    modules = modules_of(PACKAGE)
    assert {"unrolled", "unrolled._core", "unrolled.errors", "unrolled.cli"} <= modules.keys()
    assert {one.importer for one in imports_of(PACKAGE)} > {"unrolled", "unrolled.__main__"}


# The checks themselves, on small packages.


def package(folder: Path, files: Mapping[str, str]) -> Path:
    """A package `unrolled` of files with the sources given, beside an empty `__init__`."""
    for name, source in {"__init__.py": "", **files}.items():
        path = folder / "unrolled" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    return folder / "unrolled"


def judge(folder: Path, files: Mapping[str, str]) -> tuple[list[str], list[list[str]]]:
    """The wrong ways in a small package, and its circles as the files that are on them."""
    top = package(folder, files)
    imports = imports_of(top)
    found = [sorted({one.place.partition(":")[0] for one in circle}) for circle in circles(imports)]
    return wrong_ways(imports, modules_of(top)), sorted(found)


UPWARDS = {
    "at the top": "from unrolled.analysis.analysis import Analysis",
    "of the module": "import unrolled.analysis.analysis",
    "of the module under another name": "import unrolled.analysis.analysis as whole",
    "from the package": "from unrolled.analysis import analysis",
    "of what the package exports": "from unrolled.analysis import Analysis",
    "of all that the package exports": "from unrolled.analysis import *",
    "relative": "from ..analysis.analysis import Analysis",
    "relative, from the package": "from ..analysis import analysis",
    "relative, of the package": "from .. import analysis",
    "in a function": "def f():\n    from unrolled.analysis import Analysis",
    "in a method": "class A:\n    def f(self):\n        import unrolled.analysis",
    "in a branch": "try:\n    import unrolled.analysis\nexcept ImportError:\n    pass",
    "for types": "if TYPE_CHECKING:\n    from unrolled.analysis.analysis import Analysis",
    "by its name": "import_module('unrolled.analysis')",
    "by its name, in a function": "def f():\n    return importlib.import_module('..analysis')",
    "by a part of its name": "import_module(f'unrolled.ana{rest}')",
    "of the face": "from unrolled import analyze",
}


@pytest.mark.parametrize("source", UPWARDS.values(), ids=UPWARDS)
def test_an_import_that_goes_up_is_found(tmp_path: Path, source: str) -> None:
    files = {"graph/__init__.py": "", "graph/arrays.py": source}
    files |= {"analysis/__init__.py": "", "analysis/analysis.py": ""}
    wrong, circles = judge(tmp_path, files)
    assert wrong
    (line,) = (n for n, text in enumerate(source.splitlines(), 1) if "import" in text)
    for message in wrong:
        assert message.startswith(f"unrolled/graph/arrays.py:{line}: ")
        assert message.endswith("does not stand above graph")
    assert not circles


def test_imports_that_go_down_are_no_fault(tmp_path: Path) -> None:
    files = {
        "__init__.py": "from unrolled.graph import Graph\nfrom unrolled._core import VERSION",
        "_core.pyi": "import numpy",
        "errors.py": "import re",
        "graph/__init__.py": "from unrolled.graph.graph import Graph",
        "graph/graph.py": "from unrolled import _core, errors\nfrom . import arrays",
        "graph/arrays.py": "import numpy\ndef f():\n    from unrolled.errors import E",
        "cli.py": "import unrolled\nfrom unrolled.graph import Graph",
        "__main__.py": "from unrolled.cli import main",
    }
    assert judge(tmp_path, files) == ([], [])


def test_packages_on_one_line_may_not_import_each_other(tmp_path: Path) -> None:
    files = {"graph.py": "import unrolled.spectrum", "spectrum.py": ""}
    (wrong,), _ = judge(tmp_path, files)
    assert "spectrum does not stand above graph" in wrong


def test_a_package_that_the_order_does_not_have_is_found(tmp_path: Path) -> None:
    (wrong,), _ = judge(tmp_path, {"new.py": "import unrolled.errors", "errors.py": ""})
    assert wrong.endswith("no line of ORDER has new")


def test_a_module_that_is_not_there_is_found(tmp_path: Path) -> None:
    (wrong,), _ = judge(tmp_path, {"cli.py": "from unrolled.nothing import something"})
    assert wrong.endswith("imports unrolled.nothing, which is not there")


CIRCLES = {
    "two files": ({"a": "from unrolled.graph.b import f", "b": "import unrolled.graph.a"}, "ab"),
    "one import in a function": (
        {"a": "from .b import f", "b": "def f():\n    from .a import g"},
        "ab",
    ),
    "one import for types": (
        {"a": "from .b import f", "b": "if TYPE_CHECKING:\n    from . import a"},
        "ab",
    ),
    "three files": (
        {"a": "from . import b", "b": "from . import c", "c": "from . import a"},
        "abc",
    ),
    "a short one beside a longer one": (
        {"a": "from . import b, c", "b": "from . import c", "c": "from . import a"},
        "ac",
    ),
    "a file and itself": ({"a": "from unrolled.graph.a import f"}, "a"),
    "a file and its package": (
        {"__init__": "from unrolled.graph.a import f", "a": "from unrolled.graph import f"},
        ["__init__", "a"],
    ),
    "two files by way of the package": (
        {
            "__init__": "from .b import B",
            "a": "from unrolled.graph import B",
            "b": "from . import a",
        },
        ["__init__", "a", "b"],
    ),
}


@pytest.mark.parametrize(("files", "members"), CIRCLES.values(), ids=CIRCLES)
def test_a_circle_is_found(tmp_path: Path, files: Mapping[str, str], members: list[str]) -> None:
    sources = {f"graph/{name}.py": text for name, text in {"__init__": "", **files}.items()}
    wrong, circles = judge(tmp_path, sources)
    assert circles == [[f"unrolled/graph/{name}.py" for name in members]]
    assert not wrong


def test_every_circle_is_found(tmp_path: Path) -> None:
    files = {"a": "from . import b", "b": "from . import a, c", "c": "from . import d"}
    files |= {"d": "from . import c"}
    sources = {f"graph/{name}.py": text for name, text in {"__init__": "", **files}.items()}
    _, circles = judge(tmp_path, sources)
    assert circles == [[f"unrolled/graph/{name}.py" for name in pair] for pair in ("ab", "cd")]


def test_submodules_taken_from_their_package_make_no_circle(tmp_path: Path) -> None:
    sources = {
        "graph/__init__.py": "from unrolled.graph.a import f",
        "graph/a.py": "from unrolled.graph import b",
        "graph/b.py": "",
    }
    assert judge(tmp_path, sources) == ([], [])
