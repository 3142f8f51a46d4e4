"""Small networks that use every layer and option of the format, for the engine's tests.

    for name, make in NETWORKS.items(): description = make()
    tensors = random_tensors(description, seed)

They compute nothing of use. `every_layer` goes through the ops one by one; `nested_layers` puts them into each other as
mobile networks do. Between them are: grouped, depthwise, dilated, strided, padded and one-by-one convolutions, square
or not, with and without bias; every activation; pooling of both kinds with every option; squeeze-and-excitation with
both gates; residuals with and without a shortcut; a leaf below the trunk and leaves at depth 4, a leaf and inner nodes
without layers, inner nodes with and without heads.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .description import Shape, input_shape, parse_tree, tensor_shapes

Layer = dict[str, Any]


def conv(name: str, out: int, kernel: Any, **options: Any) -> Layer:
    return {"op": "conv", "name": name, "out": out, "kernel": kernel, **options}


def linear(name: str, out: int, **options: Any) -> Layer:
    return {"op": "linear", "name": name, "out": out, **options}


def residual(name: str, body: list[Layer], **options: Any) -> Layer:
    return {"op": "residual", "name": name, "body": body, **options}


def squeeze_excitation(name: str, hidden: int, **options: Any) -> Layer:
    return {"op": "squeeze_excitation", "name": name, "hidden": hidden, **options}


def max_pool(kernel: Any, **options: Any) -> Layer:
    return {"op": "max_pool", "kernel": kernel, **options}


def avg_pool(kernel: Any, **options: Any) -> Layer:
    return {"op": "avg_pool", "kernel": kernel, **options}


def global_avg_pool() -> Layer:
    return {"op": "global_avg_pool"}


def activation(name: str) -> Layer:
    return {"op": "activation", "activation": name}


def node(name: str, layers: list[Layer], children: list[dict[str, Any]] | None = None, head: bool = False) -> Any:
    described: dict[str, Any] = {"name": name, "label": name.replace("_", " ")}
    if head:
        described["head"] = True
    described["layers"] = layers
    if children:
        described["children"] = children
    return described


def every_layer() -> dict[str, Any]:
    """Every op and option once, a picture of 12 × 10."""
    trunk = [
        conv("stem", 8, 3, padding=1, activation="hard_swish"),
        conv("depthwise", 8, [3, 1], padding=[1, 0], groups=8, activation="relu6"),
        conv("dilated", 8, 3, padding=[2, 3], dilation=[2, 3], groups=2, bias=False, activation="silu"),
        conv("strided", 10, [1, 3], stride=[2, 1], padding=[0, 1]),
        activation("relu"),
    ]
    pools = [
        node("max_not_square", [max_pool([3, 2], stride=[1, 2], padding=[1, 0]), conv("mix", 5, 1, activation="relu")]),
        node("max_stride_is_kernel", [max_pool([2, 3]), conv("mix", 5, 1, bias=False)]),
        node("padding_counted", [avg_pool(3, stride=[1, 2], padding=1), conv("mix", 5, 1, activation="relu")]),
        node(
            "padding_not_counted",
            [avg_pool(3, stride=[2, 1], padding=1, count_padding=False), conv("mix", 5, 1, activation="relu")],
        ),
        node("average_stride_is_kernel", [avg_pool([3, 2])]),
    ]
    deep = [
        node("pooled", [global_avg_pool(), linear("fc1", 7, activation="relu6"), linear("fc2", 5, activation="silu")]),
        node("flattened", [linear("fc", 6, activation="relu")]),
        node("no_layers", []),
    ]
    gate = squeeze_excitation("se", 3, activation="hard_swish", gate="hard_sigmoid")
    gates = [
        node("gate_default", [squeeze_excitation("se", 3)]),
        node("gate_hard", [squeeze_excitation("se", 4, activation="silu", gate="hard_sigmoid")]),
        node("gate_linear", [squeeze_excitation("se", 2, activation="none", gate="sigmoid")]),
        node(
            "empty",
            [],
            [node("deep", [gate], deep, head=True)],
        ),
    ]
    activations = [
        node(name, [conv("mix", 6, 1), activation(name)])
        for name in ("none", "relu", "relu6", "silu", "hard_swish")
    ]
    residuals = [
        conv("narrow", 6, 1, activation="relu6"),
        residual("same", [conv("c1", 6, 3, padding=1, activation="relu"), conv("c2", 6, 3, padding=1)]),
        residual(
            "halved",
            [conv("c1", 9, 3, stride=2, padding=1, activation="relu"), conv("c2", 9, 3, padding=1, groups=3)],
            shortcut=[conv("project", 9, 1, stride=2)],
            activation="relu",
        ),
    ]
    return _describe(
        "every-layer",
        trunk,
        [
            node("below_trunk", [conv("mix", 4, 1, activation="relu")]),
            node("pools", [max_pool(3, stride=[1, 1], padding=1)], pools, head=True),
            node("gates", [], gates, head=True),
            node("activations", residuals, activations),
        ],
    )


def nested_layers() -> dict[str, Any]:
    """Layers inside of layers, as in mobile networks, a picture of 12 × 10."""
    inverted = [
        conv("expand", 18, 1, bias=False, activation="hard_swish"),
        conv("depthwise", 18, 5, padding=2, groups=18, activation="hard_swish"),
        squeeze_excitation("se", 4, gate="hard_sigmoid"),
        conv("project", 6, 1),
    ]
    trunk = [
        conv("stem", 6, [5, 3], stride=[1, 2], padding=[2, 1], activation="silu"),
        residual("inverted", inverted),
        conv("widened", 12, 3, padding=[4, 0], dilation=[4, 1], groups=6, activation="relu6"),
    ]
    inner_residual = residual(
        "inner",
        [conv("c1", 12, [1, 3], padding=[0, 1], activation="relu"), conv("c2", 12, [3, 1], padding=[1, 0])],
        activation="hard_swish",
    )
    outer = residual(
        "outer",
        [inner_residual, max_pool([2, 1], stride=[3, 1], padding=[1, 0]), conv("c2", 8, 1)],
        shortcut=[avg_pool([2, 1], stride=[3, 1], padding=[1, 0]), conv("skip", 8, 1, bias=False)],
        activation="silu",
    )
    kernels = [
        node("wider_than_input", [conv("c1", 4, [7, 5], padding=[3, 2], activation="relu")]),
        node("last_column_unread", [conv("c1", 4, 2, stride=2, activation="relu")]),
        node("whole_input", [conv("c1", 7, [12, 3], activation="relu"), linear("fc", 3, bias=False)]),
    ]
    deep = [
        node("a", [residual("r1", [linear("fc", 8)], shortcut=[global_avg_pool()], activation="relu6")]),
        node("b", [residual("r1", [squeeze_excitation("se", 2)]), conv("mix", 4, 1, activation="relu")]),
    ]
    return _describe(
        "nested-layers",
        trunk,
        [
            node("nested", [outer], [node("deep", [activation("relu")], [node("deepest", [], deep, head=True)])], True),
            node("kernels", [conv("c1", 15, 1, groups=3, activation="hard_swish")], kernels, head=True),
            node("alone", [avg_pool(3, stride=2, padding=1), linear("fc", 5, activation="hard_swish")]),
        ],
    )


NETWORKS: dict[str, Callable[[], dict[str, Any]]] = {"every_layer": every_layer, "nested_layers": nested_layers}


def random_tensors(description: dict[str, Any], seed: int) -> dict[str, np.ndarray]:
    """Weights that let the features grow a little, so that every activation bends, and biases that matter."""
    random = np.random.RandomState(seed)
    shapes = tensor_shapes(parse_tree(description), input_shape(description))
    return {name: _random_tensor(random, name, shape) for name, shape in shapes.items()}


def _random_tensor(random: np.random.RandomState, name: str, shape: Shape) -> np.ndarray:
    if len(shape) == 1:
        deviation = 1.0 if name.endswith("head.weight") else 0.5
    else:
        deviation = math.sqrt((0.5 if ".fc" in name else 4) / math.prod(shape[1:]))  # gates must not saturate
    return (random.standard_normal(shape) * deviation).astype(np.float32)


def _describe(name: str, trunk: list[Layer], children: list[dict[str, Any]]) -> dict[str, Any]:
    mean, std = [0.5, 0.45, 0.4], [0.25, 0.2, 0.3]
    return {
        "format": 1,
        "name": name,
        "version": "1",
        "input": {"channels": 3, "height": 12, "width": 10, "mean": mean, "std": std},
        "trunk": {"layers": trunk, "children": children},
    }
