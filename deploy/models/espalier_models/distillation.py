"""Learning from a trained network's scores: what a picture resembles, besides what it shows.

    teacher = Teacher(directory, network, {"weight": 1.0, "temperature": 2.0}, device)
    loss = ... + teacher.loss(inputs, wanted, scores)

The loss is weight · temperature² · KL(softmax of the teacher's scores / temperature, softmax of the network's / temperature), as in
Hinton et al., arXiv 1503.02531. Both softmaxes are over the categories whose branches ran for the picture (see branch_choice):
the teacher runs the same branches, so that it costs what a forward pass does. Its tree has the categories of the network's,
in the same groups; its layers are its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from . import model_directory
from .description import DescriptionError
from .tree_network import Scores, TreeNetwork, trained


class Teacher:
    def __init__(self, directory: Path, network: TreeNetwork, settings: Mapping[str, float], device: torch.device) -> None:
        """network: the one that learns."""
        self.network = trained(model_directory.read(directory)).to(device, memory_format=torch.channels_last).eval()
        if _bouquets(self.network) != _bouquets(network):
            raise DescriptionError(f"{directory}: a teacher needs the same categories in the same groups")
        self.weight, self.temperature = settings["weight"], settings["temperature"]

    def loss(self, inputs: torch.Tensor, wanted: torch.Tensor | None, scores: Scores) -> torch.Tensor:
        with torch.no_grad():
            taught = self.network(inputs, wanted).categories / self.temperature
        ran = torch.isfinite(taught)
        own = (scores.categories / self.temperature).log_softmax(1)
        difference = (taught.log_softmax(1) - own).masked_fill(~ran, 0)
        return self.weight * self.temperature**2 * (taught.softmax(1) * difference).sum(1).mean()


def _bouquets(network: TreeNetwork) -> list[list[str]]:
    return [[leaf.path for leaf in leaves] for leaves in network.bouquets]
