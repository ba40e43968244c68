"""`Relation`: what its constructors take, keep and refuse."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import unrolled
from unrolled import InvalidNetworkError, Network, Relation, reference

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
CONSTRUCTORS = sorted(
    name for name, member in vars(Relation).items() if isinstance(member, staticmethod)
)

# One valid call of every constructor, and the arguments the relation must then have.
CALLS: dict[str, tuple[Callable[[], Relation], dict[str, Any]]] = {
    "same": (lambda: Relation.same(2, 1), {}),
    "sum": (lambda: Relation.sum(1), {}),
    "each": (lambda: Relation.each(2), {}),
    "all": (lambda: Relation.all(2, 1), {}),
    "window": (
        lambda: Relation.window(2, 1, size=3, padding=-2),
        {"size": 3, "stride": 1, "dilation": 1, "padding": -2},
    ),
    "transposed_window": (
        lambda: Relation.transposed_window(2, 1, size=3, stride=2),
        {"size": 3, "stride": 2, "dilation": 1, "padding": 0},
    ),
    "taps": (
        lambda: Relation.taps(2, 1, extent=9, size=3, dilation=2),
        {"extent": 9, "size": 3, "stride": 1, "dilation": 2, "padding": 0},
    ),
    "transposed_taps": (
        lambda: Relation.transposed_taps(2, 1, extent=9, size=3),
        {"extent": 9, "size": 3, "stride": 1, "dilation": 1, "padding": 0},
    ),
    "blocks": (lambda: Relation.blocks(2, 1, groups=4), {"groups": 4}),
    "slice": (lambda: Relation.slice(2, 1, start=7, step=-2), {"start": 7, "step": -2}),
    "select": (lambda: Relation.select(2, 1, [3, -1, 0]), {"indices": [3, -1, 0]}),
    "sparse": (
        lambda: Relation.sparse(2, 1, [0, 2], [5, 6]),
        {"offsets": [0, 2], "indices": [5, 6], "multiplicities": [1, 1]},
    ),
    "reshape": (lambda: Relation.reshape([2], [1]), {}),
}


def plain(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments with lists in place of arrays."""
    return {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in arguments.items()
    }


def test_every_constructor_is_called_here() -> None:
    assert sorted(CALLS) == CONSTRUCTORS


@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_constructor_is_documented(name: str) -> None:
    constructor = getattr(Relation, name)
    assert (constructor.__doc__ or "").strip()
    assert inspect.signature(constructor).parameters


@pytest.mark.parametrize("kind", CONSTRUCTORS)
def test_relation_keeps_what_it_was_given(kind: str) -> None:
    construct, arguments = CALLS[kind]
    relation = construct()
    assert relation.kind == kind
    assert relation.source_axes == ([] if kind == "sum" else [2])
    assert relation.target_axes == ([] if kind == "each" else [1])
    assert plain(relation.arguments) == arguments
    assert relation == construct()
    assert hash(relation) == hash(construct())
    assert repr(relation).startswith(f"Relation.{kind}(")


@pytest.mark.parametrize("kind", CONSTRUCTORS)
def test_relation_is_pickled_and_copied(kind: str) -> None:
    relation = CALLS[kind][0]()
    again = [pickle.loads(pickle.dumps(relation, number)) for number in PROTOCOLS]
    for one in (*again, copy.copy(relation), copy.deepcopy(relation)):
        assert one == relation
        assert hash(one) == hash(relation)
        assert plain(one.arguments) == plain(relation.arguments)
    properties = relation.kind, relation.source_axes, relation.target_axes, relation.arguments
    assert Relation(*properties) == relation


def test_relation_of_an_unknown_kind() -> None:
    with pytest.raises(InvalidNetworkError, match="'source_axes'; there are same, sum"):
        Relation("source_axes", [0], [0])


