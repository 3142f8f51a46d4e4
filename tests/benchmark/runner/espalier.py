"""The program under test, by its command line.

    espalier = Espalier(binary, directory, core)
    kernels = espalier.kernels(variant)             which those are on this machine; Failure where it cannot run them
    espalier.bench(kernels, row, picture, runs, cores)
    espalier.scores(kernels, names, pictures)       a dictionary of category and score for each picture
    espalier.macs(kernels, names, picture)
    espalier.serve_command(kernels)
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .processes import Failure, run
from .rows import EngineRow, Variant

NEEDED = ("median_ms", "macs", "kernels", "precision", "batch", "threads")


@dataclass(frozen=True)
class Kernels:
    """A variant on this machine: the kernel set's name decides everything, the precision, too."""

    name: str
    precision: str
    serves: bool
    tolerance: float

    @property
    def title(self) -> str:
        return f"espalier {self.precision.upper()} ({self.name})"


class Espalier:
    def __init__(self, binary: Path, directory: Path, core: int) -> None:
        self.binary, self.directory, self.core = binary, directory, core
        if "bench" not in run([binary, "--help"], [core]):
            raise Failure(f"{binary} has no command `bench`. Build a newer espalier, or name one with --binary.")

    def kernels(self, variant: Variant) -> Kernels:
        answer = self._bench([*variant.flags, "--runs", "1"], [self.core])
        return Kernels(answer["kernels"], answer["precision"], variant.serves, variant.tolerance)

    def bench(self, kernels: Kernels, row: EngineRow, picture: Path, runs: int, on: Sequence[int]) -> dict[str, Any]:
        figures = {"runs": runs, "batch": row.batch, "threads": row.threads}
        flags = [text for name, value in figures.items() for text in (f"--{name}", str(value))]
        answer = self._bench([picture, "--kernels", kernels.name, *flags, *_categories(row.categories)], on)
        wanted = {"kernels": kernels.name, "precision": kernels.precision, "batch": row.batch, "threads": row.threads}
        done = {member: answer[member] for member in wanted}
        if done != wanted:
            raise Failure(f"espalier bench was asked for {wanted} and ran {done}.")
        return answer

    def scores(self, kernels: Kernels, names: Sequence[str], pictures: Sequence[Path]) -> list[dict[str, float]]:
        answers = self._classify(kernels, names, pictures)
        return [{found["category"]: found["score"] for found in answer["predictions"]} for answer in answers]

    def macs(self, kernels: Kernels, names: Sequence[str], picture: Path) -> int:
        """Of one picture, as an answer states them."""
        return self._classify(kernels, names, [picture])[0]["cost"]["macs"]

    def serve_command(self, kernels: Kernels) -> list[str | Path]:
        """One instance and one thread for the network's traffic: there is one CPU for them."""
        flags = ("--listen", "127.0.0.1:0", "--instances", "1", "--io-threads", "1")
        return [*self._command("serve"), "--kernels", kernels.name, *flags]

    def _command(self, name: str) -> list[str | Path]:
        return [self.binary, name, "--model", self.directory]

    def _bench(self, flags: Sequence[str | Path], on: Sequence[int]) -> dict[str, Any]:
        answer = json.loads(run([*self._command("bench"), *flags, "--json"], on))
        lacking = [member for member in NEEDED if member not in answer]
        if lacking:
            raise Failure(f"espalier bench --json says nothing about {', '.join(lacking)}, which the table needs.")
        return answer

    def _classify(self, kernels: Kernels, names: Sequence[str], pictures: Sequence[Path]) -> list[dict[str, Any]]:
        """All scores of all pictures: `--top` is more than there are categories."""
        command = [*self._command("classify"), *pictures, "--kernels", kernels.name, "--top", "100000", "--json"]
        return [json.loads(line) for line in run([*command, *_categories(names)], [self.core]).splitlines()]


def _categories(names: Sequence[str]) -> list[str]:
    return ["--categories", ",".join(names)] if names else []
