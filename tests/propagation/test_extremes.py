"""Weights, biases and depths that leave the range of floats: no number is lost, and none is NaN.

Judged by the same recursions in arithmetic whose exponents have no end.
"""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest

from unrolled import Network, Operation, Relation, from_onnx, initialization_report, propagate
from unrolled.errors import InvalidArgumentError, TheoryDomainError

WIDTH = 8
SIZES = (5e-324, 1e-310, 1e-300, 1e-200, 1.0, 1e200, 1e300, 1.7e308)


def log2(x) -> float:
    return float(mpmath.log(x, 2))


def normalised(net, x, epsilon, *, kind="rms_norm"):
    """A norm over all elements with a scale and a shift."""
    y = net.tensor(
        f"norm of {x.name}", x.shape, operation=Operation(kind, epsilon=epsilon, axes=[0])
    )
    net.link(x, y, [Relation.all(0, 0)])
    for role in ("scale", "shift"):
        parameter = net.parameter(f"{role} of {x.name}", x.shape)
        net.link(parameter, y, [Relation.same(0, 0)], role=role)
    return y


@pytest.mark.parametrize("bias", [0.0, 5e-324, 1e-200, 1.0, 1e300])
@pytest.mark.parametrize("variance", SIZES)
def test_a_thousand_layers_of_weights_of_any_size(variance: float, bias: float) -> None:
    depth = 1000
    net = Network()
    x = net.input((WIDTH,))
    for number in range(depth):
        x = net.activation(net.dense(x, WIDTH, name=f"d{number}"))
    net.output(x)
    p = propagate(net, {f"d{number}": variance for number in range(depth)}, biases=bias)
    q, gain = mpmath.mpf(1), mpmath.mpf(variance) * WIDTH / 2
    for number in range(depth):
        q = variance * mpmath.mpf(WIDTH) * q + bias
        if number in (0, 1, depth - 1):
            assert p[f"d{number}"].log2_mean_square == pytest.approx(log2(q), rel=1e-12)
        q /= 2
    assert p.log2_jacobian == pytest.approx(log2(WIDTH * gain**depth), rel=1e-12, abs=1e-9)
    for one in p.tensors:
        assert not math.isnan(one.mean), one
        assert not math.isnan(one.correlation), one


@pytest.mark.parametrize("scale", [5e-324, 1.0, 1.7e308])
@pytest.mark.parametrize("shift", [0.0, 1e-200, 1e300])
@pytest.mark.parametrize("variance", SIZES)
@pytest.mark.parametrize("epsilon", [0.0, 1e-5])
def test_norms_of_signals_of_any_size(
    variance: float, scale: float, shift: float, epsilon: float
) -> None:
    """Where epsilon is all there is, a norm multiplies by one over its root, and not by zero."""
    depth = 4
    net = Network()
    x = net.input((WIDTH,))
    for number in range(depth):
        x = net.dense(x, WIDTH, use_bias=False, name=f"d{number}")
    y = normalised(net, x, epsilon)
    net.output(y)
    names = {f"d{number}": variance for number in range(depth)}
    p = propagate(net, {**names, f"scale of {x.name}": scale, f"shift of {x.name}": shift})
    q = (WIDTH * mpmath.mpf(variance)) ** depth
    # The factor of a norm over so few elements: see the rule of RMS norm.
    factor = mpmath.mpf(WIDTH - 1) / WIDTH * WIDTH / (WIDTH - 2)
    inverse = 1 / (q + epsilon)
    square = scale * q * inverse
    assert p[y.name].log2_mean_square == pytest.approx(log2(square + shift), rel=1e-12, abs=1e-9)
    slope = factor * scale * inverse
    assert p[y.name].log2_slope == pytest.approx(log2(slope), rel=1e-12, abs=1e-9)
    assert p[x.name].log2_gradient == pytest.approx(log2(slope), rel=1e-12, abs=1e-9)
    # The gradient of a scale does not know of the scale or of the shift.
    expected = log2(WIDTH * q * inverse)
    assert p[f"scale of {x.name}"].log2_gradient == pytest.approx(expected, rel=1e-12, abs=1e-9)


