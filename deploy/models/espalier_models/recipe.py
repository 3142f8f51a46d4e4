"""A recipe: what to train, and how. One JSON file, and a taxonomy beside it.

    recipe = read(Path("recipe.json"))
    recipe.description          model.json of the network (see description)
    recipe.labels               {outside name, path or name of a category: number of the category}
    category_of(labels, "any/bird/Young Robin/17.jpg")      the category of a picture, by the folders that it lies in
    recipe.training             the settings of the training, with their defaults

recipe.json:

    {"name": "garden", "version": "1", "taxonomy": "taxonomy.json",
     "input": {"channels": 3, "height": 64, "width": 64, "mean": [...], "std": [...]},
     "layers": {"trunk": [...], "inner": [[...], [...]], "leaf": [...]},
     "training": {"epochs": 20}}

`layers` holds layers as in model.json (../README.md): the trunk's, those of the inner nodes at each depth below it (a deeper
node takes the last ones), and the leaves'. With `"flat": true` all categories hang from the trunk: with leaves without layers this is an
ordinary sequential network. `"only": "animal/dog"` (or the argument of `read`) takes the categories of one branch only.

taxonomy.json: {"children": [{"name", "label", "id", "children"}, ...]}, as deep as you like. `id` is an outside name, such
as a WordNet id; pictures lie in folders with the id, the path (folders in each other) or the name of their category.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import json_file
from .description import DescriptionError, parse_tree

TRAINING = {
    "epochs": 20,
    "batch": 128,
    "optimiser": "sgd",  # or "adamw"
    "learning_rate": 0.1,  # the highest; it rises for `warm_up` of the steps and falls to nothing on a cosine
    "warm_up": 0.1,
    "weight_decay": 5e-4,  # on the convolutions
    "clip": 5.0,  # the largest norm of a step's gradient
    "norm": "batch",  # or "none": biases, for a start from a trained network that is to change little
    "label_smoothing": 0.1,
    "inner_loss": [0.1, 0.3],  # weight of the loss at the inner heads of each depth, beside 1 at the leaves
    "distillation": {"weight": 1.0, "temperature": 2.0},  # where there is a teacher
    "average": 0.999,  # the network that is kept is a running mean of the trained one; this much stays at each step
    "start_share": 0.0,  # of the weights at the beginning in those that are kept at the end: for a start from a trained network
    "sizes": [[1.0, 1.0]],  # until this part of the training, at this part of the picture's size
    # {"likely": 4, "random": 1}: each picture runs its own bouquet, and so many others; or [[0.7, {...}], [1.0, {...}]], as for sizes
    "branches": None,
    "held_out": 0.05,  # the part of the training pictures that is only measured on, and calibrated with
    "augment": {"zoom": [0.8, 1.15], "shift": 0.1, "turn": 8.0, "flip": True, "light": 0.25, "erase": 0.25},
    # The share of the batches whose pictures get a part of another one, and learn both (see pictures.cut_mix); or [[0.9, 0.5], [1.0, 0.0]]
    "cut_mix": 0.0,
    "seed": 1,
}


@dataclass(frozen=True)
class Recipe:
    description: dict[str, Any]
    labels: dict[str, int]
    training: dict[str, Any]


def read(path: Path, only: str | None = None) -> Recipe:
    """Reads and checks a recipe. `only` takes the place of the recipe's."""
    text = json_file.read(path)
    _check(path.name, text, {"name", "version", "taxonomy", "input", "layers"}, {"training", "flat", "only"})
    _check("layers", text["layers"], {"trunk", "leaf"}, {"inner"})
    taxonomy = json_file.read(path.parent / text["taxonomy"])
    if only := only or text.get("only"):
        taxonomy = {"children": [_branch(taxonomy, only)]}
    if text.get("flat"):
        taxonomy = {"children": [leaf for _, leaf in leaves(taxonomy)]}
    children = [_node(child, text["layers"], 0) for child in taxonomy["children"]]
    description = {"format": 1, **{name: text[name] for name in ("name", "version", "input")}}
    description["trunk"] = {"layers": text["layers"]["trunk"], "children": children}
    parse_tree(description)
    return Recipe(description, labels(description), with_defaults(text.get("training", {})))


def with_defaults(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a training, those that are not given as above."""
    _check("training", settings, set(), set(TRAINING))
    settings = {**TRAINING, **settings}
    for name in ("branches", "cut_mix"):
        if settings[name] is not None and not isinstance(settings[name], list):
            settings[name] = [[1.0, settings[name]]]
    return settings


def labels(description: Mapping[str, Any]) -> dict[str, int]:
    """What a folder of pictures may be called, and the number of its category. A name that two categories share is left out."""
    names: dict[str, int] = {}
    shared: set[str] = set()
    for number, (path, leaf) in enumerate(leaves(description["trunk"])):
        for name in {path, path.replace("/", "."), leaf["name"], leaf.get("id", path)}:
            if name in names:
                shared.add(name)
            names[name] = number
    return {name: number for name, number in names.items() if name not in shared}


def category_of(labels: Mapping[str, int], path: str) -> int | None:
    """The number of the category that a picture shows: what its last folder is called, its last two as a path, and so on; first as
    they are written, then as names. `espalier evaluate` finds it in the same way."""
    folders = path.split("/")[:-1]
    for spell in (str, as_name):
        spelled = [spell(folder) for folder in folders]
        for first in reversed(range(len(folders))):
            if (found := labels.get("/".join(spelled[first:]))) is not None:
                return found
    return None


def as_name(folder: str) -> str:
    """A folder's name as that of a node: lower case, with _ for what is no letter or digit of ASCII. May be empty."""
    return re.sub("[^a-z0-9]+", "_", "".join(letter.lower() if letter.isascii() else "_" for letter in folder)).strip("_")


def leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """The leaves below a node of a description, with their paths, in the order of the tree."""
    for child in node.get("children", []):
        path = prefix + child["name"]
        if "children" in child:
            yield from leaves(child, path + "/")
        else:
            yield path, child


def _branch(taxonomy: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    node = taxonomy
    for name in path.split("/"):
        found = [child for child in node.get("children", []) if child["name"] == name]
        if not found:
            raise DescriptionError(f"only: the taxonomy has no {path}")
        node = found[0]
    return node


def _node(node: Mapping[str, Any], layers: Mapping[str, Any], depth: int) -> dict[str, Any]:
    """A node of model.json for one of the taxonomy."""
    made = {name: node[name] for name in ("name", "label", "id") if name in node}
    if "children" not in node:
        return {**made, "layers": layers["leaf"]}
    inner = layers.get("inner") or [[]]
    children = [_node(child, layers, depth + 1) for child in node["children"]]
    return {**made, "head": True, "layers": inner[min(depth, len(inner) - 1)], "children": children}


def _check(place: str, value: Mapping[str, Any], required: set[str], optional: set[str]) -> None:
    missing, unknown = required - set(value), set(value) - required - optional
    if missing or unknown:
        raise DescriptionError(f"{place}: " + (f"lacks {sorted(missing)}" if missing else f"does not know {sorted(unknown)}"))
