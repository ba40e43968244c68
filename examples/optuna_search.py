"""Search a space with Optuna for architectures of few MACs and much saliency entropy.

Optuna suggests the label of each place, `unrolled` scores the architecture. The two objectives give
a front; with one objective, samplers of Optuna that learn from it (TPE, the default) can be used
as well. Run it with ``python examples/optuna_search.py``; it needs ``pip install unrolled optuna``.
"""

from __future__ import annotations

import optuna

from unrolled import search


def architecture(trial: optuna.Trial, space: search.Space) -> tuple[int, ...]:
    """The architecture that a trial suggests."""
    labels = {
        place.name: trial.suggest_categorical(place.name, place.labels) for place in space.places
    }
    return space.encode(labels)


def study(space: search.Space, trials: int, seed: int = 0) -> optuna.Study:
    """Search for much saliency entropy at few MACs."""

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        found = search.propagate_many(space, [architecture(trial, space)], threads=1)
        entropy, macs = float(found["saliency_entropy"][0]), float(found["macs"][0])
        if entropy == float("-inf"):
            raise optuna.TrialPruned("no path leads from the input to the output")
        return entropy, macs

    sampler = optuna.samplers.NSGAIISampler(seed=seed)
    found = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    found.optimize(objective, n_trials=trials)
    return found


def main() -> None:
    """Print the front that 500 trials find in NAS-Bench-201."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    found = study(search.nasbench201(), 500)
    for trial in sorted(found.best_trials, key=lambda trial: trial.values[1]):
        entropy, macs = trial.values
        print(f"{entropy:8.3f} nats {macs:13,.0f} MACs  {trial.params}")


if __name__ == "__main__":
    main()
