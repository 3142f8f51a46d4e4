"""What an importer has read: the layers of a foreign network in model.json's words, with folded weights.

    source.layers            all layers from the picture to the scores, as far as they could be read
    source.body              those that a tree may hold: the features, and what stands between them and the classifier
    source.features          how many of the body's layers are features, that is, come before the pooling
    source.classifier        the last linear layer, whose rows become heads; None where the network has none
    source.position("layer3")   how many layers of the body end with the last one of that name

A layer's tensors are in float32 and have the names that they will have in a node, without its path: `conv1.weight`.
Batch normalisation is folded (`fold`) in FP32, as the engine knows none. What cannot be imported raises ImportFault,
which says where and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

FEATURES = ("conv", "residual", "max_pool")


class ImportFault(ValueError):
    """The network, or the tree that is wanted of it, cannot be made into a model directory."""


@dataclass(frozen=True)
class SourceLayer:
    """A layer as it stands in model.json; `names` are its own in the source, and those of what it is a part of."""

    description: dict[str, Any]
    tensors: dict[str, np.ndarray]
    names: tuple[str, ...]

    @property
    def op(self) -> str:
        return self.description["op"]


@dataclass(frozen=True)
class Source:
    """A network as read. `size` is the pictures' height and width, where the source says it; `fault` is why the layers
    end before the network does."""

    layers: tuple[SourceLayer, ...]
    size: tuple[int, int] | None = None
    fault: str | None = None

    @property
    def classifier(self) -> SourceLayer | None:
        last = self.layers[-1] if self.layers and self.fault is None else None
        return last if last and last.op == "linear" and "activation" not in last.description else None

    @property
    def features(self) -> int:
        end = max((index + 1 for index, layer in enumerate(self.layers) if layer.op in FEATURES), default=0)
        while end < len(self.layers) and self.layers[end].op == "activation":
            end += 1
        return end

    @property
    def body(self) -> tuple[SourceLayer, ...]:
        """A head reads the means of feature maps, so a global pooling right before the classifier is left out."""
        body = self.layers[:-1] if self.classifier else self.layers
        between = body[self.features :]
        return body[: self.features] if [layer.op for layer in between] == ["global_avg_pool"] else body

    def position(self, until: str | None) -> int:
        """How many layers of the body end with the last one called so, or with that number; None: the features."""
        body = self.body
        if until is None:
            self.need_whole()
            return self.features
        found = [index for index, layer in enumerate(body, 1) if until in layer.names or until == str(index)]
        if not found:
            self.need_whole()
            raise ImportFault(f"no layer of the trunk is called {until!r}; --list shows them")
        return found[-1]

    def need_whole(self) -> None:
        """Refuses a network that could be read in part only."""
        if self.fault:
            raise ImportFault(self.fault)


def conv(name: str, names: Sequence[str], weight: np.ndarray, bias: np.ndarray | None, **options: Any) -> SourceLayer:
    """A convolution. Options are model.json's; those that have their default are left out."""
    options["kernel"] = tuple(weight.shape[2:])
    description = {"op": "conv", "name": name, "out": weight.shape[0], **window(**options)}
    return _weighted(description, names, weight, bias)


def linear(name: str, names: Sequence[str], weight: np.ndarray, bias: np.ndarray | None) -> SourceLayer:
    return _weighted({"op": "linear", "name": name, "out": weight.shape[0]}, names, weight, bias)


def residual(
    name: str, names: Sequence[str], body: Sequence[SourceLayer], shortcut: Sequence[SourceLayer]
) -> SourceLayer:
    description: dict[str, Any] = {"op": "residual", "name": name, "body": [layer.description for layer in body]}
    if shortcut:
        description["shortcut"] = [layer.description for layer in shortcut]
    tensors = {f"{name}.{key}": array for layer in (*body, *shortcut) for key, array in layer.tensors.items()}
    return SourceLayer(description, tensors, tuple(names))


def plain(description: dict[str, Any], names: Sequence[str]) -> SourceLayer:
    """A layer without weights."""
    return SourceLayer(description, {}, tuple(names))


def window(**options: Any) -> dict[str, Any]:
    """Options of a layer as people write them: a number for two equal ones, and no defaults."""
    defaults = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "activation": "none"}
    order = ("kernel", "stride", "padding", "dilation", "groups", "activation")
    written = {}
    for option in (option for option in order if option in options):
        value = number_or_pair(options[option])
        if value != defaults.get(option):
            written[option] = value
    return written


def number_or_pair(value: Any) -> Any:
    """A pair of equal numbers is written as one."""
    if isinstance(value, (tuple, list)):
        return value[0] if value[0] == value[1] else list(value)
    return value


def activated(layer: SourceLayer, activation: str, names: Sequence[str] = ()) -> SourceLayer:
    """The layer with an activation behind it."""
    return replace(layer, description={**layer.description, "activation": activation}, names=(*layer.names, *names))


def renamed(layer: SourceLayer, prefix: str) -> SourceLayer:
    """The layer with a prefix before its name, if it has one."""
    if "name" not in layer.description:
        return layer
    description = {**layer.description, "name": prefix + layer.description["name"]}
    return replace(
        layer, description=description, tensors={prefix + key: array for key, array in layer.tensors.items()}
    )


def fold(layer: SourceLayer, normalisation: Mapping[str, np.ndarray], epsilon: float) -> SourceLayer:
    """The convolution or linear layer with the batch normalisation behind it (weight, bias, mean, var) folded in."""
    name = layer.description["name"]
    weight = layer.tensors[f"{name}.weight"]
    bias = layer.tensors.get(f"{name}.bias", np.zeros(len(weight), np.float32))
    if any(array.shape != bias.shape for array in normalisation.values()):
        raise ImportFault(f"{layer.names[0]}: the batch normalisation behind it has another number of channels")
    with np.errstate(invalid="ignore", divide="ignore"):  # what is not finite is refused, with its name, at the end
        scale = normalisation["weight"] / np.sqrt(normalisation["var"] + np.float32(epsilon))
    bias = (bias - normalisation["mean"]) * scale + normalisation["bias"]
    tensors = {f"{name}.weight": weight * scale.reshape(-1, *[1] * (weight.ndim - 1)), f"{name}.bias": bias}
    description = {key: value for key, value in layer.description.items() if key != "bias"}
    return replace(layer, description=description, tensors=tensors)


def prefixes(dotted: str) -> tuple[str, ...]:
    """The name and what it is a part of: layer1.0.conv1, layer1.0, layer1."""
    parts = dotted.split(".")
    return tuple(".".join(parts[:end]) for end in range(len(parts), 0, -1))


def _weighted(
    description: dict[str, Any], names: Sequence[str], weight: np.ndarray, bias: np.ndarray | None
) -> SourceLayer:
    name = description["name"]
    tensors = {f"{name}.weight": weight.astype(np.float32)}
    if bias is None:
        description = {**description, "bias": False}
    else:
        tensors[f"{name}.bias"] = bias.astype(np.float32)
    return SourceLayer(description, tensors, tuple(names))
