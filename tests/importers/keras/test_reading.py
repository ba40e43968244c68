"""Reading Keras models: sources, input shapes, names, tied and frozen weights, errors."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import unrolled
from oracles.keras_forms import counts_of, from_keras, keras, of_keras
from unrolled.errors import InvalidArgumentError, InvalidModelError, UnsupportedOperatorError
from unrolled.importers import keras as door
from unrolled.importers.keras import reader

pytestmark = of_keras
L, ops = keras.layers, keras.ops


@pytest.fixture
def model() -> Any:
    x = keras.Input((6, 5, 3), name="image")
    y = L.Conv2D(4, 3, activation="relu", name="conv")(x)
    y = L.GlobalMaxPooling2D()(y)
    return keras.Model(x, L.Dense(2, activation="softmax", name="head")(y), name="tiny")


def same(net: unrolled.Network, other: unrolled.Network) -> bool:
    counts, others = counts_of(net), counts_of(other)
    return {n: c.tolist() for n, c in counts.items()} == {n: c.tolist() for n, c in others.items()}


def test_every_source_is_the_same_network(model: Any, tmp_path: Path) -> None:
    net = from_keras(model)
    assert net.name == "tiny"
    assert [p.name for p in net.parameters] == [w.path for w in model.weights]
    model.save(tmp_path / "model.keras")
    (tmp_path / "model.json").write_text(model.to_json())
    sources = [
        tmp_path / "model.keras",
        str(tmp_path / "model.json"),
        model.to_json(),
        json.loads(model.to_json()),
        model.get_config(),
    ]
    for source in sources:
        assert same(from_keras(source), net)
    assert from_keras(tmp_path / "model.keras").provenance.version == keras.__version__
    assert from_keras(model, name="other").name == "other"


def test_provenance_says_what_was_read(model: Any) -> None:
    provenance = from_keras(model, semantics="dependency").provenance
    assert provenance.source == "Functional 'tiny'"
    assert (provenance.framework, provenance.version) == ("keras", keras.__version__)
    assert provenance.semantics == "dependency"
    assert provenance.input_shapes == {"image": (1, 6, 5, 3)}
    assert provenance.operators == {"Conv2D": 1, "Dense": 1, "GlobalMaxPooling2D": 1}
    assert sum(provenance.parameters.values()) == model.count_params()


def test_sequential_in_delayed_form() -> None:
    model = keras.Sequential([L.Dense(3, name="a"), L.Dense(2, name="b")], name="s")
    with pytest.raises(InvalidModelError, match="give input_shape"):
        from_keras(model)
    net = from_keras(model, (4,))
    assert {p.name: p.shape for p in net.parameters} == {
        "s/a/kernel": (4, 3), "s/a/bias": (3,), "s/b/kernel": (3, 2), "s/b/bias": (2,)
    }  # fmt: skip
    model.build((None, 4))
    assert same(from_keras(model), net)
    assert [w.path for w in model.weights] == [p.name for p in net.parameters]


def test_nested_models_and_tied_weights() -> None:
    inner = keras.Sequential([keras.Input((4,)), L.Dense(4, name="d")], name="inner")
    x = keras.Input((4,))
    plain = keras.Input((4,))
    functional = keras.Model(plain, [L.Dense(4, name="e")(plain), plain], name="functional")
    y, z = functional(inner(inner(x)))
    model = keras.Model(x, {"a": functional(y)[0], "b": z})
    for source in (model, model.to_json()):
        net = from_keras(source)
        assert {p.name for p in net.parameters} == {w.path for w in model.weights}
        counts = unrolled.count(net)
        # The two outputs behind one call of "d" are 4 * 4 through both of "e", and 1.
        assert counts["inner/d/kernel"].minimum == (16 + 1) * 4 + 16 + 1
        assert counts["e/kernel"].minimum == 4 + 1
        assert counts.num_weight_nodes == 2 * net.num_parameters


def test_layers_of_equal_names_are_kept_apart() -> None:
    x = keras.Input((3,))
    parts = []
    for name in ("one", "two"):
        given = keras.Input((3,))
        parts.append(keras.Model(given, L.Dense(3, name="d")(given), name=name))
    model = keras.Model(x, parts[1](parts[0](x)))
    net = from_keras(model.to_json())
    assert [p.name for p in net.parameters] == ["d/kernel", "d/bias", "two/d/kernel", "two/d/bias"]


def test_layer_shared_by_two_models(tmp_path: Path) -> None:
    shared = L.Dense(3, name="shared")
    parts = []
    for name in ("one", "two"):
        given = keras.Input((3,))
        parts.append(keras.Model(given, shared(given), name=name))
    x = keras.Input((3,))
    model = keras.Model(x, parts[1](parts[0](x)))
    model.save(tmp_path / "model.keras")
    assert from_keras(model).num_parameters == model.count_params() == 12
    assert from_keras(tmp_path / "model.keras").num_parameters == 12


def test_frozen_layers() -> None:
    frozen = keras.Sequential([keras.Input((3,)), L.Dense(3), L.BatchNormalization()])
    frozen.trainable = False
    model = keras.Sequential([keras.Input((3,)), frozen, L.BatchNormalization(), L.Dense(2)])
    for source in (model, model.to_json()):
        net = from_keras(source)
        trainable = {p.name for p in net.parameters if p.trainable}
        assert trainable == {w.path for w in model.trainable_weights}


def test_unknown_lengths_are_fixed() -> None:
    x = keras.Input((None, 3), name="x")
    model = keras.Model(x, L.Conv1D(2, 3, name="c")(x))
    with pytest.raises(InvalidModelError, match=r"'x'.*axis 1.*input_shape"):
        from_keras(model)
    assert from_keras(model, (7, 3)).provenance.input_shapes == {"x": (1, 7, 3)}
    assert from_keras(model, {"x": (7, 3)}).provenance.input_shapes == {"x": (1, 7, 3)}


def test_other_input_shapes(model: Any) -> None:
    assert from_keras(model, (9, 9, 3)).provenance.input_shapes == {"image": (1, 9, 9, 3)}
    for source in (model, model.to_json()):
        with pytest.raises(InvalidModelError, match=r"'conv'.*input_shape"):
            from_keras(source, (6, 5, 1))
    for wrong in [(6, 5), (6, 5, 0), "abc", (6, 5, 1.5), {"picture": (6, 5, 3)}]:
        with pytest.raises(InvalidArgumentError, match="image"):
            from_keras(model, wrong)


def test_several_inputs() -> None:
    a, b = keras.Input((2,), name="a"), keras.Input((None,), name="b")
    model = keras.Model({"b": b, "a": a}, L.Concatenate()([L.Dense(3)(a), b]))
    with pytest.raises(InvalidArgumentError, match="2 inputs"):
        from_keras(model, (3,))
    shapes = from_keras(model, {"b": (4,)}).provenance.input_shapes
    assert shapes == {"a": (1, 2), "b": (1, 4)}


def test_constants_in_the_graph() -> None:
    import numpy as np

    x = keras.Input((3,))
    model = keras.Model(x, L.Dense(2, name="d")(x * np.arange(3.0) + 1.0))
    assert unrolled.count(from_keras(model))["d/kernel"].maximum == 1


def test_subclassed_models_say_what_to_do() -> None:
    class Own(keras.Model):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__(name="own")
            self.dense = L.Dense(3, name="d")

        def call(self, x: Any) -> Any:
            return ops.relu(self.dense(x))

    own = Own()
    with pytest.raises(InvalidModelError, match=r"keras\.Model\(inputs, model\.call\(inputs\)\)"):
        from_keras(own)
    x = keras.Input((4,))
    assert from_keras(keras.Model(x, own.call(x))).num_parameters == 15


def test_subclass_of_a_functional_model(model: Any) -> None:
    class Own(keras.Model):  # type: ignore[misc,name-defined]
        pass

    assert same(from_keras(Own(model.inputs, model.outputs)), from_keras(model))


@pytest.fixture
def own_rule() -> Iterator[None]:
    yield
    door.importer.TABLE.remove("Scaled", "activations.odd")


class Scaled(L.Layer):  # type: ignore[misc,name-defined]
    def build(self, shape: Any) -> None:
        self.scale = self.add_weight(shape=(shape[-1],), name="scale")

    def call(self, x: Any) -> Any:
        return x * self.scale

    def compute_output_shape(self, shape: Any) -> Any:
        return shape


def test_rules_of_users(own_rule: None) -> None:
    x = keras.Input((3,))
    model = keras.Model(x, L.Dense(2)(Scaled(name="scaled")(x)))
    with pytest.raises(UnsupportedOperatorError, match=r"Scaled \(node 'scaled'.*rule\('Scaled'\)"):
        from_keras(model)

    @door.rule("Scaled")
    def scaled(tracer: Any, layer: Any) -> Any:
        return tracer.affine(layer.x, (1,), layer.weight("scale", layer.x.shape[1:]))

    net = from_keras(model)
    assert "Scaled" in door.operators()
    assert unrolled.count(net)["scaled/scale"].minimum == 2
    assert net.provenance.skipped == {}


def test_all_unsupported_layers_are_named() -> None:
    x = keras.Input((4,))
    a = L.Lambda(lambda y: y, output_shape=(4,), name="first")(x)
    b = L.Dense(3, activation=ops.sort, name="second")(x)
    c = L.Dense(3)(a)  # It reads a layer that cannot be read, and must not be blamed for that.
    with pytest.raises(UnsupportedOperatorError) as caught:
        from_keras(keras.Model(x, [a, b, c]))
    assert set(caught.value.operators) == {"Lambda", "activations.sort"}
    assert "Python code" in str(caught.value)


def test_classes_of_keras_names_are_not_mistaken() -> None:
    entry = {"module": "mine", "class_name": "Dense", "config": {"name": "d", "units": 2}}
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": [entry]}}
    with pytest.raises(UnsupportedOperatorError, match="mine>Dense"):
        from_keras(config, (3,))


def test_configuration_of_keras_2() -> None:
    """Older files write a call as the list [layer, call, tensor, keyword arguments]."""

    def layer(kind: str, name: str, inbound: list[Any], **config: Any) -> dict[str, Any]:
        config = {"name": name, **config}
        return {"class_name": kind, "config": config, "name": name, "inbound_nodes": inbound}

    layers = [
        layer("InputLayer", "x", [], batch_input_shape=[None, 4]),
        layer("Dense", "d", [[["x", 0, 0, {}]], [["d", 0, 0, {}]]], units=4, activation="relu"),
        layer("Add", "sum", [[["d", 0, 0, {}], ["d", 1, 0, {}]]]),
    ]
    config = {"name": "m", "layers": layers}
    config |= {"input_layers": [["x", 0, 0]], "output_layers": [["sum", 0, 0]]}
    net = from_keras({"class_name": "Functional", "config": config, "keras_version": "2.15.0"})
    assert net.provenance.version == "2.15.0"
    # A weight is used once behind both summands, and once before, through four units.
    assert unrolled.count(net)["d/kernel"].minimum == 1 + (1 + 4)


@pytest.mark.parametrize("what", [None, 3, [], L.Dense, "{}", "{", "[1]", {"class_name": "Dense"}])
def test_no_model(what: Any) -> None:
    with pytest.raises((InvalidArgumentError, InvalidModelError)):
        from_keras(what)


def test_files_that_are_none(tmp_path: Path, model: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="no file"):
        from_keras(tmp_path / "missing.keras")
    with pytest.raises(InvalidModelError, match="directory"):
        from_keras(tmp_path)
    for content in (b"", b"PK\x03\x04 and no more", b"\x89HDF\r\n\x1a\n", b"\xff\xfe", b"[]", b"3"):
        (tmp_path / "a.keras").write_bytes(content)
        with pytest.raises(InvalidModelError, match=r"a\.keras"):
            from_keras(tmp_path / "a.keras")
    with zipfile.ZipFile(tmp_path / "b.keras", "w") as archive:
        archive.writestr("other.json", "{}")
    with pytest.raises(InvalidModelError, match=r"config\.json"):
        from_keras(tmp_path / "b.keras")
    model.save(tmp_path / "c.keras")
    whole = (tmp_path / "c.keras").read_bytes()
    (tmp_path / "c.keras").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidModelError, match="damaged"):
        from_keras(tmp_path / "c.keras")
    with pytest.raises(InvalidArgumentError, match="semantics"):
        from_keras(model, semantics="other")


def damaged(config: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all values in a configuration."""
    yield path
    items = config.items() if isinstance(config, dict) else enumerate(config)
    for key, value in items:
        if isinstance(value, (dict, list)):
            yield from damaged(value, (*path, key))
        else:
            yield (*path, key)


