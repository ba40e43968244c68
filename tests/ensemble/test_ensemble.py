"""Ensembles against mpmath, against each other, and by the laws of thermodynamics."""

import math
import signal

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import unrolled
from strategies.random_levels import ensemble, levels, precise, temperatures
from unrolled import Ensemble, InvalidArgumentError, NothingToCountError, Spectrum, quantities

INF = math.inf


@settings(max_examples=120)
@given(levels, temperatures)
@example([(0.0, 1.0), (1.0, 1.0)], 1e15)
@example([(-3000.0, 1.0), (3000.0, 1e8)], 1e-6)
@example([(2999.0, 1.0), (3000.0, 1.0)], -1e-3)
@example([(0.0, 1.0)] + [(1000.0 + i / 10, 1.0) for i in range(10)], 1e9)
def test_all_quantities_agree_with_mpmath(pairs, T):
    expected = precise(pairs, T)
    e = ensemble(pairs)
    largest = max(abs(energy) for energy, _ in pairs)
    # Sums of terms of both signs have an error relative to the terms, not to what is left.
    scale = {
        "log_partition": largest / abs(T) + 1,
        "free_energy": largest,
        "energy": largest,
        "entropy": 1e-2,
        "energy_variance": 1e-40,
        "heat_capacity": 1e-40,
    }
    for name, value in expected.items():
        found = getattr(e, name)(T)
        assert found == pytest.approx(float(value), rel=1e-12, abs=1e-14 * scale[name]), name


def test_a_small_entropy_keeps_its_digits():
    for T in (0.02, 0.005):
        found, exact = ensemble([(0.0, 1.0), (1.0, 1.0)]), precise([(0.0, 1.0), (1.0, 1.0)], T)
        for name in ("entropy", "energy", "heat_capacity", "log_partition"):
            assert getattr(found, name)(T) == pytest.approx(float(exact[name]), rel=1e-12), name


@settings(max_examples=60)
@given(levels, temperatures)
def test_free_energy_is_energy_less_heat(pairs, T):
    e = ensemble(pairs)
    size = abs(e.energy(T)) + abs(T * e.entropy(T)) + max(abs(energy) for energy, _ in pairs)
    assert e.free_energy(T) == pytest.approx(
        e.energy(T) - T * e.entropy(T), rel=1e-12, abs=1e-13 * size
    )


@settings(max_examples=60)
@given(levels, st.floats(0.3, 10).flatmap(lambda size: st.sampled_from([size, -size])))
def test_energy_entropy_and_heat_capacity_are_derivatives(pairs, T):
    """U = d(beta F)/d(beta), S = -dF/dT, C_v = dU/dT = beta**2 Var(E), by central differences."""
    pairs = [(energy / 500, g) for energy, g in pairs]
    e = ensemble(pairs)
    h = 1e-4 * abs(T)

    def slope(f, x, step):
        # Two differences of different widths cancel the error of second order.
        wide, narrow = (f(x + 2 * step) - f(x - 2 * step)) / 4, (f(x + step) - f(x - step)) / 2
        return (4 * narrow - wide) / (3 * step)

    scale = 1 + max(abs(energy) for energy, _ in pairs) + e.entropy(T)
    near = {"rel": 1e-6, "abs": 1e-8 * scale * max(1, 1 / abs(T), abs(T))}
    beta = 1 / T
    by_beta = slope(lambda b: b * e.free_energy(1 / b), beta, 1e-4 * abs(beta))
    assert by_beta == pytest.approx(e.energy(T), **near)
    assert -slope(e.free_energy, T, h) == pytest.approx(e.entropy(T), **near)
    assert slope(e.energy, T, h) == pytest.approx(e.heat_capacity(T), **near)
    assert e.heat_capacity(T) == pytest.approx(e.energy_variance(T) / T**2, rel=1e-12)


