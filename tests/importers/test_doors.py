"""What all doors have in common: terms of the caller, outputs listed twice, budgets, files."""

from __future__ import annotations

import json
import os
import shlex
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

import unrolled
from cases.keras_models import functional, sequence
from cases.onnx_models import model, node, subgraph
from command_line import invoke
from unrolled.cli.options import SHELL
from unrolled.errors import (
    InvalidArgumentError,
    InvalidModelError,
    MemoryLimitError,
    MissingPackageError,
    UnrolledError,
    UnsupportedOperatorError,
)
from unrolled.importers import keras as keras_door
from unrolled.importers.door import Door
from unrolled.sources import resolve

OPEN = model("MatMul x,w -> y", inputs={"x": ("N", 3)}, weights={"w": (3, 4)})
"""An ONNX model with an open length."""


OPEN_KERAS = sequence(("Dense", {"units": 2}), shape=(None, None, 4))


def message_of(call: Callable[[], Any], kind: type[UnrolledError] = InvalidModelError) -> str:
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


def test_an_empty_name_is_refused_at_every_door() -> None:
    layers = sequence(("Dense", {"units": 2}), shape=(3,))
    for read in (
        lambda name: unrolled.from_onnx(OPEN, {"x": (1, 3)}, name=name),
        lambda name: unrolled.from_keras(layers, name=name),
    ):
        assert "must be a printable, non-empty string" in message_of(
            lambda read=read: read(""), InvalidArgumentError
        )
        assert read("own").name == "own"
        assert read(None).name
    jax = pytest.importorskip("jax")
    with pytest.raises(InvalidArgumentError, match="non-empty"):
        unrolled.from_jax(lambda w, x: w * x, jax.numpy.ones(2), jax.numpy.ones(2), name="")


def test_bytes_that_would_grow_to_much_are_not_parsed() -> None:
    """A field of two bytes would become a message of a hundred."""
    from cases.hostile import field

    many = field(7, field(1, b"") * 3_100_000)
    assert "more than 3,000,000 fields" in message_of(lambda: unrolled.from_onnx(many))
    # Elements of a tensor are one field, and what is no protocol buffer is left to the parser.
    weight = numpy_helper.from_array(np.zeros((1200, 1200), np.float32), "w")
    big = model("MatMul x,w -> y", inputs={"x": (1, 1200)}, weights={"w": (1200, 1200)})
    del big.graph.initializer[:]
    big.graph.initializer.append(weight)
    assert unrolled.from_onnx(big.SerializeToString()).num_parameters == 1_440_000
    assert "not an ONNX file" in message_of(lambda: unrolled.from_onnx(b"\xff" * (5 << 20)))


# Errors and advice name the argument of the door that the user came through.


@pytest.fixture
def onnx_file(tmp_path: Path) -> Path:
    onnx.save(OPEN, tmp_path / "open.onnx")
    return tmp_path / "open.onnx"


@pytest.fixture
def keras_file(tmp_path: Path) -> Path:
    (tmp_path / "open.json").write_text(json.dumps(OPEN_KERAS))
    return tmp_path / "open.json"


def test_the_argument_of_each_function(onnx_file: Path, keras_file: Path) -> None:
    asked = message_of(lambda: unrolled.from_onnx(onnx_file))
    assert "give input_shapes={'x': (1, 3)}" in asked
    asked = message_of(lambda: unrolled.analyze(onnx_file))
    assert "give inputs={'x': (1, 3)}" in asked
    assert "input_shapes" not in asked
    asked = message_of(lambda: unrolled.from_keras(keras_file))
    assert "give input_shape={'x': (1, 32, 4)}" in asked
    asked = message_of(lambda: unrolled.analyze(keras_file))
    assert "give inputs={'x': (1, 32, 4)}" in asked
    assert "input_shape" not in asked


