"""Reads ResNets, VGGs and MobileNetV2s from PyTorch, with the names that torchvision gives their tensors.

    source = from_state_dict(load_state_dict(Path("resnet18.pth")), (224, 224))

Which network it is, its depth, widths, groups and number of classes are seen from the names and shapes:

    resnet*, resnext*, wide_resnet*   conv1.weight, layer1.0.conv1.weight, ..., fc.weight
    vgg*, vgg*_bn                     features.0.weight, ..., classifier.0, .3, .6 (or one linear layer)
    mobilenet_v2, any width           features.0.0.weight, features.1.conv..., features.18.0.weight, classifier.1

The classifier may be missing. What no shape tells is taken as torchvision has it: strides, paddings, an epsilon of 1e-5
in batch normalisation, ReLU or ReLU6; import_trunk.from_module runs the module to make sure. A network that differs is
imported from ONNX, where all of it is written down.

VGG pools its features to 7 × 7 before its first linear layer, whatever the picture's size. That is itself linear, so
it is folded into that layer, which then reads the features as they are: at a size of 64, 2 × 2 of them.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import safetensors_file
from .trunk_source import ImportFault, Source, SourceLayer, activated, conv, fold, linear, plain, prefixes, residual

EPSILON = 1e-5
WRAPPERS = ("state_dict", "model_state_dict", "model")
MARKS = ("layer1.0.conv1.weight", "features.0.0.weight", "features.0.weight")  # of a ResNet, a MobileNetV2, a VGG
OTHERWISE = "if the network is not torchvision's own, export it with torch.onnx.export and import that"
VGG_POOL = 7  # rows and columns that VGG's classifier reads
GLOBAL_POOL = plain({"op": "global_avg_pool"}, ("avgpool",))
MOBILENET_STRIDES = (1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1)


def load_state_dict(path: Path) -> dict[str, np.ndarray]:
    """Reads a file of tensors, .safetensors or what torch.save made of a state dict, without running anything in it."""
    if path.suffix == ".safetensors":
        return safetensors_file.read(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, EOFError, RuntimeError) as error:
        raise ImportFault(f"{path}: is no file of tensors alone, or is broken; save the network's with torch.save(module.state_dict(), FILE)") from error
    return to_arrays(content, str(path))


def to_arrays(state: Any, place: str) -> dict[str, np.ndarray]:
    """The tensors of a state dict, or of a checkpoint that holds one, in float32, without DataParallel's `module.`."""
    for wrapper in WRAPPERS:
        if isinstance(state, Mapping) and isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
    if not isinstance(state, Mapping) or not all(isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in state.items()):
        raise ImportFault(f"{place}: holds no state dict; save one with torch.save(module.state_dict(), FILE)")
    return {name.removeprefix("module."): tensor.detach().cpu().float().numpy() for name, tensor in state.items()}


def from_state_dict(state: Mapping[str, np.ndarray], size: tuple[int, int]) -> Source:
    """Reads a network from its tensors, for pictures of the height and width given."""
    state = _unwrapped(state)
    tensors = _Tensors(state)
    if "layer1.0.conv1.weight" in state:
        layers = _resnet(tensors)
    elif "features.0.0.weight" in state and "features.1.conv.0.0.weight" in state:
        layers = _mobilenet(tensors)
    elif "features.0.weight" in state:
        layers = _vgg(tensors, size)
    else:
        raise ImportFault(f"the tensors are those of no ResNet, VGG or MobileNetV2 that torchvision names; {OTHERWISE}")
    tensors.check_all_taken()
    return Source(tuple(layers))


