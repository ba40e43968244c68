"""What Keras 2 writes: functions of TensorFlow between layers, layers for cuDNN, HDF5 files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unrolled
from cases.keras_models import functional, sequence
from unrolled import from_keras
from unrolled.errors import InvalidModelError, UnsupportedOperatorError


def keras_2(inputs: dict[str, Any], layers: list[tuple[Any, ...]], *outputs: str) -> dict[str, Any]:
    """A functional model as Keras 2 serialises it.

    Layers are given by name, class, configuration, and the list that their call is.
    """
    found: list[Any] = [
        {
            "class_name": "InputLayer",
            "name": name,
            "config": {"name": name, "batch_input_shape": list(shape)},
            "inbound_nodes": [],
        }
        for name, shape in inputs.items()
    ]
    for name, kind, config, node in layers:
        found.append(
            {
                "class_name": kind,
                "name": name,
                "config": {"name": name, **config},
                "inbound_nodes": [node],
            }
        )
    config = {
        "name": "net",
        "layers": found,
        "input_layers": [[name, 0, 0] for name in inputs],
        "output_layers": [[name, 0, 0] for name in outputs],
    }
    return {"class_name": "Functional", "config": config, "keras_version": "2.15.0"}


def function(name: str, of: str, node: list[Any]) -> tuple[Any, ...]:
    return name, "TFOpLambda", {"function": of}, node


def dense(name: str, x: str, units: int = 4) -> tuple[Any, ...]:
    return name, "Dense", {"units": units, "use_bias": False}, [[x, 0, 0, {}]]


def counts_of(config: Any) -> dict[str, list[Any]]:
    counts = unrolled.count(from_keras(config))
    return {name: counts[name].exact().tolist() for name in counts}


X = {"x": (None, 4)}

SAME: dict[str, tuple[list[tuple[Any, ...]], dict[str, Any]]] = {
    "math.add": ([function("y", "math.add", ["a", 0, 0, {"y": ["b", 0, 0]}])], {"y": ("Add", {})}),
    "__operators__.add": (
        [function("y", "__operators__.add", ["a", 0, 0, {"y": ["b", 0, 0], "name": None}])],
        {"y": ("Add", {})},
    ),
    "math.multiply": (
        [function("y", "math.multiply", ["a", 0, 0, {"y": ["b", 0, 0]}])],
        {"y": ("Multiply", {})},
    ),
    "concat": (
        [function("y", "concat", [["a", 0, 0, {"axis": -1}], ["b", 0, 0, {"axis": -1}]])],
        {"y": ("Concatenate", {"axis": -1})},
    ),
    "math.maximum": (
        [function("y", "math.maximum", ["a", 0, 0, {"y": ["b", 0, 0]}])],
        {"y": ("Maximum", {})},
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_a_function_of_two_tensors_is_the_layer_that_does_the_same(name: str) -> None:
    layers, expected = SAME[name]
    first = keras_2(X, [dense("a", "x"), dense("b", "x"), *layers, dense("z", "y", 2)], "z")
    ((kind, config),) = expected.values()
    calls = {
        "a": ("Dense", {"units": 4, "use_bias": False}, ["x"]),
        "b": ("Dense", {"units": 4, "use_bias": False}, ["x"]),
        "y": (kind, config, [["a", "b"]]),
        "z": ("Dense", {"units": 2, "use_bias": False}, ["y"]),
    }
    assert counts_of(first) == counts_of(functional(X, calls, "z"))


def test_a_hard_swish_of_published_models_is_one_function() -> None:
    """``x * relu6(x + 3) / 6`` as MobileNetV3 of Keras 2 has it: every weight has one path."""
    layers = [
        dense("a", "x"),
        function("plus", "__operators__.add", ["a", 0, 0, {"y": 3.0, "name": None}]),
        ("relu", "ReLU", {"max_value": 6.0}, [["plus", 0, 0, {}]]),
        function("part", "math.multiply", ["relu", 0, 0, {"y": 1 / 6, "name": None}]),
        ("y", "Multiply", {}, [["a", 0, 0, {}], ["part", 0, 0, {}]]),
    ]
    assert counts_of(keras_2(X, layers, "y")) == {"a/kernel": [[1] * 4] * 4}


def ones(rows: int, counts: list[int]) -> list[list[int]]:
    return [counts] * rows


FUNCTIONS: dict[str, tuple[list[tuple[Any, ...]], list[int]]] = {
    "a constant first": (
        [function("y", "math.subtract", ["_CONSTANT_VALUE", -1, 1.0, {"y": ["a", 0, 0]}])],
        [1, 1, 1, 1],
    ),
    "mean": ([function("y", "math.reduce_mean", ["a", 0, 0, {"axis": 1}])], [1, 1, 1, 1]),
    "reshape": ([function("y", "reshape", ["a", 0, 0, {"shape": [-1, 2, 2]}])], [1, 1, 1, 1]),
    "split": (
        [
            function("s", "split", ["a", 0, 0, {"num_or_size_splits": [1, 3], "axis": -1}]),
            ("y", "Dense", {"units": 5, "use_bias": False}, [["s", 0, 1, {}]]),
        ],
        [0, 5, 5, 5],
    ),
    "softmax": ([function("y", "nn.softmax", ["a", 0, 0, {"axis": -1}])], [1, 1, 1, 1]),
    "matmul": (
        [
            function("t", "expand_dims", ["a", 0, 0, {"axis": 1}]),
            function("y", "linalg.matmul", ["t", 0, 0, {"b": ["t", 0, 0], "transpose_b": True}]),
        ],
        [2, 2, 2, 2],
    ),
    "clip": (
        [function("y", "clip_by_value", ["a", 0, 0, {"clip_value_min": 0, "clip_value_max": 1}])],
        [1, 1, 1, 1],
    ),
    "slices": (
        [
            (
                "y",
                "SlicingOpLambda",
                {"function": "__operators__.getitem"},
                [
                    "a",
                    0,
                    0,
                    {
                        "slice_spec": [
                            {"start": None, "stop": None, "step": None},
                            {"start": 1, "stop": 3, "step": None},
                        ]
                    },
                ],
            )
        ],
        [0, 1, 1, 0],
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_tensorflow(name: str) -> None:
    """Counts of the four columns of a kernel in front of them."""
    layers, columns = FUNCTIONS[name]
    config = keras_2(X, [dense("a", "x"), *layers], "y")
    assert counts_of(config)["a/kernel"] == ones(4, columns)


CUBE = (2, 3, 4)


def columns_of(of: str, arguments: Any, form: Any, shape: Any = CUBE) -> None:
    """The function counts as its form does, which is linear: a sum over all that it reads."""
    scale = ("a", "PReLU", {}, [["x", 0, 0, {}]])
    layers = [scale, function("y", of, ["a", 0, 0, arguments])]
    found = np.array(counts_of(keras_2({"x": (2, *shape)}, layers, "y"))["a/alpha"], dtype=int)
    expected = np.zeros(shape, dtype=int)
    for place in np.ndindex(*shape):
        basis = np.zeros((2, *shape))
        basis[(slice(None), *place)] = 1
        expected[place] = form(basis).sum()
    np.testing.assert_array_equal(found, expected)


def cumulated(axis: int, exclusive: bool = False, reverse: bool = False) -> Any:
    """TensorFlow's cumulative sum, by its definition."""

    def form(x: Any) -> Any:
        x = np.flip(x, axis) if reverse else x
        total = np.cumsum(x, axis)
        total = total - x if exclusive else total
        return np.flip(total, axis) if reverse else total

    return form


