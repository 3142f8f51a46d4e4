"""A row of the engine's table: everybody loads the cutout, gives the same answer, and is then timed in turns."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from . import answers, turns
from .contenders import Bench, Contender, EspalierBench, OnnxRuntime, PyTorch, Scores, Way
from .espalier import Kernels
from .processes import Failure
from .rows import EngineRow
from .settings import Settings

TRIAL_RUNS = 10


@dataclass(frozen=True)
class Choice:
    """How a contender runs the row: the fastest of its ways."""

    way: Way
    trials: list[dict[str, Any]]  # milliseconds of each way
    difference: float  # the largest, of a score of any way to espalier's


@dataclass(frozen=True)
class EngineResult:
    row: EngineRow
    macs: int
    runs: int  # of each turn
    choices: dict[str, Choice]
    benches: dict[str, dict[str, Any]]  # what `espalier bench` said last
    turns: turns.Turns


def measure(bench: Bench, row: EngineRow, kernels: Sequence[Kernels], settings: Settings) -> EngineResult:
    ours = [EspalierBench(bench, row, one) for one in kernels]
    with ExitStack() as started:
        peers: list[Contender] = [started.enter_context(make(bench, row)) for make in (OnnxRuntime, PyTorch)]
        everybody: dict[str, Contender] = {contender.title: contender for contender in (*peers, *ours)}
        expected = ours[0].scores()
        choices = {title: choose(contender, expected) for title, contender in everybody.items()}
        runs = settings.runs(min(trial["milliseconds"] for trial in choices[OnnxRuntime.title].trials))
        found = turns.take(list(everybody), settings.rounds, lambda title: {"ms": everybody[title].time(runs)})
    benches = {contender.title: contender.answer for contender in ours}
    return EngineResult(row, _macs(bench, row, ours), runs, choices, benches, found)


def choose(contender: Contender, expected: Scores) -> Choice:
    """Checks all ways against espalier's first kernels, and leaves the fastest one loaded."""
    trials, differences = [], []
    for way in contender.ways:
        contender.load(way)
        differences.append(answers.check(contender.title, contender.scores(), expected, contender.tolerance))
        trials.append({"way": way, "milliseconds": contender.time(TRIAL_RUNS)})
    fastest = min(trials, key=lambda trial: trial["milliseconds"])["way"]
    contender.load(fastest)
    return Choice(fastest, trials, max(differences))


def _macs(bench: Bench, row: EngineRow, ours: Sequence[EspalierBench]) -> int:
    """What was timed has to be what was checked: bench ran the MACs that an answer states."""
    macs = bench.espalier.macs(ours[0].kernels, row.categories, bench.pictures.small[0])
    for contender in ours:
        if contender.answer["macs"] != macs:
            raise Failure(f"espalier bench ran {contender.answer['macs']} MACs for {row.name}; an answer says {macs}.")
    return macs
