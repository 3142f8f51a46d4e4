"""Puts a tree below a trunk that an importer read: where the trunk ends, what the branches are, and their weights.

    description, tensors = build(source, definitions, Picture(64, 64), until="layer3", weights={}, seed=0)

Definitions are an object with `children`, as in model.json, and perhaps `name` and `version`. In a node, three members
more than model.json's are understood:

    "row": 281              at a leaf: its head is row 281 of the network's classifier, weights and bias
    "layers": "rest"        the node's layers are those that the network has between the trunk's end and the classifier
    "initial": "random"     what nothing else gives a value, in this node and below it (or, beside the outermost
                            `children`, anywhere), is drawn at random, to be trained afterwards

`layers` may be left away where a node has none. A row's score is that of the network for this class, so all of its
layers, and no others, have to stand between the picture and the leaf. Tensors of `weights` have their names in the
model directory, `animal/cat:conv1.weight`. Random heads are not negative, so that attention is monotone where it can be.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .description import Shape, parse_tree, tensor_shapes
from .trunk_source import ImportFault, Source, SourceLayer

CHANNELS = 3
TENSOR_MAX = 1 << 26  # ESP_TENSOR_MAX in include/espalier/limits.h
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Picture:
    """What the network takes: pictures of this size, each value (value - mean) / std, where 1 is white."""

    height: int
    width: int
    mean: Sequence[float] = IMAGENET_MEAN
    std: Sequence[float] = IMAGENET_STD


def build(
    source: Source,
    definitions: Mapping[str, Any],
    picture: Picture,
    *,
    until: str | None = None,
    weights: Mapping[str, np.ndarray] | None = None,
    seed: int = 0,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Returns model.json and the tensors, none larger than the engine takes. `until` is the trunk's last layer, by name
    or number; None: the last of the features."""
    description, tensors = assemble(source, definitions, picture, until=until, weights=weights, seed=seed)
    for name, array in tensors.items():
        if array.size > TENSOR_MAX:
            raise ImportFault(
                f"{name}: has {array.size} values, the engine takes up to {TENSOR_MAX};"
                " the first linear layer gets smaller with the picture (--size)"
            )
    return description, tensors


