"""What DeepLabv3 and PSPNet have in common: classes are all that they learn and answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from torch import nn

from atrous.instances.fuse import one_segment_a_class
from atrous.labels import LabelSpace
from atrous.semantic import SemanticEncoder, SemanticLoss, semantic_parse, semantic_terms
from atrous.tensors import LossTerm, Maps, Targets, View
from atrous.types import Parse

N = TypeVar("N")


class SemanticSystem(nn.Module, Generic[N]):
    """Targets, losses and parse of a network that answers classes alone."""

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

    def parse(self, views: Sequence[View]) -> Parse:
        """The semantic parse of one image, one segment a class."""
        (view,) = views
        return one_segment_a_class(*semantic_parse(view, self.labels), labels=self.labels)
