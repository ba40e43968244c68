"""Models against published numbers, and generators against closed forms."""

import math

import numpy as np
import pytest

import unrolled
from unrolled import InvalidArgumentError, InvalidNetworkError, UnknownModelError, models, reference

# Keras' totals, batch-norm statistics included. B3: 12,930,622 without its top, which has
# 1536 * 1000 weights and 1000 biases.
EFFICIENTNETS = {
    "b0": (7_200_312, 224),
    "b1": (8_212_124, 240),
    "b2": (10_178_374, 260),
    "b3": (12_930_622 + 1_537_000, 300),
    "s": (21_612_360, 384),
    "m": (54_431_388, 480),
    "l": (119_027_848, 480),
}
# Trainable parameters as torchvision documents them.
RESNETS = {
    18: 11_689_512,
    34: 21_797_672,
    50: 25_557_032,
    101: 44_549_160,
    152: 60_192_808,
}
RANKING = ["resnet50", *(f"efficientnetv2-{variant}" for variant in EFFICIENTNETS)]


@pytest.mark.parametrize("variant", EFFICIENTNETS)
def test_efficientnet_parameters_and_size(variant):
    parameters, side = EFFICIENTNETS[variant]
    net = models.efficientnet_v2(variant)
    assert net.num_parameters == parameters
    assert net.num_inputs == 3 * side**2
    assert net.num_outputs == 1000
    assert net.name == f"efficientnetv2-{variant}"


@pytest.mark.parametrize("variant", ["v1", "v1.5"])
@pytest.mark.parametrize("depth", RESNETS)
def test_resnets_have_the_published_numbers_of_parameters(depth, variant):
    net = models.resnet(depth, variant=variant)
    assert sum(one.size for one in net.parameters if one.trainable) == RESNETS[depth]
    assert net.num_inputs == 3 * 224**2


def test_resnet50_parameters_with_statistics():
    assert models.resnet(50).num_parameters == 25_610_152


def test_efficientnet_b0_at_224_as_published():
    analysis = unrolled.analyze(models.efficientnet_v2("b0"))
    assert analysis.num_parameters == analysis.num_weight_nodes == 7_200_312
    assert analysis.num_unreached_parameters == 0
    assert analysis.spectrum.counts[-1] == int(
        "662873920091813084999145469405763955355934750981916994040871641574642445586757924121166848"
        "486773020222308634775231097702556928196046610270478351140479137167799348108755813763592524"
        "669932506480112764232391918150189527859200000"
    )
    assert analysis.expected_spread == pytest.approx(746.608413463674, abs=1e-11)
    assert analysis.entropy == pytest.approx(10.2301401545741, abs=1e-12)
    assert analysis.log2_total_contexts == pytest.approx(756.838553618253, abs=1e-12)
    assert analysis.total_surprisal == pytest.approx(3_971_232_852.43, abs=0.05)
    assert analysis.surprisal_estimate == pytest.approx(26.2769382157, abs=1e-9)
    assert analysis.spread_estimate == pytest.approx(26.7157653924, abs=1e-10)


def test_resnet50_at_32_as_published():
    analysis = unrolled.analyze(models.resnet(50, size=32))
    assert analysis.num_parameters == analysis.num_weight_nodes == 18_991_016
    assert analysis.num_parameters + analysis.num_unreached_parameters == 25_610_152
    assert analysis.spectrum.counts[-1] == int(
        "294817570952286913597779984194761462502022624766150032049672425669406204058122143803879354"
        "0081226713005730163203788356913641553920000"
    )
    assert analysis.expected_spread == pytest.approx(439.971405075778, abs=1e-11)
    assert analysis.total_surprisal == pytest.approx(6_442_315_971.08, abs=0.01)


@pytest.mark.parametrize("key", ["surprisal_estimate", "spread_estimate"])
def test_models_rank_as_published(key):
    ranked = unrolled.compare(RANKING, sort=key, ascending=True)
    assert [analysis.name for analysis in ranked] == RANKING


@pytest.mark.parametrize("name", models.names())
def test_build_knows_every_name(name):
    info = next(info for info in models.describe() if info.name == name)
    net = models.build(name, size=64, classes=7)
    assert net.name == name
    assert (net.num_inputs, net.num_outputs) == (3 * 64 * 64, 7)
    assert models.build(name)["input"].shape == (3, info.size, info.size)


