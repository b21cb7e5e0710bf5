"""Optimisers, and what of them a state keeps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from atrous.run.checkpoint import Weights
from atrous.run.settings import TrainSettings


def build_optimiser(network: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    """SGD or Adam with weight decay on full convolutions alone; Adam's is decoupled.

    The backbone's groups learn at `backbone_multiplier` of the rate.

    Source: TensorFlow DeepLab's defaults, which DeeperLab's authors share; Adam for short runs, as
    Panoptic-DeepLab (Cheng et al., 2020), section 4.
    """
    groups = [
        {"params": some, "weight_decay": decay, "multiplier": multiplier}
        for (decay, multiplier), some in _grouped(network, settings).items()
    ]
    if settings.optimiser == "adam":
        return torch.optim.AdamW(groups, lr=settings.lr)
    return torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum)


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Sets the rate of every group, each by its multiplier."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["multiplier"]


def _grouped(
    network: nn.Module, settings: TrainSettings
) -> dict[tuple[float, float], list[nn.Parameter]]:
    """What is trained, by weight decay and multiplier of the rate."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            decay = settings.weight_decay if _decays(parameter) else 0.0
            slow = "backbone" in name.split(".")
            multiplier = settings.backbone_multiplier if slow else 1.0
            groups.setdefault((decay, multiplier), []).append(parameter)
    return groups


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
