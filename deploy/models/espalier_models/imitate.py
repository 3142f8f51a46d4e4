"""Teaches a slimmer trunk to put out what a trained network's trunk does, before the whole is trained.

    python3 -m espalier_models.imitate --recipe recipe.json --teacher DIR --data train.tar.gz --output start --minutes 5
    python3 -m espalier_models.train --recipe recipe.json --start start ...

The recipe's network takes over the teacher's weights (see tree_network), and then its trunk alone is trained: towards the smallest
squared distance of both trunks' outputs, in parts of the teacher's variance (one layer of the hints of Romero et al.,
arXiv 1412.6550). No label is needed, and a step costs a fraction of one of the whole network. The tree must
go on from the trunk as the teacher's does.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import torch

from . import model_directory, pictures, recipe
from .description import input_shape, parse_tree
from .pictures import Pictures
from .plain_errors import plain_errors
from .train import Normaliser
from .tree_network import TreeNetwork, trained

BATCH = 128
LEARNING_RATE = 1e-3  # at the beginning; it falls to nothing on a cosine
SECONDS_BETWEEN_LINES = 20


def imitate(network: TreeNetwork, teacher: TreeNetwork, plan: recipe.Recipe, data: Pictures, minutes: float) -> None:
    trunk, model = network.segments["trunk"].layers, teacher.segments["trunk"].layers
    normalise, size = Normaliser(plan.description, torch.device("cpu")), input_shape(plan.description)[1:]
    generator = torch.Generator().manual_seed(plan.training["seed"])
    optimiser = torch.optim.Adam(trunk.parameters(), lr=LEARNING_RATE)
    began, shown = time.monotonic(), 0.0
    while (done := (time.monotonic() - began) / 60 / minutes) < 1:
        rows = torch.randint(len(data), (BATCH,), generator=generator).numpy()
        inputs = normalise(pictures.vary(torch.from_numpy(data.pixels[rows]), size, plan.training["augment"], generator))
        with torch.no_grad():
            wanted = model(inputs)
        distance = (trunk(inputs) - wanted).square().mean() / wanted.var()
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * (1 + math.cos(math.pi * done)) / 2
        optimiser.zero_grad(set_to_none=True)
        distance.backward()
        optimiser.step()
        if time.monotonic() - shown > SECONDS_BETWEEN_LINES:
            shown = time.monotonic()
            print(f"{100 * done:5.1f} %  {100 * distance.item():.2f} % of the variance is missed", flush=True)


def main() -> None:
    arguments = parse()
    with plain_errors():
        run(arguments)


def run(arguments: argparse.Namespace) -> None:
    plan, taught = recipe.read(arguments.recipe), model_directory.read(arguments.teacher)
    shape = input_shape(plan.description)
    network, teacher = TreeNetwork(parse_tree(plan.description), shape, "none"), trained(taught)
    network.take_over(taught.tensors)
    own, wanted = (list(each.segments["trunk"].layers(torch.zeros(1, *shape)).shape[1:]) for each in (network, teacher))
    if own != wanted:
        raise ValueError(f"{arguments.recipe}: its trunk ends in {own}, the teacher's in {wanted}: only what has the same shape can be imitated")
    data = pictures.load(arguments.data, plan.labels, *shape[1:], arguments.cache)
    rows, _ = pictures.hold_out(data.truth, plan.training["held_out"], plan.training["seed"])
    imitate(network, teacher, plan, data.some(rows), arguments.minutes)
    model_directory.write(arguments.output, plan.description, network.export(), {})
    print(f"{arguments.output}: begin the training with it")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Teach a slimmer trunk what a trained one does.")
    parser.add_argument("--recipe", type=Path, required=True, help="recipe.json of the network to be")
    parser.add_argument("--teacher", type=Path, required=True, help="model directory of the trained network")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders or archives of LABEL/PICTURE")
    parser.add_argument("--output", type=Path, required=True, help="model directory to write")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--cache", type=Path, help="file for the decoded pictures")
    return parser.parse_args()


if __name__ == "__main__":
    main()
