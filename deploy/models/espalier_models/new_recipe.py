"""Makes a recipe and a taxonomy from folders of pictures: a place to start from.

    python3 -m espalier_models.new_recipe --data pictures --output garden --size 64

The folders are the tree: pictures/bird/robin/1.jpg is a picture of bird/robin; a folder that has pictures is a category. The
network gets a trunk, a segment for each inner node and a small one for each category, a little wider for larger pictures. Widths,
depths and names are yours to change in the files (see recipe); a name becomes lower case, with _ for what is no letter or digit,
and the folder's own name stays as the label and, where it can, as the id.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from .description import ID, conv, residual
from .model_directory import format_json
from .pictures import ENDINGS

MEAN, DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def taxonomy(folder: Path) -> dict[str, Any]:
    """The tree of the folders below one."""
    children = [_node(child) for child in sorted(folder.iterdir()) if child.is_dir()]
    found = [child for child in children if child is not None]
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
    shape = {"channels": 3, "height": size, "width": size, "mean": MEAN, "std": DEVIATION}
    return {"name": name, "version": "1", "taxonomy": "taxonomy.json", "input": shape, "layers": layers(size), "training": {"epochs": 30, "batch": 64}}


def _node(folder: Path) -> dict[str, Any] | None:
    """The node of a folder; none for one without pictures."""
    node: dict[str, Any] = {"name": re.sub(r"[^a-z0-9]+", "_", folder.name.lower()).strip("_") or "node", "label": folder.name}
    children = [child for child in map(_node, sorted(path for path in folder.iterdir() if path.is_dir())) if child]
    if children:
        return {**node, "children": children}
    if not any(path.suffix.lower() in ENDINGS for path in folder.iterdir()):
        return None
    return {**node, "id": folder.name} if ID.fullmatch(folder.name) and folder.name != node["name"] else node


def main() -> None:
    parser = argparse.ArgumentParser(description="Make a recipe from folders of pictures.")
    parser.add_argument("--data", type=Path, required=True, help="the folder; the folders in it are the tree")
    parser.add_argument("--output", type=Path, required=True, help="the folder for recipe.json and taxonomy.json; its name is the network's")
    parser.add_argument("--size", type=int, default=64, help="pixels that the network sees (default: %(default)s)")
    arguments = parser.parse_args()
    try:
        tree = taxonomy(arguments.data)
    except ValueError as error:
        sys.exit(str(error))
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name, value in (("taxonomy.json", tree), ("recipe.json", recipe(arguments.output.resolve().name, arguments.size))):
        path = arguments.output / name
        if path.exists():
            sys.exit(f"{path} is there already: choose another folder")
        path.write_text((format_json(value) if name == "recipe.json" else json.dumps(value, indent=1, ensure_ascii=False)) + "\n", encoding="utf-8")
    print(f"{arguments.output}/recipe.json and taxonomy.json are written")


if __name__ == "__main__":
    main()
