"""The package as a whole: what importing it costs, its public names, the base of its errors."""

import json
import subprocess
import sys

import pytest

HEAVY = (
    "bokeh",
    "click",
    "jax",
    "jinja2",
    "keras",
    "matplotlib",
    "networkx",
    "onnx",
    "pandas",
    "rich",
    "scipy",
    "tensorflow",
    "torch",
    "unrolled.network.exporting",
)

SLOW = (
    "csv",
    "decimal",
    "difflib",
    "fractions",
    "html",
    "json",
    "pathlib",
    "shutil",
    "string",
    "urllib.parse",
    "uuid",
    "zipfile",
)
"""Of the standard library, slow to import, and needed by some functions only."""

SHOWING = (
    "unrolled.analysis.comparison",
    "unrolled.analysis.differences",
    "unrolled.analysis.records",
    "unrolled.costs.operations",
    "unrolled.counting.kept",
    "unrolled.ensemble",
    "unrolled.graph.archive",
    "unrolled.graph.exchange",
    "unrolled.importers.jax",
    "unrolled.importers.onnx",
    "unrolled.importers.torch",
    "unrolled.models",
    "unrolled.propagation",
    "unrolled.scores",
    "unrolled.search",
    "unrolled.show.formats",
    "unrolled.show.html",
    "unrolled.show.layers",
    "unrolled.show.tables",
    "unrolled.spectrum.divergences",
    "unrolled.theory",
)
"""What an analysis of a model that is read does not need before it is shown or compared."""


def imported_by(statement, names=HEAVY):
    """Which of some modules a fresh interpreter has imported after a statement."""
    code = f"{statement}\nimport sys\nprint(*(name for name in {names!r} if name in sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return result.stdout.split()


def test_import_is_light():
    assert imported_by("import unrolled") == []


def test_building_and_counting_need_nothing_more():
    statement = "import unrolled\nunrolled.analyze(unrolled.models.mlp([3], inputs=2)).entropy"
    assert imported_by(statement) == []


def test_slow_parts_of_the_standard_library_wait():
    assert set(imported_by("import unrolled", SLOW)) <= set(imported_by("import numpy", SLOW))


DENSE = {"class_name": "Dense", "config": {"name": "dense", "units": 3}}
MODEL = {"class_name": "Sequential", "config": {"name": "tiny", "layers": [DENSE]}}


def test_an_analysis_imports_only_what_reads_and_counts():
    statement = f"import json, unrolled\nmodel = json.loads({json.dumps(json.dumps(MODEL))})\n"
    statement += "unrolled.analyze(unrolled.from_keras(model, input_shape=(4,))).entropy"
    assert imported_by(statement, SHOWING) == []


def test_the_shell_starts_without_what_its_commands_need():
    statement = "import unrolled.cli"
    later = ("unrolled.ensemble", "unrolled.models", "unrolled.propagation", "unrolled.theory")
    later += ("unrolled.scores.evaluation", "unrolled.scores.scoring", "unrolled.search")
    assert imported_by(statement, later) == []


LATER = ("propagation", "scores", "theory")


def test_packages_imported_later_are_there_from_the_start():
    statement = "import sys, unrolled\n"
    statement += "\n".join(f"assert 'unrolled.{name}' not in sys.modules" for name in LATER)
    statement += "\nfrom unrolled import score, Signal\n"
    statement += "\n".join(f"assert unrolled.{name}.__all__" for name in LATER)
    statement += "\nassert unrolled.counting.path_sums is unrolled.theory.path_sums"
    imported_by(statement)


@pytest.mark.parametrize("name", ["rich", "click"])
def test_the_test_would_notice(name):
    assert name in imported_by(f"import unrolled, {name}")


def test_public_names_are_there():
    import unrolled

    for name in unrolled.__all__:
        assert getattr(unrolled, name) is not None, name


PACKAGES = ["analysis", "costs", "counting", "importers", "network", "scores", "show", "spectrum"]


@pytest.mark.parametrize("package", PACKAGES)
def test_names_that_wait_are_listed_and_found(package):
    code = f"import unrolled.{package} as package\nlisted = dir(package)\n"
    code += "for name in package.__all__:\n    assert name in listed and getattr(package, name)"
    imported_by(code)


def test_errors_have_one_base():
    import unrolled

    kinds = [getattr(unrolled.errors, name) for name in unrolled.errors.__all__]
    assert all(issubclass(kind, unrolled.UnrolledError) for kind in kinds)
    assert {kind.__name__ for kind in kinds} <= set(unrolled.__all__)
