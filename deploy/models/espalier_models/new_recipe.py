"""Makes a recipe and a taxonomy from folders of pictures: a place to start from.

    python3 -m espalier_models.new_recipe --data pictures --output garden --size 64

The folders are the tree: pictures/bird/robin/1.jpg is a picture of bird/robin; a folder that has pictures is a category. The
network gets a trunk, a segment for each inner node and a small one for each category, a little wider for larger pictures. Widths,
depths and names are yours to change in the files (see recipe); a name becomes lower case, with _ for what is no letter or digit,
and the folder's own name stays as the label.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

from .description import INPUT_EXTENT_MAX, NAME_MAX, conv, is_node_name, residual
from .model_directory import format_json
from .pictures import ENDINGS
from .plain_errors import plain_errors
from .recipe import as_name

SIZE_MIN = 8  # the layers below halve it three times
MEAN, DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def taxonomy(folder: Path) -> dict[str, Any]:
    """The tree of the folders below one."""
    found = _nodes(folder)
    if not found:
        raise ValueError(f"{folder}: has no folders with pictures ({', '.join(ENDINGS)}) in it")
    return {"children": found}


def layers(size: int) -> dict[str, Any]:
    """Layers for pictures of `size` pixels: halved until about 8 × 8 are left."""
    trunk = [conv("conv1", 16, 2), residual("res1", 16)]
    width = 16
    while size > 32:
        size, width = size // 2, width + 16
        trunk += [conv(f"conv{width // 16}", width, 2), residual(f"res{width // 16}", width)]
    inner = [conv("conv1", 2 * width, 2), residual("res1", 2 * width)]
    return {"trunk": trunk, "inner": [inner, [conv("conv1", 2 * width)]], "leaf": [conv("conv1", 12)]}


def recipe(name: str, size: int) -> dict[str, Any]:
    """The recipe of a network that is called so, as far as a network may be."""
    name = re.sub("[^A-Za-z0-9._-]+", "_", name)[:NAME_MAX] or "network"
    shape = {"channels": 3, "height": size, "width": size, "mean": MEAN, "std": DEVIATION}
    return {"name": name, "version": "1", "taxonomy": "taxonomy.json", "input": shape, "layers": layers(size), "training": {"epochs": 30, "batch": 64}}


def _nodes(folder: Path) -> list[dict[str, Any]]:
    """The nodes of the folders in one, without those that have no pictures."""
    found: dict[str, Path] = {}
    nodes = []
    for child in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        if (node := _node(child)) is None:
            continue
        if not is_node_name(node["name"]):
            raise ValueError(f"{child}: a category's name has 1 to {NAME_MAX} letters from a to z or digits, and is not trunk: rename the folder")
        if other := found.get(node["name"]):
            raise ValueError(f"{other} and {child}: both would be called {node['name']}: rename one of them")
        found[node["name"]] = child
        nodes.append(node)
    return nodes


def _node(folder: Path) -> dict[str, Any] | None:
    """The node of a folder; none for one without pictures."""
    node: dict[str, Any] = {"name": as_name(folder.name), "label": folder.name}
    if children := _nodes(folder):
        return {**node, "children": children}
    return node if any(path.suffix.lower() in ENDINGS for path in folder.iterdir()) else None


def main() -> None:
    parser = argparse.ArgumentParser(description="Make a recipe from folders of pictures.")
    parser.add_argument("--data", type=Path, required=True, help="the folder; the folders in it are the tree")
    parser.add_argument("--output", type=Path, required=True, help="the folder for recipe.json and taxonomy.json; its name is the network's")
    parser.add_argument("--size", type=int, default=64, help="pixels that the network sees (default: %(default)s)")
    arguments = parser.parse_args()
    with plain_errors():
        run(arguments.data, arguments.output, arguments.size)


def run(data: Path, output: Path, size: int) -> None:
    if not SIZE_MIN <= size <= INPUT_EXTENT_MAX:
        raise ValueError(f"--size: {size} is not from {SIZE_MIN} to {INPUT_EXTENT_MAX} pixels")
    files = {
        "taxonomy.json": json.dumps(taxonomy(data), indent=1, ensure_ascii=False),
        "recipe.json": format_json(recipe(output.resolve().name, size)),
    }
    for name in files:
        if (output / name).exists():
            raise ValueError(f"{output / name} is there already: choose another folder")
    output.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (output / name).write_text(text + "\n", encoding="utf-8")
    print(f"{output}/recipe.json and taxonomy.json are written")


if __name__ == "__main__":
    main()