def test_the_gradient_of_a_scale_that_starts_at_zero_is_not_zero() -> None:
    """As in residual branches that are switched off at first."""
    net = Network()
    x = net.input((WIDTH,))
    net.output(net.add(x, normalised(net, x, 0.0)))
    p = propagate(net, overrides={f"scale of {x.name}": 0.0})
    assert p[f"scale of {x.name}"].gradient == pytest.approx(WIDTH)
    assert p[f"scale of {x.name}"].relative_gradient is not None


@pytest.mark.parametrize("variance", [1e-300, 1e-100, 1e100, 1e300])
def test_operands_of_any_size_that_are_zero_add_nothing(variance: float) -> None:
    """Zero times a power of four that no float has is zero, in sums, maxima, products, softmax."""
    net = Network()
    x = net.input((WIDTH,))
    h = x
    for number in range(6):
        h = net.dense(h, WIDTH, use_bias=False, name=f"d{number}")
    dead = net.dense(x, WIDTH, use_bias=False, name="dead")
    net.output(net.add(h, dead, name="sum"))
    net.output(net.multiply(h, dead, name="product"))
    net.output(net.add(net.multiply(h, dead), h, name="both"))
    net.output(net.maximum(net.multiply(h, dead), h, name="larger"))
    names = {f"d{number}": variance for number in range(6)}
    p = propagate(net, {**names, "dead": 0.0})
    expected = log2((WIDTH * mpmath.mpf(variance)) ** 6)
    for name in ("sum", "both"):
        assert p[name].log2_mean_square == pytest.approx(expected)
    assert p["larger"].log2_mean_square == pytest.approx(expected - 1)
    assert p["product"].log2_mean_square == -math.inf
    assert math.isfinite(p.log2_jacobian)


def test_products_of_many_large_factors() -> None:
    net = Network()
    x = net.input((WIDTH,))
    factors = [net.dense(x, WIDTH, use_bias=False, name=f"d{number}") for number in range(9)]
    net.output(net.multiply(*factors, name="product"))
    for variance in (1e-59, 1e58):
        p = propagate(net, {f"d{number}": variance for number in range(9)})
        expected = 9 * log2(WIDTH * mpmath.mpf(variance))
        assert p["product"].log2_mean_square == pytest.approx(expected)
        assert p["d0"].log2_gradient == pytest.approx(expected * 8 / 9)


@pytest.mark.parametrize("factor", [1e10, 1e-10])
def test_squares_of_squares_end_in_an_error_and_not_in_a_panic(factor: float) -> None:
    """Each multiplies the exponent by two: seventy of them leave any integer."""
    net = Network()
    x = net.input((WIDTH,))
    for number in range(100):
        x = net.multiply(x, net.dense(x, WIDTH, use_bias=False), name=f"m{number}")
    net.output(x)
    size = "large" if factor > 1 else "small"
    with pytest.raises(
        TheoryDomainError, match=f"the signal at tensor 'm4.' is too {size}"
    ) as caught:
        propagate(net, factor)
    report = initialization_report(net, factor)
    assert report.lost_at == caught.value.tensor
    assert (report.explodes_at is None) == (factor < 1)
    assert (report.vanishes_at is None) == (factor > 1)


def test_gradients_that_leave_all_integers_are_an_error() -> None:
    """A signal that is normalised again and again stays, and its derivatives do not."""
    net = Network()
    x = h = net.input((WIDTH,))
    for number in range(47):
        h = net.multiply(h, h, name=f"m{number}")
    large = h
    for _ in range(40):
        x = net.multiply(normalised(net, net.dense(x, WIDTH, use_bias=False), 0.0), large)
    net.output(x)
    with pytest.raises(TheoryDomainError, match="is too large to be followed"):
        propagate(net, 1.0)


def test_stored_values_whose_squares_no_float_has_are_refused() -> None:
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    for value in (1e200, 1e-200, math.inf, math.nan):
        graph = helper.make_graph(
            [helper.make_node("MatMul", ["x", "w"], ["y"])],
            "graph",
            [helper.make_tensor_value_info("x", onnx.TensorProto.DOUBLE, [1, 3])],
            [helper.make_tensor_value_info("y", onnx.TensorProto.DOUBLE, [1, 2])],
            [onnx.numpy_helper.from_array(np.full((3, 2), value), "w")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
        with pytest.raises(InvalidArgumentError, match="the stored values of 'w' must be finite"):
            propagate(from_onnx(model, operations=True), "stored")
