"""Functions, normalisers and roles that are read from a jaxpr, with ``operations=True``."""

from __future__ import annotations

import numpy as np
import pytest

import unrolled

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402

from oracles.jax_counting import exact  # noqa: E402
from unrolled.errors import UnknownOperationError  # noqa: E402
from unrolled.importers.jax import from_jax  # noqa: E402

nn = jax.nn
PARAMS = {"w": np.ones((3, 4), np.float32), "b": np.ones(4, np.float32)}
X = np.ones((2, 3), np.float32)


def read(function, **options):
    return from_jax(lambda p, x: function(x @ p["w"] + p["b"]), PARAMS, X, **options)


def found_in(net):
    operations = [net.operation(tensor) for tensor in net.tensors]
    return [(one.kind, one.function) for one in operations if one is not None]


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (nn.relu, "relu"),
        (lambda h: jnp.maximum(h, 0), "relu"),
        (nn.relu6, "relu6"),
        (lambda h: jnp.clip(h, 0, 6), "relu6"),
        (nn.silu, "silu"),
        (lambda h: h / (1 + jnp.exp(-h)), "silu"),
        (lambda h: nn.gelu(h, approximate=False), "gelu"),
        (lambda h: h * (1 + jax.lax.erf(h / np.sqrt(2))) / 2, "gelu"),
        (nn.gelu, "gelu_tanh"),
        (nn.hard_swish, "hard_swish"),
        (nn.sigmoid, "sigmoid"),
        (nn.tanh, "tanh"),
        (nn.elu, "elu"),
        (lambda h: nn.elu(h, 0.5), "elu(0.5)"),
        (lambda h: nn.celu(h, 2.0), "celu(2)"),
        (nn.selu, "selu"),
        (nn.leaky_relu, "leaky_relu(0.01)"),
        (lambda h: jnp.where(h > 0, h, 0.2 * h), "leaky_relu(0.2)"),
        (lambda h: jnp.maximum(h, 0.2 * h), "leaky_relu(0.2)"),
        (lambda h: jnp.where(h > 0.5, h - 0.5, jnp.where(h < -0.5, h + 0.5, 0)), "softshrink"),
        (nn.hard_tanh, "hard_tanh"),
        (nn.softplus, "softplus"),
        (lambda h: jnp.logaddexp(h, 0), "softplus"),
        (nn.log_sigmoid, "log_sigmoid"),
        (nn.mish, "mish"),
    ],
)
def test_functions_have_names_however_they_are_written(function, name):
    net = read(function, operations=True)
    assert ("function", name) in found_in(net)
    assert [one for one in found_in(net) if one[0] == "function"] == [("function", name)]
    assert exact(net).keys() == exact(read(function)).keys()
    for parameter, counts in exact(read(function)).items():
        assert counts.tolist() == exact(net)[parameter].tolist()
    unrolled.propagate(net)


def layer_norm(h):
    centred = h - h.mean(-1, keepdims=True)
    return centred * jax.lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5)


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (layer_norm, "layer_norm"),
        (lambda h: h / jnp.sqrt((h**2).mean(-1, keepdims=True) + 1e-6), "rms_norm"),
        (lambda h: nn.softmax(h, axis=-1), "softmax"),
    ],
)
def test_normalisers_that_are_taken_apart(function, kind):
    net = read(function, operations=True)
    found = found_in(net)
    assert kind in [one for one, _ in found]
    if kind != "softmax":  # Each group has a mean square of one, however its mean is written.
        last = unrolled.propagate(net).tensors[-1]
        assert last.mean_square == pytest.approx(1.0, rel=1e-4)
    assert {one for one, _ in found} <= {"affine", "sum", "move", kind}


def test_a_norm_is_not_a_root_mean_square():
    net = read(lambda h: h / jnp.sqrt((h**2).sum(-1, keepdims=True)), operations=True)
    assert unrolled.propagate(net).tensors[-1].mean_square == pytest.approx(1 / 4)


def test_unknown_functions_are_named_and_can_be_said():
    net = read(jax.lax.lgamma, operations=True)
    with pytest.raises(UnknownOperationError, match="1 unknown operation") as caught:
        unrolled.propagate(net)
    (function,) = [name for kind, name in found_in(net) if kind == "function"]
    assert f"the function '{function}' is not known" in str(caught.value)
    own = {function: lambda x: np.where(x > 0, x, 0.2 * x)}
    last = unrolled.propagate(net, functions=own).tensors[-1]
    assert last.mean_square == pytest.approx(2 * (1 + 0.04) / 2)


def test_kernel_and_bias_have_their_roles():
    roles = {link.source.name: link.role for link in read(nn.relu, operations=True).links}
    assert (roles["w"], roles["b"]) == ("kernel", "bias")
