"""The running mean of a network's weights."""

from __future__ import annotations

import copy

import torch
from torch import nn


class Average:
    """A copy of a network whose weights follow those of the network slowly.

    mean = d * mean + (1 - d) * weights after every step, with d the smaller of `decay` and
    (1 + steps) / (10 + steps), so that a short run is not held to where it began. Statistics of
    norms are those of the network.

    Source: Polyak and Juditsky (1992); the ramp is that of TensorFlow's moving averages.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self._of, self._decay = network, decay

    @torch.no_grad()
    def follow(self, steps: int) -> None:
        """Takes in the weights after `steps` steps."""
        decay = min(self._decay, (1 + steps) / (10 + steps))
        now, of = self.network, self._of
        for mean, weight in zip(now.parameters(), of.parameters(), strict=True):
            mean.lerp_(weight, 1 - decay)
        for old, new in zip(now.buffers(), of.buffers(), strict=True):
            old.copy_(new)
