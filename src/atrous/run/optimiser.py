"""Optimisers, and what of them a state keeps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from atrous.run.checkpoint import Weights
from atrous.run.settings import TrainSettings


def build_optimiser(network: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    """SGD or Adam with weight decay on full convolutions alone; Adam's is decoupled.

    Source: TensorFlow DeepLab's defaults, which DeeperLab's authors share; Adam for short runs, as
    Panoptic-DeepLab (Cheng et al., 2020), section 4.
    """
    trained = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if _decays(p)], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if not _decays(p)], "weight_decay": 0.0},
    ]
    if settings.optimiser == "adam":
        return torch.optim.AdamW(groups, lr=settings.lr)
    return torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum)


def _decays(parameter: Tensor) -> bool:
    return parameter.ndim == 4 and parameter.shape[1] > 1


def slots(network: nn.Module, optimiser: torch.optim.Optimizer) -> Weights:
    """What the optimiser remembers, under names such as "stem.conv.weight/exp_avg"."""
    return {
        f"{name}/{slot}": value
        for name, parameter in network.named_parameters()
        for slot, value in optimiser.state.get(parameter, {}).items()
        if isinstance(value, Tensor)
    }


def restore(network: nn.Module, optimiser: torch.optim.Optimizer, kept: Weights) -> None:
    """Gives an optimiser back what `slots` took."""
    parameters = dict(network.named_parameters())
    for key, value in kept.items():
        name, _, slot = key.rpartition("/")
        parameter = parameters[name]
        shaped = torch.empty_like(parameter) if value.shape == parameter.shape else value.clone()
        optimiser.state[parameter][slot] = shaped.copy_(value)
