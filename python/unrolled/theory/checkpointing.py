"""Checkpoints: a reverse sweep over many steps that keeps only some of their states.

A reverse sweep needs the states of all steps, last one first. Where memory has room for a few
snapshots only, the other states are computed again from the snapshot before them. Which states to
keep is a solved problem; here are its solution and its price.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unrolled._support.arguments import checked_positive
from unrolled.errors import InvalidArgumentError
from unrolled.show.plot import COLOR, SECOND_COLOR, styled
from unrolled.theory.results import TheoryResult, figure_of, panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Checkpoints", "checkpoints"]

MOST_POSITIONS = 1 << 20
"""Snapshots whose places are listed at most."""


@dataclass(frozen=True, repr=False)
class Checkpoints(TheoryResult):
    """The best way to reverse a number of steps with a number of snapshots.

    Attributes
    ----------
    steps : int
        The length of the chain, l.
    snapshots : int
        States that are kept at a time, s, that of the beginning included.
    repetitions : int
        How often any step is run without being recorded, r: the least number with
        ``binomial(s + r, s) >= l``.
    extra_steps : int
        Steps that are run without being recorded, in all: ``r l - binomial(s + r, r - 1)``. Those
        of the first sweep are among them.
    """

    steps: int
    snapshots: int
    repetitions: int
    extra_steps: int

    @property
    def overhead(self) -> float:
        """Steps that are run without being recorded, for each step of the chain."""
        return self.extra_steps / self.steps

    @property
    def positions(self) -> tuple[int, ...]:
        """The states that the first sweep keeps, by the number of steps before them; 0 comes first.

        Raises
        ------
        InvalidArgumentError
            More than 2**20 of them.
        """
        if min(self.snapshots, self.steps) > MOST_POSITIONS:
            raise InvalidArgumentError(
                f"{self.snapshots:,} snapshots are too many to list; use fewer"
            )
        places, at, left, snapshots = [0], 0, self.steps, self.snapshots
        while left > 1 and snapshots > 1:
            at += (advance := _best_advance(left, snapshots))
            places.append(at)
            left, snapshots = left - advance, snapshots - 1
        return tuple(places)

    @property
    def title(self) -> str:
        """What is reversed, with what."""
        return f"Reverse {self.steps:,} steps with {self.snapshots:,} snapshots"

    @property
    def rows(self) -> list[dict[str, object]]:
        """The plan beside the two extremes: to record every step, and to keep the first state."""
        plans = [
            ("record every step", self.steps, 0, 0),
            ("as planned", self.snapshots, self.repetitions, self.extra_steps),
            ("keep the first state", 1, self.steps - 1, self.steps * (self.steps - 1) // 2),
        ]
        return [
            {
                "plan": plan,
                "states kept": kept,
                "repetitions at most": repetitions,
                "extra steps": extra,
                "extra steps per step": extra / self.steps,
            }
            for plan, kept, repetitions, extra in plans
        ]

    @property
    def assumptions(self) -> str:
        """What the steps are taken to be."""
        return (
            "all steps cost the same, all states have the same size, and the chain has no "
            "branches. Every step is recorded once, when it is reversed; extra steps come in "
            "addition, those of the first sweep included."
        )

    def plot(self, *, axes: Axes | None = None) -> tuple[Figure, Axes]:
        """Extra steps against the number of snapshots; see `TheoryResult.plot`."""
        most = max(2 * self.snapshots, math.ceil(math.log2(self.steps + 1)) + 2)
        numbers = range(1, min(most, self.steps) + 1)
        plans = [checkpoints(self.steps, number) for number in numbers]
        with styled():
            axes = panel(axes)
            axes.plot(numbers, [plan.overhead for plan in plans], color=COLOR, marker=".")
            axes.plot([self.snapshots], [self.overhead], "o", color=SECOND_COLOR, label="this plan")
            axes.set_xlabel("snapshots [states]")
            axes.set_ylabel("extra steps per step")
            axes.set_ylim(bottom=0)
            axes.set_title(self.title)
            axes.legend()
        return figure_of(axes), axes


def checkpoints(steps: int, snapshots: int) -> Checkpoints:
    """Plan which states of a chain to keep, so that the fewest steps have to be run again.

    Parameters
    ----------
    steps : int
        The length of the chain: layers of a plain network, or steps of a recurrent one.
    snapshots : int
        How many states memory has room for, that of the beginning included. More than `steps` are
        of no use.

    Returns
    -------
    Checkpoints

    Raises
    ------
    InvalidArgumentError
        A number that is no positive integer.

    References
    ----------
    A. Griewank, A. Walther, "Evaluating Derivatives", 2nd ed. (2008), chapter 12.

    Examples
    --------
    >>> plan = checkpoints(steps=10, snapshots=3)
    >>> plan.extra_steps, plan.repetitions, plan.positions
    (15, 2, (0, 4, 7))
    """
    steps, snapshots = checked_positive(steps, "steps"), checked_positive(snapshots, "snapshots")
    repetitions = _repetitions(steps, snapshots)
    extra = 0
    if repetitions:
        extra = repetitions * steps - math.comb(snapshots + repetitions, repetitions - 1)
    return Checkpoints(steps, snapshots, repetitions, extra)


def _repetitions(steps: int, snapshots: int) -> int:
    """The least r with ``binomial(snapshots + r, snapshots) >= steps``."""
    low, high = 0, 1
    while math.comb(snapshots + high, high) < steps:
        low, high = high, 2 * high
    while low < high:
        middle = (low + high) // 2
        if math.comb(snapshots + middle, middle) >= steps:
            high = middle
        else:
            low = middle + 1
    return low


def _best_advance(steps: int, snapshots: int) -> int:
    """How many steps lie between the first snapshot and the second one in a best plan.

    A chain of these is then reversed with all snapshots, and before that the others with one less.
    Both must need no more repetitions than the whole: once less, and as many.
    """
    repetitions = _repetitions(steps, snapshots)
    return max(
        math.comb(snapshots + repetitions - 2, repetitions - 2) if repetitions > 1 else 1,
        steps - math.comb(snapshots - 1 + repetitions, repetitions),
    )
