"""Curves of ensembles that miss nothing, and the peaks of their heat capacity."""

import math

import matplotlib
import mpmath
import numpy as np
import pytest
from hypothesis import example, given, settings

import unrolled
from strategies.random_levels import ensemble, levels, precise
from unrolled import Ensemble, InvalidArgumentError

INF = math.inf


@pytest.fixture(scope="module")
def resnet50():
    return Ensemble.from_counts(unrolled.analyze("resnet50"), unit="bits")


def in_80_digits(e, T):
    """Heat capacity and entropy in bits, from the energies as they are."""
    pairs = list(zip(e.energies * math.log(2), e.degeneracies, strict=True))
    found = precise(pairs, T)
    return [float(found[name] / mpmath.log(2)) for name in ("heat_capacity", "entropy")]


def test_the_peak_of_resnet50_next_to_zero(resnet50):
    """A peak of 1.41 bits at T about -0.00032, where curves from -0.1 to 0 were straight."""
    peak = resnet50.heat_capacity_peaks()[0]
    assert peak.name == "A"
    assert peak.temperature == pytest.approx(-0.00032, abs=5e-6)
    assert peak.heat_capacity == pytest.approx(1.41, abs=5e-3)
    assert resnet50.entropy(-0.001) == pytest.approx(12.53, abs=5e-3)
    for T in (peak.temperature, -0.001):
        heat_capacity, entropy = in_80_digits(resnet50, T)
        assert resnet50.heat_capacity(T) == pytest.approx(heat_capacity, rel=1e-6)
        assert resnet50.entropy(T) == pytest.approx(entropy, rel=1e-9)


def test_every_peak_of_resnet50_is_the_highest_point_around(resnet50):
    peaks = resnet50.heat_capacity_peaks()
    assert [peak.name for peak in peaks] == ["A", "B", "C", "D"]
    assert [peak.beta for peak in peaks] == sorted(peak.beta for peak in peaks)
    for peak in peaks:
        at = in_80_digits(resnet50, peak.temperature)[0]
        assert peak.heat_capacity == pytest.approx(at, rel=1e-6)
        for factor in (0.99, 1.01):
            assert in_80_digits(resnet50, factor * peak.temperature)[0] < at
        assert peak.beta == pytest.approx(1 / peak.temperature)
        assert peak.energy == pytest.approx(resnet50.energy(peak.temperature))
        assert peak.entropy == pytest.approx(resnet50.entropy(peak.temperature))
    in_nats = resnet50.heat_capacity_peaks(unit="nats")
    assert in_nats[0].heat_capacity == pytest.approx(peaks[0].heat_capacity * math.log(2))


def test_two_levels_have_the_peak_of_schottky():
    """``x tanh(x / 2) = 2`` with ``x = beta E``: the derivative of the heat capacity is zero."""
    x = float(mpmath.findroot(lambda x: x * mpmath.tanh(x / 2) - 2, 2.4))
    for size in (1e-200, 1e-5, 1.0, 1e200):
        cold, hot = Ensemble([0.0, size]).heat_capacity_peaks()
        assert cold.beta == pytest.approx(-x / size, rel=1e-6)
        assert hot.beta == pytest.approx(x / size, rel=1e-6)
        # Two systems on scales of their own have both peaks.
        both = Ensemble([0.0, size, 1e3 * size, 1e3 * size]).heat_capacity_peaks()
        assert min(peak.beta for peak in both if peak.beta > 0) < 0.01 * hot.beta
        assert max(peak.beta for peak in both) == pytest.approx(hot.beta, rel=1e-3)


def test_states_of_one_energy_have_no_peaks_but_curves():
    flat = Ensemble([3.0, 3.0], [1, 4])
    assert flat.heat_capacity_peaks() == ()
    assert flat.curve()["entropy"] == pytest.approx(math.log(5))
    assert set(flat.curve(beta=[-1, 0, 2])["beta"]) >= {-1.0, 0.0, 2.0}


def prominent_maxima(values, least):
    """Maxima by their definition: on the way to anything higher, values fall by `least`."""
    found = 0
    for at in range(1, len(values) - 1):
        if not values[at - 1] < values[at] >= values[at + 1]:
            continue
        drops = []
        for side in (values[:at][::-1], values[at + 1 :]):
            higher = np.flatnonzero(side > values[at])
            drops.append(values[at] - side[: higher[0] if len(higher) else None].min())
        found += min(drops) >= least
    return found