@settings(max_examples=60)
@given(levels)
def test_limits_at_zero_are_the_ground_and_top_levels(pairs):
    e = ensemble(pairs)
    for limit, level in (("0+", e.ground_level), ("0-", e.top_level)):
        assert level.energy == (min if limit == "0+" else max)(energy for energy, _ in pairs)
        states = math.fsum(g for energy, g in pairs if energy == level.energy)
        assert level.degeneracy == states
        assert e.energy(limit) == e.free_energy(limit) == level.energy
        # The third law.
        assert e.entropy(limit) == pytest.approx(math.log(states), rel=1e-14)
        assert e.heat_capacity(limit) == e.energy_variance(limit) == 0
        others = [abs(energy - level.energy) for energy, _ in pairs if energy != level.energy]
        assume(min(others, default=1) > 1e-3)
        near = -1e-7 if limit == "0-" else 1e-7
        for name in ("energy", "free_energy", "entropy", "heat_capacity"):
            at = getattr(e, name)
            assert at(near) == pytest.approx(at(limit), rel=1e-8, abs=1e-5), name
    states = math.fsum(g for _, g in pairs)
    for hot in (INF, -INF):
        assert e.entropy(hot) == pytest.approx(math.log(states), rel=1e-14)
        assert e.log_partition(hot) == pytest.approx(math.log(states), rel=1e-14)
        assert e.heat_capacity(hot) == 0
        mean = math.fsum(g * energy for energy, g in pairs) / states
        assert e.energy(hot) == pytest.approx(mean, rel=1e-12, abs=1e-11)
    if states > 1:
        assert (e.free_energy(INF), e.free_energy(-INF)) == (-INF, INF)


def test_temperatures_near_zero_do_not_overflow():
    e = Ensemble([-3000.0, 0.0, 5000.0], [2, 1, 3])
    for T in (1e-300, -1e-300, 1e-307):
        low = T > 0
        assert e.energy(T) == e.free_energy(T) == (-3000.0 if low else 5000.0)
        assert e.entropy(T) == pytest.approx(math.log(2 if low else 3))
        assert e.heat_capacity(T) == 0
    assert e.log_partition(1e-307) == INF
    assert Ensemble([0.0, 1.0]).log_partition("0+") == 0.0


@settings(max_examples=60)
@given(levels, temperatures, st.randoms())
def test_merging_and_splitting_levels_changes_nothing(pairs, T, random):
    split = []
    for energy, g in pairs:
        part = float(random.randint(0, int(g)))
        split += [(energy, part), (energy, g - part)]
    random.shuffle(split)
    merged = {}
    for energy, g in pairs:
        merged[energy] = merged.get(energy, 0.0) + g
    one, other = ensemble(split), ensemble(list(merged.items()))
    scale = 1 + max(abs(energy) for energy, _ in pairs) * max(1, 1 / abs(T))
    for name in ("log_partition", "free_energy", "energy", "entropy", "heat_capacity"):
        assert getattr(one, name)(T) == pytest.approx(
            getattr(other, name)(T), rel=1e-12, abs=1e-14 * scale
        ), name
    for q in (0, 0.5, 1, 2, INF):
        assert one.renyi_entropy(q, T) == pytest.approx(
            other.renyi_entropy(q, T), rel=1e-12, abs=1e-12
        )


@settings(max_examples=40)
@given(levels, levels, temperatures)
def test_independent_ensembles_add(a, b, T):
    """A tensor product has all sums of energies, and its quantities are sums as well."""
    both = ensemble([(x + y, g * h) for x, g in a for y, h in b])
    one, other = ensemble(a), ensemble(b)
    scale = 1 + sum(max(abs(energy) for energy, _ in pairs) for pairs in (a, b))
    # The sums x + y are rounded themselves.
    scale *= max(1, 1 / abs(T), 1 / T**2)
    for name in ("log_partition", "free_energy", "energy", "entropy", "heat_capacity"):
        at = [getattr(e, name)(T) for e in (one, other, both)]
        assert at[2] == pytest.approx(at[0] + at[1], rel=1e-11, abs=1e-12 * scale), name


