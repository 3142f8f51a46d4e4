"""Writes golden vectors: inputs and the scores that PyTorch gives them in FP32, for the tests of the engine.

    python3 -m espalier_models.golden network --model DIR --pictures FILE --output FILE
    python3 -m espalier_models.golden layers --output DIR
    write_beside(DIR, OUTPUT)     for a network that was just trained (see export)

`network` takes the first pictures from a file that has some (the reference's golden.safetensors, or the output of an
earlier run), adds pictures of its own, and writes, for the weights as they are stored:

    pictures                        U8 [n, height, width, 3]
    category_scores                 F32 [n, categories], in the order of the leaves
    inner_scores                    F32 [n, inner heads], in the order of the inner nodes with a head
    category_scores_with_attention  F32 [n, categories], with the weights that it prints: NETWORK_ATTENTION, where the network
                                    has these nodes

`layers` writes the networks of layer_networks as model directories, each with `golden.safetensors` (`inputs`, which are
normalised already, F32 [n, 3, height, width], and the three scores) and `attention.json`, the attention weights used.
`write_beside` writes `golden.safetensors` with pictures of its own only, and `attention.json`, for any network.
Orders are those of a depth-first preorder of the tree. Both commands print how far FP32 is from FP64: no test should
ask for less.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from . import model_directory, safetensors_file
from .description import DescriptionError, input_shape, nodes
from .layer_networks import NETWORKS, random_tensors
from .model_directory import Model
from .network import Network
from .plain_errors import plain_errors

REFERENCE_PICTURES = 6
NETWORK_ATTENTION = {"animal/cat/tabby": 2.0, "animal/dog": 1.5, "food": 0.5, "trunk": 1.1}
LAYER_ATTENTION = {
    "every_layer": {
        "trunk": 0.9,
        "below_trunk": 2.5,
        "pools": 0.25,
        "pools/padding_counted": 16.0,
        "gates/empty": 1.25,
        "gates/empty/deep/no_layers": 3.0,
        "activations": 2.0,
        "activations/relu6": 4.0,
    },
    "nested_layers": {"nested": 1.5, "nested/deep/deepest": 0.5, "kernels/whole_input": 2.0, "alone": 0.001},
}
LAYER_SEEDS = {"every_layer": 3, "nested_layers": 19}  # with these no layer is without effect on the scores
LAYER_INPUTS = 3
INPUT_DEVIATION = 2.0


def own_pictures(height: int, width: int) -> np.ndarray:
    """Four pictures: noise, a gradient with stripes, black, white."""
    noise = np.random.RandomState(7).randint(0, 256, (height, width, 3)).astype(np.uint8)
    rows, columns = np.mgrid[0:height, 0:width]
    stripes = (rows + columns) // 8 % 2 * 255
    gradient = np.stack([rows * 255 // (height - 1), columns * 255 // (width - 1), stripes], 2).astype(np.uint8)
    return np.stack([noise, gradient, np.zeros_like(noise), np.full_like(noise, 255)])


def golden_scores(model: Model, inputs: torch.Tensor, attention: Mapping[str, float]) -> dict[str, np.ndarray]:
    """The three scores of the inputs. Prints how far they are from those of a computation in FP64."""
    with torch.no_grad():
        scores = _all_scores(Network(model), inputs, attention)
        precise = _all_scores(Network(model, torch.float64), inputs, attention)
    distance = max(float(np.abs(scores[name] - precise[name]).max(initial=0)) for name in scores)
    print(f"{model.description['name']}: FP32 is at most {distance:.2g} from FP64")
    return scores


def _all_scores(network: Network, inputs: torch.Tensor, attention: Mapping[str, float]) -> dict[str, np.ndarray]:
    plain = network.run(inputs)
    return {
        "category_scores": plain.categories.numpy(),
        "inner_scores": plain.inner.numpy(),
        "category_scores_with_attention": network.run(inputs, attention).categories.numpy(),
    }


def write_network(directory: Path, pictures_file: Path, output: Path) -> None:
    """Writes the golden vectors of a model directory."""
    model = model_directory.read(directory)
    stored = safetensors_file.read(pictures_file)
    if "pictures" not in stored:
        raise DescriptionError(f"{pictures_file}: has no tensor called pictures")
    pictures = np.concatenate([stored["pictures"][:REFERENCE_PICTURES], own_pictures(*input_shape(model.description)[1:])])
    paths = {node.path for node in nodes(model.trunk)}
    attention = NETWORK_ATTENTION if set(NETWORK_ATTENTION) <= paths else any_attention(model)
    print(f"with attention {json.dumps(attention)}")
    scores = golden_scores(model, Network(model).normalise(pictures), attention)
    output.parent.mkdir(parents=True, exist_ok=True)
    safetensors_file.write(output, {"pictures": pictures, **scores})


def any_attention(model: Model) -> dict[str, float]:
    """Weights for any network: attended are a category, a branch where there is one, and the trunk."""
    paths = [node.path for node in nodes(model.trunk)]
    return {paths[-1]: 2.0, paths[1]: 0.5, "trunk": 1.1}


def write_beside(directory: Path, output: Path) -> None:
    """Writes golden vectors for any network."""
    model = model_directory.read(directory)
    attention = any_attention(model)
    pictures = own_pictures(*input_shape(model.description)[1:])
    scores = golden_scores(model, Network(model).normalise(pictures), attention)
    output.mkdir(parents=True, exist_ok=True)
    safetensors_file.write(output / "golden.safetensors", {"pictures": pictures, **scores})
    (output / "attention.json").write_text(json.dumps(attention, indent=1) + "\n", encoding="utf-8")


def layer_dtypes(name: str, tensor_names: list[str]) -> dict[str, str]:
    """every_layer is stored in F32. nested_layers mixes all dtypes, so that some tensors begin at odd places."""
    if name == "every_layer":
        return {}
    stored = {".weight": "BF16", ".bias": "F16", "head.weight": "F32", "head.bias": "F16"}
    return {tensor: dtype for tensor in tensor_names for ending, dtype in stored.items() if tensor.endswith(ending)}


def write_layers(output: Path) -> None:
    """Writes the small networks and their golden vectors."""
    for name, make in NETWORKS.items():
        directory, description, seed = output / name, make(), LAYER_SEEDS[name]
        tensors = random_tensors(description, seed)
        model_directory.write(directory, description, tensors, layer_dtypes(name, list(tensors)))
        model = model_directory.read(directory)
        shape = (LAYER_INPUTS, *input_shape(description))
        inputs = (np.random.RandomState(seed).standard_normal(shape) * INPUT_DEVIATION).astype(np.float32)
        scores = golden_scores(model, torch.from_numpy(inputs), LAYER_ATTENTION[name])
        safetensors_file.write(directory / "golden.safetensors", {"inputs": inputs, **scores})
        attention = json.dumps(LAYER_ATTENTION[name], indent=1)
        (directory / "attention.json").write_text(attention + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Write golden vectors for the tests of the engine.")
    commands = parser.add_subparsers(dest="command", required=True)
    network = commands.add_parser("network", help="the scores of a model directory")
    network.add_argument("--model", type=Path, required=True, help="the model directory")
    network.add_argument("--pictures", type=Path, required=True, help="safetensors file with the first pictures")
    network.add_argument("--output", type=Path, required=True, help="the file to write")
    layers = commands.add_parser("layers", help="small networks for every layer, with their scores")
    layers.add_argument("--output", type=Path, required=True, help="the folder to write them to")
    arguments = parser.parse_args()
    with plain_errors():
        if arguments.command == "network":
            write_network(arguments.model, arguments.pictures, arguments.output)
        else:
            write_layers(arguments.output)


if __name__ == "__main__":
    main()