def assemble(
    source: Source,
    definitions: Mapping[str, Any],
    picture: Picture,
    *,
    until: str | None = None,
    weights: Mapping[str, np.ndarray] | None = None,
    seed: int = 0,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """As `build`, for networks of any size."""
    _check_definitions(definitions)
    tree = _Tree(source, source.position(until))
    trunk = {"layers": tree.take("trunk", source.body[: tree.end])}
    start = _Above(_is_random("the branch definitions", definitions), tree.end == len(source.body))
    trunk["children"] = [tree.add(child, "", start) for child in definitions["children"]]
    description = {
        "format": 1,
        "name": definitions.get("name", "imported"),
        "version": definitions.get("version", "1"),
        "input": {
            "channels": CHANNELS,
            "height": picture.height,
            "width": picture.width,
            "mean": list(picture.mean),
            "std": list(picture.std),
        },
        "trunk": trunk,
    }
    shapes = tensor_shapes(parse_tree(description), (CHANNELS, picture.height, picture.width))
    return description, tree.fill(shapes, weights or {}, np.random.default_rng(seed))


@dataclass(frozen=True)
class _Above:
    """What holds at a node from above: whether missing values are drawn, and whether all of the network's layers have
    run; None: other ones have, too."""

    random: bool
    whole: bool | None


@dataclass
class _Tree:
    """Collects the nodes' tensors while the tree is described. `end` is how many layers the trunk takes."""

    source: Source
    end: int
    tensors: dict[str, np.ndarray] = field(default_factory=dict)
    random: set[str] = field(default_factory=set)

    def take(self, path: str, layers: Sequence[SourceLayer]) -> list[dict[str, Any]]:
        """Gives a node layers of the network."""
        for layer in layers:
            self.tensors.update({f"{path}:{name}": array for name, array in layer.tensors.items()})
        return [layer.description for layer in layers]

    def add(self, defined: Mapping[str, Any], prefix: str, above: _Above) -> dict[str, Any]:
        """Describes a node and all below it."""
        if not isinstance(defined, Mapping) or not isinstance(defined.get("name"), str):
            raise ImportFault(f"{prefix or 'trunk'}: each of its children has to be an object with a name")
        path = prefix + defined["name"]
        here = _Above(above.random or _is_random(path, defined), above.whole)
        if here.random:
            self.random.add(path)
        node = {key: value for key, value in defined.items() if key not in ("row", "initial", "layers", "children")}
        node["layers"], here = self._layers(path, defined.get("layers", []), here)
        if "row" in defined:
            self._take_row(path, defined, here)
        if "children" in defined:
            if not isinstance(defined["children"], list):
                raise ImportFault(f"{path}: its children have to be a list")
            node["children"] = [self.add(child, path + "/", here) for child in defined["children"]]
        return node

    def _layers(self, path: str, layers: Any, here: _Above) -> tuple[list[dict[str, Any]], _Above]:
        if layers != "rest":
            if not isinstance(layers, list) or not all(isinstance(layer, Mapping) for layer in layers):
                raise ImportFault(f'{path}: its layers have to be a list of layers, or "rest"')
            return layers, here if not layers else _Above(here.random, None)
        self.source.need_whole()
        if here.whole is not False:
            reason = "nothing of the network is left" if here.whole else "other layers stand above it"
            raise ImportFault(f'{path}: has the layers "rest", but {reason}')
        return self.take(path, self.source.body[self.end :]), _Above(here.random, True)

    def _take_row(self, path: str, defined: Mapping[str, Any], here: _Above) -> None:
        row, classifier = defined["row"], self.source.classifier
        self.source.need_whole()
        if classifier is None:
            raise ImportFault(f"{path}: asks for row {row}, but the network does not end with a linear layer")
        if "children" in defined:
            raise ImportFault(f"{path}: has children, and a row; rows are for leaves")
        if not here.whole:
            raise ImportFault(
                f"{path}: row {row} needs all of the network's layers above it, and no others; "
                'let the trunk hold them (--until), or give the leaf or a branch above it the layers "rest"'
            )
        name, rows = classifier.description["name"], classifier.description["out"]
        if type(row) is not int or not 0 <= row < rows:
            raise ImportFault(f"{path}: row {row!r} is no whole number from 0 to {rows - 1}, the network's classes")
        bias = classifier.tensors.get(f"{name}.bias", np.zeros(rows, np.float32))
        self.tensors[f"{path}:head.weight"] = classifier.tensors[f"{name}.weight"][row]
        self.tensors[f"{path}:head.bias"] = bias[row : row + 1]

    def fill(
        self, shapes: Mapping[str, Shape], weights: Mapping[str, np.ndarray], generator: np.random.Generator
    ) -> dict[str, np.ndarray]:
        """All tensors of the tree: the network's, then those of `weights`, then random ones."""
        for name in weights:
            if name not in shapes or name in self.tensors:
                reason = "no layer of the tree has it" if name not in shapes else "the network gives it already"
                raise ImportFault(f"{name}: stands among the weights, but {reason}")
        return dict(self._filled(shapes, {**weights, **self.tensors}, generator))

    def _filled(
        self, shapes: Mapping[str, Shape], given: Mapping[str, np.ndarray], generator: np.random.Generator
    ) -> Iterator[tuple[str, np.ndarray]]:
        for name, shape in shapes.items():
            if name in given and given[name].shape != shape:
                raise ImportFault(
                    f"{name}: has the shape {given[name].shape}, the tree needs {shape};"
                    f" are the pictures of another size (--size), or not of {CHANNELS} channels?"
                )
            path = name.partition(":")[0]
            if name not in given and path not in self.random:
                row = 'give the leaf a "row", ' if ":head." in name else ""
                raise ImportFault(
                    f"{name}: has no value: {row}write it into the file of --weights,"
                    f' or "initial": "random" into {path} or above'
                )
            yield name, given[name] if name in given else _drawn(name, shape, generator)


def _check_definitions(definitions: Any) -> None:
    if not isinstance(definitions, Mapping) or not isinstance(definitions.get("children"), list):
        raise ImportFault('the branch definitions have to be an object with the list "children"')
    unknown = set(definitions) - {"name", "version", "initial", "children"}
    if unknown:
        raise ImportFault(f"the branch definitions have the unknown member {sorted(unknown)[0]!r}")


def _is_random(place: str, defined: Mapping[str, Any]) -> bool:
    if defined.get("initial", "random") != "random":
        raise ImportFault(f'{place}: "initial" can only be "random"')
    return "initial" in defined


def _drawn(name: str, shape: Shape, generator: np.random.Generator) -> np.ndarray:
    """He's initial values: biases 0, weights normal so that layers behind a ReLU keep the variance; heads unsigned."""
    if name.endswith(".bias"):
        return np.zeros(shape, np.float32)
    inputs = shape[0] if ":head." in name else math.prod(shape[1:])
    drawn = generator.standard_normal(shape) * math.sqrt(2 / inputs)
    return (np.abs(drawn) if ":head." in name else drawn).astype(np.float32)