def test_product_of_two_models_counts_adds():
    a, b = [1, 2, 2, 6], [1, 1, 4]
    both = Ensemble.from_counts([x * y for x in a for y in b])
    for T in (-1.0, 0.7):
        for name in ("log_partition", "energy", "entropy", "heat_capacity"):
            parts = [getattr(Ensemble.from_counts(one), name)(T) for one in (a, b)]
            assert getattr(both, name)(T) == pytest.approx(sum(parts), rel=1e-13)


any_count = st.one_of(st.integers(1, 20), st.integers(1, 2**80), st.integers(1, 2**3000))


@settings(max_examples=60)
@given(st.dictionaries(any_count, st.integers(1, 10**8), min_size=1, max_size=12))
@example({1: 10**8, 2**5000: 1})
@example({2**4000 + 1: 1, 2**4000: 10**8})
def test_the_published_setting_gives_the_published_quantities(tally):
    spectrum = Spectrum.from_counts(tally)
    e = Ensemble.from_counts(spectrum, unit="bits")
    near = {"rel": 2e-15, "abs": 1e-15}
    assert e.log_partition() == pytest.approx(quantities.log2_total_contexts(spectrum), **near)
    assert e.free_energy() == pytest.approx(quantities.log2_total_contexts(spectrum), **near)
    assert e.energy() == pytest.approx(quantities.expected_spread(spectrum), **near)
    assert e.entropy() == pytest.approx(quantities.entropy(spectrum), rel=1e-14, abs=1e-15)
    # The rounding of an exponent of hundreds is a relative error of the exponential.
    expected = quantities.probabilities(spectrum)
    large = expected > 1e-5
    np.testing.assert_allclose(e.probabilities(), expected, rtol=4e-13, atol=1e-300)
    np.testing.assert_allclose(e.probabilities()[large], expected[large], rtol=1e-14)
    assert e.renyi_entropy(1) == pytest.approx(e.entropy(), rel=1e-13, abs=1e-14)


def test_every_source_of_a_spectrum_gives_one_ensemble():
    counts = unrolled.count(unrolled.models.efficientnet_v2("b0"))
    analysis = unrolled.analyze(counts)
    for source in (
        counts,
        analysis,
        counts.spectrum(),
        dict(zip(counts.spectrum().counts, counts.spectrum().degeneracies.tolist(), strict=True)),
    ):
        e = Ensemble.from_counts(source, unit="bits")
        assert e.log_partition() == pytest.approx(756.838553618253, rel=1e-14)
        assert e.energy() == pytest.approx(746.608413463674, rel=1e-14)
        assert e.entropy() == pytest.approx(10.2301401545741, rel=1e-13)
        assert e.num_states == 7_200_312
    assert len(e) == len(counts.spectrum())
    # Counts in log space have no integers, and are states all the same.
    log = unrolled.count(unrolled.models.efficientnet_v2("b0"), exact=False)
    for source in (log, log.spectrum(), unrolled.analyze(log)):
        assert Ensemble.from_counts(source, unit="bits").energy() == pytest.approx(746.608413463674)


@settings(max_examples=60)
@given(levels, temperatures)
def test_bits_are_nats_over_log_2(pairs, T):
    nats = ensemble(pairs)
    bits = ensemble([(energy / math.log(2), g) for energy, g in pairs], unit="bits")
    for name, power in [
        ("log_partition", 1),
        ("free_energy", 1),
        ("energy", 1),
        ("entropy", 1),
        ("heat_capacity", 1),
        ("energy_variance", 2),
    ]:
        value = getattr(nats, name)(T)
        assert getattr(nats, name)(T, unit="bits") == value / math.log(2) ** power
        assert getattr(nats, name)(T, unit="nats") == value
    scale = 1 + max(abs(energy) for energy, _ in pairs) / min(1, abs(T))
    assert bits.entropy(T, unit="nats") == pytest.approx(nats.entropy(T), abs=1e-14 * scale)
    assert bits.energy(T) == pytest.approx(nats.energy(T, unit="bits"), abs=1e-14 * scale)