@settings(max_examples=60)
@given(levels)
@example([(0.0, 1.0), (1e-6, 1.0), (1.0, 1e8), (2000.0, 1e8)])
@example([(0.0, 1.0), (700.0, 1e300)])  # a transition as sharp as doubles have it
def test_no_peak_is_missed(pairs):
    e = ensemble(pairs)
    energies = np.unique([energy for energy, _ in pairs])
    gaps = np.diff(energies)
    if not len(gaps):
        assert e.heat_capacity_peaks() == ()
        return
    sizes = np.geomspace(1e-3 / np.ptp(energies), 1e3 / gaps.min(), 6000)
    heights = {sign: e.heat_capacity(sign / sizes) for sign in (-1, 1)}
    highest = max(one.max() for one in heights.values())
    peaks = e.heat_capacity_peaks()
    for sign, values in heights.items():
        number = sum(peak.beta * sign > 0 for peak in peaks)
        # Peaks whose height above their surroundings is close to 1 % may be either.
        assert prominent_maxima(values, 0.0102 * highest) <= number
        assert number <= prominent_maxima(values, 0.0098 * highest)
        for peak in peaks:
            if peak.beta * sign > 0:
                assert peak.heat_capacity >= e.heat_capacity(1 / (peak.beta * 1.01))
                assert peak.heat_capacity >= e.heat_capacity(1 / (peak.beta * 0.99))


@settings(max_examples=60)
@given(levels)
@example([(0.0, 1.0), (1e-6, 1.0), (1.0, 1e8), (2000.0, 1e8)])
@example([(0.0, 1.0), (700.0, 1e300)])
@example([(0.0, 1.0), (5e-5, 1.0)])  # hardly anything happens in a range of one's own
def test_curves_miss_nothing(pairs):
    """Between two points of a curve, the ensemble is not far from the straight line."""
    e = ensemble(pairs)
    low, high = e.temperature_range
    curves = (
        (e.curve(), "temperature", low),
        (e.curve(beta="auto"), "beta", 1 / high),
        (e.curve([-100.0, "0-", "0+", 100.0]), "temperature", None),
        (e.curve(beta=[-5, 5]), "beta", None),
    )
    for curve, axis, width in curves:
        for sign in (-1, 1):
            x = curve[axis]
            inside = (np.signbit(x) == (sign < 0)) & np.isfinite(x)
            # On the axis it is drawn on, in the middle between its points.
            u = x[inside] if width is None else np.arcsinh(x[inside] / width)
            middle = (u[1:] + u[:-1]) / 2
            places = middle if width is None else width * np.sinh(middle)
            if not len(middle):
                continue
            truth = e.sweep(places) if axis == "temperature" else e.sweep(beta=places)
            for name in ("entropy", "energy", "heat_capacity"):
                values = curve[name][inside]
                error = np.abs(np.interp(middle, u, values) - truth[name])
                near = 0.03 * np.ptp(curve[name]) + 1e-11 * (1 + np.abs(values).max())
                assert (error <= near).all(), name


def test_given_temperatures_are_among_those_of_a_curve(resnet50):
    given_T = [-3.0, -1.0, -0.1, "0-", "0+", 0.1, 2.0, 3.0]
    curve = resnet50.curve(given_T)
    assert set(curve["temperature"]) >= {-3.0, -1.0, -0.1, 0.0, 0.1, 2.0, 3.0}
    assert (np.diff(curve["temperature"]) >= 0).all()
    # The structure between -0.1 and 0 that straight lines left out.
    near = (curve["temperature"] < 0) & (curve["temperature"] > -0.1)
    assert curve["heat_capacity"][near].max() == pytest.approx(1.41, abs=0.02)
    by_beta = resnet50.curve(beta=[-2.0, 0.0, 1.0])
    assert (np.diff(by_beta["beta"]) > 0).all()
    assert set(by_beta["beta"]) >= {-2.0, 0.0, 1.0}
    assert (by_beta["beta"][0], by_beta["beta"][-1]) == (-2.0, 1.0)
    only_negative = resnet50.curve([-3.0, -2.0])
    assert only_negative["temperature"].max() == -2.0
    assert resnet50.curve([INF])["beta"].tolist() == [0.0]