def test_stride_of_the_variants():
    v1 = models.resnet(50, variant="v1")
    later = models.resnet(50, variant="v1.5")
    assert v1["stage2.block1.reduce.conv"].shape == (128, 28, 28)
    assert later["stage2.block1.reduce.conv"].shape == (128, 56, 56)
    assert v1["stage2.block1.add"].shape == later["stage2.block1.add"].shape == (512, 28, 28)


def test_block_structure_of_b0():
    net = models.efficientnet_v2("b0")
    assert net["stem.conv/kernel"].shape == (32, 3, 3, 3)
    assert net["stage1.block1.project.conv/kernel"].shape == (16, 32, 3, 3)
    assert net["stage4.block1.depthwise.conv/kernel"].shape == (192, 1, 3, 3)
    # A quarter of the input channels of the block, 48.
    assert net["stage4.block1.squeeze/kernel"].shape == (12, 192, 1, 1)
    assert net["stage4.block1.squeeze/bias"].shape == (12,)
    assert "stage4.block1.project.conv/bias" not in net
    assert "stage4.block1.add" not in net
    assert net["stage4.block2.add"].shape == (96, 14, 14)
    assert net["head.conv"].shape == (1280, 7, 7)


def test_scaled_channels_of_b3():
    net = models.efficientnet_v2("b3")
    assert net["stem.conv"].shape[0] == 40
    assert net["stage1.block1.project.conv"].shape[0] == 16
    assert net["stage6.block12.project.conv"].shape[0] == 232
    assert "stage6.block13.project.conv" not in net
    assert net["head.conv"].shape[0] == 1536


@pytest.mark.parametrize("size", [64, 72])
def test_same_padding_mirrors_symmetric_padding(size):
    """Strided 3 x 3 windows over an even side lack a tap at the first position, or the last."""
    same, symmetric = (
        unrolled.count(models.efficientnet_v2("b0", size=size, padding=padding))
        for padding in ("same", "symmetric")
    )
    assert same.total == symmetric.total
    for name in ("stem.conv/kernel", "stage2.block1.expand.conv/kernel"):
        mirrored = symmetric[name].exact()[:, :, ::-1, ::-1]
        assert (same[name].exact() == mirrored).all()
        assert not (mirrored == symmetric[name].exact()).all()


def test_same_padding_differs_where_a_stride_skips_positions():
    # The strided 1 x 1 convolutions of a ResNet start at the first position under both paddings,
    # so there the counts are no mirror images.
    same, symmetric = (
        unrolled.count(models.resnet(50, size=64, padding=padding))
        for padding in ("same", "symmetric")
    )
    assert same.total != symmetric.total


@pytest.mark.parametrize("build", [models.efficientnet_v2, models.resnet])
def test_rectangular_images_and_features(build):
    net = build(size=(64, 96), include_top=False)
    assert net["input"].shape == (3, 64, 96)
    (features,) = net.outputs
    assert features.shape[1:] == (2, 3)
    assert "classifier" not in net


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: models.build("efficientnetv2-b4"), "did you mean 'efficientnetv2-b"),
        (lambda: models.build("vgg"), "known are efficientnetv2-b0, .*unrolled models"),
        (lambda: models.build(None), "unknown model None"),
    ],
)
def test_an_unknown_model_is_refused_with_a_suggestion(build, message):
    with pytest.raises(UnknownModelError, match=message):
        build()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: models.efficientnet_v2("b9"), "variant must be one of 'b0'.*got 'b9'"),
        (lambda: models.efficientnet_v2("b0", size=0), "efficientnetv2-b0.*size.*got 0"),
        (lambda: models.efficientnet_v2("b0", size=-3), "got -3"),
        (lambda: models.efficientnet_v2("b0", size=3.5), "got 3.5"),
        (lambda: models.efficientnet_v2("b0", size="224"), "got '224'"),
        (lambda: models.efficientnet_v2("b0", size=(1, 2, 3)), r"got \(1, 2, 3\)"),
        (lambda: models.efficientnet_v2("b0", padding="full"), "padding must be "),
        (lambda: models.efficientnet_v2("b0", classes=0), "classes.*got 0"),
        (lambda: models.resnet(49), "depth must be one of 18, .*got 49"),
        (lambda: models.resnet([50]), r"depth must be one of 18, .*got \[50\]"),
        (lambda: models.resnet(50, variant="v2"), "variant must be "),
        (lambda: models.resnet(50, padding="valid"), "padding must be "),
        (lambda: models.mlp(4), "needs depth="),
        (lambda: models.mlp([]), "at least one width"),
        (lambda: models.mlp([4, 4], depth=3), "depth=3 with 2 widths"),
        (lambda: models.mlp([4, 0]), "widths must be a positive integer, got 0"),
        (lambda: models.mlp("44"), "needs depth="),
        (lambda: models.mlp([4], inputs=-1), "inputs must be a positive integer, got -1"),
        (lambda: models.mlp([4], classes=0), "classes must be"),
        (lambda: models.mlp([4], skip=0), "skip must be"),
        (lambda: models.mlp([4], skip=1, residual="sum"), "residual must be "),
        (lambda: models.cnn([4, 4], kernel_sizes=[3]), "kernel_sizes: expected 2"),
        (lambda: models.cnn([4, 4], strides=[1, 0]), "strides must be"),
        (lambda: models.cnn([4], padding="none"), "padding must be "),
        (lambda: models.cnn([4], head="attention"), "head must be "),
        (lambda: models.cnn([4], input_channels=0), "input_channels must be"),
    ],
)
def test_options_that_do_not_fit(build, message):
    with pytest.raises(InvalidArgumentError, match=message):
        build()


