"""FCRN: one network for categories, one for boxes, and a transform that makes instances of both.

Source: FCRN (Wu, Shen, van den Hengel: Bridging Category-level and Instance-level Semantic Image
Segmentation), 2016.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from atrous.instances import boxes as bx
from atrous.instances.boxes.painting import flatten, spread
from atrous.instances.boxes.sampling import as_it_is, every_pixel
from atrous.instances.boxes.transform import Detected, locate
from atrous.instances.fuse import merge, one_segment_a_class
from atrous.instances.merging import merged_boxes
from atrous.labels import LabelSpace
from atrous.nn.backbone import Layout, build_backbone
from atrous.nn.losses import box_overlap, box_smooth_l1
from atrous.semantic import SemanticEncoder, SemanticLoss, semantic_terms
from atrous.tensors import BoxTargets, Grid, LossTerm, Maps, Targets, View
from atrous.types import Parse, Sample, require_positive
from atrous.views.classes import classify, image_grid, probabilities

STAGES = ("category", "localisation")


@dataclass(frozen=True, slots=True)
class FCRNNetwork:
    """What both networks are made of.

    kernel, rate   of the classifier; the rate is at output stride 8 and halves at 16
    hidden         channels between its two convolutions, the non-linear classifier (the authors'
                   has kernel 3); 0 = one convolution, the linear one
    dropout        in the residual branches of the last block's units; () = none
    localisation   whether the second network is there

    Source: FCRN, section 3.1 and table 1; the non-linear classifier is from the authors' code.
    """

    backbone: str = "resnet-101"
    output_stride: int = 8
    root: str = "7x7"
    stride_at: str = "first_1x1"
    kernel: int = 5
    rate: int = 12
    hidden: int = 0
    dropout: tuple[float, ...] = ()
    localisation: bool = False

    def __post_init__(self) -> None:
        require_positive(output_stride=self.output_stride, kernel=self.kernel, rate=self.rate)
        if self.kernel % 2 == 0 or self.rate * 8 % self.output_stride:
            raise ValueError(
                f"a classifier of kernel {self.kernel} and rate {self.rate} does not fit output "
                f"stride {self.output_stride}: take an odd kernel, and a rate at output stride 8 "
                "that stays whole"
            )

    @property
    def field_of_view_px(self) -> int:
        """Side of what the classifier sees, in pixels. Source: FCRN, table 1."""
        rate, layers = self.rate * 8 // self.output_stride, 2 if self.hidden else 1
        return self.output_stride * (layers * (self.kernel - 1) * rate + 1)


@dataclass(frozen=True, slots=True)
class FCRNLoss:
    """Which stage is trained, and which pixels count.

    stage      "category", or "localisation", which starts from a model of the first
    semantic   of the first stage
    most       the second stage keeps this many cells of each crop, where predicted boxes overlap
               the true ones least; 0 = all
    weighted   whether small instances weigh more in it

    Source: FCRN, sections 3.2 and 4.1, table 6.
    """

    stage: str = "category"
    semantic: SemanticLoss = field(default_factory=lambda: SemanticLoss(loss_at="stride"))
    most: int = 512
    weighted: bool = True

    def __post_init__(self) -> None:
        if self.stage not in STAGES:
            raise ValueError(f"stage is {self.stage!r}: it can be {' or '.join(STAGES)}")
        if self.most < 0:
            raise ValueError(f"most is {self.most}: it must be at least 1, or 0 for all")


@dataclass(frozen=True, slots=True)
class Encoder:
    """Makes targets of both stages from samples; small, so that worker processes can have it."""

    labels: LabelSpace
    fusion: bx.BoxNumbers
    stage: str
    stride: int

    def __call__(self, sample: Sample) -> Targets:
        """Class ids, and in the second stage boxes on the grid of the network."""
        targets = SemanticEncoder(self.labels)(sample)
        if self.stage == "category":
            return targets
        found = bx.encode(
            sample.truth, self.labels.is_thing, stride=self.stride, numbers=self.fusion
        )
        boxes = BoxTargets(
            values=torch.from_numpy(found.targets),
            thing=torch.from_numpy(found.thing.astype(np.int64)),
            weight=torch.from_numpy(found.weight),
        )
        return replace(targets, boxes=boxes)


class Tower(nn.Module):
    """A ResNet with a dilated classifier on top. Source: FCRN, section 3.1."""

    def __init__(self, network: FCRNNetwork, outputs: int) -> None:
        super().__init__()
        layout = Layout(
            output_stride=network.output_stride,
            root=network.root,
            stride_at=network.stride_at,
            dropout=network.dropout,
        )
        self.backbone = build_backbone(network.backbone, layout)
        self.classifier = _classifier(self.backbone.channels.high, outputs, network)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h2 w2"]:
        """Answers at the output stride."""
        y: Tensor = self.classifier(self.backbone(image).high)
        return y


def _classifier(channels: int, outputs: int, network: FCRNNetwork) -> nn.Module:
    rate = network.rate * 8 // network.output_stride

    def conv(channels_in: int, channels_out: int) -> nn.Conv2d:
        reach = rate * (network.kernel - 1) // 2
        layer = nn.Conv2d(channels_in, channels_out, network.kernel, padding=reach, dilation=rate)
        nn.init.normal_(layer.weight, std=0.01)
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        return layer

    if not network.hidden:
        return conv(channels, outputs)
    first = conv(channels, network.hidden)
    nn.init.kaiming_normal_(first.weight, nonlinearity="relu")
    return nn.Sequential(first, nn.ReLU(inplace=True), conv(network.hidden, outputs))


class FCRN(nn.Module):
    """The two networks, their targets, losses and parse."""

    def __init__(
        self,
        network: FCRNNetwork,
        labels: LabelSpace,
        *,
        fusion: bx.BoxNumbers | None = None,
        losses: FCRNLoss | None = None,
    ) -> None:
        super().__init__()
        self.network, self.labels = network, labels
        self.fusion, self.losses = fusion or bx.BoxNumbers(), losses or FCRNLoss()
        self.encode = Encoder(labels, self.fusion, self.losses.stage, network.output_stride)
        self.category = Tower(network, len(labels))
        things = int(labels.is_thing.sum())
        self.localisation = Tower(network, 4 * things) if network.localisation and things else None
        if self.losses.stage == "localisation" and self.localisation is None:
            mend = "set network.localisation=true" if things else "the data have no class of things"
            raise ValueError(f"there is no localisation network to train: {mend}")

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Maps:
        """Logits, and boxes where there is a network for them; in training those of its stage.

        The map of a stage that is not trained is empty then.
        """
        is_first = not self.training or self.losses.stage == "category"
        is_second = not self.training or self.losses.stage == "localisation"
        nothing = image.new_zeros((image.shape[0], len(self.labels), 0, 0))
        return Maps(
            self.category(image) if is_first else nothing,
            self.network.output_stride,
            boxes=self.localisation(image) if is_second and self.localisation else None,
        )

    def loss(self, maps: Maps, targets: Targets) -> tuple[LossTerm, ...]:
        """Cross-entropy of the first stage, or the smooth L1 of the second."""
        if self.losses.stage == "category":
            return semantic_terms(maps, targets, self.losses.semantic, void=self.labels.void)
        if maps.boxes is None or targets.boxes is None:
            raise ValueError("FCRN learns from boxes: encode with this system")
        truth = targets.boxes
        answer = _chosen(maps.boxes, truth.thing)
        weight = truth.weight if self.losses.weighted else (truth.thing >= 0).to(answer.dtype)
        with torch.no_grad():
            overlap = box_overlap(self._pixels(answer), self._pixels(truth.values))
        numbers = {"weight": weight, "overlap": overlap}
        total = box_smooth_l1(answer, truth.values, most=self.losses.most, **numbers)
        return (LossTerm("boxes", 1.0, *total),)

    def _pixels(self, values: Tensor) -> Tensor:
        """Standardised values (b, 4, h, w) in pixels."""
        mean, std = (
            torch.tensor(n, device=values.device).reshape(1, 4, 1, 1)
            for n in (self.fusion.mean, self.fusion.std)
        )
        return values * std + mean

    def parse_all(self, images: Sequence[Sequence[View]]) -> list[Parse]:
        """The parses of several images."""
        return [self.parse(views) for views in images]

    def parse(self, views: Sequence[View]) -> Parse:
        """The parse of one image: instances where boxes are answered, else one segment a class.

        Source: FCRN, section 4.2; on the grid of the network's input.
        """
        image, seen = image_grid(views), views[0].frame
        semantic, confidence = classify(views, image, labels=self.labels)
        if views[0].maps.boxes is None:
            return one_segment_a_class(semantic, confidence, labels=self.labels)
        found = self._located(views)
        classes = found.classes
        index = spread(flatten(found.instances, classes), classes)
        rows, columns = image.moved(seen.resized_hw)
        return merge(
            index, classes, semantic, confidence, labels=self.labels, rows=rows, columns=columns
        )

    def _located(self, views: Sequence[View]) -> Detected:
        """Instances, and classes on every pixel of the first view's scaled image."""
        (first, *more), numbers = views, self.fusion
        maps, stride, size_hw = first.maps, first.maps.stride, first.frame.resized_hw
        if more or first.frame.window_hw != size_hw or first.frame.flipped:
            grid = Grid.covering(size_hw, stride=stride)
            boxes = merged_boxes(views, grid, mean_of=numbers.mean, std=numbers.std)
            chances = probabilities(views, Grid.of(size_hw))
            scores, softmax = as_it_is(chances.cpu().numpy()), False
        else:
            boxes, softmax = maps.boxes[0].float(), True  # type: ignore[index]
            scores = every_pixel(
                maps.semantic[0].float().cpu().numpy(), stride=stride, size_hw=size_hw
            )
        return locate(
            scores,
            every_pixel(boxes.cpu().numpy(), stride=stride, size_hw=size_hw),
            is_thing=self.labels.is_thing,
            stride=stride,
            numbers=numbers,
            softmax=softmax,
        )


def _chosen(boxes: Tensor, thing: Tensor) -> Tensor:
    """(b, 4, h, w): the four channels of the class that holds at each cell, the first without."""
    batch, _, height, width = boxes.shape
    split = boxes.reshape(batch, -1, 4, height, width)
    index = thing.clamp(min=0)[:, None, None].expand(-1, 1, 4, -1, -1)
    return split.gather(1, index)[:, 0]
