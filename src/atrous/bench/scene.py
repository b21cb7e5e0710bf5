"""The maps that a trained network would answer to a drawn scene: fusion is timed on these.

How long fusion takes depends on what is in the maps. Those of an untrained network hold nothing
that can be found, and those of a trained one as much as the photo does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from atrous.data.shapes import Shapes
from atrous.labels import LabelSpace
from atrous.nn.resample import resize
from atrous.systems import AnySystem
from atrous.systems.deeperlab import DeeperLab
from atrous.tensors import (
    BoxTargets,
    Frame,
    KeypointMaps,
    KeypointTargets,
    Maps,
    Targets,
    View,
    mapped,
)
from atrous.types import BadInput, Labelled, Sample

LOGIT, NOISE = 8.0, 0.5
"""The logit of the true class, and the deviation of all logits and of offsets in pixels."""
LEAST_PX = 16
"""Of a drawn thing; a scene has room for four."""


def drawn(size_hw: tuple[int, int], instances: int, labels: LabelSpace) -> Sample:
    """A scene of so many things that fill about a fourth of it, in the classes of a model.

    Raises: BadInput for a size without room for it.
    """
    if size_hw[0] * size_hw[1] < 4 * LEAST_PX:
        what = f"a drawn scene has {4 * LEAST_PX} pixels or more: give a larger size, or --image"
        raise BadInput(f"--size {size_hw[0]}x{size_hw[1]}: {what}")
    area = size_hw[0] * size_hw[1] // (4 * max(1, instances))
    scenes = Shapes(
        "test",
        size_hw=size_hw,
        instances=(instances, instances),
        area_px=(max(LEAST_PX, area // 2), max(LEAST_PX, area)),
    )
    sample, is_drawn_thing = scenes[0], scenes.labels.is_thing
    things, stuff = (np.flatnonzero(labels.is_thing == kind) for kind in (True, False))

    def ours(class_id: int) -> int:
        known = things if is_drawn_thing[class_id] else stuff
        known = known if len(known) else np.arange(len(labels))
        return int(known[class_id % len(known)])

    regions = tuple(replace(r, class_id=ours(r.class_id)) for r in sample.truth.regions)
    return replace(sample, truth=Labelled(sample.truth.ids, regions))


def seen(system: AnySystem, sample: Sample, *, device: torch.device) -> View:
    """The view of a scene whose maps are right, but for a little noise."""
    torch.manual_seed(0)
    size_hw = (sample.image.shape[0], sample.image.shape[1])
    encode: Any = system.encode
    if hasattr(encode, "stage"):
        encode = replace(encode, stage="localisation")
    targets: Targets = encode(sample)
    maps = _maps(system, targets, size_hw)
    return View(_to(maps, device), Frame(size_hw, size_hw, size_hw))


def _maps(system: AnySystem, targets: Targets, size_hw: tuple[int, int]) -> Maps:
    stride = getattr(system.network, "map_stride", system.network.output_stride)
    aligned = getattr(system.network, "align_corners", True)
    classes = targets.semantic[::stride, ::stride]
    logits = torch.randn(len(system.labels), *classes.shape) * NOISE
    logits.scatter_add_(0, classes.clamp(max=len(system.labels) - 1)[None], _full(classes))
    keypoints = None
    if targets.keypoints and isinstance(system, DeeperLab):
        sources = [source for source, _ in system.fusion.joined.edges]
        keypoints = _keypoints(targets.keypoints, sources, stride)
    boxes = _boxes(targets.boxes, int(system.labels.is_thing.sum())) if targets.boxes else None
    return Maps(logits[None], stride, keypoints=keypoints, boxes=boxes, align_corners=aligned)


def _full(classes: Tensor) -> Tensor:
    return torch.full((1, *classes.shape), LOGIT)


def _keypoints(targets: KeypointTargets, sources: Sequence[int], stride: int) -> KeypointMaps:
    """Disks fade towards their rim, as trained heatmaps do."""
    heat = targets.heatmap.float()[None]
    small = resize(heat, (heat.shape[-2] // 2 + 1, heat.shape[-1] // 2 + 1))
    soft = (heat + resize(small, (heat.shape[-2], heat.shape[-1]))) / 2
    disks, things = targets.heatmap.numpy(), targets.instance.numpy()[None]
    offsets = (
        (values + torch.randn_like(values) * NOISE)[None]
        for values in (
            _continued(targets.short, disks, stride),
            _continued(targets.middle, disks[list(sources)], stride),
            _continued(targets.long, things.repeat(len(disks), axis=0), stride),
        )
    )
    return KeypointMaps(torch.logit(soft.clamp(0.001, 0.95)), *offsets)


def _continued(offsets: Tensor, held: NDArray[np.bool_], stride: int) -> Tensor:
    """Offsets that go on where nothing trains them, as those of networks do.

    A cell outside of `held` (n, h, w) points to where the nearest one inside points to.
    """
    moved = offsets.reshape(-1, 2, *offsets.shape[-2:]).clone()
    here = torch.from_numpy(np.indices(held.shape[1:], dtype=np.float32)) * stride
    for n, mask in enumerate(held):
        if mask.any() and not mask.all():
            rows, columns = _nearest(mask)
            moved[n] = (moved[n] + here)[:, rows, columns] - here
    return moved.reshape(offsets.shape)


def _nearest(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and column of the cell of a mask that is nearest to each cell."""
    _, labels = cv2.distanceTransformWithLabels(
        (~mask).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    places = np.zeros((labels.max() + 1, 2), np.int64)
    places[labels[mask]] = np.argwhere(mask)
    found = places[labels]
    return found[..., 0], found[..., 1]


def _boxes(targets: BoxTargets, things: int) -> Tensor:
    """What the network answers for each class of things: the truth for the one that holds."""
    values = targets.values + torch.randn_like(targets.values) * (NOISE / 50)
    boxes = torch.zeros(things, *values.shape)
    held = targets.thing.clamp(min=0)[None, None].expand(1, *values.shape)
    return boxes.scatter(0, held, values[None]).flatten(0, 1)[None]


def _to(maps: Maps, device: torch.device) -> Maps:
    return mapped(maps, lambda x: x.to(device).contiguous(memory_format=torch.channels_last))