def test_damaged_configurations_are_clear_errors(model: Any) -> None:
    """Whatever replaces one value, there is a network or an error of this package."""
    text = model.to_json()
    places = [p for p in damaged(json.loads(text)) if p and "initializer" not in str(p)]
    for place in places:
        for value in (None, -1, 10**30, "x", [], {}, [None], 0.5):
            config = json.loads(text)
            owner = config
            for key in place[:-1]:
                owner = owner[key]
            owner[place[-1]] = value
            try:
                from_keras(config)
            except unrolled.UnrolledError:
                continue


def test_traps_are_refused_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MOST_CALLS", 20_000)

    def nested(depth: int, entry: dict[str, Any]) -> dict[str, Any]:
        for level in range(depth):
            layers = [{**entry, "name": "a"}, {**entry, "name": "b"}]
            entry = {"class_name": "Sequential", "config": {"name": f"m{level}", "layers": layers}}
        return entry

    leaf = {"class_name": "Dropout", "config": {}}
    with pytest.raises(InvalidModelError, match="applied"):
        from_keras(nested(40, leaf), (3,))
    deep: dict[str, Any] = leaf
    for _ in range(5000):
        deep = {"class_name": "Sequential", "config": {"layers": [deep]}}
    with pytest.raises(InvalidModelError, match="nested"):
        from_keras(deep, (3,))
    layers = [
        {"class_name": "Dense", "name": name, "config": {"name": name, "units": 2},
         "inbound_nodes": [[[other, 0, 0, {}]]]}
        for name, other in (("a", "b"), ("b", "a"))
    ]  # fmt: skip
    config = {"layers": layers, "input_layers": [], "output_layers": [["a", 0, 0]]}
    with pytest.raises(InvalidModelError, match="cycle"):
        from_keras({"class_name": "Functional", "config": config})
    huge = {"class_name": "Dense", "config": {"name": "d", "units": 10**18}}
    with pytest.raises(unrolled.UnrolledError):
        from_keras({"class_name": "Sequential", "config": {"layers": [huge, huge]}}, (10**9,))


def test_files_are_read_without_keras(model: Any, tmp_path: Path) -> None:
    import subprocess
    import sys

    model.save(tmp_path / "model.keras")
    script = (
        "import sys; from unrolled.importers.keras import from_keras; "
        f"from_keras({str(tmp_path / 'model.keras')!r}); "
        "assert not {'keras', 'jax', 'tensorflow', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
