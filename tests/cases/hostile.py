"""Models that take much of a reader for what they are, and a program that reads them in 2 GiB.

The program is run in a process of its own, whose address space is limited, so that an allocation
that nobody checks ends it.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from cases.keras_models import MODELS, sequence

ADDRESS_SPACE = 2 << 30

CASES: dict[str, Callable[[], Any]] = {}
"""Bytes of an ONNX file, or what Keras serialises, by name."""


def case(function: Callable[[], Any]) -> Callable[[], Any]:
    CASES[function.__name__] = function
    return function


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number: int, content: bytes) -> bytes:
    """A field of a protocol buffer that holds bytes, text or a message."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def graph(*nodes: Any, **options: Any) -> bytes:
    from cases.onnx_models import model

    content: bytes = model(*nodes, **options).SerializeToString()
    return content


def chain(text: str, number: int, constants: Any = None, **options: Any) -> bytes:
    """One operator after the other."""
    from cases.onnx_models import node

    attributes = options.pop("attributes", {})
    names = ["x", *[f"y{at}" for at in range(number)]]
    nodes = [node(text.format(before, after), **attributes) for before, after in pairwise(names)]
    return graph(*nodes, constants=constants, **options)


@case
def onnx_nodes_without_anything() -> bytes:
    return field(7, field(1, b"") * 12_000_000)


@case
def onnx_names() -> bytes:
    return field(7, field(1, field(1, b"x") * 3_000_000))


@case
def onnx_nested_graphs() -> bytes:
    nested = field(1, field(4, b"If"))
    for _ in range(500):
        nested = field(1, field(4, b"If") + field(5, field(1, b"then_branch") + field(6, nested)))
    return field(7, nested)


@case
def onnx_folded_constants() -> bytes:
    from onnx import helper, numpy_helper

    shape = numpy_helper.from_array(np.array([1 << 24]))
    nodes = [
        helper.make_node("Constant", [], ["shape"], value=shape),
        helper.make_node("ConstantOfShape", ["shape"], ["c"]),
        *[helper.make_node("Neg", ["c"], [f"c{at}"]) for at in range(200)],
        helper.make_node("Sum", ["x", *[f"c{at}" for at in range(200)]], ["y"]),
    ]
    return graph(*nodes, inputs={"x": (1,)})


@case
def onnx_lists_of_positions() -> bytes:
    at = np.arange(1 << 22)[::-1].copy()
    return chain("Gather {},at -> {}", 50, {"at": at}, inputs={"x": (1 << 22,)})


@case
def onnx_triangles() -> bytes:
    return chain("Trilu {} -> {}", 20, inputs={"x": (2048, 2048)})


@case
def onnx_resized() -> bytes:
    options: dict[str, Any] = {"attributes": {"mode": "linear"}, "inputs": {"x": (1, 1, 8)}}
    return chain("Resize {},,,s -> {}", 20, {"s": np.array([1, 1, 1 << 22])}, **options)


@case
def onnx_masks() -> bytes:
    mask = np.tri(2048, dtype=bool)
    nodes = [f"Where m,x,zero -> y{at}" for at in range(30)]
    total = f"Sum {','.join([f'y{at}' for at in range(30)])} -> z"
    constants = {"m": mask, "zero": np.float32(0)}
    return graph(*nodes, total, inputs={"x": (2048, 2048)}, constants=constants)


@case
def onnx_sum_of_statistics() -> bytes:
    from cases.onnx_models import node

    nodes = [node(f"ReduceMean x -> m{at}", axes=[0]) for at in range(8000)]
    total = f"Sum {','.join([f'm{at}' for at in range(8000)])} -> y"
    return graph(*nodes, total, inputs={"x": (2, 4)})


@case
def onnx_loops_in_loops() -> bytes:
    from cases.onnx_models import node, subgraph

    body = subgraph("Identity c -> d", "Add s,w -> t", inputs="i,c,s", outputs="d,t")
    for _ in range(6):
        loop = node("Loop n,,s -> t", body=body)
        body = subgraph("Identity c -> d", loop, inputs="i,c,s", outputs="d,t")
    constants = {"n": np.array(1000)}
    nodes = [node("Loop n,,x -> y", body=body)]
    return graph(*nodes, inputs={"x": (2,)}, weights={"w": (2,)}, constants=constants)


@case
def onnx_functions_that_double() -> bytes:
    from onnx import helper

    from cases.onnx_models import node

    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("my.domain", 1)]
    functions = []
    for at in range(30):
        inner = f"my.domain::F{at + 1}" if at < 29 else "Relu"
        nodes = [node(f"{inner} x -> a"), node(f"{inner} a -> y")]
        functions.append(helper.make_function("my.domain", f"F{at}", ["x"], ["y"], nodes, opsets))
    return graph("my.domain::F0 x -> y", inputs={"x": (2,)}, functions=functions)


@case
def onnx_many_axes() -> bytes:
    axes = np.arange(1, 50_000)
    return graph("Unsqueeze x,a -> y", "Neg y -> z", inputs={"x": (4,)}, constants={"a": axes})


@case
def onnx_strings() -> bytes:
    from onnx import ModelProto

    proto = ModelProto()
    proto.ParseFromString(graph("Identity s -> y", inputs={"x": (2,)}))
    tensor = proto.graph.initializer.add()
    tensor.name, tensor.data_type = "s", 8
    tensor.dims.append(1_000_000)
    tensor.string_data.extend([b""] * 1_000_000)
    content: bytes = proto.SerializeToString()
    return content


@case
def onnx_einsum_of_many() -> bytes:
    from cases.onnx_models import node

    equation = f"{','.join(['a'] * 5000)}->a"
    return graph(
        node(f"Einsum {','.join(['x'] * 5000)} -> y", equation=equation), inputs={"x": (4,)}
    )


