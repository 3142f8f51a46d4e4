"""Learning from a trained network's scores: what a picture resembles, besides what it shows.

    espalier evaluate train.tar.gz --scores taught.npy            what the trained network says; taught.tsv stands beside it
    teacher = Teacher([Path("taught.npy")], pictures.names, network, {"weight": 1.0, "temperature": 2.0}, device)
    loss = ... + teacher.loss(rows, scores)                       rows: the pictures' numbers in pictures.names

The teacher says it once, of the pictures as they are, so that learning from it costs nothing; any network will do whose
categories have the same names in the same order, however it groups them. What several teachers say of a picture is averaged:
together they are right more often than each of them. The loss is weight · temperature² · KL(softmax of the teacher's scores /
temperature, softmax of the network's / temperature), as in Hinton et al., arXiv 1503.02531. Both softmaxes are over the
categories whose branches ran for the picture (see branch_choice). A picture that the teacher did not see takes no part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from . import scores_file
from .description import DescriptionError
from .tree_network import Scores, TreeNetwork


class Teacher:
    def __init__(
        self, files: Sequence[Path], names: Sequence[str], network: TreeNetwork, settings: Mapping[str, float], device: torch.device
    ) -> None:
        """files: of `espalier evaluate --scores`; names: of the pictures to train on; network: the one that learns."""
        self.weight, self.temperature, self.device = settings["weight"], settings["temperature"], device
        total = torch.zeros(len(names), len(network.categories))
        taught = torch.zeros(len(names))
        place = {name: row for row, name in enumerate(names)}
        if len(place) < len(names):
            raise DescriptionError("a teacher knows pictures by their names, and here some have the same: give one source, or name folders apart")
        for file in files:
            rows, scores = _read(file, place, network.categories)
            total[rows] += scores
            taught[rows] += 1
        self.known = taught > 0
        self.scores = (total / taught.clamp_(min=1)[:, None]).half()
        if not self.known.any():
            raise DescriptionError(f"{', '.join(map(str, files))}: holds the scores of none of the pictures to train on")

    def loss(self, rows: torch.Tensor, scores: Scores) -> torch.Tensor:
        known = self.known[rows]
        taught = self.scores[rows][known].float().to(self.device) / self.temperature
        own = scores.categories[known.to(self.device)] / self.temperature
        left_out = ~torch.isfinite(own)
        taught = taught.masked_fill(left_out, float("-inf"))
        difference = (taught.log_softmax(1) - own.log_softmax(1)).masked_fill(left_out, 0)
        return self.weight * self.temperature**2 * (taught.softmax(1) * difference).sum() / len(rows)


def _read(file: Path, place: Mapping[str, int], categories: Sequence[str]) -> tuple[list[int], torch.Tensor]:
    """The pictures to train on of which a file knows all scores (a search leaves some out), by their numbers, and these scores."""
    said = scores_file.read(file, len(categories))
    if strange := set(map(_leaf_name, said.shown)) - set(map(_leaf_name, categories)):
        raise DescriptionError(f"{file}: is of other categories, with {min(strange)}")
    known = [row for row, name in enumerate(said.names) if name in place and np.isfinite(said.scores[row]).all()]
    return [place[said.names[row]] for row in known], torch.from_numpy(said.scores[known]).float()


def _leaf_name(path: str) -> str:
    return path.rsplit("/", 1)[-1]
