"""Makes a model directory of a network from elsewhere: torchvision's ResNet, VGG or MobileNetV2, from PyTorch or ONNX.

    python3 -m espalier_models.import_trunk --from resnet18.pth --list
    python3 -m espalier_models.import_trunk --from resnet18.pth --branches branches.json --output DIR

A file that ends with .onnx is read by onnx_trunk, any other, a state dict, by torchvision_trunks. --list prints the
layers that a trunk can be cut from; --until names the last one of it (all features before the pooling).
branch_definitions says what the file of branches may hold. In Python the same is

    source = import_trunk.read(Path("resnet18.onnx"), (64, 64))
    source = import_trunk.from_module(torchvision.models.resnet18(), (64, 64))
    description, tensors = branch_definitions.build(source, definitions, Picture(64, 64))
    model_directory.write(Path("DIR"), description, tensors, {})

Weights are stored in float32 unless --dtype says otherwise, so the scores are the network's but for rounding.
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from . import json_file, model_directory, torchvision_trunks
from .branch_definitions import IMAGENET_MEAN, IMAGENET_STD, Picture, assemble, build
from .description import categories, parse_tree
from .model_directory import Model
from .network import Network
from .onnx_trunk import from_onnx
from .plain_errors import plain_errors
from .trunk_source import ImportFault, Source, SourceLayer

DEFAULT_SIZE = (224, 224)
CHECKED_SCORES = 8
CHECKED_INPUTS = 2
TOLERANCE = 1e-3  # of the largest score


def read(path: Path, size: tuple[int, int] | None) -> Source:
    """Reads a network from a file, for pictures of the height and width; None: those that ONNX gives, or 224 × 224."""
    if path.suffix.lower() == ".onnx":
        return from_onnx(path)
    state = torchvision_trunks.load_state_dict(path)
    return torchvision_trunks.from_state_dict(state, size or DEFAULT_SIZE)


def from_module(module: nn.Module, size: tuple[int, int]) -> Source:
    """Reads a network from a module with torchvision's names, and makes sure that both give the same scores for random
    pictures of the size. A module without classifier cannot be checked."""
    kind = type(module).__name__
    source = torchvision_trunks.from_state_dict(torchvision_trunks.to_arrays(module.state_dict(), kind), size)
    if source.classifier is None:
        return source
    inputs = torch.randn((CHECKED_INPUTS, 3, *size), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = _scores(source, inputs)
        expected = copy.deepcopy(module).cpu().float().eval()(inputs)[:, : found.shape[1]]
    if not (found - expected).abs().max() <= TOLERANCE * expected.abs().max():
        raise ImportFault(
            f"{kind}: has torchvision's names but computes something else (another stride, padding, activation or"
            f" epsilon?); {torchvision_trunks.OTHERWISE}"
        )
    return source


def _scores(source: Source, inputs: torch.Tensor) -> torch.Tensor:
    """The first scores of the network as it was read."""
    rows = range(min(CHECKED_SCORES, source.classifier.description["out"]))
    definitions = {"children": [{"name": f"row{row}", "row": row} for row in rows]}
    description, tensors = assemble(source, definitions, Picture(*inputs.shape[2:]), until=str(len(source.body)))
    return Network(Model(description, parse_tree(description), tensors)).run(inputs).categories


def list_layers(source: Source) -> str:
    """The layers of which a trunk can be cut, one on a line: number, name, what it does."""
    lines = []
    for number, layer in enumerate(source.body, 1):
        is_end = number == source.features and not source.fault
        mark = "  <- the trunk's end unless --until says otherwise" if is_end else ""
        lines.append(f"{number:4}  {layer.names[0]:32}  {_summary(layer)}{mark}")
    if source.classifier:
        lines.append(f"      {source.classifier.names[0]:32}  {source.classifier.description['out']} rows for leaves")
    return "\n".join(lines + ([f"Here it ends: {source.fault}"] if source.fault else []))


def _summary(layer: SourceLayer) -> str:
    """The layer in a few words; of a residual block, the last convolution says how many channels come out."""
    members = dict(layer.description)
    members.pop("name", None)
    if layer.op == "residual":
        members = {"op": "residual", "out": members["body"][-1].get("out"), "layers": len(members["body"])}
    return ", ".join([members.pop("op"), *(f"{name} {value}" for name, value in members.items())])


def run(command_line: Sequence[str]) -> str:
    """Does what the command line asks for; returns what to print."""
    arguments = _parser().parse_args(command_line)
    if max(arguments.mean) > 1:
        raise ImportFault("--mean: pixels are from 0, black, to 1, white: divide a mean and a std for 0 to 255 by 255")
    source = read(arguments.source, arguments.size)
    if arguments.list:
        return list_layers(source)
    if not arguments.branches or not arguments.output:
        raise ImportFault("--branches and --output are needed, or --list")
    definitions = json_file.read(arguments.branches)
    weights = torchvision_trunks.load_state_dict(arguments.weights) if arguments.weights else {}
    picture = Picture(*(arguments.size or source.size or DEFAULT_SIZE), arguments.mean, arguments.std)
    description, tensors = build(
        source, definitions, picture, until=arguments.until, weights=weights, seed=arguments.seed
    )
    model_directory.write(arguments.output, description, tensors, {name: arguments.dtype.upper() for name in tensors})
    return _report(arguments.output, description, tensors)


def _report(output: Path, description: dict[str, Any], tensors: dict[str, np.ndarray]) -> str:
    count, size = len(categories(parse_tree(description))), description["input"]
    values = sum(array.size for array in tensors.values())
    layers = len(description["trunk"]["layers"])
    return (
        f"{output}: {description['name']}, pictures of {size['width']} x {size['height']} pixels,"
        f" {layers} layers in the trunk, {count} categories, {values / 1e6:.2f} M parameters"
    )


def _size(text: str) -> tuple[int, int]:
    """WIDTHxHEIGHT, or one number for both, as height and width."""
    width, _, height = text.partition("x")
    size = (int(height or width), int(width))
    if min(size) < 1:
        raise ValueError
    return size


def _seed(text: str) -> int:
    """A whole number from 0, as NumPy wants it."""
    if int(text) < 0:
        raise ValueError
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Make a model directory of a ResNet, VGG or MobileNetV2.")
    parser.add_argument(
        "--from", dest="source", type=Path, required=True, metavar="FILE", help=".onnx, or a state dict"
    )
    parser.add_argument("--list", action="store_true", help="print the network's layers, and do nothing else")
    parser.add_argument("--until", metavar="LAYER", help="the trunk's last layer, by name or number (of the features)")
    parser.add_argument("--branches", type=Path, metavar="FILE", help="the tree below the trunk, JSON")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="the branches' own weights, .safetensors or .pt")
    parser.add_argument("--seed", type=_seed, default=0, help='for layers that are "initial": "random" (0)')
    parser.add_argument("--size", type=_size, metavar="WxH", help="of the pictures (what ONNX says, or 224)")
    for name, default in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
        text = f"of the pixels, from 0 to 1 ({' '.join(map(str, default))})"
        parser.add_argument(f"--{name}", type=float, nargs=3, default=default, metavar=("R", "G", "B"), help=text)
    parser.add_argument("--dtype", choices=("f32", "f16", "bf16"), default="f32", help="how weights are stored (f32)")
    parser.add_argument("--output", type=Path, metavar="DIR", help="the model directory to write")
    return parser


def main() -> None:
    with plain_errors():
        print(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
