"""What PyTorch programs do besides computing: share, freeze, write in place, recur, branch."""

from __future__ import annotations

from typing import Any

import pytest

from unrolled import count
from unrolled.importers.torch import from_torch

torch = pytest.importorskip("torch")

from oracles.torch_counting import assert_counts  # noqa: E402

nn = torch.nn
X = torch.zeros(1, 4)


class Module(nn.Module):
    """Two linear layers and a function of them and an input."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4, bias=False)
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(self, x)


def written(self: Any, x: Any) -> Any:
    y = self.a(x)
    y[:, 0] = self.b(x)[:, 1]
    y[:, 2:] += 1
    y.relu_()
    return y


def written_through_views(self: Any, x: Any) -> Any:
    y = self.a(x)
    head, tail = y[:, :2], y.view(2, 2)
    head.copy_(self.b(x)[:, 2:])
    tail[1].zero_()
    return torch.cat([y, head], 1)


def replaced_in_place(self: Any, x: Any) -> Any:
    y = self.a(x)
    z = y.relu_()
    z.add_(self.b(x))
    return y + z


@pytest.mark.parametrize("function", [written, written_through_views, replaced_in_place])
def test_writing_in_place_counts_like_computing_anew(function: Any) -> None:
    assert_counts(Module(function), X)


def test_contexts_of_gradients_and_types() -> None:
    def function(self: Any, x: Any) -> Any:
        with torch.no_grad():
            y = self.a(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.b(y).float()

    plain = count(from_torch(Module(lambda self, x: self.b(self.a(x))), X))
    inside = count(from_torch(Module(function), X))
    assert {name: inside[name].total for name in inside} == {n: plain[n].total for n in plain}


def test_tied_parameters_are_one() -> None:
    module = Module(lambda self, x: self.b(self.a(x)))
    module.b.weight = module.a.weight
    network = from_torch(module, X)
    assert [tensor.name for tensor in network.parameters] == ["a.weight", "a.bias"]
    assert network.provenance is not None
    assert network.provenance.skipped == {"b.weight": "the same tensor as a.weight"}
    # As the first factor 4 paths, as the second 1 of each input of it.
    assert count(network)["a.weight"].exact().tolist() == [[5] * 4] * 4
    assert count(network)["a.weight"].num_weight_nodes == 32


def test_frozen_unused_and_buffers() -> None:
    module = Module(lambda self, x: self.a(x) * self.scale + self.offsets[self.places])
    module.a.weight.requires_grad_(False)
    module.register_buffer("scale", torch.ones(4))
    module.register_buffer("offsets", torch.ones(3), persistent=False)
    module.register_buffer("places", torch.tensor([0, 0, 2, 2]))
    network = from_torch(module, X)
    trainable = {tensor.name: tensor.trainable for tensor in network.parameters}
    assert trainable == {"a.weight": False, "a.bias": True, "scale": False}
    assert network.provenance is not None
    assert network.provenance.skipped == {
        "b.weight": "not used",
        "offsets": "a buffer that the state dict leaves out",
    }
    assert network.provenance.framework == "torch"
    assert network.provenance.input_shapes == {"x": (1, 4)}
    assert network.provenance.operators["aten.linear"] == 1


def test_buffers_that_are_masks_are_no_parameters() -> None:
    """As nanoGPT keeps its triangle, and others what they add to scores."""

    def function(self: Any, x: Any) -> Any:
        scores = self.a(x).mT @ self.b(x) + self.added
        return scores.masked_fill(self.triangle[:4, :4] == 0, -float("inf")).softmax(-1)

    module = Module(function)
    module.register_buffer("triangle", torch.tril(torch.ones(5, 5)))
    module.register_buffer("added", torch.full((4, 4), -1e9).triu(3))
    network = from_torch(module, X)
    assert [tensor.name for tensor in network.parameters] == ["a.weight", "a.bias", "b.weight"]
    assert network.provenance is not None
    assert network.provenance.skipped == {
        "triangle": "a buffer that only becomes a condition",
        "added": "a mask that is added",
    }


def test_the_module_is_left_as_it_was() -> None:
    module = Module(lambda self, x: self.a(x)).train()
    module.a.eval()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    from_torch(module, X)
    assert module.training
    assert not module.a.training
    assert all(torch.equal(before[name], t) for name, t in module.state_dict().items())
    assert torch.backends.mha.get_fastpath_enabled()


def test_inputs_may_be_meta_tensors_and_named() -> None:
    module = Module(lambda self, x: self.a(x))
    expected = count(from_torch(module, X)).total
    assert count(from_torch(module, (X.to("meta"),))).total == expected
    assert count(from_torch(module, kwargs={"x": X})).total == expected
    assert count(from_torch(module.to("meta"), X)).total == expected
    assert count(from_torch(module.to("meta").bfloat16(), X.bfloat16())).total == expected


@pytest.mark.filterwarnings("ignore::FutureWarning")  # Of run_decompositions, from PyTorch itself.
def test_exported_programs() -> None:
    module = Module(lambda self, x: self.b(self.a(x))).eval()
    expected = count(from_torch(module, X)).total
    program = torch.export.export(module, (X,))
    assert count(from_torch(program)).total == expected
    batch = torch.export.Dim("batch", min=1, max=8)
    program = torch.export.export(module, (torch.zeros(2, 4),), dynamic_shapes=({0: batch},))
    assert count(from_torch(program, torch.zeros(1, 4))).total == expected
    assert count(from_torch(program.run_decompositions(), torch.zeros(1, 4))).total == expected


def test_constants_are_worked_out() -> None:
    def function(self: Any, x: Any) -> Any:
        at = torch.arange(4).roll(1) % torch.tensor(3)
        mask = torch.ones(4, 4).tril().bool()
        return self.a(x)[:, at] + torch.zeros(4).masked_fill(mask[0], 1.0) + torch.rand(4)

    assert_counts(Module(function), X)


def test_branches_on_constants() -> None:
    def function(self: Any, x: Any) -> Any:
        first = torch.tensor(True)
        return torch.cond(first, lambda y: self.a(y), lambda y: self.b(y), (x,))

    network = from_torch(Module(function), X)
    assert [tensor.name for tensor in network.parameters] == ["a.weight", "a.bias"]


def test_operators_without_a_rule_are_read_as_what_they_are_made_of() -> None:
    def function(self: Any, x: Any) -> Any:
        return torch.tensordot(self.a(x), torch.kron(self.b(x), torch.ones(2)), ([0], [0]))

    network = from_torch(Module(function), X)
    counts = count(network)
    # The bias meets each of 8 columns; a row of b, spread to 2 columns, meets each of 4 rows.
    assert counts["a.bias"].exact().tolist() == [8] * 4
    assert counts["b.weight"].exact().tolist() == [[8] * 4] * 4


def test_embedding_at_run_time() -> None:
    network = from_torch(nn.Embedding(5, 3), torch.zeros(1, 7, dtype=torch.long))
    assert network.num_inputs == 7
    assert count(network)["weight"].exact().tolist() == [[7] * 3] * 5


def test_multi_head_attention() -> None:
    class SelfAttention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.MultiheadAttention(6, 2, batch_first=True)

        def forward(self, x: Any, *, weights: bool = False) -> Any:
            return self.layer(x, x, x, need_weights=weights)[0]

    x = torch.zeros(1, 3, 6)
    fused = count(from_torch(SelfAttention(), x))
    plain = count(from_torch(SelfAttention(), x, kwargs={"weights": True}))
    for name in fused:
        assert fused[name].exact().tolist() == plain[name].exact().tolist(), name
    # A value element reaches 3 tokens with a weight each, and 6 features of the projection.
    assert fused["layer.in_proj_bias"].exact()[12:].tolist() == [3 * 3 * 6] * 6


def cell(kind: str, x: Any, weights: Any, hidden: Any, memory: Any) -> Any:
    """One step of a recurrent layer in counting form, where a state of None stands for zero."""
    w, u, b, c = weights
    ones = torch.ones_like
    given = nn.functional.linear(x, ones(w)) + nn.functional.linear(ones(x), w) + b
    past = c.expand_as(given)
    if hidden is not None:
        past = past + nn.functional.linear(hidden, ones(u))
        past = past + nn.functional.linear(ones(hidden), u)
    if kind == "RNN":
        return given + past, None
    if kind == "LSTM":
        i, f, g, o = (given + past).chunk(4, -1)
        memory = i + g if memory is None else i + g + f + memory
        return memory + o, memory
    (r, z, n), (rp, zp, np) = given.chunk(3, -1), past.chunk(3, -1)
    update, candidate = z + zp, n
    if (
        hidden is not None or c.numel() > 1
    ):  # Without a state or a bias, the reset gate multiplies zero.
        candidate = n + np + r + rp
    return (update + candidate if hidden is None else 2 * update + candidate + hidden), None


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_recurrent_layers(kind: str, biases: bool) -> None:
    layer = getattr(nn, kind)(3, 2, 2, bias=biases, bidirectional=True, batch_first=True)
    counts = count(from_torch(layer, torch.zeros(1, 4, 3)))
    leaves = {name: p.detach().double().requires_grad_() for name, p in layer.named_parameters()}
    zero = torch.zeros(1, dtype=torch.float64)
    steps = [torch.ones(1, 3, dtype=torch.float64) for _ in range(4)]
    last = []
    for number in range(2):
        both = []
        for side in ("", "_reverse"):
            roles = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            weights = [leaves.get(f"{role}_l{number}{side}", zero) for role in roles]
            hidden = memory = None
            states = []
            for x in steps[::-1] if side else steps:
                hidden, memory = cell(kind, x, weights, hidden, memory)
                states.append(hidden)
            last += [hidden, memory]
            both.append(states[::-1] if side else states)
        steps = [torch.cat(pair, -1) for pair in zip(*both, strict=True)]
    sum([y.sum() for y in [*steps, *last] if y is not None]).backward()
    for name, leaf in leaves.items():
        assert counts[name].exact().tolist() == leaf.grad.tolist(), name


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_cells_are_layers(kind: str) -> None:
    class Steps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = getattr(nn, f"{kind}Cell")(3, 2)

        def forward(self, x: Any, state: Any) -> Any:
            state = self.cell(x[0], state)
            state = self.cell(x[1], state)
            return state

    first: Any = torch.zeros(1, 1, 2)
    layer = getattr(nn, kind)(3, 2)
    state = (first, first) if kind == "LSTM" else first
    whole = count(from_torch(Last(layer), (torch.zeros(2, 1, 3), state)))
    state = (first[0], first[0]) if kind == "LSTM" else first[0]
    steps = count(from_torch(Steps(), (torch.zeros(2, 1, 3), state)))
    for name in steps:
        other = name.replace("cell", "layer") + "_l0"
        assert steps[name].exact().tolist() == whole[other].exact().tolist(), name


class Last(nn.Module):
    """The last states of a recurrent layer."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Any, state: Any) -> Any:
        return self.layer(x, state)[1]
