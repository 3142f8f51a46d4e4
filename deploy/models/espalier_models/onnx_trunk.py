"""Reads a network from an ONNX file (Debian's python3-onnx), by walking its graph from the picture to the scores.

    source = from_onnx(Path("resnet18.onnx"))

It knows what torch.onnx.export writes for networks such as ResNet, VGG and MobileNetV2: Conv, BatchNormalization, Relu,
Clip from 0 to 6 (ReLU6), Add of two paths (a residual block; blocks may stand in each other), MaxPool, AveragePool,
GlobalAveragePool, ReduceMean over rows and columns, Flatten, Gemm; Identity, Dropout, Constant and a last Softmax count for nothing. At
anything else the walk ends with a fault that names the node; the layers before it can still be imported.

Layers are numbered by their kind: conv1, conv2, residual1. `names` has what they are called in the file: the node
(`/layer1/layer1.0/conv1/Conv`), and the PyTorch module that this or a tensor's name gives away (`layer1.0.conv1`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .trunk_source import (
    ImportFault,
    Source,
    SourceLayer,
    activated,
    conv,
    fold,
    linear,
    number_or_pair,
    plain,
    prefixes,
    renamed,
    residual,
    window,
)

KNOWN_OPS = "Conv, BatchNormalization, Relu, Clip, Add, MaxPool, AveragePool, GlobalAveragePool, Flatten and Gemm"
TRANSPARENT = ("Identity", "Dropout")
LAST = ("Softmax", "LogSoftmax")  # count for nothing at the end: the engine makes probabilities of the categories that are asked for
ACTIVATED = ("conv", "linear", "residual")
ROWS_AND_COLUMNS = ([2, 3], [-2, -1])

Node = Any  # onnx.NodeProto: onnx is imported where it is used, so that all else works without it


def from_onnx(path: Path) -> Source:
    """Reads a network. It has one input, pictures, and is read along the path to its output."""
    graph = _Graph(_load(path))
    layers: list[SourceLayer] = []
    try:
        end = _follow(graph, graph.input, layers)
        if end is not None:
            raise _fault(end, "adds something that is no path beside this one; only residual sums are known")
    except ImportFault as fault:
        return Source(tuple(layers), graph.size, str(fault))
    return Source(tuple(layers), graph.size)


def _load(path: Path) -> Any:
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise ImportFault("reading ONNX needs the package onnx: Debian's python3-onnx, or pip install onnx") from error
    try:
        return onnx.load(str(path))
    except DecodeError as error:
        raise ImportFault(f"{path}: is no ONNX file") from error


class _Graph:
    """Who reads which tensor, and the constant ones among them."""

    def __init__(self, model: Any) -> None:
        self.initializers = {tensor.name: tensor for tensor in model.graph.initializer}
        self.producers = {output: node for node in model.graph.node for output in node.output}
        self.consumers: dict[str, list[Node]] = {}
        for node in model.graph.node:
            for name in node.input:
                self.consumers.setdefault(name, []).append(node)
        inputs = [value for value in model.graph.input if value.name not in self.initializers]
        if len(inputs) != 1:
            raise ImportFault(f"the ONNX graph has {len(inputs)} inputs; export a network that takes pictures alone")
        self.input = inputs[0].name
        shape = [dimension.dim_value for dimension in inputs[0].type.tensor_type.shape.dim]  # 0: whatever comes
        self.batch = shape[0] if shape else 0
        self.size = (shape[2], shape[3]) if len(shape) == 4 and min(shape[2:]) > 0 else None

    def readers(self, tensor: str) -> list[Node]:
        return self.consumers.get(tensor, [])

    def constant(self, node: Node, index: int) -> np.ndarray | None:
        """The node's input of that place; None where it is left out. Floats come in float32."""
        from onnx import numpy_helper

        if index >= len(node.input) or not node.input[index]:
            return None
        name = self.origin(node.input[index])
        if name in self.initializers:
            array = numpy_helper.to_array(self.initializers[name])
        elif name in self.producers and self.producers[name].op_type == "Constant":
            (value,) = _attributes(self.producers[name]).values()  # it is called value, value_float, value_ints, ...
            array = np.asarray(value)
        else:
            raise _fault(node, f"its input {name} is computed, but has to be a constant; export with constants folded")
        return array.astype(np.float32) if array.dtype.kind == "f" else array

    def need(self, node: Node, index: int) -> np.ndarray:
        array = self.constant(node, index)
        if array is None:
            raise _fault(node, f"input {index} is missing")
        return array

    def origin(self, name: str) -> str:
        """The tensor behind any Identity nodes: exporters share equal weights through them."""
        while name in self.producers and self.producers[name].op_type == "Identity":
            name = self.producers[name].input[0]
        return name


def _attributes(node: Node) -> dict[str, Any]:
    from onnx import TensorProto, helper, numpy_helper

    values = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    return {
        name: numpy_helper.to_array(value) if isinstance(value, TensorProto)
        else value.decode() if isinstance(value, bytes) else value
        for name, value in values.items()
    }  # fmt: skip


