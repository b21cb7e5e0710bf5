"""The network of hszhao/semseg, which no index has."""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn


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