def test_functions_without_shapes_name_the_reader(onnx_file: Path, keras_file: Path) -> None:
    for call in (unrolled.compare, lambda models: unrolled.divergence(*models)):
        asked = message_of(lambda call=call: call([onnx_file, onnx_file]))  # type: ignore[misc]
        assert "the network that from_onnx(model, input_shapes={'x': (1, 3)}) returns" in asked
        asked = message_of(lambda call=call: call([keras_file, keras_file]))  # type: ignore[misc]
        assert "from_keras(model, input_shape={'x': (1, 32, 4)})" in asked


@pytest.mark.parametrize("command", ["analyze", "compare", "thermo"])
def test_options_of_commands(command: str, onnx_file: Path, keras_file: Path) -> None:
    for path, option in ((onnx_file, "--input x=1,3"), (keras_file, "--input x=1,32,4")):
        result = invoke(command, path)
        assert result.exit_code == 2
        assert f"give {option}," in result.stderr
        assert "inputs=" not in result.stderr
        assert invoke(command, path, *option.split()).exit_code == 0


def test_advice_for_the_shell_can_be_pasted() -> None:
    """Names with spaces and quotes are quoted as shells want it."""
    door = Door("unrolled", {"inputs": "--input"}, is_shell=True)
    for name in ("x", "my input", "it's", "a;b", "$HOME"):
        advice = door.shape(door, name, (1, 3))
        assert shlex.split(advice) == ["--input", f"{name}=1,3"]


@pytest.mark.parametrize("given", [{"z": (1, 3)}, (1, 3, 1), {"x": "ab"}, {"x": (float("inf"),)}])
def test_shapes_that_do_not_fit_name_the_file_and_no_argument_of_others(
    given: Any, onnx_file: Path
) -> None:
    found = message_of(lambda: unrolled.analyze(onnx_file, inputs=given), InvalidArgumentError)
    assert found.startswith(str(onnx_file))
    assert "input_shape" not in found


def test_options_for_other_models_have_the_terms_of_the_door(keras_file: Path) -> None:
    for given, options, named in (
        (keras_file, {"size": 64, "padding": "same"}, "--size and --padding: only for published"),
        ("resnet18", {"inputs": {"x": (1,)}}, "--input: only for models that have to be imported"),
        (keras_file, {"mmap": True}, "--mmap: only for graphs"),
    ):
        with pytest.raises(InvalidArgumentError, match=f"^{named}"):
            resolve(given, door=SHELL, **options)  # type: ignore[arg-type]


def test_a_function_needs_its_parameters() -> None:
    found = message_of(lambda: unrolled.analyze(lambda p, x: x), InvalidArgumentError)
    assert "give inputs=(params, x), or the network that from_jax" in found
    found = message_of(lambda: unrolled.compare([lambda p, x: x]), InvalidArgumentError)
    assert "inputs=" not in found
    assert "from_jax(function, params, x)" in found


