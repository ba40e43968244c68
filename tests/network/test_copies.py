"""Networks that are pickled, copied, compared and hashed."""

from __future__ import annotations

import copy
import hashlib
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unrolled
from strategies.random_networks import Twin, twins
from unrolled import Network, Relation, models
from unrolled.network import Operation, Tensor

PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)


def pickled(value: Any, protocol: int = pickle.HIGHEST_PROTOCOL) -> Any:
    return pickle.loads(pickle.dumps(value, protocol))


@settings(max_examples=60)
@given(twins(), st.sampled_from(PROTOCOLS))
def test_random_networks_come_back_the_same(twin: Twin, protocol: int) -> None:
    network = twin.network
    for again in (pickled(network, protocol), copy.copy(network), copy.deepcopy(network)):
        assert again is not network
        assert again == network
        assert again.fingerprint() == network.fingerprint()
        assert (again.name, again.semantics) == (network.name, network.semantics)
        for one, other in zip(again.tensors, network.tensors, strict=True):
            assert one.network is again
            assert (one.id, one.name, one.shape) == (other.id, other.name, other.shape)
            assert again.operation(one) == network.operation(other)
        for link, given_link in zip(again.links, network.links, strict=True):
            assert (link.relations, link.role) == (given_link.relations, given_link.role)
        assert [one.shapes for one in again.layers] == [one.shapes for one in network.layers]
        counts, expected = unrolled.count(again), unrolled.count(network)
        assert counts.total == expected.total
        assert [counts[name].exact().tolist() for name in counts] == [
            expected[name].exact().tolist() for name in expected
        ]


def test_a_copy_is_a_network_of_its_own() -> None:
    """`copy.copy` gave two networks with one core, so that a layer of one was half in the other."""
    for copied in (copy.copy, copy.deepcopy, pickled):
        network = models.mlp([3], inputs=2)
        other = copied(network)
        before = network.tensors, network.fingerprint()
        other.output(other.dense(other["layer1"], 5))
        assert (network.tensors, network.fingerprint()) == before
        assert other != network
        # Automatic names go on as they would have in the original.
        assert network.dense(network["layer1"], 5).name == other.tensors[len(before[0]) + 2].name
        with pytest.raises(unrolled.InvalidNetworkError, match="belongs to another network"):
            other.dense(network["layer1"], 5)


def test_tensors_and_links_keep_their_network() -> None:
    network = models.mlp([3], inputs=2)
    tensor, link, layer = network.tensors[1], network.links[0], network.layers[0]
    for copied in (copy.deepcopy, pickled):
        again, same = copied((network, tensor))
        assert same is again.tensors[1]
        same, again = copied((tensor, network))  # the network for the sake of the tensor
        assert same is again.tensors[1]
        alone = copied(tensor)
        assert alone is alone.network.tensors[1]
        assert alone.network == network
        other = copied(link)
        assert (other.source.name, other.target.name) == (link.source.name, link.target.name)
        assert (other.relations, other.role) == (link.relations, link.role)
        assert copied(layer).shapes == layer.shapes
        assert copied(layer).configuration == layer.configuration


class Subclass(Network):
    """A network that remembers a tensor."""

    first: Tensor


def test_subclasses_keep_what_they_know() -> None:
    network = Subclass("own")
    network.first = network.input((2,))
    network.output(network.dense(network.first, 3))
    for copied in (copy.copy, copy.deepcopy, pickled):
        again = copied(network)
        assert type(again) is Subclass
        assert again.first is again.tensors[0]
        assert again == network


def test_pickles_are_short() -> None:
    """Every relation is there once, however many links have it."""
    small, large = (len(pickle.dumps(models.resnet(depth))) for depth in (18, 152))
    assert small < 30_000
    assert large < 160_000


def test_published_models_can_still_be_resized() -> None:
    network = models.resnet(18, size=32)
    for again in (pickled(network), copy.copy(network), pickled(network.share())):
        assert again.is_resizable
        assert again.resized(48).num_inputs == 3 * 48 * 48
    assert pickled(models.mlp([4], inputs=3)) == models.mlp([4], inputs=3)


def test_recipes_and_functions_that_cannot_be_pickled_are_left_behind() -> None:
    network = models.resnet(18, size=32)
    network.set_recipe(lambda size: models.resnet(18, size=size))  # type: ignore[arg-type]
    assert network.is_resizable
    assert copy.deepcopy(network).is_resizable
    assert not pickled(network).is_resizable
    own = Network()
    own.output(own.activation(own.activation(own.input((3,)), np.tanh), lambda x: x**3))
    again = pickled(own)
    assert again == own
    assert len(own.functions) == len(copy.copy(own).functions) == 2
    assert list(again.functions.values()) == [np.tanh]


