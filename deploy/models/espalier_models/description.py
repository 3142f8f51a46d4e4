"""model.json: the tree of a network, checked, and the tensors that it needs. ../README.md has the format.

    trunk = parse_tree(description)     the checked tree, every layer with all of its members
    list(nodes(trunk))                  all nodes in depth-first preorder, the trunk first
    categories(trunk)                   paths of the leaves: the order of the category scores
    inner_heads(trunk)                  paths of the inner nodes with a head: the order of the inner scores
    tensor_shapes(trunk, (3, 64, 64))   every tensor's name and shape, in the order of the nodes and layers

A fault raises DescriptionError, which names the node. What passes here, the engine takes, but for sizes that only its memory bounds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Layer = dict[str, Any]
Shape = tuple[int, ...]

# The engine's limits (include/espalier/limits.h).
NAME_MAX, LABEL_MAX, PATH_MAX = 64, 256, 512  # bytes
DEPTH_MAX = 16
CHANNELS_MAX, EXTENT_MAX, INPUT_EXTENT_MAX = 65536, 16384, 4096

NAME = re.compile(f"[a-z0-9_]{{1,{NAME_MAX}}}")
ID = re.compile(f"[A-Za-z0-9_.-]{{1,{NAME_MAX}}}")
LEAST_DEVIATION = 1e-6
ACTIVATIONS = ("none", "relu", "relu6", "silu", "hard_swish")
GATES = ("sigmoid", "hard_sigmoid")
PAIRS = ("kernel", "stride", "padding", "dilation")

# For each op the members that it must have, and those that it may have with their defaults.
LAYER_MEMBERS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "conv": (
        ("name", "out", "kernel"),
        {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": True, "activation": "none"},
    ),
    "linear": (("name", "out"), {"bias": True, "activation": "none"}),
    "residual": (("name", "body"), {"shortcut": [], "activation": "none"}),
    "max_pool": (("kernel",), {"stride": None, "padding": 0}),
    "avg_pool": (("kernel",), {"stride": None, "padding": 0, "count_padding": True}),
    "global_avg_pool": ((), {}),
    "squeeze_excitation": (("name", "hidden"), {"activation": "relu", "gate": "sigmoid"}),
    "activation": (("activation",), {}),
}


class DescriptionError(ValueError):
    """model.json does not describe a network."""


@dataclass(frozen=True)
class Node:
    """A node of the tree. The trunk's path is `trunk`."""

    path: str
    layers: tuple[Layer, ...]
    children: tuple[Node, ...]
    has_head: bool


def parse_tree(description: Mapping[str, Any]) -> Node:
    """Checks the description and returns its trunk."""
    _check_members("model.json", description, ("format", "name", "version", "input", "trunk"), ())
    if description["format"] != 1:
        raise DescriptionError(f"model.json: format {description['format']!r} is not known")
    for member in ("name", "version"):
        if not _is_id(description[member]):
            raise DescriptionError(f"model.json: the {member} {description[member]!r} is not 1 to {NAME_MAX} letters, digits, _, . and -")
    _check_input(description["input"])
    _check_members("trunk", description["trunk"], ("layers", "children"), ())
    trunk = _parse_node(description["trunk"], "trunk", "", False)
    _check_leaves(description["trunk"])
    return trunk


def conv(name: str, out: int, stride: int = 1, activation: str = "relu") -> Layer:
    """A convolution of 3 x 3 that keeps the size, divided by its stride, as model.json has it."""
    layer: Layer = {"op": "conv", "name": name, "out": out, "kernel": 3}
    if stride != 1:
        layer["stride"] = stride
    layer["padding"] = 1
    if activation != "none":
        layer["activation"] = activation
    return layer


def residual(name: str, channels: int) -> Layer:
    """Two such convolutions beside their input."""
    body = [conv("conv1", channels), conv("conv2", channels, activation="none")]
    return {"op": "residual", "name": name, "activation": "relu", "body": body}


