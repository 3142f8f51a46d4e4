"""Makes a model directory of the reference network (a folder with taxonomy.json and weights.safetensors).

    python3 -m espalier_models.convert_reference --reference DIR --output DIR --dtype f16

The reference's batch normalisation is folded already; the weights are rounded here once, to the dtype asked for. The
same reference gives the same bytes.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from . import json_file, model_directory, safetensors_file
from .description import conv, residual
from .plain_errors import plain_errors

NAME = "tiny-imagenet-200"
VERSION = "1"


# The layers of a node by its depth: trunk, realm, group, category.
LAYERS_BY_DEPTH = (
    [conv("conv1", 24, stride=2), residual("res1", 24), conv("conv2", 48, stride=2), residual("res2", 48)],
    [conv("conv1", 96, stride=2), residual("res1", 96)],
    [conv("conv1", 64), conv("conv2", 64)],
    [conv("conv1", 12)],
)


def describe(taxonomy: dict[str, Any], tensor_names: Collection[str]) -> dict[str, Any]:
    """Returns model.json for the taxonomy. An inner node has a head where the reference has tensors for one."""
    size = taxonomy["input"]
    return {
        "format": 1,
        "name": NAME,
        "version": VERSION,
        "input": {
            "channels": 3,
            "height": size["height"],
            "width": size["width"],
            "mean": size["mean"],
            "std": size["std"],
        },
        "trunk": {
            "layers": LAYERS_BY_DEPTH[0],
            "children": [_describe_node(child, "", 1, tensor_names) for child in taxonomy["children"]],
        },
    }


def _describe_node(node: dict[str, Any], prefix: str, depth: int, tensor_names: Collection[str]) -> dict[str, Any]:
    path = prefix + node["name"]
    described: dict[str, Any] = {"name": node["name"], "label": node["label"]}
    if "wnid" in node:
        described["id"] = node["wnid"]
    children = node.get("children", [])
    if children and f"{path}:head.weight" in tensor_names:
        described["head"] = True
    described["layers"] = LAYERS_BY_DEPTH[depth]
    if children:
        described["children"] = [_describe_node(child, path + "/", depth + 1, tensor_names) for child in children]
    return described


def convert(reference: Path, output: Path, dtype: str) -> None:
    """Writes the model directory. dtype is F32, F16 or BF16."""
    taxonomy = json_file.read(reference / "taxonomy.json")
    tensors: dict[str, np.ndarray] = safetensors_file.read(reference / "weights.safetensors")
    model_directory.write(output, describe(taxonomy, tensors), tensors, {name: dtype for name in tensors})


def main() -> None:
    parser = argparse.ArgumentParser(description="Make a model directory of the reference network.")
    parser.add_argument("--reference", type=Path, required=True, help="folder with taxonomy.json, weights.safetensors")
    parser.add_argument("--output", type=Path, required=True, help="the model directory to write")
    parser.add_argument("--dtype", choices=("f32", "f16", "bf16"), default="f16", help="storage (default: f16)")
    arguments = parser.parse_args()
    with plain_errors():
        convert(arguments.reference, arguments.output, arguments.dtype.upper())


if __name__ == "__main__":
    main()
