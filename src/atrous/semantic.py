"""What all systems share about classes: targets, losses, and the answer at image size."""

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
from atrous.nn.resample import resize, sample_grid
from atrous.tensors import LossTerm, Maps, Targets, View
from atrous.types import ClassMap, FloatMap, Sample, require_positive

STRIPE_PX = 1 << 18
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


def semantic_parse(view: View, labels: LabelSpace) -> tuple[ClassMap, FloatMap]:
    """Class and its probability for every pixel of the image.

    Logits are sampled stripe by stripe at the place where each pixel lies in the map, so that full
    size logits never exist.

    Source: DeepLabv3, section 4.1 (upsampled logits).
    """
    height, width = view.frame.image_hw
    logits = view.maps.semantic[0].float()
    rows, columns = (at.to(logits.device) for at in cells_of_pixels(view))
    classes, confidence = labels.empty((height, width)), np.empty((height, width), np.float32)
    step = max(1, STRIPE_PX // width)
    for top in range(0, height, step):
        stripe = sample_grid(logits, rows[top : top + step], columns).softmax(dim=0)
        best, index = stripe.max(dim=0)
        classes[top : top + step] = index.cpu().numpy()
        confidence[top : top + step] = best.cpu().numpy()
    return classes, confidence


def cells_of_pixels(view: View) -> tuple[Tensor, Tensor]:
    """Row and column of every image row and column, in cells of the semantic map."""
    size, whole = view.maps.semantic.shape[-2:], view.frame.input_hw
    rows, columns = (
        at / view.maps.stride if view.maps.align_corners else (at + 0.5) * n / full - 0.5
        for at, n, full in zip(view.frame.positions(), size, whole, strict=True)
    )
    return torch.from_numpy(rows).float(), torch.from_numpy(columns).float()