def input_shape(description: Mapping[str, Any]) -> Shape:
    """Channels, height and width of the network's input."""
    return tuple(description["input"][member] for member in ("channels", "height", "width"))


def nodes(node: Node) -> Iterator[Node]:
    """The node and all nodes below it, depth first, parents before their children."""
    yield node
    for child in node.children:
        yield from nodes(child)


def categories(trunk: Node) -> list[str]:
    """The paths of the leaves."""
    return [node.path for node in nodes(trunk) if not node.children]


def inner_heads(trunk: Node) -> list[str]:
    """The paths of the inner nodes that have a head."""
    return [node.path for node in nodes(trunk) if node.children and node.has_head]


def tensor_shapes(trunk: Node, shape: Shape) -> dict[str, Shape]:
    """The name and shape of every tensor of the network, for an input of the shape given."""
    tensors: dict[str, Shape] = {}
    _add_node(tensors, trunk, shape)
    return tensors


def _check_input(shape: Any) -> None:
    _check_members("input", shape, ("channels", "height", "width", "mean", "std"), ())
    if shape["channels"] != 3:
        raise DescriptionError("input: pictures have 3 channels")
    for member in ("height", "width"):
        _check_number("input", member, shape[member], 1, INPUT_EXTENT_MAX)
    for member, least in (("mean", -math.inf), ("std", LEAST_DEVIATION)):
        values = shape[member]
        if not isinstance(values, (list, tuple)) or len(values) != 3 or not all(_is_finite(value) and value > least for value in values):
            raise DescriptionError(f"input: {member} has to be three{' positive' if member == 'std' else ''} numbers, not {values!r}")


def is_node_name(value: Any) -> bool:
    return isinstance(value, str) and NAME.fullmatch(value) is not None and value != "trunk"


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and ID.fullmatch(value) is not None


