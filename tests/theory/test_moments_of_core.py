"""Gaussian moments: quadrature in Python against the core's, which were written independently.

The theory integrates on panels between kinks; the core has closed forms for straight pieces and
rules of its own for the rest. Signal propagation uses the core, mean fields use the theory: were
they to differ, a report and a mean field of one activation would contradict each other.
"""

from __future__ import annotations

import pytest

from unrolled._core import function_moments
from unrolled.theory.activations import MAKERS, NAMES, WITH_ARGUMENTS, as_activation

pytest.importorskip("scipy")

EXAMPLES = {"leaky_relu": "leaky_relu(0.2)", "prelu": "prelu(0.25)", "clip": "clip(-0.5, 2)"}
"""Of functions that have arguments."""

VARIANCES = (1e-3, 1.0, 30.0)
CORRELATIONS = (-0.9, 0.0, 0.3, 0.99)


def test_every_function_with_arguments_has_an_example() -> None:
    assert EXAMPLES.keys() == WITH_ARGUMENTS.keys()
    assert set(NAMES) == set(MAKERS)


@pytest.mark.parametrize("name", [*NAMES, *EXAMPLES.values()])
def test_moments_are_those_of_the_core(name: str) -> None:
    activation = as_activation(name)
    for variance in VARIANCES:
        single = (
            activation.mean(variance),
            activation.mean_square(variance),
            activation.mean_square_slope(variance),
        )
        for correlation in CORRELATIONS:
            covariance = correlation * variance
            found = function_moments(name, 0.0, variance, correlation)
            assert found is not None
            mean, square, product, slope, slope_product = found
            assert (mean, square, slope) == pytest.approx(single, rel=1e-10, abs=1e-10)
            pair = (
                float(activation.pair_product(variance, variance, covariance)),
                float(activation.pair_slope_product(variance, variance, covariance)),
            )
            assert (product, slope_product) == pytest.approx(pair, rel=1e-10, abs=1e-10)
