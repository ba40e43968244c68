"""The package as a whole: what importing it costs, its public names, the base of its errors."""

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


def imported_by(statement):
    """Which of HEAVY a fresh interpreter has imported after a statement."""
    code = f"{statement}\nimport sys\nprint(*(name for name in {HEAVY!r} if name in sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return result.stdout.split()


def test_import_is_light():
    assert imported_by("import unrolled") == []


def test_building_and_counting_need_nothing_more():
    statement = "import unrolled\nunrolled.analyze(unrolled.models.mlp([3], inputs=2)).entropy"
    assert imported_by(statement) == []


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


def test_errors_have_one_base():
    import unrolled

    kinds = [getattr(unrolled.errors, name) for name in unrolled.errors.__all__]
    assert all(issubclass(kind, unrolled.UnrolledError) for kind in kinds)
    assert {kind.__name__ for kind in kinds} <= set(unrolled.__all__)
