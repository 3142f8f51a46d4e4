"""ONNX Runtime, PyTorch and espalier, seen alike, for one row of the engine's table.

    contender.title
    contender.ways              the ways that it can run the row's network, as dictionaries; the fastest one is measured
    contender.tolerance         how far its scores may be from espalier's first kernels
    contender.load(way)
    contender.scores()          a dictionary of category and score for each of the small pictures
    contender.time(runs)        the median of so many runs of a batch of the first picture, in milliseconds
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from espalier_models.description import categories, input_shape

from .cut_network import FORMS, cut
from .espalier import Espalier, Kernels
from .exports import Exports
from .pictures import Pictures
from .processes import LinePeer
from .rows import EngineRow

PEERS = Path(__file__).resolve().parents[1] / "peers"
TORCH_MODES = ("eager", "frozen", "optimised")
CALL_RUNS = 500

Way = dict[str, Any]
Scores = list[dict[str, float]]


@dataclass(frozen=True)
class Bench:
    """What all contenders share."""

    work: Path
    directory: Path
    exports: Exports
    pictures: Pictures
    espalier: Espalier
    cores: Sequence[int]


class Contender(Protocol):
    title: str
    ways: list[Way]
    tolerance: float

    def load(self, way: Way) -> None: ...
    def scores(self) -> Scores: ...
    def time(self, runs: int) -> float: ...


class _Peer:
    """A process of its own that stays, with the row's network loaded. It ends with its `with` block."""

    tolerance = 1e-3

    def __init__(self, bench: Bench, row: EngineRow, command: list[str | Path], **environment: str) -> None:
        self.bench, self.row = bench, row
        trunk = cut(bench.exports.model.trunk, row.categories)
        self._columns = categories(trunk)
        self._shape = [row.batch, *input_shape(bench.exports.model.description)]
        log = bench.work / "logs" / f"{Path(command[0]).name}.log"
        self._process = LinePeer(command, bench.cores[: row.threads], log, **environment)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *fault: object) -> None:
        self._process.close()

    def scores(self) -> Scores:
        answer = self._process.ask(command="scores", inputs=str(self.bench.pictures.inputs))
        return [dict(zip(self._columns, row, strict=True)) for row in answer["scores"]]

    def time(self, runs: int) -> float:
        answer = self._process.ask(command="time", inputs=str(self.bench.pictures.inputs), runs=runs)
        return statistics.median(answer["milliseconds"])

    def _load(self, **more: Any) -> None:
        self._process.ask(command="load", threads=self.row.threads, shape=self._shape, **more)


class OnnxRuntime(_Peer):
    title = "ONNX Runtime"
    ways: list[Way] = [{"form": form} for form in FORMS]

    def __init__(self, bench: Bench, row: EngineRow) -> None:
        super().__init__(bench, row, ["node", PEERS / "onnx_runtime.js"], **node_environment(bench.work))

    def load(self, way: Way) -> None:
        self.load_file(self.bench.exports.cutout(self.row.categories, self.row.batch, way["form"]))

    def load_file(self, file: Path) -> None:
        self._load(file=str(file))


class PyTorch(_Peer):
    title = "PyTorch"
    ways: list[Way] = [{"form": form, "mode": mode} for form in FORMS for mode in TORCH_MODES]

    def __init__(self, bench: Bench, row: EngineRow) -> None:
        super().__init__(bench, row, [sys.executable, "-m", "runner.torch_peer"])

    def load(self, way: Way) -> None:
        self._load(model=str(self.bench.directory), categories=self.row.categories, **way)


class EspalierBench:
    """`espalier bench`, started anew for each turn: it loads and warms up before it measures."""

    def __init__(self, bench: Bench, row: EngineRow, kernels: Kernels) -> None:
        self.bench, self.row, self.kernels = bench, row, kernels
        self.title, self.tolerance = kernels.title, kernels.tolerance
        self.ways: list[Way] = [{}]
        self.answer: dict[str, Any] = {}

    def load(self, way: Way) -> None:
        pass

    def scores(self) -> Scores:
        return self.bench.espalier.scores(self.kernels, self.row.categories, self.bench.pictures.small)

    def time(self, runs: int) -> float:
        on = self.bench.cores[: self.row.threads]
        self.answer = self.bench.espalier.bench(self.kernels, self.row, self.bench.pictures.small[0], runs, on)
        return self.answer["median_ms"]


def call_milliseconds(bench: Bench) -> float:
    """What a call of ONNX Runtime from Node costs by itself: a graph that does nothing, on a picture's input."""
    row = EngineRow("empty", "a graph that does nothing")
    with OnnxRuntime(bench, row) as peer:
        peer.load_file(bench.exports.empty())
        return peer.time(CALL_RUNS)


def node_environment(work: Path) -> dict[str, str]:
    """Where node finds the peers: they are installed in the work folder, not beside the scripts."""
    return {"NODE_PATH": str(work / "node_modules"), "NODE_ENV": "production"}