def _fault(node: Node, what: str) -> ImportFault:
    return ImportFault(f"node {node.name or node.output[0]} ({node.op_type}): {what}")


def _follow(graph: _Graph, tensor: str, layers: list[SourceLayer]) -> Node | None:
    """Appends the layers that compute on from a tensor. Returns the Add at which this path meets another, or None at
    the network's end."""
    while readers := graph.readers(tensor):
        if len(readers) > 1:
            tensor = _residual(graph, tensor, readers, layers)
        elif readers[0].op_type == "Add":
            return readers[0]
        else:
            tensor = _take(graph, readers[0], layers)
    return None


def _residual(graph: _Graph, tensor: str, readers: list[Node], layers: list[SourceLayer]) -> str:
    """Appends the block between a tensor that two nodes read and the Add at which their paths meet. The longer path is
    the body. Returns the sum's name."""
    paths: list[list[SourceLayer]] = []
    sums: list[Node | None] = []
    for node in readers:
        path: list[SourceLayer] = []
        sums.append(node if node.op_type == "Add" else _follow(graph, _take(graph, node, path), path))
        paths.append(path)
    end = sums[0]
    if len(paths) != 2 or end is None or any(other is not end for other in sums) or not any(paths):
        names = ", ".join(node.name or node.output[0] for node in readers)
        raise ImportFault(f"tensor {tensor}: the paths from it ({names}) are not two that meet in one Add")
    shortcut, body = sorted(paths, key=len)
    shared = set.intersection(*(set(layer.names) for layer in body + shortcut))
    names = sorted(shared, key=len, reverse=True) + [end.name or end.output[0]]
    shortcut = [renamed(layer, "shortcut_") for layer in shortcut]
    layers.append(residual(_numbered("residual", layers), names, body, shortcut))
    return end.output[0]


def _take(graph: _Graph, node: Node, layers: list[SourceLayer]) -> str:
    """Appends what the node does to the layers of its path, or to the last of them. Returns its output's name."""
    if node.op_type in ("Relu", "Clip"):
        _take_activation(graph, node, layers)
    elif node.op_type == "BatchNormalization":
        _take_normalisation(graph, node, layers)
    elif node.op_type in ("Flatten", "Reshape"):
        _check_flatten(graph, node)
    elif node.op_type in READERS:
        layer = READERS[node.op_type](graph, node, layers)
        layers += [layer] if layer else []
    elif node.op_type not in TRANSPARENT and not (node.op_type in LAST and not graph.readers(node.output[0])):
        what = f"the importer knows no {node.op_type}, only {KNOWN_OPS}"
        raise _fault(node, f"{what}; a trunk that ends before it can be had by --until")
    return node.output[0]


def _take_activation(graph: _Graph, node: Node, layers: list[SourceLayer]) -> None:
    """Nothing else reads the layer's output, or the node would stand on a path of its own."""
    name = "relu"
    if node.op_type == "Clip":
        attributes = _attributes(node)
        bounds = [graph.constant(node, place) for place in (1, 2)]
        low, high = (attributes.get(key) if bound is None else bound for key, bound in zip(("min", "max"), bounds))
        if low is None or high is None or float(low) != 0 or float(high) != 6:
            raise _fault(node, f"clips to {low} and {high}; only 0 and 6, which is ReLU6, are known")
        name = "relu6"
    if layers and layers[-1].op in ACTIVATED and "activation" not in layers[-1].description:
        layers[-1] = activated(layers[-1], name, _names(node))
    else:
        layers.append(plain({"op": "activation", "activation": name}, _names(node)))


def _take_normalisation(graph: _Graph, node: Node, layers: list[SourceLayer]) -> None:
    if not layers or layers[-1].op not in ("conv", "linear") or "activation" in layers[-1].description:
        raise _fault(node, "stands behind no Conv, so it cannot be folded into one")
    attributes = _attributes(node)
    if attributes.get("training_mode", 0):
        raise _fault(node, "is in training mode; call module.eval() before the export")
    members = {name: graph.need(node, place) for place, name in enumerate(("weight", "bias", "mean", "var"), 1)}
    layers[-1] = fold(layers[-1], members, attributes.get("epsilon", 1e-5))


def _check_flatten(graph: _Graph, node: Node) -> None:
    """A linear layer flattens its input itself, so a node that does just this counts for nothing."""
    if node.op_type == "Flatten":
        flattens = _attributes(node).get("axis", 1) == 1
    else:
        shape = graph.need(node, 1)
        flattens = len(shape) == 2 and shape[0] in (-1, 0, graph.batch)
    if not flattens:
        raise _fault(node, "is not torch.flatten(x, 1), the only change of shape that is known")


