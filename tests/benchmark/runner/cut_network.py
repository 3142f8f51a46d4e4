"""A cutout of a model directory as a PyTorch module: the trunk and the branches that lead to the categories, no others.

    module = CutNetwork(model, ("animal/cat",), "siblings")
    module(inputs)                      scores [n, categories]
    module.categories                   the paths of its columns, in the order of the tree

Three forms that compute the same, as the peers are not to be slow for how their network was written:

    branches    every branch by itself, as model.json has it
    leaves      the categories of a group are one convolution and one matrix for all of their heads
    siblings    that, and the first convolutions of any siblings are one
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import nn

from espalier_models.description import Layer, Node, categories, nodes
from espalier_models.model_directory import Model

FORMS = ("branches", "leaves", "siblings")

Tensors = Mapping[str, torch.Tensor]


class CutNetwork(nn.Module):
    def __init__(self, model: Model, names: Sequence[str], form: str) -> None:
        super().__init__()
        trunk = cut(model.trunk, names)
        tensors = {name: torch.from_numpy(array) for name, array in model.tensors.items()}
        self.categories = categories(trunk)
        self.trunk = _Inner(trunk, tensors, form)
        self.eval().requires_grad_(False)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.cat(self.trunk(inputs), 1)


def cut(trunk: Node, names: Sequence[str]) -> Node:
    """The tree without the branches that none of the named categories and groups needs. No names: all of it."""
    known = {node.path for node in nodes(trunk)}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"the network has no {', '.join(unknown)}; rows.py has to name full paths of its tree")
    kept = _keep(trunk, set(names)) if names else trunk
    assert kept is not None
    return kept


def _keep(node: Node, names: set[str]) -> Node | None:
    if node.path in names:
        return node
    children = tuple(kept for child in node.children if (kept := _keep(child, names)))
    return Node(node.path, node.layers, children, node.has_head) if children else None


class _Inner(nn.Module):
    """A node with children; gives the list of the scores below it. `entered`: its first layer has been run already."""

    def __init__(self, node: Node, tensors: Tensors, form: str, entered: bool = False) -> None:
        super().__init__()
        joins = form == "siblings" and len(node.children) > 1 and all(child.children for child in node.children)
        self.layers = _segment(node, tensors, entered)
        self.first = _joined_first_layer(node.children, tensors) if joins else None
        self.branches = nn.ModuleList(_branches(node.children, tensors, form, joins))

    def forward(self, features: torch.Tensor) -> list[torch.Tensor]:
        features = self.layers(features)
        count = len(self.branches)
        inputs = self.first(features).chunk(count, 1) if self.first is not None else (features,) * count
        return [score for branch, entry in zip(self.branches, inputs) for score in branch(entry)]


def _branches(children: Sequence[Node], tensors: Tensors, form: str, entered: bool) -> list[nn.Module]:
    if form != "branches" and not any(child.children for child in children):
        return [_JoinedLeaves(children, tensors)]
    return [_Inner(child, tensors, form, entered) if child.children else _Leaf(child, tensors) for child in children]


class _Leaf(nn.Module):
    """A category by itself."""

    def __init__(self, node: Node, tensors: Tensors) -> None:
        super().__init__()
        self.layers = _segment(node, tensors)
        self.head = _heads([node], tensors)

    def forward(self, features: torch.Tensor) -> list[torch.Tensor]:
        return [self.head(self.layers(features).mean((2, 3)))]


class _JoinedLeaves(nn.Module):
    """Categories of one group, of one convolution each: one convolution, and a matrix with the heads' weights in it."""

    def __init__(self, leaves: Sequence[Node], tensors: Tensors) -> None:
        super().__init__()
        if any(len(leaf.layers) != 1 for leaf in leaves):
            raise ValueError(f"{leaves[0].path}: only leaves of one layer can be joined")
        self.convolution = _joined_first_layer(leaves, tensors)
        self.heads = _heads(leaves, tensors)

    def forward(self, features: torch.Tensor) -> list[torch.Tensor]:
        return [self.heads(self.convolution(features).mean((2, 3)))]


class _Residual(nn.Module):
    def __init__(self, body: nn.Sequential, shortcut: nn.Sequential, activation: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut, self.activation = body, shortcut, activation

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.activation(self.body(features) + self.shortcut(features))


def _segment(node: Node, tensors: Tensors, entered: bool = False) -> nn.Sequential:
    return _layers(f"{node.path}:", node.layers[1 if entered else 0 :], tensors)


def _layers(prefix: str, layers: Sequence[Layer], tensors: Tensors) -> nn.Sequential:
    return nn.Sequential(*(module for layer in layers for module in _modules(prefix, layer, tensors)))


def _modules(prefix: str, layer: Layer, tensors: Tensors) -> Iterator[nn.Module]:
    name = prefix + layer.get("name", "")
    if layer["op"] == "residual":
        body, shortcut = (_layers(f"{name}.", layer[part], tensors) for part in ("body", "shortcut"))
        yield _Residual(body, shortcut, _activation(layer))
    else:
        yield _convolution(layer, [name], tensors)
        if layer["activation"] != "none":
            yield _activation(layer)


def _joined_first_layer(siblings: Sequence[Node], tensors: Tensors) -> nn.Sequential:
    """The first layers of the siblings, which differ in nothing but their weights, as one."""
    layer = siblings[0].layers[0]
    if any(node.layers[0] != layer for node in siblings):
        raise ValueError(f"{siblings[0].path}: its first layer differs from those of its siblings")
    names = [f"{node.path}:{layer['name']}" for node in siblings]
    joined = _convolution(layer, names, tensors)
    return nn.Sequential(joined) if layer["activation"] == "none" else nn.Sequential(joined, _activation(layer))


def _convolution(layer: Layer, names: Sequence[str], tensors: Tensors) -> nn.Conv2d:
    """The convolutions of these names over the same input, their outputs one after another."""
    if layer["op"] != "conv" or layer["groups"] != 1 or not layer["bias"]:
        raise ValueError(f"{names[0]}: the benchmark's peers know plain convolutions with a bias, and residuals of them")
    weight = torch.cat([tensors[f"{name}.weight"] for name in names])
    outputs, inputs = weight.shape[:2]
    module = nn.Conv2d(inputs, outputs, layer["kernel"], layer["stride"], layer["padding"], layer["dilation"])
    module.weight.data = weight
    module.bias.data = torch.cat([tensors[f"{name}.bias"] for name in names])
    return module


def _activation(layer: Layer) -> nn.Module:
    return {"none": nn.Identity, "relu": nn.ReLU, "relu6": nn.ReLU6, "silu": nn.SiLU, "hard_swish": nn.Hardswish}[
        layer["activation"]
    ]()


def _heads(leaves: Sequence[Node], tensors: Tensors) -> nn.Linear:
    """All heads as one matrix: each reads the channels of its own leaf."""
    weights = [tensors[f"{leaf.path}:head.weight"][None] for leaf in leaves]
    module = nn.Linear(sum(weight.shape[1] for weight in weights), len(leaves))
    module.weight.data = torch.block_diag(*weights)
    module.bias.data = torch.cat([tensors[f"{leaf.path}:head.bias"] for leaf in leaves])
    return module