@case
def keras_wide() -> Any:
    return sequence(("Dense", {"units": 1 << 62}), ("Dense", {"units": 1 << 62}))


@case
def keras_deep() -> Any:
    return sequence(*[("Dense", {"units": 4})] * 21_000)


@case
def keras_nested() -> Any:
    model = sequence(("Dense", {"units": 4}))
    for number in range(5000):
        config = {"name": f"m{number}", "layers": [model]}
        model = {"class_name": "Sequential", "config": config}
    return model


@case
def keras_doubling() -> Any:
    start = sequence()["config"]["layers"]
    model: dict[str, Any] = {"class_name": "Dense", "config": {"name": "d", "units": 4}}
    for number in range(40):
        twin = {**model, "config": {**model["config"], "name": "twin"}}
        config = {"name": f"m{number}", "layers": [*start, model, twin]}
        model = {"class_name": "Sequential", "config": config}
    return model


@case
def keras_sequences() -> Any:
    recurrent = {"units": 4, "return_sequences": True}
    return sequence(*[("LSTM", recurrent)] * 20, shape=(None, 10_000, 4))


@case
def keras_repeated() -> Any:
    layers = [("UpSampling1D", {"size": 1000})] * 5
    return sequence(*layers, shape=(None, 10, 4))


@case
def keras_padded() -> Any:
    layers = [("ZeroPadding1D", {"padding": [1 << 40, 1 << 40]})] * 20
    return sequence(*layers, shape=(None, 10, 4))


@case
def keras_pooled() -> Any:
    layers = [("AdaptiveAveragePooling1D", {"output_size": 1 << 16})] * 50
    return sequence(*layers, shape=(None, 1 << 16, 4))


@case
def keras_text_of_objects() -> Any:
    return '{"class_name": "Sequential", "config": [' + "{}," * 5_000_000 + "{}]}"


@case
def keras_text_of_lists() -> Any:
    return '{"class_name": "Sequential", "config": ' + "[" * 1_000_000 + "}"


def archive(config: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("config.json", config)
    return stream.getvalue()


@case
def keras_archive_of_objects() -> Any:
    return archive(b'{"class_name": "Sequential", "config": [' + b"{}," * 20_000_000 + b"{}]}")


def mutated(kind: str, number: int) -> Any:
    """A damaged model: "onnx", "onnx bytes", "keras", "keras text" or "keras archive"."""
    from cases import keras_mutations
    from cases.onnx_mutations import mutated_bytes, mutated_model

    random = Random(f"{kind} {number}")
    if kind.startswith("onnx"):
        from cases.onnx_control import CONTROL
        from cases.onnx_elementwise import ELEMENTWISE
        from cases.onnx_layers import LAYERS
        from cases.onnx_movement import MOVEMENT
        from unrolled.importers import onnx

        models: Any = {**ELEMENTWISE, **MOVEMENT, **LAYERS, **CONTROL}
        chosen = random.choice(list(models.values()))
        if kind == "onnx bytes":
            return mutated_bytes(random, chosen.SerializeToString())
        return mutated_model(random, chosen, [*onnx.operators()]).SerializeToString()
    config = random.choice(list(MODELS.values()))
    if kind == "keras":
        return keras_mutations.mutated_config(random, config)
    text = json.dumps(config)
    if kind == "keras text":
        return mutated_bytes(random, text.encode())
    return mutated_bytes(random, keras_mutations.archive(text))


def read(model: Any, folder: Path, is_onnx: bool) -> str:
    """What became of a model: "read", "refused", "out of memory", or an exception that is none."""
    import unrolled
    from unrolled.errors import MemoryLimitError, UnrolledError

    if isinstance(model, bytes):
        path = folder / ("model.onnx" if is_onnx else "model.keras")
        path.write_bytes(model)
        model = path
    try:
        network = (unrolled.from_onnx if is_onnx else unrolled.from_keras)(model)
        if network.num_parameters and max([one.size for one in network.tensors]) < 100_000:
            unrolled.count(network, exact=False, memory_limit=1 << 26)
    except MemoryLimitError:
        return "out of memory"
    except UnrolledError as error:
        return "refused" if len(str(error)) < 2100 else f"a message of {len(str(error))} letters"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return "read"


def main() -> None:
    """Read the cases that are named, or ``kind first last`` damaged ones; a line of JSON each.

    Every model has a process to itself, a fork of this one.
    """
    import unrolled
    from cases.onnx_models import model

    unrolled.from_onnx(model("Relu x -> y", inputs={"x": (2,)}))  # Loads what it needs.
    names = sys.argv[1:]
    if names[0] in CASES:
        given = [(name, name.startswith("onnx"), CASES[name]) for name in names]
    else:
        kind, first, last = names
        given = [
            (f"{kind} {number}", kind.startswith("onnx"), partial(mutated, kind, number))
            for number in range(int(first), int(last))
        ]
    with tempfile.TemporaryDirectory() as folder:
        for name, is_onnx, made in given:
            sys.stdout.flush()
            process = os.fork()
            if process == 0:
                report(name, made(), Path(folder), is_onnx)
                sys.stdout.flush()
                os._exit(0)
            _, status = os.waitpid(process, 0)
            if status:
                print(json.dumps({"name": name, "result": f"ended by {status}", "seconds": 0}))


def report(name: str, model: Any, folder: Path, is_onnx: bool) -> None:
    """Read a model and print what became of it."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    start = time.process_time()
    result = read(model, folder, is_onnx)
    seconds = time.process_time() - start
    print(json.dumps({"name": name, "result": result, "seconds": seconds}))


if __name__ == "__main__":
    main()