def test_a_sweep_without_temperatures_shows_all_that_happens(resnet50):
    sweep = resnet50.sweep()
    T = sweep["temperature"]
    assert (np.diff(T) >= 0).all()
    assert {-1.0, *(peak.temperature for peak in resnet50.heat_capacity_peaks())} <= set(T)
    assert np.count_nonzero(T == 0) == 2
    # From where all states are alike to where a single level is left.
    total, bottom, top = np.log2(
        [
            resnet50.num_states,
            *(level.degeneracy for level in (resnet50.ground_level, resnet50.top_level)),
        ]
    )
    for sign, end in ((-1, top), (1, bottom)):
        half = sweep["entropy"][(sign * T > 0)]
        assert half.max() > total - 0.02 * (total - end)
        assert half.min() < end + 0.02 * (total - end)
    by_beta = resnet50.sweep(beta="auto")["beta"]
    assert (np.diff(by_beta) > 0).all()
    assert {0.0, -1.0} <= set(by_beta)


def test_inverse_temperatures():
    e = Ensemble([0.0, 1.0])
    sweep = e.sweep(beta=[-INF, -2.0, 0.0, 0.5, INF])
    expected = e.sweep(["0-", -0.5, INF, 2.0, "0+"])
    for name in ("free_energy", "energy", "entropy", "heat_capacity", "log_partition"):
        assert sweep[name].tolist() == expected[name].tolist(), name
    assert sweep["temperature"].tolist() == [0.0, -0.5, INF, 2.0, 0.0]
    assert math.copysign(1.0, sweep["temperature"][0]) == -1.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda e: e.sweep([1.0], beta=[1.0]), "not both"),
        (lambda e: e.plot([1.0], beta="auto"), "not both"),
        (lambda e: e.sweep(beta=1.0), "takes a list of temperatures, got float 1.0"),
        (lambda e: e.sweep(beta=[]), "takes a list of temperatures"),
        (lambda e: e.curve(beta=[math.nan]), "got NaN"),
        (lambda e: e.curve(beta="all"), "beta must be numbers, got str 'all'"),
        (lambda e: e.sweep(beta=True), "beta must be numbers, got bool True"),
        (lambda e: e.heat_capacity_peaks(unit="eV"), "unit must be"),
    ],
)
def test_wrong_temperatures_are_refused(call, message):
    with pytest.raises(InvalidArgumentError, match=message):
        call(Ensemble([0.0, 1.0]))


def test_figures_over_either_axis(resnet50):
    matplotlib.use("Agg")
    from matplotlib import pyplot

    for beta, axis in ((None, "temperature"), ("auto", "beta")):
        figure, axes = resnet50.plot(beta=beta)
        panel = axes["heat_capacity"]
        assert axis in panel.get_xlabel()
        assert panel.get_xscale() == "asinh"
        names = [text.get_text() for text in panel.get_legend().get_texts()]
        assert [name[0] for name in names] == ["A", "B", "C", "D"]
        y = axes["entropy"].lines[0].get_ydata()
        assert np.isnan(y).sum() == (beta is None)  # a gap at T = 0, and none at beta = 0
        # The marks sit on the curve.
        curve = dict(zip(*panel.lines[0].get_data(), strict=True))
        for line in panel.lines[-4:]:
            at, height = line.get_xdata()[0], line.get_ydata()[0]
            nearest = min((x for x in curve if x == x), key=lambda x, at=at: abs(x - at))
            assert curve[nearest] == pytest.approx(height, rel=0.02)
        # Ticks do not stand on each other.
        ticks = panel.get_xticks()
        places = panel.transData.transform([(tick, 0.0) for tick in ticks])[:, 0]
        width = np.ptp(panel.transAxes.transform([(0, 0), (1, 0)])[:, 0])
        assert (np.diff(places) > 0.1 * width).all()
        pyplot.close(figure)
    # A range of one's own is linear, and names what lies in it.
    figure, axes = resnet50.plot([-40.0, -1.0])
    assert axes["entropy"].get_xscale() == "linear"
    names = [text.get_text()[0] for text in axes["heat_capacity"].get_legend().get_texts()]
    assert names == ["B", "C"]
    pyplot.close(figure)
