"""Optimisers, and what of them a state keeps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from atrous.run.checkpoint import Weights
from atrous.run.settings import TrainSettings
from atrous.types import BadInput

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
"""Layers whose biases learn at `bias_multiplier`; a linear layer is a convolution of one pixel."""


def build_optimiser(network: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    """SGD or Adam with weight decay on full convolutions alone; Adam's is decoupled.

    The backbone learns at `backbone_multiplier` of the rate, and biases of convolutions at
    `bias_multiplier` of their layer's. What asks for no gradient is left out. Groups and what is in
    them follow the order of the network's parameters.

    Source: TensorFlow DeepLab's defaults, which DeeperLab's authors share; Adam for short runs, as
    Panoptic-DeepLab (Cheng et al., 2020), section 4. Biases at twice their layer's rate: the public
    code of PSPNet's and FCRN's authors.
    """
    groups = [
        {"params": some, "weight_decay": decay, "multiplier": multiplier}
        for (decay, multiplier), some in _grouped(network, settings).items()
    ]
    if not groups:
        raise BadInput("nothing is left to learn: train.freeze names every part")
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
    biases = {id(m.bias) for m in network.modules() if isinstance(m, CONVOLUTIONS)}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            decay = settings.weight_decay if _decays(parameter) else 0.0
            is_backbone, is_bias = "backbone" in name.split("."), id(parameter) in biases
            multiplier = settings.backbone_multiplier if is_backbone else 1.0
            multiplier *= settings.bias_multiplier if is_bias else 1.0
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
    """Gives an optimiser back what `slots` took.

    Raises: BadInput for a name that the optimiser has not: the state is of another training.
    """
    trained = {id(p) for group in optimiser.param_groups for p in group["params"]}
    parameters = {name: p for name, p in network.named_parameters() if id(p) in trained}
    for key, value in kept.items():
        name, _, slot = key.rpartition("/")
        if name not in parameters:
            raise BadInput(
                f"the state of the optimiser has {key!r}, which this training has not: it is of "
                "another recipe or network: resume with the command that began the run"
            )
        parameter = parameters[name]
        shaped = torch.empty_like(parameter) if value.shape == parameter.shape else value.clone()
        optimiser.state[parameter][slot] = shaped.copy_(value)
