"""Rounds, and what is reported of them.

Machines are noisy, and noise lasts: so everybody has a turn in every round, in alternating order, and what is reported
is the median of the rounds' ratios: within a round the noise is the same for all.

    turns = take(["a", "b"], 15, measure)       measure("a") is called 15 times
    turns.median("a")
    turns.ratio("a", "b")                       of a's figure to b's: quartiles and median over the rounds
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .processes import pause


@dataclass(frozen=True)
class Ratio:
    low: float
    median: float
    high: float


@dataclass(frozen=True)
class Turns:
    """For everybody a dictionary of figures for each round."""

    rounds: dict[str, list[dict[str, float]]]

    def values(self, name: str, figure: str) -> list[float]:
        return [found[figure] for found in self.rounds[name]]

    def median(self, name: str, figure: str) -> float:
        return statistics.median(self.values(name, figure))

    def ratio(self, name: str, other: str, figure: str) -> Ratio:
        ratios = [a / b for a, b in zip(self.values(name, figure), self.values(other, figure))]
        if len(ratios) == 1:
            return Ratio(ratios[0], ratios[0], ratios[0])
        return Ratio(*statistics.quantiles(ratios, n=4, method="inclusive"))


def take(names: Sequence[str], count: int, measure: Callable[[str], dict[str, float]]) -> Turns:
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for number in range(count):
        for name in names if number % 2 == 0 else reversed(names):
            rounds[name].append(measure(name))
            pause()
    return Turns(rounds)