def _unwrapped(state: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """Without the name of a module that the whole network is a part of: `model.` of Lightning's, `_orig_mod.` of a compiled one."""
    while not any(mark in state for mark in MARKS) and len({name.partition(".")[0] for name in state}) == 1 and all("." in name for name in state):
        state = {name.partition(".")[2]: array for name, array in state.items()}
    return state


class _Tensors:
    """The tensors of a state dict; remembers which of them were taken."""

    def __init__(self, state: Mapping[str, np.ndarray]) -> None:
        self.state = state
        self.taken: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self.state

    def take(self, name: str, dimensions: int) -> np.ndarray:
        if name not in self.state:
            raise ImportFault(f"{name}: the tensor is missing; {OTHERWISE}")
        if self.state[name].ndim != dimensions:
            raise ImportFault(f"{name}: has the shape {self.state[name].shape}; {OTHERWISE}")
        self.taken.add(name)
        return np.asarray(self.state[name], np.float32)

    def optional(self, name: str) -> np.ndarray | None:
        return self.take(name, 1) if name in self.state else None

    def numbers(self, pattern: str) -> list[int]:
        """The numbers that stand, in names, where the pattern has its group."""
        matches = (re.match(pattern, name) for name in self.state)
        return sorted({int(match[1]) for match in matches if match})

    def check_all_taken(self) -> None:
        left = [name for name in self.state if name not in self.taken and not name.endswith(".num_batches_tracked")]
        if left:
            raise ImportFault(f"{left[0]}: torchvision's network of this kind has no such tensor; {OTHERWISE}")


def _conv(tensors: _Tensors, name: str, source: str, normalisation: str | None, **options: Any) -> SourceLayer:
    """The convolution that the source calls so, with the batch normalisation of that name folded in. It pads so that a
    stride of 1 keeps the size, and its groups are seen from its shape, as `channels` go in."""
    weight = tensors.take(f"{source}.weight", 4)
    channels = options.pop("channels", weight.shape[1])
    options["groups"] = max(1, channels // weight.shape[1])
    options["padding"] = tuple(extent // 2 for extent in weight.shape[2:])
    names = prefixes(source) + (() if normalisation is None else (normalisation,))
    layer = conv(name, names, weight, tensors.optional(f"{source}.bias"), **options)
    return layer if normalisation is None else _normalised(tensors, layer, normalisation)


def _normalised(tensors: _Tensors, layer: SourceLayer, source: str) -> SourceLayer:
    members = {"weight": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
    return fold(layer, {key: tensors.take(f"{source}.{member}", 1) for key, member in members.items()}, EPSILON)


def _max_pool(names: tuple[str, ...], kernel: int, padding: int = 0) -> SourceLayer:
    options = {"padding": padding} if padding else {}
    return plain({"op": "max_pool", "kernel": kernel, "stride": 2, **options}, names)


def _resnet(tensors: _Tensors) -> list[SourceLayer]:
    stem = _conv(tensors, "conv1", "conv1", "bn1", stride=2, activation="relu")
    if stem.description["kernel"] != 7:
        raise ImportFault(f"conv1.weight: is not torchvision's 7 × 7, so that its stride is not known; {OTHERWISE}")
    layers = [stem, _max_pool(("maxpool",), 3, padding=1)]
    for stage in tensors.numbers(r"layer(\d+)\."):
        for block in tensors.numbers(rf"layer{stage}\.(\d+)\."):
            layers.append(_resnet_block(tensors, f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1))
    return [*layers, *_mean_classifier(tensors, "fc")]


def _resnet_block(tensors: _Tensors, source: str, stride: int) -> SourceLayer:
    """A basic block strides in its first convolution, a bottleneck in its second, the 3 × 3."""
    count = 3 if f"{source}.conv3.weight" in tensors else 2
    body: list[SourceLayer] = []
    for number in range(1, count + 1):
        options: dict[str, Any] = {"stride": stride} if number == count - 1 else {}
        if number < count:
            options["activation"] = "relu"
        if body:
            options["channels"] = body[-1].description["out"]
        body.append(_conv(tensors, f"conv{number}", f"{source}.conv{number}", f"{source}.bn{number}", **options))
    shortcut = []
    if f"{source}.downsample.0.weight" in tensors:
        shortcut = [_conv(tensors, "downsample", f"{source}.downsample.0", f"{source}.downsample.1", stride=stride)]
    return activated(residual(source.replace(".", "_"), prefixes(source), body, shortcut), "relu")


def _mobilenet(tensors: _Tensors) -> list[SourceLayer]:
    blocks = tensors.numbers(r"features\.(\d+)\.conv\.")
    if blocks != list(range(1, len(MOBILENET_STRIDES) + 1)):
        raise ImportFault(f"features: has not MobileNetV2's {len(MOBILENET_STRIDES)} blocks; {OTHERWISE}")
    layers = [_conv(tensors, "features_0", "features.0.0", "features.0.1", stride=2, activation="relu6")]
    channels = layers[0].description["out"]
    for block, stride in zip(blocks, MOBILENET_STRIDES):
        body = _inverted_residual(tensors, f"features.{block}", stride)
        out = body[-1].description["out"]
        if stride == 1 and out == channels:
            body = [residual(f"features_{block}", prefixes(f"features.{block}"), body, [])]
        layers += body
        channels = out
    last = f"features.{len(blocks) + 1}"
    layers.append(_conv(tensors, last.replace(".", "_"), f"{last}.0", f"{last}.1", activation="relu6"))
    return [*layers, *_mean_classifier(tensors, "classifier")]


def _inverted_residual(tensors: _Tensors, source: str, stride: int) -> list[SourceLayer]:
    """An expansion (not where the factor is 1), a depthwise convolution, and a projection without activation."""
    name = source.replace(".", "_")
    body: list[SourceLayer] = []
    if f"{source}.conv.2.weight" in tensors and tensors.state[f"{source}.conv.2.weight"].ndim == 4:
        body.append(_conv(tensors, f"{name}_expand", f"{source}.conv.0.0", f"{source}.conv.0.1", activation="relu6"))
    depthwise = f"{source}.conv.{len(body)}"
    channels = len(tensors.take(f"{depthwise}.0.weight", 4))
    body.append(
        _conv(
            tensors, f"{name}_depthwise", f"{depthwise}.0", f"{depthwise}.1",
            channels=channels, stride=stride, activation="relu6",
        )
    )  # fmt: skip
    project = len(body)
    body.append(_conv(tensors, f"{name}_project", f"{source}.conv.{project}", f"{source}.conv.{project + 1}"))
    return body


def _vgg(tensors: _Tensors, size: tuple[int, int]) -> list[SourceLayer]:
    """Between two convolutions stand perhaps a batch normalisation, a ReLU and, where one number is left, a pooling."""
    layers: list[SourceLayer] = []
    numbers = tensors.numbers(r"features\.(\d+)\.weight")
    places = [number for number in numbers if tensors.state[f"features.{number}.weight"].ndim == 4]
    for place, following in zip(places, [*places[1:], None]):
        normalised = f"features.{place + 1}.running_mean" in tensors
        source, end = f"features.{place}", place + 2 + normalised
        layer = _conv(tensors, f"features_{place}", source, f"features.{place + 1}" if normalised else None)
        layers.append(activated(layer, "relu", (f"features.{end - 1}",)))
        if following is None or following == end + 1:
            layers.append(_max_pool((f"features.{end}", "features"), 2))
        elif following != end:
            raise ImportFault(f"features.{end}: is not known from the tensors; {OTHERWISE}")
    channels = layers[-2].description["out"]
    pools = sum(layer.op == "max_pool" for layer in layers)
    return [*layers, *_vgg_classifier(tensors, channels, (size[0] >> pools, size[1] >> pools))]


def _vgg_classifier(tensors: _Tensors, channels: int, size: tuple[int, int]) -> list[SourceLayer]:
    """`channels` and `size` are the features'. Linear layers stand at 0, 3 and 6, with ReLU and dropout between."""
    places = tensors.numbers(r"classifier\.(\d+)\.weight")
    if len(places) > 1 and places != [0, 3, 6]:
        raise ImportFault(f"classifier: linear layers at {places} are not torchvision's 0, 3 and 6; {OTHERWISE}")
    layers = [_linear(tensors, f"classifier.{place}") for place in places]
    layers = [activated(layer, "relu") for layer in layers[:-1]] + layers[-1:]
    return [*_reading_features(layers[0], channels, size), *layers[1:]] if layers else []


def _reading_features(layer: SourceLayer, channels: int, size: tuple[int, int]) -> list[SourceLayer]:
    """The linear layer with the average pooling before it, which is to 7 × 7 and folded in, or to 1 × 1."""
    name = f"{layer.description['name']}.weight"
    weight = layer.tensors[name]
    if weight.shape[1] == channels:
        return [GLOBAL_POOL, layer]
    if weight.shape[1] != channels * VGG_POOL**2:
        read = f"reads {weight.shape[1]} values, not {channels} maps of {VGG_POOL} × {VGG_POOL}"
        raise ImportFault(f"{layer.names[0]}: {read}; {OTHERWISE}")
    if min(size) < 1:
        raise ImportFault("nothing is left of such small pictures after VGG's poolings; give a larger --size")
    if size == (VGG_POOL, VGG_POOL):
        return [layer]
    rows, columns = (_adaptive_means(extent) for extent in size)
    maps = weight.reshape(len(weight), -1, VGG_POOL, VGG_POOL)
    folded = np.einsum("ocij,ih,jw->ochw", maps, rows, columns, optimize=True).reshape(len(weight), -1)
    return [replace(layer, tensors={**layer.tensors, name: folded})]


def _adaptive_means(extent: int) -> np.ndarray:
    """[7, extent]: how much of each place of a line is in each of the 7 means that AdaptiveAvgPool2d makes of it."""
    means = np.zeros((VGG_POOL, extent), np.float32)
    for number in range(VGG_POOL):
        begin, end = number * extent // VGG_POOL, -(-(number + 1) * extent // VGG_POOL)
        means[number, begin:end] = 1 / (end - begin)
    return means


def _mean_classifier(tensors: _Tensors, name: str) -> list[SourceLayer]:
    """The global pooling and the linear layer: `fc`, or the only linear layer of a sequence called so."""
    sources = [f"{name}.{number}" for number in tensors.numbers(rf"{name}\.(\d+)\.weight")]
    if f"{name}.weight" in tensors:
        sources = [name]
    if len(sources) > 1:
        raise ImportFault(f"{name}: has {len(sources)} linear layers, torchvision's has one; {OTHERWISE}")
    return [GLOBAL_POOL, *(_linear(tensors, source) for source in sources)]


def _linear(tensors: _Tensors, source: str) -> SourceLayer:
    weight = tensors.take(f"{source}.weight", 2)
    return linear(source.replace(".", "_"), prefixes(source), weight, tensors.optional(f"{source}.bias"))