def test_network_errors_name_the_layer():
    with pytest.raises(InvalidNetworkError, match="layer2"):
        models.cnn([4, 4], size=4, kernel_sizes=[3, 5], padding="valid")
    with pytest.raises(InvalidNetworkError, match=r"layer2\.skip0.*no stride"):
        models.cnn([4, 4], size=(9, 9), kernel_sizes=[2, 3], padding="valid", skip=2)


def uniform_counts(counts, name):
    """The one count that all elements of a parameter have."""
    one = counts[name]
    assert one.num_distinct == 1, name
    return one.maximum


@pytest.mark.parametrize(
    ("width", "depth", "classes"), [(1, 1, 1), (3, 1, 4), (5, 7, 2), (64, 200, 10)]
)
def test_closed_form_of_a_constant_width_mlp(width, depth, classes):
    """A unit of layer l leads to every unit of each later layer: width^(depth - l) * classes."""
    net = models.mlp(width, depth=depth, inputs=9, classes=classes)
    counts = unrolled.count(net)
    total = classes * (width + 1)
    for layer in range(1, depth + 1):
        expected = width ** (depth - layer) * classes
        assert uniform_counts(counts, f"layer{layer}/kernel") == expected
        assert uniform_counts(counts, f"layer{layer}/bias") == expected
        total += expected * width * ((9 if layer == 1 else width) + 1)
    assert uniform_counts(counts, "classifier/kernel") == 1
    assert counts.total == total


@pytest.mark.parametrize(("span", "blocks"), [(1, 6), (2, 4), (3, 3)])
def test_closed_form_of_an_mlp_with_skip_connections(span, blocks):
    """A block of n layers multiplies paths by width^n + 1: through the layers, or past them."""
    width = 5
    net = models.mlp(width, depth=span * blocks, inputs=width, classes=2, skip=span)
    counts = unrolled.count(net)
    for block in range(blocks):
        after = (width**span + 1) ** (blocks - 1 - block) * 2
        for position in range(1, span + 1):
            layer = block * span + position
            expected = after * width ** (span - position)
            assert uniform_counts(counts, f"layer{layer}/kernel") == expected
    assert net["layer1/kernel"].shape == (width, width)


@pytest.mark.parametrize("width", [1, 4, 30])
def test_closed_form_of_an_mlp_with_dense_skip_connections(width):
    """Every output is added to all later ones: a(l) = (width + 2) a(l + 1) - width a(l + 2).

    That recurrence, with a(depth) = 1 and a(depth - 1) = width + 1, is solved by powers of the
    roots of r^2 = (width + 2) r - width.
    """
    depth = 12
    net = models.mlp(
        width, depth=depth, inputs=width, classes=None, skip=1, residual="dense", use_bias=False
    )
    counts = unrolled.count(net)
    root = math.sqrt(width**2 + 4)
    larger, smaller = (width + 2 + root) / 2, (width + 2 - root) / 2
    for layer in range(1, depth + 1):
        steps = depth - layer
        weight = (width + 1 - smaller) / root
        solution = weight * larger**steps + (1 - weight) * smaller**steps
        assert uniform_counts(counts, f"layer{layer}/kernel") == pytest.approx(solution, rel=1e-12)