def tiny(relations: list[Relation] | None = None) -> Network:
    network = Network("any name")
    x = network.input((2, 3), "x")
    y = network.tensor("y", (2, 3), operation=Operation("layer_norm", axes=(1,), epsilon=1e-3))
    network.link(x, y, relations or [Relation.same(0, 0), Relation.select(1, 1, [0, 2, -1])])
    network.output(y)
    return network


def test_the_fingerprint_is_what_the_documentation_says() -> None:
    indices = hashlib.sha256(np.array([0, 2, -1], dtype="<i8").tobytes()).hexdigest()
    text = (
        '["unrolled.Network",1,"value"]\n'
        '["tensor","x",[2,3],"input",false,["other",null,[],null,1,"0x0.0p+0"]]\n'
        '["tensor","y",[2,3],"activation",false,'
        f'["layer_norm",null,[1],null,1,"{(1e-3).hex()}"]]\n'
        '["link",0,1,"data",[["same",[0],[0],{}],["select",[1],[1],{"indices":"'
        + indices
        + '"}]]]\n'
        '["outputs",1]\n'
    )
    assert tiny().fingerprint() == hashlib.sha256(text.encode()).hexdigest()
    unnamed = text.replace('"tensor","x"', '"tensor",null').replace('"tensor","y"', '"tensor",null')
    assert tiny().fingerprint(names=False) == hashlib.sha256(unnamed.encode()).hexdigest()


def test_the_fingerprint_is_the_same_in_every_process() -> None:
    program = "import unrolled; print(unrolled.models.resnet(18, size=32).fingerprint())"
    found = set()
    for seed in ("0", "1", "random"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, env=environment, check=True
        )
        found.add(done.stdout.decode().strip())
    assert found == {models.resnet(18, size=32).fingerprint()}


def test_relations_of_a_link_have_no_order() -> None:
    turned = [Relation.select(1, 1, [0, 2, -1]), Relation.same(0, 0)]
    assert tiny(turned) == tiny()
    assert tiny(turned).fingerprint() == tiny().fingerprint()
    # They stay as they were given all the same.
    assert list(pickled(tiny(turned)).links[0].relations) == turned


def with_output(network: Network) -> None:
    network.output(network["x"])


def with_tensor(network: Network) -> None:
    network.tensor("z", ())


def with_link(network: Network) -> None:
    network.link(network["x"], network["y"], [Relation.same(0, 0), Relation.same(1, 1)])


CHANGES: dict[str, Callable[[], Network]] = {
    "index": lambda: tiny([Relation.same(0, 0), Relation.select(1, 1, [0, 1, -1])]),
    "kind of relation": lambda: tiny([Relation.same(0, 0), Relation.same(1, 1)]),
    "name": lambda: built("x", "z"),
    "role of a tensor": lambda: built("x", "y", parameter=True),
    "shape": lambda: built("x", "y", length=4),
    "semantics": lambda: built("x", "y", semantics="dependency"),
    "role of a link": lambda: built("x", "y", role="bias"),
    "operation": lambda: built("x", "y", operation=Operation("sum")),
    "epsilon": lambda: built("x", "y", operation=Operation("layer_norm", axes=(1,), epsilon=1e-4)),
    "more outputs": lambda: changed(with_output),
    "more tensors": lambda: changed(with_tensor),
    "more links": lambda: changed(with_link),
}


def changed(change: Callable[[Network], None]) -> Network:
    network = tiny()
    change(network)
    return network


def built(
    first: str,
    second: str,
    *,
    parameter: bool = False,
    length: int = 3,
    semantics: Any = "value",
    role: Any = "data",
    operation: Operation | None = None,
) -> Network:
    network = Network(semantics=semantics)
    shape = (2, length)
    x = network.parameter(first, shape) if parameter else network.input(shape, first)
    kept = Operation("layer_norm", axes=(1,), epsilon=1e-3)
    y = network.tensor(second, (2, 3), operation=operation or kept)
    network.link(x, y, [Relation.same(0, 0), Relation.select(1, 1, [0, 2, -1])], role=role)
    network.output(y)
    return network


def test_the_same_built_otherwise_is_equal() -> None:
    assert built("x", "y") == tiny()
    assert built("x", "y").fingerprint() == tiny().fingerprint()


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_whatever_a_network_is_made_of_tells_it_apart(change: Callable[[], Network]) -> None:
    one, other = tiny(), change()
    assert one != other
    assert one.fingerprint() != other.fingerprint()
    # Names are all that may be left out.
    only_names = [tensor.shape for tensor in one.tensors] == [t.shape for t in other.tensors] and (
        [tensor.name for tensor in one.tensors] != [tensor.name for tensor in other.tensors]
    )
    assert (one.fingerprint(names=False) == other.fingerprint(names=False)) == only_names


def test_a_network_that_can_change_has_no_hash() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(tiny())
    assert tiny() != "a network"
    assert {tiny().fingerprint(): 1}[tiny().fingerprint()] == 1
