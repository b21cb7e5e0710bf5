"""PSPNet: a dilated ResNet, pyramid pooling, and an auxiliary loss.

Source: PSPNet (Zhao, Shi, Qi, Wang, Jia), 2017, section 3 and figure 3.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from atrous.labels import LabelSpace
from atrous.nn.backbone import Layout, build_backbone
from atrous.nn.context import PyramidPooling
from atrous.nn.dropout import Dropout
from atrous.nn.layers import ConvNorm, classifier
from atrous.nn.padding import set_padding
from atrous.semantic import SemanticLoss
from atrous.systems.base import SemanticSystem
from atrous.tensors import Maps
from atrous.types import require_positive


@dataclass(frozen=True, slots=True)
class PSPNetNetwork:
    """What the network is made of.

    all_units    every unit of a de-strided block has the full rate, which the authors' networks
                 have and the one rule of rates has not; see `ResNet`
    bins         of the pyramid; () leaves the pyramid out (the baseline of table 1)
    pooling      "average" or "max"
    reduction    whether each level is brought to 1 / levels of the channels
    auxiliary    whether training has a second head behind block 3
    padding      "symmetric", or "same" as in TensorFlow
    align_corners  how logits and pooled maps lie on the image

    Source: PSPNet, section 3 and table 1; root and widths are those of the authors' networks.
    """

    backbone: str = "resnet-50"
    output_stride: int = 8
    root: str = "deep"
    stride_at: str = "first_3x3"
    all_units: bool = True
    bins: tuple[int, ...] = (1, 2, 3, 6)
    pooling: str = "average"
    reduction: bool = True
    width: int = 512
    dropout: float = 0.1
    auxiliary: bool = True
    auxiliary_width: int = 256
    padding: str = "symmetric"
    align_corners: bool = True

    def __post_init__(self) -> None:
        require_positive(
            output_stride=self.output_stride,
            width=self.width,
            auxiliary_width=self.auxiliary_width,
            bins=min(self.bins, default=1),
        )


class PSPNet(SemanticSystem[PSPNetNetwork]):
    """The network, its targets, its losses and its parse."""

    sums_twin_logits = True  # Source: the authors' code

    def __init__(
        self, network: PSPNetNetwork, labels: LabelSpace, *, losses: SemanticLoss | None = None
    ) -> None:
        super().__init__(network, labels, losses)
        self.backbone = build_backbone(network.backbone, _layout(network))
        channels = self.backbone.channels
        self.context = PyramidPooling(
            channels.high,
            bins=network.bins,
            kind=network.pooling,
            reduce=network.reduction,
            align_corners=network.align_corners,
        )
        classes, share = len(labels), network.dropout
        self.head = _head(self.context.channels, classes, width=network.width, dropout=share)
        self.auxiliary = (
            _head(channels.mid, classes, width=network.auxiliary_width, dropout=share)
            if network.auxiliary
            else None
        )
        set_padding(self, network.padding)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Maps:
        """Logits at the output stride; in training those of the auxiliary head too."""
        seen = self.backbone(image)
        is_wanted = self.training and self.auxiliary is not None
        return Maps(
            self.head(self.context(seen.high)),
            self.network.output_stride,
            auxiliary=self.auxiliary(seen.mid) if is_wanted else None,  # type: ignore[misc]
            align_corners=self.network.align_corners,
        )


def _head(channels: int, classes: int, *, width: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        ConvNorm(channels, width, kernel=3),
        Dropout(dropout, channels=True),
        classifier(width, classes),
    )


def _layout(network: PSPNetNetwork) -> Layout:
    return Layout(
        output_stride=network.output_stride,
        root=network.root,
        stride_at=network.stride_at,
        all_units=network.all_units,
    )