def _read_convolution(graph: _Graph, node: Node, layers: list[SourceLayer]) -> SourceLayer:
    weight = graph.need(node, 1)
    if weight.ndim != 4:
        raise _fault(node, f"is a convolution over {weight.ndim - 2} dimensions, not 2")
    attributes = _attributes(node)
    options = _window(node, attributes, "stride", "padding", "dilation")
    options["groups"] = attributes.get("group", 1)
    names = _names(node, graph.origin(node.input[1]))
    return conv(_numbered("conv", layers), names, weight, graph.constant(node, 2), **options)


def _read_linear(graph: _Graph, node: Node, layers: list[SourceLayer]) -> SourceLayer:
    attributes = _attributes(node)
    if attributes.get("alpha", 1.0) != 1 or attributes.get("beta", 1.0) != 1 or attributes.get("transA", 0):
        raise _fault(node, "is not a plain linear layer: alpha and beta have to be 1, transA 0")
    weight = graph.need(node, 1)
    weight = weight if attributes.get("transB", 0) else weight.T
    bias = graph.constant(node, 2)
    bias = None if bias is None else np.broadcast_to(bias.reshape(-1), len(weight))
    return linear(_numbered("linear", layers), _names(node, graph.origin(node.input[1])), weight, bias)


def _read_pool(graph: _Graph, node: Node, layers: list[SourceLayer]) -> SourceLayer | None:
    """None for a pooling that changes nothing, as VGG's to 7 × 7 is for pictures of 224 × 224."""
    attributes = _attributes(node)
    if attributes.get("ceil_mode", 0):
        raise _fault(node, "rounds its output's size up (ceil_mode), which the engine does not; use ceil_mode=False")
    kernel = attributes["kernel_shape"]
    options = {"stride": [1, 1], "padding": [0, 0], **_window(node, attributes, "stride", "padding", "dilation")}
    if len(kernel) != 2 or options.pop("dilation", [1, 1]) != [1, 1]:
        raise _fault(node, "is a pooling over other than 2 dimensions, or a dilated one")
    if {*kernel, *options["stride"]} == {1} and not any(options["padding"]):
        return None
    op = {"MaxPool": "max_pool", "AveragePool": "avg_pool"}[node.op_type]
    description = {"op": op, **window(kernel=kernel), "stride": number_or_pair(options["stride"])}
    description.update(window(padding=options["padding"]))
    if op == "avg_pool" and "padding" in description and not attributes.get("count_include_pad", 0):
        description["count_padding"] = False
    return plain(description, _names(node))


def _read_global_pool(graph: _Graph, node: Node, layers: list[SourceLayer]) -> SourceLayer:
    if node.op_type == "ReduceMean":
        axes = _attributes(node).get("axes")
        axes = graph.constant(node, 1) if axes is None else axes
        if axes is None or sorted(int(axis) for axis in axes) not in ROWS_AND_COLUMNS:
            raise _fault(node, f"is a mean over the axes {axes}; only that over rows and columns, 2 and 3, is known")
    return plain({"op": "global_avg_pool"}, _names(node))


READERS = {
    "Conv": _read_convolution,
    "Gemm": _read_linear,
    "MaxPool": _read_pool,
    "AveragePool": _read_pool,
    "GlobalAveragePool": _read_global_pool,
    "ReduceMean": _read_global_pool,
}


def _window(node: Node, attributes: Mapping[str, Any], *options: str) -> dict[str, list[int]]:
    """Those of the options that the node gives, each [vertical, horizontal]."""
    if attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise _fault(
            node, f"pads by auto_pad {attributes['auto_pad']}; export it with the numbers, equal on both sides"
        )
    given = {"stride": "strides", "padding": "pads", "dilation": "dilations"}
    found = {option: list(attributes[given[option]]) for option in options if given[option] in attributes}
    if "padding" in found:
        pads = found["padding"]
        half = len(pads) // 2
        if pads[:half] != pads[half:]:
            raise _fault(node, f"pads {pads[:half]} before and {pads[half:]} behind; the engine pads both sides alike")
        found["padding"] = pads[:half]
    return found


def _numbered(op: str, layers: list[SourceLayer]) -> str:
    return f"{op}{1 + sum(layer.op == op for layer in layers)}"


def _names(node: Node, weight: str | None = None) -> tuple[str, ...]:
    """What a node is called, and the modules that it is part of, the innermost first."""
    module = _module(node.name)
    if not module and weight and weight.endswith(".weight"):
        module = weight.removesuffix(".weight")
    return (*(prefixes(module) if module else ()), node.name or node.output[0])


def _module(node: str) -> str:
    """The PyTorch module of a node's name: /features/features.1/conv/conv.0/Conv is in features.1.conv.0, as a
    Sequential's name is said again by its members."""
    parts: list[str] = []
    for part in node.strip("/").split("/")[:-1]:
        if parts and part.startswith(parts[-1] + "."):
            parts[-1] = part
        else:
            parts.append(part)
    return ".".join(parts)
