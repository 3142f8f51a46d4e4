"""What the bundled network costs, counted from its model.json by hand: a convolution's MACs are OH·OW·OC·(IC/groups)·KH·KW,
a head's its channels; a parameter is a weight or a bias. (The network is made of convolutions and residuals.)"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from models import BUNDLED


class Cost(NamedTuple):
    macs: int
    parameters: int

    def __add__(self, other: Cost) -> Cost:  # type: ignore[override]
        return Cost(self.macs + other.macs, self.parameters + other.parameters)


def _convolution(layer: dict[str, Any], shape: tuple[int, int, int]) -> tuple[Cost, tuple[int, int, int]]:
    channels, height, width = shape
    kernel, stride, padding = layer["kernel"], layer.get("stride", 1), layer.get("padding", 0)
    height, width = ((extent + 2 * padding - kernel) // stride + 1 for extent in (height, width))
    weights = layer["out"] * channels // layer.get("groups", 1) * kernel * kernel
    return Cost(weights * height * width, weights + layer["out"]), (layer["out"], height, width)


def _layers(layers: list[dict[str, Any]], shape: tuple[int, int, int]) -> tuple[Cost, tuple[int, int, int]]:
    cost = Cost(0, 0)
    for layer in layers:
        if layer["op"] == "conv":
            added, shape = _convolution(layer, shape)
        else:
            assert layer["op"] == "residual" and "shortcut" not in layer
            added, shape = _layers(layer["body"], shape)
        cost += added
    return cost, shape


def _subtree(node: dict[str, Any], shape: tuple[int, int, int], chosen: str | None) -> Cost | None:
    """Of what runs for one category, or for all; None where nothing does."""
    cost, shape = _layers(node["layers"], shape)
    if "children" not in node:
        return cost + Cost(shape[0], shape[0] + 1) if chosen in (None, node["name"]) else None
    below = [_subtree(child, shape, chosen) for child in node["children"]]
    if all(one is None for one in below):
        return None
    return sum((one for one in below if one), cost)


def trunk_cost() -> Cost:
    model = json.loads((BUNDLED / "model.json").read_text())
    return _layers(model["trunk"]["layers"], tuple(model["input"][side] for side in ("channels", "height", "width")))[0]


def cost_of(category: str | None = None) -> Cost:
    model = json.loads((BUNDLED / "model.json").read_text())
    size = model["input"]
    cost = _subtree(model["trunk"], (size["channels"], size["height"], size["width"]), category)
    assert cost is not None
    return cost


WHOLE = cost_of()
TABBY = cost_of("tabby")
VERSION = json.loads((BUNDLED / "model.json").read_text())["version"]
