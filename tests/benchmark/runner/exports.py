"""Cutouts as ONNX files, with a JSON file beside each that tells the Node service what comes out.

    exports = Exports(folder, model_directory)
    exports.cutout(("animal/cat",), batch, "siblings")      the file, exported where it is not there yet
    exports.empty()                                         a graph that does nothing, for what a call costs
"""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from espalier_models import model_directory
from espalier_models.description import input_shape

from . import cut_network
from .cut_network import CutNetwork

OPSET = 17  # the newest of PyTorch 1.13


class Exports:
    """The folder is kept from run to run; files of another model or of older code have other names."""

    def __init__(self, folder: Path, directory: Path) -> None:
        self.folder = folder
        self.model = model_directory.read(directory)
        self.labels = dict(_labels(self.model.description["trunk"], ""))
        self._stamp = _digest(
            (directory / "model.json").read_bytes(),
            (directory / "model.safetensors").read_bytes(),
            inspect.getsource(cut_network).encode(),
            inspect.getsource(sys.modules[__name__]).encode(),
        )
        folder.mkdir(parents=True, exist_ok=True)

    def cutout(self, names: Sequence[str], batch: int, form: str) -> Path:
        key = _digest(self._stamp.encode(), repr((tuple(names), batch)).encode())
        path = self.folder / f"{form}-{batch}-{key[:12]}.onnx"
        if not path.exists():
            module = CutNetwork(self.model, names, form)
            path.with_suffix(".json").write_text(json.dumps(self._description(module.categories)), encoding="utf-8")
            self._write(module, batch, path)
        return path

    def empty(self) -> Path:
        path = self.folder / f"empty-{self._stamp[:12]}.onnx"
        if not path.exists():
            self._write(_Empty(), 1, path)
        return path

    def _description(self, categories: Sequence[str]) -> dict[str, Any]:
        description = self.model.description
        return {
            "model": {"name": description["name"], "version": description["version"]},
            "input": description["input"],
            "categories": [{"path": path, "label": self.labels[path]} for path in categories],
        }

    def _write(self, module: nn.Module, batch: int, path: Path) -> None:
        unfinished = path.with_suffix(".part")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # shapes that the trace keeps as constants: they are fixed here
            torch.onnx.export(
                module, torch.zeros(batch, *input_shape(self.model.description)), str(unfinished),
                opset_version=OPSET, input_names=["image"], output_names=["scores"],
            )  # fmt: skip
        unfinished.rename(path)


class _Empty(nn.Module):
    """Reads the input and gives one number."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs[:, 0, 0, :1] + 1


def _labels(node: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for child in node.get("children", []):
        path = prefix + child["name"]
        yield path, child.get("label", child["name"])
        yield from _labels(child, path + "/")


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()