@pytest.mark.parametrize(
    ("size", "kernels", "strides"),
    [
        (9, [3, 3, 3], [1, 1, 1]),
        (17, [3, 5, 1, 3], [2, 1, 1, 2]),
        (8, [1] * 6, [1] * 6),
        (64, [3] * 20, [1] * 20),
    ],
)
def test_closed_form_of_a_constant_width_cnn_without_padding(size, kernels, strides):
    """Without padding every output reads width * k^2 inputs, so paths multiply by just that.

    The classifier sees each of the side^2 last positions once; a tap of layer l is used at all
    positions of its output, whose contexts sum to side^2 * classes * product of width * k^2.
    """
    width, classes = 6, 3
    net = models.cnn(
        width,
        depth=len(kernels),
        size=size,
        kernel_sizes=kernels,
        strides=strides,
        padding="valid",
        classes=classes,
    )
    counts = unrolled.count(net)
    side = size
    for kernel, stride in zip(kernels, strides, strict=True):
        side = (side - kernel) // stride + 1
    for layer in range(len(kernels), 0, -1):
        later = math.prod(width * kernel**2 for kernel in kernels[layer:])
        expected = side**2 * classes * later
        assert uniform_counts(counts, f"layer{layer}/kernel") == expected
        assert uniform_counts(counts, f"layer{layer}/bias") == expected
    # One pooled element leads to the logit, whatever it was pooled from.
    assert uniform_counts(counts, "classifier/kernel") == 1


def test_closed_form_of_a_constant_width_cnn_with_padding():
    """A square filter acts on rows and columns alike: contexts are products of those of lines.

    On a line, multiplying by the transposed 0/1 matrix of the window steps one layer back.
    """
    side, kernel, width, depth = 11, 5, 4, 6
    net = models.cnn(width, depth=depth, size=side, kernel_sizes=kernel, classes=1, use_bias=False)
    counts = unrolled.count(net)
    window = np.array(
        [[int(abs(i - o) <= kernel // 2) for i in range(side)] for o in range(side)], dtype=object
    )
    line = np.ones(side, dtype=object)
    for layer in range(depth, 0, -1):
        used = [
            sum(line[o] for o in range(side) if 0 <= o + tap - kernel // 2 < side)
            for tap in range(kernel)
        ]
        expected = width ** (depth - layer) * np.outer(used, used)
        kernel_counts = counts[f"layer{layer}/kernel"].exact()
        assert (kernel_counts == expected).all(), layer
        line = window.T.dot(line)


@pytest.mark.parametrize(
    "net",
    [
        models.mlp([3, 4, 2, 4], inputs=5, classes=2, skip=2),
        models.mlp([3, 4, 2, 4], inputs=5, classes=None, skip=1, residual="dense"),
        models.mlp(3, depth=3, inputs=2, classes=2, batch_norm=True, skip=2, residual="dense"),
        models.cnn([2, 3, 2], size=6, strides=[1, 2, 1], classes=2, skip=2, kernel_sizes=[3, 5, 1]),
        models.cnn([2, 3], size=(4, 5), classes=2, skip=1, residual="dense", batch_norm=True),
        models.cnn([2, 2], size=5, classes=2, head="flatten", padding="same", strides=2),
        models.cnn([2], size=4, classes=None, input_channels=1, use_bias=False),
    ],
    ids=range(7),
)
def test_generators_against_the_element_graph(net):
    counts = unrolled.count(net)
    for name, expected in reference.count(net).items():
        assert (counts[name].exact() == expected).all(), name


def test_skip_connections_are_where_the_formula_says():
    def joined(net):
        return [t.name for t in net.tensors if t.name.endswith(".add")]

    vanilla = models.mlp(4, depth=7, inputs=4, skip=3)
    assert joined(vanilla) == ["layer3.add", "layer6.add"]
    dense = models.mlp(4, depth=5, inputs=4, skip=2, residual="dense")
    assert joined(dense) == ["layer2.add", "layer3.add", "layer4.add", "layer5.add"]
    sources = [link.source.name for link in dense.links if link.target.name == "layer4.add"]
    assert sources == ["layer4", "layer2.add", "input"]


def test_projected_skip_connection():
    net = models.cnn([4, 8], size=8, strides=[2, 2], skip=2)
    assert net["layer2.skip0/kernel"].shape == (8, 3, 1, 1)
    assert net["layer2.skip0"].shape == net["layer2"].shape == (8, 2, 2)
    assert "layer2.skip0/bias" not in net