def _is_finite(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _check_number(place: str, member: str, value: Any, least: int, most: int) -> None:
    if type(value) is not int or not least <= value <= most:
        raise DescriptionError(f"{place}: {member} {value!r} is no whole number from {least} to {most}")


def _check_leaves(trunk: Mapping[str, Any]) -> None:
    """What holds for all branches together: no two have the same id, and all leaves are calibrated or none."""
    branches = list(_branches(trunk))
    ids = [branch["id"] for branch in branches if "id" in branch]
    if len(set(ids)) != len(ids):
        raise DescriptionError("two branches have the same id")
    if len({"calibration" in branch for branch in branches if "children" not in branch}) > 1:
        raise DescriptionError("some leaves have a calibration, and some have none")


def _branches(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for child in node.get("children", []):
        yield child
        yield from _branches(child)


def _parse_node(node: Mapping[str, Any], path: str, prefix: str, has_head: bool) -> Node:
    """`prefix` stands before the names of the node's children: the path and a slash, nothing at the trunk."""
    layers = _parse_layers(path, node["layers"])
    children = node.get("children", [])
    if not isinstance(children, list) or ("children" in node and not children):
        raise DescriptionError(f"{path}: its children are no list, or an empty one")
    branches = tuple(_parse_branch(child, prefix) for child in children)
    if len({branch.path for branch in branches}) != len(branches):
        raise DescriptionError(f"{path}: two children have the same name")
    return Node(path, layers, branches, has_head)


def _parse_branch(node: Any, prefix: str) -> Node:
    name = node.get("name") if isinstance(node, Mapping) else None
    if not is_node_name(name):
        raise DescriptionError(f"{prefix or 'trunk'}: {name!r} is no name for a node: 1 to {NAME_MAX} of a to z, 0 to 9 and _, and not trunk")
    path = prefix + name
    if path.count("/") >= DEPTH_MAX or len(path) > PATH_MAX:
        raise DescriptionError(f"{path}: is deeper than {DEPTH_MAX} levels, or longer than {PATH_MAX} letters")
    _check_members(path, node, ("name", "layers"), ("label", "id", "head", "children", "calibration"))
    label = node.get("label", name)
    if not isinstance(label, str) or not 1 <= len(label.encode()) <= LABEL_MAX:
        raise DescriptionError(f"{path}: the label {label!r} is no text of 1 to {LABEL_MAX} bytes")
    if type(node.get("head", False)) is not bool:
        raise DescriptionError(f"{path}: head is true or false")
    if "children" not in node and "head" in node:
        raise DescriptionError(f"{path}: a leaf always has a head")
    if "children" in node and "calibration" in node:
        raise DescriptionError(f"{path}: only a leaf has a calibration")
    if "calibration" in node:
        _check_calibration(path, node["calibration"])
    if "id" in node and not _is_id(node["id"]):
        raise DescriptionError(f"{path}: {node['id']!r} is no id: 1 to {NAME_MAX} letters, digits, _, . and -")
    return _parse_node(node, path, path + "/", node.get("head", False) or "children" not in node)


def _check_calibration(path: str, calibration: Any) -> None:
    _check_members(f"{path}: calibration", calibration, ("slope", "offset"), ())
    slope, offset = calibration["slope"], calibration["offset"]
    if not _is_finite(slope) or not _is_finite(offset) or slope <= 0:
        raise DescriptionError(f"{path}: a calibration is a slope above 0 and an offset")


def _parse_layers(path: str, layers: Any) -> tuple[Layer, ...]:
    if not isinstance(layers, (list, tuple)):
        raise DescriptionError(f"{path}: layers has to be a list")
    return tuple(_parse_layer(path, layer) for layer in layers)


def _parse_layer(path: str, layer: Any) -> Layer:
    """Returns the layer with all of its members: defaults filled in, pairs as pairs."""
    op = layer.get("op") if isinstance(layer, Mapping) else layer
    if not isinstance(op, str) or op not in LAYER_MEMBERS:
        raise DescriptionError(f"{path}: {op!r} is no op")
    required, defaults = LAYER_MEMBERS[op]
    _check_members(f"{path}: {op}", layer, ("op",) + required, tuple(defaults))
    complete = {**defaults, **layer}
    if "stride" in complete and complete["stride"] is None:
        complete["stride"] = complete["kernel"]
    for member in PAIRS:
        if member in complete:
            complete[member] = _pair(path, member, complete[member])
    for member in ("body", "shortcut"):
        if member in complete:
            complete[member] = list(_parse_layers(path, complete[member]))
    _check_layer(path, complete)
    return complete


def _check_layer(path: str, layer: Layer) -> None:
    """The members of a complete layer, but for those that are pairs or layers."""
    op, name = layer["op"], layer.get("name", "")
    if "name" in layer and (not isinstance(name, str) or not NAME.fullmatch(name) or name == "head"):
        raise DescriptionError(f"{path}: {name!r} is no name for a layer: 1 to {NAME_MAX} of a to z, 0 to 9 and _, and not head")
    for member in {"out", "hidden", "groups"} & set(layer):
        _check_number(f"{path}: {op}", member, layer[member], 1, CHANNELS_MAX)
    for member in {"bias", "count_padding"} & set(layer):
        if type(layer[member]) is not bool:
            raise DescriptionError(f"{path}: {op}: {member} is true or false, not {layer[member]!r}")
    if not layer.get("body", True):
        raise DescriptionError(f"{path}: {op}: body has to be a list of layers that is not empty")
    if op.endswith("_pool") and any(2 * padding > kernel for padding, kernel in zip(layer.get("padding", ()), layer.get("kernel", ()))):
        raise DescriptionError(f"{path}: {op}: padding may be at most half of the kernel")
    if layer.get("activation", "none") not in ACTIVATIONS or layer.get("gate", "sigmoid") not in GATES:
        raise DescriptionError(f"{path}: {op} has an unknown activation or gate")


def _pair(path: str, member: str, value: Any) -> tuple[int, int]:
    pair = tuple(value) if isinstance(value, (list, tuple)) else (value, value)
    least = 0 if member == "padding" else 1
    if len(pair) != 2 or any(type(number) is not int or not least <= number <= EXTENT_MAX for number in pair):
        raise DescriptionError(f"{path}: {member} {value!r} is no number from {least} to {EXTENT_MAX} and no pair of them")
    return pair


def _check_members(place: str, value: Any, required: tuple[str, ...], optional: tuple[str, ...]) -> None:
    if not isinstance(value, Mapping):
        raise DescriptionError(f"{place}: is not an object")
    missing = set(required) - set(value)
    unknown = set(value) - set(required) - set(optional)
    if missing or unknown:
        fault = f"lacks {', '.join(sorted(missing))}" if missing else f"does not know {', '.join(sorted(unknown))}"
        raise DescriptionError(f"{place}: {fault}")


def _add_node(tensors: dict[str, Shape], node: Node, shape: Shape) -> None:
    shape = _add_layers(tensors, f"{node.path}:", node.layers, shape)
    if node.has_head:
        _add(tensors, f"{node.path}:head.weight", (shape[0],))
        _add(tensors, f"{node.path}:head.bias", (1,))
    for child in node.children:
        _add_node(tensors, child, shape)


def _add(tensors: dict[str, Shape], name: str, shape: Shape) -> None:
    if name in tensors:
        raise DescriptionError(f"{name}: two layers have the same name")
    tensors[name] = shape


def _add_layers(tensors: dict[str, Shape], prefix: str, layers: tuple[Layer, ...] | list[Layer], shape: Shape) -> Shape:
    """Adds the tensors of layers that follow each other; returns the shape that comes out."""
    for layer in layers:
        shape = _add_layer(tensors, prefix, layer, shape)
        if min(shape) < 1:
            raise DescriptionError(f"{prefix}{layer.get('name', layer['op'])}: nothing is left of the picture")
    return shape


def _add_layer(tensors: dict[str, Shape], prefix: str, layer: Layer, shape: Shape) -> Shape:
    name = prefix + layer.get("name", "")
    if layer["op"] == "conv":
        return _add_convolution(tensors, name, layer, shape)
    if layer["op"] == "linear":
        _add_weights(tensors, name, (layer["out"], math.prod(shape)), layer["bias"])
        return (layer["out"], 1, 1)
    if layer["op"] == "residual":
        body = _add_layers(tensors, name + ".", layer["body"], shape)
        if _add_layers(tensors, name + ".", layer["shortcut"], shape) != body:
            raise DescriptionError(f"{name}: body and shortcut differ in shape")
        return body
    if layer["op"] == "squeeze_excitation":
        _add_weights(tensors, name + ".fc1", (layer["hidden"], shape[0]), True)
        _add_weights(tensors, name + ".fc2", (shape[0], layer["hidden"]), True)
        return shape
    if layer["op"] in ("max_pool", "avg_pool"):
        return (shape[0], *_window_outputs(layer, shape, (1, 1)))
    return (shape[0], 1, 1) if layer["op"] == "global_avg_pool" else shape


def _add_convolution(tensors: dict[str, Shape], name: str, layer: Layer, shape: Shape) -> Shape:
    if shape[0] % layer["groups"] or layer["out"] % layer["groups"]:
        raise DescriptionError(f"{name}: {layer['groups']} groups do not divide {shape[0]} or {layer['out']} channels")
    _add_weights(tensors, name, (layer["out"], shape[0] // layer["groups"], *layer["kernel"]), layer["bias"])
    return (layer["out"], *_window_outputs(layer, shape, layer["dilation"]))


def _add_weights(tensors: dict[str, Shape], name: str, shape: Shape, bias: bool) -> None:
    _add(tensors, name + ".weight", shape)
    if bias:
        _add(tensors, name + ".bias", (shape[0],))


def _window_outputs(layer: Layer, shape: Shape, dilation: Shape) -> Shape:
    """Height and width after a window has moved over the picture."""
    return tuple(
        (size + 2 * padding - step * (kernel - 1) - 1) // stride + 1
        for size, padding, step, kernel, stride in zip(
            shape[1:], layer["padding"], dilation, layer["kernel"], layer["stride"]
        )
    )
