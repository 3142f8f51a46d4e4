"""Reads and writes model directories: model.json and model.safetensors. ../README.md has the format.

    model = read(Path("tiny-imagenet-200"))
    model.description                         model.json as it stands
    model.trunk                               its checked tree (see description)
    model.tensors                             float32 arrays by name
    write(path, description, tensors, dtypes)   dtypes: how each tensor is stored (see safetensors_file)

Reading and writing check that all tensors of the tree are there in their shapes, and no others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import json_file, safetensors_file
from .atomic_file import replacing
from .description import DescriptionError, Node, input_shape, parse_tree, tensor_shapes

LINE_WIDTH = 240


@dataclass(frozen=True)
class Model:
    """A network: its description as written, its checked tree, and its weights in float32."""

    description: dict[str, Any]
    trunk: Node
    tensors: dict[str, np.ndarray]


def read(directory: Path) -> Model:
    """Reads and checks a model directory."""
    description = json_file.read(directory / "model.json")
    stored = safetensors_file.read(directory / "model.safetensors")
    trunk = parse_tree(description)
    _check_tensors(description, trunk, stored)
    return Model(description, trunk, {name: array.astype(np.float32) for name, array in stored.items()})


def write(
    directory: Path, description: dict[str, Any], tensors: Mapping[str, np.ndarray], dtypes: Mapping[str, str]
) -> None:
    """Writes a model directory, the tensors in the order of the tree. Tensors not named in dtypes keep their own."""
    trunk = parse_tree(description)
    _check_tensors(description, trunk, tensors)
    ordered = {name: tensors[name] for name in tensor_shapes(trunk, input_shape(description))}
    directory.mkdir(parents=True, exist_ok=True)
    with replacing(directory / "model.safetensors") as unfinished:
        safetensors_file.write(unfinished, ordered, dtypes)
    write_description(directory, description)


def write_description(directory: Path, description: Mapping[str, Any]) -> None:
    """Writes model.json alone, for the weights that are there."""
    parse_tree(description)
    with replacing(directory / "model.json") as unfinished:
        unfinished.write_text(format_json(description) + "\n", encoding="utf-8")


def format_json(value: Any, depth: int = 0) -> str:
    """JSON for people: what fits on a line stands on one, all else is broken into lines and indented by one space.
    Layers and nodes that have others beside them each begin a line."""
    line = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if not isinstance(value, (dict, list)) or (depth + len(line) <= LINE_WIDTH and not _has_rows(value)):
        return line
    if isinstance(value, dict):
        members = [json.dumps(name) + ": " + format_json(member, depth + 1) for name, member in value.items()]
        return _broken("{", members, "}", depth)
    return _broken("[", [format_json(member, depth + 1) for member in value], "]", depth)


def _has_rows(value: Any) -> bool:
    """Whether the value holds, at any depth, a list of several objects."""
    if isinstance(value, dict):
        return any(_has_rows(member) for member in value.values())
    if isinstance(value, list):
        return sum(isinstance(member, dict) for member in value) > 1 or any(_has_rows(member) for member in value)
    return False


def _broken(opening: str, members: list[str], closing: str, depth: int) -> str:
    indent = "\n" + " " * (depth + 1)
    return opening + indent + ("," + indent).join(members) + "\n" + " " * depth + closing


def _check_tensors(description: Mapping[str, Any], trunk: Node, tensors: Mapping[str, np.ndarray]) -> None:
    shapes = tensor_shapes(trunk, input_shape(description))
    for name in tensors:
        if name not in shapes:
            raise DescriptionError(f"{name}: no layer of the tree has this tensor")
    for name, shape in shapes.items():
        if name not in tensors:
            raise DescriptionError(f"{name}: the tensor is missing")
        if tensors[name].shape != shape:
            raise DescriptionError(f"{name}: has the shape {tensors[name].shape}, the tree needs {shape}")
        if not np.isfinite(tensors[name]).all():
            raise DescriptionError(f"{name}: holds a value that is not finite")
