"""A tree network that can be trained, made of the same layers as model.json.

    network = TreeNetwork(trunk, input_shape, norm="batch")       trunk: description.parse_tree's
    scores = network(pictures)                                    all categories, and every inner head
    scores = network(pictures, wanted)                            only some branches for each picture (see below)
    network = trained(model)                                      model_directory.read's, with its weights
    tensors = network.export()                                    float32 arrays by their names in model.safetensors
    network.take_over(tensors)                                    starts from such arrays (see `take_over`)

`norm` says what stands between a convolution and its activation: "batch" (batch normalisation, folded into the
convolution by `export`) or "none" (a bias; for a network that starts from a trained one).

Leaves of one parent that have the same layers are computed together, by convolutions with groups: 200 small convolutions
of a few channels would keep a processor waiting. A "bouquet" is such a set of leaves; bouquets are counted from 0 in the
order of the tree. `wanted` [pictures, bouquets] (bool) says which bouquets each picture runs; what lies above a bouquet runs
too, everything else is left out for that picture, and its scores are -inf. This is a cutout for each picture, in training: a
picture has something to say to its own branches and to those that it is mistaken for, and next to nothing to the others.

Leaf heads are kept non-negative by `project`, to be called after each step of the optimiser.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from .description import DescriptionError, Layer, Node, Shape, categories, inner_heads, input_shape, nodes
from .model_directory import Model

ACTIVATIONS = {
    "none": lambda x: x,
    "relu": functional.relu,
    "relu6": functional.relu6,
    "silu": functional.silu,
    "hard_swish": functional.hardswish,
}
# Of a leaf's channels that a trained network did not have: their head's weight, and what their convolution is multiplied
# by. Close to no effect, and yet a gradient at both.
NEW_HEAD_WEIGHT, NEW_CHANNELS = 0.3, 1 / 30


class Scores(NamedTuple):
    """What came out: [pictures, categories] and [pictures, inner heads], in the order of the tree."""

    categories: torch.Tensor
    inner: torch.Tensor


class Convolution(nn.Module):
    """A convolution of `copies` siblings, with what follows it. Its tensors are those of the siblings, one after the other."""

    def __init__(self, layer: Layer, channels: int, copies: int, shared: bool, norm: str) -> None:
        """channels: of one sibling's input; shared: the siblings read the same input."""
        super().__init__()
        groups = layer["groups"] if shared and layer["groups"] == 1 else layer["groups"] * copies
        if shared and copies > 1 and layer["groups"] > 1:
            raise DescriptionError("the first layer of a leaf cannot have groups")
        self.activation, self.copies, self.name = layer["activation"], copies, layer["name"]
        self.convolution = nn.Conv2d(
            channels * (1 if shared else copies),
            layer["out"] * copies,
            layer["kernel"],
            layer["stride"],
            layer["padding"],
            layer["dilation"],
            groups,
            bias=norm == "none",
        )
        nn.init.kaiming_normal_(self.convolution.weight, mode="fan_out" if groups == 1 and copies == 1 else "fan_in")
        if norm == "none":
            nn.init.zeros_(self.convolution.bias)
        self.norm = nn.BatchNorm2d(layer["out"] * copies) if norm == "batch" else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return ACTIVATIONS[self.activation](self.norm(self.convolution(x)))

    def folded(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Weight and bias with the normalisation in them, in FP32."""
        weight, bias = self.convolution.weight.detach(), self.convolution.bias
        if isinstance(self.norm, nn.BatchNorm2d):
            factor = self.norm.weight.detach() / torch.sqrt(self.norm.running_var + self.norm.eps)
            return weight * factor[:, None, None, None], self.norm.bias.detach() - self.norm.running_mean * factor
        return weight, bias.detach()


class Residual(nn.Module):
    def __init__(self, layer: Layer, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.name, self.activation, self.body, self.shortcut = layer["name"], layer["activation"], body, shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return ACTIVATIONS[self.activation](self.body(x) + self.shortcut(x))


class SqueezeExcitation(nn.Module):
    def __init__(self, layer: Layer, channels: int) -> None:
        super().__init__()
        self.name, self.activation, self.gate = layer["name"], layer["activation"], layer["gate"]
        self.fc1, self.fc2 = nn.Linear(channels, layer["hidden"]), nn.Linear(layer["hidden"], channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate = self.fc2(ACTIVATIONS[self.activation](self.fc1(x.mean((2, 3)))))
        gate = torch.sigmoid(gate) if self.gate == "sigmoid" else functional.hardsigmoid(gate)
        return x * gate[:, :, None, None]


class Plain(nn.Module):
    """A layer without weights."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        op = self.layer["op"]
        if op == "activation":
            return ACTIVATIONS[self.layer["activation"]](x)
        if op == "global_avg_pool":
            return x.mean((2, 3), keepdim=True)
        window = self.layer["kernel"], self.layer["stride"], self.layer["padding"]
        if op == "max_pool":
            return functional.max_pool2d(x, *window)
        return functional.avg_pool2d(x, *window, count_include_pad=self.layer["count_padding"])


class Head(nn.Module):
    """The scores of `copies` siblings: linear on the means of their feature maps."""

    def __init__(self, channels: int, copies: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(copies, channels) * (2 / channels))
        self.bias = nn.Parameter(torch.zeros(copies))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        means = features.mean((2, 3))
        if means.shape[1] == self.weight.shape[1]:  # one node, or siblings without layers, which read the same
            return functional.linear(means, self.weight, self.bias)
        return (means.view(len(means), *self.weight.shape) * self.weight).sum(2) + self.bias


class Segment(nn.Module):
    """The layers of one node, or of `copies` leaves of one parent, with their head."""

    def __init__(self, node: Node, channels: int, copies: int, norm: str) -> None:
        super().__init__()
        self.layers, self.channels = _sequence(node.layers, channels, copies, copies > 1, norm)
        self.head = Head(self.channels, copies) if node.has_head else None


class TreeNetwork(nn.Module):
    def __init__(self, trunk: Node, input_shape: Shape, norm: str = "batch") -> None:
        super().__init__()
        self.trunk, self.categories, self.inner_heads = trunk, categories(trunk), inner_heads(trunk)
        self.segments = nn.ModuleDict()
        self._places: dict[str, int] = {path: place for place, path in enumerate(self.categories)}
        self._inner_places = {path: place for place, path in enumerate(self.inner_heads)}
        self.bouquets: list[tuple[Node, ...]] = []
        self._below: dict[str, list[int]] = {}  # the bouquets below each inner node
        self._build(trunk, input_shape[0], norm)
        self.bouquet_of = torch.empty(len(self.categories), dtype=torch.long)
        for number, leaves in enumerate(self.bouquets):
            for leaf in leaves:
                self.bouquet_of[self._places[leaf.path]] = number

    def forward(self, pictures: torch.Tensor, wanted: torch.Tensor | None = None) -> Scores:
        category_scores = pictures.new_full((len(pictures), len(self.categories)), float("-inf"))
        inner_scores = pictures.new_full((len(pictures), len(self.inner_heads)), float("-inf"))
        rows = torch.arange(len(pictures), device=pictures.device)
        self._run(self.trunk, pictures, rows, wanted, category_scores, inner_scores)
        return Scores(category_scores, inner_scores)

    @torch.no_grad()
    def project(self) -> None:
        """Keeps the heads of the leaves non-negative: law 3 of attention."""
        for leaves in self.bouquets:
            self.segments[_key(leaves)].head.weight.clamp_(min=0)

    @torch.no_grad()
    def export(self) -> dict[str, np.ndarray]:
        tensors: dict[str, np.ndarray] = {}
        for name, part in self._tensors():
            tensors[name] = part.float().cpu().contiguous().numpy().copy()
        return tensors

    @torch.no_grad()
    def take_over(self, tensors: Mapping[str, np.ndarray]) -> list[str]:
        """Starts from the weights of a trained network (norm "none" only). A tensor goes to the one of its name. Where this
        network is narrower in the middle of a residual, the strongest channels are kept; where it is wider, the new channels
        start as they were, behind weights of nothing (of a leaf, near nothing themselves); a residual that the other network
        lacks starts as the identity. Returns the names of what was new."""
        tensors = _with_narrow_residuals(dict(tensors), {name: part.shape for name, part in self._tensors()})
        ends, last = set(_residual_ends(self.trunk)), set(_leaf_ends(self.trunk))
        new: list[str] = []
        for name, part in self._tensors():
            if name in tensors:
                if name in last:
                    part.mul_(NEW_CHANNELS)
                _copy_overlap(part, torch.from_numpy(np.ascontiguousarray(tensors[name])), name.endswith("head.weight"))
            else:
                new.append(name)
                if name in ends:
                    part.zero_()
        return new

    def _build(self, node: Node, channels: int, norm: str) -> list[int]:
        """Makes the segments at and below a node; returns the bouquets below it."""
        segment = self.segments[node.path] = Segment(node, channels, 1, norm)
        below: list[int] = []
        leaves = [child for child in node.children if not child.children]
        for alike in _alike(leaves):
            self.segments[_key(alike)] = Segment(alike[0], segment.channels, len(alike), norm)
            below.append(len(self.bouquets))
            self.bouquets.append(alike)
        for child in node.children:
            if child.children:
                below += self._build(child, segment.channels, norm)
        self._below[node.path] = below
        return below

    def _run(
        self,
        node: Node,
        x: torch.Tensor,
        rows: torch.Tensor,
        wanted: torch.Tensor | None,
        category_scores: torch.Tensor,
        inner_scores: torch.Tensor,
    ) -> None:
        """Runs what is at and below a node on the pictures `rows`, whose features x are."""
        segment = self.segments[node.path]
        features = segment.layers(x)
        if segment.head is not None:
            inner_scores[rows, self._inner_places[node.path]] = segment.head(features)[:, 0].to(inner_scores.dtype)
        for number in self._below[node.path]:
            leaves = self.bouquets[number]
            if leaves[0] in node.children:
                inputs, some = _wanted_rows(features, rows, wanted, [number])
                if len(some):
                    siblings = self.segments[_key(leaves)]
                    places = torch.tensor([self._places[leaf.path] for leaf in leaves], device=x.device)
                    category_scores[some[:, None], places] = siblings.head(siblings.layers(inputs)).to(category_scores.dtype)
        for child in node.children:
            if child.children:
                inputs, some = _wanted_rows(features, rows, wanted, self._below[child.path])
                if len(some):
                    self._run(child, inputs, some, wanted, category_scores, inner_scores)

    def _tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Every tensor by its name in model.safetensors. What is not folded is a view, and may be written to."""
        for node in nodes(self.trunk):
            if node.children:
                yield from _named(self.segments[node.path], (node,))
        for leaves in self.bouquets:
            yield from _named(self.segments[_key(leaves)], leaves)


def trained(model: Model) -> TreeNetwork:
    """The network of a model directory; normalisation is folded into its weights."""
    network = TreeNetwork(model.trunk, input_shape(model.description), "none")
    network.take_over(model.tensors)
    return network


def _alike(leaves: list[Node]) -> list[tuple[Node, ...]]:
    """Leaves with the same layers, together."""
    sets: dict[str, list[Node]] = {}
    for leaf in leaves:
        sets.setdefault(repr(leaf.layers), []).append(leaf)
    return [tuple(alike) for alike in sets.values()]


def _key(leaves: tuple[Node, ...]) -> str:
    return leaves[0].path + "+"


def _sequence(layers: tuple[Layer, ...] | list[Layer], channels: int, copies: int, shared: bool, norm: str) -> tuple[nn.Module, int]:
    """The modules of layers that follow each other, and the channels of one sibling that come out."""
    modules: list[nn.Module] = []
    for layer in layers:
        op = layer["op"]
        if op == "conv":
            modules.append(Convolution(layer, channels, copies, shared, norm))
            channels, shared = layer["out"], False
        elif op == "residual":
            if shared:
                raise DescriptionError("the first layer of a leaf has to be a convolution")
            body, out = _sequence(layer["body"], channels, copies, False, norm)
            shortcut, _ = _sequence(layer["shortcut"], channels, copies, False, norm)
            modules.append(Residual(layer, body, shortcut))
            channels = out
        elif op == "squeeze_excitation" and copies == 1:
            modules.append(SqueezeExcitation(layer, channels))
        elif op in ("activation", "global_avg_pool", "max_pool", "avg_pool"):
            modules.append(Plain(layer))
        else:
            raise DescriptionError(f"{op}: cannot be trained here" + (" in a leaf" if copies > 1 else ""))
    return nn.Sequential(*modules), channels


def _wanted_rows(
    features: torch.Tensor, rows: torch.Tensor, wanted: torch.Tensor | None, bouquets: list[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The features and numbers of those pictures that run any of the bouquets."""
    if wanted is None:
        return features, rows
    chosen = wanted[rows][:, bouquets].any(1)
    return (features, rows) if bool(chosen.all()) else (features[chosen], rows[chosen])


def _named(segment: Segment, siblings: tuple[Node, ...]) -> Iterator[tuple[str, torch.Tensor]]:
    for name, tensor in _layer_tensors(segment.layers, ""):
        for node, part in zip(siblings, tensor.chunk(len(siblings))):
            yield f"{node.path}:{name}", part
    if segment.head is not None:
        for place, node in enumerate(siblings):
            yield f"{node.path}:head.weight", segment.head.weight.detach()[place]
            yield f"{node.path}:head.bias", segment.head.bias.detach()[place : place + 1]


def _layer_tensors(layers: nn.Module, prefix: str) -> Iterator[tuple[str, torch.Tensor]]:
    for layer in layers:
        if isinstance(layer, Convolution):
            weight, bias = layer.folded()
            yield f"{prefix}{layer.name}.weight", weight
            yield f"{prefix}{layer.name}.bias", bias
        elif isinstance(layer, Residual):
            yield from _layer_tensors(layer.body, f"{prefix}{layer.name}.")
            yield from _layer_tensors(layer.shortcut, f"{prefix}{layer.name}.")
        elif isinstance(layer, SqueezeExcitation):
            for fc in ("fc1", "fc2"):
                yield f"{prefix}{layer.name}.{fc}.weight", getattr(layer, fc).weight.detach()
                yield f"{prefix}{layer.name}.{fc}.bias", getattr(layer, fc).bias.detach()


def _residual_ends(trunk: Node) -> Iterator[str]:
    """The weights of the last convolution of each residual: zeros there make the residual the identity."""
    for node in nodes(trunk):
        for layer in node.layers:
            if layer["op"] == "residual" and layer["body"][-1]["op"] == "conv":
                yield f"{node.path}:{layer['name']}.{layer['body'][-1]['name']}.weight"


def _leaf_ends(trunk: Node) -> Iterator[str]:
    """Weights and biases of the last convolution of each leaf, which its head reads."""
    for node in nodes(trunk):
        if not node.children and node.layers and node.layers[-1]["op"] == "conv":
            for kind in ("weight", "bias"):
                yield f"{node.path}:{node.layers[-1]['name']}.{kind}"


def _with_narrow_residuals(
    tensors: dict[str, np.ndarray], shapes: Mapping[str, torch.Size]
) -> dict[str, np.ndarray]:
    """Where the middle of a residual (conv1, conv2) is to be narrower, keeps the channels that matter most: by the product
    of the norms of what makes a channel and of what reads it."""
    for name in [name for name in tensors if name.endswith(".conv1.weight")]:
        second, bias = name.replace("conv1.weight", "conv2.weight"), name.replace("weight", "bias")
        if name not in shapes or second not in shapes or shapes[name][0] >= len(tensors[name]) or tensors[second].shape[1] != len(tensors[name]):
            continue
        made = np.linalg.norm(tensors[name].reshape(len(tensors[name]), -1), axis=1)
        read = np.linalg.norm(tensors[second].transpose(1, 0, 2, 3).reshape(len(made), -1), axis=1)
        kept = np.sort(np.argsort(-made * read)[: shapes[name][0]])
        tensors[name], tensors[bias], tensors[second] = tensors[name][kept], tensors[bias][kept], tensors[second][:, kept]
    return tensors


def _copy_overlap(target: torch.Tensor, source: torch.Tensor, is_head: bool) -> None:
    """Copies what both have. Of a head, what is new gets a weight near nothing; of a convolution, new inputs get none."""
    if is_head:
        target.fill_(NEW_HEAD_WEIGHT)
    elif target.dim() == 4:
        target[: source.shape[0], source.shape[1] :] = 0
    overlap = tuple(slice(0, min(a, b)) for a, b in zip(target.shape, source.shape))
    target[overlap] = source[overlap].to(target)
