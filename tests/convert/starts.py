"""Networks to begin, and files to begin them with."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from atrous.labels import unnamed
from atrous.nn.layers import ConvNorm
from atrous.nn.mobilenet import MobileNetV2
from atrous.systems.deeperlab import DeeperLab, DeeperLabNetwork
from atrous.weights import DEEPLAB_LITE, TORCHVISION_MOBILENET_V2

IMAGENET = "mobilenet_v2_1.0_224.imagenet.safetensors"
PASCAL = "deeplabv3_mnv2_pascal.safetensors"
HALF_WIDTH = "deeplabv3_mnv2_dm05_pascal.safetensors"


def network(backbone: str = "mobilenet-v2-wide5", *, classes: int = 3) -> DeeperLab:
    torch.manual_seed(0)
    small = DeeperLabNetwork(backbone, decoder_width=8, instance_width=8, kernel=3)
    return DeeperLab(small, unnamed(classes)).eval()


def stem(system: DeeperLab) -> ConvNorm:
    assert isinstance(system.backbone, MobileNetV2)
    return system.backbone.stem


def scatter_norms(block: ConvNorm) -> None:
    """Statistics and scales unlike those of a new network; small variances, so that eps counts."""
    state = block.norm.state_dict()
    nn.init.normal_(state["running_mean"], std=0.2)
    nn.init.uniform_(state["running_var"], 0.001, 0.02)
    nn.init.uniform_(state["weight"], 0.05, 0.1)
    nn.init.normal_(state["bias"], std=0.2)


def synthetic(layout: str, path: Path) -> Path:
    """A file in a foreign layout with random weights and kernels of 3."""
    system = network("mobilenet-v2")
    for block in system.backbone.modules():
        if isinstance(block, ConvNorm):
            scatter_norms(block)
    state = system.state_dict()
    file: dict[str, torch.Tensor] = {}
    if layout == "torchvision":
        for there, here in TORCHVISION_MOBILENET_V2.items():
            leaves = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
            found = {f"{there}.{leaf}": state.get(f"{here}.{leaf}") for leaf in leaves}
            file |= {k: v for k, v in found.items() if v is not None}
        file["classifier.1.weight"] = torch.zeros(5, 1280)
    else:
        for there, here in DEEPLAB_LITE.items():
            if f"{here}.conv.weight" in state:
                file[f"{there}.weight"] = state[f"{here}.conv.weight"]
                file[f"{there}.bias"] = 0.1 * torch.randn(len(state[f"{here}.conv.weight"]))
    save_file(file, path)
    return path