def test_relations_of_one_kind_differ_by_arguments() -> None:
    assert Relation.same(0, 0) != Relation.same(0, 1)
    assert Relation.window(0, 0, size=3) != Relation.window(0, 0, size=3, padding=1)
    assert Relation.select(0, 0, [0, -1]) != Relation.select(0, 0, [0, 0])


@pytest.mark.parametrize(
    "indices",
    [
        [1, -1, 0],
        (1, -1, 0),
        [np.int64(1), np.int32(-1), np.uint8(0)],
        np.array([1, -1, 0]),
        np.array([1, -1, 0], dtype=np.int32),
        np.array([1, 9, -1, 9, 0])[::2],
    ],
    ids=["list", "tuple", "list of NumPy integers", "array", "32 bits", "strided array"],
)
def test_any_sequence_of_integers_is_taken(indices: Any) -> None:
    assert Relation.select(0, 0, indices) == Relation.select(0, 0, [1, -1, 0])


def test_sequences_of_axes_and_rows() -> None:
    assert Relation.reshape((0, 1), range(2)) == Relation.reshape([0, 1], np.array([0, 1]))
    rows = np.array([0, 2, 3]), np.array([0, 1, 1]), np.array([2, 1, 3])
    lists = [array.tolist() for array in rows]
    assert Relation.sparse(0, 0, *rows) == Relation.sparse(0, 0, *lists)
    assert Relation.sparse(0, 0, *rows) != Relation.sparse(0, 0, *lists[:2])


def test_lists_are_counted_as_the_definition_says() -> None:
    net = Network()
    weight = net.parameter("weight", (3,))
    picked, mixed = net.tensor("picked", (4,)), net.tensor("mixed", (2,))
    net.link(weight, picked, [Relation.select(0, 0, [2, -1, 0, 2])])
    net.link(picked, mixed, [Relation.sparse(0, 0, [0, 2, 3], [0, 1, 3], [5, 1, 7])])
    net.output(mixed)
    # weight[2] is read at 0, which has 5 edges to an output, and at 3, which has 7; weight[0] at 2,
    # which has none.
    counts = unrolled.count(net)["weight"].exact().tolist()
    assert counts == reference.count(net)["weight"].tolist() == [0, 0, 12]


