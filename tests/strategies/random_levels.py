"""Random levels and temperatures of ensembles, and their quantities in arithmetic of 80 digits."""

import mpmath
from hypothesis import strategies as st

from unrolled import Ensemble

energies = st.one_of(
    st.floats(-5, 5).map(lambda x: round(x, 6)),
    st.floats(-3000, 3000).map(lambda x: round(x, 4)),
    st.integers(-3, 3).map(float),
)
degeneracies = st.one_of(st.integers(1, 5), st.integers(1, 10**8)).map(float)
levels = st.lists(st.tuples(energies, degeneracies), min_size=1, max_size=12)
temperatures = st.one_of(
    st.floats(0.05, 50), st.floats(1e-3, 1e6), st.sampled_from([1.0, 0.5, 1e-6, 1e9, 1e15])
).flatmap(lambda size: st.sampled_from([size, -size]))


def ensemble(pairs, **options):
    return Ensemble([e for e, _ in pairs], [g for _, g in pairs], **options)


def precise(pairs, T):
    """All quantities in nats, from the definitions, in arithmetic of 80 digits and more."""
    with mpmath.workdps(80):
        beta = 1 / mpmath.mpf(T)
        weights = [mpmath.mpf(g) * mpmath.exp(-beta * mpmath.mpf(e)) for e, g in pairs]
        total = mpmath.fsum(weights)
        p = [w / total for w in weights]
        mean = mpmath.fsum(x * mpmath.mpf(e) for x, (e, _) in zip(p, pairs, strict=True))
        variance = mpmath.fsum(
            x * (mpmath.mpf(e) - mean) ** 2 for x, (e, _) in zip(p, pairs, strict=True)
        )
        log_total = mpmath.log(total)
        entropy = -mpmath.fsum(
            x * mpmath.log(x / mpmath.mpf(g)) for x, (_, g) in zip(p, pairs, strict=True) if x > 0
        )
        return {
            "log_partition": log_total,
            "free_energy": -log_total / beta,
            "energy": mean,
            "entropy": entropy,
            "energy_variance": variance,
            "heat_capacity": beta**2 * variance,
        }
