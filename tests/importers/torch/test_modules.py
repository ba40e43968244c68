"""PyTorch modules: the counts are those of the same architectures built otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from unrolled import count, models
from unrolled.importers.torch import from_torch
from unrolled.network import Network

torch = pytest.importorskip("torch")

from cases.torch_models import Norm, ResNet, Transformer  # noqa: E402
from oracles.torch_counting import assert_counts  # noqa: E402

nn = torch.nn
IMAGE = torch.zeros(1, 2, 9, 8)


def sizes(network: Network) -> dict[str, int]:
    return {tensor.name: tensor.size for tensor in network.parameters}


def levels(network: Network) -> list[Any]:
    """The counts of every parameter, sorted so that names and layouts do not matter."""
    counts = count(network)
    found = []
    for tensor in network.parameters:
        spectrum = counts[tensor.name].spectrum()
        pairs = zip(spectrum.counts, spectrum.degeneracies.tolist(), strict=True)
        nodes = counts[tensor.name].num_weight_nodes
        found.append((tensor.size, tensor.trainable, nodes, sorted(pairs)))
    return sorted(found)


def test_resnet_50_is_that_of_the_models() -> None:
    with torch.device("meta"):
        module = ResNet([3, 4, 6, 3])
    network = from_torch(module, torch.zeros(1, 3, 224, 224))
    assert network.num_parameters == 25_610_152
    assert sum(t.size for t in network.parameters if t.trainable) == 25_557_032
    assert levels(network) == levels(models.resnet(50, variant="v1.5"))


def test_names_are_those_of_the_state_dict() -> None:
    module = ResNet([1, 1])
    network = from_torch(module, torch.zeros(1, 3, 32, 32))
    named = {n: t.numel() for n, t in module.state_dict().items() if t.is_floating_point()}
    assert sizes(network) == named
    trainable = {tensor.name for tensor in network.parameters if tensor.trainable}
    assert trainable == {name for name, _ in module.named_parameters()}


@pytest.mark.parametrize("semantics", ["value", "dependency"])
def test_decomposed_is_fused(semantics: Any) -> None:
    image = torch.zeros(1, 3, 8, 8)
    fused, plain = [
        count(from_torch(Transformer(fused=fused), image, semantics=semantics))
        for fused in (True, False)
    ]
    assert set(fused) == set(plain)
    for name in fused:
        assert fused[name].exact().tolist() == plain[name].exact().tolist(), name


@pytest.mark.filterwarnings("ignore::FutureWarning")  # Of run_decompositions, from PyTorch itself.
@pytest.mark.parametrize("semantics", ["value", "dependency"])
def test_core_operators_are_those_they_were_made_of(semantics: Any) -> None:
    module, image = Transformer(fused=True).eval(), torch.zeros(1, 3, 8, 8)
    program = torch.export.export(module, (image,))
    whole = count(from_torch(program, semantics=semantics))
    core = count(from_torch(program.run_decompositions(), semantics=semantics))
    for name in whole:
        assert whole[name].exact().tolist() == core[name].exact().tolist(), name


@pytest.mark.parametrize("semantics", ["value", "dependency"])
def test_transformer(semantics: Any) -> None:
    assert_counts(Transformer(fused=True), torch.zeros(1, 3, 8, 8), semantics=semantics)


CONVOLUTIONS = {
    "conv1d": (nn.Conv1d(2, 4, 3, padding="same", dilation=2), torch.zeros(1, 2, 9)),
    "conv2d": (nn.Conv2d(2, 4, (3, 2), (2, 1), (1, 0), groups=2), IMAGE),
    "conv2d_even": (nn.Conv2d(2, 3, 4, padding="same", bias=False), IMAGE),
    "conv2d_valid": (nn.Conv2d(2, 3, 3, padding="valid"), IMAGE),
    "conv2d_reflect": (nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), IMAGE),
    "conv2d_unbatched": (nn.Conv2d(2, 3, 3), IMAGE[0]),
    "depthwise": (nn.Conv2d(2, 4, 3, padding=1, groups=2), IMAGE),
    "conv3d": (nn.Conv3d(2, 2, 2, 2), torch.zeros(1, 2, 4, 5, 4)),
    "transposed1d": (nn.ConvTranspose1d(2, 3, 3, 2, 1, 1), torch.zeros(1, 2, 5)),
    "transposed2d": (nn.ConvTranspose2d(2, 4, (3, 2), 2, (1, 0), groups=2, dilation=2), IMAGE),
    "transposed3d": (nn.ConvTranspose3d(2, 2, 2, 2, bias=False), torch.zeros(1, 2, 3, 2, 2)),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions(name: str) -> None:
    layer, x = CONVOLUTIONS[name]
    assert_counts(nn.Sequential(layer, nn.Sigmoid()), x)


@pytest.mark.parametrize("module", [nn.Conv2d(2, 4, 3), nn.ConvTranspose2d(2, 3, 2, 2)])
def test_weights_have_an_edge_for_each_multiplication(module: Any) -> None:
    multiplications = module(IMAGE).numel() * module.weight.numel() // 4
    if isinstance(module, nn.ConvTranspose2d):
        multiplications = IMAGE.numel() * module.weight.numel() // 2
    assert count(from_torch(module, IMAGE))["weight"].total == multiplications


NORMS = {
    "batch_norm": (nn.BatchNorm2d(2), IMAGE),
    "batch_norm_1d": (nn.BatchNorm1d(3), torch.zeros(1, 3)),
    "batch_norm_bare": (nn.BatchNorm2d(2, affine=False), IMAGE),
    "batch_norm_of_batch": (nn.BatchNorm2d(2, track_running_stats=False), IMAGE),
    "instance_norm": (nn.InstanceNorm2d(2, affine=True), IMAGE[..., :3, :3]),
    "group_norm": (nn.GroupNorm(1, 2), IMAGE[..., :3, :3]),
    "layer_norm": (nn.LayerNorm((3, 3)), IMAGE[..., :3, :3]),
    "rms_norm": (nn.RMSNorm(8), IMAGE[..., :3, :]),
}


@pytest.mark.parametrize("semantics", ["value", "dependency"])
@pytest.mark.parametrize("name", NORMS)
def test_norms(name: str, semantics: Any) -> None:
    layer, x = NORMS[name]
    first = nn.Conv2d(2, 2, 1) if x.dim() == 4 else nn.Linear(3, 3)
    assert_counts(nn.Sequential(first, layer), x, semantics=semantics)


def test_training_uses_the_statistics_of_the_batch() -> None:
    module = nn.Sequential(nn.Conv2d(2, 2, 1, bias=False), nn.BatchNorm2d(2), nn.Dropout())
    module.eval()
    network = from_torch(module, IMAGE, training=True)
    assert sizes(network) == {"0.weight": 4, "1.weight": 2, "1.bias": 2}
    assert not any(part.training for part in module.modules())
    wide = from_torch(module, IMAGE, training=True, semantics="dependency")
    assert count(wide)["0.weight"].total == 72**2 * 2 * 2


def test_statistics_divided_by_hand() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, x: Any) -> Any:
            y = self.linear(x)
            return (y - y.mean()) / y.std()

    x = torch.zeros(1, 4)
    assert count(from_torch(Scaled(), x))["linear.bias"].exact().tolist() == [1] * 4
    wide = from_torch(Scaled(), x, semantics="dependency")
    assert count(wide)["linear.bias"].exact().tolist() == [4] * 4


def test_standardised_weights_and_weight_norm() -> None:
    class Standardised(nn.Conv2d):
        def forward(self, x: Any) -> Any:
            flat = self.weight.reshape(1, self.out_channels, -1)
            weight = nn.functional.batch_norm(flat, None, None, training=True, momentum=0.0)
            return nn.functional.conv2d(x, weight.reshape_as(self.weight), self.bias)

    plain = count(from_torch(nn.Conv2d(2, 3, 3), IMAGE))
    other = count(from_torch(Standardised(2, 3, 3), IMAGE))
    assert plain["weight"].exact().tolist() == other["weight"].exact().tolist()
    normed = torch.nn.utils.parametrizations.weight_norm(nn.Conv2d(2, 3, 3))
    counts = count(from_torch(normed, IMAGE))
    size, direction = "parametrizations.weight.original0", "parametrizations.weight.original1"
    assert counts[direction].exact().tolist() == plain["weight"].exact().tolist()
    assert counts[size].exact().sum() == plain["weight"].total


def test_gates() -> None:
    class Gated(nn.Module):
        def __init__(self, gate: Any) -> None:
            super().__init__()
            self.linear, self.gate = nn.Linear(3, 3), gate

        def forward(self, x: Any) -> Any:
            y = self.linear(x)
            return self.gate(y)

    gates: list[Any] = [
        nn.functional.silu,
        lambda y: y * torch.sigmoid(y),
        lambda y: y * torch.tanh(nn.functional.softplus(y)),
        lambda y: y * nn.functional.relu6(y + 3) / 6,
        lambda y: torch.where(y > 0, y, y.exp() - 1),
    ]
    x = torch.zeros(2, 3)
    for gate in gates:
        assert count(from_torch(Gated(gate), x)).total == 2 * (9 + 3)
    squeeze = Gated(lambda y: y * torch.sigmoid(y.mean(-1, keepdim=True)))
    assert count(from_torch(squeeze, x))["linear.bias"].total == 2 * 3 * (1 + 3)


def test_norm_module_written_out_on_an_expanded_statistic() -> None:
    assert count(from_torch(Norm(4), torch.zeros(1, 3, 4)))["weight"].total == 12


class Integers(nn.Module):
    """A weight of integers that is dequantised by hand."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form = form
        self.register_buffer("q", torch.ones(4, 3, dtype=torch.int8))
        self.register_buffer("scale", torch.ones(4))
        self.register_buffer("zero", torch.ones(4, 1))
        self.bias = nn.Parameter(torch.ones(4))

    def forward(self, x):
        if self.form == "scaled":
            return nn.functional.linear(x, self.q.float() * self.scale[:, None], self.bias)
        if self.form == "shifted":
            weight = (self.q.to(torch.float32) - self.zero) * self.scale[:, None]
            return x @ weight.t() + self.bias
        if self.form == "scaled afterwards":
            return (x @ self.q.float().t()) * self.scale + self.bias
        return x * (self.q[0] > 0) + self.bias[:3]


@pytest.mark.parametrize("form", ["scaled", "shifted", "scaled afterwards"])
def test_integers_that_are_dequantised_by_hand_are_the_parameter(form):
    """Their scale and zero point are none: counts are those of a dense layer."""
    network = from_torch(Integers(form), torch.ones(2, 3))
    counts = count(network)
    assert {name: counts[name].exact().tolist() for name in counts} == {
        "q": [[2] * 3] * 4,
        "bias": [2] * 4,
    }
    assert network.provenance.skipped["scale"] == "the scale of a quantised weight"
    assert network.parameters[0].trainable is False


def test_integers_that_only_choose_are_no_parameter():
    network = from_torch(Integers("a mask"), torch.ones(2, 3))
    assert [tensor.name for tensor in network.parameters] == ["bias"]
