"""What all systems share about learning classes: targets and losses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from atrous.labels import LabelSpace
from atrous.nn.losses import (
    SumCount,
    cross_entropy,
    hardest_cross_entropy,
    thresholded_cross_entropy,
)
from atrous.nn.resample import resize
from atrous.tensors import LossTerm, Maps, Targets
from atrous.types import Sample, require_positive

MINING, PLACES = ("none", "hardest", "threshold"), ("full", "stride")


@dataclass(frozen=True, slots=True)
class SemanticLoss:
    """Which pixels the loss of the classes is taken of.

    mining       "none"; "hardest": the `most` hardest pixels of each crop; or "threshold": those of
                 probability `probability` or less, and no fewer than `least` of a batch
    loss_at      "full": logits are upsampled to the labels; "stride": labels are sampled at the
                 cells of the logits
    auxiliary    weight of the auxiliary loss, where the network has one

    Source: FCRN, section 3.2; DeepLabv3, section 4.1; PSPNet, section 3.3.
    """

    mining: str = "none"
    most: int = 512
    probability: float = 0.6
    least: int = 256
    loss_at: str = "full"
    auxiliary: float = 0.4

    def __post_init__(self) -> None:
        for name, known in (("mining", MINING), ("loss_at", PLACES)):
            if getattr(self, name) not in known:
                value, options = getattr(self, name), ", ".join(known)
                raise ValueError(f"{name} is {value!r}: it can be {options}")
        require_positive(most=self.most, least=self.least)
        if not 0 < self.probability <= 1:
            raise ValueError(f"probability is {self.probability}: it must be in (0, 1]")


@dataclass(frozen=True, slots=True)
class SemanticEncoder:
    """Makes class targets from samples; small, so that worker processes can have it."""

    labels: LabelSpace

    def __call__(self, sample: Sample) -> Targets:
        """Class ids at full resolution, every pixel of weight 1."""
        classes = torch.from_numpy(self.labels.semantic(sample.truth).astype(np.int64))
        return Targets(semantic=classes, weight=torch.ones(classes.shape))


def semantic_terms(
    maps: Maps, targets: Targets, numbers: SemanticLoss, *, void: int
) -> tuple[LossTerm, ...]:
    """The loss of the classes, and the auxiliary one if the network answered it."""

    def taken(logits: Tensor) -> SumCount:
        return _mined(*_matched(logits, targets.semantic, maps, numbers), numbers, void)

    terms = [LossTerm("semantic", 1.0, *taken(maps.semantic))]
    if maps.auxiliary is not None:
        terms.append(LossTerm("auxiliary", numbers.auxiliary, *taken(maps.auxiliary)))
    return tuple(terms)


def _matched(
    logits: Tensor, target: Tensor, maps: Maps, numbers: SemanticLoss
) -> tuple[Tensor, Tensor]:
    """Logits and labels on one grid."""
    size_hw = (target.shape[-2], target.shape[-1])
    if numbers.loss_at == "full":
        return resize(logits, size_hw, align_corners=maps.align_corners), target
    rows, columns = (
        (
            torch.arange(n, device=target.device) * size // n
            if not maps.align_corners
            else torch.linspace(0, size - 1, n, device=target.device).round().long()
        )
        for n, size in zip(logits.shape[-2:], size_hw, strict=True)
    )
    return logits, target[:, rows[:, None], columns]


def _mined(logits: Tensor, target: Tensor, numbers: SemanticLoss, void: int) -> SumCount:
    if numbers.mining == "hardest":
        return hardest_cross_entropy(logits, target, ignore=void, most=numbers.most)
    if numbers.mining == "threshold":
        return thresholded_cross_entropy(
            logits, target, ignore=void, probability=numbers.probability, least=numbers.least
        )
    return cross_entropy(logits, target, ignore=void)
