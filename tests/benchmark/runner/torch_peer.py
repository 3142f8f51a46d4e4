"""PyTorch as a process that answers lines of JSON, as peers/onnx_runtime.js does.

    {"command": "load", "model": DIR, "categories": [...], "form": "siblings", "mode": "frozen", "threads": 1, "shape": [...]}
    {"command": "scores", "inputs": FILE}
    {"command": "time", "inputs": FILE, "runs": 20}
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from espalier_models import model_directory

from .cut_network import CutNetwork

# How a module is run: as it is, traced with its weights as constants, or that rewritten for oneDNN.
MODES: dict[str, Callable[[torch.nn.Module, torch.Tensor], Callable[[torch.Tensor], torch.Tensor]]] = {
    "eager": lambda module, example: module,
    "frozen": lambda module, example: torch.jit.freeze(torch.jit.trace(module, example)),
    "optimised": lambda module, example: torch.jit.optimize_for_inference(torch.jit.trace(module, example)),
}
WARM_UP = 5


class Peer:
    def load(self, question: dict[str, Any]) -> dict[str, Any]:
        torch.set_num_threads(question["threads"])
        self.shape = tuple(question["shape"])
        module = CutNetwork(model_directory.read(Path(question["model"])), question["categories"], question["form"])
        self.run = MODES[question["mode"]](module, torch.zeros(self.shape))
        return {}

    def scores(self, question: dict[str, Any]) -> dict[str, Any]:
        batches = self._read(question).reshape(-1, *self.shape)
        return {"scores": torch.cat([self.run(batch) for batch in batches]).tolist()}

    def time(self, question: dict[str, Any]) -> dict[str, Any]:
        pictures = self._read(question).reshape(-1, *self.shape[1:])
        batch = pictures[:1].repeat(self.shape[0], 1, 1, 1)
        for _ in range(WARM_UP):
            self.run(batch)
        return {"milliseconds": [self._time_once(batch) for _ in range(question["runs"])]}

    def _time_once(self, batch: torch.Tensor) -> float:
        start = time.perf_counter()
        self.run(batch)
        return (time.perf_counter() - start) * 1e3

    def _read(self, question: dict[str, Any]) -> torch.Tensor:
        return torch.from_numpy(np.fromfile(question["inputs"], dtype=np.float32))


def main() -> None:
    warnings.simplefilter("ignore")  # shapes that the trace keeps as constants: they are fixed here
    peer = Peer()
    commands = {"load": peer.load, "scores": peer.scores, "time": peer.time}
    with torch.inference_mode():
        for line in sys.stdin:
            question = json.loads(line)
            try:
                answer = commands[question["command"]](question)
            except Exception as fault:  # whatever it is, the runner says it
                answer = {"error": f"{type(fault).__name__}: {fault}"}
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