def test_energies_in_bits_are_exact_powers():
    """2**E keeps its digits for energies of thousands of bits, as ln 2 is taken to 32 digits."""
    e = Ensemble([5000.0, 4999.0], unit="bits")
    assert e.probabilities(-1.0).tolist() == pytest.approx([2 / 3, 1 / 3], rel=1e-15)
    counts = Ensemble.from_counts([2**5000, 2**4999])
    assert counts.entropy(-1.0) == pytest.approx(e.entropy(-1.0, unit="nats"), rel=1e-15)


def test_quantities_have_the_shape_of_the_temperatures():
    e = Ensemble([0.0, 1.0, 2.0])
    T = np.array([[1.0, -2.0], [INF, 0.5]])
    assert isinstance(e.energy(), float)
    assert e.energy(T).shape == T.shape
    assert e.probabilities(T).shape == (2, 2, 3)
    assert e.probabilities(T).sum(axis=-1) == pytest.approx(np.ones((2, 2)))
    for index in np.ndindex(2, 2):
        assert e.energy(T)[index] == pytest.approx(e.energy(float(T[index])), rel=1e-15)
    assert e.energy([1, "0+", -3]).shape == (3,)


def test_a_sweep_has_the_quantities_at_its_temperatures():
    e = Ensemble.from_counts([2, 2, 2, 1, 1])
    given = [-1.0, "0-", "0+", 2.5, INF]
    sweep = e.sweep(given, unit="bits")
    assert list(sweep) == [
        "temperature",
        "beta",
        "log_partition",
        "free_energy",
        "energy",
        "entropy",
        "heat_capacity",
    ]
    for name in list(sweep)[2:]:
        assert sweep[name].tolist() == getattr(e, name)(given, unit="bits").tolist(), name
    assert sweep["beta"].tolist() == [-1.0, -INF, INF, 0.4, 0.0]
    frame = sweep.to_pandas()
    assert frame.to_dict("list") == sweep.to_dict()
    text = sweep.table(width=80)
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= 80
    rows = [line.split()[0] for line in text.splitlines()[4:9]]
    assert rows == ["-1", "0-", "0+", "2.5", "inf"]
    with pytest.raises(unrolled.UnknownNameError, match="did you mean 'entropy'"):
        sweep["entropie"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Ensemble([0.0, math.nan]), "energies must be finite, got nan at position 1"),
        (lambda: Ensemble([INF]), "energies must be finite"),
        (lambda: Ensemble(["a"]), "energies must be numbers, got list"),
        (lambda: Ensemble([[1.0]]), "energies must be a one-dimensional list"),
        (lambda: Ensemble([0.0, 1.0], [1.0, -2.0]), "at least 0, got -2.0 at position 1"),
        (lambda: Ensemble([0.0], [math.nan]), "degeneracies must be finite"),
        (lambda: Ensemble([0.0, 1.0], [1.0]), "got 2 energies and 1 weights"),
        (lambda: Ensemble([0.0], unit="joules"), "unit must be 'nats' or 'bits', got 'joules'"),
        (lambda: Ensemble([0.0]).energy(unit="hartleys"), "got 'hartleys'"),
        (
            lambda: Ensemble.from_probabilities([0.5, 0.4], [0, 1]),
            "must sum to 1, got a sum of 0.9",
        ),
        (lambda: Ensemble.from_probabilities([1.5, -0.5], [0, 1]), "at least 0, got -0.5"),
        (lambda: Ensemble([0.0]).energy(0.0), "T = 0 is no temperature"),
        (lambda: Ensemble([0.0]).energy([1.0, -0.0]), "give T='0\\+' or T='0-'"),
        (lambda: Ensemble([0.0]).energy(math.nan), "got NaN"),
        (lambda: Ensemble([0.0]).energy("0"), "T must be a number, '0\\+' or '0-', got '0'"),
        (lambda: Ensemble([0.0]).energy([1.0, "cold"]), "got 'cold'"),
        (lambda: Ensemble([0.0]).energy(object()), "T must be numbers"),
        (lambda: Ensemble([0.0]).sweep([]), "takes a list of temperatures"),
        (lambda: Ensemble([0.0]).sweep(1.0), "takes a list of temperatures"),
        (lambda: Ensemble([0.0]).sweep([0.0]), "T = 0 is no temperature"),
        (lambda: Ensemble([0.0]).renyi_entropy(-1), "orders q are at least 0"),
        (lambda: Ensemble([0.0]).renyi_entropy(math.nan), "orders q are at least 0"),
        (lambda: Ensemble([0.0]).renyi_entropy(2, [1.0, 2.0]), "expected one temperature"),
        (lambda: Ensemble([0.0]).density_of_states(bins=0), "bins must be"),
        (lambda: Ensemble([0.0]).density_of_states(bins=[2, 1]), "bins must be"),
        (lambda: Ensemble([0.0]).microcanonical_entropy(0.0, width=0.0), "a width above 0"),
        (lambda: Ensemble([0.0]).probabilities(per="bin"), "per must be 'state' or 'level'"),
        (lambda: Ensemble([0.0]).with_prior("flat"), "unknown prior 'flat'; named are uniform"),
        (lambda: Ensemble([0.0]).with_prior(3), "a prior is a function"),
        (lambda: Ensemble([0.0]).with_prior(lambda level: -1.0), "at least 0"),
        (lambda: Ensemble([0.0]).with_prior(lambda level: "x"), "at least 0"),
        (lambda: Ensemble([0.0]).with_prior(lambda level: unrolled.Prior(1, INF)), "at least 0"),
        (lambda: Ensemble([0.0]).with_prior("depth"), "lengths=True"),
        (lambda: Ensemble([0.0]).with_prior("layer_size"), "needs layers"),
        (lambda: Ensemble.from_counts(7), "expected counts"),
        (lambda: Ensemble.from_counts([1.5]), "counts are integers"),
    ],
)
def test_what_is_no_ensemble_or_temperature_is_refused(make, message):
    with pytest.raises(InvalidArgumentError, match=message):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Ensemble([]),
        lambda: Ensemble([1.0, 2.0], [0, 0]),
        lambda: Ensemble.from_counts([0, 0]),
        lambda: Ensemble.from_counts([]),
        lambda: Ensemble([1.0]).with_prior(lambda level: 0.0),
    ],
)
def test_an_empty_ensemble_is_refused(make):
    with pytest.raises(NothingToCountError):
        make()


