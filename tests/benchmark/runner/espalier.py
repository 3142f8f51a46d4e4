"""The program under test, by its command line.

    espalier = Espalier(binary, directory, core)
    espalier.fault(variant)                         why the machine cannot run it, or None
    espalier.bench(variant, row, picture, runs, cores)
    espalier.scores(variant, names, pictures)       a dictionary of category and score for each picture
    espalier.serve_command(variant)
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from .processes import Failure, run
from .rows import EngineRow, Variant

NEEDED = ("median_ms", "macs", "kernels", "precision", "batch", "threads")


class Espalier:
    def __init__(self, binary: Path, directory: Path, core: int) -> None:
        self.binary, self.directory, self.core = binary, directory, core
        self._help = cache(self._ask_help)
        if "bench" not in run([binary, "--help"], [core]):
            raise Failure(f"{binary} has no command `bench`. Build a newer espalier, or name one with --binary.")

    def fault(self, variant: Variant) -> str | None:
        unknown = [command for command in ("bench", "classify") if not self.knows(command, variant)]
        if unknown:
            flags = " ".join(f"--{name} {value}" for name, value in variant.flags.items())
            return f"not known to espalier {' and '.join(unknown)}: {flags}"
        try:
            run([*self._command("bench", variant), "--runs", "1", "--json"], [self.core])
        except Failure as failure:
            return str(failure)
        return None

    def knows(self, command: str, variant: Variant) -> bool:
        """Whether the command has all of the variant's flags. One without --precision computes in FP32."""
        return all(self._has(command, name) or value == "fp32" for name, value in variant.flags.items())

    def bench(self, variant: Variant, row: EngineRow, picture: Path, runs: int, on: Sequence[int]) -> dict[str, Any]:
        figures = {"runs": runs, "batch": row.batch, "threads": row.threads}
        flags = [text for name, value in figures.items() for text in (f"--{name}", str(value))]
        command = [*self._command("bench", variant), picture, "--json", *flags, *_categories(row.categories)]
        answer = json.loads(run(command, on))
        lacking = [member for member in NEEDED if member not in answer]
        if lacking:
            raise Failure(f"espalier bench --json says nothing about {', '.join(lacking)}, which the table needs.")
        return answer

    def scores(self, variant: Variant, names: Sequence[str], pictures: Sequence[Path]) -> list[dict[str, float]]:
        command = [*self._command("classify", variant), *pictures, "--json", "--top", "100000", *_categories(names)]
        answers = [json.loads(line) for line in run(command, [self.core]).splitlines()]
        return [{found["category"]: found["score"] for found in answer["predictions"]} for answer in answers]

    def macs(self, names: Sequence[str], picture: Path) -> int:
        """Of one picture, as an answer states them."""
        command = [self.binary, "classify", "--model", self.directory, picture, "--json", *_categories(names)]
        return json.loads(run(command, [self.core]))["cost"]["macs"]

    def serve_command(self, variant: Variant) -> list[str | Path]:
        """One instance and one thread for the network's traffic: there is one CPU for them."""
        return [*self._command("serve", variant), "--listen", "127.0.0.1:0", "--instances", "1", "--io-threads", "1"]

    def _command(self, name: str, variant: Variant) -> list[str | Path]:
        flags = {"model": str(self.directory), **variant.flags}
        known = [(flag, value) for flag, value in flags.items() if self._has(name, flag)]
        return [self.binary, name, *(text for flag, value in known for text in (f"--{flag}", value))]

    def _has(self, command: str, flag: str) -> bool:
        return f"--{flag}" in self._help(command)

    def _ask_help(self, command: str) -> str:
        return run([self.binary, command, "--help"], [self.core])


def _categories(names: Sequence[str]) -> list[str]:
    return ["--categories", ",".join(names)] if names else []