def test_what_is_not_installed_is_named_with_what_needs_it(
    onnx_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    for call in (lambda: unrolled.from_onnx(onnx_file), lambda: unrolled.analyze(onnx_file)):
        found = message_of(call, MissingPackageError)
        assert found == "reading ONNX models needs onnx, which is not installed: " + (
            "pip install 'unrolled[onnx]'"
        )


# Shapes of Keras inputs, with the batch axis or without it.


@pytest.mark.parametrize("shape", [(32, 4), (1, 32, 4), (None, 32, 4), {"x": (1, 32, 4)}])
def test_keras_shapes_may_have_the_batch_axis(shape: Any, keras_file: Path) -> None:
    network = unrolled.from_keras(OPEN_KERAS, shape)
    assert [tensor.shape for tensor in network.inputs] == [(1, 32, 4)]
    assert unrolled.analyze(keras_file, inputs=shape).num_inputs == 32 * 4


def test_a_batch_of_several() -> None:
    assert unrolled.from_keras(OPEN_KERAS, (2, 32, 4)).num_inputs == 2 * 32 * 4
    fixed = sequence(("Dense", {"units": 2}), shape=(3, 4))
    assert unrolled.from_keras(fixed).num_inputs == 12
    assert unrolled.from_keras(fixed, (4,)).num_inputs == 12
    assert unrolled.from_keras(fixed, (5, 4)).num_inputs == 20


@pytest.mark.parametrize("shape", [(4,), (1, 1, 32, 4), (32, 0), "ab", (1.5, 4), (32, None), 3])
def test_keras_shapes_that_do_not_fit(shape: Any) -> None:
    found = message_of(lambda: unrolled.from_keras(OPEN_KERAS, shape), InvalidArgumentError)
    assert found.startswith("Keras configuration: input 'x'")


# An output that is listed twice is one output.


def twice_in_onnx() -> Any:
    nodes = ["MatMul x,w -> y", "Identity y -> z"]
    return unrolled.from_onnx(
        model(*nodes, inputs={"x": (1, 4)}, weights={"w": (4, 2)}, outputs="y,y,z")
    )


def twice_in_keras() -> Any:
    dense = ("Dense", {"units": 2, "use_bias": False}, ["x"])
    return unrolled.from_keras(functional({"x": (None, 4)}, {"dense": dense}, "dense", "dense"))


def twice_in_jax() -> Any:
    jax = pytest.importorskip("jax")

    def apply(w: Any, x: Any) -> Any:
        y = x @ w
        return y, {"again": y}, jax.jit(lambda a: a)(y)

    return unrolled.from_jax(apply, np.ones((4, 2), np.float32), np.ones((1, 4), np.float32))


def twice_in_torch() -> Any:
    torch = pytest.importorskip("torch")

    class Twice(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.w = torch.nn.Parameter(torch.ones(4, 2))

        def forward(self, x: Any) -> Any:
            y = x @ self.w
            return y, y

    return unrolled.from_torch(Twice(), torch.ones(1, 4))


@pytest.mark.parametrize("read", [twice_in_onnx, twice_in_keras, twice_in_jax, twice_in_torch])
def test_an_output_that_is_listed_twice(read: Callable[[], Any]) -> None:
    network = read()
    assert network.num_outputs == 2
    (name,) = [tensor.name for tensor in network.parameters]
    assert unrolled.count(network)[name].exact().tolist() == [[1, 1]] * 4
    assert any("which is one output" in note for note in network.provenance.skipped.values())


def test_functions_of_an_output_are_others() -> None:
    """y counts 1 for itself, and 1 for each function of it that is an output, too."""
    nodes = ["MatMul x,w -> y", "Relu y -> z", "Tanh y -> t"]
    proto = model(*nodes, inputs={"x": (1, 4)}, weights={"w": (4, 2)}, outputs="y,z,t")
    network = unrolled.from_onnx(proto)
    assert network.num_outputs == 6
    assert unrolled.count(network)["w"].exact().tolist() == [[3, 3]] * 4


def test_one_function_called_twice_has_two_results() -> None:
    """JAX keeps one jaxpr for both calls."""
    jax = pytest.importorskip("jax")

    @jax.jit
    def apply(w: Any, x: Any) -> Any:
        return x @ w

    def both(w: Any, x: Any) -> Any:
        return apply(w, x), apply(w, 2 * x)

    x, w = np.ones((1, 4), np.float32), np.ones((4, 2), np.float32)
    network = unrolled.from_jax(both, w, x)
    assert network.num_outputs == 4
    assert unrolled.count(network)["parameter"].exact().tolist() == [[2, 2]] * 4


# Messages: the file once, and no value at full length.


def looped(inner: Any, depth: int) -> ModelProto:
    body = subgraph("Identity c -> d", inner, inputs="i,c,s", outputs="d,t")
    for level in range(depth):
        loop = node("Loop n,,s -> t", body=body, name=f"loop{level}")
        body = subgraph("Identity c -> d", loop, inputs="i,c,s", outputs="d,t")
    return model(
        node("Loop n,,x -> y", body=body, name="outer"),
        inputs={"x": (2,)},
        constants={"n": np.array(2)},
    )


def test_nested_loops_name_the_file_once(tmp_path: Path) -> None:
    path = tmp_path / "loops.onnx"
    onnx.save(looped(node("Softmax s -> t", axis=7, name="innermost"), 3), path)
    found = message_of(lambda: unrolled.from_onnx(path))
    assert found.startswith(f"{path}: node 'outer' (Loop): node 'loop2' (Loop)")
    assert found.count(str(path)) == 1
    assert "node 'innermost' (Softmax): axis 7 is out of range" in found


LONG = "long" * 100_000


LONG_MODELS = {
    "name of a node": lambda: model(node("Softmax x -> y", axis=9, name=LONG), inputs={"x": (2,)}),
    "name of a tensor": lambda: model(f"MatMul x,{LONG} -> y", inputs={"x": (2,)}),
    "two names": lambda: model(node(f"MatMul x,{LONG} -> {LONG}2", name=LONG), inputs={"x": (2,)}),
    "an attribute": lambda: model(node("Softmax x -> y", axis=LONG), inputs={"x": (2,)}),
    "a list": lambda: model(
        "Tile x,c -> y", inputs={"x": (2,)}, constants={"c": np.full(100_000, 3)}
    ),
    "a shape": lambda: model(
        "Reshape x,c -> y", inputs={"x": (2,)}, constants={"c": np.full(100_000, 3)}
    ),
    "an equation": lambda: model(node("Einsum x -> y", equation=LONG), inputs={"x": (2,)}),
    "an open length": lambda: model("Relu x -> y", inputs={"x": (LONG,)}),
    "an input": lambda: model(f"Relu {LONG} -> y", inputs={LONG: ("N",)}),
    "a kernel": lambda: model(
        node("Conv x,w -> y", kernel_shape=[5] * 100_000),
        inputs={"x": (1, 1, 4)},
        weights={"w": (1, 1, 3)},
    ),
    "a stored tensor twice": lambda: twins(LONG),
}


def twins(name: str) -> ModelProto:
    proto = model(f"MatMul x,{name} -> y", inputs={"x": (1, 3)}, weights={name: (3, 4)})
    proto.graph.initializer.append(proto.graph.initializer[0])
    return proto


@pytest.mark.parametrize("name", LONG_MODELS)
def test_long_values_are_cut(name: str) -> None:
    found = message_of(lambda: unrolled.from_onnx(LONG_MODELS[name]()))
    assert len(found) < 2100
    assert "..." in found


def test_many_operators_without_a_rule() -> None:
    """The message names some, the error has them all."""
    nodes = [node(f"my.domain::Op{number} x -> y{number}") for number in range(3000)]
    summed = f"Sum {','.join([f'y{number}' for number in range(3000)])} -> y"
    with pytest.raises(UnsupportedOperatorError) as caught:
        unrolled.from_onnx(model(*nodes, summed, inputs={"x": (2,)}))
    assert "no rule for 3,000 operators" in str(caught.value)
    assert "and 2,980 more" in str(caught.value)
    assert len(str(caught.value)) < 2000
    assert len(caught.value.operators) == 3000


def test_long_names_of_keras() -> None:
    for layer in (("Dense", {"units": -1, "name": LONG}), ("Dense", {"units": LONG}), (LONG, {})):
        with pytest.raises(UnrolledError) as caught:
            unrolled.from_keras(sequence(layer))
        assert len(str(caught.value)) < 2100


# Budgets: in total, not an item each.


def folded(number: int, length: int = 1 << 24) -> ModelProto:
    """A small file that folds as many constants."""
    shape = numpy_helper.from_array(np.array([length]), "shape")
    nodes = [helper.make_node("ConstantOfShape", ["shape"], ["c"])]
    fill = helper.make_node("Constant", [], ["one"], value_float=1.0)
    nodes += [fill, *[helper.make_node("Add", ["c", "one"], [f"c{i}"]) for i in range(number)]]
    nodes.append(helper.make_node("Sum", ["x", *[f"c{i}" for i in range(number)]], ["y"]))
    graph = helper.make_graph(
        nodes,
        "bomb",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [],
    )
    # Not stored, so that the tensor is a constant and no weight that the model makes.
    graph.node.insert(0, helper.make_node("Constant", [], ["shape"], value=shape))
    return helper.make_model(graph)


def test_folded_constants_have_one_budget() -> None:
    proto = folded(200)
    assert proto.ByteSize() < 10_000
    assert "export the model with smaller inputs" in message_of(lambda: unrolled.from_onnx(proto))
    assert unrolled.from_onnx(folded(200, 1 << 10)).num_inputs == 1


def test_constants_are_let_go_after_their_last_reader() -> None:
    """A chain of large constants, of which two are there at a time."""
    proto = folded(1, 1 << 22)
    nodes = list(proto.graph.node[:-2])
    nodes += [
        helper.make_node("Add", [f"d{i - 1}" if i else "c", "one"], [f"d{i}"]) for i in range(48)
    ]
    nodes += [helper.make_node("Sum", ["x", "d47"], ["y"])]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    assert unrolled.from_onnx(proto).num_outputs == 1 << 22


def test_followed_elements_have_one_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unrolled.importers.tracing.budget.MOST_WORK", 10_000)
    nodes = [node(f"Trilu x -> y{number}", upper=number % 2) for number in range(30)]
    summed = f"Sum {','.join([f'y{number}' for number in range(30)])} -> y"
    proto = model(*nodes, summed, inputs={"x": (10, 10)})
    assert "one by one in all" in message_of(lambda: unrolled.from_onnx(proto))


def test_lists_of_positions_have_one_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unrolled.importers.tracing.budget.MOST_BYTES", 10_000)
    at = np.arange(100)[::-1].copy()
    nodes = [f"Gather x,at -> y{number}" for number in range(20)]
    summed = f"Sum {','.join([f'y{number}' for number in range(20)])} -> y"
    proto = model(*nodes, summed, inputs={"x": (100,)}, constants={"at": at})
    assert "lists of positions take more than" in message_of(lambda: unrolled.from_onnx(proto))


def test_parts_of_a_file_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unrolled.importers.onnx.reader.MOST_PARTS", 100)
    proto = model(f"Sum {','.join(['x'] * 200)} -> y", inputs={"x": (1,)})
    assert "more than 100 parts" in message_of(lambda: unrolled.from_onnx(proto))


def test_more_axes_than_any_tensor_has() -> None:
    proto = model("Add x,w -> y", inputs={"x": (1,)}, weights={"w": (1,)})
    proto.graph.initializer[0].dims.extend([1] * 100_000)
    assert "100,001 axes" in message_of(lambda: unrolled.from_onnx(proto))
    proto = model("Relu x -> y", inputs={"x": (1,) * 1000})
    assert "1,000 axes" in message_of(lambda: unrolled.from_onnx(proto))


def test_memory_that_runs_out_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr("unrolled.importers.onnx.importer.check_model", fail)
    found = message_of(lambda: unrolled.from_onnx(OPEN), MemoryLimitError)
    assert found.startswith("a ModelProto: there is not enough memory to read it; free some")
    monkeypatch.setattr("unrolled.importers.keras.importer.input_shapes", fail)
    found = message_of(lambda: unrolled.from_keras(OPEN_KERAS), MemoryLimitError)
    assert found.startswith("Keras configuration: there is not enough memory")


def test_a_rule_that_takes_too_much_memory() -> None:
    """Of Keras, where it was called a damaged configuration."""

    @keras_door.rule("Greedy")
    def greedy(tracer: Any, layer: Any) -> Any:
        return np.ones(1 << 50)

    try:
        message_of(lambda: unrolled.from_keras(sequence(("Greedy", {}))), MemoryLimitError)
    finally:
        keras_door.importer.TABLE.remove("Greedy")


# Files: links to devices, pipes, archives.


@pytest.mark.parametrize("suffix", [".onnx", ".keras", ".json"])
@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/tty"])
def test_links_to_devices(suffix: str, device: str, tmp_path: Path) -> None:
    if not Path(device).exists():
        pytest.skip("no such device")
    path = tmp_path / f"link{suffix}"
    path.symlink_to(device)
    with pytest.raises(UnrolledError, match=r"device|No such"):
        unrolled.analyze(path)


def test_a_file_takes_no_more_memory_than_it_has(onnx_file: Path) -> None:
    """Not as much as the largest file might have, to be had before the first byte is read."""
    tracemalloc.start()
    try:
        unrolled.from_onnx(onnx_file, (1, 3))
        assert tracemalloc.get_traced_memory()[1] < 1 << 26
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes have no names here")
@pytest.mark.parametrize("suffix", [".onnx", ".keras", ".json"])
def test_a_pipe_is_refused_and_not_waited_for(suffix: str, tmp_path: Path) -> None:
    """Nobody writes to it, so that a reader would wait for ever."""
    path = tmp_path / f"pipe{suffix}"
    os.mkfifo(path)
    with pytest.raises(UnrolledError, match="a pipe; copy what it has into a file"):
        unrolled.analyze(path)


def with_external_integers(path: Path, location: str) -> Path:
    """A model whose shape of a Reshape is in another file."""
    proto = model("Reshape x,c -> y", inputs={"x": (6,)}, constants={"c": np.array([2, 3])})
    (tensor,) = proto.graph.initializer
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    path.write_bytes(proto.SerializeToString())
    return path


def test_external_integers(tmp_path: Path) -> None:
    path = with_external_integers(tmp_path / "model.onnx", "shape.bin")
    (tmp_path / "shape.bin").write_bytes(np.array([2, 3], np.int64).tobytes())
    assert unrolled.from_onnx(path).outputs[0].shape == (2, 3)


def test_external_data_that_links_elsewhere(tmp_path: Path) -> None:
    outside, inside = tmp_path / "secret.bin", tmp_path / "model"
    inside.mkdir()
    outside.write_bytes(np.array([2, 3], np.int64).tobytes())
    path = with_external_integers(inside / "model.onnx", "link.bin")
    (inside / "link.bin").symlink_to(outside)
    assert "outside of the folder" in message_of(lambda: unrolled.from_onnx(path))
    (inside / "link.bin").unlink()
    (inside / "link.bin").symlink_to("/dev/zero")
    message_of(lambda: unrolled.from_onnx(path))


def archive(path: Path, config: bytes, **options: Any) -> Path:
    with zipfile.ZipFile(path, "w", **options) as opened:
        opened.writestr("config.json", config)
        opened.writestr("metadata.json", b"{}")
    return path


def test_archives_that_unpack_to_much(tmp_path: Path) -> None:
    path = archive(tmp_path / "bomb.keras", b"[" * (1 << 26), compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 100_000
    assert "more than 16,777,216 bytes" in message_of(lambda: unrolled.from_keras(path))


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_archives_compressed_in_other_ways(method: int, tmp_path: Path) -> None:
    path = archive(tmp_path / "odd.keras", json.dumps(OPEN_KERAS).encode(), compression=method)
    assert "another way than Keras does" in message_of(lambda: unrolled.from_keras(path))


def test_archives_of_many_members(tmp_path: Path) -> None:
    path = tmp_path / "many.keras"
    with zipfile.ZipFile(path, "w") as opened:
        for number in range(30_000):
            opened.writestr(f"{number:05}", b"")
    assert "table of contents" in message_of(lambda: unrolled.from_keras(path))


def test_archives_that_keras_writes(tmp_path: Path) -> None:
    config = json.dumps(sequence(("Dense", {"units": 2}))).encode()
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        path = archive(tmp_path / f"net{method}.keras", config, compression=method)
        assert unrolled.from_keras(path).num_parameters == 10


# What a configuration says twice.


def test_keys_that_are_there_twice() -> None:
    text = json.dumps(sequence(("Dense", {"units": 2})))
    assert (
        unrolled.from_keras(text.replace('"units": 2', '"units": 2, "units": 2')).num_outputs == 2
    )
    twice = text.replace('"units": 2', '"units": 2, "units": 3')
    assert "the key 'units' twice" in message_of(lambda: unrolled.from_keras(twice))


def test_two_layers_of_one_name_in_a_sequence() -> None:
    """They would have shared their weights."""
    config = sequence(("Dense", {"units": 4, "name": "d"}), ("Dense", {"units": 4, "name": "d"}))
    assert "two layers have the name 'd'" in message_of(lambda: unrolled.from_keras(config))