@pytest.mark.parametrize("of", ["math.cumsum", "math.cumprod"])
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_cumulative_sums(of: str, axis: int | None, exclusive: bool, reverse: bool) -> None:
    arguments: dict[str, Any] = {"exclusive": exclusive, "reverse": reverse, "name": None}
    if axis is not None:
        arguments["axis"] = axis
    columns_of(of, arguments, cumulated(axis or 0, exclusive, reverse))


def unchanged(x: Any) -> Any:
    """What a normaliser is with value semantics."""
    return x


def total(axis: int | None, keepdims: bool = False) -> Any:
    return lambda x: np.sum(x, axis, keepdims=keepdims)


DEFAULTS: dict[str, tuple[str, dict[str, Any], Any]] = {
    "argmax is along the first axis": ("math.argmax", {}, total(0)),
    "argmin of an axis": ("math.argmin", {"axis": 2, "output_type": "int32"}, total(2)),
    "a sum is over all axes": ("math.reduce_sum", {}, total(None)),
    "a mean keeps its axes": ("math.reduce_mean", {"axis": -1, "keepdims": True}, total(-1, True)),
    "any is a reduction": ("math.reduce_any", {"axis": 1}, total(1)),
    "rows are gathered": ("gather", {"indices": [0, 0], "batch_dims": 0}, lambda x: x[[0, 0]]),
    "columns are gathered": (
        "gather",
        {"indices": [1, 1, 0], "axis": 2},
        lambda x: np.take(x, [1, 1, 0], 2),
    ),
    "a log-softmax": ("nn.log_softmax", {}, unchanged),
    "reversed": ("reverse", {"axis": [1]}, lambda x: x),
    "reflected": (
        "pad",
        {"paddings": [[0, 0], [0, 0], [1, 1], [2, 0]], "mode": "REFLECT"},
        lambda x: np.pad(x, [(0, 0), (0, 0), (1, 1), (2, 0)], mode="reflect"),
    ),
    "padded with constants": (
        "pad",
        {"paddings": [[0, 0], [0, 0], [1, 1], [0, 0]], "mode": "CONSTANT", "constant_values": 3},
        lambda x: x,
    ),
    "repeated": ("repeat", {"repeats": 2, "axis": 1}, lambda x: np.repeat(x, 2, 1)),
    "a leaky rectifier": ("nn.leaky_relu", {"alpha": 0.1}, unchanged),
    "a norm with its epsilon": ("math.l2_normalize", {"epsilon": 1e-6}, unchanged),
    "a GELU by tanh": ("nn.gelu", {"approximate": True}, unchanged),
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_arguments_that_tensorflow_has_by_default(name: str) -> None:
    of, arguments, form = DEFAULTS[name]
    columns_of(of, arguments, form)


@pytest.mark.parametrize(
    ("of", "group"),
    [("nn.softmax", 4), ("nn.log_softmax", 4), ("math.l2_normalize", 2 * 3 * 4)],
)
def test_normalisers_have_the_groups_of_tensorflow(of: str, group: int) -> None:
    """With dependency semantics every element is read by all of its group."""
    scale = ("a", "PReLU", {}, [["x", 0, 0, {}]])
    layers = [scale, function("y", of, ["a", 0, 0, {}])]
    network = from_keras(keras_2({"x": (1, *CUBE)}, layers, "y"), semantics="dependency")
    assert unrolled.count(network)["a/alpha"].exact().tolist() == np.full(CUBE, group).tolist()


def test_arguments_that_move_edges_are_not_passed_over() -> None:
    layers = [
        dense("a", "x"),
        function("y", "gather", ["a", 0, 0, {"indices": [0], "axis": 1, "batch_dims": 1}]),
    ]
    with pytest.raises(UnsupportedOperatorError, match="batch_dims"):
        from_keras(keras_2(X, layers, "y"))


def test_unknown_functions_are_all_named() -> None:
    layers = [
        dense("a", "x"),
        function("p", "signal.fft", ["a", 0, 0, {}]),
        function("q", "math.cumsum", ["a", 0, 0, {"axis": 1, "reverse": True}]),
        function("y", "math.add", ["p", 0, 0, {"y": ["q", 0, 0]}]),
    ]
    with pytest.raises(UnsupportedOperatorError) as caught:
        from_keras(keras_2(X, layers, "y"))
    assert "tf.signal.fft" in str(caught.value)
    assert caught.value.operators == {"TFOpLambda": ["p"]}


@pytest.mark.parametrize(("kind", "gates"), [("LSTM", 4), ("GRU", 3)])
def test_layers_for_cudnn_have_two_biases(kind: str, gates: int) -> None:
    """The same counts as those of the plain layer; what its bias has, both have."""
    config = {"units": 3, "return_sequences": True}
    fast = counts_of(sequence((f"CuDNN{kind}", config), shape=(None, 4, 2)))
    plain = counts_of(sequence((kind, {**config, "reset_after": True}), shape=(None, 4, 2)))
    names = {name.rpartition("/")[2]: counts for name, counts in fast.items()}
    others = {name.rpartition("/")[2]: counts for name, counts in plain.items()}
    assert names["kernel"] == others["kernel"]
    assert names["recurrent_kernel"] == others["recurrent_kernel"]
    assert len(names["bias"]) == 2 * gates * 3
    expected = np.ravel(others["bias"]).tolist()
    assert names["bias"] == (expected if kind == "GRU" else 2 * expected)


def test_hdf5_files_have_their_configuration(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    config = keras_2(X, [dense("a", "x")], "a")
    for number, text in enumerate((json.dumps(config), json.dumps(config).encode())):
        path = tmp_path / f"model{number}.h5"
        with h5py.File(path, "w") as file:
            file.attrs["model_config"] = text
            file.attrs["keras_version"] = "2.15.0"
            file.create_group("model_weights")
        network = from_keras(path)
        assert network.num_parameters == 16
        assert network.provenance is not None
        assert network.provenance.version == "2.15.0"
        assert unrolled.analyze(path).num_parameters == 16
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file.create_group("layers")
    with pytest.raises(InvalidModelError, match="without a configuration"):
        from_keras(tmp_path / "weights.h5")
    (tmp_path / "damaged.h5").write_bytes(path.read_bytes()[:700])
    with pytest.raises(InvalidModelError, match="damaged HDF5"):
        from_keras(tmp_path / "damaged.h5")


def test_choices_by_values_come_from_everywhere() -> None:
    def columns(kind: str, config: dict[str, Any], *arguments: Any) -> list[int]:
        calls: dict[str, Any] = {
            "a": ("Dense", {"units": 4, "use_bias": False}, ["x"]),
            "y": (kind, config, ["a", *arguments]),
        }
        found: list[int] = counts_of(functional(X, calls, "y"))["a/kernel"][0]
        return found

    assert columns("ops.Sort", {"axis": -1}) == [4] * 4
    assert columns("ops.Argsort", {"axis": -1}) == [4] * 4
    assert columns("ops.TopK", {"k": 3}) == [3] * 4
    assert columns("Discretization", {"bin_boundaries": [0.0, 1.0]}) == [1] * 4
    one_hot = {"bin_boundaries": [0.0, 1.0], "output_mode": "one_hot"}
    assert columns("Discretization", one_hot) == [3] * 4
    assert columns("Discretization", {**one_hot, "output_mode": "count"}) == [3] * 4
    for mode, count in (("one_hot", 7), ("multi_hot", 7), ("count", 7)):
        config = {"num_tokens": 7, "output_mode": mode}
        assert columns("CategoryEncoding", config) == [count] * 4
    with pytest.raises(UnsupportedOperatorError, match="bins"):
        columns("Discretization", {"output_mode": "one_hot"})


def test_classes_of_ones_own_point_to_the_door_that_reads_them() -> None:
    own = {
        "class_name": "Mine",
        "module": "my.package",
        "registered_name": "Mine",
        "config": {"name": "m"},
    }
    config = sequence(("Dense", {"units": 2}))
    config["config"]["layers"].append(own)
    with pytest.raises(UnsupportedOperatorError, match="from_jax reads it"):
        from_keras(config)
