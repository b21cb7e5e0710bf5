"""DeepLabv3: atrous convolution in cascade, or in parallel (ASPP with image pooling).

Source: DeepLabv3 (Chen, Papandreou, Schroff, Adam), 2017, section 3 and figures 3 and 5.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from atrous.labels import LabelSpace
from atrous.nn.backbone import Layout, build_backbone
from atrous.nn.context import ASPP
from atrous.nn.dropout import Dropout
from atrous.nn.layers import ConvNorm, classifier
from atrous.nn.padding import set_padding
from atrous.semantic import SemanticLoss
from atrous.systems.base import SemanticSystem
from atrous.tensors import Maps
from atrous.types import require_positive


@dataclass(frozen=True, slots=True)
class DeepLabv3Network:
    """What the network is made of.

    blocks        4, or up to 7 for the cascade of block copies
    multi_grid    unit rates of block 4 and of its copies; () = ones
    aspp          whether there is a pyramid; without, logits follow the backbone
    aspp_rates    at output stride 16; at another one they follow
    dropout       after the pyramid
    extra_conv    one 3x3 convolution more before the logits, as torchvision's networks have
    padding       "symmetric", or "same" as in TensorFlow
    align_corners how logits lie on the image; torchvision's networks have it off

    Source: DeepLabv3, section 3 and table 5; dropout is from the authors' code.
    """

    backbone: str = "resnet-101"
    output_stride: int = 16
    blocks: int = 4
    multi_grid: tuple[int, ...] = (1, 2, 4)
    root: str = "7x7"
    stride_at: str = "last_3x3"
    aspp: bool = True
    aspp_rates: tuple[int, ...] = (6, 12, 18)
    aspp_width: int = 256
    image_pooling: bool = True
    dropout: float = 0.1
    extra_conv: bool = False
    padding: str = "symmetric"
    align_corners: bool = True

    def __post_init__(self) -> None:
        require_positive(output_stride=self.output_stride, aspp_width=self.aspp_width)


class DeepLabv3(SemanticSystem[DeepLabv3Network]):
    """The network, its targets, its loss and its parse."""

    def __init__(
        self, network: DeepLabv3Network, labels: LabelSpace, *, losses: SemanticLoss | None = None
    ) -> None:
        super().__init__(network, labels, losses)
        self.backbone = build_backbone(network.backbone, _layout(network))
        high = self.backbone.channels.high
        width = network.aspp_width if network.aspp else high
        self.context = _pyramid(network, high) if network.aspp else nn.Identity()
        self.extra = ConvNorm(width, width, kernel=3) if network.extra_conv else nn.Identity()
        self.dropout = Dropout(network.dropout if network.aspp else 0.0)
        self.classifier = classifier(width, len(labels))
        set_padding(self, network.padding)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Maps:
        """Logits at the output stride."""
        features = self.context(self.backbone(image).high)
        logits = self.classifier(self.extra(self.dropout(features)))
        network = self.network
        return Maps(logits, network.output_stride, align_corners=network.align_corners)


def _layout(network: DeepLabv3Network) -> Layout:
    return Layout(
        output_stride=network.output_stride,
        multi_grid=network.multi_grid,
        root=network.root,
        stride_at=network.stride_at,
        blocks=network.blocks,
    )


def _pyramid(network: DeepLabv3Network, channels: int) -> nn.Module:
    return ASPP(
        channels,
        width=network.aspp_width,
        rates=network.aspp_rates,
        output_stride=network.output_stride,
        pooling=network.image_pooling,
        separable=False,
    )
