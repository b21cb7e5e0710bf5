"""Public networks with random weights, and what becomes of their files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from atrous import load
from atrous.convert import convert
from atrous.labels import unnamed
from atrous.nn.mobilenet import units
from atrous.systems import AnySystem
from atrous.systems.deeplabv3 import DeepLabv3, DeepLabv3Network
from atrous.weights.mobilenet import DEEPLAB_LITE, DEEPLAB_LITE_HEAD


def scattered(make: Callable[[], nn.Module]) -> nn.Module:
    """A network whose weights keep the size of what they see, and none of whose norms is new."""
    torch.manual_seed(0)
    with torch.device("meta"):
        network = make().eval()
    network.to_empty(device="cpu")
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


def taken(path: Path) -> AnySystem:
    """The system that a foreign file of a whole network becomes, in evaluation; leaves no file."""
    out = path.with_name("ours.safetensors")
    convert(path, out)
    system = load(out, device="cpu").network
    for file in (path, out):
        file.unlink()
    return system


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


class Bottleneck(nn.Module):
    """semseg's, which is torchvision's."""

    def __init__(self, channels: int, width: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = None
        if channels != 4 * width:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(F.relu(self.bn2(self.conv2(y)))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class PyramidPooling(nn.Module):
    """semseg's PPM."""

    def __init__(self, channels: int, bins: tuple[int, ...]) -> None:
        super().__init__()
        width = channels // len(bins)
        self.features = nn.ModuleList(
            nn.Sequential(
                nn.AdaptiveAvgPool2d(n),
                nn.Conv2d(channels, width, 1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            )
            for n in bins
        )

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[2:]
        levels = [
            F.interpolate(f(x), size, mode="bilinear", align_corners=True) for f in self.features
        ]
        return torch.cat([x, *levels], dim=1)


class SemsegPSPNet(nn.Module):
    """PSPNet on ResNet-50 with the names and the graph of hszhao/semseg, which no index has.

    Source: hszhao/semseg, model/pspnet.py and model/resnet.py.
    """

    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        self.layer0 = nn.Sequential(
            *(*_three(3, 64, stride=2), *_three(64, 64), *_three(64, 128)),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        self.layer1 = _layer(128, 64, count=3)
        self.layer2 = _layer(256, 128, count=4, stride=2)
        self.layer3 = _dilated(_layer(512, 256, count=6, stride=2), 2)
        self.layer4 = _dilated(_layer(1024, 512, count=3, stride=2), 4)
        self.ppm = PyramidPooling(2048, (1, 2, 3, 6))
        self.cls = _classifier(4096, 512, classes)
        self.aux = _classifier(1024, 256, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of both heads at the output stride."""
        mid = self.layer3(self.layer2(self.layer1(self.layer0(x))))
        return self.cls(self.ppm(self.layer4(mid))), self.aux(mid)


def _three(channels: int, width: int, *, stride: int = 1) -> tuple[nn.Module, ...]:
    conv = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
    return conv, nn.BatchNorm2d(width), nn.ReLU()


def _layer(channels: int, width: int, *, count: int, stride: int = 1) -> nn.Sequential:
    first = Bottleneck(channels, width, stride=stride)
    return nn.Sequential(first, *(Bottleneck(4 * width, width, stride=1) for _ in range(1, count)))


def _dilated(layer: nn.Sequential, rate: int) -> nn.Sequential:
    for name, module in layer.named_modules():
        if name.endswith("conv2"):
            conv = cast("Any", module)
            conv.dilation, conv.padding, conv.stride = (rate, rate), (rate, rate), (1, 1)
        elif name.endswith("downsample.0"):
            cast("Any", module).stride = (1, 1)
    return layer


def _classifier(channels: int, width: int, classes: int) -> nn.Sequential:
    last = nn.Conv2d(width, classes, 1)
    return nn.Sequential(*_three(channels, width), nn.Dropout2d(0.1), last)


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


def mobile_deeplab(path: Path, *, classes: int = 3) -> Path:
    """A file in the layout deeplab-lite."""
    torch.manual_seed(0)
    network = DeepLabv3Network("mobilenet-v2", multi_grid=(), aspp_rates=())
    state = DeepLabv3(network, unnamed(classes)).state_dict()
    file: dict[str, Tensor] = {}
    for there, here in DEEPLAB_LITE.items():
        if f"{here}.conv.weight" in state:
            file[f"{there}.weight"] = state[f"{here}.conv.weight"]
            file[f"{there}.bias"] = state[f"{here}.norm.bias"]
    file |= {there: state[here] for there, here in DEEPLAB_LITE_HEAD.items()}
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