# What is refused, and what the message must say.
REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "negative axis": (lambda: Relation.same(-1, 0), "0 to.*got -1"),
    "negative target axis": (lambda: Relation.all(0, -1), "0 to.*got -1"),
    "axis beyond 64 bits": (lambda: Relation.sum(2**70), "got 1180591620717411303424"),
    "fractional axis": (lambda: Relation.each(1.5), r"whole number.*got 1\.5"),  # type: ignore[arg-type]
    "no axis": (lambda: Relation.each(None), "whole number.*got None"),  # type: ignore[arg-type]
    "negative size": (lambda: Relation.window(0, 0, size=-3), "0 to.*got -3"),
    "size beyond 64 bits": (lambda: Relation.window(0, 0, size=2**64), f"got {2**64}"),
    "text for a size": (lambda: Relation.window(0, 0, size="3"), "got '3'"),  # type: ignore[arg-type]
    "negative stride": (lambda: Relation.window(0, 0, size=3, stride=-1), "got -1"),
    "fractional dilation": (
        lambda: Relation.transposed_window(0, 0, size=3, dilation=0.5),  # type: ignore[arg-type]
        r"got 0\.5",
    ),
    "padding beyond 63 bits": (
        lambda: Relation.window(0, 0, size=3, padding=2**63),
        f"63 bits, got {2**63}",
    ),
    "negative extent": (lambda: Relation.taps(0, 0, extent=-9, size=3), "got -9"),
    "negative number of groups": (lambda: Relation.blocks(0, 0, groups=-2), "got -2"),
    "negative start": (lambda: Relation.slice(0, 0, start=-1), "got -1"),
    "fractional step": (lambda: Relation.slice(0, 0, step=0.5), r"got 0\.5"),  # type: ignore[arg-type]
    "index below -1": (lambda: Relation.select(0, 0, [0, -2]), "'select'.*-2.*-1 for nothing"),
    "fractional index": (lambda: Relation.select(0, 0, [0.5]), r"integers, got \[0\.5\]"),  # type: ignore[list-item]
    "index beyond 63 bits": (lambda: Relation.select(0, 0, [2**64]), "integers, got"),
    "one index": (lambda: Relation.select(0, 0, 3), "sequence of integers, got 3"),  # type: ignore[arg-type]
    "text for indices": (lambda: Relation.select(0, 0, "ab"), "integers, got 'ab'"),  # type: ignore[arg-type]
    "matrix of indices": (
        lambda: Relation.select(0, 0, np.array([[1]])),
        r"one-dimensional.*got array\(\[\[1\]\]\)",
    ),
    "array of fractions": (
        lambda: Relation.select(0, 0, np.array([0.5])),
        r"integers, got array\(\[0\.5\]\)",
    ),
    "negative offset": (lambda: Relation.sparse(0, 0, [0, -1], [0]), "offsets.*negative"),
    "negative sparse index": (lambda: Relation.sparse(0, 0, [0, 1], [-1]), "indices.*negative"),
    "negative multiplicity": (
        lambda: Relation.sparse(0, 0, [0, 1], [0], [-1]),
        "multiplicities.*negative",
    ),
    "negative axis of a reshape": (lambda: Relation.reshape([-1], [0]), "source axes.*negative"),
    "negative target of a reshape": (lambda: Relation.reshape([0], [-1]), "target axes.*negative"),
    "truth for an axis": (lambda: Relation.same(True, 0), "whole number.*got True"),
    "truth of NumPy for an axis": (lambda: Relation.sum(np.True_), r"got np\.True_"),  # type: ignore[arg-type]
    "truth for a padding": (lambda: Relation.window(0, 0, size=3, padding=True), "got True"),
    "truth for an index": (lambda: Relation.select(0, 0, [0, True]), r"integers, got \[0, True\]"),
    "truths for indices": (lambda: Relation.select(0, 0, np.array([True])), "integers, got array"),
    "a set of indices": (lambda: Relation.select(0, 0, {0}), r"integers, got \{0\}"),  # type: ignore[arg-type]
    "no name of a kind": (lambda: Relation(3, [0], [0]), "no relation is called 3"),  # type: ignore[arg-type]
    "described by a negative axis": (lambda: Relation("same", [-1], [0]), "got -1"),
    "described by a huge axis": (lambda: Relation("same", [2**64], [0]), f"{2**64}"),
    "described by a truth": (lambda: Relation("same", [True], [0]), r"got \[True\]"),
    "described by one axis": (lambda: Relation("same", 0, [0]), "sequence of integers, got 0"),  # type: ignore[arg-type]
    "described by too many axes": (
        lambda: Relation("same", [0, 1], [0]),
        r"'same' is no relation of source axes \[0, 1\] and target axes \[0\]",
    ),
    "described by too few axes": (lambda: Relation("same", [], [0]), r"source axes \[\]"),
    "described without a size": (lambda: Relation("window", [0], [0]), "'window'.*'size'"),
    "described by another argument": (
        lambda: Relation("window", [0], [0], {"size": 1, "width": 2}),
        "'window'.*'width'",
    ),
    "described by no arguments": (
        lambda: Relation("window", [0], [0], 3),  # type: ignore[arg-type]
        "must be a dict",
    ),
    "fractional axis of a reshape": (lambda: Relation.reshape([0.5], [0]), "integers"),  # type: ignore[list-item]
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_relation_is_refused(case: tuple[Callable[[], Any], str]) -> None:
    attempt, message = case
    with pytest.raises(InvalidNetworkError, match=message):
        attempt()


def test_long_arguments_are_not_repeated_in_messages() -> None:
    with pytest.raises(InvalidNetworkError, match="got <class 'list'>") as refusal:
        Relation.select(0, 0, [*range(1000), "x"])  # type: ignore[list-item]
    assert len(str(refusal.value)) < 200
