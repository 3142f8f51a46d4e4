"""Runs the program `espalier` for measurements: what a network says to labelled pictures, what a cutout costs, how long it takes.

    engine = Engine(Path("build/server/espalier"), Path("deploy/models/tiny-imagenet-200"))
    evaluation = engine.evaluate(Path("val.tar.gz"))
    evaluation.scores [pictures, categories], NaN where a branch did not run; evaluation.truth, .names, .macs
    engine.cost(["cat"])["macs"]; engine.time_ms(["cat"])

An error of the program is raised with what it said.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from . import model_directory, scores_file
from .description import categories


class EngineError(ValueError):
    """The program ended with an error."""


@dataclass(frozen=True)
class Evaluation:
    names: list[str]
    truth: np.ndarray
    scores: np.ndarray
    macs: np.ndarray  # paid for each picture

    def top(self, count: int = 1) -> float:
        """The share of pictures whose category is among the first `count`."""
        return float((self.ranks() < count).mean())

    def ranks(self) -> np.ndarray:
        """How many categories have a higher score than the true one; all of them where it did not run."""
        own = self.scores[np.arange(len(self.truth)), self.truth]
        better = (np.nan_to_num(self.scores, nan=-np.inf) > own[:, None]).sum(1)
        return np.where(np.isnan(own), self.scores.shape[1], better)


class Engine:
    def __init__(self, program: Path, model: Path, threads: int | None = None) -> None:
        self.program, self.model = program.resolve(), model
        self.threads = [] if threads is None else ["--threads", str(threads)]
        self.trunk = model_directory.read(model).trunk
        self.categories = categories(self.trunk)
        self._costs: dict[str, dict[str, Any]] = {}

    def evaluate(self, data: Path, *options: str) -> Evaluation:
        """What the network says to labelled pictures (espalier evaluate), without those that cannot be read, as there."""
        with tempfile.TemporaryDirectory() as folder:
            scores = Path(folder, "scores.npy")
            self._run("evaluate", str(data), "--quiet", "--scores", str(scores), *self.threads, *options)
            said = scores_file.read(scores)
            return Evaluation(said.names, said.truth(self.categories), said.scores, said.macs)

    def cost(self, names: Sequence[str]) -> dict[str, Any]:
        """The cost of a cutout: that of a picture of one grey, as the cost is the same for all."""
        key = ",".join(names)
        if key not in self._costs:
            line = self._run("classify", "--json", "--top", "1", *(["--categories", key] if names else []), str(self._picture()))
            self._costs[key] = json.loads(line)["cost"]
        return self._costs[key]

    def least_search(self) -> int:
        """The fewest MACs that a search among all categories takes: the program names it where a budget is too small."""
        try:
            self._run("classify", "--budget", "macs:1", str(self._picture()))
        except EngineError as error:
            if found := re.search(r"takes at least (\d+)", str(error)):
                return int(found.group(1))
            raise
        raise EngineError("a budget of one MAC was enough")

    @cached_property
    def full(self) -> np.ndarray:
        """MACs, parameters and milliseconds of all categories; measured once."""
        cost = self.cost([])
        return np.array([cost["macs_full"], cost["parameters_full"], self.time_ms([])])

    def time_ms(self, names: Sequence[str], runs: int = 100) -> float:
        """The median time of the engine for one picture on one thread, in milliseconds."""
        chosen = ["--categories", ",".join(names)] if names else []
        return float(json.loads(self._run("bench", "--json", "--runs", str(runs), *chosen))["median_ms"])

    def _run(self, command: str, *arguments: str) -> str:
        line = [str(self.program), command, *arguments, "--model", str(self.model)]
        done = subprocess.run(line, capture_output=True, text=True)
        if done.returncode != 0:
            raise EngineError(f"{' '.join(line)}: {done.stderr.strip()}")
        return done.stdout

    @staticmethod
    def _picture() -> Path:
        return Path(__file__).resolve().parents[2] / "samples" / "orange.jpg"
