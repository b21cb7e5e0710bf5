"""DeeperLab: single-shot panoptic parsing with one decoder and five heads.

Source: DeeperLab (Yang et al., 2019), figure 2 and section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from atrous import clock
from atrous.instances import keypoints as kp
from atrous.instances.batched.together import parse_together
from atrous.instances.fuse import merge
from atrous.instances.keypoints import stages
from atrous.instances.keypoints.patches import thing_cells
from atrous.instances.merging import encoded, merged_keypoints
from atrous.labels import LabelSpace
from atrous.nn.backbone import Layout, build_backbone
from atrous.nn.context import ASPP
from atrous.nn.decoder import BottomUpDecoder, Head, SpaceToDepthDecoder
from atrous.nn.losses import bootstrapped_cross_entropy, masked_l1, sigmoid_cross_entropy
from atrous.nn.resample import resize
from atrous.tensors import Grid, KeypointMaps, KeypointTargets, LossTerm, Maps, Targets, View
from atrous.types import ClassMap, Parse, Sample, require_positive
from atrous.views.classes import classify, image_grid

DECODERS = ("space-to-depth", "bottom-up", "none")


@dataclass(frozen=True, slots=True)
class DeeperLabNetwork:
    """What the network is made of.

    aspp            whether there is a pyramid; without, the backbone's features go straight on
    decoder         "space-to-depth"; "bottom-up", as DeepLabv3+ has it; or "none": maps are then at
                    the output stride
    decoder_width   channels that the decoder leaves at stride 4 (and of the semantic head)
    deep_heads      whether heads have a large convolution, or are a single 1x1
    kernel          of the large convolutions in decoder and heads

    Source: DeeperLab, figure 2; the Light variant of table 1 has kernel 3 and width 128; tables 3
    and 4 go without pyramid, decoder or deep heads.
    Raises: ValueError for another decoder.
    """

    backbone: str = "mobilenet-v2-wide5"
    output_stride: int = 16
    aspp_width: int = 256
    aspp_rates: tuple[int, ...] = (6, 12, 18)
    decoder_width: int = 256
    instance_width: int = 64
    kernel: int = 7
    aspp: bool = True
    decoder: str = "space-to-depth"
    deep_heads: bool = True

    def __post_init__(self) -> None:
        if self.decoder not in DECODERS:
            raise ValueError(f"decoder is {self.decoder!r}: it can be {', '.join(DECODERS)}")
        names = ("output_stride", "aspp_width", "decoder_width", "instance_width", "kernel")
        require_positive(**{name: getattr(self, name) for name in names})
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel is {self.kernel}: it must be odd")

    @property
    def map_stride(self) -> int:
        """The stride of all maps: decoders answer at 4."""
        return self.output_stride if self.decoder == "none" else 4


@dataclass(frozen=True, slots=True)
class DeeperLabLoss:
    """Weights of the five losses, and how hard and small pixels count.

    keep            share of pixels that the semantic loss keeps, the hardest ones; 1 = all
    small_area_px   things smaller than this weigh `small_weight` in the semantic loss

    Source: DeeperLab, section 3.4, equation 1; the five weights are PersonLab's.
    """

    semantic: float = 2.0
    heatmap: float = 4.0
    short: float = 1.0
    middle: float = 0.25
    long: float = 0.125
    keep: float = 0.15
    small_area_px: int = 4096
    small_weight: float = 3.0


@dataclass(frozen=True, slots=True)
class Encoder:
    """Makes targets from samples; small, so that worker processes can have it.

    Semantic targets are at full resolution, instance targets at `stride`, that of the maps.

    Source: DeeperLab, section 3.3; weights of small instances, section 3.4.
    """

    labels: LabelSpace
    fusion: kp.KeypointNumbers
    losses: DeeperLabLoss
    stride: int

    def __call__(self, sample: Sample) -> Targets:
        """The targets of one sample."""
        truth, is_thing = sample.truth, self.labels.is_thing
        maps, things, valid = kp.encode(truth, is_thing, stride=self.stride, numbers=self.fusion)
        return Targets(
            semantic=torch.from_numpy(self.labels.semantic(truth).astype(np.int64)),
            weight=torch.from_numpy(self._weights(sample)),
            keypoints=KeypointTargets(
                heatmap=torch.from_numpy(maps.heatmap > 0),
                short=torch.from_numpy(maps.short).flatten(0, 1),
                middle=torch.from_numpy(maps.middle).flatten(0, 1),
                long=torch.from_numpy(maps.long).flatten(0, 1),
                instance=torch.from_numpy(things),
                valid=torch.from_numpy(valid),
            ),
        )

    def _weights(self, sample: Sample) -> NDArray[np.float32]:
        areas = np.bincount(sample.truth.ids.ravel())
        table = np.ones(len(areas), dtype=np.float32)
        is_thing = self.labels.is_thing
        for region in sample.truth.regions:
            small = region.id < len(areas) and areas[region.id] < self.losses.small_area_px
            if small and is_thing[region.class_id] and not region.is_crowd:
                table[region.id] = self.losses.small_weight
        return table[sample.truth.ids]


class DeeperLab(nn.Module):
    """The network, its targets, its losses, and the fusion of its maps.

    There is a `context` only with ASPP, and a `decoder` only if it is not "none".

    Raises: ValueError if the decoder does not fit the output stride.
    """

    def __init__(
        self,
        network: DeeperLabNetwork,
        labels: LabelSpace,
        *,
        fusion: kp.KeypointNumbers | None = None,
        losses: DeeperLabLoss | None = None,
    ) -> None:
        super().__init__()
        self.network, self.labels = network, labels
        self.fusion, self.losses = fusion or kp.KeypointNumbers(), losses or DeeperLabLoss()
        self.encode = Encoder(labels, self.fusion, self.losses, network.map_stride)
        self.backbone = build_backbone(network.backbone, Layout(network.output_stride))
        low, channels = self.backbone.channels.low, self.backbone.channels.high
        if network.aspp:
            self.context = _pyramid(network, channels)
            channels = network.aspp_width
        if network.decoder != "none":
            self.decoder = _decoder(network, low, channels)
            channels = network.decoder_width
        wide, narrow = network.decoder_width, network.instance_width
        kinds, links = self._counts()
        self.semantic = _head(network, channels, len(labels), width=wide)
        self.heatmap = _head(network, channels, kinds, width=narrow)
        self.long = _head(network, channels, 2 * kinds, width=narrow)
        self.short = _head(network, channels, 2 * kinds, width=narrow)
        self.middle = _head(network, channels, 2 * links, width=narrow)

    def _counts(self) -> tuple[int, int]:
        """Keypoints and edges of the graph."""
        return len(self.fusion.joined.keypoints), len(self.fusion.joined.edges)

    def features(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c hm wm"]:
        """What the heads see. Source: DeeperLab, figure 2."""
        seen = self.backbone(image)
        high = self.context(seen.high) if self.network.aspp else seen.high
        y: Tensor = high if self.network.decoder == "none" else self.decoder(seen.low, high)
        return y

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Maps:
        """Maps at one stride; offsets are learnt in radii and answered in pixels."""
        features = self.features(image)
        radius = self.fusion.radius_px
        return Maps(
            semantic=self.semantic(features),
            stride=self.network.map_stride,
            keypoints=KeypointMaps(
                heatmap=self.heatmap(features),
                short=self.short(features) * radius,
                middle=self.middle(features) * radius,
                long=self.long(features) * radius,
            ),
        )

    def loss(self, maps: Maps, targets: Targets) -> tuple[LossTerm, ...]:
        """The five losses of section 3.4, as sums and counts."""
        answer, truth = maps.keypoints, targets.keypoints
        if answer is None or truth is None:
            raise ValueError("DeeperLab learns from keypoint maps: encode with this system")
        size_hw = (targets.semantic.shape[-2], targets.semantic.shape[-1])
        valid = truth.valid.unsqueeze(1)
        disks = truth.heatmap & valid
        sources = disks[:, [source for source, _ in self.fusion.joined.edges]]
        things = (truth.instance & truth.valid).unsqueeze(1).expand_as(disks)
        numbers, radius = self.losses, self.fusion.radius_px
        semantic = bootstrapped_cross_entropy(
            resize(maps.semantic, size_hw),
            targets.semantic,
            weight=targets.weight,
            ignore=self.labels.void,
            keep=numbers.keep,
        )
        heatmap = sigmoid_cross_entropy(answer.heatmap, truth.heatmap, valid)
        short = masked_l1(answer.short / radius, truth.short / radius, disks)
        middle = masked_l1(answer.middle / radius, truth.middle / radius, sources)
        long = masked_l1(answer.long / radius, truth.long / radius, things)
        return (
            LossTerm("semantic", numbers.semantic, *semantic),
            LossTerm("heatmap", numbers.heatmap, *heatmap),
            LossTerm("short", numbers.short, *short),
            LossTerm("middle", numbers.middle, *middle),
            LossTerm("long", numbers.long, *long),
        )

    def parse(self, views: Sequence[View]) -> Parse:
        """The panoptic parse of one image: semantics at image size, instances by votes.

        Instances are found at the scale of the first view. Source: DeeperLab, section 3.3.
        """
        image, seen = image_grid(views), views[0].frame
        semantic, confidence = classify(views, image, labels=self.labels)
        stride = min(self.fusion.decode_stride, views[0].maps.stride)
        grid = Grid.of(seen.resized_hw, stride=stride)
        classes: ClassMap = semantic[::stride, ::stride]
        if seen.resized_hw != seen.image_hw:  # else cells of the grid are pixels of the image
            classes, _ = classify(views, grid, labels=self.labels)
        rows, columns = image.moved(seen.resized_hw)
        scene = self._scene(views, classes, stride)
        found, cells = stages.decode(scene)
        with clock.stage("merge"):
            return merge(
                cells,
                classes,
                semantic,
                confidence,
                labels=self.labels,
                rows=rows / stride,
                columns=columns / stride,
                elsewhere=lambda wanted: stages.assign_cells(scene, wanted, found),
            )

    def _scene(self, views: Sequence[View], classes: ClassMap, stride: int) -> stages.Scene:
        """The keypoint maps, ready to be decoded."""
        return stages.prepare(
            encoded(merged_keypoints(views, self.fusion.joined)),
            thing_cells(classes, self.labels.is_thing),
            stride=stride,
            map_stride=views[0].maps.stride,
            numbers=self.fusion,
        )

    def parse_all(self, images: Sequence[Sequence[View]]) -> list[Parse]:
        """The parses of several images, on CUDA all at once."""
        found: Sequence[Parse | None] = [None] * len(images)
        if images and images[0][0].maps.semantic.is_cuda:
            found = parse_together(images, labels=self.labels, numbers=self.fusion)
        pairs = zip(found, images, strict=True)
        return [self.parse(views) if parse is None else parse for parse, views in pairs]


def _pyramid(network: DeeperLabNetwork, channels: int) -> ASPP:
    return ASPP(
        channels,
        width=network.aspp_width,
        rates=network.aspp_rates,
        output_stride=network.output_stride,
    )


def _decoder(
    network: DeeperLabNetwork, low: int, channels: int
) -> SpaceToDepthDecoder | BottomUpDecoder:
    width, kernel = network.decoder_width, network.kernel
    if network.decoder == "bottom-up":
        return BottomUpDecoder(low, channels, width=width, kernel=kernel)
    return SpaceToDepthDecoder(
        low, channels, width=width, kernel=kernel, output_stride=network.output_stride
    )


def _head(network: DeeperLabNetwork, channels: int, answers: int, *, width: int) -> Head:
    return Head(channels, answers, width=width, kernel=network.kernel, deep=network.deep_heads)
