"""What an exporter folded is read as what it says it was folded from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

import onnx

from cases.onnx_folded import SIGNATURE, folded
from cases.onnx_models import node
from unrolled import count, from_onnx

RANDOM = np.random.default_rng(5)


def numbers(*shape: int) -> Any:
    return RANDOM.normal(size=shape).astype(np.float32)


def names_of(net: Any) -> list[str]:
    return [tensor.name for tensor in net.parameters]


def test_what_was_made_of_no_parameter_is_a_constant() -> None:
    table = numbers(4, 3)  # No sines: the file alone tells.
    sources = {"mul_3": ["arange", "frequencies", "val_1"]}
    file = folded(
        "Mul x,mul_3 -> y", stored={"mul_3": table}, sources=sources, inputs={"x": (4, 3)}
    )
    net = from_onnx(file)
    assert names_of(net) == []
    assert net.provenance.skipped["mul_3"] == "worked out by the exporter from no parameter"
    assert names_of(from_onnx(file, parameters=["mul_3"])) == ["mul_3"]


def test_a_buffer_that_the_state_dict_leaves_out_is_a_constant() -> None:
    stored = {"frequencies": numbers(3), "mean": numbers(3)}
    nodes = ["Mul x,frequencies -> h", "Sub h,mean -> y"]
    net = from_onnx(folded(*nodes, stored=stored, sources={}, inputs={"x": (4, 3)}))
    assert names_of(net) == ["mean"]
    assert net.provenance.skipped["frequencies"] == "a buffer that the state dict leaves out"


def test_a_folded_mask_in_another_file_takes_edges_away(tmp_path: Path) -> None:
    """One of 80 tokens is larger than what exporters keep in the file itself."""
    tokens = 80
    mask = np.triu(np.full((tokens, tokens), -np.inf, np.float32), 1)
    nodes = ["Add x,val_9 -> s", node("Softmax s -> p", axis=-1), "MatMul p,tokens -> y"]
    stored = {"val_9": mask, "tokens": numbers(tokens, 2)}
    path = tmp_path / "model.onnx"
    file = folded(
        *nodes, stored=stored, sources={"val_9": ["val_1"]}, inputs={"x": (tokens, tokens)}
    )
    onnx.save(file, path, save_as_external_data=True, location="data", size_threshold=0)
    counts = count(from_onnx(path))
    # The value of a token is read by itself and by those that follow it.
    assert counts["tokens"].exact()[:, 0].tolist() == [*range(tokens, 0, -1)]


@pytest.mark.parametrize("tokens", [5, 4], ids=["of other lengths", "square"])
@pytest.mark.parametrize("kind", ["listed", "elsewhere", "by its numbers"])
def test_a_tied_weight_that_is_stored_twice_is_one(kind: str, tokens: int, tmp_path: Path) -> None:
    """As token embeddings, whose transpose makes scores for words."""
    table = numbers(tokens, 4)
    nodes = [
        "MatMul x,tokens -> h",
        node("MatMul h,val_7 -> y", name="/head/MatMul"),
    ]
    stored = {"val_7": np.ascontiguousarray(table.T), "tokens": table}
    sources = {} if kind == "by its numbers" else {"val_7": ["tokens"]}
    signature = "" if kind == "by its numbers" else SIGNATURE
    file: Any = folded(
        *nodes, stored=stored, sources=sources, inputs={"x": (3, tokens)}, signature=signature
    )
    if kind == "elsewhere":  # Where the numbers need not be there.
        path = tmp_path / "model.onnx"
        onnx.save(file, path, save_as_external_data=True, location="data", size_threshold=0)
        (tmp_path / "data").unlink()
        file = path
    net = from_onnx(file)
    assert names_of(net) == ["tokens"]
    assert net.provenance.skipped["val_7"] == "the same parameter as 'tokens'"
    # An element is read once by each row of h, and then by each of y's words; and once for itself.
    assert count(net)["tokens"].exact().tolist() == [[3 * tokens + 3] * 4] * tokens


def test_equal_weights_of_an_initialiser_are_not_tied() -> None:
    stored = {"val_7": np.ones((4, 5), np.float32), "tokens": np.ones((5, 4), np.float32)}
    nodes = ["MatMul x,tokens -> h", node("MatMul h,val_7 -> y", name="/head/MatMul")]
    net = from_onnx(folded(*nodes, stored=stored, sources={}, inputs={"x": (3, 5)}, signature=""))
    assert names_of(net) == ["tokens", "head.weight"]


def test_a_folded_weight_has_the_name_of_its_parameter() -> None:
    stored = {"val_7": numbers(4, 5)}
    file = folded(
        "MatMul x,val_7 -> y", stored=stored, sources={"val_7": ["tokens"]}, inputs={"x": (3, 4)}
    )
    net = from_onnx(file)
    assert names_of(net) == ["tokens"]
    assert net.provenance.stored_names == {"tokens": "val_7"}


@pytest.mark.parametrize("is_causal", [False, True])
def test_repeated_rows_of_a_table_are_one_parameter_each(is_causal: bool) -> None:
    """A bias for each distance between two tokens, and each head."""
    heads, tokens = 3, 4
    table = numbers(2 * tokens - 1, heads)
    distance = np.arange(tokens)[:, None] - np.arange(tokens)
    bias = np.moveaxis(table[distance + tokens - 1], -1, 0)[None]
    if is_causal:
        bias = np.where(distance >= 0, bias, np.float32(-3.4e38))
    nodes = [
        "Add x,clone -> s",
        node("Softmax s -> p", axis=-1),
        "MatMul p,v -> y",
    ]
    file = folded(
        *nodes,
        stored={"clone": bias},
        sources={"clone": ["attention.bias", "val_1"]},
        inputs={"x": (1, heads, tokens, tokens), "v": (1, heads, tokens, 2)},
    )
    net = from_onnx(file)
    assert names_of(net) == ["attention.bias"]
    seen = [d for d in range(1 - tokens, tokens) if d >= 0 or not is_causal]
    # Of two pairs of tokens as far apart each reads the same element, and each has two outputs.
    expected = sorted(2 * (tokens - abs(d)) for d in seen for _ in range(heads))
    assert sorted(count(net)["attention.bias"].exact().reshape(-1).tolist()) == expected


def test_rows_that_happen_to_be_alike_stay_apart() -> None:
    """Half-precision numbers repeat; that one row of two equals another says nothing."""
    table = RANDOM.integers(0, 9, size=(1, 400, 2)).astype(np.float16)
    file = folded(
        "Add x,embedding_1 -> y",
        stored={"embedding_1": table},
        sources={"embedding_1": ["tokens", "val_1"]},
        inputs={"x": (1, 400, 2)},
    )
    file.graph.value_info[0].type.tensor_type.elem_type = 10
    file.graph.input[0].type.tensor_type.elem_type = 10
    net = from_onnx(file)
    assert (names_of(net), net.num_parameters) == (["tokens"], 800)


def test_what_was_made_of_two_parameters_keeps_its_numbers() -> None:
    stored = {"val_7": numbers(4, 5)}
    file = folded(
        node("MatMul x,val_7 -> y", name="/head/MatMul"),
        stored=stored,
        sources={"val_7": ["gain", "tokens"]},
        inputs={"x": (3, 4)},
    )
    assert names_of(from_onnx(file)) == ["head.weight"]


def test_properties_that_are_no_text_are_as_if_they_were_not_there() -> None:
    """Of values, of the graph, and of nodes, which say which modules they belong to."""
    scoped = node("Mul x,val_3 -> y")
    scoped.metadata_props.add(key="pkg.torch.onnx.name_scopes", value="['', 'SCOPE', 'mul']")
    file = folded(
        scoped,
        stored={"val_3": numbers(4, 3)},
        sources={"val_3": ["SOURCE"]},
        inputs={"x": (4, 3)},
    )
    content = file.SerializeToString()
    for word in (b"SCOPE", b"SOURCE", b"PARAMETER"):
        content = content.replace(word, b"\xff" * len(word))
    assert names_of(from_onnx(content)) == ["val_3"]


@pytest.mark.parametrize("signature", ["", "no list", SIGNATURE * 20_000])
def test_properties_that_say_nothing_change_nothing(signature: str) -> None:
    sources = {"mul_3": ["arange", "frequencies"]}
    file = folded(
        "Mul x,mul_3 -> y",
        stored={"mul_3": numbers(4, 3)},
        sources=sources,
        inputs={"x": (4, 3)},
        signature=signature,
    )
    assert names_of(from_onnx(file)) == ["mul_3"]