def test_figures_have_units_and_break_at_zero(tmp_path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = Ensemble.from_counts([2, 2, 2, 1, 1], unit="bits").plot()
    assert set(axes) == {
        "log_partition",
        "free_energy",
        "energy",
        "entropy",
        "heat_capacity",
        "levels",
    }
    for name, panel in axes.items():
        assert "bits]" in panel.get_ylabel(), name
        assert panel.get_xlabel(), name
    x, y = axes["entropy"].lines[0].get_data()
    # The curve breaks where T changes sign, between its two limits.
    assert np.isnan(y[x == 0.0]).tolist() == [False, True, False]
    limits, panels = Ensemble([0.0, 1.0]).plot([-1.0, "0-", "0+", 1.0])
    x, y = panels["energy"].lines[0].get_data()
    assert (x[0], x[-1]) == (-1.0, 1.0)
    assert (np.diff(x) >= 0).all()
    before, at, after = np.flatnonzero(x == 0.0)
    assert (y[before], y[after]) == (1.0, 0.0)
    assert math.isnan(y[at])
    assert panels["energy"].lines[1].get_xdata().tolist() == [-1.0, 0.0, 0.0, 1.0]
    pyplot.close(limits)
    figure.savefig(tmp_path / "out.png")
    assert (tmp_path / "out.png").stat().st_size > 10_000
    pyplot.close(figure)


def test_repr_says_how_many_levels_and_states():
    assert repr(Ensemble([0.0, 2.5], [1, 10**6])) == (
        "Ensemble(2 levels, 1,000,001 states, energies 0 to 2.5 nats)"
    )


def test_many_levels_are_interruptible():
    def interrupt(*_):
        raise KeyboardInterrupt

    e = Ensemble(np.linspace(0, 1000, 2_000_000))
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            e.sweep(np.linspace(0.1, 3, 5000))
    finally:
        signal.signal(signal.SIGALRM, before)
