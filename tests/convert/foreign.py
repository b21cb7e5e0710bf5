"""Public networks with random weights, and what becomes of their files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from atrous.convert import Converted, convert
from atrous.labels import unnamed
from atrous.nn.mobilenet import units
from atrous.recipes.described import system_of
from atrous.run.checkpoint import read_header, read_weights
from atrous.systems import AnySystem
from atrous.systems.deeplabv3 import DeepLabv3, DeepLabv3Network
from atrous.weights.mobilenet import DEEPLAB_LITE, DEEPLAB_LITE_HEAD

N = TypeVar("N", bound=nn.Module)


def blank(make: Callable[[], N]) -> N:
    """A network in evaluation whose weights are not set: they shall all come from a file."""
    with torch.device("meta"):
        network = make().eval()
    return network.to_empty(device="cpu")


def scattered(make: Callable[[], nn.Module]) -> nn.Module:
    """A network whose weights keep the size of what they see, and none of whose norms is new."""
    torch.manual_seed(0)
    network = blank(make)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
            if layer.bias is not None:
                nn.init.normal_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            assert layer.running_mean is not None
            assert layer.running_var is not None
            nn.init.normal_(layer.running_mean, std=0.2)
            nn.init.uniform_(layer.running_var, 0.01, 0.02)  # so small that eps counts
            nn.init.uniform_(layer.weight, 0.08, 0.14)
            nn.init.normal_(layer.bias, std=0.2)
        elif isinstance(layer, nn.Linear):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
    return network


def write(network: nn.Module, path: Path) -> Path:
    """Its state_dict, as it is usually given away."""
    torch.save(network.state_dict(), path)
    return path


def hollow(make: Callable[[], nn.Module]) -> dict[str, Tensor]:
    """The state_dict of a network, all zeros, in no memory to speak of."""
    with torch.device("meta"):
        state = make().state_dict()
    return {k: torch.zeros((), dtype=v.dtype).expand(v.shape) for k, v in state.items()}


def taken(path: Path) -> tuple[AnySystem, Converted]:
    """The system that a foreign file of a whole network becomes, in evaluation; leaves no file."""
    out = path.with_name("ours.safetensors")
    done = convert(path, out)
    with torch.device("meta"):
        system, _ = system_of(read_header(out))
    system.load_state_dict(read_weights(out), assign=True)
    for file in (path, out):
        file.unlink()
    return system.eval(), done


def picture(height: int, width: int) -> Tensor:
    """An image that a network may see."""
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(height))


def agree(ours: Tensor, theirs: Tensor) -> None:
    """They differ by no more than 1e-4 of the range of the latter."""
    reach = float(theirs.max() - theirs.min())
    assert theirs.isfinite().all()
    assert reach > 0
    assert float(theirs.std()) > 0.01 * reach
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4 * reach)


@torch.no_grad()
def full_size(system: AnySystem, image: Tensor) -> Tensor:
    """Its logits, upsampled to the image as it says."""
    maps = system(image)
    size = (image.shape[-2], image.shape[-1])
    return F.interpolate(maps.semantic, size, mode="bilinear", align_corners=maps.align_corners)


def as_tensorflow(peer: nn.Module) -> dict[str, Any]:
    """Variables of DeepLab's MobileNetV2 from those of transformers' network."""
    leaves = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean"}
    leaves["moving_variance"] = "running_var"
    state: Mapping[str, Tensor] = peer.state_dict()
    variables: dict[str, Any] = {}
    for there, scope in _scopes().items():
        kernel = state[f"{there}.convolution.weight"].numpy()
        if scope.endswith("/depthwise"):
            variables[f"{scope}/depthwise_weights"] = kernel.transpose(2, 3, 0, 1)
        else:
            variables[f"{scope}/weights"] = kernel.transpose(2, 3, 1, 0)
        for leaf, name in leaves.items():
            if f"{there}.normalization.{name}" in state:
                variables[f"{scope}/BatchNorm/{leaf}"] = state[f"{there}.normalization.{name}"]
    head = "segmentation_head.classifier.convolution.bias"
    return {**variables, "logits/semantic/biases": state[head].numpy()}


def _scopes() -> dict[str, str]:
    """Source: transformers before version 5, convert_original_tf_checkpoint_to_pytorch."""
    stem, root = "mobilenet_v2.conv_stem", "MobilenetV2"
    rows = {f"{stem}.first_conv": f"{root}/Conv", "mobilenet_v2.conv_1x1": f"{root}/Conv_1"}
    rows[f"{stem}.conv_3x3"] = f"{root}/expanded_conv/depthwise"
    rows[f"{stem}.reduce_1x1"] = f"{root}/expanded_conv/project"
    parts = {"expand_1x1": "expand", "conv_3x3": "depthwise", "reduce_1x1": "project"}
    for unit in range(16):
        for there, part in parts.items():
            scope = f"{root}/expanded_conv_{unit + 1}/{part}"
            rows[f"mobilenet_v2.layer.{unit}.{there}"] = scope
    head = {"pool": "image_pooling", "aspp": "aspp0", "projection": "concat_projection"}
    rows |= {f"segmentation_head.conv_{there}": scope for there, scope in head.items()}
    return {**rows, "segmentation_head.classifier": "logits/semantic"}


@cache
def _mobile_state() -> dict[str, Tensor]:
    """Of a DeepLabv3 on MobileNetV2 with three classes; of its norms, the biases alone count."""
    torch.manual_seed(0)
    network = DeepLabv3Network("mobilenet-v2", multi_grid=(), aspp_rates=())
    state = DeepLabv3(network, unnamed(3)).state_dict()
    return {k: 0.1 * torch.randn(v.shape) if k.endswith("bias") else v for k, v in state.items()}


def mobile_deeplab(path: Path, *, classes: int = 3) -> Path:
    """A file in the layout deeplab-lite."""
    state, file = _mobile_state(), {}
    for there, here in DEEPLAB_LITE.items():
        if f"{here}.conv.weight" in state:
            file[f"{there}.weight"] = state[f"{here}.conv.weight"]
            file[f"{there}.bias"] = state[f"{here}.norm.bias"]
    file |= {there: state[here] for there, here in DEEPLAB_LITE_HEAD.items()}
    generator = torch.Generator().manual_seed(classes)
    file["logits.weight"] = 0.1 * torch.randn(classes, 256, 1, 1, generator=generator)
    file["logits.bias"] = torch.randn(classes, generator=generator)
    save_file(file, path)
    return path


def mobile_backbone(path: Path) -> Path:
    """The same without a head."""
    whole = load_file(mobile_deeplab(path))
    save_file({k: v for k, v in whole.items() if k.startswith("backbone.")}, path)
    return path


def folded_features(file: Mapping[str, Tensor], image: Tensor, *, width: float) -> Tensor:
    """MobileNetV2's features at output stride 16, from convolutions with biases."""

    def block(x: Tensor, name: str, *, stride: int = 1, rate: int = 1) -> Tensor:
        weight, bias = file[f"backbone.{name}.weight"], file[f"backbone.{name}.bias"]
        padding = rate * (weight.shape[-1] // 2)
        return F.conv2d(x, weight, bias, stride, padding, rate, x.shape[1] // weight.shape[1])

    x = F.relu6(block(image, "stem", stride=2))
    for index, unit in enumerate(units(16, width=width)):
        name, y = f"blocks.{index}", x
        if unit.expansion > 1:
            y = F.relu6(block(y, f"{name}.expand"))
        y = F.relu6(block(y, f"{name}.depthwise", stride=unit.stride, rate=unit.rate))
        y = block(y, f"{name}.project")
        x = x + y if x.shape == y.shape else y
    return x
