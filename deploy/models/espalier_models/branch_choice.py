"""Which bouquets each picture runs in training (see tree_network), where not all of them.

    choice = BranchChoice(pictures, bouquets)
    choice.learn(rows, network(inputs).categories, network.bouquet_of)     what each picture was taken for
    wanted, correction = choice.choose(rows, truth, {"likely": 4, "random": 1}, generator)      [rows, bouquets] each
    loss = masked cross-entropy of the scores + correction of each category's bouquet

A picture runs the bouquet of its own category, those that it was last taken for ("likely"), and some of the others at random.
The sum over all categories in the softmax is kept right in the mean: a bouquet drawn at random stands for all that might
have been drawn, so that the logarithm of their number over the number drawn is added to its scores (importance sampling, as in
the sampled softmax of Jean et al., arXiv 1412.2007). With 4 likely and 1 random of 22, the branches cost about a quarter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch


class BranchChoice:
    def __init__(self, pictures: int, bouquets: int) -> None:
        self.mass = torch.zeros(pictures, bouquets)  # log of the summed exponentials of a bouquet's scores

    def learn(self, rows: torch.Tensor, scores: torch.Tensor, bouquet_of: torch.Tensor) -> None:
        """Remembers what the pictures were taken for by the bouquets that ran."""
        scores = scores.detach().float().cpu()
        mass = torch.stack(
            [torch.logsumexp(scores[:, bouquet_of == number], 1) for number in range(self.mass.shape[1])], 1
        )
        ran = torch.isfinite(mass)
        self.mass[rows] = torch.where(ran, mass, self.mass[rows])

    def choose(
        self, rows: torch.Tensor, own: torch.Tensor, settings: Mapping[str, int], generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """own: each picture's bouquet. Returns which run, and what is to be added to their scores."""
        others = self.mass.shape[1] - 1
        likely = min(settings["likely"], others)
        left = others - likely
        random = min(settings["random"], left)
        mass = self.mass[rows].scatter(1, own[:, None], float("inf"))
        order = mass.argsort(1, descending=True)
        certain = torch.zeros_like(mass, dtype=torch.bool).scatter(1, order[:, : likely + 1], True)
        lots = torch.rand(mass.shape, generator=generator).masked_fill(certain, -1)
        drawn = torch.zeros_like(certain)
        if random:
            drawn.scatter_(1, lots.topk(random, 1).indices, True)
            return certain | drawn, drawn * math.log(left / random)
        return certain, torch.zeros_like(mass)
