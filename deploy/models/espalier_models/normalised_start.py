"""Starts a network with batch normalisation from a trained one, in whose convolutions the normalisation is folded.

    new = begin(network, tensors, inputs)       network: TreeNetwork(..., "batch"); tensors: model_directory.read's
                                                inputs: batches of pictures as the network reads them

Each normalisation gets the mean and the variance that its convolution puts out for these pictures, and a scale and a shift that undo it: the
network says what the trained one says, and learns from there as one that was normalised all along. Returns the names of
the tensors that the trained network did not have (see TreeNetwork.take_over).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import nn

from .tree_network import Convolution, TreeNetwork


class _Spread:
    """Mean and variance of what a convolution puts out, channel by channel."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        self.count, self.total, self.squares = 0, 0.0, 0.0
        convolution.register_forward_hook(self._add)

    def _add(self, _module: nn.Module, _inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        values = output.double().transpose(0, 1).flatten(1)
        self.count += values.shape[1]
        self.total, self.squares = self.total + values.sum(1), self.squares + values.square().sum(1)

    def of_all(self) -> tuple[torch.Tensor, torch.Tensor]:
        mean = self.total / self.count
        return mean, (self.squares / self.count - mean.square()).clamp_(min=0)


@torch.no_grad()
def begin(network: TreeNetwork, tensors: Mapping[str, np.ndarray], inputs: Sequence[torch.Tensor]) -> list[str]:
    folded = TreeNetwork(network.trunk, tuple(inputs[0].shape[1:]), "none").to(inputs[0].device)
    new = folded.take_over(tensors)
    network.load_state_dict(folded.state_dict(), strict=False)  # the one has no biases, the other no normalisation
    pairs = [(old, now, _Spread(old.convolution)) for old, now in zip(folded.modules(), network.modules()) if isinstance(old, Convolution)]
    for batch in inputs:
        folded(batch)
    for old, now, spread in pairs:
        mean, variance = spread.of_all()
        now.norm.running_mean.copy_(mean - old.convolution.bias)
        now.norm.running_var.copy_(variance)
        now.norm.weight.copy_((variance + now.norm.eps).sqrt())
        now.norm.bias.copy_(mean)
    return new
