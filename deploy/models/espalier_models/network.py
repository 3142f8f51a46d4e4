"""Runs a model directory with PyTorch: a plain, independent reference for the engine.

    network = Network(read(Path("tiny-imagenet-200")))
    inputs = network.normalise(pictures)                        uint8 [n, height, width, 3] to [n, 3, height, width]
    scores = network.run(inputs, {"animal/cat": 2.0})
    scores.categories                                           [n, categories], in the order of network.categories
    scores.inner                                                [n, inner heads], in the order of network.inner_heads

The whole network is always run; as cutouts change nothing, a cutout's scores are some of the columns. An attention
weight multiplies a node's features after the node's last layer, before its children and its head read them. A weight
of 0 silences a node: the scores at and below it are NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from .description import Layer, Node, categories, inner_heads, nodes
from .model_directory import Model

LARGEST_WEIGHT = 16.0

ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "none": lambda features: features,
    "relu": F.relu,
    "relu6": F.relu6,
    "silu": F.silu,
    "hard_swish": F.hardswish,
}
GATES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {"sigmoid": torch.sigmoid, "hard_sigmoid": F.hardsigmoid}


@dataclass(frozen=True)
class Scores:
    """One row for each picture."""

    categories: torch.Tensor
    inner: torch.Tensor


class Network:
    """A model directory, ready to be run. dtype is what it computes in."""

    def __init__(self, model: Model, dtype: torch.dtype = torch.float32) -> None:
        self.trunk = model.trunk
        self.categories = categories(model.trunk)
        self.inner_heads = inner_heads(model.trunk)
        self.dtype = dtype
        self.tensors = {name: torch.from_numpy(array).to(dtype) for name, array in model.tensors.items()}
        self._mean = torch.tensor(model.description["input"]["mean"], dtype=dtype).reshape(1, -1, 1, 1)
        self._std = torch.tensor(model.description["input"]["std"], dtype=dtype).reshape(1, -1, 1, 1)

    def normalise(self, pictures: np.ndarray) -> torch.Tensor:
        """Turns pictures of bytes, channels last, into the network's input."""
        pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).to(self.dtype)
        return (pixels / 255 - self._mean) / self._std

    def run(self, inputs: torch.Tensor, attention: Mapping[str, float] | None = None) -> Scores:
        """Computes all scores of normalised inputs [n, channels, height, width]."""
        attention = attention or {}
        self._check_attention(attention)
        found: dict[str, torch.Tensor] = {}
        self._run_node(self.trunk, inputs.to(self.dtype), attention, found)
        silenced = torch.full((len(inputs),), float("nan"), dtype=self.dtype)
        return Scores(
            torch.stack([found.get(path, silenced) for path in self.categories], 1),
            torch.stack([found.get(path, silenced) for path in self.inner_heads], 1)
            if self.inner_heads
            else torch.empty((len(inputs), 0), dtype=self.dtype),
        )

    def _check_attention(self, attention: Mapping[str, float]) -> None:
        paths = {node.path for node in nodes(self.trunk)}
        for path, weight in attention.items():
            if path not in paths:
                raise ValueError(f"{path}: the network has no such node")
            if not 0 <= weight <= LARGEST_WEIGHT:
                raise ValueError(f"{path}: the weight {weight} is not from 0 to {LARGEST_WEIGHT:g}")

    def _run_node(
        self, node: Node, features: torch.Tensor, attention: Mapping[str, float], found: dict[str, torch.Tensor]
    ) -> None:
        """Runs the node and all nodes below it; adds their scores to `found`."""
        weight = attention.get(node.path, 1.0)
        if weight == 0:
            return
        features = self._run_layers(f"{node.path}:", node.layers, features) * weight
        if node.has_head:
            found[node.path] = self._score(node.path, features)
        for child in node.children:
            self._run_node(child, features, attention, found)

    def _score(self, path: str, features: torch.Tensor) -> torch.Tensor:
        means = features.mean((2, 3))
        return means @ self.tensors[f"{path}:head.weight"] + self.tensors[f"{path}:head.bias"]

    def _run_layers(self, prefix: str, layers: Sequence[Layer], features: torch.Tensor) -> torch.Tensor:
        for layer in layers:
            features = self._run_layer(prefix + layer.get("name", ""), layer, features)
        return features

    def _run_layer(self, name: str, layer: Layer, features: torch.Tensor) -> torch.Tensor:
        op = layer["op"]
        if op == "squeeze_excitation":
            return self._squeeze_excitation(name, layer, features)
        if op == "max_pool":
            return F.max_pool2d(features, layer["kernel"], layer["stride"], layer["padding"])
        if op == "avg_pool":
            return F.avg_pool2d(
                features, layer["kernel"], layer["stride"], layer["padding"], count_include_pad=layer["count_padding"]
            )
        if op == "global_avg_pool":
            return features.mean((2, 3), keepdim=True)
        if op == "conv":
            features = self._convolution(name, layer, features)
        elif op == "linear":
            features = F.linear(features.flatten(1), *self._weights(name))[:, :, None, None]
        elif op == "residual":
            body = self._run_layers(name + ".", layer["body"], features)
            features = body + self._run_layers(name + ".", layer["shortcut"], features)
        return ACTIVATIONS[layer["activation"]](features)

    def _weights(self, name: str) -> tuple[torch.Tensor, torch.Tensor | None]:
        return self.tensors[name + ".weight"], self.tensors.get(name + ".bias")

    def _convolution(self, name: str, layer: Layer, features: torch.Tensor) -> torch.Tensor:
        weight, bias = self._weights(name)
        return F.conv2d(
            features, weight, bias, layer["stride"], layer["padding"], layer["dilation"], layer["groups"]
        )

    def _squeeze_excitation(self, name: str, layer: Layer, features: torch.Tensor) -> torch.Tensor:
        hidden = ACTIVATIONS[layer["activation"]](F.linear(features.mean((2, 3)), *self._weights(name + ".fc1")))
        gates = GATES[layer["gate"]](F.linear(hidden, *self._weights(name + ".fc2")))
        return features * gates[:, :, None, None]
