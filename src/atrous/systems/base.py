"""What DeepLabv3 and PSPNet have in common: classes are all that they learn and answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Generic, TypeVar

from torch import nn

from atrous.instances.fuse import one_segment_a_class
from atrous.labels import LabelSpace
from atrous.semantic import SemanticEncoder, SemanticLoss, semantic_terms
from atrous.tensors import LossTerm, Maps, Targets, View
from atrous.types import Parse
from atrous.views.classes import classify, image_grid

N = TypeVar("N")


class SemanticSystem(nn.Module, Generic[N]):
    """Targets, losses and parse of a network that answers classes alone.

    sums_twin_logits  whether an image and its mirror image are averaged before the softmax
    """

    sums_twin_logits: ClassVar[bool] = False

    def __init__(self, network: N, labels: LabelSpace, losses: SemanticLoss | None) -> None:
        super().__init__()
        self.network, self.labels = network, labels
        self.losses, self.fusion = losses or SemanticLoss(), None
        self.encode = SemanticEncoder(labels)

    def loss(self, maps: Maps, targets: Targets) -> tuple[LossTerm, ...]:
        """Cross-entropy of the logits, and of auxiliary ones.

        Source: DeepLabv3, section 4.1; PSPNet, section 3.3.
        """
        return semantic_terms(maps, targets, self.losses, void=self.labels.void)

    def parse_all(self, images: Sequence[Sequence[View]]) -> list[Parse]:
        """The parses of several images."""
        return [self.parse(views) for views in images]

    def parse(self, views: Sequence[View]) -> Parse:
        """The semantic parse of one image, one segment a class."""
        answer = classify(
            views, image_grid(views), labels=self.labels, twin_logits=self.sums_twin_logits
        )
        return one_segment_a_class(*answer, labels=self.labels)
