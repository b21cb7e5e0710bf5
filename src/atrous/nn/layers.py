"""The small blocks that every network is made of."""

from __future__ import annotations

import math
from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": lambda: nn.ReLU(inplace=True),
    "relu6": lambda: nn.ReLU6(inplace=True),
    "none": nn.Identity,
}


class ConvNorm(nn.Module):
    """Convolution without bias, batch norm, activation; padding keeps the size at stride 1.

    With an odd kernel the zero padding is symmetric: rate * (kernel - 1) / 2; see `padding` for
    TensorFlow's.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        rate: int = 1,
        groups: int = 1,
        activation: str = "relu",
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.pad: nn.Module = nn.Identity()
        self.conv = nn.Conv2d(
            channels_in,
            channels_out,
            kernel,
            stride=stride,
            padding=rate * (kernel - 1) // 2,
            dilation=rate,
            groups=groups,
            bias=False,
        )
        self.norm = nn.BatchNorm2d(channels_out, eps=norm_eps)
        self.activation = ACTIVATIONS[activation]()
        _truncated_he(self.conv.weight)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        """Convolves, normalises, activates."""
        y: Tensor = self.activation(self.norm(self.conv(self.pad(x))))
        return y


class SeparableConv(nn.Module):
    """Depthwise convolution, then a 1x1 one, each with batch norm and ReLU.

    Source: DeepLabv3+ style, "extensively applied" in DeeperLab, section 3.1.
    """

    def __init__(self, channels_in: int, channels_out: int, *, kernel: int, rate: int = 1) -> None:
        super().__init__()
        self.depthwise = ConvNorm(
            channels_in, channels_in, kernel=kernel, rate=rate, groups=channels_in
        )
        self.pointwise = ConvNorm(channels_in, channels_out)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h w"]:
        """Filters each channel, then mixes them."""
        y: Tensor = self.pointwise(self.depthwise(x))
        return y


def classifier(channels_in: int, channels_out: int) -> nn.Conv2d:
    """1x1 convolution with bias that ends a head; starts close to zero."""
    layer = nn.Conv2d(channels_in, channels_out, 1)
    nn.init.trunc_normal_(layer.weight, std=0.01)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def set_norm_momentum(network: nn.Module, momentum: float) -> None:
    """Sets the share of a new batch in every running statistic (1 - TensorFlow's decay)."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = momentum


def _truncated_he(weight: Tensor) -> None:
    fan_in = weight.shape[1] * weight.shape[2] * weight.shape[3]
    std = math.sqrt(2 / fan_in)
    nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)
